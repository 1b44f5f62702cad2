//! A source in, the lock of the newest versions that satisfy it out: `npm` decides versions and where each package lies.
//!
//! Nothing is installed and no script runs. Refuses a command that no package offers, so that a plan says it already.

use serde_json::{Map, Value, json};

use super::age::Limit;
use super::lock::NpmLock;
use super::tree::{PROJECT, PackageLock};
use super::{NpxSource, bin, npm, report};
use crate::package::{Notice, PackageError, Tools};

/// See [`super::super::resolve`].
pub(crate) async fn resolve(
    tools: &Tools,
    source: &NpxSource,
) -> Result<(NpmLock, Vec<Notice>), PackageError> {
    let work = tools.work_directory()?;
    let project = work.path();
    npm::write_project(&source.npm, project, &package_json(source), None).await?;
    let limit = Limit::of(tools, source, project).await?;
    let resolved = npm::run(
        tools,
        &source.npm,
        project,
        &["install", "--package-lock-only"],
        &limit.resolver_options,
    )
    .await;
    if let Err(failure) = resolved {
        let error = report::read(failure, "resolve the packages", &source.npm.target());
        return Err(limit.explain(tools, source, project, error).await);
    }
    let path = project.join("package-lock.json");
    let text = tokio::fs::read_to_string(&path)
        .await
        .map_err(|source| PackageError::Io {
            action: "read",
            path,
            source,
        })?;
    let tree = PackageLock::parse(&text)?;
    let lock = tree.lock(&source.npm)?;
    lock.check(&source.npm)?;
    bin::choose(source, &tree.bins())?;
    limit.check(tools, source, project, &lock).await?;
    let notices = source.npm.deprecated(tree.deprecated(&lock));
    Ok((lock, notices))
}

/// A project that needs what the configuration names.
fn package_json(source: &NpxSource) -> String {
    let named = source.npm.named.iter();
    let needs: Map<String, Value> = named
        .map(|spec| (spec.name.clone(), Value::from(spec.wanted.as_str())))
        .collect();
    json!({"name": PROJECT, "private": true, "dependencies": needs}).to_string()
}
