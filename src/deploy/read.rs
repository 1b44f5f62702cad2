//! Reads everything that belongs to a function, and says where it differs from what would be made here.
//!
//! Needs no record of what was wanted: values are for the caller to compare; drift is what no value shows.

use aws_sdk_lambda::types::LastUpdateStatus;

use super::alias::{self, AliasState};
use super::found::{Drift, DriftKind, Found, FoundQueue, FoundRole};
use super::function::{self, FunctionState};
use super::names;
use super::policy::Needs;
use super::retry::Expect;
use super::snapshot::Snapshot;
use super::{Aws, DeployError, Operation, dead_letter, image_repo, log_group, role, tags, url};

/// Everything managed for a function, seen through its alias; `None` when the function does not exist.
///
/// # Errors
///
/// [`DeployError`] as any call. Credentials that may not look at roles, queues, repositories or URLs at all are no error, as long as the function uses
/// none of ours.
pub async fn read(
    aws: &Aws,
    function_name: &str,
    alias: &str,
) -> Result<Option<Found>, DeployError> {
    let op = &Operation::reading();
    let Some(function) = function::read(aws, op, function_name).await? else {
        return Ok(None);
    };
    let pointed = alias::read(aws, op, function_name, alias).await?;
    let served = match &pointed {
        Some(pointed) if pointed.version != "$LATEST" => {
            function::describe(aws, op, function_name, &pointed.version).await?
        }
        _ => function.latest.clone(),
    };

    let mut drift = Vec::new();
    function_drift(
        function_name,
        alias,
        &function,
        pointed.as_ref(),
        &served,
        &mut drift,
    );
    let role = read_role(aws, op, function_name, &served, &mut drift).await?;
    let log_group = log_group::read(aws, op, function_name).await?;
    if log_group.is_none() {
        drift.push(Drift {
            kind: DriftKind::LogGroupMissing,
            detail: format!(
                "the log group {} is missing",
                names::log_group_name(function_name)
            ),
        });
    }
    let queue = read_queue(aws, op, function_name, &served, &mut drift).await?;
    if let Some(uri) = &function.image_uri {
        drift.extend(image_repo::drift(aws, op, function_name, uri).await?);
    }
    let url = url::read(aws, op, function_name, alias, Expect::Perhaps).await?;
    drift.extend(url.drift(aws, function_name, alias));

    Ok(Some(Found {
        arn: aws.function_arn(function_name),
        qualified_arn: aws.qualified_arn(function_name, alias),
        invoke_arn: aws.invoke_arn(function_name, alias),
        version: pointed.map(|pointed| pointed.version),
        configuration: served.configuration,
        code_sha256: served.code_sha256,
        code_size: served.code_size,
        reserved_concurrency: function.reserved_concurrency,
        tags: tags::users(&function.tags),
        role,
        log_group: log_group.map(Into::into),
        queue,
        url: url.url,
        unfinished: tags::are_unfinished(&function.tags, function_name),
        drift,
    }))
}

/// What was made for a function that does not exist (any more), as sentences; empty when nothing is left.
///
/// For when [`read`] found nothing: a deletion that was killed after the function, or a function that was deleted by hand, leaves objects
/// that only this name leads to. The caller keeps the record of the function until this is empty; [`destroy`](super::destroy())
/// removes them, [`converge`](super::converge()) makes the function anew around them.
///
/// # Errors
///
/// [`DeployError`] as any call. Credentials that may not look at roles, queues or repositories at all are no error.
pub async fn remnants(aws: &Aws, function_name: &str) -> Result<Vec<String>, DeployError> {
    let op = &Operation::reading();
    let mut left = Vec::new();
    if let Some(role) = role::read(aws, op, function_name, Expect::Perhaps).await?
        && role.ours
    {
        left.push(format!("the role {} is left", role.arn));
    }
    if let Some(group) = log_group::read(aws, op, function_name).await?
        && group.ours
    {
        left.push(format!("the log group {} is left", group.name));
    }
    if let Some(queue) = dead_letter::read(aws, op, function_name, Expect::Perhaps).await?
        && queue.ours
    {
        left.push(format!("the dead letter queue {} is left", queue.arn));
    }
    if let Some(repository) = image_repo::read(aws, op, function_name, Expect::Perhaps).await?
        && repository.ours
    {
        left.push(format!("the image repository {} is left", repository.uri));
    }
    Ok(left)
}

