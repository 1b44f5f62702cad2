//! Callers and servers of both eras of MCP: how a server's era is found, and what each side gets of the other.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, misbehaving, modern};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"traceparent":"00-a-b-01"}"#;

/// A request of the handshake era.
fn legacy(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
}

/// A request of the stateless era.
fn stateless(method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    legacy(method, &format!("{params}{comma}{META}"))
}

#[track_caller]
fn answer(sandbox: &mut Sandbox, event: &str) -> Value {
    let answer: Value = serde_json::from_str(&sandbox.send(event, None).response()).expect("JSON");
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&json!("2.0"), &json!(1)),
        "{answer}"
    );
    answer
}

#[track_caller]
fn result(sandbox: &mut Sandbox, event: &str) -> Value {
    let answer = answer(sandbox, event);
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

#[track_caller]
fn error(sandbox: &mut Sandbox, event: &str) -> Value {
    let answer = answer(sandbox, event);
    assert!(answer["result"].is_null(), "{answer}");
    answer["error"].clone()
}

/// What a tool says that it was called with.
#[track_caller]
fn seen(sandbox: &mut Sandbox, event: &str) -> Value {
    let result = result(sandbox, event);
    serde_json::from_str(result["content"][0]["text"].as_str().expect("text")).expect("JSON")
}

fn bridge_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "mcplambda-bridge", "version": env!("CARGO_PKG_VERSION")},
    })
}

