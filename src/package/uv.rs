//! Runs `uv`: arguments and standard input in, standard output or complaints out.
//!
//! Refuses to pass on what would make the outcome depend on the machine.

use std::path::Path;

use tokio::process::Command;

use super::tools::{self, Tool};
use super::uv_report::Report;
use super::{PackageError, Tools, python_index, stand_in};

/// Which version of a package `uv` may choose: its own settings decide when resolving, nothing but the lock when installing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Resolve,
    Install,
}

/// What `uv` says when it does not understand an interpreter's answer.
const NOT_INSPECTED: &str = "Failed to inspect Python interpreter";

/// The Python that is stood in for where no version is asked for: `uv.lock` says for which ones it was made.
const PYTHON: &str = "3.13";

/// Variables that would make the outcome depend on the machine, for every step.
const NEVER_PASSED: [&str; 24] = [
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_COMPILE_BYTECODE",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_FROZEN",
    "UV_LINK_MODE",
    "UV_LOCKED",
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

/// What a run gave.
pub(crate) struct Output {
    pub(crate) text: String,
    /// What it wrote on standard error besides: progress and warnings.
    pub(crate) remarks: String,
}

/// Why a run gave no output.
pub(crate) enum Failure {
    Complaint(Complaint),
    Unusable(PackageError),
}

/// Runs `uv` with `arguments`, writes `input` to it and returns what it said.
///
/// Where they say for which Python it is, none of this machine's is asked about itself: the stand-in answers at once, and the same everywhere.
pub(crate) async fn run(
    tools: &Tools,
    step: Step,
    arguments: &[String],
    input: &str,
) -> Result<Output, Failure> {
    let Some(version) = value_of(arguments, "--python-version") else {
        return match run_once(tools, step, arguments, input, None).await {
            Err(Failure::Complaint(complaint))
                if Report::read(&complaint.0).lacks_interpreter() =>
            {
                let stood_in = run_stood_in(tools, step, arguments, input, PYTHON).await;
                stood_in.unwrap_or(Err(Failure::Complaint(complaint)))
            }
            other => other,
        };
    };
    match run_stood_in(tools, step, arguments, input, version).await {
        Some(done) => done,
        None => run_once(tools, step, arguments, input, None).await,
    }
}

/// `None` where there is no stand-in, or this `uv` asks for more than it answers.
async fn run_stood_in(
    tools: &Tools,
    step: Step,
    arguments: &[String],
    input: &str,
    version: &str,
) -> Option<Result<Output, Failure>> {
    let folder = tools.cache()?.join("tools");
    let python = stand_in::write(&folder, version).ok()?;
    match run_once(tools, step, arguments, input, Some(&python)).await {
        Err(Failure::Complaint(Complaint(text))) if text.contains(NOT_INSPECTED) => None,
        done => Some(done),
    }
}

/// The argument after `option`.
fn value_of<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == option)?;
    arguments.get(at + 1).map(String::as_str)
}

/// `python`: the interpreter to ask, where `uv` should look for none.
async fn run_once(
    tools: &Tools,
    step: Step,
    arguments: &[String],
    input: &str,
    python: Option<&Path>,
) -> Result<Output, Failure> {
    let path = tools.uv().map_err(Failure::Unusable)?;
    let mut command = Command::new(&path);
    command
        .args(arguments)
        .args(["--color", "never", "--no-progress", "--no-python-downloads"])
        .env_clear()
        .envs(&tools.environment);
    let directory = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("--directory="))
        .unwrap_or(".");
    // In a requirements file as with pip, the file's own index wins.
    let chosen = input
        .lines()
        .any(|line| line.starts_with("--index-url") || line.starts_with("-i"));
    command.envs(python_index::from_pip(
        &tools.environment,
        Path::new(directory),
        chosen,
    ));
    for name in NEVER_PASSED {
        command.env_remove(name);
    }
    if step == Step::Install {
        for name in NOT_PASSED_TO_INSTALL {
            command.env_remove(name);
        }
    }
    if let Some(python) = python {
        command.arg("--python").arg(python);
    }
    if let Some(cache_dir) = &tools.cache_dir {
        command.arg("--cache-dir").arg(cache_dir.join("uv"));
    }
    let ended = tools::run(Tool::Uv, &path, command, input)
        .await
        .map_err(Failure::Unusable)?;
    if ended.status.success() {
        return Ok(Output {
            text: ended.output,
            remarks: ended.complaints,
        });
    }
    if ended.complaints.trim().is_empty() {
        return Err(Failure::Complaint(Complaint(format!(
            "it ended with {} and said nothing",
            ended.status
        ))));
    }
    Err(Failure::Complaint(Complaint(ended.complaints)))
}
