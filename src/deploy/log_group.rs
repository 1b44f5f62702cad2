//! The log group, `/aws/lambda/<function>`: made before the function, so that it has its retention from the first line on.
//!
//! One that exists without our tag (Lambda makes it when a function of that name ran before) is used and gets the wanted retention,
//! because only functions of this name write there; but it is never tagged, and never deleted.

use super::found::FoundLogGroup;
use super::names;
use super::retry::{self, Call, Fault};
use super::tags::{self, Tags};
use super::{Aws, DeployError, Operation};

pub(crate) struct LogGroupState {
    pub(crate) name: String,
    /// Days; `None` keeps logs for ever.
    pub(crate) retention_days: Option<i32>,
    pub(crate) tags: Tags,
    pub(crate) ours: bool,
}

impl From<LogGroupState> for FoundLogGroup {
    fn from(state: LogGroupState) -> Self {
        Self {
            name: state.name,
            retention_days: state.retention_days,
            ours: state.ours,
        }
    }
}

/// `None` when there is none.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<Option<LogGroupState>, DeployError> {
    let name = names::log_group_name(function_name);
    let Some(retention_days) = retention(aws, op, &name).await? else {
        return Ok(None);
    };
    let call = Call::logs("ListTagsForResource", &name);
    let answer = retry::call(op, &call, || {
        aws.logs
            .list_tags_for_resource()
            .resource_arn(aws.log_group_arn(function_name))
            .send()
    })
    .await;
    let tags = match answer {
        Ok(answer) => tags::sorted(answer.tags.as_ref()),
        // Deleted between the two calls.
        Err(fault) if fault.is_not_found() => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    Ok(Some(LogGroupState {
        name,
        retention_days,
        ours: tags::are_ours(&tags, function_name),
        tags,
    }))
}

/// Makes the log group, or brings it to the wanted retention and tags.
pub(crate) async fn ensure(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    retention_days: Option<i32>,
    users_tags: &Tags,
) -> Result<(), DeployError> {
    let wanted_tags = tags::with_ours(users_tags, function_name);
    let name = names::log_group_name(function_name);
    let current = match read(aws, op, function_name).await? {
        Some(current) => current,
        None => {
            tracing::info!(name, "creating the log group");
            let call = Call::logs("CreateLogGroup", &name);
            let made = retry::call(op, &call, || {
                aws.logs
                    .create_log_group()
                    .log_group_name(&name)
                    .set_tags(Some(wanted_tags.clone().into_iter().collect()))
                    .send()
            })
            .await;
            match made {
                Ok(_) => LogGroupState {
                    name,
                    retention_days: None,
                    tags: wanted_tags.clone(),
                    ours: true,
                },
                // By an attempt whose answer was lost, or by the function, this moment.
                Err(fault) if fault.is_already_there() => {
                    match read(aws, op, function_name).await? {
                        Some(current) => current,
                        None => return Err(fault.into()),
                    }
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    };
    if current.retention_days != retention_days {
        set_retention(aws, op, &current.name, retention_days).await?;
    }
    if current.ours {
        set_tags(aws, op, function_name, &current.tags, &wanted_tags).await?;
    }
    Ok(())
}

/// Deletes the log group if it is ours.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<(), DeployError> {
    let Some(current) = read(aws, op, function_name).await? else {
        return Ok(());
    };
    if !current.ours {
        tracing::info!(current.name, "keeping a log group that was not made here");
        return Ok(());
    }
    tracing::info!(current.name, "deleting the log group");
    let call = Call::logs("DeleteLogGroup", &current.name);
    let deleted = retry::call(op, &call, || {
        aws.logs
            .delete_log_group()
            .log_group_name(&current.name)
            .send()
    })
    .await;
    match deleted {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}

/// The retention of the group of exactly this name; the outer `None` when there is no such group.
async fn retention(
    aws: &Aws,
    op: &Operation,
    name: &str,
) -> Result<Option<Option<i32>>, DeployError> {
    let call = Call::logs("DescribeLogGroups", name);
    let mut next_token = None;
    loop {
        let page = retry::call(op, &call, || {
            aws.logs
                .describe_log_groups()
                .log_group_name_prefix(name)
                .set_next_token(next_token.clone())
                .send()
        })
        .await?;
        let exact = page
            .log_groups
            .unwrap_or_default()
            .into_iter()
            .find(|group| group.log_group_name.as_deref() == Some(name));
        if let Some(group) = exact {
            return Ok(Some(group.retention_in_days));
        }
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(None);
        }
    }
}

async fn set_retention(
    aws: &Aws,
    op: &Operation,
    name: &str,
    days: Option<i32>,
) -> Result<(), DeployError> {
    tracing::info!(name, days, "setting the log retention");
    match days {
        Some(days) => {
            let call = Call::logs("PutRetentionPolicy", name);
            retry::call(op, &call, || {
                aws.logs
                    .put_retention_policy()
                    .log_group_name(name)
                    .retention_in_days(days)
                    .send()
            })
            .await
            .map(drop)
        }
        None => {
            let call = Call::logs("DeleteRetentionPolicy", name);
            retry::call(op, &call, || {
                aws.logs
                    .delete_retention_policy()
                    .log_group_name(name)
                    .send()
            })
            .await
            .map(drop)
        }
    }
    .map_err(Fault::into)
}

async fn set_tags(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    current: &Tags,
    wanted: &Tags,
) -> Result<(), DeployError> {
    let (set, remove) = tags::difference(current, wanted);
    let arn = aws.log_group_arn(function_name);
    if !set.is_empty() {
        let call = Call::logs("TagResource", &arn);
        retry::call(op, &call, || {
            aws.logs
                .tag_resource()
                .resource_arn(&arn)
                .set_tags(Some(set.clone().into_iter().collect()))
                .send()
        })
        .await?;
    }
    if !remove.is_empty() {
        let call = Call::logs("UntagResource", &arn);
        retry::call(op, &call, || {
            aws.logs
                .untag_resource()
                .resource_arn(&arn)
                .set_tag_keys(Some(remove.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}
