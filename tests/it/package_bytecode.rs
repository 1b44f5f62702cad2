//! With `compile_bytecode` a package has the bytecode that its runtime would make, the same every time, and Python uses it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use mcplambda::package::{
    Artifact, Attribute, ErrorKind, PackageError, ServerSpec, Tools, build_around, open,
    open_package, plan_source, resolve,
};
use tempfile::TempDir;

use crate::package_support::{Index, Wheel, contents, spec, tools};

const BRIDGE: &[u8] = b"\x7fELF stands for the bridge";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The minor version of `python3`, which is the only one on the PATH of the tests.
fn minor() -> u8 {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.version_info[1])"])
        .output()
        .expect("python3 runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().parse().expect("a number")
}

fn compiled(args: &[&str]) -> ServerSpec {
    ServerSpec {
        compile_bytecode: true,
        runtime: Some(format!("python3.{}", minor())),
        ..spec(args)
    }
}

async fn built(tools: &Tools, spec: &ServerSpec) -> Result<Artifact, PackageError> {
    let source = open(plan_source(spec)?).await?;
    let lock = match source.is_locked() {
        true => Some(resolve(tools, &source).await?),
        false => None,
    };
    build_around(BRIDGE, tools, &source, lock.as_ref()).await
}

/// All that makes compilers write this or that: sets, constants in several places, names that other modules have too.
const CONSTANTS: &str = "\
import os.path
WORDS = {'zone', 'time', 'os', 'path', 1, 2.5, None, b'bytes', 'längs', (1, 'two')}
def main(word='zone', number=1000000):
    def inner(join=os.path.join):
        return word in {'zone', 'time', 'join', 'main', 1000000, 'x y'}
    return [inner() for zone in (1, 'two') if zone not in {'time', 'os', ' ', ''}]
class Zone:
    '''zone'''
    time = (1, 'two', 1000000, 2.5, 10**30, 1j, ...)
    def zone(self): return self.time[1:2] if self.zone in {self.time, 'zone'} else -0.0
";

fn server() -> Wheel {
    Wheel::new("srv", "1.0")
        .script("srv", "srv.cli:main")
        .file("srv/constants.py", CONSTANTS)
        .file(
            "srv/cli.py",
            "from srv import constants\ndef main():\n    print('as compiled', constants.main())\n",
        )
        .file("srv/template.py", "class {{ name }}: pass\n")
        .file("srv/{{name}}/module.py", "")
        .file("srv-1.0.data/scripts/tool.py", "#!python\n")
}

/// Bytecode by its path below `site-packages`.
fn bytecode(artifact: &Artifact) -> BTreeMap<String, Vec<u8>> {
    let files = contents(&artifact.zip).into_iter();
    files
        .filter(|(name, ..)| name.ends_with(".pyc"))
        .map(|(name, _, bytes)| (name.replace("site-packages/", ""), bytes))
        .collect()
}

fn unpacked(artifact: &Artifact) -> TempDir {
    let directory = home();
    zip::ZipArchive::new(std::io::Cursor::new(&artifact.zip))
        .expect("a zip")
        .extract(directory.path())
        .expect("to unpack");
    directory
}

