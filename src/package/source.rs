//! The user's words in, what they mean out. Pure: reads no file, asks no network. Refuses kinds of servers that cannot be
//! packaged and everything that the kind's own parser refuses.

use super::assemble::Subject;
use super::custom::CustomSource;
use super::error::Attribute;
use super::image::ImageSource;
use super::managed::Packages;
use super::npx::NpxSource;
use super::runtime::PythonRuntime;
use super::tools::Tool;
use super::uvx::UvxSource;
use super::{Architecture, PackageError};

/// The user's words, as the configuration holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// `uvx`, or `uv` with `args` beginning `tool run`; `npx`; `docker` with `args` beginning `run`; `python3`, or any program.
    pub command: String,
    pub args: Vec<String>,
    /// Packages installed besides the server's own, in the notation of the command's package manager: `httpx<1`,
    /// `zod@3`.
    pub packages: Vec<String>,
    /// npm packages whose install scripts run; `None` when the user does not say.
    pub allow_scripts: Option<Vec<String>>,
    /// Whether Python files are compiled for the runtime; for Python servers only.
    pub compile_bytecode: bool,
    /// Lambda's runtime identifier when given: `python3.13`.
    pub runtime: Option<String>,
    pub architecture: Architecture,
    /// The server's working directory, relative to the package unless absolute.
    pub cwd: Option<String>,
    /// A folder of this machine with the server's own files, relative to this process's working directory unless absolute.
    pub source_dir: Option<String>,
    /// What of it is left out, in the syntax of gitignore.
    pub source_excludes: Vec<String>,
    /// Whether the function has layers, which may bring programs.
    pub layered: bool,
}

/// What a [`ServerSpec`] means: what to install, for which runtime, and what to start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A server published as a Python package.
    Uvx(UvxSource),
    /// A server published as an npm package.
    Npx(NpxSource),
    /// A server that any command starts, with files of its own or without.
    Custom(CustomSource),
    /// A server published as a container image.
    Image(ImageSource),
}

impl Source {
    /// Lambda's runtime identifier: the one given, else what the command line asks for, else the default for the kind. Empty for images,
    /// which have none.
    pub fn runtime(&self) -> String {
        match self {
            Self::Uvx(source) => source.packages.python.name(),
            Self::Custom(source) => source.runtime(),
            Self::Image(_) => String::new(),
            Self::Npx(source) => source.runtime(),
        }
    }

    /// Processor of the function.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Uvx(source) => source.packages.architecture,
            Self::Custom(source) => source.architecture,
            Self::Image(source) => source.architecture,
            Self::Npx(source) => source.architecture(),
        }
    }

    /// What follows the package or the program on the command line: the server's own arguments.
    pub fn server_args(&self) -> &[String] {
        match self {
            Self::Uvx(source) => &source.uvx.server_args,
            Self::Custom(source) => source.args(),
            Self::Image(source) => &source.run.args,
            Self::Npx(source) => source.server_args(),
        }
    }

    /// Name of the server's package, in the form that is unique.
    pub fn package(&self) -> &str {
        match self {
            Self::Uvx(source) => &source.uvx.package,
            Self::Custom(source) => source.name(),
            Self::Image(source) => &source.name,
            Self::Npx(source) => source.package(),
        }
    }

    /// Canonical text of all that decides which versions are chosen. Two sources with equal identities may share
    /// a lock; arguments for the server itself are no part of it.
    pub fn identity(&self) -> String {
        match self {
            Self::Uvx(source) => source.identity(),
            Self::Npx(source) => source.identity(),
            Self::Custom(source) => source.identity(),
            Self::Image(source) => source.identity(),
        }
    }

    /// Canonical text of what decides, besides [`Source::identity`], the lock and the files, how the package is made and started. Arguments
    /// for the server itself are no part of it.
    pub(crate) fn start_identity(&self) -> String {
        match self {
            Self::Uvx(source) => source.start_identity(),
            Self::Npx(source) => source.start_identity(),
            Self::Custom(source) => source.start_identity(),
            Self::Image(_) => String::new(),
        }
    }

    /// Whose package it is, for an error about its size. Images have other limits, and other errors.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Uvx(source) => source.subject(),
            Self::Npx(source) => source.subject(),
            Self::Custom(source) => source.subject(),
            Self::Image(source) => Subject {
                package: source.name.clone(),
                attribute: self.attribute(),
                ways_out: "use a smaller image",
            },
        }
    }

    /// The Python whose bytecode goes into the package; `None` where none does.
    pub(crate) fn bytecode(&self) -> Option<PythonRuntime> {
        let asked = match self {
            Self::Uvx(source) => source.compile_bytecode,
            Self::Custom(source) => source.compile_bytecode,
            Self::Npx(_) | Self::Image(_) => false,
        };
        self.python().filter(|_| asked)
    }

    /// The managed Python that the server runs on; `None` for servers without one, which cannot have bytecode.
    pub(crate) fn python(&self) -> Option<PythonRuntime> {
        match self {
            Self::Uvx(source) => Some(source.packages.python),
            Self::Custom(source) => source.python(),
            Self::Npx(_) | Self::Image(_) => None,
        }
    }

    /// Whether `compile_bytecode` means something for it.
    pub fn takes_bytecode(&self) -> bool {
        self.python().is_some()
    }

    /// SHA-256 over the files of the server's own folder; `None` without one, and before [`super::open`].
    pub fn content_hash(&self) -> Option<&str> {
        match self {
            Self::Uvx(_) | Self::Npx(_) | Self::Image(_) => None,
            Self::Custom(source) => source.content_hash(),
        }
    }

    /// Whether anything is installed from a package index, and so whether there is a lock. A folder may ask for packages: not known
    /// before [`super::open`].
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Uvx(_) | Self::Npx(_) | Self::Image(_) => true,
            Self::Custom(source) => source.packages().is_some(),
        }
    }

    /// The package manager that [`super::resolve`] asks, if any.
    pub fn resolver(&self) -> Option<Tool> {
        match self {
            Self::Custom(source) => source.packages()?.resolver(),
            Self::Uvx(_) | Self::Npx(_) | Self::Image(_) => self.tool(),
        }
    }

    /// The package manager that installs what it needs, if anything is to be installed; one that [`super::resolve`] asks is the same.
    pub fn tool(&self) -> Option<Tool> {
        match self {
            Self::Uvx(_) => Some(Tool::Uv),
            Self::Npx(_) => Some(Tool::Npm),
            Self::Custom(source) => source.packages().map(Packages::tool),
            Self::Image(_) => None,
        }
    }

    /// Where to point for an error about the packages together.
    pub(crate) fn attribute(&self) -> Attribute {
        match self {
            Self::Uvx(_) | Self::Npx(_) => Attribute::whole("args"),
            Self::Custom(source) => source.attribute(),
            Self::Image(source) => source.attribute(),
        }
    }

    /// The element of the configuration that names `package`.
    pub(crate) fn names(&self, package: &str) -> Option<Attribute> {
        match self {
            Self::Uvx(source) => source.packages.names(package),
            Self::Custom(source) => source.packages()?.names(package),
            Self::Npx(source) => source.names(package),
            Self::Image(_) => None,
        }
    }

    /// Whether `minimum_package_age` means something for it.
    ///
    /// # Errors
    ///
    /// [`PackageError::Invalid`] for images.
    pub fn takes_minimum_age(&self) -> Result<(), PackageError> {
        match self {
            Self::Image(source) => Err(PackageError::Invalid {
                attribute: Attribute::whole("minimum_package_age"),
                reason: format!(
                    "the packages in the image `{}` were chosen when it was built, and none is chosen here; remove it, and name a digest of the \
                     image if it is to stay the same",
                    source.name
                ),
            }),
            Self::Uvx(_) | Self::Npx(_) | Self::Custom(_) => Ok(()),
        }
    }

    /// The container image, if it is one.
    pub fn image(&self) -> Option<&ImageSource> {
        match self {
            Self::Image(source) => Some(source),
            _ => None,
        }
    }
}

