//! From components to keys to sealed locators, and back.
//!
//! A locator is sealed under the domain key the permit offers, bound to object and version. Its plaintext is one tag
//! byte and the key: the bytes of a secret, an RSA key as PKCS #8, what [`PqcKey::encode`] makes, or a scalar (or seed) on
//! the curve that the tag names.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::awslc::{DhKey, EcKey, PrivateKey, Rsa, RsaPrivate, complete, parse_pkcs8, rsa_to_pkcs8};
use super::edwards::{EdKey, XKey};
use super::goldilocks::{Ed448Key, X448Key};
use super::keys::{Parsed, SecretKey};
use super::pqc::PqcKey;
use super::rng::Generator;
use super::secp256k1::K256Key;
use super::sm2::Sm2Key;
use super::{cipher, digest};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{HeldKey, KeyComponents, Material, PublicComponents, Storage, material_context};
use crate::mechanism::{BlockCipher, Curve, DhGroup, Hash, KeyType};
use crate::permit::{NewObject, Permit};
use crate::secret::Secret;

/// Longest secret key in bytes.
pub(super) const MAX_SECRET: usize = 1 << 16;

/// Number of the first version of a key.
const FIRST_VERSION: u32 = 1;

const TAG_SECRET: u8 = 1;
const TAG_RSA: u8 = 2;
const TAG_PQC: u8 = 4;
/// Tags of curves.
const CURVES: [(u8, Curve); 9] = [
    (16, Curve::P256),
    (17, Curve::P384),
    (18, Curve::P521),
    (19, Curve::Ed25519),
    (20, Curve::X25519),
    (21, Curve::Sm2),
    (22, Curve::Secp256k1),
    (23, Curve::Ed448),
    (24, Curve::X448),
];

/// Tags of Diffie-Hellman groups.
const DH_GROUPS: [(u8, DhGroup); 10] = [
    (64, DhGroup::Ffdhe2048),
    (65, DhGroup::Ffdhe3072),
    (66, DhGroup::Ffdhe4096),
    (67, DhGroup::Ffdhe6144),
    (68, DhGroup::Ffdhe8192),
    (69, DhGroup::Modp2048),
    (70, DhGroup::Modp3072),
    (71, DhGroup::Modp4096),
    (72, DhGroup::Modp6144),
    (73, DhGroup::Modp8192),
];

/// Sizes of RSA keys in bits that are made, and of private keys that are taken in.
pub(super) const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;
/// Length of the largest modulus in bytes.
const RSA_MAX_LEN: usize = 1024;
/// Smallest RSA public key in bits that is taken in, to verify signatures of the past.
const RSA_PUBLIC_MIN: u32 = 1024;

/// What is stored of a secret or private key, for the permit's new object.
pub(super) fn seal(permit: &Permit, key: &Parsed) -> Result<Material> {
    seal_as(permit, permit.new_object()?, key)
}

/// As [`seal`], for one of several new objects.
pub(super) fn seal_as(permit: &Permit, new: &NewObject, key: &Parsed) -> Result<Material> {
    if let (Storage::Ephemeral, Parsed::Secret(secret)) = (new.storage, key) {
        // The key that would seal it lies in the same memory.
        let held = HeldKey::new(crate::os::epoch(), Arc::clone(secret));
        return Ok(Material { held, ..describe(key)? });
    }
    let context = material_context(new.id, FIRST_VERSION);
    let domain = permit.domain_key(new.storage, new.private)?;
    let locator = domain.seal_material(&Generator, &context, &encode(key)?)?;
    let check_value = match key {
        Parsed::Secret(secret) => check_value(secret)?,
        _ => Vec::new(),
    };
    Ok(Material { locator, check_value, ..describe(key)? })
}

