//! Versions are chosen as `uvx` chooses them, one hash is kept for each, and whatever cannot be resolved says why and what to do.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mcplambda::package::{
    Architecture, Attribute, ErrorKind, PackageError, ServerSpec, Tools, build_around, plan_source,
    resolution, resolve,
};
use tempfile::TempDir;

use crate::package_support::{Index, Wheel, source, spec, tools, uv};

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn lock(index: &Index, spec: &ServerSpec) -> String {
    let home = home();
    let source = plan_source(spec).expect("a valid spec");
    let lock = resolve(&tools(&index.url(), home.path()), &source)
        .await
        .expect("a resolution");
    lock.to_string()
}

async fn failure(index: &Index, spec: &ServerSpec) -> PackageError {
    let home = home();
    let source = plan_source(spec).expect("a valid spec");
    resolve(&tools(&index.url(), home.path()), &source)
        .await
        .expect_err("no resolution")
}

#[tokio::test]
async fn the_newest_release_and_its_dependencies_are_locked() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    let srv = index.release(&Wheel::new("srv", "1.1").needs("lib>=1"));
    index.release(&Wheel::new("srv", "2.0rc1"));
    let lib = index.release(&Wheel::new("lib", "3.0"));
    let expected = format!("lib==3.0 --hash=sha256:{lib}\nsrv==1.1 --hash=sha256:{srv}\n");
    assert_eq!(lock(&index, &spec(&["srv"])).await, expected);
    assert_eq!(lock(&index, &spec(&["srv@latest"])).await, expected);
}

#[tokio::test]
async fn a_version_that_is_asked_for_is_the_one_even_when_it_is_a_prerelease() {
    let index = Index::start();
    let old = index.release(&Wheel::new("srv", "1.0"));
    index.release(&Wheel::new("srv", "1.1"));
    let candidate = index.release(&Wheel::new("srv", "2.0rc1"));
    assert_eq!(
        lock(&index, &spec(&["srv@1.0"])).await,
        format!("srv==1.0 --hash=sha256:{old}\n")
    );
    assert_eq!(
        lock(&index, &spec(&["srv@2.0rc1"])).await,
        format!("srv==2.0rc1 --hash=sha256:{candidate}\n")
    );
    assert_eq!(
        lock(&index, &spec(&["--prerelease", "allow", "srv"])).await,
        format!("srv==2.0rc1 --hash=sha256:{candidate}\n")
    );
}

#[tokio::test]
async fn latest_sees_a_release_that_the_cache_does_not_know() {
    let (index, home) = (Index::start(), home());
    let tools = tools(&index.url(), home.path());
    index.release(&Wheel::new("srv", "1.0"));
    resolve(&tools, &source(&["srv"]))
        .await
        .expect("a resolution");
    let newer = index.release(&Wheel::new("srv", "1.1"));
    let lock = resolve(&tools, &source(&["srv@latest"]))
        .await
        .expect("a resolution");
    assert_eq!(
        lock.to_string(),
        format!("srv==1.1 --hash=sha256:{newer}\n")
    );
}

#[tokio::test]
async fn extras_with_and_packages_bring_their_dependencies() {
    let index = Index::start();
    let srv = index.release(
        &Wheel::new("srv", "1.0")
            .metadata("Provides-Extra: cli")
            .needs("rich ; extra == 'cli'")
            .needs("docs ; extra == 'docs'"),
    );
    let rich = index.release(&Wheel::new("rich", "1"));
    let with = index.release(&Wheel::new("besides", "1"));
    index.release(&Wheel::new("pinned", "2"));
    let pinned = index.release(&Wheel::new("pinned", "1"));
    let spec = ServerSpec {
        packages: vec!["pinned<2".to_owned()],
        ..spec(&["--with", "besides", "srv[cli]"])
    };
    assert_eq!(
        lock(&index, &spec).await,
        format!(
            "besides==1 --hash=sha256:{with}\npinned==1 --hash=sha256:{pinned}\nrich==1 --hash=sha256:{rich}\nsrv==1.0 --hash=sha256:{srv}\n"
        )
    );
}

