//! The bytes of an answer, in pieces, so that a large result is not copied on its way from the server to Lambda.
//!
//! Enters: text of the bridge's own, and the line that a server's result stands in. Leaves: the pieces in order. Refuses nothing.

use std::ops::Range;

use crate::json;

/// An answer's text: something before the server's part, that part, something behind it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    head: String,
    raw: Option<(Vec<u8>, Range<usize>)>,
    tail: String,
}

impl Body {
    /// Text of the bridge's own.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            head: text.into(),
            ..Self::default()
        }
    }

    /// The part `range` of a line that a server wrote.
    pub(crate) fn raw(line: Vec<u8>, range: Range<usize>) -> Self {
        Self {
            raw: Some((line, range)),
            ..Self::default()
        }
    }

    /// The same with something before and behind it.
    pub(crate) fn within(mut self, head: &str, tail: &str) -> Self {
        self.head.insert_str(0, head);
        match self.raw {
            Some(_) => self.tail.push_str(tail),
            None => self.head.push_str(tail),
        }
        self
    }

    /// The pieces, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let raw = self
            .raw
            .as_ref()
            .map_or([].as_slice(), |(line, range)| &line[range.clone()]);
        [self.head.as_bytes(), raw, self.tail.as_bytes()]
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Appends the text, escaped as the inside of a JSON string.
    pub(crate) fn write_escaped(&self, out: &mut String) {
        for part in self.parts() {
            // Cannot be replaced: the head is a String, and the server's line was read as JSON.
            json::escape(std::str::from_utf8(part).unwrap_or_default(), out);
        }
    }

    /// How many bytes [`Body::write_escaped`] appends.
    pub(crate) fn escaped_len(&self) -> usize {
        self.parts()
            .iter()
            // As in `write_escaped`.
            .map(|part| json::escaped_len(std::str::from_utf8(part).unwrap_or_default()))
            .sum()
    }

    /// Appends the text.
    pub(crate) fn write(&self, out: &mut String) {
        for part in self.parts() {
            // As in `write_escaped`.
            out.push_str(std::str::from_utf8(part).unwrap_or_default());
        }
    }

    /// Whether the text holds a raw line break, which JSON allows between tokens and a server-sent event does not.
    pub(crate) fn is_one_line(&self) -> bool {
        !self
            .parts()
            .iter()
            .any(|part| part.iter().any(|byte| matches!(byte, b'\n' | b'\r')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_part_is_wrapped_and_escaped_where_it_stands() {
        let line = br#"{"id":1,"result":{"a":"b\nc"}}"#.to_vec();
        let body = Body::raw(line, 17..29).within(r#"{"result":"#, "}");
        let mut out = String::new();
        body.write(&mut out);
        assert_eq!(out, r#"{"result":{"a":"b\nc"}}"#);
        assert_eq!(body.len(), out.len());
        let mut escaped = String::new();
        body.write_escaped(&mut escaped);
        assert_eq!(format!("\"{escaped}\""), json::quote(&out));
        assert_eq!(body.escaped_len(), escaped.len());
    }
}
