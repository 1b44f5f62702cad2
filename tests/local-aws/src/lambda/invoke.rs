//! Invoke: an event handled by a function that really runs.
//!
//! Enters: Invoke calls. Leaves: what Lambda answers: payload, `X-Amz-Function-Error`,
//! `X-Amz-Executed-Version`, `X-Amz-Log-Result`; for events without a waiting caller, retries and
//! the dead-letter queue. It refuses what Lambda refuses before a function runs: payloads that are
//! no JSON or too long, functions that are not ready, used-up concurrency.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::book::{FunctionKey, State, Version, version_key};
use super::{Incoming, Lambda, Stop, lock, qualifier, role};
use crate::functions::environment::{Event, Outcome};
use crate::functions::runtimes::{self, Runtime};
use crate::functions::{Api, Handled, Setup, VersionKey};
use crate::reply::{self, AwsError, Reply, with_header};
use crate::{call, ids};

/// A synchronous payload may be this long (bytes).
const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// The client context may be this long (bytes, in base64): Invoke's API reference.
const MAX_CLIENT_CONTEXT: usize = 3583;
/// The log tail holds this much (bytes).
const LOG_TAIL: usize = 4096;
/// How often Lambda tries an event without a waiting caller. It waits a minute, then two; here it
/// does not.
const ASYNC_ATTEMPTS: usize = 3;

/// What a caller wants to run.
pub(super) struct Wanted<'a> {
    pub(super) qualifier: Option<&'a str>,
    pub(super) api: Api,
}

/// What is to be run.
pub(super) struct Target {
    key: VersionKey,
    setup: Arc<Setup>,
    function_arn: String,
    account: String,
    dead_letter_target: Option<String>,
}

impl Lambda {
    pub(super) async fn invoke(
        self: &Arc<Self>,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let headers = incoming.request.headers();
        let header = |name: &str| call::text(headers, name);
        let kind = header("x-amz-invocation-type");
        let wants_log = header("x-amz-log-type") == "Tail";
        let client_context = client_context(&header("x-amz-client-context"))?;
        let payload = payload(incoming.request.body().clone())?;
        let trace_id = header("x-amzn-trace-id");
        let qualifier = qualifier(&incoming.route);
        let wanted = Wanted {
            qualifier: qualifier.as_deref(),
            api: Api::Emulator,
        };
        let target = self.target(key, &wanted).await?;
        let event = Event {
            payload,
            client_context,
            function_arn: target.function_arn.clone(),
            trace_id: if trace_id.is_empty() {
                ids::trace_id()
            } else {
                trace_id
            },
            sink: None,
        };
        let version = target.key.version.clone();
        let answer = match kind.as_str() {
            "DryRun" => reply::empty(204),
            "Event" => {
                let request_id = ids::uuid();
                let this = Arc::clone(self);
                tokio::spawn(async move { this.run_without_caller(target, event).await });
                with_header(reply::empty(202), "x-amzn-requestid", &request_id)
            }
            "" | "RequestResponse" => {
                let outcome = self.run(&target, &event).await?;
                answer(&outcome, wants_log)
            }
            other => {
                return Err(AwsError::new(
                    400,
                    "InvalidParameterValueException",
                    format!("Unsupported invocation type {other}"),
                )
                .into());
            }
        };
        Ok(with_header(answer, "x-amz-executed-version", &version))
    }

