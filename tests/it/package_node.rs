//! What a Node server's folder asks for is what is locked: `package.json` with `npm-shrinkwrap.json`, else `package-lock.json`.

use std::path::Path;
use std::process::Command;

use mcplambda::package::{
    Architecture, Artifact, Attribute, ErrorKind, PackageError, ServerSpec, Source, build_around,
    lock_in_zip, open, open_package, plan_source, resolve,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::npm_registry::{Package, Registry};
use crate::npx_support::{ARM64, BRIDGE, elf, home, npm, tools};
use crate::package_support::{contents, spec};

/// A folder with `server.js` and these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in [("server.js", "require('lib')\n")].iter().chain(files) {
        put(folder.path(), path, text);
    }
    folder
}

fn put(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    std::fs::write(file, text).expect("written");
}

fn server(folder: &TempDir) -> ServerSpec {
    ServerSpec {
        command: "node".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..spec(&["server.js", "--verbose"])
    }
}

async fn opened(spec: &ServerSpec) -> Result<Source, PackageError> {
    open(plan_source(spec)?).await
}

/// Attribute and text of the refusal when the folder is read.
async fn refusal(spec: &ServerSpec) -> (String, String) {
    let error = opened(spec).await.expect_err("to be refused");
    let attribute = error.attribute().as_ref().map(Attribute::to_string);
    (attribute.unwrap_or_default(), error.to_string())
}

fn pair(attribute: &str, text: &str) -> (String, String) {
    (attribute.to_owned(), text.to_owned())
}

/// Writes the folder's lock file as its owner would.
fn npm_lock(registry: &Registry, folder: &TempDir, version: u8) {
    let home = home();
    let tools = tools(registry, home.path());
    let ended = Command::new(npm())
        .args(["install", "--package-lock-only", "--no-audit", "--no-fund"])
        .arg(format!("--lockfile-version={version}"))
        .arg("--cache")
        .arg(home.path().join("cache"))
        .current_dir(folder.path())
        .env_clear()
        .envs(&tools.environment)
        .output()
        .expect("npm runs");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// The package of the server, from an empty cache, and its lock.
async fn built(registry: &Registry, spec: &ServerSpec) -> Result<Artifact, PackageError> {
    let home = home();
    let tools = tools(registry, home.path());
    let source = opened(spec).await?;
    let lock = resolve(&tools, &source).await?;
    lock.check(&source)?;
    build_around(BRIDGE, &tools, &source, &lock).await
}

/// Paths in the package, without those of every package.
fn names(artifact: &Artifact) -> Vec<String> {
    let names = contents(&artifact.zip).into_iter().map(|(name, ..)| name);
    names
        .filter(|name| !name.starts_with("mcplambda"))
        .collect()
}

const MANIFEST: &str = r#"{
  "name": "server", "version": "0.1.0", "private": true,
  "dependencies": {"lib": "^1.0.0", "renamed": "npm:real@^2.0.0"},
  "optionalDependencies": {"fast-linux": "1", "fast-darwin": "1"},
  "devDependencies": {"only-for-tests": "1"}
}"#;

fn releases() -> [Package; 7] {
    let of = |name: &str, os: &str| {
        Package::new(name, "1.0.0")
            .set("os", json!([os]))
            .set("cpu", json!(["x64"]))
    };
    [
        Package::new("deep", "1.0.0"),
        Package::new("lib", "1.2.0")
            .needs("deep", "^1.0.0")
            .file("index.d.ts", "export {}")
            .file("test/test.js", "throw 1"),
        Package::new("real", "2.0.0"),
        of("fast-linux", "linux"),
        of("fast-darwin", "darwin"),
        Package::new("only-for-tests", "1.0.0").needs("git-only", "1"),
        Package::new("git-only", "1.0.0"),
    ]
}

