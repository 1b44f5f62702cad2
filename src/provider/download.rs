//! Fetches what a presigned address points to, through the same proxy and certificates as AWS is called with.

use super::http_get::{Get, GetError};

/// Bytes that are read at the most: Lambda's limit for a zip that is stored (Lambda quotas, "Deployment package size").
const LIMIT: usize = 262_144_000;

/// Why an address could not be fetched. The address itself carries a signature and is never shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// No answer, or a broken one.
    #[error(
        "the function's package could not be fetched: {0}; check the network and proxy settings"
    )]
    Unreachable(String),
    /// An answer that is not the package.
    #[error(
        "the function's package could not be fetched: the storage answered with status {status}"
    )]
    Refused { status: u16 },
    /// More than a package can be.
    #[error("the function's package is larger than {LIMIT} bytes, which none of this provider is")]
    TooLarge,
}

/// Fetches `address`.
///
/// # Errors
///
/// [`DownloadError`].
pub(crate) async fn get(address: &str) -> Result<Vec<u8>, DownloadError> {
    let get = Get {
        address: address.to_owned(),
        limit: LIMIT,
        ..Get::default()
    };
    match get.send().await {
        Ok(got) => Ok(got.bytes),
        Err(GetError::Unreachable(reason)) => Err(DownloadError::Unreachable(reason)),
        Err(GetError::Refused { status }) => Err(DownloadError::Refused { status }),
        Err(GetError::TooLarge { .. }) => Err(DownloadError::TooLarge),
    }
}
