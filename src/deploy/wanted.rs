//! What is wanted, as plain values: validated by the caller, compared and applied here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything that [`converge`](super::converge()) brings about for one function.
#[derive(Clone)]
pub struct Wanted {
    /// 1-64 characters of `[a-zA-Z0-9-_]`; the identity of everything here.
    pub function_name: String,
    /// At most 256 characters; may be empty.
    pub description: String,
    pub role: Role,
    /// Lambda's identifier, for example `python3.13`; `None` for images.
    pub runtime: Option<String>,
    /// `None` for images.
    pub handler: Option<String>,
    pub architecture: Architecture,
    /// MB, 128-10240.
    pub memory: i32,
    /// Seconds, 1-900.
    pub timeout: i32,
    /// MB of `/tmp`, 512-10240.
    pub ephemeral_storage: i32,
    /// Never logged and never part of an error.
    pub environment: BTreeMap<String, String>,
    /// ARNs of layer versions, at most five; later ones win.
    pub layers: Vec<String>,
    pub vpc: Option<Vpc>,
    pub dead_letter_queue: bool,
    /// `None`: the account's unreserved pool.
    pub reserved_concurrency: Option<i32>,
    /// Days; `None` keeps logs for ever.
    pub log_retention_days: Option<i32>,
    pub log_format: LogFormat,
    pub tracing: Tracing,
    pub alias: String,
    /// `None`: the alias has no URL.
    pub url: Option<FunctionUrl>,
    /// The user's, merged with the provider's defaults; set on every object. Keys of ours (`mcplambda:`) are refused by the caller.
    pub tags: BTreeMap<String, String>,
    /// `None` says that the code is not to change; [`DeployError::CodeNeeded`](super::DeployError::CodeNeeded) comes back,
    /// before anything is changed, if `$LATEST` holds other code than `code_sha256` and the code is needed after all.
    pub code: Option<Code>,
    /// Bucket of the user's in the function's region; what earlier runs have left in it for this function is removed.
    pub artifact_bucket: Option<String>,
    /// Where the image lies, if the code is one.
    pub repository: Option<Repository>,
    /// As Lambda reports `CodeSha256`: base64 SHA-256 of a zip; of an image the hexadecimal digits of its digest.
    pub code_sha256: String,
}

/// What Lambda is to run.
#[derive(Clone, PartialEq, Eq)]
pub enum Code {
    /// Sent in the request.
    Zip(Vec<u8>),
    /// Too large for a request: sent through a bucket, that of [`Wanted::artifact_bucket`].
    ZipThrough { bucket: String, zip: Vec<u8> },
    /// `<repository>@sha256:…` in ECR.
    Image(String),
}

impl Wanted {
    /// Lambda's identifier: functions with a runtime are zips.
    pub fn package_type(&self) -> &'static str {
        if self.runtime.is_some() {
            "Zip"
        } else {
            "Image"
        }
    }
}

/// Hides the environment and the zip: `Wanted` may appear in logs.
impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("function_name", &self.function_name)
            .field("runtime", &self.runtime)
            .field("environment", &self.environment.keys())
            .field("code_sha256", &self.code_sha256)
            .finish_non_exhaustive()
    }
}

/// The role that the function runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user's own; never read for drift, never changed.
    Brought(String),
    /// Made, kept exact and removed here.
    Managed {
        /// Second inline policy, beside the base one.
        policy_json: Option<String>,
        /// Attached, exactly these.
        managed_policy_arns: Vec<String>,
        permissions_boundary: Option<String>,
    },
}

/// Where a function's images lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repository {
    /// The user's own; never changed.
    Brought,
    /// Made, kept and removed here.
    Managed,
}

/// Instruction set of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    /// Lambda's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Where the function's network interfaces are; sets, so order and repetition mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    pub subnet_ids: BTreeSet<String>,
    pub security_group_ids: BTreeSet<String>,
}

/// How Lambda and the runtime write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    /// Lambda's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// Which calls AWS X-Ray gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// Those that the caller has sampled.
    PassThrough,
    /// Those, and what Lambda samples itself.
    Active,
}

impl Tracing {
    /// Lambda's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PassThrough => "PassThrough",
            Self::Active => "Active",
        }
    }
}

/// An HTTPS endpoint of the alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionUrl {
    pub auth: UrlAuth,
    pub invoke_mode: InvokeMode,
    /// What Lambda itself answers browsers; `None` leaves that to the function.
    pub cors: Option<Cors>,
}

/// Who may call a function URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlAuth {
    /// Requests signed by those whose own policies allow it.
    AwsIam,
    /// Everybody.
    None,
}

impl UrlAuth {
    /// Lambda's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwsIam => "AWS_IAM",
            Self::None => "NONE",
        }
    }
}

/// When a function URL passes on what the function answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokeMode {
    /// When the answer is whole.
    Buffered,
    /// As it comes.
    ResponseStream,
}

impl InvokeMode {
    /// Lambda's identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "BUFFERED",
            Self::ResponseStream => "RESPONSE_STREAM",
        }
    }
}

/// Cross-origin resource sharing as Lambda answers it; sets, so order and repetition mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    pub allow_credentials: bool,
    /// In lower case.
    pub allow_headers: BTreeSet<String>,
    pub allow_methods: BTreeSet<String>,
    pub allow_origins: BTreeSet<String>,
    /// In lower case.
    pub expose_headers: BTreeSet<String>,
    /// Seconds, 0-86400.
    pub max_age: i32,
}
