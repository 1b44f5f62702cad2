//! Files in, the bytes of the deployment package out: a pure function of names and contents.
//!
//! Entries are sorted, dated 1980-01-01 and owned by nobody; modes follow from the content, since the file system's differ by
//! umask and by operating system. Refuses what is over Lambda's limits, before anything is sent.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use ::zip::ZipArchive;

use super::assemble::Subject;
use super::stage::Content;
use super::{Lock, PackageError, bytecode, deflate, zip_archive};

/// What Lambda accepts of a zip.
///
/// Source: AWS Lambda Developer Guide, "Lambda quotas": 250 MB unzipped, and 50 MB for direct upload. That is the whole request, with the
/// zip in base64: Lambda's refusal names 69,905,067 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a zip that is sent in the request; a larger one goes through S3.
    pub(crate) zipped: u64,
    /// Bytes of all files.
    pub(crate) unzipped: u64,
}

impl Limits {
    pub(crate) const LAMBDA: Self = Self {
        zipped: (MAX_REQUEST - BESIDE_THE_ZIP) / 4 * 3,
        unzipped: 250 * 1024 * 1024,
    };
}

/// Bytes of a request to Lambda.
const MAX_REQUEST: u64 = 69_905_067;
/// Bytes of all else in it: 4 KB of environment and 50 tags of 384 characters are most, and JSON may escape them.
const BESIDE_THE_ZIP: u64 = 128 * 1024;

/// The lock's name in the zip.
pub(crate) const LOCK_NAME: &str = "mcplambda.lock";
/// The bridge's name in the zip: Lambda's runtime is told to start it first.
pub(crate) const BRIDGE_NAME: &str = "mcplambda-bridge";

/// The bridge's name in the zip where it is the whole runtime: Lambda starts this file.
pub(crate) const BOOTSTRAP_NAME: &str = "bootstrap";
/// Where installed Python packages lie.
pub(crate) const PACKAGES_NAME: &str = "site-packages";
/// Where installed npm packages lie, as Node finds them from the files beside it.
pub(crate) const NODE_MODULES: &str = "node_modules";

/// A zip and what its files add up to.
pub(crate) struct Packed {
    pub(crate) zip: Vec<u8>,
    pub(crate) unzipped: u64,
}

/// Packs `files`, by their full path in the zip.
pub(crate) fn pack(files: &BTreeMap<String, Content>) -> Result<Packed, PackageError> {
    let entries = deflate::entries(files)?;
    let unzipped = entries.iter().map(|entry| entry.size as u64).sum();
    let zip = zip_archive::write(&entries).map_err(|error| PackageError::Unpackageable {
        path: "the package".to_owned(),
        reason: format!("it does not fit into a zip: {error}"),
    })?;
    Ok(Packed { zip, unzipped })
}

/// Checks one of the limits; `sizes` are the unzipped bytes of each part that a user could leave out.
pub(crate) fn check_limit(
    subject: &Subject,
    measure: Measure,
    actual: u64,
    limits: Limits,
    sizes: &BTreeMap<String, u64>,
) -> Result<(), PackageError> {
    let (limit, words, kind, first_way) = match measure {
        Measure::Zipped => (
            limits.zipped,
            "zipped",
            "zip in a request",
            "set `artifact_bucket` to an S3 bucket in the function's region, ",
        ),
        Measure::Unzipped => (limits.unzipped, "unzipped", "zip function", ""),
    };
    if actual <= limit {
        return Ok(());
    }
    // It may have been decided for the user.
    let without = match sizes.contains_key(bytecode::SIZE_NAME) {
        true => "set `compile_bytecode = false`, ",
        false => "",
    };
    Err(PackageError::TooLarge {
        package: subject.package.clone(),
        attribute: subject.attribute,
        measure: words,
        actual,
        limit,
        kind,
        largest: largest_first(sizes),
        ways_out: format!("{first_way}{without}{}", subject.ways_out),
    })
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Zipped,
    Unzipped,
}

/// `a (12), b (3)`: the five largest, largest first.
fn largest_first(sizes: &BTreeMap<String, u64>) -> String {
    let mut sizes: Vec<_> = sizes.iter().collect();
    sizes.sort_by_key(|(name, size)| (std::cmp::Reverse(**size), name.as_str()));
    let list: Vec<_> = sizes
        .iter()
        .take(5)
        .map(|(name, size)| format!("{name} ({size})"))
        .collect();
    list.join(", ")
}

