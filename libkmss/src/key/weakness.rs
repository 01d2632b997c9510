//! Which weaknesses a use of a mechanism, or a key, has (SP 800-131A rev. 2, SP 800-140C, SP 800-186).
//!
//! What is approved is listed and everything else is not, so that a mechanism that nobody judged is refused where only
//! approved ones are wanted.

use super::{Action, Key, KeySpec, KeyVersion, PublicComponents};
use crate::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, EcdhKdf, Hash, KdfMechanism, KeyType, MacMechanism, MasterBinding,
    Mechanism, Pss, RsaMechanism, TlsMechanism,
};
use crate::settings::{Weakness, Weaknesses};

/// Shortest RSA modulus in bits that is not weak.
pub const SHORTEST_RSA: u32 = 2048;
/// Shortest secret in bits that is not weak.
const SHORTEST_SECRET: u32 = 112;
/// Shortest MAC in bytes that is not weak.
const SHORTEST_MAC: usize = 8;

/// What of `forbidden` doing `action` by `mechanism` falls under.
#[must_use]
pub fn weakness_of_use(forbidden: Weaknesses, action: Action, mechanism: &Mechanism) -> Option<Weakness> {
    forbidden.iter().find(|weakness| has(*weakness, action, mechanism))
}

/// What of `forbidden` a version of a key falls under.
#[must_use]
pub fn weakness_of_key(forbidden: Weaknesses, key: &Key, version: &KeyVersion) -> Option<Weakness> {
    let curve = match &version.public {
        PublicComponents::Ec { curve, .. } => Some(*curve),
        _ => None,
    };
    weakness_of(forbidden, (key.key_type, version.bits, curve))
}

/// What of `forbidden` a key that is to be made falls under.
#[must_use]
pub fn weakness_of_spec(forbidden: Weaknesses, spec: &KeySpec) -> Option<Weakness> {
    let (bits, curve) = match spec {
        KeySpec::Rsa { bits, .. } => (*bits, None),
        KeySpec::Ec(curve) => (0, Some(*curve)),
        KeySpec::Secret { len, .. } => (u32::try_from(len.saturating_mul(8)).unwrap_or(u32::MAX), None),
        KeySpec::Dh { .. } | KeySpec::Pqc(_) => (0, None),
    };
    weakness_of(forbidden, (spec.key_type(), bits, curve))
}

fn weakness_of(forbidden: Weaknesses, (key_type, bits, curve): (KeyType, u32, Option<Curve>)) -> Option<Weakness> {
    forbidden.iter().find(|weakness| match weakness {
        Weakness::ShortRsa => key_type == KeyType::Rsa && bits < SHORTEST_RSA,
        Weakness::ShortSecrets => key_type.is_generic() && bits < SHORTEST_SECRET,
        Weakness::Unapproved => !approved_key(key_type) || curve == Some(Curve::Secp256k1),
        _ => false,
    })
}

fn has(weakness: Weakness, action: Action, mechanism: &Mechanism) -> bool {
    use Mechanism as M;
    let conceals = matches!(action, Action::Encrypt | Action::Decrypt | Action::Wrap | Action::Unwrap);
    match weakness {
        Weakness::Sha1Signatures => {
            let sha1 = matches!(
                mechanism,
                M::Rsa(
                    RsaMechanism::PkcsHash(Hash::Sha1) | RsaMechanism::Pss { pss: Pss { hash: Hash::Sha1, .. }, .. }
                ) | M::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha1) })
            );
            sha1 && action == Action::Sign
        }
        Weakness::Pkcs1Encryption => conceals && matches!(mechanism, M::Rsa(RsaMechanism::Pkcs)),
        Weakness::RawRsa => matches!(mechanism, M::Rsa(RsaMechanism::X509)),
        Weakness::Ecb => matches!(mechanism, M::Cipher(_, CipherMode::Ecb)),
        Weakness::CbcPadding => matches!(mechanism, M::Cipher(_, CipherMode::CbcPad { .. })),
        Weakness::ShortMacs => matches!(mechanism, M::Mac(mac) if mac.len() < SHORTEST_MAC),
        Weakness::Unapproved => !approved(action, mechanism),
        Weakness::ShortRsa | Weakness::ShortSecrets => false,
    }
}

/// Whether keys of a type belong to an approved algorithm.
const fn approved_key(key_type: KeyType) -> bool {
    matches!(
        key_type,
        KeyType::Rsa
            | KeyType::Ec
            | KeyType::EcEdwards
            | KeyType::Dh
            | KeyType::MlDsa
            | KeyType::MlKem
            | KeyType::SlhDsa
            | KeyType::Aes
            | KeyType::AesXts
            | KeyType::GenericSecret
            | KeyType::Hkdf
    ) || matches!(key_type, KeyType::Hmac(hash) if approved_hash(hash))
}

const fn approved_hash(hash: Hash) -> bool {
    !matches!(hash, Hash::Sm3)
}

