//! What a policy is for, as the command line says it, and who may change that.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::kms::{Kms, PolicyTarget};
use libkmss::policy::Scope;
use libkmss::tenant::Namespace;

use crate::args::ScopeArgs;
use crate::context::{Context, find_token};
use crate::output::Failure;

/// Where a change goes, and who makes it.
pub(super) struct Authority {
    pub(super) kms: Kms,
    pub(super) caller: Caller,
    pub(super) target: PolicyTarget,
}

impl ScopeArgs {
    const fn is_empty(&self) -> bool {
        !self.platform && self.tenant.is_none() && self.token.is_none()
    }

    /// The scope by its names, without a home; `None` where nothing is said.
    pub(super) fn named(&self) -> Option<Scope> {
        if self.is_empty() {
            return None;
        }
        if self.platform {
            return Some(Scope::Platform);
        }
        let tenant = self.tenant.clone().unwrap_or_else(|| Namespace::DEFAULT_TENANT.to_owned());
        Some(match (self.token.clone(), self.key.clone()) {
            (None, _) => Scope::Tenant { tenant },
            (Some(namespace), None) => Scope::Namespace { tenant, namespace },
            (Some(namespace), Some(key)) => Scope::Key { tenant, namespace, key },
        })
    }

    /// The same, where something must be said.
    ///
    /// # Errors
    /// Nothing is said.
    pub(super) fn required(&self) -> Result<Scope, Failure> {
        self.named()
            .ok_or_else(|| "say what it is for: --token LABEL (and --key NAME), --tenant NAME or --platform".into())
    }

    /// Logs in whoever may change the policies of this scope.
    ///
    /// # Errors
    /// No such token, wrong PIN, locked PIN.
    pub(super) fn authority(&self, context: &Context) -> Result<Authority, Failure> {
        authority(context, &self.required()?)
    }
}

/// Logs in whoever may change the policies of `scope`: the SO of its token, unless the process is an admin's.
///
/// # Errors
/// No such token, wrong PIN, locked PIN.
pub(super) fn authority(context: &Context, scope: &Scope) -> Result<Authority, Failure> {
    let kms = context.kms()?;
    let target = match scope {
        Scope::Platform => PolicyTarget::Platform,
        Scope::Tenant { tenant } => PolicyTarget::Tenant(tenant.clone()),
        Scope::Namespace { .. } => PolicyTarget::Namespace,
        Scope::Key { key, .. } => PolicyTarget::Key(key.clone()),
    };
    let Some(token) = scope.namespace() else {
        let caller = kms.administrator(scope.tenant())?;
        return Ok(Authority { kms, caller, target });
    };
    let namespace = find_token(&kms, token)?;
    if Some(namespace.tenant.as_str()) != scope.tenant() {
        let (has, said) = (&namespace.tenant, scope.tenant().unwrap_or_default());
        return Err(format!("token `{token}` belongs to tenant `{has}`, not to `{said}`").into());
    }
    let caller = kms.enter(&namespace, 0)?;
    let caller = if kms.is_policy_admin(&namespace)? {
        caller
    } else {
        kms.login(&caller, &Credential::OfficerPin(&context.so_pin(token)?))?
    };
    Ok(Authority { kms, caller, target })
}
