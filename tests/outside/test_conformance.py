"""MCP's conformance suite against the bridge behind a function URL, in both eras and both invoke modes.

`baselines/REVISION-MODE.yml` lists each check that is expected to fail, with the reason. The suite fails on a failure that is not
listed, and on a listed one that passes.
"""

import re
import shutil
import subprocess

import pytest
import yaml
from conftest import EVERYTHING, HERE, INSTALLED, NODE, PATIENCE, ROOT, Front

SUITE = INSTALLED / "clients/node_modules/@modelcontextprotocol/conformance/dist/index.js"

# (revision, mode): scenarios that the revision requires of a server, and how many of them have a failing check.
RUNS = {
    ("2026-07-28", "buffered"): (37, 1),
    ("2026-07-28", "streaming"): (37, 0),
    ("2025-11-25", "buffered"): (30, 6),
    ("2025-11-25", "streaming"): (30, 4),
}
# The suite only warns here, but its baseline takes a warning for a failure.
WARNINGS = {"server-sse-multiple-streams"}


def baseline(revision, mode):
    return HERE / "baselines" / f"{revision}-{mode}.yml"


def expected(revision, mode):
    """The scenarios that the baseline names."""
    entries = yaml.safe_load(baseline(revision, mode).read_text())["server"]
    return {entry.partition(":")[0] for entry in entries}


def suite(*arguments):
    # The output is read while the suite runs: it is more than a pipe holds.
    return subprocess.run([NODE, SUITE, *arguments], stdout=subprocess.PIPE, text=True, timeout=PATIENCE)


def run(revision, mode):
    results = INSTALLED / "results" / f"{revision}-{mode}"
    shutil.rmtree(results, ignore_errors=True)
    with Front(EVERYTHING, streaming=mode == "streaming") as front:
        front.warm()
        return suite(
            "server", "--url", front.mcp, "--requirements", revision, "-o", results,
            "--expected-failures", baseline(revision, mode), "--timeout", str(PATIENCE * 1000),
        )


@pytest.mark.parametrize("revision, mode", RUNS)
def test_what_a_revision_requires_passes_but_for_what_the_baseline_explains(revision, mode):
    done = run(revision, mode)
    assert done.returncode == 0, done.stdout

    listed = suite("list", "--server", "--requirements", revision).stdout
    required = set(re.findall(r"^  - (\S+)$", listed.partition("Client scenarios")[0], re.MULTILINE))
    passed = dict((name, mark == "✓") for mark, name in re.findall(r"^([✓✗]) (\S+): \d+ passed", done.stdout, re.MULTILINE))
    assert required <= passed.keys(), "the suite left out scenarios that it requires"
    failed = {name for name in required if not passed[name]}
    assert failed == expected(revision, mode) - WARNINGS
    assert (len(required), len(failed)) == RUNS[revision, mode]


def test_each_expected_failure_is_documented():
    documented = (ROOT / "docs/compatibility.md").read_text()
    named = {name for key in RUNS for name in expected(*key)}
    assert named and {name for name in named if f"`{name}`" not in documented} == set()
