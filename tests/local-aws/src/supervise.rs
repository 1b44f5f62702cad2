//! Runs a program so that nothing of it outlives local-aws: not its children, not those that they
//! left behind, not even when local-aws itself is killed.
//!
//! local-aws starts itself as `local-aws __supervise SPEC`, once for moto and once per execution
//! environment. That process is the "child subreaper" of all its descendants (prctl(2)), so an
//! orphan comes back to it, and its standard input is a pipe from local-aws: at its end, and when
//! the program ends, it kills all its descendants and ends.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox;

/// What to run; written as JSON to a file whose path is the argument.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) argv: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub(crate) env: Vec<(String, String)>,
    /// Receives standard output and standard error; without it they are local-aws's own standard error.
    pub(crate) output: Option<PathBuf>,
    /// The root directory to build in a mount namespace of its own, if any.
    pub(crate) root: Option<sandbox::Root>,
    /// A directory to remove if local-aws dies before it can do so itself.
    pub(crate) remove_if_orphaned: Option<PathBuf>,
}

/// `local-aws __supervise SPEC`.
pub(crate) fn main(spec: &Path) -> ExitCode {
    match run(spec) {
        Ok(status) => end_as(status),
        Err(error) => {
            eprintln!("local-aws: cannot run {}: {error}", spec.display());
            ExitCode::FAILURE
        }
    }
}

/// Ends as the program has ended, so that whoever waits for this process knows how that was.
fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        let no_core = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the structure outlives the call, the others take numbers. This process has no
        // handlers, so a signal that ended the program ends it too.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    ExitCode::from(
        status
            .code()
            .map_or(1, |code| u8::try_from(code & 0xff).unwrap_or(1)),
    )
}

fn run(spec: &Path) -> Result<ExitStatus, String> {
    let spec: Spec =
        serde_json::from_slice(&std::fs::read(spec).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
    let remove_if_orphaned = spec.remove_if_orphaned.clone();
    become_subreaper();
    if let Some(root) = &spec.root {
        // Before any thread is started: a process with threads may not enter a user namespace.
        root.build()?;
    }
    let (stdout, stderr) = match &spec.output {
        Some(file) => {
            let output = File::options()
                .append(true)
                .create(true)
                .open(file)
                .map_err(|error| error.to_string())?;
            let stdout = output.try_clone().map_err(|error| error.to_string())?;
            (Stdio::from(stdout), Stdio::from(output))
        }
        None => (Stdio::from(std::io::stderr()), Stdio::inherit()),
    };
    let (program, arguments) = spec.argv.split_first().ok_or("empty command")?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        // Ctrl-C is for local-aws, which then stops everything in order.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let child = pid_t(child.id());

    // The parent's end of the pipe closes when it says so and when it dies.
    let stopping = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopping);
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // An error means the same as the end: nobody is there any more.
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        told.store(true, Ordering::SeqCst);
        kill_descendants();
        if let Some(directory) = remove_if_orphaned
            && rest.is_empty()
        {
            // Nobody is there to hear of a failure.
            let _ = std::fs::remove_dir_all(directory);
        }
        std::process::exit(0);
    });
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let reaped = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if stopping.load(Ordering::SeqCst) {
            // The other thread ends this process when it is done.
            std::thread::park();
        } else if reaped == child || reaped == -1 {
            kill_descendants();
            return Ok(ExitStatus::from_raw(status));
        }
    }
}

/// Makes this process the parent of its orphaned descendants.
pub(crate) fn become_subreaper() {
    // SAFETY: this prctl reads no memory.
    let done = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    // Linux has it since 3.4; without it orphans could outlive us.
    assert_eq!(done, 0, "this process becomes a subreaper");
}

