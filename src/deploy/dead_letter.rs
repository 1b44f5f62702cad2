//! The dead letter queue, `<function>-dlq`: where Lambda puts asynchronous events that the function could not handle.
//!
//! Encrypted with SQS's own key, kept for 14 days. A queue of that name without our tag is an error: its messages are not ours.

use aws_sdk_sqs::types::QueueAttributeName;

use super::found::FoundQueue;
use super::names;
use super::retry::{self, Call, Expect, Fault};
use super::tags::{self, Tags};
use super::{Aws, DeployError, Operation};

/// Seconds; SQS's maximum, so that nobody loses an event over a holiday.
const RETENTION: &str = "1209600";

pub(crate) struct QueueState {
    pub(crate) url: String,
    pub(crate) arn: String,
    pub(crate) encrypted: bool,
    /// Kept as long as it would be made.
    pub(crate) retention_as_made: bool,
    pub(crate) tags: Tags,
    pub(crate) ours: bool,
}

impl From<QueueState> for FoundQueue {
    fn from(state: QueueState) -> Self {
        Self {
            arn: state.arn,
            url: state.url,
            encrypted: state.encrypted,
            ours: state.ours,
        }
    }
}

/// `None` when there is none.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<Option<QueueState>, DeployError> {
    match look(aws, op, function_name).await {
        Ok(state) => Ok(Some(state)),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) if expect == Expect::Perhaps && fault.is_access_denied() => {
            tracing::warn!(
                function_name,
                "not allowed to look for a left-over dead letter queue: taking it that there is none"
            );
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn look(aws: &Aws, op: &Operation, function_name: &str) -> Result<QueueState, Fault> {
    let name = names::queue_name(function_name);
    let call = Call::sqs("GetQueueUrl", &name);
    let answer = retry::call(op, &call, || {
        aws.sqs.get_queue_url().queue_name(&name).send()
    })
    .await?;
    let url = call.field(answer.queue_url, "QueueUrl")?;

    let call = Call::sqs("GetQueueAttributes", &name);
    let attributes = retry::call(op, &call, || {
        aws.sqs
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::All)
            .send()
    })
    .await?
    .attributes
    .unwrap_or_default();

    let call = Call::sqs("ListQueueTags", &name);
    let answer = retry::call(op, &call, || {
        aws.sqs.list_queue_tags().queue_url(&url).send()
    })
    .await?;
    let tags = tags::sorted(answer.tags.as_ref());

    let is = |attribute: &QueueAttributeName, value: &str| {
        attributes
            .get(attribute)
            .is_some_and(|found| found == value)
    };
    let has_kms_key = attributes
        .get(&QueueAttributeName::KmsMasterKeyId)
        .is_some_and(|key| !key.is_empty());
    Ok(QueueState {
        url,
        arn: attributes
            .get(&QueueAttributeName::QueueArn)
            .cloned()
            .unwrap_or_else(|| aws.queue_arn(function_name)),
        encrypted: has_kms_key || is(&QueueAttributeName::SqsManagedSseEnabled, "true"),
        retention_as_made: is(&QueueAttributeName::MessageRetentionPeriod, RETENTION),
        ours: tags::are_ours(&tags, function_name),
        tags,
    })
}

/// Makes the queue, or brings it to what it should be.
pub(crate) async fn ensure(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    users_tags: &Tags,
) -> Result<(), DeployError> {
    let name = names::queue_name(function_name);
    let wanted_tags = tags::with_ours(users_tags, function_name);
    let Some(current) = read(aws, op, function_name, Expect::Present).await? else {
        tracing::info!(name, "creating the dead letter queue");
        let call = Call::sqs("CreateQueue", &name);
        retry::call(op, &call, || {
            aws.sqs
                .create_queue()
                .queue_name(&name)
                .attributes(QueueAttributeName::SqsManagedSseEnabled, "true")
                .attributes(QueueAttributeName::MessageRetentionPeriod, RETENTION)
                .set_tags(Some(wanted_tags.clone().into_iter().collect()))
                .send()
        })
        .await?;
        return Ok(());
    };
    if !current.ours {
        return Err(DeployError::NotOurs {
            object: "SQS queue",
            name,
            function_name: function_name.to_owned(),
        });
    }
    if !current.encrypted {
        set_attribute(
            aws,
            op,
            &current,
            QueueAttributeName::SqsManagedSseEnabled,
            "true",
        )
        .await?;
    }
    if !current.retention_as_made {
        set_attribute(
            aws,
            op,
            &current,
            QueueAttributeName::MessageRetentionPeriod,
            RETENTION,
        )
        .await?;
    }
    set_tags(aws, op, &current, &wanted_tags).await
}

/// Deletes the queue if it is ours.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<(), DeployError> {
    let Some(current) = read(aws, op, function_name, expect).await? else {
        return Ok(());
    };
    if !current.ours {
        tracing::info!(current.arn, "keeping a queue that was not made here");
        return Ok(());
    }
    tracing::info!(current.arn, "deleting the dead letter queue");
    let call = Call::sqs("DeleteQueue", &current.arn);
    let deleted = retry::call(op, &call, || {
        aws.sqs.delete_queue().queue_url(&current.url).send()
    })
    .await;
    match deleted {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}

async fn set_attribute(
    aws: &Aws,
    op: &Operation,
    queue: &QueueState,
    attribute: QueueAttributeName,
    value: &str,
) -> Result<(), DeployError> {
    let call = Call::sqs("SetQueueAttributes", &queue.arn);
    retry::call(op, &call, || {
        aws.sqs
            .set_queue_attributes()
            .queue_url(&queue.url)
            .attributes(attribute.clone(), value)
            .send()
    })
    .await?;
    Ok(())
}

async fn set_tags(
    aws: &Aws,
    op: &Operation,
    queue: &QueueState,
    wanted: &Tags,
) -> Result<(), DeployError> {
    let (set, remove) = tags::difference(&queue.tags, wanted);
    if !set.is_empty() {
        let call = Call::sqs("TagQueue", &queue.arn);
        retry::call(op, &call, || {
            aws.sqs
                .tag_queue()
                .queue_url(&queue.url)
                .set_tags(Some(set.clone().into_iter().collect()))
                .send()
        })
        .await?;
    }
    if !remove.is_empty() {
        let call = Call::sqs("UntagQueue", &queue.arn);
        retry::call(op, &call, || {
            aws.sqs
                .untag_queue()
                .queue_url(&queue.url)
                .set_tag_keys(Some(remove.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}
