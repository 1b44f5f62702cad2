//! Fits a value made by a resource to its type, so that it can always be encoded.
//!
//! What has the right content in another shape is reshaped: a list where the type says set, a map where it says object,
//! a bare value where it says dynamic. What does not fit becomes null and is reported: a state that has lost one attribute is better
//! than a remote object that nobody remembers.

use std::collections::BTreeMap;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::number::Number;
use super::path::Path;
use super::schema::{Block, BlockNesting, Schema};
use super::value::Value;
use super::value_type::ValueType;

/// Fits `value` to `schema`: the types of its attributes, and empty collections where there are no blocks.
pub(super) fn to_schema(
    schema: &Schema,
    value_type: &ValueType,
    value: Value,
    diagnostics: &mut Diagnostics,
) -> Value {
    fill_blocks(
        &schema.block,
        to_type(value_type, value, &Path::ROOT, diagnostics),
    )
}

/// Replaces null by an empty collection where the schema has list or set blocks.
pub(super) fn fill_blocks(block: &Block, value: Value) -> Value {
    let Value::Object(mut attributes) = value else {
        return value;
    };
    for (name, nested) in &block.blocks {
        let Some(value) = attributes.get_mut(name) else {
            continue;
        };
        let inner = |element: Value| fill_blocks(&nested.block, element);
        *value = match (nested.nesting, std::mem::take(value)) {
            (BlockNesting::List, Value::Null) => Value::List(Vec::new()),
            (BlockNesting::Set, Value::Null) => Value::set([]),
            (BlockNesting::Single, single) => inner(single),
            (_, Value::List(elements)) => Value::List(elements.into_iter().map(inner).collect()),
            (_, Value::Set(elements)) => Value::set(elements.into_iter().map(inner)),
            (_, other) => other,
        };
    }
    Value::Object(attributes)
}

/// Fits `value` to `value_type`; what does not fit becomes null and an error in `diagnostics`.
pub(super) fn to_type(
    value_type: &ValueType,
    value: Value,
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Value {
    let elements = |element_type: &ValueType,
                    elements: Vec<Value>,
                    in_set: bool,
                    diagnostics: &mut Diagnostics| {
        elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| {
                let path = if in_set {
                    path.element()
                } else {
                    path.index(index)
                };
                to_type(element_type, element, &path, diagnostics)
            })
            .collect::<Vec<_>>()
    };
    match (value_type, value) {
        (_, value @ (Value::Null | Value::Unknown(_))) => value,
        (ValueType::Dynamic, Value::Dynamic(typed)) => {
            let value = to_type(&typed.value_type, typed.value, path, diagnostics);
            Value::dynamic(typed.value_type, value)
        }
        (ValueType::Dynamic, value) => {
            let inferred = infer(&value);
            let value = to_type(&inferred, value, path, diagnostics);
            Value::dynamic(inferred, value)
        }
        (value_type, Value::Dynamic(typed)) => to_type(value_type, typed.value, path, diagnostics),
        (ValueType::Bool, value @ Value::Bool(_))
        | (ValueType::Number, value @ Value::Number(_))
        | (ValueType::String, value @ Value::String(_)) => value,
        (ValueType::List(element), Value::List(list) | Value::Tuple(list)) => {
            Value::List(elements(element, list, false, diagnostics))
        }
        (ValueType::List(element), Value::Set(set)) => Value::List(elements(
            element,
            set.into_iter().collect(),
            false,
            diagnostics,
        )),
        (ValueType::Set(element), Value::List(list) | Value::Tuple(list)) => {
            Value::set(elements(element, list, true, diagnostics))
        }
        (ValueType::Set(element), Value::Set(set)) => Value::set(elements(
            element,
            set.into_iter().collect(),
            true,
            diagnostics,
        )),
        (ValueType::Tuple(types), Value::Tuple(list) | Value::List(list))
            if types.len() == list.len() =>
        {
            let pairs = types.iter().zip(list).enumerate();
            Value::Tuple(
                pairs
                    .map(|(index, (element, value))| {
                        to_type(element, value, &path.index(index), diagnostics)
                    })
                    .collect(),
            )
        }
        (ValueType::Map(element), Value::Map(entries) | Value::Object(entries)) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let value = to_type(element, value, &path.key(&key), diagnostics);
                    (key, value)
                })
                .collect(),
        ),
        (ValueType::Object(types), Value::Object(mut attributes) | Value::Map(mut attributes)) => {
            let object = types
                .iter()
                .map(|(name, value_type)| {
                    let value = attributes.remove(name).unwrap_or_default();
                    (
                        name.clone(),
                        to_type(value_type, value, &path.attribute(name), diagnostics),
                    )
                })
                .collect();
            for name in attributes.keys() {
                report(
                    diagnostics,
                    &path.attribute(name),
                    "the schema has no such attribute".to_owned(),
                );
            }
            Value::Object(object)
        }
        (value_type, value) => {
            report(
                diagnostics,
                path,
                format!(
                    "the schema says {value_type}, the provider made {}",
                    value.kind()
                ),
            );
            Value::Null
        }
    }
}

