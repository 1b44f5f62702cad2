"""Other people's servers, as `tests/servers.toml` describes them and `python/` and `npm/` install them.

Facts only: `test_servers.py` holds the bridge to them. Each server is installed alone, as its lock says.
"""

import dataclasses
import json
import re
import tomllib

from conftest import HERE, INSTALLED, NODE, ROOT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    package: str
    version: str
    author: str
    registry: str
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
    # The console script, where it is not named as the package is.
    script: str | None = None

    @property
    def folder(self):
        return self.package.removeprefix("@").replace("/", "-")

    @property
    def sdk(self):
        return ", ".join(f"{name} {self.lock[name]}" for name in self.sdks if name in self.lock)


class Python(Server):
    sdks = ("mcp", "fastmcp")

    @property
    def argv(self):
        return [str(INSTALLED / self.folder / "bin" / (self.script or self.package)), *self.arguments]

    @property
    def lock(self):
        """Name and version of what is installed."""
        text = (HERE / "python" / f"{self.folder}.txt").read_text()
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


class Node(Server):
    sdks = ("@modelcontextprotocol/sdk", "@modelcontextprotocol/server")

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


def read(entry):
    """One entry of the table; `deployed` is the end-to-end tests'."""
    entry = {name: value for name, value in entry.items() if name != "deployed"} | entry["outside"]
    del entry["outside"]
    entry["calls"] = [(call["tool"], call["arguments"]) for call in entry["calls"]]
    return {"PyPI": Python, "npm": Node}[entry["registry"]](**entry)


SERVERS = [read(entry) for entry in tomllib.loads((ROOT / "tests/servers.toml").read_text())["server"] if "outside" in entry]
