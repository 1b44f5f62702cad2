//! A state as Terraform stored it: JSON in the layout of the schema version that wrote it.

use super::conform;
use super::diagnostics::{Diagnostic, Diagnostics};
use super::json;
use super::model::{FromValueError, Model};
use super::path::Path;
use super::schema::Schema;
use super::value::Value;
use super::value_type::ValueType;

/// A stored state or identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawState {
    json: Vec<u8>,
}

impl RawState {
    /// The state with this JSON text.
    pub fn new(json: impl Into<Vec<u8>>) -> Self {
        Self { json: json.into() }
    }

    /// The JSON document. Numbers beyond 64 bits lose precision; [`Self::value`] keeps them.
    ///
    /// # Errors
    ///
    /// A diagnostic when it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value, Diagnostics> {
        serde_json::from_slice(&self.json).map_err(|error| unreadable(&error.to_string()).into())
    }

    /// The state read with a schema: attributes that it lacks are null, attributes that the schema lacks are dropped.
    ///
    /// # Errors
    ///
    /// A diagnostic that names the attribute whose value has another type.
    pub fn value(&self, schema: &Schema) -> Result<Value, Diagnostics> {
        Ok(conform::fill_blocks(
            &schema.block,
            self.typed(&schema.value_type())?,
        ))
    }

    /// The state read with a schema, as that schema's model.
    ///
    /// # Errors
    ///
    /// As [`Self::value`], and when it does not fit the model.
    pub fn model<M: Model>(&self, schema: &Schema) -> Result<M, Diagnostics> {
        let value = self.value(schema)?;
        M::from_value(&value, &Path::ROOT)
            .map_err(|error: FromValueError| error.into_diagnostic().into())
    }

    pub(super) fn typed(&self, value_type: &ValueType) -> Result<Value, Diagnostics> {
        json::decode(&self.json, value_type, json::Missing::Null)
            .map_err(|error| unreadable(&error.to_string()).at(error.path).into())
    }
}

fn unreadable(problem: &str) -> Diagnostic {
    Diagnostic::error(
        "Stored state not readable",
        format!("{problem}. The state was edited, or written by another version of the provider."),
    )
}
