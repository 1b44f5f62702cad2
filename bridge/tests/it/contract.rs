//! The recorded answers of the library that the bridge replaces, whose clients rely on them, and every deliberate difference with its reason.
//!
//! `fixtures/contract.json` holds the recorded events and outcomes of its AgentCore and JSON-RPC handlers (version 0.5.22) in front of a misbehaving server.
//! A case must be answered as recorded, or be listed in [`DIFFERENCES`] with exactly what is answered instead; an entry that is no longer needed fails too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::{Posted, Sandbox, fixture, misbehaving};

/// A case that is answered otherwise than recorded: handler, name, what is posted (see [`posted_text`]), why.
type Difference = (&'static str, &'static str, &'static str, &'static str);

const CARRIES_THE_REASON: &str = "the recorded text is \"Internal failure, please check Lambda function logs\": the reason is told instead of hidden";
const ANSWERED_IN_TIME: &str = "recorded: no answer at all";
const SERVER_ERROR_RELAYED: &str = "the server's own code, message and data reach the caller; recorded: code 500 and \"Internal failure\"";
const NO_PYTHON_INTERNALS: &str = "the recorded text is Python's complaint about its own types";

const DIFFERENCES: &[Difference] = &[
    (
        "agentcore",
        "flag hang-start",
        "error Server.StartFailed: the MCP server was still starting after N ms, when the function's time was nearly over; raise the function's `timeout`: waiting for a database\nLast output of the server:\nwaiting for a database",
        ANSWERED_IN_TIME,
    ),
    (
        "agentcore",
        "flag weird-proto",
        "error Server.HandshakeFailed: the MCP server refused the handshake: it chose protocol version 1999-01-01, which is none of 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25",
        CARRIES_THE_REASON,
    ),
    (
        "agentcore",
        "no client context",
        r#"response {"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        "one function serves every kind of event, and the JSON-RPC handler's record for the same event says this",
    ),
    (
        "agentcore",
        "client context without custom",
        "error ValueError: Missing bedrockAgentCoreToolName in context",
        NO_PYTHON_INTERNALS,
    ),
    (
        "agentcore",
        "client context JSON array",
        "error ValueError: Missing bedrockAgentCoreToolName in context",
        NO_PYTHON_INTERNALS,
    ),
    (
        "agentcore",
        "evil bad-utf8",
        r#"response {"content": [{"type": "text", "text": "after bad utf8"}]}"#,
        "a stray line that is not UTF-8 is skipped like any other stray line; recorded: an error",
    ),
    (
        "agentcore",
        "evil exit",
        "error Server.Exited: the MCP server exited with status 7 while it answered tools/call; the call was not repeated: dying\nLast output of the server:\ndying",
        CARRIES_THE_REASON,
    ),
    (
        "agentcore",
        "evil exit0",
        "error Server.Exited: the MCP server exited with status 0 while it answered tools/call; the call was not repeated",
        CARRIES_THE_REASON,
    ),
    (
        "agentcore",
        "evil rpcerror",
        "error Server.JsonRpcError: MCP error -32602: Unknown tool: rpcerror",
        CARRIES_THE_REASON,
    ),
    (
        "agentcore",
        "evil dup",
        r#"response {"content": [{"type": "text", "text": "first"}]}"#,
        "the first of two responses is the answer; recorded: an error",
    ),
    (
        "agentcore",
        "evil float",
        r#"response {"content":[{"type":"text","text":"f"}],"structuredContent":{"f":1.0,"big":12345678901234567890,"e":1e400,"small":0.1,"exp":1e-7}}"#,
        "numbers are passed on as the server wrote them; recorded: 1e400 became null",
    ),
    (
        "agentcore",
        "event not JSON",
        "error Runtime.UnmarshalError: Unable to unmarshal input: key must be a string at line 1 column 2",
        "the parser's words are another parser's",
    ),
    (
        "agentcore",
        "event empty body",
        "error Runtime.UnmarshalError: Unable to unmarshal input: EOF while parsing a value at line 1 column 0",
        "the parser's words are another parser's",
    ),
    (
        "agentcore",
        "hang past 3 s deadline",
        r#"response {"content":[{"type":"text","text":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled"}],"isError":true}"#,
        ANSWERED_IN_TIME,
    ),
    (
        "agentcore",
        "big 6.5 MB (over Lambda limit)",
        r#"response {"content":[{"type":"text","text":"the answer has 6815787 bytes, more than the 6291556 that Lambda carries; ask for less at a time"}],"isError":true}"#,
        "recorded: Lambda's own error, after the fact",
    ),
    (
        "jsonrpc",
        "command not found",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"cannot start the MCP server: `server`: No such file or directory (os error 2)"}}"#,
        CARRIES_THE_REASON,
    ),
    (
        "jsonrpc",
        "initialize",
        r#"response {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2025-06-18","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        "answered from the handshake of the one warm server, and without the capabilities that a function cannot honour (change notices, log notifications)",
    ),
    (
        "jsonrpc",
        "unknown method",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code": -32601, "message": "Method not found"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "jsonrpc",
        "unknown spec method",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found","data":"tasks/list"}}"#,
        "tasks cannot outlive the event; the standard code instead of 500",
    ),
    (
        "jsonrpc",
        "server/discover",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found","data":"server/discover"}}"#,
        "without the modern era's `_meta` this method does not exist; the standard code instead of 500",
    ),
    (
        "jsonrpc",
        "bad params",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code": -32602, "message": "Unknown tool: None"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "jsonrpc",
        "rpcerror",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code": -32602, "message": "Unknown tool: rpcerror"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "jsonrpc",
        "jsonrpc 1.0",
        r#"response {"jsonrpc":"2.0","id":7,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        "the answer carries the request's id, and says what is wrong with it",
    ),
    (
        "jsonrpc",
        "null event",
        r#"response {"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        "told like every other event that is no JSON-RPC; recorded: code 500 and \"Internal failure\"",
    ),
    (
        "jsonrpc",
        "number event",
        r#"response {"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        "told like every other event that is no JSON-RPC; recorded: code 500 and \"Internal failure\"",
    ),
    (
        "jsonrpc",
        "not JSON",
        "error Runtime.UnmarshalError: Unable to unmarshal input: key must be a string at line 1 column 2",
        "the parser's words are another parser's",
    ),
    (
        "jsonrpc",
        "hang past 3 s deadline",
        r#"response {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled"}}"#,
        ANSWERED_IN_TIME,
    ),
];

