//! Names and ARNs of everything that is made for a function. Pure: a run that was killed is resumed by computing them again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Aws;

/// IAM's limit for role names, in characters.
const ROLE_NAME_MAX: usize = 64;

/// `<function>-<region>`; IAM is global, so the region keeps two regions from fighting over one role. Longer than IAM allows:
/// cut, with 8 hex digits of a hash of the whole.
pub fn role_name(function_name: &str, region: &str) -> String {
    let full = format!("{function_name}-{region}");
    if full.len() <= ROLE_NAME_MAX {
        return full;
    }
    let hash = hex(&Sha256::digest(full.as_bytes())[..4]);
    // Function and region names are ASCII, checked by the caller; `chars` keeps a surprise from panicking.
    let head: String = full.chars().take(ROLE_NAME_MAX - 9).collect();
    format!("{head}-{hash}")
}

/// Whether an ARN is of the role that is made for the function; whose account it names does not matter, there is only one.
pub fn is_role_of(role_arn: &str, function_name: &str, region: &str) -> bool {
    role_arn
        .split_once(":role/")
        .is_some_and(|(_, name)| name == role_name(function_name, region))
}

/// `/aws/lambda/<function>`: where Lambda logs to when nothing else is configured.
pub fn log_group_name(function_name: &str) -> String {
    format!("/aws/lambda/{function_name}")
}

/// `mcplambda/<function>` in ECR, which knows lower case only.
pub fn repository_name(function_name: &str) -> String {
    format!("mcplambda/{}", function_name.to_ascii_lowercase())
}

/// `<function>-dlq`, at most 68 of SQS's 80 characters.
pub fn queue_name(function_name: &str) -> String {
    format!("{function_name}-dlq")
}

/// `mcplambda/<account>/<function>/` in S3: under it lies nothing but packages of that function. With the account, because accounts may
/// share a bucket.
pub fn artifact_prefix(aws: &Aws, function_name: &str) -> String {
    format!("mcplambda/{}/{function_name}/", aws.account_id)
}

/// `<prefix><SHA-256 in hexadecimal>.zip`. `code_sha256` is in base64, as Lambda has it; other text stands as it is.
pub fn artifact_key(aws: &Aws, function_name: &str, code_sha256: &str) -> String {
    let prefix = artifact_prefix(aws, function_name);
    let digits = STANDARD
        .decode(code_sha256)
        .map_or_else(|_| code_sha256.to_owned(), |bytes| hex(&bytes));
    format!("{prefix}{digits}.zip")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Aws {
    pub fn role_arn(&self, function_name: &str) -> String {
        let Self {
            partition,
            account_id,
            region,
            ..
        } = self;
        let name = role_name(function_name, region);
        format!("arn:{partition}:iam::{account_id}:role/{name}")
    }

    /// Without the `:*` that log stream permissions need.
    pub fn log_group_arn(&self, function_name: &str) -> String {
        self.arn("logs", &format!("log-group:/aws/lambda/{function_name}"))
    }

    pub fn queue_arn(&self, function_name: &str) -> String {
        self.arn("sqs", &queue_name(function_name))
    }

    /// Without qualifier.
    pub fn function_arn(&self, function_name: &str) -> String {
        self.arn("lambda", &format!("function:{function_name}"))
    }

    /// Through a version or an alias.
    pub fn qualified_arn(&self, function_name: &str, qualifier: &str) -> String {
        self.arn("lambda", &format!("function:{function_name}:{qualifier}"))
    }

    /// What API Gateway integrations take, through a version or an alias.
    pub fn invoke_arn(&self, function_name: &str, qualifier: &str) -> String {
        let Self {
            partition, region, ..
        } = self;
        let function = self.qualified_arn(function_name, qualifier);
        format!(
            "arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations"
        )
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            account_id,
            region,
            ..
        } = self;
        format!("arn:{partition}:{service}:{region}:{account_id}:{resource}")
    }
}
