//! Enters: a Lambda client, a function and a qualifier. Leaves: the server's own account of itself and all its tools, asked
//! through the function by raw JSON-RPC events, with what Lambda measured. Refuses: answers that are not MCP, cursors that
//! lead in a circle; every error carries what the server wrote to stderr.

mod error;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

pub use error::{DiscoverError, DiscoverErrorKind};

use super::report_line::{measured, own_lines};
use super::tool_schema::Tool;

/// The newest protocol version with a handshake; the bridge answers it for servers of any version.
const PROTOCOL_VERSION: &str = "2025-11-25";
/// A gateway target takes 1000 tools (AgentCore quotas); no server pages below one tool.
const MOST_PAGES: usize = 1000;

/// What the server said through the function.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// All pages of `tools/list`, in the server's order.
    pub tools: Vec<Tool>,
    /// `serverInfo.name`.
    pub server_name: Option<String>,
    /// `serverInfo.version`.
    pub server_version: Option<String>,
    /// The protocol version that the handshake ended with.
    pub protocol_version: Option<String>,
    /// Milliseconds until the environment was ready for its first event; `None` when it was warm already.
    pub init_ms: Option<f64>,
    /// Milliseconds that the first caller waits: init and the first answer together; `None` when it was warm already.
    pub cold_start_ms: Option<f64>,
    /// The most memory that the function used, MB.
    pub memory_mb: Option<u64>,
}

