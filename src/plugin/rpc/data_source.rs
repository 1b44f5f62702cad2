//! Data sources.

use super::super::conform;
use super::super::data_source::DataSourceContext;
use super::super::diagnostics::{Diagnostic, Diagnostics};
use super::super::plan::{check_kept, fill_defaults};
use super::super::provider::Provider;
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::{validate, wire};

pub(super) async fn validate_data_resource_config<P: Provider>(
    server: &Server<P>,
    request: proto::validate_data_resource_config::Request,
) -> Result<proto::validate_data_resource_config::Response, Diagnostics> {
    let entry = server.data_source(&request.type_name)?;
    let config = wire::value(request.config.as_ref(), &entry.value_type, "configuration")?;
    let mut diagnostics = Diagnostics::new();
    validate::config(&entry.schema, &config, false, &mut diagnostics);
    entry.data_source.validate(&config, &mut diagnostics);
    Ok(proto::validate_data_resource_config::Response {
        diagnostics: wire::diagnostics(&diagnostics),
    })
}

pub(super) async fn read_data_source<P: Provider>(
    server: &Server<P>,
    request: proto::read_data_source::Request,
) -> Result<proto::read_data_source::Response, Diagnostics> {
    let entry = server.data_source(&request.type_name)?;
    let config = wire::value(request.config.as_ref(), &entry.value_type, "configuration")?;
    let offered = fill_defaults(&entry.schema, &config);
    let mut state = offered.clone();
    let mut context = DataSourceContext {
        data: server.data(),
        cancel: server.begin(),
        diagnostics: Diagnostics::new(),
    };
    if let Err(errors) = entry.data_source.read(&mut context, &mut state).await {
        context.diagnostics.append(errors);
    }
    let mut diagnostics = context.diagnostics;
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let state = conform::restore(&offered, state);
    let state = conform::to_schema(&entry.schema, &entry.value_type, state, &mut diagnostics);
    check_kept(&entry.schema, &config, &state, &mut diagnostics);
    if let Some(path) = state.first_unknown() {
        let detail = format!("{path} is unknown after reading. This is a bug in the provider.");
        diagnostics.push(Diagnostic::error("Provider left a value unknown", detail).at(path));
    }
    Ok(proto::read_data_source::Response {
        state: Some(wire::dynamic_value(&state, &entry.value_type, "state")?),
        diagnostics: wire::diagnostics(&diagnostics),
        deferred: None,
    })
}
