//! Hermetic tests: nothing here needs a network, a tool beside Rust, or another test.

mod fake_sts;
mod handshake_debug;
mod handshake_end;
mod handshake_socket;
mod handshake_start;
mod handshake_tls;
mod package_bridge;
mod provider_connect;
mod tfclient;
