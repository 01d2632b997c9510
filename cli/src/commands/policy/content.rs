//! What a policy's file holds: a bundle, or what a bundle is made of.

use std::io::Read as _;
use std::path::Path;

use libkmss::kms::UnsignedPolicy;
use libkmss::policy::bundle::{Abi, BUNDLE_MAX, Content, interface_of};
use libkmss::policy::dsl::Policy;

use crate::args::ContentArgs;
use crate::output::Failure;

/// First bytes of a WebAssembly binary.
const WASM: &[u8] = b"\0asm";

/// Reads a file whole.
///
/// # Errors
/// It cannot be read, or is larger than any policy.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |e: std::io::Error| format!("cannot read `{}`: {e}", path.display());
    let mut bytes = Vec::new();
    let limit = u64::try_from(BUNDLE_MAX)?.saturating_add(1);
    std::fs::File::open(path).map_err(cannot)?.take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > BUNDLE_MAX {
        return Err(format!("`{}` is too large to be a policy", path.display()).into());
    }
    Ok(bytes)
}

/// The policy in `bytes`, which were read from `path`.
///
/// # Errors
/// It is neither a module of an interface that is known nor text of the policy language.
pub(super) fn policy(path: &Path, bytes: Vec<u8>, args: &ContentArgs) -> Result<UnsignedPolicy, Failure> {
    if !bytes.starts_with(WASM) {
        return text(path, bytes, args);
    }
    let abi = interface_of(&bytes).ok_or_else(|| {
        format!(
            "`{}` is no policy: it exports neither kmss_abi (docs/policy-abi.md) nor opa_wasm_abi_version",
            path.display()
        )
    })?;
    let data = args.data.as_deref().map(read).transpose()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => stem(path)?,
    };
    let content = Content { module: bytes, data, source: None };
    Ok(UnsignedPolicy { name, abi, entrypoint: args.entrypoint.clone(), content })
}

/// The policy whose text in the policy language is `bytes`.
fn text(path: &Path, bytes: Vec<u8>, args: &ContentArgs) -> Result<UnsignedPolicy, Failure> {
    if args.data.is_some() || args.entrypoint.is_some() {
        return Err("only OPA modules have data and entrypoints".into());
    }
    let nothing = || format!("`{}` is neither a bundle, nor a WebAssembly module, nor text", path.display());
    let source = String::from_utf8(bytes).map_err(|_| nothing())?;
    let shown = path.display().to_string();
    let policy = Policy::parse(&source).map_err(|wrong| wrong.rendered(&shown, false))?;
    let name = match args.name.as_deref().or(policy.name()) {
        Some(name) => name.to_owned(),
        None => stem(path)?,
    };
    let module = policy.compile()?.wasm;
    Ok(UnsignedPolicy {
        name,
        abi: Abi::Kmss,
        entrypoint: None,
        content: Content { module, data: None, source: Some(source) },
    })
}

fn stem(path: &Path) -> Result<String, Failure> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).ok_or_else(|| "name the policy with --name".into())
}
