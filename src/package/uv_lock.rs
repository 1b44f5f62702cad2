//! `uv.lock` and the project that it belongs to in, whether anything is installed from it out. Pure.
//!
//! Refuses a lock that was made for other dependencies than the project has now, saying which differ. What cannot be compared for sure
//! (pre-releases, URLs, markers) is left to its owner.
//!
//! Source: uv documentation, "Locking and syncing"; the lock keeps what it was made for as `requires-dist` of the project itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::PackageError;
use super::requirement::normalise;

/// The part of `uv.lock` that is needed here.
#[derive(Deserialize)]
pub(crate) struct UvLock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    source: toml::Table,
    #[serde(default)]
    dependencies: Vec<toml::Value>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Metadata {
    requires_dist: Vec<Required>,
}

#[derive(Deserialize)]
struct Required {
    name: String,
    #[serde(default)]
    specifier: String,
    #[serde(default)]
    marker: String,
    /// `git`, `url`, `editable`: from elsewhere than an index.
    #[serde(flatten)]
    other: toml::Table,
}

/// Version clauses of one package, each as it stands there; `None` for a requirement that cannot be compared.
type Bounds = Option<BTreeSet<String>>;

impl UvLock {
    /// Whether it locks something besides the project itself.
    pub(crate) fn installs(&self) -> bool {
        self.package.iter().any(|package| {
            !["virtual", "editable"]
                .iter()
                .any(|kind| package.source.contains_key(*kind))
        })
    }

    /// Whether it was made for a project of this name with these dependencies.
    ///
    /// # Errors
    ///
    /// [`PackageError::Invalid`] at `source_dir`, naming the first that differs.
    pub(crate) fn check(&self, project: &str, dependencies: &[String]) -> Result<(), PackageError> {
        let here = |package: &&Package| {
            let place = |kind: &str| package.source.get(kind).and_then(toml::Value::as_str);
            package.name == normalise(project)
                && (place("virtual") == Some(".") || place("editable") == Some("."))
        };
        let Some(package) = self.package.iter().find(here) else {
            return Ok(());
        };
        let locked = match &package.metadata {
            Some(metadata) => metadata.requires_dist.as_slice(),
            // Written by a release of uv that did not keep it.
            None if !package.dependencies.is_empty() => return Ok(()),
            None => &[],
        };
        let mut made_for: BTreeMap<String, BTreeSet<Bounds>> = BTreeMap::new();
        for required in locked.iter().filter(|required| !required.is_extra()) {
            let bounds = made_for.entry(normalise(&required.name)).or_default();
            bounds.insert(required.bounds());
        }
        let mut asks_for: BTreeMap<String, BTreeSet<Bounds>> = BTreeMap::new();
        for text in dependencies {
            let (name, wanted) = split(text);
            asks_for
                .entry(normalise(name))
                .or_default()
                .insert(bounds(wanted));
        }
        let stale = |what: String| {
            PackageError::in_source_dir(format!(
                "`uv.lock` in it does not fit `pyproject.toml`: {what}. Run `uv lock` in the folder"
            ))
        };
        for (name, wanted) in &asks_for {
            let Some(had) = made_for.get(name) else {
                return Err(stale(format!(
                    "that asks for `{}`, which the lock was not made for",
                    shown(name, wanted)
                )));
            };
            let comparable = !wanted.contains(&None) && !had.contains(&None);
            if comparable && wanted != had {
                return Err(stale(format!(
                    "that asks for `{}`, and the lock was made for `{}`",
                    shown(name, wanted),
                    shown(name, had)
                )));
            }
        }
        match made_for.keys().find(|name| !asks_for.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(stale(format!(
                "the lock was made for `{name}`, which that does not ask for"
            ))),
        }
    }
}

impl Required {
    fn is_extra(&self) -> bool {
        self.marker.contains("extra ==")
    }

    fn bounds(&self) -> Bounds {
        let elsewhere = ["git", "url", "path", "directory", "editable", "virtual"];
        match elsewhere.iter().any(|kind| self.other.contains_key(*kind)) {
            true => None,
            false => bounds(&self.specifier),
        }
    }
}

/// Name and version specifiers of `name[extra] >=1 ; marker`.
fn split(text: &str) -> (&str, &str) {
    let text = text.split(';').next().unwrap_or(text).trim();
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = match rest.starts_with('[') {
        true => rest.split_once(']').map_or("", |(_, rest)| rest),
        false => rest,
    };
    (name, rest)
}

/// `>=1,<2` as a set of clauses.
fn bounds(specifiers: &str) -> Bounds {
    let plain = |clause: &str| {
        let version = clause.trim_start_matches(['<', '>', '=', '~', '!']);
        version.len() < clause.len()
            && version
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '.' | '*'))
    };
    let text: String = specifiers
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let clauses = text.split(',').filter(|clause| !clause.is_empty());
    clauses
        .map(|clause| plain(clause).then(|| clause.to_owned()))
        .collect()
}

/// `name>=1,<2`, with `or` between several.
fn shown(name: &str, all: &BTreeSet<Bounds>) -> String {
    let one = |bounds: &Bounds| {
        let clauses = bounds.iter().flatten().cloned();
        format!("{name}{}", clauses.collect::<Vec<_>>().join(","))
    };
    all.iter().map(one).collect::<Vec<_>>().join("` or `")
}