#[tokio::test]
async fn exactly_what_the_lock_file_says_is_installed_for_the_function() {
    for version in [2, 3] {
        let registry = Registry::with(releases());
        let folder = project(&[
            ("package.json", MANIFEST),
            ("dist/tool.mjs", "export {}\n"),
            ("node_modules/lib/index.js", "of this machine\n"),
            ("packages/a/node_modules/b/index.js", "of this machine\n"),
            (".npmrc", "//r.example/:_authToken=secret\n"),
        ]);
        npm_lock(&registry, &folder, version);
        registry.release(&Package::new("lib", "1.9.0"));
        registry.release(&Package::new("deep", "1.9.0"));
        let artifact = built(&registry, &server(&folder)).await.expect("a package");
        assert_eq!(
            names(&artifact),
            [
                "dist/tool.mjs",
                "node_modules/deep/index.js",
                "node_modules/deep/package.json",
                "node_modules/fast-linux/index.js",
                "node_modules/fast-linux/package.json",
                "node_modules/lib/index.js",
                "node_modules/lib/package.json",
                "node_modules/renamed/index.js",
                "node_modules/renamed/package.json",
                "package-lock.json",
                "package.json",
                "server.js",
            ]
        );
        assert_eq!(artifact.argv, ["node", "server.js", "--verbose"]);
        assert_eq!(artifact.runtime, "nodejs22.x");
        let [deep, lib, real, linux, ..] = releases().map(|package| package.integrity());
        assert_eq!(
            lock_in_zip(&artifact.zip).expect("ours").to_string(),
            format!(
                "deep@1.0.0 {deep}\nfast-linux@1.0.0 {linux}\nlib@1.2.0 {lib}\nrenamed@npm:real@2.0.0 {real}\n"
            )
        );
        // From the package alone, as after an import.
        let source = opened(&server(&folder)).await.expect("read");
        let planned = plan_source(&server(&folder)).expect("valid");
        let again = open_package(planned, artifact.zip).await.expect("ours");
        assert_eq!(again.content_hash(), source.content_hash());
        assert_eq!(again.identity(), source.identity());
    }
}

#[tokio::test]
async fn the_architecture_and_the_runtime_choose_what_is_installed() {
    let registry = Registry::with(releases());
    let folder = project(&[("package.json", MANIFEST)]);
    npm_lock(&registry, &folder, 3);
    let spec = ServerSpec {
        architecture: Architecture::Arm64,
        runtime: Some("nodejs24.x".to_owned()),
        ..server(&folder)
    };
    let artifact = built(&registry, &spec).await.expect("a package");
    assert_eq!(artifact.runtime, "nodejs24.x");
    let installed: Vec<_> = artifact.versions.into_keys().collect();
    assert_eq!(installed, ["deep", "lib", "renamed"]);
}

/// A lock file with `lib`, and `change` made to what it says of that.
fn locked(change: impl FnOnce(&mut Value)) -> String {
    let mut lock = json!({
        "name": "server", "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"lib": "^1.0.0"}},
            "node_modules/lib": {
                "version": "1.2.0", "integrity": Package::new("lib", "1.2.0").integrity(),
                "resolved": "https://registry.example/lib/-/lib-1.2.0.tgz",
            },
        },
    });
    change(&mut lock["packages"]);
    lock.to_string()
}

const NEEDS_LIB: &str = r#"{"dependencies": {"lib": "^1.0.0"}}"#;

#[tokio::test]
async fn a_shrinkwrap_counts_before_the_other_lock_file() {
    let registry = Registry::with([Package::new("lib", "1.2.0"), Package::new("lib", "1.3.0")]);
    let newer = locked(|packages| {
        packages["node_modules/lib"]["version"] = "1.3.0".into();
        packages["node_modules/lib"]["integrity"] = Package::new("lib", "1.3.0").integrity().into();
    });
    let folder = project(&[
        ("package.json", NEEDS_LIB),
        ("package-lock.json", &locked(|_| {})),
        ("npm-shrinkwrap.json", &newer),
    ]);
    let artifact = built(&registry, &server(&folder)).await.expect("a package");
    assert_eq!(artifact.versions["lib"], "1.3.0");
}

