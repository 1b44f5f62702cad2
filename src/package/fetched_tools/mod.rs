//! `uv`, `npm` and its Node for a machine that lacks them: which file of which registry brings each, and where it is kept.
//!
//! Enters: [`Tools`], which of them is needed, and a function that brings a file's bytes: nothing here speaks to a network. Leaves: [`Tools`]
//! whose programs are there. Refuses bytes with another hash than the one that is pinned here, whoever brings them.
//!
//! Kept in `tools` of the cache folder, unpacked beside and renamed into place: what has its name is whole, whoever else fetches it
//! at the same time. A file that a person puts there is used without asking a registry. What other releases of this program fetched goes
//! when nobody has used it for thirty days.

mod kept;
mod pins;
mod unpack;

use std::ffi::OsStr;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};
use tokio::sync::Mutex;

use super::tools::{Tool, is_program};
use super::{PackageError, Tools, digest, in_background};

pub use pins::Pins;

/// Characters of a hash in the name of what is kept.
const HASH_BEGINNING: usize = 12;
const NODE: &str = if cfg!(windows) { "node.exe" } else { "node" };

/// A registry's file that brings a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub registry: Registry,
    /// Name of the package in the registry.
    pub package: String,
    pub version: String,
    /// Name of the file, as a person would find it there: a wheel (`.whl`), or `<package>-<version>.tgz` of npm.
    pub file_name: String,
    pub hash: Hash,
    pub members: Members,
}

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// An index of Python packages: the one that `uv` and `pip` use.
    Python,
    /// The registry that `npm` uses.
    Npm,
}

/// The hash that a file must have, in the notation of its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    /// 64 hexadecimal digits.
    Sha256(String),
    /// 64 bytes in base64.
    Sha512(String),
}

/// What of a file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// One program, under the last part of its path.
    One(String),
    /// Everything below this folder.
    Below(String),
}

/// Why a registry's file could not be fetched: a reason without credentials, that completes "could not be fetched: …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFetched {
    pub reason: String,
    /// The registry did not answer; a plan may go on without it.
    pub unreachable: bool,
}

impl Hash {
    /// In the notation of the registry.
    fn of(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Sha256(_) => Self::Sha256(digest::hex(&Sha256::digest(bytes))),
            Self::Sha512(_) => Self::Sha512(STANDARD.encode(Sha512::digest(bytes))),
        }
    }

    /// Enough of it to tell two files of one name apart, fit for a file's name.
    fn beginning(&self) -> String {
        let (Self::Sha256(text) | Self::Sha512(text)) = self;
        let plain = text.chars().filter(char::is_ascii_alphanumeric);
        plain.take(HASH_BEGINNING).collect()
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256:{digits}"),
            Self::Sha512(text) => write!(f, "sha512-{text}"),
        }
    }
}

impl Archive {
    /// The folder that holds what was unpacked from it.
    fn folder_name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.package,
            self.version,
            self.hash.beginning()
        )
    }
}

/// `tools`, with `tool` fetched where the user names none and PATH has none: from the cache folder, else with `fetch`.
///
/// # Errors
///
/// [`PackageError::ToolNotFetched`], saying what to place where; [`PackageError::ToolMissing`] where none could be fetched;
/// [`PackageError::Io`] about the cache folder.
pub async fn complete<F, A>(
    mut tools: Tools,
    tool: Tool,
    pins: &Pins,
    fetch: F,
) -> Result<Tools, PackageError>
where
    F: Fn(Archive) -> A,
    A: Future<Output = Result<Vec<u8>, NotFetched>>,
{
    if tools.has(tool) {
        // An npm that is named often has its Node beside it, which its first line looks for on PATH.
        let beside = tools.npm_path.as_deref().and_then(Path::parent);
        if let (Tool::Npm, None, Some(folder)) = (tool, tools.node(), beside.map(Path::to_owned))
            && is_program(&folder.join(NODE))
        {
            put_on_path(&mut tools, &folder);
        }
        return Ok(tools);
    }
    let missing = |why: String| PackageError::ToolMissing {
        tool,
        searched: format!(" on PATH, and {why}"),
    };
    let Some(archives) = pins.of(tool) else {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        return Err(missing(format!(
            "none that could be fetched is known for {os} on {arch}"
        )));
    };
    let Some(cache) = tools.cache() else {
        return Err(missing(
            "there is no place to keep a fetched one: neither `cache_dir` nor HOME is set"
                .to_owned(),
        ));
    };
    let place = Place {
        tool,
        folder: cache.join("tools"),
        archives: &archives,
        now: tools.now,
    };
    let mut folders = Vec::new();
    for archive in &archives {
        folders.push(place.obtain(archive, &fetch).await?);
    }
    place.sweep(pins).await;
    match (tool, folders.as_slice()) {
        (Tool::Uv, [uv]) => tools.uv_path = Some(uv.join(Tool::Uv.file_name())),
        (Tool::Npm, [node, npm]) => {
            tools.npm_path = Some(npm.join("bin/npm-cli.js"));
            put_on_path(&mut tools, node);
        }
        // `Pins::of` gives one file of uv, and Node before npm.
        _ => {}
    }
    Ok(tools)
}