    pub(super) async fn target(
        &self,
        key: &FunctionKey,
        wanted: &Wanted<'_>,
    ) -> Result<Target, AwsError> {
        let qualifier = wanted.qualifier;
        let arn = qualifier.map_or_else(
            || key.arn(),
            |qualifier| format!("{}:{qualifier}", key.arn()),
        );
        let not_found = || {
            AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            )
        };
        let (name, version) = {
            let book = self.book.lock().await;
            let function = book.functions.get(key).ok_or_else(not_found)?;
            let qualifier = qualifier.unwrap_or("$LATEST");
            let name = function
                .aliases
                .get(qualifier)
                .map_or(qualifier, |alias| &alias.version);
            let version = function.version(name).ok_or_else(not_found)?.clone();
            check_ready(&version)?;
            if let Some(reserved) = function.reserved_concurrency
                && self.functions.busy(&key.path()) >= reserved
            {
                return Err(AwsError::new(
                    429,
                    "TooManyRequestsException",
                    "Rate Exceeded.",
                ));
            }
            (name.to_owned(), version)
        };
        let version_key = version_key(key, &name, version.generation, wanted.api);
        let known = lock(&self.setups).get(&version_key).cloned();
        let setup = match known {
            Some(setup) => setup,
            None => {
                let setup = self.setup(key, &name, &version, wanted.api).await?;
                let setup = Arc::new(setup);
                lock(&self.setups).insert(version_key.clone(), Arc::clone(&setup));
                setup
            }
        };
        let dead_letter_target = version
            .configuration
            .get("DeadLetterConfig")
            .and_then(|config| config["TargetArn"].as_str())
            .map(str::to_owned);
        Ok(Target {
            key: version_key,
            setup,
            function_arn: arn,
            account: key.account.clone(),
            dead_letter_target,
        })
    }

    async fn setup(
        &self,
        key: &FunctionKey,
        name: &str,
        version: &Version,
        api: Api,
    ) -> Result<Setup, AwsError> {
        // Not retried by clients: nothing changes until somebody does something.
        let cannot = |message: String| AwsError::new(400, "InvalidRuntimeException", message);
        let configuration = &version.configuration;
        let text = |member: &str| {
            configuration
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |member: &str| configuration.get(member).and_then(Value::as_u64);
        let code = version.code.as_ref().ok_or_else(|| {
            cannot("local-aws has no code for this function; images need Debian's docker-registry on PATH when it starts".to_owned())
        })?;
        let image = match (&self.registry, code.is_image) {
            (Some(registry), true) => Some(registry.unpack(&code.hex).map_err(cannot)?),
            _ => None,
        };
        let emulator = match &image {
            Some(_) => {
                let named = configuration
                    .get("Architectures")
                    .and_then(|list| list[0].as_str());
                runtimes::emulator(named.unwrap_or("x86_64")).map_err(cannot)?
            }
            None => None,
        };
        let code = match &image {
            Some(image) => image.root.clone(),
            None => self.codes.unpacked(code).map_err(cannot)?,
        };
        let layers = self.layers_of(configuration).map_err(cannot)?;
        let runtime_name = text("Runtime");
        let runtime = match image {
            Some(image) => Runtime::Image(image.start),
            None => self.runtimes.of(&runtime_name).map_err(cannot)?,
        };
        let role = text("Role");
        let credentials =
            role::credentials(&self.moto, &key.account, &key.region, &role, &key.name)
                .await
                .map_err(|error| {
                    cannot(format!("the execution role cannot be assumed: {error}"))
                })?;
        let variables = configuration
            .get("Environment")
            .and_then(|environment| environment["Variables"].as_object());
        Ok(Setup {
            function_name: key.name.clone(),
            version: name.to_owned(),
            region: key.region.clone(),
            handler: text("Handler"),
            runtime_name,
            runtime,
            memory_mib: number("MemorySize").unwrap_or(128),
            tmp_mib: configuration
                .get("EphemeralStorage")
                .and_then(|storage| storage["Size"].as_u64())
                .unwrap_or(512),
            timeout: Duration::from_secs(number("Timeout").unwrap_or(3)),
            variables: variables
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            credentials,
            log_group: configuration
                .get("LoggingConfig")
                .and_then(|logging| logging["LogGroup"].as_str())
                .unwrap_or_default()
                .to_owned(),
            code,
            layers,
            emulator,
            endpoint: self.endpoint.clone(),
            api,
            reports: true,
        })
    }

    pub(super) async fn run(
        self: &Arc<Self>,
        target: &Target,
        event: &Event,
    ) -> Result<Outcome, AwsError> {
        let Handled {
            outcome,
            log_stream,
        } = self
            .functions
            .handle(&target.key, &target.setup, event)
            .await
            .map_err(|error| AwsError::new(400, "InvalidRuntimeException", error))?;
        let this = Arc::clone(self);
        let (account, setup, log) = (
            target.account.clone(),
            Arc::clone(&target.setup),
            outcome.log.clone(),
        );
        tokio::spawn(async move { this.write_log(&account, &setup, &log_stream, &log).await });
        Ok(outcome)
    }

    /// Tries an event as Lambda tries one without a waiting caller, then gives it to the
    /// dead-letter target.
    async fn run_without_caller(self: Arc<Self>, target: Target, event: Event) {
        let mut last = None;
        for _ in 0..ASYNC_ATTEMPTS {
            match self.run(&target, &event).await {
                Ok(outcome) if !outcome.failed => return,
                Ok(outcome) => {
                    last = Some((
                        outcome.request_id,
                        String::from_utf8_lossy(&outcome.payload).into_owned(),
                    ))
                }
                Err(error) => last = Some((ids::uuid(), error.message)),
            }
        }
        let (Some(queue), Some((request_id, error))) = (&target.dead_letter_target, last) else {
            return;
        };
        let name = queue.rsplit(':').next().unwrap_or_default();
        let message: Value = serde_json::from_str(&error).unwrap_or_default();
        let message = message["errorMessage"].as_str().unwrap_or(&error);
        let attribute = |kind: &str, value: &str| json!({"DataType": kind, "StringValue": value});
        let body = json!({
            "QueueUrl": format!("http://{}/{}/{name}", self.moto.address(), target.account),
            "MessageBody": String::from_utf8_lossy(&event.payload),
            "MessageAttributes": {
                "RequestID": attribute("String", &request_id),
                "ErrorCode": attribute("Number", "200"),
                "ErrorMessage": attribute("String", &message.chars().take(1024).collect::<String>()),
            },
        });
        let scope = (target.account.as_str(), target.setup.region.as_str(), "sqs");
        if let Err(error) = self.moto.json(scope, "AmazonSQS.SendMessage", &body).await {
            eprintln!("local-aws: the dead-letter target {queue} took no event: {error}");
        }
    }

    /// Writes to the function's log group, when there is one: Lambda makes a missing one only if
    /// the role may.
    async fn write_log(&self, account: &str, setup: &Setup, stream: &str, log: &[u8]) {
        let text = String::from_utf8_lossy(log);
        let now = ids::epoch_ms(SystemTime::now());
        let events: Vec<Value> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| json!({"timestamp": now, "message": format!("{line}\n")}))
            .collect();
        let scope = (account, setup.region.as_str(), "logs");
        let mut place = json!({"logGroupName": setup.log_group, "logStreamName": stream});
        // It fails when the stream is there already, and when the group is not.
        let _ = self
            .moto
            .json(scope, "Logs_20140328.CreateLogStream", &place)
            .await;
        // PutLogEvents takes 10,000 events at most.
        for batch in events.chunks(10_000) {
            place["logEvents"] = batch.into();
            if self
                .moto
                .json(scope, "Logs_20140328.PutLogEvents", &place)
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

fn check_ready(version: &Version) -> Result<(), AwsError> {
    let state = match version.state(Instant::now()) {
        State::Pending => "Pending",
        State::CreationFailed => "Failed",
        State::InProgress | State::UpdateFailed | State::Ready => return Ok(()),
    };
    Err(AwsError::new(
        409,
        "ResourceConflictException",
        format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}"
        ),
    ))
}

