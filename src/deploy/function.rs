//! The function: `$LATEST`, its configuration, code, concurrency and tags.

use std::collections::HashMap;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types;
use tokio::time::Instant;

use super::artifact_bucket::Stored;
use super::found::Configuration;
use super::retry::{self, Backoff, Call, Fault, Propagation, ROLE_GRACE};
use super::snapshot::{Describes, Snapshot};
use super::tags::{self, Tags};
use super::wanted::{Architecture, LogFormat, Tracing, Vpc};
use super::{Aws, DeployError, Operation, role};

/// `$LATEST`, and what belongs to the function as a whole.
#[derive(Clone, Debug)]
pub(crate) struct FunctionState {
    pub(crate) latest: Snapshot,
    pub(crate) tags: Tags,
    pub(crate) reserved_concurrency: Option<i32>,
    /// Where the image of `latest` lies, if it is one.
    pub(crate) image_uri: Option<String>,
}

/// `None` when there is no such function.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<Option<FunctionState>, DeployError> {
    let call = Call::lambda("GetFunction", function_name);
    let answer = retry::call(op, &call, || {
        aws.lambda
            .get_function()
            .function_name(function_name)
            .send()
    })
    .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) if fault.is_not_found() => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    // Without its tags nobody knows whose function it is.
    if let Some(error) = answer.tags_error {
        return Err(DeployError::TagsUnreadable {
            function_name: function_name.to_owned(),
            code: error.error_code,
            message: error.message,
        });
    }
    Ok(Some(FunctionState {
        latest: call
            .field(answer.configuration, "Configuration")?
            .snapshot(&call)?,
        tags: tags::sorted(answer.tags.as_ref()),
        reserved_concurrency: answer
            .concurrency
            .and_then(|concurrency| concurrency.reserved_concurrent_executions),
        image_uri: answer.code.and_then(|code| code.image_uri),
    }))
}

/// Presigned address of the zip of a version, alias or `$LATEST`; good for ten minutes.
///
/// # Errors
///
/// [`DeployError`] as any call; also for functions whose code is not a zip.
pub async fn code_location(
    aws: &Aws,
    function_name: &str,
    qualifier: &str,
) -> Result<String, DeployError> {
    let op = Operation::reading();
    let call = Call::lambda("GetFunction", format!("{function_name}:{qualifier}"));
    let answer = retry::call(&op, &call, || {
        aws.lambda
            .get_function()
            .function_name(function_name)
            .qualifier(qualifier)
            .send()
    })
    .await?;
    call.field(answer.code.and_then(|code| code.location), "Code.Location")
}

/// Configuration of a version or of `$LATEST`.
pub(crate) async fn describe(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    qualifier: &str,
) -> Result<Snapshot, DeployError> {
    let call = Call::lambda(
        "GetFunctionConfiguration",
        format!("{function_name}:{qualifier}"),
    );
    let answer = retry::call(op, &call, || {
        aws.lambda
            .get_function_configuration()
            .function_name(function_name)
            .qualifier(qualifier)
            .send()
    })
    .await?;
    answer.snapshot(&call)
}

/// Creates the function; it is still `Pending` afterwards. Waits until Lambda sees the role.
pub(crate) async fn create(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    wanted: &Configuration,
    code: &SentCode,
    tags: &Tags,
) -> Result<Snapshot, DeployError> {
    tracing::info!(function_name, "creating the function");
    let call = Call::lambda("CreateFunction", function_name);
    let made = with_role(aws, op, &wanted.role_arn, &call, || {
        aws.lambda
            .create_function()
            .function_name(function_name)
            .description(&wanted.description)
            .role(&wanted.role_arn)
            .set_runtime(wanted.runtime.as_deref().map(types::Runtime::from))
            .set_handler(wanted.handler.clone())
            .architectures(architecture(wanted.architecture))
            .memory_size(wanted.memory)
            .timeout(wanted.timeout)
            .set_ephemeral_storage(ephemeral_storage(wanted.ephemeral_storage))
            .environment(environment(wanted))
            .set_vpc_config(wanted.vpc.as_ref().map(vpc))
            .set_dead_letter_config(
                wanted
                    .dead_letter_target_arn
                    .as_ref()
                    .map(|arn| types::DeadLetterConfig::builder().target_arn(arn).build()),
            )
            .logging_config(logging(wanted))
            .tracing_config(tracing(wanted))
            .set_layers((!wanted.layers.is_empty()).then(|| wanted.layers.clone()))
            .package_type(types::PackageType::from(wanted.package_type.as_str()))
            .code(
                types::FunctionCode::builder()
                    .set_zip_file(code.zip.clone())
                    .set_image_uri(code.image.clone())
                    .set_s3_bucket(code.bucket())
                    .set_s3_key(code.key())
                    .set_s3_object_version(code.object_version())
                    .build(),
            )
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send()
    })
    .await;
    match made {
        Ok(answer) => answer.snapshot(&call),
        // By an attempt whose answer was lost: then the tags are those of this run.
        Err(fault) if fault.is_already_there() => match read(aws, op, function_name).await? {
            Some(found) if tags::are_unfinished(&found.tags, function_name) => Ok(found.latest),
            _ => Err(DeployError::AlreadyExists {
                function_name: function_name.to_owned(),
            }),
        },
        Err(fault) => Err(fault.into()),
    }
}

