//! A lock becomes a package: exactly what is locked, nothing of this machine, the same bytes every time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use mcplambda::package::{
    Architecture, Artifact, ErrorKind, Lock, PackageError, ServerSpec, Tools, build_around,
    lock_in_zip, plan_source, resolve,
};
use tempfile::TempDir;

use crate::package_support::{Index, Wheel, contents, source, spec, tools};

const BRIDGE: &[u8] = b"\x7fELF stands for the bridge";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn built(tools: &Tools, spec: &ServerSpec) -> Artifact {
    try_built(tools, spec).await.expect("a package")
}

async fn try_built(tools: &Tools, spec: &ServerSpec) -> Result<Artifact, PackageError> {
    let source = plan_source(spec)?;
    let lock = resolve(tools, &source).await?;
    build_around(BRIDGE, tools, &source, &lock).await
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Bytes that begin as a shared library for the ELF machine does.
fn library(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0, 1, 0, 0, 0]);
    bytes
}

const X86_64: u8 = 62;
const AARCH64: u8 = 183;

/// A server with all that installers are noisy about: scripts, bytecode, data files, an odd file name.
fn noisy_server() -> Wheel {
    Wheel::new("noisy", "1.0")
        .needs("lib")
        .script("noisy", "noisy:main")
        .script("noisy-admin", "noisy.admin:run")
        .file("noisy/admin.py", "def run(): pass\n")
        .file("noisy/__pycache__/admin.cpython-313.pyc", "stale")
        .file("noisy/with, comma.txt", "x")
        .file(
            "noisy-1.0.data/scripts/tool.py",
            "#!python\nprint('a tool')\n",
        )
        .file("noisy-1.0.data/scripts/native", library(X86_64))
        .file("noisy-1.0.data/data/share/noisy.conf", "a=1\n")
}

