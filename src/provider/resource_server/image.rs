//! A server that is a container image: the lock becomes an image in the function's own repository, and its start-up what the bridge
//! is told.
//!
//! In: the planned model. Out: the image's address in ECR, and the server's command line. Refuses variables that `docker run` would
//! take from the caller's environment and the configuration does not give.

use std::collections::BTreeMap;

use crate::deploy::{self, Aws, Operation};
use crate::package::image::{self, Assembled, Credentials, Destination, ImageSource, Startup};
use crate::package::{self, Lock, Source};
use crate::plugin::{Attr, Diagnostics};
use crate::provider::clients::Clients;
use crate::provider::report;

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

/// Puts the image into the function's repository; what lies there is not sent again.
pub(super) async fn push(
    clients: &Clients,
    aws: &Aws,
    ready: &Ready,
    source: &Source,
    server: &Server,
    op: &Operation,
) -> Result<String, Diagnostics> {
    let tags = server.tags_all.known().cloned().unwrap_or_default();
    let function = spec::text(&server.function_name);
    let repository = deploy::image_repo::ensure(aws, op, &function, &tags)
        .await
        .map_err(|error| report::deploy("Could not make the image's repository", &error))?;
    let destination = Destination {
        repository: repository.uri,
        credentials: Credentials::password(
            repository.user,
            repository.password,
            "ecr:GetAuthorizationToken",
        ),
    };
    let tools = clients.tools();
    let pushing = image::push(&tools, &ready.lock, &ready.assembled, &destination);
    let pushed = op
        .run(pushing, &format!("pushing the image of {function}"))
        .await
        .map_err(|error| report::deploy("Could not push the image", &error))?
        .map_err(|error| report::packaging(&error, source))?;
    let bytes: u64 = pushed.sent.iter().map(|(_, bytes)| bytes).sum();
    tracing::info!(
        pushed.uri,
        bytes,
        pushed.mounted,
        "the image is in its repository"
    );
    Ok(pushed.uri)
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

/// Variables that the command line hands on and nobody gives.
pub(super) fn not_given(image: &ImageSource, server: &Server) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    if server.env.is_unknown() || server.secrets.is_unknown() {
        return diagnostics;
    }
    let given = |attribute: &Attr<BTreeMap<String, String>>, name: &str| {
        attribute.known().is_some_and(|map| map.contains_key(name))
    };
    for (name, at) in image.passed_on() {
        if !given(&server.env, name) && !given(&server.secrets, name) {
            diagnostics.append(report::variable_not_given(name, at));
        }
    }
    diagnostics
}
