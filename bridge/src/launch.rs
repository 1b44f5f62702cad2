//! The launch contract between the provider and the bridge: how a function says which MCP server its bridge starts.
//!
//! Enters: the text of the function's environment variable [`ENV_SERVER`], JSON. Leaves: a [`ServerCommand`]. Refuses: unknown keys and values, an
//! empty command line, a zero timeout, a glob that is none. The provider writes the same struct, so the two sides cannot disagree on a name.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::glob::{Glob, GlobError};
use crate::secret_reference::{ReferenceError, SecretReference};

/// The function's environment variable that holds a [`ServerCommand`] as JSON.
pub const ENV_SERVER: &str = "MCPLAMBDA_SERVER";

/// Seconds that an event waits for a starting server when [`ServerCommand::startup_timeout`] is not set.
pub const DEFAULT_STARTUP_TIMEOUT: u32 = 60;

/// How the bridge starts the MCP server, as JSON in the function's environment variable [`ENV_SERVER`].
///
/// Only `argv` is required: `{"argv": ["python3.13", "-m", "mcp_server_time"]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCommand {
    /// The command line: the program, found on `PATH` unless it holds a `/`, and its arguments. Never empty.
    pub argv: Vec<String>,
    /// The server's working directory, relative to `LAMBDA_TASK_ROOT` unless absolute; the task root itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// How long one server process lives.
    #[serde(default, skip_serializing_if = "ProcessScope::is_default")]
    pub process_scope: ProcessScope,
    /// Seconds that an event waits for a server that is starting, at least 1; [`DEFAULT_STARTUP_TIMEOUT`] when absent. The function's own timeout ends the wait
    /// too. Counted per event, because an environment that waits for its first event may be frozen for hours in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_timeout: Option<u32>,
    /// Whether the server gets the execution role's credentials (the `AWS_ACCESS_KEY_ID` family and the container credential variables).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aws_credentials: bool,
    /// Variables of the server's environment that are read from AWS at its start: the variable's name, and where its value is, in the syntax of ECS's
    /// `valueFrom`: the ARN of a Secrets Manager secret, with `:json-key:version-stage:version-id` behind it or not, or the ARN of an SSM parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Seconds after which [`ServerCommand::secrets`] are read again, and the server restarted with them before the next event, at least 1; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_ttl: Option<u32>,
    /// Which of the server's tools callers see, and under which names.
    #[serde(default, skip_serializing_if = "ToolFilter::is_default")]
    pub tools: ToolFilter,
    /// How HTTP events are answered.
    #[serde(default, skip_serializing_if = "HttpSettings::is_default")]
    pub http: HttpSettings,
    /// Whether each event leaves a line of CloudWatch embedded metrics in the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metrics: bool,
    /// The provider's own note, from which an import recovers the configuration. The bridge ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<serde_json::Value>,
}

/// How long one server process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessScope {
    /// One process per execution environment, kept warm between events.
    #[default]
    Environment,
    /// A fresh process for every event, ended when the event has been answered. The next one is started then, ahead of its event.
    Invocation,
}

/// Which of the server's tools callers see, and under which names. The default shows all of them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolFilter {
    /// Globs over the server's own names (`*` any characters, `?` one, `[ab]` a set): only tools that one of them matches. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs over the server's own names: not these, even if included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Put before each name in what callers see and send.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

impl ToolFilter {
    /// Whether it shows every tool as it is.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How HTTP events (function URLs, API Gateway) are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Whether the function URL's invoke mode is `RESPONSE_STREAM`, so that progress and log notifications can be sent as they come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// Values of the `Origin` header that are served, `*` for any. Requests without that header, which no browser makes, always are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// Whether the bridge answers CORS preflights and adds CORS headers itself; to be off where AWS does (a function URL or an API with CORS configured).
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub cors: bool,
}

fn yes() -> bool {
    true
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            stream: false,
            allowed_origins: Vec::new(),
            cors: true,
        }
    }
}

