//! log_group
