//! What Terraform does with a schema before it sends anything: objects are completed.
//!
//! Terraform's objects always have every attribute. A test that wrote all of them out would say
//! little and break with each new attribute; [`Schemas`] adds the nulls and the empty blocks.

use std::collections::HashMap;

use mcplambda::plugin::tfplugin6::schema::nested_block::NestingMode as BlockNesting;
use mcplambda::plugin::tfplugin6::schema::object::NestingMode;
use mcplambda::plugin::tfplugin6::schema::{Attribute, Block};
use mcplambda::plugin::tfplugin6::{DynamicValue, Schema, get_provider_schema};
use serde_json::{Map, Value, json};

use super::{Plugin, value};

/// All schemas of a provider.
#[derive(Debug, Clone)]
pub struct Schemas {
    pub response: get_provider_schema::Response,
}

impl Plugin {
    /// Asks for the schemas, as the first call of nearly every process is.
    pub async fn schemas(&self) -> Schemas {
        let response = self
            .provider()
            .get_provider_schema(get_provider_schema::Request {})
            .await
            .expect("schemas")
            .into_inner();
        assert_eq!(response.diagnostics, [], "diagnostics with the schemas");
        Schemas { response }
    }
}

impl Schemas {
    /// The provider's configuration, completed.
    pub fn provider(&self, config: &Value) -> DynamicValue {
        let schema = self.response.provider.as_ref().expect("a provider schema");
        value::encode(&complete(block(schema), config))
    }

    /// A managed resource's configuration, completed.
    pub fn resource(&self, type_name: &str, config: &Value) -> DynamicValue {
        Self::of(&self.response.resource_schemas, type_name, config)
    }

    /// A data source's configuration, completed.
    pub fn data_source(&self, type_name: &str, config: &Value) -> DynamicValue {
        Self::of(&self.response.data_source_schemas, type_name, config)
    }

    fn of(schemas: &HashMap<String, Schema>, name: &str, config: &Value) -> DynamicValue {
        let schema = schemas.get(name);
        let schema = schema.unwrap_or_else(|| panic!("no schema of {name}"));
        value::encode(&complete(block(schema), config))
    }

    /// What Terraform proposes for a resource that does not exist yet: the configuration, with
    /// unknown values where the provider is to compute one.
    pub fn proposed_new(&self, type_name: &str, config: &Value) -> DynamicValue {
        let schema = &self.response.resource_schemas[type_name];
        let mut proposed = complete(block(schema), config);
        let object = proposed.as_object_mut().expect("a resource is an object");
        for attribute in &block(schema).attributes {
            if attribute.computed && object[&attribute.name].is_null() {
                object[&attribute.name] = value::unknown();
            }
        }
        value::encode(&proposed)
    }
}

fn block(schema: &Schema) -> &Block {
    schema.block.as_ref().expect("a schema has a block")
}

/// `given` with null for each attribute that it lacks, and empty collections for blocks.
pub fn complete(block: &Block, given: &Value) -> Value {
    let Value::Object(given) = given else {
        return given.clone(); // Null or unknown as a whole.
    };
    if given.contains_key("$unknown") {
        return Value::Object(given.clone());
    }
    let mut complete_object = complete_attributes(&block.attributes, given);
    for nested in &block.block_types {
        let inner = nested.block.as_ref().expect("a nested block has a block");
        let given = given.get(&nested.type_name).unwrap_or(&Value::Null);
        let completed = match nested.nesting() {
            BlockNesting::Single => complete(inner, given),
            BlockNesting::Group if given.is_null() => complete(inner, &json!({})),
            BlockNesting::Group => complete(inner, given),
            BlockNesting::List | BlockNesting::Set if given.is_null() => json!([]),
            BlockNesting::Map if given.is_null() => json!({}),
            _ => each(given, |given| complete(inner, given)),
        };
        complete_object.insert(nested.type_name.clone(), completed);
    }
    let known = |name: &String| complete_object.contains_key(name);
    if let Some(stranger) = given.keys().find(|name| !known(name)) {
        panic!("the schema has no {stranger:?}");
    }
    Value::Object(complete_object)
}

fn complete_attributes(attributes: &[Attribute], given: &Map<String, Value>) -> Map<String, Value> {
    let completed = attributes.iter().map(|attribute| {
        let given = given.get(&attribute.name).unwrap_or(&Value::Null);
        let completed = match &attribute.nested_type {
            None => given.clone(),
            Some(nested) => {
                let object = |given: &Value| match given {
                    Value::Object(given) if !given.contains_key("$unknown") => {
                        Value::Object(complete_attributes(&nested.attributes, given))
                    }
                    other => other.clone(),
                };
                match nested.nesting() {
                    NestingMode::Single => object(given),
                    _ => each(given, object),
                }
            }
        };
        (attribute.name.clone(), completed)
    });
    completed.collect()
}

/// Applies `change` to each element of a list, a set or a map.
fn each(collection: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match collection {
        Value::Array(elements) => elements.iter().map(change).collect(),
        Value::Object(elements) if !elements.contains_key("$unknown") => {
            let changed = elements
                .iter()
                .map(|(key, element)| (key.clone(), change(element)));
            Value::Object(changed.collect())
        }
        other => other.clone(),
    }
}
