//! What a Python server's folder asks for is what is locked: `uv.lock`, else `requirements.txt`, else `pyproject.toml`.

use std::path::Path;
use std::process::Command;

use mcplambda::package::{
    Attribute, PackageError, ServerSpec, Source, build_around, lock_in_zip, open, open_package,
    plan_source, resolve,
};
use tempfile::TempDir;

use crate::package_support::{Index, Wheel, contents, spec, tools, uv};

/// A folder with `main.py` and these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in [("main.py", "import srv\n")].iter().chain(files) {
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
        command: "python3".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..spec(&["main.py"])
    }
}

async fn opened(spec: &ServerSpec) -> Result<Source, PackageError> {
    open(plan_source(spec)?).await
}

/// The lock of the server, from an empty cache.
async fn lock(index: &Index, spec: &ServerSpec) -> Result<String, PackageError> {
    let home = tempfile::tempdir().expect("a temporary directory");
    let tools = tools(&index.url(), home.path());
    let lock = resolve(&tools, &opened(spec).await?).await?;
    Ok(lock.to_string())
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

/// Writes the folder's `uv.lock` as its owner would.
fn uv_lock(index: &Index, folder: &TempDir) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let tools = tools(&index.url(), home.path());
    let ended = Command::new(uv())
        .args(["lock", "--no-python-downloads", "--cache-dir"])
        .arg(home.path().join("cache"))
        .current_dir(folder.path())
        .env_clear()
        .envs(&tools.environment)
        .output()
        .expect("uv runs");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[tokio::test]
async fn requirement_files_are_read_with_what_they_include_and_what_bounds_them() {
    let index = Index::start();
    let base = index.release(&Wheel::new("base", "1.0"));
    index.release(&Wheel::new("base", "2.0"));
    let srv = index.release(&Wheel::new("srv", "3"));
    index.release(&Wheel::new("elsewhere", "1"));
    let folder = project(&[
        (
            "requirements.txt",
            "# What the server needs.\n--requirement more/base.txt\nsrv  # itself\nelsewhere ; sys_platform == 'win32'\n",
        ),
        ("more/base.txt", "-c ../bounds.txt\nbase \\\n  >=1\n"),
        ("bounds.txt", "base<2\n"),
    ]);
    assert_eq!(
        lock(&index, &server(&folder)).await.expect("a lock"),
        format!("base==1.0 --hash=sha256:{base}\nsrv==3 --hash=sha256:{srv}\n")
    );
}

#[tokio::test]
async fn hashes_in_requirements_are_the_only_ones_that_count() {
    let index = Index::start();
    let srv = index.release(&Wheel::new("srv", "1.0"));
    let folder = project(&[(
        "requirements.txt",
        &format!(
            "srv==1.0 \\\n    --hash=sha256:{srv} \\\n    --hash=sha256:{}\n",
            "0".repeat(64)
        ),
    )]);
    assert_eq!(
        lock(&index, &server(&folder)).await.expect("a lock"),
        format!("srv==1.0 --hash=sha256:{srv}\n")
    );
    put(
        folder.path(),
        "requirements.txt",
        &format!("srv==1.0 --hash=sha256:{}\n", "0".repeat(64)),
    );
    let error = lock(&index, &server(&folder)).await.expect_err("refused");
    assert_eq!(
        (
            error.attribute().map(|attribute| attribute.to_string()),
            error.to_string()
        ),
        (
            Some("source_dir".to_owned()),
            "source_dir: none of the hashes that are locked in it for `srv` 1.0 is that of a wheel which the index has for python3.13 for \
             x86_64. Lock it anew for this platform, and from this index"
                .to_owned()
        )
    );
}

const PROJECT: &str = r#"
[project]
name = "server"
version = "0.1.0"
requires-python = ">=3.8"
dependencies = ["srv>=1", "tools ; python_version < '3.8'"]

[dependency-groups]
dev = ["only-for-tests"]
"#;

#[tokio::test]
async fn a_project_without_a_lock_gets_the_newest_that_its_dependencies_allow() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    let newest = index.release(&Wheel::new("srv", "1.1").needs("lib"));
    let lib = index.release(&Wheel::new("lib", "2"));
    let folder = project(&[("pyproject.toml", PROJECT)]);
    assert_eq!(
        lock(&index, &server(&folder)).await.expect("a lock"),
        format!("lib==2 --hash=sha256:{lib}\nsrv==1.1 --hash=sha256:{newest}\n")
    );
    // requirements.txt says it more exactly.
    index.release(&Wheel::new("other", "1"));
    put(folder.path(), "requirements.txt", "other\n");
    let both = lock(&index, &server(&folder)).await.expect("a lock");
    assert!(
        both.starts_with("other==1 ") && both.lines().count() == 1,
        "{both}"
    );
}

