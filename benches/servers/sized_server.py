"""A minimal MCP server: its one tool, `text`, returns as much text as it is asked for.

Imports nothing but the standard library's json and sys, and keeps each answer, so that it starts and answers in next to no time: what a
client adds stands out. Speaks the handshake era only. Text comes in lines, as files and query results do, so that some of it is escaped.
"""

import functools
import json
import sys

LINE = "All work and no play makes for a dull benchmark, line by line by line by line.\n"


@functools.cache
def result(size):
    """A tool's result, as JSON, whose text takes exactly `size` bytes in JSON."""
    lines, rest = divmod(size, len(LINE) + 1)
    text = LINE * lines + "." * rest
    return json.dumps({"content": [{"type": "text", "text": text}]}, separators=(",", ":")).encode()


def answer(method, params):
    if method == "initialize":
        server = {"name": "sized", "version": "1"}
        shown = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server}
        return b'"result":' + json.dumps(shown).encode()
    if method == "tools/call":
        return b'"result":' + result(params["arguments"]["bytes"])
    return b'"error":{"code":-32601,"message":"Method not found"}'


def main():
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message:
            continue
        identifier = json.dumps(message["id"]).encode()
        reply = answer(message["method"], message.get("params"))
        out.write(b'{"jsonrpc":"2.0","id":' + identifier + b"," + reply + b"}\n")
        out.flush()


main()
