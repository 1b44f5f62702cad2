//! A first deployment: what is made, in which order, and what is never touched.

use mcplambda::deploy::{DeployError, Deployed, Mode, Published, Role, Vpc, converge, policy};
use serde_json::{Value, json};

use crate::deploy_replay::*;

fn deployed(role_arn: &str, queue: Option<&str>) -> Deployed {
    Deployed {
        arn: "arn:aws:lambda:eu-central-1:123456789012:function:time".to_owned(),
        qualified_arn: "arn:aws:lambda:eu-central-1:123456789012:function:time:live".to_owned(),
        invoke_arn: "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/\
                     arn:aws:lambda:eu-central-1:123456789012:function:time:live/invocations"
            .to_owned(),
        version: Some("1".to_owned()),
        role_arn: role_arn.to_owned(),
        log_group_name: "/aws/lambda/time".to_owned(),
        dead_letter_queue_arn: queue.map(str::to_owned),
        url: None,
        code_sha256: Some(SHA.to_owned()),
        code_size: Some(3),
        left_in_bucket: None,
    }
}

/// From nothing up to the function, with a brought role.
fn nothing_there() -> Vec<(&'static str, Answer)> {
    vec![
        ("lambda GetFunction", no_function()),
        ("logs DescribeLogGroups", log_groups(&[])),
        ("logs CreateLogGroup", done()),
        ("logs PutRetentionPolicy", done()),
    ]
}

fn served_for_the_first_time() -> Vec<(&'static str, Answer)> {
    vec![
        ("lambda PublishVersion", ok(function("1"))),
        ("lambda CreateAlias", done()),
    ]
}

fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("text")).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_creation_makes_everything_in_this_order_with_these_values() {
    let mut wanted = wanted();
    wanted.role = Role::Managed {
        policy_json: Some(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned()),
        managed_policy_arns: vec!["arn:aws:iam::123456789012:policy/extra".to_owned()],
        permissions_boundary: Some("arn:aws:iam::123456789012:policy/boundary".to_owned()),
    };
    wanted.dead_letter_queue = true;
    wanted.reserved_concurrency = Some(5);
    wanted.vpc = Some(Vpc {
        subnet_ids: ["subnet-2".to_owned(), "subnet-1".to_owned()].into(),
        security_group_ids: ["sg-1".to_owned()].into(),
    });
    let created = function_but(
        "$LATEST",
        json!({"Role": ROLE, "State": "Pending", "LastUpdateStatus": null}),
    );
    let active = function_but("$LATEST", json!({"Role": ROLE, "LastUpdateStatus": null}));
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            ("iam GetRole", no_role()),
            (
                "iam CreateRole",
                role("CreateRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
            ),
            ("iam PutRolePolicy", iam("PutRolePolicy", "")),
            ("iam PutRolePolicy", iam("PutRolePolicy", "")),
            ("iam AttachRolePolicy", iam("AttachRolePolicy", "")),
            (
                "logs DescribeLogGroups",
                log_groups(&[("/aws/lambda/time-of-day", None)]),
            ),
            ("logs CreateLogGroup", done()),
            ("logs PutRetentionPolicy", done()),
            ("sqs GetQueueUrl", no_queue()),
            ("sqs CreateQueue", ok(json!({"QueueUrl": QUEUE_URL}))),
            ("lambda CreateFunction", ok(created)),
            ("lambda GetFunctionConfiguration:$LATEST", ok(active)),
            ("lambda PutFunctionConcurrency", done()),
        ],
        served_for_the_first_time(),
        vec![("lambda UntagResource", done())],
    ]);

    let result = stage
        .converge(&wanted, Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
    assert_eq!(result, deployed(ROLE, Some(QUEUE)));

    let role = stage.body("iam CreateRole");
    assert_eq!(parsed(&role["AssumeRolePolicyDocument"]), policy::trust());
    assert_eq!(
        role["PermissionsBoundary"],
        "arn:aws:iam::123456789012:policy/boundary"
    );
    let tags: Vec<_> = (1..=3)
        .map(|n| {
            let field = |name| {
                role[format!("Tags.member.{n}.{name}")]
                    .as_str()
                    .expect("text")
            };
            (field("Key"), field("Value"))
        })
        .collect();
    assert_eq!(tags, OUR_ROLE_TAGS);
    let policies: Vec<_> = stage
        .requests()
        .into_iter()
        .filter(|(call, _)| call == "iam PutRolePolicy")
        .map(|(_, body)| (body["PolicyName"].clone(), parsed(&body["PolicyDocument"])))
        .collect();
    let needs = policy::Needs {
        queue: true,
        vpc: true,
        ..policy::Needs::default()
    };
    assert_eq!(
        policies,
        [
            (json!("mcplambda"), policy::base(&stage.aws, "time", &needs)),
            (
                json!("user"),
                json!({"Version": "2012-10-17", "Statement": []})
            ),
        ]
    );
    assert_eq!(
        stage.body("logs CreateLogGroup"),
        json!({"logGroupName": "/aws/lambda/time", "tags": {"mcplambda:function": "time", "team": "clocks"}})
    );
    assert_eq!(
        stage.body("logs PutRetentionPolicy"),
        json!({"logGroupName": "/aws/lambda/time", "retentionInDays": 14})
    );
    assert_eq!(
        stage.body("sqs CreateQueue"),
        json!({
            "QueueName": "time-dlq",
            "Attributes": {"SqsManagedSseEnabled": "true", "MessageRetentionPeriod": "1209600"},
            "tags": {"mcplambda:function": "time", "team": "clocks"}
        })
    );
    assert_eq!(
        stage.body("lambda CreateFunction"),
        json!({
            "FunctionName": "time",
            "Description": "tells the time",
            "Role": ROLE,
            "Runtime": "python3.13",
            "Handler": "mcplambda.handler",
            "Architectures": ["x86_64"],
            "MemorySize": 1024,
            "Timeout": 60,
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/time"},
            "TracingConfig": {"Mode": "PassThrough"},
            "Environment": {"Variables": {"SECRET": "hunter2"}},
            "VpcConfig": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
            "DeadLetterConfig": {"TargetArn": QUEUE},
            "PackageType": "Zip",
            "Code": {"ZipFile": "emlw"},
            "Tags": {"mcplambda:function": "time", "mcplambda:unfinished": "true", "team": "clocks"}
        })
    );
    assert_eq!(
        stage.body("lambda PutFunctionConcurrency"),
        json!({"ReservedConcurrentExecutions": 5})
    );
    assert_eq!(
        stage.body("lambda PublishVersion"),
        json!({"CodeSha256": SHA})
    );
    assert_eq!(
        stage.body("lambda CreateAlias"),
        json!({"Name": "live", "FunctionVersion": "1"})
    );
}

