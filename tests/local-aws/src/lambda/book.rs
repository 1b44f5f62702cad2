//! What local-aws knows about functions beyond moto: each version's true configuration, its state,
//! its code, and when it may next be changed.
//!
//! moto stays the judge of what exists; this book holds the truth about how it looks. It is plain
//! data: time comes in as an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::code::Code;
use super::function_url::FunctionUrl;
use super::policy::Policy;
use crate::faults::Outcome;
use crate::functions::{Api, VersionKey};
use crate::ids;
use crate::reply::AwsError;

/// A function's place: names are unique within account and region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FunctionKey {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

impl FunctionKey {
    /// The unqualified ARN.
    pub(crate) fn arn(&self) -> String {
        let partition = match self.region.split_once('-').map(|(area, _)| area) {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!(
            "arn:{partition}:lambda:{}:{}:function:{}",
            self.region, self.account, self.name
        )
    }

    /// `ACCOUNT/REGION/NAME`, as execution environments are counted.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}/{}", self.account, self.region, self.name)
    }
}

/// How long a change takes and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) duration: Duration,
    pub(crate) outcome: Outcome,
}

/// What is being done to a version, or was done last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Creation,
    Update,
}

/// A version of a function; `$LATEST` is one too.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// As Lambda describes it, without ARN, version, state and revision.
    pub(crate) configuration: Map<String, Value>,
    /// `None` for container images and code in S3.
    pub(crate) code: Option<Arc<Code>>,
    pub(crate) generation: u64,
    change: Change,
    ready_at: Instant,
    outcome: Outcome,
    /// Lambda's revision id changes with each change, and once more when it is done.
    revisions: (String, String),
}

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    CreationFailed,
    InProgress,
    UpdateFailed,
    Ready,
}

impl Version {
    pub(crate) fn new(
        configuration: Map<String, Value>,
        code: Option<Arc<Code>>,
        generation: u64,
        pace: &Pace,
        now: Instant,
    ) -> Self {
        Self {
            configuration,
            code,
            generation,
            change: Change::Creation,
            ready_at: now + pace.duration,
            outcome: pace.outcome,
            revisions: (ids::uuid(), ids::uuid()),
        }
    }

    /// Begins an update.
    pub(crate) fn changed(&mut self, generation: u64, pace: &Pace, now: Instant) {
        self.generation = generation;
        self.change = Change::Update;
        self.ready_at = now + pace.duration;
        self.outcome = pace.outcome;
        self.revisions = (ids::uuid(), ids::uuid());
    }

    pub(crate) fn state(&self, now: Instant) -> State {
        match (self.change, now < self.ready_at, self.outcome) {
            (Change::Creation, true, _) => State::Pending,
            (Change::Creation, false, Outcome::Failed) => State::CreationFailed,
            (Change::Update, true, _) => State::InProgress,
            (Change::Update, false, Outcome::Failed) => State::UpdateFailed,
            (_, false, Outcome::Successful) => State::Ready,
        }
    }

    pub(crate) fn revision(&self, now: Instant) -> &str {
        if now < self.ready_at {
            &self.revisions.0
        } else {
            &self.revisions.1
        }
    }

    /// The version as Lambda describes it under `arn`.
    pub(crate) fn view(&self, arn: &str, version: &str, now: Instant) -> Map<String, Value> {
        let mut view = self.configuration.clone();
        let mut set = |name: &str, value: Value| {
            view.insert(name.to_owned(), value);
        };
        set("FunctionArn", arn.into());
        set("Version", version.into());
        set("RevisionId", self.revision(now).into());
        let being_made = ("The function is being created.", "Creating");
        let broken = ("A fault rule asked for this failure.", "InternalError");
        match self.state(now) {
            State::Pending => {
                set("State", "Pending".into());
                set("StateReason", being_made.0.into());
                set("StateReasonCode", being_made.1.into());
            }
            State::CreationFailed => {
                set("State", "Failed".into());
                set("StateReason", broken.0.into());
                set("StateReasonCode", broken.1.into());
            }
            State::InProgress => {
                set("State", "Active".into());
                set("LastUpdateStatus", "InProgress".into());
                set("LastUpdateStatusReason", being_made.0.into());
                set("LastUpdateStatusReasonCode", being_made.1.into());
            }
            State::UpdateFailed => {
                set("State", "Active".into());
                set("LastUpdateStatus", "Failed".into());
                set("LastUpdateStatusReason", broken.0.into());
                set("LastUpdateStatusReasonCode", broken.1.into());
            }
            State::Ready => {
                set("State", "Active".into());
                set("LastUpdateStatus", "Successful".into());
            }
        }
        view
    }
}

