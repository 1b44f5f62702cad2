//! Lambda freezes an environment between two events, and thaws it at the next one, for seconds or hours. Here SIGSTOP and SIGCONT do, on the bridge and on the
//! server.

use std::thread;
use std::time::{Duration, Instant};

use crate::contract::without_times;
use crate::processes::{bridge_pid, freeze, signal, state, thaw, wait_until};
use crate::sandbox::{Sandbox, client_context, misbehaving, wait_until_gone};

/// How long a freeze lasts where time has to pass in it.
const FREEZE: Duration = Duration::from_secs(2);

const TIMED_OUT: &str = r#"{"content":[{"type":"text","text":"the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled"}],"isError":true}"#;

/// Queues a call whose tool says that it has begun, and waits until it has.
#[track_caller]
fn begin(sandbox: &mut Sandbox, arguments: &str, millis: u128) -> String {
    let request = sandbox.queue(arguments.as_bytes(), Some(&client_context("begin")), millis);
    sandbox.wait_for_log(&format!("RequestId: {request} begun"));
    request
}

/// Kills the frozen server, and thaws the bridge when it is dead.
#[track_caller]
fn die_in_the_freeze(sandbox: &Sandbox, server: &str) {
    signal(server, libc::SIGKILL);
    wait_until("the server is dead", || state(server) == Some('Z'));
    signal(&bridge_pid(sandbox), libc::SIGCONT);
}

#[test]
fn an_environment_frozen_between_two_events_serves_the_next_one_with_the_same_server() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    for _ in 0..3 {
        freeze(&sandbox, &server);
        let request = sandbox.queue(b"{}", Some(&client_context("pid")), 60_000);
        thaw(&sandbox, &server);
        let (answered, posted) = sandbox.next_posted();
        assert_eq!(answered, request);
        assert_eq!(
            posted.response(),
            format!(r#"{{"content": [{{"type": "text", "text": "{server}"}}]}}"#)
        );
    }
}

#[test]
fn an_events_time_begins_when_it_comes_however_long_the_freeze_was() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    freeze(&sandbox, &server);
    thread::sleep(FREEZE);
    thaw(&sandbox, &server);
    let sent = Instant::now();
    let posted = sandbox.send_within(b"{}", Some(&client_context("hang")), 5_000);
    let took = sent.elapsed();
    assert_eq!(without_times(&posted.response()), TIMED_OUT);
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(5),
        "answered after {took:?}"
    );
}

#[test]
fn a_call_that_was_frozen_goes_on() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    begin(&mut sandbox, r#"{"s":0.1}"#, 60_000);
    freeze(&sandbox, &server);
    thaw(&sandbox, &server);
    assert_eq!(
        sandbox.next_posted().1.response(),
        r#"{"content": [{"type": "text", "text": "slept"}]}"#
    );
    assert_eq!(sandbox.call_text("pid", "{}"), server);
}

#[test]
fn a_call_whose_time_passed_in_a_freeze_is_answered_at_once() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    begin(
        &mut sandbox,
        r#"{"s":3600}"#,
        1_000 + FREEZE.as_millis() / 3,
    );
    freeze(&sandbox, &server);
    thread::sleep(FREEZE);
    let thawed = Instant::now();
    thaw(&sandbox, &server);
    let posted = sandbox.next_posted().1;
    let took = thawed.elapsed();
    assert_eq!(
        without_times(&posted.response()),
        TIMED_OUT.replace(
            "cancelled",
            r"cancelled: begun\nLast output of the server:\nbegun"
        )
    );
    assert!(took < FREEZE / 2, "answered after {took:?}");
}

#[test]
fn a_server_that_was_killed_in_a_freeze_is_replaced() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    freeze(&sandbox, &server);
    die_in_the_freeze(&sandbox, &server);
    assert_ne!(sandbox.call_text("pid", "{}"), server);
    assert_eq!(state(&server), None);
    sandbox.wait_for_log(
        "the MCP server was killed by signal 9 between two events; starting it again",
    );
}

#[test]
fn a_call_whose_server_was_killed_in_a_freeze_is_told_so_and_not_repeated() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    begin(&mut sandbox, r#"{"s":3600}"#, 60_000);
    freeze(&sandbox, &server);
    die_in_the_freeze(&sandbox, &server);
    assert_eq!(
        sandbox.next_posted().1.function_error(),
        "Server.Exited: the MCP server was killed by signal 9 while it answered tools/call; the call was not repeated: begun\nLast output of the server:\nbegun"
    );
    assert_eq!(sandbox.call_text("ok", "{}"), "ok");
}

#[test]
fn a_server_that_stands_still_alone_counts_as_one_that_hangs() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    signal(&server, libc::SIGSTOP);
    wait_until("it stands still", || state(&server) == Some('T'));
    let posted = sandbox.send_within(b"{}", Some(&client_context("ok")), 1_000);
    assert_eq!(without_times(&posted.response()), TIMED_OUT);
    assert_ne!(sandbox.call_text("pid", "{}"), server);
    wait_until_gone(&server);
}

#[test]
fn a_server_that_was_frozen_while_it_started_is_waited_for() {
    let mut sandbox = Sandbox::start(&misbehaving(&["hello", "slow-start=0.2"]));
    let hello = sandbox.wait_for_log("hello from ");
    let server = hello.rsplit(' ').next().expect("a process id").to_owned();
    freeze(&sandbox, &server);
    let request = sandbox.queue(b"{}", Some(&client_context("pid")), 60_000);
    thaw(&sandbox, &server);
    let (answered, posted) = sandbox.next_posted();
    assert_eq!(answered, request);
    assert_eq!(
        posted.response(),
        format!(r#"{{"content": [{{"type": "text", "text": "{server}"}}]}}"#)
    );
}

#[test]
fn a_server_that_died_in_a_freeze_while_it_started_is_started_again() {
    let mut sandbox = Sandbox::start(&misbehaving(&["hello", "slow-start=0.2"]));
    let hello = sandbox.wait_for_log("hello from ");
    let server = hello.rsplit(' ').next().expect("a process id").to_owned();
    freeze(&sandbox, &server);
    die_in_the_freeze(&sandbox, &server);
    assert_ne!(sandbox.call_text("pid", "{}"), server);
    sandbox.wait_for_log("the MCP server was killed by signal 9 before it answered the handshake");
}
