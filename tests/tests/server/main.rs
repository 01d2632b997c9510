//! kmssd as its clients see it: over a Unix socket and over TLS, through the contract alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod calls;
mod deeds;
mod forks;
mod hostile;
mod hsm;
mod kit;
mod life;
mod requests;
mod shares;
mod traces;
