//! The floor: a client that starts a server, keeps it, and does nothing else.
//!
//! Enters: a [`Server`]. Leaves: its replies and how long each took, from before the request's first byte is written until its last is read. Refuses to wait
//! longer than [`PATIENCE`].

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fd::{self, PATIENCE};
use crate::process::{Result, Running};
use crate::server::Server;

/// Room in each pipe, in bytes: as much as the bridge gives itself, or large replies would make this client the slower one.
const PIPE_SIZE: libc::c_int = 1024 * 1024;

/// A conversation with one server over its pipes.
#[derive(Debug)]
pub(crate) struct Client {
    // Before the process: closing stdin lets it end by itself.
    stdin: ChildStdin,
    stdout: ChildStdout,
    _process: Running,
    server: Server,
    last_id: u64,
    /// What has been read and not yet been looked at.
    input: Vec<u8>,
    /// From before the process was started until its answer to the opener had been read.
    pub(crate) started_in: Duration,
}

impl Client {
    /// Starts the server with `environment` and waits until it has answered the opener.
    pub(crate) fn start(
        server: &Server,
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let (program, arguments) = server.argv.split_first().ok_or("no command line")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let start = Instant::now();
        let mut process = Running::start(command, server.name, log)?;
        let (Some(stdin), Some(stdout)) = (process.child.stdin.take(), process.child.stdout.take())
        else {
            return Err(format!("{} has no pipes", server.name));
        };
        for fd in [stdin.as_raw_fd(), stdout.as_raw_fd()] {
            // SAFETY: the descriptor is open; a refused size only costs speed.
            unsafe {
                libc::fcntl(fd, libc::F_SETPIPE_SZ, PIPE_SIZE);
            }
        }
        let mut client = Self {
            stdin,
            stdout,
            _process: process,
            server: server.clone(),
            last_id: 0,
            input: Vec::new(),
            started_in: Duration::ZERO,
        };
        let (reply, _) = client.exchange(&client.server.opener())?;
        client.started_in = start.elapsed();
        if !reply["result"].is_object() {
            return Err(format!(
                "{} refused the opener: {reply}",
                client.server.name
            ));
        }
        for line in client.server.opening().iter().skip(1) {
            client
                .stdin
                .write_all(format!("{line}\n").as_bytes())
                .map_err(|error| format!("{}: {error}", client.server.name))?;
        }
        Ok(client)
    }

    /// Makes the server's call once and checks the reply, outside the time that is returned.
    pub(crate) fn call(&mut self) -> Result<Duration> {
        self.last_id += 1;
        let (reply, took) = self.exchange(&self.server.request(self.last_id))?;
        self.server.check_reply(&reply)?;
        Ok(took)
    }

    /// Sends a request and waits for its reply. What the server says unasked is skipped.
    fn exchange(&mut self, request: &Value) -> Result<(Value, Duration)> {
        let failed = |error: io::Error| format!("{}: {error}", self.server.name);
        let fd = self.stdout.as_raw_fd();
        let line = request.to_string() + "\n";
        let start = Instant::now();
        self.stdin.write_all(line.as_bytes()).map_err(failed)?;
        let mut searched = 0;
        loop {
            let Some(end) = fd::find(&self.input[searched..], b'\n') else {
                searched = self.input.len();
                fd::wait_readable(&[fd], start + PATIENCE).map_err(failed)?;
                if fd::read_some(fd, &mut self.input).map_err(failed)? == 0 {
                    return Err(format!("{} has closed its stdout", self.server.name));
                }
                continue;
            };
            let end = searched + end;
            // Before it is known whether this is the reply: finding that out is not the server's work.
            let took = start.elapsed();
            let message: Value = serde_json::from_slice(&self.input[..end]).map_err(|error| {
                format!("{} wrote a line that is no JSON: {error}", self.server.name)
            })?;
            self.input.drain(..=end);
            searched = 0;
            if message["id"] == request["id"] && message.get("method").is_none() {
                return Ok((message, took));
            }
        }
    }
}
