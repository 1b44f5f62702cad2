//! Amazon Bedrock AgentCore's side of a server: asks the deployed function for its tools ([`discover`]), says them in the
//! few keywords that a gateway target allows ([`tool_schema`]), and writes the configuration that a gateway is given.
//!
//! Enters: a Lambda client and a function's name. Leaves: plain values. Refuses: to know how the function was built.

pub mod discover;
mod gateway;
mod report_line;
pub mod tool_schema;

pub use gateway::gateway_config_json;
