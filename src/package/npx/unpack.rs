//! The tarball of an npm package in, its files out, in memory: those that `npm` would have written, by their path in the package.
//!
//! As `npm` has it the first part of each path is taken off, links and folders are passed over, a later file of the same name wins, and a
//! `.gitignore` is called `.npmignore` unless there was one before. Refuses what `npm` and a file system would decide: paths that lead out,
//! that are not UTF-8 or have a `\`, a file that is a folder too, and more bytes than there is room for.
//!
//! Source: the source text of npm's `pacote` (`lib/fetcher.js`) and `tar` (`unpack.js`).

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// Unpacks `tarball`; its bytes are taken from `room`, which several share.
///
/// # Errors
///
/// Why `npm` has to do it.
pub(crate) fn unpack(
    tarball: &[u8],
    room: &AtomicU64,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let broken = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut archive = tar::Archive::new(MultiGzDecoder::new(tarball));
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut ignores = std::collections::BTreeSet::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            continue;
        }
        let path = entry.path_bytes();
        let path = std::str::from_utf8(&path).map_err(|_| "a name is not UTF-8".to_owned())?;
        let Some(mut path) = inner(path)? else {
            continue;
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".npmignore" {
            ignores.insert(folder.to_owned());
        } else if name == ".gitignore" {
            if ignores.contains(folder) {
                continue;
            }
            path = format!("{}.npmignore", &path[..path.len() - ".gitignore".len()]);
        }
        let size = entry.size();
        let taken = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(size)
        });
        taken.map_err(|_| "it is too large to be unpacked in memory".to_owned())?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 != size {
            return Err("it ends in the middle of a file".to_owned());
        }
        files.insert(path, bytes);
    }
    // What follows the last entry is read too: whether the whole is sound is said at its very end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(broken)?;
    for path in files.keys() {
        let mut end = path.len();
        while let Some(slash) = path[..end].rfind('/') {
            if files.contains_key(&path[..slash]) {
                return Err(format!("`{}` is a file and a folder", &path[..slash]));
            }
            end = slash;
        }
    }
    Ok(files)
}

/// `a/b` of `package/./a//b`; `None` for what has no name then, and for folders.
fn inner(path: &str) -> Result<Option<String>, String> {
    let refused = || Err(format!("it holds `{path}`"));
    if path.ends_with('/') {
        return Ok(None);
    }
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return refused();
    }
    let mut parts = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "" | "." => {}
            ".." => return refused(),
            part => parts.push(part),
        }
    }
    if path.split('/').next() == Some("..") {
        return refused();
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ROOM: u64 = 1 << 20;

    /// A tarball with these entries, in this order.
    fn tarball(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // `set_path` would refuse some of them.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes()).expect("an entry");
        }
        zipped(&tar.into_inner().expect("an archive"))
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).expect("writing to memory");
        gzip.finish().expect("a finished stream")
    }

    fn unpacked(entries: &[(&str, EntryType, &str)]) -> Result<Vec<(String, String)>, String> {
        let files = unpack(&tarball(entries), &AtomicU64::new(ROOM))?;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ok(files
            .into_iter()
            .map(|(path, bytes)| (path, text(bytes)))
            .collect())
    }

    #[test]
    fn files_are_those_that_npm_would_write() {
        let file = EntryType::Regular;
        let found = unpacked(&[
            ("package/package.json", file, "{}"),
            ("package/a", EntryType::Directory, ""),
            ("package/a/", file, ""),
            ("package/a/b.js", file, "first"),
            ("other/a//./b.js", file, "last"),
            ("package/c.js", EntryType::Continuous, "c"),
            ("package/link", EntryType::Symlink, ""),
            ("package/hard", EntryType::Link, ""),
            ("lonely", file, "dropped"),
            ("package/.gitignore", file, "becomes"),
            ("package/a/.npmignore", file, "stays"),
            ("package/a/.gitignore", file, "dropped"),
            ("package/d/.gitignore", file, "dropped"),
            ("package/d/.npmignore", file, "wins"),
        ]);
        let expected = [
            (".npmignore", "becomes"),
            ("a/.npmignore", "stays"),
            ("a/b.js", "last"),
            ("c.js", "c"),
            ("d/.npmignore", "wins"),
            ("package.json", "{}"),
        ];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(found, Ok(expected.to_vec()));
    }

    #[test]
    fn what_npm_has_to_decide_is_refused() {
        let file = EntryType::Regular;
        for path in [
            "package/../x",
            "../package/x",
            "/package/x",
            "package/a\\..\\x",
        ] {
            let found = unpacked(&[(path, file, "")]);
            assert_eq!(found, Err(format!("it holds `{path}`")));
        }
        let found = unpacked(&[("p/a", file, ""), ("p/a/b/c", file, "")]);
        assert_eq!(found, Err("`a` is a file and a folder".to_owned()));
    }

    #[test]
    fn a_broken_or_enormous_tarball_is_refused() {
        let whole = tarball(&[("package/a", EntryType::Regular, "12345")]);
        let room = AtomicU64::new(9);
        assert!(unpack(&whole, &room).is_ok());
        assert_eq!(
            unpack(&whole, &room),
            Err("it is too large to be unpacked in memory".to_owned())
        );
        let mut plain = Vec::new();
        let read = MultiGzDecoder::new(whole.as_slice()).read_to_end(&mut plain);
        read.expect("it was written here");
        for broken in [
            &whole[..whole.len() - 9],
            &zipped(&plain[..515]),
            b"no gzip",
        ] {
            assert!(unpack(broken, &AtomicU64::new(ROOM)).is_err());
        }
    }
}
