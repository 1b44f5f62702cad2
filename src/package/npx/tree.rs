//! npm's own lock file (`package-lock.json`) in, a lock of what runs on the function out; and the other way round, for `npm ci`.
//!
//! Left out on the way in: what is for other platforms, what only such packages or development need, and what lies in another package's
//! tarball. On the way out each package needs what lies inside it, and the project needs what lies at the top, all at exact
//! versions: so `npm` puts every package where the lock has it, and has nothing left to choose.
//!
//! Refuses packages that do not come from a registry, and hashes that are weaker than SHA-512; of a lock file that a user keeps also
//! what is missing in it.
//!
//! Source: npm documentation, "package-lock.json" (lockfileVersion 2 and 3).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::bin::Bins;
use super::entry::{self, Entry};
use super::lock::{NpmLock, Pin, Place, is_exact, is_sha512};
use super::packages::NpmPackages;
use crate::package::{Architecture, PackageError, Tool};

/// What is needed of a `package-lock.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackageLock {
    /// Empty in files of version 1.
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
    /// A user keeps it: it may be incomplete, and says where each package came from.
    #[serde(skip)]
    kept: bool,
}

/// Why a lock file does not say which bytes run. Packages are `place@version`, `needed_by` is ` (needed by `x@1.0.0`)` or nothing.
#[derive(Debug)]
pub(crate) enum Problem {
    Misplaced {
        path: String,
    },
    /// `from` completes "it comes from …": no address, which could hold a password.
    Elsewhere {
        package: String,
        needed_by: String,
        from: &'static str,
    },
    Hash {
        package: String,
        /// Algorithms, or `none`.
        found: String,
    },
    Missing {
        package: String,
        wanted: String,
        needed_by: String,
    },
    Platform {
        package: String,
        needed_by: String,
    },
    Empty,
}

/// The processor as Node names it.
pub(crate) fn cpu(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x64",
        Architecture::Arm64 => "arm64",
    }
}

pub(crate) const OS: &str = "linux";
pub(crate) const LIBC: &str = "glibc";

impl PackageLock {
    pub(crate) fn parse(text: &str) -> Result<Self, PackageError> {
        serde_json::from_str(text)
            .map_err(|error| unreadable(format!("its lock cannot be read: {error}")))
    }

    /// A lock file that a user keeps beside the package.json that `root` was read from; `None` for one of version 1.
    ///
    /// # Errors
    ///
    /// What makes it unreadable.
    pub(crate) fn kept(text: &str, root: Entry) -> Result<Option<Self>, serde_json::Error> {
        let mut lock: Self = serde_json::from_str(text)?;
        if lock.packages.is_empty() {
            return Ok(None);
        }
        lock.kept = true;
        lock.packages.insert(String::new(), root);
        for entry in lock.packages.values_mut() {
            // Where a registry has the tarball is no matter: any that has the same bytes will do.
            entry.resolved.take_if(|from| from.starts_with("http"));
        }
        Ok(Some(lock))
    }

    /// The package.json that it was read with.
    pub(crate) fn root(&self) -> Option<&Entry> {
        self.packages.get("")
    }

    /// The package that lies at the top under this name.
    pub(crate) fn top(&self, name: &str) -> Option<&Entry> {
        self.packages.get(&path_of(&[name.to_owned()]))
    }

    /// What of it is installed for `npm`.
    pub(crate) fn lock(&self, npm: &NpmPackages) -> Result<NpmLock, PackageError> {
        let named = npm.named.iter().map(|spec| spec.name.as_str()).collect();
        self.pins(npm.architecture, &named)
            .map_err(|problem| match problem {
                Problem::Elsewhere {
                    package, needed_by, ..
                } => PackageError::NotFromRegistry { package, needed_by },
                Problem::Hash { package, found } => PackageError::WeakHash { package, found },
                Problem::Misplaced { path } => unreadable(format!(
                    "its lock has `{path}`, which lies in no `node_modules`"
                )),
                Problem::Missing { package, .. } | Problem::Platform { package, .. } => {
                    unreadable(format!("its lock has no `{package}` that fits"))
                }
                Problem::Empty => unreadable("its lock holds no package".to_owned()),
            })
    }

