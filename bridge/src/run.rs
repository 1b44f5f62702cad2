//! The bridge's life in one execution environment: start the server, then answer one event after the other until Lambda ends it.
//!
//! Enters: the function's environment. Leaves: an exit code, only when the bridge cannot go on. Refuses to start without a valid server description, and says
//! so to Lambda, which shows it to every caller.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::environment;
use crate::error::CallError;
use crate::launch::{ENV_SERVER, HttpSettings, ServerCommand};
use crate::log::Log;
use crate::metrics::Meter;
use crate::orphans;
use crate::runtime_api::RuntimeApi;
use crate::secrets::Secrets;
use crate::serve::{self, Answer};
use crate::session::{AHEAD_LIMIT, Session, Start};
use crate::tools::Tools;

/// How much of Lambda's ten seconds of init the server may use. After that the bridge asks for events, and the first one waits for the server.
const INIT_BUDGET: Duration = Duration::from_secs(9);

/// The function's environment variable with another limit, in seconds, than [`AHEAD_LIMIT`].
const ENV_AHEAD_SECONDS: &str = "MCPLAMBDA_AHEAD_SECONDS";

/// Serves events until the Runtime API is gone.
pub fn run() -> ExitCode {
    let started = Instant::now();
    let variable = |name: &str| std::env::var_os(name);
    let log = Log::new(
        variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("JSON")),
    );
    let Some(address) = variable("AWS_LAMBDA_RUNTIME_API") else {
        log.warn("AWS_LAMBDA_RUNTIME_API is not set: this program is started by AWS Lambda, as the function's exec wrapper or bootstrap");
        return ExitCode::from(2);
    };
    let mut api = match RuntimeApi::new(&address.to_string_lossy()) {
        Ok(api) => api,
        Err(reason) => {
            log.warn(&reason);
            return ExitCode::from(2);
        }
    };
    let command = match variable(ENV_SERVER) {
        Some(text) => {
            ServerCommand::parse(&text.to_string_lossy()).map_err(|error| error.to_string())
        }
        None => Err(format!(
            "the environment variable {ENV_SERVER} is not set; it must be JSON such as {{\"argv\":[\"python3.13\",\"-m\",\"mcp_server_time\"]}}"
        )),
    };
    let read = command.and_then(|command| {
        let secrets = Secrets::new(&command, variable).map_err(|error| error.to_string())?;
        let tools = Tools::new(&command.tools).map_err(|error| error.to_string())?;
        let ahead_limit = ahead_limit(variable(ENV_AHEAD_SECONDS))?;
        Ok((command, secrets, tools, ahead_limit))
    });
    let (command, secrets, tools, ahead_limit) = match read {
        Ok(read) => read,
        Err(reason) => {
            log.warn(&reason);
            if let Err(error) = api.fail_init("Runtime.InvalidServer", &reason) {
                log.warn(&format!("the Runtime API could not be told: {error}"));
            }
            return ExitCode::FAILURE;
        }
    };
    let directory = environment::working_directory(
        command.cwd.as_deref(),
        std::env::var_os("LAMBDA_TASK_ROOT").as_ref(),
    );
    let http = command.http.clone();
    let function = || {
        variable("AWS_LAMBDA_FUNCTION_NAME").map_or_else(
            || "unknown".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    let meter = Meter::new(command.metrics.then(function));
    orphans::adopt();
    let start = Start {
        environment: environment::for_server(std::env::vars_os(), &command),
        command,
        directory,
        secrets,
        ahead_limit,
    };
    let mut session = Session::new(start, tools, log, meter);

    match session.ensure_ready(started + INIT_BUDGET) {
        Ok(_) => {}
        Err(CallError::StartOverDeadline { millis, .. }) => session.log.warn(&format!(
            "the MCP server is still starting after {millis} ms; the first event will wait for it"
        )),
        // Not fatal: the first event starts it again, and its caller gets the reason.
        Err(error) => session.log.warn(&error.to_string()),
    }

    let ended = serve_events(&mut api, &mut session, &http);
    session.log.warn(&format!("the bridge ends: {ended}"));
    session.shut_down();
    ExitCode::FAILURE
}

/// How old a server may be that was started ahead.
fn ahead_limit(variable: Option<OsString>) -> Result<Duration, String> {
    let Some(text) = variable else {
        return Ok(AHEAD_LIMIT);
    };
    let text = text.to_string_lossy();
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("{ENV_AHEAD_SECONDS} is `{text}`, which is no number of seconds"))
}

/// Answers events for ever; returns why it cannot.
fn serve_events(api: &mut RuntimeApi, session: &mut Session, http: &HttpSettings) -> io::Error {
    loop {
        if let Err(error) = serve_event(api, session, http) {
            return error;
        }
    }
}

fn serve_event(api: &mut RuntimeApi, session: &mut Session, http: &HttpSettings) -> io::Result<()> {
    let fd = api.ask_next()?;
    session.wait_for(fd);
    let Some(invocation) = api.next()? else {
        return Ok(());
    };
    session.begin_event(&invocation.request_id, invocation.trace_id.as_deref());
    let refused = match serve::answer(session, http, api, &invocation) {
        Answer::Response(body) => api.respond(&invocation.request_id, &body.parts())?,
        Answer::FunctionError {
            error_type,
            message,
        } => {
            session.log.warn(&format!("{error_type}: {message}"));
            api.fail(&invocation.request_id, error_type, &message)?
        }
        // A connection that broke within the answer says nothing of the Runtime API: asking for the next event does.
        Answer::Sent(sent) => sent.unwrap_or_else(|error| Err(error.to_string())),
    };
    if let Err(reason) = refused {
        session
            .log
            .warn(&format!("Lambda refused the answer: {reason}"));
    }
    if let Some(line) = session.meter.end(&invocation.request_id) {
        session.log.raw(&line);
    }
    session.event_answered();
    Ok(())
}

/// Whether `arguments` ask for the version. Lambda starts an exec wrapper with the runtime's own command line, which never does.
#[must_use]
pub fn asks_for_version<'a>(mut arguments: impl Iterator<Item = &'a OsStr>) -> bool {
    arguments
        .nth(1)
        .is_some_and(|argument| argument == "--version")
}
