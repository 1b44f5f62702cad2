//! Values as MessagePack: how core and provider talk.
//!
//! Enters: bytes from core, and the type that the schema gives them. Leaves: a value of exactly that type. Refuses, with
//! the path: truncated input, other types, objects with other attributes, nesting deeper than [`MAX_DEPTH`]. Never
//! panics, and never allocates for elements that the input announces but does not hold.
//!
//! Source: go-cty, package `msgpack`. Unknown is an extension: code 0 without content, or code 12 with refinements.

use std::collections::BTreeMap;

use rmp::Marker;
use rmp::encode as rmp_write;

use super::number::Number;
use super::path::Path;
use super::value::{Refinement, Value};
use super::value_type::ValueType;

/// How deep values may be nested. Schemas are a handful of levels deep; only dynamic values can go further.
pub const MAX_DEPTH: usize = 128;

/// Extension code of an unknown value about which something is known.
const REFINED_UNKNOWN: i8 = 12;
/// Core's limit for the refinements of one value, in bytes.
const MAX_REFINEMENT_BYTES: usize = 1024;
/// Core's limit for a refinement by prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// Bytes and type do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", if path.is_root() { String::new() } else { format!("{path}: ") })]
pub struct CodecError {
    /// Where in the value.
    pub path: Path,
    /// What is wrong.
    pub reason: String,
}

impl CodecError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn too_deep(path: &Path) -> Self {
        Self::new(path, format!("nested deeper than {MAX_DEPTH} levels"))
    }
}

/// Reads a value of type `value_type`; the bytes must hold nothing else.
///
/// # Errors
///
/// [`CodecError`] with the path of what is wrong.
pub fn decode(bytes: &[u8], value_type: &ValueType) -> Result<Value, CodecError> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(value_type, &Path::ROOT, MAX_DEPTH)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(CodecError::new(
            &Path::ROOT,
            format!("{} bytes after the value", reader.rest.len()),
        ))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// A token of MessagePack; collections as their announced length, content to follow.
enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Array(u32),
    Map(u32),
    Extension(i8, &'a [u8]),
}

