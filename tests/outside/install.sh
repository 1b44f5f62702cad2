#!/bin/sh
# Puts what the outside tests run under target/outside, pinned by hash, and nothing anywhere else:
#   NAME      a venv for each python/NAME.txt: clients and servers, each with the versions that it goes with
#   clients   node_modules with the conformance suite, the TypeScript clients and the Node that they run on
#   NAME      node_modules for each other npm/NAME: a server
# and what local-aws runs functions with (target/venv, target/tools). Runs again in a moment when nothing changed; afterwards the tests need no network.
#
# usage: tests/outside/install.sh [PART ...]     (default: all)
set -eu
cd "$(dirname "$0")"
root=../..
outside=$root/target/outside
uv=$root/target/venv/bin/uv

say() { printf 'outside: %s\n' "$*"; }
die() { printf 'outside: %s\n' "$*" >&2; exit 1; }
# stamp FILE...: what a finished installation is recognised by.
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }

install_python() {
    venv=$outside/$1
    want="$(stamp "python/$1.txt") $(python3 -c 'import sys; print(sys.version)')"
    if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$want" ]; then return; fi
    say "making target/outside/$1 ($(grep -c '^[^#].*==' "python/$1.txt") pinned packages)"
    rm -rf "$venv"
    "$uv" venv -q --no-python-downloads --python "$(command -v python3)" "$venv"
    "$uv" pip install -q --python "$venv/bin/python" --compile-bytecode --require-hashes --no-deps -r "python/$1.txt"
    echo "$want" >"$venv/.installed"
}

install_npm() {
    folder=$outside/$1
    want=$(stamp "npm/$1/package.json" "npm/$1/package-lock.json")
    if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$want" ]; then return; fi
    command -v npm >/dev/null || die "npm is missing; install Node 20 or newer with npm and run this again"
    say "making target/outside/$1 ($(grep -c '"integrity"' "npm/$1/package-lock.json") pinned packages)"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "npm/$1/package.json" "npm/$1/package-lock.json" "npm/$1/.npmrc" "$folder/"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error)
    echo "$want" >"$folder/.installed"
}

# Two runs at once would tread on each other's half-made folders.
mkdir -p "$outside"
if [ -z "${OUTSIDE_INSTALL_LOCKED:-}" ] && command -v flock >/dev/null; then
    export OUTSIDE_INSTALL_LOCKED=yes
    exec flock "$outside/.install.lock" "./${0##*/}" "$@"
fi

command -v python3 >/dev/null || die "python3 (3.11 or newer) is missing; install it and run this again"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$(command -v python3) is older than 3.11, which some of the packages need; put a newer python3 on PATH and run this again"
$root/tests/local-aws/install.sh --only venv,rie

if [ $# -eq 0 ]; then
    for lock in python/*.txt; do set -- "$@" "$(basename "$lock" .txt)"; done
    for lock in npm/*/package-lock.json; do set -- "$@" "$(basename "$(dirname "$lock")")"; done
fi
for part in "$@"; do
    if [ -f "python/$part.txt" ]; then
        install_python "$part"
    elif [ -f "npm/$part/package-lock.json" ]; then
        install_npm "$part"
    else
        die "unknown part $part: there is neither python/$part.txt nor npm/$part/package-lock.json"
    fi
done
