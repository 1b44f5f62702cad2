//! From a lock of npm packages to the zip: what is in it, what is not, and that it is the same everywhere.

use std::collections::BTreeMap;
use std::path::Path;

use mcplambda::package::{
    Architecture, ErrorKind, Lock, ServerSpec, Tools, build_around, lock_in_zip, resolve,
};
use serde_json::json;

use crate::npm_registry::{Package, Registry};
use crate::npx_support::{ARM64, BRIDGE, X86_64, built, elf, home, npm, source, spec, tools};
use crate::package_support::contents;

fn names(zip: &[u8]) -> Vec<String> {
    contents(zip).into_iter().map(|(name, ..)| name).collect()
}

/// A server with a dependency inside another, and with what should not come along.
fn noisy() -> [Package; 4] {
    [
        Package::new("lib", "1.0.0").file("README.md", "lib"),
        Package::new("lib", "2.0.0")
            .file("index.d.ts", "export {}")
            .file("lonely.d.ts", "export {}")
            .file("index.js.map", "{}")
            .file("test/test.js", "throw 1")
            .file("tools/x.exe", "MZ")
            .file("LICENSE", "MIT"),
        Package::new("@s/mid", "1.0.0")
            .needs("lib", "1.0.0")
            .set("main", json!("test/index.js"))
            .file("test/index.js", "")
            .bin("mid", "cli.js")
            .file("cli.js", "#!/usr/bin/env node\n"),
        Package::new("@s/srv", "1.0.0")
            .needs("lib", "2.0.0")
            .needs("@s/mid", "1")
            .bin("srv", "./dist//cli.js")
            .file(
                "dist/cli.js",
                "#!/usr/bin/env node --no-warnings\nrequire('lib')\n",
            )
            .file("data/a b.txt", "data"),
    ]
}

#[tokio::test]
async fn a_package_holds_what_runs_and_nothing_else() {
    let registry = Registry::with(noisy());
    let home = home();
    let spec = spec(&["-y", "@s/srv", "--root", "/tmp"]);
    let artifact = built(&tools(&registry, home.path()), &spec)
        .await
        .expect("a package");
    assert_eq!(
        artifact.argv,
        [
            "node",
            "--no-warnings",
            "/var/task/node_modules/@s/srv/dist/cli.js",
            "--root",
            "/tmp"
        ]
    );
    assert_eq!(artifact.runtime, "nodejs22.x");
    let modes: Vec<(String, u32)> = contents(&artifact.zip)
        .into_iter()
        .map(|(name, mode, _)| (name, mode & 0o777))
        .collect();
    let expected = [
        ("mcplambda-bridge", 0o755),
        ("mcplambda.cdx.json", 0o644),
        ("mcplambda.lock", 0o644),
        ("node_modules/@s/mid/cli.js", 0o755),
        ("node_modules/@s/mid/index.js", 0o644),
        ("node_modules/@s/mid/node_modules/lib/README.md", 0o644),
        ("node_modules/@s/mid/node_modules/lib/index.js", 0o644),
        ("node_modules/@s/mid/node_modules/lib/package.json", 0o644),
        ("node_modules/@s/mid/package.json", 0o644),
        ("node_modules/@s/mid/test/index.js", 0o644),
        ("node_modules/@s/srv/data/a b.txt", 0o644),
        ("node_modules/@s/srv/dist/cli.js", 0o755),
        ("node_modules/@s/srv/index.js", 0o644),
        ("node_modules/@s/srv/package.json", 0o644),
        ("node_modules/lib/LICENSE", 0o644),
        ("node_modules/lib/index.js", 0o644),
        ("node_modules/lib/package.json", 0o644),
    ];
    assert_eq!(modes, expected.map(|(name, mode)| (name.to_owned(), mode)));
    let versions: Vec<_> = artifact.versions.into_iter().collect();
    let expected = [
        ("@s/mid", "1.0.0"),
        ("@s/mid>lib", "1.0.0"),
        ("@s/srv", "1.0.0"),
        ("lib", "2.0.0"),
    ];
    assert_eq!(
        versions,
        expected.map(|(name, version)| (name.to_owned(), version.to_owned()))
    );
    let lock = lock_in_zip(&artifact.zip).expect("the lock");
    lock.check(&source(&spec)).expect("it fits");
    assert!(!String::from_utf8_lossy(&artifact.zip).contains("mcplambda-\u{0}"));
}

