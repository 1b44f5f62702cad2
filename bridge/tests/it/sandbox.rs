//! One execution environment: a Runtime API on loopback, speaking HTTP as AWS documents it, and the bridge's binary as its runtime.
//!
//! Enters: a server's command line and events. Leaves: what the bridge posted for each, and its log. The Runtime API is the outside of the bridge, so it is
//! faked here; everything else is real.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What every wait in these tests is bounded by: far above what a slow machine needs, so that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the bridge posted for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Posted {
    Response(String),
    /// An answer in pieces: its head, and what followed.
    Streamed {
        head: String,
        body: String,
    },
    /// The body of a function error, and the type in the header.
    Error {
        error_type: String,
        body: String,
    },
    InitError {
        error_type: String,
        body: String,
    },
}

impl Posted {
    /// The text of a response; any error fails the test.
    #[track_caller]
    pub(crate) fn response(self) -> String {
        match self {
            Posted::Response(text) => text,
            other => panic!("expected a response, got {other:?}"),
        }
    }

    /// Status, content type and body of an answer to HTTP, in either of the forms that Lambda takes; anything else fails the test.
    #[track_caller]
    pub(crate) fn http(self) -> (u64, String, String) {
        let (head, body) = match self {
            Posted::Response(text) => {
                let answer: serde_json::Value =
                    serde_json::from_str(&text).expect("an answer is JSON");
                let body = answer["body"].as_str().expect("a body").to_owned();
                (answer, body)
            }
            Posted::Streamed { head, body } => {
                (serde_json::from_str(&head).expect("a head is JSON"), body)
            }
            other => panic!("expected an answer, got {other:?}"),
        };
        let content_type = head["headers"]["Content-Type"].as_str().unwrap_or_default();
        (
            head["statusCode"].as_u64().expect("a status"),
            content_type.to_owned(),
            body,
        )
    }

    /// `errorType: errorMessage` of a function error; any response fails the test.
    #[track_caller]
    pub(crate) fn function_error(self) -> String {
        match self {
            Posted::Error { error_type, body } => {
                let body: serde_json::Value =
                    serde_json::from_str(&body).expect("an error's body is JSON");
                assert_eq!(
                    body["errorType"],
                    error_type.as_str(),
                    "header and body must agree"
                );
                format!(
                    "{error_type}: {}",
                    body["errorMessage"].as_str().expect("a message")
                )
            }
            other => panic!("expected a function error, got {other:?}"),
        }
    }
}

/// How the Runtime API behaves, within what HTTP allows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Http {
    /// Events are sent in chunks, as AWS's emulator does with larger ones.
    pub(crate) chunked: bool,
    /// The connection is closed after every exchange without notice, as an idle one may be.
    pub(crate) closing: bool,
    /// The connection of a streamed answer is closed after its second piece, as when the caller has gone.
    pub(crate) hanging_up: bool,
}

struct Event {
    request_id: String,
    deadline_millis: u128,
    trace_id: String,
    client_context: Option<String>,
    body: Vec<u8>,
}

/// A request as it came over the wire.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Default)]
struct LogLines {
    lines: Mutex<Vec<String>>,
    news: Condvar,
}

/// An execution environment under construction.
pub(crate) struct Builder {
    variables: BTreeMap<String, String>,
    http: Http,
}

/// A running one. Dropping it kills the bridge.
pub(crate) struct Sandbox {
    pub(crate) bridge: Child,
    events: Sender<Event>,
    posted: Receiver<(String, Posted)>,
    pieces: Receiver<String>,
    log: Arc<LogLines>,
    next_request: u32,
    /// The tracing header of the events to come. This one names no trace.
    pub(crate) trace_id: String,
}

/// Where a Runtime API leaves what the bridge sends.
#[derive(Clone)]
struct Outbox {
    answers: Sender<(String, Posted)>,
    /// Pieces of streamed answers, as they come.
    pieces: Sender<String>,
}

