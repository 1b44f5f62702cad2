//! Start, init errors, what the server is started with, and how long one process lives.

use serde_json::{Value, json};

use crate::sandbox::{
    Builder, Http, Posted, Sandbox, bridge_command, is_alive, misbehaving, modern, wait_until_gone,
};

#[test]
fn the_version_can_be_asked_for_outside_lambda() {
    let output = bridge_command()
        .arg("--version")
        .output()
        .expect("the bridge starts");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).expect("UTF-8"),
        format!("mcplambda-bridge {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn started_by_hand_it_says_what_it_is() {
    let output = bridge_command()
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .output()
        .expect("the bridge starts");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).expect("UTF-8"),
        "INIT mcplambda: AWS_LAMBDA_RUNTIME_API is not set: this program is started by AWS Lambda, as the function's exec wrapper or bootstrap\n"
    );
}

#[test]
fn a_function_without_a_server_tells_lambda_at_init() {
    let mut sandbox = Builder::bare().start();
    let expected = "the environment variable MCPLAMBDA_SERVER is not set; it must be JSON such as {\"argv\":[\"python3.13\",\"-m\",\"mcp_server_time\"]}";
    assert_eq!(init_error(&mut sandbox), expected);
    assert_eq!(sandbox.bridge.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_server_description_with_a_typo_tells_lambda_at_init() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .server_key("proces_scope", json!("invocation"))
        .start();
    let message = init_error(&mut sandbox);
    assert!(
        message.starts_with(
            "MCPLAMBDA_SERVER is not a valid server description: unknown field `proces_scope`"
        ),
        "{message}"
    );
}

#[track_caller]
fn init_error(sandbox: &mut Sandbox) -> String {
    match sandbox.next_posted().1 {
        Posted::InitError { error_type, body } => {
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(
                (error_type.as_str(), &body["errorType"]),
                ("Runtime.InvalidServer", &json!("Runtime.InvalidServer"))
            );
            body["errorMessage"].as_str().expect("a message").to_owned()
        }
        other => panic!("expected an init error, got {other:?}"),
    }
}

#[test]
fn fifty_calls_in_a_row_are_answered_by_one_process() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let first = sandbox.call_text("pid", "{}");
    for _ in 1..50 {
        assert_eq!(sandbox.call_text("pid", "{}"), first);
    }
}

#[test]
fn the_log_says_which_server_started_and_how_long_it_took() {
    let sandbox = Sandbox::start(&misbehaving(&[]));
    let line = sandbox.wait_for_log("ready after");
    assert!(
        line.starts_with("INIT mcplambda: MCP server evil 1 ready after "),
        "{line}"
    );
    assert!(
        line.contains(" ms (protocol 2025-11-25, handshake era, pid "),
        "{line}"
    );
}

#[test]
fn json_logs_carry_level_time_request_and_the_facts_of_the_start() {
    let mut sandbox = Builder::new(&modern(&[]))
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start();
    let start: Value =
        serde_json::from_str(&sandbox.wait_for_log("ready after")).expect("a JSON line");
    let facts = [
        "level",
        "source",
        "serverName",
        "serverVersion",
        "protocolVersion",
        "era",
    ]
    .map(|key| start[key].clone());
    assert_eq!(
        facts.as_slice(),
        json!(["INFO", "bridge", "modern", "2", "2026-07-28", "stateless"])
            .as_array()
            .expect("an array")
    );
    assert!(
        start["startMs"].is_u64() && start["pid"].is_u64() && start["requestId"].is_null(),
        "{start}"
    );
    assert!(
        start["timestamp"]
            .as_str()
            .is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
        "{start}"
    );
    sandbox.call("nothing", "[]").function_error();
    let refused: Value =
        serde_json::from_str(&sandbox.wait_for_log("must be a JSON object")).expect("a JSON line");
    assert_eq!(
        (&refused["level"], &refused["requestId"]),
        (&json!("WARN"), &json!("request-1"))
    );
}

