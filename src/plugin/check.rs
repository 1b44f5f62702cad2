//! Finds what Terraform would refuse in a provider's schemas, and where models and schemas differ. For tests: a provider
//! without problems here cannot fail for these reasons at its users'.
//!
//! Source of the rules: Terraform core's internal validation of schemas, v1.11 to v1.16.

use std::collections::BTreeSet;

use super::conform;
use super::diagnostics::Diagnostics;
use super::number::Number;
use super::path::Path;
use super::provider::Provider;
use super::schema::{
    Attribute, AttributeKind, Attributes, BlockNesting, IdentitySchema, NestedBlock, Nesting,
    Schema,
};
use super::server::Server;
use super::value::Value;
use super::value_type::ValueType;

/// What a schema is for, which decides what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaUse {
    /// The provider's configuration.
    Provider,
    /// A managed resource.
    Resource,
    /// A data source.
    DataSource,
}

impl SchemaUse {
    /// Arguments that Terraform itself takes at the root.
    fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Provider => &["alias", "version"],
            Self::Resource | Self::DataSource => &[
                "connection",
                "count",
                "depends_on",
                "for_each",
                "lifecycle",
                "provider",
                "provisioner",
            ],
        }
    }
}

impl<P: Provider> Server<P> {
    /// All problems of the provider's schemas, models and names, one sentence each; none in a provider fit for use.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .duplicates
            .iter()
            .map(|name| format!("{name}: two offers have this name"))
            .collect();
        let mut add = |subject: &str, found: Vec<String>| {
            problems.extend(
                found
                    .into_iter()
                    .map(|problem| format!("{subject}: {problem}")),
            );
        };
        add("provider", self.schema.problems(SchemaUse::Provider));
        add(
            "provider",
            through_model(&self.schema, |value| {
                use super::model::{FromValue, ToValue};
                Ok(P::Config::from_value(value, &Path::ROOT)?.to_value())
            }),
        );
        let prefix = format!("{}_", self.provider.name());
        for (name, entry) in &self.resources {
            add(name, entry.schema.problems(SchemaUse::Resource));
            add(
                name,
                through_model(&entry.schema, |value| entry.resource.through_model(value)),
            );
            if let Some(identity) = &entry.identity {
                add(name, identity_problems(identity));
            }
            if !name.starts_with(&prefix) {
                add(name, vec![format!("the name does not start with {prefix}")]);
            }
        }
        for (name, entry) in &self.data_sources {
            add(name, entry.schema.problems(SchemaUse::DataSource));
            add(
                name,
                through_model(&entry.schema, |value| {
                    entry.data_source.through_model(value)
                }),
            );
            if !name.starts_with(&prefix) {
                add(name, vec![format!("the name does not start with {prefix}")]);
            }
        }
        for (name, entry) in &self.functions {
            let parameters = entry
                .signature
                .parameters
                .iter()
                .chain(&entry.signature.variadic);
            let names: Vec<&str> = parameters
                .map(|parameter| parameter.name.as_str())
                .collect();
            if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
                add(name, vec!["two parameters have the same name".to_owned()]);
            }
            if !is_name(name) {
                add(
                    name,
                    vec!["the name is not made of a-z, 0-9 and _".to_owned()],
                );
            }
        }
        problems
    }
}

impl Schema {
    /// What Terraform would refuse in this schema, one sentence each.
    #[must_use]
    pub fn problems(&self, purpose: SchemaUse) -> Vec<String> {
        let mut found = Found {
            purpose,
            problems: Vec::new(),
        };
        found.object(
            &self.block.attributes,
            &self.block.blocks,
            &Path::ROOT,
            false,
        );
        found.problems
    }
}

struct Found {
    purpose: SchemaUse,
    problems: Vec<String>,
}

impl Found {
    fn add(&mut self, path: &Path, problem: &str) {
        self.problems.push(format!("{path}: {problem}"));
    }

    fn object(
        &mut self,
        attributes: &Attributes,
        blocks: &[(String, NestedBlock)],
        path: &Path,
        in_set: bool,
    ) {
        let names = attributes
            .iter()
            .map(|(name, _)| name)
            .chain(blocks.iter().map(|(name, _)| name.as_str()));
        let mut seen = BTreeSet::new();
        for name in names {
            let path = path.attribute(name);
            if !is_name(name) {
                self.add(
                    &path,
                    "the name is not made of a-z, 0-9 and _, starting with a letter",
                );
            }
            if !seen.insert(name) {
                self.add(&path, "the name is there twice");
            }
            if path.steps().len() == 1 && self.purpose.reserved().contains(&name) {
                self.add(&path, "the name is reserved by Terraform");
            }
        }
        for (name, attribute) in attributes.iter() {
            self.attribute(attribute, &path.attribute(name), in_set);
        }
        for (name, block) in blocks {
            self.block(block, &path.attribute(name), in_set);
        }
    }

