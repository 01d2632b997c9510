#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod constructs;
mod difference;
mod documents;
mod grammar;
mod mistakes;
mod numbers;
mod random;
mod request;
