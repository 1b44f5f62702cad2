//! Stands between a function and the emulator's Runtime API, for what the emulator does not say or
//! says wrongly: the function's ARN, the trace id, the deadline (the emulator counts initialisation
//! against the function's timeout, which Lambda does not), and whether a result was posted as an
//! error.
//!
//! Everything else passes unchanged: it is the emulator that accepts or refuses what a runtime
//! does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::log::Log;
use super::runtime_api::MAX_RESPONSE;
use crate::ids;

/// What the relay has seen the runtime do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It asked for its next event: if it had not before, it is initialised.
    Next,
    /// It was given the invocation with this request id.
    Delivered(String),
    /// It posted a result as a success.
    Response,
    /// It posted a result as an error, of an invocation or of initialisation.
    Error,
}

/// What the next invocation is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invocation {
    pub(crate) function_arn: String,
    pub(crate) version: String,
    pub(crate) timeout: Duration,
    /// The deadline, when initialisation counts against the timeout.
    pub(crate) fixed_deadline: Option<SystemTime>,
    pub(crate) trace_id: String,
}

struct State {
    emulator: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    invocation: Mutex<Invocation>,
    log: Arc<Log>,
    seen: mpsc::UnboundedSender<Seen>,
}

/// A relay; it ends when this is dropped.
pub(crate) struct Relay {
    state: Arc<State>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Listens on a free loopback port, for an emulator whose Runtime API will be at `emulator`.
    pub(crate) async fn start(
        emulator: SocketAddr,
        log: Arc<Log>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Seen>)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (seen, events) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            emulator,
            client: Client::builder(TokioExecutor::new()).build_http(),
            invocation: Mutex::default(),
            log,
            seen,
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok((
            Self {
                state,
                address,
                server,
            },
            events,
        ))
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is set to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says what the next invocation is told.
    pub(crate) fn expect(&self, invocation: Invocation) {
        *self
            .state
            .invocation
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = invocation;
    }
}

impl Drop for Relay {
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
            let service = service_fn(|request| relay(request, Arc::clone(&state)));
            // A runtime that dies breaks its connection; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, String> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let is_next = parts.method == Method::GET && path.ends_with("/runtime/invocation/next");
    let result = match (parts.method == Method::POST, path.rsplit('/').next()) {
        (true, Some("response")) => Some(Seen::Response),
        (true, Some("error")) => Some(Seen::Error),
        _ => None,
    };
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    // The emulator refuses it, and answers the caller with an error.
    let too_long = result == Some(Seen::Response) && body.len() > MAX_RESPONSE;
    let posted = if too_long { Some(Seen::Error) } else { result };
    let target = parts
        .uri
        .path_and_query()
        .map_or(path.as_str(), hyper::http::uri::PathAndQuery::as_str);
    parts.uri = format!("http://{}{target}", state.emulator)
        .parse()
        .map_err(|_| "not a path".to_owned())?;
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    if is_next {
        // The receiver is gone only when the environment is being stopped.
        let _ = state.seen.send(Seen::Next);
    }
    if let Some(posted) = posted {
        // Before the emulator hears of it, so that it is known when the emulator answers the
        // caller.
        let _ = state.seen.send(posted);
    }
    let answer = state
        .client
        .request(Request::from_parts(parts, Full::new(body)))
        .await
        .map_err(|error| error.to_string())?;
    let (mut parts, body) = answer.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    if is_next && parts.status.is_success() {
        deliver(&mut parts.headers, &state).await;
    }
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// Corrects the headers of an invocation that is about to reach the runtime, and logs its start.
async fn deliver(headers: &mut hyper::HeaderMap, state: &State) {
    let invocation = state
        .invocation
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let id = crate::call::text(headers, "lambda-runtime-aws-request-id");
    state
        .log
        .line(&format!(
            "START RequestId: {id} Version: {}",
            invocation.version
        ))
        .await;
    let deadline = invocation
        .fixed_deadline
        .unwrap_or_else(|| SystemTime::now() + invocation.timeout);
    headers.insert(
        "lambda-runtime-deadline-ms",
        HeaderValue::from(ids::epoch_ms(deadline)),
    );
    if let Ok(arn) = HeaderValue::from_str(&invocation.function_arn) {
        headers.insert("lambda-runtime-invoked-function-arn", arn);
    }
    // The emulator passes none on.
    if let Ok(trace_id) = HeaderValue::from_str(&invocation.trace_id) {
        headers.insert("lambda-runtime-trace-id", trace_id);
    }
    let _ = state.seen.send(Seen::Delivered(id));
}
