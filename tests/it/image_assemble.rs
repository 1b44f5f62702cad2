//! What is made of an image: one more layer, another entry point, everything else as it was; and what is no image is refused.

use std::io::Read;

use mcplambda::package::image::{
    Base, BaseManifest, Descriptor, Document, ImageLock, assemble, digest, read_manifest,
    with_bridge,
};
use mcplambda::package::{Architecture, ErrorKind};
use serde_json::{Value, json};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn hex(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

fn lock() -> ImageLock {
    format!("ghcr.io/a/b@{}", hex('b')).parse().expect("a lock")
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": hex('c'), "size": 7},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": hex('1'), "size": 100}],
    })
}

fn read(value: &Value, architecture: Architecture) -> Result<Document, (ErrorKind, String)> {
    read_manifest("ghcr.io/a/b:1", value.to_string().as_bytes(), architecture)
        .map_err(|error| (error.kind(), error.to_string()))
}

fn base(config: &Value) -> Base {
    let Ok(Document::Image(manifest)) = read(&manifest(), Architecture::X86_64) else {
        panic!("an image");
    };
    Base {
        lock: lock(),
        manifest,
        config: config.to_string().into_bytes(),
    }
}

fn config() -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "author": "someone",
        "config": {
            "User": "node", "Env": ["PATH=/usr/bin", "A=b"], "Entrypoint": ["node", "server.js"], "Cmd": ["--stdio"],
            "WorkingDir": "/app", "Labels": {"x": "y"}, "StopSignal": "SIGINT",
        },
        "rootfs": {"type": "layers", "diff_ids": [hex('d')]},
        "history": [{"created_by": "COPY"}, {"created_by": "CMD", "empty_layer": true}],
        "unknown": {"kept": true},
    })
}

#[test]
fn an_image_keeps_everything_but_gets_a_layer_and_the_bridge_as_its_entry_point() {
    let layer = with_bridge(b"bridge").expect("packed");
    let made = assemble(&base(&config()), layer.clone(), Architecture::X86_64).expect("made");

    let mut wanted = config();
    wanted["config"]["Entrypoint"] = json!(["/mcplambda/bridge"]);
    wanted["rootfs"]["diff_ids"] = json!([hex('d'), layer.diff_id]);
    wanted["history"] = json!([
        {"created_by": "COPY"}, {"created_by": "CMD", "empty_layer": true},
        {"created": "1970-01-01T00:00:00Z", "created_by": "mcplambda: /mcplambda/bridge"},
    ]);
    let found: Value = serde_json::from_slice(&made.config).expect("JSON");
    assert_eq!(found, wanted);
    assert_eq!(digest(&made.config), made.config_digest);

    let found: Value = serde_json::from_slice(&made.manifest).expect("JSON");
    assert_eq!(
        found,
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": CONFIG, "digest": made.config_digest, "size": made.config.len()},
            "layers": [
                {"mediaType": LAYER, "digest": hex('1'), "size": 100},
                {"mediaType": LAYER, "digest": layer.digest, "size": layer.gzip.len()},
            ],
            "annotations": {
                "org.opencontainers.image.base.digest": hex('b'),
                "org.opencontainers.image.base.name": "ghcr.io/a/b",
                "mcplambda.startup": r#"{"entrypoint":["node","server.js"],"command":["--stdio"],"directory":"/app"}"#,
            },
        })
    );
    assert_eq!(digest(&made.manifest), made.digest);
    assert_eq!(made.startup.entrypoint, ["node", "server.js"]);
    assert_eq!(made.startup.command, ["--stdio"]);
    assert_eq!(made.startup.directory, "/app");
}

#[test]
fn an_image_that_says_nothing_is_assembled_too() {
    let silent = json!({
        "architecture": "amd64", "os": "linux", "config": null,
        "rootfs": {"type": "layers", "diff_ids": [hex('d')]},
    });
    let layer = with_bridge(b"bridge").expect("packed");
    let made = assemble(&base(&silent), layer.clone(), Architecture::X86_64).expect("made");
    let found: Value = serde_json::from_slice(&made.config).expect("JSON");
    assert_eq!(
        found,
        json!({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/mcplambda/bridge"]},
            "rootfs": {"type": "layers", "diff_ids": [hex('d'), layer.diff_id]},
        })
    );
}

#[test]
fn the_layer_holds_the_bridge_for_everyone_and_nothing_of_this_machine() {
    let layer = with_bridge(b"bridge").expect("packed");
    assert_eq!(layer, with_bridge(b"bridge").expect("packed"));
    assert_eq!(digest(&layer.gzip), layer.digest);
    // Neither a time nor a system in the header (RFC 1952).
    assert_eq!(&layer.gzip[4..8], [0; 4]);
    assert_eq!(layer.gzip[9], 255);

    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(layer.gzip.as_slice())
        .read_to_end(&mut tar)
        .expect("gzip");
    assert_eq!(digest(&tar), layer.diff_id);
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("content");
        found.push((
            String::from_utf8(header.path_bytes().into_owned()).expect("a path"),
            header.mode().expect("a mode"),
            header.uid().expect("a user"),
            header.gid().expect("a group"),
            header.mtime().expect("a time"),
            content,
        ));
    }
    assert_eq!(
        found,
        [
            ("mcplambda/".to_owned(), 0o755, 0, 0, 0, String::new()),
            (
                "mcplambda/bridge".to_owned(),
                0o755,
                0,
                0,
                0,
                "bridge".to_owned()
            ),
        ]
    );
}

