//! Hermetic tests: nothing here needs a network or another test. Those of packaging need `uv` and `python3`.

mod agentcore_discover;
mod agentcore_tool_schema;
mod deploy_create;
mod deploy_destroy;
mod deploy_policy;
mod deploy_read;
mod deploy_replay;
mod deploy_retry;
mod deploy_update;
mod docs_fresh;
mod docs_pages;
mod fake_sts;
mod handshake_debug;
mod handshake_end;
mod handshake_socket;
mod handshake_start;
mod handshake_tls;
mod layering;
mod package_bridge;
mod package_build;
mod package_lock;
mod package_resolve;
mod package_source;
mod package_support;
mod provider_connect;
mod tfclient;