/// Every file of a package with its bytes.
pub(crate) fn read_all(zip: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let unreadable = |error: std::io::Error| PackageError::NotOurZip {
        reason: format!("its zip cannot be read: {error}"),
    };
    let mut archive =
        ZipArchive::new(Cursor::new(zip)).map_err(|error| unreadable(error.into()))?;
    let mut files = BTreeMap::new();
    let mut left = Limits::LAMBDA.unzipped;
    for index in 0..archive.len() {
        let mut file = archive
            .by_index(index)
            .map_err(|error| unreadable(error.into()))?;
        if file.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        // What Lambda has accepted is no larger than its limit, whatever the directory of the zip says.
        let read = file.by_ref().take(left + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| PackageError::NotOurZip {
                reason: "its files are larger than Lambda allows".to_owned(),
            })?;
        let name = file
            .name()
            .map_err(|error| unreadable(std::io::Error::other(error)))?;
        files.insert(name.into_owned(), bytes);
    }
    Ok(files)
}

/// See [`super::lock_in_zip`].
pub(crate) fn read_lock(zip: &[u8]) -> Result<Lock, PackageError> {
    let not_ours = |reason: String| PackageError::NotOurZip { reason };
    let mut archive = ZipArchive::new(Cursor::new(zip))
        .map_err(|error| not_ours(format!("it is no zip: {error}")))?;
    let file = archive
        .by_name(LOCK_NAME)
        .map_err(|_| not_ours(format!("it holds no `{LOCK_NAME}`")))?;
    // The largest locks have a few thousand lines; more than this is not one of ours.
    const LARGEST: u64 = 4 * 1024 * 1024;
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| not_ours(format!("its `{LOCK_NAME}` cannot be read: {error}")))?;
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            package: "a".to_owned(),
            attribute: crate::package::Attribute::whole("args"),
            ways_out: "use less",
        }
    }

    #[test]
    fn a_package_over_a_limit_names_its_largest_distributions() {
        let sizes = [
            ("a", 10),
            ("b", 700),
            ("c", 20),
            ("d", 1),
            ("e", 2),
            ("f", 700),
        ];
        let sizes: BTreeMap<_, _> = sizes.map(|(name, size)| (name.to_owned(), size)).into();
        let limits = Limits {
            zipped: 500,
            unzipped: 1000,
        };
        assert!(check_limit(&subject(), Measure::Zipped, 500, limits, &sizes).is_ok());
        assert!(check_limit(&subject(), Measure::Unzipped, 1000, limits, &sizes).is_ok());
        let error = check_limit(&subject(), Measure::Unzipped, 1433, limits, &sizes)
            .expect_err("over the limit");
        assert_eq!(
            error.to_string(),
            "the package of `a` is 1433 bytes unzipped, over Lambda's limit of 1000 bytes for a zip function. The largest in it \
             (unzipped bytes): b (700), f (700), c (20), a (10), e (2). Ways out: use less"
        );
        let error = check_limit(&subject(), Measure::Zipped, 501, limits, &sizes)
            .expect_err("over the limit");
        assert_eq!(
            error.to_string(),
            "the package of `a` is 501 bytes zipped, over Lambda's limit of 500 bytes for a zip in a request. The largest in it \
             (unzipped bytes): b (700), f (700), c (20), a (10), e (2). Ways out: set `artifact_bucket` to an S3 bucket in the \
             function's region, use less"
        );
        let sizes = BTreeMap::from([(bytecode::SIZE_NAME.to_owned(), 900)]);
        let error = check_limit(&subject(), Measure::Unzipped, 1001, limits, &sizes)
            .expect_err("over the limit");
        assert_eq!(
            error.to_string(),
            "the package of `a` is 1001 bytes unzipped, over Lambda's limit of 1000 bytes for a zip function. The largest in it \
             (unzipped bytes): `compile_bytecode` (900). Ways out: set `compile_bytecode = false`, use less"
        );
    }

    #[test]
    fn lambda_takes_fifty_megabytes_in_a_request_and_two_hundred_and_fifty_unzipped() {
        assert_eq!(
            Limits::LAMBDA,
            Limits {
                // A little less than 52,428,800: something else stands in the request, too.
                zipped: 52_330_494,
                unzipped: 262_144_000
            }
        );
    }
}