#[tokio::test]
async fn a_folder_that_asks_for_nothing_needs_neither_lock_nor_npm() {
    let registry = Registry::with([]);
    let home = home();
    let mut tools = tools(&registry, home.path());
    tools.npm_path = Some("/nonexistent/npm".into());
    let module = r#"{"type": "module", "devDependencies": {"typescript": "5"}}"#;
    for files in [
        &[][..],
        &[("package.json", module)],
        // Files like any others, once they are asked for.
        &[
            ("package.json", module),
            ("node_modules/own/index.js", "1\n"),
        ],
    ] {
        let folder = project(files);
        let mut spec = server(&folder);
        spec.source_excludes = vec!["!node_modules/".to_owned()];
        let source = opened(&spec).await.expect("read");
        assert!(!source.is_locked());
        let artifact = build_around(BRIDGE, &tools, &source, None)
            .await
            .expect("a package");
        let mut expected: Vec<_> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        expected.extend(["server.js".to_owned()]);
        expected.sort();
        assert_eq!(names(&artifact), expected);
        let planned = plan_source(&spec).expect("valid");
        let again = open_package(planned, artifact.zip).await.expect("ours");
        assert_eq!(again.content_hash(), source.content_hash());
    }
}

#[tokio::test]
async fn scripts_are_found_as_node_finds_them() {
    let folder = project(&[("dist/index.js", ""), ("app.mjs", ""), ("src/main.ts", "")]);
    let args = |args: &[&str]| ServerSpec {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..server(&folder)
    };
    for words in [
        &["server.js"][..],
        &["server"],
        &["app.mjs"],
        &["dist"],
        &["."],
        &["/var/task/dist/index.js"],
        &["--import", "./dist/index.js", "app.mjs"],
        &["--enable-source-maps", "src/main.ts", "--port", "1"],
        &["-e", "process.exit()"],
    ] {
        opened(&args(words)).await.expect("it is there");
    }
    assert_eq!(
        refusal(&args(&["--no-warnings", "build/index.js"])).await,
        pair(
            "args[1]",
            "args[1]: `build/index.js` is not among the files of `source_dir` that are packaged. The folder is the function's `/var/task`; \
             paths are relative to it or to `cwd`"
        )
    );
    let nowhere = ServerSpec {
        source_dir: None,
        ..args(&["server.js"])
    };
    assert_eq!(
        refusal(&nowhere).await,
        pair(
            "args[0]",
            "args[0]: `server.js` is a file of the server itself; set `source_dir` to the folder that holds it"
        )
    );
}

#[tokio::test]
async fn only_files_that_say_what_is_needed_make_another_lock_necessary() {
    let folder = project(&[
        ("package.json", NEEDS_LIB),
        ("package-lock.json", &locked(|_| {})),
        ("notes.txt", "1\n"),
    ]);
    let identity = async || {
        let source = opened(&server(&folder)).await.expect("read");
        (source.identity(), source.content_hash().map(str::to_owned))
    };
    let first = identity().await;
    put(folder.path(), "notes.txt", "2\n");
    let second = identity().await;
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    put(
        folder.path(),
        "package.json",
        r#"{"dependencies": {"lib": "~1.2.0"}}"#,
    );
    assert_ne!(identity().await.0, first.0);
}

#[tokio::test]
async fn dependencies_without_a_lock_that_can_be_read_say_how_to_make_one() {
    let cases = [
        (
            &[("package.json", NEEDS_LIB)][..],
            "source_dir: `package.json` in it asks for packages, and no `package-lock.json` says which. Run `npm install --package-lock-only` in \
             the folder, and keep what it writes with the code",
        ),
        (
            &[("package.json", NEEDS_LIB), ("yarn.lock", "")],
            "source_dir: `package.json` in it asks for packages, and no `package-lock.json` says which (`yarn.lock` is not read here). Run `npm \
             install --package-lock-only` in the folder, and keep what it writes with the code",
        ),
        (
            &[
                ("package.json", NEEDS_LIB),
                (
                    "package-lock.json",
                    r#"{"lockfileVersion": 1, "dependencies": {"lib": {"version": "1.0.0"}}}"#,
                ),
            ],
            "source_dir: `package-lock.json` in it is one of npm 6 (lockfileVersion 1), which does not say what is for which platform. Run `npm \
             install --package-lock-only` in the folder with npm 7 or newer",
        ),
        (
            &[("package-lock.json", "{}")],
            "source_dir: it holds `package-lock.json` without the `package.json` that belongs to it; add that, or leave the lock out with \
             `source_excludes`",
        ),
        (
            &[("package.json", "{]")],
            "source_dir: `package.json` in it cannot be read: key must be a string at line 1 column 2",
        ),
        (
            &[("package.json", NEEDS_LIB), ("package-lock.json", "<<<<")],
            "source_dir: `package-lock.json` in it cannot be read: expected value at line 1 column 1",
        ),
    ];
    for (files, expected) in cases {
        let folder = project(files);
        assert_eq!(
            refusal(&server(&folder)).await,
            pair("source_dir", expected)
        );
    }
}

