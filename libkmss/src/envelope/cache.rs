//! Data keys that are used for several pieces of data, within bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::caller::{Caller, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::Kms;
use crate::mechanism::{EncryptionContext, Native};
use crate::operation::{DecryptMessage, GenerateDataKey, ObjectRef};
use crate::os::{Lock, Rank};
use crate::secret::Secret;
use crate::tenant::{NamespaceId, ObjectId};

/// How long and how often one data key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Since it was made or opened.
    pub age: Duration,
    /// How many pieces of data.
    pub uses: u64,
    /// Bytes of data, all together.
    pub bytes: u64,
    /// Data keys that are held at a time.
    pub entries: usize,
}

impl Default for CacheLimits {
    /// Five minutes, 1,000 uses, 1 GiB, 100 data keys.
    fn default() -> Self {
        Self { age: Duration::from_secs(300), uses: 1000, bytes: 1 << 30, entries: 100 }
    }
}

/// Data keys of this process, each used by one caller, under one key, in one context. What is held is wiped when it goes.
///
/// Uses of a data key that is held are neither decided nor recorded: the one that made or opened it was, and it holds for as long as
/// the limits say, and no longer than the home stays as it is. Where a key, a policy or anything else of it changes, everything is
/// forgotten.
///
/// Two things end nothing by themselves. What is over its age is wiped when somebody asks for a data key next, whichever: who asks no
/// more drops the cache. And a moment that comes by the clock alone (a key is deactivated, its last day or its destruction comes, a
/// policy's hours are over) changes nothing in the home: a data key that is held then goes on for the rest of its age.
#[derive(Debug)]
pub struct DataKeyCache {
    limits: CacheLimits,
    held: Lock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    generation: u64,
    entries: HashMap<Which, Entry>,
}

/// What a data key is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Which {
    /// Encrypting, under this key.
    Made { of: Owner, key: ObjectId, algorithm: u8, context: Vec<u8>, len: usize },
    /// Decrypting what this ciphertext of it belongs to.
    Opened { of: Owner, ciphertext: Vec<u8>, context: Vec<u8> },
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    namespace: NamespaceId,
    principal: String,
    /// The user who logged in.
    user: Option<Arc<str>>,
    /// The session, and when it logged in: another one is decided anew.
    session: u64,
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        let user = match &caller.login {
            Login::User(name) => Some(Arc::clone(name)),
            _ => None,
        };
        let (namespace, principal) = (caller.namespace.id, caller.principal.name.clone());
        Self { namespace, principal, user, session: caller.session }
    }
}

#[derive(Debug)]
struct Entry {
    key: Arc<CachedDataKey>,
    since: Duration,
    uses: u64,
    bytes: u64,
}

/// A data key in use.
#[derive(Debug)]
pub struct CachedDataKey {
    /// The key itself.
    pub plaintext: Secret,
    /// The same in our own format, to be kept beside what it encrypts.
    pub ciphertext: Vec<u8>,
}

impl DataKeyCache {
    /// An empty one.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for limits that hold nothing.
    pub fn new(limits: CacheLimits) -> Result<Self> {
        if limits.age.is_zero() || limits.uses == 0 || limits.bytes == 0 || limits.entries == 0 {
            return Err(Error::new(ErrorKind::Arguments, "a limit of zero would let nothing be held"));
        }
        Ok(Self { limits, held: Lock::new(Rank::Cache, Held::default()) })
    }

    /// A data key of `len` bytes for `bytes` of data, encrypted under `key`: one that is held, where the limits allow, or a new one.
    ///
    /// # Errors
    /// As of [`GenerateDataKey`].
    pub fn make(
        &self,
        (kms, caller): (&Kms, &Caller),
        key: &ObjectRef,
        native: &Native,
        (len, bytes): (usize, u64),
    ) -> Result<Arc<CachedDataKey>> {
        let generate = || {
            let operation = GenerateDataKey::new(key.clone(), native.algorithm, native.context.clone(), len);
            let made = kms.perform(caller, operation)?;
            Ok(CachedDataKey { plaintext: made.plaintext, ciphertext: made.ciphertext })
        };
        // A session key goes with its session.
        let ObjectRef::Stored(id) = key else { return generate().map(Arc::new) };
        let which = Which::Made {
            of: Owner::of(caller),
            key: *id,
            algorithm: native.algorithm.code(),
            context: encoded(&native.context),
            len,
        };
        self.held_or(kms, which, bytes, generate)
    }

    /// The data key in `ciphertext`, for `bytes` of data.
    ///
    /// # Errors
    /// As of [`DecryptMessage`].
    pub fn open(
        &self,
        (kms, caller): (&Kms, &Caller),
        ciphertext: &[u8],
        context: &EncryptionContext,
        bytes: u64,
    ) -> Result<Arc<CachedDataKey>> {
        let which = Which::Opened { of: Owner::of(caller), ciphertext: ciphertext.to_vec(), context: encoded(context) };
        self.held_or(kms, which, bytes, || {
            let opened = kms.perform(caller, DecryptMessage::new(ciphertext, context.clone()))?;
            Ok(CachedDataKey { plaintext: Secret::copy_of(&opened), ciphertext: ciphertext.to_vec() })
        })
    }

    /// Forgets every data key.
    pub fn clear(&self) {
        self.held.lock().entries.clear();
    }

    /// How many data keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.lock().entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn held_or(
        &self,
        kms: &Kms,
        which: Which,
        bytes: u64,
        make: impl FnOnce() -> Result<CachedDataKey>,
    ) -> Result<Arc<CachedDataKey>> {
        // Before anything is decided: what changes meanwhile makes it stale.
        let (generation, now) = (kms.generation(), kms.monotonic());
        if let Some(key) = self.take(&which, bytes, (generation, now)) {
            return Ok(key);
        }
        let key = Arc::new(make()?);
        self.put(which, bytes, (generation, now), &key);
        Ok(key)
    }

    /// Uses one that is held.
    fn take(&self, which: &Which, bytes: u64, (generation, now): (u64, Duration)) -> Option<Arc<CachedDataKey>> {
        let mut held = self.held.lock();
        let held = &mut *held;
        if held.generation != generation {
            held.entries.clear();
            held.generation = generation;
        }
        let age = self.limits.age;
        held.entries.retain(|_, entry| now.saturating_sub(entry.since) < age);
        let entry = held.entries.get_mut(which)?;
        let total = entry.bytes.saturating_add(bytes);
        if entry.uses >= self.limits.uses || total > self.limits.bytes {
            held.entries.remove(which);
            return None;
        }
        (entry.uses, entry.bytes) = (entry.uses + 1, total);
        Some(Arc::clone(&entry.key))
    }

    fn put(&self, which: Which, bytes: u64, (generation, now): (u64, Duration), key: &Arc<CachedDataKey>) {
        if bytes > self.limits.bytes {
            return;
        }
        let mut held = self.held.lock();
        // Somebody has looked at a younger home meanwhile.
        if held.generation != generation {
            return;
        }
        if held.entries.len() >= self.limits.entries {
            let oldest = held.entries.iter().min_by_key(|(_, entry)| entry.since).map(|(which, _)| which.clone());
            oldest.and_then(|oldest| held.entries.remove(&oldest));
        }
        held.entries.insert(which, Entry { key: Arc::clone(key), since: now, uses: 1, bytes });
    }
}

fn encoded(context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(context.encoded_len());
    context.encode(&mut bytes);
    bytes
}
