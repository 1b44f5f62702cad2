//! The event that a function gets for a request to its URL: payload format 2.0.
//!
//! Enters: a request whose body was read. Leaves: the event's JSON. Pure; what AWS adds (its
//! headers, ids, the time) comes in as arguments.
//!
//! Source: "Invoking Lambda function URLs" (Developer Guide), and events recorded in
//! aws-lambda-go's tests: `cookie` stays among the headers, members without a value are left out,
//! `accountId` is `anonymous` unless the request was signed. A body is text when its type is
//! `application/json` or `text/*`, and base64 otherwise.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONNECTION, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT};
use hyper::http::request::Parts;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::percent_decode;
use crate::ids;

/// Where a function URL is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The function's account.
    pub(crate) account: String,
    pub(crate) region: String,
    /// The first label of its domain.
    pub(crate) id: String,
}

impl Place {
    /// The domain that the URL has in AWS.
    pub(crate) fn domain(&self) -> String {
        format!("{}.lambda-url.{}.on.aws", self.id, self.region)
    }
}

/// Who signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) account: String,
}

/// What AWS knows of a request beside the request.
#[derive(Clone, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) place: &'a Place,
    pub(super) source: IpAddr,
    pub(super) request_id: &'a str,
    /// X-Ray's header.
    pub(super) trace_id: &'a str,
    pub(super) now: SystemTime,
    /// For URLs that want a signature.
    pub(super) signer: Option<&'a Signer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Value>,
    domain_name: String,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    source_ip: String,
    user_agent: &'a str,
}

