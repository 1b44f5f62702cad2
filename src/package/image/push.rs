//! An assembled image in, the same in a repository out. What lies there already is not sent again, what lies in another
//! repository of that registry is mounted, the rest is passed on from the image's own registry as it comes.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use oci_client::errors::OciDistributionError;
use oci_client::{Reference, RegistryOperation};
use tokio::time::sleep;

use super::assemble::Assembled;
use super::credentials::Credentials;
use super::error::ImageError;
use super::lock::ImageLock;
use super::manifest::{Descriptor, OCI_MANIFEST};
use super::pull;
use super::registry::Registry;
use crate::package::{PackageError, Tools};

/// Layers that are passed on at once.
const CONCURRENCY: usize = 3;
/// How often a blob is tried whose registry breaks off, and the first pause, which doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Where an image is to lie.
#[derive(Debug, Clone)]
pub struct Destination {
    /// With its registry: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/mcp-server-time`.
    pub repository: String,
    pub credentials: Credentials,
    /// A tag that the image gets besides that of its digest.
    pub further_tag: Option<String>,
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// `repository@sha256:…`: what Lambda is given.
    pub uri: String,
    /// Blobs that had to be sent, by digest, and their bytes.
    pub sent: Vec<(String, u64)>,
    /// Blobs that were mounted from another repository of the same registry.
    pub mounted: usize,
}

enum Way {
    Present,
    Mounted,
    Sent(String, u64),
}

/// Sends what is missing, the manifest last. Safe to drop and to repeat at any moment.
///
/// # Errors
///
/// [`PackageError::Image`].
pub async fn push(
    tools: &Tools,
    lock: &ImageLock,
    image: &Assembled,
    destination: &Destination,
) -> Result<Pushed, PackageError> {
    run(tools, lock, image, destination)
        .await
        .map_err(PackageError::Image)
}

async fn run(
    tools: &Tools,
    lock: &ImageLock,
    image: &Assembled,
    destination: &Destination,
) -> Result<Pushed, ImageError> {
    // By tag: a lifecycle rule may take away what has none.
    let own = image.digest.trim_start_matches("sha256:");
    let target = tagged(destination, own)?;
    let mut pushed = Pushed {
        uri: format!("{}@{}", destination.repository, image.digest),
        ..Pushed::default()
    };
    let there = open(tools, destination, &target).await?;
    if !has(&there, &target, &image.digest).await {
        send(tools, lock, image, &there, &target, &mut pushed).await?;
    }
    // Last, because an image whose only tag is taken away is deleted.
    if let Some(tag) = &destination.further_tag {
        let further = tagged(destination, tag)?;
        if !has(&there, &further, &image.digest).await {
            put(&there, &further, image.manifest.clone()).await?;
        }
    }
    Ok(pushed)
}

