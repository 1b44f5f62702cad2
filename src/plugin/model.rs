//! Typed models: a Rust struct whose fields are named like the attributes of a schema.
//!
//! Enters: a [`Value`] of the schema's type. Leaves: the struct, and from it the value again. Refuses: a value of
//! another shape, naming the path. Every field is an [`Attr`], so that null and unknown cannot be overlooked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::diagnostics::Diagnostic;
use super::number::Number;
use super::path::Path;
use super::value::Value;

/// An attribute's value: absent, not decided yet, or there.
///
/// A collection that has unknown elements is `Unknown` as a whole, unless its element type is an `Attr` too
/// (`Vec<Attr<String>>`). Writing such an `Unknown` back untouched loses nothing: the framework puts back what was
/// known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attr<T> {
    /// Not set.
    #[default]
    Null,
    /// Known only after apply.
    Unknown,
    /// Set.
    Known(T),
}

impl<T> Attr<T> {
    /// The value, if there.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown => None,
        }
    }

    /// The value, if there.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown => None,
        }
    }

    /// Whether it is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is not decided yet.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether it is there.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// The same with a reference inside.
    pub fn as_ref(&self) -> Attr<&T> {
        match self {
            Self::Null => Attr::Null,
            Self::Unknown => Attr::Unknown,
            Self::Known(value) => Attr::Known(value),
        }
    }

    /// The same with another value inside.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Attr<U> {
        match self {
            Self::Null => Attr::Null,
            Self::Unknown => Attr::Unknown,
            Self::Known(value) => Attr::Known(convert(value)),
        }
    }
}

impl Attr<String> {
    /// The text, if there.
    pub fn as_str(&self) -> Option<&str> {
        self.known().map(String::as_str)
    }
}

impl<T> From<T> for Attr<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> From<Option<T>> for Attr<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

impl From<&str> for Attr<String> {
    fn from(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

/// Why a value does not fit a Rust type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FromValueError {
    /// Something is unknown where the type has no way to say so. An enclosing [`Attr`] turns this into
    /// [`Attr::Unknown`].
    #[error("{path} is not known yet")]
    Unknown {
        /// Where.
        path: Path,
    },
    /// Something is null where the type has no way to say so.
    #[error("{path} must not be null")]
    Null {
        /// Where.
        path: Path,
    },
    /// The value is of another kind, or out of the type's range.
    #[error("{path} must be {expected}, but is {found}")]
    Mismatch {
        /// Where.
        path: Path,
        /// What the type takes.
        expected: String,
        /// What was found; a kind or a number, never the text of a string.
        found: String,
    },
}

impl FromValueError {
    /// The message for the user, at the attribute.
    #[must_use]
    pub fn into_diagnostic(self) -> Diagnostic {
        let (summary, path) = match &self {
            Self::Unknown { path } => ("Value not known yet", path.clone()),
            Self::Null { path } => ("Value must not be null", path.clone()),
            Self::Mismatch { path, .. } => ("Invalid value", path.clone()),
        };
        Diagnostic::error(summary, format!("{self}.")).at(path)
    }

    /// `value` at `path` is not `expected`: null, unknown or of another kind.
    #[must_use]
    pub fn unexpected(value: &Value, path: &Path, expected: impl Into<String>) -> Self {
        match value.plain() {
            Value::Null => Self::Null { path: path.clone() },
            Value::Unknown(_) => Self::Unknown { path: path.clone() },
            other => Self::Mismatch {
                path: path.clone(),
                expected: expected.into(),
                found: other.kind().to_owned(),
            },
        }
    }
}

/// A Rust type that can be read from a value.
pub trait FromValue: Sized {
    /// Reads `value`, which stands at `path`.
    ///
    /// # Errors
    ///
    /// [`FromValueError`] with the path of the innermost place that does not fit.
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError>;
}

/// A Rust type that can be written as a value.
pub trait ToValue {
    /// The value; the framework fits it to the schema (a `Vec` becomes a set where the schema has a set).
    fn to_value(&self) -> Value;
}

/// A struct made by [`model!`](crate::model).
pub trait Model:
    FromValue + ToValue + Clone + Default + fmt::Debug + Send + Sync + 'static
{
    /// The fields, which are the attributes and blocks of the schema.
    const FIELDS: &'static [&'static str];
}

