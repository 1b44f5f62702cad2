//! Values as MessagePack: how core and provider talk.
//!
//! Enters: bytes from core, and the type that the schema gives them. Leaves: a value of exactly that type, and from it the
//! bytes again. Never panics, whatever the bytes.
//!
//! Source: go-cty, package `msgpack`. Unknown is an extension: code 0 without content, or code 12 with refinements.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

use super::path::Path;

/// How deep values may be nested. Schemas are a handful of levels deep; only dynamic values can go further.
pub const MAX_DEPTH: usize = 128;

/// Extension code of an unknown value about which something is known.
const REFINED_UNKNOWN: i8 = 12;

/// Bytes and type do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", if path.is_root() { String::new() } else { format!("{path}: ") })]
pub struct CodecError {
    /// Where in the value.
    pub path: Path,
    /// What is wrong.
    pub reason: String,
}

impl CodecError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn too_deep(path: &Path) -> Self {
        Self::new(path, format!("nested deeper than {MAX_DEPTH} levels"))
    }
}
