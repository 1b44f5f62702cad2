//! A public server from PyPI resolves, is packaged, and answers. The only test of packaging that needs the internet.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use mcplambda::package::{Tools, build_around, resolve};
use serde_json::{Value, json};

use crate::package_support::{contents, source, uv};

/// A Python of this machine that one of Lambda's runtimes has too, the default runtime's first: its minor version and path.
fn python() -> (u8, PathBuf) {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    for minor in [13, 12, 14, 11, 10] {
        let name = format!("python3.{minor}");
        let mut candidates: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|directory| directory.join(&name))
                .collect();
        if let Ok(versions) = std::fs::read_dir(home.join(".pyenv/versions")) {
            candidates.extend(
                versions
                    .flatten()
                    .map(|version| version.path().join("bin").join(&name)),
            );
        }
        let works = |python: &PathBuf| {
            let output = Command::new(python)
                .args(["-c", "import sys; print(sys.version_info[1])"])
                .output();
            output.is_ok_and(|output| {
                output.status.success() && output.stdout == format!("{minor}\n").into_bytes()
            })
        };
        if let Some(python) = candidates
            .into_iter()
            .filter(|candidate| candidate.is_file())
            .find(works)
        {
            return (minor, python);
        }
    }
    panic!("this test needs a Python from 3.10 to 3.14");
}

/// `uv` with this machine's settings and downloads, and no place to keep packages.
fn tools() -> Tools {
    let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let cache = Command::new(uv()).args(["cache", "dir"]).output();
    let cache = String::from_utf8(cache.expect("uv runs").stdout).expect("a path");
    environment.insert("UV_CACHE_DIR".into(), cache.trim().into());
    environment.insert("XDG_CACHE_HOME".into(), "/dev/null".into());
    Tools {
        uv_path: Some(uv()),
        npm_path: None,
        cache_dir: None,
        environment,
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

#[tokio::test]
async fn mcp_server_time_from_pypi_answers_from_its_package() {
    let (minor, python) = python();
    let tools = tools();
    let version = format!("3.{minor}");
    let source = source(&[
        "--python",
        &version,
        "mcp-server-time",
        "--local-timezone",
        "Asia/Tokyo",
    ]);
    let lock = resolve(&tools, &source).await.expect("a lock from PyPI");
    let artifact = build_around(b"", &tools, &source, &lock)
        .await
        .expect("a package");
    let again = build_around(b"", &tools, &source, &lock)
        .await
        .expect("the same package");
    assert!(artifact == again, "two builds differ");
    assert_eq!(artifact.versions, lock.versions());
    assert_eq!(lock.to_string().lines().count(), artifact.versions.len());
    assert_eq!(artifact.argv[0], format!("python{version}"));
    let noise = [
        "/RECORD.",
        "/INSTALLER",
        "/REQUESTED",
        "/__pycache__/",
        "site-packages/bin/mcp",
    ];
    let noisy: Vec<_> = contents(&artifact.zip)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| noise.iter().any(|noise| name.contains(noise)))
        .collect();
    assert_eq!(noisy, Vec::<String>::new());

    let root = tempfile::tempdir().expect("a task root");
    zip::ZipArchive::new(std::io::Cursor::new(&artifact.zip))
        .expect("a zip")
        .extract(root.path())
        .expect("to unpack");
    let mut server = Command::new(python)
        .args(&artifact.argv[1..])
        .env("PYTHONPATH", root.path().join("site-packages"))
        .current_dir(root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut stdin = server.stdin.take().expect("its input");
    let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
    let mut ask = |request: Value| {
        writeln!(stdin, "{request}").expect("to write a request");
        let line = lines.next().expect("an answer").expect("a line");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    let client = json!({"name": "test", "version": "1"});
    let hello = ask(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}}));
    assert_eq!(hello["id"], 1);
    assert_eq!(hello["result"]["serverInfo"]["name"], "mcp-time");
    drop(stdin);
    server.wait().expect("it ends with its input");
}
