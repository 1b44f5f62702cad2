//! What a JSON Schema admits, as far as that decides whether a string was meant as JSON text. Pure.
//!
//! Enters: a tool's `inputSchema`. Leaves: whether a value may stand in a place, and the schema of the places below it. Refuses to deny in doubt: keywords that
//! say nothing about types (`pattern`, `format`, `minimum`, `if`, `then`) admit everything, as do references that lead nowhere and schemas that nest too deeply
//! or are looked at for too long. So "not admitted" is certain, and "admitted" is not. Understood are `type`, `enum`, `const`, `$ref` (with cycles), `allOf`,
//! `anyOf`, `oneOf`, simple `not`, boolean schemas, OpenAPI's `nullable`, and below them properties, map values, items and tuples, of draft-07 too.
//!
//! Of the branches of a choice only those count that the object's other members leave open: where `{"kind": "a"}` rules a branch out, what that branch would
//! admit elsewhere is no longer admitted.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::json;

/// Schemas looked at for one call, before everything counts as admitted; real calls need tens to hundreds, and this many take some milliseconds.
const ALLOWANCE: usize = 100_000;
/// References, choices and merges that follow each other without a step down, before everything counts as admitted.
const LONGEST_CHAIN: usize = 64;
/// Patterns of `patternProperties` that match every key.
const EVERY_KEY: [&str; 5] = ["", ".*", "^.*$", "^(.*)$", "^.*"];

/// The schema of one place: as written, or joined from several.
#[derive(Debug, Clone)]
pub(crate) enum Node<'s> {
    Anything,
    Nothing,
    Written(&'s Map<String, Value>),
    /// All of them hold.
    All(Vec<Node<'s>>),
    /// At least one of them holds.
    One(Vec<Node<'s>>),
}

/// JSON's types; an integer is a number whose fraction is nought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// A value as raw JSON text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'v> {
    kind: Kind,
    text: &'v str,
}

/// The way one step down: a member of an object, or an item of an array.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'k> {
    Member(&'k str),
    Item(usize),
}

/// The members of the object that a step leads into, raw.
pub(crate) type Members<'v> = [(&'v str, &'v str)];

/// Looks into the schema of one tool.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    root: &'s Value,
    /// Draft-07 and older: what stands beside `$ref` is ignored.
    reference_stands_alone: bool,
    left: Cell<usize>,
}

impl<'v> Raw<'v> {
    /// `text` must be one valid JSON value.
    pub(crate) fn new(text: &'v str) -> Self {
        let text = text.trim();
        let kind = match text.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            _ if json::is_integer(text) => Kind::Integer,
            _ if text.parse().is_ok_and(|number: f64| number.fract() == 0.0) => Kind::Integer,
            _ => Kind::Number,
        };
        Self { kind, text }
    }

    /// Whether it is a string.
    pub(crate) fn is_string(self) -> bool {
        self.kind == Kind::String
    }

    fn is_scalar(self) -> bool {
        !matches!(self.kind, Kind::Array | Kind::Object)
    }

    /// Whether it is the same value as `value`; 1 and 1.0 are.
    fn equals(self, value: &Value) -> bool {
        let Ok(own) = serde_json::from_str::<Value>(self.text) else {
            return false;
        };
        own == *value || (own.is_number() && own.as_f64() == value.as_f64())
    }
}

/// A schema as written: anything but an object and `false` says nothing.
fn written(value: &Value) -> Node<'_> {
    match value {
        Value::Bool(false) => Node::Nothing,
        Value::Object(map) if !map.is_empty() => Node::Written(map),
        _ => Node::Anything,
    }
}

/// The schemas of an `anyOf`, `oneOf` or `allOf`.
fn branches<'s>(map: &'s Map<String, Value>, keyword: &str) -> Option<&'s [Value]> {
    map.get(keyword)?
        .as_array()
        .map(Vec::as_slice)
        .filter(|branches| !branches.is_empty())
}

