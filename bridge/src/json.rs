//! JSON objects cut into raw members: reads and edits the outermost level, and leaves every value's text as it was sent.
//!
//! Enters: JSON text. Leaves: the same text, member by member. Refuses: text that is not one JSON object. Numbers, key order and string escapes survive
//! untouched because nothing below the outermost level is ever parsed into values and written again.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one JSON object, in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A member's name, borrowed from the text unless it holds an escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    /// Cuts `text` into members; `None` when it is not exactly one JSON object in UTF-8.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The raw text of member `key`. Where a key was given twice the last one counts, as in most JSON readers.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_ref())
    }

    /// Like [`Object::get`], borrowed from the text that was parsed; `None` also for a member that was set since.
    pub(crate) fn get_borrowed(&self, key: &str) -> Option<&'a str> {
        match self.0.iter().rev().find(|(name, _)| name == key) {
            Some((_, Cow::Borrowed(value))) => Some(value),
            _ => None,
        }
    }

    /// Whether there is no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the members.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// The members: each one's name and raw text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Removes every member named `key`; says whether there was one.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| name != key);
        self.0.len() != before
    }

    /// Keeps the members whose name `keep` accepts.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Gives member `key` the raw JSON text `value`, in its old place or at the end.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        match self.0.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((Cow::Borrowed(key), value)),
        }
    }

    /// Gives each member for which `edit` returns a raw JSON text that text as its value; says whether there was one.
    pub(crate) fn edit(&mut self, mut edit: impl FnMut(&str, &str) -> Option<String>) -> bool {
        let mut edited = false;
        for (name, value) in &mut self.0 {
            if let Some(new) = edit(name, value) {
                *value = Cow::Owned(new);
                edited = true;
            }
        }
        edited
    }

    /// Appends the object's JSON text to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&quote(name));
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
    }

    /// The object's JSON text.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::with_capacity(
            self.0
                .iter()
                .map(|(name, value)| name.len() + value.len() + 4)
                .sum::<usize>()
                + 2,
        );
        self.write(&mut out);
        out
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    let value = map.next_value::<&'de RawValue>()?;
                    members.push((name.0, Cow::Borrowed(value.get())));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Whether `text` is one JSON value.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Whether [`Object::parse`] can read `text`, which is one JSON value. An object it cannot read has a member whose name is no text: half a surrogate pair,
/// which takes an escape to write.
pub(crate) fn is_object(text: &str) -> bool {
    text.starts_with('{') && (!text.contains('\\') || Object::parse(text.as_bytes()).is_some())
}

/// Cuts a JSON array into the raw texts of its elements; `None` when `text` is not an array.
pub(crate) fn elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// The value of a JSON string; `None` when `text` is no string.
pub(crate) fn string(text: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(text)
        .ok()
        .map(|text| text.0)
}

/// `text` as a JSON string literal.
pub(crate) fn quote(text: &str) -> String {
    // Cannot fail: strings serialise into memory.
    serde_json::to_string(text).unwrap_or_default()
}

/// Appends `text` to `out`, escaped as the inside of a JSON string literal. Runs that need no escape are copied at once: bodies are megabytes.
pub(crate) fn escape(text: &str, out: &mut String) {
    out.reserve(text.len() + text.len() / 16);
    let mut rest = text;
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        // The escaped byte is ASCII, so both ends are character boundaries.
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(control >> 4)]));
                out.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// How many bytes [`escape`] makes of `text`.
pub(crate) fn escaped_len(text: &str) -> usize {
    let mut length = text.len();
    let mut rest = text.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        length += match rest[at] {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
            _ => 5,
        };
        rest = &rest[at + 1..];
    }
    length
}

/// Where the first byte stands that a JSON string literal must not hold as it is. Looks at eight bytes at a time.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    // Marks bytes below `limit`, at most 128, by their highest bit. Above a byte that is marked others may be marked wrongly, but the lowest one is right.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH_BITS;
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let marked = below(word, 0x20) | quote | backslash;
        if marked != 0 {
            return Some(index * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    let to_escape = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    let found = rest.iter().position(to_escape)?;
    Some(words.len() * 8 + found)
}

/// Whether `text` is a JSON integer, digits only: JSON-RPC ids are strings or integers.
pub(crate) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_edited_keeps_its_text() {
        let text = br#"{ "a" : 1.0e400, "\u0062": [ 1 , 2 ], "c": "\ud83d\u0020" }"#;
        let object = Object::parse(text).expect("an object");
        assert_eq!(
            object.to_text(),
            r#"{"a":1.0e400,"b":[ 1 , 2 ],"c":"\ud83d\u0020"}"#
        );
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_both_are_removed() {
        let mut object = Object::parse(br#"{"a":1,"b":2,"a":3}"#).expect("an object");
        assert_eq!(object.get("a"), Some("3"));
        assert!(object.remove("a"));
        object.set("c", "null");
        assert_eq!(object.to_text(), r#"{"b":2,"c":null}"#);
    }

    #[test]
    fn an_object_is_one_whose_members_have_names() {
        for text in [
            "{}",
            r#"{"a":"\ud800"}"#,
            r#"{"\ud83d\ude00":{"\ud800":1}}"#,
        ] {
            assert!(is_object(text), "{text}");
        }
        for text in ["[]", "null", r#""{""#, r#"{"a":1,"\ud800":2}"#] {
            assert!(!is_object(text), "{text}");
        }
    }

    #[test]
    fn escaped_text_reads_back_as_it_was() {
        let text = "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}é\u{2028}😀";
        let mut out = String::from("\"");
        escape(text, &mut out);
        out.push('"');
        assert_eq!(string(&out).as_deref(), Some(text));
    }

    #[test]
    fn every_byte_is_escaped_wherever_it_stands_and_counted_rightly() {
        for special in (0..=0x7f_u8).map(char::from).chain(['é', '\u{80}', '😀']) {
            for at in 0..17 {
                let mut text = "é".repeat(at) + &"x".repeat(at);
                text.insert(text.len() - at, special);
                let mut out = String::new();
                escape(&text, &mut out);
                assert_eq!(escaped_len(&text), out.len(), "{special:?}");
                assert_eq!(
                    string(&format!("\"{out}\"")).as_deref(),
                    Some(text.as_str())
                );
            }
        }
    }

    #[test]
    fn only_one_whole_object_is_accepted() {
        for text in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "{} {}",
            "{\"a\":}",
            "\u{feff}{}",
        ] {
            assert!(Object::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_none());
    }
}
