//! A machine without `uv`, `npm` or Node: they are fetched once, by hash, from the user's registries, and kept.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcplambda::package::fetched_tools::{
    Archive, Hash, Members, NotFetched, Pins, Registry, complete,
};
use mcplambda::package::{ErrorKind, PackageError, Tool, Tools, build_around, resolve};
use mcplambda::provider::tool_files;
use sha2::{Digest, Sha512};
use tempfile::TempDir;

use crate::npm_registry::{self, Package};
use crate::npx_support;
use crate::package_support::{Index, Wheel};

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A machine with nothing on its PATH, and these variables.
fn bare(home: &Path, variables: &[(&str, &str)]) -> Tools {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::from([
        ("PATH".into(), "/nonexistent".into()),
        ("HOME".into(), home.into()),
        ("TMPDIR".into(), home.into()),
        ("UV_NO_CONFIG".into(), "1".into()),
        ("PIP_CONFIG_FILE".into(), "/dev/null".into()),
    ]);
    for (name, value) in variables {
        environment.insert((*name).into(), (*value).into());
    }
    Tools {
        uv_path: None,
        npm_path: None,
        cache_dir: Some(home.join("cache")),
        environment,
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

/// What the provider does before it resolves or installs.
async fn fetched(tools: &Tools, tool: Tool, pins: &Pins) -> Result<Tools, PackageError> {
    let environment = tools.environment.clone();
    complete(tools.clone(), tool, pins, move |archive| {
        let environment = environment.clone();
        async move { tool_files::fetch(archive, &environment, Path::new("/nonexistent")).await }
    })
    .await
}

/// A wheel that brings a program, as uv's do.
fn wheel() -> Wheel {
    Wheel::new("uv", "0.0.1").file("uv-0.0.1.data/scripts/uv", "#!/bin/sh\necho uv 0.0.1\n")
}

/// Pins with the wheel alone.
fn uv_pins(wheel: &Wheel) -> Pins {
    Pins {
        uv: Some(Archive {
            registry: Registry::Python,
            package: "uv".to_owned(),
            version: "0.0.1".to_owned(),
            file_name: wheel.file_name(),
            hash: Hash::Sha256(wheel.sha256()),
            members: Members::One("uv-0.0.1.data/scripts/uv".to_owned()),
        }),
        npm: None,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_missing_uv_is_fetched_once_and_then_needs_no_network() {
    let (index, home, wheel) = (Index::start(), home(), wheel());
    index.release(&wheel);
    let tools = bare(home.path(), &[("UV_DEFAULT_INDEX", &index.url())]);
    let pins = uv_pins(&wheel);
    let first = fetched(&tools, Tool::Uv, &pins).await.expect("a uv");
    let folder = format!("uv-0.0.1-{}", &wheel.sha256()[..12]);
    let uv = home.path().join("cache/tools").join(&folder).join("uv");
    assert_eq!(
        first,
        Tools {
            uv_path: Some(uv.clone()),
            ..tools.clone()
        }
    );
    assert_eq!(names(&home.path().join("cache/tools")), [folder]);
    let output = std::process::Command::new(&uv).output().expect("it runs");
    assert_eq!(output.stdout, b"uv 0.0.1\n");
    drop(index);
    let again = fetched(&tools, Tool::Uv, &pins).await;
    assert_eq!(again.expect("the kept uv"), first);
}

#[tokio::test]
async fn a_tool_of_an_earlier_release_goes_when_nobody_has_used_it_for_thirty_days() {
    let (index, home) = (Index::start(), home());
    let released = |version: &str| {
        let program = format!("uv-{version}.data/scripts/uv");
        let wheel = Wheel::new("uv", version).file(&program, "#!/bin/sh\n");
        index.release(&wheel);
        let pins = Pins {
            uv: uv_pins(&wheel).uv.map(|uv| Archive {
                version: version.to_owned(),
                members: Members::One(program),
                ..uv
            }),
            npm: None,
        };
        let folder = format!("uv-{version}-{}", &wheel.sha256()[..12]);
        (pins, folder)
    };
    let ((earlier, old), (present, new)) = (released("0.0.1"), released("0.0.2"));
    let begun = SystemTime::now();
    let after = async |days: u64, pins: &Pins| {
        let tools = Tools {
            now: begun + Duration::from_secs(days * 24 * 60 * 60),
            ..bare(home.path(), &[("UV_DEFAULT_INDEX", &index.url())])
        };
        fetched(&tools, Tool::Uv, pins).await.expect("a uv");
        let mut found = names(&home.path().join("cache/tools"));
        found.retain(|name| name != ".lock");
        found
    };
    assert_eq!(after(0, &earlier).await, std::slice::from_ref(&old));
    // The earlier release is still in use somewhere.
    assert_eq!(after(25, &present).await, [old.clone(), new.clone()]);
    assert_eq!(after(28, &earlier).await, [old.clone(), new.clone()]);
    assert_eq!(after(57, &present).await, [old, new.clone()]);
    assert_eq!(after(59, &present).await, [new]);
}

#[tokio::test]
async fn what_the_user_names_or_has_on_path_is_never_fetched() {
    let (home, wheel) = (home(), wheel());
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    for name in ["uv", "npm", "node"] {
        std::fs::write(bin.join(name), "").expect("a file");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755))
            .expect("a mode");
    }
    let mut pins = uv_pins(&wheel);
    pins.npm = Some(npm_pins(&node(), &npm()));
    let on_path = bare(home.path(), &[("PATH", bin.to_str().expect("UTF-8"))]);
    let named = Tools {
        uv_path: Some("/nonexistent/uv".into()),
        npm_path: Some("/nonexistent/npm".into()),
        ..bare(home.path(), &[])
    };
    for tools in [on_path, named] {
        for tool in [Tool::Uv, Tool::Npm] {
            assert_eq!(
                fetched(&tools, tool, &pins).await.expect("nothing to do"),
                tools
            );
        }
    }
    // The Node beside an npm that is named is the one that runs it.
    let mut beside = bare(home.path(), &[]);
    beside.npm_path = Some(bin.join("npm"));
    let found = fetched(&beside, Tool::Npm, &pins)
        .await
        .expect("nothing to do");
    let path = std::env::join_paths([bin.as_path(), Path::new("/nonexistent")]).expect("a PATH");
    beside.environment.insert("PATH".into(), path);
    assert_eq!(found, beside);

    // An npm without a Node to run it is none.
    std::fs::remove_file(bin.join("node")).expect("removed");
    let tools = bare(
        home.path(),
        &[
            ("PATH", bin.to_str().expect("UTF-8")),
            ("npm_config_offline", "true"),
        ],
    );
    assert!(fetched(&tools, Tool::Npm, &pins).await.is_err());
}

#[tokio::test]
async fn other_bytes_than_pinned_are_refused_whoever_brings_them() {
    let (index, home, wheel) = (Index::start(), home(), wheel());
    let other = wheel_with_more();
    index.release(&other);
    let tools = bare(home.path(), &[("UV_DEFAULT_INDEX", &index.url())]);
    let folder = home.path().join("cache/tools");
    let error = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect_err("another hash");
    assert_eq!(error.kind(), ErrorKind::Tool);
    let expected = |what: &str| {
        format!(
            "`uv` was not found on PATH, and could not be fetched: {what} is not `uv-0.0.1-py3-none-any.whl` as it was published: its hash is \
             sha256:{}. Install it, set `uv_path` in the provider's configuration, or place `uv-0.0.1-py3-none-any.whl` (sha256:{}) into `{}`",
            other.sha256(),
            wheel.sha256(),
            folder.display()
        )
    };
    assert_eq!(error.to_string(), expected("what the registry has"));
    assert_eq!(names(&folder), Vec::<String>::new());

    std::fs::create_dir_all(&folder).expect("a directory");
    let by_hand = folder.join(wheel.file_name());
    std::fs::write(&by_hand, other.bytes()).expect("a file");
    let error = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect_err("another hash");
    assert_eq!(
        error.to_string(),
        expected(&format!("`{}`", by_hand.display()))
    );
}

fn wheel_with_more() -> Wheel {
    wheel().file("more.txt", "more")
}

#[tokio::test]
async fn without_a_network_the_error_says_what_to_place_where_and_that_is_enough() {
    let (home, wheel) = (home(), wheel());
    let tools = bare(
        home.path(),
        &[("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:9/simple")],
    );
    let folder = home.path().join("cache/tools");
    let error = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Network);
    let text = error.to_string();
    let (start, end) = (
        "`uv` was not found on PATH, and could not be fetched: `http://127.0.0.1:9/simple/uv/`: ",
        format!(
            ". Install it, set `uv_path` in the provider's configuration, or place `uv-0.0.1-py3-none-any.whl` (sha256:{}) into `{}`",
            wheel.sha256(),
            folder.display()
        ),
    );
    assert!(text.starts_with(start) && text.ends_with(&end), "{text}");
    assert!(
        text.contains("onnection refused") && !text.contains("secret"),
        "{text}"
    );

    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::write(folder.join(wheel.file_name()), wheel.bytes()).expect("a file");
    let tools = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect("the placed uv");
    assert!(tools.uv_path.expect("a uv").is_file());
}

#[tokio::test]
async fn an_index_that_answers_without_the_file_is_named_and_the_next_one_is_asked() {
    let (first, second, home, wheel) = (Index::start(), Index::start(), home(), wheel());
    first.release(&Wheel::new("uv", "0.0.2"));
    let tools = bare(
        home.path(),
        &[
            ("UV_INDEX", &format!("own={}", first.url())),
            ("UV_DEFAULT_INDEX", &second.url()),
        ],
    );
    let error = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect_err("nobody has it");
    assert_eq!(error.kind(), ErrorKind::Tool);
    let said = format!(
        "could not be fetched: `uv-0.0.1-py3-none-any.whl` is not in `{}`, `{}`. Install",
        first.url(),
        second.url()
    );
    assert!(error.to_string().contains(&said), "{error}");
    second.release(&wheel);
    fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect("the second one's");
}

#[tokio::test]
async fn credentials_of_the_index_are_shown_to_it_and_to_nobody_else() {
    let (index, wheel) = (Index::start(), wheel());
    index.release(&wheel);
    index.ask_for("me", "p@ss");
    let (address, url) = (index.address(), index.url());
    let (user, password) = ("UV_INDEX_OUR_OWN_USERNAME", "UV_INDEX_OUR_OWN_PASSWORD");
    let in_address = format!("http://me:p%40ss@{address}/simple");
    let named = format!("our-own={url}");
    for variables in [
        vec![("UV_DEFAULT_INDEX", in_address.as_str())],
        vec![("UV_INDEX_URL", in_address.as_str())],
        vec![("PIP_INDEX_URL", in_address.as_str())],
        vec![
            ("UV_DEFAULT_INDEX", named.as_str()),
            (user, "me"),
            (password, "p@ss"),
        ],
        vec![("UV_DEFAULT_INDEX", url.as_str()), ("NETRC", "netrc")],
    ] {
        let home = home();
        let netrc = home.path().join("netrc");
        std::fs::write(&netrc, "machine 127.0.0.1 login me password p@ss\n").expect("a file");
        let mut tools = bare(home.path(), &variables);
        if let Some(path) = tools.environment.get_mut(std::ffi::OsStr::new("NETRC")) {
            *path = netrc.into();
        }
        let got = fetched(&tools, Tool::Uv, &uv_pins(&wheel)).await;
        got.unwrap_or_else(|error| panic!("{variables:?}: {error}"));
    }
    let home = home();
    let wrong = format!("http://me:wrong-pass@{address}/simple");
    let tools = bare(home.path(), &[("UV_DEFAULT_INDEX", &wrong)]);
    let error = fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect_err("a wrong password");
    let said =
        format!("could not be fetched: `{url}/uv/`: it answered with status 401. Install it");
    assert!(error.to_string().contains(&said), "{error}");
    assert!(!format!("{error:?}").contains("wrong-pass"), "{error:?}");
}

#[tokio::test]
async fn an_index_that_is_busy_for_a_moment_is_asked_again() {
    let (index, home, wheel) = (Index::start(), home(), wheel());
    index.release(&wheel);
    index.be_busy(1);
    let tools = bare(home.path(), &[("UV_DEFAULT_INDEX", &index.url())]);
    fetched(&tools, Tool::Uv, &uv_pins(&wheel))
        .await
        .expect("a uv");
}

#[tokio::test]
async fn resources_that_are_planned_at_once_wait_for_one_download() {
    let (home, wheel) = (home(), wheel());
    let (tools, pins) = (bare(home.path(), &[]), uv_pins(&wheel));
    let fetches = AtomicUsize::new(0);
    let one = || {
        complete(tools.clone(), Tool::Uv, &pins, |_| async {
            fetches.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(wheel.bytes())
        })
    };
    let (a, b, c) = tokio::join!(one(), one(), one());
    let (a, b, c) = (a.expect("a uv"), b.expect("a uv"), c.expect("a uv"));
    assert!(a == b && b == c);
    assert_eq!(fetches.into_inner(), 1);
}

#[tokio::test]
async fn another_process_that_is_faster_does_no_harm() {
    let (home, wheel) = (home(), wheel());
    let (tools, pins) = (bare(home.path(), &[]), uv_pins(&wheel));
    let folder = format!("uv-0.0.1-{}", &wheel.sha256()[..12]);
    let place = home.path().join("cache/tools").join(&folder);
    let got = complete(tools, Tool::Uv, &pins, |_| async {
        std::fs::create_dir_all(&place).expect("a directory");
        std::fs::write(place.join("uv"), "theirs").expect("a file");
        Ok(wheel.bytes())
    })
    .await
    .expect("a uv");
    let uv = got.uv_path.expect("a uv");
    assert_eq!(std::fs::read(uv).expect("a file"), b"theirs");
    assert_eq!(names(&home.path().join("cache/tools")), [folder]);
}

#[tokio::test]
async fn what_cannot_be_fetched_or_kept_is_told() {
    let (home, wheel) = (home(), wheel());
    let never = |_| {
        std::future::ready(Err(NotFetched {
            reason: "asked".to_owned(),
            unreachable: false,
        }))
    };
    let mut tools = bare(home.path(), &[]);
    let none = Pins {
        uv: None,
        npm: None,
    };
    let advice = "It resolves and installs the server's packages; install it (`pip install uv`, or see \
                  https://docs.astral.sh/uv/getting-started/installation/) or set `uv_path` in the provider's configuration";
    let error = complete(tools.clone(), Tool::Uv, &none, never)
        .await
        .expect_err("no pin");
    assert_eq!(
        error.to_string(),
        format!(
            "`uv` was not found on PATH, and none that could be fetched is known for {} on {}. {advice}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )
    );
    tools.cache_dir = None;
    tools.environment.remove(std::ffi::OsStr::new("HOME"));
    let error = complete(tools, Tool::Uv, &uv_pins(&wheel), never)
        .await
        .expect_err("no place");
    assert_eq!(
        error.to_string(),
        format!(
            "`uv` was not found on PATH, and there is no place to keep a fetched one: neither `cache_dir` nor HOME is set. {advice}"
        )
    );
}

/// A Node that is the machine's own.
fn node() -> Package {
    let real = real("node");
    let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", real.display());
    Package::new("node-test-x64", "22.0.0").file("bin/node", text)
}

/// An npm that is the machine's own.
fn npm() -> Package {
    let real = std::fs::canonicalize(real("npm")).expect("npm is a link");
    let text = format!(
        "#!/usr/bin/env node\nrequire({:?});\n",
        real.display().to_string()
    );
    Package::new("npm", "11.0.0").file("bin/npm-cli.js", text)
}

fn real(name: &str) -> PathBuf {
    let npm = npx_support::npm();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    match name {
        "npm" => npm,
        _ => found
            .into_iter()
            .find(|path| path.is_file())
            .expect("these tests need node"),
    }
}

fn npm_pins(node: &Package, npm: &Package) -> [Archive; 2] {
    let archive = |package: &Package, members| Archive {
        registry: Registry::Npm,
        package: package.name.clone(),
        version: package.version.clone(),
        file_name: format!("{}-{}.tgz", package.name, package.version),
        hash: Hash::Sha512(STANDARD.encode(Sha512::digest(package.tarball()))),
        members,
    };
    [
        archive(node, Members::One("package/bin/node".to_owned())),
        archive(npm, Members::Below("package".to_owned())),
    ]
}

#[tokio::test]
async fn a_missing_npm_is_fetched_with_its_node_and_packs_a_server_with_scripts() {
    let (node, npm, home) = (node(), npm(), home());
    let server = Package::new("srv", "1.0.0")
        .bin("srv", "srv.js")
        .file("srv.js", "#!/usr/bin/env node\n")
        .script(
            "postinstall",
            "node -e \"require('fs').writeFileSync('made.js', '')\"",
        );
    let registry = npm_registry::Registry::with([node.clone(), npm.clone(), server]);
    registry.ask_for("t0ken");
    let url = registry.url();
    let place = url.trim_start_matches("http:");
    std::fs::write(
        home.path().join(".npmrc"),
        format!("registry = {url}\n{place}:_authToken=${{TOKEN}}\nfetch-retries=0\n"),
    )
    .expect("a file");
    let pins = Pins {
        uv: None,
        npm: Some(npm_pins(&node, &npm)),
    };
    // A shell for scripts, and nothing else.
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).expect("a link");
    let path = bin.display().to_string();
    let globalconfig = home.path().join("none").display().to_string();
    let tools = |token| {
        bare(
            home.path(),
            &[
                ("TOKEN", token),
                ("npm_config_globalconfig", &globalconfig),
                ("PATH", &path),
            ],
        )
    };
    let folder = home.path().join("cache/tools");
    let error = fetched(&tools("wr0ng"), Tool::Npm, &pins)
        .await
        .expect_err("a wrong token");
    assert_eq!(error.kind(), ErrorKind::Tool);
    let hash = |package: &Package| STANDARD.encode(Sha512::digest(package.tarball()));
    assert_eq!(
        error.to_string(),
        format!(
            "`npm` was not found on PATH, and could not be fetched: `{url}node-test-x64`: it answered with status 401. Install it, set `npm_path` in the \
             provider's configuration, or place `node-test-x64-22.0.0.tgz` (sha512-{}) and `npm-11.0.0.tgz` (sha512-{}) into `{}`",
            hash(&node),
            hash(&npm),
            folder.display()
        )
    );

    let tools = fetched(&tools("t0ken"), Tool::Npm, &pins)
        .await
        .expect("an npm");
    let spec = mcplambda::package::ServerSpec {
        allow_scripts: Some(vec!["srv".to_owned()]),
        ..npx_support::spec(&["srv"])
    };
    let source = npx_support::source(&spec);
    let lock = resolve(&tools, &source).await.expect("a lock");
    let artifact = build_around(b"", &tools, &source, &lock)
        .await
        .expect("a package");
    let files: Vec<_> = crate::package_support::contents(&artifact.zip)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| name.starts_with("node_modules/srv/"))
        .collect();
    assert!(
        files.contains(&"node_modules/srv/made.js".to_owned()),
        "{files:?}"
    );

    let lacking = Tools {
        environment: bare(home.path(), &[]).environment,
        ..tools.clone()
    };
    let error = resolve(&lacking, &source)
        .await
        .expect_err("a script without a Node");
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` cannot be used as `npm`: it is a script for Node, and there is no `node` on PATH",
            tools.npm_path.expect("an npm").display()
        )
    );
}

#[test]
fn every_system_that_terraform_is_common_on_has_its_files() {
    for (os, arch) in [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("macos", "x86_64"),
        ("macos", "aarch64"),
        ("windows", "x86_64"),
        ("windows", "aarch64"),
    ] {
        let pins = Pins::on(os, arch, false);
        let [node, npm] = pins.npm.clone().expect("an npm");
        for archive in [pins.uv.expect("a uv"), node, npm] {
            match &archive.hash {
                Hash::Sha256(digits) => assert_eq!(digits.len(), 64, "{archive:?}"),
                Hash::Sha512(text) => {
                    assert_eq!(
                        STANDARD.decode(text).expect("base64").len(),
                        64,
                        "{archive:?}"
                    );
                }
            }
            assert!(archive.file_name.contains(&archive.version), "{archive:?}");
        }
    }
    assert_eq!(Pins::on("linux", "x86_64", true).npm, None);
    assert_eq!(
        Pins::on("solaris", "sparc64", false),
        Pins {
            uv: None,
            npm: None
        }
    );
}
