//! Create, update and delete: package what is planned, deploy it, see the server answer, and keep the state true.
//!
//! In: the planned model. Out: the model with every output known, and what later plans need in private state. A failed update
//! leaves the state as it was: the next refresh sees what is really there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::agentcore::discover::{Discovery, discover};
use crate::deploy::{self, Aws, Deployed, Failed, HookError, Mode, Operation, Published};
use crate::package::image::{ImageSource, Startup};
use crate::package::{self, Artifact, Source};
use crate::plugin::{Attr, Change, Context, Diagnostics};
use crate::provider::clients::Clients;
use crate::provider::report;

use super::bytecode;
use super::environment::{self, Launch};
use super::image;
use super::memory::Remembered;
use super::model::Server;
use super::outputs;
use super::spec::{self, Code, SpecError};

/// Used where the schema's `timeouts` gave no deadline; it always does.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

pub(super) async fn create(
    context: &mut Context<Clients>,
    change: &Change<Server>,
    state: &mut Server,
) -> Result<(), Diagnostics> {
    let prepared = prepare(context, change, state).await;
    // Until a call has changed something in the account there is nothing to remember or to clean up.
    let mut prepared = prepared.inspect_err(|_| context.created_nothing())?;
    if prepared.image_to_push.is_some() {
        let function = spec::text(&state.function_name);
        let free = deploy::check_free(&prepared.aws, &function, &operation(context)).await;
        free.map_err(|error| {
            context.created_nothing();
            report::deploy("Could not create the server", &error)
        })?;
        if let Err(errors) = push(context, &mut prepared, state).await {
            // Of a repository that is there by now, only the state tells.
            let left = deploy::remnants(&prepared.aws, &function).await;
            if left.is_ok_and(|left| left.is_empty()) {
                context.created_nothing();
            }
            return Err(errors);
        }
    }
    match deploy(context, &mut prepared, state, Mode::Create).await {
        Ok(seen) => finish(context, &prepared, seen, state).await,
        Err(failed) => {
            match &failed.partial {
                Some(partial) => outputs::deployed(state, partial),
                None => context.created_nothing(),
            }
            Err(report::deploy("Could not create the server", &failed.error))
        }
    }
}

pub(super) async fn update(
    context: &mut Context<Clients>,
    change: &Change<Server>,
    state: &mut Server,
) -> Result<(), Diagnostics> {
    let mut updated = change.planned.clone();
    let mut prepared = prepare(context, change, &mut updated).await?;
    push(context, &mut prepared, &updated).await?;
    let seen = deploy(context, &mut prepared, &updated, Mode::Update)
        .await
        .map_err(|failed| report::deploy("Could not update the server", &failed.error))?;
    if let (Some(former), true) = (state.alias.as_str(), state.alias != updated.alias) {
        let function = spec::text(&updated.function_name);
        deploy::alias::remove(&prepared.aws, &function, former, &operation(context))
            .await
            .map_err(|error| report::deploy("Could not remove the former alias", &error))?;
    }
    if let (Some(former), true) = (
        state.artifact_bucket.as_str(),
        state.artifact_bucket != updated.artifact_bucket,
    ) {
        let function = spec::text(&updated.function_name);
        deploy::artifact_bucket::remove(&prepared.aws, &operation(context), former, &function)
            .await
            .map_err(|error| report::deploy("Could not empty the former bucket", &error))?;
    }
    finish(context, &prepared, seen, &mut updated).await?;
    *state = updated;
    Ok(())
}

pub(super) async fn delete(
    context: &mut Context<Clients>,
    state: Server,
) -> Result<(), Diagnostics> {
    let clients = context.require_data()?;
    let aws = clients
        .for_region(state.region.as_str())
        .await
        .map_err(|error| report::config(&error))?;
    deploy::destroy(
        &aws,
        &spec::text(&state.function_name),
        &spec::text(&state.alias),
        spec::artifact_bucket(&state, clients.artifact_bucket()).as_deref(),
        &operation(context),
    )
    .await
    .map_err(|error| report::deploy("Could not delete the server", &error))
}

/// What is to be deployed, and where.
struct Prepared {
    aws: Arc<Aws>,
    source: Source,
    /// `None` where the code does not change, and while an image is still to be pushed.
    code: Option<deploy::Code>,
    image_to_push: Option<image::Ready>,
    /// Of the code that is wanted, as Lambda reports it.
    code_sha256: String,
    /// For packages that are too large for a request.
    bucket: Option<String>,
    /// The server's command line up to the arguments that are meant for itself.
    launcher: Vec<String>,
    /// How the image is started, if it is one.
    image: Option<Startup>,
    /// Variables of the function.
    environment: BTreeMap<String, String>,
    role: deploy::Role,
    /// As it was before this change.
    prior: Option<Server>,
}

