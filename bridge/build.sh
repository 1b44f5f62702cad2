#!/bin/sh
# Builds the bridge as a static executable for each of Lambda's architectures and leaves it where the provider's build
# script embeds it: <target folder>/bridge/x86_64/bridge and <target folder>/bridge/arm64/bridge.
#
# An architecture that this machine's compiler cannot build for is skipped with what to install, and a bridge of it that
# an earlier build left is removed, so that no stale one is embedded. At least one has to succeed.
#
# With --without-secrets the feature `secrets` is left out and the file is called bridge-without-secrets: it is measured, not embedded.
#
# usage: bridge/build.sh [--without-secrets] [x86_64|arm64 ...]     (default: both; a named one that cannot be built is an error)
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
# What Debian installs as rustc-web; beside it, libstd-rust-web-dev:<arch> brings the other architecture.
debian_rustc=/usr/bin/rustc

host=$(rustc -vV | sed -n 's/^host: //p')

# has_std RUSTC TRIPLE: whether that compiler has a standard library for TRIPLE.
has_std() { sysroot=$("$1" --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/$2/lib" ]; }

# choose TRIPLE LINKER: sets `rustc` and `linker`, or fails when nothing here can build for TRIPLE.
choose() {
    rustc=rustc linker=
    if [ "$1" = "$host" ]; then return; fi
    linker=$2
    command -v "$linker" >/dev/null || return 1
    if has_std rustc "$1"; then return; fi
    rustc=$debian_rustc
    has_std "$rustc" "$1"
}

# build ARCHITECTURE TRIPLE LINKER DEBIAN_ARCH: true when built, false when skipped; a failed build ends the script.
build() {
    out=$target/bridge/$1/$name
    if ! choose "$2" "$3"; then
        rm -f "$out"
        cat <<END
bridge: $1 skipped: no Rust standard library or no linker ($3) for $2 on this machine.
        A provider built now refuses architecture = "$1". On Debian and Ubuntu this brings the linker:
            apt-get install gcc-${3%-gcc} libc6-dev-$4-cross
        and one of these the library:
            rustup target add $2
            dpkg --add-architecture $4 && apt-get update && apt-get install rustc-web libstd-rust-web-dev:$4
END
        return 1
    fi
    # Set as a whole, because RUSTFLAGS from outside silently replaces per-target flags and with them +crt-static. Paths
    # are remapped so that the bytes do not depend on who built them where.
    flags="-C\037target-feature=+crt-static${linker:+\037-C\037linker=$linker}"
    flags="$flags\037--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo\037--remap-path-prefix=$PWD=/mcplambda"
    RUSTC=$rustc CARGO_ENCODED_RUSTFLAGS=$(printf %b "$flags") \
        cargo build --locked --package mcplambda-bridge --bin bridge --profile bridge --target "$2" $features || exit 1
    built=$target/$2/bridge/bridge
    mkdir -p "${out%/*}"
    # Same bytes, same file: a newer time would make the provider compile again for nothing.
    cmp -s "$built" "$out" || install -m 755 "$built" "$out" || exit 1
    echo "bridge: $out, $(wc -c <"$out" | tr -d ' ') bytes, built by $("$rustc" -V)"
}

build_architecture() {
    case $1 in
        x86_64) build x86_64 x86_64-unknown-linux-gnu x86_64-linux-gnu-gcc amd64 ;;
        arm64) build arm64 aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc arm64 ;;
        *) echo "bridge: unknown architecture $1 (x86_64, arm64)" >&2; exit 2 ;;
    esac
}

name=bridge features=
if [ "${1:-}" = --without-secrets ]; then
    shift
    name=bridge-without-secrets features=--no-default-features
fi
if [ $# -gt 0 ]; then
    for architecture in "$@"; do build_architecture "$architecture" || exit 1; done
    exit
fi
built_any=no
for architecture in x86_64 arm64; do
    if build_architecture "$architecture"; then built_any=yes; fi
done
[ $built_any = yes ] || { echo "bridge: none could be built" >&2; exit 1; }
