"""Lambda's control plane: what moto drops or falsifies is as AWS has it."""

import base64
import hashlib
import json
import urllib.request

import pytest
from botocore.exceptions import ClientError
from conftest import TRUST, active, create, function_zip, make_role, updated, zip_of


def refusal(call, *arguments, **named):
    """(status, code, message) of a call that is refused."""
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def sha256(zip_bytes):
    return base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()


# --- states


def test_a_new_function_is_pending_then_active(aws, lambda_, name, role):
    aws.fault("pending", action="CreateFunction", resource=name, ms=400)
    created = create(lambda_, name, role, wait=False)
    assert (created["State"], created["StateReasonCode"], created["StateReason"]) == (
        "Pending",
        "Creating",
        "The function is being created.",
    )
    assert "LastUpdateStatus" not in created
    conflict = (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    )
    assert refusal(lambda_.update_function_configuration, FunctionName=name, Timeout=5) == conflict
    assert refusal(lambda_.update_function_code, FunctionName=name, ZipFile=function_zip("two")) == conflict
    assert refusal(lambda_.publish_version, FunctionName=name) == conflict
    assert refusal(lambda_.invoke, FunctionName=name) == conflict
    active(lambda_, name)
    done = lambda_.get_function_configuration(FunctionName=name)
    assert (done["State"], done["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in done
    assert done["RevisionId"] != created["RevisionId"]


def test_a_creation_may_fail(aws, lambda_, name, role):
    aws.fault("pending", action="CreateFunction", resource=name, ms=0, outcome="failed")
    create(lambda_, name, role, wait=False)
    failed = lambda_.get_function(FunctionName=name)["Configuration"]
    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InternalError")
    assert refusal(lambda_.invoke, FunctionName=name)[2].endswith("in the following state: Failed")


def test_an_update_is_in_progress_and_keeps_others_out(aws, lambda_, name, role):
    create(lambda_, name, role)
    aws.fault("pending", action="UpdateFunctionConfiguration", resource=name, ms=400)
    answer = lambda_.update_function_configuration(FunctionName=name, Timeout=5)
    assert (answer["State"], answer["LastUpdateStatus"], answer["LastUpdateStatusReasonCode"]) == (
        "Active",
        "InProgress",
        "Creating",
    )
    conflict = (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource: "
        f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
    )
    assert refusal(lambda_.update_function_configuration, FunctionName=name, Timeout=6) == conflict
    assert refusal(lambda_.update_function_code, FunctionName=name, ZipFile=function_zip("two")) == conflict
    assert refusal(lambda_.publish_version, FunctionName=name) == conflict
    updated(lambda_, name)
    assert lambda_.get_function_configuration(FunctionName=name)["Timeout"] == 5


def test_an_update_may_fail_with_a_reason(aws, lambda_, name, role):
    create(lambda_, name, role)
    aws.fault("pending", action="UpdateFunctionCode", resource=name, ms=0, outcome="failed")
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"))
    failed = lambda_.get_function_configuration(FunctionName=name)
    assert (failed["State"], failed["LastUpdateStatus"], failed["LastUpdateStatusReasonCode"]) == (
        "Active",
        "Failed",
        "InternalError",
    )


def test_a_published_version_is_pending_for_a_moment(aws, lambda_, name, role):
    create(lambda_, name, role)
    aws.fault("pending", action="PublishVersion", resource=name, ms=300)
    assert lambda_.publish_version(FunctionName=name)["State"] == "Pending"
    assert refusal(lambda_.invoke, FunctionName=name, Qualifier="1")[1] == "ResourceConflictException"
    active(lambda_, name, "1")


# --- what moto drops


def test_every_member_of_a_configuration_comes_back(aws, lambda_, name, role):
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    queue_arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow(aws, name, "sqs:SendMessage", queue_arn)
    members = {
        "Description": "d",
        "MemorySize": 256,
        "Timeout": 7,
        "Architectures": ["arm64"],
        "EphemeralStorage": {"Size": 1024},
        "TracingConfig": {"Mode": "Active"},
        "DeadLetterConfig": {"TargetArn": queue_arn},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN", "LogGroup": f"/x/{name}"},
    }
    created = create(lambda_, name, role, Tags={"a": "b"}, **members)
    read = lambda_.get_function(FunctionName=name)
    alone = lambda_.get_function_configuration(FunctionName=name)
    for answer in (created, read["Configuration"], alone):
        assert {member: answer[member] for member in members} == members
        assert answer["FunctionArn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        assert answer["Version"] == "$LATEST"
        assert answer["VpcConfig"] == {
            "SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False,
        }
    assert read["Tags"] == {"a": "b"}


def test_defaults_are_those_of_lambda(lambda_, name, role):
    create(lambda_, name, role, Timeout=3)
    read = lambda_.get_function_configuration(FunctionName=name)
    told = ("MemorySize", "Architectures", "EphemeralStorage", "TracingConfig", "LoggingConfig", "SnapStart", "PackageType")
    assert {member: read[member] for member in told} == {
        "MemorySize": 128,
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "PackageType": "Zip",
    }
    assert "DeadLetterConfig" not in read


def test_an_update_changes_what_it_names_and_nothing_else(aws, lambda_, name, role):
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    allow(aws, name, "sns:Publish", topic)
    create(lambda_, name, role, MemorySize=256, TracingConfig={"Mode": "Active"})
    changes = [
        {"EphemeralStorage": {"Size": 2048}},
        {"TracingConfig": {"Mode": "PassThrough"}},
        {"DeadLetterConfig": {"TargetArn": topic}},
        {"LoggingConfig": {"LogFormat": "JSON", "LogGroup": f"/y/{name}"}},
        {"Timeout": 9, "Description": "new"},
        {"Environment": {"Variables": {"AB": "1"}}},
    ]
    expected = lambda_.get_function_configuration(FunctionName=name)
    volatile = ("RevisionId", "LastModified", "ResponseMetadata")
    for change in changes:
        lambda_.update_function_configuration(FunctionName=name, **change)
        updated(lambda_, name)
        read = lambda_.get_function_configuration(FunctionName=name)
        assert read["RevisionId"] != expected["RevisionId"]
        assert read["LastModified"] > expected["LastModified"]
        expected.update(change)
        if "LoggingConfig" in change:
            expected["LoggingConfig"] |= {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
        expected.update({member: read[member] for member in volatile})
        assert read == expected
    lambda_.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    updated(lambda_, name)
    assert "DeadLetterConfig" not in lambda_.get_function_configuration(FunctionName=name)


def test_new_code_may_be_for_another_architecture(lambda_, name, role):
    create(lambda_, name, role)
    new = function_zip("two")
    answer = lambda_.update_function_code(FunctionName=name, ZipFile=new, Architectures=["arm64"])
    assert (answer["Architectures"], answer["CodeSha256"], answer["CodeSize"]) == (["arm64"], sha256(new), len(new))
    updated(lambda_, name)
    assert lambda_.get_function_configuration(FunctionName=name)["Architectures"] == ["arm64"]


def test_the_code_that_is_downloaded_is_the_code_that_was_uploaded(lambda_, name, role):
    def download(qualifier=None):
        arguments = {"Qualifier": qualifier} if qualifier else {}
        answer = lambda_.get_function(FunctionName=name, **arguments)
        code = urllib.request.urlopen(answer["Code"]["Location"]).read()
        assert sha256(code) == answer["Configuration"]["CodeSha256"]
        assert answer["Code"]["RepositoryType"] == "S3"
        return code

    one, two = function_zip("one"), function_zip("two")
    create(lambda_, name, role, Code={"ZipFile": one})
    assert download() == one
    lambda_.publish_version(FunctionName=name)
    lambda_.update_function_code(FunctionName=name, ZipFile=two)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert [download(), download("$LATEST"), download("1"), download("live")] == [two, two, one, one]


def test_code_may_come_from_s3(aws, lambda_, name, role):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a/code.zip", Body=function_zip("from s3"))
    create(lambda_, name, role, Code={"S3Bucket": name, "S3Key": "a/code.zip"})
    location = lambda_.get_function(FunctionName=name)["Code"]["Location"]
    assert urllib.request.urlopen(location).read() == function_zip("from s3")


def test_code_may_come_from_a_version_in_s3(aws, lambda_, name, role):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(Bucket=name, Key="code.zip", Body=function_zip("one"))["VersionId"]
    s3.put_object(Bucket=name, Key="code.zip", Body=function_zip("two"))
    create(lambda_, name, role, Code={"S3Bucket": name, "S3Key": "code.zip", "S3ObjectVersion": one})
    location = lambda_.get_function(FunctionName=name)["Code"]["Location"]
    assert urllib.request.urlopen(location).read() == function_zip("one")


def test_a_bucket_is_used_in_its_own_region(aws, lambda_, name, role):
    elsewhere = aws.client("s3", "us-west-2")
    elsewhere.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    elsewhere.put_object(Bucket=name, Key="code.zip", Body=function_zip("one"))
    with pytest.raises(ClientError) as refused:
        create(lambda_, name, role, Code={"S3Bucket": name, "S3Key": "code.zip"})
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert "The bucket is in this region: us-west-2" in refused.value.response["Error"]["Message"]


def test_an_upload_to_s3_is_what_its_sha256_says(aws, name):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"a", ChecksumSHA256=sha256(b"a"))
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=name, Key="b", Body=b"b", ChecksumSHA256=sha256(b"a"))
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=name)["Contents"]] == ["a"]


