//! The name of an image in, its lock and what is needed to build on it out: manifest and configuration, never a layer.

use std::time::Duration;

use oci_client::{Reference, RegistryOperation};

use super::assemble::Base;
use super::credentials;
use super::error::ImageError;
use super::lock::ImageLock;
use super::manifest::{self, BaseManifest, Document};
use super::registry::Registry;
use super::source::ImageSource;
use crate::package::{Architecture, Tools};

/// How long a registry may take to say what it has: a plan does not wait for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The digest of the manifest that the name leads to now, for the function's processor.
pub(crate) async fn resolve(tools: &Tools, source: &ImageSource) -> Result<ImageLock, ImageError> {
    let registry = open(tools, &source.reference).await?;
    let (digest, _) = within(
        &registry,
        follow(&registry, &source.reference, source.architecture),
    )
    .await?;
    let lock = ImageLock {
        repository: source.repository(),
        digest,
    };
    // The platform of an image without an index stands in its configuration.
    read_base(tools, &lock, source.architecture).await?;
    Ok(lock)
}

/// Manifest and configuration of exactly `lock`.
pub(crate) async fn read_base(
    tools: &Tools,
    lock: &ImageLock,
    architecture: Architecture,
) -> Result<Base, ImageError> {
    let reference = reference(lock)?;
    let registry = open(tools, &reference).await?;
    within(&registry, async {
        let (digest, manifest) = follow(&registry, &reference, architecture).await?;
        let config = registry.blob(&reference, &manifest.config.digest).await?;
        let parsed = serde_json::from_slice(&config).map_err(|error| ImageError::Unreadable {
            image: lock.to_string(),
            reason: format!("its configuration is no JSON: {error}"),
        })?;
        manifest::check_platform(&reference.whole(), &parsed, architecture)?;
        Ok(Base {
            // A lock may name an index; what runs is one manifest of it.
            lock: ImageLock {
                digest,
                ..lock.clone()
            },
            manifest,
            config,
        })
    })
    .await
}

/// The lock as a registry is asked for it.
pub(crate) fn reference(lock: &ImageLock) -> Result<Reference, ImageError> {
    lock.to_string()
        .parse()
        .map_err(|error| ImageError::Unreadable {
            image: lock.to_string(),
            reason: format!("its name cannot be read: {error}"),
        })
}

/// The registry of `reference`, with Docker's credentials for it, signed in to read.
pub(crate) async fn open(tools: &Tools, reference: &Reference) -> Result<Registry, ImageError> {
    let credentials = credentials::find(&tools.environment, reference.registry()).await?;
    let registry = Registry::new(tools, reference.registry(), credentials)?;
    within(
        &registry,
        registry.sign_in(reference, RegistryOperation::Pull),
    )
    .await?;
    Ok(registry)
}

/// Through an index, if there is one, to a manifest and its digest.
async fn follow(
    registry: &Registry,
    reference: &Reference,
    architecture: Architecture,
) -> Result<(String, BaseManifest), ImageError> {
    let name = reference.whole();
    let (bytes, digest) = registry.manifest(reference).await?;
    let child = match manifest::read(&name, &bytes, architecture)? {
        Document::Image(manifest) => return Ok((digest, manifest)),
        Document::Child(child) => child,
    };
    let (bytes, _) = registry
        .manifest(&reference.clone_with_digest(child.clone()))
        .await?;
    match manifest::read(&name, &bytes, architecture)? {
        Document::Image(manifest) => Ok((child, manifest)),
        Document::Child(_) => Err(ImageError::Unreadable {
            image: name,
            reason: "its index leads to another index".to_owned(),
        }),
    }
}

async fn within<T>(
    registry: &Registry,
    answer: impl Future<Output = Result<T, ImageError>>,
) -> Result<T, ImageError> {
    tokio::time::timeout(TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| {
            Err(ImageError::Unreachable {
                registry: registry.host.clone(),
                action: "read the image",
                detail: format!("no answer within {} s", TIMEOUT.as_secs()),
            })
        })
}
