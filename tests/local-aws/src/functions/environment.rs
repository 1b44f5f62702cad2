//! One execution environment: a function's runtime, and the Runtime API that it talks to: that of
//! AWS's Runtime Interface Emulator (`emulated`), or local-aws's own (`own`).
//!
//! Enters: a function's version, and events. Leaves: what Lambda's Invoke would answer, with the
//! log of the invocation.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::Isolation;
use super::compose::{Api, Setup};
use super::emulated::{Emulated, is_emulator};
use super::log::Log;
use super::own::{Own, REST_LIMIT};
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
    /// X-Ray's header, as `ids::trace_id` makes one.
    pub(crate) trace_id: String,
    /// Where the pieces of a streamed response go as they come. Without it such a response is
    /// gathered, as Lambda does for Invoke. Only with [`Api::Own`].
    pub(crate) sink: Option<mpsc::Sender<Part>>,
}

/// A part of a response that is streamed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It has begun.
    Head {
        content_type: String,
    },
    Data(Bytes),
}

/// What became of an event.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) request_id: String,
    /// The response, or what of a streamed one came together with its end; or the error.
    pub(crate) payload: Bytes,
    /// What the runtime called the payload, when it has responded to the own Runtime API.
    pub(crate) content_type: String,
    /// Whether Lambda would answer with `X-Amz-Function-Error: Unhandled`.
    pub(crate) failed: bool,
    /// The function's log of this invocation.
    pub(crate) log: Vec<u8>,
    /// Whether the environment can handle another event.
    pub(crate) usable: bool,
    /// Whether the runtime never asked for the event.
    pub(crate) failed_in_init: bool,
}

/// How a runtime has answered.
#[derive(Debug)]
pub(super) enum Answer {
    Response {
        content_type: String,
        body: Bytes,
    },
    /// All pieces but the last have been passed on.
    Streamed {
        last: Bytes,
    },
    /// With an error; it can handle another event.
    Error(Bytes),
    /// It has ended, or cannot go on. In Lambda's words.
    Fatal(Bytes),
    TimedOut,
    /// Not at all, and not by its own fault.
    Lost(String),
}

/// How long an event may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Until the event is delivered; all of it, with a fixed deadline.
    pub(super) first: Duration,
    /// From then on.
    pub(super) timeout: Duration,
    /// The deadline, when initialisation counts against the timeout.
    pub(super) fixed_deadline: Option<SystemTime>,
}

pub(crate) struct Environment {
    setup: Setup,
    log_stream: String,
    directory: tempfile::TempDir,
    /// `None`: the function writes to local-aws's own standard error, and nothing is reported.
    log: Option<Arc<Log>>,
    driver: Driver,
    supervised: Supervised,
    /// No event was handled yet.
    cold: bool,
    /// Initialisation is a second try, and part of the invocation.
    retried: bool,
    max_memory_mib: u64,
    /// Its processes are stopped.
    frozen: bool,
}

/// Whose Runtime API it is.
enum Driver {
    Emulated(Box<Emulated>),
    Own(Own),
}