#[test]
fn the_server_sees_its_own_variables_and_neither_lambdas_nor_credentials() {
    let variables = [
        ("MY_KEY", "mine"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("_HANDLER", "x.y"),
    ];
    let start = |credentials: bool| {
        let builder =
            Builder::new(&misbehaving(&[])).server_key("aws_credentials", json!(credentials));
        variables
            .iter()
            .fold(builder, |builder, (name, value)| {
                builder.variable(name, value)
            })
            .start()
    };
    let mut expected = vec![
        "AWS_REGION",
        "HOME",
        "MY_KEY",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "npm_config_cache",
    ];
    let seen = |sandbox: &mut Sandbox| {
        let names: Vec<String> =
            serde_json::from_str(&sandbox.call_text("getenv", "{}")).expect("a list");
        // Python adds LC_CTYPE to its own environment where no locale is set.
        names
            .into_iter()
            .filter(|name| name != "LC_CTYPE")
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(&mut start(false)), expected);
    expected.insert(0, "AWS_ACCESS_KEY_ID");
    assert_eq!(seen(&mut start(true)), expected);
}

#[test]
fn packages_of_the_function_come_first_on_pythons_path() {
    let root = std::env::temp_dir().join(format!("mcplambda-packages-{}", std::process::id()));
    std::fs::create_dir_all(root.join("site-packages/data")).expect("a directory");
    let root_text = root.to_str().expect("UTF-8");
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .variable("LAMBDA_TASK_ROOT", root_text)
        .variable("PYTHONPATH", "/mine")
        .server_key("cwd", json!("site-packages/data"))
        .start();
    let environment: Value =
        serde_json::from_str(&sandbox.call_text("env", "{}")).expect("an object");
    let path = environment["PYTHONPATH"]
        .as_str()
        .expect("set")
        .replace(":/opt/python:", ":");
    assert_eq!(path, format!("{root_text}/site-packages:/mine"));
    let directory = root
        .canonicalize()
        .expect("exists")
        .join("site-packages/data");
    assert_eq!(
        sandbox.call_text("cwd", "{}"),
        directory.display().to_string()
    );
    std::fs::remove_dir_all(&root).expect("removed");
}

#[test]
fn a_missing_working_directory_is_named() {
    let mut sandbox = Builder::new(&["no-such-program".to_owned()])
        .server_key("cwd", json!("/nowhere/at/all"))
        .start();
    assert_eq!(
        sandbox.call("ok", "{}").function_error(),
        "Server.StartFailed: cannot start the MCP server: `no-such-program`: its working directory /nowhere/at/all does not exist"
    );
}

#[test]
fn a_process_per_invocation_serves_one_event_and_leaves_nothing_behind() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .server_key("process_scope", json!("invocation"))
        .start();
    let grandchild = sandbox.call_text("child", "{}");
    let first = sandbox.call_text("pid", "{}");
    let second = sandbox.call_text("pid", "{}");
    assert_ne!(first, second);
    // The third event begins when the second one's process has been ended.
    sandbox.call_text("ok", "{}");
    assert!(!is_alive(&first) && !is_alive(&second));
    wait_until_gone(grandchild.strip_prefix("child ").expect("a process id"));
}

#[test]
fn a_process_that_no_call_has_used_is_still_fresh() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .server_key("process_scope", json!("invocation"))
        .start();
    let started = sandbox.wait_for_log("ready after");
    let handshake = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    sandbox.send(handshake, None).response();
    let pid = sandbox.call_text("pid", "{}");
    assert!(
        started.ends_with(&format!("pid {pid})")),
        "{started}, but {pid} answered"
    );
}

#[test]
fn a_server_that_ignores_the_end_of_its_input_is_ended_all_the_same() {
    let mut sandbox = Builder::new(&misbehaving(&["ignore-eof"]))
        .server_key("process_scope", json!("invocation"))
        .start();
    let first = sandbox.call_text("pid", "{}");
    assert_ne!(sandbox.call_text("pid", "{}"), first);
    wait_until_gone(&first);
}

#[test]
fn the_death_of_the_bridge_ends_the_server() {
    let mut sandbox = Sandbox::start(&misbehaving(&["ignore-eof"]));
    let server = sandbox.call_text("pid", "{}");
    sandbox.bridge.kill().expect("the bridge runs");
    wait_until_gone(&server);
}

#[test]
fn events_in_chunks_and_connections_that_close_are_served() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .http(Http {
            chunked: true,
            closing: true,
            ..Http::default()
        })
        .start();
    for number in 0..5 {
        let arguments = format!(r#"{{"number":{number},"padding":"{}"}}"#, "x".repeat(100));
        assert_eq!(
            sandbox.call_text("args", &arguments),
            format!(
                r#"{{"arguments": {{"number": {number}, "padding": "{}"}}, "name": "args"}}"#,
                "x".repeat(100)
            )
        );
    }
}