/// A function with all its versions.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) latest: Version,
    pub(crate) versions: BTreeMap<u64, Version>,
    /// moto numbers versions by how many it has, so it is not told of deletions.
    pub(crate) deleted: BTreeSet<u64>,
    /// The newest published version, and `$LATEST` as it was when it was published.
    published: Option<(u64, Map<String, Value>)>,
    pub(crate) reserved_concurrency: Option<u64>,
    pub(crate) aliases: HashMap<String, Alias>,
    /// By alias; the unqualified one under the empty name.
    pub(crate) urls: BTreeMap<String, FunctionUrl>,
    /// By alias or version; the unqualified one under the empty name.
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// An alias, as far as it is needed here.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// `$LATEST` or a number.
    pub(crate) version: String,
    /// New with each change.
    pub(crate) revision: String,
}

/// The members of a configuration that do not make it another one.
const VOLATILE: [&str; 1] = ["LastModified"];

impl Function {
    pub(crate) fn new(latest: Version) -> Self {
        Self {
            latest,
            versions: BTreeMap::new(),
            deleted: BTreeSet::new(),
            published: None,
            reserved_concurrency: None,
            aliases: HashMap::new(),
            urls: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }

    /// The version named `$LATEST` or by its number.
    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        if name == "$LATEST" {
            Some(&self.latest)
        } else {
            self.versions.get(&name.parse().ok()?)
        }
    }

    /// The published version that `$LATEST` still is, if any.
    pub(crate) fn unchanged_since(&self) -> Option<u64> {
        let (number, then) = self.published.as_ref()?;
        (self.versions.contains_key(number) && *then == comparable(&self.latest.configuration))
            .then_some(*number)
    }

    /// Notes that `$LATEST` was published as `number`.
    pub(crate) fn publish(&mut self, number: u64, version: Version) {
        self.published = Some((number, comparable(&self.latest.configuration)));
        self.versions.insert(number, version);
    }

    /// Refuses a change of `$LATEST` while another one is under way.
    pub(crate) fn check_changeable(&self, arn: &str, now: Instant) -> Result<(), AwsError> {
        let refuse =
            |message: String| Err(AwsError::new(409, "ResourceConflictException", message));
        match self.latest.state(now) {
            State::Pending => refuse(
                "The operation cannot be performed at this time. The function is currently in the following state: Pending"
                    .to_owned(),
            ),
            State::InProgress => refuse(format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
            )),
            State::CreationFailed | State::UpdateFailed | State::Ready => Ok(()),
        }
    }

    /// Refuses a request whose `RevisionId` is not the newest.
    pub(crate) fn check_revision(
        &self,
        request: &Map<String, Value>,
        now: Instant,
    ) -> Result<(), AwsError> {
        match request.get("RevisionId").and_then(Value::as_str) {
            Some(given) if given != self.latest.revision(now) => Err(stale_revision("GetFunction")),
            _ => Ok(()),
        }
    }
}

/// Lambda's answer to a `RevisionId` that is not the newest.
pub(crate) fn stale_revision(action: &str) -> AwsError {
    AwsError::new(
        412,
        "PreconditionFailedException",
        format!(
            "The Revision Id provided does not match the latest Revision Id. Call the {action} API to retrieve the latest Revision Id"
        ),
    )
}

fn comparable(configuration: &Map<String, Value>) -> Map<String, Value> {
    let mut configuration = configuration.clone();
    configuration.retain(|name, _| !VOLATILE.contains(&name.as_str()));
    configuration
}

/// All functions.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) functions: HashMap<FunctionKey, Function>,
    generations: u64,
}

impl Book {
    /// A number that no version had before.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }
}

/// The environments of a version.
pub(crate) fn version_key(
    key: &FunctionKey,
    version: &str,
    generation: u64,
    api: Api,
) -> VersionKey {
    VersionKey {
        function: key.path(),
        version: version.to_owned(),
        generation,
        api,
    }
}
