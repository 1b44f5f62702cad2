//! A source and its lock in, the package out: `uv` installs exactly the lock, hash by hash, and the result is staged, checked
//! and zipped.
//!
//! Refuses a lock that belongs to another configuration, wheels with other bytes than locked, and everything that the
//! stage and the zip refuse.

use std::path::Path;

use tempfile::TempDir;

use super::error::Attribute;
use super::python_lock::PythonLock;
use super::requirement::{Requirement, normalise};
use super::resolve::{target, unusable};
use super::runtime::{self, PythonRuntime};
use super::stage::{Content, Stage};
use super::tools::Tool;
use super::uv::{self, Failure, Step};
use super::uv_report::{Finding, Report, name_of};
use super::uvx_command::UvxCommand;
use super::zip::{self, Limits, Measure};
use super::{
    Architecture, Artifact, HANDLER, PackageError, ServerSpec, Tools, digest, entry_point,
};

/// A server published as a Python package: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UvxSource {
    pub(crate) uvx: UvxCommand,
    /// The server's package, each `--with`, each of `packages`.
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) python: PythonRuntime,
    pub(crate) architecture: Architecture,
}

impl UvxSource {
    /// Reads the command line, of which the words before `start` only say that it is one of `uvx`.
    pub(crate) fn plan(spec: &ServerSpec, start: usize) -> Result<Self, PackageError> {
        let uvx = UvxCommand::parse(&spec.args, start)?;
        let python = runtime::choose(
            spec.runtime.as_deref(),
            uvx.python
                .as_ref()
                .map(|(request, index)| (request.as_str(), *index)),
        )?;
        let mut requirements = uvx.requirements.clone();
        for (index, text) in spec.packages.iter().enumerate() {
            requirements.push(Requirement::parse(
                text,
                Attribute::element("packages", index),
            )?);
        }
        Ok(Self {
            uvx,
            requirements,
            python,
            architecture: spec.architecture,
        })
    }

    /// See [`Source::identity`](super::Source::identity).
    pub(crate) fn identity(&self) -> String {
        let mut lines = vec![format!("uvx {} {}", self.python.name(), self.architecture)];
        for requirement in &self.requirements {
            let latest = if requirement.latest { "@latest" } else { "" };
            lines.push(format!("{}{latest}", requirement.text));
        }
        lines.extend(self.uvx.index_options.iter().cloned());
        lines.extend(self.uvx.resolver_options.iter().cloned());
        lines.join("\n")
    }

    /// The element of the configuration that names `package`, which may have a version behind it.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        let name = normalise(name_of(package));
        let named = self
            .requirements
            .iter()
            .find(|requirement| requirement.name == name);
        named.map(|requirement| requirement.attribute)
    }
}

/// See [`super::build`].
pub(crate) async fn build(
    tools: &Tools,
    source: &UvxSource,
    lock: &PythonLock,
    bridge: &[u8],
) -> Result<Artifact, PackageError> {
    let place = tools.temporary_directory();
    let work = tempfile::Builder::new()
        .prefix("mcplambda-")
        .tempdir_in(&place)
        .map_err(|source| PackageError::Io {
            action: "make a directory in",
            path: place,
            source,
        })?;
    let installed = work.path().join("all");
    install(tools, source, &lock.to_string(), &installed).await?;
    let mut stage = read_stage(&installed).await?;
    let winners: std::collections::BTreeSet<String> = stage.contested.values().cloned().collect();
    for winner in winners {
        // Two wheels bring one file; installers write them in any order, so the winner is installed once more, alone.
        let alone = work.path().join(&winner);
        install(
            tools,
            source,
            &lock.line(&winner).unwrap_or_default(),
            &alone,
        )
        .await?;
        stage.settle(&winner, &alone)?;
    }
    let (source, lock, bridge) = (source.clone(), lock.clone(), bridge.to_vec());
    let packed = tokio::task::spawn_blocking(move || assemble(work, stage, &source, &lock, bridge));
    packed.await.map_err(|error| PackageError::Unpackageable {
        path: "the package".to_owned(),
        reason: error.to_string(),
    })?
}

async fn read_stage(root: &Path) -> Result<Stage, PackageError> {
    let root = root.to_owned();
    let read = tokio::task::spawn_blocking(move || Stage::read(&root)).await;
    read.map_err(|error| PackageError::Unpackageable {
        path: "the packages".to_owned(),
        reason: error.to_string(),
    })?
}

