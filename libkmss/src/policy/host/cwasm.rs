//! The one place where wasmtime is given machine code instead of WebAssembly. It believes whatever it is given, flipped
//! bits included, so the code must be known to be what this host compiled.
#![expect(unsafe_code, reason = "loading machine code has no safe interface")]

use wasmtime::Module;

use super::cache::Verified;
use super::engine::{GATE, Host};
use super::failure::LoadError;

/// Loads code that [`Verified`] vouches for.
///
/// # Errors
/// [`LoadError::Engine`] where wasmtime refuses it, or the process may not make code executable.
pub(super) fn load(host: &Host, code: &Verified<'_>) -> Result<Module, LoadError> {
    let _closed = GATE.enter();
    // SAFETY: the bytes are an output of `Engine::precompile_module` of an engine with the same identity (version, settings,
    // processor): this host just made them, or their MAC, under a key that only hosts of this home know, was checked over
    // these very bytes, which are borrowed since.
    unsafe { Module::deserialize(host.engine(), code.bytes()) }.map_err(|e| LoadError::Engine(e.to_string()))
}
