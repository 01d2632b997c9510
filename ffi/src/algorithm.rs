//! Signature algorithms by their numbers, and what stands between a key's signatures and what programs have.

use der::asn1::UintRef;
use der::{Decode as _, Encode as _};
use libkmss::error::{Error, ErrorKind};
use libkmss::key::{Object, PublicComponents};
use libkmss::mechanism::{
    Curve, EcMechanism, Hash, Hedge, KeyType, LedgerDigest, Mechanism, PqcInput, PqcMechanism, PqcSet, PqcSignature,
    Pss, RsaMechanism, Sm2Mechanism,
};

use crate::failure::Failure;
use crate::status::kmss_status;

/// A signature algorithm. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_algorithm = u32;

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2).
pub const KMSS_RSA_PKCS1_SHA256: kmss_algorithm = 1;
/// RSASSA-PKCS1-v1_5 with SHA-384.
pub const KMSS_RSA_PKCS1_SHA384: kmss_algorithm = 2;
/// RSASSA-PKCS1-v1_5 with SHA-512.
pub const KMSS_RSA_PKCS1_SHA512: kmss_algorithm = 3;
/// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017, 8.1).
pub const KMSS_RSA_PSS_SHA256: kmss_algorithm = 4;
/// RSASSA-PSS with SHA-384, MGF1-SHA-384 and a salt of 48 bytes.
pub const KMSS_RSA_PSS_SHA384: kmss_algorithm = 5;
/// RSASSA-PSS with SHA-512, MGF1-SHA-512 and a salt of 64 bytes.
pub const KMSS_RSA_PSS_SHA512: kmss_algorithm = 6;
/// ECDSA with SHA-256 (FIPS 186-5); the signature is r ‖ s, or DER.
pub const KMSS_ECDSA_SHA256: kmss_algorithm = 7;
/// ECDSA with SHA-384; the signature is r ‖ s, or DER.
pub const KMSS_ECDSA_SHA384: kmss_algorithm = 8;
/// ECDSA with SHA-512; the signature is r ‖ s, or DER.
pub const KMSS_ECDSA_SHA512: kmss_algorithm = 9;
/// Ed25519 or Ed448, as the key is (RFC 8032).
pub const KMSS_EDDSA: kmss_algorithm = 10;
/// SM2 with SM3 (GB/T 32918.2, GB/T 35276); the signature is r ‖ s, or DER.
pub const KMSS_SM2_SM3: kmss_algorithm = 11;
/// ML-DSA of the key's set (FIPS 204), of the message itself.
pub const KMSS_ML_DSA: kmss_algorithm = 12;
/// SLH-DSA of the key's set (FIPS 205), of the message itself.
pub const KMSS_SLH_DSA: kmss_algorithm = 13;
/// ECDSA on secp256k1 with SHA-256 and the lower s, as ledgers take it; the signature is r ‖ s, or DER.
pub const KMSS_ECDSA_LOW_S_SHA256: kmss_algorithm = 14;
/// The same over Keccak-256, the function from before FIPS 202.
pub const KMSS_ECDSA_LOW_S_KECCAK256: kmss_algorithm = 15;
/// ECDSA on secp256k1 with SHA-256 and the lower s; the signature is r ‖ s ‖ v of 65 bytes, where v (0 to 3) tells the public key.
pub const KMSS_ECDSA_RECOVERABLE_SHA256: kmss_algorithm = 16;
/// The same over Keccak-256.
pub const KMSS_ECDSA_RECOVERABLE_KECCAK256: kmss_algorithm = 17;

/// What is between a message and a signature for a ledger, and whether v is in that; `None` for other algorithms.
const fn ledger(algorithm: kmss_algorithm) -> Option<(LedgerDigest, bool)> {
    match algorithm {
        KMSS_ECDSA_LOW_S_SHA256 => Some((LedgerDigest::Sha256, false)),
        KMSS_ECDSA_LOW_S_KECCAK256 => Some((LedgerDigest::Keccak256, false)),
        KMSS_ECDSA_RECOVERABLE_SHA256 => Some((LedgerDigest::Sha256, true)),
        KMSS_ECDSA_RECOVERABLE_KECCAK256 => Some((LedgerDigest::Keccak256, true)),
        _ => None,
    }
}

/// What a caller says of a signature beside its algorithm.
pub(crate) struct Wish<'a> {
    /// Whether the data is a digest, not the message.
    pub(crate) digest: bool,
    /// Whether the signature is DER.
    pub(crate) der: bool,
    /// The signer's identity of SM2.
    pub(crate) user_id: Option<&'a [u8]>,
    /// The context of Ed25519ctx, Ed448, ML-DSA and SLH-DSA.
    pub(crate) context: &'a [u8],
}

