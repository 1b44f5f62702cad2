"""local-aws fails when it is told to, where it is told to, and counts it."""

import concurrent.futures
import json
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.exceptions import ConnectionError as BotoConnectionError
from conftest import create, make_role

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}]}
)


def refusal(call, **named):
    with pytest.raises(ClientError) as refused:
        call(**named)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def hits(aws, fault):
    return aws.local("GET", f"faults/{fault}")["hits"]


def test_each_service_throttles_in_its_own_words(aws, name):
    aws.fault("throttle", times=None)
    assert refusal(aws.client("lambda").list_functions) == (429, "TooManyRequestsException")
    assert refusal(aws.client("iam").get_role, RoleName=name) == (400, "Throttling")
    assert refusal(aws.client("sts").get_caller_identity) == (400, "Throttling")
    assert refusal(aws.client("logs").describe_log_groups) == (400, "ThrottlingException")
    assert refusal(aws.client("sqs").list_queues) == (400, "ThrottlingException")
    assert refusal(aws.client("s3").list_buckets) == (503, "SlowDown")


def test_any_error_can_be_asked_for(aws, name):
    aws.fault("error", service="iam", action="GetRole", status=503, code="ServiceUnavailable", message="<busy & gone>")
    iam = aws.client("iam")
    with pytest.raises(ClientError) as refused:
        iam.get_role(RoleName=name)
    assert refused.value.response["Error"] == {"Type": "Server", "Code": "ServiceUnavailable", "Message": "<busy & gone>"}
    assert refusal(iam.get_role, RoleName=name) == (404, "NoSuchEntity"), "only once"


def test_a_new_role_may_not_be_known_everywhere(aws, lambda_, name, role):
    aws.fault("iam_propagation", action="CreateFunction", resource=name, times=2)
    assert refusal(create, lambda_=lambda_, name=name, role=role) == (400, "InvalidParameterValueException")
    assert refusal(create, lambda_=lambda_, name=name, role=role) == (400, "InvalidParameterValueException")
    create(lambda_, name, role)


def test_a_rule_meets_the_nth_call_of_all_or_of_its_own(aws, name):
    iam, logs = aws.client("iam"), aws.client("logs")
    of_all = aws.fault("error", nth=4, status=500, code="Fourth")
    of_iam = aws.fault("error", service="iam", nth=2, status=500, code="Second")
    told = [
        refusal(iam.get_role, RoleName=name),
        logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"],
        refusal(iam.get_role, RoleName=name),
        refusal(logs.describe_log_groups),
        logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"],
    ]
    assert told == [(404, "NoSuchEntity"), [], (500, "Second"), (500, "Fourth"), []]
    assert aws.local("GET", "faults")["faults"] == [
        {
            "id": of_all,
            "rule": {"kind": "error", "nth": 4, "times": 1, "when": "before", "status": 500, "code": "Fourth", "outcome": "successful"},
            "seen": 5, "hits": 1, "held": 0,
        },
        {
            "id": of_iam,
            "rule": {"kind": "error", "service": "iam", "nth": 2, "times": 1, "when": "before", "status": 500, "code": "Second", "outcome": "successful"},
            "seen": 2, "hits": 1, "held": 0,
        },
    ]
    aws.local("DELETE", "faults")
    assert aws.local("GET", "faults") == {"faults": []}


def test_a_rule_may_name_a_resource(aws, name):
    iam = aws.client("iam")
    make_role(aws, f"{name}-other")
    aws.fault("throttle", resource=f"{name}-mine", times=None)
    assert refusal(iam.get_role, RoleName=f"{name}-mine") == (400, "Throttling")
    iam.get_role(RoleName=f"{name}-other")


def test_an_answer_may_be_late(aws):
    fault = aws.fault("delay", service="sts", ms=700)
    started = time.monotonic()
    aws.client("sts").get_caller_identity()
    assert time.monotonic() - started >= 0.7
    assert hits(aws, fault) == 1


