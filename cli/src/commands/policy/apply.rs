//! `kmss policy apply`: putting a policy in force.

use libkmss::kms::AppliedPolicy;
use libkmss::policy::bundle::Bundle;
use libkmss::policy::registry::PolicyRole;
use serde_json::json;

use super::{content, list};
use crate::args::ApplyArgs;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::Offered;

/// Runs `kmss policy apply`.
///
/// # Errors
/// The policy is not what it should be, or whoever asks may not.
pub(super) fn run(context: &Context, args: &ApplyArgs) -> Result<(), Failure> {
    let bytes = content::read(&args.file)?;
    let role = if args.shadow { PolicyRole::Shadow } else { PolicyRole::Active };
    let (scope, offered) = if Bundle::is_one(&bytes) {
        if args.content.name.is_some() || args.content.data.is_some() || args.content.entrypoint.is_some() {
            return Err("a bundle says itself what is in it: leave out --name, --data and --entrypoint".into());
        }
        let said = Bundle::parse(&bytes).map_err(libkmss::error::Error::from)?.manifest().terms.scope.clone();
        (args.scope.named().unwrap_or(said), Offered::Bundle(bytes))
    } else {
        let policy = content::policy(&args.file, bytes, &args.content)?;
        (args.scope.required()?, Offered::Unsigned(policy))
    };
    let applied = context.policies()?.apply(&scope, offered, role)?;
    report(context, &applied, role)
}

fn report(context: &Context, applied: &AppliedPolicy, role: PolicyRole) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&json!({
            "name": applied.name,
            "scope": applied.scope.to_string(),
            "role": list::word(role),
            "sequence": applied.sequence,
            "changed": applied.changed,
            "before": applied.before,
        }));
    }
    let (name, scope, sequence) = (&applied.name, output::plain(&applied.scope.to_string()), applied.sequence);
    if !applied.changed {
        return output::line(&format!("Policy `{name}`, sequence {sequence}, is in force for {scope} already."));
    }
    let instead = applied.before.map(|n| format!(", in place of sequence {n}")).unwrap_or_default();
    match (role, applied.before) {
        (PolicyRole::Active, before) => {
            output::line(&format!("Policy `{name}`, sequence {sequence}, is in force for {scope}{instead}."))?;
            match before {
                None => {
                    output::line("What no policy allows is denied there: `kmss audit tail --outcome denied` shows it.")
                }
                Some(_) => Ok(()),
            }
        }
        (PolicyRole::Shadow, _) => {
            output::line(&format!("Policy `{name}`, sequence {sequence}, runs in the shadow for {scope}{instead}."))?;
            output::line("Where it would decide otherwise, `kmss audit tail` says so.")
        }
    }
}
