//! Enters: one level of a schema. Leaves: sentences for what a gateway's schema cannot say about it, each short.
//! Refuses: to say at length; long values and lists are cut, with a count.

use serde_json::Value;

use super::flatten::Flat;
use super::kind::Kind;

/// Characters of one value, or of one list of values, in a sentence.
const LONGEST_VALUE: usize = 200;
/// Values listed before the rest is only counted.
const LONGEST_LIST: usize = 30;

/// `text`, cut after [`LONGEST_VALUE`] characters.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `first, second, third`, cut with a count of what is left out.
pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    let mut text = String::new();
    for (index, value) in values.iter().enumerate() {
        if index == LONGEST_LIST || text.len() > 10 * LONGEST_VALUE {
            return format!("{text} and {} more", values.len() - index);
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(value);
    }
    text
}

/// The JSON text of a value, cut.
pub(super) fn json(value: &Value) -> String {
    shorten(&value.to_string())
}

/// The sentences for the keywords of `flat` that are told in words, in a fixed order.
pub(super) fn sentences(flat: &Flat<'_>, kind: Kind, is_root: bool) -> Vec<String> {
    let mut told = Vec::new();
    values(flat, &mut told);
    match kind {
        Kind::String => string(flat, &mut told),
        Kind::Number | Kind::Integer => number(flat, &mut told),
        Kind::Array => array(flat, &mut told),
        Kind::Object => object(flat, is_root, &mut told),
        Kind::Boolean | Kind::Null => {}
    }
    rules(flat, &mut told);
    annotations(flat, &mut told);
    told
}

fn values(flat: &Flat<'_>, told: &mut Vec<String>) {
    for only in flat.all("const") {
        told.push(format!("Must be {}.", json(only)));
    }
    for allowed in flat.all("enum").filter_map(Value::as_array) {
        told.push(format!(
            "Allowed values: {}.",
            list(allowed.iter().map(json))
        ));
    }
}

fn string(flat: &Flat<'_>, told: &mut Vec<String>) {
    for format in flat.all("format").filter_map(Value::as_str) {
        told.push(format!("Format: {}.", shorten(format)));
    }
    for pattern in flat.all("pattern").filter_map(Value::as_str) {
        told.push(format!(
            "Must match the regular expression {}.",
            shorten(pattern)
        ));
    }
    told.extend(count(flat, "minLength", "maxLength", |bounds| {
        format!("Length {bounds}.")
    }));
    let media = flat.first("contentMediaType").and_then(Value::as_str);
    match (flat.first("contentEncoding").and_then(Value::as_str), media) {
        (Some(encoding), Some(media)) => {
            told.push(format!("{}-encoded {}.", shorten(encoding), shorten(media)))
        }
        (Some(encoding), None) => told.push(format!("{}-encoded.", shorten(encoding))),
        (None, Some(media)) => told.push(format!("Holds {}.", shorten(media))),
        (None, None) => {}
    }
}

fn number(flat: &Flat<'_>, told: &mut Vec<String>) {
    let number = |keyword| flat.first(keyword).filter(|value| value.is_number());
    // Draft-04 made `exclusiveMinimum` a flag of `minimum`.
    let flag = |keyword| flat.first(keyword) == Some(&Value::Bool(true));
    let (minimum, above) = (number("minimum"), number("exclusiveMinimum"));
    let (maximum, below) = (number("maximum"), number("exclusiveMaximum"));
    if let Some(bound) = minimum {
        let words = if flag("exclusiveMinimum") {
            "Greater than"
        } else {
            "At least"
        };
        told.push(format!("{words} {bound}."));
    }
    if let Some(bound) = above {
        told.push(format!("Greater than {bound}."));
    }
    if let Some(bound) = maximum {
        let words = if flag("exclusiveMaximum") {
            "Less than"
        } else {
            "At most"
        };
        told.push(format!("{words} {bound}."));
    }
    if let Some(bound) = below {
        told.push(format!("Less than {bound}."));
    }
    if let Some(factor) = number("multipleOf") {
        told.push(format!("Multiple of {factor}."));
    }
}