/// Sets the whole configuration of `$LATEST`; the update is still running afterwards. Waits until Lambda sees the role.
pub(crate) async fn update_configuration(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    current: &Configuration,
    wanted: &Configuration,
) -> Result<Snapshot, DeployError> {
    tracing::info!(function_name, "updating the configuration");
    let call = Call::lambda("UpdateFunctionConfiguration", function_name);
    // Empty lists and an empty ARN are how Lambda is told to remove something; sent only where there is something to remove.
    let vpc_config = match (&wanted.vpc, &current.vpc) {
        (Some(wanted), _) => Some(vpc(wanted)),
        (None, Some(_)) => Some(vpc(&Vpc {
            subnet_ids: [].into(),
            security_group_ids: [].into(),
        })),
        (None, None) => None,
    };
    let dead_letter = match (
        &wanted.dead_letter_target_arn,
        &current.dead_letter_target_arn,
    ) {
        (Some(wanted), _) => Some(wanted.as_str()),
        (None, Some(_)) => Some(""),
        (None, None) => None,
    };
    let layers = (wanted.layers != current.layers).then(|| wanted.layers.clone());
    let answer = with_role(aws, op, &wanted.role_arn, &call, || {
        aws.lambda
            .update_function_configuration()
            .function_name(function_name)
            .description(&wanted.description)
            .role(&wanted.role_arn)
            .set_runtime(wanted.runtime.as_deref().map(types::Runtime::from))
            .set_handler(wanted.handler.clone())
            .memory_size(wanted.memory)
            .timeout(wanted.timeout)
            .set_ephemeral_storage(ephemeral_storage(wanted.ephemeral_storage))
            .environment(environment(wanted))
            .set_vpc_config(vpc_config.clone())
            .set_dead_letter_config(
                dead_letter.map(|arn| types::DeadLetterConfig::builder().target_arn(arn).build()),
            )
            .logging_config(logging(wanted))
            .tracing_config(tracing(wanted))
            .set_layers(layers.clone())
            .send()
    })
    .await?;
    answer.snapshot(&call)
}

/// Uploads code for `$LATEST`, for this architecture; the update is still running afterwards.
pub(crate) async fn update_code(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    wanted: Architecture,
    code: &SentCode,
) -> Result<Snapshot, DeployError> {
    tracing::info!(function_name, "updating the code");
    let call = Call::lambda("UpdateFunctionCode", function_name);
    let answer = retry::call(op, &call, || {
        aws.lambda
            .update_function_code()
            .function_name(function_name)
            .architectures(architecture(wanted))
            .set_zip_file(code.zip.clone())
            .set_image_uri(code.image.clone())
            .set_s3_bucket(code.bucket())
            .set_s3_key(code.key())
            .set_s3_object_version(code.object_version())
            .send()
    })
    .await?;
    answer.snapshot(&call)
}

/// Reserves concurrency, or gives it back to the account's pool.
pub(crate) async fn set_concurrency(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    wanted: Option<i32>,
) -> Result<(), DeployError> {
    tracing::info!(function_name, wanted, "setting the reserved concurrency");
    match wanted {
        Some(wanted) => {
            let call = Call::lambda("PutFunctionConcurrency", function_name);
            retry::call(op, &call, || {
                aws.lambda
                    .put_function_concurrency()
                    .function_name(function_name)
                    .reserved_concurrent_executions(wanted)
                    .send()
            })
            .await?;
        }
        None => {
            let call = Call::lambda("DeleteFunctionConcurrency", function_name);
            retry::call(op, &call, || {
                aws.lambda
                    .delete_function_concurrency()
                    .function_name(function_name)
                    .send()
            })
            .await?;
        }
    }
    Ok(())
}

