//! A server may do whatever it likes: the exact answer that the caller gets, and that the next call is served.

use crate::contract::without_times;
use crate::processes::{signal, state, wait_until};
use crate::sandbox::{
    Builder, Posted, Sandbox, client_context, is_alive, misbehaving, modern, wait_until_gone,
};

/// A raw request for `tool` with a recognisable id.
fn request(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

fn error(rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"mine","error":{{"code":-32603,{rest}}}}}"#)
}

fn result(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"mine","result":{{"content": [{{"type": "text", "text": "{text}"}}]}}}}"#
    )
}

/// Sends one request to a fresh server, compares the whole answer, and checks that the next call is served.
#[track_caller]
fn check(tool: &str, arguments: &str, answer: &str) -> Sandbox {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    assert_eq!(
        without_times(&sandbox.send(&request(tool, arguments), None).response()),
        answer
    );
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
    sandbox
}

#[test]
fn a_server_that_exits_is_told_of_with_its_status_and_last_words_and_is_restarted() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let first = sandbox.call_text("pid", "{}");
    let answer = error(
        r#""message":"the MCP server exited with status 7 while it answered tools/call; the call was not repeated: dying","data":{"exitStatus":7,"stderr":"dying"}"#,
    );
    assert_eq!(
        sandbox.send(&request("exit", "{}"), None).response(),
        answer
    );
    assert_ne!(sandbox.call_text("pid", "{}"), first);
}

#[test]
fn a_server_that_exits_without_a_word_is_told_of() {
    check(
        "exit0",
        "{}",
        &error(
            r#""message":"the MCP server exited with status 0 while it answered tools/call; the call was not repeated","data":{"exitStatus":0}"#,
        ),
    );
}

#[test]
fn a_server_that_is_killed_is_told_of_with_the_signal() {
    check(
        "killed",
        "{}",
        &error(
            r#""message":"the MCP server was killed by signal 9 while it answered tools/call; the call was not repeated","data":{"signal":9}"#,
        ),
    );
}

#[test]
fn half_an_answer_is_none() {
    check(
        "half-line",
        "{}",
        &error(
            r#""message":"the MCP server exited with status 1 while it answered tools/call; the call was not repeated","data":{"exitStatus":1}"#,
        ),
    );
}

#[test]
fn a_server_that_closes_its_stdout_is_told_of_and_restarted() {
    check(
        "close-stdout",
        "{}",
        &error(
            r#""message":"the MCP server closed its stdout while it answered tools/call; the call was not repeated""#,
        ),
    );
}