#[tokio::test]
async fn the_zip_holds_bridge_lock_and_packages_and_nothing_of_the_build_machine() {
    let (index, home) = (Index::start(), home());
    index.release(&noisy_server());
    index.release(&Wheel::new("lib", "2.0"));
    let tools = tools(&index.url(), home.path());
    let artifact = built(&tools, &spec(&["noisy", "--zone", "UTC"])).await;

    let files = contents(&artifact.zip);
    let listing: Vec<(&str, u32)> = files
        .iter()
        .map(|(name, mode, _)| (name.as_str(), *mode & 0o777))
        .collect();
    assert_eq!(
        listing,
        [
            ("mcplambda-bridge", 0o755),
            ("mcplambda.cdx.json", 0o644),
            ("mcplambda.lock", 0o644),
            ("site-packages/bin/native", 0o755),
            ("site-packages/bin/tool.py", 0o755),
            ("site-packages/lib-2.0.dist-info/METADATA", 0o644),
            ("site-packages/lib-2.0.dist-info/RECORD", 0o644),
            ("site-packages/lib-2.0.dist-info/WHEEL", 0o644),
            ("site-packages/lib/__init__.py", 0o644),
            ("site-packages/noisy-1.0.dist-info/METADATA", 0o644),
            ("site-packages/noisy-1.0.dist-info/RECORD", 0o644),
            ("site-packages/noisy-1.0.dist-info/WHEEL", 0o644),
            ("site-packages/noisy-1.0.dist-info/entry_points.txt", 0o644),
            ("site-packages/noisy/__init__.py", 0o644),
            ("site-packages/noisy/admin.py", 0o644),
            ("site-packages/noisy/with, comma.txt", 0o644),
            ("site-packages/share/noisy.conf", 0o644),
        ]
    );
    let file: BTreeMap<&str, &[u8]> = files
        .iter()
        .map(|(name, _, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    assert_eq!(file["mcplambda-bridge"], BRIDGE);
    assert_eq!(
        text(file["site-packages/bin/tool.py"]),
        "#!/usr/bin/env python3\nprint('a tool')\n"
    );
    assert_eq!(
        text(file["site-packages/noisy-1.0.dist-info/RECORD"]),
        "bin/native,,\nbin/tool.py,,\nnoisy-1.0.dist-info/METADATA,,\nnoisy-1.0.dist-info/RECORD,,\nnoisy-1.0.dist-info/WHEEL,,\n\
         noisy-1.0.dist-info/entry_points.txt,,\nnoisy/__init__.py,,\nnoisy/admin.py,,\n\"noisy/with, comma.txt\",,\nshare/noisy.conf,,\n"
    );
    for (name, _, bytes) in &files {
        let place = home.path().display().to_string();
        assert!(
            !bytes
                .windows(place.len())
                .any(|part| part == place.as_bytes()),
            "{name} names the build directory"
        );
    }

    assert_eq!(
        artifact.argv,
        [
            "python3.13",
            "-c",
            "import sys;sys.path[:]=[p for p in sys.path if p];sys.argv[0]='noisy';from noisy import main as m;sys.exit(m())",
            "--zone",
            "UTC"
        ]
    );
    assert_eq!(
        (artifact.runtime.as_str(), artifact.handler.as_str()),
        ("python3.13", "mcplambda.handler")
    );
    assert_eq!(
        artifact.unzipped_size,
        files
            .iter()
            .map(|(_, _, bytes)| bytes.len() as u64)
            .sum::<u64>()
    );
    assert_eq!(
        artifact.versions,
        BTreeMap::from([
            ("lib".to_owned(), "2.0".to_owned()),
            ("noisy".to_owned(), "1.0".to_owned())
        ])
    );
    assert_eq!(
        lock_in_zip(&artifact.zip).expect("a lock").versions(),
        artifact.versions
    );
    assert_eq!(
        text(file["mcplambda.lock"]),
        lock_in_zip(&artifact.zip).expect("a lock").to_string()
    );
    assert_eq!(
        text(file["mcplambda.cdx.json"]),
        lock_in_zip(&artifact.zip).expect("a lock").sbom()
    );
    let left: Vec<_> = std::fs::read_dir(home.path())
        .expect("the temporary directory")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["cache"], "temporary files are left behind");
}

#[tokio::test]
async fn stubs_and_tests_stay_only_where_something_reads_them() {
    let (index, home) = (Index::start(), home());
    let library = |name: &str| {
        Wheel::new(name, "1.0")
            .file(&format!("{name}/tests/__init__.py"), "")
            .file(&format!("{name}/tests/data.txt"), "")
    };
    index.release(
        &library("srv")
            .script("srv", "srv:main")
            .needs("named")
            .needs("beside")
            .needs("inner")
            .needs("suite")
            .file("srv/__init__.pyi", "")
            .file("srv/_speed.abi3.so", self::library(X86_64))
            .file("srv/_speed.pyi", "")
            .file("srv/lonely.pyi", "")
            .file("srv/sub/__init__.py", "import named\n")
            .file("srv/sub/tests/test_sub.py", "import named.tests\n")
            .file("srv/plain/tests/words.txt", "")
            .file("srv/attest/a.py", "# nothing of contests or attests\n")
            .file("srv/testing.py", ""),
    );
    // Each keeps its tests for another reason.
    index.release(&library("named").file("named/entry.py", "import inner\n"));
    index.release(&library("beside").file("beside/run.py", "path = here / 'tests'\n"));
    index.release(&library("inner").file("inner/deep/run.py", "from ..tests import data\n"));
    index.release(&Wheel::new("users", "1.0").file("users/a.py", "load('named.tests.data')\n"));
    index.release(&Wheel::without_module("suite", "1.0").file("srv/tests/test_more.py", ""));
    let mut spec = spec(&["srv"]);
    spec.packages = vec!["users".to_owned()];
    let artifact = built(&tools(&index.url(), home.path()), &spec).await;
    let names: Vec<String> = contents(&artifact.zip)
        .into_iter()
        .filter_map(|(name, ..)| Some(name.strip_prefix("site-packages/")?.to_owned()))
        .filter(|name| !name.contains(".dist-info/"))
        .collect();
    assert_eq!(
        names,
        [
            "beside/__init__.py",
            "beside/run.py",
            "beside/tests/__init__.py",
            "beside/tests/data.txt",
            "inner/__init__.py",
            "inner/deep/run.py",
            "inner/tests/__init__.py",
            "inner/tests/data.txt",
            "named/__init__.py",
            "named/entry.py",
            "named/tests/__init__.py",
            "named/tests/data.txt",
            "srv/__init__.py",
            "srv/_speed.abi3.so",
            "srv/attest/a.py",
            "srv/lonely.pyi",
            "srv/plain/tests/words.txt",
            "srv/sub/__init__.py",
            "srv/testing.py",
            "srv/tests/test_more.py",
            "users/__init__.py",
            "users/a.py",
        ]
    );

    // Something that reads stubs.
    spec.packages = vec!["users".to_owned(), "lazy-loader".to_owned()];
    index.release(&Wheel::new("lazy-loader", "1.0"));
    let artifact = built(&tools(&index.url(), home.path()), &spec).await;
    let stubs: Vec<String> = contents(&artifact.zip)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| name.ends_with(".pyi"))
        .collect();
    assert_eq!(
        stubs,
        [
            "site-packages/srv/__init__.pyi",
            "site-packages/srv/_speed.pyi",
            "site-packages/srv/lonely.pyi"
        ]
    );
}

