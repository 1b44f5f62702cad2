"""With `--freeze`, functions stand still between events, as in Lambda."""

import json
import pathlib
import socket

import pytest
from conftest import LocalAws, create, function_zip, invoke, make_role
from test_front import Front
from test_function_url import ask, call, open_to_all
from test_process import all_gone


@pytest.fixture(scope="module")
def freezing():
    running = LocalAws("--freeze", "--pending-ms", "0")
    make_role(running, "freezing")
    yield running
    assert running.stop() == 0


def states(pids):
    """The states of all threads of all processes: `T` is stopped."""
    return {
        stat.read_text().rsplit(") ", 1)[1][0] for pid in pids for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")
    }


def pids_of(environments, name):
    return [pid for environment in environments["environments"] if environment["function"] == name for pid in environment["pids"]]


def test_a_function_and_its_children_stop_after_an_event_and_go_on_with_the_next(freezing, name):
    lambda_ = freezing.client("lambda")
    create(lambda_, name, "arn:aws:iam::123456789012:role/freezing")
    first = invoke(lambda_, name, {"child": True})["Payload"]
    pids = pids_of(freezing.local("GET", "environments"), name)
    assert first["pid"] in pids
    assert len(pids) == 2
    assert states(pids) == {"T"}
    second = invoke(lambda_, name)["Payload"]
    assert (second["pid"], second["handled"]) == (first["pid"], 2)
    assert states(pids) == {"T"}


# Leaves a child that answers what it is sent.
CHILD = (
    "import os, socket; c = socket.create_connection(('127.0.0.1', %d)); "
    "os.fork() == 0 and (c.recv(1), c.sendall(b'woken'))"
)


def test_what_a_child_is_sent_while_it_is_frozen_waits_for_the_next_event(freezing, name):
    lambda_ = freezing.client("lambda")
    create(lambda_, name, "arn:aws:iam::123456789012:role/freezing")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = CHILD % listener.getsockname()[1]
        told = invoke(lambda_, name, {"run": f'python3 -c "{script}" > /dev/null 2>&1'})
        assert told["Payload"]["run"] == [0, "", ""]
        child, _ = listener.accept()
    child.sendall(b".")
    assert states(pids_of(freezing.local("GET", "environments"), name)) == {"T"}
    with pytest.raises(BlockingIOError):
        child.recv(10, socket.MSG_DONTWAIT)
    invoke(lambda_, name)
    assert child.recv(10) == b"woken"


# Its child opens a pipe that nobody writes before it becomes another program; until then the parent cannot run either.
SPAWNS = """
import os
os.mkfifo("/tmp/pipe")
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 9, "/tmp/pipe", os.O_RDONLY, 0)])
"""


def test_a_process_that_waits_in_the_kernel_for_a_stopped_one_stands_still_too(freezing, name):
    lambda_ = freezing.client("lambda")
    create(lambda_, name, "arn:aws:iam::123456789012:role/freezing", Code={"ZipFile": function_zip(**{"spawns.py": SPAWNS})})
    script = "python3 spawns.py > /dev/null 2>&1 & until grep -q ') D ' /proc/$!/stat; do :; done"
    assert invoke(lambda_, name, {"run": script})["Payload"]["run"] == [0, "", ""]
    assert states(pids_of(freezing.local("GET", "environments"), name)) == {"T", "D"}
    assert invoke(lambda_, name, {"run": ": > /tmp/pipe"})["Payload"]["run"] == [0, "", ""]


def test_streaming_functions_are_frozen_too(freezing, name):
    lambda_ = freezing.client("lambda")
    create(lambda_, name, "arn:aws:iam::123456789012:role/freezing")
    open_to_all(lambda_, name)
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    status, _, body = call(url, body={"stream": {"prelude": {"statusCode": 200}, "pieces": ["a", "b"]}})
    assert (status, body) == (200, b"ab")
    pids = pids_of(freezing.local("GET", "environments"), name)
    assert len(pids) == 1
    assert states(pids) == {"T"}
    assert ask(url)["handled"] == 2


def test_a_front_freezes_its_function():
    front = Front("--freeze")
    for handled in range(1, 4):
        assert front.post({})["handled"] == handled
        (environment,) = json.loads(front.call("GET", "/_local/environments")[2])["environments"]
        assert states(environment["pids"]) == {"T"}
    assert front.stop() == 0
    assert all_gone(environment["pids"])


def test_without_the_option_functions_go_on():
    front = Front()
    front.post({})
    (environment,) = json.loads(front.call("GET", "/_local/environments")[2])["environments"]
    assert "T" not in states(environment["pids"])
    assert front.stop() == 0


def test_frozen_functions_end_with_local_aws():
    aws = LocalAws("--freeze", "--pending-ms", "0")
    lambda_ = aws.client("lambda")
    create(lambda_, "f", make_role(aws, "f"))
    invoke(lambda_, "f", {"child": True})
    pids = aws.descendants()
    aws.process.kill()
    aws.process.wait(timeout=20)
    assert all_gone(pids)
