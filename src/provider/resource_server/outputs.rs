//! The computed attributes: open while nothing is decided, kept where nothing changes, filled from what was deployed and seen.

use std::collections::BTreeMap;

use crate::agentcore::discover::Discovery;
use crate::agentcore::{gateway_config_json, tool_schema};
use crate::deploy::Deployed;
use crate::package::Lock;
use crate::plugin::Attr;

use super::model::{Server, Tool, Verification};
use super::spec::text;

/// Applies a macro to every attribute that only this resource computes, `id`, `tags_all`, `lock` and what [`installed`] sets
/// apart: those follow from other attributes.
macro_rules! outputs {
    ($apply:ident, $($arguments:expr),+) => {
        $apply!($($arguments),+; arn qualified_arn invoke_arn version log_group_name url dead_letter_queue_arn code_sha256 package_type
            package_size tools tool_schema_json tool_schema_notes gateway_config_json verification)
    };
}

macro_rules! set_each {
    ($server:expr, $value:expr; $($field:ident)+) => { $( $server.$field = $value; )+ };
}

macro_rules! copy_each {
    ($server:expr, $from:expr; $($field:ident)+) => { $( $server.$field = $from.$field.clone(); )+ };
}

/// Every output is decided by apply.
pub(super) fn open(server: &mut Server) {
    outputs!(set_each, server, Attr::Unknown);
}

/// Every output stays as it is in the state.
pub(super) fn keep(server: &mut Server, prior: &Server) {
    outputs!(copy_each, server, prior);
}

/// The tools are seen again by apply.
pub(super) fn open_tools(server: &mut Server) {
    set_each!(server, Attr::Unknown; tools tool_schema_json tool_schema_notes verification);
}

/// Nobody asked the server for its tools.
pub(super) fn no_tools(server: &mut Server) {
    set_each!(server, Attr::Null; tools tool_schema_json tool_schema_notes verification);
}

/// The tools as they were seen before.
pub(super) fn keep_tools(server: &mut Server, prior: &Server) {
    copy_each!(server, prior; tools tool_schema_json tool_schema_notes verification);
}

/// What is installed, as the lock says it: nothing where there is none.
pub(super) fn installed(server: &mut Server, lock: &Attr<Lock>) {
    (server.resolved_packages, server.sbom_json) = match lock {
        Attr::Known(lock) => (Attr::Known(lock.versions()), Attr::Known(lock.sbom())),
        Attr::Null => (Attr::Known(BTreeMap::new()), Attr::Null),
        Attr::Unknown => (Attr::Unknown, Attr::Unknown),
    };
}

/// What is deployed.
pub(super) fn deployed(server: &mut Server, deployed: &Deployed) {
    server.id = server.function_name.clone();
    server.arn = Attr::from(deployed.arn.as_str());
    server.qualified_arn = Attr::from(deployed.qualified_arn.as_str());
    server.invoke_arn = Attr::from(deployed.invoke_arn.as_str());
    server.version = Attr::from(deployed.version.clone());
    server.role_arn = Attr::from(deployed.role_arn.as_str());
    server.log_group_name = Attr::from(deployed.log_group_name.as_str());
    server.url = Attr::from(deployed.url.clone());
    server.dead_letter_queue_arn = Attr::from(deployed.dead_letter_queue_arn.clone());
    server.code_sha256 = Attr::from(deployed.code_sha256.clone());
    server.package_size = Attr::from(deployed.code_size);
    gateway_config(server);
}

/// What the gateway's target configuration of the old library looks like.
pub(super) fn gateway_config(server: &mut Server) {
    server.gateway_config_json = match server.qualified_arn.as_str() {
        Some(arn) => {
            let description = server
                .description
                .as_str()
                .map_or_else(|| text(&server.name), str::to_owned);
            Attr::Known(gateway_config_json(arn, Some(&description)))
        }
        None => Attr::Null,
    };
}

/// What the server answered.
pub(super) fn discovered(server: &mut Server, discovery: &Discovery) {
    let lowered = tool_schema::lower(&discovery.tools);
    let tool = |tool: &tool_schema::Tool| Tool {
        name: Attr::from(tool.name.as_str()),
        description: Attr::from(tool.description.clone()),
        input_schema_json: Attr::Known(tool.input_schema.to_string()),
        output_schema_json: Attr::from(tool.output_schema.as_ref().map(ToString::to_string)),
    };
    server.tools = Attr::Known(discovery.tools.iter().map(tool).collect());
    server.tool_schema_json = Attr::Known(lowered.json.to_string());
    server.tool_schema_notes = Attr::Known(lowered.notes);
    server.verification = Attr::Known(Verification {
        server_name: Attr::from(discovery.server_name.clone()),
        server_version: Attr::from(discovery.server_version.clone()),
        protocol_version: Attr::from(discovery.protocol_version.clone()),
        cold_start_ms: Attr::from(discovery.cold_start_ms),
        init_ms: Attr::from(discovery.init_ms),
        memory_used_mb: Attr::from(discovery.memory_mb.and_then(|mb| i64::try_from(mb).ok())),
    });
}