@pytest.mark.parametrize(("when", "exists"), [("before", False), ("after", True)])
def test_a_reset_before_or_after_the_call_took_effect(aws, name, when, exists):
    aws.fault("reset", action="CreateRole", resource=name, when=when)
    with pytest.raises((BotoConnectionError, ConnectionClosedError)):
        make_role(aws, name)
    roles = [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]]
    assert (name in roles) == exists


@pytest.mark.parametrize(("when", "exists"), [("before", False), ("after", True)])
def test_a_call_is_held_before_or_after_it_took_effect_until_the_rules_go(aws, name, when, exists):
    fault = aws.fault("hang", action="CreateRole", resource=name, when=when)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        call = threads.submit(make_role, aws, name)
        told = aws.local("GET", f"faults/{fault}?hits=1&timeout_ms=20000")
        assert (told["seen"], told["hits"], told["held"]) == (1, 1, 1)
        roles = [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]]
        assert (name in roles) == exists
        assert not call.done()
        aws.local("DELETE", "faults")
        with pytest.raises((BotoConnectionError, ConnectionClosedError)):
            call.result(timeout=20)
    roles = [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]]
    assert (name in roles) == exists, "a call that was held before it took effect never takes effect"


def test_an_error_after_the_call_took_effect(aws, name):
    aws.fault("error", action="CreateRole", resource=name, when="after", status=500, code="InternalFailure")
    assert refusal(make_role, aws=aws, name=name) == (500, "InternalFailure")
    aws.client("iam").get_role(RoleName=name)


def test_waiting_for_a_fault_that_does_not_come_ends(aws):
    fault = aws.fault("throttle", action="Nothing")
    told = aws.local("GET", f"faults/{fault}?hits=1&timeout_ms=50")
    assert (told["status"], told["hits"]) == (408, 0)
    assert aws.local("GET", "faults/999999")["status"] == 404


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"kind": "explode"}, "unknown variant `explode`"),
        ({"kind": "delay"}, "kind Delay needs `ms`"),
        ({"kind": "hang", "ms": 5}, "`ms` has no meaning for kind Hang"),
        ({"kind": "throttle", "acton": "x"}, "unknown field `acton`"),
        ({"kind": "throttle", "nth": 0}, "`nth` and `times` count from 1"),
        ({"kind": "error", "status": 200, "code": "x"}, "`status` must be 400 to 599"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_the_reason(aws, rule, reason):
    told = aws.local("POST", "faults", rule)
    assert told["status"] == 400
    assert reason in told["error"]


def test_every_call_is_noted_with_service_action_and_resource(aws, lambda_, name):
    role = make_role(aws, name)
    aws.local("DELETE", "calls")
    create(lambda_, name, role, wait=False)
    lambda_.get_function(FunctionName=name)
    lambda_.list_tags(Resource=f"arn:aws:lambda:us-east-1:123456789012:function:{name}")
    aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")
    aws.client("sqs", region="eu-west-1").create_queue(QueueName=name)
    aws.client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=POLICY)
    with pytest.raises(ClientError):
        aws.client("iam").get_role(RoleName=f"{name}-none")
    calls = aws.local("GET", "calls")["calls"]
    assert [(c["service"], c["action"], c["resource"], c["region"], c["status"]) for c in calls] == [
        ("lambda", "CreateFunction", name, "us-east-1", 201),
        ("lambda", "GetFunction", name, "us-east-1", 200),
        ("lambda", "ListTags", f"arn:aws:lambda:us-east-1:123456789012:function:{name}", "us-east-1", 200),
        ("logs", "DescribeLogGroups", f"/aws/lambda/{name}", "us-east-1", 200),
        ("sqs", "CreateQueue", name, "eu-west-1", 200),
        ("iam", "PutRolePolicy", name, "us-east-1", 200),
        ("iam", "GetRole", f"{name}-none", "us-east-1", 404),
    ]
    assert all("Boto3" in call["user_agent"] for call in calls)
    numbers = [call["n"] for call in calls]
    assert numbers == sorted(set(numbers))


def test_what_is_not_there_is_not_found(aws):
    assert aws.local("GET", "nothing") == {"status": 404, "error": "there is no GET /_local/nothing"}