impl Token<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a bool",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Binary(_) => "binary data",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Extension(..) => "an extension",
        }
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, path: &Path) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| CodecError::new(path, "the data ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, path: &Path) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| CodecError::new(path, "the data ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn token(&mut self, path: &Path) -> Result<Token<'a>, CodecError> {
        let [first] = self.array(path)?;
        macro_rules! number {
            ($integer:ty) => {
                <$integer>::from_be_bytes(self.array(path)?)
            };
        }
        macro_rules! bytes {
            ($length:ty) => {{
                let length = number!($length);
                self.take(length as usize, path)?
            }};
        }
        macro_rules! extension {
            ($length:expr) => {{
                let length = $length as usize;
                let code = number!(i8);
                Token::Extension(code, self.take(length, path)?)
            }};
        }
        Ok(match Marker::from_u8(first) {
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::FixPos(value) => Token::Unsigned(value.into()),
            Marker::FixNeg(value) => Token::Signed(value.into()),
            Marker::U8 => Token::Unsigned(number!(u8).into()),
            Marker::U16 => Token::Unsigned(number!(u16).into()),
            Marker::U32 => Token::Unsigned(number!(u32).into()),
            Marker::U64 => Token::Unsigned(number!(u64)),
            Marker::I8 => Token::Signed(number!(i8).into()),
            Marker::I16 => Token::Signed(number!(i16).into()),
            Marker::I32 => Token::Signed(number!(i32).into()),
            Marker::I64 => Token::Signed(number!(i64)),
            Marker::F32 => Token::Float(f32::from_bits(number!(u32)).into()),
            Marker::F64 => Token::Float(f64::from_bits(number!(u64))),
            Marker::FixStr(length) => Token::Text(self.take(length.into(), path)?),
            Marker::Str8 => Token::Text(bytes!(u8)),
            Marker::Str16 => Token::Text(bytes!(u16)),
            Marker::Str32 => Token::Text(bytes!(u32)),
            Marker::Bin8 => Token::Binary(bytes!(u8)),
            Marker::Bin16 => Token::Binary(bytes!(u16)),
            Marker::Bin32 => Token::Binary(bytes!(u32)),
            Marker::FixArray(length) => Token::Array(length.into()),
            Marker::Array16 => Token::Array(number!(u16).into()),
            Marker::Array32 => Token::Array(number!(u32)),
            Marker::FixMap(length) => Token::Map(length.into()),
            Marker::Map16 => Token::Map(number!(u16).into()),
            Marker::Map32 => Token::Map(number!(u32)),
            Marker::FixExt1 => extension!(1),
            Marker::FixExt2 => extension!(2),
            Marker::FixExt4 => extension!(4),
            Marker::FixExt8 => extension!(8),
            Marker::FixExt16 => extension!(16),
            Marker::Ext8 => extension!(number!(u8)),
            Marker::Ext16 => extension!(number!(u16)),
            Marker::Ext32 => extension!(number!(u32)),
            Marker::Reserved => return Err(CodecError::new(path, "the data is not MessagePack")),
        })
    }

    fn value(
        &mut self,
        value_type: &ValueType,
        path: &Path,
        depth: usize,
    ) -> Result<Value, CodecError> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| CodecError::too_deep(path))?;
        let token = self.token(path)?;
        match token {
            Token::Nil => return Ok(Value::Null),
            Token::Extension(REFINED_UNKNOWN, payload) => {
                return refinement(payload, path).map(Value::Unknown);
            }
            Token::Extension(..) => return Ok(Value::UNKNOWN),
            _ => {}
        }
        match (value_type, token) {
            (ValueType::Bool, Token::Bool(value)) => Ok(Value::Bool(value)),
            (ValueType::String, Token::Text(text)) => {
                Ok(Value::String(utf8(text, path)?.to_owned()))
            }
            (ValueType::Number, token) => number(&token, path).map(Value::Number),
            (ValueType::List(element), Token::Array(length)) => {
                self.elements(length, element, path, depth).map(Value::List)
            }
            (ValueType::Set(element), Token::Array(length)) => {
                Ok(Value::set(self.elements(length, element, path, depth)?))
            }
            (ValueType::Tuple(types), Token::Array(length)) => {
                if types.len() != length as usize {
                    return Err(CodecError::new(
                        path,
                        format!("a tuple of length {} is required", types.len()),
                    ));
                }
                types
                    .iter()
                    .enumerate()
                    .map(|(index, value_type)| self.value(value_type, &path.index(index), depth))
                    .collect::<Result<_, _>>()
                    .map(Value::Tuple)
            }
            (ValueType::Map(element), Token::Map(length)) => {
                let mut entries = BTreeMap::new();
                for _ in 0..length {
                    let key = self.key(path)?;
                    let value = self.value(element, &path.key(key), depth)?;
                    entries.insert(key.to_owned(), value);
                }
                Ok(Value::Map(entries))
            }
            (ValueType::Object(types), Token::Map(length)) => {
                if types.len() != length as usize {
                    let problem = format!(
                        "an object with {} attributes is required ({length} given)",
                        types.len()
                    );
                    return Err(CodecError::new(path, problem));
                }
                let mut attributes = BTreeMap::new();
                for _ in 0..length {
                    let name = self.key(path)?;
                    let path = path.attribute(name);
                    let value_type = types
                        .get(name)
                        .ok_or_else(|| CodecError::new(&path, "unsupported attribute"))?;
                    if attributes
                        .insert(name.to_owned(), self.value(value_type, &path, depth)?)
                        .is_some()
                    {
                        return Err(CodecError::new(&path, "the attribute is there twice"));
                    }
                }
                Ok(Value::Object(attributes))
            }
            (ValueType::Dynamic, Token::Array(2)) => {
                let (Token::Binary(json) | Token::Text(json)) = self.token(path)? else {
                    return Err(CodecError::new(
                        path,
                        "a dynamic value must start with its type",
                    ));
                };
                let value_type = ValueType::from_json(json)
                    .map_err(|error| CodecError::new(path, error.to_string()))?;
                let value = self.value(&value_type, path, depth)?;
                Ok(Value::dynamic(value_type, value))
            }
            (value_type, token) => Err(CodecError::new(
                path,
                format!("{value_type} is required, not {}", token.kind()),
            )),
        }
    }

    fn elements(
        &mut self,
        length: u32,
        element: &ValueType,
        path: &Path,
        depth: usize,
    ) -> Result<Vec<Value>, CodecError> {
        // Grows as elements come in: the announced length may be a lie.
        let mut elements = Vec::new();
        for index in 0..length as usize {
            elements.push(self.value(element, &path.index(index), depth)?);
        }
        Ok(elements)
    }

    fn key(&mut self, path: &Path) -> Result<&'a str, CodecError> {
        match self.token(path)? {
            Token::Text(key) => utf8(key, path),
            token => Err(CodecError::new(
                path,
                format!("a key must be a string, not {}", token.kind()),
            )),
        }
    }

    /// Skips a value of any kind, however deep, without recursion.
    fn skip(&mut self, path: &Path) -> Result<(), CodecError> {
        let mut pending: u64 = 1;
        while pending > 0 {
            pending -= 1;
            match self.token(path)? {
                Token::Array(length) => pending = pending.saturating_add(length.into()),
                Token::Map(length) => pending = pending.saturating_add(u64::from(length) * 2),
                _ => {}
            }
        }
        Ok(())
    }
}

