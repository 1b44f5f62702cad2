//! Reads which AWS API call a request is: service, action, what it is about, who signed it.
//!
//! Enters: a request as it came from an AWS client. Leaves: a [`Call`]. It checks no signature and
//! refuses nothing; what it does not know it names by method and path.

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, USER_AGENT};
use hyper::{HeaderMap, Request};
use serde_json::Value;

use crate::lambda::route;
use crate::reply::Protocol;

/// One AWS API call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The service of the signature's scope, for example `lambda`, `iam`, `logs`.
    pub(crate) service: String,
    /// The operation's name, for example `CreateFunction`; `GET /path` for services whose routes
    /// are not known here.
    pub(crate) action: String,
    /// The name of what the call is about, when it names something.
    pub(crate) resource: Option<String>,
    pub(crate) protocol: Protocol,
    /// The access key that signed; empty when unsigned.
    pub(crate) access_key: String,
    /// The region of the signature's scope; `us-east-1` when unsigned.
    pub(crate) region: String,
    pub(crate) user_agent: String,
}

impl Call {
    /// Reads a request that is not one of local-aws's own.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let headers = request.headers();
        let path = request.uri().path();
        let scope = scope(headers);
        let user_agent = text(headers, USER_AGENT.as_str());
        let mut call = Self {
            service: scope.service,
            action: format!("{} {path}", request.method()),
            resource: None,
            protocol: Protocol::RestJson,
            access_key: scope.access_key,
            region: scope.region,
            user_agent,
        };
        let target = text(headers, "x-amz-target");
        if let Some((_, action)) = target.rsplit_once('.') {
            action.clone_into(&mut call.action);
            call.protocol = Protocol::Json;
            call.resource = named_in_json(request.body());
        } else if let Some(route) = (call.service == "lambda")
            .then(|| route::route(request.method(), path, request.uri().query()))
            .flatten()
        {
            route.action.name().clone_into(&mut call.action);
            call.resource = route.resource.or_else(|| named_in_json(request.body()));
        } else if let Some(action) = form_value(request.body(), "Action") {
            call.action = action;
            call.protocol = Protocol::Query;
            call.resource = RESOURCE_KEYS
                .iter()
                .find_map(|key| form_value(request.body(), key));
        } else if call.service == "s3" {
            call.protocol = Protocol::RestXml;
            call.resource = Some(path.to_owned());
            if let Some(action) = s3_action(request) {
                action.clone_into(&mut call.action);
            }
        }
        call
    }
}

/// The name of a call to S3 in path style, for those that deployments make.
fn s3_action(request: &Request<Bytes>) -> Option<&'static str> {
    let path = request.uri().path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = request.uri().query().unwrap_or_default();
    let asks = |name| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let method = request.method().as_str();
    Some(match (method, bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => "ListBuckets",
        ("GET", _, true) if asks("versions") => "ListObjectVersions",
        ("GET", _, true) if asks("list-type") => "ListObjectsV2",
        ("HEAD", false, true) => "HeadBucket",
        ("PUT", false, true) if query.is_empty() => "CreateBucket",
        ("HEAD", _, false) => "HeadObject",
        ("GET", _, false) if query.is_empty() || asks("versionId") => "GetObject",
        ("PUT", _, false) if query.is_empty() || asks("x-id") => "PutObject",
        ("DELETE", _, false) => "DeleteObject",
        _ => return None,
    })
}

/// What a signature says about the caller.
struct Scope {
    access_key: String,
    region: String,
    service: String,
}

/// Reads `Credential=KEY/DATE/REGION/SERVICE/aws4_request`, else guesses the service from the host.
fn scope(headers: &HeaderMap) -> Scope {
    let authorization = text(headers, AUTHORIZATION.as_str());
    let credential = authorization
        .split_once("Credential=")
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default())
        .unwrap_or_default();
    let mut parts = credential.split('/');
    let access_key = parts.next().unwrap_or_default().to_owned();
    let _date = parts.next();
    let region = parts.next().unwrap_or("us-east-1").to_owned();
    let host = text(headers, HOST.as_str());
    let service = parts
        .next()
        .or_else(|| {
            host.split('.')
                .next()
                .filter(|_| host.contains("amazonaws"))
        })
        .unwrap_or("unsigned")
        .to_owned();
    Scope {
        access_key,
        region,
        service,
    }
}

/// The header's text, empty when missing or not text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The keys that name what a call is about, the most telling first.
const RESOURCE_KEYS: [&str; 16] = [
    "FunctionName",
    "RoleName",
    "PolicyName",
    "PolicyArn",
    "logGroupName",
    "logGroupNamePrefix",
    "QueueName",
    "QueueUrl",
    "resourceArn",
    "ResourceArn",
    "RoleArn",
    "repositoryName",
    "AlarmName",
    "SecretId",
    "Name",
    "name",
];

fn named_in_json(body: &[u8]) -> Option<String> {
    let Value::Object(members) = serde_json::from_slice(body).ok()? else {
        return None;
    };
    RESOURCE_KEYS
        .iter()
        .find_map(|key| members.get(*key)?.as_str().map(str::to_owned))
}

/// The value of `name` in a form-encoded text.
pub(crate) fn form_value(form: &[u8], name: &str) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key) == name).then(|| percent_decode(value))
    })
}

/// Decodes `%XX` and `+`; broken escapes stay as they are.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 3;
            }
            (None, b'+') => {
                decoded.push(b' ');
                at += 1;
            }
            (None, byte) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Encodes everything but unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (String, String, Option<String>) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let call = Call::of(
            &request
                .body(Bytes::from(body.to_owned()))
                .expect("a request"),
        );
        (call.service, call.action, call.resource)
    }

    fn signed(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AK/20261122/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        )
    }

    #[test]
    fn each_protocol_tells_service_action_and_resource() {
        let named = |service: &str, action: &str, resource: &str| {
            (
                service.to_owned(),
                action.to_owned(),
                Some(resource.to_owned()),
            )
        };
        let lambda = signed("lambda");
        let auth = [("authorization", lambda.as_str())];
        assert_eq!(
            call("PUT", "/2015-03-31/functions/time/code", &auth, "{}"),
            named("lambda", "UpdateFunctionCode", "time")
        );
        assert_eq!(
            call(
                "POST",
                "/2015-03-31/functions",
                &auth,
                r#"{"FunctionName":"time"}"#
            ),
            named("lambda", "CreateFunction", "time")
        );
        let iam = signed("iam");
        assert_eq!(
            call(
                "POST",
                "/",
                &[("authorization", &iam)],
                "Action=CreateRole&RoleName=a%2Bb"
            ),
            named("iam", "CreateRole", "a+b")
        );
        let logs = signed("logs");
        assert_eq!(
            call(
                "POST",
                "/",
                &[
                    ("authorization", &logs),
                    ("x-amz-target", "Logs_20140328.CreateLogGroup")
                ],
                r#"{"logGroupName":"/aws/lambda/time"}"#
            ),
            named("logs", "CreateLogGroup", "/aws/lambda/time")
        );
    }
}
