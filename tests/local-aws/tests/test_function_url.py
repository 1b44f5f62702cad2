"""Function URLs: their configuration, who may call them, and what their functions are asked and answer."""

import concurrent.futures
import http.client
import json
import re
import urllib.parse

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from conftest import create, function_zip, updated
from test_front import Gate
from test_invoke import poll

ACCOUNT = "123456789012"
FORBIDDEN = {
    "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
}


def code_of(caught):
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def open_to_all(lambda_, name, **qualifier):
    """The two permissions that everybody needs to call a URL."""
    lambda_.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE",
        **qualifier,
    )
    lambda_.add_permission(
        FunctionName=name, StatementId="function", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True,
        **qualifier,
    )


def public_url(lambda_, name, role, **changes):
    """A function whose URL everybody may call."""
    url = {"AuthType": "NONE", **changes.pop("url", {})}
    create(lambda_, name, role, **changes)
    open_to_all(lambda_, name)
    return lambda_.create_function_url_config(FunctionName=name, **url)["FunctionUrl"]


def send(url, method="POST", path="/", body=None, headers=None):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
    body = json.dumps(body) if isinstance(body, dict) else body
    connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
    return connection


def call(url, *arguments, **options):
    """Status, headers, body."""
    answer = send(url, *arguments, **options).getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def ask(url, body=None):
    status, _, answer = call(url, body=body or {})
    assert status == 200, answer
    return json.loads(answer)


# --- configuration


def test_a_url_is_described_as_it_was_made_and_leads_to_this_machine(lambda_, name, role):
    create(lambda_, name, role)
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "POST"], "MaxAge": 60, "AllowCredentials": True}
    made = lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM", Cors=cors)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", made["FunctionUrl"])
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    expected = {
        "FunctionUrl": made["FunctionUrl"], "FunctionArn": arn, "AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM",
        "Cors": cors, "CreationTime": made["CreationTime"],
    }
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    # It tells more than botocore's description of CreateFunctionUrlConfig has.
    assert {key: made[key] for key in expected} == expected
    read = lambda_.get_function_url_config(FunctionName=name)
    assert {key: read[key] for key in expected} == expected
    assert read["LastModifiedTime"] == read["CreationTime"]
    (listed,) = lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert listed == {**expected, "LastModifiedTime": read["LastModifiedTime"]}


def test_an_update_changes_what_it_names_and_keeps_the_address(lambda_, name, role):
    create(lambda_, name, role)
    made = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert ("InvokeMode" in made, "Cors" in made) == (False, False)
    updates = [
        ({"InvokeMode": "RESPONSE_STREAM"}, {"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"}),
        ({"Cors": {"AllowOrigins": ["*"]}}, {"InvokeMode": "RESPONSE_STREAM", "Cors": {"AllowOrigins": ["*"]}}),
        ({"AuthType": "AWS_IAM", "Cors": {}}, {"AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM", "Cors": None}),
        ({"InvokeMode": "BUFFERED"}, {"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED", "Cors": None}),
    ]
    for change, expected in updates:
        answer = lambda_.update_function_url_config(FunctionName=name, **change)
        read = lambda_.get_function_url_config(FunctionName=name)
        for told in (answer, read):
            assert {key: told.get(key) for key in expected} == expected
            assert told["FunctionUrl"] == made["FunctionUrl"]
    assert read["LastModifiedTime"] >= read["CreationTime"]


def test_each_alias_has_a_url_of_its_own(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    plain = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    live = lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Qualifier="live")
    assert plain["FunctionUrl"] != live["FunctionUrl"]
    assert live["FunctionArn"] == f"{plain['FunctionArn']}:live"
    assert lambda_.get_function_url_config(FunctionName=name)["AuthType"] == "NONE"
    assert lambda_.get_function_url_config(FunctionName=name, Qualifier="live")["AuthType"] == "AWS_IAM"
    assert lambda_.get_function_url_config(FunctionName=f"{name}:live")["AuthType"] == "AWS_IAM"
    listed = lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [url["FunctionArn"] for url in listed] == [plain["FunctionArn"], live["FunctionArn"]]
    lambda_.delete_function_url_config(FunctionName=name, Qualifier="live")
    assert len(lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]) == 1


