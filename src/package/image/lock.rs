//! The lock of an image: the digest of the one manifest that runs, with the repository that it comes from.
//!
//! Enters: `registry/repository@sha256:<64 hex digits>`. Leaves: the same. Refuses tags: they can be moved.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::source::ImageSource;
use crate::package::PackageError;
use crate::package::sbom::Component;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLock {
    /// With its registry: `docker.io/library/alpine`.
    pub(crate) repository: String,
    /// `sha256:…`, of a manifest for one platform.
    pub(crate) digest: String,
}

impl ImageLock {
    /// Whether `text` looks like one of an image, as against one of packages.
    pub fn is_one(text: &str) -> bool {
        let line = text.trim();
        line.contains("@sha256:") && !line.contains(char::is_whitespace)
    }

    /// Whether it belongs to `source`.
    ///
    /// # Errors
    ///
    /// [`PackageError::InvalidLock`] for another repository, or another digest than `args` name.
    pub(crate) fn check(&self, source: &ImageSource) -> Result<(), PackageError> {
        if self.repository != source.repository() {
            return Err(PackageError::InvalidLock {
                reason: format!(
                    "it pins `{}`, and `args` name an image of `{}`; make it anew",
                    self.repository,
                    source.repository()
                ),
            });
        }
        Ok(())
    }

    /// The image as a bill of materials names it (package URL specification, type `oci`).
    pub(crate) fn component(&self) -> Component {
        let name = self.repository.rsplit('/').next().unwrap_or_default();
        Component {
            ecosystem: "oci",
            name: name.to_owned(),
            version: self.digest.clone(),
            hash: None,
        }
    }

    /// The repository and its digest.
    pub fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(self.repository.clone(), self.digest.clone())])
    }
}

impl fmt::Display for ImageLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

impl FromStr for ImageLock {
    type Err = PackageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason: String| PackageError::InvalidLock { reason };
        let text = text.trim();
        let reference: oci_client::Reference = text
            .parse()
            .map_err(|error| invalid(format!("`{text}` is not the name of an image: {error}")))?;
        match (reference.digest(), reference.tag()) {
            (Some(digest), None) => Ok(Self {
                repository: format!("{}/{}", reference.registry(), reference.repository()),
                digest: digest.to_owned(),
            }),
            _ => Err(invalid(format!(
                "`{text}` does not say which bytes run; write `registry/repository@sha256:…` without a tag"
            ))),
        }
    }
}
