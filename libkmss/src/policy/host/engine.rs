//! The engine, set up so that the process it runs in does not notice it.

use once_cell::race::OnceBox;
use wasmtime::{Config, Engine, Module};

use super::cache::{Cache, Origin, Verified};
use super::cwasm;
use super::failure::{Failure, LoadError};
use super::limits::Limits;
use crate::os::{Gate, Guard, Rank, may_execute_own_memory, stack_left};

/// wasmtime's own locks know nothing of forks. Whatever takes one (loading code, instances, looking exports up, dropping
/// the last user of code) happens behind this gate; compiling and deciding take none.
pub(in crate::policy) static GATE: EngineGate = EngineGate(OnceBox::new());

/// A gate that is made at first use.
pub(in crate::policy) struct EngineGate(OnceBox<Gate>);

impl EngineGate {
    /// No fork happens until the returned value is dropped.
    pub(in crate::policy) fn enter(&self) -> Guard<'_, ()> {
        self.0.get_or_init(|| Box::new(Gate::new(Rank::Guest))).enter()
    }
}

/// Stack that the host itself needs beside a guest's.
const MARGIN: usize = 64 << 10;

/// Whether the authors of policies are trusted not to attack the processor: compiled guests have no defence against
/// speculative execution without signal handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Policies are compiled, where the process may execute memory that it wrote.
    Trusted,
    /// Policies are interpreted.
    Untrusted,
}

/// How guests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// As machine code.
    Compiled,
    /// By the interpreter Pulley, ten times slower.
    Interpreted,
}

/// Runs guests. One for a process and kind of trust; cloning shares it.
#[derive(Clone, Debug)]
pub struct Host {
    engine: Engine,
    execution: Execution,
}

impl Host {
    /// A host. Where the process may not execute memory that it wrote, guests are interpreted.
    ///
    /// # Errors
    /// [`LoadError::Engine`] on machines that wasmtime does not know.
    pub fn new(trust: Trust) -> Result<Self, LoadError> {
        let compiled = trust == Trust::Trusted && may_execute_own_memory();
        Self::with(if compiled { Execution::Compiled } else { Execution::Interpreted })
    }

    /// A host that runs guests in this way.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(execution: Execution) -> Result<Self, LoadError> {
        let failed = |e: wasmtime::Error| LoadError::Engine(e.to_string());
        let mut config = config();
        if execution == Execution::Interpreted {
            config.target("pulley64").map_err(failed)?;
        }
        let _closed = GATE.enter();
        let engine = Engine::new(&config).map_err(failed)?;
        Ok(Self { engine, execution })
    }

    /// How guests run.
    #[must_use]
    pub const fn execution(&self) -> Execution {
        self.execution
    }

    /// Compiled guests run on the caller's stack, and believe that there is as much as they may use.
    pub(in crate::policy) fn check_stack(&self) -> Result<(), Failure> {
        let compiled = self.execution == Execution::Compiled;
        if compiled && stack_left().is_none_or(|left| left < Limits::STACK + MARGIN) {
            return Err(Failure::HostStack);
        }
        Ok(())
    }

    pub(in crate::policy) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The code of a module, from the cache where that has it.
    pub(super) fn module(&self, wasm: &[u8], cache: Option<&Cache<'_>>) -> Result<(Module, Origin), LoadError> {
        match cache {
            Some(cache) => cache.module(self, wasm),
            None => Ok((cwasm::load(self, &Verified::made_here(&self.compile(wasm)?))?, Origin::Compiled)),
        }
    }

    /// Compiles on the calling thread. Forks need not wait for it.
    pub(super) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
        self.engine.precompile_module(wasm).map_err(|e| LoadError::Malformed(format!("{e:#}")))
    }
}

/// DESIGN.md, "Policy". No signal handlers, because a JVM has its own; no reserved address space, because hosts run under
/// `ulimit -v`; everything that needs a thread is not even compiled in.
fn config() -> Config {
    let mut config = Config::new();
    config
        .signals_based_traps(false)
        .consume_fuel(true)
        .memory_reservation(0)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .guard_before_linear_memory(false)
        .memory_init_cow(false)
        .max_wasm_stack(Limits::STACK)
        .wasm_backtrace_max_frames(None)
        .native_unwind_info(false)
        // What policies do not need, a hostile one cannot use. A second memory is refused before a module comes here: only
        // what OPA's modules write to is watched by means of one.
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}
