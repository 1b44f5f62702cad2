//! A lock of npm packages: where each lies in `node_modules`, its exact version and the hash of its tarball.
//!
//! Enters: its text. Leaves: the same in canonical form, one line a package, sorted. No address is in it, so that it can be
//! installed from any registry that has the same bytes. Refuses lines without an exact version or without a SHA-512.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodejs_semver::Version;

use super::packages::{NpmPackages, script_of_nothing};
use super::runtime::{Admission, NodeRuntime};
use super::spec::is_name;
use crate::package::sbom::Component;
use crate::package::{Notice, PackageError};

/// Exact versions and hashes by place. Its text has one line a package, `place@version sha512-<base64>`, where `a>b` is the
/// `b` that lies inside `a`, and `a@npm:b@1.0.0` is `b` installed by the name `a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpmLock {
    pins: BTreeMap<Place, Pin>,
}

/// Where a package lies: the names of the packages that it lies in, from the outermost, and its own.
pub(crate) type Place = Vec<String>;

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Its name in the registry, where it lies by another.
    pub(crate) alias_of: Option<String>,
    pub(crate) version: String,
    /// `sha512-` and base64, as npm writes it (W3C, "Subresource Integrity").
    pub(crate) integrity: String,
    /// It has a script that npm would run after installing it.
    pub(crate) install_script: bool,
    /// `engines.node`; kept of the packages that the configuration names.
    pub(crate) engines: Option<String>,
}

impl Pin {
    /// The tarball's hash in hexadecimal.
    fn sha512(&self) -> Option<String> {
        let digest = self.integrity.strip_prefix("sha512-")?;
        let digest = STANDARD.decode(digest).ok()?;
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

const INSTALL_SCRIPT: &str = "install-script";

impl NpmLock {
    pub(crate) fn new(pins: BTreeMap<Place, Pin>) -> Self {
        Self { pins }
    }

    pub(crate) fn pins(&self) -> &BTreeMap<Place, Pin> {
        &self.pins
    }

    /// Place to version: `express`, `express>debug`.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.pins
            .iter()
            .map(|(place, pin)| (place.join(">"), pin.version.clone()))
            .collect()
    }

    pub(crate) fn components(&self) -> Vec<Component> {
        let pins = self.pins.iter();
        pins.map(|(place, pin)| Component {
            ecosystem: "npm",
            name: match &pin.alias_of {
                Some(name) => name.clone(),
                None => place.last().cloned().unwrap_or_default(),
            },
            version: pin.version.clone(),
            hash: pin.sha512().map(|digest| ("SHA-512", digest)),
        })
        .collect()
    }

    /// The package that a configuration names, which lies at the top.
    pub(crate) fn top(&self, name: &str) -> Option<&Pin> {
        self.pins.get(&[name.to_owned()][..])
    }

    /// `name@version` as errors say it.
    pub(crate) fn described(&self, place: &[String]) -> String {
        let version = self.pins.get(place).map(|pin| pin.version.as_str());
        format!("{}@{}", place.join(">"), version.unwrap_or("?"))
    }

    /// Whether this lock was made for `npm`, as far as can be told without asking a registry.
    ///
    /// # Errors
    ///
    /// [`PackageError::InvalidLock`] when a package that the configuration names is missing or locked at another version,
    /// [`PackageError::Invalid`] for a name in `allow_scripts` that is not in it, [`PackageError::RuntimeTooOld`].
    pub(crate) fn check(&self, npm: &NpmPackages) -> Result<(), PackageError> {
        for spec in &npm.named {
            let (name, at) = (&spec.name, spec.attribute);
            let Some(pin) = self.top(name) else {
                return Err(PackageError::InvalidLock {
                    reason: format!(
                        "`{name}`, which {at} asks for, is not in it. Make the lock anew for this configuration"
                    ),
                });
            };
            if !spec.admits(&pin.version) {
                return Err(PackageError::InvalidLock {
                    reason: format!(
                        "it holds `{name}` {}, but {at} asks for {}. Make the lock anew for this configuration",
                        pin.version, spec.wanted
                    ),
                });
            }
        }
        for (index, allowed) in npm.allowed_scripts().iter().enumerate() {
            let named = |place: &Place| place.last() == Some(allowed);
            if !self.pins.keys().any(named) {
                return Err(script_of_nothing(index, allowed));
            }
        }
        for (name, pin) in self.named(npm) {
            let engines = pin.engines.as_deref().unwrap_or_default();
            if npm.node.admission(engines) == Admission::TooOld {
                return Err(PackageError::RuntimeTooOld {
                    package: format!("{name}@{}", pin.version),
                    engines: engines.to_owned(),
                    runtime: npm.node.name(),
                    next_step: match NodeRuntime::for_engines(engines) {
                        Some(fitting) => format!("Set runtime = \"{}\"", fitting.name()),
                        None => {
                            "Lambda has no such runtime; ask for an older version of the package"
                                .to_owned()
                        }
                    },
                });
            }
        }
        Ok(())
    }

    /// What a user should know of this lock, though it can be installed.
    pub(crate) fn notices(&self, npm: &NpmPackages) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (name, pin) in self.named(npm) {
            let engines = pin.engines.as_deref().unwrap_or_default();
            if npm.node.admission(engines) == Admission::Excluded {
                notices.push(Notice::Engines {
                    package: format!("{name}@{}", pin.version),
                    engines: engines.to_owned(),
                    runtime: npm.node.name(),
                });
            }
        }
        if npm.allow_scripts.is_none() {
            let packages: Vec<_> = self
                .pins
                .iter()
                .filter(|(_, pin)| pin.install_script)
                .map(|(place, _)| self.described(place))
                .collect();
            if !packages.is_empty() {
                notices.push(Notice::ScriptsNotRun {
                    packages,
                    attribute: npm.attribute(),
                });
            }
        }
        notices
    }