/// How a key signs.
pub(crate) struct Signature {
    pub(crate) mechanism: Mechanism,
    /// What goes before a digest.
    prefix: Vec<u8>,
    /// Length of the key's own signatures, r ‖ s where both exist.
    raw: usize,
    der: bool,
}

impl Signature {
    /// A signature by `algorithm` with the key of `object`, from what is public of it: asking is no use of the key.
    pub(crate) fn of(object: &Object, algorithm: kmss_algorithm, wish: &Wish<'_>) -> Result<Self, Failure> {
        let key = object.key().ok_or_else(|| Failure::argument("the object is no key"))?;
        let (fits, mechanism, prefix) = chosen(algorithm, wish)?;
        if key.key_type != fits {
            return Err(mismatch());
        }
        let raw = match &key.primary()?.public {
            PublicComponents::Ec { curve, .. } if ledger(algorithm).is_some() && *curve != Curve::Secp256k1 => {
                return Err(mismatch());
            }
            PublicComponents::Ec { curve, .. } if ledger(algorithm).is_some_and(|(_, has_v)| has_v) => {
                2 * curve.field_len() + 1
            }
            PublicComponents::Rsa { modulus, .. } => modulus.len(),
            PublicComponents::Ec { curve, .. } => 2 * curve.field_len(),
            PublicComponents::Pqc { set: PqcSet::MlDsa(set), .. } => set.signature_len(),
            PublicComponents::Pqc { set: PqcSet::SlhDsa(set), .. } => set.signature_len(),
            _ => return Err(mismatch()),
        };
        Ok(Self { mechanism, prefix, raw, der: wish.der })
    }

    /// Length in bytes of the longest signature.
    pub(crate) const fn longest(&self) -> usize {
        // A SEQUENCE of two INTEGERs, each with a sign byte; of P-521 the length takes two bytes.
        if self.der { self.raw + 9 } else { self.raw }
    }

    /// What the key signs, where this is what came in.
    pub(crate) fn input<'a>(&self, data: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
        if self.prefix.is_empty() { data.into() } else { [self.prefix.as_slice(), data].concat().into() }
    }

    /// A signature of the key as the caller wants it.
    pub(crate) fn shown(&self, raw: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if !self.der {
            return Ok(raw);
        }
        let broken = || Failure::new(kmss_status::KMSS_INTERNAL, "a signature is not r and s");
        let (r, s) = raw.split_at_checked(raw.len() / 2).ok_or_else(broken)?;
        let both = |_| broken();
        let pair = [UintRef::new(r).map_err(both)?, UintRef::new(s).map_err(both)?];
        pair.to_der().map_err(both)
    }

    /// A signature of a caller as the key knows it; what is none does not verify.
    pub(crate) fn read(&self, signature: &[u8]) -> Result<Vec<u8>, Failure> {
        if !self.der {
            return Ok(signature.to_vec());
        }
        let wrong = || Failure::from(Error::new(ErrorKind::SignatureInvalid, "the signature is no DER of two numbers"));
        let numbers = Vec::<UintRef<'_>>::from_der(signature).map_err(|_| wrong())?;
        let [r, s] = numbers.as_slice() else { return Err(wrong()) };
        // One encoding only.
        if numbers.to_der().ok().as_deref() != Some(signature) {
            return Err(wrong());
        }
        let half = self.raw / 2;
        let mut raw = Vec::with_capacity(self.raw);
        for number in [r.as_bytes(), s.as_bytes()] {
            raw.resize(raw.len() + half.checked_sub(number.len()).ok_or_else(wrong)?, 0);
            raw.extend_from_slice(number);
        }
        Ok(raw)
    }
}

