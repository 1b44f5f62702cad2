//! Function URLs whose invoke mode is `RESPONSE_STREAM`: server-sent events where there is something to say before the result, plain JSON elsewhere.

use serde_json::{Value, json};

use crate::sandbox::{
    Builder, Http, Posted, Sandbox, client_context, misbehaving, modern, url_event,
};

fn builder(argv: &[String]) -> Builder {
    Builder::new(argv).server_key("http", json!({"stream": true}))
}

/// A legacy call of `tool` that wants to hear of its progress.
fn call(tool: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{{"name":"{tool}","_meta":{{"progressToken":"mine"}}}}}}"#
    );
    url_event("POST", json!({}), &body)
}

/// A modern request with `params` and `meta` over the required members.
fn modern_event(method: &str, name: Option<&str>, params: &str, meta: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}"_meta":{{{meta}"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let headers =
        json!({"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name});
    url_event("POST", headers, &body)
}

/// The messages of a streamed answer's events.
#[track_caller]
fn events(posted: Posted) -> Vec<Value> {
    let Posted::Streamed { head, body } = posted else {
        panic!("expected a streamed answer, got {posted:?}");
    };
    assert_eq!(
        serde_json::from_str::<Value>(&head).expect("JSON"),
        json!({
            "statusCode": 200,
            "headers": {
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            },
        })
    );
    body.strip_suffix("\n\n")
        .expect("the last event is ended")
        .split("\n\n")
        .map(|event| {
            let data = event
                .strip_prefix("event: message\ndata: ")
                .unwrap_or_else(|| panic!("no message event: {event:?}"));
            serde_json::from_str(data).expect("a message is JSON")
        })
        .collect()
}

#[test]
fn progress_and_log_lines_come_before_the_result_and_what_is_not_the_callers_does_not() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    let messages = events(sandbox.send(&call("progress"), None));
    let progress = |step: u32| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "mine", "progress": step, "total": 3}});
    let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "log line"}});
    assert_eq!(
        messages[..4],
        [progress(0), progress(1), progress(2), log],
        "{messages:#?}"
    );
    // The token that the server saw is the bridge's own, unique among all callers.
    let text = messages[4]["result"]["content"][0]["text"]
        .as_str()
        .expect("a text");
    assert!(
        text.starts_with("progress done token=") && !text.contains("mine"),
        "{text}"
    );
    assert_eq!((messages.len(), &messages[4]["id"]), (5, &json!("c")));
}

#[test]
fn a_notification_arrives_while_the_call_is_running_and_a_failure_ends_the_stream_with_the_id() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    sandbox.queue(call("step-and-hang").as_bytes(), None, 3_000);
    assert!(sandbox.next_piece().contains("text/event-stream"));
    let piece = sandbox.next_piece();
    assert!(piece.contains(r#""progressToken":"mine""#), "{piece}");
    let messages = events(sandbox.next_posted().1);
    assert_eq!(
        (
            messages.len(),
            &messages[1]["id"],
            &messages[1]["error"]["code"]
        ),
        (2, &json!("c"), &json!(-32603))
    );

    let messages = events(sandbox.send(&call("step-and-exit"), None));
    assert_eq!(
        (
            &messages[1]["id"],
            &messages[1]["error"]["data"]["exitStatus"]
        ),
        (&json!("c"), &json!(9))
    );
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
}

#[test]
fn where_nothing_is_to_be_streamed_the_answer_is_json_with_its_status() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    let mut answer = |event: String| {
        let posted = sandbox.send(&event, None);
        assert!(matches!(posted, Posted::Streamed { .. }), "{posted:?}");
        posted.http()
    };
    assert_eq!(
        answer(call("ok")),
        (
            200,
            "application/json".to_owned(),
            r#"{"jsonrpc":"2.0","id":"c","result":{"content": [{"type": "text", "text": "ok"}]}}"#
                .to_owned()
        )
    );
    let (status, _, _) = answer(modern_event("vendor/unknown", None, "", ""));
    assert_eq!(status, 404);
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(
        answer(url_event("POST", json!({}), initialized)),
        (202, String::new(), String::new())
    );
    assert_eq!(answer(url_event("GET", json!({}), "")).0, 405);
    let json_only = call("progress").replace(", text/event-stream", "");
    assert_eq!(answer(json_only).1, "application/json");
}

