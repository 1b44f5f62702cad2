//! The provider block through the real binary: what is accepted, and what each mistake is told, at which attribute.

use std::time::{Duration, Instant};

use mcplambda::plugin::tfplugin6::attribute_path::step::Selector;
use mcplambda::plugin::tfplugin6::{
    ClientCapabilities, Diagnostic, configure_provider, validate_provider_config,
};
use serde_json::{Value, json};

use crate::fake_sts::{self, FakeSts};
use crate::tfclient::value::unknown;
use crate::tfclient::{Plugin, Start};

const ACCOUNT: &str = "210987654321";

/// Path, summary and detail of a message.
type Message = (String, String, String);

fn messages(diagnostics: Vec<Diagnostic>) -> Vec<Message> {
    diagnostics
        .into_iter()
        .map(|diagnostic| {
            let steps = diagnostic
                .attribute
                .map(|path| path.steps)
                .unwrap_or_default();
            let path: String = steps
                .into_iter()
                .map(
                    |step| match step.selector.expect("a step selects something") {
                        Selector::AttributeName(name) => format!(".{name}"),
                        Selector::ElementKeyString(key) => format!("[{key:?}]"),
                        Selector::ElementKeyInt(index) => format!("[{index}]"),
                    },
                )
                .collect();
            (
                path.trim_start_matches('.').to_owned(),
                diagnostic.summary,
                diagnostic.detail,
            )
        })
        .collect()
}

async fn validate(plugin: &Plugin, config: &Value) -> Vec<Message> {
    let config = plugin.schemas().await.provider(config);
    let request = validate_provider_config::Request {
        config: Some(config),
    };
    messages(
        plugin
            .provider()
            .validate_provider_config(request)
            .await
            .expect("an answer")
            .into_inner()
            .diagnostics,
    )
}

async fn configure(plugin: &Plugin, config: &Value) -> Vec<Message> {
    let request = configure_provider::Request {
        terraform_version: "1.11.4".to_owned(),
        config: Some(plugin.schemas().await.provider(config)),
        client_capabilities: Some(ClientCapabilities::default()),
    };
    messages(
        plugin
            .provider()
            .configure_provider(request)
            .await
            .expect("an answer")
            .into_inner()
            .diagnostics,
    )
}

