//! The symmetric mechanisms beyond those of `pkcs11_encrypt.rs`, judged by the `openssl` command and published vectors.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, flag, module, raw, token, ulong};

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn feedback_modes_and_stealing_agree_with_openssl() {
    if built::only_kmss("feedback modes") {
        return;
    }
    let session = token("feedback").user();
    let judge = Judge::new();
    let iv: [u8; 16] = *b"0123456789abcdef";
    for size in [16, 24, 32] {
        let value: Vec<u8> = (0..size as u8).collect();
        let key = secret(&session, CKK_AES, &value);
        let bits = size * 8;
        for (name, mechanism, input) in [
            ("ofb", CKM_AES_OFB, MESSAGE),
            ("cfb", CKM_AES_CFB128, MESSAGE),
            ("cfb8", CKM_AES_CFB8, MESSAGE),
            ("cfb1", CKM_AES_CFB1, MESSAGE),
            ("cbc-cts", CKM_AES_CTS, MESSAGE),
            ("cbc-cts", CKM_AES_CTS, &MESSAGE[..33]),
            ("cbc-cts", CKM_AES_CTS, &MESSAGE[..64]),
            ("cbc-cts", CKM_AES_CTS, &MESSAGE[..16]),
        ] {
            let mechanism = Mech::bytes(mechanism, &iv);
            judge.file("in", input);
            judge.succeed(&format!("enc -aes-{bits}-{name} -K {} -iv {} -in in -out out", hex(&value), hex(&iv)));
            let expected = judge.read("out");
            assert_eq!(session.encrypt(mechanism.clone(), key, input).unwrap(), expected, "aes-{bits}-{name}");
            assert_eq!(session.decrypt(mechanism.clone(), key, &expected).unwrap(), input, "aes-{bits}-{name}");
            let parts = [&input[..5], &input[5..7], &input[7..]];
            assert_eq!(session.encrypt_parts(mechanism.clone(), key, &parts).unwrap(), expected, "{name} in parts");
            let parts = [&expected[..15], &expected[15..16], &expected[16..]];
            assert_eq!(session.decrypt_parts(mechanism, key, &parts).unwrap(), input, "{name} in parts");
        }
        let short = session.encrypt(Mech::bytes(CKM_AES_CTS, &iv), key, &MESSAGE[..15]).unwrap_err();
        assert_eq!(short.0, CKR_DATA_LEN_RANGE, "{short:?}");
    }
}

