//! Backends with records of their own: another KMSS, whose keys and certificates are shown here as if they were ours.
//!
//! The catalogue keeps a copy of those records, never of material, and follows what the keeper says. What is changed here is
//! changed there first.

use std::time::Duration;

use crate::error::Result;
use crate::key::Object;
use crate::permit::Permit;
use crate::tenant::{Namespace, ObjectId};

/// What a keeper of records says of a namespace since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// Objects as they are there now.
    pub objects: Vec<Object>,
    /// What was destroyed there.
    pub gone: Vec<ObjectId>,
    /// Where to go on; opaque.
    pub cursor: Vec<u8>,
    /// Whether there is more already.
    pub more: bool,
    /// The keeper does not know what changed since: begin anew. Nothing else is said then.
    pub reset: bool,
}

/// A keeper of records.
///
/// An object has the same identity here and there. Errors are those of the keeper, which decides anew, and
/// [`BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) where it does not answer.
pub trait Custody: Send + Sync {
    /// When the look began that is due at the records of `namespace`, private or not; `None` where the last one is young
    /// enough, or somebody else of this process is about to look.
    fn due(&self, namespace: &Namespace, private: bool) -> Option<Duration>;

    /// The look that began then has been taken over.
    fn followed(&self, namespace: &Namespace, private: bool, begun: Duration);

    /// What changed since `cursor`; everything there is, in parts, where it is empty.
    ///
    /// # Errors
    /// See the trait.
    fn changes(&self, namespace: &Namespace, cursor: &[u8]) -> Result<Changes>;

    /// Takes in what is no key. Keys come through the methods of [`Backend`](super::Backend).
    ///
    /// # Errors
    /// See the trait.
    fn keep(&self, permit: &Permit, document: &Object) -> Result<()>;

    /// Changes an object from `old` to `new`.
    ///
    /// # Errors
    /// See the trait.
    fn update(&self, permit: &Permit, old: &Object, new: &Object) -> Result<()>;

    /// Gives a key, and the other half of its pair, another name.
    ///
    /// # Errors
    /// See the trait.
    fn rename(&self, permit: &Permit, key: &Object, name: &str) -> Result<()>;

    /// Destroys an object. One that is not there any more is destroyed.
    ///
    /// # Errors
    /// See the trait.
    fn remove(&self, permit: &Permit, object: &Object) -> Result<()>;
}
