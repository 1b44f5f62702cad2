//! Values as JSON: how Terraform stores states.
//!
//! Numbers keep every digit: they are read from their text, never through a float. Refuses: values of another type than
//! wanted, and nesting deeper than [`MAX_DEPTH`].
//!
//! Source: `reference` implementation go-cty, package `ctyjson`: a dynamic value is `{"value": …, "type": …}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::msgpack::{CodecError, MAX_DEPTH};
use super::path::Path;
use super::value::Value;
use super::value_type::ValueType;

/// What to do with attributes that an object lacks, or has too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Refuse the object.
    Refuse,
    /// Take what is missing as null, and drop what the type does not have.
    Null,
}

/// Reads a value of type `value_type` from JSON.
///
/// # Errors
///
/// [`CodecError`] with the path of what is wrong.
pub fn decode(json: &[u8], value_type: &ValueType, missing: Missing) -> Result<Value, CodecError> {
    let raw: &RawValue = parse(json, &Path::ROOT)?;
    read(raw, value_type, missing, &Path::ROOT, MAX_DEPTH)
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], path: &Path) -> Result<T, CodecError> {
    serde_json::from_slice(json).map_err(|error| CodecError::new(path, error.to_string()))
}

fn read(
    raw: &RawValue,
    value_type: &ValueType,
    missing: Missing,
    path: &Path,
    depth: usize,
) -> Result<Value, CodecError> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| CodecError::too_deep(path))?;
    let text = raw.get();
    let bytes = text.as_bytes();
    if text == "null" {
        return Ok(Value::Null);
    }
    let list = |element_type: &ValueType| -> Result<Vec<Value>, CodecError> {
        let elements: Vec<&RawValue> = parse(bytes, path)?;
        elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| read(element, element_type, missing, &path.index(index), depth))
            .collect()
    };
    match value_type {
        ValueType::Bool => parse(bytes, path).map(Value::Bool),
        ValueType::String => parse(bytes, path).map(Value::String),
        ValueType::Number => {
            // Terraform also reads numbers that were stored as strings.
            let text = if text.starts_with('"') {
                parse::<String>(bytes, path)?
            } else {
                text.to_owned()
            };
            text.parse()
                .map(Value::Number)
                .map_err(|error| CodecError::new(path, format!("a number is required: {error}")))
        }
        ValueType::List(element) => list(element).map(Value::List),
        ValueType::Set(element) => list(element).map(Value::set),
        ValueType::Tuple(types) => {
            let elements: Vec<&RawValue> = parse(bytes, path)?;
            if elements.len() != types.len() {
                return Err(CodecError::new(
                    path,
                    format!("a tuple of length {} is required", types.len()),
                ));
            }
            let elements = types.iter().zip(elements).enumerate();
            elements
                .map(|(index, (value_type, element))| {
                    read(element, value_type, missing, &path.index(index), depth)
                })
                .collect::<Result<_, _>>()
                .map(Value::Tuple)
        }
        ValueType::Map(element) => {
            let entries: BTreeMap<String, &RawValue> = parse(bytes, path)?;
            entries
                .into_iter()
                .map(|(key, value)| {
                    let value = read(value, element, missing, &path.key(&key), depth)?;
                    Ok((key, value))
                })
                .collect::<Result<_, _>>()
                .map(Value::Map)
        }
        ValueType::Object(types) => {
            let mut attributes: BTreeMap<String, &RawValue> = parse(bytes, path)?;
            let mut object = BTreeMap::new();
            for (name, value_type) in types {
                let path = path.attribute(name);
                let value = match attributes.remove(name) {
                    Some(raw) => read(raw, value_type, missing, &path, depth)?,
                    None if missing == Missing::Null => Value::Null,
                    None => return Err(CodecError::new(&path, "the attribute is missing")),
                };
                object.insert(name.clone(), value);
            }
            match attributes.keys().next() {
                Some(name) if missing == Missing::Refuse => Err(CodecError::new(
                    &path.attribute(name),
                    "unsupported attribute",
                )),
                _ => Ok(Value::Object(object)),
            }
        }
        ValueType::Dynamic => {
            #[derive(Deserialize)]
            struct Wrapped<'a> {
                #[serde(borrow)]
                value: &'a RawValue,
                #[serde(borrow, rename = "type")]
                value_type: &'a RawValue,
            }
            let wrapped: Wrapped<'_> = parse(bytes, path)?;
            let value_type = ValueType::from_json(wrapped.value_type.get().as_bytes())
                .map_err(|error| CodecError::new(path, error.to_string()))?;
            // What is inside has the type it was stored with, so nothing can be missing from it.
            let value = read(wrapped.value, &value_type, Missing::Refuse, path, depth)?;
            Ok(Value::dynamic(value_type, value))
        }
    }
}

