//! A module that says where it writes, so that nothing that it wrote need last.
//!
//! Beside each store stands a second one, into a memory that the module's own code cannot name: it marks the grain of memory
//! that was written. Globals that may change are exported. Whatever else could last (tables, segments that are dropped, a
//! memory that grows) makes a module one that cannot be watched.

use wasm_encoder::{
    CodeSection, Encode, ExportKind, ExportSection, Instruction, MemArg, MemorySection, MemoryType, RawSection, Section,
};
use wasmparser::{
    ExternalKind, FunctionBody, GlobalSectionReader, Operator, Parser, Payload, TypeSectionReader, ValType, Validator,
    WasmFeatures,
};

use crate::policy::host::{Limits, lasts};

/// What our names begin with; no name of the module's own does.
const OURS: &str = "kmss.";
/// The name under which the marks are exported, and that of a global before its number.
pub(super) const MARKS: &str = "kmss.marks";
pub(super) const GLOBAL: &str = "kmss.global.";
/// Globals that may change; a module has one.
pub(super) const MOST_GLOBALS: u32 = 16;

/// Bytes that share a mark.
pub(super) const GRAIN: usize = 1 << GRAIN_BITS;
const GRAIN_BITS: i32 = 10;
/// Offsets below this are left out of account when a mark is set, so that it costs less.
const NEAR: u64 = 64;
/// What is written has at most this many bytes.
const WIDEST: usize = 16;
/// How far a store that marked a grain may have written behind it.
pub(super) const REACH: usize = NEAR as usize + WIDEST;

// Every grain, and the one behind the last, has its mark on the one page of marks.
const _: () = assert!((Limits::MOST_PAGES as usize) << 16 >> GRAIN_BITS < 1 << 16);

/// The module that marks; `None` where it cannot be watched. `wasm` has one memory, whose size is fixed.
pub(in crate::policy) fn watched(wasm: &[u8]) -> Option<Vec<u8>> {
    // All that writes in WebAssembly 2.0 is known here. It has no second memory, which code could name once there are marks.
    Validator::new_with_features(WasmFeatures::WASM2).validate_all(wasm).ok()?;
    let mut watch = Watch { wasm, module: wasm.get(..8)?.to_vec(), ..Watch::default() };
    for payload in Parser::new(0).parse_all(wasm) {
        watch.section(payload.ok()?)?;
    }
    watch.has_memory.then_some(watch.module)
}

#[derive(Default)]
struct Watch<'w> {
    wasm: &'w [u8],
    /// What is written already.
    module: Vec<u8>,
    /// How many parameters each type of function has.
    types: Vec<u32>,
    /// The types of the module's own functions.
    functions: Vec<u32>,
    /// The numbers of the globals that may change.
    globals: Vec<u32>,
    code: CodeSection,
    has_memory: bool,
}

impl<'w> Watch<'w> {
    fn section(&mut self, payload: Payload<'w>) -> Option<()> {
        match payload {
            Payload::TypeSection(types) => {
                self.types = parameters(types.clone())?;
                self.copy(1, types.range())
            }
            Payload::FunctionSection(functions) => {
                let range = functions.range();
                self.functions = functions.into_iter().collect::<Result<_, _>>().ok()?;
                self.copy(3, range)
            }
            Payload::MemorySection(memories) => {
                let own = memories.into_iter().next()?.ok()?;
                if own.maximum != Some(own.initial) || own.shared || own.memory64 || own.page_size_log2.is_some() {
                    return None;
                }
                let fixed = |pages| MemoryType {
                    minimum: pages,
                    maximum: Some(pages),
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                };
                MemorySection::new().memory(fixed(own.initial)).memory(fixed(1)).append_to(&mut self.module);
                self.has_memory = true;
                Some(())
            }
            Payload::GlobalSection(globals) => {
                self.globals = changing(globals.clone())?;
                self.copy(6, globals.range())
            }
            Payload::ExportSection(exports) => {
                let mut section = ExportSection::new();
                for export in exports {
                    let export = export.ok()?;
                    if export.name.starts_with(OURS) {
                        return None;
                    }
                    section.export(export.name, kind(export.kind)?, export.index);
                }
                section.export(MARKS, ExportKind::Memory, 1);
                for (number, index) in self.globals.iter().enumerate() {
                    section.export(&format!("{GLOBAL}{number}"), ExportKind::Global, *index);
                }
                section.append_to(&mut self.module);
                Some(())
            }
            Payload::CodeSectionStart { .. } => Some(()),
            Payload::CodeSectionEntry(body) => {
                let kind = self.functions.get(self.code.len() as usize)?;
                let function = self.function(&body, *self.types.get(*kind as usize)?)?;
                self.code.raw(&function);
                if self.code.len() as usize == self.functions.len() {
                    self.code.append_to(&mut self.module);
                }
                Some(())
            }
            Payload::CustomSection(_) => Some(()),
            other => match other.as_section() {
                Some((id, range)) => self.copy(id, range),
                None => Some(()),
            },
        }
    }

    fn copy(&mut self, id: u8, range: std::ops::Range<usize>) -> Option<()> {
        RawSection { id, data: self.wasm.get(range)? }.append_to(&mut self.module);
        Some(())
    }

