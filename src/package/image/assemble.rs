//! An image and the bridge in, the image that Lambda runs out: the same layers and one more, the same configuration with the
//! bridge as its entry point. Pure; same inputs, same bytes.

use serde_json::{Value, json};

use super::error::ImageError;
use super::layer::{self, BRIDGE, Layer};
use super::lock::ImageLock;
use super::manifest::{self, BaseManifest, Descriptor, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use super::origin;
use super::startup::Startup;
use crate::package::Architecture;

/// Bytes that an image may have, unpacked (Lambda quotas, "Container image code package size"); packed ones are fewer.
const LIMIT: u64 = 10 * 1024 * 1024 * 1024;

/// An image as it lies in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub lock: ImageLock,
    pub manifest: BaseManifest,
    /// The bytes that `manifest.config` names.
    pub config: Vec<u8>,
}

/// The image that Lambda runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// An OCI manifest of one platform.
    pub manifest: Vec<u8>,
    /// `sha256:…` of `manifest`.
    pub digest: String,
    pub config: Vec<u8>,
    pub config_digest: String,
    /// Holds the bridge.
    pub layer: Layer,
    /// Those of the image, which lie in its own registry.
    pub base_layers: Vec<Descriptor>,
    /// How the image itself would be started.
    pub startup: Startup,
    /// Bytes of all layers, compressed.
    pub size: u64,
}

/// Adds `layer` to `base`.
///
/// # Errors
///
/// [`ImageError::Unreadable`] about its configuration, [`ImageError::NoPlatform`], and [`ImageError::Unusable`] when it is too large.
pub fn assemble(
    base: &Base,
    layer: Layer,
    architecture: Architecture,
) -> Result<Assembled, ImageError> {
    let image = base.lock.to_string();
    let unreadable = |reason: &str| ImageError::Unreadable {
        image: image.clone(),
        reason: reason.to_owned(),
    };
    let mut config: Value = serde_json::from_slice(&base.config)
        .map_err(|error| unreadable(&format!("its configuration is no JSON: {error}")))?;
    manifest::check_platform(&image, &config, architecture)?;
    let startup = Startup::read(&config);

    let diff_ids = config
        .pointer_mut("/rootfs/diff_ids")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| unreadable("its configuration lists no layers"))?;
    if diff_ids.len() != base.manifest.layers.len() {
        return Err(unreadable(
            "its configuration and its manifest list different numbers of layers",
        ));
    }
    diff_ids.push(Value::from(layer.diff_id.as_str()));
    // Absent is legal, and then stays absent: a history has to name every layer.
    if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
        history.push(json!({"created": "1970-01-01T00:00:00Z", "created_by": format!("mcplambda: {BRIDGE}")}));
    }
    if !config["config"].is_object() {
        config["config"] = json!({});
    }
    config["config"]["Entrypoint"] = json!([BRIDGE]);
    let config = config.to_string().into_bytes();
    let config_digest = layer::digest(&config);

    let mut layers = base.manifest.layers.clone();
    layers.push(Descriptor {
        media_type: OCI_LAYER_GZIP.to_owned(),
        digest: layer.digest.clone(),
        size: layer.gzip.len() as u64,
    });
    let size = layers.iter().map(|layer| layer.size).sum();
    if size > LIMIT {
        return Err(ImageError::Unusable {
            image,
            reason: format!(
                "its layers take {size} bytes, more than the {LIMIT} that Lambda allows unpacked; use a smaller image"
            ),
        });
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config.len()},
        "layers": layers,
        "annotations": {
            (origin::BASE_DIGEST): base.lock.digest,
            (origin::BASE_NAME): base.lock.repository,
            (origin::STARTUP): startup.to_json(),
        },
    })
    .to_string()
    .into_bytes();
    Ok(Assembled {
        digest: layer::digest(&manifest),
        manifest,
        config,
        config_digest,
        layer,
        base_layers: base.manifest.layers.clone(),
        startup,
        size,
    })
}
