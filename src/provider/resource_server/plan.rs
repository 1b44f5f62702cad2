//! What a change will do, before it is done: names, versions, and which outputs it will touch.
//!
//! In: configuration, state and private state. Out: the planned model, in which everything that apply could compute
//! differently is unknown. Refuses: packages that do not resolve. Writes nothing, neither to AWS nor to a file that is planned on.

use crate::deploy::names::role_name;
use crate::package::{self, Lock, PackageError, Resolution, Source};
use crate::plugin::{Attr, Diagnostics, PlanContext};
use crate::provider::clients::Clients;
use crate::provider::report;

use super::ServerResource;
use super::bytecode::{self, NewPackage};
use super::function_url;
use super::image;
use super::memory::{self, Remembered};
use super::model::Server;
use super::naming;
use super::outputs;
use super::spec::{self, SpecError};

type Context = PlanContext<ServerResource>;

/// Whether any of these fields differ between two models.
macro_rules! differ {
    ($prior:expr, $planned:expr; $($field:ident)+) => { $( $prior.$field != $planned.$field )||+ };
}

pub(super) async fn plan(context: &mut Context, planned: &mut Server) -> Result<(), Diagnostics> {
    names(context, planned)?;
    if context.config.compile_bytecode.is_null() {
        // Decided when it is known whether a package is made; until then it keeps nobody from reading the command line.
        planned.compile_bytecode = Attr::Null;
    }
    let source = match spec::source(planned, &context.config.runtime) {
        Ok(source) => Some(
            package::open(source)
                .await
                .map_err(|error| report::package(&error))?,
        ),
        Err(SpecError::Unknown) => None,
        Err(SpecError::Package(error)) => return Err(report::package(&error)),
    };
    if context.config.runtime.is_null() {
        planned.runtime = match &source {
            Some(source) if source.image().is_some() => Attr::Null,
            Some(source) => Attr::Known(source.runtime().to_owned()),
            None => Attr::Unknown,
        };
    }
    if let (Some(source), Some(_)) = (&source, spec::minimum_age(&planned.minimum_package_age)) {
        source
            .takes_minimum_age()
            .map_err(|error| report::package(&error))?;
    }
    bridge_is_there(planned)?;
    image::repository(planned)?;
    files(context, planned, source.as_ref())?;
    let remembered = Remembered::read(&context.prior_private);
    lock(context, planned, source.as_ref(), &remembered).await?;
    match context.prior.clone() {
        None => {
            bytecode::plan(context, planned, source.as_ref(), NewPackage::Yes).await?;
            outputs_of_create(planned, source.as_ref());
        }
        Some(prior) => {
            outputs_of_update(context, planned, &prior, &remembered, source.as_ref()).await?;
            if spec::same_place(&prior.source_dir, &planned.source_dir) {
                planned.source_dir = prior.source_dir;
            }
        }
    }
    Ok(())
}

/// What the names follow from: never from AWS, so that apply cannot find others.
fn names(context: &Context, planned: &mut Server) -> Result<(), Diagnostics> {
    if context.config.function_name.is_null() {
        planned.function_name = match planned.name.as_str() {
            None => Attr::Unknown,
            Some(name) => {
                Attr::Known(naming::function_name(name).ok_or_else(|| report::unusable_name(name))?)
            }
        };
    }
    if context.config.region.is_null() {
        planned.region = match &context.data {
            Some(clients) => Attr::from(clients.region()),
            None => Attr::Unknown,
        };
    }
    planned.tags_all = match (&context.data, &planned.tags) {
        (Some(clients), Attr::Null) => Attr::Known(clients.default_tags().clone()),
        (Some(clients), Attr::Known(tags)) => {
            let mut all = clients.default_tags().clone();
            all.extend(tags.clone());
            Attr::Known(all)
        }
        (None, _) | (_, Attr::Unknown) => Attr::Unknown,
    };
    planned.id = planned.function_name.clone();
    Ok(())
}

