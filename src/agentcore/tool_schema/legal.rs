//! Enters: JSON. Leaves: whether a gateway target accepts it as a list of tool definitions, and if not, the first reason.
//! Refuses: every keyword outside `SchemaDefinition` (Amazon Bedrock AgentCore API reference).

use serde_json::{Map, Value};

/// Whether `tools` is a list of tool definitions that a gateway target accepts.
pub fn is_legal(tools: &Value) -> bool {
    first_violation(tools).is_none()
}

/// The first thing in `tools` that a gateway target rejects, with its JSON pointer; `None` when all is legal.
pub fn first_violation(tools: &Value) -> Option<String> {
    let Value::Array(tools) = tools else {
        return Some("the tools are not a list".to_owned());
    };
    tools
        .iter()
        .enumerate()
        .find_map(|(index, tool)| tool_violation(tool, &format!("/{index}")))
}

fn tool_violation(tool: &Value, at: &str) -> Option<String> {
    let Value::Object(tool) = tool else {
        return Some(format!("{at}: not an object"));
    };
    if let Some(key) = unknown_key(
        tool,
        &["name", "description", "inputSchema", "outputSchema"],
    ) {
        return Some(format!("{at}/{key}: no such key in a tool definition"));
    }
    for key in ["name", "description"] {
        match tool.get(key) {
            Some(Value::String(text)) if !text.is_empty() => {}
            _ => return Some(format!("{at}/{key}: missing, empty or not a string")),
        }
    }
    let Some(input) = tool.get("inputSchema") else {
        return Some(format!("{at}/inputSchema: missing"));
    };
    for key in ["inputSchema", "outputSchema"] {
        let Some(schema) = tool.get(key) else {
            continue;
        };
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Some(format!("{at}/{key}/type: the root is not an object"));
        }
    }
    schema_violation(input, &format!("{at}/inputSchema")).or_else(|| {
        let output = tool.get("outputSchema")?;
        schema_violation(output, &format!("{at}/outputSchema"))
    })
}

fn schema_violation(schema: &Value, at: &str) -> Option<String> {
    let Value::Object(schema) = schema else {
        return Some(format!("{at}: not an object"));
    };
    let allowed = ["type", "description", "properties", "required", "items"];
    if let Some(key) = unknown_key(schema, &allowed) {
        return Some(format!("{at}/{key}: no such key in a schema definition"));
    }
    if schema
        .get("description")
        .is_some_and(|text| !text.is_string())
    {
        return Some(format!("{at}/description: not a string"));
    }
    let Some(kind) = schema.get("type").and_then(Value::as_str) else {
        return Some(format!("{at}/type: missing or not a string"));
    };
    match kind {
        "string" | "number" | "integer" | "boolean" => {}
        "array" if schema.contains_key("items") => {}
        "array" => return Some(format!("{at}/items: missing")),
        "object" => {}
        other => return Some(format!("{at}/type: `{other}` is no type")),
    }
    if kind != "object" && (schema.contains_key("properties") || schema.contains_key("required")) {
        return Some(format!("{at}: properties of what is not an object"));
    }
    if kind != "array" && schema.contains_key("items") {
        return Some(format!("{at}/items: items of what is not an array"));
    }
    properties_violation(schema, at)
        .or_else(|| schema_violation(schema.get("items")?, &format!("{at}/items")))
}

fn properties_violation(schema: &Map<String, Value>, at: &str) -> Option<String> {
    let none = Map::new();
    let properties = match schema.get("properties") {
        None => &none,
        Some(Value::Object(properties)) => properties,
        Some(_) => return Some(format!("{at}/properties: not an object")),
    };
    let required = match schema.get("required") {
        None => &Vec::new(),
        Some(Value::Array(required)) => required,
        Some(_) => return Some(format!("{at}/required: not a list")),
    };
    for (index, name) in required.iter().enumerate() {
        match name {
            Value::String(text)
                if properties.contains_key(text) && !required[..index].contains(name) => {}
            _ => {
                return Some(format!(
                    "{at}/required/{index}: no property, or named twice"
                ));
            }
        }
    }
    properties
        .iter()
        .find_map(|(name, property)| schema_violation(property, &format!("{at}/properties/{name}")))
}

fn unknown_key<'a>(object: &'a Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    object
        .keys()
        .map(String::as_str)
        .find(|key| !known.contains(key))
}
