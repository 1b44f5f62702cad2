//! The environment and the working directory that the MCP server is started with. Pure but for looking which directories exist.
//!
//! Enters: the function's own environment. Leaves: what the server may see of it. Refuses, by leaving it out: the bridge's own variables, Lambda's
//! internals, and AWS credentials unless they were asked for. Only /tmp is writable in Lambda, so home and caches point there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::launch::{ProcessScope, ServerCommand};

/// Variables by which AWS SDKs find the execution role.
const CREDENTIALS: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
];

/// What Lambda tells its runtimes; a server that found them would take itself for the function.
const INTERNALS: [&str; 7] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_EXECUTION_ENV",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "AWS_XRAY_DAEMON_ADDRESS",
    "AWS_XRAY_CONTEXT_MISSING",
];

/// The function's directory when `LAMBDA_TASK_ROOT` is not set.
const TASK_ROOT: &str = "/var/task";

/// Where layers put Python packages.
const LAYER_PACKAGES: &str = "/opt/python";

/// The server's environment, sorted by name.
pub(crate) fn for_server(
    function: impl Iterator<Item = (OsString, OsString)>,
    command: &ServerCommand,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = function.collect();
    let task_root = task_root(all.get(OsStr::new("LAMBDA_TASK_ROOT")));
    all.retain(|name, _| {
        // A name that is not UTF-8 is none of ours and none of Lambda's.
        let Some(name) = name.to_str() else {
            return true;
        };
        let internal = name.starts_with("MCPLAMBDA_")
            || name.starts_with("AWS_LAMBDA_")
            || name.starts_with("_AWS_XRAY_")
            || INTERNALS.contains(&name);
        !internal && (command.aws_credentials || !CREDENTIALS.contains(&name))
    });

    let home = all.get(OsStr::new("HOME"));
    if home.is_none_or(|home| !Path::new(home).starts_with("/tmp")) {
        all.insert("HOME".into(), "/tmp".into());
    }
    let mut default = |name: &str, value: &str| {
        all.entry(name.into()).or_insert_with(|| value.into());
    };
    default("XDG_CACHE_HOME", "/tmp/.cache");
    default("XDG_CONFIG_HOME", "/tmp/.config");
    default("XDG_DATA_HOME", "/tmp/.local/share");
    default("XDG_STATE_HOME", "/tmp/.local/state");
    default("npm_config_cache", "/tmp/.npm");
    match command.process_scope {
        // One start per environment: writing the compiled files costs more than it ever saves.
        ProcessScope::Environment => default("PYTHONDONTWRITEBYTECODE", "1"),
        // A start per event: the second one finds the first one's compiled files.
        ProcessScope::Invocation => default("PYTHONPYCACHEPREFIX", "/tmp/.pycache"),
    }

    let packages = [
        task_root.join("site-packages"),
        PathBuf::from(LAYER_PACKAGES),
    ];
    let existing = all
        .get(OsStr::new("PYTHONPATH"))
        .filter(|path| !path.is_empty());
    let path: Vec<OsString> = packages
        .into_iter()
        .filter(|directory| directory.is_dir())
        .map(OsString::from)
        .chain(existing.cloned())
        .collect();
    if !path.is_empty() {
        all.insert("PYTHONPATH".into(), path.join(OsStr::new(":")));
    }
    all
}

/// The server's working directory: `cwd` below the task root, `cwd` itself when absolute, the task root when there is none. The current directory stands
/// in for a task root that does not exist, as outside Lambda.
pub(crate) fn working_directory(
    cwd: Option<&str>,
    task_root_variable: Option<&OsString>,
) -> Option<PathBuf> {
    let root = task_root(task_root_variable);
    match cwd {
        Some(cwd) => Some(root.join(cwd)),
        None => root.is_dir().then_some(root),
    }
}

