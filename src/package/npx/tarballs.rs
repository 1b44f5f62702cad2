//! The tarballs of a lock, many at once, from the user's registries or from the cache folder: what `npm ci` would install, without a question for
//! each package first.
//!
//! Enters: a lock. Leaves: its files, in memory, each from a tarball with the hash that is locked. Only faster, never more: where scripts
//! run, where settings are for `npm` alone, and where anything at all fails, nothing leaves, and `npm ci` does it all and says what is wrong.
//!
//! Kept in `npm-tarballs` of the cache folder by their SHA-512, which is compared whenever one is read; together up to [`LIMIT`] bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::lock::{NpmLock, Pin, Place};
use super::npmrc::NpmSettings;
use super::packages::NpmPackages;
use super::stage::Stage;
use super::tree::path_of;
use super::unpack::unpack;
use crate::package::download::{Downloads, Wanted};
use crate::package::{Tools, cache, digest};

/// Connections at once; `npm` has 15 to each host.
const CONNECTIONS: usize = 24;

/// Bytes of the largest tarball that is worth it.
const LARGEST: usize = 128 * 1024 * 1024;

/// Bytes of all files together that are held in memory: twice what Lambda takes, since not all of them go there.
const ROOM: u64 = 500 * 1024 * 1024;

/// Bytes of all tarballs that are kept.
const LIMIT: u64 = 1024 * 1024 * 1024;

const FOLDER: &str = "npm-tarballs";
const SUFFIX: &str = ".tgz";

/// The files of `lock`; `None` where `npm` has to install them.
pub(crate) async fn fetched(
    tools: &Tools,
    packages: &NpmPackages,
    lock: &NpmLock,
) -> Option<Stage> {
    let downloads = tools.downloads.as_ref()?;
    if !packages.allowed_scripts().is_empty() {
        return None;
    }
    let settings = NpmSettings::of(tools, packages)?;
    let shelf = Shelf {
        folder: tools.cache().map(|cache| cache.join(FOLDER)),
    };
    match fetch(downloads, &settings, &shelf, lock).await {
        Ok(stage) => Some(stage),
        Err(reason) => {
            tracing::info!(reason, "npm has to install the packages");
            None
        }
    }
}

async fn fetch(
    downloads: &Downloads,
    settings: &NpmSettings,
    shelf: &Shelf,
    lock: &NpmLock,
) -> Result<Stage, String> {
    // The same tarball may lie at several places.
    let mut tarballs: BTreeMap<&str, (Wanted, Vec<String>)> = BTreeMap::new();
    for (place, pin) in lock.pins() {
        let (_, places) = tarballs
            .entry(&pin.integrity)
            .or_insert_with(|| (wanted(settings, place, pin), Vec::new()));
        places.push(path_of(place));
    }
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    let room = Arc::new(AtomicU64::new(ROOM));
    // Dropped with those that still run.
    let mut tasks = JoinSet::new();
    for (integrity, (wanted, places)) in tarballs {
        let tarball = Tarball {
            integrity: integrity.to_owned(),
            wanted,
            shelf: shelf.clone(),
        };
        let (downloads, turns, room) = (downloads.clone(), turns.clone(), room.clone());
        tasks.spawn(async move {
            let unpacked = tarball.files(&downloads, &turns, room).await;
            unpacked
                .map(|files| (places.clone(), files))
                .map_err(|reason| format!("{}: {reason}", places.join(", ")))
        });
    }
    let mut stage = Stage::empty(lock);
    while let Some(done) = tasks.join_next().await {
        let (places, files) = done.map_err(|error| error.to_string())??;
        let Some((last, others)) = places.split_last() else {
            continue;
        };
        for place in others {
            stage.add(place, files.clone())?;
        }
        stage.add(last, files)?;
    }
    stage.check(lock).map_err(|error| error.to_string())?;
    let shelf = shelf.clone();
    // Nobody waits for it.
    drop(spawn_blocking(move || shelf.make_room()));
    Ok(stage)
}

/// What is asked of the registry for one package.
fn wanted(settings: &NpmSettings, place: &Place, pin: &Pin) -> Wanted {
    let own = place.last().map_or("", String::as_str);
    let address = settings.tarball(pin.alias_of.as_deref().unwrap_or(own), &pin.version);
    Wanted {
        authorization: settings.authorization(&address),
        certificates: settings.certificates(),
        limit: LARGEST,
        address,
    }
}

/// One tarball, and where it may be.
struct Tarball {
    /// As npm writes it.
    integrity: String,
    wanted: Wanted,
    shelf: Shelf,
}

impl Tarball {
    /// Its files, by their path in the package.
    async fn files(
        self,
        downloads: &Downloads,
        turns: &Semaphore,
        room: Arc<AtomicU64>,
    ) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let (shelf, integrity) = (self.shelf.clone(), self.integrity.clone());
        let kept = spawn_blocking(move || shelf.read(&integrity));
        let kept = kept.await.map_err(|error| error.to_string())?;
        let fresh = match kept {
            Some(_) => None,
            None => {
                // Never closed.
                let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
                Some(downloads.fetch(self.wanted).await?)
            }
        };
        let unpacked = spawn_blocking(move || {
            if let Some(bytes) = &fresh {
                if !has_hash(bytes, &self.integrity) {
                    return Err("it has another hash than the one that is locked".to_owned());
                }
                self.shelf.write(&self.integrity, bytes);
            }
            let bytes = kept.as_deref().or(fresh.as_deref()).unwrap_or_default();
            unpack(bytes, &room)
        });
        unpacked.await.map_err(|error| error.to_string())?
    }
}

fn has_hash(bytes: &[u8], integrity: &str) -> bool {
    let digest = STANDARD.encode(Sha512::digest(bytes));
    integrity.strip_prefix("sha512-") == Some(&digest)
}

/// Where tarballs are kept.
#[derive(Clone)]
struct Shelf {
    folder: Option<PathBuf>,
}

impl Shelf {
    /// A name for the file that any file system takes.
    fn name(integrity: &str) -> Option<String> {
        let digest = STANDARD.decode(integrity.strip_prefix("sha512-")?).ok()?;
        Some(format!("{}{SUFFIX}", digest::hex(&digest)))
    }

    /// The tarball with that hash, if it is kept.
    fn read(&self, integrity: &str) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(Self::name(integrity)?);
        let mut file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        if !has_hash(&bytes, integrity) {
            tracing::warn!(path = %path.display(), "a kept tarball is damaged; it is thrown away");
            let _ = fs::remove_file(&path);
            return None;
        }
        // Last used now. Where it may only be read, it is used all the same.
        let _ = file.set_modified(SystemTime::now());
        Some(bytes)
    }

    fn write(&self, integrity: &str, bytes: &[u8]) {
        let (Some(folder), Some(name)) = (&self.folder, Self::name(integrity)) else {
            return;
        };
        if let Err(error) = cache::keep(folder, &name, &[bytes]) {
            tracing::debug!(folder = %folder.display(), %error, "the tarball is not kept");
        }
    }

    fn make_room(&self) {
        if let Some(folder) = self.folder.as_deref().map(Path::new) {
            cache::make_room(folder, SUFFIX, LIMIT);
        }
    }
}
