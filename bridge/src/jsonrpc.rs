//! JSON-RPC 2.0 messages as MCP uses them on stdio: one compact object per line.
//!
//! Enters: the text of one message, from a caller or from the server. Leaves: a [`Message`] whose parts are still raw text, or the bytes of a line to send.
//! Refuses: what is not a JSON object. Messages are told apart by the presence of `method`, never by their id: both sides count on their own.

use crate::json::{self, Object};

/// JSON-RPC's own codes and those of MCP that the bridge itself produces or recognises.
pub(crate) mod code {
    pub(crate) const PARSE_ERROR: i64 = -32700;
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    pub(crate) const INTERNAL_ERROR: i64 = -32603;
    /// `resources/read` of an unknown URI, up to protocol version 2025-11-25.
    pub(crate) const RESOURCE_NOT_FOUND_LEGACY: i64 = -32002;
    /// A URL that the user has to open first, in protocol version 2025-11-25 only.
    pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;
    /// The modern era's codes -32020 to -32022.
    pub(crate) const HEADER_MISMATCH: i64 = -32020;
    pub(crate) const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    pub(crate) const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
    /// HTTP's own refusals, as the library before this one answers them.
    pub(crate) const HTTP_REFUSAL: i64 = -32000;
    /// Not a JSON-RPC message at all, in raw events: the code that the library before this one answers, and its clients know.
    pub(crate) const NOT_JSONRPC: i64 = 400;
}

/// One JSON-RPC message, its members still raw.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// Raw id; absent and `null` are the same.
    pub(crate) id: Option<&'a str>,
    pub(crate) method: Option<String>,
    pub(crate) params: Option<&'a str>,
    pub(crate) result: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    /// Whether `jsonrpc` is `"2.0"`.
    pub(crate) is_version_2: bool,
}

impl<'a> Message<'a> {
    /// Reads one message; `None` when the text is not one JSON object.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        Object::parse(text).map(|object| Self::of(&object))
    }

    /// Reads a message whose text has been cut into members.
    pub(crate) fn of(object: &Object<'a>) -> Self {
        let member = |key| object.get_borrowed(key).filter(|value| *value != "null");
        Self {
            id: member("id"),
            method: member("method")
                .and_then(json::string)
                .map(|method| method.into_owned()),
            params: member("params"),
            result: member("result"),
            error: member("error"),
            is_version_2: member("jsonrpc")
                .and_then(json::string)
                .is_some_and(|version| version == "2.0"),
        }
    }

    /// The id, when it is one that a request may carry: a string or an integer.
    pub(crate) fn request_id(&self) -> Option<&'a str> {
        self.id
            .filter(|id| id.starts_with('"') || json::is_integer(id))
    }

    /// The id of a response to one of the bridge's own requests, which counts upwards from 1. Servers that return the number as a string are understood.
    pub(crate) fn own_id(&self) -> Option<u64> {
        self.id.and_then(|id| id.trim_matches('"').parse().ok())
    }
}

/// The members of a JSON-RPC error object.
#[derive(Debug)]
pub(crate) struct ErrorObject {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// Raw `data`, when there is one that is not null.
    pub(crate) data: Option<String>,
}

impl ErrorObject {
    /// Reads an `error` member; `None` when it has no integer `code`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let object = Object::parse(text.as_bytes())?;
        Some(Self {
            code: object.get("code")?.parse().ok()?,
            message: object
                .get("message")
                .and_then(json::string)
                .unwrap_or_default()
                .into_owned(),
            data: object
                .get("data")
                .filter(|data| *data != "null")
                .map(str::to_owned),
        })
    }
}

/// An error object's JSON text; `data` is raw JSON.
pub(crate) fn error_text(code: i64, message: &str, data: Option<&str>) -> String {
    let mut text = format!(r#"{{"code":{code},"message":{}"#, json::quote(message));
    if let Some(data) = data {
        text.push_str(r#","data":"#);
        text.push_str(data);
    }
    text.push('}');
    text
}

/// The text of a response with an error; `id` and `error` are raw JSON.
pub(crate) fn error_response(id: &str, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// The line of a request that the bridge sends: `params` is raw JSON, `None` leaves the member out.
pub(crate) fn request_line(id: u64, method: &str, params: Option<&str>) -> Vec<u8> {
    line(
        &format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":{}"#,
            json::quote(method)
        ),
        params.map(|params| ("params", params)),
    )
}

/// The line of a notification that the bridge sends.
pub(crate) fn notification_line(method: &str, params: Option<&str>) -> Vec<u8> {
    line(
        &format!(r#"{{"jsonrpc":"2.0","method":{}"#, json::quote(method)),
        params.map(|params| ("params", params)),
    )
}

/// The line of a response to a request of the server's: `key` is `result` or `error`.
pub(crate) fn response_line(raw_id: &str, key: &'static str, value: &str) -> Vec<u8> {
    line(
        &format!(r#"{{"jsonrpc":"2.0","id":{raw_id}"#),
        Some((key, value)),
    )
}

/// Ends an object begun in `head` and flattens it to one line. Raw line breaks can only be white space between tokens, so a blank does as well.
fn line(head: &str, member: Option<(&str, &str)>) -> Vec<u8> {
    let mut line = Vec::with_capacity(head.len() + member.map_or(0, |(_, value)| value.len()) + 16);
    line.extend_from_slice(head.as_bytes());
    if let Some((key, value)) = member {
        line.extend_from_slice(b",\"");
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(b"\":");
        let start = line.len();
        line.extend_from_slice(value.as_bytes());
        if value.as_bytes().contains(&b'\n') || value.as_bytes().contains(&b'\r') {
            for byte in &mut line[start..] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
    }
    line.extend_from_slice(b"}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pretty_printed_event_becomes_one_line() {
        let line = request_line(7, "tools/call", Some("{\r\n  \"a\": \"x\\ny\"\n}"));
        assert_eq!(
            String::from_utf8(line).expect("UTF-8"),
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{    \"a\": \"x\\ny\" }}\n"
        );
    }

    #[test]
    fn only_strings_and_integers_are_request_ids() {
        let id = |id: &str| {
            Message::parse(format!(r#"{{"id":{id}}}"#).as_bytes())
                .expect("an object")
                .request_id()
                .map(str::to_owned)
        };
        assert_eq!(
            ["1", "-3", "\"a\"", "0"].map(id),
            ["1", "-3", "\"a\"", "0"].map(|id| Some(id.to_owned()))
        );
        assert_eq!(
            ["1.5", "null", "true", "[1]", "{}"].map(id),
            [None, None, None, None, None]
        );
    }

    #[test]
    fn a_stringified_id_is_still_ours() {
        let own = |id: &str| {
            Message::parse(format!(r#"{{"id":{id}}}"#).as_bytes())
                .expect("an object")
                .own_id()
        };
        assert_eq!(
            ["12", "\"12\"", "\"srv-1\"", "-1", "1.0"].map(own),
            [Some(12), Some(12), None, None, None]
        );
    }
}
