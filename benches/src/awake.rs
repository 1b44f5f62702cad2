//! Keeps every core of this machine from sleeping while something short is measured.
//!
//! Enters: nothing. Leaves: [`Awake`]; the cores may sleep again when it is dropped. A core that has nothing to do stops, and takes tens of microseconds to come back, a
//! virtual one more because its host has to be asked: a call through three processes waits for that several times, whoever the processes are. One thread for
//! each core runs at the idle priority, which gives way to everything else at once. Source: sched(7), `SCHED_IDLE`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::process::Result;

/// The threads that keep the cores awake.
#[derive(Debug)]
pub(crate) struct Awake {
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    /// Starts a thread for each core.
    pub(crate) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism()
            .map_err(|error| format!("how many cores there are: {error}"))?;
        let mut awake = Self {
            enough: Arc::default(),
            threads: Vec::new(),
        };
        for core in 0..cores.get() {
            let enough = Arc::clone(&awake.enough);
            let (told, tells) = std::sync::mpsc::channel();
            awake.threads.push(std::thread::spawn(move || {
                let ready = idle_on(core);
                let spin = ready.is_ok();
                let _ = told.send(ready);
                // Without the instruction for such loops: a virtual core that meets it often is taken to have nothing to do.
                while spin && !enough.load(Ordering::Relaxed) {
                    std::hint::black_box(core);
                }
            }));
            tells
                .recv()
                .map_err(|error| error.to_string())?
                .map_err(|error| format!("core {core} cannot be kept awake: {error}"))?;
        }
        Ok(awake)
    }
}

/// Binds this thread to one core, at the priority below all others.
fn idle_on(core: usize) -> io::Result<()> {
    // SAFETY: all of both structures are zeroes or set here, and the calls only read them.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        let parameters: libc::sched_param = std::mem::zeroed();
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) != 0
            || libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot have panicked.
            let _ = thread.join();
        }
    }
}
