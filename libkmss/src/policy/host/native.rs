//! Guests of `kmss-policy/1` (docs/policy-abi.md).

use wasmtime::{ExternType, Instance, InstancePre, Linker, Memory, Module, ModuleExport, Store, TypedFunc, ValType};

use super::engine::{GATE, Host};
use super::failure::{Failure, LoadError};
use super::instance::State;
use super::limits::Limits;
use super::scan::Shape;
use crate::os::Pool;
use crate::policy::abi::{self, BUFFER, Encoded};
use crate::policy::{Answer, Verdict};

/// A loaded guest.
pub(super) struct NativePolicy {
    host: Host,
    instance: InstancePre<State>,
    exports: Exports,
    fuel: u64,
    /// Fuel that filling the memory of an instance takes.
    filling: u64,
    pages: u32,
    /// Instances that a decision left as they were; `None` where the module could leave something behind.
    idle: Option<Pool<Guest>>,
}

/// Where the exports are, so that nobody looks for their names again.
struct Exports {
    memory: ModuleExport,
    abi: ModuleExport,
    buffer: ModuleExport,
    decide: ModuleExport,
}

/// One instance, used by one decision at a time.
struct Guest {
    store: Store<State>,
    memory: Memory,
    decide: TypedFunc<i32, i64>,
    /// Address of its buffer.
    buffer: usize,
    /// Bytes of the last request.
    filled: usize,
}

impl NativePolicy {
    pub(super) fn new(host: &Host, module: &Module, shape: &Shape<'_>, limits: &Limits) -> Result<Self, LoadError> {
        let exports = Exports {
            memory: memory(module)?,
            abi: function(module, "kmss_abi", &[], &ValType::I32, "a function () -> i32")?,
            buffer: function(module, "kmss_buf", &[], &ValType::I32, "a function () -> i32")?,
            decide: function(module, "kmss_decide", &[ValType::I32], &ValType::I64, "a function (i32) -> i64")?,
        };
        let closed = GATE.enter();
        let instance = Linker::new(host.engine()).instantiate_pre(module);
        drop(closed);
        let instance = instance.map_err(|e| LoadError::Malformed(e.to_string()))?;
        let (fuel, pages) = (limits.native_fuel(), limits.native_pages());
        let mut policy = Self { host: host.clone(), instance, exports, fuel, filling: shape.data, pages, idle: None };
        let guest = policy.first()?;
        if !shape.writes {
            policy.idle.insert(Pool::default()).put(Box::new(guest));
        }
        Ok(policy)
    }

    /// The decision.
    pub(super) fn answer(&self, encoded: &Encoded) -> Result<Answer, Failure> {
        let request = encoded.request()?;
        self.host.check_stack()?;
        let mut guest = match self.idle.as_ref().and_then(Pool::take) {
            Some(mut guest) => {
                guest.store.set_fuel(self.fuel).map_err(|e| Failure::Instance(e.to_string()))?;
                guest
            }
            None => Box::new(self.instantiate()?.0),
        };
        // A guest that failed is dropped here: what it left behind is unknown.
        let answer = guest.decide(request)?;
        if let Some(idle) = &self.idle {
            idle.put(guest);
        }
        Ok(answer)
    }

    /// The first instance, which says for which version it was made.
    fn first(&self) -> Result<Guest, LoadError> {
        self.host.check_stack().map_err(LoadError::Start)?;
        let (mut guest, instance) = self.instantiate().map_err(LoadError::Start)?;
        let closed = GATE.enter();
        let version = call(&mut guest.store, &instance, &self.exports.abi).map_err(LoadError::Start)?;
        drop(closed);
        if version >> 16 != abi::VERSION >> 16 || version > abi::VERSION {
            return Err(LoadError::Version { version, speaks: "1.0" });
        }
        Ok(guest)
    }

