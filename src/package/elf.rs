//! The first bytes of a file in, the processor that it is built for out.
//!
//! Source: System V ABI, "ELF header": `e_machine` is the half word at offset 18, in the byte order that byte 5 names.

use super::Architecture;

/// Bytes of a file that are needed to tell.
pub(crate) const HEADER: usize = 20;

const EM_386: u16 = 3;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// Whether these bytes begin an ELF file.
pub(crate) fn is_elf(header: &[u8]) -> bool {
    header.starts_with(b"\x7fELF")
}

/// The system that an executable which is no ELF file is for; `None` when it is none that is known.
///
/// Source: Microsoft "PE Format" (the DOS stub's `MZ`); Apple "Mach-O" headers in `mach-o/loader.h` and `mach-o/fat.h`.
pub(crate) fn other_system(header: &[u8]) -> Option<&'static str> {
    const MACH_O: [[u8; 4]; 5] = [
        [0xcf, 0xfa, 0xed, 0xfe],
        [0xce, 0xfa, 0xed, 0xfe],
        [0xfe, 0xed, 0xfa, 0xcf],
        [0xfe, 0xed, 0xfa, 0xce],
        [0xca, 0xfe, 0xba, 0xbe],
    ];
    if header.starts_with(b"MZ") {
        return Some("Windows");
    }
    MACH_O
        .iter()
        .any(|magic| header.starts_with(magic))
        .then_some("macOS")
}

/// The processor's name when the file is built for another than `architecture`; `None` when it fits or is no ELF file.
pub(crate) fn foreign(header: &[u8], architecture: Architecture) -> Option<String> {
    let [low, high] = *header.get(18..20)? else {
        return None;
    };
    if !is_elf(header) {
        return None;
    }
    let machine = if header[5] == 2 {
        u16::from_be_bytes([low, high])
    } else {
        u16::from_le_bytes([low, high])
    };
    let wanted = match architecture {
        Architecture::X86_64 => EM_X86_64,
        Architecture::Arm64 => EM_AARCH64,
    };
    (machine != wanted).then(|| match machine {
        EM_386 => "32-bit x86".to_owned(),
        EM_ARM => "32-bit ARM".to_owned(),
        EM_X86_64 => "x86_64".to_owned(),
        EM_AARCH64 => "arm64".to_owned(),
        other => format!("ELF machine {other}"),
    })
}
