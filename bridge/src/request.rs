//! One JSON-RPC request to its answer: what the bridge answers itself, and what it passes on to the server.
//!
//! Enters: a [`Request`] of a caller of either era, and where notifications can be sent meanwhile. Leaves: an [`Answered`], always, without the id. Refuses:
//! methods that the caller's era does not have, those that end with the event (subscriptions, tasks), and tools that the function does not show.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::body::Body;
use crate::conversation::Outcome;
use crate::era::{Era, Server};
use crate::error::CallError;
use crate::incoming::{self, CallerError, Wanted};
use crate::json::{self, Object};
use crate::jsonrpc::{code, error_response};
use crate::metrics::{self, Meter};
use crate::notice::{self, Watched};
use crate::outgoing;
use crate::session::{Heard, Session, Watch};
use crate::tools::UnknownTool;
use crate::trace;

/// After this long without a message a stream gets a sign of life, below the idle limits of the proxies on its way.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a server of the modern era may ask for another round of the same request from a caller who does not know of rounds.
const MOST_ROUNDS: u32 = 3;

/// A request whose era is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The caller's id, raw.
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    /// Raw; an object where there are any.
    pub(crate) params: Option<&'a str>,
    pub(crate) caller: Era,
    /// The `traceparent` of the event that it came in.
    pub(crate) trace: Option<&'a str>,
}

/// Someone who gets messages while a request is answered. `Break`: nobody listens any more.
pub(crate) trait Listener {
    /// Sends one JSON-RPC message, a single line.
    fn message(&mut self, text: &str) -> ControlFlow<()>;
    /// Sends a sign of life, if anything has been sent before.
    fn keep_alive(&mut self) -> ControlFlow<()>;
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answered {
    Result(Body),
    Error(CallerError),
}

impl Answered {
    fn error(code: i64, message: &str, data: Option<&str>) -> Self {
        Self::Error(CallerError::new(code, message, data))
    }

