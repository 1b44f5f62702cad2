//! A package's bill of materials: what a lock pins, in, and a CycloneDX document out. Pure.
//!
//! Same lock, same text: no serial number, no time, no tool. Source: CycloneDX 1.6 (ECMA-424), JSON; package URL
//! specification (ECMA-427), types `pypi` and `npm`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::Lock;

/// The document's name in the zip, as tools look for it.
pub(crate) const NAME: &str = "mcplambda.cdx.json";

/// What a package URL need not escape in a name or a version.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One package that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// The type of its package URL: `pypi`.
    pub(crate) ecosystem: &'static str,
    pub(crate) name: String,
    pub(crate) version: String,
    /// CycloneDX's name of the algorithm and the digest in hexadecimal, where the lock admits one file only.
    pub(crate) hash: Option<(&'static str, String)>,
}

impl Component {
    /// `pkg:pypi/mcp@1.2.3`.
    fn purl(&self) -> String {
        let escaped = |text| utf8_percent_encode(text, ESCAPED).to_string();
        // A scope is a namespace, and the slash behind it is none of its characters.
        let name = self.name.split('/').map(escaped).collect::<Vec<_>>();
        format!(
            "pkg:{}/{}@{}",
            self.ecosystem,
            name.join("/"),
            escaped(&self.version)
        )
    }

    fn document(&self) -> Value {
        let purl = self.purl();
        let mut component = Map::new();
        component.insert("type".to_owned(), "library".into());
        component.insert("bom-ref".to_owned(), purl.as_str().into());
        component.insert("name".to_owned(), self.name.as_str().into());
        component.insert("version".to_owned(), self.version.as_str().into());
        if let Some((algorithm, digest)) = &self.hash {
            let hashes = json!([{"alg": algorithm, "content": digest}]);
            component.insert("hashes".to_owned(), hashes);
        }
        component.insert("purl".to_owned(), purl.into());
        component.into()
    }
}

/// The document for everything that `lock` pins, compact, sorted by package URL.
pub(crate) fn document(lock: &Lock) -> String {
    let mut components = lock.components();
    components.sort_by_key(Component::purl);
    // npm may install one release in several places.
    components.dedup();
    let components: Vec<Value> = components.iter().map(Component::document).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": components,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_lock_pins_is_listed() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let lock: Lock = format!("Zope.Interface==1!2.0+cpu --hash=sha256:{one}\nanyio==4.9.0 --hash=sha256:{one} --hash=sha256:{two}\n")
            .parse()
            .expect("a lock");
        assert_eq!(
            document(&lock),
            format!(
                r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{{"type":"library","bom-ref":"pkg:pypi/anyio@4.9.0","name":"anyio","version":"4.9.0","purl":"pkg:pypi/anyio@4.9.0"}},{{"type":"library","bom-ref":"pkg:pypi/zope-interface@1%212.0%2Bcpu","name":"zope-interface","version":"1!2.0+cpu","hashes":[{{"alg":"SHA-256","content":"{one}"}}],"purl":"pkg:pypi/zope-interface@1%212.0%2Bcpu"}}]}}"#
            )
        );
    }

    #[test]
    fn a_scope_is_the_namespace_of_a_package_url() {
        let component = Component {
            ecosystem: "npm",
            name: "@scope/name".to_owned(),
            version: "1.0.0-rc.1".to_owned(),
            hash: None,
        };
        assert_eq!(component.purl(), "pkg:npm/%40scope/name@1.0.0-rc.1");
    }
}
