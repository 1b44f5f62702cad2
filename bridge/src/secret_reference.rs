//! Where the value of a secret is kept: a reference as ECS's `valueFrom` has it, taken apart.
//!
//! Enters: `arn:aws:secretsmanager:region:account:secret:name-AbCdEf`, with `:json-key:version-stage:version-id` behind it or not, or
//! `arn:aws:ssm:region:account:parameter/name`. Leaves: a [`SecretReference`]. Refuses: everything else, with what is wrong about it. Of the parts behind a
//! secret's ARN any may be empty and those at the end may be left out, where ECS wants either all colons or none.
//! Source: Amazon ECS Developer Guide, "Pass Secrets Manager secrets through Amazon ECS environment variables".

use std::fmt;

/// A part of AWS that shares nothing with the others, not even its domain names.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// As in ARNs: `aws`, `aws-cn`, ….
    pub name: &'static str,
    /// What the names of its services' endpoints end in.
    pub dns_suffix: &'static str,
    /// What those end in that IPv6 reaches too.
    pub dual_stack_suffix: &'static str,
}

/// Source: the partitions that the AWS SDKs resolve endpoints by (`partitions.json`, version 1.1).
const PARTITIONS: [Partition; 8] = [
    partition("aws", "amazonaws.com", "api.aws"),
    partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    partition("aws-us-gov", "amazonaws.com", "api.aws"),
    partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"),
    partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov"),
    partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"),
    partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
];

const fn partition(
    name: &'static str,
    dns_suffix: &'static str,
    dual_stack_suffix: &'static str,
) -> Partition {
    Partition {
        name,
        dns_suffix,
        dual_stack_suffix,
    }
}

/// Where a value is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// The ARN of the secret or parameter, without what follows it in the reference: what AWS is asked for, and what a policy names.
    pub arn: String,
    /// The ARN's partition.
    pub partition: &'static Partition,
    /// The ARN's region.
    pub region: String,
    /// The ARN's account, 12 digits.
    pub account: String,
    /// Which service keeps it, and what of it is meant.
    pub store: Store,
}

/// The service that keeps a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// AWS Secrets Manager.
    SecretsManager {
        /// The member of the secret's JSON that is meant; the whole secret when absent.
        json_key: Option<String>,
        /// The version with this staging label; `AWSCURRENT` when both are absent.
        version_stage: Option<String>,
        /// The version with this id.
        version_id: Option<String>,
    },
    /// AWS Systems Manager Parameter Store.
    ParameterStore,
}

/// Why a text is no reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    /// The text that was refused.
    pub reference: String,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no reference to a secret: {}; it must be arn:aws:secretsmanager:<region>:<account>:secret:<name>, with :<json key>:<version stage>:<version id> behind it or not, or arn:aws:ssm:<region>:<account>:parameter/<name>",
            self.reference, self.fault
        )
    }
}

impl std::error::Error for ReferenceError {}

impl SecretReference {
    /// Takes a reference apart.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Self::take_apart(text).map_err(|fault| ReferenceError {
            reference: text.to_owned(),
            fault,
        })
    }

    fn take_apart(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [
            "arn",
            partition,
            service,
            region,
            account,
            kind,
            behind @ ..,
        ] = parts.as_slice()
        else {
            return Err("it is no ARN".to_owned());
        };
        let partition = PARTITIONS
            .iter()
            .find(|known| known.name == *partition)
            .ok_or_else(|| {
                let known = PARTITIONS.map(|partition| partition.name).join(", ");
                format!("there is no partition `{partition}`, only {known}")
            })?;
        let is_region = region.contains('-')
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let (store, arn_parts) = match *service {
            "secretsmanager" => (secrets_manager(kind, behind)?, 7),
            "ssm" => (parameter_store(kind, behind)?, 6),
            service => {
                return Err(format!(
                    "its service is `{service}`, neither secretsmanager nor ssm"
                ));
            }
        };
        if !is_region {
            return Err(format!("`{region}` is no region"));
        }
        if !is_account {
            return Err(format!("`{account}` is no account id of 12 digits"));
        }
        Ok(Self {
            arn: parts[..arn_parts].join(":"),
            partition,
            region: (*region).to_owned(),
            account: (*account).to_owned(),
            store,
        })
    }
}

fn secrets_manager(kind: &str, behind: &[&str]) -> Result<Store, String> {
    let (name, behind) = match (kind, behind) {
        ("secret", [name, behind @ ..]) if !name.is_empty() => (name, behind),
        _ => return Err("`secret:` and the secret's name are missing".to_owned()),
    };
    // `!` is in the names that other services give to the secrets that they manage.
    check_characters("secret", name, b"/_+=.@-!")?;
    if behind.len() > 3 {
        return Err(format!(
            "{} parts follow the secret's name, where a JSON key, a version stage and a version id can",
            behind.len()
        ));
    }
    let part = |index: usize| {
        behind
            .get(index)
            .filter(|part| !part.is_empty())
            .map(|part| (*part).to_owned())
    };
    let version_id: Option<String> = part(2);
    // Source: Secrets Manager API Reference, GetSecretValue, VersionId.
    if version_id
        .as_ref()
        .is_some_and(|id| !(32..=64).contains(&id.len()))
    {
        return Err("a version id has 32 to 64 characters".to_owned());
    }
    Ok(Store::SecretsManager {
        json_key: part(0),
        version_stage: part(1),
        version_id,
    })
}

