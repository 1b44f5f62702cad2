//! Terraform's plugin protocol, version 6: a small framework to write a provider with.
//!
//! Knows neither AWS nor MCP. Enters: Terraform's or OpenTofu's calls. Leaves: the calls of the traits [`Provider`],
//! [`Resource`], [`DataSource`] and [`Function`], in terms of typed models. Their authors never see protocol types or
//! bytes.
//!
//! # Layout, as a call passes through
//!
//! `rpc` (one thin file per group of calls) → `wire` (protocol types) → `msgpack`, `json` (bytes) → [`value`],
//! [`value_type`] → [`schema`], [`validators`], `plan`, `apply` (the rules) → [`model`] → [`resource`], [`data_source`],
//! [`function`] (the author's code), and back.
//!
//! # Example
//!
//! ```
//! use mcplambda::model;
//! use mcplambda::plugin::{
//!     Attr, Attribute, Change, Context, Diagnostic, Diagnostics, PlanContext, Resource, Schema, validators,
//! };
//!
//! model! {
//!     pub struct Bucket {
//!         pub id: String,
//!         pub name: String,
//!         pub size: i64,
//!         pub tags: std::collections::BTreeMap<String, String>,
//!     }
//! }
//!
//! struct BucketResource;
//! struct Client; // What the provider's `configure` makes.
//!
//! impl Resource for BucketResource {
//!     type Model = Bucket;
//!     type Data = Client;
//!
//!     fn type_name(&self) -> &str {
//!         "sink_bucket"
//!     }
//!
//!     fn schema(&self) -> Schema {
//!         let name = validators::length_at_most(64);
//!         Schema::new()
//!             .attribute("id", Attribute::string().computed().use_state_for_unknown())
//!             .attribute("name", Attribute::string().required().validate(name).requires_replace())
//!             .attribute("size", Attribute::integer().default(10).description("Litres."))
//!             .attribute("tags", Attribute::map(mcplambda::plugin::ValueType::String).optional())
//!     }
//!
//!     async fn create(
//!         &self,
//!         context: &mut Context<Client>,
//!         change: &Change<Bucket>,
//!         state: &mut Bucket, // Comes as planned; saved as it is left, also on failure.
//!     ) -> Result<(), Diagnostics> {
//!         let _client = context.require_data()?;
//!         let Some(name) = change.planned.name.as_str() else {
//!             context.created_nothing();
//!             return Err(Diagnostic::error("No name", "Set a name.").at("name").into());
//!         };
//!         state.id = Attr::Known(format!("bucket-{name}"));
//!         context.private.set("etag", "1");
//!         Ok(())
//!     }
//!
//!     async fn read(&self, _: &mut Context<Client>, state: Bucket) -> Result<Option<Bucket>, Diagnostics> {
//!         Ok(Some(state)) // `None`: gone.
//!     }
//!
//!     async fn delete(&self, _: &mut Context<Client>, _: Bucket) -> Result<(), Diagnostics> {
//!         Ok(())
//!     }
//! }
//! ```

pub mod data_source;
pub mod debug;
pub mod diagnostics;
pub mod docs;
pub mod duration;
pub mod function;
pub mod handshake;
pub mod json;
pub mod lifetime;
pub mod listen;
pub mod log;
pub mod model;
pub mod msgpack;
pub mod number;
pub mod path;
pub mod private;
pub mod provider;
pub mod raw_state;
pub mod resource;
pub mod schema;
pub mod serve;
pub mod services;
pub mod tfplugin6;
pub mod tls;
pub mod validators;
pub mod value;
pub mod value_type;

mod apply;
mod check;
mod conform;
mod managed;
mod plan;
mod rpc;
mod server;
mod validate;
mod wire;

pub use check::SchemaUse;
pub use data_source::{DataSource, DataSourceContext};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use function::{Arguments, Function, FunctionError, Parameter, Signature};
pub use model::{Attr, Empty, FromValue, FromValueError, Model, ToValue};
pub use number::Number;
pub use path::{Path, Step};
pub use private::{Identity, Private};
pub use provider::{ConfigureContext, Offers, Provider};
pub use raw_state::RawState;
pub use resource::{Change, Context, ImportId, MoveSource, PlanContext, Resource};
pub use schema::{
    Attribute, AttributeKind, Attributes, Block, BlockNesting, IdentitySchema, NestedBlock,
    Nesting, RequiresReplace, Schema,
};
pub use serve::{ServeOptions, serve};
pub use server::Server;
pub use validators::Validator;
pub use value::{Refinement, Value, ValueSet};
pub use value_type::ValueType;
