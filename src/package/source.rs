//! The user's words in, what they mean out. Pure: reads no file, asks no network. Refuses kinds of servers that cannot be
//! packaged and everything that the kind's own parser refuses.

use super::error::Attribute;
use super::requirement::Requirement;
use super::runtime::{self, PythonRuntime};
use super::uvx_command::UvxCommand;
use super::{Architecture, PackageError};

/// The user's words, as the configuration holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// `uvx`, or `uv` with `args` beginning `tool run`.
    pub command: String,
    pub args: Vec<String>,
    /// Requirements installed besides the server's own, in pip's notation: `httpx<1`.
    pub packages: Vec<String>,
    /// Lambda's runtime identifier when given: `python3.13`.
    pub runtime: Option<String>,
    pub architecture: Architecture,
}

/// What a [`ServerSpec`] means: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(crate) uvx: UvxCommand,
    /// The server's package, each `--with`, each of `packages`.
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) python: PythonRuntime,
    pub(crate) architecture: Architecture,
}

impl Source {
    /// Lambda's runtime identifier: the one given, else by `--python`, else the default for the kind.
    pub fn runtime(&self) -> String {
        self.python.name()
    }

    /// Processor of the function.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// What follows the package on the command line: the server's own arguments.
    pub fn server_args(&self) -> &[String] {
        &self.uvx.server_args
    }

    /// Normalised name of the server's package.
    pub fn package(&self) -> &str {
        &self.uvx.package
    }

    /// Canonical text of all that decides which versions are chosen. Two sources with equal identities may share
    /// a lock; arguments for the server itself are no part of it.
    pub fn identity(&self) -> String {
        let mut lines = vec![format!("uvx {} {}", self.runtime(), self.architecture)];
        for requirement in &self.requirements {
            let latest = if requirement.latest { "@latest" } else { "" };
            lines.push(format!("{}{latest}", requirement.text));
        }
        lines.extend(self.uvx.index_options.iter().cloned());
        lines.extend(self.uvx.resolver_options.iter().cloned());
        lines.join("\n")
    }
}

/// Reads the command line. Pure: no file, no network.
///
/// # Errors
///
/// [`ErrorKind::Input`](super::ErrorKind::Input), pointing at the attribute and element.
pub fn plan_source(spec: &ServerSpec) -> Result<Source, PackageError> {
    let start = match program(&spec.command) {
        "uvx" => 0,
        "uv" => match spec.args.as_slice() {
            [tool, run, ..] if tool == "tool" && run == "run" => 2,
            _ => {
                return Err(PackageError::Invalid {
                    attribute: Attribute::whole("args"),
                    reason: "of `uv`, only `uv tool run` starts a published server; write command = \"uvx\" and the package"
                        .to_owned(),
                });
            }
        },
        _ => {
            return Err(PackageError::UnsupportedCommand {
                command: spec.command.clone(),
            });
        }
    };
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
    Ok(Source {
        uvx,
        requirements,
        python,
        architecture: spec.architecture,
    })
}

/// The program's name without its directory: READMEs show both `uvx` and `/opt/homebrew/bin/uvx`.
fn program(command: &str) -> &str {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    name.strip_suffix(".exe").unwrap_or(name)
}