/// Standard output of `python3` with the package's own command line.
fn run(artifact: &Artifact, directory: &Path) -> String {
    let output = Command::new("python3")
        .args(&artifact.argv[1..])
        .env("PYTHONPATH", directory.join("site-packages"))
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .current_dir(directory)
        .output()
        .expect("python runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    String::from_utf8(output.stdout).expect("text")
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => files.push(path.display().to_string()),
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn python_runs_what_was_compiled_and_writes_nothing() {
    let (index, home) = (Index::start(), home());
    index.release(&server());
    let artifact = built(&tools(&index.url(), home.path()), &compiled(&["srv"])).await;
    let artifact = artifact.expect("a package");
    let bytecode = bytecode(&artifact);
    let minor = minor();
    let modules = ["__init__", "cli", "constants"];
    let expected = modules.map(|module| format!("srv/__pycache__/{module}.cpython-3{minor}.pyc"));
    assert_eq!(bytecode.keys().collect::<Vec<_>>(), expected.each_ref());
    let place = home.path().display().to_string();
    for (name, bytes) in &bytecode {
        // PEP 552: by hash, and not to be compared with the source.
        assert_eq!(bytes[4..8], [1, 0, 0, 0], "{name}");
        let has = |text: &str| {
            let mut parts = bytes.windows(text.len());
            parts.any(|part| part == text.as_bytes())
        };
        assert!(has("/var/task/site-packages/srv/"), "{name}");
        assert!(!has(&place), "{name} names the build directory");
    }

    let directory = unpacked(&artifact);
    let before = files_below(directory.path());
    // Python would read this only to compile it.
    let source = directory.path().join("site-packages/srv/cli.py");
    std::fs::write(source, "raise SystemExit('compiled anew')").expect("to write");
    assert_eq!(
        run(&artifact, directory.path()),
        "as compiled [True, True]\n"
    );
    assert_eq!(files_below(directory.path()), before);
}

/// Builds in a process of its own when told where; does nothing in an ordinary test run.
#[test]
fn every_process_on_every_path_makes_the_same_bytecode() {
    const HERE: &str = "MCPLAMBDA_TEST_COMPILE_HERE";
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    if let Ok(place) = std::env::var(HERE) {
        let mut words = place.split(' ');
        let mut word = || words.next().expect("an index, a place and packages");
        let (index, place) = (word(), Path::new(word()));
        let spec = ServerSpec {
            packages: words.map(str::to_owned).collect(),
            ..compiled(&["srv"])
        };
        let mut tools = tools(index, place);
        let seed = std::env::var_os("PYTHONHASHSEED").expect("a seed");
        tools.environment.insert("PYTHONHASHSEED".into(), seed);
        let artifact = runtime().block_on(built(&tools, &spec));
        let zip = artifact.expect("a package").zip;
        std::fs::write(place.join("zip"), zip).expect("to write the zip");
        return;
    }
    let index = Index::start();
    index.release(&server());
    // More modules with the same names: what was compiled before is no matter.
    let mut more = Wheel::new("more", "1.0");
    for number in 0..40 {
        more = more.file(&format!("more/m{number}.py"), CONSTANTS);
    }
    index.release(&more);
    let outer = home();
    let mut seen = Vec::new();
    for (seed, place, packages) in [
        ("1", "a", ""),
        ("2", "quite/another place", ""),
        ("3", "c", " more"),
    ] {
        let place = outer.path().join(place.replace(' ', "-"));
        std::fs::create_dir_all(&place).expect("a directory");
        let here = format!("{} {}{packages}", index.url(), place.display());
        let status = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "package_bytecode::every_process_on_every_path_makes_the_same_bytecode",
            ])
            .env(HERE, here)
            .env("PYTHONHASHSEED", seed)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("to start this test again");
        assert!(status.success());
        let zip = std::fs::read(place.join("zip")).expect("the zip");
        let files = contents(&zip).into_iter();
        let constants: Vec<Vec<u8>> = files
            .filter(|(name, ..)| name.ends_with(".pyc") && name.contains("/constants."))
            .map(|(_, _, bytes)| bytes)
            .collect();
        assert_eq!(constants.len(), 1);
        seen.push((zip, constants));
    }
    assert!(
        seen[0].0 == seen[1].0,
        "two processes made different packages"
    );
    assert!(seen[0].1 == seen[2].1, "other modules changed the bytecode");
}

