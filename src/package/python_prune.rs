//! Files of installed distributions that no server reads: which of them to take out.
//!
//! The rules are conservative. Gone are type stubs beside the module that they describe, unless something installed reads stubs while it
//! runs, and `tests` packages inside of others, unless anything outside of tests names them. A distribution keeps what it consists of, and
//! everything else stays: `importlib.metadata` finds all that it does elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::PackageError;
use super::stage::Content;

/// Distributions that read stubs while they run, or make others do so.
const READ_STUBS: [&str; 7] = [
    "basedpyright",
    "jedi",
    "lazy-loader",
    "mypy",
    "pyright",
    "pytype",
    "typeshed-client",
];

const TESTS: &str = "tests";

/// Paths of `files` that may go; `claims` says which distribution brings what.
pub(crate) fn useless(
    files: &BTreeMap<String, Content>,
    claims: &BTreeMap<String, BTreeSet<String>>,
) -> Result<BTreeSet<String>, PackageError> {
    let mut gone = BTreeSet::new();
    let reads_stubs = |name: &String| READ_STUBS.contains(&name.as_str());
    if !claims.keys().any(reads_stubs) {
        let stubs = files.keys().filter(|path| is_stub(path, files));
        gone.extend(stubs.cloned());
    }
    let mut suites: BTreeSet<&str> = files.keys().filter_map(|path| suite(path, files)).collect();
    for (path, content) in files {
        if suites.is_empty() {
            break;
        }
        if is_source(path) && suite(path, files).is_none() {
            let text = content.read()?;
            let text = String::from_utf8_lossy(&text);
            suites.retain(|suite| !names(path, &text, suite));
        }
    }
    let in_suite = |path: &String| suite(path, files).is_some_and(|suite| suites.contains(suite));
    gone.extend(files.keys().filter(|path| in_suite(path)).cloned());
    for claimed in claims.values() {
        let mut modules = claimed
            .iter()
            .filter(|path| is_module(path) && files.contains_key(*path));
        if modules.all(|path| gone.contains(path)) {
            gone.retain(|path| !claimed.contains(path));
        }
    }
    Ok(gone)
}

/// Whether it describes a module beside it.
fn is_stub(path: &str, files: &BTreeMap<String, Content>) -> bool {
    let Some(stem) = path.strip_suffix(".pyi") else {
        return false;
    };
    let library = format!("{stem}.");
    files.contains_key(&format!("{stem}.py"))
        || files
            .range(library.clone()..)
            .take_while(|(other, _)| other.starts_with(&library))
            .any(|(other, _)| other.ends_with(".so"))
}

/// The outermost `tests` directory that holds `path`, inside of an import package.
fn suite<'p>(path: &'p str, files: &BTreeMap<String, Content>) -> Option<&'p str> {
    let inside = format!("/{TESTS}/");
    path.match_indices(&inside)
        .map(|(at, _)| &path[..at + inside.len() - 1])
        .find(|suite| {
            let package = parent(suite);
            files.contains_key(&format!("{package}/__init__.py"))
        })
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What may name a module: code, and what the distributions' metadata lets others load.
fn is_source(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".dist-info/entry_points.txt")
}

fn is_module(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".so")
}

/// Whether the file at `path` may lead into `suite`: it has its dotted name, or it is of the same package and imports something called
/// `tests`, or it lies beside it and has the word at all.
fn names(path: &str, text: &str, suite: &str) -> bool {
    if !text.contains(TESTS) {
        return false;
    }
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    text.contains(&suite.replace('/', "."))
        || (parent(path) == parent(suite) && has_word(text))
        || (top(path) == top(suite)
            && text.lines().any(|line| {
                let line = line.trim_start();
                (line.starts_with("import ") || line.starts_with("from ")) && has_word(line)
            }))
}

fn has_word(text: &str) -> bool {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
        .any(|word| word == TESTS)
}
