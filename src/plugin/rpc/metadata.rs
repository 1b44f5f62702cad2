//! What the provider offers.

use super::super::provider::Provider;
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::wire;

fn capabilities<P: Provider>(server: &Server<P>) -> proto::ServerCapabilities {
    proto::ServerCapabilities {
        plan_destroy: true,
        // Nothing here waits for GetProviderSchema: core may call it once for many processes.
        get_provider_schema_optional: true,
        move_resource_state: server
            .resources
            .values()
            .any(|entry| entry.resource.supports_move()),
        generate_resource_config: false,
    }
}

pub(super) fn get_metadata<P: Provider>(server: &Server<P>) -> proto::get_metadata::Response {
    use proto::get_metadata::{DataSourceMetadata, FunctionMetadata, ResourceMetadata};
    proto::get_metadata::Response {
        server_capabilities: Some(capabilities(server)),
        resources: server
            .resources
            .keys()
            .cloned()
            .map(|type_name| ResourceMetadata { type_name })
            .collect(),
        data_sources: server
            .data_sources
            .keys()
            .cloned()
            .map(|type_name| DataSourceMetadata { type_name })
            .collect(),
        functions: server
            .functions
            .keys()
            .cloned()
            .map(|name| FunctionMetadata { name })
            .collect(),
        ..Default::default()
    }
}

pub(super) fn get_provider_schema<P: Provider>(
    server: &Server<P>,
) -> proto::get_provider_schema::Response {
    proto::get_provider_schema::Response {
        provider: Some(wire::provider_schema(server.provider_schema())),
        resource_schemas: server
            .resource_schemas()
            .map(|(name, schema, _)| (name.to_owned(), wire::schema(schema)))
            .collect(),
        data_source_schemas: server
            .data_source_schemas()
            .map(|(name, schema)| (name.to_owned(), wire::schema(schema)))
            .collect(),
        functions: get_functions(server).functions,
        server_capabilities: Some(capabilities(server)),
        ..Default::default()
    }
}

pub(super) fn get_functions<P: Provider>(server: &Server<P>) -> proto::get_functions::Response {
    let functions = server
        .function_signatures()
        .map(|(name, signature)| (name.to_owned(), wire::function(signature)));
    proto::get_functions::Response {
        functions: functions.collect(),
        diagnostics: Vec::new(),
    }
}

pub(super) fn get_resource_identity_schemas<P: Provider>(
    server: &Server<P>,
) -> proto::get_resource_identity_schemas::Response {
    let identity_schemas = server.resource_schemas().filter_map(|(name, _, identity)| {
        identity.map(|identity| (name.to_owned(), wire::identity_schema(identity)))
    });
    proto::get_resource_identity_schemas::Response {
        identity_schemas: identity_schemas.collect(),
        diagnostics: Vec::new(),
    }
}