#[tokio::test]
async fn a_lock_is_installed_exactly_after_the_index_has_released_a_newer_version() {
    let (index, home) = (Index::start(), home());
    index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .needs("lib"),
    );
    index.release(&Wheel::new("lib", "1.0"));
    let source = source(&["srv"]);
    let lock = resolve(&tools(&index.url(), home.path()), &source)
        .await
        .expect("a lock");
    let reviewed = build_around(BRIDGE, &tools(&index.url(), home.path()), &source, &lock)
        .await
        .expect("a package");

    index.release(
        &Wheel::new("srv", "1.1")
            .script("srv", "srv:main")
            .needs("lib"),
    );
    index.release(&Wheel::new("lib", "2.0"));
    let elsewhere = tempfile::tempdir().expect("another machine's directory");
    let cold = tools(&index.url(), elsewhere.path());
    let applied = build_around(BRIDGE, &cold, &source, &lock)
        .await
        .expect("the same package");
    assert_eq!(
        applied.versions,
        BTreeMap::from([
            ("lib".to_owned(), "1.0".to_owned()),
            ("srv".to_owned(), "1.0".to_owned())
        ])
    );
    assert!(
        applied == reviewed,
        "the package changed although the lock did not"
    );
    let fresh = resolve(&cold, &source).await.expect("a new lock");
    assert_eq!(
        fresh.versions(),
        BTreeMap::from([
            ("lib".to_owned(), "2.0".to_owned()),
            ("srv".to_owned(), "1.1".to_owned())
        ])
    );
}

#[tokio::test]
async fn other_bytes_than_locked_are_refused() {
    let (index, home) = (Index::start(), home());
    let honest = Wheel::new("srv", "1.0").script("srv", "srv:main");
    let locked = index.release(&honest);
    let lock: Lock = format!("srv==1.0 --hash=sha256:{locked}\n")
        .parse()
        .expect("a lock");
    let served = index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .file("srv/extra.py", "import os"),
    );
    let error = build_around(
        BRIDGE,
        &tools(&index.url(), home.path()),
        &source(&["srv"]),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::HashMismatch);
    assert_eq!(
        error.to_string(),
        format!(
            "`srv==1.0` does not match its locked hash:\n  Expected:\n  sha256:{locked}\n  Computed:\n  sha256:{served}\nEither the index \
             serves other bytes than those that were locked, or the lock was made for another runtime or architecture. Find out which \
             before you make the lock anew"
        )
    );
}

#[tokio::test]
async fn a_locked_version_that_the_index_has_dropped_is_named() {
    let (index, home) = (Index::start(), home());
    let wheel = Wheel::new("srv", "1.0").script("srv", "srv:main");
    let lock: Lock = format!("srv==1.0 --hash=sha256:{}\n", index.release(&wheel))
        .parse()
        .expect("a lock");
    index.release(&Wheel::new("srv", "1.1"));
    index.withdraw("srv", &wheel.file_name());
    let error = build_around(
        BRIDGE,
        &tools(&index.url(), home.path()),
        &source(&["srv"]),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "lock: `srv` is locked, but the index no longer has `srv==1.0`. Make the lock anew"
    );
}

