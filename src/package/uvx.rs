//! A source and its lock in, the package out: `uv` installs exactly the lock, hash by hash, and the result is staged, checked
//! and zipped.
//!
//! Refuses a lock that belongs to another configuration, wheels with other bytes than locked, and everything that the
//! stage and the zip refuse.

use std::collections::BTreeMap;

use super::assemble::{Parts, Subject};
use super::bytecode::{self, Compiler};
use super::error::Attribute;
use super::python_lock::PythonLock;
use super::python_packages::{self, Installed, PythonPackages};
use super::requirement::Requirement;
use super::runtime;
use super::stage::Content;
use super::uvx_command::UvxCommand;
use super::{Artifact, Lock, PackageError, ServerSpec, Tools, assemble, entry_point, zip};

/// A server published as a Python package: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UvxSource {
    pub(crate) uvx: UvxCommand,
    /// The server's package, each `--with`, each of `packages`.
    pub(crate) packages: PythonPackages,
    pub(crate) compile_bytecode: bool,
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
        let packages = PythonPackages {
            requirements,
            python,
            architecture: spec.architecture,
            index_options: uvx.index_options.clone(),
            resolver_options: uvx.resolver_options.clone(),
            project: None,
        };
        Ok(Self {
            uvx,
            packages,
            compile_bytecode: spec.compile_bytecode,
        })
    }

    /// See [`Source::identity`](super::Source::identity).
    pub(crate) fn identity(&self) -> String {
        let packages = &self.packages;
        let mut lines = vec![format!(
            "uvx {} {}",
            packages.python.name(),
            packages.architecture
        )];
        for requirement in &packages.requirements {
            let latest = if requirement.latest { "@latest" } else { "" };
            lines.push(format!("{}{latest}", requirement.text));
        }
        lines.extend(packages.index_options.iter().cloned());
        lines.extend(packages.resolver_options.iter().cloned());
        lines.join("\n")
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject {
            package: self.uvx.package.clone(),
            attribute: Attribute::whole("args"),
            ways_out: WAYS_OUT,
        }
    }

    /// See [`Source::start_identity`](super::Source::start_identity).
    pub(crate) fn start_identity(&self) -> String {
        let uvx = &self.uvx;
        let only = match uvx.executable_is_explicit {
            true => "only ",
            false => "",
        };
        format!("{only}{} of {}", uvx.executable, uvx.package)
    }
}

/// See [`super::build`].
pub(crate) async fn build(
    tools: &Tools,
    source: &UvxSource,
    lock: &PythonLock,
    bridge: &[u8],
    compiler: Option<&Compiler>,
) -> Result<Artifact, PackageError> {
    let installed = python_packages::install(tools, &source.packages, lock).await?;
    let bytecode = match compiler {
        Some(compiler) => {
            compiler
                .compile(tools, &installed.stage.in_package())
                .await?
        }
        None => BTreeMap::new(),
    };
    let (lock, bridge) = (lock.clone(), bridge.to_vec());
    super::in_background(source.clone(), move |source| {
        pack(installed, bytecode, source, &lock, bridge)
    })
    .await
}

/// Stage to artifact. Owns the directory that holds the files, so that it outlives a caller that went away.
fn pack(
    Installed { work, stage }: Installed,
    bytecode: BTreeMap<String, Content>,
    source: &UvxSource,
    lock: &PythonLock,
    bridge: Vec<u8>,
) -> Result<Artifact, PackageError> {
    let program = entry_point::choose(&source.uvx, &stage.offers)?;
    let mut argv = entry_point::command_line(
        &source.packages.python.name(),
        &program,
        stage.has_site_hooks(),
    );
    argv.extend(source.uvx.server_args.iter().cloned());

    let mut sizes = stage.sizes()?;
    bytecode::add_size(&mut sizes, &bytecode)?;
    let mut files = stage.in_package();
    files.extend(bytecode);
    let artifact = assemble::assemble(Parts {
        subject: source.subject(),
        files,
        sizes,
        bridge,
        bridge_name: zip::BRIDGE_NAME,
        lock: Some(Lock::Python(lock.clone())),
        argv,
        runtime: source.packages.python.name(),
    });
    drop(work);
    artifact
}

const WAYS_OUT: &str = "leave out extras and `--with` packages that the server does not need, ask for a smaller release of the largest in \
                       `packages`, use a server with fewer dependencies, or one that comes as a container image (`command = \"docker\"`)";
