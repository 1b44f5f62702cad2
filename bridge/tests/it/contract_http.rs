//! The recorded answers to HTTP events of the library that the bridge replaces, and every deliberate difference with its reason.
//!
//! `fixtures/contract_http.json` holds the recorded events and answers of its function URL, REST API and HTTP API handlers (version 0.5.22). A case must be
//! answered as recorded, or be listed in [`DIFFERENCES`] with exactly what is answered instead; an entry that is no longer needed fails too.
//!
//! Headers of CORS are left out of the comparison: the library sends them to everyone with a `*`, the bridge to the browsers of allowed origins only.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::contract::{command_line, each_string, expand_runs, without_process_ids, without_times};
use crate::sandbox::{Posted, Sandbox, fixture};

/// A case that is answered otherwise than recorded: handler, name, what is answered, why.
type Difference = (&'static str, &'static str, &'static str, &'static str);

const BASE64: &str = "a body in base64 is decoded, as Lambda sends one; recorded: 400";
const CARRIES_THE_REASON: &str =
    "the reason is told instead of hidden; recorded: code 500 and \"Internal failure\"";
const SERVER_ERROR_RELAYED: &str = "the server's own code, message and data reach the caller; recorded: code 500 and \"Internal failure\"";
const ONE_HANDSHAKE: &str = "answered from the handshake of the one warm server, and without the capabilities that a function cannot honour";
const NOT_HTTP: &str =
    "one function serves every kind of event, and this is no HTTP request; recorded: 405 or 500";
const NO_ACCEPT: &str = "without an Accept header anything is acceptable (RFC 9110), so that the missing content type is what is wrong; recorded: 406";
const ID: &str = "MCP allows strings and integers as ids, and has a server refuse what it cannot accept; recorded: 202";

const DIFFERENCES: &[Difference] = &[
    (
        "apigw",
        "initialize",
        r#"200 {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2025-06-18","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        ONE_HANDSHAKE,
    ),
    (
        "apigw",
        "base64 body",
        r#"200 {"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "ok"}]}}"#,
        BASE64,
    ),
    (
        "apigw",
        "rpcerror",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code": -32602, "message": "Unknown tool: rpcerror"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "apigw",
        "exit",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the MCP server exited with status 7 while it answered tools/call; the call was not repeated: dying","data":{"exitStatus":7,"stderr":"dying"}}}"#,
        CARRIES_THE_REASON,
    ),
    (
        "apigw",
        "event {}",
        r#"{"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        NOT_HTTP,
    ),
    (
        "apigwv2",
        "initialize",
        r#"200 {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2025-06-18","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        ONE_HANDSHAKE,
    ),
    (
        "apigwv2",
        "base64 body",
        r#"200 {"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "ok"}]}}"#,
        BASE64,
    ),
    (
        "apigwv2",
        "batch 2 requests",
        r#"200 [{"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "ok"}]}},{"jsonrpc":"2.0","id":2,"error":{"code": -32602, "message": "Unknown tool: rpcerror"}}]"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "apigwv2",
        "rpcerror",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code": -32602, "message": "Unknown tool: rpcerror"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "apigwv2",
        "exit",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the MCP server exited with status 7 while it answered tools/call; the call was not repeated: dying","data":{"exitStatus":7,"stderr":"dying"}}}"#,
        CARRIES_THE_REASON,
    ),
    (
        "apigwv2",
        "unknown method",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code": -32601, "message": "Method not found"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "apigwv2",
        "event {}",
        r#"{"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        NOT_HTTP,
    ),
    (
        "url",
        "command not found",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"cannot start the MCP server: `server`: No such file or directory (os error 2)"}}"#,
        CARRIES_THE_REASON,
    ),
    (
        "url",
        "crash-start",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the MCP server exited with status 3 before it answered the handshake: boom at start","data":{"exitStatus":3,"stderr":"boom at start"}}}"#,
        CARRIES_THE_REASON,
    ),
    (
        "url",
        "initialize",
        r#"200 {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2025-06-18","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        ONE_HANDSHAKE,
    ),
    (
        "url",
        "rpcerror",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code": -32602, "message": "Unknown tool: rpcerror"}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "url",
        "batch empty",
        r#"400 {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: All messages must be valid JSON-RPC 2.0"}}"#,
        "JSON-RPC calls an empty array an invalid request; recorded: 202",
    ),
    (
        "url",
        "headers null",
        r#"415 {"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Unsupported Media Type: Content-Type must be application/json"}}"#,
        NO_ACCEPT,
    ),
    (
        "url",
        "protocol version unsupported",
        r#"400 {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"params._meta lacks `io.modelcontextprotocol/protocolVersion`"}}"#,
        "MCP has a server refuse a protocol version that it does not know; recorded: served",
    ),
    (
        "url",
        "initialize version 2024-11-05",
        r#"200 {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2024-11-05","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        ONE_HANDSHAKE,
    ),
    (
        "url",
        "initialize bad params",
        r#"200 {"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{}},"instructions":"x","protocolVersion":"2025-11-25","serverInfo":{"extraField":1,"name":"evil","version":"1"}}}"#,
        ONE_HANDSHAKE,
    ),
    (
        "url",
        "jsonrpc 1.0",
        r#"400 {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid Request: All messages must be valid JSON-RPC 2.0"}}"#,
        "a refusal of a request carries its id; recorded: null",
    ),
    (
        "url",
        "id null",
        r#"400 {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: All messages must be valid JSON-RPC 2.0"}}"#,
        ID,
    ),
    (
        "url",
        "id float",
        r#"400 {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: All messages must be valid JSON-RPC 2.0"}}"#,
        ID,
    ),
    (
        "url",
        "noresult",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the MCP server answered tools/call with neither a result nor an error"}}"#,
        "recorded: no answer at all",
    ),
    (
        "url",
        "rpcerror-data",
        r#"200 {"jsonrpc":"2.0","id":1,"error":{"code": -32042, "message": "URL elicitation required", "data": {"elicitations": [{"url": "https://x"}]}}}"#,
        SERVER_ERROR_RELAYED,
    ),
    (
        "url",
        "float",
        r#"200 {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"f"}],"structuredContent":{"f":1.0,"big":12345678901234567890,"e":1e400,"small":0.1,"exp":1e-7}}}"#,
        "numbers are passed on as the server wrote them; recorded: 1e400 became null",
    ),
    (
        "url",
        "event {} (no requestContext)",
        r#"{"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        NOT_HTTP,
    ),
    (
        "url",
        "event headers null",
        r#"415 {"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Unsupported Media Type: Content-Type must be application/json"}}"#,
        NO_ACCEPT,
    ),
    (
        "url",
        "event array",
        r#"{"jsonrpc":"2.0","id":0,"error":{"code":400,"message":"Request is neither a valid JSON-RPC request nor a valid JSON-RPC notification"}}"#,
        NOT_HTTP,
    ),
    (
        "url",
        "event is REST v1 shape",
        r#"200 {"jsonrpc":"2.0","id":1,"result":{"content": [{"type": "text", "text": "ok"}]}}"#,
        "one function serves every kind of event; recorded: 405 by the handler of another kind",
    ),
];

