//! Removes everything that was made for a function, and nothing else.
//!
//! What lies in the bucket of packages first, because nothing would tell of it later. The function's URL before the function, or the next one of that name might get it. Then the function, because Lambda uses the role to
//! release its network interfaces, takes images out of the repository, and would write to the log group again; then what it used. What is gone already is fine: a run that was
//! killed is finished by the next one, which finds everything by its name. Between the two, [`remnants`](super::remnants) tells what is
//! still there.

use super::names;
use super::retry::Expect;
use super::{
    Aws, DeployError, Operation, artifact_bucket, dead_letter, function, image_repo, log_group,
    role, url,
};

/// Deletes the function with its versions, aliases and URL, and the image repository, role, log group and queue that carry our tags; and what a run that was
/// killed has left in `bucket`.
///
/// # Errors
///
/// [`DeployError`] as any call. Credentials that may not look at repositories, roles or queues at all are no error, as long as the function, when it is
/// still there, uses none of ours; nor is a bucket that is gone or cannot be looked into.
pub async fn destroy(
    aws: &Aws,
    function_name: &str,
    alias: &str,
    bucket: Option<&str>,
    op: &Operation,
) -> Result<(), DeployError> {
    tracing::info!(function_name, alias, "destroying");
    if let Some(bucket) = bucket {
        artifact_bucket::remove(aws, op, bucket, function_name).await?;
    }
    let (mut role, mut queue) = (Expect::Perhaps, Expect::Perhaps);
    // Only a function that is no image tells that there is no repository.
    let mut repository = Some(Expect::Perhaps);
    if let Some(function) = function::read(aws, op, function_name).await? {
        let used = &function.latest.configuration;
        role = Expect::present_if(names::is_role_of(
            &used.role_arn,
            function_name,
            &aws.region,
        ));
        queue =
            Expect::present_if(used.dead_letter_target_arn == Some(aws.queue_arn(function_name)));
        repository = (used.package_type == "Image").then(|| {
            let uri = function.image_uri.as_deref();
            Expect::present_if(uri.is_some_and(|uri| image_repo::is_managed(uri, function_name)))
        });
        url::remove(aws, op, function_name, alias).await?;
        function::remove(aws, op, function_name).await?;
    }
    if let Some(expect) = repository {
        image_repo::remove(aws, op, function_name, expect).await?;
    }
    log_group::remove(aws, op, function_name).await?;
    dead_letter::remove(aws, op, function_name, queue).await?;
    role::remove(aws, op, function_name, role).await
}
