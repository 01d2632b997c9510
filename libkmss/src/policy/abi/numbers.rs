//! The numbers by which guests know actions, mechanisms and key types. They are ours and for ever: a number is never used
//! for something else, and what is new gets a new one. docs/policy-abi.md lists them; a test compares.

use crate::key::Action;
use crate::mechanism::KeyType;

/// A mechanism that has no number (a test makes sure that there is none).
pub const UNKNOWN: u32 = u32::MAX;

/// Every action, by number.
pub const ACTIONS: &[(u32, Action)] = &[
    (1, Action::Find),
    (2, Action::Generate),
    (3, Action::Import),
    (4, Action::Export),
    (5, Action::Sign),
    (6, Action::Verify),
    (7, Action::Encrypt),
    (8, Action::Decrypt),
    (9, Action::Wrap),
    (10, Action::Unwrap),
    (11, Action::Derive),
    (12, Action::Encapsulate),
    (13, Action::Decapsulate),
    (14, Action::Digest),
    (15, Action::Random),
    (16, Action::Manage),
    (17, Action::ChangeState),
    (18, Action::Destroy),
    (19, Action::Login),
    (20, Action::Logout),
    (21, Action::SetPin),
    (22, Action::Initialize),
    (23, Action::Tokenize),
    (24, Action::Detokenize),
    (25, Action::ReadMasked),
    (26, Action::DeriveChild),
];

/// The number of an action.
#[must_use]
pub const fn action_number(action: Action) -> u32 {
    match action {
        Action::Find => 1,
        Action::Generate => 2,
        Action::Import => 3,
        Action::Export => 4,
        Action::Sign => 5,
        Action::Verify => 6,
        Action::Encrypt => 7,
        Action::Decrypt => 8,
        Action::Wrap => 9,
        Action::Unwrap => 10,
        Action::Derive => 11,
        Action::Encapsulate => 12,
        Action::Decapsulate => 13,
        Action::Digest => 14,
        Action::Random => 15,
        Action::Manage => 16,
        Action::ChangeState => 17,
        Action::Destroy => 18,
        Action::Login => 19,
        Action::Logout => 20,
        Action::SetPin => 21,
        Action::Initialize => 22,
        Action::Tokenize => 23,
        Action::Detokenize => 24,
        Action::ReadMasked => 25,
        Action::DeriveChild => 26,
    }
}

/// The action with a number.
#[must_use]
pub fn action(number: u32) -> Option<Action> {
    ACTIONS.iter().find(|(n, _)| *n == number).map(|(_, action)| *action)
}

/// Every key type by number, with its name ([`KeyType::name`]).
pub const KEY_TYPES: &[(u32, &str)] = &[
    (1, "RSA"),
    (2, "EC"),
    (3, "Edwards"),
    (4, "Montgomery"),
    (5, "SM2"),
    (6, "DH"),
    (7, "ML-DSA"),
    (8, "ML-KEM"),
    (9, "SLH-DSA"),
    (10, "AES"),
    (11, "AES-XTS"),
    (12, "ChaCha20"),
    (13, "SM4"),
    (14, "generic"),
    (15, "HMAC"),
    (16, "HKDF"),
];

/// The number of a key type. Secrets for HMAC share one, whatever their hash.
#[must_use]
pub const fn key_type_number(key_type: KeyType) -> u32 {
    match key_type {
        KeyType::Rsa => 1,
        KeyType::Ec => 2,
        KeyType::EcEdwards => 3,
        KeyType::EcMontgomery => 4,
        KeyType::Sm2 => 5,
        KeyType::Dh => 6,
        KeyType::MlDsa => 7,
        KeyType::MlKem => 8,
        KeyType::SlhDsa => 9,
        KeyType::Aes => 10,
        KeyType::AesXts => 11,
        KeyType::ChaCha20 => 12,
        KeyType::Sm4 => 13,
        KeyType::GenericSecret => 14,
        KeyType::Hmac(_) => 15,
        KeyType::Hkdf => 16,
    }
}