/// What is stored of a public key, or of the public half of a pair.
pub(super) fn describe(key: &Parsed) -> Result<Material> {
    let bits = match key {
        Parsed::Rsa(rsa) => rsa.bits(),
        Parsed::Ec(ec) => ec.curve().bits(),
        Parsed::K256(_) => Curve::Secp256k1.bits(),
        Parsed::Ed(_) => Curve::Ed25519.bits(),
        Parsed::Ed448(_) => Curve::Ed448.bits(),
        Parsed::X(_) => Curve::X25519.bits(),
        Parsed::X448(_) => Curve::X448.bits(),
        Parsed::Sm2(_) => Curve::Sm2.bits(),
        Parsed::Dh(key) => key.group().bits(),
        Parsed::Pqc(key) => u32::try_from(key.set().public_len() * 8).unwrap_or(u32::MAX),
        Parsed::Secret(secret) => u32::try_from(secret.value.len() * 8).unwrap_or(u32::MAX),
    };
    Ok(Material {
        key_type: key.key_type(),
        locator: Vec::new(),
        bits,
        public: public_of(key)?,
        check_value: Vec::new(),
        held: HeldKey::default(),
    })
}

/// The public part.
pub(super) fn public_of(key: &Parsed) -> Result<PublicComponents> {
    let ec = |curve, point: Vec<u8>| PublicComponents::Ec { curve, point };
    Ok(match key {
        Parsed::Rsa(rsa) => {
            let (modulus, exponent) = rsa.public()?;
            PublicComponents::Rsa { modulus, exponent }
        }
        Parsed::Ec(key) => ec(key.curve(), key.point()?),
        Parsed::K256(key) => ec(Curve::Secp256k1, key.point()),
        Parsed::Ed(key) => ec(Curve::Ed25519, key.public.to_vec()),
        Parsed::Ed448(key) => ec(Curve::Ed448, key.public()),
        Parsed::X(key) => ec(Curve::X25519, key.public.to_vec()),
        Parsed::X448(key) => ec(Curve::X448, key.public()),
        Parsed::Sm2(key) => ec(Curve::Sm2, key.point()),
        Parsed::Dh(key) => PublicComponents::Dh { group: key.group(), value: key.public()? },
        Parsed::Pqc(key) => key.public(),
        Parsed::Secret(_) => PublicComponents::None,
    })
}

/// The key check value of PKCS#11 3.1, 4.10.2: of ciphers a zero block, encrypted; of other secrets a SHA-1.
pub(super) fn check_value(secret: &SecretKey) -> Result<Vec<u8>> {
    let value = secret.value.expose();
    let zeros = [0; BlockCipher::BLOCK];
    // The rest of the encrypted block is wiped: to GCM it is the hash key.
    let full = Zeroizing::new(match secret.key_type {
        KeyType::Aes => cipher::encrypt_block(BlockCipher::Aes, secret, &zeros)?.to_vec(),
        KeyType::Sm4 => cipher::encrypt_block(BlockCipher::Sm4, secret, &zeros)?.to_vec(),
        _ => digest::digest(Hash::Sha1, &[value])?,
    });
    Ok(full.iter().take(3).copied().collect())
}

/// The plaintext of a locator.
fn encode(key: &Parsed) -> Result<Secret> {
    let (tag, bytes) = match key {
        Parsed::Secret(secret) => (TAG_SECRET, secret.value.clone()),
        Parsed::Rsa(rsa) => (TAG_RSA, rsa_to_pkcs8(rsa)?),
        Parsed::Dh(key) => {
            let (tag, _) = DH_GROUPS.iter().find(|(_, group)| *group == key.group()).ok_or_else(unknown_curve)?;
            (*tag, key.private()?)
        }
        Parsed::Pqc(key) => (TAG_PQC, key.encode()?),
        other => {
            let (curve, scalar) = scalar_of(other)?;
            let (tag, _) = CURVES.iter().find(|(_, c)| *c == curve).ok_or_else(unknown_curve)?;
            (*tag, scalar)
        }
    };
    Secret::filled(1 + bytes.len(), |out| {
        let (first, rest) = out.split_first_mut().ok_or_else(unknown_curve)?;
        *first = tag;
        rest.copy_from_slice(bytes.expose());
        Ok(())
    })
}

