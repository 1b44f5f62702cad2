//! The model in the terms of the rooms below: what to package, what to deploy. Pure.
//!
//! In: a [`Server`] whose needed attributes are known. Out: [`ServerSpec`], [`Wanted`] without its code. Refuses: values that
//! the schema's validators cannot judge alone.

use std::collections::{BTreeMap, BTreeSet};

use mcplambda_bridge::launch::{HttpSettings, ProcessScope, ToolFilter};

use crate::deploy::{self, LogFormat, Repository, Role, Tracing, Vpc};
use crate::package::{self, MinimumAge, ServerSpec, Source};
use crate::plugin::Attr;

use super::environment::{Launch, SourceNote};
use super::function_url;
use super::model::Server;

/// Why a server cannot be described yet, or at all.
#[derive(Debug)]
pub(crate) enum SpecError {
    /// An attribute that is needed is not known yet.
    Unknown,
    Package(package::PackageError),
}

/// What to package.
///
/// # Errors
///
/// [`SpecError::Unknown`] while an attribute that decides it is unknown; else what is wrong with the command line.
pub(crate) fn source(
    server: &Server,
    configured_runtime: &Attr<String>,
) -> Result<Source, SpecError> {
    package::plan_source(&server_spec(server, configured_runtime)?).map_err(SpecError::Package)
}

fn server_spec(
    server: &Server,
    configured_runtime: &Attr<String>,
) -> Result<ServerSpec, SpecError> {
    let undecided = server.command.is_unknown()
        || server.args.is_unknown()
        || server.packages.is_unknown()
        || server.allow_scripts.is_unknown()
        || server.compile_bytecode.is_unknown()
        || server.cwd.is_unknown()
        || server.source_dir.is_unknown()
        || server.source_excludes.is_unknown()
        || server.architecture.is_unknown()
        || configured_runtime.is_unknown();
    if undecided {
        return Err(SpecError::Unknown);
    }
    Ok(ServerSpec {
        command: text(&server.command),
        args: strings(&server.args),
        packages: strings(&server.packages),
        allow_scripts: server.allow_scripts.known().cloned(),
        compile_bytecode: compiles(server),
        runtime: configured_runtime.known().cloned(),
        architecture: package_architecture(&server.architecture),
        cwd: server.cwd.known().cloned(),
        source_dir: server.source_dir.known().cloned(),
        source_excludes: strings(&server.source_excludes),
        // Layers that are not known yet are some, all the same.
        layered: server.layers.is_unknown() || !strings(&server.layers).is_empty(),
    })
}

/// Whether bytecode goes into the package.
pub(crate) fn compiles(server: &Server) -> bool {
    server.compile_bytecode.known() == Some(&true)
}

pub(crate) fn package_architecture(architecture: &Attr<String>) -> package::Architecture {
    match architecture.as_str() {
        Some("arm64") => package::Architecture::Arm64,
        // The schema allows nothing else, and defaults to this.
        _ => package::Architecture::X86_64,
    }
}

fn deploy_architecture(architecture: &Attr<String>) -> deploy::Architecture {
    match package_architecture(architecture) {
        package::Architecture::X86_64 => deploy::Architecture::X86_64,
        package::Architecture::Arm64 => deploy::Architecture::Arm64,
    }
}

/// How the server is started: `launcher` is the command line without the arguments for the server itself.
pub(crate) fn launch(server: &Server, argv: Vec<String>) -> Launch {
    Launch {
        argv,
        cwd: server.cwd.known().cloned(),
        process_scope: match server.process_scope.as_str() {
            Some("invocation") => ProcessScope::Invocation,
            // The schema allows nothing else, and defaults to this.
            _ => ProcessScope::Environment,
        },
        startup_timeout: server.startup_timeout.known().copied(),
        aws_credentials: server.aws_credentials.known().copied().unwrap_or(false),
        secrets: server.secrets.known().cloned().unwrap_or_default(),
        secrets_ttl: server.secrets_ttl.known().copied(),
        tools: ToolFilter {
            include: globs(&server.include_tools),
            exclude: globs(&server.exclude_tools),
            prefix: text(&server.tool_prefix),
        },
        metrics: server.metrics.known().copied().unwrap_or(false),
        // Everything is known by the time of an apply.
        http: http(server).unwrap_or_default(),
        note: SourceNote {
            name: text(&server.name),
            command: text(&server.command),
            args: strings(&server.args),
            packages: strings(&server.packages),
            source_dir: noted_folder(&server.source_dir),
            source_excludes: strings(&server.source_excludes),
            allow_scripts: strings(&server.allow_scripts),
            compile_bytecode: compiles(server),
            image_repository_url: server.image_repository_url.known().cloned(),
        },
    }
}

