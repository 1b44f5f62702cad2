//! A server may do whatever it likes in a call: the exact answer that a caller of each kind of event gets, and that its next call is served.

use serde_json::json;

use crate::kinds::{KINDS, Kind, Owed, request};
use crate::processes::{signal, state, wait_until};
use crate::sandbox::{
    Sandbox, client_context, is_alive, misbehaving, modern, url_event, wait_until_gone,
};

const TIMED_OUT: &str = "the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled";

/// A call that the server did not answer because it `ended`.
fn exited(ended: &str, last_words: &str, data: Option<&str>) -> Owed {
    Owed::Failure {
        error_type: "Server.Exited",
        message: format!(
            "the MCP server {ended} while it answered tools/call; the call was not repeated{last_words}"
        ),
        data: data.map(str::to_owned),
    }
}

fn timed_out() -> Owed {
    Owed::ToolFailure {
        message: TIMED_OUT.to_owned(),
        data: None,
    }
}

fn invalid(message: &str) -> Owed {
    Owed::Failure {
        error_type: "Server.InvalidResponse",
        message: message.to_owned(),
        data: None,
    }
}

/// Makes one call as each kind of event, each to a server of its own, compares the whole answer, and checks that the next call of that kind is served.
#[track_caller]
fn check(tool: &str, arguments: &str, owed: &Owed) {
    for kind in KINDS {
        check_kind(kind, tool, arguments, owed);
    }
}

#[track_caller]
fn check_kind(kind: Kind, tool: &str, arguments: &str, owed: &Owed) -> Sandbox {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let posted = kind.call(&mut sandbox, tool, arguments);
    kind.check(posted, owed);
    assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok", "{kind:?}");
    sandbox
}

#[test]
fn a_server_that_exits_is_told_of_with_its_status_and_last_words() {
    let data = r#"{"exitStatus":7,"stderr":"dying"}"#;
    check(
        "exit",
        "{}",
        &exited("exited with status 7", ": dying", Some(data)),
    );
}

#[test]
fn a_server_that_exits_is_restarted() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let first = kind.call_text(&mut sandbox, "pid", "{}");
        kind.call(&mut sandbox, "exit", "{}");
        assert_ne!(kind.call_text(&mut sandbox, "pid", "{}"), first);
    }
}

#[test]
fn a_server_that_exits_without_a_word_is_told_of() {
    let data = r#"{"exitStatus":0}"#;
    check(
        "exit0",
        "{}",
        &exited("exited with status 0", "", Some(data)),
    );
}

#[test]
fn a_server_that_is_killed_is_told_of_with_the_signal() {
    let data = r#"{"signal":9}"#;
    check(
        "killed",
        "{}",
        &exited("was killed by signal 9", "", Some(data)),
    );
}

#[test]
fn half_an_answer_is_none() {
    let data = r#"{"exitStatus":1}"#;
    check(
        "half-line",
        "{}",
        &exited("exited with status 1", "", Some(data)),
    );
}

#[test]
fn a_server_that_closes_its_stdout_is_told_of_and_restarted() {
    check("close-stdout", "{}", &exited("closed its stdout", "", None));
}

/// What the server left behind when it died in the call: the process that its last words name.
#[track_caller]
fn left_behind(kind: Kind, sandbox: &mut Sandbox, tool: &str, arguments: &str) -> String {
    let posted = kind.call(sandbox, tool, arguments);
    let (message, _) = kind.failure(posted);
    let (what, pid) = message
        .split_once(": leaving ")
        .unwrap_or_else(|| panic!("no last words: {message}"));
    assert!(
        what.ends_with("the MCP server exited with status 5 while it answered tools/call; the call was not repeated"),
        "{message}"
    );
    let pid = pid.split(' ').next().expect("a process id");
    pid.to_owned()
}

#[test]
fn an_exit_is_noticed_though_a_grandchild_holds_the_pipes_and_the_grandchild_goes_too() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let arguments = r#"{"pipes":true,"die":true}"#;
        let pid = left_behind(kind, &mut sandbox, "child", arguments);
        wait_until_gone(&pid);
        assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok");
    }
}

