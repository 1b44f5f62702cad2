//! ECR's registry: Debian's `docker-registry` on loopback, and the images that were pushed to it.
//!
//! moto is the judge of which repositories there are, but has no registry behind them. Enters: ECR's answers, and a function's image. Leaves:
//! the answers with the registry's own address in them, and the image's files and how it is started. It refuses images that were not pushed,
//! and what Lambda refuses: manifest lists.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::images::Images;
use crate::supervise::{Spec, Supervised};

/// How a container is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
}

/// An image, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) root: PathBuf,
    pub(crate) start: Start,
}

pub(crate) struct Registry {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    storage: PathBuf,
    unpacked: Mutex<HashMap<String, Unpacked>>,
}

/// A registry process.
pub(crate) struct Running {
    pub(crate) supervised: Supervised,
    pub(crate) registry: Registry,
}

/// Starts the registry if this machine has the program, and waits until it listens.
///
/// # Errors
///
/// A sentence: what the program said.
pub(crate) async fn start(work: &Path) -> Result<Option<Running>, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path)
        .map(|directory| directory.join("docker-registry"))
        .find(|program| program.is_file());
    let Some(program) = program else {
        return Ok(None);
    };
    let storage = work.join("registry");
    let file = work.join("registry.yml");
    let log = work.join("registry.log");
    let configuration = json!({
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": storage}},
        "http": {"addr": "127.0.0.1:0", "secret": "local-aws"},
    });
    // YAML includes JSON.
    std::fs::write(&file, configuration.to_string()).map_err(text)?;
    let spec = Spec {
        argv: vec![
            program.display().to_string(),
            "serve".to_owned(),
            file.display().to_string(),
        ],
        env: Vec::new(),
        output: Some(log.clone()),
        root: None,
        remove_if_orphaned: None,
    };
    let mut supervised = Supervised::start(work, "registry", &spec).map_err(text)?;
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let host = said.split_once("listening on ").and_then(|(_, rest)| {
            let (host, _) = rest.split_once(['"', ' ', ','])?;
            Some(host.to_owned())
        });
        if let Some(host) = host {
            return Ok(Some(Running {
                supervised,
                registry: Registry {
                    host,
                    storage,
                    unpacked: Mutex::default(),
                },
            }));
        }
        if supervised.ended() || Instant::now() > limit {
            supervised.stop().await;
            return Err(format!("docker-registry did not start: {said}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Registry {
    /// Overlay: moto names registries that nobody can reach.
    pub(crate) fn answer(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member.as_str()) {
                        ("repositoryUri", Some(uri)) => {
                            if let Some((_, repository)) = uri.split_once('/') {
                                *member = format!("{}/{repository}", self.host).into();
                            }
                        }
                        ("proxyEndpoint", Some(_)) => {
                            *member = format!("http://{}", self.host).into();
                        }
                        _ => self.answer(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.answer(item)),
            _ => {}
        }
    }

    /// Overlay: what a repository holds, where a call that moto accepted is about that.
    pub(crate) fn images(&self, action: &str, asked: &[u8]) -> std::io::Result<Option<Value>> {
        let asked = serde_json::from_slice(asked).unwrap_or_default();
        match Images::of(&self.storage, &asked) {
            Some(images) => images.answer(action, &asked),
            None => Ok(None),
        }
    }

    /// Hexadecimal digits of the digest that `uri` (`repository@sha256:…`) names, if that image was pushed.
    ///
    /// # Errors
    ///
    /// A sentence in Lambda's words.
    pub(crate) fn digest(&self, uri: &str) -> Result<String, String> {
        let missing =
            || format!("Source image {uri} does not exist. Provide a valid source image.");
        let (_, digest) = uri.split_once("@sha256:").ok_or_else(missing)?;
        let manifest = self.document(digest).map_err(|_| missing())?;
        if manifest["layers"].is_null() {
            return Err(format!(
                "The image manifest, config or layer media type for the source image {uri} is not supported."
            ));
        }
        Ok(digest.to_owned())
    }

    /// The image's files and how it is started.
    ///
    /// # Errors
    ///
    /// A sentence that names what could not be unpacked.
    pub(crate) fn unpack(&self, digest: &str) -> Result<Unpacked, String> {
        let mut all = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unpacked) = all.get(digest) {
            return Ok(unpacked.clone());
        }
        let root = self.storage.join(format!("root-{digest}"));
        std::fs::create_dir_all(&root).map_err(text)?;
        let manifest = self.document(digest)?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let name = layer["digest"].as_str().unwrap_or_default();
            let packed = self.blob(name.trim_start_matches("sha256:"))?;
            lay(&packed, &root).map_err(|error| format!("layer {name}: {error}"))?;
        }
        let config = manifest["config"]["digest"].as_str().unwrap_or_default();
        let config = self.document(config.trim_start_matches("sha256:"))?;
        let unpacked = Unpacked {
            root,
            start: start_of(&config["config"]),
        };
        all.insert(digest.to_owned(), unpacked.clone());
        Ok(unpacked)
    }

    fn document(&self, hex: &str) -> Result<Value, String> {
        serde_json::from_slice(&self.blob(hex)?).map_err(text)
    }

    /// A blob as the registry's storage keeps it.
    fn blob(&self, hex: &str) -> Result<Vec<u8>, String> {
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{hex} is no digest"));
        }
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        std::fs::read(self.storage.join(&path)).map_err(|error| format!("{path}: {error}"))
    }
}

fn start_of(config: &Value) -> Start {
    let list = |name: &str| {
        let words = config[name].as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned)
    };
    let directory = config["WorkingDir"]
        .as_str()
        .filter(|path| !path.is_empty());
    Start {
        argv: list("Entrypoint").chain(list("Cmd")).collect(),
        env: list("Env")
            .filter_map(|variable| {
                let (name, value) = variable.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect(),
        directory: directory.unwrap_or("/").into(),
    }
}

/// Lays a layer over `root`: its files, and what it takes away (OCI image specification, "whiteouts").
fn lay(packed: &[u8], root: &Path) -> std::io::Result<()> {
    let tar: Box<dyn Read> = match packed {
        [0x1f, 0x8b, ..] => Box::new(GzDecoder::new(packed)),
        _ => Box::new(packed),
    };
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        match name.as_deref().and_then(|name| name.strip_prefix(".wh.")) {
            Some(".wh..opq") => empty(&root.join(path.parent().unwrap_or(Path::new(""))))?,
            Some(gone) => remove(&root.join(path.with_file_name(gone)))?,
            None => {
                entry.set_preserve_permissions(true);
                entry.unpack_in(root)?;
            }
        }
    }
    Ok(())
}

fn empty(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        remove(&entry?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
