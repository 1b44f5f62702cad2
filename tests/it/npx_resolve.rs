//! From a command line of `npx` to a lock, against a registry on loopback: what is chosen, and every way in which it can fail.

use mcplambda::package::{
    Architecture, Attribute, ErrorKind, PackageError, ServerSpec, resolution, resolve,
};
use serde_json::json;

use crate::npm_registry::{Package, Registry};
use crate::npx_support::{home, lock, source, spec, tools};

fn server(name: &str, version: &str) -> Package {
    Package::new(name, version).bin("srv", "index.js")
}

async fn failure(registry: &Registry, spec: &ServerSpec) -> PackageError {
    lock(registry, spec).await.expect_err("refused")
}

#[tokio::test]
async fn every_package_is_locked_where_it_lies_with_its_hash() {
    let new = Package::new;
    let packages = [
        new("deep", "1.0.0"),
        new("deep", "2.0.0").set("engines", json!({"node": ">=20"})),
        new("@s/lib", "1.1.0")
            .needs("deep", "^1.0.0")
            .script("postinstall", "exit 1"),
        new("extra", "3.0.0"),
        server("@s/srv", "1.0.0")
            .needs("@s/lib", "1")
            .needs("deep", "^2.0.0")
            .needs("renamed", "npm:extra@^3.0.0")
            .set("engines", json!({"node": ">= 18"}))
            .set("devDependencies", json!({"never": "1"})),
    ];
    let hash = |index: usize| packages[index].integrity();
    let registry = Registry::with(packages.clone());
    let text = lock(&registry, &spec(&["-y", "@s/srv"]))
        .await
        .expect("a lock")
        .to_string();
    assert_eq!(
        text,
        format!(
            "@s/lib@1.1.0 {} install-script\n@s/lib>deep@1.0.0 {}\n@s/srv@1.0.0 {} node=\">= 18\"\ndeep@2.0.0 {}\nrenamed@npm:extra@3.0.0 {}\n",
            hash(2),
            hash(0),
            hash(4),
            hash(1),
            hash(3)
        )
    );
}

#[tokio::test]
async fn versions_ranges_tags_and_packages_choose_what_npm_would_choose() {
    let registry = Registry::with([
        Package::new("lib", "1.0.0"),
        Package::new("lib", "1.4.0"),
        Package::new("lib", "2.0.0"),
        server("srv", "2.0.0-beta.1").needs("lib", ">=1"),
        server("srv", "1.0.0").needs("lib", ">=1"),
        server("srv", "1.2.0").needs("lib", ">=1"),
    ]);
    registry.tag("srv", "next", "2.0.0-beta.1");
    for (wanted, packages, expected) in [
        ("srv", &[][..], ("1.2.0", "2.0.0")),
        ("srv@1.0.0", &[], ("1.0.0", "2.0.0")),
        ("srv@next", &["lib@1"], ("2.0.0-beta.1", "1.4.0")),
        ("srv@<1.2", &["lib@1.0.0"], ("1.0.0", "1.0.0")),
    ] {
        let spec = ServerSpec {
            packages: packages.iter().map(|text| (*text).to_owned()).collect(),
            ..spec(&[wanted])
        };
        let versions = lock(&registry, &spec).await.expect("a lock").versions();
        let found = (versions["srv"].as_str(), versions["lib"].as_str());
        assert_eq!(found, expected, "{wanted} {packages:?}");
    }
}