/// Reads the command line. Pure: no file, no network.
///
/// # Errors
///
/// [`ErrorKind::Input`](super::ErrorKind::Input), pointing at the attribute and element.
pub fn plan_source(spec: &ServerSpec) -> Result<Source, PackageError> {
    let program = program(&spec.command);
    if ["uvx", "uv", "docker"].contains(&program) {
        no_scripts(spec)?;
    }
    if spec.compile_bytecode && matches!(program, "npx" | "docker") {
        return Err(no_bytecode(&spec.command));
    }
    match program {
        "npx" => {
            no_folder(spec)?;
            NpxSource::plan(spec).map(Source::Npx)
        }
        "uvx" => {
            no_folder(spec)?;
            UvxSource::plan(spec, 0).map(Source::Uvx)
        }
        "uv" => match spec.args.as_slice() {
            [tool, run, ..] if tool == "tool" && run == "run" => {
                no_folder(spec)?;
                UvxSource::plan(spec, 2).map(Source::Uvx)
            }
            _ => Err(PackageError::Invalid {
                attribute: Attribute::whole("args"),
                reason: "of `uv`, only `uv tool run` starts a published server; write command = \"uvx\" and the package, or, for a server of your \
                         own, command = \"python3\", the script in `args` and its folder as `source_dir`"
                    .to_owned(),
            }),
        },
        "docker" => {
            no_folder(spec)?;
            ImageSource::plan(spec).map(Source::Image)
        }
        _ => CustomSource::plan(spec).map(Source::Custom),
    }
}

/// Only npm's packages have install scripts.
pub(crate) fn no_scripts(spec: &ServerSpec) -> Result<(), PackageError> {
    match spec.allow_scripts {
        None => Ok(()),
        Some(_) => Err(PackageError::Invalid {
            attribute: Attribute::whole("allow_scripts"),
            reason: format!(
                "only npm packages have install scripts, and `{}` installs none; remove it",
                spec.command
            ),
        }),
    }
}

/// Nothing of the server is compiled here.
pub(crate) fn no_bytecode(command: &str) -> PackageError {
    PackageError::Invalid {
        attribute: Attribute::whole("compile_bytecode"),
        reason: format!(
            "only Python files have bytecode, and `{command}` starts no server on one of Lambda's Python runtimes; remove it"
        ),
    }
}

/// A published server brings its files itself.
fn no_folder(spec: &ServerSpec) -> Result<(), PackageError> {
    let attribute = match (&spec.source_dir, spec.source_excludes.as_slice()) {
        (Some(_), _) => "source_dir",
        (None, [_, ..]) => "source_excludes",
        (None, []) => return Ok(()),
    };
    Err(PackageError::Invalid {
        attribute: Attribute::whole(attribute),
        reason: format!(
            "`{}` runs a published package and sees no other files; start a server of your own with `python3`, `node` or its program as `command`",
            spec.command
        ),
    })
}

/// The program's name without its directory: READMEs show both `uvx` and `/opt/homebrew/bin/uvx`.
fn program(command: &str) -> &str {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    [".exe", ".cmd"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
}
