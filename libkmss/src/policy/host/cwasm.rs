//! The one place where wasmtime is given machine code instead of WebAssembly. It believes whatever it is given, flipped
//! bits included, so the code must be known to be what this host compiled.
#![expect(unsafe_code, reason = "loading machine code has no safe interface")]

use wasmtime::{Engine, Module};

use super::cache::Verified;

/// Loads code that [`Verified`] vouches for; `None` where wasmtime refuses it.
pub(super) fn load(engine: &Engine, code: &Verified<'_>) -> Option<Module> {
    // SAFETY: the bytes are an output of `Module::serialize` of an engine with the same identity (version, settings,
    // processor): their MAC, under a key that only hosts of this home know, was checked over these very bytes, which are
    // borrowed since.
    unsafe { Module::deserialize(engine, code.bytes()) }.ok()
}