/// Packages what is planned; sets `source_hash`, `lock`, and what follows from it, where they were left open.
async fn prepare(
    context: &Context<Clients>,
    change: &Change<Server>,
    server: &mut Server,
) -> Result<Prepared, Diagnostics> {
    let clients = context.require_data()?;
    let mut here = server.clone();
    if spec::same_place(&here.source_dir, &change.config.source_dir) {
        // The state may name the folder of another machine.
        here.source_dir = change.config.source_dir.clone();
    }
    let read = |server: &Server| match spec::source(server, &change.config.runtime) {
        Ok(source) => Ok(source),
        Err(SpecError::Package(error)) => Err(report::package(&error)),
        Err(SpecError::Unknown) => Err(report::unknown_at_apply()),
    };
    if server.compile_bytecode.is_unknown() {
        here.compile_bytecode = Attr::Null;
        bytecode::settle(&clients, &read(&here)?, server).await;
        here.compile_bytecode = server.compile_bytecode;
    }
    let source = package::open(read(&here)?)
        .await
        .map_err(|error| report::package(&error))?;
    let files = Attr::from(source.content_hash().map(str::to_owned));
    if !server.source_hash.is_unknown() && server.source_hash != files {
        return Err(report::files_changed(
            &spec::text(&server.source_hash),
            &spec::text(&files),
        ));
    }
    server.source_hash = files;
    let remembered = Remembered::read(&context.private);
    let aws = clients
        .for_region(server.region.as_str())
        .await
        .map_err(|error| report::config(&error))?;
    let bucket = match source.image() {
        Some(_) => None,
        None => spec::artifact_bucket(server, clients.artifact_bucket()),
    };
    let packed = match source.image() {
        Some(own) => {
            server.package_type = Attr::from("Image");
            image::repository(server)?;
            pack_image(&clients, &source, own, remembered, server).await?
        }
        None => {
            server.package_type = Attr::from("Zip");
            let bucket = bucket.as_deref();
            pack_zip(&clients, &source, remembered, bucket, change, server).await?
        }
    };
    let environment = environment::compose(&packed.variables, &packed.launch, &source.runtime())
        .map_err(|error| report::environment(&error))?;
    let (role, prior) = (spec::role(&change.config), change.prior.clone());
    Ok(Prepared {
        aws,
        source,
        code: packed.code,
        image_to_push: packed.image_to_push,
        code_sha256: packed.code_sha256,
        bucket,
        launcher: packed.launcher,
        image: packed.image,
        environment,
        role,
        prior,
    })
}

/// The code, and what the function is told about it.
struct Packed {
    code: Option<deploy::Code>,
    image_to_push: Option<image::Ready>,
    code_sha256: String,
    launcher: Vec<String>,
    image: Option<Startup>,
    /// The user's.
    variables: BTreeMap<String, String>,
    launch: Launch,
}

/// A zip, unless it is the one that is deployed.
async fn pack_zip(
    clients: &Clients,
    source: &Source,
    remembered: Remembered,
    bucket: Option<&str>,
    change: &Change<Server>,
    server: &mut Server,
) -> Result<Packed, Diagnostics> {
    let (code, code_sha256, launcher) = match (&server.code_sha256, remembered.launcher) {
        (Attr::Known(sha256), Some(launcher)) => (None, sha256.clone(), launcher),
        _ => {
            let artifact = package(clients, source, change, server).await?;
            let own = artifact
                .argv
                .len()
                .saturating_sub(source.server_args().len());
            let launcher = artifact.argv[..own].to_vec();
            let (too_large, zip) = (artifact.check_request().err(), artifact.zip);
            let code = match (too_large, bucket) {
                (None, _) => deploy::Code::Zip(zip),
                (Some(_), Some(bucket)) => deploy::Code::ZipThrough {
                    bucket: bucket.to_owned(),
                    zip,
                },
                (Some(error), None) => return Err(report::packaging(&error, source)),
            };
            (Some(code), artifact.code_sha256, launcher)
        }
    };
    let argv = launcher
        .iter()
        .chain(source.server_args())
        .cloned()
        .collect();
    Ok(Packed {
        code,
        image_to_push: None,
        code_sha256,
        launcher,
        image: None,
        variables: server.env.known().cloned().unwrap_or_default(),
        launch: spec::launch(server, argv),
    })
}

/// An image that is ready to be pushed, unless it is the one that is deployed.
async fn pack_image(
    clients: &Clients,
    source: &Source,
    own: &ImageSource,
    remembered: Remembered,
    server: &mut Server,
) -> Result<Packed, Diagnostics> {
    let (ready, code_sha256, startup) = match (&server.code_sha256, remembered.image) {
        (Attr::Known(sha256), Some(startup)) => (None, sha256.clone(), startup),
        _ => {
            let ready = image::assemble(clients, source, own, server).await?;
            let hex = ready.assembled.digest.trim_start_matches("sha256:");
            let (hex, startup) = (hex.to_owned(), ready.assembled.startup.clone());
            (Some(ready), hex, startup)
        }
    };
    let (argv, directory) = image::start(own, &startup, server)?;
    let mut launch = spec::launch(server, argv);
    launch.cwd = Some(directory);
    Ok(Packed {
        code: None,
        image_to_push: ready,
        code_sha256,
        // All of it follows from the image and `args`.
        launcher: Vec::new(),
        image: Some(startup),
        variables: image::variables(own, &server.env.known().cloned().unwrap_or_default()),
        launch,
    })
}

