//! Read and import: what is really there, in the terms of the configuration.
//!
//! In: the function's name, and what the state says. Out: the model as AWS has it, so that every difference shows in the plan;
//! what no attribute shows goes to private state as sentences. Refuses: to import a function that was not deployed here.

use std::collections::{BTreeMap, BTreeSet};

use mcplambda_bridge::launch::ProcessScope;

use crate::agentcore::discover::discover;
use crate::deploy::policy;
use crate::deploy::{self, Aws, DriftKind, Found, FoundRole};
use crate::package::{self, PackageError};
use crate::plugin::{Attr, Context, Diagnostics, ImportId};
use crate::provider::clients::Clients;
use crate::provider::{download, report};

use super::environment::{self, Launch};
use super::function_url;
use super::image;
use super::memory::Remembered;
use super::model::{Server, Timeouts, VpcConfig};
use super::outputs;
use super::spec::{self, text};

pub(super) async fn read(
    context: &mut Context<Clients>,
    mut state: Server,
) -> Result<Option<Server>, Diagnostics> {
    let clients = context.require_data()?;
    let aws = clients
        .for_region(state.region.as_str())
        .await
        .map_err(|error| report::config(&error))?;
    let found = deploy::read(&aws, &text(&state.function_name), &text(&state.alias))
        .await
        .map_err(|error| report::deploy("Could not read the server", &error))?;
    let Some(found) = found else {
        return gone(context, &aws, state).await;
    };
    let mut remembered = Remembered::read(&context.private);
    remembered.drift = found
        .drift
        .iter()
        .map(|drift| drift.detail.clone())
        .collect();
    let http = spec::http(&state);
    match environment::launch(&found.configuration.environment) {
        Ok(launch) => {
            if remembered
                .launcher
                .as_ref()
                .is_some_and(|launcher| !launch.argv.starts_with(launcher))
            {
                remembered
                    .drift
                    .push(report::launcher_changed(&text(&state.function_name)));
                remembered.launcher = None;
                remembered.code_sha256 = None;
            }
            // The URL is an attribute; what the bridge was told about it is not.
            if http.is_some_and(|http| http != launch.http) {
                remembered
                    .drift
                    .push(report::http_changed(&text(&state.function_name)));
            }
            let cwd = state.cwd.clone();
            launched(&mut state, &launch);
            if cwd.is_null() {
                image::without_its_directory(&mut state, remembered.image.as_ref());
            }
        }
        Err(error) => {
            remembered.drift.push(error.to_string());
            remembered.launcher = None;
            remembered.code_sha256 = None;
        }
    }
    let needs_code = [DriftKind::LatestCode, DriftKind::RepositoryMissing];
    if found
        .drift
        .iter()
        .any(|drift| needs_code.contains(&drift.kind))
    {
        remembered.code_sha256 = None;
    }
    configured(&mut state, &found);
    role(&mut state, &found);
    tags(&mut state, &found.tags, clients.default_tags());
    deployed(&mut state, &found);
    remembered.write(&mut context.private);
    super::identify(&mut context.identity, &aws, &state);
    Ok(Some(state))
}

/// The function does not exist. As long as something of it does, the resource stays in the state, so that the next apply or
/// destroy finds it: without its name nobody would.
async fn gone(
    context: &mut Context<Clients>,
    aws: &Aws,
    mut state: Server,
) -> Result<Option<Server>, Diagnostics> {
    let function = text(&state.function_name);
    let remnants = deploy::remnants(aws, &function)
        .await
        .map_err(|error| report::deploy("Could not read the server", &error))?;
    if remnants.is_empty() {
        return Ok(None);
    }
    let mut remembered = Remembered::read(&context.private);
    remembered.drift = remnants;
    remembered
        .drift
        .insert(0, report::function_missing(&function));
    remembered.launcher = None;
    remembered.code_sha256 = None;
    remembered.write(&mut context.private);
    state.version = Attr::Null;
    // Its URL went with it; the next one has another address.
    state.function_url = Attr::Null;
    state.url = Attr::Null;
    Ok(Some(state))
}

