"""Container images: ECR's registry on loopback, and functions that run in what was pushed to it."""

import base64
import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import urllib.request

import botocore.exceptions
import pytest


def request(method, url, body=None, kind="application/octet-stream"):
    asked = urllib.request.Request(url, method=method, data=body, headers={"Content-Type": kind})
    with urllib.request.urlopen(asked) as answer:
        return answer.status, dict(answer.headers), answer.read()


def put_blob(repository, content):
    """Pushes a blob to `host/name` and returns its descriptor."""
    host, name = repository.split("/", 1)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _, headers, _ = request("POST", f"http://{host}/v2/{name}/blobs/uploads/", b"")
    status, *_ = request("PUT", f"{headers['Location']}&digest={digest}", content)
    assert status == 201
    return {"digest": digest, "size": len(content)}


def layer_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


def push(repository, layers, config):
    """Pushes an image and returns its digest."""
    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": {"mediaType": f"{oci}.config.v1+json", **put_blob(repository, json.dumps(config).encode())},
        "layers": [{"mediaType": f"{oci}.layer.v1.tar+gzip", **put_blob(repository, layer)} for layer in layers],
    }
    content = json.dumps(manifest).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    host, name = repository.split("/", 1)
    status, *_ = request("PUT", f"http://{host}/v2/{name}/manifests/{digest}", content, manifest["mediaType"])
    assert status == 201
    return digest


def shell():
    """This machine's shell and what it is linked to."""
    linked = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout.split()
    paths = [word for word in linked if word.startswith("/")] + ["/bin/sh"]
    return {path[1:]: pathlib.Path(path).read_bytes() for path in paths}


@pytest.fixture
def repository(aws):
    made = aws.client("ecr").create_repository(repositoryName="images/one")["repository"]
    assert aws.ready["registry"], "these tests need docker-registry (Debian and Ubuntu: apt-get install docker-registry)"
    assert made["repositoryUri"] == f"{aws.ready['registry']}/images/one"
    yield made["repositoryUri"]
    aws.client("ecr").delete_repository(repositoryName="images/one", force=True)


def create_image(aws, role, uri):
    return aws.client("lambda").create_function(
        FunctionName="boxed", Role=role, PackageType="Image", Code={"ImageUri": uri}
    )


def test_an_image_that_was_not_pushed_is_refused(aws, role, repository):
    with pytest.raises(botocore.exceptions.ClientError, match="does not exist. Provide a valid source image."):
        create_image(aws, role, f"{repository}@sha256:{'0' * 64}")


def test_a_function_runs_in_its_image_as_the_image_says(aws, role, repository):
    # The second layer takes a file of the first away.
    layers = [layer_of({**shell(), "app/gone": b"1", "app/kept": b"1"}), layer_of({"app/.wh.gone": b""})]
    script = '[ -e gone ] && g=there || g=gone; echo "$PWD $A $g $1 $0" >&2; exit 3'
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/bin/sh", "-c", script, "zero"],
            "Cmd": ["one"],
            "Env": ["A=b"],
            "WorkingDir": "/app",
        },
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    digest = push(repository, layers, config)
    lambda_ = aws.client("lambda")
    made = create_image(aws, role, f"{repository}@{digest}")
    assert made["CodeSha256"] == digest.removeprefix("sha256:")
    lambda_.get_waiter("function_active_v2").wait(FunctionName="boxed")
    answer = lambda_.invoke(FunctionName="boxed", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "/app b gone one zero" in log
    changed = lambda_.update_function_configuration(FunctionName="boxed", Timeout=5)
    assert changed["CodeSha256"] == made["CodeSha256"]
    lambda_.delete_function(FunctionName="boxed")


def test_images_are_listed_lose_tags_and_go_with_their_last_one(aws, repository):
    ecr = aws.client("ecr")
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    digests = [push(repository, [layer_of({"number": number})], config) for number in (b"1", b"2")]
    host, name = repository.split("/", 1)
    kind = "application/vnd.oci.image.manifest.v1+json"
    asked = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{digests[0]}", headers={"Accept": kind})
    with urllib.request.urlopen(asked) as answer:
        manifest = answer.read()
    for tag in ("a", "b"):
        request("PUT", f"http://{host}/v2/{name}/manifests/{tag}", manifest, kind)

    def listed(status="ANY"):
        return ecr.list_images(repositoryName=name, filter={"tagStatus": status})["imageIds"]

    def delete(*images):
        answer = ecr.batch_delete_image(repositoryName=name, imageIds=list(images))
        return answer["imageIds"], [failure["failureCode"] for failure in answer["failures"]]

    a, b = ({"imageDigest": digests[0], "imageTag": tag} for tag in ("a", "b"))
    untagged = {"imageDigest": digests[1]}
    assert listed() == [a, b, untagged]
    assert listed("TAGGED") == [a, b]
    assert listed("UNTAGGED") == [untagged]

    assert delete({"imageTag": "a"}, {"imageTag": "c"}) == ([a], ["ImageNotFound"])
    assert listed() == [b, untagged]
    assert delete({"imageTag": "b"}) == ([b], [])
    assert listed() == [untagged]
    assert delete(untagged) == ([], [])
    assert listed() == []

    push(repository, [layer_of({"number": b"3"})], config)
    ecr.delete_repository(repositoryName=name, force=True)
    ecr.create_repository(repositoryName=name)
    assert listed() == []
