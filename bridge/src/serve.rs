//! From an event to its answer: what each kind of event is owed, whatever the server does.
//!
//! Enters: an [`Invocation`]. Leaves: an [`Answer`], always. Refuses nothing: a failure is an answer too, in the form that the caller of this kind of event
//! understands.
//!
//! # Errors as AgentCore Gateway gets them
//!
//! - A server's JSON-RPC error and a server that does not run are *function errors*, as with the library before this one, but with code, message and data
//!   where that one said "Internal failure": these are faults of the deployment or of the call's form, and alarms count function errors.
//! - A tool that did not answer in time, an answer larger than Lambda carries, and a tool that wants input which nobody can give are *results with
//!   `isError: true`*: the model that called the tool reads the text and can do better next time. The library before this one never answered the first and let
//!   Lambda refuse the second.
//! - A server's own `isError: true` result is passed through.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::conversation::{Outcome, Reply};
use crate::era::{self, CallerEra, Era};
use crate::error::{CallError, server_error_sentence};
use crate::event::{self, BadEvent, Event};
use crate::json::{self, Object};
use crate::jsonrpc::{ErrorObject, code, error_text};
use crate::runtime_api::{Invocation, MAX_ANSWER};
use crate::session::Session;

/// The answer to one event.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Body),
    FunctionError {
        error_type: &'static str,
        message: String,
    },
}

/// A response's bytes, in pieces so that a large result is never copied.
#[derive(Debug, Default)]
pub(crate) struct Body {
    head: String,
    raw: Option<(Vec<u8>, Range<usize>)>,
    tail: &'static str,
}

impl Body {
    fn text(text: impl Into<String>) -> Self {
        Self {
            head: text.into(),
            ..Self::default()
        }
    }

