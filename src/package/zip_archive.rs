//! Files that are compressed already in, the bytes of a zip archive out.
//!
//! Written here so that each byte follows from the files alone, and so that they can be compressed beside each other: the `zip` crate takes
//! compressed bytes from other archives only. It is what reads archives. Entries are as given, in their order; none has a time, an owner or a comment.
//!
//! Source: PKWARE's APPNOTE.TXT 6.3.10: 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end, and zip64's); 4.4.

use std::num::TryFromIntError;

/// One file.
pub(super) struct Entry<'p> {
    /// With `/` between names.
    pub(super) path: &'p str,
    /// Permissions, without the type of file.
    pub(super) mode: u32,
    pub(super) crc32: u32,
    /// Bytes before compression.
    pub(super) size: usize,
    pub(super) data: Data,
}

/// What stands in the archive for a file's bytes.
pub(super) enum Data {
    Stored(Vec<u8>),
    Deflated(Vec<u8>),
}

impl Data {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Stored(bytes) | Self::Deflated(bytes) => bytes,
        }
    }

    /// 4.4.5.
    fn method(&self) -> u16 {
        match self {
            Self::Stored(_) => 0,
            Self::Deflated(_) => 8,
        }
    }
}

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// 4.4.3: deflate.
const NEEDS: u16 = 20;
/// 4.4.3: zip64.
const NEEDS_64: u16 = 45;
/// 4.4.2: attributes are those of Unix.
const UNIX: u16 = 3 << 8;
/// 4.4.4, bit 11: the name is UTF-8.
const UTF_8: u16 = 1 << 11;
/// 4.4.6: the first day that there is, 1980-01-01.
const DATE: u16 = 1 << 5 | 1;
/// `S_IFREG`.
const REGULAR_FILE: u32 = 0o100_000;

/// The archive of `entries`.
///
/// # Errors
///
/// For a name over 65,535 bytes, and for what does not fit into 4 GiB. Lambda takes neither.
pub(super) fn write(entries: &[Entry<'_>]) -> Result<Vec<u8>, TryFromIntError> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = u32::try_from(archive.len())?;
        let shared = shared(entry)?;
        long(&mut archive, LOCAL_HEADER);
        archive.extend(&shared);
        archive.extend(entry.path.as_bytes());
        archive.extend(entry.data.bytes());

        long(&mut directory, CENTRAL_HEADER);
        short(&mut directory, UNIX | NEEDS);
        directory.extend(&shared);
        // Comment, disk, internal attributes: none.
        directory.extend([0; 6]);
        long(&mut directory, (REGULAR_FILE | entry.mode) << 16);
        long(&mut directory, offset);
        directory.extend(entry.path.as_bytes());
    }
    let start = u32::try_from(archive.len())?;
    archive.append(&mut directory);
    end(&mut archive, entries.len(), start)?;
    Ok(archive)
}

/// What both headers of an entry say.
fn shared(entry: &Entry<'_>) -> Result<Vec<u8>, TryFromIntError> {
    let mut header = Vec::with_capacity(26);
    short(&mut header, NEEDS);
    short(&mut header, if entry.path.is_ascii() { 0 } else { UTF_8 });
    short(&mut header, entry.data.method());
    // Midnight.
    short(&mut header, 0);
    short(&mut header, DATE);
    long(&mut header, entry.crc32);
    long(&mut header, u32::try_from(entry.data.bytes().len())?);
    long(&mut header, u32::try_from(entry.size)?);
    short(&mut header, u16::try_from(entry.path.len())?);
    // No extra field.
    short(&mut header, 0);
    Ok(header)
}

/// The end of the central directory, which begins at `start` and is the last in `archive`.
fn end(archive: &mut Vec<u8>, count: usize, start: u32) -> Result<(), TryFromIntError> {
    let at = archive.len();
    let size = u32::try_from(at)? - start;
    let count_16 = u16::try_from(count).ok().filter(|count| *count < u16::MAX);
    if count_16.is_none() {
        long(archive, END_64);
        // Bytes that follow in this record.
        wide(archive, 44);
        short(archive, UNIX | NEEDS_64);
        short(archive, NEEDS_64);
        // Disks: this, and the directory's.
        archive.extend([0; 8]);
        wide(archive, u64::try_from(count)?);
        wide(archive, u64::try_from(count)?);
        wide(archive, size.into());
        wide(archive, start.into());
        long(archive, LOCATOR_64);
        long(archive, 0);
        wide(archive, u64::try_from(at)?);
        // Disks in all.
        long(archive, 1);
    }
    let count_16 = count_16.unwrap_or(u16::MAX);
    long(archive, END);
    archive.extend([0; 4]);
    short(archive, count_16);
    short(archive, count_16);
    long(archive, size);
    long(archive, start);
    // No comment.
    short(archive, 0);
    Ok(())
}

fn short(to: &mut Vec<u8>, value: u16) {
    to.extend(value.to_le_bytes());
}

fn long(to: &mut Vec<u8>, value: u32) {
    to.extend(value.to_le_bytes());
}

fn wide(to: &mut Vec<u8>, value: u64) {
    to.extend(value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    fn stored<'p>(path: &'p str, bytes: &[u8]) -> Entry<'p> {
        Entry {
            path,
            mode: 0o644,
            crc32: libdeflater::crc32(bytes),
            size: bytes.len(),
            data: Data::Stored(bytes.to_vec()),
        }
    }

    #[test]
    fn an_archive_of_one_file_is_these_bytes() {
        let archive = write(&[stored("a/b", b"cd")]).expect("it fits");
        let local: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\xda\x8f\xd6\x45\x02\0\0\0\x02\0\0\0\x03\0\0\0a/bcd";
        let central: &[u8] = b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\x21\0\xda\x8f\xd6\x45\x02\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\xa4\x81\0\0\0\0a/b";
        let end: &[u8] = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x31\0\0\0\x23\0\0\0\0\0";
        assert_eq!(archive, [local, central, end].concat());
    }

    #[test]
    fn names_outside_of_ascii_are_marked_as_utf_8_and_modes_are_kept() {
        let mut entry = stored("b\u{e4}r", b"#!");
        entry.mode = 0o755;
        let archive = write(&[entry]).expect("it fits");
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("a zip");
        let file = archive.by_index(0).expect("a file");
        assert_eq!(file.name().expect("a name"), "b\u{e4}r");
        assert_eq!(file.unix_mode(), Some(0o100_755));
    }

    #[test]
    fn more_files_than_sixteen_bits_count_are_all_there() {
        for count in [65_534, 65_535, 65_536, 70_000] {
            let names: Vec<_> = (0..count).map(|index| format!("{index}")).collect();
            let entries: Vec<_> = names
                .iter()
                .map(|name| stored(name, name.as_bytes()))
                .collect();
            let archive = write(&entries).expect("it fits");
            let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("a zip");
            assert_eq!(archive.len(), count);
            let last = names.last().expect("some");
            let mut text = String::new();
            let mut file = archive.by_name(last).expect("the last is there");
            file.read_to_string(&mut text).expect("its bytes are there");
            assert_eq!(&text, last);
        }
    }
}