/// Puts an image where Lambda takes it from, if there is one to put.
async fn push(
    context: &Context<Clients>,
    prepared: &mut Prepared,
    server: &Server,
) -> Result<(), Diagnostics> {
    if let Some(ready) = prepared.image_to_push.take() {
        let clients = context.require_data()?;
        let (aws, op) = (&prepared.aws, operation(context));
        let servers = (server, prepared.prior.as_ref());
        let uri = image::push(&clients, aws, &ready, &prepared.source, servers, &op).await?;
        prepared.code = Some(deploy::Code::Image(uri));
    }
    Ok(())
}

/// Installs the planned lock, or resolves one where anything is to be installed.
async fn package(
    clients: &Clients,
    source: &Source,
    change: &Change<Server>,
    server: &mut Server,
) -> Result<Artifact, Diagnostics> {
    let tools = clients
        .tools_for(
            source.tool(),
            spec::minimum_age(&server.minimum_package_age),
        )
        .await
        .map_err(|error| report::packaging(&error, source))?;
    let lock = match server.lock.as_str() {
        Some(text) => Some(report::lock(text)?),
        None if !source.is_locked() => {
            server.lock = Attr::Null;
            None
        }
        None => {
            tracing::info!("resolving the server's packages");
            let lock = package::resolve(&tools, source)
                .await
                .map_err(|error| report::packaging(&error, source))?;
            server.lock = Attr::Known(lock.to_string());
            Some(lock)
        }
    };
    outputs::installed(server, &Attr::from(lock.clone()));
    tracing::info!(
        packages = server.resolved_packages.known().map(BTreeMap::len),
        "packing the server, with the packages that it needs"
    );
    package::build(&tools, source, lock.as_ref())
        .await
        .map_err(|error| bytecode::not_packaged(&error, source, &change.config))
}

/// What is deployed, and what the server answered if a new version was verified.
type Seen = (Deployed, Option<Discovery>);

async fn deploy(
    context: &Context<Clients>,
    prepared: &mut Prepared,
    server: &Server,
    mode: Mode,
) -> Result<Seen, Failed> {
    let code = Code {
        // Hundreds of megabytes, perhaps: there is one of it.
        code: prepared.code.take(),
        sha256: prepared.code_sha256.clone(),
        bucket: prepared.bucket.clone(),
    };
    let wanted = spec::wanted(
        server,
        prepared.role.clone(),
        prepared.environment.clone(),
        code,
    );
    let seen: Arc<Mutex<Option<Discovery>>> = Arc::default();
    let verify = server.verify.known() != Some(&false);
    let hook = {
        let (seen, lambda) = (Arc::clone(&seen), prepared.aws.lambda.clone());
        async move |published: Published| -> Result<(), HookError> {
            if verify {
                let discovery =
                    discover(&lambda, &published.function_name, &published.version).await?;
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(discovery);
            }
            Ok(())
        }
    };
    let deployed =
        deploy::converge(&prepared.aws, &wanted, mode, hook, &operation(context)).await?;
    let discovery = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok((deployed, discovery))
}

/// Fills what apply decides, and remembers it for later plans.
async fn finish(
    context: &mut Context<Clients>,
    prepared: &Prepared,
    (deployed, discovery): Seen,
    server: &mut Server,
) -> Result<(), Diagnostics> {
    outputs::deployed(server, &deployed);
    if let Some(error) = &deployed.left_in_bucket {
        context.diagnostics.append(report::left_in_bucket(error));
    }
    Remembered {
        source: Some(prepared.source.identity()),
        start: Some(prepared.source.start_identity()),
        launcher: Some(prepared.launcher.clone()),
        code_sha256: deployed.code_sha256.clone(),
        image: prepared.image.clone(),
        drift: Vec::new(),
    }
    .write(&mut context.private);
    super::identify(&mut context.identity, &prepared.aws, server);
    if !server.tools.is_unknown() {
        return Ok(());
    }
    match (discovery, &prepared.prior) {
        (Some(discovery), _) => outputs::discovered(server, &discovery),
        // Nothing new was published: what was seen of this version before still holds.
        (None, Some(prior)) if prior.version == server.version && prior.verification.is_known() => {
            outputs::keep_tools(server, prior);
        }
        (None, _) => {
            let (function, alias) = (spec::text(&server.function_name), spec::text(&server.alias));
            let discovery = discover(&prepared.aws.lambda, &function, &alias)
                .await
                .map_err(|error| report::not_verified(&error))?;
            outputs::discovered(server, &discovery);
        }
    }
    Ok(())
}

fn operation(context: &Context<Clients>) -> Operation {
    let timeout = context.deadline.map_or(TIMEOUT, |deadline| {
        deadline.saturating_duration_since(std::time::Instant::now())
    });
    Operation::new(context.cancel.clone(), timeout)
}
