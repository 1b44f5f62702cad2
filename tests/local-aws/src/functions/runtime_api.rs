//! A Runtime API of local-aws's own, for what the emulator cannot do: responses that reach the
//! caller as they are written, and all that Lambda tells a runtime about an invocation.
//!
//! Enters: invocations, and a runtime's HTTP requests. Leaves: the runtime's next event, and what
//! the runtime has said ([`Said`]). It refuses, with the emulator's status codes, answers to
//! invocations that it has not given or that were answered before, and those that are too long.
//!
//! Source: AWS Lambda Developer Guide, "Using the Lambda runtime API" and "Building a custom
//! runtime" (response streaming).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::log::Log;
use crate::call::text;
use crate::ids;
use crate::reply::{self, Reply};

/// A buffered response may be this long (bytes): 6 MB and a little, as Lambda says when it refuses
/// one.
pub(super) const MAX_RESPONSE: usize = 6_291_556;
/// A streamed response may be this long (bytes): Lambda's quota of 200 MB.
pub(super) const MAX_STREAM: usize = 200 * 1024 * 1024;

const BASE: &str = "/2018-06-01/runtime/";

/// What a runtime has said.
#[derive(Debug)]
pub(super) enum Said {
    /// It asked for its next event: if it had not before, it is initialised.
    Next,
    /// It was given the invocation.
    Delivered,
    /// It answered with a whole response.
    Response { content_type: String, body: Bytes },
    /// Its response was longer than [`MAX_RESPONSE`] and is lost.
    TooLong,
    /// It has begun a response that is written piece by piece.
    Begin { content_type: String },
    /// A piece.
    Piece(Bytes),
    /// The response is complete; `last` is what came together with its end.
    End { last: Bytes },
    /// The response broke off: the error that the runtime gave in trailers, as Lambda would write
    /// it, or none when the connection ended.
    Broken { error: Option<Bytes> },
    /// It answered with an error.
    Error(Bytes),
    /// It cannot initialise.
    InitError(Bytes),
}

/// What a runtime is told of an event.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    /// Base64, as Invoke takes it.
    pub(super) client_context: Option<String>,
    pub(super) function_arn: String,
    /// X-Ray's header.
    pub(super) trace_id: String,
    pub(super) version: String,
    pub(super) timeout: Duration,
    /// The deadline, when initialisation counts against the timeout.
    pub(super) fixed_deadline: Option<SystemTime>,
}

struct State {
    waiting: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    /// The request id of the invocation that is not answered yet.
    open: Mutex<Option<String>>,
    said: mpsc::Sender<Said>,
    /// Where platform lines go, if anywhere.
    log: Option<Arc<Log>>,
}

/// The Runtime API of one execution environment; it ends when this is dropped.
pub(super) struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::Sender<Invocation>,
    said: mpsc::Receiver<Said>,
    server: tokio::task::JoinHandle<()>,
}

