//! The provider's configuration as plain values, and what makes a value wrong.
//!
//! Enters: what stands in `provider "mcplambda" {}`, already typed. Leaves: [`ProviderConfig`] for
//! [`connect`](super::clients::connect). Refuses: values that no AWS account could accept (a region that is no
//! region, an ARN that is no role, half a key pair), each with a sentence that says what is allowed. No call is
//! made here and no environment is read; every function is pure, so the schema's validators can use them.
//!
//! Names and meaning are those of the Terraform AWS provider, so that people can copy their block.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How often a request is tried again by default; the AWS provider's figure.
pub const DEFAULT_MAX_RETRIES: u32 = 25;

/// What the user wrote, all of it known. Everything `None` or empty follows the AWS SDK's default chain.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderConfig {
    pub region: Option<String>,
    pub profile: Option<String>,
    pub access_key: Option<String>,
    pub secret_key: Option<String>,
    pub token: Option<String>,
    /// Replace `~/.aws/config`, in order; a leading `~/` is the home directory.
    pub shared_config_files: Vec<String>,
    /// Replace `~/.aws/credentials`, in order.
    pub shared_credentials_files: Vec<String>,
    /// Attempts after the first; `None` is [`DEFAULT_MAX_RETRIES`] unless the environment says otherwise.
    pub max_retries: Option<u32>,
    pub allowed_account_ids: Vec<String>,
    pub forbidden_account_ids: Vec<String>,
    /// Assumed one after the other, each with the credentials of the one before.
    pub assume_role: Vec<AssumeRole>,
    /// Put on every object that takes tags, unless the resource sets the same key.
    pub default_tags: BTreeMap<String, String>,
    pub endpoints: Endpoints,
    /// Do not ask STS who we are until the answer is needed.
    pub skip_credentials_validation: bool,
    /// Bucket for packages that are too large for a request to Lambda, of resources that name none.
    pub artifact_bucket: Option<String>,
    /// Where downloaded packages are kept; `None` is the tool's own cache.
    pub cache_dir: Option<PathBuf>,
    /// The `uv` to run; `None` looks on PATH.
    pub uv_path: Option<PathBuf>,
    /// The `npm` to run; `None` looks on PATH.
    pub npm_path: Option<PathBuf>,
}

/// One `assume_role` block. Field for field what `sts:AssumeRole` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssumeRole {
    pub role_arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    /// 15 minutes to 12 hours; `None` leaves it to STS (1 hour).
    pub duration: Option<Duration>,
    /// Session policy, JSON.
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub source_identity: Option<String>,
}

/// One URL per service, in place of AWS's own. `None` leaves `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`,
/// the profile and AWS's default to decide, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub lambda: Option<String>,
    pub iam: Option<String>,
    pub sts: Option<String>,
    pub logs: Option<String>,
    pub sqs: Option<String>,
    pub s3: Option<String>,
    pub ecr: Option<String>,
    pub cloudwatch: Option<String>,
    pub bedrock_agentcore: Option<String>,
}

/// Never shows what is secret, so that a log line cannot.
impl std::fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        f.debug_struct("ProviderConfig")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("access_key", &self.access_key)
            .field("secret_key", &hidden(&self.secret_key))
            .field("token", &hidden(&self.token))
            .field("shared_config_files", &self.shared_config_files)
            .field("shared_credentials_files", &self.shared_credentials_files)
            .field("max_retries", &self.max_retries)
            .field("allowed_account_ids", &self.allowed_account_ids)
            .field("forbidden_account_ids", &self.forbidden_account_ids)
            .field(
                "assume_role",
                &self
                    .assume_role
                    .iter()
                    .map(|role| &role.role_arn)
                    .collect::<Vec<_>>(),
            )
            .field("default_tags", &self.default_tags)
            .field("endpoints", &self.endpoints)
            .field(
                "skip_credentials_validation",
                &self.skip_credentials_validation,
            )
            .field("artifact_bucket", &self.artifact_bucket)
            .field("cache_dir", &self.cache_dir)
            .field("uv_path", &self.uv_path)
            .field("npm_path", &self.npm_path)
            .finish()
    }
}

