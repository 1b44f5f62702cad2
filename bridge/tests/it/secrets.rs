//! Secrets by reference: where they come from, who gets them, when they are read again, and what is told when they cannot be read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_aws::{
    Aws, Call, KEY_ID, Reply, SECRET_KEY, SESSION_TOKEN, parameter, refusal, secret,
};
use crate::sandbox::{Builder, Posted, Sandbox, misbehaving};

pub(crate) const SECRET: &str =
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/key-AbCdEf";
const OTHER: &str = "arn:aws:secretsmanager:us-east-1:210987654321:secret:db-XyZ123";
const PARAMETER: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/token";

/// An environment whose server has these secrets, and whose function has credentials.
pub(crate) fn with_secrets(aws: &Aws, secrets: Value) -> Builder {
    without_credentials(aws, secrets)
        .variable("AWS_ACCESS_KEY_ID", KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .variable("AWS_SESSION_TOKEN", SESSION_TOKEN)
}

fn without_credentials(aws: &Aws, secrets: Value) -> Builder {
    Builder::new(&misbehaving(&[]))
        .server_key("secrets", secrets)
        .variable("AWS_ENDPOINT_URL", &aws.url("127.0.0.1"))
}

/// The server's own variables.
fn environment(sandbox: &mut Sandbox) -> Value {
    serde_json::from_str(&sandbox.call_text("env", "{}")).expect("an object")
}

/// What the bridge has told anybody so far, and what anybody can see of its process, must not hold a value.
#[track_caller]
fn assert_hidden(sandbox: &Sandbox, posted: &[&str]) {
    let process = format!("/proc/{}", sandbox.bridge.id());
    let seen = [
        sandbox.log().join("\n"),
        posted.join("\n"),
        std::fs::read_to_string(format!("{process}/environ")).expect("readable"),
        std::fs::read_to_string(format!("{process}/cmdline")).expect("readable"),
    ];
    for text in seen {
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[test]
fn the_server_gets_its_secrets_and_nobody_else_does() {
    let aws = Aws::start(|_, call| match call.text() {
        text if text.contains("ssm") => parameter("hidden parameter"),
        text if text.contains(OTHER) => secret(
            r#"{"user":"hidden user","port":5432,"tls":true,"password":"hidden \"password\""}"#,
        ),
        _ => secret("hidden text\nof two lines"),
    });
    let mut sandbox = with_secrets(
        &aws,
        json!({
            "API_KEY": SECRET, "DB_USER": format!("{OTHER}:user"), "DB_PASSWORD": format!("{OTHER}:password::"),
            "DB_PORT": format!("{OTHER}:port"), "DB_TLS": format!("{OTHER}:tls"), "TOKEN": PARAMETER,
        }),
    )
    .variable("API_KEY", "the function's own, which the secret replaces")
    .variable("MINE", "kept")
    .start();
    let seen = environment(&mut sandbox);
    for (variable, value) in [
        ("API_KEY", "hidden text\nof two lines"),
        ("DB_USER", "hidden user"),
        ("DB_PASSWORD", "hidden \"password\""),
        ("DB_PORT", "5432"),
        ("DB_TLS", "true"),
        ("TOKEN", "hidden parameter"),
        ("MINE", "kept"),
    ] {
        assert_eq!(seen[variable], value, "{variable}");
    }
    assert_eq!(seen["AWS_SECRET_ACCESS_KEY"], Value::Null);
    assert_hidden(&sandbox, &[]);
    sandbox.wait_for_log("values of secrets read: 6, in ");
}

#[test]
fn each_secret_is_asked_for_once_over_one_connection_as_the_function_in_its_own_region() {
    let aws = Aws::start(|_, call| match call.text() {
        text if text.contains("ssm") => parameter("p"),
        _ => secret(r#"{"a":"1","b":"2"}"#),
    });
    let version = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";
    let mut sandbox = with_secrets(
        &aws,
        json!({
            "A": format!("{OTHER}:a"), "B": SECRET, "C": format!("{OTHER}:b"), "D": format!("{OTHER}:b:AWSPREVIOUS:{version}"), "E": PARAMETER, "F": PARAMETER,
        }),
    )
    .start();
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
    let calls = aws.calls();
    let asked: Vec<String> = calls.iter().map(Call::text).collect();
    assert_eq!(
        asked,
        [
            format!(r#"secretsmanager.GetSecretValue {{"SecretId":"{OTHER}"}}"#),
            format!(r#"secretsmanager.GetSecretValue {{"SecretId":"{SECRET}"}}"#),
            format!(
                r#"secretsmanager.GetSecretValue {{"SecretId":"{OTHER}","VersionId":"{version}","VersionStage":"AWSPREVIOUS"}}"#
            ),
            format!(r#"AmazonSSM.GetParameter {{"Name":"{PARAMETER}","WithDecryption":true}}"#),
        ]
    );
    for (call, scope) in calls.iter().zip([
        "us-east-1/secretsmanager",
        "eu-west-1/secretsmanager",
        "us-east-1/secretsmanager",
        "eu-west-1/ssm",
    ]) {
        assert_eq!(call.connection, 1);
        assert_eq!(call.header("content-type"), "application/x-amz-json-1.1");
        assert_eq!(
            call.header("host"),
            aws.url("127.0.0.1").trim_start_matches("http://")
        );
        assert_eq!(call.header("x-amz-security-token"), SESSION_TOKEN);
        let authorization = call.header("authorization");
        assert!(authorization.contains(scope), "{authorization}");
        assert!(
            authorization.contains(
                "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
            ),
            "{authorization}"
        );
    }
}

#[test]
fn without_secrets_nothing_is_asked_for() {
    let aws = Aws::start(|_, _| secret("s"));
    let mut sandbox = with_secrets(&aws, json!({}))
        .server_key("secrets_ttl", json!(1))
        .start();
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
    assert!(aws.calls().is_empty());
}

#[test]
fn with_snapstart_the_credentials_are_asked_for_where_lambda_says() {
    let aws = Aws::start(|_, call| {
        if call.method == "POST" {
            return secret("s");
        }
        assert_eq!(call.path, "/2021-04-23/credentials");
        assert_eq!(call.header("authorization"), "container token");
        let body = json!({"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN, "Expiration": "2030-01-01T00:00:00Z"});
        Reply::Answer {
            status: 200,
            body: body.to_string(),
        }
    });
    let file = std::env::temp_dir().join(format!("mcplambda-token-{}", std::process::id()));
    std::fs::write(&file, "container token\n").expect("written");
    for (variable, value) in [
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container token"),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.to_str().expect("UTF-8"),
        ),
    ] {
        let uri = format!("{}/2021-04-23/credentials", aws.url("localhost"));
        let mut sandbox = without_credentials(&aws, json!({"KEY": SECRET}))
            .variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)
            .variable(variable, value)
            .start();
        assert_eq!(environment(&mut sandbox)["KEY"], "s", "{variable}");
        let token = aws
            .calls()
            .last()
            .map(|call| call.header("x-amz-security-token").to_owned());
        assert_eq!(token.as_deref(), Some(SESSION_TOKEN));
    }
    std::fs::remove_file(&file).expect("removed");
}

#[test]
fn a_function_without_credentials_is_told_what_is_missing() {
    let aws = Aws::start(|_, call| match call.method.as_str() {
        "GET" => refusal(403, "AccessDenied", "no"),
        _ => secret("s"),
    });
    let start = |uri: Option<String>| {
        let builder = without_credentials(&aws, json!({"KEY": SECRET}));
        match uri {
            Some(uri) => builder.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            None => builder,
        }
        .start()
    };
    let unreadable = format!(
        "Server.SecretFailed: cannot start the MCP server: the secret for `KEY` ({SECRET}) cannot be read: "
    );
    let url = aws.url("127.0.0.1");
    for (uri, reason) in [
        (
            None,
            "the function has no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set".to_owned(),
        ),
        (
            Some(url.clone()),
            format!("no credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI (`{url}`): HTTP status 403"),
        ),
        (
            Some("http://credentials.example/x".to_owned()),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is `http://credentials.example/x`: without https, only this machine is asked for credentials".to_owned(),
        ),
    ] {
        assert_eq!(
            start(uri).call("ok", "{}").function_error(),
            format!("{unreadable}{reason}")
        );
    }
    assert!(aws.calls().iter().all(|call| call.method == "GET"));
}

#[test]
fn secrets_that_aws_refuses_are_told_to_every_caller_until_it_gives_them() {
    let allowed = Arc::new(Mutex::new(false));
    let is_allowed = Arc::clone(&allowed);
    let aws = Aws::start(move |_, call| match call.text() {
        _ if *is_allowed.lock().expect("not poisoned") => match call.text().contains("ssm") {
            true => parameter("p"),
            false => secret(r#"{"a":"1","b":"2"}"#),
        },
        text if text.contains(SECRET) => refusal(
            400,
            "AccessDeniedException",
            "User: u is not authorized to perform: secretsmanager:GetSecretValue",
        ),
        _ => refusal(400, "ParameterNotFound", ""),
    });
    let mut sandbox = with_secrets(
        &aws,
        json!({"A": format!("{SECRET}:a"), "B": format!("{SECRET}:b"), "TOKEN": PARAMETER}),
    )
    .start();
    let sentence = format!(
        "cannot start the MCP server: the secret for `A` and `B` ({SECRET}) cannot be read: AccessDeniedException: User: u is not authorized to perform: secretsmanager:GetSecretValue; the secret for `TOKEN` ({PARAMETER}) cannot be read: ParameterNotFound"
    );
    assert_eq!(
        sandbox.wait_for_log("cannot start"),
        format!("INIT mcplambda: {sentence}")
    );
    for _ in 0..2 {
        assert_eq!(
            sandbox.call("ok", "{}").function_error(),
            format!("Server.SecretFailed: {sentence}")
        );
    }
    let request = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": &sentence}});
    let answer = sandbox.send(request, None).response();
    assert_eq!(serde_json::from_str::<Value>(&answer).expect("JSON"), error);
    // Two requests for each attempt: at init, and at each of three events.
    assert_eq!(aws.calls().len(), 8);

    *allowed.lock().expect("not poisoned") = true;
    assert_eq!(environment(&mut sandbox)["TOKEN"], "p");
}

#[test]
fn what_a_secret_lacks_is_told_without_its_value() {
    let lacking = [
        (
            ":key",
            secret("hidden"),
            "it is no JSON object, so it has no key `key`",
        ),
        (
            ":key",
            secret(r#"{"kéy":"hidden"}"#),
            "its JSON has no key `key`",
        ),
        (
            ":key",
            secret(r#"{"key":["hidden"]}"#),
            "its JSON key `key` is neither a string nor a number nor a boolean",
        ),
        (
            "",
            secret("hidden\0"),
            "its value holds a NUL byte, which no environment variable can",
        ),
        (
            "",
            Reply::Answer {
                status: 200,
                body: r#"{"SecretBinary":"hidden"}"#.to_owned(),
            },
            "it is a binary secret, and an environment variable holds text; store it as a string",
        ),
        (
            "",
            Reply::Answer {
                status: 200,
                body: "hidden".to_owned(),
            },
            "the answer holds no value",
        ),
    ];
    for (behind, reply, reason) in lacking {
        let aws = Aws::start(move |_, _| reply.clone());
        let mut sandbox = with_secrets(&aws, json!({"KEY": format!("{SECRET}{behind}")})).start();
        let error = sandbox.call("ok", "{}").function_error();
        assert_eq!(
            error,
            format!(
                "Server.SecretFailed: cannot start the MCP server: the secret for `KEY` ({SECRET}) cannot be read: {reason}"
            )
        );
        assert_hidden(&sandbox, &[&error]);
    }
}

#[test]
fn throttles_faults_and_broken_connections_are_sat_out() {
    let aws = Aws::start(|number, _| match number {
        1 => refusal(400, "ThrottlingException", "Rate exceeded"),
        2 => refusal(500, "InternalServiceError", ""),
        3 => Reply::HangUp,
        4 => Reply::Answer {
            status: 503,
            body: "<html>".to_owned(),
        },
        _ => secret("s"),
    });
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET})).start();
    assert_eq!(environment(&mut sandbox)["KEY"], "s");
    assert!(aws.calls().len() >= 5);
}

#[test]
fn an_endpoint_that_says_nothing_is_told_of_before_the_functions_time_is_over() {
    let aws = Aws::start(|_, _| Reply::Silence);
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET})).start();
    sandbox.wait_for_log("cannot be read");
    let posted = sandbox.send_within(b"{}", Some(&crate::sandbox::client_context("ok")), 1_500);
    let host = aws.url("127.0.0.1");
    assert_eq!(
        posted.function_error(),
        format!(
            "Server.SecretFailed: cannot start the MCP server: the secret for `KEY` ({SECRET}) cannot be read: {}: timed out",
            host.trim_start_matches("http://")
        )
    );
}

#[test]
fn a_changed_secret_is_read_after_its_time_and_the_server_restarted_between_calls() {
    let aws = Aws::start(|number, _| secret(&format!("value {number}")));
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET}))
        .server_key("secrets_ttl", json!(1))
        .start();
    assert_eq!(environment(&mut sandbox)["KEY"], "value 1");
    let first = sandbox.call_text("pid", "{}");
    // Every call is answered, by one server or the next.
    let until = Instant::now() + crate::sandbox::PATIENCE;
    while sandbox.call_text("pid", "{}") == first {
        assert!(Instant::now() < until, "{:#?}", sandbox.log());
    }
    sandbox.wait_for_log("a secret has changed; starting the MCP server again");
    let number = aws.calls().len();
    assert!(number >= 2);
    let seen = environment(&mut sandbox)["KEY"].clone();
    let now = aws.calls().len();
    let possible: Vec<String> = (number..=now)
        .map(|number| format!("value {number}"))
        .collect();
    assert!(
        possible.iter().any(|value| seen == value.as_str()),
        "{seen} is none of {possible:?}"
    );
}

#[test]
fn a_secret_that_is_the_same_after_its_time_leaves_the_server_alone() {
    let aws = Aws::start(|_, _| secret("s"));
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET}))
        .server_key("secrets_ttl", json!(1))
        .start();
    let first = sandbox.call_text("pid", "{}");
    let until = Instant::now() + crate::sandbox::PATIENCE;
    while aws.calls().len() < 3 {
        assert_eq!(sandbox.call_text("pid", "{}"), first);
        assert!(Instant::now() < until, "{:#?}", sandbox.log());
    }
}

