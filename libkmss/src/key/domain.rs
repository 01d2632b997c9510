//! Domain keys: the keys under which a namespace's records and key material are sealed.
//!
//! A domain key has versions. What is sealed now is sealed under the newest; what an older one sealed opens until that
//! is erased. Index terms are made with a key of their own, which no rotation changes.

use std::any::Any;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::secret::{Secret, wipe_stack};
use crate::suite::{Aead, HASH_LEN, NONCE_LEN, Suite, TAG_LEN};

/// How much of the stack may hold plaintext after the cipher, which works on several blocks at once.
const STACK: usize = 16 << 10;
/// First bytes of key material that names its version. That of the first version names none, as it always did.
const MARK: &[u8; 4] = b"KMv\0";
/// Before the nonce: mark and version.
const MARK_LEN: usize = MARK.len() + 4;
/// The version whose material names none.
const UNMARKED: u32 = 1;

/// One version of a domain key, expanded into the keys for its two uses: key material and records.
///
/// Each use has a key of its own (HKDF-Expand of the version's secret), so that ciphertext of one can never be taken for
/// another. Nonces are random, which bounds one version to 2^32 seals of a use.
pub struct DomainVersion {
    number: u32,
    material: Aead,
    record: Aead,
    envelope: Option<Arc<dyn Envelope>>,
}

/// What key material is put into before a version seals it: opened by somebody who is asked each time.
///
/// Errors are those of whoever is asked; there is no way around them.
pub trait Envelope: Send + Sync {
    /// Closes `plain` in, bound to `context`.
    ///
    /// # Errors
    /// See the trait.
    fn close(&self, random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>>;

    /// Opens what [`Self::close`] made.
    ///
    /// # Errors
    /// See the trait.
    fn open(&self, context: &[u8], closed: &[u8]) -> Result<Secret>;

    /// The name of whoever is asked.
    fn device(&self) -> &str;
}

/// Who opens key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The domain key, or nobody has to.
    Memory,
    /// The device of this name, and the domain key around that.
    Device(String),
}

/// A version of a domain key as its source knows it.
#[derive(Clone)]
pub struct VersionSecret {
    /// Its number.
    pub number: u32,
    /// [`DomainKey::SECRET_LEN`] uniformly random bytes.
    pub secret: Secret,
    /// What key material is put into before it is sealed under this version.
    pub envelope: Option<Arc<dyn Envelope>>,
}

/// Where a domain key's versions come from, for whoever holds it longer than a rotation takes.
pub trait DomainSource: Send + Sync {
    /// A number that moves when there may be other versions.
    fn generation(&self) -> u64;

    /// The secrets of all versions that there are.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the namespace has been made anew; those of the store and the seal.
    fn secrets(&self) -> Result<Vec<VersionSecret>>;
}

/// A domain key: its versions, and the key of its index.
pub struct DomainKey {
    suite: Suite,
    index: Secret,
    versions: Versions,
}

enum Versions {
    /// One that nobody rotates.
    Fixed(Arc<DomainVersion>),
    Live {
        source: Arc<dyn DomainSource>,
        known: Lock<Known>,
    },
}

/// What is known of the versions.
#[derive(Clone)]
struct Known {
    /// Generation of the source at which that was found.
    generation: u64,
    /// Never empty, oldest first.
    versions: Arc<[Arc<DomainVersion>]>,
    /// The newest of those that were erased last, for what is under way; until the next rotation.
    before: Option<Arc<DomainVersion>>,
}

impl DomainVersion {
    /// Expands `secret`, [`DomainKey::SECRET_LEN`] uniformly random bytes.
    fn expand(suite: Suite, number: u32, secret: &Secret) -> Result<Self> {
        if secret.len() != DomainKey::SECRET_LEN {
            return Err(Error::new(ErrorKind::Damaged, "a domain key has a wrong length"));
        }
        let aead = |info: &[u8]| Aead::new(suite, &suite.expand(secret, info, suite.aead_key_len())?);
        let (material, record) = (aead(b"kmss/1 key material")?, aead(b"kmss/1 record")?);
        Ok(Self { number, material, record, envelope: None })
    }