/// Every mechanism by number, with its name ([`Mechanism::name`](crate::mechanism::Mechanism::name)). The second byte is
/// the family; a low byte from 0x10 on ends with the number of the hash.
#[rustfmt::skip]
pub const MECHANISMS: &[(u32, &str)] = &[
    (0x0101, "RSA_PKCS_KEY_PAIR_GEN"),
    (0x0102, "EC_KEY_PAIR_GEN"),
    (0x0103, "EC_EDWARDS_KEY_PAIR_GEN"),
    (0x0104, "EC_MONTGOMERY_KEY_PAIR_GEN"),
    (0x0105, "SM2_KEY_PAIR_GEN"),
    (0x0106, "DH_PKCS_KEY_PAIR_GEN"),
    (0x0107, "ML_DSA_KEY_PAIR_GEN"),
    (0x0108, "ML_KEM_KEY_PAIR_GEN"),
    (0x0109, "SLH_DSA_KEY_PAIR_GEN"),
    (0x010A, "AES_KEY_GEN"),
    (0x010B, "AES_XTS_KEY_GEN"),
    (0x010C, "CHACHA20_KEY_GEN"),
    (0x010D, "SM4_KEY_GEN"),
    (0x010E, "GENERIC_SECRET_KEY_GEN"),
    (0x010F, "HMAC_KEY_GEN"),
    (0x0110, "HKDF_KEY_GEN"),
    (0x0201, "SHA1"),
    (0x0202, "SHA224"),
    (0x0203, "SHA256"),
    (0x0204, "SHA384"),
    (0x0205, "SHA512"),
    (0x0206, "SHA512_224"),
    (0x0207, "SHA512_256"),
    (0x0208, "SHA3_224"),
    (0x0209, "SHA3_256"),
    (0x020A, "SHA3_384"),
    (0x020B, "SHA3_512"),
    (0x020C, "SM3"),
    (0x0301, "RSA_PKCS"),
    (0x0302, "RSA_X_509"),
    (0x0303, "RSA_PKCS_PSS"),
    (0x0304, "RSA_PKCS_OAEP"),
    (0x0305, "RSA_AES_KEY_WRAP"),
    (0x0311, "SHA1_RSA_PKCS"),
    (0x0312, "SHA224_RSA_PKCS"),
    (0x0313, "SHA256_RSA_PKCS"),
    (0x0314, "SHA384_RSA_PKCS"),
    (0x0315, "SHA512_RSA_PKCS"),
    (0x0316, "SHA512_224_RSA_PKCS"),
    (0x0317, "SHA512_256_RSA_PKCS"),
    (0x0318, "SHA3_224_RSA_PKCS"),
    (0x0319, "SHA3_256_RSA_PKCS"),
    (0x031A, "SHA3_384_RSA_PKCS"),
    (0x031B, "SHA3_512_RSA_PKCS"),
    (0x031C, "SM3_RSA_PKCS"),
    (0x0321, "SHA1_RSA_PKCS_PSS"),
    (0x0322, "SHA224_RSA_PKCS_PSS"),
    (0x0323, "SHA256_RSA_PKCS_PSS"),
    (0x0324, "SHA384_RSA_PKCS_PSS"),
    (0x0325, "SHA512_RSA_PKCS_PSS"),
    (0x0326, "SHA512_224_RSA_PKCS_PSS"),
    (0x0327, "SHA512_256_RSA_PKCS_PSS"),
    (0x0328, "SHA3_224_RSA_PKCS_PSS"),
    (0x0329, "SHA3_256_RSA_PKCS_PSS"),
    (0x032A, "SHA3_384_RSA_PKCS_PSS"),
    (0x032B, "SHA3_512_RSA_PKCS_PSS"),
    (0x032C, "SM3_RSA_PKCS_PSS"),
    (0x0401, "ECDSA"),
    (0x0402, "EDDSA"),
    (0x0403, "EDDSA_PH"),
    (0x0404, "ECDH1_DERIVE"),
    (0x0405, "ECDH_AES_KEY_WRAP"),
    (0x0406, "ECDSA_LOW_S"),
    (0x0407, "ECDSA_RECOVERABLE"),
    (0x0411, "ECDSA_SHA1"),
    (0x0412, "ECDSA_SHA224"),
    (0x0413, "ECDSA_SHA256"),
    (0x0414, "ECDSA_SHA384"),
    (0x0415, "ECDSA_SHA512"),
    (0x0416, "ECDSA_SHA512_224"),
    (0x0417, "ECDSA_SHA512_256"),
    (0x0418, "ECDSA_SHA3_224"),
    (0x0419, "ECDSA_SHA3_256"),
    (0x041A, "ECDSA_SHA3_384"),
    (0x041B, "ECDSA_SHA3_512"),
    (0x041C, "ECDSA_SM3"),
    (0x0423, "ECDSA_LOW_S_SHA256"),
    (0x042D, "ECDSA_LOW_S_KECCAK256"),
    (0x0433, "ECDSA_RECOVERABLE_SHA256"),
    (0x043D, "ECDSA_RECOVERABLE_KECCAK256"),
    (0x0501, "SM2"),
    (0x0502, "SM3_SM2"),
    (0x0503, "SM3_SM2_DER"),
    (0x0504, "SM2_ENCRYPT"),
    (0x0601, "AES_ECB"),
    (0x0602, "AES_CBC"),
    (0x0603, "AES_CBC_PAD"),
    (0x0604, "AES_CTS"),
    (0x0605, "AES_CTR"),
    (0x0606, "AES_OFB"),
    (0x0607, "AES_CFB1"),
    (0x0608, "AES_CFB8"),
    (0x0609, "AES_CFB128"),
    (0x060A, "AES_GCM"),
    (0x060B, "AES_CCM"),
    (0x060C, "AES_XTS"),
    (0x060D, "AES_KEY_WRAP"),
    (0x060E, "AES_KEY_WRAP_KWP"),
    (0x060F, "AES_FF1"),
    (0x0701, "SM4_ECB"),
    (0x0702, "SM4_CBC"),
    (0x0703, "SM4_CBC_PAD"),
    (0x0704, "SM4_CTS"),
    (0x0705, "SM4_CTR"),
    (0x0706, "SM4_OFB"),
    (0x0707, "SM4_CFB1"),
    (0x0708, "SM4_CFB8"),
    (0x0709, "SM4_CFB128"),
    (0x070A, "SM4_GCM"),
    (0x070B, "SM4_CCM"),
    (0x070C, "SM4_XTS"),
    (0x070D, "SM4_KEY_WRAP"),
    (0x070E, "SM4_KEY_WRAP_KWP"),
    (0x070F, "SM4_FF1"),
    (0x0801, "CHACHA20_POLY1305"),
    (0x0901, "AES_CMAC"),
    (0x0902, "SM4_CMAC"),
    (0x0903, "AES_GMAC"),
    (0x0911, "SHA1_HMAC"),
    (0x0912, "SHA224_HMAC"),
    (0x0913, "SHA256_HMAC"),
    (0x0914, "SHA384_HMAC"),
    (0x0915, "SHA512_HMAC"),
    (0x0916, "SHA512_224_HMAC"),
    (0x0917, "SHA512_256_HMAC"),
    (0x0918, "SHA3_224_HMAC"),
    (0x0919, "SHA3_256_HMAC"),
    (0x091A, "SHA3_384_HMAC"),
    (0x091B, "SHA3_512_HMAC"),
    (0x091C, "SM3_HMAC"),
    (0x0A01, "HKDF_DERIVE"),
    (0x0A02, "HKDF_DATA"),
    (0x0A03, "SP800_108_COUNTER_KDF"),
    (0x0A04, "SP800_108_FEEDBACK_KDF"),
    (0x0A05, "SP800_108_DOUBLE_PIPELINE_KDF"),
    (0x0A06, "PKCS5_PBKD2"),
    (0x0A07, "CONCATENATE_BASE_AND_KEY"),
    (0x0A08, "CONCATENATE_BASE_AND_DATA"),
    (0x0A09, "CONCATENATE_DATA_AND_BASE"),
    (0x0A0A, "XOR_BASE_AND_DATA"),
    (0x0A0B, "EXTRACT_KEY_FROM_KEY"),
    (0x0A0C, "PUB_KEY_FROM_PRIV_KEY"),
    (0x0A0D, "AES_ECB_ENCRYPT_DATA"),
    (0x0A0E, "AES_CBC_ENCRYPT_DATA"),
    (0x0A0F, "SM4_ECB_ENCRYPT_DATA"),
    (0x0A10, "SM4_CBC_ENCRYPT_DATA"),
    (0x0B01, "DH_PKCS_DERIVE"),
    (0x0C01, "TLS_PRE_MASTER_KEY_GEN"),
    (0x0C02, "TLS12_MASTER_KEY_DERIVE"),
    (0x0C03, "TLS12_MASTER_KEY_DERIVE_DH"),
    (0x0C04, "TLS12_EXTENDED_MASTER_KEY_DERIVE"),
    (0x0C05, "TLS12_EXTENDED_MASTER_KEY_DERIVE_DH"),
    (0x0C06, "TLS12_KEY_SAFE_DERIVE"),
    (0x0C07, "TLS12_KEY_AND_MAC_DERIVE"),
    (0x0C08, "TLS_KDF"),
    (0x0C09, "TLS_MAC"),
    (0x0D01, "ML_KEM"),
    (0x0D02, "ML_DSA"),
    (0x0D03, "SLH_DSA"),
    (0x0D04, "HASH_ML_DSA"),
    (0x0D05, "HASH_SLH_DSA"),
    (0x0D12, "HASH_ML_DSA_SHA224"),
    (0x0D13, "HASH_ML_DSA_SHA256"),
    (0x0D14, "HASH_ML_DSA_SHA384"),
    (0x0D15, "HASH_ML_DSA_SHA512"),
    (0x0D16, "HASH_ML_DSA_SHA512_224"),
    (0x0D17, "HASH_ML_DSA_SHA512_256"),
    (0x0D18, "HASH_ML_DSA_SHA3_224"),
    (0x0D19, "HASH_ML_DSA_SHA3_256"),
    (0x0D1A, "HASH_ML_DSA_SHA3_384"),
    (0x0D1B, "HASH_ML_DSA_SHA3_512"),
    (0x0D1D, "HASH_ML_DSA_SHAKE128"),
    (0x0D1E, "HASH_ML_DSA_SHAKE256"),
    (0x0D22, "HASH_SLH_DSA_SHA224"),
    (0x0D23, "HASH_SLH_DSA_SHA256"),
    (0x0D24, "HASH_SLH_DSA_SHA384"),
    (0x0D25, "HASH_SLH_DSA_SHA512"),
    (0x0D26, "HASH_SLH_DSA_SHA512_224"),
    (0x0D27, "HASH_SLH_DSA_SHA512_256"),
    (0x0D28, "HASH_SLH_DSA_SHA3_224"),
    (0x0D29, "HASH_SLH_DSA_SHA3_256"),
    (0x0D2A, "HASH_SLH_DSA_SHA3_384"),
    (0x0D2B, "HASH_SLH_DSA_SHA3_512"),
    (0x0D2D, "HASH_SLH_DSA_SHAKE128"),
    (0x0D2E, "HASH_SLH_DSA_SHAKE256"),
    (0x0E01, "NATIVE_AES_256_GCM"),
    (0x0E02, "NATIVE_CHACHA20_POLY1305"),
    (0x0E03, "NATIVE_SM4_GCM"),
    (0x0E04, "NATIVE_DETERMINISTIC_AES_SIV"),
    (0x0F01, "BIP32_SECP256K1_DERIVE"),
    (0x0F02, "SLIP10_P256_DERIVE"),
    (0x0F03, "SLIP10_ED25519_DERIVE"),
];

