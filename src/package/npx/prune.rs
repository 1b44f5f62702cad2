//! Files of a staged tree that no Node server reads are taken out: fewer bytes to send, and to load at a cold start.
//!
//! The rules are conservative. Gone are everywhere: type declarations beside the code that they describe, source maps, programs and
//! libraries for Windows and macOS, and directories of tests at the top of a package, unless its package.json leads there. In packages that the
//! server depends on, further: TypeScript, which Node refuses to run below `node_modules`, unless something is installed that compiles or reads
//! it, and unless it lies among templates; and, where a package has its licence in a file of its own, what its authors say to people at its
//! top (README, CHANGELOG and the like). The server's own package and those of its scope keep both: servers read the strangest files.
//!
//! Source: Node's documentation, "Modules: TypeScript" (`ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::lock::NpmLock;
use super::packages::NpmPackages;
use super::stage::Stage;

/// Packages that read type declarations while they run.
const READ_DECLARATIONS: [&str; 3] = ["typescript", "ts-node", "ts-morph"];

/// Packages that compile, bundle or read TypeScript, whoever brought it. A `/` at the end means all of the scope, a `-` all that begin so.
const READ_TYPESCRIPT: [&str; 48] = [
    "@ast-grep/",
    "@babel/core",
    "@esbuild/",
    "@esbuild-kit/",
    "@oxc-node/",
    "@oxc-parser/",
    "@oxc-transform/",
    "@parcel/",
    "@rolldown/",
    "@rspack/",
    "@swc/",
    "@swc-node/",
    "@ts-morph/",
    "@typescript/",
    "@typescript-eslint/",
    "@vercel/nft",
    "amaro",
    "assemblyscript",
    "bun",
    "deno",
    "esbuild",
    "esbuild-",
    "esbuild-wasm",
    "esm.sh",
    "jiti",
    "metro",
    "oxc-",
    "parcel",
    "quicktype-core",
    "rolldown",
    "rollup",
    "sucrase",
    "swc-",
    "ts-blank-space",
    "ts-loader",
    "ts-morph",
    "ts-node",
    "ts-node-dev",
    "ts-patch",
    "tsdown",
    "tsimp",
    "tsm",
    "tsup",
    "tsx",
    "typedoc",
    "typescript",
    "vite",
    "webpack",
];

/// Words in the names of folders whose TypeScript is written out rather than run.
const WRITTEN_OUT: [&str; 12] = [
    "asset",
    "blueprint",
    "boilerplate",
    "example",
    "fixture",
    "generator",
    "scaffold",
    "schematic",
    "skeleton",
    "snippet",
    "starter",
    "template",
];

/// Beginnings of the names of texts for people. Others, such as prompts, may be for the program.
const FOR_PEOPLE: [&str; 14] = [
    "readme",
    "changelog",
    "changes",
    "history",
    "releases",
    "release-notes",
    "contributing",
    "contributors",
    "code_of_conduct",
    "security",
    "migrating",
    "migration",
    "upgrading",
    "porting",
];

/// Beginnings of the names of files that are passed on with a package besides its licence.
const LEGAL: [&str; 5] = ["notice", "copyright", "third", "patents", "authors"];

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
pub(crate) fn prune(stage: &mut Stage, npm: &NpmPackages, lock: &NpmLock) {
    let installed = installed(stage, lock);
    let reads = |known: &[&str]| installed.iter().any(|name| is_among(name, known));
    let (keeps_declarations, keeps_typescript) =
        (reads(&READ_DECLARATIONS), reads(&READ_TYPESCRIPT));
    let own = Own::of(stage, npm);
    let licensed: BTreeSet<String> = stage
        .files
        .keys()
        .filter_map(|file| {
            let (package, _) = stage.package_of(file)?;
            is_licence(&file[package.len() + 1..]).then(|| package.to_owned())
        })
        .collect();
    let mut manifests: BTreeMap<String, Value> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for file in stage.files.keys() {
        let Some((package, place)) = stage.package_of(file) else {
            continue;
        };
        let inner = &file[package.len() + 1..];
        let depended_on = !own.holds(place.last().map_or("", String::as_str));
        let useless = is_map(inner)
            || (!keeps_declarations && is_declaration(file, package, stage))
            || is_for_another_system(inner)
            || (depended_on && !keeps_typescript && is_typescript(inner))
            || (depended_on && licensed.contains(package) && is_for_people(inner))
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

/// The server's own packages.
struct Own {
    names: BTreeSet<String>,
    /// With the `/`.
    scopes: BTreeSet<String>,
}

impl Own {
    /// What the configuration names. What a folder's package.json names are dependencies, but for those that offer a program: the folder may do
    /// no more than start it.
    fn of(stage: &Stage, npm: &NpmPackages) -> Self {
        let named = npm.named.iter().map(|spec| spec.name.clone());
        let names: BTreeSet<String> = match npm.folder {
            None => named.collect(),
            Some(_) => {
                let bins = stage.bins().unwrap_or_default();
                let starts = |name: &String| bins.get(name).is_none_or(|bins| !bins.is_empty());
                named.filter(starts).collect()
            }
        };
        let scopes = names
            .iter()
            .filter_map(|name| Some(format!("{}/", name.split_once('/')?.0)))
            .collect();
        Self { names, scopes }
    }

    fn holds(&self, package: &str) -> bool {
        let scope = package.find('/').map(|slash| &package[..=slash]);
        self.names.contains(package) || scope.is_some_and(|scope| self.scopes.contains(scope))
    }
}

/// Names of all packages there are, by which they lie there and by which a registry knows them; those that a tarball brought along too.
fn installed(stage: &Stage, lock: &NpmLock) -> BTreeSet<String> {
    let known = lock.pins().values().filter_map(|pin| pin.alias_of.clone());
    let lying = stage.files.keys().filter_map(|file| {
        let (_, inner) = file.rsplit_once("node_modules/")?;
        let name = inner.strip_suffix("/package.json")?;
        let plain = name.split('/').count() == 1 + usize::from(name.starts_with('@'));
        plain.then(|| name.to_owned())
    });
    lying.chain(known).collect()
}

fn is_among(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| match known.ends_with(['/', '-']) {
        true => name.starts_with(known),
        false => name == *known,
    })
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

/// Sources and declarations, but for those that lie where a program takes what it writes.
fn is_typescript(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    let typescript = [".ts", ".mts", ".cts"]
        .iter()
        .any(|suffix| file.ends_with(suffix));
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let written_out = WRITTEN_OUT.iter().any(|word| folders.contains(word));
    typescript && !written_out && !name.contains("template")
}

/// At the top of a package, for people alone.
fn is_for_people(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    if lower.contains('/') || is_legal(file) {
        return false;
    }
    let extension = lower
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    ["", "md", "markdown", "txt", "rst"].contains(&extension)
        && FOR_PEOPLE.iter().any(|start| lower.starts_with(start))
}

/// At the top of a package, under what terms it may be used.
fn is_licence(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    // `mit-license`, `unlicense`.
    !lower.contains('/') && (lower.contains("licen") || lower.starts_with("copying"))
}

fn is_legal(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    is_licence(file) || LEGAL.iter().any(|start| lower.starts_with(start))
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
