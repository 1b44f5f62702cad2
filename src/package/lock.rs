//! A lock: every distribution with its exact version and the hash of its wheel.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::PackageError;

/// Exact versions and hashes, sorted by name. Its text is pip's requirements format, one line each:
/// `name==version --hash=sha256:<64 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    pins: BTreeMap<String, Pin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) version: String,
    /// Hex digests, at least one, sorted.
    pub(crate) sha256: Vec<String>,
}

impl Lock {
    /// Normalised distribution name to version.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.pins
            .iter()
            .map(|(name, pin)| (name.clone(), pin.version.clone()))
            .collect()
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, pin) in &self.pins {
            write!(f, "{name}=={}", pin.version)?;
            for hash in &pin.sha256 {
                write!(f, " --hash=sha256:{hash}")?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl FromStr for Lock {
    type Err = PackageError;

    fn from_str(text: &str) -> Result<Self, PackageError> {
        let _ = text;
        Err(PackageError::InvalidLock {
            reason: "not wired yet".to_owned(),
        })
    }
}
