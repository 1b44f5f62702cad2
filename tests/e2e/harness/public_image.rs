//! Images of public servers as their authors make them, without Docker: Debian, an interpreter, the server from its registry.
//!
//! Enters: what `tests/local-aws/install.sh --rootfs` made, and a server of `tests/servers.toml`. Leaves: the image in a registry. Layers
//! that images share are packed once.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use mcplambda::package::image::digest;
use serde_json::{Value, json};

use super::prerequisites::tools;
use super::public_servers::{Registry, Server};
use crate::registry::TestRegistry;

/// What `debian:trixie-slim` leaves out, and what belongs to the machine.
const LEFT_OUT: [&str; 9] = [
    "proc/*",
    "sys/*",
    "dev/*",
    "var/cache/*",
    "var/lib/apt",
    "usr/share/doc/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "usr/share/info/*",
];

/// A registry and the layers that images share.
pub(crate) struct Images {
    registry: TestRegistry,
    shared: BTreeMap<&'static str, Rc<Layer>>,
}

struct Layer {
    diff_id: String,
    bytes: Vec<u8>,
}

impl Images {
    pub(crate) fn new() -> Self {
        Self {
            registry: TestRegistry::start(),
            shared: BTreeMap::new(),
        }
    }

    /// Makes the image of `server` and returns its name, with the version as its tag.
    pub(crate) fn make(&mut self, server: &Server, entrypoint: &[String]) -> String {
        let repository = format!("mcp/{}", server.label());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let debian = root.join("rootfs/trixie");
        assert!(
            debian.join(".installed").exists(),
            "{} is missing: run tests/local-aws/install.sh --rootfs",
            debian.display()
        );
        let mut layers = vec![self.share("debian", || {
            tar(
                &debian,
                &LEFT_OUT.map(|path| format!("--exclude=./{path}")),
                ".",
            )
        })];
        if server.registry == Registry::Npm {
            layers.push(self.share("node", || {
                let place = "--transform=s,^bin,usr/local/bin,".to_owned();
                tar(&node(&root), &[place], "bin/node")
            }));
        }
        let app = tempfile::tempdir().expect("a directory");
        install(server, app.path());
        for (name, text) in &server.files {
            std::fs::write(app.path().join(name), text).expect("written");
        }
        // Not the targets of symbolic links.
        let place = "--transform=s,^\\.,app,S".to_owned();
        let packed = tar(app.path(), &[place, "--mode=a+rX".to_owned()], ".");
        layers.push(Rc::new(layer(packed)));

        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {
                "Entrypoint": entrypoint, "WorkingDir": "/app",
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONPATH=/app"],
            },
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>()},
        })
        .to_string();
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": self.registry.put_blob(&repository, &layer.bytes), "size": layer.bytes.len(),
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.registry.put_blob(&repository, config.as_bytes()), "size": config.len(),
            },
            "layers": layers,
        });
        self.registry
            .put_manifest(&repository, &server.version, &manifest);
        format!("{}/{repository}:{}", self.registry.host, server.version)
    }

    /// The layer of that name, packed the first time that it is asked for.
    fn share(&mut self, name: &'static str, packed: impl FnOnce() -> Command) -> Rc<Layer> {
        let layer = self
            .shared
            .entry(name)
            .or_insert_with(|| Rc::new(layer(packed())));
        Rc::clone(layer)
    }
}

/// What `packed` writes, as a layer.
fn layer(mut packed: Command) -> Layer {
    let output = packed.output().expect("tar runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&output.stdout).expect("packed");
    Layer {
        diff_id: digest(&output.stdout),
        bytes: encoder.finish().expect("packed"),
    }
}

/// GNU tar of `member` below `directory`, the same bytes whenever it runs.
fn tar(directory: &Path, options: &[String], member: &str) -> Command {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(directory).args([
        "--create",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ]);
    tar.args(options).arg(member);
    tar
}

/// The Node that functions run with.
fn node(target: &Path) -> PathBuf {
    let entries = std::fs::read_dir(target.join("tools/node")).expect("Node for functions");
    let mut found = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/node").exists());
    found.next().expect("Node for functions")
}

/// Installs the server's package into `app`, as the image's author would.
fn install(server: &Server, app: &Path) {
    let mut command = match server.registry {
        Registry::PyPi => {
            let mut uv = Command::new(tools().venv_bin.join("uv"));
            uv.args([
                "pip",
                "install",
                "--quiet",
                "--no-python-downloads",
                "--only-binary=:all:",
                "--python-version=3.13",
                "--python-platform=x86_64-manylinux_2_34",
                "--target",
            ]);
            uv.arg(app);
            uv.arg(format!("{}=={}", server.package, server.version));
            uv.args(&server.how().packages);
            uv
        }
        Registry::Npm => {
            let mut npm = Command::new("npm");
            npm.args([
                "install",
                "--silent",
                "--omit=dev",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
            ]);
            npm.arg(app);
            npm.arg(format!("{}@{}", server.package, server.version));
            npm.args(&server.how().packages);
            npm
        }
    };
    let output = command.output().expect("the package manager runs");
    assert!(
        output.status.success(),
        "{} cannot be installed: {}{}",
        server.package,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
