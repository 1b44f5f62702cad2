//! What is true: everything that belongs to one function, as AWS answers, and where it differs from what would be made here.

use std::collections::{BTreeMap, BTreeSet};

use super::wanted::{Architecture, FunctionUrl, LogFormat, Tracing, Vpc};

/// Everything managed for one function, seen through its alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Without qualifier.
    pub arn: String,
    /// Through the alias, whether or not it exists now.
    pub qualified_arn: String,
    /// What API Gateway integrations take, through the alias.
    pub invoke_arn: String,
    /// What the alias points to; `None` when there is no alias, and then everything below is of `$LATEST`.
    pub version: Option<String>,
    pub configuration: Configuration,
    /// Base64.
    pub code_sha256: String,
    /// Bytes of the zip.
    pub code_size: i64,
    pub reserved_concurrency: Option<i32>,
    /// The function's, without ours.
    pub tags: BTreeMap<String, String>,
    pub role: FoundRole,
    pub log_group: Option<FoundLogGroup>,
    pub queue: Option<FoundQueue>,
    /// That of the alias.
    pub url: Option<FoundUrl>,
    /// A creation that was never finished: there is no alias that was ever served.
    pub unfinished: bool,
    /// Empty when everything is as it would be made.
    pub drift: Vec<Drift>,
}

/// The part of a function's configuration that is published with a version.
#[derive(Clone, PartialEq, Eq)]
pub struct Configuration {
    pub description: String,
    /// `Zip` or `Image`.
    pub package_type: String,
    /// `None` for images.
    pub runtime: Option<String>,
    /// `None` for images.
    pub handler: Option<String>,
    pub architecture: Architecture,
    /// MB.
    pub memory: i32,
    /// Seconds.
    pub timeout: i32,
    /// MB.
    pub ephemeral_storage: i32,
    pub environment: BTreeMap<String, String>,
    pub vpc: Option<Vpc>,
    /// Queue or topic.
    pub dead_letter_target_arn: Option<String>,
    pub role_arn: String,
    pub log_format: LogFormat,
    /// Name of the log group that it writes to.
    pub log_group: String,
    pub tracing: Tracing,
    /// Layer version ARNs, in order.
    pub layers: Vec<String>,
}

/// Hides the environment's values: a configuration may appear in logs.
impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration")
            .field("description", &self.description)
            .field("package_type", &self.package_type)
            .field("runtime", &self.runtime)
            .field("handler", &self.handler)
            .field("architecture", &self.architecture)
            .field("memory", &self.memory)
            .field("timeout", &self.timeout)
            .field("ephemeral_storage", &self.ephemeral_storage)
            .field("environment", &self.environment.keys())
            .field("vpc", &self.vpc)
            .field("dead_letter_target_arn", &self.dead_letter_target_arn)
            .field("role_arn", &self.role_arn)
            .field("log_format", &self.log_format)
            .field("log_group", &self.log_group)
            .field("tracing", &self.tracing)
            .field("layers", &self.layers)
            .finish()
    }
}

/// The role that the served version runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRole {
    /// Not of our name: the user's own, not looked into.
    Brought { arn: String },
    /// Of our name, but it is gone or does not carry our tags.
    Lost { arn: String },
    Managed {
        arn: String,
        /// The user's inline policy, as IAM returns it (decoded).
        policy_json: Option<String>,
        managed_policy_arns: BTreeSet<String>,
        permissions_boundary: Option<String>,
    },
}

impl FoundRole {
    pub fn arn(&self) -> &str {
        match self {
            Self::Brought { arn } | Self::Lost { arn } | Self::Managed { arn, .. } => arn,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLogGroup {
    pub name: String,
    /// Days; `None` keeps logs for ever.
    pub retention_days: Option<i32>,
    /// Carries our tag; one that does not is used, and never deleted.
    pub ours: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundQueue {
    pub arn: String,
    pub url: String,
    /// With SQS's own key or with one of KMS.
    pub encrypted: bool,
    /// Carries our tag; one that does not is never touched.
    pub ours: bool,
}

/// A function URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUrl {
    /// `https://….lambda-url.<region>.on.aws/`; Lambda chooses it.
    pub address: String,
    pub config: FunctionUrl,
}

/// One difference between what is and what would be made; the next [`converge`](super::converge()) removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub kind: DriftKind,
    /// A sentence for people, with names.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftKind {
    /// The managed role is gone or lost our tags.
    RoleMissing,
    /// Trust or base policy changed, or it carries inline policies that are not ours.
    RoleChanged,
    AliasMissing,
    /// The alias points to `$LATEST`, or to two versions.
    AliasMoved,
    /// `$LATEST` has another configuration than the version that is served.
    LatestConfiguration,
    /// `$LATEST` has other code than the version that is served.
    LatestCode,
    /// The last update of `$LATEST` failed.
    LatestFailed,
    LogGroupMissing,
    /// The served version writes to another log group.
    LogGroupNotWired,
    QueueMissing,
    QueueUnencrypted,
    /// The queue keeps messages for another time than it would be made with.
    QueueChanged,
    /// The queue is there, but the served version does not send to it.
    QueueNotWired,
    /// The image repository that the function uses is gone or lost our tag.
    RepositoryMissing,
    /// The managed image repository is there, and the function's image lies elsewhere.
    RepositoryLeft,
    /// A statement that lets everybody call the function URL is missing, changed, or there without need.
    UrlPermission,
}
