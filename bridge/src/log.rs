//! The function's log: one line per fact on stderr, as text or, where the function's log format says so, as JSON.
//!
//! Enters: messages of the bridge and lines of the server. Leaves: lines that carry the id of the request they belong to. Refuses nothing; a log that cannot
//! be written never stops a call. JSON lines have the keys that Lambda's log levels are filtered by (`timestamp`, `level`).

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::json;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Bridge,
    ServerStderr,
    /// Something on the server's stdout that is not a JSON-RPC message.
    ServerStdout,
}

/// Writes the function's log and knows the request that is being served.
#[derive(Debug)]
pub(crate) struct Log {
    json: bool,
    request_id: Option<String>,
}

impl Log {
    /// `json` is whether `AWS_LAMBDA_LOG_FORMAT` is `JSON`.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            request_id: None,
        }
    }

    /// The lines from now on belong to this request.
    pub(crate) fn begin(&mut self, request_id: &str) {
        self.request_id = Some(request_id.to_owned());
    }

    /// Writes one line. Bytes that are not UTF-8 are replaced, never dropped.
    pub(crate) fn line(&self, origin: Origin, text: &str) {
        self.write(origin, "INFO", text, "");
    }

    /// Writes one line that someone should look at.
    pub(crate) fn warn(&self, text: &str) {
        self.write(Origin::Bridge, "WARN", text, "");
    }

    /// Writes one line whose facts are also JSON members in JSON format; `members` is raw JSON, `,"key":value` each.
    pub(crate) fn fact(&self, text: &str, members: &str) {
        self.write(Origin::Bridge, "INFO", text, members);
    }

    /// Writes a line that has a form of its own, its break included.
    pub(crate) fn raw(&self, line: &str) {
        // As below.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn write(&self, origin: Origin, level: &str, text: &str, members: &str) {
        let line = if self.json {
            let source = match origin {
                Origin::Bridge => "bridge",
                Origin::ServerStderr => "server",
                Origin::ServerStdout => "server stdout",
            };
            let request = self
                .request_id
                .as_ref()
                .map(|id| format!(r#","requestId":{}"#, json::quote(id)))
                .unwrap_or_default();
            let time = timestamp(SystemTime::now());
            format!(
                "{{\"timestamp\":\"{time}\",\"level\":\"{level}\"{request},\"source\":\"{source}\",\"message\":{}{members}}}\n",
                json::quote(text)
            )
        } else {
            let request = self
                .request_id
                .as_deref()
                .map_or_else(|| "INIT".to_owned(), |id| format!("RequestId: {id}"));
            let mark = match origin {
                Origin::Bridge => "mcplambda: ",
                Origin::ServerStderr => "",
                Origin::ServerStdout => "not a message on stdout: ",
            };
            format!("{request} {mark}{text}\n")
        };
        // One write per line keeps it whole; a closed log is no reason to fail the call.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// RFC 3339 in UTC with milliseconds, as Lambda's log filters read it.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (elapsed.as_secs(), elapsed.subsec_millis());
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in eras of 400 years: the civil calendar without leap-year special cases.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    );
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timestamps_are_civil_time_in_utc() {
        let at = |seconds: u64, millis: u64| {
            timestamp(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + millis))
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.005Z");
        assert_eq!(at(1_795_391_999, 999), "2026-11-22T23:59:59.999Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }
}
