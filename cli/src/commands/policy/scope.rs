//! What a policy is for, as the command line says it.

use libkmss::policy::Scope;
use libkmss::tenant::Namespace;

use crate::args::ScopeArgs;
use crate::output::Failure;

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
}
