//! The software engine: NIST algorithms by aws-lc; the SM family, secp256k1, Ed448 and X448 by RustCrypto.
//!
//! It holds nothing. Keys come in with the permit, sealed; their parsed form is kept beside the record they came from.

mod aead;
mod awslc;
pub(super) mod buffer;
mod cipher;
mod derive;
mod dh;
mod dh_pkcs8;
mod digest;
mod ec;
mod edwards;
mod encapsulate;
mod ff1;
mod generate;
mod goldilocks;
mod hd;
mod hybrid;
mod kbkdf;
mod kdf;
mod keys;
mod keywrap;
mod mac;
mod material;
mod mldsa;
mod mlkem;
pub(super) mod native;
mod pqc;
mod pqc_pkcs8;
mod prehash;
mod rng;
mod rsa;
mod secp256k1;
mod signature;
mod slhdsa;
mod sm2;
mod sm4;
mod spare;
mod stealing;
#[cfg(test)]
mod tests;
mod tls;
mod wrap;
mod xts;

use std::sync::Arc;

pub use self::rng::may_enter;

use self::awslc::in_vault;
use self::digest::DigestOperation;
use self::edwards::Variant;
use self::keys::Parsed;
use self::mac::MacOperation;
use self::rng::Generator;
use super::{Backend, Ciphering, Digesting, Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{BackendId, Derivation, Expected, KeyComponents, KeySpec, Material, PublicComponents};
use crate::mechanism::{EcMechanism, Hash, HdDerivation, KeyType, Mechanism, TlsMechanism};
use crate::permit::Permit;
use crate::random::Random;
use crate::secret::{Secret, wipe_stack};

/// How much of the stack is wiped after a key was unwrapped: the block ciphers' own, which they leave as it was.
const UNWRAPPING: usize = 2 << 10;

/// The built-in engine. Cheap to make; several are as good as one.
#[derive(Debug)]
pub struct SoftBackend {
    id: BackendId,
    generator: Generator,
}

impl SoftBackend {
    /// The engine, once its random generator has shown that it works.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when the operating system gives no entropy.
    pub fn new() -> Result<Self> {
        awslc::install();
        Generator.fill(&mut [0; 16])?;
        Ok(Self { id: BackendId::soft(), generator: Generator })
    }
}

impl Backend for SoftBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        Ok(match (&*keys::first(permit)?, mechanism) {
            (Parsed::Rsa(key), Mechanism::Rsa(m)) => Box::new(rsa::signature(Arc::clone(key), m, true)?),
            (Parsed::Ec(key), Mechanism::Ec(EcMechanism::Ecdsa { hash })) => {
                Box::new(ec::signature(Arc::clone(key), *hash, true)?)
            }
            (Parsed::K256(key), Mechanism::Ec(EcMechanism::Ecdsa { hash })) => {
                Box::new(secp256k1::signature(Arc::clone(key), *hash, true)?)
            }
            (Parsed::K256(key), Mechanism::Ec(EcMechanism::EcdsaLedger { digest, recoverable })) => {
                Box::new(secp256k1::for_ledger(Arc::clone(key), *digest, *recoverable, true)?)
            }
            (Parsed::Ed(key), Mechanism::Ec(EcMechanism::EdDsa { prehash, context })) => {
                Box::new(edwards::signature(Arc::clone(key), Variant::new(*prehash, context)?, true)?)
            }
            (Parsed::Ed448(key), Mechanism::Ec(EcMechanism::EdDsa { prehash, context })) => {
                Box::new(goldilocks::signature(Arc::clone(key), Variant::new(*prehash, context)?, true)?)
            }
            (Parsed::Sm2(key), Mechanism::Sm2(m)) => Box::new(sm2::signature(Arc::clone(key), m, true)?),
            (Parsed::Pqc(key), Mechanism::Pqc(m)) => key.clone().sign(m)?,
            (Parsed::Secret(key), Mechanism::Mac(m)) => Box::new(MacOperation::new(key, m)?),
            (Parsed::Secret(key), Mechanism::Tls(m)) => Box::new(tls::finished(key, m)?),
            (_, mechanism) => return Err(unfit(signs(mechanism))),
        })
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        Ok(match (&*keys::first(permit)?, mechanism) {
            (Parsed::Rsa(key), Mechanism::Rsa(m)) => Box::new(rsa::signature(Arc::clone(key), m, false)?),
            (Parsed::Ec(key), Mechanism::Ec(EcMechanism::Ecdsa { hash })) => {
                Box::new(ec::signature(Arc::clone(key), *hash, false)?)
            }
            (Parsed::K256(key), Mechanism::Ec(EcMechanism::Ecdsa { hash })) => {
                Box::new(secp256k1::signature(Arc::clone(key), *hash, false)?)
            }
            (Parsed::K256(key), Mechanism::Ec(EcMechanism::EcdsaLedger { digest, recoverable })) => {
                Box::new(secp256k1::for_ledger(Arc::clone(key), *digest, *recoverable, false)?)
            }
            (Parsed::Ed(key), Mechanism::Ec(EcMechanism::EdDsa { prehash, context })) => {
                Box::new(edwards::signature(Arc::clone(key), Variant::new(*prehash, context)?, false)?)
            }
            (Parsed::Ed448(key), Mechanism::Ec(EcMechanism::EdDsa { prehash, context })) => {
                Box::new(goldilocks::signature(Arc::clone(key), Variant::new(*prehash, context)?, false)?)
            }
            (Parsed::Sm2(key), Mechanism::Sm2(m)) => Box::new(sm2::signature(Arc::clone(key), m, false)?),
            (Parsed::Pqc(key), Mechanism::Pqc(m)) => key.clone().verify(m)?,
            (Parsed::Secret(key), Mechanism::Mac(m)) => Box::new(MacOperation::new(key, m)?),
            (Parsed::Secret(key), Mechanism::Tls(m)) => Box::new(tls::finished(key, m)?),
            (_, mechanism) => return Err(unfit(signs(mechanism))),
        })
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        match (&*keys::first(permit)?, mechanism) {
            (Parsed::Rsa(key), Mechanism::Rsa(m)) => rsa::recovery(Arc::clone(key), m),
            (_, mechanism) => Err(unfit(matches!(mechanism, Mechanism::Rsa(_)))),
        }
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        crypt(permit, mechanism, true)
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        crypt(permit, mechanism, false)
    }

    fn digest(&self, _permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        Ok(Box::new(DigestOperation::new(hash)))
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        in_vault(|| material::seal(permit, &generate::secret(spec)?))
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        let pair = in_vault(|| generate::pair(spec))?;
        Ok((material::seal(permit, &pair)?, material::describe(&pair)?))
    }

    fn release_pair(&self, _permit: &Permit, spec: &KeySpec) -> Result<(Secret, PublicComponents)> {
        let pair = in_vault(|| generate::pair(spec))?;
        Ok((wrap::pkcs8(&pair)?, material::public_of(&pair)?))
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        let key = in_vault(|| material::from_components(components))?;
        match components {
            KeyComponents::Public(_) => material::describe(&key),
            _ => material::seal(permit, &key),
        }
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        material::to_components(&*keys::first(permit)?)
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        wrap::wrap(&*keys::first(permit)?, mechanism, &*keys::second(permit)?)
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        let unwrapping = keys::first(permit)?;
        let key = in_vault(|| wrap::unwrap(&unwrapping, mechanism, wrapped, key_type, len));
        wipe_stack::<UNWRAPPING>();
        material::seal(permit, &key?)
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        material::seal(permit, &in_vault(|| derive::made(mechanism, expected))?)
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        let (base, others) = (keys::first(permit)?, keys::others(permit)?);
        let yielded = in_vault(|| derive::keys(&base, &others, mechanism, wanted))?;
        let sealed = permit.new_objects().zip(&yielded.keys).map(|(new, key)| material::seal_as(permit, new, key));
        Ok(Derivation { keys: sealed.collect::<Result<_>>()?, public: yielded.public })
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        derive::data(&*keys::first(permit)?, &keys::others(permit)?, mechanism, len)
    }

    fn derive_pair(&self, permit: &Permit, how: &HdDerivation) -> Result<(Material, Material)> {
        let seed = keys::first(permit)?;
        let pair = in_vault(|| hd::derive(&seed, how))?;
        Ok((material::seal(permit, &pair)?, material::describe(&pair)?))
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        let (key, ciphertext) = encapsulate::encapsulate(&*keys::first(permit)?, mechanism, key_type, len)?;
        Ok((material::seal(permit, &key)?, ciphertext))
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        let key = encapsulate::decapsulate(&*keys::first(permit)?, mechanism, ciphertext, key_type, len)?;
        material::seal(permit, &key)
    }

    fn destroy(&self, _permit: &Permit) -> Result<()> {
        Ok(())
    }

    fn seed_random(&self, _permit: &Permit, _seed: &[u8]) -> Result<()> {
        // aws-lc ignores what callers add; saying that it was mixed in would be a lie.
        Err(Error::new(ErrorKind::Unsupported, "the generator is seeded by the operating system alone"))
    }

    fn random(&self, _permit: &Permit, out: &mut [u8]) -> Result<()> {
        self.generator.fill(out)
    }

    fn entropy(&self) -> &dyn Random {
        &self.generator
    }
}

