//! `package`: see ARCHITECTURE.md.

mod architecture;
pub mod bridge;

pub use architecture::{Architecture, UnknownArchitecture};
