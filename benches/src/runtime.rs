//! An execution environment: the Runtime API and a runtime behind it, the bridge or the peer's.
//!
//! Enters: a [`Server`], and which runtime is to run it. Leaves: [`Runtime`], which takes events. The environments differ in nothing but the runtime.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Result, Running};
use crate::relay;
use crate::runtime_api::{Answered, RuntimeApi};
use crate::server::{Event, Kind, Server};

/// Where everything that is measured lies.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The bridge's binary, as it is shipped.
    pub(crate) bridge: PathBuf,
    /// What `install.sh` made.
    pub(crate) installed: PathBuf,
    /// An empty directory that stands for /var/task.
    pub(crate) task_root: PathBuf,
    /// Collects what all processes write to stderr.
    pub(crate) log: PathBuf,
}

impl Places {
    /// Variables that Lambda sets and that servers started without a runtime get too.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", path.as_str()),
            ("HOME", "/tmp"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            // The same order of hash tables in every process of a comparison.
            ("PYTHONHASHSEED", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// A runtime and the Runtime API that it asks for events.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) process: Running,
    api: RuntimeApi,
    server: Server,
    spawned: Instant,
    /// From before the process was started until it had asked for its first event.
    pub(crate) ready_after: Duration,
}

impl Runtime {
    /// The bridge in front of `server`.
    pub(crate) fn bridge(places: &Places, server: &Server) -> Result<Self> {
        let mut command = Command::new(&places.bridge);
        // What Lambda gives an exec wrapper; ignored.
        command.args(["/var/lang/bin/python3.13", "/var/runtime/bootstrap.py"]);
        let variable = ("MCPLAMBDA_SERVER", json!({"argv": server.argv}).to_string());
        Self::start(places, server, command, variable)
    }

    /// The library that people use today, in front of `server`: its handler under AWS's runtime for Python.
    pub(crate) fn peer(places: &Places, server: &Server) -> Result<Self> {
        let mut command = Command::new(places.installed.join("peer/bin/python"));
        command.args(["-m", "awslambdaric", "handler.handler"]);
        let handler = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer");
        command.current_dir(&handler);
        let variable = ("BENCH_SERVER", json!(server.argv).to_string());
        Self::start(places, server, command, variable)
    }

    /// The least that can stand in front of `server`: this program, as the relay.
    pub(crate) fn relay(places: &Places, server: &Server) -> Result<Self> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg(relay::ARGUMENT).args(&server.argv);
        let variable = (relay::OPENING, server.opening().join("\n"));
        Self::start(places, server, command, variable)
    }

    fn start(
        places: &Places,
        server: &Server,
        mut command: Command,
        variable: (&str, String),
    ) -> Result<Self> {
        let mut api = RuntimeApi::new()?;
        command
            .env_clear()
            .envs(places.environment())
            .env("AWS_LAMBDA_RUNTIME_API", api.address()?.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/measured")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "measured")
            .env("LAMBDA_TASK_ROOT", &places.task_root)
            .env("_HANDLER", "handler.handler")
            .env(variable.0, variable.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let spawned = Instant::now();
        let process = Running::start(command, server.name, &places.log)?;
        api.wait_for_runtime()
            .map_err(|error| format!("{error}; {} may say why", places.log.display()))?;
        Ok(Self {
            process,
            api,
            server: server.clone(),
            spawned,
            ready_after: spawned.elapsed(),
        })
    }

    /// Makes the server's call once, as an event of `kind`, and checks the answer, outside the times that are returned.
    pub(crate) fn call(&mut self, kind: Kind) -> Result<Answered> {
        let event = self.server.event(kind);
        self.invoke(kind, &event)
    }

    /// Makes the server's call once through the relay, to which an event is the request's line and an answer the reply's.
    pub(crate) fn relayed(&mut self, id: u64) -> Result<Answered> {
        let event = Event {
            client_context: None,
            body: self.server.request(id).to_string().into_bytes(),
        };
        let answered = self.api.invoke(&event)?;
        let reply = serde_json::from_slice(&answered.body)
            .map_err(|error| format!("the relay's answer is no JSON: {error}"))?;
        self.server.check_reply(&reply)?;
        Ok(answered)
    }

    fn invoke(&mut self, kind: Kind, event: &Event) -> Result<Answered> {
        let answered = self.api.invoke(event)?;
        self.server.check_answer(kind, &answered.body)?;
        Ok(answered)
    }

    /// Makes the first call of a fresh environment; from before the process was started until the answer had been read.
    pub(crate) fn first_answer(&mut self, kind: Kind) -> Result<Duration> {
        Ok(self.call(kind)?.at - self.spawned)
    }

    /// Asks a fresh environment for its tools; from before the process was started until the answer had been read.
    pub(crate) fn first_listing(&mut self) -> Result<Duration> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let answered = self.api.invoke(&Event {
            client_context: None,
            body: request.to_string().into_bytes(),
        })?;
        let answer: serde_json::Value = serde_json::from_slice(&answered.body)
            .map_err(|error| format!("the answer to tools/list is no JSON: {error}"))?;
        match answer["result"]["tools"].as_array() {
            Some(tools) if !tools.is_empty() => Ok(answered.at - self.spawned),
            _ => Err(format!("{} lists no tools: {answer}", self.server.name)),
        }
    }

    /// Whether it answers events of `kind` at all.
    pub(crate) fn answers(&mut self, kind: Kind) -> Result<bool> {
        let event = self.server.event(kind);
        let answered = self.api.invoke(&event)?;
        Ok(self.server.check_answer(kind, &answered.body).is_ok())
    }
}
