//! Runs `uv`: arguments and standard input in, standard output or complaints out.
//!
//! Refuses to pass on what would make the outcome depend on the machine.

use tokio::process::Command;

use super::tools::{self, Tool};
use super::{PackageError, Tools};

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
    let path = tools.uv().map_err(Failure::Unusable)?;
    let mut command = Command::new(&path);
    command
        .args(arguments)
        .args(["--color", "never", "--no-progress", "--no-python-downloads"])
        .env_clear()
        .envs(&tools.environment);
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
    let ended = tools::run(Tool::Uv, &path, command, input)
        .await
        .map_err(Failure::Unusable)?;
    if ended.status.success() {
        return Ok(ended.output);
    }
    if ended.complaints.trim().is_empty() {
        return Err(Failure::Complaint(Complaint(format!(
            "it ended with {} and said nothing",
            ended.status
        ))));
    }
    Err(Failure::Complaint(Complaint(ended.complaints)))
}
