//! A caller's `params` as the server has to get them: translated when the two are of different eras, with a progress token of the bridge's own.
//!
//! Enters: raw `params`. Leaves: the text for the server, and what is needed to give the server's notifications back in the caller's terms. Pure. Refuses
//! nothing. `params` of the same era that need no edit are passed on as they are.

use std::borrow::Cow;

use crate::era::{self, Era, META_CAPABILITIES, META_CLIENT, META_LOG_LEVEL, META_VERSION, Server};
use crate::json::{self, Object};
use crate::trace::TRACEPARENT;

/// What a modern server is asked to log for a legacy caller, who has no way to ask per request: what servers of that era send by default.
const LOG_LEVEL_FOR_LEGACY: &str = r#""info""#;
/// A task would outlive the event, and with it the execution environment that it runs in.
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
const PROGRESS_TOKEN: &str = "progressToken";

/// A request's `params` on their way to the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing<'a> {
    /// `None`: the request has none.
    pub(crate) params: Option<Cow<'a, str>>,
    /// The caller's progress token, raw, where the bridge's own stands in its place.
    pub(crate) progress_token: Option<String>,
    /// The lowest level of log notifications that a modern caller asked for.
    pub(crate) log_level: Option<String>,
}

/// Translates `params`. `watched` is the id that the request will have, when the caller gets notifications as they come: it is the progress token too.
/// `trace` is the `traceparent` of the event that the request came in; one that the caller gave stays.
pub(crate) fn params_for_server<'a>(
    params: Option<&'a str>,
    caller: Era,
    server: &Server,
    watched: Option<u64>,
    trace: Option<&str>,
) -> Outgoing<'a> {
    let same_era = caller == server.era;
    let parsed = params.and_then(|params| Object::parse(params.as_bytes()));
    let meta = parsed
        .as_ref()
        .and_then(|params| params.get_borrowed("_meta"))
        .and_then(|meta| Object::parse(meta.as_bytes()));
    let mut outgoing = Outgoing {
        progress_token: watched.and_then(|_| token(meta.as_ref()?)),
        log_level: log_level(meta.as_ref()),
        ..Outgoing::default()
    };
    let trace = trace.filter(|_| may_carry(params, parsed.as_ref(), meta.as_ref()));
    let may_offer_tasks = caller == Era::Modern && server.era == Era::Modern;
    let untouched = same_era
        && outgoing.progress_token.is_none()
        && trace.is_none()
        && !(may_offer_tasks && offers_tasks(meta.as_ref()));
    if untouched {
        outgoing.params = params.map(Cow::Borrowed);
        return outgoing;
    }
    let mut meta = meta.unwrap_or_default();
    match (caller, server.era) {
        (Era::Legacy, Era::Legacy) => {}
        (Era::Legacy, Era::Modern) => {
            set_modern(&mut meta);
            if watched.is_some() && server.capabilities.get("logging").is_some() {
                meta.set(META_LOG_LEVEL, LOG_LEVEL_FOR_LEGACY);
            }
        }
        (Era::Modern, Era::Legacy) => meta.retain(|key| !era::is_reserved(key)),
        (Era::Modern, Era::Modern) => withdraw_tasks(&mut meta),
    }
    if let Some(trace) = trace {
        meta.set(TRACEPARENT, json::quote(trace));
    }
    if let (Some(id), Some(_)) = (watched, &outgoing.progress_token) {
        meta.set(PROGRESS_TOKEN, id.to_string());
    }
    let mut object = parsed.unwrap_or_default();
    if meta.is_empty() {
        object.remove("_meta");
    } else {
        object.set("_meta", meta.to_text());
    }
    outgoing.params =
        (params.is_some() || !object.is_empty()).then(|| Cow::Owned(object.to_text()));
    outgoing
}

