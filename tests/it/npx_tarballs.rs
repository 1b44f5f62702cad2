//! A lock of npm packages whose tarballs are fetched without `npm`: the same package as `npm ci` makes of it, or `npm ci`.

use std::fs;

use mcplambda::package::{
    Artifact, ErrorKind, Lock, PackageError, ServerSpec, Tools, build_around, resolve,
};
use serde_json::json;

use crate::npm_registry::{Package, Registry};
use crate::npx_support::{BRIDGE, fetching, home, installs, source, spec, tools};
use crate::package_support::contents;

/// A server with what is told apart: versions inside of others, a scope, another name, bundled packages, files that `npm` renames.
fn various() -> Vec<Package> {
    vec![
        Package::new("lib", "1.0.0"),
        Package::new("lib", "2.0.0").file("deep/down/x.json", "{}"),
        Package::new("real", "1.0.0").file(".gitignore", "becomes .npmignore"),
        Package::new("@s/mid", "1.0.0").needs("lib", "1.0.0"),
        Package::new("inner", "1.9.0"),
        Package::new("bundling", "1.0.0")
            .needs("inner", "1")
            .set("bundleDependencies", json!(["inner"]))
            .file(
                "node_modules/inner/package.json",
                r#"{"name":"inner","version":"1.0.0"}"#,
            )
            .file("node_modules/inner/index.js", "bundled")
            .file("node_modules/.bin/inner", "a link's place"),
        Package::new("srv", "1.0.0")
            .bin("srv", "cli.js")
            .file("cli.js", "#!/usr/bin/env node\n")
            .file("data/.npmignore", "first")
            .file("data/.gitignore", "left out")
            .needs("lib", "2.0.0")
            .needs("@s/mid", "1")
            .needs("other", "npm:real@^1.0.0")
            .needs("bundling", "1"),
    ]
}

async fn locked(tools: &Tools, spec: &ServerSpec) -> Lock {
    resolve(tools, &source(spec)).await.expect("a lock")
}

async fn package(tools: &Tools, spec: &ServerSpec, lock: &Lock) -> Result<Artifact, PackageError> {
    build_around(BRIDGE, tools, &source(spec), lock).await
}

#[tokio::test]
async fn fetched_packages_are_those_that_npm_installs() {
    let registry = Registry::with(various());
    let (home, other) = (home(), home());
    let spec = spec(&["srv"]);
    let tools_of_npm = tools(&registry, other.path());
    let lock = locked(&tools_of_npm, &spec).await;
    let by_npm = package(&tools_of_npm, &spec, &lock).await;
    let fetching = fetching(tools(&registry, home.path()), home.path());
    let fetched = package(&fetching, &spec, &lock).await;
    assert_eq!(installs(home.path()), 0);
    assert!(fetched.expect("a package") == by_npm.expect("a package"));
}

#[tokio::test]
async fn what_is_kept_is_not_fetched_again() {
    let registry = Registry::with(various());
    let home = home();
    let spec = spec(&["srv"]);
    let tools = fetching(tools(&registry, home.path()), home.path());
    let lock = locked(&tools, &spec).await;
    let first = package(&tools, &spec, &lock).await.expect("a package");
    registry.answer_with(Some(404));
    fs::remove_dir_all(home.path().join("cache/packages")).expect("it was kept");
    let second = package(&tools, &spec, &lock).await.expect("a package");
    assert!(second == first);
    assert_eq!(installs(home.path()), 0);
}

#[tokio::test]
async fn a_tarball_with_other_bytes_is_never_used() {
    let [good, bad] = ["good", "bad"].map(|text| {
        Package::new("srv", "1.0.0")
            .bin("srv", "cli.js")
            .file("cli.js", text)
    });
    let registry = Registry::with([good.clone()]);
    let home = home();
    let spec = spec(&["srv"]);
    let tools = fetching(tools(&registry, home.path()), home.path());
    let lock = locked(&tools, &spec).await;
    registry.tamper(&good, bad.tarball());
    let error = package(&tools, &spec, &lock).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::HashMismatch);
    registry.tamper(&good, good.tarball());
    let whole = package(&tools, &spec, &lock).await.expect("a package");

    let kept = home.path().join("cache/npm-tarballs");
    let files: Vec<_> = fs::read_dir(&kept)
        .expect("tarballs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(files.len(), 1);
    fs::write(&files[0], bad.tarball()).expect("to damage it");
    fs::remove_dir_all(home.path().join("cache/packages")).expect("it was kept");
    let again = package(&tools, &spec, &lock).await.expect("a package");
    assert!(again == whole);
    assert_eq!(fs::read(&files[0]).expect("the file"), good.tarball());
}

