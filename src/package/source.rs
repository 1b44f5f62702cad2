//! What the user wrote, and what it means.

use super::{Architecture, PackageError};

/// The user's words, as the configuration holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// `uvx`, or `uv` with `args` starting `tool run`.
    pub command: String,
    pub args: Vec<String>,
    /// Requirements installed besides the server's own, in pip's notation: `httpx<1`.
    pub packages: Vec<String>,
    /// Lambda's runtime identifier when given: `python3.13`.
    pub runtime: Option<String>,
    pub architecture: Architecture,
}

/// What a [`ServerSpec`] means: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    runtime: String,
    architecture: Architecture,
}

impl Source {
    /// Lambda's runtime identifier: the one given, else by `--python`, else the default for the kind.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Canonical text of all that decides which versions are chosen. Two sources with equal identities may share
    /// a lock; arguments for the server itself are no part of it.
    pub fn identity(&self) -> String {
        format!("{} {}", self.runtime, self.architecture)
    }
}

/// Reads the command line. Pure: no file, no network.
///
/// # Errors
///
/// [`ErrorKind::Input`](super::ErrorKind::Input), pointing at the attribute and element.
pub fn plan_source(spec: &ServerSpec) -> Result<Source, PackageError> {
    Err(PackageError::UnsupportedCommand {
        command: spec.command.clone(),
    })
}
