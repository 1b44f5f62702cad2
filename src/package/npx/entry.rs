//! One package as npm describes it, in a lock file or in its package.json: what it asks for, and where it runs.
//!
//! Source: npm documentation, "package.json" and "package-lock.json", whose fields are called the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::spec;

/// A package in a lock file, or a package.json, whose fields are called the same.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) resolved: Option<String>,
    pub(crate) integrity: Option<String>,
    pub(crate) link: bool,
    /// Only optional dependencies lead to it.
    pub(crate) optional: bool,
    pub(crate) in_bundle: bool,
    pub(crate) has_install_script: bool,
    /// What its authors say against it.
    pub(crate) deprecated: Value,
    pub(crate) os: Words,
    pub(crate) cpu: Words,
    pub(crate) libc: Words,
    engines: Value,
    pub(crate) bin: Value,
    pub(crate) dependencies: BTreeMap<String, String>,
    pub(crate) optional_dependencies: BTreeMap<String, String>,
    pub(crate) peer_dependencies: BTreeMap<String, String>,
}

/// One package that another asks for.
pub(crate) struct Need<'a> {
    pub(crate) name: &'a str,
    pub(crate) wanted: &'a str,
    /// Nothing works without it.
    pub(crate) required: bool,
}

impl Entry {
    /// What it asks for.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        let optional = &self.optional_dependencies;
        // What is optional may stand among the dependencies, too.
        let needed = self
            .dependencies
            .iter()
            .map(|need| (need, !optional.contains_key(need.0)));
        // npm leaves peers out where it is told to (`legacy-peer-deps`).
        let others = optional.iter().chain(&self.peer_dependencies);
        let all = needed.chain(others.map(|need| (need, false)));
        all.map(|((name, wanted), required)| Need {
            name,
            wanted,
            required,
        })
    }

    /// `engines.node` where it says something that a lock can hold.
    pub(crate) fn node_engines(&self) -> Option<String> {
        let range = self.engines.get("node")?.as_str()?.trim();
        let plain = !range.is_empty() && !range.contains(['"', '\n', '\r']);
        plain.then(|| range.to_owned())
    }

    /// Whether it is what a package.json asks for as `wanted` under `name`.
    pub(crate) fn satisfies(&self, name: &str, wanted: &str) -> bool {
        let (real, range) = match wanted.strip_prefix("npm:") {
            Some(alias) => split_alias(alias),
            None => (name, wanted),
        };
        let version = self.version.as_deref().unwrap_or_default();
        self.name.as_deref().unwrap_or(name) == real && spec::admits(range, version)
    }
}

/// Name and range of `@scope/name@range`.
fn split_alias(alias: &str) -> (&str, &str) {
    let at = alias.char_indices().skip(1).find(|(_, c)| *c == '@');
    at.map_or((alias, "*"), |(at, _)| (&alias[..at], &alias[at + 1..]))
}

/// A word or a list of them; both are found in packages.
#[derive(Debug, Deserialize, Default)]
#[serde(untagged)]
pub(crate) enum Words {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Words {
    /// npm's rule: any of the words that stand alone, none of those with a `!`.
    pub(crate) fn admit(&self, wanted: &str) -> bool {
        let words: Vec<&str> = match self {
            Self::None => return true,
            Self::One(word) => vec![word],
            Self::Many(words) => words.iter().map(String::as_str).collect(),
        };
        let refused = words
            .iter()
            .filter_map(|word| word.strip_prefix('!'))
            .any(|word| word == wanted);
        let mut plain = words
            .iter()
            .filter(|word| !word.starts_with('!'))
            .peekable();
        let any = plain.peek().is_none() || plain.any(|word| *word == wanted || *word == "any");
        any && !refused
    }
}

/// Whether a dependency is asked for from somewhere else than a registry. Neither ranges nor tags hold these characters.
pub(crate) fn is_elsewhere(wanted: &str) -> bool {
    !wanted.starts_with("npm:") && wanted.contains([':', '/'])
}

pub(crate) const FOLDER: &str = "a folder";

/// Where `wanted`, or what it was resolved to, leads.
pub(crate) fn origin(wanted: &str) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| wanted.starts_with(word));
    if begins(&["file:", "link:", "workspace:", ".", "/", "~"]) {
        "a file or folder"
    } else if begins(&["http"]) && !wanted.ends_with(".git") {
        "a URL"
    } else {
        // `user/repository` is one on GitHub.
        "a git repository"
    }
}
