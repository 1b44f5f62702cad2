//! What users write: the provider's configuration, its resources and data sources.
//!
//! The only room that sees all the others. Only `report` turns errors into diagnostics.

pub mod clients;
pub mod config;
pub mod config_error;
pub mod credentials;
pub mod http_client;
