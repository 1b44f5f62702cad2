//! `provider`: see ARCHITECTURE.md.
