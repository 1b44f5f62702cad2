//! Hermetic tests: nothing here needs a network, a tool beside Rust, or another test.

mod agentcore_discover;
mod agentcore_tool_schema;
mod deploy_create;
mod deploy_destroy;
mod deploy_policy;
mod deploy_read;
mod deploy_replay;
mod deploy_retry;
mod deploy_update;
mod fake_sts;
mod handshake_debug;
mod handshake_end;
mod handshake_socket;
mod handshake_start;
mod handshake_tls;
mod package_bridge;
mod provider_connect;
mod tfclient;
