//! What may stand in `provider "mcplambda" {}`: the schema, its typed model, and the way from it to
//! [`ProviderConfig`].
//!
//! Enters: the block as Terraform decoded it. Leaves: plain values, or `None` while something in it is unknown.
//! Refuses: what the checks in [`config`] refuse, each at its attribute. An empty string counts as not
//! given, as in the AWS provider, so that `profile = var.profile` works with an empty default.

use std::collections::BTreeMap;

use super::config::{
    self, AssumeRole, DEFAULT_MAX_RETRIES, Endpoints, ProviderConfig, check_account_id,
    check_bucket, check_endpoint, check_external_id, check_policy, check_policy_arn, check_region,
    check_role_arn, check_session_word, check_tag_key, parse_session_duration,
};
use crate::plugin::{
    Attr, Attribute, Block, Diagnostics, NestedBlock, Path, Schema, Validator, Value, ValueType,
    validators,
};

crate::model! {
    /// `provider "mcplambda" {}`.
    pub struct ConfigModel {
        pub region: String,
        pub profile: String,
        pub access_key: String,
        pub secret_key: String,
        pub token: String,
        pub shared_config_files: Vec<String>,
        pub shared_credentials_files: Vec<String>,
        pub max_retries: i64,
        pub allowed_account_ids: Vec<String>,
        pub forbidden_account_ids: Vec<String>,
        pub assume_role: Vec<AssumeRoleModel>,
        pub default_tags: DefaultTagsModel,
        pub endpoints: EndpointsModel,
        pub skip_credentials_validation: bool,
        pub artifact_bucket: String,
        pub cache_dir: String,
        pub uv_path: String,
        pub npm_path: String,
    }

    /// One `assume_role` block.
    pub struct AssumeRoleModel {
        pub role_arn: String,
        pub session_name: String,
        pub external_id: String,
        pub duration: String,
        pub policy: String,
        pub policy_arns: Vec<String>,
        pub tags: BTreeMap<String, String>,
        pub source_identity: String,
    }

    /// The `default_tags` block.
    pub struct DefaultTagsModel {
        pub tags: BTreeMap<String, String>,
    }

    /// The `endpoints` block.
    pub struct EndpointsModel {
        pub lambda: String,
        pub iam: String,
        pub sts: String,
        pub logs: String,
        pub sqs: String,
        pub s3: String,
        pub ecr: String,
        pub cloudwatch: String,
        pub bedrock_agentcore: String,
    }
}

