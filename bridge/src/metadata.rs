//! What an HTTP request says of itself in headers, held against its body: protocol version, method, name.
//!
//! Enters: the headers and the message. Leaves: the era of the caller. Refuses, with status and error: what the specification has a server refuse, in the order
//! in which its reference implementations check. Pure. Source: MCP specification 2026-07-28, "Streamable HTTP", "Request Metadata" and "Backward
//! Compatibility".

use std::borrow::Cow;

use crate::era::{
    CallerEra, Era, LEGACY_VERSIONS, MODERN_VERSION, caller_era, unsupported_version,
};
use crate::http::{HttpRequest, decode_header_value};
use crate::incoming::CallerError;
use crate::json::{self, Object};
use crate::jsonrpc::code;

const VERSION: &str = "mcp-protocol-version";

/// Why a request is not served.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) error: CallerError,
}

/// The protocol version that the headers name.
pub(crate) fn version_header<'a>(http: &'a HttpRequest<'_>) -> Option<Cow<'a, str>> {
    http.header(VERSION)
}

/// HTTP status of a JSON-RPC error to a caller of the modern era.
pub(crate) fn status_of(error: i64) -> u16 {
    match error {
        code::METHOD_NOT_FOUND => 404,
        code::PARSE_ERROR
        | code::INVALID_REQUEST
        | code::INVALID_PARAMS
        | code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_PROTOCOL_VERSION => 400,
        _ => 200,
    }
}

/// Checks a notification: only a version that nobody speaks is refused.
pub(crate) fn check_notification(http: &HttpRequest<'_>) -> Result<(), CallerError> {
    match version_header(http) {
        Some(version) if version != MODERN_VERSION && !LEGACY_VERSIONS.contains(&&*version) => {
            Err(unsupported_version(&version))
        }
        _ => Ok(()),
    }
}

/// Checks a request and finds its caller's era.
pub(crate) fn check_request(
    http: &HttpRequest<'_>,
    method: &str,
    params: Option<&str>,
) -> Result<Era, Refused> {
    let refuse = |error: CallerError| Refused {
        status: status_of(error.code),
        error,
    };
    let mismatch =
        |message: String| refuse(CallerError::new(code::HEADER_MISMATCH, &message, None));
    let of_body = caller_era(params);
    let Some(version) = version_header(http) else {
        return match of_body {
            CallerEra::Legacy => Ok(Era::Legacy),
            _ if method == "initialize" => Ok(Era::Legacy),
            _ => Err(mismatch(
                "the header MCP-Protocol-Version is missing".to_owned(),
            )),
        };
    };
    if LEGACY_VERSIONS.contains(&&*version) {
        return Ok(Era::Legacy);
    }
    let in_body = match &of_body {
        CallerEra::Legacy => {
            return Err(refuse(CallerError::new(
                code::INVALID_PARAMS,
                "params._meta lacks `io.modelcontextprotocol/protocolVersion`",
                None,
            )));
        }
        CallerEra::Incomplete { missing } => {
            return Err(refuse(CallerError::new(
                code::INVALID_PARAMS,
                &format!("params._meta lacks a valid `{missing}`"),
                None,
            )));
        }
        CallerEra::Unsupported { requested } => requested.as_str(),
        CallerEra::Modern => MODERN_VERSION,
    };
    if version != in_body {
        return Err(mismatch(format!(
            "the header MCP-Protocol-Version is `{version}`, but params._meta says `{in_body}`"
        )));
    }
    let of_method = http.header("mcp-method");
    if of_method.as_deref() != Some(method) {
        return Err(mismatch(match of_method {
            Some(header) => {
                format!("the header Mcp-Method is `{header}`, but the method is `{method}`")
            }
            None => "the header Mcp-Method is missing".to_owned(),
        }));
    }
    if let Some(key) = named_by(method)
        && let Some(name) = params
            .and_then(|params| Object::parse(params.as_bytes()))
            .and_then(|params| params.get(key).and_then(json::string).map(Cow::into_owned))
    {
        let header = http.header("mcp-name");
        let decoded = header.as_deref().and_then(decode_header_value);
        if decoded.as_deref() != Some(name.as_str()) {
            return Err(mismatch(match header {
                Some(header) => {
                    format!("the header Mcp-Name is `{header}`, but params.{key} is `{name}`")
                }
                None => "the header Mcp-Name is missing".to_owned(),
            }));
        }
    }
    match of_body {
        CallerEra::Unsupported { requested } => Err(refuse(unsupported_version(&requested))),
        _ => Ok(Era::Modern),
    }
}

/// The member of `params` that the header `Mcp-Name` repeats.
fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}