impl RuntimeApi {
    /// Listens on a free loopback port.
    pub(super) async fn start(log: Option<Arc<Log>>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::channel(1);
        // Bounded, so that a runtime writes no faster than its caller reads.
        let (tell, said) = mpsc::channel(8);
        let state = Arc::new(State {
            waiting: tokio::sync::Mutex::new(waiting),
            open: Mutex::default(),
            said: tell,
            log,
        });
        let server = tokio::spawn(serve(listener, state));
        Ok(Self {
            address,
            events,
            said,
            server,
        })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is set to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the runtime an event, which it gets when it asks.
    pub(super) fn give(&self, invocation: Invocation) {
        // An environment handles one event at a time, so the one place is free.
        let _ = self.events.try_send(invocation);
    }

    /// What the runtime says next.
    pub(super) async fn said(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => said,
            // The server, which holds the other end, lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// What the runtime has said already, if anything.
    pub(super) fn said_already(&mut self) -> Option<Said> {
        self.said.try_recv().ok()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(state.answer(request).await) }
            });
            // A runtime that dies breaks its connection; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path
            .strip_prefix(BASE)
            .unwrap_or_default()
            .split('/')
            .collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.response(id, request).await,
            (&Method::POST, ["invocation", id, "error"]) => self.error(id, request).await,
            (&Method::POST, ["init", "error"]) => {
                let Ok(body) = request.into_body().collect().await else {
                    return accepted();
                };
                self.tell(Said::InitError(body.to_bytes())).await;
                accepted()
            }
            _ => refused(404, "NotFound", "local-aws's Runtime API has no such page"),
        }
    }

    async fn next(&self) -> Reply {
        self.tell(Said::Next).await;
        let Some(invocation) = self.waiting.lock().await.recv().await else {
            return refused(500, "Gone", "the execution environment is being stopped");
        };
        if let Some(log) = &self.log {
            log.line(&format!(
                "START RequestId: {} Version: {}",
                invocation.request_id, invocation.version
            ))
            .await;
        }
        *self.open() = Some(invocation.request_id.clone());
        self.tell(Said::Delivered).await;
        delivery(invocation)
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Reply {
        let headers = request.headers();
        let streams = text(headers, "lambda-runtime-function-response-mode")
            .eq_ignore_ascii_case("streaming");
        let content_type = text(headers, CONTENT_TYPE.as_str());
        if !self.close(id) {
            return self.refuse_id(request).await;
        }
        if streams {
            self.tell(Said::Begin { content_type }).await;
            return self.stream(request.into_body()).await;
        }
        match read(request.into_body(), MAX_RESPONSE).await {
            Ok(Some(body)) => {
                self.tell(Said::Response { content_type, body }).await;
                accepted()
            }
            Ok(None) => {
                self.tell(Said::TooLong).await;
                too_long()
            }
            Err(_) => {
                self.tell(Said::Broken { error: None }).await;
                refused(400, "BodyBroken", "the response broke off")
            }
        }
    }

    /// Passes a response on piece by piece. A piece is held back until it is known whether the end
    /// came with it: whoever reads the last piece finds the environment ready for the next event.
    async fn stream(&self, mut body: Incoming) -> Reply {
        let mut length = 0;
        let mut held = Bytes::new();
        loop {
            let frame = match futures_now(body.frame()).await {
                Polled::Now(frame) => frame,
                Polled::Later(frame) => {
                    if !held.is_empty() {
                        self.tell(Said::Piece(std::mem::take(&mut held))).await;
                    }
                    frame.await
                }
            };
            match frame {
                None => {
                    self.tell(Said::End { last: held }).await;
                    return accepted();
                }
                Some(Err(_)) => {
                    self.tell(Said::Broken { error: None }).await;
                    return refused(400, "BodyBroken", "the response broke off");
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        length += data.len();
                        if length > MAX_STREAM {
                            let error = json!({
                                "errorType": "Function.ResponseSizeTooLarge",
                                "errorMessage": format!("Response payload size exceeded maximum allowed payload size ({MAX_STREAM} bytes)."),
                            });
                            let error = Some(error.to_string().into());
                            self.tell(Said::Broken { error }).await;
                            return too_long();
                        }
                        if !held.is_empty() {
                            self.tell(Said::Piece(std::mem::take(&mut held))).await;
                        }
                        held = data;
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers()
                            && let Some(error) = trailed(&trailers)
                        {
                            self.tell(Said::Piece(held)).await;
                            self.tell(Said::Broken { error: Some(error) }).await;
                            return accepted();
                        }
                    }
                },
            }
        }
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Reply {
        if !self.close(id) {
            return self.refuse_id(request).await;
        }
        let said = match read(request.into_body(), MAX_RESPONSE).await {
            Ok(Some(body)) => Said::Error(body),
            Ok(None) => Said::TooLong,
            Err(_) => Said::Broken { error: None },
        };
        self.tell(said).await;
        accepted()
    }

    /// Whether `id` is the invocation that waits for its answer; from now on it does not.
    fn close(&self, id: &str) -> bool {
        self.open().take_if(|open| open == id).is_some()
    }

    async fn refuse_id(&self, request: Request<Incoming>) -> Reply {
        // Read to its end, so that the runtime can read the refusal.
        let _ = read(request.into_body(), 0).await;
        refused(400, "InvalidRequestID", "Invalid request ID")
    }

    async fn tell(&self, said: Said) {
        // The receiver is gone only when the environment is being stopped.
        let _ = self.said.send(said).await;
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Nothing that holds this lock can panic half-way through a change.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A future that was polled once.
enum Polled<F: Future> {
    Now(F::Output),
    Later(F),
}

async fn futures_now<F: Future + Unpin>(mut future: F) -> Polled<F> {
    let now = std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut future).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await;
    match now {
        Some(output) => Polled::Now(output),
        None => Polled::Later(future),
    }
}

/// Reads a body to its end; `None` when it is longer than `limit`.
async fn read(mut body: Incoming, limit: usize) -> Result<Option<Bytes>, hyper::Error> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut whole = Vec::with_capacity(expected.min(limit));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len();
            if length == data.len() && length == expected {
                // It came in one piece, as short ones do.
                return Ok((length <= limit).then_some(data));
            }
            if length <= limit {
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok((length <= limit).then(|| whole.into()))
}

/// The error in a response's trailers, as an error's body: `Lambda-Runtime-Function-Error-Body` is
/// JSON in base64.
fn trailed(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = text(trailers, "lambda-runtime-function-error-type");
    let body = text(trailers, "lambda-runtime-function-error-body");
    if kind.is_empty() && body.is_empty() {
        return None;
    }
    let decoded = STANDARD.decode(&body).unwrap_or_default();
    Some(if decoded.is_empty() {
        json!({"errorType": kind, "errorMessage": ""})
            .to_string()
            .into()
    } else {
        decoded.into()
    })
}

/// The answer to the request for the next event.
fn delivery(invocation: Invocation) -> Reply {
    let mut reply = Response::new(Full::new(invocation.payload));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut tell = |name: &'static str, value: &[u8]| {
        // What no header can carry, Lambda does not send either.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let deadline = invocation
        .fixed_deadline
        .unwrap_or_else(|| SystemTime::now() + invocation.timeout);
    tell(
        "lambda-runtime-aws-request-id",
        invocation.request_id.as_bytes(),
    );
    tell(
        "lambda-runtime-deadline-ms",
        ids::epoch_ms(deadline).to_string().as_bytes(),
    );
    tell(
        "lambda-runtime-invoked-function-arn",
        invocation.function_arn.as_bytes(),
    );
    tell("lambda-runtime-trace-id", invocation.trace_id.as_bytes());
    if let Some(context) = invocation.client_context
        && let Ok(json) = STANDARD.decode(context)
    {
        tell("lambda-runtime-client-context", &json);
    }
    reply
}

fn accepted() -> Reply {
    reply::json(202, &json!({"status": "OK"}))
}

fn refused(status: u16, kind: &str, message: &str) -> Reply {
    reply::json(status, &json!({"errorMessage": message, "errorType": kind}))
}

fn too_long() -> Reply {
    let message = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).");
    refused(413, "RequestEntityTooLarge", &message)
}
