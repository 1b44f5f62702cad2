//! What an execution environment is started with: the emulator's command line, and the function's
//! first process with the environment variables that Lambda sets.
//!
//! Enters: a version's [`Setup`]. Leaves: specifications for `supervise` and `launch`. It refuses
//! managed runtimes without an exec wrapper, because their own bootstraps are not part of
//! local-aws.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::{EMULATOR_MARGIN, INIT_LIMIT};
use super::runtimes::{Interpreter, Runtime};
use super::{Isolation, launch};
use crate::{sandbox, supervise};

/// All that an environment is made from.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) function_name: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    pub(crate) region: String,
    pub(crate) handler: String,
    /// The runtime's name, for example `python3.13`.
    pub(crate) runtime_name: String,
    pub(crate) runtime: Runtime,
    pub(crate) memory_mib: u64,
    pub(crate) tmp_mib: u64,
    pub(crate) timeout: Duration,
    pub(crate) variables: Vec<(String, String)>,
    /// Access key, secret key and session token of the execution role.
    pub(crate) credentials: (String, String, String),
    pub(crate) log_group: String,
    /// The unpacked code.
    pub(crate) code: PathBuf,
    /// What its layers bring, unpacked over one another.
    pub(crate) layers: Option<PathBuf>,
    /// For images of another processor than the machine's.
    pub(crate) emulator: Option<sandbox::Emulator>,
    /// local-aws's own address, for functions that call AWS; empty when there is none.
    pub(crate) endpoint: String,
    pub(crate) api: Api,
    /// Whether the platform's lines are written and the log is kept; else the function writes to
    /// local-aws's own standard error. Always with [`Api::Emulator`].
    pub(crate) reports: bool,
}

/// Whose Runtime API a function talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Api {
    /// That of AWS's Runtime Interface Emulator.
    Emulator,
    /// local-aws's own.
    Own,
}

/// The emulator, with the function's launch as its runtime.
pub(super) fn emulator_spec(
    setup: &Setup,
    isolation: &Isolation,
    directory: &Path,
    emulator: &Path,
    (api, runtime_api): (SocketAddr, SocketAddr),
    launch_file: &Path,
) -> Result<supervise::Spec, String> {
    let own = std::env::current_exe().map_err(text)?;
    let root = root(setup, isolation, directory)?;
    let emulator_timeout = (setup.timeout + INIT_LIMIT + EMULATOR_MARGIN)
        .as_secs()
        .to_string();
    Ok(supervise::Spec {
        argv: vec![
            emulator.display().to_string(),
            "--runtime-interface-emulator-address".to_owned(),
            api.to_string(),
            "--runtime-api-address".to_owned(),
            runtime_api.to_string(),
            own.display().to_string(),
            "__runtime".to_owned(),
            launch_file.display().to_string(),
        ],
        env: vec![("AWS_LAMBDA_FUNCTION_TIMEOUT".to_owned(), emulator_timeout)],
        output: Some(directory.join("emulator.log")),
        root,
        remove_if_orphaned: None,
    })
}

/// The function's launch without an emulator.
pub(super) fn runtime_spec(
    setup: &Setup,
    isolation: &Isolation,
    directory: &Path,
    launch_file: &Path,
) -> Result<supervise::Spec, String> {
    let own = std::env::current_exe().map_err(text)?;
    Ok(supervise::Spec {
        argv: vec![
            own.display().to_string(),
            "__runtime".to_owned(),
            launch_file.display().to_string(),
        ],
        env: Vec::new(),
        output: setup.reports.then(|| directory.join("launch.log")),
        root: root(setup, isolation, directory)?,
        remove_if_orphaned: None,
    })
}

/// The root directory that a function gets, if any.
fn root(
    setup: &Setup,
    isolation: &Isolation,
    directory: &Path,
) -> Result<Option<sandbox::Root>, String> {
    if let Isolation::Plain { .. } = isolation {
        return Ok(None);
    }
    let dir = directory.join("root");
    std::fs::create_dir(&dir)
        .or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })
        .map_err(text)?;
    let (base, prefix, links) = match &setup.runtime {
        Runtime::Provided | Runtime::Program(_) => (PathBuf::from("/"), None, Vec::new()),
        Runtime::Image(_) => (setup.code.clone(), None, Vec::new()),
        Runtime::Managed(interpreter) => (
            interpreter.base.clone(),
            interpreter.prefix.clone(),
            links(interpreter),
        ),
    };
    Ok(Some(sandbox::Root {
        dir,
        base,
        code: setup.code.clone(),
        whole: matches!(setup.runtime, Runtime::Image(_)),
        layers: setup.layers.clone(),
        prefix,
        links,
        tmp_mib: setup.tmp_mib,
        emulator: setup.emulator.clone(),
    }))
}

/// The names in `/var/lang/bin` for an interpreter that has no installation directory of its own.
fn links(interpreter: &Interpreter) -> Vec<(String, PathBuf)> {
    if interpreter.prefix.is_some() {
        return Vec::new();
    }
    interpreter
        .names
        .iter()
        .map(|name| (name.clone(), interpreter.path.clone()))
        .collect()
}

