//! Lambda freezes an environment between two events, and thaws it at the next one, for seconds or hours. Here SIGSTOP and SIGCONT do, on the bridge and on the
//! server.

use std::thread;
use std::time::{Duration, Instant};

use crate::kinds::{KINDS, Kind, Owed};
use crate::processes::{bridge_pid, freeze, signal, state, thaw, wait_until};
use crate::sandbox::{Sandbox, client_context, misbehaving, wait_until_gone};

/// How long a freeze lasts where time has to pass in it.
const FREEZE: Duration = Duration::from_secs(2);

/// A call that was given up, with the last words of a server that spoke.
fn timed_out(last_words: &str) -> Owed {
    let message = "the MCP server did not answer tools/call within N ms, when the function's time was nearly over; the call was cancelled";
    match last_words {
        "" => Owed::ToolFailure {
            message: message.to_owned(),
            data: None,
        },
        words => Owed::ToolFailure {
            message: format!("{message}: {words}"),
            data: Some(format!(r#"{{"stderr":"{words}"}}"#)),
        },
    }
}

/// Queues a call whose tool says that it has begun, and waits until it has.
#[track_caller]
fn begin(kind: Kind, sandbox: &mut Sandbox, arguments: &str, millis: u128) {
    let request = kind.queue(sandbox, "begin", arguments, millis);
    sandbox.wait_for_log(&format!("RequestId: {request} begun"));
}

/// An environment for each kind of event in which `prepare` has been done and that has just been thawed, after [`FREEZE`].
#[track_caller]
fn frozen_for_a_while(prepare: impl Fn(Kind, &mut Sandbox)) -> [(Kind, Sandbox); 3] {
    let mut all = KINDS.map(|kind| (kind, Sandbox::start(&misbehaving(&[]))));
    let servers = all
        .each_mut()
        .map(|(_, sandbox)| sandbox.call_text("pid", "{}"));
    for ((kind, sandbox), server) in all.iter_mut().zip(&servers) {
        prepare(*kind, sandbox);
        freeze(sandbox, server);
    }
    thread::sleep(FREEZE);
    for ((_, sandbox), server) in all.iter().zip(&servers) {
        thaw(sandbox, server);
    }
    all
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
    for kind in KINDS {
        freeze(&sandbox, &server);
        let request = kind.queue(&mut sandbox, "pid", "{}", 60_000);
        thaw(&sandbox, &server);
        let (answered, posted) = sandbox.next_posted();
        assert_eq!(answered, request);
        kind.check(posted, &Owed::text(&server));
    }
}

#[test]
fn an_events_time_begins_when_it_comes_however_long_the_freeze_was() {
    let mut all = frozen_for_a_while(|_, _| {});
    let sent = Instant::now();
    for (kind, sandbox) in &mut all {
        kind.queue(sandbox, "hang", "{}", 5_000);
    }
    for (kind, sandbox) in &mut all {
        let posted = sandbox.next_posted().1;
        let took = sent.elapsed();
        kind.check(posted, &timed_out(""));
        assert!(
            took > Duration::from_secs(4) && took < Duration::from_secs(5),
            "answered after {took:?}"
        );
    }
}

#[test]
fn a_call_that_was_frozen_goes_on() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let server = sandbox.call_text("pid", "{}");
        begin(kind, &mut sandbox, r#"{"s":0.1}"#, 60_000);
        freeze(&sandbox, &server);
        thaw(&sandbox, &server);
        kind.check(sandbox.next_posted().1, &Owed::text("slept"));
        assert_eq!(kind.call_text(&mut sandbox, "pid", "{}"), server);
    }
}

#[test]
fn a_call_whose_time_passed_in_a_freeze_is_answered_at_once() {
    let millis = 1_000 + FREEZE.as_millis() / 3;
    let mut all = frozen_for_a_while(|kind, sandbox| {
        begin(kind, sandbox, r#"{"s":3600}"#, millis);
    });
    let thawed = Instant::now();
    for (kind, sandbox) in &mut all {
        let posted = sandbox.next_posted().1;
        let took = thawed.elapsed();
        kind.check(posted, &timed_out("begun"));
        assert!(took < FREEZE / 2, "answered after {took:?}");
    }
}

#[test]
fn a_server_that_was_killed_in_a_freeze_is_replaced() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let server = sandbox.call_text("pid", "{}");
        freeze(&sandbox, &server);
        die_in_the_freeze(&sandbox, &server);
        assert_ne!(kind.call_text(&mut sandbox, "pid", "{}"), server);
        assert_eq!(state(&server), None);
        sandbox.wait_for_log(
            "the MCP server was killed by signal 9 between two events; starting it again",
        );
    }
}

#[test]
fn a_call_whose_server_was_killed_in_a_freeze_is_told_so_and_not_repeated() {
    let owed = Owed::Failure {
        error_type: "Server.Exited",
        message: "the MCP server was killed by signal 9 while it answered tools/call; the call was not repeated: begun".to_owned(),
        data: Some(r#"{"signal":9,"stderr":"begun"}"#.to_owned()),
    };
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let server = sandbox.call_text("pid", "{}");
        begin(kind, &mut sandbox, r#"{"s":3600}"#, 60_000);
        freeze(&sandbox, &server);
        die_in_the_freeze(&sandbox, &server);
        kind.check(sandbox.next_posted().1, &owed);
        assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok");
    }
}

#[test]
fn a_server_that_stands_still_alone_counts_as_one_that_hangs() {
    for kind in KINDS {
        let mut sandbox = Sandbox::start(&misbehaving(&[]));
        let server = sandbox.call_text("pid", "{}");
        signal(&server, libc::SIGSTOP);
        wait_until("it stands still", || state(&server) == Some('T'));
        let posted = kind.call_within(&mut sandbox, "ok", "{}", 1_000);
        kind.check(posted, &timed_out(""));
        assert_ne!(kind.call_text(&mut sandbox, "pid", "{}"), server);
        wait_until_gone(&server);
    }
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
