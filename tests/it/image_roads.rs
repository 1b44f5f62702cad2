//! The roads to a registry, through the real provider: credential helpers on PATH, a proxy, certificates of one's own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mcplambda::plugin::tfplugin6::{ClientCapabilities, configure_provider, read_data_source};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::image_support::{TestImage, TestRegistry, docker_configuration};
use crate::tfclient::Start;
use crate::tfclient::value::decode;

/// What the data source answers about `image`: its lock, or the error.
pub(crate) async fn lock_of(start: Start, image: &str) -> Result<Value, String> {
    let plugin = start.start().await;
    let schemas = plugin.schemas().await;
    let config = json!({
        "region": "eu-north-1", "access_key": "AKID", "secret_key": "secret", "skip_credentials_validation": true,
    });
    let request = configure_provider::Request {
        terraform_version: "1.16.0".to_owned(),
        config: Some(schemas.provider(&config)),
        client_capabilities: Some(ClientCapabilities::default()),
    };
    let answer = plugin.provider().configure_provider(request).await;
    assert_eq!(answer.expect("an answer").into_inner().diagnostics, []);
    let request = read_data_source::Request {
        type_name: "mcplambda_package".to_owned(),
        config: Some(schemas.data_source(
            "mcplambda_package",
            &json!({"command": "docker", "args": ["run", "-i", "--rm", image]}),
        )),
        ..read_data_source::Request::default()
    };
    let answer = plugin.provider().read_data_source(request).await;
    let answer = answer.expect("an answer").into_inner();
    match answer.diagnostics.as_slice() {
        [] => Ok(decode(answer.state.as_ref())["lock"].clone()),
        [error] => Err(error.detail.clone()),
        more => panic!("{more:?}"),
    }
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A provider that finds `docker-credential-test`, which is this script.
pub(crate) fn with_helper(home: &Path, script: &str) -> Start {
    let helper = home.join("docker-credential-test");
    std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = std::env::var("PATH").unwrap_or_default();
    Start::default()
        .env("HOME", home)
        .env("PATH", format!("{}:{path}", home.display()))
}

#[tokio::test]
async fn a_credential_helper_is_asked_for_the_registry_and_no_other() {
    let registry = TestRegistry::private();
    let digest = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let host = registry.host.as_str();
    let image = format!("{host}/mcp/x:1");
    let script = format!(
        r#"[ "$1" = get ] && [ "$(cat)" = "{host}" ] && echo '{{"ServerURL":"{host}","Username":"mcp","Secret":"secret"}}'"#
    );
    for configuration in [
        json!({"credHelpers": {host: "test"}}),
        json!({"credsStore": "test"}),
        json!({"credHelpers": {"other.example": "none"}, "credsStore": "test"}),
    ] {
        let home = home();
        docker_configuration(home.path(), &configuration);
        let lock = lock_of(with_helper(home.path(), &script), &image).await;
        assert_eq!(lock, Ok(json!(format!("{host}/mcp/x@{digest}"))));
    }
}

#[tokio::test]
async fn a_credential_helper_that_has_none_leads_to_no_credentials_and_one_that_fails_to_its_words()
{
    let registry = TestRegistry::private();
    let host = registry.host.as_str();
    let image = format!("{host}/mcp/x:1");
    for (script, words) in [
        (
            "cat >&2; echo 'credentials not found in native keychain'; exit 1",
            "with the credentials at hand (none)",
        ),
        (
            "cat >/dev/null; echo 'the vault is sealed' >&2; exit 2",
            "the credential helper `docker-credential-test` failed: the vault is sealed",
        ),
        (
            "cat >/dev/null; echo nonsense",
            "Credential helper response malformed",
        ),
    ] {
        let home = home();
        docker_configuration(home.path(), &json!({"credHelpers": {host: "test"}}));
        let error = lock_of(with_helper(home.path(), script), &image)
            .await
            .expect_err("no credentials");
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
}

/// An HTTP proxy that leads every tunnel to one address, and remembers what was asked for.
pub(crate) struct Proxy {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (address, seen) = (address.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let target = TcpStream::connect(&address).expect("the registry listens");
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || tunnel(client, target, &seen));
            }
        });
        Self { url, asked }
    }

    /// `METHOD target`, each once.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("nobody panicked").clone();
        asked.dedup();
        asked
    }
}

fn tunnel(client: TcpStream, target: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut head = BufReader::new(client.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        head.read_line(&mut line).expect("a head");
        if line.trim().is_empty() {
            break;
        }
        lines.push(line);
    }
    let asked = lines.first().and_then(|line| line.rsplit_once(" HTTP"));
    let asked = asked.expect("a request").0.to_owned();
    seen.lock().expect("nobody panicked").push(asked);
    // Nothing is sent before the answer, so nothing is left in the reader.
    (&client)
        .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
        .expect("answered");
    let copies = [
        (client.try_clone(), target.try_clone()),
        (target.try_clone(), client.try_clone()),
    ];
    for (from, to) in copies {
        let (mut from, mut to) = (from.expect("a handle"), to.expect("a handle"));
        std::thread::spawn(move || {
            // Either side may go at any moment.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

#[tokio::test]
async fn a_registry_is_reached_through_the_proxy_with_certificates_of_ones_own() {
    let plain = TestRegistry::start();
    let digest = plain.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let own = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).expect("made");
    let registry = plain.beside_with_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let proxy = Proxy::to(&registry.host);
    let home = home();
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
        assert_eq!(
            lock,
            Ok(json!(format!("registry.test/mcp/x@{digest}"))),
            "{variable}"
        );
    }
    assert_eq!(proxy.asked(), ["CONNECT registry.test:443"]);

    let error = lock_of(start(), "registry.test/mcp/x:1")
        .await
        .expect_err("not trusted");
    assert!(
        error.starts_with("The registry registry.test could not be reached to ")
            && error.contains("certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn a_registry_on_loopback_is_reached_without_the_proxy() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let home = home();
    let nobody = "http://127.0.0.1:9";
    let start = Start::default()
        .env("HOME", home.path())
        .env("HTTP_PROXY", nobody)
        .env("ALL_PROXY", nobody)
        .env("NO_PROXY", "");
    let image = format!("{}/mcp/x:1", registry.host);
    let lock = lock_of(start, &image).await;
    assert_eq!(lock, Ok(json!(format!("{}/mcp/x@{digest}", registry.host))));
}
