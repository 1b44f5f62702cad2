"""local-aws as a process: it starts with one command, says so, and leaves nothing behind."""

import http.client
import json
import pathlib
import signal
import subprocess
import time

import pytest
from conftest import OPTIONS, PROGRAM, LocalAws, create, invoke, make_role


def with_a_warm_function():
    aws = LocalAws("--pending-ms", "0")
    lambda_ = aws.client("lambda")
    create(lambda_, "f", make_role(aws, "f"))
    # An orphan in a session of its own is the hardest to find again.
    answer = invoke(lambda_, "f", {"child": True})
    return aws, answer["Payload"]["pid"]


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_gone(pids):
    """Whether all end within 10 seconds."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def start_invoking(aws, event):
    """Sends an Invoke of `f` and leaves its answer for later."""
    connection = http.client.HTTPConnection(aws.endpoint.removeprefix("http://"))
    scope = "a/20260101/us-east-1/lambda/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    connection.request("POST", "/2015-03-31/functions/f/invocations", json.dumps(event), headers)
    return connection


def test_the_ready_line_says_what_is_there():
    aws = LocalAws()
    try:
        assert set(aws.ready) == {"endpoint", "moto", "region", "account_id", "isolation", "registry", "runtimes"}
        assert aws.ready["endpoint"].startswith("http://127.0.0.1:")
        assert aws.ready["moto"].startswith("http://127.0.0.1:")
        assert aws.ready["account_id"] == aws.client("sts").get_caller_identity()["Account"] == "123456789012"
        assert aws.ready["registry"].startswith("127.0.0.1:"), "install it (Debian and Ubuntu: apt-get install docker-registry)"
        assert "python3.13" in aws.ready["runtimes"]
        assert aws.local("GET", "") == aws.ready
    finally:
        aws.stop()


@pytest.fixture
def own_tmp(tmp_path, monkeypatch):
    """Where local-aws keeps its files, and nobody else."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_sigterm_stops_everything_that_was_started(own_tmp):
    aws, pid = with_a_warm_function()
    pids = aws.descendants()
    assert pid in pids
    assert len(list(own_tmp.iterdir())) == 1
    assert len(pids) >= 6, "moto, the emulator, their supervisors, the function and its child"
    aws.process.send_signal(signal.SIGTERM)
    assert aws.process.wait(timeout=20) == 0
    assert all_gone(pids)
    assert list(own_tmp.iterdir()) == []


def test_sigint_stops_everything_that_was_started():
    aws, _ = with_a_warm_function()
    pids = aws.descendants()
    aws.process.send_signal(signal.SIGINT)
    assert aws.process.wait(timeout=20) == 0
    assert all_gone(pids)


def test_the_end_of_its_input_stops_everything_that_was_started():
    aws, _ = with_a_warm_function()
    pids = aws.descendants()
    aws.process.stdin.close()
    assert aws.process.wait(timeout=20) == 0
    assert all_gone(pids)


def test_killed_it_still_leaves_nothing(own_tmp):
    aws, _ = with_a_warm_function()
    pids = aws.descendants()
    aws.process.kill()
    aws.process.wait(timeout=20)
    assert all_gone(pids)
    assert list(own_tmp.iterdir()) == []


def test_stopping_does_not_wait_for_a_function_that_runs():
    aws, pid = with_a_warm_function()
    pids = aws.descendants()
    busy = start_invoking(aws, {"sleep": 25})
    while aws.local("GET", "environments")["environments"]:
        time.sleep(0.01)
    started = time.monotonic()
    assert aws.stop() == 0
    assert time.monotonic() - started < 10
    assert all_gone(pids)
    busy.close()


def test_a_port_can_be_asked_for_and_must_be_free():
    aws = LocalAws()
    try:
        port = aws.endpoint.rsplit(":", 1)[1]
        done = subprocess.run([PROGRAM, *OPTIONS, "--port", port], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        assert done.stderr.startswith(f"local-aws: port {port}: Address already in use")
    finally:
        aws.stop()
    again = LocalAws("--port", port)
    try:
        assert again.endpoint == f"http://127.0.0.1:{port}"
    finally:
        again.stop()


def test_a_missing_tool_is_named_with_the_way_to_get_it(tmp_path):
    def complaint():
        done = subprocess.run([PROGRAM, "--target", str(tmp_path)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        return done.stderr.strip()

    tools = tmp_path / "tools"
    assert complaint() == (
        f"local-aws: the Runtime Interface Emulator is missing ({tools}/aws-lambda-rie); run tests/local-aws/install.sh"
    )
    tools.mkdir()
    (tools / "aws-lambda-rie").write_text("")
    assert complaint() == (
        f"local-aws: moto is missing ({tmp_path}/venv/bin/moto_server); run tests/local-aws/install.sh"
    )


def test_an_unknown_argument_is_refused():
    done = subprocess.run([PROGRAM, "--prot", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("local-aws: unknown argument --prot\n")


def test_a_client_may_leave_while_its_function_runs():
    aws, _ = with_a_warm_function()
    try:
        lambda_ = aws.client("lambda")
        leaving = start_invoking(aws, {"sleep": 1})
        while aws.local("GET", "environments")["environments"]:
            time.sleep(0.01)
        leaving.close()
        while not aws.local("GET", "environments")["environments"]:
            time.sleep(0.01)
        assert invoke(lambda_, "f")["Payload"]["handled"] == 3
    finally:
        aws.stop()
