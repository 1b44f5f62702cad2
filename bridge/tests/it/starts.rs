//! A server may start as it likes, or not at all: the exact answer that a caller of each kind of event gets.

use crate::kinds::{KINDS, Owed};
use crate::sandbox::{Builder, Sandbox, misbehaving};

/// A start that failed, with the server's last words.
fn failed(message: &str, last_words: &str, data: Option<&str>) -> Owed {
    let colon = if last_words.is_empty() { "" } else { ": " };
    Owed::Failure {
        error_type: "Server.StartFailed",
        message: format!("{message}{colon}{last_words}"),
        data: data.map(str::to_owned),
    }
}

#[test]
fn stray_output_at_the_start_does_not_disturb_the_handshake() {
    for flag in ["banner", "garbage-start", "stderr-flood", "silent-probe"] {
        let mut sandbox = Sandbox::start(&misbehaving(&[flag]));
        for kind in KINDS {
            let posted = kind.call(&mut sandbox, "ok", "{}");
            kind.check(posted, &Owed::text("ok"));
        }
    }
}

#[test]
fn a_server_that_cannot_start_is_told_of_with_its_last_words() {
    let mut sandbox = Sandbox::start(&misbehaving(&["crash-start"]));
    let data = r#"{"exitStatus":3,"stderr":"boom at start"}"#;
    let owed = failed(
        "the MCP server exited with status 3 before it answered the handshake",
        "boom at start",
        Some(data),
    );
    // The same from event to event: each one tries again.
    for kind in KINDS {
        let posted = kind.call(&mut sandbox, "ok", "{}");
        kind.check(posted, &owed);
    }
    // It never read what it was asked, so nobody asks it in another way.
    let log = sandbox.log();
    assert!(
        !log.iter().any(|line| line.contains("which era of MCP")),
        "{log:#?}"
    );
}

#[test]
fn a_server_that_failed_at_init_gets_another_chance_at_the_first_event() {
    let mark = std::env::temp_dir().join(format!("mcplambda-start-{}", std::process::id()));
    for kind in KINDS {
        let mut sandbox =
            Sandbox::start(&misbehaving(&[&format!("crash-unless={}", mark.display())]));
        sandbox.wait_for_log("exited with status 4 before it answered the handshake");
        let posted = kind.call(&mut sandbox, "ok", "{}");
        kind.check(posted, &Owed::text("ok"));
        std::fs::remove_file(&mark).expect("removed");
    }
}

#[test]
fn a_server_that_hangs_at_start_is_given_up_after_the_startup_timeout() {
    for (flag, last_words) in [
        ("hang-start", "waiting for a database"),
        ("only-garbage", ""),
    ] {
        let mut sandbox = Builder::new(&misbehaving(&[flag]))
            .server_key("startup_timeout", 1.into())
            .start();
        let data = format!(r#"{{"stderr":"{last_words}"}}"#);
        let owed = failed(
            "the MCP server did not answer the handshake within 1 s; if it needs longer to start, raise `startup_timeout`",
            last_words,
            (!last_words.is_empty()).then_some(data.as_str()),
        );
        for kind in KINDS {
            let posted = kind.call(&mut sandbox, "ok", "{}");
            kind.check(posted, &owed);
        }
    }
}

#[test]
fn a_refused_handshake_is_told_of_with_the_servers_reason() {
    let mut sandbox = Sandbox::start(&misbehaving(&["init-error"]));
    let owed = Owed::Failure {
        error_type: "Server.HandshakeFailed",
        message: r#"the MCP server refused the handshake: MCP error -32602: Unsupported protocol version (data: {"supported": ["2024-11-05"]})"#.to_owned(),
        data: None,
    };
    for kind in KINDS {
        let posted = kind.call(&mut sandbox, "ok", "{}");
        kind.check(posted, &owed);
    }
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let mut sandbox = Sandbox::start(&["no-such-program-anywhere".to_owned()]);
    let owed = failed(
        "cannot start the MCP server: `no-such-program-anywhere`: No such file or directory (os error 2)",
        "",
        None,
    );
    for kind in KINDS {
        let posted = kind.call(&mut sandbox, "ok", "{}");
        kind.check(posted, &owed);
    }
}

#[test]
fn a_slow_start_is_waited_for_by_the_first_event() {
    // Longer than the bridge waits at init, so that the event is taken before the server is ready. The event has the whole startup timeout for itself.
    let start = |_| {
        Builder::new(&misbehaving(&["slow-start=11.5"]))
            .server_key("startup_timeout", 10.into())
            .start()
    };
    // All at once: most of the time nothing is computed.
    let sandboxes = KINDS.map(start);
    for (kind, mut sandbox) in KINDS.into_iter().zip(sandboxes) {
        sandbox.wait_for_log("the MCP server is still starting after");
        assert_eq!(kind.call_text(&mut sandbox, "ok", "{}"), "ok");
    }
}

#[test]
fn a_first_event_without_time_to_wait_is_answered_and_the_server_goes_on_starting() {
    let owed = failed(
        "the MCP server was still starting after N ms, when the function's time was nearly over; raise the function's `timeout`",
        "",
        None,
    );
    let sandboxes = KINDS.map(|_| Sandbox::start(&misbehaving(&["slow-start=13"])));
    let mut waiting: Vec<_> = KINDS.into_iter().zip(sandboxes).collect();
    for (kind, sandbox) in &mut waiting {
        sandbox.wait_for_log("the MCP server is still starting after");
        let posted = kind.call_within(sandbox, "ok", "{}", 500);
        kind.check(posted, &owed);
    }
    for (kind, sandbox) in &mut waiting {
        assert_eq!(kind.call_text(sandbox, "ok", "{}"), "ok");
        // The log has a pipe of its own: its line may come after the answer.
        sandbox.wait_for_log("ready after");
        let starts = sandbox
            .log()
            .into_iter()
            .filter(|line| line.contains("ready after"))
            .count();
        assert_eq!(starts, 1);
    }
}