/// The function's first process.
pub(super) fn launch_spec(
    setup: &Setup,
    isolation: &Isolation,
    directory: &Path,
    log_stream: &str,
    runtime_api: SocketAddr,
) -> Result<launch::Spec, String> {
    let plain = matches!(isolation, Isolation::Plain { .. });
    if plain && matches!(setup.runtime, Runtime::Image(_)) {
        return Err(
            "container images run only where local-aws can give functions a root directory"
                .to_owned(),
        );
    }
    if plain && setup.layers.is_some() {
        return Err("local-aws shows layers at /opt only where it can make namespaces".to_owned());
    }
    // Without a namespace the code is where it was unpacked, and LAMBDA_TASK_ROOT says so.
    let task_root = if plain {
        setup.code.display().to_string()
    } else {
        "/var/task".to_owned()
    };
    let at_task_root = |path: &str| match path.strip_prefix("/var/task/") {
        Some(rest) if plain => format!("{task_root}/{rest}"),
        _ => path.to_owned(),
    };
    let bin = if plain {
        directory.join("lang/bin")
    } else {
        PathBuf::from("/var/lang/bin")
    };
    if let Runtime::Managed(interpreter) = &setup.runtime
        && plain
        && !bin.exists()
    {
        std::fs::create_dir_all(&bin).map_err(text)?;
        for name in &interpreter.names {
            std::os::unix::fs::symlink(&interpreter.path, bin.join(name)).map_err(text)?;
        }
    }
    let wrapper = setup
        .variables
        .iter()
        .find(|(name, _)| name == "AWS_LAMBDA_EXEC_WRAPPER")
        .map(|(_, value)| value);
    let argv = match (&setup.runtime, wrapper) {
        // OS-only runtimes know no wrapper.
        (Runtime::Provided, _) => vec![at_task_root("/var/task/bootstrap")],
        (Runtime::Image(start), _) => start.argv.clone(),
        (Runtime::Program(program), _) => vec![program.display().to_string()],
        (Runtime::Managed(interpreter), Some(wrapper)) => {
            let program = bin.join(&interpreter.names[0]).display().to_string();
            let bootstrap = if interpreter.names[0] == "node" {
                "index.mjs"
            } else {
                "bootstrap.py"
            };
            vec![
                at_task_root(wrapper),
                program,
                format!("/var/runtime/{bootstrap}"),
            ]
        }
        (Runtime::Managed(_), None) => {
            return Err(format!(
                "local-aws has no bootstrap of the managed runtime {}: set AWS_LAMBDA_EXEC_WRAPPER, or bring a \
                 `bootstrap` and use provided.al2023",
                setup.runtime_name
            ));
        }
    };
    let path = if plain {
        let host = std::env::var("PATH").unwrap_or_default();
        format!("{}:{host}", bin.display())
    } else {
        "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()
    };
    let (access_key, secret_key, session_token) = &setup.credentials;
    let mut env: Vec<(String, String)> = setup.variables.clone();
    let image = match &setup.runtime {
        Runtime::Image(start) => Some(start),
        _ => None,
    };
    // The image's own, under the function's.
    for (name, value) in image.iter().flat_map(|start| &start.env) {
        if !env.iter().any(|(existing, _)| existing == name) {
            env.push((name.clone(), value.clone()));
        }
    }
    for (name, value) in &mut env {
        if name == "AWS_LAMBDA_EXEC_WRAPPER" {
            *value = at_task_root(value);
        }
    }
    let mut set = |name: &str, value: &str| {
        env.retain(|(existing, _)| existing != name);
        env.push((name.to_owned(), value.to_owned()));
    };
    set("AWS_LAMBDA_RUNTIME_API", &runtime_api.to_string());
    set("AWS_LAMBDA_FUNCTION_NAME", &setup.function_name);
    set("AWS_LAMBDA_FUNCTION_VERSION", &setup.version);
    set(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        &setup.memory_mib.to_string(),
    );
    set("AWS_LAMBDA_LOG_GROUP_NAME", &setup.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    set("AWS_REGION", &setup.region);
    set("AWS_DEFAULT_REGION", &setup.region);
    set("AWS_ACCESS_KEY_ID", access_key);
    set("AWS_SECRET_ACCESS_KEY", secret_key);
    set("AWS_SESSION_TOKEN", session_token);
    set("_HANDLER", &setup.handler);
    if image.is_none() {
        set("LAMBDA_TASK_ROOT", &task_root);
        set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    }
    set("TZ", ":UTC");
    let mut default = |name: &str, value: &str| {
        if !env.iter().any(|(existing, _)| existing == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    };
    default("PATH", &path);
    default("LANG", "en_US.UTF-8");
    default("PWD", &task_root);
    default("SHLVL", "0");
    default("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    if !setup.endpoint.is_empty() {
        // Not set by Lambda: a function that calls AWS finds local-aws by it.
        default("AWS_ENDPOINT_URL", &setup.endpoint);
    }
    if !plain && image.is_none() {
        default(
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        );
    }
    if let Runtime::Managed(interpreter) = &setup.runtime {
        default(
            "AWS_EXECUTION_ENV",
            &format!("AWS_Lambda_{}", setup.runtime_name),
        );
        if interpreter.names[0].starts_with("python") {
            default("PYTHONPATH", "/var/runtime");
        }
    }
    if let Runtime::Program(_) = &setup.runtime {
        // Whoever names the program may say it all, a role's credentials included.
        for (name, value) in &setup.variables {
            env.retain(|(existing, _)| existing != name);
            env.push((name.clone(), value.clone()));
        }
    }
    Ok(launch::Spec {
        argv,
        env,
        cwd: image.map_or_else(
            || PathBuf::from(&task_root),
            |start| start.directory.clone(),
        ),
        log: Some(std::path::absolute(directory.join("log")).map_err(text)?),
        root: (!plain).then(|| directory.join("root")),
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
