//! One instance of an OPA module.

use std::collections::BTreeMap;

use wasmtime::{Instance, Linker, Memory, MemoryType, Module, Store, Val};

use super::exports::{Exports, Steps, call};
use super::input::{self, Members};
use super::kept::{Kept, Layer, mark};
use super::prepared::{Parts, Prepared};
use super::{Builtin, result};
use crate::clock::Timestamp;
use crate::policy::host::{Failure, GATE, Host, Limits, LoadError, State};
use crate::policy::{Answer, Input};

/// Longest result.
const MAX_RESULT: usize = 64 << 10;
/// Fuel for each byte of data, which is parsed before the first decision.
const FUEL_FOR_DATA: u64 = 500;

/// One instance with its data, used by one decision at a time.
pub(super) struct Guest {
    pub(super) store: Store<State>,
    instance: Instance,
    memory: Memory,
    pub(super) exports: Exports,
    /// Where the data was put.
    data: i32,
    /// Where the heap of a decision begins.
    heap: i32,
    /// What it was when the data was there; `None` where it cannot be put back, and serves one decision.
    pub(super) kept: Option<Kept>,
    /// What it needs to be given requests in parts.
    pub(super) parts: Option<Parts>,
    /// Requests that are there but for what differs from one decision to the next.
    pub(super) prepared: Vec<Prepared>,
    /// The request's JSON.
    pub(super) text: Vec<u8>,
}

impl Guest {
    pub(super) fn new(
        host: &Host,
        module: &Module,
        linker: &Linker<State>,
        data: &[u8],
        pages: u32,
    ) -> Result<Self, Failure> {
        let fuel = Limits::OPA_FUEL.saturating_add(FUEL_FOR_DATA.saturating_mul(data.len() as u64));
        let closed = GATE.enter();
        let mut store = State::store(host, pages, fuel.min(Limits::MOST_FUEL))?;
        let mut linker = linker.clone();
        let instance = link(&mut linker, &mut store, module, pages)
            .and_then(|()| linker.instantiate(&mut store, module))
            .map_err(|e| Failure::of(&e, store.data_mut()))?;
        drop(closed);
        let missing = || Failure::Instance("the module exports no memory".to_owned());
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(missing)?;
        let exports = Exports::of(&instance, &mut store)?;
        let (prepared, text) = Default::default();
        let mut guest =
            Self { store, instance, memory, exports, data: 0, heap: 0, kept: None, parts: None, prepared, text };
        guest.data = guest.parse(data)?;
        guest.heap = guest.call_named("opa_heap_ptr_get")?;
        Ok(guest)
    }

    /// Keeps it as it is, for more than one decision. Its module is one that marks what it writes.
    pub(super) fn keep(&mut self) -> Result<(), Failure> {
        self.parts = self.parts()?;
        self.heap = self.call_named("opa_heap_ptr_get")?;
        let closed = GATE.enter();
        self.kept = Kept::of(&self.instance, &mut self.store, self.memory);
        drop(closed);
        self.store.data_mut().marks = self.kept.as_ref().map(Kept::marks);
        Ok(())
    }

    /// Whether it may serve another decision.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Puts it back to the moment after these layers, where it can be.
    pub(super) fn put_back(&mut self, layers: &[&Layer]) -> Result<(), Failure> {
        self.kept.as_mut().map_or(Ok(()), |kept| kept.put_back(&mut self.store, layers))
    }

    /// What it wrote since it was put back.
    pub(super) fn layer(&mut self) -> Result<Layer, Failure> {
        let kept = self.kept.as_mut().ok_or_else(|| Failure::Instance("it cannot be kept".to_owned()))?;
        Ok(kept.layer(&mut self.store))
    }

