//! What a resource remembers beside its state: private state (for the provider alone) and identity (for Terraform too).

use std::collections::BTreeMap;

use super::model::{FromValue, FromValueError, ToValue};
use super::path::Path;
use super::value::Value;

/// Private state: JSON values by key, which Terraform stores with the resource and shows to nobody.
///
/// It flows from plan to apply, from apply to state, from state to the next read and plan. Nothing in memory survives
/// between them: each runs in another process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Private {
    entries: BTreeMap<String, serde_json::Value>,
}

/// The bytes are not private state written by this framework.
#[derive(Debug, thiserror::Error)]
#[error("the resource's private state is not a JSON object: {0}")]
pub struct PrivateError(#[from] serde_json::Error);

impl Private {
    /// The value stored under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&serde_json::Value> {
        self.entries.get(key)
    }

    /// The string stored under `key`.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(serde_json::Value::as_str)
    }

    /// Stores `value` under `key`.
    pub fn set(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        self.entries.insert(key.to_owned(), value.into());
    }

    /// Forgets what is stored under `key`, and returns it.
    pub fn remove(&mut self, key: &str) -> Option<serde_json::Value> {
        self.entries.remove(key)
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads what [`Self::to_bytes`] wrote; no bytes are no entries.
    ///
    /// # Errors
    ///
    /// [`PrivateError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PrivateError> {
        let entries = if bytes.is_empty() {
            BTreeMap::new()
        } else {
            serde_json::from_slice(bytes)?
        };
        Ok(Self { entries })
    }

    /// A JSON object, or no bytes when nothing is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        serde_json::Value::Object(self.entries.clone().into_iter().collect())
            .to_string()
            .into_bytes()
    }
}

/// The identity of the remote object; unset until the resource sets it, and for resources without identity schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity(Option<Value>);

impl Identity {
    pub(super) fn new(value: Option<Value>) -> Self {
        Self(value.filter(|value| !value.is_null()))
    }

    pub(super) fn value(&self) -> Option<&Value> {
        self.0.as_ref()
    }

    /// Reads the identity as a model.
    ///
    /// # Errors
    ///
    /// When it does not fit the model.
    pub fn get<M: FromValue>(&self) -> Result<Option<M>, FromValueError> {
        self.0
            .as_ref()
            .map(|value| M::from_value(value, &Path::ROOT))
            .transpose()
    }

    /// Sets the identity from a model with the attributes of the identity schema.
    pub fn set(&mut self, identity: &impl ToValue) {
        self.0 = Some(identity.to_value());
    }
}
