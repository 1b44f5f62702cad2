//! Debug mode: the provider is started by a person, perhaps in a debugger, and Terraform attaches.
//!
//! Enters: where the provider listens. Leaves: the line for Terraform's environment. The connection
//! is plain text, since no host gave a certificate; the socket's directory is private all the same.

use serde_json::json;

use super::handshake::{Network, PROTOCOL_VERSION};

/// The variable that makes Terraform attach instead of starting the provider.
pub const REATTACH: &str = "TF_REATTACH_PROVIDERS";

/// Where a provider in debug mode listens.
#[must_use]
pub fn network() -> Network {
    Network::Unix {
        directory: None,
        group: None,
    }
}

/// The assignment, ready for a shell: `TF_REATTACH_PROVIDERS='{…}'`.
///
/// `provider_address` is the provider's source address (`namespace/type`, with or without a host),
/// `network` and `address` as in the handshake line.
#[must_use]
pub fn reattach_line(provider_address: &str, pid: u32, network: &str, address: &str) -> String {
    let providers = json!({
        provider_address: {
            "Protocol": "grpc",
            // Terraform takes a missing version for 5.
            "ProtocolVersion": PROTOCOL_VERSION,
            "Pid": pid,
            // The host neither kills nor shuts down what is marked as a test.
            "Test": true,
            "Addr": { "Network": network, "String": address },
        }
    });
    // A shell ends the quotation at a quote; a temporary directory may have one in its name.
    let quoted = providers.to_string().replace('\'', r"'\''");
    format!("{REATTACH}='{quoted}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_a_shell_needs_whatever_the_path() {
        assert_eq!(
            reattach_line("acme/cloud", 42, "unix", "/tmp/it's/plugin.sock"),
            concat!(
                r#"TF_REATTACH_PROVIDERS='{"acme/cloud":{"Protocol":"grpc","ProtocolVersion":6,"#,
                r#""Pid":42,"Test":true,"Addr":{"Network":"unix","#,
                r#""String":"/tmp/it'\''s/plugin.sock"}}}'"#
            )
        );
    }
}