#[test]
fn every_recorded_event_is_answered_as_recorded_or_differs_on_purpose() {
    let text = std::fs::read_to_string(fixture("contract.json")).expect("the recorded contract");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the recorded contract is JSON");
    assert_eq!(cases.len(), 59);

    // One environment per way to start the server; its server is warm from one case to the next, as in Lambda.
    let mut sandboxes: BTreeMap<String, Sandbox> = BTreeMap::new();
    let mut unmet: Vec<&Difference> = DIFFERENCES.iter().collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let (handler, name) = (
            case["handler"].as_str().expect("a handler"),
            case["name"].as_str().expect("a name"),
        );
        let argv = command_line(case);
        let sandbox = sandboxes
            .entry(argv.join(" "))
            .or_insert_with(|| Sandbox::start(&argv));
        let event = match case["event_text"].as_str() {
            Some(text) => text.to_owned(),
            None => case["event"].to_string(),
        };
        let millis = if case["outcome"] == "no_response" {
            1_500
        } else {
            60_000
        };
        let posted = sandbox.send_within(event.as_bytes(), case["client_context"].as_str(), millis);
        match unmet
            .iter()
            .position(|difference| (difference.0, difference.1) == (handler, name))
        {
            None if is_as_recorded(case, &posted) => {}
            None => wrong.push(format!(
                "{handler} {name}: not as recorded: {}",
                posted_text(&posted)
            )),
            Some(_) if is_as_recorded(case, &posted) => wrong.push(format!(
                "{handler} {name}: listed as different, but it is as recorded"
            )),
            Some(index) => {
                let (_, _, expected, _) = unmet.remove(index);
                if posted_text(&posted) != *expected {
                    wrong.push(format!(
                        "{handler} {name}:\n  listed: {expected}\n  posted: {}",
                        posted_text(&posted)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        unmet.is_empty(),
        "differences from no recorded case: {unmet:?}"
    );
}

pub(crate) fn command_line(case: &Value) -> Vec<String> {
    let strings = |value: &Value| {
        value.as_array().map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    strings(&case["command"]).unwrap_or_else(|| {
        let flags = strings(&case["flags"]).unwrap_or_default();
        misbehaving(&flags.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn is_as_recorded(case: &Value, posted: &Posted) -> bool {
    match (case["outcome"].as_str().expect("an outcome"), posted) {
        ("response", Posted::Response(text)) => {
            let Ok(mut answer) = serde_json::from_str::<Value>(text) else {
                return false;
            };
            let mut recorded = case["response"].clone();
            for value in [&mut answer, &mut recorded] {
                each_string(value, &|text| {
                    *text = without_process_ids(&expand_runs(text))
                });
            }
            answer == recorded
        }
        ("error", Posted::Error { body, .. }) => {
            let body: Value = serde_json::from_str(body).expect("an error's body is JSON");
            body["errorMessage"] == case["error"]["errorMessage"]
                && body["errorType"] == case["error"]["errorType"]
        }
        _ => false,
    }
}

/// What was posted, in one line, without the numbers that differ from run to run.
fn posted_text(posted: &Posted) -> String {
    match posted {
        Posted::Response(text) => format!("response {}", without_times(text)),
        Posted::Error { .. } => {
            format!("error {}", without_times(&posted.clone().function_error()))
        }
        Posted::InitError { body, .. } => format!("init error {body}"),
        Posted::Streamed { head, body } => format!("streamed {head} {body}"),
    }
}

pub(crate) fn each_string(value: &mut Value, edit: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) => edit(text),
        Value::Array(list) => list.iter_mut().for_each(|value| each_string(value, edit)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| each_string(value, edit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Long runs of `A` are recorded as `<A x N>`.
pub(crate) fn expand_runs(text: &str) -> String {
    match text
        .strip_prefix("<A x ")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        Some(count) => "A".repeat(count.parse().expect("a count")),
        None => text.to_owned(),
    }
}

pub(crate) fn without_process_ids(text: &str) -> String {
    if text
        .strip_prefix("child ")
        .is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
    {
        "child N".to_owned()
    } else {
        text.to_owned()
    }
}

/// `after 123 ms` and `within 123 ms` become `after N ms` and `within N ms`.
pub(crate) fn without_times(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    for index in 1..words.len().saturating_sub(1) {
        let is_number =
            !words[index].is_empty() && words[index].bytes().all(|byte| byte.is_ascii_digit());
        if is_number && words[index + 1].trim_end_matches(|c: char| !c.is_alphanumeric()) == "ms" {
            words[index] = "N";
        }
    }
    words.join(" ")
}
