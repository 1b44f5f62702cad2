//! A package is made once: who asks for it again, later or at the same time, gets the same one, and nothing that happens to the cache
//! folder is more than a package made anew.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcplambda::package::{
    Artifact, Lock, PackageError, ServerSpec, Source, Tools, build_around, open, plan_source,
    resolve,
};
use tempfile::TempDir;

use crate::npm_registry::{Package, Registry};
use crate::npx_support;
use crate::package_support::{Index, Wheel, source, spec, tools};

const BRIDGE: &[u8] = b"\x7fELF stands for the bridge";

/// Of [`server`] with `lib` 2.0 and [`BRIDGE`].
const GOLDEN: &str = "AUZdmq2XPA7FdeOQ+N5UWRqoCRzlzKZDDzof7rOxDqQ=";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn server() -> Wheel {
    Wheel::new("srv", "1.0")
        .script("srv", "srv:main")
        .script("srv-admin", "srv:admin")
        .needs("lib")
}

fn shop() -> Index {
    let index = Index::start();
    index.release(&server());
    index.release(&Wheel::new("lib", "2.0"));
    index
}

/// A program in `home` that does what `script` says, with `$REAL` for the real `uv`.
fn as_uv(tools: &Tools, home: &Path, script: &str) -> Tools {
    let path = home.join("as-uv");
    let real = tools.uv().expect("uv");
    let text = format!(
        "#!/bin/sh\nREAL='{}'\nPATH=\"$PATH:/usr/bin:/bin\"\n{script}\n",
        real.display()
    );
    std::fs::write(&path, text).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Tools {
        uv_path: Some(path),
        ..tools.clone()
    }
}

/// `uv` that leaves a line in `installs` for each time it installs.
fn counted(tools: &Tools, home: &Path) -> Tools {
    let count = format!(
        "[ \"$1 $2\" = 'pip install' ] && echo >> '{}'\nexec \"$REAL\" \"$@\"",
        home.join("installs").display()
    );
    as_uv(tools, home, &count)
}

fn installs(home: &Path) -> usize {
    let lines = std::fs::read_to_string(home.join("installs")).unwrap_or_default();
    lines.lines().count()
}

/// The same machine with programs that only fail.
fn broken(tools: &Tools, home: &Path) -> Tools {
    let broken = as_uv(tools, home, "echo 'error: broken' >&2; exit 2");
    Tools {
        npm_path: broken.uv_path.clone(),
        ..broken
    }
}

/// Files of kept packages.
fn kept(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("cache/packages"));
    let paths = entries.into_iter().flatten().flatten();
    let mut paths: Vec<_> = paths
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}

async fn build(tools: &Tools, source: &Source, lock: &Lock) -> Result<Artifact, PackageError> {
    build_around(BRIDGE, tools, source, lock).await
}

#[tokio::test]
async fn a_package_is_made_once_whatever_the_server_is_told() {
    let (index, home) = (shop(), home());
    let tools = tools(&index.url(), home.path());
    let lock = resolve(&tools, &source(&["srv"])).await.expect("a lock");
    let broken = broken(&tools, home.path());
    assert!(build(&broken, &source(&["srv"]), &lock).await.is_err());

    let made = build(&tools, &source(&["srv"]), &lock)
        .await
        .expect("a package");
    let again = build(&broken, &source(&["srv"]), &lock)
        .await
        .expect("the same package");
    assert!(again == made, "another package came back");
    let told = build(&broken, &source(&["srv", "--zone", "UTC"]), &lock)
        .await
        .expect("the same package");
    assert_eq!(told.argv[..made.argv.len()], made.argv);
    assert_eq!(told.argv[made.argv.len()..], ["--zone", "UTC"]);
    assert!(told.zip == made.zip && told.versions == made.versions);
    assert_eq!(kept(home.path()).len(), 1);
}

/// What decides the bytes, or how the server in them is started, one at a time.
#[tokio::test]
async fn another_bridge_version_program_runtime_or_architecture_is_another_package() {
    let (index, home) = (shop(), home());
    let tools = tools(&index.url(), home.path());
    let lock = resolve(&tools, &source(&["srv"])).await.expect("a lock");
    build(&tools, &source(&["srv"]), &lock)
        .await
        .expect("a package");
    index.release(&Wheel::new("lib", "3.0"));
    let newer = resolve(&tools, &source(&["srv"])).await.expect("a lock");
    let others: [(&[u8], ServerSpec, &Lock); 5] = [
        (b"another bridge", spec(&["srv"]), &lock),
        (BRIDGE, spec(&["srv"]), &newer),
        (BRIDGE, spec(&["--from", "srv", "srv-admin"]), &lock),
        (BRIDGE, spec(&["--python", "3.12", "srv"]), &lock),
        (
            BRIDGE,
            ServerSpec {
                architecture: mcplambda::package::Architecture::Arm64,
                ..spec(&["srv"])
            },
            &lock,
        ),
    ];
    let broken = broken(&tools, home.path());
    for (count, (bridge, spec, lock)) in (1..).zip(others) {
        let source = plan_source(&spec).expect("valid");
        let from_cache = build_around(bridge, &broken, &source, lock).await;
        assert!(from_cache.is_err(), "{spec:?} was taken from the cache");
        assert_eq!(kept(home.path()).len(), count);
        build_around(bridge, &tools, &source, lock)
            .await
            .expect("a package");
    }
}

