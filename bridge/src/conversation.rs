//! The conversation with one MCP server: the handshake, one request at a time, and whatever the server says unasked.
//!
//! Enters: requests, and the lines that the server writes. Leaves: its description of itself, and its replies. Refuses, to the server: its own requests, at
//! once. Skips: what is no message, replies that nobody waits for, and notifications, unless the request that is waited for is watched.
//!
//! Finding the era: `server/discover` is the first line that a server ever gets, because a dual-era server locks itself to the era of its first line. An
//! error or no answer in time leads to `initialize` on the same process. A discovery that comes late, after `initialize` was sent, still counts. Some servers
//! end at a method that they do not know (those of the Python SDK before 1.9.4): a new process of such a one begins with `initialize`.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::catalogue::Schemas;
use crate::child::{Child, MAX_LINE};
use crate::era::{self, Era, Server};
use crate::error::{Ended, server_error_sentence, shorten};
use crate::json;
use crate::jsonrpc::{
    ErrorObject, Message, code, error_text, notification_line, request_line, response_line,
};
use crate::lines::Line;
use crate::log::{Log, Origin};
use crate::outgoing;

/// How long a server may take to answer `server/discover` before it is also sent `initialize`. Guessing too early costs nothing: see above.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// How long each step of an orderly end may take.
const END_GRACE: Duration = Duration::from_millis(500);
/// How much of a stray stdout line is logged.
const STRAY_LINE: usize = 1024;

/// A server's answer to one request.
#[derive(Debug)]
pub(crate) struct Reply {
    line: Vec<u8>,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Result(Range<usize>),
    Error(Range<usize>),
    Neither,
}

/// The request with which a conversation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `server/discover`, which finds the era.
    Discover,
    /// `initialize`, for a server that ended at the other one.
    Initialize,
}

/// The two things that a reply can be.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// Raw `result`.
    Result(&'a str),
    /// Raw `error`.
    Error(&'a str),
}

impl Reply {
    /// What the server answered; `None` when it was neither a result nor an error.
    pub(crate) fn outcome(&self) -> Option<Outcome<'_>> {
        // Cannot fail: the ranges were cut from this line's own JSON text.
        let text =
            |range: &Range<usize>| std::str::from_utf8(&self.line[range.clone()]).unwrap_or("null");
        match &self.part {
            Part::Result(range) => Some(Outcome::Result(text(range))),
            Part::Error(range) => Some(Outcome::Error(text(range))),
            Part::Neither => None,
        }
    }

    /// The line and where in it the result stands, to be passed on without a copy.
    pub(crate) fn into_result_bytes(self) -> (Vec<u8>, Range<usize>) {
        let range = match self.part {
            Part::Result(range) => range,
            Part::Error(_) | Part::Neither => 0..0,
        };
        (self.line, range)
    }
}

/// One server process and where the conversation with it stands.
#[derive(Debug)]
pub(crate) struct Conversation {
    child: Child,
    started: Instant,
    /// By the wall clock: the other one may stand still while the environment is frozen.
    started_at: SystemTime,
    last_id: u64,
    /// Ids of the `server/discover` requests sent.
    probes: Vec<u64>,
    /// When to send `initialize` as well.
    probe_ends: Option<Instant>,
    /// Id of the `initialize` request, once sent.
    initialize: Option<u64>,
    initialize_failed: bool,
    server: Option<Rc<Server>>,
    /// Why no protocol version was agreed on.
    refused: Option<String>,
    /// Id of the request whose reply is awaited.
    waiting: Option<u64>,
    /// Whether notifications that come before that reply are kept, for a caller who gets them as they come.
    watched: bool,
    notices: VecDeque<Vec<u8>>,
    reply: Option<Reply>,
    /// A line too long to keep was dropped since the last request; it may have been the reply.
    dropped_line: bool,
    /// Id of a request sent to see whether the server still answers.
    check: Option<u64>,
    /// A call has been made.
    used: bool,
    /// Lines that the server wrote on stdout.
    lines: u64,
    /// What is known of the server's tools, if they have been asked for since they last changed.
    schemas: Option<Rc<Schemas>>,
    /// How often the server has said that its tools have changed.
    tool_list_changes: u64,
}

