//! One execution environment: AWS's Runtime Interface Emulator with a function's runtime under it.
//!
//! Enters: a function's version, and events. Leaves: what Lambda's Invoke would answer, with the
//! log of the invocation. The emulator answers everything with HTTP 200, counts initialisation
//! against the timeout and knows neither log tail nor memory; those are put right here (see
//! `relay`).

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::sync::mpsc;

use super::Isolation;
use super::compose::{Setup, emulator_spec, launch_spec};
use super::log::Log;
use super::relay::{self, Relay, Seen};
use crate::supervise::{self, Supervised};
use crate::{ids, sandbox};

/// Lambda's limit for the first initialisation; past it, initialisation starts again as part of the
/// invocation.
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(10);
/// Added to the emulator's own timeout, so that ours always comes first.
pub(super) const EMULATOR_MARGIN: Duration = Duration::from_secs(30);

/// An event to handle.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) payload: Bytes,
    /// Base64, as in the header `X-Amz-Client-Context`.
    pub(crate) client_context: Option<String>,
    /// With the qualifier that the caller used.
    pub(crate) function_arn: String,
}

/// What became of an event.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    /// Whether Lambda would answer with `X-Amz-Function-Error: Unhandled`.
    pub(crate) failed: bool,
    /// The function's log of this invocation.
    pub(crate) log: Vec<u8>,
    /// Whether the environment can handle another event.
    pub(crate) usable: bool,
    /// Whether the runtime never asked for the event.
    pub(crate) failed_in_init: bool,
}

pub(crate) struct Environment {
    setup: Setup,
    log_stream: String,
    directory: tempfile::TempDir,
    log: Arc<Log>,
    relay: Relay,
    seen: mpsc::UnboundedReceiver<Seen>,
    emulator: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    supervised: Supervised,
    /// No event was handled yet.
    cold: bool,
    /// Initialisation is a second try, and part of the invocation.
    retried: bool,
    max_memory_mib: u64,
}

