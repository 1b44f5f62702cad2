//! Reading: everything through the alias, and every difference as a sentence.

use std::collections::BTreeMap;

use mcplambda::deploy::{
    Architecture, Configuration, DeployError, Drift, DriftKind, Found, FoundLogGroup, FoundQueue,
    FoundRole, LogFormat, Tracing, Vpc, code_location, policy, read,
};
use serde_json::{Value, json};

use crate::deploy_replay::*;

type Script = Vec<(&'static str, Answer)>;

/// A served version with everything: managed role, queue, VPC.
fn full(version: &str) -> Value {
    function_but(
        version,
        json!({
            "Role": ROLE,
            "DeadLetterConfig": {"TargetArn": QUEUE},
            "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "VpcId": "vpc-1"}
        }),
    )
}

fn role_as_made() -> Script {
    let needs = policy::Needs {
        queue: true,
        vpc: true,
        ..policy::Needs::default()
    };
    let base = policy::base(&stage([]).aws, "time", &needs);
    vec![
        (
            "iam GetRole",
            role("GetRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
        ),
        (
            "iam ListRolePolicies",
            inline_policies(&["mcplambda", "user"]),
        ),
        ("iam GetRolePolicy", inline_policy("mcplambda", &base)),
        (
            "iam GetRolePolicy",
            inline_policy("user", &json!({"Version": "2012-10-17"})),
        ),
        (
            "iam ListAttachedRolePolicies",
            attached_policies(&["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
        ),
    ]
}

fn queue(attributes: Value) -> Script {
    vec![
        ("sqs GetQueueUrl", ok(json!({"QueueUrl": QUEUE_URL}))),
        (
            "sqs GetQueueAttributes",
            ok(json!({"Attributes": attributes})),
        ),
        (
            "sqs ListQueueTags",
            ok(json!({"Tags": {"mcplambda:function": "time"}})),
        ),
    ]
}

fn queue_as_made() -> Script {
    queue(
        json!({"QueueArn": QUEUE, "SqsManagedSseEnabled": "true", "MessageRetentionPeriod": "1209600"}),
    )
}

async fn drift(script: impl IntoIterator<Item = Script>) -> Vec<Drift> {
    let stage = stage(script);
    let found = read(&stage.aws, "time", "live").await.expect("read");
    stage.assert_played();
    found.expect("found").drift
}

fn kinds(drift: &[Drift]) -> Vec<DriftKind> {
    drift.iter().map(|drift| drift.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_function_as_made_is_read_whole_and_without_drift() {
    let latest = ok(json!({
        "Configuration": full("$LATEST"),
        "Tags": {"mcplambda:function": "time", "team": "clocks", "aws:cloudformation:stack-name": "x"},
        "Concurrency": {"ReservedConcurrentExecutions": 5}
    }));
    let stage = stage([
        vec![
            ("lambda GetFunction", latest),
            ("lambda GetAlias", alias("7")),
            ("lambda GetFunctionConfiguration:7", ok(full("7"))),
        ],
        role_as_made(),
        log_group_as_wanted(),
        queue_as_made(),
        no_url(),
    ]);

    let found = read(&stage.aws, "time", "live").await.expect("read");

    stage.assert_played();
    assert_eq!(
        found,
        Some(Found {
            arn: "arn:aws:lambda:eu-central-1:123456789012:function:time".to_owned(),
            qualified_arn: "arn:aws:lambda:eu-central-1:123456789012:function:time:live".to_owned(),
            invoke_arn: "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/\
                         arn:aws:lambda:eu-central-1:123456789012:function:time:live/invocations"
                .to_owned(),
            version: Some("7".to_owned()),
            configuration: Configuration {
                description: "tells the time".to_owned(),
                package_type: "Zip".to_owned(),
                runtime: Some("python3.13".to_owned()),
                handler: Some("mcplambda.handler".to_owned()),
                architecture: Architecture::X86_64,
                memory: 1024,
                timeout: 60,
                ephemeral_storage: 512,
                environment: BTreeMap::from([("SECRET".to_owned(), "hunter2".to_owned())]),
                vpc: Some(Vpc {
                    subnet_ids: ["subnet-1".to_owned()].into(),
                    security_group_ids: ["sg-1".to_owned()].into(),
                }),
                dead_letter_target_arn: Some(QUEUE.to_owned()),
                role_arn: ROLE.to_owned(),
                log_format: LogFormat::Text,
                log_group: "/aws/lambda/time".to_owned(),
                tracing: Tracing::PassThrough,
                layers: Vec::new(),
            },
            code_sha256: SHA.to_owned(),
            code_size: 3,
            reserved_concurrency: Some(5),
            tags: BTreeMap::from([("team".to_owned(), "clocks".to_owned())]),
            role: FoundRole::Managed {
                arn: ROLE.to_owned(),
                policy_json: Some(r#"{"Version":"2012-10-17"}"#.to_owned()),
                managed_policy_arns: ["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()].into(),
                permissions_boundary: None,
            },
            log_group: Some(FoundLogGroup {
                name: "/aws/lambda/time".to_owned(),
                retention_days: Some(14),
                ours: true,
            }),
            queue: Some(FoundQueue {
                arn: QUEUE.to_owned(),
                url: QUEUE_URL.to_owned(),
                encrypted: true,
                ours: true,
            }),
            url: None,
            unfinished: false,
            drift: Vec::new(),
        })
    );
}

#[tokio::test(start_paused = true)]
async fn no_function_is_none_after_one_call() {
    let stage = stage([vec![("lambda GetFunction", no_function())]]);
    assert_eq!(read(&stage.aws, "time", "live").await.expect("read"), None);
    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_brought_role_is_not_looked_into_and_sqs_is_not_needed() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), false),
            ),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(function("1"))),
        ],
        log_group_as_wanted(),
        vec![(
            "sqs GetQueueUrl",
            json_error("AccessDeniedException", "not authorized"),
        )],
        no_url(),
    ]);

    let found = read(&stage.aws, "time", "live")
        .await
        .expect("read")
        .expect("found");

    stage.assert_played();
    assert_eq!(
        found.role,
        FoundRole::Brought {
            arn: BROUGHT.to_owned()
        }
    );
    assert_eq!((found.queue, found.drift), (None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn every_difference_of_function_and_alias_is_told() {
    let latest = function_but(
        "$LATEST",
        json!({
            "MemorySize": 256,
            "CodeSha256": OTHER_SHA,
            "LastUpdateStatus": "Failed",
            "LastUpdateStatusReasonCode": "EniLimitExceeded",
            "LastUpdateStatusReason": "too many"
        }),
    );
    let served = function("1");
    let split = ok(json!({
        "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}
    }));

    let drift = drift([
        vec![
            ("lambda GetFunction", get_function(latest, false)),
            ("lambda GetAlias", split),
            ("lambda GetFunctionConfiguration:1", ok(served)),
            ("logs DescribeLogGroups", log_groups(&[])),
            ("sqs GetQueueUrl", no_queue()),
        ],
        no_url(),
    ])
    .await;

    let details: Vec<_> = drift.iter().map(|drift| drift.detail.as_str()).collect();
    assert_eq!(
        details,
        [
            "the alias time:live sends a part of the calls to other versions than 1",
            "time:$LATEST is configured otherwise than version 1, which is served",
            "time:$LATEST has other code than version 1, which is served",
            "the last update of time failed: EniLimitExceeded: too many",
            "the log group /aws/lambda/time is missing",
        ]
    );
    assert_eq!(
        kinds(&drift),
        [
            DriftKind::AliasMoved,
            DriftKind::LatestConfiguration,
            DriftKind::LatestCode,
            DriftKind::LatestFailed,
            DriftKind::LogGroupMissing,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_alias_shows_latest() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), true),
            ),
            ("lambda GetAlias", no_function()),
        ],
        log_group_as_wanted(),
        vec![("sqs GetQueueUrl", no_queue())],
        no_url(),
    ]);

    let found = read(&stage.aws, "time", "live")
        .await
        .expect("read")
        .expect("found");

    stage.assert_played();
    assert_eq!((found.version, found.unfinished), (None, true));
    assert_eq!(kinds(&found.drift), [DriftKind::AliasMissing]);
}

