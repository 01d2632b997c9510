//! Algorithms of signatures and MACs as people write them.

use libkmss::key::{Key, PublicComponents};
use libkmss::mechanism::{
    BlockCipher, Curve, EcMechanism, Hash, KeyType, LedgerDigest, MacMechanism, Mechanism, PqcHash, PqcInput,
    PqcMechanism, PqcSignature, Pss, RsaMechanism, Sm2Mechanism,
};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, Encode as _};

use super::token_key::ecdsa_der;
use crate::args::SignatureArgs;
use crate::output::Failure;

/// How a key signs, and what stands between its signatures and what people have.
pub(super) struct Signature {
    /// How.
    pub(super) mechanism: Mechanism,
    /// What goes before a digest.
    prefix: Vec<u8>,
    /// Length of r and of s in bytes, where signatures are to be DER and the mechanism makes r ‖ s.
    der: Option<usize>,
}

impl Signature {
    /// What is asked for, with this key.
    ///
    /// # Errors
    /// It does not go with the key, or is not known.
    pub(super) fn of(key: &Key, args: &SignatureArgs) -> Result<Self, Failure> {
        let algorithm = match &args.algorithm {
            Some(text) => text.to_ascii_lowercase(),
            None => usual(key)?.to_owned(),
        };
        if args.user_id.is_some() && key.key_type != KeyType::Sm2 {
            return Err("--user-id is for SM2".into());
        }
        let unfit = || format!("`{algorithm}` is nothing that {} keys sign by", key.key_type.name());
        let plain = |mechanism| Self { mechanism, prefix: Vec::new(), der: None };
        if let Some((recoverable, digest)) = ledger(&algorithm, args.digest) {
            let PublicComponents::Ec { curve: Curve::Secp256k1, .. } = &key.primary()?.public else {
                return Err(unfit().into());
            };
            let der = (!args.raw && !recoverable).then_some(32);
            return Ok(Self { der, ..plain(Mechanism::Ec(EcMechanism::EcdsaLedger { digest, recoverable })) });
        }
        let (family, hash) = split(&algorithm).ok_or_else(unfit)?;
        Ok(match (key.key_type, family, hash) {
            (KeyType::Rsa, "rsa-pkcs1", Some(hash)) if args.digest => {
                let prefix = hash.digest_info().ok_or_else(unfit)?;
                Self { prefix, ..plain(Mechanism::Rsa(RsaMechanism::Pkcs)) }
            }
            (KeyType::Rsa, "rsa-pkcs1", Some(hash)) => plain(Mechanism::Rsa(RsaMechanism::PkcsHash(hash))),
            (KeyType::Rsa, "rsa-pss", Some(hash)) => {
                let pss = Pss { hash, mgf: hash, salt_len: hash.len() };
                plain(Mechanism::Rsa(RsaMechanism::Pss { pss, message: !args.digest }))
            }
            (KeyType::Ec, "ecdsa", Some(hash)) => {
                let PublicComponents::Ec { curve, .. } = &key.primary()?.public else { return Err(unfit().into()) };
                let mechanism = Mechanism::Ec(EcMechanism::Ecdsa { hash: (!args.digest).then_some(hash) });
                Self { der: (!args.raw).then_some(curve.field_len()), ..plain(mechanism) }
            }
            (KeyType::EcEdwards, "eddsa", None) if !args.digest => plain(Mechanism::Ec(EcMechanism::PURE_EDDSA)),
            (KeyType::Sm2, "sm2", Some(Hash::Sm3)) => {
                let id = args.user_id.as_ref().map_or(Sm2Mechanism::DEFAULT_ID, |id| id.as_bytes()).to_vec();
                let mechanism = if args.digest { Sm2Mechanism::SignDigest } else { Sm2Mechanism::SignSm3 { id } };
                Self { der: (!args.raw).then_some(32), ..plain(Mechanism::Sm2(mechanism)) }
            }
            (KeyType::MlDsa, "ml-dsa", hash) => plain(Mechanism::Pqc(PqcMechanism::MlDsa(pqc(hash, args)?))),
            (KeyType::SlhDsa, "slh-dsa", hash) => plain(Mechanism::Pqc(PqcMechanism::SlhDsa(pqc(hash, args)?))),
            _ => return Err(unfit().into()),
        })
    }