impl<'s> Reader<'s> {
    /// Reads the schema `root`.
    pub(crate) fn new(root: &'s Value) -> Self {
        let dialect = root["$schema"].as_str().unwrap_or_default();
        let old = ["draft-03", "draft-04", "draft-06", "draft-07"];
        Self {
            root,
            reference_stands_alone: old.iter().any(|draft| dialect.contains(draft)),
            left: Cell::new(ALLOWANCE),
        }
    }

    /// The whole schema.
    pub(crate) fn root(&self) -> Node<'s> {
        written(self.root)
    }

    /// Whether `value` may stand where `node` does.
    pub(crate) fn admits(&self, node: &Node<'s>, value: Raw<'_>) -> bool {
        self.admits_chained(node, value, 0)
    }

    fn admits_chained(&self, node: &Node<'s>, value: Raw<'_>, chain: usize) -> bool {
        if !self.charge(chain) {
            return true;
        }
        let chain = chain + 1;
        match node {
            Node::Anything => true,
            Node::Nothing => false,
            Node::Written(map) => self.object_admits(map, value, chain),
            Node::All(parts) => parts
                .iter()
                .all(|part| self.admits_chained(part, value, chain)),
            Node::One(parts) => parts
                .iter()
                .any(|part| self.admits_chained(part, value, chain)),
        }
    }

    fn object_admits(&self, map: &'s Map<String, Value>, value: Raw<'_>, chain: usize) -> bool {
        let reference = reference(map);
        if let Some(target) = reference.and_then(|name| self.resolve(name))
            && !self.admits_chained(&target, value, chain)
        {
            return false;
        }
        if reference.is_some() && self.reference_stands_alone {
            return true;
        }
        let all = |keyword| branches(map, keyword).into_iter().flatten().map(written);
        type_admits(map, value.kind)
            && map.get("const").is_none_or(|only| value.equals(only))
            && map
                .get("enum")
                .and_then(Value::as_array)
                .is_none_or(|values| values.iter().any(|allowed| value.equals(allowed)))
            && !map
                .get("not")
                .is_some_and(|schema| rules_out(schema, value.kind))
            && all("allOf").all(|part| self.admits_chained(&part, value, chain))
            && ["anyOf", "oneOf"].into_iter().all(|keyword| {
                branches(map, keyword).is_none()
                    || all(keyword).any(|branch| self.admits_chained(&branch, value, chain))
            })
    }

    /// The schema one step below `node`, in an object with these `members` (none for an array).
    pub(crate) fn below(&self, node: &Node<'s>, step: Step<'_>, members: &Members<'_>) -> Node<'s> {
        self.below_chained(node, step, Some(members), 0)
    }

    /// Without `members`, every branch of a choice counts.
    fn below_chained(
        &self,
        node: &Node<'s>,
        step: Step<'_>,
        members: Option<&Members<'_>>,
        chain: usize,
    ) -> Node<'s> {
        if !self.charge(chain) {
            return Node::Anything;
        }
        let chain = chain + 1;
        let down = |part: &Node<'s>| self.below_chained(part, step, members, chain);
        match node {
            Node::Anything => Node::Anything,
            Node::Nothing => Node::Nothing,
            Node::All(parts) => Node::All(parts.iter().map(down).collect()),
            Node::One(parts) => Node::One(
                parts
                    .iter()
                    .filter(|part| self.is_open(part, step, members, chain))
                    .map(down)
                    .collect(),
            ),
            Node::Written(map) => {
                let reference = reference(map);
                let mut parts: Vec<Node<'s>> = reference
                    .map(|name| self.resolve(name).unwrap_or(Node::Anything))
                    .iter()
                    .map(down)
                    .collect();
                if reference.is_none() || !self.reference_stands_alone {
                    parts.push(match step {
                        Step::Member(name) => member(map, name),
                        Step::Item(index) => item(map, index),
                    });
                    for part in branches(map, "allOf").into_iter().flatten() {
                        parts.push(down(&written(part)));
                    }
                    for keyword in ["anyOf", "oneOf"] {
                        if let Some(choices) = branches(map, keyword) {
                            parts.push(down(&Node::One(choices.iter().map(written).collect())));
                        }
                    }
                }
                parts.retain(|part| !matches!(part, Node::Anything));
                match <[Node<'s>; 1]>::try_from(parts) {
                    Ok([only]) => only,
                    Err(parts) if parts.is_empty() => Node::Anything,
                    Err(parts) => Node::All(parts),
                }
            }
        }
    }

    /// Whether a branch of a choice can be the one that holds for the value that `step` leads into.
    fn is_open(
        &self,
        branch: &Node<'s>,
        step: Step<'_>,
        members: Option<&Members<'_>>,
        chain: usize,
    ) -> bool {
        let whole = match step {
            Step::Member(_) => "{}",
            Step::Item(_) => "[]",
        };
        // Its kind only: `const` and `enum` of objects are rare, and denied below by nothing.
        if !self.kind_admitted(branch, Raw::new(whole), chain) {
            return false;
        }
        let (Step::Member(_), Some(members)) = (step, members) else {
            return true;
        };
        if !self.has_required(branch, members, chain) {
            return false;
        }
        members.iter().all(|(name, value)| {
            let value = Raw::new(value);
            if !value.is_scalar() {
                return true;
            }
            let place = self.below_chained(branch, Step::Member(name), None, chain + 1);
            self.admits_chained(&place, value, chain + 1)
                || json_text(value.text)
                    .is_some_and(|text| self.admits_chained(&place, Raw::new(&text), chain + 1))
        })
    }

    /// Like [`Reader::admits`] by `type` alone.
    fn kind_admitted(&self, node: &Node<'s>, value: Raw<'_>, chain: usize) -> bool {
        if !self.charge(chain) {
            return true;
        }
        let chain = chain + 1;
        match node {
            Node::Anything => true,
            Node::Nothing => false,
            Node::All(parts) => parts
                .iter()
                .all(|part| self.kind_admitted(part, value, chain)),
            Node::One(parts) => parts
                .iter()
                .any(|part| self.kind_admitted(part, value, chain)),
            Node::Written(map) => {
                let target = reference(map).and_then(|name| self.resolve(name));
                let alone = reference(map).is_some() && self.reference_stands_alone;
                target.is_none_or(|target| self.kind_admitted(&target, value, chain))
                    && (alone || type_admits(map, value.kind))
            }
        }
    }

    /// Whether all that `node` itself, its references and its `allOf` require is among `members`.
    fn has_required(&self, node: &Node<'s>, members: &Members<'_>, chain: usize) -> bool {
        if !self.charge(chain) {
            return true;
        }
        let chain = chain + 1;
        match node {
            Node::Anything | Node::Nothing => true,
            Node::All(parts) => parts
                .iter()
                .all(|part| self.has_required(part, members, chain)),
            Node::One(parts) => parts
                .iter()
                .any(|part| self.has_required(part, members, chain)),
            Node::Written(map) => {
                let reference = reference(map);
                let target = reference.and_then(|name| self.resolve(name));
                if target.is_some_and(|target| !self.has_required(&target, members, chain)) {
                    return false;
                }
                if reference.is_some() && self.reference_stands_alone {
                    return true;
                }
                let required = map.get("required").and_then(Value::as_array);
                required
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .all(|wanted| members.iter().any(|(name, _)| *name == wanted))
                    && branches(map, "allOf")
                        .into_iter()
                        .flatten()
                        .all(|part| self.has_required(&written(part), members, chain))
            }
        }
    }

    /// Counts one schema; `false` when it is not to be looked at any more.
    fn charge(&self, chain: usize) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0 && chain <= LONGEST_CHAIN
    }

    /// What a reference names; `None` when it leads out of the schema or nowhere.
    fn resolve(&self, reference: &str) -> Option<Node<'s>> {
        let fragment = reference.strip_prefix('#')?;
        if fragment.is_empty() {
            return Some(self.root());
        }
        if fragment.starts_with('/') {
            let pointer = percent_decoded(fragment)?;
            return self.root.pointer(&pointer).map(written);
        }
        find_anchor(self.root, fragment).map(written)
    }
}

