//! The audit log from outside: written by processes that fork, die and run out of space; attacked; verified; read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod attacks;
mod double;
mod following;
mod keeping;
mod keeping_attacks;
mod keeping_forgeries;
mod keeping_kills;
mod keeping_places;
mod process;
mod reading;
mod reserve;
mod sealing;
mod sealing_attacks;
mod together;
mod waiting;
mod writing;
