//! Files in, entries of an archive out: read and compressed on all of the machine's processors, the same bytes whichever of them is first.
//!
//! Refuses what cannot be read.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use libdeflater::{CompressionLvl, Compressor};

use super::stage::Content;
use super::zip_archive::{Data, Entry};
use super::{PackageError, elf};

/// Of libdeflate's levels, 1 to 12. One higher takes half as long again for three parts in a thousand; 12 takes ten times as long for three
/// in a hundred.
const LEVEL: i32 = 7;

/// An entry for each of `files`, in their order. Modes follow from the content, since the file system's differ by umask and by operating system.
///
/// # Errors
///
/// Those of reading; of several the first by path.
pub(super) fn entries(files: &BTreeMap<String, Content>) -> Result<Vec<Entry<'_>>, PackageError> {
    let files: Vec<_> = files.iter().collect();
    // The largest first, or else the last that is begun may be one that the others wait for.
    let mut order: Vec<_> = (0..files.len()).collect();
    order.sort_by_cached_key(|index| std::cmp::Reverse(files[*index].1.size().unwrap_or(0)));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(files.len()));
    let work = || {
        let mut compressor = compressor();
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (path, content) = files[*index];
            let entry = entry(&mut compressor, path, content);
            done.lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((*index, entry));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(files.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, entry)| entry).collect()
}

fn compressor() -> Compressor {
    let level = CompressionLvl::new(LEVEL).unwrap_or_default();
    Compressor::new(level)
}

fn entry<'p>(
    compressor: &mut Compressor,
    path: &'p str,
    content: &Content,
) -> Result<Entry<'p>, PackageError> {
    let bytes = content.read()?;
    let mode = if elf::is_elf(&bytes) || bytes.starts_with(b"#!") {
        0o755
    } else {
        0o644
    };
    Ok(Entry {
        path,
        mode,
        crc32: libdeflater::crc32(&bytes),
        size: bytes.len(),
        data: compressed(compressor, bytes),
    })
}

/// As it is where that is no longer.
fn compressed(compressor: &mut Compressor, bytes: Vec<u8>) -> Data {
    let mut deflated = vec![0; bytes.len()];
    match compressor.deflate_compress(&bytes, &mut deflated) {
        Ok(length) => {
            deflated.truncate(length);
            deflated.shrink_to_fit();
            Data::Deflated(deflated)
        }
        Err(libdeflater::CompressionError::InsufficientSpace) => Data::Stored(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_their_paths_with_the_mode_that_their_bytes_ask_for() {
        let text = "x".repeat(1000);
        let files = [
            ("b", "#!/bin/sh\n"),
            ("a", text.as_str()),
            ("c", "\u{7f}ELF"),
            ("d", ""),
        ];
        let files: BTreeMap<_, _> = files
            .map(|(path, text)| (path.to_owned(), Content::Bytes(text.into())))
            .into();
        let entries = entries(&files).expect("nothing is read");
        let found: Vec<_> = entries
            .iter()
            .map(|entry| {
                let deflated = matches!(entry.data, Data::Deflated(_));
                (entry.path, entry.mode, entry.size, deflated)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a", 0o644, 1000, true),
                ("b", 0o755, 10, false),
                ("c", 0o755, 4, false),
                ("d", 0o644, 0, false),
            ]
        );
    }

    #[test]
    fn of_files_that_cannot_be_read_the_first_by_path_is_told() {
        let missing = |name: &str| (name.to_owned(), Content::File(format!("/no/{name}").into()));
        let files: BTreeMap<_, _> = [missing("b"), missing("a"), missing("c")].into();
        let Err(error) = entries(&files) else {
            panic!("there are no such files");
        };
        let text = error.to_string();
        assert!(text.contains("/no/a"), "{text}");
    }
}
