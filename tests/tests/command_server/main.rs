//! `kmss --server`: the command against kmssd, over its Unix socket and over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "the tests of the server itself use the rest")]
#[path = "../server/kit.rs"]
mod kit;

mod again;
mod approvals;
mod audit;
mod imports;
mod keys;
mod messages;
mod operator;
mod past;
mod places;
mod report;
mod rules;
