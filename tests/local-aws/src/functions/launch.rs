//! The last step before a function's own code: `local-aws __runtime SPEC`, started by the emulator
//! or by the supervisor in place of a runtime's bootstrap.
//!
//! It sends output to the function's log, enters the function's root directory, and becomes the
//! function's first process, with exactly the environment that Lambda would give it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use crate::sandbox;

/// How the function's first process is started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    /// A named pipe: the function's log. Without it, output goes where this process's goes.
    pub(crate) log: Option<PathBuf>,
    /// The root directory that the supervisor has built, if any.
    pub(crate) root: Option<PathBuf>,
}

/// Lambda's limit on open files.
const OPEN_FILES: libc::rlim_t = 1024;

/// `local-aws __runtime SPEC`: returns only when the function cannot be started.
pub(crate) fn main(spec: &Path) -> ExitCode {
    match start(spec) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{error}");
            // As a shell answers for a command that it cannot run.
            ExitCode::from(127)
        }
    }
}

fn start(spec: &Path) -> Result<std::convert::Infallible, String> {
    let spec = std::fs::read(spec).map_err(|error| error.to_string())?;
    let spec: Spec = serde_json::from_slice(&spec).map_err(|error| error.to_string())?;
    if let Some(log) = &spec.log {
        let log = File::options()
            .write(true)
            .open(log)
            .map_err(|error| format!("log: {error}"))?;
        for stream in [1, 2] {
            // SAFETY: both numbers are open file descriptors.
            if unsafe { libc::dup2(log.as_raw_fd(), stream) } == -1 {
                return Err(format!("log: {}", std::io::Error::last_os_error()));
            }
        }
    }
    let limit = libc::rlimit {
        rlim_cur: OPEN_FILES,
        rlim_max: OPEN_FILES,
    };
    // SAFETY: the structure outlives the call. A lower limit that is already there may stay.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if let Some(root) = &spec.root {
        sandbox::enter(root)
            .map_err(|error| format!("cannot enter the function's root: {error}"))?;
    }
    std::env::set_current_dir(&spec.cwd)
        .map_err(|error| format!("{}: {error}", spec.cwd.display()))?;
    let (program, arguments) = spec.argv.split_first().ok_or("empty command")?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(format!("{program}: {error}"))
}
