//! HTTP as Lambda carries it: requests to function URLs, HTTP APIs and REST APIs as events, and the answers that they are owed.
//!
//! Enters: an event's members. Leaves: an [`HttpRequest`], whatever is missing in it; and an [`HttpAnswer`]'s text in the two forms that Lambda takes. Refuses,
//! by `None`: events that are not HTTP. Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs" (payload format 2.0, which HTTP APIs share), and
//! API Gateway Developer Guide, "Input format of a Lambda function for proxy integration" (REST, and Application Load Balancers in its shape).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::body::Body;
use crate::json::{self, Object};

/// Part of the domain name by which function URLs are told from HTTP APIs: only the former can be answered in pieces.
const FUNCTION_URL_DOMAIN: &str = ".lambda-url.";

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: String,
    /// Names in lower case, in the order of the event; one entry a value.
    headers: Vec<(String, String)>,
    pub(crate) body: HttpBody<'a>,
    /// Whether it came to a function URL.
    pub(crate) is_function_url: bool,
}

/// A request's body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HttpBody<'a> {
    /// None, or an empty one.
    Empty,
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
    /// Said to be base64, and is not.
    Malformed,
}

impl HttpBody<'_> {
    /// The body's bytes; `None` when there are none that can be read.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Empty | Self::Malformed => None,
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl<'a> HttpRequest<'a> {
    /// Reads an event; `None` when it is not HTTP.
    pub(crate) fn of_event(event: &Object<'a>) -> Option<Self> {
        let context = Object::parse(event.get_borrowed("requestContext")?.as_bytes())?;
        let text = |raw: &str| json::string(raw).map(Cow::into_owned);
        let (method, is_function_url) = if event.get("version") == Some(r#""2.0""#) {
            let http = Object::parse(context.get_borrowed("http")?.as_bytes())?;
            let is_function_url = context
                .get("domainName")
                .is_none_or(|domain| domain.contains(FUNCTION_URL_DOMAIN));
            (http.get("method").and_then(text)?, is_function_url)
        } else {
            (event.get("httpMethod").and_then(text)?, false)
        };
        Some(Self {
            method,
            headers: headers(event),
            body: body(event),
            is_function_url,
        })
    }

    /// The one value of header `name`, given in lower case. `None` when there is none; several, which nothing here allows, are joined by commas.
    pub(crate) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self
            .headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        let first = values.next()?;
        let rest: Vec<&str> = values.collect();
        if rest.is_empty() {
            return Some(Cow::Borrowed(first));
        }
        Some(Cow::Owned(format!("{first},{}", rest.join(","))))
    }
}

/// Headers of either form: `multiValueHeaders` tells more where it is there; both may be null.
fn headers(event: &Object<'_>) -> Vec<(String, String)> {
    let member = |key| {
        event
            .get_borrowed(key)
            .and_then(|headers| Object::parse(headers.as_bytes()))
            .filter(|headers| !headers.is_empty())
    };
    let mut found = Vec::new();
    if let Some(multi) = member("multiValueHeaders") {
        for name in multi.keys() {
            let values = multi.get(name).and_then(json::elements).unwrap_or_default();
            for value in values.into_iter().filter_map(json::string) {
                found.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    } else if let Some(single) = member("headers") {
        for name in single.keys() {
            if let Some(value) = single.get(name).and_then(json::string) {
                found.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
    found
}

fn body<'a>(event: &Object<'a>) -> HttpBody<'a> {
    let Some(text) = event.get_borrowed("body").and_then(json::string) else {
        return HttpBody::Empty;
    };
    if text.is_empty() {
        HttpBody::Empty
    } else if event.get("isBase64Encoded") == Some("true") {
        match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => HttpBody::Bytes(bytes),
            Err(_) => HttpBody::Malformed,
        }
    } else {
        HttpBody::Text(text)
    }
}

/// Decodes a header value in MCP's form for text that is not plain ASCII, `=?base64?…?=`; other values are themselves. `None`: malformed.
///
/// Source: MCP specification 2026-07-28, "Streamable HTTP", value encoding.
pub(crate) fn decode_header_value(value: &str) -> Option<Cow<'_, str>> {
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?)
            .ok()
            .map(Cow::Owned),
    }
}