#[test]
fn an_exit_is_noticed_though_a_grandchild_holds_the_pipes_and_the_grandchild_goes_too() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let answer: serde_json::Value = serde_json::from_str(
        &sandbox
            .send(&request("child", r#"{"pipes":true,"die":true}"#), None)
            .response(),
    )
    .expect("JSON");
    let stderr = answer["error"]["data"]["stderr"]
        .as_str()
        .expect("its last words");
    assert_eq!(answer["error"]["data"]["exitStatus"], 5);
    let pid = stderr
        .strip_prefix("leaving ")
        .and_then(|rest| rest.strip_suffix(" behind"))
        .expect("a process id");
    wait_until_gone(pid);
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
}

#[test]
fn what_left_the_servers_group_goes_with_it_and_does_not_delay_the_answer() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let answer: serde_json::Value = serde_json::from_str(
        &sandbox
            .send(
                &request("orphan", r#"{"s":600,"pipes":true,"die":true}"#),
                None,
            )
            .response(),
    )
    .expect("JSON");
    assert_eq!(answer["error"]["data"]["exitStatus"], 5);
    let stderr = answer["error"]["data"]["stderr"].as_str();
    let orphan = stderr
        .and_then(|stderr| stderr.strip_prefix("leaving ")?.strip_suffix(" behind"))
        .expect("a process id");
    // Killed and cleared away before the answer: not even a zombie is left.
    assert_eq!(state(orphan), None);
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
}

#[test]
fn what_a_running_server_let_go_is_left_alone_until_it_ends_by_itself() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let daemon = sandbox.call_text("orphan", r#"{"s":600}"#);
    let ended = sandbox.call_text("orphan", r#"{"s":0}"#);
    wait_until("what ended is cleared away", || {
        sandbox.call_text("ok", "{}");
        state(&ended).is_none()
    });
    assert!(is_alive(&daemon));
    sandbox.send(&request("exit", "{}"), None).response();
    assert_eq!(state(&daemon), None);
}

#[test]
fn a_call_written_to_a_server_that_died_is_not_repeated() {
    let mark = std::env::temp_dir().join(format!("mcplambda-calls-{}", std::process::id()));
    // Leaves a mark per call and dies before it answers.
    let script = format!(
        "import sys,json,os\nfor l in sys.stdin:\n m=json.loads(l)\n i=m.get('id')\n if m['method']=='initialize': print(json.dumps(dict(jsonrpc='2.0',id=i,result=dict(protocolVersion='2025-11-25',capabilities={{}},serverInfo=dict(name='n',version='1')))),flush=True)\n elif m['method']=='tools/call': open({:?},'a').write('x'); os._exit(1)\n elif i is not None: print(json.dumps(dict(jsonrpc='2.0',id=i,error=dict(code=-32601,message='no'))),flush=True)\n",
        mark.display().to_string()
    );
    let mut sandbox = Sandbox::start(&["python3".to_owned(), "-c".to_owned(), script]);
    for _ in 0..3 {
        sandbox.send(&request("any", "{}"), None).response();
    }
    assert_eq!(std::fs::read_to_string(&mark).expect("written"), "xxx");
    std::fs::remove_file(&mark).expect("removed");
}

#[test]
fn a_hung_call_is_cancelled_and_answered_in_time_and_a_hung_server_is_restarted() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let first = sandbox.call_text("pid", "{}");
    let posted = sandbox.send_within(request("hang", "{}").as_bytes(), None, 1_000);
    let answer = error(
        r#""message":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled""#,
    );
    assert_eq!(without_times(&posted.response()), answer);
    assert_ne!(sandbox.call_text("pid", "{}"), first);
    sandbox.wait_for_log("has not answered since a call of it timed out; starting it again");
    wait_until_gone(&first);
}

#[test]
fn a_hung_call_through_agentcore_is_a_tool_error_that_the_model_can_read() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let posted = sandbox
        .send_within(b"{}", Some(&client_context("hang")), 1_000)
        .response();
    assert_eq!(
        without_times(&posted),
        r#"{"content":[{"type":"text","text":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled"}],"isError":true}"#
    );
}

#[test]
fn a_server_that_lets_one_call_time_out_but_still_answers_is_kept() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let first = sandbox.call_text("pid", "{}");
    sandbox
        .send_within(request("park", "{}").as_bytes(), None, 1_000)
        .response();
    assert_eq!(sandbox.call_text("pid", "{}"), first);
    sandbox.wait_for_log("cancelled");
}

#[test]
fn a_hung_server_of_the_modern_era_is_restarted_too() {
    let mut sandbox = Sandbox::start(&modern(&[]));
    sandbox
        .send_within(request("hang", "{}").as_bytes(), None, 1_000)
        .response();
    assert_eq!(sandbox.call_text("object", "{}"), "{}");
    sandbox.wait_for_log("starting it again");
}

