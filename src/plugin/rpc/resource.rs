//! A managed resource's configuration, plan and change.

use std::sync::Arc;

use super::super::apply;
use super::super::diagnostics::{Diagnostic, Diagnostics};
use super::super::managed::PlanCall;
use super::super::plan::PlanBasis;
use super::super::provider::Provider;
use super::super::resource::Context;
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::{validate, wire};

pub(super) async fn validate_resource_config<P: Provider>(
    server: &Server<P>,
    request: proto::validate_resource_config::Request,
) -> Result<proto::validate_resource_config::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let config = wire::value(request.config.as_ref(), &entry.value_type, "configuration")?;
    let write_only_allowed = request
        .client_capabilities
        .is_some_and(|capabilities| capabilities.write_only_attributes_allowed);
    let mut diagnostics = Diagnostics::new();
    validate::config(&entry.schema, &config, write_only_allowed, &mut diagnostics);
    entry.resource.validate(&config, &mut diagnostics);
    Ok(proto::validate_resource_config::Response {
        diagnostics: wire::diagnostics(&diagnostics),
    })
}

pub(super) async fn plan_resource_change<P: Provider>(
    server: &Server<P>,
    request: proto::plan_resource_change::Request,
) -> Result<proto::plan_resource_change::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let identity_type = entry.identity_type.as_ref();
    let read = |message: &Option<proto::DynamicValue>, what| {
        wire::value(message.as_ref(), &entry.value_type, what)
    };
    let prior = read(&request.prior_state, "prior state")?;
    let proposed = read(&request.proposed_new_state, "proposed state")?;
    let config = read(&request.config, "configuration")?;
    let private = wire::private(&request.prior_private)?;
    let identity = wire::identity(request.prior_identity.as_ref(), identity_type)?;

    if proposed.is_null() {
        let mut context = context(server, private, identity);
        if !prior.is_null()
            && let Err(errors) = entry.resource.plan_destroy(&mut context, &prior).await
        {
            context.diagnostics.append(errors);
        }
        return Ok(proto::plan_resource_change::Response {
            planned_state: Some(wire::dynamic_value(
                &proposed,
                &entry.value_type,
                "planned state",
            )?),
            planned_private: context.private.to_bytes().into(),
            planned_identity: wire::identity_data(&context.identity, identity_type)?,
            diagnostics: wire::diagnostics(&context.diagnostics),
            ..Default::default()
        });
    }

    let capabilities = request.client_capabilities.unwrap_or_default();
    // Core sends nothing where it did not keep what the first plan left.
    let planned_private = if request.planned_private.is_empty() {
        None
    } else {
        Some(wire::private(&request.planned_private)?)
    };
    let basis = Arc::new(PlanBasis {
        schema: Arc::clone(&entry.schema),
        value_type: entry.value_type.clone(),
        config,
        prior,
    });
    let offered = basis.propose(proposed);
    let mut call = PlanCall {
        basis: Arc::clone(&basis),
        planned: offered.clone(),
        data: server.data(),
        private,
        planned_private,
        store_planned_private: capabilities.store_planned_private,
        identity,
        cancel: server.begin(),
        diagnostics: Diagnostics::new(),
        requires_replace: Vec::new(),
    };
    if let Err(errors) = entry.resource.plan(&mut call).await {
        call.diagnostics.append(errors);
    }
    if call.diagnostics.has_errors() {
        return Err(call.diagnostics);
    }
    let planned = basis.finish(
        &offered,
        call.planned,
        &call.requires_replace,
        &mut call.diagnostics,
    );
    Ok(proto::plan_resource_change::Response {
        planned_state: Some(wire::dynamic_value(
            &planned.value,
            &entry.value_type,
            "planned state",
        )?),
        requires_replace: planned
            .requires_replace
            .iter()
            .filter_map(wire::attribute_path)
            .collect(),
        planned_private: call.private.to_bytes().into(),
        planned_identity: wire::identity_data(&call.identity, identity_type)?,
        diagnostics: wire::diagnostics(&call.diagnostics),
        ..Default::default()
    })
}

pub(super) async fn apply_resource_change<P: Provider>(
    server: &Server<P>,
    request: proto::apply_resource_change::Request,
) -> Result<proto::apply_resource_change::Response, Diagnostics> {
    let entry = server.resource(&request.type_name)?;
    let identity_type = entry.identity_type.as_ref();
    let read = |message: &Option<proto::DynamicValue>, what| {
        wire::value(message.as_ref(), &entry.value_type, what)
    };
    let prior = read(&request.prior_state, "prior state")?;
    let planned = read(&request.planned_state, "planned state")?;
    let config = read(&request.config, "configuration")?;
    let private = wire::private(&request.planned_private)?;
    let identity = wire::identity(request.planned_identity.as_ref(), identity_type)?;
    if prior.is_null() && planned.is_null() {
        return Err(Diagnostic::error(
            "Nothing to apply",
            "Neither prior nor planned state is there.",
        )
        .into());
    }

    let outcome = apply::apply(
        entry,
        context(server, private, identity),
        config,
        prior,
        planned,
    )
    .await;
    let mut diagnostics = outcome.context.diagnostics;
    // An identity that cannot be written must not cost the state.
    let new_identity = wire::identity_data(&outcome.context.identity, identity_type)
        .unwrap_or_else(|errors| {
            diagnostics.append(errors);
            None
        });
    Ok(proto::apply_resource_change::Response {
        new_state: Some(wire::dynamic_value(
            &outcome.state,
            &entry.value_type,
            "new state",
        )?),
        private: outcome.context.private.to_bytes().into(),
        new_identity,
        diagnostics: wire::diagnostics(&diagnostics),
        ..Default::default()
    })
}

/// What an operation that begins now is given.
pub(super) fn context<P: Provider>(
    server: &Server<P>,
    private: super::super::private::Private,
    identity: super::super::private::Identity,
) -> Context<P::Data> {
    Context {
        data: server.data(),
        private,
        identity,
        cancel: server.begin(),
        deadline: None,
        diagnostics: Diagnostics::new(),
        created_nothing: false,
    }
}
