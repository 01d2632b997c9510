//! What people say of a key beside its name: whose it is, what it is for, and what else it is called.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::error::{Error, ErrorKind, Result};

/// Longest owner in bytes.
const LONGEST_OWNER: usize = 128;
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
    /// Whether its tags are in the index: those from before there was one are not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tags_found: bool,
}

impl Metadata {
    /// Most aliases of a key.
    pub const MOST_ALIASES: usize = 4;

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
}
