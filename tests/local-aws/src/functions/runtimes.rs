//! Which interpreter runs which runtime, and in which isolation.
//!
//! Enters: the machine (PATH, pyenv, `target/`). Leaves: for a runtime such as `python3.13` an
//! interpreter of that minor version that has really run, and how it was found; for a runtime
//! without one, the way to get it. It never runs a function under another version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::Isolation;
use crate::registry::Start;
use crate::sandbox::Emulator;

/// The Python runtimes that Lambda offers (Developer Guide, "Lambda runtimes").
const PYTHON: [&str; 5] = ["3.10", "3.11", "3.12", "3.13", "3.14"];
/// The Node runtimes, by major version.
const NODE: [&str; 3] = ["20", "22", "24"];

/// An interpreter that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its path within `base`.
    pub(crate) path: PathBuf,
    /// The system that it belongs to: `/`, or a root filesystem.
    pub(crate) base: PathBuf,
    /// Its installation directory, when that is not the system's.
    pub(crate) prefix: Option<PathBuf>,
    /// The names by which functions may call it.
    pub(crate) names: Vec<String>,
}

/// What starts a function of some runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// A managed language runtime.
    Managed(Interpreter),
    /// `provided.*`: the code's own `bootstrap`.
    Provided,
    /// A container image: what it starts.
    Image(Start),
    /// A program of this machine, which is no part of the code.
    Program(PathBuf),
}

/// All interpreters at hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runtimes {
    found: Vec<(String, Interpreter)>,
}

impl Runtimes {
    /// Looks for interpreters. `target` is the build directory that holds `tools/` and `rootfs/`;
    /// `prefer_rootfs` puts its root filesystems before what is at hand.
    pub(crate) fn find(target: &Path, isolation: &Isolation, prefer_rootfs: bool) -> Self {
        let mut found = Vec::new();
        for minor in PYTHON {
            let names = vec![
                format!("python{minor}"),
                "python3".to_owned(),
                "python".to_owned(),
            ];
            let mut candidates = at_hand(&names[0], target, minor);
            if matches!(isolation, Isolation::Namespace { .. }) {
                let rootfs = root_filesystems(target, &names[0]);
                let at = if prefer_rootfs { 0 } else { candidates.len() };
                candidates.splice(at..at, rootfs);
            }
            if let Some(interpreter) = candidates
                .into_iter()
                .find_map(|place| python(&place, minor, &names))
            {
                found.push((names[0].clone(), interpreter));
            }
        }
        for major in NODE {
            if let Some(interpreter) = node(major, target) {
                found.push((format!("nodejs{major}.x"), interpreter));
            }
        }
        Self { found }
    }

    /// What runs `runtime`.
    ///
    /// # Errors
    ///
    /// A sentence that names the missing interpreter and how to get it.
    pub(crate) fn of(&self, runtime: &str) -> Result<Runtime, String> {
        if runtime.starts_with("provided") {
            return Ok(Runtime::Provided);
        }
        if let Some((_, interpreter)) = self.found.iter().find(|(name, _)| name == runtime) {
            return Ok(Runtime::Managed(interpreter.clone()));
        }
        let way = if ["python3.13", "nodejs22.x"].contains(&runtime) {
            "run tests/local-aws/install.sh and start local-aws again"
        } else {
            "install that interpreter so that it is on PATH and start local-aws again"
        };
        Err(format!("local-aws has no interpreter for {runtime}; {way}"))
    }

    /// `{"python3.13": "/usr/bin/python3.13", …}`
    pub(crate) fn to_json(&self) -> Value {
        let describe = |interpreter: &Interpreter| {
            if interpreter.base == Path::new("/") {
                interpreter.path.display().to_string()
            } else {
                format!(
                    "{} in {}",
                    interpreter.path.display(),
                    interpreter.base.display()
                )
            }
        };
        let mut runtimes: Map<String, Value> = self
            .found
            .iter()
            .map(|(name, interpreter)| (name.clone(), describe(interpreter).into()))
            .collect();
        runtimes.insert(
            "provided.al2023".to_owned(),
            "the code's own bootstrap".into(),
        );
        Value::Object(runtimes)
    }
}

