//! Enters: a JSON Schema, by reference. Leaves: one level of it with `$ref` and `allOf` merged in; what lies below stays a
//! reference ([`Schema`]) until it is asked for, so nothing is copied that is not emitted. Refuses: references that do not
//! resolve inside the schema ([`Unresolvable`]). Recursion ends: a definition is entered at most `unroll` times on the way
//! from the root, and [`Flattener::charge`] bounds the whole.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::kind::{Kind, add, intersect};
use super::reference::{Unresolvable, resolve};

/// `$ref` and `allOf` chains longer than this are cut; real schemas nest a handful.
const LONGEST_CHAIN: usize = 48;

/// A schema that was not looked into yet.
#[derive(Clone, Debug)]
pub(super) struct Schema<'a> {
    shape: Shape<'a>,
    /// The definitions that were entered on the way here.
    trail: Trail<'a>,
}

#[derive(Clone, Debug)]
enum Shape<'a> {
    Written(&'a Value),
    All(Vec<Schema<'a>>),
    Any(Vec<Schema<'a>>),
}

type Trail<'a> = Option<Rc<Entered<'a>>>;

#[derive(Debug)]
struct Entered<'a> {
    target: &'a Value,
    before: Trail<'a>,
}

impl<'a> Schema<'a> {
    fn new(value: &'a Value, trail: &Trail<'a>) -> Self {
        Self {
            shape: Shape::Written(value),
            trail: trail.clone(),
        }
    }

    /// A schema that holds where both do.
    pub(super) fn both(first: Self, second: Self) -> Self {
        Self {
            shape: Shape::All(vec![first, second]),
            trail: None,
        }
    }

    /// A schema that holds where one of `schemas` does.
    pub(super) fn any(schemas: Vec<Self>) -> Self {
        match <[Self; 1]>::try_from(schemas) {
            Ok([only]) => only,
            Err(schemas) => Self {
                shape: Shape::Any(schemas),
                trail: None,
            },
        }
    }

    /// A schema that holds where either does; it stays one flat choice however often it is widened.
    pub(super) fn either(first: Self, second: Self) -> Self {
        let Self {
            shape: Shape::Any(mut schemas),
            trail,
        } = first
        else {
            return Self::any(vec![first, second]);
        };
        schemas.push(second);
        Self {
            shape: Shape::Any(schemas),
            trail,
        }
    }

    /// A schema that holds for everything.
    pub(super) fn anything() -> Self {
        static ANYTHING: Value = Value::Bool(true);
        Self::new(&ANYTHING, &None)
    }

    /// Whether both are the same place in the same schema.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        matches!((&self.shape, &other.shape), (Shape::Written(one), Shape::Written(two)) if one == two)
    }
}

/// How the branches of a choice relate, for the words that describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    AnyOf,
    OneOf,
}

/// One level of a schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat<'a> {
    /// The types it admits; `None` when it does not say.
    pub(super) types: Option<Vec<Kind>>,
    /// `description`s, the outermost first.
    pub(super) descriptions: Vec<&'a str>,
    /// The outermost `title`.
    pub(super) title: Option<&'a str>,
    pub(super) properties: Vec<(&'a str, Schema<'a>)>,
    pub(super) required: Vec<&'a str>,
    pub(super) items: Option<Schema<'a>>,
    /// The schemas of the first items, one each: `prefixItems`, or draft-07's list of `items`.
    pub(super) tuple: Vec<Schema<'a>>,
    /// `anyOf` and `oneOf`, not yet looked into.
    pub(super) choices: Vec<(Choice, Vec<Schema<'a>>)>,
    /// `then`, `else` and `dependentSchemas`: they may add properties.
    pub(super) conditional: Vec<Schema<'a>>,
    /// What other keys of an object hold: `additionalProperties`, when it is more than true or false.
    pub(super) others: Option<Schema<'a>>,
    /// What keys that match a regular expression hold: `patternProperties`.
    pub(super) patterns: Vec<(&'a str, Schema<'a>)>,
    /// Keywords that only words can say, as written; a keyword is there twice when two parts of an `allOf` differ.
    pub(super) keywords: Vec<(&'a str, &'a Value)>,
    /// Null is allowed beside the types.
    pub(super) nullable: bool,
    /// `false`, or no type left.
    pub(super) impossible: bool,
    /// Set when it is a definition that was not entered once more.
    pub(super) recursion: Option<String>,
    /// Sentences that stand for what was simplified, for the description.
    pub(super) words: Vec<String>,
    /// What was simplified or is wrong, for the user's notes.
    pub(super) flaws: Vec<String>,
}

