"""Functions really run, and Invoke answers as Lambda does."""

import base64
import concurrent.futures
import json
import re
import time

import pytest
from botocore.exceptions import ClientError
from conftest import active, create, function_zip, invoke, updated, zip_of

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def log_of(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def context(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def poll(read, wanted, seconds=15):
    """Reads until `wanted` is content: for what AWS, too, does some time later."""
    limit = time.monotonic() + seconds
    while True:
        value = read()
        if wanted(value):
            return value
        assert time.monotonic() < limit, f"still {value}"
        time.sleep(0.02)


def test_fifty_calls_are_handled_by_one_process(lambda_, name, role):
    create(lambda_, name, role)
    answers = [invoke(lambda_, name)["Payload"] for _ in range(50)]
    assert len({answer["pid"] for answer in answers}) == 1
    assert [answer["handled"] for answer in answers] == list(range(1, 51))


def test_calls_at_the_same_time_get_environments_of_their_own(lambda_, name, role):
    create(lambda_, name, role)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        calls = [threads.submit(invoke, lambda_, name, {"sleep": 2}) for _ in range(3)]
        pids = {call.result()["Payload"]["pid"] for call in calls}
    assert len(pids) == 3


def test_reserved_concurrency_bounds_the_calls_at_the_same_time(lambda_, name, role):
    create(lambda_, name, role)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    invoke(lambda_, name)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        calls = [threads.submit(invoke, lambda_, name, {"sleep": 3}) for _ in range(2)]
        outcomes = sorted(type(call.exception()).__name__ for call in calls)
    assert outcomes == ["NoneType", "TooManyRequestsException"]


def test_a_change_of_code_or_configuration_starts_anew(lambda_, name, role):
    create(lambda_, name, role)
    first = invoke(lambda_, name, {"read": "marker"})["Payload"]
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"))
    updated(lambda_, name)
    second = invoke(lambda_, name, {"read": "marker"})["Payload"]
    lambda_.update_function_configuration(FunctionName=name, MemorySize=256)
    updated(lambda_, name)
    third = invoke(lambda_, name, {"read": "marker", "tell": ["environment"]})["Payload"]
    assert [first["read"], second["read"], third["read"]] == ["one", "two", "two"]
    assert len({first["pid"], second["pid"], third["pid"]}) == 3
    assert third["environment"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"


def test_the_environments_of_a_change_and_of_a_deletion_end(aws, lambda_, name, role):
    def warm():
        return [e["version"] for e in aws.local("GET", "environments")["environments"] if e["function"] == name]

    create(lambda_, name, role, Publish=True)
    invoke(lambda_, name)
    invoke(lambda_, name, Qualifier="1")
    assert sorted(warm()) == ["$LATEST", "1"]
    lambda_.update_function_configuration(FunctionName=name, Timeout=9)
    assert warm() == ["1"]
    lambda_.delete_function(FunctionName=name)
    assert warm() == []


def test_an_alias_runs_its_version_and_latest_runs_the_newest(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    updated(lambda_, name)
    active(lambda_, name, "2")

    def ran(qualifier=None, function=name):
        arguments = {"Qualifier": qualifier} if qualifier else {}
        answer = invoke(lambda_, function, {"read": "marker", "tell": ["headers", "environment"]}, **arguments)
        payload = answer["Payload"]
        arn = payload["headers"]["lambda-runtime-invoked-function-arn"]
        version = payload["environment"]["AWS_LAMBDA_FUNCTION_VERSION"]
        return payload["read"], version, answer["ExecutedVersion"], arn.split(f"function:{name}")[1]

    assert ran() == ("two", "$LATEST", "$LATEST", "")
    assert ran("$LATEST") == ("two", "$LATEST", "$LATEST", ":$LATEST")
    assert ran("1") == ("one", "1", "1", ":1")
    assert ran("live") == ("one", "1", "1", ":live")
    assert ran(function=f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live") == ("one", "1", "1", ":live")
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert ran("live") == ("two", "2", "2", ":live")
    with pytest.raises(lambda_.exceptions.ResourceNotFoundException):
        ran("other")


def test_the_environment_is_that_of_lambda(aws, lambda_, name, role):
    create(lambda_, name, role, MemorySize=512, variables={"MINE": "yes", "LANG": "mine"})
    told = invoke(lambda_, name, {"tell": ["environment", "cwd", "python"]})["Payload"]
    assert told["python"] == "3.13"
    environment = told["environment"]
    namespace = not aws.ready["isolation"].startswith("plain")
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "_HANDLER": "mcplambda.handler",
        "TZ": ":UTC",
        "PYTHONPATH": "/var/runtime",
        "LANG": "mine",
        "MINE": "yes",
        "WRAPPED_BOOTSTRAP": "/var/runtime/bootstrap.py",
        "AWS_ENDPOINT_URL": aws.endpoint,
        **({"LAMBDA_TASK_ROOT": "/var/task", "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"} if namespace else {}),
    }
    assert {variable: environment.get(variable) for variable in expected} == expected
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", environment["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert told["cwd"] == environment["LAMBDA_TASK_ROOT"]
    # Nothing of the machine's own environment comes through.
    assert "HOME" not in environment
    # The credentials are the role's.
    own = aws.client("sts", key=environment["AWS_ACCESS_KEY_ID"], token=environment["AWS_SESSION_TOKEN"])
    assert own.get_caller_identity()["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{name}/{name}"


def test_the_interpreter_is_first_on_the_path_under_all_its_names(lambda_, name, role):
    create(lambda_, name, role)
    script = "for p in python3.13 python3 python; do $p -c 'import sys; print(sys.version_info[:2])'; done"
    assert invoke(lambda_, name, {"run": script})["Payload"]["run"] == [0, "(3, 13)\n" * 3, ""]


def test_a_bootstrap_of_its_own_runs_without_the_wrapper(lambda_, name, role):
    bootstrap = r"""#!/bin/bash
        call() {
            exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
            printf '%s /2018-06-01/runtime/invocation/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %s\r\n\r\n%s' \
                "$1" "$2" "${#3}" "$3" >&3
            cat <&3
            exec 3>&-
        }
        while :; do
            answer=$(call GET next "")
            id=$(grep -i "^lambda-runtime-aws-request-id:" <<<"$answer" | tr -d "\r" | cut -d" " -f2)
            event=${answer##*$'\r\n'}
            call POST "$id/response" "{\"pid\": $$, \"event\": $event, \"execution_env\": \"$AWS_EXECUTION_ENV\"}" >/dev/null
        done
    """
    code = zip_of({"bootstrap": (bootstrap, 0o755)})
    create(lambda_, name, role, Runtime="provided.al2023", Code={"ZipFile": code})
    first, second = (invoke(lambda_, name, {"a": [1]})["Payload"] for _ in range(2))
    assert first == second == {"pid": first["pid"], "event": {"a": [1]}, "execution_env": ""}


def test_no_payload_is_an_empty_object(lambda_, name, role):
    create(lambda_, name, role)
    assert json.loads(lambda_.invoke(FunctionName=name)["Payload"].read())["handled"] == 1


# --- errors


def test_an_error_that_the_runtime_reports_is_a_function_error(lambda_, name, role):
    create(lambda_, name, role)
    answer = invoke(lambda_, name, {"error": "it broke"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"] == {"errorMessage": "it broke", "errorType": "Test.Error"}
    good = invoke(lambda_, name)
    assert "FunctionError" not in good
    assert good["Payload"]["handled"] == 2, "the same environment goes on"


def test_a_runtime_that_exits_is_a_function_error_and_starts_anew(lambda_, name, role):
    create(lambda_, name, role)
    first = invoke(lambda_, name)["Payload"]["pid"]
    answer = invoke(lambda_, name, {"exit": 3}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert answer["Payload"]["errorMessage"] == f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"
    assert "Status: error\tError Type: Runtime.ExitError" in log_of(answer)
    again = invoke(lambda_, name)["Payload"]
    assert (again["handled"], again["pid"] != first) == (1, True)


def test_a_timeout_is_a_function_error_and_ends_all_processes(aws, lambda_, name, role):
    create(lambda_, name, role, Timeout=1)
    before = aws.descendants()
    warm = invoke(lambda_, name)["Payload"]["pid"]
    answer = invoke(lambda_, name, {"child": True, "sleep": 30}, LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"] == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 1.00 seconds",
    }
    report = log_of(answer).splitlines()[-1]
    assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t")
    assert report.rstrip("\t").endswith("Status: timeout")
    assert aws.descendants() <= before
    again = invoke(lambda_, name)["Payload"]
    assert (again["handled"], again["pid"] != warm) == (1, True)


def test_initialisation_does_not_count_against_the_timeout(lambda_, name, role):
    create(lambda_, name, role, Timeout=2, variables={"INIT_SECONDS": "1.5"})
    answer = invoke(lambda_, name, {"sleep": 1, "tell": ["seconds_left"]}, LogType="Tail")
    assert "FunctionError" not in answer
    assert 0 < answer["Payload"]["seconds_left"] <= 1
    assert float(re.search(r"Init Duration: ([\d.]+) ms", log_of(answer))[1]) >= 1500
    assert 1000 <= float(re.search(r"\tDuration: ([\d.]+) ms", log_of(answer))[1]) < 2000


def test_initialisation_that_takes_over_ten_seconds_is_done_again_under_the_timeout(lambda_, name, role):
    create(lambda_, name, role, Timeout=2, variables={"INIT_SECONDS": "11"})
    started = time.monotonic()
    answer = invoke(lambda_, name, LogType="Tail")
    assert 12 <= time.monotonic() - started < 20
    assert answer["Payload"]["errorType"] == "Sandbox.Timedout"
    log = log_of(answer)
    assert re.search(r"INIT_REPORT Init Duration: 10\d{3}\.\d\d ms\tPhase: init\tStatus: timeout\n", log)
    assert log.count("initialising") == 2
    assert "\tInit Duration" not in log.splitlines()[-1]


def test_a_runtime_that_exits_at_once_is_started_twice_and_then_a_function_error(lambda_, name, role):
    create(lambda_, name, role, variables={"INIT_EXIT": "7"})
    answer = invoke(lambda_, name, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"
    assert answer["Payload"]["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    log = log_of(answer)
    assert log.count("initialising") == 2
    assert re.search(r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n", log)


def test_an_error_posted_during_initialisation_is_the_function_error(lambda_, name, role):
    create(lambda_, name, role, variables={"INIT_ERROR": "1"})
    answer = invoke(lambda_, name)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"] == {"errorMessage": "no luck", "errorType": "Init.Luck"}


def test_an_exec_wrapper_that_is_not_there_is_told_in_the_log(lambda_, name, role):
    create(lambda_, name, role, variables={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/none"})
    answer = invoke(lambda_, name, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorMessage"].endswith("Error: Runtime exited with error: exit status 127")
    assert "none: No such file or directory" in log_of(answer)


def test_a_managed_runtime_without_an_exec_wrapper_is_refused_with_the_reason(lambda_, name, role):
    create(lambda_, name, role, Environment={"Variables": {}})
    with pytest.raises(ClientError) as refused:
        invoke(lambda_, name)
    assert "local-aws has no bootstrap of the managed runtime python3.13: set AWS_LAMBDA_EXEC_WRAPPER" in str(refused.value)


def test_a_runtime_without_an_interpreter_is_refused_with_the_reason(lambda_, name, role):
    create(lambda_, name, role, Runtime="java21")
    with pytest.raises(ClientError) as refused:
        invoke(lambda_, name)
    assert "local-aws has no interpreter for java21" in str(refused.value)


def test_a_response_of_over_six_megabytes_is_a_function_error(lambda_, name, role):
    create(lambda_, name, role)
    assert len(invoke(lambda_, name, {"bytes": 5_000_000})["Payload"]["bytes"]) == 5_000_000
    answer = invoke(lambda_, name, {"bytes": 7_000_000})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"
    assert invoke(lambda_, name)["Payload"]["handled"] >= 1


def test_a_payload_that_lambda_does_not_take_never_reaches_the_function(lambda_, name, role):
    create(lambda_, name, role)
    with pytest.raises(lambda_.exceptions.InvalidRequestContentException):
        lambda_.invoke(FunctionName=name, Payload="no json")
    with pytest.raises(lambda_.exceptions.RequestTooLargeException):
        lambda_.invoke(FunctionName=name, Payload=json.dumps("x" * 6 * 1024 * 1024))
    assert invoke(lambda_, name)["Payload"]["handled"] == 1


# --- client context


def test_the_client_context_reaches_the_function_as_it_was(lambda_, name, role):
    create(lambda_, name, role)
    told = {
        "custom": {"bedrockAgentCoreToolName": "time___get_current_time", "bedrockAgentCorePropagatedHeaders": {"x": "1"}},
        "non ascii": "é",
    }
    answer = invoke(lambda_, name, {"tell": ["headers"]}, ClientContext=context(told))
    assert json.loads(answer["Payload"]["headers"]["lambda-runtime-client-context"]) == told
    bare = invoke(lambda_, name, {"tell": ["headers"]})
    assert "lambda-runtime-client-context" not in bare["Payload"]["headers"]
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", bare["Payload"]["headers"]["lambda-runtime-trace-id"]
    )


@pytest.mark.parametrize("broken", ["{}", "####", context("x")[:-2], context({"a": "x" * 3583})])
def test_a_client_context_that_lambda_does_not_take_is_refused(lambda_, name, role, broken):
    create(lambda_, name, role)
    with pytest.raises(lambda_.exceptions.InvalidRequestContentException):
        invoke(lambda_, name, ClientContext=broken)


# --- logs


def test_the_log_tail_has_the_functions_output_between_the_platforms_lines(lambda_, name, role):
    create(lambda_, name, role, MemorySize=192)
    event = {"print": "to stdout", "print_error": "to stderr"}
    cold, warm = (invoke(lambda_, name, event, LogType="Tail") for _ in range(2))
    report = (
        r"REPORT RequestId: (?P<report>{uuid})\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 192 MB\t"
        r"Max Memory Used: (?P<memory>\d+) MB{init}\t\n"
    )
    lines = (
        r"START RequestId: (?P<start>{uuid}) Version: \$LATEST\nto stdout\nto stderr\nEND RequestId: (?P<end>{uuid})\n" + report
    )
    init = r"\tInit Duration: [\d.]+ ms"
    for answer, expected in [
        (cold, r"initialising \d+\n" + lines.replace("{init}", init)),
        (warm, lines.replace("{init}", "")),
    ]:
        log = re.fullmatch(expected.replace("{uuid}", UUID), log_of(answer))
        assert log, log_of(answer)
        assert {log["start"], log["end"], log["report"]} == {answer["ResponseMetadata"]["RequestId"]}
        # A Python process holds something, and far from all.
        assert 4 <= int(log["memory"]) <= 192
    assert "LogResult" not in invoke(lambda_, name)


def test_the_log_tail_holds_the_last_four_kilobytes(lambda_, name, role):
    create(lambda_, name, role)
    answer = invoke(lambda_, name, {"print": "x" * 10_000}, LogType="Tail")
    log = base64.b64decode(answer["LogResult"])
    assert len(log) == 4096
    assert log.startswith(b"xxxx")
    assert b"REPORT RequestId" in log


def test_output_goes_to_the_functions_log_group_when_there_is_one(aws, lambda_, name, role):
    create(lambda_, name, role)
    logs = aws.client("logs")
    invoke(lambda_, name, {"print": "before"})
    assert logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"] == []
    logs.create_log_group(logGroupName=f"/aws/lambda/{name}")
    stream = invoke(lambda_, name, {"print": "after", "tell": ["environment"]})["Payload"]["environment"][
        "AWS_LAMBDA_LOG_STREAM_NAME"
    ]

    def messages():
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [(event["logStreamName"], event["message"].split()[0]) for event in events]

    assert poll(messages, lambda told: len(told) == 4) == [
        (stream, "START"), (stream, "after"), (stream, "END"), (stream, "REPORT"),
    ]


# --- other ways to invoke


def test_a_dry_run_runs_nothing(aws, lambda_, name, role):
    create(lambda_, name, role)
    assert lambda_.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert invoke(lambda_, name)["Payload"]["handled"] == 1


def test_an_event_is_accepted_at_once_and_handled_later(aws, lambda_, name, role):
    aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
    create(lambda_, name, role)
    answer = lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"print": "later"}))
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")

    def messages():
        events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]

    poll(messages, lambda told: "later\n" in told)


def test_an_event_that_fails_three_times_lands_in_the_dead_letter_queue(aws, lambda_, name, role):
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    target = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": target}]}
    aws.client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    create(lambda_, name, role, DeadLetterConfig={"TargetArn": target})
    event = json.dumps({"error": "it broke"})
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=event)
    messages = poll(
        lambda: sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"]).get("Messages", []),
        lambda told: told,
    )
    (message,) = messages
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert message["Body"] == event
    assert attributes == {"RequestID": attributes["RequestID"], "ErrorCode": "200", "ErrorMessage": "it broke"}
    assert invoke(lambda_, name)["Payload"]["handled"] == 4, "it was tried three times"