/// Kills every descendant of this process, round after round until none is left, because a
/// process may start another one while it is being looked for; and takes leave of all of them,
/// so that none stays as a zombie with whoever comes next.
pub(crate) fn kill_descendants() {
    loop {
        for victim in living_descendants(std::process::id()) {
            // SAFETY: kill takes plain numbers.
            unsafe { libc::kill(pid_t(victim), libc::SIGKILL) };
        }
        // SAFETY: a null status is allowed.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        // SAFETY: as above. With nobody left to wait for, waitpid fails.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } == -1 {
            return;
        }
        // A killed process needs a moment to end.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Stops every one of `pids()` with SIGSTOP, round after round until none is found running, because
/// a process may start another one while it is being looked for. Returns when the kernel has
/// stopped them all.
pub(crate) fn stop_all(pids: impl Fn() -> Vec<u32>) {
    let mut told = HashSet::new();
    loop {
        let running: Vec<u32> = pids()
            .into_iter()
            .filter(|pid| !stands_still(*pid, told.contains(pid)))
            .collect();
        if running.is_empty() {
            return;
        }
        for pid in running {
            // SAFETY: kill takes plain numbers.
            unsafe { libc::kill(pid_t(pid), libc::SIGSTOP) };
            told.insert(pid);
        }
        // The signal takes effect a moment later.
        std::thread::yield_now();
    }
}

/// Lets every one of `pids` go on.
pub(crate) fn continue_all(pids: &[u32]) {
    for pid in pids {
        // SAFETY: kill takes plain numbers.
        unsafe { libc::kill(pid_t(*pid), libc::SIGCONT) };
    }
}

/// Whether no thread of the process can run, or it is not there any more. One that was `told` to
/// stop counts while it waits in the kernel: it stops before it runs again, and may wait for a
/// process that is stopped (vfork).
fn stands_still(pid: u32, told: bool) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.bytes().next());
        match state {
            None | Some(b'T' | b't' | b'Z' | b'X') => true,
            Some(b'D') => told,
            Some(_) => false,
        }
    })
}

/// The descendants of `ancestor` that are not zombies.
pub(crate) fn living_descendants(ancestor: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<(u32, bool)>> = HashMap::new();
    for (pid, parent, zombie) in processes() {
        children.entry(parent).or_default().push((pid, zombie));
    }
    let mut found = Vec::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for (pid, zombie) in children.remove(&parent).unwrap_or_default() {
            open.push(pid);
            if !zombie {
                found.push(pid);
            }
        }
    }
    found
}

/// Every process: id, parent, whether it is a zombie (proc_pid_stat(5)).
fn processes() -> Vec<(u32, u32, bool)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may itself hold spaces and parentheses.
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let state = fields.next()?;
            Some((
                pid,
                fields.next()?.parse().ok()?,
                matches!(state, "Z" | "X"),
            ))
        })
        .collect()
}

fn pid_t(pid: u32) -> libc::pid_t {
    // Linux's process ids fit: the kernel's limit is 2^22.
    libc::pid_t::try_from(pid).expect("a process id fits pid_t")
}

/// A supervised program, seen from local-aws.
pub(crate) struct Supervised {
    process: tokio::process::Child,
    /// Its end ends the program. Kept apart from `process`, whose `wait` would close it.
    input: Option<tokio::process::ChildStdin>,
    pid: u32,
}

impl Supervised {
    /// Starts `spec`; `name` tells its files in `directory` apart.
    pub(crate) fn start(directory: &Path, name: &str, spec: &Spec) -> std::io::Result<Self> {
        let file = directory.join(format!("{name}.spec.json"));
        write_private(&file, &serde_json::to_vec(spec)?)?;
        let mut process = tokio::process::Command::new(std::env::current_exe()?)
            .arg("__supervise")
            .arg(&file)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pid = process
            .id()
            .ok_or_else(|| std::io::Error::other("the supervisor ended at once"))?;
        Ok(Self {
            input: process.stdin.take(),
            process,
            pid,
        })
    }

    /// The supervisor's process id: all that it runs descends from it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns when the program has ended, with how it did; again and again when asked again.
    pub(crate) async fn wait(&mut self) -> Option<ExitStatus> {
        self.process.wait().await.ok()
    }

    /// Whether the program has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Kills the program and all its descendants; returns when they are gone.
    pub(crate) async fn stop(mut self) {
        if let Some(mut input) = self.input.take() {
            use tokio::io::AsyncWriteExt;
            // A word before the end tells it from local-aws's death. A supervisor that has ended
            // already needs none.
            let _ = input.write_all(b"stop").await;
        }
        if tokio::time::timeout(Duration::from_secs(5), self.process.wait())
            .await
            .is_err()
        {
            // Its descendants then come to local-aws, which kills its own at the end.
            let _ = self.process.kill().await;
        }
    }
}

/// Writes a file that only its owner may read: it can hold a function's environment.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}
