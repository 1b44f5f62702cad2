"""Rolls dice, over MCP on standard input and output."""

import random

from mcp.server.fastmcp import FastMCP

server = FastMCP("dice")


@server.tool()
def roll(sides: int = 6, count: int = 1) -> list[int]:
    """Rolls `count` dice that have `sides` sides."""
    return [random.randint(1, sides) for _ in range(count)]


if __name__ == "__main__":
    server.run()
