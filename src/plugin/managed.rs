//! A [`Resource`] without its model: the same functions on values, so that resources of all models fit in one table.
//!
//! Only converts between values and models, and catches panics of the author's functions; what to do with the results is
//! decided in [`super::plan`] and [`super::apply`].

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::model::{FromValue, FromValueError, ToValue};
use super::path::Path;
use super::plan::PlanBasis;
use super::private::{Identity, Private};
use super::raw_state::RawState;
use super::resource::{Change, Context, ImportId, MoveSource, PlanContext, Resource};
use super::schema::{IdentitySchema, Schema};
use super::value::Value;

pub(super) trait ErasedResource<D>: Send + Sync {
    fn type_name(&self) -> &str;
    fn schema(&self) -> Schema;
    fn identity_schema(&self) -> Option<IdentitySchema>;
    fn supports_move(&self) -> bool;
    /// The value as it looks after becoming a model and a value again.
    fn through_model(&self, value: &Value) -> Result<Value, FromValueError>;
    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics);
    fn plan<'a>(&'a self, call: &'a mut PlanCall<D>) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn plan_destroy<'a>(
        &'a self,
        context: &'a mut Context<D>,
        prior: &'a Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn create<'a>(
        &'a self,
        context: &'a mut Context<D>,
        change: &'a Change<Value>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn update<'a>(
        &'a self,
        context: &'a mut Context<D>,
        change: &'a Change<Value>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn read<'a>(
        &'a self,
        context: &'a mut Context<D>,
        state: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Diagnostics>>;
    fn delete<'a>(
        &'a self,
        context: &'a mut Context<D>,
        state: &'a Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn import<'a>(
        &'a self,
        context: &'a mut Context<D>,
        id: ImportId,
    ) -> BoxFuture<'a, Result<Value, Diagnostics>>;
    fn upgrade<'a>(
        &'a self,
        version: i64,
        state: &'a RawState,
    ) -> BoxFuture<'a, Result<Value, Diagnostics>>;
    fn upgrade_identity(&self, version: i64, identity: &RawState) -> Result<Value, Diagnostics>;
    fn move_state<'a>(
        &'a self,
        context: &'a mut Context<D>,
        source: &'a MoveSource,
    ) -> BoxFuture<'a, Result<Option<Value>, Diagnostics>>;
}

/// One call of [`Resource::plan`], on values.
pub(super) struct PlanCall<D> {
    pub(super) basis: Arc<PlanBasis>,
    /// In: what the framework planned. Out: what the resource made of it.
    pub(super) planned: Value,
    pub(super) data: Option<Arc<D>>,
    /// In: private state of the prior state. Out: for apply.
    pub(super) private: Private,
    pub(super) planned_private: Option<Private>,
    pub(super) store_planned_private: bool,
    pub(super) identity: Identity,
    pub(super) cancel: CancellationToken,
    pub(super) diagnostics: Diagnostics,
    pub(super) requires_replace: Vec<Path>,
}

pub(super) struct Managed<R>(pub(super) R);

impl<R: Resource> Managed<R> {
    fn model(value: &Value) -> Result<R::Model, Diagnostics> {
        R::Model::from_value(value, &Path::ROOT).map_err(|error| error.into_diagnostic().into())
    }

    fn change(change: &Change<Value>) -> Result<Change<R::Model>, Diagnostics> {
        Ok(Change {
            config: Self::model(&change.config)?,
            prior: change.prior.as_ref().map(Self::model).transpose()?,
            planned: Self::model(&change.planned)?,
        })
    }
}

impl<R: Resource> ErasedResource<R::Data> for Managed<R> {
    fn type_name(&self) -> &str {
        self.0.type_name()
    }

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    fn identity_schema(&self) -> Option<IdentitySchema> {
        self.0.identity_schema()
    }

    fn supports_move(&self) -> bool {
        self.0.supports_move()
    }

    fn through_model(&self, value: &Value) -> Result<Value, FromValueError> {
        Ok(R::Model::from_value(value, &Path::ROOT)?.to_value())
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        match R::Model::from_value(config, &Path::ROOT) {
            Ok(config) => self.0.validate(&config, diagnostics),
            Err(error) => diagnostics.push(error.into_diagnostic()),
        }
    }

    fn plan<'a>(
        &'a self,
        call: &'a mut PlanCall<R::Data>,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let prior = &call.basis.prior;
            let mut context = PlanContext::<R> {
                config: Self::model(&call.basis.config)?,
                prior: if prior.is_null() {
                    None
                } else {
                    Some(Self::model(prior)?)
                },
                data: call.data.clone(),
                private: call.private.clone(),
                prior_private: call.private.clone(),
                planned_private: call.planned_private.take(),
                store_planned_private: call.store_planned_private,
                identity: call.identity.clone(),
                cancel: call.cancel.clone(),
                diagnostics: Diagnostics::new(),
                requires_replace: Vec::new(),
                basis: Arc::clone(&call.basis),
            };
            let mut planned = Self::model(&call.planned)?;
            let result = guard(self.0.plan(&mut context, &mut planned)).await;
            call.planned = planned.to_value();
            call.private = context.private;
            call.identity = context.identity;
            call.diagnostics.append(context.diagnostics);
            call.requires_replace.append(&mut context.requires_replace);
            result
        })
    }

    fn plan_destroy<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        prior: &'a Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let prior = Self::model(prior)?;
            guard(self.0.plan_destroy(context, &prior)).await
        })
    }

    fn create<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        change: &'a Change<Value>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let (change, mut model) = match (Self::change(change), Self::model(state)) {
                (Ok(change), Ok(model)) => (change, model),
                (Err(errors), _) | (_, Err(errors)) => {
                    context.created_nothing();
                    return Err(errors);
                }
            };
            let result = guard(self.0.create(context, &change, &mut model)).await;
            *state = model.to_value();
            result
        })
    }

    fn update<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        change: &'a Change<Value>,
        state: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let change = Self::change(change)?;
            let mut model = Self::model(state)?;
            let result = guard(self.0.update(context, &change, &mut model)).await;
            *state = model.to_value();
            result
        })
    }

    fn read<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        state: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Diagnostics>> {
        Box::pin(async move {
            let state = Self::model(state)?;
            Ok(guard(self.0.read(context, state))
                .await?
                .map(|state| state.to_value()))
        })
    }

    fn delete<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        state: &'a Value,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let state = Self::model(state)?;
            guard(self.0.delete(context, state)).await
        })
    }

    fn import<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        id: ImportId,
    ) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(async move { Ok(guard(self.0.import(context, id)).await?.to_value()) })
    }

    fn upgrade<'a>(
        &'a self,
        version: i64,
        state: &'a RawState,
    ) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(async move { Ok(guard(self.0.upgrade(version, state)).await?.to_value()) })
    }

    fn upgrade_identity(&self, version: i64, identity: &RawState) -> Result<Value, Diagnostics> {
        self.0.upgrade_identity(version, identity)
    }

    fn move_state<'a>(
        &'a self,
        context: &'a mut Context<R::Data>,
        source: &'a MoveSource,
    ) -> BoxFuture<'a, Result<Option<Value>, Diagnostics>> {
        Box::pin(async move {
            Ok(guard(self.0.move_state(context, source))
                .await?
                .map(|state| state.to_value()))
        })
    }
}

/// Runs the author's code; a panic becomes an error diagnostic, so that what was done so far is still answered.
pub(super) async fn guard<T>(
    operation: impl Future<Output = Result<T, Diagnostics>>,
) -> Result<T, Diagnostics> {
    AssertUnwindSafe(operation)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into()))
}

/// The diagnostic for a caught panic.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Diagnostic {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Diagnostic::error(
        "The provider panicked",
        format!(
            "This is a bug in the provider, please report it with Terraform's log (TF_LOG=debug): {message}"
        ),
    )
}
