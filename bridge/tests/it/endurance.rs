//! Many calls in a row leave nothing behind.

use crate::processes::{anonymous_kilobytes, bridge_pid, children, open_files};
use crate::sandbox::{Sandbox, misbehaving};

/// Enough for a leak of 64 bytes a call to be twice what may come and go.
const CALLS: usize = 2_000;
/// What the allocator's own pages may move by.
const BOUND_KILOBYTES: u64 = 64;

#[test]
fn thousands_of_calls_leave_memory_files_and_processes_as_they_were() {
    let mut sandbox = Sandbox::start(&misbehaving(&[]));
    let server = sandbox.call_text("pid", "{}");
    let bridge = bridge_pid(&sandbox);
    // Good calls, failing ones, notifications, and events that are none.
    let round = |sandbox: &mut Sandbox| {
        assert_eq!(sandbox.call_text("ok", r#"{"a":[1,2,3]}"#), "ok");
        sandbox.call("rpcerror", "{}").function_error();
        sandbox.send("[]", None).response();
        sandbox
            .send(
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress"}}"#,
                None,
            )
            .response();
    };
    let look = |sandbox: &Sandbox| {
        (
            anonymous_kilobytes(&bridge),
            open_files(&bridge),
            children(&bridge_pid(sandbox)),
        )
    };
    // The first rounds fill buffers that are then kept.
    for _ in 0..CALLS / 8 {
        round(&mut sandbox);
    }
    let (memory, files, processes) = look(&sandbox);
    assert_eq!(processes, [server.as_str()]);
    for _ in 0..CALLS / 4 {
        round(&mut sandbox);
    }
    let (memory_then, files_then, processes_then) = look(&sandbox);
    assert_eq!((files_then, processes_then), (files, processes));
    assert!(
        memory_then <= memory + BOUND_KILOBYTES,
        "{memory} kB became {memory_then} kB"
    );
}
