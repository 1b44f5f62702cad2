//! What is sent to a registry when an image is deployed, and deployed again after something of it changed.
//!
//! Enters: the package room, two of Debian's `docker-registry`, and a relay before the second of them that counts. Leaves: a table of bytes
//! on the wire, headers included; with `--docs FILE` written between that file's marks. Every figure is a count, not a time: a second run
//! gives the same, but for the headers of HTTP.

#![allow(clippy::print_stdout, reason = "a program for people")]

#[path = "../tests/it/image_support.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests, which do more with registries"
)]
mod registry;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use mcplambda::package::image::{
    Assembled, Credentials, Destination, ImageSource, build_around, digest, push, resolve,
};
use mcplambda::package::{Architecture, ServerSpec, Tools, bridge};
use serde_json::{Value, json};

use registry::TestRegistry;

const MB: usize = 1_000_000;
/// As images are: a system, an interpreter, packages, the server itself.
const LAYERS: [usize; 5] = [120 * MB, 90 * MB, 60 * MB, 29 * MB, MB];
const BEGIN: &str = "<!-- images: written by make bench-images -->";
const END: &str = "<!-- end of images -->";

#[tokio::main]
async fn main() {
    let docs = std::env::args().skip_while(|word| word != "--docs").nth(1);
    let table = measure().await;
    println!("{table}");
    if let Some(path) = docs {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let (before, rest) = text.split_once(BEGIN).expect("the file has the marks");
        let (_, after) = rest.split_once(END).expect("the file has the marks");
        let text = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
        std::fs::write(&path, text).expect("the file can be written");
    }
}

async fn measure() -> String {
    let (here, there) = (TestRegistry::start(), TestRegistry::start());
    let relay = Relay::before(&there.host);
    let tools = Tools {
        uv_path: None,
        npm_path: None,
        cache_dir: None,
        environment: BTreeMap::new(),
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    };
    let shipped = bridge::binary(Architecture::X86_64).expect("a bridge: run `make bridge` first");
    let mut changed = shipped.to_vec();
    // One that was built anew differs here and there, and is as large.
    for byte in changed.iter_mut().step_by(4096) {
        *byte ^= 1;
    }
    let mut layers: Vec<Vec<u8>> = LAYERS
        .iter()
        .zip(1..)
        .map(|(size, seed)| noise(*size, seed))
        .collect();
    put(&here, &layers);

    let mut rows = Vec::new();
    let mut note = |what: &str, to_reach: &str, image: &Assembled, bytes: u64, sent: usize| {
        let largest = image.layer.gzip.len();
        rows.push(format!(
            "| {what} | {} | {to_reach} | {sent} of {} blobs; the bridge's layer has {} |",
            megabytes(bytes),
            image.base_layers.len() + 2,
            megabytes(largest as u64),
        ));
    };
    let registry = &here.host;
    let deploy = async |bridge: &[u8], repository: &str| {
        let source = source(registry);
        let lock = resolve(&tools, &source).await.expect("resolved");
        let image = build_around(bridge, &tools, &source, &lock)
            .await
            .expect("assembled");
        let destination = Destination {
            repository: format!("{}/{repository}", relay.host),
            credentials: Credentials::anonymous(),
            further_tag: None,
        };
        let before = relay.sent();
        let pushed = push(&tools, &lock, &image, &destination)
            .await
            .expect("pushed");
        (image, relay.sent() - before, pushed.sent.len())
    };

    let (image, bytes, sent) = deploy(shipped, "first").await;
    note("the first time", "", &image, bytes, sent);
    let (image, bytes, sent) = deploy(shipped, "first").await;
    note("nothing changed", "no blob", &image, bytes, sent);
    let (image, bytes, sent) = deploy(&changed, "first").await;
    assert!(
        bytes < image.layer.gzip.len() as u64 + 20_000,
        "more than one layer was sent"
    );
    note("only the bridge changed", "one layer", &image, bytes, sent);
    *layers.last_mut().expect("a layer") = noise(MB, 99);
    put(&here, &layers);
    let (image, bytes, sent) = deploy(&changed, "first").await;
    note(
        "only the image's last layer changed",
        "one layer",
        &image,
        bytes,
        sent,
    );

    format!(
        "| an image of {} in {} layers | sent | to reach | of it |\n|---|---|---|---|\n{}\n",
        megabytes(LAYERS.iter().sum::<usize>() as u64),
        LAYERS.len(),
        rows.join("\n")
    )
}

fn source(registry: &str) -> ImageSource {
    let args = ["run", "-i", "--rm", &format!("{registry}/large:1")];
    ImageSource::plan(&ServerSpec {
        command: "docker".to_owned(),
        args: args.iter().map(|word| (*word).to_owned()).collect(),
        packages: Vec::new(),
        allow_scripts: None,
        compile_bytecode: false,
        runtime: None,
        architecture: Architecture::X86_64,
        cwd: None,
        source_dir: None,
        source_excludes: Vec::new(),
        layered: false,
    })
    .expect("an image")
}

/// An image of these layers, under the one tag. Nobody unpacks them.
fn put(registry: &TestRegistry, layers: &[Vec<u8>]) {
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": registry.put_blob("large", layer),
                "size": layer.len(),
            })
        })
        .collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/app/server"]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>()},
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.put_blob("large", config.as_bytes()),
            "size": config.len(),
        },
        "layers": descriptors,
    });
    registry.put_manifest("large", "1", &manifest);
}

/// Bytes that nothing compresses, the same in every run (xorshift).
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{bytes} bytes"),
        _ => format!("{:.2} MB", bytes as f64 / MB as f64),
    }
}

/// Passes connections on, and counts what clients send.
struct Relay {
    /// `127.0.0.1:port`.
    host: String,
    sent: Arc<AtomicU64>,
}

impl Relay {
    fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let (registry, counter) = (registry.to_owned(), Arc::clone(&sent));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&registry).expect("the registry listens");
                let both = |stream: &TcpStream| stream.try_clone().expect("a second handle");
                let (from, to) = (both(&client), both(&server));
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || copy(from, to, Some(&counter)));
                std::thread::spawn(move || copy(server, client, None));
            }
        });
        Self { host, sent }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, counter: Option<&AtomicU64>) {
    let mut buffer = vec![0; 1 << 16];
    // Either side may go at any moment.
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(counter) = counter {
            counter.fetch_add(count as u64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
