//! Enters: a server's tools with any JSON Schema (draft-07 to 2020-12). Leaves: the same tools as an AgentCore gateway
//! target accepts them, and notes on what could not be kept. Refuses: a tool whose schema refers outside itself, which is
//! left out with a note. Pure: no clock, no network, same input, same output; work is bounded whatever comes in.
//!
//! A gateway's `SchemaDefinition` knows `type`, `description`, `properties`, `required` and `items` and rejects everything
//! else (Amazon Bedrock AgentCore API reference, `SchemaDefinition` and `ToolDefinition`). What those five keywords cannot
//! say is said in words, at the end of the description of the value concerned: the server goes on validating by its own
//! schema, so the words are for the model that fills in the arguments.
//!
//! An output schema is never passed on: the function answers with the whole result of the call (`content`,
//! `structuredContent`, `isError`), which the tool's output schema does not describe.

mod choice;
mod emit;
mod flatten;
mod kind;
mod legal;
mod reference;
mod summary;
mod words;

use serde_json::{Map, Value, json};

pub use legal::{first_violation, is_legal};

/// Bytes of tool schema that a gateway target takes inline (AgentCore quotas: 1 MB; from S3, 10 MB).
pub const INLINE_LIMIT_BYTES: usize = 1_000_000;

/// A tool as the server lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name, unique within the server.
    pub name: String,
    /// A name for people, where the server gives one.
    pub title: Option<String>,
    /// The server's own words; MCP lets a server leave them out.
    pub description: Option<String>,
    /// A JSON Schema whose root should be an object.
    pub input_schema: Value,
    /// A JSON Schema of `structuredContent`, where the server gives one.
    pub output_schema: Option<Value>,
}

/// What [`lower`] makes of a list of tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// A list of `{"name", "description", "inputSchema"}`, legal for a gateway target, in the order of the tools.
    pub json: Value,
    /// One sentence for each thing that the gateway's schema says less exactly than the server's: tool, place, what.
    pub notes: Vec<String>,
}

/// Says `tools` in the keywords that a gateway target allows.
pub fn lower(tools: &[Tool]) -> Lowered {
    let mut notes = Vec::new();
    let mut lowered: Vec<Value> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for tool in tools {
        if tool.name.is_empty() || seen.contains(&tool.name.as_str()) {
            notes.push(format!(
                "tool `{}`: left out, because a gateway needs a name that is not empty and not given twice",
                tool.name
            ));
            continue;
        }
        seen.push(&tool.name);
        match emit::input_schema(&tool.input_schema) {
            Ok(emitted) => {
                let place = |note: String| format!("tool `{}`: {note}", tool.name);
                notes.extend(emitted.notes.into_iter().map(place));
                lowered.push(definition(tool, emitted.schema));
            }
            Err(error) => notes.push(format!("tool `{}`: left out: {error}", tool.name)),
        }
    }
    let json = Value::Array(lowered);
    let bytes = json.to_string().len();
    if bytes > INLINE_LIMIT_BYTES {
        notes.push(format!(
            "all tools: the schema has {bytes} bytes, and a gateway target takes {INLINE_LIMIT_BYTES} inline; \
             give it to the gateway through S3"
        ));
    }
    Lowered { json, notes }
}

fn definition(tool: &Tool, schema: Map<String, Value>) -> Value {
    let words = |text: &Option<String>| {
        text.as_deref()
            .map(str::trim)
            .unwrap_or_default()
            .to_owned()
    };
    // A gateway requires a description.
    let description = [
        words(&tool.description),
        words(&tool.title),
        format!("Tool {}.", tool.name),
    ]
    .into_iter()
    .find(|text| !text.is_empty());
    json!({ "name": tool.name, "description": description, "inputSchema": schema })
}
