//! The parts of a package in, what Lambda is given out: checked against Lambda's limit for unpacked files, zipped and hashed.
//!
//! Whether the zip fits into a request is for the caller to ask: a larger one is good for those who have a bucket.

use std::collections::BTreeMap;

use super::error::Attribute;
use super::stage::Content;
use super::zip::{self, Limits, Measure};
use super::{Artifact, HANDLER, Lock, PackageError, digest, sbom};

/// Everything that a package is made of.
pub(crate) struct Parts {
    pub(crate) subject: Subject,
    /// By their path in the package, without the bridge and the lock.
    pub(crate) files: BTreeMap<String, Content>,
    /// Bytes of each of what a user could leave out, by the name that a user knows it by.
    pub(crate) sizes: BTreeMap<String, u64>,
    pub(crate) bridge: Vec<u8>,
    /// The bridge's name in the package.
    pub(crate) bridge_name: &'static str,
    /// `None` where nothing was installed.
    pub(crate) lock: Option<Lock>,
    pub(crate) argv: Vec<String>,
    pub(crate) runtime: String,
}

/// Whose package it is, for an error about its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The server's name.
    pub(crate) package: String,
    /// What to point at.
    pub(crate) attribute: Attribute,
    pub(crate) ways_out: &'static str,
}

/// Packs the parts.
///
/// # Errors
///
/// [`PackageError::TooLarge`], and what reading the files may say.
pub(crate) fn assemble(parts: Parts) -> Result<Artifact, PackageError> {
    let mut files = parts.files;
    files.insert(parts.bridge_name.to_owned(), Content::Bytes(parts.bridge));
    if let Some(lock) = &parts.lock {
        for (name, text) in [
            (zip::LOCK_NAME, lock.to_string()),
            (sbom::NAME, lock.sbom()),
        ] {
            files.insert(name.to_owned(), Content::Bytes(text.into_bytes()));
        }
    }
    let unzipped: u64 = files.values().map(Content::size).sum::<Result<_, _>>()?;
    // Before the work of packing.
    zip::check_limit(
        &parts.subject,
        Measure::Unzipped,
        unzipped,
        Limits::LAMBDA,
        &parts.sizes,
    )?;
    let packed = zip::pack(&files)?;
    Ok(Artifact {
        code_sha256: digest::code_sha256(&packed.zip),
        zip: packed.zip,
        unzipped_size: packed.unzipped,
        argv: parts.argv,
        runtime: parts.runtime,
        handler: HANDLER.to_owned(),
        versions: parts.lock.as_ref().map(Lock::versions).unwrap_or_default(),
        subject: parts.subject,
        sizes: parts.sizes,
    })
}

impl Artifact {
    /// Whether the zip fits into a request to Lambda. One that does not must be sent through S3.
    ///
    /// # Errors
    ///
    /// [`PackageError::TooLarge`], for those who have no bucket.
    pub fn check_request(&self) -> Result<(), PackageError> {
        zip::check_limit(
            &self.subject,
            Measure::Zipped,
            self.zip.len() as u64,
            Limits::LAMBDA,
            &self.sizes,
        )
    }
}
