//! Runs an unmodified MCP stdio server inside AWS Lambda and answers every event with it.

pub mod launch;
