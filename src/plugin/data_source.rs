//! The [`DataSource`] trait: reads something and puts it at the configuration's disposal.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::diagnostics::Diagnostics;
use super::managed::guard;
use super::model::{FromValue, FromValueError, Model, ToValue};
use super::path::Path;
use super::resource::require_data;
use super::schema::Schema;
use super::value::Value;

/// A data source. Terraform reads it during plan when its configuration is known by then, else during apply.
pub trait DataSource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;
    /// The provider's data.
    type Data: Send + Sync + 'static;

    /// Full type name, with the provider's prefix: `mcplambda_package`.
    fn type_name(&self) -> &str;

    /// Attributes and blocks; the model has a field for each.
    fn schema(&self) -> Schema;

    /// Checks that need more than one attribute. Pure: nothing is configured yet, values may be unknown, and
    /// defaults are not filled in.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Reads. `state` comes as configured, defaults filled in and wholly known; what is configured must stay.
    fn read(
        &self,
        context: &mut DataSourceContext<Self::Data>,
        state: &mut Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;
}

/// What [`DataSource::read`] is given beside the configuration.
pub struct DataSourceContext<D> {
    /// The provider's data; `None` while the provider's configuration is unknown.
    pub data: Option<Arc<D>>,
    /// Fires when the user interrupts Terraform.
    pub cancel: CancellationToken,
    /// Warnings for the user; errors too.
    pub diagnostics: Diagnostics,
}

impl<D> DataSourceContext<D> {
    /// The provider's data.
    ///
    /// # Errors
    ///
    /// A diagnostic that explains that the provider's configuration is not known yet.
    pub fn require_data(&self) -> Result<Arc<D>, Diagnostics> {
        require_data(self.data.as_ref())
    }
}

/// A [`DataSource`] without its model: works on values.
pub(super) trait ErasedDataSource<D>: Send + Sync {
    fn type_name(&self) -> &str;
    fn schema(&self) -> Schema;
    fn through_model(&self, value: &Value) -> Result<Value, FromValueError>;
    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics);
    fn read<'a>(
        &'a self,
        context: &'a mut DataSourceContext<D>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

pub(super) struct Source<S>(pub(super) S);

impl<S: DataSource> ErasedDataSource<S::Data> for Source<S> {
    fn type_name(&self) -> &str {
        self.0.type_name()
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    fn through_model(&self, value: &Value) -> Result<Value, FromValueError> {
        Ok(S::Model::from_value(value, &Path::ROOT)?.to_value())
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        match S::Model::from_value(config, &Path::ROOT) {
            Ok(config) => self.0.validate(&config, diagnostics),
            Err(error) => diagnostics.push(error.into_diagnostic()),
        }
    }

    fn read<'a>(
        &'a self,
        context: &'a mut DataSourceContext<S::Data>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let mut model = S::Model::from_value(state, &Path::ROOT)
                .map_err(FromValueError::into_diagnostic)?;
            let result = guard(self.0.read(context, &mut model)).await;
            *state = model.to_value();
            result
        })
    }
}
