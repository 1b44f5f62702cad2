//! Overlay: layers. moto knows that they exist; functions need what is in them.
//!
//! Enters: PublishLayerVersion. Leaves: its content, for the functions that name the version. It refuses what Lambda refuses of a zip;
//! whether a function's layers exist is for moto to judge.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::book::FunctionKey;
use super::{Incoming, Lambda, Stop, lock, object};
use crate::reply::{self, Reply};

impl Lambda {
    pub(super) async fn publish_layer(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        let content = request.get("Content").unwrap_or(&Value::Null);
        let code = self.code_of(key, content, &incoming).await?;
        let (status, answer) = self.ask(incoming.request).await?;
        if let (Some(code), Some(arn)) = (code, answer["LayerVersionArn"].as_str()) {
            lock(&self.layers).insert(arn.to_owned(), code);
        }
        Ok(reply::json(status, &answer))
    }

    /// The directory that a function of this configuration sees as `/opt`; `None` when it has no layers.
    ///
    /// # Errors
    ///
    /// A sentence that names the layer that was not published here, or the entry that could not be unpacked.
    pub(super) fn layers_of(
        &self,
        configuration: &Map<String, Value>,
    ) -> Result<Option<PathBuf>, String> {
        let listed = configuration.get("Layers").and_then(Value::as_array);
        let mut codes = Vec::new();
        for layer in listed.into_iter().flatten() {
            let arn = layer["Arn"].as_str().unwrap_or_default();
            let code = lock(&self.layers).get(arn).cloned();
            codes.push(code.ok_or_else(|| format!("the layer {arn} was not published here"))?);
        }
        match codes.is_empty() {
            true => Ok(None),
            false => self.codes.merged(&codes).map(Some),
        }
    }
}
