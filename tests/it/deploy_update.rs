//! Later deployments: only what differs is changed, and what is served changes last.

use mcplambda::deploy::{
    Architecture, DeployError, LogFormat, Mode, Role, Tracing, Wanted, converge, policy,
};
use serde_json::{Value, json};

use crate::deploy_replay::*;

type Script = Vec<(&'static str, Answer)>;

/// The function and the version that is served, both as given.
fn there(latest: Value, served: Value) -> Script {
    let version = served["Version"].as_str().expect("a version").to_owned();
    let described: &'static str = match version.as_str() {
        "1" => "lambda GetFunctionConfiguration:1",
        "7" => "lambda GetFunctionConfiguration:7",
        other => panic!("no call name for version {other}"),
    };
    vec![
        ("lambda GetFunction", get_function(latest, false)),
        ("lambda GetAlias", alias(&version)),
        (described, ok(served)),
    ]
}

fn one_version() -> Script {
    vec![(
        "lambda ListVersionsByFunction",
        ok(json!({"Versions": [{"Version": "$LATEST"}, {"Version": "1"}]})),
    )]
}

/// Plays an update that must succeed.
#[track_caller]
fn assert_updates(wanted: &Wanted, script: impl IntoIterator<Item = Script>) -> Stage {
    let stage = stage(script);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let result = runtime.block_on(stage.converge(wanted, Mode::Update));
    stage.assert_played();
    result.expect("updated");
    stage
}

#[test]
fn nothing_to_change_makes_no_changing_call() {
    assert_updates(
        &wanted(),
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            no_url(),
            nothing_left_over(),
        ],
    );
}

#[test]
fn nothing_to_change_needs_no_zip() {
    let mut wanted = wanted();
    wanted.code = None;
    assert_updates(
        &wanted,
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            no_url(),
            nothing_left_over(),
        ],
    );
}