    /// The pieces, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let raw = self
            .raw
            .as_ref()
            .map_or([].as_slice(), |(line, range)| &line[range.clone()]);
        [self.head.as_bytes(), raw, self.tail.as_bytes()]
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// How long before Lambda ends the function the caller gets an answer at the latest: a tenth of the time, at most half a second.
fn margin(left: Duration) -> Duration {
    (left / 10).min(Duration::from_millis(500))
}

/// Answers one event.
pub(crate) fn answer(session: &mut Session, invocation: &Invocation) -> Answer {
    let deadline = invocation.deadline
        - margin(
            invocation
                .deadline
                .saturating_duration_since(Instant::now()),
        );
    match event::recognise(&invocation.body, invocation.client_context.as_deref()) {
        Ok(Event::AgentCore { tool, arguments }) => call_tool(session, &tool, arguments, deadline),
        Ok(Event::Request { id, method, params }) => {
            let body = answer_request(session, id, &method, params, deadline);
            Answer::Response(if body.len() > MAX_ANSWER {
                let error = CallError::AnswerTooLarge {
                    bytes: body.len(),
                    limit: MAX_ANSWER,
                };
                error_response(id, &error.to_error_object())
            } else {
                body
            })
        }
        Ok(Event::Notification { method, params }) => {
            pass_on_notification(session, &method, params, deadline);
            Answer::Response(Body::text("{}"))
        }
        Err(BadEvent::Json { reason }) => Answer::FunctionError {
            error_type: "Runtime.UnmarshalError",
            message: reason,
        },
        Err(BadEvent::ToolCall { reason }) => Answer::FunctionError {
            error_type: "ValueError",
            message: reason,
        },
        Err(BadEvent::JsonRpc { id }) => {
            let error = error_text(
                code::NOT_JSONRPC,
                "Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification",
                None,
            );
            Answer::Response(error_response(id.unwrap_or("0"), &error))
        }
    }
}

/// AgentCore: the answer is the tool's result itself. The gateway speaks no MCP to a Lambda target, so it counts as a caller of the legacy era.
fn call_tool(
    session: &mut Session,
    tool: &str,
    arguments: Option<&str>,
    deadline: Instant,
) -> Answer {
    let mut params = format!(r#"{{"name":{}"#, json::quote(tool));
    if let Some(arguments) = arguments {
        params.push_str(r#","arguments":"#);
        params.push_str(arguments);
    }
    params.push('}');
    let reply = forward(session, "tools/call", Some(&params), Era::Legacy, deadline)
        .and_then(Forwarded::into_body);
    match reply {
        Ok(Ok(body)) if body.len() > MAX_ANSWER => tool_error(
            &CallError::AnswerTooLarge {
                bytes: body.len(),
                limit: MAX_ANSWER,
            }
            .to_string(),
        ),
        Ok(Ok(body)) => Answer::Response(body),
        Ok(Err(Refusal::Server(error))) => Answer::FunctionError {
            error_type: "Server.JsonRpcError",
            message: ErrorObject::parse(&error)
                .map_or(error, |error| server_error_sentence(&error)),
        },
        Ok(Err(Refusal::WantsInput(wanted))) => tool_error(&wants_input_sentence(&wanted)),
        Err(error @ CallError::Deadline { .. }) => tool_error(&error.full_text()),
        Err(error) => Answer::FunctionError {
            error_type: error.error_type(),
            message: error.full_text(),
        },
    }
}

/// A tool result that says why there is none.
fn tool_error(text: &str) -> Answer {
    Answer::Response(Body::text(format!(
        r#"{{"content":[{{"type":"text","text":{}}}],"isError":true}}"#,
        json::quote(text)
    )))
}

fn wants_input_sentence(wanted: &str) -> String {
    format!("the tool needs input from the user, which this caller cannot be asked for: {wanted}")
}

/// Raw JSON-RPC: the answer is a response with the caller's id.
fn answer_request(
    session: &mut Session,
    id: &str,
    method: &str,
    params: Option<&str>,
    deadline: Instant,
) -> Body {
    let caller = match era::caller_era(params) {
        CallerEra::Legacy => Era::Legacy,
        CallerEra::Modern => Era::Modern,
        CallerEra::Unsupported { requested } => {
            let data =
                serde_json::json!({"supported": [era::MODERN_VERSION], "requested": requested})
                    .to_string();
            return error_response(
                id,
                &error_text(
                    code::UNSUPPORTED_PROTOCOL_VERSION,
                    "Unsupported protocol version",
                    Some(&data),
                ),
            );
        }
        CallerEra::Incomplete { missing } => {
            return error_response(
                id,
                &error_text(
                    code::INVALID_PARAMS,
                    &format!("params._meta lacks a valid `{missing}`"),
                    None,
                ),
            );
        }
    };
    match own_method(method, caller) {
        Some(OwnMethod::Unknown) => {
            return error_response(
                id,
                &error_text(
                    code::METHOD_NOT_FOUND,
                    "Method not found",
                    Some(&json::quote(method)),
                ),
            );
        }
        Some(own) => {
            return match session.ensure_ready(deadline) {
                Ok(server) => match own {
                    OwnMethod::Ping => result_response(id, "{}"),
                    OwnMethod::Initialize => {
                        let params = params.and_then(|params| Object::parse(params.as_bytes()));
                        let requested = params
                            .as_ref()
                            .and_then(|params| params.get("protocolVersion"))
                            .and_then(json::string);
                        result_response(id, &server.initialize_result(requested.as_deref()))
                    }
                    OwnMethod::Discover => result_response(id, &server.discover_result()),
                    OwnMethod::SetLogLevel if server.capabilities.get("logging").is_some() => {
                        result_response(id, "{}")
                    }
                    OwnMethod::SetLogLevel | OwnMethod::Unknown => error_response(
                        id,
                        &error_text(
                            code::METHOD_NOT_FOUND,
                            "Method not found",
                            Some(&json::quote(method)),
                        ),
                    ),
                },
                Err(error) => error_response(id, &error.to_error_object()),
            };
        }
        None => {}
    }
    let forwarded = match forward(session, method, params, caller, deadline) {
        Ok(forwarded) => forwarded,
        Err(error) => return error_response(id, &error.to_error_object()),
    };
    match forwarded.into_body() {
        Ok(Ok(mut body)) => {
            body.head
                .insert_str(0, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#));
            body.tail = "}";
            body
        }
        Ok(Err(Refusal::Server(error))) => error_response(id, &error),
        Ok(Err(Refusal::WantsInput(wanted))) if method == "tools/call" => result_response(
            id,
            &format!(
                r#"{{"content":[{{"type":"text","text":{}}}],"isError":true}}"#,
                json::quote(&wants_input_sentence(&wanted))
            ),
        ),
        Ok(Err(Refusal::WantsInput(wanted))) => error_response(
            id,
            &error_text(code::INTERNAL_ERROR, &wants_input_sentence(&wanted), None),
        ),
        Err(error) => error_response(id, &error.to_error_object()),
    }
}

/// Methods that the bridge answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnMethod {
    Initialize,
    Discover,
    Ping,
    /// Answered without being passed on: one server serves many callers, and log notifications reach none of them.
    SetLogLevel,
    /// Of the other era, or impossible here: subscriptions and tasks end with the event.
    Unknown,
}

fn own_method(method: &str, caller: Era) -> Option<OwnMethod> {
    Some(match (method, caller) {
        ("initialize", Era::Legacy) => OwnMethod::Initialize,
        ("server/discover", Era::Modern) => OwnMethod::Discover,
        ("ping", Era::Legacy) => OwnMethod::Ping,
        ("logging/setLevel", Era::Legacy) => OwnMethod::SetLogLevel,
        ("initialize" | "ping" | "logging/setLevel", Era::Modern)
        | ("server/discover", Era::Legacy) => OwnMethod::Unknown,
        ("resources/subscribe" | "resources/unsubscribe" | "subscriptions/listen", _) => {
            OwnMethod::Unknown
        }
        (method, _) if method.starts_with("tasks/") => OwnMethod::Unknown,
        _ => return None,
    })
}

/// MCP's own notifications from a client: each says something about a connection, which a function does not have.
const CONNECTION_NOTIFICATIONS: [&str; 4] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// A caller's notification: dropped when it is about the connection, the server's business otherwise.
fn pass_on_notification(
    session: &mut Session,
    method: &str,
    params: Option<&str>,
    deadline: Instant,
) {
    if CONNECTION_NOTIFICATIONS.contains(&method) {
        return;
    }
    let caller = match era::caller_era(params) {
        CallerEra::Modern => Era::Modern,
        CallerEra::Legacy | CallerEra::Unsupported { .. } | CallerEra::Incomplete { .. } => {
            Era::Legacy
        }
    };
    let server = session.ensure_ready(deadline).map(|server| server.era);
    match server {
        Ok(server) => session.notify(
            method,
            era::params_for_server(params, caller, server).as_deref(),
        ),
        Err(error) => session
            .log
            .warn(&format!("a notification was not delivered: {error}")),
    }
}

/// A reply in the caller's terms.
struct Forwarded {
    method: String,
    reply: Reply,
    /// The result rewritten for a caller of another era; `None`: as it came.
    rewritten: Option<String>,
    refusal: Option<Refusal>,
}

/// Why a reply is no result for this caller.
enum Refusal {
    /// Raw `error` member.
    Server(String),
    /// What the server would need, in words.
    WantsInput(String),
}

impl Forwarded {
    /// The result as a body; the inner error is an answer of the server's that is none.
    fn into_body(self) -> Result<Result<Body, Refusal>, CallError> {
        if let Some(refusal) = self.refusal {
            return Ok(Err(refusal));
        }
        if let Some(rewritten) = self.rewritten {
            return Ok(Ok(Body::text(rewritten)));
        }
        match self.reply.outcome() {
            Some(_) => Ok(Ok(Body {
                raw: Some(self.reply.into_result_bytes()),
                ..Body::default()
            })),
            None => Err(CallError::NoResult {
                method: self.method,
            }),
        }
    }
}

/// Sends a request to the server, translated if it is of another era, and translates its reply back.
fn forward(
    session: &mut Session,
    method: &str,
    params: Option<&str>,
    caller: Era,
    deadline: Instant,
) -> Result<Forwarded, CallError> {
    let server = session.ensure_ready(deadline)?.clone();
    let params = era::params_for_server(params, caller, server.era);
    let reply = session.call(method, params.as_deref(), deadline)?;
    let (rewritten, refusal) = match reply.outcome() {
        Some(Outcome::Result(result)) => {
            let wanted = if caller == Era::Legacy && server.era == Era::Modern {
                era::wanted_input(result)
            } else {
                None
            };
            (
                era::result_for_caller(result, method, caller, &server),
                wanted.map(Refusal::WantsInput),
            )
        }
        Some(Outcome::Error(error)) => (
            None,
            Some(Refusal::Server(era::error_for_caller(
                error, caller, server.era,
            ))),
        ),
        None => (None, None),
    };
    Ok(Forwarded {
        method: method.to_owned(),
        reply,
        rewritten,
        refusal,
    })
}

fn result_response(id: &str, result: &str) -> Body {
    Body::text(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

fn error_response(id: &str, error: &str) -> Body {
    Body::text(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}