#[test]
fn an_index_leads_to_the_functions_processor_and_past_attestations() {
    let index = json!({"schemaVersion": 2, "manifests": [
        {"digest": hex('0'), "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": hex('1'), "platform": {"os": "windows", "architecture": "amd64"}},
        {"digest": hex('2'), "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
        {"digest": hex('3'), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"digest": hex('4'), "platform": {"os": "linux", "architecture": "amd64"}},
    ]});
    assert_eq!(
        read(&index, Architecture::X86_64),
        Ok(Document::Child(hex('4')))
    );
    assert_eq!(
        read(&index, Architecture::Arm64),
        Ok(Document::Child(hex('3')))
    );

    let arm = json!({"manifests": [
        {"digest": hex('0'), "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": hex('3'), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
    ]});
    assert_eq!(
        read(&arm, Architecture::X86_64),
        Err((
            ErrorKind::NoWheel,
            "image `ghcr.io/a/b:1` is not there for x86_64: it is published for linux/arm64/v8. Set architecture = \"arm64\""
                .to_owned()
        ))
    );
    assert_eq!(
        read(&json!({"manifests": [{"digest": hex('1'), "platform": {"os": "windows", "architecture": "amd64"}}]}), Architecture::X86_64),
        Err((
            ErrorKind::NoWheel,
            "image `ghcr.io/a/b:1` is not there for x86_64: it is published for windows/amd64. Use an image for linux/amd64 or linux/arm64"
                .to_owned()
        ))
    );
}

#[test]
fn an_image_without_an_index_says_its_processor_in_its_configuration() {
    let mut arm = config();
    arm["architecture"] = json!("arm64");
    let layer = with_bridge(b"bridge").expect("packed");
    let error = assemble(&base(&arm), layer, Architecture::X86_64).expect_err("another processor");
    assert_eq!(
        error.to_string(),
        format!(
            "image `{}` is not there for x86_64: it is published for linux/arm64. Set architecture = \"arm64\"",
            lock()
        )
    );
}

#[test]
fn dockers_types_are_written_as_ocis() {
    assert_eq!(
        read(&manifest(), Architecture::X86_64),
        Ok(Document::Image(BaseManifest {
            config: Descriptor {
                media_type: CONFIG.to_owned(),
                digest: hex('c'),
                size: 7
            },
            layers: vec![Descriptor {
                media_type: LAYER.to_owned(),
                digest: hex('1'),
                size: 100
            }],
        }))
    );
}

#[test]
fn what_lambda_could_not_run_is_refused_with_the_reason() {
    let with = |change: fn(&mut Value)| {
        let mut value = manifest();
        change(&mut value);
        value
    };
    let table = [
        (
            with(|m| {
                m["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd")
            }),
            "is compressed with zstd, which Lambda does not read",
        ),
        (
            with(|m| {
                m["layers"][0]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
            }),
            "may not be copied",
        ),
        (
            with(|m| m["layers"][0]["mediaType"] = json!("application/x-thing")),
            "is of the unknown type `application/x-thing`",
        ),
        (
            with(|m| m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")),
            "it is no container image: its configuration is of type `application/vnd.cncf.helm.config.v1+json`",
        ),
        (
            json!({"schemaVersion": 1, "fsLayers": []}),
            "Docker's first schema",
        ),
    ];
    for (value, message) in table {
        let (kind, text) = read(&value, Architecture::X86_64).expect_err("to be refused");
        assert_eq!(kind, ErrorKind::Input, "{text}");
        assert!(
            text.starts_with("image `ghcr.io/a/b:1` cannot run on Lambda: "),
            "{text}"
        );
        assert!(text.contains(message), "{text}");
    }
    let mut large = base(&config());
    large.manifest.layers[0].size = 11 << 30;
    let layer = with_bridge(b"bridge").expect("packed");
    let error = assemble(&large, layer, Architecture::X86_64).expect_err("too large");
    assert!(
        error
            .to_string()
            .contains("more than the 10737418240 that Lambda allows unpacked"),
        "{error}"
    );
}

#[test]
fn answers_that_are_no_manifest_are_told_as_such() {
    for (text, reason) in [
        ("<html>", "it is no JSON"),
        ("{\"schemaVersion\":2}", "missing field `config`"),
    ] {
        let error =
            read_manifest("a/b", text.as_bytes(), Architecture::X86_64).expect_err("no manifest");
        assert!(
            error
                .to_string()
                .starts_with("the registry's answer about `a/b` cannot be read: "),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn the_lock_is_a_digest_and_nothing_that_can_be_moved() {
    let text = format!("ghcr.io/a/b@{}", hex('b'));
    let read: ImageLock = format!("  {text}\n").parse().expect("a lock");
    assert_eq!(read.to_string(), text);
    for bad in [
        "ghcr.io/a/b:1".to_owned(),
        format!("ghcr.io/a/b:1@{}", hex('b')),
        "ghcr.io/a/b@sha256:12".to_owned(),
    ] {
        let error = bad.parse::<ImageLock>().expect_err("no lock");
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(
            error.to_string().starts_with(&format!("lock: `{bad}` ")),
            "{error}"
        );
    }
}