#[test]
fn a_changed_configuration_uploads_no_code() {
    let mut wanted = wanted();
    wanted.memory = 2048;
    wanted.environment.clear();
    wanted.code = None;
    let new = |version| function_but(version, json!({"MemorySize": 2048, "Environment": null}));

    let stage = assert_updates(
        &wanted,
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionConfiguration", ok(new("$LATEST"))),
                ("lambda PublishVersion", ok(new("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );

    assert_eq!(
        stage.body("lambda UpdateFunctionConfiguration"),
        json!({
            "Description": "tells the time",
            "Role": BROUGHT,
            "Runtime": "python3.13",
            "Handler": "mcplambda.handler",
            "MemorySize": 2048,
            "Timeout": 60,
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/time"},
            "TracingConfig": {"Mode": "PassThrough"},
            "Environment": {"Variables": {}}
        })
    );
    assert_eq!(
        stage.body("lambda UpdateAlias"),
        json!({"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {}}})
    );
}

#[test]
fn log_format_and_tracing_are_changed_in_place() {
    let mut wanted = wanted();
    wanted.log_format = LogFormat::Json;
    wanted.tracing = Tracing::Active;
    wanted.code = None;
    let new = |version| {
        function_but(
            version,
            json!({
                "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/aws/lambda/time"},
                "TracingConfig": {"Mode": "Active"}
            }),
        )
    };

    let stage = assert_updates(
        &wanted,
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionConfiguration", ok(new("$LATEST"))),
                ("lambda PublishVersion", ok(new("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );

    let body = stage.body("lambda UpdateFunctionConfiguration");
    assert_eq!(
        (&body["LoggingConfig"], &body["TracingConfig"]),
        (
            &json!({"LogFormat": "JSON", "LogGroup": "/aws/lambda/time"}),
            &json!({"Mode": "Active"})
        )
    );
}

#[test]
fn what_is_to_go_is_named_as_empty() {
    let old = |version| {
        function_but(
            version,
            json!({
                "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "VpcId": "vpc-1"},
                "DeadLetterConfig": {"TargetArn": "arn:aws:sns:eu-central-1:123456789012:topic"},
                "Layers": [{"Arn": "arn:aws:lambda:eu-central-1:123456789012:layer:x:1"}]
            }),
        )
    };
    let stage = assert_updates(
        &wanted(),
        [
            there(old("$LATEST"), old("1")),
            log_group_as_wanted(),
            vec![
                (
                    "lambda UpdateFunctionConfiguration",
                    ok(function("$LATEST")),
                ),
                ("lambda PublishVersion", ok(function("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );
    let body = stage.body("lambda UpdateFunctionConfiguration");
    assert_eq!(
        [
            &body["VpcConfig"],
            &body["DeadLetterConfig"],
            &body["Layers"]
        ],
        [
            &json!({"SubnetIds": [], "SecurityGroupIds": []}),
            &json!({"TargetArn": ""}),
            &json!([])
        ]
    );
}

#[test]
fn changed_code_leaves_the_configuration_alone() {
    let old = |version| function_but(version, json!({"CodeSha256": OTHER_SHA}));
    let stage = assert_updates(
        &wanted(),
        [
            there(old("$LATEST"), old("1")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionCode", ok(function("$LATEST"))),
                ("lambda PublishVersion", ok(function("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );
    assert_eq!(
        stage.body("lambda UpdateFunctionCode"),
        json!({"ZipFile": "emlw", "Architectures": ["x86_64"]})
    );
}

#[test]
fn another_architecture_goes_with_the_code() {
    let mut wanted = wanted();
    wanted.architecture = Architecture::Arm64;
    let new = |version| function_but(version, json!({"Architectures": ["arm64"]}));
    let stage = assert_updates(
        &wanted,
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionCode", ok(new("$LATEST"))),
                ("lambda PublishVersion", ok(new("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );
    assert_eq!(
        stage.body("lambda UpdateFunctionCode"),
        json!({"ZipFile": "emlw", "Architectures": ["arm64"]})
    );
}

#[test]
fn concurrency_and_tags_are_no_new_version() {
    let mut wanted = wanted();
    wanted.reserved_concurrency = Some(0);
    wanted.tags = [("owner".to_owned(), "me".to_owned())].into();
    let stage = assert_updates(
        &wanted,
        [
            there(function("$LATEST"), function("1")),
            log_group_as_wanted(),
            vec![
                ("logs TagResource", done()),
                ("logs UntagResource", done()),
                ("lambda PutFunctionConcurrency", done()),
                ("lambda TagResource", done()),
                ("lambda UntagResource", done()),
            ],
            no_url(),
            nothing_left_over(),
        ],
    );
    assert_eq!(
        stage.body("lambda TagResource"),
        json!({"Tags": {"owner": "me"}})
    );
    assert_eq!(
        stage.body("logs UntagResource"),
        json!({"resourceArn": "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/time", "tagKeys": ["team"]})
    );
}

#[test]
fn a_half_updated_function_is_finished() {
    // Killed after the upload: `$LATEST` is as wanted, the served version is not.
    assert_updates(
        &wanted(),
        [
            there(
                function("$LATEST"),
                function_but("1", json!({"CodeSha256": OTHER_SHA})),
            ),
            log_group_as_wanted(),
            vec![
                ("lambda PublishVersion", ok(function("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            one_version(),
        ],
    );
}

#[test]
fn an_update_that_failed_is_made_again() {
    let failed = function_but("$LATEST", json!({"LastUpdateStatus": "Failed"}));
    assert_updates(
        &wanted(),
        [
            there(failed, function("1")),
            log_group_as_wanted(),
            vec![(
                "lambda UpdateFunctionConfiguration",
                ok(function("$LATEST")),
            )],
            no_url(),
            nothing_left_over(),
        ],
    );
}

#[test]
fn an_alias_that_was_split_by_hand_is_made_whole() {
    let split = ok(json!({
        "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}
    }));
    assert_updates(
        &wanted(),
        [
            vec![
                (
                    "lambda GetFunction",
                    get_function(function("$LATEST"), false),
                ),
                ("lambda GetAlias", split),
                ("lambda GetFunctionConfiguration:1", ok(function("1"))),
            ],
            log_group_as_wanted(),
            vec![
                ("lambda PublishVersion", ok(function("1"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
        ],
    );
}

#[test]
fn a_function_that_was_deleted_by_hand_is_made_anew() {
    assert_updates(
        &wanted(),
        [
            vec![("lambda GetFunction", no_function())],
            log_group_as_wanted(),
            vec![
                ("lambda CreateFunction", ok(function("$LATEST"))),
                ("lambda PublishVersion", ok(function("1"))),
                ("lambda CreateAlias", done()),
            ],
            nothing_left_over(),
            vec![("lambda UntagResource", done())],
        ],
    );
}

#[test]
fn old_versions_go_but_never_one_that_an_alias_needs() {
    let versions: Vec<_> = [
        "$LATEST", "1", "2", "3", "7", "8", "9", "10", "11", "12", "13",
    ]
    .map(|version| json!({"Version": version}))
    .into();
    let old = |version| function_but(version, json!({"CodeSha256": OTHER_SHA}));
    // Served before: 7. Below 13, the five youngest are 8 to 12. Alias `test` needs 1 and a part of 3.
    assert_updates(
        &wanted(),
        [
            there(old("$LATEST"), old("7")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionCode", ok(function("$LATEST"))),
                ("lambda PublishVersion", ok(function("13"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            vec![
                (
                    "lambda ListVersionsByFunction",
                    ok(json!({"Versions": versions})),
                ),
                (
                    "lambda ListAliases",
                    ok(json!({"Aliases": [{
                        "Name": "test", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.1}}
                    }]})),
                ),
                ("lambda DeleteFunction:2", done()),
            ],
        ],
    );
}

#[test]
fn credentials_that_may_not_delete_versions_still_deploy() {
    let old = |version| function_but(version, json!({"CodeSha256": OTHER_SHA}));
    assert_updates(
        &wanted(),
        [
            there(old("$LATEST"), old("1")),
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionCode", ok(function("$LATEST"))),
                ("lambda PublishVersion", ok(function("2"))),
                ("lambda UpdateAlias", done()),
            ],
            no_url(),
            nothing_left_over(),
            vec![(
                "lambda ListVersionsByFunction",
                lambda_error(403, "AccessDeniedException", "not authorized"),
            )],
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_work_is_not_served() {
    let old = |version| function_but(version, json!({"CodeSha256": OTHER_SHA, "CodeSize": 9}));
    let stage = stage([
        there(old("$LATEST"), old("1")),
        log_group_as_wanted(),
        vec![
            ("lambda UpdateFunctionCode", ok(function("$LATEST"))),
            ("lambda PublishVersion", ok(function("2"))),
        ],
    ]);

    let failed = converge(
        &stage.aws,
        &wanted(),
        Mode::Update,
        |_| async { Err("exit status 1".into()) },
        &stage.op,
    )
    .await
    .expect_err("refused");

    stage.assert_played();
    // What is true is what was true before.
    let partial = failed.partial.expect("the function exists");
    assert_eq!(
        (
            partial.version.as_deref(),
            partial.code_sha256.as_deref(),
            partial.code_size
        ),
        (Some("1"), Some(OTHER_SHA), Some(9))
    );
    match failed.error {
        DeployError::Verify {
            version, source, ..
        } => {
            assert_eq!(
                (version.as_str(), source.to_string().as_str()),
                ("2", "exit status 1")
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_role_is_widened_before_and_narrowed_after_the_alias_moves() {
    let mut wanted = wanted();
    wanted.role = Role::Managed {
        policy_json: None,
        managed_policy_arns: vec!["arn:aws:iam::123456789012:policy/new".to_owned()],
        permissions_boundary: None,
    };
    let with_queue = |version| {
        function_but(
            version,
            json!({"Role": ROLE, "DeadLetterConfig": {"TargetArn": QUEUE}}),
        )
    };
    let without = |version| function_but(version, json!({"Role": ROLE}));
    let aws = stage([]).aws;
    let base = |queue| {
        let needs = policy::Needs {
            queue,
            ..policy::Needs::default()
        };
        policy::base(&aws, "time", &needs)
    };
    let stage = assert_updates(
        &wanted,
        [
            there(with_queue("$LATEST"), with_queue("1")),
            vec![
                (
                    "iam GetRole",
                    role("GetRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
                ),
                (
                    "iam ListRolePolicies",
                    inline_policies(&["mcplambda", "user", "by-hand"]),
                ),
                ("iam GetRolePolicy", inline_policy("mcplambda", &base(true))),
                ("iam GetRolePolicy", inline_policy("user", &json!({}))),
                ("iam GetRolePolicy", inline_policy("by-hand", &json!({}))),
                (
                    "iam ListAttachedRolePolicies",
                    attached_policies(&["arn:aws:iam::123456789012:policy/old"]),
                ),
                ("iam AttachRolePolicy", iam("AttachRolePolicy", "")),
            ],
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionConfiguration", ok(without("$LATEST"))),
                ("lambda PublishVersion", ok(without("2"))),
                ("lambda UpdateAlias", done()),
                ("lambda GetFunctionUrlConfig:live", no_function()),
                ("lambda GetPolicy:live", no_function()),
                ("iam PutRolePolicy", iam("PutRolePolicy", "")),
                ("iam DeleteRolePolicy", iam("DeleteRolePolicy", "")),
                ("iam DeleteRolePolicy", iam("DeleteRolePolicy", "")),
                ("iam DetachRolePolicy", iam("DetachRolePolicy", "")),
                ("sqs GetQueueUrl", ok(json!({"QueueUrl": QUEUE_URL}))),
                (
                    "sqs GetQueueAttributes",
                    ok(json!({"Attributes": {"QueueArn": QUEUE}})),
                ),
                (
                    "sqs ListQueueTags",
                    ok(json!({"Tags": {"mcplambda:function": "time"}})),
                ),
                ("sqs DeleteQueue", done()),
            ],
            one_version(),
        ],
    );
    let written = stage.body("iam PutRolePolicy");
    let document: Value =
        serde_json::from_str(written["PolicyDocument"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&written["PolicyName"], document),
        (&json!("mcplambda"), base(false))
    );
    assert_eq!(
        stage.body("iam DetachRolePolicy")["PolicyArn"],
        "arn:aws:iam::123456789012:policy/old"
    );
}

#[test]
fn a_managed_role_goes_once_a_brought_one_serves() {
    let managed = |version| function_but(version, json!({"Role": ROLE}));
    assert_updates(
        &wanted(),
        [
            there(managed("$LATEST"), managed("1")),
            log_group_as_wanted(),
            vec![
                (
                    "lambda UpdateFunctionConfiguration",
                    ok(function("$LATEST")),
                ),
                ("lambda PublishVersion", ok(function("2"))),
                ("lambda UpdateAlias", done()),
                ("lambda GetFunctionUrlConfig:live", no_function()),
                ("lambda GetPolicy:live", no_function()),
                (
                    "iam GetRole",
                    role("GetRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
                ),
                ("iam ListRolePolicies", inline_policies(&["mcplambda"])),
                ("iam GetRolePolicy", inline_policy("mcplambda", &json!({}))),
                ("iam ListAttachedRolePolicies", attached_policies(&[])),
                ("iam DeleteRolePolicy", iam("DeleteRolePolicy", "")),
                ("iam DeleteRole", iam("DeleteRole", "")),
                ("sqs GetQueueUrl", no_queue()),
            ],
            one_version(),
        ],
    );
}

#[test]
fn a_role_that_was_deleted_by_hand_is_made_again_and_the_function_told() {
    let mut wanted = wanted();
    wanted.role = Role::Managed {
        policy_json: None,
        managed_policy_arns: Vec::new(),
        permissions_boundary: None,
    };
    let managed = |version| function_but(version, json!({"Role": ROLE}));
    assert_updates(
        &wanted,
        [
            there(managed("$LATEST"), managed("1")),
            vec![
                ("iam GetRole", no_role()),
                (
                    "iam CreateRole",
                    role("CreateRole", ROLE, &OUR_ROLE_TAGS, &policy::trust()),
                ),
                ("iam PutRolePolicy", iam("PutRolePolicy", "")),
            ],
            log_group_as_wanted(),
            vec![
                ("lambda UpdateFunctionConfiguration", ok(managed("$LATEST"))),
                // Nothing changed in Lambda's eyes: the version that is served, again.
                ("lambda PublishVersion", ok(managed("1"))),
                ("lambda GetFunctionUrlConfig:live", no_function()),
                ("lambda GetPolicy:live", no_function()),
                ("sqs GetQueueUrl", no_queue()),
            ],
        ],
    );
}