/// Gives the image `digest` (`sha256:…`) its further tag if it is there, and was not pushed with one.
///
/// # Errors
///
/// [`PackageError::Image`].
pub async fn tag(
    tools: &Tools,
    destination: &Destination,
    digest: &str,
    tag: &str,
) -> Result<(), PackageError> {
    let add = async {
        let target = tagged(destination, tag)?;
        let there = open(tools, destination, &target).await?;
        if has(&there, &target, digest).await {
            return Ok(());
        }
        let image = target.clone_with_digest(digest.to_owned());
        match there.manifest(&image).await {
            Ok((manifest, _)) => put(&there, &target, manifest).await,
            Err(ImageError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    };
    add.await.map_err(PackageError::Image)
}

fn tagged(destination: &Destination, tag: &str) -> Result<Reference, ImageError> {
    format!("{}:{tag}", destination.repository)
        .parse()
        .map_err(|error| ImageError::Unreadable {
            image: destination.repository.clone(),
            reason: format!("the repository's name cannot be read: {error}"),
        })
}

/// The registry, signed in to for both directions.
async fn open(
    tools: &Tools,
    destination: &Destination,
    target: &Reference,
) -> Result<Registry, ImageError> {
    let there = Registry::new(tools, target.registry(), destination.credentials.clone())?;
    for operation in [RegistryOperation::Push, RegistryOperation::Pull] {
        let signed_in = there.sign_in(target, operation).await;
        signed_in.map_err(|error| not_taken(error, &there, &destination.repository))?;
    }
    Ok(there)
}

/// Whether a tag leads to the image: what cannot be told is pushed, and then says why it cannot be.
async fn has(there: &Registry, target: &Reference, digest: &str) -> bool {
    let auth = &there.credentials.auth;
    let known = there.client.fetch_manifest_digest(target, auth).await;
    known.is_ok_and(|known| known == digest)
}

/// Makes a tag lead to an image whose blobs lie there.
async fn put(there: &Registry, target: &Reference, manifest: Vec<u8>) -> Result<(), ImageError> {
    let kind = http::HeaderValue::from_static(OCI_MANIFEST);
    let taken = there.client.push_manifest_raw(target, manifest, kind).await;
    taken
        .map(|_| ())
        .map_err(|error| refusal(there, target, error, "take the image's manifest"))
}

async fn send(
    tools: &Tools,
    lock: &ImageLock,
    image: &Assembled,
    there: &Registry,
    target: &Reference,
    pushed: &mut Pushed,
) -> Result<(), ImageError> {
    let origin = pull::reference(lock)?;
    let here = pull::open(tools, &origin).await?;
    let passing = Passing {
        here: &here,
        origin: &origin,
        there,
        target,
    };
    // Made before they are polled: the compiler cannot tell that a closure is good for every lifetime.
    let layers: Vec<_> = image
        .base_layers
        .iter()
        .map(|layer| passing.layer(layer))
        .collect();
    let ways: Vec<Way> = futures_util::stream::iter(layers)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let own = [
        (&image.layer.digest, &image.layer.gzip),
        (&image.config_digest, &image.config),
    ];
    for way in ways {
        pushed.note(way);
    }
    for (digest, bytes) in own {
        pushed.note(passing.bytes(digest, bytes).await?);
    }
    put(there, target, image.manifest.clone()).await
}

/// An error of the registry that the image goes to.
fn refusal(
    there: &Registry,
    target: &Reference,
    error: OciDistributionError,
    action: &'static str,
) -> ImageError {
    let repository = format!("{}/{}", target.registry(), target.repository());
    not_taken(there.error(error, target, action), there, &repository)
}

/// What is said of an image that is read, said of the repository that it is to lie in.
fn not_taken(error: ImageError, there: &Registry, repository: &str) -> ImageError {
    let detail = match error {
        ImageError::NotFound { .. } => "it does not exist".to_owned(),
        ImageError::Refused { detail, .. } => detail,
        other => return other,
    };
    ImageError::NotTaken {
        repository: repository.to_owned(),
        credentials: there.credentials.to_string(),
        detail,
    }
}

impl Pushed {
    fn note(&mut self, way: Way) {
        match way {
            Way::Present => {}
            Way::Mounted => self.mounted += 1,
            Way::Sent(digest, size) => self.sent.push((digest, size)),
        }
    }
}

/// From one registry to another, which may be the same.
struct Passing<'a> {
    here: &'a Registry,
    origin: &'a Reference,
    there: &'a Registry,
    target: &'a Reference,
}

impl Passing<'_> {
    fn refusal(&self, error: OciDistributionError, action: &'static str) -> ImageError {
        refusal(self.there, self.target, error, action)
    }

    async fn layer(&self, layer: &Descriptor) -> Result<Way, ImageError> {
        if self.is_there(&layer.digest).await? {
            return Ok(Way::Present);
        }
        let mounted = self.origin.registry() == self.target.registry()
            && self
                .there
                .client
                .mount_blob(self.target, self.origin, &layer.digest)
                .await
                // Registries may refuse it without a reason; then it is sent.
                .is_ok();
        if mounted {
            return Ok(Way::Mounted);
        }
        let mut attempt = 1;
        loop {
            match self.pass_on(layer).await {
                Ok(()) => return Ok(Way::Sent(layer.digest.clone(), layer.size)),
                Err(error @ (ImageError::Unreachable { .. } | ImageError::Throttled { .. }))
                    if attempt < ATTEMPTS =>
                {
                    tracing::warn!(%error, layer.digest, attempt, "a layer is passed on once more");
                    sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn pass_on(&self, layer: &Descriptor) -> Result<(), ImageError> {
        tracing::info!(layer.digest, layer.size, "passing on a layer");
        self.here.stay_signed_in(self.origin).await?;
        let pulled = self
            .here
            .client
            .pull_blob_stream(self.origin, layer.digest.as_str())
            .await
            .map_err(|error| self.here.error(error, self.origin, "read a layer"))?;
        let stream = pulled.stream.map_err(OciDistributionError::IoError);
        self.there
            .client
            .push_blob_stream(self.target, stream, &layer.digest, Some(layer.size))
            .await
            .map_err(|error| self.refusal(error, "take a layer"))?;
        Ok(())
    }

    async fn bytes(&self, digest: &str, bytes: &[u8]) -> Result<Way, ImageError> {
        if self.is_there(digest).await? {
            return Ok(Way::Present);
        }
        self.there
            .client
            .push_blob(self.target, bytes.to_vec(), digest)
            .await
            .map_err(|error| self.refusal(error, "take a layer"))?;
        Ok(Way::Sent(digest.to_owned(), bytes.len() as u64))
    }

    async fn is_there(&self, digest: &str) -> Result<bool, ImageError> {
        self.there
            .client
            .blob_exists(self.target, digest)
            .await
            .map_err(|error| self.refusal(error, "say what it has"))
    }
}