    /// The packages in `lock` that their authors advise against, `name@version`, and what they say.
    pub(crate) fn deprecated(&self, lock: &NpmLock) -> Vec<(String, String)> {
        let told = lock.pins().keys().filter_map(|place| {
            let words = self.packages.get(&path_of(place))?.deprecated.as_str()?;
            Some((lock.described(place), words.trim().to_owned()))
        });
        told.filter(|(_, words)| !words.is_empty()).collect()
    }

    /// What of it is installed on the function. `engines` are kept of the packages `named`.
    pub(crate) fn pins(
        &self,
        architecture: Architecture,
        named: &BTreeSet<&str>,
    ) -> Result<NpmLock, Problem> {
        let mut pins = BTreeMap::new();
        for path in self.reachable(architecture)? {
            let entry = &self.packages[path];
            let Some(place) = place_of(path) else {
                return Err(Problem::Misplaced {
                    path: path.to_owned(),
                });
            };
            if entry.in_bundle {
                continue;
            }
            let version = entry.version.clone().filter(|version| is_exact(version));
            let described = || place.join(">");
            let elsewhere = entry.link || entry.resolved.is_some();
            let (Some(version), false) = (version, elsewhere) else {
                let wanted = entry.resolved.as_deref().unwrap_or_default();
                return Err(Problem::Elsewhere {
                    package: described(),
                    needed_by: self.needed_by(place.last().map_or("", String::as_str)),
                    from: if entry.link {
                        entry::FOLDER
                    } else {
                        entry::origin(wanted)
                    },
                });
            };
            let hashes = entry.integrity.as_deref().unwrap_or_default();
            let integrity = hashes.split_whitespace().find(|hash| is_sha512(hash));
            let integrity = integrity.ok_or_else(|| Problem::Hash {
                package: format!("{}@{version}", described()),
                found: match hashes.split_once('-') {
                    Some((algorithm, _)) => algorithm.to_owned(),
                    None => "none".to_owned(),
                },
            })?;
            let own_name = place.last().filter(|own| Some(*own) != entry.name.as_ref());
            let alias_of = own_name.and(entry.name.clone());
            let top = matches!(place.as_slice(), [name] if named.contains(name.as_str()));
            let pin = Pin {
                alias_of,
                version,
                integrity: integrity.to_owned(),
                install_script: entry.has_install_script,
                engines: top.then(|| entry.node_engines()).flatten(),
            };
            pins.insert(place, pin);
        }
        if pins.is_empty() {
            return Err(Problem::Empty);
        }
        Ok(NpmLock::new(pins))
    }

    /// What the packages at the top offer to start, by name.
    pub(crate) fn bins(&self) -> BTreeMap<String, Bins> {
        let top = self.packages.iter().filter_map(|(path, entry)| {
            let [name] = place_of(path)?.try_into().ok()?;
            let name: String = name;
            let version = entry.version.clone().unwrap_or_default();
            Some((name.clone(), Bins::read(&name, &version, &entry.bin)))
        });
        top.collect()
    }

    /// Paths of the packages that the project needs on the function, as Node would find them.
    fn reachable(&self, architecture: Architecture) -> Result<BTreeSet<&str>, Problem> {
        let fits = |entry: &Entry| {
            entry.os.admit(OS) && entry.cpu.admit(cpu(architecture)) && entry.libc.admit(LIBC)
        };
        let mut found = BTreeSet::new();
        let mut waiting = vec![""];
        while let Some(path) = waiting.pop() {
            let Some(entry) = self.packages.get(path) else {
                continue;
            };
            for need in entry.needs() {
                let Some((at, needed)) = self.found_from(path, need.name) else {
                    if self.kept && need.required {
                        return Err(Problem::Missing {
                            package: need.name.to_owned(),
                            wanted: need.wanted.to_owned(),
                            needed_by: self.needed_by(need.name),
                        });
                    }
                    continue;
                };
                if !fits(needed) {
                    if self.kept && need.required && !needed.optional {
                        let version = needed.version.as_deref().unwrap_or("?");
                        return Err(Problem::Platform {
                            package: format!("{}@{version}", need.name),
                            needed_by: self.needed_by(need.name),
                        });
                    }
                    continue;
                }
                if entry::is_elsewhere(need.wanted) && !needed.in_bundle {
                    return Err(Problem::Elsewhere {
                        package: need.name.to_owned(),
                        needed_by: self.needed_by(need.name),
                        from: if needed.link {
                            entry::FOLDER
                        } else {
                            entry::origin(need.wanted)
                        },
                    });
                }
                if found.insert(at) {
                    waiting.push(at);
                }
            }
        }
        Ok(found)
    }