    /// Whether it speaks a version that is known, and needs only builtins that there are: those, by their numbers.
    pub(super) fn check(&mut self, module: &Module) -> Result<Vec<(i32, Builtin)>, LoadError> {
        let mut global = |name: &str| {
            let global = self.instance.get_global(&mut self.store, name)?;
            match global.get(&mut self.store) {
                Val::I32(number) => Some(number.cast_unsigned()),
                _ => None,
            }
        };
        let major = global("opa_wasm_abi_version").unwrap_or(0);
        let minor = global("opa_wasm_abi_minor_version").unwrap_or(0);
        if major != 1 {
            return Err(LoadError::Version { version: major << 16 | minor & 0xFFFF, speaks: "1.0 to 1.3" });
        }
        if let (None, Err(name)) = (&self.exports.once, &self.exports.steps) {
            return Err(LoadError::Export { name, wanted: "OPA's interface has it, or export `opa_eval` (1.2)" });
        }
        if module.get_export("builtins").is_none() {
            return Ok(Vec::new());
        }
        let wanted = self.names("builtins").map_err(LoadError::Start)?;
        let lacking: Vec<_> = wanted.keys().filter(|name| Builtin::named(name).is_none()).cloned().collect();
        if !lacking.is_empty() {
            return Err(LoadError::Builtins(lacking));
        }
        Ok(wanted.iter().filter_map(|(name, number)| Builtin::named(name).map(|found| (*number, found))).collect())
    }

    /// Offers it these builtins.
    pub(super) fn serve(&mut self, builtins: &[(i32, Builtin)]) {
        self.store.data_mut().builtins = builtins.to_vec();
    }

    /// The names and numbers that the function `list` returns.
    pub(super) fn names(&mut self, list: &str) -> Result<BTreeMap<String, i32>, Failure> {
        let value = self.call_named(list)?;
        let json = call(&mut self.store, &self.exports.dump, value)?;
        let names = serde_json::from_slice(self.text_at(json)?);
        names.map_err(|_| Failure::Instance(format!("what `{list}` returns is not JSON")))
    }

    /// One decision.
    pub(super) fn decide(&mut self, entrypoint: i32, input: &Input<'_>, fuel: u64) -> Result<Answer, Failure> {
        let json = match self.parts {
            Some(parts) => self.decide_by_parts(parts, entrypoint, input, fuel)?,
            None => self.decide_at_once(entrypoint, input, fuel)?,
        };
        result::read(self.text_at(json)?)
    }

    /// The address of the result of one decision, with the request parsed as a whole.
    fn decide_at_once(&mut self, entrypoint: i32, input: &Input<'_>, fuel: u64) -> Result<i32, Failure> {
        self.put_back(&[])?;
        let mut text = std::mem::take(&mut self.text);
        input::write(input, Members::All, &mut text).map_err(|_| Failure::Result("the request is not JSON"))?;
        self.begin(input.time, fuel)?;
        let json = if let Some(once) = self.exports.once.clone() {
            let address = self.heap;
            let length = self.write(address, &text)?;
            // The heap of this decision lies behind its input.
            let heap = address.checked_add(length).and_then(|end| end.checked_add(7)).ok_or(Failure::MemoryLimit)?;
            call(&mut self.store, &once, (0, entrypoint, self.data, address, length, heap & !7, 0))?
        } else {
            let input = self.parse(&text)?;
            let context = self.context(entrypoint, input)?;
            self.evaluate(context)?
        };
        self.text = text;
        Ok(json)
    }

    /// Gives it the time and the fuel of what follows; nothing is left of what went wrong before.
    pub(super) fn begin(&mut self, now: Timestamp, fuel: u64) -> Result<(), Failure> {
        let state = self.store.data_mut();
        (state.now, state.refused, state.failure) = (now, false, None);
        self.store.set_fuel(fuel).map_err(|e| Failure::Instance(e.to_string()))
    }

    /// A context for decisions about an input that was parsed.
    pub(super) fn context(&mut self, entrypoint: i32, input: i32) -> Result<i32, Failure> {
        let (store, steps) = (&mut self.store, steps(&self.exports)?);
        let context = call(store, &steps.context, ())?;
        call(store, &steps.input, (context, input))?;
        call(store, &steps.data, (context, self.data))?;
        call(store, &steps.entrypoint, (context, entrypoint))?;
        Ok(context)
    }

