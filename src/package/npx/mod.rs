//! A server published as an npm package: its command line in, a lock and a package out.
//!
//! The path, as the file names read: `command` (`spec`, `runtime`) -> `resolve` (`tree`, `lock`) -> `install` -> `stage` (`prune`,
//! `native`) -> `bin`. `npm` runs the tool, `report` reads its complaints.

mod bin;
mod command;
mod install;
mod lock;
mod native;
mod npm;
pub(super) mod npmrc;
mod prune;
mod report;
mod resolve;
mod runtime;
mod spec;
mod stage;
mod tree;

use std::collections::BTreeSet;

pub(crate) use install::build;
pub(super) use lock::NpmLock;
pub(crate) use lock::is_npm_lock;
pub(crate) use resolve::resolve;

use self::command::NpxCommand;
use self::runtime::NodeRuntime;
use self::spec::NpmSpec;
use super::assemble::Subject;
use super::error::Attribute;
use super::{Architecture, PackageError, ServerSpec};

/// A server published as an npm package: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpxSource {
    command: NpxCommand,
    /// Those of `packages`.
    further: Vec<NpmSpec>,
    node: NodeRuntime,
    architecture: Architecture,
    /// Packages whose install scripts run; `None` when the user did not say.
    allow_scripts: Option<Vec<String>>,
}

impl NpxSource {
    /// Reads the command line.
    pub(crate) fn plan(spec: &ServerSpec) -> Result<Self, PackageError> {
        let command = NpxCommand::parse(&spec.args)?;
        let node = runtime::choose(spec.runtime.as_deref())?;
        let mut further = Vec::new();
        for (index, text) in spec.packages.iter().enumerate() {
            further.push(NpmSpec::parse(text, Attribute::element("packages", index))?);
        }
        for (index, name) in spec.allow_scripts.iter().flatten().enumerate() {
            if !spec::is_name(name) {
                return Err(PackageError::Invalid {
                    attribute: Attribute::element("allow_scripts", index),
                    reason: format!(
                        "`{name}` is not the name of an npm package; write `name` or `@scope/name`, without a version"
                    ),
                });
            }
        }
        let source = Self {
            command,
            further,
            node,
            architecture: spec.architecture,
            allow_scripts: spec.allow_scripts.clone(),
        };
        let mut names = BTreeSet::new();
        for package in source.packages() {
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
        Ok(source)
    }

    /// Every package that the configuration names.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &NpmSpec> {
        self.command.packages.iter().chain(&self.further)
    }

    /// The package that is run, or the first of those that `--package` names.
    pub(crate) fn package(&self) -> &str {
        self.command
            .packages
            .first()
            .map_or("", |spec| spec.name.as_str())
    }

    pub(crate) fn runtime(&self) -> String {
        self.node.name()
    }

    pub(crate) fn architecture(&self) -> Architecture {
        self.architecture
    }

    pub(crate) fn server_args(&self) -> &[String] {
        &self.command.server_args
    }

    fn allowed_scripts(&self) -> &[String] {
        self.allow_scripts.as_deref().unwrap_or_default()
    }

    /// See [`Source::identity`](super::Source::identity).
    pub(crate) fn identity(&self) -> String {
        let mut lines = vec![format!("npx {} {}", self.node.name(), self.architecture)];
        lines.extend(
            self.packages()
                .map(|spec| format!("{}@{}", spec.name, spec.wanted)),
        );
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
        lines.extend(self.allowed_scripts().iter().cloned());
        lines.join("\n")
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        let mut named = self.packages();
        let found = named.find(|spec| spec.name == package);
        found.map(|spec| spec.attribute)
    }

    /// Runtime and architecture, as errors say them.
    fn target(&self) -> String {
        format!("{} for {}", self.node.name(), self.architecture)
    }
}

const WAYS_OUT: &str = "leave out `--package` packages that the server does not need, ask for a smaller release of the largest in \
                        `packages`, use a server with fewer dependencies, or one that comes as a container image (`command = \"docker\"`)";
