//! Images are read from and written to a real registry: by digest, each layer at most once, and read back byte for byte.

use std::path::Path;

use mcplambda::package::image::{
    Assembled, Credentials, Destination, ImageLock, ImageSource, Pushed, build_around, digest,
    push, resolve, tag,
};
use mcplambda::package::{Architecture, Attribute, ErrorKind, ServerSpec, Tools};
use serde_json::{Value, json};

use crate::image_support::{TestImage, TestRegistry, docker_configuration};
use crate::package_support::{spec, tools};

pub(crate) fn source(image: &str, architecture: Architecture) -> ImageSource {
    let spec = ServerSpec {
        command: "docker".to_owned(),
        architecture,
        ..spec(&["run", "-i", "--rm", image])
    };
    ImageSource::plan(&spec).expect("an image")
}

/// Nothing of the user's settings: Docker's configuration would be below `home`.
pub(crate) fn at(home: &Path) -> Tools {
    tools("http://127.0.0.1:9/", home)
}

async fn built(tools: &Tools, image: &str, bridge: &[u8]) -> (ImageLock, Assembled) {
    let source = source(image, Architecture::X86_64);
    let lock = resolve(tools, &source).await.expect("resolved");
    let image = build_around(bridge, tools, &source, &lock)
        .await
        .expect("built");
    (lock, image)
}

fn to(registry: &TestRegistry, repository: &str) -> Destination {
    Destination {
        repository: format!("{}/{repository}", registry.host),
        credentials: Credentials::anonymous(),
        further_tag: None,
    }
}

fn bytes_sent(pushed: &Pushed) -> u64 {
    pushed.sent.iter().map(|(_, bytes)| bytes).sum()
}

