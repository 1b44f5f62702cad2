//! What Lambda's managed runtimes for Python and Node differ in for a server of the user's own: how it is started, what its folder asks
//! for, and where that is installed.
//!
//! Refuses what the folder's own files are refused for, and packages that a runtime has no place for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tempfile::TempDir;

use super::error::Attribute;
use super::folder::Folder;
use super::npx::{self, NodePackages, NodeRuntime, Terms};
use super::program::Runner;
use super::python_packages::{self, PythonPackages};
use super::requirement::Requirement;
use super::requirements;
use super::runtime::{self, PythonRuntime};
use super::stage::{Content, Stage};
use super::tools::Tool;
use super::{Architecture, Lock, PackageError, ServerSpec, Tools, zip};

/// A managed runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Managed {
    Python(PythonRuntime),
    Node(NodeRuntime),
}

/// What has to be installed for a server of the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packages {
    Python(PythonPackages),
    Node(NodePackages),
}

/// Where packages are asked for besides the folder, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) allow_scripts: Option<Vec<String>>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) architecture: Architecture,
}

/// What Node's package manager leaves in a folder: packages for the machine at hand, and credentials.
const OF_NODE: [&str; 2] = ["node_modules/", ".npmrc"];

impl Managed {
    /// The runtime of `runner`; `None` where it brings what it runs with.
    pub(crate) fn choose(runner: &Runner, spec: &ServerSpec) -> Result<Option<Self>, PackageError> {
        let given = spec.runtime.as_deref();
        Ok(match runner {
            Runner::Python { minor } => Some(Self::Python(runtime::choose_for_command(
                given,
                *minor,
                &spec.command,
            )?)),
            Runner::Node => Some(Self::Node(npx::choose(given)?)),
            Runner::Program(_) => None,
        })
    }

    /// Lambda's identifier.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Python(python) => python.name(),
            Self::Node(node) => node.name(),
        }
    }

    /// The program that runs scripts, on the runtime's PATH.
    pub(crate) fn program(self) -> String {
        match self {
            Self::Python(python) => python.name(),
            Self::Node(_) => "node".to_owned(),
        }
    }

    /// What of a folder is left out besides what always is.
    pub(crate) fn excludes(self) -> &'static [&'static str] {
        match self {
            Self::Python(_) => &[],
            Self::Node(_) => &OF_NODE,
        }
    }

    /// Reads an element of `packages`.
    pub(crate) fn requirement(
        self,
        text: &str,
        attribute: Attribute,
    ) -> Result<Requirement, PackageError> {
        match self {
            Self::Python(_) => Requirement::parse(text, attribute),
            Self::Node(_) => Err(PackageError::Invalid {
                attribute,
                reason: "a `node` server gets its packages from the `package.json` and the `package-lock.json` in `source_dir`; add it there \
                         (`npm install --package-lock-only name`)"
                    .to_owned(),
            }),
        }
    }

    /// Whether the interpreter runs what lies at `path`, which is no file: Python runs the `__main__` of a directory, Node its index or
    /// what its package.json says, and adds `.js` where that is missing.
    pub(crate) fn runs(self, folder: &Folder, path: &str) -> bool {
        match self {
            Self::Python(_) => folder.has_directory(path),
            Self::Node(_) => {
                path.is_empty()
                    || folder.has_directory(path)
                    || folder.files.contains_key(&format!("{path}.js"))
            }
        }
    }

    /// What `folder` asks for, and SHA-256 over the files that say so, empty when there are none.
    pub(crate) fn declared(
        self,
        folder: &Folder,
        asked: Asked,
    ) -> Result<(Option<Packages>, String), PackageError> {
        let python = match self {
            Self::Python(python) => python,
            Self::Node(node) => {
                let terms = Terms {
                    node,
                    architecture: asked.architecture,
                    allow_scripts: asked.allow_scripts,
                    folder: asked.directory,
                };
                let (packages, fingerprint) = npx::declared(folder, terms)?;
                if packages.is_some() && folder.has_directory(zip::NODE_MODULES) {
                    return Err(PackageError::in_source_dir(format!(
                        "`{}` in it is where the packages of the lock file are installed; leave it out with `source_excludes`, as it is without a \
                         pattern that takes it back",
                        zip::NODE_MODULES
                    )));
                }
                return Ok((packages.map(Packages::Node), fingerprint));
            }
        };
        let declared = requirements::declared(folder)?;
        if let Some(wanted) = &declared.requires_python
            && !python.satisfies(wanted)
        {
            return Err(PackageError::Invalid {
                attribute: Attribute::whole("runtime"),
                reason: format!(
                    "`pyproject.toml` in `source_dir` asks for Python {wanted}, but the function runs {}; set `runtime` to one that fits",
                    python.name()
                ),
            });
        }
        let fingerprint = declared.fingerprint.clone();
        let packages = PythonPackages::of_project(
            declared,
            asked.requirements,
            asked.directory,
            python,
            asked.architecture,
        );
        Ok((packages.map(Packages::Python), fingerprint))
    }
}

