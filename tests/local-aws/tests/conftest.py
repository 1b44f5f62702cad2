"""What the tests share: a running local-aws, boto3 clients for it, and functions to deploy.

The managed runtimes' own bootstraps are not part of local-aws, so the functions here bring an exec
wrapper that speaks the Runtime API, as the bridge does.
"""

import functools
import io
import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.request
import uuid
import zipfile

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("LOCAL_AWS", str(ROOT / "target" / "debug" / "local-aws"))
HERE = pathlib.Path(__file__).resolve().parent

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


# Options for every local-aws that the tests start, for example "--prefer-rootfs".
OPTIONS = os.environ.get("LOCAL_AWS_OPTIONS", "").split()


class LocalAws:
    """A local-aws process and the ways to talk to it."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [PROGRAM, *OPTIONS, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        line = self.process.stdout.readline()
        assert line, f"local-aws ended with {self.process.wait()} before it was ready"
        self.ready = json.loads(line)
        self.endpoint = self.ready["endpoint"]

    # Making a client takes longer than most calls.
    @functools.cache
    def client(self, service, region="us-east-1", **credentials):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=credentials.get("key", "test"),
            aws_secret_access_key="test",
            aws_session_token=credentials.get("token"),
            # Each failure is to be seen once.
            config=Config(
                retries={"total_max_attempts": 1},
                read_timeout=60,
                max_pool_connections=50,
                parameter_validation=not credentials.get("unchecked"),
            ),
        )

    def local(self, method, path, body=None):
        """Calls one of local-aws's own pages."""
        request = urllib.request.Request(
            f"{self.endpoint}/_local/{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return {"status": error.code, **json.loads(error.read() or "{}")}

    def fault(self, kind, **rule):
        return self.local("POST", "faults", {"kind": kind, **rule})["id"]

    def descendants(self):
        """The process ids of everything that local-aws has started."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            if not more:
                return found - {self.process.pid}
            found |= more

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def aws():
    running = LocalAws()
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def without_faults(request):
    yield
    if "aws" in request.fixturenames:
        request.getfixturevalue("aws").local("DELETE", "faults")


@pytest.fixture
def lambda_(aws):
    return aws.client("lambda")


@pytest.fixture
def name():
    return f"f-{uuid.uuid4().hex[:12]}"


def make_role(aws, name, trust=TRUST, key="test", token=None):
    iam = aws.client("iam", key=key, token=token)
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


@pytest.fixture
def role(aws, name):
    return make_role(aws, name)


def zip_of(files):
    """A zip of {name: (content, mode)}, the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, (content, mode) in files.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


RUNTIME = (HERE / "runtime.py").read_text()
WRAPPER = (HERE / "wrapper.sh").read_text()


def function_zip(marker="one", **files):
    """Code whose exec wrapper runs `runtime.py` with the runtime's interpreter."""
    own = {
        "wrapper": (WRAPPER, 0o755),
        "runtime.py": (RUNTIME, 0o644),
        "marker": (marker, 0o644),
    }
    own.update({path.replace("__", "/"): (content, 0o644) for path, content in files.items()})
    return zip_of(own)


def create(lambda_, name, role, wait=True, **changes):
    """Creates a function and, if `wait`, waits until it is Active."""
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper", **changes.pop("variables", {})}
    request = {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": role,
        "Handler": "mcplambda.handler",
        "Code": {"ZipFile": function_zip()},
        "Environment": {"Variables": variables},
        "Timeout": 30,
        **changes,
    }
    answer = lambda_.create_function(**request)
    if wait:
        active(lambda_, name)
    return answer


def active(lambda_, name, qualifier=None):
    """Waits as AWS's SDKs do, only faster."""
    arguments = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}
    waiter = lambda_.get_waiter("published_version_active" if qualifier else "function_active_v2")
    waiter.wait(**arguments, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


def updated(lambda_, name):
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


def invoke(lambda_, name, event=None, **arguments):
    """Invokes and reads the payload."""
    answer = lambda_.invoke(FunctionName=name, Payload=json.dumps(event or {}), **arguments)
    payload = answer["Payload"].read()
    answer["Payload"] = json.loads(payload) if payload else None
    return answer
