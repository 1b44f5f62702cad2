//! AWS's side of secrets, on loopback: Secrets Manager, Parameter Store and the credentials that a container is given, over HTTP or HTTPS.
//!
//! Enters: what each request is to be answered with. Leaves: the requests as they came. Refuses to serve requests to AWS that are not signed, header by
//! header and byte by byte, with the credentials that it gave out: the signature is computed again here from what came over the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ring::{digest, hmac};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

pub(crate) const KEY_ID: &str = "ASIAEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const SESSION_TOKEN: &str = "FwoGZXIvYXdzEXAMPLE==";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Which of the connections to this server it came over, counted from 1.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// What is asked for, in one line: the operation and its parameters.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.header("x-amz-target"), self.body)
    }
}

/// What is done about a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        body: String,
    },
    /// The connection is closed without a word.
    HangUp,
    /// Nothing ever comes.
    Silence,
}

/// As Secrets Manager gives a secret.
pub(crate) fn secret(text: &str) -> Reply {
    let body = json!({
        "ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:n-AbCdEf", "Name": "n", "CreatedDate": 1.7e9,
        "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1", "VersionStages": ["AWSCURRENT"], "SecretString": text,
    });
    Reply::Answer {
        status: 200,
        body: body.to_string(),
    }
}

/// As Parameter Store gives a parameter.
pub(crate) fn parameter(text: &str) -> Reply {
    let body = json!({"Parameter": {
        "ARN": "arn:aws:ssm:eu-west-1:123456789012:parameter/p", "DataType": "text", "LastModifiedDate": 1.7e9, "Name": "p",
        "Type": "SecureString", "Value": text, "Version": 3,
    }});
    Reply::Answer {
        status: 200,
        body: body.to_string(),
    }
}

/// As both refuse.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::Answer {
        status,
        body: json!({"__type": code, "message": message}).to_string(),
    }
}

/// A server that runs until the test ends.
pub(crate) struct Aws {
    address: SocketAddr,
    scheme: &'static str,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Aws {
    /// Answers every request with what `reply` makes of it; `reply` gets the number of the request too, counted from 1.
    pub(crate) fn start(reply: impl FnMut(usize, &Call) -> Reply + Send + 'static) -> Self {
        Self::serve(None, reply)
    }

    /// The same behind TLS.
    pub(crate) fn start_tls(
        config: ServerConfig,
        reply: impl FnMut(usize, &Call) -> Reply + Send + 'static,
    ) -> Self {
        Self::serve(Some(Arc::new(config)), reply)
    }

    fn serve(
        tls: Option<Arc<ServerConfig>>,
        reply: impl FnMut(usize, &Call) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let aws = Self {
            address: listener.local_addr().expect("bound"),
            scheme: if tls.is_some() { "https" } else { "http" },
            calls: Arc::default(),
        };
        let (calls, reply) = (Arc::clone(&aws.calls), Arc::new(Mutex::new(reply)));
        thread::spawn(move || {
            for (index, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (calls, reply, tls) = (Arc::clone(&calls), Arc::clone(&reply), tls.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(secured(stream, tls));
                    while let Some((call, raw)) = read_call(&mut reader, index + 1) {
                        if call.method == "POST" {
                            assert_signed(&call, &raw);
                        }
                        let number = {
                            let mut calls = calls.lock().expect("not poisoned");
                            calls.push(call.clone());
                            calls.len()
                        };
                        let reply = reply.lock().expect("not poisoned")(number, &call);
                        let (status, body) = match reply {
                            Reply::Answer { status, body } => (status, body),
                            Reply::HangUp => return,
                            Reply::Silence => loop {
                                thread::park();
                            },
                        };
                        let answer = format!(
                            "HTTP/1.1 {status} Whatever\r\nx-amzn-RequestId: 1\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        let stream = reader.get_mut();
                        if stream
                            .write_all(answer.as_bytes())
                            .and_then(|()| stream.flush())
                            .is_err()
                        {
                            return;
                        }
                    }
                });
            }
        });
        aws
    }

    /// Its URL, with `host` for its address.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// The requests so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("not poisoned").clone()
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn secured(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Box<dyn Stream> {
    match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).expect("a configuration that works");
            Box::new(StreamOwned::new(connection, stream))
        }
    }
}

/// Reads one request, and its body as it came; `None` at the end of the connection.
fn read_call(
    reader: &mut BufReader<Box<dyn Stream>>,
    connection: usize,
) -> Option<(Call, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut call = Call {
        connection,
        method,
        path,
        headers,
        body: Value::Null,
    };
    let mut raw = vec![0; call.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut raw).ok()?;
    if !raw.is_empty() {
        call.body = serde_json::from_slice(&raw).expect("a body of JSON");
    }
    Some((call, raw))
}

/// Computes the signature as AWS documents it and compares.
#[track_caller]
fn assert_signed(call: &Call, raw: &[u8]) {
    let authorization = call
        .header("authorization")
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .expect("a signature of version 4");
    let field = |name: &str| {
        authorization
            .split(", ")
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("{name} is missing in {authorization}"))
    };
    let scope: Vec<&str> = field("Credential").split('/').collect();
    let [key_id, day, region, service, "aws4_request"] = scope.as_slice() else {
        panic!("a scope of another form: {scope:?}");
    };
    assert_eq!(*key_id, KEY_ID);
    for name in ["content-type", "host", "x-amz-date", "x-amz-target"] {
        let signed = field("SignedHeaders")
            .split(';')
            .any(|signed| signed == name);
        assert!(signed, "{name} is not signed");
    }
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let sha256 = |data: &[u8]| hex(digest::digest(&digest::SHA256, data).as_ref());
    let signed: String = field("SignedHeaders")
        .split(';')
        .map(|name| format!("{name}:{}\n", call.header(name)))
        .collect();
    let canonical = format!(
        "{}\n{}\n\n{signed}\n{}\n{}",
        call.method,
        call.path,
        field("SignedHeaders"),
        sha256(raw)
    );
    let date = call.header("x-amz-date");
    assert!(date.starts_with(day), "{date} is not on {day}");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{}",
        sha256(canonical.as_bytes())
    );
    let key = [*day, *region, *service, "aws4_request", text.as_str()]
        .iter()
        .fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
        });
    assert_eq!(hex(&key), field("Signature"), "{canonical}");
}
