//! Raw JSON-RPC events and AgentCore events beyond the recorded ones: what is answered, and under which id.

use crate::sandbox::{Sandbox, client_context, misbehaving};

#[track_caller]
fn check(sandbox: &mut Sandbox, event: &str, answer: &str) {
    assert_eq!(sandbox.send(event, None).response(), answer, "{event}");
}

#[test]
fn every_kind_of_id_comes_back_as_it_was_sent() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for id in [
        "0",
        "-7",
        "12345678901234567890123",
        r#""a""#,
        r#""a\u00e9\"\n""#,
        r#""1""#,
    ] {
        let event = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"ok"}}}}"#
        );
        let answer = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content": [{{"type": "text", "text": "ok"}}]}}}}"#
        );
        check(&mut sandbox, &event, &answer);
    }
}

#[test]
fn what_carries_no_request_id_is_a_notification() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for id in ["null", "1.5", "true", "[1]", "{}"] {
        check(
            &mut sandbox,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#),
            "{}",
        );
    }
    check(
        &mut sandbox,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        "{}",
    );
}

#[test]
fn a_servers_own_notifications_reach_it() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    check(
        &mut sandbox,
        r#"{"jsonrpc":"2.0","method":"notifications/vendor/hello","params":{"a":[1]}}"#,
        "{}",
    );
    sandbox.wait_for_log(r#"hello to you {"a": [1]}"#);
}

#[test]
fn batches_and_responses_are_no_requests() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let refusal = r#"{"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#;
    for event in [
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0"}"#,
        "true",
    ] {
        check(&mut sandbox, event, refusal);
    }
}

#[test]
fn params_that_cannot_be_told_apart_by_name_are_refused() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for params in [r"[]", r#""a""#, r#"{"name":"ok","\ud800":1}"#] {
        check(
            &mut sandbox,
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#),
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"`params` must be an object, and the names of its members text"}}"#,
        );
    }
}

#[test]
fn the_bridge_answers_for_the_connection_that_a_function_does_not_have() {
    let mut sandbox = Sandbox::start(&misbehaving(&["old-proto"]));
    check(
        &mut sandbox,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    );
    check(
        &mut sandbox,
        r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"debug"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
    );
    for method in [
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "tasks/get",
        "server/discover",
    ] {
        check(
            &mut sandbox,
            &format!(r#"{{"jsonrpc":"2.0","id":3,"method":"{method}"}}"#),
            &format!(
                r#"{{"jsonrpc":"2.0","id":3,"error":{{"code":-32601,"message":"Method not found","data":"{method}"}}}}"#
            ),
        );
    }
}

#[test]
fn a_caller_gets_the_protocol_version_it_asks_for_or_the_newest_of_its_era() {
    let mut sandbox = Sandbox::start(&misbehaving(&["old-proto"]));
    for (asked, answered) in [
        (r#""2024-11-05""#, "2024-11-05"),
        (r#""2025-03-26""#, "2025-03-26"),
        (r#""2025-06-18""#, "2025-06-18"),
        (r#""2025-11-25""#, "2025-11-25"),
        (r#""2026-07-28""#, "2025-11-25"),
        (r#""1999-01-01""#, "2025-11-25"),
        ("null", "2025-11-25"),
    ] {
        check(
            &mut sandbox,
            &format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":{asked},"capabilities":{{}}}}}}"#
            ),
            &format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"capabilities":{{"tools":{{}}}},"instructions":"x","protocolVersion":"{answered}","serverInfo":{{"extraField":1,"name":"evil","version":"1"}}}}}}"#
            ),
        );
    }
}

#[test]
fn a_pretty_printed_event_reaches_the_server_as_one_line() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let event = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1,\n  \"method\": \"tools/call\",\n  \"params\": {\n    \"name\": \"args\",\n    \"arguments\": {\r\n}\n  }\n}\n";
    check(
        &mut sandbox,
        event,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "{\"arguments\": {}, \"name\": \"args\"}"}]}}"#,
    );
}

#[test]
fn six_megabytes_of_arguments_reach_the_server() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let arguments = format!(r#"{{"a":"{}"}}"#, "x".repeat(6_000_000));
    assert_eq!(sandbox.call_text("length", &arguments), "6000009");
}

#[test]
fn arguments_that_look_like_another_kind_of_event_are_arguments() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let arguments = r#"{"jsonrpc":"2.0","id":5,"method":"ping","httpMethod":"GET","version":"2.0","requestContext":{"http":{"method":"GET"}}}"#;
    let seen: serde_json::Value =
        serde_json::from_str(&sandbox.call_text("args", arguments)).expect("JSON");
    assert_eq!(
        seen["arguments"],
        serde_json::from_str::<serde_json::Value>(arguments).expect("JSON")
    );
}

#[test]
fn a_tool_name_is_what_follows_the_first_delimiter() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for (name, answer) in [
        (
            "t___a___b",
            "Server.JsonRpcError: MCP error -32602: Unknown tool: a___b",
        ),
        (
            "___x",
            "Server.JsonRpcError: MCP error -32602: Unknown tool: x",
        ),
        (
            "t____x",
            "Server.JsonRpcError: MCP error -32602: Unknown tool: _x",
        ),
        ("t___", "ValueError: Empty tool name extracted from: t___"),
        ("t__x", "ValueError: Invalid tool name format: t__x"),
    ] {
        let context = serde_json::json!({"custom": {"bedrockAgentCoreToolName": name}}).to_string();
        assert_eq!(
            sandbox.send("{}", Some(&context)).function_error(),
            answer,
            "{name}"
        );
    }
    let context = r#"{"custom":{"bedrockAgentCoreToolName":5}}"#;
    assert_eq!(
        sandbox.send("{}", Some(context)).function_error(),
        "ValueError: Invalid tool name format: 5"
    );
}

#[test]
fn the_maps_that_agentcore_adds_to_its_context_do_no_harm() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let context = r#"{"client":{"appTitle":"x"},"custom":{"bedrockAgentCorePropagatedHeaders":{"x-a":"b"},"bedrockAgentCoreMessageVersion":"1.0","bedrockAgentCoreToolName":"t___ok","n":1},"env":null}"#;
    assert_eq!(
        sandbox.send("{}", Some(context)).response(),
        r#"{"content": [{"type": "text", "text": "ok"}]}"#
    );
}

#[test]
fn a_client_context_of_someone_else_leaves_json_rpc_alone() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for context in [r#"{"custom":{"trace":"x"}}"#, "not JSON", "[]"] {
        let answer = sandbox
            .send(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Some(context))
            .response();
        assert_eq!(
            answer, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "{context}"
        );
    }
}

#[test]
fn tool_arguments_that_are_no_object_are_refused() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for event in ["[]", "5", "\"x\"", "true"] {
        let answer = sandbox
            .send(event, Some(&client_context("args")))
            .function_error();
        assert_eq!(
            answer, "ValueError: Invalid event: the arguments of a tool must be a JSON object",
            "{event}"
        );
    }
}

#[test]
fn an_event_that_is_not_utf_8_is_refused() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let answer = sandbox
        .send_within(b"{\"a\":\"\xff\"}", None, 60_000)
        .function_error();
    assert!(
        answer.starts_with("Runtime.UnmarshalError: Unable to unmarshal input: "),
        "{answer}"
    );
}

#[test]
fn a_servers_error_reaches_agentcore_with_code_message_and_data() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    assert_eq!(
        sandbox.call("rpcerror-data", "{}").function_error(),
        r#"Server.JsonRpcError: MCP error -32042: URL elicitation required (data: {"elicitations": [{"url": "https://x"}]})"#
    );
}
