//! An image's configuration in, how it is started out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How an image says that it is started (OCI image specification, "image configuration", `config`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Startup {
    /// `Entrypoint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// `Cmd`: what follows the entry point unless the command line says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// `WorkingDir`; empty where the image has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
}

impl Startup {
    /// As the manifest keeps it: the same on every machine.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads the configuration; `null` and absent are the same there.
    pub(crate) fn read(config: &Value) -> Self {
        let list = |name: &str| {
            let words = config["config"][name].as_array();
            let words = words.into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        Self {
            entrypoint: list("Entrypoint"),
            command: list("Cmd"),
            directory: config["config"]["WorkingDir"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}