    /// The JSON-RPC response for the caller whose raw id is `id`, at most `limit` bytes long.
    pub(crate) fn into_response(self, meter: &mut Meter, id: &str, limit: usize) -> Body {
        match self {
            Self::Result(body) => {
                let body = body.within(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#), "}");
                if body.len() > limit {
                    return too_large(meter, id, body.len(), limit);
                }
                body
            }
            Self::Error(error) => Body::text(error_response(id, &error.text)),
        }
    }
}

/// The response in place of one that Lambda would not carry; sizes in bytes.
pub(crate) fn too_large(meter: &mut Meter, id: &str, bytes: usize, limit: usize) -> Body {
    meter.was_too_large();
    let error = CallError::AnswerTooLarge { bytes, limit };
    Body::text(error_response(id, &error.to_error_object()))
}

impl From<CallError> for Answered {
    fn from(error: CallError) -> Self {
        Self::Error(CallerError {
            code: code::INTERNAL_ERROR,
            text: error.to_error_object(),
        })
    }
}

/// Answers a request.
pub(crate) fn answer(
    session: &mut Session,
    request: Request<'_>,
    listener: Option<&mut dyn Listener>,
    deadline: Instant,
) -> Answered {
    let hears = listener.is_some();
    if request
        .params
        .is_some_and(|params| !json::is_object(params))
    {
        let refusal = "`params` must be an object, and the names of its members text";
        return Answered::error(code::INVALID_PARAMS, refusal, None);
    }
    match own_method(request.method, request.caller, hears) {
        None => match forward(session, request, listener, deadline) {
            Ok(Forwarded::Result(body)) => Answered::Result(body),
            Ok(Forwarded::Error(error)) => Answered::Error(error),
            Ok(Forwarded::WantsInput(wanted)) if request.method == "tools/call" => {
                Answered::Result(Body::text(tool_error(&wants_input_sentence(&wanted))))
            }
            Ok(Forwarded::WantsInput(wanted)) => {
                Answered::error(code::INTERNAL_ERROR, &wants_input_sentence(&wanted), None)
            }
            Err(error) => error.into(),
        },
        Some(OwnMethod::Unknown) => unknown_method(request.method),
        Some(own) => match session.ensure_ready(deadline) {
            Ok(server) => answer_for(&server, own, request, hears),
            Err(error) => error.into(),
        },
    }
}

/// Methods that the bridge answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnMethod {
    Initialize,
    Discover,
    Ping,
    /// Answered without being passed on: one server serves many callers.
    SetLogLevel,
    /// Accepted where the server has subscriptions, as callers of that era expect, but nothing will come of it: there is no stream to send an update on.
    Subscribe,
    /// Of the other era, or impossible here: subscriptions and tasks end with the event.
    Unknown,
}

fn own_method(method: &str, caller: Era, hears: bool) -> Option<OwnMethod> {
    Some(match (method, caller) {
        ("initialize", Era::Legacy) => OwnMethod::Initialize,
        ("server/discover", Era::Modern) => OwnMethod::Discover,
        ("ping", Era::Legacy) => OwnMethod::Ping,
        ("logging/setLevel", Era::Legacy) => OwnMethod::SetLogLevel,
        ("resources/subscribe" | "resources/unsubscribe", Era::Legacy) => OwnMethod::Subscribe,
        ("subscriptions/listen", Era::Modern) if hears => return None,
        (
            "initialize"
            | "ping"
            | "logging/setLevel"
            | "resources/subscribe"
            | "resources/unsubscribe",
            Era::Modern,
        )
        | ("server/discover", Era::Legacy)
        | ("subscriptions/listen", _) => OwnMethod::Unknown,
        (method, _) if method.starts_with("tasks/") => OwnMethod::Unknown,
        _ => return None,
    })
}

/// Answers from what the server said of itself.
fn answer_for(server: &Server, own: OwnMethod, request: Request<'_>, hears: bool) -> Answered {
    let done = |text: &str| Answered::Result(Body::text(text));
    let capabilities = &server.capabilities;
    match own {
        OwnMethod::Initialize => {
            let requested = request
                .params
                .and_then(|params| Object::parse(params.as_bytes()))
                .and_then(|params| {
                    params
                        .get("protocolVersion")
                        .and_then(json::string)
                        .map(|version| version.into_owned())
                });
            done(&server.initialize_result(requested.as_deref(), hears))
        }
        OwnMethod::Discover => done(&server.discover_result(hears)),
        OwnMethod::SetLogLevel if capabilities.get("logging").is_some() => done("{}"),
        OwnMethod::Subscribe if capabilities["resources"]["subscribe"] == true => done("{}"),
        // A server that does not run is told of here too.
        OwnMethod::Ping => done("{}"),
        OwnMethod::SetLogLevel | OwnMethod::Subscribe | OwnMethod::Unknown => {
            unknown_method(request.method)
        }
    }
}

fn unknown_method(method: &str) -> Answered {
    Answered::error(
        code::METHOD_NOT_FOUND,
        "Method not found",
        Some(&json::quote(method)),
    )
}

/// What a caller is told who calls a tool that it does not see: the same as of one that does not exist.
fn unknown_tool(UnknownTool(name): UnknownTool) -> CallerError {
    let message = match name {
        Some(name) => format!("Unknown tool: {name}"),
        None => "`params.name` must be a string, the tool's name".to_owned(),
    };
    CallerError::new(code::INVALID_PARAMS, &message, None)
}

/// A tool's result that says why there is none.
pub(crate) fn tool_error(text: &str) -> String {
    format!(
        r#"{{"content":[{{"type":"text","text":{}}}],"isError":true}}"#,
        json::quote(text)
    )
}

/// Why a tool that wants input gets none.
pub(crate) fn wants_input_sentence(wanted: &str) -> String {
    format!("the tool needs input from the user, which this caller cannot be asked for: {wanted}")
}

/// The server's reply in the caller's terms.
#[derive(Debug)]
pub(crate) enum Forwarded {
    Result(Body),
    Error(CallerError),
    /// The server would need something that this caller cannot be asked for, in words.
    WantsInput(String),
}

/// Sends a request to the server, translated if it is of another era, and translates its reply back. A call of a tool is counted.
///
/// # Errors
///
/// Why the server gave no answer.
pub(crate) fn forward(
    session: &mut Session,
    request: Request<'_>,
    listener: Option<&mut dyn Listener>,
    deadline: Instant,
) -> Result<Forwarded, CallError> {
    let outcome = exchange(session, request, listener, deadline);
    if session.meter.is_on() && request.method == "tools/call" {
        let tool = request
            .params
            .and_then(|params| Object::parse(params.as_bytes()))
            .and_then(|params| {
                params
                    .get("name")
                    .and_then(json::string)
                    .map(Cow::into_owned)
            })
            .and_then(|exposed| session.tools.server_name(&exposed).map(str::to_owned));
        session.meter.called(tool, is_tool_error(&outcome));
    }
    outcome
}

fn is_tool_error(outcome: &Result<Forwarded, CallError>) -> bool {
    match outcome {
        // A result stands in one piece: either it was passed on, or it was written anew.
        Ok(Forwarded::Result(body)) => body
            .parts()
            .iter()
            .any(|part| std::str::from_utf8(part).is_ok_and(metrics::is_tool_error)),
        Ok(Forwarded::Error(_) | Forwarded::WantsInput(_)) | Err(_) => true,
    }
}

fn exchange(
    session: &mut Session,
    request: Request<'_>,
    mut listener: Option<&mut dyn Listener>,
    deadline: Instant,
) -> Result<Forwarded, CallError> {
    let renamed = match request.method {
        "tools/call" => match session.tools.call_for_server(request.params) {
            Ok(renamed) => renamed,
            Err(unknown) => return Ok(Forwarded::Error(unknown_tool(unknown))),
        },
        _ => None,
    };
    let request = Request {
        params: renamed.as_deref().or(request.params),
        ..request
    };
    let server = session.ensure_ready(deadline)?;
    let listens = request.method == "subscriptions/listen";
    if listens && server.era == Era::Legacy {
        return Ok(Forwarded::Error(CallerError::new(
            code::METHOD_NOT_FOUND,
            "Method not found",
            Some(&json::quote(request.method)),
        )));
    }
    let trace = request
        .trace
        .filter(|_| trace::is_carried_by(request.method, server.era));
    let mut params = request.params.map(Cow::Borrowed);
    let mut rounds = 1;
    loop {
        let own_id = session.next_id();
        let watched = listener.is_some().then_some(own_id);
        let outgoing =
            outgoing::params_for_server(params.as_deref(), request.caller, &server, watched, trace);
        let reply = {
            let watched = Watched {
                caller_id: request.id,
                own_id,
                caller: request.caller,
                server: server.era,
                outgoing: &outgoing,
                listens,
            };
            let mut hear = listener.as_deref_mut().map(|listener| {
                move |heard| match heard {
                    Heard::Notice(line) => match notice::for_caller(&line, &watched) {
                        Some(message) => listener.message(&message),
                        None => ControlFlow::Continue(()),
                    },
                    Heard::Quiet => listener.keep_alive(),
                }
            });
            let watch = hear.as_mut().map(|heard| Watch {
                heard,
                quiet: KEEP_ALIVE,
            });
            session.call(request.method, outgoing.params.as_deref(), watch, deadline)
        };
        let reply = match reply {
            // A subscription that the server would keep up ends well, just before the function's time does.
            Err(CallError::Deadline { .. }) if listens => {
                return Ok(Forwarded::Result(Body::text(notice::subscription_end(
                    request.id,
                ))));
            }
            reply => reply?,
        };
        let result = match reply.outcome() {
            Some(Outcome::Result(_)) if listens => {
                return Ok(Forwarded::Result(Body::text(notice::subscription_end(
                    request.id,
                ))));
            }
            Some(Outcome::Result(result)) => result,
            Some(Outcome::Error(error)) => {
                return Ok(refusal(error, request, &server));
            }
            None => {
                return Err(CallError::NoResult {
                    method: request.method.to_owned(),
                });
            }
        };
        if request.caller == Era::Legacy && server.era == Era::Modern {
            match incoming::wanted(result) {
                None => {}
                Some(Wanted::Again { state }) if rounds < MOST_ROUNDS => {
                    params = Some(Cow::Owned(with_state(request.params, &state)));
                    rounds += 1;
                    continue;
                }
                Some(Wanted::Again { .. }) => {
                    return Ok(Forwarded::WantsInput(format!(
                        "another round of the same request, after {MOST_ROUNDS}"
                    )));
                }
                Some(Wanted::Input(wanted)) => return Ok(Forwarded::WantsInput(wanted)),
            }
        }
        let shown = match request.method {
            "tools/list" => session.tools.list_for_caller(result),
            _ => None,
        };
        let rewritten = incoming::result_for_caller(
            shown.as_deref().unwrap_or(result),
            request.method,
            request.caller,
            &server,
        )
        .or(shown);
        return Ok(Forwarded::Result(match rewritten {
            Some(rewritten) => Body::text(rewritten),
            None => {
                let (line, range) = reply.into_result_bytes();
                Body::raw(line, range)
            }
        }));
    }
}

fn refusal(error: &str, request: Request<'_>, server: &Server) -> Forwarded {
    if request.caller == Era::Legacy
        && let Some(missing) = incoming::missing_capability(error)
    {
        return Forwarded::WantsInput(missing);
    }
    Forwarded::Error(incoming::error_for_caller(
        error,
        request.method,
        request.caller,
        server,
    ))
}

/// `params` of another round: as they were, with the state that the server gave.
fn with_state(params: Option<&str>, state: &str) -> String {
    let mut object = params
        .and_then(|params| Object::parse(params.as_bytes()))
        .unwrap_or_default();
    object.set("requestState", state);
    object.to_text()
}
