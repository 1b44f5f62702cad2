//! What a function's answer means as an HTTP response.
//!
//! Enters: the payload of a buffered answer, or the prelude of a streamed one. Leaves: status,
//! headers and body. It refuses what AWS answers with 502: what is no JSON, and members of the
//! wrong type. Pure.
//!
//! Source: "Invoking Lambda function URLs", "Response payload format".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

/// Between the prelude and the payload of a streamed response.
const DELIMITER: [u8; 8] = [0; 8];
/// The content type that announces a prelude.
pub(super) const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// Status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// An answer that is no HTTP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a buffered answer.
pub(super) fn buffered(payload: &Bytes) -> Result<(Head, Bytes), Malformed> {
    let value: Value = serde_json::from_slice(payload).map_err(|_| Malformed)?;
    match value {
        Value::Object(answer) if answer.contains_key("statusCode") => {
            let head = head(&answer, "application/json")?;
            Ok((head, body(&answer)?))
        }
        // A string is the body itself; anything else is, as JSON.
        Value::String(text) => Ok((inferred(), text.into())),
        _ => Ok((inferred(), payload.clone())),
    }
}

/// The rules for an answer without a status code.
fn inferred() -> Head {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Head {
        status: StatusCode::OK,
        headers,
    }
}

/// What of a streamed response has come: `None` while its prelude is not complete, else head and
/// the first bytes of the payload.
pub(super) fn prelude(come: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let Some(end) = come
        .windows(DELIMITER.len())
        .position(|window| window == DELIMITER)
    else {
        return Ok(None);
    };
    let answer: Map<String, Value> = serde_json::from_slice(&come[..end]).map_err(|_| Malformed)?;
    let head = head(&answer, "application/octet-stream")?;
    Ok(Some((head, end + DELIMITER.len())))
}

/// The head of a streamed response without a prelude.
pub(super) fn without_prelude(content_type: &str) -> Head {
    let mut head = inferred();
    let octets = HeaderValue::from_static("application/octet-stream");
    let content_type = match content_type {
        "" => octets,
        other => HeaderValue::from_str(other).unwrap_or(octets),
    };
    head.headers.insert(CONTENT_TYPE, content_type);
    head
}

fn head(answer: &Map<String, Value>, content_type: &'static str) -> Result<Head, Malformed> {
    let status = match answer.get("statusCode") {
        None => StatusCode::OK,
        Some(status) => status_code(status).ok_or(Malformed)?,
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(given) = members(answer, "headers")? {
        for (name, value) in given {
            headers.insert(header_name(name)?, header_value(value)?);
        }
    }
    if let Some(given) = members(answer, "multiValueHeaders")? {
        for (name, values) in given {
            let name = header_name(name)?;
            headers.remove(&name);
            for value in values.as_array().ok_or(Malformed)? {
                headers.append(&name, header_value(value)?);
            }
        }
    }
    match answer.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                headers.append(SET_COOKIE, header_value(cookie)?);
            }
        }
        Some(_) => return Err(Malformed),
    }
    Ok(Head { status, headers })
}

fn status_code(value: &Value) -> Option<StatusCode> {
    let number = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(digits) => digits.parse().ok()?,
        _ => return None,
    };
    // 1xx are no final answers.
    StatusCode::from_u16(u16::try_from(number).ok()?)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
}

fn members<'a>(
    answer: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, Malformed> {
    match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(Malformed),
    }
}

fn header_name(name: &str) -> Result<HeaderName, Malformed> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Malformed)
}

fn header_value(value: &Value) -> Result<HeaderValue, Malformed> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(Malformed),
    };
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Malformed)
}

fn body(answer: &Map<String, Value>) -> Result<Bytes, Malformed> {
    let text = match answer.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(text)) => text,
        Some(_) => return Err(Malformed),
    };
    match answer.get("isBase64Encoded") {
        Some(Value::Bool(true)) => Ok(STANDARD.decode(text).map_err(|_| Malformed)?.into()),
        None | Some(Value::Null | Value::Bool(false)) => Ok(text.clone().into()),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (u16, Vec<(String, String)>, String);

    fn read(payload: &str) -> Result<Read, Malformed> {
        let (head, body) = buffered(&Bytes::from(payload.to_owned()))?;
        Ok((
            head.status.as_u16(),
            listed(&head.headers),
            String::from_utf8_lossy(&body).into_owned(),
        ))
    }

    fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect()
    }

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn an_answer_with_a_status_code_is_taken_as_it_says() {
        assert_eq!(
            read(
                r#"{"statusCode":201,"headers":{"Content-Type":"text/html","X-N":7},"cookies":["a=1","b=2"],
                "body":"aGk=","isBase64Encoded":true}"#
            ),
            Ok((
                201,
                of(&[
                    ("content-type", "text/html"),
                    ("x-n", "7"),
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                ]),
                "hi".to_owned()
            ))
        );
        let json = of(&[("content-type", "application/json")]);
        assert_eq!(
            read(r#"{"statusCode":"404"}"#),
            Ok((404, json, String::new()))
        );
    }

    #[test]
    fn an_answer_without_a_status_code_is_a_body() {
        let json = of(&[("content-type", "application/json")]);
        for (payload, body) in [
            (r#"{"message":"hi"}"#, r#"{"message":"hi"}"#),
            (r#""Hello, world!""#, "Hello, world!"),
            ("[1, 2]", "[1, 2]"),
            ("null", "null"),
        ] {
            assert_eq!(read(payload), Ok((200, json.clone(), body.to_owned())));
        }
    }

    #[test]
    fn an_answer_that_cannot_be_meant_is_malformed() {
        for payload in [
            "",
            "no json",
            r#"{"statusCode":null}"#,
            r#"{"statusCode":"ok"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":200,"headers":[]}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"a":{}}}"#,
            r#"{"statusCode":200,"cookies":"a=1"}"#,
            r#"{"statusCode":200,"body":{}}"#,
            r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
        ] {
            assert_eq!(read(payload), Err(Malformed), "{payload}");
        }
    }

    #[test]
    fn a_prelude_ends_at_eight_zeros() {
        let whole = b"{\"statusCode\":202,\"headers\":{\"a\":\"b\"}}\0\0\0\0\0\0\0\0rest";
        let end = whole.len() - 4;
        for come in 0..end {
            assert_eq!(prelude(&whole[..come]), Ok(None), "{come} bytes");
        }
        let (head, start) = prelude(whole).expect("reads").expect("is complete");
        assert_eq!((head.status.as_u16(), start), (202, end));
        assert_eq!(
            listed(&head.headers),
            of(&[("content-type", "application/octet-stream"), ("a", "b")])
        );
        assert_eq!(prelude(b"[]\0\0\0\0\0\0\0\0"), Err(Malformed));
    }
}
