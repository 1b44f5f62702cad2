//! The one endpoint: every AWS call passes here, is noted, meets the fault rules, and goes to
//! Lambda's overlays or to moto.
//!
//! Enters: HTTP requests on loopback. Leaves: AWS's answers, and local-aws's own pages under
//! `/_local`.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming as Body};
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::call::{Call, form_value};
use crate::calls::Calls;
use crate::faults::{Faults, Kind, Outcome, Rule, When};
use crate::lambda::route::{self, Route};
use crate::lambda::{Incoming, Lambda, Pace};
use crate::moto::Moto;
use crate::registry::Registry;
use crate::reply::{self, AwsError, Protocol, Reply};
use crate::s3;

/// No AWS request is longer than this (bytes); those of Lambda are refused at their own limit.
const MAX_BODY: usize = 512 * 1024 * 1024;

pub(crate) struct Front {
    pub(crate) moto: Moto,
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) calls: Calls,
    pub(crate) faults: Faults,
    /// How long Pending and `InProgress` last without a fault rule.
    pub(crate) pending: Duration,
    /// What `GET /_local` answers: the line that was printed when all was ready.
    pub(crate) ready: Value,
}

/// The connection is to be reset instead of an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut by a fault rule")
    }
}

impl std::error::Error for Cut {}

/// Serves until the listener fails, which it does not.
pub(crate) async fn serve(listener: TcpListener, front: Arc<Front>) -> std::io::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let socket = stream.as_raw_fd();
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                // A client that goes away does not undo its call: AWS, too, finishes what it has
                // begun.
                let call = tokio::spawn(answer(Arc::clone(&front), request));
                async move {
                    match call.await {
                        Ok(Ok(reply)) => Ok(reply),
                        Ok(Err(cut)) => {
                            reset_on_close(socket);
                            Err(cut)
                        }
                        Err(error) => {
                            eprintln!("local-aws: {error}");
                            let error = AwsError::new(
                                500,
                                "ServiceException",
                                "local-aws: a fault of its own; see its output",
                            );
                            Ok(error.reply(Protocol::RestJson))
                        }
                    }
                }
            });
            // Clients break connections off; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Makes closing the socket a reset instead of an orderly end.
fn reset_on_close(socket: RawFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let length = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or(0);
    // SAFETY: the connection that owns the socket is waiting for this very answer, so it is open;
    // the structure outlives the call.
    unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        )
    };
}

async fn answer(front: Arc<Front>, request: Request<Body>) -> Result<Reply, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(
            AwsError::new(413, "RequestEntityTooLargeException", "Request is too long")
                .reply(Protocol::RestJson),
        );
    };
    let request = Request::from_parts(parts, body.to_bytes());
    if let Some(path) = request.uri().path().strip_prefix("/_local") {
        let path = path.trim_matches('/').to_owned();
        return Ok(front.local(&path, &request).await);
    }
    let call = Call::of(&request);
    let n = front.calls.arrived(&call);
    let reply = front.aws(call, request).await?;
    front.calls.answered(n, reply.status().as_u16());
    Ok(reply)
}

impl Front {
    async fn aws(&self, call: Call, request: Request<Bytes>) -> Result<Reply, Cut> {
        let faults = self.faults.meet(&call);
        let mut pace = Pace {
            duration: self.pending,
            outcome: Outcome::Successful,
        };
        for (id, rule) in faults.iter().filter(|(_, rule)| rule.when == When::Before) {
            if rule.kind == Kind::Pending {
                self.faults.struck(*id);
                pace = Pace {
                    duration: Duration::from_millis(rule.ms.unwrap_or(0)),
                    outcome: rule.outcome,
                };
            } else if let Some(reply) = self.strike(*id, rule, &call).await? {
                return Ok(reply);
            }
        }
        let mut reply = match self.lambda_route(&call, &request) {
            Some(route) => {
                self.lambda
                    .handle(Incoming {
                        call: call.clone(),
                        route,
                        request,
                        pace,
                    })
                    .await
            }
            None => match self.s3_refusal(&call, &request).await {
                Some(refusal) => refusal,
                None => self.forward(&call, request).await,
            },
        };
        for (id, rule) in faults.iter().filter(|(_, rule)| rule.when == When::After) {
            if let Some(instead) = self.strike(*id, rule, &call).await? {
                reply = instead;
            }
        }
        Ok(reply)
    }

    async fn s3_refusal(&self, call: &Call, request: &Request<Bytes>) -> Option<Reply> {
        match call.service.as_str() {
            "s3" => s3::refusal(&self.moto, call, request).await,
            _ => None,
        }
    }