/// Whether `media_type` (lower case) is among those of an `Accept` header. Ranges count when `ranges`; what is given the weight 0 does not.
pub(crate) fn accepts(accept: &str, media_type: &str, ranges: bool) -> bool {
    let range = media_type
        .split_once('/')
        .map_or_else(String::new, |(kind, _)| format!("{kind}/*"));
    accept.split(',').any(|entry| {
        let mut parts = entry
            .split(';')
            .map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|parameter| {
            parameter
                .strip_prefix("q=")
                .and_then(|weight| weight.parse::<f32>().ok())
                == Some(0.0)
        });
        !refused && (name == media_type || ranges && (name == "*/*" || name == range))
    })
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl HttpAnswer {
    /// The answer as the value that a function returns.
    pub(crate) fn into_event(self) -> Body {
        let mut text = self.head();
        text.pop();
        text.push_str(r#","body":""#);
        self.body.write_escaped(&mut text);
        text.push_str(r#"","isBase64Encoded":false}"#);
        Body::text(text)
    }

    /// Status and headers as the object before a streamed body.
    pub(crate) fn head(&self) -> String {
        head(self.status, &self.headers)
    }
}

/// Status and headers as Lambda takes them.
pub(crate) fn head(status: u16, headers: &[(&'static str, String)]) -> String {
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!(r#""{name}":{}"#, json::quote(value)))
        .collect();
    format!(
        r#"{{"statusCode":{status},"headers":{{{}}}}}"#,
        headers.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Option<HttpRequest<'_>> {
        HttpRequest::of_event(&Object::parse(event.as_bytes()).expect("an object"))
    }

    #[test]
    fn function_urls_http_apis_and_rest_apis_are_read_and_told_apart() {
        let url = read(
            r#"{"version":"2.0","requestContext":{"domainName":"abc.lambda-url.eu-west-1.on.aws","http":{"method":"POST"}},"headers":{"accept":" a ","x":"1,2"},"body":"{\"a\":1}","isBase64Encoded":false}"#,
        )
        .expect("HTTP");
        assert_eq!(
            (url.method.as_str(), url.is_function_url, url.body.bytes()),
            ("POST", true, Some(br#"{"a":1}"#.as_slice()))
        );
        assert_eq!(url.header("accept").as_deref(), Some("a"));
        assert_eq!(url.header("x").as_deref(), Some("1,2"));
        let api = read(
            r#"{"version":"2.0","requestContext":{"domainName":"abc.execute-api.eu-west-1.amazonaws.com","http":{"method":"GET"}}}"#,
        )
        .expect("HTTP");
        assert_eq!(
            (api.method.as_str(), api.is_function_url, api.body),
            ("GET", false, HttpBody::Empty)
        );
        let rest = read(
            r#"{"httpMethod":"POST","requestContext":{},"headers":{"Mcp-Method":"b"},"multiValueHeaders":{"Mcp-Method":["a","b"],"X":null},"body":null}"#,
        )
        .expect("HTTP");
        assert_eq!(rest.header("mcp-method").as_deref(), Some("a,b"));
        let bare = read(
            r#"{"httpMethod":"POST","requestContext":{},"headers":null,"multiValueHeaders":null}"#,
        )
        .expect("HTTP");
        assert_eq!(bare.header("accept"), None);
    }

    #[test]
    fn what_only_looks_like_http_is_none() {
        for event in [
            "{}",
            r#"{"httpMethod":"POST"}"#,
            r#"{"httpMethod":5,"requestContext":{}}"#,
            r#"{"version":"2.0","requestContext":{}}"#,
            r#"{"version":"2.0","requestContext":{"http":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","requestContext":{}}"#,
        ] {
            assert_eq!(read(event), None, "{event}");
        }
    }

    #[test]
    fn bodies_in_base64_are_decoded_or_refused() {
        let body = |text: &str| {
            let event = format!(
                r#"{{"httpMethod":"POST","requestContext":{{}},"body":"{text}","isBase64Encoded":true}}"#
            );
            read(&event).map(|request| request.body.bytes().map(<[u8]>::to_vec))
        };
        assert_eq!(body("e30="), Some(Some(b"{}".to_vec())));
        assert_eq!(body("e30"), Some(None));
        assert_eq!(body(""), Some(None));
    }

    #[test]
    fn media_types_are_matched_as_http_says() {
        assert!(accepts(
            "application/json, text/event-stream",
            "application/json",
            true
        ));
        assert!(accepts("Application/JSON;q=0.5", "application/json", true));
        assert!(accepts("*/*", "application/json", true));
        assert!(accepts("application/*", "application/json", true));
        assert!(!accepts("*/*", "text/event-stream", false));
        assert!(!accepts("text/event-stream", "application/json", true));
        assert!(!accepts("application/json;q=0", "application/json", true));
        assert!(!accepts("", "application/json", true));
    }

    #[test]
    fn an_answer_is_a_value_of_a_function() {
        let answer = HttpAnswer {
            status: 200,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: Body::text("{\"a\":\"b\\n\"}"),
        };
        let [text, ..] = answer.into_event().parts().map(<[u8]>::to_vec);
        assert_eq!(
            String::from_utf8(text).expect("UTF-8"),
            r#"{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"a\":\"b\\n\"}","isBase64Encoded":false}"#
        );
    }

    #[test]
    fn header_values_may_be_in_base64() {
        assert_eq!(decode_header_value("plain").as_deref(), Some("plain"));
        assert_eq!(decode_header_value("=?base64?w6k=?=").as_deref(), Some("é"));
        assert_eq!(decode_header_value("=?base64?w6k?="), None);
        assert_eq!(decode_header_value("=?base64?/w==?="), None);
    }
}
