//! Enters: nothing at run time; the bridges that the build embedded. Leaves: their bytes and SHA-256, per architecture.
//! Refuses: an architecture whose bridge was not there when the provider was built, by answering `None`.

use super::Architecture;

struct Embedded {
    binary: &'static [u8],
    sha256: &'static str,
}

// `const X86_64: Option<Embedded>` and `const ARM64: Option<Embedded>`, written by build.rs.
include!(concat!(env!("OUT_DIR"), "/bridges.rs"));

/// The static bridge executable for `architecture`; `None` when this provider was built without it (`make bridge` builds it).
pub fn binary(architecture: Architecture) -> Option<&'static [u8]> {
    embedded(architecture).map(|bridge| bridge.binary)
}

/// SHA-256 of [`binary`], 64 lower-case hexadecimal digits.
pub fn sha256(architecture: Architecture) -> Option<&'static str> {
    embedded(architecture).map(|bridge| bridge.sha256)
}

fn embedded(architecture: Architecture) -> Option<Embedded> {
    match architecture {
        Architecture::X86_64 => X86_64,
        Architecture::Arm64 => ARM64,
    }
}
