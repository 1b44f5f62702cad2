//! The package.json and the lock file of a server's own folder in, the packages that it needs on the function out. Pure: the files are
//! those of a folder that was read.
//!
//! `npm-shrinkwrap.json` counts before `package-lock.json`, as npm has it. What only development needs is neither looked at nor installed.
//! Refuses dependencies without a lock file, a lock file that does not fit package.json, that is incomplete or too old, and packages that
//! do not come from a registry.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::entry::Entry;
use super::lock::NpmLock;
use super::packages::{NpmPackages, script_of_nothing};
use super::runtime::{Admission, NodeRuntime};
use super::spec::NpmSpec;
use super::tree::{PackageLock, Problem};
use crate::package::error::Attribute;
use crate::package::folder::Folder;
use crate::package::{Architecture, Notice, PackageError, digest};

const MANIFEST: &str = "package.json";
/// In npm's order.
const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// Lock files of others, which say nothing to npm.
const OTHER_LOCKS: [&str; 4] = ["yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"];

const LOCK_ANEW: &str = "Run `npm install --package-lock-only` in the folder";

/// What a folder needs, and exactly which releases of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodePackages {
    pub(crate) npm: NpmPackages,
    /// What the lock file says for the function's platform.
    pub(crate) lock: NpmLock,
    /// What it says against what is installed.
    pub(crate) notices: Vec<Notice>,
}

/// For what, and by whose word, a folder's packages are installed.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) node: NodeRuntime,
    pub(crate) architecture: Architecture,
    pub(crate) allow_scripts: Option<Vec<String>>,
    /// Where the folder is; `None` when there is none.
    pub(crate) folder: Option<PathBuf>,
}

/// Reads what `folder` asks for: its packages, if any, and SHA-256 over the files that say so, empty when there are none.
///
/// # Errors
///
/// [`PackageError::Invalid`] at `source_dir`, `runtime` or `allow_scripts`.
pub(crate) fn declared(
    folder: &Folder,
    terms: Terms,
) -> Result<(Option<NodePackages>, String), PackageError> {
    let manifest = folder.text(MANIFEST)?;
    let lock_name = LOCKS
        .into_iter()
        .find(|name| folder.files.contains_key(*name));
    let Some(manifest) = manifest else {
        if let Some(name) = lock_name {
            return Err(PackageError::in_source_dir(format!(
                "it holds `{name}` without the `{MANIFEST}` that belongs to it; add that, or leave the lock out with `source_excludes`"
            )));
        }
        return nothing(&terms);
    };
    let root = read_manifest(&manifest)?;
    fits_runtime(&root, terms.node)?;
    if root.needs().next().is_none() {
        return nothing(&terms);
    }
    let Some(lock_name) = lock_name else {
        return Err(no_lock(folder));
    };
    let text = folder.text(lock_name)?.unwrap_or_default();
    let tree = PackageLock::kept(&text, root).map_err(|error| {
        PackageError::in_source_dir(format!("`{lock_name}` in it cannot be read: {error}"))
    })?;
    let Some(tree) = tree else {
        return Err(PackageError::in_source_dir(format!(
            "`{lock_name}` in it is one of npm 6 (lockfileVersion 1), which does not say what is for which platform. {LOCK_ANEW} with npm 7 or \
             newer"
        )));
    };
    let named = fitting(&tree, lock_name)?;
    let lock = match tree.pins(terms.architecture, &BTreeSet::new()) {
        Ok(lock) => lock,
        // All that is asked for is optional, and for other platforms.
        Err(Problem::Empty) => return nothing(&terms),
        Err(problem) => return Err(refused(problem, lock_name, &terms)),
    };
    let mut hash = Sha256::new();
    for part in [MANIFEST, &manifest, lock_name, &text] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let npm = NpmPackages {
        // Optional ones are rightly missing on some platforms.
        named: named
            .into_iter()
            .filter(|spec| lock.top(&spec.name).is_some())
            .collect(),
        node: terms.node,
        architecture: terms.architecture,
        registry_options: Vec::new(),
        allow_scripts: terms.allow_scripts,
        folder: terms.folder,
    };
    let fingerprint = digest::hex(&hash.finalize());
    let notices = npm.deprecated(tree.deprecated(&lock));
    let packages = NodePackages { npm, lock, notices };
    Ok((Some(packages), fingerprint))
}

