//! What a policy speaks of: everything, a tenant, a namespace, or one key.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::tenant::Namespace;

/// Longest name of a tenant, namespace or key in bytes.
const LONGEST: usize = 256;

/// What a policy, or the word of a publisher, is good for. Scopes contain each other in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Scope {
    /// Every tenant of the home.
    Platform,
    /// Every namespace of a tenant.
    Tenant {
        /// The tenant.
        tenant: String,
    },
    /// One namespace.
    Namespace {
        /// Its tenant.
        tenant: String,
        /// Its name.
        namespace: String,
    },
    /// The keys of one name in a namespace.
    Key {
        /// The tenant.
        tenant: String,
        /// The namespace.
        namespace: String,
        /// The name that policies know the key by.
        key: String,
    },
}

impl Scope {
    /// The scope of a whole namespace.
    #[must_use]
    pub fn of(namespace: &Namespace) -> Self {
        Self::Namespace { tenant: namespace.tenant.clone(), namespace: namespace.name.clone() }
    }

    /// The word for its level.
    #[must_use]
    pub const fn level(&self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Tenant { .. } => "tenant",
            Self::Namespace { .. } => "namespace",
            Self::Key { .. } => "key",
        }
    }

    /// The tenant, where it is about one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Platform => None,
            Self::Tenant { tenant } | Self::Namespace { tenant, .. } | Self::Key { tenant, .. } => Some(tenant),
        }
    }

    /// The namespace's name, where it is about one or a part of one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Platform | Self::Tenant { .. } => None,
            Self::Namespace { namespace, .. } | Self::Key { namespace, .. } => Some(namespace),
        }
    }

    /// Whether it is the same as `inner` or contains it.
    #[must_use]
    pub fn contains(&self, inner: &Self) -> bool {
        match self {
            Self::Platform => true,
            Self::Tenant { tenant } => inner.tenant() == Some(tenant),
            Self::Namespace { tenant, namespace } => {
                inner.tenant() == Some(tenant) && inner.namespace() == Some(namespace)
            }
            Self::Key { .. } => self == inner,
        }
    }

    /// The names in it, from the outside.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let key = match self {
            Self::Key { key, .. } => Some(key.as_str()),
            _ => None,
        };
        self.tenant().into_iter().chain(self.namespace()).chain(key)
    }

    /// Refuses names that no tenant, namespace or key has.
    pub(super) fn validate(&self) -> Result<()> {
        let bad = |name: &str| name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control);
        match self.names().find(|name| bad(name)) {
            Some(name) => Err(Error::new(
                ErrorKind::Arguments,
                format!("`{}` is no name of a tenant, namespace or key", name.escape_debug()),
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Tenant { tenant } => write!(f, "tenant {tenant}"),
            Self::Namespace { tenant, namespace } => write!(f, "namespace {tenant}/{namespace}"),
            Self::Key { tenant, namespace, key } => write!(f, "key {tenant}/{namespace}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(tenant: &str, namespace: &str) -> Scope {
        Scope::Namespace { tenant: tenant.into(), namespace: namespace.into() }
    }

    #[test]
    fn a_scope_contains_itself_and_what_lies_within() {
        let key = Scope::Key { tenant: "a".into(), namespace: "n".into(), key: "k".into() };
        let scopes = [Scope::Platform, Scope::Tenant { tenant: "a".into() }, namespace("a", "n"), key.clone()];
        for (at, outer) in scopes.iter().enumerate() {
            for (place, inner) in scopes.iter().enumerate() {
                assert_eq!(outer.contains(inner), at <= place, "{outer} in {inner}");
            }
        }
        assert!(!namespace("b", "n").contains(&key));
        assert!(!namespace("a", "m").contains(&key));
        assert!(!Scope::Tenant { tenant: "b".into() }.contains(&key));
    }

    #[test]
    fn names_that_nothing_can_have_are_refused() {
        assert!(namespace("a", "n").validate().is_ok());
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert!(namespace("a", bad).validate().is_err());
            assert!(Scope::Tenant { tenant: bad.to_owned() }.validate().is_err());
        }
    }
}
