//! What kind of event an invocation carries, and what is asked for.
//!
//! Enters: the event's bytes and the client context header. Leaves: an [`Event`]. Refuses, with the answer's words: what is not JSON, a client context that
//! names no tool, what is neither HTTP nor JSON-RPC. The client context is looked at first, because a tool's arguments are arbitrary JSON and may look like
//! anything; then HTTP, whose events may carry any further member.

use serde_json::value::RawValue;

use crate::http::HttpRequest;
use crate::json::{self, Object};
use crate::jsonrpc::Message;

/// Between the target's name and the tool's in AgentCore's tool names. Target names cannot hold it, tool names can: the first one counts.
const TOOL_DELIMITER: &str = "___";
const TOOL_NAME_KEY: &str = "bedrockAgentCoreToolName";

/// What is asked for. All JSON is raw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A tool call by AgentCore Gateway: the event is the arguments. `None`: the event was `null`.
    AgentCore {
        tool: String,
        arguments: Option<&'a str>,
    },
    /// A request to a function URL or to API Gateway.
    Http(HttpRequest<'a>),
    /// A JSON-RPC request.
    Request {
        id: &'a str,
        method: String,
        params: Option<&'a str>,
    },
    /// A JSON-RPC notification. A request whose id is neither a string nor an integer counts as one, as recorded.
    Notification {
        method: String,
        params: Option<&'a str>,
    },
}

/// An event that asks for nothing that can be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadEvent<'a> {
    /// Not JSON in UTF-8; answered as Lambda's own runtimes do.
    Json { reason: String },
    /// Called as AgentCore does, but without a usable tool name or with arguments that are no object.
    ToolCall { reason: String },
    /// JSON, but no JSON-RPC message. `id` is what the caller may recognise the answer by.
    JsonRpc { id: Option<&'a str> },
}

/// Recognises an event.
pub(crate) fn recognise<'a>(
    body: &'a [u8],
    client_context: Option<&str>,
) -> Result<Event<'a>, BadEvent<'a>> {
    let event = serde_json::from_slice::<&RawValue>(body)
        .map_err(|error| BadEvent::Json {
            reason: format!("Unable to unmarshal input: {error}"),
        })?
        .get();
    if let Some(name) = client_context.and_then(agentcore_tool_name) {
        return tool_call(&name, event);
    }
    let object = Object::parse(event.as_bytes());
    if let Some(request) = object.as_ref().and_then(HttpRequest::of_event) {
        return Ok(Event::Http(request));
    }
    let message = object.as_ref().map(Message::of);
    match message {
        Some(Message {
            is_version_2: true,
            method: Some(method),
            id,
            params,
            ..
        }) => match id.filter(|id| id.starts_with('"') || json::is_integer(id)) {
            Some(id) => Ok(Event::Request { id, method, params }),
            None => Ok(Event::Notification { method, params }),
        },
        _ if client_context.is_some() => Err(BadEvent::ToolCall {
            reason: format!("Missing {TOOL_NAME_KEY} in context"),
        }),
        // A posted response carries an id too, but one that the server chose.
        message => Err(BadEvent::JsonRpc {
            id: message
                .filter(|message| message.method.is_some())
                .and_then(|message| message.request_id()),
        }),
    }
}

/// The raw tool name in a client context. Read leniently: AgentCore adds keys, some with objects as their value, and a header that is not JSON names none.
fn agentcore_tool_name(client_context: &str) -> Option<String> {
    let context = Object::parse(client_context.as_bytes())?;
    let custom = Object::parse(context.get("custom")?.as_bytes())?;
    custom
        .get(TOOL_NAME_KEY)
        .filter(|name| *name != "null")
        .map(str::to_owned)
}

fn tool_call<'a>(raw_name: &str, event: &'a str) -> Result<Event<'a>, BadEvent<'a>> {
    let refuse = |reason: String| Err(BadEvent::ToolCall { reason });
    let Some(name) = json::string(raw_name) else {
        return refuse(format!("Invalid tool name format: {raw_name}"));
    };
    if name.is_empty() {
        return refuse(format!("Missing {TOOL_NAME_KEY} in context"));
    }
    let Some((_target, tool)) = name.split_once(TOOL_DELIMITER) else {
        return refuse(format!("Invalid tool name format: {name}"));
    };
    if tool.is_empty() {
        return refuse(format!("Empty tool name extracted from: {name}"));
    }
    let arguments = match event {
        "null" => None,
        object if object.starts_with('{') => Some(object),
        _ => {
            return refuse(
                "Invalid event: the arguments of a tool must be a JSON object".to_owned(),
            );
        }
    };
    Ok(Event::AgentCore {
        tool: tool.to_owned(),
        arguments,
    })
}
