//! The Python files of a package in, their bytecode out, so that Lambda, where nothing can be written beside them, need not compile them at
//! every cold start.
//!
//! A CPython of exactly the runtime's minor version compiles, each file under the path that it has in the function. The files say that they
//! hold whatever the source's time (PEP 552, unchecked), and have the one form that `marshal` gives them. Files that do not compile, or that
//! no `import` can name, get none. Refuses: a machine without such an interpreter.
//!
//! Source: PEP 3147 (names), PEP 552 (header).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::program::TASK_ROOT;
use super::runtime::PythonRuntime;
use super::stage::Content;
use super::uv::{self, Step};
use super::{PackageError, Tools, marshal, tools};

/// Says which Python this is, in one line.
const WHICH: &str = "import sys;v=sys.version_info;\
print(sys.implementation.name,v.major,v.minor,v.releaselevel,sys.version.split()[0])";

/// Reads lines of source, its path in the function and where its bytecode goes, and compiles each as `import` would.
const COMPILE: &str = "
import marshal, sys
from importlib.util import MAGIC_NUMBER, source_hash
for line in sys.stdin:
    source, path, target = line.rstrip('\\n').split('\\t')
    with open(source, 'rb') as file:
        text = file.read()
    try:
        code = marshal.dumps(compile(text, path, 'exec', dont_inherit=True, optimize=0))
    except Exception:
        continue
    with open(target, 'wb') as file:
        file.write(MAGIC_NUMBER + (1).to_bytes(4, 'little') + source_hash(text) + code)
";

/// Bytes before the code: magic number, flags, and the hash of the source.
const HEADER: usize = 16;

/// More processes than this only wait for the disk.
const MOST_PROCESSES: usize = 8;

/// An interpreter of this machine that compiles for a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    program: PathBuf,
    python: PythonRuntime,
    /// `3.13.2`: releases of one minor version read each other's bytecode, but may write other bytes.
    pub(crate) release: String,
}

impl Compiler {
    /// The first of this machine's interpreters that is of the runtime's minor version: on PATH, pyenv's, or one that `uv` knows.
    pub(crate) async fn find(tools: &Tools, python: PythonRuntime) -> Result<Self, PackageError> {
        for program in candidates(tools, python) {
            if let Some(found) = Self::try_program(tools, program, python).await {
                return Ok(found);
            }
        }
        let words = ["python", "find", "--no-project", &python.version()].map(str::to_owned);
        if let Ok(output) = uv::run(tools, Step::Resolve, &words, "").await
            && let Some(found) = Self::try_program(tools, output.text.trim().into(), python).await
        {
            return Ok(found);
        }
        Err(PackageError::NoInterpreter {
            runtime: python.name(),
            version: python.version(),
        })
    }

    async fn try_program(tools: &Tools, program: PathBuf, python: PythonRuntime) -> Option<Self> {
        let mut command = interpreter(tools, &program);
        command.args(["-c", WHICH]);
        let ended = tools::run_program(command, "").await.ok()?;
        let release = ended
            .output
            .trim()
            .strip_prefix(&format!("cpython 3 {} final ", python.minor))?;
        Some(Self {
            release: release.to_owned(),
            program,
            python,
        })
    }

    /// Bytecode for each Python file among `files`, by its path in the package.
    pub(crate) async fn compile(
        &self,
        tools: &Tools,
        files: &BTreeMap<String, Content>,
    ) -> Result<BTreeMap<String, Content>, PackageError> {
        let work = tools.work_directory()?;
        let jobs = self.jobs(files, &work)?;
        let processes = std::thread::available_parallelism().map_or(1, usize::from);
        let processes = processes.min(MOST_PROCESSES);
        let mut inputs = vec![String::new(); processes];
        // Large files come beside each other: every process gets some.
        for (index, job) in jobs.iter().enumerate() {
            inputs[index % processes].push_str(&job.line);
        }
        let runs = inputs.iter().map(|input| self.run(tools, input));
        futures_util::future::try_join_all(runs).await?;
        let minor = self.python.minor;
        let compiled = move |(jobs, _work): &(Vec<Job>, TempDir)| {
            let results = jobs.iter().filter_map(|job| job.result(minor));
            Ok(results.collect())
        };
        super::in_background((jobs, work), compiled).await
    }

    fn jobs(
        &self,
        files: &BTreeMap<String, Content>,
        work: &TempDir,
    ) -> Result<Vec<Job>, PackageError> {
        let mut jobs = Vec::new();
        for (path, content) in files {
            let Some(name) = bytecode_name(path, self.python) else {
                continue;
            };
            let target = work.path().join(jobs.len().to_string());
            let source = match content {
                Content::File(source) => source.clone(),
                // As it was when it was hashed.
                Content::Seen { .. } | Content::Bytes(_) => {
                    let source = target.with_extension("py");
                    let written = std::fs::write(&source, content.read()?);
                    written.map_err(|error| PackageError::Io {
                        action: "write",
                        path: source.clone(),
                        source: error,
                    })?;
                    source
                }
            };
            let line = format!(
                "{}\t{TASK_ROOT}/{path}\t{}\n",
                source.display(),
                target.display()
            );
            jobs.push(Job { name, line, target });
        }
        Ok(jobs)
    }