fn reference(map: &Map<String, Value>) -> Option<&str> {
    ["$ref", "$dynamicRef", "$recursiveRef"]
        .iter()
        .find_map(|keyword| map.get(*keyword)?.as_str())
}

/// Whether `type` admits a value of this kind. A name that JSON Schema does not have admits everything.
fn type_admits(map: &Map<String, Value>, kind: Kind) -> bool {
    let one = |name: &Value| match name.as_str() {
        Some("null") => kind == Kind::Null,
        Some("boolean") => kind == Kind::Boolean,
        Some("integer") => kind == Kind::Integer,
        Some("number") => matches!(kind, Kind::Integer | Kind::Number),
        Some("string") => kind == Kind::String,
        Some("array") => kind == Kind::Array,
        Some("object") => kind == Kind::Object,
        _ => true,
    };
    let nullable = kind == Kind::Null && map.get("nullable") == Some(&Value::Bool(true));
    nullable
        || match map.get("type") {
            None => true,
            Some(Value::Array(names)) => names.is_empty() || names.iter().any(one),
            Some(name) => one(name),
        }
}

/// Whether `not: schema` denies every value of this kind: only where nothing but `type` is said.
fn rules_out(schema: &Value, kind: Kind) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(map) if map.is_empty() => true,
        Value::Object(map) if map.len() == 1 && map.contains_key("type") => type_admits(map, kind),
        _ => false,
    }
}