def test_a_dry_run_of_new_code_changes_nothing(lambda_, name, role):
    create(lambda_, name, role)
    before = lambda_.get_function_configuration(FunctionName=name)
    answer = lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), DryRun=True)
    assert answer["CodeSha256"] == sha256(function_zip("two"))
    after = lambda_.get_function_configuration(FunctionName=name)
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert after == before


# --- revisions, versions, aliases


def test_a_stale_revision_is_refused(lambda_, name, role):
    create(lambda_, name, role)
    stale = lambda_.get_function_configuration(FunctionName=name)["RevisionId"]
    lambda_.update_function_configuration(FunctionName=name, Timeout=4, RevisionId=stale)
    updated(lambda_, name)
    for call, arguments in [
        (lambda_.update_function_configuration, {"Timeout": 5}),
        (lambda_.update_function_code, {"ZipFile": function_zip("two")}),
        (lambda_.publish_version, {}),
    ]:
        status, code, message = refusal(call, FunctionName=name, RevisionId=stale, **arguments)
        assert (status, code) == (412, "PreconditionFailedException")
        assert message.startswith("The Revision Id provided does not match the latest Revision Id.")


def test_publishing_makes_a_version_only_when_something_changed(lambda_, name, role):
    create(lambda_, name, role)
    # A change before the first version is one that moto remembers wrongly.
    lambda_.update_function_configuration(FunctionName=name, Timeout=4)
    updated(lambda_, name)

    def publish():
        return lambda_.publish_version(FunctionName=name)["Version"]

    assert [publish(), publish(), publish()] == ["1", "1", "1"]
    lambda_.update_function_configuration(FunctionName=name, EphemeralStorage={"Size": 600})
    updated(lambda_, name)
    assert [publish(), publish()] == ["2", "2"]
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"))
    updated(lambda_, name)
    assert [publish(), publish()] == ["3", "3"]
    # The same code once more is no change.
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"))
    updated(lambda_, name)
    assert publish() == "3"
    assert [v["Version"] for v in lambda_.list_versions_by_function(FunctionName=name)["Versions"]] == ["$LATEST", "1", "2", "3"]


