//! The [`Provider`] trait: what the author of a provider implements, and what it offers.

use std::future::Future;
use std::sync::Arc;

use super::data_source::{DataSource, ErasedDataSource, Source};
use super::diagnostics::Diagnostics;
use super::function::{ErasedFunction, Function};
use super::model::Model;
use super::resource::{ErasedResource, Managed, Resource};
use super::schema::Schema;

/// A provider.
pub trait Provider: Send + Sync + 'static {
    /// Its configuration.
    type Config: Model;
    /// What its resources need to work, made once from the configuration: clients, credentials.
    type Data: Send + Sync + 'static;

    /// The provider's name, the prefix of its resource types: `mcplambda`.
    fn name(&self) -> &str;

    /// What can be configured.
    fn schema(&self) -> Schema;

    /// Checks that need more than one attribute. Pure: nothing is configured yet, values may be unknown, and
    /// defaults are not filled in.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

    /// Makes the data from the configuration. `Ok(None)`: the configuration has unknown values that it takes to do so,
    /// as happens in a plan; operations that need the data then see that it is not there.
    fn configure(
        &self,
        context: &mut ConfigureContext,
        config: Self::Config,
    ) -> impl Future<Output = Result<Option<Self::Data>, Diagnostics>> + Send;

    /// The resources, data sources and functions.
    fn offers(&self) -> Offers<Self::Data>;
}

/// What [`Provider::configure`] is given beside the configuration.
#[derive(Debug)]
pub struct ConfigureContext {
    /// Version of the calling Terraform or OpenTofu; for user agents, not for deciding what it can do.
    pub terraform_version: String,
    /// Warnings for the user; errors too.
    pub diagnostics: Diagnostics,
}

/// The resources, data sources and functions of a provider.
pub struct Offers<D> {
    pub(super) resources: Vec<Arc<dyn ErasedResource<D>>>,
    pub(super) data_sources: Vec<Arc<dyn ErasedDataSource<D>>>,
    pub(super) functions: Vec<Arc<dyn ErasedFunction>>,
}

impl<D: Send + Sync + 'static> Offers<D> {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            resources: Vec::new(),
            data_sources: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource<R: Resource<Data = D>>(mut self, resource: R) -> Self {
        self.resources.push(Arc::new(Managed(resource)));
        self
    }

    /// Adds a data source.
    #[must_use]
    pub fn data_source<S: DataSource<Data = D>>(mut self, data_source: S) -> Self {
        self.data_sources.push(Arc::new(Source(data_source)));
        self
    }

    /// Adds a function.
    #[must_use]
    pub fn function<F: Function>(mut self, function: F) -> Self {
        self.functions.push(Arc::new(function));
        self
    }
}

impl<D: Send + Sync + 'static> Default for Offers<D> {
    fn default() -> Self {
        Self::new()
    }
}