/// The bridge that is tested: the one that was built with the tests, or one for another processor, whose path `MCPLAMBDA_TEST_BRIDGE` says and which the
/// program in `MCPLAMBDA_TEST_RUNNER` runs here.
pub(crate) fn bridge_command() -> Command {
    let bridge = std::env::var_os("MCPLAMBDA_TEST_BRIDGE")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_bridge").into());
    match std::env::var_os("MCPLAMBDA_TEST_RUNNER") {
        None => Command::new(bridge),
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(bridge);
            command
        }
    }
}

/// A fixture's path.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The command line of the misbehaving server.
pub(crate) fn misbehaving(flags: &[&str]) -> Vec<String> {
    python("misbehaving_server.py", flags)
}

/// The command line of the server that speaks 2026-07-28 only.
pub(crate) fn modern(flags: &[&str]) -> Vec<String> {
    python("modern_server.py", flags)
}

/// A command line that runs `script` under the interpreter itself: `python3` on PATH may be a launcher with variables of its own.
fn python(script: &str, flags: &[&str]) -> Vec<String> {
    let mut argv = vec![interpreter(), fixture(script).display().to_string()];
    argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
    argv
}

fn interpreter() -> String {
    static INTERPRETER: OnceLock<String> = OnceLock::new();
    let find = || {
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("python3 is on PATH");
        String::from_utf8(output.stdout)
            .expect("a path")
            .trim()
            .to_owned()
    };
    INTERPRETER.get_or_init(find).clone()
}

impl Builder {
    /// An environment whose function runs `argv`.
    pub(crate) fn new(argv: &[String]) -> Self {
        let server = serde_json::json!({ "argv": argv });
        Self::bare().variable("MCPLAMBDA_SERVER", &server.to_string())
    }

    /// An environment whose function says nothing of a server.
    pub(crate) fn bare() -> Self {
        let path = std::env::var("PATH").expect("PATH is set");
        let variables = [
            ("PATH".to_owned(), path),
            (
                "LAMBDA_TASK_ROOT".to_owned(),
                env!("CARGO_MANIFEST_DIR").to_owned(),
            ),
        ]
        .into();
        Self {
            variables,
            http: Http::default(),
        }
    }

    /// Sets one key of the server's description.
    pub(crate) fn server_key(mut self, key: &str, value: serde_json::Value) -> Self {
        let text = &self.variables["MCPLAMBDA_SERVER"];
        let mut server: serde_json::Value = serde_json::from_str(text).expect("JSON of our own");
        server[key] = value;
        self.variables
            .insert("MCPLAMBDA_SERVER".to_owned(), server.to_string());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn http(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    pub(crate) fn start(self) -> Sandbox {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (events, pending) = channel();
        let (answers, posted) = channel();
        let (piece, pieces) = channel();
        let outbox = Outbox {
            answers,
            pieces: piece,
        };
        let http = self.http;
        thread::spawn(move || {
            runtime_api(&listener, http, &Arc::new(Mutex::new(pending)), &outbox)
        });

        // The arguments are those that Lambda starts an exec wrapper with; the bridge has to ignore them.
        let mut bridge = bridge_command()
            .args(["/var/lang/bin/python3.13", "/var/runtime/bootstrap.py"])
            .env_clear()
            .envs(&self.variables)
            .env("AWS_LAMBDA_RUNTIME_API", &address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the bridge starts");
        let log = Arc::new(LogLines::default());
        let (stderr, lines) = (bridge.stderr.take().expect("piped"), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                lines
                    .lines
                    .lock()
                    .expect("not poisoned")
                    .push(String::from_utf8_lossy(&line).into_owned());
                lines.news.notify_all();
            }
        });
        Sandbox {
            bridge,
            events,
            posted,
            pieces,
            log,
            next_request: 0,
            trace_id: "Root=1-2-3".to_owned(),
        }
    }
}

impl Sandbox {
    /// An environment whose function runs `argv`, everything else at its default.
    pub(crate) fn start(argv: &[String]) -> Self {
        Builder::new(argv).start()
    }

    /// Sends an event with a minute to live and waits for what is posted.
    #[track_caller]
    pub(crate) fn send(&mut self, body: &str, client_context: Option<&str>) -> Posted {
        self.send_within(body.as_bytes(), client_context, 60_000)
    }

