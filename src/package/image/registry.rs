//! One registry, over its HTTP API: names to manifests, and what its errors mean.
//!
//! Registries on loopback are spoken to without TLS and without a proxy; all others with TLS, through the proxy that the environment names
//! (`HTTPS_PROXY`, `NO_PROXY`), trusting what the system trusts (or `SSL_CERT_FILE` says) and the certificates of `AWS_CA_BUNDLE`.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::credentials::Credentials;
use super::error::ImageError;
use super::identity::Exchange;
use crate::package::Tools;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const USER_AGENT: &str = concat!("mcplambda/", env!("CARGO_PKG_VERSION"));

/// A registry and with what it is spoken to.
pub(crate) struct Registry {
    pub(crate) client: Client,
    /// As in images' names: `docker.io`.
    pub(crate) host: String,
    pub(crate) credentials: Credentials,
    /// Those of `AWS_CA_BUNDLE`.
    certificates: Vec<CertificateDer<'static>>,
}

impl Registry {
    pub(crate) fn new(
        tools: &Tools,
        host: &str,
        credentials: Credentials,
    ) -> Result<Self, ImageError> {
        // The one that all of the provider uses; a second installation is refused and changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let plain = is_local(host).then(|| host.to_owned());
        // A proxy that is given, and never used, keeps those of the environment out.
        let unused_proxy = plain.as_ref().map(|_| "http://127.0.0.1:9".to_owned());
        let certificates = bundle(tools)?;
        let trusted = certificates.iter().map(|certificate| Certificate {
            encoding: CertificateEncoding::Der,
            data: certificate.to_vec(),
        });
        // macOS cannot add to what the system trusts.
        let (only, extra) = match cfg!(target_os = "macos") {
            true => (trusted.collect(), Vec::new()),
            false => (Vec::new(), trusted.collect()),
        };
        let client = Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain.into_iter().collect()),
            http_proxy: unused_proxy,
            no_proxy: Some("localhost,127.0.0.0/8,::1".to_owned()),
            tls_certs_only: only,
            extra_root_certificates: extra,
            // One request for each blob: all registries take that, ECR no small chunks.
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        });
        let client = client.map_err(|error| ImageError::Unreachable {
            registry: host.to_owned(),
            action: "be spoken to over TLS",
            detail: chain(&error),
        })?;
        Ok(Self {
            client,
            host: host.to_owned(),
            credentials,
            certificates,
        })
    }

    /// Signs in for `operation`: without, the client would only be told that it is not allowed.
    pub(crate) async fn sign_in(
        &self,
        reference: &Reference,
        operation: RegistryOperation,
    ) -> Result<(), ImageError> {
        let action = match operation {
            RegistryOperation::Pull => "read the image",
            RegistryOperation::Push => "take the image",
        };
        let exchanged = match self.credentials.identity() {
            None => None,
            Some(token) => {
                let exchange = Exchange {
                    token,
                    place: &self.credentials.to_string(),
                    reference,
                    operation,
                    certificates: &self.certificates,
                };
                exchange.run().await?.map(RegistryAuth::Bearer)
            }
        };
        let auth = exchanged.as_ref().unwrap_or(&self.credentials.auth);
        self.client
            .auth(reference, auth, operation)
            .await
            .map(|_| ())
            .map_err(|error| self.error(error, reference, action))
    }

    /// Signs in to read once more if that may not have lasted: what an identity token is exchanged for can be good for a minute only. Other
    /// credentials are the client's own to show again.
    pub(crate) async fn stay_signed_in(&self, reference: &Reference) -> Result<(), ImageError> {
        match self.credentials.identity() {
            None => Ok(()),
            Some(_) => self.sign_in(reference, RegistryOperation::Pull).await,
        }
    }

    /// A manifest or index as it is, and its digest.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Vec<u8>, String), ImageError> {
        let pulled = self
            .client
            .pull_manifest_raw(reference, &self.credentials.auth, super::manifest::ACCEPTED)
            .await;
        match pulled {
            Ok((bytes, digest)) => Ok((bytes.to_vec(), digest)),
            Err(error) => Err(self.error(error, reference, "read the image")),
        }
    }

    /// A small blob, checked against its digest.
    pub(crate) async fn blob(
        &self,
        reference: &Reference,
        digest: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        match self.client.pull_blob(reference, digest, &mut bytes).await {
            Ok(()) => Ok(bytes),
            Err(error) => Err(self.error(error, reference, "read the image's configuration")),
        }
    }

    /// What `error` means to a user.
    pub(crate) fn error(
        &self,
        error: OciDistributionError,
        reference: &Reference,
        action: &'static str,
    ) -> ImageError {
        let not_found = || ImageError::NotFound {
            image: reference.whole(),
            credentials: self.credentials.to_string(),
        };
        let refused = |detail: String| ImageError::Refused {
            registry: self.host.clone(),
            action,
            credentials: self.credentials.to_string(),
            detail,
        };
        let throttled = |detail: String| ImageError::Throttled {
            registry: self.host.clone(),
            detail,
        };
        let unreachable = |detail: String| ImageError::Unreachable {
            registry: self.host.clone(),
            action,
            detail,
        };
        match error {
            OciDistributionError::ImageManifestNotFoundError(_)
            | OciDistributionError::ServerError { code: 404, .. } => not_found(),
            OciDistributionError::UnauthorizedError { .. } => refused("not authorized".to_owned()),
            OciDistributionError::AuthenticationFailure(detail) => refused(one_line(&detail)),
            OciDistributionError::ServerError { code, message, .. } => match code {
                401 | 403 => refused(one_line(&message)),
                429 => throttled(one_line(&message)),
                _ => unreachable(format!("HTTP {code} {}", one_line(&message))),
            },
            OciDistributionError::RegistryError { envelope, .. } => {
                let code = envelope.errors.first().map(|error| &error.code);
                let detail = envelope.errors.iter().map(|error| error.message.clone());
                let detail = one_line(&detail.collect::<Vec<_>>().join("; "));
                match code {
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound,
                    ) => not_found(),
                    Some(OciErrorCode::Toomanyrequests) => throttled(detail),
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => refused(detail),
                    _ => unreachable(detail),
                }
            }
            other => unreachable(chain(&other)),
        }
    }
}

/// The certificates that `AWS_CA_BUNDLE` names.
fn bundle(tools: &Tools) -> Result<Vec<CertificateDer<'static>>, ImageError> {
    let set = tools.environment.get(OsStr::new("AWS_CA_BUNDLE"));
    let Some(path) = set.filter(|path| !path.is_empty()).map(Path::new) else {
        return Ok(Vec::new());
    };
    let unusable = |reason: String| ImageError::Trust {
        path: path.display().to_string(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(unusable("it holds no PEM certificate".to_owned())),
        false => Ok(certificates),
    }
}

/// Loopback, with or without a port.
pub(crate) fn is_local(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST).collect()
}

/// An error and its causes, without saying the same thing twice.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(current) = next {
        let text = current.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = current.source();
    }
    said.join(": ")
}
