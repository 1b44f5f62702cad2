//! The type of a value, and its JSON notation (`["list","string"]`) as schemas and `dynamic` values carry it.
//!
//! Refuses: text that is not such a type, and types nested deeper than the JSON parser's bound of 128 levels.

use std::collections::BTreeMap;

use serde_json::json;

/// A type of Terraform's type system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// Any type, decided by the value; Terraform writes it `any`.
    Dynamic,
    /// `list(T)`
    List(Box<ValueType>),
    /// `set(T)`
    Set(Box<ValueType>),
    /// `map(T)`
    Map(Box<ValueType>),
    /// `tuple([…])`
    Tuple(Vec<ValueType>),
    /// `object({…})`
    Object(BTreeMap<String, ValueType>),
}

/// The bytes are not a type expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Terraform type expression: {reason}")]
pub struct TypeError {
    /// What is wrong.
    pub reason: String,
}

impl ValueType {
    /// `list(element)`
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// `set(element)`
    #[must_use]
    pub fn set(element: Self) -> Self {
        Self::Set(Box::new(element))
    }

    /// `map(element)`
    #[must_use]
    pub fn map(element: Self) -> Self {
        Self::Map(Box::new(element))
    }

    /// `object({…})`
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, value_type)| (name.into(), value_type))
                .collect(),
        )
    }

    /// Whether `dynamic` occurs in the type.
    #[must_use]
    pub fn contains_dynamic(&self) -> bool {
        match self {
            Self::Dynamic => true,
            Self::Bool | Self::Number | Self::String => false,
            Self::List(element) | Self::Set(element) | Self::Map(element) => {
                element.contains_dynamic()
            }
            Self::Tuple(elements) => elements.iter().any(Self::contains_dynamic),
            Self::Object(attributes) => attributes.values().any(Self::contains_dynamic),
        }
    }

    /// The JSON notation, without spaces and with sorted object keys.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.to_json_value().to_string().into_bytes()
    }

    fn to_json_value(&self) -> serde_json::Value {
        match self {
            Self::Bool => json!("bool"),
            Self::Number => json!("number"),
            Self::String => json!("string"),
            Self::Dynamic => json!("dynamic"),
            Self::List(element) => json!(["list", element.to_json_value()]),
            Self::Set(element) => json!(["set", element.to_json_value()]),
            Self::Map(element) => json!(["map", element.to_json_value()]),
            Self::Tuple(elements) => {
                json!([
                    "tuple",
                    elements.iter().map(Self::to_json_value).collect::<Vec<_>>()
                ])
            }
            Self::Object(attributes) => {
                let attributes: serde_json::Map<_, _> = attributes
                    .iter()
                    .map(|(name, value_type)| (name.clone(), value_type.to_json_value()))
                    .collect();
                json!(["object", attributes])
            }
        }
    }

    /// Reads the JSON notation. The list of optional attributes that an object type may carry is accepted and dropped:
    /// no value has such a type.
    ///
    /// # Errors
    ///
    /// [`TypeError`] for anything else.
    pub fn from_json(json: &[u8]) -> Result<Self, TypeError> {
        // `serde_json` stops at 128 levels, which bounds the recursion below.
        let value = serde_json::from_slice(json).map_err(|error| TypeError {
            reason: error.to_string(),
        })?;
        Self::from_json_value(&value)
    }

    fn from_json_value(json: &serde_json::Value) -> Result<Self, TypeError> {
        let refuse = |reason: &str| {
            Err(TypeError {
                reason: reason.to_owned(),
            })
        };
        if let Some(name) = json.as_str() {
            return match name {
                "bool" => Ok(Self::Bool),
                "number" => Ok(Self::Number),
                "string" => Ok(Self::String),
                "dynamic" => Ok(Self::Dynamic),
                _ => refuse("unknown type name"),
            };
        }
        let Some([serde_json::Value::String(kind), arguments @ ..]) =
            json.as_array().map(Vec::as_slice)
        else {
            return refuse("expected a type name or an array that starts with one");
        };
        match (kind.as_str(), arguments) {
            ("list", [element]) => Ok(Self::list(Self::from_json_value(element)?)),
            ("set", [element]) => Ok(Self::set(Self::from_json_value(element)?)),
            ("map", [element]) => Ok(Self::map(Self::from_json_value(element)?)),
            ("tuple", [serde_json::Value::Array(elements)]) => elements
                .iter()
                .map(Self::from_json_value)
                .collect::<Result<_, _>>()
                .map(Self::Tuple),
            ("object", [serde_json::Value::Object(attributes)])
            | (
                "object",
                [
                    serde_json::Value::Object(attributes),
                    serde_json::Value::Array(_),
                ],
            ) => attributes
                .iter()
                .map(|(name, value_type)| Ok((name.clone(), Self::from_json_value(value_type)?)))
                .collect::<Result<_, _>>()
                .map(Self::Object),
            _ => refuse("unknown type constructor or wrong arguments"),
        }
    }
}

impl std::fmt::Display for ValueType {
    /// As Terraform's documentation writes it: `list(string)`, `object({a = number})`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Dynamic => f.write_str("dynamic"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Set(element) => write!(f, "set({element})"),
            Self::Map(element) => write!(f, "map({element})"),
            Self::Tuple(elements) => {
                let elements: Vec<_> = elements.iter().map(ToString::to_string).collect();
                write!(f, "tuple([{}])", elements.join(", "))
            }
            Self::Object(attributes) => {
                let attributes: Vec<_> = attributes
                    .iter()
                    .map(|(name, value_type)| format!("{name} = {value_type}"))
                    .collect();
                write!(f, "object({{{}}})", attributes.join(", "))
            }
        }
    }
}
