//! Finished packages, kept between runs: all that a package follows from in, the package out, made only where it is not kept already.
//!
//! They lie in `packages/` of the cache folder, one file each, called by a SHA-256 over everything that bytes and command line depend
//! on; arguments for the server are no part of it. A file carries hashes of all that is in it and is thrown away when they do not fit. Who makes
//! a package holds a lock that other tasks and other processes wait for, so that each is made once; it appears under its name when it is
//! whole. Together they take up to [`LIMIT`] bytes: then those that nobody used for longest go. The folder may be deleted at any time,
//! and where none can be made, or locked, or written to, packages are made all the same: nothing here is an error.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bytecode::Compiler;
use super::{Artifact, HANDLER, Lock, PackageError, Source, Tools, cache, digest};

/// To be raised with every change of what goes into a package, of how it is packed, or of what is kept with it.
const FORMAT: u32 = 3;

/// Bytes of all packages together: a few hundred of the usual size.
const LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// The folder in the cache folder.
const FOLDER: &str = "packages";
/// What the files are called after their key.
const SUFFIX: &str = ".package";
/// How often a waiting task looks whether the lock is free: it must not hold a thread meanwhile, and may be dropped.
const LOOK: Duration = Duration::from_millis(20);

/// What is kept beside the zip: the artifact without the server's own arguments.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    key: String,
    code_sha256: String,
    unzipped_size: u64,
    launcher: Vec<String>,
    runtime: String,
    versions: BTreeMap<String, String>,
    sizes: BTreeMap<String, u64>,
}

/// A package and how its server is started, the server's own arguments aside.
struct Kept {
    label: Label,
    zip: Vec<u8>,
}

/// The package that `build` makes of `source`, `lock` and `bridge`: an earlier one if it is kept, else its own, which is kept then.
///
/// # Errors
///
/// Those of `build` alone.
pub(crate) async fn kept_or_built(
    tools: &Tools,
    source: &Source,
    lock: Option<&Lock>,
    bridge: &[u8],
    compiler: Option<&Compiler>,
    build: impl Future<Output = Result<Artifact, PackageError>>,
) -> Result<Artifact, PackageError> {
    let Some(shelf) = Shelf::of(tools) else {
        return build.await;
    };
    let key = key(source, lock, bridge, compiler);
    if let Some(kept) = shelf.take(&key).await {
        return Ok(artifact(kept, source));
    }
    // Held until the package is kept, or could not be made.
    let _lock = shelf.lock(&key).await;
    if let Some(kept) = shelf.take(&key).await {
        return Ok(artifact(kept, source));
    }
    let built = build.await?;
    shelf.keep(key, built, source).await
}

/// A name for everything that the package and its command line follow from.
fn key(source: &Source, lock: Option<&Lock>, bridge: &[u8], compiler: Option<&Compiler>) -> String {
    let mut all = Sha256::new();
    let mut add = |part: &[u8]| {
        all.update((part.len() as u64).to_le_bytes());
        all.update(part);
    };
    add(&FORMAT.to_le_bytes());
    // Which says runtime and architecture too.
    add(source.identity().as_bytes());
    add(source.start_identity().as_bytes());
    add(source.content_hash().unwrap_or_default().as_bytes());
    add(lock.map(Lock::to_string).unwrap_or_default().as_bytes());
    add(&Sha256::digest(bridge));
    let release = compiler.map(|compiler| compiler.release.as_str());
    add(release.unwrap_or_default().as_bytes());
    digest::hex(&all.finalize())
}

fn artifact(Kept { label, zip }: Kept, source: &Source) -> Artifact {
    let arguments = source.server_args().iter().cloned();
    Artifact {
        zip,
        code_sha256: label.code_sha256,
        unzipped_size: label.unzipped_size,
        argv: label.launcher.into_iter().chain(arguments).collect(),
        runtime: label.runtime,
        handler: HANDLER.to_owned(),
        versions: label.versions,
        subject: source.subject(),
        sizes: label.sizes,
    }
}

/// Where finished packages are.
#[derive(Debug, Clone)]
struct Shelf {
    folder: PathBuf,
    /// Bytes.
    limit: u64,
}

impl Shelf {
    fn of(tools: &Tools) -> Option<Self> {
        Some(Self {
            folder: tools.cache()?.join(FOLDER),
            limit: LIMIT,
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}{SUFFIX}"))
    }

    async fn take(&self, key: &str) -> Option<Kept> {
        let (shelf, key) = (self.clone(), key.to_owned());
        let kept = tokio::task::spawn_blocking(move || shelf.read(&key)).await;
        kept.ok().flatten()
    }

    /// The package of that key, if it is there and whole.
    fn read(&self, key: &str) -> Option<Kept> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        if !is_ours(&file) {
            return None;
        }
        match parse(&file, key) {
            Some(kept) => {
                // Last used now. Where it may only be read, it is used all the same.
                let _ = file.set_modified(SystemTime::now());
                tracing::info!(path = %path.display(), "the package is there from an earlier time");
                Some(kept)
            }
            None => {
                tracing::warn!(path = %path.display(), "a kept package is damaged; it is thrown away and made anew");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Waits until nobody else makes a package of that key. Packages share 256 locks, so that lock files do not pile up.
    async fn lock(&self, key: &str) -> Option<File> {
        let path = self.folder.join("locks").join(&key[..2]);
        let file = locked_file(&path)
            .inspect_err(|error| {
                tracing::debug!(path = %path.display(), %error, "finished packages cannot be kept");
            })
            .ok()?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        tracing::info!("waiting for another operation that packs the same server");
                        told = true;
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(path = %path.display(), %error, "no locks here");
                    return None;
                }
            }
        }
    }

