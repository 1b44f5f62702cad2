//! Finds `uv` and runs it: arguments and standard input in, standard output or complaints out.
//!
//! The user's environment goes through (index settings, credentials, proxies, certificates), less what would make the
//! result depend on the machine. A dropped run is killed before its files are removed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::PackageError;

/// What packaging works with: the tool, its cache, and the environment that it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The `uv` program.
    pub uv: PathBuf,
    /// Where downloads are kept, those of `uv` in `uv/`; its own default when `None`. Safe to delete, safe to share.
    pub cache_dir: Option<PathBuf>,
    /// The environment that `uv` is started with (index settings, proxies, credentials), less what would make
    /// the result depend on the machine.
    pub environment: BTreeMap<OsString, OsString>,
}

impl Tools {
    /// Takes `uv_path` when given, else looks for `uv` on the `PATH` of `environment`.
    ///
    /// # Errors
    ///
    /// [`PackageError::ToolMissing`], saying where it looked and how to get `uv`.
    pub fn find(
        uv_path: Option<&Path>,
        cache_dir: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, PackageError> {
        let environment: BTreeMap<_, _> = environment.into_iter().collect();
        let uv = match uv_path {
            Some(given) if is_program(given) => given.to_owned(),
            Some(given) => {
                return Err(PackageError::ToolMissing {
                    searched: format!(": there is no program at `{}` (`uv_path`)", given.display()),
                });
            }
            None => on_path(environment.get(OsStr::new("PATH")).map(OsString::as_os_str))
                .ok_or_else(|| PackageError::ToolMissing {
                    searched: " on PATH".to_owned(),
                })?,
        };
        Ok(Self {
            uv,
            cache_dir: cache_dir.map(Path::to_owned),
            environment,
        })
    }

    /// Where temporary files go: `TMPDIR` of the environment, else the system's place.
    pub(crate) fn temporary_directory(&self) -> PathBuf {
        let given = self
            .environment
            .get(OsStr::new("TMPDIR"))
            .filter(|given| !given.is_empty());
        given.map_or_else(std::env::temp_dir, PathBuf::from)
    }
}

fn on_path(path: Option<&OsStr>) -> Option<PathBuf> {
    let name = format!("uv{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path?)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&name))
        .find(|candidate| is_program(candidate))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Which version of a package `uv` may choose: its own settings decide when resolving, nothing but the lock when installing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Resolve,
    Install,
}

/// Variables that would make the outcome depend on the machine, for every step.
const NEVER_PASSED: [&str; 22] = [
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_COMPILE_BYTECODE",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_LINK_MODE",
    "UV_NO_BINARY",
    "UV_NO_BINARY_PACKAGE",
    "UV_NO_BUILD",
    "UV_NO_BUILD_PACKAGE",
    "UV_NO_VERIFY_HASHES",
    "UV_PREVIEW",
    "UV_PREVIEW_FEATURES",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_REQUIRE_HASHES",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    // Would turn complaints into something else than the text that is read here.
    "RUST_LOG",
    "UV_LOG_CONTEXT",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
];

/// Variables that choose versions; a lock has chosen already.
const NOT_PASSED_TO_INSTALL: [&str; 8] = [
    "UV_BUILD_CONSTRAINT",
    "UV_CONSTRAINT",
    "UV_EXCLUDE",
    "UV_EXCLUDE_NEWER",
    "UV_FORK_STRATEGY",
    "UV_OVERRIDE",
    "UV_PRERELEASE",
    "UV_RESOLUTION",
];

/// `uv` ended with another status than 0; holds what it wrote on standard error.
pub(crate) struct Complaint(pub(crate) String);

/// Why a run gave no output.
pub(crate) enum Failure {
    Complaint(Complaint),
    Unusable(PackageError),
}

/// Runs `uv` with `arguments`, writes `input` to it and returns its standard output.
pub(crate) async fn run(
    tools: &Tools,
    step: Step,
    arguments: &[String],
    input: &str,
) -> Result<String, Failure> {
    let mut command = Command::new(&tools.uv);
    command
        .args(arguments)
        .args(["--color", "never", "--no-progress", "--no-python-downloads"])
        .env_clear()
        .envs(&tools.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in NEVER_PASSED {
        command.env_remove(name);
    }
    if step == Step::Install {
        for name in NOT_PASSED_TO_INSTALL {
            command.env_remove(name);
        }
    }
    if let Some(cache_dir) = &tools.cache_dir {
        command.arg("--cache-dir").arg(cache_dir.join("uv"));
    }
    // Its own group: Terraform's Ctrl-C is answered here, in order, and not by `uv` on its own.
    #[cfg(unix)]
    command.process_group(0);
    let started = command.spawn().map_err(|error| {
        Failure::Unusable(PackageError::ToolUnusable {
            tool: "uv",
            path: tools.uv.clone(),
            reason: format!("it cannot be started: {error}"),
        })
    })?;
    let mut child = Running(started);
    let (stdin, stdout, stderr) = (
        child.0.stdin.take(),
        child.0.stdout.take(),
        child.0.stderr.take(),
    );
    let write = async {
        if let Some(mut stdin) = stdin {
            // A tool that ends early closes its input; its status tells why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output, complaints) = tokio::join!(write, read_all(stdout), read_all(stderr));
    let status = child.0.wait().await;
    let broken = |error: std::io::Error| {
        Failure::Unusable(PackageError::Io {
            action: "talk to",
            path: tools.uv.clone(),
            source: error,
        })
    };
    let (output, complaints, status) = (
        output.map_err(broken)?,
        complaints.map_err(broken)?,
        status.map_err(broken)?,
    );
    if status.success() {
        return Ok(output);
    }
    if complaints.trim().is_empty() {
        return Err(Failure::Complaint(Complaint(format!(
            "it ended with {status} and said nothing"
        ))));
    }
    Err(Failure::Complaint(Complaint(complaints)))
}

async fn read_all(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A child that is dead by the time it is dropped, so that the directory it writes to can be removed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.start_kill().is_err() {
            return; // It has ended and was waited for.
        }
        // SIGKILL takes effect within a scheduling slice; only a cancelled operation comes here.
        for _ in 0..250 {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
}
