//! A source and its lock in, the package out: exactly the lock is fetched, else `npm` installs it, hash by hash; the result is staged, checked and
//! zipped.
//!
//! Refuses a lock that belongs to another configuration, tarballs with other bytes than locked, and everything that the stage
//! and the zip refuse.

use std::path::Path;

use tempfile::TempDir;

use super::lock::NpmLock;
use super::packages::NpmPackages;
use super::stage::Stage;
use super::tree::project;
use super::{NpxSource, bin, native, npm, prune, report, tarballs};
use crate::package::assemble::{self, Parts};
use crate::package::{Artifact, Lock, PackageError, Tools, in_background, zip};

/// See [`super::super::build`].
pub(crate) async fn build(
    tools: &Tools,
    source: &NpxSource,
    lock: &NpmLock,
    bridge: &[u8],
) -> Result<Artifact, PackageError> {
    let installed = install(tools, &source.npm, lock).await?;
    let (lock, bridge) = (lock.clone(), bridge.to_vec());
    in_background(source.clone(), move |source| {
        pack(installed, source, &lock, bridge)
    })
    .await
}

/// Installed packages, and the directory that holds their files, unless they are in memory.
pub(crate) struct Installed {
    /// Removed when dropped.
    pub(crate) work: Option<TempDir>,
    pub(crate) stage: Stage,
}

/// Installs exactly `lock`, and takes out what the function cannot use.
pub(crate) async fn install(
    tools: &Tools,
    npm: &NpmPackages,
    lock: &NpmLock,
) -> Result<Installed, PackageError> {
    let subject = (npm.clone(), lock.clone());
    if let Some(stage) = tarballs::fetched(tools, npm, lock).await {
        return in_background(subject, move |(npm, lock)| useful(stage, None, npm, lock)).await;
    }
    let work = tools.work_directory()?;
    fill(tools, npm, lock, work.path()).await?;
    in_background(subject, move |(npm, lock)| {
        let stage = Stage::read(work.path(), lock)?;
        useful(stage, Some(work), npm, lock)
    })
    .await
}

/// Takes out what the function cannot use.
fn useful(
    mut stage: Stage,
    work: Option<TempDir>,
    npm: &NpmPackages,
    lock: &NpmLock,
) -> Result<Installed, PackageError> {
    prune::prune(&mut stage, npm, lock);
    native::check(&mut stage, npm, lock)?;
    Ok(Installed { work, stage })
}

/// Installs `lock` into `directory`, then runs the scripts that are allowed.
async fn fill(
    tools: &Tools,
    packages: &NpmPackages,
    lock: &NpmLock,
    directory: &Path,
) -> Result<(), PackageError> {
    let allowed = packages.allowed_scripts();
    let (package, locked) = project(lock);
    npm::write_project(packages, directory, &package, Some(&locked)).await?;
    let options = ["--bin-links=false".to_owned()];
    npm::run(tools, packages, directory, &["ci"], &options)
        .await
        .map_err(|failure| explain(failure, packages, lock))?;
    if allowed.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["rebuild"];
    arguments.extend(allowed.iter().map(String::as_str));
    // Scripts call the programs of other packages, such as `node-gyp-build`.
    // Only the packages that are named are rebuilt, so all of those may.
    let options = [
        "--ignore-scripts=false",
        "--dangerously-allow-all-scripts",
        "--bin-links",
    ]
    .map(str::to_owned);
    match npm::run(tools, packages, directory, &arguments, &options).await {
        Ok(_) => Ok(()),
        Err(npm::Failure::Unusable(error)) => Err(error),
        Err(npm::Failure::Complaint(complaint)) => Err(PackageError::ScriptFailed {
            output: report::indented(&complaint.text),
            target: packages.target(),
        }),
    }
}

/// A complaint about what is locked already.
fn explain(failure: npm::Failure, packages: &NpmPackages, lock: &NpmLock) -> PackageError {
    let gone = |package: &str| PackageError::InvalidLock {
        reason: format!(
            "`{package}` is locked, but the registry no longer offers it. Make the lock anew"
        ),
    };
    match report::read(failure, "install the locked packages", &packages.target()) {
        PackageError::NotInRegistry { package } => gone(&package),
        PackageError::VersionNotFound {
            package, wanted, ..
        } => gone(&format!("{package}@{wanted}")),
        PackageError::HashMismatch { detail, .. } => {
            let wanted = detail
                .split_whitespace()
                .find(|word| word.starts_with("sha512-"));
            let place = wanted.and_then(|hash| lock.with_integrity(hash));
            PackageError::HashMismatch {
                package: place
                    .map_or_else(|| "a package".to_owned(), |place| lock.described(place)),
                detail,
            }
        }
        other => other,
    }
}

/// Stage to artifact.
fn pack(
    installed: Installed,
    source: &NpxSource,
    lock: &NpmLock,
    bridge: Vec<u8>,
) -> Result<Artifact, PackageError> {
    // The files are there until they are packed.
    let Installed { work, stage } = installed;
    let file = bin::choose(source, &stage.bins()?)?;
    let Some(content) = stage.files.get(&file) else {
        return Err(PackageError::Unpackageable {
            path: file,
            reason: "the package names it as its program, but does not bring it".to_owned(),
        });
    };
    let mut argv = bin::command_line(&file, &content.head(bin::FIRST_LINE)?)?;
    argv.extend(source.server_args().iter().cloned());

    let artifact = assemble::assemble(Parts {
        subject: source.subject(),
        sizes: stage.sizes(lock)?,
        files: stage.files,
        bridge,
        bridge_name: zip::BRIDGE_NAME,
        lock: Some(Lock::Npm(lock.clone())),
        argv,
        runtime: source.runtime(),
    });
    drop(work);
    artifact
}