#[tokio::test]
async fn a_server_that_runs_typescript_keeps_declarations() {
    let [_, lib, ..] = noisy();
    let registry = Registry::with([
        lib,
        Package::new("typescript", "5.0.0"),
        Package::new("srv", "1.0.0")
            .needs("lib", "2.0.0")
            .needs("typescript", "5")
            .bin("srv", "index.js"),
    ]);
    let home = home();
    let artifact = built(&tools(&registry, home.path()), &spec(&["srv"]))
        .await
        .expect("a package");
    assert!(names(&artifact.zip).contains(&"node_modules/lib/index.d.ts".to_owned()));
}

#[tokio::test]
async fn packages_that_a_tarball_brings_along_stay_where_they_are() {
    let srv = Package::new("srv", "1.0.0")
        .bin("srv", "index.js")
        .needs("inner", "1")
        .set("bundleDependencies", json!(["inner"]))
        .file(
            "node_modules/inner/package.json",
            r#"{"name":"inner","version":"1.0.0"}"#,
        )
        .file("node_modules/inner/index.js", "bundled");
    let registry = Registry::with([Package::new("inner", "1.9.0"), srv]);
    let home = home();
    let artifact = built(&tools(&registry, home.path()), &spec(&["srv"]))
        .await
        .expect("a package");
    let files: BTreeMap<_, _> = contents(&artifact.zip)
        .into_iter()
        .map(|(name, _, bytes)| (name, bytes))
        .collect();
    assert_eq!(
        files["node_modules/srv/node_modules/inner/index.js"],
        b"bundled"
    );
    assert_eq!(artifact.versions.keys().collect::<Vec<_>>(), ["srv"]);
}

#[tokio::test]
async fn a_renamed_package_is_installed_by_its_other_name() {
    let registry = Registry::with([
        Package::new("real", "1.0.0").file("real.txt", ""),
        Package::new("srv", "1.0.0")
            .bin("srv", "index.js")
            .needs("other", "npm:real@^1.0.0"),
    ]);
    let home = home();
    let artifact = built(&tools(&registry, home.path()), &spec(&["srv"]))
        .await
        .expect("a package");
    assert!(names(&artifact.zip).contains(&"node_modules/other/real.txt".to_owned()));
}

#[tokio::test]
async fn addons_for_other_platforms_go_where_one_fits() {
    let addon = |machine| elf(machine);
    let fat = Package::new("fat", "1.0.0")
        .file("prebuilds/linux-x64/a.node", addon(X86_64))
        .file("prebuilds/linux-x64/a.musl.node", addon(X86_64))
        .file("prebuilds/linux-arm64/a.node", addon(ARM64))
        .file(
            "prebuilds/darwin-arm64/a.node",
            b"\xcf\xfa\xed\xfe rest of it".to_vec(),
        )
        .file(
            "prebuilds/win32-x64/a.node",
            b"MZ and what follows it".to_vec(),
        );
    let other = Package::new("@x/core-darwin-x64", "1.0.0")
        .file("core.node", b"\xcf\xfa\xed\xfe rest of it".to_vec());
    let registry = Registry::with([
        fat,
        other,
        Package::new("srv", "1.0.0")
            .bin("srv", "index.js")
            .needs("fat", "1")
            .needs("@x/core-darwin-x64", "1"),
    ]);
    for (architecture, expected) in [
        (
            Architecture::X86_64,
            "node_modules/fat/prebuilds/linux-x64/a.node",
        ),
        (
            Architecture::Arm64,
            "node_modules/fat/prebuilds/linux-arm64/a.node",
        ),
    ] {
        let home = home();
        let spec = ServerSpec {
            architecture,
            ..spec(&["srv"])
        };
        let artifact = built(&tools(&registry, home.path()), &spec)
            .await
            .expect("a package");
        let addons: Vec<_> = names(&artifact.zip)
            .into_iter()
            .filter(|name| name.starts_with("node_modules/fat") && name.ends_with(".node"))
            .collect();
        assert_eq!(addons, [expected]);
    }
}