#[test]
fn a_server_goes_on_with_the_secrets_it_has_while_they_cannot_be_read_again() {
    let aws = Aws::start(|number, _| match number {
        1 => secret("s"),
        _ => refusal(400, "AccessDeniedException", "no longer"),
    });
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET}))
        .server_key("secrets_ttl", json!(1))
        .start();
    let first = sandbox.call_text("pid", "{}");
    let until = Instant::now() + crate::sandbox::PATIENCE;
    while aws.calls().len() < 2 {
        assert_eq!(sandbox.call_text("pid", "{}"), first);
        assert!(Instant::now() < until, "{:#?}", sandbox.log());
    }
    let failed = Instant::now();
    let line = sandbox.wait_for_log("keeps the secrets");
    assert!(
        line.ends_with(&format!("the MCP server keeps the secrets that it has: the secret for `KEY` ({SECRET}) cannot be read: AccessDeniedException: no longer")),
        "{line}"
    );
    // For five seconds nobody has to wait for another attempt; then there is one.
    while aws.calls().len() < 3 {
        assert_eq!(sandbox.call_text("pid", "{}"), first);
        assert!(Instant::now() < until, "{:#?}", sandbox.log());
    }
    assert!(
        failed.elapsed() > Duration::from_secs(4),
        "{:?}",
        failed.elapsed()
    );
    assert_eq!(environment(&mut sandbox)["KEY"], "s");
}

