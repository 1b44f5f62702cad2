//! A registry's answer in, the manifest of one image or the choice of one out of an index out. Pure.
//!
//! Refuses what is no image, what Lambda cannot unpack, and an index without the function's processor. Media types: OCI image
//! specification 1.1 and Docker's "image manifest version 2, schema 2".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ImageError;
use crate::package::Architecture;

/// What is asked of a registry, and understood.
pub(crate) const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media type of the manifests that are written here.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Content of a registry, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// What a registry knows under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image for several platforms: the manifest's digest for the one that is wanted.
    Child(String),
    Image(BaseManifest),
}

/// The manifest of one image; its layers' types in OCI's names, which say the same bytes as Docker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseManifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// Reads a manifest or an index.
///
/// # Errors
///
/// [`ImageError::Unreadable`], [`ImageError::NoPlatform`], [`ImageError::Unusable`].
pub fn read(image: &str, bytes: &[u8], architecture: Architecture) -> Result<Document, ImageError> {
    let unreadable = |reason: String| ImageError::Unreadable {
        image: image.to_owned(),
        reason,
    };
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| unreadable(format!("it is no JSON: {error}")))?;
    if let Some(children) = value["manifests"].as_array() {
        return choose(image, children, architecture).map(Document::Child);
    }
    if value["schemaVersion"] == 1 {
        return Err(ImageError::Unusable {
            image: image.to_owned(),
            reason: "its manifest is of Docker's first schema, of which no digest says which bytes run; push it again with a Docker \
                     of this decade"
                .to_owned(),
        });
    }
    #[derive(Deserialize)]
    struct Parts {
        config: Descriptor,
        layers: Vec<Descriptor>,
    }
    let parts: Parts =
        serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&parts.config.media_type.as_str()) {
        return Err(ImageError::Unusable {
            image: image.to_owned(),
            reason: format!(
                "it is no container image: its configuration is of type `{}`",
                parts.config.media_type
            ),
        });
    }
    let layers = parts.layers.into_iter().map(|layer| usable(image, layer));
    Ok(Document::Image(BaseManifest {
        config: Descriptor {
            media_type: OCI_CONFIG.to_owned(),
            ..parts.config
        },
        layers: layers.collect::<Result<_, _>>()?,
    }))
}

/// The layer with its type in OCI's name, if Lambda can unpack it.
fn usable(image: &str, layer: Descriptor) -> Result<Descriptor, ImageError> {
    let refused = |reason: String| ImageError::Unusable {
        image: image.to_owned(),
        reason,
    };
    let media_type = match layer.media_type.as_str() {
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => OCI_LAYER_GZIP,
        OCI_LAYER | DOCKER_LAYER => OCI_LAYER,
        other if other.ends_with("zstd") => {
            return Err(refused(format!(
                "its layer {} is compressed with zstd, which Lambda does not read. Use an image whose layers are gzip (with \
                 buildx: `--output type=image,compression=gzip,force-compression=true`)",
                layer.digest
            )));
        }
        other if other.contains("nondistributable") || other.contains("foreign") => {
            return Err(refused(format!(
                "its layer {} may not be copied (type `{other}`)",
                layer.digest
            )));
        }
        other => {
            return Err(refused(format!(
                "its layer {} is of the unknown type `{other}`",
                layer.digest
            )));
        }
    };
    Ok(Descriptor {
        media_type: media_type.to_owned(),
        ..layer
    })
}

/// Digest of the entry for `architecture`. Attestations, which builders put there too, are for no platform.
fn choose(
    image: &str,
    children: &[Value],
    architecture: Architecture,
) -> Result<String, ImageError> {
    let mut available = Vec::new();
    for child in children {
        let platform = &child["platform"];
        let (os, processor) = (
            platform["os"].as_str().unwrap_or_default(),
            platform["architecture"].as_str().unwrap_or_default(),
        );
        if is_platform(os, processor, architecture) {
            let digest = child["digest"].as_str();
            return digest
                .map(str::to_owned)
                .ok_or_else(|| ImageError::Unreadable {
                    image: image.to_owned(),
                    reason: "an entry of its index has no digest".to_owned(),
                });
        }
        if os != "unknown" && !os.is_empty() {
            available.push(match platform["variant"].as_str() {
                Some(variant) => format!("{os}/{processor}/{variant}"),
                None => format!("{os}/{processor}"),
            });
        }
    }
    Err(no_platform(image, architecture, available))
}

/// Checks that the configuration of an image says the platform that is wanted.
///
/// # Errors
///
/// [`ImageError::NoPlatform`].
pub(crate) fn check_platform(
    image: &str,
    config: &Value,
    architecture: Architecture,
) -> Result<(), ImageError> {
    let (os, processor) = (
        config["os"].as_str().unwrap_or_default(),
        config["architecture"].as_str().unwrap_or_default(),
    );
    if is_platform(os, processor, architecture) {
        return Ok(());
    }
    Err(no_platform(
        image,
        architecture,
        vec![format!("{os}/{processor}")],
    ))
}

fn is_platform(os: &str, processor: &str, architecture: Architecture) -> bool {
    os == "linux" && processor == oci_name(architecture)
}

/// As images name processors: those of Go.
fn oci_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Arm64 => "arm64",
    }
}

fn no_platform(image: &str, architecture: Architecture, available: Vec<String>) -> ImageError {
    let other = match architecture {
        Architecture::X86_64 => Architecture::Arm64,
        Architecture::Arm64 => Architecture::X86_64,
    };
    let has_other = available.iter().any(|platform| {
        platform
            .strip_prefix("linux/")
            .is_some_and(|rest| rest.split('/').next() == Some(oci_name(other)))
    });
    ImageError::NoPlatform {
        image: image.to_owned(),
        architecture,
        available: match available.is_empty() {
            true => "no platform".to_owned(),
            false => available.join(", "),
        },
        next_step: match has_other {
            true => format!("Set architecture = \"{other}\""),
            false => "Use an image for linux/amd64 or linux/arm64".to_owned(),
        },
    }
}
