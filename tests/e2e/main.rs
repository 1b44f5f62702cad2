//! End to end: the real terraform drives the provider against local-aws, and functions really run.
//!
//! Needs terraform on PATH, and what `make test` prepares: the bridge, local-aws, and the venv that
//! `tests/local-aws/install.sh` makes. What is missing fails the test and says how to get it.
//!
//! Every test has its own local-aws and its own package index, so they run in parallel. The package index serves tiny
//! MCP servers; `bare`, `servers` and two more tests take public ones, from PyPI and from npm.

#![cfg(unix)]

mod harness;
#[path = "../shared/npm_registry.rs"]
#[allow(
    dead_code,
    reason = "shared with the hermetic tests, which do more with it"
)]
mod npm_registry;
#[path = "../it/image_support.rs"]
#[expect(dead_code, reason = "tests of the registry itself use the rest")]
mod registry;

mod bare;
mod bytecode;
mod create;
mod custom;
mod destroy;
mod drift;
mod faults;
mod function_url;
mod image;
mod image_kill;
mod import;
mod input;
mod kill;
mod large;
mod layers;
mod lock;
mod node;
mod npx;
mod options;
mod regions;
mod servers;
mod update;
mod verify;
