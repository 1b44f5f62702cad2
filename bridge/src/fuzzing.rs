//! What the fuzz targets in `bridge/fuzz` call: the two readers of bytes from outside, and what is done next with what they read. Built for these only, and for the test that
//! gives it the cases of `bridge/fuzz/corpus`.
//!
//! Enters: any bytes. Leaves: nothing; a panic is a finding. What is asserted is what the rest of the bridge relies on: parts of an event are JSON by
//! themselves, a message for the server is one line, and no line is lost, invented or joined with another however the pipe cuts them.

use std::io::{self, Read};

use crate::arguments;
use crate::era::{self, Era, Server};
use crate::event::{self, Event};
use crate::http::{self, HttpRequest};
use crate::incoming;
use crate::json::{self, Object};
use crate::jsonrpc::{ErrorObject, Message, notification_line, request_line};
use crate::launch::ToolFilter;
use crate::lines::{Line, Lines};
use crate::metadata;
use crate::metrics;
use crate::notice::{self, Watched};
use crate::outgoing;
use crate::tools::Tools;
use crate::trace;

/// An invocation: `data` is the client context, a NUL byte, and the event; without a NUL byte there is no client context.
///
/// # Panics
///
/// When the bridge would do something wrong with it.
pub fn event(data: &[u8]) {
    let (context, body) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (std::str::from_utf8(&data[..end]).ok(), &data[end + 1..]),
        None => (None, data),
    };
    match event::recognise(body, context) {
        Ok(Event::AgentCore { tool, arguments }) => {
            assert!(!tool.is_empty());
            if let Some(arguments) = arguments {
                assert!(json::is_json(arguments) && arguments.starts_with('{'));
                tool_arguments(arguments);
            }
        }
        Ok(Event::Http(request)) => http_request(&request),
        Ok(Event::Request { id, method, params }) => request(id, &method, params),
        Ok(Event::Notification { method, params }) => {
            one_line(&notification_line(&method, params));
        }
        Err(_) => {}
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let mut escaped = String::from("\"");
        json::escape(text, &mut escaped);
        assert_eq!(escaped.len() - 1, json::escaped_len(text));
        escaped.push('"');
        assert_eq!(json::string(&escaped).as_deref(), Some(text));
        let _ = trace::from_xray(text);
        let _ = metrics::is_tool_error(text);
    }
}

/// `data` comes out of a pipe in pieces: the first byte says how long a line may be, the second how long a piece is.
///
/// # Panics
///
/// When a line is lost or changed, or the bridge would do something wrong with it.
pub fn lines(data: &[u8]) {
    let [limit, piece, data @ ..] = data else {
        return;
    };
    let (limit, piece) = (usize::from(*limit), usize::from(*piece).max(1));
    let mut expected: Vec<Line> = Vec::new();
    let mut segments = data.split(|byte| *byte == b'\n').peekable();
    while let Some(segment) = segments.next() {
        if segment.len() > limit {
            expected.push(Line::TooLong);
        } else if segments.peek().is_some() {
            let line = segment.strip_suffix(b"\r").unwrap_or(segment);
            expected.push(Line::Text(line.to_vec()));
        }
    }
    let mut found = Vec::new();
    read(data, piece, limit, |lines, _| {
        while let Some(line) = lines.next() {
            found.push(line);
        }
    });
    assert_eq!(found, expected);
    for line in &found {
        if let Line::Text(line) = line {
            message(line);
        }
    }
    // As stderr is read: nothing is dropped.
    let mut all = Vec::new();
    let limit = limit.max(1);
    read(data, piece, limit, |lines, closed| {
        while let Some(Line::Text(line)) = lines.next_piece(closed) {
            assert!(line.len() <= limit && !line.contains(&b'\n'));
            all.extend(line);
        }
    });
    let without_breaks = |bytes: &[u8]| -> Vec<u8> {
        let kept = bytes.iter().filter(|byte| !matches!(byte, b'\n' | b'\r'));
        kept.copied().collect()
    };
    assert_eq!(without_breaks(&all), without_breaks(data));
}

/// A pipe that gives one piece at a time, and is closed behind the last one.
struct Pipe<'a> {
    left: &'a [u8],
    piece: usize,
    /// Whether the piece of this turn has been given.
    given: bool,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            return Ok(0);
        }
        if std::mem::replace(&mut self.given, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.piece.min(self.left.len()).min(buffer.len());
        let (now, later) = self.left.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.left = later;
        Ok(count)
    }
}

fn read(data: &[u8], piece: usize, limit: usize, mut each: impl FnMut(&mut Lines, bool)) {
    let mut pipe = Pipe {
        left: data,
        piece,
        given: false,
    };
    let mut lines = Lines::new(limit);
    loop {
        pipe.given = false;
        let open = lines.fill(&mut pipe).0;
        each(&mut lines, !open);
        if !open {
            return;
        }
    }
}