impl Conversation {
    /// Begins the conversation.
    pub(crate) fn begin(child: Child, opening: Opening) -> Self {
        let mut conversation = Self {
            child,
            started: Instant::now(),
            started_at: SystemTime::now(),
            last_id: 0,
            probes: Vec::new(),
            probe_ends: None,
            initialize: None,
            initialize_failed: false,
            server: None,
            refused: None,
            waiting: None,
            watched: false,
            notices: VecDeque::new(),
            reply: None,
            dropped_line: false,
            check: None,
            used: false,
            lines: 0,
            schemas: None,
            tool_list_changes: 0,
        };
        match opening {
            Opening::Discover => {
                conversation.send_probe();
                conversation.probe_ends = Some(conversation.started + PROBE_PATIENCE);
            }
            Opening::Initialize => conversation.send_initialize(),
        }
        conversation
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn send_probe(&mut self) {
        let id = self.fresh_id();
        self.probes.push(id);
        self.child.send(request_line(
            id,
            "server/discover",
            Some(&outgoing::discover_params()),
        ));
    }

    fn send_initialize(&mut self) {
        let id = self.fresh_id();
        self.initialize = Some(id);
        self.probe_ends = None;
        self.child.send(request_line(
            id,
            "initialize",
            Some(&era::initialize_params()),
        ));
    }

    /// The id that the next request will have.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id + 1
    }

    /// Sends a request, whose reply will be [`Conversation::take_reply`]'s, and returns its id. When it is `watched`, what the server notifies of meanwhile
    /// is [`Conversation::take_notice`]'s.
    pub(crate) fn ask(&mut self, method: &str, params: Option<&str>, watched: bool) -> u64 {
        let id = self.fresh_id();
        self.used = true;
        self.waiting = Some(id);
        self.watched = watched;
        self.notices.clear();
        self.reply = None;
        self.dropped_line = false;
        self.child.send(request_line(id, method, params));
        id
    }

    /// The next notification that came before the reply to the last request, as the server's line.
    pub(crate) fn take_notice(&mut self) -> Option<Vec<u8>> {
        self.notices.pop_front()
    }

    /// The reply to the last request, once it is there.
    pub(crate) fn take_reply(&mut self) -> Option<Reply> {
        self.reply.take()
    }

    /// Whether a line was dropped that may have been the reply; nobody waits for it then any more.
    pub(crate) fn take_dropped_line(&mut self) -> bool {
        let dropped = std::mem::take(&mut self.dropped_line);
        if dropped {
            self.waiting = None;
        }
        dropped
    }

    /// Sends a notification.
    pub(crate) fn notify(&mut self, method: &str, params: Option<&str>) {
        self.used = true;
        self.child.send(notification_line(method, params));
    }

    /// What the server said of itself, once the handshake is done.
    pub(crate) fn server(&self) -> Option<&Rc<Server>> {
        self.server.as_ref()
    }

    /// Why no protocol version was agreed on.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Whether a server that has ended may have ended because of the probe: it read it, and has not answered the handshake.
    pub(crate) fn may_have_died_of_the_probe(&self) -> bool {
        self.server.is_none() && !self.probes.is_empty() && self.child.took_all()
    }

    /// Whether a caller's message has been sent, so that the process is no longer as it started.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// How long ago the process was started, time in which the environment was frozen included.
    pub(crate) fn age(&self) -> Duration {
        // A wall clock that was set back says nothing.
        let by_wall_clock = self.started_at.elapsed().unwrap_or_default();
        self.started.elapsed().max(by_wall_clock)
    }

    /// Whether the server has not answered anything since a call was cancelled.
    pub(crate) fn is_silent(&self) -> bool {
        self.check.is_some()
    }

    /// How many lines the server has written on stdout.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// What is known of the server's tools. A change that the server has written of is taken in first.
    pub(crate) fn schemas(&mut self, log: &Log) -> Option<Rc<Schemas>> {
        self.turn(log, None, Some(Instant::now()));
        self.schemas.clone()
    }