fn nothing(terms: &Terms) -> Result<(Option<NodePackages>, String), PackageError> {
    match terms.allow_scripts.as_deref() {
        Some([first, ..]) => Err(script_of_nothing(0, first)),
        _ => Ok((None, String::new())),
    }
}

fn read_manifest(text: &str) -> Result<Entry, PackageError> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        PackageError::in_source_dir(format!("`{MANIFEST}` in it cannot be read: {error}"))
    })
}

fn fits_runtime(root: &Entry, node: NodeRuntime) -> Result<(), PackageError> {
    let engines = root.node_engines().unwrap_or_default();
    if node.admission(&engines) != Admission::TooOld {
        return Ok(());
    }
    let next_step = match NodeRuntime::for_engines(&engines) {
        Some(fitting) => format!("set runtime = \"{}\"", fitting.name()),
        None => "Lambda has no such runtime".to_owned(),
    };
    Err(PackageError::Invalid {
        attribute: Attribute::whole("runtime"),
        reason: format!(
            "`{MANIFEST}` in `source_dir` asks for Node {engines} (`engines`), but the function runs {}; {next_step}",
            node.name()
        ),
    })
}

fn no_lock(folder: &Folder) -> PackageError {
    let mut others = OTHER_LOCKS.iter();
    let other = others.find(|name| folder.files.contains_key(**name));
    let aside = other.map_or_else(String::new, |name| format!(" (`{name}` is not read here)"));
    PackageError::in_source_dir(format!(
        "`{MANIFEST}` in it asks for packages, and no `package-lock.json` says which{aside}. {LOCK_ANEW}, and keep what it writes with the code"
    ))
}

/// What package.json asks for by name, which the lock file has; the check that `npm ci` makes.
fn fitting(tree: &PackageLock, lock_name: &str) -> Result<Vec<NpmSpec>, PackageError> {
    let misfit = |what: String| {
        PackageError::in_source_dir(format!(
            "`{lock_name}` in it does not fit `{MANIFEST}`: {what}. {LOCK_ANEW}"
        ))
    };
    let mut named = Vec::new();
    for need in tree.root().into_iter().flat_map(Entry::needs) {
        let (name, wanted) = (need.name, need.wanted);
        match tree.top(name) {
            None if need.required => {
                return Err(misfit(format!(
                    "that asks for `{name}` as `{wanted}`, and the lock has none"
                )));
            }
            None => continue,
            Some(entry) if entry.satisfies(name, wanted) => {}
            Some(entry) => {
                return Err(misfit(format!(
                    "that asks for `{name}` as `{wanted}`, and the lock has {}{}",
                    match &entry.name {
                        Some(real) => format!("`{real}` "),
                        None => String::new(),
                    },
                    entry.version.as_deref().unwrap_or("none")
                )));
            }
        }
        named.push(NpmSpec {
            name: name.to_owned(),
            wanted: wanted.to_owned(),
            attribute: Attribute::whole("source_dir"),
        });
    }
    Ok(named)
}

fn refused(problem: Problem, lock_name: &str, terms: &Terms) -> PackageError {
    PackageError::in_source_dir(match problem {
        Problem::Misplaced { path } => {
            format!("`{lock_name}` in it has `{path}`, which lies in no `node_modules`")
        }
        Problem::Elsewhere {
            package,
            needed_by,
            from,
        } => format!(
            "`{package}`{needed_by} in `{lock_name}` comes from {from}, not from an npm registry, so no hash says which bytes run. Use a release that \
             is published, or put its files into the folder and require them by their path"
        ),
        Problem::Hash { package, found } => format!(
            "`{lock_name}` in it has no SHA-512 of `{package}` (only: {found}), so its bytes are not locked. Remove `node_modules` and the lock file, and \
             run `npm install --package-lock-only` in the folder"
        ),
        Problem::Missing {
            package,
            wanted,
            needed_by,
        } => format!(
            "`{lock_name}` in it is not complete: `{package}` as `{wanted}`{needed_by} is not there. {LOCK_ANEW}"
        ),
        Problem::Platform { package, needed_by } => format!(
            "`{package}`{needed_by} in `{lock_name}` does not run on {} for {}, as it says itself. Do without it, or make it an optional dependency",
            terms.node.name(),
            terms.architecture
        ),
        Problem::Empty => format!("`{lock_name}` in it has no packages"),
    })
}