/// The key in the plaintext of a locator.
pub(super) fn decode(plain: &Secret, key_type: KeyType) -> Result<Parsed> {
    let damaged = || Error::new(ErrorKind::Damaged, "key material has an unknown form");
    let (tag, bytes) = plain.expose().split_first().ok_or_else(damaged)?;
    match *tag {
        // An absent MAC key of TLS (see `derive`), which no import makes.
        TAG_SECRET if bytes.is_empty() && key_type == KeyType::GenericSecret => Ok(nothing()),
        TAG_SECRET if !key_type.is_asymmetric() => from_secret(key_type, Secret::copy_of(bytes)),
        TAG_RSA => match parse_pkcs8(bytes) {
            Ok(PrivateKey::Rsa(rsa)) => Ok(Parsed::Rsa(Arc::new(rsa))),
            _ => Err(damaged()),
        },
        TAG_PQC => PqcKey::decode(bytes).map(Parsed::Pqc),
        tag if key_type == KeyType::Dh => {
            let (_, group) = DH_GROUPS.iter().find(|(t, _)| *t == tag).ok_or_else(damaged)?;
            from_dh(*group, &Secret::copy_of(bytes))
        }
        tag => {
            let (_, curve) = CURVES.iter().find(|(t, _)| *t == tag).ok_or_else(damaged)?;
            from_scalar(*curve, &Secret::copy_of(bytes))
        }
    }
}

/// A key from components that somebody brings.
pub(super) fn from_components(components: &KeyComponents) -> Result<Parsed> {
    match components {
        KeyComponents::Secret { key_type, value } => from_secret(*key_type, value.clone()),
        KeyComponents::EcPrivate { curve, scalar } => from_scalar(*curve, scalar),
        KeyComponents::Public(public) => from_public(public),
        KeyComponents::DhPrivate { group, value } => from_dh(*group, value),
        KeyComponents::PqcPrivate { set, seed, value } => PqcKey::from_private(*set, seed, value).map(Parsed::Pqc),
        KeyComponents::RsaPrivate {
            modulus,
            exponent,
            private_exponent,
            prime_1,
            prime_2,
            exponent_1,
            exponent_2,
            coefficient,
        } => from_rsa(&RsaPrivate {
            n: modulus.clone(),
            e: exponent.clone(),
            d: private_exponent.clone(),
            p: prime_1.clone(),
            q: prime_2.clone(),
            dp: exponent_1.clone(),
            dq: exponent_2.clone(),
            qinv: coefficient.clone(),
        }),
    }
}

/// The components of a key; those of a public key if it has no private part.
pub(super) fn to_components(key: &Parsed) -> Result<KeyComponents> {
    Ok(match key {
        Parsed::Secret(secret) => KeyComponents::Secret { key_type: secret.key_type, value: secret.value.clone() },
        Parsed::Rsa(rsa) if rsa.is_private() => {
            let RsaPrivate { n, e, d, p, q, dp, dq, qinv } = rsa.numbers()?;
            KeyComponents::RsaPrivate {
                modulus: n,
                exponent: e,
                private_exponent: d,
                prime_1: p,
                prime_2: q,
                exponent_1: dp,
                exponent_2: dq,
                coefficient: qinv,
            }
        }
        Parsed::Dh(key) if key.is_private() => KeyComponents::DhPrivate { group: key.group(), value: key.private()? },
        Parsed::Pqc(key) if key.is_private() => key.components()?,
        other if is_private(other) => {
            let (curve, scalar) = scalar_of(other)?;
            KeyComponents::EcPrivate { curve, scalar }
        }
        public => KeyComponents::Public(public_of(public)?),
    })
}

