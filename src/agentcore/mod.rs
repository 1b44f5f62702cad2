//! `agentcore`: see ARCHITECTURE.md.