#[tokio::test]
async fn a_lock_file_that_does_not_fit_says_what_differs() {
    let cases = [
        (
            r#"{"dependencies": {"lib": "^1.0.0", "zod": "^3.0.0"}}"#,
            locked(|_| {}),
            "`package-lock.json` in it does not fit `package.json`: that asks for `zod` as `^3.0.0`, and the lock has none",
        ),
        (
            r#"{"dependencies": {"lib": "^2.0.0"}}"#,
            locked(|_| {}),
            "`package-lock.json` in it does not fit `package.json`: that asks for `lib` as `^2.0.0`, and the lock has 1.2.0",
        ),
        (
            r#"{"dependencies": {"lib": "npm:other@^1.0.0"}}"#,
            locked(|_| {}),
            "`package-lock.json` in it does not fit `package.json`: that asks for `lib` as `npm:other@^1.0.0`, and the lock has 1.2.0",
        ),
        (
            NEEDS_LIB,
            locked(|packages| {
                packages["node_modules/lib"]["dependencies"] = json!({"deep": "^1.0.0"});
            }),
            "`package-lock.json` in it is not complete: `deep` as `^1.0.0` (needed by `lib@1.2.0`) is not there",
        ),
    ];
    for (manifest, lock, expected) in cases {
        let folder = project(&[("package.json", manifest), ("package-lock.json", &lock)]);
        let expected =
            format!("source_dir: {expected}. Run `npm install --package-lock-only` in the folder");
        assert_eq!(
            refusal(&server(&folder)).await,
            pair("source_dir", &expected)
        );
    }
    // What is no longer asked for is not installed.
    let folder = project(&[
        ("package.json", NEEDS_LIB),
        (
            "package-lock.json",
            &locked(|packages| {
                packages["node_modules/former"] = packages["node_modules/lib"].clone();
            }),
        ),
    ]);
    let registry = Registry::with([Package::new("lib", "1.2.0")]);
    let artifact = built(&registry, &server(&folder)).await.expect("a package");
    assert_eq!(artifact.versions.keys().collect::<Vec<_>>(), ["lib"]);
}

#[tokio::test]
async fn packages_that_no_registry_has_are_named_with_where_they_come_from() {
    const REST: &str = ", not from an npm registry, so no hash says which bytes run. Use a release that is published, or put its files into the \
                        folder and require them by their path";
    let cases = [
        (
            "github:user/lib",
            json!({"version": "1.2.0", "resolved": "git+ssh://git@github.com/user/lib.git#0123"}),
            "`lib` in `package-lock.json` comes from a git repository",
        ),
        (
            "https://user:password@files.example/lib.tgz",
            json!({"version": "1.2.0", "resolved": "https://user:password@files.example/lib.tgz", "integrity": "sha512-x"}),
            "`lib` in `package-lock.json` comes from a URL",
        ),
        (
            "file:../lib.tgz",
            json!({"version": "1.2.0", "resolved": "file:../lib.tgz", "integrity": "sha512-x"}),
            "`lib` in `package-lock.json` comes from a file or folder",
        ),
        (
            "*",
            json!({"resolved": "packages/lib", "link": true}),
            "`lib` in `package-lock.json` comes from a folder",
        ),
    ];
    for (wanted, entry, expected) in cases {
        let manifest = json!({"dependencies": {"lib": wanted}}).to_string();
        let lock = locked(|packages| packages["node_modules/lib"] = entry);
        let folder = project(&[("package.json", &manifest), ("package-lock.json", &lock)]);
        assert_eq!(
            refusal(&server(&folder)).await,
            pair("source_dir", &format!("source_dir: {expected}{REST}"))
        );
    }
    // One that another needs; and none of it matters for development alone.
    let lock = locked(|packages| {
        packages["node_modules/lib"]["dependencies"] = json!({"deep": "user/deep"});
        packages["node_modules/deep"] =
            json!({"version": "1.0.0", "resolved": "git+ssh://git@github.com/user/deep.git#01"});
    });
    let folder = project(&[("package.json", NEEDS_LIB), ("package-lock.json", &lock)]);
    assert_eq!(
        refusal(&server(&folder)).await,
        pair(
            "source_dir",
            &format!(
                "source_dir: `deep` (needed by `lib@1.2.0`) in `package-lock.json` comes from a git repository{REST}"
            )
        )
    );
    put(
        folder.path(),
        "package.json",
        r#"{"devDependencies": {"lib": "^1.0.0"}}"#,
    );
    assert!(!opened(&server(&folder)).await.expect("read").is_locked());
}

