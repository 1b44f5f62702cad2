#!/usr/bin/env python3
"""A Runtime API client that does what its events say; of requests to a function URL, what their bodies say."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def post(path, body, **headers):
    return urllib.request.urlopen(urllib.request.Request(f"{BASE}/{path}", data=body, headers=headers)).read()


def asked(event):
    """What is to be done."""
    if not isinstance(event, dict) or "http" not in event.get("requestContext", {}):
        return event if isinstance(event, dict) else {}
    body = event.get("body") or "{}"
    try:
        return json.loads(base64.b64decode(body) if event["isBase64Encoded"] else body)
    except ValueError:
        return {"echo": True}


def stream(request_id, told):
    """Answers piece by piece. After each piece but the last it waits for a byte from `gate`, if there is one."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)))
    head = [
        f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1",
        f"Host: {address}",
        "Lambda-Runtime-Function-Response-Mode: streaming",
        "Transfer-Encoding: chunked",
    ]
    pieces = [piece.encode() * told.get("times", 1) for piece in told.get("pieces", [])]
    if "prelude" in told:
        head.append("Content-Type: application/vnd.awslambda.http-integration-response")
        pieces.insert(0, json.dumps(told["prelude"]).encode() + bytes(8))
    elif "content_type" in told:
        head.append(f"Content-Type: {told['content_type']}")
    trailers = "".join(f"{name}: {value}\r\n" for name, value in told.get("trailers", {}).items())
    if trailers:
        head.append("Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
    gate = None
    if told.get("gate"):
        host, port = told["gate"].rsplit(":", 1)
        gate = socket.create_connection((host, int(port)))
    for number, piece in enumerate(pieces):
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        if gate and number < len(pieces) - 1:
            gate.recv(1)
    if told.get("then") == "exit":
        os._exit(3)
    if told.get("then") == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if told.get("then") == "hang":
        signal.pause()
    connection.sendall(f"0\r\n{trailers}\r\n".encode())
    answer = connection.recv(65536).decode().split("\r\n")[0]
    print("stream answered", answer, flush=True)
    connection.close()


print("initialising", os.getpid(), flush=True)
time.sleep(float(os.environ.get("INIT_SECONDS", "0")))
if os.environ.get("INIT_EXIT"):
    sys.exit(int(os.environ["INIT_EXIT"]))
if os.environ.get("INIT_ERROR"):
    post("init/error", json.dumps({"errorMessage": "no luck", "errorType": "Init.Luck"}).encode())
    sys.exit(1)

handled = 0
while True:
    with urllib.request.urlopen(f"{BASE}/invocation/next") as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        whole_event = json.loads(answer.read())
    event = asked(whole_event)
    request_id = headers["lambda-runtime-aws-request-id"]
    handled += 1
    if event.get("print"):
        print(event["print"], flush=True)
    if event.get("print_error"):
        print(event["print_error"], file=sys.stderr, flush=True)
    if event.get("child"):
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(event.get("sleep", 0))
    if "exit" in event:
        os._exit(event["exit"])
    if event.get("error"):
        body = json.dumps({"errorMessage": event["error"], "errorType": "Test.Error"}).encode()
        post(f"invocation/{request_id}/error", body, **{"Lambda-Runtime-Function-Error-Type": "Test.Error"})
        continue
    if "stream" in event:
        stream(request_id, event["stream"])
        continue
    result = {"pid": os.getpid(), "handled": handled}
    if event.get("echo"):
        result["event"] = whole_event
    for wanted in event.get("tell", []):
        if wanted == "environment":
            result[wanted] = dict(os.environ)
        elif wanted == "headers":
            result[wanted] = headers
        elif wanted == "python":
            result[wanted] = "%d.%d" % sys.version_info[:2]
        elif wanted == "seconds_left":
            result[wanted] = int(headers["lambda-runtime-deadline-ms"]) / 1000 - time.time()
        elif wanted == "uid":
            result[wanted] = os.getuid()
        elif wanted == "cwd":
            result[wanted] = os.getcwd()
    if "run" in event:
        done = subprocess.run(event["run"], shell=True, capture_output=True, text=True)
        result["run"] = [done.returncode, done.stdout, done.stderr]
    if "read" in event:
        try:
            with open(event["read"]) as file:
                result["read"] = file.read()
        except OSError as error:
            result["read"] = type(error).__name__
    if "write" in event:
        try:
            with open(event["write"], "w") as file:
                file.write("x")
            result["write"] = "ok"
        except OSError as error:
            result["write"] = type(error).__name__
    if "bytes" in event:
        result["bytes"] = "x" * event["bytes"]
    payload = event.get("payload", json.dumps(result))
    try:
        post(f"invocation/{request_id}/response", payload.encode())
    except urllib.error.HTTPError as error:
        print("response refused", error.code, flush=True)
