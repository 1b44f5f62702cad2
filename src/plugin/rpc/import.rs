//! States that begin elsewhere: imported from the remote object, or moved from another resource type.

use super::super::apply::settle;
use super::super::diagnostics::{Diagnostic, Diagnostics};
use super::super::private::{Identity, Private};
use super::super::provider::Provider;
use super::super::resource::{ImportId, MoveSource};
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::wire;
use super::resource::context;

pub(super) async fn import_resource_state<P: Provider>(
    server: &Server<P>,
    request: proto::import_resource_state::Request,
) -> Result<proto::import_resource_state::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let identity_type = entry.identity_type.as_ref();
    let identity = wire::identity(request.identity.as_ref(), identity_type)?;
    let id = if request.id.is_empty() && identity.value().is_some() {
        ImportId::Identity(identity.clone())
    } else {
        ImportId::Id(request.id)
    };
    let mut context = context(server, Private::default(), identity);
    let state = entry.resource.import(&mut context, id).await;
    let state = match state {
        Ok(state) => settle(entry, &[], state, &mut context.diagnostics),
        Err(errors) => {
            context.diagnostics.append(errors);
            return Err(context.diagnostics);
        }
    };
    let imported = proto::import_resource_state::ImportedResource {
        type_name: request.type_name,
        state: Some(wire::dynamic_value(
            &state,
            &entry.value_type,
            "imported state",
        )?),
        private: context.private.to_bytes().into(),
        identity: wire::identity_data(&context.identity, identity_type)?,
    };
    Ok(proto::import_resource_state::Response {
        imported_resources: vec![imported],
        diagnostics: wire::diagnostics(&context.diagnostics),
        deferred: None,
    })
}

pub(super) async fn move_resource_state<P: Provider>(
    server: &Server<P>,
    request: proto::move_resource_state::Request,
) -> Result<proto::move_resource_state::Response, Diagnostics> {
    let entry = server.resource(&request.target_type_name)?;
    let source = MoveSource {
        provider_address: request.source_provider_address,
        type_name: request.source_type_name,
        schema_version: request.source_schema_version,
        state: wire::raw_state(request.source_state)?,
        private: request.source_private.to_vec(),
    };
    let mut context = context(server, Private::default(), Identity::default());
    let state = if entry.resource.supports_move() {
        entry.resource.move_state(&mut context, &source).await
    } else {
        Ok(None)
    };
    let state = match state {
        Ok(Some(state)) => settle(entry, &[], state, &mut context.diagnostics),
        Ok(None) => {
            let detail = format!(
                "A {} cannot be made from a {} of {}. Remove the moved block; import the object instead.",
                request.target_type_name, source.type_name, source.provider_address
            );
            context
                .diagnostics
                .push(Diagnostic::error("Move not supported", detail));
            return Err(context.diagnostics);
        }
        Err(errors) => {
            context.diagnostics.append(errors);
            return Err(context.diagnostics);
        }
    };
    Ok(proto::move_resource_state::Response {
        target_state: Some(wire::dynamic_value(
            &state,
            &entry.value_type,
            "moved state",
        )?),
        target_private: context.private.to_bytes().into(),
        target_identity: wire::identity_data(&context.identity, entry.identity_type.as_ref())?,
        diagnostics: wire::diagnostics(&context.diagnostics),
    })
}
