//! What a policy's file holds: a bundle, or what a bundle is made of (a module, or text that is compiled to one).

use std::io::Read as _;
use std::path::Path;

use libkmss::kms::UnsignedPolicy;
use libkmss::policy::bundle::{Abi, BUNDLE_MAX, Content, interface_of, is_module};
use libkmss::policy::dsl::Policy;

use crate::args::ContentArgs;
use crate::output::Failure;

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

/// The policy in `bytes`, which were read from `path`: a module, or text of the policy language, which is compiled.
///
/// # Errors
/// It is neither a module of an interface that is known nor a policy that makes sense.
pub(super) fn policy(path: &Path, bytes: Vec<u8>, args: &ContentArgs) -> Result<UnsignedPolicy, Failure> {
    let (content, abi, own_name) = if is_module(&bytes) {
        let data = args.data.as_deref().map(read).transpose()?;
        let abi = interface_of(&bytes).ok_or_else(|| no_interface(path))?;
        (Content { module: bytes, data, source: None }, abi, None)
    } else {
        if args.data.is_some() {
            return Err("only OPA modules have data".into());
        }
        let (content, name) = compiled(path, bytes)?;
        (content, Abi::Kmss, name)
    };
    let name = match (&args.name, own_name) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name,
        (None, None) => stem(path)?,
    };
    Ok(UnsignedPolicy { name, abi, entrypoint: args.entrypoint.clone(), content })
}

fn compiled(path: &Path, bytes: Vec<u8>) -> Result<(Content, Option<String>), Failure> {
    let shown = path.display().to_string();
    let source = String::from_utf8(bytes)
        .map_err(|_| format!("`{shown}` is neither a bundle nor a module nor text: it is not UTF-8"))?;
    let policy = Policy::parse(&source).map_err(|problems| {
        let report = problems.rendered(&shown, false);
        format!("`{shown}` is not a policy; nothing was changed\n{}", report.trim_end())
    })?;
    let name = policy.name().map(str::to_owned);
    let module = policy.compile().map_err(|e| format!("`{shown}` cannot be compiled: {e}"))?.wasm;
    Ok((Content { module, data: None, source: Some(source) }, name))
}

fn no_interface(path: &Path) -> Failure {
    let shown = path.display();
    format!("`{shown}` is no policy: it exports neither kmss_abi (docs/policy-abi.md) nor opa_wasm_abi_version").into()
}

fn stem(path: &Path) -> Result<String, Failure> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).ok_or_else(|| "name the policy with --name".into())
}