fn payload(body: Bytes) -> Result<Bytes, AwsError> {
    if body.len() > MAX_PAYLOAD {
        return Err(AwsError::new(
            413,
            "RequestTooLargeException",
            format!(
                "Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation"
            ),
        ));
    }
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(AwsError::new(
            400,
            "InvalidRequestContentException",
            format!("Could not parse request body into json: {error}"),
        )),
    }
}

/// The emulator takes padded base64 only, and dies of anything else.
fn client_context(header: &str) -> Result<Option<String>, AwsError> {
    if header.is_empty() {
        return Ok(None);
    }
    let refuse = |message: String| AwsError::new(400, "InvalidRequestContentException", message);
    if header.len() > MAX_CLIENT_CONTEXT {
        return Err(refuse(format!(
            "Client context must be no more than {MAX_CLIENT_CONTEXT} bytes"
        )));
    }
    let decoded = STANDARD
        .decode(header)
        .map_err(|error| refuse(format!("Could not decode client context: {error}")))?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&decoded)
        .map_err(|error| refuse(format!("Could not parse client context into json: {error}")))?;
    Ok(Some(header.to_owned()))
}

fn answer(outcome: &Outcome, wants_log: bool) -> Reply {
    let mut answer = reply::text(200, "application/json", outcome.payload.clone());
    answer = with_header(answer, "x-amzn-requestid", &outcome.request_id);
    if outcome.failed {
        answer = with_header(answer, "x-amz-function-error", "Unhandled");
    }
    if wants_log {
        let tail = &outcome.log[outcome.log.len().saturating_sub(LOG_TAIL)..];
        answer = with_header(answer, "x-amz-log-result", &STANDARD.encode(tail));
    }
    answer
}
