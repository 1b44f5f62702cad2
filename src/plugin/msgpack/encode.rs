//! Writes MessagePack as core's own encoder would. Refuses values of another type than wanted.

use rmp::encode as rmp_write;

use super::super::number::Number;
use super::super::path::Path;
use super::super::value::{Refinement, Value};
use super::super::value_type::ValueType;
use super::{CodecError, REFINED_UNKNOWN};

/// Core's limit for the refinements of one value, in bytes.
const MAX_REFINEMENT_BYTES: usize = 1024;
/// Core's limit for a refinement by prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// Writes a value of type `value_type`, as core's own encoder would.
///
/// # Errors
///
/// [`CodecError`] when the value is not of that type.
pub fn encode(value: &Value, value_type: &ValueType) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    write(&mut bytes, value, value_type, &Path::ROOT)?;
    Ok(bytes)
}

/// Writing into a `Vec` cannot fail.
const IN_MEMORY: &str = "writing to memory does not fail";

fn write(
    bytes: &mut Vec<u8>,
    value: &Value,
    value_type: &ValueType,
    path: &Path,
) -> Result<(), CodecError> {
    match (value_type, value) {
        (_, Value::Null) => rmp_write::write_nil(bytes).expect(IN_MEMORY),
        (_, Value::Unknown(None)) => write_plain_unknown(bytes),
        (_, Value::Unknown(Some(refinement))) => write_refined_unknown(bytes, refinement),
        (ValueType::Bool, Value::Bool(value)) => {
            rmp_write::write_bool(bytes, *value).expect(IN_MEMORY)
        }
        (ValueType::Number, Value::Number(number)) => write_number(bytes, number),
        (ValueType::String, Value::String(text)) => {
            rmp_write::write_str(bytes, text).expect(IN_MEMORY)
        }
        (ValueType::List(element), Value::List(elements)) => {
            write_array_length(bytes, elements.len(), path)?;
            for (index, value) in elements.iter().enumerate() {
                write(bytes, value, element, &path.index(index))?;
            }
        }
        (ValueType::Set(element), Value::Set(elements)) => {
            write_array_length(bytes, elements.len(), path)?;
            for value in elements {
                write(bytes, value, element, &path.element())?;
            }
        }
        (ValueType::Tuple(types), Value::Tuple(elements)) if types.len() == elements.len() => {
            write_array_length(bytes, elements.len(), path)?;
            for (index, (value_type, value)) in types.iter().zip(elements).enumerate() {
                write(bytes, value, value_type, &path.index(index))?;
            }
        }
        (ValueType::Map(element), Value::Map(entries)) => {
            write_map_length(bytes, entries.len(), path)?;
            for (key, value) in entries {
                rmp_write::write_str(bytes, key).expect(IN_MEMORY);
                write(bytes, value, element, &path.key(key))?;
            }
        }
        (ValueType::Object(types), Value::Object(attributes))
            if types.keys().eq(attributes.keys()) =>
        {
            write_map_length(bytes, attributes.len(), path)?;
            for ((name, value), value_type) in attributes.iter().zip(types.values()) {
                rmp_write::write_str(bytes, name).expect(IN_MEMORY);
                write(bytes, value, value_type, &path.attribute(name))?;
            }
        }
        (ValueType::Dynamic, Value::Dynamic(typed)) => {
            rmp_write::write_array_len(bytes, 2).expect(IN_MEMORY);
            rmp_write::write_bin(bytes, &typed.value_type.to_json()).expect(IN_MEMORY);
            write(bytes, &typed.value, &typed.value_type, path)?;
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

fn write_array_length(bytes: &mut Vec<u8>, length: usize, path: &Path) -> Result<(), CodecError> {
    let length = u32::try_from(length).map_err(|_| CodecError::new(path, "too many elements"))?;
    rmp_write::write_array_len(bytes, length).expect(IN_MEMORY);
    Ok(())
}

fn write_map_length(bytes: &mut Vec<u8>, length: usize, path: &Path) -> Result<(), CodecError> {
    let length = u32::try_from(length).map_err(|_| CodecError::new(path, "too many entries"))?;
    rmp_write::write_map_len(bytes, length).expect(IN_MEMORY);
    Ok(())
}

fn write_number(bytes: &mut Vec<u8>, number: &Number) {
    if let Some(integer) = number.to_i64() {
        rmp_write::write_sint(bytes, integer).expect(IN_MEMORY);
        return;
    }
    let float = number.to_f64();
    let exact = Number::from_f64_exact(float).is_ok_and(|exact| exact == *number);
    if exact && !number.is_integer() {
        rmp_write::write_f64(bytes, float).expect(IN_MEMORY);
    } else {
        rmp_write::write_str(bytes, &number.to_string()).expect(IN_MEMORY);
    }
}

fn write_plain_unknown(bytes: &mut Vec<u8>) {
    rmp_write::write_ext_meta(bytes, 1, 0).expect(IN_MEMORY);
    bytes.push(0);
}

fn write_refined_unknown(bytes: &mut Vec<u8>, refinement: &Refinement) {
    let mut entries: u32 = 0;
    let mut payload = Vec::new();
    let mut add = |key: u8, write: &dyn Fn(&mut Vec<u8>)| {
        // One byte for the map's length comes on top.
        let mut entry = vec![key];
        write(&mut entry);
        if payload.len() + entry.len() < MAX_REFINEMENT_BYTES {
            payload.extend(entry);
            entries += 1;
        }
    };
    if let Some(null) = refinement.null {
        add(1, &|entry| {
            rmp_write::write_bool(entry, null).expect(IN_MEMORY)
        });
    }
    if let Some(prefix) = &refinement.prefix {
        let boundary = |&end: &usize| prefix.is_char_boundary(end);
        let end = (0..=prefix.len().min(MAX_PREFIX_BYTES))
            .rev()
            .find(boundary);
        let prefix = &prefix[..end.unwrap_or(0)];
        add(2, &|entry| {
            rmp_write::write_str(entry, prefix).expect(IN_MEMORY)
        });
    }
    for (key, bound) in [(3, &refinement.number_lower), (4, &refinement.number_upper)] {
        if let Some((number, inclusive)) = bound {
            add(key, &|entry| {
                rmp_write::write_array_len(entry, 2).expect(IN_MEMORY);
                write_number(entry, number);
                rmp_write::write_bool(entry, *inclusive).expect(IN_MEMORY);
            });
        }
    }
    for (key, bound) in [(5, refinement.length_lower), (6, refinement.length_upper)] {
        if let Some(length) = bound {
            add(key, &|entry| {
                rmp_write::write_sint(entry, length).expect(IN_MEMORY);
            });
        }
    }
    if entries == 0 {
        write_plain_unknown(bytes);
        return;
    }
    let length = u32::try_from(payload.len() + 1).expect("bounded above");
    rmp_write::write_ext_meta(bytes, length, REFINED_UNKNOWN).expect(IN_MEMORY);
    rmp_write::write_map_len(bytes, entries).expect(IN_MEMORY);
    bytes.extend(payload);
}