#[test]
fn what_left_the_servers_group_goes_with_it_and_does_not_delay_the_answer() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let arguments = r#"{"s":600,"pipes":true,"die":true}"#;
        let orphan = left_behind(kind, &mut sandbox, "orphan", arguments);
        // Killed and cleared away before the answer: not even a zombie is left.
        assert_eq!(state(&orphan), None);
        assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok");
    }
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
    sandbox.call("exit", "{}").function_error();
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
    for kind in KINDS {
        let posted = kind.call(&mut sandbox, "any", "{}");
        kind.failure(posted);
    }
    assert_eq!(std::fs::read_to_string(&mark).expect("written"), "xxx");
    std::fs::remove_file(&mark).expect("removed");
}

#[test]
fn a_hung_call_is_cancelled_and_answered_in_time_and_a_hung_server_is_restarted() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let first = kind.call_text(&mut sandbox, "pid", "{}");
        let posted = kind.call_within(&mut sandbox, "hang", "{}", 1_000);
        kind.check(posted, &timed_out());
        assert_ne!(kind.call_text(&mut sandbox, "pid", "{}"), first);
        sandbox.wait_for_log("has not answered since a call of it timed out; starting it again");
        wait_until_gone(&first);
    }
}

#[test]
fn a_server_that_lets_one_call_time_out_but_still_answers_is_kept() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let first = kind.call_text(&mut sandbox, "pid", "{}");
        kind.call_within(&mut sandbox, "park", "{}", 1_000);
        assert_eq!(kind.call_text(&mut sandbox, "pid", "{}"), first);
        sandbox.wait_for_log("cancelled");
    }
}

#[test]
fn a_hung_server_of_the_modern_era_is_restarted_too() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&modern(&[]));
        let posted = kind.call_within(&mut sandbox, "hang", "{}", 1_000);
        kind.check(posted, &timed_out());
        assert_eq!(kind.call_text(&mut sandbox, "object", "{}"), "{}");
        sandbox.wait_for_log("starting it again");
    }
}

#[test]
fn an_answer_that_comes_after_its_time_goes_to_nobody() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        kind.call_within(&mut sandbox, "sleep", r#"{"s":1.0}"#, 900);
        // The server wakes within the second that it has to show itself; its old answer must not be taken for this call's.
        let posted = kind.call(&mut sandbox, "ok", "{}");
        kind.check(posted, &Owed::text("ok"));
    }
}

#[test]
fn an_event_that_comes_after_its_time_is_answered_all_the_same() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let posted = kind.call_within(&mut sandbox, "hang", "{}", 0);
        kind.check(posted, &timed_out());
    }
}

#[test]
fn stray_output_is_logged_and_the_answer_behind_it_is_found() {
    for kind in KINDS {
        let sandbox = check_kind(kind, "garbage", "{}", &Owed::text("after garbage"));
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
    }
    check("bad-utf8", "{}", &Owed::text("after bad utf8"));
    check("split", "{}", &Owed::text("split"));
}

#[test]
fn an_answer_with_broken_characters_is_still_an_answer() {
    let repaired = "{\"content\":[{\"type\":\"text\",\"text\":\"caf\u{fffd}\"}]}";
    check(
        "broken-characters",
        "{}",
        &Owed::Result(repaired.to_owned()),
    );
}

