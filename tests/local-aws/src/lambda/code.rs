//! Overlay: the code of functions. moto keeps a hash of it; Invoke and `Code.Location` need the
//! very bytes.
//!
//! Enters: the zip of CreateFunction or UpdateFunctionCode. Leaves: the zip on disk under its hash,
//! and the unpacked tree. It refuses what Lambda refuses: what is no zip, or over 250 MB unpacked;
//! `MAX_REQUEST` bounds the zip itself.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::validate::invalid;
use crate::ids;
use crate::reply::AwsError;

/// A request with a zip in it may be this long (bytes), which leaves less than 50 MB for the zip;
/// Lambda names the number in its refusal.
pub(crate) const MAX_REQUEST: usize = 69_905_067;
/// The content of a zip may be this long (bytes): Lambda quotas, "Deployment package (.zip file
/// archive) size".
const MAX_UNZIPPED: u64 = 250 * 1024 * 1024;

/// Code that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Base64 of the zip's SHA-256, as Lambda reports it.
    pub(crate) sha256: String,
    /// Hexadecimal; names the files on disk.
    pub(super) hex: String,
    /// A container image, by the same digits.
    pub(super) is_image: bool,
}

/// Everything that was uploaded, by hash.
pub(crate) struct Codes {
    directory: PathBuf,
    unpacked: Mutex<HashMap<String, PathBuf>>,
}

impl Codes {
    pub(crate) fn new(directory: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            unpacked: Mutex::default(),
        })
    }

    /// Checks and keeps the base64 zip of a request.
    ///
    /// # Errors
    ///
    /// What Lambda answers for code that it does not take.
    pub(crate) fn keep_base64(&self, zip_base64: &str) -> Result<Arc<Code>, AwsError> {
        let zip = STANDARD.decode(zip_base64).map_err(|_| not_a_zip())?;
        self.keep(&zip)
    }

    /// Checks and keeps a zip.
    ///
    /// # Errors
    ///
    /// What Lambda answers for code that it does not take.
    pub(crate) fn keep(&self, zip: &[u8]) -> Result<Arc<Code>, AwsError> {
        if zip.is_empty() {
            return Err(invalid("Uploaded file must be a non-empty zip"));
        }
        let archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|_| not_a_zip())?;
        if archive.is_empty() {
            return Err(invalid("Uploaded file must be a non-empty zip"));
        }
        if archive
            .decompressed_size()
            .is_some_and(|size| size > u128::from(MAX_UNZIPPED))
        {
            return Err(invalid(&format!(
                "Unzipped size must be smaller than {MAX_UNZIPPED} bytes"
            )));
        }
        let digest = Sha256::digest(zip);
        let code = Code {
            sha256: STANDARD.encode(digest),
            hex: ids::hex(&digest),
            is_image: false,
        };
        let path = self.zip_path(&code);
        if !path.exists() {
            std::fs::write(&path, zip).map_err(|error| internal(&path, &error))?;
        }
        Ok(Arc::new(code))
    }

    /// The zip as it was uploaded.
    pub(crate) fn zip(&self, code: &Code) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.zip_path(code))
    }

    fn zip_path(&self, code: &Code) -> PathBuf {
        self.directory.join(format!("{}.zip", code.hex))
    }

    /// The directory with the unpacked code, as `/var/task` shows it.
    ///
    /// # Errors
    ///
    /// A sentence that names the entry that could not be unpacked.
    pub(crate) fn unpacked(&self, code: &Code) -> Result<PathBuf, String> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = unpacked.get(&code.hex) {
            return Ok(path.clone());
        }
        let path = self.directory.join(&code.hex);
        let zip = self.zip(code).map_err(|error| error.to_string())?;
        unpack(&zip, &path)?;
        unpacked.insert(code.hex.clone(), path.clone());
        Ok(path)
    }
}

impl Codes {
    /// A directory with all of these unpacked over one another, later ones last, as `/opt` shows layers.
    ///
    /// # Errors
    ///
    /// A sentence that names the entry that could not be unpacked.
    pub(crate) fn merged(&self, codes: &[Arc<Code>]) -> Result<PathBuf, String> {
        let names: Vec<&str> = codes.iter().map(|code| code.hex.as_str()).collect();
        let name = format!("layers-{}", ids::hex(&Sha256::digest(names.join(" "))));
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = unpacked.get(&name) {
            return Ok(path.clone());
        }
        let path = self.directory.join(&name);
        make_dir(&path)?;
        for code in codes {
            let zip = self.zip(code).map_err(|error| error.to_string())?;
            unpack_over(&zip, &path)?;
        }
        unpacked.insert(name, path.clone());
        Ok(path)
    }
}

fn not_a_zip() -> AwsError {
    invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
}

fn internal(path: &Path, error: &std::io::Error) -> AwsError {
    AwsError::new(
        500,
        "ServiceException",
        format!("local-aws: {}: {error}", path.display()),
    )
}

/// Unpacks with the modes that the zip records and nothing of the umask: an entry that only its
/// owner may read is one that the function cannot read.
fn unpack(zip: &[u8], to: &Path) -> Result<(), String> {
    make_dir(to)?;
    unpack_over(zip, to)
}

/// The same into a directory that is there, replacing files that are.
fn unpack_over(zip: &[u8], to: &Path) -> Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| error.to_string())?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let inside = entry
            .enclosed_name()
            .ok_or_else(|| format!("{name}: leads out of the package"))?;
        let path = to.join(inside);
        if entry.is_dir() {
            make_dirs(to, &path)?;
            continue;
        }
        make_dirs(to, path.parent().unwrap_or(to))?;
        let mode = entry.unix_mode().map_or(0o644, |mode| mode & 0o777);
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let mut content = Vec::new();
        let is_symlink = entry.is_symlink();
        entry.read_to_end(&mut content).map_err(failed)?;
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        if is_symlink {
            let target = String::from_utf8(content).map_err(|_| format!("{name}: not a link"))?;
            std::os::unix::fs::symlink(target, &path).map_err(failed)?;
        } else {
            std::fs::write(&path, content).map_err(failed)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
                .map_err(failed)?;
        }
    }
    Ok(())
}

fn make_dirs(root: &Path, path: &Path) -> Result<(), String> {
    if path == root || path.is_dir() {
        return Ok(());
    }
    make_dirs(root, path.parent().unwrap_or(root))?;
    make_dir(path)
}

fn make_dir(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(failed)
}
