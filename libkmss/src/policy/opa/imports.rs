//! What an OPA module imports: its memory, a way to give up, and builtins, of which we have none.

use wasmtime::{Caller, Error, Extern, Linker};

use crate::policy::host::{Failure, Host, LoadError, State};

/// The names that a module may import from `env`, its memory aside.
pub(in crate::policy) const IMPORTS: &[&str] =
    &["opa_abort", "opa_println", "opa_builtin0", "opa_builtin1", "opa_builtin2", "opa_builtin3", "opa_builtin4"];

/// Most of what a module says when it gives up that is told on.
const MAX_MESSAGE: usize = 256;

/// The functions. The memory belongs to each instance.
pub(super) fn linker(host: &Host) -> Result<Linker<State>, LoadError> {
    let mut linker = Linker::new(host.engine());
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
    linker.func_wrap("env", "opa_builtin0", |mut c: Caller<'_, State>, id: i32, _: i32| missing(&mut c, id))?;
    linker.func_wrap("env", "opa_builtin1", |mut c: Caller<'_, State>, id: i32, _: i32, _: i32| missing(&mut c, id))?;
    linker.func_wrap("env", "opa_builtin2", |mut c: Caller<'_, State>, id: i32, _: i32, _: i32, _: i32| {
        missing(&mut c, id)
    })?;
    linker.func_wrap("env", "opa_builtin3", |mut c: Caller<'_, State>, id: i32, _: i32, _: i32, _: i32, _: i32| {
        missing(&mut c, id)
    })?;
    linker.func_wrap(
        "env",
        "opa_builtin4",
        |mut c: Caller<'_, State>, id: i32, _: i32, _: i32, _: i32, _: i32, _: i32| missing(&mut c, id),
    )?;
    Ok(())
}

fn missing(caller: &mut Caller<'_, State>, id: i32) -> Result<i32, Error> {
    Err(end(caller, Failure::Builtin(id)))
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
