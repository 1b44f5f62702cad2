//! How the package layer comes by the bytes behind an address: it makes no connection itself, and is handed something that does.
//!
//! Enters: [`Downloads`], with [`Tools`](super::Tools). Whoever implements [`Download`] says credentials to the address's own host alone, and
//! honours proxies and certificates as for everything else that it asks.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct Wanted {
    pub address: String,
    /// The value of the header `Authorization`, for the address's own host.
    pub authorization: Option<String>,
    /// Files of certificates that are trusted besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Bytes that are read at the most.
    pub limit: usize,
}

/// What is answered in time: bytes that nobody has compared with anything yet, or a reason without credentials.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Fetches files, several at once, over connections that are kept.
pub trait Download: Send + Sync {
    /// Fetches one. May be dropped at any moment.
    fn download(&self, wanted: Wanted) -> Answer<'_>;
}

/// Shared by all that is packaged.
#[derive(Clone)]
pub struct Downloads(Arc<dyn Download>);

impl Downloads {
    pub fn new(download: impl Download + 'static) -> Self {
        Self(Arc::new(download))
    }

    pub(crate) async fn fetch(&self, wanted: Wanted) -> Result<Vec<u8>, String> {
        self.0.download(wanted).await
    }
}

impl std::fmt::Debug for Downloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Downloads")
    }
}

impl PartialEq for Downloads {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Downloads {}
