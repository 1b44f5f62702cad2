//! What is waited out, for how long, and what ends a run at once. Time is paused: minutes pass in milliseconds.

use std::time::Duration;

use mcplambda::deploy::{DeployError, Failed, Mode, Operation, converge, policy};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::deploy_replay::*;

/// What a first deployment does before the function.
fn before_the_function() -> Vec<(&'static str, Answer)> {
    let mut script = vec![("lambda GetFunction", no_function())];
    script.extend(log_group_as_wanted());
    script
}

/// What it does after.
fn after_the_function() -> Vec<(&'static str, Answer)> {
    let mut script = vec![
        ("lambda PublishVersion", ok(function("1"))),
        ("lambda CreateAlias", done()),
    ];
    script.extend(nothing_left_over());
    script.push(("lambda UntagResource", done()));
    script
}

fn not_assumable() -> Answer {
    lambda_error(
        400,
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
    )
}

async fn create(stage: &Stage) -> (Result<(), Failed>, Duration) {
    let started = Instant::now();
    let result = stage.converge(&wanted(), Mode::Create).await;
    (result.map(drop), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lambda_does_not_see_yet_is_waited_for() {
    let stage = stage([
        before_the_function(),
        vec![
            ("lambda CreateFunction", not_assumable()),
            ("lambda CreateFunction", not_assumable()),
            (
                "lambda CreateFunction",
                lambda_error(
                    400,
                    "InvalidParameterValueException",
                    "The provided execution role does not have permissions to call SendMessage on SQS",
                ),
            ),
            (
                "lambda CreateFunction",
                lambda_error(
                    400,
                    "InvalidParameterValueException",
                    "Lambda was unable to configure access to your environment variables because the KMS key is invalid for \
                     CreateGrant. Please check your KMS key settings.",
                ),
            ),
            ("lambda CreateFunction", ok(function("$LATEST"))),
        ],
        after_the_function(),
    ]);

    let (result, took) = create(&stage).await;

    stage.assert_played();
    result.expect("created");
    // Four pauses of 1, 2, 4 and 8 s, each at most a quarter shorter.
    assert!((11..=15).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_does_not_trust_lambda_ends_the_wait_after_half_a_minute() {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    });
    let attempts = vec![("lambda CreateFunction", not_assumable()); 7];
    let stage = stage([
        before_the_function(),
        attempts,
        vec![("iam GetRole", role("GetRole", BROUGHT, &[], &trust))],
    ]);

    let (result, took) = create(&stage).await;

    stage.assert_played();
    // Found by what follows the path.
    assert_eq!(stage.body("iam GetRole"), json!({"RoleName": "brought"}));
    let error = result.expect_err("refused").error;
    assert_eq!(
        error.to_string(),
        "the role arn:aws:iam::123456789012:role/path/brought cannot be assumed by Lambda: its trust policy does not allow \
         sts:AssumeRole to lambda.amazonaws.com; add that statement to the role"
    );
    assert_eq!(error.attribute(), Some("role_arn"));
    assert!((30..=45).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_does_not_exist_ends_the_wait_after_half_a_minute() {
    let stage = stage([
        before_the_function(),
        vec![("lambda CreateFunction", not_assumable()); 7],
        vec![("iam GetRole", no_role())],
    ]);

    let (result, _) = create(&stage).await;

    stage.assert_played();
    let error = result.expect_err("refused").error;
    assert!(matches!(error, DeployError::RoleMissing { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_good_role_is_waited_for_on_and_on_but_not_for_ever() {
    let mut attempts = vec![("lambda CreateFunction", not_assumable()); 6];
    // From half a minute on, each refusal is held against the trust policy.
    while attempts.len() < 100 {
        attempts.push(("lambda CreateFunction", not_assumable()));
        attempts.push((
            "iam GetRole",
            role("GetRole", BROUGHT, &[], &policy::trust()),
        ));
    }
    let stage = stage([before_the_function(), attempts]);

    let (result, took) = create(&stage).await;

    let error = result.expect_err("refused").error;
    assert_eq!(
        error.to_string(),
        "lambda:CreateFunction on time: InvalidParameterValueException: The role defined for the function cannot be assumed by \
         Lambda. (request id request-1)"
    );
    assert_eq!(error.attribute(), Some("role_arn"));
    assert!((300..=320).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_lack_of_permission_ends_at_once() {
    let refusal = lambda_error(
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: lambda:CreateFunction",
    );
    let stage = stage([
        before_the_function(),
        vec![("lambda CreateFunction", refusal)],
    ]);

    let (result, took) = create(&stage).await;

    stage.assert_played();
    assert_eq!(took, Duration::ZERO);
    let failed = result.expect_err("refused");
    assert_eq!(
        failed.error.to_string(),
        "lambda:CreateFunction on time: AccessDeniedException: User: arn:aws:iam::123456789012:user/ci is not authorized to \
         perform: lambda:CreateFunction (request id request-1); allow lambda:CreateFunction for the credentials that Terraform \
         runs with"
    );
    // The log group exists, and must be remembered.
    let partial = failed.partial.expect("something exists");
    assert_eq!((partial.version, partial.code_sha256), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_bad_parameter_names_its_attribute_and_is_not_tried_again() {
    let refusal = lambda_error(
        400,
        "InvalidParameterValueException",
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 3008",
    );
    let stage = stage([
        before_the_function(),
        vec![("lambda CreateFunction", refusal)],
    ]);

    let (result, took) = create(&stage).await;

    stage.assert_played();
    assert_eq!(took, Duration::ZERO);
    assert_eq!(
        result.expect_err("refused").error.attribute(),
        Some("memory")
    );
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_by_every_service() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                lambda_error(429, "TooManyRequestsException", "Rate exceeded"),
            ),
            ("lambda GetFunction", no_function()),
            (
                "logs DescribeLogGroups",
                json_error("ThrottlingException", "Rate exceeded"),
            ),
        ],
        log_group_as_wanted(),
        vec![("lambda CreateFunction", ok(function("$LATEST")))],
        vec![
            ("lambda PublishVersion", ok(function("1"))),
            ("lambda CreateAlias", done()),
            ("iam GetRole", iam_error(400, "Throttling", "Rate exceeded")),
            ("iam GetRole", no_role()),
            (
                "sqs GetQueueUrl",
                sqs_error(
                    "RequestThrottled",
                    "RequestThrottled",
                    "Request is throttled.",
                ),
            ),
            ("sqs GetQueueUrl", no_queue()),
            ("lambda UntagResource", done()),
        ],
    ]);

    let (result, _) = create(&stage).await;

    stage.assert_played();
    result.expect("created");
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_deleted_queue_is_waited_for() {
    let mut wanted = wanted();
    wanted.dead_letter_queue = true;
    let recently = sqs_error(
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "QueueDeletedRecently",
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
    );
    let stage = stage([
        before_the_function(),
        vec![
            ("sqs GetQueueUrl", no_queue()),
            ("sqs CreateQueue", recently.clone()),
            ("sqs CreateQueue", recently),
            ("sqs CreateQueue", ok(json!({"QueueUrl": QUEUE_URL}))),
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("lambda PublishVersion", ok(function("1"))),
            ("lambda CreateAlias", done()),
            ("iam GetRole", no_role()),
            ("lambda UntagResource", done()),
        ],
    ]);

    stage
        .converge(&wanted, Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_still_running_is_waited_for_before_the_next() {
    let busy = function_but(
        "$LATEST",
        json!({"LastUpdateStatus": "InProgress", "MemorySize": 512}),
    );
    let stage = stage([
        vec![
            ("lambda GetFunction", get_function(busy, false)),
            // An earlier run was killed: its update must end first.
            (
                "lambda GetFunctionConfiguration:$LATEST",
                ok(function_but("$LATEST", json!({"MemorySize": 512}))),
            ),
            ("lambda GetAlias", alias("1")),
            (
                "lambda GetFunctionConfiguration:1",
                ok(function_but("1", json!({"MemorySize": 512}))),
            ),
        ],
        log_group_as_wanted(),
        vec![
            (
                "lambda UpdateFunctionConfiguration",
                lambda_error(
                    409,
                    "ResourceConflictException",
                    "The operation cannot be performed at this time. An update is in progress for resource: time",
                ),
            ),
            (
                "lambda UpdateFunctionConfiguration",
                ok(function_but(
                    "$LATEST",
                    json!({"LastUpdateStatus": "InProgress"}),
                )),
            ),
            // Not given: still running, as the AWS provider has it.
            (
                "lambda GetFunctionConfiguration:$LATEST",
                ok(function_but("$LATEST", json!({"LastUpdateStatus": null}))),
            ),
            (
                "lambda GetFunctionConfiguration:$LATEST",
                ok(function("$LATEST")),
            ),
            (
                "lambda PublishVersion",
                ok(function_but("2", json!({"State": "Pending"}))),
            ),
            ("lambda GetFunctionConfiguration:2", ok(function("2"))),
            ("lambda UpdateAlias", done()),
        ],
        no_url(),
        nothing_left_over(),
        vec![("lambda ListVersionsByFunction", ok(json!({"Versions": []})))],
    ]);

    stage
        .converge(&wanted(), Mode::Update)
        .await
        .expect("updated");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_says_why() {
    let stage = stage([
        before_the_function(),
        vec![
            (
                "lambda CreateFunction",
                ok(function_but("$LATEST", json!({"State": "Pending"}))),
            ),
            (
                "lambda GetFunctionConfiguration:$LATEST",
                ok(function_but(
                    "$LATEST",
                    json!({"State": "Failed", "StateReasonCode": "SubnetOutOfIPAddresses", "StateReason": "no address is free"}),
                )),
            ),
        ],
    ]);

    let (result, _) = create(&stage).await;

    stage.assert_played();
    let error = result.expect_err("failed").error;
    assert_eq!(
        error.to_string(),
        "Lambda could not make time:$LATEST ready: SubnetOutOfIPAddresses: no address is free"
    );
    assert_eq!(error.attribute(), Some("vpc_config"));
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_names_the_last_state() {
    let pending = || ok(function_but("$LATEST", json!({"State": "Pending"})));
    let mut polls = vec![("lambda CreateFunction", pending())];
    polls.extend(vec![
        ("lambda GetFunctionConfiguration:$LATEST", pending());
        50
    ]);
    let mut stage = stage([before_the_function(), polls]);
    stage.op = Operation::new(CancellationToken::new(), Duration::from_secs(60));

    let (result, took) = create(&stage).await;

    assert_eq!(took.as_secs(), 60);
    let error = result.expect_err("out of time").error;
    assert_eq!(
        error.to_string(),
        "no time left after 60 s while waiting for time:$LATEST (last seen: State Pending); raise `timeouts`, or run `terraform \
         apply` again to continue"
    );
    assert_eq!(error.attribute(), Some("timeouts"));
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_the_run_between_two_calls() {
    let stage = stage([
        before_the_function(),
        vec![
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("lambda PublishVersion", ok(function("1"))),
        ],
    ]);
    let cancel = stage.op.cancel.clone();

    let failed = converge(
        &stage.aws,
        &wanted(),
        Mode::Create,
        |_| async move {
            cancel.cancel();
            Ok(())
        },
        &stage.op,
    )
    .await
    .expect_err("interrupted");

    stage.assert_played();
    assert_eq!(
        failed.error.to_string(),
        "interrupted while calling lambda:CreateAlias on time:live; run `terraform apply` again to continue"
    );
    let partial = failed.partial.expect("the function exists");
    assert_eq!(
        (partial.version, partial.code_sha256.as_deref()),
        (None, Some(SHA))
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_from_aws_is_named_without_its_content() {
    // What a proxy or a wrong endpoint says; never shown, because an answer of Lambda's could hold the environment.
    let stage = stage([vec![("lambda GetFunction", ok(json!("hunter2")))]]);

    let (result, _) = create(&stage).await;

    stage.assert_played();
    let error = result.expect_err("unreadable").error;
    assert!(matches!(error, DeployError::Unreachable { .. }), "{error}");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("lambda:GetFunction on time got no usable answer"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}