#[tokio::test]
async fn a_project_with_a_lock_gets_what_that_says_and_nothing_newer() {
    let index = Index::start();
    let srv = index.release(&Wheel::new("srv", "1.0").needs("lib"));
    let lib = index.release(&Wheel::new("lib", "2"));
    index.release(&Wheel::new("tools", "1"));
    index.release(&Wheel::new("only-for-tests", "1"));
    let folder = project(&[("pyproject.toml", PROJECT)]);
    uv_lock(&index, &folder);
    index.release(&Wheel::new("srv", "1.1"));
    index.release(&Wheel::new("lib", "3"));
    let expected = format!("lib==2 --hash=sha256:{lib}\nsrv==1.0 --hash=sha256:{srv}\n");
    assert_eq!(
        lock(&index, &server(&folder)).await.expect("a lock"),
        expected
    );

    // What the configuration asks for besides comes on top.
    let more = index.release(&Wheel::new("more", "1").needs("lib"));
    let mut server = server(&folder);
    server.packages = vec!["more".to_owned()];
    assert_eq!(
        lock(&index, &server).await.expect("a lock"),
        format!(
            "lib==2 --hash=sha256:{lib}\nmore==1 --hash=sha256:{more}\nsrv==1.0 --hash=sha256:{srv}\n"
        )
    );
}

#[tokio::test]
async fn the_package_holds_the_folder_and_exactly_the_locked_packages() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    let home = tempfile::tempdir().expect("a temporary directory");
    let tools = tools(&index.url(), home.path());
    let folder = project(&[("requirements.txt", "srv\n")]);
    let source = opened(&server(&folder)).await.expect("read");
    assert!(source.is_locked());
    let lock = resolve(&tools, &source).await.expect("a lock");
    let artifact = build_around(b"\x7fELF bridge", &tools, &source, &lock)
        .await
        .expect("a package");
    let names: Vec<_> = contents(&artifact.zip)
        .into_iter()
        .map(|(name, _, _)| name)
        .filter(|name| !name.contains(".dist-info/"))
        .collect();
    assert_eq!(
        names,
        [
            "main.py",
            "mcplambda-bridge",
            "mcplambda.cdx.json",
            "mcplambda.lock",
            "requirements.txt",
            "site-packages/srv/__init__.py"
        ]
    );
    assert_eq!(artifact.argv, ["python3.13", "main.py"]);
    assert_eq!(artifact.runtime, "python3.13");
    assert_eq!(lock_in_zip(&artifact.zip).expect("ours"), lock);
    // From the package alone, as after an import.
    let again = open_package(
        plan_source(&server(&folder)).expect("valid"),
        artifact.zip.clone(),
    )
    .await
    .expect("ours");
    assert_eq!(again.content_hash(), source.content_hash());
    assert_eq!(again.identity(), source.identity());

    let missing = build_around(b"\x7fELF bridge", &tools, &source, None).await;
    assert_eq!(
        missing.expect_err("refused").to_string(),
        "lock: it is missing, and packages are installed from one only"
    );
}

#[tokio::test]
async fn only_files_that_say_what_is_needed_make_another_lock_necessary() {
    let folder = project(&[("requirements.txt", "srv\n"), ("notes.txt", "1\n")]);
    let identity = async || {
        let source = opened(&server(&folder)).await.expect("read");
        (source.identity(), source.content_hash().map(str::to_owned))
    };
    let first = identity().await;
    put(folder.path(), "notes.txt", "2\n");
    let second = identity().await;
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    put(folder.path(), "requirements.txt", "srv<2\n");
    assert_ne!(identity().await.0, first.0);
}

#[tokio::test]
async fn a_folder_that_asks_for_nothing_takes_no_lock() {
    let folder = project(&[]);
    let source = opened(&server(&folder)).await.expect("read");
    assert!(!source.is_locked());
    let given: mcplambda::package::Lock = format!("srv==1 --hash=sha256:{}", "0".repeat(64))
        .parse()
        .expect("a lock");
    assert_eq!(
        given.check(&source).expect_err("refused").to_string(),
        "lock: nothing is installed from a package index for this server, so there is nothing to lock; remove it"
    );
}

#[tokio::test]
async fn lines_that_cannot_be_kept_are_told_with_file_and_line() {
    let cases = [
        (
            "srv\n-e .\n",
            "source_dir: line 2 of `requirements.txt` (`-e .`) would have to be built. What is in the folder is packaged as it is: take the \
             line out, and set `PYTHONPATH` in `env` when modules lie below the top, such as `/var/task/src`",
        ),
        (
            "\n--pre\n",
            "source_dir: line 2 of `requirements.txt` (`--pre`) is an option that is not known here; take it out, or pin what it would choose",
        ),
        (
            "git+https://example.com/srv.git\n",
            "source_dir: line 1 of `requirements.txt` (`git+https://example.com/srv.git`): `git+https://example.com/srv.git` is not in a \
             package index. Git repositories, URLs and paths cannot be packaged, because they would have to be built; name a release that is \
             published as a wheel",
        ),
        (
            "-r ../other.txt\n",
            "source_dir: line 1 of `requirements.txt` (`-r ../other.txt`) includes a file outside of the folder; only what is in the folder \
             counts, so copy it there",
        ),
        (
            "-r absent.txt\n",
            "source_dir: a requirements file in it includes `absent.txt`, which is not in the folder, or is left out of the package",
        ),
    ];
    for (text, expected) in cases {
        let folder = project(&[("requirements.txt", text)]);
        assert_eq!(
            refusal(&server(&folder)).await,
            pair("source_dir", expected),
            "{text}"
        );
    }
}

