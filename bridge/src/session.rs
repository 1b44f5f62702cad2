//! One MCP server after another: started when needed, asked with a deadline, replaced when it no longer answers.
//!
//! Enters: requests with a deadline. Leaves: the server's reply, or a [`CallError`] that says what happened instead. Refuses to repeat a call that was
//! written to a server that then died. Everything runs on one thread: while the bridge waits for anything (an answer, the next event), the conversation with
//! the server goes on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::catalogue::Schemas;
use crate::child::{self, Child, MAX_LINE};
use crate::conversation::{Conversation, Opening, Reply};
use crate::era::Server;
use crate::error::{CallError, Ended};
use crate::launch::{DEFAULT_STARTUP_TIMEOUT, ProcessScope, ServerCommand};
use crate::log::Log;
use crate::metrics::Meter;
use crate::secrets::Secrets;
use crate::tools::Tools;

/// How long a server that let a call time out may be silent at the next event before it counts as stuck. One that is still writing is not.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

/// Where programs look for the trace that they belong to. Source: AWS Lambda Developer Guide, "Defined runtime environment variables".
const TRACE_ID: &str = "_X_AMZN_TRACE_ID";

/// How old a server may be that was started ahead when the first message for it comes. What it opened at its start, connections above all, has been idle for
/// as long, and AWS's NAT gateways and network load balancers forget a connection after 350 seconds. A start that was frozen half way is no older then either.
pub(crate) const AHEAD_LIMIT: Duration = Duration::from_secs(300);

/// What servers are started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) command: ServerCommand,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// `None`: where the bridge is.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) secrets: Secrets,
    /// See [`AHEAD_LIMIT`].
    pub(crate) ahead_limit: Duration,
}

/// What a caller who is answered as things happen is told before the reply.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The server sent a notification: its line.
    Notice(Vec<u8>),
    /// Nothing came for as long as [`Watch::quiet`] says.
    Quiet,
}

/// Listens while a request is answered. `heard` ends the call by returning `Break`: nobody listens any more.
pub(crate) struct Watch<'a> {
    pub(crate) heard: &'a mut dyn FnMut(Heard) -> ControlFlow<()>,
    /// How long a silence lasts that is told of.
    pub(crate) quiet: Duration,
}

/// Starts servers as they are needed and speaks to the one that runs.
#[derive(Debug)]
pub(crate) struct Session {
    start: Start,
    /// Which of the server's tools callers see.
    pub(crate) tools: Tools,
    pub(crate) log: Log,
    /// What is counted of each event.
    pub(crate) meter: Meter,
    running: Option<Conversation>,
    /// How the conversation with the next server begins.
    opening: Opening,
    /// The last server failed: it ended, hung, or did not start.
    failed: bool,
    /// The last server that was started answered the handshake.
    starts: bool,
    /// X-Ray's tracing header of the event that is being served.
    trace_id: Option<String>,
}

impl Session {
    /// A session without a server yet.
    pub(crate) fn new(start: Start, tools: Tools, log: Log, meter: Meter) -> Self {
        Self {
            start,
            tools,
            log,
            meter,
            running: None,
            opening: Opening::Discover,
            failed: false,
            starts: false,
            trace_id: None,
        }
    }

    /// An event begins: what is logged from now on belongs to it, and so does a server that is started for it alone. One that was started ahead and is too old
    /// by now is ended.
    pub(crate) fn begin_event(&mut self, request_id: &str, trace_id: Option<&str>) {
        self.log.begin(request_id);
        self.trace_id = trace_id.map(str::to_owned);
        self.meter.begin();
        let limit = self.start.ahead_limit;
        let is_too_old = |running: &Conversation| !running.is_used() && running.age() > limit;
        if self.is_one_per_event() && self.running.as_ref().is_some_and(is_too_old) {
            self.log.warn(&format!(
                "the MCP server was started ahead more than {} s ago; starting it again",
                limit.as_secs()
            ));
            self.shut_down();
        }
    }

    fn is_one_per_event(&self) -> bool {
        self.start.command.process_scope == ProcessScope::Invocation
    }