fn utf8<'a>(text: &'a [u8], path: &Path) -> Result<&'a str, CodecError> {
    std::str::from_utf8(text).map_err(|_| CodecError::new(path, "a string is not UTF-8"))
}

fn number(token: &Token<'_>, path: &Path) -> Result<Number, CodecError> {
    let invalid = |error: super::number::NumberError| {
        CodecError::new(path, format!("a number is required: {error}"))
    };
    match token {
        Token::Unsigned(value) => Ok(Number::from(*value)),
        Token::Signed(value) => Ok(Number::from(*value)),
        Token::Float(value) => Number::from_f64_exact(*value).map_err(invalid),
        Token::Text(text) => utf8(text, path)?.parse().map_err(invalid),
        other => Err(CodecError::new(
            path,
            format!("number is required, not {}", other.kind()),
        )),
    }
}

/// Reads what is known about an unknown value; keys from the future are skipped.
fn refinement(payload: &[u8], path: &Path) -> Result<Option<Box<Refinement>>, CodecError> {
    let wrong = || CodecError::new(path, "the refinement of an unknown value is malformed");
    let mut reader = Reader { rest: payload };
    let Token::Map(length) = reader.token(path)? else {
        return Err(wrong());
    };
    let mut refinement = Refinement::default();
    for _ in 0..length {
        let Token::Unsigned(key) = reader.token(path)? else {
            return Err(wrong());
        };
        match key {
            1 => {
                let Token::Bool(null) = reader.token(path)? else {
                    return Err(wrong());
                };
                refinement.null = Some(null);
            }
            2 => {
                let Token::Text(prefix) = reader.token(path)? else {
                    return Err(wrong());
                };
                refinement.prefix = Some(utf8(prefix, path)?.to_owned());
            }
            3 | 4 => {
                let Token::Array(2) = reader.token(path)? else {
                    return Err(wrong());
                };
                let bound = number(&reader.token(path)?, path)?;
                let Token::Bool(inclusive) = reader.token(path)? else {
                    return Err(wrong());
                };
                let place = if key == 3 {
                    &mut refinement.number_lower
                } else {
                    &mut refinement.number_upper
                };
                *place = Some((bound, inclusive));
            }
            5 | 6 => {
                let length = match reader.token(path)? {
                    Token::Unsigned(length) => i64::try_from(length).map_err(|_| wrong())?,
                    Token::Signed(length) => length,
                    _ => return Err(wrong()),
                };
                let place = if key == 5 {
                    &mut refinement.length_lower
                } else {
                    &mut refinement.length_upper
                };
                *place = Some(length);
            }
            _ => reader.skip(path)?,
        }
    }
    Ok((refinement != Refinement::default()).then(|| Box::new(refinement)))
}

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
        let prefix = &prefix[..prefix.floor_char_boundary(MAX_PREFIX_BYTES)];
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