/// The provider's schema; its descriptions are its documentation.
#[must_use]
pub fn schema() -> Schema {
    Schema::new()
        .description(
            "Runs unmodified MCP stdio servers as AWS Lambda functions.\n\n\
             Names and meaning follow the Terraform AWS provider, so that its block can be copied. Whatever is not given \
             here follows the AWS SDK's default chain: environment variables, shared configuration files, web identity, \
             container credentials, instance metadata. `HTTPS_PROXY`, `NO_PROXY`, `AWS_CA_BUNDLE` and \
             `TF_APPEND_USER_AGENT` are honoured.",
        )
        .attribute(
            "region",
            text("Region of all resources that name none. Default: `AWS_REGION`, then the profile's.")
                .validate(checked("must be the name of an AWS region", "Invalid AWS region", check_region)),
        )
        .attribute("profile", text("Profile of the shared configuration and credentials files."))
        .attribute("access_key", text("Access key. Prefer a profile or the environment."))
        .attribute("secret_key", text("Secret key that belongs to `access_key`.").sensitive())
        .attribute("token", text("Session token that belongs to `access_key`.").sensitive())
        .attribute(
            "shared_config_files",
            Attribute::list(ValueType::String)
                .optional()
                .description("Files to read instead of `~/.aws/config`. One that does not exist is skipped."),
        )
        .attribute(
            "shared_credentials_files",
            Attribute::list(ValueType::String)
                .optional()
                .description("Files to read instead of `~/.aws/credentials`. One that does not exist is skipped."),
        )
        .attribute(
            "max_retries",
            Attribute::integer()
                .optional()
                .description(format!(
                    "How often a request that failed for a passing reason is sent again. Default: `AWS_MAX_ATTEMPTS`, then \
                     the profile's, then {DEFAULT_MAX_RETRIES}."
                ))
                .validate(validators::between(0, i64::from(u32::MAX - 1))),
        )
        .attribute(
            "allowed_account_ids",
            account_ids("The only AWS accounts to work in; any other ends the run before anything is touched.")
                .validate(validators::conflicts_with(&["forbidden_account_ids"])),
        )
        .attribute(
            "forbidden_account_ids",
            account_ids("AWS accounts never to work in.").validate(validators::conflicts_with(&["allowed_account_ids"])),
        )
        .attribute(
            "skip_credentials_validation",
            Attribute::bool().optional().description(
                "Do not ask AWS STS whose the credentials are before they are needed. The account lists hold all the same.",
            ),
        )
        .attribute(
            "artifact_bucket",
            text(
                "Name of an S3 bucket for servers that name none: packages of more than 50 MB zipped, which a request to Lambda does not \
                 carry, are sent through it. It must be in the servers' region. See `artifact_bucket` of `mcplambda_server`.",
            )
            .validate(checked("must be the name of an S3 bucket", "Invalid bucket name", check_bucket)),
        )
        .attribute(
            "cache_dir",
            text(
                "Where downloads, finished packages, and `uv`, `npm` and Node where they had to be fetched are kept, so that later runs are faster: of finished \
                 packages up to 2 GB and of npm's tarballs 1 GB, the least recently used go first; tools that an earlier release of the provider fetched go \
                 when nobody has used them for 30 days. Safe to share between runs and to delete at any time. Default: the caches of `uv` \
                 and `npm`, and `mcplambda` in the user's folder for caches.",
            ),
        )
        .attribute(
            "uv_path",
            text(
                "The `uv` program that resolves and installs Python packages. Default: the first one on `PATH`, else a pinned release, fetched once from \
                 the index that `uv` or `pip` is told to use, compared with the hash that this provider has of it, and kept in `cache_dir`.",
            ),
        )
        .attribute(
            "npm_path",
            text(
                "The `npm` program that resolves and installs npm packages, or its `npm-cli.js`. Default: the first one on `PATH` where `node` is there too, \
                 else a pinned release and a Node to run it, fetched once from the registry that `npm` is told to use, compared with the hashes that this \
                 provider has of them, and kept in `cache_dir`.",
            ),
        )
        .block("assume_role", NestedBlock::list(assume_role()))
        .block(
            "default_tags",
            NestedBlock::single(
                Block::new()
                    .description("Tags for every object that is made, unless the resource sets the same key.")
                    .attribute("tags", tags("Tags by key.")),
            ),
        )
        .block("endpoints", NestedBlock::single(endpoints()))
}

fn assume_role() -> Block {
    Block::new()
        .description(
            "A role to assume. With several blocks each role is assumed with the credentials of the one before.",
        )
        .attribute(
            "role_arn",
            Attribute::string()
                .required()
                .description("ARN of the role.")
                .validate(checked_even_empty("must be the ARN of an IAM role", "Invalid role ARN", check_role_arn)),
        )
        .attribute(
            "session_name",
            text(format!("Name of the session, which CloudTrail shows. Default `{}`.", super::credentials::DEFAULT_SESSION_NAME))
                .validate(checked("must have 2 to 64 letters, digits or `_+=,.@-`", "Invalid session name", check_session_word)),
        )
        .attribute(
            "external_id",
            text("External id that the role's trust policy asks for.")
                .validate(checked("must have 2 to 1224 letters, digits or `_+=,.@:/-`", "Invalid external id", check_external_id)),
        )
        .attribute(
            "duration",
            text("How long the session lasts, `15m` to `12h`. Default: one hour.").validate(checked(
                "must be a duration of `15m` to `12h`",
                "Invalid session duration",
                |text| parse_session_duration(text).map(|_| ()),
            )),
        )
        .attribute(
            "policy",
            text("Policy, JSON, that narrows what the session may do.")
                .validate(checked("must be a JSON object", "Invalid policy", check_policy)),
        )
        .attribute(
            "policy_arns",
            Attribute::set(ValueType::String)
                .optional()
                .description("ARNs of managed policies that narrow what the session may do.")
                .validate(validators::each(checked_even_empty(
                    "must be the ARN of an IAM policy",
                    "Invalid policy ARN",
                    check_policy_arn,
                ))),
        )
        .attribute(
            "tags",
            Attribute::map(ValueType::String).optional().description("Session tags by key."),
        )
        .attribute(
            "source_identity",
            text("Source identity that the trust policy asks for.")
                .validate(checked("must have 2 to 64 letters, digits or `_+=,.@-`", "Invalid source identity", check_session_word)),
        )
}