def test_what_lambda_refuses_is_refused(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    gone = ("ResourceNotFoundException", "The resource you requested does not exist.")
    for operation in ("get_function_url_config", "update_function_url_config", "delete_function_url_config"):
        with pytest.raises(ClientError) as caught:
            getattr(lambda_, operation)(FunctionName=name, Qualifier="live")
        assert code_of(caught) == gone
    for arguments, code in [
        ({"AuthType": "NONE"}, "ResourceConflictException"),
        ({"AuthType": "NONE", "Qualifier": "other"}, "ResourceNotFoundException"),
        ({"AuthType": "NONE", "Qualifier": "1"}, "ValidationException"),
        ({"AuthType": "NONE", "FunctionName": f"{name}-none"}, "ResourceNotFoundException"),
        ({"AuthType": "ANY", "Qualifier": "live"}, "ValidationException"),
        ({"AuthType": "NONE", "Qualifier": "live", "InvokeMode": "STREAM"}, "ValidationException"),
        ({"AuthType": "NONE", "Qualifier": "live", "Cors": {"AllowMethods": ["OPTIONS"]}}, "ValidationException"),
        ({"AuthType": "NONE", "Qualifier": "live", "Cors": {"MaxAge": 86401}}, "ValidationException"),
    ]:
        with pytest.raises(ClientError) as caught:
            lambda_.create_function_url_config(**{"FunctionName": name, **arguments})
        assert code_of(caught)[0] == code, arguments


@pytest.mark.parametrize("what", ["url", "alias", "function"])
def test_a_url_ends_with_itself_its_alias_and_its_function(lambda_, name, role, what):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", Qualifier="live")["FunctionUrl"]
    assert call(url)[0] == 403
    open_connection = send(url)
    assert open_connection.getresponse().read()
    {
        "url": lambda: lambda_.delete_function_url_config(FunctionName=name, Qualifier="live"),
        "alias": lambda: lambda_.delete_alias(FunctionName=name, Name="live"),
        "function": lambda: lambda_.delete_function(FunctionName=name),
    }[what]()
    with pytest.raises(ConnectionRefusedError):
        call(url)
    open_connection.request("GET", "/")
    assert open_connection.getresponse().status == 403
    with pytest.raises(lambda_.exceptions.ResourceNotFoundException):
        lambda_.get_function_url_config(FunctionName=name, Qualifier="live")


# --- permissions


def test_a_statement_is_written_as_lambda_writes_it(lambda_, name, role):
    create(lambda_, name, role)
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"

    def statement(**request):
        added = lambda_.add_permission(FunctionName=name, **request)
        return json.loads(added["Statement"])

    url = statement(StatementId="a", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    via = statement(StatementId="b", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True)
    service = statement(
        StatementId="c", Action="lambda:InvokeFunction", Principal="events.amazonaws.com", SourceArn="arn:aws:events:x",
        SourceAccount="111122223333",
    )
    account = statement(StatementId="d", Action="lambda:*", Principal="111122223333", PrincipalOrgID="o-a1b2c3d4e5")
    common = {"Effect": "Allow", "Resource": arn}
    assert [url, via, service, account] == [
        {"Sid": "a", "Principal": "*", "Action": "lambda:InvokeFunctionUrl", **common,
         "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}},
        {"Sid": "b", "Principal": "*", "Action": "lambda:InvokeFunction", **common,
         "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}},
        {"Sid": "c", "Principal": {"Service": "events.amazonaws.com"}, "Action": "lambda:InvokeFunction", **common,
         "Condition": {"StringEquals": {"AWS:SourceAccount": "111122223333"}, "ArnLike": {"AWS:SourceArn": "arn:aws:events:x"}}},
        {"Sid": "d", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "lambda:*", **common,
         "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}},
    ]
    policy = json.loads(lambda_.get_policy(FunctionName=name)["Policy"])
    assert policy == {"Version": "2012-10-17", "Id": "default", "Statement": [url, via, service, account]}


def test_a_policy_belongs_to_its_qualifier_and_stays_when_an_alias_moves(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")

    def ids(**qualifier):
        try:
            policy = lambda_.get_policy(FunctionName=name, **qualifier)["Policy"]
        except lambda_.exceptions.ResourceNotFoundException:
            return []
        return [(statement["Sid"], statement["Resource"].split(name)[1]) for statement in json.loads(policy)["Statement"]]

    for sid, qualifier in [("f", {}), ("a", {"Qualifier": "live"}), ("v", {"Qualifier": "1"})]:
        lambda_.add_permission(FunctionName=name, StatementId=sid, Action="lambda:InvokeFunction", Principal="*", **qualifier)
    assert (ids(), ids(Qualifier="live"), ids(Qualifier="1")) == ([("f", "")], [("a", ":live")], [("v", ":1")])
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert (ids(Qualifier="live"), ids(Qualifier="2")) == ([("a", ":live")], [])
    lambda_.remove_permission(FunctionName=name, StatementId="a", Qualifier="live")
    assert (ids(), ids(Qualifier="live"), ids(Qualifier="1")) == ([("f", "")], [], [("v", ":1")])
    lambda_.delete_alias(FunctionName=name, Name="live")
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert ids(Qualifier="live") == []


def test_permissions_that_lambda_refuses_are_refused(lambda_, name, role):
    create(lambda_, name, role)
    allowed = {"FunctionName": name, "StatementId": "a", "Action": "lambda:InvokeFunction", "Principal": "*"}
    lambda_.add_permission(**allowed)
    for change, code in [
        ({}, "ResourceConflictException"),
        ({"StatementId": "b", "Qualifier": "$LATEST"}, "InvalidParameterValueException"),
        ({"StatementId": "b", "Qualifier": "7"}, "ResourceNotFoundException"),
        ({"StatementId": "b", "Principal": "nobody"}, "InvalidParameterValueException"),
        ({"StatementId": "b", "FunctionUrlAuthType": "NONE"}, "InvalidParameterValueException"),
        ({"StatementId": "b", "Action": "s3:GetObject"}, "ValidationException"),
        ({"StatementId": "b c"}, "ValidationException"),
        ({"StatementId": "b", "RevisionId": "old"}, "PreconditionFailedException"),
    ]:
        with pytest.raises(ClientError) as caught:
            lambda_.add_permission(**{**allowed, **change})
        assert code_of(caught)[0] == code, change
    for statement, message in [("z", "Statement z is not found in resource policy."), ("a", None)]:
        if message is None:
            revision = lambda_.get_policy(FunctionName=name)["RevisionId"]
            lambda_.remove_permission(FunctionName=name, StatementId=statement, RevisionId=revision)
            message = f"No policy is found for: arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
        with pytest.raises(ClientError) as caught:
            lambda_.remove_permission(FunctionName=name, StatementId=statement)
        assert code_of(caught) == ("ResourceNotFoundException", message)


# --- who may call


def test_a_public_url_needs_both_permissions(lambda_, name, role):
    create(lambda_, name, role)
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]

    def status():
        status, headers, body = call(url, body={})
        if status == 403:
            assert (json.loads(body), headers["x-amzn-errortype"]) == (FORBIDDEN, "AccessDeniedException")
        return status

    assert status() == 403
    open_to_all(lambda_, name)
    assert status() == 200
    for removed in ("url", "function"):
        lambda_.remove_permission(FunctionName=name, StatementId=removed)
        assert status() == 403
        action = {"url": "lambda:InvokeFunctionUrl", "function": "lambda:InvokeFunction"}[removed]
        # Neither somebody nor another way of knowing callers is everybody.
        lambda_.add_permission(FunctionName=name, StatementId="x", Action=action, Principal="111122223333")
        assert status() == 403
        lambda_.remove_permission(FunctionName=name, StatementId="x")
        lambda_.add_permission(FunctionName=name, StatementId=removed, Action=action, Principal="*")
        assert status() == 200
    lambda_.remove_permission(FunctionName=name, StatementId="url")
    lambda_.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="AWS_IAM"
    )
    assert status() == 403


def test_an_aliass_url_needs_the_permissions_of_the_alias(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", Qualifier="live")["FunctionUrl"]
    open_to_all(lambda_, name)
    assert call(url)[0] == 403
    open_to_all(lambda_, name, Qualifier="live")
    assert call(url)[0] == 200


def test_a_url_with_iam_wants_a_signature(lambda_, name, role):
    create(lambda_, name, role)
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    for headers in ({}, {"Authorization": "Bearer x"}):
        status, _, body = call(url, body={}, headers=headers)
        assert (status, json.loads(body)) == (403, FORBIDDEN)
    credentials = Credentials("test", "test", "session")

    def signed(auth):
        request = AWSRequest("POST", url, data='{"echo": true}', headers={"Content-Type": "application/json"})
        auth.add_auth(request)
        parts = urllib.parse.urlsplit(request.url)
        status, _, body = call(url, "POST", f"{parts.path}?{parts.query}", body='{"echo": true}', headers=dict(request.headers))
        assert status == 200, body
        return json.loads(body)["event"]

    event = signed(SigV4Auth(credentials, "lambda", "us-east-1"))
    assert event["requestContext"]["accountId"] == ACCOUNT
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "test"
    assert "authorization" not in event["headers"]
    assert {"x-amz-date", "x-amz-security-token"} <= set(event["headers"])
    assert signed(SigV4QueryAuth(credentials, "lambda", "us-east-1"))["requestContext"]["accountId"] == ACCOUNT


# --- events and answers


def test_the_function_gets_the_event_and_the_arn_of_its_url(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier in ({}, {"Qualifier": "live"}):
        open_to_all(lambda_, name, **qualifier)
        for mode in ("BUFFERED", "RESPONSE_STREAM"):
            url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode=mode, **qualifier)
            status, headers, body = call(url["FunctionUrl"], "POST", "/a/b?c=d", {"echo": True, "tell": ["headers", "uid", "cwd"]})
            told = json.loads(body)
            context = told["event"]["requestContext"]
            assert status == 200
            assert re.fullmatch(r"[0-9a-f]{32}\.lambda-url\.us-east-1\.on\.aws", context["domainName"])
            assert context["accountId"] == "anonymous"
            assert (told["event"]["rawPath"], told["event"]["rawQueryString"]) == ("/a/b", "c=d")
            assert told["cwd"] == "/var/task"
            assert told["headers"]["lambda-runtime-invoked-function-arn"] == url["FunctionArn"]
            # The trace id is one and the same for caller, event and function.
            root = told["event"]["headers"]["x-amzn-trace-id"]
            assert told["headers"]["lambda-runtime-trace-id"] == headers["x-amzn-trace-id"]
            assert headers["x-amzn-trace-id"].startswith(root + ";")
            lambda_.delete_function_url_config(FunctionName=name, **qualifier)


def test_an_aliass_url_runs_the_version_to_which_the_alias_points(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    open_to_all(lambda_, name, Qualifier="live")
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", Qualifier="live")["FunctionUrl"]
    assert ask(url, {"read": "marker"})["read"] == "one"
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    updated(lambda_, name)
    assert ask(url, {"read": "marker"})["read"] == "one"
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert ask(url, {"read": "marker"})["read"] == "two"


def test_a_url_streams_when_its_mode_says_so(lambda_, name, role):
    url = public_url(lambda_, name, role, url={"InvokeMode": "RESPONSE_STREAM"})
    gate = Gate()
    prelude = {"statusCode": 201, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=1"]}
    told = {"stream": {"prelude": prelude, "pieces": ["one", "two"], "gate": gate.address}}
    connection = send(url, body=told)
    gate.open()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"], answer.headers["set-cookie"]) == (201, "text/event-stream", "a=1")
    assert answer.read1(100) == b"one"
    gate.open()
    assert answer.read() == b"two"
    # The mode takes effect at once, in an environment of its own.
    lambda_.update_function_url_config(FunctionName=name, InvokeMode="BUFFERED")
    status, _, body = call(url, body={"payload": '{"statusCode": 202, "body": "whole"}'})
    assert (status, body) == (202, b"whole")


def test_a_streamed_invocation_is_logged_like_any_other(aws, lambda_, name, role):
    url = public_url(lambda_, name, role, url={"InvokeMode": "RESPONSE_STREAM"})
    logs = aws.client("logs")
    logs.create_log_group(logGroupName=f"/aws/lambda/{name}")
    status, _, _ = call(url, body={"print": "hello", "stream": {"prelude": {"statusCode": 200}, "pieces": ["a"]}})
    assert status == 200
    told = poll(
        lambda: [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]],
        lambda told: any("REPORT" in line for line in told),
    )
    words = [line.split()[0] for line in told]
    assert words[:3] == ["initialising", "START", "hello"]
    assert words[-2:] == ["END", "REPORT"]
    assert re.search(r"Duration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration:", told[-1])


def test_what_is_no_answer_is_an_internal_server_error(lambda_, name, role):
    url = public_url(lambda_, name, role)
    for asked in ({"payload": "no json"}, {"error": "it broke"}, {"exit": 3}, {"bytes": 6_300_000}):
        status, headers, body = call(url, body=asked)
        assert (status, headers["content-type"], body) == (502, "application/json", b"Internal Server Error"), asked
    assert ask(url)["pid"]


def test_a_request_may_be_six_megabytes_and_no_longer(lambda_, name, role):
    url = public_url(lambda_, name, role)
    status, _, body = call(url, body="x" * 6_000_000, headers={"Content-Type": "text/plain"})
    assert status == 200
    status, _, body = call(url, body="x" * 6_291_456, headers={"Content-Type": "text/plain"})
    assert (status, json.loads(body)) == (
        413, {"Message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
    )
    # In base64 it is a third longer.
    assert call(url, body="x" * 5_000_000, headers={"Content-Type": "application/octet-stream"})[0] == 413


def test_requests_at_the_same_time_get_environments_of_their_own(lambda_, name, role):
    url = public_url(lambda_, name, role, url={"InvokeMode": "RESPONSE_STREAM"})
    gates = [Gate() for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        calls = [threads.submit(call, url, body={"stream": {"pieces": ["a", "b"], "gate": gate.address}}) for gate in gates]
        for gate in gates:
            gate.connection, _ = gate.listener.accept()
        for gate in gates:
            gate.open()
        assert [call.result()[2] for call in calls] == [b"ab"] * 3


def test_used_up_concurrency_is_429(lambda_, name, role):
    url = public_url(lambda_, name, role)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    status, headers, body = call(url)
    assert (status, headers["x-amzn-errortype"], json.loads(body)) == (
        429, "TooManyRequestsException", {"Message": "Rate Exceeded."},
    )


# --- other origins

CORS = {
    "AllowOrigins": ["https://a.example"], "AllowMethods": ["POST"], "AllowHeaders": ["content-type"], "ExposeHeaders": ["x-b"],
    "MaxAge": 60,
}
PREFLIGHT = {
    "Origin": "https://a.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type",
}


def cors_of(headers):
    return {key: value for key, value in headers.items() if key.startswith("access-control-") or key == "vary"}


def test_a_preflight_is_answered_without_the_function_or_a_signature(aws, lambda_, name, role):
    url = public_url(lambda_, name, role, url={"AuthType": "AWS_IAM", "Cors": CORS})
    status, headers, body = call(url, "OPTIONS", headers=PREFLIGHT)
    assert (status, body) == (200, b"")
    assert cors_of(headers) == {
        "access-control-allow-origin": "https://a.example", "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type", "access-control-max-age": "60", "vary": "Origin",
    }
    assert cors_of(call(url, "OPTIONS", headers={**PREFLIGHT, "Origin": "https://b.example"})[1]) == {}
    assert [e for e in aws.local("GET", "environments")["environments"] if e["function"] == name] == []


def test_other_answers_get_the_configured_headers_beside_the_functions_own(lambda_, name, role):
    url = public_url(lambda_, name, role, url={"Cors": CORS})
    payload = json.dumps({"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": ""})
    answer = send(url, body={"payload": payload}, headers={"Origin": "https://a.example"}).getresponse()
    assert answer.headers.get_all("access-control-allow-origin") == ["*", "https://a.example"]
    assert answer.headers["access-control-expose-headers"] == "x-b"
    assert answer.headers["vary"] == "Origin"
    answer = send(url, body={"payload": payload}, headers={"Origin": "https://b.example"}).getresponse()
    assert answer.headers.get_all("access-control-allow-origin") == ["*"]


def test_without_cors_preflights_are_the_functions(lambda_, name, role):
    url = public_url(lambda_, name, role)
    status, headers, body = call(url, "OPTIONS", headers=PREFLIGHT)
    assert (status, cors_of(headers), "pid" in json.loads(body)) == (200, {}, True)