fn task_root(variable: Option<&OsString>) -> PathBuf {
    variable.map_or_else(|| PathBuf::from(TASK_ROOT), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_sees(command: &ServerCommand, function: &[(&str, &str)]) -> Vec<(String, String)> {
        let function = function
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let text = |text: OsString| text.into_string().expect("UTF-8 in, UTF-8 out");
        for_server(function, command)
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    const FUNCTION: [(&str, &str); 14] = [
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://127.0.0.1/creds",
        ),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_LAMBDA_EXEC_WRAPPER", "/var/task/mcplambda-bridge"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("HOME", "/home/sbx_user1051"),
        ("LAMBDA_TASK_ROOT", "/nonexistent"),
        ("MCPLAMBDA_SERVER", "{}"),
        ("MY_KEY", "mine"),
        ("PATH", "/var/lang/bin:/usr/bin"),
        ("_HANDLER", "mcplambda.handler"),
    ];

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_server_sees_the_users_variables_and_neither_lambdas_nor_credentials() {
        let command = ServerCommand::new(vec!["server".into()]);
        assert_eq!(
            server_sees(&command, &FUNCTION),
            pairs(&[
                ("AWS_DEFAULT_REGION", "eu-west-1"),
                ("AWS_REGION", "eu-west-1"),
                ("HOME", "/tmp"),
                ("MY_KEY", "mine"),
                ("PATH", "/var/lang/bin:/usr/bin"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                ("XDG_CACHE_HOME", "/tmp/.cache"),
                ("XDG_CONFIG_HOME", "/tmp/.config"),
                ("XDG_DATA_HOME", "/tmp/.local/share"),
                ("XDG_STATE_HOME", "/tmp/.local/state"),
                ("npm_config_cache", "/tmp/.npm"),
            ])
        );
    }

    #[test]
    fn credentials_are_passed_only_when_asked_for() {
        let command = ServerCommand {
            aws_credentials: true,
            ..ServerCommand::new(vec!["server".into()])
        };
        let seen = server_sees(&command, &FUNCTION);
        let credentials: Vec<&str> = seen
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| CREDENTIALS.contains(name))
            .collect();
        assert_eq!(
            credentials,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN"
            ]
        );
        assert!(!seen.iter().any(|(name, _)| name.starts_with("AWS_LAMBDA_")));
    }

    #[test]
    fn what_the_user_chose_is_kept() {
        let command = ServerCommand {
            process_scope: ProcessScope::Invocation,
            ..ServerCommand::new(vec!["server".into()])
        };
        let chosen = [
            ("HOME", "/tmp/me"),
            ("LAMBDA_TASK_ROOT", "/nonexistent"),
            ("PYTHONPATH", "/mine"),
            ("PYTHONPYCACHEPREFIX", "/tmp/p"),
            ("XDG_CACHE_HOME", "/tmp/c"),
            ("XDG_CONFIG_HOME", "/tmp/f"),
            ("XDG_DATA_HOME", "/tmp/d"),
            ("XDG_STATE_HOME", "/tmp/s"),
            ("npm_config_cache", "/tmp/n"),
        ];
        let kept: Vec<_> = pairs(&chosen)
            .into_iter()
            .filter(|(name, _)| name != "LAMBDA_TASK_ROOT")
            .collect();
        assert_eq!(server_sees(&command, &chosen), kept);
    }

    #[test]
    fn a_relative_directory_is_below_the_task_root() {
        let root = OsString::from("/var/task");
        assert_eq!(
            working_directory(Some("data"), Some(&root)),
            Some(PathBuf::from("/var/task/data"))
        );
        assert_eq!(
            working_directory(Some("/tmp/x"), Some(&root)),
            Some(PathBuf::from("/tmp/x"))
        );
        assert_eq!(
            working_directory(None, Some(&OsString::from("/"))),
            Some(PathBuf::from("/"))
        );
        assert_eq!(
            working_directory(None, Some(&OsString::from("/nonexistent"))),
            None
        );
    }
}
