//! A server that is a container image: the lock becomes an image in a repository of ECR, and its start-up what the bridge is told.
//!
//! In: the planned model. Out: the image's address in ECR, and the server's command line; and from an image that is deployed the lock again.
//! Refuses repositories that Lambda takes no images from, variables that a function cannot have, and those that `docker run` would take from
//! the caller's environment and the configuration does not give.

use std::collections::BTreeMap;

use crate::deploy::{self, Aws, Operation, RepositoryUrl};
use crate::package::image::{self, Assembled, Credentials, Destination, ImageSource, Startup};
use crate::package::{self, Attribute, Lock, Source};
use crate::plugin::{Attr, Diagnostics};
use crate::provider::clients::Clients;
use crate::provider::report;

use super::environment;
use super::model::Server;
use super::outputs;
use super::spec;

/// An image that is ready to be pushed.
pub(super) struct Ready {
    lock: image::ImageLock,
    pub(super) assembled: Assembled,
}

/// Reads the image that the planned lock names, or the newest one, and adds the bridge; sets `lock` and `resolved_packages`.
pub(super) async fn assemble(
    clients: &Clients,
    source: &Source,
    image: &ImageSource,
    server: &mut Server,
) -> Result<Ready, Diagnostics> {
    let tools = clients.tools();
    let lock = match server.lock.as_str() {
        Some(text) => report::lock(text)?,
        None => package::resolve(&tools, source)
            .await
            .map_err(|error| report::packaging(&error, source))?,
    };
    lock.check(source)
        .map_err(|error| report::packaging(&error, source))?;
    server.lock = Attr::Known(lock.to_string());
    outputs::installed(server, &Attr::Known(lock.clone()));
    let Lock::Image(lock) = lock else {
        // `check` has refused every other kind.
        return Err(report::unknown_at_apply());
    };
    let assembled = image::build(&tools, image, &lock)
        .await
        .map_err(|error| report::packaging(&error, source))?;
    Ok(Ready { lock, assembled })
}

/// The user's own repository, if there is one: judged as far as the function's region and name are known.
pub(super) fn repository(server: &Server) -> Result<Option<RepositoryUrl>, Diagnostics> {
    let Some(url) = server.image_repository_url.as_str() else {
        return Ok(None);
    };
    let refused = |error| report::repository(&error);
    let url: RepositoryUrl = url.parse().map_err(refused)?;
    if let Some(region) = server.region.as_str() {
        url.check_region(region).map_err(refused)?;
    }
    match server.function_name.as_str() {
        Some(function) if url.name() == deploy::names::repository_name(function) => {
            Err(report::repository_is_managed(url.name()))
        }
        _ => Ok(Some(url)),
    }
}

/// Puts the image where Lambda takes it from; what lies there is not sent again. In a managed repository it is kept from now on, beside
/// the one that `prior` says is served.
pub(super) async fn push(
    clients: &Clients,
    aws: &Aws,
    ready: &Ready,
    source: &Source,
    (server, prior): (&Server, Option<&Server>),
    op: &Operation,
) -> Result<String, Diagnostics> {
    let function = spec::text(&server.function_name);
    let brought = repository(server)?;
    let repository = match &brought {
        Some(url) => deploy::image_repo::brought(aws, op, url)
            .await
            .map_err(|error| report::deploy("Could not push the image", &error))?,
        None => {
            let tags = server.tags_all.known().cloned().unwrap_or_default();
            deploy::image_repo::managed(aws, op, &function, &tags)
                .await
                .map_err(|error| report::deploy("Could not make the image's repository", &error))?
        }
    };
    let mut destination = destination(repository);
    let tools = clients.tools();
    let served = prior.and_then(|prior| prior.code_sha256.as_str());
    let served = served.filter(|_| brought.is_none());
    if brought.is_none() {
        let tag = deploy::image_repo::keep_tag(&ready.assembled.digest);
        destination.further_tag = Some(tag);
    }
    let pushing = async {
        // Pushed by a release that did not tag it.
        if let Some(digits) = served {
            let tag = deploy::image_repo::keep_tag(digits);
            image::tag(&tools, &destination, &format!("sha256:{digits}"), &tag).await?;
        }
        image::push(&tools, &ready.lock, &ready.assembled, &destination).await
    };
    let pushed = op
        .run(pushing, &format!("pushing the image of {function}"))
        .await
        .map_err(|error| report::deploy("Could not push the image", &error))?
        .map_err(|error| report::pushing(&error, source, brought.is_some()))?;
    let bytes: u64 = pushed.sent.iter().map(|(_, bytes)| bytes).sum();
    tracing::info!(
        pushed.uri,
        bytes,
        pushed.mounted,
        "the image is in its repository"
    );
    Ok(pushed.uri)
}

fn destination(repository: deploy::image_repo::ImageRepository) -> Destination {
    Destination {
        repository: repository.uri,
        credentials: Credentials::password(
            repository.user,
            repository.password,
            "ecr:GetAuthorizationToken",
        ),
        further_tag: None,
    }
}

/// What the image of a deployed function was made of, as the image itself says.
pub(super) async fn deployed(
    clients: &Clients,
    aws: &Aws,
    server: &Server,
    code_sha256: &str,
) -> Result<(Lock, Startup), Diagnostics> {
    let url = repository(server)?;
    let function = spec::text(&server.function_name);
    let repository = deploy::image_repo::of(aws, &function, url.as_ref())
        .await
        .map_err(|error| report::deploy("Could not import the server", &error))?;
    let digest = format!("sha256:{code_sha256}");
    let origin = image::origin(&clients.tools(), &destination(repository), &digest)
        .await
        .map_err(|error| report::not_ours(&function, &error.to_string()))?;
    Ok((Lock::Image(origin.lock), origin.startup))
}

/// The working directory of the image itself is no attribute.
pub(super) fn without_its_directory(server: &mut Server, startup: Option<&Startup>) {
    if let Some(startup) = startup
        && let Ok(source) = spec::source(server, &Attr::Null)
        && let Some(own) = source.image()
        && server.cwd.as_str() == Some(own.working_directory(startup))
    {
        server.cwd = Attr::Null;
    }
}

/// The server's command line and its working directory.
pub(super) fn start(
    image: &ImageSource,
    startup: &Startup,
    server: &Server,
) -> Result<(Vec<String>, String), Diagnostics> {
    let argv = image
        .argv(startup)
        .map_err(|error| report::package(&error))?;
    let directory = match server.cwd.as_str() {
        Some(directory) => directory,
        None => image.working_directory(startup),
    };
    Ok((argv, directory.to_owned()))
}

/// The user's variables with those of the command line, which win as they do in Docker.
pub(super) fn variables(
    image: &ImageSource,
    env: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = env.clone();
    all.extend(image.variables().clone());
    all
}

/// Variables of the command line that no function can have, and those that it hands on and nobody gives.
pub(super) fn variables_at_fault(image: &ImageSource, server: &Server) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    let reserved = |(name, _): &(&str, Attribute)| environment::reserved(name);
    for (name, at) in image.given().chain(image.passed_on()).filter(reserved) {
        diagnostics.append(report::reserved_variable(name, at));
    }
    if server.env.is_unknown() || server.secrets.is_unknown() {
        return diagnostics;
    }
    let given = |attribute: &Attr<BTreeMap<String, String>>, name: &str| {
        attribute.known().is_some_and(|map| map.contains_key(name))
    };
    for (name, at) in image.passed_on().filter(|variable| !reserved(variable)) {
        if !given(&server.env, name) && !given(&server.secrets, name) {
            diagnostics.append(report::variable_not_given(name, at));
        }
    }
    diagnostics
}
