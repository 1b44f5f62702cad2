//! The bytes of a wheel or of npm's tarball in, a folder with the wanted files out. In place at once or not at all.
//!
//! Refuses paths that lead out of the folder. The bytes were compared with their hash before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Archive, Members, kept};
use crate::package::PackageError;

/// Unpacks `bytes` to `folder/name`, and returns that path.
///
/// # Errors
///
/// [`PackageError::Io`], also for an archive that lacks what is wanted.
pub(super) fn unpack(
    bytes: &[u8],
    archive: &Archive,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, PackageError> {
    let failed = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| PackageError::Io {
            action,
            path,
            source,
        }
    };
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    let beside = tempfile::Builder::new()
        .prefix(kept::UNPACKING)
        .tempdir_in(folder)
        .map_err(failed("make a directory in", folder))?;
    let unpacked = match archive.file_name.ends_with(".whl") {
        true => wheel(bytes, &archive.members, beside.path()),
        false => tarball(bytes, &archive.members, beside.path()),
    };
    unpacked.map_err(failed("unpack", &folder.join(&archive.file_name)))?;
    let place = folder.join(name);
    match fs::rename(beside.path(), &place) {
        Ok(()) => Ok(place),
        // Someone else was faster, with the same bytes.
        Err(_) if place.is_dir() => Ok(place),
        Err(source) => Err(failed("make", &place)(source)),
    }
}

fn wheel(bytes: &[u8], members: &Members, into: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut found = false;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        if file.is_dir() {
            continue;
        }
        let path = file.name().map_err(io::Error::other)?.into_owned();
        found |= keep(&path, members, into, &mut file)?;
    }
    require(found, members)
}

fn tarball(bytes: &[u8], members: &Members, into: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let mut found = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        found |= keep(&path, members, into, &mut entry)?;
    }
    require(found, members)
}

/// Writes a file if it is wanted, and says whether it was.
fn keep(path: &str, members: &Members, into: &Path, file: &mut impl Read) -> io::Result<bool> {
    let below = match members {
        Members::One(wanted) if path == wanted => path.rsplit('/').next().unwrap_or(path),
        Members::Below(folder) => match path.strip_prefix(folder.as_str()) {
            Some(below) => below.trim_start_matches('/'),
            None => return Ok(false),
        },
        Members::One(_) => return Ok(false),
    };
    let below = Path::new(below);
    let plain = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(io::Error::other(format!("it holds `{path}`")));
    }
    let place = into.join(below);
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    io::copy(file, &mut program(&place)?)?;
    Ok(true)
}

fn require(found: bool, members: &Members) -> io::Result<()> {
    let (Members::One(wanted) | Members::Below(wanted)) = members;
    match found {
        true => Ok(()),
        false => Err(io::Error::other(format!("it does not hold `{wanted}`"))),
    }
}

/// A new file that may be run: which ones are, archives made on other systems do not say.
fn program(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o755);
    options.open(path)
}
