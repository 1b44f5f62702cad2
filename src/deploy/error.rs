//! What can go wrong while AWS objects are made, in terms of AWS: facts as fields, the next step in the text.
//!
//! Values of the function's environment never enter an error.

use std::fmt;
use std::time::Duration;

use super::HookError;

/// A failed deployment step.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A finished function of that name exists, and it is not known to the caller. Nothing was touched.
    #[error(
        "a Lambda function named {function_name} already exists and is not managed here; import it with \
         `terraform import mcplambda_server.<name> {function_name}`, or choose another function name"
    )]
    AlreadyExists { function_name: String },

    /// An object of a name that is needed exists, without our tags.
    #[error(
        "the {object} {name} exists, but its tags do not say that it was made for the function {function_name} here; delete it, \
         or choose another function name"
    )]
    NotOurs {
        /// For example `IAM role`.
        object: &'static str,
        name: String,
        function_name: String,
    },

    /// Images cannot be put into, or taken out of, a repository.
    #[error("the image repository {repository} cannot be used: {reason}")]
    RepositoryUnusable { repository: String, reason: String },

    /// AWS refused a call for lack of permission. Never retried.
    #[error(
        "{0}; allow {service}:{action} for the credentials that Terraform runs with",
        service = .0.service,
        action = .0.action
    )]
    AccessDenied(Box<Refusal>),

    /// AWS refused a call for another reason, or kept refusing until the time was up.
    #[error("{0}")]
    Api(Box<Refusal>),

    /// No answer: connection refused or reset, name not resolved, timeout, unreadable answer.
    #[error(
        "{service}:{action} on {object} got no usable answer: {message}; check the network, the region and the endpoints"
    )]
    Unreachable {
        service: &'static str,
        action: &'static str,
        object: String,
        message: String,
    },

    /// The answer lacks a field that AWS documents.
    #[error("{service}:{action} answered without {field}; check that the endpoint is AWS")]
    Incomplete {
        service: &'static str,
        action: &'static str,
        field: &'static str,
    },

    /// The answer holds a value that is not known here.
    #[error(
        "{service}:{action} answered {field} = {value:?}, which this version of the provider does not know; update the provider"
    )]
    Unknown {
        service: &'static str,
        action: &'static str,
        field: &'static str,
        value: String,
    },

    /// Lambda could not decrypt the function's environment for the caller, so it cannot be compared.
    #[error(
        "the environment of {function_name} cannot be read: {code}: {message}; allow kms:Decrypt on its key for the credentials \
         that Terraform runs with"
    )]
    EnvironmentUnreadable {
        function_name: String,
        code: String,
        message: String,
    },

    /// The function's tags, which say whether it is ours, could not be read.
    #[error(
        "the tags of {function_name} cannot be read: {code}: {message}; allow lambda:ListTags for the credentials that Terraform \
         runs with"
    )]
    TagsUnreadable {
        function_name: String,
        code: String,
        message: String,
    },

    /// The role does not trust Lambda; waiting cannot help.
    #[error(
        "the role {role_arn} cannot be assumed by Lambda: its trust policy does not allow sts:AssumeRole to \
         lambda.amazonaws.com; add that statement to the role"
    )]
    RoleUntrusted { role_arn: String },

    /// The brought role does not exist; waiting cannot help.
    #[error("the role {role_arn} does not exist in this account; create it or correct role_arn")]
    RoleMissing { role_arn: String },

    /// Lambda reports that the function, or an update of it, failed.
    #[error("Lambda could not make {function_name}:{qualifier} ready: {reason_code}: {reason}")]
    FunctionFailed {
        function_name: String,
        qualifier: String,
        reason_code: String,
        reason: String,
    },

    /// There is no bucket of that name.
    #[error(
        "there is no S3 bucket named {bucket}; create it in {region}, or name another one in artifact_bucket"
    )]
    BucketMissing {
        bucket: String,
        /// The function's.
        region: String,
    },

    /// Lambda takes code from buckets of its own region only.
    #[error(
        "the S3 bucket {bucket} is in {}, and Lambda in {region} takes code only from buckets in {region}; name one there in \
         artifact_bucket",
        found.as_deref().unwrap_or("another region")
    )]
    BucketElsewhere {
        bucket: String,
        /// The bucket's region, if S3 told it.
        found: Option<String>,
        /// The function's.
        region: String,
    },

    /// `$LATEST` holds other code than the caller believed, and the zip was not given.
    #[error("the code of {function_name} is {found}, not {wanted}: the zip is needed")]
    CodeNeeded {
        function_name: String,
        found: String,
        wanted: String,
    },

    /// Lambda stored other bytes than were sent.
    #[error(
        "Lambda reports code {found} for {function_name}, but {wanted} was uploaded; another deployment may be running: run \
         `terraform apply` again"
    )]
    CodeMismatch {
        function_name: String,
        found: String,
        wanted: String,
    },

    /// The new version did not pass; the alias was not moved.
    #[error("version {version} of {function_name} does not work, and is not served: {source}")]
    Verify {
        function_name: String,
        version: String,
        source: HookError,
    },

    /// The time given for the operation is over.
    #[error("no time left after {} s while {doing}; raise `timeouts`, or run `terraform apply` again to continue", waited.as_secs())]
    Deadline {
        /// For example `waiting for version 3 to become Active (last seen: Pending)`.
        doing: String,
        waited: Duration,
    },

    /// The user interrupted.
    #[error("interrupted while {doing}; run `terraform apply` again to continue")]
    Cancelled { doing: String },
}