    /// The body of a function, with a mark for each of its stores.
    fn function(&self, body: &FunctionBody<'_>, parameters: u32) -> Option<Vec<u8>> {
        let mut locals = body.get_locals_reader().ok()?;
        let groups = locals.original_position();
        let count = locals.get_count();
        let mut first = parameters;
        for _ in 0..count {
            first = first.checked_add(locals.read().ok()?.0)?;
        }
        let temporary = Temporary(first);
        let mut operators = body.get_operators_reader().ok()?;
        let mut function = Vec::with_capacity(body.range().len() * 2);
        count.checked_add(Temporary::GROUPS.len() as u32)?.encode(&mut function);
        function.extend_from_slice(self.wasm.get(groups..operators.original_position())?);
        for (number, kind) in Temporary::GROUPS {
            number.encode(&mut function);
            kind.encode(&mut function);
        }
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read().ok()?;
            let bytes = self.wasm.get(start..operators.original_position())?;
            temporary.operator(&operator, bytes, &mut function)?;
        }
        Some(function)
    }
}

/// How many parameters each type has.
fn parameters(types: TypeSectionReader<'_>) -> Option<Vec<u32>> {
    types.into_iter_err_on_gc_types().map(|kind| u32::try_from(kind.ok()?.params().len()).ok()).collect()
}

/// The globals that may change. References are not kept.
fn changing(globals: GlobalSectionReader<'_>) -> Option<Vec<u32>> {
    let mut changing = Vec::new();
    for (index, global) in globals.into_iter().enumerate() {
        let kind = global.ok()?.ty;
        if kind.mutable {
            if matches!(kind.content_type, ValType::Ref(_)) || changing.len() as u32 == MOST_GLOBALS {
                return None;
            }
            changing.push(u32::try_from(index).ok()?);
        }
    }
    Some(changing)
}

const fn kind(kind: ExternalKind) -> Option<ExportKind> {
    Some(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        _ => return None,
    })
}

/// The locals that a watched function has besides its own; the number of the first.
#[derive(Clone, Copy)]
struct Temporary(u32);

impl Temporary {
    /// An address, two numbers, and one value of each other type.
    const GROUPS: [(u32, wasm_encoder::ValType); 5] = [
        (3, wasm_encoder::ValType::I32),
        (1, wasm_encoder::ValType::I64),
        (1, wasm_encoder::ValType::F32),
        (1, wasm_encoder::ValType::F64),
        (1, wasm_encoder::ValType::V128),
    ];

    const fn address(self) -> u32 {
        self.0
    }

    const fn value(self, number: u32) -> u32 {
        self.0 + 1 + number
    }

    /// The operator, which has `bytes`, and what marks the grains that it writes.
    fn operator(self, operator: &Operator<'_>, bytes: &[u8], function: &mut Vec<u8>) -> Option<()> {
        use Operator as O;
        let (value, offset) = match operator {
            O::I32Store { memarg } | O::I32Store8 { memarg } | O::I32Store16 { memarg } => (0, memarg.offset),
            O::I64Store { memarg } | O::I64Store8 { memarg } | O::I64Store16 { memarg } | O::I64Store32 { memarg } => {
                (2, memarg.offset)
            }
            O::F32Store { memarg } => (3, memarg.offset),
            O::F64Store { memarg } => (4, memarg.offset),
            O::V128Store { memarg }
            | O::V128Store8Lane { memarg, .. }
            | O::V128Store16Lane { memarg, .. }
            | O::V128Store32Lane { memarg, .. }
            | O::V128Store64Lane { memarg, .. } => (5, memarg.offset),
            O::MemoryFill { .. } | O::MemoryCopy { .. } => {
                self.range(bytes, function);
                return Some(());
            }
            // The memory cannot grow, and globals are put back.
            O::GlobalSet { .. } | O::MemoryGrow { .. } => {
                function.extend_from_slice(bytes);
                return Some(());
            }
            other => {
                function.extend_from_slice(bytes);
                return (!lasts(other)).then_some(());
            }
        };
        let mut put = |instruction: Instruction<'_>| instruction.encode(function);
        put(Instruction::LocalSet(self.value(value)));
        put(Instruction::LocalTee(self.address()));
        put(Instruction::LocalGet(self.value(value)));
        function.extend_from_slice(bytes);
        // Where the store was out of bounds, this is not reached.
        let mut put = |instruction: Instruction<'_>| instruction.encode(function);
        put(Instruction::LocalGet(self.address()));
        if offset >= NEAR {
            put(Instruction::I32Const(u32::try_from(offset).ok()?.cast_signed()));
            put(Instruction::I32Add);
        }
        put(Instruction::I32Const(GRAIN_BITS));
        put(Instruction::I32ShrU);
        put(Instruction::I32Const(1));
        put(Instruction::I32Store8(MemArg { offset: 0, align: 0, memory_index: 1 }));
        Some(())
    }

    /// Filling and copying: address, value or source, and length.
    fn range(self, bytes: &[u8], function: &mut Vec<u8>) {
        let mut put = |instruction: Instruction<'_>| instruction.encode(function);
        put(Instruction::LocalSet(self.value(1)));
        put(Instruction::LocalSet(self.value(0)));
        put(Instruction::LocalTee(self.address()));
        put(Instruction::LocalGet(self.value(0)));
        put(Instruction::LocalGet(self.value(1)));
        function.extend_from_slice(bytes);
        let mut put = |instruction: Instruction<'_>| instruction.encode(function);
        let grain = [Instruction::I32Const(GRAIN_BITS), Instruction::I32ShrU];
        let first = |put: &mut dyn FnMut(Instruction<'_>)| {
            put(Instruction::LocalGet(self.address()));
            grain.iter().for_each(|one| put(one.clone()));
        };
        first(&mut put);
        put(Instruction::I32Const(1));
        put(Instruction::LocalGet(self.address()));
        put(Instruction::LocalGet(self.value(1)));
        put(Instruction::I32Add);
        grain.iter().for_each(|one| put(one.clone()));
        first(&mut put);
        put(Instruction::I32Sub);
        put(Instruction::I32Const(1));
        put(Instruction::I32Add);
        put(Instruction::MemoryFill(1));
    }
}
