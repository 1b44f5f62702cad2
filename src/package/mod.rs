//! Server spec in, bytes out: what the user wrote becomes a lock, and a lock becomes a deterministic zip.
//!
//! Enters: [`ServerSpec`] (the user's words) and [`Tools`] (where `uv` is, and the environment it sees).
//! Leaves: [`Source`] (what they mean), [`Lock`] (exact versions and hashes), [`Artifact`] (what Lambda is given).
//! Refuses: to call AWS, to run a package's build script, and to put anything of the build machine into the zip.
//!
//! The path, as the file names read: `source` (`uvx_command`, `runtime`) -> `lock` (`resolve`, `wheel`) ->
//! `uvx` (`entry_point`) -> `stage` (`elf`) -> `zip` -> `digest`. `uv` runs the tool, `uv_report` reads its complaints.

mod architecture;
pub mod bridge;
mod digest;
mod elf;
mod entry_point;
mod error;
mod lock;
mod python_lock;
mod requirement;
mod resolve;
mod runtime;
mod source;
mod stage;
mod tools;
mod uv;
mod uv_report;
mod uvx;
mod uvx_command;
mod wheel;
mod zip;

use std::collections::BTreeMap;

pub use architecture::{Architecture, UnknownArchitecture};
pub use error::{Attribute, ErrorKind, PackageError};
pub use lock::Lock;
pub use source::{ServerSpec, Source, plan_source};
pub use tools::{Tool, Tools};

/// Lambda wants a handler for zip functions; the bridge takes over before it would be called.
pub const HANDLER: &str = "mcplambda.handler";

/// What Lambda is given, and how the server in it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The deployment package: `mcplambda-bridge`, `site-packages/**`, `mcplambda.lock`. Same inputs, same bytes.
    pub zip: Vec<u8>,
    /// SHA-256 of `zip` in base64, as Lambda reports it in `CodeSha256`.
    pub code_sha256: String,
    /// Bytes of all files once unpacked; Lambda allows 262,144,000.
    pub unzipped_size: u64,
    /// The server's command line in the function, the user's arguments included.
    pub argv: Vec<String>,
    /// Lambda's runtime identifier, e.g. `python3.13`.
    pub runtime: String,
    /// Never run (the bridge takes over first), but Lambda wants one for zip functions.
    pub handler: String,
    /// Installed distributions, normalised name to version.
    pub versions: BTreeMap<String, String>,
}

/// The newest versions that satisfy `source` for Lambda's platform, each with the hash of the wheel that fits it.
///
/// Safe to drop at any moment: the running `uv` is killed and its files are removed.
///
/// # Errors
///
/// [`ErrorKind::Network`] when the index cannot be reached, [`ErrorKind::Unresolvable`] when no set of versions
/// fits, [`ErrorKind::NoWheel`] when one exists but not for this platform, [`ErrorKind::Tool`] about `uv` itself.
pub async fn resolve(tools: &Tools, source: &Source) -> Result<Lock, PackageError> {
    match source {
        Source::Uvx(source) => resolve::resolve(tools, source).await.map(Lock::Python),
    }
}

/// Installs exactly `lock` and returns the package.
///
/// Safe to drop at any moment, like [`resolve`].
///
/// # Errors
///
/// As [`resolve`]; further [`ErrorKind::HashMismatch`], [`ErrorKind::TooLarge`], and [`ErrorKind::Input`] when the
/// lock does not belong to `source` or the package does not offer the command.
pub async fn build(tools: &Tools, source: &Source, lock: &Lock) -> Result<Artifact, PackageError> {
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
    lock: &Lock,
) -> Result<Artifact, PackageError> {
    lock.check(source)?;
    match (source, lock) {
        (Source::Uvx(source), Lock::Python(lock)) => uvx::build(tools, source, lock, bridge).await,
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