/// A function of an architecture for which this build has no bridge could never start.
fn bridge_is_there(planned: &Server) -> Result<(), Diagnostics> {
    if !planned.architecture.is_known() {
        return Ok(());
    }
    let architecture = spec::package_architecture(&planned.architecture);
    match package::bridge::binary(architecture) {
        Some(_) => Ok(()),
        None => Err(report::no_bridge(architecture)),
    }
}

/// Plans `source_hash`: Terraform holds the plan inside apply to it. Where that plan is told what this one saw, or the configuration
/// says it, the error is one of our own.
fn files(
    context: &mut Context,
    planned: &mut Server,
    source: Option<&Source>,
) -> Result<(), Diagnostics> {
    let found = source.map(Source::content_hash);
    if context.config.source_hash.is_null() {
        planned.source_hash = match found {
            Some(found) => Attr::from(found.map(str::to_owned)),
            None if planned.source_dir.is_null() => Attr::Null,
            None => Attr::Unknown,
        };
    }
    let Some(found) = found else {
        return Ok(());
    };
    let given = context.config.source_hash.as_str();
    let Some(found) = found else {
        return given.map_or(Ok(()), |_| Err(report::hash_of_nothing()));
    };
    let reviewed = context.planned_private.as_ref();
    let reviewed = reviewed.and_then(memory::planned_files);
    if let Some(reviewed) = given.or(reviewed.as_deref())
        && reviewed != found
    {
        return Err(report::files_changed(reviewed, found));
    }
    if context.store_planned_private {
        memory::plan_files(&mut context.private, found);
    }
    Ok(())
}

/// Decides `lock` and what follows from it: as configured, as pinned in the state, or left to apply after a trial resolution.
async fn lock(
    context: &mut Context,
    planned: &mut Server,
    source: Option<&Source>,
    remembered: &Remembered,
) -> Result<(), Diagnostics> {
    let pinned = context.prior.as_ref().map(|prior| prior.lock.clone());
    planned.lock = match (context.config.lock.clone(), pinned) {
        (configured @ (Attr::Known(_) | Attr::Unknown), _) => configured,
        (Attr::Null, _) if source.is_some_and(|source| !source.is_locked()) => Attr::Null,
        (Attr::Null, Some(pinned)) if keeps_source(source, remembered) && pinned.is_known() => {
            let upgrade = planned.auto_upgrade.known() == Some(&true)
                && newer_versions(context, source, &pinned, planned).await;
            if upgrade { Attr::Unknown } else { pinned }
        }
        (Attr::Null, _) => try_resolution(context, source, planned).await?,
    };
    let lock = match &planned.lock {
        Attr::Known(text) => Attr::Known(report::lock(text)?),
        Attr::Null => Attr::Null,
        Attr::Unknown => Attr::Unknown,
    };
    if let (Some(lock), Some(source)) = (lock.known(), source) {
        lock.check(source)
            .map_err(|error| report::packaging(&error, source))?;
        context
            .diagnostics
            .append(report::notices(&lock.notices(source)));
    }
    outputs::installed(planned, &lock);
    Ok(())
}

/// Whether the lock in the state was made for what is configured now.
fn keeps_source(source: Option<&Source>, remembered: &Remembered) -> bool {
    source.is_some_and(|source| remembered.source.as_deref() == Some(source.identity().as_str()))
}

async fn resolve(
    clients: &Clients,
    source: &Source,
    planned: &Server,
) -> Result<Resolution, PackageError> {
    let minimum_age = spec::minimum_age(&planned.minimum_package_age);
    let tools = clients.tools_for(source.resolver(), minimum_age).await?;
    package::resolution(&tools, source).await
}

