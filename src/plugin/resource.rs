//! The [`Resource`] trait: what the author of a managed resource implements, in terms of a typed model.
//!
//! The framework has decoded, validated and aligned everything before these functions are called, and checks and encodes
//! what they leave. A panic inside any of them becomes an error diagnostic, with the state as it was left.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::model::Model;
use super::path::Path;
use super::plan::PlanBasis;
use super::private::{Identity, Private};
use super::raw_state::RawState;
use super::schema::{IdentitySchema, Schema};

/// A managed resource. Only five functions have no default: name, schema, create, read and delete.
pub trait Resource: Sized + Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;
    /// The provider's data.
    type Data: Send + Sync + 'static;

    /// Full type name, with the provider's prefix: `mcplambda_server`.
    fn type_name(&self) -> &str;

    /// Attributes and blocks; the model has a field for each.
    fn schema(&self) -> Schema;

    /// What identifies the remote object, if that is to be declared.
    fn identity_schema(&self) -> Option<IdentitySchema> {
        None
    }

    /// Checks that need more than one attribute. Pure: nothing is configured yet, values may be unknown, and
    /// defaults are not filled in.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Refines the plan of a create or update.
    ///
    /// `planned` comes with defaults filled in; when the plan changes anything, computed attributes that the
    /// configuration leaves open are unknown, except those that keep their state
    /// ([`use_state_for_unknown`](super::Attribute::use_state_for_unknown)). Only such computed attributes may be changed
    /// here. `requires_replace` flags of the schema are evaluated afterwards, on what this function leaves.
    /// Must be deterministic: Terraform plans once more inside apply and refuses another result.
    fn plan(
        &self,
        _context: &mut PlanContext<Self>,
        _planned: &mut Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        async { Ok(()) }
    }

    /// Looks at the plan of a destroy: to warn, to refuse, to leave something in private state.
    fn plan_destroy(
        &self,
        _context: &mut Context<Self::Data>,
        _prior: &Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        async { Ok(()) }
    }

    /// Creates the remote object.
    ///
    /// `state` comes as planned, and is saved as this function leaves it whether it succeeds or not: set what is known as
    /// soon as it is known. What is still unknown after a failure is saved as null, and the resource is marked as tainted.
    /// A failure before anything was created says so with [`Context::created_nothing`], and then nothing is saved.
    fn create(
        &self,
        context: &mut Context<Self::Data>,
        change: &Change<Self::Model>,
        state: &mut Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Reads the remote object again. `Ok(None)`: it is gone. After an error the state stays as it was.
    ///
    /// Not called while the provider's configuration is unknown; the state then stays as it was, with a warning.
    fn read(
        &self,
        context: &mut Context<Self::Data>,
        state: Self::Model,
    ) -> impl Future<Output = Result<Option<Self::Model>, Diagnostics>> + Send;

    /// Changes the remote object.
    ///
    /// `state` comes as it was before (`change.prior`), and is saved as this function leaves it whether it succeeds or not:
    /// move it towards `change.planned` step by step as the remote object follows. The default suits a resource all of
    /// whose configurable attributes require replacement: only what is stored changes.
    fn update(
        &self,
        _context: &mut Context<Self::Data>,
        change: &Change<Self::Model>,
        state: &mut Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        *state = change.planned.clone();
        async { Ok(()) }
    }

    /// Deletes the remote object; that it is gone already is a success. After an error the state stays as it was.
    fn delete(
        &self,
        context: &mut Context<Self::Data>,
        state: Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Makes the first state of an existing remote object. Terraform reads it right afterwards, so setting what
    /// [`read`](Self::read) starts from is enough.
    fn import(
        &self,
        _context: &mut Context<Self::Data>,
        _id: ImportId,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        let error = Diagnostic::error(
            "Import not supported",
            format!("{} cannot be imported.", self.type_name()),
        );
        async { Err(error.into()) }
    }

    /// Brings a state that was stored with schema version `version` to the current one. States of the current version do
    /// not come here: attributes added since are null in them, attributes dropped since are ignored.
    fn upgrade(
        &self,
        version: i64,
        _state: &RawState,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        let error = Diagnostic::error(
            "State of an unknown version",
            format!(
                "The state of this {} was stored with schema version {version}, which this version of the provider cannot \
                 read. Use the version of the provider that wrote it.",
                self.type_name()
            ),
        );
        async { Err(error.into()) }
    }

    /// Brings an identity that was stored with version `version` of the identity schema to the current one, as a value
    /// with the attributes of the current one.
    fn upgrade_identity(
        &self,
        version: i64,
        _identity: &RawState,
    ) -> Result<super::Value, Diagnostics> {
        Err(Diagnostic::error(
            "Identity of an unknown version",
            format!(
                "The identity of this {} was stored with version {version}.",
                self.type_name()
            ),
        )
        .into())
    }

    /// Whether [`move_state`](Self::move_state) is implemented.
    fn supports_move(&self) -> bool {
        false
    }

    /// Makes this resource's state from that of another type (a `moved` block). `Ok(None)`: the source is of a kind that
    /// this resource cannot take over.
    fn move_state(
        &self,
        _context: &mut Context<Self::Data>,
        _source: &MoveSource,
    ) -> impl Future<Output = Result<Option<Self::Model>, Diagnostics>> + Send {
        async { Ok(None) }
    }
}

/// What a create or update is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<M> {
    /// The configuration; the only place that has write-only attributes. Wholly known.
    pub config: M,
    /// The state before; `None` for a create.
    pub prior: Option<M>,
    /// What was planned; computed attributes may be unknown.
    pub planned: M,
}

