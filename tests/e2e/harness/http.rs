//! HTTP/1.1 over loopback, both sides, no more than the tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Sends one request and returns status and body.
///
/// # Panics
///
/// When there is no HTTP answer.
pub(crate) fn request(method: &str, url: &str, body: &str) -> (u16, String) {
    request_with(method, url, &[("content-type", "application/json")], body)
}

/// Sends one request with these headers, and returns status and body.
///
/// # Panics
///
/// When there is no HTTP answer.
pub(crate) fn request_with(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let more: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let rest = url.strip_prefix("http://").expect("loopback is plain HTTP");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).unwrap_or_else(|error| panic!("{url}: {error}"));
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {}\r\n\
         connection: close\r\n{more}\r\n{body}",
        body.len()
    )
    .expect("the request is sent");
    let mut reader = BufReader::new(stream);
    let (first, headers) = head(&mut reader).unwrap_or_else(|| panic!("{method} {url}: no answer"));
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status line");
    let mut body = Vec::new();
    if header(&headers, "transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).expect("a chunk's size");
            let size = usize::from_str_radix(size.trim(), 16).expect("hexadecimal");
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).expect("a chunk");
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        reader.read_to_end(&mut body).expect("a body");
    }
    (status, String::from_utf8(body).expect("text"))
}

/// First line and headers (names in lower case); `None` when the connection was closed without any.
pub(crate) fn head(reader: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Some((first.trim_end().to_owned(), headers));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The value of a header.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
