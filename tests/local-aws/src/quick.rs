//! `local-aws front`: a function URL on loopback in front of one bridge, without moto, emulator or
//! anything that has to be installed first.
//!
//! Enters: a bridge binary and its server description. Leaves: one line of JSON with the URL; then,
//! for each request, what AWS would answer. Environments are started as requests overlap, and end
//! with it: at SIGTERM, SIGINT, or the end of standard input if that is a pipe.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::call::form_value;
use crate::functions::environment::{Event, Outcome};
use crate::functions::runtimes::Runtime;
use crate::functions::{Api, Functions, Isolation, Setup, VersionKey};
use crate::reply::{self, AwsError, Protocol, with_header};
use crate::url::{self, Body, Exchange, Place};
use crate::{ids, moto, text};

pub(crate) const USAGE: &str = "\
usage: local-aws front --bridge PATH --server JSON [options]

A function URL on loopback in front of a bridge, without the rest of AWS. Prints one line of JSON, {\"url\": …}, when it is
ready, and stops at SIGTERM, SIGINT or the end of standard input.

  --bridge PATH      the bridge, or any program that speaks the Runtime API
  --server JSON      the value of MCPLAMBDA_SERVER
  --stream           the URL's invoke mode is RESPONSE_STREAM (the description then says \"http\":{\"stream\":true} too)
  --port PORT        port to listen on (default: a free one)
  --env NAME=VALUE   a variable of the function's environment; may be repeated
  --timeout SECONDS  the function's timeout (default: 60)
  --freeze           stop the function between events, as Lambda does

Every path is the function's, but for
  POST /_local/agentcore?tool=TARGET___TOOL   the body as AgentCore Gateway sends a tool's arguments
  POST /_local/raw                            the body as the event
  GET  /_local/environments                   warm environments with their process ids
";

/// An event may be this long (bytes).
const MAX_EVENT: usize = 6 * 1024 * 1024;

/// What the command line says.
pub(crate) struct Options {
    bridge: PathBuf,
    server: String,
    streams: bool,
    port: u16,
    variables: Vec<(String, String)>,
    timeout: Duration,
    freezes: bool,
}

/// Reads the arguments behind `front`; `None` when they ask for help.
pub(crate) fn parse(arguments: &[String]) -> Result<Option<Options>, String> {
    let (mut bridge, mut server) = (None, None);
    let (mut streams, mut freezes) = (false, false);
    let (mut port, mut timeout) = (0, 60);
    let mut variables = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--bridge" => bridge = Some(PathBuf::from(value()?)),
            "--server" => server = Some(value()?.clone()),
            "--stream" => streams = true,
            "--freeze" => freezes = true,
            "--port" => port = value()?.parse().map_err(|_| "--port needs a port number")?,
            "--timeout" => {
                timeout = value()?
                    .parse()
                    .ok()
                    .filter(|seconds| (1..=900).contains(seconds))
                    .ok_or("--timeout needs a number of seconds from 1 to 900")?;
            }
            "--env" => {
                let pair = value()?;
                let (name, value) = pair
                    .split_once('=')
                    .ok_or_else(|| format!("--env {pair}: NAME=VALUE"))?;
                variables.push((name.to_owned(), value.to_owned()));
            }
            unknown => return Err(format!("unknown argument {unknown}")),
        }
    }
    Ok(Some(Options {
        bridge: bridge.ok_or("--bridge is missing")?,
        server: server.ok_or("--server is missing")?,
        streams,
        port,
        variables,
        timeout: Duration::from_secs(timeout),
        freezes,
    }))
}

struct Front {
    functions: Functions,
    key: VersionKey,
    setup: Setup,
    place: Place,
    streams: bool,
}

/// Serves until it is to end.
pub(crate) async fn run(options: Options, stopped: impl Future<Output = ()>) -> Result<(), String> {
    let bridge = std::path::absolute(&options.bridge).map_err(text)?;
    if !bridge.is_file() {
        return Err(format!(
            "there is no bridge at {}; bridge/build.sh builds it",
            bridge.display()
        ));
    }
    let work = tempfile::Builder::new()
        .prefix("local-aws-front-")
        .tempdir()
        .map_err(text)?;
    let listener = TcpListener::bind(("127.0.0.1", options.port))
        .await
        .map_err(|error| format!("port {}: {error}", options.port))?;
    let url = format!("http://{}/", listener.local_addr().map_err(text)?);
    let front = Arc::new(Front::new(options, bridge, work.path())?);
    // Standard output may be closed already; the server is there all the same.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stdout(),
        format_args!("{}\n", json!({"url": url})),
    );
    tokio::select! {
        () = stopped => {}
        () = serve(listener, Arc::clone(&front)) => {}
    }
    front.functions.stop().await;
    Ok(())
}

