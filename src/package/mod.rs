//! Server spec in, bytes out: what the user wrote becomes a lock, and a lock becomes a deterministic zip.
//!
//! Enters: [`ServerSpec`] (the user's words) and [`Tools`] (where `uv` and `npm` are, and the environment they see).
//! Leaves: [`Source`] (what they mean), [`Lock`] (exact versions and hashes), [`Artifact`] (what Lambda is given).
//! Refuses: to call AWS, to run a package's script unless the user allows it, and to put anything of the build machine into the zip.
//!
//! The path, as the file names read: `source` (`uvx_command`, `runtime`; `custom` with `program`, `folder`, `managed`, `requirements`) ->
//! `lock` (`resolve`, `wheel`) -> `finished`, if it was made before (`cache`), or else `python_packages` -> `uvx` (`entry_point`) or
//! `custom` -> `stage` (`python_prune`, `elf`) -> `bytecode` (`marshal`), if it is asked for -> `assemble` -> `zip` (`deflate`, `zip_archive`) -> `digest`. `uv` runs
//! the tool, `uv_report` reads its complaints, `uv_age` keeps it from fresh releases (`release_age`). `npx` is the same for npm packages.

mod architecture;
mod assemble;
pub mod bridge;
mod bytecode;
mod cache;
mod custom;
mod deflate;
mod digest;
mod download;
mod elf;
mod entry_point;
mod error;
pub mod fetched_tools;
mod finished;
mod folder;
pub mod image;
mod lock;
mod managed;
mod marshal;
mod notice;
mod npx;
mod pip_settings;
mod program;
mod python_index;
mod python_lock;
mod python_packages;
mod python_prune;
mod release_age;
mod requirement;
mod requirements;
mod resolve;
mod runtime;
mod sbom;
mod source;
mod stage;
mod stand_in;
mod tools;
mod uv;
mod uv_age;
mod uv_lock;
mod uv_report;
mod uvx;
mod uvx_command;
mod wheel;
mod zip;
mod zip_archive;

use std::collections::BTreeMap;

use self::bytecode::Compiler;
use self::managed::Packages;
use self::python_packages::PythonPackages;

pub use architecture::{Architecture, UnknownArchitecture};
pub use download::{Answer, Download, Downloads, Wanted};
pub use error::{Attribute, ErrorKind, PackageError};
pub use folder::DEFAULT_EXCLUDES;
pub use lock::Lock;
pub use notice::Notice;
pub use npx::npmrc::NpmSettings;
pub use python_index::{PythonIndex, PythonIndexes};
pub use release_age::MinimumAge;
pub use source::{ServerSpec, Source, plan_source};
pub use tools::{Tool, Tools};

/// Lambda wants a handler for zip functions; the bridge takes over before it would be called.
pub const HANDLER: &str = "mcplambda.handler";

/// What Lambda is given, and how the server in it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The deployment package: the bridge as `mcplambda-bridge` or `bootstrap`, `site-packages/**` or `node_modules/**`,
    /// `mcplambda.lock`, `mcplambda.cdx.json`, and the files of the server's folder. Same inputs, same bytes.
    pub zip: Vec<u8>,
    /// SHA-256 of `zip` in base64, as Lambda reports it in `CodeSha256`.
    pub code_sha256: String,
    /// Bytes of all files once unpacked; Lambda allows 262,144,000.
    pub unzipped_size: u64,
    /// The server's command line in the function, the user's arguments included.
    pub argv: Vec<String>,
    /// Lambda's runtime identifier, e.g. `python3.13`, `nodejs22.x`.
    pub runtime: String,
    /// Never run (the bridge takes over first), but Lambda wants one for zip functions.
    pub handler: String,
    /// Installed distributions, normalised name to version.
    pub versions: BTreeMap<String, String>,
    /// Whose package it is, and the bytes of what a user could leave out of it.
    subject: assemble::Subject,
    sizes: BTreeMap<String, u64>,
}

/// The newest versions that satisfy `source` for Lambda's platform and are old enough, each with the hash of the wheel that fits it.
///
/// Safe to drop at any moment: the running `uv` is killed and its files are removed.
///
/// # Errors
///
/// [`ErrorKind::Network`] when the index cannot be reached, [`ErrorKind::Unresolvable`] when no set of versions
/// fits, [`ErrorKind::NoWheel`] when one exists but not for this platform, [`ErrorKind::Tool`] about `uv` itself.
pub async fn resolve(tools: &Tools, source: &Source) -> Result<Lock, PackageError> {
    resolution(tools, source).await.map(|found| found.lock)
}

/// What was chosen, and what the index says against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub lock: Lock,
    /// Of yanked and deprecated releases. What the lock itself shows is in [`Lock::notices`].
    pub notices: Vec<Notice>,
}

/// [`resolve`], with what the index says against what was chosen.
///
/// # Errors
///
/// As [`resolve`].
pub async fn resolution(tools: &Tools, source: &Source) -> Result<Resolution, PackageError> {
    let (lock, notices) = match source {
        Source::Uvx(source) => python(tools, &source.packages).await?,
        Source::Custom(source) => match source.packages() {
            Some(Packages::Python(packages)) => python(tools, packages).await?,
            // Its owner has resolved it already.
            Some(Packages::Node(packages)) => {
                (Lock::Npm(packages.lock.clone()), packages.notices.clone())
            }
            None => return Err(custom::nothing_to_lock()),
        },
        Source::Image(source) => (
            Lock::Image(image::resolve(tools, source).await?),
            Vec::new(),
        ),
        Source::Npx(source) => {
            let (lock, notices) = npx::resolve(tools, source).await?;
            (Lock::Npm(lock), notices)
        }
    };
    Ok(Resolution { lock, notices })
}

