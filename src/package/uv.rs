//! Finds `uv` and runs it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::PackageError;

/// What packaging works with: the tool, its cache, and the environment that it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The `uv` program.
    pub uv: PathBuf,
    /// Where `uv` keeps what it downloaded; its own default when `None`. Safe to delete, safe to share.
    pub cache_dir: Option<PathBuf>,
    /// The environment that `uv` is started with (index settings, proxies, credentials), less what would make
    /// the result depend on the machine.
    pub environment: BTreeMap<OsString, OsString>,
}

impl Tools {
    /// Takes `uv_path` when given, else looks for `uv` on the `PATH` of `environment`.
    ///
    /// # Errors
    ///
    /// [`PackageError::ToolMissing`], saying where it looked and how to get `uv`.
    pub fn find(
        uv_path: Option<&Path>,
        cache_dir: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, PackageError> {
        let environment: BTreeMap<_, _> = environment.into_iter().collect();
        let uv = match uv_path {
            Some(given) if is_program(given) => given.to_owned(),
            Some(given) => {
                return Err(PackageError::ToolMissing {
                    searched: format!(" at `{}` (`uv_path`)", given.display()),
                });
            }
            None => on_path(environment.get(OsStr::new("PATH")).map(OsString::as_os_str))
                .ok_or_else(|| PackageError::ToolMissing {
                    searched: " on PATH".to_owned(),
                })?,
        };
        Ok(Self {
            uv,
            cache_dir: cache_dir.map(Path::to_owned),
            environment,
        })
    }
}

fn on_path(path: Option<&OsStr>) -> Option<PathBuf> {
    let name = format!("uv{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path?)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&name))
        .find(|candidate| is_program(candidate))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
