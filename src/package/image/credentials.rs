//! A registry's name in, what Docker's configuration has for it out: an entry of `auths`, or what a credential helper answers; a name and a
//! password, or an identity token.
//!
//! Where the configuration lies: `DOCKER_CONFIG`, else `.docker` below `HOME` (Docker's documentation, "docker login"). Refuses a
//! configuration or helper that is there and fails: without it a private image would only seem not to exist.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::error::ImageError;

/// With what a registry is spoken to, and where that comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Anonymous where there is an identity token, which is no use in itself.
    pub(crate) auth: RegistryAuth,
    identity: Option<String>,
    origin: String,
}

/// For people: says where the credentials come from, never what they are.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.origin)
    }
}

impl Credentials {
    /// None at all.
    pub fn anonymous() -> Self {
        Self {
            auth: RegistryAuth::Anonymous,
            identity: None,
            origin: "none".to_owned(),
        }
    }

    /// A name and a password; `origin` says where they come from.
    pub fn password(user: String, password: String, origin: impl Into<String>) -> Self {
        Self {
            auth: RegistryAuth::Basic(user, password),
            identity: None,
            origin: origin.into(),
        }
    }

    /// The identity token, which stands for the user until it is revoked.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }
}

/// What `environment` leads to for `registry`; anonymous where nothing is configured.
pub(crate) async fn find(
    environment: &BTreeMap<OsString, OsString>,
    registry: &str,
) -> Result<Credentials, ImageError> {
    let Some(path) = configuration(environment) else {
        return Ok(Credentials::anonymous());
    };
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Credentials::anonymous());
        }
        Err(error) => return Err(failed(registry, &path, error.to_string())),
    };
    // `docker login` keeps Docker Hub's under the address that it had first.
    let key = match registry {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    };
    // A helper is another program, which is waited for.
    let found = tokio::task::spawn_blocking(move || {
        docker_credential::get_credential_from_reader(text.as_slice(), &key)
    })
    .await
    .map_err(|error| failed(registry, &path, error.to_string()))?;
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials::password(
            user,
            password,
            path.display().to_string(),
        )),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Credentials {
            identity: Some(token),
            origin: path.display().to_string(),
            ..Credentials::anonymous()
        }),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(Credentials::anonymous()),
        // The helpers' common way of saying that they have none.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(Credentials::anonymous())
        }
        Err(CredentialRetrievalError::HelperFailure {
            helper,
            stderr,
            stdout,
        }) => Err(failed(
            registry,
            &path,
            format!(
                "the credential helper `{helper}` failed: {}",
                [stderr.trim(), stdout.trim()].join(" ").trim()
            ),
        )),
        Err(error) => Err(failed(registry, &path, error.to_string())),
    }
}

fn configuration(environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        let value = environment.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    };
    let directory = set("DOCKER_CONFIG").or_else(|| {
        set("HOME")
            .or_else(|| set("USERPROFILE"))
            .map(|home| home.join(".docker"))
    })?;
    Some(directory.join("config.json"))
}

fn failed(registry: &str, path: &std::path::Path, reason: String) -> ImageError {
    ImageError::Credentials {
        registry: registry.to_owned(),
        place: path.display().to_string(),
        reason,
    }
}
