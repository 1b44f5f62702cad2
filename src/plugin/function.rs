//! Provider functions: pure computations that a configuration calls as `provider::mcplambda::name(…)`.

use std::future::Future;

use futures_util::future::BoxFuture;

use super::model::{FromValue, FromValueError};
use super::path::Path;
use super::value::Value;
use super::value_type::ValueType;

/// A provider function. Pure: same arguments, same result.
pub trait Function: Send + Sync + 'static {
    /// Its name: `parse_servers`.
    fn name(&self) -> &str;

    /// Parameters, result and documentation.
    fn signature(&self) -> Signature;

    /// Computes the result, of the type that the signature says.
    fn call(
        &self,
        arguments: Arguments,
    ) -> impl Future<Output = Result<Value, FunctionError>> + Send;
}

/// Parameters, result and documentation of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Parameters by position.
    pub parameters: Vec<Parameter>,
    /// Takes all further arguments.
    pub variadic: Option<Parameter>,
    /// Type of the result.
    pub returns: ValueType,
    /// One line of plain text.
    pub summary: String,
    /// Markdown.
    pub description: String,
    /// Markdown; when set, calling it warns.
    pub deprecated: Option<String>,
}

/// One parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, for messages and documentation.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// Whether the function takes null; otherwise core refuses it.
    pub allow_null: bool,
    /// Whether the function is called with unknown arguments; otherwise its result is unknown without a call.
    pub allow_unknown: bool,
    /// Markdown.
    pub description: String,
}

impl Signature {
    /// A function without parameters.
    #[must_use]
    pub fn returning(returns: ValueType) -> Self {
        Self {
            parameters: Vec::new(),
            variadic: None,
            returns,
            summary: String::new(),
            description: String::new(),
            deprecated: None,
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Sets the parameter that takes all further arguments.
    #[must_use]
    pub fn variadic(mut self, parameter: Parameter) -> Self {
        self.variadic = Some(parameter);
        self
    }

    /// Sets the summary, one line of plain text.
    #[must_use]
    pub fn summary(mut self, text: &str) -> Self {
        self.summary = text.to_owned();
        self
    }

    /// Sets the description, in Markdown.
    #[must_use]
    pub fn description(mut self, markdown: &str) -> Self {
        self.description = markdown.to_owned();
        self
    }

    /// Marks it as deprecated, with what to use instead, in Markdown.
    #[must_use]
    pub fn deprecated(mut self, markdown: &str) -> Self {
        self.deprecated = Some(markdown.to_owned());
        self
    }

    /// The parameter that the argument at `index` (from 0) is for.
    #[must_use]
    pub fn parameter_at(&self, index: usize) -> Option<&Parameter> {
        self.parameters.get(index).or(self.variadic.as_ref())
    }
}

impl Parameter {
    /// A parameter that takes neither null nor unknown.
    #[must_use]
    pub fn new(name: &str, value_type: ValueType, markdown: &str) -> Self {
        Self {
            name: name.to_owned(),
            value_type,
            allow_null: false,
            allow_unknown: false,
            description: markdown.to_owned(),
        }
    }

    /// The function takes null.
    #[must_use]
    pub fn allow_null(mut self) -> Self {
        self.allow_null = true;
        self
    }

    /// The function is called with unknown arguments.
    #[must_use]
    pub fn allow_unknown(mut self) -> Self {
        self.allow_unknown = true;
        self
    }
}

/// The arguments of one call, by position.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments(pub Vec<Value>);

impl Arguments {
    /// The argument at `index` (from 0) as a Rust type; [`Attr`](super::Attr) where null or unknown are allowed.
    ///
    /// # Errors
    ///
    /// An error that points at the argument.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, FunctionError> {
        let value = self.0.get(index).unwrap_or(&Value::Null);
        T::from_value(value, &Path::ROOT).map_err(|error| {
            let text = match error {
                FromValueError::Unknown { path } if path.is_root() => "is not known yet".to_owned(),
                FromValueError::Null { path } if path.is_root() => "must not be null".to_owned(),
                FromValueError::Mismatch {
                    path,
                    expected,
                    found,
                } if path.is_root() => {
                    format!("must be {expected}, but is {found}")
                }
                other => other.to_string(),
            };
            FunctionError::argument(index, text)
        })
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FunctionError {
    /// Plain text for the user.
    pub text: String,
    /// The argument to blame, counted from 0.
    pub argument: Option<usize>,
}

impl FunctionError {
    /// An error that no argument is to blame for.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            argument: None,
        }
    }

    /// An error of the argument at `index` (from 0).
    pub fn argument(index: usize, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            argument: Some(index),
        }
    }
}

/// A [`Function`] without its type.
pub(super) trait ErasedFunction: Send + Sync {
    fn name(&self) -> &str;
    fn signature(&self) -> Signature;
    fn call(&self, arguments: Arguments) -> BoxFuture<'_, Result<Value, FunctionError>>;
}

impl<F: Function> ErasedFunction for F {
    fn name(&self) -> &str {
        Function::name(self)
    }

    fn signature(&self) -> Signature {
        Function::signature(self)
    }

    fn call(&self, arguments: Arguments) -> BoxFuture<'_, Result<Value, FunctionError>> {
        Box::pin(Function::call(self, arguments))
    }
}
