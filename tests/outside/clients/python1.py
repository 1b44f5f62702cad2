"""The Python SDK's client, version 1: `python1.py http URL`; with what the old library brings `python1.py invoke FUNCTION`
over Lambda's API and `python1.py signed URL` with AWS's signature.

Leaves one line of JSON on standard output: what it saw, under the names that `test_clients.py` compares.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.shared.exceptions import McpError

REGION = "us-east-1"


def transport(way, target):
    # Each is imported where it is wanted: only the old library's venv has the last two.
    if way == "http":
        from mcp.client.streamable_http import streamable_http_client

        return streamable_http_client(target)
    if way == "invoke":
        from mcp_lambda import LambdaFunctionParameters, lambda_function_client

        return lambda_function_client(LambdaFunctionParameters(function_name=target, region_name=REGION))
    from mcp_proxy_for_aws.client import aws_iam_streamablehttp_client

    return aws_iam_streamablehttp_client(target, aws_service="lambda", aws_region=REGION)


async def main(way, target):
    progress = []

    async def on_progress(done, total, message):
        progress.append([done, total, message])

    async with transport(way, target) as streams, ClientSession(*streams[:2]) as session:
        hello = await session.initialize()
        tools = (await session.list_tools()).tools
        text = await session.call_tool("test_simple_text", {})
        slow = await session.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
        failed = await session.call_tool("test_error_handling", {})
        try:
            refused = str(await session.call_tool("no_such_tool", {}))
        except McpError as error:
            refused = [error.error.code, error.error.message]
    return {
        "protocol": hello.protocolVersion,
        "server": hello.serverInfo.name,
        "tools": [tool.name for tool in tools],
        "text": text.content[0].text,
        "progress": progress,
        "slow": slow.content[0].text,
        "failed": [failed.isError, failed.content[0].text],
        "asked": None,
        "refused": refused,
    }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
