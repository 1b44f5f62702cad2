//! Why the provider cannot work with a configuration.
//!
//! Enters: facts as fields. Leaves: a title, a text with the next step in it, and the attribute to point at.

use super::http_client;

/// Why the provider cannot work with this configuration. The text holds the next step.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "no AWS region is configured: set region in the provider block, AWS_REGION in the environment, or region in \
         the profile"
    )]
    NoRegion,
    #[error("{complaint}")]
    InvalidRegion { region: String, complaint: String },
    #[error(transparent)]
    CaBundle(#[from] http_client::CaBundleError),
    #[error(
        "no AWS credentials were found. Tried, in this order:{}{}\n\nSign in (for example with \"aws sso login\"), \
         export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile.",
        list(tried),
        absent(missing_files)
    )]
    NoCredentials {
        /// Place and reason.
        tried: Vec<(String, String)>,
        /// Files of the configuration that do not exist.
        missing_files: Vec<String>,
        /// The profile that the configuration names.
        profile: Option<String>,
    },
    #[error("AWS credentials could not be loaded: {reason}")]
    CredentialsFailed { reason: String },
    #[error(
        "{role_arn} cannot be assumed: {reason}\n\nThe role must exist, its trust policy must name the caller{}, and the \
         caller must be allowed to call sts:AssumeRole on it.",
        if *index > 0 { " (here the role of the block before)" } else { "" }
    )]
    AssumeRole {
        index: usize,
        role_arn: String,
        reason: String,
    },
    #[error(
        "the AWS session has expired ({code}: {message}). Sign in again (for example with \"aws sso login\")."
    )]
    Expired { code: String, message: String },
    #[error(
        "AWS does not accept these credentials in {region} ({code}: {message}). Check that the access key exists, that \
         it belongs to the partition of {region}, and that the region is enabled for the account."
    )]
    Rejected {
        code: String,
        message: String,
        region: String,
    },
    #[error(
        "AWS STS could not be reached at {endpoint}: {reason}\n\nCheck that \"{region}\" is an AWS region, that this \
         machine has a way out (HTTPS_PROXY is honoured), and any endpoint set in the configuration or environment."
    )]
    Unreachable {
        endpoint: String,
        region: String,
        reason: String,
        endpoint_configured: bool,
    },
    #[error("AWS STS could not tell whose credentials these are: {reason}")]
    UnknownCaller { reason: String },
    #[error(
        "the credentials belong to AWS account {account_id}, which is not in allowed_account_ids ({}). Use credentials of an \
         allowed account, or add it.",
        allowed.join(", ")
    )]
    AccountNotAllowed {
        account_id: String,
        allowed: Vec<String>,
    },
    #[error(
        "the credentials belong to AWS account {account_id}, which forbidden_account_ids names. Use another account."
    )]
    AccountForbidden { account_id: String },
}

impl ConfigError {
    /// The provider attribute that the error is about: names, with the position of an `assume_role` block.
    #[must_use]
    pub fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::NoRegion | Self::InvalidRegion { .. } => Some(Attribute::Region),
            Self::NoCredentials {
                profile: Some(_), ..
            } => Some(Attribute::Profile),
            Self::AssumeRole { index, .. } => Some(Attribute::AssumeRole(*index)),
            Self::Unreachable {
                endpoint_configured: true,
                ..
            } => Some(Attribute::StsEndpoint),
            Self::Unreachable { .. } => Some(Attribute::Region),
            Self::AccountNotAllowed { .. } => Some(Attribute::AllowedAccountIds),
            Self::AccountForbidden { .. } => Some(Attribute::ForbiddenAccountIds),
            Self::CaBundle(_)
            | Self::NoCredentials { .. }
            | Self::CredentialsFailed { .. }
            | Self::Expired { .. }
            | Self::Rejected { .. }
            | Self::UnknownCaller { .. } => None,
        }
    }

    /// A title for the diagnostic, without a full stop.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match self {
            Self::NoRegion => "No AWS region",
            Self::InvalidRegion { .. } => "Invalid AWS region",
            Self::CaBundle(_) => "Certificate bundle cannot be used",
            Self::NoCredentials { .. } => "No AWS credentials",
            Self::CredentialsFailed { .. } => "AWS credentials could not be loaded",
            Self::AssumeRole { .. } => "Role cannot be assumed",
            Self::Expired { .. } => "AWS session has expired",
            Self::Rejected { .. } => "AWS credentials not accepted",
            Self::Unreachable { .. } => "AWS STS could not be reached",
            Self::UnknownCaller { .. } => "AWS account could not be determined",
            Self::AccountNotAllowed { .. } => "AWS account not allowed",
            Self::AccountForbidden { .. } => "AWS account forbidden",
        }
    }
}

/// The attribute a [`ConfigError`] points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    Region,
    Profile,
    /// Position of the block, from 0; its `role_arn`.
    AssumeRole(usize),
    /// `endpoints { sts }`.
    StsEndpoint,
    AllowedAccountIds,
    ForbiddenAccountIds,
}

fn list(tried: &[(String, String)]) -> String {
    tried
        .iter()
        .map(|(place, reason)| format!("\n  - {place}: {reason}"))
        .collect()
}

fn absent(files: &[String]) -> String {
    if files.is_empty() {
        String::new()
    } else {
        format!("\nFiles that do not exist: {}.", files.join(", "))
    }
}