fn report(diagnostics: &mut Diagnostics, path: &Path, problem: String) {
    diagnostics.push(
        Diagnostic::error(
            "Provider produced a value that does not fit its schema",
            format!("{path}: {problem}. This is a bug in the provider."),
        )
        .at(path),
    );
}

/// The type that a value has by itself. Null and unknown are of no type in particular; a list whose elements differ in type is a
/// tuple.
pub(super) fn infer(value: &Value) -> ValueType {
    let shared = |types: &[ValueType]| match types.split_first() {
        None => Some(ValueType::Dynamic),
        Some((first, rest)) => rest
            .iter()
            .all(|other| other == first)
            .then(|| first.clone()),
    };
    let object = |attributes: &BTreeMap<String, Value>| {
        ValueType::object(attributes.iter().map(|(name, value)| (name, infer(value))))
    };
    match value {
        Value::Null | Value::Unknown(_) => ValueType::Dynamic,
        Value::Bool(_) => ValueType::Bool,
        Value::Number(_) => ValueType::Number,
        Value::String(_) => ValueType::String,
        Value::List(elements) => {
            let types: Vec<_> = elements.iter().map(infer).collect();
            shared(&types).map_or(ValueType::Tuple(types), ValueType::list)
        }
        Value::Set(elements) => {
            let types: Vec<_> = elements.iter().map(infer).collect();
            shared(&types).map_or(ValueType::Tuple(types), ValueType::set)
        }
        Value::Tuple(elements) => ValueType::Tuple(elements.iter().map(infer).collect()),
        Value::Map(entries) => {
            let types: Vec<_> = entries.values().map(infer).collect();
            shared(&types).map_or_else(|| object(entries), ValueType::map)
        }
        Value::Object(attributes) => object(attributes),
        Value::Dynamic(typed) => typed.value_type.clone(),
    }
}

/// Puts back what a model could not hold: of `authored`, made from `original` by way of a model, takes unknowns that
/// were left untouched from `original`, with their refinements, known parts and dynamic types.
pub(super) fn restore(original: &Value, authored: Value) -> Value {
    match (original, authored) {
        (original, Value::Unknown(None)) if !original.is_wholly_known() => original.clone(),
        (Value::Dynamic(_), authored @ Value::Dynamic(_)) => authored,
        (Value::Dynamic(typed), authored) => {
            let value = restore(&typed.value, authored);
            let mut problems = Diagnostics::new();
            let fitted = to_type(&typed.value_type, value.clone(), &Path::ROOT, &mut problems);
            if problems.is_empty() {
                Value::dynamic(typed.value_type.clone(), fitted)
            } else {
                value
            }
        }
        (Value::Object(original) | Value::Map(original), Value::Object(authored)) => {
            Value::Object(restore_entries(original, authored))
        }
        (Value::Object(original) | Value::Map(original), Value::Map(authored)) => {
            Value::Map(restore_entries(original, authored))
        }
        (Value::List(original) | Value::Tuple(original), Value::List(authored))
            if original.len() == authored.len() =>
        {
            Value::List(
                original
                    .iter()
                    .zip(authored)
                    .map(|(original, authored)| restore(original, authored))
                    .collect(),
            )
        }
        // A model holds the elements of a set in the set's order.
        (Value::Set(original), Value::List(authored)) if original.len() == authored.len() => {
            Value::List(
                original
                    .iter()
                    .zip(authored)
                    .map(|(original, authored)| restore(original, authored))
                    .collect(),
            )
        }
        // A model's float holds fewer digits than the number that it was read from.
        (Value::Number(original), Value::Number(authored))
            if Number::from_f64_shortest(original.to_f64()).as_ref() == Ok(&authored) =>
        {
            Value::Number(original.clone())
        }
        (_, authored) => authored,
    }
}

fn restore_entries(
    original: &BTreeMap<String, Value>,
    authored: BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    authored
        .into_iter()
        .map(|(name, value)| {
            let value = match original.get(&name) {
                Some(original) => restore(original, value),
                None => value,
            };
            (name, value)
        })
        .collect()
}
