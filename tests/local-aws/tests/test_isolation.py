"""A function sees Lambda's file system, and nothing else that it could write."""

import pytest
from conftest import LocalAws, create, function_zip, invoke, make_role, updated, zip_of


@pytest.fixture(autouse=True)
def in_a_namespace(aws):
    """These promises are those of the namespace; where the machine allows none, local-aws must say so."""
    if aws.ready["isolation"] not in ("namespace", "user namespace"):
        pytest.fail(f"this machine gives no mount namespace: {aws.ready['isolation']}")


def test_only_tmp_can_be_written(lambda_, name, role):
    create(lambda_, name, role)
    told = {path: invoke(lambda_, name, {"write": path})["Payload"]["write"]
            for path in ("/tmp/x", "/var/task/x", "/x", "/usr/x", "/etc/x", "/opt/x", "/var/x", "/dev/shm/x")}
    assert told.pop("/tmp/x") == "ok"
    assert set(told.values()) <= {"OSError", "PermissionError", "FileNotFoundError"}


def test_tmp_belongs_to_one_environment_and_has_the_functions_size(lambda_, name, role):
    create(lambda_, name, role, EphemeralStorage={"Size": 600}, Publish=True)
    invoke(lambda_, name, {"write": "/tmp/x"})
    assert invoke(lambda_, name, {"read": "/tmp/x"})["Payload"]["read"] == "x"
    assert invoke(lambda_, name, {"run": "ls -A /tmp"}, Qualifier="1")["Payload"]["run"] == [0, "", ""]
    size = invoke(lambda_, name, {"run": "df -m --output=size /tmp | tail -1"})["Payload"]["run"][1]
    assert size.strip() == "600"


def test_the_user_has_a_name_and_is_not_root(aws, lambda_, name, role):
    create(lambda_, name, role)
    told = invoke(lambda_, name, {"tell": ["uid"], "run": "id -un"})["Payload"]
    # A user namespace has one user, who is root in it and nowhere else.
    expected = {"namespace": ("sbx_user1051\n", 60993), "user namespace": ("root\n", 0)}
    assert (told["run"][1], told["uid"]) == expected[aws.ready["isolation"]]


def test_a_file_that_only_its_owner_may_read_cannot_be_read(aws, lambda_, name, role):
    code = {"wrapper": ("#!/bin/sh\n. /var/task/start\n", 0o755), "start": ('exec "$1" "$LAMBDA_TASK_ROOT/runtime.py"\n', 0o644)}
    base = function_zip()
    create(lambda_, name, role, Code={"ZipFile": zip_of({**entries(base), **code, "secret": ("s", 0o600), "open": ("o", 0o644)})})
    assert invoke(lambda_, name, {"read": "/var/task/open"})["Payload"]["read"] == "o"
    # In a user namespace the function is the files' owner.
    expected = {"namespace": "PermissionError", "user namespace": "s"}[aws.ready["isolation"]]
    assert invoke(lambda_, name, {"read": "/var/task/secret"})["Payload"]["read"] == expected


def entries(code):
    import io
    import zipfile

    archive = zipfile.ZipFile(io.BytesIO(code))
    return {i.filename: (archive.read(i), i.external_attr >> 16 & 0o777) for i in archive.infolist()}


def test_open_files_are_limited_as_in_lambda(lambda_, name, role):
    create(lambda_, name, role)
    assert invoke(lambda_, name, {"run": "ulimit -n"})["Payload"]["run"][1] == "1024\n"


def test_a_function_can_call_aws_through_local_aws(lambda_, name, role):
    create(lambda_, name, role)
    script = (
        "import os, urllib.request as r; scope = os.environ['AWS_ACCESS_KEY_ID'] + '/20260101/us-east-1/sts/aws4_request'; "
        "print(r.urlopen(r.Request(os.environ['AWS_ENDPOINT_URL'], b'Action=GetCallerIdentity&Version=2011-06-15', "
        "{'Authorization': 'AWS4-HMAC-SHA256 Credential=' + scope + ', SignedHeaders=host, Signature=0'})).read().decode())"
    )
    code, output, _ = invoke(lambda_, name, {"run": f'python3 -c "{script}"'})["Payload"]["run"]
    assert code == 0
    assert f"assumed-role/{name}/{name}" in output


SIGNED = """
import json, os, urllib.request
def ask(service, target, body):
    scope = "%s/20260101/us-east-1/%s/aws4_request" % (os.environ["AWS_ACCESS_KEY_ID"], service)
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=host, Signature=0" % scope,
        "X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"],
        "X-Amz-Target": target,
        "Content-Type": "application/x-amz-json-1.1",
    }
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], json.dumps(body).encode(), headers)
    return json.loads(urllib.request.urlopen(request).read())
"""