#[tokio::test]
async fn projects_that_cannot_be_read_or_run_are_told() {
    let folder = project(&[("uv.lock", "version = 1\n")]);
    assert_eq!(
        refusal(&server(&folder)).await,
        pair(
            "source_dir",
            "source_dir: it holds `uv.lock` without the `pyproject.toml` that belongs to it; add that, or leave the lock out with \
             `source_excludes`"
        )
    );
    let folder = project(&[(
        "pyproject.toml",
        "[project]\nname = \"server\"\ndynamic = [\"dependencies\"]\n",
    )]);
    assert_eq!(
        refusal(&server(&folder)).await,
        pair(
            "source_dir",
            "source_dir: `pyproject.toml` in it computes its dependencies (`dynamic`), which only a build could tell; write them to \
             `requirements.txt`, or add `uv.lock` (`uv lock`)"
        )
    );
    let folder = project(&[("pyproject.toml", "[project\n")]);
    let (attribute, text) = refusal(&server(&folder)).await;
    assert_eq!(attribute, "source_dir");
    assert!(
        text.starts_with("source_dir: `pyproject.toml` in it cannot be read: "),
        "{text}"
    );
    let newer = PROJECT.replace(">=3.8", ">=3.14");
    let folder = project(&[("pyproject.toml", &newer)]);
    let mut server = server(&folder);
    assert_eq!(
        refusal(&server).await,
        pair(
            "runtime",
            "runtime: `pyproject.toml` in `source_dir` asks for Python >=3.14, but the function runs python3.13; set `runtime` to one that fits"
        )
    );
    server.runtime = Some("python3.14".to_owned());
    opened(&server).await.expect("it fits");
    server.command = "python3.12".to_owned();
    assert_eq!(
        refusal(&server).await,
        pair(
            "runtime",
            "runtime: `python3.14` contradicts `python3.12` (command); remove it or make them agree"
        )
    );
}

#[tokio::test]
async fn a_package_that_the_folder_asks_for_and_nobody_has_points_at_the_folder() {
    let index = Index::start();
    let folder = project(&[("requirements.txt", "absent-package\n")]);
    let spec = server(&folder);
    let source = opened(&spec).await.expect("read");
    let error = lock(&index, &spec).await.expect_err("refused");
    assert_eq!(
        (
            error.locate(&source).map(|attribute| attribute.to_string()),
            error.to_string()
        ),
        (
            Some("source_dir".to_owned()),
            "package `absent-package` does not exist in the package index. Check its spelling; a private package needs its index (UV_INDEX, \
             or `--index` in args)"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn a_lock_that_was_made_for_other_dependencies_says_which_and_how_to_renew_it() {
    let index = Index::start();
    index.release(&Wheel::new("srv", "1.0"));
    index.release(&Wheel::new("tools", "1"));
    index.release(&Wheel::new("only-for-tests", "1"));
    let folder = project(&[("pyproject.toml", PROJECT)]);
    uv_lock(&index, &folder);
    // Said otherwise, and still the same.
    let same = PROJECT
        .replace("\"srv>=1\"", "\"Srv >= 1\"")
        .replace("version = \"0.1.0\"", "version = \"0.2.0\"");
    put(folder.path(), "pyproject.toml", &same);
    opened(&server(&folder)).await.expect("it fits");
    for (before, after, expected) in [
        (
            "srv>=1",
            "srv>=1,<2",
            "that asks for `srv<2,>=1`, and the lock was made for `srv>=1`",
        ),
        (
            "srv>=1",
            "srv>=1\", \"More_Itertools[x]~=10.0",
            "that asks for `more-itertools~=10.0`, which the lock was not made for",
        ),
        (
            "\"srv>=1\", ",
            "",
            "the lock was made for `srv`, which that does not ask for",
        ),
    ] {
        put(
            folder.path(),
            "pyproject.toml",
            &PROJECT.replace(before, after),
        );
        assert_eq!(
            refusal(&server(&folder)).await,
            pair(
                "source_dir",
                &format!(
                    "source_dir: `uv.lock` in it does not fit `pyproject.toml`: {expected}. Run `uv lock` in the folder"
                )
            )
        );
    }
}