fn endpoints() -> Block {
    let services = [
        ("lambda", "AWS Lambda"),
        ("iam", "IAM"),
        ("sts", "AWS STS"),
        ("logs", "CloudWatch Logs"),
        ("sqs", "Amazon SQS"),
        ("s3", "Amazon S3"),
        ("ecr", "Amazon ECR"),
        ("cloudwatch", "CloudWatch"),
        ("bedrock_agentcore", "Bedrock AgentCore"),
    ];
    services.into_iter().fold(
        Block::new().description(
            "URLs to use in place of AWS's own, by service. Default: `AWS_ENDPOINT_URL_<SERVICE>`, then `AWS_ENDPOINT_URL`.",
        ),
        |block, (name, service)| {
            let attribute = text(format!("URL of {service}."))
                .validate(checked("must be an `http` or `https` URL", "Invalid endpoint", check_endpoint));
            block.attribute(name, attribute)
        },
    )
}

fn text(description: impl Into<String>) -> Attribute {
    Attribute::string().optional().description(description)
}

fn account_ids(description: &str) -> Attribute {
    Attribute::set(ValueType::String)
        .optional()
        .description(description)
        .validate(validators::each(checked_even_empty(
            "must be an AWS account id of 12 digits",
            "Invalid account id",
            check_account_id,
        )))
}

fn tags(description: &str) -> Attribute {
    Attribute::map(ValueType::String)
        .optional()
        .description(description)
        .validate(validators::each_key(checked_even_empty(
            "must be a tag key that AWS and this provider do not reserve",
            "Invalid tag key",
            check_tag_key,
        )))
}

/// A check of a text that is given; an empty one counts as not given.
fn checked(
    description: &str,
    summary: &'static str,
    check: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
) -> Validator {
    checked_even_empty(description, summary, move |text| {
        if text.is_empty() { Ok(()) } else { check(text) }
    })
}

fn checked_even_empty(
    description: &str,
    summary: &'static str,
    check: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
) -> Validator {
    Validator::with_subject(description, move |subject, diagnostics| {
        if let Value::String(text) = subject.value.plain()
            && let Err(complaint) = check(text)
        {
            diagnostics.attribute_error(subject.path, summary, sentence(&complaint));
        }
    })
}

/// With a full stop, unless it ends in a question.
fn sentence(complaint: &str) -> String {
    if complaint.ends_with('?') {
        complaint.to_owned()
    } else {
        format!("{complaint}.")
    }
}

/// Checks that need two attributes: a key pair is whole or absent, and a token belongs to one.
pub fn validate(config: &ConfigModel, diagnostics: &mut Diagnostics) {
    let given = |attribute: &Attr<String>| attribute.as_str().is_some_and(|text| !text.is_empty());
    let absent = |attribute: &Attr<String>| attribute.is_null() || attribute.as_str() == Some("");
    let pairs = [
        (
            "access_key",
            &config.access_key,
            "secret_key",
            &config.secret_key,
        ),
        (
            "secret_key",
            &config.secret_key,
            "access_key",
            &config.access_key,
        ),
        ("token", &config.token, "access_key", &config.access_key),
    ];
    for (name, attribute, needed_name, needed) in pairs {
        if given(attribute) && absent(needed) {
            diagnostics.attribute_error(
                name,
                "Incomplete AWS credentials",
                format!("{name} is given without {needed_name}. Give both, or neither and let a profile or the environment serve."),
            );
        }
    }
}

