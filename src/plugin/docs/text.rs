//! Small pieces of Markdown: types, values, sentences.

use std::fmt::Write as _;

use crate::plugin::value::Value;
use crate::plugin::value_type::ValueType;

/// A type in the words of the Registry: `List of String`.
pub(super) fn type_label(value_type: &ValueType) -> String {
    match value_type {
        ValueType::Bool => "Boolean".to_owned(),
        ValueType::Number => "Number".to_owned(),
        ValueType::String => "String".to_owned(),
        ValueType::Dynamic => "Dynamic".to_owned(),
        ValueType::List(element) => format!("List of {}", type_label(element)),
        ValueType::Set(element) => format!("Set of {}", type_label(element)),
        ValueType::Map(element) => format!("Map of {}", type_label(element)),
        ValueType::Tuple(_) => "Tuple".to_owned(),
        ValueType::Object(_) => "Object".to_owned(),
    }
}

/// A type as a configuration writes it: `list(string)`.
pub(super) fn type_expression(value_type: &ValueType) -> String {
    match value_type {
        ValueType::Bool => "bool".to_owned(),
        ValueType::Number => "number".to_owned(),
        ValueType::String => "string".to_owned(),
        ValueType::Dynamic => "dynamic".to_owned(),
        ValueType::List(element) => format!("list({})", type_expression(element)),
        ValueType::Set(element) => format!("set({})", type_expression(element)),
        ValueType::Map(element) => format!("map({})", type_expression(element)),
        ValueType::Tuple(elements) => {
            let elements: Vec<_> = elements.iter().map(type_expression).collect();
            format!("tuple([{}])", elements.join(", "))
        }
        ValueType::Object(attributes) => {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(name, value_type)| format!("{name} = {}", type_expression(value_type)))
                .collect();
            format!("object({{{}}})", attributes.join(", "))
        }
    }
}

/// A default as a configuration would write it; nothing for what cannot be written.
pub(super) fn hcl(value: &Value) -> Option<String> {
    let list = |values: &mut dyn Iterator<Item = &Value>| {
        let values: Option<Vec<_>> = values.map(hcl).collect();
        Some(format!("[{}]", values?.join(", ")))
    };
    match value {
        Value::Null | Value::Unknown(_) => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(format!("{text:?}")),
        Value::List(values) | Value::Tuple(values) => list(&mut values.iter()),
        Value::Set(values) => list(&mut values.iter()),
        Value::Map(entries) | Value::Object(entries) => {
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(name, value)| Some(format!("{name} = {}", hcl(value)?)))
                .collect();
            let entries = entries?;
            if entries.is_empty() {
                return Some("{}".to_owned());
            }
            Some(format!("{{ {} }}", entries.join(", ")))
        }
        Value::Dynamic(typed) => hcl(&typed.value),
    }
}

/// The text with a full stop, unless it ends in a punctuation mark of its own or a code block.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    match text.chars().last() {
        None | Some('.' | '!' | '?' | ':') => text.to_owned(),
        Some(_) if text.ends_with("```") => text.to_owned(),
        Some(_) => format!("{text}."),
    }
}

pub(super) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// The text with its lines, all or all but the first, moved to the right. Empty lines stay empty.
pub(super) fn indent(text: &str, by: &str, first_too: bool) -> String {
    let lines = text.lines().enumerate().map(|(index, line)| {
        if line.is_empty() || (index == 0 && !first_too) {
            line.to_owned()
        } else {
            format!("{by}{line}")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Appends formatted text. Writing to a `String` cannot fail.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