impl<T: FromValue> FromValue for Attr<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        match T::from_value(value, path) {
            Ok(known) => Ok(Self::Known(known)),
            Err(FromValueError::Unknown { .. }) => Ok(Self::Unknown),
            Err(error) => Err(error),
        }
    }
}

impl<T: ToValue> ToValue for Attr<T> {
    fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Unknown => Value::UNKNOWN,
            Self::Known(value) => value.to_value(),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value, _: &Path) -> Result<Self, FromValueError> {
        Ok(value.clone())
    }
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl FromValue for bool {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        match value.plain() {
            Value::Bool(value) => Ok(*value),
            other => Err(FromValueError::unexpected(other, path, "a bool")),
        }
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl FromValue for String {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        match value.plain() {
            Value::String(text) => Ok(text.clone()),
            other => Err(FromValueError::unexpected(other, path, "a string")),
        }
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        Value::String(self.clone())
    }
}

impl ToValue for &str {
    fn to_value(&self) -> Value {
        Value::String((*self).to_owned())
    }
}

impl FromValue for Number {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        match value.plain() {
            Value::Number(number) => Ok(number.clone()),
            other => Err(FromValueError::unexpected(other, path, "a number")),
        }
    }
}

impl ToValue for Number {
    fn to_value(&self) -> Value {
        Value::Number(self.clone())
    }
}

macro_rules! integer_conversions {
    ($($integer:ty),*) => {$(
        impl FromValue for $integer {
            fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
                let number = Number::from_value(value, path)?;
                number.to_i64().and_then(|integer| <$integer>::try_from(integer).ok()).ok_or_else(|| {
                    FromValueError::Mismatch {
                        path: path.clone(),
                        expected: format!("a whole number from {} to {}", <$integer>::MIN, <$integer>::MAX),
                        found: number.to_string(),
                    }
                })
            }
        }

        impl ToValue for $integer {
            fn to_value(&self) -> Value {
                Value::Number(Number::from(*self))
            }
        }
    )*};
}
integer_conversions!(i32, u32, i64);

impl FromValue for f64 {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        Ok(Number::from_value(value, path)?.to_f64())
    }
}

impl ToValue for f64 {
    /// NaN, which Terraform has not, becomes null.
    fn to_value(&self) -> Value {
        Number::from_f64_shortest(*self).map_or(Value::Null, Value::Number)
    }
}

/// The elements of a list, set or tuple, with their paths.
fn elements<'a>(
    value: &'a Value,
    path: &Path,
    expected: &str,
) -> Result<Vec<(&'a Value, Path)>, FromValueError> {
    match value.plain() {
        Value::List(elements) | Value::Tuple(elements) => Ok(elements
            .iter()
            .enumerate()
            .map(|(index, element)| (element, path.index(index)))
            .collect()),
        Value::Set(elements) => Ok(elements
            .iter()
            .map(|element| (element, path.element()))
            .collect()),
        other => Err(FromValueError::unexpected(other, path, expected)),
    }
}

/// Collects, but lets an error about the shape win over one about something unknown: the first is certain.
fn collect<T, C: FromIterator<T>>(
    results: impl IntoIterator<Item = Result<T, FromValueError>>,
) -> Result<C, FromValueError> {
    let mut unknown = None;
    let mut converted = Vec::new();
    for result in results {
        match result {
            Ok(value) => converted.push(value),
            Err(error @ FromValueError::Unknown { .. }) => unknown = unknown.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    unknown.map_or_else(|| Ok(converted.into_iter().collect()), Err)
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        collect(
            elements(value, path, "a list")?
                .into_iter()
                .map(|(element, path)| T::from_value(element, &path)),
        )
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ToValue::to_value).collect())
    }
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        collect(
            elements(value, path, "a set")?
                .into_iter()
                .map(|(element, path)| T::from_value(element, &path)),
        )
    }
}

impl<T: ToValue> ToValue for BTreeSet<T> {
    fn to_value(&self) -> Value {
        Value::set(self.iter().map(ToValue::to_value))
    }
}

impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, FromValueError> {
        match value.plain() {
            Value::Map(entries) => collect(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), T::from_value(value, &path.key(key))?))),
            ),
            Value::Object(attributes) => collect(attributes.iter().map(|(name, value)| {
                Ok((name.clone(), T::from_value(value, &path.attribute(name))?))
            })),
            other => Err(FromValueError::unexpected(other, path, "a map")),
        }
    }
}

