//! A root key in memory, wherever it is held otherwise.

use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::StoreKey;
use crate::suite::{Aead, NONCE_LEN, Suite, TAG_LEN};

/// Length of a key's identity in bytes.
pub(super) const ID_LEN: usize = 8;
/// First byte of a wrapped key.
const WRAPPED: u8 = 1;
/// Markers of root keys that are over.
const RETIRED: &str = "seal/retired/";

/// A root key, ready for use.
pub(super) struct Root {
    suite: Suite,
    id: [u8; ID_LEN],
    key_id: String,
    aead: Aead,
}

/// The identity of the root key that made `wrapped`.
pub(super) fn id_of(wrapped: &[u8]) -> Option<[u8; ID_LEN]> {
    let (&WRAPPED, rest) = wrapped.split_first()? else { return None };
    rest.first_chunk().copied()
}

/// The marker that the root key which made `wrapped` is over: a store with a fence commits nothing any more that it
/// wrapped.
pub(crate) fn marker(wrapped: &[u8]) -> Option<StoreKey> {
    StoreKey::new(format!("{RETIRED}{}", hex(&id_of(wrapped)?))).ok()
}

/// As [`marker`], by the key's identity in words.
pub(super) fn marker_of(key_id: &str) -> Result<StoreKey> {
    StoreKey::new(format!("{RETIRED}{key_id}"))
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}

impl Root {
    pub(super) fn new(suite: Suite, key: &Secret) -> Result<Self> {
        let mut id = [0; ID_LEN];
        id.copy_from_slice(suite.expand(key, b"kmss/1 root key id", ID_LEN)?.expose());
        let aead = Aead::new(suite, &suite.expand(key, b"kmss/1 root key wrap", suite.aead_key_len())?)?;
        Ok(Self { suite, id, key_id: hex(&id), aead })
    }

    pub(super) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether it made `wrapped`.
    pub(super) fn made(&self, wrapped: &[u8]) -> bool {
        id_of(wrapped) == Some(self.id)
    }

    pub(super) fn wrap(&self, random: &dyn Random, context: &str, key: &Secret) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut out = Vec::with_capacity(1 + ID_LEN + NONCE_LEN + key.len() + TAG_LEN);
        out.push(WRAPPED);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&nonce);
        self.aead.seal(&nonce, &self.associated(context), key.expose(), &mut out)?;
        Ok(out)
    }

    pub(super) fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret> {
        let damaged = |what| Error::new(ErrorKind::Damaged, what);
        let (version, rest) = wrapped.split_first().ok_or_else(|| damaged("a sealed key is empty"))?;
        let split = rest.split_first_chunk::<ID_LEN>().and_then(|(id, rest)| Some((id, rest.split_first_chunk()?)));
        let (id, (nonce, body)) = split.ok_or_else(|| damaged("a sealed key is too short"))?;
        if *version != WRAPPED {
            return Err(damaged("a sealed key has an unknown form"));
        }
        if *id != self.id {
            return Err(damaged(
                "a sealed key was sealed by another root key: the store and the seal of the home do not belong together",
            ));
        }
        self.aead.open(nonce, &self.associated(context), body)
    }

    fn associated(&self, context: &str) -> Vec<u8> {
        [b"kmss/1 sealed key\0".as_slice(), &[WRAPPED], &self.id, context.as_bytes()].concat()
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Root({} {})", self.suite.name(), self.key_id)
    }
}
