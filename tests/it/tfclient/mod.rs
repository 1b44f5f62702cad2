//! A plugin host of our own: starts the real binary, does the whole handshake, calls any method.
//!
//! Enters: what a test wants to differ from what Terraform does ([`Start`]). Leaves: a running
//! [`Plugin`] with a client for each of its services, or the [`Ended`] process with all that it
//! printed. It shares nothing with the server but the generated message types: its TLS, its
//! handshake parser and its value codec ([`value`]) are written against the protocol.

#![allow(dead_code)] // A host offers every method, whether or not a test calls it yet.
#![allow(unreachable_pub)] // In a test binary nothing can be reached from outside.

pub mod certificate;
pub mod connect;
pub mod schema;
pub mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mcplambda::plugin::services::goplugin;
use mcplambda::plugin::services::goplugin::grpc_broker_client::GrpcBrokerClient;
use mcplambda::plugin::services::goplugin::grpc_controller_client::GrpcControllerClient;
use mcplambda::plugin::services::goplugin::grpc_stdio_client::GrpcStdioClient;
use mcplambda::plugin::services::health::health_client::HealthClient;
use mcplambda::plugin::tfplugin6::provider_client::ProviderClient;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tonic::transport::Channel;

use certificate::ClientIdentity;
use connect::{Address, Security};

/// The binary under test.
pub const PROVIDER_BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-mcplambda");

/// What the cookie must hold, as Terraform sends it.
pub const MAGIC_COOKIE_VALUE: &str =
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

/// Long enough for anything on a busy machine; reached only when something hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How to start the provider. The default is what Terraform 1.11.4 does.
pub struct Start {
    /// Variables beside or instead of Terraform's own; `None` removes one. The rest of this
    /// process's environment is not passed on, except `PATH`.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Whose certificate to announce; `None` is what `TF_DISABLE_PLUGIN_TLS` does.
    pub identity: Option<ClientIdentity>,
    /// Arguments; Terraform passes none.
    pub args: Vec<OsString>,
    /// The working directory; `None` is that of the test.
    pub directory: Option<PathBuf>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            env: Vec::new(),
            identity: Some(ClientIdentity::as_go_makes_it()),
            args: Vec::new(),
            directory: None,
        }
    }
}

impl Start {
    /// As Terraform with `TF_DISABLE_PLUGIN_TLS=1`.
    pub fn without_tls() -> Self {
        Self {
            identity: None,
            ..Self::default()
        }
    }

    /// With one more variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Without one of Terraform's variables.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.args.push(argument.into());
        self
    }

    /// The command that starts the provider as described.
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROVIDER_BINARY);
        command
            .args(&self.args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("TF_PLUGIN_MAGIC_COOKIE", MAGIC_COOKIE_VALUE)
            .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(identity) = &self.identity {
            command.env("PLUGIN_CLIENT_CERT", identity.certificate_pem());
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// Starts the provider and shakes hands; the process's end if it does not come to that.
    pub async fn try_start(self) -> Result<Plugin, Ended> {
        let mut process = Process::spawn(self.command());
        let Some(first_line) = process.first_line().await else {
            return Err(process.ended().await);
        };
        let line = HandshakeLine::parse(&first_line);
        let security = match (&line.certificate, &self.identity) {
            (Some(server), Some(client)) => Security::mutual(server.clone(), client),
            (None, None) => Security::Plain,
            (server, client) => panic!(
                "the host offered a certificate: {}; the plugin answered with one: {}",
                client.is_some(),
                server.is_some()
            ),
        };
        let channel = connect::connect(line.address.clone(), security)
            .await
            .expect("the plugin listens before it prints where");
        Ok(Plugin {
            line,
            process,
            channel,
        })
    }

    /// Starts the provider and shakes hands.
    pub async fn start(self) -> Plugin {
        match self.try_start().await {
            Ok(plugin) => plugin,
            Err(ended) => panic!("the plugin did not start: {ended:#?}"),
        }
    }

    /// Runs the provider until it ends by itself.
    pub async fn run(self) -> Ended {
        Process::spawn(self.command()).ended().await
    }
}

/// A provider that is being served.
pub struct Plugin {
    /// What it said on stdout.
    pub line: HandshakeLine,
    /// The process behind it.
    pub process: Process,
    /// The connection that Terraform would have.
    pub channel: Channel,
}

impl Plugin {
    /// The provider's own methods, with Terraform's message limits.
    pub fn provider(&self) -> ProviderClient<Channel> {
        let limit = i32::MAX as usize;
        ProviderClient::new(self.channel.clone())
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit)
    }

    pub fn controller(&self) -> GrpcControllerClient<Channel> {
        GrpcControllerClient::new(self.channel.clone())
    }

    pub fn stdio(&self) -> GrpcStdioClient<Channel> {
        GrpcStdioClient::new(self.channel.clone())
    }

    pub fn broker(&self) -> GrpcBrokerClient<Channel> {
        GrpcBrokerClient::new(self.channel.clone())
    }

    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// Ends the provider as Terraform does, and returns what it left behind.
    pub async fn shutdown(self) -> Ended {
        self.controller()
            .shutdown(goplugin::Empty {})
            .await
            .expect("Shutdown is answered before the end");
        self.process.ended().await
    }
}