#[test]
fn a_modern_server_is_recognised_and_called_with_all_that_its_era_requires() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let line = sandbox.wait_for_log("ready after");
    assert!(
        line.contains("MCP server modern 2 ready after")
            && line.contains("(protocol 2026-07-28, stateless era, pid "),
        "{line}"
    );
    let call = seen(
        &mut sandbox,
        &legacy("tools/call", r#""name":"args","arguments":{"a":1}"#),
    );
    assert_eq!(
        call,
        json!({"name": "args", "arguments": {"a": 1}, "_meta": bridge_meta()})
    );
    let call: Value = serde_json::from_str(&sandbox.call_text("args", r#"{"a":1}"#)).expect("JSON");
    assert_eq!(
        call,
        json!({"name": "args", "arguments": {"a": 1}, "_meta": bridge_meta()})
    );
}

#[test]
fn what_a_legacy_callers_meta_holds_of_its_own_stays() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let call = seen(
        &mut sandbox,
        &legacy(
            "tools/call",
            r#""name":"args","_meta":{"progressToken":7,"k":"v"}"#,
        ),
    );
    let mut meta = bridge_meta();
    meta["progressToken"] = json!(7);
    meta["k"] = json!("v");
    assert_eq!(call, json!({"name": "args", "_meta": meta}));
}

#[test]
fn a_legacy_caller_gets_legacy_shapes_from_a_modern_server() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    assert_eq!(
        result(
            &mut sandbox,
            &legacy(
                "initialize",
                r#""protocolVersion":"2025-06-18","capabilities":{}"#
            )
        ),
        json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}, "resources": {}},
            "serverInfo": {"name": "modern", "version": "2"},
            "instructions": "be modern",
        })
    );
    assert_eq!(
        result(&mut sandbox, &legacy("tools/list", "")),
        json!({
            "tools": [
                {"name": "args", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object"}},
                {"name": "scalar", "inputSchema": {"type": "object"}},
            ]
        })
    );
    assert_eq!(
        result(&mut sandbox, &legacy("tools/call", r#""name":"scalar""#)),
        json!({"content": [{"type": "text", "text": "42"}]})
    );
    assert_eq!(
        result(&mut sandbox, &legacy("tools/call", r#""name":"object""#)),
        json!({"content": [{"type": "text", "text": "{}"}], "structuredContent": {"a": 1}})
    );
    assert_eq!(result(&mut sandbox, &legacy("ping", "")), json!({}));
}

#[test]
fn a_modern_caller_is_passed_through_to_a_modern_server() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let meta: Value = serde_json::from_str(&format!("{{{META}}}")).expect("JSON");
    let call = seen(
        &mut sandbox,
        &stateless("tools/call", r#""name":"args","arguments":{"b":2}"#),
    );
    assert_eq!(
        call,
        json!({"name": "args", "arguments": {"b": 2}, "_meta": meta["_meta"]})
    );
    let asked = result(&mut sandbox, &stateless("tools/call", r#""name":"ask""#));
    assert_eq!(
        (
            &asked["resultType"],
            &asked["inputRequests"],
            &asked["requestState"]
        ),
        (
            &json!("input_required"),
            &json!({"name": {"method": "elicitation/create", "params": {"message": "Your name?"}}}),
            &json!("s1")
        )
    );
    let told = seen(
        &mut sandbox,
        &stateless(
            "tools/call",
            r#""name":"ask","inputResponses":{"name":{"action":"accept"}},"requestState":"s1""#,
        ),
    );
    assert_eq!(told, json!([{"name": {"action": "accept"}}, "s1"]));
    let refused = error(
        &mut sandbox,
        &stateless("tools/call", r#""name":"needs-sampling""#),
    );
    assert_eq!(
        refused,
        json!({"code": -32021, "message": "Sampling required", "data": {"requiredCapabilities": {"sampling": {}}}})
    );
}

#[test]
fn a_modern_caller_discovers_either_kind_of_server() {
    let discovered = |capabilities: Value, instructions: &str, info: Value| {
        json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities,
            "instructions": instructions,
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": info},
        })
    };
    assert_eq!(
        result(
            &mut Sandbox::start(&modern(&[])),
            &stateless("server/discover", "")
        ),
        discovered(
            json!({"tools": {}, "resources": {}}),
            "be modern",
            json!({"name": "modern", "version": "2"})
        )
    );
    assert_eq!(
        result(
            &mut Sandbox::start(&misbehaving(&[])),
            &stateless("server/discover", "")
        ),
        discovered(
            json!({"tools": {}}),
            "x",
            json!({"name": "evil", "version": "1", "extraField": 1})
        )
    );
}

#[test]
fn a_modern_caller_in_front_of_a_legacy_server_gets_modern_shapes() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    // The reserved keys would make a dual-era server refuse the request.
    let call = result(
        &mut sandbox,
        &stateless("tools/call", r#""name":"args","arguments":{"a":1}"#),
    );
    let server = json!({"name": "evil", "version": "1", "extraField": 1});
    assert_eq!(
        call,
        json!({
            "content": [{"type": "text", "text": r#"{"_meta": {"traceparent": "00-a-b-01"}, "arguments": {"a": 1}, "name": "args"}"#}],
            "resultType": "complete",
            "_meta": {"io.modelcontextprotocol/serverInfo": server},
        })
    );
    let list = result(&mut sandbox, &stateless("tools/list", ""));
    assert_eq!(
        (
            &list["resultType"],
            &list["ttlMs"],
            &list["cacheScope"],
            &list["nextCursor"],
            &list["_meta"]
        ),
        (
            &json!("complete"),
            &json!(0),
            &json!("private"),
            &json!("c2"),
            &json!({"k": 1, "io.modelcontextprotocol/serverInfo": server})
        )
    );
}

#[test]
fn methods_of_the_other_era_do_not_exist() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "subscriptions/listen",
        "tasks/list",
    ] {
        assert_eq!(
            error(&mut sandbox, &stateless(method, "")),
            json!({"code": -32601, "message": "Method not found", "data": method})
        );
    }
}

#[test]
fn a_modern_request_must_be_complete_and_of_a_known_version() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    assert_eq!(
        error(
            &mut sandbox,
            &legacy(
                "tools/list",
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}"#
            )
        ),
        json!({"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2026-07-28"], "requested": "2099-01-01"}})
    );
    assert_eq!(
        error(
            &mut sandbox,
            &legacy(
                "tools/list",
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#
            )
        ),
        json!({"code": -32602, "message": "params._meta lacks a valid `io.modelcontextprotocol/clientCapabilities`"})
    );
}

#[test]
fn a_tool_that_wants_input_from_a_caller_who_cannot_give_it_says_so() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let refusal = json!({
        "content": [{"type": "text", "text": "the tool needs input from the user, which this caller cannot be asked for: `name` (elicitation/create)"}],
        "isError": true,
    });
    assert_eq!(
        result(&mut sandbox, &legacy("tools/call", r#""name":"ask""#)),
        refusal
    );
    let through_agentcore: Value =
        serde_json::from_str(&sandbox.call("ask", "{}").response()).expect("JSON");
    assert_eq!(through_agentcore, refusal);
    // So does one that asks what its client can do first.
    assert_eq!(
        result(
            &mut sandbox,
            &legacy("tools/call", r#""name":"needs-sampling""#)
        )["content"][0]["text"],
        "the tool needs input from the user, which this caller cannot be asked for: Sampling required"
    );
}

#[test]
fn a_modern_server_that_is_slow_to_answer_the_probe_is_still_recognised() {
    // Slower than the bridge waits before it also tries `initialize`.
    let mut sandbox = Sandbox::start(&modern(&["slow-probe=3.5"]));
    assert_eq!(
        seen(&mut sandbox, &legacy("tools/call", r#""name":"args""#)),
        json!({"name": "args", "_meta": bridge_meta()})
    );
}

#[test]
fn a_modern_server_that_first_refuses_the_version_is_asked_once_more() {
    let mut sandbox = Sandbox::start(&modern(&["refuse-first"]));
    assert_eq!(
        seen(&mut sandbox, &legacy("tools/call", r#""name":"args""#)),
        json!({"name": "args", "_meta": bridge_meta()})
    );
}

#[test]
fn a_server_that_does_not_answer_the_probe_is_a_legacy_one() {
    let mut sandbox = Sandbox::start(&misbehaving(&["silent-probe"]));
    assert_eq!(
        result(
            &mut sandbox,
            &legacy("initialize", r#""protocolVersion":"2025-11-25""#)
        )["serverInfo"]["name"],
        "evil"
    );
}

#[test]
fn a_server_that_ends_at_the_probe_is_started_again_and_greeted_as_a_legacy_one() {
    let mut sandbox = Sandbox::start(&misbehaving(&["crash-at-probe"]));
    let line = sandbox.wait_for_log("ready after");
    assert!(line.contains("handshake era"), "{line}");
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
    // What was found out once holds for the servers that follow.
    sandbox.call("exit", "{}");
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
    let probed = "exited with status 5 when it was asked which era of MCP it speaks; starting it again, for the handshake era";
    let log = sandbox.log();
    assert_eq!(
        log.iter().filter(|line| line.contains(probed)).count(),
        1,
        "{log:#?}"
    );
}

#[test]
fn a_server_that_ends_at_its_first_request_whatever_it_is_is_told_of() {
    let mut sandbox = Sandbox::start(&misbehaving(&["crash-at-first"]));
    for _ in 0..2 {
        let answer = error(
            &mut sandbox,
            &legacy("tools/call", r#""name":"ok","arguments":{}"#),
        );
        assert_eq!(
            answer,
            json!({
                "code": -32603,
                "message": "the MCP server exited with status 5 before it answered the handshake: no such method: initialize",
                "data": {"exitStatus": 5, "stderr": "no such method: initialize"},
            })
        );
    }
}

#[test]
fn a_server_that_only_wants_to_be_asked_again_is_asked_again_on_behalf_of_a_legacy_caller() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let call = |rounds: u32| {
        legacy(
            "tools/call",
            &format!(r#""name":"rounds","arguments":{{"rounds":{rounds}}}"#),
        )
    };
    assert_eq!(
        result(&mut sandbox, &call(2))["content"][0]["text"],
        "after 2 rounds"
    );
    let given_up = result(&mut sandbox, &call(3));
    assert_eq!(
        (&given_up["isError"], &given_up["content"][0]["text"]),
        (
            &json!(true),
            &json!(
                "the tool needs input from the user, which this caller cannot be asked for: another round of the same request, after 3"
            )
        )
    );
}

#[test]
fn a_resource_that_does_not_exist_has_the_code_of_the_callers_era() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    let read = r#""uri":"test://none""#;
    assert_eq!(
        error(&mut sandbox, &legacy("resources/read", read)),
        json!({"code": -32002, "message": "Unknown resource", "data": {"uri": "test://none"}})
    );
    assert_eq!(
        error(&mut sandbox, &stateless("resources/read", read)),
        json!({"code": -32602, "message": "Unknown resource", "data": {"uri": "test://none"}})
    );
}
