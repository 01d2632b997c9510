//! `kmss policy remove`: taking a policy out of force.

use libkmss::policy::registry::PolicyRole;
use serde_json::json;

use super::list;
use crate::args::ScopeArgs;
use crate::commands::token::confirm;
use crate::context::Context;
use crate::output::{self, Failure};

/// Runs `kmss policy remove`.
///
/// # Errors
/// There is no such policy, or whoever asks may not.
pub(super) fn run(context: &Context, name: &str, scope: &ScopeArgs, shadow: bool, yes: bool) -> Result<(), Failure> {
    let scope = scope.required()?;
    let wanted = output::plain(&scope.to_string());
    let role = if shadow { PolicyRole::Shadow } else { PolicyRole::Active };
    if !shadow {
        let question = format!(
            "Take policy `{}` for {wanted} out of force? What no policy allows is then denied.",
            output::plain(name)
        );
        confirm(yes, &question)?;
    }
    context.policies()?.remove(&scope, name, role)?;
    if context.global.json {
        return output::json(&json!({ "name": name, "scope": wanted, "role": list::word(role), "removed": true }));
    }
    output::line(&match role {
        PolicyRole::Active => {
            format!(
                "Policy `{}` for {wanted} is no longer in force. What no policy allows stays denied.",
                output::plain(name)
            )
        }
        PolicyRole::Shadow => format!("Policy `{}` for {wanted} no longer runs in the shadow.", output::plain(name)),
    })
}
