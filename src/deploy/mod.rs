//! `deploy`: see ARCHITECTURE.md.
