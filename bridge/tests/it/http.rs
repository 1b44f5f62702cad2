//! Function URL and API Gateway events: MCP's Streamable HTTP in both eras, beyond what was recorded of the library before this one.

use serde_json::{Value, json};

use crate::sandbox::{Builder, Sandbox, misbehaving, modern, url_event};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn sandbox() -> Sandbox {
    Sandbox::start(&misbehaving(&[]))
}

/// Posts `body` and reads status, content type and body of the answer.
#[track_caller]
fn post(sandbox: &mut Sandbox, headers: Value, body: &str) -> (u64, String, String) {
    sandbox.send(&url_event("POST", headers, body), None).http()
}

/// The headers of a modern request.
fn modern_headers(method: &str, name: Option<&str>) -> Value {
    json!({"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name})
}

fn modern_body(method: &str, params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"m","method":"{method}","params":{{{params}{}{META}}}}}"#,
        if params.is_empty() { "" } else { "," }
    )
}

/// Status and error code of a modern request's refusal, which must carry the id.
#[track_caller]
fn refused(sandbox: &mut Sandbox, headers: Value, body: &str) -> (u64, i64) {
    let (status, content_type, body) = post(sandbox, headers, body);
    assert_eq!(content_type, "application/json", "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["id"], "m", "{answer}");
    (status, answer["error"]["code"].as_i64().expect("a code"))
}

#[test]
fn a_modern_request_is_answered_as_its_era_says_whatever_the_servers_era() {
    for (argv, name) in [(misbehaving(&[]), "evil"), (modern(&[]), "modern")] {
        let mut sandbox = Sandbox::start(&argv);
        let (status, content_type, body) = post(
            &mut sandbox,
            modern_headers("server/discover", None),
            &modern_body("server/discover", ""),
        );
        assert_eq!((status, content_type.as_str()), (200, "application/json"));
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (
                &answer["id"],
                &answer["result"]["supportedVersions"],
                &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"]
            ),
            (&json!("m"), &json!(["2026-07-28"]), &json!(name))
        );
        let (status, _, body) = post(
            &mut sandbox,
            modern_headers("tools/list", None),
            &modern_body("tools/list", ""),
        );
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (
                status,
                &answer["result"]["resultType"],
                &answer["result"]["cacheScope"]
            ),
            (200, &json!("complete"), &json!("private"))
        );
    }
}

#[test]
fn headers_that_contradict_the_body_are_refused_in_the_order_of_the_specification() {
    let mut sandbox = sandbox();
    let call = modern_body("tools/call", r#""name":"ok""#);
    let call = call.as_str();
    let headers = |changes: Value| {
        let mut headers = modern_headers("tools/call", Some("ok"));
        for (name, value) in changes.as_object().expect("headers") {
            headers[name] = value.clone();
        }
        headers
    };
    let bare = r#"{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"ok"}}"#;
    let other_version = call.replace("2026-07-28", "2099-01-01");
    for (changes, body, answer) in [
        (json!({"mcp-protocol-version": null}), call, (400, -32020)),
        (json!({}), bare, (400, -32602)),
        (
            json!({}),
            &*call.replace(r#","io.modelcontextprotocol/clientCapabilities":{}"#, ""),
            (400, -32602),
        ),
        (json!({}), &*other_version, (400, -32020)),
        (
            json!({"mcp-protocol-version": "2099-01-01"}),
            call,
            (400, -32020),
        ),
        (
            json!({"mcp-protocol-version": "2026-07-28,2026-07-28"}),
            call,
            (400, -32020),
        ),
        (json!({"mcp-method": null}), call, (400, -32020)),
        (json!({"mcp-method": "Tools/Call"}), call, (400, -32020)),
        (json!({"mcp-name": null}), call, (400, -32020)),
        (json!({"mcp-name": "other"}), call, (400, -32020)),
        (json!({"mcp-name": "=?base64?b2s?="}), call, (400, -32020)),
        (
            json!({"mcp-protocol-version": "2099-01-01"}),
            &*other_version,
            (400, -32022),
        ),
    ] {
        assert_eq!(
            refused(&mut sandbox, headers(changes.clone()), body),
            answer,
            "{changes} {body}"
        );
    }
    for changes in [
        json!({}),
        json!({"mcp-method": "  tools/call "}),
        json!({"mcp-name": "=?base64?b2s=?="}),
        json!({"mcp-session-id": "s", "last-event-id": "1", "mcp-param-x": "1"}),
    ] {
        let (status, _, body) = post(&mut sandbox, headers(changes.clone()), call);
        assert_eq!(status, 200, "{changes} {body}");
    }
}

#[test]
fn methods_that_a_modern_caller_does_not_have_are_not_found() {
    let mut sandbox = sandbox();
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "tasks/get",
        "vendor/unknown",
        "prompts/list",
    ] {
        assert_eq!(
            refused(
                &mut sandbox,
                modern_headers(method, None),
                &modern_body(method, "")
            ),
            (404, -32601),
            "{method}"
        );
    }
}

#[test]
fn a_legacy_caller_gets_errors_with_status_200() {
    let mut sandbox = sandbox();
    for headers in [json!({}), json!({"mcp-protocol-version": "2025-06-18"})] {
        let (status, _, body) = post(
            &mut sandbox,
            headers,
            r#"{"jsonrpc":"2.0","id":5,"method":"vendor/unknown"}"#,
        );
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (status, &answer["id"], &answer["error"]["code"]),
            (200, &json!(5), &json!(-32601))
        );
    }
}

