//! The function's environment: the user's variables beside those that start the bridge.
//!
//! In: what the user wrote and how the server is launched. Out: the variables of the function, and from them again what the
//! user wrote, so that an import needs nothing but the function's name. Refuses: more than Lambda takes.

use std::collections::BTreeMap;

use mcplambda_bridge::launch::{
    ENV_SERVER, HttpSettings, LaunchError, ProcessScope, ServerCommand, ToolFilter,
};
use serde::{Deserialize, Serialize};

/// Makes a managed runtime start the bridge instead of its own loop (Lambda developer guide, "wrapper scripts").
pub(crate) const ENV_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// Where the zip's bridge lies inside the function.
pub(crate) const WRAPPER: &str = "/var/task/mcplambda-bridge";

/// Bytes that all variables of a function may take together (Lambda quotas, "Environment variables").
pub(crate) const ENVIRONMENT_BYTES: usize = 4096;

/// What the configuration said, as far as the function cannot tell it otherwise; travels in [`ServerCommand::source`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceNote {
    pub(crate) name: String,
    pub(crate) command: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) packages: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_scripts: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) compile_bytecode: bool,
    /// As [`noted_folder`](super::spec::noted_folder) says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_dir: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) source_excludes: Vec<String>,
    /// Here, because it makes a version of its own of the same image in another repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_repository_url: Option<String>,
}

/// How the server is started, and what the configuration said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Launch {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) process_scope: ProcessScope,
    pub(crate) startup_timeout: Option<u32>,
    pub(crate) aws_credentials: bool,
    /// References, never values.
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) secrets_ttl: Option<u32>,
    pub(crate) tools: ToolFilter,
    pub(crate) metrics: bool,
    pub(crate) http: HttpSettings,
    pub(crate) note: SourceNote,
}

/// Why a function's environment does not say how it was configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error(
        "the function has no environment variable {ENV_SERVER}: it was not deployed by this provider"
    )]
    Missing,
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the `source` in {ENV_SERVER} is not one that this provider wrote: {0}")]
    Note(serde_json::Error),
    #[error("{ENV_SERVER} holds no `source`: the function was not deployed by this provider")]
    NoNote,
    #[error(
        "the function's environment takes {bytes} bytes, more than the {ENVIRONMENT_BYTES} that Lambda allows ({own} of them start the server); \
         shorten `env`, `secrets` or `args`"
    )]
    TooLarge { bytes: usize, own: usize },
}

/// The variables of the function. Runtimes that bring no loop of their own (`provided.*`) start the bridge as the package's `bootstrap`,
/// images (no runtime) as their entry point; both take no wrapper.
///
/// # Errors
///
/// [`EnvironmentError::TooLarge`].
pub(crate) fn compose(
    user: &BTreeMap<String, String>,
    launch: &Launch,
    runtime: &str,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let command = ServerCommand {
        cwd: launch.cwd.clone(),
        process_scope: launch.process_scope,
        startup_timeout: launch.startup_timeout,
        aws_credentials: launch.aws_credentials,
        secrets: launch.secrets.clone(),
        secrets_ttl: launch.secrets_ttl,
        tools: launch.tools.clone(),
        metrics: launch.metrics,
        http: launch.http.clone(),
        source: Some(serde_json::to_value(&launch.note).map_err(EnvironmentError::Note)?),
        argv: launch.argv.clone(),
    };
    let mut own = BTreeMap::from([(ENV_SERVER.to_owned(), command.to_json())]);
    if !runtime.is_empty() && !runtime.starts_with("provided") {
        own.insert(ENV_WRAPPER.to_owned(), WRAPPER.to_owned());
    }
    let own_bytes = bytes(&own);
    let mut variables = user.clone();
    variables.extend(own);
    let bytes = bytes(&variables);
    if bytes > ENVIRONMENT_BYTES {
        return Err(EnvironmentError::TooLarge {
            bytes,
            own: own_bytes,
        });
    }
    Ok(variables)
}

