//! Lambda's Runtime API, spoken directly: HTTP/1.1 over one kept-alive connection to an address of the execution environment itself.
//!
//! Enters: `AWS_LAMBDA_RUNTIME_API`. Leaves: invocations, one at a time. Refuses: responses that are not HTTP/1.1 with a length or in chunks. There is no
//! timeout: the environment is frozen while the next event is awaited. Source: AWS Lambda Developer Guide, "Using the Lambda runtime API".

use std::io::{self, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http_response::{Response, read_response};

/// The largest answer that Lambda takes, in bytes. Larger ones it replaces by an error of its own that names no request.
pub(crate) const MAX_ANSWER: usize = 6_291_556;
/// The largest answer that Lambda streams, in bytes. Source: AWS Lambda Developer Guide, "Response streaming".
pub(crate) const MAX_STREAM: usize = 200 * 1024 * 1024;
/// Ends the head of a streamed answer to a function URL. Source: as above.
const HEAD_END: &[u8] = &[0; 8];
/// How long an invocation is served that came without a deadline: the longest that Lambda has.
const LONGEST_INVOCATION: Duration = Duration::from_secs(900);

/// The connection to the Runtime API.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    connection: Option<TcpStream>,
    /// The connection has carried a whole exchange, so its end says nothing about the next one.
    reused: bool,
}

/// One event to be answered.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    /// When Lambda ends the function.
    pub(crate) deadline: Instant,
    pub(crate) client_context: Option<String>,
    /// AWS X-Ray's tracing header.
    pub(crate) trace_id: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl RuntimeApi {
    /// Reads the address; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A sentence when `address` is not `ip:port`.
    pub(crate) fn new(address: &str) -> Result<Self, String> {
        let parsed = match address.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .ok()
                .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => address.parse().ok(),
        };
        let address = parsed.ok_or_else(|| format!("AWS_LAMBDA_RUNTIME_API is `{address}`, which is no address of the form 127.0.0.1:9001"))?;
        Ok(Self {
            address,
            connection: None,
            reused: false,
        })
    }

    /// Asks for the next event and returns the descriptor that becomes readable when it is there. [`RuntimeApi::next`] then takes it.
    pub(crate) fn ask_next(&mut self) -> io::Result<RawFd> {
        let head = format!(
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        );
        if self.send(head.as_bytes(), &[]).is_err() && self.reused {
            self.connection = None;
        }
        match &self.connection {
            Some(connection) => Ok(connection.as_raw_fd()),
            None => {
                self.send(head.as_bytes(), &[])?;
                self.connection
                    .as_ref()
                    .map(AsRawFd::as_raw_fd)
                    .ok_or_else(|| io::ErrorKind::NotConnected.into())
            }
        }
    }

    /// Takes the event that was asked for. `None` when the connection was closed instead: ask again.
    ///
    /// # Errors
    ///
    /// The Runtime API is gone, or answered something else than an event: the bridge cannot go on.
    pub(crate) fn next(&mut self) -> io::Result<Option<Invocation>> {
        let reused = self.reused;
        let response = match self.receive() {
            Ok(response) => response,
            Err(error) if reused && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if response.status != 200 {
            return Err(io::Error::other(format!(
                "the Runtime API answered the request for the next event with status {}",
                response.status
            )));
        }
        let request_id = response
            .header("Lambda-Runtime-Aws-Request-Id")
            .ok_or_else(|| io::Error::other("the Runtime API sent an event without a request id"))?
            .to_owned();
        let left = response
            .header("Lambda-Runtime-Deadline-Ms")
            .and_then(|millis| millis.parse().ok())
            .map_or(LONGEST_INVOCATION, |millis| {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Duration::from_millis(millis).saturating_sub(now)
            });
        let client_context = response
            .header("Lambda-Runtime-Client-Context")
            .map(str::to_owned)
            .filter(|context| !context.is_empty());
        let trace_id = response
            .header("Lambda-Runtime-Trace-Id")
            .map(str::to_owned);
        Ok(Some(Invocation {
            request_id,
            deadline: Instant::now() + left.min(LONGEST_INVOCATION),
            client_context,
            trace_id,
            body: response.body,
        }))
    }

    /// Answers an event with the concatenation of `parts`.
    ///
    /// # Errors
    ///
    /// As [`RuntimeApi::post`].
    pub(crate) fn respond(
        &mut self,
        request_id: &str,
        parts: &[&[u8]],
    ) -> io::Result<Result<(), String>> {
        self.post(&format!("/invocation/{request_id}/response"), "", parts)
    }

    /// Answers an event with a function error.
    ///
    /// # Errors
    ///
    /// As [`RuntimeApi::post`].
    pub(crate) fn fail(
        &mut self,
        request_id: &str,
        error_type: &str,
        message: &str,
    ) -> io::Result<Result<(), String>> {
        self.post(
            &format!("/invocation/{request_id}/error"),
            &error_header(error_type),
            &[&error_body(error_type, message)],
        )
    }

    /// Begins to answer an HTTP event piece by piece: `head` is a JSON object with `statusCode` and `headers`.
    ///
    /// It has a connection of its own, because half an answer cannot be sent again when a kept-alive one turns out to be closed.
    ///
    /// # Errors
    ///
    /// The Runtime API is gone.
    pub(crate) fn stream(&self, request_id: &str, head: &str) -> io::Result<AnswerStream> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_nodelay(true)?;
        let request = format!(
            "POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\nHost: {}\r\nContent-Type: application/vnd.awslambda.http-integration-response\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            self.address
        );
        write_all(&mut connection, &[request.as_bytes()])?;
        let mut stream = AnswerStream { connection };
        stream.write(&[head.as_bytes(), HEAD_END])?;
        Ok(stream)
    }

    /// Tells Lambda that the function cannot start.
    ///
    /// # Errors
    ///
    /// As [`RuntimeApi::post`].
    pub(crate) fn fail_init(
        &mut self,
        error_type: &str,
        message: &str,
    ) -> io::Result<Result<(), String>> {
        self.post(
            "/init/error",
            &error_header(error_type),
            &[&error_body(error_type, message)],
        )
    }

    /// Posts and reads the answer. The inner error is Lambda's refusal of this one message.
    ///
    /// # Errors
    ///
    /// The Runtime API is gone, or asks the runtime to end (5xx).
    fn post(
        &mut self,
        path: &str,
        extra_head: &str,
        parts: &[&[u8]],
    ) -> io::Result<Result<(), String>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let head = format!(
            "POST /2018-06-01/runtime{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{extra_head}\r\n",
            self.address
        );
        let reused = self.reused;
        let response = match self
            .send(head.as_bytes(), parts)
            .and_then(|()| self.receive())
        {
            Ok(response) => response,
            // The platform closed an idle connection. If it did get the message, it answers the second one with a refusal, which does no harm.
            Err(_) if reused => {
                self.connection = None;
                self.send(head.as_bytes(), parts)?;
                self.receive()?
            }
            Err(error) => return Err(error),
        };
        match response.status {
            200..=299 => Ok(Ok(())),
            status @ 300..=499 => Ok(Err(refusal(status, &response.body))),
            status => Err(io::Error::other(format!(
                "the Runtime API answered with status {status}"
            ))),
        }
    }

    fn send(&mut self, head: &[u8], parts: &[&[u8]]) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = TcpStream::connect(self.address)?;
                connection.set_nodelay(true)?;
                self.reused = false;
                self.connection.insert(connection)
            }
        };
        let pieces: Vec<&[u8]> = std::iter::once(head).chain(parts.iter().copied()).collect();
        write_all(connection, &pieces)
    }

    /// Reads one whole response. `UnexpectedEof` means that not a byte of it came.
    fn receive(&mut self) -> io::Result<Response> {
        let connection = self
            .connection
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?;
        let result = read_response(connection);
        match &result {
            Ok(response)
                if response
                    .header("Connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close")) =>
            {
                self.connection = None
            }
            Ok(_) => self.reused = true,
            Err(_) => self.connection = None,
        }
        result
    }
}

