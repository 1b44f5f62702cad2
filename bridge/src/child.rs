//! The MCP server's process: started in a group of its own, spoken to without ever blocking, and ended for certain.
//!
//! Enters: lines for its stdin. Leaves: whole lines of its stdout and stderr, and how it ended. Refuses to wait: every read and write is non-blocking, and
//! [`Child::wait`] is the one place where the bridge sleeps, on all of the process's pipes at once, so that neither side can stall the other.
//!
//! With the process goes everything that it started and left behind, in its group or out of it: see `orphans`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Ended;
use crate::lines::{Line, Lines};
use crate::orphans;

/// The longest line of stdout that is kept. Lambda carries no answer above 6 MB, so a longer line can only be told of.
pub(crate) const MAX_LINE: usize = 64 * 1024 * 1024;
/// A stderr line is logged in pieces of at most this size, below what CloudWatch takes as one event.
const MAX_LOG_LINE: usize = 64 * 1024;
/// How much of the end of stderr is kept for error texts.
const TAIL: usize = 4 * 1024;
/// Room in each pipe, so that a large message needs few turns.
const PIPE_SIZE: libc::c_int = 1024 * 1024;
/// How long an end that was not announced by a closed pipe can stay unseen.
const LIVENESS_STEP: Duration = Duration::from_millis(50);

/// A running (or just ended) server process.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    outbox: Vec<u8>,
    written: usize,
    out_lines: Lines,
    err_lines: Lines,
    tail: Vec<u8>,
    ended: Option<Ended>,
    /// See [`Child::took_all`].
    took_all: bool,
}

