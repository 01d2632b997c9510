//! Modules that are refused before any decision.

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemorySection, MemoryType, Module, RefType, StartSection, TableSection, TableType, TypeSection,
    ValType,
};

use super::*;

/// A guest that allows everything, put together of parts that can be left out or made wrong.
pub(super) struct Parts {
    /// Pages and maximum.
    pub(super) memory: Option<(u64, Option<u64>)>,
    pub(super) shared: bool,
    pub(super) wide: bool,
    pub(super) exported: bool,
    pub(super) import: Option<(&'static str, &'static str, EntityType)>,
    pub(super) table: Option<u64>,
    pub(super) abi: Option<i32>,
    pub(super) buffer: Option<i32>,
    /// Type of the decision's parameter.
    pub(super) decide: Option<ValType>,
    pub(super) start_loops: bool,
    pub(super) data_at: Option<i32>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            memory: Some((1, Some(1))),
            shared: false,
            wide: false,
            exported: true,
            import: None,
            table: None,
            abi: Some(0x10000),
            buffer: Some(1024),
            decide: Some(ValType::I32),
            start_loops: false,
            data_at: None,
        }
    }
}

impl Parts {
    pub(super) fn module(self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        types.ty().function([self.decide.unwrap_or(ValType::I32)], [ValType::I64]);
        types.ty().function([], []);
        let (mut imports, mut imported) = (ImportSection::new(), 0);
        if let Some((module, name, kind)) = self.import {
            imports.import(module, name, kind);
            imported = u32::from(matches!(kind, EntityType::Function(_)));
        }
        let (mut functions, mut codes, mut exports) =
            (FunctionSection::new(), CodeSection::new(), ExportSection::new());
        for kind in [0, 0, 1, 2] {
            functions.function(kind);
        }
        let body = |write: &dyn Fn(&mut wasm_encoder::InstructionSink<'_>)| {
            let mut function = Function::new([]);
            write(&mut function.instructions());
            function.instructions().end();
            function
        };
        codes.function(&body(&|i| _ = i.i32_const(self.abi.unwrap_or(0))));
        codes.function(&body(&|i| _ = i.i32_const(self.buffer.unwrap_or(0))));
        codes.function(&body(&|i| _ = i.i64_const(1)));
        codes.function(&body(&|i| {
            i.loop_(wasm_encoder::BlockType::Empty).br(0).end();
        }));
        let named = [
            ("kmss_abi", self.abi.is_some()),
            ("kmss_buf", self.buffer.is_some()),
            ("kmss_decide", self.decide.is_some()),
        ];
        for (at, (name, there)) in named.iter().enumerate() {
            if *there {
                exports.export(name, ExportKind::Func, imported + at as u32);
            }
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        if let Some(minimum) = self.table {
            let mut tables = TableSection::new();
            let kind =
                TableType { element_type: RefType::FUNCREF, table64: false, minimum, maximum: None, shared: false };
            tables.table(kind);
            module.section(&tables);
        }
        if let Some((minimum, maximum)) = self.memory {
            let mut memories = MemorySection::new();
            let kind = MemoryType { minimum, maximum, memory64: self.wide, shared: self.shared, page_size_log2: None };
            memories.memory(kind);
            module.section(&memories);
            if self.exported {
                exports.export("memory", ExportKind::Memory, 0);
            }
        }
        module.section(&exports);
        if self.start_loops {
            module.section(&StartSection { function_index: imported + 3 });
        }
        module.section(&codes);
        if let Some(at) = self.data_at {
            let mut data = DataSection::new();
            data.active(0, &ConstExpr::i32_const(at), *b"xx");
            module.section(&data);
        }
        module.finish()
    }
}

#[test]
fn what_is_no_guest_is_refused_with_a_sentence() {
    let whole = Parts::default;
    let memory = EntityType::Memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let start = "the module fails at its start: ";
    let cases = [
        (Parts { abi: None, ..whole() }, "the module speaks neither".to_owned()),
        (Parts { memory: None, ..whole() }, "the module must export `memory`".to_owned()),
        (Parts { exported: false, ..whole() }, "the module must export `memory`".to_owned()),
        (Parts { buffer: None, ..whole() }, "the module must export `kmss_buf` as a function () -> i32".to_owned()),
        (Parts { decide: None, ..whole() }, "the module must export `kmss_decide`".to_owned()),
        (
            Parts { decide: Some(ValType::I64), ..whole() },
            "the module must export `kmss_decide` as a function (i32) -> i64".to_owned(),
        ),
        (Parts { memory: Some((1, None)), ..whole() }, "the module's memory declares no maximum".to_owned()),
        (
            Parts { memory: Some((1, Some(17))), ..whole() },
            "the module's memory may have 17 pages of 64 KiB, and 16 are allowed".to_owned(),
        ),
        (
            Parts { import: Some(("wasi_snapshot_preview1", "fd_write", EntityType::Function(2))), ..whole() },
            "the module imports `wasi_snapshot_preview1.fd_write`".to_owned(),
        ),
        (
            Parts { memory: None, import: Some(("env", "memory", memory)), ..whole() },
            "the module imports `env.memory`".to_owned(),
        ),
        (Parts { table: Some(10_001), ..whole() }, "the module has a table".to_owned()),
        (
            Parts { abi: Some(0x20000), ..whole() },
            "the module was made for version 2.0 of its interface, and this KMSS speaks 1.0".to_owned(),
        ),
        (Parts { abi: Some(0x10001), ..whole() }, "the module was made for version 1.1".to_owned()),
        (Parts { abi: Some(0), ..whole() }, "the module was made for version 0.0".to_owned()),
        (Parts { buffer: Some(1028), ..whole() }, format!("{start}the policy's buffer at 0x404")),
        (Parts { buffer: Some(49_160), ..whole() }, format!("{start}the policy's buffer")),
        (Parts { buffer: Some(-8), ..whole() }, format!("{start}the policy's buffer")),
        (Parts { start_loops: true, ..whole() }, format!("{start}the policy used up its fuel")),
        (Parts { data_at: Some(65_535), ..whole() }, format!("{start}the policy trapped")),
        (Parts { shared: true, ..whole() }, "the module is malformed".to_owned()),
        (Parts { wide: true, ..whole() }, "the module is malformed".to_owned()),
    ];
    let hosts = hosts();
    for (number, (parts, expected)) in cases.into_iter().enumerate() {
        let wasm = parts.module();
        for host in &hosts {
            let error = host.load(&wasm, &Limits::default(), None).unwrap_err().to_string();
            assert!(error.starts_with(&expected), "{number}, {expected}: {error}");
        }
    }
    for host in &hosts {
        assert_eq!(ask(&load(host, &whole().module()), Action::Sign).verdict, Verdict::Allow);
        for nothing in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0", b"#!/bin/sh\n"] {
            assert!(host.load(nothing, &Limits::default(), None).is_err());
        }
    }
}