#[tokio::test]
async fn the_wheel_is_chosen_for_the_function_and_not_for_this_machine() {
    let index = Index::start();
    let tags = [
        "py3-none-any",
        "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp313-cp313-manylinux_2_17_x86_64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_36_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp313-cp313-win_amd64",
        "cp312-cp312-manylinux_2_34_x86_64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64",
    ];
    let hash: std::collections::BTreeMap<_, _> = tags
        .into_iter()
        .map(|tag| {
            (
                tag,
                index.release(&Wheel::new("srv", "1.0").tag(tag).file("which.txt", tag)),
            )
        })
        .collect();
    let table = [
        (
            None,
            Architecture::X86_64,
            "cp313-cp313-manylinux_2_28_x86_64",
        ),
        (
            None,
            Architecture::Arm64,
            "cp313-cp313-manylinux_2_28_aarch64",
        ),
        (
            Some("python3.12"),
            Architecture::X86_64,
            "cp312-cp312-manylinux_2_34_x86_64",
        ),
        (
            Some("python3.11"),
            Architecture::X86_64,
            "cp311-cp311-manylinux_2_17_x86_64",
        ),
        (
            Some("python3.14"),
            Architecture::X86_64,
            "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        ),
        (Some("python3.14"), Architecture::Arm64, "py3-none-any"),
    ];
    for (runtime, architecture, tag) in table {
        let spec = ServerSpec {
            runtime: runtime.map(str::to_owned),
            architecture,
            ..spec(&["srv"])
        };
        assert_eq!(
            lock(&index, &spec).await,
            format!("srv==1.0 --hash=sha256:{}\n", hash[tag]),
            "{runtime:?} {architecture}"
        );
    }
}

#[tokio::test]
async fn a_missing_package_names_itself() {
    let index = Index::start();
    let error = failure(&index, &spec(&["mcp-server-tmie"])).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.to_string(),
        "package `mcp-server-tmie` does not exist in the package index. Check its spelling; a private package needs its index \
         (UV_INDEX, or `--index` in args)"
    );
}

#[tokio::test]
async fn a_missing_dependency_names_itself_and_who_needs_it() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0").needs("gone"));
    let error = failure(&index, &spec(&["srv"])).await;
    assert_eq!(
        error.to_string(),
        "package `gone` (needed by `srv`) does not exist in the package index. Check its spelling; a private package needs its \
         index (UV_INDEX, or `--index` in args)"
    );
}

#[tokio::test]
async fn an_error_about_a_package_points_at_the_word_that_names_it() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    let spec = ServerSpec {
        packages: vec!["srv".to_owned(), "No_Such".to_owned()],
        ..spec(&["srv"])
    };
    let error = failure(&index, &spec).await;
    let source = plan_source(&spec).expect("valid");
    assert_eq!(
        error.locate(&source),
        Some(Attribute {
            name: "packages",
            index: Some(1)
        })
    );
}

#[tokio::test]
async fn a_missing_version_names_the_newest_one() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    index.release(&Wheel::new("srv", "1.4"));
    let error = failure(&index, &spec(&["srv@99.1"])).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.to_string(),
        "there is no release of `srv` that satisfies `==99.1`; the newest that runs on python3.13 for x86_64 is 1.4. Ask for another \
         version"
    );
    let error = failure(&index, &spec(&["srv>2"])).await;
    assert_eq!(
        error.to_string(),
        "there is no release of `srv` that satisfies `>2`; the newest that runs on python3.13 for x86_64 is 1.4. Ask for another version"
    );
    index.release(&Wheel::new("user", "1.0").needs("srv>=7"));
    let error = failure(&index, &spec(&["user"])).await;
    assert_eq!(
        error.to_string(),
        "there is no release of `srv` (needed by `user`) that satisfies `>=7`; the newest that runs on python3.13 for x86_64 is \
         1.4. Ask for another version"
    );
}

#[tokio::test]
async fn requirements_that_contradict_each_other_are_explained() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0").needs("lib>=2"));
    index.release(&Wheel::new("lib", "1"));
    index.release(&Wheel::new("lib", "2"));
    let spec = ServerSpec {
        packages: vec!["lib<2".to_owned()],
        ..spec(&["srv"])
    };
    let error = failure(&index, &spec).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.to_string(),
        "no set of versions satisfies every requirement:\n  Because all versions of srv depend on lib>=2 and you require srv, we can \
         conclude that you require lib>=2.\n  And because you require lib<2, we can conclude that your requirements are \
         unsatisfiable.\nLoosen one of the requirements in `args` or `packages`"
    );
}

