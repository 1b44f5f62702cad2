//! One request to a function URL and its response, by way of a function that really runs.
//!
//! Enters: a request, what the URL is set to, and how to run its function. Leaves: the response.
//! It refuses requests that are longer than Lambda takes.

use std::net::IpAddr;
use std::time::SystemTime;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answer::{self, Head, Malformed, WITH_PRELUDE};
use super::body::{Body, Cut, Streamed, whole};
use super::event::{self, Circumstances, Place, Signer};
use crate::functions::environment::{Event, Outcome, Part};
use crate::ids;
use crate::reply::{self, AwsError, with_header};

/// An event may be this long (bytes), its JSON included.
const MAX_EVENT: usize = 6 * 1024 * 1024;
/// A prelude may be this long (bytes): HTTP heads are bounded, and so is what is searched for its
/// end.
const MAX_PRELUDE: usize = 1024 * 1024;

/// What is known of a request's URL.
pub(crate) struct Exchange<'a> {
    pub(crate) place: &'a Place,
    /// Whether its invoke mode is `RESPONSE_STREAM`.
    pub(crate) streams: bool,
    /// As the function sees it, with the qualifier of the URL.
    pub(crate) function_arn: String,
    pub(crate) source: IpAddr,
    /// For URLs that want a signature.
    pub(crate) signer: Option<&'a Signer>,
}

/// Answers a request. `run` runs the function.
pub(crate) async fn exchange<Run, Running>(
    request: Request<Incoming>,
    about: &Exchange<'_>,
    run: Run,
) -> Response<Body>
where
    Run: FnOnce(Event) -> Running,
    Running: Future<Output = Result<Outcome, AwsError>> + Send + 'static,
{
    let (request, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_EVENT).collect().await else {
        return whole(too_long());
    };
    let request_id = ids::uuid();
    let trace_id = ids::trace_id();
    let circumstances = Circumstances {
        place: about.place,
        source: about.source,
        request_id: &request_id,
        trace_id: &trace_id,
        now: SystemTime::now(),
        signer: about.signer,
    };
    let payload = event::event(&request, &body.to_bytes(), &circumstances);
    if payload.len() > MAX_EVENT {
        return whole(too_long());
    }
    let (sink, parts) = mpsc::channel(1);
    let running = run(Event {
        payload: payload.into(),
        client_context: None,
        function_arn: about.function_arn.clone(),
        trace_id: trace_id.clone(),
        sink: about.streams.then_some(sink),
    });
    // A caller that leaves does not undo its call.
    let running = tokio::spawn(running);
    let mut response = if about.streams {
        streamed(parts, running).await
    } else {
        match running.await {
            Ok(Ok(outcome)) => of_buffered(&outcome),
            Ok(Err(error)) => refused(&error),
            Err(_) => broken(),
        }
    };
    for (name, value) in [
        ("x-amzn-requestid", request_id),
        ("x-amzn-trace-id", trace_id),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

type Running = JoinHandle<Result<Outcome, AwsError>>;

/// The response of a function whose pieces are passed on as they come.
async fn streamed(mut parts: mpsc::Receiver<Part>, running: Running) -> Response<Body> {
    let Some(first) = parts.recv().await else {
        // It did not stream: what it answered is the payload, whatever it says.
        return match running.await {
            Ok(Ok(outcome)) if outcome.failed => broken(),
            Ok(Ok(outcome)) => {
                let head = answer::without_prelude(&outcome.content_type);
                response(head, Body::Whole(Full::new(outcome.payload)))
            }
            Ok(Err(error)) => refused(&error),
            Err(_) => broken(),
        };
    };
    let content_type = match first {
        Part::Head { content_type } => content_type,
        // A head always comes first.
        Part::Data(_) => String::new(),
    };
    let mut end = Some(tokio::spawn(ended(running)));
    if !content_type.eq_ignore_ascii_case(WITH_PRELUDE) {
        let body = Streamed {
            ready: Bytes::new(),
            parts,
            end,
        };
        let head = answer::without_prelude(&content_type);
        return response(head, Body::Streamed(body));
    }
    let mut come = Vec::new();
    loop {
        match answer::prelude(&come) {
            Ok(Some((head, start))) => {
                let body = Streamed {
                    ready: Bytes::from(come).slice(start..),
                    parts,
                    end,
                };
                return response(head, Body::Streamed(body));
            }
            Ok(None) if come.len() <= MAX_PRELUDE && end.is_some() => {}
            Ok(None) | Err(Malformed) => return broken(),
        }
        match parts.recv().await {
            Some(Part::Data(piece)) => come.extend_from_slice(&piece),
            Some(Part::Head { .. }) => {}
            None => match end.take() {
                Some(ending) => match ending.await {
                    Ok(Ok(last)) => come.extend_from_slice(&last),
                    Ok(Err(Cut)) | Err(_) => return broken(),
                },
                None => return broken(),
            },
        }
    }
}

/// What came with the end of a stream, unless that was a failure.
async fn ended(running: Running) -> Result<Bytes, Cut> {
    match running.await {
        Ok(Ok(outcome)) if !outcome.failed => Ok(outcome.payload),
        _ => Err(Cut),
    }
}

fn of_buffered(outcome: &Outcome) -> Response<Body> {
    if outcome.failed {
        return broken();
    }
    match answer::buffered(&outcome.payload) {
        Ok((head, body)) => response(head, Body::Whole(Full::new(body))),
        Err(Malformed) => broken(),
    }
}

fn response(head: Head, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// The function failed, or answered what is no HTTP response.
fn broken() -> Response<Body> {
    whole(reply::text(
        502,
        "application/json",
        "Internal Server Error",
    ))
}

/// The function was not run. A URL's callers see only throttling; what else kept it from running
/// is in the message.
pub(crate) fn refused(error: &AwsError) -> Response<Body> {
    let status = if error.status == 429 { 429 } else { 502 };
    let reply = reply::json(status, &json!({"Message": error.message}));
    whole(with_header(reply, "x-amzn-errortype", &error.code))
}

fn too_long() -> reply::Reply {
    let message =
        format!("Request must be smaller than {MAX_EVENT} bytes for the InvokeFunction operation");
    reply::json(413, &json!({"Message": message}))
}

/// A reply that no function has made.
pub(crate) fn plain(reply: reply::Reply) -> Response<Body> {
    whole(reply)
}