#[tokio::test]
async fn a_lock_for_the_other_architecture_is_refused() {
    let (index, home) = (Index::start(), home());
    let arm = index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .tag("cp313-cp313-manylinux_2_17_aarch64"),
    );
    let lock: Lock = format!("srv==1.0 --hash=sha256:{arm}\n")
        .parse()
        .expect("a lock");
    let error = build_around(
        BRIDGE,
        &tools(&index.url(), home.path()),
        &source(&["srv"]),
        &lock,
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "lock: `srv` is locked, but the index has no wheel of `srv==1.0` that runs on python3.13 for x86_64; wheels are available for \
         `srv` (v1.0) on the following platform: `manylinux_2_17_aarch64`. Make the lock anew for this runtime and architecture"
    );
}

#[tokio::test]
async fn each_architecture_gets_its_own_wheels() {
    let (index, home) = (Index::start(), home());
    for (machine, elf) in [("x86_64", X86_64), ("aarch64", AARCH64)] {
        let module = format!("srv/_native.cpython-313-{machine}-linux-gnu.so");
        let tag = format!("cp313-cp313-manylinux_2_17_{machine}");
        index.release(
            &Wheel::new("srv", "1.0")
                .script("srv", "srv:main")
                .tag(&tag)
                .file(&module, library(elf)),
        );
    }
    let tools = tools(&index.url(), home.path());
    let mut hashes = Vec::new();
    for (architecture, machine) in [
        (Architecture::X86_64, "x86_64"),
        (Architecture::Arm64, "aarch64"),
    ] {
        let artifact = built(
            &tools,
            &ServerSpec {
                architecture,
                ..spec(&["srv"])
            },
        )
        .await;
        let modules: Vec<_> = contents(&artifact.zip)
            .into_iter()
            .map(|(name, ..)| name)
            .filter(|name| name.ends_with(".so"))
            .collect();
        assert_eq!(
            modules,
            [format!(
                "site-packages/srv/_native.cpython-313-{machine}-linux-gnu.so"
            )]
        );
        hashes.push(artifact.code_sha256);
    }
    assert_ne!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn a_library_for_the_wrong_processor_names_its_distribution() {
    let (index, home) = (Index::start(), home());
    index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .needs("native"),
    );
    // Says that it runs anywhere, and does not.
    index.release(&Wheel::new("native", "1.0").file("native/_speed.abi3.so", library(X86_64)));
    let tools = tools(&index.url(), home.path());
    let error = try_built(
        &tools,
        &ServerSpec {
            architecture: Architecture::Arm64,
            ..spec(&["srv"])
        },
    )
    .await
    .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NoWheel);
    assert_eq!(
        error.to_string(),
        "`native/_speed.abi3.so` of `native` is built for x86_64, but the function's architecture is arm64. Its wheel is wrongly tagged; \
         pin another version of `native` in `packages`, or set `architecture`"
    );
    built(&tools, &spec(&["srv"])).await;
}

#[tokio::test]
async fn libraries_for_many_processors_in_one_package_are_left_alone() {
    let (index, home) = (Index::start(), home());
    let wheel = Wheel::new("srv", "1.0").script("srv", "srv:main");
    index.release(
        &wheel
            .file("srv/attach_linux_amd64.so", library(X86_64))
            .file("srv/attach_linux_aarch64.so", library(AARCH64)),
    );
    let tools = tools(&index.url(), home.path());
    built(&tools, &spec(&["srv"])).await;
    built(
        &tools,
        &ServerSpec {
            architecture: Architecture::Arm64,
            ..spec(&["srv"])
        },
    )
    .await;
}