/// Scripts of packages find the same Node there that runs `npm`.
fn put_on_path(tools: &mut Tools, folder: &Path) {
    let path = tools.environment.entry("PATH".into()).or_default();
    let others = std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty());
    let joined = std::env::join_paths(std::iter::once(folder.to_owned()).chain(others));
    // Fails only for a folder with the separator in its name, which no PATH could hold.
    if let Ok(joined) = joined {
        *path = joined;
    }
}

/// Where archives of one tool are kept.
struct Place<'a> {
    tool: Tool,
    folder: PathBuf,
    /// All that the tool consists of, for the error that says what to place.
    archives: &'a [Archive],
    now: SystemTime,
}

impl Place<'_> {
    /// The folder with what `archive` holds.
    async fn obtain<F, A>(&self, archive: &Archive, fetch: &F) -> Result<PathBuf, PackageError>
    where
        F: Fn(Archive) -> A,
        A: Future<Output = Result<Vec<u8>, NotFetched>>,
    {
        // Resources that are planned at once wait for one download instead of making one each.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let unpacked = self.folder.join(archive.folder_name());
        if self.take(&unpacked).await {
            return Ok(unpacked);
        }
        let _turn = ONE_AT_A_TIME.lock().await;
        if self.take(&unpacked).await {
            return Ok(unpacked);
        }
        let by_hand = self.folder.join(&archive.file_name);
        let bytes = match tokio::fs::read(&by_hand).await {
            Ok(bytes) => {
                self.check(archive, &bytes, &format!("`{}`", by_hand.display()))?;
                bytes
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::info!(file = archive.file_name, "fetching a tool that is missing");
                let bytes = fetch(archive.clone())
                    .await
                    .map_err(|error| self.not_fetched(error))?;
                self.check(archive, &bytes, "what the registry has")?;
                bytes
            }
            Err(source) => {
                return Err(PackageError::Io {
                    action: "read",
                    path: by_hand,
                    source,
                });
            }
        };
        let (archive, folder) = (archive.clone(), self.folder.clone());
        in_background((archive, folder, bytes), |(archive, folder, bytes)| {
            unpack::unpack(bytes, archive, folder, &archive.folder_name())
        })
        .await
    }

    async fn take(&self, unpacked: &Path) -> bool {
        let (unpacked, now) = (unpacked.to_owned(), self.now);
        let taken = tokio::task::spawn_blocking(move || kept::take(&unpacked, now));
        taken.await.unwrap_or_default()
    }

    async fn sweep(&self, pins: &Pins) {
        let pinned = [Tool::Uv, Tool::Npm].map(|tool| pins.of(tool).unwrap_or_default());
        let pinned: Vec<String> = pinned.iter().flatten().map(Archive::folder_name).collect();
        let (folder, now) = (self.folder.clone(), self.now);
        // It fails only where the program ends.
        let _ = tokio::task::spawn_blocking(move || kept::sweep(&folder, &pinned, now)).await;
    }

    fn check(&self, archive: &Archive, bytes: &[u8], what: &str) -> Result<(), PackageError> {
        let found = archive.hash.of(bytes);
        if found == archive.hash {
            return Ok(());
        }
        Err(self.not_fetched(NotFetched {
            reason: format!(
                "{what} is not `{}` as it was published: its hash is {found}",
                archive.file_name
            ),
            unreachable: false,
        }))
    }

    fn not_fetched(&self, error: NotFetched) -> PackageError {
        let files: Vec<String> = self
            .archives
            .iter()
            .filter(|archive| !self.folder.join(archive.folder_name()).is_dir())
            .map(|archive| format!("`{}` ({})", archive.file_name, archive.hash))
            .collect();
        PackageError::ToolNotFetched {
            tool: self.tool,
            unreachable: error.unreachable,
            reason: error.reason,
            files: files.join(" and "),
            folder: self.folder.clone(),
        }
    }
}

impl Tools {
    /// Whether nothing has to be fetched for `tool`: the user names it, which counts even when it is not there, or PATH has it.
    fn has(&self, tool: Tool) -> bool {
        match tool {
            Tool::Uv => self.uv_path.is_some() || self.on_path(tool.file_name()).is_some(),
            Tool::Npm => {
                self.npm_path.is_some()
                    || self.on_path(tool.file_name()).is_some() && self.node().is_some()
            }
        }
    }

    /// The Node that runs scripts.
    pub(crate) fn node(&self) -> Option<PathBuf> {
        self.on_path(NODE)
    }
}

/// Whether `program` is a script that is given to Node.
pub(crate) fn is_script(program: &Path) -> bool {
    program.extension() == Some(OsStr::new("js"))
}
