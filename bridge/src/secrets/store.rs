//! Asks Secrets Manager and Parameter Store for values, and reads what they answer.
//!
//! Enters: references. Leaves: their values. Refuses: binary secrets, JSON keys that are not there or hold no text, numbers or booleans, values that no
//! environment variable can hold. A value is in no error: what went wrong is told with names, codes and AWS's own sentences.
//! Sources: AWS Secrets Manager API Reference, GetSecretValue; AWS Systems Manager API Reference, GetParameter; AWS JSON 1.1 protocol.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::client::Client;
use super::endpoint::Endpoint;
use super::sigv4::{self, Credentials, Request};
use super::{Unreadable, Value, Values, Variables, Wanted, credentials, random};
use crate::error::shorten;
use crate::http_response::Response;
use crate::json::{self, Object};
use crate::secret_reference::{SecretReference, Store};

/// How long one attempt may take before another one is made.
const ATTEMPT: Duration = Duration::from_secs(3);
/// The pause after the first attempt; it doubles up to [`LONGEST_PAUSE`], less a random part so that many functions do not ask at the same time again.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Error codes that ask for patience. Source: AWS SDKs and Tools Reference Guide, "Retry behavior".
const TRANSIENT: [&str; 6] = [
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Why AWS gave no value.
enum Failure {
    /// It never will, for this request.
    Refused(String),
    /// It may do so later.
    Transient(String),
}

/// Reads what all of `wanted` refer to: each secret once, however many variables use it.
///
/// # Errors
///
/// All secrets that AWS refused or that hold no such value; or the first one that could not be asked for at all before `deadline`.
pub(super) fn read(
    wanted: &[Wanted],
    variables: &Variables,
    deadline: Instant,
) -> Result<Values, Vec<Unreadable>> {
    let mut client = Client::new(variables);
    let mut credentials = None;
    let mut values = Values::new();
    let mut unreadable = Vec::new();
    for (index, first) in wanted.iter().enumerate() {
        if wanted[..index]
            .iter()
            .any(|other| same_request(first, other))
        {
            continue;
        }
        let sharing: Vec<&Wanted> = wanted[index..]
            .iter()
            .filter(|other| same_request(first, other))
            .collect();
        let text = match &credentials {
            Some(credentials) => Ok(credentials),
            None => credentials::find(variables, &mut client, deadline)
                .map(|found| &*credentials.insert(found)),
        }
        .map_err(Failure::Transient)
        .and_then(|credentials| {
            fetch(
                &first.reference,
                variables,
                credentials,
                &mut client,
                deadline,
            )
        });
        match text {
            Ok(text) => {
                for wanted in sharing {
                    match pick(&wanted.reference, &text) {
                        Ok(value) => {
                            values.insert(wanted.variable.clone(), value);
                        }
                        Err(reason) => unreadable.push(Unreadable::new(&[wanted], reason)),
                    }
                }
            }
            Err(Failure::Refused(reason)) => unreadable.push(Unreadable::new(&sharing, reason)),
            Err(Failure::Transient(reason)) => {
                // What kept this one from being read keeps the others too.
                unreadable.push(Unreadable::new(&sharing, reason));
                break;
            }
        }
    }
    if unreadable.is_empty() {
        Ok(values)
    } else {
        Err(unreadable)
    }
}

/// Whether one answer serves both.
fn same_request(one: &Wanted, other: &Wanted) -> bool {
    one.reference.arn == other.reference.arn && body(&one.reference) == body(&other.reference)
}

/// Asks until there is an answer that stands.
fn fetch(
    reference: &SecretReference,
    variables: &Variables,
    credentials: &Credentials,
    client: &mut Client,
    deadline: Instant,
) -> Result<String, Failure> {
    let endpoint = Endpoint::of(reference, variables).map_err(Failure::Refused)?;
    let mut pause = PAUSE;
    loop {
        let until = deadline.min(Instant::now() + ATTEMPT);
        let reason = match ask(reference, &endpoint, credentials, client, until) {
            Ok(response) => match read_answer(&reference.store, &response) {
                Err(Failure::Transient(reason)) => reason,
                result => return result,
            },
            Err(error) => {
                let reason = format!("{}: {error}", endpoint.authority());
                if is_final(&error) {
                    return Err(Failure::Refused(reason));
                }
                reason
            }
        };
        let less = pause.mul_f64(f64::from(random()) / f64::from(u32::MAX) / 2.0);
        if Instant::now() + pause >= deadline {
            return Err(Failure::Transient(reason));
        }
        std::thread::sleep(pause - less);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether trying again cannot help: no such host, a certificate that cannot be trusted, roots that cannot be read.
fn is_final(error: &io::Error) -> bool {
    let is_tls = error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>());
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput];
    is_tls || kinds.contains(&error.kind())
}

fn ask(
    reference: &SecretReference,
    endpoint: &Endpoint,
    credentials: &Credentials,
    client: &mut Client,
    until: Instant,
) -> io::Result<Response> {
    let (service, target) = match reference.store {
        Store::SecretsManager { .. } => ("secretsmanager", "secretsmanager.GetSecretValue"),
        Store::ParameterStore => ("ssm", "AmazonSSM.GetParameter"),
    };
    let body = body(reference);
    let host = endpoint.authority();
    let date = sigv4::amz_date(SystemTime::now());
    let mut headers = vec![
        ("content-type", "application/x-amz-json-1.1"),
        ("host", host.as_str()),
        ("x-amz-date", date.as_str()),
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token));
    }
    headers.push(("x-amz-target", target));
    let request = Request {
        method: "POST",
        path: "/",
        headers: &headers,
        body: body.as_bytes(),
    };
    let authorization =
        sigv4::authorization(&request, credentials, &reference.region, service, &date);
    let mut head = "POST / HTTP/1.1\r\n".to_owned();
    for (name, value) in &headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "content-length: {}\r\nauthorization: {authorization}\r\n\r\n",
        body.len()
    ));
    client.exchange(endpoint, &head, body.as_bytes(), until)
}

