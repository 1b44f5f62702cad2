//! The two eras of MCP, and which one a caller or a server is of. Pure: text in, text out. What crosses from one to the other is edited in `outgoing` and
//! `incoming`.
//!
//! Legacy is the `initialize` handshake (2024-11-05 to 2025-11-25); modern is 2026-07-28, where every request carries its protocol version in
//! `params._meta`. Enters: a server's answers to the handshake, a caller's `params`. Leaves: a [`Server`], a [`CallerEra`]. Source: MCP specification,
//! versions 2025-11-25 and 2026-07-28.

use serde_json::Value;

use crate::incoming::CallerError;
use crate::json::{self, Object};
use crate::jsonrpc::{ErrorObject, code};

/// The modern protocol version that the bridge speaks.
pub(crate) const MODERN_VERSION: &str = "2026-07-28";
/// The handshake versions that the bridge speaks, oldest first.
pub(crate) const LEGACY_VERSIONS: [&str; 4] =
    ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// What the bridge offers in a handshake, and answers to callers that offer a version which it does not know.
pub(crate) const NEWEST_LEGACY_VERSION: &str = "2025-11-25";

/// Keys of `_meta` that only the modern era knows begin with this; a dual-era server in legacy mode refuses requests that carry them.
const RESERVED_PREFIX: &str = "io.modelcontextprotocol/";
pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(crate) const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
pub(crate) const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// Who the bridge says it is.
pub(crate) const BRIDGE_INFO: &str = concat!(
    r#"{"name":"mcplambda-bridge","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// Which family of protocol versions a caller or a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

/// What the server said of itself at its start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    pub(crate) era: Era,
    /// The version that the two sides settled on.
    pub(crate) protocol_version: String,
    pub(crate) info: Value,
    pub(crate) capabilities: Value,
    pub(crate) instructions: Option<Value>,
}

impl Server {
    /// The server's name as it gives it.
    pub(crate) fn name(&self) -> &str {
        self.info["name"].as_str().unwrap_or("(unnamed)")
    }

    /// The server's version as it gives it.
    pub(crate) fn version(&self) -> &str {
        self.info["version"].as_str().unwrap_or("(no version)")
    }

    /// The `result` of an `initialize` of a legacy caller that offers `requested`; `hears`: notifications can reach it during a call.
    pub(crate) fn initialize_result(&self, requested: Option<&str>, hears: bool) -> String {
        let version = LEGACY_VERSIONS
            .into_iter()
            .find(|version| Some(*version) == requested)
            .unwrap_or(NEWEST_LEGACY_VERSION);
        let mut result = serde_json::json!({"protocolVersion": version, "capabilities": honoured(&self.capabilities, hears), "serverInfo": self.info});
        if let Some(instructions) = &self.instructions {
            result["instructions"] = instructions.clone();
        }
        result.to_string()
    }

    /// The `result` of a `server/discover` of a modern caller; `hears`: notifications can reach it during a call.
    pub(crate) fn discover_result(&self, hears: bool) -> String {
        let mut result = serde_json::json!({
            "resultType": "complete",
            "supportedVersions": [MODERN_VERSION],
            "capabilities": honoured(&self.capabilities, hears),
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {META_SERVER: self.info},
        });
        if let Some(instructions) = &self.instructions {
            result["instructions"] = instructions.clone();
        }
        result.to_string()
    }
}

/// The server's capabilities without those that a function which answers one event at a time cannot honour: notices of changes and subscriptions, because
/// the change may be made in another execution environment; tasks, which would die with theirs; log notifications, unless the caller hears them.
fn honoured(capabilities: &Value, hears: bool) -> Value {
    let mut capabilities = capabilities.clone();
    if let Some(members) = capabilities.as_object_mut() {
        if !hears {
            members.remove("logging");
        }
        members.remove("tasks");
        for kind in ["tools", "prompts", "resources"] {
            if let Some(kind) = members.get_mut(kind).and_then(Value::as_object_mut) {
                kind.remove("listChanged");
                kind.remove("subscribe");
            }
        }
        if let Some(extensions) = members.get_mut("extensions").and_then(Value::as_object_mut) {
            extensions.remove("io.modelcontextprotocol/tasks");
        }
    }
    capabilities
}

/// `params` of the bridge's own `initialize`.
pub(crate) fn initialize_params() -> String {
    format!(
        r#"{{"protocolVersion":"{NEWEST_LEGACY_VERSION}","capabilities":{{}},"clientInfo":{BRIDGE_INFO}}}"#
    )
}

