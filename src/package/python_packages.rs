//! What `uv` resolves and installs: requirements for a runtime in, the files of exactly the locked wheels out.
//!
//! Shared by servers that are published as packages and by projects that only need some. Refuses wheels with other bytes than locked, and
//! an installation that is not what the lock says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::Attribute;
use super::python_lock::PythonLock;
use super::requirement::{Requirement, normalise};
use super::requirements::{Declared, Named};
use super::resolve::unusable;
use super::runtime::PythonRuntime;
use super::stage::Stage;
use super::tools::Tool;
use super::uv::{self, Failure, Step};
use super::uv_report::{Finding, Report, name_of};
use super::{Architecture, PackageError, Tools};

/// Requirements, and where and for what they are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PythonPackages {
    /// Everything that is asked for by name.
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) python: PythonRuntime,
    pub(crate) architecture: Architecture,
    /// Options of `uv` that say where packages come from; for resolving and installing.
    pub(crate) index_options: Vec<String>,
    /// Options of `uv` that say which versions are chosen; for resolving only.
    pub(crate) resolver_options: Vec<String>,
    /// The project that asks for them.
    pub(crate) project: Option<Project>,
}

/// A folder with files that say what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// Where `uv` is run, so that its settings there count.
    pub(crate) directory: PathBuf,
    /// What is needed stands in `uv.lock`.
    pub(crate) uv_lock: bool,
    /// Normalised name to the SHA-256 that its files may have, where some are given.
    pub(crate) hashes: BTreeMap<String, BTreeSet<String>>,
    /// Lines of requirement files that say where packages come from.
    pub(crate) index_lines: Vec<String>,
}

impl PythonPackages {
    /// What a project needs besides `further`; `None` when that is nothing.
    pub(crate) fn of_project(
        declared: Declared,
        further: Vec<Requirement>,
        directory: Option<PathBuf>,
        python: PythonRuntime,
        architecture: Architecture,
    ) -> Option<Self> {
        let Named {
            mut requirements,
            hashes,
            index_lines,
            constraints,
        } = declared.named;
        requirements.extend(further);
        if requirements.is_empty() && !declared.uv_lock {
            return None;
        }
        let option = |path: String| format!("--constraints={path}");
        Some(Self {
            requirements,
            python,
            architecture,
            index_options: Vec::new(),
            resolver_options: constraints.into_iter().map(option).collect(),
            project: directory.map(|directory| Project {
                directory,
                uv_lock: declared.uv_lock,
                hashes,
                index_lines,
            }),
        })
    }

    /// Runtime and architecture, for messages.
    pub(crate) fn target(&self) -> String {
        format!("{} for {}", self.python.name(), self.architecture)
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

    /// Where to point for what is said of the packages together.
    pub(crate) fn attribute(&self) -> Attribute {
        Attribute::whole(match self.project {
            Some(_) => "source_dir",
            None => "args",
        })
    }

    /// Options of `uv` for every run.
    pub(crate) fn place_options(&self) -> Vec<String> {
        let directory = |project: &Project| format!("--directory={}", project.directory.display());
        let place = self.project.as_ref().map(directory);
        place
            .into_iter()
            .chain(self.index_options.iter().cloned())
            .collect()
    }

    /// The SHA-256 that files of `package` may have; `None` when the project does not say.
    pub(crate) fn hashes(&self, package: &str) -> Option<&BTreeSet<String>> {
        self.project.as_ref()?.hashes.get(&normalise(package))
    }

    /// Lines for the text that `uv` is given. As options they would show credentials that they take from the environment to every
    /// process of the machine.
    pub(crate) fn index_lines(&self) -> String {
        let lines = self.project.iter().flat_map(|project| &project.index_lines);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Installed packages, and the directory that holds their files.
pub(crate) struct Installed {
    /// Removed when dropped.
    pub(crate) work: TempDir,
    pub(crate) stage: Stage,
}

/// Installs exactly `lock`.
pub(crate) async fn install(
    tools: &Tools,
    packages: &PythonPackages,
    lock: &PythonLock,
) -> Result<Installed, PackageError> {
    let work = tools.work_directory()?;
    let installed = work.path().join("all");
    install_lines(tools, packages, &lock.to_string(), &installed).await?;
    let mut stage = read_stage(&installed).await?;
    let winners: BTreeSet<String> = stage.contested.values().cloned().collect();
    for winner in winners {
        // Two wheels bring one file; installers write them in any order, so the winner is installed once more, alone.
        let alone = work.path().join(&winner);
        let line = lock.line(&winner).unwrap_or_default();
        install_lines(tools, packages, &line, &alone).await?;
        stage.settle(&winner, &alone)?;
    }
    check_installed(&stage, lock)?;
    stage.check_architecture(packages.architecture)?;
    Ok(Installed { work, stage })
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
async fn install_lines(
    tools: &Tools,
    packages: &PythonPackages,
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
            // Files are only read there: a quarter of what copies take. Across file systems `uv` copies all the same.
            "--link-mode",
            "hardlink",
        ]
        .map(Into::into),
    );
    arguments.extend(["--python-version".to_owned(), packages.python.version()]);
    arguments.extend([
        "--python-platform".to_owned(),
        packages.python.platform(packages.architecture),
    ]);
    arguments.extend(["--target".to_owned(), directory.display().to_string()]);
    arguments.extend(packages.place_options());
    let text = format!("{lock}{}", packages.index_lines());
    let complaint = match uv::run(tools, Step::Install, &arguments, &text).await {
        Ok(_) => return Ok(()),
        Err(Failure::Unusable(error)) => return Err(error),
        Err(Failure::Complaint(complaint)) => complaint,
    };
    let report = Report::read(&complaint.0);
    if let Some(error) = unusable(tools, packages, &report) {
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
                packages.target(),
                hints
                    .iter()
                    .map(|hint| format!("; {hint}"))
                    .collect::<String>(),
            ),
        },
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
