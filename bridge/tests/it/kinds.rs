//! The three kinds of event that can call a tool, and what a caller of each is owed for the same thing.

use serde_json::{Value, json};

use crate::contract::without_times;
use crate::sandbox::{Posted, Sandbox, client_context, url_event};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A raw JSON-RPC event.
    Raw,
    /// AgentCore Gateway.
    AgentCore,
    /// A client of the function URL.
    Url,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Raw, Kind::AgentCore, Kind::Url];

/// What has to become of a call, in the terms of JSON-RPC.
#[derive(Debug, Clone)]
pub(crate) enum Owed {
    /// The server's result, byte for byte.
    Result(String),
    /// A failure with a message and raw `data`, of which AgentCore is told by a function error of this type.
    Failure {
        error_type: &'static str,
        message: String,
        data: Option<String>,
    },
    /// A failure of which AgentCore is told by a result that the model can read.
    ToolFailure {
        message: String,
        data: Option<String>,
    },
}

impl Owed {
    /// The result with this text, as the servers of these tests write it.
    pub(crate) fn text(text: &str) -> Self {
        Self::Result(format!(
            r#"{{"content": [{{"type": "text", "text": "{text}"}}]}}"#
        ))
    }
}

/// A raw request for `tool` with a recognisable id.
pub(crate) fn request(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

impl Kind {
    /// Queues a call with `millis` to live, and returns its request's id.
    pub(crate) fn queue(
        self,
        sandbox: &mut Sandbox,
        tool: &str,
        arguments: &str,
        millis: u128,
    ) -> String {
        let (event, context) = match self {
            Self::Raw => (request(tool, arguments), None),
            Self::AgentCore => (arguments.to_owned(), Some(client_context(tool))),
            Self::Url => (
                url_event("POST", json!({}), &request(tool, arguments)),
                None,
            ),
        };
        sandbox.queue(event.as_bytes(), context.as_deref(), millis)
    }

    /// Makes a call with a minute to live.
    #[track_caller]
    pub(crate) fn call(self, sandbox: &mut Sandbox, tool: &str, arguments: &str) -> Posted {
        self.call_within(sandbox, tool, arguments, 60_000)
    }

    #[track_caller]
    pub(crate) fn call_within(
        self,
        sandbox: &mut Sandbox,
        tool: &str,
        arguments: &str,
        millis: u128,
    ) -> Posted {
        let request = self.queue(sandbox, tool, arguments, millis);
        let (answered, posted) = sandbox.next_posted();
        assert_eq!(answered, request);
        posted
    }

    /// The text of a call that must succeed.
    #[track_caller]
    pub(crate) fn call_text(self, sandbox: &mut Sandbox, tool: &str, arguments: &str) -> String {
        let posted = self.call(sandbox, tool, arguments);
        let result = match self {
            Self::AgentCore => parse(&posted.response()),
            Self::Raw => parse(&posted.response())["result"].clone(),
            Self::Url => parse(&posted.http().2)["result"].clone(),
        };
        let text = result["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{self:?}: no text in {result}"))
            .to_owned()
    }

    /// The error of a call that must fail: its message, and its data where this caller gets them.
    #[track_caller]
    pub(crate) fn failure(self, posted: Posted) -> (String, Value) {
        match self {
            Self::AgentCore => (posted.function_error(), Value::Null),
            Self::Raw | Self::Url => {
                let answer = match self {
                    Self::Raw => parse(&posted.response()),
                    _ => parse(&posted.http().2),
                };
                assert_eq!(answer["id"], "mine", "{answer}");
                let message = answer["error"]["message"].as_str();
                (
                    message.expect("a message").to_owned(),
                    answer["error"]["data"].clone(),
                )
            }
        }
    }

    /// Compares the whole answer with what is owed; milliseconds count as `N`.
    #[track_caller]
    pub(crate) fn check(self, posted: Posted, owed: &Owed) {
        let told = |text: &str| without_times(text);
        match (self, owed) {
            (Self::AgentCore, Owed::Result(result)) => assert_eq!(&posted.response(), result),
            (
                Self::AgentCore,
                Owed::Failure {
                    error_type,
                    message,
                    data,
                },
            ) => assert_eq!(
                told(&posted.function_error()),
                format!("{error_type}: {}", full_text(message, data.as_deref()))
            ),
            (Self::AgentCore, Owed::ToolFailure { message, data }) => {
                let text = full_text(message, data.as_deref());
                let answer = parse(&told(&posted.response()));
                assert_eq!(
                    answer,
                    json!({"content": [{"type": "text", "text": text}], "isError": true})
                );
            }
            (Self::Raw, owed) => assert_eq!(told(&posted.response()), response(owed)),
            (Self::Url, owed) => {
                let (status, content_type, body) = posted.http();
                assert_eq!(
                    (status, content_type.as_str(), told(&body)),
                    (200, "application/json", response(owed))
                );
            }
        }
    }
}

/// The JSON-RPC response that is owed.
fn response(owed: &Owed) -> String {
    let (message, data) = match owed {
        Owed::Result(result) => {
            return format!(r#"{{"jsonrpc":"2.0","id":"mine","result":{result}}}"#);
        }
        Owed::Failure { message, data, .. } | Owed::ToolFailure { message, data } => {
            (message, data)
        }
    };
    let data = data
        .as_ref()
        .map(|data| format!(r#","data":{data}"#))
        .unwrap_or_default();
    format!(
        r#"{{"jsonrpc":"2.0","id":"mine","error":{{"code":-32603,"message":{}{data}}}}}"#,
        Value::from(message.as_str())
    )
}

/// What callers who read only text are told: the message, and the server's last output.
fn full_text(message: &str, data: Option<&str>) -> String {
    let data = data.map(parse).unwrap_or_default();
    match data["stderr"].as_str() {
        Some(stderr) => format!("{message}\nLast output of the server:\n{stderr}"),
        None => message.to_owned(),
    }
}

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
