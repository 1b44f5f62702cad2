//! Runs a schema's validators over a configuration.

use super::diagnostics::Diagnostics;
use super::path::Path;
use super::schema::{AttributeKind, Attributes, NestedBlock, Schema};
use super::validators::{Subject, Validator};
use super::value::Value;

/// Runs all validators of `schema` over `config`. With `write_only_allowed` false, as a Terraform before 1.11 has it,
/// setting a write-only attribute is an error: it would be stored.
pub(super) fn config(
    schema: &Schema,
    config: &Value,
    write_only_allowed: bool,
    diagnostics: &mut Diagnostics,
) {
    let run = Run {
        config,
        write_only_allowed,
    };
    run.object(
        &schema.block.attributes,
        &schema.block.blocks,
        config,
        &Path::ROOT,
        diagnostics,
    );
}

struct Run<'a> {
    config: &'a Value,
    write_only_allowed: bool,
}

impl Run<'_> {
    fn object(
        &self,
        attributes: &Attributes,
        blocks: &[(String, NestedBlock)],
        object: &Value,
        path: &Path,
        diagnostics: &mut Diagnostics,
    ) {
        let Value::Object(values) = object else {
            return;
        };
        for (name, attribute) in attributes.iter() {
            let Some(value) = values.get(name) else {
                continue;
            };
            let path = path.attribute(name);
            if attribute.write_only && !self.write_only_allowed && !value.is_null() {
                diagnostics.attribute_error(
                    &path,
                    "Write-only attribute not supported",
                    format!("{path} is never stored, which takes Terraform 1.11 or later. Remove it, or upgrade."),
                );
            }
            self.validators(
                &attribute.validators,
                value,
                &path,
                attribute.sensitive,
                diagnostics,
            );
            if let AttributeKind::Nested(_, attributes) = &attribute.kind {
                self.elements(attributes, &[], value, &path, diagnostics);
            }
        }
        for (name, nested) in blocks {
            let Some(value) = values.get(name) else {
                continue;
            };
            let path = path.attribute(name);
            self.validators(&nested.validators, value, &path, false, diagnostics);
            self.elements(
                &nested.block.attributes,
                &nested.block.blocks,
                value,
                &path,
                diagnostics,
            );
        }
    }

    fn elements(
        &self,
        attributes: &Attributes,
        blocks: &[(String, NestedBlock)],
        value: &Value,
        path: &Path,
        diagnostics: &mut Diagnostics,
    ) {
        let mut object = |element: &Value, path: &Path| {
            self.object(attributes, blocks, element, path, diagnostics)
        };
        match value {
            Value::List(elements) => {
                elements
                    .iter()
                    .enumerate()
                    .for_each(|(index, element)| object(element, &path.index(index)));
            }
            Value::Set(elements) => elements
                .iter()
                .for_each(|element| object(element, &path.element())),
            Value::Map(entries) => entries
                .iter()
                .for_each(|(key, value)| object(value, &path.key(key))),
            single => object(single, path),
        }
    }

    fn validators(
        &self,
        validators: &[Validator],
        value: &Value,
        path: &Path,
        sensitive: bool,
        diagnostics: &mut Diagnostics,
    ) {
        for validator in validators {
            validator.run(
                &Subject {
                    value,
                    path,
                    sensitive,
                    config: self.config,
                },
                diagnostics,
            );
        }
    }
}
