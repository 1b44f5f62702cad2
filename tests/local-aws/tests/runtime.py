"""A Runtime API client that does what its events say."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def post(path, body, **headers):
    return urllib.request.urlopen(urllib.request.Request(f"{BASE}/{path}", data=body, headers=headers)).read()


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
        event = json.loads(answer.read())
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
    result = {"pid": os.getpid(), "handled": handled}
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
    try:
        post(f"invocation/{request_id}/response", json.dumps(result).encode())
    except urllib.error.HTTPError as error:
        print("response refused", error.code, flush=True)
