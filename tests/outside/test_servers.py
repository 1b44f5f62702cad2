"""Other people's servers behind the bridge: what callers of each kind see is what the server says without it.

`docs/servers.md` has a row for each server, which is held to what is seen here.
"""

import json
import re

import pytest
from conftest import ROOT, Front
from servers import SERVERS
from stdio import Direct

STATELESS = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": {"name": "outside", "version": "1.0.0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Behind:
    """One server without the bridge (what it said is kept) and behind it, each in a working directory of its own."""

    def __init__(self, server, directory):
        self.server = server
        for name in ("alone", "behind"):
            (directory / name).mkdir()
            for path, content in server.files.items():
                (directory / name / path).write_text(content)
        self.alone, self.behind = directory / "alone", directory / "behind"
        self.log = directory / "log"
        # Lambda's clocks show UTC, which a server may tell its callers.
        with Direct(server.argv, self.alone, {"TZ": ":UTC", **server.env}) as direct:
            self.hello = self.plain(direct.hello, self.alone)
            self.tools = direct.tools()
            self.results = [self.plain(direct.call(*call), self.alone) for call in server.calls]
            self.unknown = direct.ask("tools/call", {"name": "no_such_tool", "arguments": {}})

    def plain(self, value, directory):
        """`value` without what is not the same twice."""
        text = json.dumps(value).replace(str(directory), "")
        return json.loads(re.sub(self.server.varies, "...", text) if self.server.varies else text)

    def front(self):
        env = {**self.server.env, "AWS_LAMBDA_LOG_FORMAT": "JSON"}
        with open(self.log, "wb") as log:
            return Front(self.server.argv, cwd=self.behind, env=env, log=log, **self.server.settings)

    def ask(self, method, params=None):
        """A request of the handshake era."""
        status, answer = self.running.rpc(method, params)
        assert (status, answer["id"]) == (200, 1), answer
        return answer

    def ask_stateless(self, method, params=None):
        name = {"Mcp-Name": params["name"]} if params else {}
        headers = {"Mcp-Protocol-Version": STATELESS, "Mcp-Method": method, **name}
        status, answer = self.running.rpc(method, {**(params or {}), "_meta": META}, **headers)
        assert (status, answer["id"]) == (200, 1), answer
        return answer

    def logged(self):
        """The function's log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def started(self):
        """The bridge's own line on the server that it started."""
        return next(line for line in self.logged() if "serverName" in line)


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.package)
def behind(request, tmp_path_factory):
    behind = Behind(request.param, tmp_path_factory.mktemp("server"))
    with behind.front() as behind.running:
        behind.running.warm()
        yield behind


def called(calls):
    return [{"name": name, "arguments": arguments} for name, arguments in calls]


def test_the_server_says_who_it_is(behind):
    # A caller may ask for anything; it is answered with what the bridge and it have in common.
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "outside", "version": "1.0.0"}}
    hello = behind.plain(behind.ask("initialize", params)["result"], behind.behind)
    assert hello["serverInfo"] == behind.hello["serverInfo"]
    assert hello.get("instructions") == behind.hello.get("instructions")
    started = behind.started()
    assert (started["serverName"], started["serverVersion"]) == (hello["serverInfo"]["name"], hello["serverInfo"]["version"])
    unusual = [line["message"] for line in behind.logged() if line["level"] != "INFO" or line["source"] == "server stdout"]
    assert unusual == list(behind.server.unusual)


def test_its_tools_are_those_that_it_lists_without_the_bridge(behind):
    assert behind.tools
    assert behind.ask("tools/list")["result"]["tools"] == behind.tools
    listed = behind.ask_stateless("tools/list")["result"]
    assert listed["tools"] == [without(tool, "execution") for tool in behind.tools]
    assert (listed["resultType"], "ttlMs" in listed, listed["cacheScope"]) == ("complete", True, "private")


def without(value, *members):
    return {name: member for name, member in value.items() if name not in members}


def test_its_tools_answer_as_they_do_without_the_bridge(behind):
    assert behind.server.says in "".join(block["text"] for block in behind.results[-1]["content"])
    results = [behind.plain(behind.ask("tools/call", call)["result"], behind.behind) for call in called(behind.server.calls)]
    assert results == behind.results


def test_a_caller_of_the_stateless_era_gets_the_same_answer(behind):
    answers = [behind.ask_stateless("tools/call", call)["result"] for call in called(behind.server.calls)]
    assert {answer["resultType"] for answer in answers} == {"complete"}
    results = [behind.plain(without(answer, "resultType", "_meta"), behind.behind) for answer in answers]
    assert results == [without(result, "_meta") for result in behind.results]


def test_a_gateway_gets_the_same_answer(behind):
    results = []
    for name, arguments in behind.server.calls:
        status, result = behind.running.post(f"_local/agentcore?tool=target___{name}", arguments)
        assert status == 200
        results.append(behind.plain(result, behind.behind))
    assert results == behind.results


def test_a_tool_that_it_does_not_have_is_refused_in_its_own_words(behind):
    answer = behind.ask("tools/call", {"name": "no_such_tool", "arguments": {}})
    assert without(answer, "id") == without(behind.unknown, "id")


def test_progress_of_a_call_is_streamed_before_its_result(tmp_path):
    (server,) = [server for server in SERVERS if server.package == "@modelcontextprotocol/server-everything"]
    call = {"name": "trigger-long-running-operation", "arguments": {"duration": 0.3, "steps": 3}, "_meta": {"progressToken": "t"}}
    with Front(server.argv, streaming=True, cwd=tmp_path) as front:
        events = front.events("tools/call", call)
    assert [event.get("method") for event in events] == ["notifications/progress"] * 3 + [None]
    assert [event["params"] for event in events[:-1]] == [{"progress": n, "total": 3, "progressToken": "t"} for n in (1, 2, 3)]
    assert events[-1]["result"]["content"] == [
        {"type": "text", "text": "Long running operation completed. Duration: 0.3 seconds, Steps: 3."}
    ]


def test_its_row_in_the_documentation_is_what_was_seen(behind):
    server, started = behind.server, behind.started()
    assert server.lock[server.package] == server.version
    era = f"{started['era']}, {started['protocolVersion']}"
    tool = server.calls[-1][0]
    row = (
        f"| `{server.package}` {server.version} | {server.registry} | {server.author} | {server.sdk} | {era} "
        f"| {len(behind.tools)} | `{tool}`: `{server.says}` |"
    )
    assert row in (ROOT / "docs/servers.md").read_text().splitlines()