    async fn run(&self, tools: &Tools, input: &str) -> Result<(), PackageError> {
        let mut command = interpreter(tools, &self.program);
        command.args(["-c", COMPILE]);
        let failed = |reason: String| PackageError::CompileFailed {
            path: self.program.clone(),
            reason,
        };
        let ended = tools::run_program(command, input)
            .await
            .map_err(|error| failed(error.to_string()))?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(failed(format!(
                "{}: {}",
                ended.status,
                ended.complaints.trim()
            ))),
        }
    }
}

struct Job {
    /// The bytecode's path in the package.
    name: String,
    /// What the interpreter is told.
    line: String,
    target: PathBuf,
}

impl Job {
    /// The bytecode in its one form; nothing for a file that did not compile.
    fn result(&self, minor: u8) -> Option<(String, Content)> {
        let bytes = std::fs::read(&self.target).ok()?;
        let (header, code) = bytes.split_at_checked(HEADER)?;
        let code = marshal::canonical(code, minor)?;
        let bytes = [header, &code].concat();
        Some((self.name.clone(), Content::Bytes(bytes)))
    }
}

/// The interpreter without what this machine says of it: its site, its variables, its warnings.
fn interpreter(tools: &Tools, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-X", "utf8", "-s", "-S", "-W", "ignore"]);
    let environment = tools.environment.iter();
    let foreign = |name: &OsStr| name.to_string_lossy().starts_with("PYTHON");
    command
        .env_clear()
        .envs(environment.filter(|(name, _)| !foreign(name)))
        // Python 3.10 writes sets in the order of their hashes.
        .env("PYTHONHASHSEED", "0");
    command
}

/// What bytecode is called among the things that make a package large.
pub(crate) const SIZE_NAME: &str = "`compile_bytecode`";

/// Bytecode is one of the things that make a package large.
pub(crate) fn add_size(
    sizes: &mut BTreeMap<String, u64>,
    bytecode: &BTreeMap<String, Content>,
) -> Result<(), PackageError> {
    let total: u64 = bytecode.values().map(Content::size).sum::<Result<_, _>>()?;
    if total > 0 {
        sizes.insert(SIZE_NAME.to_owned(), total);
    }
    Ok(())
}

/// Where an interpreter of that version may be.
fn candidates(tools: &Tools, python: PythonRuntime) -> Vec<PathBuf> {
    let variable = |name: &str| tools.environment.get(OsStr::new(name));
    let path: Vec<PathBuf> = variable("PATH")
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|directory| directory.is_absolute())
        .collect();
    let suffix = std::env::consts::EXE_SUFFIX;
    let names = [python.name(), "python3".to_owned(), "python".to_owned()];
    let on_path = names.iter().flat_map(|name| {
        let name = format!("{name}{suffix}");
        path.iter().map(move |directory| directory.join(&name))
    });
    let pyenv = match variable("PYENV_ROOT") {
        Some(root) => Some(PathBuf::from(root)),
        None => variable("HOME").map(|home| Path::new(home).join(".pyenv")),
    };
    let versions = pyenv.and_then(|root| root.join("versions").read_dir().ok());
    let version = format!("{}.", python.version());
    let mut of_pyenv: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&version))
        .map(|entry| entry.path().join("bin").join(python.name()))
        .collect();
    of_pyenv.sort();
    // `/bin` is `/usr/bin`, and `python3` `python3.13`: each is started once. The name is part of it, as some programs go by that.
    let mut seen = BTreeSet::new();
    on_path
        .chain(of_pyenv)
        .filter(|program| program.is_file())
        .filter(|program| {
            let really = program.canonicalize().unwrap_or_else(|_| program.clone());
            seen.insert((really, program.file_name().map(OsStr::to_owned)))
        })
        .collect()
}

/// `a/__pycache__/b.cpython-313.pyc` for `a/b.py`; nothing where no `import` leads.
fn bytecode_name(path: &str, python: PythonRuntime) -> Option<String> {
    let module = path.strip_suffix(".py")?;
    let inside = module.strip_prefix("site-packages/").unwrap_or(module);
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    if inside.starts_with("bin/") || !inside.split('/').all(is_name) {
        return None;
    }
    let (directory, name) = match module.rsplit_once('/') {
        Some((directory, name)) => (format!("{directory}/"), name),
        None => (String::new(), module),
    };
    Some(format!(
        "{directory}__pycache__/{name}.cpython-3{}.pyc",
        python.minor
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_lies_where_python_looks_for_it() {
        let python = crate::package::runtime::choose(Some("python3.12"), None).expect("a runtime");
        let name = |path| bytecode_name(path, python);
        assert_eq!(
            name("site-packages/a/b.py").as_deref(),
            Some("site-packages/a/__pycache__/b.cpython-312.pyc")
        );
        assert_eq!(
            name("server.py").as_deref(),
            Some("__pycache__/server.cpython-312.pyc")
        );
        for none in [
            "site-packages/a/b.pyi",
            "site-packages/bin/tool.py",
            "site-packages/a/{{name}}/b.py",
            "site-packages/a-1.0.data/b.py",
            "a/2.py",
            "a/b.txt",
        ] {
            assert_eq!(name(none), None);
        }
    }
}
