//! What an OPA module imports: its memory, a way to give up, and the builtins that it leaves to its host.

use serde_json::Value;
use wasmtime::{Caller, Error, Extern, Linker, Memory, TypedFunc, WasmParams, WasmResults};

use super::kept::mark;
use crate::policy::host::{Failure, GATE, Host, LoadError, State};

/// The names that a module may import from `env`, its memory aside.
pub(in crate::policy) const IMPORTS: &[&str] =
    &["opa_abort", "opa_println", "opa_builtin0", "opa_builtin1", "opa_builtin2", "opa_builtin3", "opa_builtin4"];

/// Most of what a module says when it gives up that is told on.
const MAX_MESSAGE: usize = 256;
/// Longest argument of a builtin.
const MAX_VALUE: usize = 64 << 10;

/// The functions. The memory belongs to each instance.
pub(super) fn linker(host: &Host) -> Result<Linker<State>, LoadError> {
    let mut linker = Linker::new(host.engine());
    let _closed = GATE.enter();
    define(&mut linker).map_err(|e| LoadError::Engine(e.to_string()))?;
    Ok(linker)
}

fn define(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap("env", "opa_abort", |mut caller: Caller<'_, State>, address: i32| -> Result<(), Error> {
        let message = message(&mut caller, address.cast_unsigned());
        Err(end(&mut caller, Failure::Abort(message)))
    })?;
    // What a policy prints could be anything, and nobody reads it.
    linker.func_wrap("env", "opa_println", |_: i32| ())?;
    // The arguments are the builtin's number, a context, and the builtin's own.
    linker.func_wrap("env", "opa_builtin0", |c: Caller<'_, State>, id: i32, _: i32| builtin(c, id, &[]))?;
    linker.func_wrap("env", "opa_builtin1", |c: Caller<'_, State>, id: i32, _: i32, a: i32| builtin(c, id, &[a]))?;
    linker.func_wrap("env", "opa_builtin2", |c: Caller<'_, State>, id: i32, _: i32, a: i32, b: i32| {
        builtin(c, id, &[a, b])
    })?;
    linker.func_wrap("env", "opa_builtin3", |c: Caller<'_, State>, id: i32, _: i32, x: i32, y: i32, z: i32| {
        builtin(c, id, &[x, y, z])
    })?;
    linker.func_wrap(
        "env",
        "opa_builtin4",
        |c: Caller<'_, State>, id: i32, _: i32, w: i32, x: i32, y: i32, z: i32| builtin(c, id, &[w, x, y, z]),
    )?;
    Ok(())
}

/// Calls a builtin; arguments and result are addresses of values, 0 is undefined.
fn builtin(mut caller: Caller<'_, State>, id: i32, arguments: &[i32]) -> Result<i32, Error> {
    let found = caller.data().builtins.iter().find(|(number, _)| *number == id).map(|(_, builtin)| *builtin);
    let Some(found) = found else { return Err(end(&mut caller, Failure::Builtin(id))) };
    let values = arguments.iter().map(|address| read(&mut caller, *address)).collect::<Result<Vec<_>, _>>()?;
    match found.value(&values, caller.data().now) {
        Some(value) => write(&mut caller, &value),
        None => Ok(0),
    }
}

/// The value at an address.
fn read(caller: &mut Caller<'_, State>, value: i32) -> Result<Value, Error> {
    let text: i32 = call(caller, "opa_json_dump", value)?;
    let memory = memory(caller)?;
    let bytes = memory.data(&*caller).get(text.cast_unsigned() as usize..).unwrap_or_default();
    let bytes = bytes.get(..MAX_VALUE).unwrap_or(bytes).split(|byte| *byte == 0).next().unwrap_or_default();
    serde_json::from_slice(bytes).map_err(|_| Error::msg("an argument of a builtin is not JSON, or too long"))
}

/// Puts a value into the module's memory.
fn write(caller: &mut Caller<'_, State>, value: &Value) -> Result<i32, Error> {
    let text = value.to_string();
    let length = i32::try_from(text.len())?;
    let address: i32 = call(caller, "opa_malloc", length)?;
    let start = address.cast_unsigned() as usize;
    memory(caller)?.write(&mut *caller, start, text.as_bytes())?;
    if let Some(marks) = caller.data().marks {
        mark(marks, &mut *caller, start, text.len());
    }
    call(caller, "opa_json_parse", (address, length))
}

fn memory(caller: &mut Caller<'_, State>) -> Result<Memory, Error> {
    caller.get_export("memory").and_then(Extern::into_memory).ok_or_else(|| Error::msg("there is no memory"))
}

fn call<P: WasmParams, R: WasmResults>(caller: &mut Caller<'_, State>, name: &str, with: P) -> Result<R, Error> {
    let function = caller.get_export(name).and_then(Extern::into_func);
    let function = function.ok_or_else(|| Error::msg("the module lacks a function that builtins need"))?;
    let closed = GATE.enter();
    let function: TypedFunc<P, R> = function.typed(&*caller)?;
    drop(closed);
    function.call(&mut *caller, with)
}

/// Ends the call; the reason is kept where it is looked for.
fn end(caller: &mut Caller<'_, State>, failure: Failure) -> Error {
    let error = Error::msg(failure.to_string());
    caller.data_mut().failure = Some(failure);
    error
}

/// The text at an address, up to its zero byte; what a log could be broken with becomes `?`.
fn message(caller: &mut Caller<'_, State>, address: u32) -> String {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return "it did not say why".to_owned() };
    let bytes = memory.data(&*caller).get(address as usize..).unwrap_or_default();
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..MAX_MESSAGE).unwrap_or(bytes));
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