    fn instantiate(&self) -> Result<(Guest, Instance), Failure> {
        let _closed = GATE.enter();
        // Filling the memory takes a unit for each byte, which is no work of the guest's.
        let mut store = State::store(&self.host, self.pages, self.fuel.saturating_add(self.filling))?;
        let instance = self.instance.instantiate(&mut store).map_err(|e| Failure::of(&e, store.data_mut()))?;
        store.set_fuel(self.fuel).map_err(|e| Failure::Instance(e.to_string()))?;
        let buffer = call(&mut store, &instance, &self.exports.buffer)?;
        let missing = || Failure::Instance("an export is missing".to_owned());
        let memory = instance.get_module_export(&mut store, &self.exports.memory).and_then(|e| e.into_memory());
        let memory = memory.ok_or_else(missing)?;
        let decide = instance.get_module_export(&mut store, &self.exports.decide).and_then(|e| e.into_func());
        let decide = decide.ok_or_else(missing)?.typed(&store).map_err(|_| missing())?;
        let end = usize::try_from(buffer).ok().and_then(|start| start.checked_add(BUFFER));
        if !buffer.is_multiple_of(8) || end.is_none_or(|end| end > memory.data_size(&store)) {
            return Err(Failure::Buffer(buffer));
        }
        Ok((Guest { store, memory, decide, buffer: buffer as usize, filled: 0 }, instance))
    }
}

/// Calls an exported function `() -> i32`.
fn call(store: &mut Store<State>, instance: &Instance, export: &ModuleExport) -> Result<u32, Failure> {
    let function = instance.get_module_export(&mut *store, export).and_then(|e| e.into_func());
    let function = function.and_then(|f| f.typed::<(), i32>(&*store).ok());
    let function = function.ok_or_else(|| Failure::Instance("an export is missing".to_owned()))?;
    let result = function.call(&mut *store, ());
    result.map(i32::cast_unsigned).map_err(|e| Failure::of(&e, store.data_mut()))
}

impl Guest {
    fn decide(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        let memory = self.memory.data_mut(&mut self.store);
        let buffer = memory.get_mut(self.buffer..).and_then(|rest| rest.get_mut(..request.len().max(self.filled)));
        let buffer = buffer.ok_or(Failure::Buffer(self.buffer as u32))?;
        let (written, rest) = buffer.split_at_mut(request.len());
        written.copy_from_slice(request);
        // Of the last request nothing is left, wherever the guest looks.
        rest.fill(0);
        self.filled = request.len();
        let result = self.decide.call(&mut self.store, request.len() as i32);
        let word = result.map_err(|e| Failure::of(&e, self.store.data_mut()))?.cast_unsigned();
        let verdict = match word as u8 {
            0 => Verdict::Deny,
            1 => Verdict::Allow,
            2 => Verdict::NotApplicable,
            other => return Err(Failure::Verdict(other)),
        };
        let rule = (word >> 8) as u32 & 0x00FF_FFFF;
        let (reason, obligations) = abi::decode(self.memory.data(&self.store), (word >> 32) as u32)?;
        Ok(Answer { verdict, rule, reason, obligations })
    }
}

impl std::fmt::Debug for NativePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativePolicy").field("fuel", &self.fuel).field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// The exported memory. Its size was looked at before.
fn memory(module: &Module) -> Result<ModuleExport, LoadError> {
    let wanted = || LoadError::Export { name: "memory", wanted: "its memory, 32-bit and not shared" };
    match module.get_export("memory") {
        Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
        _ => return Err(wanted()),
    }
    module.get_export_index("memory").ok_or_else(wanted)
}

/// The exported function `name`, if it has this type.
fn function(
    module: &Module,
    name: &'static str,
    takes: &[ValType],
    gives: &ValType,
    wanted: &'static str,
) -> Result<ModuleExport, LoadError> {
    let fits = |function: &wasmtime::FuncType| {
        let same = |found: ValType, expected: &ValType| ValType::eq(&found, expected);
        let parameters = function.params();
        parameters.len() == takes.len()
            && parameters.zip(takes).all(|(found, expected)| same(found, expected))
            && function.results().len() == 1
            && function.results().all(|found| same(found, gives))
    };
    let wanted = || LoadError::Export { name, wanted };
    match module.get_export(name) {
        Some(ExternType::Func(function)) if fits(&function) => {}
        _ => return Err(wanted()),
    }
    module.get_export_index(name).ok_or_else(wanted)
}