/// Brings the function's tags to `wanted`, keeping AWS's own.
pub(crate) async fn set_tags(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    current: &Tags,
    wanted: &Tags,
) -> Result<(), DeployError> {
    let (set, remove) = tags::difference(current, wanted);
    let arn = aws.function_arn(function_name);
    if !set.is_empty() {
        let call = Call::lambda("TagResource", &arn);
        let set: HashMap<_, _> = set.into_iter().collect();
        retry::call(op, &call, || {
            aws.lambda
                .tag_resource()
                .resource(&arn)
                .set_tags(Some(set.clone()))
                .send()
        })
        .await?;
    }
    if !remove.is_empty() {
        let call = Call::lambda("UntagResource", &arn);
        retry::call(op, &call, || {
            aws.lambda
                .untag_resource()
                .resource(&arn)
                .set_tag_keys(Some(remove.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}

/// Deletes the function with all versions and aliases, and waits until it is gone.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<(), DeployError> {
    tracing::info!(function_name, "deleting the function");
    let call = Call::lambda("DeleteFunction", function_name);
    let deleted = retry::call(op, &call, || {
        aws.lambda
            .delete_function()
            .function_name(function_name)
            .send()
    })
    .await;
    match deleted {
        Ok(_) => {}
        Err(fault) if fault.is_not_found() => return Ok(()),
        Err(fault) => return Err(fault.into()),
    }
    let call = Call::lambda("GetFunctionConfiguration", function_name);
    let mut backoff = Backoff::new(function_name);
    loop {
        let answer = retry::call(op, &call, || {
            aws.lambda
                .get_function_configuration()
                .function_name(function_name)
                .send()
        })
        .await;
        match answer {
            Err(fault) if fault.is_not_found() => return Ok(()),
            Err(fault) => return Err(fault.into()),
            Ok(_) => {
                backoff
                    .pause(op, &call, "the function to be deleted")
                    .await?
            }
        }
    }
}

/// As [`retry::call`], and also waits for Lambda to see the role, its permissions and its identity in KMS.
///
/// A role that IAM shows to be unfit is given [`ROLE_GRACE`], because it may be in the making, and then ends the wait early.
async fn with_role<T, E, F, Sent>(
    aws: &Aws,
    op: &Operation,
    role_arn: &str,
    call: &Call,
    send: F,
) -> Result<T, Fault>
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
    F: Fn() -> Sent,
    Sent: Future<
        Output = Result<
            T,
            aws_smithy_runtime_api::client::result::SdkError<
                E,
                aws_smithy_runtime_api::client::orchestrator::HttpResponse,
            >,
        >,
    >,
{
    let started = Instant::now();
    let mut backoff = Backoff::new(&call.object);
    loop {
        let fault = match retry::call(op, call, &send).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        let Some((propagation, limit)) = fault.propagation() else {
            return Err(fault);
        };
        let waited = started.elapsed();
        if waited >= limit {
            return Err(fault);
        }
        if propagation == Propagation::Trust
            && waited >= ROLE_GRACE
            && let Some(refusal) = role::permanent_refusal(aws, op, role_arn).await?
        {
            return Err(refusal.into());
        }
        let why = match propagation {
            Propagation::Trust => "Lambda to be able to assume the role",
            Propagation::Permissions => "Lambda to see the role's permissions",
            Propagation::Grant => "KMS to see the role",
            Propagation::Ec2 => "EC2, which throttles Lambda",
        };
        backoff.pause(op, call, why).await?;
    }
}

/// Code as a request carries or names it, in one of three ways.
#[derive(Clone, Default)]
pub(crate) struct SentCode {
    zip: Option<Blob>,
    image: Option<String>,
    stored: Option<Stored>,
}

impl SentCode {
    pub(crate) fn zip(zip: &[u8]) -> Self {
        Self {
            zip: Some(Blob::new(zip)),
            ..Self::default()
        }
    }

    pub(crate) fn image(uri: &str) -> Self {
        Self {
            image: Some(uri.to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn stored(stored: Stored) -> Self {
        Self {
            stored: Some(stored),
            ..Self::default()
        }
    }

    fn bucket(&self) -> Option<String> {
        self.stored.as_ref().map(|stored| stored.bucket.clone())
    }

    fn key(&self) -> Option<String> {
        self.stored.as_ref().map(|stored| stored.key.clone())
    }

    fn object_version(&self) -> Option<String> {
        self.stored.as_ref()?.version.clone()
    }
}

fn architecture(wanted: Architecture) -> types::Architecture {
    match wanted {
        Architecture::X86_64 => types::Architecture::X8664,
        Architecture::Arm64 => types::Architecture::Arm64,
    }
}

/// Whole: what is not said of it Lambda sets to its defaults.
fn logging(wanted: &Configuration) -> types::LoggingConfig {
    types::LoggingConfig::builder()
        .log_format(match wanted.log_format {
            LogFormat::Text => types::LogFormat::Text,
            LogFormat::Json => types::LogFormat::Json,
        })
        .log_group(&wanted.log_group)
        .build()
}

fn tracing(wanted: &Configuration) -> types::TracingConfig {
    types::TracingConfig::builder()
        .mode(match wanted.tracing {
            Tracing::PassThrough => types::TracingMode::PassThrough,
            Tracing::Active => types::TracingMode::Active,
        })
        .build()
}

fn environment(wanted: &Configuration) -> types::Environment {
    types::Environment::builder()
        .set_variables(Some(wanted.environment.clone().into_iter().collect()))
        .build()
}

fn ephemeral_storage(megabytes: i32) -> Option<types::EphemeralStorage> {
    types::EphemeralStorage::builder()
        .size(megabytes)
        .build()
        .ok()
}

fn vpc(vpc: &Vpc) -> types::VpcConfig {
    types::VpcConfig::builder()
        .set_subnet_ids(Some(vpc.subnet_ids.iter().cloned().collect()))
        .set_security_group_ids(Some(vpc.security_group_ids.iter().cloned().collect()))
        .build()
}
