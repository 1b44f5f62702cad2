//! A tarball by package and version, from the user's npm registry.
//!
//! Source: npm's documentation of the registry API, "Package metadata"; `replace-registry-host` of its configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;

use super::super::http_get::{Connections, Get, GetError, Got};
use super::{LARGEST, ask, failed, shown};
use crate::package::NpmSettings;
use crate::package::fetched_tools::{Archive, NotFetched};

/// Without readmes.
const ACCEPT: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

const LARGEST_DOCUMENT: usize = 64 * 1024 * 1024;

/// Registries that are copies of it name its addresses; npm asks the copy nevertheless.
const NPMJS: &str = "registry.npmjs.org";

pub(super) async fn fetch(
    archive: &Archive,
    environment: &BTreeMap<OsString, OsString>,
    directory: &Path,
) -> Result<Vec<u8>, NotFetched> {
    let settings = NpmSettings::read(environment, directory);
    if settings.offline() {
        return Err(NotFetched {
            reason: "npm's setting `offline` says that no network is to be used".to_owned(),
            unreachable: true,
        });
    }
    let registry = Registry {
        url: settings.registry(),
        certificates: settings.certificates(),
        settings,
    };
    let document = format!("{}{}", registry.url, archive.package);
    let got = registry
        .get(&document, Some(ACCEPT), LARGEST_DOCUMENT)
        .await
        .map_err(|error| failed(&document, &error))?;
    let Some(tarball) = tarball(&got, &archive.version, &registry.url) else {
        return Err(NotFetched {
            reason: format!("`{}` has no version {}", shown(&document), archive.version),
            unreachable: false,
        });
    };
    let got = registry.get(&tarball, None, LARGEST).await;
    got.map(|got| got.bytes)
        .map_err(|error| failed(&tarball, &error))
}

struct Registry {
    url: String,
    settings: NpmSettings,
    certificates: Vec<PathBuf>,
}

impl Registry {
    async fn get(
        &self,
        address: &str,
        accept: Option<&'static str>,
        limit: usize,
    ) -> Result<Got, GetError> {
        let get = Get {
            address: address.to_owned(),
            accept,
            authorization: self.authorization(address),
            limit,
            certificates: self.certificates.clone(),
            connections: Connections::default(),
        };
        ask(get).await
    }

    /// What is configured for the address, else for the registry where that is on the same host.
    fn authorization(&self, address: &str) -> Option<String> {
        self.settings.authorization(address).or_else(|| {
            let (asked, own) = (Url::parse(address).ok()?, Url::parse(&self.url).ok()?);
            let same = asked.origin() == own.origin();
            same.then(|| self.settings.authorization(&self.url))?
        })
    }
}

/// The address of a version's tarball.
fn tarball(document: &Got, version: &str, registry: &str) -> Option<String> {
    let packument: Value = serde_json::from_slice(&document.bytes).ok()?;
    let address = packument["versions"][version]["dist"]["tarball"].as_str()?;
    let mut url = document.address.join(address).ok()?;
    let registry = Url::parse(registry).ok()?;
    if url.host_str() == Some(NPMJS) && registry.host_str() != Some(NPMJS) {
        // Fails only for addresses that can have none.
        url.set_scheme(registry.scheme()).ok()?;
        url.set_host(registry.host_str()).ok()?;
        url.set_port(registry.port()).ok()?;
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_public_registry_is_asked_itself() {
        let document = |tarball: &str| Got {
            bytes: format!(
                r#"{{"versions": {{"1.0.0": {{"dist": {{"tarball": "{tarball}"}}}}}}}}"#
            )
            .into_bytes(),
            content_type: String::new(),
            address: Url::parse("http://copy.example:8080/npm/a").expect("an address"),
        };
        let found = |address: &str, version: &str| {
            tarball(&document(address), version, "http://copy.example:8080/npm/")
        };
        assert_eq!(
            found("https://registry.npmjs.org/a/-/a-1.0.0.tgz", "1.0.0").as_deref(),
            Some("http://copy.example:8080/a/-/a-1.0.0.tgz")
        );
        assert_eq!(
            found("https://files.example/a-1.0.0.tgz", "1.0.0").as_deref(),
            Some("https://files.example/a-1.0.0.tgz")
        );
        assert_eq!(found("https://files.example/a-1.0.0.tgz", "2.0.0"), None);
    }
}
