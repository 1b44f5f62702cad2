//! When the process ends.
//!
//! Enters: the host's wish, the host's death, signals. Leaves: one [`Ending`]. Refuses: to end on
//! Ctrl-C, which a terminal sends to Terraform and its plugins alike: Terraform then asks running
//! work to stop (StopProvider) and waits for what it has achieved so far, so that it can save it.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The host is done with us.
    ShutdownAsked,
    /// The host died without saying so.
    HostDied,
    /// A person, or the system, wants the process to end.
    Signal,
}

impl Ending {
    /// Whether running work must be told to stop. After a shutdown there is none.
    #[must_use]
    pub fn stops_work(self) -> bool {
        self != Self::ShutdownAsked
    }

    /// How long calls may still take once nothing more is waited for. After a first signal they
    /// may take as long as they need; this is about what comes next.
    #[must_use]
    pub fn patience(self) -> Duration {
        match self {
            // The host counts the time until the process is gone; the answer is on its way already.
            Self::ShutdownAsked => Duration::from_millis(50),
            // Nobody waits for an answer. Long enough to stop what we started ourselves.
            Self::HostDied => Duration::from_secs(1),
            // Somebody insists.
            Self::Signal => Duration::ZERO,
        }
    }
}

/// Everything that can end the process. Made once, before the host is told where to connect.
#[derive(Debug)]
pub struct Lifetime {
    shutdown_asked: CancellationToken,
    signals: Signals,
    host: Option<Host>,
}

impl Lifetime {
    /// The life of a plugin: ends with its host.
    ///
    /// # Errors
    ///
    /// When signals cannot be handled.
    pub fn of_plugin(shutdown_asked: CancellationToken) -> io::Result<Self> {
        Ok(Self {
            shutdown_asked,
            signals: Signals::new(false)?,
            host: Some(Host::of_this_process()),
        })
    }

    /// Life in debug mode: ends on Ctrl-C. Neither the host nor the shell matter.
    ///
    /// # Errors
    ///
    /// When signals cannot be handled.
    pub fn of_debug_server(shutdown_asked: CancellationToken) -> io::Result<Self> {
        Ok(Self {
            shutdown_asked,
            signals: Signals::new(true)?,
            host: None,
        })
    }

    /// Waits until the process is to end, and says why. Can be asked again: a second signal ends
    /// the patience with the first.
    pub async fn ended(&mut self) -> Ending {
        let host_died = async {
            match &mut self.host {
                Some(host) => host.died().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown_asked.cancelled() => Ending::ShutdownAsked,
            () = host_died => Ending::HostDied,
            () = self.signals.ending() => Ending::Signal,
        }
    }
}

/// The signals that matter.
#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    interrupt_ends: bool,
}

#[cfg(unix)]
impl Signals {
    /// From here on the signals' default action, which is to die at once, is gone.
    fn new(interrupt_ends: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt_ends,
        })
    }

    /// Waits for a signal that ends the process.
    async fn ending(&mut self) {
        loop {
            let ends = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => self.interrupt_ends,
                // A terminal that closes ends Terraform, and Terraform's end is noticed.
                _ = self.hangup.recv() => self.interrupt_ends,
            };
            if ends {
                return;
            }
            tracing::debug!("ignored a signal: Terraform decides when to stop");
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals {
    interrupt_ends: bool,
}

#[cfg(not(unix))]
impl Signals {
    fn new(interrupt_ends: bool) -> io::Result<Self> {
        Ok(Self { interrupt_ends })
    }

    async fn ending(&mut self) {
        loop {
            // Waiting for it is what takes the default action away.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            if self.interrupt_ends {
                return;
            }
        }
    }
}

/// How often to look where the system cannot report a process's end.
#[cfg(unix)]
const HOST_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The process that started this one.
///
/// Linux's own signal for a parent's death (`PR_SET_PDEATHSIG`) is no use: it fires when the
/// *thread* that started us ends, and Go ends threads while the program lives on. A closed stdin
/// is none either, since plugins inherit Terraform's.
#[derive(Debug)]
struct Host {
    #[cfg(unix)]
    pid: u32,
    /// Becomes readable when the host ends.
    #[cfg(target_os = "linux")]
    handle: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

impl Host {
    #[cfg(not(unix))]
    fn of_this_process() -> Self {
        Self {}
    }

    /// Elsewhere a plugin relies on its host to end it.
    #[cfg(not(unix))]
    async fn died(&mut self) {
        std::future::pending().await
    }

    #[cfg(unix)]
    fn of_this_process() -> Self {
        let pid = std::os::unix::process::parent_id();
        Self {
            pid,
            #[cfg(target_os = "linux")]
            handle: handle_of(pid),
        }
    }

    #[cfg(unix)]
    async fn died(&mut self) {
        // Asked after the handle was made: it may be the handle of whoever adopted us.
        let adopted = || std::os::unix::process::parent_id() != self.pid;
        if adopted() {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle
            && handle.readable().await.is_ok()
        {
            return;
        }
        let mut interval = tokio::time::interval(HOST_POLL_INTERVAL);
        while !adopted() {
            interval.tick().await;
        }
    }
}

/// A handle on a process, which no later process of the same number can be mistaken for. `None`
/// where the system has none: an old kernel, a sandbox, a parent outside our process namespace.
#[cfg(target_os = "linux")]
fn handle_of(pid: u32) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use std::os::fd::{FromRawFd as _, OwnedFd};
    // SAFETY: the call takes two integers and touches no memory of ours.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
    let descriptor = i32::try_from(descriptor).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let interest = tokio::io::Interest::READABLE;
    // SAFETY: an `OwnedFd` stays open and the same until it is dropped, and nothing here replaces it.
    unsafe { tokio::io::unix::AsyncFd::register_with_interest(descriptor, interest) }.ok()
}
