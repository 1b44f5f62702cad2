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

/// Where Lambda unpacks layers.
const LAYERS: &str = "/opt";

/// The server's environment, sorted by name.
pub(crate) fn for_server(
    function: impl Iterator<Item = (OsString, OsString)>,
    command: &ServerCommand,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = function.collect();
    let task_root = task_root(all.get(OsStr::new("LAMBDA_TASK_ROOT")));
    let runtime = runtime(
        all.get(OsStr::new("AWS_EXECUTION_ENV")),
        command.argv.first(),
    );
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
        // A start per event: the second one finds the first one's compiled files. With a prefix Python looks for them there alone, so where the package
        // brings them, there is none.
        ProcessScope::Invocation => {
            match brings_bytecode(&task_root) {
                true => default("PYTHONDONTWRITEBYTECODE", "1"),
                false => default("PYTHONPYCACHEPREFIX", "/tmp/.pycache"),
            }
            default("NODE_COMPILE_CACHE", "/tmp/.node-compile-cache");
        }
    }

    search_paths(&mut all, &task_root, Path::new(LAYERS), &runtime);
    all
}

/// Whether some Python package of the function's code has its bytecode beside it.
fn brings_bytecode(task_root: &Path) -> bool {
    let packages = task_root.join("site-packages");
    let has_bytecode = |directory: &Path| directory.join("__pycache__").is_dir();
    let mut inside = packages.read_dir().into_iter().flatten().flatten();
    has_bytecode(task_root)
        || has_bytecode(&packages)
        || inside.any(|entry| has_bytecode(&entry.path()))
}

/// Lambda's identifier of the runtime, `python3.13`: from `AWS_EXECUTION_ENV` (`AWS_Lambda_python3.13`, set on managed runtimes only), else the name of the
/// program that is started, which may be none.
fn runtime(execution: Option<&OsString>, program: Option<&String>) -> String {
    let managed = execution
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix("AWS_Lambda_"));
    let name = managed.or_else(|| program.and_then(|program| program.rsplit('/').next()));
    name.unwrap_or_default().to_owned()
}

/// Adds the packages in the function's code and what layers bring to the variables in which programs look for them. Managed runtimes name a layer's
/// directories in code that the bridge replaces, so here they are named for every server. Only directories that exist are added, none twice.
///
/// Source of the directories: Lambda developer guide, "Packaging your layer content" and "Defined runtime environment variables".
fn search_paths(
    all: &mut BTreeMap<OsString, OsString>,
    task_root: &Path,
    layers: &Path,
    runtime: &str,
) {
    let nodejs = layers.join("nodejs");
    let node_major = runtime
        .strip_prefix("nodejs")
        .map(|version| version.trim_end_matches(".x"));
    let mut node = vec![nodejs.join("node_modules")];
    if let Some(major) = node_major {
        node.insert(0, nodejs.join(format!("node{major}/node_modules")));
    }
    let python = layers.join("python");
    let mut packages = vec![task_root.join("site-packages")];
    if runtime.starts_with("python3.") {
        packages.push(python.join(format!("lib/{runtime}/site-packages")));
    }
    packages.push(python);
    add(all, "PATH", vec![layers.join("bin")], End::Back);
    add(all, "LD_LIBRARY_PATH", vec![layers.join("lib")], End::Back);
    add(all, "NODE_PATH", node, End::Back);
    add(all, "PYTHONPATH", packages, End::Front);
}

/// Where directories are added to a list of them.
enum End {
    Front,
    Back,
}

