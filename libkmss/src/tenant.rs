//! Tenants and their namespaces.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::settings::Settings;

/// Appends `bytes` in lower-case hex digits; many times quicker than the formatter is.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]));
}

/// A 128-bit identifier in the form of 32 lower-case hex digits.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = String::with_capacity(2 * self.0.len());
                push_hex(&mut digits, &self.0);
                f.write_str(&digits)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(s: &str) -> Result<Self> {
                let bad = || Error::new(ErrorKind::Arguments, "an identifier is 32 hex digits");
                let digits = s.as_bytes();
                let mut id = [0; 16];
                if digits.len() != 32 {
                    return Err(bad());
                }
                for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
                    let text = std::str::from_utf8(pair).map_err(|_| bad())?;
                    *byte = u8::from_str_radix(text, 16).map_err(|_| bad())?;
                }
                Ok(Self(id))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier! {
    /// Identity of a namespace; survives renaming and restarts.
    NamespaceId
}
identifier! {
    /// Identity of an object; never reused.
    ObjectId
}

/// One namespace of one tenant: what a token is to PKCS#11.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Namespace {
    /// Stable identity.
    pub id: NamespaceId,
    /// Tenant that owns it (`default` unless configured).
    pub tenant: String,
    /// Name, unique within the tenant for everything made through the command; PKCS#11 may repeat labels.
    pub name: String,
    /// Position in which it was made, starting at 0; never reused.
    pub ordinal: u32,
    /// Incarnation: starts at 1 and grows when the namespace is initialised anew, which destroys its objects.
    pub incarnation: u32,
    /// Whether a policy set must exist for anything to be allowed.
    pub policy_required: bool,
    /// What its security officer set.
    #[serde(default)]
    pub settings: Settings,
    /// The backend that makes its stored keys, unless a draft names another.
    #[serde(default)]
    pub backend: BackendId,
}

impl Namespace {
    /// The tenant of everything that names none.
    pub const DEFAULT_TENANT: &'static str = "default";
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

/// Name of a backend (`soft`, or what the configuration calls an HSM or server).
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BackendId(pub Cow<'static, str>);

impl BackendId {
    /// The built-in software engine.
    #[must_use]
    pub const fn soft() -> Self {
        Self(Cow::Borrowed("soft"))
    }
}

impl Default for BackendId {
    fn default() -> Self {
        Self::soft()
    }
}

impl ObjectId {
    /// The identity of a new object that is stored: the time in 48 bits, as identifiers of RFC 9562, section 5.7, begin, and 80 bits
    /// of chance. What is made one after the other stands side by side in the store (docs/adr/0067).
    ///
    /// # Errors
    /// The random source fails.
    pub fn fresh(now: Timestamp, random: &dyn Random) -> Result<Self> {
        let mut chance = [0; 16];
        random.fill(&mut chance)?;
        let chance = u128::from_be_bytes(chance) >> 48;
        Ok(Self((u128::from(now.0) << 80 | chance).to_be_bytes()))
    }

    /// The identifier (CKA_ID) of a key for which nobody names one: 8 bytes, of the part of the identity that is chance.
    #[must_use]
    pub fn usual_identifier(self) -> Vec<u8> {
        self.0.iter().skip(8).copied().collect()
    }

    /// How many bytes of an identifier that a device knows a key by tell whose it is, where one key is brought to devices more
    /// than once; the others are random, so that no two attempts make one object.
    pub const KNOWN: usize = 12;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_survive_text_and_refuse_anything_else() {
        let id = ObjectId([0xab; 16]);
        assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        assert!("ab".parse::<ObjectId>().is_err());
        assert!("+".repeat(32).parse::<ObjectId>().is_err());
        assert!("é".repeat(16).parse::<ObjectId>().is_err());
    }

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, out: &mut [u8]) -> Result<()> {
            out.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn identities_begin_with_their_time_and_end_with_chance() {
        let at = Timestamp(0x0123_4567_89ab);
        let id = ObjectId::fresh(at, &Fixed(0xee)).unwrap();
        assert_eq!(id.to_string(), "0123456789abeeeeeeeeeeeeeeeeeeee");
        assert_eq!(id.usual_identifier(), [0xee; 8]);
        assert!(id < ObjectId::fresh(Timestamp(at.0 + 1), &Fixed(0)).unwrap());
        // A clock out of all bounds is no reason to stop.
        assert_eq!(ObjectId::fresh(Timestamp(u64::MAX), &Fixed(1)).unwrap().0[..6], [0xff; 6]);
    }
}