/// The line on stdout, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeLine {
    pub core_protocol: String,
    pub app_protocol: String,
    pub address: Address,
    pub transport: String,
    pub certificate: Option<CertificateDer<'static>>,
    pub multiplex: Option<String>,
}

impl HandshakeLine {
    /// As go-plugin's host reads it.
    pub fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('|').collect();
        let [
            core_protocol,
            app_protocol,
            network,
            address,
            transport,
            rest @ ..,
        ] = &fields[..]
        else {
            panic!("unrecognized remote plugin message: {line:?}");
        };
        let (certificate, multiplex) = match rest {
            [certificate] => (*certificate, None),
            [certificate, multiplex] => (*certificate, Some((*multiplex).to_owned())),
            _ => panic!("{} fields in the handshake line {line:?}", fields.len()),
        };
        let certificate = (!certificate.is_empty()).then(|| {
            let der = STANDARD_NO_PAD
                .decode(certificate)
                .expect("unpadded base64");
            CertificateDer::from(der)
        });
        let address = match *network {
            "unix" => Address::Unix(PathBuf::from(address)),
            "tcp" => Address::Tcp(address.parse().expect("an IP address and a port")),
            other => panic!("unknown network {other:?}"),
        };
        Self {
            core_protocol: (*core_protocol).to_owned(),
            app_protocol: (*app_protocol).to_owned(),
            address,
            transport: (*transport).to_owned(),
            certificate,
            multiplex,
        }
    }

    /// Where the socket is, if it is a Unix socket.
    pub fn socket(&self) -> &std::path::Path {
        match &self.address {
            Address::Unix(path) => path,
            Address::Tcp(address) => panic!("{address} is no Unix socket"),
        }
    }
}

/// A process whose output is collected as it comes. Killed when dropped.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    /// Its temporary directory: a process that is killed cannot tidy up. Dropped after `child`.
    _place: tempfile::TempDir,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Process {
    /// Starts `command`, whose stdout and stderr must be piped.
    pub fn spawn(mut command: Command) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let mut set = command.as_std().get_envs();
        if !set.any(|(name, value)| name == "TMPDIR" && value.is_some()) {
            command.env("TMPDIR", place.path());
        }
        let mut child = command.spawn().expect("the program can be started");
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            stdout,
            stderr,
            _place: place,
        }
    }

    /// Its process id. Panics once it has ended and been waited for.
    pub fn id(&self) -> u32 {
        self.child.id().expect("not waited for yet")
    }

    /// The first line on stdout; `None` when stdout was closed without one.
    pub async fn first_line(&mut self) -> Option<String> {
        self.stdout.find(|_| true).await
    }

    /// Waits for a line on stderr that contains `text`, past or future.
    pub async fn stderr_line_with(&mut self, text: &str) -> String {
        let found = self.stderr.find(|line| line.contains(text)).await;
        found.unwrap_or_else(|| panic!("stderr ended without {text:?}"))
    }

    /// Sends a signal, such as `libc::SIGINT`.
    pub fn signal(&self, signal: i32) {
        kill(self.id(), signal);
    }

    /// Waits for the end, and for all output.
    pub async fn ended(mut self) -> Ended {
        let all = async {
            let status = self
                .child
                .wait()
                .await
                .expect("the process can be waited for");
            let stdout = self.stdout.all().await;
            let stderr = self.stderr.all().await;
            Ended {
                status,
                stdout,
                stderr,
            }
        };
        let Ok(ended) = tokio::time::timeout(DEADLINE, all).await else {
            panic!("the process still runs after {DEADLINE:?}");
        };
        ended
    }
}

/// Sends `signal` to one process.
pub fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("process ids are positive i32");
    // SAFETY: takes two integers and touches no memory.
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0, "process {pid} is gone");
}

/// The lines of a stream, collected in the background so that its writer never blocks.
struct Lines(watch::Receiver<(Vec<Arc<str>>, Option<End>)>);

/// The stream is at its end.
#[derive(Clone, Copy)]
struct End;

impl Lines {
    fn of(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (collected, lines) = watch::channel((Vec::new(), None));
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Some(line) = reader.next_line().await.expect("UTF-8 output") {
                collected.send_modify(|(lines, _)| lines.push(Arc::from(line)));
            }
            collected.send_modify(|(_, end)| *end = Some(End));
        });
        Self(lines)
    }

    /// The first line that satisfies `wanted`, past or future; `None` when the stream ends first.
    async fn find(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut found = None;
        let waited = self.0.wait_for(|(lines, end)| {
            found = lines.iter().find(|line| wanted(line)).cloned();
            found.is_some() || end.is_some()
        });
        tokio::time::timeout(DEADLINE, waited)
            .await
            .expect("a line, or the end, before the deadline")
            .expect("the reader marks its end");
        found.map(|line| line.to_string())
    }

    /// All lines, once the stream has ended.
    async fn all(&mut self) -> Vec<String> {
        let state = self.0.wait_for(|(_, end)| end.is_some()).await;
        let state = state.expect("the reader marks its end");
        state.0.iter().map(|line| line.to_string()).collect()
    }
}
