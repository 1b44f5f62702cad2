//! The user's words in, what they mean out. Pure: reads no file, asks no network. Refuses kinds of servers that cannot be
//! packaged and everything that the kind's own parser refuses.

use super::error::Attribute;
use super::uvx::UvxSource;
use super::{Architecture, PackageError};

/// The user's words, as the configuration holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// `uvx`, or `uv` with `args` beginning `tool run`.
    pub command: String,
    pub args: Vec<String>,
    /// Packages installed besides the server's own, in the notation of the command's package manager: `httpx<1`.
    pub packages: Vec<String>,
    /// Lambda's runtime identifier when given: `python3.13`.
    pub runtime: Option<String>,
    pub architecture: Architecture,
}

/// What a [`ServerSpec`] means: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A server published as a Python package.
    Uvx(UvxSource),
}

impl Source {
    /// Lambda's runtime identifier: the one given, else what the command line asks for, else the default for the kind.
    pub fn runtime(&self) -> String {
        match self {
            Self::Uvx(source) => source.python.name(),
        }
    }

    /// Processor of the function.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Uvx(source) => source.architecture,
        }
    }

    /// What follows the package on the command line: the server's own arguments.
    pub fn server_args(&self) -> &[String] {
        match self {
            Self::Uvx(source) => &source.uvx.server_args,
        }
    }

    /// Name of the server's package, in the form that is unique.
    pub fn package(&self) -> &str {
        match self {
            Self::Uvx(source) => &source.uvx.package,
        }
    }

    /// Canonical text of all that decides which versions are chosen. Two sources with equal identities may share
    /// a lock; arguments for the server itself are no part of it.
    pub fn identity(&self) -> String {
        match self {
            Self::Uvx(source) => source.identity(),
        }
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        match self {
            Self::Uvx(source) => source.names(package),
        }
    }
}

/// Reads the command line. Pure: no file, no network.
///
/// # Errors
///
/// [`ErrorKind::Input`](super::ErrorKind::Input), pointing at the attribute and element.
pub fn plan_source(spec: &ServerSpec) -> Result<Source, PackageError> {
    match program(&spec.command) {
        "uvx" => UvxSource::plan(spec, 0).map(Source::Uvx),
        "uv" => match spec.args.as_slice() {
            [tool, run, ..] if tool == "tool" && run == "run" => {
                UvxSource::plan(spec, 2).map(Source::Uvx)
            }
            _ => Err(PackageError::Invalid {
                attribute: Attribute::whole("args"),
                reason: "of `uv`, only `uv tool run` starts a published server; write command = \"uvx\" and the package"
                    .to_owned(),
            }),
        },
        _ => Err(PackageError::UnsupportedCommand {
            command: spec.command.clone(),
        }),
    }
}

/// The program's name without its directory: READMEs show both `uvx` and `/opt/homebrew/bin/uvx`.
fn program(command: &str) -> &str {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    name.strip_suffix(".exe").unwrap_or(name)
}