/// What differs between the alias, the version that it serves, and `$LATEST`.
fn function_drift(
    function_name: &str,
    alias: &str,
    function: &FunctionState,
    pointed: Option<&AliasState>,
    served: &Snapshot,
    drift: &mut Vec<Drift>,
) {
    let mut found = |kind, detail| drift.push(Drift { kind, detail });
    match pointed {
        None => found(
            DriftKind::AliasMissing,
            format!("the alias {function_name}:{alias} is missing"),
        ),
        Some(AliasState { version, .. }) if version == "$LATEST" => found(
            DriftKind::AliasMoved,
            format!("the alias {function_name}:{alias} points to $LATEST, not to a version"),
        ),
        Some(AliasState {
            weighted: true,
            version,
        }) => found(
            DriftKind::AliasMoved,
            format!(
                "the alias {function_name}:{alias} sends a part of the calls to other versions than {version}"
            ),
        ),
        Some(_) => {}
    }
    let latest = &function.latest;
    let version = &served.version;
    if latest.configuration != served.configuration {
        found(
            DriftKind::LatestConfiguration,
            format!(
                "{function_name}:$LATEST is configured otherwise than version {version}, which is served"
            ),
        );
    }
    if latest.code_sha256 != served.code_sha256 {
        found(
            DriftKind::LatestCode,
            format!(
                "{function_name}:$LATEST has other code than version {version}, which is served"
            ),
        );
    }
    if latest.last_update == Some(LastUpdateStatus::Failed) {
        found(
            DriftKind::LatestFailed,
            format!(
                "the last update of {function_name} failed: {}: {}",
                latest.last_update_reason.code, latest.last_update_reason.text
            ),
        );
    }
    let (group, own) = (
        &served.configuration.log_group,
        names::log_group_name(function_name),
    );
    if *group != own {
        found(
            DriftKind::LogGroupNotWired,
            format!("version {version} of {function_name} logs to {group}, not to {own}"),
        );
    }
}

async fn read_role(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    served: &Snapshot,
    drift: &mut Vec<Drift>,
) -> Result<FoundRole, DeployError> {
    let arn = served.configuration.role_arn.clone();
    if !names::is_role_of(&arn, function_name, &aws.region) {
        return Ok(FoundRole::Brought { arn });
    }
    let lost = match role::read(aws, op, function_name, Expect::Present).await? {
        Some(state) if state.ours => {
            let needs = Needs::of(&served.configuration, &aws.queue_arn(function_name));
            drift.extend(state.drift(aws, function_name, &needs));
            return Ok(state.into());
        }
        Some(_) => format!(
            "the role {arn} lacks the tags {} = {function_name} and {} = {}",
            tags::FUNCTION,
            tags::REGION,
            aws.region
        ),
        None => format!("the role {arn} is missing"),
    };
    drift.push(Drift {
        kind: DriftKind::RoleMissing,
        detail: lost,
    });
    Ok(FoundRole::Lost { arn })
}

async fn read_queue(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    served: &Snapshot,
    drift: &mut Vec<Drift>,
) -> Result<Option<FoundQueue>, DeployError> {
    let arn = aws.queue_arn(function_name);
    let wired = served.configuration.dead_letter_target_arn.as_ref() == Some(&arn);
    let queue = dead_letter::read(aws, op, function_name, Expect::present_if(wired)).await?;
    let mut found = |kind, detail| drift.push(Drift { kind, detail });
    match &queue {
        None if wired => found(
            DriftKind::QueueMissing,
            format!("the dead letter queue {arn} is missing"),
        ),
        Some(queue) if queue.ours => {
            if !queue.encrypted {
                found(
                    DriftKind::QueueUnencrypted,
                    format!("the dead letter queue {arn} is not encrypted"),
                );
            }
            if !queue.retention_as_made {
                found(
                    DriftKind::QueueChanged,
                    format!("the dead letter queue {arn} does not keep messages for 14 days"),
                );
            }
            if !wired {
                found(
                    DriftKind::QueueNotWired,
                    format!("{function_name} does not send to its dead letter queue {arn}"),
                );
            }
        }
        _ => {}
    }
    Ok(queue.map(Into::into))
}