/// Asks the server behind `function` (name or ARN) at `qualifier` (version or alias) who it is and for all its tools.
///
/// The function must be ready to be invoked. No deadline of its own: Lambda's timeout bounds each call.
///
/// # Errors
///
/// See [`DiscoverError`]; [`DiscoverError::kind`] classifies them.
pub async fn discover(
    lambda: &Client,
    function: &str,
    qualifier: &str,
) -> Result<Discovery, DiscoverError> {
    let mut asker = Asker {
        lambda,
        function,
        qualifier,
        next_id: 1,
        memory_mb: None,
    };
    let client_info = json!({ "name": "mcplambda", "version": env!("CARGO_PKG_VERSION") });
    let hello = json!({ "protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client_info });
    let greeted = asker.ask("initialize", hello).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let server = &greeted.result["serverInfo"];
    let (server_name, server_version) = (text(&server["name"]), text(&server["version"]));
    let protocol_version = text(&greeted.result["protocolVersion"]);
    let tools = asker.all_tools().await?;
    Ok(Discovery {
        tools,
        server_name,
        server_version,
        protocol_version,
        init_ms: greeted.init_ms,
        cold_start_ms: greeted
            .init_ms
            .zip(greeted.duration_ms)
            .map(|(init, first)| init + first),
        memory_mb: asker.memory_mb,
    })
}

struct Asker<'a> {
    lambda: &'a Client,
    function: &'a str,
    qualifier: &'a str,
    next_id: u64,
    memory_mb: Option<u64>,
}

/// A JSON-RPC result and what Lambda measured while it was made.
struct Answered {
    result: Value,
    stderr: String,
    duration_ms: Option<f64>,
    init_ms: Option<f64>,
}

impl Asker<'_> {
    async fn all_tools(&mut self) -> Result<Vec<Tool>, DiscoverError> {
        const METHOD: &str = "tools/list";
        let mut tools = Vec::new();
        let mut cursors: Vec<String> = Vec::new();
        loop {
            let params = cursors
                .last()
                .map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
            let page = self.ask(METHOD, params).await?;
            let bad =
                |why: String| self.bad_answer(METHOD, why, &page.result.to_string(), &page.stderr);
            let Some(listed) = page.result["tools"].as_array() else {
                return Err(bad("its result has no list of tools".to_owned()));
            };
            for tool in listed {
                tools.push(parse_tool(tool).map_err(bad)?);
            }
            // Only an absent cursor ends the list: an empty string is a cursor like any other (MCP, pagination).
            let cursor = match page.result.get("nextCursor") {
                None | Some(Value::Null) => return Ok(tools),
                Some(Value::String(cursor)) => cursor.clone(),
                Some(_) => return Err(bad("its nextCursor is not a string".to_owned())),
            };
            if cursors.contains(&cursor) {
                return Err(bad(format!(
                    "its nextCursor {cursor:?} was given before: its pages lead in a circle"
                )));
            }
            if cursors.len() == MOST_PAGES {
                return Err(bad(format!("its list has more than {MOST_PAGES} pages")));
            }
            cursors.push(cursor);
        }
    }

    /// Sends one JSON-RPC request through the function and returns its result.
    async fn ask(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<Answered, DiscoverError> {
        let id = self.next_id;
        self.next_id += 1;
        let event = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let output = self
            .lambda
            .invoke()
            .function_name(self.function)
            .qualifier(self.qualifier)
            .invocation_type(InvocationType::RequestResponse)
            .log_type(LogType::Tail)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .map_err(|error| self.refused(method, &error))?;
        let log = output.log_result().map(decoded).unwrap_or_default();
        let measured = measured(&log);
        self.memory_mb = self.memory_mb.max(measured.max_memory_mb);
        let stderr = own_lines(&log);
        let payload = output.payload().map(Blob::as_ref).unwrap_or_default();
        let text = String::from_utf8_lossy(payload);
        if output.function_error().is_some() {
            return Err(self.function_error(method, &text, stderr));
        }
        let result = self.result_of(method, id, &text, &stderr)?;
        Ok(Answered {
            result,
            stderr,
            duration_ms: measured.duration_ms,
            init_ms: measured.init_ms,
        })
    }

    fn result_of(
        &self,
        method: &'static str,
        id: u64,
        text: &str,
        stderr: &str,
    ) -> Result<Value, DiscoverError> {
        let bad = |why: &str| self.bad_answer(method, why.to_owned(), text, stderr);
        let mut answer: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| bad(&format!("it is not a JSON object ({error})")))?;
        if answer.get("id") != Some(&json!(id)) && answer.contains_key("jsonrpc") {
            return Err(bad("it carries another request's id"));
        }
        if let Some(error) = answer.get("error") {
            let (Some(code), Some(message)) = (error["code"].as_i64(), error["message"].as_str())
            else {
                return Err(bad("its error has no code or no message"));
            };
            // The bridge puts the end of the server's stderr there, which reaches further back than the log's tail.
            let told = error["data"]["stderr"]
                .as_str()
                .map(str::trim)
                .filter(|told| !told.is_empty());
            return Err(DiscoverError::JsonRpc {
                function: self.name(),
                method,
                code,
                message: message.to_owned(),
                stderr: told.unwrap_or(stderr).to_owned(),
            });
        }
        match answer.remove("result") {
            Some(result @ Value::Object(_)) if answer.contains_key("jsonrpc") => Ok(result),
            _ => Err(bad("it is not a JSON-RPC response")),
        }
    }

    fn refused<E>(&self, method: &'static str, error: &E) -> DiscoverError
    where
        E: std::error::Error + aws_sdk_lambda::error::ProvideErrorMetadata,
    {
        DiscoverError::Invoke {
            function: self.name(),
            method,
            code: error.code().map(str::to_owned),
            message: error
                .message()
                .map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned),
        }
    }

    fn function_error(&self, method: &'static str, text: &str, stderr: String) -> DiscoverError {
        let told: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let message = if told["errorMessage"].is_string() {
            field("errorMessage")
        } else {
            text.to_owned()
        };
        DiscoverError::Function {
            function: self.name(),
            method,
            error_type: field("errorType"),
            message,
            stderr,
        }
    }

    fn bad_answer(
        &self,
        method: &'static str,
        why: String,
        answer: &str,
        stderr: &str,
    ) -> DiscoverError {
        DiscoverError::BadAnswer {
            function: self.name(),
            method,
            why,
            answer: error::shorten(answer),
            stderr: stderr.to_owned(),
        }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.function, self.qualifier)
    }
}

/// The log's tail: at most 4 KB, cut anywhere, so it may start inside a character.
fn decoded(tail: &str) -> String {
    let bytes = STANDARD.decode(tail).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse_tool(tool: &Value) -> Result<Tool, String> {
    let text = |key: &str| tool[key].as_str().map(str::to_owned);
    let Some(name) = text("name") else {
        return Err("it lists a tool without a name".to_owned());
    };
    let input_schema = match tool.get("inputSchema") {
        Some(schema @ Value::Object(_)) => schema.clone(),
        _ => return Err(format!("its tool `{name}` has no inputSchema object")),
    };
    // Before 2025-06-18 a title was only an annotation.
    let title = text("title").or_else(|| tool["annotations"]["title"].as_str().map(str::to_owned));
    Ok(Tool {
        title,
        description: text("description"),
        input_schema,
        output_schema: tool
            .get("outputSchema")
            .filter(|schema| !schema.is_null())
            .cloned(),
        name,
    })
}
