//! A provider, served to a plugin host from the handshake to the end of the process.
//!
//! Enters: a provider and the environment. Leaves: one line on stdout, then answers. Refuses: to
//! start outside a host (see [`handshake`]), and connections of anybody else.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::handshake::{self, HandshakeError, Invitation};
use super::lifetime::{Ending, Lifetime};
use super::listen::{ByteStream, ListenError, Listener};
use super::log::LogLevel;
use super::services::goplugin::grpc_broker_server::GrpcBrokerServer;
use super::services::goplugin::grpc_controller_server::GrpcControllerServer;
use super::services::goplugin::grpc_stdio_server::GrpcStdioServer;
use super::services::health::health_server::HealthServer;
use super::services::{Broker, Controller, Health, Stdio};
use super::tfplugin6::provider_server::{Provider, ProviderServer};
use super::tfplugin6::stop_provider;
use super::tls::{ServerIdentity, TlsError};
use super::{debug, log};

/// States and plans can be large: what HashiCorp's own framework accepts.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// The host connects right after the handshake; a peer that is slower than this is none.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a provider presents itself.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The provider's source address, `namespace/type` or `host/namespace/type`.
    pub provider_address: String,
    /// The provider's type; it names the socket's directory and `TF_LOG_PROVIDER_<NAME>`.
    pub name: String,
    /// Serve to whoever attaches, until Ctrl-C, instead of to the host that started us.
    pub debug: bool,
}

