//! Why a server could not be asked for its tools: facts as fields, the server's stderr in each text that can have one.

use std::fmt;

use thiserror::Error;

/// Bytes of an unintelligible answer that an error shows.
const LONGEST_ANSWER: usize = 2000;

/// A server that could not be asked. `function` is always `name:qualifier`, `method` the MCP method that was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DiscoverError {
    /// Lambda did not run the function.
    #[error(
        "Lambda did not invoke {function} for {method}: {}{message}; check that the credentials allow lambda:InvokeFunction on it",
        Code(.code.as_deref())
    )]
    Invoke {
        function: String,
        method: &'static str,
        /// AWS's error code, where there was an answer.
        code: Option<String>,
        message: String,
    },

    /// The function ran and failed: it crashed, ran out of time or memory, or its bridge could not start.
    #[error(
        "{function} failed while answering {method}: {error_type}: {message}; \
         check command, args, memory and timeout{}",
        Stderr(.stderr)
    )]
    Function {
        function: String,
        method: &'static str,
        /// Lambda's or the bridge's error type, such as `Sandbox.Timedout`; empty when there was none.
        error_type: String,
        message: String,
        /// What the server wrote last, without Lambda's own lines.
        stderr: String,
    },

    /// The function answered with a JSON-RPC error: the server refused, or the bridge says why there is no answer.
    #[error("{function} answered {method} with error {code}: {message}{}", Stderr(.stderr))]
    JsonRpc {
        function: String,
        method: &'static str,
        code: i64,
        message: String,
        stderr: String,
    },

    /// The function answered with something that MCP does not allow.
    #[error("{function} gave {method} an answer that is not MCP: {why}. The answer: {answer}{}", Stderr(.stderr))]
    BadAnswer {
        function: String,
        method: &'static str,
        /// What is wrong with it, starting with "it" or "its".
        why: String,
        /// Its beginning.
        answer: String,
        stderr: String,
    },
}

/// What kind of failure a [`DiscoverError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoverErrorKind {
    /// AWS, not the server.
    Invoke,
    /// The function failed as a whole.
    Function,
    /// A JSON-RPC error.
    JsonRpc,
    /// Not MCP.
    BadAnswer,
}

impl DiscoverError {
    /// The kind of failure.
    pub fn kind(&self) -> DiscoverErrorKind {
        match self {
            Self::Invoke { .. } => DiscoverErrorKind::Invoke,
            Self::Function { .. } => DiscoverErrorKind::Function,
            Self::JsonRpc { .. } => DiscoverErrorKind::JsonRpc,
            Self::BadAnswer { .. } => DiscoverErrorKind::BadAnswer,
        }
    }

    /// The end of what the server wrote to stderr; empty when it wrote nothing or never ran.
    pub fn stderr(&self) -> &str {
        match self {
            Self::Invoke { .. } => "",
            Self::Function { stderr, .. }
            | Self::JsonRpc { stderr, .. }
            | Self::BadAnswer { stderr, .. } => stderr,
        }
    }
}

/// The beginning of an answer that nobody can use.
pub(super) fn shorten(answer: &str) -> String {
    match answer.char_indices().nth(LONGEST_ANSWER) {
        Some((end, _)) => format!("{}… ({} bytes)", &answer[..end], answer.len()),
        None => answer.to_owned(),
    }
}

struct Stderr<'a>(&'a str);

impl fmt::Display for Stderr<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("\nThe server wrote nothing to stderr.");
        }
        formatter.write_str("\nThe server's stderr ended with:")?;
        self.0
            .lines()
            .try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

struct Code<'a>(Option<&'a str>);

impl fmt::Display for Code<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |code| write!(formatter, "{code}: "))
    }
}
