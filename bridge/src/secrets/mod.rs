//! The server's secrets: read by reference with the function's own credentials, kept in memory, and handed to the server's environment alone.
//!
//! Enters: [`ServerCommand::secrets`] and its time to live. Leaves: values, for the server that is started next, and whether they changed. Refuses to start
//! a server without all of them. No value is in an error, in the log or in anything's `Debug`; nothing is read, and no connection or root certificate
//! exists, where no secret is configured.
//!
//! [`reference`](crate::secret_reference) says where a value is kept, `endpoint` where that is asked, `credentials` as whom, `store` what, `client` over
//! which connection (`tls` keeps it private, `dns` finds the other end), and `sigv4` signs it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use crate::launch::{LaunchError, ServerCommand};
use crate::log::Log;
use crate::secret_reference::SecretReference;

#[cfg(feature = "secrets")]
mod client;
#[cfg(feature = "secrets")]
mod credentials;
#[cfg(feature = "secrets")]
mod dns;
#[cfg(feature = "secrets")]
mod endpoint;
#[cfg(feature = "secrets")]
mod sigv4;
#[cfg(feature = "secrets")]
mod store;
#[cfg(not(feature = "secrets"))]
#[path = "unavailable.rs"]
mod store;
#[cfg(feature = "secrets")]
mod tls;

/// How long an event, or init, waits for secrets at most.
const READ_LIMIT: Duration = Duration::from_secs(8);
/// How long an event waits for secrets that are read again while a server runs that has the old ones.
const REREAD_LIMIT: Duration = Duration::from_secs(3);
/// How long it takes until reading again is tried again after it failed.
const REREAD_PAUSE: Duration = Duration::from_secs(5);

/// The variables that say how secrets are read.
const VARIABLES: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
];

/// What a variable of the server's environment is read from.
#[derive(Debug)]
struct Wanted {
    variable: String,
    reference: SecretReference,
}

/// A secret's value.
#[derive(Clone, PartialEq, Eq)]
struct Value(String);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// Values by the variable that they are for.
type Values = BTreeMap<String, Value>;

/// Those of [`VARIABLES`] that the function has, without empty ones.
struct Variables(BTreeMap<&'static str, String>);

impl Variables {
    fn of(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &&'static str| {
            let value = environment(name)?.into_string().ok()?;
            (!value.is_empty()).then_some((*name, value))
        };
        Self(VARIABLES.iter().filter_map(set).collect())
    }

    #[cfg(feature = "secrets")]
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A secret that has not been read.
#[derive(Debug)]
struct Unreadable {
    variables: Vec<String>,
    arn: String,
    reason: String,
}

impl Unreadable {
    /// `sharing` are the variables that it is for, at least one, all of the same ARN.
    fn new(sharing: &[&Wanted], reason: String) -> Self {
        let arn = sharing.first().map(|wanted| wanted.reference.arn.clone());
        Self {
            variables: sharing
                .iter()
                .map(|wanted| format!("`{}`", wanted.variable))
                .collect(),
            arn: arn.unwrap_or_default(),
            reason,
        }
    }
}

/// Secrets that have not been read, each with its variables, its ARN and the reason.
#[derive(Debug)]
pub(crate) struct SecretsError(Vec<Unreadable>);

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, secret) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(
                f,
                "the secret for {} ({}) cannot be read: {}",
                secret.variables.join(" and "),
                secret.arn,
                secret.reason
            )?;
        }
        Ok(())
    }
}

/// The server's secrets.
#[derive(Debug)]
pub(crate) struct Secrets {
    wanted: Vec<Wanted>,
    ttl: Option<Duration>,
    variables: Variables,
    held: Option<Held>,
    /// Reading again failed, and is not tried before then.
    pause_until: Option<Instant>,
}

/// What has been read.
#[derive(Debug)]
struct Held {
    values: Values,
    /// By the wall clock: the others may stand still while the environment is frozen.
    read_at: SystemTime,
}