#[tokio::test]
async fn an_addon_for_the_wrong_platform_is_named() {
    let native = Package::new("native", "1.0.0").file("build/a.node", elf(ARM64));
    let fetched = Package::new("fetched", "2.0.0")
        .file("build/a.node", b"MZ and what follows it".to_vec())
        .script("install", "exit 0");
    let on = |name: &str| {
        Package::new(&format!("on-{name}"), "1.0.0")
            .bin("srv", "index.js")
            .needs(name, "*")
    };
    let registry = Registry::with([native, fetched, on("native"), on("fetched")]);
    for (package, expected) in [
        (
            "on-native",
            "`node_modules/native/build/a.node` of `native@1.0.0` is a native addon for arm64, and `native@1.0.0` has none for nodejs22.x \
             for x86_64. Ask for another release of `native` in `packages`, set `architecture`, or use a server that does not need it",
        ),
        (
            "on-fetched",
            "`node_modules/fetched/build/a.node` of `fetched@2.0.0` is a native addon for Windows, and `fetched@2.0.0` has none for \
             nodejs22.x for x86_64. Its install script may fetch or build the right one: allow_scripts = [\"fetched\"]",
        ),
    ] {
        let home = home();
        let error = built(&tools(&registry, home.path()), &spec(&[package]))
            .await
            .expect_err("refused");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::NoWheel, expected)
        );
    }
}

#[tokio::test]
async fn only_allowed_scripts_run_and_they_are_told_the_platform() {
    let writes = |name: &str| {
        let line = "node -e \"require('fs').writeFileSync('made.txt', [process.env.npm_config_platform, process.env.npm_config_arch].join())\"";
        Package::new(name, "1.0.0").script("postinstall", line)
    };
    let registry = Registry::with([
        writes("wanted"),
        writes("@s/unwanted"),
        Package::new("srv", "1.0.0")
            .bin("srv", "index.js")
            .needs("wanted", "1")
            .needs("@s/unwanted", "1"),
    ]);
    let home = home();
    let mut given = ServerSpec {
        architecture: Architecture::Arm64,
        allow_scripts: Some(vec!["wanted".to_owned()]),
        ..spec(&["srv"])
    };
    let tools = tools(&registry, home.path());
    let artifact = built(&tools, &given).await.expect("a package");
    let made: Vec<_> = contents(&artifact.zip)
        .into_iter()
        .filter(|(name, ..)| name.ends_with("made.txt"))
        .map(|(name, _, bytes)| (name, String::from_utf8(bytes).expect("text")))
        .collect();
    assert_eq!(
        made,
        [(
            "node_modules/wanted/made.txt".to_owned(),
            "linux,arm64".to_owned()
        )]
    );

    given.allow_scripts = None;
    let lock = resolve(&tools, &source(&given)).await.expect("a lock");
    let notices: Vec<_> = lock
        .notices(&source(&given))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].contains("@s/unwanted@1.0.0, wanted@1.0.0")
            && notices[0].contains("`allow_scripts = []`"),
        "{notices:?}"
    );
    given.allow_scripts = Some(Vec::new());
    assert_eq!(lock.notices(&source(&given)), []);
}

#[tokio::test]
async fn a_script_that_fails_is_shown() {
    let registry = Registry::with([Package::new("srv", "1.0.0")
        .bin("srv", "index.js")
        .script("install", "echo no compiler here >&2; exit 7")]);
    let home = home();
    let given = ServerSpec {
        allow_scripts: Some(vec!["srv".to_owned()]),
        ..spec(&["srv"])
    };
    let error = built(&tools(&registry, home.path()), &given)
        .await
        .expect_err("refused");
    let said = error.to_string();
    assert!(
        said.starts_with("an install script that `allow_scripts` allows failed:\n")
            && said.contains("no compiler here"),
        "{said}"
    );
}

