//! The bytes of a pipe, cut into lines.
//!
//! Enters: bytes, in whatever pieces a pipe gives them. Leaves: whole lines without their break, of any content. Refuses to keep a line over its limit: that one
//! is dropped and told of, or given out in pieces.

use std::io::{self, Read};

/// How much room a read finds at least, and from which size on a line is handed over without being copied.
const CHUNK: usize = 64 * 1024;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Vec<u8>),
    /// A line over the limit was dropped.
    TooLong,
}

/// Bytes of a pipe, cut into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the first line that has not been given out begins.
    start: usize,
    /// Up to where no line break was found.
    searched: usize,
    limit: usize,
    /// The rest of a line over the limit is being dropped.
    skipping: bool,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            searched: 0,
            limit,
            skipping: false,
        }
    }

    /// Reads what is there, up to some megabytes. Returns whether the pipe is still open, and the bytes that are new.
    pub(crate) fn fill(&mut self, pipe: &mut impl Read) -> (bool, &[u8]) {
        // `read_to_end` keeps what it read when it then meets the empty pipe, which is the usual end here.
        const MOST: usize = 4 * 1024 * 1024;
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.bytes.reserve(CHUNK);
        let before = self.bytes.len();
        let open = match pipe.take(MOST as u64).read_to_end(&mut self.bytes) {
            Ok(count) => count == MOST,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        (open, &self.bytes[before..])
    }

    /// The next whole line, without its line break and a carriage return before it. What follows the last line break stays.
    pub(crate) fn next(&mut self) -> Option<Line> {
        loop {
            let Some(end) = self.line_break() else {
                self.searched = self.bytes.len();
                if self.bytes.len() - self.start > self.limit {
                    let first = !self.skipping;
                    self.skipping = true;
                    self.clear();
                    if first {
                        return Some(Line::TooLong);
                    }
                } else if self.start == self.bytes.len() {
                    self.clear();
                }
                return None;
            };
            let too_long = end - self.start > self.limit;
            if self.skipping || too_long {
                self.start = end + 1;
                self.searched = self.start;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Some(Line::TooLong);
            }
            let line = self.cut(end);
            return Some(Line::Text(line));
        }
    }

    /// Like [`Lines::next`], but gives out the last line without its break when the pipe is `closed`, and a line over the limit in pieces.
    pub(crate) fn next_piece(&mut self, closed: bool) -> Option<Line> {
        let end = self.line_break();
        let length = end.unwrap_or(self.bytes.len()) - self.start;
        if length > self.limit {
            let piece = self.bytes[self.start..self.start + self.limit].to_vec();
            self.start += self.limit;
            self.searched = self.start;
            return Some(Line::Text(piece));
        }
        match end {
            Some(end) => Some(Line::Text(self.cut(end))),
            None if closed && length > 0 => {
                let rest = self.bytes[self.start..].to_vec();
                self.clear();
                Some(Line::Text(rest))
            }
            None => {
                self.searched = self.bytes.len();
                None
            }
        }
    }

    /// The position of the next line break.
    fn line_break(&self) -> Option<usize> {
        let rest = &self.bytes[self.searched..];
        // SAFETY: the range is the slice's own; libc's search looks at many bytes at a time, which counts in lines of megabytes.
        let found = unsafe { libc::memchr(rest.as_ptr().cast(), i32::from(b'\n'), rest.len()) };
        (!found.is_null()).then(|| self.searched + (found as usize - rest.as_ptr() as usize))
    }

    /// Takes the line that ends before the break at `end`. The usual case, one large line and nothing behind it, moves no byte.
    fn cut(&mut self, end: usize) -> Vec<u8> {
        let mut line = if self.start == 0 && end >= CHUNK {
            let rest = self.bytes.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.bytes, rest);
            line.pop();
            self.searched = 0;
            line
        } else {
            let line = self.bytes[self.start..end].to_vec();
            self.start = end + 1;
            self.searched = self.start;
            line
        };
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        line
    }

    fn clear(&mut self) {
        self.start = 0;
        self.searched = 0;
        // A buffer that one huge line blew up is given back.
        if self.bytes.capacity() > 4 * CHUNK {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `chunks` one read at a time and collects what comes out after each.
    fn cut(limit: usize, chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(limit);
        let mut out = Vec::new();
        for mut chunk in chunks.iter().copied() {
            lines.fill(&mut chunk);
            while let Some(line) = lines.next() {
                out.push(line);
            }
        }
        out
    }

    fn text(text: &[u8]) -> Line {
        Line::Text(text.to_vec())
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let whole = b"{\"a\":1}\r\n\n\xff\xfe\nlast".as_slice();
        let expected = [text(b"{\"a\":1}"), text(b""), text(b"\xff\xfe")];
        assert_eq!(cut(100, &[whole]), expected);
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(cut(100, &bytes), expected);
    }

    #[test]
    fn a_huge_line_is_whole_and_what_follows_it_too() {
        let huge = vec![b'x'; 3 * CHUNK];
        let mut input = huge.clone();
        input.extend_from_slice(b"\nnext\n");
        assert_eq!(cut(usize::MAX, &[&input]), [text(&huge), text(b"next")]);
    }

    #[test]
    fn a_line_over_the_limit_is_told_of_once_and_the_next_one_is_read() {
        assert_eq!(
            cut(8, &[b"aaaaaaaaaa", b"bbbbbbbbbb", b"bb\nok\n"]),
            [Line::TooLong, text(b"ok")]
        );
        assert_eq!(cut(8, &[b"aaaaaaaaaa\nok\n"]), [Line::TooLong, text(b"ok")]);
        assert_eq!(cut(8, &[b"aaaaaaaa\n"]), [text(b"aaaaaaaa")]);
    }

    #[test]
    fn log_lines_come_in_pieces_and_the_last_one_without_its_break() {
        let mut lines = Lines::new(4);
        lines.fill(&mut b"abcdefghij\nk".as_slice());
        let mut pieces = Vec::new();
        while let Some(piece) = lines.next_piece(true) {
            pieces.push(piece);
        }
        assert_eq!(
            pieces,
            [text(b"abcd"), text(b"efgh"), text(b"ij"), text(b"k")]
        );
    }
}
