//! The functions of a module's instance, looked up once.

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::policy::host::{Failure, GATE, State};

/// The arguments of `opa_eval`: a zero, entrypoint, data, address and length of the input, the heap, and the format of the
/// result (0: JSON).
type Evaluation = (i32, i32, i32, i32, i32, i32, i32);

/// What every module has, and how it is asked.
pub(super) struct Exports {
    pub(super) allocate: TypedFunc<i32, i32>,
    pub(super) parse: TypedFunc<(i32, i32), i32>,
    pub(super) dump: TypedFunc<i32, i32>,
    /// ABI 1.2 and later: one call.
    pub(super) once: Option<TypedFunc<Evaluation, i32>>,
    /// The parts of it; before 1.2 the only way.
    pub(super) steps: Result<Steps, &'static str>,
    /// Adds a value to an object: object, path, value.
    pub(super) add: Option<TypedFunc<(i32, i32, i32), i32>>,
}

/// A decision step by step.
pub(super) struct Steps {
    pub(super) context: TypedFunc<(), i32>,
    pub(super) input: TypedFunc<(i32, i32), ()>,
    pub(super) data: TypedFunc<(i32, i32), ()>,
    pub(super) entrypoint: TypedFunc<(i32, i32), ()>,
    pub(super) evaluate: TypedFunc<i32, i32>,
    pub(super) result: TypedFunc<i32, i32>,
}

impl Exports {
    pub(super) fn of(instance: &Instance, store: &mut Store<State>) -> Result<Self, Failure> {
        let missing = |name| Failure::Instance(format!("the module exports no function `{name}`"));
        Ok(Self {
            allocate: function(instance, store, "opa_malloc").map_err(missing)?,
            parse: function(instance, store, "opa_json_parse").map_err(missing)?,
            dump: function(instance, store, "opa_json_dump").map_err(missing)?,
            once: function(instance, store, "opa_eval").ok(),
            steps: Steps::of(instance, store),
            add: function(instance, store, "opa_value_add_path").ok(),
        })
    }
}

impl Steps {
    /// The functions, or the name of the first that is missing.
    fn of(instance: &Instance, store: &mut Store<State>) -> Result<Self, &'static str> {
        Ok(Self {
            context: function(instance, store, "opa_eval_ctx_new")?,
            input: function(instance, store, "opa_eval_ctx_set_input")?,
            data: function(instance, store, "opa_eval_ctx_set_data")?,
            entrypoint: function(instance, store, "opa_eval_ctx_set_entrypoint")?,
            evaluate: function(instance, store, "eval")?,
            result: function(instance, store, "opa_eval_ctx_get_result")?,
        })
    }
}

/// The function of this name, if it is one of this type.
fn function<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<State>,
    name: &'static str,
) -> Result<TypedFunc<P, R>, &'static str> {
    let _closed = GATE.enter();
    instance.get_typed_func(store, name).map_err(|_| name)
}

/// Calls a function.
pub(super) fn call<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    function: &TypedFunc<P, R>,
    parameters: P,
) -> Result<R, Failure> {
    function.call(&mut *store, parameters).map_err(|e| Failure::of(&e, store.data_mut()))
}