/// Installs the lines of `lock` into `directory`.
async fn install(
    tools: &Tools,
    source: &UvxSource,
    lock: &str,
    directory: &Path,
) -> Result<(), PackageError> {
    let mut arguments: Vec<String> = [
        "pip",
        "install",
        "-r",
        "-",
        "--no-deps",
        "--require-hashes",
        "--verify-hashes",
    ]
    .map(Into::into)
    .into();
    arguments.extend(
        [
            "--only-binary",
            ":all:",
            "--no-compile-bytecode",
            "--link-mode",
            "copy",
        ]
        .map(Into::into),
    );
    arguments.extend(["--python-version".to_owned(), source.python.version()]);
    arguments.extend([
        "--python-platform".to_owned(),
        source.python.platform(source.architecture),
    ]);
    arguments.extend(["--target".to_owned(), directory.display().to_string()]);
    arguments.extend_from_slice(&source.uvx.index_options);
    let complaint = match uv::run(tools, Step::Install, &arguments, lock).await {
        Ok(_) => return Ok(()),
        Err(Failure::Unusable(error)) => return Err(error),
        Err(Failure::Complaint(complaint)) => complaint,
    };
    let report = Report::read(&complaint.0);
    if let Some(error) = unusable(tools, source, &report) {
        return Err(error);
    }
    let locked = |package: &str| format!("`{}` is locked, but ", name_of(package));
    Err(match report.classify("install the locked packages", &[]) {
        Finding::Certain(error) => error,
        Finding::NoVersion {
            package, wanted, ..
        } => PackageError::InvalidLock {
            reason: format!(
                "{}the index no longer has `{package}{wanted}`. Make the lock anew",
                locked(&package)
            ),
        },
        Finding::NoWheel { package, hints, .. } => PackageError::InvalidLock {
            reason: format!(
                "{}the index has no wheel of `{package}` that runs on {}{}. Make the lock anew for this runtime and architecture",
                locked(&package),
                target(source),
                hints
                    .iter()
                    .map(|hint| format!("; {hint}"))
                    .collect::<String>(),
            ),
        },
    })
}

/// Stage to artifact. Owns the directory that holds the files, so that it outlives a caller that went away.
fn assemble(
    work: TempDir,
    stage: Stage,
    source: &UvxSource,
    lock: &PythonLock,
    bridge: Vec<u8>,
) -> Result<Artifact, PackageError> {
    let versions = lock.versions();
    check_installed(&stage, lock)?;
    stage.check_architecture(source.architecture)?;
    let program = entry_point::choose(&source.uvx, &stage.offers)?;
    let mut argv =
        entry_point::command_line(&source.python.name(), &program, stage.has_site_hooks());
    argv.extend(source.uvx.server_args.iter().cloned());

    let sizes = stage.sizes()?;
    let unzipped: u64 = stage.total_size()? + bridge.len() as u64;
    zip::check_limit(
        &source.uvx.package,
        Measure::Unzipped,
        unzipped,
        Limits::LAMBDA,
        &sizes,
    )?;
    let mut files = std::collections::BTreeMap::new();
    for (path, content) in stage.files {
        files.insert(format!("site-packages/{path}"), content);
    }
    files.insert(zip::BRIDGE_NAME.to_owned(), Content::Bytes(bridge));
    files.insert(
        zip::LOCK_NAME.to_owned(),
        Content::Bytes(lock.to_string().into_bytes()),
    );
    let packed = zip::pack(&files)?;
    drop(work);
    zip::check_limit(
        &source.uvx.package,
        Measure::Zipped,
        packed.zip.len() as u64,
        Limits::LAMBDA,
        &sizes,
    )?;
    Ok(Artifact {
        code_sha256: digest::code_sha256(&packed.zip),
        zip: packed.zip,
        unzipped_size: packed.unzipped,
        argv,
        runtime: source.python.name(),
        handler: HANDLER.to_owned(),
        versions,
    })
}

/// What lies in the stage is what the lock names, no more and no less. That each is the locked one, its hash has shown.
fn check_installed(stage: &Stage, lock: &PythonLock) -> Result<(), PackageError> {
    let installed = stage.versions();
    let missing: Vec<_> = lock
        .versions()
        .into_keys()
        .filter(|name| !installed.contains_key(name))
        .collect();
    let extra: Vec<_> = installed
        .keys()
        .filter(|name| lock.line(name).is_none())
        .map(|name| normalise(name))
        .collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(PackageError::ToolFailed {
        tool: Tool::Uv,
        action: "install exactly the locked packages",
        output: format!(
            "  missing: {}; not locked: {}",
            missing.join(", "),
            extra.join(", ")
        ),
    })
}