#[test]
fn an_answer_that_comes_after_its_time_goes_to_nobody() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    sandbox
        .send_within(request("sleep", r#"{"s":1.0}"#).as_bytes(), None, 900)
        .response();
    // The server wakes within the second that it has to show itself; its old answer must not be taken for this call's.
    assert_eq!(
        sandbox.send(&request("ok", "{}"), None).response(),
        result("ok")
    );
}

#[test]
fn stray_output_is_logged_and_the_answer_behind_it_is_found() {
    let sandbox = check("garbage", "{}", &result("after garbage"));
    for line in [
        "hello this is a print()",
        "{\"half\": ",
        "[1,2]",
        "\"str\"",
        "123",
    ] {
        sandbox.wait_for_log(&format!(
            "RequestId: request-1 not a message on stdout: {line}"
        ));
    }
    check("bad-utf8", "{}", &result("after bad utf8"));
    check("split", "{}", &result("split"));
}

#[test]
fn stray_output_at_the_start_does_not_disturb_the_handshake() {
    for flag in ["banner", "garbage-start", "stderr-flood", "silent-probe"] {
        let mut sandbox = Sandbox::start(&misbehaving(&[flag]));
        assert_eq!(
            sandbox.send(&request("ok", "{}"), None).response(),
            result("ok"),
            "{flag}"
        );
    }
}

#[test]
fn an_answer_with_broken_characters_is_still_an_answer() {
    check(
        "broken-characters",
        "{}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"mine\",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"caf\u{fffd}\"}]}}",
    );
}

#[test]
fn a_line_of_twenty_megabytes_is_read_and_refused_by_its_size() {
    check(
        "big",
        r#"{"bytes":20000000}"#,
        &error(
            r#""message":"the answer has 20000082 bytes, more than the 6291556 that Lambda carries; ask for less at a time""#,
        ),
    );
}

#[test]
fn a_line_beyond_all_measure_is_dropped_and_told_of() {
    check(
        "big",
        r#"{"bytes":70000000}"#,
        &error(
            r#""message":"the MCP server wrote a line of more than 67108864 bytes while it answered tools/call""#,
        ),
    );
}

#[test]
fn an_event_as_large_as_lambda_takes_reaches_the_server_whole() {
    // 6 MB is what Lambda takes for an event.
    let arguments = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let event = arguments(6 * 1024 * 1024);
    assert_eq!(event.len(), 6 * 1024 * 1024);
    // The server counts its own way of writing them: with a blank behind the colon.
    assert_eq!(
        sandbox.call_text("length", &event),
        (event.len() + 1).to_string()
    );
    let frame = request("length", "{}").len() - 2;
    let event = request("length", &arguments(6 * 1024 * 1024 - frame));
    assert_eq!(event.len(), 6 * 1024 * 1024);
    assert_eq!(
        sandbox.send(&event, None).response(),
        result(&(6 * 1024 * 1024 - frame + 1).to_string())
    );
}

#[test]
fn an_event_that_comes_after_its_time_is_answered_all_the_same() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    assert_eq!(
        without_times(
            &sandbox
                .send_within(request("hang", "{}").as_bytes(), None, 0)
                .response()
        ),
        error(
            r#""message":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled""#
        )
    );
}

#[test]
fn an_answer_of_five_megabytes_arrives_whole() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let text = sandbox.call_text("big", "{}");
    assert!(text.len() == 5 * 1024 * 1024 && text.bytes().all(|byte| byte == b'A'));
}

#[test]
fn notifications_are_dropped_however_many() {
    check("progress", "{}", &result("progress done token=None"));
    check("flood", "{}", &result("flooded"));
}

