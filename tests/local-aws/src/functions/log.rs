//! A function's log: everything that its processes write to standard output and standard error,
//! together with the platform's own lines, in the order in which they were written.
//!
//! The log is a named pipe. The platform's lines go through it too, and so does a mark at the end
//! of each invocation: what lies before the mark was written before it.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::ids;

/// What is kept of one invocation's output, in bytes: the newest. Lambda's log tail has 4 KB.
const KEPT: usize = 1024 * 1024;

pub(crate) struct Log {
    sender: tokio::sync::Mutex<pipe::Sender>,
    collected: Arc<Mutex<Vec<u8>>>,
    changed: watch::Receiver<u64>,
}

impl Log {
    /// Makes the pipe at `path` and begins to read it.
    pub(crate) fn open(path: &Path, owner: Option<u32>) -> io::Result<Self> {
        make_fifo(path, owner)?;
        // Opened for both directions, the pipe never ends and never blocks an open.
        let mut receiver = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(path)?;
        let sender = pipe::OpenOptions::new()
            .read_write(true)
            .open_sender(path)?;
        let collected = Arc::new(Mutex::new(Vec::new()));
        let (announce, changed) = watch::channel(0);
        let sink = Arc::clone(&collected);
        tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length) = receiver.read(&mut chunk).await {
                {
                    let mut sink = lock(&sink);
                    sink.extend_from_slice(&chunk[..length]);
                    let excess = sink.len().saturating_sub(KEPT);
                    sink.drain(..excess);
                }
                announce.send_modify(|version| *version += 1);
                if announce.is_closed() {
                    return;
                }
            }
        });
        Ok(Self {
            sender: tokio::sync::Mutex::new(sender),
            collected,
            changed,
        })
    }

    /// Writes a line of the platform.
    pub(crate) async fn line(&self, line: &str) {
        // The pipe's other end is ours; it cannot be closed.
        let _ = self
            .sender
            .lock()
            .await
            .write_all(format!("{line}\n").as_bytes())
            .await;
    }

    /// Takes all that was written before this call.
    pub(crate) async fn take(&self) -> Vec<u8> {
        let mark = format!("\0{}\n", ids::random_hex(16)).into_bytes();
        let mut changed = self.changed.clone();
        let written = async {
            let _ = self.sender.lock().await.write_all(&mark).await;
            loop {
                {
                    let mut collected = lock(&self.collected);
                    if let Some(at) = collected
                        .windows(mark.len())
                        .rposition(|window| window == mark)
                    {
                        let after = collected.split_off(at + mark.len());
                        let mut before = std::mem::replace(&mut *collected, after);
                        before.truncate(at);
                        return before;
                    }
                }
                if changed.changed().await.is_err() {
                    return std::mem::take(&mut *lock(&self.collected));
                }
            }
        };
        // A function that never stops printing may flood the mark away.
        match tokio::time::timeout(Duration::from_secs(2), written).await {
            Ok(output) => output,
            Err(_) => std::mem::take(&mut *lock(&self.collected)),
        }
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> std::sync::MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_fifo(path: &Path, owner: Option<u32>) -> io::Result<()> {
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string.
    if unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // A function that opens /dev/stdout opens this pipe anew, as its own user.
    if let Some(owner) = owner {
        std::os::unix::fs::chown(path, Some(owner), Some(owner))?;
    }
    Ok(())
}