impl Child {
    /// Starts `argv` with exactly `environment`, in `directory` or else where the bridge is.
    ///
    /// The process leads a process group, so that whatever it starts can be ended with it, and the kernel kills it when the bridge dies.
    ///
    /// # Errors
    ///
    /// The operating system's error: program not found, not executable, no such directory.
    pub(crate) fn spawn(
        argv: &[String],
        environment: &BTreeMap<OsString, OsString>,
        directory: Option<&Path>,
    ) -> io::Result<Self> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if let Some(directory) = directory {
            // Else the error would read as if the program were missing.
            if !directory.is_dir() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!(
                        "its working directory {} does not exist",
                        directory.display()
                    ),
                ));
            }
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        // SAFETY: getpid cannot fail and touches no memory.
        let bridge = unsafe { libc::getpid() };
        // SAFETY: between fork and exec only prctl and getppid are called, both async-signal-safe, and no memory is allocated.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // The bridge may have died before the line above.
                if libc::getppid() != bridge {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let mut process = command.spawn()?;
        let (stdin, stdout, stderr) = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        );
        for fd in [
            stdin.as_ref().map(AsRawFd::as_raw_fd),
            stdout.as_ref().map(AsRawFd::as_raw_fd),
            stderr.as_ref().map(AsRawFd::as_raw_fd),
        ]
        .into_iter()
        .flatten()
        {
            // SAFETY: the descriptor is open and owned by this struct. A refused pipe size only costs speed.
            unsafe {
                let flags = libc::fcntl(fd, libc::F_GETFL);
                if libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) != 0 {
                    return Err(io::Error::last_os_error());
                }
                libc::fcntl(fd, libc::F_SETPIPE_SZ, PIPE_SIZE);
            }
        }
        Ok(Self {
            process,
            stdin,
            stdout,
            stderr,
            outbox: Vec::new(),
            written: 0,
            out_lines: Lines::new(MAX_LINE),
            err_lines: Lines::new(MAX_LOG_LINE),
            tail: Vec::new(),
            ended: None,
            took_all: false,
        })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Queues a line, which must end in a line break, and writes as much as the pipe takes at once.
    pub(crate) fn send(&mut self, line: Vec<u8>) {
        if self.outbox.is_empty() {
            self.outbox = line;
        } else {
            self.outbox.extend_from_slice(&line);
        }
        self.write();
    }

    /// The next whole line of stdout that has been read.
    pub(crate) fn next_line(&mut self) -> Option<Line> {
        self.out_lines.next()
    }

    /// The next line of stderr that has been read, lossily decoded; long ones in pieces.
    pub(crate) fn next_log_line(&mut self) -> Option<String> {
        let line = match self.err_lines.next_piece(self.stderr.is_none())? {
            Line::Text(line) => line,
            Line::TooLong => return self.next_log_line(),
        };
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// The end of stderr, at most 4 KB, in whole characters.
    pub(crate) fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.tail)
            .trim_matches(|c: char| c == char::REPLACEMENT_CHARACTER || c.is_whitespace())
            .to_owned()
    }

    /// Sleeps until a pipe of the process or `other` has news, the process has ended, or `until` has come; then moves all bytes that can be moved.
    /// Returns whether `other` can be read. Without a child it only watches `other`: see [`wait_readable`].
    pub(crate) fn wait(&mut self, other: Option<RawFd>, until: Option<Instant>) -> bool {
        // While someone waits for an answer, an end that closes no pipe (a grandchild holds it open) must be seen too.
        let step = if other.is_none() {
            Some(Instant::now() + LIVENESS_STEP)
        } else {
            None
        };
        let until = match (until, step) {
            (Some(until), Some(step)) => Some(until.min(step)),
            (until, step) => until.or(step),
        };
        let want_write = self.stdin.as_ref().filter(|_| !self.outbox.is_empty());
        let mut fds = [
            poll_fd(other, libc::POLLIN),
            poll_fd(self.stdout.as_ref().map(AsRawFd::as_raw_fd), libc::POLLIN),
            poll_fd(self.stderr.as_ref().map(AsRawFd::as_raw_fd), libc::POLLIN),
            poll_fd(want_write.map(AsRawFd::as_raw_fd), libc::POLLOUT),
        ];
        poll(&mut fds, until);
        if fds[3].revents != 0 {
            self.write();
        }
        if fds[1].revents != 0 {
            self.read_stdout();
        }
        if fds[2].revents != 0 {
            self.read_stderr();
        }
        fds[0].revents != 0
    }

    /// How the process ended, if it has. What it left in its group is killed, so that nothing outlives it, and its last output is read.
    pub(crate) fn ended(&mut self) -> Option<Ended> {
        if self.ended.is_none() && self.has_exited() {
            self.reap();
        }
        self.ended
    }

    /// Whether a process that has ended had read all that was sent to it.
    pub(crate) fn took_all(&self) -> bool {
        self.took_all
    }

    /// Whether stdout is closed: no answer can come any more.
    pub(crate) fn stdout_closed(&self) -> bool {
        self.stdout.is_none()
    }

    /// Kills the process and its group at once.
    pub(crate) fn kill(&mut self) {
        if self.ended.is_none() {
            self.signal_group(libc::SIGKILL);
            self.reap();
        }
    }

    /// Ends the process as MCP asks for: close its stdin, wait `grace`, terminate its group, wait `grace`, kill. Its output is drained meanwhile.
    pub(crate) fn shut_down(&mut self, grace: Duration) {
        self.stdin = None;
        self.outbox.clear();
        for signal in [None, Some(libc::SIGTERM)] {
            if let Some(signal) = signal {
                self.signal_group(signal);
            }
            if self.wait_for_end(grace) {
                return;
            }
        }
        self.kill();
    }

    /// Waits up to `limit` for the process to end, draining its pipes. Returns whether it has.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.ended().is_none() {
            let now = Instant::now();
            if now >= until {
                return false;
            }
            // Ends are polled for: with both pipes closed nothing else announces them.
            self.wait(None, Some(until.min(now + Duration::from_millis(5))));
            while self.out_lines.next().is_some() {}
        }
        true
    }

    fn write(&mut self) {
        let Some(stdin) = &mut self.stdin else {
            self.outbox.clear();
            self.written = 0;
            return;
        };
        while self.written < self.outbox.len() {
            match stdin.write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody reads it any more; the end of the process, or its silence, tells the rest.
                Err(_) => {
                    self.stdin = None;
                    break;
                }
            }
        }
        self.outbox = Vec::new();
        self.written = 0;
    }

    fn read_stdout(&mut self) {
        if let Some(stdout) = &mut self.stdout
            && !self.out_lines.fill(stdout).0
        {
            self.stdout = None;
        }
    }

    fn read_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else {
            return;
        };
        let (open, new) = self.err_lines.fill(stderr);
        self.tail.extend_from_slice(new);
        if self.tail.len() > TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        if !open {
            self.stderr = None;
        }
    }

    /// Looks without reaping: the zombie keeps the process group's id from being given to anyone else until the group is killed.
    fn has_exited(&self) -> bool {
        orphans::reap_until(self.pid())
    }

    fn reap(&mut self) {
        self.signal_group(libc::SIGKILL);
        let ended = match self.process.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(status), _) => Ended::Exited { status },
                (None, Some(signal)) => Ended::Killed { signal },
                (None, None) => Ended::ClosedStdout,
            },
            Err(_) => Ended::ClosedStdout,
        };
        self.ended = Some(ended);
        orphans::kill_all();
        // What it wrote last is still in the pipes. A process that could not be killed may hold them open, so only what is there is read.
        self.read_stdout();
        self.read_stderr();
        self.took_all = self.outbox.is_empty()
            && self
                .stdin
                .as_ref()
                .is_some_and(|stdin| unread(stdin.as_raw_fd()) == Some(0));
        self.stdin = None;
    }

    fn signal_group(&self, signal: libc::c_int) {
        let Ok(group) = libc::pid_t::try_from(self.pid()) else {
            return;
        };
        // SAFETY: the group's leader has not been reaped (see `has_exited`), so the id is still this group's.
        unsafe {
            libc::kill(-group, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sleeps until `fd` can be read.
pub(crate) fn wait_readable(fd: RawFd) {
    poll(&mut [poll_fd(Some(fd), libc::POLLIN)], None);
}

/// How many bytes in a pipe nobody has read, asked at either end.
fn unread(fd: RawFd) -> Option<libc::c_int> {
    let mut count = 0;
    // SAFETY: the descriptor is open, and FIONREAD writes one int.
    let done = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    (done == 0).then_some(count)
}

fn poll_fd(fd: Option<RawFd>, events: libc::c_short) -> libc::pollfd {
    // poll(2) skips negative descriptors.
    libc::pollfd {
        fd: fd.unwrap_or(-1),
        events,
        revents: 0,
    }
}

fn poll(fds: &mut [libc::pollfd], until: Option<Instant>) {
    loop {
        let timeout = until.map_or(-1, |until| {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up: waking early would spin.
            libc::c_int::try_from(left.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: the slice is valid for its length, and all descriptors in it are open or negative.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        if ready >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
