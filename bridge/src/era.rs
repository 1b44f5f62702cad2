//! The two eras of MCP, and what a message needs to cross from one to the other. Pure: text in, text out.
//!
//! Legacy is the `initialize` handshake (2024-11-05 to 2025-11-25); modern is 2026-07-28, where every request carries its protocol version in
//! `params._meta`. Enters: raw `params`, `result` and `error` members. Leaves: the same text where both sides are of one era, else the text edited on its
//! outermost levels. Source: MCP specification, versions 2025-11-25 and 2026-07-28.

use serde_json::Value;

use crate::json::{self, Object};
use crate::jsonrpc::{ErrorObject, code, error_text};

/// The modern protocol version that the bridge speaks.
pub(crate) const MODERN_VERSION: &str = "2026-07-28";
/// The handshake versions that the bridge speaks, oldest first.
pub(crate) const LEGACY_VERSIONS: [&str; 4] =
    ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// What the bridge offers in a handshake, and answers to callers that offer a version which it does not know.
pub(crate) const NEWEST_LEGACY_VERSION: &str = "2025-11-25";

/// Keys of `_meta` that only the modern era knows begin with this; a dual-era server in legacy mode refuses requests that carry them.
const RESERVED_PREFIX: &str = "io.modelcontextprotocol/";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

