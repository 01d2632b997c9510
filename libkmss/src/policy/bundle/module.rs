//! What a module says of itself before anything runs.

use wasmparser::{Parser, Payload};

use super::Abi;
use crate::policy::host::Limits;

/// Whether these are the first bytes of a WebAssembly binary (WebAssembly Core 2.0, 5.5.16).
#[must_use]
pub fn is_module(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// Which interface a module speaks, by what it exports; `None` for any other module, and for what is none.
#[must_use]
pub fn interface_of(module: &[u8]) -> Option<Abi> {
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ExportSection(exports) = payload.ok()? else { continue };
        for export in exports {
            match export.ok()?.name {
                "kmss_abi" => return Some(Abi::Kmss),
                "opa_wasm_abi_version" => return Some(Abi::Opa),
                _ => {}
            }
        }
    }
    None
}

/// The pages of memory (64 KiB) that a module declares as its maximum, where that is more than usual: what a bundle made of
/// it asks for. `None` for a module without such a declaration, and for what is no module.
#[must_use]
pub fn declared_pages(module: &[u8]) -> Option<u32> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::MemorySection(memories) = payload.ok()? {
            let most = memories.into_iter().next()?.ok()?.maximum?;
            return u32::try_from(most).ok().filter(|pages| *pages > Limits::PAGES);
        }
    }
    None
}
