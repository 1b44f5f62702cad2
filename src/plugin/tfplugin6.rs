//! The messages and the service of Terraform's plugin protocol 6, generated from
//! `proto/tfplugin6.proto` at build time.
//!
//! Nothing is written by hand here. Only the rooms next door in `plugin/` name these types: a
//! resource's author sees typed models instead.

#![allow(clippy::all, missing_docs, unreachable_pub)] // Generated code.

tonic::include_proto!("tfplugin6");
