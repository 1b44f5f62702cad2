//! What goes back to an AWS client: plain replies, and errors in the shape of each AWS protocol.
//!
//! Enters: a status, a code and a message. Leaves: a response that botocore and the Rust SDK parse
//! into that very error code. It decides nothing about when an error is due.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// A complete response; bodies are held in memory because everything here is bounded by Lambda's
/// request limits.
pub(crate) type Reply = Response<Full<Bytes>>;

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `Action=` in a form body, XML answers: IAM, STS, EC2.
    Query,
    /// `X-Amz-Target`, JSON answers: CloudWatch Logs, SQS, ECR.
    Json,
    /// Verbs and paths, JSON answers: Lambda.
    RestJson,
    /// Verbs and paths, XML answers: S3.
    RestXml,
}

/// An AWS error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl AwsError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The error as `protocol` writes it.
    pub(crate) fn reply(&self, protocol: Protocol) -> Reply {
        let fault = if self.status >= 500 {
            "Server"
        } else {
            "Client"
        };
        let reply = match protocol {
            Protocol::Query => text(
                self.status,
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
                     <RequestId>{}</RequestId></ErrorResponse>",
                    escape(&self.code),
                    escape(&self.message),
                    crate::ids::uuid()
                ),
            ),
            Protocol::RestXml => text(
                self.status,
                "application/xml",
                format!(
                    "<Error><Code>{}</Code><Message>{}</Message><RequestId>{}</RequestId></Error>",
                    escape(&self.code),
                    escape(&self.message),
                    crate::ids::uuid()
                ),
            ),
            Protocol::Json => json(
                self.status,
                &json!({"__type": self.code, "message": self.message}),
            ),
            Protocol::RestJson => {
                let kind = if self.status >= 500 {
                    "Service"
                } else {
                    "User"
                };
                json(self.status, &json!({"Type": kind, "Message": self.message}))
            }
        };
        with_header(reply, "x-amzn-errortype", &self.code)
    }
}

/// A JSON reply.
pub(crate) fn json(status: u16, body: &Value) -> Reply {
    text(status, "application/json", body.to_string())
}

/// A reply without a body.
pub(crate) fn empty(status: u16) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
}

/// A reply with any body.
pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = empty(status);
    *reply.body_mut() = Full::new(body.into());
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// The bytes of a reply.
pub(crate) async fn body_of(reply: Reply) -> Bytes {
    match reply.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    }
}

/// Adds a header; a value that HTTP cannot carry is left out.
pub(crate) fn with_header(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
    reply
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