impl Environment {
    /// Starts an environment; the runtime in it starts with the first event.
    ///
    /// # Errors
    ///
    /// A sentence: what could not be started, with the end of the emulator's own output.
    pub(crate) async fn start(
        setup: Setup,
        work: &Path,
        emulator: &Path,
        isolation: &Isolation,
        retried: bool,
    ) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("environment-")
            .tempdir_in(work)
            .map_err(text)?;
        let at = directory.path();
        let owner = matches!(isolation, Isolation::Namespace { user: Some(_) })
            .then_some(sandbox::FUNCTION_USER);
        let log = Arc::new(Log::open(&at.join("log"), owner).map_err(text)?);
        let log_stream = format!(
            "{}/[{}]{}",
            ids::log_stream_date(SystemTime::now()),
            setup.version,
            ids::random_hex(16)
        );
        // A port that is free now can be taken before the emulator has it: then others are tried.
        let mut last_error = String::new();
        for attempt in 0..3 {
            let (api, runtime_api) = (free_port().map_err(text)?, free_port().map_err(text)?);
            let (relay, seen) = Relay::start(runtime_api, Arc::clone(&log))
                .await
                .map_err(text)?;
            let launch_spec = launch_spec(&setup, isolation, at, &log_stream, relay.address())?;
            let launch_file = at.join(format!("launch-{attempt}.json"));
            let written = serde_json::to_vec(&launch_spec).map_err(text)?;
            supervise::write_private(&launch_file, &written).map_err(text)?;
            let spec = emulator_spec(
                &setup,
                isolation,
                at,
                emulator,
                (api, runtime_api),
                &launch_file,
            )?;
            let mut supervised =
                Supervised::start(at, &format!("emulator-{attempt}"), &spec).map_err(text)?;
            match answers(api, &mut supervised).await {
                Ok(()) => {
                    return Ok(Self {
                        setup,
                        log_stream,
                        directory,
                        log,
                        relay,
                        seen,
                        emulator: api,
                        client: Client::builder(TokioExecutor::new()).build_http(),
                        supervised,
                        cold: true,
                        retried,
                        max_memory_mib: 0,
                    });
                }
                Err(error) => {
                    supervised.stop().await;
                    let output = std::fs::read_to_string(&spec.output).unwrap_or_default();
                    last_error = format!("{error}; its output: {}", output.trim());
                }
            }
        }
        Err(format!(
            "the Runtime Interface Emulator did not start: {last_error}"
        ))
    }

    /// Handles one event.
    pub(crate) async fn handle(&mut self, event: &Event) -> Outcome {
        let timeout = self.setup.timeout;
        let started = Instant::now();
        let initialises = std::mem::replace(&mut self.cold, false);
        // A second initialisation is part of the invocation and of its timeout.
        let fixed_deadline = (initialises && self.retried).then(|| SystemTime::now() + timeout);
        self.relay.expect(relay::Invocation {
            function_arn: event.function_arn.clone(),
            version: self.setup.version.clone(),
            timeout,
            fixed_deadline,
        });
        while self.seen.try_recv().is_ok() {}

        let mut answer = std::pin::pin!(self.client.request(self.request(event)));
        let mut progress = Progress::default();
        let first_limit = if initialises && !self.retried {
            INIT_LIMIT
        } else {
            timeout
        };
        let mut limit = tokio::time::Instant::now() + first_limit;
        let answer = loop {
            tokio::select! {
                biased;
                Some(seen) = self.seen.recv() => {
                    if let Seen::Delivered(_) = seen {
                        progress.delivered = Some(Instant::now());
                        if fixed_deadline.is_none() {
                            limit = tokio::time::Instant::now() + timeout;
                        }
                    }
                    progress.note(seen, started);
                }
                answer = &mut answer => break Some(match answer {
                    Ok(answer) => {
                        let status = answer.status().as_u16();
                        let body = answer.into_body().collect().await.map(|body| body.to_bytes());
                        body.map(|body| (status, body)).map_err(text)
                    }
                    Err(error) => Err(text(error)),
                }),
                () = tokio::time::sleep_until(limit) => break None,
            }
        };
        while let Ok(seen) = self.seen.try_recv() {
            progress.note(seen, started);
        }
        self.conclude(answer, &progress, started, initialises).await
    }

    fn request(&self, event: &Event) -> Request<Full<Bytes>> {
        let mut request = Request::post(format!(
            "http://{}/2015-03-31/functions/function/invocations",
            self.emulator
        ));
        if let Some(context) = &event.client_context {
            request = request.header("x-amz-client-context", context);
        }
        // The client context was checked to be base64.
        request
            .body(Full::new(event.payload.clone()))
            .expect("a valid request")
    }

    /// Turns what happened into what Lambda answers.
    async fn conclude(
        &mut self,
        answer: Option<Result<(u16, Bytes), String>>,
        progress: &Progress,
        started: Instant,
        initialised: bool,
    ) -> Outcome {
        let memory = self.memory_mib();
        self.max_memory_mib = self.max_memory_mib.max(memory);
        let failed_in_init = progress.delivered.is_none();
        let timeout = self.setup.timeout;
        let mut request_id = progress.request_id.clone().unwrap_or_else(ids::uuid);
        let (payload, failed, status) = match answer {
            None if failed_in_init && !self.retried && initialised => {
                (Bytes::new(), true, "\tStatus: timeout".to_owned())
            }
            None => {
                let message = format!(
                    "RequestId: {request_id} Error: Task timed out after {:.2} seconds",
                    timeout.as_secs_f64()
                );
                (
                    error_payload("Sandbox.Timedout", &message),
                    true,
                    "\tStatus: timeout".to_owned(),
                )
            }
            Some(Ok((200, body))) => (body, progress.posted_error, String::new()),
            Some(Ok((502, body))) => {
                // Nothing is said when the runtime ended before it asked for an event.
                let body = if body.is_empty() {
                    let message = format!(
                        "RequestId: {request_id} Error: Runtime exited with error: {}",
                        self.exit()
                    );
                    error_payload("Runtime.ExitError", &message)
                } else {
                    body
                };
                // The emulator's own words, with the request id by which it knows the invocation.
                let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                if let Some(id) = parsed["errorMessage"]
                    .as_str()
                    .and_then(|text| text.strip_prefix("RequestId: "))
                {
                    request_id = id.chars().take(36).collect();
                }
                let kind = parsed["errorType"]
                    .as_str()
                    .unwrap_or("Runtime.Unknown")
                    .to_owned();
                (body, true, format!("\tStatus: error\tError Type: {kind}"))
            }
            Some(Ok((status, body))) => {
                let message = format!(
                    "RequestId: {request_id} Error: the Runtime Interface Emulator answered {status}: {}",
                    String::from_utf8_lossy(&body)
                );
                (
                    error_payload("Runtime.Unknown", &message),
                    true,
                    "\tStatus: error\tError Type: Runtime.Unknown".to_owned(),
                )
            }
            Some(Err(error)) => {
                let message = format!("RequestId: {request_id} Error: {error}");
                (
                    error_payload("Runtime.Unknown", &message),
                    true,
                    "\tStatus: error\tError Type: Runtime.Unknown".to_owned(),
                )
            }
        };
        let usable = status.is_empty() && !self.supervised.ended();
        let init = progress.initialised.unwrap_or_else(|| started.elapsed());
        let duration = match progress.delivered {
            Some(delivered) if !self.retried || !initialised => delivered.elapsed(),
            _ => started.elapsed(),
        }
        .min(timeout);
        if failed_in_init && initialised && !self.retried {
            let phase = status.trim_start();
            self.log
                .line(&format!(
                    "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\t{phase}",
                    ms(init)
                ))
                .await;
        } else {
            let init = (initialised && !self.retried)
                .then(|| format!("\tInit Duration: {:.2} ms", ms(init)));
            self.log.line(&format!("END RequestId: {request_id}")).await;
            self.log
                .line(&format!(
                    "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB\t\
                     Max Memory Used: {} MB{}{status}\t",
                    ms(duration),
                    ms(duration).ceil(),
                    self.setup.memory_mib,
                    self.max_memory_mib,
                    init.unwrap_or_default(),
                ))
                .await;
        }
        Outcome {
            request_id,
            payload,
            failed,
            log: self.log.take().await,
            usable,
            failed_in_init,
        }
    }

    /// How the runtime ended, in the words of the emulator's log: `exit status 1`, `signal:
    /// killed`.
    fn exit(&self) -> String {
        let log =
            std::fs::read_to_string(self.directory.path().join("emulator.log")).unwrap_or_default();
        let how = log
            .lines()
            .rev()
            .find_map(|line| line.split_once(" exited: "));
        how.map_or_else(
            || "exit status unknown".to_owned(),
            |(_, how)| how.to_owned(),
        )
    }

    /// What the function's processes hold now, shared pages counted once, in MiB.
    fn memory_mib(&self) -> u64 {
        let of_emulator = supervise::living_descendants(self.supervised.pid());
        let kib: u64 = of_emulator
            .iter()
            .filter(|pid| !is_emulator(**pid))
            .filter_map(|pid| {
                let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
                let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            })
            .sum();
        kib.div_ceil(1024)
    }

    /// The process ids of the function itself, without the emulator.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut pids = supervise::living_descendants(self.supervised.pid());
        pids.retain(|pid| !is_emulator(*pid));
        pids
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn log_stream(&self) -> &str {
        &self.log_stream
    }

    /// Kills everything in it.
    pub(crate) async fn stop(self) {
        self.supervised.stop().await;
        drop(self.directory);
    }
}

/// How far an invocation has come.
#[derive(Default)]
struct Progress {
    initialised: Option<Duration>,
    delivered: Option<Instant>,
    request_id: Option<String>,
    posted_error: bool,
}

impl Progress {
    fn note(&mut self, seen: Seen, started: Instant) {
        match seen {
            Seen::Next => {
                self.initialised.get_or_insert_with(|| started.elapsed());
            }
            Seen::Delivered(id) => self.request_id = Some(id),
            Seen::Response => self.posted_error = false,
            Seen::Error => self.posted_error = true,
        }
    }
}

fn is_emulator(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| {
        program
            .file_name()
            .is_some_and(|name| name == "aws-lambda-rie")
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn error_payload(kind: &str, message: &str) -> Bytes {
    json!({"errorType": kind, "errorMessage": message})
        .to_string()
        .into()
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// Waits until the emulator listens.
async fn answers(at: SocketAddr, supervised: &mut Supervised) -> Result<(), String> {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if tokio::net::TcpStream::connect(at).await.is_ok() {
            return Ok(());
        }
        if supervised.ended() {
            return Err("it ended".to_owned());
        }
        if Instant::now() > limit {
            return Err("it did not listen within 20 s".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