#[test]
fn a_line_of_twenty_megabytes_is_read_and_refused_by_its_size() {
    // AgentCore gets the result alone, without the response around it.
    let frame = r#"{"jsonrpc":"2.0","id":"mine","result":}"#.len();
    for (kind, bytes) in [
        (Kind::Raw, 20_000_082),
        (Kind::AgentCore, 20_000_082 - frame),
        (Kind::Url, 20_000_082),
    ] {
        let owed = Owed::ToolFailure {
            message: format!(
                "the answer has {bytes} bytes, more than the 6291556 that Lambda carries; ask for less at a time"
            ),
            data: None,
        };
        check_kind(kind, "big", r#"{"bytes":20000000}"#, &owed);
    }
}

#[test]
fn a_line_beyond_all_measure_is_dropped_and_told_of() {
    check(
        "big",
        r#"{"bytes":70000000}"#,
        &invalid(
            "the MCP server wrote a line of more than 67108864 bytes while it answered tools/call",
        ),
    );
}

#[test]
fn an_event_as_large_as_lambda_takes_reaches_the_server_whole() {
    // What Lambda takes for an event.
    const LARGEST: usize = 6 * 1024 * 1024;
    let arguments = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        // What stands around the arguments; their own four quotes are escaped in a function URL's body.
        let frame = match kind {
            Kind::AgentCore => 0,
            Kind::Raw => request("length", "").len(),
            Kind::Url => {
                let empty = request("length", "");
                url_event("POST", json!({}), &empty).len() + 4
            }
        };
        let arguments = arguments(LARGEST - frame);
        // The server counts its own way of writing them: with a blank behind the colon.
        assert_eq!(
            kind.call_text(&mut sandbox, "length", &arguments),
            (arguments.len() + 1).to_string(),
            "{kind:?}"
        );
    }
}

#[test]
fn an_answer_of_five_megabytes_arrives_whole() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let text = kind.call_text(&mut sandbox, "big", "{}");
        assert!(text.len() == 5 * 1024 * 1024 && text.bytes().all(|byte| byte == b'A'));
    }
}

#[test]
fn notifications_are_dropped_however_many() {
    check("progress", "{}", &Owed::text("progress done token=None"));
    check("flood", "{}", &Owed::text("flooded"));
}

#[test]
fn what_the_server_asks_its_client_is_refused_at_once() {
    let got = |answer: &str| {
        Owed::text(&format!(
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
    check("many-questions", "{}", &Owed::text("asked"));
}

#[test]
fn duplicate_unknown_and_stringified_ids_do_no_harm() {
    check("dup", "{}", &Owed::text("first"));
    check("wrongid", "{}", &Owed::text("stringified id"));
}

#[test]
fn an_answer_with_neither_result_nor_error_is_told_of() {
    check(
        "noresult",
        "{}",
        &invalid("the MCP server answered tools/call with neither a result nor an error"),
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
fn a_server_that_died_between_two_events_is_replaced_before_the_next_call() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let first = kind.call_text(&mut sandbox, "pid", "{}");
        signal(&first, libc::SIGKILL);
        wait_until_gone(&first);
        assert_ne!(kind.call_text(&mut sandbox, "pid", "{}"), first);
        sandbox.wait_for_log(
            "the MCP server was killed by signal 9 between two events; starting it again",
        );
    }
}

#[test]
fn a_result_of_the_servers_is_passed_on_byte_for_byte() {
    let result = r#"{"content":[{"type":"text","text":"f"}],"structuredContent":{"f":1.0,"big":12345678901234567890,"e":1e400,"small":0.1,"exp":1e-7}}"#;
    check("float", "{}", &Owed::Result(result.to_owned()));
}

#[test]
fn events_that_cannot_be_read_are_refused_in_each_callers_terms_and_the_next_one_is_served() {
    for (kind, body, context, answer) in [
        (
            Kind::Raw,
            "{\"jsonrpc\":",
            None,
            "Runtime.UnmarshalError: Unable to unmarshal input: EOF while parsing a value at line 1 column 11",
        ),
        (
            Kind::AgentCore,
            "[1]",
            Some(client_context("ok")),
            "ValueError: Invalid event: the arguments of a tool must be a JSON object",
        ),
    ] {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let posted = sandbox.send(body, context.as_deref());
        assert_eq!(posted.function_error(), answer);
        assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok");
    }
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let event = url_event("POST", json!({}), "{\"jsonrpc\":");
    assert_eq!(
        sandbox.send(&event, None).http(),
        (
            400,
            "application/json".to_owned(),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: Invalid JSON"}}"#.to_owned()
        )
    );
    assert_eq!(Kind::Url.call_text(&mut sandbox, "ok", "{}"), "ok");
}
