//! Reads one HTTP/1.1 response from a stream.
//!
//! Enters: bytes, however they are cut. Leaves: a [`Response`]. Refuses: responses that are not HTTP/1.1 with a length or in chunks. The stream is left
//! where the response ends, so that it can carry the next one.

use std::io::{self, Read};

/// A response's head may not be longer: the largest of its headers, a client context, has at most 3.5 KB.
const MAX_HEAD: usize = 64 * 1024;

/// A response as it came over the wire.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads one whole response.
///
/// # Errors
///
/// `UnexpectedEof` when not a byte of it came, `InvalidData` when it is malformed or ends early, and whatever the stream says.
pub(crate) fn read_response(stream: &mut impl Read) -> io::Result<Response> {
    let malformed = |what: &str| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("malformed HTTP response: {what}"),
        )
    };
    let mut input = Vec::with_capacity(4096);
    let head_end = loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if input.len() > MAX_HEAD {
            return Err(malformed("its head is too long"));
        }
        let whole = input.is_empty();
        match read_some(stream, &mut input) {
            Err(error) if whole && error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(0) if whole => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Err(malformed("it ends too early")),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    };
    let head = String::from_utf8_lossy(&input[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.get(..3)?.parse().ok())
        .ok_or_else(|| malformed("it has no HTTP/1.1 status line"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut response = Response {
        status,
        headers,
        body: input.split_off(head_end),
    };
    if response
        .header("Transfer-Encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        response.body = read_chunked(stream, std::mem::take(&mut response.body))?;
    } else {
        let length: usize = match response.header("Content-Length") {
            Some(length) => length
                .parse()
                .map_err(|_| malformed("its length is no number"))?,
            None if status == 204 => 0,
            None => return Err(malformed("it has no length")),
        };
        let body = &mut response.body;
        body.reserve_exact(length.saturating_sub(body.len()));
        while body.len() < length {
            let missing = length - body.len();
            if stream.take(missing as u64).read_to_end(body)? < missing {
                return Err(malformed("it ends too early"));
            }
        }
    }
    Ok(response)
}

/// Decodes a chunked body of which `input` has been read.
fn read_chunked(stream: &mut impl Read, mut input: Vec<u8>) -> io::Result<Vec<u8>> {
    let malformed = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "malformed HTTP response: its chunks are none",
        )
    };
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line_end = loop {
            if let Some(offset) = input[at..].windows(2).position(|window| window == b"\r\n") {
                break at + offset;
            }
            if read_some(stream, &mut input)? == 0 {
                return Err(malformed());
            }
        };
        let line = std::str::from_utf8(&input[at..line_end]).map_err(|_| malformed())?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
            .map_err(|_| malformed())?;
        at = line_end + 2;
        if size == 0 {
            // The end: trailers, which nobody needs here, up to an empty line.
            while !input[at..].starts_with(b"\r\n") {
                match input[at..].windows(2).position(|window| window == b"\r\n") {
                    Some(offset) => at += offset + 2,
                    None => {
                        if read_some(stream, &mut input)? == 0 {
                            return Err(malformed());
                        }
                    }
                }
            }
            return Ok(body);
        }
        let end = at
            .checked_add(size)
            .and_then(|end| end.checked_add(2))
            .ok_or_else(malformed)?;
        while input.len() < end {
            if read_some(stream, &mut input)? == 0 {
                return Err(malformed());
            }
        }
        if &input[end - 2..end] != b"\r\n" {
            return Err(malformed());
        }
        body.extend_from_slice(&input[at..end - 2]);
        input.drain(..end);
        at = 0;
    }
}

fn read_some(stream: &mut impl Read, input: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(count) => {
                input.extend_from_slice(&chunk[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out one byte per read, the worst that a stream can do.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read(text: &str) -> io::Result<Response> {
        read_response(&mut Dribble(text.as_bytes()))
    }

    #[test]
    fn both_ways_to_send_a_body_are_read() {
        let plain = read(
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: a\r\nContent-Length: 5\r\n\r\nhello",
        )
        .expect("reads");
        assert_eq!(
            (
                plain.status,
                plain.header("Lambda-Runtime-Aws-Request-Id"),
                plain.body.as_slice()
            ),
            (200, Some("a"), b"hello".as_slice())
        );
        let chunked = read("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n").expect("reads");
        assert_eq!(
            (chunked.status, chunked.body.as_slice()),
            (202, b"hello".as_slice())
        );
    }

    #[test]
    fn a_connection_closed_before_the_response_is_told_apart_from_one_closed_within() {
        assert_eq!(
            read("").expect_err("empty").kind(),
            io::ErrorKind::UnexpectedEof
        );
        for half in [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe",
        ] {
            assert_eq!(
                read(half).expect_err(half).kind(),
                io::ErrorKind::InvalidData,
                "{half}"
            );
        }
    }
}
