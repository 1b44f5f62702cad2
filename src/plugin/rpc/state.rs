//! A managed resource's stored state: refreshed, and brought to the current schema.

use super::super::apply::{deadline, settle};
use super::super::conform;
use super::super::diagnostics::{Diagnostic, Diagnostics};
use super::super::path::Path;
use super::super::plan::null_write_only;
use super::super::private::Identity;
use super::super::provider::Provider;
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::value::Value;
use super::super::wire;
use super::resource::context;

pub(super) async fn read_resource<P: Provider>(
    server: &Server<P>,
    request: proto::read_resource::Request,
) -> Result<proto::read_resource::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let identity_type = entry.identity_type.as_ref();
    let current = wire::value(request.current_state.as_ref(), &entry.value_type, "state")?;
    let private = wire::private(&request.private)?;
    let identity = wire::identity(request.current_identity.as_ref(), identity_type)?;
    let mut context = context(server, private, identity);
    context.deadline = deadline(entry, &current, "read");

    let state = if current.is_null() {
        current
    } else if context.data.is_none() {
        context.diagnostics.warning(
            "State not refreshed",
            "The provider's configuration depends on values that are known only after apply, so the remote object could \
             not be read. The plan goes by the stored state.",
        );
        current
    } else {
        match entry.resource.read(&mut context, &current).await {
            Ok(None) => Value::Null,
            Ok(Some(state)) => settle(entry, &[&current], state, &mut context.diagnostics),
            Err(errors) => {
                context.diagnostics.append(errors);
                current
            }
        }
    };
    Ok(proto::read_resource::Response {
        new_state: Some(wire::dynamic_value(&state, &entry.value_type, "state")?),
        private: context.private.to_bytes().into(),
        new_identity: wire::identity_data(&context.identity, identity_type)?,
        diagnostics: wire::diagnostics(&context.diagnostics),
        deferred: None,
    })
}

pub(super) async fn upgrade_resource_state<P: Provider>(
    server: &Server<P>,
    request: proto::upgrade_resource_state::Request,
) -> Result<proto::upgrade_resource_state::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let stored = wire::raw_state(request.raw_state)?;
    let mut diagnostics = Diagnostics::new();
    let state = if request.version == entry.schema.version {
        let state = stored.typed(&entry.value_type)?;
        null_write_only(
            &entry.schema.block,
            conform::fill_blocks(&entry.schema.block, state),
        )
    } else {
        let state = entry.resource.upgrade(request.version, &stored).await?;
        settle(entry, &[], state, &mut diagnostics)
    };
    Ok(proto::upgrade_resource_state::Response {
        upgraded_state: Some(wire::dynamic_value(
            &state,
            &entry.value_type,
            "upgraded state",
        )?),
        diagnostics: wire::diagnostics(&diagnostics),
    })
}

pub(super) async fn upgrade_resource_identity<P: Provider>(
    server: &Server<P>,
    request: proto::upgrade_resource_identity::Request,
) -> Result<proto::upgrade_resource_identity::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let (Some(schema), Some(value_type)) = (&entry.identity, &entry.identity_type) else {
        let detail = format!("{} has no identity.", request.type_name);
        return Err(Diagnostic::error("No resource identity", detail).into());
    };
    let stored = wire::raw_state(request.raw_identity)?;
    let mut diagnostics = Diagnostics::new();
    let identity = if request.version == schema.version {
        stored.typed(value_type)?
    } else {
        let identity = entry.resource.upgrade_identity(request.version, &stored)?;
        conform::to_type(value_type, identity, &Path::ROOT, &mut diagnostics)
    };
    Ok(proto::upgrade_resource_identity::Response {
        upgraded_identity: wire::identity_data(&Identity::new(Some(identity)), Some(value_type))?,
        diagnostics: wire::diagnostics(&diagnostics),
    })
}
