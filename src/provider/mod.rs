//! What users write: the provider's configuration, its resources and data sources.
//!
//! The only room that sees all the others. Only `report` turns errors into diagnostics.

pub mod clients;
pub mod config;
pub mod config_error;
pub mod config_schema;
pub mod credentials;
mod data_source_package;
mod download;
pub mod downloads;
pub mod http_client;
mod http_get;
mod report;
pub mod report_config;
mod resource_server;
pub mod tool_files;

use clients::Clients;
use config_schema::ConfigModel;
use data_source_package::PackageDataSource;
use resource_server::ServerResource;

use crate::plugin::{ConfigureContext, Diagnostics, Offers, Provider, Schema};

/// The provider that Terraform talks to.
#[derive(Debug, Default)]
pub struct Mcplambda;

impl Provider for Mcplambda {
    type Config = ConfigModel;
    type Data = Clients;

    fn name(&self) -> &str {
        "mcplambda"
    }

    fn schema(&self) -> Schema {
        config_schema::schema()
    }

    fn validate(&self, config: &ConfigModel, diagnostics: &mut Diagnostics) {
        config_schema::validate(config, diagnostics);
    }

    async fn configure(
        &self,
        _context: &mut ConfigureContext,
        config: ConfigModel,
    ) -> Result<Option<Clients>, Diagnostics> {
        match config_schema::read(config)? {
            Some(config) => match clients::connect(config).await {
                Ok(clients) => Ok(Some(clients)),
                Err(error) => Err(report_config::config_error(&error).into()),
            },
            None => Ok(None),
        }
    }

    fn offers(&self) -> Offers<Clients> {
        Offers::new()
            .resource(ServerResource)
            .data_source(PackageDataSource)
    }
}