/// How the server is started, as the function's environment says.
fn launched(state: &mut Server, launch: &Launch) {
    state.name = Attr::from(launch.note.name.as_str());
    state.command = Attr::from(launch.note.command.as_str());
    keep_empty(&mut state.args, &launch.note.args, Vec::is_empty);
    keep_empty(&mut state.packages, &launch.note.packages, Vec::is_empty);
    keep_empty(
        &mut state.allow_scripts,
        &launch.note.allow_scripts,
        Vec::is_empty,
    );
    if spec::noted_folder(&state.source_dir) != launch.note.source_dir {
        state.source_dir = Attr::from(launch.note.source_dir.clone());
    }
    keep_empty(
        &mut state.source_excludes,
        &launch.note.source_excludes,
        Vec::is_empty,
    );
    state.image_repository_url = Attr::from(launch.note.image_repository_url.clone());
    state.cwd = Attr::from(launch.cwd.clone());
    state.process_scope = Attr::from(match launch.process_scope {
        ProcessScope::Environment => "environment",
        ProcessScope::Invocation => "invocation",
    });
    state.startup_timeout = Attr::from(launch.startup_timeout);
    state.compile_bytecode = Attr::Known(launch.note.compile_bytecode);
    state.aws_credentials = Attr::Known(launch.aws_credentials);
    keep_empty(&mut state.secrets, &launch.secrets, BTreeMap::is_empty);
    state.secrets_ttl = Attr::from(launch.secrets_ttl);
    for (attribute, globs) in [
        (&mut state.include_tools, &launch.tools.include),
        (&mut state.exclude_tools, &launch.tools.exclude),
    ] {
        let globs = globs.iter().cloned().collect();
        keep_empty(attribute, &globs, BTreeSet::is_empty);
    }
    state.tool_prefix =
        Attr::from(Some(launch.tools.prefix.clone()).filter(|prefix| !prefix.is_empty()));
    state.metrics = Attr::Known(launch.metrics);
}

/// Takes over what was found; an empty collection and none are the same to AWS, so whichever the state has stays.
pub(super) fn keep_empty<T: Clone>(
    attribute: &mut Attr<T>,
    found: &T,
    is_empty: impl Fn(&T) -> bool,
) {
    let had_none = attribute.known().is_none_or(&is_empty);
    if !(had_none && is_empty(found)) {
        *attribute = Attr::Known(found.clone());
    }
}

/// The variables that `env` gives: for an image without those that `args` give.
fn user_variables(
    state: &Server,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut variables = environment::user_variables(environment);
    if let Ok(source) = spec::source(state, &Attr::Null)
        && let Some(own) = source.image()
    {
        let given = state.env.known();
        variables.retain(|name, value| {
            own.variables().get(name) != Some(value)
                || given.is_some_and(|given| given.contains_key(name))
        });
    }
    variables
}

/// The function's configuration as it is served.
fn configured(state: &mut Server, found: &Found) {
    let configuration = &found.configuration;
    state.description =
        Attr::from(Some(configuration.description.clone()).filter(|text| !text.is_empty()));
    let variables = user_variables(state, &configuration.environment);
    keep_empty(&mut state.env, &variables, BTreeMap::is_empty);
    state.timeout = Attr::Known(configuration.timeout);
    state.memory = Attr::Known(configuration.memory);
    state.ephemeral_storage = Attr::Known(configuration.ephemeral_storage);
    state.architecture = Attr::from(configuration.architecture.as_str());
    state.runtime = Attr::from(configuration.runtime.clone());
    keep_empty(&mut state.layers, &configuration.layers, Vec::is_empty);
    state.log_format = Attr::from(configuration.log_format.as_str());
    state.tracing = Attr::from(configuration.tracing.as_str());
    state.reserved_concurrency = Attr::from(found.reserved_concurrency);
    state.vpc_config = Attr::from(configuration.vpc.as_ref().map(|vpc| VpcConfig {
        subnet_ids: Attr::Known(vpc.subnet_ids.clone()),
        security_group_ids: Attr::Known(vpc.security_group_ids.clone()),
    }));
    function_url::found(&mut state.function_url, found.url.as_ref());
    // A queue that is gone or not wired is drift, told in sentences; only the wish for one is an attribute.
    let wired = configuration.dead_letter_target_arn.is_some();
    if found.queue.is_some() || wired || !state.dead_letter_queue.is_known() {
        state.dead_letter_queue =
            Attr::Known(found.queue.as_ref().is_some_and(|queue| queue.ours) || wired);
    }
    // A log group that is gone is drift, too.
    if let Some(group) = &found.log_group {
        state.log_retention_days = Attr::Known(group.retention_days.unwrap_or(0));
    }
}

