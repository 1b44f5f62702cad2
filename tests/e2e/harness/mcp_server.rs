//! Tiny MCP servers as wheels: real Python programs of one file, without dependencies unless asked.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What a server does once started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers `initialize`, `tools/list` and its tools `echo`, `pid`, `version`, `environment`.
    Works,
    /// Writes a line to stderr and ends with status 3.
    ExitsAtOnce,
    /// Says a line on stderr and then nothing.
    Hangs,
    /// Prints lines that are no JSON, and answers nothing.
    PrintsGarbage,
}

/// One release of one server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Distribution and console script.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) behaviour: Behaviour,
    /// Requirements in pip's notation.
    pub(crate) requires: Vec<String>,
    /// Wheel tag; `py3-none-any` unless the wheel is to fit nothing.
    pub(crate) tag: String,
}

impl Server {
    /// A server that works.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            behaviour: Behaviour::Works,
            requires: Vec::new(),
            tag: "py3-none-any".to_owned(),
        }
    }

    pub(crate) fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    pub(crate) fn requiring(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    /// The wheel's tag, for example of a platform that Lambda is not.
    pub(crate) fn tagged(mut self, tag: &str) -> Self {
        self.tag = tag.to_owned();
        self
    }

    fn module(&self) -> String {
        self.name.replace('-', "_")
    }

    /// File name of the wheel.
    pub(crate) fn wheel_name(&self) -> String {
        format!("{}-{}-{}.whl", self.module(), self.version, self.tag)
    }

    /// The wheel. Source: Python packaging specifications, "Binary distribution format".
    pub(crate) fn wheel(&self) -> Vec<u8> {
        let module = self.module();
        let info = format!("{module}-{}.dist-info", self.version);
        let requires: String = self
            .requires
            .iter()
            .map(|requirement| format!("Requires-Dist: {requirement}\n"))
            .collect();
        let mut files = vec![
            (format!("{module}/__init__.py"), self.source()),
            (
                format!("{info}/METADATA"),
                format!(
                    "Metadata-Version: 2.1\nName: {}\nVersion: {}\nRequires-Python: >=3.8\n{requires}",
                    self.name, self.version
                ),
            ),
            (
                format!("{info}/WHEEL"),
                format!(
                    "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {}\n",
                    self.tag
                ),
            ),
            (
                format!("{info}/entry_points.txt"),
                format!("[console_scripts]\n{} = {module}:main\n", self.name),
            ),
        ];
        let record: String = files
            .iter()
            .map(|(path, text)| {
                format!(
                    "{path},sha256={},{}\n",
                    URL_SAFE_NO_PAD.encode(Sha256::digest(text)),
                    text.len()
                )
            })
            .collect();
        files.push((
            format!("{info}/RECORD"),
            format!("{record}{info}/RECORD,,\n"),
        ));
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in files {
            zip.start_file(path, zip::write::SimpleFileOptions::default())
                .expect("an entry");
            zip.write_all(text.as_bytes()).expect("its text");
        }
        zip.finish().expect("a zip").into_inner()
    }

    pub(crate) fn source(&self) -> String {
        let body = match self.behaviour {
            Behaviour::Works => WORKS,
            Behaviour::ExitsAtOnce => {
                "def main():\n    print('cannot open the database at /data/tools.db', file=sys.stderr, flush=True)\n    sys.exit(3)\n"
            }
            Behaviour::Hangs => {
                "def main():\n    print('waiting for a license server', file=sys.stderr, flush=True)\n    while True:\n        time.sleep(3600)\n"
            }
            Behaviour::PrintsGarbage => {
                "def main():\n    for line in sys.stdin:\n        print('Welcome to the tools server!', flush=True)\n"
            }
        };
        format!(
            "import json\nimport os\nimport sys\nimport time\n\nNAME = '{}'\nVERSION = '{}'\n\n\n{body}",
            self.name, self.version
        )
    }
}

const WORKS: &str = r#"TOOLS = [
    {
        "name": "echo",
        "description": "Returns its arguments.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
    {"name": "pid", "description": "Returns the server's process id.", "inputSchema": {"type": "object"}},
    {"name": "version", "description": "Returns the server's version.", "inputSchema": {"type": "object"}},
    {"name": "environment", "description": "Returns a variable.", "inputSchema": {
        "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
]


def text(value):
    return {"content": [{"type": "text", "text": value}], "isError": False}


def call(name, arguments):
    if name == "echo":
        return text(json.dumps(arguments, sort_keys=True))
    if name == "pid":
        return text(str(os.getpid()))
    if name == "version":
        return text(VERSION)
    if name == "environment":
        return text(os.environ.get(arguments["name"], ""))
    return {"content": [{"type": "text", "text": "no such tool"}], "isError": True}


def answer(request):
    method, params = request.get("method"), request.get("params") or {}
    if method == "initialize":
        return {"result": {"protocolVersion": params.get("protocolVersion", "2025-06-18"),
                           "capabilities": {"tools": {}}, "serverInfo": {"name": NAME, "version": VERSION}}}
    if method == "ping":
        return {"result": {}}
    if method == "tools/list":
        return {"result": {"tools": TOOLS}}
    if method == "tools/call":
        return {"result": call(params.get("name"), params.get("arguments") or {})}
    return {"error": {"code": -32601, "message": "Method not found"}}


def main():
    print(NAME + " " + VERSION + " starting", file=sys.stderr, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            reply.update(answer(request))
            print(json.dumps(reply), flush=True)
"#;
