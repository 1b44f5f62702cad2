//! A server's reply as the caller has to get it. Pure: text in, text out.
//!
//! Enters: raw `result` and `error` members. Leaves: the same text where both sides are of one era, else the text edited on its outermost levels. Source: MCP
//! specification, versions 2025-11-25 and 2026-07-28.

use crate::era::{Era, META_SERVER, Server, strip_reserved_meta};
use crate::json::{self, Object};
use crate::jsonrpc::{ErrorObject, code, error_text};

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

/// What a modern server wants from its client before it goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Input of the client's, in words.
    Input(String),
    /// Only to be asked again, with this `requestState`, raw.
    Again { state: String },
}

/// What a modern server wants; `None` for a finished result. A caller that cannot be asked gets the wanted input as the tool's error.
pub(crate) fn wanted(result: &str) -> Option<Wanted> {
    let object = Object::parse(result.as_bytes())?;
    if object.get("resultType") != Some(r#""input_required""#) {
        return None;
    }
    let requests = object
        .get("inputRequests")
        .and_then(|requests| Object::parse(requests.as_bytes()))
        .unwrap_or_default();
    if requests.is_empty() {
        return Some(match object.get("requestState") {
            Some(state) => Wanted::Again {
                state: state.to_owned(),
            },
            None => Wanted::Input("something that it did not name".to_owned()),
        });
    }
    let wanted: Vec<String> = requests
        .keys()
        .map(|key| {
            let method = requests
                .get(key)
                .and_then(|request| Object::parse(request.as_bytes()))
                .and_then(|request| {
                    request
                        .get("method")
                        .and_then(json::string)
                        .map(|method| method.into_owned())
                });
            format!(
                "`{key}` ({})",
                method.as_deref().unwrap_or("unknown request")
            )
        })
        .collect();
    Some(Wanted::Input(wanted.join(", ")))
}

/// A server's `error` as the caller has to get it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallerError {
    pub(crate) code: i64,
    /// The raw error object.
    pub(crate) text: String,
}

impl CallerError {
    /// An error of the bridge's own.
    pub(crate) fn new(code: i64, message: &str, data: Option<&str>) -> Self {
        Self {
            code,
            text: error_text(code, message, data),
        }
    }
}

/// Translates a server's `error` to a request for `method`.
pub(crate) fn error_for_caller(
    error: &str,
    method: &str,
    caller: Era,
    server: &Server,
) -> CallerError {
    let Some(parsed) = ErrorObject::parse(error) else {
        return CallerError::new(
            code::INTERNAL_ERROR,
            "the MCP server answered with an error that has no code",
            Some(error),
        );
    };
    let recoded = |code| CallerError::new(code, &parsed.message, parsed.data.as_deref());
    match (caller, server.era) {
        // Servers of the handshake era also say "invalid params" to a method that they do not have.
        (Era::Modern, Era::Legacy)
            if matches!(parsed.code, code::METHOD_NOT_FOUND | code::INVALID_PARAMS)
                && lacks_capability(method, server) =>
        {
            recoded(code::METHOD_NOT_FOUND)
        }
        (Era::Modern, Era::Legacy) if parsed.code == code::RESOURCE_NOT_FOUND_LEGACY => {
            recoded(code::INVALID_PARAMS)
        }
        (Era::Modern, Era::Legacy) if parsed.code == code::URL_ELICITATION_REQUIRED => {
            recoded(code::INTERNAL_ERROR)
        }
        (Era::Legacy, Era::Modern)
            if method == "resources/read"
                && parsed.code == code::INVALID_PARAMS
                && names_a_uri(parsed.data.as_deref()) =>
        {
            recoded(code::RESOURCE_NOT_FOUND_LEGACY)
        }
        // Codes of the modern era mean nothing to a legacy caller, who could not have caused them either.
        (Era::Legacy, Era::Modern)
            if (code::UNSUPPORTED_PROTOCOL_VERSION..=code::HEADER_MISMATCH)
                .contains(&parsed.code) =>
        {
            recoded(code::INTERNAL_ERROR)
        }
        _ => CallerError {
            code: parsed.code,
            text: error.to_owned(),
        },
    }
}

/// The capability that a modern server found its client to lack, in words; `None` for any other error.
pub(crate) fn missing_capability(error: &str) -> Option<String> {
    let error = ErrorObject::parse(error)?;
    (error.code == code::MISSING_CLIENT_CAPABILITY).then_some(error.message)
}

fn lacks_capability(method: &str, server: &Server) -> bool {
    let family = match method.split_once('/') {
        Some((family @ ("tools" | "prompts" | "resources"), _)) => family,
        Some(("completion", _)) => "completions",
        _ => return false,
    };
    server.capabilities.get(family).is_none()
}

fn names_a_uri(data: Option<&str>) -> bool {
    data.and_then(|data| Object::parse(data.as_bytes()))
        .is_some_and(|data| data.get("uri").is_some())
}