#[tokio::test]
async fn of_two_packages_with_one_file_the_last_by_name_wins_every_time() {
    let index = Index::start();
    index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .needs("left")
            .needs("right")
            .needs("twin"),
    );
    for (name, content) in [("left", "left"), ("right", "right"), ("twin", "right")] {
        index.release(
            &Wheel::new(name, "1.0")
                .file("shared/__init__.py", content)
                .file("tests/__init__.py", ""),
        );
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let home = home();
        let artifact = built(&tools(&index.url(), home.path()), &spec(&["srv"])).await;
        let shared = contents(&artifact.zip)
            .into_iter()
            .find(|(name, ..)| name == "site-packages/shared/__init__.py");
        assert_eq!(text(&shared.expect("the shared file").2), "right");
        seen.push(artifact.code_sha256);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn packages_with_path_files_get_a_site_directory() {
    let (index, home) = (Index::start(), home());
    index.release(
        &Wheel::new("srv", "1.0")
            .script("srv", "srv:main")
            .file("srv-paths.pth", "srv/vendored\n"),
    );
    let artifact = built(&tools(&index.url(), home.path()), &spec(&["srv"])).await;
    assert_eq!(
        artifact.argv[2],
        "import sys;sys.path[:]=[p for p in sys.path if p];import site;site.addsitedir(next(p for p in sys.path if \
         p.endswith('site-packages')));sys.argv[0]='srv';from srv import main as m;sys.exit(m())"
    );
}

/// Unpacks the package as Lambda does and starts it as the bridge does, with a Python of this machine.
fn run(artifact: &Artifact, directory: &Path, python: &str, arguments: &[&str]) -> String {
    zip::ZipArchive::new(std::io::Cursor::new(&artifact.zip))
        .expect("a zip")
        .extract(directory)
        .expect("to unpack");
    let output = Command::new(python)
        .args(&artifact.argv[1..])
        .args(arguments)
        .env("PYTHONPATH", directory.join("site-packages"))
        .current_dir(directory)
        .output()
        .expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn a_packaged_command_runs_as_its_script_would() {
    let index = Index::start();
    let body = "import importlib.metadata as m, sys, vendored\n\
                class Cli:\n    @staticmethod\n    def run():\n        \
                print(sys.argv, m.version('srv'), len(m.files('srv')), [p for p in sys.path if p == ''], vendored.NAME)\n";
    index.release(
        &Wheel::new("srv", "1.0")
            .script("my-server", "srv.cli:Cli.run")
            .file("srv/cli.py", body)
            .file("srv.pth", "srv/more\n")
            .file("srv/more/vendored.py", "NAME = 'vendored'\n")
            .file(
                "srv-1.0.data/scripts/srv-file",
                "#!python\nimport os, sys, srv\nprint('file', os.path.basename(sys.argv[0]), sys.argv[1:], srv.__name__)\n",
            )
            .file(
                "srv-1.0.data/scripts/srv-native",
                std::fs::read("/bin/echo").expect("an executable"),
            ),
    );
    // Shadows a module when the working directory is searched.
    let shadow = "raise SystemExit('shadowed')";
    for (command, expected) in [
        (
            "my-server",
            "['my-server', 'a', 'b c'] 1.0 10 [] vendored\n",
        ),
        ("srv-file", "file srv-file ['a', 'b c'] srv\n"),
        ("srv-native", "a b c\n"),
    ] {
        let home = home();
        let artifact = built(
            &tools(&index.url(), home.path()),
            &spec(&["--from", "srv", command, "a", "b c"]),
        )
        .await;
        let directory = tempfile::tempdir().expect("a task root");
        std::fs::write(directory.path().join("srv.py"), shadow).expect("a file");
        assert_eq!(run(&artifact, directory.path(), "python3", &[]), expected);
    }
}

#[tokio::test]
async fn a_library_is_no_server() {
    let (index, home) = (Index::start(), home());
    index.release(&Wheel::new("lib", "1.0"));
    let error = try_built(&tools(&index.url(), home.path()), &spec(&["lib"]))
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "`lib 1.0` offers no command `lib`, nor any other; it is a library, not a server"
    );
}

#[test]
fn what_is_no_zip_of_ours_is_told() {
    assert!(
        matches!(lock_in_zip(b"not a zip"), Err(PackageError::NotOurZip { reason }) if reason.starts_with("it is no zip: "))
    );
    let mut other = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    other
        .start_file("index.py", zip::write::SimpleFileOptions::default())
        .expect("a file");
    let other = other.finish().expect("a zip").into_inner();
    assert_eq!(
        lock_in_zip(&other).expect_err("no lock").to_string(),
        "the function's code was not packaged by this provider: it holds no `mcplambda.lock`"
    );
}

/// `uv` behind a script that changes what a careless installer would leak: umask, age and order of files.
fn disguised(tools: &Tools, home: &Path, umask: &str, afterwards: &str) -> Tools {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\numask {umask}\n\"{}\" \"$@\" || exit $?\nPATH=/usr/bin:/bin\nfor word do target=$next; next=; case $previous in --target) dir=$word;; esac; \
         previous=$word; done\nif [ -n \"$dir\" ]; then cd \"$dir\" && {afterwards}; fi\n",
        tools.uv().expect("uv").display()
    );
    let path = home.join("disguised-uv");
    std::fs::write(&path, script).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Tools {
        uv_path: Some(path),
        npm_path: None,
        ..tools.clone()
    }
}

