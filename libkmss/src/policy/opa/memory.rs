//! The memory of an OPA module, given to it before it is compiled.

use wasm_encoder::{EntityType, ImportSection, MemorySection, MemoryType, RawSection};
use wasmparser::{ImportSectionReader, Parser, Payload, TypeRef};

/// The bytes that every module begins with: magic number and version.
const HEADER: usize = 8;
/// The sections that may stand before that of the memory.
const TYPE: u8 = 1;
const TABLE: u8 = 4;

/// The module with a memory of its own, of `pages` from the start, in place of the one that it imports. It grows in vain either
/// way once it has so much; compiled code that knows the size beforehand checks each access by one comparison with a number,
/// and need not look where the memory is. `None` where the module imports no memory, or asks for more.
pub(in crate::policy) fn own_memory(wasm: &[u8], pages: u32) -> Option<Vec<u8>> {
    let mut module = wasm.get(..HEADER)?.to_vec();
    let mut memory = None;
    let mut is_written = false;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else { continue };
        if let (Some(section), false) = (&memory, is_written || (TYPE..=TABLE).contains(&id) || id == 0) {
            append(&mut module, section);
            is_written = true;
        }
        match payload {
            Payload::ImportSection(imports) => {
                let (rest, wanted) = without_memory(imports)?;
                let most = wanted.maximum.unwrap_or(u64::MAX).min(pages.into());
                if wanted.minimum > most {
                    return None;
                }
                let mut section = MemorySection::new();
                section.memory(MemoryType { minimum: most, maximum: Some(most), ..wanted });
                memory = Some(section);
                append(&mut module, &rest);
            }
            _ => append(&mut module, &RawSection { id, data: wasm.get(range)? }),
        }
    }
    is_written.then_some(module)
}

fn append(module: &mut Vec<u8>, section: &impl wasm_encoder::Section) {
    section.append_to(module);
}

/// The functions among the imports, and the memory.
fn without_memory(imports: ImportSectionReader<'_>) -> Option<(ImportSection, MemoryType)> {
    let mut rest = ImportSection::new();
    let mut memory = None;
    for import in imports.into_imports() {
        let import = import.ok()?;
        match import.ty {
            TypeRef::Func(kind) => {
                rest.import(import.module, import.name, EntityType::Function(kind));
            }
            TypeRef::Memory(wanted) if memory.is_none() && !wanted.memory64 && !wanted.shared => {
                memory = Some(MemoryType {
                    minimum: wanted.initial,
                    maximum: wanted.maximum,
                    memory64: false,
                    shared: false,
                    page_size_log2: wanted.page_size_log2,
                });
            }
            _ => return None,
        }
    }
    Some((rest, memory?))
}
