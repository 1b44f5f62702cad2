"""A server without the bridge: MCP over its own stdio, as any client on a developer's machine speaks it."""

import json
import os
import subprocess
import threading

from conftest import PATIENCE


class Direct:
    """One process, greeted in the handshake era. What is no message is passed over, as the specification asks of readers."""

    def __init__(self, argv, cwd=None, env=None):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, **(env or {})}
        )
        # A server that does not answer ends the test, not the patience of whoever runs it.
        self.alarm = threading.Timer(PATIENCE, self.process.kill)
        self.alarm.daemon = True
        self.alarm.start()
        self.id = 0
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "outside", "version": "1.0.0"}}
        self.hello = self.ask("initialize", hello)["result"]
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params=None):
        """The response to a request."""
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params or {}})
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("id") == self.id and "method" not in message:
                return message
        raise AssertionError(f"the server ended with {self.process.wait()} before it answered {method}")

    def tools(self):
        found, cursor = [], {}
        while cursor is not None:
            page = self.ask("tools/list", cursor)["result"]
            found += page["tools"]
            cursor = {"cursor": page["nextCursor"]} if "nextCursor" in page else None
        return found

    def call(self, name, arguments):
        return self.ask("tools/call", {"name": name, "arguments": arguments})["result"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.alarm.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
