//! A server's own folder becomes its package: what is in it and nothing else, the same bytes everywhere; what could not run is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use mcplambda::package::{
    Architecture, Artifact, Attribute, ErrorKind, PackageError, ServerSpec, Source, Tools,
    build_around, open, open_package, plan_source,
};
use tempfile::TempDir;

use crate::package_support::contents;

const BRIDGE: &[u8] = b"\x7fELF stands for the bridge";
const SCRIPT: &str = "#!/bin/sh\nexec cat\n";

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (path, content) in files {
        put(folder.path(), path, content);
    }
    folder
}

fn put(folder: &Path, path: &str, content: &[u8]) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    std::fs::write(file, content).expect("written");
}

fn spec(folder: &Path, command: &str) -> ServerSpec {
    ServerSpec {
        command: command.to_owned(),
        args: Vec::new(),
        packages: Vec::new(),
        allow_scripts: None,
        compile_bytecode: false,
        runtime: None,
        architecture: Architecture::X86_64,
        cwd: None,
        source_dir: Some(folder.display().to_string()),
        source_excludes: Vec::new(),
        layered: false,
    }
}

async fn opened(spec: &ServerSpec) -> Result<Source, PackageError> {
    open(plan_source(spec)?).await
}

/// Nothing is installed, so no tool is run.
fn no_tools() -> Tools {
    Tools {
        uv_path: None,
        npm_path: None,
        cache_dir: None,
        environment: BTreeMap::new(),
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

async fn built(spec: &ServerSpec) -> Artifact {
    let source = opened(spec).await.expect("a folder that can be packaged");
    build_around(BRIDGE, &no_tools(), &source, None)
        .await
        .expect("a package")
}

/// Attribute and text of the refusal, `DIR` for the folder.
async fn refusal(spec: &ServerSpec) -> (String, String) {
    let error = opened(spec).await.expect_err("to be refused");
    let attribute = error.attribute().as_ref().map(Attribute::to_string);
    let mut text = error.to_string();
    if let Some(folder) = &spec.source_dir {
        text = text.replace(folder, "DIR");
    }
    (attribute.unwrap_or_default(), text)
}

fn names(artifact: &Artifact) -> Vec<(String, u32)> {
    let files = contents(&artifact.zip).into_iter();
    files.map(|(name, mode, _)| (name, mode & 0o777)).collect()
}

fn pair(attribute: &str, text: &str) -> (String, String) {
    (attribute.to_owned(), text.to_owned())
}

#[tokio::test]
async fn the_files_lie_at_the_top_beside_the_bridge_that_starts_the_program() {
    let folder = folder(&[
        ("server", SCRIPT.as_bytes()),
        ("data/words.txt", b"a\nb\n"),
        ("bin/tool", &library(X86_64)),
    ]);
    let mut spec = spec(folder.path(), "./server");
    spec.args = vec!["--flag".to_owned()];
    let artifact = built(&spec).await;
    assert_eq!(
        names(&artifact),
        [
            ("bin/tool".to_owned(), 0o755),
            ("bootstrap".to_owned(), 0o755),
            ("data/words.txt".to_owned(), 0o644),
            ("server".to_owned(), 0o755),
        ]
    );
    assert_eq!(artifact.argv, ["./server", "--flag"]);
    assert_eq!(artifact.runtime, "provided.al2023");
    assert_eq!(artifact.versions, BTreeMap::new());
    let expected = (BRIDGE.len() + SCRIPT.len() + 4 + library(X86_64).len()) as u64;
    assert_eq!(artifact.unzipped_size, expected);
}

#[cfg(unix)]
#[tokio::test]
async fn modes_times_and_places_make_no_difference() {
    use std::os::unix::fs::PermissionsExt;
    let files: [(&str, &[u8]); 3] = [
        ("server", SCRIPT.as_bytes()),
        ("b.txt", b"b"),
        ("a/c.txt", b"c"),
    ];
    let first = folder(&files);
    let mut reversed = files;
    reversed.reverse();
    let second = folder(&reversed);
    for (path, mode) in [("server", 0o600), ("b.txt", 0o777), ("a/c.txt", 0o400)] {
        let path = second.path().join(path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("allowed");
    }
    std::fs::File::options()
        .append(true)
        .open(second.path().join("b.txt"))
        .and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
        .expect("an old file");
    let (first, second) = (
        spec(first.path(), "./server"),
        spec(second.path(), "./server"),
    );
    let hashes = (
        opened(&first)
            .await
            .expect("read")
            .content_hash()
            .map(str::to_owned),
        opened(&second)
            .await
            .expect("read")
            .content_hash()
            .map(str::to_owned),
    );
    assert_eq!(hashes.0, hashes.1);
    assert_eq!(hashes.0.expect("a hash").len(), 64);
    assert!(
        built(&first).await == built(&second).await,
        "the packages differ"
    );
}

#[tokio::test]
async fn a_changed_or_renamed_file_changes_the_hash_and_a_left_out_one_does_not() {
    let folder = folder(&[("server", SCRIPT.as_bytes()), ("data.txt", b"1")]);
    let mut spec = spec(folder.path(), "./server");
    spec.source_excludes = vec!["notes/".to_owned()];
    let mut seen = Vec::new();
    let hash = async || {
        let source = opened(&spec).await.expect("read");
        source.content_hash().expect("a hash").to_owned()
    };
    seen.push(hash().await);
    put(folder.path(), "notes/today.txt", b"x");
    put(folder.path(), "__pycache__/x.cpython-313.pyc", b"x");
    assert_eq!(hash().await, seen[0]);
    put(folder.path(), "data.txt", b"2");
    seen.push(hash().await);
    std::fs::rename(
        folder.path().join("data.txt"),
        folder.path().join("date.txt"),
    )
    .expect("renamed");
    seen.push(hash().await);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn what_no_package_needs_is_left_out_unless_it_is_asked_for() {
    let folder = folder(&[
        ("server", SCRIPT.as_bytes()),
        (".git/config", b""),
        (".terraform/x", b""),
        ("main.tf", b""),
        ("terraform.tfstate", b"secret"),
        ("terraform.tfstate.backup", b"secret"),
        ("prod.tfvars", b"secret"),
        ("lib/__pycache__/a.pyc", b""),
        ("lib/a.pyc", b""),
        ("lib/a.py", b""),
        (".venv/bin/python", b""),
        ("my-env/pyvenv.cfg", b""),
        ("my-env/bin/python", b""),
        ("tests/a.py", b""),
        ("docs/a.md", b""),
        ("docs/keep.md", b""),
        ("node_modules/x/index.js", b""),
    ]);
    let listing = async |excludes: &[&str]| {
        let mut spec = spec(folder.path(), "./server");
        spec.source_excludes = excludes
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect();
        let names = names(&built(&spec).await).into_iter().map(|(name, _)| name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        listing(&["/tests/", "*.md", "!keep.md", "node_modules", "*.tf"]).await,
        ["bootstrap", "docs/keep.md", "lib/a.py", "server"]
    );
    assert_eq!(
        listing(&["*", "!server", "!.venv", "!.venv/**"]).await,
        [".venv/bin/python", "bootstrap", "server"]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_inside_the_folder_become_what_they_lead_to() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("real/server", SCRIPT.as_bytes()), ("real/data.txt", b"1")]);
    symlink("real/server", folder.path().join("server")).expect("linked");
    symlink("real", folder.path().join("alias")).expect("linked");
    let artifact = built(&spec(folder.path(), "./server")).await;
    let names: Vec<_> = names(&artifact).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "alias/data.txt",
            "alias/server",
            "bootstrap",
            "real/data.txt",
            "real/server",
            "server"
        ]
    );
    // The folder itself may be reached through one.
    let place = tempfile::tempdir().expect("a temporary directory");
    symlink(folder.path(), place.path().join("link")).expect("linked");
    assert!(built(&spec(&place.path().join("link"), "./server")).await == artifact);
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_lead_out_nowhere_or_in_a_circle_are_named() {
    use std::os::unix::fs::symlink;
    for (target, reason) in [
        (
            "../secret",
            "this link leads out of the folder, to `../secret`. Only what is in the folder is packaged; copy it there, or leave the link out \
             with `source_excludes`",
        ),
        (
            "nothing",
            "this link leads to `nothing`, which does not exist",
        ),
        ("..", "this link leads to a directory that it lies in"),
    ] {
        let place = folder(&[("secret", b"s"), ("app/server", SCRIPT.as_bytes())]);
        let app = place.path().join("app");
        std::fs::create_dir(app.join("sub")).expect("made");
        let at = if target == ".." { "sub/up" } else { "up" };
        symlink(target, app.join(at)).expect("linked");
        assert_eq!(
            refusal(&spec(&app, "./server")).await,
            pair("source_dir", &format!("source_dir: `DIR/{at}`: {reason}"))
        );
        let mut without = spec(&app, "./server");
        without.source_excludes = vec!["up".to_owned()];
        built(&without).await;
    }
}

#[tokio::test]
async fn a_folder_that_is_none_is_told_with_what_to_do() {
    let folder = folder(&[("server", SCRIPT.as_bytes())]);
    let (attribute, text) = refusal(&spec(Path::new("no/such/folder"), "./server")).await;
    assert_eq!(attribute, "source_dir");
    let from = std::env::current_dir().expect("a working directory");
    assert_eq!(
        text,
        format!(
            "source_dir: there is no folder `DIR` in `{}`. A folder of a module is `${{path.module}}/…`; if something makes it during apply, \
             take its path from that resource, so that it is unknown while planning",
            from.display()
        )
    );
    assert_eq!(
        refusal(&spec(&folder.path().join("server"), "./server")).await,
        pair(
            "source_dir",
            "source_dir: `DIR` is not a folder; name the folder that holds it"
        )
    );
    let mut nothing = spec(folder.path(), "bash");
    nothing.source_excludes = vec!["*".to_owned()];
    assert_eq!(
        refusal(&nothing).await,
        pair(
            "source_dir",
            "source_dir: `DIR` holds no file that would be packaged; check the folder and `source_excludes`"
        )
    );
    put(folder.path(), "bootstrap", b"");
    assert_eq!(
        refusal(&spec(folder.path(), "./server")).await,
        pair(
            "source_dir",
            "source_dir: `bootstrap` in `DIR` has a name that the package needs for itself; rename it, or leave it out with \
             `source_excludes`"
        )
    );
}

#[tokio::test]
async fn a_pattern_that_cannot_be_read_is_told_at_its_element() {
    let folder = folder(&[("server", SCRIPT.as_bytes())]);
    let mut spec = spec(folder.path(), "./server");
    spec.source_excludes = vec!["*.log".to_owned(), "data[z-a]".to_owned()];
    let (attribute, text) = refusal(&spec).await;
    assert_eq!(attribute, "source_excludes[1]");
    assert!(
        text.contains("data[z-a]") && text.contains(".gitignore"),
        "{text}"
    );
    spec.source_dir = None;
    spec.command = "bash".to_owned();
    spec.source_excludes = vec!["*.log".to_owned()];
    assert_eq!(
        refusal(&spec).await,
        pair(
            "source_excludes",
            "source_excludes: there is no `source_dir` that something could be left out of"
        )
    );
}

/// Bytes that begin as an ELF file for the machine does.
fn library(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0, 1, 0, 0, 0]);
    bytes
}

const X86_64: u8 = 62;
const AARCH64: u8 = 183;

#[tokio::test]
async fn programs_and_libraries_for_another_processor_are_named_with_both() {
    let folder = folder(&[("bin/server", &library(AARCH64)), ("README.md", b"")]);
    let mut server = spec(folder.path(), "bin/server");
    let error = opened(&server).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NoWheel);
    assert_eq!(
        refusal(&server).await,
        pair(
            "command",
            "`bin/server` is built for arm64, but the function's architecture is x86_64. Build it for x86_64, leave it out with \
             `source_excludes`, or set `architecture`"
        )
    );
    server.architecture = Architecture::Arm64;
    built(&server).await;

    put(folder.path(), "lib/fast.so", &library(X86_64));
    assert_eq!(
        refusal(&server).await,
        pair(
            "source_dir",
            "`lib/fast.so` is built for x86_64, but the function's architecture is arm64. Build it for arm64, leave it out with \
             `source_excludes`, or set `architecture`"
        )
    );
    // One of several, that the server chooses by its name.
    std::fs::rename(
        folder.path().join("lib/fast.so"),
        folder.path().join("lib/fast-amd64.so"),
    )
    .expect("renamed");
    built(&server).await;
}