/// Whether there is something secret in the key.
pub(super) fn is_private(key: &Parsed) -> bool {
    match key {
        Parsed::Rsa(rsa) => rsa.is_private(),
        Parsed::Ec(ec) => ec.is_private(),
        Parsed::K256(ec) => ec.is_private(),
        Parsed::Ed(ed) => ed.pair.is_some(),
        Parsed::Ed448(ed) => ed.is_private(),
        Parsed::X(x) => x.private.is_some(),
        Parsed::X448(x) => x.is_private(),
        Parsed::Sm2(sm2) => sm2.is_private(),
        Parsed::Dh(dh) => dh.is_private(),
        Parsed::Pqc(key) => key.is_private(),
        Parsed::Secret(_) => true,
    }
}

/// A secret key of an allowed length.
pub(super) fn from_secret(key_type: KeyType, value: Secret) -> Result<Parsed> {
    if !length_fits(key_type, value.len()) {
        return Err(bad("the secret does not have a length of its type"));
    }
    if key_type == KeyType::AesXts && halves_are_equal(value.expose()) {
        return Err(bad("the two halves of an XTS key are the same"));
    }
    Ok(Parsed::Secret(Arc::new(SecretKey::new(key_type, value))))
}

/// SP 800-38E has no security proof for such keys, and FIPS 140 (IG C.I) forbids them.
fn halves_are_equal(key: &[u8]) -> bool {
    key.split_at_checked(key.len() / 2).is_none_or(|(data, tweak)| data.ct_eq(tweak).into())
}

/// Whether secret keys of this type may have `len` bytes.
pub(super) fn length_fits(key_type: KeyType, len: usize) -> bool {
    match key_type {
        KeyType::Aes => matches!(len, 16 | 24 | 32),
        KeyType::Sm4 => len == 16,
        KeyType::AesXts => len == 64,
        KeyType::ChaCha20 => len == 32,
        other => other.is_generic() && (1..=MAX_SECRET).contains(&len),
    }
}

/// A private key on a curve.
pub(super) fn from_scalar(curve: Curve, scalar: &Secret) -> Result<Parsed> {
    if scalar.len() != curve.field_len() {
        return Err(bad("the private value does not have the length of its curve"));
    }
    Ok(match curve {
        Curve::Secp256k1 => Parsed::K256(Arc::new(K256Key::from_scalar(scalar)?)),
        Curve::Ed25519 => Parsed::Ed(Arc::new(EdKey::from_seed(scalar)?)),
        Curve::Ed448 => Parsed::Ed448(Arc::new(Ed448Key::from_seed(scalar)?)),
        Curve::X25519 => Parsed::X(Arc::new(XKey::from_private(scalar)?)),
        Curve::X448 => Parsed::X448(Arc::new(X448Key::from_private(scalar)?)),
        Curve::Sm2 => Parsed::Sm2(Arc::new(Sm2Key::from_scalar(scalar)?)),
        nist => {
            let key = EcKey::from_scalar(nist, scalar.expose());
            Parsed::Ec(Arc::new(key.map_err(|_| bad("the scalar is not a private key on its curve"))?))
        }
    })
}

/// A public key.
pub(super) fn from_public(public: &PublicComponents) -> Result<Parsed> {
    match public {
        PublicComponents::None => Err(incomplete()),
        PublicComponents::Rsa { modulus, exponent } if modulus.is_empty() || exponent.is_empty() => Err(incomplete()),
        PublicComponents::Ec { point, .. } if point.is_empty() => Err(incomplete()),
        PublicComponents::Rsa { modulus, exponent } => {
            let rsa = Rsa::from_public(modulus, exponent).map_err(|_| bad("this is no RSA public key"))?;
            if !(RSA_PUBLIC_MIN..=*RSA_BITS.end()).contains(&rsa.bits()) {
                return Err(bad("RSA public keys have 1024 to 8192 bits"));
            }
            Ok(Parsed::Rsa(Arc::new(rsa)))
        }
        PublicComponents::Dh { group, value } => {
            let key = DhKey::from_public(*group, value);
            Ok(Parsed::Dh(Arc::new(key.map_err(|_| bad("the public value is not in its group"))?)))
        }
        PublicComponents::Pqc { set, value } => PqcKey::from_public(*set, value).map(Parsed::Pqc),
        PublicComponents::Ec { curve, point } => Ok(match curve {
            Curve::Secp256k1 => Parsed::K256(Arc::new(K256Key::from_point(point)?)),
            Curve::Ed25519 => Parsed::Ed(Arc::new(EdKey::from_public(point)?)),
            Curve::Ed448 => Parsed::Ed448(Arc::new(Ed448Key::from_public(point)?)),
            Curve::X25519 => Parsed::X(Arc::new(XKey::from_public(point)?)),
            Curve::X448 => Parsed::X448(Arc::new(X448Key::from_public(point)?)),
            Curve::Sm2 => Parsed::Sm2(Arc::new(Sm2Key::from_point(point)?)),
            nist => {
                let key = EcKey::from_point(*nist, point);
                Parsed::Ec(Arc::new(key.map_err(|_| bad("the point is not on its curve"))?))
            }
        }),
    }
}

