//! The folder with unpacked tools: whether one is there, which is then in use; and those removed that were pinned once and that nobody used for long.
//!
//! A use leaves its time in the tool's folder, under a lock that others share; who removes has the lock alone, and only moves things aside
//! while it does. So what was taken is there, whichever process removes at the same time. Files that a person put here stay.
//! Where no lock can be had nothing is removed. Nothing here is an error.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// So long without a use, what is not pinned any more goes. Other releases of the provider may still pin it.
const UNUSED: Duration = DAY.saturating_mul(30);
/// After this time, what is being unpacked or removed was left by a process that was killed.
const ABANDONED: Duration = DAY;

/// How a folder begins that is being filled, and one that is being removed.
pub(super) const UNPACKING: &str = ".unpacking-";
const REMOVING: &str = ".removing-";
/// The file in a tool's folder whose time is that of its last use.
const USED: &str = ".used";
const LOCK: &str = ".lock";
/// What the packages begin with that bring tools, in this release or others.
const PACKAGES: [&str; 3] = ["uv-", "npm-", "node-"];

/// Whether the tool's folder `unpacked` is there. If it is, `now` is its last use.
pub(super) fn take(unpacked: &Path, now: SystemTime) -> bool {
    // Held for long by nobody.
    let lock = unpacked.parent().and_then(lock_file);
    let _shared = lock.filter(|file| file.lock_shared().is_ok());
    if !unpacked.is_dir() {
        return false;
    }
    // Where it may only be read, it is used all the same.
    if let Ok(file) = writable(&unpacked.join(USED)) {
        let _ = file.set_modified(now);
    }
    true
}

/// Removes from `folder` what nobody used for long and is not among `pinned`, by name, and what killed processes left.
pub(super) fn sweep(folder: &Path, pinned: &[String], now: SystemTime) {
    let old = |entry: &DirEntry| is_old(entry, pinned, now);
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let found: Vec<DirEntry> = found.filter(old).collect();
    if found.is_empty() {
        return;
    }
    let Some(lock) = lock_file(folder).filter(|file| file.try_lock().is_ok()) else {
        return;
    };
    let aside = tempfile::Builder::new().prefix(REMOVING).tempdir_in(folder);
    let Ok(aside) = aside else {
        return;
    };
    for entry in found {
        // Somebody may have taken it before the lock was had.
        if old(&entry) && fs::rename(entry.path(), aside.path().join(entry.file_name())).is_ok() {
            tracing::info!(path = %entry.path().display(), "a tool that nobody uses any more is removed");
        }
    }
    drop(lock);
    // Removes what is in it.
    drop(aside);
}

fn is_old(entry: &DirEntry, pinned: &[String], now: SystemTime) -> bool {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        return false;
    };
    // Not that of what a link leads to.
    let Ok(found) = entry.metadata() else {
        return false;
    };
    if !found.is_dir() {
        return false;
    }
    let older_than = |moment: std::io::Result<SystemTime>, age| {
        moment.is_ok_and(|moment| now.duration_since(moment).is_ok_and(|since| since > age))
    };
    if [UNPACKING, REMOVING]
        .iter()
        .any(|start| name.starts_with(start))
    {
        return older_than(found.modified(), ABANDONED);
    }
    let used = fs::metadata(entry.path().join(USED)).and_then(|found| found.modified());
    is_of_a_tool(name)
        && !pinned.iter().any(|pinned| pinned == name)
        && older_than(used.or_else(|_| found.modified()), UNUSED)
}

/// Whether a folder of this name was unpacked here: `<package>-<version>-<beginning of the hash>`.
fn is_of_a_tool(name: &str) -> bool {
    let hashed = name.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() == super::HASH_BEGINNING && hash.chars().all(|c| c.is_ascii_alphanumeric())
    });
    hashed && PACKAGES.iter().any(|package| name.starts_with(package))
}

/// The file that is locked; none where the folder cannot be written to.
fn lock_file(folder: &Path) -> Option<File> {
    writable(&folder.join(LOCK)).ok()
}

fn writable(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these folders in it, not used since `now`.
    fn folder(names: &[&str]) -> (tempfile::TempDir, SystemTime) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        (folder, SystemTime::now())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name != LOCK).collect();
        names.sort();
        names
    }

    #[test]
    fn a_tool_that_was_pinned_once_goes_thirty_days_after_its_last_use() {
        let (old, present) = ("uv-0.13.9-2c4553075151", "uv-0.14.0-a00000000000");
        let (folder, now) = folder(&[old, present]);
        let pinned = [present.to_owned()];
        sweep(folder.path(), &pinned, now + UNUSED - DAY);
        assert_eq!(names(folder.path()), [old, present]);
        assert!(take(&folder.path().join(old), now + UNUSED - DAY));
        sweep(folder.path(), &pinned, now + UNUSED + 28 * DAY);
        assert_eq!(names(folder.path()), [old, present]);
        sweep(folder.path(), &pinned, now + UNUSED + 30 * DAY);
        assert_eq!(names(folder.path()), [present]);
        assert!(!take(&folder.path().join(old), now));
    }

    #[test]
    fn only_what_was_unpacked_here_goes() {
        let others = [
            "node",
            "node-22.23.2",
            "node-22.23.2.tgz",
            "notes-of-mine-123456789012",
        ];
        let (folder, now) = folder(&others);
        let archive = "uv-0.13.9-abcdefghijkl";
        fs::write(folder.path().join(archive), "a file of a person").expect("written");
        sweep(folder.path(), &[], now + 400 * DAY);
        assert_eq!(names(folder.path()), [&others[..], &[archive]].concat());
    }

    #[test]
    fn what_killed_processes_left_goes_after_a_day() {
        let left = [".removing-a", ".unpacking-b"];
        let (folder, now) = folder(&left);
        sweep(folder.path(), &[], now + DAY / 2);
        assert_eq!(names(folder.path()), left);
        sweep(folder.path(), &[], now + DAY * 2);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn while_somebody_takes_a_tool_nothing_is_removed() {
        let old = "npm-11.21.2-7HPApkAflMUa";
        let (folder, now) = folder(&[old]);
        let other = lock_file(folder.path()).expect("a lock");
        other.lock_shared().expect("locked");
        // Others take theirs all the same.
        assert!(take(&folder.path().join(old), now));
        sweep(folder.path(), &[], now + 400 * DAY);
        assert_eq!(names(folder.path()), [old]);
        drop(other);
        sweep(folder.path(), &[], now + 400 * DAY);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}