/// Checks the form of a bucket's name: what S3 makes, without what it made before 2018.
///
/// # Errors
/// A sentence for the user.
pub fn check_bucket(name: &str) -> Result<(), String> {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let end = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = name.as_bytes();
    let is_name = (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && end(bytes.first().copied())
        && end(bytes.last().copied())
        && !name.contains("..");
    match is_name {
        true => Ok(()),
        false => Err(format!(
            "\"{name}\" is not the name of an S3 bucket: that has 3 to 63 lower-case letters, digits, dots and hyphens, such as \"my-artifacts\""
        )),
    }
}

/// Regions that are known today, for a hint only: a plausible region that is missing here is accepted, because
/// AWS opens regions more often than people upgrade providers.
const KNOWN_REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// The last word of a region before its number.
const DIRECTIONS: &[&str] = &[
    "north",
    "south",
    "east",
    "west",
    "central",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
];

/// Checks a region's form: letters, words, a direction, a number (`us-gov-west-1`).
///
/// # Errors
/// A sentence for the user, with the nearest known region where one is near.
pub fn check_region(region: &str) -> Result<(), String> {
    let words: Vec<&str> = region.split('-').collect();
    let is_region = match words.as_slice() {
        [prefix, middle @ .., direction, number] => {
            (2..=4).contains(&prefix.len())
                && [*prefix].iter().chain(middle).all(|word| {
                    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
                })
                && DIRECTIONS.contains(direction)
                && (1..=2).contains(&number.len())
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    if is_region {
        return Ok(());
    }
    let nearest = KNOWN_REGIONS
        .iter()
        .map(|known| (edits(region, known), known))
        .min()
        .filter(|(edits, _)| *edits <= 3)
        .map(|(_, known)| format!("; did you mean \"{known}\"?"))
        .unwrap_or_else(|| "; a region looks like \"us-east-1\"".to_owned());
    Err(format!("\"{region}\" is not a valid region name{nearest}"))
}

/// The number of letters to insert, delete, change or swap to get from one word to the other.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for row in 1..=from.len() {
        let mut current = vec![row];
        for column in 1..=to.len() {
            let changed = usize::from(from[row - 1] != to[column - 1]);
            let mut best = (rows[row - 1][column] + 1)
                .min(current[column - 1] + 1)
                .min(rows[row - 1][column - 1] + changed);
            let swapped = row > 1
                && column > 1
                && from[row - 1] == to[column - 2]
                && from[row - 2] == to[column - 1];
            if swapped {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            current.push(best);
        }
        rows.push(current);
    }
    rows[from.len()][to.len()]
}

/// Checks an account id: twelve digits.
///
/// # Errors
/// A sentence for the user.
pub fn check_account_id(id: &str) -> Result<(), String> {
    if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!(
        "\"{id}\" is not an AWS account id: it has 12 digits (keep the quotes, or leading zeros are lost)"
    ))
}

/// Checks the ARN of an IAM role: `arn:<partition>:iam::<account>:role/<path and name>`.
///
/// # Errors
/// A sentence for the user.
pub fn check_role_arn(arn: &str) -> Result<(), String> {
    check_iam_arn(arn, "role/")
        .map_err(|expected| format!("\"{arn}\" is not the ARN of an IAM role: expected {expected}"))
}

/// Checks the ARN of an IAM managed policy; AWS's own have `aws` for an account.
///
/// # Errors
/// A sentence for the user.
pub fn check_policy_arn(arn: &str) -> Result<(), String> {
    check_iam_arn(arn, "policy/").map_err(|expected| {
        format!("\"{arn}\" is not the ARN of an IAM policy: expected {expected}")
    })
}

fn check_iam_arn(arn: &str, kind: &'static str) -> Result<(), String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let valid = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            partition.starts_with("aws")
                && (check_account_id(account).is_ok() || (kind == "policy/" && *account == "aws"))
                && resource.strip_prefix(kind).is_some_and(|name| {
                    !name.is_empty() && !name.ends_with('/') && !name.contains([' ', '*', ':'])
                })
        }
        _ => false,
    };
    if valid {
        Ok(())
    } else {
        Err(format!("arn:aws:iam::123456789012:{kind}NAME"))
    }
}

/// Parses a duration as Go writes them (`15m`, `1h30m`, `5400s`).
///
/// # Errors
/// A sentence for the user: no duration, or outside 15 minutes to 12 hours, STS's own limits.
/// Source: AWS STS API Reference, AssumeRole, `DurationSeconds`.
pub fn parse_session_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("\"{text}\" is not a duration: write numbers with h, m or s, like \"1h30m\"");
    let mut rest = text;
    let mut seconds = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let mut tail = rest[digits..].chars();
        let unit = match tail.next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .ok_or_else(wrong)?;
        rest = tail.as_str();
    }
    if !(15 * 60..=12 * 3600).contains(&seconds) {
        return Err(format!(
            "\"{text}\" is out of range: a role session lasts 15m to 12h"
        ));
    }
    Ok(Duration::from_secs(seconds))
}

/// Checks an endpoint: an absolute `http` or `https` URL without a query.
///
/// # Errors
/// A sentence for the user.
pub fn check_endpoint(url: &str) -> Result<(), String> {
    let valid = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if valid {
        return Ok(());
    }
    Err(format!(
        "\"{url}\" is not an endpoint: expected a URL like \"https://lambda.us-east-1.amazonaws.com\""
    ))
}