#[tokio::test(start_paused = true)]
async fn every_difference_of_role_and_queue_is_told() {
    let strange_trust = json!({"Version": "2012-10-17", "Statement": []});
    let drift = drift([
        vec![
            ("lambda GetFunction", get_function(full("$LATEST"), false)),
            ("lambda GetAlias", alias("7")),
            ("lambda GetFunctionConfiguration:7", ok(full("7"))),
            ("iam GetRole", role("GetRole", ROLE, &OUR_ROLE_TAGS, &strange_trust)),
            ("iam ListRolePolicies", inline_policies(&["by-hand"])),
            ("iam GetRolePolicy", inline_policy("by-hand", &json!({}))),
            ("iam ListAttachedRolePolicies", attached_policies(&[])),
        ],
        log_group_as_wanted(),
        queue(json!({"QueueArn": QUEUE, "SqsManagedSseEnabled": "false", "MessageRetentionPeriod": "345600"})),
        no_url(),
    ])
    .await;

    let details: Vec<_> = drift.iter().map(|drift| drift.detail.clone()).collect();
    assert_eq!(
        details,
        [
            format!("the trust policy of the role {ROLE} was changed"),
            format!("the inline policy `mcplambda` of the role {ROLE} is missing"),
            format!("the role {ROLE} has an inline policy `by-hand` that was not made here"),
            format!("the dead letter queue {QUEUE} is not encrypted"),
            format!("the dead letter queue {QUEUE} does not keep messages for 14 days"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_not_wired_is_told() {
    let missing = drift([
        vec![
            ("lambda GetFunction", get_function(full("$LATEST"), false)),
            ("lambda GetAlias", alias("7")),
            ("lambda GetFunctionConfiguration:7", ok(full("7"))),
            ("iam GetRole", no_role()),
        ],
        log_group_as_wanted(),
        vec![("sqs GetQueueUrl", no_queue())],
        no_url(),
    ])
    .await;
    assert_eq!(
        kinds(&missing),
        [DriftKind::RoleMissing, DriftKind::QueueMissing]
    );

    let not_wired = drift([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), false),
            ),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(function("1"))),
        ],
        log_group_as_wanted(),
        queue_as_made(),
        no_url(),
    ])
    .await;
    assert_eq!(kinds(&not_wired), [DriftKind::QueueNotWired]);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_cannot_be_decrypted_is_an_error_with_the_next_step() {
    let locked = function_but(
        "$LATEST",
        json!({"Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "KMS says no"}}}),
    );
    let stage = stage([vec![("lambda GetFunction", get_function(locked, false))]]);

    let error = read(&stage.aws, "time", "live")
        .await
        .expect_err("unreadable");

    assert_eq!(
        error.to_string(),
        "the environment of time cannot be read: AccessDeniedException: KMS says no; allow kms:Decrypt on its key for the \
         credentials that Terraform runs with"
    );
}

#[tokio::test(start_paused = true)]
async fn logging_and_tracing_are_read_and_another_log_group_is_told() {
    let logging = |version| {
        function_but(
            version,
            json!({
                "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/elsewhere"},
                "TracingConfig": {"Mode": "Active"}
            }),
        )
    };
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(logging("$LATEST"), false),
            ),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(logging("1"))),
        ],
        log_group_as_wanted(),
        vec![("sqs GetQueueUrl", no_queue())],
        no_url(),
    ]);
    let found = read(&stage.aws, "time", "live").await.expect("read");
    stage.assert_played();
    let found = found.expect("found");
    assert_eq!(
        (found.configuration.log_format, found.configuration.tracing),
        (LogFormat::Json, Tracing::Active)
    );
    assert_eq!(
        found.drift,
        [Drift {
            kind: DriftKind::LogGroupNotWired,
            detail: "version 1 of time logs to /elsewhere, not to /aws/lambda/time".to_owned(),
        }]
    );
}

