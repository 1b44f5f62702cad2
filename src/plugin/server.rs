//! A provider ready to be served: its offers by name, its data once configured, its running operations.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use super::data_source::ErasedDataSource;
use super::diagnostics::{Diagnostic, Diagnostics};
use super::function::{ErasedFunction, Signature};
use super::managed::ErasedResource;
use super::provider::Provider;
use super::schema::{IdentitySchema, Schema};
use super::value_type::ValueType;

/// Answers Terraform's calls for a [`Provider`]: what [`serve`](super::serve()) takes.
pub struct Server<P: Provider> {
    pub(super) provider: P,
    pub(super) schema: Arc<Schema>,
    pub(super) resources: BTreeMap<String, ResourceEntry<P::Data>>,
    pub(super) data_sources: BTreeMap<String, DataSourceEntry<P::Data>>,
    pub(super) functions: BTreeMap<String, FunctionEntry>,
    /// Offers whose name another one has already.
    pub(super) duplicates: Vec<String>,
    data: RwLock<Option<Arc<P::Data>>>,
    /// Parent of the tokens of all running operations.
    running: RwLock<CancellationToken>,
}

pub(super) struct ResourceEntry<D> {
    pub(super) resource: Arc<dyn ErasedResource<D>>,
    pub(super) schema: Arc<Schema>,
    pub(super) value_type: ValueType,
    pub(super) identity: Option<IdentitySchema>,
    pub(super) identity_type: Option<ValueType>,
}

pub(super) struct DataSourceEntry<D> {
    pub(super) data_source: Arc<dyn ErasedDataSource<D>>,
    pub(super) schema: Arc<Schema>,
    pub(super) value_type: ValueType,
}

pub(super) struct FunctionEntry {
    pub(super) function: Arc<dyn ErasedFunction>,
    pub(super) signature: Signature,
}

impl<P: Provider> Server<P> {
    /// Prepares `provider`. Nothing is configured yet.
    #[must_use]
    pub fn new(provider: P) -> Self {
        let schema = Arc::new(provider.schema());
        let offers = provider.offers();
        let mut duplicates = Vec::new();
        let resources = by_name(
            &mut duplicates,
            offers.resources.into_iter().map(|resource| {
                let schema = Arc::new(resource.schema());
                let identity = resource.identity_schema();
                let entry = ResourceEntry {
                    value_type: schema.value_type(),
                    schema,
                    identity_type: identity.as_ref().map(IdentitySchema::value_type),
                    identity,
                    resource,
                };
                (entry.resource.type_name().to_owned(), entry)
            }),
        );
        let data_sources = by_name(
            &mut duplicates,
            offers.data_sources.into_iter().map(|data_source| {
                let schema = Arc::new(data_source.schema());
                let entry = DataSourceEntry {
                    value_type: schema.value_type(),
                    schema,
                    data_source,
                };
                (entry.data_source.type_name().to_owned(), entry)
            }),
        );
        let functions = by_name(
            &mut duplicates,
            offers.functions.into_iter().map(|function| {
                let entry = FunctionEntry {
                    signature: function.signature(),
                    function,
                };
                (entry.function.name().to_owned(), entry)
            }),
        );
        Self {
            provider,
            schema,
            resources,
            data_sources,
            functions,
            duplicates,
            data: RwLock::new(None),
            running: RwLock::new(CancellationToken::new()),
        }
    }

    /// The schema of the provider's configuration.
    #[must_use]
    pub fn provider_schema(&self) -> &Schema {
        &self.schema
    }

    /// The resources by type name, with the identity schemas of those that have one.
    pub fn resource_schemas(
        &self,
    ) -> impl Iterator<Item = (&str, &Schema, Option<&IdentitySchema>)> {
        self.resources.iter().map(|(name, entry)| {
            (
                name.as_str(),
                entry.schema.as_ref(),
                entry.identity.as_ref(),
            )
        })
    }

    /// The data sources by type name.
    pub fn data_source_schemas(&self) -> impl Iterator<Item = (&str, &Schema)> {
        self.data_sources
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.schema.as_ref()))
    }

    /// The functions by name.
    pub fn function_signatures(&self) -> impl Iterator<Item = (&str, &Signature)> {
        self.functions
            .iter()
            .map(|(name, entry)| (name.as_str(), &entry.signature))
    }

    pub(super) fn resource(&self, type_name: &str) -> Result<&ResourceEntry<P::Data>, Diagnostics> {
        self.resources
            .get(type_name)
            .ok_or_else(|| unknown_type("resource type", type_name))
    }

    pub(super) fn data_source(
        &self,
        type_name: &str,
    ) -> Result<&DataSourceEntry<P::Data>, Diagnostics> {
        self.data_sources
            .get(type_name)
            .ok_or_else(|| unknown_type("data source", type_name))
    }

    /// The provider's data; `None` before it is configured, and while its configuration is unknown.
    pub(super) fn data(&self) -> Option<Arc<P::Data>> {
        // A panic elsewhere cannot leave these in a bad state: each is replaced in one step.
        self.data
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_data(&self, data: Option<P::Data>) {
        *self.data.write().unwrap_or_else(PoisonError::into_inner) = data.map(Arc::new);
    }

    /// The token of an operation that begins now.
    pub(super) fn begin(&self) -> CancellationToken {
        self.running
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .child_token()
    }

    /// Fires the tokens of all running operations. Operations that begin later get fresh ones: core starts none that it
    /// wants stopped, and HashiCorp's own framework does the same.
    pub(super) fn stop(&self) {
        let stopped = {
            let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *running, CancellationToken::new())
        };
        stopped.cancel();
    }
}

fn by_name<T>(
    duplicates: &mut Vec<String>,
    entries: impl Iterator<Item = (String, T)>,
) -> BTreeMap<String, T> {
    let mut map = BTreeMap::new();
    for (name, entry) in entries {
        if map.insert(name.clone(), entry).is_some() {
            duplicates.push(name);
        }
    }
    map
}

fn unknown_type(kind: &str, name: &str) -> Diagnostics {
    Diagnostic::error(
        format!("Unknown {kind}"),
        format!("The provider has no {kind} named {name:?}."),
    )
    .into()
}