    fn named<'a>(&'a self, npm: &'a NpmPackages) -> impl Iterator<Item = (&'a str, &'a Pin)> {
        let named = npm.named.iter();
        named.filter_map(|spec| Some((spec.name.as_str(), self.top(&spec.name)?)))
    }

    /// Places whose tarball has this hash.
    pub(crate) fn with_integrity(&self, integrity: &str) -> Option<&Place> {
        let found = self.pins.iter().find(|(_, pin)| pin.integrity == integrity);
        found.map(|(place, _)| place)
    }
}

impl fmt::Display for NpmLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, pin) in &self.pins {
            write!(f, "{}@", place.join(">"))?;
            if let Some(name) = &pin.alias_of {
                write!(f, "npm:{name}@")?;
            }
            write!(f, "{} {}", pin.version, pin.integrity)?;
            if pin.install_script {
                write!(f, " {INSTALL_SCRIPT}")?;
            }
            if let Some(engines) = &pin.engines {
                write!(f, " node=\"{engines}\"")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl FromStr for NpmLock {
    type Err = PackageError;

    /// Reads a lock. Blank lines and lines that begin with `#` are fine.
    fn from_str(text: &str) -> Result<Self, PackageError> {
        let mut pins = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |what: &str| PackageError::InvalidLock {
                reason: format!("line {} (`{line}`) {what}", index + 1),
            };
            let (place, pin) = read_line(line).map_err(invalid)?;
            if pins.insert(place, pin).is_some() {
                return Err(invalid(
                    "names a place that an earlier line has taken already",
                ));
            }
        }
        for place in pins.keys() {
            if let Some((_, outer)) = place.split_last()
                && !outer.is_empty()
                && !pins.contains_key(outer)
            {
                return Err(PackageError::InvalidLock {
                    reason: format!(
                        "`{}` lies inside `{}`, which has no line",
                        place.join(">"),
                        outer.join(">")
                    ),
                });
            }
        }
        if pins.is_empty() {
            return Err(PackageError::InvalidLock {
                reason:
                    "it is empty; it should hold lines such as `zod@4.1.0 sha512-…`, or not be set"
                        .to_owned(),
            });
        }
        Ok(Self { pins })
    }
}

/// Whether `text` looks like a lock of npm packages rather than one of another kind: pip separates name and
/// version by `==`.
pub(crate) fn is_npm_lock(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        let mut words = line.split_whitespace();
        let (package, hash) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        hash.starts_with("sha512-") || (package.contains('@') && !package.contains("=="))
    })
}

fn read_line(line: &str) -> Result<(Place, Pin), &'static str> {
    let (package, rest) = line
        .split_once(char::is_whitespace)
        .ok_or("has no hash; add ` sha512-…`, so that exactly the locked bytes are installed")?;
    let (package, alias_of) = match package.split_once("@npm:") {
        Some((place, real)) => {
            let (name, version) = split_version(real).ok_or(NO_VERSION)?;
            (format!("{place}@{version}"), Some(name.to_owned()))
        }
        None => (package.to_owned(), None),
    };
    let (place, version) = split_version(&package).ok_or(NO_VERSION)?;
    let place: Place = place.split('>').map(str::to_owned).collect();
    if !place.iter().chain(&alias_of).all(|name| is_name(name)) {
        return Err("does not begin with the name of a package");
    }
    if !is_exact(version) {
        return Err(NO_VERSION);
    }
    let (rest, engines) = match rest.split_once(" node=\"") {
        Some((rest, engines)) => {
            let engines = engines
                .strip_suffix('"')
                .ok_or("has something after `node=\"…\"`")?;
            (rest, Some(engines.to_owned()))
        }
        None => (rest, None),
    };
    let mut words = rest.split_whitespace();
    let integrity = words.next().unwrap_or_default();
    if !is_sha512(integrity) {
        return Err("holds no SHA-512 as npm writes it, `sha512-` and 88 characters of base64");
    }
    let install_script = match words.next() {
        None => false,
        Some(INSTALL_SCRIPT) => true,
        Some(_) => {
            return Err(
                "holds something else than a version, a hash and what npm says of the package",
            );
        }
    };
    if words.next().is_some() {
        return Err("holds something else than a version, a hash and what npm says of the package");
    }
    Ok((
        place,
        Pin {
            alias_of,
            version: version.to_owned(),
            integrity: integrity.to_owned(),
            install_script,
            engines,
        },
    ))
}

const NO_VERSION: &str = "does not begin with an exact version, `name@1.2.3`";

/// Name and version of `@scope/name@1.2.3`.
fn split_version(package: &str) -> Option<(&str, &str)> {
    package
        .rsplit_once('@')
        .filter(|(name, _)| !name.is_empty())
}

pub(crate) fn is_exact(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit()) && Version::parse(version).is_ok()
}

/// 64 bytes are 88 characters of base64, the last two of which pad.
pub(crate) fn is_sha512(integrity: &str) -> bool {
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    integrity
        .strip_prefix("sha512-")
        .and_then(|digest| digest.strip_suffix("=="))
        .is_some_and(|digest| digest.len() == 86 && digest.chars().all(base64))
}