impl<'a> Flat<'a> {
    /// The values of a keyword, as often as it was written.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.keywords
            .iter()
            .filter(move |(name, _)| *name == keyword)
            .map(|(_, value)| *value)
    }

    /// The first value of a keyword.
    pub(super) fn first(&self, keyword: &str) -> Option<&'a Value> {
        self.all(keyword).next()
    }

    /// The values that `const` or `enum` allow.
    pub(super) fn allowed(&self) -> Option<Vec<&'a Value>> {
        if let Some(only) = self.first("const") {
            return Some(vec![only]);
        }
        self.first("enum")?
            .as_array()
            .map(|values| values.iter().collect())
    }

    /// Adds what `other` demands as well; where both speak, `self` comes first.
    pub(super) fn merge(&mut self, other: Self) {
        self.types = match (self.types.take(), other.types) {
            (Some(own), Some(also)) => {
                let both = intersect(&own, &also);
                if both.is_empty() {
                    self.flaws.push(
                        "two parts of it demand different types; the first is told".to_owned(),
                    );
                    Some(own)
                } else {
                    Some(both)
                }
            }
            (own, also) => own.or(also),
        };
        for text in other.descriptions {
            if !self.descriptions.contains(&text) {
                self.descriptions.push(text);
            }
        }
        self.title = self.title.or(other.title);
        for (name, schema) in other.properties {
            self.add_property(name, schema, Schema::both);
        }
        for name in other.required {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
        self.items = match (self.items.take(), other.items) {
            (Some(own), Some(also)) if !own.is_same(&also) => Some(Schema::both(own, also)),
            (own, also) => own.or(also),
        };
        self.others = self.others.take().or(other.others);
        self.patterns.extend(other.patterns);
        if self.tuple.is_empty() {
            self.tuple = other.tuple;
        }
        self.choices.extend(other.choices);
        self.conditional.extend(other.conditional);
        for pair in other.keywords {
            if !self.keywords.contains(&pair) {
                self.keywords.push(pair);
            }
        }
        self.nullable |= other.nullable;
        self.impossible |= other.impossible;
        self.recursion = self.recursion.take().or(other.recursion);
        self.words.extend(other.words);
        self.flaws.extend(other.flaws);
    }

    /// Adds a property; one of that name that is there already is joined with it by `join`.
    pub(super) fn add_property(
        &mut self,
        name: &'a str,
        schema: Schema<'a>,
        join: impl FnOnce(Schema<'a>, Schema<'a>) -> Schema<'a>,
    ) {
        match self.properties.iter_mut().find(|(known, _)| *known == name) {
            Some((_, own)) if own.is_same(&schema) => {}
            Some((_, own)) => *own = join(own.clone(), schema),
            None => self.properties.push((name, schema)),
        }
    }
}

/// Looks into the schemas of one tool.
pub(super) struct Flattener<'a> {
    root: &'a Value,
    /// Draft-07 and older: what stands beside `$ref` is ignored, but for annotations.
    reference_stands_alone: bool,
    unroll: usize,
    left: usize,
    /// Set once the allowance was used up: what follows is told as "any value".
    pub(super) exhausted: bool,
}

impl<'a> Flattener<'a> {
    /// Enters each definition at most `unroll` times on one way, and looks at `allowance` schemas at most.
    pub(super) fn new(root: &'a Value, unroll: usize, allowance: usize) -> Self {
        let dialect = root
            .get("$schema")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let old = ["draft-03", "draft-04", "draft-06", "draft-07"];
        Self {
            root,
            reference_stands_alone: old.iter().any(|draft| dialect.contains(draft)),
            unroll,
            left: allowance,
            exhausted: false,
        }
    }

    /// The whole schema.
    pub(super) fn root(&self) -> Schema<'a> {
        Schema::new(self.root, &None)
    }

    /// Counts one schema; `false` when the allowance is used up.
    fn charge(&mut self) -> bool {
        self.exhausted |= self.left == 0;
        self.left = self.left.saturating_sub(1);
        !self.exhausted
    }

    /// One level of `schema`.
    pub(super) fn flatten(&mut self, schema: &Schema<'a>) -> Result<Flat<'a>, Unresolvable> {
        self.flatten_chained(schema, 0)
    }

    fn flatten_chained(
        &mut self,
        schema: &Schema<'a>,
        chain: usize,
    ) -> Result<Flat<'a>, Unresolvable> {
        if !self.charge() {
            return Ok(Flat::default());
        }
        if chain > LONGEST_CHAIN {
            let flaws = vec![format!(
                "more than {LONGEST_CHAIN} references follow each other; the rest is not told"
            )];
            return Ok(Flat {
                flaws,
                ..Flat::default()
            });
        }
        match &schema.shape {
            Shape::Written(Value::Object(map)) => self.flatten_object(map, &schema.trail, chain),
            Shape::Written(Value::Bool(true)) => Ok(Flat::default()),
            Shape::Written(Value::Bool(false)) => Ok(Flat {
                impossible: true,
                ..Flat::default()
            }),
            Shape::Written(other) => {
                let flaws = vec![format!(
                    "`{}` is no schema; told as any value",
                    super::words::shorten(&other.to_string())
                )];
                Ok(Flat {
                    flaws,
                    ..Flat::default()
                })
            }
            Shape::All(parts) => {
                let mut flat = Flat::default();
                for part in parts {
                    flat.merge(self.flatten_chained(part, chain + 1)?);
                }
                Ok(flat)
            }
            Shape::Any(parts) => {
                let choices = vec![(Choice::AnyOf, parts.clone())];
                Ok(Flat {
                    choices,
                    ..Flat::default()
                })
            }
        }
    }

    fn flatten_object(
        &mut self,
        map: &'a Map<String, Value>,
        trail: &Trail<'a>,
        chain: usize,
    ) -> Result<Flat<'a>, Unresolvable> {
        let reference = ["$ref", "$dynamicRef", "$recursiveRef"]
            .iter()
            .find_map(|keyword| map.get(*keyword)?.as_str());
        let alone = reference.is_some() && self.reference_stands_alone;
        let mut flat = Flat::default();
        for (keyword, value) in map {
            if !alone
                || matches!(
                    keyword.as_str(),
                    "title" | "description" | "default" | "examples"
                )
            {
                flat.read(keyword, value, trail);
            }
        }
        if let Some(reference) = reference {
            flat.merge(self.follow(reference, trail, chain)?);
        }
        if let Some(Value::Array(parts)) = map.get("allOf").filter(|_| !alone) {
            for part in parts {
                flat.merge(self.flatten_chained(&Schema::new(part, trail), chain + 1)?);
            }
        }
        Ok(flat)
    }

    fn follow(
        &mut self,
        reference: &str,
        trail: &Trail<'a>,
        chain: usize,
    ) -> Result<Flat<'a>, Unresolvable> {
        let target = resolve(self.root, reference).ok_or_else(|| Unresolvable {
            reference: reference.to_owned(),
        })?;
        let entered = std::iter::successors(trail.as_deref(), |entered| entered.before.as_deref())
            .filter(|entered| std::ptr::eq(entered.target, target))
            .count();
        if entered >= self.unroll {
            let name = reference
                .rsplit(['/', '#'])
                .find(|part| !part.is_empty())
                .unwrap_or("the whole");
            let types = types(target).or(Some(vec![Kind::Object]));
            return Ok(Flat {
                types,
                recursion: Some(name.to_owned()),
                ..Flat::default()
            });
        }
        let trail = Some(Rc::new(Entered {
            target,
            before: trail.clone(),
        }));
        self.flatten_chained(&Schema::new(target, &trail), chain + 1)
    }
}

