//! One running local-aws: its endpoint, its fault rules, its log of calls.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::aws::{ACCESS_KEY, REGION};
use super::http;
use super::prerequisites::tools;
use super::process;

/// Stopped when dropped.
pub(crate) struct LocalAws {
    child: Child,
    /// `http://127.0.0.1:PORT`, for every service.
    pub(crate) endpoint: String,
}

/// One AWS API call that local-aws saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) action: String,
    pub(crate) resource: Option<String>,
    pub(crate) region: String,
    /// HTTP status of the answer; `None` when there was none.
    pub(crate) status: Option<u64>,
}

impl LocalAws {
    /// Starts it and waits for the line that says it is ready.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(&tools().local_aws)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // It ends with this process, whatever ends this process.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("local-aws starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut ready)
            .expect("a line");
        let ready: Value = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("local-aws said {ready:?}: {error}"));
        let endpoint = ready["endpoint"].as_str().expect("an endpoint").to_owned();
        Self { child, endpoint }
    }

    /// Calls a service that the provider never calls, as its clients do, and returns the answer.
    pub(crate) fn call(&self, service: &str, target: &str, request: &Value) -> Value {
        let scope = format!("{ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
            ("authorization", authorization.as_str()),
        ];
        let (status, body) = http::request_with(
            "POST",
            &format!("{}/", self.endpoint),
            &headers,
            &request.to_string(),
        );
        assert_eq!(status, 200, "{target}: {body}");
        json_of(&body)
    }

    /// Adds a fault rule and returns its id.
    pub(crate) fn fault(&self, rule: &Value) -> u64 {
        let (status, body) = http::request("POST", &self.local("faults"), &rule.to_string());
        assert_eq!(status / 100, 2, "{rule}: {body}");
        json_of(&body)["id"]
            .as_u64()
            .unwrap_or_else(|| panic!("no id in {body}"))
    }

    /// A rule that holds the `nth` call that fits, until the rules are deleted.
    pub(crate) fn hold(&self, service: &str, action: &str, nth: usize, when: &str) -> u64 {
        self.fault(&json!({"kind": "hang", "service": service, "action": action, "nth": nth, "when": when}))
    }

    /// Waits until rule `id` holds a call.
    pub(crate) fn wait_until_struck(&self, id: u64) {
        let (status, body) = http::request(
            "GET",
            &self.local(&format!("faults/{id}?hits=1&timeout_ms=120000")),
            "",
        );
        assert_eq!(status, 200, "{body}");
    }

    /// How many calls rule `id` struck.
    pub(crate) fn hits(&self, id: u64) -> u64 {
        let (_, body) = http::request("GET", &self.local("faults"), "");
        let faults = json_of(&body);
        let fault = faults["faults"]
            .as_array()
            .and_then(|list| list.iter().find(|fault| fault["id"] == id));
        fault
            .and_then(|fault| fault["hits"].as_u64())
            .unwrap_or_else(|| panic!("no rule {id} in {body}"))
    }

    /// Deletes all fault rules and cuts the calls that they hold.
    pub(crate) fn clear_faults(&self) {
        let (status, body) = http::request("DELETE", &self.local("faults"), "");
        assert_eq!(status / 100, 2, "{body}");
    }

    /// Every AWS call since the start or [`Self::clear_calls`], in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let (_, body) = http::request("GET", &self.local("calls"), "");
        let calls = json_of(&body);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        calls["calls"]
            .as_array()
            .unwrap_or_else(|| panic!("no calls in {body}"))
            .iter()
            .map(|call| Call {
                service: text(&call["service"]).expect("a service"),
                action: text(&call["action"]).expect("an action"),
                resource: text(&call["resource"]),
                region: text(&call["region"]).expect("a region"),
                status: call["status"].as_u64(),
            })
            .collect()
    }

    /// The names of the calls that changed something, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .filter(Call::is_change)
            .map(|call| call.action)
            .collect()
    }

    /// Forgets the calls so far.
    pub(crate) fn clear_calls(&self) {
        let (status, body) = http::request("DELETE", &self.local("calls"), "");
        assert_eq!(status / 100, 2, "{body}");
    }

    fn local(&self, path: &str) -> String {
        format!("{}/_local/{path}", self.endpoint)
    }
}

impl Call {
    /// Whether the call can change something.
    pub(crate) fn is_change(&self) -> bool {
        let reads = ["Get", "List", "Head", "Describe", "Simulate"];
        !reads.iter().any(|read| self.action.starts_with(read))
            && self.action != "Invoke"
            && self.service != "sts"
    }
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{body:?}: {error}"))
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        process::signal(self.child.id(), libc::SIGTERM);
        // It stops everything that it started and then itself.
        let _ = self.child.wait();
    }
}
