//! `kmss key derive`: pairs that follow from a seed and a path.

use libkmss::key::{KeyClass, KeySpec, Protection, Usage};
use libkmss::mechanism::{Curve, HdDerivation};

use super::key::{self, parse_hex};
use crate::args::{DeriveArgs, HdCurve};
use crate::context::Context;
use crate::output::{self, Failure};

/// Runs `kmss key derive`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &DeriveArgs) -> Result<(), Failure> {
    let curve = match args.curve {
        HdCurve::Secp256k1 => Curve::Secp256k1,
        HdCurve::P256 => Curve::P256,
        HdCurve::Ed25519 => Curve::Ed25519,
    };
    let how = HdDerivation::new(curve, args.path.clone())?;
    let identifier = args.id.as_deref().map(parse_hex).transpose()?;
    let (name, token) = (args.name.as_str(), args.token.token.as_str());
    let objects = context.objects(token)?;
    let missing = || format!("there is no seed `{}`; `kmss key generate NAME --type hd-seed` makes one", args.seed);
    let seed = objects.key(&args.seed, KeyClass::Secret)?.ok_or_else(missing)?;
    if !key::parts(&*objects, name)?.is_empty() {
        return Err(format!("a key named `{name}` exists already in token `{token}`").into());
    }
    let spec = KeySpec::Ec(curve);
    let mut private = key::draft(&*objects, name, &spec, KeyClass::Private)?;
    private.usage = Usage { sign: true, ..Usage::default() };
    private.protection = Protection { sensitive: true, ..Protection::default() };
    private.private = true;
    private.identifier = identifier.unwrap_or_else(|| private.id.usual_identifier());
    let mut public = key::draft(&*objects, name, &spec, KeyClass::Public)?;
    public.usage = Usage { verify: true, ..Usage::default() };
    public.identifier.clone_from(&private.identifier);
    let made = objects.derive_child(&seed, how.clone(), private, public)?;
    objects.close()?;
    if context.global.json {
        return output::json(&key::describe(&made));
    }
    let key = made.key().ok_or("the new object is no key")?;
    output::line(&format!(
        "Derived {} key `{}` at {} of `{}` in token `{token}` (CKA_ID {}).",
        report::describe(key),
        output::plain(&key.name),
        how.path(),
        output::plain(&args.seed),
        output::hex(&made.identifier)
    ))
}