/// Checks a role session's name or source identity: 2 to 64 of letters, digits and `_+=,.@-`.
///
/// # Errors
/// A sentence for the user. Source: AWS STS API Reference, AssumeRole.
pub fn check_session_word(word: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=64).contains(&word.len()) && word.bytes().all(legal) {
        return Ok(());
    }
    Err(format!(
        "\"{word}\" is not allowed here: use 2 to 64 letters, digits and any of _+=,.@-"
    ))
}

/// Checks an external id: 2 to 1224 of letters, digits and `_+=,.@:/-`.
///
/// # Errors
/// A sentence for the user. Source: AWS STS API Reference, AssumeRole.
pub fn check_external_id(id: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    if (2..=1224).contains(&id.len()) && id.bytes().all(legal) {
        return Ok(());
    }
    Err("an external id has 2 to 1224 letters, digits and any of _+=,.@:/-".to_owned())
}

/// Checks a policy's text: a JSON object.
///
/// # Errors
/// A sentence for the user with JSON's own complaint.
pub fn check_policy(json: &str) -> Result<(), String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the policy is not a JSON object: {error}")),
    }
}

/// Checks a tag's key against what AWS keeps for itself and what this provider does.
///
/// # Errors
/// A sentence for the user.
pub fn check_tag_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(format!("tag key \"{key}\" must have 1 to 128 characters"));
    }
    let lower = key.to_ascii_lowercase();
    for reserved in ["aws:", "mcplambda:"] {
        if lower.starts_with(reserved) {
            return Err(format!(
                "tag key \"{key}\" begins with \"{reserved}\", which is reserved"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_region_is_valid_and_a_plausible_new_one_too() {
        for region in
            KNOWN_REGIONS
                .iter()
                .chain(&["ap-southeast-12", "us-isob-east-1", "eu-isoe-west-1"])
        {
            assert_eq!(check_region(region), Ok(()), "{region}");
        }
    }

    #[test]
    fn a_mistyped_region_is_refused_with_the_nearest_one() {
        let cases = [
            (
                "us-esat-1",
                "\"us-esat-1\" is not a valid region name; did you mean \"us-east-1\"?",
            ),
            (
                "us-east-1a",
                "\"us-east-1a\" is not a valid region name; did you mean \"us-east-1\"?",
            ),
            (
                "US-EAST-1",
                "\"US-EAST-1\" is not a valid region name; a region looks like \"us-east-1\"",
            ),
            (
                "",
                "\"\" is not a valid region name; a region looks like \"us-east-1\"",
            ),
            (
                "local",
                "\"local\" is not a valid region name; a region looks like \"us-east-1\"",
            ),
        ];
        for (region, message) in cases {
            assert_eq!(check_region(region), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_session_duration_is_read_as_go_writes_it() {
        assert_eq!(parse_session_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(
            parse_session_duration("1h30m"),
            Ok(Duration::from_secs(5400))
        );
        assert_eq!(
            parse_session_duration("12h"),
            Ok(Duration::from_secs(43_200))
        );
        for (text, message) in [
            (
                "14m59s",
                "\"14m59s\" is out of range: a role session lasts 15m to 12h",
            ),
            (
                "12h1s",
                "\"12h1s\" is out of range: a role session lasts 15m to 12h",
            ),
            (
                "3600",
                "\"3600\" is not a duration: write numbers with h, m or s, like \"1h30m\"",
            ),
            (
                "",
                "\"\" is not a duration: write numbers with h, m or s, like \"1h30m\"",
            ),
            (
                "1é",
                "\"1é\" is not a duration: write numbers with h, m or s, like \"1h30m\"",
            ),
        ] {
            assert_eq!(parse_session_duration(text), Err(message.to_owned()));
        }
    }

    #[test]
    fn arns_of_roles_and_policies_are_told_apart() {
        assert_eq!(
            check_role_arn("arn:aws-us-gov:iam::123456789012:role/ops/deploy"),
            Ok(())
        );
        assert_eq!(
            check_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess"),
            Ok(())
        );
        for arn in [
            "deploy",
            "arn:aws:iam::123:role/deploy",
            "arn:aws:iam::123456789012:user/deploy",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:sts::123456789012:assumed-role/a/b",
        ] {
            assert_eq!(
                check_role_arn(arn),
                Err(format!(
                    "\"{arn}\" is not the ARN of an IAM role: expected arn:aws:iam::123456789012:role/NAME"
                ))
            );
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let config = ProviderConfig {
            secret_key: Some("wJalr".to_owned()),
            token: Some("FwoGZ".to_owned()),
            ..ProviderConfig::default()
        };
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("wJalr") && !shown.contains("FwoGZ"),
            "{shown}"
        );
    }
}