/// Makes the event.
pub(super) fn event(request: &Parts, body: &[u8], about: &Circumstances) -> Vec<u8> {
    let place = about.place;
    let domain = place.domain();
    let path = request.uri.path();
    let query = request.uri.query().unwrap_or_default();
    let text = |name| {
        request
            .headers
            .get(name)
            .and_then(|value: &hyper::header::HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    let (body, is_base64_encoded) = encoded(body, text(CONTENT_TYPE));
    let event = Event {
        version: "2.0",
        route_key: "$default",
        raw_path: path,
        raw_query_string: query,
        cookies: cookies(request),
        headers: headers(request, about, &domain),
        query_string_parameters: parameters(query),
        request_context: RequestContext {
            account_id: about.signer.map_or("anonymous", |signer| &signer.account),
            api_id: &place.id,
            authorizer: about.signer.map(|signer| {
                json!({"iam": {
                    "accessKey": signer.access_key,
                    "accountId": signer.account,
                    "callerId": signer.account,
                    "cognitoIdentity": null,
                    "principalOrgId": null,
                    "userArn": format!("arn:aws:iam::{}:root", signer.account),
                    "userId": signer.account,
                }})
            }),
            domain_name: domain,
            domain_prefix: &place.id,
            http: Http {
                method: request.method.as_str(),
                path,
                protocol: "HTTP/1.1",
                source_ip: about.source.to_string(),
                user_agent: text(USER_AGENT),
            },
            request_id: about.request_id,
            route_key: "$default",
            stage: "$default",
            time: ids::log_time(about.now),
            time_epoch: ids::epoch_ms(about.now),
        },
        body,
        is_base64_encoded,
    };
    // Cannot fail: string keys only, and writing to memory.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// The request's headers in lower case, those of one name joined by commas, and AWS's own.
fn headers<'a>(
    request: &'a Parts,
    about: &Circumstances,
    domain: &str,
) -> BTreeMap<&'a str, String> {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &request.headers {
        // Those of the connection end where it does.
        if *name == CONNECTION || *name == TRANSFER_ENCODING || *name == "keep-alive" {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers.insert(HOST.as_str(), domain.to_owned());
    headers.insert(
        "x-amzn-tls-cipher-suite",
        "TLS_AES_128_GCM_SHA256".to_owned(),
    );
    headers.insert("x-amzn-tls-version", "TLSv1.3".to_owned());
    headers.insert("x-amzn-trace-id", root_of(about.trace_id));
    headers.insert("x-forwarded-for", about.source.to_string());
    headers.insert("x-forwarded-port", "443".to_owned());
    headers.insert("x-forwarded-proto", "https".to_owned());
    headers
}

/// The part of a trace id that a function URL sends on.
fn root_of(trace_id: &str) -> String {
    trace_id
        .split(';')
        .find(|part| part.starts_with("Root="))
        .unwrap_or_default()
        .to_owned()
}

fn cookies(request: &Parts) -> Vec<String> {
    request
        .headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .filter(|cookie| !cookie.is_empty())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The query's parameters, decoded, those of one name joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode(value);
        parameters
            .entry(percent_decode(name))
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    parameters
}

/// The body as the event has it, and whether that is base64.
fn encoded(body: &[u8], content_type: &str) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_text = media_type == "application/json" || media_type.starts_with("text/");
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use hyper::Request;

    use super::*;

    fn made(request: Request<()>, body: &str, signer: Option<&Signer>) -> Value {
        let place = Place {
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            id: "abc".to_owned(),
        };
        let about = Circumstances {
            place: &place,
            source: [127, 0, 0, 1].into(),
            request_id: "r-1",
            trace_id: "Root=1-5;Parent=7;Sampled=0",
            now: UNIX_EPOCH + Duration::from_millis(1_583_348_638_390),
            signer,
        };
        serde_json::from_slice(&event(&request.into_parts().0, body.as_bytes(), &about))
            .expect("an event is JSON")
    }

    #[test]
    fn a_request_becomes_the_event_that_aws_makes_of_it() {
        let request = Request::post("/my/p%20ath?a=1&a=2&b=x%20y&c")
            .header("Host", "127.0.0.1:9")
            .header("X-Twice", "one")
            .header("x-twice", "two")
            .header("Cookie", "k=v; l=w")
            .header("User-Agent", "test/1")
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Connection", "keep-alive")
            .body(())
            .expect("a request");
        assert_eq!(
            made(request, "{\"a\":1}", None),
            json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": "/my/p%20ath",
                "rawQueryString": "a=1&a=2&b=x%20y&c",
                "cookies": ["k=v", "l=w"],
                "headers": {
                    "content-type": "application/json; charset=utf-8",
                    "cookie": "k=v; l=w",
                    "host": "abc.lambda-url.eu-west-1.on.aws",
                    "user-agent": "test/1",
                    "x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256",
                    "x-amzn-tls-version": "TLSv1.3",
                    "x-amzn-trace-id": "Root=1-5",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "443",
                    "x-forwarded-proto": "https",
                    "x-twice": "one,two",
                },
                "queryStringParameters": {"a": "1,2", "b": "x y", "c": ""},
                "requestContext": {
                    "accountId": "anonymous",
                    "apiId": "abc",
                    "domainName": "abc.lambda-url.eu-west-1.on.aws",
                    "domainPrefix": "abc",
                    "http": {
                        "method": "POST",
                        "path": "/my/p%20ath",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "test/1",
                    },
                    "requestId": "r-1",
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "04/Mar/2020:19:03:58 +0000",
                    "timeEpoch": 1_583_348_638_390_u64,
                },
                "body": "{\"a\":1}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn a_body_is_text_only_when_its_type_says_so() {
        let body = |content_type: &str, body: &str| {
            let request = Request::post("/")
                .header("Content-Type", content_type)
                .body(())
                .expect("a request");
            let event = made(request, body, None);
            (event["body"].clone(), event["isBase64Encoded"].clone())
        };
        assert_eq!(body("text/plain", "hi"), (json!("hi"), json!(false)));
        assert_eq!(body("APPLICATION/JSON", "hi"), (json!("hi"), json!(false)));
        assert_eq!(
            body("application/x-www-form-urlencoded", "hi"),
            (json!("aGk="), json!(true))
        );
        assert_eq!(body("", "hi"), (json!("aGk="), json!(true)));
        assert_eq!(body("text/plain", ""), (Value::Null, json!(false)));
    }

    #[test]
    fn a_signed_request_names_its_account_and_key() {
        let request = Request::get("/").body(()).expect("a request");
        let signer = Signer {
            access_key: "AKIA1".to_owned(),
            account: "111122223333".to_owned(),
        };
        let event = made(request, "", Some(&signer));
        let context = &event["requestContext"];
        assert_eq!(context["accountId"], "111122223333");
        assert_eq!(context["authorizer"]["iam"]["accessKey"], "AKIA1");
        assert_eq!(event.get("queryStringParameters"), None);
        assert_eq!(event.get("cookies"), None);
    }
}
