//! Checks on configured values, each with a description for the documentation.
//!
//! Validators run before anything is planned, and only on values that are known and not null. They are pure. Those that
//! look at other attributes ([`conflicts_with`]) stay silent while those are unknown.

use std::fmt;
use std::sync::Arc;

use super::diagnostics::Diagnostics;
use super::duration as durations;
use super::number::Number;
use super::path::Path;
use super::value::Value;

/// One check.
#[derive(Clone)]
pub struct Validator {
    description: Arc<str>,
    check: Arc<Check>,
}

type Check = dyn Fn(&Subject<'_>, &mut Diagnostics) + Send + Sync;

/// What a validator looks at.
pub struct Subject<'a> {
    /// The value: known as a whole and not null; its elements may be either.
    pub value: &'a Value,
    /// Where it stands.
    pub path: &'a Path,
    /// Its value must not appear in messages.
    pub sensitive: bool,
    /// The whole configuration.
    pub config: &'a Value,
}

impl Subject<'_> {
    /// `, got 901`, or nothing when the value is sensitive or has no short text.
    fn got(&self) -> String {
        match self.value.plain() {
            _ if self.sensitive => String::new(),
            Value::String(text) => format!(", got {text:?}"),
            Value::Number(number) => format!(", got {number}"),
            Value::Bool(value) => format!(", got {value}"),
            _ => String::new(),
        }
    }

    fn fail(&self, diagnostics: &mut Diagnostics, problem: &str) {
        diagnostics.attribute_error(
            self.path,
            "Invalid attribute value",
            format!("{} {problem}.", self.path),
        );
    }
}

impl Validator {
    /// A check of a value on its own. `description` completes "The value …" (`must be even`). `check` returns the same
    /// kind of sentence end, with the facts of the case.
    pub fn new(
        description: impl Into<String>,
        check: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self::with_subject(description, move |subject, diagnostics| {
            if let Err(problem) = check(subject.value) {
                subject.fail(diagnostics, &problem);
            }
        })
    }