impl Packages {
    /// Whether `lock` was made for them.
    ///
    /// # Errors
    ///
    /// [`PackageError::InvalidLock`], and what its kind refuses.
    pub(crate) fn check(&self, lock: &Lock) -> Result<(), PackageError> {
        match (self, lock) {
            (Self::Python(packages), Lock::Python(lock)) => lock.check(packages),
            (Self::Node(packages), Lock::Npm(lock)) => lock.check(&packages.npm),
            (Self::Python(_), _) => Err(other_kind("npm", "Python")),
            (Self::Node(_), _) => Err(other_kind("Python", "npm")),
        }
    }

    /// The package manager that installs them.
    pub(crate) fn tool(&self) -> Tool {
        match self {
            Self::Python(_) => Tool::Uv,
            Self::Node(_) => Tool::Npm,
        }
    }

    /// The package manager that chooses their versions. Those of a folder with a package.json are in its lock file, which is read here.
    pub(crate) fn resolver(&self) -> Option<Tool> {
        match self {
            Self::Python(_) => Some(Tool::Uv),
            Self::Node(_) => None,
        }
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        match self {
            Self::Python(packages) => packages.names(package),
            Self::Node(packages) => packages.npm.names(package),
        }
    }

    /// Installs exactly `lock`. `hooked`: the folder has a `sitecustomize.py` of its own.
    pub(crate) async fn install(
        &self,
        tools: &Tools,
        lock: &Lock,
        hooked: bool,
    ) -> Result<Brought, PackageError> {
        match (self, lock) {
            (Self::Python(packages), Lock::Python(lock)) => {
                let installed = python_packages::install(tools, packages, lock).await?;
                Ok(Brought {
                    sizes: installed.stage.sizes()?,
                    files: python_files(installed.stage, hooked),
                    work: Some(installed.work),
                })
            }
            (Self::Node(packages), Lock::Npm(lock)) => {
                let installed = npx::install(tools, &packages.npm, lock).await?;
                Ok(Brought {
                    sizes: installed.stage.sizes(lock)?,
                    files: installed.stage.files,
                    work: installed.work,
                })
            }
            _ => Err(self.check(lock).err().unwrap_or_else(super::no_lock)),
        }
    }
}

/// Locks of one kind do for servers of that kind alone.
pub(crate) fn other_kind(found: &str, wanted: &str) -> PackageError {
    PackageError::InvalidLock {
        reason: format!(
            "it holds {found} packages, but the server consists of {wanted} packages. Make the lock anew for this configuration"
        ),
    }
}

/// Installed packages, by their paths in the package.
pub(crate) struct Brought {
    pub(crate) files: BTreeMap<String, Content>,
    /// Bytes of each package.
    pub(crate) sizes: BTreeMap<String, u64>,
    /// Holds the files that are not in memory; removed when dropped.
    pub(crate) work: Option<TempDir>,
}

/// Makes Python read the `.pth` files of the packages, which it does in site directories only, not on PYTHONPATH.
const SITE_HOOK: &str =
    "import os, site\nsite.addsitedir(os.path.dirname(os.path.abspath(__file__)))\n";
pub(crate) const SITE_HOOK_NAME: &str = "sitecustomize.py";

fn python_files(stage: Stage, hooked: bool) -> BTreeMap<String, Content> {
    let hook = stage.has_site_hooks() && !stage.files.contains_key(SITE_HOOK_NAME) && !hooked;
    let under = |path: &str| format!("{}/{path}", zip::PACKAGES_NAME);
    let files = stage.files.into_iter();
    let mut files: BTreeMap<_, _> = files
        .map(|(path, content)| (under(&path), content))
        .collect();
    if hook {
        files.insert(under(SITE_HOOK_NAME), Content::Bytes(SITE_HOOK.into()));
    }
    files
}
