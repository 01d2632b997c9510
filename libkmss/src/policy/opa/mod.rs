//! Modules that `opa build -t wasm` makes (docs/policy-abi.md, section 9), as
//! <https://www.openpolicyagent.org/docs/wasm> describes their interface, 1.0 to 1.3.

mod builtins;
mod exports;
mod guest;
mod imports;
mod input;
mod kept;
mod memory;
mod prepared;
mod result;
mod watch;

use wasmtime::{Linker, Module};

use super::host::{Failure, Host, Limits, LoadError, State};
use super::{Answer, Input};
use crate::os::Pool;
use guest::Guest;

pub(super) use builtins::Builtin;
pub(super) use imports::IMPORTS;
pub(super) use memory::own_memory;
pub(super) use watch::watched;

/// What comes with a module in its bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Document<'a> {
    /// `data.json`; nothing is an empty object.
    pub data: Option<&'a [u8]>,
    /// The entrypoint that decides, such as `example/decision`; may be left out where there is one only.
    pub entrypoint: Option<&'a str>,
}

impl Document<'_> {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.data.is_none() && self.entrypoint.is_none()
    }
}

/// A loaded module with its data.
#[derive(Debug)]
pub(super) struct OpaPolicy {
    host: Host,
    module: Module,
    /// Whether the module marks what it writes, so that its instances can be put back.
    is_watched: bool,
    linker: Linker<State>,
    data: Box<[u8]>,
    /// The numbers by which it calls builtins.
    builtins: Vec<(i32, Builtin)>,
    entrypoint: i32,
    fuel: u64,
    pages: u32,
    idle: Pool<Guest>,
}

impl OpaPolicy {
    pub(super) fn new(
        host: &Host,
        module: &Module,
        is_watched: bool,
        document: &Document<'_>,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let data = document.data.unwrap_or(b"{}");
        if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_err() {
            return Err(LoadError::Data);
        }
        let linker = imports::linker(host)?;
        let mut policy = Self {
            host: host.clone(),
            module: module.clone(),
            is_watched,
            linker,
            data: data.into(),
            builtins: Vec::new(),
            entrypoint: 0,
            fuel: limits.opa_fuel(),
            pages: limits.opa_pages(),
            idle: Pool::default(),
        };
        host.check_stack().map_err(LoadError::Start)?;
        let mut guest = policy.instantiate().map_err(LoadError::Start)?;
        policy.builtins = guest.check(module)?;
        policy.entrypoint = entrypoint(&mut guest, document.entrypoint)?;
        guest.serve(&policy.builtins);
        if guest.is_kept() {
            policy.idle.put(Box::new(guest));
        }
        Ok(policy)
    }

    /// The decision.
    pub(super) fn answer(&self, input: &Input<'_>) -> Result<Answer, Failure> {
        self.host.check_stack()?;
        let mut guest = match self.idle.take() {
            Some(guest) => guest,
            None => Box::new(self.instantiate()?),
        };
        let answer = guest.decide(self.entrypoint, input, self.fuel);
        // A guest that failed is dropped. One that left the decision open did not fail.
        if guest.is_kept() && matches!(answer, Ok(_) | Err(Failure::Undefined)) {
            self.idle.put(guest);
        }
        answer
    }

    fn instantiate(&self) -> Result<Guest, Failure> {
        let mut guest = Guest::new(&self.host, &self.module, &self.linker, &self.data, self.pages)?;
        if self.is_watched {
            guest.keep()?;
        }
        guest.serve(&self.builtins);
        Ok(guest)
    }
}

/// The number of the entrypoint to ask.
fn entrypoint(guest: &mut Guest, name: Option<&str>) -> Result<i32, LoadError> {
    let entrypoints = guest.names("entrypoints").map_err(LoadError::Start)?;
    let mut fitting = entrypoints.iter().filter(|(found, _)| name.is_none_or(|name| name == found.as_str()));
    match (fitting.next(), fitting.next()) {
        (Some((_, number)), None) => Ok(*number),
        _ => Err(LoadError::Entrypoint(entrypoints.into_keys().collect())),
    }
}

#[cfg(test)]
mod tests;