/// Room for the mechanisms and as much again, so that most are found at the first look.
const SLOTS: usize = 512;

/// Positions in [`MECHANISMS`], one more each, by hash of the name; 0 is empty.
static INDEX: [u16; SLOTS] = index();

/// The number of the mechanism with a name, [`UNKNOWN`] where it has none.
#[must_use]
pub fn mechanism_number(name: &str) -> u32 {
    let mut slot = hash(name.as_bytes());
    loop {
        let position = INDEX.get(slot).copied().unwrap_or(0);
        let Some(found) = usize::from(position).checked_sub(1).and_then(|p| MECHANISMS.get(p)) else { return UNKNOWN };
        if found.1 == name {
            return found.0;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The name of the mechanism with a number.
#[must_use]
pub fn mechanism_name(number: u32) -> Option<&'static str> {
    MECHANISMS.binary_search_by_key(&number, |(n, _)| *n).ok().and_then(|at| MECHANISMS.get(at)).map(|(_, name)| *name)
}

/// A slot for a name. Names differ in their ends or their lengths, so that nothing else is looked at.
const fn hash(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (short(name), 0),
    };
    let mixed = (first ^ last.rotate_left(23) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 55) as usize
}

/// Fewer than eight bytes as a number.
const fn short(mut name: &[u8]) -> u64 {
    let mut number = 0;
    while let [byte, rest @ ..] = name {
        number = number << 8 | *byte as u64;
        name = rest;
    }
    number
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a panic is an error of the build")]
const fn index() -> [u16; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut at = 0;
    while at < MECHANISMS.len() {
        let mut slot = hash(MECHANISMS[at].1.as_bytes());
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = at as u16 + 1;
        at += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::mechanism::Hash;

    /// String literals of the sources, tests left out, that look like names of mechanisms.
    fn names_in(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
                let literals = line.split('"').skip(1).step_by(2);
                let named = |l: &&str| {
                    l.starts_with(|c: char| c.is_ascii_uppercase())
                        && l.len() > 2
                        && l.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
                };
                found.extend(literals.filter(named).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_name_that_the_core_gives_a_mechanism_has_a_number() {
        let mut found = BTreeSet::new();
        names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mechanism"), &mut found);
        // Names of curves, ciphers and key types that are no mechanism's name as well.
        let others = ["AES", "HKDF", "HMAC", "RSA", "SM4", "X448", "X25519"].map(str::to_owned);
        let known: BTreeSet<String> = MECHANISMS.iter().map(|(_, name)| (*name).to_owned()).collect();
        let unnumbered: Vec<_> =
            found.difference(&known).filter(|n| !others.contains(n)).filter(|n| !n.starts_with("SHAKE")).collect();
        assert_eq!(unnumbered, Vec::<&String>::new());
        let vanished: Vec<_> = known.difference(&found).collect();
        assert_eq!(vanished, Vec::<&String>::new(), "a number stays, but its name must be one of the core's");
    }

    #[test]
    fn numbers_and_names_are_unique_and_lead_to_each_other() {
        assert!(MECHANISMS.is_sorted_by(|a, b| a.0 < b.0));
        for (number, name) in MECHANISMS {
            assert_eq!(mechanism_number(name), *number);
            assert_eq!(mechanism_name(*number), Some(*name));
        }
        for name in ["", "A", "RSA", "RSA_PKCS_", "a name that nobody gave"] {
            assert_eq!(mechanism_number(name), UNKNOWN);
        }
        for (number, found) in ACTIONS {
            assert_eq!(action_number(*found), *number);
            assert_eq!(action(*number), Some(*found));
        }
    }

    #[test]
    fn key_types_have_the_numbers_beside_their_names() {
        use KeyType as K;
        let all = [
            K::Rsa,
            K::Ec,
            K::EcEdwards,
            K::EcMontgomery,
            K::Sm2,
            K::Dh,
            K::MlDsa,
            K::MlKem,
            K::SlhDsa,
            K::Aes,
            K::AesXts,
            K::ChaCha20,
            K::Sm4,
            K::GenericSecret,
            K::Hmac(Hash::Sha256),
            K::Hkdf,
        ];
        let listed: Vec<_> = all.iter().map(|t| (key_type_number(*t), t.name())).collect();
        assert_eq!(listed, KEY_TYPES);
    }

    #[test]
    fn the_document_lists_every_number() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-abi.md");
        let text = std::fs::read_to_string(document).unwrap();
        for (number, action) in ACTIONS {
            assert!(text.contains(&format!("| {number} | `{}` |", action.name())), "{}", action.name());
        }
        for (number, name) in KEY_TYPES {
            assert!(text.contains(&format!("| {number} | `{name}` |")), "{name}");
        }
        for (number, name) in MECHANISMS {
            assert!(text.contains(&format!("`{number:#06X}` {name}").replace("0X", "0x")), "{number:#06x} {name}");
        }
    }
}