#[tokio::test]
async fn other_files_of_ones_own_are_another_package_and_the_same_are_the_same() {
    let (folder, home) = (home(), home());
    let script = folder.path().join("server");
    let spec = ServerSpec {
        command: "./server".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..spec(&["--flag"])
    };
    let tools = tools("http://127.0.0.1:9/simple", home.path());
    let mut zips = Vec::new();
    for word in ["one", "two", "one"] {
        std::fs::write(&script, format!("#!/bin/sh\necho {word}\n")).expect("a script");
        let source = open(plan_source(&spec).expect("valid"))
            .await
            .expect("open");
        let artifact = build_around(BRIDGE, &tools, &source, None).await;
        let artifact = artifact.expect("a package");
        assert_eq!(artifact.argv, ["./server", "--flag"]);
        zips.push(artifact.zip);
        // A source whose folder was not read yet is the same.
        let unread = plan_source(&spec).expect("valid");
        let again = build_around(BRIDGE, &tools, &unread, None).await;
        assert!(again.expect("a package").zip == zips[zips.len() - 1]);
    }
    assert!(zips[0] == zips[2] && zips[0] != zips[1]);
    assert_eq!(kept(home.path()).len(), 2);
}

#[tokio::test]
async fn npm_packages_are_kept_too_and_scripts_that_run_make_another() {
    let line = "node -e \"require('fs').writeFileSync('made.txt', '')\"";
    let registry = Registry::with([
        Package::new("wanted", "1.0.0").script("postinstall", line),
        Package::new("srv", "1.0.0")
            .bin("srv", "index.js")
            .bin("other", "other.js")
            .file("other.js", "#!/usr/bin/env node\n")
            .needs("wanted", "1"),
    ]);
    let home = home();
    let tools = npx_support::tools(&registry, home.path());
    let plain = npx_support::spec(&["srv"]);
    let lock = resolve(&tools, &npx_support::source(&plain)).await;
    let lock = lock.expect("a lock");
    let made = build(&tools, &npx_support::source(&plain), &lock).await;
    let made = made.expect("a package");
    let nothing = Tools {
        npm_path: Some("/nonexistent/npm".into()),
        ..tools.clone()
    };
    let told = npx_support::source(&npx_support::spec(&["srv", "--root", "/tmp"]));
    let told = build(&nothing, &told, &lock).await.expect("the same");
    assert_eq!(
        told.argv,
        [&made.argv[..], &["--root".into(), "/tmp".into()]].concat()
    );
    assert!(told.zip == made.zip);
    let other = npx_support::source(&npx_support::spec(&["-p", "srv", "other"]));
    assert!(build(&nothing, &other, &lock).await.is_err());
    let scripted = npx_support::source(&ServerSpec {
        allow_scripts: Some(vec!["wanted".to_owned()]),
        ..plain
    });
    assert!(build(&nothing, &scripted, &lock).await.is_err());
    let scripted = build(&tools, &scripted, &lock).await.expect("a package");
    assert!(scripted.zip != made.zip);
}

#[tokio::test]
async fn a_damaged_package_is_made_anew() {
    let (index, home) = (shop(), home());
    let tools = tools(&index.url(), home.path());
    let source = source(&["srv"]);
    let lock = resolve(&tools, &source).await.expect("a lock");
    let made = build(&tools, &source, &lock).await.expect("a package");
    let [file] = &kept(home.path())[..] else {
        panic!("one package is kept");
    };
    let whole = std::fs::read(file).expect("the file");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for damage in [&damaged[..], &whole[..100], b""] {
        std::fs::write(file, damage).expect("to damage it");
        let again = build(&tools, &source, &lock).await.expect("a package");
        assert!(again == made, "a damaged package came back");
        assert!(std::fs::read(file).expect("the file") == whole);
    }
}

