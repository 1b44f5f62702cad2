//! Functions that really run: execution environments, kept warm per version.
//!
//! Enters: a version's setup and an event. Leaves: the outcome. Each environment handles one event
//! at a time; a second event at the same time gets a second environment, as in Lambda.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

mod compose;
mod emulated;
pub(crate) mod environment;
pub(crate) mod launch;
mod log;
mod own;
mod relay;
mod runtime_api;
pub(crate) mod runtimes;

pub(crate) use compose::{Api, Setup};
use environment::{Environment, Event, Outcome};

use crate::ids;

/// How functions are kept apart from the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// A mount namespace with Lambda's paths.
    Namespace {
        /// The user that functions run as, when local-aws is root.
        user: Option<u32>,
    },
    /// None: the code runs where it was unpacked.
    Plain {
        /// Why there is no namespace.
        why: String,
    },
}

/// A version of a function, as it was at one time: any change makes another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VersionKey {
    /// `ACCOUNT/REGION/NAME`.
    pub(crate) function: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    /// Grows with each change of code or configuration.
    pub(crate) generation: u64,
    /// An environment talks to one Runtime API all its life.
    pub(crate) api: Api,
}

pub(crate) struct Functions {
    work: PathBuf,
    emulator: PathBuf,
    isolation: Isolation,
    /// Whether environments are stopped between events.
    freezes: bool,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    idle: HashMap<VersionKey, Vec<Environment>>,
    /// Environments that are handling an event.
    busy: HashMap<VersionKey, u64>,
    /// Versions that no longer exist as they were.
    retired: std::collections::HashSet<VersionKey>,
    stopped: bool,
}

/// An outcome, and the log stream in which its log belongs.
pub(crate) struct Handled {
    pub(crate) outcome: Outcome,
    pub(crate) log_stream: String,
}

impl Functions {
    pub(crate) fn new(
        work: PathBuf,
        emulator: PathBuf,
        isolation: Isolation,
        freezes: bool,
    ) -> Self {
        Self {
            work,
            emulator,
            isolation,
            freezes,
            pool: Mutex::default(),
        }
    }

    /// How many events of `function` (all versions) are being handled.
    pub(crate) fn busy(&self, function: &str) -> u64 {
        self.lock()
            .busy
            .iter()
            .filter(|(key, _)| key.function == function)
            .map(|(_, count)| count)
            .sum()
    }

    /// Handles one event in a warm environment of the version, or in a new one.
    ///
    /// # Errors
    ///
    /// A sentence, when no environment can be started: not the function's fault.
    pub(crate) async fn handle(
        &self,
        key: &VersionKey,
        setup: &Setup,
        event: &Event,
    ) -> Result<Handled, String> {
        let warm = {
            let mut pool = self.lock();
            if pool.stopped {
                return Err("local-aws is stopping".to_owned());
            }
            *pool.busy.entry(key.clone()).or_default() += 1;
            pool.idle.get_mut(key).and_then(Vec::pop)
        };
        let handled = self.handle_in(warm, setup, event).await;
        let environment = {
            let mut pool = self.lock();
            if let Some(count) = pool.busy.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    pool.busy.remove(key);
                }
            }
            match handled {
                Err(error) => return Err(error),
                Ok((handled, environment)) => {
                    if handled.outcome.usable && !pool.stopped && !pool.retired.contains(key) {
                        pool.idle.entry(key.clone()).or_default().push(environment);
                        return Ok(handled);
                    }
                    (handled, environment)
                }
            }
        };
        let (handled, environment) = environment;
        environment.stop().await;
        Ok(handled)
    }

    async fn handle_in(
        &self,
        warm: Option<Environment>,
        setup: &Setup,
        event: &Event,
    ) -> Result<(Handled, Environment), String> {
        let start = |retried| {
            Environment::start(
                setup.clone(),
                &self.work,
                &self.emulator,
                &self.isolation,
                retried,
            )
        };
        let mut environment = match warm {
            Some(environment) => environment,
            None => start(false).await?,
        };
        let mut outcome = environment.handle(event).await;
        if outcome.failed_in_init && outcome.failed {
            // Lambda initialises once more, now as part of the invocation.
            let first_log = outcome.log;
            environment.stop().await;
            environment = start(true).await?;
            outcome = environment.handle(event).await;
            outcome.log = [first_log, outcome.log].concat();
        }
        if self.freezes && outcome.usable {
            environment.freeze().await;
        }
        let log_stream = environment.log_stream().to_owned();
        Ok((
            Handled {
                outcome,
                log_stream,
            },
            environment,
        ))
    }

    /// Ends the environments of versions for which `gone` holds; busy ones end after their event.
    pub(crate) async fn retire(&self, gone: impl Fn(&VersionKey) -> bool) {
        let environments = {
            let mut pool = self.lock();
            let keys: Vec<VersionKey> = pool
                .idle
                .keys()
                .chain(pool.busy.keys())
                .filter(|key| gone(key))
                .cloned()
                .collect();
            let mut environments = Vec::new();
            for key in keys {
                environments.extend(pool.idle.remove(&key).unwrap_or_default());
                pool.retired.insert(key);
            }
            environments
        };
        stop_all(environments).await;
    }

    /// Ends all environments; none can be started afterwards.
    pub(crate) async fn stop(&self) {
        let environments = {
            let mut pool = self.lock();
            pool.stopped = true;
            pool.idle
                .drain()
                .flat_map(|(_, environments)| environments)
                .collect()
        };
        stop_all(environments).await;
    }

    /// `{"environments": [{"function", "version", "pids"}]}`: those that are warm and idle.
    pub(crate) fn to_json(&self) -> Value {
        let pool = self.lock();
        let environments = pool.idle.iter().flat_map(|(key, environments)| {
            environments.iter().map(|environment| {
                json!({
                    "function": environment.setup().function_name,
                    "version": key.version,
                    "pids": environment.processes(),
                })
            })
        });
        json!({"environments": environments.collect::<Vec<_>>()})
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        // Nothing that holds this lock can panic half-way through a change.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn stop_all(environments: Vec<Environment>) {
    let mut stopping = tokio::task::JoinSet::new();
    for environment in environments {
        stopping.spawn(environment.stop());
    }
    stopping.join_all().await;
}