    /// Keeps what the server said of its tools.
    pub(crate) fn keep_schemas(&mut self, schemas: Rc<Schemas>) {
        self.schemas = Some(schemas);
    }

    /// How often the server has said that its tools have changed.
    pub(crate) fn tool_list_changes(&self) -> u64 {
        self.tool_list_changes
    }

    /// The end of the server's stderr.
    pub(crate) fn stderr_tail(&self) -> String {
        self.child.stderr_tail()
    }

    /// Ends the server in an orderly way, and logs what it still said.
    pub(crate) fn shut_down(mut self, log: &Log) {
        self.child.shut_down(END_GRACE);
        self.read(log);
    }

    /// Gives a call up: tells the server, and asks it something that it can answer at once if it is not stuck.
    pub(crate) fn cancel(&mut self, id: u64, reason: &str) {
        self.waiting = None;
        let params = format!(r#"{{"requestId":{id},"reason":{}}}"#, json::quote(reason));
        self.child
            .send(notification_line("notifications/cancelled", Some(&params)));
        let check = self.fresh_id();
        self.check = Some(check);
        match self.server.as_ref().map(|server| server.era) {
            Some(Era::Modern) => self.child.send(request_line(
                check,
                "server/discover",
                Some(&outgoing::discover_params()),
            )),
            Some(Era::Legacy) | None => self.child.send(request_line(check, "ping", None)),
        }
    }

    /// Waits once, see [`Child::wait`], and deals with all that came. Returns whether `other` can be read.
    pub(crate) fn turn(&mut self, log: &Log, other: Option<RawFd>, until: Option<Instant>) -> bool {
        let until = match (until, self.probe_ends) {
            (Some(until), Some(probe_ends)) => Some(until.min(probe_ends)),
            (until, probe_ends) => until.or(probe_ends),
        };
        let readable = self.child.wait(other, until);
        self.read(log);
        if self.probe_ends.is_some_and(|ends| Instant::now() >= ends) {
            self.send_initialize();
        }
        readable
    }

    /// How the process ended, if it has, after dealing with its last output.
    pub(crate) fn ended(&mut self, log: &Log) -> Option<Ended> {
        let mut ended = self.child.ended();
        if ended.is_none() && self.child.stdout_closed() {
            self.read(log);
            // Usually it is about to exit; if not, it can never answer again.
            if !self.child.wait_for_end(END_GRACE) {
                self.child.kill();
                ended = Some(Ended::ClosedStdout);
            } else {
                ended = self.child.ended();
            }
        }
        if ended.is_some() {
            self.read(log);
        }
        ended
    }

    /// Deals with all lines that have been read.
    fn read(&mut self, log: &Log) {
        while let Some(line) = self.child.next_log_line() {
            log.line(Origin::ServerStderr, &line);
        }
        while let Some(line) = self.child.next_line() {
            self.lines += 1;
            match line {
                Line::TooLong => {
                    log.warn(&format!("the MCP server wrote a line of more than {MAX_LINE} bytes on stdout; it was dropped"));
                    self.dropped_line = true;
                }
                Line::Text(line) => self.take(log, line),
            }
        }
    }

    fn take(&mut self, log: &Log, mut line: Vec<u8>) {
        if std::str::from_utf8(&line).is_err() && Message::parse(&line).is_none() {
            // A message with a few broken characters is better than none.
            line = String::from_utf8_lossy(&line).into_owned().into_bytes();
        }
        let Some(message) = Message::parse(&line) else {
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                log.line(Origin::ServerStdout, &shorten(&text, STRAY_LINE));
            }
            return;
        };
        if let Some(method) = &message.method {
            if method == "notifications/tools/list_changed" {
                self.schemas = None;
                self.tool_list_changes += 1;
            }
            if let Some(id) = message.id {
                let (key, value) = answer_to_server(method);
                let line = response_line(id, key, &value);
                self.child.send(line);
            } else if self.watched && self.waiting.is_some() {
                self.notices.push_back(line);
            }
            // Other notifications have nowhere to go: the answer to a buffered event is one value.
            return;
        }
        let Some(id) = message.own_id() else { return };
        if self.waiting == Some(id) {
            let range = |part: &str| {
                let start = part.as_ptr() as usize - line.as_ptr() as usize;
                start..start + part.len()
            };
            let part = match (message.result, message.error) {
                (Some(result), _) => Part::Result(range(result)),
                (None, Some(error)) => Part::Error(range(error)),
                (None, None) => Part::Neither,
            };
            self.waiting = None;
            self.reply = Some(Reply { line, part });
        } else if self.check == Some(id) {
            self.check = None;
        } else if self.probes.contains(&id) {
            self.take_discovery(log, message.result, message.error);
        } else if self.initialize == Some(id) {
            self.take_initialize(log, message.result, message.error);
        }
        // Else a reply that nobody waits for any more, or a second one.
    }

