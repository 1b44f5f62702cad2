//! The socket that the host connects to.
//!
//! Enters: a [`Network`]. Leaves: a listening [`Listener`], and one byte stream per connection.
//! Refuses: to create a socket where another user of the machine could reach it.

use std::io;
use std::net::Ipv4Addr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::handshake::Network;

/// Why there is nothing to connect to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No directory could hold the socket.
    #[error("cannot make a socket in {directory}; set TMPDIR to a directory that can hold one")]
    Unix {
        /// The last directory that was tried.
        directory: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host asked for a group that does not exist here.
    #[error("PLUGIN_UNIX_SOCKET_GROUP names the group {group}, which does not exist")]
    Group {
        /// As the host wrote it.
        group: String,
    },
    /// Every port of the range is taken.
    #[error("cannot listen on any TCP port from {min_port} to {max_port} of 127.0.0.1")]
    Tcp {
        /// First port tried.
        min_port: u16,
        /// Last port tried.
        max_port: u16,
        /// What the system said about the last one.
        source: io::Error,
    },
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: String,
    /// The private directory of a Unix socket; removed, with the socket, when it is dropped.
    directory: Option<tempfile::TempDir>,
}

#[derive(Debug)]
enum Socket {
    #[cfg(unix)]
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Starts to listen; the host may connect as soon as this returns. `name` begins the name of
    /// the socket's directory. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ListenError`] when no place of those that the network allows can be used.
    pub async fn bind(network: &Network, name: &str) -> Result<Self, ListenError> {
        match network {
            #[cfg(unix)]
            Network::Unix { directory, group } => {
                bind_unix(directory.as_deref(), group.as_deref(), name)
            }
            #[cfg(not(unix))]
            Network::Unix { .. } => Err(ListenError::Unix {
                directory: name.to_owned(),
                source: io::ErrorKind::Unsupported.into(),
            }),
            Network::Tcp { min_port, max_port } => bind_tcp(*min_port, *max_port).await,
        }
    }

    /// `unix` or `tcp`.
    #[must_use]
    pub fn network(&self) -> &'static str {
        match &self.socket {
            #[cfg(unix)]
            Socket::Unix(_) => "unix",
            Socket::Tcp(_) => "tcp",
        }
    }

    /// Absolute path of the socket, or `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Takes over the socket's directory, which lives until the result is dropped.
    pub fn take_directory(&mut self) -> Option<tempfile::TempDir> {
        self.directory.take()
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// What the system said; the listener stays usable.
    pub async fn accept(&self) -> io::Result<ByteStream> {
        match &self.socket {
            #[cfg(unix)]
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(ByteStream(Box::pin(stream)))
            }
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(ByteStream(Box::pin(stream)))
            }
        }
    }
}

/// Listens inside a new private directory.
#[cfg(unix)]
fn bind_unix(
    demanded: Option<&Path>,
    group: Option<&str>,
    name: &str,
) -> Result<Listener, ListenError> {
    let group = group
        .map(|group| {
            group_id(group).ok_or_else(|| ListenError::Group {
                group: group.to_owned(),
            })
        })
        .transpose()?;
    // A socket's path has room for about 100 bytes, and a temporary directory may be longer.
    let places = match demanded {
        Some(directory) => vec![directory.to_owned()],
        None => vec![std::env::temp_dir(), PathBuf::from("/tmp")],
    };
    let mut failure = None;
    for place in places {
        match bind_in(&place, group, name) {
            Ok(listener) => return Ok(listener),
            Err(source) => {
                failure = Some(ListenError::Unix {
                    directory: place.display().to_string(),
                    source,
                });
            }
        }
    }
    Err(failure.unwrap_or_else(|| ListenError::Unix {
        directory: name.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    }))
}

#[cfg(unix)]
fn bind_in(place: &Path, group: Option<u32>, name: &str) -> io::Result<Listener> {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    let place = std::path::absolute(place)?;
    // Private from the moment it exists: whoever cannot enter the directory cannot connect.
    let directory = tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(place)?;
    let path = directory.path().join("plugin.sock");
    let Some(address) = path.to_str().map(str::to_owned) else {
        // The handshake line is text.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the directory's name is not UTF-8",
        ));
    };
    let listener = UnixListener::bind(&path)?;
    match group {
        None => set_permissions(&path, Permissions::from_mode(0o600))?,
        Some(_) => {
            // The host may run as another user of this group; nobody else gets in.
            chown(&path, None, group)?;
            set_permissions(&path, Permissions::from_mode(0o660))?;
            chown(directory.path(), None, group)?;
            set_permissions(directory.path(), Permissions::from_mode(0o710))?;
        }
    }
    Ok(Listener {
        socket: Socket::Unix(listener),
        address,
        directory: Some(directory),
    })
}

/// The number of a group that is given by number or name.
#[cfg(unix)]
fn group_id(group: &str) -> Option<u32> {
    if let Ok(number) = group.parse() {
        return Some(number);
    }
    let name = std::ffi::CString::new(group).ok()?;
    // SAFETY: `getgrnam` returns a pointer to static storage, or null. It is called once, before
    // the server starts, and the record is copied out at once, so nothing can overwrite it.
    unsafe { libc::getgrnam(name.as_ptr()).as_ref() }.map(|record| record.gr_gid)
}

async fn bind_tcp(min_port: u16, max_port: u16) -> Result<Listener, ListenError> {
    let mut failure = io::Error::from(io::ErrorKind::InvalidInput);
    for port in min_port..=max_port {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => {
                return Ok(Listener {
                    socket: Socket::Tcp(listener),
                    address: address.to_string(),
                    directory: None,
                });
            }
            Err(error) => failure = error,
        }
    }
    Err(ListenError::Tcp {
        min_port,
        max_port,
        source: failure,
    })
}

trait ReadWrite: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

/// One connection, whatever it runs over.
pub struct ByteStream(Pin<Box<dyn ReadWrite>>);

impl ByteStream {
    /// Wraps a stream that speaks TLS, or anything else.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl tonic::transport::server::Connected for ByteStream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(context)
    }
}