/// Writes a value of type `value_type`.
///
/// # Errors
///
/// [`CodecError`] when the value is unknown somewhere, which JSON cannot say, or is not of that type.
pub fn encode(value: &Value, value_type: &ValueType) -> Result<Vec<u8>, CodecError> {
    let mut json = Vec::new();
    write(&mut json, value, value_type, &Path::ROOT)?;
    Ok(json)
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    json.extend(serde_json::Value::from(text).to_string().into_bytes());
}

fn write(
    json: &mut Vec<u8>,
    value: &Value,
    value_type: &ValueType,
    path: &Path,
) -> Result<(), CodecError> {
    match (value_type, value) {
        (_, Value::Unknown(_)) => {
            return Err(CodecError::new(
                path,
                "JSON cannot express an unknown value",
            ));
        }
        (_, Value::Null) => json.extend(b"null"),
        (ValueType::Bool, Value::Bool(value)) => json.extend(value.to_string().bytes()),
        (ValueType::Number, Value::Number(number)) if number.is_finite() => {
            json.extend(number.to_string().bytes())
        }
        (ValueType::String, Value::String(text)) => write_string(json, text),
        (ValueType::List(element), Value::List(elements)) => {
            write_array(
                json,
                elements.iter().map(|value| (value, element.as_ref())),
                path,
            )?;
        }
        (ValueType::Set(element), Value::Set(elements)) => {
            write_array(
                json,
                elements.iter().map(|value| (value, element.as_ref())),
                path,
            )?;
        }
        (ValueType::Tuple(types), Value::Tuple(elements)) if types.len() == elements.len() => {
            write_array(json, elements.iter().zip(types), path)?;
        }
        (ValueType::Map(element), Value::Map(entries)) => {
            json.push(b'{');
            for (position, (key, value)) in entries.iter().enumerate() {
                if position > 0 {
                    json.push(b',');
                }
                write_string(json, key);
                json.push(b':');
                write(json, value, element, &path.key(key))?;
            }
            json.push(b'}');
        }
        (ValueType::Object(types), Value::Object(attributes))
            if types.keys().eq(attributes.keys()) =>
        {
            json.push(b'{');
            for (position, (name, value)) in attributes.iter().enumerate() {
                if position > 0 {
                    json.push(b',');
                }
                write_string(json, name);
                json.push(b':');
                write(json, value, &types[name], &path.attribute(name))?;
            }
            json.push(b'}');
        }
        (ValueType::Dynamic, Value::Dynamic(typed)) => {
            json.extend(b"{\"value\":");
            write(json, &typed.value, &typed.value_type, path)?;
            json.extend(b",\"type\":");
            json.extend(typed.value_type.to_json());
            json.push(b'}');
        }
        (value_type, value) => {
            return Err(CodecError::new(
                path,
                format!("{value_type} is required, not {}", value.kind()),
            ));
        }
    }
    Ok(())
}

fn write_array<'a>(
    json: &mut Vec<u8>,
    elements: impl Iterator<Item = (&'a Value, &'a ValueType)>,
    path: &Path,
) -> Result<(), CodecError> {
    json.push(b'[');
    for (index, (value, value_type)) in elements.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(json, value, value_type, &path.index(index))?;
    }
    json.push(b']');
    Ok(())
}
