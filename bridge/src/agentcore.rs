//! A tool call by AgentCore Gateway: the event is the arguments, the answer the tool's result itself.
//!
//! Enters: a tool's name and its arguments. Leaves: an [`Answer`], always. The gateway speaks no MCP to a Lambda target, so it counts as a caller of the
//! legacy era. Its schema language knows few types, so that some arguments come as JSON text: they are turned back first (`catalogue`, `arguments`).
//!
//! # Errors as the gateway gets them
//!
//! - A server's JSON-RPC error and a server that does not run are *function errors*, as with the library before this one, but with code, message and data
//!   where that one said "Internal failure": these are faults of the deployment or of the call's form, and alarms count function errors.
//! - A tool that did not answer in time, an answer larger than Lambda carries, and a tool that wants input which nobody can give are *results with
//!   `isError: true`*: the model that called the tool reads the text and can do better next time. The library before this one never answered the first and let
//!   Lambda refuse the second.
//! - A server's own `isError: true` result is passed through.

use std::time::Instant;

use crate::body::Body;
use crate::catalogue;
use crate::era::Era;
use crate::error::{CallError, server_error_sentence};
use crate::json;
use crate::jsonrpc::ErrorObject;
use crate::request::{self, Forwarded, Request};
use crate::runtime_api::MAX_ANSWER;
use crate::serve::Answer;
use crate::session::Session;

/// Calls a tool. `trace` is the event's `traceparent`.
pub(crate) fn answer(
    session: &mut Session,
    tool: &str,
    arguments: Option<&str>,
    trace: Option<&str>,
    deadline: Instant,
) -> Answer {
    let typed = match arguments {
        Some(arguments) => match catalogue::typed(session, tool, arguments, deadline) {
            Ok(typed) => typed,
            Err(error) => {
                session.meter.called(None, true);
                return function_error(&error);
            }
        },
        None => None,
    };
    let mut params = format!(r#"{{"name":{}"#, json::quote(tool));
    if let Some(arguments) = typed.as_deref().or(arguments) {
        params.push_str(r#","arguments":"#);
        params.push_str(arguments);
    }
    params.push('}');
    let request = Request {
        id: "null",
        method: "tools/call",
        params: Some(&params),
        caller: Era::Legacy,
        trace,
    };
    match request::forward(session, request, None, deadline) {
        Ok(Forwarded::Result(body)) if body.len() > MAX_ANSWER => {
            session.meter.was_too_large();
            let error = CallError::AnswerTooLarge {
                bytes: body.len(),
                limit: MAX_ANSWER,
            };
            tool_error(&error.to_string())
        }
        Ok(Forwarded::Result(body)) => Answer::Response(body),
        Ok(Forwarded::Error(error)) => Answer::FunctionError {
            error_type: "Server.JsonRpcError",
            message: ErrorObject::parse(&error.text)
                .map_or(error.text, |error| server_error_sentence(&error)),
        },
        Ok(Forwarded::WantsInput(wanted)) => tool_error(&request::wants_input_sentence(&wanted)),
        Err(error @ CallError::Deadline { .. }) => tool_error(&error.full_text()),
        Err(error) => function_error(&error),
    }
}

fn function_error(error: &CallError) -> Answer {
    Answer::FunctionError {
        error_type: error.error_type(),
        message: error.full_text(),
    }
}

fn tool_error(text: &str) -> Answer {
    Answer::Response(Body::text(request::tool_error(text)))
}