impl<T: ToValue> ToValue for BTreeMap<String, T> {
    fn to_value(&self) -> Value {
        Value::Map(
            self.iter()
                .map(|(key, value)| (key.clone(), value.to_value()))
                .collect(),
        )
    }
}

/// Reads one field of a model; used by [`model!`](crate::model).
///
/// # Errors
///
/// As [`FromValue::from_value`]; also when the object has no such attribute, which means that model and schema differ.
#[doc(hidden)]
pub fn field<T: FromValue>(
    attributes: &BTreeMap<String, Value>,
    name: &str,
    path: &Path,
) -> Result<Attr<T>, FromValueError> {
    match attributes.get(name) {
        Some(value) => Attr::from_value(value, &path.attribute(name)),
        None => Err(FromValueError::Mismatch {
            path: path.attribute(name),
            expected: "in the schema, because the model has it".to_owned(),
            found: "missing there".to_owned(),
        }),
    }
}

/// The attributes of the object that a model is read from; used by [`model!`](crate::model).
///
/// # Errors
///
/// When `value` is no known object, or has an attribute that the model has no field for.
#[doc(hidden)]
pub fn fields<'a>(
    value: &'a Value,
    path: &Path,
    known: &[&str],
) -> Result<&'a BTreeMap<String, Value>, FromValueError> {
    let Value::Object(attributes) = value.plain() else {
        return Err(FromValueError::unexpected(value, path, "an object"));
    };
    match attributes
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        None => Ok(attributes),
        Some(name) => Err(FromValueError::Mismatch {
            path: path.attribute(name),
            expected: "a field of the model, because the schema has it".to_owned(),
            found: "missing there".to_owned(),
        }),
    }
}

/// Defines a model: a struct whose every field is wrapped in [`Attr`](crate::plugin::Attr), readable from and writable
/// as an object with attributes of the same names. A field whose name is a Rust keyword is written `r#type`.
///
/// ```
/// use mcplambda::plugin::{Attr, FromValue, Path, ToValue, Value};
///
/// mcplambda::model! {
///     /// A server.
///     #[derive(Eq)]
///     pub struct Server {
///         /// Its name.
///         pub name: String,
///         pub ports: Vec<u32>,
///     }
/// }
///
/// let server = Server { name: "time".into(), ports: Attr::Unknown };
/// assert_eq!(Server::from_value(&server.to_value(), &Path::ROOT), Ok(server));
/// ```
#[macro_export]
macro_rules! model {
    ($(
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_visibility:vis $field:ident : $type:ty ),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $name {
            $( $(#[$field_meta])* $field_visibility $field: $crate::plugin::Attr<$type> ),*
        }

        impl $crate::plugin::Model for $name {
            const FIELDS: &'static [&'static str] = &[$( $crate::plugin::model::plain_name(stringify!($field)) ),*];
        }

        impl $crate::plugin::FromValue for $name {
            fn from_value(
                value: &$crate::plugin::Value,
                path: &$crate::plugin::Path,
            ) -> ::std::result::Result<Self, $crate::plugin::FromValueError> {
                #[allow(unused_variables)] // A model may have no fields.
                let attributes =
                    $crate::plugin::model::fields(value, path, <Self as $crate::plugin::Model>::FIELDS)?;
                ::std::result::Result::Ok(Self {
                    $( $field: $crate::plugin::model::field(
                        attributes,
                        const { $crate::plugin::model::plain_name(stringify!($field)) },
                        path,
                    )? ),*
                })
            }
        }

        impl $crate::plugin::ToValue for $name {
            fn to_value(&self) -> $crate::plugin::Value {
                $crate::plugin::Value::object::<&str>([
                    $( (
                        const { $crate::plugin::model::plain_name(stringify!($field)) },
                        $crate::plugin::ToValue::to_value(&self.$field),
                    ) ),*
                ])
            }
        }
    )+};
}

/// The attribute's name for a field's name: `type` for `r#type`.
#[doc(hidden)]
#[must_use]
pub const fn plain_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

model! {
    /// A model without attributes: the configuration of a provider that has none.
    #[derive(Eq)]
    pub struct Empty {}
}
