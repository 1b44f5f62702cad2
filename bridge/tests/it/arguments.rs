//! Arguments that a gateway could only pass as JSON text reach the server as its own schema wants them.

use serde_json::{Value, json};

use crate::sandbox::{Builder, Sandbox, client_context, misbehaving, modern};

/// The arguments that the server gets for those of a call through AgentCore.
#[track_caller]
fn received(sandbox: &mut Sandbox, tool: &str, arguments: Value) -> Value {
    let params: Value = serde_json::from_str(&sandbox.call_text(tool, &arguments.to_string()))
        .expect("the tool answers with its params");
    params["arguments"].clone()
}

/// How often the server was asked for a page of its tools.
fn listings(sandbox: &Sandbox) -> usize {
    let log = sandbox.log();
    log.iter()
        .filter(|line| line.starts_with("RequestId") && line.ends_with(" listing"))
        .count()
}

#[test]
fn text_is_turned_into_what_the_servers_schema_asks_for_and_stays_text_where_text_is_meant() {
    let mut sandbox = Sandbox::start(&misbehaving(&["typed"]));
    assert_eq!(
        received(
            &mut sandbox,
            "args",
            json!({"list": "[1, 2.0]", "text": "[3]", "either": "4", "unknown": "[5]"})
        ),
        json!({"list": [1, 2.0], "text": "[3]", "either": "4", "unknown": "[5]"})
    );
    assert_eq!(
        received(&mut sandbox, "args", json!({"list": "no JSON"})),
        json!({"list": "no JSON"})
    );
}

#[test]
fn the_schemas_are_asked_for_when_they_are_first_needed_and_once_for_each_process() {
    let mut sandbox = Sandbox::start(&misbehaving(&["typed"]));
    received(&mut sandbox, "args", json!({"list": [1], "text": "plain"}));
    sandbox.call_text("say", r#"{"words":"first\n"}"#);
    sandbox.wait_for_log("first");
    assert_eq!(listings(&sandbox), 0);
    for _ in 0..3 {
        assert_eq!(
            received(&mut sandbox, "args", json!({"list": "[1]"})),
            json!({"list": [1]})
        );
    }
    sandbox.call("exit", "{}").function_error();
    for _ in 0..3 {
        assert_eq!(
            received(&mut sandbox, "args", json!({"list": "[1]"})),
            json!({"list": [1]})
        );
    }
    sandbox.call_text("say", r#"{"words":"last\n"}"#);
    sandbox.wait_for_log("last");
    // Two pages of each of two processes.
    assert_eq!(listings(&sandbox), 4);
}

#[test]
fn a_server_whose_tools_have_changed_is_asked_again() {
    let mut sandbox = Sandbox::start(&misbehaving(&["typed"]));
    let arguments = json!({"list": "[1]", "text": "3"});
    assert_eq!(
        received(&mut sandbox, "args", arguments.clone()),
        json!({"list": [1], "text": "3"})
    );
    sandbox.call_text("change-tools", "{}");
    assert_eq!(
        received(&mut sandbox, "args", arguments),
        json!({"list": [1], "text": 3})
    );
}

#[test]
fn the_tool_is_found_under_the_name_that_callers_know() {
    let mut sandbox = Builder::new(&misbehaving(&["typed"]))
        .server_key("tools", json!({"prefix": "x_"}))
        .start();
    assert_eq!(
        received(&mut sandbox, "x_args", json!({"list": "[1]"})),
        json!({"list": [1]})
    );
}

#[test]
fn a_server_of_the_stateless_era_is_asked_as_it_wants_to_be() {
    let mut sandbox = Sandbox::start(&modern(&["typed"]));
    assert_eq!(
        received(&mut sandbox, "args", json!({"list": "[1]"})),
        json!({"list": [1]})
    );
}

#[test]
fn callers_who_know_the_schema_themselves_are_taken_at_their_word() {
    let mut sandbox = Sandbox::start(&misbehaving(&["typed"]));
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"args","arguments":{"list":"[1]"}}}"#;
    assert_eq!(
        sandbox.send(request, None).response(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "{\"arguments\": {\"list\": \"[1]\"}, \"name\": \"args\"}"}]}}"#
    );
}

#[test]
fn a_server_that_does_not_tell_its_schemas_gets_the_text() {
    let mut sandbox = Sandbox::start(&misbehaving(&["refuse-list"]));
    for _ in 0..2 {
        assert_eq!(
            received(&mut sandbox, "args", json!({"list": "[1]"})),
            json!({"list": "[1]"})
        );
    }
    let told = sandbox.wait_for_log("no list today");
    assert!(
        told.contains(
            "does not tell the schemas of its tools; arguments that came as text stay text"
        ),
        "{told}"
    );
}

#[test]
fn a_server_that_hangs_when_it_is_asked_for_its_schemas_leaves_time_for_the_call() {
    let mut sandbox = Sandbox::start(&misbehaving(&["hang-list"]));
    let posted = sandbox.send_within(br#"{"list":"[1]"}"#, Some(&client_context("args")), 8_000);
    assert_eq!(
        posted.response(),
        r#"{"content": [{"type": "text", "text": "{\"arguments\": {\"list\": \"[1]\"}, \"name\": \"args\"}"}]}"#
    );
}

#[test]
fn a_server_that_cannot_start_is_told_of_though_its_schemas_are_wanted() {
    let mut sandbox = Sandbox::start(&misbehaving(&["crash-start"]));
    let error = sandbox.call("args", r#"{"list":"[1]"}"#).function_error();
    assert!(
        error.starts_with("Server.StartFailed: the MCP server exited with status 3"),
        "{error}"
    );
}
