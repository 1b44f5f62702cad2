//! Terraform's calls, one function each: decode, call, encode. The rules are elsewhere.
//!
//! Every call answers with an OK response; what went wrong is in its diagnostics, also when the provider panics. Calls
//! for what this framework does not offer (ephemeral resources, lists, actions, state stores) stay unimplemented, which
//! core never calls because the schema names none.

mod data_source;
mod function;
mod import;
mod metadata;
mod provider;
mod resource;
mod state;

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use super::diagnostics::Diagnostics;
use super::managed::panicked;
use super::provider::Provider;
use super::server::Server;
use super::tfplugin6 as proto;
use super::wire;

/// A response that can carry diagnostics and nothing else.
trait Failure: Default {
    fn failure(diagnostics: &Diagnostics) -> Self;
}

macro_rules! failures {
    ($($module:ident),* $(,)?) => {$(
        impl Failure for proto::$module::Response {
            #[allow(clippy::field_reassign_with_default)] // Some responses have no other field.
            fn failure(diagnostics: &Diagnostics) -> Self {
                let mut response = Self::default();
                response.diagnostics = wire::diagnostics(diagnostics);
                response
            }
        }
    )*};
}
failures!(
    apply_resource_change,
    configure_provider,
    get_functions,
    get_metadata,
    get_provider_schema,
    get_resource_identity_schemas,
    import_resource_state,
    move_resource_state,
    plan_resource_change,
    read_data_source,
    read_resource,
    upgrade_resource_identity,
    upgrade_resource_state,
    validate_data_resource_config,
    validate_provider_config,
    validate_resource_config,
);

impl Failure for proto::call_function::Response {
    fn failure(diagnostics: &Diagnostics) -> Self {
        let text = diagnostics
            .iter()
            .map(|diagnostic| format!("{}: {}", diagnostic.summary, diagnostic.detail));
        let text = text.collect::<Vec<_>>().join("\n");
        Self {
            result: None,
            error: Some(proto::FunctionError {
                text,
                function_argument: None,
            }),
        }
    }
}

impl Failure for proto::stop_provider::Response {
    fn failure(diagnostics: &Diagnostics) -> Self {
        let error = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.detail.clone())
            .collect::<Vec<_>>()
            .join("\n");
        Self { error }
    }
}

/// Runs one call within a span that names its subject, if it has one (a resource type, a data source, a function);
/// whatever goes wrong becomes a response.
async fn answer<R: Failure>(
    subject: &str,
    call: impl Future<Output = Result<R, Diagnostics>>,
) -> Result<Response<R>, Status> {
    let span = match subject {
        "" => tracing::Span::none(),
        subject => tracing::info_span!("operation", tf_resource_type = subject),
    };
    let outcome = AssertUnwindSafe(call).catch_unwind().instrument(span).await;
    Ok(Response::new(match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(diagnostics)) => R::failure(&diagnostics),
        Err(panic) => R::failure(&panicked(panic.as_ref()).into()),
    }))
}

/// Implements the service: each method hands its request to the function of the same name.
macro_rules! calls {
    ($( $module:ident::$method:ident($subject:ident) ),* $(,)?) => {
        #[tonic::async_trait]
        impl<P: Provider> proto::provider_server::Provider for Server<P> {
            $(
                async fn $method(
                    &self,
                    request: Request<proto::$method::Request>,
                ) -> Result<Response<proto::$method::Response>, Status> {
                    let request = request.into_inner();
                    let subject = request.$subject.clone();
                    answer(&subject, $module::$method(self, request)).await
                }
            )*

            async fn get_metadata(
                &self,
                _: Request<proto::get_metadata::Request>,
            ) -> Result<Response<proto::get_metadata::Response>, Status> {
                answer("", async { Ok(metadata::get_metadata(self)) }).await
            }

            async fn get_provider_schema(
                &self,
                _: Request<proto::get_provider_schema::Request>,
            ) -> Result<Response<proto::get_provider_schema::Response>, Status> {
                answer("", async { Ok(metadata::get_provider_schema(self)) }).await
            }

            async fn get_functions(
                &self,
                _: Request<proto::get_functions::Request>,
            ) -> Result<Response<proto::get_functions::Response>, Status> {
                answer("", async { Ok(metadata::get_functions(self)) }).await
            }

            async fn get_resource_identity_schemas(
                &self,
                _: Request<proto::get_resource_identity_schemas::Request>,
            ) -> Result<Response<proto::get_resource_identity_schemas::Response>, Status> {
                answer("", async { Ok(metadata::get_resource_identity_schemas(self)) }).await
            }

            async fn validate_provider_config(
                &self,
                request: Request<proto::validate_provider_config::Request>,
            ) -> Result<Response<proto::validate_provider_config::Response>, Status> {
                answer("", async { provider::validate_provider_config(self, request.into_inner()) }).await
            }

            async fn configure_provider(
                &self,
                request: Request<proto::configure_provider::Request>,
            ) -> Result<Response<proto::configure_provider::Response>, Status> {
                answer("", provider::configure_provider(self, request.into_inner())).await
            }

            async fn stop_provider(
                &self,
                _: Request<proto::stop_provider::Request>,
            ) -> Result<Response<proto::stop_provider::Response>, Status> {
                self.stop();
                Ok(Response::new(proto::stop_provider::Response::default()))
            }
        }
    };
}

calls!(
    resource::validate_resource_config(type_name),
    resource::plan_resource_change(type_name),
    resource::apply_resource_change(type_name),
    state::read_resource(type_name),
    state::upgrade_resource_state(type_name),
    state::upgrade_resource_identity(type_name),
    import::import_resource_state(type_name),
    import::move_resource_state(target_type_name),
    data_source::validate_data_resource_config(type_name),
    data_source::read_data_source(type_name),
    function::call_function(name),
);