impl<'a> Flat<'a> {
    /// Sorts one keyword in.
    fn read(&mut self, keyword: &'a str, value: &'a Value, trail: &Trail<'a>) {
        let schema = |value| Schema::new(value, trail);
        match (keyword, value) {
            ("type", _) => match types_of(value) {
                Ok(types) => self.types = Some(types),
                Err(flaw) => self.flaws.push(flaw),
            },
            ("description", Value::String(text)) => {
                let text = text.trim();
                if !text.is_empty() {
                    self.descriptions.push(text);
                }
            }
            ("title", Value::String(text)) => {
                self.title = Some(text.trim()).filter(|text| !text.is_empty())
            }
            ("properties", Value::Object(properties)) => {
                self.properties = properties
                    .iter()
                    .map(|(name, value)| (name.as_str(), schema(value)))
                    .collect();
            }
            ("required", Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    if !self.required.contains(&name) {
                        self.required.push(name);
                    }
                }
            }
            ("prefixItems" | "items", Value::Array(schemas)) => {
                self.tuple = schemas.iter().map(schema).collect()
            }
            ("items", _) => self.items = Some(schema(value)),
            ("anyOf" | "oneOf", Value::Array(branches)) if !branches.is_empty() => {
                let choice = if keyword == "anyOf" {
                    Choice::AnyOf
                } else {
                    Choice::OneOf
                };
                self.choices
                    .push((choice, branches.iter().map(schema).collect()));
            }
            ("additionalProperties", Value::Object(_)) => self.others = Some(schema(value)),
            ("patternProperties", Value::Object(patterns)) => {
                self.patterns = patterns
                    .iter()
                    .map(|(pattern, value)| (pattern.as_str(), schema(value)))
                    .collect();
            }
            ("then" | "else", _) => {
                self.conditional.push(schema(value));
                self.keywords.push((keyword, value));
            }
            ("dependentSchemas", Value::Object(schemas)) => {
                self.conditional.extend(schemas.values().map(schema));
                self.keywords.push((keyword, value));
            }
            // OpenAPI's way to say that null is allowed.
            ("nullable", Value::Bool(true)) => self.nullable = true,
            ("$ref" | "$dynamicRef" | "$recursiveRef" | "allOf" | "$defs" | "definitions", _) => {}
            _ => self.keywords.push((keyword, value)),
        }
    }
}

fn types(schema: &Value) -> Option<Vec<Kind>> {
    types_of(schema.get("type")?).ok()
}

fn types_of(value: &Value) -> Result<Vec<Kind>, String> {
    let names: Vec<&Value> = match value {
        Value::Array(names) => names.iter().collect(),
        name => vec![name],
    };
    let mut types = Vec::new();
    for name in names {
        let kind = name.as_str().and_then(Kind::named);
        let Some(kind) = kind else {
            let name = super::words::shorten(&name.to_string());
            return Err(format!(
                "`{name}` is no JSON Schema type; told as if no type were given"
            ));
        };
        add(&mut types, kind);
    }
    if types.is_empty() {
        Err("an empty list of types; told as if no type were given".to_owned())
    } else {
        Ok(types)
    }
}
