"""`local-aws front`: a function URL in front of one program, with nothing else installed."""

import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from conftest import HERE, PROGRAM
from test_process import all_gone

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Front:
    """A front and the ways to talk to it."""

    def __init__(self, *options, bridge=HERE / "runtime.py", server="{}"):
        # No PATH to a venv, no AWS variables: it needs none.
        self.process = subprocess.Popen(
            [PROGRAM, "front", "--bridge", str(bridge), "--server", server, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"]},
        )
        line = self.process.stdout.readline()
        assert line, f"the front ended: {self.process.stderr.read()}"
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.address = self.url.removeprefix("http://").rstrip("/")

    def open(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        return connection

    def call(self, method, path, body=None, headers=None):
        """Status, headers, body."""
        body = json.dumps(body) if isinstance(body, dict) else body
        answer = self.open(method, path, body, headers).getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def post(self, body):
        """Has the function do what `body` says, and reads the JSON that it answers."""
        status, _, answer = self.call("POST", "/", body)
        assert status == 200, answer
        return json.loads(answer)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=20)
        return code


@pytest.fixture
def front(request):
    running = Front(*getattr(request, "param", ()))
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


class Gate:
    """Where a streaming function waits after each piece until it may go on."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connection = None

    def open(self):
        if self.connection is None:
            self.connection, _ = self.listener.accept()
        self.connection.sendall(b".")


streaming = pytest.mark.parametrize("front", [("--stream",)], indirect=True)


def test_a_request_on_any_path_becomes_a_function_url_event(front):
    status, headers, body = front.call(
        "POST", "/mcp/x%20y?a=1&a=2", {"echo": True}, {"Cookie": "k=v", "X-Mine": "yes", "User-Agent": "test"}
    )
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(UUID, headers["x-amzn-requestid"])
    event = json.loads(body)["event"]
    context = event.pop("requestContext")
    assert re.fullmatch(r"[0-9a-f]{32}\.lambda-url\.us-east-1\.on\.aws", context["domainName"])
    assert re.fullmatch(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])
    assert {**context, "time": "", "timeEpoch": type(context["timeEpoch"])} == {
        "accountId": "anonymous", "apiId": context["apiId"], "domainName": f"{context['apiId']}.lambda-url.us-east-1.on.aws",
        "domainPrefix": context["apiId"],
        "http": {"method": "POST", "path": "/mcp/x%20y", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
        "requestId": headers["x-amzn-requestid"], "routeKey": "$default", "stage": "$default", "time": "", "timeEpoch": int,
    }
    sent = event.pop("headers")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", sent.pop("x-amzn-trace-id"))
    assert sent == {
        "accept-encoding": "identity", "content-length": "14", "content-type": "application/json", "cookie": "k=v",
        "host": context["domainName"], "user-agent": "test", "x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256",
        "x-amzn-tls-version": "TLSv1.3", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "443",
        "x-forwarded-proto": "https", "x-mine": "yes",
    }
    assert event == {
        "version": "2.0", "routeKey": "$default", "rawPath": "/mcp/x%20y", "rawQueryString": "a=1&a=2", "cookies": ["k=v"],
        "queryStringParameters": {"a": "1,2"}, "body": '{"echo": true}', "isBase64Encoded": False,
    }


def test_the_function_is_given_the_server_and_what_lambda_tells(tmp_path):
    front = Front("--env", "MINE=a=b", "--env", "AWS_ACCESS_KEY_ID=own", "--timeout", "7", server='{"argv":["x"]}')
    told = front.post({"tell": ["environment", "headers", "seconds_left", "cwd"]})
    environment, headers = told["environment"], told["headers"]
    assert environment["MCPLAMBDA_SERVER"] == '{"argv":["x"]}'
    assert (environment["MINE"], environment["AWS_ACCESS_KEY_ID"]) == ("a=b", "own")
    assert (environment["AWS_REGION"], environment["AWS_LAMBDA_FUNCTION_NAME"]) == ("us-east-1", "front")
    assert "AWS_ENDPOINT_URL" not in environment
    assert told["cwd"] == environment["LAMBDA_TASK_ROOT"] == os.getcwd()
    assert 5 < told["seconds_left"] <= 7
    assert re.fullmatch(UUID, headers["lambda-runtime-aws-request-id"])
    assert headers["lambda-runtime-invoked-function-arn"] == "arn:aws:lambda:us-east-1:123456789012:function:front"
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", headers["lambda-runtime-trace-id"]
    )
    assert "lambda-runtime-client-context" not in headers
    assert front.stop() == 0


def test_the_function_writes_to_the_fronts_standard_error(front):
    front.post({"print": "to stdout", "print_error": "to stderr"})
    assert front.stop() == 0
    assert "to stdout\nto stderr\n" in front.process.stderr.read()


def test_requests_one_after_the_other_have_one_environment(front):
    answers = [front.post({}) for _ in range(50)]
    assert len({answer["pid"] for answer in answers}) == 1
    assert [answer["handled"] for answer in answers] == list(range(1, 51))


def test_requests_that_overlap_have_environments_of_their_own(front):
    gates = [Gate() for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        calls = [
            threads.submit(front.call, "POST", "/", {"stream": {"pieces": ["a", "b"], "gate": gate.address}}) for gate in gates
        ]
        # Each gate is reached only when its function is in the middle of its answer.
        for gate in gates:
            gate.connection, _ = gate.listener.accept()
        for gate in gates:
            gate.open()
        for call in calls:
            call.result()
    _, _, body = front.call("GET", "/_local/environments")
    assert len(json.loads(body)["environments"]) == 3


def test_agentcores_calls_come_with_its_client_context(front):
    status, headers, body = front.call("POST", "/_local/agentcore?tool=time___now", {"tell": ["headers"]})
    assert (status, "x-amz-function-error" in headers) == (200, False)
    custom = json.loads(json.loads(body)["headers"]["lambda-runtime-client-context"])["custom"]
    assert custom["bedrockAgentCoreToolName"] == "time___now"
    assert custom["bedrockAgentCoreTargetId"] == "time"
    assert set(custom) == {
        "bedrockAgentCoreToolName", "bedrockAgentCoreMessageVersion", "bedrockAgentCoreAwsRequestId",
        "bedrockAgentCoreMcpMessageId", "bedrockAgentCoreGatewayId", "bedrockAgentCoreTargetId",
    }
    status, _, body = front.call("POST", "/_local/agentcore", {})
    assert (status, json.loads(body)) == (400, {"error": "?tool=TARGET___TOOL is missing"})


def test_raw_events_pass_as_they_are(front):
    status, headers, body = front.call("POST", "/_local/raw", {"echo": True})
    answer = json.loads(body)
    assert (status, answer["event"]) == (200, {"echo": True})
    status, headers, body = front.call("POST", "/_local/raw", {"error": "it broke"})
    assert (status, headers["x-amz-function-error"]) == (200, "Unhandled")
    assert json.loads(body) == {"errorMessage": "it broke", "errorType": "Test.Error"}
    assert json.loads(front.call("POST", "/_local/raw", {})[2])["pid"] == answer["pid"]


def test_an_unknown_local_page_is_no_event(front):
    status, _, body = front.call("GET", "/_local/nothing")
    assert (status, json.loads(body)) == (404, {"error": "there is no GET /_local/nothing"})


def test_a_request_in_another_machines_name_is_forbidden(front):
    for host in ("evil.example.com", "evil.example.com:80"):
        status, headers, body = front.call("POST", "/", {}, {"Host": host})
        assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        assert json.loads(body)["Message"].startswith("Forbidden.")
    assert front.call("POST", "/", {}, {"Host": f"localhost:{front.address.split(':')[1]}"})[0] == 200


# --- answers


def test_a_buffered_answer_says_status_headers_cookies_and_body(front):
    payload = {
        "statusCode": 418, "headers": {"Content-Type": "text/html", "X-A": "b"}, "cookies": ["a=1", "b=2"],
        "body": "aGk=", "isBase64Encoded": True,
    }
    answer = front.open("POST", "/", json.dumps({"payload": json.dumps(payload)})).getresponse()
    assert (answer.status, answer.read()) == (418, b"hi")
    assert (answer.headers["content-type"], answer.headers["x-a"]) == ("text/html", "b")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "asked", [{"payload": "no json"}, {"payload": '{"statusCode":"x"}'}, {"error": "it broke"}, {"exit": 3}, {"bytes": 6_300_000}]
)
def test_what_is_no_answer_is_an_internal_server_error(front, asked):
    status, headers, body = front.call("POST", "/", asked)
    assert (status, headers["content-type"], body) == (502, "application/json", b"Internal Server Error")
    assert front.post({})["handled"] >= 1


def test_a_function_that_takes_too_long_is_ended(tmp_path):
    front = Front("--timeout", "1")
    pid = front.post({})["pid"]
    assert front.call("POST", "/", {"sleep": 30})[0] == 502
    assert all_gone([pid])
    _, headers, body = front.call("POST", "/_local/raw", {"sleep": 30})
    assert headers["x-amz-function-error"] == "Unhandled"
    error = json.loads(body)
    assert re.fullmatch(rf"RequestId: {UUID} Error: Task timed out after 1.00 seconds", error["errorMessage"])
    assert error["errorType"] == "Sandbox.Timedout"
    assert front.stop() == 0


@pytest.mark.parametrize(
    "asked, how",
    [({"exit": 7}, "Runtime exited with error: exit status 7"), ({"exit": 0}, "Runtime exited without providing a reason"),
     ({"run": "kill -9 $PPID"}, "Runtime exited with error: signal: killed")],
)
def test_a_runtime_that_ends_is_told_as_lambda_tells_it(front, asked, how):
    _, headers, body = front.call("POST", "/_local/raw", asked)
    error = json.loads(body)
    assert (headers["x-amz-function-error"], error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert re.fullmatch(rf"RequestId: {UUID} Error: {how}", error["errorMessage"])


def test_a_runtime_that_cannot_initialise_is_tried_twice_and_then_told():
    front = Front("--env", "INIT_ERROR=yes")
    _, headers, body = front.call("POST", "/_local/raw", {})
    assert (headers["x-amz-function-error"], json.loads(body)) == (
        "Unhandled", {"errorMessage": "no luck", "errorType": "Init.Luck"},
    )
    assert front.stop() == 0
    assert front.process.stderr.read().count("initialising") == 2


# --- streams


@streaming
def test_a_streamed_answer_comes_piece_by_piece(front):
    gate = Gate()
    prelude = {"statusCode": 201, "headers": {"Content-Type": "text/event-stream", "X-A": "b"}, "cookies": ["a=1", "b=2"]}
    told = {"stream": {"prelude": prelude, "pieces": ["one", "two", "three"], "gate": gate.address}}
    connection = front.open("POST", "/", json.dumps(told))
    gate.open()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"], answer.headers["x-a"]) == (201, "text/event-stream", "b")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["transfer-encoding"] == "chunked"
    # The next piece is written only when this one was read.
    assert answer.read1(100) == b"one"
    gate.open()
    assert answer.read1(100) == b"two"
    gate.open()
    assert answer.read() == b"three"
    assert front.post({"payload": "{}"}) == {}


@streaming
def test_a_stream_without_a_prelude_is_the_body(front):
    status, headers, body = front.call("POST", "/", {"stream": {"pieces": ["a", "b"], "content_type": "text/plain"}})
    assert (status, headers["content-type"], body) == (200, "text/plain", b"ab")
    status, headers, body = front.call("POST", "/", {"stream": {"pieces": ["a"]}})
    assert (status, headers["content-type"], body) == (200, "application/octet-stream", b"a")


@streaming
def test_a_prelude_alone_is_an_answer_without_a_body(front):
    status, headers, body = front.call("POST", "/", {"stream": {"prelude": {"statusCode": 202}}})
    assert (status, body) == (202, b"")


@streaming
@pytest.mark.parametrize("then", ["exit", "kill"])
def test_a_stream_that_breaks_off_is_seen_to_be_incomplete(front, then):
    gate = Gate()
    told = {"prelude": {"statusCode": 200}, "pieces": ["one", "two"], "then": then, "gate": gate.address}
    connection = front.open("POST", "/", json.dumps({"stream": told}))
    gate.open()
    answer = connection.getresponse()
    assert answer.read1(100) == b"one"
    gate.open()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    assert front.post({})["handled"] == 1


@streaming
def test_a_stream_that_ends_in_an_error_is_seen_to_be_incomplete(front):
    trailers = {"Lambda-Runtime-Function-Error-Type": "Test.Error", "Lambda-Runtime-Function-Error-Body": "e30="}
    gate = Gate()
    told = {"prelude": {"statusCode": 200}, "pieces": ["one", "two"], "trailers": trailers, "gate": gate.address}
    connection = front.open("POST", "/", json.dumps({"stream": told}))
    gate.open()
    answer = connection.getresponse()
    assert answer.read1(100) == b"one"
    gate.open()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    # Its environment is as good as before.
    assert front.post({})["handled"] == 2


def test_a_stream_is_ended_at_the_functions_timeout():
    front = Front("--stream", "--timeout", "1")
    told = {"prelude": {"statusCode": 200}, "pieces": ["one"], "then": "hang"}
    answer = front.open("POST", "/", json.dumps({"stream": told})).getresponse()
    assert answer.read1(100) == b"one"
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    assert front.stop() == 0


@streaming
def test_a_malformed_prelude_is_an_internal_server_error(front):
    for prelude in ([], {"statusCode": "x"}):
        assert front.call("POST", "/", {"stream": {"prelude": prelude, "pieces": ["a"]}})[0] == 502
    assert front.post({})["handled"] == 3


@streaming
def test_a_stream_may_be_longer_than_a_buffered_answer_and_not_than_200_mb(front):
    told = {"prelude": {"statusCode": 200}, "pieces": ["x", "y"], "times": 50_000_000}
    answer = front.open("POST", "/", json.dumps({"stream": told})).getresponse()
    body = answer.read()
    assert len(body) == 100_000_000
    told["pieces"] = ["x", "y", "z", "z", "z"]
    answer = front.open("POST", "/", json.dumps({"stream": told})).getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        while answer.read(1_000_000):
            pass


@streaming
def test_a_caller_that_leaves_does_not_end_the_function(front):
    gate = Gate()
    told = {"stream": {"prelude": {"statusCode": 200}, "pieces": ["one", "two"], "gate": gate.address}}
    connection = front.open("POST", "/", json.dumps(told))
    gate.open()
    assert connection.getresponse().read1(100) == b"one"
    connection.close()
    gate.open()
    # The same process answers, when it has written the rest.
    while True:
        _, _, body = front.call("GET", "/_local/environments")
        if json.loads(body)["environments"]:
            break
    assert front.post({})["handled"] == 2


def test_a_stream_to_a_buffered_url_is_gathered(front):
    payload = {"statusCode": 203, "body": "x"}
    status, _, body = front.call("POST", "/", {"stream": {"pieces": [json.dumps(payload)], "content_type": "application/json"}})
    assert (status, body) == (203, b"x")


# --- the process


def test_it_leaves_nothing_behind(tmp_path, monkeypatch):
    for end in (lambda front: front.process.terminate(), lambda front: front.process.send_signal(signal.SIGINT),
                lambda front: front.process.stdin.close(), lambda front: front.process.kill()):
        front = Front("--env", f"TMPDIR={tmp_path}")
        pid = front.post({"child": True})["pid"]
        _, _, body = front.call("GET", "/_local/environments")
        (environment,) = json.loads(body)["environments"]
        assert pid in environment["pids"]
        assert len(environment["pids"]) == 2
        end(front)
        front.process.wait(timeout=20)
        assert all_gone(environment["pids"])


def test_a_port_can_be_asked_for():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    front = Front("--port", str(port))
    assert front.ready == {"url": f"http://127.0.0.1:{port}/"}
    assert front.stop() == 0


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--server", "{}"], "--bridge is missing"),
        (["--bridge", "b"], "--server is missing"),
        (["--bridge", "b", "--server", "{}", "--env", "x"], "--env x: NAME=VALUE"),
        (["--bridge", "b", "--server", "{}", "--timeout", "901"], "--timeout needs a number of seconds from 1 to 900"),
        (["--brige", "b"], "unknown argument --brige"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused(arguments, complaint):
    done = subprocess.run([PROGRAM, "front", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr.startswith(f"local-aws: {complaint}\n\nusage: local-aws front")


def test_a_missing_bridge_is_named_with_the_way_to_get_it(tmp_path):
    missing = tmp_path / "bridge"
    done = subprocess.run(
        [PROGRAM, "front", "--bridge", str(missing), "--server", "{}"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (1, f"local-aws: there is no bridge at {missing}; bridge/build.sh builds it\n")
