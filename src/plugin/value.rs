//! Terraform's values, as the provider sees them: no bytes, no protocol types.
//!
//! Enters and leaves: everything that `cty` can express, with null and unknown at any depth, refinements of unknowns,
//! numbers of any precision. A [`Value`] does not carry its type, except inside [`Value::Dynamic`]; which type it must
//! have is the schema's business ([`super::value_type`]).

use std::collections::BTreeMap;

use super::number::Number;
use super::path::Path;
use super::value_type::ValueType;

/// One value. The order between values is total and only serves to keep sets canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Absent. In a configuration: not written, or written as `null`.
    #[default]
    Null,
    /// Decided later, with what is already known about it.
    Unknown(Option<Box<Refinement>>),
    /// `bool`
    Bool(bool),
    /// `number`
    Number(Number),
    /// `string`
    String(String),
    /// `list(T)`
    List(Vec<Value>),
    /// `set(T)`
    Set(ValueSet),
    /// `map(T)`
    Map(BTreeMap<String, Value>),
    /// `tuple([…])`
    Tuple(Vec<Value>),
    /// `object({…})`; holds every attribute of its type, null where absent.
    Object(BTreeMap<String, Value>),
    /// A value where the schema says `dynamic`, with the type it turned out to have.
    Dynamic(Box<Typed>),
}

/// A value together with its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Typed {
    /// The concrete type.
    pub value_type: ValueType,
    /// A value of that type.
    pub value: Value,
}

/// What is known about an unknown value. `None` means: nothing about that aspect.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refinement {
    /// `Some(true)`: will be null; `Some(false)`: will not be null.
    pub null: Option<bool>,
    /// A string that starts like this.
    pub prefix: Option<String>,
    /// A number not below this bound; `true`: the bound itself is possible.
    pub number_lower: Option<(Number, bool)>,
    /// A number not above this bound; `true`: the bound itself is possible.
    pub number_upper: Option<(Number, bool)>,
    /// A collection with at least this many elements.
    pub length_lower: Option<i64>,
    /// A collection with at most this many elements.
    pub length_upper: Option<i64>,
}

/// Elements of a set: sorted, and without duplicates.
///
/// Elements that are not wholly known are never taken for duplicates of each other, because they may yet differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueSet(Vec<Value>);

impl ValueSet {
    /// The elements, sorted.
    pub fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.iter()
    }

    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Value> for ValueSet {
    fn from_iter<I: IntoIterator<Item = Value>>(elements: I) -> Self {
        let mut elements: Vec<Value> = elements.into_iter().collect();
        elements.sort();
        elements.dedup_by(|a, b| a == b && a.is_wholly_known());
        Self(elements)
    }
}

impl IntoIterator for ValueSet {
    type Item = Value;
    type IntoIter = std::vec::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ValueSet {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Value {
    /// An unknown of which nothing is known.
    pub const UNKNOWN: Self = Self::Unknown(None);

    /// A set of these elements.
    pub fn set(elements: impl IntoIterator<Item = Self>) -> Self {
        Self::Set(elements.into_iter().collect())
    }

    /// An object with these attributes.
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// A value for a `dynamic` place, with its type.
    #[must_use]
    pub fn dynamic(value_type: ValueType, value: Self) -> Self {
        Self::Dynamic(Box::new(Typed { value_type, value }))
    }

    /// Null, also when it is a typed null in a `dynamic` place.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Self::Null)
    }

    /// Unknown as a whole, also in a `dynamic` place. For unknowns further inside see [`Self::is_wholly_known`].
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.plain(), Self::Unknown(_))
    }

    /// Whether nothing is unknown, at any depth.
    #[must_use]
    pub fn is_wholly_known(&self) -> bool {
        self.first_unknown().is_none()
    }

    /// The path of the first unknown, looking from here.
    #[must_use]
    pub fn first_unknown(&self) -> Option<Path> {
        fn find(value: &Value, path: Path) -> Option<Path> {
            match value {
                Value::Unknown(_) => Some(path),
                Value::Dynamic(typed) => find(&typed.value, path),
                Value::List(elements) | Value::Tuple(elements) => elements
                    .iter()
                    .enumerate()
                    .find_map(|(index, element)| find(element, path.index(index))),
                // A path cannot point into a set.
                Value::Set(elements) => elements
                    .iter()
                    .find_map(|element| find(element, path.element()).map(|_| path.clone())),
                Value::Map(entries) => entries
                    .iter()
                    .find_map(|(key, value)| find(value, path.key(key))),
                Value::Object(attributes) => attributes
                    .iter()
                    .find_map(|(name, value)| find(value, path.attribute(name))),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            }
        }
        find(self, Path::ROOT)
    }

    /// The value without the type that a `dynamic` place wraps around it.
    #[must_use]
    pub fn plain(&self) -> &Self {
        let mut value = self;
        while let Self::Dynamic(typed) = value {
            value = &typed.value;
        }
        value
    }

    /// The attribute of an object; `None` when this is no known object or has no such attribute.
    #[must_use]
    pub fn get(&self, attribute: &str) -> Option<&Self> {
        match self.plain() {
            Self::Object(attributes) => attributes.get(attribute),
            _ => None,
        }
    }

    /// The value at `path`; `None` when the path leads nowhere, or into a set.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Self> {
        use super::path::Step;
        path.steps()
            .iter()
            .try_fold(self, |value, step| match (value.plain(), step) {
                (Self::Object(attributes), Step::Attribute(name)) => attributes.get(name),
                (Self::Map(entries), Step::Key(key)) => entries.get(key),
                (Self::List(elements) | Self::Tuple(elements), Step::Index(index)) => {
                    usize::try_from(*index)
                        .ok()
                        .and_then(|index| elements.get(index))
                }
                _ => None,
            })
    }

    /// What kind of value this is, in words for a message; says nothing of the contents.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Unknown(_) => "an unknown value",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Tuple(_) => "a tuple",
            Self::Object(_) => "an object",
            Self::Dynamic(typed) => typed.value.kind(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}
