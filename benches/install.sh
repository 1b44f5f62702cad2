#!/bin/sh
# Puts what the benchmarks measure against under target/bench, pinned by hash, and nothing anywhere else:
#   peer     a venv: the library that people use today, AWS's runtime for Python, and mcp-server-time as it resolves beside them
#   newest   a venv: the newest mcp-server-time, which cannot be installed beside the peer
#   node     node_modules with @modelcontextprotocol/server-everything
# Runs again in a moment when nothing changed.
#
# usage: benches/install.sh [peer|newest|node ...]     (default: all)
set -eu
cd "$(dirname "$0")"
bench=../target/bench

say() { printf 'benches: %s\n' "$*"; }
die() { printf 'benches: %s\n' "$*" >&2; exit 1; }
# stamp FILE...: what a finished installation is recognised by.
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }

install_venv() {
    venv=$bench/$1
    want="$(stamp "python/$1.txt") $(python3 -c 'import sys; print(sys.version)' 2>/dev/null || true)"
    if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$want" ]; then return; fi
    command -v python3 >/dev/null || die "python3 (3.11 or newer) is missing; install it and run this again"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$(command -v python3) is older than 3.11, which the peer needs; put a newer python3 on PATH and run this again"
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        die "python3 has no venv (Debian and Ubuntu: apt-get install python3-venv)"
    say "making target/bench/$1 ($(grep -c '^[^#].*==' "python/$1.txt") pinned packages; about a minute)"
    rm -rf "$venv"
    python3 -m venv "$venv"
    # pip compiles to bytecode as it installs: no start that is measured pays for it.
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "python/$1.txt"
    echo "$want" >"$venv/.installed"
}

install_node() {
    want="$(stamp node/package.json node/package-lock.json) $(node --version 2>/dev/null || true)"
    if [ "$(cat "$bench/node/.installed" 2>/dev/null)" = "$want" ]; then return; fi
    command -v npm >/dev/null || die "npm is missing; install Node 20 or newer with npm and run this again"
    say "making target/bench/node ($(grep -c '"integrity"' node/package-lock.json) pinned packages)"
    rm -rf "$bench/node"
    mkdir -p "$bench/node"
    cp node/package.json node/package-lock.json "$bench/node/"
    npm ci --prefix "$bench/node" --ignore-scripts --no-audit --no-fund --loglevel error
    echo "$want" >"$bench/node/.installed"
}

mkdir -p "$bench"
[ $# -gt 0 ] || set -- peer newest node
for part in "$@"; do
    case $part in
        peer | newest) install_venv "$part" ;;
        node) install_node ;;
        *) die "unknown part $part (peer, newest, node)" ;;
    esac
done