#[tokio::test]
async fn the_folder_may_be_deleted_at_any_time() {
    let (index, home) = (shop(), home());
    let plain = tools(&index.url(), home.path());
    let source = source(&["srv"]);
    let lock = resolve(&plain, &source).await.expect("a lock");
    let packages = home.path().join("cache/packages");
    // While the lock is held.
    let script = format!("\"$REAL\" \"$@\" && rm -r '{}'", packages.display());
    let deleting = as_uv(&plain, home.path(), &script);
    let made = build(&deleting, &source, &lock).await.expect("a package");
    assert_eq!(kept(home.path()).len(), 1);
    std::fs::remove_dir_all(&packages).expect("to delete it");
    let again = build(&plain, &source, &lock).await.expect("a package");
    assert!(again == made);
    assert_eq!(kept(home.path()).len(), 1);
}

#[tokio::test]
async fn where_nothing_can_be_kept_packages_are_made_all_the_same() {
    let (index, home) = (shop(), home());
    let usual = tools(&index.url(), home.path());
    let source = source(&["srv"]);
    let lock = resolve(&usual, &source).await.expect("a lock");
    let made = build(&usual, &source, &lock).await.expect("a package");
    // A file where the folder would be.
    let blocked = home.path().join("blocked");
    std::fs::write(&blocked, "").expect("a file");
    let cache = home.path().join("cache/uv");
    let machine = |places: &[(&str, &Path)]| {
        let mut tools = Tools {
            cache_dir: None,
            ..usual.clone()
        };
        tools.environment.remove(std::ffi::OsStr::new("HOME"));
        tools
            .environment
            .insert("UV_CACHE_DIR".into(), cache.clone().into());
        for (name, place) in places {
            tools.environment.insert(name.into(), place.into());
        }
        tools
    };
    let elsewhere = home.path().join("elsewhere");
    for places in [
        vec![("XDG_CACHE_HOME", blocked.as_path())],
        vec![],
        vec![("XDG_CACHE_HOME", Path::new("relative"))],
        vec![("XDG_CACHE_HOME", elsewhere.as_path())],
    ] {
        let built = build(&machine(&places), &source, &lock).await;
        assert!(built.expect("a package") == made, "{places:?}");
    }
    assert!(elsewhere.join("mcplambda/packages").is_dir());
    assert!(!Path::new("relative").exists());
}

#[tokio::test]
async fn two_at_once_make_it_once() {
    let (index, home) = (shop(), home());
    let counted = counted(&tools(&index.url(), home.path()), home.path());
    let (one, two) = (source(&["srv"]), source(&["srv", "--zone", "UTC"]));
    let lock = resolve(&counted, &one).await.expect("a lock");
    let (one, two) = tokio::join!(build(&counted, &one, &lock), build(&counted, &two, &lock));
    assert!(one.expect("a package").zip == two.expect("a package").zip);
    assert_eq!(installs(home.path()), 1);
}

/// Builds in a process of its own when told where; does nothing in an ordinary test run.
#[test]
fn two_processes_at_once_make_it_once() {
    const HERE: &str = "MCPLAMBDA_TEST_FINISH_HERE";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if let Ok(place) = std::env::var(HERE) {
        let (index, place) = place.split_once(' ').expect("an index and a place");
        let tools = counted_by(index, Path::new(place));
        let lock = std::fs::read_to_string(Path::new(place).join("lock")).expect("a lock");
        let lock = lock.parse().expect("a lock");
        let built = runtime.block_on(build(&tools, &source(&["srv"]), &lock));
        assert_eq!(built.expect("a package").runtime, "python3.13");
        return;
    }
    let (index, home) = (shop(), home());
    let tools = counted(&tools(&index.url(), home.path()), home.path());
    let lock = runtime.block_on(resolve(&tools, &source(&["srv"])));
    let lock = lock.expect("a lock").to_string();
    std::fs::write(home.path().join("lock"), lock).expect("to write the lock");
    let start = || {
        Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "package_finished::two_processes_at_once_make_it_once",
            ])
            .env(HERE, format!("{} {}", index.url(), home.path().display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("to start this test again")
    };
    for mut process in [start(), start(), start()] {
        assert!(process.wait().expect("its end").success());
    }
    assert_eq!(installs(home.path()), 1);
}

/// The `uv` that [`counted`] left in `home`.
fn counted_by(index: &str, home: &Path) -> Tools {
    Tools {
        uv_path: Some(home.join("as-uv")),
        ..tools(index, home)
    }
}

/// Kept packages outlive the provider that made them.
#[tokio::test]
async fn a_package_of_other_bytes_has_another_format() {
    let (index, home) = (shop(), home());
    let tools = tools(&index.url(), home.path());
    let source = source(&["srv"]);
    let lock = resolve(&tools, &source).await.expect("a lock");
    let made = build(&tools, &source, &lock).await.expect("a package");
    assert_eq!(
        made.code_sha256, GOLDEN,
        "the same packages are packed into other bytes than before: raise FORMAT in src/package/finished.rs, and write the new hash here"
    );
}