/// Reads the answer to `server/discover`; `None` when it is no discovery that lists [`MODERN_VERSION`], so that the server is a legacy one.
pub(crate) fn read_discovery(result: &str) -> Option<Server> {
    let result: Value = serde_json::from_str(result).ok()?;
    if !lists(result.get("supportedVersions")?, &[MODERN_VERSION]) {
        return None;
    }
    Some(Server {
        era: Era::Modern,
        protocol_version: MODERN_VERSION.to_owned(),
        info: result["_meta"]
            .get(META_SERVER)
            .cloned()
            .unwrap_or_else(unnamed),
        capabilities: result
            .get("capabilities")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({})),
        instructions: result.get("instructions").cloned(),
    })
}

/// Reads the answer to `initialize`.
///
/// # Errors
///
/// A sentence when the server chose a version that the bridge does not speak, or none.
pub(crate) fn read_initialize(result: &str) -> Result<Server, String> {
    let result: Value = serde_json::from_str(result)
        .map_err(|error| format!("its answer to initialize is not readable: {error}"))?;
    let Some(version) = result["protocolVersion"].as_str() else {
        return Err("its answer to initialize names no protocol version".to_owned());
    };
    if !LEGACY_VERSIONS.contains(&version) {
        return Err(format!(
            "it chose protocol version {version}, which is none of {}",
            LEGACY_VERSIONS.join(", ")
        ));
    }
    Ok(Server {
        era: Era::Legacy,
        protocol_version: version.to_owned(),
        info: result.get("serverInfo").cloned().unwrap_or_else(unnamed),
        capabilities: result
            .get("capabilities")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({})),
        instructions: result.get("instructions").cloned(),
    })
}

/// Whether an "unsupported protocol version" error says that the server would speak [`MODERN_VERSION`].
pub(crate) fn error_lists_modern(error: &ErrorObject) -> bool {
    error
        .data
        .as_deref()
        .and_then(|data| serde_json::from_str::<Value>(data).ok())
        .is_some_and(|data| lists(&data["supported"], &[MODERN_VERSION]))
}

fn lists(versions: &Value, wanted: &[&str]) -> bool {
    versions.as_array().is_some_and(|versions| {
        versions
            .iter()
            .filter_map(Value::as_str)
            .any(|version| wanted.contains(&version))
    })
}

fn unnamed() -> Value {
    serde_json::json!({"name": "(unnamed)", "version": ""})
}

/// What a caller's `params` say of its era.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallerEra {
    Legacy,
    Modern,
    /// A modern request for a version that the bridge does not speak.
    Unsupported {
        requested: String,
    },
    /// A modern request that lacks a member which every one must have.
    Incomplete {
        missing: &'static str,
    },
}

/// Finds the caller's era. A request is modern when its `_meta` names a protocol version, whichever that is.
pub(crate) fn caller_era(params: Option<&str>) -> CallerEra {
    let Some(meta) = params
        .and_then(|params| Object::parse(params.as_bytes()))
        .and_then(|params| params.get_borrowed("_meta"))
    else {
        return CallerEra::Legacy;
    };
    let Some(meta) = Object::parse(meta.as_bytes()) else {
        return CallerEra::Legacy;
    };
    let Some(version) = meta.get(META_VERSION) else {
        return CallerEra::Legacy;
    };
    match json::string(version) {
        None => CallerEra::Incomplete {
            missing: META_VERSION,
        },
        Some(version) if version != MODERN_VERSION => CallerEra::Unsupported {
            requested: version.into_owned(),
        },
        Some(_)
            if meta
                .get(META_CAPABILITIES)
                .is_none_or(|capabilities| !capabilities.starts_with('{')) =>
        {
            CallerEra::Incomplete {
                missing: META_CAPABILITIES,
            }
        }
        Some(_) => CallerEra::Modern,
    }
}

/// Whether a key of `_meta` belongs to the modern era.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_PREFIX)
}

/// Removes what only the modern era knows from an object's `_meta`, and `_meta` itself when nothing else is in it.
pub(crate) fn strip_reserved_meta(object: &mut Object<'_>) {
    let Some(mut meta) = object
        .get_borrowed("_meta")
        .and_then(|meta| Object::parse(meta.as_bytes()))
    else {
        return;
    };
    meta.retain(|key| !is_reserved(key));
    if meta.is_empty() {
        object.remove("_meta");
    } else {
        object.set("_meta", meta.to_text());
    }
}

/// The error for a caller of the modern era who asks for a version that the bridge does not speak.
pub(crate) fn unsupported_version(requested: &str) -> CallerError {
    let data =
        serde_json::json!({"supported": [MODERN_VERSION], "requested": requested}).to_string();
    CallerError::new(
        code::UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        Some(&data),
    )
}
