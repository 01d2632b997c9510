//! What is sent is what arrives, and nothing else is believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use libkmss::error::ErrorKind;
use libkmss::key::{KeyComponents, KeySpec, Lifecycle, PublicComponents};
use libkmss::mechanism::{
    BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Ctr, Curve, DhGroup, DhMechanism, EcMechanism, EcdhKdf, Gcm, Hash,
    HdDerivation, Hedge, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, KeyType, LedgerDigest,
    MacMechanism, MasterBinding, Mechanism, MlDsaSet, MlKemSet, NumberFormat, Oaep, Pbkdf2, PqcHash, PqcInput,
    PqcMechanism, PqcSet, PqcSignature, Pss, Randoms, RsaMechanism, Segment, SlhDsaSet, Sm2Mechanism, TlsMechanism,
};
use libkmss::secret::Secret;
use libkmss::tenant::ObjectId;
use prost::Message;

use super::Numbered;
use crate::proto;

fn secret(text: &str) -> Secret {
    Secret::copy_of(text.as_bytes())
}

/// One mechanism of every kind, with parameters that differ from each other.
fn mechanisms() -> Vec<Mechanism> {
    let oaep = || Oaep { hash: Hash::Sha256, mgf: Hash::Sha1, label: b"label".to_vec() };
    let pss = Pss { hash: Hash::Sha384, mgf: Hash::Sha512, salt_len: 48 };
    let randoms = || Randoms { client: vec![1; 32], server: vec![2; 32] };
    let hkdf = |salt| Hkdf { hash: Hash::Sha3_256, extract: true, expand: false, salt, info: b"info".to_vec() };
    let format = NumberFormat { little_endian: true, len: 4 };
    let full = MacMechanism::Hmac { hash: Hash::Sha256, len: 32 };
    let (iv, aad) = ([3; 16], vec![9; 5]);
    let mut all = vec![
        Mechanism::Rsa(RsaMechanism::Pkcs),
        Mechanism::Rsa(RsaMechanism::X509),
        Mechanism::Rsa(RsaMechanism::Pss { pss, message: true }),
        Mechanism::Rsa(RsaMechanism::Oaep(oaep())),
        Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep: oaep(), aes_len: 24 }),
        Mechanism::Ec(EcMechanism::Ecdsa { hash: None }),
        Mechanism::Ec(EcMechanism::EcdsaLedger { digest: LedgerDigest::Keccak256, recoverable: true }),
        Mechanism::Ec(EcMechanism::EcdsaLedger { digest: LedgerDigest::Ready, recoverable: false }),
        Mechanism::Hd(HdDerivation::new(Curve::P256, "m/44'/60'/0'/0/7".parse().unwrap()).unwrap()),
        Mechanism::Ec(EcMechanism::EdDsa { prehash: true, context: b"c".to_vec() }),
        Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: vec![4; 65], shared_info: Vec::new() }),
        Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::X963(Hash::Sha1), public: vec![4], shared_info: vec![1] }),
        Mechanism::Ec(EcMechanism::AesKeyWrap {
            kdf: EcdhKdf::Concatenation(Hash::Sm3),
            shared_info: vec![1, 2],
            aes_len: 32,
        }),
        Mechanism::Sm2(Sm2Mechanism::SignDigest),
        Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: b"me".to_vec() }),
        Mechanism::Sm2(Sm2Mechanism::SignSm3Der { id: Vec::new() }),
        Mechanism::Sm2(Sm2Mechanism::Encrypt),
        Mechanism::ChaCha20Poly1305(ChaCha20Poly1305 { nonce: [7; 12], aad: aad.clone() }),
        Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Sm4, len: 8 }),
        Mechanism::Mac(MacMechanism::Gmac { iv: vec![1; 12], len: 16 }),
        Mechanism::Kdf(KdfMechanism::Hkdf(hkdf(HkdfSalt::Zeros))),
        Mechanism::Kdf(KdfMechanism::HkdfData(hkdf(HkdfSalt::Bytes(vec![5])))),
        Mechanism::Kdf(KdfMechanism::Hkdf(hkdf(HkdfSalt::Key))),
        Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf {
            mode: KbkdfMode::Counter,
            prf: full.clone(),
            input: vec![
                KbkdfInput::Counter(format),
                KbkdfInput::Bytes(vec![0]),
                KbkdfInput::Key(3),
                KbkdfInput::Length { of_rounds: true, format },
            ],
        })),
        Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf {
            mode: KbkdfMode::Feedback { iv: vec![1] },
            prf: full.clone(),
            input: vec![KbkdfInput::Previous],
        })),
        Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf {
            mode: KbkdfMode::DoublePipeline,
            prf: MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 },
            input: vec![KbkdfInput::Previous],
        })),
        Mechanism::Kdf(KdfMechanism::Pbkdf2(Pbkdf2 {
            hash: Hash::Sha512,
            password: secret("password"),
            salt: vec![8; 16],
            iterations: 1000,
        })),
        Mechanism::Kdf(KdfMechanism::ConcatenateKey),
        Mechanism::Kdf(KdfMechanism::AppendData(secret("a"))),
        Mechanism::Kdf(KdfMechanism::PrependData(secret("b"))),
        Mechanism::Kdf(KdfMechanism::Xor(secret("c"))),
        Mechanism::Kdf(KdfMechanism::Extract { first_bit: 17 }),
        Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv: Some(iv), data: vec![1; 32] }),
        Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Sm4, iv: None, data: vec![1; 16] }),
        Mechanism::Kdf(KdfMechanism::PublicKey),
        Mechanism::Dh(DhMechanism::Derive { public: vec![6; 256] }),
        Mechanism::Tls(TlsMechanism::Premaster { version: [3, 3] }),
        Mechanism::Tls(TlsMechanism::Master {
            hash: Hash::Sha256,
            binding: MasterBinding::Randoms(randoms()),
            versioned: true,
        }),
        Mechanism::Tls(TlsMechanism::Master {
            hash: Hash::Sha384,
            binding: MasterBinding::Handshake(vec![1; 48]),
            versioned: false,
        }),
        Mechanism::Tls(TlsMechanism::KeyBlock {
            hash: Hash::Sha256,
            randoms: randoms(),
            mac_len: 32,
            key_len: 16,
            iv_len: None,
        }),
        Mechanism::Tls(TlsMechanism::KeyBlock {
            hash: Hash::Sha256,
            randoms: randoms(),
            mac_len: 0,
            key_len: 32,
            iv_len: Some(4),
        }),
        Mechanism::Tls(TlsMechanism::Export {
            hash: Hash::Sha256,
            label: b"EXPORTER".to_vec(),
            randoms: randoms(),
            context: Some(Vec::new()),
        }),
        Mechanism::Tls(TlsMechanism::Finished { hash: Hash::Sha256, len: 12, server: true }),
        Mechanism::Pqc(PqcMechanism::MlKem),
        Mechanism::Pqc(PqcMechanism::SlhDsa(PqcSignature::plain(PqcInput::Message))),
        Mechanism::Pqc(PqcMechanism::MlDsa(
            PqcSignature::new(PqcInput::Digest(PqcHash::Sha256), Hedge::Required, vec![1]).unwrap(),
        )),
    ];
    let modes = [
        CipherMode::Ecb,
        CipherMode::Cbc { iv },
        CipherMode::CbcPad { iv },
        CipherMode::CbcCs1 { iv },
        CipherMode::Ctr(Ctr { counter_bits: 32, block: iv }),
        CipherMode::Ofb { iv },
        CipherMode::Cfb { segment: Segment::Bit, iv },
        CipherMode::Cfb { segment: Segment::Byte, iv },
        CipherMode::Cfb { segment: Segment::Block, iv },
        CipherMode::Gcm(Gcm { iv: vec![1; 12].into(), aad: aad.clone(), tag_len: 16 }),
        CipherMode::Ccm(Ccm { nonce: vec![1; 13], aad, tag_len: 8, data_len: Some(3) }),
        CipherMode::Xts { tweak: iv },
        CipherMode::KeyWrap { iv: [0xa6; 8] },
        CipherMode::KeyWrapPad,
    ];
    for cipher in [BlockCipher::Aes, BlockCipher::Sm4] {
        all.extend(modes.iter().map(|mode| Mechanism::Cipher(cipher, mode.clone())));
    }
    for hash in Hash::ALL {
        all.push(Mechanism::Digest(hash));
        all.push(Mechanism::Rsa(RsaMechanism::PkcsHash(hash)));
        all.push(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) }));
        all.push(Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() - 1 }));
    }
    for hash in PqcHash::ALL {
        let signature = PqcSignature::new(PqcInput::Hashed(hash), Hedge::Deterministic, Vec::new()).unwrap();
        all.push(Mechanism::Pqc(PqcMechanism::MlDsa(signature)));
    }
    all.extend(KeyType::ALL.map(Mechanism::Generate));
    all.extend(Hash::ALL.map(|hash| Mechanism::Generate(KeyType::Hmac(hash))));
    all
}

