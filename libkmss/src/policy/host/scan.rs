//! What a module says of itself, read before anything is compiled.

use wasmparser::{Operator, Parser, Payload, TypeRef};

use super::failure::LoadError;
use super::limits::Limits;
use crate::policy::abi::{READS_SECTION, SECTION, SIZES_SECTION};

/// Names that tell which interface a module speaks.
const NATIVE: &str = "kmss_abi";
const OPA: &str = "opa_wasm_abi_version";

/// The parts of a module that matter before it is compiled.
#[derive(Debug, Default)]
pub(super) struct Shape<'w> {
    /// The contents of its section with the names of its rules.
    pub(super) rules: Option<&'w [u8]>,
    /// The contents of its section with the sizes that it tells apart.
    pub(super) sizes: Option<&'w [u8]>,
    /// The contents of its section with the fields that it looks at.
    pub(super) reads: Option<&'w [u8]>,
    /// Whether anything in it could change its memory, globals or tables.
    pub(super) writes: bool,
    /// Bytes that fill its memory when it starts.
    pub(super) data: u64,
    native: bool,
    opa: bool,
    imports: Vec<(&'w str, &'w str, TypeRef)>,
    /// Initial pages and maximum of its own memory.
    memory: Option<(u64, Option<u64>)>,
    /// How many memories it has, those that it imports included.
    memories: usize,
    tables: Vec<u64>,
}

/// Reads a module. That it is valid, the compiler finds out.
pub(super) fn scan(wasm: &[u8]) -> Result<Shape<'_>, LoadError> {
    if wasm.len() > Limits::MODULE {
        return Err(LoadError::TooLarge);
    }
    let mut shape = Shape::default();
    let mut ended = false;
    for payload in Parser::new(0).parse_all(wasm) {
        ended |= shape.read(payload.map_err(malformed)?).map_err(malformed)?;
    }
    if !ended {
        return Err(LoadError::Malformed("it ends too early".to_owned()));
    }
    if shape.memories > 1 {
        return Err(LoadError::Malformed("it has more than one memory".to_owned()));
    }
    Ok(shape)
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Malformed(error.to_string())
}

impl<'w> Shape<'w> {
    /// Takes in one section; true at the end.
    fn read(&mut self, payload: Payload<'w>) -> wasmparser::Result<bool> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    self.memories += usize::from(matches!(import.ty, TypeRef::Memory(_)));
                    self.imports.push((import.module, import.name, import.ty));
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory?;
                    self.memories += 1;
                    self.memory = Some((memory.initial, memory.maximum));
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.tables.push(table?.ty.initial);
                }
            }
            Payload::DataSection(segments) => {
                for segment in segments {
                    self.data += segment?.data.len() as u64;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let name = export?.name;
                    self.native |= name == NATIVE;
                    self.opa |= name == OPA;
                }
            }
            // OPA's modules are put back by their own means.
            Payload::CodeSectionEntry(body) if !self.writes && !self.opa => {
                let mut operators = body.get_operators_reader()?;
                while !operators.eof() && !self.writes {
                    self.writes = lasts(&operators.read()?);
                }
            }
            Payload::CustomSection(custom) if custom.name() == SECTION => self.rules = Some(custom.data()),
            Payload::CustomSection(custom) if custom.name() == SIZES_SECTION => self.sizes = Some(custom.data()),
            Payload::CustomSection(custom) if custom.name() == READS_SECTION => self.reads = Some(custom.data()),
            Payload::End(_) => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// Which interface it speaks.
    pub(super) const fn is_opa(&self) -> Result<bool, LoadError> {
        match (self.native, self.opa) {
            (true, false) => Ok(false),
            (false, true) => Ok(true),
            _ => Err(LoadError::Interface),
        }
    }

    /// Refuses what `kmss-policy/1` does not allow.
    pub(super) fn check_native(&self, limits: &Limits) -> Result<(), LoadError> {
        if let Some((module, name, _)) = self.imports.first() {
            return Err(LoadError::Import(format!("{module}.{name}")));
        }
        let allowed = limits.native_pages();
        let missing = LoadError::Export { name: "memory", wanted: "its memory" };
        let (initial, maximum) = self.memory.ok_or(missing)?;
        let asked = maximum.ok_or(LoadError::NoMaximum(allowed))?.max(initial);
        if asked > u64::from(allowed) {
            return Err(LoadError::Pages { asked, allowed });
        }
        self.check_tables()
    }

    /// Refuses what OPA's interface does not know.
    pub(super) fn check_opa(&self, limits: &Limits) -> Result<(), LoadError> {
        let allowed = limits.opa_pages();
        for (module, name, kind) in &self.imports {
            let known = match kind {
                TypeRef::Memory(memory) if memory.initial > u64::from(allowed) => {
                    return Err(LoadError::Pages { asked: memory.initial, allowed });
                }
                TypeRef::Memory(_) => *name == "memory",
                TypeRef::Func(_) => crate::policy::opa::IMPORTS.contains(name),
                _ => false,
            };
            if *module != "env" || !known {
                return Err(LoadError::Import(format!("{module}.{name}")));
            }
        }
        self.check_tables()
    }

    fn check_tables(&self) -> Result<(), LoadError> {
        let large = self.tables.iter().any(|initial| usize::try_from(*initial).is_ok_and(|n| n > Limits::TABLE));
        if large || self.tables.len() > 4 { Err(LoadError::Table) } else { Ok(()) }
    }
}

/// Whether an instruction can leave something behind for the next decision. Those of threads and garbage collection are
/// not listed: the engine does not offer them.
pub(in crate::policy) const fn lasts(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::I32Store { .. }
            | O::I64Store { .. }
            | O::F32Store { .. }
            | O::F64Store { .. }
            | O::I32Store8 { .. }
            | O::I32Store16 { .. }
            | O::I64Store8 { .. }
            | O::I64Store16 { .. }
            | O::I64Store32 { .. }
            | O::V128Store { .. }
            | O::V128Store8Lane { .. }
            | O::V128Store16Lane { .. }
            | O::V128Store32Lane { .. }
            | O::V128Store64Lane { .. }
            | O::GlobalSet { .. }
            | O::MemoryGrow { .. }
            | O::MemoryFill { .. }
            | O::MemoryCopy { .. }
            | O::MemoryInit { .. }
            | O::MemoryDiscard { .. }
            | O::DataDrop { .. }
            | O::TableSet { .. }
            | O::TableGrow { .. }
            | O::TableFill { .. }
            | O::TableCopy { .. }
            | O::TableInit { .. }
            | O::ElemDrop { .. }
    )
}