async fn serve(listener: TcpListener, front: Arc<Front>) {
    // A listener on loopback does not fail.
    while let Ok((stream, peer)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let front = Arc::clone(&front);
                async move { Ok::<_, Infallible>(front.answer(request, peer.ip()).await) }
            });
            // Clients break connections off; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Front {
    fn new(options: Options, bridge: PathBuf, work: &Path) -> Result<Self, String> {
        let place = Place {
            account: moto::ACCOUNT.to_owned(),
            region: "us-east-1".to_owned(),
            id: ids::random_hex(16),
        };
        let mut variables = vec![("MCPLAMBDA_SERVER".to_owned(), options.server)];
        variables.extend(options.variables);
        let setup = Setup {
            function_name: "front".to_owned(),
            version: "$LATEST".to_owned(),
            region: place.region.clone(),
            handler: "bootstrap".to_owned(),
            runtime_name: "provided.al2023".to_owned(),
            runtime: Runtime::Program(bridge),
            memory_mib: 1024,
            tmp_mib: 512,
            timeout: options.timeout,
            variables,
            credentials: ("test".to_owned(), "test".to_owned(), "test".to_owned()),
            log_group: "/aws/lambda/front".to_owned(),
            // Programs and files of the server's command line are found as where it was typed.
            code: std::env::current_dir().map_err(text)?,
            layers: None,
            emulator: None,
            endpoint: String::new(),
            api: Api::Own,
            reports: false,
        };
        let plain = Isolation::Plain {
            why: "the front has none".to_owned(),
        };
        Ok(Self {
            // No function here needs the emulator.
            functions: Functions::new(work.to_owned(), PathBuf::new(), plain, options.freezes),
            key: VersionKey {
                function: "front".to_owned(),
                version: setup.version.clone(),
                generation: 0,
                api: setup.api,
            },
            setup,
            place,
            streams: options.streams,
        })
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        source: IpAddr,
    ) -> Response<Body> {
        let host = crate::call::text(request.headers(), "host");
        if !url::is_loopback(&host) && host != self.place.domain() {
            return url::plain(url::forbidden());
        }
        let path = request.uri().path();
        match (request.method(), path.strip_prefix("/_local/")) {
            (&Method::POST, Some("agentcore")) => {
                let query = request.uri().query().unwrap_or_default();
                match form_value(query.as_bytes(), "tool") {
                    Some(tool) => {
                        let context = client_context(&tool);
                        self.invoke(request, Some(context)).await
                    }
                    None => url::plain(reply::json(
                        400,
                        &json!({"error": "?tool=TARGET___TOOL is missing"}),
                    )),
                }
            }
            (&Method::POST, Some("raw")) => self.invoke(request, None).await,
            (&Method::GET, Some("environments")) => {
                url::plain(reply::json(200, &self.functions.to_json()))
            }
            (method, Some(page)) => url::plain(reply::json(
                404,
                &json!({"error": format!("there is no {method} /_local/{page}")}),
            )),
            (_, None) => {
                let about = Exchange {
                    place: &self.place,
                    streams: self.streams,
                    function_arn: self.arn(),
                    source,
                    signer: None,
                };
                let this = Arc::clone(self);
                url::exchange(
                    request,
                    &about,
                    |event| async move { this.run(event).await },
                )
                .await
            }
        }
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:{}:function:{}",
            self.place.region, self.place.account, self.setup.function_name
        )
    }

    async fn run(&self, event: Event) -> Result<Outcome, AwsError> {
        self.functions
            .handle(&self.key, &self.setup, &event)
            .await
            .map(|handled| handled.outcome)
            .map_err(|error| AwsError::new(502, "InvalidRuntimeException", error))
    }

    /// An event without HTTP around it.
    async fn invoke(
        self: &Arc<Self>,
        request: Request<Incoming>,
        client_context: Option<String>,
    ) -> Response<Body> {
        let Ok(payload) = Limited::new(request.into_body(), MAX_EVENT).collect().await else {
            let message = format!("Request must be smaller than {MAX_EVENT} bytes");
            let error = AwsError::new(413, "RequestTooLargeException", message);
            return url::plain(error.reply(Protocol::RestJson));
        };
        let event = Event {
            payload: payload.to_bytes(),
            client_context,
            function_arn: self.arn(),
            trace_id: ids::trace_id(),
            sink: None,
        };
        let this = Arc::clone(self);
        // A caller that leaves does not undo its call.
        let outcome = tokio::spawn(async move { this.run(event).await }).await;
        url::plain(match outcome {
            Ok(Ok(outcome)) => {
                let answer = reply::text(200, "application/json", outcome.payload);
                let answer = with_header(answer, "x-amzn-requestid", &outcome.request_id);
                if outcome.failed {
                    with_header(answer, "x-amz-function-error", "Unhandled")
                } else {
                    answer
                }
            }
            Ok(Err(error)) => error.reply(Protocol::RestJson),
            Err(error) => reply::json(500, &json!({"error": error.to_string()})),
        })
    }
}

/// What AgentCore Gateway sends beside a tool's arguments, in base64.
fn client_context(tool: &str) -> String {
    let target = tool
        .split_once("___")
        .map_or("target", |(target, _)| target);
    let context = json!({"custom": {
        "bedrockAgentCoreToolName": tool,
        "bedrockAgentCoreMessageVersion": "1.0",
        "bedrockAgentCoreAwsRequestId": ids::uuid(),
        "bedrockAgentCoreMcpMessageId": ids::uuid(),
        "bedrockAgentCoreGatewayId": "front-gateway",
        "bedrockAgentCoreTargetId": target,
    }});
    STANDARD.encode(context.to_string())
}
