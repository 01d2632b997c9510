//! One instance of an OPA module.

use std::collections::BTreeMap;

use wasmtime::{Instance, Linker, Memory, MemoryType, Module, Store, TypedFunc, Val, WasmParams, WasmResults};

use super::{Builtin, input, result};
use crate::policy::host::{Failure, GATE, Host, Limits, LoadError, State};
use crate::policy::{Answer, Input};

/// Longest result.
const MAX_RESULT: usize = 64 << 10;
/// Fuel for each byte of data, which is parsed before the first decision.
const FUEL_FOR_DATA: u64 = 500;

/// One instance with its data, used by one decision at a time.
pub(super) struct Guest {
    store: Store<State>,
    instance: Instance,
    memory: Memory,
    evaluate: Evaluate,
    /// Where the data was put.
    data: i32,
    /// Where the heap of a decision begins.
    heap: i32,
    /// The request's JSON.
    text: Vec<u8>,
}

/// Those of `opa_eval`.
type Arguments = (i32, i32, i32, i32, i32, i32, i32);

/// How a decision is asked for.
enum Evaluate {
    /// ABI 1.2 and later: one call. Its arguments are a zero, entrypoint, data, address and length of the input, the heap,
    /// and the format of the result (0: JSON).
    Once(TypedFunc<Arguments, i32>),
    /// Earlier: step by step.
    Steps,
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
        let missing = || Failure::Instance("the module exports no memory".to_owned());
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(missing)?;
        let evaluate = match instance.get_typed_func(&mut store, "opa_eval") {
            Ok(once) => Evaluate::Once(once),
            Err(_) => Evaluate::Steps,
        };
        drop(closed);
        let mut guest = Self { store, instance, memory, evaluate, data: 0, heap: 0, text: Vec::new() };
        guest.data = guest.parse(data)?;
        guest.heap = guest.call("opa_heap_ptr_get", ())?;
        Ok(guest)
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
        if matches!(self.evaluate, Evaluate::Steps) {
            self.check_steps()?;
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

    /// Whether it has what it takes to be asked step by step.
    fn check_steps(&mut self) -> Result<(), LoadError> {
        const STEPS: [(&str, usize, usize); 6] = [
            ("opa_eval_ctx_new", 0, 1),
            ("opa_eval_ctx_set_input", 2, 0),
            ("opa_eval_ctx_set_data", 2, 0),
            ("opa_eval_ctx_set_entrypoint", 2, 0),
            ("eval", 1, 1),
            ("opa_eval_ctx_get_result", 1, 1),
        ];
        let _closed = GATE.enter();
        for (name, takes, gives) in STEPS {
            let function = self.instance.get_func(&mut self.store, name).map(|function| function.ty(&self.store));
            let fits = |ty: &wasmtime::FuncType| {
                let all_are_i32 = ty.params().chain(ty.results()).all(|value| value.is_i32());
                ty.params().len() == takes && ty.results().len() == gives && all_are_i32
            };
            if !function.is_some_and(|ty| fits(&ty)) {
                return Err(LoadError::Export { name, wanted: "OPA's interface has it, or export `opa_eval` (1.2)" });
            }
        }
        Ok(())
    }

    /// Offers it these builtins.
    pub(super) fn serve(&mut self, builtins: &[(i32, Builtin)]) {
        self.store.data_mut().builtins = builtins.to_vec();
    }

    /// The names and numbers that the function `list` returns.
    pub(super) fn names(&mut self, list: &str) -> Result<BTreeMap<String, i32>, Failure> {
        let value: i32 = self.call(list, ())?;
        let json = self.dump(value)?;
        let names = serde_json::from_slice(self.text_at(json)?);
        let names = names.map_err(|_| Failure::Instance(format!("what `{list}` returns is not JSON")))?;
        self.call::<_, ()>("opa_heap_ptr_set", self.heap)?;
        Ok(names)
    }

    /// One decision.
    pub(super) fn decide(&mut self, entrypoint: i32, input: &Input<'_>, fuel: u64) -> Result<Answer, Failure> {
        let mut text = std::mem::take(&mut self.text);
        input::write(input, &mut text).map_err(|_| Failure::Result("the request is not JSON"))?;
        self.store.data_mut().now = input.time;
        self.store.set_fuel(fuel).map_err(|e| Failure::Instance(e.to_string()))?;
        let json = match &self.evaluate {
            Evaluate::Once(once) => {
                let (once, address) = (once.clone(), self.heap);
                let length = self.write(address, &text)?;
                // The heap of this decision lies behind its input.
                let heap =
                    address.checked_add(length).and_then(|end| end.checked_add(7)).ok_or(Failure::MemoryLimit)?;
                let arguments = (0, entrypoint, self.data, address, length, heap & !7, 0);
                let called = once.call(&mut self.store, arguments);
                called.map_err(|e| Failure::of(&e, self.store.data_mut()))?
            }
            Evaluate::Steps => self.step_by_step(entrypoint, &text)?,
        };
        self.text = text;
        result::read(self.text_at(json)?)
    }

    /// The same before ABI 1.2.
    fn step_by_step(&mut self, entrypoint: i32, text: &[u8]) -> Result<i32, Failure> {
        self.call::<_, ()>("opa_heap_ptr_set", self.heap)?;
        let input = self.parse(text)?;
        let context: i32 = self.call("opa_eval_ctx_new", ())?;
        self.call::<_, ()>("opa_eval_ctx_set_input", (context, input))?;
        self.call::<_, ()>("opa_eval_ctx_set_data", (context, self.data))?;
        self.call::<_, ()>("opa_eval_ctx_set_entrypoint", (context, entrypoint))?;
        if self.call::<_, i32>("eval", context)? != 0 {
            return Err(Failure::Abort("its evaluation failed".to_owned()));
        }
        let set = self.call("opa_eval_ctx_get_result", context)?;
        self.dump(set)
    }

    /// Puts JSON into the heap and parses it.
    fn parse(&mut self, json: &[u8]) -> Result<i32, Failure> {
        let length = i32::try_from(json.len()).map_err(|_| Failure::MemoryLimit)?;
        let address: i32 = self.call("opa_malloc", length)?;
        self.write(address, json)?;
        let value: i32 = self.call("opa_json_parse", (address, length))?;
        if value == 0 { Err(Failure::Instance("it does not parse its data".to_owned())) } else { Ok(value) }
    }

    fn dump(&mut self, value: i32) -> Result<i32, Failure> {
        self.call("opa_json_dump", value)
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
        i32::try_from(bytes.len()).map_err(|_| Failure::MemoryLimit)
    }

    /// The text at an address, up to its zero byte.
    fn text_at(&self, address: i32) -> Result<&[u8], Failure> {
        let bytes = self.memory.data(&self.store).get(address.cast_unsigned() as usize..).unwrap_or_default();
        let bytes = bytes.get(..MAX_RESULT).unwrap_or(bytes);
        let end = bytes.iter().position(|byte| *byte == 0).filter(|_| address != 0);
        end.and_then(|end| bytes.get(..end)).ok_or(Failure::Result("it lies outside of the memory, or is too long"))
    }

    /// Calls an export that decisions do not use.
    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, parameters: P) -> Result<R, Failure> {
        let closed = GATE.enter();
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, name);
        drop(closed);
        let function = function.map_err(|_| Failure::Instance(format!("the module exports no function `{name}`")))?;
        function.call(&mut self.store, parameters).map_err(|e| Failure::of(&e, self.store.data_mut()))
    }
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