impl Environment {
    /// Starts an environment. Under the emulator, the runtime in it starts with the first event.
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
        // Under an emulator there is one user alone, local-aws's own.
        let other_user =
            matches!(isolation, Isolation::Namespace { user: Some(_) }) && setup.emulator.is_none();
        let owner = other_user.then_some(sandbox::FUNCTION_USER);
        let log_stream = format!(
            "{}/[{}]{}",
            ids::log_stream_date(SystemTime::now()),
            setup.version,
            ids::random_hex(16)
        );
        let log = if setup.reports {
            Some(Arc::new(Log::open(&at.join("log"), owner).map_err(text)?))
        } else {
            None
        };
        let (driver, supervised) = match (setup.api, &log) {
            (Api::Emulator, Some(log)) => {
                let (emulated, supervised) =
                    Emulated::start(&setup, at, emulator, isolation, &log_stream, log).await?;
                (Driver::Emulated(Box::new(emulated)), supervised)
            }
            (Api::Emulator, None) => {
                return Err("the emulator's functions always have a log".to_owned());
            }
            (Api::Own, log) => {
                let (own, supervised) =
                    Own::start(&setup, at, isolation, &log_stream, log.as_ref()).await?;
                (Driver::Own(own), supervised)
            }
        };
        Ok(Self {
            setup,
            log_stream,
            directory,
            log,
            driver,
            supervised,
            cold: true,
            retried,
            max_memory_mib: 0,
            frozen: false,
        })
    }

    /// Handles one event.
    pub(crate) async fn handle(&mut self, event: &Event) -> Outcome {
        let timeout = self.setup.timeout;
        let initialises = std::mem::replace(&mut self.cold, false);
        let again = initialises && self.retried;
        let allowance = Allowance {
            first: if initialises && !again {
                INIT_LIMIT
            } else {
                timeout
            },
            timeout,
            // A second initialisation is part of the invocation and of its timeout.
            fixed_deadline: again.then(|| SystemTime::now() + timeout),
        };
        self.thaw();
        let mut progress = Progress::begin();
        let version = &self.setup.version;
        let answer = match &mut self.driver {
            Driver::Emulated(emulated) => {
                emulated
                    .handle(event, version, &allowance, &mut progress)
                    .await
            }
            Driver::Own(own) => {
                let supervised = &mut self.supervised;
                own.handle(event, version, &allowance, &mut progress, supervised)
                    .await
            }
        };
        self.conclude(answer, progress, initialises).await
    }

    /// Turns what happened into what Lambda answers.
    async fn conclude(&mut self, answer: Answer, progress: Progress, initialised: bool) -> Outcome {
        let failed_in_init = progress.delivered.is_none();
        let in_first_init = failed_in_init && initialised && !self.retried;
        let timeout = self.setup.timeout;
        let request_id = progress.request_id.clone().unwrap_or_else(ids::uuid);
        let mut content_type = String::new();
        let (payload, failed, status) = match answer {
            Answer::Response {
                content_type: kind,
                body,
            } => {
                content_type = kind;
                (body, false, String::new())
            }
            Answer::Streamed { last } => (last, false, String::new()),
            Answer::Error(body) => (body, true, String::new()),
            Answer::Fatal(body) => {
                let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let kind = parsed["errorType"].as_str().unwrap_or("Runtime.Unknown");
                let status = format!("\tStatus: error\tError Type: {kind}");
                (body, true, status)
            }
            Answer::TimedOut if in_first_init => {
                (Bytes::new(), true, "\tStatus: timeout".to_owned())
            }
            Answer::TimedOut => {
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
            Answer::Lost(why) => {
                let message = format!("RequestId: {request_id} Error: {why}");
                (
                    error_payload("Runtime.Unknown", &message),
                    true,
                    "\tStatus: error\tError Type: Runtime.Unknown".to_owned(),
                )
            }
        };
        let usable = status.is_empty() && !self.supervised.ended();
        let log = self
            .report(&request_id, &progress, initialised, in_first_init, &status)
            .await;
        Outcome {
            request_id,
            payload,
            content_type,
            failed,
            log,
            usable,
            failed_in_init,
        }
    }

    /// Writes the platform's last lines, and takes the invocation's log.
    async fn report(
        &mut self,
        request_id: &str,
        progress: &Progress,
        initialised: bool,
        in_first_init: bool,
        status: &str,
    ) -> Vec<u8> {
        let Some(log) = self.log.clone() else {
            return Vec::new();
        };
        self.max_memory_mib = self.max_memory_mib.max(self.memory_mib());
        let started = progress.started;
        let init = progress.initialised.unwrap_or_else(|| started.elapsed());
        if in_first_init {
            let status = status.trim_start();
            log.line(&format!(
                "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\t{status}",
                ms(init)
            ))
            .await;
            return log.take().await;
        }
        let first_try = initialised && !self.retried;
        let duration = match progress.delivered {
            Some(delivered) if !self.retried || !initialised => delivered.elapsed(),
            _ => started.elapsed(),
        }
        .min(self.setup.timeout);
        let init = first_try.then(|| format!("\tInit Duration: {:.2} ms", ms(init)));
        log.line(&format!("END RequestId: {request_id}")).await;
        log.line(&format!(
            "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB\t\
             Max Memory Used: {} MB{}{status}\t",
            ms(duration),
            ms(duration).ceil(),
            self.setup.memory_mib,
            self.max_memory_mib,
            init.unwrap_or_default(),
        ))
        .await;
        log.take().await
    }

    /// What the function's processes hold now, shared pages counted once, in MiB.
    fn memory_mib(&self) -> u64 {
        let kib: u64 = self
            .processes()
            .iter()
            .filter_map(|pid| {
                let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
                let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            })
            .sum();
        kib.div_ceil(1024)
    }

    /// Stops the function's processes when its runtime waits for the next event, as Lambda freezes
    /// an environment.
    pub(crate) async fn freeze(&mut self) {
        let rests = async {
            match &mut self.driver {
                Driver::Emulated(emulated) => emulated.rests().await,
                Driver::Own(own) => own.rests().await,
            }
        };
        // One that never comes back is frozen wherever it is.
        let _ = tokio::time::timeout(REST_LIMIT, rests).await;
        supervise::stop_all(|| self.processes());
        self.frozen = true;
    }

    fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            supervise::continue_all(&self.processes());
        }
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
pub(super) struct Progress {
    started: Instant,
    initialised: Option<Duration>,
    delivered: Option<Instant>,
    pub(super) request_id: Option<String>,
}

impl Progress {
    fn begin() -> Self {
        Self {
            started: Instant::now(),
            initialised: None,
            delivered: None,
            request_id: None,
        }
    }

    /// The runtime has asked for an event.
    pub(super) fn initialised(&mut self) {
        self.initialised
            .get_or_insert_with(|| self.started.elapsed());
    }

    /// The runtime has the event.
    pub(super) fn delivered(&mut self) {
        self.delivered = Some(Instant::now());
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// An error as Lambda writes one.
pub(super) fn error_payload(kind: &str, message: &str) -> Bytes {
    json!({"errorType": kind, "errorMessage": message})
        .to_string()
        .into()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
