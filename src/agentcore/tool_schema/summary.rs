//! Enters: a schema. Leaves: a few words for what it admits, to be named inside a sentence: `array of string`.
//! Refuses: detail; a summary is cut, and it does not follow arrays more than twice.

use super::choice::{DEEPEST_CHOICE, kinds};
use super::emit::Emitter;
use super::flatten::{Flat, Schema};
use super::kind::Kind;
use super::reference::Unresolvable;
use super::words;

impl<'a> Emitter<'a> {
    /// A few words for what `schema` admits: `array of string`.
    pub(super) fn summary(
        &mut self,
        schema: &Schema<'a>,
        level: usize,
    ) -> Result<String, Unresolvable> {
        let flat = self.flattener.flatten(schema)?;
        let flat = self.settle(flat, false, DEEPEST_CHOICE - 2)?;
        self.summary_of(&flat, level)
    }

    pub(super) fn summary_of(
        &mut self,
        flat: &Flat<'a>,
        level: usize,
    ) -> Result<String, Unresolvable> {
        if flat.impossible {
            return Ok("nothing".to_owned());
        }
        let kinds = kinds(flat);
        let mut parts = Vec::new();
        for kind in &kinds {
            let mut part = kind.name().to_owned();
            if let (Kind::Array, Some(items), true) = (kind, &flat.items, level < 2) {
                part = format!("array of {}", self.summary(items, level + 1)?);
            }
            if *kind == Kind::Object && !flat.properties.is_empty() {
                part = format!(
                    "object {}",
                    keys(flat.properties.iter().map(|(name, _)| *name))
                );
            }
            let constraints = words::sentences(flat, *kind, true);
            if !constraints.is_empty() && !matches!(kind, Kind::Object | Kind::Null) {
                let constraints: Vec<&str> = constraints
                    .iter()
                    .map(|text| text.trim_end_matches('.'))
                    .collect();
                part = format!("{part} ({})", constraints.join("; "));
            }
            parts.push(part);
        }
        if kinds.is_empty() {
            parts.push("any JSON value".to_owned());
        } else if flat.nullable && !kinds.contains(&Kind::Null) {
            parts.push("null".to_owned());
        }
        Ok(words::shorten(&parts.join(" or ")))
    }
}

/// `{first, second}`.
pub(super) fn keys<'k>(names: impl Iterator<Item = &'k str>) -> String {
    format!("{{{}}}", words::list(names.map(words::shorten)))
}