async fn python(
    tools: &Tools,
    packages: &PythonPackages,
) -> Result<(Lock, Vec<Notice>), PackageError> {
    let (lock, notices) = resolve::resolve(tools, packages).await?;
    Ok((Lock::Python(lock), notices))
}

/// Reads the server's folder, where it has one: what [`Source::content_hash`], [`Source::is_locked`] and [`Source::identity`] say
/// follows from it. Anything else is returned as it is.
///
/// # Errors
///
/// [`ErrorKind::Input`] about the folder and what is in it, [`ErrorKind::NoWheel`] for programs for another machine,
/// [`ErrorKind::TooLarge`], and [`ErrorKind::Io`].
pub async fn open(source: Source) -> Result<Source, PackageError> {
    match source {
        Source::Custom(source) => {
            in_background(source, |source| source.open().map(Source::Custom)).await
        }
        other => Ok(other),
    }
}

/// [`open`] with the files of a package that was built from `source`, which may be gone or changed since.
///
/// # Errors
///
/// As [`open`], and [`PackageError::NotOurZip`].
pub async fn open_package(source: Source, zip: Vec<u8>) -> Result<Source, PackageError> {
    match source {
        Source::Custom(source) => {
            in_background(source, move |source| {
                source.opened_as(&zip).map(Source::Custom)
            })
            .await
        }
        other => Ok(other),
    }
}

/// Looks for what would compile the bytecode of `source` on this machine: a process started for each interpreter on the way.
///
/// # Errors
///
/// [`PackageError::NoInterpreter`]; never for a source that takes no bytecode.
pub async fn find_compiler(tools: &Tools, source: &Source) -> Result<(), PackageError> {
    match source.python() {
        Some(python) => Compiler::find(tools, python).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Runs `work`, which reads files or computes for long, where it keeps nobody from being answered.
pub(crate) async fn in_background<S: Send + 'static, T: Send + 'static>(
    subject: S,
    work: impl FnOnce(&S) -> Result<T, PackageError> + Send + 'static,
) -> Result<T, PackageError> {
    let done = tokio::task::spawn_blocking(move || work(&subject)).await;
    done.map_err(|error| PackageError::Unpackageable {
        path: "the package".to_owned(),
        reason: error.to_string(),
    })?
}

/// Installs exactly `lock` and returns the package. A source that is not locked takes none. A package that was made before, of the same
/// versions, files and bridge, is taken from the cache folder.
///
/// Safe to drop at any moment, like [`resolve`].
///
/// # Errors
///
/// As [`resolve`]; further [`ErrorKind::HashMismatch`], [`ErrorKind::TooLarge`], and [`ErrorKind::Input`] when the
/// lock does not belong to `source` or the package does not offer the command.
pub async fn build(
    tools: &Tools,
    source: &Source,
    lock: impl Into<Option<&Lock>>,
) -> Result<Artifact, PackageError> {
    let architecture = source.architecture();
    let bridge = bridge::binary(architecture).ok_or(PackageError::NoBridge { architecture })?;
    build_around(bridge, tools, source, lock).await
}

/// [`build`] with another executable as the bridge.
///
/// # Errors
///
/// As [`build`].
pub async fn build_around(
    bridge: &[u8],
    tools: &Tools,
    source: &Source,
    lock: impl Into<Option<&Lock>>,
) -> Result<Artifact, PackageError> {
    let lock = lock.into();
    if let Some(lock) = lock {
        lock.check(source)?;
    }
    let opened;
    let source = match source {
        Source::Custom(folder) if !folder.is_open() => {
            opened = open(source.clone()).await?;
            &opened
        }
        source => source,
    };
    let compiler = match source.bytecode() {
        Some(python) => Some(Compiler::find(tools, python).await?),
        None => None,
    };
    let compiler = compiler.as_ref();
    let made = make(bridge, tools, source, lock, compiler);
    finished::kept_or_built(tools, source, lock, bridge, compiler, made).await
}

/// Makes the package of a source that was opened.
async fn make(
    bridge: &[u8],
    tools: &Tools,
    source: &Source,
    lock: Option<&Lock>,
    compiler: Option<&Compiler>,
) -> Result<Artifact, PackageError> {
    match (source, lock) {
        (Source::Uvx(source), Some(Lock::Python(lock))) => {
            uvx::build(tools, source, lock, bridge, compiler).await
        }
        (Source::Npx(source), Some(Lock::Npm(lock))) => {
            npx::build(tools, source, lock, bridge).await
        }
        (Source::Uvx(_) | Source::Npx(_), None) => Err(no_lock()),
        (Source::Custom(source), lock) => {
            custom::build(tools, source, lock, bridge, compiler).await
        }
        // Images are no zips: see `image::build`. A lock of another kind was refused above.
        (Source::Image(_), _) | (_, Some(Lock::Image(_))) => Err(no_lock()),
        // `check` has refused every other pair already.
        (Source::Uvx(_), Some(Lock::Npm(_))) | (Source::Npx(_), Some(Lock::Python(_))) => {
            Err(PackageError::InvalidLock {
                reason: "it is of another kind than the server".to_owned(),
            })
        }
    }
}

pub(crate) fn no_lock() -> PackageError {
    PackageError::InvalidLock {
        reason: "it is missing, and packages are installed from one only".to_owned(),
    }
}

/// The lock that a package was built from, read back from its zip (after an import, for instance).
///
/// # Errors
///
/// [`PackageError::NotOurZip`] when the bytes are no zip or hold no `mcplambda.lock`.
pub fn lock_in_zip(zip: &[u8]) -> Result<Lock, PackageError> {
    zip::read_lock(zip)
}
