//! The input schemas of the server's own tools, by which arguments that came as text are turned back.
//!
//! Enters: a tool's name and the arguments of a call by AgentCore Gateway. Leaves: the same arguments, typed as the server's schema says (see `arguments`).
//! The schemas are those of the server's own `tools/list`, all pages of it, asked for when a call first holds text that could be meant as something else. They
//! are kept for as long as the process lives, or until it says that its tools have changed. Refuses to let a call fail for this: where a server does not tell
//! its schemas, arguments stay as they are, and the server says what it thinks of them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::arguments;
use crate::conversation::Outcome;
use crate::era::{Era, Server};
use crate::error::CallError;
use crate::json::{self, Object};
use crate::outgoing;
use crate::session::Session;

/// Pages of one list. A server that has more is not read further.
const MOST_PAGES: usize = 100;

/// Raw input schemas by the server's own names of its tools.
#[derive(Debug, Default)]
pub(crate) struct Schemas(HashMap<String, String>);

impl Schemas {
    /// Adds the tools of one result of `tools/list`, and returns the raw cursor of the next page.
    fn add_page(&mut self, result: &str) -> Option<String> {
        let page = Object::parse(result.as_bytes())?;
        for tool in page
            .get("tools")
            .and_then(json::elements)
            .unwrap_or_default()
        {
            let Some(tool) = Object::parse(tool.as_bytes()) else {
                continue;
            };
            if let (Some(name), Some(schema)) = (
                tool.get("name").and_then(json::string),
                tool.get("inputSchema"),
            ) {
                self.0.insert(name.into_owned(), schema.to_owned());
            }
        }
        // An empty cursor is one: only its absence ends the list.
        page.get("nextCursor")
            .filter(|cursor| *cursor != "null")
            .map(str::to_owned)
    }
}

/// The arguments of a call of `tool`, which callers know by that name, as its schema wants them; `None` when they are so already.
///
/// # Errors
///
/// There is no server to ask.
pub(crate) fn typed(
    session: &mut Session,
    tool: &str,
    arguments: &str,
    deadline: Instant,
) -> Result<Option<String>, CallError> {
    if !arguments::may_need(arguments) {
        return Ok(None);
    }
    let Some(name) = session.tools.server_name(tool).map(str::to_owned) else {
        return Ok(None);
    };
    let server = session.ensure_ready(deadline)?;
    let schemas = match session.kept_schemas() {
        Some(schemas) => schemas,
        None => fetch(session, &server, deadline),
    };
    Ok(schemas
        .0
        .get(&name)
        .and_then(|schema| arguments::typed(schema, arguments)))
}

/// Asks for all pages, in at most a quarter of the time that the call has.
fn fetch(session: &mut Session, server: &Server, deadline: Instant) -> Rc<Schemas> {
    let begun = Instant::now();
    let until = begun + deadline.saturating_duration_since(begun) / 4;
    let changes = session.tool_list_changes();
    let mut schemas = Schemas::default();
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let params = cursor.map(|cursor| format!(r#"{{"cursor":{cursor}}}"#));
        let outgoing =
            outgoing::params_for_server(params.as_deref(), Era::Legacy, server, None, None);
        let failure = match session.call("tools/list", outgoing.params.as_deref(), None, until) {
            Ok(reply) => match reply.outcome() {
                Some(Outcome::Result(result)) => {
                    cursor = schemas.add_page(result);
                    match cursor {
                        Some(_) => continue,
                        None => break,
                    }
                }
                Some(Outcome::Error(error)) => error.to_owned(),
                None => "it answered with neither a result nor an error".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        session.log.warn(&format!(
            "the MCP server does not tell the schemas of its tools; arguments that came as text stay text: {failure}"
        ));
        break;
    }
    let schemas = Rc::new(schemas);
    // What changed while it was being read is read again by the next call.
    if session.tool_list_changes() == changes {
        session.keep_schemas(Rc::clone(&schemas));
    }
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_add_up_and_the_last_one_has_no_cursor() {
        let mut schemas = Schemas::default();
        let first = r#"{"tools":[{"name":"a","inputSchema":{"n": 1.0}},{"name":"b"},7,{"inputSchema":{}}],"nextCursor":""}"#;
        assert_eq!(schemas.add_page(first).as_deref(), Some(r#""""#));
        let last = r#"{"tools":[{"name":"\u0063","inputSchema":true}],"nextCursor":null}"#;
        assert_eq!(schemas.add_page(last), None);
        assert_eq!(schemas.add_page("[]"), None);
        let mut known: Vec<_> = schemas.0.into_iter().collect();
        known.sort();
        assert_eq!(
            known,
            [
                ("a".to_owned(), r#"{"n": 1.0}"#.to_owned()),
                ("c".to_owned(), "true".to_owned())
            ]
        );
    }
}