/// Why a provider could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What the host asked for cannot be done.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// There is no place to connect to.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The connection cannot be secured.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server stopped by itself.
    #[error("the gRPC server stopped")]
    Server(#[from] tonic::transport::Error),
    /// The system refused something that every process needs.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ServeError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Serves `provider` until the host, its death or a signal ends the process.
///
/// Blocks, and brings its own Tokio runtime. Returns as soon as the host may see the process end;
/// the caller is expected to leave `main`.
///
/// # Errors
///
/// [`ServeError`]; nothing was printed then, unless the server failed later.
pub fn serve(provider: impl Provider, options: ServeOptions) -> Result<(), ServeError> {
    let invitation = if options.debug {
        Invitation {
            client_certificate: None,
            network: debug::network(),
            says_multiplex: false,
        }
    } else {
        Invitation::read(|name| std::env::var_os(name))?
    };
    let level = LogLevel::read(&options.name, |name| std::env::var(name).ok());
    log::init(&level)
        .map_err(io::Error::other)
        .map_err(ServeError::system("set up logging"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::system("start threads"))?;
    let outcome = runtime.block_on(run(provider, &options, invitation));
    // Work that blocks a thread must not hold up the process's end.
    runtime.shutdown_background();
    outcome
}

async fn run(
    provider: impl Provider,
    options: &ServeOptions,
    invitation: Invitation,
) -> Result<(), ServeError> {
    let shutdown_asked = CancellationToken::new();
    let lifetime = if options.debug {
        Lifetime::of_debug_server(shutdown_asked.clone())
    } else {
        Lifetime::of_plugin(shutdown_asked.clone())
    };
    let lifetime = lifetime.map_err(ServeError::system("handle signals"))?;
    let identity = invitation
        .client_certificate
        .map(ServerIdentity::admitting)
        .transpose()?;
    let mut listener = Listener::bind(&invitation.network, &options.name).await?;
    // Held here and not with the task that accepts, so that it is gone when this returns.
    let _directory = listener.take_directory();
    let line = if options.debug {
        debug::reattach_line(
            &options.provider_address,
            std::process::id(),
            listener.network(),
            listener.address(),
        )
    } else {
        handshake::line(
            listener.network(),
            listener.address(),
            identity.as_ref().map(|identity| &identity.certificate),
            invitation.says_multiplex,
        )
    };
    let acceptor = identity.map(|identity| TlsAcceptor::from(identity.config));
    print_line(&line).map_err(ServeError::system("tell the host where to connect"))?;
    tracing::info!(
        network = listener.network(),
        address = listener.address(),
        tls = acceptor.is_some(),
        "serving"
    );
    serve_connections(
        Arc::new(provider),
        &options.provider_address,
        connections(listener, acceptor),
        shutdown_asked,
        lifetime,
    )
    .await
}

/// Prints the one line that this process prints.
fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

/// Answers calls until the end, and then for as long as the end allows.
async fn serve_connections<P: Provider>(
    provider: Arc<P>,
    provider_address: &str,
    connections: ReceiverStream<io::Result<ByteStream>>,
    shutdown_asked: CancellationToken,
    mut lifetime: Lifetime,
) -> Result<(), ServeError> {
    let ending = CancellationToken::new();
    let provider_address = provider_address.to_owned();
    let server = Server::builder()
        .trace_fn(move |request| call_span(request.uri().path(), &provider_address))
        .add_service(
            ProviderServer::from_arc(Arc::clone(&provider))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(GrpcStdioServer::new(Stdio {
            ending: ending.clone(),
        }))
        .add_service(GrpcBrokerServer::new(Broker {
            ending: ending.clone(),
        }))
        .add_service(GrpcControllerServer::new(Controller { shutdown_asked }))
        .add_service(HealthServer::new(Health {
            ending: ending.clone(),
        }))
        .serve_with_incoming_shutdown(connections, ending.clone().cancelled_owned());
    tokio::pin!(server);

    let reason = tokio::select! {
        result = &mut server => return Ok(result?),
        reason = lifetime.ended() => reason,
    };
    tracing::debug!(?reason, "ending");
    if reason.stops_work() {
        let request = tonic::Request::new(stop_provider::Request {});
        if let Err(status) = provider.stop_provider(request).await {
            tracing::warn!(%status, "running work could not be told to stop");
        }
    }
    ending.cancel();
    let out_of_patience = async {
        let reason = match reason {
            Ending::Signal => lifetime.ended().await,
            reason => reason,
        };
        tokio::time::sleep(reason.patience()).await;
    };
    tokio::select! {
        result = &mut server => Ok(result?),
        () = out_of_patience => Ok(()),
    }
}

/// The span around one call, with the keys that HashiCorp's own providers use.
fn call_span(path: &str, provider_address: &str) -> tracing::Span {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(1);

    let tf_rpc = path.rsplit('/').next().unwrap_or(path);
    let span = tracing::info_span!(
        "call",
        tf_rpc,
        // Unique among the lines of one log, which may hold several processes.
        tf_req_id = format!(
            "{}-{}",
            std::process::id(),
            CALLS.fetch_add(1, Ordering::Relaxed)
        ),
        tf_provider_addr = provider_address,
        tf_proto_version = handshake::PROTOCOL_VERSION,
    );
    tracing::trace!(parent: &span, "called");
    span
}

/// Accepts connections, and secures them side by side, so that a peer that never finishes its TLS
/// handshake holds up nobody.
fn connections(
    listener: Listener,
    acceptor: Option<TlsAcceptor>,
) -> ReceiverStream<io::Result<ByteStream>> {
    let (accepted, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                () = accepted.closed() => return,
                stream = listener.accept() => stream,
            };
            let stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: leave time for some to be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            tokio::spawn(secure(stream, acceptor.clone(), accepted.clone()));
        }
    });
    ReceiverStream::new(connections)
}

/// Passes on a connection once its peer has proved to be the host.
async fn secure(
    stream: ByteStream,
    acceptor: Option<TlsAcceptor>,
    accepted: mpsc::Sender<io::Result<ByteStream>>,
) {
    let stream = match acceptor {
        None => stream,
        Some(acceptor) => {
            match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => ByteStream::new(stream),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "refused a connection that is not the host's");
                    return;
                }
                Err(_) => {
                    tracing::warn!("refused a connection that did not finish its TLS handshake");
                    return;
                }
            }
        }
    };
    // Fails only while the server is ending, when nobody is interested any more.
    drop(accepted.send(Ok(stream)).await);
}