fn parameter_store(kind: &str, behind: &[&str]) -> Result<Store, String> {
    let name = kind
        .strip_prefix("parameter/")
        .filter(|name| !name.is_empty())
        .ok_or("`parameter/` and the parameter's name are missing")?;
    check_characters("parameter", name, b"/_.-")?;
    if !behind.is_empty() {
        return Err(
            "something follows the parameter's name; of a parameter only the newest version can be had"
                .to_owned(),
        );
    }
    Ok(Store::ParameterStore)
}

fn check_characters(what: &str, name: &str, marks: &[u8]) -> Result<(), String> {
    match name.chars().find(|&c| {
        !(c.is_ascii_alphanumeric() || u8::try_from(c).is_ok_and(|c| marks.contains(&c)))
    }) {
        Some(character) => Err(format!("{character:?} is in no {what}'s name")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/key-AbCdEf";
    const VERSION: &str = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";

    fn secret(
        json_key: Option<&str>,
        version_stage: Option<&str>,
        version_id: Option<&str>,
    ) -> SecretReference {
        SecretReference {
            arn: SECRET.to_owned(),
            partition: &PARTITIONS[0],
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            store: Store::SecretsManager {
                json_key: json_key.map(str::to_owned),
                version_stage: version_stage.map(str::to_owned),
                version_id: version_id.map(str::to_owned),
            },
        }
    }

    #[test]
    fn of_the_parts_behind_a_secrets_arn_each_may_be_empty_or_left_out() {
        for (behind, expected) in [
            ("", secret(None, None, None)),
            (":", secret(None, None, None)),
            (":::", secret(None, None, None)),
            (":user", secret(Some("user"), None, None)),
            (":user::", secret(Some("user"), None, None)),
            ("::AWSPREVIOUS", secret(None, Some("AWSPREVIOUS"), None)),
            ("::AWSPREVIOUS:", secret(None, Some("AWSPREVIOUS"), None)),
            (&format!(":::{VERSION}"), secret(None, None, Some(VERSION))),
            (
                &format!(":a key:AWSCURRENT:{VERSION}"),
                secret(Some("a key"), Some("AWSCURRENT"), Some(VERSION)),
            ),
        ] {
            assert_eq!(
                SecretReference::parse(&format!("{SECRET}{behind}")),
                Ok(expected),
                "{behind}"
            );
        }
    }

    #[test]
    fn a_parameter_is_named_by_its_arn() {
        for name in ["key", "prod/db/password", "a.b-c_d"] {
            let arn = format!("arn:aws:ssm:us-east-1:123456789012:parameter/{name}");
            assert_eq!(
                SecretReference::parse(&arn),
                Ok(SecretReference {
                    arn: arn.clone(),
                    partition: &PARTITIONS[0],
                    region: "us-east-1".to_owned(),
                    account: "123456789012".to_owned(),
                    store: Store::ParameterStore,
                })
            );
        }
    }

    #[test]
    fn every_partition_has_its_own_domain_names() {
        for (partition, region, suffix) in [
            ("aws", "eu-central-1", "amazonaws.com"),
            ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
            ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
            ("aws-eusc", "eusc-de-east-1", "amazonaws.eu"),
            ("aws-iso", "us-iso-east-1", "c2s.ic.gov"),
            ("aws-iso-b", "us-isob-east-1", "sc2s.sgov.gov"),
            ("aws-iso-e", "eu-isoe-west-1", "cloud.adc-e.uk"),
            ("aws-iso-f", "us-isof-south-1", "csp.hci.ic.gov"),
        ] {
            let arn = format!("arn:{partition}:ssm:{region}:123456789012:parameter/p");
            let reference = SecretReference::parse(&arn).expect(&arn);
            assert_eq!(
                (reference.partition.name, reference.partition.dns_suffix),
                (partition, suffix)
            );
            assert_eq!(reference.region, region);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_its_fault() {
        for (text, fault) in [
            ("", "it is no ARN"),
            ("my-secret", "it is no ARN"),
            ("arn:aws:ssm:eu-west-1:123456789012", "it is no ARN"),
            (
                "arn:aws-mars:ssm:eu-west-1:123456789012:parameter/p",
                "there is no partition `aws-mars`, only aws, aws-cn, aws-us-gov, aws-eusc, aws-iso, aws-iso-b, aws-iso-e, aws-iso-f",
            ),
            (
                "arn:aws:s3:::bucket/key",
                "its service is `s3`, neither secretsmanager nor ssm",
            ),
            ("arn:aws:ssm::123456789012:parameter/p", "`` is no region"),
            (
                "arn:aws:ssm:eu-west-1.evil.example/:123456789012:parameter/p",
                "`eu-west-1.evil.example/` is no region",
            ),
            (
                "arn:aws:ssm:eu-west-1:1234:parameter/p",
                "`1234` is no account id of 12 digits",
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/",
                "`parameter/` and the parameter's name are missing",
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:document/p",
                "`parameter/` and the parameter's name are missing",
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/p:3",
                "something follows the parameter's name; of a parameter only the newest version can be had",
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/p q",
                "' ' is in no parameter's name",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret",
                "`secret:` and the secret's name are missing",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret::key",
                "`secret:` and the secret's name are missing",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:näme-AbCdEf",
                "'ä' is in no secret's name",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:n-AbCdEf:::short",
                "a version id has 32 to 64 characters",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:n-AbCdEf::::",
                "4 parts follow the secret's name, where a JSON key, a version stage and a version id can",
            ),
        ] {
            let error = SecretReference::parse(text).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` is no reference to a secret: {fault}; ")),
                "{error}"
            );
        }
    }
}
