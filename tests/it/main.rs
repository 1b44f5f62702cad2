//! Hermetic tests: nothing here needs a network, a tool beside Rust, or another test.

mod package_bridge;