#[test]
fn every_mechanism_arrives_as_it_was_sent() {
    for mechanism in mechanisms() {
        let bytes = proto::Mechanism::from(&mechanism).encode_to_vec();
        let received = proto::Mechanism::decode(bytes.as_slice()).unwrap();
        assert_eq!(Mechanism::try_from(received).unwrap(), mechanism);
    }
}

#[test]
fn every_number_of_the_core_has_one_of_its_own_in_the_contract() {
    fn all<T: Numbered + Copy + PartialEq + std::fmt::Debug>(values: &[T]) {
        for value in values {
            assert_ne!(value.number(), 0, "{value:?}");
            assert_eq!(T::of(value.number()).unwrap(), *value);
        }
    }
    all(&Hash::ALL);
    all(&PqcHash::ALL);
    all(&KeyType::ALL);
    all(&Hash::ALL.map(KeyType::Hmac));
    all(&Curve::ALL);
    all(&DhGroup::ALL);
    all(&[MlDsaSet::MlDsa44, MlDsaSet::MlDsa65, MlDsaSet::MlDsa87].map(PqcSet::MlDsa));
    all(&[MlKemSet::MlKem512, MlKemSet::MlKem768, MlKemSet::MlKem1024].map(PqcSet::MlKem));
    all(&SlhDsaSet::ALL.map(PqcSet::SlhDsa));
}

