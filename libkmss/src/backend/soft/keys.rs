//! Parsed keys: what a locator turns into, kept in the cache beside the key's record.

use std::sync::Arc;

use once_cell::race::OnceBox;

use super::awslc::{Aead, Cmac, EcKey, Hmac, Rsa};
use super::edwards::{EdKey, XKey};
use super::goldilocks::{Ed448Key, X448Key};
use super::material;
use super::secp256k1::K256Key;
use super::sm2::Sm2Key;
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyClass;
use crate::mechanism::{Hash, KeyType};
use crate::permit::{Granted, Permit};
use crate::secret::Secret;

/// A key ready for use. Cloning shares it.
#[derive(Clone)]
pub(super) enum Parsed {
    Rsa(Arc<Rsa>),
    Ec(Arc<EcKey>),
    K256(Arc<K256Key>),
    Ed(Arc<EdKey>),
    Ed448(Arc<Ed448Key>),
    X(Arc<XKey>),
    X448(Arc<X448Key>),
    Sm2(Arc<Sm2Key>),
    Secret(Arc<SecretKey>),
}

impl Parsed {
    pub(super) fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa(_) => KeyType::Rsa,
            Self::Ec(_) | Self::K256(_) => KeyType::Ec,
            Self::Ed(_) | Self::Ed448(_) => KeyType::EcEdwards,
            Self::X(_) | Self::X448(_) => KeyType::EcMontgomery,
            Self::Sm2(_) => KeyType::Sm2,
            Self::Secret(key) => key.key_type,
        }
    }
}

/// A secret key with the contexts that were keyed from it so far.
pub(super) struct SecretKey {
    pub(super) key_type: KeyType,
    pub(super) value: Secret,
    gcm: OnceBox<Aead>,
    cmac: OnceBox<Cmac>,
    hmac: OnceBox<(Hash, Hmac)>,
}

impl SecretKey {
    pub(super) fn new(key_type: KeyType, value: Secret) -> Self {
        Self { key_type, value, gcm: OnceBox::new(), cmac: OnceBox::new(), hmac: OnceBox::new() }
    }

    /// AES-GCM with whole tags.
    pub(super) fn gcm(&self) -> Result<&Aead> {
        self.gcm.get_or_try_init(|| Ok(Box::new(Aead::new(self.value.expose(), 16)?)))
    }

    /// A fresh AES-CMAC.
    pub(super) fn cmac(&self) -> Result<Cmac> {
        let template = self.cmac.get_or_try_init(|| Cmac::new(self.value.expose()).map(Box::new))?;
        Ok(template.copy()?)
    }

    /// A fresh HMAC. The hash that is used first is kept ready; a key is rarely used with two.
    pub(super) fn hmac(&self, hash: Hash) -> Result<Hmac> {
        let fresh = || Hmac::new(hash, self.value.expose());
        let (ready, template) = self.hmac.get_or_try_init(|| fresh().map(|hmac| Box::new((hash, hmac))))?;
        Ok(if *ready == hash { template.copy()? } else { fresh()? })
    }
}

/// The permit's first key.
pub(super) fn first(permit: &Permit) -> Result<Parsed> {
    load(permit, permit.key()?)
}

/// The permit's second key.
pub(super) fn second(permit: &Permit) -> Result<Parsed> {
    load(permit, permit.second_key()?)
}

fn load(permit: &Permit, granted: Granted<'_>) -> Result<Parsed> {
    // A fork may have cut off a thread that held a lock inside a parsed key; the child parses anew.
    let epoch = crate::os::epoch();
    if let Some(parsed) = granted.version.cache.get::<Parsed>(epoch) {
        return Ok(Parsed::clone(&parsed));
    }
    let parsed = parse(permit, granted)?;
    granted.version.cache.put(epoch, &Arc::new(parsed.clone()));
    Ok(parsed)
}

fn parse(permit: &Permit, granted: Granted<'_>) -> Result<Parsed> {
    let Granted { object, key, version } = granted;
    let parsed = if key.class == KeyClass::Public {
        material::from_public(&version.public)?
    } else {
        let context = object.material_context(version.number);
        let domain = permit.domain_key(object.storage, object.private)?;
        let plain = domain.open_material(&context, &version.locator)?;
        material::decode(&plain, key.key_type)?
    };
    let same_type = parsed.key_type() == key.key_type;
    if same_type && (key.class == KeyClass::Secret || material::public_of(&parsed)? == version.public) {
        return Ok(parsed);
    }
    Err(Error::new(ErrorKind::Damaged, "the key record contradicts its material"))
}
