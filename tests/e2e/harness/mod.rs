//! What the tests stand on: the real terraform, local-aws, a package index of their own, and AWS clients to look with.
//!
//! Nothing here is a stand-in for the project's code. Each test has its own of everything, so tests run side by side.

pub(crate) mod aws;
pub(crate) mod http;
pub(crate) mod index;
pub(crate) mod local_aws;
pub(crate) mod mcp_server;
pub(crate) mod prerequisites;
pub(crate) mod process;
pub(crate) mod public_image;
pub(crate) mod public_servers;
pub(crate) mod workspace;
