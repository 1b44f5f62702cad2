//! `plugin`: see ARCHITECTURE.md.
