//! Our side: the provider's packaging as a program of its own.
//!
//! Enters: a subject, and the lock if there is one. Leaves: the zip, what it is, and how long it took from the start of the process to
//! its end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Bench, Registry, Subject, output};
use crate::process::Result;

/// A package that was made.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) zip: PathBuf,
    pub(crate) code_sha256: String,
    pub(crate) argv: Vec<String>,
    pub(crate) lock: String,
    pub(crate) took: Duration,
}

/// Packages with the cache in `folder`, as users get it: with bytecode where there is Python. `args` are the server's own.
pub(crate) fn package(
    bench: &Bench,
    subject: &Subject,
    folder: &Path,
    lock: Option<&str>,
    args: &[&str],
) -> Result<Package> {
    let cache = folder.join("our-cache");
    run(bench, job(bench, subject, &cache, folder, lock, args))
}

/// [`package`] with `compile_bytecode = false` and the cache in `cache`, beside the other.
pub(crate) fn plain(
    bench: &Bench,
    subject: &Subject,
    (folder, cache): (&Path, &Path),
    lock: Option<&str>,
) -> Result<Package> {
    let mut job = job(bench, subject, cache, folder, lock, &[]);
    job["compile_bytecode"] = json!(false);
    job["zip"] = json!(folder.join("ours-plain.zip"));
    run(bench, job)
}

fn run(bench: &Bench, job: Value) -> Result<Package> {
    let mut command = Command::new(&bench.ours);
    command.arg(job.to_string());
    bench.environment(&mut command);
    let begun = Instant::now();
    let said = output(&mut command)?;
    let took = begun.elapsed();
    package_of(&said, &job, took)
}

/// What the program is told.
pub(crate) fn job(
    bench: &Bench,
    subject: &Subject,
    cache: &Path,
    folder: &Path,
    lock: Option<&str>,
    args: &[&str],
) -> Value {
    let (command, package, runtime) = match subject.registry {
        Registry::PyPi => (
            "uvx",
            format!("{}=={}", subject.name, subject.version),
            Some(&bench.runtime),
        ),
        Registry::Npm => ("npx", format!("{}@{}", subject.name, subject.version), None),
    };
    let args: Vec<&str> = std::iter::once(package.as_str())
        .chain(args.iter().copied())
        .collect();
    json!({
        "command": command, "args": args, "runtime": runtime, "lock": lock,
        "cache_dir": cache, "zip": folder.join("ours.zip"),
    })
}

/// What the program said that it made.
pub(crate) fn package_of(said: &str, job: &Value, took: Duration) -> Result<Package> {
    let said: Value = serde_json::from_str(said).map_err(|error| format!("{said:?}: {error}"))?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("something is missing in {said}"))
    };
    let words = said["argv"].as_array().into_iter().flatten();
    Ok(Package {
        zip: text(&job["zip"])?.into(),
        code_sha256: text(&said["code_sha256"])?,
        argv: words.map(text).collect::<Result<_>>()?,
        lock: text(&said["lock"])?,
        took,
    })
}
