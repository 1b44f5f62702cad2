//! The trace that an event belongs to reaches the server, in the form that MCP has for it.

use serde_json::{Value, json};

use crate::sandbox::{Builder, Sandbox, misbehaving, modern, url_event};

const X_RAY: &str =
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:2:3";
const TRACEPARENT: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

fn traced(argv: &[String]) -> Sandbox {
    let mut sandbox = Sandbox::start(argv);
    sandbox.trace_id = X_RAY.to_owned();
    sandbox
}

/// A call of the tool that answers with the params that it got.
fn call(meta: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"args"{meta}}}}}"#)
}

/// The trace context that the server got, from the answer to [`call`].
#[track_caller]
fn received(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    let text = answer["result"]["content"][0]["text"].as_str();
    let params: Value = serde_json::from_str(text.expect("a text")).expect("JSON");
    params["_meta"]["traceparent"].clone()
}

#[test]
fn a_call_of_each_kind_of_event_carries_the_events_trace() {
    for argv in [misbehaving(&[]), modern(&[])] {
        let mut sandbox = traced(&argv);
        let params: Value = serde_json::from_str(&sandbox.call_text("args", "{}")).expect("JSON");
        assert_eq!(params["_meta"]["traceparent"], TRACEPARENT);
        let raw = sandbox.send(&call(""), None).response();
        assert_eq!(received(&raw), TRACEPARENT);
        let event = url_event("POST", json!({}), &call(""));
        assert_eq!(received(&sandbox.send(&event, None).http().2), TRACEPARENT);
    }
}

#[test]
fn what_the_caller_says_comes_first() {
    let mut sandbox = traced(&misbehaving(&[]));
    let with_header = |traceparent: &str, body: &str| {
        url_event("POST", json!({"traceparent": traceparent}), body)
    };
    let own = call(&format!(r#","_meta":{{"traceparent":"{OTHER}"}}"#));
    for (event, expected) in [
        (own.clone(), OTHER),
        (with_header(TRACEPARENT, &own), OTHER),
        (with_header(OTHER, &call("")), OTHER),
        (with_header("00-no-trace-01", &call("")), TRACEPARENT),
    ] {
        let posted = sandbox.send(&event, None);
        let answer = match event.starts_with(r#"{"jsonrpc""#) {
            true => posted.response(),
            false => posted.http().2,
        };
        assert_eq!(received(&answer), expected, "{event}");
    }
}

#[test]
fn an_event_without_a_trace_leaves_a_call_as_it_is() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    for trace_id in ["Root=1-2-3", "Root=1-5759e988-bd862e3fe1be46a994272793", ""] {
        sandbox.trace_id = trace_id.to_owned();
        assert_eq!(
            sandbox.call_text("args", "{}"),
            r#"{"arguments": {}, "name": "args"}"#,
            "{trace_id}"
        );
    }
}

#[test]
fn the_variable_of_the_trace_is_for_a_process_that_serves_one_event() {
    let variable = |sandbox: &mut Sandbox| {
        let environment = sandbox.call_text("env", "{}");
        let environment: Value = serde_json::from_str(&environment).expect("JSON");
        environment["_X_AMZN_TRACE_ID"].clone()
    };
    let start = |scope: &str| {
        let argv = misbehaving(&[]);
        let mut sandbox = Builder::new(&argv)
            .server_key("process_scope", json!(scope))
            // A process that was started ahead of its event is replaced by one that is started in it.
            .variable("MCPLAMBDA_AHEAD_SECONDS", "0")
            .start();
        sandbox.trace_id = X_RAY.to_owned();
        sandbox
    };
    assert_eq!(variable(&mut start("invocation")), X_RAY);
    let mut warm = start("environment");
    // Ends the process that was started before there was an event, so that the next one is started in one.
    warm.call("exit", "{}").function_error();
    assert_eq!(variable(&mut warm), Value::Null);
}