/// The user's variables.
pub(crate) fn user_variables(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    variables
        .iter()
        .filter(|(name, _)| *name != ENV_SERVER && *name != ENV_WRAPPER)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// How the function starts its server.
///
/// # Errors
///
/// Every [`EnvironmentError`] but `TooLarge`, when it was not deployed by this provider or was changed since.
pub(crate) fn launch(variables: &BTreeMap<String, String>) -> Result<Launch, EnvironmentError> {
    let text = variables.get(ENV_SERVER).ok_or(EnvironmentError::Missing)?;
    let command = ServerCommand::parse(text)?;
    let note = command.source.ok_or(EnvironmentError::NoNote)?;
    Ok(Launch {
        argv: command.argv,
        cwd: command.cwd,
        process_scope: command.process_scope,
        startup_timeout: command.startup_timeout,
        aws_credentials: command.aws_credentials,
        secrets: command.secrets,
        secrets_ttl: command.secrets_ttl,
        tools: command.tools,
        metrics: command.metrics,
        http: command.http,
        note: serde_json::from_value(note).map_err(EnvironmentError::Note)?,
    })
}

/// Names and values together.
fn bytes(variables: &BTreeMap<String, String>) -> usize {
    variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// Names that Lambda reserves or that would break the bridge (Lambda developer guide, "Defined runtime environment
/// variables"), so a user's variable cannot have them.
pub(crate) fn reserved(name: &str) -> bool {
    const RESERVED: [&str; 19] = [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
        ENV_WRAPPER,
    ];
    RESERVED.contains(&name) || name.starts_with("MCPLAMBDA_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch_of(argv: &[&str]) -> Launch {
        Launch {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            cwd: Some("data".to_owned()),
            process_scope: ProcessScope::Invocation,
            startup_timeout: Some(20),
            aws_credentials: true,
            secrets: BTreeMap::from([(
                "TOKEN".to_owned(),
                "arn:aws:ssm:eu-central-1:123456789012:parameter/token".to_owned(),
            )]),
            secrets_ttl: Some(300),
            tools: ToolFilter {
                include: vec!["get_*".to_owned()],
                exclude: vec!["get_secret".to_owned()],
                prefix: "time_".to_owned(),
            },
            metrics: true,
            http: HttpSettings {
                stream: true,
                allowed_origins: vec!["https://example.com".to_owned()],
                cors: false,
            },
            note: SourceNote {
                name: "time".to_owned(),
                command: "uvx".to_owned(),
                args: vec!["mcp-server-time".to_owned()],
                packages: vec!["mcp<2".to_owned()],
                source_dir: Some("./server".to_owned()),
                source_excludes: vec!["tests/".to_owned()],
                allow_scripts: Vec::new(),
                compile_bytecode: true,
                image_repository_url: Some("127.0.0.1:1/servers".to_owned()),
            },
        }
    }

    #[test]
    fn what_was_configured_is_read_back_from_the_function() {
        let user = BTreeMap::from([("KEY".to_owned(), "value".to_owned())]);
        let launch = launch_of(&["python3.13", "-c", "code"]);
        let variables = compose(&user, &launch, "python3.13").expect("fits");
        assert_eq!(user_variables(&variables), user);
        assert_eq!(super::launch(&variables).expect("ours"), launch);
        assert_eq!(variables[ENV_WRAPPER], "/var/task/mcplambda-bridge");
        let plain = compose(&user, &launch, "provided.al2023").expect("fits");
        assert_eq!(plain.get(ENV_WRAPPER), None);
        assert_eq!(plain[ENV_SERVER], variables[ENV_SERVER]);
    }

    #[test]
    fn a_function_of_someone_else_is_not_mistaken_for_ours() {
        let none = BTreeMap::new();
        assert!(matches!(
            super::launch(&none),
            Err(EnvironmentError::Missing)
        ));
        let foreign = BTreeMap::from([(ENV_SERVER.to_owned(), r#"{"argv":["x"]}"#.to_owned())]);
        assert!(matches!(
            super::launch(&foreign),
            Err(EnvironmentError::NoNote)
        ));
    }

    #[test]
    fn more_than_lambda_takes_is_refused_with_both_sizes() {
        let user = BTreeMap::from([("K".to_owned(), "v".repeat(4095))]);
        let error = compose(&user, &launch_of(&["python"]), "python3.13")
            .expect_err("too large")
            .to_string();
        assert!(
            error.contains("more than the 4096 that Lambda allows"),
            "{error}"
        );
    }
}
