//! Enters: the tail of a function's log. Leaves: what Lambda measured, and the lines that the server itself wrote.
//! Refuses nothing: a number that is not there is `None`.
//!
//! Text format: `REPORT RequestId: …<tab>Duration: 3.02 ms<tab>Billed Duration: …<tab>Memory Size: 128 MB<tab>Max Memory
//! Used: 60 MB<tab>Init Duration: 120.31 ms`. JSON format: a line whose `type` is `platform.report`, its numbers in
//! `record.metrics` (Lambda Developer Guide, "Lambda log formats").

use serde_json::Value;

/// What Lambda measured for one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// Milliseconds that the handling took.
    pub(super) duration_ms: Option<f64>,
    /// Milliseconds that starting the environment took; only the first invocation in an environment has it.
    pub(super) init_ms: Option<f64>,
    /// The most memory used so far in this environment, MB.
    pub(super) max_memory_mb: Option<u64>,
}

/// The last report in `log`.
pub(super) fn measured(log: &str) -> Measured {
    let report = |line: &str| text_report(line).or_else(|| json_report(line));
    log.lines().rev().find_map(report).unwrap_or_default()
}

/// `log` without the lines that Lambda writes itself.
pub(super) fn own_lines(log: &str) -> String {
    let platform = [
        "START RequestId: ",
        "END RequestId: ",
        "REPORT RequestId: ",
        "INIT_START ",
        "INIT_REPORT ",
        "XRAY TraceId: ",
    ];
    let own: Vec<&str> = log
        .lines()
        .filter(|line| !platform.iter().any(|start| line.starts_with(start)))
        .filter(|line| platform_event(line).is_none())
        .collect();
    own.join("\n").trim().to_owned()
}

fn text_report(line: &str) -> Option<Measured> {
    let fields = line.strip_prefix("REPORT RequestId: ")?;
    let field = |name: &str| {
        let named = |field: &str| {
            field
                .trim()
                .strip_prefix(name)?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        };
        fields.split('\t').find_map(named)
    };
    let number = |name: &str| field(name)?.parse().ok();
    Some(Measured {
        duration_ms: number("Duration: "),
        init_ms: number("Init Duration: "),
        max_memory_mb: field("Max Memory Used: ")?.parse().ok(),
    })
}

fn json_report(line: &str) -> Option<Measured> {
    let event = platform_event(line).filter(|event| event["type"] == "platform.report")?;
    let metrics = &event["record"]["metrics"];
    Some(Measured {
        duration_ms: metrics["durationMs"].as_f64(),
        init_ms: metrics["initDurationMs"].as_f64(),
        max_memory_mb: metrics["maxMemoryUsedMB"].as_u64(),
    })
}

/// A line that Lambda wrote in JSON format.
fn platform_event(line: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(line.trim()).ok()?;
    event["type"]
        .as_str()?
        .starts_with("platform.")
        .then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_log_formats_tell_the_same_numbers() {
        let text = "START RequestId: 1 Version: 3\nhello\nEND RequestId: 1\n\
                    REPORT RequestId: 1\tDuration: 812.40 ms\tBilled Duration: 1312 ms\tMemory Size: 1024 MB\t\
                    Max Memory Used: 93 MB\tInit Duration: 499.10 ms\t\n";
        let json = "{\"type\":\"platform.start\",\"record\":{}}\nhello\n\
                    {\"time\":\"t\",\"type\":\"platform.report\",\"record\":{\"metrics\":{\"durationMs\":812.4,\
                    \"initDurationMs\":499.1,\"maxMemoryUsedMB\":93}}}\n";
        let expected = Measured {
            duration_ms: Some(812.4),
            init_ms: Some(499.1),
            max_memory_mb: Some(93),
        };
        for log in [text, json] {
            assert_eq!(measured(log), expected);
            assert_eq!(own_lines(log), "hello");
        }
    }

    #[test]
    fn a_warm_invocation_has_no_init_duration() {
        let log = "REPORT RequestId: 1\tDuration: 3.02 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 60 MB";
        let expected = Measured {
            duration_ms: Some(3.02),
            init_ms: None,
            max_memory_mb: Some(60),
        };
        assert_eq!(measured(log), expected);
        assert_eq!(measured("no report here"), Measured::default());
    }
}
