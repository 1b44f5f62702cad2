//! Waits until Lambda has done what it accepted: `State` after a creation or publication, `LastUpdateStatus` after an update.
//!
//! Polls after half a second at first, backing off to five; the operation's deadline bounds the whole. `Failed` is an error with
//! Lambda's reason, never the end of a wait.
//!
//! Source: AWS Lambda Developer Guide, "Lambda function states".

use std::time::Duration;

use aws_sdk_lambda::types::{LastUpdateStatus, State};

use super::snapshot::{Reason, Snapshot};
use super::{Aws, DeployError, Operation, function};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// A new function, or a new version, can be invoked. `LastUpdateStatus` is not looked at: there was no update.
    Active,
    /// An update of `$LATEST` is in force. No `LastUpdateStatus` counts as "in progress", as the AWS provider has it.
    Updated,
    /// Nothing is running, whatever came of it: before changes, when an earlier run may have left something under way.
    Quiet,
}

enum Verdict {
    Ready,
    /// With what to name in logs and errors.
    NotYet(String),
    Failed(Reason),
}

/// Waits from `last`, the answer to the call that began it, and returns the description that fulfils `until`.
///
/// # Errors
///
/// [`DeployError::FunctionFailed`] as soon as Lambda gives up; [`DeployError::Deadline`] with the last state seen.
pub(crate) async fn until(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    until: Until,
    last: Snapshot,
) -> Result<Snapshot, DeployError> {
    let mut last = last;
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = match judge(&last, until) {
            Verdict::Ready => return Ok(last),
            Verdict::NotYet(seen) => seen,
            Verdict::Failed(reason) => {
                return Err(DeployError::FunctionFailed {
                    function_name: function_name.to_owned(),
                    qualifier: last.version,
                    reason_code: reason.code,
                    reason: reason.text,
                });
            }
        };
        let qualifier = last.version;
        tracing::info!(function_name, qualifier, seen, "waiting for Lambda");
        let doing = format!("waiting for {function_name}:{qualifier} (last seen: {seen})");
        op.sleep(pause, &doing).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
        last = function::describe(aws, op, function_name, &qualifier).await?;
    }
}

fn judge(function: &Snapshot, until: Until) -> Verdict {
    let state = function.state.as_ref();
    let update = function.last_update.as_ref();
    match until {
        Until::Active => match state {
            // Idle functions are `Inactive`: the next call wakes them.
            Some(State::Active | State::ActiveNonInvocable | State::Inactive) => Verdict::Ready,
            Some(State::Failed) => Verdict::Failed(function.state_reason.clone()),
            other => Verdict::NotYet(format!("State {}", name(other.map(State::as_str)))),
        },
        Until::Updated => match update {
            Some(LastUpdateStatus::Successful) => Verdict::Ready,
            Some(LastUpdateStatus::Failed) => Verdict::Failed(function.last_update_reason.clone()),
            other => Verdict::NotYet(format!(
                "LastUpdateStatus {}",
                name(other.map(LastUpdateStatus::as_str))
            )),
        },
        Until::Quiet => match (state, update) {
            (Some(state @ (State::Pending | State::Deleting | State::Deactivating)), _) => {
                Verdict::NotYet(format!("State {}", state.as_str()))
            }
            (_, Some(update @ LastUpdateStatus::InProgress)) => {
                Verdict::NotYet(format!("LastUpdateStatus {}", update.as_str()))
            }
            _ => Verdict::Ready,
        },
    }
}

fn name(value: Option<&str>) -> &str {
    value.unwrap_or("not given")
}