#[tokio::test]
async fn a_dependency_that_is_published_as_source_only_is_named() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0").needs("sourceonly"));
    index.put(
        "sourceonly",
        "sourceonly-1.0.tar.gz",
        b"never opened".to_vec(),
    );
    let error = failure(&index, &spec(&["srv"])).await;
    assert_eq!(error.kind(), ErrorKind::NoWheel);
    assert_eq!(
        error.to_string(),
        "`sourceonly==1.0` (needed by `srv`) has no wheel that runs on python3.13 for x86_64: the index has only a source distribution, \
         and nothing is built here. Ask for a version of `sourceonly` that is published as a wheel in `packages`, or use a server that \
         does not need it"
    );
}

#[tokio::test]
async fn a_wheel_for_another_python_names_the_runtime_that_would_do() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0").needs("native"));
    index.put("native", "native-1.0.tar.gz", b"never opened".to_vec());
    index.release(&Wheel::new("native", "1.0").tag("cp312-cp312-manylinux_2_17_x86_64"));
    let error = failure(&index, &spec(&["srv"])).await;
    assert_eq!(
        error.to_string(),
        "`native==1.0` (needed by `srv`) has no wheel that runs on python3.13 for x86_64: the index has one for python3.12. Set runtime \
         = \"python3.12\", or ask for another version of `native` in `packages`"
    );
}

#[tokio::test]
async fn a_wheel_for_another_platform_names_it() {
    let index = Index::start();
    index.release(&Wheel::new("native", "1.0").tag("cp313-cp313-manylinux_2_17_aarch64"));
    index.release(&Wheel::new("winonly", "1.0").tag("cp313-cp313-win_amd64"));
    let error = failure(&index, &spec(&["native"])).await;
    assert_eq!(error.kind(), ErrorKind::NoWheel);
    assert_eq!(
        error.to_string(),
        "`native==1.0` has no wheel that runs on python3.13 for x86_64: wheels are available for `native` (v1.0) on the following platform: \
         `manylinux_2_17_aarch64`; the index has one for arm64 only. Set architecture = \"arm64\", or ask for another version of `native` \
         in `packages`"
    );
    let error = failure(&index, &spec(&["winonly"])).await;
    assert_eq!(
        error.to_string(),
        "`winonly==1.0` has no wheel that runs on python3.13 for x86_64: wheels are available for `winonly` (v1.0) on the following platform: \
         `win_amd64`; the index has one for Windows only. `winonly` does not run on Linux; use a server that does not need it"
    );
}

#[tokio::test]
async fn a_package_that_needs_a_newer_python_says_which_runtime_has_it() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0").metadata("Requires-Python: >=3.14"));
    let error = failure(&index, &spec(&["srv"])).await;
    assert_eq!(error.kind(), ErrorKind::NoWheel, "{error}");
    assert_eq!(
        error.to_string(),
        "`srv==1.0` has no wheel that runs on python3.13 for x86_64: it supports Python >=3.14; the index has one for python3.14. Set runtime \
         = \"python3.14\", or ask for another version of `srv` in `packages`"
    );
}

#[tokio::test]
async fn an_index_that_is_gone_is_a_network_error() {
    let index = Index::start();
    let url = index.url();
    drop(index);
    let home = home();
    let error = resolve(&tools(&url, home.path()), &source(&["srv"]))
        .await
        .expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(
        error.to_string(),
        format!(
            "the package index could not be reached: `{url}/srv/`: Connection refused (os error 111). Check the network and proxy \
             settings, and the index that `uv` is told to use (UV_DEFAULT_INDEX, UV_INDEX_URL, uv.toml)"
        )
    );
}

