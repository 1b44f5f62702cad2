//! A loopback STS: answers what the test tells it, and keeps every request for the test to look at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    /// The form's fields, decoded.
    pub(crate) form: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The access key that signed the request.
    pub(crate) fn access_key(&self) -> Option<&str> {
        self.header("authorization")?
            .split("Credential=")
            .nth(1)?
            .split('/')
            .next()
    }
}

/// Stops listening when dropped.
pub(crate) struct FakeSts {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeSts {
    /// `answer` gets each request and returns a status and an XML body.
    pub(crate) fn start(answer: impl Fn(&Request) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let url = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                serve(stream, &answer, &kept);
            }
        });
        Self { url, requests }
    }

    /// The account `account` and nothing else.
    pub(crate) fn of_account(account: &'static str) -> Self {
        Self::start(move |request| match request.field("Action") {
            Some("GetCallerIdentity") => (200, identity(account)),
            _ => (400, error("InvalidAction", "not expected here")),
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no holder panics").clone()
    }
}

/// One request per connection: no keep-alive, so that a single thread serves all in turn.
fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&Request) -> (u16, String),
    kept: &Mutex<Vec<Request>>,
) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("headers are text");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| {
            value.parse::<usize>().expect("content-length is a number")
        });
    let mut body = vec![0; length];
    reader
        .read_exact(&mut body)
        .expect("the body is as long as announced");
    let form = String::from_utf8(body)
        .expect("a form is text")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    let request = Request { headers, form };
    kept.lock().expect("no holder panics").push(request.clone());
    let (status, body) = answer(&request);
    // The client may have given up; that is its business.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).expect("two hexadecimal digits follow %"));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).expect("a form holds UTF-8")
}

/// GetCallerIdentity's answer.
pub(crate) fn identity(account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/someone</Arn><UserId>AIDA</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

/// AssumeRole's answer: credentials with this access key.
pub(crate) fn assumed(access_key: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// An error as STS writes it.
pub(crate) fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}
