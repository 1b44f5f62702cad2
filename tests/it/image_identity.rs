//! Identity tokens open registries that have a token server: one of the tests' own, in front of a real registry that believes it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use mcplambda::package::Architecture;
use mcplambda::package::ErrorKind;
use mcplambda::package::image::{Credentials, Destination, build_around, push, resolve};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::image_registry::{at, source};
use crate::image_roads::{Proxy, lock_of, with_helper};
use crate::image_support::{TestImage, TestRegistry, docker_configuration};
use crate::tfclient::Start;

/// What `docker login` would keep; its characters are some that a form encodes.
const TOKEN: &str = "re+fresh/me==";

/// How a token server behaves.
#[derive(Clone)]
struct Behaviour {
    /// Its address, as the registry says it; its own where this is empty.
    realm: String,
    /// Status and body of the answer to [`TOKEN`].
    answer: (u16, &'static str),
    /// An address that it sends on to.
    location: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            realm: String::new(),
            answer: (200, r#"{"access_token": "OPENS", "expires_in": 60}"#),
            location: None,
        }
    }
}

/// A token server and a registry that wants its tokens, in one: what they let in goes on to a registry that lets everybody in.
struct Front {
    /// `127.0.0.1:port`.
    host: String,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Serving {
    behaviour: Behaviour,
    realm: String,
    behind: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Front {
    async fn of(registry: &TestRegistry, behaviour: Behaviour) -> Self {
        Self::serve(registry, behaviour, None).await
    }

    /// With TLS if `certificate` (and its key) is given.
    async fn serve(
        registry: &TestRegistry,
        behaviour: Behaviour,
        acceptor: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let seen = Arc::default();
        let serving = Serving {
            realm: match behaviour.realm.as_str() {
                "" => format!("http://{host}/token"),
                realm => realm.to_owned(),
            },
            behaviour,
            behind: registry.host.clone(),
            seen: Arc::clone(&seen),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (serving, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serving.answer(stream).await,
                        Some(acceptor) => {
                            // Who does not trust the certificate goes away.
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serving.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { host, seen }
    }

    /// What the token server was sent, in order.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

impl Serving {
    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = Vec::new();
        let (head, body) = loop {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            request.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(request.clone()).expect("text");
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().expect("a length"))
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let first = head.lines().next().expect("a request").to_owned();
        let answer = if first.starts_with("GET /v2/") {
            self.registry(&head, &first).await
        } else {
            self.seen
                .lock()
                .expect("nobody panicked")
                .push(format!("{} {body}", first.trim_end_matches(" HTTP/1.1")));
            let (status, text) = self.behaviour.answer;
            let location = self.behaviour.location.as_ref();
            let location = location.map_or_else(String::new, |to| format!("Location: {to}\r\n"));
            format!(
                "HTTP/1.1 {status} x\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            )
            .into_bytes()
        };
        // Nobody may be there any more.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }

    async fn registry(&self, head: &str, first: &str) -> Vec<u8> {
        let opened = head
            .lines()
            .any(|line| line.eq_ignore_ascii_case("authorization: bearer opens"));
        if !opened {
            let challenge = format!("Bearer realm=\"{}\",service=\"registry.test\"", self.realm);
            return format!(
                "HTTP/1.1 401 x\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .into_bytes();
        }
        let mut behind = TcpStream::connect(&self.behind).await.expect("it listens");
        let accept = head
            .lines()
            .filter(|line| line.to_lowercase().starts_with("accept: "));
        let accept: String = accept.map(|line| format!("{line}\r\n")).collect();
        let first = first.replace("HTTP/1.1", "HTTP/1.0");
        let asked = format!("{first}\r\nHost: registry.test\r\n{accept}\r\n");
        behind.write_all(asked.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        behind.read_to_end(&mut answer).await.expect("read");
        answer
    }
}

/// A home whose Docker configuration holds [`TOKEN`] for `host`.
fn signed_in(host: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let entry = json!({"auth": "MDAwMDowMDAw", "identitytoken": TOKEN});
    docker_configuration(home.path(), &json!({"auths": {host: entry}}));
    home
}

fn configuration(home: &Path) -> String {
    home.join(".docker/config.json").display().to_string()
}

/// What the token server is sent for a repository.
fn form(repository: &str) -> String {
    format!(
        "POST /token grant_type=refresh_token&client_id=mcplambda&scope=repository%3A{}%3Apull&refresh_token=re%2Bfresh%2Fme%3D%3D&\
         service=registry.test",
        repository.replace('/', "%2F")
    )
}

#[tokio::test]
async fn an_identity_token_is_exchanged_for_one_that_opens_the_repository() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let front = Front::of(&registry, Behaviour::default()).await;
    let image = format!("{}/mcp/x:1", front.host);
    let lock = Ok(json!(format!("{}/mcp/x@{digest}", front.host)));

    let home = signed_in(&front.host);
    let found = lock_of(Start::default().env("HOME", home.path()), &image).await;
    assert_eq!(found, lock);
    // For the tag, and for what its digest names.
    assert_eq!(front.seen(), [form("mcp/x"), form("mcp/x")]);

    // As a helper says it.
    let home = tempfile::tempdir().expect("a directory");
    docker_configuration(
        home.path(),
        &json!({"credHelpers": {front.host.as_str(): "test"}}),
    );
    let answer = json!({"ServerURL": front.host, "Username": "<token>", "Secret": TOKEN});
    let helper = format!("cat >/dev/null; echo '{answer}'");
    let found = lock_of(with_helper(home.path(), &helper), &image).await;
    assert_eq!(found, lock);
    assert_eq!(front.seen(), vec![form("mcp/x"); 4]);
}

#[tokio::test]
async fn each_layer_is_read_with_a_token_of_its_own_because_they_are_short_lived() {
    let (registry, there) = (TestRegistry::start(), TestRegistry::start());
    registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let front = Front::of(&registry, Behaviour::default()).await;
    let home = signed_in(&front.host);
    let tools = at(home.path());
    let image = source(&format!("{}/mcp/x:1", front.host), Architecture::X86_64);
    let lock = resolve(&tools, &image).await.expect("resolved");
    let built = build_around(b"bridge", &tools, &image, &lock)
        .await
        .expect("built");
    let destination = Destination {
        repository: format!("{}/mine", there.host),
        credentials: Credentials::anonymous(),
        further_tag: None,
    };
    let before = front.seen().len();
    push(&tools, &lock, &built, &destination)
        .await
        .expect("pushed");
    // One to open it, one for its only layer.
    assert_eq!(front.seen()[before..], [form("mcp/x"), form("mcp/x")]);
    assert_eq!(there.manifest("mine", &built.digest).0, 200);
}

#[tokio::test]
async fn what_becomes_of_a_token_that_is_not_exchanged_is_said_without_it() {
    let registry = TestRegistry::start();
    registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let elsewhere = Front::of(&registry, Behaviour::default()).await;
    let default = Behaviour::default;
    let refused = |status: u16| {
        format!(
            "the registry HOST refuses to take the identity token, with the credentials at hand (PLACE): its token server 127.0.0.1 answered \
             with HTTP {status}. The token may have expired or been revoked. Sign in with `docker login HOST`"
        )
    };
    let useless = |reason: &str| {
        format!(
            "the credentials for HOST cannot be had from Docker's configuration (PLACE): they are an identity token, which the registry does \
             not exchange: {reason}. Sign in with a user name and a password or access token"
        )
    };
    // Token servers repeat what they are sent.
    let echo =
        r#"{"error": "invalid_grant", "error_description": "re+fresh/me== re%2Bfresh%2Fme%3D%3D"}"#;
    for (behaviour, kind, message) in [
        (
            Behaviour { answer: (401, echo), ..default() },
            ErrorKind::Unresolvable,
            refused(401),
        ),
        (
            Behaviour { answer: (400, echo), ..default() },
            ErrorKind::Unresolvable,
            refused(400),
        ),
        (
            Behaviour { answer: (404, echo), ..default() },
            ErrorKind::Io,
            useless("its token server 127.0.0.1 answered with HTTP 404, so it takes none"),
        ),
        (
            Behaviour { answer: (200, echo), ..default() },
            ErrorKind::Io,
            useless("its token server 127.0.0.1 answers with no access token"),
        ),
        (
            Behaviour { answer: (503, echo), ..default() },
            ErrorKind::Network,
            "the registry HOST could not be reached to take the identity token: its token server 127.0.0.1 answered with HTTP 503. Check the \
             network and proxy settings"
                .to_owned(),
        ),
        (
            Behaviour { answer: (429, echo), ..default() },
            ErrorKind::Network,
            "the registry HOST allows no more requests for now: its token server 127.0.0.1 answered with HTTP 429. Wait, or sign in with \
             `docker login HOST`"
                .to_owned(),
        ),
        (
            Behaviour {
                answer: (307, ""),
                location: Some(format!("http://{}/token", elsewhere.host)),
                ..default()
            },
            ErrorKind::Network,
            "the registry HOST could not be reached to take the identity token: its token server 127.0.0.1 answered with HTTP 307. Check the \
             network and proxy settings"
                .to_owned(),
        ),
        (
            Behaviour { realm: "http://tokens.example/token".to_owned(), ..default() },
            ErrorKind::Io,
            useless("its token server tokens.example would be spoken to without TLS"),
        ),
        (
            Behaviour { realm: "/token".to_owned(), ..default() },
            ErrorKind::Io,
            useless("it answered with HTTP 401 and names no token server"),
        ),
    ] {
        let front = Front::of(&registry, behaviour).await;
        let home = signed_in(&front.host);
        let image = source(&format!("{}/mcp/x:1", front.host), Architecture::X86_64);
        let error = resolve(&at(home.path()), &image).await.expect_err(&message);
        let message = message
            .replace("HOST", &front.host)
            .replace("PLACE", &configuration(home.path()));
        assert_eq!((error.to_string(), error.kind()), (message, kind));
    }
    assert_eq!(elsewhere.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_that_lets_everybody_in_is_not_shown_the_token() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let home = signed_in(&registry.host);
    let image = source(&format!("{}/mcp/x:1", registry.host), Architecture::X86_64);
    let lock = resolve(&at(home.path()), &image).await.expect("resolved");
    assert_eq!(
        lock.to_string(),
        format!("{}/mcp/x@{digest}", registry.host)
    );
}

#[tokio::test]
async fn a_token_goes_through_the_proxy_to_a_server_with_a_certificate_of_ones_own() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let own = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).expect("made");
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a certificate");
    let behaviour = Behaviour {
        realm: "https://registry.test/token".to_owned(),
        ..Behaviour::default()
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let front = Front::serve(&registry, behaviour, Some(acceptor)).await;
    let proxy = Proxy::to(&front.host);
    let home = signed_in("registry.test");
    let bundle = home.path().join("own.pem");
    std::fs::write(&bundle, own.cert.pem()).expect("written");
    let start = || {
        Start::default()
            .env("HOME", home.path())
            .env("HTTPS_PROXY", &proxy.url)
            .env("NO_PROXY", "")
    };
    for variable in ["SSL_CERT_FILE", "AWS_CA_BUNDLE"] {
        let lock = lock_of(start().env(variable, &bundle), "registry.test/mcp/x:1").await;
        let expected: Result<Value, String> = Ok(json!(format!("registry.test/mcp/x@{digest}")));
        assert_eq!(lock, expected, "{variable}");
    }
    assert_eq!(proxy.asked(), ["CONNECT registry.test:443"]);
    assert_eq!(front.seen(), vec![form("mcp/x"); 4]);

    let error = lock_of(start(), "registry.test/mcp/x:1")
        .await
        .expect_err("not trusted");
    assert!(
        error.starts_with(
            "The registry registry.test could not be reached to take the identity token: "
        ) && error.contains("certificate"),
        "{error}"
    );
    assert_eq!(front.seen().len(), 4);
}
