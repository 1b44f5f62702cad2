"""What bytecode and compile caches are worth at the start of a packaged server.

usage: cold_starts.py PACKAGE_SERVER WORK [ROUNDS]

PACKAGE_SERVER is the example of that name, WORK a folder that is made. Packages are made for the Python that runs this script, which must be
one of Lambda's versions, and for the `node` on PATH. Prints a table: until `initialize` is answered, the time on the clock and the time that the
process was on a core, which other programs disturb less; medians, with the smallest and the largest.
"""

import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile

HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}}


def package(program, work, name, compile_bytecode):
    python = not name.startswith("@")
    job = {
        "command": "uvx" if python else "npx",
        "args": [name] if python else ["-y", name],
        "runtime": "python3.%d" % sys.version_info[1] if python else "nodejs22.x",
        "compile_bytecode": compile_bytecode,
        "lock": None,
        "cache_dir": os.path.join(work, "cache"),
        "zip": os.path.join(work, "package.zip"),
    }
    said = json.loads(subprocess.run([program, json.dumps(job)], stdout=subprocess.PIPE, check=True).stdout)
    folder = os.path.join(work, "%s-%s" % (name.rsplit("/", 1)[-1], compile_bytecode))
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(job["zip"]) as packed:
        packed.extractall(folder)
    argv = [word.replace("/var/task", folder) for word in said["argv"]]
    return folder, argv, os.path.getsize(job["zip"])


def start(folder, argv, variables):
    """Milliseconds on the clock and on a core until the server has answered."""
    program = shutil.which("node") if argv[0] == "node" else sys.executable
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONPATH": os.path.join(folder, "site-packages"), **variables}
    begun = time.perf_counter()
    server = subprocess.Popen([program, *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              cwd=folder, env=environment)
    server.stdin.write(json.dumps(HELLO).encode() + b"\n")
    server.stdin.flush()
    line = server.stdout.readline()
    clock = time.perf_counter() - begun
    core = 0
    for task in glob.glob("/proc/%d/task/*/schedstat" % server.pid):
        with open(task) as file:
            core += int(file.read().split()[0])
    assert b"serverInfo" in line, line
    # Node writes its compile cache when it ends by itself.
    server.stdin.close()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    return clock * 1000, core / 1e6


def shown(values):
    return "%.0f (%.0f to %.0f)" % (statistics.median(values), min(values), max(values))


def main():
    program, work = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    os.makedirs(work, exist_ok=True)
    work = os.path.abspath(work)
    quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
    print("| server | | zip, MB | clock, ms | core, ms |\n|---|---|---|---|---|")
    for name in ["mcp-server-time", "awslabs.aws-documentation-mcp-server", "@modelcontextprotocol/server-everything"]:
        plain = package(program, work, name, False)
        cache = os.path.join(work, "compiled")
        if name.startswith("@"):
            variables = {"NODE_COMPILE_CACHE": cache}
            sides = [("as it is", plain, {}), ("`NODE_COMPILE_CACHE`", plain, variables)]
        else:
            compiled = package(program, work, name, True)
            variables = {"PYTHONPYCACHEPREFIX": cache}
            sides = [("as it is", plain, quiet), ("`compile_bytecode`", compiled, quiet), ("`PYTHONPYCACHEPREFIX`", plain, variables)]
        shutil.rmtree(cache, ignore_errors=True)
        first = start(plain[0], plain[1], variables)
        taken = {label: [] for label, _, _ in sides}
        for _ in range(rounds):
            for label, (folder, argv, _), environment in sides:
                taken[label].append(start(folder, argv, environment))
        for label, (_, _, size), environment in sides:
            if environment is variables:
                print("| %s | %s, first start | | %.0f | %.0f |" % (name, label, *first))
                label_shown = label + ", later starts"
            else:
                label_shown = label
            clock, core = zip(*taken[label])
            print("| %s | %s | %.1f | %s | %s |" % (name, label_shown, size / 1e6, shown(clock), shown(core)))


if __name__ == "__main__":
    main()
