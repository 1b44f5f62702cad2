//! Processes: who started whom, and ending one by its id.

use std::path::Path;

/// The ids of the running processes below `ancestor` whose program is `program`.
///
/// Source: proc(5), `/proc/PID/stat`, `/proc/PID/exe`.
pub(crate) fn descendants(ancestor: u32, program: &Path) -> Vec<u32> {
    let program = program
        .canonicalize()
        .unwrap_or_else(|_| program.to_owned());
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("Linux has /proc")
        .flatten()
    {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // A process may end while we look.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The program's name stands in parentheses and may hold anything; the parent is the second field after it.
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let Some(parent) = after
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse::<u32>().ok())
        else {
            continue;
        };
        processes.push((
            id,
            parent,
            std::fs::read_link(entry.path().join("exe")).ok(),
        ));
    }
    let mut below = vec![ancestor];
    let mut next = 0;
    while next < below.len() {
        let parent = below[next];
        below.extend(
            processes
                .iter()
                .filter(|(_, of, _)| *of == parent)
                .map(|(id, _, _)| *id),
        );
        next += 1;
    }
    // The mirror holds the provider under another name: the same file, so its inode tells.
    processes
        .into_iter()
        .filter(|(id, _, exe)| {
            below[1..].contains(id) && exe.as_deref().is_some_and(|exe| same_file(exe, &program))
        })
        .map(|(id, _, _)| id)
        .collect()
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Sends a signal to one process.
///
/// # Panics
///
/// When there is no such process.
pub(crate) fn signal(id: u32, signal: i32) {
    let id = i32::try_from(id).expect("process ids fit");
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    let result = unsafe { libc::kill(id, signal) };
    assert_eq!(
        result,
        0,
        "no process {id} to signal: {}",
        std::io::Error::last_os_error()
    );
}