#[tokio::test]
async fn a_tag_becomes_the_digest_of_the_functions_platform() {
    let registry = TestRegistry::start();
    let home = tempfile::tempdir().expect("a directory");
    let amd = registry.put_image("mcp/x", None, &TestImage::new("amd64", b"amd"));
    let arm = registry.put_image("mcp/x", None, &TestImage::new("arm64", b"arm"));
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let entry = |digest: &str, architecture: &str| json!({"mediaType": kind, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": architecture}});
    let index = registry.put_manifest(
        "mcp/x",
        "1.0",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [entry(&arm, "arm64"), entry(&amd, "amd64")],
        }),
    );
    let tools = at(home.path());
    let host = &registry.host;
    for (name, architecture, digest) in [
        (format!("{host}/mcp/x:1.0"), Architecture::X86_64, &amd),
        (format!("{host}/mcp/x:1.0"), Architecture::Arm64, &arm),
        (format!("{host}/mcp/x@{index}"), Architecture::X86_64, &amd),
        (format!("{host}/mcp/x@{arm}"), Architecture::Arm64, &arm),
    ] {
        let lock = resolve(&tools, &source(&name, architecture))
            .await
            .expect("resolved");
        assert_eq!(lock.to_string(), format!("{host}/mcp/x@{digest}"), "{name}");
    }
    let error = resolve(
        &tools,
        &source(&format!("{host}/mcp/x@{arm}"), Architecture::X86_64),
    )
    .await
    .expect_err("another processor");
    assert_eq!(error.kind(), ErrorKind::NoWheel);
    assert!(
        error
            .to_string()
            .ends_with("it is published for linux/arm64. Set architecture = \"arm64\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_pushed_image_is_read_back_byte_for_byte() {
    let (here, there) = (TestRegistry::start(), TestRegistry::start());
    let home = tempfile::tempdir().expect("a directory");
    let image = TestImage::new("amd64", &vec![7; 3 << 20]);
    here.put_image("mcp/x", Some("1"), &image);
    let tools = at(home.path());
    let (lock, assembled) = built(&tools, &format!("{}/mcp/x:1", here.host), b"bridge").await;
    let pushed = push(&tools, &lock, &assembled, &to(&there, "mine"))
        .await
        .expect("pushed");

    assert_eq!(
        pushed.uri,
        format!("{}/mine@{}", there.host, assembled.digest)
    );
    assert_eq!(pushed.sent.len(), 3, "{pushed:?}");
    let (status, manifest) = there.manifest("mine", &assembled.digest);
    assert_eq!((status, digest(&manifest)), (200, assembled.digest.clone()));
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    let blob =
        |descriptor: &Value| there.blob("mine", descriptor["digest"].as_str().expect("a digest"));
    assert_eq!(blob(&layers[0]), image.layer());
    assert_eq!(blob(&layers[1]), assembled.layer.gzip);
    assert_eq!(blob(&manifest["config"]), assembled.config);
    let config: Value = serde_json::from_slice(&assembled.config).expect("JSON");
    let mut settings = image.settings.clone();
    settings["Entrypoint"] = json!(["/mcplambda/bridge"]);
    assert_eq!(config["config"], settings);
}

#[tokio::test]
async fn what_lies_there_is_not_sent_again() {
    let (here, there) = (TestRegistry::start(), TestRegistry::start());
    let home = tempfile::tempdir().expect("a directory");
    here.put_image(
        "mcp/x",
        Some("1"),
        &TestImage::new("amd64", &vec![7; 3 << 20]),
    );
    let tools = at(home.path());
    let name = format!("{}/mcp/x:1", here.host);
    let (lock, first) = built(&tools, &name, b"bridge").await;
    push(&tools, &lock, &first, &to(&there, "mine"))
        .await
        .expect("pushed");

    let again = push(&tools, &lock, &first, &to(&there, "mine"))
        .await
        .expect("pushed");
    assert_eq!(again.sent, []);

    // Another bridge: its layer, and the kilobyte that names it.
    let before = here.requests().len();
    let (lock, second) = built(&tools, &name, b"another bridge").await;
    let pushed = push(&tools, &lock, &second, &to(&there, "mine"))
        .await
        .expect("pushed");
    let sent: Vec<&String> = pushed.sent.iter().map(|(digest, _)| digest).collect();
    assert_eq!(sent, [&second.layer.digest, &second.config_digest]);
    assert_eq!(
        bytes_sent(&pushed),
        (second.layer.gzip.len() + second.config.len()) as u64
    );
    let layer = &second.base_layers[0].digest;
    let asked = &here.requests()[before..];
    assert!(
        !asked.iter().any(|request| request.contains(layer)),
        "{asked:#?}"
    );
}

#[tokio::test]
async fn a_further_tag_comes_with_the_push_or_later_to_what_lies_there() {
    let registry = TestRegistry::start();
    let home = tempfile::tempdir().expect("a directory");
    registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let tools = at(home.path());
    let (lock, image) = built(&tools, &format!("{}/mcp/x:1", registry.host), b"bridge").await;
    let plain = to(&registry, "mine");
    let further = |tag: &str| Destination {
        further_tag: Some(tag.to_owned()),
        ..plain.clone()
    };
    let found = |tag: &str| {
        let (status, manifest) = registry.manifest("mine", tag);
        (status == 200).then(|| digest(&manifest))
    };
    let own = image.digest.trim_start_matches("sha256:");
    let there = Some(image.digest.clone());

    push(&tools, &lock, &image, &further("first"))
        .await
        .expect("pushed");
    assert_eq!((found(own), found("first")), (there.clone(), there.clone()));

    // Its blobs are there: the manifest alone is sent.
    let before = registry.requests().len();
    let pushed = push(&tools, &lock, &image, &further("second"))
        .await
        .expect("pushed");
    assert_eq!((pushed.sent, pushed.mounted), (Vec::new(), 0));
    assert_eq!(found("second"), there);
    let asked = registry.requests()[before..].to_vec();
    let changes = asked
        .iter()
        .filter(|request| !request.starts_with("GET") && !request.starts_with("HEAD"));
    assert_eq!(
        changes.collect::<Vec<_>>(),
        ["PUT /v2/mine/manifests/second 201"]
    );

    tag(&tools, &plain, &image.digest, "third")
        .await
        .expect("tagged");
    assert_eq!(found("third"), there);

    // What is gone cannot be kept.
    let gone = format!("sha256:{}", "0".repeat(64));
    tag(&tools, &plain, &gone, "fourth")
        .await
        .expect("nothing to do");
    assert_eq!(found("fourth"), None);
}

#[tokio::test]
async fn layers_of_another_repository_of_the_same_registry_are_mounted() {
    let registry = TestRegistry::start();
    let home = tempfile::tempdir().expect("a directory");
    registry.put_image(
        "mcp/x",
        Some("1"),
        &TestImage::new("amd64", &vec![7; 3 << 20]),
    );
    let tools = at(home.path());
    let (lock, image) = built(&tools, &format!("{}/mcp/x:1", registry.host), b"bridge").await;
    let pushed = push(&tools, &lock, &image, &to(&registry, "mine"))
        .await
        .expect("pushed");
    assert_eq!(pushed.mounted, 1);
    let sent: Vec<&String> = pushed.sent.iter().map(|(digest, _)| digest).collect();
    assert_eq!(sent, [&image.layer.digest, &image.config_digest]);
    assert_eq!(
        registry.blob("mine", &image.base_layers[0].digest),
        TestImage::new("amd64", &vec![7; 3 << 20]).layer()
    );
}

#[tokio::test]
async fn dockers_configuration_opens_a_private_registry() {
    let registry = TestRegistry::private();
    let home = tempfile::tempdir().expect("a directory");
    let own = registry.put_image("mcp/x", Some("1"), &TestImage::new("amd64", b"x"));
    let tools = at(home.path());
    let image = source(&format!("{}/mcp/x:1", registry.host), Architecture::X86_64);

    let error = resolve(&tools, &image).await.expect_err("not signed in");
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    let text = error.to_string();
    assert!(
        text.contains("with the credentials at hand (none)"),
        "{text}"
    );
    assert!(
        text.contains(&format!("docker login {}", registry.host)),
        "{text}"
    );

    let auth = |text: &str| json!({"auths": {registry.host.as_str(): {"auth": text}}});
    // mcp:wrong
    docker_configuration(home.path(), &auth("bWNwOndyb25n"));
    let error = resolve(&tools, &image).await.expect_err("another password");
    assert!(
        error.to_string().contains(".docker/config.json)"),
        "{error}"
    );
    assert!(!error.to_string().contains("wrong"), "{error}");

    // mcp:secret
    docker_configuration(home.path(), &auth("bWNwOnNlY3JldA=="));
    let lock = resolve(&tools, &image).await.expect("signed in");
    assert!(lock.to_string().ends_with(&own), "{lock}");
    let built = build_around(b"bridge", &tools, &image, &lock)
        .await
        .expect("built");
    let destination = Destination {
        repository: format!("{}/mine", registry.host),
        credentials: Credentials::password("mcp".to_owned(), "secret".to_owned(), "the test"),
        further_tag: None,
    };
    push(&tools, &lock, &built, &destination)
        .await
        .expect("pushed");
    assert_eq!(registry.manifest("mine", &built.digest).0, 200);
}

#[tokio::test]
async fn an_image_that_is_not_there_names_itself() {
    let registry = TestRegistry::start();
    let home = tempfile::tempdir().expect("a directory");
    let tools = at(home.path());
    let image = format!("{}/mcp/none:1", registry.host);
    let error = resolve(&tools, &source(&image, Architecture::X86_64))
        .await
        .expect_err("not there");
    assert_eq!(error.kind(), ErrorKind::Unresolvable);
    assert_eq!(
        error.attribute(),
        Some(Attribute {
            name: "args",
            index: None
        })
    );
    assert_eq!(
        error.to_string(),
        format!(
            "image `{image}` does not exist in its registry, or may not be read with the credentials at hand (none). Check its \
             spelling; for a private image sign in with `docker login`"
        )
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_a_matter_of_the_network() {
    let home = tempfile::tempdir().expect("a directory");
    let tools = at(home.path());
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let error = resolve(
        &tools,
        &source(&format!("127.0.0.1:{port}/x"), Architecture::X86_64),
    )
    .await
    .expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(
        error.to_string().starts_with(&format!(
            "the registry 127.0.0.1:{port} could not be reached to read the image: "
        )),
        "{error}"
    );
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_not_taken_for_none() {
    let registry = TestRegistry::start();
    let home = tempfile::tempdir().expect("a directory");
    let tools = at(home.path());
    let image = source(&format!("{}/mcp/x:1", registry.host), Architecture::X86_64);
    let host = registry.host.as_str();
    for (configuration, reason) in [
        (
            json!({"credHelpers": {host: "mcplambda-none"}}),
            "Unable to communicate with credential helper",
        ),
        (
            json!({"auths": {host: {"auth": "%"}}}),
            "Unable to decode credential",
        ),
        (json!([]), "Unable to read config"),
    ] {
        docker_configuration(home.path(), &configuration);
        let error = resolve(&tools, &image).await.expect_err("no credentials");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "the credentials for {host} cannot be had from Docker's configuration ("
            )),
            "{text}"
        );
        assert!(text.contains(reason), "{text}");
    }
}