#[test]
fn new_processes_get_the_secrets_without_another_reading() {
    let aws = Aws::start(|_, _| secret("s"));
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET}))
        .server_key("process_scope", json!("invocation"))
        .start();
    let mut processes = BTreeSet::new();
    for _ in 0..3 {
        processes.insert(sandbox.call_text("pid", "{}"));
        assert_eq!(environment(&mut sandbox)["KEY"], "s");
    }
    assert_eq!((processes.len(), aws.calls().len()), (3, 1));

    let aws = Aws::start(|_, _| secret("s"));
    let mut sandbox = with_secrets(&aws, json!({"KEY": SECRET})).start();
    sandbox.call("exit", "{}").function_error();
    assert_eq!(environment(&mut sandbox)["KEY"], "s");
    assert_eq!(aws.calls().len(), 1);
}

#[test]
fn a_reference_that_is_none_tells_lambda_at_init() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .server_key("secrets", json!({"API_KEY": "prod/key"}))
        .start();
    match sandbox.next_posted().1 {
        Posted::InitError { error_type, body } => {
            assert_eq!(error_type, "Runtime.InvalidServer");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let message = body["errorMessage"].as_str().expect("a message");
            assert!(
                message.starts_with("MCPLAMBDA_SERVER: `secrets.API_KEY`: `prod/key` is no reference to a secret: it is no ARN; it must be arn:aws:secretsmanager:"),
                "{message}"
            );
        }
        other => panic!("expected an init error, got {other:?}"),
    }
}
