//! An image that was assembled here in, what it was made of out: its manifest says so.

use oci_client::{Reference, RegistryOperation};
use serde_json::Value;

use super::error::ImageError;
use super::lock::ImageLock;
use super::push::Destination;
use super::registry::Registry;
use super::startup::Startup;
use crate::package::{PackageError, Tools};

/// Annotations of the manifest: the base image's digest and repository (OCI image specification, "pre-defined annotation keys"), and how it
/// was started, as JSON, because its entry point gave way to the bridge's.
pub(crate) const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
pub(crate) const BASE_NAME: &str = "org.opencontainers.image.base.name";
pub(crate) const STARTUP: &str = "mcplambda.startup";

/// What an image was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub lock: ImageLock,
    pub startup: Startup,
}

/// Reads the manifest `digest` (`sha256:…`) of a repository.
///
/// # Errors
///
/// [`PackageError::Image`]; [`ImageError::Unreadable`] for an image that was not assembled here.
pub async fn origin(
    tools: &Tools,
    repository: &Destination,
    digest: &str,
) -> Result<Origin, PackageError> {
    let name = format!("{}@{digest}", repository.repository);
    manifest(tools, &name, repository)
        .await
        .and_then(|manifest| read(&name, &manifest))
        .map_err(PackageError::Image)
}

async fn manifest(
    tools: &Tools,
    name: &str,
    repository: &Destination,
) -> Result<Vec<u8>, ImageError> {
    let reference: Reference = name.parse().map_err(|error| ImageError::Unreadable {
        image: name.to_owned(),
        reason: format!("its name cannot be read: {error}"),
    })?;
    let registry = Registry::new(tools, reference.registry(), repository.credentials.clone())?;
    registry
        .sign_in(&reference, RegistryOperation::Pull)
        .await?;
    let (bytes, _) = registry.manifest(&reference).await?;
    Ok(bytes)
}

/// What the annotations of a manifest say.
fn read(image: &str, manifest: &[u8]) -> Result<Origin, ImageError> {
    let unreadable = || ImageError::Unreadable {
        image: image.to_owned(),
        reason: "its manifest does not say which image it was made of".to_owned(),
    };
    let manifest: Value = serde_json::from_slice(manifest).map_err(|_| unreadable())?;
    let annotation = |name: &str| {
        manifest["annotations"][name]
            .as_str()
            .ok_or_else(unreadable)
    };
    let lock = format!("{}@{}", annotation(BASE_NAME)?, annotation(BASE_DIGEST)?);
    Ok(Origin {
        lock: lock.parse().map_err(|_| unreadable())?,
        startup: serde_json::from_str(annotation(STARTUP)?).map_err(|_| unreadable())?,
    })
}