#[test]
fn what_the_server_asks_its_client_is_refused_at_once() {
    let got = |answer: &str| {
        result(&format!(
            r#"got {{\"jsonrpc\": \"2.0\", \"id\": \"srv-1\", {answer}}}"#
        ))
    };
    let refused = |text: &str| {
        got(&format!(
            r#"\"error\": {{\"code\": -32600, \"message\": \"{text}\"}}"#
        ))
    };
    check("srv-ping", "{}", &got(r#"\"result\": {}"#));
    check("sampling", "{}", &refused("Sampling not supported"));
    check("roots", "{}", &refused("List roots not supported"));
    check("elicit", "{}", &refused("Elicitation not supported"));
    check(
        "ping-late",
        "{}",
        &got(
            r#"\"error\": {\"code\": -32602, \"message\": \"Invalid request parameters\", \"data\": \"\"}"#,
        ),
    );
}

#[test]
fn thousands_of_questions_do_not_stop_the_answer() {
    check("many-questions", "{}", &result("asked"));
}

#[test]
fn duplicate_unknown_and_stringified_ids_do_no_harm() {
    check("dup", "{}", &result("first"));
    check("wrongid", "{}", &result("stringified id"));
}

#[test]
fn an_answer_with_neither_result_nor_error_is_told_of() {
    check(
        "noresult",
        "{}",
        &error(
            r#""message":"the MCP server answered tools/call with neither a result nor an error""#,
        ),
    );
}

#[test]
fn stderr_is_logged_line_by_line_under_its_request() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    sandbox.call_text("say", r#"{"words":"one\ntwo\r\nthree\n"}"#);
    for word in ["one", "two", "three"] {
        assert_eq!(
            sandbox.wait_for_log(word),
            format!("RequestId: request-1 {word}")
        );
    }
    sandbox.call_text("stderr", "{}");
    let piece = sandbox.wait_for_log("eeee");
    assert_eq!(
        piece,
        format!("RequestId: request-2 {}", "e".repeat(64 * 1024))
    );
}

#[test]
fn a_server_that_cannot_start_is_told_of_with_its_last_words() {
    let mut sandbox = Sandbox::start(&misbehaving(&["crash-start"]));
    let answer = error(
        r#""message":"the MCP server exited with status 3 before it answered the handshake: boom at start","data":{"exitStatus":3,"stderr":"boom at start"}"#,
    );
    // The same from event to event: each one tries again.
    for _ in 0..2 {
        assert_eq!(sandbox.send(&request("ok", "{}"), None).response(), answer);
    }
    assert_eq!(
        sandbox.call("ok", "{}").function_error(),
        "Server.StartFailed: the MCP server exited with status 3 before it answered the handshake: boom at start\nLast output of the server:\nboom at start"
    );
}

#[test]
fn a_server_that_failed_at_init_gets_another_chance_at_the_first_event() {
    let mark = std::env::temp_dir().join(format!("mcplambda-start-{}", std::process::id()));
    let mut sandbox = Sandbox::start(&misbehaving(&[&format!("crash-unless={}", mark.display())]));
    sandbox.wait_for_log("exited with status 4 before it answered the handshake");
    assert_eq!(
        sandbox.send(&request("ok", "{}"), None).response(),
        result("ok")
    );
    std::fs::remove_file(&mark).expect("removed");
}

#[test]
fn a_server_that_hangs_at_start_is_given_up_after_the_startup_timeout() {
    for (flag, stderr) in [
        ("hang-start", "waiting for a database"),
        ("only-garbage", ""),
    ] {
        let mut sandbox = Builder::new(&misbehaving(&[flag]))
            .server_key("startup_timeout", 1.into())
            .start();
        let data = if stderr.is_empty() {
            String::new()
        } else {
            format!(r#","data":{{"stderr":"{stderr}"}}"#)
        };
        let last = if stderr.is_empty() {
            String::new()
        } else {
            format!(": {stderr}")
        };
        let answer = error(&format!(
            r#""message":"the MCP server did not answer the handshake within 1 s; if it needs longer to start, raise `startup_timeout`{last}"{data}"#
        ));
        assert_eq!(
            sandbox.send(&request("ok", "{}"), None).response(),
            answer,
            "{flag}"
        );
    }
}

#[test]
fn a_refused_handshake_is_told_of_with_the_servers_reason() {
    let mut sandbox = Sandbox::start(&misbehaving(&["init-error"]));
    let answer = error(
        r#""message":"the MCP server refused the handshake: MCP error -32602: Unsupported protocol version (data: {\"supported\": [\"2024-11-05\"]})""#,
    );
    assert_eq!(sandbox.send(&request("ok", "{}"), None).response(), answer);
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let mut sandbox = Sandbox::start(&["no-such-program-anywhere".to_owned()]);
    assert_eq!(
        sandbox.send(&request("ok", "{}"), None).response(),
        error(
            r#""message":"cannot start the MCP server: `no-such-program-anywhere`: No such file or directory (os error 2)""#
        )
    );
}

#[test]
fn a_server_that_died_between_two_events_is_replaced_before_the_next_call() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let first = sandbox.call_text("pid", "{}");
    signal(&first, libc::SIGKILL);
    wait_until_gone(&first);
    assert_ne!(sandbox.call_text("pid", "{}"), first);
    sandbox.wait_for_log(
        "the MCP server was killed by signal 9 between two events; starting it again",
    );
}

#[test]
fn an_agentcore_result_of_the_servers_is_passed_on_byte_for_byte() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    assert_eq!(
        sandbox.call("float", "{}"),
        Posted::Response(
            r#"{"content":[{"type":"text","text":"f"}],"structuredContent":{"f":1.0,"big":12345678901234567890,"e":1e400,"small":0.1,"exp":1e-7}}"#.to_owned()
        )
    );
}
