//! An execution environment's events through AWS's Runtime Interface Emulator.
//!
//! Enters: an event. Leaves: how the emulator answered it. The emulator answers everything with
//! HTTP 200, counts initialisation against the timeout and knows neither deadline nor ARN; those
//! are put right here and in `relay`.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;

use super::compose::{Setup, emulator_spec, launch_spec};
use super::environment::{Allowance, Answer, Event, Progress, error_payload};
use super::log::Log;
use super::relay::{self, Relay, Seen};
use super::{Isolation, ids};
use crate::supervise::{self, Supervised};

pub(super) struct Emulated {
    relay: Relay,
    seen: mpsc::UnboundedReceiver<Seen>,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Receives the emulator's own output.
    log: PathBuf,
    /// The runtime waits for its next event.
    rests: bool,
}

impl Emulated {
    /// Starts an emulator in `directory`; the runtime under it starts with the first event.
    ///
    /// # Errors
    ///
    /// A sentence: what could not be started, with the end of the emulator's own output.
    pub(super) async fn start(
        setup: &Setup,
        directory: &Path,
        emulator: &Path,
        isolation: &Isolation,
        log_stream: &str,
        log: &Arc<Log>,
    ) -> Result<(Self, Supervised), String> {
        // A port that is free now can be taken before the emulator has it: then others are tried.
        let mut last_error = String::new();
        for attempt in 0..3 {
            let (api, runtime_api) = (free_port().map_err(text)?, free_port().map_err(text)?);
            let (relay, seen) = Relay::start(runtime_api, Arc::clone(log))
                .await
                .map_err(text)?;
            let launch_spec =
                launch_spec(setup, isolation, directory, log_stream, relay.address())?;
            let launch_file = directory.join(format!("launch-{attempt}.json"));
            let written = serde_json::to_vec(&launch_spec).map_err(text)?;
            supervise::write_private(&launch_file, &written).map_err(text)?;
            let output = directory.join("emulator.log");
            let mut spec = emulator_spec(
                setup,
                isolation,
                directory,
                emulator,
                (api, runtime_api),
                &launch_file,
            )?;
            spec.output = Some(output.clone());
            let mut supervised =
                Supervised::start(directory, &format!("emulator-{attempt}"), &spec)
                    .map_err(text)?;
            match answers(api, &mut supervised).await {
                Ok(()) => {
                    let emulated = Self {
                        relay,
                        seen,
                        address: api,
                        client: Client::builder(TokioExecutor::new()).build_http(),
                        log: output,
                        rests: false,
                    };
                    return Ok((emulated, supervised));
                }
                Err(error) => {
                    supervised.stop().await;
                    let output = std::fs::read_to_string(&output).unwrap_or_default();
                    last_error = format!("{error}; its output: {}", output.trim());
                }
            }
        }
        Err(format!(
            "the Runtime Interface Emulator did not start: {last_error}"
        ))
    }

    /// Handles one event.
    pub(super) async fn handle(
        &mut self,
        event: &Event,
        version: &str,
        allowance: &Allowance,
        progress: &mut Progress,
    ) -> Answer {
        self.relay.expect(relay::Invocation {
            function_arn: event.function_arn.clone(),
            version: version.to_owned(),
            timeout: allowance.timeout,
            fixed_deadline: allowance.fixed_deadline,
            trace_id: event.trace_id.clone(),
        });
        while self.seen.try_recv().is_ok() {}
        let mut answer = std::pin::pin!(self.client.request(self.request(event)));
        let mut limit = tokio::time::Instant::now() + allowance.first;
        let mut posted_error = false;
        let rests = &mut self.rests;
        let mut note = |seen: Seen, progress: &mut Progress| match seen {
            Seen::Next => {
                *rests = true;
                progress.initialised();
            }
            Seen::Delivered(id) => {
                *rests = false;
                progress.request_id = Some(id);
                progress.delivered();
            }
            Seen::Response => posted_error = false,
            Seen::Error => posted_error = true,
        };
        let answer = loop {
            tokio::select! {
                biased;
                Some(seen) = self.seen.recv() => {
                    if matches!(seen, Seen::Delivered(_)) && allowance.fixed_deadline.is_none() {
                        limit = tokio::time::Instant::now() + allowance.timeout;
                    }
                    note(seen, progress);
                }
                answer = &mut answer => break match answer {
                    Ok(answer) => {
                        let status = answer.status().as_u16();
                        let body = answer.into_body().collect().await.map(|body| body.to_bytes());
                        body.map(|body| (status, body)).map_err(text)
                    }
                    Err(error) => Err(text(error)),
                },
                () = tokio::time::sleep_until(limit) => return Answer::TimedOut,
            }
        };
        while let Ok(seen) = self.seen.try_recv() {
            note(seen, progress);
        }
        match answer {
            Ok((200, body)) if posted_error => Answer::Error(body),
            Ok((200, body)) => Answer::Response {
                content_type: String::new(),
                body,
            },
            Ok((502, body)) => self.failure(body, progress),
            Ok((status, body)) => Answer::Lost(format!(
                "the Runtime Interface Emulator answered {status}: {}",
                String::from_utf8_lossy(&body)
            )),
            Err(error) => Answer::Lost(error),
        }
    }

    /// Returns when the runtime waits for its next event.
    pub(super) async fn rests(&mut self) {
        while !self.rests {
            self.rests = matches!(self.seen.recv().await, None | Some(Seen::Next));
        }
    }

    /// The runtime has ended, or was refused.
    fn failure(&self, body: Bytes, progress: &mut Progress) -> Answer {
        // Nothing is said when the runtime ended before it asked for an event.
        let body = if body.is_empty() {
            let id = progress.request_id.get_or_insert_with(ids::uuid);
            let message = format!(
                "RequestId: {id} Error: Runtime exited with error: {}",
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
            progress.request_id = Some(id.chars().take(36).collect());
        }
        Answer::Fatal(body)
    }

    /// How the runtime ended, in the words of the emulator's log: `exit status 1`, `signal:
    /// killed`.
    fn exit(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let how = log
            .lines()
            .rev()
            .find_map(|line| line.split_once(" exited: "));
        how.map_or_else(
            || "exit status unknown".to_owned(),
            |(_, how)| how.to_owned(),
        )
    }

    fn request(&self, event: &Event) -> Request<Full<Bytes>> {
        let mut request = Request::post(format!(
            "http://{}/2015-03-31/functions/function/invocations",
            self.address
        ));
        if let Some(context) = &event.client_context {
            request = request.header("x-amz-client-context", context);
        }
        // The client context was checked to be base64.
        request
            .body(Full::new(event.payload.clone()))
            .expect("a valid request")
    }
}

/// Whether this process is an emulator, which belongs to no function.
pub(super) fn is_emulator(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| {
        program
            .file_name()
            .is_some_and(|name| name == "aws-lambda-rie")
    })
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
