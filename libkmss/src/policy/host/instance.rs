//! What an instance carries: its limits, and what went wrong in calls out of it.

use wasmtime::{Error, Memory, ResourceLimiter, Store};

use super::engine::Host;
use super::failure::Failure;
use super::limits::Limits;
use crate::clock::Timestamp;
use crate::policy::opa::Builtin;

/// State of one instance.
#[derive(Debug)]
pub(crate) struct State {
    /// Largest memory in bytes.
    memory: usize,
    /// Whether memory or a table was refused.
    pub(crate) refused: bool,
    /// What a function of the host said before it ended the call.
    pub(crate) failure: Option<Failure>,
    /// The builtins of an OPA module, by the numbers that it calls them by.
    pub(in crate::policy) builtins: Vec<(i32, Builtin)>,
    /// Where an OPA module marks what it writes.
    pub(in crate::policy) marks: Option<Memory>,
    /// The time of the request, for them.
    pub(crate) now: Timestamp,
}

impl State {
    /// An empty store with limits and fuel.
    pub(crate) fn store(host: &Host, pages: u32, fuel: u64) -> Result<Store<Self>, Failure> {
        let state = Self {
            memory: pages as usize * PAGE,
            refused: false,
            failure: None,
            builtins: Vec::new(),
            marks: None,
            now: Timestamp(0),
        };
        let mut store = Store::new(host.engine(), state);
        store.limiter(|state| state);
        store.set_fuel(fuel).map_err(|e| Failure::Instance(e.to_string()))?;
        Ok(store)
    }
}

/// Bytes of a page.
pub(crate) const PAGE: usize = 64 << 10;

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let allowed = desired <= self.memory;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let allowed = desired <= Limits::TABLE;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _: Error) -> Result<(), Error> {
        self.refused = true;
        Ok(())
    }

    fn table_grow_failed(&mut self, _: Error) -> Result<(), Error> {
        self.refused = true;
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        4
    }

    // One of the guest's own, and one for the marks of an OPA module.
    fn memories(&self) -> usize {
        2
    }
}
