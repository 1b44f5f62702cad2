//! A lock: exact versions and hashes of everything that is installed, in the form that is usual for its kind of packages.
//!
//! Enters: its text, from the configuration, the state or a zip. Leaves: the same in canonical form. Refuses what does not say
//! exactly which bytes will run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::image::ImageLock;
use super::managed::{Packages, other_kind};
use super::npx::{self, NpmLock};
use super::python_lock::PythonLock;
use super::{Notice, PackageError, Source, sbom};

/// Exact versions and hashes. Its text is that of its kind; two locks are equal when they install the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lock {
    /// Python packages, in pip's requirements format: `name==version --hash=sha256:<64 hex digits>`.
    Python(PythonLock),
    /// A container image: `registry/repository@sha256:<64 hex digits>`.
    Image(ImageLock),
    /// npm packages: `name@version sha512-<base64>`.
    Npm(NpmLock),
}

impl Lock {
    /// Package name to version.
    pub fn versions(&self) -> BTreeMap<String, String> {
        match self {
            Self::Python(lock) => lock.versions(),
            Self::Image(lock) => lock.versions(),
            Self::Npm(lock) => lock.versions(),
        }
    }

    /// The bill of materials of what is installed by this lock: a CycloneDX 1.6 document, the same that lies in the package.
    pub fn sbom(&self) -> String {
        sbom::document(self)
    }

    pub(crate) fn components(&self) -> Vec<sbom::Component> {
        match self {
            Self::Python(lock) => lock.components(),
            Self::Image(lock) => vec![lock.component()],
            Self::Npm(lock) => lock.components(),
        }
    }

    /// Whether this lock was made for `source`, as far as can be told without asking an index.
    ///
    /// # Errors
    ///
    /// [`PackageError::InvalidLock`] when a package that the configuration names is missing, or pinned elsewhere.
    pub fn check(&self, source: &Source) -> Result<(), PackageError> {
        match (self, source) {
            (Self::Python(lock), Source::Uvx(source)) => lock.check(&source.packages),
            (Self::Image(lock), Source::Image(source)) => lock.check(source),
            (Self::Python(_) | Self::Npm(_), Source::Image(source)) => {
                Err(PackageError::InvalidLock {
                    reason: format!(
                        "it pins packages, and the server is the image `{}`; write `{}@sha256:…`",
                        source.name,
                        source.repository()
                    ),
                })
            }
            (Self::Image(lock), _) => Err(PackageError::InvalidLock {
                reason: format!("it pins the image `{lock}`, and the server is no image"),
            }),
            (lock, Source::Custom(source)) => match source.packages() {
                Some(packages) => packages.check(lock),
                None => Err(super::custom::nothing_to_lock()),
            },
            (Self::Npm(lock), Source::Npx(source)) => lock.check(source.npm()),
            (Self::Python(_), Source::Npx(_)) => Err(other_kind("Python", "npm")),
            (Self::Npm(_), Source::Uvx(_)) => Err(other_kind("npm", "Python")),
        }
    }

    /// What a user should know of this lock, though `source` can be installed from it.
    pub fn notices(&self, source: &Source) -> Vec<Notice> {
        match (self, source) {
            (Self::Npm(lock), Source::Npx(source)) => lock.notices(source.npm()),
            (Self::Npm(lock), Source::Custom(source)) => match source.packages() {
                Some(Packages::Node(packages)) => lock.notices(&packages.npm),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python(lock) => lock.fmt(f),
            Self::Image(lock) => lock.fmt(f),
            Self::Npm(lock) => lock.fmt(f),
        }
    }
}

impl FromStr for Lock {
    type Err = PackageError;

    /// Reads a lock of any kind.
    fn from_str(text: &str) -> Result<Self, PackageError> {
        if ImageLock::is_one(text) {
            return text.parse().map(Self::Image);
        }
        if npx::is_npm_lock(text) {
            return text.parse().map(Self::Npm);
        }
        text.parse().map(Self::Python)
    }
}