    /// Makes sure that a server runs which has answered the handshake, starting one if need be, and returns what it said of itself.
    ///
    /// # Errors
    ///
    /// Why there is none. A server that is merely still starting at `deadline` is kept, so that a later event can find it ready.
    pub(crate) fn ensure_ready(&mut self, deadline: Instant) -> Result<Rc<Server>, CallError> {
        self.discard_unusable(deadline);
        self.refresh_secrets(deadline)?;
        let startup = Duration::from_secs(u64::from(
            self.start
                .command
                .startup_timeout
                .unwrap_or(DEFAULT_STARTUP_TIMEOUT),
        ));
        if self.running.is_none() {
            self.start_server()?;
        }
        let asked = Instant::now();
        let error = loop {
            let Some(running) = &mut self.running else {
                // Filled above, and below where it is emptied.
                return Err(no_handshake());
            };
            if running.server().is_some() {
                break None;
            }
            if let Some(reason) = running.refused().map(str::to_owned) {
                break Some(CallError::Handshake {
                    reason,
                    stderr: running.stderr_tail(),
                });
            }
            if let Some(ended) = running.ended(&self.log) {
                // Its last words may have been the answer.
                if running.server().is_some() {
                    continue;
                }
                if running.may_have_died_of_the_probe() {
                    self.begin_without_probe(ended);
                    self.start_server()?;
                    continue;
                }
                break Some(CallError::EndedAtStart {
                    ended,
                    stderr: running.stderr_tail(),
                });
            }
            let now = Instant::now();
            if now >= asked + startup {
                break Some(CallError::StartTimeout {
                    seconds: startup.as_secs(),
                    stderr: running.stderr_tail(),
                });
            }
            if now >= deadline {
                return Err(CallError::StartOverDeadline {
                    millis: asked.elapsed().as_millis(),
                    stderr: running.stderr_tail(),
                });
            }
            running.turn(&self.log, None, Some(deadline.min(asked + startup)));
        };
        self.starts = error.is_none();
        if let Some(error) = error {
            // It may have been something else that it died of, and be a server of the other era.
            self.opening = Opening::Discover;
            self.drop_failed();
            return Err(error);
        }
        match self.running.as_ref().and_then(Conversation::server) {
            Some(server) => Ok(Rc::clone(server)),
            // The loop above only ends without an error when there is one.
            None => Err(no_handshake()),
        }
    }

    /// Lets go of a server that has ended, and has the next one greeted in the handshake era. It is the same start that goes on: no failure is counted.
    fn begin_without_probe(&mut self, ended: Ended) {
        self.log.warn(&format!(
            "the MCP server {ended} when it was asked which era of MCP it speaks; starting it again, for the handshake era"
        ));
        self.opening = Opening::Initialize;
        self.running = None;
    }

    /// Ends a server that failed.
    fn drop_failed(&mut self) {
        self.running = None;
        self.failed = true;
    }

    /// Starts a server.
    fn start_server(&mut self) -> Result<(), CallError> {
        if std::mem::take(&mut self.failed) {
            self.meter.restarted();
        }
        let Start {
            command,
            environment,
            directory,
            secrets,
            ..
        } = &self.start;
        let mut environment = secrets.add_to(environment);
        // A server that lives on would take the first event's trace for that of all others.
        if let (true, Some(trace)) = (self.is_one_per_event(), &self.trace_id) {
            environment.to_mut().insert(TRACE_ID.into(), trace.into());
        }
        match Child::spawn(&command.argv, &environment, directory.as_deref()) {
            Ok(child) => {
                self.running = Some(Conversation::begin(child, self.opening));
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                self.starts = false;
                Err(CallError::Spawn {
                    program: command.argv.first().cloned().unwrap_or_default(),
                    error,
                })
            }
        }
    }

    /// The id that the next call's request will have: unique within the server's life.
    pub(crate) fn next_id(&self) -> u64 {
        self.running.as_ref().map_or(0, Conversation::next_id)
    }

