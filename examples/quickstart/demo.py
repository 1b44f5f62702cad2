#!/usr/bin/env python3
"""The whole road in a local AWS: build, deploy a real MCP server with the real Terraform, call one of its tools, destroy.

Needs Rust, terraform, python3, make and a C compiler. Everything else is fetched, pinned, into target/. Nothing listens but on
loopback, nothing is left behind but target/, and no AWS account is touched: every credential in this process is replaced.

    make demo        or        python3 examples/quickstart/demo.py [--runtime python3.12]
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
VENV = ROOT / "target" / "venv"
REGION = "us-east-1"

# One tool call as AgentCore Gateway makes it: the event holds the arguments, the client context names `<target>___<tool>`.
TOOL = "get_current_time"
ARGUMENTS = {"timezone": "Europe/Berlin"}

BOLD, DIM, RESET = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class Failed(Exception):
    """A step that did not end well; the message says what to do."""


class Steps:
    """Numbers and times the steps, and keeps what each one says apart from our own words."""

    def __init__(self):
        self.taken = []

    @contextlib.contextmanager
    def step(self, title):
        print(f"\n{BOLD}{len(self.taken) + 1}. {title}{RESET}", flush=True)
        started = time.monotonic()
        try:
            yield
        finally:
            self.taken.append((title, time.monotonic() - started))
        print(f"   {DIM}{self.taken[-1][1]:.1f} s{RESET}", flush=True)

    def summary(self):
        width = max(len(title) for title, _ in self.taken)
        total = sum(seconds for _, seconds in self.taken)
        print(f"\n{BOLD}How long it took{RESET}")
        for number, (title, seconds) in enumerate(self.taken, 1):
            print(f"   {number:>2}. {title:<{width}} {seconds:7.1f} s")
        print(f"       {'all together':<{width}} {total:7.1f} s", flush=True)


def run(command, env=None, cwd=ROOT, ok=(0,), shown=str.strip):
    """Runs a program and passes what it says on, indented, as it is said, as far as it is to be `shown`. Returns its status."""
    hidden = []
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    try:
        for line in process.stdout:
            if shown(line):
                print(f"   {line}", end="", flush=True)
            else:
                hidden.append(line)
        status = process.wait()
    except BaseException:
        # Ctrl-C reaches terraform too, which then finishes what it is doing: a second signal would make it leave its state behind.
        process.wait()
        raise
    if status not in ok:
        print("".join(f"   {line}" for line in hidden if line.strip()), end="")
        raise Failed(f"`{' '.join(str(part) for part in command)}` ended with status {status}; see above")
    return status


def until(last):
    """Shows lines that are not empty, up to the one that is `last`."""
    passed = False

    def shown(line):
        nonlocal passed
        passed = passed or line.strip() == last
        return line.strip() and not passed

    return shown


class LocalAws:
    """local-aws as a process of ours. It ends when its standard input does, so it cannot outlive this program."""

    def __init__(self, program, log):
        self.process = subprocess.Popen(
            [str(program), "--target", str(ROOT / "target")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            # Ctrl-C is for terraform; local-aws has to be there until terraform is done.
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"local-aws ended with status {self.process.wait()} before it was ready; see {log.name}")
        self.ready = json.loads(line)
        # Whatever it prints later must not fill the pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def newest_runtime(runtimes):
    """The newest Python runtime for which local-aws found an interpreter."""
    pythons = [name for name in runtimes if name.startswith("python3.")]
    if not pythons:
        raise Failed(
            "no Python interpreter from 3.10 on was found to run the function with; put python3.13 on PATH, "
            "or run this as root on Debian, where tests/local-aws/install.sh makes one"
        )
    return max(pythons, key=lambda name: int(name.rsplit(".", 1)[1]))


def clean_environment(endpoint, work):
    """This process's environment without anything that would lead terraform or the provider out of the demo."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TF_")) or name in ("TF_LOG", "TF_LOG_PATH", "TF_LOG_PROVIDER")
    }
    # What is asked for on loopback must not go through a proxy.
    no_proxy = ",".join(filter(None, [env.get("NO_PROXY") or env.get("no_proxy"), "127.0.0.1", "localhost"]))
    env.update(
        AWS_ENDPOINT_URL=endpoint,
        AWS_REGION=REGION,
        # boto3 reads only this one.
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        TF_CLI_CONFIG_FILE=str(work / "terraform.rc"),
        TF_IN_AUTOMATION="1",
        TF_INPUT="0",
        CHECKPOINT_DISABLE="1",
        # uv's cache and the provider's.
        XDG_CACHE_HOME=str(ROOT / "target" / "cache"),
        NO_PROXY=no_proxy,
        no_proxy=no_proxy,
        # The provider drives uv: the pinned one.
        PATH=f"{VENV / 'bin'}{os.pathsep}{env['PATH']}",
    )
    return env