#[test]
fn specifications_and_keys_arrive_as_they_were_sent() {
    let specs = [
        KeySpec::Rsa { bits: 3072, exponent: vec![1, 0, 1] },
        KeySpec::Ec(Curve::X448),
        KeySpec::Dh { group: DhGroup::Ffdhe2048, private_bits: Some(300) },
        KeySpec::Pqc(PqcSet::MlKem(MlKemSet::MlKem768)),
        KeySpec::Secret { key_type: KeyType::Aes, len: 32 },
    ];
    for spec in specs {
        assert_eq!(KeySpec::try_from(proto::KeySpec::from(&spec)).unwrap(), spec);
    }
    let s = secret;
    let keys = [
        KeyComponents::RsaPrivate {
            modulus: vec![1],
            exponent: vec![2],
            private_exponent: s("d"),
            prime_1: s("p"),
            prime_2: s("q"),
            exponent_1: s("e1"),
            exponent_2: s("e2"),
            coefficient: s("c"),
        },
        KeyComponents::EcPrivate { curve: Curve::Sm2, scalar: s("scalar") },
        KeyComponents::DhPrivate { group: DhGroup::Modp4096, value: s("x") },
        KeyComponents::PqcPrivate { set: PqcSet::MlDsa(MlDsaSet::MlDsa65), seed: s("seed"), value: s("") },
        KeyComponents::Secret { key_type: KeyType::Hmac(Hash::Sha256), value: s("secret") },
        KeyComponents::Public(PublicComponents::Rsa { modulus: vec![3], exponent: vec![1, 0, 1] }),
        KeyComponents::Public(PublicComponents::Ec { curve: Curve::P256, point: vec![4; 65] }),
        KeyComponents::Public(PublicComponents::Dh { group: DhGroup::Modp2048, value: vec![1] }),
        KeyComponents::Public(PublicComponents::Pqc { set: PqcSet::MlKem(MlKemSet::MlKem512), value: vec![0; 800] }),
    ];
    for key in keys {
        assert!(KeyComponents::try_from(proto::KeyComponents::from(&key)).unwrap() == key);
    }
}

