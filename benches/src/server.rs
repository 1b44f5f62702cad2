//! The MCP servers that are measured, and the one call that each is asked for.
//!
//! Enters: where `install.sh` has put them. Leaves: command lines, the call in the forms that a pipe and the two kinds of event want, and a judge of the
//! answers. Refuses an answer that is not the tool's own: a quick error would make a fine benchmark.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::Result;

/// Which openers a server gets from the minimal client, and whether its requests carry an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// `initialize`, up to protocol version 2025-11-25.
    Handshake,
    /// `server/discover`, protocol version 2026-07-28.
    Stateless,
}

/// A server, its call, and what the answer must contain.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// As tables name it.
    pub(crate) name: &'static str,
    pub(crate) argv: Vec<String>,
    pub(crate) era: Era,
    tool: &'static str,
    arguments: Value,
    /// Part of the text of a right answer.
    expected: &'static str,
}

/// How an event is brought to the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AgentCore,
    FunctionUrl,
}

/// An event as the Runtime API hands it out.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) client_context: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// mcp-server-time as it resolves beside the peer, the same program for both sides.
pub(crate) fn time_beside_peer(installed: &Path) -> Server {
    time("time", installed, "peer", Era::Handshake)
}

/// The newest mcp-server-time, which cannot be installed beside the peer.
pub(crate) fn time_newest(installed: &Path) -> Server {
    time("time, newest", installed, "newest", Era::Stateless)
}

fn time(name: &'static str, installed: &Path, venv: &str, era: Era) -> Server {
    let python = installed.join(venv).join("bin/python");
    Server {
        name,
        argv: [
            &python.to_string_lossy(),
            "-m",
            "mcp_server_time",
            "--local-timezone=UTC",
        ]
        .map(str::to_owned)
        .to_vec(),
        era,
        tool: "get_current_time",
        arguments: json!({"timezone": "UTC"}),
        expected: "is_dst",
    }
}

/// MCP's own reference server, on Node.
pub(crate) fn everything(installed: &Path) -> Server {
    let script =
        installed.join("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    Server {
        name: "everything",
        argv: ["node", &script.to_string_lossy(), "stdio"]
            .map(str::to_owned)
            .to_vec(),
        era: Era::Handshake,
        tool: "echo",
        arguments: json!({"message": "measured"}),
        expected: "measured",
    }
}

/// The server of `servers/`, asked for `bytes` of text.
pub(crate) fn sized(installed: &Path, bytes: usize) -> Server {
    let python = installed.join("newest/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/sized_server.py");
    Server {
        name: "sized",
        // Neither the user's variables nor site-packages: it needs neither.
        argv: [
            &python.to_string_lossy(),
            "-I",
            "-S",
            &script.to_string_lossy(),
        ]
        .map(str::to_owned)
        .to_vec(),
        era: Era::Handshake,
        tool: "text",
        arguments: json!({"bytes": bytes}),
        expected: "",
    }
}

/// A server of a package that was made here, which is asked for its tools alone.
pub(crate) fn packaged(name: &'static str, argv: Vec<String>) -> Server {
    Server {
        name,
        argv,
        era: Era::Handshake,
        tool: "",
        arguments: Value::Null,
        expected: "",
    }
}

/// What the stateless era wants in each request.
fn envelope() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "benches", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}
    })
}

impl Kind {
    /// As tables name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AgentCore => "AgentCore",
            Self::FunctionUrl => "function URL",
        }
    }
}

