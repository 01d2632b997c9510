//! Known answers of the standards: what the software engine itself is held against.

use libkmss::key::{Expected, KeyComponents, PublicComponents};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, Gcm, Hash, Hkdf, HkdfSalt, KdfMechanism, KeyType, MacMechanism,
    Mechanism,
};
use libkmss::secret::Secret;

use crate::behaviour::{Behaviour, Group};
use crate::bench::Bench;
use crate::side::Guard;
use crate::signing::ecdsa;
use crate::verdict::{Check, same};

/// The private key of RFC 6979, A.2.5.
pub(crate) const P256_SCALAR: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
/// Its public key.
pub(crate) const P256_POINT: &str = "04\
    60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
/// Its signature over `sample` with SHA-256.
const P256_SIGNATURE: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
    f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let one = |group, name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(group, name, trial);
    vec![
        one(Group::Symmetric, "AES_ECB gives the answers of FIPS 197", |bench| {
            let short = ("000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a");
            let long = (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "8ea2b7ca516745bfeafc49904b496089",
            );
            for (key, answer) in [short, long] {
                let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
                encrypts(bench, KeyType::Aes, key, &how, "00112233445566778899aabbccddeeff", answer)?;
            }
            Ok(())
        }),
        one(Group::Symmetric, "AES_GCM gives the answer of its second test case", |bench| {
            let gcm = Gcm { iv: vec![0; 12].into(), aad: Vec::new(), tag_len: 16 };
            let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Gcm(gcm));
            let zeros = "00000000000000000000000000000000";
            let answer = "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf";
            encrypts(bench, KeyType::Aes, zeros, &how, zeros, answer)
        }),
        one(Group::Sm, "SM4_ECB gives the answer of GB/T 32907", |bench| {
            let same = "0123456789abcdeffedcba9876543210";
            let how = Mechanism::Cipher(BlockCipher::Sm4, CipherMode::Ecb);
            encrypts(bench, KeyType::Sm4, same, &how, same, "681edf34d206965e86b3e94f536e4246")
        }),
        one(Group::Macs, "SHA256_HMAC gives the answer of RFC 4231", |bench| {
            let how = MacMechanism::Hmac { hash: Hash::Sha256, len: 32 };
            // 4.7: the test case whose key no device finds too short.
            let answer = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
            let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
            macs(bench, KeyType::GenericSecret, &[0xaa; 131], how, data, answer)
        }),
        one(Group::Macs, "AES_CMAC gives the answer of RFC 4493", |bench| {
            let how = MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 };
            let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
            let data = hex("6bc1bee22e409f96e93d7e117393172a");
            macs(bench, KeyType::Aes, &key, how, &data, "070a16b46b4d4144f79bdd9dd04a287c")
        }),
        one(Group::Curves, "ECDSA_SHA256 verifies the signature of RFC 6979", |bench| {
            let point = PublicComponents::Ec { curve: Curve::P256, point: hex(P256_POINT) };
            let key = bench.tested.import_public(&point)?;
            Ok(bench.tested.verify(&key, &ecdsa(), &[b"sample"], &hex(P256_SIGNATURE))?)
        }),
        one(Group::Curves, "EDDSA gives the signature of RFC 8032", |bench| {
            let scalar = Secret::new(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
            let components = KeyComponents::EcPrivate { curve: Curve::Ed25519, scalar };
            let key = bench.tested.import(&components, Guard::Kept)?;
            let signature = bench.tested.sign(&key, &Mechanism::Ec(EcMechanism::PURE_EDDSA), &[&[0x72]])?;
            let answer = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
            same("the signature", &signature, &hex(answer))
        }),
        one(Group::Wrapping, "AES_KEY_WRAP gives the answer of RFC 3394", |bench| {
            let secret = |bytes: &str| KeyComponents::Secret { key_type: KeyType::Aes, value: Secret::new(hex(bytes)) };
            let wrapping = bench.tested.import(&secret("000102030405060708090a0b0c0d0e0f"), Guard::Kept)?;
            let target = bench.tested.import(&secret("00112233445566778899aabbccddeeff"), Guard::Wrappable)?;
            let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xa6; 8] });
            let wrapped = bench.tested.wrap(&wrapping, &how, &target)?;
            same("the wrapped key", &wrapped, &hex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"))
        }),
        one(Group::Derivation, "HKDF_DERIVE gives the answer of RFC 5869", hkdf),
    ]
}

fn encrypts(bench: &Bench<'_>, key_type: KeyType, key: &str, how: &Mechanism, plain: &str, answer: &str) -> Check {
    let components = KeyComponents::Secret { key_type, value: Secret::new(hex(key)) };
    let key = bench.tested.import(&components, Guard::Kept)?;
    same("the ciphertext", &bench.tested.encrypt(&key, how, &[&hex(plain)])?, &hex(answer))?;
    same("what comes back", &bench.tested.decrypt(&key, how, &[&hex(answer)])?, &hex(plain))
}

fn macs(bench: &Bench<'_>, key_type: KeyType, key: &[u8], how: MacMechanism, data: &[u8], answer: &str) -> Check {
    let components = KeyComponents::Secret { key_type, value: Secret::copy_of(key) };
    let key = bench.tested.import(&components, Guard::Kept)?;
    same("the MAC", &bench.tested.sign(&key, &Mechanism::Mac(how), &[data])?, &hex(answer))
}

/// RFC 5869, A.1.
fn hkdf(bench: &Bench<'_>) -> Check {
    let base = KeyComponents::Secret { key_type: KeyType::Hkdf, value: Secret::copy_of(&[0x0b; 22]) };
    let base = bench.tested.import(&base, Guard::Open)?;
    let salt = HkdfSalt::Bytes((0..=12).collect());
    let info = (0xf0..=0xf9).collect();
    let how = KdfMechanism::Hkdf(Hkdf { hash: Hash::Sha256, extract: true, expand: true, salt, info });
    let expected = Expected { key_type: KeyType::GenericSecret, len: Some(42) };
    let derived = bench.tested.derive(&base, &Mechanism::Kdf(how), expected)?;
    let answer = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    let components = KeyComponents::Secret { key_type: KeyType::GenericSecret, value: Secret::new(hex(answer)) };
    bench.same_secret("the derived key", &derived, &bench.reference.import(&components, Guard::Open)?)
}

/// The bytes of hex digits; of anything else what can be read.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
