//! MCP's Streamable HTTP transport, the server's side, without sessions: an HTTP request to its answer.
//!
//! Enters: an [`HttpRequest`]. Leaves: an [`Answer`], always: one JSON value, or, where the function URL streams and the server has something to say before
//! its result, server-sent events. Refuses, with the status that the specification names: origins that are not allowed, methods but POST, bodies that are no
//! message, headers that contradict the body. A refusal of a request carries its id. Source: MCP specification, "Streamable HTTP", 2025-11-25 and 2026-07-28.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::body::Body;
use crate::era::{Era, LEGACY_VERSIONS};
use crate::http::{self, HttpAnswer, HttpRequest};
use crate::incoming::CallerError;
use crate::json::{self, Object};
use crate::jsonrpc::{Message, code, error_response, error_text};
use crate::launch::HttpSettings;
use crate::metadata::{self, Refused};
use crate::metrics::Meter;
use crate::request::{self, Answered, Listener, Request};
use crate::runtime_api::{AnswerStream, MAX_ANSWER, MAX_STREAM, RuntimeApi};
use crate::serve::{Answer, pass_on_notification};
use crate::session::Session;
use crate::trace;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// Methods of HTTP that are answered with anything else than a refusal.
const ALLOW: &str = "POST, OPTIONS";
/// Headers that a browser may send; MCP's `Mcp-Param-*` are added as they are asked for.
const CORS_HEADERS: &str = "Content-Type, Accept, Authorization, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, Traceparent";

/// Answers one HTTP event. `settings` are the function's; `api` and `request_id` are where a streamed answer goes; `trace` is the
/// event's `traceparent`.
pub(crate) fn answer(
    session: &mut Session,
    settings: &HttpSettings,
    api: &RuntimeApi,
    request_id: &str,
    http: &HttpRequest<'_>,
    trace: Option<&str>,
    deadline: Instant,
) -> Answer {
    // The caller's own context, where there is one, is nearer to it than the one that Lambda began.
    let given = http
        .header(trace::TRACEPARENT)
        .filter(|given| trace::is_traceparent(given));
    let trace = given.as_deref().or(trace);
    let streams = settings.stream && http.is_function_url;
    let mut exchange = Exchange {
        api,
        request_id,
        streams,
        cors: Vec::new(),
        events: None,
    };
    let answer = match cors(settings, http) {
        Err(refusal) => refusal,
        Ok(cors) => {
            exchange.cors = cors;
            serve(session, settings, &mut exchange, http, trace, deadline)
        }
    };
    exchange.finish(answer)
}

/// One request and where its answer goes.
struct Exchange<'a> {
    api: &'a RuntimeApi,
    request_id: &'a str,
    /// Whether Lambda takes the answer in pieces.
    streams: bool,
    cors: Vec<(&'static str, String)>,
    /// The answer, once its first piece has been sent.
    events: Option<Events>,
}

/// Server-sent events that are being sent.
struct Events {
    stream: AnswerStream,
    broken: bool,
}

impl Exchange<'_> {
    fn begin_events(&mut self) -> std::io::Result<&mut Events> {
        let stream = match self.events.take() {
            Some(events) => return Ok(self.events.insert(events)),
            None => {
                let mut headers = vec![
                    ("Content-Type", EVENTS.to_owned()),
                    ("Cache-Control", "no-cache, no-transform".to_owned()),
                    // Keeps proxies from collecting events.
                    ("X-Accel-Buffering", "no".to_owned()),
                ];
                headers.append(&mut self.cors.clone());
                self.api
                    .stream(self.request_id, &http::head(200, &headers))?
            }
        };
        Ok(self.events.insert(Events {
            stream,
            broken: false,
        }))
    }

    fn send(&mut self, parts: &[&[u8]]) -> ControlFlow<()> {
        let sent = self.begin_events().and_then(|events| {
            let sent = events.stream.write(parts);
            events.broken |= sent.is_err();
            sent
        });
        match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn send_event(&mut self, message: &[&[u8]]) -> ControlFlow<()> {
        let mut parts: Vec<&[u8]> = vec![b"event: message\ndata: "];
        parts.extend_from_slice(message);
        parts.push(b"\n\n");
        self.send(&parts)
    }

    /// Sends the answer in the form that Lambda takes, or ends the one that has begun.
    fn finish(mut self, mut answer: HttpAnswer) -> Answer {
        if let Some(events) = self.events {
            return Answer::Sent(match events.broken {
                // What is missing cannot be sent any more; the connection's end says so.
                true => Ok(Err("the caller stopped listening".to_owned())),
                false => events.stream.end(),
            });
        }
        answer.headers.append(&mut self.cors);
        if !self.streams {
            return Answer::Response(answer.into_event());
        }
        let sent = self
            .api
            .stream(self.request_id, &answer.head())
            .and_then(|mut stream| {
                stream.write(&answer.body.parts())?;
                stream.end()
            });
        Answer::Sent(sent)
    }
}

