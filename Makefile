# The two commands of the README are `make demo` and `make test`. Everything that is built or fetched stays under target/.
#
# build    the bridge for both architectures where this machine can, then the provider with them inside
# bridge   the bridge alone: target/bridge/{x86_64,arm64}/bridge
# check    format, lints, docs and the hermetic tests: needs Rust, python3 (for uv) and npm; two tests ask PyPI and npm's registry
# test     check, local-aws's own tests, the outside tests, and the end-to-end tests with the real terraform
# outside  MCP's conformance suite, and other people's clients and servers, against the bridge; needs python3 3.11 and npm
# e2e-servers   sixteen public servers from HCL to an answered tool call; e2e-servers-docs writes what was seen into docs/servers.md
# demo     from nothing to a tool call that answers, in a local AWS
# bench    measures the bridge beside the peer, into target/bench/results.{md,json}; bench-docs writes docs/benchmarks.md too
# bench-images   counts what is sent to a registry when an image changes, and writes it into docs/benchmarks.md
# bench-packaging   measures the packaging beside pip, npm and zip; bench-packaging-docs writes docs/benchmarks.md too
# arm64-test   the representative part of the bridge's tests with the arm64 bridge, under an emulator
# docs     regenerates docs/ from the schema
# venv     what local-aws and the tests need, pinned, under target/

SHELL := /bin/sh
VENV := target/venv
# Built and tested together, always: with one package more or less cargo chooses other features of what they share, and compiles the AWS SDK anew.
# Without the bridge, which is built by itself, as it is for Lambda.
OURS := --package terraform-provider-mcplambda --package local-aws --package benches

.PHONY: help build bridge local-aws check format lint doc hermetic test test-binaries arm64-test local-aws-test outside e2e e2e-servers e2e-servers-docs demo bench bench-docs bench-images bench-packaging bench-packaging-docs docs venv
help:
	@sed -n '/^# [a-z0-9-]*   /s/^# //p' Makefile

build: bridge
	cargo build --locked $(OURS) --bin terraform-provider-mcplambda

bridge: tools
	@bridge/build.sh

local-aws: tools
	cargo build --locked $(OURS) --bin local-aws

check: format lint doc hermetic

format:
	cargo fmt --all --check

lint:
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test e2e -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

# The bridge first: the tests look into the one that is embedded.
# The bridge by itself, as it is built for Lambda: the provider's features of serde_json would reorder its JSON.
hermetic: bridge
	@tests/local-aws/install.sh --only venv
	cargo test --locked --quiet $(OURS)
	cargo test --locked --quiet --package mcplambda-bridge

test: tools-for-test tools-for-outside tools-for-images check local-aws-test outside e2e

# Provider and local-aws as `cargo test` builds them: the same compiled dependencies serve check, local-aws-test and e2e.
test-binaries: bridge
	cargo build --locked $(OURS) --all-targets --quiet

# Without what waits for seconds or counts memory, and without two tests of a duty that the emulator refuses the bridge: to adopt orphans.
arm64-test: tools
	@missing=; $(call needs,qemu-aarch64-static,install it (Debian and Ubuntu: apt-get install qemu-user-static)); [ -z "$$missing" ]
	@bridge/build.sh arm64
	MCPLAMBDA_TEST_RUNNER=qemu-aarch64-static MCPLAMBDA_TEST_BRIDGE=$(abspath $(or $(CARGO_TARGET_DIR),target))/bridge/arm64/bridge \
	cargo test --locked --quiet --package mcplambda-bridge --test it -- \
	    --skip endurance:: --skip freeze:: --skip starts:: --skip secrets:: --skip a_hung_ --skip there_are_never_two --skip beyond_all_measure \
	    --skip what_left_the_servers_group --skip what_a_running_server_let_go

local-aws-test: venv test-binaries
	$(VENV)/bin/python -m pytest -q tests/local-aws

