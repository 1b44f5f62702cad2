//! Enters: a JSON Schema type name or a JSON value. Leaves: its kind. Refuses: names that JSON Schema does not have.

use serde_json::Value;

/// JSON Schema's seven types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}

impl Kind {
    /// The kind that JSON Schema calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "array" => Self::Array,
            "object" => Self::Object,
            "null" => Self::Null,
            _ => return None,
        })
    }

    /// The kind of a value; a number without a fraction is an integer.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// JSON Schema's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    /// What satisfies both: an integer is a number too.
    fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (same, also) if same == also => Some(same),
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Some(Self::Integer),
            _ => None,
        }
    }
}

/// Adds `kind` unless it is there; `number` swallows `integer`.
pub(super) fn add(kinds: &mut Vec<Kind>, kind: Kind) {
    match kind {
        Kind::Integer if kinds.contains(&Kind::Number) => {}
        Kind::Number => {
            match kinds.iter().position(|known| *known == Kind::Integer) {
                Some(at) => kinds[at] = Kind::Number,
                None if kinds.contains(&Kind::Number) => {}
                None => kinds.push(Kind::Number),
            };
        }
        kind if kinds.contains(&kind) => {}
        kind => kinds.push(kind),
    }
}

/// What both lists admit, in the order of the first.
pub(super) fn intersect(first: &[Kind], second: &[Kind]) -> Vec<Kind> {
    let mut both = Vec::new();
    for kind in first {
        for met in second.iter().filter_map(|other| kind.meet(*other)) {
            add(&mut both, met);
        }
    }
    both
}
