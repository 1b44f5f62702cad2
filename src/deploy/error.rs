//! What can go wrong while AWS objects are made, in terms of AWS: facts as fields, the next step in the text.
//!
//! Values of the function's environment never enter an error.

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

    /// The function that was to be updated does not exist.
    #[error(
        "the Lambda function {function_name} no longer exists; run `terraform apply` again to create it"
    )]
    Gone { function_name: String },

    /// An object of a name that is needed exists, without our tags.
    #[error(
        "the {object} {name} exists, but was not made for the function {function_name} here (it lacks the tag \
         mcplambda:function = {function_name}); rename or delete it, or choose another function name"
    )]
    NotOurs {
        /// For example `IAM role`.
        object: &'static str,
        name: String,
        function_name: String,
    },

    /// AWS refused a call for lack of permission. Never retried.
    #[error(
        "not allowed to call {service}:{action} on {object}: {message} (request id {request_id}); allow {service}:{action} for the \
         credentials that Terraform runs with"
    )]
    AccessDenied {
        /// IAM's prefix: `lambda`, `iam`, `logs`, `sqs`.
        service: &'static str,
        action: &'static str,
        object: String,
        message: String,
        request_id: String,
    },

    /// AWS refused a call for another reason, or kept refusing until the time was up.
    #[error("{service}:{action} on {object} failed: {code}: {message} (request id {request_id})")]
    Api {
        service: &'static str,
        action: &'static str,
        object: String,
        code: String,
        message: String,
        request_id: String,
        /// Our name for the attribute that AWS complains about, where it is known.
        attribute: Option<&'static str>,
    },

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
            Self::Api { attribute, .. } => *attribute,
            Self::FunctionFailed { reason_code, .. } => attribute_of_reason(reason_code),
            Self::Deadline { .. } => Some("timeouts"),
            _ => None,
        }
    }
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