    /// What the key signs, where this is what came in.
    pub(super) fn input(&self, data: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), data].concat()
    }

    /// A signature of the key as people want it.
    ///
    /// # Errors
    /// It is no signature.
    pub(super) fn shown(&self, signature: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if self.der.is_some() { Ok(ecdsa_der(&signature)?) } else { Ok(signature) }
    }

    /// A signature that people have as the key knows it; `None` where it is none.
    pub(super) fn taken(&self, signature: Vec<u8>) -> Option<Vec<u8>> {
        let Some(len) = self.der else { return Some(signature) };
        let halves = Vec::<UintRef<'_>>::from_der(&signature).ok()?;
        let [r, s] = halves.as_slice() else { return None };
        // One encoding only.
        let same = halves.to_der().ok()? == signature;
        let mut raw = Vec::with_capacity(2 * len);
        for half in [r, s] {
            let bytes = half.as_bytes();
            raw.resize(raw.len() + len.checked_sub(bytes.len())?, 0);
            raw.extend_from_slice(bytes);
        }
        same.then_some(raw)
    }
}

/// What a key signs by where nobody says it.
fn usual(key: &Key) -> Result<&'static str, Failure> {
    Ok(match (key.key_type, &key.primary()?.public) {
        (KeyType::Rsa, _) => "rsa-pss-sha256",
        (KeyType::Ec, PublicComponents::Ec { curve: Curve::P384, .. }) => "ecdsa-sha384",
        (KeyType::Ec, PublicComponents::Ec { curve: Curve::P521, .. }) => "ecdsa-sha512",
        (KeyType::Ec, _) => "ecdsa-sha256",
        (KeyType::EcEdwards, _) => "eddsa",
        (KeyType::Sm2, _) => "sm2-sm3",
        (KeyType::MlDsa, _) => "ml-dsa",
        (KeyType::SlhDsa, _) => "slh-dsa",
        (other, _) => return Err(format!("{} keys do not sign; for MACs there is `kmss mac`", other.name()).into()),
    })
}

/// Whether v is wanted, and what is done to the message, of algorithms of ledgers.
fn ledger(algorithm: &str, is_digest: bool) -> Option<(bool, LedgerDigest)> {
    const FAMILIES: [(&str, bool); 2] = [("ecdsa-low-s-", false), ("ecdsa-recoverable-", true)];
    let (hash, recoverable) = FAMILIES.iter().find_map(|(family, v)| Some((algorithm.strip_prefix(family)?, *v)))?;
    let digest = match hash {
        "keccak256" => LedgerDigest::Keccak256,
        "sha256" => LedgerDigest::Sha256,
        _ => return None,
    };
    Some((recoverable, if is_digest { LedgerDigest::Ready } else { digest }))
}

/// Family and hash of an algorithm.
fn split(algorithm: &str) -> Option<(&str, Option<Hash>)> {
    const FAMILIES: [&str; 8] = ["rsa-pkcs1", "rsa-pss", "ecdsa", "eddsa", "sm2", "ml-dsa", "slh-dsa", "hmac"];
    let family = FAMILIES.into_iter().find(|family| algorithm.starts_with(family))?;
    match algorithm.strip_prefix(family)? {
        "" => Some((family, None)),
        rest => Some((family, Some(hash(rest.strip_prefix('-')?)?))),
    }
}

/// A hash as people write it: `sha256`, `sha3-256`, `sha512-256`, `sm3`.
pub(super) fn hash(text: &str) -> Option<Hash> {
    Hash::ALL.into_iter().find(|hash| hash.name().replace('_', "-").eq_ignore_ascii_case(text))
}

