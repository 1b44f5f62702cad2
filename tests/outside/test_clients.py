"""Other people's clients: the SDKs' through a function URL in both invoke modes, the old library's through Lambda's Invoke.

Each client is a program in `clients/`, run with the versions that it goes with; it says what it saw as one JSON object, and that
is compared whole with what the everything server has to say.
"""

import io
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile

import boto3
import pytest
from conftest import BRIDGE, EVERYTHING, HERE, INSTALLED, LOCAL_AWS, NODE, PATIENCE, ROOT, python
from stdio import Direct

HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"

# Where the version of each client is pinned.
PINNED = [
    ("python/mcp-1.txt", "mcp"),
    ("python/mcp-2.txt", "mcp"),
    ("python/lambda-client.txt", "run-mcp-servers-with-aws-lambda"),
    ("python/lambda-client.txt", "mcp-proxy-for-aws"),
    ("npm/clients/package-lock.json", "@modelcontextprotocol/sdk"),
    ("npm/clients/package-lock.json", "@modelcontextprotocol/client"),
    ("npm/clients/package-lock.json", "@aws/run-mcp-servers-with-aws-lambda"),
]

# What a client of a function URL is, the way that it takes, the protocol on which it and the bridge agree.
OVER_HTTP = {
    "python 1": ([python("mcp-1"), HERE / "clients/python1.py"], "http", HANDSHAKE),
    "python 2": ([python("mcp-2"), HERE / "clients/python2.py"], "auto", STATELESS),
    "python 2 legacy": ([python("mcp-2"), HERE / "clients/python2.py"], "legacy", HANDSHAKE),
    "typescript 1": ([NODE, INSTALLED / "clients/typescript.mjs"], "http", HANDSHAKE),
    "typescript 2": ([NODE, INSTALLED / "clients/typescript.mjs"], "auto", STATELESS),
    "typescript 2 legacy": ([NODE, INSTALLED / "clients/typescript.mjs"], "legacy", HANDSHAKE),
}
OF_THE_OLD_LIBRARY = {
    "python": [python("lambda-client"), HERE / "clients/python1.py"],
    "typescript": [NODE, INSTALLED / "clients/typescript.mjs"],
}

PROGRESS = [[done, 100, f"{done} of 100"] for done in (0, 50, 100)]


@pytest.fixture(scope="module", autouse=True)
def beside_its_modules():
    shutil.copy(HERE / "clients/typescript.mjs", INSTALLED / "clients")


@pytest.fixture(scope="module")
def tools():
    """The names of the tools, from the server itself."""
    with Direct(EVERYTHING) as server:
        return [tool["name"] for tool in server.tools()]


def seen_by(argv, *arguments, env=None):
    done = subprocess.run(
        [*argv, *arguments], stdout=subprocess.PIPE, text=True, timeout=PATIENCE, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, f"the client ended with {done.returncode}; what it wrote is above"
    return json.loads(done.stdout)


def expected(argv, way, tools, protocol=HANDSHAKE, progress=()):
    """What a client sees. The TypeScript SDK's version 1 puts the code before the words of an error."""
    words = "unknown tool: no_such_tool"
    typescript1 = argv[0] == NODE and way not in ("auto", "legacy")
    return {
        "protocol": protocol,
        "server": "mcplambda-everything",
        "tools": tools,
        "text": "This is a simple text response for testing.",
        "progress": list(progress),
        "slow": "Went from 0 to 100.",
        "failed": [True, "This tool intentionally returns an error for testing"],
        "asked": "Hello, Ada!" if protocol == STATELESS else None,
        "refused": [-32602, f"MCP error -32602: {words}" if typescript1 else words],
    }


@pytest.mark.parametrize("client", OVER_HTTP)
def test_a_client_lists_and_calls_tools_over_a_function_url(client, everything, tools):
    argv, way, protocol = OVER_HTTP[client]
    seen = seen_by(argv, way, everything.mcp)
    # A buffered answer has room for the result alone.
    assert seen == expected(argv, way, tools, protocol, PROGRESS if everything.streaming else [])


# --- the old library, against Lambda's API


class Deployed:
    """A local AWS with the bridge as a function in it."""

    def __init__(self):
        # Without a namespace: the server is where it was installed, not in the code.
        self.process = subprocess.Popen(
            [LOCAL_AWS, "--target", ROOT / "target", "--isolation", "plain"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        line = self.process.stdout.readline()
        assert line, f"local-aws ended with {self.process.wait()} before it was ready"
        self.env = {
            "AWS_ENDPOINT_URL": json.loads(line)["endpoint"], "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.env["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )

    def create(self, name, argv):
        """A function with `argv` as its server, and the address of its URL, which wants to be signed for."""
        statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(BRIDGE, "bootstrap")
        lambda_ = self.client("lambda")
        lambda_.create_function(
            FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=60,
            Role=self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"],
            Code={"ZipFile": code.getvalue()}, Environment={"Variables": {"MCPLAMBDA_SERVER": json.dumps({"argv": argv})}},
        )
        lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 400})
        return lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def deployed():
    aws = Deployed()
    aws.url = aws.create("everything", EVERYTHING)
    yield aws
    assert aws.stop() == 0


@pytest.mark.parametrize("language", OF_THE_OLD_LIBRARY)
def test_the_old_librarys_client_lists_and_calls_tools_over_invoke(language, deployed, tools):
    argv = OF_THE_OLD_LIBRARY[language]
    assert seen_by(argv, "invoke", "everything", env=deployed.env) == expected(argv, "invoke", tools)


@pytest.mark.parametrize("language", OF_THE_OLD_LIBRARY)
def test_the_old_librarys_client_lists_and_calls_tools_over_a_url_with_a_signature(language, deployed, tools):
    argv = OF_THE_OLD_LIBRARY[language]
    assert seen_by(argv, "signed", f"{deployed.url}mcp", env=deployed.env) == expected(argv, "signed", tools)


def test_the_url_that_wants_a_signature_refuses_who_has_none(deployed):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{deployed.url}mcp", b"{}", timeout=PATIENCE)
    assert refused.value.code == 403


# --- documentation


def pinned(lock, package):
    text = (HERE / lock).read_text()
    if lock.endswith(".json"):
        return json.loads(text)["packages"][f"node_modules/{package}"]["version"]
    return re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)[1]


def test_each_clients_version_is_documented():
    documented = (ROOT / "docs/compatibility.md").read_text()
    named = {(package, pinned(lock, package)) for lock, package in PINNED}
    assert {pair for pair in named if "`{}` {} |".format(*pair) not in documented} == set()
