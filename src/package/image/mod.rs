//! Container images: `docker run …` in, an image with the bridge in a repository of the user's out. No Docker is needed.
//!
//! Enters: [`ImageSource`]. Leaves: [`ImageLock`] (the digest that runs), [`Assembled`] (manifest, configuration and the one layer
//! that is added), and what [`push`] put into a repository. Refuses images that Lambda could not run, before anything is sent.
//!
//! The path, as the file names read: `command` -> `source` -> `pull` (`credentials`, `registry`, `identity`, `manifest`) -> `lock` -> `layer` ->
//! `assemble` (`startup`) -> `push`; `origin` leads from what was pushed back to the lock.

mod assemble;
mod command;
mod credentials;
mod error;
mod identity;
mod layer;
mod lock;
mod manifest;
mod origin;
mod pull;
mod push;
mod registry;
mod source;
mod startup;

pub use assemble::{Assembled, Base, assemble};
pub use credentials::Credentials;
pub use error::ImageError;
pub use layer::{BRIDGE, Layer, digest, with_bridge};
pub use lock::ImageLock;
pub use manifest::{BaseManifest, Descriptor, Document, OCI_MANIFEST, read as read_manifest};
pub use origin::{Origin, origin};
pub use push::{Destination, Pushed, push, tag};
pub use source::ImageSource;
pub use startup::Startup;

use super::{PackageError, Tools, bridge};

/// The digest that the image's name leads to now, for the function's processor.
///
/// # Errors
///
/// [`PackageError::Image`].
pub async fn resolve(tools: &Tools, source: &ImageSource) -> Result<ImageLock, PackageError> {
    pull::resolve(tools, source)
        .await
        .map_err(PackageError::Image)
}

/// The image that `lock` names, with the bridge for its processor added.
///
/// # Errors
///
/// [`PackageError::Image`], and [`PackageError::NoBridge`].
pub async fn build(
    tools: &Tools,
    source: &ImageSource,
    lock: &ImageLock,
) -> Result<Assembled, PackageError> {
    let architecture = source.architecture;
    let bridge = bridge::binary(architecture).ok_or(PackageError::NoBridge { architecture })?;
    build_around(bridge, tools, source, lock).await
}

/// [`build`] with another executable as the bridge.
///
/// # Errors
///
/// As [`build`].
pub async fn build_around(
    bridge: &[u8],
    tools: &Tools,
    source: &ImageSource,
    lock: &ImageLock,
) -> Result<Assembled, PackageError> {
    let base = pull::read_base(tools, lock, source.architecture)
        .await
        .map_err(PackageError::Image)?;
    let layer = with_bridge(bridge).map_err(|source| PackageError::Io {
        action: "pack the bridge for",
        path: lock.to_string().into(),
        source,
    })?;
    assemble(&base, layer, source.architecture).map_err(PackageError::Image)
}
