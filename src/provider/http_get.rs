//! One GET outside of the AWS clients: an address and what is said to it in, the answer's body out; through the same proxies as AWS is called
//! with.
//!
//! Follows redirects; credentials go to the host that they are for and to no other. Refuses answers that are larger than expected, and redirects
//! from TLS to none. Addresses are never part of an error: they may carry signatures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use url::Url;

use super::http_client::{self, chain_of};

/// How long it may take in all.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How long a host may take to begin its answer: one behind a wall that swallows everything is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_REDIRECTS: usize = 5;

/// What is asked.
#[derive(Clone, Default)]
pub(crate) struct Get {
    pub(crate) address: String,
    pub(crate) accept: Option<&'static str>,
    /// The header's value, for the address's own host.
    pub(crate) authorization: Option<String>,
    /// Bytes that are read at the most.
    pub(crate) limit: usize,
    /// Files of certificates that are trusted besides the system's.
    pub(crate) certificates: Vec<PathBuf>,
    /// Of those who ask the same hosts one after the other, or many times at once; new ones by default.
    pub(crate) connections: Connections,
}

/// Connections that were made, by how: with a proxy or without, trusting these files.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<BTreeMap<Way, SharedHttpConnector>>>);

type Way = (bool, Vec<PathBuf>);

impl Connections {
    /// What asks `address`.
    fn to(
        &self,
        address: &str,
        certificates: &[PathBuf],
    ) -> Result<SharedHttpConnector, http_client::CaBundleError> {
        let way = (http_client::is_local(address), certificates.to_vec());
        // Poisoned only if making a connector panicked; the map itself is whole.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = made.get(&way) {
            return Ok(connector.clone());
        }
        let connector = http_client::connector(address, certificates)?;
        made.insert(way, connector.clone());
        Ok(connector)
    }
}

/// An answer with status 200.
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: String,
    /// Where it came from in the end.
    pub(crate) address: Url,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// None, or a broken one.
    #[error("{0}")]
    Unreachable(String),
    /// Another status than 200.
    #[error("it answered with status {status}")]
    Refused { status: u16 },
    /// Larger than expected.
    #[error("it answered with more than {limit} bytes")]
    TooLarge { limit: usize },
}

impl GetError {
    fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Get {
    /// Asks.
    ///
    /// # Errors
    ///
    /// [`GetError`].
    pub(crate) async fn send(self) -> Result<Got, GetError> {
        let late =
            |_| GetError::Unreachable(format!("no whole answer within {} s", TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, self.follow())
            .await
            .map_err(late)?
    }

    async fn follow(mut self) -> Result<Got, GetError> {
        let mut address = Url::parse(&self.address).map_err(GetError::unreachable)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&address).await?;
            let status = response.status().as_u16();
            let location = response.headers().get("location");
            if let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) {
                let next = address.join(location).map_err(GetError::unreachable)?;
                if address.scheme() == "https" && next.scheme() != "https" {
                    return Err(GetError::Unreachable(
                        "it leads to an address without TLS".to_owned(),
                    ));
                }
                if next.origin() != address.origin() {
                    self.authorization = None;
                }
                address = next;
                continue;
            }
            if status != 200 {
                return Err(GetError::Refused { status });
            }
            let content_type = response
                .headers()
                .get("content-type")
                .unwrap_or_default()
                .to_owned();
            let mut body = ByteStream::new(response.into_body());
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| GetError::Unreachable(chain_of(&error)))?;
                bytes.extend_from_slice(&chunk);
                if bytes.len() > self.limit {
                    return Err(GetError::TooLarge { limit: self.limit });
                }
            }
            return Ok(Got {
                bytes,
                content_type,
                address,
            });
        }
        Err(GetError::Unreachable(
            "it leads from one address to the next without an end".to_owned(),
        ))
    }

    async fn ask(
        &self,
        address: &Url,
    ) -> Result<aws_smithy_runtime_api::client::orchestrator::HttpResponse, GetError> {
        let connector = self
            .connections
            .to(address.as_str(), &self.certificates)
            .map_err(GetError::unreachable)?;
        let mut request = HttpRequest::get(address.as_str()).map_err(GetError::unreachable)?;
        let headers = request.headers_mut();
        let given = [
            ("accept", self.accept.map(str::to_owned)),
            ("authorization", self.authorization.clone()),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                // The value is not shown: it may be a password.
                let illegal =
                    |_| GetError::Unreachable(format!("the header `{name}` for it cannot be sent"));
                headers.try_insert(name, value).map_err(illegal)?;
            }
        }
        let late =
            |_| GetError::Unreachable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
        tokio::time::timeout(ANSWER_TIMEOUT, connector.call(request))
            .await
            .map_err(late)?
            .map_err(|error| GetError::Unreachable(chain_of(&error)))
    }
}