    /// A check that sees where the value stands and the whole configuration, and writes its own messages.
    pub fn with_subject(
        description: impl Into<String>,
        check: impl Fn(&Subject<'_>, &mut Diagnostics) + Send + Sync + 'static,
    ) -> Self {
        Self {
            description: description.into().into(),
            check: Arc::new(check),
        }
    }

    /// Markdown, completing "The value …".
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Runs the check, unless the value is null or unknown.
    pub fn run(&self, subject: &Subject<'_>, diagnostics: &mut Diagnostics) {
        if !subject.value.is_null() && !subject.value.is_unknown() {
            (self.check)(subject, diagnostics);
        }
    }

    /// A check whose description is all there is to say when it fails.
    fn simple(description: String, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        let problem = description.clone();
        Self::with_subject(description, move |subject, diagnostics| {
            if !holds(subject.value.plain()) {
                subject.fail(diagnostics, &format!("{problem}{}", subject.got()));
            }
        })
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validator({:?})", self.description)
    }
}

fn characters(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

fn count(value: &Value) -> Option<usize> {
    match value {
        Value::List(elements) | Value::Tuple(elements) => Some(elements.len()),
        Value::Set(elements) => Some(elements.len()),
        Value::Map(entries) | Value::Object(entries) => Some(entries.len()),
        _ => None,
    }
}

/// A string of `min` to `max` characters.
#[must_use]
pub fn length_between(min: usize, max: usize) -> Validator {
    Validator::simple(
        format!("must have {min} to {max} characters"),
        move |value| characters(value).is_some_and(|length| (min..=max).contains(&length)),
    )
}

/// A string of at most `max` characters.
#[must_use]
pub fn length_at_most(max: usize) -> Validator {
    Validator::simple(
        format!("must have at most {max} characters"),
        move |value| characters(value).is_some_and(|length| length <= max),
    )
}

/// A string, list, set or map that is not empty.
#[must_use]
pub fn not_empty() -> Validator {
    Validator::simple("must not be empty".to_owned(), |value| {
        characters(value)
            .or_else(|| count(value))
            .is_some_and(|length| length > 0)
    })
}

/// A list, set or map of `min` to `max` elements.
#[must_use]
pub fn items_between(min: usize, max: usize) -> Validator {
    Validator::simple(format!("must have {min} to {max} elements"), move |value| {
        count(value).is_some_and(|length| (min..=max).contains(&length))
    })
}

/// One of these strings.
#[must_use]
pub fn one_of(allowed: &[&str]) -> Validator {
    let allowed: Vec<String> = allowed.iter().map(|&text| text.to_owned()).collect();
    let list = allowed
        .iter()
        .map(|text| format!("`{text}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Validator::simple(
        format!("must be one of {list}"),
        move |value| matches!(value, Value::String(text) if allowed.contains(text)),
    )
}

/// A string that `pattern` matches; `description` completes "The value …" for people (`must start with a letter`).
/// Anchor the pattern with `^` and `$` when it has to match all of the string.
///
/// # Panics
///
/// If `pattern` is no regular expression: a mistake in the schema that every start of the provider shows.
#[must_use]
pub fn regex(pattern: &str, description: &str) -> Validator {
    let regex =
        regex_lite::Regex::new(pattern).expect("the schema's pattern is a regular expression");
    Validator::simple(
        description.to_owned(),
        move |value| matches!(value, Value::String(text) if regex.is_match(text)),
    )
}

/// A number from `min` to `max`, both included.
#[must_use]
pub fn between(min: i64, max: i64) -> Validator {
    let (low, high) = (Number::from(min), Number::from(max));
    Validator::simple(
        format!("must be between {min} and {max}"),
        move |value| matches!(value, Value::Number(number) if (&low..=&high).contains(&number)),
    )
}

/// A number not below `min`.
#[must_use]
pub fn at_least(min: i64) -> Validator {
    let low = Number::from(min);
    Validator::simple(
        format!("must be at least {min}"),
        move |value| matches!(value, Value::Number(number) if *number >= low),
    )
}

/// A number without a fraction, within 64 bits.
#[must_use]
pub fn integer() -> Validator {
    Validator::simple(
        "must be a whole number".to_owned(),
        |value| matches!(value, Value::Number(number) if number.to_i64().is_some()),
    )
}

/// A string that is a positive duration in Go's notation, such as `1h30m`.
#[must_use]
pub fn duration() -> Validator {
    Validator::new(
        "must be a duration such as `30m` or `1h30m`",
        |value| match value.plain() {
            Value::String(text) => durations::parse(text)
                .map(|_| ())
                .map_err(|problem| format!("is invalid: {problem}")),
            _ => Err("must be a string".to_owned()),
        },
    )
}

/// A string that is a JSON document.
#[must_use]
pub fn json() -> Validator {
    Validator::new("must be a JSON document", |value| match value.plain() {
        Value::String(text) => serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map(|_| ())
            .map_err(|error| format!("must be a JSON document: {error}")),
        _ => Err("must be a string".to_owned()),
    })
}

/// Runs `validator` on every element of a list, set or map.
#[must_use]
pub fn each(validator: Validator) -> Validator {
    Validator::with_subject(
        format!("elements: {}", validator.description()),
        move |subject, diagnostics| {
            let mut run = |value: &Value, path: Path| {
                validator.run(
                    &Subject {
                        value,
                        path: &path,
                        ..*subject
                    },
                    diagnostics,
                );
            };
            match subject.value.plain() {
                Value::List(elements) | Value::Tuple(elements) => {
                    elements
                        .iter()
                        .enumerate()
                        .for_each(|(index, element)| run(element, subject.path.index(index)));
                }
                Value::Set(elements) => elements
                    .iter()
                    .for_each(|element| run(element, subject.path.element())),
                Value::Map(entries) => entries
                    .iter()
                    .for_each(|(key, value)| run(value, subject.path.key(key))),
                _ => {}
            }
        },
    )
}

/// Runs `validator` on every key of a map, as a string.
#[must_use]
pub fn each_key(validator: Validator) -> Validator {
    Validator::with_subject(
        format!("keys: {}", validator.description()),
        move |subject, diagnostics| {
            if let Value::Map(entries) = subject.value.plain() {
                for key in entries.keys() {
                    let path = subject.path.key(key);
                    let value = Value::String(key.clone());
                    validator.run(
                        &Subject {
                            value: &value,
                            path: &path,
                            ..*subject
                        },
                        diagnostics,
                    );
                }
            }
        },
    )
}

/// None of the attributes at these paths (from the root) may be set beside this one.
#[must_use]
pub fn conflicts_with(paths: &[&str]) -> Validator {
    let paths: Vec<Path> = paths.iter().map(|&path| Path::from(path)).collect();
    Validator::with_subject(
        format!("must not be set together with {}", list(&paths)),
        move |subject, diagnostics| {
            for other in paths.iter().filter(|other| *other != subject.path) {
                if subject.config.at(other).is_some_and(is_set) {
                    diagnostics.attribute_error(
                        subject.path,
                        "Conflicting attributes",
                        format!(
                            "{} and {other} are both set; remove one of them.",
                            subject.path
                        ),
                    );
                }
            }
        },
    )
}

/// All of the attributes at these paths (from the root) must be set beside this one.
#[must_use]
pub fn requires(paths: &[&str]) -> Validator {
    let paths: Vec<Path> = paths.iter().map(|&path| Path::from(path)).collect();
    Validator::with_subject(
        format!("must be set together with {}", list(&paths)),
        move |subject, diagnostics| {
            for other in &paths {
                if subject.config.at(other).is_none_or(Value::is_null) {
                    diagnostics.attribute_error(
                        subject.path,
                        "Missing attribute",
                        format!(
                            "{} is set, which needs {other} to be set as well.",
                            subject.path
                        ),
                    );
                }
            }
        },
    )
}

/// Whether a configuration sets it. An absent list or set of blocks is empty, not null.
fn is_set(value: &Value) -> bool {
    match value.plain() {
        Value::Null | Value::Unknown(_) => false,
        Value::Set(elements) => !elements.is_empty(),
        Value::List(elements) => !elements.is_empty(),
        _ => true,
    }
}

fn list(paths: &[Path]) -> String {
    paths
        .iter()
        .map(|path| format!("`{path}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