    fn of(suite: Suite, version: VersionSecret) -> Result<Self> {
        Ok(Self { envelope: version.envelope, ..Self::expand(suite, version.number, &version.secret)? })
    }

    /// Its number, written into everything sealed under it.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Seals a store record; `context` is its path and header.
    ///
    /// # Errors
    /// The random source fails.
    pub fn seal_record(&self, random: &dyn Random, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        seal(&self.record, random, (&[], context), plain)
    }

    /// Opens what [`Self::seal_record`] made.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when it was changed, moved or sealed under another key.
    pub fn open_record(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        open(&self.record, context, sealed)
    }

    /// Seals key material; see [`DomainKey::seal_material`].
    ///
    /// # Errors
    /// The random source fails.
    pub fn seal_material(&self, random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>> {
        let closed = self.envelope.as_ref().map(|envelope| envelope.close(random, context, plain)).transpose()?;
        let closed = closed.map(Secret::new);
        let plain = closed.as_ref().unwrap_or(plain);
        let sealed = match self.number {
            ..=UNMARKED => seal(&self.material, random, (&[], context), plain.expose()),
            number => {
                let mark = mark(number);
                seal(&self.material, random, (&mark, &[&mark, context].concat()), plain.expose())
            }
        };
        wipe_stack::<STACK>();
        sealed
    }

    fn open_material(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        let closed = self.open_outside(context, sealed)?;
        match &self.envelope {
            Some(envelope) => envelope.open(context, closed.expose()),
            None => Ok(closed),
        }
    }

    /// What this version sealed: key material, or the envelope that it is in.
    fn open_outside(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        let opened = match self.number {
            ..=UNMARKED => open(&self.material, context, sealed),
            number => {
                let mark = mark(number);
                let body = sealed.strip_prefix(&mark).ok_or_else(|| too_short("key material"))?;
                open(&self.material, &[&mark, context].concat(), body)
            }
        };
        wipe_stack::<STACK>();
        opened
    }
}

impl DomainKey {
    /// Length of a version's secret in bytes.
    pub const SECRET_LEN: usize = 32;

    /// A domain key with one version for ever, whose index key comes from `secret`, too.
    ///
    /// # Errors
    /// A secret of another length.
    pub fn expand(suite: Suite, version: u32, secret: &Secret) -> Result<Self> {
        let versions = Versions::Fixed(Arc::new(DomainVersion::expand(suite, version, secret)?));
        Ok(Self { suite, index: Self::index_of(suite, secret)?, versions })
    }

    /// A fresh domain key that exists only in this process, for session objects.
    ///
    /// # Errors
    /// The random source fails.
    pub fn ephemeral(suite: Suite, random: &dyn Random) -> Result<Self> {
        Self::expand(suite, 0, &Secret::filled(Self::SECRET_LEN, |b| random.fill(b))?)
    }

    /// A domain key with the version `number` for ever, with the key `index` of its index terms.
    ///
    /// # Errors
    /// A secret of another length.
    pub fn fixed(suite: Suite, index: Secret, number: u32, secret: &Secret) -> Result<Self> {
        Ok(Self { suite, index, versions: Versions::Fixed(Arc::new(DomainVersion::expand(suite, number, secret)?)) })
    }

    /// A domain key whose versions `source` tells, with the key `index` of its index terms. At `generation`, the source's
    /// versions were `secrets`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where there is no version.
    pub fn live(
        suite: Suite,
        index: Secret,
        source: Arc<dyn DomainSource>,
        (generation, secrets): (u64, Vec<VersionSecret>),
    ) -> Result<Self> {
        let known = Known::of(suite, generation, secrets, None)?;
        // The highest rank, so that it may be asked under any lock; nothing is called while it is held.
        Ok(Self { suite, index, versions: Versions::Live { source, known: Lock::new(Rank::Store, known) } })
    }