#[test]
fn gmac_agrees_with_openssl_and_takes_its_iv_in_two_forms() {
    if built::only_kmss("GMAC") {
        return;
    }
    let session = token("gmac").user();
    let judge = Judge::new();
    judge.file("in", MESSAGE);
    let key = secret(&session, CKK_AES, &[7; 16]);
    let iv = [5; 12];
    let (k, i) = (hex(&[7; 16]), hex(&iv));
    judge
        .succeed(&format!("mac -cipher AES-128-GCM -macopt hexkey:{k} -macopt hexiv:{i} -in in -binary -out mac GMAC"));
    let expected = judge.read("mac");
    let plain = Mech::bytes(CKM_AES_GMAC, &iv);
    assert_eq!(session.sign(plain.clone(), key, MESSAGE).unwrap(), expected);
    assert_eq!(session.sign_parts(plain.clone(), key, &[&MESSAGE[..9], &MESSAGE[9..]]).unwrap(), expected);
    session.verify(plain.clone(), key, MESSAGE, &expected).unwrap();
    let cut = Mech::gcm(&iv, b"", 96).named(CKM_AES_GMAC);
    assert_eq!(session.sign(cut.clone(), key, MESSAGE).unwrap(), expected[..12]);
    session.verify(cut, key, MESSAGE, &expected[..12]).unwrap();
    assert_eq!(session.verify(plain, key, b"other", &expected).unwrap_err().0, CKR_SIGNATURE_INVALID);
    let with_data = Mech::gcm(&iv, b"aad", 128).named(CKM_AES_GMAC);
    assert_eq!(session.sign(with_data, key, MESSAGE).unwrap_err().0, CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn ccm_gives_the_published_bytes_and_keeps_to_the_announced_length() {
    if built::only_kmss("CCM") {
        return;
    }
    let session = token("ccm").user();
    // SP 800-38C, example 2.
    let key = secret(&session, CKK_AES, &bytes("404142434445464748494a4b4c4d4e4f"));
    let nonce = bytes("1011121314151617");
    let aad = bytes("000102030405060708090a0b0c0d0e0f");
    let plain = bytes("202122232425262728292a2b2c2d2e2f");
    let sealed = bytes("d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd");
    let mechanism = Mech::ccm(&nonce, &aad, 6, 16);
    assert_eq!(session.encrypt(mechanism.clone(), key, &plain).unwrap(), sealed);
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed).unwrap(), plain);
    assert_eq!(session.encrypt_parts(mechanism.clone(), key, &[&plain[..3], &plain[3..]]).unwrap(), sealed);
    assert_eq!(session.decrypt_parts(mechanism.clone(), key, &[&sealed[..3], &sealed[3..]]).unwrap(), plain);
    assert_eq!(session.encrypt(mechanism.clone(), key, &plain[..15]).unwrap_err().0, CKR_DATA_LEN_RANGE);
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed[1..]).unwrap_err().0, CKR_ENCRYPTED_DATA_LEN_RANGE);
    let mut wrong = sealed;
    wrong[21] ^= 1;
    assert_eq!(session.decrypt(mechanism, key, &wrong).unwrap_err().0, CKR_ENCRYPTED_DATA_INVALID);
    for bad in [Mech::ccm(&[1; 6], b"", 16, 1), Mech::ccm(&[1; 14], b"", 16, 1), Mech::ccm(&[1; 12], b"", 5, 1)] {
        assert_eq!(session.encrypt_init(bad, key).unwrap_err().0, CKR_MECHANISM_PARAM_INVALID);
    }
    // A length near 2^63 is no reason to allocate.
    let absurd = Mech::ccm(&[1; 7], b"", 16, usize::MAX >> 1);
    assert_eq!(session.encrypt_init(absurd, key).unwrap_err().0, CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn chacha20_poly1305_gives_the_published_bytes() {
    if built::only_kmss("ChaCha20-Poly1305") {
        return;
    }
    let session = token("chacha").user();
    // RFC 8439, 2.8.2.
    let value: Vec<u8> = (0x80..0xa0).collect();
    let key = secret_for_ciphers(&session, CKK_CHACHA20, &value);
    let nonce = bytes("070000004041424344454647");
    let aad = bytes("50515253c0c1c2c3c4c5c6c7");
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let mechanism = Mech::chacha(&nonce, &aad);
    let sealed = session.encrypt(mechanism.clone(), key, plain).unwrap();
    assert_eq!(sealed[..16], bytes("d31a8d34648e60db7b86afbc53ef7ec2"));
    assert_eq!(sealed[plain.len()..], bytes("1ae10b594f09e26a7e902ecbd0600691"));
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed).unwrap(), plain);
    let parts = [&plain[..1], &plain[1..70], &plain[70..]];
    assert_eq!(session.encrypt_parts(mechanism.clone(), key, &parts).unwrap(), sealed);
    assert_eq!(session.decrypt_parts(mechanism.clone(), key, &[&sealed[..99], &sealed[99..]]).unwrap(), plain);
    let made = session.generate(CKM_CHACHA20_KEY_GEN, &[flag(CKA_TOKEN, false)]).unwrap();
    assert_eq!(session.get_ulong(made, CKA_VALUE_LEN).unwrap(), 32);
    assert_eq!(session.decrypt(mechanism, made, &sealed).unwrap_err().0, CKR_ENCRYPTED_DATA_INVALID);
    // Keys travel under it.
    let inner = secret(&session, CKK_AES, &[6; 16]);
    let wrapped = session.wrap(Mech::chacha(&nonce, b"label"), key, inner).unwrap();
    assert_eq!(wrapped.len(), 32);
    let back = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ];
    let twin = session.unwrap(Mech::chacha(&nonce, b"label"), key, &wrapped, &back).unwrap();
    assert_eq!(session.get(twin, CKA_VALUE).unwrap(), [6; 16]);
    let other = session.unwrap(Mech::chacha(&nonce, b"other"), key, &wrapped, &back).unwrap_err();
    assert_eq!(other.0, CKR_WRAPPED_KEY_INVALID, "{other:?}");
}

