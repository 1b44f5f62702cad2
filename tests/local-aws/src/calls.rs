//! The log of AWS API calls that tests read at `/_local/calls`.

use std::sync::Mutex;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::call::Call;
use crate::ids;

/// Every AWS API call since the start or the last clearing, in order of arrival.
#[derive(Default)]
pub(crate) struct Calls {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Counts on across clearings, so that a late answer never lands on another call's entry.
    next: u64,
    list: Vec<Entry>,
}

struct Entry {
    n: u64,
    at: SystemTime,
    call: Call,
    /// `None` while the call is under way, and for ever when its connection was cut.
    status: Option<u16>,
}

impl Calls {
    /// Notes a call's arrival and returns its number.
    pub(crate) fn arrived(&self, call: &Call) -> u64 {
        let mut entries = self.lock();
        entries.next += 1;
        let n = entries.next;
        entries.list.push(Entry {
            n,
            at: SystemTime::now(),
            call: call.clone(),
            status: None,
        });
        n
    }

    /// Notes what call `n` was answered.
    pub(crate) fn answered(&self, n: u64, status: u16) {
        if let Some(entry) = self.lock().list.iter_mut().rev().find(|entry| entry.n == n) {
            entry.status = Some(status);
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().list.clear();
    }

    /// `{"calls": [{"n", "time", "service", "action", "resource", "region", "user_agent",
    /// "status"}]}`
    pub(crate) fn to_json(&self) -> Value {
        let entries = self.lock();
        let calls = entries.list.iter().map(|entry| {
            json!({
                "n": entry.n,
                "time": ids::rfc3339(entry.at),
                "service": entry.call.service,
                "action": entry.call.action,
                "resource": entry.call.resource,
                "region": entry.call.region,
                "user_agent": entry.call.user_agent,
                "status": entry.status,
            })
        });
        json!({"calls": calls.collect::<Vec<_>>()})
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        // Nothing that holds this lock can panic half-way through a change.
        self.entries
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