/// What runs the programs of Lambda's `architecture` on this machine; `None` where it runs them itself.
///
/// # Errors
///
/// A sentence that says how to get it.
pub(crate) fn emulator(architecture: &str) -> Result<Option<Emulator>, String> {
    // ELF's numbers: EM_AARCH64 and EM_X86_64.
    let (own, program, machine) = match architecture {
        "arm64" => ("aarch64", "qemu-aarch64-static", 183),
        _ => ("x86_64", "qemu-x86_64-static", 62),
    };
    if std::env::consts::ARCH == own {
        return Ok(None);
    }
    let found = on_path(program).next();
    let program = found.ok_or_else(|| {
        format!(
            "images for {architecture} run here only with {program} on PATH (Debian and Ubuntu: apt-get install qemu-user-static)"
        )
    })?;
    Ok(Some(Emulator { program, machine }))
}

/// A program that may be an interpreter.
struct Place {
    base: PathBuf,
    program: PathBuf,
}

fn at_hand(name: &str, target: &Path, minor: &str) -> Vec<Place> {
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    let mut programs: Vec<PathBuf> = on_path(name).collect();
    if let Some(pyenv) = pyenv {
        programs.extend(installations(
            &pyenv.join("versions"),
            &format!("{minor}."),
            name,
        ));
    }
    programs.extend(installations(
        &target.join("tools/python"),
        &format!("cpython-{minor}."),
        name,
    ));
    programs
        .into_iter()
        .map(|program| Place {
            base: PathBuf::from("/"),
            program,
        })
        .collect()
}

fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let name = name.to_owned();
    directories
        .into_iter()
        .map(move |directory| directory.join(&name))
        .filter(|program| program.is_file())
}

/// `directory/PREFIX*/bin/name`, newest name last in the directory first.
fn installations(directory: &Path, prefix: &str, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut programs: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|program| program.is_file())
        .collect();
    programs.sort();
    programs.reverse();
    programs
}

fn root_filesystems(target: &Path, name: &str) -> Vec<Place> {
    let Ok(entries) = std::fs::read_dir(target.join("rootfs")) else {
        return Vec::new();
    };
    let program = Path::new("/usr/bin").join(name);
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|base| {
            base.join(".installed").exists() && base.join(format!("usr/bin/{name}")).exists()
        })
        .map(|base| Place {
            base,
            program: program.clone(),
        })
        .collect()
}

/// Runs the candidate: a pyenv shim, for one, exists and answers 127.
fn python(place: &Place, minor: &str, names: &[String]) -> Option<Interpreter> {
    if place.base != Path::new("/") {
        // It ran when install.sh made it; to run it here would need a root change of our own.
        return Some(Interpreter {
            path: place.program.clone(),
            base: place.base.clone(),
            prefix: None,
            names: names.to_vec(),
        });
    }
    let answer = output(
        &place.program,
        &[
            "-Ic",
            "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix, sep='\\n')",
        ],
    )?;
    let (version, prefix) = answer.split_once('\n')?;
    let prefix = PathBuf::from(prefix.trim());
    // Where a virtual environment's python really lives.
    let path = prefix.join("bin").join(&names[0]);
    (version == minor && path.is_file()).then(|| of_host(path, prefix, names))
}

fn node(major: &str, target: &Path) -> Option<Interpreter> {
    let fetched = installations(&target.join("tools/node"), &format!("{major}."), "node");
    on_path("node").chain(fetched).find_map(|program| {
        let version = output(&program, &["--version"])?;
        let path = program.canonicalize().ok()?;
        let prefix = path.parent()?.parent()?.to_owned();
        version
            .starts_with(&format!("v{major}."))
            .then(|| of_host(path, prefix, &["node".to_owned()]))
    })
}

fn of_host(path: PathBuf, prefix: PathBuf, names: &[String]) -> Interpreter {
    let of_system = prefix == Path::new("/") || prefix.starts_with("/usr");
    let complete = names
        .iter()
        .all(|name| prefix.join("bin").join(name).exists());
    Interpreter {
        path,
        base: PathBuf::from("/"),
        prefix: (!of_system && complete).then_some(prefix),
        names: names.to_vec(),
    }
}

fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
