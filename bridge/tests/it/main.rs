//! The bridge as Lambda runs it: the real binary and real servers behind a Runtime API of the test's own.

mod ahead;
mod arguments;
mod contract;
mod contract_http;
mod endurance;
mod eras;
#[cfg(feature = "secrets")]
mod fake_aws;
mod freeze;
mod http;
mod kinds;
mod lifecycle;
mod metrics;
mod processes;
mod requests;
mod sandbox;
#[cfg(feature = "secrets")]
mod secrets;
#[cfg(feature = "secrets")]
mod secrets_tls;
mod starts;
mod streaming;
mod supervision;
mod tools;
mod trace;
