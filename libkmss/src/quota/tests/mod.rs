//! Tests of the book and the ledger on a store in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod blocks;
mod house;
mod keys;
mod quotas;
