//! The bridge as Lambda runs it: the real binary and real servers behind a Runtime API of the test's own.

mod contract;
mod contract_http;
mod endurance;
mod eras;
mod freeze;
mod http;
mod lifecycle;
mod processes;
mod requests;
mod sandbox;
mod streaming;
mod supervision;
