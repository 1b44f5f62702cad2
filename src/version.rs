//! Enters: what the build recorded. Leaves: the text of `--version`. Refuses nothing.

use std::fmt::Write as _;

use crate::package::{Architecture, bridge};

/// This provider's version, as in Cargo.toml.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, 12 digits; empty when it was built outside its git repository.
pub const COMMIT: &str = env!("MCPLAMBDA_COMMIT");

/// What `--version` prints, several lines, each ended: program and version, commit, and each bridge's SHA-256.
pub fn describe() -> String {
    let commit = if COMMIT.is_empty() { "unknown" } else { COMMIT };
    let mut text = format!("terraform-provider-mcplambda {VERSION}\ncommit {commit}\n");
    for architecture in Architecture::ALL {
        let bridge = bridge::sha256(architecture).map_or_else(
            || "not embedded (`make build` embeds it)".to_owned(),
            |sha256| format!("sha256:{sha256}"),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "bridge {architecture} {bridge}");
    }
    text
}