impl HttpSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl ProcessScope {
    /// The value's name in JSON and in HCL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Invocation => "invocation",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde's skip_serializing_if calls"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl ServerCommand {
    /// A command with nothing but its command line; every other key at its default.
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            cwd: None,
            process_scope: ProcessScope::default(),
            startup_timeout: None,
            aws_credentials: false,
            secrets: BTreeMap::new(),
            secrets_ttl: None,
            tools: ToolFilter::default(),
            http: HttpSettings::default(),
            metrics: false,
            source: None,
        }
    }

    /// Reads the value of [`ENV_SERVER`].
    ///
    /// # Errors
    ///
    /// [`LaunchError::Json`] when the text is not JSON of this shape, holds an unknown key or an unknown value; [`LaunchError::EmptyCommand`],
    /// [`LaunchError::NulByte`] and [`LaunchError::ZeroTimeout`] for values that no process can be started with; [`LaunchError::Glob`] for a pattern that
    /// can match nothing; and those of [`ServerCommand::secret_references`].
    pub fn parse(text: &str) -> Result<Self, LaunchError> {
        let command: Self = serde_json::from_str(text).map_err(LaunchError::Json)?;
        if command.argv.first().is_none_or(String::is_empty) {
            return Err(LaunchError::EmptyCommand);
        }
        if let Some(position) = command
            .argv
            .iter()
            .position(|argument| argument.contains('\0'))
        {
            return Err(LaunchError::NulByte { position });
        }
        for (key, value) in [
            ("startup_timeout", command.startup_timeout),
            ("secrets_ttl", command.secrets_ttl),
        ] {
            if value == Some(0) {
                return Err(LaunchError::ZeroTimeout { key });
            }
        }
        for (key, patterns) in [
            ("tools.include", &command.tools.include),
            ("tools.exclude", &command.tools.exclude),
        ] {
            for pattern in patterns {
                Glob::parse(pattern).map_err(|error| LaunchError::Glob { key, error })?;
            }
        }
        command.secret_references()?;
        Ok(command)
    }

    /// [`ServerCommand::secrets`] taken apart: each variable's name and where its value is.
    ///
    /// # Errors
    ///
    /// [`LaunchError::SecretVariable`] for a name that no environment variable can have, [`LaunchError::Secret`] for a text that is no reference.
    pub fn secret_references(&self) -> Result<Vec<(&str, SecretReference)>, LaunchError> {
        self.secrets
            .iter()
            .map(|(variable, reference)| {
                if variable.is_empty() || variable.contains(['=', '\0']) {
                    return Err(LaunchError::SecretVariable {
                        variable: variable.clone(),
                    });
                }
                let reference =
                    SecretReference::parse(reference).map_err(|error| LaunchError::Secret {
                        variable: variable.clone(),
                        error,
                    })?;
                Ok((variable.as_str(), reference))
            })
            .collect()
    }

    /// The value of [`ENV_SERVER`]: compact JSON, keys at their default left out, the same text for the same command.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Cannot fail: the struct has string keys only, and writing to a String does no I/O.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Why the value of [`ENV_SERVER`] names no server.