#[tokio::test]
async fn packages_for_other_platforms_are_left_out_with_what_only_they_need() {
    let of = |name: &str, os: &str, cpu: &str, libc: &str| {
        Package::new(name, "1.0.0")
            .set("os", json!([os]))
            .set("cpu", json!([cpu]))
            .set("libc", json!([libc]))
    };
    let mut srv = server("srv", "1.0.0");
    let mut packages = vec![
        of("x64-gnu", "linux", "x64", "glibc"),
        of("x64-musl", "linux", "x64", "musl"),
        of("arm64-gnu", "linux", "arm64", "glibc"),
        Package::new("mac", "1.0.0")
            .set("os", json!(["darwin"]))
            .needs("for-mac", "1"),
        Package::new("not-windows", "1.0.0").set("os", json!(["!win32"])),
    ];
    for package in &packages {
        srv = srv.may_need(&package.name, "1");
    }
    packages.extend([Package::new("for-mac", "1.0.0"), srv]);
    let registry = Registry::with(packages);
    for (architecture, own) in [
        (Architecture::X86_64, "x64-gnu"),
        (Architecture::Arm64, "arm64-gnu"),
    ] {
        let spec = ServerSpec {
            architecture,
            ..spec(&["srv"])
        };
        let versions = lock(&registry, &spec).await.expect("a lock").versions();
        let mut names: Vec<_> = versions.keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut expected = [own, "not-windows", "srv"];
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn a_package_that_does_not_exist_is_told_at_the_word_that_names_it() {
    let registry = Registry::with([
        server("srv", "1.0.0"),
        server("orphan", "1.0.0").needs("gone", "1"),
    ]);
    let given = ServerSpec {
        packages: vec!["zod".to_owned(), "@s/none@1".to_owned()],
        ..spec(&["srv"])
    };
    registry.release(&Package::new("zod", "3.0.0"));
    let error = failure(&registry, &given).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.to_string(),
        "package `@s/none` does not exist in the npm registry. Check its spelling; a private package needs the registry of its scope and \
         credentials for it (.npmrc)"
    );
    assert_eq!(
        error.locate(&source(&given)),
        Some(Attribute {
            name: "packages",
            index: Some(1)
        })
    );
    let error = failure(&registry, &spec(&["orphan"])).await;
    assert!(
        error
            .to_string()
            .starts_with("package `gone` does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_told_with_what_was_asked_for() {
    let registry = Registry::with([
        server("srv", "1.0.0"),
        Package::new("lib", "1.0.0"),
        server("needy", "1.0.0").needs("lib", "^2.0.0"),
    ]);
    for (args, expected, at) in [
        (
            &["-y", "srv@9"][..],
            "there is no release of `srv` that satisfies `9`. Ask for another version",
            Some(1),
        ),
        (
            &["srv@beta"],
            "there is no release of `srv` that satisfies `beta`. Ask for another version",
            Some(0),
        ),
        (
            &["needy"],
            "there is no release of `lib` that satisfies `^2.0.0`. Ask for another version",
            None,
        ),
    ] {
        let spec = spec(args);
        let error = failure(&registry, &spec).await;
        assert_eq!(error.to_string(), expected);
        let expected = Some(Attribute {
            name: "args",
            index: at,
        });
        assert_eq!(error.locate(&source(&spec)), expected, "{args:?}");
    }
}

#[tokio::test]
async fn peers_that_contradict_each_other_are_shown_as_npm_explains_them() {
    let registry = Registry::with([
        Package::new("lib", "1.0.0"),
        Package::new("lib", "2.0.0"),
        Package::new("plugin", "1.0.0").set("peerDependencies", json!({"lib": "^1.0.0"})),
        server("srv", "1.0.0")
            .needs("lib", "^2.0.0")
            .needs("plugin", "1"),
    ]);
    let error = failure(
        &registry,
        &ServerSpec {
            packages: vec!["lib@2".to_owned(), "plugin@1".to_owned()],
            ..spec(&["srv"])
        },
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    let said = error.to_string();
    assert!(
        said.starts_with("no set of versions satisfies every requirement:\n  ")
            && said.contains("plugin@"),
        "{said}"
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_not_mistaken_for_one_without_the_package() {
    let registry = Registry::with([server("srv", "1.0.0")]);
    registry.answer_with(Some(503));
    let error = failure(&registry, &spec(&["srv"])).await;
    assert_eq!(error.kind(), ErrorKind::Network);
    let said = error.to_string();
    assert!(
        said.starts_with("the npm registry could not be reached: 503"),
        "{said}"
    );

    let home = home();
    let mut offline = tools(&registry, home.path());
    registry.answer_with(None);
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nowhere.local_addr().expect("its address");
    drop(nowhere);
    offline.environment.insert(
        "npm_config_registry".into(),
        format!("http://{address}/").into(),
    );
    let error = resolve(&offline, &source(&spec(&["srv"])))
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains("ECONNREFUSED"), "{error}");
}

#[tokio::test]
async fn credentials_come_from_npmrc_and_a_refusal_says_so() {
    let registry = Registry::with([server("@s/srv", "1.0.0")]);
    registry.ask_for("secret-token");
    let error = failure(&registry, &spec(&["@s/srv"])).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert!(
        error
            .to_string()
            .starts_with("the npm registry refuses the request: "),
        "{error}"
    );

    let home = home();
    let mut tools = tools(&registry, home.path());
    // A scope of its own registry, with a token from the environment.
    let host = registry.url().replace("http:", "");
    std::fs::write(
        home.path().join(".npmrc"),
        format!(
            "@s:registry={}\n{host}:_authToken=${{TOKEN}}\n",
            registry.url()
        ),
    )
    .expect("a file");
    tools
        .environment
        .insert("TOKEN".into(), "secret-token".into());
    tools
        .environment
        .insert("npm_config_registry".into(), "http://127.0.0.1:9/".into());
    let lock = resolve(&tools, &source(&spec(&["@s/srv"])))
        .await
        .expect("a lock");
    assert_eq!(lock.versions()["@s/srv"], "1.0.0");
}

#[tokio::test]
async fn what_cannot_be_locked_is_refused() {
    let weak = server("weak", "1.0.0");
    let registry = Registry::with([weak.clone()]);
    registry.announce(&weak, "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    assert_eq!(
        failure(&registry, &spec(&["weak"])).await.to_string(),
        "the npm registry gives no SHA-512 for `weak@1.0.0` (only: sha1), so its bytes cannot be locked. Ask for a newer release of it in \
         `packages`"
    );
}

#[tokio::test]
async fn a_package_that_offers_no_such_program_is_refused_at_plan() {
    let registry = Registry::with([
        Package::new("lib", "1.0.0"),
        Package::new("two", "1.0.0")
            .bin("alpha", "a.js")
            .bin("beta", "b.js"),
    ]);
    for (args, expected) in [
        (
            &["lib"][..],
            "`lib 1.0.0` offers no command `lib`, nor any other; it is a library, not a server",
        ),
        (
            &["two"],
            "`two 1.0.0` offers no command `two`; it offers `alpha`, `beta`. Name one: args = [\"--package\", \"two\", \"alpha\"]",
        ),
        (
            &["-p", "two", "gamma"],
            "`two 1.0.0` offers no command `gamma`; `two` offers `alpha`, `beta`",
        ),
    ] {
        let error = failure(&registry, &spec(args)).await;
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Input, expected)
        );
    }
    lock(&registry, &spec(&["-p", "two", "beta"]))
        .await
        .expect("it is offered");
}

#[tokio::test]
async fn a_server_for_a_newer_node_names_the_runtime_that_fits() {
    let registry =
        Registry::with([server("srv", "1.0.0").set("engines", json!({"node": ">=24.1"}))]);
    let error = failure(&registry, &spec(&["srv"])).await;
    assert_eq!(
        error.to_string(),
        "`srv@1.0.0` needs Node >=24.1, which nodejs22.x is not. Set runtime = \"nodejs24.x\""
    );
    let newer = ServerSpec {
        runtime: Some("nodejs24.x".to_owned()),
        ..spec(&["srv"])
    };
    lock(&registry, &newer).await.expect("it fits");
}

#[tokio::test]
async fn settings_of_the_machine_do_not_change_what_is_locked() {
    let registry = Registry::with([
        Package::new("lib", "1.0.0"),
        server("srv", "1.0.0").may_need("lib", "1"),
    ]);
    let plain = lock(&registry, &spec(&["srv"])).await.expect("a lock");
    let home = home();
    let mut odd = tools(&registry, home.path());
    std::fs::write(
        home.path().join(".npmrc"),
        "omit=optional\npackage-lock=false\nlockfile-version=1\nglobal=true\ninstall-strategy=nested\ndry-run=true\n",
    )
    .expect("a file");
    for (name, value) in [
        ("npm_config_cpu", "arm64"),
        ("NODE_ENV", "production"),
        ("npm_config_json", "false"),
    ] {
        odd.environment.insert(name.into(), value.into());
    }
    let same = resolve(&odd, &source(&spec(&["srv"])))
        .await
        .expect("a lock");
    assert_eq!(same.to_string(), plain.to_string());
}

#[tokio::test]
async fn a_missing_npm_says_where_it_was_looked_for() {
    let registry = Registry::with([]);
    let home = home();
    let mut tools = tools(&registry, home.path());
    tools.npm_path = Some("/nonexistent/npm".into());
    let error = resolve(&tools, &source(&spec(&["srv"])))
        .await
        .expect_err("no npm");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.to_string(),
        "`npm` was not found: there is no program at `/nonexistent/npm` (`npm_path`). It resolves and installs the server's packages; \
         install Node.js 20 or newer, which brings it (https://nodejs.org), or set `npm_path` in the provider's configuration"
    );
    tools.npm_path = None;
    tools.environment.insert("PATH".into(), home.path().into());
    let error = resolve(&tools, &source(&spec(&["srv"])))
        .await
        .expect_err("no npm");
    assert!(
        error
            .to_string()
            .starts_with("`npm` was not found on PATH. "),
        "{error}"
    );
}

/// A git repository that holds a package.
fn repository(folder: &std::path::Path) {
    std::fs::write(
        folder.join("package.json"),
        r#"{"name": "lib", "version": "1.0.0"}"#,
    )
    .expect("written");
    for words in [
        &["init", "-q", "."][..],
        &["add", "."],
        &["commit", "-q", "-m", "lib"],
    ] {
        let ended = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(words)
            .current_dir(folder)
            .status()
            .expect("these tests need git");
        assert!(ended.success(), "git {words:?}");
    }
}

#[tokio::test]
async fn packages_from_git_and_from_urls_are_refused_with_what_needs_them() {
    let folder = home();
    repository(folder.path());
    let registry = Registry::with([Package::new("lib", "1.0.0")]);
    let url = format!("{}-/tarballs/lib/1.0.0.tgz", registry.url());
    let git = format!("git+file://{}", folder.path().display());
    for (name, wanted) in [("by-url", url), ("by-git", git)] {
        registry.release(&server(name, "1.0.0").needs("lib", &wanted));
        let error = failure(&registry, &spec(&[name])).await;
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                ErrorKind::Unresolvable,
                format!(
                    "`lib` (needed by `{name}@1.0.0`) does not come from an npm registry, so no lock could say which bytes run. Use a server whose \
                     packages are all published"
                )
            )
        );
    }
}

#[tokio::test]
async fn packages_that_their_authors_advise_against_are_told_with_their_words() {
    let registry = Registry::with([
        Package::new("old", "1.0.0").set("deprecated", json!("Use new instead.")),
        Package::new("fine", "1.0.0").set("deprecated", json!("")),
        server("srv", "1.0.0").needs("old", "1").needs("fine", "1"),
    ]);
    let home = home();
    let found = resolution(&tools(&registry, home.path()), &source(&spec(&["srv"])))
        .await
        .expect("a lock");
    let told: Vec<_> = found
        .notices
        .iter()
        .map(|notice| {
            (
                notice.title(),
                notice.attribute().to_string(),
                notice.to_string(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(
            "Deprecated packages",
            "args".to_owned(),
            "Their authors advise against these packages: old@1.0.0 (Use new instead). They are installed all the same; a newer release of what \
             needs them may do without."
                .to_owned()
        )]
    );
}
