//! Fetches what a presigned address points to, through the same proxy and certificates as AWS is called with.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

use super::http_client;

/// Bytes that are read at the most: Lambda's limit for a zip that is stored (Lambda quotas, "Deployment package size").
const LIMIT: usize = 262_144_000;

/// How long it may take in all.
const TIMEOUT: Duration = Duration::from_secs(300);

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

impl DownloadError {
    fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Fetches `address`.
///
/// # Errors
///
/// [`DownloadError`].
pub(crate) async fn get(address: &str) -> Result<Vec<u8>, DownloadError> {
    tokio::time::timeout(TIMEOUT, get_all(address))
        .await
        .map_err(DownloadError::unreachable)?
}

async fn get_all(address: &str) -> Result<Vec<u8>, DownloadError> {
    let connector = http_client::connector(address).map_err(DownloadError::unreachable)?;
    let request = HttpRequest::get(address).map_err(DownloadError::unreachable)?;
    let response = connector
        .call(request)
        .await
        .map_err(DownloadError::unreachable)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(DownloadError::Refused { status });
    }
    let mut body = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(DownloadError::unreachable)?);
        if bytes.len() > LIMIT {
            return Err(DownloadError::TooLarge);
        }
    }
    Ok(bytes)
}
