//! `package`: see ARCHITECTURE.md.
