//! Everything that can go wrong between a server spec and its zip, each with the next step in its text.
//!
//! Facts are fields, so that callers and tests match on them; [`PackageError::kind`] says what a caller should do
//! about it and [`PackageError::attribute`] which attribute of the configuration it is about.

use std::path::PathBuf;

use super::image::ImageError;
use super::tools::Tool;
use super::{Architecture, MinimumAge, Source};

/// The attribute of the configuration that an error is about: `args[2]` is `{ name: "args", index: Some(2) }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// `command`, `args`, `packages`, `allow_scripts`, `compile_bytecode`, `source_dir`, `source_excludes`, `runtime`, `image_repository_url` or `lock`.
    pub name: &'static str,
    /// Element of a list attribute, counted from 0.
    pub index: Option<usize>,
}

impl Attribute {
    /// All of the attribute.
    pub const fn whole(name: &'static str) -> Self {
        Self { name, index: None }
    }

    /// One element of it.
    pub const fn element(name: &'static str, index: usize) -> Self {
        Self {
            name,
            index: Some(index),
        }
    }
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The index could not be reached. A plan may go on; an apply cannot.
    Network,
    /// The configuration is wrong; [`PackageError::attribute`] says where.
    Input,
    /// No set of versions satisfies the request.
    Unresolvable,
    /// A version satisfies the request but has no wheel for Lambda.
    NoWheel,
    /// The index served other bytes than the lock names.
    HashMismatch,
    /// Over one of Lambda's limits.
    TooLarge,
    /// A package manager is missing, too old or failed in an unknown way; or this build carries no bridge.
    Tool,
    /// A file of this machine could not be read or written.
    Io,
}

