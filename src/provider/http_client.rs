//! How requests to AWS leave: proxy, certificate bundle, user agent, and how long an absent host is tried.
//!
//! Enters: the process's environment (`HTTPS_PROXY`, `NO_PROXY`, `AWS_CA_BUNDLE`, `TF_APPEND_USER_AGENT`), read
//! once. Leaves: an HTTP client and interceptors for the SDK's clients. Refuses: a certificate bundle that
//! cannot be read. The SDK for Rust honours none of the four by itself, the AWS provider all of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_sdk_sts::config::Intercept;
use aws_sdk_sts::config::interceptors::{
    BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextMut,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, OrchestratorError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// How often a host that does not answer at all is tried. Throttling deserves patience, an absent host does
/// not: a mistyped endpoint must not keep a plan waiting for minutes.
const MAX_CONNECT_ATTEMPTS: u32 = 3;

/// `AWS_CA_BUNDLE` names a file that is no certificate bundle.
#[derive(Debug, thiserror::Error)]
#[error("AWS_CA_BUNDLE names {}, which cannot be used: {reason}", path.display())]
pub struct CaBundleError {
    pub path: PathBuf,
    pub reason: String,
}

/// The HTTP client that all of the provider's AWS clients share, and with it their connections.
///
/// # Errors
/// [`CaBundleError`] if the environment names a bundle that cannot be read.
pub fn from_environment() -> Result<SharedHttpClient, CaBundleError> {
    let tls = tls_from_environment()?;
    let proxied = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let client = |proxy: ProxyConfig| {
        let tls = tls.clone();
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            connector.set_connector_settings(settings.cloned());
            if let Some(components) = components {
                connector.set_sleep_impl(components.sleep_impl());
            }
            connector.build()
        })
    };
    let direct = client(ProxyConfig::disabled());
    Ok(if proxied {
        SharedHttpClient::new(ProxiedUnlessLocal {
            direct,
            proxied: client(ProxyConfig::from_env()),
        })
    } else {
        direct
    })
}

/// A connection to `uri` outside of the AWS clients, with the same proxy and certificates; those of the files `further` are trusted too,
/// as far as they can be read.
///
/// # Errors
/// [`CaBundleError`] if the environment names a bundle that cannot be read.
pub fn connector(uri: &str, further: &[PathBuf]) -> Result<SharedHttpConnector, CaBundleError> {
    let proxy = if is_local(uri) {
        ProxyConfig::disabled()
    } else {
        ProxyConfig::from_env()
    };
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(match further.is_empty() {
            true => tls_from_environment()?,
            false => tls_with(further)?,
        })
        .proxy_config(proxy)
        .build();
    Ok(SharedHttpConnector::new(connector))
}

/// Trusts the system's certificates, those of `AWS_CA_BUNDLE` and those of `further`.
fn tls_with(further: &[PathBuf]) -> Result<TlsContext, CaBundleError> {
    let bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty());
    let files = further.iter().cloned().chain(bundle.map(PathBuf::from));
    let mut store = TrustStore::default();
    for path in files {
        if let Some(pem) = std::fs::read(&path).ok().filter(|pem| is_pem(pem)) {
            store = store.with_pem_certificate(pem);
        }
    }
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| CaBundleError {
        path: further.first().cloned().unwrap_or_default(),
        reason: error.to_string(),
    })
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| window == b"-----BEGIN")
}

fn tls_from_environment() -> Result<TlsContext, CaBundleError> {
    match std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        Some(path) => trusting(PathBuf::from(path)),
        None => Ok(TlsContext::default()),
    }
}