    fn attribute(&mut self, attribute: &Attribute, path: &Path, in_set: bool) {
        match (attribute.required, attribute.optional, attribute.computed) {
            (true, false, false) | (false, true, _) | (false, false, true) => {}
            (false, false, false) => self.add(path, "neither required nor optional nor computed"),
            (true, _, _) => self.add(path, "required excludes optional and computed"),
        }
        if attribute.write_only {
            if attribute.computed {
                self.add(path, "a write-only attribute cannot be computed");
            }
            if in_set {
                self.add(path, "a write-only attribute cannot be in a set");
            }
            if self.purpose != SchemaUse::Resource {
                self.add(
                    path,
                    "only a managed resource can have write-only attributes",
                );
            }
        }
        if attribute.computed && self.purpose == SchemaUse::Provider && attribute.default.is_none()
        {
            self.add(path, "a provider's attribute cannot be computed");
        }
        if let Some(default) = &attribute.default {
            let mut diagnostics = Diagnostics::new();
            conform::to_type(
                &attribute.value_type(),
                default.clone(),
                path,
                &mut diagnostics,
            );
            if !diagnostics.is_empty() || default.is_null() {
                self.add(path, "the default is not of the attribute's type");
            }
        }
        if attribute.use_state_for_unknown && !attribute.computed {
            self.add(path, "only a computed attribute can keep its state");
        }
        match &attribute.kind {
            AttributeKind::Plain(value_type) => {
                if in_set && value_type.contains_dynamic() {
                    self.add(path, "a dynamic type cannot be in a set");
                }
                if dynamic_in_set(value_type) {
                    self.add(path, "a set's elements cannot be dynamic");
                }
            }
            AttributeKind::Nested(nesting, attributes) => {
                self.object(attributes, &[], path, in_set || *nesting == Nesting::Set);
            }
        }
    }

    fn block(&mut self, block: &NestedBlock, path: &Path, in_set: bool) {
        let (min, max) = (block.min_items, block.max_items);
        match block.nesting {
            BlockNesting::Single if !(0..=1).contains(&min) || max != 1 => {
                self.add(path, "a single block is there at most once");
            }
            BlockNesting::List | BlockNesting::Set
                if min < 0 || max < 0 || (max != 0 && min > max) =>
            {
                self.add(
                    path,
                    "the limits of the number of blocks contradict each other",
                );
            }
            _ => {}
        }
        if block.nesting == BlockNesting::List && block.block.value_type().contains_dynamic() {
            self.add(
                path,
                "list blocks cannot have dynamic attributes; use a nested attribute",
            );
        }
        let in_set = in_set || block.nesting == BlockNesting::Set;
        self.object(&block.block.attributes, &block.block.blocks, path, in_set);
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn dynamic_in_set(value_type: &ValueType) -> bool {
    match value_type {
        ValueType::Set(element) => element.contains_dynamic() || dynamic_in_set(element),
        ValueType::List(element) | ValueType::Map(element) => dynamic_in_set(element),
        ValueType::Tuple(elements) => elements.iter().any(dynamic_in_set),
        ValueType::Object(attributes) => attributes.values().any(dynamic_in_set),
        ValueType::Bool | ValueType::Number | ValueType::String | ValueType::Dynamic => false,
    }
}

fn identity_problems(identity: &IdentitySchema) -> Vec<String> {
    let mut problems = Vec::new();
    if !identity
        .attributes
        .values()
        .any(|attribute| attribute.required_for_import)
    {
        problems.push("the identity has no attribute that an import must give".to_owned());
    }
    for (name, attribute) in &identity.attributes {
        let primitive = |value_type: &ValueType| {
            matches!(
                value_type,
                ValueType::Bool | ValueType::Number | ValueType::String
            )
        };
        let fits = match &attribute.value_type {
            ValueType::List(element) => primitive(element),
            value_type => primitive(value_type),
        };
        if !fits || !is_name(name) {
            problems.push(format!("identity attribute {name}: takes a primitive type, or a list of one, and a plain name"));
        }
    }
    problems
}

/// Sends values of the schema's type through the model; they must come back as they were.
fn through_model(
    schema: &Schema,
    convert: impl Fn(&Value) -> Result<Value, super::model::FromValueError>,
) -> Vec<String> {
    let value_type = schema.value_type();
    let mut problems = Vec::new();
    for sample in [
        sample(&value_type, 0),
        sample(&value_type, 1),
        nulls(&value_type),
    ] {
        let mut diagnostics = Diagnostics::new();
        match convert(&sample) {
            Err(error) => problems.push(format!("schema and model differ: {error}")),
            Ok(converted) => {
                let fitted = conform::to_schema(schema, &value_type, converted, &mut diagnostics);
                problems.extend(
                    diagnostics.iter().map(|diagnostic| {
                        format!("schema and model differ: {}", diagnostic.detail)
                    }),
                );
                if diagnostics.is_empty() && fitted != conform::fill_blocks(&schema.block, sample) {
                    problems.push("a value changes on its way through the model".to_owned());
                }
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

/// A known value of the type, with `count` elements in each collection.
fn sample(value_type: &ValueType, count: usize) -> Value {
    match value_type {
        ValueType::Bool => Value::Bool(true),
        ValueType::Number => Value::Number(Number::from(1)),
        ValueType::String => Value::from("1"),
        ValueType::Dynamic => Value::dynamic(ValueType::String, Value::from("1")),
        ValueType::List(element) => Value::List(vec![sample(element, count); count]),
        ValueType::Set(element) => Value::set(vec![sample(element, count); count]),
        ValueType::Map(element) => Value::Map(
            (0..count)
                .map(|index| (index.to_string(), sample(element, count)))
                .collect(),
        ),
        ValueType::Tuple(elements) => Value::Tuple(
            elements
                .iter()
                .map(|element| sample(element, count))
                .collect(),
        ),
        ValueType::Object(attributes) => Value::object(
            attributes
                .iter()
                .map(|(name, value_type)| (name, sample(value_type, count))),
        ),
    }
}

fn nulls(value_type: &ValueType) -> Value {
    match value_type {
        ValueType::Object(attributes) => {
            Value::object(attributes.keys().map(|name| (name, Value::Null)))
        }
        _ => Value::Null,
    }
}