/// A process with nothing of AWS in its environment, so that the machine does not matter.
fn bare() -> Start {
    let nowhere = tempfile::tempdir()
        .expect("a temporary directory")
        .path()
        .join("gone");
    Start::default()
        .env("HOME", nowhere)
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

/// A process whose environment signs in at `sts`.
fn signed_in(sts: &FakeSts) -> Start {
    bare()
        .env("AWS_ACCESS_KEY_ID", "AKIDENV")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-north-1")
        .env("AWS_ENDPOINT_URL_STS", &sts.url)
}

#[tokio::test]
async fn each_mistake_is_told_at_its_attribute() {
    let plugin = bare().start().await;
    let role = "arn:aws:iam::123456789012:role/deploy";
    let cases = [
        (
            json!({"region": "us-esat-1"}),
            "region",
            "Invalid AWS region",
            "\"us-esat-1\" is not a valid region name; did you mean \"us-east-1\"?",
        ),
        (
            json!({"max_retries": -1}),
            "max_retries",
            "Invalid attribute value",
            "max_retries must be between 0 and 4294967294, got -1.",
        ),
        (
            json!({"allowed_account_ids": ["12345"]}),
            "allowed_account_ids",
            "Invalid account id",
            "\"12345\" is not an AWS account id: it has 12 digits (keep the quotes, or leading zeros are lost).",
        ),
        (
            json!({"access_key": "AKID"}),
            "access_key",
            "Incomplete AWS credentials",
            "access_key is given without secret_key. Give both, or neither and let a profile or the environment serve.",
        ),
        (
            json!({"secret_key": "s"}),
            "secret_key",
            "Incomplete AWS credentials",
            "secret_key is given without access_key. Give both, or neither and let a profile or the environment serve.",
        ),
        (
            json!({"token": "t"}),
            "token",
            "Incomplete AWS credentials",
            "token is given without access_key. Give both, or neither and let a profile or the environment serve.",
        ),
        (
            json!({"assume_role": [{"role_arn": role}, {"role_arn": "deploy"}]}),
            "assume_role[1].role_arn",
            "Invalid role ARN",
            "\"deploy\" is not the ARN of an IAM role: expected arn:aws:iam::123456789012:role/NAME.",
        ),
        (
            json!({"assume_role": [{"role_arn": role, "duration": "13h"}]}),
            "assume_role[0].duration",
            "Invalid session duration",
            "\"13h\" is out of range: a role session lasts 15m to 12h.",
        ),
        (
            json!({"assume_role": [{"role_arn": role, "session_name": "no spaces"}]}),
            "assume_role[0].session_name",
            "Invalid session name",
            "\"no spaces\" is not allowed here: use 2 to 64 letters, digits and any of _+=,.@-.",
        ),
        (
            json!({"assume_role": [{"role_arn": role, "policy": "[]"}]}),
            "assume_role[0].policy",
            "Invalid policy",
            "the policy is not a JSON object: invalid type: sequence, expected a map at line 1 column 0.",
        ),
        (
            json!({"assume_role": [{"role_arn": role, "policy_arns": [role]}]}),
            "assume_role[0].policy_arns",
            "Invalid policy ARN",
            "\"arn:aws:iam::123456789012:role/deploy\" is not the ARN of an IAM policy: expected \
             arn:aws:iam::123456789012:policy/NAME.",
        ),
        (
            json!({"artifact_bucket": "s3://artifacts"}),
            "artifact_bucket",
            "Invalid bucket name",
            "\"s3://artifacts\" is not the name of an S3 bucket: that has 3 to 63 lower-case letters, digits, dots and hyphens, such as \
             \"my-artifacts\".",
        ),
        (
            json!({"endpoints": {"lambda": "localhost:4566"}}),
            "endpoints.lambda",
            "Invalid endpoint",
            "\"localhost:4566\" is not an endpoint: expected a URL like \"https://lambda.us-east-1.amazonaws.com\".",
        ),
        (
            json!({"default_tags": {"tags": {"mcplambda:function": "x"}}}),
            "default_tags.tags[\"mcplambda:function\"]",
            "Invalid tag key",
            "tag key \"mcplambda:function\" begins with \"mcplambda:\", which is reserved.",
        ),
    ];
    for (config, path, summary, detail) in cases {
        assert_eq!(
            validate(&plugin, &config).await,
            [(path.to_owned(), summary.to_owned(), detail.to_owned())],
            "{config}"
        );
    }
}

#[tokio::test]
async fn both_account_lists_conflict() {
    let plugin = bare().start().await;
    let config =
        json!({"allowed_account_ids": [ACCOUNT], "forbidden_account_ids": ["111111111111"]});
    let paths: Vec<_> = validate(&plugin, &config)
        .await
        .into_iter()
        .map(|(path, summary, _)| (path, summary))
        .collect();
    assert_eq!(
        paths,
        [
            (
                "allowed_account_ids".to_owned(),
                "Conflicting attributes".to_owned()
            ),
            (
                "forbidden_account_ids".to_owned(),
                "Conflicting attributes".to_owned()
            ),
        ]
    );
}

#[tokio::test]
async fn a_full_block_is_accepted_and_empty_strings_count_as_not_given() {
    let plugin = bare().start().await;
    let full = json!({
        "region": "eu-central-1", "profile": "work", "access_key": "AKID", "secret_key": "s", "token": "t",
        "shared_config_files": ["~/a"], "shared_credentials_files": ["~/b"], "max_retries": 0,
        "allowed_account_ids": [ACCOUNT], "skip_credentials_validation": true, "artifact_bucket": "my-artifacts", "cache_dir": "/tmp/c", "uv_path": "/usr/bin/uv", "npm_path": "/usr/bin/npm",
        "assume_role": [{
            "role_arn": "arn:aws:iam::123456789012:role/deploy", "session_name": "deploy", "external_id": "x1",
            "duration": "1h30m", "policy": "{}", "policy_arns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            "tags": {"team": "tools"}, "source_identity": "someone",
        }],
        "default_tags": {"tags": {"team": "tools"}},
        "endpoints": {
            "lambda": "http://127.0.0.1:1", "iam": "https://iam.example.com", "sts": "http://[::1]:1/", "logs": "http://l",
            "sqs": "http://q", "s3": "http://s", "ecr": "http://e", "cloudwatch": "http://c", "bedrock_agentcore": "http://b",
        },
    });
    assert_eq!(validate(&plugin, &full).await, []);
    let empty = json!({
        "region": "", "profile": "", "access_key": "", "secret_key": "", "token": "", "artifact_bucket": "", "cache_dir": "", "uv_path": "", "npm_path": "",
        "endpoints": {"sts": ""},
    });
    assert_eq!(validate(&plugin, &empty).await, []);
}

#[tokio::test]
async fn the_environment_alone_is_enough_and_names_us_to_aws() {
    let sts = FakeSts::of_account(ACCOUNT);
    let plugin = signed_in(&sts)
        .env("TF_APPEND_USER_AGENT", "pipeline/7")
        .start()
        .await;
    assert_eq!(configure(&plugin, &json!({})).await, []);
    let requests = sts.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].access_key(), Some("AKIDENV"));
    let user_agent = requests[0].header("user-agent").expect("a user agent");
    let ours = concat!("mcplambda/", env!("CARGO_PKG_VERSION"), " pipeline/7");
    assert!(user_agent.ends_with(ours), "{user_agent}");
}

#[tokio::test]
async fn a_profile_in_the_block_wins_over_keys_in_the_environment() {
    let sts = FakeSts::of_account(ACCOUNT);
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(home.path().join(".aws")).expect("made");
    std::fs::write(
        home.path().join(".aws/credentials"),
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n",
    )
    .expect("written");
    let plugin = signed_in(&sts).env("HOME", home.path()).start().await;
    assert_eq!(configure(&plugin, &json!({"profile": "work"})).await, []);
    assert_eq!(sts.requests()[0].access_key(), Some("AKIDWORK"));
}

