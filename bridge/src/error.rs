//! Why a call has no answer of the server's own, as facts; and the two forms in which a caller is told.
//!
//! Enters: what supervision found. Leaves: one sentence for people, and a JSON `data` object for programs (`exitStatus` or `signal`, `stderr`).

use std::fmt;

use crate::json;
use crate::jsonrpc::{ErrorObject, code, error_text};
use crate::secrets::SecretsError;

/// How a server process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited {
        status: i32,
    },
    Killed {
        signal: i32,
    },
    /// It closed its stdout and went on running, so the bridge killed it.
    ClosedStdout,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status } => write!(f, "exited with status {status}"),
            Self::Killed { signal } => write!(f, "was killed by signal {signal}"),
            Self::ClosedStdout => write!(f, "closed its stdout"),
        }
    }
}

/// A call that the server did not answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A secret that the server needs could not be read.
    Secrets(SecretsError),
    /// The process could not be started at all.
    Spawn {
        program: String,
        error: std::io::Error,
    },
    /// It ended before it had answered the handshake.
    EndedAtStart { ended: Ended, stderr: String },
    /// It did not answer the handshake within the startup timeout.
    StartTimeout { seconds: u64, stderr: String },
    /// The function's time was nearly over before it had answered the handshake. It keeps starting.
    StartOverDeadline { millis: u128, stderr: String },
    /// It answered the handshake with something that rules out every protocol version.
    Handshake { reason: String, stderr: String },
    /// It ended during the call. The call is not repeated: it may have had effects.
    Ended {
        method: String,
        ended: Ended,
        stderr: String,
    },
    /// It did not answer before the function's time was nearly over.
    Deadline {
        method: String,
        millis: u128,
        stderr: String,
    },
    /// Whoever asked stopped listening; the call has been cancelled.
    CallerGone { method: String },
    /// It sent a response with neither `result` nor a readable `error`.
    NoResult { method: String },
    /// It sent a line longer than the bridge keeps.
    LineTooLong { method: String, limit: usize },
    /// The answer is larger than Lambda carries.
    AnswerTooLarge { bytes: usize, limit: usize },
}

impl CallError {
    /// The server's last stderr output, where it helps.
    fn stderr(&self) -> &str {
        match self {
            Self::EndedAtStart { stderr, .. }
            | Self::StartTimeout { stderr, .. }
            | Self::StartOverDeadline { stderr, .. }
            | Self::Handshake { stderr, .. }
            | Self::Ended { stderr, .. }
            | Self::Deadline { stderr, .. } => stderr,
            Self::Secrets(_)
            | Self::Spawn { .. }
            | Self::CallerGone { .. }
            | Self::NoResult { .. }
            | Self::LineTooLong { .. }
            | Self::AnswerTooLarge { .. } => "",
        }
    }

    /// `errorType` of a function error.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::Secrets(_) => "Server.SecretFailed",
            Self::Spawn { .. }
            | Self::EndedAtStart { .. }
            | Self::StartTimeout { .. }
            | Self::StartOverDeadline { .. } => "Server.StartFailed",
            Self::Handshake { .. } => "Server.HandshakeFailed",
            Self::Ended { .. } => "Server.Exited",
            Self::Deadline { .. } => "Server.TimedOut",
            Self::CallerGone { .. } => "Caller.Gone",
            Self::NoResult { .. } | Self::LineTooLong { .. } => "Server.InvalidResponse",
            Self::AnswerTooLarge { .. } => "Server.ResponseTooLarge",
        }
    }

    /// The sentence and, below it, the server's last output: for callers that read only text.
    pub(crate) fn full_text(&self) -> String {
        match self.stderr() {
            "" => self.to_string(),
            stderr => format!("{self}\nLast output of the server:\n{stderr}"),
        }
    }

    /// The JSON-RPC error object: code -32603, the sentence, and in `data` the server's last stderr output and how it ended, where known.
    pub(crate) fn to_error_object(&self) -> String {
        let mut members = Vec::new();
        if let Self::EndedAtStart { ended, .. } | Self::Ended { ended, .. } = self {
            match ended {
                Ended::Exited { status } => members.push(format!(r#""exitStatus":{status}"#)),
                Ended::Killed { signal } => members.push(format!(r#""signal":{signal}"#)),
                Ended::ClosedStdout => {}
            }
        }
        if !self.stderr().is_empty() {
            members.push(format!(r#""stderr":{}"#, json::quote(self.stderr())));
        }
        let data = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
        error_text(code::INTERNAL_ERROR, &self.to_string(), data.as_deref())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secrets(error) => write!(f, "cannot start the MCP server: {error}")?,
            Self::Spawn { program, error } => {
                write!(f, "cannot start the MCP server: `{program}`: {error}")?
            }
            Self::EndedAtStart { ended, .. } => {
                write!(f, "the MCP server {ended} before it answered the handshake")?
            }
            Self::StartTimeout { seconds, .. } => {
                write!(
                    f,
                    "the MCP server did not answer the handshake within {seconds} s; if it needs longer to start, raise `startup_timeout`"
                )?;
            }
            Self::StartOverDeadline { millis, .. } => {
                write!(
                    f,
                    "the MCP server was still starting after {millis} ms, when the function's time was nearly over; raise the function's `timeout`"
                )?;
            }
            Self::Handshake { reason, .. } => {
                write!(f, "the MCP server refused the handshake: {reason}")?
            }
            Self::Ended { method, ended, .. } => write!(
                f,
                "the MCP server {ended} while it answered {method}; the call was not repeated"
            )?,
            Self::Deadline { method, millis, .. } => {
                write!(
                    f,
                    "the MCP server did not answer {method} within {millis} ms, when the function's time was nearly over; the call was cancelled"
                )?;
            }
            Self::CallerGone { method } => write!(
                f,
                "the caller stopped listening while the MCP server answered {method}; the call was cancelled"
            )?,
            Self::NoResult { method } => write!(
                f,
                "the MCP server answered {method} with neither a result nor an error"
            )?,
            Self::LineTooLong { method, limit } => write!(
                f,
                "the MCP server wrote a line of more than {limit} bytes while it answered {method}"
            )?,
            Self::AnswerTooLarge { bytes, limit } => {
                write!(
                    f,
                    "the answer has {bytes} bytes, more than the {limit} that Lambda carries; ask for less at a time"
                )?;
            }
        }
        // A traceback's last line names the exception: worth having in the one sentence that most clients show.
        match self
            .stderr()
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
        {
            Some(last) => write!(f, ": {}", shorten(last.trim(), 300)),
            None => Ok(()),
        }
    }
}

/// A JSON-RPC error of the server's in one sentence, for callers that are told in text: code, message and data.
pub(crate) fn server_error_sentence(error: &ErrorObject) -> String {
    let data = error
        .data
        .as_deref()
        .filter(|data| *data != "\"\"")
        .map(|data| format!(" (data: {})", shorten(data, 2_000)))
        .unwrap_or_default();
    format!("MCP error {}: {}{data}", error.code, error.message)
}

/// `text`, or as much of its beginning as `limit` bytes hold, cut at a character.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}
