//! Tests of the software engine, through the trait that the pipeline uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ciphers;
mod curves;
mod derivation;
mod dh;
mod encryption_vectors;
mod ff1;
mod hd;
mod hybrid;
mod import;
mod kdf;
mod keys;
mod lab;
mod macs;
mod pqc;
mod pqc_vectors;
mod recovery;
mod signature_vectors;
mod signatures;
mod sm;
mod tls;
mod wrapping;