fn pqc(hash: Option<Hash>, args: &SignatureArgs) -> Result<PqcSignature, Failure> {
    let function =
        |hash: Hash| PqcHash::of(hash).ok_or_else(|| format!("messages are not hashed by {} beforehand", hash.name()));
    let input = match (hash, args.digest) {
        (None, false) => PqcInput::Message,
        (Some(hash), false) => PqcInput::Hashed(function(hash)?),
        (Some(hash), true) => PqcInput::Digest(function(hash)?),
        (None, true) => return Err("say by which hash the digest was made, as in --algorithm ml-dsa-sha512".into()),
    };
    Ok(PqcSignature::plain(input))
}

/// How a key makes MACs.
///
/// # Errors
/// It does not, or not so.
pub(super) fn mac(key: &Key, asked: Option<&str>) -> Result<MacMechanism, Failure> {
    let usual = match key.key_type {
        KeyType::Hmac(hash) => format!("hmac-{}", hash.name().replace('_', "-")),
        KeyType::Aes => "aes-cmac".to_owned(),
        KeyType::Sm4 => "sm4-cmac".to_owned(),
        _ => "hmac-sha256".to_owned(),
    };
    let algorithm = asked.unwrap_or(&usual).to_ascii_lowercase();
    let hashed = split(&algorithm).filter(|(family, _)| *family == "hmac").and_then(|(_, hash)| hash);
    Ok(match (key.key_type, algorithm.as_str(), hashed) {
        (KeyType::Aes, "aes-cmac", _) => MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 },
        (KeyType::Sm4, "sm4-cmac", _) => MacMechanism::Cmac { cipher: BlockCipher::Sm4, len: 16 },
        (KeyType::Hmac(_) | KeyType::GenericSecret, _, Some(hash)) => MacMechanism::Hmac { hash, len: hash.len() },
        _ => return Err(format!("`{algorithm}` is no MAC of {} keys", key.key_type.name()).into()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn algorithms_are_read_as_people_write_them() {
        assert_eq!(split("rsa-pss-sha3-256"), Some(("rsa-pss", Some(Hash::Sha3_256))));
        assert_eq!(split("sm2-sm3"), Some(("sm2", Some(Hash::Sm3))));
        assert_eq!(split("eddsa"), Some(("eddsa", None)));
        assert_eq!(split("ecdsa-sha512-256"), Some(("ecdsa", Some(Hash::Sha512_256))));
        assert_eq!(ledger("ecdsa-low-s-sha256", false), Some((false, LedgerDigest::Sha256)));
        assert_eq!(ledger("ecdsa-recoverable-keccak256", false), Some((true, LedgerDigest::Keccak256)));
        assert_eq!(ledger("ecdsa-recoverable-keccak256", true), Some((true, LedgerDigest::Ready)));
        assert!(ledger("ecdsa-sha256", false).is_none() && ledger("ecdsa-low-s-sm3", false).is_none());
        for none in ["", "rsa", "ecdsa-", "ecdsasha256", "ml-dsa-65", "des"] {
            assert_eq!(split(none), None, "{none}");
        }
    }

    #[test]
    fn a_signature_has_one_encoding() {
        let signature = Signature { mechanism: Mechanism::Digest(Hash::Sha1), prefix: Vec::new(), der: Some(4) };
        let raw = vec![0, 0, 0, 1, 0xff, 0, 0, 0];
        let der = signature.shown(raw.clone()).unwrap();
        assert_eq!(signature.taken(der.clone()), Some(raw));
        assert_eq!(signature.taken(vec![0x30, 0x07, 0x02, 0x02, 0, 1, 0x02, 0x01, 1]), None);
        assert_eq!(signature.taken(der[..der.len() - 1].to_vec()), None);
        assert_eq!(signature.taken(vec![0x30, 0x0a, 0x02, 0x05, 1, 1, 1, 1, 1, 0x02, 0x01, 1]), None);
    }
}
