"""The peer's function: the library's AgentCore handler in front of the command line in BENCH_SERVER, as its documentation writes one."""

import json
import os

from mcp.client.stdio import StdioServerParameters
from mcp_lambda import BedrockAgentCoreGatewayTargetHandler, StdioServerAdapterRequestHandler

command, *arguments = json.loads(os.environ["BENCH_SERVER"])
server = StdioServerParameters(command=command, args=arguments)
gateway_target = BedrockAgentCoreGatewayTargetHandler(StdioServerAdapterRequestHandler(server))


def handler(event, context):
    return gateway_target.handle(event, context)
