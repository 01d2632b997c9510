//! `kmss policy show`: one policy, with the text it was compiled from.

use libkmss::error::Error;
use libkmss::policy::bundle::{Bundle, Manifest};
use libkmss::policy::registry::PolicyRole;

use super::{content, list};
use crate::args::{ScopeArgs, ShowArgs};
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::{InForce, Listed, Policies};

/// Runs `kmss policy show`.
///
/// # Errors
/// There is no such policy, or several.
pub(super) fn run(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let (bytes, policy) = match (&args.file, &args.name) {
        (Some(file), _) => (content::read(file)?, None),
        (None, Some(name)) => {
            let site = context.policies()?;
            let role = if args.shadow { PolicyRole::Shadow } else { PolicyRole::Active };
            let policy = find(&*site, name, &args.scope, role)?;
            (site.bundle(&policy, role)?, policy.in_role(role).cloned())
        }
        (None, None) => return Err("name a policy".into()),
    };
    let bundle = Bundle::parse(&bytes).map_err(Error::from)?;
    if let Some(out) = &args.out {
        std::fs::write(out, &bytes).map_err(|e| format!("cannot write `{}`: {e}", out.display()))?;
    }
    if args.source {
        if bundle.source().is_empty() {
            return Err("the bundle does not hold the text it was compiled from".into());
        }
        return output::line(&text(bundle.source()));
    }
    if context.global.json {
        let mut value = list::manifest(bundle.manifest());
        let digest = serde_json::json!({ "digest": output::hex(&bundle.digest()), "source": bundle.source() });
        list::merge(&mut value, digest);
        if let Some(policy) = &policy {
            list::merge(&mut value, list::in_force(policy));
        }
        return output::json(&value);
    }
    explain(&bundle, policy.as_ref())
}

/// The one policy of this name in this role, and in this scope where one is said.
fn find(site: &dyn Policies, name: &str, scope: &ScopeArgs, role: PolicyRole) -> Result<Listed, Failure> {
    let (all, wanted) = (site.policies()?, scope.named());
    let named = all.into_iter().filter(|e| e.name == name && wanted.as_ref().is_none_or(|w| *w == e.scope));
    let found: Vec<Listed> = named.filter(|entry| !entry.stale && entry.in_role(role).is_some()).collect();
    match found.as_slice() {
        [entry] => Ok(entry.clone()),
        [] => {
            Err(format!("no policy `{}` is in force here; `kmss policy list` shows what there is", name.escape_debug())
                .into())
        }
        several => {
            let scopes: Vec<String> = several.iter().map(|entry| output::plain(&entry.scope.to_string())).collect();
            Err(format!(
                "several policies are called `{name}`, for {}: say which with --token, --key, --tenant or --platform",
                scopes.join(", ")
            )
            .into())
        }
    }
}

fn explain(bundle: &Bundle<'_>, policy: Option<&InForce>) -> Result<(), Failure> {
    let manifest: &Manifest = bundle.manifest();
    let terms = &manifest.terms;
    let usual = || "as usual".to_owned();
    let mut lines = vec![
        ("Policy", output::plain(&terms.name)),
        ("For", output::plain(&terms.scope.to_string())),
        ("Sequence", terms.sequence.to_string()),
        ("Interface", terms.abi.name().to_owned()),
        ("Valid from", output::time(terms.not_before.0)),
        ("Valid until", terms.not_after.map_or_else(|| "it does not expire".to_owned(), |end| output::time(end.0))),
        ("Fuel", terms.fuel.map_or_else(usual, |fuel| fuel.to_string())),
        ("Memory", terms.pages.map_or_else(usual, |pages| format!("{} KiB", u64::from(pages) * 64))),
        ("Module", format!("{} bytes, SHA-256 {}", bundle.module().len(), output::hex(&manifest.module))),
        ("Publisher", manifest.publisher.to_string()),
        ("Digest", output::hex(&bundle.digest())),
    ];
    if let Some(entrypoint) = &terms.entrypoint {
        lines.push(("Entrypoint", output::plain(entrypoint)));
    }
    match policy {
        Some(policy) => {
            lines.push(("Signed by", output::plain(&policy.anchor)));
            lines.push((
                "Applied",
                format!("{} by {}", output::time(policy.applied.0), output::plain(&policy.applied_by)),
            ));
        }
        None => lines.push(("Signed by", "not checked: `kmss policy apply` does".to_owned())),
    }
    for (name, value) in lines {
        output::line(&format!("{name:<12} {value}"))?;
    }
    if bundle.source().is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::line(&text(bundle.source()))
}

/// A publisher's text, without anything that a terminal would obey.
fn text(source: &str) -> String {
    source.trim_end().lines().map(output::plain).collect::<Vec<_>>().join("\n")
}
