//! The host of guests: wasmtime, held so that a policy can neither harm the process it runs in nor last.
//!
//! No thread, no signal handler, no guard pages: bounds are checked by the code that wasmtime makes. Fuel, memory, tables
//! and stack are limited. What a guest wrote is gone before the next decision. docs/policy-abi.md says what guests see,
//! docs/adr/0020-policies-in-process.md why it is as it is.

mod cache;
mod cwasm;
mod engine;
mod failure;
mod instance;
mod limits;
mod native;
mod scan;

pub use cache::{CODE, Cache, CacheFault, Origin};
pub use engine::{Execution, Host, Trust};
pub use failure::{Failure, LoadError};
pub use limits::Limits;

pub(super) use engine::GATE;
pub(super) use instance::{PAGE, State};
pub(super) use scan::lasts;

use super::abi::{Encoded, Reads, RuleNames, Sizes};
use super::opa::{Document, OpaPolicy, own_memory, watched};
use super::{Answer, Input, Verdict};
use native::NativePolicy;

/// A guest that was loaded. Shared by threads; each decision has an instance for itself.
#[derive(Debug)]
pub struct Policy {
    // Absent only while it is dropped, which happens behind the gate.
    guest: Option<Guest>,
    rules: RuleNames,
    sizes: Option<Sizes>,
    reads: Reads,
    origin: Origin,
}

/// The two interfaces.
#[derive(Debug)]
enum Guest {
    Native(NativePolicy),
    Opa(OpaPolicy),
}

impl Host {
    /// Loads a module of either interface that comes alone. An OPA module must have one entrypoint, and gets an empty
    /// `data`.
    ///
    /// # Errors
    /// As [`Self::load_with`].
    pub fn load(&self, wasm: &[u8], limits: &Limits, cache: Option<&Cache<'_>>) -> Result<Policy, LoadError> {
        self.load_with(wasm, &Document::default(), limits, cache)
    }

    /// Loads a module of either interface, an OPA module with its data.
    ///
    /// # Errors
    /// Why the module is refused; one of `kmss-policy/1` has no data.
    pub fn load_with(
        &self,
        wasm: &[u8],
        document: &Document<'_>,
        limits: &Limits,
        cache: Option<&Cache<'_>>,
    ) -> Result<Policy, LoadError> {
        let shape = scan::scan(wasm)?;
        let rules = shape.rules.map(RuleNames::parse).transpose()?.unwrap_or_default();
        let sizes = shape.sizes.map(Sizes::parse).transpose()?;
        let reads = shape.reads.map_or(Ok(Reads::EVERYTHING), Reads::parse)?;
        let is_opa = shape.is_opa()?;
        if is_opa {
            shape.check_opa(limits)?;
        } else {
            shape.check_native(limits)?;
            if !document.is_empty() {
                return Err(LoadError::DataWithoutOpa);
            }
        }
        let own = is_opa.then(|| own_memory(wasm, limits.opa_pages())).flatten();
        let wasm = own.as_deref().unwrap_or(wasm);
        let watched = is_opa.then(|| watched(wasm)).flatten();
        let (module, origin) = self.module(watched.as_deref().unwrap_or(wasm), cache)?;
        let guest = if is_opa {
            Guest::Opa(OpaPolicy::new(self, &module, watched.is_some(), document, limits)?)
        } else {
            Guest::Native(NativePolicy::new(self, &module, &shape, limits)?)
        };
        Ok(Policy { guest: Some(guest), rules, sizes, reads, origin })
    }
}

impl Policy {
    /// What the guest says to a request, of which `encoded` is the form for `kmss-policy/1`. A guest that fails denies.
    pub fn answer(&self, input: &Input<'_>, encoded: &Encoded) -> Answer {
        let answered = match &self.guest {
            Some(Guest::Native(policy)) => policy.answer(encoded),
            Some(Guest::Opa(policy)) => policy.answer(input),
            None => Err(Failure::Undefined),
        };
        let mut answer = answered.unwrap_or_else(|failure| failure.answer());
        if answer.verdict == Verdict::Deny
            && answer.reason.is_empty()
            && let Some(reason) = self.rules.reason(answer.rule)
        {
            reason.clone_into(&mut answer.reason);
        }
        answer
    }

    /// The name that the policy gives a rule, if it does.
    #[must_use]
    pub fn rule(&self, number: u32) -> Option<&str> {
        self.rules.name(number)
    }

    /// The names and reasons of the policy's rules.
    #[must_use]
    pub const fn rules(&self) -> &RuleNames {
        &self.rules
    }

    /// The lengths of data that it tells apart, where it says so. Its answer to an unknown length holds for all where there are
    /// none.
    #[must_use]
    pub const fn sizes(&self) -> Option<&Sizes> {
        self.sizes.as_ref()
    }

    /// Which of the fields that differ from request to request it looks at, as far as it says so.
    #[must_use]
    pub const fn reads(&self) -> Reads {
        self.reads
    }

    /// Where its code came from; a fault of the cache is for the audit.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Which interface it speaks: `kmss-policy/1` or `opa`.
    #[must_use]
    pub const fn interface(&self) -> &'static str {
        match self.guest {
            Some(Guest::Opa(_)) => "opa",
            _ => "kmss-policy/1",
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _closed = GATE.enter();
        self.guest = None;
    }
}

#[cfg(test)]
mod tests;