impl DeployError {
    /// The attribute that the user should look at, as named in the contract with users; `None` where none is known.
    pub fn attribute(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyExists { .. } | Self::NotOurs { .. } => Some("function_name"),
            Self::RoleUntrusted { .. } | Self::RoleMissing { .. } => Some("role_arn"),
            Self::BucketMissing { .. } | Self::BucketElsewhere { .. } => Some("artifact_bucket"),
            Self::RepositoryUnusable { .. } => Some("image_repository_url"),
            Self::Api(refusal) | Self::AccessDenied(refusal) => refusal.attribute(),
            Self::FunctionFailed { reason_code, .. } => attribute_of_reason(reason_code),
            Self::Deadline { .. } => Some("timeouts"),
            _ => None,
        }
    }
}

/// A call that AWS answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// IAM's prefix: `lambda`, `iam`, `logs`, `sqs`, `ecr`, `s3`.
    pub service: &'static str,
    /// As IAM names it, for example `CreateFunction`.
    pub action: &'static str,
    /// What was acted on, for example `arn:aws:iam::123456789012:role/time-eu-central-1` or a plain name.
    pub object: String,
    /// AWS's error code.
    pub code: String,
    /// AWS's text.
    pub message: String,
    /// For AWS Support; empty if there was none.
    pub request_id: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            action,
            object,
            code,
            message,
            request_id,
        } = self;
        write!(f, "{service}:{action} on {object}: {code}")?;
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        if !request_id.is_empty() {
            write!(f, " (request id {request_id})")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// The attribute that AWS complains about, as named in the contract with users.
    ///
    /// IAM's actions point to one attribute each; Lambda names its own parameter in the text.
    pub fn attribute(&self) -> Option<&'static str> {
        let says = |phrase: &str| self.message.to_lowercase().contains(phrase);
        match (self.action, self.code.as_str()) {
            _ if self.service == "s3" || self.is_of_s3() => Some("artifact_bucket"),
            (_, code) if is_access_denied(code) => None,
            ("PutRolePolicy", _) => Some("policy_json"),
            ("AttachRolePolicy" | "DetachRolePolicy", _) => Some("managed_policy_arns"),
            ("PutRolePermissionsBoundary" | "DeleteRolePermissionsBoundary", _) => {
                Some("permissions_boundary")
            }
            ("PutFunctionConcurrency", _) => Some("reserved_concurrency"),
            ("PutRetentionPolicy", _) => Some("log_retention_days"),
            ("CreateAlias" | "UpdateAlias", _) => Some("alias"),
            ("CreateFunctionUrlConfig" | "UpdateFunctionUrlConfig" | "AddPermission", _) => {
                Some("function_url")
            }
            (
                "CreateFunction" | "UpdateFunctionConfiguration" | "UpdateFunctionCode",
                "InvalidParameterValueException" | "ValidationException",
            ) => [
                ("role", "role_arn"),
                ("subnet", "vpc_config"),
                ("security group", "vpc_config"),
                ("vpc", "vpc_config"),
                ("memorysize", "memory"),
                ("ephemeral", "ephemeral_storage"),
                ("timeout", "timeout"),
                ("runtime", "runtime"),
                ("environment", "env"),
                ("description", "description"),
                ("architecture", "architecture"),
            ]
            .into_iter()
            .find_map(|(phrase, attribute)| says(phrase).then_some(attribute)),
            _ => None,
        }
    }
}

impl Refusal {
    /// Lambda hands on why it could not take the code from S3, which it reads as the caller.
    pub(crate) fn is_of_s3(&self) -> bool {
        self.service == "lambda"
            && (self.message.contains("S3 Error Code") || self.message.contains("denied by S3"))
    }
}

/// The services disagree about the name of a refusal for lack of permission.
pub(crate) fn is_access_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "AWS.SimpleQueueService.AccessDenied"
    )
}

/// Lambda's `StateReasonCode` and `LastUpdateStatusReasonCode`, as far as they point to something that users write.
fn attribute_of_reason(code: &str) -> Option<&'static str> {
    match code {
        "EniLimitExceeded"
        | "InvalidSubnet"
        | "SubnetOutOfIPAddresses"
        | "InvalidSecurityGroup" => Some("vpc_config"),
        "InsufficientRolePermissions" => Some("role_arn"),
        "InvalidRuntime" => Some("runtime"),
        _ => None,
    }
}
