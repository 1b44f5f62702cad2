//! Bytes in, their SHA-256 out, written as AWS writes it.

use base64::Engine;
use sha2::{Digest, Sha256};

/// 64 lower-case hexadecimal digits.
pub(crate) fn hex(sha256: &[u8]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As Lambda reports `CodeSha256`: base64 of the 32 bytes.
pub(crate) fn code_sha256(zip: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(zip))
}