    /// Sends a request to the server that [`Session::ensure_ready`] found, and waits for its reply until `deadline`. `params` is as the server has to get it.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`], [`CallError::Deadline`] and [`CallError::CallerGone`] (the call has been cancelled) or [`CallError::LineTooLong`].
    pub(crate) fn call(
        &mut self,
        method: &str,
        params: Option<&str>,
        mut watch: Option<Watch<'_>>,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let Some(running) = &mut self.running else {
            return Err(no_handshake());
        };
        let id = running.ask(method, params, watch.is_some());
        let asked = Instant::now();
        let mut last_heard = asked;
        loop {
            let ended = running.ended(&self.log);
            if let Some(watch) = &mut watch {
                let mut listening = ControlFlow::Continue(());
                while let (ControlFlow::Continue(()), Some(line)) =
                    (listening, running.take_notice())
                {
                    listening = (watch.heard)(Heard::Notice(line));
                    last_heard = Instant::now();
                }
                if listening.is_continue() && last_heard.elapsed() >= watch.quiet {
                    listening = (watch.heard)(Heard::Quiet);
                    last_heard = Instant::now();
                }
                if listening.is_break() && ended.is_none() {
                    running.cancel(id, "the caller has gone");
                    return Err(CallError::CallerGone {
                        method: method.to_owned(),
                    });
                }
            }
            if let Some(reply) = running.take_reply() {
                return Ok(reply);
            }
            if let Some(ended) = ended {
                let error = CallError::Ended {
                    method: method.to_owned(),
                    ended,
                    stderr: running.stderr_tail(),
                };
                self.drop_failed();
                return Err(error);
            }
            if running.take_dropped_line() {
                return Err(CallError::LineTooLong {
                    method: method.to_owned(),
                    limit: MAX_LINE,
                });
            }
            if Instant::now() >= deadline {
                let error = CallError::Deadline {
                    method: method.to_owned(),
                    millis: asked.elapsed().as_millis(),
                    stderr: running.stderr_tail(),
                };
                running.cancel(id, "the function's time is nearly over");
                return Err(error);
            }
            let until = match &watch {
                Some(watch) => deadline.min(last_heard + watch.quiet),
                None => deadline,
            };
            running.turn(&self.log, None, Some(until));
        }
    }

    /// What is known of the tools of the server that [`Session::ensure_ready`] found.
    pub(crate) fn kept_schemas(&mut self) -> Option<Rc<Schemas>> {
        self.running.as_mut()?.schemas(&self.log)
    }

    /// Keeps what that server said of its tools, for as long as it lives and they do not change.
    pub(crate) fn keep_schemas(&mut self, schemas: Rc<Schemas>) {
        if let Some(running) = &mut self.running {
            running.keep_schemas(schemas);
        }
    }

    /// How often that server has said that its tools have changed.
    pub(crate) fn tool_list_changes(&self) -> u64 {
        self.running
            .as_ref()
            .map_or(0, Conversation::tool_list_changes)
    }

    /// Passes a notification on to the server that [`Session::ensure_ready`] found.
    pub(crate) fn notify(&mut self, method: &str, params: Option<&str>) {
        if let Some(running) = &mut self.running {
            running.notify(method, params);
        }
    }

    /// Sleeps until `other` can be read, serving the server's pipes meanwhile.
    pub(crate) fn wait_for(&mut self, other: RawFd) {
        let Some(running) = &mut self.running else {
            return child::wait_readable(other);
        };
        while !running.turn(&self.log, Some(other), None) {}
    }

    /// Called when an event has been answered. With a process per event, the one that served it is ended here, after its caller has the answer. Only then the
    /// next one is started, so that there are never two; its handshake goes on while the next event is awaited.
    pub(crate) fn event_answered(&mut self) {
        self.trace_id = None;
        if !self.is_one_per_event() {
            return;
        }
        if self.running.as_ref().is_some_and(Conversation::is_used) {
            self.shut_down();
        }
        // One that fails to start is left to the next event, whose caller is told why.
        if self.running.is_none()
            && self.starts
            && self.start.secrets.are_read()
            && let Err(error) = self.start_server()
        {
            self.log.warn(&error.to_string());
        }
    }

    /// Ends the server in an orderly way.
    pub(crate) fn shut_down(&mut self) {
        if let Some(running) = self.running.take() {
            running.shut_down(&self.log);
        }
    }

    /// Makes sure that there are values for the server's secrets, and ends a server that was started with others than there are now.
    fn refresh_secrets(&mut self, deadline: Instant) -> Result<(), CallError> {
        let changed = self
            .start
            .secrets
            .refresh(deadline, &self.log)
            .map_err(CallError::Secrets)?;
        if changed && self.running.is_some() {
            self.log
                .warn("a secret has changed; starting the MCP server again");
            self.shut_down();
        }
        Ok(())
    }

    /// Drops a server that died since the last event, or that has not answered since a call of it timed out.
    fn discard_unusable(&mut self, deadline: Instant) {
        let Some(running) = &mut self.running else {
            return;
        };
        let ready = running.server().is_some();
        if let Some(ended) = running.ended(&self.log) {
            if running.may_have_died_of_the_probe() {
                self.begin_without_probe(ended);
                return;
            }
            let when = if ready {
                "between two events"
            } else {
                "while it was starting"
            };
            self.log
                .warn(&format!("the MCP server {ended} {when}; starting it again"));
            self.drop_failed();
            return;
        }
        if running.is_silent() {
            let begun = Instant::now();
            let last = begun + deadline.saturating_duration_since(begun) / 4;
            let (mut lines, mut until) = (running.lines(), last.min(begun + CHECK_PATIENCE));
            while running.is_silent()
                && Instant::now() < until
                && running.ended(&self.log).is_none()
            {
                running.turn(&self.log, None, Some(until));
                if running.lines() != lines {
                    lines = running.lines();
                    until = last.min(Instant::now() + CHECK_PATIENCE);
                }
            }
            if running.is_silent() {
                self.log.warn("the MCP server has not answered since a call of it timed out; starting it again");
                self.drop_failed();
            }
        }
    }
}

/// There is no server that has answered the handshake.
fn no_handshake() -> CallError {
    CallError::Handshake {
        reason: "no handshake".to_owned(),
        stderr: String::new(),
    }
}
