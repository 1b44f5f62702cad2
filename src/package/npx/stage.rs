//! A directory into which `npm` installed in, or the files of tarballs; the files that belong into the zip out, each with the package that
//! brought it.
//!
//! Left out: the installer's notes and the links to programs (`node_modules/.bin`). Refuses a tree that is not the lock's, symbolic
//! links and names that are not UTF-8.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::bin::Bins;
use super::lock::{NpmLock, Place};
use super::tree::path_of;
use crate::package::stage::{Content, walk};
use crate::package::{PackageError, Tool};

/// The files of the package by their path in the zip, with `/` between names.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) files: BTreeMap<String, Content>,
    /// Paths of the packages, without a `/` at the end, and their places.
    packages: BTreeMap<String, Place>,
}

impl Stage {
    /// Reads what was installed into `project`.
    pub(crate) fn read(project: &Path, lock: &NpmLock) -> Result<Self, PackageError> {
        let packages = packages(lock);
        for holder in packages.keys().map(String::as_str).chain([""]) {
            let links = project.join(holder).join("node_modules/.bin");
            if let Err(source) = std::fs::remove_dir_all(&links)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(PackageError::Io {
                    action: "remove",
                    path: links,
                    source,
                });
            }
        }
        let files = walk(&project.join("node_modules"))?
            .into_iter()
            .filter(|(path, _)| path != ".package-lock.json")
            .map(|(path, file)| (format!("node_modules/{path}"), Content::File(file)))
            .collect();
        let stage = Self { files, packages };
        stage.check(lock)?;
        Ok(stage)
    }

    /// A stage for the packages of `lock`, which holds no file yet.
    pub(crate) fn empty(lock: &NpmLock) -> Self {
        Self {
            files: BTreeMap::new(),
            packages: packages(lock),
        }
    }

    /// Adds the files of the package at `package`, by their path in it.
    ///
    /// # Errors
    ///
    /// A file that lies where another package of the lock belongs: which of the two counts is for npm to say.
    pub(crate) fn add(
        &mut self,
        package: &str,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<(), String> {
        for (inner, bytes) in files {
            if inner.starts_with("node_modules/.bin/") {
                continue;
            }
            let file = format!("{package}/{inner}");
            match self.package_of(&file) {
                Some((owner, _)) if owner == package => {}
                _ => return Err(format!("it brings `{inner}`, the place of another package")),
            }
            self.files.insert(file, Content::Bytes(bytes));
        }
        Ok(())
    }

    /// The path of the package that brought `file`, which may be bundled in its tarball.
    pub(crate) fn package_of(&self, file: &str) -> Option<(&str, &Place)> {
        let mut end = file.len();
        while let Some(slash) = file[..end].rfind('/') {
            if let Some((path, place)) = self.packages.get_key_value(&file[..slash]) {
                return Some((path, place));
            }
            end = slash;
        }
        None
    }

    /// What lies there is what the lock names. That each is the locked one, its hash has shown.
    pub(crate) fn check(&self, lock: &NpmLock) -> Result<(), PackageError> {
        let missing: Vec<String> = self
            .packages
            .iter()
            .filter(|(path, _)| !self.files.contains_key(&format!("{path}/package.json")))
            .map(|(_, place)| lock.described(place))
            .collect();
        let foreign: Vec<&str> = self
            .files
            .keys()
            .filter(|file| self.package_of(file).is_none())
            .map(String::as_str)
            .take(5)
            .collect();
        if missing.is_empty() && foreign.is_empty() {
            return Ok(());
        }
        Err(PackageError::ToolFailed {
            tool: Tool::Npm,
            action: "install exactly the locked packages",
            output: format!(
                "  missing: {}; not locked: {}",
                missing.join(", "),
                foreign.join(", ")
            ),
        })
    }

    /// The `package.json` of the package at `path`.
    pub(crate) fn manifest(&self, path: &str) -> Result<Value, PackageError> {
        let name = format!("{path}/package.json");
        let Some(content) = self.files.get(&name) else {
            return Ok(Value::Null);
        };
        let bytes = content.read()?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        serde_json::from_slice(text).map_err(|error| PackageError::Unpackageable {
            path: name,
            reason: format!("it is not JSON: {error}"),
        })
    }

    /// What the packages at the top offer to start, by name.
    pub(crate) fn bins(&self) -> Result<BTreeMap<String, Bins>, PackageError> {
        let mut bins = BTreeMap::new();
        for (path, place) in &self.packages {
            let [name] = place.as_slice() else {
                continue;
            };
            let manifest = self.manifest(path)?;
            let version = manifest["version"].as_str().unwrap_or_default();
            // An alias offers what the package behind it is called.
            let own_name = manifest["name"].as_str().unwrap_or(name);
            bins.insert(
                name.clone(),
                Bins::read(own_name, version, &manifest["bin"]),
            );
        }
        Ok(bins)
    }

    /// Bytes of each package's files, by `name@version`.
    pub(crate) fn sizes(&self, lock: &NpmLock) -> Result<BTreeMap<String, u64>, PackageError> {
        let mut sizes = BTreeMap::new();
        for (file, content) in &self.files {
            if let Some((_, place)) = self.package_of(file) {
                *sizes.entry(lock.described(place)).or_default() += content.size()?;
            }
        }
        Ok(sizes)
    }
}

/// Paths and places of the packages in `lock`.
fn packages(lock: &NpmLock) -> BTreeMap<String, Place> {
    let places = lock.pins().keys();
    places
        .map(|place| (path_of(place), place.clone()))
        .collect()
}
