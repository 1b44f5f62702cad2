//! Removal: all that was made, nothing else, and never stuck on what is gone already.

use mcplambda::deploy::{DeployError, alias, destroy, policy, remnants};
use serde_json::json;

use crate::deploy_replay::*;

fn our_queue() -> Vec<(&'static str, Answer)> {
    vec![
        ("sqs GetQueueUrl", ok(json!({"QueueUrl": QUEUE_URL}))),
        (
            "sqs GetQueueAttributes",
            ok(json!({"Attributes": {"QueueArn": QUEUE}})),
        ),
        (
            "sqs ListQueueTags",
            ok(json!({"Tags": {"mcplambda:function": "time"}})),
        ),
    ]
}

fn our_role() -> Vec<(&'static str, Answer)> {
    vec![
        (
            "iam GetRole",
            role("GetRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
        ),
        (
            "iam ListRolePolicies",
            inline_policies(&["mcplambda", "by-hand"]),
        ),
        ("iam GetRolePolicy", inline_policy("mcplambda", &json!({}))),
        ("iam GetRolePolicy", inline_policy("by-hand", &json!({}))),
        (
            "iam ListAttachedRolePolicies",
            attached_policies(&["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
        ),
    ]
}

fn no_log_group() -> Vec<(&'static str, Answer)> {
    vec![("logs DescribeLogGroups", log_groups(&[]))]
}

#[tokio::test(start_paused = true)]
async fn everything_that_was_made_is_removed_the_function_first_and_the_role_last() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), false),
            ),
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", no_function()),
            (
                "lambda DeleteFunction",
                lambda_error(
                    409,
                    "ResourceConflictException",
                    "The operation cannot be performed at this time. An update is in progress for resource: time",
                ),
            ),
            ("lambda DeleteFunction", done()),
            ("lambda GetFunctionConfiguration", ok(function("$LATEST"))),
            ("lambda GetFunctionConfiguration", no_function()),
        ],
        log_group_as_wanted(),
        vec![("logs DeleteLogGroup", done())],
        our_queue(),
        vec![("sqs DeleteQueue", done())],
        our_role(),
        vec![
            ("iam DetachRolePolicy", iam("DetachRolePolicy", "")),
            ("iam DeleteRolePolicy", iam("DeleteRolePolicy", "")),
            ("iam DeleteRolePolicy", iam("DeleteRolePolicy", "")),
            (
                "iam DeleteRole",
                iam_error(409, "DeleteConflict", "must detach all policies first"),
            ),
            ("iam DeleteRole", iam("DeleteRole", "")),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_already_is_fine() {
    let stage = stage([
        vec![("lambda GetFunction", no_function())],
        no_image_repository(),
        no_log_group(),
        vec![("sqs GetQueueUrl", no_queue()), ("iam GetRole", no_role())],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_it_is_being_removed_is_fine() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), false),
            ),
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", no_function()),
            ("lambda DeleteFunction", no_function()),
        ],
        log_group_as_wanted(),
        vec![(
            "logs DeleteLogGroup",
            json_error(
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            ),
        )],
        our_queue(),
        vec![("sqs DeleteQueue", no_queue())],
        our_role(),
        vec![
            ("iam DetachRolePolicy", no_role()),
            ("iam DeleteRolePolicy", no_role()),
            ("iam DeleteRolePolicy", no_role()),
            ("iam DeleteRole", no_role()),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn what_others_made_is_kept() {
    let stage = stage([
        vec![("lambda GetFunction", no_function())],
        no_image_repository(),
        vec![
            (
                "logs DescribeLogGroups",
                log_groups(&[("/aws/lambda/time", Some(14))]),
            ),
            ("logs ListTagsForResource", ok(json!({"tags": {}}))),
            ("sqs GetQueueUrl", ok(json!({"QueueUrl": QUEUE_URL}))),
            (
                "sqs GetQueueAttributes",
                ok(json!({"Attributes": {"QueueArn": QUEUE}})),
            ),
            ("sqs ListQueueTags", ok(json!({}))),
            ("iam GetRole", role("GetRole", ROLE, &[], &policy::trust())),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn credentials_without_iam_and_sqs_can_remove_what_uses_neither() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), false),
            ),
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", no_function()),
            ("lambda DeleteFunction", done()),
            ("lambda GetFunctionConfiguration", no_function()),
        ],
        no_log_group(),
        vec![
            (
                "sqs GetQueueUrl",
                json_error("AccessDeniedException", "not authorized"),
            ),
            (
                "iam GetRole",
                iam_error(403, "AccessDenied", "not authorized"),
            ),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_role_in_use_that_may_not_be_looked_at_is_an_error() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function_but("$LATEST", json!({"Role": ROLE})), false),
            ),
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", no_function()),
            ("lambda DeleteFunction", done()),
            ("lambda GetFunctionConfiguration", no_function()),
        ],
        no_log_group(),
        vec![
            ("sqs GetQueueUrl", no_queue()),
            (
                "iam GetRole",
                iam_error(403, "AccessDenied", "not authorized"),
            ),
        ],
    ]);

    let error = destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert!(
        matches!(&error, DeployError::AccessDenied(refusal) if refusal.action == "GetRole"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn remnants_name_what_a_killed_removal_left() {
    let mut script = our_role();
    script.extend(log_group_as_wanted());
    script.extend(our_queue());
    script.extend(no_image_repository());
    let stage = stage([script]);

    let left = remnants(&stage.aws, "time").await.expect("read");

    stage.assert_played();
    assert_eq!(
        left,
        [
            format!("the role {ROLE} is left"),
            "the log group /aws/lambda/time is left".to_owned(),
            format!("the dead letter queue {QUEUE} is left"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_former_alias_is_removed_and_may_be_gone_already() {
    let no_url = || {
        [
            ("lambda GetFunctionUrlConfig:former", no_function()),
            ("lambda GetPolicy:former", no_function()),
        ]
    };
    let mut script: Vec<_> = no_url().into();
    script.push(("lambda DeleteAlias", done()));
    script.extend(no_url());
    script.push(("lambda DeleteAlias", no_function()));
    let stage = stage([script]);

    for _ in 0..2 {
        alias::remove(&stage.aws, "time", "former", &stage.op)
            .await
            .expect("removed");
    }

    stage.assert_played();
}