#[test]
fn a_caller_that_takes_only_events_gets_the_result_as_one() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    let event = call("ok").replace("application/json, text/event-stream", "text/event-stream");
    let messages = events(sandbox.send(&event, None));
    assert_eq!(
        messages,
        [
            json!({"jsonrpc": "2.0", "id": "c", "result": {"content": [{"type": "text", "text": "ok"}]}})
        ]
    );
}

#[test]
fn events_that_lambda_does_not_stream_are_answered_whole() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    let event = call("progress").replace(
        "abc.lambda-url.eu-west-1.on.aws",
        "abc.execute-api.eu-west-1.amazonaws.com",
    );
    assert!(matches!(sandbox.send(&event, None), Posted::Response(_)));
    let raw = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":1}}}"#;
    assert!(matches!(sandbox.send(raw, None), Posted::Response(_)));
    assert!(matches!(
        sandbox.send("{}", Some(&client_context("progress"))),
        Posted::Response(_)
    ));
}

#[test]
fn a_result_larger_than_lambda_returns_whole_is_streamed() {
    let mut sandbox = builder(&misbehaving(&[])).start();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"big","arguments":{"bytes":8000000}}}"#;
    let (status, _, body) = sandbox
        .send(&url_event("POST", json!({}), body), None)
        .http();
    assert_eq!((status, body.len() > 8_000_000), (200, true));
}

#[test]
fn a_modern_caller_hears_log_lines_from_the_level_that_it_asked_for() {
    let levels = |sandbox: &mut Sandbox, meta: &str| -> Vec<Value> {
        let event = modern_event("tools/call", Some("logs"), r#""name":"logs","#, meta);
        match sandbox.send(&event, None) {
            posted @ Posted::Streamed { .. } if meta.is_empty() => {
                assert_eq!(posted.http().1, "application/json");
                Vec::new()
            }
            posted => events(posted)
                .iter()
                .filter_map(|message| message.get("params"))
                .map(|params| params["level"].clone())
                .collect(),
        }
    };
    let mut sandbox = builder(&misbehaving(&[])).start();
    assert_eq!(
        levels(
            &mut sandbox,
            r#""io.modelcontextprotocol/logLevel":"warning","#
        ),
        [json!("warning"), json!("error")]
    );
    assert_eq!(levels(&mut sandbox, ""), Vec::<Value>::new());
}

#[test]
fn a_modern_server_tells_a_legacy_caller_of_progress_and_logs_for_it() {
    let mut sandbox = builder(&modern(&[])).start();
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    let (_, _, body) = sandbox
        .send(&url_event("POST", json!({}), initialize), None)
        .http();
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        answer["result"]["capabilities"],
        json!({"tools": {}, "resources": {}, "logging": {}})
    );
    let messages = events(sandbox.send(&call("progress"), None));
    assert_eq!(
        messages[..2],
        [
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "mine", "progress": 1, "total": 1}}),
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "info"}}),
        ]
    );
}

#[test]
fn a_subscription_hears_its_server_and_ends_well_before_the_functions_time_does() {
    let mut sandbox = builder(&modern(&[])).start();
    let event = modern_event(
        "subscriptions/listen",
        None,
        r#""notifications":{"toolsListChanged":true},"#,
        "",
    );
    let posted = sandbox.send_within(event.as_bytes(), None, 2_000);
    let meta = json!({"io.modelcontextprotocol/subscriptionId": 7});
    assert_eq!(
        events(posted),
        [
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta, "notifications": {"toolsListChanged": true}}}),
            json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}}),
            json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "_meta": meta}}),
        ]
    );
    // A caller who takes no events cannot subscribe, and a server without subscriptions has none.
    let json_only = event.replace(", text/event-stream", "");
    assert_eq!(sandbox.send(&json_only, None).http().0, 406);
    let mut legacy = builder(&misbehaving(&[])).start();
    assert_eq!(legacy.send(&event, None).http().0, 404);
    // It goes on serving.
    let call = modern_event("tools/call", Some("object"), r#""name":"object","#, "");
    assert_eq!(sandbox.send(&call, None).http().0, 200);
}

#[test]
fn a_caller_that_goes_away_ends_its_call_and_no_other() {
    let mut sandbox = builder(&misbehaving(&[]))
        .http(Http {
            hanging_up: true,
            ..Http::default()
        })
        .start();
    let server = sandbox.call_text("pid", "{}");
    sandbox.queue(call("flood").as_bytes(), None, 60_000);
    sandbox.wait_for_log("the caller stopped listening");
    assert_eq!(sandbox.call_text("pid", "{}"), server);
}
