//! Terraform provider that runs an unmodified MCP stdio server as an AWS Lambda function.
//!
//! # Layout
//!
//! Rooms only look downwards: [`provider`] sees all of them, the others see none of their neighbours.

pub mod agentcore;
pub mod deploy;
pub mod package;
pub mod plugin;
pub mod provider;
pub mod version;