    /// The key of the index that belongs to the first `secret` of a domain.
    ///
    /// # Errors
    /// A secret of another length.
    pub fn index_of(suite: Suite, secret: &Secret) -> Result<Secret> {
        suite.expand(secret, b"kmss/1 index", HASH_LEN)
    }

    /// The suite it seals with.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The version that seals now, also where another process made it a moment ago.
    ///
    /// # Errors
    /// Those of the source.
    pub fn newest(&self) -> Result<Arc<DomainVersion>> {
        let known = match &self.versions {
            Versions::Fixed(version) => return Ok(Arc::clone(version)),
            Versions::Live { source, known } => {
                let seen = known.lock().clone();
                if seen.generation == source.generation() { seen } else { self.look_again(source, known)? }
            }
        };
        known.versions.last().cloned().ok_or_else(unknown)
    }

    /// The version `number`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where there is none, and those of the source.
    pub fn version(&self, number: u32) -> Result<Arc<DomainVersion>> {
        match &self.versions {
            Versions::Fixed(version) if version.number == number => Ok(Arc::clone(version)),
            Versions::Fixed(_) => Err(unknown()),
            Versions::Live { source, known } => {
                let seen = known.lock().clone();
                if let Some(version) = seen.version(number) {
                    return Ok(version);
                }
                if seen.generation == source.generation() {
                    return Err(unknown());
                }
                self.look_again(source, known)?.version(number).ok_or_else(unknown)
            }
        }
    }

    fn look_again(&self, source: &Arc<dyn DomainSource>, known: &Lock<Known>) -> Result<Known> {
        let before = known.lock().clone();
        // Before the look: what changes after it is noticed at the next.
        let generation = source.generation();
        let found = Known::of(self.suite, generation, source.secrets()?, Some(&before))?;
        let replaced = std::mem::replace(&mut *known.lock(), found.clone());
        drop(replaced);
        Ok(found)
    }

    /// Seals key material under the newest version; `context` (object and version) must be given again to open it.
    ///
    /// # Errors
    /// The random source fails; those of the source of versions.
    pub fn seal_material(&self, random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>> {
        self.newest()?.seal_material(random, context, plain)
    }

    /// Opens what [`Self::seal_material`] made, under whichever version.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when it was changed, moved to another object, or sealed under another key.
    pub fn open_material(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        match &self.versions {
            Versions::Fixed(version) => version.open_material(context, sealed),
            Versions::Live { .. } => match marked(sealed) {
                None => self.version(UNMARKED)?.open_material(context, sealed),
                // What names no version is random from the first byte on, and may look as if it did.
                Some(number) => self
                    .version(number)
                    .and_then(|version| version.open_material(context, sealed))
                    .or_else(|error| match self.version(UNMARKED) {
                        // What another reason keeps closed does name the version.
                        Ok(first) if number != UNMARKED && error.kind() == ErrorKind::Damaged => {
                            first.open_material(context, sealed)
                        }
                        _ => Err(error),
                    }),
            },
        }
    }

    /// Who opens `sealed`, what [`Self::seal_material`] made; `None` where its version is not known yet. Asks nobody.
    #[must_use]
    pub fn opener(&self, sealed: &[u8]) -> Option<Opener> {
        let of = |version: &DomainVersion| version.envelope.as_ref().map(|envelope| envelope.device().to_owned());
        let device = match &self.versions {
            Versions::Fixed(version) => of(version),
            Versions::Live { known, .. } => {
                let known = known.lock().clone();
                of(&*known.version(marked(sealed).unwrap_or(UNMARKED))?)
            }
        };
        Some(device.map_or(Opener::Memory, Opener::Device))
    }

    /// The device that puts key material into an envelope now, as far as that is known. Asks nobody.
    #[must_use]
    pub fn sealing_device(&self) -> Option<String> {
        let newest = match &self.versions {
            Versions::Fixed(version) => Some(Arc::clone(version)),
            Versions::Live { known, .. } => known.lock().versions.last().cloned(),
        };
        newest?.envelope.as_ref().map(|envelope| envelope.device().to_owned())
    }

    /// The same key material under `to`; `None` where it lies under that already.
    ///
    /// # Errors
    /// As [`Self::open_material`].
    pub fn reseal_material(
        &self,
        random: &dyn Random,
        context: &[u8],
        sealed: &[u8],
        to: &DomainVersion,
    ) -> Result<Option<Vec<u8>>> {
        if to.open_outside(context, sealed).is_ok() {
            return Ok(None);
        }
        to.seal_material(random, context, &self.open_material(context, sealed)?).map(Some)
    }

    /// The index term of `value` in the index `name`: equal for equal values, meaningless without the key.
    ///
    /// # Errors
    /// None in practice.
    pub fn index_term(&self, name: &str, value: &[u8]) -> Result<[u8; HASH_LEN]> {
        self.suite.mac(&self.index, &[name.as_bytes(), &[0], value])
    }
}

impl Known {
    /// Those of `secrets`, as they were at `generation`. Versions that `before` has are not expanded again.
    fn of(suite: Suite, generation: u64, secrets: Vec<VersionSecret>, before: Option<&Self>) -> Result<Self> {
        let mut versions = Vec::new();
        for secret in secrets {
            versions.push(match before.and_then(|known| known.version(secret.number)) {
                Some(version) => version,
                None => Arc::new(DomainVersion::of(suite, secret)?),
            });
        }
        versions.sort_by_key(|version| version.number);
        if versions.is_empty() {
            return Err(unknown());
        }
        // What was sealed under a version that is erased by now, and is not written yet, must open: until the next rotation.
        let is_there = |number| versions.iter().any(|version: &Arc<DomainVersion>| version.number == number);
        let newest = versions.last().map(|version| version.number);
        let before = before.and_then(|known| {
            let gone = known.versions.iter().rev().find(|version| !is_there(version.number)).cloned();
            let rotated = known.versions.last().map(|version| version.number) != newest;
            gone.or_else(|| known.before.clone().filter(|_| !rotated))
        });
        Ok(Self { generation, versions: versions.into(), before })
    }