impl Listener for Exchange<'_> {
    fn message(&mut self, text: &str) -> ControlFlow<()> {
        self.send_event(&[text.as_bytes()])
    }

    fn keep_alive(&mut self) -> ControlFlow<()> {
        match self.events {
            Some(_) => self.send(&[b":\n\n"]),
            None => ControlFlow::Continue(()),
        }
    }
}

/// The CORS headers of the answer; none where there is no origin, or where AWS adds them.
///
/// A page of any origin could otherwise use a browser's way into a private network: see "Security" in the specification.
fn cors(
    settings: &HttpSettings,
    http: &HttpRequest<'_>,
) -> Result<Vec<(&'static str, String)>, HttpAnswer> {
    let Some(origin) = http.header("origin") else {
        return Ok(Vec::new());
    };
    let any = settings
        .allowed_origins
        .iter()
        .any(|allowed| allowed == "*");
    let listed = settings
        .allowed_origins
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(&origin));
    if !any && !listed {
        return Err(refuse(
            403,
            None,
            &error_text(
                code::HTTP_REFUSAL,
                "Forbidden: this Origin is not allowed",
                None,
            ),
        ));
    }
    Ok(if settings.cors {
        vec![
            ("Access-Control-Allow-Origin", origin.into_owned()),
            (
                "Access-Control-Expose-Headers",
                "Mcp-Protocol-Version".to_owned(),
            ),
            ("Vary", "Origin".to_owned()),
        ]
    } else {
        Vec::new()
    })
}

fn serve(
    session: &mut Session,
    settings: &HttpSettings,
    exchange: &mut Exchange<'_>,
    http: &HttpRequest<'_>,
    trace: Option<&str>,
    deadline: Instant,
) -> HttpAnswer {
    let refusal =
        |status, message| refuse(status, None, &error_text(code::HTTP_REFUSAL, message, None));
    match http.method.as_str() {
        "POST" => {}
        "OPTIONS" if settings.cors => return preflight(http),
        method => {
            let message = match method {
                "GET" => "Method Not Allowed: SSE streaming not supported",
                _ => "Method Not Allowed",
            };
            let mut answer = refusal(405, message);
            answer.headers.push(("Allow", ALLOW.to_owned()));
            return answer;
        }
    }
    let accept = http.header("accept");
    let takes = |media_type, ranges| {
        accept
            .as_deref()
            .is_some_and(|accept| http::accepts(accept, media_type, ranges))
    };
    // Without the header anything is acceptable (RFC 9110, 12.5.1), but events only to those who ask for them.
    let takes_json = accept.is_none() || takes(JSON, true);
    let takes_events = exchange.streams && takes(EVENTS, false);
    if !takes_json && !takes_events {
        return refusal(406, "Not Acceptable: Client must accept application/json");
    }
    let media_type = http.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(JSON) {
        return refusal(
            415,
            "Unsupported Media Type: Content-Type must be application/json",
        );
    }
    let parse_error = |what: &str| {
        refuse(
            400,
            None,
            &error_text(code::PARSE_ERROR, &format!("Parse error: {what}"), None),
        )
    };
    let Some(body) = http.body.bytes() else {
        return parse_error(match http.body {
            http::HttpBody::Malformed => "Invalid base64",
            _ => "Empty request body",
        });
    };
    let Ok(text) = std::str::from_utf8(body).map(str::trim_ascii_start) else {
        return parse_error("Invalid JSON");
    };
    let Some(object) = Object::parse(text.as_bytes()) else {
        return match json::elements(text) {
            Some(elements) => batch(session, http, &elements, trace, deadline),
            None if json::is_json(text) => not_a_message(None),
            None => parse_error("Invalid JSON"),
        };
    };
    let message = Message::of(&object);
    // What asks for something gets its id back, even if it is no message otherwise.
    let id = message.request_id();
    if !is_message(&message) {
        return not_a_message(id.filter(|_| message.method.is_some()));
    }
    let Some(method) = &message.method else {
        // An answer to a request of the server's, which was refused long ago.
        return match metadata::version_header(http) {
            Some(version) if !LEGACY_VERSIONS.contains(&&*version) => not_a_message(None),
            _ => accepted(),
        };
    };
    let Some(id) = id else {
        if object.get("id").is_some() {
            return not_a_message(None);
        }
        return match metadata::check_notification(http) {
            Ok(()) => {
                pass_on_notification(session, method, message.params, deadline);
                accepted()
            }
            Err(error) => refuse(400, None, &error.text),
        };
    };
    let caller = match metadata::check_request(http, method, message.params) {
        Ok(caller) => caller,
        Err(Refused { status, error }) => return refuse(status, Some(id), &error.text),
    };
    if method == "subscriptions/listen"
        && caller == Era::Modern
        && exchange.streams
        && !takes_events
    {
        return refusal(
            406,
            "Not Acceptable: a subscription is answered with text/event-stream",
        );
    }
    let request = Request {
        id,
        method,
        params: message.params,
        caller,
        trace,
    };
    let listener = takes_events.then_some(exchange as &mut dyn Listener);
    let answered = request::answer(session, request, listener, deadline);
    let status = match (&answered, caller) {
        (Answered::Error(error), Era::Modern) => metadata::status_of(error.code),
        _ => 200,
    };
    let limit = if exchange.streams {
        MAX_STREAM
    } else {
        MAX_ANSWER
    };
    let response = answered.into_response(&mut session.meter, id, limit);
    if exchange.events.is_some() || !takes_json {
        // Ends the stream; a failure to send is noted there.
        let _ = send_last(exchange, &response);
        return HttpAnswer::default();
    }
    let answer = json_answer(status, response);
    if exchange.streams {
        return answer;
    }
    fit(&mut session.meter, answer, id)
}

