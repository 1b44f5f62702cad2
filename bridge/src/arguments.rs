//! Arguments that came as JSON text because a gateway's schema could not say their type, turned back. Pure: text in, text out.
//!
//! Enters: a tool's own `inputSchema` and the arguments of a call by AgentCore Gateway. Leaves: the same arguments, in which each string that the schema does
//! not admit, and whose text is JSON that it does admit, is replaced by that text. Refuses to touch a string where one is admitted, and to guess: text that is
//! no JSON, or JSON of a type that is not admitted either, stays the string it was, and the server says what it thinks of it.
//!
//! A gateway knows six types and no unions, so the provider says `string` for what is none of the six: `null` alone, a schema that admits any type, and what
//! nests too deeply to be told. It also says one type of a union, and models send JSON text now and then where they were told otherwise. Of these:
//!
//! - Where the schema admits strings beside other types, a string is passed on as it is: `"5"` for a string or integer may be meant.
//! - So it is where the schema says nothing of the type (`true`, `{}`, a description alone). Any value may stand there, a string too, and servers leave the type
//!   out where they mean text: a file's content that happens to be JSON must arrive as it was written. The provider tells such a place as "any JSON value" and
//!   does not ask for JSON text.
//! - `enum` and `const` count by value: with `["auto", 1]`, `"auto"` is admitted, and `"1"` is turned into `1`.
//!
//! Where a string is turned into an object or an array, what is in it is looked at in the same way.

use serde_json::Value;

use crate::json::{self, Object};
use crate::schema::{Node, Raw, Reader, Step, json_text};

/// Objects and arrays inside each other, before the rest is passed on as it is.
const DEEPEST: usize = 64;

/// Whether `arguments` hold a string whose text could be JSON of another type. Cheap, and may say yes in vain: then the schema decides.
pub(crate) fn may_need(arguments: &str) -> bool {
    let bytes = arguments.as_bytes();
    let mut at = 0;
    while let Some(open) = find_quote(bytes, at) {
        let Some(close) = end_of_string(bytes, open + 1) else {
            return false;
        };
        at = close + 1;
        // A member's name is followed by a colon.
        let is_name = bytes[at..]
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| *byte == b':');
        if !is_name && looks_like_json(&bytes[open + 1..close]) {
            return true;
        }
    }
    false
}

/// The arguments as the tool's `schema` wants them; `None` when they are so already, or the schema cannot be read.
pub(crate) fn typed(schema: &str, arguments: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let reader = Reader::new(&schema);
    retyped(&reader, &reader.root(), arguments, 0)
}

/// `text` as `node` wants it; `None` when it is so already.
fn retyped<'s>(reader: &Reader<'s>, node: &Node<'s>, text: &str, depth: usize) -> Option<String> {
    if depth > DEEPEST || matches!(node, Node::Anything) || !may_need(text) {
        return None;
    }
    let raw = Raw::new(text);
    if raw.is_string() {
        let inner = json_text(text.trim())?;
        if reader.admits(node, raw) || !reader.admits(node, Raw::new(&inner)) {
            return None;
        }
        return Some(retyped(reader, node, &inner, depth + 1).unwrap_or(inner));
    }
    if let Some(items) = json::elements(text) {
        let edited: Vec<Option<String>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let place = reader.below(node, Step::Item(index), &[]);
                retyped(reader, &place, item, depth + 1)
            })
            .collect();
        if edited.iter().all(Option::is_none) {
            return None;
        }
        let texts: Vec<&str> = items
            .iter()
            .zip(&edited)
            .map(|(old, new)| new.as_deref().unwrap_or(old))
            .collect();
        return Some(format!("[{}]", texts.join(",")));
    }
    let whole = Object::parse(text.as_bytes())?;
    let members: Vec<(&str, &str)> = whole.members().collect();
    let mut object = Object::parse(text.as_bytes())?;
    let edited = object.edit(|name, value| {
        // Asked before the place is looked for, which costs more.
        if !may_need(value) {
            return None;
        }
        let place = reader.below(node, Step::Member(name), &members);
        retyped(reader, &place, value, depth + 1)
    });
    edited.then(|| object.to_text())
}

fn find_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    // SAFETY: the range is the slice's own; libc's search looks at many bytes at a time, which counts in arguments of megabytes.
    let found = unsafe { libc::memchr(rest.as_ptr().cast(), i32::from(b'"'), rest.len()) };
    (!found.is_null()).then(|| from + (found as usize - rest.as_ptr() as usize))
}