/// What an operation on a resource is given beside its models.
pub struct Context<D> {
    /// The provider's data; `None` while the provider's configuration is unknown. See [`Self::require_data`].
    pub data: Option<Arc<D>>,
    /// Private state; saved as the operation leaves it.
    pub private: Private,
    /// Identity; saved as the operation leaves it.
    pub identity: Identity,
    /// Fires when the user interrupts Terraform: finish or give up soon, and leave the state true.
    pub cancel: CancellationToken,
    /// When the operation's time is over, from the attribute `timeouts` or its default. `None` without such an attribute.
    /// The framework does not enforce it: only the operation knows how to stop cleanly.
    pub deadline: Option<Instant>,
    /// Warnings for the user; errors too, which make the operation fail as a returned error does.
    pub diagnostics: Diagnostics,
    pub(super) created_nothing: bool,
}

impl<D> Context<D> {
    /// The provider's data.
    ///
    /// # Errors
    ///
    /// A diagnostic that explains that the provider's configuration is not known yet.
    pub fn require_data(&self) -> Result<Arc<D>, Diagnostics> {
        require_data(self.data.as_ref())
    }

    /// Tells that a create fails before there is a remote object: nothing is saved then, and the next plan creates anew.
    pub fn created_nothing(&mut self) {
        self.created_nothing = true;
    }
}

pub(super) fn require_data<D>(data: Option<&Arc<D>>) -> Result<Arc<D>, Diagnostics> {
    data.cloned().ok_or_else(|| {
        Diagnostic::error(
            "Provider not configured yet",
            "The provider's configuration depends on values that are known only after apply, and this operation needs it \
             now. Apply the resources that those values come from first, with `terraform apply -target=…`, or configure \
             the provider with values known in advance.",
        )
        .into()
    })
}

/// What [`Resource::plan`] is given beside the planned model.
pub struct PlanContext<R: Resource> {
    /// The configuration; may have unknown values.
    pub config: R::Model,
    /// The state; `None` for a create, also for the second half of a replacement.
    pub prior: Option<R::Model>,
    /// The provider's data; `None` while the provider's configuration is unknown.
    pub data: Option<Arc<R::Data>>,
    /// Private state for apply; comes as `prior_private`.
    pub private: Private,
    /// Private state of the prior state; empty for a create. For the second half of a replacement Terraform sends what
    /// the first half planned.
    pub prior_private: Private,
    /// What the first plan left in `private`, when this is a later plan of the same change and Terraform kept it
    /// (Terraform 1.16 and later).
    pub planned_private: Option<Private>,
    /// Whether Terraform will keep `private` for later plans of the same change.
    pub store_planned_private: bool,
    /// Identity; planned as this function leaves it.
    pub identity: Identity,
    /// Fires when the user interrupts Terraform.
    pub cancel: CancellationToken,
    /// Warnings for the user; errors too.
    pub diagnostics: Diagnostics,
    pub(super) requires_replace: Vec<Path>,
    pub(super) basis: Arc<PlanBasis>,
}

impl<R: Resource> PlanContext<R> {
    /// Whether this plans a create.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.prior.is_none()
    }

    /// The provider's data.
    ///
    /// # Errors
    ///
    /// A diagnostic that explains that the provider's configuration is not known yet.
    pub fn require_data(&self) -> Result<Arc<R::Data>, Diagnostics> {
        require_data(self.data.as_ref())
    }

    /// Replaces the resource because of the attribute at `path`. Has effect only where planned value and state differ.
    pub fn requires_replace(&mut self, path: impl Into<Path>) {
        self.requires_replace.push(path.into());
    }

    /// Makes the computed attributes of `planned` unknown that the configuration leaves open, except those that keep their
    /// state. The framework has done so already when the configuration differs from the state; this is for a resource
    /// that finds another reason to update.
    ///
    /// # Errors
    ///
    /// Only when schema and model differ.
    pub fn mark_computed_unknown(&self, planned: &mut R::Model) -> Result<(), Diagnostics> {
        let marked = self
            .basis
            .mark_computed_unknown(&super::ToValue::to_value(planned));
        *planned = super::FromValue::from_value(&marked, &Path::ROOT)
            .map_err(|error: super::FromValueError| Diagnostics::from(error.into_diagnostic()))?;
        Ok(())
    }
}

/// What is to be imported.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportId {
    /// The text given to `terraform import` or as `id` of an `import` block.
    Id(String),
    /// The `identity` of an `import` block (Terraform 1.12 and later), of the identity schema's type.
    Identity(Identity),
}

/// The source of a move from another resource type.
#[derive(Debug)]
pub struct MoveSource {
    /// Full address of its provider: `registry.terraform.io/hashicorp/aws`.
    pub provider_address: String,
    /// Its resource type.
    pub type_name: String,
    /// Schema version its state was stored with.
    pub schema_version: i64,
    /// Its state.
    pub state: RawState,
    /// Its private state, as its own provider wrote it.
    pub private: Vec<u8>,
}

pub(super) use super::managed::{ErasedResource, Managed};
