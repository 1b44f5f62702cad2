//! How long an operation may take and who may stop it. Time is tokio's, so that tests can pause it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::DeployError;

/// How long a call that is under way may still take after the user interrupted: its answer says what exists now.
const GRACE: Duration = Duration::from_secs(5);

/// How long a read may be throttled.
const READING: Duration = Duration::from_secs(600);

/// Bounds of one operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub cancel: CancellationToken,
    pub started: Instant,
    pub deadline: Instant,
}

impl Operation {
    /// An operation that starts now.
    pub fn new(cancel: CancellationToken, timeout: Duration) -> Self {
        let started = Instant::now();
        Self {
            cancel,
            started,
            deadline: started + timeout,
        }
    }

    /// Bounds of a read, which Terraform gives no time limit: only throttling can make one long.
    pub(crate) fn reading() -> Self {
        Self::new(CancellationToken::new(), READING)
    }

    /// # Errors
    ///
    /// [`DeployError::Cancelled`] or [`DeployError::Deadline`], naming what was about to be done.
    pub fn check(&self, doing: &str) -> Result<(), DeployError> {
        if self.cancel.is_cancelled() {
            return Err(self.cancelled(doing));
        }
        if Instant::now() >= self.deadline {
            return Err(self.expired(doing));
        }
        Ok(())
    }

    /// Sleeps, unless interrupted or out of time.
    ///
    /// # Errors
    ///
    /// As [`Operation::check`].
    pub async fn sleep(&self, pause: Duration, doing: &str) -> Result<(), DeployError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(self.cancelled(doing)),
            () = tokio::time::sleep_until(self.deadline) => Err(self.expired(doing)),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Runs one call: not begun if it is too late, given a short grace when the user interrupts, abandoned at the deadline.
    ///
    /// # Errors
    ///
    /// As [`Operation::check`].
    pub async fn run<F: Future>(&self, call: F, doing: &str) -> Result<F::Output, DeployError> {
        self.check(doing)?;
        let interrupted = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            output = call => Ok(output),
            () = interrupted => Err(self.cancelled(doing)),
            () = tokio::time::sleep_until(self.deadline) => Err(self.expired(doing)),
        }
    }

    fn cancelled(&self, doing: &str) -> DeployError {
        DeployError::Cancelled {
            doing: doing.to_owned(),
        }
    }

    fn expired(&self, doing: &str) -> DeployError {
        DeployError::Deadline {
            doing: doing.to_owned(),
            waited: self.started.elapsed(),
        }
    }
}