#[tokio::test]
async fn an_index_that_fails_is_a_network_error() {
    let index = Index::start();
    index.answer_with("503 Service Unavailable");
    let error = failure(&index, &spec(&["srv"])).await;
    let url = index.url();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(
        error.to_string(),
        format!(
            "the package index could not be reached: `{url}/srv/`: HTTP status server error (503 Service Unavailable) for url \
             ({url}/srv/). Check the network and proxy settings, and the index that `uv` is told to use (UV_DEFAULT_INDEX, \
             UV_INDEX_URL, uv.toml)"
        )
    );
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_a_network_error() {
    let home = home();
    let error = resolve(
        &tools("http://index.invalid/simple", home.path()),
        &source(&["srv"]),
    )
    .await
    .expect_err("no such host");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(
        error.to_string().starts_with(
            "the package index could not be reached: `http://index.invalid/simple/srv/`: "
        ),
        "{error}"
    );
}

#[tokio::test]
async fn staying_offline_with_a_cold_cache_is_a_network_error() {
    let (index, home) = (Index::start(), home());
    index.release(&Wheel::new("srv", "1.0"));
    let mut tools = tools(&index.url(), home.path());
    tools.environment.insert("UV_OFFLINE".into(), "1".into());
    for args in [&["srv"], &["srv@latest"]] {
        let error = resolve(&tools, &source(args))
            .await
            .expect_err("an empty cache");
        assert_eq!(error.kind(), ErrorKind::Network);
        assert_eq!(
            error.to_string(),
            "the package index could not be reached: `uv` was told to stay offline (UV_OFFLINE), and `srv` is not in its cache. Check \
             the network and proxy settings, and the index that `uv` is told to use (UV_DEFAULT_INDEX, UV_INDEX_URL, uv.toml)"
        );
    }
}

#[tokio::test]
async fn an_index_that_wants_credentials_says_so() {
    let index = Index::start();
    index.answer_with("401 Unauthorized");
    let error = failure(&index, &spec(&["srv"])).await;
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.to_string(),
        format!(
            "the package index refuses the request: An index URL ({}) could not be queried due to a lack of valid authentication \
             credentials (401 Unauthorized). Check the credentials that `uv` is given for it",
            index.url()
        )
    );
}

#[tokio::test]
async fn a_specifier_that_uv_cannot_read_points_at_its_element() {
    let index = Index::start();
    let spec = ServerSpec {
        packages: vec!["lib".to_owned(), "lib>=one".to_owned()],
        ..spec(&["srv"])
    };
    let error = failure(&index, &spec).await;
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.attribute(),
        Some(Attribute {
            name: "packages",
            index: Some(1)
        })
    );
    assert!(
        error
            .to_string()
            .starts_with("packages[1]: `lib>=one` is not a requirement: "),
        "{error}"
    );
}

#[tokio::test]
async fn an_option_value_that_uv_refuses_is_the_users() {
    let index = Index::start();
    let error = failure(&index, &spec(&["--index-strategy", "guess", "srv"])).await;
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "args: `uv` refuses them: invalid value 'guess' for '--index-strategy <INDEX_STRATEGY>'"
    );
}

#[tokio::test]
async fn settings_that_choose_versions_are_honoured_and_those_of_the_machine_are_not() {
    let (index, home) = (Index::start(), home());
    let old = index.release(&Wheel::new("srv", "1.0"));
    index.release(&Wheel::new("srv", "2.0"));
    let mut tools = tools(&index.url(), home.path());
    tools
        .environment
        .insert("UV_RESOLUTION".into(), "lowest".into());
    tools.environment.insert("UV_NO_BINARY".into(), "1".into());
    tools.environment.insert("UV_PYTHON".into(), "3.99".into());
    tools
        .environment
        .insert("VIRTUAL_ENV".into(), "/nonexistent".into());
    tools.environment.insert("RUST_LOG".into(), "debug".into());
    let lock = resolve(&tools, &source(&["srv"]))
        .await
        .expect("a resolution");
    assert_eq!(lock.to_string(), format!("srv==1.0 --hash=sha256:{old}\n"));
}

#[tokio::test]
async fn a_flat_directory_serves_as_index() {
    let home = home();
    let wheel = Wheel::new("srv", "1.0");
    std::fs::write(home.path().join(wheel.file_name()), wheel.bytes()).expect("a wheel on disk");
    let tools = tools("http://127.0.0.1:9/unused", home.path());
    let directory = home.path().display().to_string();
    let lock = resolve(
        &tools,
        &source(&["--no-index", "--find-links", &directory, "srv"]),
    )
    .await
    .expect("a resolution");
    assert_eq!(
        lock.to_string(),
        format!("srv==1.0 --hash=sha256:{}\n", wheel.sha256())
    );
}