/// Checks that the packages resolve. The result is planned only where Terraform hands it back to the plan inside apply:
/// anywhere else a release in between would make the two plans contradict each other.
async fn try_resolution(
    context: &mut Context,
    source: Option<&Source>,
    planned: &Server,
) -> Result<Attr<String>, Diagnostics> {
    if let Some(lock) = context
        .planned_private
        .as_ref()
        .and_then(memory::planned_lock)
    {
        memory::plan_lock(&mut context.private, &lock);
        return Ok(Attr::Known(lock));
    }
    let (Some(source), Some(clients)) = (source, &context.data) else {
        return Ok(Attr::Unknown);
    };
    if planned.minimum_package_age.is_unknown() {
        return Ok(Attr::Unknown);
    }
    match resolve(clients, source, planned).await {
        Ok(found) if !context.store_planned_private => {
            for notices in [found.notices, found.lock.notices(source)] {
                context.diagnostics.append(report::notices(&notices));
            }
            Ok(Attr::Unknown)
        }
        Ok(found) => {
            context.diagnostics.append(report::notices(&found.notices));
            let lock = found.lock.to_string();
            memory::plan_lock(&mut context.private, &lock);
            Ok(Attr::Known(lock))
        }
        Err(error) if error.kind() == package::ErrorKind::Network => {
            context
                .diagnostics
                .append(report::not_resolved_at_plan(&error));
            Ok(Attr::Unknown)
        }
        Err(error) => Err(report::packaging(&error, source)),
    }
}

/// Whether the index offers other versions than the state has. An index that does not answer offers none, with a warning.
async fn newer_versions(
    context: &mut Context,
    source: Option<&Source>,
    pinned: &Attr<String>,
    planned: &Server,
) -> bool {
    let (Some(source), Some(clients)) = (source, &context.data) else {
        return false;
    };
    match resolve(clients, source, planned).await {
        Ok(newest) => Some(newest.lock.to_string().as_str()) != pinned.as_str(),
        Err(error) => {
            context
                .diagnostics
                .append(report::no_upgrade_at_plan(&error));
            false
        }
    }
}

/// `Zip` or `Image`, as soon as it is known which.
fn package_type(source: Option<&Source>) -> Attr<String> {
    match source {
        Some(source) if source.image().is_some() => Attr::from("Image"),
        Some(_) => Attr::from("Zip"),
        None => Attr::Unknown,
    }
}

/// Nothing exists yet, so only what follows from the configuration is known.
fn outputs_of_create(planned: &mut Server, source: Option<&Source>) {
    outputs::open(planned);
    planned.package_type = package_type(source);
    if planned.verify.known() == Some(&false) {
        outputs::no_tools(planned);
    }
    if planned.dead_letter_queue.known() == Some(&false) {
        planned.dead_letter_queue_arn = Attr::Null;
    }
    planned.url = function_url::planned_address(planned, None);
    if !planned.role_arn.is_known() {
        planned.role_arn = Attr::Unknown;
    }
}

