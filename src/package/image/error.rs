//! What can go wrong between the name of an image and the image that Lambda runs, each with the next step in its text.

use crate::package::{Architecture, ErrorKind};

/// See the module's documentation. `image` is named as a registry names it: `docker.io/mcp/time:latest`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No such repository or tag, or none that these credentials may see: registries do not tell these apart.
    #[error(
        "image `{image}` does not exist in its registry, or may not be read with the credentials at hand ({credentials}). Check \
         its spelling; for a private image sign in with `docker login`"
    )]
    NotFound { image: String, credentials: String },

    /// The registry wants other credentials.
    #[error(
        "the registry {registry} refuses to {action}, with the credentials at hand ({credentials}): {detail}. Sign in with `docker \
         login {registry}`"
    )]
    Refused {
        registry: String,
        action: &'static str,
        credentials: String,
        detail: String,
    },

    /// The repository that the image is to lie in does not exist, or not for these credentials.
    #[error(
        "the repository {repository} does not take the image, with the credentials at hand ({credentials}): {detail}. Check that it exists \
         and that these credentials may push to it"
    )]
    NotTaken {
        repository: String,
        credentials: String,
        detail: String,
    },

    /// The registry did not answer, or failed.
    #[error(
        "the registry {registry} could not be reached to {action}: {detail}. Check the network and proxy settings"
    )]
    Unreachable {
        registry: String,
        action: &'static str,
        detail: String,
    },

    /// `AWS_CA_BUNDLE` names a file that is no certificate bundle.
    #[error("AWS_CA_BUNDLE names {path}, which cannot be used: {reason}")]
    Trust { path: String, reason: String },

    /// The registry allows no more requests for now.
    #[error(
        "the registry {registry} allows no more requests for now: {detail}. Wait, or sign in with `docker login {registry}`"
    )]
    Throttled { registry: String, detail: String },

    /// The image is there, but not for this processor.
    #[error(
        "image `{image}` is not there for {architecture}: it is published for {available}. {next_step}"
    )]
    NoPlatform {
        image: String,
        architecture: Architecture,
        available: String,
        next_step: String,
    },

    /// Lambda could not run it.
    #[error("image `{image}` cannot run on Lambda: {reason}")]
    Unusable { image: String, reason: String },

    /// What the registry sent is no image.
    #[error("the registry's answer about `{image}` cannot be read: {reason}")]
    Unreadable { image: String, reason: String },

    /// Docker's configuration names a way to credentials that fails.
    #[error(
        "the credentials for {registry} cannot be had from Docker's configuration ({place}): {reason}"
    )]
    Credentials {
        registry: String,
        place: String,
        reason: String,
    },
}

impl ImageError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } | Self::Throttled { .. } => ErrorKind::Network,
            Self::NotFound { .. } | Self::Refused { .. } | Self::NotTaken { .. } => {
                ErrorKind::Unresolvable
            }
            Self::NoPlatform { .. } => ErrorKind::NoWheel,
            Self::Unusable { .. } => ErrorKind::Input,
            Self::Unreadable { .. } | Self::Credentials { .. } | Self::Trust { .. } => {
                ErrorKind::Io
            }
        }
    }
}