#[tokio::test]
async fn a_tool_that_is_not_uv_is_named() {
    let home = home();
    let mut tools = tools("http://127.0.0.1:9/unused", home.path());
    let path = home.path().join("uv");
    std::fs::write(&path, "#!/nonexistent/shell\n").expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    tools.uv_path = Some(path.clone());
    let error = resolve(&tools, &source(&["srv"]))
        .await
        .expect_err("it cannot be started");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` cannot be used as `uv`: it cannot be started: No such file or directory (os error 2)",
            path.display()
        )
    );
}

/// Tools without any Python: outside of virtual environments, whose interpreter `uv` would find beside itself.
fn without_python(index: &Index, home: &Path) -> Tools {
    let mut tools = tools(&index.url(), home);
    tools.environment.insert("PATH".into(), home.into());
    let alone = home.join("uv-alone");
    std::fs::copy(uv(), &alone).expect("a copy of uv");
    tools.uv_path = Some(alone);
    tools
}

#[tokio::test]
async fn without_any_python_the_same_is_resolved_and_packed() {
    let (index, home) = (Index::start(), home());
    index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .needs("old; python_version < '3.13'")
            .needs("new; python_version >= '3.13' and platform_machine == 'aarch64'"),
    );
    index.release(&Wheel::new("new", "2.0").tag("cp313-cp313-manylinux_2_17_aarch64"));
    let with = tools(&index.url(), home.path());
    let without = without_python(&index, home.path());
    let source = plan_source(&ServerSpec {
        architecture: Architecture::Arm64,
        ..spec(&["srv"])
    })
    .expect("valid");
    let lock = resolve(&without, &source).await.expect("a lock");
    assert_eq!(
        lock.versions(),
        BTreeMap::from([
            ("new".to_owned(), "2.0".to_owned()),
            ("srv".to_owned(), "1.0".to_owned())
        ])
    );
    assert_eq!(lock, resolve(&with, &source).await.expect("a lock"));
    let built = build_around(b"", &without, &source, &lock)
        .await
        .expect("a package");
    assert!(
        built
            == build_around(b"", &with, &source, &lock)
                .await
                .expect("a package")
    );
}

#[tokio::test]
async fn no_python_and_no_place_for_a_stand_in_is_told() {
    let (index, home) = (Index::start(), home());
    let mut tools = without_python(&index, home.path());
    tools.cache_dir = None;
    tools
        .environment
        .insert("UV_CACHE_DIR".into(), home.path().join("uv-cache").into());
    tools.environment.remove(std::ffi::OsStr::new("HOME"));
    let error = resolve(&tools, &source(&["srv"]))
        .await
        .expect_err("no interpreter");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` cannot be used as `uv`: it needs a Python interpreter on this machine, of any version, and finds none. Install one \
             (for example `uv python install`)",
            home.path().join("uv-alone").display()
        )
    );
}

#[tokio::test]
async fn a_yanked_release_that_is_asked_for_is_told_with_the_reason() {
    let index = Index::start();
    for version in ["1.0", "1.1", "1.2"] {
        index.release_at(&Wheel::new("srv", version), "2026-01-01T00:00:00Z");
    }
    index.yank(&Wheel::new("srv", "1.1"), "It deletes \"files\".");
    index.yank(&Wheel::new("srv", "1.2"), "");
    let home = tempfile::tempdir().expect("a temporary directory");
    let tools = tools(&index.url(), home.path());
    let told = async |wanted: &str| {
        let found = resolution(&tools, &source(&["-q", wanted]))
            .await
            .expect("a lock");
        let told = found.notices.iter().map(|notice| {
            let attribute = notice.attribute().to_string();
            (notice.title(), attribute, notice.to_string())
        });
        (
            found.lock.versions()["srv"].clone(),
            told.collect::<Vec<_>>(),
        )
    };
    let yanked = |text: &str| vec![("Yanked release", "args[1]".to_owned(), text.to_owned())];
    assert_eq!(
        told("srv==1.1").await,
        (
            "1.1".to_owned(),
            yanked(
                "`srv 1.1` was yanked: its publishers say that nobody should use it (It deletes \"files\"). It is installed all the same, as it was \
                 asked for by its version; ask for another one."
            )
        )
    );
    assert_eq!(told("srv").await, ("1.0".to_owned(), Vec::new()));
}