#[test]
fn xts_has_keys_of_its_own() {
    if built::only_kmss("XTS") {
        return;
    }
    let session = token("xts").user();
    // IEEE 1619-2007, vector 10.
    let value = bytes(concat!(
        "2718281828459045235360287471352662497757247093699959574966967627",
        "3141592653589793238462643383279502884197169399375105820974944592"
    ));
    let key = secret_for_ciphers(&session, CKK_AES_XTS, &value);
    let mut tweak = [0; 16];
    tweak[0] = 0xff;
    let plain: Vec<u8> = (0..512).map(|i| i as u8).collect();
    let mechanism = Mech::bytes(CKM_AES_XTS, &tweak);
    let sealed = session.encrypt(mechanism.clone(), key, &plain).unwrap();
    assert_eq!(sealed[..32], bytes("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"));
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed).unwrap(), plain);
    assert_eq!(session.encrypt_parts(mechanism.clone(), key, &[&plain[..7], &plain[7..]]).unwrap(), sealed);
    assert_eq!(session.encrypt(mechanism.clone(), key, &plain[..15]).unwrap_err().0, CKR_DATA_LEN_RANGE);
    let made = session.generate(CKM_AES_XTS_KEY_GEN, &[flag(CKA_TOKEN, false), ulong(CKA_VALUE_LEN, 64)]).unwrap();
    session.encrypt(mechanism.clone(), made, &plain).unwrap();
    let aes = secret(&session, CKK_AES, &[1; 32]);
    assert_eq!(session.encrypt_init(mechanism, aes).unwrap_err().0, CKR_KEY_TYPE_INCONSISTENT);
    assert_eq!(session.encrypt_init(Mech::new(CKM_AES_ECB), made).unwrap_err().0, CKR_KEY_TYPE_INCONSISTENT);
    let same = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES_XTS),
        flag(CKA_TOKEN, false),
        raw(CKA_VALUE, [5; 64]),
    ];
    assert_eq!(session.create(&same).unwrap_err().0, CKR_ATTRIBUTE_VALUE_INVALID);
}

#[test]
fn encrypted_data_becomes_a_key() {
    if built::only_kmss("derivation by encryption") {
        return;
    }
    let session = token("encrypt-data").user();
    let judge = Judge::new();
    let base = secret(&session, CKK_AES, &[3; 32]);
    let data = &MESSAGE[..32];
    judge.file("in", data);
    for (name, iv, option) in [("ecb", None, String::new()), ("cbc", Some([9; 16]), format!("-iv {}", hex(&[9; 16])))] {
        judge.succeed(&format!("enc -aes-256-{name} -nopad -K {} {option} -in in -out out", hex(&[3; 32])));
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            ulong(CKA_VALUE_LEN, 24),
            flag(CKA_TOKEN, false),
            flag(CKA_SENSITIVE, false),
            flag(CKA_EXTRACTABLE, true),
        ];
        let derived = session.derive(Mech::encrypt_data(iv, data), base, &template).unwrap();
        assert_eq!(session.get(derived, CKA_VALUE).unwrap(), judge.read("out")[..24], "{name}");
        let odd = session.derive(Mech::encrypt_data(iv, &data[..17]), base, &template).unwrap_err();
        assert_eq!(odd.0, CKR_MECHANISM_PARAM_INVALID, "{odd:?}");
        let short = session.derive(Mech::encrypt_data(iv, &data[..16]), base, &template).unwrap_err();
        assert_eq!(short.0, CKR_KEY_SIZE_RANGE, "{short:?}");
    }
}