/// Trusts the certificates of `path` and no other, as the AWS CLI does.
fn trusting(path: PathBuf) -> Result<TlsContext, CaBundleError> {
    let reason = match std::fs::read(&path) {
        Ok(pem) if is_pem(&pem) => {
            let store = TrustStore::empty().with_pem_certificate(pem);
            match TlsContext::builder().with_trust_store(store).build() {
                Ok(context) => return Ok(context),
                Err(error) => error.to_string(),
            }
        }
        Ok(_) => "it holds no PEM certificate".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(CaBundleError { path, reason })
}

/// Loopback and link-local hosts (an emulator, the instance's metadata) are never reached through a proxy.
#[derive(Debug)]
struct ProxiedUnlessLocal {
    direct: SharedHttpClient,
    proxied: SharedHttpClient,
}

impl HttpClient for ProxiedUnlessLocal {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ByHost {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct ByHost {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
}

impl HttpConnector for ByHost {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_local(request.uri()) {
            self.direct.call(request)
        } else {
            self.proxied.call(request)
        }
    }
}

pub(crate) fn is_local(uri: &str) -> bool {
    let Ok(uri) = uri.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::/32 is where EC2 serves metadata over IPv6.
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_loopback() || address.segments()[..2] == [0xfd00, 0xec2]
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The words appended to the SDK's user agent: who we are, then what `TF_APPEND_USER_AGENT` says.
#[must_use]
pub fn user_agent_suffix() -> String {
    let own = concat!("mcplambda/", env!("CARGO_PKG_VERSION"));
    let legal =
        |text: &String| !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match std::env::var("TF_APPEND_USER_AGENT")
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(legal)
    {
        Some(appended) => format!("{own} {appended}"),
        None => own.to_owned(),
    }
}

/// Appends to the `User-Agent` header, which is not part of what is signed.
#[derive(Debug, Clone)]
pub struct UserAgent(pub String);

impl Intercept for UserAgent {
    fn name(&self) -> &'static str {
        "UserAgent"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        let full = match headers.get("user-agent") {
            Some(sdk) => format!("{sdk} {}", self.0),
            None => self.0.clone(),
        };
        headers.try_insert("user-agent", full)?;
        Ok(())
    }
}

/// Ends the retries of a request whose host could not be reached `MAX_CONNECT_ATTEMPTS` times.
#[derive(Debug, Clone)]
pub struct GiveUpOnAbsentHost;

impl Intercept for GiveUpOnAbsentHost {
    fn name(&self) -> &'static str {
        "GiveUpOnAbsentHost"
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = config
            .load::<RequestAttempts>()
            .map_or(1, |attempts| attempts.attempts());
        if attempts < MAX_CONNECT_ATTEMPTS {
            return Ok(());
        }
        if let Some(outcome) = context.output_or_error_mut()
            && let Err(error) = outcome
            && error.as_connector_error().is_some_and(never_connected)
        {
            // A user error is what the SDK's retry strategy never repeats; the cause is kept below it.
            let cause = std::mem::replace(error, OrchestratorError::other("replaced below"));
            let cause = cause
                .as_connector_error()
                .map_or_else(String::new, |error| chain_of(error));
            *error =
                OrchestratorError::connector(ConnectorError::user(HostUnreachable(cause).into()));
        }
        Ok(())
    }
}

/// No connection to the service's host came about. Carries the chain of causes as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostUnreachable(pub String);

/// Whether no connection came about at all (refused, no such host, no answer), as against one that broke.
fn never_connected(error: &ConnectorError) -> bool {
    find_source::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// The first error of type `E` among `error` and its causes.
pub fn find_source<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<E>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// An error's causes from the outside in, without saying the same thing twice.
pub fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
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

/// Remembers where the last request went, so that an error can name it.
#[derive(Debug, Clone, Default)]
pub struct RememberHost(pub Arc<Mutex<Option<String>>>);

impl Intercept for RememberHost {
    fn name(&self) -> &'static str {
        "RememberHost"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(uri) = context.request().uri().parse::<http::Uri>() {
            let host = format!(
                "{}://{}",
                uri.scheme_str().unwrap_or("https"),
                uri.authority().map_or("", |authority| authority.as_str())
            );
            // Poisoned only if a holder panicked between two plain moves.
            *self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(host);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_metadata_hosts_are_reached_without_a_proxy() {
        for uri in [
            "http://127.0.0.1:4566/x",
            "http://localhost:1/",
            "http://[::1]:80/",
            "http://169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://lambda.localhost:4566/",
        ] {
            assert!(is_local(uri), "{uri}");
        }
        for uri in [
            "https://lambda.us-east-1.amazonaws.com/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
        ] {
            assert!(!is_local(uri), "{uri}");
        }
    }
}