/// The schema of the member `name`, as this one level says.
fn member<'s>(map: &'s Map<String, Value>, name: &str) -> Node<'s> {
    if let Some(schema) = map.get("properties").and_then(|all| all.get(name)) {
        return written(schema);
    }
    let others = || {
        map.get("additionalProperties")
            .map_or(Node::Anything, written)
    };
    let Some(patterns) = map.get("patternProperties").and_then(Value::as_object) else {
        return others();
    };
    if let Some(schema) = EVERY_KEY.iter().find_map(|pattern| patterns.get(*pattern)) {
        return written(schema);
    }
    // Which of the patterns match is left open: one of their schemas holds, or the one for keys that none matches.
    let mut either: Vec<Node<'s>> = patterns.values().map(written).collect();
    either.push(others());
    Node::One(either)
}

/// The schema of the item at `index`, as this one level says.
fn item(map: &Map<String, Value>, index: usize) -> Node<'_> {
    let rest = match (map.get("prefixItems"), map.get("items")) {
        (Some(Value::Array(tuple)), rest) => match tuple.get(index) {
            Some(schema) => return written(schema),
            None => rest,
        },
        (_, Some(Value::Array(tuple))) => match tuple.get(index) {
            Some(schema) => return written(schema),
            None => map.get("additionalItems"),
        },
        (_, rest) => rest,
    };
    rest.map_or(Node::Anything, written)
}

/// The JSON text inside a raw string, when it is one valid JSON value that is no string itself.
pub(crate) fn json_text(raw_string: &str) -> Option<String> {
    if !raw_string.starts_with('"') {
        return None;
    }
    let text = json::string(raw_string)?;
    let text = text.trim();
    // Numbers that Rust cannot hold are JSON all the same: only the syntax is checked.
    let valid = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    (valid && !text.starts_with('"')).then(|| text.to_owned())
}

/// The first schema inside `value` that carries the anchor `name`.
fn find_anchor<'s>(value: &'s Value, name: &str) -> Option<&'s Value> {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(map) => {
                let is_it = |key: &str| map.get(key).and_then(Value::as_str) == Some(name);
                if is_it("$anchor") || is_it("$dynamicAnchor") {
                    return Some(value);
                }
                waiting.extend(map.values());
            }
            Value::Array(values) => waiting.extend(values),
            _ => {}
        }
    }
    None
}

/// A URI fragment with its `%XX` decoded; `None` when it is not UTF-8 then.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high)? * 16 + hex(*low)?;
                bytes.push(u8::try_from(value).ok()?);
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}
