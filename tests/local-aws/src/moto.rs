//! moto: started, waited for, and asked.
//!
//! Enters: the venv that `install.sh` made. Leaves: a running moto server and the ways to call it:
//! a client's request forwarded as it came, or a question of local-aws's own in the name of some
//! account.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::call::percent_encode;
use crate::reply::{Reply, body_of};
use crate::supervise::{Spec, Supervised};

/// The account that moto gives to credentials that it does not know.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The file in the work directory that receives moto's output.
const LOG: &str = "moto.log";

/// How to call a running moto.
#[derive(Clone)]
pub(crate) struct Moto {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A moto process.
pub(crate) struct Running {
    pub(crate) supervised: Supervised,
    pub(crate) moto: Moto,
}

/// Starts moto and waits until it answers.
///
/// # Errors
///
/// A sentence: what is missing and how to get it, or what moto said.
pub(crate) async fn start(venv: &Path, work: &Path) -> Result<Running, String> {
    let program = venv.join("bin/moto_server");
    if !program.is_file() {
        return Err(format!(
            "moto is missing ({}); run tests/local-aws/install.sh",
            program.display()
        ));
    }
    let log = work.join(LOG);
    let mut last_error = String::new();
    // A port that is free now can be taken before moto has it: then another is tried.
    for attempt in 0..3 {
        let address = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?;
        let spec = Spec {
            argv: ["-H", "127.0.0.1", "-p", &address.port().to_string()]
                .iter()
                .fold(vec![program.display().to_string()], |mut argv, argument| {
                    argv.push((*argument).to_owned());
                    argv
                }),
            env: [
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("LANG", "C.UTF-8"),
                // AWS's own policies, which people attach by ARN.
                ("MOTO_IAM_LOAD_MANAGED_POLICIES", "true"),
                // Lambda keeps 100 of an account's 1000 concurrent executions unreserved.
                ("MOTO_LAMBDA_CONCURRENCY_QUOTA", "1000"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            output: Some(log.clone()),
            root: None,
            remove_if_orphaned: Some(work.to_owned()),
        };
        let mut supervised = Supervised::start(work, &format!("moto-{attempt}"), &spec)
            .map_err(|error| error.to_string())?;
        let moto = Moto {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        match moto.answers(&mut supervised).await {
            Ok(()) => return Ok(Running { supervised, moto }),
            Err(error) => {
                supervised.stop().await;
                last_error = format!("{error}; its output ends: {}", output(work));
            }
        }
    }
    Err(format!("moto did not start: {last_error}"))
}

/// The end of what moto has printed.
pub(crate) fn output(work: &Path) -> String {
    let output = std::fs::read_to_string(work.join(LOG)).unwrap_or_default();
    let output = output.trim();
    let start = output
        .char_indices()
        .rev()
        .nth(1000)
        .map_or(0, |(at, _)| at);
    output[start..].to_owned()
}

impl Moto {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn answers(&self, supervised: &mut Supervised) -> Result<(), String> {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let request =
                Request::get(format!("http://{}/moto-api/", self.address)).body(Full::default());
            // The address makes a valid URI.
            if let Ok(answer) = self.client.request(request.expect("a valid request")).await
                && answer.status().is_success()
            {
                return Ok(());
            }
            if supervised.ended() {
                return Err("it ended".to_owned());
            }
            if Instant::now() > limit {
                return Err("it did not answer within 60 s".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Passes a client's request on, with its own Host: moto makes addresses from it.
    ///
    /// # Errors
    ///
    /// A sentence, when moto does not answer.
    pub(crate) async fn forward(&self, request: Request<Bytes>) -> Result<Reply, String> {
        let (mut parts, body) = request.into_parts();
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        parts.uri = format!("http://{}{target}", self.address)
            .parse()
            .map_err(|_| format!("not a path: {target}"))?;
        for name in [TRANSFER_ENCODING, CONTENT_LENGTH, CONNECTION, EXPECT] {
            parts.headers.remove(name);
        }
        parts
            .headers
            .entry(HOST)
            .or_insert(HeaderValue::from_static("localhost"));
        let answer = self
            .client
            .request(Request::from_parts(parts, Full::new(body)))
            .await
            .map_err(|error| format!("moto does not answer: {error}"))?;
        let (mut parts, body) = answer.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| format!("moto broke off: {error}"))?
            .to_bytes();
        for name in [TRANSFER_ENCODING, CONTENT_LENGTH, CONNECTION] {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, Full::new(body)))
    }

    /// Asks a service of the Query protocol, and returns its XML.
    ///
    /// # Errors
    ///
    /// A sentence with moto's answer, when that is no success.
    pub(crate) async fn query(
        &self,
        (account, region, service): (&str, &str, &str),
        parameters: &[(&str, &str)],
    ) -> Result<String, String> {
        let form: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let request = self
            .own_request(account, region, service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form.join("&")))
            .map_err(|error| error.to_string())?;
        let (status, body) = self.ask(request).await?;
        if status == 200 { Ok(body) } else { Err(body) }
    }

    /// Asks a service of the JSON protocol. `target` is for example `Logs_20140328.PutLogEvents`.
    ///
    /// # Errors
    ///
    /// A sentence with moto's answer, when that is no success.
    pub(crate) async fn json(
        &self,
        (account, region, service): (&str, &str, &str),
        target: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let request = self
            .own_request(account, region, service)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(Bytes::from(body.to_string()))
            .map_err(|error| error.to_string())?;
        let (status, body) = self.ask(request).await?;
        if status == 200 {
            Ok(serde_json::from_str(&body).unwrap_or_default())
        } else {
            Err(body)
        }
    }

    /// The account of an access key: that of a role that was assumed, else [`ACCOUNT`].
    pub(crate) async fn account_of(&self, access_key: &str) -> Result<String, String> {
        let scope = format!("{access_key}/20260101/us-east-1/sts/aws4_request");
        let request = Request::post("/")
            .header(HOST, self.address.to_string())
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(
                b"Action=GetCallerIdentity&Version=2011-06-15",
            ))
            .map_err(|error| error.to_string())?;
        let (_, body) = self.ask(request).await?;
        elements(&body, "Account")
            .first()
            .map(|account| (*account).to_owned())
            .ok_or(body)
    }

    /// Region of a bucket, if there is one of that name.
    pub(crate) async fn bucket_region(&self, bucket: &str) -> Option<String> {
        let request = self
            .own_request(ACCOUNT, "us-east-1", "s3")
            .method("HEAD")
            .uri(format!("/{bucket}"))
            .body(Bytes::new())
            .ok()?;
        let reply = self.forward(request).await.ok()?;
        let region = reply.headers().get("x-amz-bucket-region")?;
        region.to_str().ok().map(str::to_owned)
    }

    /// An object in S3, as it is now or in a version.
    ///
    /// # Errors
    ///
    /// A sentence with moto's answer, when that is no success.
    pub(crate) async fn object(
        &self,
        account: &str,
        region: &str,
        bucket: &str,
        (key, version): (&str, Option<&str>),
    ) -> Result<Bytes, String> {
        let mut request = self
            .own_request(account, region, "s3")
            .method("GET")
            .uri(format!(
                "/{bucket}/{}{}",
                percent_encode(key).replace("%2F", "/"),
                version.map_or_else(String::new, |version| format!("?versionId={version}"))
            ))
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        request.headers_mut().insert(
            "x-amz-content-sha256",
            HeaderValue::from_static("UNSIGNED-PAYLOAD"),
        );
        let reply = self.forward(request).await?;
        let status = reply.status().as_u16();
        let body = body_of(reply).await;
        if status == 200 {
            Ok(body)
        } else {
            Err(String::from_utf8_lossy(&body).into_owned())
        }
    }

    fn own_request(
        &self,
        account: &str,
        region: &str,
        service: &str,
    ) -> hyper::http::request::Builder {
        let scope = format!("local-aws/20260101/{region}/{service}/aws4_request");
        Request::post("/")
            .header(HOST, self.address.to_string())
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .header("x-moto-account-id", account)
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<(u16, String), String> {
        let reply = self.forward(request).await?;
        let status = reply.status().as_u16();
        let body = body_of(reply).await;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The texts of all elements `name` in `xml` (without attributes, not nested in themselves).
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close).map(|(text, _)| text))
        .collect()
}
