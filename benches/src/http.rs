//! What both ends of the Runtime API need of HTTP/1.1: a head's fields, and parts written as one message.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

/// The value of a field of `head`, by its name in any case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Writes all of `parts`, together where the kernel takes them together.
pub(crate) fn write(stream: &mut TcpStream, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        let count = stream.write_vectored(left)?;
        IoSlice::advance_slices(&mut left, count);
    }
    Ok(())
}