#[test]
fn the_length_of_a_wrapped_key_is_told_without_wrapping_it() {
    if built::only_kmss("wrapped lengths") {
        return;
    }
    let token = token("wrap-length");
    let session = token.user();
    let aes = secret(&session, CKK_AES, &[5; 32]);
    let (public, _) = rsa(&session);
    let (ec, _) = pair(&session, CKM_EC_KEY_PAIR_GEN, kmss_tests::p11::curve::P521);
    let (x25519, _) = pair(&session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, kmss_tests::p11::curve::X25519);
    let inner = secret(&session, CKK_GENERIC_SECRET, &[6; 21]);
    let whole = secret(&session, CKK_AES, &[6; 16]);
    let ask = |mechanism: &Mech, with, key, room: Option<usize>| {
        let mut buffer = vec![0_u8; room.unwrap_or(0)];
        let mut length = buffer.len() as CK_ULONG;
        let at = if room.is_some() { buffer.as_mut_ptr() } else { std::ptr::null_mut() };
        let code = mechanism.with(|m| {
            // SAFETY: mechanism and buffer outlive the call.
            unsafe { (*module().list).C_WrapKey.unwrap()(session.handle, m, with, key, at, &raw mut length) }
        });
        (code, length as usize)
    };
    for (mechanism, with, key) in [
        (Mech::new(CKM_AES_KEY_WRAP_KWP), aes, inner),
        (Mech::new(CKM_AES_KEY_WRAP), aes, whole),
        (Mech::bytes(CKM_AES_CBC_PAD, &[1; 16]), aes, inner),
        (Mech::gcm(&[2; 12], b"", 96), aes, inner),
        (Mech::ccm(&[2; 12], b"", 8, 0), aes, inner),
        (Mech::new(CKM_AES_ECB), aes, whole),
        (Mech::new(CKM_RSA_PKCS), public, inner),
        (Mech::rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256), public, inner),
        (Mech::ecdh_aes(256, CKD_SHA256_KDF, b"info"), ec, inner),
        (Mech::ecdh_aes(128, CKD_NULL, b""), x25519, inner),
    ] {
        let wrapped = session.wrap(mechanism.clone(), with, key).unwrap();
        assert_eq!(ask(&mechanism, with, key, None), (CKR_OK, wrapped.len()), "0x{:x}", mechanism.kind);
        let short = ask(&mechanism, with, key, Some(wrapped.len() - 1));
        assert_eq!(short, (CKR_BUFFER_TOO_SMALL, wrapped.len()), "0x{:x}", mechanism.kind);
    }
    // Of a private key the length is an upper bound.
    let extractable = [flag(CKA_TOKEN, false), flag(CKA_EXTRACTABLE, true)];
    let parameters = [raw(CKA_EC_PARAMS, kmss_tests::p11::curve::P256), flag(CKA_TOKEN, false)];
    let (_, private) = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &parameters, &extractable).unwrap();
    let kwp = Mech::new(CKM_AES_KEY_WRAP_KWP);
    let hybrid = Mech::rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256);
    for (mechanism, with) in [(&kwp, aes), (&hybrid, public)] {
        let wrapped = session.wrap(mechanism.clone(), with, private).unwrap();
        let (code, most) = ask(mechanism, with, private, None);
        assert!(code == CKR_OK && (wrapped.len()..wrapped.len() * 4).contains(&most), "{} {most}", wrapped.len());
    }
    let locked = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_EXTRACTABLE, false)]).unwrap();
    assert_eq!(ask(&kwp, aes, locked, None).0, CKR_KEY_UNEXTRACTABLE, "what would not be wrapped is not measured");
}

/// A key that can only encrypt and wrap.
fn secret_for_ciphers(session: &kmss_tests::p11::Session, kind: CK_KEY_TYPE, value: &[u8]) -> CK_OBJECT_HANDLE {
    let template =
        [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, kind), flag(CKA_TOKEN, false), raw(CKA_VALUE, value)];
    session.create(&template).unwrap()
}