#[tokio::test]
async fn where_npm_has_to_decide_it_installs() {
    let overlapping = Package::new("mid", "1.0.0")
        .needs("lib", "1.0.0")
        .file("node_modules/lib/index.js", "brought along");
    let scripted = Package::new("scripted", "1.0.0").script("install", "exit 0");
    let mut packages = various();
    packages.extend([overlapping, scripted]);
    packages.extend([
        Package::new("overlaps", "1.0.0")
            .bin("srv", "index.js")
            .needs("lib", "2.0.0")
            .needs("mid", "1"),
        Package::new("scripts", "1.0.0")
            .bin("srv", "index.js")
            .needs("scripted", "1"),
    ]);
    let registry = Registry::with(packages);
    let allowing = ServerSpec {
        allow_scripts: Some(vec!["scripted".to_owned()]),
        ..spec(&["scripts"])
    };
    let cases = [
        (spec(&["overlaps"]), ""),
        (allowing, ""),
        (spec(&["srv"]), "maxsockets=1"),
        (spec(&["srv"]), "//127.0.0.1/:certfile=/nowhere"),
        (spec(&["srv"]), "strict-ssl=false"),
        (spec(&["--prefer-online", "srv"]), ""),
    ];
    for (spec, settings) in cases {
        let home = home();
        fs::write(home.path().join(".npmrc"), settings).expect("settings");
        let tools = fetching(tools(&registry, home.path()), home.path());
        let lock = locked(&tools, &spec).await;
        package(&tools, &spec, &lock).await.expect("a package");
        assert_eq!(installs(home.path()), 1, "{:?} {settings}", spec.args);
    }
}

#[tokio::test]
async fn a_registry_that_fails_is_said_by_npm() {
    let registry = Registry::with(various());
    let home = home();
    let spec = spec(&["srv"]);
    let tools = fetching(tools(&registry, home.path()), home.path());
    let lock = locked(&tools, &spec).await;
    registry.withdraw("lib", "2.0.0");
    let error = package(&tools, &spec, &lock).await.expect_err("refused");
    assert_eq!(
        error.to_string(),
        "lock: `lib@2.0.0` is locked, but the registry no longer offers it. Make the lock anew"
    );
    assert_eq!(installs(home.path()), 1);
}

#[tokio::test]
async fn each_scope_has_its_registry_and_each_registry_its_token() {
    let ours = Registry::with([Package::new("@s/mid", "1.0.0").needs("lib", "1.0.0")]);
    ours.ask_for("t0ken");
    let public = Registry::with(
        various()
            .into_iter()
            .filter(|package| package.name != "@s/mid"),
    );
    let host = ours.url().replace("http:", "");
    for (token, expected) in [("t0ken", 0), ("wrong", 1)] {
        let home = home();
        let settings = home.path().join(".npmrc");
        let text = |token: &str| format!("@s:registry={}\n{host}:_authToken={token}\n", ours.url());
        fs::write(&settings, text("t0ken")).expect("settings");
        let spec = spec(&["srv"]);
        let tools = fetching(tools(&public, home.path()), home.path());
        let lock = locked(&tools, &spec).await;
        fs::write(&settings, text(token)).expect("settings");
        let built = package(&tools, &spec, &lock).await;
        assert_eq!(
            (built.is_err(), installs(home.path())),
            (expected == 1, expected)
        );
    }
}

#[tokio::test]
async fn dependencies_lose_typescript_and_texts_for_people_and_the_server_keeps_them() {
    let texts = |package: Package| {
        ["README.md", "prompt.md", "docs/README.md", "LICENSE.md"]
            .into_iter()
            .chain(["lonely.d.ts", "src/a.ts", "templates/b.ts"])
            .fold(package, |package, file| package.file(file, "text"))
    };
    let server = |name: &str, needs: &str| {
        texts(Package::new(name, "1.0.0"))
            .bin("srv", "index.js")
            .needs("lib", "1")
            .needs("@s/sibling", "1")
            .needs(needs, "1")
    };
    let registry = Registry::with([
        texts(Package::new("lib", "1.0.0")),
        texts(Package::new("@s/sibling", "1.0.0")),
        Package::new("unlicensed", "1.0.0").file("README.md", "text"),
        Package::new("tsx", "1.0.0"),
        server("@s/srv", "unlicensed"),
        server("@s/compiling", "tsx"),
    ]);
    let all = [
        "LICENSE.md",
        "README.md",
        "docs/README.md",
        "lonely.d.ts",
        "prompt.md",
        "src/a.ts",
        "templates/b.ts",
    ];
    let home = home();
    let tools = tools(&registry, home.path());
    for (name, of_lib) in [
        (
            "@s/srv",
            vec![
                "LICENSE.md",
                "docs/README.md",
                "prompt.md",
                "templates/b.ts",
            ],
        ),
        (
            "@s/compiling",
            all.into_iter()
                .filter(|file| *file != "README.md")
                .collect(),
        ),
    ] {
        let spec = spec(&[name]);
        let lock = locked(&tools, &spec).await;
        let artifact = package(&tools, &spec, &lock).await.expect("a package");
        let files: Vec<String> = contents(&artifact.zip)
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        let of = |package: &str| -> Vec<&str> {
            let place = format!("node_modules/{package}/");
            let inner = files.iter().filter_map(|file| file.strip_prefix(&place));
            inner
                .filter(|file| !["index.js", "package.json"].contains(file))
                .collect()
        };
        assert_eq!(of("lib"), of_lib, "{name}");
        assert_eq!((of(name), of("@s/sibling")), (all.to_vec(), all.to_vec()));
        if name == "@s/srv" {
            assert_eq!(of("unlicensed"), ["README.md"]);
        }
    }
}
