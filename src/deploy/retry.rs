//! What is waited out and what is not: each AWS call of this room goes through [`call`].
//!
//! The SDK retries throttling and server errors a few times (`max_retries`). Here comes what needs minutes, not milliseconds: long
//! throttling, an update of the function that is still running, and new roles that Lambda does not see yet.
//! Lambda and IAM tell some of these only in words; each phrase is in one predicate, with a test.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use tokio::time::Instant;

use super::error::is_access_denied;
use super::{DeployError, Operation, Refusal};

/// How long a conflict with a running update is waited out, and how long Lambda may not see a new role.
/// The AWS provider takes the same five minutes.
pub(crate) const CONFLICT: Duration = Duration::from_secs(300);
/// How long Lambda may not see a role or its permissions.
pub(crate) const PROPAGATION: Duration = Duration::from_secs(300);
/// EC2 throttles Lambda for longer when many functions enter a VPC: the AWS provider adds nine minutes.
pub(crate) const EC2_THROTTLE: Duration = Duration::from_secs(300 + 540);
/// How long a role may seem untrusting or missing, because it is being made in the same apply.
pub(crate) const ROLE_GRACE: Duration = Duration::from_secs(30);
/// How long IAM may not see a role or policy that was just made.
const IAM_GRACE: Duration = Duration::from_secs(20);
/// SQS refuses a name for 60 s after a queue of that name was deleted.
const QUEUE_NAME: Duration = Duration::from_secs(90);

/// How sure the caller is that an object exists, where looking needs a permission that not everybody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It is wanted, or the function uses it: not being allowed to look is an error.
    Present,
    /// One may be left over. Credentials that may not even look have made none: that counts as "there is none".
    Perhaps,
}

impl Expect {
    pub(crate) fn present_if(used: bool) -> Self {
        match used {
            true => Self::Present,
            false => Self::Perhaps,
        }
    }
}

/// One call, as it is named in errors and logs.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) action: &'static str,
    pub(crate) object: String,
}

impl Call {
    pub(crate) fn lambda(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("lambda", action, object)
    }

    pub(crate) fn iam(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("iam", action, object)
    }

    pub(crate) fn logs(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("logs", action, object)
    }

    pub(crate) fn sqs(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("sqs", action, object)
    }

    /// `action` is the permission's name, which S3's operations do not always have.
    pub(crate) fn s3(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("s3", action, object)
    }

    pub(crate) fn ecr(action: &'static str, object: impl Into<String>) -> Self {
        Self::new("ecr", action, object)
    }

    fn new(service: &'static str, action: &'static str, object: impl Into<String>) -> Self {
        Self {
            service,
            action,
            object: object.into(),
        }
    }

    /// For messages of the form "interrupted while ...".
    pub(crate) fn doing(&self) -> String {
        format!(
            "calling {}:{} on {}",
            self.service, self.action, self.object
        )
    }

    /// An answer that holds a value which is not known here.
    pub(crate) fn unknown(&self, field: &'static str, value: &str) -> DeployError {
        DeployError::Unknown {
            service: self.service,
            action: self.action,
            field,
            value: value.to_owned(),
        }
    }

    /// The answer's field, which AWS documents as always there.
    pub(crate) fn field<T>(&self, value: Option<T>, field: &'static str) -> Result<T, DeployError> {
        value.ok_or(DeployError::Incomplete {
            service: self.service,
            action: self.action,
            field,
        })
    }
}

/// A call that failed, before it is decided what that means.
#[derive(Debug)]
pub(crate) enum Fault {
    /// AWS answered with an error.
    Refused(Box<Refusal>),
    /// Everything else, final.
    Final(DeployError),
}

impl Fault {
    /// Whether AWS refused with one of these codes.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused(refusal) if codes.contains(&refusal.code.as_str()))
    }

    /// The object of the call does not exist, in any service's words.
    pub(crate) fn is_not_found(&self) -> bool {
        self.is(&[
            "ResourceNotFoundException",
            "NoSuchEntity",
            "NoSuchEntityException",
            "QueueDoesNotExist",
            "RepositoryNotFoundException",
            "AWS.SimpleQueueService.NonExistentQueue",
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchVersion",
        ])
    }

    pub(crate) fn is_access_denied(&self) -> bool {
        matches!(self, Self::Refused(refusal) if is_access_denied(&refusal.code))
    }

    /// Whether AWS's text holds a phrase.
    pub(crate) fn says(&self, phrase: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.message.contains(phrase))
    }

    /// The object of the call exists already: not ours to overwrite before its tags are read.
    pub(crate) fn is_already_there(&self) -> bool {
        self.is(&[
            "EntityAlreadyExists",
            "EntityAlreadyExistsException",
            "ResourceAlreadyExistsException",
            "RepositoryAlreadyExistsException",
        ]) || (self.is(&["ResourceConflictException"])
            && (self.says("already exist") || self.says("FunctionUrlConfig exists")))
    }

    /// How long it is worth to try again, and why; `None` for what waiting cannot help.
    fn patience(&self) -> Option<(&'static str, Duration)> {
        if self.is_throttling() {
            Some(("throttling", Duration::MAX))
        } else if self.is(&["ResourceConflictException"]) && !self.is_already_there() {
            Some(("an update that is still running", CONFLICT))
        } else if self.is(&[
            "ConcurrentModification",
            "ConcurrentModificationException",
            "OperationAbortedException",
            "OperationAborted",
        ]) {
            Some(("another change of the same object", CONFLICT))
        } else if self.is(&[
            "QueueDeletedRecently",
            "AWS.SimpleQueueService.QueueDeletedRecently",
        ]) {
            Some(("SQS to free the name of a deleted queue", QUEUE_NAME))
        } else if self.is(&["DeleteConflict", "DeleteConflictException"]) {
            Some(("IAM to see what was detached", IAM_GRACE))
        } else {
            None
        }
    }

    /// Too many calls, in any service's words. Quotas (`LimitExceeded`) are not meant: they do not go away.
    fn is_throttling(&self) -> bool {
        self.is(&[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "SlowDown",
            "ServiceUnavailable",
        ])
    }

    /// Why Lambda cannot use the role yet, and how long that may last; `None` for everything else.
    ///
    /// Lambda answers `InvalidParameterValueException` to all of these; only the text tells them from a bad parameter.
    pub(crate) fn propagation(&self) -> Option<(Propagation, Duration)> {
        if !self.is(&["InvalidParameterValueException"]) {
            None
        } else if self.says("cannot be assumed by Lambda") {
            Some((Propagation::Trust, PROPAGATION))
        } else if self.says("execution role does not have permissions") {
            Some((Propagation::Permissions, PROPAGATION))
        } else if self.says("KMS key is invalid for CreateGrant") {
            Some((Propagation::Grant, PROPAGATION))
        } else if self.says("throttled by EC2") {
            Some((Propagation::Ec2, EC2_THROTTLE))
        } else {
            None
        }
    }
}