#[tokio::test]
async fn unknown_values_put_signing_in_off() {
    let plugin = bare().start().await;
    for config in [
        json!({"region": unknown()}),
        json!({"assume_role": [{"role_arn": unknown()}]}),
        json!({"default_tags": {"tags": unknown()}}),
        json!({"endpoints": {"sts": unknown()}}),
    ] {
        assert_eq!(validate(&plugin, &config).await, [], "{config}");
        assert_eq!(configure(&plugin, &config).await, [], "{config}");
    }
}

#[tokio::test]
async fn without_a_region_the_ways_to_give_one_are_named() {
    let plugin = bare().start().await;
    assert_eq!(
        configure(&plugin, &json!({})).await,
        [(
            "region".to_owned(),
            "No AWS region".to_owned(),
            "No AWS region is configured: set region in the provider block, AWS_REGION in the environment, or region in \
             the profile"
                .to_owned()
        )]
    );
}

#[tokio::test]
async fn a_mistyped_region_in_the_environment_is_refused_too() {
    let plugin = bare().env("AWS_REGION", "us-esat-1").start().await;
    let messages = configure(&plugin, &json!({})).await;
    assert_eq!(messages[0].0, "region");
    assert_eq!(
        messages[0].2,
        "\"us-esat-1\" is not a valid region name; did you mean \"us-east-1\"?"
    );
}

#[tokio::test]
async fn without_credentials_every_place_that_was_tried_is_named() {
    let plugin = bare().start().await;
    assert_eq!(
        configure(&plugin, &json!({"region": "eu-north-1"})).await,
        [(
            String::new(),
            "No AWS credentials".to_owned(),
            "No AWS credentials were found. Tried, in this order:\n  \
             - environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY): environment variable not set\n  \
             - profile (shared configuration and credentials files): not configured\n  \
             - web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN): $AWS_WEB_IDENTITY_TOKEN_FILE was not set\n  \
             - container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI): ECS provider not \
             configured\n  \
             - EC2 instance metadata: IMDS disabled by AWS_EC2_METADATA_DISABLED env var set to \
             `true`\n\n\
             Sign in (for example with \"aws sso login\"), export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a \
             profile."
                .to_owned()
        )]
    );
}

#[tokio::test]
async fn instance_metadata_that_never_answers_costs_seconds_only() {
    // Accepts connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let plugin = bare()
        .env_remove("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .start()
        .await;
    let started = Instant::now();
    let messages = configure(&plugin, &json!({"region": "eu-north-1"})).await;
    assert_eq!(messages[0].1, "No AWS credentials");
    assert!(
        messages[0].2.contains("EC2 instance metadata: "),
        "{messages:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn an_account_that_is_not_allowed_ends_the_run_at_the_list() {
    let sts = FakeSts::of_account(ACCOUNT);
    let plugin = signed_in(&sts).start().await;
    let messages = configure(&plugin, &json!({"allowed_account_ids": ["111111111111"]})).await;
    assert_eq!(
        (messages.len(), messages[0].0.as_str()),
        (1, "allowed_account_ids"),
        "{messages:?}"
    );
    assert!(
        messages[0].2.contains(ACCOUNT) && messages[0].2.contains("111111111111"),
        "{messages:?}"
    );
    let messages = configure(&plugin, &json!({"forbidden_account_ids": [ACCOUNT]})).await;
    assert_eq!(
        (messages.len(), messages[0].0.as_str()),
        (1, "forbidden_account_ids"),
        "{messages:?}"
    );
    assert_eq!(
        configure(&plugin, &json!({"allowed_account_ids": [ACCOUNT]})).await,
        []
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_told_at_its_block() {
    let sts = FakeSts::start(|_| (403, fake_sts::error("AccessDenied", "not you")));
    let plugin = signed_in(&sts).start().await;
    let config = json!({"assume_role": [{"role_arn": "arn:aws:iam::123456789012:role/deploy"}]});
    let messages = configure(&plugin, &config).await;
    assert_eq!(
        (messages.len(), messages[0].0.as_str()),
        (1, "assume_role[0].role_arn"),
        "{messages:?}"
    );
    assert!(
        messages[0].2.contains("AccessDenied: not you"),
        "{messages:?}"
    );
}

#[tokio::test]
async fn a_certificate_bundle_that_is_none_is_named() {
    let sts = FakeSts::of_account(ACCOUNT);
    let plugin = signed_in(&sts)
        .env("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")
        .start()
        .await;
    let messages = configure(&plugin, &json!({})).await;
    assert_eq!(
        messages,
        [(
            String::new(),
            "Certificate bundle cannot be used".to_owned(),
            "AWS_CA_BUNDLE names /nonexistent/bundle.pem, which cannot be used: No such file or directory (os error 2)"
                .to_owned()
        )]
    );
}

#[tokio::test]
async fn a_loopback_endpoint_is_reached_past_a_proxy() {
    let sts = FakeSts::of_account(ACCOUNT);
    let plugin = signed_in(&sts)
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .start()
        .await;
    assert_eq!(configure(&plugin, &json!({})).await, []);
}
