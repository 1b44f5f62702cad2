//! With a process per event the next one is started ahead, when the one before it has gone.

use serde_json::{Value, json};

use crate::processes::{bridge_pid, children, freeze, signal, thaw, wait_until};
use crate::sandbox::{
    Builder, Posted, Sandbox, client_context, is_alive, misbehaving, wait_until_gone,
};

fn builder(flags: &[&str]) -> Builder {
    Builder::new(&misbehaving(flags)).server_key("process_scope", json!("invocation"))
}

/// The ids of the processes that have answered the handshake, in their order, once there are `count`.
#[track_caller]
fn started(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let pid = |line: &String| {
        Some(
            line.split_once(" era, pid ")?
                .1
                .trim_end_matches(')')
                .to_owned(),
        )
    };
    let mut pids: Vec<String> = Vec::new();
    wait_until(&format!("{count} servers are ready"), || {
        pids = sandbox.log().iter().filter_map(pid).collect();
        pids.len() >= count
    });
    pids
}

#[test]
fn the_next_process_is_ready_before_its_event_comes_and_serves_it() {
    let mut sandbox = builder(&[]).start();
    for number in 1..5 {
        let ready = started(&sandbox, number);
        assert_eq!(ready.len(), number, "{ready:?}");
        assert_eq!(sandbox.call_text("pid", "{}"), ready[number - 1]);
    }
}

#[test]
fn a_process_that_died_while_it_waited_is_replaced() {
    let mut sandbox = builder(&[]).start();
    sandbox.call_text("ok", "{}");
    let waiting = started(&sandbox, 2)[1].clone();
    signal(&waiting, libc::SIGKILL);
    wait_until_gone(&waiting);
    let served = sandbox.call_text("pid", "{}");
    assert_eq!(started(&sandbox, 3)[2], served);
    sandbox.wait_for_log(
        "the MCP server was killed by signal 9 between two events; starting it again",
    );
}

#[test]
fn a_process_that_has_waited_too_long_is_replaced() {
    let mut sandbox = builder(&[])
        .variable("MCPLAMBDA_AHEAD_SECONDS", "0")
        .start();
    for number in [1, 3, 5] {
        let waited = started(&sandbox, number)[number - 1].clone();
        let served = sandbox.call_text("pid", "{}");
        assert_ne!(served, waited);
        assert!(!is_alive(&waited));
        assert_eq!(started(&sandbox, number + 1)[number], served);
    }
    sandbox.wait_for_log("the MCP server was started ahead more than 0 s ago; starting it again");
}

#[test]
fn a_process_that_is_kept_warm_is_never_too_old() {
    let mut sandbox = Builder::new(&misbehaving(&[]))
        .variable("MCPLAMBDA_AHEAD_SECONDS", "0")
        .start();
    let first = sandbox.call_text("pid", "{}");
    assert_eq!(sandbox.call_text("pid", "{}"), first);
}

#[test]
fn a_limit_that_is_no_number_tells_lambda_at_init() {
    let mut sandbox = builder(&[])
        .variable("MCPLAMBDA_AHEAD_SECONDS", "soon")
        .start();
    match sandbox.next_posted().1 {
        Posted::InitError { body, .. } => {
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(
                body["errorMessage"],
                "MCPLAMBDA_AHEAD_SECONDS is `soon`, which is no number of seconds"
            );
        }
        other => panic!("expected an init error, got {other:?}"),
    }
}

#[test]
fn there_are_never_two_processes_at_once() {
    let lock = std::env::temp_dir().join(format!("mcplambda-alone-{}", std::process::id()));
    let alone = format!("alone={}", lock.display());
    for (flags, calls) in [(vec![&*alone], 15), (vec![&*alone, "ignore-eof"], 3)] {
        let mut sandbox = builder(&flags).start();
        for number in 0..calls {
            match number % 3 {
                0 => drop(sandbox.call("exit", "{}").function_error()),
                _ => assert_eq!(sandbox.call_text("ok", "{}"), "ok"),
            }
        }
        sandbox.call_text("ok", "{}");
        assert_eq!(started(&sandbox, calls + 2).len(), calls + 2);
        assert_eq!(children(&bridge_pid(&sandbox)).len(), 1);
        let log = sandbox.log();
        assert!(
            !log.iter().any(|line| line.contains("not alone")),
            "{log:#?}"
        );
    }
    std::fs::remove_file(&lock).expect("removed");
}

#[test]
fn a_process_that_was_frozen_while_it_started_serves_its_event() {
    let mut sandbox = builder(&["hello", "slow-start=0.3"]).start();
    sandbox.call_text("ok", "{}");
    // It has begun, and is not ready.
    let mut waiting = Vec::new();
    wait_until("the next process has begun", || {
        waiting = sandbox
            .log()
            .iter()
            .filter_map(|line| Some(line.split_once("hello from ")?.1.to_owned()))
            .collect();
        waiting.len() == 2
    });
    freeze(&sandbox, &waiting[1]);
    let request = sandbox.queue(b"{}", Some(&client_context("pid")), 60_000);
    thaw(&sandbox, &waiting[1]);
    let (answered, posted) = sandbox.next_posted();
    assert_eq!(answered, request);
    assert_eq!(
        posted.response(),
        format!(
            r#"{{"content": [{{"type": "text", "text": "{}"}}]}}"#,
            waiting[1]
        )
    );
}

#[test]
fn a_server_that_cannot_start_is_not_tried_between_events() {
    let mut sandbox = builder(&["hello", "crash-start"]).start();
    for _ in 0..3 {
        let error = sandbox.call("ok", "{}").function_error();
        assert!(error.contains("boom at start"), "{error}");
    }
    let starts = || {
        let log = sandbox.log();
        let begun =
            |line: &&String| line.starts_with("INIT hello") || line.contains(" hello from ");
        log.iter().filter(begun).count()
    };
    // One at init, one for each event.
    wait_until("all that was started has said so", || starts() >= 4);
    assert_eq!(starts(), 4);
}