async fn outputs_of_update(
    context: &mut Context,
    planned: &mut Server,
    prior: &Server,
    remembered: &Remembered,
    source: Option<&Source>,
) -> Result<(), Diagnostics> {
    for drift in &remembered.drift {
        context.diagnostics.append(report::drift(drift));
    }
    let open_code = planned.lock.is_unknown() || planned.source_hash.is_unknown();
    let other_code = !keeps_source(source, remembered)
        || source.is_some_and(|source| remembered.starts_another(source))
        || !planned.lock.is_unknown() && !same_lock(&prior.lock, &planned.lock)
        || !planned.source_hash.is_unknown() && prior.source_hash != planned.source_hash
        || remembered.code_drifted(prior)
        || empty_if_none(&prior.allow_scripts) != empty_if_none(&planned.allow_scripts)
        || differ!(prior, planned; runtime architecture image_repository_url);
    let other_role = role_changes(context, planned, prior);
    let configuration = other_role
        || differ!(prior, planned;
        name description command args env secrets secrets_ttl timeout memory dead_letter_queue vpc_config cwd packages process_scope
        source_excludes startup_timeout aws_credentials include_tools exclude_tools tool_prefix runtime architecture ephemeral_storage layers
        log_format metrics tracing function_name region)
        || spec::noted_folder(&prior.source_dir) != spec::noted_folder(&planned.source_dir)
        || function_url::answers_otherwise(prior, planned);
    let elsewhere = planned.alias != prior.alias;
    let verify = planned.verify.known() != Some(&false);
    let unverified = verify && prior.verification.is_null();
    let deploy = configuration
        || elsewhere
        || unverified
        || !remembered.drift.is_empty()
        || prior.version.is_null();
    let becomes = package_type(source);
    let other_type = becomes.is_known() && becomes != prior.package_type;
    let replaced = other_type || differ!(prior, planned; function_name region);
    // A second plan inside apply may find newer versions; where anything else changes, leaving them open keeps the plans alike.
    let upgrades = context.config.lock.is_null()
        && !planned.lock.is_null()
        && planned.auto_upgrade.known() == Some(&true);
    let package = match (other_code || replaced, open_code || deploy && upgrades) {
        (true, _) => NewPackage::Yes,
        (false, true) => NewPackage::Perhaps,
        (false, false) => NewPackage::No,
    };
    bytecode::plan(context, planned, source, package).await?;
    let code = other_code
        || open_code
        || planned.compile_bytecode.is_unknown()
        || spec::compiles(prior) != spec::compiles(planned);
    let redeploy = code || deploy;

    outputs::keep(planned, prior);
    if code {
        planned.code_sha256 = Attr::Unknown;
        planned.package_size = Attr::Unknown;
    }
    if redeploy {
        planned.version = Attr::Unknown;
        match verify {
            true => outputs::open_tools(planned),
            false if code || configuration => outputs::no_tools(planned),
            false => {}
        }
    }
    if planned.dead_letter_queue != prior.dead_letter_queue
        || redeploy && planned.dead_letter_queue.known() == Some(&true)
    {
        planned.dead_letter_queue_arn = match planned.dead_letter_queue {
            Attr::Known(false) => Attr::Null,
            _ => Attr::Unknown,
        };
    }
    planned.url = function_url::planned_address(planned, Some(prior));
    if elsewhere {
        planned.qualified_arn = Attr::Unknown;
        planned.invoke_arn = Attr::Unknown;
    }
    if elsewhere || planned.description != prior.description || planned.name != prior.name {
        planned.gateway_config_json = Attr::Unknown;
    }
    if other_type {
        // Lambda keeps a function's package type for ever.
        context.requires_replace("command");
    }
    if replaced {
        // The first half of a replacement: what follows is planned again without a state.
        outputs::open(planned);
    }
    if redeploy && upgrades {
        planned.lock = Attr::Unknown;
        outputs::installed(planned, &Attr::Unknown);
        planned.code_sha256 = Attr::Unknown;
        planned.package_size = Attr::Unknown;
    }
    Ok(())
}

/// Plans `role_arn`, and tells whether the function gets another role.
fn role_changes(context: &Context, planned: &mut Server, prior: &Server) -> bool {
    if !context.config.role_arn.is_null() {
        planned.role_arn = context.config.role_arn.clone();
        return planned.role_arn != prior.role_arn;
    }
    let managed = match (
        planned.function_name.as_str(),
        planned.region.as_str(),
        prior.role_arn.as_str(),
    ) {
        (Some(function), Some(region), Some(arn)) => {
            arn.ends_with(&format!(":role/{}", role_name(function, region)))
        }
        _ => false,
    };
    planned.role_arn = if managed {
        prior.role_arn.clone()
    } else {
        Attr::Unknown
    };
    !managed
}

/// To name no script and to say nothing install the same.
fn empty_if_none(names: &Attr<Vec<String>>) -> Option<&[String]> {
    match names {
        Attr::Known(names) => Some(names),
        Attr::Null => Some(&[]),
        Attr::Unknown => None,
    }
}

/// Whether two locks install the same; comments and order do not count.
fn same_lock(a: &Attr<String>, b: &Attr<String>) -> bool {
    let (Some(a), Some(b)) = (a.as_str(), b.as_str()) else {
        return a.is_null() && b.is_null();
    };
    match (a.parse::<Lock>(), b.parse::<Lock>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