#[tokio::test]
async fn other_bytes_than_locked_are_refused_and_named() {
    let srv = Package::new("srv", "1.0.0").bin("srv", "index.js");
    let registry = Registry::with([srv.clone()]);
    let lock: Lock = format!("srv@1.0.0 {}\n", srv.integrity())
        .parse()
        .expect("a lock");
    registry.tamper(&srv, srv.clone().file("evil.js", "").tarball());
    let home = home();
    let error = build_around(
        BRIDGE,
        &tools(&registry, home.path()),
        &source(&spec(&["srv"])),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::HashMismatch);
    let said = error.to_string();
    assert!(
        said.starts_with("`srv@1.0.0` does not match its locked hash:\n"),
        "{said}"
    );

    // Nor when the registry announces the new bytes as if nothing had happened.
    registry.release(&srv.clone().file("evil.js", ""));
    let home = crate::npx_support::home();
    let error = build_around(
        BRIDGE,
        &tools(&registry, home.path()),
        &source(&spec(&["srv"])),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::HashMismatch);
}

#[tokio::test]
async fn a_locked_release_that_is_gone_says_to_lock_anew() {
    let old = Package::new("srv", "1.0.0").bin("srv", "index.js");
    let registry = Registry::with([
        old.clone(),
        Package::new("srv", "2.0.0").bin("srv", "index.js"),
    ]);
    registry.withdraw("srv", "1.0.0");
    let lock: Lock = format!("srv@1.0.0 {}\n", old.integrity())
        .parse()
        .expect("a lock");
    let home = home();
    let error = build_around(
        BRIDGE,
        &tools(&registry, home.path()),
        &source(&spec(&["srv"])),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(
        error.to_string(),
        "lock: `srv@1.0.0` is locked, but the registry no longer offers it. Make the lock anew"
    );
}

#[tokio::test]
async fn a_server_for_another_interpreter_and_a_program_that_is_missing_are_refused() {
    let registry = Registry::with([
        Package::new("bunny", "1.0.0")
            .bin("bunny", "cli.ts")
            .file("cli.ts", "#!/usr/bin/env bun\n"),
        Package::new("empty", "1.0.0").bin("empty", "dist/cli.js"),
    ]);
    for (package, expected) in [
        (
            "bunny",
            "`node_modules/bunny/cli.ts` runs under `bun`, which Lambda's Node runtimes do not have. Use a server that runs under `node`",
        ),
        (
            "empty",
            "`node_modules/empty/dist/cli.js` cannot be packaged: the package names it as its program, but does not bring it",
        ),
    ] {
        let home = home();
        let error = built(&tools(&registry, home.path()), &spec(&[package]))
            .await
            .expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

/// `npm` behind a script that changes what a careless installer would leak: umask, age and order of files.
fn disguised(tools: &Tools, home: &Path, umask: &str) -> Tools {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\numask {umask}\n\"{}\" \"$@\" || exit $?\n[ \"$1\" = ci ] || exit 0\nfind . -type f -exec touch -d 1999-12-31 {{}} +\n\
         find node_modules -depth -type d | while read -r d; do mv \"$d\" \"$d.old\" && mkdir \"$d\" && ls -rA \"$d.old\" | \
         while read -r f; do mv \"$d.old/$f\" \"$d/$f\"; done && rmdir \"$d.old\" || exit 1; done\n",
        npm().display()
    );
    let path = home.join("disguised-npm");
    std::fs::write(&path, script).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Tools {
        npm_path: Some(path),
        ..tools.clone()
    }
}

#[tokio::test]
async fn temporary_path_umask_age_and_order_of_files_change_no_byte() {
    let registry = Registry::with(noisy());
    let spec = spec(&["@s/srv"]);
    let plain_home = home();
    let plain = built(&tools(&registry, plain_home.path()), &spec)
        .await
        .expect("a package");
    for umask in ["077", "000"] {
        let outer = home();
        let other_home = outer.path().join("quite/another place");
        std::fs::create_dir_all(&other_home).expect("a directory");
        let other = disguised(&tools(&registry, &other_home), &other_home, umask);
        let artifact = built(&other, &spec).await.expect("a package");
        assert!(
            artifact == plain,
            "umask {umask}, another path, other times and order changed the package"
        );
    }
}
