//! The bridges that the build embedded: right bytes, right machine, named truly by `--version`.

use std::process::Command;

use mcplambda::package::{Architecture, bridge};
use sha2::{Digest, Sha256};

/// The `e_machine` of an ELF file, by the ELF specification: EM_X86_64 and EM_AARCH64.
fn elf_machine(architecture: Architecture) -> u16 {
    match architecture {
        Architecture::X86_64 => 62,
        Architecture::Arm64 => 183,
    }
}

/// The types of an ELF file's program headers (64-bit, little-endian).
fn segment_types(elf: &[u8]) -> Vec<u32> {
    let short = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let table = u64::from_le_bytes(elf[32..40].try_into().expect("8 bytes")) as usize;
    let (entry_size, entries) = (short(54), short(56));
    (0..entries)
        .map(|index| table + index * entry_size)
        .map(|at| u32::from_le_bytes(elf[at..at + 4].try_into().expect("4 bytes")))
        .collect()
}

#[test]
fn an_embedded_bridge_needs_no_dynamic_linker() {
    const PT_LOAD: u32 = 1;
    const PT_INTERP: u32 = 3;
    for binary in Architecture::ALL.into_iter().filter_map(bridge::binary) {
        let segments = segment_types(binary);
        assert!(segments.contains(&PT_LOAD), "{segments:?}");
        assert!(!segments.contains(&PT_INTERP), "{segments:?}");
    }
}

#[test]
fn an_embedded_bridge_is_an_elf_file_of_its_architecture_and_has_the_hash_that_is_told() {
    for architecture in Architecture::ALL {
        let Some(binary) = bridge::binary(architecture) else {
            assert_eq!(bridge::sha256(architecture), None);
            continue;
        };
        let digest: String = Sha256::digest(binary)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(bridge::sha256(architecture), Some(digest.as_str()));
        assert_eq!(binary[..4], *b"\x7fELF");
        assert_eq!(
            u16::from_le_bytes([binary[18], binary[19]]),
            elf_machine(architecture)
        );
    }
}

#[test]
fn the_version_text_names_version_commit_and_every_bridge() {
    let bridge_line = |architecture| match bridge::sha256(architecture) {
        Some(sha256) => format!("bridge {architecture} sha256:{sha256}"),
        None => format!("bridge {architecture} not embedded (`make build` embeds it)"),
    };
    let text = mcplambda::version::describe();
    let lines: Vec<&str> = text.lines().collect();
    let [program, commit, x86_64, arm64] = lines[..] else {
        panic!("four lines, not {lines:?}");
    };
    assert_eq!(
        program,
        format!("terraform-provider-mcplambda {}", env!("CARGO_PKG_VERSION"))
    );
    let digits = commit.strip_prefix("commit ").expect("starts with commit");
    assert!(
        digits == "unknown"
            || digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{digits}"
    );
    let asked = Command::new(env!("CARGO_BIN_EXE_terraform-provider-mcplambda"))
        .arg("--version")
        .output()
        .expect("the provider starts");
    assert!(asked.status.success());
    assert_eq!(String::from_utf8(asked.stdout), Ok(text.clone()));
    assert_eq!(x86_64, bridge_line(Architecture::X86_64));
    assert_eq!(arm64, bridge_line(Architecture::Arm64));
}

#[test]
fn an_architecture_is_parsed_by_lambdas_name_and_nothing_else() {
    assert_eq!("x86_64".parse(), Ok(Architecture::X86_64));
    assert_eq!("arm64".parse(), Ok(Architecture::Arm64));
    for wrong in ["aarch64", "amd64", "X86_64", ""] {
        let error = wrong.parse::<Architecture>().expect_err(wrong);
        assert_eq!(
            error.to_string(),
            format!("unknown architecture `{wrong}`: use `x86_64` or `arm64`")
        );
    }
}
