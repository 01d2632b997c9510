//! What people say of a key beside its name: whose it is, what it is for, and what else it is called.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::error::{Error, ErrorKind, Result};

/// Longest owner in bytes.
const LONGEST_OWNER: usize = 128;
/// Longest name of a service in bytes.
const LONGEST_SERVICE: usize = 200;
/// Longest description in bytes.
const LONGEST_DESCRIPTION: usize = 1000;

/// What people say of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Whose it is: a team, a service or a person, in whatever words the house uses.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What it is for, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The one thing that it is for; absent for whatever its attributes allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// What else it is called: each is one key's alone in its namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The service that it belongs to, without the `service:` of its principal; empty where it is anybody's whom policies let use
    /// it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Other services that may use it, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Whether its tags are in the index: those from before there was one are not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tags_found: bool,
}

impl Metadata {
    /// Most aliases of a key.
    pub const MOST_ALIASES: usize = 4;
    /// Most services that a key is granted to.
    pub const MOST_GRANTS: usize = 16;

    /// Whether `service`, or somebody who is none, may do `action` with it. What belongs to no service is not bounded here.
    ///
    /// Its own service does everything with it, and others that it was granted to use it. Whoever is no service changes and
    /// destroys it, where policies allow that, but does not use it.
    #[must_use]
    pub fn serves(&self, service: Option<&str>, action: Action) -> bool {
        if self.service.is_empty() || service == Some(&*self.service) {
            return true;
        }
        match action {
            Action::Find => true,
            Action::Manage | Action::ChangeState | Action::Destroy => service.is_none(),
            Action::Export => false,
            _ => service.is_some_and(|service| self.grants.iter().any(|granted| granted == service)),
        }
    }

    /// Grants its use to `service`, or does so no more.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where it belongs to no service or to this one, has too many, or has not this one to take away.
    pub fn grant(&mut self, service: &str, granted: bool) -> Result<()> {
        let bad = |why: String| Err(Error::new(ErrorKind::Arguments, why));
        let service = service_name(service)?;
        if self.service.is_empty() {
            return bad("the key belongs to no service, and policies say who uses it".to_owned());
        }
        if self.service == service || service.is_empty() {
            return bad(format!("the key belongs to the service `{}`: name another one", self.service));
        }
        match (self.grants.binary_search(&service), granted) {
            (Err(_), true) if self.grants.len() >= Self::MOST_GRANTS => {
                bad(format!("a key is granted to at most {} services", Self::MOST_GRANTS))
            }
            (Err(place), true) => {
                self.grants.insert(place, service);
                Ok(())
            }
            (Ok(place), false) => {
                self.grants.remove(place);
                Ok(())
            }
            (Ok(_), true) => Ok(()),
            (Err(_), false) => bad(format!("the key is not granted to the service `{service}`")),
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same of a key that is called otherwise.
    #[must_use]
    pub fn without_aliases(&self) -> Self {
        Self { aliases: Vec::new(), ..self.clone() }
    }

    /// Changes what is given.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what is too long or not one line.
    pub fn describe(&mut self, description: &Description) -> Result<()> {
        if let Some(owner) = &description.owner {
            self.owner = line(owner, LONGEST_OWNER, "owner")?;
        }
        if let Some(text) = &description.description {
            self.description = line(text, LONGEST_DESCRIPTION, "description")?;
        }
        if let Some(service) = &description.service {
            self.service = service_name(service)?;
            if self.service.is_empty() {
                self.grants.clear();
            }
            let own = &self.service;
            self.grants.retain(|granted| granted != own);
        }
        if let Some(purpose) = description.purpose {
            self.purpose = purpose;
        }
        Ok(())
    }
}

/// What is said of a key from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Whose it is; empty for nobody's.
    pub owner: Option<String>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// The one thing that it is for; `Some(None)` for whatever its attributes allow.
    pub purpose: Option<Option<Purpose>>,
    /// The service that it belongs to; empty for none, which takes its grants away.
    pub service: Option<String>,
}

/// The one thing that a key is for (SP 800-57 part 1, 5.2: one key, one purpose).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Signing and verifying, MACs too.
    Sign,
    /// Encrypting and decrypting.
    Encrypt,
    /// Wrapping and unwrapping keys.
    Wrap,
    /// Deriving and agreeing on keys.
    Derive,
    /// Encapsulating and decapsulating.
    Encapsulate,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sign, Self::Encrypt, Self::Wrap, Self::Derive, Self::Encapsulate];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::Wrap => "wrap",
            Self::Derive => "derive",
            Self::Encapsulate => "encapsulate",
        }
    }

    /// The purpose of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    /// Whether `action` serves it. What uses no key material is no use; a use that is not named here serves none.
    #[must_use]
    pub const fn serves(self, action: Action) -> bool {
        match action {
            Action::Find
            | Action::Generate
            | Action::Import
            | Action::Export
            | Action::Manage
            | Action::ChangeState
            | Action::Destroy => true,
            Action::Sign | Action::Verify => matches!(self, Self::Sign),
            Action::Encrypt | Action::Decrypt | Action::Tokenize | Action::Detokenize | Action::ReadMasked => {
                matches!(self, Self::Encrypt)
            }
            Action::Wrap | Action::Unwrap => matches!(self, Self::Wrap),
            Action::Derive | Action::DeriveChild => matches!(self, Self::Derive),
            Action::Encapsulate | Action::Decapsulate => matches!(self, Self::Encapsulate),
            _ => false,
        }
    }
}