/// `params` of the bridge's own requests to a modern server.
pub(crate) fn discover_params() -> String {
    let mut meta = Object::default();
    set_modern(&mut meta);
    format!(r#"{{"_meta":{}}}"#, meta.to_text())
}

/// What every modern request must carry, beside what the caller's own `_meta` held.
fn set_modern(meta: &mut Object<'_>) {
    meta.retain(|key| !era::is_reserved(key));
    meta.set(META_VERSION, json::quote(era::MODERN_VERSION));
    meta.set(META_CAPABILITIES, "{}");
    meta.set(META_CLIENT, era::BRIDGE_INFO);
}

/// Whether a trace context can be added: there is none yet, and a place for it.
fn may_carry(params: Option<&str>, parsed: Option<&Object<'_>>, meta: Option<&Object<'_>>) -> bool {
    match (params, parsed, meta) {
        (None, ..) => true,
        (Some(_), Some(_), Some(meta)) => meta.get(TRACEPARENT).is_none(),
        (Some(_), Some(parsed), None) => parsed.get("_meta").is_none(),
        (Some(_), None, _) => false,
    }
}

fn token(meta: &Object<'_>) -> Option<String> {
    let token = meta.get(PROGRESS_TOKEN)?;
    (token.starts_with('"') || json::is_integer(token)).then(|| token.to_owned())
}

fn log_level(meta: Option<&Object<'_>>) -> Option<String> {
    meta?
        .get(META_LOG_LEVEL)
        .and_then(json::string)
        .map(|level| level.into_owned())
}

fn offers_tasks(meta: Option<&Object<'_>>) -> bool {
    meta.and_then(|meta| meta.get(META_CAPABILITIES))
        .is_some_and(|capabilities| capabilities.contains(TASKS_EXTENSION))
}

fn withdraw_tasks(meta: &mut Object<'_>) {
    let Some(mut capabilities) = meta
        .get_borrowed(META_CAPABILITIES)
        .and_then(|capabilities| Object::parse(capabilities.as_bytes()))
    else {
        return;
    };
    let Some(mut extensions) = capabilities
        .get_borrowed("extensions")
        .and_then(|extensions| Object::parse(extensions.as_bytes()))
    else {
        return;
    };
    if extensions.remove(TASKS_EXTENSION) {
        capabilities.set("extensions", extensions.to_text());
        meta.set(META_CAPABILITIES, capabilities.to_text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(era: Era) -> Server {
        Server {
            era,
            protocol_version: String::new(),
            info: serde_json::json!({}),
            capabilities: serde_json::json!({"logging": {}}),
            instructions: None,
        }
    }

    fn sent(params: &str, caller: Era, server_era: Era, watched: Option<u64>) -> Outgoing<'_> {
        params_for_server(Some(params), caller, &server(server_era), watched, None)
    }

    #[test]
    fn within_an_era_the_text_stays_as_it_is() {
        for (era, text) in [
            (
                Era::Legacy,
                r#"{ "name" : "a", "_meta": {"progressToken": 1} }"#,
            ),
            (
                Era::Modern,
                r#"{"_meta":{"io.modelcontextprotocol/logLevel":"info"} }"#,
            ),
        ] {
            assert_eq!(sent(text, era, era, None).params.as_deref(), Some(text));
        }
        assert_eq!(
            params_for_server(None, Era::Legacy, &server(Era::Legacy), Some(3), None),
            Outgoing::default()
        );
    }

    #[test]
    fn a_watched_request_has_a_progress_token_of_the_bridges_own() {
        let outgoing = sent(
            r#"{"_meta":{"progressToken":"mine","k":1}}"#,
            Era::Legacy,
            Era::Legacy,
            Some(7),
        );
        assert_eq!(
            outgoing.params.as_deref(),
            Some(r#"{"_meta":{"progressToken":7,"k":1}}"#)
        );
        assert_eq!(outgoing.progress_token.as_deref(), Some(r#""mine""#));
        let without = sent(r#"{"_meta":{"k":1}}"#, Era::Legacy, Era::Legacy, Some(7));
        assert_eq!(
            (without.params.as_deref(), without.progress_token),
            (Some(r#"{"_meta":{"k":1}}"#), None)
        );
    }

    #[test]
    fn a_modern_server_logs_for_a_legacy_caller_who_can_hear_it() {
        let level = |watched| {
            let params = sent("{}", Era::Legacy, Era::Modern, watched)
                .params
                .expect("modern requests have params");
            params.contains(r#""io.modelcontextprotocol/logLevel":"info""#)
        };
        assert!(level(Some(1)));
        assert!(!level(None));
    }

    #[test]
    fn a_modern_callers_log_level_is_kept_for_the_bridge_and_hidden_from_a_legacy_server() {
        let outgoing = sent(
            r#"{"a":1,"_meta":{"io.modelcontextprotocol/logLevel":"warning"}}"#,
            Era::Modern,
            Era::Legacy,
            Some(1),
        );
        assert_eq!(outgoing.params.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(outgoing.log_level.as_deref(), Some("warning"));
    }

    #[test]
    fn a_caller_that_knows_tasks_does_not_get_any() {
        let outgoing = sent(
            r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}}}"#,
            Era::Modern,
            Era::Modern,
            None,
        );
        assert_eq!(
            outgoing.params.as_deref(),
            Some(
                r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"extensions":{"x":{}}}}}"#
            )
        );
    }

    #[test]
    fn a_trace_context_joins_what_the_caller_sent_and_never_replaces_it() {
        let add = |params, server_era| {
            params_for_server(params, Era::Legacy, &server(server_era), None, Some("T"))
                .params
                .map(Cow::into_owned)
        };
        for (params, expected) in [
            (None, r#"{"_meta":{"traceparent":"T"}}"#),
            (
                Some(r#"{"name":"a","n":1.0}"#),
                r#"{"name":"a","n":1.0,"_meta":{"traceparent":"T"}}"#,
            ),
            (
                Some(r#"{"_meta":{"progressToken":1},"name":"a"}"#),
                r#"{"_meta":{"progressToken":1,"traceparent":"T"},"name":"a"}"#,
            ),
        ] {
            assert_eq!(add(params, Era::Legacy).as_deref(), Some(expected));
        }
        for kept in [
            r#"{"_meta":{"traceparent":"mine"}}"#,
            r#"{"_meta":7}"#,
            "[]",
        ] {
            assert_eq!(add(Some(kept), Era::Legacy).as_deref(), Some(kept));
        }
        let translated = add(Some(r#"{"_meta":{"traceparent":"mine"}}"#), Era::Modern);
        assert!(
            translated
                .as_deref()
                .is_some_and(|params| params.starts_with(r#"{"_meta":{"traceparent":"mine","#)),
            "{translated:?}"
        );
    }
}
