//! An identity token in, a token that opens one repository out: with identity tokens registries are signed in to that give no password
//! (`az acr login`, single sign-on), and `docker login` and the helpers keep them.
//!
//! A registry that is asked without any token names its token server (`WWW-Authenticate: Bearer`), and there it is exchanged (Distribution's
//! documentation, "OAuth2 Token Authentication", grant type `refresh_token`). It goes to that server alone, over TLS or to loopback, along no
//! redirect and into no error. Refuses registries that name no such server.

use std::time::Duration;

use oci_client::{Reference, RegistryOperation};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use url::Url;

use super::error::ImageError;
use super::registry::{self, CONNECT_TIMEOUT, chain};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What an identity token is shown to.
pub(crate) struct Exchange<'a> {
    pub(crate) token: &'a str,
    /// The file that leads to it.
    pub(crate) place: &'a str,
    pub(crate) reference: &'a Reference,
    pub(crate) operation: RegistryOperation,
    /// Trusted besides those of the system.
    pub(crate) certificates: &'a [CertificateDer<'static>],
}

/// Where tokens are to be had.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    realm: Url,
    service: Option<String>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

impl Exchange<'_> {
    /// `None` from a registry that lets everybody in.
    pub(crate) async fn run(&self) -> Result<Option<String>, ImageError> {
        let Some(server) = self.server().await? else {
            return Ok(None);
        };
        let answer = self
            .client(&server.realm)?
            .post(server.realm.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(self.form(&server))
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let host = server.realm.host_str().unwrap_or_default();
        // Its body is not shown: who knows what it repeats.
        let status = answer.status();
        let said = format!(
            "its token server {host} answered with HTTP {}",
            status.as_u16()
        );
        match status {
            StatusCode::OK => match serde_json::from_slice(&self.body(answer).await?) {
                Ok(Granted { access_token }) => Ok(Some(access_token)),
                Err(_) => Err(self.useless(format!(
                    "its token server {host} answers with no access token"
                ))),
            },
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ImageError::Refused {
                    registry: self.registry(),
                    action: "take the identity token",
                    credentials: self.place.to_owned(),
                    detail: format!("{said}. The token may have expired or been revoked"),
                })
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Err(self.useless(format!("{said}, so it takes none")))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(ImageError::Throttled {
                registry: self.registry(),
                detail: said,
            }),
            _ => Err(ImageError::Unreachable {
                registry: self.registry(),
                action: "take the identity token",
                detail: said,
            }),
        }
    }

    fn form(&self, server: &Server) -> String {
        let actions = match self.operation {
            RegistryOperation::Pull => "pull",
            RegistryOperation::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", self.reference.repository());
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "mcplambda")
            .append_pair("scope", &scope)
            .append_pair("refresh_token", self.token);
        if let Some(service) = &server.service {
            form.append_pair("service", service);
        }
        form.finish()
    }

    /// What the registry says when it is asked without a token.
    async fn server(&self) -> Result<Option<Server>, ImageError> {
        let host = self.reference.resolve_registry();
        let scheme = match registry::is_local(self.reference.registry()) {
            true => "http",
            false => "https",
        };
        let address = Url::parse(&format!("{scheme}://{host}/v2/"))
            .map_err(|error| self.useless(format!("its address cannot be read: {error}")))?;
        let answer = self
            .client(&address)?
            .get(address)
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenges = challenges.iter().filter_map(|header| header.to_str().ok());
        let server = challenges.filter_map(token_server).next();
        match server {
            Some(server) if is_safe(&server.realm) => Ok(Some(server)),
            Some(server) => Err(self.useless(format!(
                "its token server {} would be spoken to without TLS",
                server.realm.host_str().unwrap_or_default()
            ))),
            None if answer.status().is_success() => Ok(None),
            None => Err(self.useless(format!(
                "it answered with HTTP {} and names no token server",
                answer.status().as_u16()
            ))),
        }
    }

    /// One for this address alone: what lies on loopback is reached without a proxy.
    fn client(&self, address: &Url) -> Result<Client, ImageError> {
        let certificates: Vec<_> = self
            .certificates
            .iter()
            .map(|certificate| reqwest::Certificate::from_der(certificate))
            .collect::<Result<_, _>>()
            .map_err(|error| self.unreachable(error))?;
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(registry::USER_AGENT);
        if is_loopback(address) {
            builder = builder.no_proxy();
        }
        // macOS cannot add to what the system trusts.
        builder = match (certificates.is_empty(), cfg!(target_os = "macos")) {
            (true, _) => builder,
            (false, true) => builder.tls_certs_only(certificates),
            (false, false) => builder.tls_certs_merge(certificates),
        };
        builder.build().map_err(|error| self.unreachable(error))
    }

    async fn body(&self, answer: Response) -> Result<Vec<u8>, ImageError> {
        let bytes = answer.bytes().await;
        bytes
            .map(|bytes| bytes.to_vec())
            .map_err(|error| self.unreachable(error))
    }

    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn unreachable(&self, error: reqwest::Error) -> ImageError {
        ImageError::Unreachable {
            registry: self.registry(),
            action: "take the identity token",
            detail: chain(&error),
        }
    }

    fn useless(&self, reason: String) -> ImageError {
        ImageError::Credentials {
            registry: self.registry(),
            place: self.place.to_owned(),
            reason: format!(
                "they are an identity token, which the registry does not exchange: {reason}. Sign in with a user name and a password or access \
                 token"
            ),
        }
    }
}

/// The server that a challenge names, if it asks for a token.
fn token_server(header: &str) -> Option<Server> {
    let challenges = http_auth::parse_challenges(header).ok()?;
    let bearer = challenges
        .iter()
        .find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
    let parameter = |name: &str| {
        let named = bearer.params.iter();
        named
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_unescaped())
            .next()
    };
    Some(Server {
        realm: Url::parse(&parameter("realm")?).ok()?,
        service: parameter("service"),
    })
}

fn is_safe(address: &Url) -> bool {
    address.scheme() == "https" || (address.scheme() == "http" && is_loopback(address))
}

fn is_loopback(address: &Url) -> bool {
    address.host_str().is_some_and(registry::is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_the_token_server_and_its_service() {
        let server = |realm: &str, service: Option<&str>| {
            Some(Server {
                realm: realm.parse().expect("an address"),
                service: service.map(str::to_owned),
            })
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://mine.azurecr.io/oauth2/token",service="mine.azurecr.io""#,
                server(
                    "https://mine.azurecr.io/oauth2/token",
                    Some("mine.azurecr.io"),
                ),
            ),
            (
                r#"Basic realm="x", bearer Service="a \"b\"", REALM="https://a.example/t?x=1", error="e""#,
                server("https://a.example/t?x=1", Some("a \"b\"")),
            ),
            (
                r#"Bearer realm="https://a.example/""#,
                server("https://a.example/", None),
            ),
            (r#"Bearer realm="/token""#, None),
            (r#"Bearer service="a""#, None),
            (r#"Basic realm="https://a.example/""#, None),
            ("Bearer realm=\"", None),
        ] {
            assert_eq!(token_server(header), expected, "{header}");
        }
    }

    #[test]
    fn tokens_go_over_tls_or_to_loopback() {
        for (address, safe) in [
            ("https://a.example/", true),
            ("http://127.0.0.1:1/token", true),
            ("http://[::1]:1/token", true),
            ("http://localhost/token", true),
            ("http://a.example/", false),
            ("http://localhost.a.example/", false),
            ("http://127.0.0.1@a.example/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(
                is_safe(&address.parse().expect("an address")),
                safe,
                "{address}"
            );
        }
    }
}