#[tokio::test]
async fn packages_whose_bytes_are_not_locked_or_that_run_elsewhere_are_named() {
    let cases = [
        (
            locked(|packages| packages["node_modules/lib"]["integrity"] = Value::Null),
            "source_dir: `package-lock.json` in it has no SHA-512 of `lib@1.2.0` (only: none), so its bytes are not locked. Remove `node_modules` \
             and the lock file, and run `npm install --package-lock-only` in the folder",
        ),
        (
            locked(|packages| {
                packages["node_modules/lib"]["integrity"] =
                    "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=".into()
            }),
            "source_dir: `package-lock.json` in it has no SHA-512 of `lib@1.2.0` (only: sha1), so its bytes are not locked. Remove `node_modules` \
             and the lock file, and run `npm install --package-lock-only` in the folder",
        ),
        (
            locked(|packages| packages["node_modules/lib"]["os"] = json!(["darwin"])),
            "source_dir: `lib@1.2.0` in `package-lock.json` does not run on nodejs22.x for x86_64, as it says itself. Do without it, or make it an \
             optional dependency",
        ),
    ];
    for (lock, expected) in cases {
        let folder = project(&[("package.json", NEEDS_LIB), ("package-lock.json", &lock)]);
        assert_eq!(
            refusal(&server(&folder)).await,
            pair("source_dir", expected)
        );
    }
}

#[tokio::test]
async fn attributes_that_contradict_the_folder_are_refused_at_their_place() {
    let folder = project(&[
        (
            "package.json",
            r#"{"dependencies": {"lib": "^1.0.0"}, "engines": {"node": ">=24"}}"#,
        ),
        ("package-lock.json", &locked(|_| {})),
        ("node_modules/lib/index.js", "of this machine\n"),
    ]);
    assert_eq!(
        refusal(&server(&folder)).await,
        pair(
            "runtime",
            "runtime: `package.json` in `source_dir` asks for Node >=24 (`engines`), but the function runs nodejs22.x; set runtime = \"nodejs24.x\""
        )
    );
    let newer = ServerSpec {
        runtime: Some("nodejs24.x".to_owned()),
        ..server(&folder)
    };
    opened(&newer).await.expect("it fits");
    let older = ServerSpec {
        runtime: Some("nodejs18.x".to_owned()),
        ..server(&folder)
    };
    assert_eq!(
        refusal(&older).await,
        pair(
            "runtime",
            "runtime: `nodejs18.x` is not a runtime that a Node server can run on; use one of nodejs22.x, nodejs24.x"
        )
    );
    let further = ServerSpec {
        packages: vec!["zod@3".to_owned()],
        ..newer.clone()
    };
    assert_eq!(
        refusal(&further).await,
        pair(
            "packages[0]",
            "packages[0]: a `node` server gets its packages from the `package.json` and the `package-lock.json` in `source_dir`; add it there \
             (`npm install --package-lock-only name`)"
        )
    );
    let mixed = ServerSpec {
        source_excludes: vec!["!node_modules/".to_owned()],
        ..newer.clone()
    };
    assert_eq!(
        refusal(&mixed).await,
        pair(
            "source_dir",
            "source_dir: `node_modules` in it is where the packages of the lock file are installed; leave it out with `source_excludes`, as it is \
             without a pattern that takes it back"
        )
    );
    let scripts = |names: &[&str], spec: &ServerSpec| ServerSpec {
        allow_scripts: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..spec.clone()
    };
    assert_eq!(
        refusal(&scripts(&["lib@1"], &newer)).await,
        pair(
            "allow_scripts[0]",
            "allow_scripts[0]: `lib@1` is not the name of an npm package; write `name` or `@scope/name`, without a version"
        )
    );
    let source = opened(&scripts(&["lib", "other"], &newer))
        .await
        .expect("read");
    let registry = Registry::with([]);
    let home = home();
    let lock = resolve(&tools(&registry, home.path()), &source)
        .await
        .expect("a lock");
    assert_eq!(
        lock.check(&source).expect_err("refused").to_string(),
        "allow_scripts[1]: no package `other` is installed for this server"
    );
    let nothing = project(&[]);
    assert_eq!(
        refusal(&scripts(&["lib"], &server(&nothing))).await.1,
        "allow_scripts[0]: no package `lib` is installed for this server"
    );
}