const BRIDGE_INFO: &str = concat!(
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

    /// The `result` of an `initialize` of a legacy caller that offers `requested`.
    pub(crate) fn initialize_result(&self, requested: Option<&str>) -> String {
        let version = LEGACY_VERSIONS
            .into_iter()
            .find(|version| Some(*version) == requested)
            .unwrap_or(NEWEST_LEGACY_VERSION);
        let mut result = serde_json::json!({"protocolVersion": version, "capabilities": honoured(&self.capabilities), "serverInfo": self.info});
        if let Some(instructions) = &self.instructions {
            result["instructions"] = instructions.clone();
        }
        result.to_string()
    }

    /// The `result` of a `server/discover` of a modern caller.
    pub(crate) fn discover_result(&self) -> String {
        let mut result = serde_json::json!({
            "resultType": "complete",
            "supportedVersions": [MODERN_VERSION],
            "capabilities": honoured(&self.capabilities),
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

/// The server's capabilities without those that a function which answers one event at a time cannot honour: notices of changes, subscriptions, log
/// notifications and tasks, which would die with the execution environment.
fn honoured(capabilities: &Value) -> Value {
    let mut capabilities = capabilities.clone();
    if let Some(members) = capabilities.as_object_mut() {
        members.remove("logging");
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

/// `params` of the bridge's own `server/discover`.
pub(crate) fn discover_params() -> String {
    format!(r#"{{"_meta":{}}}"#, modern_meta(Object::default()))
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

/// `params` as the server has to get them. `None` in: the request had none.
pub(crate) fn params_for_server(params: Option<&str>, caller: Era, server: Era) -> Option<String> {
    match (caller, server) {
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => params.map(str::to_owned),
        (Era::Legacy, Era::Modern) => {
            let mut object = params
                .and_then(|params| Object::parse(params.as_bytes()))
                .unwrap_or_default();
            let meta = object
                .get_borrowed("_meta")
                .and_then(|meta| Object::parse(meta.as_bytes()))
                .unwrap_or_default();
            object.set("_meta", modern_meta(meta));
            Some(object.to_text())
        }
        (Era::Modern, Era::Legacy) => {
            let mut object = Object::parse(params?.as_bytes())?;
            strip_reserved_meta(&mut object);
            Some(object.to_text())
        }
    }
}

/// Removes what only the modern era knows from an object's `_meta`, and `_meta` itself when nothing else is in it.
fn strip_reserved_meta(object: &mut Object<'_>) {
    let Some(mut meta) = object
        .get_borrowed("_meta")
        .and_then(|meta| Object::parse(meta.as_bytes()))
    else {
        return;
    };
    meta.retain(|key| !key.starts_with(RESERVED_PREFIX));
    if meta.is_empty() {
        object.remove("_meta");
    } else {
        object.set("_meta", meta.to_text());
    }
}

/// A `_meta` with what every modern request must carry, beside what the caller's own `_meta` held.
fn modern_meta(mut meta: Object<'_>) -> String {
    meta.retain(|key| !key.starts_with(RESERVED_PREFIX));
    meta.set(META_VERSION, json::quote(MODERN_VERSION));
    meta.set(META_CAPABILITIES, "{}");
    meta.set(META_CLIENT, BRIDGE_INFO);
    meta.to_text()
}

/// A server's `result` as the caller has to get it; `None` when it can be passed on as it is.
pub(crate) fn result_for_caller(
    result: &str,
    method: &str,
    caller: Era,
    server: &Server,
) -> Option<String> {
    match (caller, server.era) {
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => None,
        (Era::Legacy, Era::Modern) => {
            let mut object = Object::parse(result.as_bytes())?;
            for key in ["resultType", "ttlMs", "cacheScope"] {
                object.remove(key);
            }
            strip_reserved_meta(&mut object);
            if method == "tools/call" {
                drop_structured_value(&mut object);
            }
            if method == "tools/list" {
                edit_tools(&mut object, |tool| {
                    // A legacy tool can promise nothing but an object.
                    if tool
                        .get("outputSchema")
                        .is_some_and(|schema| !has_object_root(schema))
                    {
                        tool.remove("outputSchema");
                    }
                });
            }
            Some(object.to_text())
        }
        (Era::Modern, Era::Legacy) => {
            let mut object = Object::parse(result.as_bytes())?;
            if method == "tools/list" {
                edit_tools(&mut object, |tool| {
                    tool.remove("execution");
                    if let Some(mut schema) = tool
                        .get_borrowed("inputSchema")
                        .and_then(|schema| Object::parse(schema.as_bytes()))
                        && schema.get("type").is_none()
                    {
                        schema.set("type", r#""object""#);
                        tool.set("inputSchema", schema.to_text());
                    }
                });
            }
            if object.get("resultType").is_none() {
                object.set("resultType", r#""complete""#);
            }
            if matches!(
                method,
                "tools/list"
                    | "prompts/list"
                    | "resources/list"
                    | "resources/templates/list"
                    | "resources/read"
            ) {
                if object.get("ttlMs").is_none() {
                    object.set("ttlMs", "0");
                }
                if object.get("cacheScope").is_none() {
                    object.set("cacheScope", r#""private""#);
                }
            }
            let mut meta = object
                .get_borrowed("_meta")
                .and_then(|meta| Object::parse(meta.as_bytes()))
                .unwrap_or_default();
            meta.set(META_SERVER, server.info.to_string());
            object.set("_meta", meta.to_text());
            Some(object.to_text())
        }
    }
}

/// `structuredContent` that is no object has no place in a legacy result: it goes, and the text keeps it if there is no other content.
fn drop_structured_value(result: &mut Object<'_>) {
    let Some(value) = result
        .get("structuredContent")
        .filter(|value| !value.starts_with('{'))
        .map(str::to_owned)
    else {
        return;
    };
    result.remove("structuredContent");
    if result
        .get("content")
        .and_then(json::elements)
        .is_none_or(|content| content.is_empty())
    {
        result.set(
            "content",
            format!(r#"[{{"type":"text","text":{}}}]"#, json::quote(&value)),
        );
    }
}

fn edit_tools(result: &mut Object<'_>, edit: impl Fn(&mut Object<'_>)) {
    let Some(tools) = result.get("tools").and_then(json::elements) else {
        return;
    };
    let edited: Vec<String> = tools
        .into_iter()
        .map(|text| match Object::parse(text.as_bytes()) {
            Some(mut tool) => {
                edit(&mut tool);
                tool.to_text()
            }
            None => text.to_owned(),
        })
        .collect();
    result.set("tools", format!("[{}]", edited.join(",")));
}

fn has_object_root(schema: &str) -> bool {
    Object::parse(schema.as_bytes()).is_some_and(|schema| schema.get("type") == Some(r#""object""#))
}

/// What a modern server wants from its client before it goes on, in words; `None` for a finished result. A caller that cannot be asked gets this as the
/// tool's error.
pub(crate) fn wanted_input(result: &str) -> Option<String> {
    let object = Object::parse(result.as_bytes())?;
    if object.get("resultType") != Some(r#""input_required""#) {
        return None;
    }
    let requests = object
        .get("inputRequests")
        .and_then(|requests| Object::parse(requests.as_bytes()));
    let wanted: Vec<String> = requests
        .iter()
        .flat_map(|requests| requests.keys().map(|key| (key, requests.get(key))))
        .map(|(key, request)| {
            let method = request
                .and_then(|request| Object::parse(request.as_bytes()))
                .and_then(|request| {
                    request
                        .get("method")
                        .and_then(json::string)
                        .map(|m| m.into_owned())
                });
            format!(
                "`{key}` ({})",
                method.as_deref().unwrap_or("unknown request")
            )
        })
        .collect();
    Some(if wanted.is_empty() {
        "a further round of the same request".to_owned()
    } else {
        wanted.join(", ")
    })
}

/// A server's `error` as the caller has to get it.
pub(crate) fn error_for_caller(error: &str, caller: Era, server: Era) -> String {
    let Some(parsed) = ErrorObject::parse(error) else {
        return error_text(
            code::INTERNAL_ERROR,
            "the MCP server answered with an error that has no code",
            Some(error),
        );
    };
    match (caller, server) {
        (Era::Modern, Era::Legacy) if parsed.code == code::RESOURCE_NOT_FOUND_LEGACY => error_text(
            code::INVALID_PARAMS,
            &parsed.message,
            parsed.data.as_deref(),
        ),
        // Codes of the modern era mean nothing to a legacy caller, who could not have caused them either.
        (Era::Legacy, Era::Modern)
            if (code::UNSUPPORTED_PROTOCOL_VERSION..=code::HEADER_MISMATCH)
                .contains(&parsed.code) =>
        {
            error_text(
                code::INTERNAL_ERROR,
                &parsed.message,
                parsed.data.as_deref(),
            )
        }
        _ => error.to_owned(),
    }
}
