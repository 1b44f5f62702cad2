//! What `npm` installs, for which runtime, and by whose settings: shared by published servers and by folders with a package.json.

use std::path::{Path, PathBuf};

use super::runtime::NodeRuntime;
use super::spec::{self, NpmSpec};
use crate::package::error::Attribute;
use crate::package::{Architecture, Notice, PackageError};

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpmPackages {
    /// Every package that the configuration or the folder names.
    pub(crate) named: Vec<NpmSpec>,
    pub(crate) node: NodeRuntime,
    pub(crate) architecture: Architecture,
    /// Options of `npm` that say where packages come from; for resolving and installing.
    pub(crate) registry_options: Vec<String>,
    /// Packages whose install scripts run; `None` when the user did not say.
    pub(crate) allow_scripts: Option<Vec<String>>,
    /// The server's own folder, whose package.json names the packages and whose `.npmrc` counts.
    pub(crate) folder: Option<PathBuf>,
}

impl NpmPackages {
    /// Runtime and architecture, as errors say them.
    pub(crate) fn target(&self) -> String {
        format!("{} for {}", self.node.name(), self.architecture)
    }

    pub(crate) fn allowed_scripts(&self) -> &[String] {
        self.allow_scripts.as_deref().unwrap_or_default()
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        let found = self.named.iter().find(|spec| spec.name == package);
        found.map(|spec| spec.attribute)
    }

    /// The `.npmrc` that `npm` would read in the server's folder, or `npx` in the working directory.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        let folders = [self.folder.as_deref(), Some(Path::new(""))];
        let files = folders.into_iter().flatten();
        files
            .map(|folder| folder.join(".npmrc"))
            .find(|path| path.exists())
    }

    /// Where to point for what is said of the packages together.
    pub(crate) fn attribute(&self) -> Attribute {
        Attribute::whole(match self.folder {
            Some(_) => "source_dir",
            None => "args",
        })
    }

    /// What is said of packages that their authors advise against.
    pub(crate) fn deprecated(&self, packages: Vec<(String, String)>) -> Vec<Notice> {
        match packages.is_empty() {
            true => Vec::new(),
            false => vec![Notice::Deprecated {
                packages,
                attribute: self.attribute(),
            }],
        }
    }

    /// Where another release of a package can be asked for.
    pub(crate) fn asked_in(&self) -> &'static str {
        match self.folder {
            Some(_) => "`package.json`",
            None => "`packages`",
        }
    }
}

/// Reads `allow_scripts`.
///
/// # Errors
///
/// [`PackageError::Invalid`] at the element that is no name.
pub(crate) fn check_allowed(allow_scripts: Option<&[String]>) -> Result<(), PackageError> {
    for (index, name) in allow_scripts.into_iter().flatten().enumerate() {
        if !spec::is_name(name) {
            return Err(PackageError::Invalid {
                attribute: Attribute::element("allow_scripts", index),
                reason: format!(
                    "`{name}` is not the name of an npm package; write `name` or `@scope/name`, without a version"
                ),
            });
        }
    }
    Ok(())
}

/// A package in `allow_scripts` that nothing installs.
pub(crate) fn script_of_nothing(index: usize, name: &str) -> PackageError {
    PackageError::Invalid {
        attribute: Attribute::element("allow_scripts", index),
        reason: format!("no package `{name}` is installed for this server"),
    }
}
