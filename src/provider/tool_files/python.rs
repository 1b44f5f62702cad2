//! A wheel by its name, from the first of the user's indexes that has it.
//!
//! Source: Python packaging specifications, "Simple repository API", as JSON and as HTML.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use super::super::http_get::{Connections, Get, GetError, Got};
use super::{LARGEST, ask, basic, failed, netrc, shown};
use crate::package::fetched_tools::{Archive, NotFetched};
use crate::package::{PythonIndex, PythonIndexes};

const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// The page of a project that releases every week for years has a few megabytes.
const LARGEST_PAGE: usize = 64 * 1024 * 1024;

pub(super) async fn fetch(
    archive: &Archive,
    environment: &BTreeMap<OsString, OsString>,
    directory: &Path,
) -> Result<Vec<u8>, NotFetched> {
    let settings = PythonIndexes::read(environment, directory);
    if settings.offline {
        return Err(NotFetched {
            reason: "UV_OFFLINE says that no network is to be used".to_owned(),
            unreachable: true,
        });
    }
    let mut without = Vec::new();
    for index in &settings.indexes {
        let page = Page {
            settings: &settings,
            environment,
            index,
        };
        match page.file(archive).await? {
            Some(address) => {
                let got = page.get(&address, None, LARGEST).await;
                return got
                    .map(|got| got.bytes)
                    .map_err(|error| failed(&address, &error));
            }
            None => without.push(format!("`{}`", shown(&index.url))),
        }
    }
    Err(NotFetched {
        reason: format!("`{}` is not in {}", archive.file_name, without.join(", ")),
        unreachable: false,
    })
}

struct Page<'a> {
    settings: &'a PythonIndexes,
    environment: &'a BTreeMap<OsString, OsString>,
    index: &'a PythonIndex,
}

impl Page<'_> {
    /// The address of the file in this index; `None` when the index answers and does not have it.
    async fn file(&self, archive: &Archive) -> Result<Option<String>, NotFetched> {
        let address = format!(
            "{}/{}/",
            self.index.url.trim_end_matches('/'),
            archive.package
        );
        let page = match self.get(&address, Some(ACCEPT), LARGEST_PAGE).await {
            Ok(page) => page,
            Err(GetError::Refused { status: 404 }) => return Ok(None),
            Err(error) => return Err(failed(&address, &error)),
        };
        Ok(link(&page, &archive.file_name))
    }

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
            certificates: self.settings.certificates.iter().cloned().collect(),
            connections: Connections::default(),
        };
        ask(get).await
    }

    /// What the index's host is told, and no other.
    fn authorization(&self, address: &str) -> Option<String> {
        let (asked, index) = (Url::parse(address).ok()?, Url::parse(&self.index.url).ok()?);
        let own = self.index.credentials.as_ref();
        let own = own.filter(|_| asked.origin() == index.origin()).cloned();
        let found = own.or_else(|| netrc::find(self.environment, asked.host_str()?));
        found.as_ref().map(basic)
    }
}

/// The part of a project's page that is needed.
#[derive(Deserialize)]
struct Project {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
}

/// The absolute address of `file_name` on a page.
fn link(page: &Got, file_name: &str) -> Option<String> {
    let address = if page.content_type.contains("json") {
        let project: Project = serde_json::from_slice(&page.bytes).ok()?;
        let found = project
            .files
            .into_iter()
            .find(|file| file.filename == file_name);
        found?.url
    } else {
        let text = String::from_utf8_lossy(&page.bytes);
        hrefs(&text).find(|address| last_part(address) == file_name)?
    };
    page.address.join(&address).ok().map(String::from)
}

/// The targets of a page's links.
fn hrefs(html: &str) -> impl Iterator<Item = String> {
    html.split("href=").skip(1).filter_map(|rest| {
        let quote = rest
            .chars()
            .next()
            .filter(|quote| ['"', '\''].contains(quote))?;
        let (target, _) = rest[1..].split_once(quote)?;
        Some(target.replace("&amp;", "&"))
    })
}

/// The name of the file that an address leads to.
fn last_part(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or(address);
    let name = path.rsplit('/').next().unwrap_or(path);
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content_type: &str, text: &str) -> Got {
        Got {
            bytes: text.as_bytes().to_vec(),
            content_type: content_type.to_owned(),
            address: Url::parse("https://index.example/a/simple/uv/").expect("an address"),
        }
    }

    #[test]
    fn a_file_is_found_in_json_and_in_html_wherever_it_lies() {
        let json = r#"{"meta": {"api-version": "1.0"}, "files": [{"filename": "uv-1.tar.gz", "url": "x"}, {"filename": "uv-1.whl", "url": "../../f/uv-1.whl#sha256=0"}]}"#;
        let html = r#"<a class="x" href="https://files.example/b%2B/uv%2D1.whl?a=1&amp;b=2#sha256=00">uv-1.whl</a><a href='uv-2.whl'>uv-2.whl</a>"#;
        let json = page("application/vnd.pypi.simple.v1+json", json);
        let html = page("text/html; charset=utf-8", html);
        assert_eq!(
            link(&json, "uv-1.whl").as_deref(),
            Some("https://index.example/a/f/uv-1.whl#sha256=0")
        );
        assert_eq!(
            link(&html, "uv-1.whl").as_deref(),
            Some("https://files.example/b%2B/uv%2D1.whl?a=1&b=2#sha256=00")
        );
        assert_eq!(
            link(&html, "uv-2.whl").as_deref(),
            Some("https://index.example/a/simple/uv/uv-2.whl")
        );
        assert_eq!(
            (link(&json, "uv-2.whl"), link(&html, "uv-3.whl")),
            (None, None)
        );
    }
}
