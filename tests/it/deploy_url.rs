//! The function URL: made after the alias, changed in place, gone before it; and of the alias's policy only our own statements.

use mcplambda::deploy::{
    Cors, DeployError, DriftKind, FoundUrl, FunctionUrl, InvokeMode, Mode, UrlAuth, Wanted,
    destroy, policy, read,
};
use serde_json::{Value, json};

use crate::deploy_replay::*;

type Script = Vec<(&'static str, Answer)>;

const ADDRESS: &str = "https://abc.lambda-url.eu-central-1.on.aws/";

fn signed() -> FunctionUrl {
    FunctionUrl {
        auth: UrlAuth::AwsIam,
        invoke_mode: InvokeMode::Buffered,
        cors: None,
    }
}

fn public() -> FunctionUrl {
    FunctionUrl {
        auth: UrlAuth::None,
        ..signed()
    }
}

fn with(url: FunctionUrl) -> Wanted {
    Wanted {
        url: Some(url),
        ..wanted()
    }
}

/// A URL as Lambda describes it.
fn url(fields: Value) -> Answer {
    let mut url = json!({
        "FunctionUrl": ADDRESS,
        "FunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:time:live",
        "AuthType": "AWS_IAM",
        "InvokeMode": "BUFFERED",
        "CreationTime": "2026-01-01T00:00:00Z",
        "LastModifiedTime": "2026-01-01T00:00:00Z"
    });
    let members = url.as_object_mut().expect("an object");
    members.extend(fields.as_object().expect("an object").clone());
    ok(url)
}

fn alias_policy(statements: &[Value]) -> Answer {
    let document = json!({"Version": "2012-10-17", "Id": "default", "Statement": statements});
    ok(json!({"Policy": document.to_string(), "RevisionId": "1"}))
}

/// Our two statements, as they are made.
fn ours() -> [Value; 2] {
    policy::public_url(&stage([]).aws, "time", "live").map(|statement| statement.document)
}

fn theirs() -> Value {
    json!({
        "Sid": "gateway", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
        "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:time:live"
    })
}

/// A function that is served as it is wanted, up to its URL.
fn served() -> Script {
    let mut script = vec![
        (
            "lambda GetFunction",
            get_function(function("$LATEST"), false),
        ),
        ("lambda GetAlias", alias("1")),
        ("lambda GetFunctionConfiguration:1", ok(function("1"))),
    ];
    script.extend(log_group_as_wanted());
    script
}

/// Plays an update of nothing but the URL.
async fn update(wanted: &Wanted, url: Script) -> Stage {
    let stage = stage([served(), url, nothing_left_over()]);
    let result = stage.converge(wanted, Mode::Update).await;
    stage.assert_played();
    let deployed = result.expect("updated");
    let address = wanted.url.as_ref().map(|_| ADDRESS.to_owned());
    assert_eq!(deployed.url, address);
    stage
}

#[test]
fn everybody_needs_two_statements_whole() {
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:time:live";
    assert_eq!(
        ours(),
        [
            json!({
                "Sid": "mcplambda-function-url",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "lambda:InvokeFunctionUrl",
                "Resource": arn,
                "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
            }),
            json!({
                "Sid": "mcplambda-function-url-invoke",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "lambda:InvokeFunction",
                "Resource": arn,
                "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
            }),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_public_url_is_made_after_the_alias_and_its_statements_after_it() {
    let stage = stage([
        vec![("lambda GetFunction", no_function())],
        log_group_as_wanted(),
        vec![
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("lambda PublishVersion", ok(function("1"))),
            ("lambda CreateAlias", done()),
        ],
        no_url(),
        vec![
            ("lambda CreateFunctionUrlConfig:live", url(json!({}))),
            ("lambda AddPermission:live", done()),
            ("lambda AddPermission:live", done()),
        ],
        nothing_left_over(),
        vec![("lambda UntagResource", done())],
    ]);
    let wanted = with(FunctionUrl {
        auth: UrlAuth::None,
        invoke_mode: InvokeMode::ResponseStream,
        cors: Some(Cors {
            allow_credentials: true,
            allow_headers: ["content-type".to_owned()].into(),
            allow_methods: ["POST".to_owned()].into(),
            allow_origins: ["https://example.com".to_owned()].into(),
            expose_headers: ["mcp-session-id".to_owned()].into(),
            max_age: 60,
        }),
    });

    let deployed = stage
        .converge(&wanted, Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
    assert_eq!(deployed.url.as_deref(), Some(ADDRESS));
    assert_eq!(
        stage.body("lambda CreateFunctionUrlConfig:live"),
        json!({
            "AuthType": "NONE",
            "InvokeMode": "RESPONSE_STREAM",
            "Cors": {
                "AllowCredentials": true,
                "AllowHeaders": ["content-type"],
                "AllowMethods": ["POST"],
                "AllowOrigins": ["https://example.com"],
                "ExposeHeaders": ["mcp-session-id"],
                "MaxAge": 60
            }
        })
    );
    let added: Vec<_> = stage
        .requests()
        .into_iter()
        .filter(|(call, _)| call == "lambda AddPermission:live")
        .map(|(_, body)| body)
        .collect();
    assert_eq!(
        added,
        [
            json!({
                "StatementId": "mcplambda-function-url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
                "FunctionUrlAuthType": "NONE"
            }),
            json!({
                "StatementId": "mcplambda-function-url-invoke", "Action": "lambda:InvokeFunction", "Principal": "*",
                "InvokedViaFunctionUrl": true
            }),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_url_for_signed_requests_needs_no_statement() {
    let stage = update(
        &with(signed()),
        [
            no_url(),
            vec![("lambda CreateFunctionUrlConfig:live", url(json!({})))],
        ]
        .concat(),
    )
    .await;
    assert_eq!(
        stage.body("lambda CreateFunctionUrlConfig:live"),
        json!({"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED"})
    );
}

#[tokio::test(start_paused = true)]
async fn a_url_as_wanted_is_left_alone_with_the_statements_of_others() {
    let [public_url, mut invoke] = ours();
    // Another spelling of "everybody".
    invoke["Principal"] = json!({"AWS": "*"});
    update(
        &with(public()),
        vec![
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({"AuthType": "NONE"})),
            ),
            (
                "lambda GetPolicy:live",
                alias_policy(&[theirs(), public_url, invoke]),
            ),
        ],
    )
    .await;
    // Lambda may leave its default out, and what is left of CORS is an empty object.
    update(
        &with(signed()),
        vec![
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({"InvokeMode": null, "Cors": {}})),
            ),
            ("lambda GetPolicy:live", alias_policy(&[theirs()])),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_url_is_changed_in_place() {
    let stage = update(
        &with(signed()),
        vec![
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({
                    "AuthType": "NONE",
                    "InvokeMode": "RESPONSE_STREAM",
                    "Cors": {"AllowOrigins": ["*"]}
                })),
            ),
            (
                "lambda GetPolicy:live",
                alias_policy(&[&[theirs()][..], &ours()].concat()),
            ),
            ("lambda UpdateFunctionUrlConfig:live", url(json!({}))),
            ("lambda RemovePermission:live", done()),
            ("lambda RemovePermission:live", done()),
        ],
    )
    .await;
    // An empty object takes CORS away.
    assert_eq!(
        stage.body("lambda UpdateFunctionUrlConfig:live"),
        json!({"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED", "Cors": {}})
    );
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_was_changed_is_made_anew() {
    let [public_url, mut invoke] = ours();
    // Without its condition everybody may invoke the function by any way.
    invoke
        .as_object_mut()
        .expect("an object")
        .remove("Condition");
    let stage = update(
        &with(public()),
        vec![
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({"AuthType": "NONE"})),
            ),
            ("lambda GetPolicy:live", alias_policy(&[public_url, invoke])),
            ("lambda RemovePermission:live", done()),
            ("lambda AddPermission:live", done()),
        ],
    )
    .await;
    assert_eq!(
        stage.body("lambda AddPermission:live")["StatementId"],
        "mcplambda-function-url-invoke"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_lost_are_recognised() {
    let conflict = |message| lambda_error(409, "ResourceConflictException", message);
    update(
        &with(public()),
        [
            no_url(),
            vec![
                (
                    "lambda CreateFunctionUrlConfig:live",
                    conflict(
                        "Failed to create function url config for [functionArn = arn]. Error message:  FunctionUrlConfig exists for \
                         this Lambda function",
                    ),
                ),
                ("lambda GetFunctionUrlConfig:live", url(json!({}))),
                (
                    "lambda AddPermission:live",
                    conflict("The statement id (mcplambda-function-url) provided already exists."),
                ),
                ("lambda AddPermission:live", done()),
            ],
        ]
        .concat(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_url_that_is_not_wanted_goes_after_its_statements() {
    update(
        &wanted(),
        vec![
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({"AuthType": "NONE"})),
            ),
            (
                "lambda GetPolicy:live",
                alias_policy(&[&[theirs()][..], &ours()].concat()),
            ),
            ("lambda RemovePermission:live", done()),
            // By an earlier attempt.
            ("lambda RemovePermission:live", no_function()),
            ("lambda DeleteFunctionUrlConfig:live", done()),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn statements_that_a_url_left_behind_go_too() {
    update(
        &wanted(),
        vec![
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", alias_policy(&ours())),
            ("lambda RemovePermission:live", done()),
            ("lambda RemovePermission:live", done()),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_may_not_look_for_a_url_deploy_without_one() {
    let denied = || lambda_error(403, "AccessDeniedException", "not authorized");
    update(
        &wanted(),
        vec![
            ("lambda GetFunctionUrlConfig:live", denied()),
            ("lambda GetPolicy:live", denied()),
        ],
    )
    .await;

    let stage = stage([
        served(),
        vec![("lambda GetFunctionUrlConfig:live", denied())],
    ]);
    let failed = stage
        .converge(&with(signed()), Mode::Update)
        .await
        .expect_err("refused");
    stage.assert_played();
    assert!(
        matches!(&failed.error, DeployError::AccessDenied(refusal) if refusal.action == "GetFunctionUrlConfig"),
        "{}",
        failed.error
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_blocks_public_access_is_told_at_the_attribute() {
    let refused = lambda_error(
        400,
        "PublicPolicyException",
        "Lambda's block public access setting is on",
    );
    let stage = stage([
        served(),
        no_url(),
        vec![
            ("lambda CreateFunctionUrlConfig:live", url(json!({}))),
            ("lambda AddPermission:live", refused),
        ],
    ]);

    let failed = stage
        .converge(&with(public()), Mode::Update)
        .await
        .expect_err("refused");

    stage.assert_played();
    assert_eq!(failed.error.attribute(), Some("function_url"));
    assert_eq!(
        failed.error.to_string(),
        "lambda:AddPermission on time:live: PublicPolicyException: Lambda's block public access setting is on \
         (request id request-1)"
    );
}

/// Reads a function with this URL and these statements.
async fn found(url: Answer, statements: &[Value]) -> (Option<FoundUrl>, Vec<(DriftKind, String)>) {
    let stage = stage([
        served(),
        vec![
            ("sqs GetQueueUrl", no_queue()),
            ("lambda GetFunctionUrlConfig:live", url),
            ("lambda GetPolicy:live", alias_policy(statements)),
        ],
    ]);
    let found = read(&stage.aws, "time", "live")
        .await
        .expect("read")
        .expect("found");
    stage.assert_played();
    let drift = found
        .drift
        .into_iter()
        .map(|drift| (drift.kind, drift.detail))
        .collect();
    (found.url, drift)
}

#[tokio::test(start_paused = true)]
async fn a_url_is_read_whole() {
    let described = url(json!({
        "AuthType": "NONE",
        "InvokeMode": "RESPONSE_STREAM",
        "Cors": {"AllowOrigins": ["https://example.com"], "AllowHeaders": ["Content-Type"], "MaxAge": 60}
    }));
    let (url, drift) = found(described, &ours()).await;
    assert_eq!(
        url,
        Some(FoundUrl {
            address: ADDRESS.to_owned(),
            config: FunctionUrl {
                auth: UrlAuth::None,
                invoke_mode: InvokeMode::ResponseStream,
                cors: Some(Cors {
                    allow_headers: ["content-type".to_owned()].into(),
                    allow_origins: ["https://example.com".to_owned()].into(),
                    max_age: 60,
                    ..Cors::default()
                }),
            },
        })
    );
    assert_eq!(drift, []);
}

#[tokio::test(start_paused = true)]
async fn every_difference_of_the_statements_is_told() {
    let kind = DriftKind::UrlPermission;
    let told = |id: &str, what: &str| {
        (
            kind,
            format!("the statement `{id}` in the policy of time:live {what}"),
        )
    };
    let [mut public_url, _] = ours();
    public_url["Principal"] = json!({"AWS": "arn:aws:iam::123456789012:root"});
    let (_, drift) = found(url(json!({"AuthType": "NONE"})), &[public_url]).await;
    assert_eq!(
        drift,
        [
            told("mcplambda-function-url", "was changed"),
            told("mcplambda-function-url-invoke", "is missing")
        ]
    );

    let extra = "is there, which lets everybody call a public function URL";
    for url in [url(json!({})), no_function()] {
        let (_, drift) = found(url, &ours()).await;
        assert_eq!(
            drift,
            [
                told("mcplambda-function-url", extra),
                told("mcplambda-function-url-invoke", extra)
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kind_of_authentication_is_an_error_not_a_default() {
    let stage = stage([
        served(),
        vec![
            ("sqs GetQueueUrl", no_queue()),
            (
                "lambda GetFunctionUrlConfig:live",
                url(json!({"AuthType": "OIDC"})),
            ),
        ],
    ]);

    let error = read(&stage.aws, "time", "live").await.expect_err("unknown");

    stage.assert_played();
    assert!(
        matches!(&error, DeployError::Unknown { field: "AuthType", value, .. } if value == "OIDC"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_url_is_destroyed_before_its_function() {
    let stage = stage([vec![
        (
            "lambda GetFunction",
            get_function(function("$LATEST"), false),
        ),
        (
            "lambda GetFunctionUrlConfig:live",
            url(json!({"AuthType": "NONE"})),
        ),
        ("lambda GetPolicy:live", alias_policy(&ours())),
        ("lambda RemovePermission:live", done()),
        ("lambda RemovePermission:live", done()),
        ("lambda DeleteFunctionUrlConfig:live", done()),
        ("lambda DeleteFunction", done()),
        ("lambda GetFunctionConfiguration", no_function()),
        ("logs DescribeLogGroups", log_groups(&[])),
        ("sqs GetQueueUrl", no_queue()),
        ("iam GetRole", no_role()),
    ]]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}
