//! A process under measurement, and what the kernel says of it.
//!
//! Enters: a command. Leaves: a [`Running`] that is killed when it is dropped, and its memory, descriptors and descendants as /proc tells them. Refuses, with the
//! process's name: one that cannot be started, and figures of one that is gone.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// What goes wrong ends the run: a sentence is enough.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// A process that lives as long as this value.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    name: String,
}

/// Memory of one process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident: every page that the process has mapped and that is in memory.
    pub(crate) resident: u64,
    /// The part of `resident` that no file backs: heap, stacks, written data.
    pub(crate) anonymous: u64,
    /// The largest `resident` since the start, or since [`Running::forget_peak`].
    pub(crate) peak: u64,
    /// Resident, with pages that several processes share divided among them.
    pub(crate) proportional: u64,
}

impl Running {
    /// Starts `command`; `name` is what errors call it, and its stderr is added to `log`.
    pub(crate) fn start(mut command: Command, name: &str, log: &Path) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name} ({:?}): {error}", command.get_program()))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| format!("{}: {path}: {error}", self.name))
    }

    /// Its memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = self.read("status")?;
        Ok(Memory {
            resident: kib(&status, "VmRSS:")?,
            anonymous: kib(&status, "RssAnon:")?,
            peak: kib(&status, "VmHWM:")?,
            proportional: kib(&self.read("smaps_rollup")?, "Pss:")?,
        })
    }

    /// Makes the peak begin anew at what is resident now.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").map_err(|error| format!("{}: {path}: {error}", self.name))
    }

    /// How long its threads have run on a core so far, to the nanosecond, as the scheduler counts it.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/task", self.child.id());
        let threads =
            fs::read_dir(&path).map_err(|error| format!("{}: {path}: {error}", self.name))?;
        let mut sum = 0;
        for thread in threads.flatten() {
            let path = thread.path().join("schedstat");
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {}: {error}", self.name, path.display()))?;
            // Running, waiting for a core, times run.
            sum += text
                .split_whitespace()
                .next()
                .and_then(|running| running.parse::<u64>().ok())
                .ok_or_else(|| format!("{} tells no time", path.display()))?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// How many file descriptors it has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.child.id());
        Ok(fs::read_dir(&path)
            .map_err(|error| format!("{}: {path}: {error}", self.name))?
            .count())
    }

    /// How many processes descend from it, zombies among them.
    pub(crate) fn descendants(&self) -> Result<usize> {
        let mut parents = Vec::new();
        let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
        for entry in entries.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            // One that ended meanwhile is none.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // After the name in parentheses, which may hold anything: state, parent.
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
            if let Some(parent) = parent {
                parents.push((pid, parent));
            }
        }
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(&member) = family.get(next) {
            family.extend(
                parents
                    .iter()
                    .filter(|(_, parent)| *parent == member)
                    .map(|(pid, _)| *pid),
            );
            next += 1;
        }
        Ok(family.len() - 1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of the line of a /proc file that begins with `key`, in KiB.
fn kib(text: &str, key: &str) -> Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("the kernel does not tell {key}"))
}