    /// Sends an event that Lambda would end after `millis`, and waits for what is posted.
    #[track_caller]
    pub(crate) fn send_within(
        &mut self,
        body: &[u8],
        client_context: Option<&str>,
        millis: u128,
    ) -> Posted {
        let request_id = self.queue(body, client_context, millis);
        let (id, posted) = self.next_posted();
        assert_eq!(
            id, request_id,
            "the answer must be for the event that was sent"
        );
        posted
    }

    /// Puts an event where the bridge will find it, without waiting.
    pub(crate) fn queue(
        &mut self,
        body: &[u8],
        client_context: Option<&str>,
        millis: u128,
    ) -> String {
        self.next_request += 1;
        let request_id = format!("request-{}", self.next_request);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        let event = Event {
            request_id: request_id.clone(),
            deadline_millis: now + millis,
            trace_id: self.trace_id.clone(),
            client_context: client_context.map(str::to_owned),
            body: body.to_vec(),
        };
        self.events.send(event).expect("the Runtime API runs");
        request_id
    }

    /// What the bridge posts next, and for which request.
    #[track_caller]
    pub(crate) fn next_posted(&mut self) -> (String, Posted) {
        self.posted
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no answer; the log: {:#?}", self.log()))
    }

    /// The next piece of a streamed answer, while it is being sent.
    #[track_caller]
    pub(crate) fn next_piece(&mut self) -> String {
        self.pieces
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("nothing was streamed; the log: {:#?}", self.log()))
    }

    /// Calls `tool` as AgentCore Gateway does.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: &str) -> Posted {
        self.send(arguments, Some(&client_context(tool)))
    }

    /// The text of the first content block of a call that must succeed.
    #[track_caller]
    pub(crate) fn call_text(&mut self, tool: &str, arguments: &str) -> String {
        let response = self.call(tool, arguments).response();
        let result: serde_json::Value = serde_json::from_str(&response).expect("a result is JSON");
        assert_ne!(result["isError"], true, "{response}");
        result["content"][0]["text"]
            .as_str()
            .expect("a text block")
            .to_owned()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines.lock().expect("not poisoned").clone()
    }

    /// Waits until the log holds a line that contains `part`, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("not poisoned");
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no log line holds {part:?}: {lines:#?}");
            lines = self
                .log
                .news
                .wait_timeout(lines, left)
                .expect("not poisoned")
                .0;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself, as it does when it cannot start.
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
    }
}

/// The client context with which AgentCore Gateway calls `tool`.
pub(crate) fn client_context(tool: &str) -> String {
    serde_json::json!({"custom": {"bedrockAgentCoreToolName": format!("t___{tool}")}}).to_string()
}

/// Whether a process with this id exists and is no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Waits until no process with this id is alive.
#[track_caller]
pub(crate) fn wait_until_gone(pid: &str) {
    let until = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < until, "process {pid} is still alive");
        thread::yield_now();
    }
}

/// Serves connections until the test ends. One bridge has one connection at a time, but may come back with a new one.
fn runtime_api(
    listener: &TcpListener,
    http: Http,
    pending: &Arc<Mutex<Receiver<Event>>>,
    outbox: &Outbox,
) {
    for stream in listener.incoming().map_while(Result::ok) {
        let (pending, outbox) = (Arc::clone(pending), outbox.clone());
        // Head and body are two writes: without this the second one waits 40 ms for the first one's acknowledgement.
        stream.set_nodelay(true).expect("a socket option");
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            while let Some(request) = read_request(&mut reader, http, &outbox.pieces) {
                if serve(&request, reader.get_mut(), http, &pending, &outbox.answers).is_none()
                    || http.closing
                {
                    return;
                }
            }
        });
    }
}

