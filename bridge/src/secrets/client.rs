//! HTTP/1.1 to AWS's endpoints: one kept-alive connection to each, with TLS where the endpoint wants it, and a deadline on every step.
//!
//! Enters: requests as text. Leaves: responses. Refuses: servers whose certificate does not lead to a known root. Nothing of TLS exists before the first
//! request that needs it, and all of it goes when the [`Client`] does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::endpoint::Endpoint;
use super::{Variables, dns, tls};
use crate::http_response::{Response, read_response};

/// The longest that one address may take to accept a connection while there are others.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// The largest response that is read, in bytes. A secret has at most 64 KB, a parameter 8 KB.
const MAX_RESPONSE: u64 = 1024 * 1024;

/// The connections that one round of reading needs.
pub(super) struct Client {
    ca_bundle: Option<String>,
    tls: Option<Arc<ClientConfig>>,
    connections: Vec<(Endpoint, Stream)>,
}

impl Client {
    /// A client without a connection yet. `AWS_CA_BUNDLE` among `variables` is a PEM file whose certificates replace the roots that are compiled in.
    pub(super) fn new(variables: &Variables) -> Self {
        Self {
            ca_bundle: variables.get("AWS_CA_BUNDLE").map(str::to_owned),
            tls: None,
            connections: Vec::new(),
        }
    }

    /// Sends a request, `head` being all of it up to the empty line that ends it, and reads the response.
    ///
    /// # Errors
    ///
    /// What kept the exchange from its end before `until`.
    pub(super) fn exchange(
        &mut self,
        endpoint: &Endpoint,
        head: &str,
        body: &[u8],
        until: Instant,
    ) -> io::Result<Response> {
        let request = [head.as_bytes(), body].concat();
        let kept = self
            .connections
            .iter()
            .position(|(other, _)| other == endpoint)
            .map(|index| self.connections.swap_remove(index).1);
        if let Some(stream) = kept {
            match self.exchange_on(endpoint, stream, &request, until) {
                // It was closed while nothing was under way. Every request here may be sent twice.
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                result => return result,
            }
        }
        let stream = self.connect(endpoint, until)?;
        self.exchange_on(endpoint, stream, &request, until)
    }

    fn exchange_on(
        &mut self,
        endpoint: &Endpoint,
        mut stream: Stream,
        request: &[u8],
        until: Instant,
    ) -> io::Result<Response> {
        stream.set_deadline(until);
        stream.write_all(request)?;
        stream.flush()?;
        let response = read_response(&mut Read::take(&mut stream, MAX_RESPONSE))?;
        let closes = response
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.connections.push((endpoint.clone(), stream));
        }
        Ok(response)
    }

    fn connect(&mut self, endpoint: &Endpoint, until: Instant) -> io::Result<Stream> {
        let addresses = dns::resolve(&endpoint.host, until)?;
        let mut last = io::ErrorKind::TimedOut.into();
        for (index, address) in addresses.iter().enumerate() {
            let left = dns::left(until)?;
            let patience = if index + 1 < addresses.len() {
                left.min(CONNECT_PATIENCE)
            } else {
                left
            };
            let address = SocketAddr::new(*address, endpoint.port);
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let stream = Timed { stream, until };
                    return self.secure(endpoint, stream);
                }
                Err(error) => {
                    let reason = format!("no connection to {address}: {error}");
                    last = io::Error::new(error.kind(), reason);
                }
            }
        }
        Err(last)
    }

    fn secure(&mut self, endpoint: &Endpoint, stream: Timed) -> io::Result<Stream> {
        if !endpoint.tls {
            return Ok(Stream::Plain(stream));
        }
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => {
                let config = Arc::new(tls::config(self.ca_bundle.as_deref())?);
                Arc::clone(self.tls.insert(config))
            }
        };
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
    }
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    fn set_deadline(&mut self, until: Instant) {
        match self {
            Self::Plain(stream) => stream.until = until,
            Self::Tls(stream) => stream.sock.until = until,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection on which every wait ends at `until`, with `TimedOut`.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(dns::left(self.until)?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream
            .set_write_timeout(Some(dns::left(self.until)?))?;
        self.stream.write(buffer).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket's own timeout reads as `WouldBlock`.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}