impl Server {
    /// The request that opens a conversation over a pipe.
    pub(crate) fn opener(&self) -> Value {
        let (method, params) = match self.era {
            Era::Handshake => (
                "initialize",
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benches", "version": "1"}}),
            ),
            Era::Stateless => ("server/discover", json!({"_meta": envelope()})),
        };
        json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params})
    }

    /// The lines that open a conversation: the first is answered, the others are not.
    pub(crate) fn opening(&self) -> Vec<String> {
        let mut lines = vec![self.opener().to_string()];
        if self.era == Era::Handshake {
            lines.push(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned());
        }
        lines
    }

    /// The call as a request over a pipe.
    pub(crate) fn request(&self, id: u64) -> Value {
        let mut params = json!({"name": self.tool, "arguments": self.arguments});
        if self.era == Era::Stateless {
            params["_meta"] = envelope();
        }
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    }

    /// The call as an event.
    pub(crate) fn event(&self, kind: Kind) -> Event {
        match kind {
            Kind::AgentCore => Event {
                // What the gateway sends along; the bridge needs the tool's name only.
                client_context: Some(
                    json!({"custom": {
                        "bedrockAgentCoreToolName": format!("target___{}", self.tool),
                        "bedrockAgentCoreMessageVersion": "1.0",
                        "bedrockAgentCoreAwsRequestId": "9f8ee7a1-1c4e-4f0c-8a39-4a5f4f9d9f10",
                        "bedrockAgentCoreMcpMessageId": "1",
                        "bedrockAgentCoreGatewayId": "gateway-0123456789",
                        "bedrockAgentCoreTargetId": "ABCDEFGHIJ"
                    }})
                    .to_string(),
                ),
                body: self.arguments.to_string().into_bytes(),
            },
            Kind::FunctionUrl => Event {
                client_context: None,
                body: self.function_url_event().to_string().into_bytes(),
            },
        }
    }

    /// A client of the handshake era, which does not initialize again for each call: any execution environment may get it.
    fn function_url_event(&self) -> Value {
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": self.tool, "arguments": self.arguments}
        });
        let host = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws";
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "rawQueryString": "",
            "headers": {
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
                "mcp-protocol-version": "2025-11-25",
                "user-agent": "python-httpx/0.28.1",
                "host": host,
                "x-amzn-trace-id": "Root=1-65f0c0de-0123456789abcdef01234567",
                "x-forwarded-for": "192.0.2.1",
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https"
            },
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "abcdefghijklmnopqrstuvwxyz012345",
                "domainName": host,
                "domainPrefix": "abcdefghijklmnopqrstuvwxyz012345",
                "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "python-httpx/0.28.1"},
                "requestId": "9f8ee7a1-1c4e-4f0c-8a39-4a5f4f9d9f10",
                "routeKey": "$default",
                "stage": "$default",
                "time": "25/Nov/2026:12:00:00 +0000",
                "timeEpoch": 1_795_608_000_000_u64
            },
            "body": request.to_string(),
            "isBase64Encoded": false
        })
    }

    /// Checks the answer to an event of `kind`.
    pub(crate) fn check_answer(&self, kind: Kind, answer: &[u8]) -> Result<()> {
        let value: Value = serde_json::from_slice(answer).map_err(|error| {
            self.complaint(&format!("an answer that is no JSON ({error})"), answer)
        })?;
        match kind {
            Kind::AgentCore => self.check_result(&value, answer),
            Kind::FunctionUrl => {
                let reply: Value = value["body"]
                    .as_str()
                    .filter(|_| value["statusCode"] == 200)
                    .and_then(|body| serde_json::from_str(body).ok())
                    .ok_or_else(|| self.complaint("no HTTP answer with status 200", answer))?;
                self.check_result(&reply["result"], answer)
            }
        }
    }

    /// Checks a reply over a pipe.
    pub(crate) fn check_reply(&self, reply: &Value) -> Result<()> {
        self.check_result(&reply["result"], reply.to_string().as_bytes())
    }

    fn check_result(&self, result: &Value, whole: &[u8]) -> Result<()> {
        let text = result["content"][0]["text"]
            .as_str()
            .filter(|_| result["isError"] != true)
            .ok_or_else(|| self.complaint("no tool result", whole))?;
        let right = match self.arguments["bytes"].as_u64() {
            Some(bytes) => text.len() + text.matches('\n').count() == bytes as usize,
            None => text.contains(self.expected),
        };
        right
            .then_some(())
            .ok_or_else(|| self.complaint("another text than was asked for", whole))
    }

    fn complaint(&self, what: &str, whole: &[u8]) -> String {
        let start = &whole[..whole.len().min(400)];
        format!("{}: {what}: {}", self.name, String::from_utf8_lossy(start))
    }
}