#[test]
fn what_is_no_request_is_accepted_or_refused() {
    let mut sandbox = sandbox();
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let list = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
    for (version, body, expected) in [
        (json!(null), initialized, 202),
        (json!("2025-11-25"), initialized, 202),
        (json!("2026-07-28"), initialized, 202),
        (json!("2099-01-01"), initialized, 400),
        (json!("2025-11-25"), response, 202),
        (json!("2026-07-28"), response, 400),
        (json!(null), list, 200),
        (json!("2025-03-26"), list, 200),
        (json!("2025-06-18"), list, 400),
        (json!("2026-07-28"), list, 400),
    ] {
        let (status, _, answer) =
            post(&mut sandbox, json!({"mcp-protocol-version": version}), body);
        assert_eq!(status, expected, "{version} {body}: {answer}");
        if expected == 202 {
            assert_eq!(answer, "");
        }
    }
}

#[test]
fn what_is_not_for_this_endpoint_is_told_so() {
    let mut sandbox = sandbox();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (method, headers, status) in [
        ("GET", json!({}), 405),
        ("DELETE", json!({}), 405),
        ("PUT", json!({}), 405),
        ("POST", json!({"accept": "text/event-stream"}), 406),
        ("POST", json!({"accept": "text/html"}), 406),
        ("POST", json!({"accept": null}), 200),
        ("POST", json!({"accept": "*/*"}), 200),
        ("POST", json!({"accept": "application/*;q=0.1"}), 200),
        ("POST", json!({"content-type": null}), 415),
        ("POST", json!({"content-type": "text/plain"}), 415),
        (
            "POST",
            json!({"content-type": "Application/JSON; charset=utf-8"}),
            200,
        ),
        ("POST", json!({"origin": "https://evil.example"}), 403),
        ("GET", json!({"origin": "https://evil.example"}), 403),
        ("POST", json!({"origin": "null"}), 403),
    ] {
        let event = url_event(method, headers.clone(), ping);
        let (found, _, body) = sandbox.send(&event, None).http();
        assert_eq!(found, status, "{method} {headers}: {body}");
    }
}

