//! A server published as an npm package: its command line in, a lock and a package out.
//!
//! The path, as the file names read: `command` (`spec`, `runtime`, `packages`) -> `resolve` (`age`, `tree`, `entry`, `lock`) -> `install` (`tarballs`,
//! `unpack`) -> `stage` (`prune`, `native`) -> `bin`. `npm` runs the tool, `report` reads its complaints. A folder with a package.json begins at `project`
//! instead, whose lock file is what `resolve` would find out.

mod age;
mod bin;
mod command;
mod entry;
mod install;
mod lock;
mod native;
mod npm;
pub(super) mod npmrc;
mod packages;
mod project;
mod prune;
mod report;
mod resolve;
mod runtime;
mod spec;
mod stage;
mod tarballs;
mod tree;
mod unpack;

use std::collections::BTreeSet;

pub(crate) use install::{build, install};
pub(super) use lock::NpmLock;
pub(crate) use lock::is_npm_lock;
pub(crate) use packages::check_allowed;
pub(crate) use project::{NodePackages, Terms, declared};
pub(crate) use resolve::resolve;
pub(crate) use runtime::{NodeRuntime, choose};

use self::command::NpxCommand;
use self::packages::NpmPackages;
use self::spec::NpmSpec;
use super::assemble::Subject;
use super::error::Attribute;
use super::{Architecture, PackageError, ServerSpec};

/// A server published as an npm package: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpxSource {
    command: NpxCommand,
    /// Those of the command line, then those of `packages`.
    npm: NpmPackages,
}

impl NpxSource {
    /// Reads the command line.
    pub(crate) fn plan(spec: &ServerSpec) -> Result<Self, PackageError> {
        let command = NpxCommand::parse(&spec.args)?;
        let node = choose(spec.runtime.as_deref())?;
        let mut named = command.packages.clone();
        for (index, text) in spec.packages.iter().enumerate() {
            named.push(NpmSpec::parse(text, Attribute::element("packages", index))?);
        }
        check_allowed(spec.allow_scripts.as_deref())?;
        let mut names = BTreeSet::new();
        for package in &named {
            if !names.insert(&package.name) {
                return Err(PackageError::Invalid {
                    attribute: package.attribute,
                    reason: format!(
                        "`{}` is named a second time; npm installs one version of it, so name it once, with that version",
                        package.name
                    ),
                });
            }
        }
        let npm = NpmPackages {
            named,
            node,
            architecture: spec.architecture,
            registry_options: command.registry_options.clone(),
            allow_scripts: spec.allow_scripts.clone(),
            folder: None,
        };
        Ok(Self { command, npm })
    }

    pub(crate) fn npm(&self) -> &NpmPackages {
        &self.npm
    }

    /// The package that is run, or the first of those that `--package` names.
    pub(crate) fn package(&self) -> &str {
        self.command
            .packages
            .first()
            .map_or("", |spec| spec.name.as_str())
    }

    pub(crate) fn runtime(&self) -> String {
        self.npm.node.name()
    }

    pub(crate) fn architecture(&self) -> Architecture {
        self.npm.architecture
    }

    pub(crate) fn server_args(&self) -> &[String] {
        &self.command.server_args
    }

    /// See [`Source::identity`](super::Source::identity).
    pub(crate) fn identity(&self) -> String {
        let npm = &self.npm;
        let mut lines = vec![format!("npx {} {}", npm.node.name(), npm.architecture)];
        let named = npm.named.iter();
        lines.extend(named.map(|spec| format!("{}@{}", spec.name, spec.wanted)));
        lines.extend(self.command.registry_options.iter().cloned());
        lines.extend(self.command.resolver_options.iter().cloned());
        lines.join("\n")
    }

    /// See [`Source::subject`](super::Source::subject).
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            package: self.package().to_owned(),
            attribute: Attribute::whole("args"),
            ways_out: WAYS_OUT,
        }
    }

    /// See [`Source::start_identity`](super::Source::start_identity).
    pub(crate) fn start_identity(&self) -> String {
        let executable = match &self.command.executable {
            Some((name, _)) => name,
            None => "its own",
        };
        let mut lines = vec![format!("{executable} of {}", self.package())];
        lines.extend(self.npm.allowed_scripts().iter().cloned());
        lines.join("\n")
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        self.npm.names(package)
    }
}

const WAYS_OUT: &str = "leave out `--package` packages that the server does not need, ask for a smaller release of the largest in \
                        `packages`, use a server with fewer dependencies, or one that comes as a container image (`command = \"docker\"`)";
