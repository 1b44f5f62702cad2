//! One function or version as Lambda describes it, parsed: six calls answer with the same shape in six types.
//!
//! Refuses answers that lack what AWS documents as always there, and values that are not known here.

use std::collections::BTreeMap;

use aws_sdk_lambda::types::{self, LastUpdateStatus, State};

use super::DeployError;
use super::found::Configuration;
use super::names;
use super::retry::Call;
use super::wanted::{Architecture, LogFormat, Tracing, Vpc};

/// `/tmp` in MB where Lambda does not say: its documented default.
const DEFAULT_EPHEMERAL_STORAGE: i32 = 512;

/// What Lambda says about `$LATEST` or a version.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// `$LATEST`, or a number.
    pub(crate) version: String,
    pub(crate) configuration: Configuration,
    /// Base64.
    pub(crate) code_sha256: String,
    /// Bytes.
    pub(crate) code_size: i64,
    pub(crate) state: Option<State>,
    pub(crate) state_reason: Reason,
    pub(crate) last_update: Option<LastUpdateStatus>,
    pub(crate) last_update_reason: Reason,
}

/// Lambda's own words for why a state is what it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) text: String,
}

/// An answer that describes a function.
pub(crate) trait Describes {
    /// `call` is what was answered, for errors.
    fn snapshot(self, call: &Call) -> Result<Snapshot, DeployError>;
}

macro_rules! describes {
    ($($answer:ty),+ $(,)?) => {$(
        impl Describes for $answer {
            fn snapshot(self, call: &Call) -> Result<Snapshot, DeployError> {
                let name = self.function_name.unwrap_or_else(|| call.object.clone());
                Ok(Snapshot {
                    version: call.field(self.version, "Version")?,
                    configuration: Configuration {
                        description: self.description.unwrap_or_default(),
                        package_type: self
                            .package_type
                            .map_or("Zip".to_owned(), |package_type| package_type.as_str().to_owned()),
                        runtime: self.runtime.map(|runtime| runtime.as_str().to_owned()),
                        handler: self.handler,
                        architecture: architecture(call, self.architectures)?,
                        memory: call.field(self.memory_size, "MemorySize")?,
                        timeout: call.field(self.timeout, "Timeout")?,
                        ephemeral_storage: self
                            .ephemeral_storage
                            .map_or(DEFAULT_EPHEMERAL_STORAGE, |storage| storage.size),
                        environment: environment(&name, self.environment)?,
                        vpc: vpc(self.vpc_config),
                        dead_letter_target_arn: self
                            .dead_letter_config
                            .and_then(|config| config.target_arn)
                            .filter(|arn| !arn.is_empty()),
                        role_arn: call.field(self.role, "Role")?,
                        log_format: log_format(call, self.logging_config.as_ref())?,
                        log_group: self
                            .logging_config
                            .and_then(|config| config.log_group)
                            .unwrap_or_else(|| names::log_group_name(&name)),
                        tracing: tracing(call, self.tracing_config)?,
                        layers: self
                            .layers
                            .unwrap_or_default()
                            .into_iter()
                            .filter_map(|layer| layer.arn)
                            .collect(),
                    },
                    code_sha256: call.field(self.code_sha256, "CodeSha256")?,
                    code_size: self.code_size,
                    state: self.state,
                    state_reason: Reason {
                        code: code(self.state_reason_code.as_ref().map(|code| code.as_str())),
                        text: self.state_reason.unwrap_or_default(),
                    },
                    last_update: self.last_update_status,
                    last_update_reason: Reason {
                        code: code(
                            self.last_update_status_reason_code.as_ref().map(|code| code.as_str()),
                        ),
                        text: self.last_update_status_reason.unwrap_or_default(),
                    },
                })
            }
        }
    )+};
}

describes!(
    types::FunctionConfiguration,
    aws_sdk_lambda::operation::create_function::CreateFunctionOutput,
    aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput,
    aws_sdk_lambda::operation::publish_version::PublishVersionOutput,
    aws_sdk_lambda::operation::update_function_code::UpdateFunctionCodeOutput,
    aws_sdk_lambda::operation::update_function_configuration::UpdateFunctionConfigurationOutput,
);

fn code(code: Option<&str>) -> String {
    code.unwrap_or("no reason code").to_owned()
}

/// Lambda lists one architecture; functions older than the choice list none, and run on x86_64.
fn architecture(
    call: &Call,
    listed: Option<Vec<types::Architecture>>,
) -> Result<Architecture, DeployError> {
    match listed.unwrap_or_default().first() {
        None | Some(types::Architecture::X8664) => Ok(Architecture::X86_64),
        Some(types::Architecture::Arm64) => Ok(Architecture::Arm64),
        Some(other) => Err(call.unknown("Architectures", other.as_str())),
    }
}

/// Functions older than the choice say nothing, and write text.
fn log_format(
    call: &Call,
    config: Option<&types::LoggingConfig>,
) -> Result<LogFormat, DeployError> {
    match config.and_then(|config| config.log_format.as_ref()) {
        None | Some(types::LogFormat::Text) => Ok(LogFormat::Text),
        Some(types::LogFormat::Json) => Ok(LogFormat::Json),
        Some(other) => Err(call.unknown("LogFormat", other.as_str())),
    }
}

fn tracing(
    call: &Call,
    config: Option<types::TracingConfigResponse>,
) -> Result<Tracing, DeployError> {
    match config.and_then(|config| config.mode) {
        None | Some(types::TracingMode::PassThrough) => Ok(Tracing::PassThrough),
        Some(types::TracingMode::Active) => Ok(Tracing::Active),
        Some(other) => Err(call.unknown("TracingConfig.Mode", other.as_str())),
    }
}

fn environment(
    function_name: &str,
    environment: Option<types::EnvironmentResponse>,
) -> Result<BTreeMap<String, String>, DeployError> {
    let Some(environment) = environment else {
        return Ok(BTreeMap::new());
    };
    if let Some(error) = environment.error {
        return Err(DeployError::EnvironmentUnreadable {
            function_name: function_name.to_owned(),
            code: error.error_code.unwrap_or_default(),
            message: error.message.unwrap_or_default(),
        });
    }
    Ok(environment
        .variables
        .unwrap_or_default()
        .into_iter()
        .collect())
}

/// A function that left its VPC is described with empty lists.
fn vpc(config: Option<types::VpcConfigResponse>) -> Option<Vpc> {
    let config = config?;
    let vpc = Vpc {
        subnet_ids: config.subnet_ids.unwrap_or_default().into_iter().collect(),
        security_group_ids: config
            .security_group_ids
            .unwrap_or_default()
            .into_iter()
            .collect(),
    };
    (!vpc.subnet_ids.is_empty()).then_some(vpc)
}
