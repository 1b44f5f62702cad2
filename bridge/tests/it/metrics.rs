//! Each event leaves a line from which CloudWatch makes metrics, where the function asks for them.

use serde_json::{Value, json};

use crate::sandbox::{Builder, Sandbox, client_context, misbehaving, url_event};

fn metered(argv: &[String]) -> Builder {
    Builder::new(argv)
        .server_key("metrics", json!(true))
        .variable("AWS_LAMBDA_FUNCTION_NAME", "mcp-server-evil")
}

/// The line of the event with this number, once it is written.
#[track_caller]
fn line(sandbox: &Sandbox, number: u32) -> Value {
    let line = sandbox.wait_for_log(&format!(r#""requestId":"request-{number}""#));
    serde_json::from_str(&line).expect("a line of its own, JSON from its first character on")
}

/// Restarts, tool and tool errors of the event with this number.
#[track_caller]
fn counted(sandbox: &Sandbox, number: u32) -> Value {
    let line = line(sandbox, number);
    json!([line["ChildRestarts"], line["Tool"], line["ToolErrors"]])
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn the_first_event_is_the_cold_one_and_each_tells_how_long_it_took() {
    let mut sandbox = metered(&misbehaving(&[])).start();
    sandbox.call_text("sleep", r#"{"s":0.05}"#);
    sandbox.call_text("ok", "{}");
    let first = line(&sandbox, 1);
    assert_eq!(
        first["_aws"]["CloudWatchMetrics"],
        json!([{
            "Namespace": "mcplambda",
            "Dimensions": [["FunctionName"]],
            "Metrics": [
                {"Name": "ColdStart", "Unit": "Count"},
                {"Name": "ChildRestarts", "Unit": "Count"},
                {"Name": "CallMilliseconds", "Unit": "Milliseconds"},
                {"Name": "ToolErrors", "Unit": "Count"},
            ],
        }])
    );
    assert_eq!(
        (&first["FunctionName"], &first["ColdStart"]),
        (&json!("mcp-server-evil"), &json!(1))
    );
    let took = first["CallMilliseconds"].as_f64().expect("a number");
    assert!((50.0..60_000.0).contains(&took), "{took}");
    assert_eq!(line(&sandbox, 2)["ColdStart"], 0);
}

#[test]
fn calls_that_end_in_an_error_of_any_kind_are_counted_and_so_are_restarts() {
    let mut sandbox = metered(&misbehaving(&[])).start();
    for (tool, arguments, expected) in [
        ("ok", "{}", json!([0, "ok", 0])),
        ("iserror", "{}", json!([0, "iserror", 1])),
        ("rpcerror", "{}", json!([0, "rpcerror", 1])),
        ("big", r#"{"bytes":7000000}"#, json!([0, "big", 1])),
        ("exit", "{}", json!([0, "exit", 1])),
        ("ok", "{}", json!([1, "ok", 0])),
    ] {
        let number = sandbox.queue(arguments.as_bytes(), Some(&client_context(tool)), 60_000);
        sandbox.next_posted();
        let number = number.trim_start_matches("request-").parse();
        assert_eq!(
            counted(&sandbox, number.expect("a number")),
            expected,
            "{tool}"
        );
    }
}

#[test]
fn events_of_every_kind_are_measured_by_what_they_ask_for() {
    let mut sandbox = metered(&misbehaving(&[]))
        .server_key("tools", json!({"exclude": ["exit"], "prefix": "x_"}))
        .start();
    let call = |tool: &str| request("tools/call", &format!(r#"{{"name":"{tool}"}}"#));
    let batch = format!(
        "[{},{},{}]",
        call("x_iserror"),
        call("x_noresult"),
        call("x_ok")
    );
    for (index, (event, expected)) in [
        (request("tools/list", "{}"), json!([0, null, 0])),
        (call("x_iserror"), json!([0, "iserror", 1])),
        // One that callers do not see is no tool of the server's.
        (call("x_exit"), json!([0, null, 1])),
        ("nonsense".to_owned(), json!([0, null, 0])),
        (
            url_event("POST", json!({}), &call("x_iserror")),
            json!([0, "iserror", 1]),
        ),
        (url_event("POST", json!({}), &batch), json!([0, "ok", 2])),
        (url_event("GET", json!({}), ""), json!([0, null, 0])),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.send(&event, None);
        let number = u32::try_from(index + 1).expect("few");
        assert_eq!(counted(&sandbox, number), expected, "{event}");
    }
}

#[test]
fn a_result_that_is_too_large_for_http_counts_as_an_error() {
    let mut sandbox = metered(&misbehaving(&[])).start();
    // Fits before its quotes are escaped twice, and not after.
    let call = request(
        "tools/call",
        r#"{"name":"quotes","arguments":{"bytes":2000000}}"#,
    );
    sandbox.send(&url_event("POST", json!({}), &call), None);
    assert_eq!(counted(&sandbox, 1), json!([0, "quotes", 1]));
}

#[test]
fn a_server_that_cannot_start_is_started_again_by_each_event() {
    let mut sandbox = metered(&misbehaving(&["crash-start"])).start();
    for number in 1..=2 {
        sandbox.call("ok", "{}").function_error();
        assert_eq!(counted(&sandbox, number), json!([1, "ok", 1]));
    }
}

#[test]
fn a_function_that_does_not_ask_for_metrics_writes_none() {
    let mut sandbox = Builder::new(&misbehaving(&[])).start();
    sandbox.call_text("ok", "{}");
    sandbox.call_text("say", r#"{"words":"the last word\n"}"#);
    sandbox.wait_for_log("the last word");
    let log = sandbox.log();
    assert!(!log.iter().any(|line| line.contains("_aws")), "{log:?}");
}
