//! What a policy may ask about: one flat record, whichever language the policy is written in.

use super::abi::Reads;
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;

/// One request as policies see it. Made by the pipeline from what it resolved; `kmss policy explain` and tests make it from
/// words. Nothing in it comes from a guest, and no caller names its own principal.
///
/// Texts that do not apply are empty. docs/policy-abi.md says how it is laid out for `kmss-policy/1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// What is done.
    pub action: Action,
    /// Name of the mechanism, where one is involved ([`Mechanism::name`](crate::mechanism::Mechanism::name)).
    pub mechanism: Option<&'a str>,
    /// When, in milliseconds since 1970 (UTC).
    pub time: Timestamp,
    /// Number of this decision in its process, starting at 1.
    pub sequence: u64,
    /// Decisions for the same principal, action and key on this host within the last second, this one included.
    pub last_second: u32,
    /// The same within the last 60 seconds.
    pub last_minute: u32,
    /// Bytes of data, where known.
    pub data_len: Option<u64>,
    /// What is known of the caller's login.
    pub flags: Flags,
    /// Numeric user of the calling process; `u32::MAX` where there is none.
    pub uid: u32,
    /// Number of the calling process; 0 where there is none.
    pub pid: u32,
    /// The key, where there is one.
    pub key: Option<InputKey<'a>>,
    /// The tenant.
    pub tenant: &'a str,
    /// The namespace's name within its tenant.
    pub namespace: &'a str,
    /// `kind:name`.
    pub principal: &'a str,
    /// The principal's roles.
    pub roles: &'a [String],
    /// Path of the calling program.
    pub process: &'a str,
    /// Network address of the caller, where it came over one.
    pub source: &'a str,
    /// The door's name for the caller's session.
    pub session: &'a str,
    /// The encryption context, sorted by name; names are unique.
    pub context: &'a [(String, String)],
}

impl Input<'_> {
    /// Takes out what differs from request to request and `reads` does not name.
    pub(super) fn keep_only(&mut self, reads: Reads) {
        if !reads.time {
            self.time = Timestamp(0);
            self.key.iter_mut().for_each(|key| key.version_age = 0);
        }
        if !reads.sequence {
            self.sequence = 0;
        }
        if !reads.counts {
            (self.last_second, self.last_minute) = (0, 0);
        }
    }
}

/// The key of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputKey<'a> {
    /// Its identity, 32 hex digits; empty for one that is about to exist.
    pub id: &'a str,
    /// Its name in the namespace. A session key has the name of the key it came from, or none.
    pub name: &'a str,
    /// Whether it is a session key.
    pub session: bool,
    /// Its type, where it is known already.
    pub key_type: Option<KeyType>,
    /// Its size in bits; 0 where unknown.
    pub bits: u32,
    /// When it was made; 0 for one that is about to exist.
    pub created: Timestamp,
    /// How old its primary version is, in milliseconds.
    pub version_age: u64,
    /// Its tags, sorted.
    pub tags: &'a [String],
}

/// What is known of the caller's login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// A person is present who can be asked.
    pub interactive: bool,
    /// The caller authenticated for this one operation, or by more than one factor.
    pub mfa: bool,
    /// The namespace forbids what is not approved for FIPS 140-3.
    pub fips: bool,
}