/// A function that was made before Lambda knew of either.
#[tokio::test(start_paused = true)]
async fn a_function_that_says_nothing_of_logging_has_lambdas_defaults() {
    let old = |version| {
        function_but(
            version,
            json!({"LoggingConfig": null, "TracingConfig": null}),
        )
    };
    let drift = drift([
        vec![
            ("lambda GetFunction", get_function(old("$LATEST"), false)),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(function("1"))),
        ],
        log_group_as_wanted(),
        vec![("sqs GetQueueUrl", no_queue())],
        no_url(),
    ])
    .await;
    assert_eq!(drift, []);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_architecture_is_an_error_not_a_default() {
    let odd = function_but("$LATEST", json!({"Architectures": ["riscv64"]}));
    let stage = stage([vec![("lambda GetFunction", get_function(odd, false))]]);

    let error = read(&stage.aws, "time", "live").await.expect_err("unknown");

    assert!(
        matches!(&error, DeployError::Unknown { field: "Architectures", value, .. } if value == "riscv64"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_version_has_an_address() {
    let stage = stage([vec![(
        "lambda GetFunction:live",
        ok(
            json!({"Configuration": function("7"), "Code": {"Location": "https://example.com/zip?signed"}}),
        ),
    )]]);

    let address = code_location(&stage.aws, "time", "live")
        .await
        .expect("an address");

    stage.assert_played();
    assert_eq!(address, "https://example.com/zip?signed");
}

#[test]
fn debug_output_hides_the_environment() {
    let text = format!("{:?}", wanted());
    assert!(
        text.contains("SECRET") && !text.contains("hunter2"),
        "{text}"
    );
}