fn add(all: &mut BTreeMap<OsString, OsString>, name: &str, directories: Vec<PathBuf>, end: End) {
    let existing = all.get(OsStr::new(name)).filter(|list| !list.is_empty());
    // Without a PATH programs are looked for in the system's own directories; with one, only there.
    let mut list = match (existing, name) {
        (Some(existing), _) => vec![existing.clone()],
        (None, "PATH") => vec!["/usr/local/bin:/usr/bin:/bin".into()],
        (None, _) => Vec::new(),
    };
    let named: Vec<PathBuf> = list.iter().flat_map(std::env::split_paths).collect();
    let found: Vec<OsString> = directories
        .into_iter()
        .filter(|directory| directory.is_dir() && !named.contains(directory))
        .map(OsString::from)
        .collect();
    if found.is_empty() {
        return;
    }
    match end {
        End::Front => list.splice(0..0, found),
        End::Back => list.splice(list.len().., found),
    };
    all.insert(name.into(), list.join(OsStr::new(":")));
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
            ("NODE_COMPILE_CACHE", "/tmp/o"),
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
    fn bytecode_of_the_package_is_looked_for_where_it_lies() {
        let root = std::env::temp_dir().join(format!("mcplambda-bytecode-{}", std::process::id()));
        let seen = || {
            let command = ServerCommand {
                process_scope: ProcessScope::Invocation,
                ..ServerCommand::new(vec!["python3.13".into()])
            };
            let place = root.to_str().expect("UTF-8");
            let mut seen = server_sees(&command, &[("LAMBDA_TASK_ROOT", place)]);
            seen.retain(|(name, _)| name.starts_with("PYTHON") && name != "PYTHONPATH");
            seen
        };
        let without = pairs(&[("PYTHONPYCACHEPREFIX", "/tmp/.pycache")]);
        let with = pairs(&[("PYTHONDONTWRITEBYTECODE", "1")]);
        for place in [
            "site-packages/mcp/__pycache__",
            "site-packages/__pycache__",
            "__pycache__",
        ] {
            std::fs::create_dir_all(root.join("site-packages/mcp")).expect("a directory");
            assert_eq!(seen(), without);
            std::fs::create_dir_all(root.join(place)).expect("a directory");
            assert_eq!(seen(), with);
            std::fs::remove_dir_all(&root).expect("made above");
        }
    }

    /// The lists that a server of `runtime` gets, `T` for the task root and `O` for the layers' directory, of which these directories exist.
    fn lists(runtime: &str, exist: &[&str], before: &[(&str, &str)]) -> Vec<(String, String)> {
        let root = std::env::temp_dir().join(format!(
            "mcplambda-layers-{}-{runtime}-{}",
            std::process::id(),
            exist.len()
        ));
        std::fs::create_dir_all(&root).expect("the temporary directory can be written to");
        for directory in exist {
            std::fs::create_dir_all(root.join(directory))
                .expect("the temporary directory can be written to");
        }
        let mut all: BTreeMap<OsString, OsString> = before
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        search_paths(&mut all, &root.join("T"), &root.join("O"), runtime);
        std::fs::remove_dir_all(&root).expect("made above");
        let place = format!("{}/", root.display());
        all.into_iter()
            .map(|(name, value)| {
                (
                    name,
                    value.into_string().expect("UTF-8").replace(&place, ""),
                )
            })
            .map(|(name, value)| (name.into_string().expect("UTF-8"), value))
            .collect()
    }

    const LAYERED: [&str; 9] = [
        "T/site-packages",
        "O/bin",
        "O/lib",
        "O/python",
        "O/python/lib/python3.13/site-packages",
        "O/python/lib/python3.12/site-packages",
        "O/nodejs/node_modules",
        "O/nodejs/node22/node_modules",
        "O/nodejs/node20/node_modules",
    ];

    #[test]
    fn what_layers_bring_is_found_where_lambda_users_expect_it() {
        let before = [
            ("LD_LIBRARY_PATH", "/lib64:/var/task/lib"),
            ("PATH", "/var/lang/bin:/usr/bin"),
            ("PYTHONPATH", "/mine"),
        ];
        assert_eq!(
            lists("python3.13", &LAYERED, &before),
            pairs(&[
                ("LD_LIBRARY_PATH", "/lib64:/var/task/lib:O/lib"),
                ("NODE_PATH", "O/nodejs/node_modules"),
                ("PATH", "/var/lang/bin:/usr/bin:O/bin"),
                (
                    "PYTHONPATH",
                    "T/site-packages:O/python/lib/python3.13/site-packages:O/python:/mine"
                ),
            ])
        );
        assert_eq!(
            lists(
                "nodejs22.x",
                &LAYERED,
                &[("PATH", "/var/lang/bin"), ("NODE_PATH", "/mine")]
            )
            .into_iter()
            .find(|(name, _)| name == "NODE_PATH"),
            Some((
                "NODE_PATH".to_owned(),
                "/mine:O/nodejs/node22/node_modules:O/nodejs/node_modules".to_owned()
            ))
        );
        assert_eq!(
            lists("server", &["O/bin", "O/lib"], &[]),
            pairs(&[
                ("LD_LIBRARY_PATH", "O/lib"),
                ("PATH", "/usr/local/bin:/usr/bin:/bin:O/bin"),
            ])
        );
    }

    #[test]
    fn what_is_not_there_or_named_already_is_not_added() {
        let before = [("PATH", "/usr/bin")];
        assert_eq!(lists("python3.13", &[], &before), pairs(&before));
        let mut all = BTreeMap::from([("PATH".into(), "/usr/bin:/tmp:/bin".into())]);
        add(&mut all, "PATH", vec!["/tmp".into()], End::Back);
        assert_eq!(all[OsStr::new("PATH")], "/usr/bin:/tmp:/bin");
    }

    #[test]
    fn the_runtime_is_known_from_lambda_or_from_the_program() {
        let named = |execution: Option<&str>, program: &str| {
            runtime(
                execution.map(OsString::from).as_ref(),
                Some(&program.to_owned()),
            )
        };
        assert_eq!(named(Some("AWS_Lambda_python3.13"), "x"), "python3.13");
        assert_eq!(named(None, "/var/lang/bin/python3.12"), "python3.12");
        assert_eq!(named(None, "./server"), "server");
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