#[tokio::test]
async fn temporary_path_umask_age_and_order_of_files_change_no_byte() {
    let index = Index::start();
    index.release(&noisy_server());
    index.release(&Wheel::new("lib", "2.0"));
    let plain_home = home();
    let plain = built(&tools(&index.url(), plain_home.path()), &spec(&["noisy"])).await;

    // Every directory is written anew with its files in reverse, decades ago, for the owner alone or for everybody.
    let afterwards = "find . -type f -exec touch -d 1999-12-31 {} + && find . -depth -type d ! -name . | while read -r d; do \
                      mv \"$d\" \"$d.old\" && mkdir \"$d\" && ls -rA \"$d.old\" | while read -r f; do mv \"$d.old/$f\" \"$d/$f\"; done && \
                      rmdir \"$d.old\" || exit 1; done";
    for umask in ["077", "000"] {
        let outer = home();
        let other_home = outer.path().join("quite/another place");
        std::fs::create_dir_all(&other_home).expect("a directory");
        let other = disguised(
            &tools(&index.url(), &other_home),
            &other_home,
            umask,
            afterwards,
        );
        let artifact = built(&other, &spec(&["noisy"])).await;
        assert!(
            artifact == plain,
            "umask {umask}, another path, other times and order changed the package"
        );
    }
}

/// Builds in a process of its own when told where, and prints the hash; does nothing in an ordinary test run.
#[test]
fn two_processes_make_the_same_zip() {
    const HERE: &str = "MCPLAMBDA_TEST_BUILD_HERE";
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    if let Ok(place) = std::env::var(HERE) {
        let (index, place) = place.split_once(' ').expect("an index and a place");
        let artifact =
            runtime().block_on(built(&tools(index, Path::new(place)), &spec(&["noisy"])));
        std::fs::write(Path::new(place).join("zip"), artifact.zip).expect("to write the zip");
        return;
    }
    let index = Index::start();
    index.release(&noisy_server());
    index.release(&Wheel::new("lib", "2.0"));
    let mut zips = Vec::new();
    for zone in ["UTC", "Asia/Tokyo"] {
        let home = home();
        let status = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "package_build::two_processes_make_the_same_zip"])
            .env(HERE, format!("{} {}", index.url(), home.path().display()))
            .env("TZ", zone)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("to start this test again");
        assert!(status.success());
        zips.push(std::fs::read(home.path().join("zip")).expect("the zip"));
    }
    assert!(zips[0] == zips[1], "two processes made different packages");
    assert_eq!(contents(&zips[0]).len(), 17);
}

#[tokio::test]
async fn a_dropped_build_stops_uv_and_leaves_no_file_but_its_lock() {
    let (index, home) = (Index::start(), home());
    let wheel = Wheel::new("srv", "1.0").script("srv", "srv:main");
    let lock: Lock = format!("srv==1.0 --hash=sha256:{}\n", index.release(&wheel))
        .parse()
        .expect("a lock");
    let mut tools = tools(&index.url(), home.path());
    let (started, done) = (home.path().join("started"), home.path().join("done"));
    let script = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\necho $$ > '{0}.new' && mv '{0}.new' '{0}'\nsleep 600\ntouch '{1}'\n",
        started.display(),
        done.display()
    );
    let path = home.path().join("slow-uv");
    std::fs::write(&path, script).expect("a script");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    tools.uv_path = Some(path);

    let source = source(&["srv"]);
    let build = build_around(BRIDGE, &tools, &source, &lock);
    let begun = async {
        while !started.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = build => panic!("the tool was to sleep"),
        () = begun => {}
    }
    let process = std::fs::read_to_string(&started).expect("its process id");
    assert!(
        !Path::new("/proc").join(process.trim()).exists(),
        "the tool still runs"
    );
    let mut left: Vec<_> = std::fs::read_dir(home.path())
        .expect("the directory")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["cache", "slow-uv", "started"]);
    let kept = home.path().join("cache/packages").read_dir();
    let kept = kept.expect("the cache").flatten().map(|e| e.file_name());
    assert_eq!(kept.collect::<Vec<_>>(), ["locks"]);
}
