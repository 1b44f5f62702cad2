//! The AWS objects behind one server: what is wanted goes in, what is true comes out.
//!
//! Enters: [`Wanted`], plain values with the zip. Leaves: [`Deployed`] after [`converge`], [`Found`] after [`read`]. Refuses
//! to touch a function, role or queue that it did not make, and knows neither how the code was packaged nor what it does.
//!
//! # Layout
//!
//! One file per AWS object (`role`, `log_group`, `dead_letter`, `artifact_bucket`, `image_repo`, `function`, `version`, `alias`, `url`), each with the same few verbs: read,
//! ensure, remove. [`converge()`], [`read()`] and [`destroy()`] put them in order. [`policy`], [`names`], [`tags`] and `repository_url` are pure. `retry`
//! and `wait` decide what is waited out, [`Operation`] how long. `snapshot` parses what Lambda says about a function.
//!
//! # Invariants
//!
//! - Every object has a deterministic name and our tag, so a run that was killed anywhere is finished by the next one.
//! - Permissions are widened before the alias moves and narrowed after, and nothing that the served version uses is removed before.
//! - The alias moves only after the caller's hook accepted the new version.

pub mod alias;
pub mod artifact_bucket;
mod converge;
mod dead_letter;
mod destroy;
mod error;
mod found;
mod function;
pub mod image_repo;
mod log_group;
pub mod names;
mod operation;
pub mod policy;
mod read;
mod repository_url;
mod retry;
mod role;
mod snapshot;
pub mod tags;
mod url;
mod version;
mod wait;
mod wanted;

pub use converge::{check_free, converge};
pub use destroy::destroy;
pub use error::{DeployError, Refusal};
pub use found::{
    Configuration, Drift, DriftKind, Found, FoundLogGroup, FoundQueue, FoundRole, FoundUrl,
};
pub use function::code_location;
pub use operation::Operation;
pub use read::{read, remnants};
pub use repository_url::{RepositoryUrl, RepositoryUrlError};
pub use wanted::{
    Architecture, Code, Cors, FunctionUrl, InvokeMode, LogFormat, Repository, Role, Tracing,
    UrlAuth, Vpc, Wanted,
};

/// AWS clients of one account and region, with the facts that ARNs are made of.
///
/// The clients carry the caller's retry settings (`max_retries`), endpoints and credentials; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Aws {
    pub lambda: aws_sdk_lambda::Client,
    pub iam: aws_sdk_iam::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub ecr: aws_sdk_ecr::Client,
    pub s3: aws_sdk_s3::Client,
    /// Twelve digits.
    pub account_id: String,
    /// For example `eu-central-1`.
    pub region: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
}

/// Whether the caller believes that the function exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is known: a finished function of that name is refused, an unfinished one is adopted.
    Create,
    /// The function is known: it is brought to what is wanted from whatever is there, and made anew if it is gone.
    Update,
}

/// The version that the hook of [`converge()`] is to try, before the alias moves to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub function_name: String,
    /// Version number, for example `7`: the qualifier to invoke.
    pub version: String,
}

/// What the hook of [`converge()`] may fail with; kept as the source of [`DeployError::Verify`], where it can be downcast.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

/// What is deployed. After a failure: what is known to exist, which may be less than all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Without qualifier.
    pub arn: String,
    /// Through the alias.
    pub qualified_arn: String,
    /// What API Gateway integrations take, through the alias.
    pub invoke_arn: String,
    /// Version that the alias points to; `None` only after a failure, while there is no alias.
    pub version: Option<String>,
    pub role_arn: String,
    pub log_group_name: String,
    pub dead_letter_queue_arn: Option<String>,
    /// Of the alias.
    pub url: Option<String>,
    /// Base64, of the version that the alias points to (of `$LATEST` while there is no alias); `None` only after a failure,
    /// while there is no function.
    pub code_sha256: Option<String>,
    /// Bytes of the zip, of the same version.
    pub code_size: Option<i64>,
    /// Why a package that was sent through a bucket still lies there; nothing else is wrong.
    pub left_in_bucket: Option<String>,
}

/// A [`converge()`] that did not finish.
#[derive(Debug)]
pub struct Failed {
    /// `None` if nothing was made: there is nothing to remember or to clean up.
    pub partial: Option<Box<Deployed>>,
    pub error: DeployError,
}
