//! Runs an unmodified MCP stdio server inside AWS Lambda and answers every event with it.
//!
//! # Layout, as an event travels
//!
//! - [`launch`], [`secret_reference`]: how the function says which server it runs, and where its secrets are. The one part that the provider shares.
//! - `run`: the loop: next event, answer, next event.
//! - `runtime_api`, `http_response`: Lambda's HTTP interface to its runtimes.
//! - `event`, `http`: what kind of event it is, and what it asks for.
//! - `serve`: what each kind of event is owed, whatever the server does.
//! - `agentcore`, `streamable_http` with `metadata`: the two kinds that have rules of their own.
//! - `request`: one JSON-RPC request to its answer: the bridge's own, or the server's.
//! - `era`, `outgoing`, `incoming`, `notice`: what a message needs to cross from one era of MCP to the other, in each direction.
//! - `tools`, [`glob`]: which tools callers see, and under which names.
//! - `catalogue`, `arguments`, `schema`: arguments that a gateway could only pass as text, turned back as the server's own schemas say.
//! - `trace`, `metrics`: what a call leaves behind for those who watch the function.
//! - `session`: one server after another: started when needed, asked with a deadline, replaced when it no longer answers.
//! - `conversation`: what is said to one server: handshake, requests, refusals.
//! - `child`, `lines`, `orphans`, `environment`: the server's process, what it writes and leaves behind, and what it sees of the function's environment.
//! - `secrets`: what the server's environment gets from Secrets Manager and Parameter Store.
//! - `jsonrpc`, `json`, `body`: messages whose parts stay raw text.
//! - `fuzzing`: what the fuzz targets call, and a test with what they have found; not built otherwise.
//! - `error`, `log`: what is told when something goes wrong, and to whom.
//!
//! # Invariants
//!
//! - Every event gets an answer before Lambda ends the function, and a JSON-RPC answer carries its caller's id.
//! - Arguments and results are passed on as the text they came as.
//! - One thread, and one place where it sleeps: on all of the server's pipes and the Runtime API at once.
//! - A call that was written to a server is never written to a second one.

pub mod glob;
pub mod launch;
pub mod secret_reference;

#[cfg(target_os = "linux")]
mod agentcore;
#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod body;
#[cfg(target_os = "linux")]
mod catalogue;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod conversation;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod era;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod event;
#[cfg(all(target_os = "linux", any(fuzzing, test)))]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod http_response;
#[cfg(target_os = "linux")]
mod incoming;
#[cfg(target_os = "linux")]
mod json;
#[cfg(target_os = "linux")]
mod jsonrpc;
#[cfg(target_os = "linux")]
mod lines;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod metadata;
#[cfg(target_os = "linux")]
mod metrics;
#[cfg(target_os = "linux")]
mod notice;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod outgoing;
#[cfg(target_os = "linux")]
mod request;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
mod runtime_api;
#[cfg(target_os = "linux")]
mod schema;
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod streamable_http;
#[cfg(target_os = "linux")]
mod tools;
#[cfg(target_os = "linux")]
mod trace;
