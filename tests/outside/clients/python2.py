"""The Python SDK's client, version 2: `python2.py auto URL`, which asks for the stateless era first, or `python2.py legacy URL`.

Leaves one line of JSON on standard output: what it saw, under the names that `test_clients.py` compares.
"""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPError


async def answer(context, params):
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def main(mode, url):
    progress = []

    async def on_progress(done, total, message):
        progress.append([done, total, message])

    async with Client(url, mode=mode, elicitation_callback=answer) as client:
        tools = (await client.list_tools()).tools
        text = await client.call_tool("test_simple_text", {})
        slow = await client.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
        failed = await client.call_tool("test_error_handling", {})
        asked = None
        if mode == "auto":
            # The client answers the question, and calls again with the answer.
            asked = (await client.call_tool("test_input_required_result_elicitation", {})).content[0].text
        try:
            refused = str(await client.call_tool("no_such_tool", {}))
        except MCPError as error:
            refused = [error.error.code, error.error.message]
        return {
            "protocol": client.protocol_version,
            "server": client.server_info.name,
            "tools": [tool.name for tool in tools],
            "text": text.content[0].text,
            "progress": progress,
            "slow": slow.content[0].text,
            "failed": [failed.is_error, failed.content[0].text],
            "asked": asked,
            "refused": refused,
        }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
