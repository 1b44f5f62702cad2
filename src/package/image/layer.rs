//! The bridge in, the one layer that is added to an image out. Deterministic: no time, no user, one order.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// Where the bridge lies in an image. A directory of its own: nothing that an image brings is covered.
pub const BRIDGE: &str = "/mcplambda/bridge";

/// A gzipped tar and its two digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub gzip: Vec<u8>,
    /// `sha256:…` of `gzip`.
    pub digest: String,
    /// `sha256:…` of the tar.
    pub diff_id: String,
}

/// The layer that holds `bridge` at [`BRIDGE`].
///
/// # Errors
///
/// Those of writing to memory, which does not fail.
pub fn with_bridge(bridge: &[u8]) -> std::io::Result<Layer> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut directory = header(tar::EntryType::Directory, 0);
    archive.append_data(&mut directory, "mcplambda/", std::io::empty())?;
    let mut file = header(tar::EntryType::Regular, bridge.len() as u64);
    archive.append_data(&mut file, &BRIDGE[1..], bridge)?;
    let tar = archive.into_inner()?;
    // Neither a time nor the system is said in the header of the gzip file.
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::default());
    encoder.write_all(&tar)?;
    let gzip = encoder.finish()?;
    Ok(Layer {
        digest: digest(&gzip),
        diff_id: digest(&tar),
        gzip,
    })
}

/// Root's, readable and executable for everyone, at the beginning of time.
fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// As registries name content: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text
}
