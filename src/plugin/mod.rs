//! `plugin`: see ARCHITECTURE.md.

pub mod debug;
pub mod handshake;
pub mod lifetime;
pub mod listen;
pub mod log;
pub mod serve;
pub mod services;
pub mod tfplugin6;
pub mod tls;

pub use serve::{ServeOptions, serve};