/// Answers one request; `None` when the connection or the test is gone.
fn serve(
    request: &Request,
    stream: &mut TcpStream,
    http: Http,
    pending: &Mutex<Receiver<Event>>,
    answers: &Sender<(String, Posted)>,
) -> Option<()> {
    let path = request
        .path
        .strip_prefix("/2018-06-01/runtime")
        .unwrap_or_else(|| panic!("unknown path {}", request.path));
    if request.method == "GET" && path == "/invocation/next" {
        let event = pending.lock().ok()?.recv().ok()?;
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\nLambda-Runtime-Trace-Id: {}\r\n",
            event.request_id, event.deadline_millis, event.trace_id
        );
        if let Some(context) = &event.client_context {
            head.push_str(&format!("Lambda-Runtime-Client-Context: {context}\r\n"));
        }
        if http.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).ok()?;
            for chunk in event.body.chunks(7) {
                stream
                    .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .ok()?;
                stream.write_all(chunk).ok()?;
                stream.write_all(b"\r\n").ok()?;
            }
            return stream.write_all(b"0\r\n\r\n").ok();
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", event.body.len()));
        stream.write_all(head.as_bytes()).ok()?;
        return stream.write_all(&event.body).ok();
    }
    assert_eq!(
        request.method, "POST",
        "unknown request {} {path}",
        request.method
    );
    let body = String::from_utf8(request.body.clone()).expect("what is posted is UTF-8");
    let error_type = request
        .headers
        .iter()
        .find(|(name, _)| name == "lambda-runtime-function-error-type")
        .map(|(_, value)| value.clone());
    let error_type = || {
        error_type
            .clone()
            .expect("errors name their type in a header")
    };
    let (request_id, posted) = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "invocation", id, "response"] => ((*id).to_owned(), response(request, body)),
        ["", "invocation", id, "error"] => (
            (*id).to_owned(),
            Posted::Error {
                error_type: error_type(),
                body,
            },
        ),
        ["", "init", "error"] => (
            String::new(),
            Posted::InitError {
                error_type: error_type(),
                body,
            },
        ),
        _ => panic!("unknown path {path}"),
    };
    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n").ok()?;
    answers.send((request_id, posted)).ok()
}

/// A response in the form that its headers say.
fn response(request: &Request, body: String) -> Posted {
    let header = |name: &str| {
        request
            .headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if header("lambda-runtime-function-response-mode") != Some("streaming") {
        return Posted::Response(body);
    }
    assert_eq!(
        header("content-type"),
        Some("application/vnd.awslambda.http-integration-response")
    );
    let (head, body) = body
        .split_once("\0\0\0\0\0\0\0\0")
        .expect("eight NUL bytes end the head");
    Posted::Streamed {
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Reads a body in chunks, and hands each on as it comes; `None` when the connection ends before it.
fn read_chunks(
    reader: &mut BufReader<TcpStream>,
    http: Http,
    pieces: &Sender<String>,
) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for count in 0.. {
        if http.hanging_up && count == 2 {
            return None;
        }
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        assert!(chunk.ends_with(b"\r\n"), "a chunk ends in a line break");
        chunk.truncate(size);
        if size == 0 {
            return Some(body);
        }
        pieces
            .send(String::from_utf8(chunk.clone()).expect("what is posted is UTF-8"))
            .ok()?;
        body.append(&mut chunk);
    }
    None
}

/// Reads one request; `None` at the end of the connection.
fn read_request(
    reader: &mut BufReader<TcpStream>,
    http: Http,
    pieces: &Sender<String>,
) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => break,
        }
    }
    let body = if headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked")
    {
        read_chunks(reader, http, pieces)?
    } else {
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse().expect("a length"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

/// A function URL's event: a request with `headers` over MCP's usual ones (a null value takes one away) and `body`.
pub(crate) fn url_event(method: &str, headers: serde_json::Value, body: &str) -> String {
    let mut all = serde_json::json!({"content-type": "application/json", "accept": "application/json, text/event-stream"});
    for (name, value) in headers.as_object().expect("headers") {
        match value.is_null() {
            true => drop(all.as_object_mut().expect("an object").remove(name)),
            false => all[name] = value.clone(),
        }
    }
    serde_json::json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/mcp",
        "headers": all,
        "requestContext": {"domainName": "abc.lambda-url.eu-west-1.on.aws", "http": {"method": method, "path": "/mcp"}},
        "body": body,
        "isBase64Encoded": false,
    })
    .to_string()
}
