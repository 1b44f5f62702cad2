//! `mcplambda_server`: an MCP server as a Lambda function.
//!
//! The way of a change, as the file names read: `schema` and `model` (what users write) -> `spec` and `naming` (what it means) ->
//! `plan` (what will change) -> `apply` (packaged, deployed, verified) -> `outputs`; `read` brings back what is there,
//! `environment` is what travels in the function, `memory` what private state keeps. `bytecode`, `image` and `function_url` are attributes with
//! rules of their own.

mod apply;
mod bytecode;
mod environment;
mod function_url;
mod image;
mod memory;
mod model;
mod naming;
mod outputs;
mod plan;
mod read;
mod schema;
mod spec;

use crate::deploy::Aws;
use crate::plugin::schema::{IdentitySchema, Schema};
use crate::plugin::{
    Attr, Change, Context, Diagnostics, Identity, ImportId, PlanContext, Resource,
};
use crate::provider::clients::Clients;
use crate::provider::report;

use model::Server;
use spec::SpecError;

/// The resource.
pub(crate) struct ServerResource;

impl Resource for ServerResource {
    type Model = Server;
    type Data = Clients;

    fn type_name(&self) -> &str {
        "mcplambda_server"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn identity_schema(&self) -> Option<IdentitySchema> {
        Some(schema::identity_schema())
    }

    fn validate(&self, config: &Server, diagnostics: &mut Diagnostics) {
        match spec::source(config, &config.runtime) {
            Ok(source) => diagnostics.append(report::ageing_runtime(&source.runtime())),
            Err(SpecError::Unknown) => {}
            Err(SpecError::Package(error)) => diagnostics.append(report::package(&error)),
        }
        if let Ok(source) = spec::source(config, &config.runtime) {
            match source.image() {
                Some(own) => diagnostics.append(image::variables_at_fault(own, config)),
                None if config.image_repository_url.is_null() => {}
                None => diagnostics.append(report::repository_of_no_image()),
            }
        }
        if let Err(errors) = image::repository(config) {
            diagnostics.append(errors);
        }
        if let (Some(name), true) = (config.name.as_str(), config.function_name.is_null())
            && naming::function_name(name).is_none()
        {
            diagnostics.append(report::unusable_name(name));
        }
        if let (Some(secrets), Some(env)) = (config.secrets.known(), config.env.known()) {
            for name in secrets.keys().filter(|name| env.contains_key(*name)) {
                diagnostics.append(report::secret_in_env(name));
            }
        }
        if let Some(lock) = config.lock.as_str()
            && let Err(error) = report::lock(lock)
        {
            diagnostics.append(error);
        }
    }

    async fn plan(
        &self,
        context: &mut PlanContext<Self>,
        planned: &mut Server,
    ) -> Result<(), Diagnostics> {
        plan::plan(context, planned).await
    }

    async fn create(
        &self,
        context: &mut Context<Clients>,
        change: &Change<Server>,
        state: &mut Server,
    ) -> Result<(), Diagnostics> {
        apply::create(context, change, state).await
    }

    async fn read(
        &self,
        context: &mut Context<Clients>,
        state: Server,
    ) -> Result<Option<Server>, Diagnostics> {
        read::read(context, state).await
    }

    async fn update(
        &self,
        context: &mut Context<Clients>,
        change: &Change<Server>,
        state: &mut Server,
    ) -> Result<(), Diagnostics> {
        apply::update(context, change, state).await
    }

    async fn delete(
        &self,
        context: &mut Context<Clients>,
        state: Server,
    ) -> Result<(), Diagnostics> {
        apply::delete(context, state).await
    }

    async fn import(
        &self,
        context: &mut Context<Clients>,
        id: ImportId,
    ) -> Result<Server, Diagnostics> {
        read::import(context, id).await
    }
}

/// Sets the identity by which Terraform knows the function.
fn identify(identity: &mut Identity, aws: &Aws, server: &Server) {
    identity.set(&read::ServerIdentity {
        function_name: server.function_name.clone(),
        region: Attr::from(aws.region.as_str()),
        account_id: Attr::from(aws.account_id.as_str()),
    });
}