const fn approved_mac(mac: &MacMechanism) -> bool {
    match mac {
        MacMechanism::Hmac { hash, .. } => approved_hash(*hash),
        MacMechanism::Cmac { cipher, .. } => matches!(cipher, BlockCipher::Aes),
        MacMechanism::Gmac { .. } => true,
    }
}

/// Whether a mechanism is approved for an action.
fn approved(action: Action, mechanism: &Mechanism) -> bool {
    use Mechanism as M;
    match mechanism {
        M::Generate(key_type) => approved_key(*key_type),
        M::Digest(hash) => approved_hash(*hash),
        M::Mac(mac) => approved_mac(mac),
        // SP 800-56C, SP 800-108 and SP 800-132.
        M::Kdf(KdfMechanism::Hkdf(hkdf) | KdfMechanism::HkdfData(hkdf)) => approved_hash(hkdf.hash),
        M::Kdf(KdfMechanism::Kbkdf(kbkdf)) => approved_mac(&kbkdf.prf),
        M::Kdf(KdfMechanism::Pbkdf2(pbkdf2)) => approved_hash(pbkdf2.hash),
        M::Kdf(KdfMechanism::PublicKey) => true,
        // SP 800-135 rev. 1, 4.2.2; master secrets bound to the handshake only (RFC 7627), as FIPS 140-3 IG D.Q asks.
        M::Tls(tls) => !matches!(tls, TlsMechanism::Master { binding: MasterBinding::Randoms(_), .. }),
        M::Rsa(RsaMechanism::Pkcs) => matches!(action, Action::Sign | Action::Verify),
        M::Rsa(RsaMechanism::PkcsHash(hash) | RsaMechanism::Pss { pss: Pss { hash, .. }, .. }) => approved_hash(*hash),
        M::Rsa(RsaMechanism::Oaep(oaep) | RsaMechanism::AesKeyWrap { oaep, .. }) => approved_hash(oaep.hash),
        M::Ec(EcMechanism::Ecdsa { hash }) => hash.is_none_or(approved_hash),
        M::Ec(EcMechanism::EdDsa { .. }) => true,
        M::Ec(EcMechanism::Ecdh { kdf, .. } | EcMechanism::AesKeyWrap { kdf, .. }) => match kdf {
            EcdhKdf::Null => true,
            EcdhKdf::X963(hash) | EcdhKdf::Concatenation(hash) => approved_hash(*hash),
        },
        // SP 800-38F: keys are wrapped by modes that authenticate.
        M::Cipher(
            BlockCipher::Aes,
            CipherMode::KeyWrap { .. } | CipherMode::KeyWrapPad | CipherMode::Gcm(_) | CipherMode::Ccm(_),
        ) => true,
        M::Cipher(BlockCipher::Aes, _) => !matches!(action, Action::Wrap | Action::Unwrap),
        M::Dh(_) | M::Pqc(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::Sm2Mechanism;

    fn under(forbidden: &[Weakness], action: Action, mechanism: &Mechanism) -> Option<Weakness> {
        weakness_of_use(forbidden.iter().copied().collect(), action, mechanism)
    }

    #[test]
    fn sha1_signs_nothing_new_and_still_verifies_where_it_is_forbidden() {
        let weak = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha1) });
        let only = [Weakness::Sha1Signatures];
        assert_eq!(under(&only, Action::Sign, &weak), Some(Weakness::Sha1Signatures));
        assert_eq!(under(&only, Action::Verify, &weak), None);
        let hmac = Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha1, len: 20 });
        assert_eq!(under(&only, Action::Sign, &hmac), None);
        assert_eq!(under(&[], Action::Sign, &weak), None);
    }

    #[test]
    fn pkcs1_without_a_hash_still_signs_where_it_may_not_encrypt() {
        let pkcs = Mechanism::Rsa(RsaMechanism::Pkcs);
        for action in [Action::Encrypt, Action::Decrypt, Action::Wrap, Action::Unwrap] {
            assert_eq!(under(&[Weakness::Pkcs1Encryption], action, &pkcs), Some(Weakness::Pkcs1Encryption));
        }
        assert_eq!(under(&Weakness::ALL, Action::Sign, &pkcs), None);
    }

    #[test]
    fn only_approved_algorithms_are_approved() {
        let fips = Weaknesses::FIPS;
        let of = |action, mechanism: Mechanism| weakness_of_use(fips, action, &mechanism);
        assert_eq!(of(Action::Sign, Mechanism::Sm2(Sm2Mechanism::SignDigest)), Some(Weakness::Unapproved));
        assert_eq!(of(Action::Digest, Mechanism::Digest(Hash::Sm3)), Some(Weakness::Unapproved));
        assert_eq!(of(Action::Generate, Mechanism::Generate(KeyType::ChaCha20)), Some(Weakness::Unapproved));
        assert_eq!(of(Action::Encrypt, Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] })), None);
        let wrapping = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] });
        assert_eq!(of(Action::Wrap, wrapping), Some(Weakness::Unapproved));
        assert_eq!(of(Action::Sign, Mechanism::Ec(EcMechanism::PURE_EDDSA)), None);
        assert_eq!(of(Action::Digest, Mechanism::Digest(Hash::Sha1)), None);
    }
}
