//! From an event to its answer: what each kind of event is owed, whatever the server does.
//!
//! Enters: an [`Invocation`]. Leaves: an [`Answer`], always. Refuses nothing: a failure is an answer too, in the form that the caller of this kind of event
//! understands (`agentcore`, `streamable_http`, and raw JSON-RPC here).

use std::io;
use std::time::{Duration, Instant};

use crate::agentcore;
use crate::body::Body;
use crate::era::{self, CallerEra, Era};
use crate::event::{self, BadEvent, Event};
use crate::incoming::CallerError;
use crate::jsonrpc::{code, error_response, error_text};
use crate::launch::HttpSettings;
use crate::outgoing;
use crate::request::{self, Request};
use crate::runtime_api::{Invocation, MAX_ANSWER, RuntimeApi};
use crate::session::Session;
use crate::streamable_http;
use crate::trace;

/// The answer to one event.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Body),
    FunctionError {
        error_type: &'static str,
        message: String,
    },
    /// Already sent in pieces; the inner error is why not all of it arrived.
    Sent(io::Result<Result<(), String>>),
}

/// How long before Lambda ends the function the caller gets an answer at the latest: a tenth of the time, at most half a second.
fn margin(left: Duration) -> Duration {
    (left / 10).min(Duration::from_millis(500))
}

/// Answers one event.
pub(crate) fn answer(
    session: &mut Session,
    settings: &HttpSettings,
    api: &RuntimeApi,
    invocation: &Invocation,
) -> Answer {
    let deadline = invocation.deadline
        - margin(
            invocation
                .deadline
                .saturating_duration_since(Instant::now()),
        );
    let trace = invocation.trace_id.as_deref().and_then(trace::from_xray);
    let trace = trace.as_deref();
    match event::recognise(&invocation.body, invocation.client_context.as_deref()) {
        Ok(Event::AgentCore { tool, arguments }) => {
            agentcore::answer(session, &tool, arguments, trace, deadline)
        }
        Ok(Event::Http(http)) => streamable_http::answer(
            session,
            settings,
            api,
            &invocation.request_id,
            &http,
            trace,
            deadline,
        ),
        Ok(Event::Request { id, method, params }) => Answer::Response(answer_request(
            session, id, &method, params, trace, deadline,
        )),
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
            Answer::Response(Body::text(error_response(id.unwrap_or("0"), &error)))
        }
    }
}

/// Raw JSON-RPC: the answer is a response with the caller's id. The caller's era is what its `_meta` says.
fn answer_request(
    session: &mut Session,
    id: &str,
    method: &str,
    params: Option<&str>,
    trace: Option<&str>,
    deadline: Instant,
) -> Body {
    let caller = match era::caller_era(params) {
        CallerEra::Legacy => Era::Legacy,
        CallerEra::Modern => Era::Modern,
        CallerEra::Unsupported { requested } => {
            return Body::text(error_response(
                id,
                &era::unsupported_version(&requested).text,
            ));
        }
        CallerEra::Incomplete { missing } => {
            let error = CallerError::new(
                code::INVALID_PARAMS,
                &format!("params._meta lacks a valid `{missing}`"),
                None,
            );
            return Body::text(error_response(id, &error.text));
        }
    };
    let request = Request {
        id,
        method,
        params,
        caller,
        trace,
    };
    request::answer(session, request, None, deadline).into_response(
        &mut session.meter,
        id,
        MAX_ANSWER,
    )
}

/// MCP's own notifications from a client: each says something about a connection, which a function does not have.
const CONNECTION_NOTIFICATIONS: [&str; 4] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// A caller's notification: dropped when it is about the connection, the server's business otherwise.
pub(crate) fn pass_on_notification(
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
    match session.ensure_ready(deadline) {
        Ok(server) => {
            let outgoing = outgoing::params_for_server(params, caller, &server, None, None);
            session.notify(method, outgoing.params.as_deref());
        }
        Err(error) => session
            .log
            .warn(&format!("a notification was not delivered: {error}")),
    }
}