    /// Keeps `built` and gives it back.
    async fn keep(
        &self,
        key: String,
        built: Artifact,
        source: &Source,
    ) -> Result<Artifact, PackageError> {
        let own = built.argv.len().saturating_sub(source.server_args().len());
        let label = Label {
            key,
            code_sha256: built.code_sha256.clone(),
            unzipped_size: built.unzipped_size,
            launcher: built.argv[..own].to_vec(),
            runtime: built.runtime.clone(),
            versions: built.versions.clone(),
            sizes: built.sizes.clone(),
        };
        super::in_background(self.clone(), move |shelf| {
            match shelf.write(&label, &built.zip) {
                Ok(()) => shelf.make_room(),
                Err(error) => {
                    tracing::debug!(folder = %shelf.folder.display(), %error, "the package is not kept");
                }
            }
            Ok(built)
        })
        .await
    }

    fn write(&self, label: &Label, zip: &[u8]) -> std::io::Result<()> {
        let text = serde_json::to_string(label)?;
        let head = format!("{}\n{text}\n", digest::hex(&Sha256::digest(&text)));
        let name = format!("{}{SUFFIX}", label.key);
        cache::keep(&self.folder, &name, &[head.as_bytes(), zip])
    }

    fn make_room(&self) {
        cache::make_room(&self.folder, SUFFIX, self.limit);
    }
}

/// Reads a kept package: a line with the SHA-256 of the next, a line with the label, which has that of the rest, and the zip.
fn parse(file: &File, key: &str) -> Option<Kept> {
    let mut reader = BufReader::new(file);
    let (mut sha256, mut text) = (Vec::new(), Vec::new());
    for line in [&mut sha256, &mut text] {
        reader.read_until(b'\n', line).ok()?;
        line.pop_if(|last| *last == b'\n')?;
    }
    if sha256 != digest::hex(&Sha256::digest(&text)).as_bytes() {
        return None;
    }
    let label: Label = serde_json::from_slice(&text).ok()?;
    let mut zip = Vec::with_capacity(usize::try_from(file.metadata().ok()?.len()).ok()?);
    reader.read_to_end(&mut zip).ok()?;
    let whole = label.key == key && label.code_sha256 == digest::code_sha256(&zip);
    whole.then_some(Kept { label, zip })
}

fn locked_file(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        cache::make_folder(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

/// Whether nobody else can have written it: who writes the package writes its hashes too.
#[cfg(unix)]
fn is_ours(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    file.metadata()
        .is_ok_and(|found| [user, 0].contains(&found.uid()) && found.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_ours(_: &File) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::cache::{ABANDONED, UNFINISHED};
    use super::*;

    fn label(key: &str, zip: &[u8]) -> Label {
        Label {
            key: key.to_owned(),
            code_sha256: digest::code_sha256(zip),
            unzipped_size: 3,
            launcher: vec!["python3.13".to_owned()],
            runtime: "python3.13".to_owned(),
            versions: BTreeMap::new(),
            sizes: BTreeMap::new(),
        }
    }

    /// A shelf with a package of 1000 bytes for each key, the first used longest ago.
    fn shelf(folder: &Path, limit: u64, keys: &[&str]) -> Shelf {
        let shelf = Shelf {
            folder: folder.to_owned(),
            limit,
        };
        for (age, key) in (0..).zip(keys.iter().rev()) {
            let zip = [0; 1000];
            shelf
                .write(&label(key, &zip), &zip)
                .expect("a kept package");
            let used = SystemTime::now() - Duration::from_secs(60 + age);
            let file = File::open(shelf.path(key)).expect("the file");
            file.set_modified(used).expect("its age");
        }
        shelf
    }

    fn files(shelf: &Shelf) -> Vec<String> {
        let names = fs::read_dir(&shelf.folder).expect("the folder").flatten();
        let mut names: Vec<String> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path(), 3 * 1400, &["a", "b", "c", "d", "e"]);
        assert!(shelf.read("b").is_some());
        shelf.make_room();
        assert_eq!(files(&shelf), ["b.package", "d.package", "e.package"]);
    }

    #[test]
    fn what_killed_processes_left_goes_after_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path(), LIMIT, &["a"]);
        for (name, age) in [("old", ABANDONED * 2), ("new", Duration::ZERO)] {
            let path = folder.path().join(format!("{UNFINISHED}{name}"));
            let file = File::create(path).expect("a file");
            file.set_modified(SystemTime::now() - age).expect("its age");
        }
        shelf.make_room();
        assert_eq!(files(&shelf), [".unfinished-new", "a.package"]);
    }

    #[test]
    fn a_package_under_another_name_or_with_other_bytes_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path(), LIMIT, &["a"]);
        let whole = fs::read(shelf.path("a")).expect("the file");
        fs::copy(shelf.path("a"), shelf.path("b")).expect("a copy");
        assert!(shelf.read("b").is_none());
        let mut damaged = vec![whole[..whole.len() - 1].to_vec(), Vec::new()];
        for at in [0, 70, 200, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            damaged.push(bytes);
        }
        for bytes in damaged {
            fs::write(shelf.path("a"), bytes).expect("to damage it");
            assert!(shelf.read("a").is_none());
            assert_eq!(files(&shelf), Vec::<String>::new());
        }
        fs::write(shelf.path("a"), &whole).expect("to mend it");
        assert!(shelf.read("a").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path(), LIMIT, &["a"]);
        for (mode, used) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false)] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(shelf.path("a"), permissions).expect("a mode");
            assert_eq!(shelf.read("a").is_some(), used, "{mode:o}");
        }
    }
}