#[test]
fn mechanisms_that_are_not_well_formed_are_refused() {
    use proto::mechanism::Kind;
    let cipher =
        |mode| Kind::Cipher(proto::CipherMechanism { cipher: proto::BlockCipher::Aes.into(), mode: Some(mode) });
    let gcm = |iv: usize, tag_len| {
        cipher(proto::cipher_mechanism::Mode::Gcm(proto::Gcm { iv: vec![0; iv], aad: Vec::new(), tag_len }))
    };
    let hmac = |len| {
        Kind::Mac(proto::MacMechanism { kind: Some(proto::mac_mechanism::Kind::Hmac(proto::Hash::Sha256.into())), len })
    };
    let pbkdf2 = |password: usize, iterations| {
        Kind::Kdf(proto::KdfMechanism {
            kind: Some(proto::kdf_mechanism::Kind::Pbkdf2(proto::Pbkdf2 {
                hash: proto::Hash::Sha256.into(),
                password: vec![1; password],
                salt: Vec::new(),
                iterations,
            })),
        })
    };
    let bad = [
        gcm(0, 16),
        gcm(257, 16),
        gcm(12, 0),
        gcm(12, 17),
        gcm(12, u32::MAX),
        cipher(proto::cipher_mechanism::Mode::CbcIv(vec![0; 15])),
        cipher(proto::cipher_mechanism::Mode::Ctr(proto::Ctr { counter_bits: 129, block: vec![0; 16] })),
        cipher(proto::cipher_mechanism::Mode::Cfb(proto::Cfb { segment: 77, iv: vec![0; 16] })),
        hmac(0),
        hmac(33),
        pbkdf2(8, 0),
        pbkdf2((1 << 16) + 1, 1),
        Kind::Digest(9999),
        Kind::Rsa(proto::RsaMechanism { kind: None }),
        Kind::Kdf(proto::KdfMechanism { kind: None }),
    ];
    for kind in bad {
        let refused = Mechanism::try_from(proto::Mechanism { kind: Some(kind) }).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::MechanismParameter);
    }
    let none = Mechanism::try_from(proto::Mechanism { kind: None }).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::MechanismUnsupported);
}

#[test]
fn identities_have_their_length() {
    assert_eq!(super::object_id(&[1; 16]).unwrap().0, [1; 16]);
    assert!(super::object_id(&[1; 15]).is_err() && super::request_id(&[1; 17]).is_err());
    assert_eq!(super::request_id(&[]).unwrap(), None);
}

#[test]
fn whose_material_a_copy_has_crosses_the_wire() {
    let copy = Lifecycle { material_of: Some(ObjectId([7; 16])), version: 3, ..Lifecycle::default() };
    assert_eq!(super::life::lifecycle((&copy).into()).unwrap(), copy);
    let short = proto::Lifecycle { material_of: Some(vec![7; 15]), ..(&copy).into() };
    assert!(super::life::lifecycle(short).is_err());
}