#[tokio::test]
async fn a_program_that_linux_could_not_start_is_told_at_plan() {
    let cases: [(&[u8], &str); 6] = [
        (
            b"\xcf\xfa\xed\xfe\x07\x00\x00\x01",
            "`server` is a program for macOS; functions run Linux on x86_64, so build it for that",
        ),
        (
            b"MZ\x90\x00",
            "`server` is a program for Windows; functions run Linux on x86_64, so build it for that",
        ),
        (
            b"echo hello\n",
            "`server` is neither a Linux program nor a script whose first line names its interpreter, such as `#!/bin/sh`",
        ),
        (
            b"#!/bin/sh\r\necho hello\r\n",
            "the first line of `server` ends in a carriage return, as on Windows, so Linux would not find its interpreter; save it with LF line \
             ends",
        ),
        (
            b"#!/usr/bin/env -S python3 -u\n",
            "`server` is a script for `python3`, which Lambda's plain runtime does not have; write command = \"python\" and the script as the \
             first of `args`",
        ),
        (
            b"#!/usr/bin/node\n",
            "`server` is a script for `node`, which Lambda's plain runtime does not have; write command = \"node\" and the script as the first \
             of `args`",
        ),
    ];
    for (content, reason) in cases {
        let folder = folder(&[("server", content)]);
        assert_eq!(
            refusal(&spec(folder.path(), "./server")).await,
            pair("command", &format!("command: {reason}"))
        );
    }
}

