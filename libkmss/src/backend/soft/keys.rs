//! Parsed keys: what a locator turns into, kept in the cache beside the key's record.

use std::borrow::Cow;
use std::sync::Arc;

use once_cell::race::OnceBox;

use super::awslc::{Aead, AeadKind, AesBlocks, AesMode, Cmac, DhKey, EcKey, Hmac, Rsa, UnwrapKey, WrapKey, in_vault};
use super::edwards::{EdKey, XKey};
use super::goldilocks::{Ed448Key, X448Key};
use super::material;
use super::pqc::PqcKey;
use super::secp256k1::K256Key;
use super::sm2::Sm2Key;
use super::spare::{Lent, Spare};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Held, KeyClass};
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
    Dh(Arc<DhKey>),
    Pqc(PqcKey),
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
            Self::Dh(_) => KeyType::Dh,
            Self::Pqc(key) => key.set().key_type(),
            Self::Secret(key) => key.key_type,
        }
    }
}

/// A secret key with the contexts that were keyed from it so far.
pub(super) struct SecretKey {
    pub(super) key_type: KeyType,
    pub(super) value: Secret,
    aead: OnceBox<Aead>,
    hmac: OnceBox<(Hash, Hmac)>,
    wrapping: OnceBox<WrapKey>,
    unwrapping: OnceBox<UnwrapKey>,
    spare_cmac: Spare<Cmac>,
    spare_hmac: Spare<Hmac>,
    encrypting: Spare<AesBlocks>,
    decrypting: Spare<AesBlocks>,
}

impl SecretKey {
    pub(super) fn new(key_type: KeyType, value: Secret) -> Self {
        Self {
            key_type,
            value,
            aead: OnceBox::new(),
            hmac: OnceBox::new(),
            wrapping: OnceBox::new(),
            unwrapping: OnceBox::new(),
            spare_cmac: Spare::new(),
            spare_hmac: Spare::new(),
            encrypting: Spare::new(),
            decrypting: Spare::new(),
        }
    }

    /// The same key with nothing keyed from it: contexts that another process made are its own.
    fn anew(&self) -> Self {
        Self::new(self.key_type, self.value.clone())
    }

    /// AES-GCM with whole tags.
    pub(super) fn gcm(&self) -> Result<&Aead> {
        self.aead(AeadKind::AesGcm)
    }

    /// ChaCha20-Poly1305.
    pub(super) fn chacha(&self) -> Result<&Aead> {
        self.aead(AeadKind::ChaCha20Poly1305)
    }

    /// The type of a key leaves one algorithm to it, so one place is enough.
    fn aead(&self, kind: AeadKind) -> Result<&Aead> {
        self.aead.get_or_try_init(|| Ok(Box::new(in_vault(|| Aead::new(kind, self.value.expose(), 16))?)))
    }

    /// The AES key schedule that wraps.
    pub(super) fn wrapping(&self) -> Result<&WrapKey> {
        self.wrapping.get_or_try_init(|| Ok(Box::new(in_vault(|| WrapKey::new(self.value.expose()))?)))
    }

    /// The AES key schedule that unwraps.
    pub(super) fn unwrapping(&self) -> Result<&UnwrapKey> {
        self.unwrapping.get_or_try_init(|| Ok(Box::new(in_vault(|| UnwrapKey::new(self.value.expose()))?)))
    }

    /// AES in a mode and direction, ready for a message.
    pub(super) fn aes(self: &Arc<Self>, mode: AesMode, iv: &[u8; 16], encrypt: bool) -> Result<Lent<AesBlocks>> {
        let home = if encrypt { Self::spare_encrypting } else { Self::spare_decrypting };
        let ready = home(self).take().filter(|blocks| blocks.serves(mode, encrypt));
        let blocks = match ready.and_then(|mut blocks| blocks.restart(iv).is_ok().then_some(blocks)) {
            Some(blocks) => blocks,
            None => in_vault(|| AesBlocks::new(mode, self.value.expose(), iv, encrypt))?,
        };
        Ok(Lent::new(blocks, Arc::clone(self), home))
    }

    /// AES-CMAC, ready for a message.
    pub(super) fn cmac(self: &Arc<Self>) -> Result<Lent<Cmac>> {
        let ready = self.spare_cmac.take();
        let cmac = match ready.and_then(|mut cmac| cmac.restart().is_ok().then_some(cmac)) {
            Some(cmac) => cmac,
            None => in_vault(|| Cmac::new(self.value.expose()))?,
        };
        Ok(Lent::new(cmac, Arc::clone(self), |key| &key.spare_cmac))
    }

    const fn spare_encrypting(&self) -> &Spare<AesBlocks> {
        &self.encrypting
    }

    const fn spare_decrypting(&self) -> &Spare<AesBlocks> {
        &self.decrypting
    }

    /// An HMAC, ready for a message. The hash that is used first is kept keyed; a key is rarely used with two.
    pub(super) fn hmac(self: &Arc<Self>, hash: Hash) -> Result<Lent<Hmac>> {
        let ready = self.spare_hmac.take().filter(|hmac| hmac.serves(hash));
        let hmac = match ready.and_then(|mut hmac| hmac.restart().is_ok().then_some(hmac)) {
            Some(hmac) => hmac,
            None => self.keyed_hmac(hash)?,
        };
        Ok(Lent::new(hmac, Arc::clone(self), |key| &key.spare_hmac))
    }

    fn keyed_hmac(&self, hash: Hash) -> Result<Hmac> {
        let fresh = || in_vault(|| Hmac::new(hash, self.value.expose()));
        let (ready, template) = self.hmac.get_or_try_init(|| fresh().map(|hmac| Box::new((hash, hmac))))?;
        Ok(if *ready == hash { in_vault(|| template.copy())? } else { fresh()? })
    }
}

impl Held for SecretKey {
    fn check_value(&self) -> Vec<u8> {
        // What cannot be computed is not there.
        material::check_value(self).unwrap_or_default()
    }
}

/// The permit's first key.
pub(super) fn first(permit: &Permit) -> Result<Cow<'_, Parsed>> {
    load(permit, permit.key()?)
}

/// The permit's second key.
pub(super) fn second(permit: &Permit) -> Result<Cow<'_, Parsed>> {
    load(permit, permit.second_key()?)
}

/// The other input keys of a derivation.
pub(super) fn others(permit: &Permit) -> Result<Vec<Parsed>> {
    permit.other_keys()?.into_iter().map(|granted| load(permit, granted).map(Cow::into_owned)).collect()
}

fn load<'a>(permit: &Permit, granted: Granted<'a>) -> Result<Cow<'a, Parsed>> {
    // A fork may have cut off a thread that held a lock inside a parsed key; the child parses anew.
    let epoch = crate::os::epoch();
    if let Some(parsed) = granted.version.cache.get::<Parsed>(epoch) {
        return Ok(Cow::Borrowed(parsed));
    }
    let parsed = match granted.version.held.get::<SecretKey>() {
        Some((_, held)) if held.key_type != granted.key.key_type => return Err(contradicted()),
        Some((made, held)) => Parsed::Secret(if made == epoch { held } else { Arc::new(held.anew()) }),
        None => in_vault(|| parse(permit, granted))?,
    };
    granted.version.cache.put(epoch, &Arc::new(parsed.clone()));
    Ok(Cow::Owned(parsed))
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
    Err(contradicted())
}

fn contradicted() -> Error {
    Error::new(ErrorKind::Damaged, "the key record contradicts its material")
}