def test_a_version_keeps_what_it_was_published_with(lambda_, name, role):
    create(lambda_, name, role, TracingConfig={"Mode": "Active"})
    published = lambda_.publish_version(FunctionName=name, Description="first")
    lambda_.update_function_configuration(FunctionName=name, TracingConfig={"Mode": "PassThrough"}, Timeout=5)
    updated(lambda_, name)
    read = lambda_.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (read["TracingConfig"], read["Timeout"], read["Description"]) == ({"Mode": "Active"}, 30, "first")
    assert read["FunctionArn"] == published["FunctionArn"] == f"{arn(name)}:1"


def test_new_code_may_be_published_at_once(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    assert lambda_.get_function_configuration(FunctionName=name, Qualifier="1")["Version"] == "1"
    answer = lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    assert (answer["Version"], answer["CodeSha256"]) == ("2", sha256(function_zip("two")))
    updated(lambda_, name)
    assert lambda_.publish_version(FunctionName=name)["Version"] == "2"


def test_the_hash_given_for_publishing_must_be_that_of_the_code(lambda_, name, role):
    create(lambda_, name, role)
    own, other = sha256(function_zip()), sha256(b"other")
    assert refusal(lambda_.publish_version, FunctionName=name, CodeSha256=other) == (
        400,
        "InvalidParameterValueException",
        f"CodeSHA256 ({other}) is different from current CodeSHA256 in $LATEST ({own}). Please try again with the "
        "CodeSHA256 in $LATEST.",
    )
    assert lambda_.publish_version(FunctionName=name, CodeSha256=own)["Version"] == "1"


def test_a_function_is_described_under_the_qualifier_that_was_asked_for(lambda_, name, role):
    create(lambda_, name, role)
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for reader in (
        lambda **a: lambda_.get_function_configuration(**a),
        lambda **a: lambda_.get_function(**a)["Configuration"],
    ):
        asked = [{}, {"Qualifier": "$LATEST"}, {"Qualifier": "1"}, {"Qualifier": "live"}]
        told = [(c["FunctionArn"], c["Version"]) for c in (reader(FunctionName=name, **a) for a in asked)]
        assert told == [
            (arn(name), "$LATEST"),
            (f"{arn(name)}:$LATEST", "$LATEST"),
            (f"{arn(name)}:1", "1"),
            (f"{arn(name)}:live", "1"),
        ]
        assert reader(FunctionName=f"{arn(name)}:live")["FunctionArn"] == f"{arn(name)}:live"
        assert reader(FunctionName=f"123456789012:function:{name}")["FunctionArn"] == arn(name)


def test_a_version_number_is_never_used_twice(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    updated(lambda_, name)
    lambda_.delete_function(FunctionName=name, Qualifier="2")
    assert refusal(lambda_.get_function, FunctionName=name, Qualifier="2") == (
        404, "ResourceNotFoundException", f"Function not found: {arn(name)}:2",
    )
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("three"))
    updated(lambda_, name)
    assert lambda_.publish_version(FunctionName=name)["Version"] == "3"
    assert [v["Version"] for v in lambda_.list_versions_by_function(FunctionName=name)["Versions"]] == ["$LATEST", "1", "3"]
    assert refusal(lambda_.delete_function, FunctionName=name, Qualifier="2")[0] == 404
    assert refusal(lambda_.create_alias, FunctionName=name, Name="a", FunctionVersion="2")[0] == 404


def test_a_version_to_which_an_alias_points_stays(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refusal(lambda_.delete_function, FunctionName=name, Qualifier="1") == (
        409,
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [live]",
    )
    lambda_.delete_alias(FunctionName=name, Name="live")
    lambda_.delete_function(FunctionName=name, Qualifier="1")
    assert refusal(lambda_.delete_function, FunctionName=name, Qualifier="$LATEST")[1] == "InvalidParameterValueException"


def test_an_alias_moves_with_its_revision(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    created = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST", Description="d")
    assert (created["AliasArn"], created["FunctionVersion"]) == (f"{arn(name)}:live", "$LATEST")
    assert "RoutingConfig" not in created
    moved = lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="1", RevisionId=created["RevisionId"])
    assert moved["RevisionId"] != created["RevisionId"]
    read = lambda_.get_alias(FunctionName=name, Name="live")
    listed = lambda_.list_aliases(FunctionName=name)["Aliases"]
    del read["ResponseMetadata"], moved["ResponseMetadata"]
    assert read == moved == listed[0]
    stale = refusal(lambda_.update_alias, FunctionName=name, Name="live", FunctionVersion="1", RevisionId=created["RevisionId"])
    assert stale[:2] == (412, "PreconditionFailedException")
    assert refusal(lambda_.create_alias, FunctionName=name, Name="live", FunctionVersion="1") == (
        409, "ResourceConflictException", f"Alias already exists: {arn(name)}:live",
    )
    assert refusal(lambda_.create_alias, FunctionName=name, Name="none", FunctionVersion="9")[0] == 404
    assert refusal(lambda_.create_alias, FunctionName=name, Name="9", FunctionVersion="1")[1] == "ValidationException"
    assert lambda_.delete_alias(FunctionName=name, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(lambda_.get_alias, FunctionName=name, Name="live")[0] == 404


def test_versions_come_in_pages(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.update_function_code(FunctionName=name, ZipFile=function_zip("two"), Publish=True)
    first = lambda_.list_versions_by_function(FunctionName=name, MaxItems=2)
    assert [v["Version"] for v in first["Versions"]] == ["$LATEST", "1"]
    second = lambda_.list_versions_by_function(FunctionName=name, MaxItems=2, Marker=first["NextMarker"])
    assert [v["Version"] for v in second["Versions"]] == ["2"]
    assert "NextMarker" not in second
    assert first["Versions"][0]["FunctionArn"] == f"{arn(name)}:$LATEST"


def test_a_function_is_gone_with_all_that_it_had(lambda_, name, role):
    create(lambda_, name, role, Publish=True)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    location = lambda_.get_function(FunctionName=name)["Code"]["Location"]
    assert name in [f["FunctionName"] for f in lambda_.list_functions()["Functions"]]
    lambda_.delete_function(FunctionName=name)
    not_found = (404, "ResourceNotFoundException", f"Function not found: {arn(name)}")
    for call in (
        lambda_.get_function, lambda_.get_function_configuration, lambda_.delete_function, lambda_.publish_version,
        lambda_.list_versions_by_function, lambda_.invoke, lambda_.list_aliases,
    ):
        assert refusal(call, FunctionName=name) == not_found, call
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(location)
    # A new function of that name starts anew.
    create(lambda_, name, role)
    assert lambda_.list_aliases(FunctionName=name)["Aliases"] == []
    assert lambda_.publish_version(FunctionName=name)["Version"] == "1"


# --- tags and concurrency


def test_tags_are_added_and_taken_away(lambda_, name, role):
    create(lambda_, name, role, Tags={"mcplambda:function": name})
    lambda_.tag_resource(Resource=arn(name), Tags={"a": "1", "b": "2"})
    lambda_.untag_resource(Resource=arn(name), TagKeys=["b"])
    expected = {"mcplambda:function": name, "a": "1"}
    assert lambda_.list_tags(Resource=arn(name))["Tags"] == lambda_.get_function(FunctionName=name)["Tags"] == expected


def test_reserved_concurrency_may_be_zero_and_may_not_use_up_the_account(lambda_, name, role):
    create(lambda_, name, role)
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=name)
    for reserved in (5, 0):
        lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        assert lambda_.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == reserved
        assert lambda_.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": reserved}
    assert refusal(lambda_.invoke, FunctionName=name)[:2] == (429, "TooManyRequestsException")
    too_many = refusal(lambda_.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=950)
    assert too_many[:2] == (400, "InvalidParameterValueException")
    lambda_.delete_function_concurrency(FunctionName=name)
    assert "Concurrency" not in lambda_.get_function(FunctionName=name)


# --- accounts and regions


def test_regions_and_accounts_are_kept_apart(aws, name, role):
    here, there = aws.client("lambda"), aws.client("lambda", region="eu-west-1")
    create(here, name, role, Description="here")
    create(there, name, role, Description="there")
    make_role(aws, f"{name}-admin")
    assumed = aws.client("sts").assume_role(RoleArn=f"arn:aws:iam::222222222222:role/{name}-admin", RoleSessionName="session")
    other = {"key": assumed["Credentials"]["AccessKeyId"], "token": assumed["Credentials"]["SessionToken"]}
    elsewhere = aws.client("lambda", **other)
    assert refusal(elsewhere.get_function, FunctionName=name)[0] == 404
    create(elsewhere, name, make_role(aws, name, **other), Description="elsewhere")
    told = [c.get_function(FunctionName=name)["Configuration"] for c in (here, there, elsewhere)]
    assert [(c["Description"], c["FunctionArn"]) for c in told] == [
        ("here", f"arn:aws:lambda:us-east-1:123456789012:function:{name}"),
        ("there", f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
        ("elsewhere", f"arn:aws:lambda:us-east-1:222222222222:function:{name}"),
    ]
    here.delete_function(FunctionName=name)
    assert there.get_function(FunctionName=name)["Configuration"]["Description"] == "there"


# --- checks


def arn(name):
    return f"arn:aws:lambda:us-east-1:123456789012:function:{name}"


def allow(aws, role, action, resource="*"):
    aws.client("iam").put_role_policy(
        RoleName=role,
        PolicyName="p",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
        ),
    )


def unchecked(aws):
    """A client that sends what botocore would refuse itself."""
    return aws.client("lambda", unchecked=True)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Timeout": 901}, "ValidationException", "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"),
        ({"Timeout": 0}, "ValidationException", "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"),
        ({"MemorySize": 64}, "ValidationException", "Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"),
        ({"MemorySize": 10241}, "ValidationException", "Member must have value less than or equal to 10240"),
        ({"EphemeralStorage": {"Size": 511}}, "ValidationException", "Value '511' at 'ephemeralStorage.size'"),
        ({"Description": "d" * 257}, "ValidationException", "Member must have length less than or equal to 256"),
        ({"Handler": "a b"}, "ValidationException", "Value 'a b' at 'handler'"),
        ({"Handler": "h" * 129}, "ValidationException", "Member must have length less than or equal to 128"),
        ({"Runtime": "python2.7"}, "InvalidParameterValueException", "Value python2.7 at 'runtime' failed to satisfy constraint"),
        ({"Environment": {"Variables": {"1A": "x"}}}, "ValidationException", "Value '1A' at 'environment.variables'"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"),
        ({"Environment": {"Variables": {"A1": "x" * 4096}}}, "InvalidParameterValueException", "exceeded the 4KB limit"),
    ],
)
def test_values_out_of_bounds_are_refused_at_creation_and_update(aws, name, role, changes, code, message):
    lambda_ = unchecked(aws)
    creation = refusal(create, lambda_, name, role, wait=False, **changes)
    assert creation[:2] == (400, code)
    assert message in creation[2]
    assert refusal(lambda_.get_function, FunctionName=name)[0] == 404
    create(lambda_, name, role)
    assert refusal(lambda_.update_function_configuration, FunctionName=name, **changes) == creation


def test_an_environment_of_four_kilobytes_is_taken(lambda_, name, role):
    fitting = {"A1": "x" * (4096 - len('{"A1":""}'))}
    create(lambda_, name, role, Environment={"Variables": fitting})
    assert lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"] == fitting


def test_a_name_must_be_legal_and_no_longer_than_64(aws, lambda_, name, role):
    long = "a" * 65
    assert refusal(create, lambda_, long, role, wait=False)[:2] == (400, "ValidationException")
    assert refusal(create, unchecked(aws), "a.b", role, wait=False)[:2] == (400, "ValidationException")
    create(lambda_, f"{name}{'a' * 64}"[:64], role, wait=False)


def test_a_function_of_that_name_is_not_made_again(lambda_, name, role):
    create(lambda_, name, role, Description="first")
    status, code, message = refusal(create, lambda_, name, role, wait=False, Description="second")
    assert (status, code) == (409, "ResourceConflictException")
    assert message == f"Function already exist: {name}"
    assert lambda_.get_function(FunctionName=name)["Configuration"]["Description"] == "first"


def test_runtime_and_handler_are_mandatory_for_zips(lambda_, name, role):
    assert refusal(lambda_.create_function, FunctionName=name, Role=role, Code={"ZipFile": function_zip()}) == (
        400,
        "InvalidParameterValueException",
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    )


@pytest.mark.parametrize(
    ("code", "status", "kind", "message"),
    [
        (b"no zip", 400, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."),
        (zip_of({}), 400, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
        (zip_of({"zeros": (b"\0" * (250 * 1024 * 1024 + 1), 0o644)}), 400, "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"),
        # 50 MB in base64 are just what the request may hold.
        (b"x" * (50 * 1024 * 1024), 413, "RequestEntityTooLargeException", "Request must be smaller than 69905067 bytes for the CreateFunction operation"),
    ],
    ids=["no zip", "empty", "over 250 MB unpacked", "over 50 MB"],
)
def test_code_that_lambda_does_not_take_is_refused(lambda_, name, role, code, status, kind, message):
    refused = refusal(create, lambda_, name, role, wait=False, Code={"ZipFile": code})
    assert refused[:2] == (status, kind)
    assert message in refused[2]


def test_a_role_must_let_lambda_assume_it(aws, lambda_, name):
    cannot = (400, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
    trust = json.loads(json.dumps(TRUST).replace("lambda.amazonaws.com", "ec2.amazonaws.com"))
    wrong = make_role(aws, f"{name}-wrong", trust)
    assert refusal(create, lambda_, name, wrong, wait=False) == cannot
    assert refusal(create, lambda_, name, wrong + "-missing", wait=False) == cannot
    create(lambda_, name, make_role(aws, name))
    assert refusal(lambda_.update_function_configuration, FunctionName=name, Role=wrong) == cannot


def test_a_role_must_allow_what_the_configuration_needs(aws, lambda_, name, role):
    queue = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    dead_letters = {"DeadLetterConfig": {"TargetArn": queue}}
    no_queue = "The provided execution role does not have permissions to call SendMessage on SQS"
    assert refusal(create, lambda_, name, role, wait=False, **dead_letters)[1:] == ("InvalidParameterValueException", no_queue)
    allow(aws, name, ["logs:*", "sqs:SendMessage"], queue)
    create(lambda_, name, role, **dead_letters)

    ec2 = aws.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    network = {"SubnetIds": [subnet["SubnetId"]], "SecurityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]]}
    no_network = "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
    update = lambda_.update_function_configuration
    assert refusal(update, FunctionName=name, VpcConfig=network)[2] == no_network
    aws.client("iam").attach_role_policy(
        RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
    )
    assert update(FunctionName=name, VpcConfig=network)["VpcConfig"] == {
        **network, "VpcId": subnet["VpcId"], "Ipv6AllowedForDualStack": False,
    }
    updated(lambda_, name)
    unknown = refusal(update, FunctionName=name, VpcConfig={**network, "SubnetIds": ["subnet-0123456789abcdef0"]})
    assert unknown[1] == "InvalidParameterValueException"
    assert "EC2 Error Code: InvalidSubnetID.NotFound" in unknown[2]
    assert update(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})["VpcConfig"]["VpcId"] == ""


def test_other_services_pass_through(aws, name):
    logs, sqs, iam = aws.client("logs"), aws.client("sqs"), aws.client("iam")
    logs.create_log_group(logGroupName=f"/aws/lambda/{name}", tags={"a": "b"})
    logs.put_retention_policy(logGroupName=f"/aws/lambda/{name}", retentionInDays=14)
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    assert [(g["logGroupName"], g["retentionInDays"]) for g in groups] == [(f"/aws/lambda/{name}", 14)]
    queue = sqs.create_queue(QueueName=name, Attributes={"SqsManagedSseEnabled": "true"})["QueueUrl"]
    assert queue == f"{aws.endpoint}/123456789012/{name}"
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "hello"
    role = make_role(aws, name)
    assert iam.get_role(RoleName=name)["Role"]["Arn"] == role
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