fn role(state: &mut Server, found: &Found) {
    state.role_arn = Attr::from(found.role.arn());
    match &found.role {
        FoundRole::Managed {
            policy_json,
            managed_policy_arns,
            permissions_boundary,
            ..
        } => {
            let same = match (state.policy_json.as_str(), policy_json) {
                (Some(state), Some(found)) => policy::same(state, found),
                (None, None) => true,
                _ => false,
            };
            if !same {
                state.policy_json = Attr::from(policy_json.clone());
            }
            keep_empty(
                &mut state.managed_policy_arns,
                managed_policy_arns,
                |arns| arns.is_empty(),
            );
            state.permissions_boundary = Attr::from(permissions_boundary.clone());
        }
        // Nothing can be read of a role that is gone; what is wanted of it stays, and is made again.
        FoundRole::Lost { .. } => {}
        FoundRole::Brought { .. } => {
            state.policy_json = Attr::Null;
            state.managed_policy_arns = Attr::Null;
            state.permissions_boundary = Attr::Null;
        }
    }
}

/// `tags_all` is what is there; `tags` is that without what only the provider's defaults put there.
fn tags(state: &mut Server, found: &BTreeMap<String, String>, defaults: &BTreeMap<String, String>) {
    let configured = state.tags.known().cloned().unwrap_or_default();
    let own: BTreeMap<_, _> = found
        .iter()
        .filter(|(key, value)| configured.contains_key(*key) || defaults.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    keep_empty(&mut state.tags, &own, BTreeMap::is_empty);
    state.tags_all = Attr::Known(found.clone());
}

fn deployed(state: &mut Server, found: &Found) {
    state.id = state.function_name.clone();
    state.arn = Attr::from(found.arn.as_str());
    state.qualified_arn = Attr::from(found.qualified_arn.as_str());
    state.invoke_arn = Attr::from(found.invoke_arn.as_str());
    state.version = Attr::from(found.version.clone());
    state.url = Attr::from(found.url.as_ref().map(|url| url.address.clone()));
    state.log_group_name = Attr::Known(deploy::names::log_group_name(&text(&state.function_name)));
    state.dead_letter_queue_arn = Attr::from(
        found
            .queue
            .as_ref()
            .filter(|queue| queue.ours)
            .map(|queue| queue.arn.clone()),
    );
    state.code_sha256 = Attr::from(found.code_sha256.as_str());
    state.package_type = Attr::from(found.configuration.package_type.as_str());
    state.package_size = Attr::Known(found.code_size);
    outputs::gateway_config(state);
}

crate::model! {
    /// The identity of a server.
    pub(super) struct ServerIdentity {
        pub(super) function_name: String,
        pub(super) region: String,
        pub(super) account_id: String,
    }
}

/// `function`, `function:alias`, and either with `@region`.
struct ImportName {
    function: String,
    alias: Option<String>,
    region: Option<String>,
}

impl ImportName {
    fn parse(id: &str) -> Self {
        let (name, region) = match id.split_once('@') {
            Some((name, region)) => (name, Some(region.to_owned())),
            None => (id, None),
        };
        let (function, alias) = match name.split_once(':') {
            Some((function, alias)) => (function, Some(alias.to_owned())),
            None => (name, None),
        };
        Self {
            function: function.to_owned(),
            alias,
            region,
        }
    }
}

pub(super) async fn import(
    context: &mut Context<Clients>,
    id: ImportId,
) -> Result<Server, Diagnostics> {
    let name = match id {
        ImportId::Id(id) => ImportName::parse(&id),
        ImportId::Identity(identity) => {
            let identity = identity
                .get::<ServerIdentity>()
                .map_err(|error| Diagnostics::from(error.into_diagnostic()))?;
            let identity = identity.unwrap_or_default();
            ImportName {
                function: text(&identity.function_name),
                alias: None,
                region: identity.region.into_known(),
            }
        }
    };
    let clients = context.require_data()?;
    let aws = clients
        .for_region(name.region.as_deref())
        .await
        .map_err(|error| report::config(&error))?;
    let alias = name.alias.unwrap_or_else(|| "live".to_owned());
    let found = deploy::read(&aws, &name.function, &alias)
        .await
        .map_err(|error| report::deploy("Could not import the server", &error))?
        .ok_or_else(|| report::nothing_to_import(&name.function, &aws.region))?;
    let launch = environment::launch(&found.configuration.environment)
        .map_err(|error| report::not_ours(&name.function, &error.to_string()))?;
    let mut state = Server {
        function_name: Attr::from(name.function),
        region: Attr::from(aws.region.as_str()),
        alias: Attr::from(alias),
        // What no object in the account tells: the defaults, as a configuration without them means.
        auto_upgrade: Attr::Known(false),
        verify: Attr::Known(true),
        log_retention_days: Attr::Known(0),
        dead_letter_queue: Attr::Known(false),
        timeouts: Attr::<Timeouts>::Null,
        ..Server::default()
    };
    launched(&mut state, &launch);
    configured(&mut state, &found);
    function_url::recover_origins(&mut state.function_url, &launch.http);
    recover_package(context, &aws, &launch, &found, &mut state).await?;
    see_tools(context, &aws, &mut state).await;
    Ok(state)
}

/// The lock and the server's own files lie in the package; an image says which one it was made of. With them the next plan keeps what runs.
async fn recover_package(
    context: &mut Context<Clients>,
    aws: &Aws,
    launch: &Launch,
    found: &Found,
    state: &mut Server,
) -> Result<(), Diagnostics> {
    let function = text(&state.function_name);
    let mut configured = state.clone();
    if launch.note.source_dir.is_some() {
        // Wherever the folder is: it is not looked at.
        configured.source_dir = Attr::from(".");
    }
    // The runtime as the function has it, so that the identity is the one of what runs.
    let source = spec::source(&configured, &state.runtime)
        .map_err(|error| report::not_ours(&function, &format!("{error:?}")))?;
    if source.image().is_some() {
        let clients = context.require_data()?;
        let (lock, startup) = image::deployed(&clients, aws, state, &found.code_sha256).await?;
        lock.check(&source)
            .map_err(|error| report::not_ours(&function, &error.to_string()))?;
        state.lock = Attr::Known(lock.to_string());
        outputs::installed(state, &Attr::Known(lock));
        image::without_its_directory(state, Some(&startup));
        Remembered {
            source: Some(source.identity()),
            start: Some(source.start_identity()),
            launcher: Some(Vec::new()),
            code_sha256: Some(found.code_sha256.clone()),
            image: Some(startup),
            drift: Vec::new(),
        }
        .write(&mut context.private);
        return Ok(());
    }
    let location = deploy::code_location(
        aws,
        &function,
        found.version.as_deref().unwrap_or("$LATEST"),
    )
    .await
    .map_err(|error| report::deploy("Could not import the server", &error))?;
    let zip = download::get(&location)
        .await
        .map_err(|error| report::download(&error))?;
    let not_ours = |error: PackageError| report::not_ours(&function, &error.to_string());
    let source = package::open_package(source, zip.clone())
        .await
        .map_err(not_ours)?;
    state.source_hash = Attr::from(source.content_hash().map(str::to_owned));
    let lock = match source.is_locked() {
        true => Attr::Known(package::lock_in_zip(&zip).map_err(not_ours)?),
        false => Attr::Null,
    };
    outputs::installed(state, &lock);
    state.lock = Attr::from(lock.known().map(ToString::to_string));
    let own = launch.argv.len().saturating_sub(source.server_args().len());
    Remembered {
        source: Some(source.identity()),
        start: Some(source.start_identity()),
        launcher: Some(launch.argv[..own].to_vec()),
        code_sha256: Some(found.code_sha256.clone()),
        image: None,
        drift: Vec::new(),
    }
    .write(&mut context.private);
    Ok(())
}

/// The tools as the running server lists them; without them the import still stands.
async fn see_tools(context: &mut Context<Clients>, aws: &Aws, state: &mut Server) {
    match discover(
        &aws.lambda,
        &text(&state.function_name),
        &text(&state.alias),
    )
    .await
    {
        Ok(discovery) => outputs::discovered(state, &discovery),
        Err(error) => context
            .diagnostics
            .append(report::not_seen_at_import(&error)),
    }
}
