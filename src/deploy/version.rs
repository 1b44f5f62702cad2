//! Published versions: what the alias points to.
//!
//! After the alias moved, the version that is served is kept, the one that was served before, and the [`KEPT`] youngest below: to go back
//! to, and for callers that still name a version. Older ones are deleted, because an account has 75 GB for code (AWS Lambda quotas).
//! A version that any alias points to is never deleted.

use std::collections::BTreeSet;

use super::retry::{self, Call};
use super::snapshot::{Describes, Snapshot};
use super::{Aws, DeployError, Operation};

/// Publishes `$LATEST`, provided that it holds `code_sha256`. Lambda answers with the last version if nothing changed since.
pub(crate) async fn publish(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    code_sha256: &str,
) -> Result<Snapshot, DeployError> {
    let call = Call::lambda("PublishVersion", function_name);
    let answer = retry::call(op, &call, || {
        aws.lambda
            .publish_version()
            .function_name(function_name)
            .code_sha256(code_sha256)
            .send()
    })
    .await?;
    answer.snapshot(&call)
}

/// How many versions below the served one are kept, the one that was served before among them.
const KEPT: usize = 5;

/// Deletes what is older than `served`, except `previous`, the [`KEPT`] youngest and what an alias points to.
pub(crate) async fn delete_older(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    served: &str,
    previous: &str,
) -> Result<(), DeployError> {
    let Ok(served_number) = served.parse::<u64>() else {
        return Ok(());
    };
    // `$LATEST` is listed too, and is not a number.
    let mut below: Vec<u64> = list(aws, op, function_name)
        .await?
        .iter()
        .filter_map(|version| version.parse().ok())
        .filter(|number| *number < served_number)
        .collect();
    below.sort_unstable();
    below.truncate(below.len().saturating_sub(KEPT));
    if below.is_empty() {
        return Ok(());
    }
    let pointed_to = pointed_to(aws, op, function_name).await?;
    for version in below.iter().map(u64::to_string) {
        if version == previous || pointed_to.contains(&version) {
            continue;
        }
        tracing::info!(function_name, version, "deleting an old version");
        let call = Call::lambda("DeleteFunction", format!("{function_name}:{version}"));
        let deleted = retry::call(op, &call, || {
            aws.lambda
                .delete_function()
                .function_name(function_name)
                .qualifier(&version)
                .send()
        })
        .await;
        match deleted {
            Err(fault) if !fault.is_not_found() => return Err(fault.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn list(aws: &Aws, op: &Operation, function_name: &str) -> Result<Vec<String>, DeployError> {
    let call = Call::lambda("ListVersionsByFunction", function_name);
    let mut versions = Vec::new();
    let mut marker = None;
    loop {
        let page = retry::call(op, &call, || {
            aws.lambda
                .list_versions_by_function()
                .function_name(function_name)
                .set_marker(marker.clone())
                .send()
        })
        .await?;
        versions.extend(
            page.versions
                .unwrap_or_default()
                .into_iter()
                .filter_map(|version| version.version),
        );
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return Ok(versions);
        }
    }
}

/// Versions that any alias points to, wholly or in part.
async fn pointed_to(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<BTreeSet<String>, DeployError> {
    let call = Call::lambda("ListAliases", function_name);
    let mut versions = BTreeSet::new();
    let mut marker = None;
    loop {
        let page = retry::call(op, &call, || {
            aws.lambda
                .list_aliases()
                .function_name(function_name)
                .set_marker(marker.clone())
                .send()
        })
        .await?;
        for alias in page.aliases.unwrap_or_default() {
            versions.extend(alias.function_version);
            let weights = alias
                .routing_config
                .and_then(|routing| routing.additional_version_weights);
            versions.extend(weights.unwrap_or_default().into_keys());
        }
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return Ok(versions);
        }
    }
}