/// What Lambda is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// The role, or its trust policy.
    Trust,
    /// The role's policies.
    Permissions,
    /// The role's identity in KMS.
    Grant,
    /// EC2, which throttles.
    Ec2,
}

impl From<Fault> for DeployError {
    fn from(fault: Fault) -> Self {
        match fault {
            // The permission that S3 wants is named in Lambda's text; it is not the one that was used.
            Fault::Refused(refusal) if is_access_denied(&refusal.code) && !refusal.is_of_s3() => {
                Self::AccessDenied(refusal)
            }
            Fault::Refused(refusal) => Self::Api(refusal),
            Fault::Final(error) => error,
        }
    }
}

impl From<DeployError> for Fault {
    fn from(error: DeployError) -> Self {
        Self::Final(error)
    }
}

/// Makes one call, again and again while [`Fault::patience`] lasts.
pub(crate) async fn call<T, E, F, Sent>(op: &Operation, call: &Call, send: F) -> Result<T, Fault>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Fn() -> Sent,
    Sent: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let started = Instant::now();
    let mut backoff = Backoff::new(&call.object);
    loop {
        let fault = match op.run(send(), &call.doing()).await? {
            Ok(answer) => return Ok(answer),
            Err(error) => fault_of(call, error),
        };
        match fault.patience() {
            Some((why, limit)) if started.elapsed() < limit => {
                backoff.pause(op, call, why).await?;
            }
            _ => return Err(fault),
        }
    }
}

/// As [`call`], and also waits for IAM to see a role or policy that was just made.
pub(crate) async fn call_iam<T, E, F, Sent>(
    op: &Operation,
    iam_call: &Call,
    send: F,
) -> Result<T, Fault>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Fn() -> Sent,
    Sent: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let started = Instant::now();
    let mut backoff = Backoff::new(&iam_call.object);
    loop {
        match call(op, iam_call, &send).await {
            Err(fault) if fault.is_not_found() && started.elapsed() < IAM_GRACE => {
                backoff.pause(op, iam_call, "IAM to see the object").await?;
            }
            other => return other,
        }
    }
}

fn fault_of<E>(call: &Call, error: SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Call {
        service,
        action,
        object,
    } = call.clone();
    // Without a code it is not AWS that answered: a proxy's page, for example.
    if let Some(service_error) = error.as_service_error()
        && let Some(code) = service_error.code()
    {
        return Fault::Refused(Box::new(Refusal {
            service,
            action,
            object,
            code: code.to_owned(),
            message: service_error.message().unwrap_or_default().to_owned(),
            request_id: error.request_id().unwrap_or_default().to_owned(),
        }));
    }
    let status = error
        .raw_response()
        .map(|response| format!("HTTP status {}: ", response.status().as_u16()));
    Fault::Final(DeployError::Unreachable {
        service,
        action,
        object,
        message: format!("{}{}", status.unwrap_or_default(), causes(&error)),
    })
}

/// The error and its causes in words. Never their `Debug` form: it shows whole answers, with the environment in them.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Pauses of 1 s, doubling to 15 s, each up to a quarter shorter by a hash of what is called: many functions that are throttled
/// together do not come back together, and tests still know when.
pub(crate) struct Backoff {
    next: Duration,
    seed: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(15);

    pub(crate) fn new(object: &str) -> Self {
        // FNV-1a; any spread will do.
        let seed = object.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            next: Self::FIRST,
            seed,
        }
    }

    pub(crate) async fn pause(
        &mut self,
        op: &Operation,
        call: &Call,
        why: &str,
    ) -> Result<(), DeployError> {
        let pause = self.next.mul_f64(1.0 - (self.seed % 256) as f64 / 1024.0);
        self.seed = self.seed.rotate_right(8);
        self.next = (self.next * 2).min(Self::LONGEST);
        tracing::info!(
            service = call.service,
            action = call.action,
            object = call.object,
            pause_ms = pause.as_millis(),
            "waiting for {why}"
        );
        op.sleep(pause, &format!("waiting for {why} before {}", call.doing()))
            .await
    }
}