/// A key without bytes, of which nothing can be made.
pub(super) fn nothing() -> Parsed {
    Parsed::Secret(Arc::new(SecretKey::new(KeyType::GenericSecret, Secret::copy_of(&[]))))
}

fn from_dh(group: DhGroup, value: &Secret) -> Result<Parsed> {
    let key = DhKey::from_private(group, value.expose());
    Ok(Parsed::Dh(Arc::new(key.map_err(|_| bad("the private value is not one of its group"))?)))
}

fn from_rsa(given: &RsaPrivate) -> Result<Parsed> {
    let primes = !given.p.is_empty() && !given.q.is_empty();
    if given.n.is_empty() || given.d.is_empty() || (given.e.is_empty() && !primes) {
        return Err(incomplete());
    }
    // Before anything is computed: huge numbers would only cost time.
    let len = given.n.len();
    let secrets = [&given.d, &given.p, &given.q, &given.dp, &given.dq, &given.qinv];
    if len > RSA_MAX_LEN || given.e.len() > len || secrets.iter().any(|number| number.len() > len) {
        return Err(bad("the numbers are too large for an RSA key"));
    }
    let crt = !given.dp.is_empty() && !given.dq.is_empty() && !given.qinv.is_empty();
    let inconsistent = |_| bad("the numbers do not make an RSA key");
    let completed =
        if primes && crt && !given.e.is_empty() { None } else { Some(complete(given).map_err(inconsistent)?) };
    let rsa = Rsa::from_private(completed.as_ref().unwrap_or(given)).map_err(inconsistent)?;
    if !RSA_BITS.contains(&rsa.bits()) {
        return Err(bad("RSA private keys have 2048 to 8192 bits"));
    }
    Ok(Parsed::Rsa(Arc::new(rsa)))
}

/// Curve and private value of a key on a curve.
fn scalar_of(key: &Parsed) -> Result<(Curve, Secret)> {
    let public = || Error::new(ErrorKind::Internal, "a public key has no private value");
    Ok(match key {
        Parsed::Ec(key) => (key.curve(), key.scalar()?),
        Parsed::K256(key) => (Curve::Secp256k1, key.scalar()?),
        Parsed::Ed(key) => (Curve::Ed25519, key.pair.as_ref().ok_or_else(public)?.seed()),
        Parsed::Ed448(key) => (Curve::Ed448, key.seed()?),
        Parsed::X(key) => (Curve::X25519, key.private.clone().ok_or_else(public)?),
        Parsed::X448(key) => (Curve::X448, key.private()?.clone()),
        Parsed::Sm2(key) => (Curve::Sm2, key.scalar()?),
        Parsed::Rsa(_) | Parsed::Dh(_) | Parsed::Pqc(_) | Parsed::Secret(_) => return Err(unknown_curve()),
    })
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::AttributeValue, message)
}

fn incomplete() -> Error {
    Error::new(ErrorKind::TemplateIncomplete, "parts of the key are missing")
}

fn unknown_curve() -> Error {
    Error::new(ErrorKind::Internal, "a key is not on a curve that has a tag")
}