#[derive(Debug)]
pub enum LaunchError {
    /// Not JSON, or not of the shape of [`ServerCommand`].
    Json(serde_json::Error),
    /// `argv` is empty, or its first element is.
    EmptyCommand,
    /// The argument at `position` holds a NUL byte, which no process argument can.
    NulByte { position: usize },
    /// `startup_timeout` or `secrets_ttl` is 0.
    ZeroTimeout { key: &'static str },
    /// A pattern in `tools.include` or `tools.exclude` is no glob.
    Glob { key: &'static str, error: GlobError },
    /// No environment variable can have the name of one of `secrets`.
    SecretVariable { variable: String },
    /// One of `secrets` is no reference to a secret.
    Secret {
        variable: String,
        error: ReferenceError,
    },
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(
                f,
                "{ENV_SERVER} is not a valid server description: {error}; it must be JSON such as {{\"argv\":[\"python3.13\",\"-m\",\"mcp_server_time\"]}}"
            ),
            Self::EmptyCommand => write!(
                f,
                "{ENV_SERVER} names no program: `argv` must hold at least the program's name"
            ),
            Self::NulByte { position } => {
                write!(f, "{ENV_SERVER}: `argv[{position}]` holds a NUL byte")
            }
            Self::ZeroTimeout { key } => {
                write!(f, "{ENV_SERVER}: `{key}` must be at least 1 second")
            }
            Self::Glob { key, error } => write!(f, "{ENV_SERVER}: `{key}`: {error}"),
            Self::SecretVariable { variable } => write!(
                f,
                "{ENV_SERVER}: `secrets` has {variable:?}, which is no name of an environment variable"
            ),
            Self::Secret { variable, error } => {
                write!(f, "{ENV_SERVER}: `secrets.{variable}`: {error}")
            }
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Secret { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_alone_is_enough() {
        let command = ServerCommand::parse(r#"{"argv":["python3.13","-m","mcp_server_time"]}"#)
            .expect("parses");
        assert_eq!(
            command,
            ServerCommand::new(
                ["python3.13", "-m", "mcp_server_time"]
                    .map(String::from)
                    .to_vec()
            )
        );
        assert_eq!(
            command.to_json(),
            r#"{"argv":["python3.13","-m","mcp_server_time"]}"#
        );
    }

    #[test]
    fn every_key_survives_the_way_to_the_function_and_back() {
        let command = ServerCommand {
            argv: vec!["server".into(), "--flag".into()],
            cwd: Some("data".into()),
            process_scope: ProcessScope::Invocation,
            startup_timeout: Some(90),
            aws_credentials: true,
            secrets: [(
                "API_KEY".to_owned(),
                "arn:aws:ssm:eu-west-1:123456789012:parameter/key".to_owned(),
            )]
            .into(),
            secrets_ttl: Some(300),
            tools: ToolFilter {
                include: vec!["get_*".into()],
                exclude: vec!["get_secret".into()],
                prefix: "time_".into(),
            },
            http: HttpSettings {
                stream: true,
                allowed_origins: vec!["https://example.com".into()],
                cors: false,
            },
            metrics: true,
            source: Some(serde_json::json!({"command": "uvx", "args": ["server"]})),
        };
        assert_eq!(
            ServerCommand::parse(&command.to_json()).expect("parses"),
            command
        );
    }

    #[test]
    fn what_no_process_can_be_started_with_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"argv":[]}"#, "names no program"),
            (r#"{"argv":[""]}"#, "names no program"),
            (r#"{}"#, "missing field `argv`"),
            (
                r#"{"argv":["a"],"process_scope":"call"}"#,
                "unknown variant `call`, expected `environment` or `invocation`",
            ),
            (
                r#"{"argv":["a"],"proces_scope":"invocation"}"#,
                "unknown field `proces_scope`",
            ),
            (
                r#"{"argv":["a"],"startup_timeout":0}"#,
                "`startup_timeout` must be at least 1 second",
            ),
            (
                r#"{"argv":["a"],"secrets_ttl":0}"#,
                "`secrets_ttl` must be at least 1 second",
            ),
            (r#"{"argv":["a","b\u0000"]}"#, "`argv[1]` holds a NUL byte"),
            (
                r#"{"argv":["a"],"tools":{"include":["ok",""]}}"#,
                "`tools.include`: a glob is empty",
            ),
            (
                r#"{"argv":["a"],"tools":{"exclude":["get_[ab"]}}"#,
                "`tools.exclude`: the glob `get_[ab` opens a set with `[`",
            ),
            (
                r#"{"argv":["a"],"secrets":{"A=B":"arn:aws:ssm:eu-west-1:123456789012:parameter/p"}}"#,
                r#"`secrets` has "A=B", which is no name of an environment variable"#,
            ),
            (
                r#"{"argv":["a"],"secrets":{"API_KEY":"my-secret"}}"#,
                "`secrets.API_KEY`: `my-secret` is no reference to a secret: it is no ARN;",
            ),
            ("", "not a valid server description"),
        ] {
            let message = ServerCommand::parse(text).expect_err(text).to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
