//! Discovery against recorded Lambda exchanges: exact requests, canned answers, no network.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcplambda::agentcore::discover::{DiscoverError, DiscoverErrorKind, Discovery, discover};
use mcplambda::agentcore::gateway_config_json;
use mcplambda::agentcore::tool_schema::Tool;
use serde_json::{Value, json};

const COLD: &str = "START RequestId: r Version: 3\nstarting up\nEND RequestId: r\nREPORT RequestId: r\tDuration: 12.50 ms\t\
                    Billed Duration: 513 ms\tMemory Size: 1024 MB\tMax Memory Used: 93 MB\tInit Duration: 500.00 ms\t\n";
const WARM: &str = "REPORT RequestId: r\tDuration: 3.00 ms\tBilled Duration: 3 ms\tMemory Size: 1024 MB\tMax Memory Used: 95 MB\t\n";
const FUNCTION: &str = "/2015-03-31/functions/mcp-server-time/invocations?Qualifier=3";

/// Lambda's answer to one Invoke.
fn answer(function_error: Option<&str>, log: &str, payload: &str) -> ReplayEvent {
    let mut response = http::Response::builder()
        .status(200)
        .header("X-Amz-Log-Result", STANDARD.encode(log));
    if let Some(error) = function_error {
        response = response.header("X-Amz-Function-Error", error);
    }
    // The request that is expected is compared by the tests themselves.
    let request = http::Request::builder()
        .uri("https://unused")
        .body(SdkBody::empty());
    ReplayEvent::new(
        request.expect("a valid request"),
        response
            .body(SdkBody::from(payload))
            .expect("a valid response"),
    )
}

fn result(id: u64, result: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

fn greeting() -> ReplayEvent {
    let server = json!({ "name": "mcp-time", "version": "2.3.0" });
    let greeting = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": server });
    answer(None, COLD, &result(1, greeting))
}

fn page(id: u64, tools: Value, next_cursor: Option<&str>) -> ReplayEvent {
    let mut page = json!({ "tools": tools });
    if let Some(cursor) = next_cursor {
        page["nextCursor"] = json!(cursor);
    }
    answer(None, WARM, &result(id, page))
}

/// Runs discovery against `answers`; the second value is what was asked: address and event of each Invoke.
async fn run(
    answers: Vec<ReplayEvent>,
) -> (Result<Discovery, DiscoverError>, Vec<(String, Value)>) {
    let replay = StaticReplayClient::new(answers);
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .retry_config(RetryConfig::disabled())
        .http_client(replay.clone())
        .build();
    let found = discover(&Client::from_conf(config), "mcp-server-time", "3").await;
    let mut asked = Vec::new();
    for request in replay.actual_requests() {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers().get("x-amz-log-type"), Some("Tail"));
        let address = request
            .uri()
            .split_once(".amazonaws.com")
            .expect("an AWS address")
            .1
            .to_owned();
        let event =
            serde_json::from_slice(request.body().bytes().expect("in memory")).expect("JSON");
        asked.push((address, event));
    }
    (found, asked)
}

fn asked_for(id: u64, method: &str, params: Value) -> (String, Value) {
    (
        FUNCTION.to_owned(),
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
    )
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        title: None,
        description: None,
        input_schema: json!({ "type": "object" }),
        output_schema: None,
    }
}

#[tokio::test]
async fn all_pages_are_asked_for_and_an_empty_cursor_is_a_cursor() {
    let full = json!({
        "name": "a", "title": "A", "description": "Does a.", "inputSchema": { "type": "object", "properties": {} },
        "outputSchema": { "type": "object" }, "annotations": { "title": "not this" }, "execution": { "taskSupport": "forbidden" }
    });
    let titled = json!({ "name": "b", "inputSchema": { "type": "object" }, "annotations": { "title": "B" } });
    let bare = json!({ "name": "c", "inputSchema": { "type": "object" } });
    let (found, asked) = run(vec![
        greeting(),
        page(2, json!([full]), Some("")),
        page(3, json!([titled]), Some("x")),
        page(4, json!([bare]), None),
    ])
    .await;
    let a = Tool {
        name: "a".to_owned(),
        title: Some("A".to_owned()),
        description: Some("Does a.".to_owned()),
        input_schema: json!({ "type": "object", "properties": {} }),
        output_schema: Some(json!({ "type": "object" })),
    };
    let expected = Discovery {
        tools: vec![
            a,
            Tool {
                title: Some("B".to_owned()),
                ..tool("b")
            },
            tool("c"),
        ],
        server_name: Some("mcp-time".to_owned()),
        server_version: Some("2.3.0".to_owned()),
        protocol_version: Some("2025-11-25".to_owned()),
        init_ms: Some(500.0),
        cold_start_ms: Some(512.5),
        memory_mb: Some(95),
    };
    assert_eq!(found, Ok(expected));
    let client = json!({ "name": "mcplambda", "version": env!("CARGO_PKG_VERSION") });
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    assert_eq!(
        asked,
        [
            asked_for(1, "initialize", hello),
            asked_for(2, "tools/list", json!({})),
            asked_for(3, "tools/list", json!({ "cursor": "" })),
            asked_for(4, "tools/list", json!({ "cursor": "x" })),
        ]
    );
}

