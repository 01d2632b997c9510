//! How guests fail: at load, when they are refused, and at work, when they deny.

use wasmtime::{Error, Trap};

use super::State;
use super::limits::Limits;
use crate::policy::abi::{EncodeError, ReadsError, ResponseError, RulesError, SizesError};
use crate::policy::{Answer, Verdict};

/// Why a module is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is too large.
    #[error("the module is larger than {} bytes", Limits::MODULE)]
    TooLarge,
    /// It is not WebAssembly, was cut off, or uses what is not offered.
    #[error("the module is malformed, cut off, or uses a feature that policies do not have: {0}")]
    Malformed(String),
    /// It exports neither interface, or both.
    #[error(
        "the module speaks neither kmss-policy/1 (it exports no `kmss_abi`) nor OPA's interface (no `opa_wasm_abi_version`), or both"
    )]
    Interface,
    /// It imports something.
    #[error("the module imports `{0}`: a policy has no imports")]
    Import(String),
    /// An export is missing or is something else than it must be.
    #[error("the module must export `{name}` as {wanted}")]
    Export {
        /// Its name.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Its memory has no maximum.
    #[error("the module's memory declares no maximum: link it with one of at most {0} pages")]
    NoMaximum(u32),
    /// Its memory may grow too large.
    #[error("the module's memory may have {asked} pages of 64 KiB, and {allowed} are allowed")]
    Pages {
        /// What it declares.
        asked: u64,
        /// What is allowed.
        allowed: u32,
    },
    /// A table is too large.
    #[error("the module has a table of more than {} entries", Limits::TABLE)]
    Table,
    /// It was made for another version.
    #[error("the module was made for version {}.{} of its interface, and this KMSS speaks {speaks}", .version >> 16, .version & 0xFFFF)]
    Version {
        /// Major and minor version that it wants.
        version: u32,
        /// What there is.
        speaks: &'static str,
    },
    /// Its table of rules cannot be read.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Its list of sizes cannot be read.
    #[error(transparent)]
    Sizes(#[from] SizesError),
    /// What it says of the fields that it looks at cannot be read.
    #[error(transparent)]
    Reads(#[from] ReadsError),
    /// It failed as soon as it was started.
    #[error("the module fails at its start: {0}")]
    Start(Failure),
    /// It calls builtins of OPA that KMSS does not have.
    #[error("the module needs builtins of OPA that KMSS does not have: {}", .0.join(", "))]
    Builtins(Vec<String>),
    /// It has no such entrypoint, or several and none was named.
    #[error("the module's entrypoints are {}: name the one that decides", .0.join(", "))]
    Entrypoint(Vec<String>),
    /// The data is not JSON, or does not fit into the memory.
    #[error("the module does not take its data: it must be JSON, and fit into the policy's memory")]
    Data,
    /// There is data, and no OPA module that would take it.
    #[error("the module is not OPA's, so that it has neither data nor entrypoints")]
    DataWithoutOpa,
    /// wasmtime cannot be set up.
    #[error("the engine for policies cannot be set up: {0}")]
    Engine(String),
}

/// Why a decision failed. Each denies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The request cannot be told to it.
    #[error(transparent)]
    Request(#[from] EncodeError),
    /// It ran for too long.
    #[error("the policy used up its fuel: it loops, or needs more than it may have")]
    OutOfFuel,
    /// Its calls are nested too deeply.
    #[error("the policy used up its stack: it calls itself too deeply")]
    StackOverflow,
    /// It wanted more memory than it may have, or a larger table.
    #[error("the policy wanted more memory than it may have")]
    MemoryLimit,
    /// It did something that WebAssembly forbids, or gave up.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// Its instance could not be made.
    #[error("the policy could not be started: {0}")]
    Instance(String),
    /// Its buffer is not where one can be.
    #[error("the policy's buffer at {0:#x} is not aligned to 8, or does not lie inside its memory")]
    Buffer(u32),
    /// The calling thread cannot lend it a stack.
    #[error("the calling thread has too little stack for a policy: give it 512 KiB")]
    HostStack,
    /// A verdict that does not exist.
    #[error("the policy answered with verdict {0}, which does not exist")]
    Verdict(u8),
    /// Its response cannot be read, or asks for too much.
    #[error("the policy's answer cannot be followed: {0}")]
    Response(#[from] ResponseError),
    /// It called a builtin of OPA that KMSS does not have.
    #[error("the policy called the builtin {0} of OPA, which KMSS does not have")]
    Builtin(i32),
    /// An OPA module gave up.
    #[error("the policy gave up: {0}")]
    Abort(String),
    /// What an OPA module returned is no decision.
    #[error("the policy's result is no decision: {0}")]
    Result(&'static str),
    /// An OPA module has no result.
    #[error("the policy's decision is undefined")]
    Undefined,
}

impl Failure {
    /// The deny that it is.
    pub fn answer(&self) -> Answer {
        Answer { verdict: Verdict::Deny, rule: 0, reason: self.to_string(), obligations: Vec::new() }
    }

    /// What ended a call into a guest, or the making of its instance.
    pub(crate) fn of(error: &Error, state: &mut State) -> Self {
        if let Some(known) = state.failure.take() {
            return known;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Self::OutOfFuel,
            Some(Trap::StackOverflow) => Self::StackOverflow,
            // A guest that is refused memory mostly gives up by a trap of its own.
            Some(_) if state.refused => Self::MemoryLimit,
            Some(Trap::UnreachableCodeReached) => Self::Trap("unreachable code".to_owned()),
            Some(trap) => Self::Trap(trap.to_string().trim_start_matches("wasm trap: ").to_owned()),
            None if state.refused => Self::MemoryLimit,
            None => Self::Instance(error.to_string()),
        }
    }
}