    /// The address of the result of a decision in a context.
    pub(super) fn evaluate(&mut self, context: i32) -> Result<i32, Failure> {
        let (store, steps) = (&mut self.store, steps(&self.exports)?);
        if call(store, &steps.evaluate, context)? != 0 {
            return Err(Failure::Abort("its evaluation failed".to_owned()));
        }
        let set = call(store, &steps.result, context)?;
        call(store, &self.exports.dump, set)
    }

    /// Puts JSON into the heap and parses it.
    pub(super) fn parse(&mut self, json: &[u8]) -> Result<i32, Failure> {
        let length = i32::try_from(json.len()).map_err(|_| Failure::MemoryLimit)?;
        let address = call(&mut self.store, &self.exports.allocate, length)?;
        self.parse_at(address, json)
    }

    /// The same where there is room already.
    pub(super) fn parse_at(&mut self, address: i32, json: &[u8]) -> Result<i32, Failure> {
        let length = self.write(address, json)?;
        let value = call(&mut self.store, &self.exports.parse, (address, length))?;
        if value == 0 { Err(Failure::Instance("it does not parse its data".to_owned())) } else { Ok(value) }
    }

    /// Writes bytes, with more memory where there is too little; returns how many.
    fn write(&mut self, address: i32, bytes: &[u8]) -> Result<i32, Failure> {
        let start = address.cast_unsigned() as usize;
        let end = start.checked_add(bytes.len()).ok_or(Failure::MemoryLimit)?;
        let present = self.memory.data_size(&self.store);
        if end > present {
            let pages = (end - present).div_ceil(crate::policy::host::PAGE) as u64;
            self.memory.grow(&mut self.store, pages).map_err(|_| Failure::MemoryLimit)?;
        }
        let place = self.memory.data_mut(&mut self.store).get_mut(start..end).ok_or(Failure::MemoryLimit)?;
        place.copy_from_slice(bytes);
        if let Some(marks) = self.store.data().marks {
            mark(marks, &mut self.store, start, bytes.len());
        }
        i32::try_from(bytes.len()).map_err(|_| Failure::MemoryLimit)
    }

    /// The text at an address, up to its zero byte.
    fn text_at(&self, address: i32) -> Result<&[u8], Failure> {
        let bytes = self.memory.data(&self.store).get(address.cast_unsigned() as usize..).unwrap_or_default();
        let bytes = bytes.get(..MAX_RESULT).unwrap_or(bytes);
        let end = bytes.iter().position(|byte| *byte == 0).filter(|_| address != 0);
        end.and_then(|end| bytes.get(..end)).ok_or(Failure::Result("it lies outside of the memory, or is too long"))
    }

    /// Calls a function `() -> i32` that decisions do not use.
    fn call_named(&mut self, name: &str) -> Result<i32, Failure> {
        let closed = GATE.enter();
        let function = self.instance.get_typed_func::<(), i32>(&mut self.store, name);
        drop(closed);
        let function = function.map_err(|_| Failure::Instance(format!("the module exports no function `{name}`")))?;
        call(&mut self.store, &function, ())
    }
}

fn steps(exports: &Exports) -> Result<&Steps, Failure> {
    exports.steps.as_ref().map_err(|name| Failure::Instance(format!("the module exports no function `{name}`")))
}

/// Gives the instance a memory as the module wants it, with a maximum.
fn link(linker: &mut Linker<State>, store: &mut Store<State>, module: &Module, pages: u32) -> wasmtime::Result<()> {
    let wanted = module.imports().find_map(|import| import.ty().memory().cloned());
    if let Some(wanted) = wanted {
        let initial = u32::try_from(wanted.minimum()).unwrap_or(u32::MAX);
        let maximum = wanted.maximum().and_then(|most| u32::try_from(most).ok()).map_or(pages, |most| most.min(pages));
        let memory = Memory::new(&mut *store, MemoryType::new(initial, Some(maximum.max(initial))))?;
        linker.define(&*store, "env", "memory", memory)?;
    }
    Ok(())
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest(..)")
    }
}