fn body(reference: &SecretReference) -> String {
    let arn = json::quote(&reference.arn);
    match &reference.store {
        Store::ParameterStore => format!(r#"{{"Name":{arn},"WithDecryption":true}}"#),
        Store::SecretsManager {
            version_stage,
            version_id,
            ..
        } => {
            let mut body = format!(r#"{{"SecretId":{arn}"#);
            for (key, value) in [("VersionStage", version_stage), ("VersionId", version_id)] {
                if let Some(value) = value {
                    body.push_str(&format!(r#","{key}":{}"#, json::quote(value)));
                }
            }
            body.push('}');
            body
        }
    }
}

/// The text that an answer holds: the whole secret, or the parameter.
fn read_answer(store: &Store, response: &Response) -> Result<String, Failure> {
    let members = Object::parse(&response.body);
    if response.status != 200 {
        return Err(read_refusal(response, members.as_ref()));
    }
    let unexpected = || Failure::Refused("the answer holds no value".to_owned());
    let members = members.ok_or_else(unexpected)?;
    let raw = match store {
        Store::SecretsManager { .. } => match members.get("SecretString") {
            Some(raw) if raw != "null" => Some(raw),
            _ if members.get("SecretBinary").is_some_and(|raw| raw != "null") => {
                return Err(Failure::Refused("it is a binary secret, and an environment variable holds text; store it as a string".to_owned()));
            }
            _ => None,
        },
        Store::ParameterStore => members
            .get_borrowed("Parameter")
            .and_then(|parameter| Object::parse(parameter.as_bytes()))
            .and_then(|parameter| parameter.get_borrowed("Value")),
    };
    let text = raw.and_then(json::string).ok_or_else(unexpected)?;
    Ok(text.into_owned())
}

fn read_refusal(response: &Response, members: Option<&Object<'_>>) -> Failure {
    let text = |key: &str| Some(json::string(members?.get(key)?)?.into_owned());
    // `com.amazonaws.secretsmanager#ResourceNotFoundException:http://…`, of which both ends may be missing.
    let code = text("__type")
        .or_else(|| response.header("x-amzn-ErrorType").map(str::to_owned))
        .map(|code| {
            let name = code.rsplit('#').next().unwrap_or_default();
            name.split(':').next().unwrap_or_default().to_owned()
        })
        .filter(|code| !code.is_empty());
    let mut reason = match &code {
        Some(code) => code.clone(),
        None => format!("HTTP status {}", response.status),
    };
    let message = text("message").or_else(|| text("Message"));
    if let Some(message) = message.filter(|message| !message.trim().is_empty()) {
        reason.push_str(": ");
        reason.push_str(&shorten(message.trim(), 1_000));
    }
    let passes = response.status >= 500
        || response.status == 429
        || code.is_some_and(|code| code.contains("Throttl") || TRANSIENT.contains(&code.as_str()));
    if passes {
        Failure::Transient(reason)
    } else {
        Failure::Refused(reason)
    }
}

/// What `reference` means of a secret's text: all of it, or the value of a key. Numbers and booleans are taken as they are written.
fn pick(reference: &SecretReference, text: &str) -> Result<Value, String> {
    let picked = match &reference.store {
        Store::SecretsManager {
            json_key: Some(key),
            ..
        } => {
            let members = Object::parse(text.as_bytes())
                .ok_or_else(|| format!("it is no JSON object, so it has no key `{key}`"))?;
            let raw = members
                .get(key)
                .ok_or_else(|| format!("its JSON has no key `{key}`"))?;
            match raw.as_bytes().first() {
                Some(b'"') => json::string(raw).map(std::borrow::Cow::into_owned),
                Some(b'[' | b'{' | b'n') | None => None,
                Some(_) => Some(raw.to_owned()),
            }
            .ok_or_else(|| {
                format!("its JSON key `{key}` is neither a string nor a number nor a boolean")
            })?
        }
        _ => text.to_owned(),
    };
    if picked.contains('\0') {
        return Err("its value holds a NUL byte, which no environment variable can".to_owned());
    }
    Ok(Value(picked))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:n-AbCdEf";

    fn secret(behind: &str) -> SecretReference {
        SecretReference::parse(&format!("{ARN}{behind}")).expect("a reference")
    }

    fn parameter() -> SecretReference {
        SecretReference::parse("arn:aws:ssm:eu-west-1:123456789012:parameter/p")
            .expect("a reference")
    }

    fn answer(reference: &SecretReference, status: u16, body: &str) -> Result<String, String> {
        let response = Response {
            status,
            headers: vec![("x-amzn-ErrorType".to_owned(), "HeaderException".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        read_answer(&reference.store, &response).map_err(|failure| match failure {
            Failure::Refused(reason) => reason,
            Failure::Transient(reason) => format!("later: {reason}"),
        })
    }

    #[test]
    fn a_request_names_what_the_reference_does() {
        let version = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";
        for (behind, expected) in [
            ("", String::new()),
            (":key", String::new()),
            ("::AWSPENDING", r#","VersionStage":"AWSPENDING""#.to_owned()),
            (
                &format!(":key:AWSCURRENT:{version}"),
                format!(r#","VersionStage":"AWSCURRENT","VersionId":"{version}""#),
            ),
        ] {
            assert_eq!(
                body(&secret(behind)),
                format!(r#"{{"SecretId":"{ARN}"{expected}}}"#)
            );
        }
        assert_eq!(
            body(&parameter()),
            r#"{"Name":"arn:aws:ssm:eu-west-1:123456789012:parameter/p","WithDecryption":true}"#
        );
    }

    #[test]
    fn answers_of_both_services_are_read() {
        let text = r#"{"ARN":"a","Name":"n","SecretString":"p\"ä","VersionStages":["AWSCURRENT"],"CreatedDate":1.7E9}"#;
        assert_eq!(answer(&secret(""), 200, text).as_deref(), Ok("p\"ä"));
        let text =
            r#"{"Parameter":{"ARN":"a","Name":"p","Type":"SecureString","Value":"v","Version":3}}"#;
        assert_eq!(answer(&parameter(), 200, text).as_deref(), Ok("v"));
    }

    #[test]
    fn answers_without_a_text_are_refused_without_being_shown() {
        for body in [
            r#"{"SecretBinary":"aGlkZGVu"}"#,
            r#"{"SecretString":null,"SecretBinary":"aGlkZGVu"}"#,
        ] {
            assert_eq!(
                answer(&secret(""), 200, body),
                Err("it is a binary secret, and an environment variable holds text; store it as a string".to_owned())
            );
        }
        for body in ["", "hidden", "[]", "{}", r#"{"SecretString":7}"#] {
            assert_eq!(
                answer(&secret(""), 200, body),
                Err("the answer holds no value".to_owned())
            );
        }
        for body in [
            "{}",
            r#"{"Parameter":"hidden"}"#,
            r#"{"Parameter":{"Value":null}}"#,
        ] {
            assert_eq!(
                answer(&parameter(), 200, body),
                Err("the answer holds no value".to_owned())
            );
        }
    }

    #[test]
    fn refusals_are_told_with_awss_code_and_sentence() {
        for (status, body, expected) in [
            (
                400,
                r#"{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}"#,
                "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
            ),
            (
                400,
                r#"{"__type":"com.amazon.coral.service#AccessDeniedException:http://x/","message":"User: u is not authorized"}"#,
                "AccessDeniedException: User: u is not authorized",
            ),
            (
                400,
                r#"{"__type":"ParameterNotFound"}"#,
                "ParameterNotFound",
            ),
            (
                400,
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
                "later: ThrottlingException: Rate exceeded",
            ),
            (429, "", "later: HeaderException"),
            (
                500,
                r#"{"__type":"InternalServiceError"}"#,
                "later: InternalServiceError",
            ),
            (403, "<html>", "HeaderException"),
            (200, r#"{"SecretString":"s"}"#, "s"),
        ] {
            let told = match answer(&secret(""), status, body) {
                Ok(text) | Err(text) => text,
            };
            assert_eq!(told, expected, "{body}");
        }
        let bare = Response {
            status: 503,
            headers: vec![],
            body: b"<html>".to_vec(),
        };
        assert!(matches!(
            read_refusal(&bare, None),
            Failure::Transient(reason) if reason == "HTTP status 503"
        ));
    }

    #[test]
    fn a_keys_value_is_picked_as_it_is_written() {
        let text = r#"{"s":"a\nb","n":5432,"big":1000000,"f":1.50,"t":true,"null":null,"list":["hidden"],"object":{"x":"hidden"},"":"empty"}"#;
        for (key, expected) in [
            ("s", "a\nb"),
            ("n", "5432"),
            ("big", "1000000"),
            ("f", "1.50"),
            ("t", "true"),
        ] {
            assert_eq!(
                pick(&secret(&format!(":{key}")), text),
                Ok(Value(expected.to_owned())),
                "{key}"
            );
        }
        assert_eq!(pick(&secret("::"), text), Ok(Value(text.to_owned())));
        for key in ["null", "list", "object"] {
            assert_eq!(
                pick(&secret(&format!(":{key}")), text),
                Err(format!(
                    "its JSON key `{key}` is neither a string nor a number nor a boolean"
                ))
            );
        }
        assert_eq!(
            pick(&secret(":S"), text),
            Err("its JSON has no key `S`".to_owned())
        );
        for no_object in ["hidden", "[\"hidden\"]", ""] {
            assert_eq!(
                pick(&secret(":s"), no_object),
                Err("it is no JSON object, so it has no key `s`".to_owned())
            );
        }
        assert_eq!(
            pick(&secret(""), "a\0b"),
            Err("its value holds a NUL byte, which no environment variable can".to_owned())
        );
    }
}
