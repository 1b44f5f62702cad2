//! Schemas as Terraform's messages. Descriptions are Markdown throughout.

use prost::bytes::Bytes;

use super::super::function::{Parameter, Signature};
use super::super::schema::{
    Attribute, AttributeKind, Attributes, Block, BlockNesting, IdentitySchema, NestedBlock,
    Nesting, Schema,
};
use super::proto;
use proto::StringKind;

/// The schema of a provider, resource or data source.
pub(in super::super) fn schema(schema: &Schema) -> proto::Schema {
    proto::Schema {
        version: schema.version,
        block: Some(block(&schema.block)),
    }
}

/// The schema of the provider's configuration, where nothing is computed: defaults stay with the provider.
pub(in super::super) fn provider_schema(provider: &Schema) -> proto::Schema {
    fn clear_attributes(attributes: &mut [proto::schema::Attribute]) {
        for attribute in attributes {
            attribute.computed = false;
            if let Some(nested) = &mut attribute.nested_type {
                clear_attributes(&mut nested.attributes);
            }
        }
    }
    fn clear_block(block: &mut proto::schema::Block) {
        clear_attributes(&mut block.attributes);
        block
            .block_types
            .iter_mut()
            .filter_map(|nested| nested.block.as_mut())
            .for_each(clear_block);
    }
    let mut schema = schema(provider);
    schema.block.iter_mut().for_each(clear_block);
    schema
}

fn block(block: &Block) -> proto::schema::Block {
    proto::schema::Block {
        version: 0,
        attributes: attributes(&block.attributes),
        block_types: block
            .blocks
            .iter()
            .map(|(name, block)| nested_block(name, block))
            .collect(),
        description: block.description.clone(),
        description_kind: StringKind::Markdown.into(),
        deprecated: block.deprecated.is_some(),
        deprecation_message: block.deprecated.clone().unwrap_or_default(),
        computed: false,
    }
}

fn nested_block(name: &str, nested: &NestedBlock) -> proto::schema::NestedBlock {
    use proto::schema::nested_block::NestingMode;
    let (nesting, max_items) = match nested.nesting {
        // Core wants both limits of a single block equal: 0 for optional, 1 for required.
        BlockNesting::Single => (NestingMode::Single, nested.min_items),
        BlockNesting::List => (NestingMode::List, nested.max_items),
        BlockNesting::Set => (NestingMode::Set, nested.max_items),
    };
    proto::schema::NestedBlock {
        type_name: name.to_owned(),
        block: Some(block(&nested.block)),
        nesting: nesting.into(),
        min_items: nested.min_items,
        max_items,
    }
}

fn attributes(attributes: &Attributes) -> Vec<proto::schema::Attribute> {
    attributes
        .iter()
        .map(|(name, one)| attribute(name, one))
        .collect()
}

fn attribute(name: &str, attribute: &Attribute) -> proto::schema::Attribute {
    use proto::schema::object::NestingMode;
    let (value_type, nested_type) = match &attribute.kind {
        AttributeKind::Plain(value_type) => (value_type.to_json(), None),
        // Setting both would be refused.
        AttributeKind::Nested(nesting, nested) => {
            let nesting = match nesting {
                Nesting::Single => NestingMode::Single,
                Nesting::List => NestingMode::List,
                Nesting::Set => NestingMode::Set,
                Nesting::Map => NestingMode::Map,
            };
            let object = proto::schema::Object {
                attributes: attributes(nested),
                nesting: nesting.into(),
                ..Default::default()
            };
            (Vec::new(), Some(object))
        }
    };
    proto::schema::Attribute {
        name: name.to_owned(),
        r#type: Bytes::from(value_type),
        nested_type,
        description: attribute.description.clone(),
        required: attribute.required,
        optional: attribute.optional,
        computed: attribute.computed,
        sensitive: attribute.sensitive,
        description_kind: StringKind::Markdown.into(),
        deprecated: attribute.deprecated.is_some(),
        write_only: attribute.write_only,
        deprecation_message: attribute.deprecated.clone().unwrap_or_default(),
    }
}

/// The schema of a resource's identity.
pub(in super::super) fn identity_schema(schema: &IdentitySchema) -> proto::ResourceIdentitySchema {
    proto::ResourceIdentitySchema {
        version: schema.version,
        identity_attributes: schema
            .attributes
            .iter()
            .map(
                |(name, attribute)| proto::resource_identity_schema::IdentityAttribute {
                    name: name.clone(),
                    r#type: Bytes::from(attribute.value_type.to_json()),
                    required_for_import: attribute.required_for_import,
                    optional_for_import: !attribute.required_for_import,
                    description: attribute.description.clone(),
                },
            )
            .collect(),
    }
}

/// The signature of a function.
pub(in super::super) fn function(signature: &Signature) -> proto::Function {
    proto::Function {
        parameters: signature.parameters.iter().map(parameter).collect(),
        variadic_parameter: signature.variadic.as_ref().map(parameter),
        r#return: Some(proto::function::Return {
            r#type: Bytes::from(signature.returns.to_json()),
        }),
        summary: signature.summary.clone(),
        description: signature.description.clone(),
        description_kind: StringKind::Markdown.into(),
        deprecation_message: signature.deprecated.clone().unwrap_or_default(),
    }
}

fn parameter(parameter: &Parameter) -> proto::function::Parameter {
    proto::function::Parameter {
        name: parameter.name.clone(),
        r#type: Bytes::from(parameter.value_type.to_json()),
        allow_null_value: parameter.allow_null,
        allow_unknown_values: parameter.allow_unknown,
        description: parameter.description.clone(),
        description_kind: StringKind::Markdown.into(),
    }
}