/// An answer that is sent piece by piece.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    connection: TcpStream,
}

impl AnswerStream {
    /// Sends the concatenation of `parts`; nothing when they are empty.
    ///
    /// # Errors
    ///
    /// Lambda takes no more: the caller may have gone.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            // An empty chunk is the end.
            return Ok(());
        }
        let size = format!("{length:x}\r\n");
        let mut pieces = Vec::with_capacity(parts.len() + 2);
        pieces.push(size.as_bytes());
        pieces.extend_from_slice(parts);
        pieces.push(b"\r\n");
        write_all(&mut self.connection, &pieces)
    }

    /// Ends the answer. The inner error is Lambda's refusal of it.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub(crate) fn end(mut self) -> io::Result<Result<(), String>> {
        write_all(&mut self.connection, &[b"0\r\n\r\n"])?;
        let response = read_response(&mut self.connection)?;
        Ok(match response.status {
            200..=299 => Ok(()),
            status => Err(refusal(status, &response.body)),
        })
    }
}

fn refusal(status: u16, body: &[u8]) -> String {
    format!("status {status}: {}", String::from_utf8_lossy(body).trim())
}

fn write_all(connection: &mut TcpStream, pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    // Steps over empty pieces, which would read as a closed connection below.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match connection.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn error_header(error_type: &str) -> String {
    format!("Lambda-Runtime-Function-Error-Type: {error_type}\r\n")
}

fn error_body(error_type: &str, message: &str) -> Vec<u8> {
    serde_json::json!({"errorMessage": message, "errorType": error_type, "stackTrace": []})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_accepted() {
        let address = |text: &str| RuntimeApi::new(text).map(|api| api.address.to_string());
        assert_eq!(address("127.0.0.1:9001"), Ok("127.0.0.1:9001".to_owned()));
        assert_eq!(address("localhost:80"), Ok("127.0.0.1:80".to_owned()));
        assert_eq!(
            address("169.254.100.1:9001"),
            Ok("169.254.100.1:9001".to_owned())
        );
        assert_eq!(
            address("runtime.example"),
            Err("AWS_LAMBDA_RUNTIME_API is `runtime.example`, which is no address of the form 127.0.0.1:9001".to_owned())
        );
    }
}