#[tokio::test]
async fn a_warm_function_tells_no_cold_start() {
    let greeting = answer(
        None,
        WARM,
        &result(1, json!({ "protocolVersion": "2024-11-05" })),
    );
    let (found, _) = run(vec![greeting, page(2, json!([]), None)]).await;
    let expected = Discovery {
        tools: vec![],
        server_name: None,
        server_version: None,
        protocol_version: Some("2024-11-05".to_owned()),
        init_ms: None,
        cold_start_ms: None,
        memory_mb: Some(95),
    };
    assert_eq!(found, Ok(expected));
}

#[tokio::test]
async fn a_crash_carries_the_servers_stderr_without_lambdas_own_lines() {
    let log = "START RequestId: r Version: 3\nTraceback (most recent call last):\nAttributeError: no 'server'\nEND RequestId: r\n";
    let payload =
        json!({ "errorType": "Runtime.ExitError", "errorMessage": "exit status 1" }).to_string();
    let (found, asked) = run(vec![answer(Some("Unhandled"), log, &payload)]).await;
    let error = found.expect_err("a function error");
    assert_eq!(error.kind(), DiscoverErrorKind::Function);
    assert_eq!(
        error.stderr(),
        "Traceback (most recent call last):\nAttributeError: no 'server'"
    );
    assert_eq!(
        error.to_string(),
        "mcp-server-time:3 failed while answering initialize: Runtime.ExitError: exit status 1; check command, args, memory \
         and timeout\nThe server's stderr ended with:\n  Traceback (most recent call last):\n  AttributeError: no 'server'"
    );
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn a_json_rpc_error_carries_the_stderr_that_the_bridge_kept() {
    let data = json!({ "exitStatus": 1, "stderr": "ModuleNotFoundError: mcp\n" });
    let error =
        json!({ "code": -32603, "message": "the server exited with status 1", "data": data });
    let payload = json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
    let (found, _) = run(vec![answer(None, COLD, &payload)]).await;
    let expected = DiscoverError::JsonRpc {
        function: "mcp-server-time:3".to_owned(),
        method: "initialize",
        code: -32603,
        message: "the server exited with status 1".to_owned(),
        stderr: "ModuleNotFoundError: mcp".to_owned(),
    };
    assert_eq!(found, Err(expected));
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_are_an_error() {
    let (found, asked) = run(vec![
        greeting(),
        page(2, json!([]), Some("1")),
        page(3, json!([]), Some("2")),
        page(4, json!([]), Some("1")),
    ])
    .await;
    let error = found.expect_err("a circle");
    assert_eq!(error.kind(), DiscoverErrorKind::BadAnswer);
    assert!(
        error
            .to_string()
            .contains("its nextCursor \"1\" was given before"),
        "{error}"
    );
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn answers_that_are_not_mcp_are_named_as_such() {
    let cases = [
        ("<html>".to_owned(), "it is not a JSON object"),
        ("null".to_owned(), "it is not a JSON object"),
        ("{}".to_owned(), "it is not a JSON-RPC response"),
        (
            json!({ "result": {} }).to_string(),
            "it is not a JSON-RPC response",
        ),
        (result(7, json!({})), "it carries another request's id"),
        (
            json!({ "jsonrpc": "2.0", "id": 2, "error": "no" }).to_string(),
            "its error has no code or no message",
        ),
        (result(2, json!([])), "it is not a JSON-RPC response"),
        (result(2, json!({})), "its result has no list of tools"),
        (
            result(2, json!({ "tools": [{}] })),
            "it lists a tool without a name",
        ),
        (
            result(2, json!({ "tools": [{ "name": "t" }] })),
            "its tool `t` has no inputSchema object",
        ),
        (
            result(2, json!({ "tools": [], "nextCursor": 3 })),
            "its nextCursor is not a string",
        ),
    ];
    for (payload, expected) in cases {
        let (found, _) = run(vec![greeting(), answer(None, "on stderr", &payload)]).await;
        let Err(DiscoverError::BadAnswer {
            why,
            method,
            answer,
            stderr,
            ..
        }) = found
        else {
            panic!("{payload}: {found:?}");
        };
        assert!(why.starts_with(expected), "{payload}: {why}");
        assert_eq!((method, stderr.as_str()), ("tools/list", "on stderr"));
        assert!(payload.contains(&answer), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_invoke_carries_awss_code_and_says_what_to_check() {
    let request = http::Request::builder()
        .uri("https://unused")
        .body(SdkBody::empty());
    let response = http::Response::builder()
        .status(403)
        .header("x-amzn-errortype", "AccessDeniedException")
        .body(SdkBody::from(r#"{"Message":"User is not authorized"}"#));
    let refusal = ReplayEvent::new(request.expect("a request"), response.expect("a response"));
    let (found, _) = run(vec![refusal]).await;
    assert_eq!(
        found.expect_err("refused").to_string(),
        "Lambda did not invoke mcp-server-time:3 for initialize: AccessDeniedException: User is not authorized; check that \
         the credentials allow lambda:InvokeFunction on it"
    );
}

#[test]
fn the_gateways_configuration_names_the_function() {
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:mcp-server-time:live";
    assert_eq!(
        gateway_config_json(arn, Some("The \"time\" server")),
        format!(r#"{{"type":"lambda","arn":"{arn}","description":"The \"time\" server"}}"#)
    );
    assert_eq!(
        gateway_config_json(arn, None),
        format!(r#"{{"type":"lambda","arn":"{arn}"}}"#)
    );
}
