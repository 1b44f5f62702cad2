//! The provider's own configuration.

use super::super::diagnostics::Diagnostics;
use super::super::model::{FromValue, FromValueError};
use super::super::path::Path;
use super::super::plan::fill_defaults;
use super::super::provider::{ConfigureContext, Provider};
use super::super::server::Server;
use super::super::tfplugin6 as proto;
use super::super::{validate, wire};

const WHAT: &str = "provider configuration";

pub(super) fn validate_provider_config<P: Provider>(
    server: &Server<P>,
    request: proto::validate_provider_config::Request,
) -> Result<proto::validate_provider_config::Response, Diagnostics> {
    let config = wire::value(request.config.as_ref(), &server.schema.value_type(), WHAT)?;
    let mut diagnostics = Diagnostics::new();
    validate::config(&server.schema, &config, false, &mut diagnostics);
    match P::Config::from_value(&config, &Path::ROOT) {
        Ok(config) => server.provider.validate(&config, &mut diagnostics),
        Err(error) => diagnostics.push(error.into_diagnostic()),
    }
    Ok(proto::validate_provider_config::Response {
        diagnostics: wire::diagnostics(&diagnostics),
    })
}

pub(super) async fn configure_provider<P: Provider>(
    server: &Server<P>,
    request: proto::configure_provider::Request,
) -> Result<proto::configure_provider::Response, Diagnostics> {
    let config = wire::value(request.config.as_ref(), &server.schema.value_type(), WHAT)?;
    let config = fill_defaults(&server.schema, &config);
    let config =
        P::Config::from_value(&config, &Path::ROOT).map_err(FromValueError::into_diagnostic)?;
    let mut context = ConfigureContext {
        terraform_version: request.terraform_version,
        diagnostics: Diagnostics::new(),
    };
    match server.provider.configure(&mut context, config).await {
        Ok(data) => server.set_data(data),
        Err(errors) => context.diagnostics.append(errors),
    }
    Ok(proto::configure_provider::Response {
        diagnostics: wire::diagnostics(&context.diagnostics),
    })
}