def install_provider(work):
    """Offers the provider that was built as a mirror of the registry, so that `terraform init` really installs it."""
    program = TARGET / "debug" / "terraform-provider-mcplambda"
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    print("   " + version.strip().replace("\n", "\n   "))
    number = next(word for word in version.split() if word[:1].isdigit())
    platform = json.loads(subprocess.run(["terraform", "version", "-json"], check=True, capture_output=True, text=True,
                                         env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}).stdout)
    folder = work / "mirror" / "registry.terraform.io" / "mcplambda" / "mcplambda" / number / platform["platform"]
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-mcplambda_v{number}").symlink_to(program)
    (work / "terraform.rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{work / "mirror"}"\n  }}\n}}\n'
    )
    print(f"   Terraform {platform['terraform_version']} on {platform['platform']}")


def show_outputs(terraform, env):
    outputs = json.loads(
        subprocess.run([*terraform, "output", "-json"], check=True, capture_output=True, text=True, env=env).stdout
    )
    value = lambda name: outputs[name]["value"]
    packages = value("resolved_packages")
    print(f"   resolved_packages ({len(packages)}):")
    for name, version in sorted(packages.items()):
        print(f"      {name} {version}")
    print(f"   qualified_arn: {value('qualified_arn')}")
    print("   tool_schema_json:")
    for tool in json.loads(value("tool_schema_json")):
        print(f"      {json.dumps(tool)}")
    print(f"   verification: {json.dumps(value('verification'))}")
    return value("qualified_arn")


# What follows runs inside target/venv, which has boto3.
CALL = """
import base64, boto3, json, sys, time
from botocore.config import Config
arn, tool, arguments = sys.argv[1:]
context = {"custom": {"bedrockAgentCoreToolName": f"time___{tool}", "bedrockAgentCoreMessageVersion": "1.0"}}
client = boto3.client("lambda", config=Config(read_timeout=120))
started = time.monotonic()
answer = client.invoke(
    FunctionName=arn, Payload=arguments, ClientContext=base64.b64encode(json.dumps(context).encode()).decode()
)
milliseconds = (time.monotonic() - started) * 1000
payload = json.loads(answer["Payload"].read())
print(json.dumps({"error": answer.get("FunctionError"), "payload": payload, "milliseconds": round(milliseconds, 1)}))
"""

LEFT = """
import boto3, json
print(json.dumps({
    "functions": [it["FunctionName"] for it in boto3.client("lambda").list_functions()["Functions"]],
    "roles": [it["RoleName"] for it in boto3.client("iam").list_roles()["Roles"]],
    "log groups": [it["logGroupName"] for it in boto3.client("logs").describe_log_groups()["logGroups"]],
    "queues": boto3.client("sqs").list_queues().get("QueueUrls", []),
}))
"""


def in_venv(program, env, *arguments):
    """Runs a Python program with boto3 and returns what it printed."""
    ran = subprocess.run([VENV / "bin" / "python", "-c", program, *arguments], capture_output=True, text=True, env=env)
    if ran.returncode != 0:
        raise Failed(f"boto3 failed:\n{ran.stderr}")
    return ran.stdout