impl Secrets {
    /// The secrets that `command` names, none of them read yet. `environment` looks up the function's own variables.
    ///
    /// # Errors
    ///
    /// As [`ServerCommand::secret_references`].
    pub(crate) fn new(
        command: &ServerCommand,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, LaunchError> {
        let wanted: Vec<Wanted> = command
            .secret_references()?
            .into_iter()
            .map(|(variable, reference)| Wanted {
                variable: variable.to_owned(),
                reference,
            })
            .collect();
        let none = wanted.is_empty();
        Ok(Self {
            wanted,
            ttl: command
                .secrets_ttl
                .map(|seconds| Duration::from_secs(seconds.into())),
            variables: Variables::of(|name| if none { None } else { environment(name) }),
            held: None,
            pause_until: None,
        })
    }

    /// Reads the secrets if they have not been read, or if their time to live is over. Says whether a server that was started with them before has to be
    /// replaced. Where reading them again fails, that is logged, and the old ones go on.
    ///
    /// # Errors
    ///
    /// There are none yet, and they cannot be read.
    pub(crate) fn refresh(&mut self, deadline: Instant, log: &Log) -> Result<bool, SecretsError> {
        if self.wanted.is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        let Some(held) = &self.held else {
            let values = self.read(deadline.min(now + READ_LIMIT), log)?;
            self.hold(values);
            return Ok(false);
        };
        let pauses = self.pause_until.is_some_and(|until| now < until);
        if pauses || !is_over(self.ttl, held.read_at, SystemTime::now()) {
            return Ok(false);
        }
        // The caller's time is for the server, which could serve as it is.
        let limit = (deadline.saturating_duration_since(now) / 4).min(REREAD_LIMIT);
        match self.read(now + limit, log) {
            Ok(values) => {
                let changed = values != held.values;
                self.hold(values);
                Ok(changed)
            }
            Err(error) => {
                log.warn(&format!(
                    "the MCP server keeps the secrets that it has: {error}"
                ));
                self.pause_until = Some(Instant::now() + REREAD_PAUSE);
                Ok(false)
            }
        }
    }

    /// Whether a server can be started without reading anything first.
    pub(crate) fn are_read(&self) -> bool {
        self.wanted.is_empty() || self.held.is_some()
    }

    /// `environment` with the secrets that have been read, each under its variable.
    pub(crate) fn add_to<'a>(
        &self,
        environment: &'a BTreeMap<OsString, OsString>,
    ) -> Cow<'a, BTreeMap<OsString, OsString>> {
        match &self.held {
            None => Cow::Borrowed(environment),
            Some(held) => {
                let mut all = environment.clone();
                let values = held.values.iter();
                all.extend(values.map(|(name, Value(value))| (name.into(), value.into())));
                Cow::Owned(all)
            }
        }
    }

    fn hold(&mut self, values: Values) {
        self.pause_until = None;
        self.held = Some(Held {
            values,
            read_at: SystemTime::now(),
        });
    }

    fn read(&self, deadline: Instant, log: &Log) -> Result<Values, SecretsError> {
        let started = Instant::now();
        let values = store::read(&self.wanted, &self.variables, deadline).map_err(SecretsError)?;
        let (count, millis) = (values.len(), started.elapsed().as_millis());
        log.fact(
            &format!("values of secrets read: {count}, in {millis} ms"),
            &format!(r#","secrets":{count},"secretsMs":{millis}"#),
        );
        Ok(values)
    }
}

/// Whether what was read then is too old; always, when the clock was set back in between.
fn is_over(ttl: Option<Duration>, read_at: SystemTime, now: SystemTime) -> bool {
    ttl.is_some_and(|ttl| now.duration_since(read_at).map_or(true, |age| age >= ttl))
}

/// Four bytes that nobody can guess.
#[cfg(feature = "secrets")]
fn random() -> u32 {
    let mut bytes = [0; 4];
    // SAFETY: the buffer is valid for its length. A kernel that has no randomness yet leaves zeros, which only costs protection that TLS gives anyway.
    unsafe {
        libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0);
    }
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_time_to_live_is_over_when_it_has_passed_or_the_clock_was_set_back() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        let ttl = Some(Duration::from_secs(300));
        assert!(!is_over(None, at(1_000), at(1_000_000)));
        assert!(!is_over(ttl, at(1_000), at(1_000)));
        assert!(!is_over(ttl, at(1_000), at(1_299)));
        assert!(is_over(ttl, at(1_000), at(1_300)));
        assert!(is_over(ttl, at(1_000), at(999)));
    }

    #[test]
    fn neither_values_nor_credentials_are_shown() {
        let variables = Variables::of(|name| Some(format!("hidden {name}").into()));
        let values: Values = [("API_KEY".to_owned(), Value("hidden".to_owned()))].into();
        let text = format!("{variables:?} {values:?}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(
            text.contains("AWS_SESSION_TOKEN") && text.contains("API_KEY"),
            "{text}"
        );
    }

    #[test]
    fn without_secrets_nothing_is_looked_up_and_the_environment_is_not_copied() {
        let command = ServerCommand::new(vec!["server".to_owned()]);
        let looked_up = |name: &str| -> Option<OsString> { panic!("{name} is looked up") };
        let mut secrets = Secrets::new(&command, looked_up).expect("none");
        let log = Log::new(false);
        assert!(
            !secrets
                .refresh(Instant::now(), &log)
                .expect("nothing to read")
        );
        let environment = [("A".into(), "1".into())].into();
        assert!(matches!(secrets.add_to(&environment), Cow::Borrowed(_)));
    }
}
