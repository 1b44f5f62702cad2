//! ARCHITECTURE.md's invariants, read off the source text: who may know whom, who may print, how files begin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, each with the rooms and crates outside the standard library and the shared helpers that it may name.
const ROOMS: [(&str, &[&str]); 6] = [
    ("plugin", &[]),
    ("package", &[]),
    ("deploy", &["aws_*", "mcplambda_bridge"]),
    ("agentcore", &["aws_*"]),
    (
        "provider",
        &[
            "aws_*",
            "mcplambda_bridge",
            "plugin",
            "package",
            "deploy",
            "agentcore",
            "version",
        ],
    ),
    ("version", &["package"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, sorted; at least one.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .expect("a readable folder")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no Rust files in {folder}");
    files
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code of a file without its comment lines, in one line.
fn code(path: &Path) -> String {
    let text = text(path);
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .collect::<Vec<_>>()
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn identifier(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The first names of the paths that follow `prefix`: `crate::a::B` and `crate::{a::B, c}` give `a`, `a` and `c`.
fn names_after<'t>(code: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(identifier(rest));
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                character if fresh && depth == 0 && !character.is_whitespace() => {
                    names.insert(identifier(&group[index..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// Rooms and watched crates that a file of `src/` names.
fn known_to(path: &Path) -> BTreeSet<String> {
    let code = code(path);
    let rooms = || ROOMS.iter().map(|(room, _)| *room);
    // As many `super`s as the file lies deep lead to the crate root.
    let below = path
        .strip_prefix(root().join("src"))
        .expect("a file of src/");
    let depth = below.components().count() - usize::from(path.ends_with("mod.rs"));
    let mut known: BTreeSet<String> = [
        names_after(&code, "crate::"),
        names_after(&code, &"super::".repeat(depth)),
    ]
    .into_iter()
    .flatten()
    .filter(|name| rooms().any(|room| room == *name))
    .map(str::to_owned)
    .collect();
    for word in code.split(|character: char| !character.is_alphanumeric() && character != '_') {
        if word.starts_with("aws_sdk_")
            || word.starts_with("aws_config")
            || word.starts_with("aws_smithy_")
        {
            known.insert("aws_*".to_owned());
        }
        if word == "mcplambda_bridge" {
            known.insert(word.to_owned());
        }
    }
    known
}

#[test]
fn rooms_know_only_what_lies_below_them() {
    for (room, allowed) in ROOMS {
        let single = format!("src/{room}.rs");
        let folder = if root().join(&single).exists() {
            single
        } else {
            format!("src/{room}")
        };
        for file in rust_files(&folder) {
            let mut known = known_to(&file);
            known.remove(room);
            known.retain(|name| !allowed.contains(&name.as_str()));
            assert!(known.is_empty(), "{} may not know {known:?}", shown(&file));
        }
    }
}

#[test]
fn the_main_program_only_serves() {
    let main = code(&root().join("src/main.rs"));
    let rooms: Vec<&str> = names_after(&main, "mcplambda::").into_iter().collect();
    let allowed = ["plugin", "provider", "version"];
    assert!(rooms.iter().all(|room| allowed.contains(room)), "{rooms:?}");
}

#[test]
fn the_deploying_room_cannot_tell_how_a_server_is_packaged() {
    for file in rust_files("src/deploy") {
        let code = code(&file).to_lowercase();
        for word in ["uvx", "npx", "docker", "pypi", "wheel"] {
            assert!(!code.contains(word), "{} names {word}", shown(&file));
        }
    }
}

#[test]
fn the_tool_schema_is_pure() {
    let mut files = rust_files("src/agentcore/tool_schema");
    files.push(root().join("src/agentcore/tool_schema.rs"));
    for file in files {
        let code = code(&file);
        for word in [
            "async ",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::time",
            "tokio",
            "aws_",
            "rand",
            "unsafe",
        ] {
            assert!(!code.contains(word), "{} has {word}", shown(&file));
        }
    }
}

#[test]
fn the_bridge_depends_on_few_crates_and_none_of_ours() {
    let manifest: toml::Table = text(&root().join("bridge/Cargo.toml"))
        .parse()
        .expect("TOML");
    let dependencies: Vec<&String> = manifest["dependencies"]
        .as_table()
        .expect("a table")
        .keys()
        .collect();
    assert_eq!(
        dependencies,
        [
            "base64",
            "libc",
            "ring",
            "rustls",
            "serde",
            "serde_json",
            "webpki",
            "webpki-roots"
        ]
    );
    assert!(!manifest.contains_key("target") && !manifest.contains_key("build-dependencies"));
}

/// ring cannot verify the P-521 certificate that Terraform shows, so only the bridge may have it.
#[test]
fn the_provider_has_no_ring() {
    let manifest: toml::Table = text(&root().join("Cargo.toml")).parse().expect("TOML");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    assert_eq!(
        dependencies["mcplambda-bridge"]["default-features"].as_bool(),
        Some(false)
    );
    for (name, dependency) in dependencies {
        let features = dependency.get("features").and_then(|list| list.as_array());
        let names_ring = features
            .into_iter()
            .flatten()
            .filter_map(|feature| feature.as_str())
            .any(|feature| feature.split(['-', '_']).any(|word| word == "ring"));
        assert!(name != "ring" && !names_ring, "{name} brings ring");
    }
}

#[test]
fn only_reports_make_diagnostics_of_errors() {
    for file in rust_files("src/provider") {
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name.starts_with("report") {
            continue;
        }
        let code = code(&file);
        for word in ["Diagnostic::error(", "Diagnostic::warning("] {
            assert!(
                !code.contains(word),
                "{} has {word}; it belongs into a report",
                shown(&file)
            );
        }
    }
}

#[test]
fn nothing_prints_to_standard_output_but_the_handshake_and_what_a_person_asked_for() {
    // serve.rs writes the handshake; the mains answer `--version` and `--help`.
    let allowed = ["src/plugin/serve.rs", "src/main.rs", "bridge/src/main.rs"];
    for file in [rust_files("src"), rust_files("bridge/src")].concat() {
        let name = shown(&file);
        if allowed.contains(&name.as_str()) {
            continue;
        }
        let code = code(&file).replace("eprint", "");
        for word in ["println!", "print!", "io::stdout", "dbg!"] {
            assert!(!code.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for file in ["src", "bridge", "tests"].map(rust_files).concat() {
        assert!(
            text(&file).starts_with("//! "),
            "{} does not begin with //!",
            shown(&file)
        );
    }
    assert!(text(&root().join("build.rs")).starts_with("//! "));
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for file in ["src", "bridge"].map(rust_files).concat() {
        let lines = text(&file).lines().count();
        assert!(lines <= 800, "{} has {lines} lines; split it", shown(&file));
    }
}

#[test]
fn names_are_found_in_paths_and_in_groups() {
    let code = "use crate::deploy::{self, Aws}; use crate::{package::{Lock, Tools}, plugin, agentcore::discover}; crate::version::X";
    let names: Vec<&str> = names_after(code, "crate::").into_iter().collect();
    assert_eq!(
        names,
        ["agentcore", "deploy", "package", "plugin", "version"]
    );
}
