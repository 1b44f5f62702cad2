//! Reading from descriptors, with as little as possible between the clock and the kernel.
//!
//! Enters: open descriptors. Leaves: bytes. Refuses to wait for ever: whatever is measured here answers within [`PATIENCE`] or has failed.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The longest wait for anything: far above the slowest start on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Room that a read finds at least, in bytes.
const ROOM: usize = 64 * 1024;

/// Sleeps until one of `fds` can be read; says which.
pub(crate) fn wait_readable(fds: &[RawFd], until: Instant) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let left = until.saturating_duration_since(Instant::now());
    let timeout = libc::c_int::try_from(left.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the vector is valid for its length.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    match ready {
        0 => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", PATIENCE.as_secs()),
        )),
        ready if ready < 0 => Err(io::Error::last_os_error()),
        _ => Ok(polled.iter().map(|polled| polled.revents != 0).collect()),
    }
}

/// Reads once, behind what `buffer` holds; 0 is the end. The room is not cleared first, which would be the larger part of a small read.
pub(crate) fn read_some(fd: RawFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    // Doubles, so that megabytes come in few reads.
    buffer.reserve(ROOM.max(buffer.len()));
    let room = buffer.spare_capacity_mut();
    // SAFETY: the kernel writes at most `room.len()` bytes to `room`, and exactly those that it counts become part of the vector.
    unsafe {
        let count = libc::read(fd, room.as_mut_ptr().cast(), room.len());
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        buffer.set_len(buffer.len() + count);
        Ok(count)
    }
}

/// Where `byte` first stands.
pub(crate) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    // SAFETY: the range is the slice's own. libc's search looks at many bytes at a time, which counts in lines of megabytes.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(byte), bytes.len()) };
    (!found.is_null()).then(|| found as usize - bytes.as_ptr() as usize)
}