/// See the module's documentation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// `command` names a kind of server that is not known.
    #[error(
        "`{command}` is not a server command that can be packaged. Supported: `uvx` (and `uv tool run`), which runs a server published as a \
         Python package; `npx`, which runs one published as an npm package; `docker run` and an image; `python3` or `node` and a script in `source_dir`; or a program that comes with the server: put it into the folder that \
         `source_dir` names and write its path there, such as `./server`"
    )]
    UnsupportedCommand { command: String },

    /// A word of the command line is wrong.
    #[error("{attribute}: {reason}")]
    Invalid {
        attribute: Attribute,
        reason: String,
    },

    /// A locked version, hash or line is wrong.
    #[error("lock: {reason}")]
    InvalidLock { reason: String },

    /// A package manager is not there.
    #[error("`{}` was not found{searched}. {}", tool.name(), tool.how_to_get())]
    ToolMissing { tool: Tool, searched: String },

    /// A package manager is not there, and its registry did not give it.
    #[error(
        "`{}` was not found on PATH, and could not be fetched: {reason}. Install it, set `{}_path` in the provider's configuration, or place \
         {files} into `{}`",
        tool.name(), tool.name(), folder.display()
    )]
    ToolNotFetched {
        tool: Tool,
        /// The registry did not answer, as against having answered something else.
        unreachable: bool,
        reason: String,
        /// The files that are wanted, each with its hash.
        files: String,
        folder: PathBuf,
    },

    /// A package manager cannot be used.
    #[error("`{}` cannot be used as `{}`: {reason}", path.display(), tool.name())]
    ToolUnusable {
        tool: Tool,
        path: PathBuf,
        reason: String,
    },

    /// A package manager failed in a way that is not known here.
    #[error("`{}` failed to {action}:\n{output}", tool.name())]
    ToolFailed {
        tool: Tool,
        action: &'static str,
        output: String,
    },

    /// This build of the provider was made without the bridge.
    #[error(
        "this build of the provider carries no bridge for {architecture}. Build it with `make build`, or use a released \
         provider"
    )]
    NoBridge { architecture: Architecture },

    /// The package index did not answer.
    #[error(
        "the package index could not be reached: {detail}. Check the network and proxy settings, and the index that `uv` \
         is told to use (UV_DEFAULT_INDEX, UV_INDEX_URL, uv.toml)"
    )]
    Network { detail: String },

    /// The index wants other credentials.
    #[error(
        "the package index refuses the request: {detail}. Check the credentials that `uv` is given for it"
    )]
    IndexRefused { detail: String },

    /// No index knows the package.
    #[error(
        "package `{package}`{needed_by} does not exist in the package index. Check its spelling; a private package needs its \
         index (UV_INDEX, or `--index` in args)"
    )]
    PackageNotFound { package: String, needed_by: String },

    /// The package exists, the version does not.
    #[error(
        "there is no release of `{package}`{needed_by} that satisfies `{wanted}`{newest}. Ask for another version"
    )]
    VersionNotFound {
        package: String,
        needed_by: String,
        wanted: String,
        newest: String,
    },

    /// What would be chosen was published too recently.
    #[error(
        "`{package}`{needed_by} was published {age} ago, and `minimum_package_age` is {minimum}. Ask for an older release, or lower \
         `minimum_package_age`"
    )]
    TooFresh {
        /// Name and version: `mcp 1.2.3`.
        package: String,
        needed_by: String,
        age: String,
        minimum: MinimumAge,
    },

    /// Releases that are old enough satisfy not all that is asked for.
    #[error(
        "no set of releases is as old as `minimum_package_age` ({minimum}) asks for. Without it these would be chosen, too: {fresh}. Ask for older \
         releases, or lower `minimum_package_age`"
    )]
    NoneOldEnough { fresh: String, minimum: MinimumAge },

    /// The index does not say when releases were published.
    #[error(
        "the {index} does not say when `{package}` was published, so `minimum_package_age` ({minimum}) cannot be kept. Use an index that gives the \
         time of upload, or remove `minimum_package_age`"
    )]
    NoUploadTime {
        index: &'static str,
        package: String,
        minimum: MinimumAge,
    },

    /// The npm registry did not answer.
    #[error(
        "the npm registry could not be reached: {detail}. Check the network and proxy settings, and the registry that `npm` is told to \
         use (.npmrc, npm_config_registry)"
    )]
    RegistryUnreachable { detail: String },

    /// The npm registry wants other credentials.
    #[error(
        "the npm registry refuses the request: {detail}. Check the credentials that `npm` is given for it (.npmrc)"
    )]
    RegistryRefused { detail: String },

    /// No registry knows the package.
    #[error(
        "package `{package}` does not exist in the npm registry. Check its spelling; a private package needs the registry of its scope \
         and credentials for it (.npmrc)"
    )]
    NotInRegistry { package: String },

    /// A package comes from a git repository, an address or a folder.
    #[error(
        "`{package}`{needed_by} does not come from an npm registry, so no lock could say which bytes run. Use a server whose packages are \
         all published"
    )]
    NotFromRegistry { package: String, needed_by: String },

    /// The registry gives no strong hash.
    #[error(
        "the npm registry gives no SHA-512 for `{package}` (only: {found}), so its bytes cannot be locked. Ask for a newer release of it in \
         `packages`"
    )]
    WeakHash { package: String, found: String },

    /// The package says that it runs elsewhere only.
    #[error(
        "`{package}` does not run on {target}: it is {wanted}. Use a server that does not need it"
    )]
    WrongPlatform {
        package: String,
        target: String,
        wanted: String,
    },

    /// The package says that it needs a newer Node.
    #[error("`{package}` needs Node {engines}, which {runtime} is not. {next_step}")]
    RuntimeTooOld {
        package: String,
        engines: String,
        runtime: String,
        next_step: String,
    },

    /// A native addon that Node could not load on the function.
    #[error(
        "`{file}` of `{package}` is a native addon for {found}, and `{package}` has none for {target}. {next_step}"
    )]
    ForeignAddon {
        file: String,
        package: String,
        found: String,
        target: String,
        next_step: String,
    },

    /// A script that the user allowed did not succeed.
    #[error(
        "an install script that `allow_scripts` allows failed:\n{output}\nScripts run on this machine, told that they install for \
         {target}; take the package out of `allow_scripts`, or use a release that needs no script"
    )]
    ScriptFailed { output: String, target: String },

    /// Bytecode was asked for, and nothing here can compile it.
    #[error(
        "`compile_bytecode` needs a Python {version} on this machine, as `{runtime}` is; there is none on PATH, none of pyenv, and none that \
         `uv` knows. Install one (`uv python install {version}`), or set `compile_bytecode = false`: the server then starts later, and no otherwise"
    )]
    NoInterpreter { runtime: String, version: String },

    /// The interpreter that should compile did not.
    #[error("`{}` could not compile the server's Python files: {reason}", path.display())]
    CompileFailed { path: PathBuf, reason: String },

    /// The server is started by a program that the function does not have.
    #[error(
        "`{file}` runs under `{interpreter}`, which Lambda's Node runtimes do not have. Use a server that runs under `node`"
    )]
    ForeignInterpreter { file: String, interpreter: String },

    /// Requirements contradict each other.
    #[error(
        "no set of versions satisfies every requirement:\n{explanation}\nLoosen one of the requirements in `args` or \
         `packages`"
    )]
    Conflict { explanation: String },

    /// A package cannot be installed without being built, or not on this platform.
    #[error("`{package}`{needed_by} has no wheel that runs on {target}: {available}. {next_step}")]
    NoWheel {
        /// As `uv` names it: `docopt`, `numba==0.56.0`.
        package: String,
        /// Empty, or which package asked for it.
        needed_by: String,
        /// Runtime and architecture.
        target: String,
        /// What the index has instead.
        available: String,
        next_step: String,
    },

    /// Other bytes than locked.
    #[error(
        "`{package}` does not match its locked hash:\n{detail}\nEither the index serves other bytes than those that were locked, \
         or the lock was made for another runtime or architecture. Find out which before you make the lock anew"
    )]
    HashMismatch { package: String, detail: String },

    /// The package offers no such command.
    #[error("`{distribution}` offers no command `{command}`{offered}")]
    NoEntryPoint {
        /// Name and version.
        distribution: String,
        command: String,
        /// What it offers instead, and how to ask for it.
        offered: String,
    },

    /// A native library is for another processor.
    #[error(
        "`{file}` of `{distribution}` is built for {found}, but the function's architecture is {architecture}. Its wheel is wrongly \
         tagged; pin another version of `{distribution}` in `packages`, or set `architecture`"
    )]
    WrongArchitecture {
        file: String,
        distribution: String,
        found: String,
        architecture: Architecture,
    },

    /// A program or library of the user's own is for another processor.
    #[error(
        "`{file}` is built for {found}, but the function's architecture is {architecture}. Build it for {architecture}, leave it out with \
         `source_excludes`, or set `architecture`"
    )]
    WrongMachine {
        attribute: Attribute,
        file: String,
        found: String,
        architecture: Architecture,
    },

    /// Over one of Lambda's limits for zip functions.
    #[error(
        "the package of `{package}` is {actual} bytes {measure}, over Lambda's limit of {limit} bytes for a {kind}. The largest in it \
         (unzipped bytes): {largest}. Ways out: {ways_out}"
    )]
    TooLarge {
        package: String,
        attribute: Attribute,
        measure: &'static str,
        actual: u64,
        limit: u64,
        /// What the limit is for.
        kind: &'static str,
        largest: String,
        ways_out: String,
    },

    /// A staged tree holds what a zip for Lambda cannot.
    #[error("`{path}` cannot be packaged: {reason}")]
    Unpackageable { path: String, reason: String },

    /// The zip was not made here.
    #[error("the function's code was not packaged by this provider: {reason}")]
    NotOurZip { reason: String },

    /// About a container image or its registry.
    #[error(transparent)]
    Image(#[from] ImageError),

    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl PackageError {
    /// Element `index` of `args` cannot be used.
    pub(crate) fn in_args(index: usize, reason: String) -> Self {
        Self::Invalid {
            attribute: Attribute::element("args", index),
            reason,
        }
    }

    /// The server's folder, or a file in it, cannot be used.
    pub(crate) fn in_source_dir(reason: String) -> Self {
        Self::Invalid {
            attribute: Attribute::whole("source_dir"),
            reason,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnsupportedCommand { .. }
            | Self::Invalid { .. }
            | Self::InvalidLock { .. }
            | Self::RuntimeTooOld { .. }
            | Self::ForeignInterpreter { .. }
            | Self::NoEntryPoint { .. } => ErrorKind::Input,
            Self::ToolNotFetched {
                unreachable: true, ..
            } => ErrorKind::Network,
            Self::ToolMissing { .. }
            | Self::ToolNotFetched { .. }
            | Self::ToolUnusable { .. }
            | Self::ToolFailed { .. }
            | Self::ScriptFailed { .. }
            | Self::NoInterpreter { .. }
            | Self::CompileFailed { .. }
            | Self::NoBridge { .. } => ErrorKind::Tool,
            Self::Image(error) => error.kind(),
            Self::Network { .. } | Self::RegistryUnreachable { .. } => ErrorKind::Network,
            Self::IndexRefused { .. }
            | Self::RegistryRefused { .. }
            | Self::NotInRegistry { .. }
            | Self::NotFromRegistry { .. }
            | Self::WeakHash { .. }
            | Self::PackageNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::TooFresh { .. }
            | Self::NoneOldEnough { .. }
            | Self::NoUploadTime { .. }
            | Self::Conflict { .. } => ErrorKind::Unresolvable,
            Self::NoWheel { .. }
            | Self::WrongArchitecture { .. }
            | Self::WrongMachine { .. }
            | Self::WrongPlatform { .. }
            | Self::ForeignAddon { .. } => ErrorKind::NoWheel,
            Self::HashMismatch { .. } => ErrorKind::HashMismatch,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unpackageable { .. } | Self::NotOurZip { .. } | Self::Io { .. } => ErrorKind::Io,
        }
    }

    /// [`Self::attribute`], and when the error is about a package that `source` names, the very element that names it.
    pub fn locate(&self, source: &Source) -> Option<Attribute> {
        if let Self::TooFresh { package, .. } = self {
            let name = package.split(' ').next().unwrap_or(package);
            return source.names(name).or_else(|| self.attribute());
        }
        let (Self::PackageNotFound { package, .. }
        | Self::NotInRegistry { package }
        | Self::VersionNotFound { package, .. }
        | Self::NoWheel { package, .. }) = self
        else {
            return self.attribute().map(|attribute| match attribute {
                Attribute {
                    name: "args",
                    index: None,
                } => source.attribute(),
                other => other,
            });
        };
        source.names(package).or_else(|| Some(source.attribute()))
    }

    /// The attribute to point at, where the error is about one.
    pub fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::UnsupportedCommand { .. } => Some(Attribute::whole("command")),
            Self::Invalid { attribute, .. }
            | Self::WrongMachine { attribute, .. }
            | Self::TooLarge { attribute, .. } => Some(*attribute),
            Self::InvalidLock { .. } | Self::HashMismatch { .. } => Some(Attribute::whole("lock")),
            Self::ScriptFailed { .. } => Some(Attribute::whole("allow_scripts")),
            Self::NoInterpreter { .. } | Self::CompileFailed { .. } => {
                Some(Attribute::whole("compile_bytecode"))
            }
            Self::RuntimeTooOld { .. } => Some(Attribute::whole("runtime")),
            Self::TooFresh { .. } | Self::NoneOldEnough { .. } | Self::NoUploadTime { .. } => {
                Some(Attribute::whole("minimum_package_age"))
            }
            Self::NoEntryPoint { .. }
            | Self::PackageNotFound { .. }
            | Self::NotInRegistry { .. }
            | Self::NotFromRegistry { .. }
            | Self::WeakHash { .. }
            | Self::WrongPlatform { .. }
            | Self::ForeignAddon { .. }
            | Self::ForeignInterpreter { .. }
            | Self::VersionNotFound { .. }
            | Self::Conflict { .. }
            | Self::NoWheel { .. }
            | Self::WrongArchitecture { .. } => Some(Attribute::whole("args")),
            Self::Image(ImageError::NotTaken { .. }) => {
                Some(Attribute::whole("image_repository_url"))
            }
            Self::Image(_) => Some(Attribute::whole("args")),
            _ => None,
        }
    }
}
