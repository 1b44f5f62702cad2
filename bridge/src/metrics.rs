//! One line of CloudWatch metrics for each event.
//!
//! Enters: what happened in an event. Leaves: a line in CloudWatch's embedded metric format, from which CloudWatch Logs makes metrics by itself; no permission
//! and no call are needed. Refuses nothing. The line is one JSON object with nothing before or behind it, also where the log is text; where the log is JSON,
//! Lambda takes it for one of level INFO. Sources: Amazon CloudWatch User Guide, "Specification: Embedded metric format"; AWS Lambda Developer Guide,
//! "Log-level filtering".

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::json;

/// Counts what happens in each event, where that is wanted.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The function's name; `None`: nobody wants to know.
    function: Option<String>,
    began: Instant,
    /// No event has been answered in this execution environment yet.
    cold_start: bool,
    child_restarts: u32,
    /// The last tool that was called in this event.
    call: Option<Call>,
    tool_errors: u32,
}

#[derive(Debug)]
struct Call {
    tool: Option<String>,
    failed: bool,
}

impl Meter {
    /// A meter for the function of that name, or one that counts nothing.
    pub(crate) fn new(function: Option<String>) -> Self {
        Self {
            function,
            began: Instant::now(),
            cold_start: true,
            child_restarts: 0,
            call: None,
            tool_errors: 0,
        }
    }

    /// Whether anyone wants to know. What is costly to find out is left alone otherwise.
    pub(crate) fn is_on(&self) -> bool {
        self.function.is_some()
    }

    /// A server is started in the place of one that failed.
    pub(crate) fn restarted(&mut self) {
        self.child_restarts += 1;
    }

    /// An event begins.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
        self.call = None;
        self.tool_errors = 0;
    }

    /// A tool has been called, known to the server by that name, and its answer is an error, or not.
    pub(crate) fn called(&mut self, tool: Option<String>, failed: bool) {
        self.tool_errors += u32::from(failed);
        self.call = Some(Call { tool, failed });
    }

    /// The answer to the last call, if there was one, became an error because of its size.
    pub(crate) fn was_too_large(&mut self) {
        if let Some(call) = &mut self.call
            && !call.failed
        {
            call.failed = true;
            self.tool_errors += 1;
        }
    }

    /// The event has been answered: its line, where one is wanted.
    pub(crate) fn end(&mut self, request_id: &str) -> Option<String> {
        let cold_start = std::mem::take(&mut self.cold_start);
        let child_restarts = std::mem::take(&mut self.child_restarts);
        let measured = Measured {
            function: self.function.as_deref()?,
            request_id,
            at: SystemTime::now(),
            cold_start,
            child_restarts,
            took: self.began.elapsed(),
            tool: self.call.as_ref().and_then(|call| call.tool.as_deref()),
            tool_errors: self.tool_errors,
        };
        Some(measured.line())
    }
}

/// What happened in one event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Measured<'a> {
    /// The function's name, the one dimension: what `AWS_LAMBDA_FUNCTION_NAME` says.
    function: &'a str,
    request_id: &'a str,
    at: SystemTime,
    /// It is the execution environment's first event.
    cold_start: bool,
    /// How often a server had to be started because the one before it had failed, since the last event.
    child_restarts: u32,
    /// From taking the event to having its answer posted.
    took: Duration,
    /// The tool that was called, by the server's name; the last one of several. A property of the line, not a dimension: each value of a dimension is a metric
    /// that costs.
    tool: Option<&'a str>,
    /// Calls of tools whose answer is an error, of whatever kind.
    tool_errors: u32,
}

impl Measured<'_> {
    /// The line, with its break.
    fn line(&self) -> String {
        // A clock before 1970 gives a line that CloudWatch does not take; the call is answered all the same.
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tool = self
            .tool
            .map(|tool| format!(r#","Tool":{}"#, json::quote(tool)))
            .unwrap_or_default();
        format!(
            concat!(
                r#"{{"_aws":{{"Timestamp":{},"CloudWatchMetrics":[{{"Namespace":"mcplambda","Dimensions":[["FunctionName"]],"Metrics":["#,
                r#"{{"Name":"ColdStart","Unit":"Count"}},{{"Name":"ChildRestarts","Unit":"Count"}},"#,
                r#"{{"Name":"CallMilliseconds","Unit":"Milliseconds"}},{{"Name":"ToolErrors","Unit":"Count"}}]}}]}},"#,
                r#""FunctionName":{},"ColdStart":{},"ChildRestarts":{},"CallMilliseconds":{}.{:03},"ToolErrors":{},"requestId":{}{}}}"#,
                "\n"
            ),
            at.as_millis(),
            json::quote(self.function),
            u8::from(self.cold_start),
            self.child_restarts,
            self.took.as_millis(),
            self.took.subsec_micros() % 1000,
            self.tool_errors,
            json::quote(self.request_id),
            tool,
        )
    }
}

/// Whether a tool's raw result says that it is an error. Looks closer only where the word stands at all.
pub(crate) fn is_tool_error(result: &str) -> bool {
    result.contains("\"isError\"")
        && json::Object::parse(result.as_bytes())
            .is_some_and(|result| result.get("isError") == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_holds_a_value_for_each_metric_it_announces() {
        let measured = Measured {
            function: "mcp-server-\"time\"",
            request_id: "id",
            at: UNIX_EPOCH + Duration::from_millis(1_795_391_999_123),
            cold_start: true,
            child_restarts: 2,
            took: Duration::from_micros(12_345),
            tool: Some("get\n"),
            tool_errors: 1,
        };
        let line = measured.line();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({
                "_aws": {
                    "Timestamp": 1_795_391_999_123_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "mcplambda",
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [
                            {"Name": "ColdStart", "Unit": "Count"},
                            {"Name": "ChildRestarts", "Unit": "Count"},
                            {"Name": "CallMilliseconds", "Unit": "Milliseconds"},
                            {"Name": "ToolErrors", "Unit": "Count"},
                        ],
                    }],
                },
                "FunctionName": "mcp-server-\"time\"",
                "ColdStart": 1,
                "ChildRestarts": 2,
                "CallMilliseconds": 12.345,
                "ToolErrors": 1,
                "requestId": "id",
                "Tool": "get\n",
            })
        );
    }

    #[test]
    fn an_event_that_calls_no_tool_names_none_and_counts_noughts() {
        let measured = Measured {
            function: "f",
            request_id: "id",
            at: UNIX_EPOCH,
            cold_start: false,
            child_restarts: 0,
            took: Duration::from_micros(7),
            tool: None,
            tool_errors: 0,
        };
        assert!(
            measured.line().ends_with(
                r#""FunctionName":"f","ColdStart":0,"ChildRestarts":0,"CallMilliseconds":0.007,"ToolErrors":0,"requestId":"id"}
"#
            ),
            "{}",
            measured.line()
        );
    }

    #[test]
    fn a_tools_error_is_told_from_a_text_that_speaks_of_one() {
        assert!(is_tool_error(r#"{"content":[],"isError":true}"#));
        assert!(!is_tool_error(r#"{"content":[],"isError":false}"#));
        assert!(!is_tool_error(
            r#"{"content":[{"type":"text","text":"\"isError\":true"}],"structuredContent":{"isError":true}}"#
        ));
    }
}
