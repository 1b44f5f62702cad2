//! Where what was fetched and built is kept between runs: the place, how a file gets there, and which ones go.
//!
//! Enters: [`Tools`]. Leaves: a folder that may not exist yet. All in it can be made again, so it may be deleted at any time.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Tools;

/// How a file begins that is being written.
pub(crate) const UNFINISHED: &str = ".unfinished-";
/// After this a file that is being written was left by a process that was killed.
pub(crate) const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps `parts`, one after the other, as `name` in `folder`: whole or not at all, also for those who read it now.
pub(crate) fn keep(folder: &Path, name: &str, parts: &[&[u8]]) -> std::io::Result<()> {
    make_folder(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(folder.join(name))?;
    Ok(())
}

/// Removes what was used longest ago until the files with `suffix` in `folder` have `limit` bytes at the most, and what killed processes left.
pub(crate) fn make_room(folder: &Path, suffix: &str, limit: u64) {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(suffix) {
            kept.push((used, entry.path(), found.len()));
        } else if name.starts_with(UNFINISHED) && used.elapsed().is_ok_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, _, size)| size).sum();
    for (_, path, size) in kept {
        if total <= limit {
            return;
        }
        let _ = fs::remove_file(path);
        total -= size;
    }
}

#[cfg(unix)]
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

impl Tools {
    /// The folder for what is kept here, beside the tools' own caches: `cache_dir`, or else `mcplambda` in the system's place for
    /// caches: `XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory Specification), on macOS `~/Library/Caches`, on Windows `LOCALAPPDATA`.
    /// `None` when the environment names none: then nothing is kept.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        if let Some(given) = &self.cache_dir {
            return Some(given.clone());
        }
        let system = if cfg!(windows) {
            self.absolute("LOCALAPPDATA")?
        } else if let Some(given) = self.absolute("XDG_CACHE_HOME") {
            given
        } else if cfg!(target_os = "macos") {
            self.absolute("HOME")?.join("Library/Caches")
        } else {
            self.absolute("HOME")?.join(".cache")
        };
        Some(system.join("mcplambda"))
    }

    /// A variable that holds the path of a folder; relative ones are ignored, as XDG has it.
    fn absolute(&self, variable: &str) -> Option<PathBuf> {
        let path = Path::new(self.environment.get(OsStr::new(variable))?);
        path.is_absolute().then(|| path.to_owned())
    }
}
