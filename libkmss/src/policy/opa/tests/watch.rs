//! Which modules can be watched, and that they stay modules.

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, HeapType, Instruction, MemArg, MemorySection, MemoryType,
    Module, RefType, TableSection, TableType, TypeSection, ValType,
};

use super::*;

/// A module with a table, a passive segment of each kind and one function `(i32) -> ()`.
struct Plan {
    memories: Vec<MemoryType>,
    global: ValType,
    export: &'static str,
    body: Vec<Instruction<'static>>,
}

impl Plan {
    fn new(body: &[Instruction<'static>]) -> Self {
        Self { memories: vec![fixed()], global: ValType::I32, export: "memory", body: body.to_vec() }
    }

    fn module(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], []);
        let mut module = Module::new();
        module.section(&types).section(FunctionSection::new().function(0));
        let nothing = RefType::FUNCREF;
        let table = TableType { element_type: nothing, table64: false, minimum: 1, maximum: None, shared: false };
        module.section(TableSection::new().table(table));
        let mut memories = MemorySection::new();
        for memory in &self.memories {
            memories.memory(*memory);
        }
        module.section(&memories);
        let value = match self.global {
            ValType::I32 => ConstExpr::i32_const(0),
            _ => ConstExpr::ref_null(HeapType::FUNC),
        };
        module.section(
            GlobalSection::new().global(GlobalType { val_type: self.global, mutable: true, shared: false }, &value),
        );
        module.section(ExportSection::new().export(self.export, ExportKind::Memory, 0));
        module.section(ElementSection::new().passive(Elements::Functions([0].as_slice().into())));
        module.section(&DataCountSection { count: 1 });
        let mut function = Function::new([(2, ValType::I64)]);
        for one in &self.body {
            function.instruction(one);
        }
        function.instruction(&Instruction::End);
        module.section(CodeSection::new().function(&function));
        module.section(DataSection::new().passive(*b"data"));
        module.finish()
    }
}

const fn fixed() -> MemoryType {
    MemoryType { minimum: 2, maximum: Some(2), memory64: false, shared: false, page_size_log2: None }
}

const fn at(offset: u64, memory_index: u32) -> MemArg {
    MemArg { offset, align: 0, memory_index }
}

fn is_module(wasm: &[u8]) -> bool {
    wasmparser::Validator::new().validate_all(wasm).is_ok()
}

#[test]
fn a_watched_module_is_a_module_with_a_second_memory_and_what_could_change_exported() {
    use Instruction as I;
    let store = |offset| I::I32Store(at(offset, 0));
    let body = [
        vec![I::I32Const(1), I::I32Const(2), store(0)],
        vec![I::I32Const(1), I::I32Const(2), store(63), I::I32Const(1), I::I32Const(2), store(u32::MAX.into())],
        vec![I::LocalGet(0), I::LocalGet(1), I::I64Store32(at(64, 0))],
        vec![I::I32Const(0), I::I32Const(0), I::LocalGet(0), I::MemoryFill(0)],
        vec![I::I32Const(0), I::I32Const(0), I::LocalGet(0), I::MemoryCopy { src_mem: 0, dst_mem: 0 }],
        vec![I::LocalGet(0), I::GlobalSet(0), I::I32Const(9), I::MemoryGrow(0), I::Drop],
        // What is never reached has stores, too.
        vec![I::Unreachable, store(0), I::F64Store(at(100, 0))],
    ];
    let module = Plan::new(&body.concat()).module();
    assert!(is_module(&module));
    let own = watched(&module).unwrap();
    assert!(is_module(&own));
    let mut exports = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&own) {
        match payload.unwrap() {
            wasmparser::Payload::MemorySection(memories) => assert_eq!(memories.count(), 2),
            wasmparser::Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name));
            }
            _ => {}
        }
    }
    assert_eq!(exports, ["memory", "kmss.marks", "kmss.global.0"]);
    assert_eq!(watched(&own), None, "it has two memories");
}

#[test]
fn modules_that_could_leave_something_behind_cannot_be_watched() {
    use Instruction as I;
    let zeros = || vec![I::I32Const(0), I::I32Const(0), I::I32Const(0)];
    let bodies = [
        vec![I::I32Const(0), I::RefNull(HeapType::FUNC), I::TableSet(0)],
        vec![I::RefNull(HeapType::FUNC), I::I32Const(1), I::TableGrow(0), I::Drop],
        vec![I::I32Const(0), I::RefNull(HeapType::FUNC), I::I32Const(0), I::TableFill(0)],
        [zeros(), vec![I::TableCopy { src_table: 0, dst_table: 0 }]].concat(),
        [zeros(), vec![I::TableInit { elem_index: 0, table: 0 }]].concat(),
        [zeros(), vec![I::MemoryInit { mem: 0, data_index: 0 }]].concat(),
        vec![I::ElemDrop(0)],
        vec![I::DataDrop(0)],
    ];
    for body in bodies {
        let module = Plan::new(&body).module();
        assert!(is_module(&module), "{body:?}");
        assert_eq!(watched(&module), None, "{body:?}");
    }
    let plan = || Plan::new(&[]);
    assert!(watched(&plan().module()).is_some());
    let growing = MemoryType { maximum: Some(3), ..fixed() };
    let endless = MemoryType { maximum: None, ..fixed() };
    let others = [
        Plan { memories: vec![growing], ..plan() },
        Plan { memories: vec![endless], ..plan() },
        Plan { global: ValType::FUNCREF, ..plan() },
        Plan { export: "kmss.marks", ..plan() },
    ];
    for other in others {
        assert!(is_module(&other.module()));
        assert_eq!(watched(&other.module()), None);
    }
}

#[test]
fn no_module_reaches_its_marks() {
    use Instruction as I;
    let bodies = [
        vec![I::I32Const(0), I::I32Const(0), I::I32Store8(at(0, 1))],
        vec![I::I32Const(0), I::I32Load8U(at(0, 1)), I::Drop],
        vec![I::I32Const(0), I::I32Const(0), I::I32Const(9), I::MemoryFill(1)],
        vec![I::I32Const(0), I::I32Const(0), I::I32Const(9), I::MemoryCopy { src_mem: 0, dst_mem: 1 }],
    ];
    for body in bodies {
        let alone = Plan::new(&body);
        assert!(!is_module(&alone.module()), "there is no second memory");
        assert_eq!(watched(&alone.module()), None, "{body:?}");
        let with_two = Plan { memories: vec![fixed(), fixed()], ..alone };
        assert!(is_module(&with_two.module()));
        assert_eq!(watched(&with_two.module()), None, "{body:?}");
        let refused = hosts()[0].load(&with_two.module(), &Limits::default(), None).unwrap_err().to_string();
        assert!(refused.contains("more than one memory"), "{refused}");
    }
}

#[test]
fn what_is_no_module_does_not_become_one() {
    let module = own_memory(STEPS, 32).unwrap();
    for cut in 0..module.len() {
        let cut = &module[..cut];
        assert!(watched(cut).is_none_or(|own| is_module(&own) && is_module(cut)), "{}", cut.len());
    }
}