fn crypt(permit: &Permit, mechanism: &Mechanism, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    match (&*keys::first(permit)?, mechanism) {
        (Parsed::Secret(key), Mechanism::Cipher(block, mode)) => cipher::start(key, *block, mode, encrypt),
        (Parsed::Secret(key), Mechanism::ChaCha20Poly1305(m)) => aead::chacha(key, m, encrypt),
        (Parsed::Secret(key), Mechanism::Ff1(m)) => ff1::start(key, m, encrypt),
        (Parsed::Secret(key), Mechanism::Native(m)) => native::start(key, permit.key()?, m, encrypt),
        (Parsed::Rsa(key), Mechanism::Rsa(m)) => rsa::cipher(Arc::clone(key), m, !encrypt),
        (Parsed::Sm2(key), Mechanism::Sm2(m)) => sm2::cipher(Arc::clone(key), m, !encrypt),
        (
            _,
            Mechanism::Cipher(..)
            | Mechanism::ChaCha20Poly1305(_)
            | Mechanism::Rsa(_)
            | Mechanism::Sm2(_)
            | Mechanism::Ff1(_)
            | Mechanism::Native(_),
        ) => Err(wrong_key()),
        _ => Err(unfit(false)),
    }
}

/// Whether the mechanism makes signatures or MACs with some key.
const fn signs(mechanism: &Mechanism) -> bool {
    if let Mechanism::Pqc(mechanism) = mechanism {
        return pqc::signs(mechanism);
    }
    matches!(
        mechanism,
        Mechanism::Rsa(_)
            | Mechanism::Ec(EcMechanism::Ecdsa { .. } | EcMechanism::EcdsaLedger { .. } | EcMechanism::EdDsa { .. })
            | Mechanism::Sm2(_)
            | Mechanism::Mac(_)
            | Mechanism::Tls(TlsMechanism::Finished { .. })
    )
}

/// The error for a mechanism that does not go with a key: the key is wrong where the mechanism is right for the verb.
fn unfit(offered: bool) -> Error {
    if offered {
        return wrong_key();
    }
    Error::new(ErrorKind::MechanismUnsupported, "the mechanism is not offered for this verb")
}

fn wrong_key() -> Error {
    Error::new(ErrorKind::KeyType, "the key does not fit the mechanism")
}

fn parameter(message: &'static str) -> Error {
    Error::new(ErrorKind::MechanismParameter, message)
}