    fn take_discovery(&mut self, log: &Log, result: Option<&str>, error: Option<&str>) {
        if self.server.is_some() {
            return;
        }
        if let Some(server) = result.and_then(era::read_discovery) {
            return self.ready(log, server);
        }
        let error = error.and_then(ErrorObject::parse);
        let wants_modern = error.is_some_and(|error| {
            error.code == code::UNSUPPORTED_PROTOCOL_VERSION && era::error_lists_modern(&error)
        });
        if wants_modern && self.probes.len() == 1 {
            self.send_probe();
        } else if self.initialize.is_none() {
            self.send_initialize();
        } else if self.initialize_failed {
            self.refused = Some("it accepts neither `initialize` nor `server/discover`".to_owned());
        }
    }

    fn take_initialize(&mut self, log: &Log, result: Option<&str>, error: Option<&str>) {
        if self.server.is_some() {
            return;
        }
        match (
            result.map(era::read_initialize),
            error.and_then(ErrorObject::parse),
        ) {
            (Some(Ok(server)), _) => {
                self.child
                    .send(notification_line("notifications/initialized", None));
                self.ready(log, server);
            }
            (Some(Err(reason)), _) => self.refused = Some(reason),
            // It was only slow to answer the probe, and the probe has made it a modern one.
            (None, Some(error))
                if error.code == code::UNSUPPORTED_PROTOCOL_VERSION && self.probes.len() == 1 =>
            {
                self.initialize_failed = true;
                self.send_probe();
            }
            (None, Some(error)) => self.refused = Some(server_error_sentence(&error)),
            (None, None) => {
                self.refused =
                    Some("its answer to initialize has neither a result nor an error".to_owned())
            }
        }
    }

    fn ready(&mut self, log: &Log, server: Server) {
        let millis = self.started.elapsed().as_millis();
        let pid = self.child.pid();
        let (name, version, protocol) = (server.name(), server.version(), &server.protocol_version);
        let era = match server.era {
            Era::Legacy => "handshake",
            Era::Modern => "stateless",
        };
        log.fact(
            &format!("MCP server {name} {version} ready after {millis} ms (protocol {protocol}, {era} era, pid {pid})"),
            &format!(
                r#","serverName":{},"serverVersion":{},"protocolVersion":{},"era":"{era}","startMs":{millis},"pid":{pid}"#,
                json::quote(name),
                json::quote(version),
                json::quote(protocol)
            ),
        );
        self.probe_ends = None;
        self.server = Some(Rc::new(server));
    }
}

/// What a server is told that asks its client something. On Lambda there is no one to ask: the caller's answer would reach another execution environment.
/// Refusing at once keeps the tool from waiting for ever. Codes and texts are those that servers get from MCP's Python client without such capabilities.
fn answer_to_server(method: &str) -> (&'static str, String) {
    let refuse = |what: &str| {
        (
            "error",
            error_text(-32600, &format!("{what} not supported"), None),
        )
    };
    match method {
        "ping" => ("result", "{}".to_owned()),
        "sampling/createMessage" => refuse("Sampling"),
        "elicitation/create" => refuse("Elicitation"),
        "roots/list" => refuse("List roots"),
        _ => (
            "error",
            error_text(
                code::INVALID_PARAMS,
                "Invalid request parameters",
                Some(r#""""#),
            ),
        ),
    }
}
