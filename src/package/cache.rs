//! Where what was fetched and built is kept between runs: the place, and nothing of what is in it.
//!
//! Enters: [`Tools`]. Leaves: a folder that may not exist yet. All in it can be made again, so it may be deleted at any time.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Tools;

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
