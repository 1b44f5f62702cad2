//! Processes that the server started and that outlive their parents: daemons that left its group, helpers of helpers.
//!
//! Enters: the kernel's list of processes. Leaves: none of them, once the server is gone. While the server runs they are its own affair, and only those that
//! have ended are cleared away. Without this they would live on in an environment that is used for hours, and with a server per event pile up in it.
//!
//! The bridge makes itself the one to whom orphans are handed, in the place of process 1 (prctl(2), `PR_SET_CHILD_SUBREAPER`). So whatever is its child beside
//! the server was left behind by a server.

use std::fs;
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone. One that the kernel cannot end at once is cleared away later.
const PATIENCE: Duration = Duration::from_millis(200);

/// From now on orphans become children of this process.
pub(crate) fn adopt() {
    // SAFETY: sets a flag of this process. Where a kernel refuses, orphans go to process 1, as they would have.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
}

/// Clears away children that have ended, until it meets `server`, which is left as it is. Returns whether it met it.
pub(crate) fn reap_until(server: u32) -> bool {
    while let Some(ended) = first_ended_child() {
        if u32::try_from(ended) == Ok(server) {
            return true;
        }
        reap(ended);
    }
    false
}

/// Kills every child, and whatever those had started, until there is none. Only to be called when the server has been reaped.
pub(crate) fn kill_all() {
    let until = Instant::now() + PATIENCE;
    loop {
        let children = children();
        if children.is_empty() || Instant::now() >= until {
            return;
        }
        for child in children {
            // SAFETY: a child that has not been reaped keeps its id, so no other process is hit.
            unsafe {
                libc::kill(child, libc::SIGKILL);
            }
        }
        // The children of those that die come to this process only now, so it looks again.
        while let Some(ended) = first_ended_child() {
            reap(ended);
        }
        std::thread::yield_now();
    }
}

/// A child that has ended and was not reaped.
fn first_ended_child() -> Option<libc::pid_t> {
    // SAFETY: waitid writes into `info`, which is large enough and zeroed; WNOWAIT leaves the child to be reaped.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let found = libc::waitid(libc::P_ALL, 0, &raw mut info, flags) == 0 && info.si_pid() != 0;
        found.then(|| info.si_pid())
    }
}

fn reap(ended: libc::pid_t) {
    // SAFETY: no status is written; the process is this one's child and has ended, so this does not wait.
    unsafe {
        libc::waitpid(ended, std::ptr::null_mut(), libc::WNOHANG);
    }
}

/// The ids of this process's children, those that have ended included.
fn children() -> Vec<libc::pid_t> {
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &libc::pid_t| {
            fs::read_to_string(format!("/proc/{id}/stat"))
                .is_ok_and(|stat| parent(&stat) == Some(own.as_str()))
        })
        .collect()
}

/// The parent in a line of `/proc/<id>/stat`: `id (name) state parent …`. The name may hold blanks and parentheses.
fn parent(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_whatever_name_a_process_has() {
        assert_eq!(parent("12 (python3) S 7 12 12 0 -1"), Some("7"));
        assert_eq!(parent("12 (a) Z 99 (b) R 7 12 12"), Some("7"));
        assert_eq!(parent(""), None);
    }
}
