//! Files of a staged tree that no Node server reads are taken out: fewer bytes to send, and to load at a cold start.
//!
//! The rules are conservative. Gone are: type declarations beside the code that they describe, source maps, programs and
//! libraries for Windows and macOS, and directories of tests at the top of a package, unless its package.json leads there. Licences,
//! documents and everything else stay: servers read the strangest files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::lock::NpmLock;
use super::stage::Stage;

/// Packages that read type declarations while they run.
const READ_DECLARATIONS: [&str; 3] = ["typescript", "ts-node", "ts-morph"];

/// Directories at the top of a package that only its authors use.
const AUTHORS_ONLY: [&str; 6] = [
    "test",
    "tests",
    "__tests__",
    ".github",
    ".nyc_output",
    "coverage",
];

/// See the module's documentation.
pub(crate) fn prune(stage: &mut Stage, lock: &NpmLock) {
    let keeps_declarations = lock
        .pins()
        .keys()
        .filter_map(|place| place.last())
        .any(|name| READ_DECLARATIONS.contains(&name.as_str()));
    let mut manifests: BTreeMap<String, Value> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for file in stage.files.keys() {
        let Some((package, _)) = stage.package_of(file) else {
            continue;
        };
        let inner = &file[package.len() + 1..];
        let useless = is_map(inner)
            || (!keeps_declarations && is_declaration(file, package, stage))
            || is_for_another_system(inner)
            || match inner.split_once('/') {
                Some((top, _)) if AUTHORS_ONLY.contains(&top) => {
                    let manifest = manifests
                        .entry(package.to_owned())
                        .or_insert_with(|| stage.manifest(package).unwrap_or_default());
                    !leads_into(manifest, top)
                }
                _ => false,
            };
        if useless {
            gone.insert(file.clone());
        }
    }
    stage.files.retain(|file, _| !gone.contains(file));
}

/// A map from compiled code to its source, which only debuggers and `--enable-source-maps` read.
fn is_map(file: &str) -> bool {
    [
        ".js.map", ".mjs.map", ".cjs.map", ".ts.map", ".mts.map", ".cts.map", ".css.map",
    ]
    .iter()
    .any(|suffix| file.ends_with(suffix))
}

/// Whether it declares the types of a file beside it, or belongs to a package of nothing but types.
fn is_declaration(file: &str, package: &str, stage: &Stage) -> bool {
    let stem = [".d.ts", ".d.mts", ".d.cts"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix));
    stem.is_some_and(|stem| {
        package.contains("/@types/")
            || ["js", "mjs", "cjs"]
                .iter()
                .any(|code| stage.files.contains_key(&format!("{stem}.{code}")))
    })
}

fn is_for_another_system(file: &str) -> bool {
    [".exe", ".dll", ".dylib", ".pdb"]
        .iter()
        .any(|suffix| file.ends_with(suffix))
}

/// Whether some entry point of the package lies in its directory `top`.
fn leads_into(manifest: &Value, top: &str) -> bool {
    let entries = [
        "main",
        "module",
        "bin",
        "browser",
        "exports",
        "imports",
        "directories",
    ];
    entries.iter().any(|entry| names(&manifest[*entry], top))
}

fn names(value: &Value, top: &str) -> bool {
    match value {
        Value::String(path) => {
            let path = path.trim_start_matches("./");
            // `./*` leads everywhere.
            path.split('/').next() == Some(top) || path.starts_with('*')
        }
        Value::Array(values) => values.iter().any(|value| names(value, top)),
        Value::Object(map) => map.values().any(|value| names(value, top)),
        _ => false,
    }
}
