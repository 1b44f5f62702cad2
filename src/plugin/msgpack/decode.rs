//! Reads MessagePack. Refuses, with the path: truncated input, other types, objects with other attributes, nesting deeper
//! than [`MAX_DEPTH`]. Never allocates for elements that the input announces but does not hold.

use std::collections::BTreeMap;

use rmp::Marker;

use super::super::number::{Number, NumberError};
use super::super::path::Path;
use super::super::value::{Refinement, Value};
use super::super::value_type::ValueType;
use super::{CodecError, MAX_DEPTH, REFINED_UNKNOWN};

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
    let invalid =
        |error: NumberError| CodecError::new(path, format!("a number is required: {error}"));
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
