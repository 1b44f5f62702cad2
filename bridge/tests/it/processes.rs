//! Processes as a test sees and treats them from outside: signals, freezes, and what the kernel counts of them.

use std::fs;
use std::thread;
use std::time::Instant;

use crate::sandbox::{PATIENCE, Sandbox};

/// Sends `signal` to the process `pid`, which must exist.
#[track_caller]
pub(crate) fn signal(pid: &str, signal: libc::c_int) {
    let id: libc::pid_t = pid.parse().expect("a process id");
    // SAFETY: kill touches no memory of this process.
    let sent = unsafe { libc::kill(id, signal) };
    assert_eq!(sent, 0, "process {pid} has to be there");
}

/// Stops the bridge and the process `server`, as Lambda freezes an execution environment. Returns once both stand still.
#[track_caller]
pub(crate) fn freeze(sandbox: &Sandbox, server: &str) {
    for pid in [bridge_pid(sandbox).as_str(), server] {
        signal(pid, libc::SIGSTOP);
        wait_until(&format!("process {pid} stands still"), || {
            state(pid) == Some('T')
        });
    }
}

/// Lets both go on.
#[track_caller]
pub(crate) fn thaw(sandbox: &Sandbox, server: &str) {
    for pid in [server, bridge_pid(sandbox).as_str()] {
        signal(pid, libc::SIGCONT);
    }
}

/// The bridge's process id.
pub(crate) fn bridge_pid(sandbox: &Sandbox) -> String {
    sandbox.bridge.id().to_string()
}

/// Waits until `condition` holds, which `what` describes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it never came to this: {what}");
        thread::yield_now();
    }
}

/// The letter of a process's state: `R`unning, `S`leeping, s`T`opped, `Z`ombie; `None` when there is no such process.
pub(crate) fn state(pid: &str) -> Option<char> {
    fields(pid)?.chars().next()
}

/// The ids of the processes whose parent is `parent`, zombies included.
pub(crate) fn children(parent: &str) -> Vec<String> {
    let mut children: Vec<String> = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| fields(pid).is_some_and(|fields| fields.split(' ').nth(1) == Some(parent)))
        .collect();
    children.sort();
    children
}

/// What follows the name in `/proc/<pid>/stat`: state, parent, …
fn fields(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

/// Resident memory of a process that belongs to it alone, in kilobytes.
pub(crate) fn anonymous_kilobytes(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB"))
        .and_then(|kilobytes| kilobytes.trim().parse().ok())
        .expect("a figure")
}

/// How many files a process has open.
pub(crate) fn open_files(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("it runs")
        .count()
}