/// What Python loads is what it compiled.
#[tokio::test]
async fn the_one_form_of_bytecode_says_what_the_compiler_said() {
    let (index, home) = (Index::start(), home());
    index.release(&server());
    let artifact = built(&tools(&index.url(), home.path()), &compiled(&["srv"])).await;
    let directory = unpacked(&artifact.expect("a package"));
    let script = "\
import marshal, sys
folder, name = sys.argv[1:]
source = open(f'{folder}/{name}.py', 'rb').read()
fresh = compile(source, f'/var/task/site-packages/srv/{name}.py', 'exec', dont_inherit=True)
packed = open(f'{folder}/__pycache__/{name}.{sys.implementation.cache_tag}.pyc', 'rb').read()
import importlib.util as util
assert packed[:4] == util.MAGIC_NUMBER and packed[8:16] == util.source_hash(source)
packed = marshal.loads(packed[16:])
def same(a, b):
    assert a == b, (a, b)
    assert a.co_filename == b.co_filename and a.co_name == b.co_name
    code = lambda constant: hasattr(constant, 'co_code')
    for x, y in zip(a.co_consts, b.co_consts, strict=True):
        assert type(x) is type(y) and (code(x) or repr(x) == repr(y) or x == y), (x, y)
        if code(x): same(x, y)
same(fresh, packed)
print('same')
";
    for name in ["__init__", "cli", "constants"] {
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(directory.path().join("site-packages/srv"))
            .arg(name)
            .output()
            .expect("python runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"same\n", "{name}: {complaints}");
    }
}

#[tokio::test]
async fn a_folder_of_ones_own_is_compiled_and_recognised_again() {
    let (folder, home) = (home(), home());
    for (name, text) in [("server.py", "import words\n"), ("words.py", "WORDS = 1\n")] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let spec = ServerSpec {
        command: "python3".to_owned(),
        source_dir: Some(folder.path().display().to_string()),
        ..compiled(&["server.py"])
    };
    let tools = tools("http://127.0.0.1:9/simple", home.path());
    let artifact = built(&tools, &spec).await.expect("a package");
    let minor = minor();
    assert_eq!(
        bytecode(&artifact).into_keys().collect::<Vec<_>>(),
        ["server", "words"].map(|name| format!("__pycache__/{name}.cpython-3{minor}.pyc"))
    );
    let source = open(plan_source(&spec).expect("valid"))
        .await
        .expect("open");
    let again = open_package(plan_source(&spec).expect("valid"), artifact.zip.clone()).await;
    let again = again.expect("the package's files");
    assert_eq!(again.content_hash(), source.content_hash());

    let plain = ServerSpec {
        compile_bytecode: false,
        ..spec
    };
    let plain = built(&tools, &plain).await.expect("a package");
    assert!(bytecode(&plain).is_empty());
    assert_eq!(plain.argv, artifact.argv);
}

#[tokio::test]
async fn without_an_interpreter_of_the_runtime_it_is_an_error_that_says_how_to_get_one() {
    let (index, home) = (Index::start(), home());
    index.release(&server());
    let mut tools = tools(&index.url(), home.path());
    let other = match minor() {
        12 => 13,
        _ => 12,
    };
    let spec = ServerSpec {
        runtime: Some(format!("python3.{other}")),
        ..compiled(&["srv"])
    };
    let source = plan_source(&spec).expect("valid");
    let lock = resolve(&tools, &source).await.expect("a lock");
    let nothing = home.path().join("nothing");
    std::fs::create_dir(&nothing).expect("a directory");
    tools.environment.insert("PATH".into(), nothing.into());
    let error = build_around(BRIDGE, &tools, &source, &lock)
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Tool);
    assert_eq!(
        error.attribute(),
        Some(Attribute::whole("compile_bytecode"))
    );
    assert_eq!(
        error.to_string(),
        format!(
            "`compile_bytecode` needs a Python 3.{other} on this machine, as `python3.{other}` is; there is none on PATH, none of pyenv, and \
             none that `uv` knows. Install one (`uv python install 3.{other}`), or set `compile_bytecode = false`: the server then starts later, \
             and no otherwise"
        )
    );
}

#[test]
fn servers_without_python_files_have_no_bytecode() {
    for (command, args) in [
        ("npx", vec!["srv"]),
        ("docker", vec!["run", "srv"]),
        ("/usr/bin/env", vec![]),
    ] {
        let spec = ServerSpec {
            command: command.to_owned(),
            compile_bytecode: true,
            ..spec(&args)
        };
        let error = plan_source(&spec).expect_err("refused");
        assert_eq!(
            error.attribute(),
            Some(Attribute::whole("compile_bytecode"))
        );
        assert_eq!(
            error.to_string(),
            format!(
                "compile_bytecode: only Python files have bytecode, and `{command}` starts no server on one of Lambda's Python runtimes; \
                 remove it"
            )
        );
    }
}
