//! What the fuzzers run: every parser that hostile bytes reach.
//!
//! Each module has one function that takes any bytes and must return: no panic, no hang, no allocation that the bytes ask
//! for and nobody bounded. `cargo fuzz` drives them with coverage (`fuzz/fuzz_targets`); `tests/smoke.rs` runs them over
//! mutated seeds in every build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod archive;
pub mod audit;
pub mod backup;
pub mod bundle;
pub mod checkpoint;
pub mod compat;
pub mod config;
mod door;
mod input;
pub mod message;
pub mod parameter;
pub mod policy_language;
pub mod policy_request;
pub mod policy_response;
pub mod proof;
pub mod record;
pub mod sealed_file;
pub mod template;
pub mod token;
pub mod wrapped;
