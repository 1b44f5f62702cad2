//! Lambda's Runtime API on loopback, served by the very thread that holds the clock.
//!
//! Enters: events. Leaves: what the runtime posts for each, and when. Refuses, with what the runtime said: function errors, failed inits, requests that the API
//! does not have. Source: AWS Lambda Developer Guide, "Using the Lambda runtime API".
//!
//! No other thread takes part: handing an event from one thread to another would cost as much as what is measured.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fd::{self, PATIENCE};
use crate::http;
use crate::process::Result;
use crate::server::Event;

const PREFIX: &str = "/2018-06-01/runtime";

/// The Runtime API of one execution environment.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<Connection>,
    /// The connection on which the runtime waits for the next event.
    waiting: Option<usize>,
    last_id: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// The request whose head has been read: its head's end and its length in all.
    begun: Option<(usize, usize)>,
}

/// How one event was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) body: Vec<u8>,
    /// When the answer's last byte had been read.
    pub(crate) at: Instant,
    /// From before the event's first byte is written until `at`.
    pub(crate) answer: Duration,
    /// From before the event's first byte is written until the runtime, told that its answer has arrived, has asked for the next event: two whole exchanges.
    pub(crate) cycle: Duration,
}

enum Request {
    Next,
    /// The message is kept whole, so that no megabyte is moved while the clock runs.
    Response {
        id: String,
        at: Instant,
        message: Vec<u8>,
        body_from: usize,
    },
    Failure {
        path: String,
        body: String,
    },
}

impl RuntimeApi {
    /// Listens on a free port.
    pub(crate) fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .map_err(|error| format!("no port on loopback: {error}"))?;
        Ok(Self {
            listener,
            connections: Vec::new(),
            waiting: None,
            last_id: 0,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .map_err(|error| error.to_string())
    }

    /// Waits until the runtime asks for its first event.
    pub(crate) fn wait_for_runtime(&mut self) -> Result<()> {
        while self.waiting.is_none() {
            match self.receive()? {
                Request::Next => {}
                other => return Err(other.complaint()),
            }
        }
        Ok(())
    }

    /// Hands out one event and waits for its answer, then for the runtime to ask for the next.
    pub(crate) fn invoke(&mut self, event: &Event) -> Result<Answered> {
        self.wait_for_runtime()?;
        self.last_id += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.last_id);
        let deadline = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            + PATIENCE;
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:measured\r\n\
             Lambda-Runtime-Trace-Id: Root=1-65f0c0de-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0\r\nContent-Length: {}\r\n",
            deadline.as_millis(),
            event.body.len()
        );
        if let Some(context) = &event.client_context {
            head.push_str("Lambda-Runtime-Client-Context: ");
            head.push_str(context);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let waiting = self
            .waiting
            .take()
            .ok_or("the runtime does not wait for an event")?;
        let start = Instant::now();
        self.write(waiting, &[head.as_bytes(), &event.body])?;
        let (at, mut message, body_from) = match self.receive()? {
            Request::Response {
                id: answered,
                at,
                message,
                body_from,
            } if answered == id => (at, message, body_from),
            other => return Err(other.complaint()),
        };
        self.wait_for_runtime()?;
        let cycle = start.elapsed();
        message.drain(..body_from);
        Ok(Answered {
            body: message,
            at,
            answer: at - start,
            cycle,
        })
    }

    /// The next request, already acknowledged unless it asks for an event.
    fn receive(&mut self) -> Result<Request> {
        loop {
            for index in 0..self.connections.len() {
                if let Some(request) = self.take_request(index)? {
                    return Ok(request);
                }
            }
            self.read()?;
        }
    }

    /// Sleeps until there is something to read, and reads it.
    fn read(&mut self) -> Result<()> {
        let mut fds = vec![self.listener.as_raw_fd()];
        fds.extend(
            self.connections
                .iter()
                .map(|connection| connection.stream.as_raw_fd()),
        );
        let ready = fd::wait_readable(&fds, Instant::now() + PATIENCE)
            .map_err(|error| format!("the runtime: {error}"))?;
        let mut closed = Vec::new();
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if !ready[index + 1] {
                continue;
            }
            match fd::read_some(fds[index + 1], &mut connection.input) {
                Ok(0) => closed.push(index),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => closed.push(index),
                Err(error) => return Err(format!("the runtime: {error}")),
            }
        }
        if ready[0] {
            let (stream, _) = self.listener.accept().map_err(|error| error.to_string())?;
            stream
                .set_nodelay(true)
                .map_err(|error| error.to_string())?;
            self.connections.push(Connection {
                stream,
                input: Vec::new(),
                begun: None,
            });
        }
        for index in closed.into_iter().rev() {
            if self.waiting == Some(index) {
                return Err(
                    "the runtime has closed the connection on which it waited for an event"
                        .to_owned(),
                );
            }
            self.connections.remove(index);
            self.waiting = self
                .waiting
                .map(|waiting| waiting - usize::from(waiting > index));
        }
        Ok(())
    }

    fn take_request(&mut self, index: usize) -> Result<Option<Request>> {
        let connection = &mut self.connections[index];
        let (body_from, length) = match connection.begun {
            Some(begun) => begun,
            None => {
                let Some(head_end) = connection
                    .input
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n")
                else {
                    return Ok(None);
                };
                let head = String::from_utf8_lossy(&connection.input[..head_end]);
                let length: usize = match http::header(&head, "content-length") {
                    Some(length) => length
                        .parse()
                        .map_err(|_| format!("an unreadable Content-Length: {length}"))?,
                    None => 0,
                };
                let expects = http::header(&head, "expect").is_some();
                let begun = (head_end + 4, head_end + 4 + length);
                connection.begun = Some(begun);
                if expects {
                    self.write(index, &[b"HTTP/1.1 100 Continue\r\n\r\n"])?;
                }
                begun
            }
        };
        let connection = &mut self.connections[index];
        if connection.input.len() < length {
            return Ok(None);
        }
        connection.begun = None;
        let rest = connection.input.split_off(length);
        let message = std::mem::replace(&mut connection.input, rest);
        let at = Instant::now();
        let head = String::from_utf8_lossy(&message[..body_from]);
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = path
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("the runtime asks for {path}"))?;
        if (method, path) == ("GET", "/invocation/next") {
            self.waiting = Some(index);
            return Ok(Some(Request::Next));
        }
        let response = path
            .strip_prefix("/invocation/")
            .and_then(|rest| rest.strip_suffix("/response"));
        let request = match response {
            Some(id) => Request::Response {
                id: id.to_owned(),
                at,
                body_from,
                message,
            },
            None => Request::Failure {
                path: path.to_owned(),
                body: String::from_utf8_lossy(&message[body_from..]).into_owned(),
            },
        };
        self.write(
            index,
            &[b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n"],
        )?;
        Ok(Some(request))
    }

    fn write(&mut self, index: usize, parts: &[&[u8]]) -> Result<()> {
        http::write(&mut self.connections[index].stream, parts)
            .map_err(|error| format!("the runtime: {error}"))
    }
}

impl Request {
    /// What is wrong with it where it comes.
    fn complaint(&self) -> String {
        match self {
            Self::Next => "the runtime asks for an event out of turn".to_owned(),
            Self::Response { id, .. } => format!("the runtime answers {id}, which was not asked"),
            Self::Failure { path, body } => format!("the runtime failed ({path}): {body}"),
        }
    }
}
