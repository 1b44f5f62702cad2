//! Rules by which local-aws fails on purpose: which calls, and how.
//!
//! Enters: rules as JSON at `POST /_local/faults`, and every AWS API call. Leaves: what is to
//! happen to a call. It refuses a rule with unknown members, or with members that its kind does
//! not use.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::call::Call;
use crate::reply::{AwsError, Protocol};

/// What a rule does to a call that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The service's own throttling error.
    Throttle,
    /// The error given by `status`, `code`, `message`.
    Error,
    /// Lambda's answer while a new role is not known everywhere.
    IamPropagation,
    /// The TCP connection is reset.
    Reset,
    /// The answer comes `ms` later.
    Delay,
    /// The answer never comes; the connection is cut when the rule is deleted.
    Hang,
    /// A function's Pending or `InProgress` lasts `ms`, and ends as `outcome` says.
    Pending,
}

/// Whether a fault strikes before the call has had its effect, or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// The call never takes effect.
    #[default]
    Before,
    /// The call takes effect, but its answer does not arrive as it was.
    After,
}

/// How a Pending or `InProgress` ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    #[default]
    Successful,
    Failed,
}

/// One rule. Absent filters match every call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// A part of the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    /// The first matching call that is met, counted from 1.
    #[serde(default = "one")]
    pub(crate) nth: u64,
    /// How many matching calls are met from there on; `null` for all.
    #[serde(default = "once")]
    pub(crate) times: Option<u64>,
    #[serde(default)]
    pub(crate) when: When,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Milliseconds, for `delay` and `pending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ms: Option<u64>,
    #[serde(default)]
    pub(crate) outcome: Outcome,
}

fn one() -> u64 {
    1
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the default of an optional member"
)]
fn once() -> Option<u64> {
    Some(1)
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let rule: Self =
            serde_json::from_slice(body).map_err(|error| format!("not a fault rule: {error}"))?;
        let needs =
            |name: &str, given: bool, kinds: &[Kind]| match (given, kinds.contains(&rule.kind)) {
                (true, false) => Err(format!("`{name}` has no meaning for kind {:?}", rule.kind)),
                (false, true) => Err(format!("kind {:?} needs `{name}`", rule.kind)),
                _ => Ok(()),
            };
        needs("ms", rule.ms.is_some(), &[Kind::Delay, Kind::Pending])?;
        needs("status", rule.status.is_some(), &[Kind::Error])?;
        needs("code", rule.code.is_some(), &[Kind::Error])?;
        if rule.message.is_some() && rule.kind != Kind::Error {
            return Err(format!("`message` has no meaning for kind {:?}", rule.kind));
        }
        if rule
            .status
            .is_some_and(|status| !(400..600).contains(&status))
        {
            return Err("`status` must be 400 to 599".to_owned());
        }
        if rule.nth == 0 || rule.times == Some(0) {
            return Err("`nth` and `times` count from 1".to_owned());
        }
        if rule.when == When::After && rule.kind == Kind::Pending {
            return Err("`when` has no meaning for kind Pending".to_owned());
        }
        Ok(rule)
    }

    fn matches(&self, call: &Call) -> bool {
        let same = |filter: &Option<String>, value: &str| {
            filter.as_ref().is_none_or(|filter| filter == value)
        };
        same(&self.service, &call.service)
            && same(&self.action, &call.action)
            && self.resource.as_ref().is_none_or(|part| {
                call.resource
                    .as_ref()
                    .is_some_and(|resource| resource.contains(part))
            })
    }

    /// The error that this rule answers, if it answers one.
    pub(crate) fn error(&self, call: &Call) -> Option<AwsError> {
        match self.kind {
            Kind::Throttle => Some(throttling(call)),
            Kind::Error => Some(AwsError::new(
                self.status?,
                self.code.as_deref()?,
                self.message
                    .clone()
                    .unwrap_or_else(|| "A fault rule asked for this error.".to_owned()),
            )),
            Kind::IamPropagation => Some(AwsError::new(
                400,
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
            )),
            Kind::Reset | Kind::Delay | Kind::Hang | Kind::Pending => None,
        }
    }
}

/// How each service says "slow down".
fn throttling(call: &Call) -> AwsError {
    match (call.service.as_str(), call.protocol) {
        ("lambda", _) => AwsError::new(429, "TooManyRequestsException", "Rate exceeded"),
        ("s3", _) => AwsError::new(503, "SlowDown", "Please reduce your request rate."),
        (_, Protocol::Query) => AwsError::new(400, "Throttling", "Rate exceeded"),
        _ => AwsError::new(400, "ThrottlingException", "Rate exceeded"),
    }
}

/// All rules, with how often each was met.
pub(crate) struct Faults {
    rules: Mutex<Rules>,
    /// Changes whenever a rule strikes or all are deleted.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Rules {
    next: u64,
    list: Vec<Counted>,
}

struct Counted {
    id: u64,
    rule: Rule,
    /// Calls that match the filters.
    seen: u64,
    /// Calls that the fault has struck.
    hits: u64,
    /// Calls that are being held now.
    held: u64,
}

impl Counted {
    fn to_json(&self) -> Value {
        json!({"id": self.id, "rule": self.rule, "seen": self.seen, "hits": self.hits, "held": self.held})
    }
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            rules: Mutex::default(),
            changed: watch::channel(0).0,
        }
    }

    /// Adds a rule and returns its id.
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        let mut rules = self.lock();
        rules.next += 1;
        let id = rules.next;
        rules.list.push(Counted {
            id,
            rule,
            seen: 0,
            hits: 0,
            held: 0,
        });
        id
    }

    /// Deletes all rules and cuts the calls that they hold.
    pub(crate) fn clear(&self) {
        self.lock().list.clear();
        self.announce();
    }

    /// Counts the call against every rule and returns those that meet it.
    pub(crate) fn meet(&self, call: &Call) -> Vec<(u64, Rule)> {
        let mut rules = self.lock();
        let mut met = Vec::new();
        for counted in &mut rules.list {
            if !counted.rule.matches(call) {
                continue;
            }
            counted.seen += 1;
            let past = counted.seen.checked_sub(counted.rule.nth);
            if past.is_some_and(|past| counted.rule.times.is_none_or(|times| past < times)) {
                met.push((counted.id, counted.rule.clone()));
            }
        }
        met
    }

    /// Notes that rule `id` strikes now.
    pub(crate) fn struck(&self, id: u64) {
        self.change(id, |counted| counted.hits += 1);
    }

    /// Strikes with a hang: returns when the rule is gone.
    pub(crate) async fn hold(&self, id: u64) {
        let mut changed = self.changed.subscribe();
        self.change(id, |counted| {
            counted.hits += 1;
            counted.held += 1;
        });
        while self.lock().list.iter().any(|counted| counted.id == id) {
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    /// Returns rule `id` once it has struck `hits` times; `None` when there is no such rule.
    pub(crate) async fn wait_for_hits(&self, id: u64, hits: u64) -> Option<Value> {
        let mut changed = self.changed.subscribe();
        loop {
            let state = self
                .lock()
                .list
                .iter()
                .find(|counted| counted.id == id)
                .map(|counted| (counted.hits, counted.to_json()))?;
            if state.0 >= hits {
                return Some(state.1);
            }
            let _ = changed.changed().await;
        }
    }

    /// Rule `id` as it stands.
    pub(crate) fn one_to_json(&self, id: u64) -> Option<Value> {
        self.lock()
            .list
            .iter()
            .find(|counted| counted.id == id)
            .map(Counted::to_json)
    }

    /// `{"faults": [{"id", "rule", "seen", "hits", "held"}]}`
    pub(crate) fn to_json(&self) -> Value {
        json!({"faults": self.lock().list.iter().map(Counted::to_json).collect::<Vec<_>>()})
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Counted)) {
        if let Some(counted) = self.lock().list.iter_mut().find(|counted| counted.id == id) {
            change(counted);
        }
        self.announce();
    }

    fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rules> {
        // Nothing that holds this lock can panic half-way through a change.
        self.rules
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str) -> Call {
        Call {
            service: "lambda".to_owned(),
            action: action.to_owned(),
            resource: Some("time".to_owned()),
            protocol: Protocol::RestJson,
            access_key: String::new(),
            region: "us-east-1".to_owned(),
            user_agent: String::new(),
        }
    }

    #[test]
    fn a_rule_meets_only_its_window_of_matching_calls() {
        let faults = Faults::new();
        let rule = Rule::parse(br#"{"kind":"throttle","action":"GetFunction","nth":2,"times":2}"#)
            .expect("a rule");
        faults.add(rule);
        let met = [
            "GetFunction",
            "CreateFunction",
            "GetFunction",
            "GetFunction",
            "GetFunction",
        ]
        .map(|action| !faults.meet(&call(action)).is_empty());
        assert_eq!(met, [false, false, true, true, false]);
    }

    #[test]
    fn a_rule_with_a_member_that_it_does_not_use_is_refused() {
        let refusal = |rule: &str| Rule::parse(rule.as_bytes()).expect_err(rule);
        assert_eq!(
            refusal(r#"{"kind":"throttle","ms":5}"#),
            "`ms` has no meaning for kind Throttle"
        );
        assert_eq!(refusal(r#"{"kind":"delay"}"#), "kind Delay needs `ms`");
        assert_eq!(
            refusal(r#"{"kind":"error","status":503}"#),
            "kind Error needs `code`"
        );
        assert_eq!(
            refusal(r#"{"kind":"hang","nth":0}"#),
            "`nth` and `times` count from 1"
        );
        assert!(refusal(r#"{"kind":"explode"}"#).contains("unknown variant `explode`"));
        assert!(refusal(r#"{"kind":"hang","actoin":"x"}"#).contains("unknown field `actoin`"));
    }
}
