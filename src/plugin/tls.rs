//! Mutual TLS with exactly one peer.
//!
//! Enters: the host's certificate, as it gave it in the environment. Leaves: a TLS configuration
//! whose own certificate was made this moment and lives only in this process. Refuses: every
//! client that cannot prove that it holds the key of that very certificate.
//!
//! The process behind this holds AWS credentials, so "signed by somebody we trust" is not enough:
//! the bytes of the certificate are compared. Nothing is checked beyond them (names, dates, usage),
//! because nothing else could make a different certificate acceptable.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

/// The name that the host verifies in our certificate. go-plugin fixes it.
const SERVER_NAME: &str = "localhost";

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our own key or certificate could not be made.
    #[error("cannot make a certificate for the connection to Terraform")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused the configuration.
    #[error("cannot configure TLS for the connection to Terraform")]
    Configuration(#[from] rustls::Error),
}

/// Our side of the connection.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// What to accept connections with.
    pub config: Arc<ServerConfig>,
    /// What the host must be told, so that it can pin us in turn.
    pub certificate: CertificateDer<'static>,
}

impl ServerIdentity {
    /// Makes a key and a certificate, and admits only the holder of `client_certificate`.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the system's source of randomness or the TLS library fails.
    pub fn admitting(client_certificate: CertificateDer<'static>) -> Result<Self, TlsError> {
        // Named here and not taken from the process's default, which is ambiguous as soon as a
        // dependency enables a second one. It must be aws-lc-rs: Terraform's key is on P-521, and
        // without that curve in the offered schemes Go sends no certificate at all.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = rcgen::CertificateParams::new([SERVER_NAME.to_owned()])?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, SERVER_NAME);
        let certificate = parameters.self_signed(&key)?.der().clone();
        let verifier = PinnedClient {
            certificate: client_certificate,
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = Self::builder(provider)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(
                vec![certificate.clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        // Newer gRPC clients refuse a server that does not agree on HTTP/2.
        config.alpn_protocols = vec![b"h2".to_vec()];
        // One host, one connection: there is no session to resume.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            certificate,
        })
    }

    /// TLS 1.3 only: every host that speaks protocol 6 is a Go program that has it.
    fn builder(
        provider: Arc<CryptoProvider>,
    ) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
    }
}

/// Accepts one certificate, by its bytes.
#[derive(Debug)]
struct PinnedClient {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A hint would make Go compare issuers, find no match, and send no certificate.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if *end_entity == self.certificate && intermediates.is_empty() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
