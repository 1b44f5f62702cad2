//! An execution environment's events through local-aws's own Runtime API.
//!
//! Enters: an event, and where pieces of a streamed response go. Leaves: how the runtime answered.
//! What a runtime does wrong is answered in Lambda's words.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use super::compose::{Setup, launch_spec, runtime_spec};
use super::environment::{Allowance, Answer, Event, Part, Progress, error_payload};
use super::log::Log;
use super::runtime_api::{Invocation, MAX_RESPONSE, RuntimeApi, Said};
use super::{Isolation, ids};
use crate::supervise::{self, Supervised};

pub(super) struct Own {
    api: RuntimeApi,
}

impl Own {
    /// Starts the runtime in `directory`.
    ///
    /// # Errors
    ///
    /// A sentence: what could not be started.
    pub(super) async fn start(
        setup: &Setup,
        directory: &Path,
        isolation: &Isolation,
        log_stream: &str,
        log: Option<&Arc<Log>>,
    ) -> Result<(Self, Supervised), String> {
        let api = RuntimeApi::start(log.map(Arc::clone)).await.map_err(text)?;
        let mut launch_spec = launch_spec(setup, isolation, directory, log_stream, api.address())?;
        if log.is_none() {
            launch_spec.log = None;
        }
        let launch_file = directory.join("launch.json");
        let written = serde_json::to_vec(&launch_spec).map_err(text)?;
        supervise::write_private(&launch_file, &written).map_err(text)?;
        let spec = runtime_spec(setup, isolation, directory, &launch_file)?;
        let supervised = Supervised::start(directory, "runtime", &spec).map_err(text)?;
        Ok((Self { api }, supervised))
    }

    /// Handles one event.
    pub(super) async fn handle(
        &mut self,
        event: &Event,
        version: &str,
        allowance: &Allowance,
        progress: &mut Progress,
        supervised: &mut Supervised,
    ) -> Answer {
        let request_id = ids::uuid();
        while let Some(said) = self.api.said_already() {
            if matches!(said, Said::Next) {
                progress.initialised();
            }
        }
        self.api.give(Invocation {
            request_id: request_id.clone(),
            payload: event.payload.clone(),
            client_context: event.client_context.clone(),
            function_arn: event.function_arn.clone(),
            trace_id: event.trace_id.clone(),
            version: version.to_owned(),
            timeout: allowance.timeout,
            fixed_deadline: allowance.fixed_deadline,
        });
        progress.request_id = Some(request_id);
        let mut limit = tokio::time::Instant::now() + allowance.first;
        // Of a response that is streamed to nobody, or begun and not passed on yet.
        let mut gathered = Vec::new();
        let mut content_type = String::new();
        loop {
            let said = tokio::select! {
                biased;
                said = self.api.said() => said,
                status = supervised.wait() => return exited(status, progress),
                () = tokio::time::sleep_until(limit) => return Answer::TimedOut,
            };
            match said {
                Said::Next => progress.initialised(),
                Said::Delivered => {
                    progress.delivered();
                    if allowance.fixed_deadline.is_none() {
                        limit = tokio::time::Instant::now() + allowance.timeout;
                    }
                }
                Said::Response { content_type, body } => {
                    return Answer::Response { content_type, body };
                }
                Said::TooLong => return too_long(),
                Said::Error(body) => return Answer::Error(body),
                Said::InitError(body) => return Answer::Fatal(body),
                Said::Begin { content_type: kind } => {
                    if let Some(sink) = &event.sink {
                        let head = Part::Head { content_type: kind };
                        if pass(sink, head, limit).await.is_err() {
                            return Answer::TimedOut;
                        }
                    } else {
                        content_type = kind;
                    }
                }
                Said::Piece(piece) => match &event.sink {
                    Some(sink) => {
                        if pass(sink, Part::Data(piece), limit).await.is_err() {
                            return Answer::TimedOut;
                        }
                    }
                    None => gathered.extend_from_slice(&piece),
                },
                Said::End { last } if event.sink.is_some() => return Answer::Streamed { last },
                Said::End { last } => {
                    gathered.extend_from_slice(&last);
                    if gathered.len() > MAX_RESPONSE {
                        return too_long();
                    }
                    return Answer::Response {
                        content_type,
                        body: gathered.into(),
                    };
                }
                Said::Broken { error: Some(error) } => return Answer::Error(error),
                Said::Broken { error: None } => {
                    // Most likely the runtime has ended.
                    let limit = tokio::time::Instant::now() + Duration::from_secs(1);
                    return match tokio::time::timeout_at(limit, supervised.wait()).await {
                        Ok(status) => exited(status, progress),
                        Err(_) => Answer::Error(error_payload(
                            "Runtime.TruncatedResponse",
                            "Response truncated",
                        )),
                    };
                }
            }
        }
    }

    /// Returns when the runtime waits for its next event.
    pub(super) async fn rests(&mut self) {
        while !matches!(self.api.said().await, Said::Next) {}
    }
}

/// How long a runtime may take to come back for its next event before it is frozen all the same.
pub(super) const REST_LIMIT: Duration = Duration::from_secs(1);

/// Passes a part on, at the caller's pace. A caller that has left stops nothing, as in Lambda.
///
/// # Errors
///
/// The invocation's time is over.
async fn pass(
    sink: &tokio::sync::mpsc::Sender<Part>,
    part: Part,
    limit: tokio::time::Instant,
) -> Result<(), tokio::time::error::Elapsed> {
    let _gone = tokio::time::timeout_at(limit, sink.send(part)).await?;
    Ok(())
}

fn too_long() -> Answer {
    let message = format!(
        "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
    );
    Answer::Error(error_payload("Function.ResponseSizeTooLarge", &message))
}

fn exited(status: Option<ExitStatus>, progress: &Progress) -> Answer {
    let how = match status {
        Some(status) if status.success() => "Runtime exited without providing a reason".to_owned(),
        Some(status) => format!("Runtime exited with error: {}", ending(status)),
        None => "Runtime exited".to_owned(),
    };
    let id = progress.request_id.as_deref().unwrap_or_default();
    let message = format!("RequestId: {id} Error: {how}");
    Answer::Fatal(error_payload("Runtime.ExitError", &message))
}

/// `exit status 1`, `signal: killed`: Go's words, in which Lambda's messages are.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(libc::SIGKILL)) => "signal: killed".to_owned(),
        (None, Some(libc::SIGTERM)) => "signal: terminated".to_owned(),
        (None, Some(libc::SIGSEGV)) => "signal: segmentation fault".to_owned(),
        (None, Some(libc::SIGABRT)) => "signal: aborted".to_owned(),
        (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
