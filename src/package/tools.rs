//! Where the package managers are, and how one is run: a command in, its output and status out.
//!
//! The user's environment goes through (index settings, credentials, proxies, certificates); what each tool must not see of
//! it, the tool's own file takes away. Refuses a program that is not there. A dropped run is killed before its files are removed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Downloads, MinimumAge, PackageError};

/// What packaging works with: the tools, their cache, and the environment that they see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The `uv` program; the first on the `PATH` of `environment` when `None`.
    pub uv_path: Option<PathBuf>,
    /// The `npm` program; the first on the `PATH` of `environment` when `None`.
    pub npm_path: Option<PathBuf>,
    /// Where downloads are kept, those of each tool in a folder of its name; the tool's own default when `None`. Safe to delete,
    /// safe to share.
    pub cache_dir: Option<PathBuf>,
    /// The environment that the tools are started with (index settings, proxies, credentials), less what would make the
    /// result depend on the machine.
    pub environment: BTreeMap<OsString, OsString>,
    /// How old a release must be to be chosen. What a lock pins is not chosen any more.
    pub minimum_age: Option<MinimumAge>,
    /// The time from which that counts.
    pub now: SystemTime,
    /// Fetches what need not come through a tool. Only faster: without it, and wherever it fails, the tool does all.
    pub downloads: Option<Downloads>,
}

impl Tools {
    /// The `uv` to run.
    ///
    /// # Errors
    ///
    /// [`PackageError::ToolMissing`], saying where it looked and how to get `uv`.
    pub fn uv(&self) -> Result<PathBuf, PackageError> {
        self.program(Tool::Uv, self.uv_path.as_deref())
    }

    /// The `npm` to run.
    ///
    /// # Errors
    ///
    /// [`PackageError::ToolMissing`], saying where it looked and how to get `npm`.
    pub fn npm(&self) -> Result<PathBuf, PackageError> {
        self.program(Tool::Npm, self.npm_path.as_deref())
    }

    fn program(&self, tool: Tool, given: Option<&Path>) -> Result<PathBuf, PackageError> {
        let missing = |searched| PackageError::ToolMissing { tool, searched };
        match given {
            Some(given) if is_program(given) => Ok(given.to_owned()),
            Some(given) => Err(missing(format!(
                ": there is no program at `{}` (`{}_path`)",
                given.display(),
                tool.name()
            ))),
            None => self
                .on_path(tool.file_name())
                .ok_or_else(|| missing(" on PATH".to_owned())),
        }
    }

    pub(crate) fn on_path(&self, file_name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.environment.get(OsStr::new("PATH"))?)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(file_name))
            .find(|candidate| is_program(candidate))
    }

    /// A directory that only this user can look into, removed with the value.
    ///
    /// # Errors
    ///
    /// [`PackageError::Io`].
    pub(crate) fn work_directory(&self) -> Result<TempDir, PackageError> {
        let place = self.temporary_directory();
        tempfile::Builder::new()
            .prefix("mcplambda-")
            .tempdir_in(&place)
            .map_err(|source| PackageError::Io {
                action: "make a directory in",
                path: place,
                source,
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

/// A package manager that is driven here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Uv,
    Npm,
}

impl Tool {
    /// As users know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Npm => "npm",
        }
    }

    pub(crate) fn file_name(self) -> &'static str {
        match (self, cfg!(windows)) {
            (Self::Uv, false) => "uv",
            (Self::Uv, true) => "uv.exe",
            (Self::Npm, false) => "npm",
            (Self::Npm, true) => "npm.cmd",
        }
    }

    /// What to do when it is not there.
    pub(crate) fn how_to_get(self) -> &'static str {
        match self {
            Self::Uv => {
                "It resolves and installs the server's packages; install it (`pip install uv`, or see \
                 https://docs.astral.sh/uv/getting-started/installation/) or set `uv_path` in the provider's configuration"
            }
            Self::Npm => {
                "It resolves and installs the server's packages; install Node.js 20 or newer, which brings it (https://nodejs.org), or \
                 set `npm_path` in the provider's configuration"
            }
        }
    }
}

#[cfg(unix)]
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) complaints: String,
}

/// Runs `command`, the program at `path`, writes `input` to it and waits for its end.
///
/// # Errors
///
/// [`PackageError::ToolUnusable`] when it cannot be started, [`PackageError::Io`] when its pipes break.
pub(crate) async fn run(
    tool: Tool,
    path: &Path,
    command: Command,
    input: &str,
) -> Result<Ended, PackageError> {
    let io = |source| PackageError::Io {
        action: "talk to",
        path: path.to_owned(),
        source,
    };
    let child = start(command).map_err(|error| PackageError::ToolUnusable {
        tool,
        path: path.to_owned(),
        reason: format!("it cannot be started: {error}"),
    })?;
    finish(child, input).await.map_err(io)
}

/// Runs a `command` that is no tool of its own, like [`run`].
pub(crate) async fn run_program(command: Command, input: &str) -> std::io::Result<Ended> {
    finish(start(command)?, input).await
}

fn start(mut command: Command) -> std::io::Result<Running> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Its own group: Terraform's Ctrl-C is answered here, in order, and not by the tool on its own.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map(Running)
}

async fn finish(mut child: Running, input: &str) -> std::io::Result<Ended> {
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
    Ok(Ended {
        status: status?,
        output: output?,
        complaints: complaints?,
    })
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