    fn version(&self, number: u32) -> Option<Arc<DomainVersion>> {
        self.versions.iter().chain(&self.before).find(|version| version.number == number).cloned()
    }
}

impl std::fmt::Debug for DomainVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DomainVersion({})", self.number)
    }
}

impl std::fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DomainKey({})", self.suite.name())
    }
}

fn mark(number: u32) -> [u8; MARK_LEN] {
    let [a, b, c, d] = number.to_be_bytes();
    let [m, n, o, p] = *MARK;
    [m, n, o, p, a, b, c, d]
}

/// The version that key material seems to name.
fn marked(sealed: &[u8]) -> Option<u32> {
    let number = sealed.strip_prefix(MARK)?.first_chunk()?;
    Some(u32::from_be_bytes(*number))
}

fn seal(aead: &Aead, random: &dyn Random, (head, context): (&[u8], &[u8]), plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let mut out = Vec::with_capacity(head.len() + NONCE_LEN + plain.len() + TAG_LEN);
    out.extend_from_slice(head);
    out.extend_from_slice(&nonce);
    aead.seal(&nonce, context, plain, &mut out)?;
    Ok(out)
}

fn open(aead: &Aead, context: &[u8], sealed: &[u8]) -> Result<Secret> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| too_short("a sealed record"))?;
    aead.open(nonce, context, body)
}

fn too_short(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{what} is too short"))
}

fn unknown() -> Error {
    Error::new(ErrorKind::Damaged, "a record names another version of the domain key")
}

/// The domain keys a caller holds for one namespace.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// For what everybody may see.
    pub public: Arc<DomainKey>,
    /// For private objects; present only after authentication.
    pub private: Option<Arc<DomainKey>>,
    /// For session objects; never leaves the process.
    pub ephemeral: Arc<DomainKey>,
    /// Proof of the security officer's login, which only the authenticator reads.
    pub officer: Option<Arc<dyn Any + Send + Sync>>,
}

#[cfg(test)]
mod tests;