    /// The package `name` that Node finds from the package at `path`: inside it, beside it, further out.
    fn found_from(&self, path: &str, name: &str) -> Option<(&str, &Entry)> {
        let mut from = path;
        loop {
            let separator = if from.is_empty() { "" } else { "/" };
            let candidate = format!("{from}{separator}node_modules/{name}");
            if let Some((at, entry)) = self.packages.get_key_value(&candidate) {
                return Some((at, entry));
            }
            if from.is_empty() {
                return None;
            }
            from = from
                .rsplit_once("node_modules/")
                .map_or("", |(outer, _)| outer.trim_end_matches('/'));
        }
    }

    /// ` (needed by `x@1.0.0`)` when another package names it.
    fn needed_by(&self, name: &str) -> String {
        let dependent = self.packages.iter().find(|(path, entry)| {
            !path.is_empty()
                && (entry.dependencies.contains_key(name)
                    || entry.optional_dependencies.contains_key(name))
        });
        let Some((place, entry)) =
            dependent.and_then(|(path, entry)| Some((place_of(path)?, entry)))
        else {
            return String::new();
        };
        let version = entry.version.as_deref().unwrap_or("?");
        format!(" (needed by `{}@{version}`)", place.join(">"))
    }
}

fn unreadable(output: String) -> PackageError {
    PackageError::ToolFailed {
        tool: Tool::Npm,
        action: "resolve the packages",
        output,
    }
}

/// `["a", "@s/b"]` of `node_modules/a/node_modules/@s/b`.
fn place_of(path: &str) -> Option<Place> {
    let inner = path.strip_prefix("node_modules/")?;
    Some(inner.split("/node_modules/").map(str::to_owned).collect())
}

/// The path of a place.
pub(crate) fn path_of(place: &[String]) -> String {
    format!("node_modules/{}", place.join("/node_modules/"))
}

/// `package.json` and `package-lock.json` from which `npm ci` installs exactly `lock`.
pub(crate) fn project(lock: &NpmLock) -> (String, String) {
    let mut needs: BTreeMap<&[String], Map<String, Value>> = BTreeMap::new();
    for (place, pin) in lock.pins() {
        if let Some((name, outer)) = place.split_last() {
            let wanted = match &pin.alias_of {
                Some(real) => format!("npm:{real}@{}", pin.version),
                None => pin.version.clone(),
            };
            needs
                .entry(outer)
                .or_default()
                .insert(name.clone(), Value::from(wanted));
        }
    }
    let top = needs.remove(&[][..]).unwrap_or_default();
    let mut packages = Map::new();
    packages.insert(String::new(), json!({"name": PROJECT, "dependencies": top}));
    for (place, pin) in lock.pins() {
        let mut entry = Map::new();
        if let Some(real) = &pin.alias_of {
            entry.insert("name".to_owned(), Value::from(real.as_str()));
        }
        entry.insert("version".to_owned(), Value::from(pin.version.as_str()));
        entry.insert("integrity".to_owned(), Value::from(pin.integrity.as_str()));
        if pin.install_script {
            // Without it `npm rebuild` does not look for scripts.
            entry.insert("hasInstallScript".to_owned(), Value::Bool(true));
        }
        if let Some(inside) = needs.remove(place.as_slice()) {
            entry.insert("dependencies".to_owned(), Value::Object(inside));
        }
        packages.insert(path_of(place), Value::Object(entry));
    }
    let package = json!({"name": PROJECT, "private": true, "dependencies": top});
    let lock =
        json!({"name": PROJECT, "lockfileVersion": 3, "requires": true, "packages": packages});
    (package.to_string(), lock.to_string())
}

/// Name of the project that `npm` works for; it shows nowhere.
pub(crate) const PROJECT: &str = "mcplambda";