#[tokio::test]
async fn install_scripts_run_only_where_they_are_allowed_and_addons_must_fit() {
    let line = "node -e \"require('fs').writeFileSync('made.txt', process.env.npm_config_arch)\"";
    let registry = Registry::with([
        Package::new("lib", "1.2.0").script("postinstall", line),
        Package::new("native", "1.0.0").file("build/a.node", elf(ARM64)),
    ]);
    let folder = project(&[("package.json", NEEDS_LIB)]);
    npm_lock(&registry, &folder, 3);
    let mut spec = server(&folder);
    let silent = built(&registry, &spec).await.expect("a package");
    assert!(!names(&silent).contains(&"node_modules/lib/made.txt".to_owned()));
    let source = opened(&spec).await.expect("read");
    let lock = lock_in_zip(&silent.zip).expect("ours");
    let notices = lock.notices(&source);
    assert_eq!(
        notices
            .iter()
            .map(|notice| (notice.title(), notice.attribute().to_string()))
            .collect::<Vec<_>>(),
        [("Install scripts not run", "source_dir".to_owned())]
    );
    spec.allow_scripts = Some(vec!["lib".to_owned()]);
    let scripted = built(&registry, &spec).await.expect("a package");
    assert!(names(&scripted).contains(&"node_modules/lib/made.txt".to_owned()));

    put(
        folder.path(),
        "package.json",
        r#"{"dependencies": {"native": "1"}}"#,
    );
    npm_lock(&registry, &folder, 3);
    spec.allow_scripts = None;
    let error = built(&registry, &spec).await.expect_err("refused");
    let source = opened(&spec).await.expect("read");
    assert_eq!(
        (
            error.kind(),
            error.locate(&source).map(|at| at.to_string()),
            error.to_string()
        ),
        (
            ErrorKind::NoWheel,
            Some("source_dir".to_owned()),
            "`node_modules/native/build/a.node` of `native@1.0.0` is a native addon for arm64, and `native@1.0.0` has none for nodejs22.x for \
             x86_64. Ask for another release of `native` in `package.json`, set `architecture`, or use a server that does not need it"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn an_addon_of_the_folder_itself_that_is_for_another_system_is_named() {
    let folder = project(&[]);
    let path = folder.path().join("addon.node");
    std::fs::write(path, b"\xcf\xfa\xed\xfe\x07\x00\x00\x01 and more").expect("written");
    assert_eq!(
        refusal(&server(&folder)).await,
        pair(
            "source_dir",
            "`addon.node` is built for macOS, but the function's architecture is x86_64. Build it for x86_64, leave it out with \
             `source_excludes`, or set `architecture`"
        )
    );
}

#[tokio::test]
async fn the_folders_own_settings_of_npm_count() {
    let elsewhere = Registry::with([]);
    let registry = Registry::with([Package::new("lib", "1.2.0")]);
    let folder = project(&[
        ("package.json", NEEDS_LIB),
        ("package-lock.json", &locked(|_| {})),
        (".npmrc", &format!("registry={}\n", registry.url())),
    ]);
    let home = home();
    let mut tools = tools(&elsewhere, home.path());
    tools
        .environment
        .remove(std::ffi::OsStr::new("npm_config_registry"));
    let source = opened(&server(&folder)).await.expect("read");
    let lock = resolve(&tools, &source).await.expect("a lock");
    build_around(BRIDGE, &tools, &source, &lock)
        .await
        .expect("a package");
}