def call_tool(arn, env):
    """Calls the tool as AgentCore would and returns its answer and the milliseconds that it took."""
    called = in_venv(CALL, env, arn, TOOL, json.dumps(ARGUMENTS))
    answer = json.loads(called)
    payload = answer["payload"]
    if answer["error"] or not isinstance(payload, dict) or payload.get("isError") or not payload.get("content"):
        raise Failed(f"{TOOL} did not answer: {called}")
    return payload, answer["milliseconds"]


def demo(options, steps, stack, work):
    with steps.step("Build the bridge, the provider and local-aws"):
        run(["make", "--no-print-directory", "build", "local-aws"])
    with steps.step("Fetch moto, uv and the Runtime Interface Emulator into target/"):
        run(["make", "--no-print-directory", "venv"])
    with steps.step("Start a local AWS"):
        log = stack.enter_context(open(work / "local-aws.log", "w"))
        aws = LocalAws(TARGET / "debug" / "local-aws", log)
        stack.callback(aws.stop)
        runtime = options.runtime or newest_runtime(aws.ready["runtimes"])
        print(f"   {aws.ready['endpoint']}, process {aws.process.pid}")
        print(f"   runtime {runtime}: {aws.ready['runtimes'].get(runtime, 'no interpreter at hand')}")

    env = clean_environment(aws.ready["endpoint"], work)
    env["TF_VAR_runtime"] = runtime
    project = work / "quickstart"
    project.mkdir()
    shutil.copy(ROOT / "examples" / "quickstart" / "main.tf", project)
    terraform = ["terraform", f"-chdir={project}"]
    with steps.step("terraform init"):
        install_provider(work)
        # Of what it says, only what it did: advice about lock files for other platforms is not for a demo.
        run([*terraform, "init", "-no-color"], env=env, shown=lambda line: line.startswith("- "))
    with steps.step("terraform apply: resolve, package, deploy, verify"):
        # Its list of outputs comes in the next step.
        run([*terraform, "apply", "-auto-approve", "-no-color"], env=env, shown=until("Outputs:"))
    with steps.step("The outputs"):
        arn = show_outputs(terraform, env)
    with steps.step(f"Call {TOOL} as AgentCore Gateway would"):
        print(f"   arguments: {json.dumps(ARGUMENTS)}")
        for nth in ("first", "second"):
            payload, milliseconds = call_tool(arn, env)
            print(f"   {nth} answer, after {milliseconds:.0f} ms:")
            print("   " + json.dumps(payload, indent=2).replace("\n", "\n   "))
    with steps.step("terraform plan again: nothing to do"):
        if run([*terraform, "plan", "-detailed-exitcode", "-no-color"], env=env, ok=(0, 2)) == 2:
            raise Failed("the second plan is not empty; that is a defect")
    with steps.step("terraform destroy"):
        # Its plan lists every attribute once more.
        progress = lambda line: line.startswith(("mcplambda_", "Destroy"))
        run([*terraform, "destroy", "-auto-approve", "-no-color"], env=env, shown=progress)
        left = json.loads(in_venv(LEFT, env))
        print("   left in the local AWS: " + ", ".join(f"{len(names)} {kind}" for kind, names in left.items()))
        if any(left.values()):
            raise Failed(f"destroy left something behind; that is a defect: {left}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runtime", help="Lambda runtime (default: the newest for which an interpreter is at hand)")
    options = arguments.parse_args()
    steps = Steps()
    log = ""
    try:
        # Unwound in reverse: local-aws first, then the folder with its log, so a failure reads the log in between.
        with tempfile.TemporaryDirectory(prefix="mcplambda-demo-") as folder:
            work = pathlib.Path(folder)
            try:
                with contextlib.ExitStack() as stack:
                    demo(options, steps, stack, work)
            finally:
                path = work / "local-aws.log"
                log = path.read_text(errors="replace") if path.exists() else ""
    except (Failed, subprocess.CalledProcessError, KeyError) as error:
        if log.strip():
            print("\nlocal-aws said at the end:\n   " + "\n   ".join(log.strip().splitlines()[-30:]))
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; local-aws is stopped, and with it all that was deployed is gone", file=sys.stderr)
        return 130
    steps.summary()
    print("\nEverything was destroyed, and local-aws is stopped. In an AWS account: the same main.tf in examples/quickstart.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