    async fn forward(&self, call: &Call, request: Request<Bytes>) -> Reply {
        let body = (call.service == "ecr").then(|| request.body().clone());
        match (self.moto.forward(request).await, body) {
            (Ok(reply), Some(body)) => self.ecr(call, &body, reply).await,
            (Ok(reply), None) => reply,
            (Err(error), _) => AwsError::new(500, "InternalFailure", format!("local-aws: {error}"))
                .reply(call.protocol),
        }
    }

    /// Overlay: repositories lie in local-aws's own registry.
    async fn ecr(&self, call: &Call, asked: &Bytes, reply: Reply) -> Reply {
        let Some(registry) = &self.registry else {
            return reply;
        };
        let (status, kind) = (
            reply.status().as_u16(),
            reply.headers().get("x-amzn-errortype").cloned(),
        );
        let body = reply::body_of(reply).await;
        let Ok(mut value) = serde_json::from_slice(&body) else {
            return reply::text(status, "application/x-amz-json-1.1", body);
        };
        registry.answer(&mut value);
        if status == 200 {
            match registry.images(&call.action, asked) {
                Ok(Some(images)) => value = images,
                Ok(None) => {}
                Err(error) => {
                    return AwsError::new(500, "ServerException", format!("local-aws: {error}"))
                        .reply(call.protocol);
                }
            }
        }
        let mut reply = reply::json(status, &value);
        if let Some(kind) = kind {
            reply.headers_mut().insert("x-amzn-errortype", kind);
        }
        reply
    }

    fn lambda_route(&self, call: &Call, request: &Request<Bytes>) -> Option<Route> {
        let uri = request.uri();
        (call.service == "lambda")
            .then(|| route::route(request.method(), uri.path(), uri.query()))
            .flatten()
    }

    /// What a rule does to a call: nothing more than waiting, an answer, or a cut.
    async fn strike(&self, id: u64, rule: &Rule, call: &Call) -> Result<Option<Reply>, Cut> {
        match rule.kind {
            Kind::Hang => {
                self.faults.hold(id).await;
                return Err(Cut);
            }
            Kind::Reset => {
                self.faults.struck(id);
                return Err(Cut);
            }
            Kind::Delay => {
                self.faults.struck(id);
                tokio::time::sleep(Duration::from_millis(rule.ms.unwrap_or(0))).await;
            }
            Kind::Throttle | Kind::Error | Kind::IamPropagation | Kind::Pending => {
                self.faults.struck(id)
            }
        }
        Ok(rule.error(call).map(|error| error.reply(call.protocol)))
    }

    /// local-aws's own pages.
    async fn local(&self, path: &str, request: &Request<Bytes>) -> Reply {
        let method = request.method();
        let unknown = || {
            reply::json(
                404,
                &json!({"error": format!("there is no {method} /_local/{path}")}),
            )
        };
        match (method, path) {
            (&Method::GET, "") => reply::json(200, &self.ready),
            (&Method::GET, "calls") => reply::json(200, &self.calls.to_json()),
            (&Method::DELETE, "calls") => {
                self.calls.clear();
                reply::empty(204)
            }
            (&Method::GET, "environments") => reply::json(200, &self.lambda.functions.to_json()),
            (&Method::GET, "faults") => reply::json(200, &self.faults.to_json()),
            (&Method::DELETE, "faults") => {
                self.faults.clear();
                reply::empty(204)
            }
            (&Method::POST, "faults") => match Rule::parse(request.body()) {
                Ok(rule) => reply::json(201, &json!({"id": self.faults.add(rule)})),
                Err(error) => reply::json(400, &json!({"error": error})),
            },
            (&Method::GET, path) => match path.split_once('/') {
                Some(("faults", id)) => self
                    .fault(id, request.uri().query().unwrap_or_default())
                    .await
                    .unwrap_or_else(unknown),
                Some(("code", place)) => self.lambda.download(place).await.unwrap_or_else(unknown),
                _ => unknown(),
            },
            _ => unknown(),
        }
    }

    /// `GET /_local/faults/ID?hits=N&timeout_ms=M`: answers when the rule has struck N times, or
    /// 408 after M ms.
    async fn fault(&self, id: &str, query: &str) -> Option<Reply> {
        let id = id.parse().ok()?;
        let number =
            |name: &str| form_value(query.as_bytes(), name).and_then(|text| text.parse().ok());
        let limit = Duration::from_millis(number("timeout_ms").unwrap_or(30_000));
        match tokio::time::timeout(
            limit,
            self.faults.wait_for_hits(id, number("hits").unwrap_or(0)),
        )
        .await
        {
            Ok(rule) => rule.map(|rule| reply::json(200, &rule)),
            Err(_) => Some(reply::json(408, &self.faults.one_to_json(id)?)),
        }
    }
}
