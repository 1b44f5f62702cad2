//! Fetches the files of [`package::fetched_tools`](crate::package::fetched_tools) from the registries that the user's own `uv`, `pip` and `npm` are
//! told to use, with the credentials that those have for them.
//!
//! Enters: a file by name, and the environment. Leaves: bytes that nobody has compared with anything yet. Refuses to show credentials. A
//! keyring is not asked: `uv` has to be there for that.

mod netrc;
mod npm;
mod python;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use url::Url;

use super::http_get::{Get, GetError, Got};
use crate::package::fetched_tools::{Archive, NotFetched, Registry};

/// The largest of the files, a Node for Windows, has 60 MB.
const LARGEST: usize = 256 * 1024 * 1024;

/// How long a registry that is busy is left alone before it is asked again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Fetches `archive`; `directory` is where the settings of a project are looked for.
///
/// # Errors
///
/// [`NotFetched`], with a reason that names the registry.
pub async fn fetch(
    archive: Archive,
    environment: &BTreeMap<OsString, OsString>,
    directory: &Path,
) -> Result<Vec<u8>, NotFetched> {
    match archive.registry {
        Registry::Python => python::fetch(&archive, environment, directory).await,
        Registry::Npm => npm::fetch(&archive, environment, directory).await,
    }
}

/// Asks once more, and again, where the registry says that it is busy.
pub(super) async fn ask(get: Get) -> Result<Got, GetError> {
    for pause in PAUSES {
        match get.clone().send().await {
            Err(GetError::Refused { status }) if is_busy(status) => {
                tokio::time::sleep(pause).await;
            }
            other => return other,
        }
    }
    get.send().await
}

fn is_busy(status: u16) -> bool {
    status == 429 || status >= 500
}

/// `address` did not give what was asked for.
pub(super) fn failed(address: &str, error: &GetError) -> NotFetched {
    NotFetched {
        reason: format!("`{}`: {error}", shown(address)),
        unreachable: match error {
            GetError::Unreachable(_) => true,
            GetError::Refused { status } => is_busy(*status),
            GetError::TooLarge { .. } => false,
        },
    }
}

/// An address without what may be a secret in it.
fn shown(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return "an address that is none".to_owned();
    };
    // Both fail only for addresses that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The header that shows a name and a password.
fn basic((user, password): &(String, String)) -> String {
    use base64::Engine;
    let both = format!("{user}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(both)
    )
}