fn send_last(exchange: &mut Exchange<'_>, response: &Body) -> ControlFlow<()> {
    if response.is_one_line() {
        return exchange.send_event(&response.parts());
    }
    // Raw line breaks stand between tokens only, so that blanks say the same.
    let mut text = String::with_capacity(response.len());
    response.write(&mut text);
    exchange.send_event(&[text.replace(['\n', '\r'], " ").as_bytes()])
}

/// Makes sure that the answer is small enough for Lambda as the value that it becomes, where every quote takes two bytes.
fn fit(meter: &mut Meter, answer: HttpAnswer, id: &str) -> HttpAnswer {
    // Escaping can at most make six bytes of one, so that most answers need no second look.
    if answer.body.len() * 6 + 1024 <= MAX_ANSWER {
        return answer;
    }
    let around = answer.head().len() + r#","body":"","isBase64Encoded":false"#.len();
    let bytes = around + answer.body.escaped_len();
    if bytes <= MAX_ANSWER {
        return answer;
    }
    HttpAnswer {
        body: request::too_large(meter, id, bytes, MAX_ANSWER),
        ..answer
    }
}

/// Several messages in one body, which protocol version 2025-03-26 knows, and callers that do not name theirs: answered one after the other.
fn batch(
    session: &mut Session,
    http: &HttpRequest<'_>,
    elements: &[&str],
    trace: Option<&str>,
    deadline: Instant,
) -> HttpAnswer {
    let allowed = metadata::version_header(http).is_none_or(|version| version == "2025-03-26");
    if !allowed || elements.is_empty() {
        return not_a_message(None);
    }
    let messages: Option<Vec<Message<'_>>> = elements
        .iter()
        .map(|element| Message::parse(element.as_bytes()).filter(is_message))
        .collect();
    let Some(messages) = messages else {
        return not_a_message(None);
    };
    let mut responses = Vec::new();
    for message in &messages {
        let Some(method) = &message.method else {
            continue;
        };
        let Some(id) = message.request_id() else {
            pass_on_notification(session, method, message.params, deadline);
            continue;
        };
        let request = Request {
            id,
            method,
            params: message.params,
            caller: Era::Legacy,
            trace,
        };
        let answered = request::answer(session, request, None, deadline);
        responses.push(answered.into_response(&mut session.meter, id, MAX_ANSWER));
    }
    if responses.is_empty() {
        return accepted();
    }
    let mut text = String::from("[");
    for (index, response) in responses.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        response.write(&mut text);
    }
    text.push(']');
    fit(
        &mut session.meter,
        json_answer(200, Body::text(text)),
        "null",
    )
}

fn preflight(http: &HttpRequest<'_>) -> HttpAnswer {
    let asked = http
        .header("access-control-request-headers")
        .unwrap_or_default();
    let mut allowed = CORS_HEADERS.to_owned();
    for name in asked.split(',').map(str::trim) {
        let is_parameter = name
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("mcp-param-"));
        let is_token = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if is_parameter && is_token {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    HttpAnswer {
        status: 200,
        headers: vec![
            (
                "Access-Control-Allow-Methods",
                "POST, GET, OPTIONS".to_owned(),
            ),
            ("Access-Control-Allow-Headers", allowed),
        ],
        body: Body::default(),
    }
}

fn accepted() -> HttpAnswer {
    HttpAnswer {
        status: 202,
        ..HttpAnswer::default()
    }
}

fn json_answer(status: u16, body: Body) -> HttpAnswer {
    HttpAnswer {
        status,
        headers: vec![("Content-Type", JSON.to_owned())],
        body,
    }
}

/// An error response; without an `id` it is null, as there is none that the caller could know it by.
fn refuse(status: u16, id: Option<&str>, error: &str) -> HttpAnswer {
    json_answer(
        status,
        Body::text(error_response(id.unwrap_or("null"), error)),
    )
}

fn not_a_message(id: Option<&str>) -> HttpAnswer {
    let error = CallerError::new(
        code::INVALID_REQUEST,
        "Invalid Request: All messages must be valid JSON-RPC 2.0",
        None,
    );
    refuse(400, id, &error.text)
}

/// Whether it is a request, a notification or a response.
fn is_message(message: &Message<'_>) -> bool {
    message.is_version_2
        && (message.method.is_some() || message.result.is_some() || message.error.is_some())
}