# These need neither terraform nor the provider, only the bridge and local-aws.
outside: tools-for-outside bridge
	@tests/outside/install.sh
	cargo build --locked $(OURS) --bins --quiet
	$(VENV)/bin/python -m pytest -q tests/outside

e2e: venv test-binaries
	cargo test --locked $(OURS) --test e2e

# Images of servers are made of a Debian root filesystem, which root makes.
e2e-servers: venv tools-for-images test-binaries
	@tests/local-aws/install.sh --only python --rootfs
	MCPLAMBDA_SERVERS=all cargo test --locked $(OURS) --test e2e servers::

e2e-servers-docs: export MCPLAMBDA_UPDATE_DOCS = 1
e2e-servers-docs: e2e-servers

demo: tools-for-test
	@python3 examples/quickstart/demo.py

# BENCH: more options, such as --quick or --only warm; `target/release/benches` says which there are.
BENCH =
bench: bridge
	@bridge/build.sh --without-secrets
	@benches/install.sh
	cargo build --locked --quiet --release --package benches
	@target=$${CARGO_TARGET_DIR:-target}; "$$target/release/benches" --installed target/bench $(BENCH) \
	    --bridge "$$target/bridge/$$(uname -m | sed s/aarch64/arm64/)/bridge"

bench-docs: BENCH += --docs docs/benchmarks.md
bench-docs: bench

# The provider's own code is optimised, as it is shipped; its dependencies are those that the tests are built with, and compiled already.
bench-packaging: venv bridge
	cargo build --locked --quiet $(OURS) --example package-server --config profile.dev.package.terraform-provider-mcplambda.opt-level=3
	cargo build --locked --quiet --release --package benches
	@target=$${CARGO_TARGET_DIR:-target}; PATH="$(abspath $(VENV))/bin:$$PATH" "$$target/release/benches" packaging $(BENCH) \
	    --ours "$$target/debug/examples/package-server" --work target/bench/packaging \
	    --bridge "$$target/bridge/$$(uname -m | sed s/aarch64/arm64/)/bridge"

# What is sent to a registry: counted, not timed, so a build for tests does.
bench-images: bridge
	cargo build --locked --quiet $(OURS) --example image-bytes
	@"$${CARGO_TARGET_DIR:-target}/debug/examples/image-bytes" --docs docs/benchmarks.md

bench-packaging-docs: BENCH += --docs docs/benchmarks.md
bench-packaging-docs: bench-packaging

docs:
	MCPLAMBDA_UPDATE_DOCS=1 cargo test --locked --quiet $(OURS) --test it docs_fresh

venv: tools-for-test
	@tests/local-aws/install.sh

# needs PROGRAM,HOW-TO-GET-IT: says the sentence (without commas) and sets `missing` when the program is not on PATH.
needs = command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; missing=1; }

rust_tools = $(call needs,cargo,install Rust $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer from https://rustup.rs); \
	$(call needs,cc,install a C compiler (Debian and Ubuntu: apt-get install gcc libc6-dev))

.PHONY: tools tools-for-test tools-for-outside tools-for-images
tools:
	@missing=; $(rust_tools); [ -z "$$missing" ]

tools-for-test:
	@missing=; $(rust_tools); \
	$(call needs,terraform,install Terraform 1.8 or newer from https://developer.hashicorp.com/terraform/install); \
	$(call needs,python3,install Python 3.10 or newer (Debian and Ubuntu: apt-get install python3 python3-venv)); \
	$(call needs,npm,install Node 20 or newer with npm); \
	[ -z "$$missing" ]

tools-for-outside:
	@missing=; $(call needs,npm,install Node 20 or newer with npm); [ -z "$$missing" ]

tools-for-images:
	@missing=; $(call needs,docker-registry,install it (Debian and Ubuntu: apt-get install docker-registry)); \
	$(call needs,qemu-aarch64-static,install it (Debian and Ubuntu: apt-get install qemu-user-static)); \
	$(call needs,aarch64-linux-gnu-gcc,install it (Debian and Ubuntu: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)); \
	[ -z "$$missing" ]
