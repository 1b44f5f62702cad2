//! `plugin`: see ARCHITECTURE.md.

pub mod tfplugin6;
