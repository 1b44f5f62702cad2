//! Enters: a `$ref` and the schema it stands in. Leaves: what it names inside that schema. Refuses: everything outside it.

use serde_json::{Map, Value};
use thiserror::Error;

/// A `$ref` that names nothing inside the schema. External references must not be fetched (MCP 2026-07-28).
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "its schema refers to `{reference}`, which is not inside the schema; the server has to inline it"
)]
pub(super) struct Unresolvable {
    /// The reference as written.
    pub(super) reference: String,
}

/// What `reference` names inside `root`: a JSON pointer, an anchor, or a `$id` with either behind it.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    let document = match base {
        "" => root,
        base => search(root, &|map| {
            ["$id", "id"]
                .iter()
                .any(|key| map.get(*key).and_then(Value::as_str) == Some(base))
        })?,
    };
    if fragment.is_empty() {
        return Some(document);
    }
    let fragment = percent_decoded(fragment)?;
    if fragment.starts_with('/') {
        return document.pointer(&fragment);
    }
    search(document, &|map| {
        ["$anchor", "$dynamicAnchor"]
            .iter()
            .any(|key| map.get(*key).and_then(Value::as_str) == Some(fragment.as_str()))
    })
}

/// The first object inside `value`, itself included, that `wanted` accepts.
fn search<'a>(value: &'a Value, wanted: &dyn Fn(&Map<String, Value>) -> bool) -> Option<&'a Value> {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(map) if wanted(map) => return Some(value),
            Value::Object(map) => waiting.extend(map.values()),
            Value::Array(values) => waiting.extend(values),
            _ => {}
        }
    }
    None
}

/// A URI fragment with its `%XX` decoded; `None` when it is not valid UTF-8 then.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if *byte == b'%' => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