def test_a_function_can_read_secrets_and_parameters_with_its_roles_credentials(aws, lambda_, name, role):
    secret = aws.client("secretsmanager").create_secret(Name=name, SecretString='{"key": "from secrets manager"}')["ARN"]
    parameters = aws.client("ssm")
    parameters.put_parameter(Name=f"/{name}/key", Value="from ssm", Type="SecureString")
    parameter = f"arn:aws:ssm:us-east-1:123456789012:parameter/{name}/key"
    script = SIGNED + f"""
print(ask("secretsmanager", "secretsmanager.GetSecretValue", {{"SecretId": {secret!r}}})["SecretString"])
for parameter in ("/{name}/key", {parameter!r}):
    print(ask("ssm", "AmazonSSM.GetParameter", {{"Name": parameter, "WithDecryption": True}})["Parameter"]["Value"])
"""
    create(lambda_, name, role, Code={"ZipFile": function_zip(**{"ask.py": script})})
    told = invoke(lambda_, name, {"run": "python3 /var/task/ask.py", "tell": ["environment"]})["Payload"]
    assert told["run"] == [0, '{"key": "from secrets manager"}\nfrom ssm\nfrom ssm\n', ""]
    # Temporary credentials of the role, and not the machine's.
    assert told["environment"]["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    calls = aws.local("GET", "calls")
    assert [call["action"] for call in calls["calls"] if call["action"] in ("GetSecretValue", "GetParameter")][-3:] == [
        "GetSecretValue", "GetParameter", "GetParameter",
    ]


def test_without_a_namespace_functions_run_where_their_code_is():
    aws = LocalAws("--isolation", "plain", "--pending-ms", "0")
    try:
        assert aws.ready["isolation"] == "plain: as asked"
        lambda_ = aws.client("lambda")
        # A root filesystem needs a change of root, so what is at hand counts here.
        runtime = next(runtime for runtime in aws.ready["runtimes"] if runtime.startswith("python"))
        create(lambda_, "f", make_role(aws, "f"), Runtime=runtime)
        told = invoke(lambda_, "f", {"tell": ["environment", "cwd", "python"], "read": "marker", "write": "/tmp/../dev/null"})["Payload"]
        root = told["environment"]["LAMBDA_TASK_ROOT"]
        assert root != "/var/task"
        assert (told["cwd"], told["read"], told["python"]) == (root, "one", runtime.removeprefix("python"))
        assert told["environment"]["AWS_LAMBDA_EXEC_WRAPPER"] == f"{root}/wrapper"
        assert "HOME" not in told["environment"]
    finally:
        assert aws.stop() == 0


def test_each_interpreter_that_is_named_runs_its_runtime(aws, lambda_, name, role):
    versions = [runtime for runtime in aws.ready["runtimes"] if runtime.startswith("python")]
    assert "python3.13" in versions
    told = {}
    for runtime in versions:
        function = f"{name}-{runtime.replace('.', '')}"
        create(lambda_, function, role, Runtime=runtime)
        told[runtime] = invoke(lambda_, function, {"tell": ["python"]})["Payload"]["python"]
    assert told == {runtime: runtime.removeprefix("python") for runtime in versions}


def test_layers_are_at_opt_the_later_one_over_the_earlier(lambda_, name, role):
    def layer(which, files):
        content = {"ZipFile": zip_of({path: (text, 0o755) for path, text in files.items()})}
        return lambda_.publish_layer_version(LayerName=f"{name}-{which}", Content=content)["LayerVersionArn"]

    one = layer("one", {"bin/tool": "#!/bin/sh\necho one\n", "data": "one"})
    two = layer("two", {"data": "two"})
    create(lambda_, name, role, Layers=[one, two])
    told = invoke(lambda_, name, {"run": "tool; cat /opt/data"})["Payload"]
    assert told["run"] == [0, "one\ntwo", ""]
    assert [told["Arn"] for told in lambda_.get_function_configuration(FunctionName=name)["Layers"]] == [one, two]
    lambda_.update_function_configuration(FunctionName=name, Layers=[])
    updated(lambda_, name)
    assert invoke(lambda_, name, {"run": "ls -A /opt"})["Payload"]["run"] == [0, "", ""]
    assert "Layers" not in lambda_.get_function_configuration(FunctionName=name)
