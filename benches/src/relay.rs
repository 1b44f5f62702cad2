//! The least that can stand between the Runtime API and a server: a runtime that passes an event's body on as a line, and a line back as the answer.
//!
//! Enters: `AWS_LAMBDA_RUNTIME_API`, the server's command line, the lines that open the conversation. Leaves: answers, each the server's next line.
//! Nothing is read as JSON, nothing is waited for with a timeout, nothing but the server's first line is checked: what a call through this takes longer than the
//! server alone is the price of two HTTP exchanges and two processes, and no bridge can be below it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::fd;
use crate::http;
use crate::process::Result;

/// The first argument that makes this program the relay.
pub(crate) const ARGUMENT: &str = "relay";
/// The variable that holds the lines to open with: the first is answered, the others are not.
pub(crate) const OPENING: &str = "BENCH_OPENING";

const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Serves until the Runtime API closes the connection.
pub(crate) fn run(argv: &[String]) -> Result<()> {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(|error| error.to_string())?;
    let opening = std::env::var(OPENING).map_err(|error| error.to_string())?;
    let mut server = Lines::start(argv)?;
    let mut opening = opening.lines();
    server.write(opening.next().unwrap_or_default().as_bytes())?;
    server.next()?;
    for line in opening {
        server.write(line.as_bytes())?;
    }
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let mut api = Api {
        stream,
        input: Vec::new(),
    };
    loop {
        api.write(&[NEXT])?;
        let Some((head, body)) = api.message()? else {
            return Ok(());
        };
        let id =
            http::header(&head, "lambda-runtime-aws-request-id").ok_or("an event without an id")?;
        server.write(&body)?;
        let answer = server.next()?;
        let head = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        api.write(&[head.as_bytes(), &answer])?;
        if api.message()?.is_none() {
            return Ok(());
        }
    }
}

struct Lines {
    stdin: ChildStdin,
    stdout: ChildStdout,
    input: Vec<u8>,
    _process: Child,
}

impl Lines {
    fn start(argv: &[String]) -> Result<Self> {
        let (program, arguments) = argv.split_first().ok_or("no command line")?;
        let mut process = Command::new(program)
            .args(arguments)
            .env_remove(OPENING)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(format!("{program} has no pipes"));
        };
        Ok(Self {
            stdin,
            stdout,
            input: Vec::new(),
            _process: process,
        })
    }

    fn write(&mut self, line: &[u8]) -> Result<()> {
        let line = [line, b"\n"].concat();
        self.stdin
            .write_all(&line)
            .map_err(|error| error.to_string())
    }

    /// The next line that is an answer. What servers say unasked names a method.
    fn next(&mut self) -> Result<Vec<u8>> {
        const METHOD: &[u8] = b"\"method\":";
        loop {
            if let Some(end) = fd::find(&self.input, b'\n') {
                let rest = self.input.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                line.pop();
                if line.windows(METHOD.len()).any(|part| part == METHOD) {
                    continue;
                }
                return Ok(line);
            }
            let count = fd::read_some(self.stdout.as_raw_fd(), &mut self.input)
                .map_err(|error| error.to_string())?;
            if count == 0 {
                return Err("the server has closed its stdout".to_owned());
            }
        }
    }
}

struct Api {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Api {
    fn write(&mut self, parts: &[&[u8]]) -> Result<()> {
        http::write(&mut self.stream, parts).map_err(|error| error.to_string())
    }

    /// Head and body of the next response; `None` when there are no more.
    fn message(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        loop {
            let end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
                let length: usize = http::header(&head, "content-length")
                    .and_then(|length| length.parse().ok())
                    .ok_or("a response without its length")?;
                let body_from = end + 4;
                let missing = (body_from + length).saturating_sub(self.input.len());
                let mut rest = vec![0; missing];
                self.stream
                    .read_exact(&mut rest)
                    .map_err(|error| error.to_string())?;
                self.input.extend(rest);
                let body = self.input[body_from..].to_vec();
                self.input.clear();
                return Ok(Some((head, body)));
            }
            match fd::read_some(self.stream.as_raw_fd(), &mut self.input) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
