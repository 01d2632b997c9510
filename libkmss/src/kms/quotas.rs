//! Who sets quotas: whoever may change policies.

use super::Kms;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::quota::{Quota, Usage};
use crate::tenant::NamespaceId;

/// The first tags of the records of changes.
pub(super) const SET: &str = "quota set";
pub(super) const REMOVE: &str = "quota remove";

impl Kms {
    /// Every quota: those of the configuration first, then those that were set, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn quotas(&self) -> Result<Vec<Quota>> {
        Ok(self.book.current()?.quotas().iter().map(|quota| Quota::clone(quota)).collect())
    }

    /// Sets a quota in every process of the host from its next operation on, and says what was set before. What was used of one
    /// of the same name stays used.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] or [`ErrorKind::Denied`] for whoever may not; [`ErrorKind::Arguments`] for what cannot be
    /// meant; [`ErrorKind::Conflict`] when somebody else changed it meanwhile.
    pub fn set_quota(&self, caller: &Caller, quota: Quota) -> Result<Option<Quota>> {
        let (by, set) = (caller.principal.name.clone(), self.now());
        let quota = Quota { by, set, ..quota }.validated()?;
        let namespace = quota.scope.namespace;
        if quota.scope.token.is_some() {
            return Err(Error::new(ErrorKind::Internal, "a quota that is set names its namespace, not a label"));
        }
        let before = self.book.quota(namespace, &quota.name)?;
        let tags = self.quota_tags(SET, &quota, before.as_ref(), Some(&quota));
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_restrict(caller, namespace, false)?;
            self.book.set_quota(quota, before.as_ref())?;
            Ok(before)
        })
    }

    /// Removes the quota of this name in `namespace`, or beyond namespaces, and what is known of its use.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; as [`Self::set_quota`].
    pub fn remove_quota(&self, caller: &Caller, namespace: Option<NamespaceId>, name: &str) -> Result<Quota> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no quota `{}`", name.escape_debug()));
        let quota = self.book.quota(namespace, name)?.ok_or_else(missing)?;
        let tags = self.quota_tags(REMOVE, &quota, Some(&quota), None);
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_restrict(caller, namespace, false)?;
            self.book.remove_quota(&quota)?;
            Ok(quota)
        })
    }

    /// What is used of the budgets of `quota` that last: of days and for ever. What processes leased counts as used.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn quota_usage(&self, quota: &Quota) -> Result<Vec<Usage>> {
        self.book.usage(quota, self.now())
    }

    /// What the records of a change say: what is changed, and old and new.
    fn quota_tags(&self, verb: &str, quota: &Quota, old: Option<&Quota>, new: Option<&Quota>) -> Vec<String> {
        let shown = |quota: Option<&Quota>| quota.map_or_else(|| "none".to_owned(), Quota::shown);
        let token = quota.scope.namespace.map(|id| format!("token {}", self.namespace_shown(id)));
        let part = |word: &str, value: &Option<String>| value.as_ref().map(|value| format!("{word} {value}"));
        let scope = &quota.scope;
        let parts =
            [part("tenant", &scope.tenant), token, part("principal", &scope.principal), part("key", &scope.key)];
        let mut tags = vec![verb.to_owned(), format!("quota:{}", quota.name)];
        tags.extend(parts.into_iter().flatten());
        tags.push(format!("from {}", shown(old)));
        tags.push(format!("to {}", shown(new)));
        tags
    }
}