/// A line that a server wrote.
fn message(line: &[u8]) {
    let Some(message) = Message::parse(line) else {
        let repaired = String::from_utf8_lossy(line).into_owned();
        let _ = Message::parse(repaired.as_bytes()).map(|message| message.own_id());
        return;
    };
    let _ = (message.own_id(), message.request_id());
    for caller in [Era::Legacy, Era::Modern] {
        for of_server in [Era::Legacy, Era::Modern] {
            let server = server(of_server);
            if let Some(result) = message.result {
                for method in ["tools/list", "tools/call", "resources/read"] {
                    let text = incoming::result_for_caller(result, method, caller, &server);
                    assert!(text.is_none_or(|text| json::is_json(&text)));
                }
            }
            if let Some(error) = message.error {
                let error = incoming::error_for_caller(error, "tools/call", caller, &server);
                assert!(ErrorObject::parse(&error.text).is_some());
            }
            notification(line, caller, &server);
        }
    }
    if let Some(result) = message.result {
        let listed = filter().list_for_caller(result);
        assert!(listed.is_none_or(|text| json::is_json(&text)));
        let _ = incoming::wanted(result);
        let _ = era::read_discovery(result);
        let _ = era::read_initialize(result).map(|server| server.initialize_result(None, true));
    }
}

fn notification(line: &[u8], caller: Era, server: &Server) {
    let params = r#"{"_meta":{"progressToken":"t"}}"#;
    let outgoing = outgoing::params_for_server(Some(params), caller, server, Some(7), None);
    for listens in [false, true] {
        let watched = Watched {
            caller_id: "1",
            own_id: 7,
            caller,
            server: server.era,
            outgoing: &outgoing,
            listens,
        };
        let told = notice::for_caller(line, &watched);
        assert!(told.is_none_or(|text| json::is_json(&text)));
    }
}

fn http_request(request: &HttpRequest<'_>) {
    for name in [
        "accept",
        "content-type",
        "origin",
        "mcp-name",
        "traceparent",
    ] {
        let Some(value) = request.header(name) else {
            continue;
        };
        let _ = http::accepts(&value, "application/json", true);
        let _ = http::decode_header_value(&value);
        let _ = trace::is_traceparent(&value);
    }
    let Some(message) = request.body.bytes().and_then(Message::parse) else {
        return;
    };
    let Some(method) = &message.method else {
        return;
    };
    let _ = metadata::check_notification(request);
    let _ = metadata::check_request(request, method, message.params);
    if let Some(id) = message.request_id() {
        self::request(id, method, message.params);
    }
}

/// A caller's request on its way to a server of each era.
fn request(id: &str, method: &str, params: Option<&str>) {
    assert!(json::is_json(id) && params.is_none_or(json::is_json));
    let _ = era::caller_era(params);
    // What the bridge refuses before it gets here.
    if params.is_some_and(|params| !json::is_object(params)) {
        return;
    }
    if let Ok(Some(renamed)) = filter().call_for_server(params) {
        let name = Object::parse(renamed.as_bytes())
            .and_then(|params| params.get("name").and_then(json::string).map(String::from));
        assert!(name.is_some_and(|name| name.starts_with("get_")));
    }
    for caller in [Era::Legacy, Era::Modern] {
        for of_server in [Era::Legacy, Era::Modern] {
            let server = server(of_server);
            let outgoing =
                outgoing::params_for_server(params, caller, &server, Some(7), Some("00-t"));
            let params = outgoing.params.as_deref();
            assert!(params.is_some_and(|params| Object::parse(params.as_bytes()).is_some()));
            one_line(&request_line(7, method, params));
        }
    }
    if let Some(arguments) = params
        .and_then(|params| Object::parse(params.as_bytes()))
        .and_then(|params| params.get("arguments").map(str::to_owned))
    {
        tool_arguments(&arguments);
    }
}

/// Arguments stay JSON whatever a schema makes of them; here they are taken for the schema as well.
fn tool_arguments(arguments: &str) {
    const SCHEMA: &str = r##"{"type":"object","properties":{"a":{"type":"integer"},"l":{"type":"array","items":{"$ref":"#"}}},"additionalProperties":{"type":"object"}}"##;
    let may_need = arguments::may_need(arguments);
    for schema in [SCHEMA, arguments] {
        let typed = arguments::typed(schema, arguments);
        assert!(may_need || typed.is_none());
        assert!(typed.is_none_or(|typed| json::is_json(&typed)));
    }
}

fn one_line(line: &[u8]) {
    assert_eq!(
        line.iter().position(|byte| *byte == b'\n'),
        Some(line.len() - 1)
    );
    assert!(Message::parse(line).is_some_and(|message| message.method.is_some()));
}

fn filter() -> Tools {
    let filter = ToolFilter {
        include: vec!["get_*".to_owned()],
        exclude: vec!["*_secret".to_owned()],
        prefix: "x_".to_owned(),
    };
    // Cannot fail: the globs are those above.
    Tools::new(&filter).unwrap_or_default()
}

fn server(era: Era) -> Server {
    Server {
        era,
        protocol_version: String::new(),
        info: serde_json::json!({"name": "s", "version": "1"}),
        capabilities: serde_json::json!({"logging": {}, "tools": {}}),
        instructions: None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Every case of a target that has a file of its own.
    fn each_case(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let cases: Vec<_> = std::fs::read_dir(&folder)
            .expect("the corpus")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        assert!(cases.len() >= 6, "{cases:?}");
        for case in cases {
            run(&std::fs::read(&case).expect("a case"));
        }
    }

    #[test]
    fn what_was_found_in_events_stays_mended() {
        each_case("event", super::event);
    }

    #[test]
    fn what_was_found_in_lines_stays_mended() {
        each_case("lines", super::lines);
    }
}