#[tokio::test(start_paused = true)]
async fn a_finished_function_of_that_name_is_refused_after_one_reading_call() {
    let stage = stage([vec![(
        "lambda GetFunction",
        get_function(function("$LATEST"), false),
    )]]);

    let failed = stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert_eq!(failed.partial, None);
    assert_eq!(
        failed.error.to_string(),
        "a Lambda function named time already exists and is not managed here; import it with \
         `terraform import mcplambda_server.<name> time`, or choose another function name"
    );
    assert_eq!(failed.error.attribute(), Some("function_name"));
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_tags_cannot_be_read_is_not_touched() {
    let answer = ok(json!({
        "Configuration": function("$LATEST"),
        "TagsError": {"ErrorCode": "AccessDenied", "Message": "no lambda:ListTags"}
    }));
    let stage = stage([vec![("lambda GetFunction", answer)]]);

    let failed = stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert!(
        matches!(failed.error, DeployError::TagsUnreadable { .. }),
        "{}",
        failed.error
    );
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_function_is_adopted_and_finished() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), true),
            ),
            ("lambda GetAlias", no_function()),
        ],
        log_group_as_wanted(),
        served_for_the_first_time(),
        no_url(),
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);

    let result = stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect("adopted");

    stage.assert_played();
    assert_eq!(result, deployed(BROUGHT, None));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_after_the_alias_is_verified_again() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), true),
            ),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(function("1"))),
        ],
        log_group_as_wanted(),
        vec![
            ("lambda PublishVersion", ok(function("1"))),
            ("lambda UpdateAlias", done()),
        ],
        no_url(),
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);
    let mut verified = Vec::new();

    converge(
        &stage.aws,
        &wanted(),
        Mode::Create,
        |published| {
            verified.push(published);
            async { Ok(()) }
        },
        &stage.op,
    )
    .await
    .expect("adopted");

    stage.assert_played();
    assert_eq!(
        verified,
        [Published {
            function_name: "time".to_owned(),
            version: "1".to_owned()
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_function_that_failed_is_made_anew() {
    let failed = function_but(
        "$LATEST",
        json!({"State": "Failed", "StateReasonCode": "InvalidSubnet"}),
    );
    let stage = stage([
        vec![
            ("lambda GetFunction", get_function(failed, true)),
            ("lambda DeleteFunction", done()),
            ("lambda GetFunctionConfiguration", no_function()),
        ],
        log_group_as_wanted(),
        vec![("lambda CreateFunction", ok(function("$LATEST")))],
        served_for_the_first_time(),
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);

    stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect("made anew");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_role_of_that_name_that_was_not_made_here_is_refused() {
    let mut wanted = wanted();
    wanted.role = Role::Managed {
        policy_json: None,
        managed_policy_arns: Vec::new(),
        permissions_boundary: None,
    };
    // The same function in another region has a role of its own, so even that is foreign.
    let tags = [
        ("mcplambda:function", "time"),
        ("mcplambda:region", "us-east-1"),
    ];
    let stage = stage([vec![
        ("lambda GetFunction", no_function()),
        (
            "iam GetRole",
            role("GetRole", ROLE, &tags, &policy::trust()),
        ),
    ]]);

    let failed = stage
        .converge(&wanted, Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert_eq!(
        failed.error.to_string(),
        "the IAM role time-eu-central-1 exists, but its tags do not say that it was made for the function time here; delete it, \
         or choose another function name"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_that_name_that_was_not_made_here_is_refused() {
    let mut wanted = wanted();
    wanted.dead_letter_queue = true;
    let stage = stage([
        vec![("lambda GetFunction", no_function())],
        log_group_as_wanted(),
        vec![
            ("sqs GetQueueUrl", ok(json!({"QueueUrl": QUEUE_URL}))),
            (
                "sqs GetQueueAttributes",
                ok(json!({"Attributes": {"QueueArn": QUEUE}})),
            ),
            ("sqs ListQueueTags", ok(json!({"Tags": {"team": "others"}}))),
        ],
    ]);

    let failed = stage
        .converge(&wanted, Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert!(
        matches!(&failed.error, DeployError::NotOurs { object: "SQS queue", name, .. } if name == "time-dlq"),
        "{}",
        failed.error
    );
}

#[tokio::test(start_paused = true)]
async fn a_foreign_log_group_gets_the_retention_but_no_tags() {
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            (
                "logs DescribeLogGroups",
                log_groups(&[("/aws/lambda/time", None)]),
            ),
            ("logs ListTagsForResource", ok(json!({"tags": {}}))),
            ("logs PutRetentionPolicy", done()),
            ("lambda CreateFunction", ok(function("$LATEST"))),
        ],
        served_for_the_first_time(),
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);

    stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_was_lost_is_recognised_by_its_tag() {
    let stage = stage([
        nothing_there(),
        vec![
            (
                "lambda CreateFunction",
                lambda_error(
                    409,
                    "ResourceConflictException",
                    "Function already exist: time",
                ),
            ),
            (
                "lambda GetFunction",
                get_function(function("$LATEST"), true),
            ),
        ],
        served_for_the_first_time(),
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);

    stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn without_a_zip_nothing_is_begun() {
    let mut wanted = wanted();
    wanted.code = None;
    let stage = stage([vec![("lambda GetFunction", no_function())]]);

    let failed = stage
        .converge(&wanted, Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert_eq!(failed.partial, None);
    assert!(
        matches!(failed.error, DeployError::CodeNeeded { .. }),
        "{}",
        failed.error
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_version_that_does_not_work_stays_unfinished_and_unserved() {
    let stage = stage([
        nothing_there(),
        vec![
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("lambda PublishVersion", ok(function("1"))),
        ],
    ]);

    let failed = converge(
        &stage.aws,
        &wanted(),
        Mode::Create,
        |_| async { Err("ModuleNotFoundError: No module named 'tzdata'".into()) },
        &stage.op,
    )
    .await
    .expect_err("refused");

    stage.assert_played();
    let mut partial = deployed(BROUGHT, None);
    partial.version = None;
    assert_eq!(failed.partial.as_deref(), Some(&partial));
    assert_eq!(
        failed.error.to_string(),
        "version 1 of time does not work, and is not served: ModuleNotFoundError: No module named 'tzdata'"
    );
}

#[tokio::test(start_paused = true)]
async fn other_bytes_than_were_uploaded_are_not_published() {
    let stage = stage([
        nothing_there(),
        vec![(
            "lambda CreateFunction",
            ok(function_but("$LATEST", json!({"CodeSha256": OTHER_SHA}))),
        )],
    ]);

    let failed = stage
        .converge(&wanted(), Mode::Create)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert!(
        matches!(&failed.error, DeployError::CodeMismatch { found, wanted, .. } if found == OTHER_SHA && wanted == SHA),
        "{}",
        failed.error
    );
}
