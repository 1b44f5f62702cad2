//! What the package layer fetches without a tool, over HTTP: through the same proxies and certificates as everything else, over connections that
//! are kept for the next file.

use super::http_get::{Connections, Get};
use super::tool_files::{ask, failed};
use crate::package::{Answer, Download, Downloads, Wanted};

/// See the module's documentation.
#[must_use]
pub fn over_http() -> Downloads {
    Downloads::new(OverHttp::default())
}

#[derive(Default)]
struct OverHttp {
    connections: Connections,
}

impl Download for OverHttp {
    fn download(&self, wanted: Wanted) -> Answer<'_> {
        let get = Get {
            address: wanted.address,
            accept: None,
            authorization: wanted.authorization,
            limit: wanted.limit,
            certificates: wanted.certificates,
            connections: self.connections.clone(),
        };
        Box::pin(async move {
            let address = get.address.clone();
            let got = ask(get).await;
            got.map(|got| got.bytes)
                .map_err(|error| failed(&address, &error).reason)
        })
    }
}
