"""Other people's servers: how each is started, which of its tools are called, and what the last of them answers.

Facts only: `test_servers.py` holds the bridge to them. Every call works offline and harms nothing. Each server is installed alone,
as its lock in `python/` or `npm/` says.
"""

import dataclasses
import json
import re

from conftest import HERE, INSTALLED, NODE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    package: str
    author: str
    # (tool, arguments), one after the other, and what is in the text that the last one answers with.
    calls: list[tuple[str, dict]]
    says: str
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    # What has to be in its working directory.
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    # What in an answer is not the same twice, as a regular expression.
    varies: str | None = None
    # What the log holds of its start that others' does not: warnings, and what it wrote to its standard output that is no message.
    unusual: tuple[str, ...] = ()
    # More members of the bridge's description of it.
    settings: dict = dataclasses.field(default_factory=dict)

    @property
    def folder(self):
        return self.package.removeprefix("@").replace("/", "-")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Python(Server):
    # The console script, where it is not named as the package is.
    script: str | None = None
    registry = "PyPI"

    @property
    def argv(self):
        return [str(INSTALLED / self.folder / "bin" / (self.script or self.package)), *self.arguments]

    @property
    def lock(self):
        """Name and version of what is installed."""
        text = (HERE / "python" / f"{self.folder}.txt").read_text()
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))

    @property
    def sdk(self):
        return ", ".join(f"{name} {self.lock[name]}" for name in ("mcp", "fastmcp") if name in self.lock)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node(Server):
    registry = "npm"

    @property
    def argv(self):
        module = INSTALLED / self.folder / "node_modules" / self.package
        programs = json.loads((module / "package.json").read_text())["bin"]
        program = programs if isinstance(programs, str) else next(iter(programs.values()))
        return [str(NODE), str(module / program), *self.arguments]

    @property
    def lock(self):
        packages = json.loads((HERE / "npm" / self.folder / "package-lock.json").read_text())["packages"]
        return {path.removeprefix("node_modules/"): package["version"] for path, package in packages.items() if path}

    @property
    def sdk(self):
        names = ("sdk", "server")
        return ", ".join(f"{name} {self.lock[name]}" for name in (f"@modelcontextprotocol/{n}" for n in names) if name in self.lock)


# FastMCP asks PyPI at each start whether there is a newer one.
NO_NEWS = {"FASTMCP_CHECK_FOR_UPDATES": "off"}

SERVERS = [
    Python(
        package="mcp-server-time",
        author="the MCP project",
        calls=[("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})],
        says='"time_difference": "+9.0h"',
        varies=r"\d{4}-\d\d-\d\d|\w+day",
    ),
    Python(
        package="mcp-server-sqlite",
        author="the MCP project",
        arguments=("--db-path", "test.db"),
        calls=[
            ("create_table", {"query": "CREATE TABLE IF NOT EXISTS planets (name TEXT PRIMARY KEY)"}),
            ("write_query", {"query": "INSERT OR REPLACE INTO planets VALUES ('Saturn')"}),
            ("read_query", {"query": "SELECT name, length(name) AS letters FROM planets"}),
        ],
        says="[{'name': 'Saturn', 'letters': 6}]",
        unusual=(
            "the MCP server exited with status 1 when it was asked which era of MCP it speaks; starting it again, for the handshake era",
        ),
    ),
    Python(
        package="mcp-server-calculator",
        author="He Jie",
        calls=[("calculate", {"expression": "2 ^ 10 + sqrt(9)"})],
        says="1027.0",
    ),
    Python(
        package="mcp-server-motherduck",
        author="MotherDuck",
        arguments=("--read-write",),
        env=NO_NEWS,
        calls=[("execute_query", {"sql": "SELECT sum(n) AS total FROM range(101) AS numbers(n)"})],
        says="5050",
    ),
    Python(
        package="excel-mcp-server",
        author="Haris Musa",
        arguments=("stdio", "--allow-dir", "."),
        calls=[
            ("create_workbook", {"path": "book.xlsx", "overwrite": True}),
            ("write_range", {"path": "book.xlsx", "sheet": "Sheet1", "at": "A1", "rows": [[20, 22], ["=SUM(A1:B1)"]]}),
            ("read_range", {"path": "book.xlsx", "sheet": "Sheet1"}),
        ],
        says='"values":[[20,22],[42]]',
    ),
    Python(
        package="office-word-mcp-server",
        author="GongRzhe",
        script="word_mcp_server",
        env=NO_NEWS,
        calls=[
            ("create_document", {"filename": "letter.docx", "title": "A letter"}),
            ("add_paragraph", {"filename": "letter.docx", "text": "Dear reader"}),
            ("get_document_text", {"filename": "letter.docx"}),
        ],
        says="Dear reader",
    ),
    Node(
        package="@angular/cli",
        author="the Angular team",
        arguments=("mcp",),
        files={
            "angular.json": json.dumps(
                {"version": 1, "projects": {"shop": {"projectType": "application", "root": "", "sourceRoot": "src", "prefix": "app"}}}
            )
        },
        calls=[("list_projects", {})],
        says='"name":"shop"',
    ),
    Node(
        package="@coo-quack/calc-mcp",
        author="coo-quack",
        calls=[("math", {"expression": "10 + 34 * 341 / 23"})],
        says="514.08695652174",
    ),
    Node(
        package="@eslint/mcp",
        author="the ESLint team",
        files={
            "eslint.config.mjs": 'export default [{ rules: { "no-unused-vars": "error" } }];\n',
            "lint.js": "const unused = 1;\n",
        },
        calls=[("lint-files", {"filePaths": ["lint.js"]})],
        says="'unused' is assigned a value but never used.",
    ),
    Node(
        package="@itseasy21/mcp-knowledge-graph",
        author="itseasy21",
        arguments=("--memory-path", "memory.jsonl"),
        files={"memory.jsonl": '{"type":"entity","name":"Saturn","entityType":"planet","observations":["has rings"]}\n'},
        calls=[("search_nodes", {"query": "rings"})],
        says='"name": "Saturn"',
    ),
    Node(
        package="@modelcontextprotocol/server-everything",
        author="the MCP project",
        calls=[("get-sum", {"a": 19, "b": 23})],
        says="The sum of 19 and 23 is 42.",
    ),
    Node(
        package="@modelcontextprotocol/server-sequential-thinking",
        author="Anthropic",
        # It remembers: each event is to have a process of its own.
        settings={"process_scope": "invocation"},
        calls=[("sequentialthinking", {"thought": "One.", "thoughtNumber": 1, "totalThoughts": 2, "nextThoughtNeeded": True})],
        says='"thoughtHistoryLength": 1',
    ),
    Node(
        package="mcp-server-code-runner",
        author="Jun Han",
        calls=[("run-code", {"languageId": "javascript", "code": "console.log(6 * 7)"})],
        says="42",
        unusual=("Code Runner MCP Server running on stdio",),
    ),
]