#[test]
fn pages_of_allowed_origins_get_what_their_browsers_ask_for() {
    let settings = |settings: Value| {
        Builder::new(&misbehaving(&[]))
            .server_key("http", settings)
            .start()
    };
    let headers_of = |sandbox: &mut Sandbox, method: &str, headers: Value| -> Value {
        let event = url_event(
            method,
            headers,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        );
        let answer: Value =
            serde_json::from_str(&sandbox.send(&event, None).response()).expect("JSON");
        let mut headers = answer["headers"].clone();
        headers["status"] = answer["statusCode"].clone();
        headers
    };
    let mut sandbox_one = settings(json!({"allowed_origins": ["https://app.example"]}));
    let allowed = headers_of(
        &mut sandbox_one,
        "POST",
        json!({"origin": "https://app.example"}),
    );
    assert_eq!(
        allowed,
        json!({
            "status": 200,
            "Content-Type": "application/json",
            "Access-Control-Allow-Origin": "https://app.example",
            "Access-Control-Expose-Headers": "Mcp-Protocol-Version",
            "Vary": "Origin",
        })
    );
    let preflight = headers_of(
        &mut sandbox_one,
        "OPTIONS",
        json!({"origin": "https://app.example", "access-control-request-headers": "content-type, mcp-param-region, x-evil, mcp-param-a b"}),
    );
    assert_eq!(
        (
            &preflight["status"],
            &preflight["Access-Control-Allow-Origin"]
        ),
        (&json!(200), &json!("https://app.example"))
    );
    let allowed = preflight["Access-Control-Allow-Headers"]
        .as_str()
        .expect("headers");
    assert!(
        allowed.contains("Mcp-Name") && allowed.ends_with(", mcp-param-region"),
        "{allowed}"
    );
    assert_eq!(
        headers_of(
            &mut sandbox_one,
            "POST",
            json!({"origin": "https://other.example"})
        )["status"],
        403
    );
    // Where AWS answers preflights and adds the headers itself, a second set would be one too many.
    let mut quiet = settings(json!({"allowed_origins": ["*"], "cors": false}));
    assert_eq!(
        headers_of(&mut quiet, "POST", json!({"origin": "https://any.example"})),
        json!({"status": 200, "Content-Type": "application/json"})
    );
    assert_eq!(headers_of(&mut quiet, "OPTIONS", json!({}))["status"], 405);
}

#[test]
fn a_rest_api_and_an_http_api_are_answered_too() {
    let mut sandbox = sandbox();
    let ping = r#"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"#;
    for event in [
        format!(
            r#"{{"httpMethod":"POST","requestContext":{{"stage":"p"}},"headers":null,"multiValueHeaders":{{"Content-Type":["application/json"],"ACCEPT":["application/json"]}},"body":"{ping}"}}"#
        ),
        format!(
            r#"{{"version":"2.0","requestContext":{{"domainName":"a.execute-api.eu-west-1.amazonaws.com","http":{{"method":"POST"}}}},"headers":{{"content-type":"application/json"}},"body":"{ping}"}}"#
        ),
        r#"{"httpMethod":"POST","requestContext":{"elb":{}},"headers":{"content-type":"application/json"},"body":"eyJqc29ucnBjIjoiMi4wIiwiaWQiOjEsIm1ldGhvZCI6InBpbmcifQ==","isBase64Encoded":true}"#.to_owned(),
    ] {
        let (status, _, body) = sandbox.send(&event, None).http();
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            "{event}"
        );
    }
    let duplicated = r#"{"httpMethod":"POST","requestContext":{},"multiValueHeaders":{"content-type":["application/json"],"mcp-protocol-version":["2025-06-18","2026-07-28"]},"body":"{\"jsonrpc\":\"2.0\",\"id\":\"m\",\"method\":\"ping\"}"}"#;
    assert_eq!(sandbox.send(duplicated, None).http().0, 400);
}

#[test]
fn a_result_that_fits_only_before_it_is_escaped_is_an_error_with_the_id() {
    // Each quote takes a second byte inside of the value that a function returns.
    let mut sandbox = sandbox();
    let call = |bytes: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"big","method":"tools/call","params":{{"name":"quotes","arguments":{{"bytes":{bytes}}}}}}}"#
        )
    };
    let (status, _, body) = post(&mut sandbox, json!({}), &call(1_000_000));
    assert_eq!((status, body.len() > 2_000_000), (200, true));
    let (status, _, body) = post(&mut sandbox, json!({}), &call(2_000_000));
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let message = answer["error"]["message"].as_str().expect("a message");
    assert_eq!((status, &answer["id"]), (200, &json!("big")));
    assert!(
        message.starts_with("the answer has ") && message.contains("that Lambda carries"),
        "{message}"
    );
}
