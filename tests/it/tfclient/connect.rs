//! Connections to a plugin: over a Unix socket or TCP, plain or with TLS of any quality.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::certificate::ClientIdentity;

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// What is spoken below HTTP/2.
#[derive(Clone)]
pub enum Security {
    Plain,
    Tls(Arc<ClientConfig>),
}

impl Security {
    /// As Terraform: trusts exactly `server`, and presents `client`.
    pub fn mutual(server: CertificateDer<'static>, client: &ClientIdentity) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = provider
            .key_provider
            .load_private_key(client.private_key())
            .expect("a key that was just made");
        // Not `with_client_auth_cert`, which refuses a key that does not belong to the certificate:
        // some tests are about just that.
        let identity = CertifiedKey::new(vec![client.certificate()], key);
        let resolver = Arc::new(SingleCertAndKey::from(identity));
        let config = builder(server).with_client_cert_resolver(resolver);
        Self::with_http2(config)
    }

    /// Trusts `server`, but has no certificate.
    pub fn without_client_certificate(server: CertificateDer<'static>) -> Self {
        Self::with_http2(builder(server).with_no_client_auth())
    }

    fn with_http2(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::Tls(Arc::new(config))
    }
}

fn builder(
    server: CertificateDer<'static>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(server).expect("a certificate");
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .expect("one root");
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has every version")
        .with_webpki_verifier(verifier)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a plugin. That this succeeds does not yet mean that the plugin will answer: in TLS
/// 1.3 a client learns of its refusal with the first answer.
pub async fn connect(
    address: Address,
    security: Security,
) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| {
        let (address, security) = (address.clone(), security.clone());
        async move { open(address, security).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
}

async fn open(address: Address, security: Security) -> std::io::Result<Box<dyn Stream>> {
    let stream: Box<dyn Stream> = match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
    };
    match security {
        Security::Plain => Ok(stream),
        Security::Tls(config) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Box::new(stream))
        }
    }
}

/// A client identity's private key cannot be printed by accident.
impl std::fmt::Debug for Security {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}
