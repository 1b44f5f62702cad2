//! A server's notification as the caller of a request has to get it, if at all.
//!
//! Enters: the server's line, and whose request it came in. Leaves: a message in the caller's terms: its own progress token, its own subscription id. Refuses,
//! by `None`, what has nothing to do with the request: notices of changes, progress of an earlier call, log lines below the level that was asked for. Pure.

use crate::era::{self, Era, META_SUBSCRIPTION};
use crate::json::{self, Object};
use crate::jsonrpc::Message;
use crate::outgoing::Outgoing;

/// MCP's log levels, lowest first.
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// The request that is being answered, as both sides know it.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    /// The caller's id, raw.
    pub(crate) caller_id: &'a str,
    /// The id that the server got, which is its progress token too.
    pub(crate) own_id: u64,
    pub(crate) caller: Era,
    pub(crate) server: Era,
    pub(crate) outgoing: &'a Outgoing<'a>,
    /// Whether it is `subscriptions/listen`.
    pub(crate) listens: bool,
}

/// The message for the caller; `None`: it is not theirs.
pub(crate) fn for_caller(line: &[u8], watched: &Watched<'_>) -> Option<String> {
    let message = Message::parse(line)?;
    let method = message.method.as_deref()?;
    let mut params = Object::parse(message.params?.as_bytes())?;
    if watched.listens {
        let mut meta = meta(&params)?;
        if !is_own(meta.get(META_SUBSCRIPTION)?, watched.own_id) {
            return None;
        }
        meta.set(META_SUBSCRIPTION, watched.caller_id);
        params.set("_meta", meta.to_text());
        return Some(text(method, &params));
    }
    match method {
        "notifications/progress" => {
            let token = watched.outgoing.progress_token.as_deref()?;
            if !is_own(params.get("progressToken")?, watched.own_id) {
                return None;
            }
            params.set("progressToken", token);
        }
        "notifications/message" => {
            // A legacy server logs as it likes; a modern caller hears what it asked for.
            if watched.caller == Era::Modern && watched.server == Era::Legacy {
                let wanted = rank(watched.outgoing.log_level.as_deref()?)?;
                if rank(&json::string(params.get("level")?)?)? < wanted {
                    return None;
                }
            }
        }
        _ => return None,
    }
    if watched.caller != watched.server {
        era::strip_reserved_meta(&mut params);
    }
    Some(text(method, &params))
}

/// The result that ends a subscription, whose id is the caller's, raw.
pub(crate) fn subscription_end(caller_id: &str) -> String {
    format!(r#"{{"resultType":"complete","_meta":{{"{META_SUBSCRIPTION}":{caller_id}}}}}"#)
}

fn meta<'a>(params: &Object<'a>) -> Option<Object<'a>> {
    Object::parse(params.get_borrowed("_meta")?.as_bytes())
}

/// Whether a raw token or id is the bridge's own `id`; servers that turn the number into a string are understood.
fn is_own(raw: &str, id: u64) -> bool {
    raw.trim_matches('"').parse() == Ok(id)
}

fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

fn text(method: &str, params: &Object<'_>) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":{},"params":{}}}"#,
        json::quote(method),
        params.to_text()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str, caller: Era, server: Era, listens: bool) -> Option<String> {
        let outgoing = Outgoing {
            params: None,
            progress_token: Some(r#""mine""#.to_owned()),
            log_level: (caller == Era::Modern).then(|| "warning".to_owned()),
        };
        let watched = Watched {
            caller_id: r#""c1""#,
            own_id: 7,
            caller,
            server,
            outgoing: &outgoing,
            listens,
        };
        for_caller(line.as_bytes(), &watched)
    }

    #[test]
    fn progress_comes_back_under_the_callers_token_and_that_of_other_calls_not_at_all() {
        let progress = |token: &str| {
            heard(
                &format!(
                    r#"{{"method":"notifications/progress","params":{{"progressToken":{token},"progress":1.50,"message":"m"}},"jsonrpc":"2.0"}}"#
                ),
                Era::Legacy,
                Era::Legacy,
                false,
            )
        };
        let expected = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":1.50,"message":"m"}}"#;
        assert_eq!(progress("7").as_deref(), Some(expected));
        assert_eq!(progress(r#""7""#).as_deref(), Some(expected));
        assert_eq!(progress("6"), None);
        assert_eq!(progress(r#""mine""#), None);
    }

    #[test]
    fn log_lines_of_a_legacy_server_reach_a_modern_caller_from_the_level_that_it_asked_for() {
        let log = |level: &str, caller, server| {
            let line = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#
            );
            heard(&line, caller, server, false).is_some()
        };
        assert!(log("error", Era::Modern, Era::Legacy));
        assert!(log("warning", Era::Modern, Era::Legacy));
        assert!(!log("info", Era::Modern, Era::Legacy));
        assert!(!log("chatty", Era::Modern, Era::Legacy));
        assert!(log("debug", Era::Legacy, Era::Legacy));
        assert!(log("debug", Era::Modern, Era::Modern));
    }

    #[test]
    fn a_subscription_hears_what_carries_its_id() {
        let line = |id: u64| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
            )
        };
        assert_eq!(
            heard(&line(7), Era::Modern, Era::Modern, true).as_deref(),
            Some(
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"c1"}}}"#
            )
        );
        assert_eq!(heard(&line(8), Era::Modern, Era::Modern, true), None);
        assert_eq!(heard(&line(7), Era::Modern, Era::Modern, false), None);
    }
}