#[test]
fn every_recorded_http_request_is_answered_as_recorded_or_differs_on_purpose() {
    let text =
        std::fs::read_to_string(fixture("contract_http.json")).expect("the recorded contract");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the recorded contract is JSON");
    assert_eq!(cases.len(), 64);

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
        let millis = if case["outcome"] == "no_response" {
            1_500
        } else {
            60_000
        };
        let posted = sandbox.send_within(case["event"].to_string().as_bytes(), None, millis);
        let difference = unmet
            .iter()
            .position(|difference| (difference.0, difference.1) == (handler, name));
        let as_recorded = is_as_recorded(case, &posted);
        match difference {
            None if as_recorded => {}
            None => wrong.push(format!(
                "{handler} {name}: not as recorded: {}",
                posted_text(&posted)
            )),
            Some(_) if as_recorded => wrong.push(format!(
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

/// Status, the headers that are compared, and the body, read as JSON where it is JSON.
fn parts(answer: &Value) -> (Value, BTreeMap<String, Value>, Value) {
    let headers = answer["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .filter(|(name, _)| !name.starts_with("Access-Control-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let body = answer["body"].as_str().expect("a body");
    let mut body = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
    each_string(&mut body, &|text| {
        *text = without_process_ids(&expand_runs(text))
    });
    (answer["statusCode"].clone(), headers, body)
}

fn is_as_recorded(case: &Value, posted: &Posted) -> bool {
    let Posted::Response(text) = posted else {
        return false;
    };
    let answer: Value = serde_json::from_str(text).expect("an answer is JSON");
    case["outcome"] == "response"
        && answer["statusCode"].is_u64()
        && parts(&answer) == parts(&case["response"])
}

/// Status and body, without the numbers that differ from run to run.
fn posted_text(posted: &Posted) -> String {
    match posted {
        Posted::Response(text) => {
            let answer: Value = serde_json::from_str(text).expect("an answer is JSON");
            match answer["body"].as_str() {
                Some(body) => format!("{} {}", answer["statusCode"], without_times(body)),
                None => without_times(text),
            }
        }
        other => format!("{other:?}"),
    }
}