/// `command`, `args`, `cwd`; the attribute that is wrong, and why.
type Misplaced = (
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
    &'static str,
    String,
);

#[tokio::test]
async fn a_program_or_script_that_is_not_in_the_folder_is_told_at_plan() {
    let folder = folder(&[("bin/server", SCRIPT.as_bytes()), ("app/main.py", b"")]);
    let elsewhere =
        "The folder is the function's `/var/task`; paths are relative to it or to `cwd`";
    let absent = "is not among the files of `source_dir` that are packaged";
    let cases: [Misplaced; 8] = [
        ("./server", &[], None, "command", format!("`server` {absent}. {elsewhere}")),
        ("/var/task/server", &[], None, "command", format!("`server` {absent}. {elsewhere}")),
        ("./bin", &[], None, "command", format!("`bin` is a directory in `source_dir`, not a program. {elsewhere}")),
        ("bin/server", &[], Some("bin"), "command", format!("`bin/bin/server` {absent}. {elsewhere}")),
        (
            "./server",
            &[],
            Some("/tmp"),
            "command",
            "`./server` is looked for in `/tmp`, the working directory (`cwd`), where no file of the package is; write `/var/task/…`".to_owned(),
        ),
        (
            "../server",
            &[],
            None,
            "command",
            "`../server` leads out of the package, which is all that a function has of `source_dir`".to_owned(),
        ),
        ("python3", &["-u", "main.py"], None, "args[1]", format!("`main.py` {absent}. {elsewhere}")),
        (
            "python3",
            &["/home/me/app/main.py"],
            None,
            "args[0]",
            "`/home/me/app/main.py` is a path of another machine, not of a Lambda function; put the file into the folder that `source_dir` names \
             and write its path in that folder"
                .to_owned(),
        ),
    ];
    for (command, args, cwd, attribute, reason) in cases {
        let mut spec = spec(folder.path(), command);
        spec.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        spec.cwd = cwd.map(str::to_owned);
        assert_eq!(
            refusal(&spec).await,
            pair(attribute, &format!("{attribute}: {reason}")),
            "{command} {args:?}"
        );
    }
    for (command, args, cwd) in [
        ("./server", vec![], Some("bin")),
        ("/var/task/bin/server", vec![], Some("/tmp")),
        ("bash", vec!["-c", "exec bin/server"], None),
        ("/usr/bin/env", vec!["bin/server"], None),
    ] {
        let mut spec = spec(folder.path(), command);
        spec.args = args.into_iter().map(str::to_owned).collect();
        spec.cwd = cwd.map(str::to_owned);
        built(&spec).await;
    }
}