fn array(flat: &Flat<'_>, told: &mut Vec<String>) {
    told.extend(count(flat, "minItems", "maxItems", |bounds| {
        format!("Items: {bounds}.")
    }));
    if flat.first("uniqueItems") == Some(&Value::Bool(true)) {
        told.push("Items are unique.".to_owned());
    }
    if let Some(contained) = flat.first("contains") {
        told.push(format!(
            "At least one item matches the schema {}.",
            json(contained)
        ));
    }
}

fn object(flat: &Flat<'_>, is_root: bool, told: &mut Vec<String>) {
    told.extend(count(flat, "minProperties", "maxProperties", |bounds| {
        format!("Keys: {bounds}.")
    }));
    if let Some(names) = flat.first("propertyNames") {
        told.push(format!("Keys match the schema {}.", json(names)));
    }
    // At the root nobody adds arguments that are not listed.
    if flat.first("additionalProperties") == Some(&Value::Bool(false)) && !is_root {
        told.push("No other keys.".to_owned());
    }
    if let Some(Value::Object(dependencies)) = flat.first("dependentRequired") {
        for (key, needed) in dependencies {
            let names = needed
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            told.push(format!(
                "If {} is given, so must be {}.",
                shorten(key),
                list(names.map(shorten))
            ));
        }
    }
    if let Some(Value::Object(dependencies)) = flat.first("dependentSchemas") {
        for (key, schema) in dependencies {
            told.push(format!(
                "If {} is given, the schema {} holds.",
                shorten(key),
                json(schema)
            ));
        }
    }
}

fn rules(flat: &Flat<'_>, told: &mut Vec<String>) {
    for forbidden in flat.all("not") {
        told.push(format!("Must not match the schema {}.", json(forbidden)));
    }
    if let Some(condition) = flat.first("if") {
        let condition = json(condition);
        if let Some(then) = flat.first("then") {
            told.push(format!(
                "If it matches the schema {condition}, then {} holds.",
                json(then)
            ));
        }
        if let Some(otherwise) = flat.first("else") {
            told.push(format!(
                "Unless it matches the schema {condition}, {} holds.",
                json(otherwise)
            ));
        }
    }
}

fn annotations(flat: &Flat<'_>, told: &mut Vec<String>) {
    if let Some(default) = flat.first("default") {
        told.push(format!("Default: {}.", json(default)));
    }
    if let Some(Value::Array(examples)) = flat.first("examples") {
        if !examples.is_empty() {
            told.push(format!(
                "Example: {}.",
                list(examples.iter().take(2).map(json))
            ));
        }
    } else if let Some(example) = flat.first("example") {
        told.push(format!("Example: {}.", json(example)));
    }
    for (keyword, word) in [("deprecated", "Deprecated."), ("writeOnly", "Write-only.")] {
        if flat.first(keyword) == Some(&Value::Bool(true)) {
            told.push(word.to_owned());
        }
    }
}

fn count(
    flat: &Flat<'_>,
    least: &str,
    most: &str,
    say: impl Fn(String) -> String,
) -> Option<String> {
    let number = |keyword| flat.first(keyword).filter(|value| value.is_number());
    match (number(least), number(most)) {
        (Some(least), Some(most)) if least == most => Some(say(format!("exactly {least}"))),
        (Some(least), Some(most)) => Some(say(format!("{least} to {most}"))),
        (Some(least), None) => Some(say(format!("at least {least}"))),
        (None, Some(most)) => Some(say(format!("at most {most}"))),
        (None, None) => None,
    }
}

/// A description: the schema's own words, then `told`; the title where there are no own words. The title of the root is only
/// the generated name of a class of arguments, beside the tool's own description.
pub(super) fn description(flat: &Flat<'_>, told: &[String], is_root: bool) -> Option<String> {
    let mut own = flat.descriptions.join(" ");
    if own.is_empty() && !is_root {
        own = flat.title.unwrap_or_default().to_owned();
    }
    if !told.is_empty() && own.ends_with(char::is_alphanumeric) {
        own.push('.');
    }
    let mut parts = vec![own];
    parts.extend(told.iter().cloned());
    parts.retain(|part| !part.is_empty());
    (!parts.is_empty()).then(|| parts.join(" "))
}
