//! Hermetic tests: nothing here needs a network, a tool beside Rust, or another test.

mod fake_sts;
mod package_bridge;
mod provider_connect;
