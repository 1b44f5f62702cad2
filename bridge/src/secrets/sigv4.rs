//! AWS Signature Version 4 for one request whose body is at hand.
//!
//! Enters: a request without query parameters, credentials, the region and service that it is for, and the time. Leaves: the value of its `Authorization`
//! header. Refuses nothing: what AWS does not accept, AWS says. Source: IAM User Guide, "Create a signed AWS API request".

use std::fmt;
use std::time::SystemTime;

use ring::{digest, hmac};

use crate::log;

/// What proves who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {}", self.access_key_id)
    }
}

/// What is signed.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Absolute, and such that it needs no encoding.
    pub(super) path: &'a str,
    /// All headers that are signed: names in lower case, sorted; `host` and `x-amz-date` among them. Values without runs of spaces.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// The value of `x-amz-date`: ISO 8601's basic format in UTC, to the second.
pub(super) fn amz_date(time: SystemTime) -> String {
    let text = log::timestamp(time);
    let seconds = text.split('.').next().unwrap_or_default();
    let mut date: String = seconds.chars().filter(|c| !"-:".contains(*c)).collect();
    date.push('Z');
    date
}

/// The value of the `Authorization` header. `amz_date` is that of the header `x-amz-date`.
pub(super) fn authorization(
    request: &Request<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    amz_date: &str,
) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let signed_headers = names.join(";");
    // An empty line stands for the query that there is none of, another one ends the headers.
    let mut canonical = format!("{}\n{}\n\n", request.method, request.path);
    for (name, value) in request.headers {
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{signed_headers}\n{}", sha256(request.body)));

    let day = amz_date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}",
        sha256(canonical.as_bytes())
    );
    let secret = format!("AWS4{}", credentials.secret_access_key);
    let mut key = hmac(secret.as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = hmac(key.as_ref(), part);
    }
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={}",
        credentials.access_key_id,
        hex(hmac(key.as_ref(), &to_sign).as_ref())
    )
}

fn hmac(key: &[u8], data: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes())
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// Of AWS's test suite for signatures, as is everything that is compared here: `post-vanilla`, `post-sts-header-before` and
    /// `post-x-www-form-urlencoded` of `aws-signing-test-suite/v4` in github.com/awslabs/aws-c-auth.
    const DATE: &str = "20150830T123600Z";

    fn signature(headers: &[(&str, &str)], body: &[u8]) -> String {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let request = Request {
            method: "POST",
            path: "/",
            headers,
            body,
        };
        authorization(&request, &credentials, "us-east-1", "service", DATE)
    }

    fn expected(signed_headers: &str, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed_headers}, Signature={signature}"
        )
    }

    #[test]
    fn a_plain_request_is_signed_as_aws_publishes() {
        assert_eq!(
            signature(
                &[("host", "example.amazonaws.com"), ("x-amz-date", DATE)],
                b""
            ),
            expected(
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
            )
        );
    }

    #[test]
    fn a_request_with_a_session_token_is_signed_as_aws_publishes() {
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        assert_eq!(
            signature(
                &[
                    ("host", "example.amazonaws.com"),
                    ("x-amz-date", DATE),
                    ("x-amz-security-token", token),
                ],
                b""
            ),
            expected(
                "host;x-amz-date;x-amz-security-token",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
            )
        );
    }

    #[test]
    fn a_request_with_a_body_is_signed_as_aws_publishes() {
        assert_eq!(
            signature(
                &[
                    ("content-length", "13"),
                    ("content-type", "application/x-www-form-urlencoded"),
                    ("host", "example.amazonaws.com"),
                    (
                        "x-amz-content-sha256",
                        "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
                    ),
                    ("x-amz-date", DATE),
                ],
                b"Param1=value1"
            ),
            expected(
                "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"
            )
        );
    }

    #[test]
    fn the_date_is_in_the_basic_format() {
        let time = UNIX_EPOCH + Duration::from_millis(1_440_938_160_999);
        assert_eq!(amz_date(time), DATE);
    }

    #[test]
    fn a_secret_key_is_not_shown() {
        let credentials = Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "hidden".to_owned(),
            session_token: Some("hidden".to_owned()),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials of AKID");
    }
}