/// A name as it stands behind `service:` in that of a principal; empty for none.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what no service is called.
pub fn service_name(name: &str) -> Result<String> {
    let name = name.strip_prefix("service:").unwrap_or(name);
    if name.len() > LONGEST_SERVICE || !name.bytes().all(|b| b.is_ascii_graphic()) {
        let why = format!(
            "a service is called by at most {LONGEST_SERVICE} letters, digits and signs, as `service:order-v1`"
        );
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok(name.to_owned())
}

fn line(text: &str, longest: usize, what: &str) -> Result<String> {
    if text.len() > longest || text.chars().any(char::is_control) {
        let why = format!("the {what} is one line of at most {longest} bytes");
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_purpose_is_served_by_its_own_uses_alone() {
        for (purpose, uses) in [
            (Purpose::Sign, [Action::Sign, Action::Verify]),
            (Purpose::Encrypt, [Action::Encrypt, Action::Decrypt]),
            (Purpose::Encrypt, [Action::Tokenize, Action::Detokenize]),
            (Purpose::Encrypt, [Action::ReadMasked, Action::ReadMasked]),
            (Purpose::Wrap, [Action::Wrap, Action::Unwrap]),
            (Purpose::Derive, [Action::Derive, Action::Derive]),
            (Purpose::Encapsulate, [Action::Encapsulate, Action::Decapsulate]),
        ] {
            for other in Purpose::ALL {
                assert!(uses.into_iter().all(|action| other.serves(action) == (other == purpose)));
            }
            assert!(purpose.serves(Action::Destroy) && purpose.serves(Action::Export));
            assert_eq!(Purpose::from_name(purpose.name()), Some(purpose));
        }
    }

    #[test]
    fn what_is_said_is_one_line_of_some_length() {
        let mut known = Metadata::default();
        let said = |owner: &str| Description { owner: Some(owner.to_owned()), ..Description::default() };
        known.describe(&said("payments")).unwrap();
        assert_eq!(known.describe(&said("a\nb")).unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(known.describe(&said(&"x".repeat(129))).unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(known.owner, "payments");
        known.describe(&said("")).unwrap();
        assert!(known.is_empty());
    }

    #[test]
    fn a_key_of_a_service_is_used_by_it_and_by_those_that_it_is_granted_to() {
        let mut known = Metadata::default();
        assert!(known.serves(None, Action::Sign) && known.serves(Some("billing"), Action::Destroy));
        let own = |service: &str| Description { service: Some(service.to_owned()), ..Description::default() };
        assert_eq!(known.grant("billing", true).unwrap_err().kind(), ErrorKind::Arguments);
        known.describe(&own("service:order")).unwrap();
        assert_eq!(known.service, "order");
        for action in [Action::Sign, Action::Verify, Action::Decrypt, Action::Export, Action::Manage, Action::Destroy] {
            assert!(known.serves(Some("order"), action) && !known.serves(Some("billing"), action), "{action:?}");
        }
        // Somebody who is no service looks after it and does not use it.
        assert!(known.serves(None, Action::Manage) && !known.serves(None, Action::Sign));
        assert!(!known.serves(None, Action::Export) && known.serves(Some("billing"), Action::Find));
        known.grant("service:billing", true).unwrap();
        assert!(known.serves(Some("billing"), Action::Sign) && known.serves(Some("billing"), Action::Decrypt));
        for action in [Action::Export, Action::Manage, Action::Destroy] {
            assert!(!known.serves(Some("billing"), action), "{action:?}");
        }
        assert_eq!(known.grant("order", true).unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(known.grant("a b", true).unwrap_err().kind(), ErrorKind::Arguments);
        known.grant("billing", false).unwrap();
        assert!(!known.serves(Some("billing"), Action::Sign));
        assert_eq!(known.grant("billing", false).unwrap_err().kind(), ErrorKind::Arguments);
        // A granted service that it is given to has no grant left.
        known.grant("billing", true).unwrap();
        known.describe(&own("billing")).unwrap();
        assert!(known.grants.is_empty() && !known.serves(Some("order"), Action::Sign));
        known.describe(&own("")).unwrap();
        assert!(known.is_empty());
    }
}
