//! Which tools callers see and under which names, over every kind of event.

use serde_json::{Value, json};

use crate::sandbox::{Builder, Sandbox, misbehaving, modern, url_event};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A server of which callers see three tools, `x_args`, `x_pid` and `x_scalar`, as far as it has them.
fn filtered(argv: &[String]) -> Sandbox {
    Builder::new(argv)
        .server_key(
            "tools",
            json!({"include": ["args", "pid*", "s*"], "exclude": ["s[!c]*", "sleep"], "prefix": "x_"}),
        )
        .start()
}

/// A request of the handshake era.
fn legacy(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"c","method":"{method}","params":{{{params}}}}}"#)
}

/// A request of the stateless era.
fn stateless(method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    legacy(method, &format!("{params}{comma}{META}"))
}

/// The headers of a request of the stateless era.
fn headers(method: &str, name: Option<&str>) -> Value {
    json!({"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name})
}

/// The answers to one request as a raw event and as HTTP, of callers of both eras, each with who asked.
fn answers(sandbox: &mut Sandbox, method: &str, name: Option<&str>, params: &str) -> Vec<Value> {
    let (old, new) = (legacy(method, params), stateless(method, params));
    let texts = [
        sandbox.send(&old, None).response(),
        sandbox.send(&new, None).response(),
        sandbox
            .send(&url_event("POST", json!({}), &old), None)
            .http()
            .2,
        sandbox
            .send(&url_event("POST", headers(method, name), &new), None)
            .http()
            .2,
    ];
    texts
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect()
}

/// The names of the tools in an answer to `tools/list`.
fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn lists_hold_the_tools_that_are_shown_under_their_new_names() {
    for (argv, expected) in [
        (misbehaving(&[]), ["x_args"].as_slice()),
        (modern(&[]), ["x_args", "x_scalar"].as_slice()),
    ] {
        let mut sandbox = filtered(&argv);
        for answer in answers(&mut sandbox, "tools/list", None, "") {
            assert_eq!(names(&answer), expected, "{answer}");
        }
    }
}

#[test]
fn a_page_without_a_tool_that_is_shown_still_leads_to_the_next_one() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .server_key("tools", json!({"include": ["nothing"]}))
        .start();
    let answer = sandbox.send(&legacy("tools/list", ""), None).response();
    assert_eq!(
        answer,
        r#"{"jsonrpc":"2.0","id":"c","result":{"tools":[],"nextCursor":"c2","_meta":{"k": 1}}}"#
    );
}

#[test]
fn a_tool_that_is_shown_is_called_by_its_own_name() {
    for argv in [misbehaving(&[]), modern(&[])] {
        let mut sandbox = filtered(&argv);
        let seen = sandbox.call_text("x_args", r#"{"n":1}"#);
        let seen: Value = serde_json::from_str(&seen).expect("JSON");
        assert_eq!(
            (&seen["name"], &seen["arguments"]),
            (&json!("args"), &json!({"n": 1}))
        );
        let params = r#""name":"x_args","arguments":{"n":1}"#;
        for answer in answers(&mut sandbox, "tools/call", Some("x_args"), params) {
            let text = answer["result"]["content"][0]["text"].as_str();
            let seen: Value = serde_json::from_str(text.expect("a text")).expect("JSON");
            assert_eq!(seen["name"], "args", "{answer}");
        }
    }
}

#[test]
fn a_tool_that_is_hidden_is_answered_as_one_that_does_not_exist_and_the_server_is_not_asked() {
    for argv in [misbehaving(&[]), modern(&[])] {
        let mut sandbox = filtered(&argv);
        // One that the server does not have, those that it has and are left out, and one under the server's name for it.
        for name in ["nothing", "x_exit", "x_sleep", "x_object", "args"] {
            let message = format!("Unknown tool: {name}");
            for answer in answers(
                &mut sandbox,
                "tools/call",
                Some(name),
                &format!(r#""name":"{name}""#),
            ) {
                assert_eq!(
                    answer,
                    json!({"jsonrpc": "2.0", "id": "c", "error": {"code": -32602, "message": message}})
                );
            }
            assert_eq!(
                sandbox.call(name, "{}").function_error(),
                format!("Server.JsonRpcError: MCP error -32602: {message}")
            );
        }
        assert!(
            !sandbox.log().iter().any(|line| line.contains("exited")),
            "{:?}",
            sandbox.log()
        );
    }
}

#[test]
fn a_call_without_a_name_says_so() {
    let mut sandbox = filtered(&misbehaving(&[]));
    for params in ["", r#""name":7"#] {
        assert_eq!(
            sandbox.send(&legacy("tools/call", params), None).response(),
            r#"{"jsonrpc":"2.0","id":"c","error":{"code":-32602,"message":"`params.name` must be a string, the tool's name"}}"#
        );
    }
}

#[test]
fn the_header_with_the_name_repeats_what_the_caller_knows_the_tool_by() {
    let mut sandbox = filtered(&misbehaving(&[]));
    let body = stateless("tools/call", r#""name":"x_pid""#);
    let mut status = |name: &str| {
        let event = url_event("POST", headers("tools/call", Some(name)), &body);
        let (status, _, body) = sandbox.send(&event, None).http();
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        (status, answer["error"]["code"].as_i64())
    };
    assert_eq!(status("x_pid"), (200, None));
    assert_eq!(status("pid"), (400, Some(-32020)));
}

#[test]
fn a_hidden_tool_has_the_status_of_an_unknown_one() {
    let mut sandbox = filtered(&misbehaving(&[]));
    let body = stateless("tools/call", r#""name":"x_exit""#);
    let event = url_event("POST", headers("tools/call", Some("x_exit")), &body);
    assert_eq!(sandbox.send(&event, None).http().0, 400);
}

#[test]
fn what_asks_for_headers_of_their_own_is_taken_out_of_lists() {
    for filter in [json!({}), json!({"include": ["ok"]})] {
        let mut sandbox = Builder::new(&misbehaving(&["annotated"]))
            .server_key("tools", filter)
            .start();
        for answer in answers(&mut sandbox, "tools/list", None, "") {
            assert_eq!(
                answer["result"]["tools"][0]["inputSchema"],
                json!({"type": "object", "properties": {"r": {"type": "string"}}})
            );
        }
    }
}