/// The configuration as plain values; `None` while part of it is unknown, as during a plan that also creates what it
/// refers to.
///
/// # Errors
///
/// Values that [`schema`]'s validators refuse too: they did not see those that were unknown then.
pub fn read(model: ConfigModel) -> Result<Option<ProviderConfig>, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    validate(&model, &mut diagnostics);
    let config = whole(model, &mut diagnostics);
    if diagnostics.has_errors() {
        Err(diagnostics)
    } else {
        Ok(config)
    }
}

fn whole(model: ConfigModel, diagnostics: &mut Diagnostics) -> Option<ProviderConfig> {
    let mut roles = Vec::new();
    for (index, role) in list(model.assume_role)?.into_iter().enumerate() {
        roles.push(assume_role_block(
            role,
            &Path::from("assume_role").index(index),
            diagnostics,
        )?);
    }
    Some(ProviderConfig {
        region: given(model.region)?,
        profile: given(model.profile)?,
        access_key: given(model.access_key)?,
        secret_key: given(model.secret_key)?,
        token: given(model.token)?,
        shared_config_files: list(model.shared_config_files)?,
        shared_credentials_files: list(model.shared_credentials_files)?,
        max_retries: match settled(model.max_retries)?.map(u32::try_from) {
            None => None,
            Some(Ok(retries)) => Some(retries),
            Some(Err(_)) => {
                diagnostics.attribute_error(
                    "max_retries",
                    "Invalid attribute value",
                    "max_retries is out of range.",
                );
                None
            }
        },
        allowed_account_ids: list(model.allowed_account_ids)?,
        forbidden_account_ids: list(model.forbidden_account_ids)?,
        assume_role: roles,
        default_tags: match settled(model.default_tags)? {
            Some(block) => settled(block.tags)?.unwrap_or_default(),
            None => BTreeMap::new(),
        },
        endpoints: match settled(model.endpoints)? {
            Some(block) => Endpoints {
                lambda: given(block.lambda)?,
                iam: given(block.iam)?,
                sts: given(block.sts)?,
                logs: given(block.logs)?,
                sqs: given(block.sqs)?,
                s3: given(block.s3)?,
                ecr: given(block.ecr)?,
                cloudwatch: given(block.cloudwatch)?,
                bedrock_agentcore: given(block.bedrock_agentcore)?,
            },
            None => Endpoints::default(),
        },
        skip_credentials_validation: settled(model.skip_credentials_validation)?.unwrap_or(false),
        artifact_bucket: given(model.artifact_bucket)?,
        cache_dir: given(model.cache_dir)?.map(|path| super::credentials::expand_home(&path)),
        uv_path: given(model.uv_path)?.map(|path| super::credentials::expand_home(&path)),
        npm_path: given(model.npm_path)?.map(|path| super::credentials::expand_home(&path)),
    })
}

fn assume_role_block(
    role: AssumeRoleModel,
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<AssumeRole> {
    let duration = match given(role.duration)? {
        None => None,
        Some(text) => match config::parse_session_duration(&text) {
            Ok(duration) => Some(duration),
            Err(complaint) => {
                diagnostics.attribute_error(
                    path.attribute("duration"),
                    "Invalid session duration",
                    sentence(&complaint),
                );
                None
            }
        },
    };
    Some(AssumeRole {
        role_arn: given(role.role_arn)?.unwrap_or_default(),
        session_name: given(role.session_name)?,
        external_id: given(role.external_id)?,
        duration,
        policy: given(role.policy)?,
        policy_arns: list(role.policy_arns)?,
        tags: settled(role.tags)?.unwrap_or_default(),
        source_identity: given(role.source_identity)?,
    })
}

/// `None` while unknown, `Some(None)` when absent.
fn settled<T>(attribute: Attr<T>) -> Option<Option<T>> {
    match attribute {
        Attr::Unknown => None,
        Attr::Null => Some(None),
        Attr::Known(value) => Some(Some(value)),
    }
}

fn given(attribute: Attr<String>) -> Option<Option<String>> {
    settled(attribute).map(|text| text.filter(|text| !text.is_empty()))
}

fn list<T>(attribute: Attr<Vec<T>>) -> Option<Vec<T>> {
    settled(attribute).map(Option::unwrap_or_default)
}
