//! A lock of Python packages: every distribution with its exact version and the hash of its wheel.
//!
//! Enters: pip's requirements format, also as `uv pip compile --generate-hashes` and pip-tools write it. Leaves: the same in
//! canonical form, one line per distribution, sorted. Refuses lines without an exact version or without a SHA-256, because
//! what was reviewed must be what runs.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::PackageError;
use super::python_packages::PythonPackages;
use super::requirement::{normalise, same_release};
use super::sbom::Component;

/// Exact versions and hashes, sorted by name. Its text is pip's requirements format, one line each:
/// `name==version --hash=sha256:<64 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonLock {
    pins: BTreeMap<String, Pin>,
}

/// One distribution's version and what its wheel may hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) version: String,
    /// Hex digests, at least one, sorted. What is resolved here has one: that of the wheel for the target.
    pub(crate) sha256: Vec<String>,
}

impl PythonLock {
    pub(crate) fn new(pins: BTreeMap<String, Pin>) -> Self {
        Self { pins }
    }

    /// Normalised distribution name to version.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.pins
            .iter()
            .map(|(name, pin)| (name.clone(), pin.version.clone()))
            .collect()
    }

    pub(crate) fn components(&self) -> Vec<Component> {
        let pins = self.pins.iter();
        pins.map(|(name, pin)| Component {
            ecosystem: "pypi",
            name: name.clone(),
            version: pin.version.clone(),
            hash: match pin.sha256.as_slice() {
                [only] => Some(("SHA-256", only.clone())),
                _ => None,
            },
        })
        .collect()
    }

    /// The lock's line for one distribution, by its normalised name.
    pub(crate) fn line(&self, name: &str) -> Option<String> {
        let pin = self.pins.get(name)?;
        let mut line = format!("{name}=={}", pin.version);
        for hash in &pin.sha256 {
            line.push_str(" --hash=sha256:");
            line.push_str(hash);
        }
        Some(line)
    }

    /// Whether this lock was made for `packages`, as far as can be told without asking an index.
    ///
    /// # Errors
    ///
    /// [`PackageError::InvalidLock`] when a package that the configuration names is missing, or pinned elsewhere.
    pub(crate) fn check(&self, packages: &PythonPackages) -> Result<(), PackageError> {
        for requirement in &packages.requirements {
            let (name, at) = (&requirement.name, requirement.attribute);
            let Some(pin) = self.pins.get(name) else {
                // A requirement with a marker may rightly be absent.
                if requirement.text.contains(';') {
                    continue;
                }
                return Err(PackageError::InvalidLock {
                    reason: format!(
                        "`{name}`, which {at} asks for, is not in it. Make the lock anew for this configuration"
                    ),
                });
            };
            if let Some(wanted) = requirement.pinned()
                && !requirement.text.contains(';')
                && !same_release(wanted, &pin.version)
            {
                return Err(PackageError::InvalidLock {
                    reason: format!(
                        "it holds `{name}` {}, but {at} asks for {wanted}. Make the lock anew for this configuration",
                        pin.version
                    ),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for PythonLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in self.pins.keys() {
            if let Some(line) = self.line(name) {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for PythonLock {
    type Err = PackageError;

    /// Reads a lock. Comments, blank lines, `\` before a line's end and several hashes for one distribution are fine.
    fn from_str(text: &str) -> Result<Self, PackageError> {
        let mut pins = BTreeMap::new();
        let mut logical = String::new();
        let mut began = 1;
        for (index, physical) in text.lines().enumerate() {
            if logical.is_empty() {
                began = index + 1;
            }
            let physical = strip_comment(physical).trim();
            if let Some(continued) = physical.strip_suffix('\\') {
                logical.push_str(continued);
                logical.push(' ');
                continue;
            }
            logical.push_str(physical);
            add_line(&mut pins, logical.trim(), began)?;
            logical.clear();
        }
        add_line(&mut pins, logical.trim(), began)?;
        if pins.is_empty() {
            return Err(PackageError::InvalidLock {
                reason: "it is empty; it should hold lines such as `mcp==1.2.3 --hash=sha256:…`, or not be set".to_owned(),
            });
        }
        Ok(Self { pins })
    }
}

/// pip's rule: `#` begins a comment at the start of a line or after white space.
pub(crate) fn strip_comment(line: &str) -> &str {
    let mut previous_is_space = true;
    for (at, c) in line.char_indices() {
        if c == '#' && previous_is_space {
            return &line[..at];
        }
        previous_is_space = c.is_whitespace();
    }
    line
}

fn add_line(
    pins: &mut BTreeMap<String, Pin>,
    line: &str,
    number: usize,
) -> Result<(), PackageError> {
    if line.is_empty() {
        return Ok(());
    }
    let invalid = |what: &str| PackageError::InvalidLock {
        reason: format!("line {number} (`{line}`) {what}"),
    };
    let mut words = line.split_whitespace();
    let pin = words.next().unwrap_or_default();
    let (name, version) = pin
        .split_once("==")
        .ok_or_else(|| invalid("does not begin with an exact version, `name==version`"))?;
    let name = name.split('[').next().unwrap_or(name);
    if !is_name(name) {
        return Err(invalid("does not begin with the name of a package"));
    }
    if version.is_empty()
        || !version
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '!' | '+' | '-' | '_'))
    {
        return Err(invalid("holds no exact version after `==`"));
    }
    let mut sha256 = Vec::new();
    for word in words {
        let hash = word.strip_prefix("--hash=").ok_or_else(|| {
            invalid("holds something else than a version and hashes; markers, options and several versions cannot be locked")
        })?;
        let digest = hash
            .strip_prefix("sha256:")
            .ok_or_else(|| invalid("holds a hash that is not SHA-256"))?;
        if digest.len() != 64 || !digest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(invalid(
                "holds a SHA-256 that is not 64 lower-case hexadecimal digits",
            ));
        }
        sha256.push(digest.to_owned());
    }
    if sha256.is_empty() {
        return Err(invalid(
            "has no hash; add ` --hash=sha256:…`, so that exactly the locked bytes are installed",
        ));
    }
    sha256.sort();
    sha256.dedup();
    if pins
        .insert(
            normalise(name),
            Pin {
                version: version.to_owned(),
                sha256,
            },
        )
        .is_some()
    {
        return Err(invalid(
            "names a package that an earlier line has locked already",
        ));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    alphanumeric(name.chars().next())
        && alphanumeric(name.chars().last())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