/// Where the string that begins at `from` is closed: at a quote behind an even number of backslashes.
fn end_of_string(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let quote = find_quote(bytes, at)?;
        let escapes = bytes[from..quote]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        if escapes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Whether the raw inside of a string begins and ends as JSON that is no string does, white space around it left out.
fn looks_like_json(inside: &[u8]) -> bool {
    const ESCAPED: [&[u8]; 3] = [b"\\n", b"\\t", b"\\r"];
    let mut text = inside.trim_ascii();
    while let Some(rest) = ESCAPED.iter().find_map(|space| text.strip_prefix(*space)) {
        text = rest.trim_ascii_start();
    }
    while let Some(rest) = ESCAPED.iter().find_map(|space| text.strip_suffix(*space)) {
        text = rest.trim_ascii_end();
    }
    match (text.first(), text.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => true,
        (Some(b't' | b'f' | b'n'), _) => matches!(text, b"true" | b"false" | b"null"),
        (Some(b'-' | b'0'..=b'9'), _) => text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of the argument `a`, whose schema is `schema`.
    fn becomes(schema: &str, value: &str) -> String {
        let schema = format!(r#"{{"type":"object","properties":{{"a":{schema}}}}}"#);
        let arguments = format!(r#"{{"a":{value}}}"#);
        let text = typed(&schema, &arguments).unwrap_or(arguments);
        text.strip_prefix(r#"{"a":"#)
            .and_then(|text| text.strip_suffix('}'))
            .expect("one argument")
            .to_owned()
    }

    #[track_caller]
    fn check(schema: &str, pairs: &[(&str, &str)]) {
        for (value, expected) in pairs {
            assert_eq!(becomes(schema, value), *expected, "{value} for {schema}");
        }
    }

    #[track_caller]
    fn unchanged(schema: &str, values: &[&str]) {
        for value in values {
            assert_eq!(becomes(schema, value), *value, "for {schema}");
        }
    }

    /// Every JSON type as JSON text.
    const TEXTS: [&str; 7] = [
        r#""5""#,
        r#""1.5""#,
        r#""true""#,
        r#""null""#,
        r#""[1]""#,
        r#""{\"b\":1}""#,
        r#""word""#,
    ];

    #[test]
    fn text_of_an_admitted_type_is_turned_back_and_other_text_is_not() {
        check(
            r#"{"type":"integer"}"#,
            &[
                (r#""5""#, "5"),
                (r#"" -5 ""#, "-5"),
                (r#""5.0""#, "5.0"),
                (r#""1e3""#, "1e3"),
            ],
        );
        unchanged(
            r#"{"type":"integer"}"#,
            &[
                "5",
                r#""5.5""#,
                r#""true""#,
                r#""0x5""#,
                r#""05""#,
                r#""5 6""#,
                r#""""#,
                r#""\"5\"""#,
            ],
        );
        check(
            r#"{"type":"number"}"#,
            &[
                (r#""1.0e400""#, "1.0e400"),
                (r#""12345678901234567890""#, "12345678901234567890"),
            ],
        );
        check(
            r#"{"type":"boolean"}"#,
            &[(r#""true""#, "true"), (r#""false""#, "false")],
        );
        unchanged(
            r#"{"type":"boolean"}"#,
            &[r#""True""#, r#""1""#, r#""yes""#],
        );
        check(r#"{"type":"null"}"#, &[(r#""null""#, "null")]);
        check(
            r#"{"type":"array"}"#,
            &[(r#""[1, \"a\"]""#, r#"[1, "a"]"#), (r#""\n[]\t""#, "[]")],
        );
        check(
            r#"{"type":"object"}"#,
            &[(r#""{\"b\": 1.0}""#, r#"{"b": 1.0}"#)],
        );
        unchanged(
            r#"{"type":"object"}"#,
            &[r#""[1]""#, r#""{b:1}""#, r#""{} {}""#],
        );
    }

    #[test]
    fn a_string_that_is_admitted_is_never_touched() {
        for schema in [
            "true",
            "{}",
            r#"{"description":"text"}"#,
            r#"{"type":"string"}"#,
            r#"{"type":["string","integer","object"]}"#,
            r#"{"type":["string","null"]}"#,
            r#"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#,
            r#"{"oneOf":[{"type":"object"},{"type":"string","format":"date"}]}"#,
            r#"{"pattern":"^[0-9]+$"}"#,
            r#"{"minimum":1}"#,
            r#"{"not":{"enum":["x"]}}"#,
            r#"{"type":"no such type"}"#,
            r##"{"$ref":"#/$defs/nowhere"}"##,
            r#"{"$ref":"https://example.com/schema"}"#,
            r#"{"if":{"type":"string"},"then":false}"#,
        ] {
            unchanged(schema, &TEXTS);
        }
        unchanged("false", &TEXTS);
    }

    #[test]
    fn a_missing_description_of_the_arguments_admits_everything() {
        for schema in [
            "{}",
            "true",
            r#"{"type":"object"}"#,
            r#"{"properties":{}}"#,
            "[]",
            "not JSON",
        ] {
            assert_eq!(typed(schema, r#"{"a":"5"}"#), None, "{schema}");
        }
    }

    #[test]
    fn optional_types_and_lists_of_types_take_their_text() {
        for schema in [
            r#"{"type":["integer","null"]}"#,
            r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#,
            r#"{"type":"integer","nullable":true}"#,
            r#"{"allOf":[{"type":["integer","string","null"]},{"not":{"type":"string"}}]}"#,
        ] {
            check(schema, &[(r#""5""#, "5"), (r#""null""#, "null")]);
            unchanged(schema, &[r#""true""#]);
        }
        check(
            r#"{"type":["boolean","array"]}"#,
            &[(r#""true""#, "true"), (r#""[]""#, "[]")],
        );
    }

    #[test]
    fn values_that_are_listed_count_each_by_itself() {
        let schema = r#"{"enum":["auto",1,null,"2",{"k":[1]}]}"#;
        check(
            schema,
            &[
                (r#""1""#, "1"),
                (r#""1.0""#, "1.0"),
                (r#""null""#, "null"),
                (r#""{\"k\": [1]}""#, r#"{"k": [1]}"#),
            ],
        );
        unchanged(
            schema,
            &[r#""auto""#, r#""2""#, r#""3""#, r#""{\"k\":[2]}""#],
        );
        check(r#"{"const":true}"#, &[(r#""true""#, "true")]);
        unchanged(r#"{"const":true}"#, &[r#""false""#]);
        check(
            r#"{"anyOf":[{"enum":["auto"]},{"type":"integer"}]}"#,
            &[(r#""7""#, "7"), (r#""auto""#, r#""auto""#)],
        );
    }

    #[test]
    fn every_depth_is_reached() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string"}},"additionalProperties":{"type":"array","items":{"type":"number"}}}"#;
        check(
            schema,
            &[
                (
                    r#"{"n":"1","s":"1","x":["1", 2]}"#,
                    r#"{"n":1,"s":"1","x":[1,2]}"#,
                ),
                (r#"{"x":"[\"1\", 2]"}"#, r#"{"x":[1,2]}"#),
                (r#""{\"n\":\"1\",\"s\":\"1\"}""#, r#"{"n":1,"s":"1"}"#),
            ],
        );
        unchanged(schema, &[r#"{"n":1,"s":"2","x":[1.0]}"#]);
        check(
            r#"{"items":[{"type":"integer"},{"type":"string"}],"additionalItems":{"type":"boolean"}}"#,
            &[(r#"["1","1","true"]"#, r#"[1,"1",true]"#)],
        );
        check(
            r#"{"prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"boolean"}}"#,
            &[(r#"["1","1","true"]"#, r#"[1,"1",true]"#)],
        );
        check(
            r#"{"patternProperties":{"^(.*)$":{"type":"integer"}}}"#,
            &[(r#"{"k":"1"}"#, r#"{"k":1}"#)],
        );
        check(
            r#"{"patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":false}"#,
            &[(r#"{"n_k":"1"}"#, r#"{"n_k":1}"#)],
        );
        unchanged(
            r#"{"patternProperties":{"^n_":{"type":"integer"}}}"#,
            &[r#"{"n_k":"1"}"#],
        );
        unchanged(
            r#"{"patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":{"type":"string"}}"#,
            &[r#"{"k":"1"}"#],
        );
    }

    #[test]
    fn references_are_followed_round_and_round() {
        let schema = r##"{"type":"object","properties":{"tree":{"$ref":"#/$defs/node"},"odd":{"$ref":"#/$defs/a~1b%20c"},"named":{"$ref":"#id"},"self":{"$ref":"#/$defs/self"}},
            "$defs":{"node":{"type":"object","properties":{"n":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}},"root":{"$ref":"#"}}},
            "a/b c":{"type":"boolean"},"x":{"$anchor":"id","type":"null"},"self":{"$ref":"#/$defs/self"}}}"##;
        let arguments = r#"{"tree":{"n":"1","children":[{"n":"2","children":"[{\"n\":\"3\"}]","root":{"tree":"{}"}}]},"odd":"true","named":"null","self":"1"}"#;
        assert_eq!(
            typed(schema, arguments).as_deref(),
            Some(
                r#"{"tree":{"n":1,"children":[{"n":2,"children":[{"n":3}],"root":{"tree":{}}}]},"odd":true,"named":null,"self":"1"}"#
            )
        );
    }

    #[test]
    fn what_stands_beside_a_reference_counts_as_the_dialect_says() {
        let schema = |dialect: &str| {
            format!(
                r##"{{"$schema":"{dialect}","type":"object","properties":{{"a":{{"$ref":"#/definitions/any","type":"integer"}}}},"definitions":{{"any":{{}}}}}}"##
            )
        };
        let arguments = r#"{"a":"1"}"#;
        assert_eq!(
            typed(
                &schema("https://json-schema.org/draft/2020-12/schema"),
                arguments
            )
            .as_deref(),
            Some(r#"{"a":1}"#)
        );
        assert_eq!(
            typed(
                &schema("http://json-schema.org/draft-07/schema#"),
                arguments
            ),
            None
        );
    }

    #[test]
    fn the_other_members_tell_which_branch_of_a_choice_it_is() {
        let schema = concat!(
            r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"count"},"value":{"type":"integer"}},"required":["kind","value"]},"#,
            r#"{"type":"object","properties":{"kind":{"const":"word"},"value":{"type":"string"}},"required":["kind","value"]},"#,
            r#"{"type":"object","properties":{"list":{"type":"array","items":{"type":"integer"}}},"required":["list"]}]}"#
        );
        check(
            schema,
            &[
                (
                    r#"{"kind":"count","value":"5"}"#,
                    r#"{"kind":"count","value":5}"#,
                ),
                (r#"{"list":"[1]"}"#, r#"{"list":[1]}"#),
                (
                    r#""{\"kind\":\"count\",\"value\":\"5\"}""#,
                    r#"{"kind":"count","value":5}"#,
                ),
            ],
        );
        unchanged(
            schema,
            &[
                r#"{"kind":"word","value":"5"}"#,
                r#"{"kind":"else","value":"5"}"#,
                r#"{"value":"5"}"#,
            ],
        );
        // Two forms that nothing tells apart: a string may be meant.
        unchanged(
            r#"{"anyOf":[{"properties":{"v":{"type":"integer"}}},{"properties":{"v":{"type":"string"}}}]}"#,
            &[r#"{"v":"5"}"#],
        );
    }

    #[test]
    fn all_parts_of_an_all_of_count() {
        check(
            r#"{"allOf":[{"properties":{"b":{"type":["integer","string"]}}},{"properties":{"b":{"type":["integer","boolean"]}}}]}"#,
            &[
                (r#"{"b":"5"}"#, r#"{"b":5}"#),
                (r#"{"b":"true"}"#, r#"{"b":"true"}"#),
            ],
        );
    }

    #[test]
    fn schemas_and_arguments_without_an_end_are_given_up_without_harm() {
        // Each level refers to the next one twice: 2^40 ways.
        let definitions: Vec<String> = (0..40)
            .map(|level| format!(r##""d{level}":{{"anyOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, level + 1))
            .collect();
        let schema = format!(
            r##"{{"properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{},"d40":{{"type":"integer"}}}}}}"##,
            definitions.join(",")
        );
        assert_eq!(typed(&schema, r#"{"a":"word"}"#), None);
        let deep = format!(r#"{{"a":{}"5"{}}}"#, "[".repeat(100), "]".repeat(100));
        let schema = r##"{"properties":{"a":{"$ref":"#/$defs/l"}},"$defs":{"l":{"anyOf":[{"type":"integer"},{"type":"array","items":{"$ref":"#/$defs/l"}}]}}}"##;
        assert_eq!(typed(schema, &deep), None);
        let shallow = deep
            .replace(&"[".repeat(100), "[[[")
            .replace(&"]".repeat(100), "]]]");
        assert_eq!(typed(schema, &shallow).as_deref(), Some(r#"{"a":[[[5]]]}"#));
    }

    #[test]
    fn only_strings_that_could_be_json_are_worth_a_look() {
        for arguments in [
            "{}",
            r#"{"5":"word","true" : "no","n":5,"b":true,"o":{"k":[]}}"#,
            r#"{"a":"null and void","b":"[draft","c":"{","d":"12:30","e":"","f":"tru\"e","g":"C:\\5","h":"\\"}"#,
            r#"{"a":"5"#,
        ] {
            assert!(!may_need(arguments), "{arguments}");
        }
        for arguments in [
            r#"{"a":"5"}"#,
            r#"{"a":["x","-1.5e3"]}"#,
            r#"{"a":{"b\\":{"c" : "null"}}}"#,
            r#"{"a":"\n {\"b\":1}\r\n"}"#,
            r#"{"a":"[]","b":1}"#,
        ] {
            assert!(may_need(arguments), "{arguments}");
        }
    }
}