#[tokio::test]
async fn commands_that_nothing_brings_are_refused() {
    let mut spec = spec(Path::new("unused"), "deno");
    spec.source_dir = None;
    let (attribute, text) = refusal(&spec).await;
    assert_eq!(attribute, "command");
    assert!(
        text.starts_with("`deno` is not a server command that can be packaged."),
        "{text}"
    );
    // A layer may bring it.
    spec.layered = true;
    built(&spec).await;

    spec.command = "./server".to_owned();
    assert_eq!(
        refusal(&spec).await,
        pair(
            "command",
            "command: `server` is a file of the server itself; set `source_dir` to the folder that holds it"
        )
    );
    spec.command = r"bin\server".to_owned();
    assert_eq!(
        refusal(&spec).await,
        pair(
            "command",
            r"command: `bin\server` is a path of Windows; functions run Linux, so write `/` between names"
        )
    );
    spec.command = "bash".to_owned();
    spec.packages = vec!["httpx".to_owned()];
    assert_eq!(
        refusal(&spec).await,
        pair(
            "packages[0]",
            "packages[0]: `bash` runs without a package manager, so nothing can be installed for it; put what it needs into `source_dir`"
        )
    );
    spec.packages.clear();
    spec.runtime = Some("python3.13".to_owned());
    let (attribute, text) = refusal(&spec).await;
    assert_eq!(attribute, "runtime");
    assert!(
        text.contains("`python3.13` is not a runtime for `bash`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_published_server_takes_no_folder() {
    let mut spec = spec(Path::new("."), "uvx");
    spec.args = vec!["mcp-server-time".to_owned()];
    assert_eq!(
        refusal(&spec).await,
        pair(
            "source_dir",
            "source_dir: `uvx` runs a published package and sees no other files; start a server of your own with `python3`, `node` or its program as \
             `command`"
        )
    );
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_hashed_is_not_packaged() {
    let folder = folder(&[("server", SCRIPT.as_bytes()), ("data.txt", b"1")]);
    let source = opened(&spec(folder.path(), "./server"))
        .await
        .expect("read");
    put(folder.path(), "data.txt", b"2");
    let error = build_around(BRIDGE, &no_tools(), &source, None)
        .await
        .expect_err("refused");
    let real = folder
        .path()
        .canonicalize()
        .expect("there")
        .join("data.txt");
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` cannot be packaged: it was changed while it was being packaged; apply again once nothing writes to it",
            real.display()
        )
    );
}

#[tokio::test]
async fn more_than_lambda_unpacks_is_refused_before_anything_is_packed() {
    let folder = folder(&[("server", SCRIPT.as_bytes()), ("models/small.bin", b"123")]);
    let large = std::fs::File::create(folder.path().join("models/large.bin")).expect("made");
    // Takes no room on the disk.
    large.set_len(262_144_000).expect("a sparse file");
    let spec = spec(folder.path(), "./server");
    let error = opened(&spec).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(
        refusal(&spec).await,
        pair(
            "source_dir",
            "the package of `./server` is 262144022 bytes unzipped, over Lambda's limit of 262144000 bytes for a zip function. The largest in \
             it (unzipped bytes): models/large.bin (262144000), server (19), models/small.bin (3). Ways out: leave out what the server does not \
             need with `source_excludes`, keep data in S3 or EFS, ask for fewer or smaller packages, or build a container image and run that \
             (`command = \"docker\"`)"
        )
    );
}

#[tokio::test]
async fn what_was_packaged_is_known_from_the_package() {
    let folder = folder(&[("server", SCRIPT.as_bytes()), ("data.txt", b"1")]);
    let spec = spec(folder.path(), "./server");
    let source = opened(&spec).await.expect("read");
    let artifact = built(&spec).await;
    drop(folder);
    let again = open_package(plan_source(&spec).expect("valid"), artifact.zip)
        .await
        .expect("one of ours");
    assert_eq!(again.content_hash(), source.content_hash());
    assert_eq!(again.identity(), source.identity());
}