/// The type of key, the mechanism and what goes before a digest.
fn chosen(algorithm: kmss_algorithm, wish: &Wish<'_>) -> Result<(KeyType, Mechanism, Vec<u8>), Failure> {
    let hash = match algorithm {
        KMSS_RSA_PKCS1_SHA384 | KMSS_RSA_PSS_SHA384 | KMSS_ECDSA_SHA384 => Hash::Sha384,
        KMSS_RSA_PKCS1_SHA512 | KMSS_RSA_PSS_SHA512 | KMSS_ECDSA_SHA512 => Hash::Sha512,
        KMSS_SM2_SM3 => Hash::Sm3,
        _ => Hash::Sha256,
    };
    check(algorithm, wish)?;
    let plain = |key_type, mechanism| (key_type, mechanism, Vec::new());
    if let Some((digest, recoverable)) = ledger(algorithm) {
        let digest = if wish.digest { LedgerDigest::Ready } else { digest };
        return Ok(plain(KeyType::Ec, Mechanism::Ec(EcMechanism::EcdsaLedger { digest, recoverable })));
    }
    Ok(match algorithm {
        KMSS_RSA_PKCS1_SHA256 | KMSS_RSA_PKCS1_SHA384 | KMSS_RSA_PKCS1_SHA512 if wish.digest => {
            (KeyType::Rsa, Mechanism::Rsa(RsaMechanism::Pkcs), hash.digest_info().unwrap_or_default())
        }
        KMSS_RSA_PKCS1_SHA256 | KMSS_RSA_PKCS1_SHA384 | KMSS_RSA_PKCS1_SHA512 => {
            plain(KeyType::Rsa, Mechanism::Rsa(RsaMechanism::PkcsHash(hash)))
        }
        KMSS_RSA_PSS_SHA256 | KMSS_RSA_PSS_SHA384 | KMSS_RSA_PSS_SHA512 => {
            let pss = Pss { hash, mgf: hash, salt_len: hash.len() };
            plain(KeyType::Rsa, Mechanism::Rsa(RsaMechanism::Pss { pss, message: !wish.digest }))
        }
        KMSS_ECDSA_SHA256 | KMSS_ECDSA_SHA384 | KMSS_ECDSA_SHA512 => {
            plain(KeyType::Ec, Mechanism::Ec(EcMechanism::Ecdsa { hash: (!wish.digest).then_some(hash) }))
        }
        KMSS_EDDSA => {
            let context = wish.context.to_vec();
            plain(KeyType::EcEdwards, Mechanism::Ec(EcMechanism::EdDsa { prehash: false, context }))
        }
        KMSS_SM2_SM3 if wish.digest => plain(KeyType::Sm2, Mechanism::Sm2(Sm2Mechanism::SignDigest)),
        KMSS_SM2_SM3 => {
            let id = wish.user_id.unwrap_or(Sm2Mechanism::DEFAULT_ID).to_vec();
            plain(KeyType::Sm2, Mechanism::Sm2(Sm2Mechanism::SignSm3 { id }))
        }
        KMSS_ML_DSA => plain(KeyType::MlDsa, Mechanism::Pqc(PqcMechanism::MlDsa(pqc(wish)?))),
        KMSS_SLH_DSA => plain(KeyType::SlhDsa, Mechanism::Pqc(PqcMechanism::SlhDsa(pqc(wish)?))),
        _ => return Err(Failure::argument("algorithm is none of the KMSS_… signature algorithms")),
    })
}

/// Refuses wishes that an algorithm has nothing to do with.
fn check(algorithm: kmss_algorithm, wish: &Wish<'_>) -> Result<(), Failure> {
    let ecdsa = matches!(algorithm, KMSS_ECDSA_SHA256 | KMSS_ECDSA_SHA384 | KMSS_ECDSA_SHA512)
        || ledger(algorithm).is_some_and(|(_, has_v)| !has_v);
    let whole = matches!(algorithm, KMSS_EDDSA | KMSS_ML_DSA | KMSS_SLH_DSA);
    if wish.der && !ecdsa && algorithm != KMSS_SM2_SM3 {
        return Err(Failure::argument("KMSS_SIGN_DER is for ECDSA without v, and SM2"));
    }
    if wish.user_id.is_some() && (algorithm != KMSS_SM2_SM3 || wish.digest) {
        return Err(Failure::argument("user_id is for SM2 of a message"));
    }
    if !wish.context.is_empty() && !whole {
        return Err(Failure::argument("context is for EdDSA, ML-DSA and SLH-DSA"));
    }
    if wish.digest && whole {
        return Err(Failure::argument("this algorithm signs the message itself, not a digest of it"));
    }
    Ok(())
}

/// Length of the digest that an algorithm signs.
pub(crate) fn digest_len(algorithm: kmss_algorithm) -> usize {
    match algorithm {
        KMSS_RSA_PKCS1_SHA384 | KMSS_RSA_PSS_SHA384 | KMSS_ECDSA_SHA384 => Hash::Sha384.len(),
        KMSS_RSA_PKCS1_SHA512 | KMSS_RSA_PSS_SHA512 | KMSS_ECDSA_SHA512 => Hash::Sha512.len(),
        _ => Hash::Sha256.len(),
    }
}

fn pqc(wish: &Wish<'_>) -> Result<PqcSignature, Failure> {
    Ok(PqcSignature::new(PqcInput::Message, Hedge::Preferred, wish.context.to_vec())?)
}

fn mismatch() -> Failure {
    Error::new(ErrorKind::KeyType, "keys of this type do not sign by this algorithm").into()
}
