//! What policies saw of a request beyond what its audit record says anyway, so that the decision can be explained and tried
//! again with other policies.

use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;

/// The request for one decision. Records of operations in namespaces without policies have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which subject of its operation was decided on, in the order of
    /// [`Subjects::each`](crate::permit::Subjects::each).
    pub place: usize,
    /// Names the set of policies that decided.
    pub set: [u8; 8],
    /// What was to be done to this subject.
    pub action: Action,
    /// What the policies said.
    pub allowed: bool,
    /// When.
    pub time: Timestamp,
    /// Decisions like this one within the last second and the last 60 seconds, this one included; absent where no policy looks
    /// at them.
    pub counts: Option<(u32, u32)>,
    /// Bytes of data, as far as they were known when it was decided.
    pub data_len: Option<u64>,
    /// Whether the user had authenticated for this one operation.
    pub mfa: bool,
    /// Whether the namespace forbids what is not approved for FIPS 140-3.
    pub fips: bool,
    /// The key, where there is one.
    pub key: Option<SeenKey>,
}

impl Seen {
    /// The same request, made at `time`.
    pub fn renew(&mut self, time: Timestamp) {
        if let Some(key) = &mut self.key {
            key.version_age = key.version_age.saturating_add(time.0.saturating_sub(self.time.0));
        }
        self.time = time;
    }
}

/// The key of a request, beyond what its audit record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKey {
    /// The name under which a key that is about to exist was decided on.
    pub new: Option<String>,
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
}