/// What the function is told of the folder that its files come from: a relative path as it is written, so that an import finds it. An
/// absolute path is one of this machine alone, and no other machine is to see a change in it.
pub(crate) fn noted_folder(source_dir: &Attr<String>) -> Option<String> {
    let path = source_dir.as_str()?;
    Some(match std::path::Path::new(path).is_absolute() {
        true => ABSOLUTE_FOLDER.to_owned(),
        false => path.to_owned(),
    })
}

/// Whether two folders differ only in where they lie on a machine, which is no part of the function.
pub(crate) fn same_place(one: &Attr<String>, other: &Attr<String>) -> bool {
    let absolute = |path: &Attr<String>| noted_folder(path).as_deref() == Some(ABSOLUTE_FOLDER);
    absolute(one) && absolute(other)
}

/// Stands for every absolute path in [`SourceNote::source_dir`], and in the state after an import.
pub(crate) const ABSOLUTE_FOLDER: &str = "/";

pub(crate) fn strings(attribute: &Attr<Vec<String>>) -> Vec<String> {
    attribute.known().cloned().unwrap_or_default()
}

/// The code that is wanted: the code itself unless it is the one deployed before.
pub(crate) struct Code {
    pub(crate) code: Option<deploy::Code>,
    pub(crate) sha256: String,
    /// For packages that are too large for a request.
    pub(crate) bucket: Option<String>,
}

/// The bucket for packages that are too large for a request: the server's, else the provider's.
pub(crate) fn artifact_bucket(server: &Server, providers: Option<&str>) -> Option<String> {
    server
        .artifact_bucket
        .as_str()
        .or(providers)
        .map(str::to_owned)
}

/// What to deploy.
pub(crate) fn wanted(
    server: &Server,
    role: Role,
    environment: BTreeMap<String, String>,
    code: Code,
) -> deploy::Wanted {
    deploy::Wanted {
        function_name: text(&server.function_name),
        description: text(&server.description),
        role,
        runtime: server.runtime.known().cloned(),
        // Images have neither.
        handler: server.runtime.known().map(|_| package::HANDLER.to_owned()),
        architecture: deploy_architecture(&server.architecture),
        memory: number(&server.memory),
        timeout: number(&server.timeout),
        ephemeral_storage: number(&server.ephemeral_storage),
        environment,
        layers: strings(&server.layers),
        vpc: server.vpc_config.known().map(|vpc| Vpc {
            subnet_ids: vpc.subnet_ids.known().cloned().unwrap_or_default(),
            security_group_ids: vpc.security_group_ids.known().cloned().unwrap_or_default(),
        }),
        dead_letter_queue: server.dead_letter_queue.known().copied().unwrap_or(false),
        reserved_concurrency: server.reserved_concurrency.known().copied(),
        log_retention_days: server
            .log_retention_days
            .known()
            .copied()
            .filter(|days| *days != 0),
        log_format: match server.log_format.as_str() {
            Some("JSON") => LogFormat::Json,
            // The schema allows nothing else, and defaults to this.
            _ => LogFormat::Text,
        },
        tracing: match server.tracing.as_str() {
            Some("Active") => Tracing::Active,
            // The schema allows nothing else, and defaults to this.
            _ => Tracing::PassThrough,
        },
        alias: text(&server.alias),
        url: function_url::wanted(server),
        tags: server.tags_all.known().cloned().unwrap_or_default(),
        repository: match (server.runtime.known(), server.image_repository_url.known()) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Repository::Brought),
            (None, None) => Some(Repository::Managed),
        },
        code: code.code,
        artifact_bucket: code.bucket,
        code_sha256: code.sha256,
    }
}

/// How the bridge answers HTTP; `None` while an attribute that decides it is unknown.
pub(crate) fn http(server: &Server) -> Option<HttpSettings> {
    function_url::http(&server.function_url)
}

fn globs(attribute: &Attr<BTreeSet<String>>) -> Vec<String> {
    attribute.known().into_iter().flatten().cloned().collect()
}

/// The user's role if the configuration names one, else one of our own.
pub(crate) fn role(config: &Server) -> Role {
    match config.role_arn.known() {
        Some(arn) => Role::Brought(arn.clone()),
        None => Role::Managed {
            policy_json: config.policy_json.known().cloned(),
            managed_policy_arns: config
                .managed_policy_arns
                .known()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            permissions_boundary: config.permissions_boundary.known().cloned(),
        },
    }
}

/// How old a release must be to be chosen.
pub(crate) fn minimum_age(days: &Attr<f64>) -> Option<MinimumAge> {
    days.known().copied().and_then(MinimumAge::days)
}

/// The text, or none where the attribute is not set.
pub(crate) fn text(attribute: &Attr<String>) -> String {
    attribute.known().cloned().unwrap_or_default()
}

/// Every attribute that this is used for has a default, so it is known by the time of an apply.
fn number(attribute: &Attr<i32>) -> i32 {
    attribute.known().copied().unwrap_or_default()
}
