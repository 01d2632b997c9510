//! Deriving keys from secrets.

use libkmss::key::{Expected, KeyComponents};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Hash, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, KeyType, MacMechanism,
    Mechanism, NumberFormat, Pbkdf2,
};
use libkmss::secret::Secret;

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, generic};
use crate::side::Guard;
use crate::verdict::{Check, same};

/// The secret that everything comes from.
const BASE: [u8; 32] = [0x6b; 32];

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all = vec![
        derives("HKDF_DERIVE", KeyType::Hkdf, hkdf(true, true)),
        derives("HKDF_DERIVE that expands alone", KeyType::Hkdf, hkdf(false, true)),
        derives("HKDF_DERIVE from a generic secret", KeyType::GenericSecret, hkdf(true, true)),
        derives("SP800_108_COUNTER_KDF", KeyType::GenericSecret, kbkdf(KbkdfMode::Counter)),
        derives("SP800_108_FEEDBACK_KDF", KeyType::GenericSecret, kbkdf(KbkdfMode::Feedback { iv: vec![1; 32] })),
        derives("SP800_108_DOUBLE_PIPELINE_KDF", KeyType::GenericSecret, kbkdf(KbkdfMode::DoublePipeline)),
        derives("CONCATENATE_BASE_AND_DATA", KeyType::GenericSecret, KdfMechanism::AppendData(secret(b"after"))),
        derives("CONCATENATE_DATA_AND_BASE", KeyType::GenericSecret, KdfMechanism::PrependData(secret(b"before"))),
        derives("XOR_BASE_AND_DATA", KeyType::GenericSecret, KdfMechanism::Xor(secret(&[0x55; 32]))),
        derives("EXTRACT_KEY_FROM_KEY", KeyType::GenericSecret, KdfMechanism::Extract { first_bit: 8 }),
        derives("AES_ECB_ENCRYPT_DATA", KeyType::Aes, encrypted(None)),
        derives("AES_CBC_ENCRYPT_DATA", KeyType::Aes, encrypted(Some([8; 16]))),
    ];
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Derivation, name, trial);
    all.extend([
        one("PKCS5_PBKD2 makes the key of a password", pbkdf2),
        one("a key that was derived for AES encrypts", derived_for_aes),
    ]);
    all
}

fn derives(label: &str, base: KeyType, how: KdfMechanism) -> Behaviour {
    let how = Mechanism::Kdf(how);
    Behaviour::new(Group::Derivation, format!("{label} derives as the software engine does"), move |bench| {
        let components = KeyComponents::Secret { key_type: base, value: Secret::copy_of(&BASE) };
        let (tested, reference) =
            (bench.tested.import(&components, Guard::Open)?, bench.reference.import(&components, Guard::Open)?);
        let len = if matches!(how, Mechanism::Kdf(KdfMechanism::Extract { .. })) { 16 } else { 32 };
        let derived = bench.tested.derive(&tested, &how, generic(len))?;
        bench.same_secret("the derived key", &derived, &bench.reference.derive(&reference, &how, generic(len))?)
    })
}

fn hkdf(extract: bool, expand: bool) -> KdfMechanism {
    let salt = if extract { HkdfSalt::Bytes(b"salt".to_vec()) } else { HkdfSalt::Zeros };
    KdfMechanism::Hkdf(Hkdf { hash: Hash::Sha256, extract, expand, salt, info: b"info".to_vec() })
}

fn kbkdf(mode: KbkdfMode) -> KdfMechanism {
    let counter = KbkdfInput::Counter(NumberFormat { little_endian: false, len: 4 });
    let fixed = KbkdfInput::Bytes(b"label\0context".to_vec());
    let input = match mode {
        KbkdfMode::Counter => vec![counter, fixed],
        KbkdfMode::Feedback { .. } | KbkdfMode::DoublePipeline => vec![KbkdfInput::Previous, counter, fixed],
    };
    let prf = MacMechanism::Hmac { hash: Hash::Sha256, len: 32 };
    KdfMechanism::Kbkdf(Kbkdf { mode, prf, input })
}

fn encrypted(iv: Option<[u8; 16]>) -> KdfMechanism {
    KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv, data: vec![0x2d; 32] }
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::copy_of(bytes)
}

fn pbkdf2(bench: &Bench<'_>) -> Check {
    let how = Mechanism::Kdf(KdfMechanism::Pbkdf2(Pbkdf2 {
        hash: Hash::Sha256,
        password: secret(b"correct horse"),
        salt: b"battery staple".to_vec(),
        iterations: 1000,
    }));
    let made = bench.tested.make(&how, generic(32))?;
    bench.same_secret("the key", &made, &bench.reference.make(&how, generic(32))?)
}

fn derived_for_aes(bench: &Bench<'_>) -> Check {
    let components = KeyComponents::Secret { key_type: KeyType::GenericSecret, value: Secret::copy_of(&BASE) };
    let how = Mechanism::Kdf(hkdf(true, true));
    let expected = Expected { key_type: KeyType::Aes, len: Some(32) };
    let ecb = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let mut ciphertexts = Vec::new();
    for side in [&bench.tested, &bench.reference] {
        let base = side.import(&components, Guard::Open)?;
        let key = side.derive(&base, &how, expected)?;
        ciphertexts.push(side.encrypt(&key, &ecb, &[&[1; 16]])?);
    }
    same("the ciphertext", &ciphertexts.first(), &ciphertexts.last())
}
