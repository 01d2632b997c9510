//! Parameters as well-behaved and as hostile callers give them.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]

use std::ffi::c_void;
use std::ptr::null_mut;

use cryptoki_sys::*;
use libkmss::key::{AuditMode, KeyState, Protection, Usage};
use libkmss::mechanism::{CipherMode, EcdhKdf, Gcm, Hash, KeyType, Oaep, Pss};

use super::cipher::DEFAULT_KWP_IV;
use super::*;
use crate::raw::octet_string;

fn parsed(mechanism: CK_MECHANISM_TYPE, at: *const c_void, len: usize, verb: Verb) -> Result<Mechanism> {
    let raw = CK_MECHANISM { mechanism, pParameter: at.cast_mut(), ulParameterLen: len as CK_ULONG };
    // SAFETY: callers below give a parameter that is readable for its length, or a length that is refused first.
    unsafe { parse(&raw, verb, None, Profile::default()) }.map(|chosen| chosen.mechanism)
}

fn with<T>(mechanism: CK_MECHANISM_TYPE, parameter: &T, verb: Verb) -> Result<Mechanism> {
    parsed(mechanism, (&raw const *parameter).cast(), size_of::<T>(), verb)
}

fn without(mechanism: CK_MECHANISM_TYPE, verb: Verb) -> Result<Mechanism> {
    parsed(mechanism, null_mut(), 0, verb)
}

fn gcm(iv: &mut [u8], aad: &mut [u8]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvBits: 0,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: aad.len() as CK_ULONG,
        ulTagBits: 128,
    }
}

#[test]
fn a_mechanism_is_refused_for_a_verb_it_lacks() {
    assert_eq!(without(CKM_SHA256, Verb::Sign), Err(Rv(CKR_MECHANISM_INVALID)));
    assert_eq!(without(CKM_ECDSA, Verb::Encrypt), Err(Rv(CKR_MECHANISM_INVALID)));
    assert_eq!(without(0xDEAD_BEEF, Verb::Sign), Err(Rv(CKR_MECHANISM_INVALID)));
}

#[test]
fn every_mechanism_refuses_a_parameter_of_absurd_length() {
    let byte = 0_u8;
    for number in Profile::default().list() {
        for len in [1, 3, 4097, usize::MAX, usize::MAX / 2 + 1] {
            for verb in [Verb::Sign, Verb::Encrypt, Verb::Derive, Verb::Wrap, Verb::Digest, Verb::Generate] {
                // Lengths up to 4097 are only given with a null pointer, so that nothing may be read.
                let at = if len > 4097 { (&raw const byte).cast() } else { null_mut() };
                assert!(parsed(number, at, len, verb).is_err(), "{number:#x} {len}");
            }
        }
    }
}

#[test]
fn a_key_of_another_type_is_refused() {
    let key = Key {
        name: String::new(),
        origin: String::new(),
        class: libkmss::key::KeyClass::Private,
        key_type: KeyType::Ec,
        usage: Usage::default(),
        protection: Protection::default(),
        state: KeyState::Active,
        allowed_mechanisms: Vec::new(),
        copy_of: Vec::new(),
        tags: Vec::new(),
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: libkmss::key::Lifecycle::default(),
        metadata: libkmss::key::Metadata::default(),
        start: None,
        end: None,
        primary: 1,
        versions: Vec::new(),
    };
    let raw = CK_MECHANISM { mechanism: CKM_RSA_PKCS, pParameter: null_mut(), ulParameterLen: 0 };
    let refused = unsafe { parse(&raw, Verb::Sign, Some(&key), Profile::default()) };
    assert_eq!(refused, Err(Rv(CKR_KEY_TYPE_INCONSISTENT)));
    let raw = CK_MECHANISM { mechanism: CKM_ECDSA, ..raw };
    let chosen = unsafe { parse(&raw, Verb::Sign, Some(&key), Profile::default()) }.unwrap();
    assert_eq!(chosen.number, Some(0x1041));
}

#[test]
fn gcm_takes_consistent_lengths_only() {
    let (mut iv, mut aad) = ([7; 12], [9; 5]);
    let good = gcm(&mut iv, &mut aad);
    let expected = Mechanism::Cipher(
        BlockCipher::Aes,
        CipherMode::Gcm(Gcm { iv: vec![7; 12].into(), aad: vec![9; 5], tag_len: 16 }),
    );
    assert_eq!(with(CKM_AES_GCM, &good, Verb::Encrypt), Ok(expected.clone()));
    for unused in [0, 96, 95, CK_ULONG::MAX] {
        assert_eq!(with(CKM_AES_GCM, &CK_GCM_PARAMS { ulIvBits: unused, ..good }, Verb::Encrypt), Ok(expected.clone()));
    }
    for bad in [
        CK_GCM_PARAMS { ulIvLen: 0, ..good },
        CK_GCM_PARAMS { ulIvLen: CK_ULONG::MAX, ..good },
        CK_GCM_PARAMS { pIv: null_mut(), ..good },
        CK_GCM_PARAMS { pAAD: null_mut(), ..good },
        CK_GCM_PARAMS { ulAADLen: CK_ULONG::MAX / 2 + 1, ..good },
        CK_GCM_PARAMS { ulTagBits: 127, ..good },
        CK_GCM_PARAMS { ulTagBits: 0, ..good },
        CK_GCM_PARAMS { ulTagBits: CK_ULONG::MAX, ..good },
    ] {
        assert_eq!(with(CKM_AES_GCM, &bad, Verb::Decrypt), Err(INVALID));
    }
    let at = (&raw const good).cast();
    assert_eq!(parsed(CKM_AES_GCM, at, size_of::<CK_GCM_PARAMS>() - 1, Verb::Encrypt), Err(INVALID));
}

#[test]
fn a_misaligned_parameter_is_read_all_the_same() {
    let mut iv = [7; 12];
    let good = gcm(&mut iv, &mut []);
    let mut bytes = [0_u8; size_of::<CK_GCM_PARAMS>() + 1];
    // SAFETY: the copy fits behind the first byte.
    unsafe { bytes.as_mut_ptr().add(1).cast::<CK_GCM_PARAMS>().write_unaligned(good) };
    let at = bytes.as_ptr().wrapping_add(1).cast();
    assert!(parsed(CKM_AES_GCM, at, size_of::<CK_GCM_PARAMS>(), Verb::Encrypt).is_ok());
}

#[test]
fn pss_hashes_must_agree_with_the_mechanism() {
    let sha256 = CK_RSA_PKCS_PSS_PARAMS { hashAlg: CKM_SHA256, mgf: CKG_MGF1_SHA256, sLen: 32 };
    let pss = Pss { hash: Hash::Sha256, mgf: Hash::Sha256, salt_len: 32 };
    let expected = |message| Ok(Mechanism::Rsa(RsaMechanism::Pss { pss, message }));
    assert_eq!(with(CKM_RSA_PKCS_PSS, &sha256, Verb::Sign), expected(false));
    assert_eq!(with(CKM_SHA256_RSA_PKCS_PSS, &sha256, Verb::Sign), expected(true));
    assert_eq!(with(CKM_SHA384_RSA_PKCS_PSS, &sha256, Verb::Sign), Err(INVALID));
    assert_eq!(without(CKM_SHA256_RSA_PKCS_PSS, Verb::Sign), Err(INVALID));
    let salty = CK_RSA_PKCS_PSS_PARAMS { sLen: CK_ULONG::MAX, ..sha256 };
    assert_eq!(with(CKM_RSA_PKCS_PSS, &salty, Verb::Sign), Err(INVALID));
}

#[test]
fn oaep_takes_labels_and_the_defaults_that_openssl_leaves_out() {
    let mut label = *b"label";
    let named = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA256,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: label.as_mut_ptr().cast(),
        ulSourceDataLen: 5,
    };
    let oaep = Oaep { hash: Hash::Sha256, mgf: Hash::Sha1, label: label.to_vec() };
    assert_eq!(with(CKM_RSA_PKCS_OAEP, &named, Verb::Decrypt), Ok(Mechanism::Rsa(RsaMechanism::Oaep(oaep))));
    let bare = CK_RSA_PKCS_OAEP_PARAMS { hashAlg: 0, mgf: 0, source: 0, pSourceData: null_mut(), ulSourceDataLen: 0 };
    let oaep = Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() };
    assert_eq!(with(CKM_RSA_PKCS_OAEP, &bare, Verb::Decrypt), Ok(Mechanism::Rsa(RsaMechanism::Oaep(oaep))));
    for bad in [
        CK_RSA_PKCS_OAEP_PARAMS { pSourceData: null_mut(), ..named },
        CK_RSA_PKCS_OAEP_PARAMS { ulSourceDataLen: CK_ULONG::MAX, ..named },
        CK_RSA_PKCS_OAEP_PARAMS { source: 0, ..named },
        CK_RSA_PKCS_OAEP_PARAMS { hashAlg: CKM_AES_CBC, ..named },
        CK_RSA_PKCS_OAEP_PARAMS { mgf: 99, ..named },
    ] {
        assert_eq!(with(CKM_RSA_PKCS_OAEP, &bad, Verb::Decrypt), Err(INVALID));
    }
}

#[test]
fn ecdh_that_encapsulates_names_no_point() {
    let mut point = vec![4_u8; 65];
    let none = CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_SHA256_KDF,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: 0,
        pPublicData: null_mut(),
    };
    let kdf = EcdhKdf::X963(Hash::Sha256);
    let expected = Mechanism::Ec(EcMechanism::Ecdh { kdf, public: Vec::new(), shared_info: Vec::new() });
    for verb in [Verb::Encapsulate, Verb::Decapsulate] {
        for number in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
            assert_eq!(with(number, &none, verb), Ok(expected.clone()));
            let named = CK_ECDH1_DERIVE_PARAMS { ulPublicDataLen: 65, pPublicData: point.as_mut_ptr(), ..none };
            let pointed = CK_ECDH1_DERIVE_PARAMS { pPublicData: point.as_mut_ptr(), ..none };
            let counted = CK_ECDH1_DERIVE_PARAMS { ulPublicDataLen: 1, ..none };
            for bad in [named, pointed, counted] {
                assert_eq!(with(number, &bad, verb), Err(INVALID));
            }
        }
    }
}

#[test]
fn ecdh_takes_a_point_raw_or_as_octet_string() {
    let raw = vec![4_u8; 65];
    for mut given in [raw.clone(), octet_string::wrapped(&raw)] {
        let p = CK_ECDH1_DERIVE_PARAMS {
            kdf: CKD_NULL,
            ulSharedDataLen: 0,
            pSharedData: null_mut(),
            ulPublicDataLen: given.len() as CK_ULONG,
            pPublicData: given.as_mut_ptr(),
        };
        let expected = EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: raw.clone(), shared_info: Vec::new() };
        assert_eq!(with(CKM_ECDH1_DERIVE, &p, Verb::Derive), Ok(Mechanism::Ec(expected)));
        for bad in [
            CK_ECDH1_DERIVE_PARAMS { ulPublicDataLen: 0, ..p },
            CK_ECDH1_DERIVE_PARAMS { pPublicData: null_mut(), ..p },
            CK_ECDH1_DERIVE_PARAMS { ulPublicDataLen: CK_ULONG::MAX, ..p },
            CK_ECDH1_DERIVE_PARAMS { kdf: 0xFFFF, ..p },
            CK_ECDH1_DERIVE_PARAMS { ulSharedDataLen: 1, ..p },
        ] {
            assert_eq!(with(CKM_ECDH1_DERIVE, &bad, Verb::Derive), Err(INVALID));
        }
    }
}

#[test]
fn hkdf_needs_a_phase_and_a_hash_and_salt_where_it_is_announced() {
    let good = CK_HKDF_PARAMS {
        bExtract: CK_TRUE,
        bExpand: CK_TRUE,
        prfHashMechanism: CKM_SHA256,
        ulSaltType: CKF_HKDF_SALT_NULL,
        pSalt: null_mut(),
        ulSaltLen: 0,
        hSaltKey: 0,
        pInfo: null_mut(),
        ulInfoLen: 0,
    };
    assert!(with(CKM_HKDF_DERIVE, &good, Verb::Derive).is_ok());
    for bad in [
        CK_HKDF_PARAMS { bExtract: CK_FALSE, bExpand: CK_FALSE, ..good },
        CK_HKDF_PARAMS { prfHashMechanism: CKM_AES_CBC, ..good },
        CK_HKDF_PARAMS { ulSaltType: 3, ..good },
        CK_HKDF_PARAMS { ulSaltType: CKF_HKDF_SALT_DATA, ulSaltLen: 4, ..good },
        CK_HKDF_PARAMS { ulInfoLen: CK_ULONG::MAX, ..good },
    ] {
        assert_eq!(with(CKM_HKDF_DERIVE, &bad, Verb::Derive), Err(INVALID));
    }
}

#[test]
fn lengths_of_macs_counters_and_ivs_are_bounded() {
    for (mechanism, len, ok) in [
        (CKM_SHA256_HMAC_GENERAL, 32, true),
        (CKM_SHA256_HMAC_GENERAL, 33, false),
        (CKM_SHA256_HMAC_GENERAL, 0, false),
        (CKM_AES_CMAC_GENERAL, 16, true),
        (CKM_AES_CMAC_GENERAL, CK_ULONG::MAX, false),
    ] {
        assert_eq!(with::<CK_ULONG>(mechanism, &len, Verb::Sign).is_ok(), ok, "{mechanism:#x} {len}");
    }
    for (bits, ok) in [(128, true), (1, true), (0, false), (129, false), (CK_ULONG::MAX, false)] {
        let ctr = CK_AES_CTR_PARAMS { ulCounterBits: bits, cb: [0; 16] };
        assert_eq!(with(CKM_AES_CTR, &ctr, Verb::Encrypt).is_ok(), ok);
    }
    assert!(with(CKM_AES_CBC, &[0_u8; 16], Verb::Encrypt).is_ok());
    assert_eq!(with(CKM_AES_CBC, &[0_u8; 15], Verb::Encrypt), Err(INVALID));
    assert_eq!(without(CKM_AES_CBC_PAD, Verb::Encrypt), Err(INVALID));
}

#[test]
fn key_wrap_takes_its_default_initial_value_by_silence() {
    let default = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xA6; 8] });
    assert_eq!(without(CKM_AES_KEY_WRAP, Verb::Wrap), Ok(default.clone()));
    assert_eq!(with(CKM_AES_KEY_WRAP, &[0xA6_u8; 8], Verb::Wrap), Ok(default));
    assert_eq!(with(CKM_AES_KEY_WRAP, &[0xA6_u8; 7], Verb::Wrap), Err(INVALID));
    assert!(with(CKM_AES_KEY_WRAP_KWP, &DEFAULT_KWP_IV, Verb::Wrap).is_ok());
    assert_eq!(with(CKM_AES_KEY_WRAP_KWP, &[1_u8; 4], Verb::Wrap), Err(INVALID));
}

#[test]
fn eddsa_is_pure_unless_its_parameter_says_otherwise() {
    let mut bytes = [9; 256];
    let pure = CK_EDDSA_PARAMS { phFlag: CK_FALSE, ulContextDataLen: 0, pContextData: null_mut() };
    let expected = |prehash, len| Ok(Mechanism::Ec(EcMechanism::EdDsa { prehash, context: vec![9; len] }));
    assert_eq!(without(CKM_EDDSA, Verb::Sign), expected(false, 0));
    assert_eq!(with(CKM_EDDSA, &pure, Verb::Sign), expected(false, 0));
    assert_eq!(with(CKM_EDDSA, &CK_EDDSA_PARAMS { phFlag: CK_TRUE, ..pure }, Verb::Verify), expected(true, 0));
    let full = CK_EDDSA_PARAMS { ulContextDataLen: 255, pContextData: bytes.as_mut_ptr(), ..pure };
    assert_eq!(with(CKM_EDDSA, &full, Verb::Sign), expected(false, 255));
    for bad in [
        CK_EDDSA_PARAMS { ulContextDataLen: 1, ..pure },
        CK_EDDSA_PARAMS { ulContextDataLen: 256, ..full },
        CK_EDDSA_PARAMS { ulContextDataLen: CK_ULONG::MAX, ..full },
    ] {
        assert_eq!(with(CKM_EDDSA, &bad, Verb::Sign), Err(INVALID));
    }
}

#[test]
fn edwards_keys_may_be_made_by_the_number_that_gnutls_uses() {
    let expected = Ok(Mechanism::Generate(KeyType::EcEdwards));
    assert_eq!(without(CKM_EC_EDWARDS_KEY_PAIR_GEN, Verb::Generate), expected);
    assert_eq!(without(CKM_EDDSA, Verb::Generate), expected);
}

#[test]
fn hybrid_wrappings_take_aes_keys_of_128_192_and_256_bits() {
    let mut oaep = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA256,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: null_mut(),
        ulSourceDataLen: 0,
    };
    let inner = Oaep { hash: Hash::Sha256, mgf: Hash::Sha1, label: Vec::new() };
    let rsa = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: 192, pOAEPParams: &raw mut oaep };
    let expected = Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep: inner, aes_len: 24 });
    assert_eq!(with(CKM_RSA_AES_KEY_WRAP, &rsa, Verb::Wrap), Ok(expected));
    let mut info = [5; 4];
    let ecdh = CK_ECDH_AES_KEY_WRAP_PARAMS {
        ulAESKeyBits: 256,
        kdf: CKD_SHA3_256_KDF_SP800,
        ulSharedDataLen: 4,
        pSharedData: info.as_mut_ptr(),
    };
    let kdf = EcdhKdf::Concatenation(Hash::Sha3_256);
    let expected = EcMechanism::AesKeyWrap { kdf, shared_info: vec![5; 4], aes_len: 32 };
    assert_eq!(with(CKM_ECDH_AES_KEY_WRAP, &ecdh, Verb::Unwrap), Ok(Mechanism::Ec(expected)));
    for bits in [0, 64, 129, 512, CK_ULONG::MAX] {
        let bad = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: bits, ..rsa };
        assert_eq!(with(CKM_RSA_AES_KEY_WRAP, &bad, Verb::Wrap), Err(INVALID));
        let bad = CK_ECDH_AES_KEY_WRAP_PARAMS { ulAESKeyBits: bits, ..ecdh };
        assert_eq!(with(CKM_ECDH_AES_KEY_WRAP, &bad, Verb::Wrap), Err(INVALID));
    }
    let bad = CK_RSA_AES_KEY_WRAP_PARAMS { pOAEPParams: null_mut(), ..rsa };
    assert_eq!(with(CKM_RSA_AES_KEY_WRAP, &bad, Verb::Wrap), Err(INVALID));
    let bad = CK_ECDH_AES_KEY_WRAP_PARAMS { kdf: CKD_NULL, ..ecdh };
    assert_eq!(with(CKM_ECDH_AES_KEY_WRAP, &bad, Verb::Wrap), Err(INVALID));
    assert_eq!(with(CKM_RSA_AES_KEY_WRAP, &rsa, Verb::Encrypt), Err(Rv(CKR_MECHANISM_INVALID)));
}

#[test]
fn sm2_signs_under_the_default_identity_or_a_given_one() {
    let number = CKM_VENDOR_DEFINED | 0xB22;
    let id = |m| match m {
        Ok(Mechanism::Sm2(Sm2Mechanism::SignSm3 { id })) => id,
        _ => Vec::new(),
    };
    assert_eq!(id(without(number, Verb::Sign)), b"1234567812345678");
    assert_eq!(id(with(number, b"alice", Verb::Sign)), b"alice");
    assert_eq!(with(number, &[0_u8; 8192], Verb::Sign), Err(INVALID));
}

fn prf_piece<T>(kind: CK_PRF_DATA_TYPE, value: &T, len: usize) -> CK_PRF_DATA_PARAM {
    CK_PRF_DATA_PARAM { type_: kind, pValue: (&raw const *value).cast_mut().cast(), ulValueLen: len as CK_ULONG }
}

#[test]
fn sp800_108_needs_its_counter_once_and_believes_no_length() {
    let counter = CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_FALSE, ulWidthInBits: 32 };
    let odd = CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_FALSE, ulWidthInBits: 31 };
    let size = size_of::<CK_SP800_108_COUNTER_FORMAT>();
    let iteration = |format, size| prf_piece(CK_SP800_108_ITERATION_VARIABLE, format, size);
    let label = prf_piece(CK_SP800_108_BYTE_ARRAY, b"label", 5);
    let parse = |pieces: &mut [CK_PRF_DATA_PARAM], count: usize| {
        let p = CK_SP800_108_KDF_PARAMS {
            prfType: CKM_SHA256_HMAC,
            ulNumberOfDataParams: count as CK_ULONG,
            pDataParams: pieces.as_mut_ptr(),
            ulAdditionalDerivedKeys: 0,
            pAdditionalDerivedKeys: null_mut(),
        };
        with(CKM_SP800_108_COUNTER_KDF, &p, Verb::Derive)
    };
    let good = || [iteration(&counter, size), label];
    assert!(parse(&mut good(), 2).is_ok());
    assert_eq!(parse(&mut good(), 0), Err(INVALID));
    assert_eq!(parse(&mut good(), 65), Err(INVALID));
    assert_eq!(parse(&mut good(), usize::MAX), Err(INVALID));
    assert_eq!(parse(&mut [label], 1), Err(INVALID));
    assert_eq!(parse(&mut [iteration(&counter, size), iteration(&counter, size)], 2), Err(INVALID));
    assert_eq!(parse(&mut [iteration(&odd, size)], 1), Err(INVALID));
    assert_eq!(parse(&mut [iteration(&counter, size - 1)], 1), Err(INVALID));
    let endless = prf_piece(CK_SP800_108_BYTE_ARRAY, b"label", usize::MAX / 2);
    assert_eq!(parse(&mut [iteration(&counter, size), endless], 2), Err(INVALID));
    let null = CK_PRF_DATA_PARAM { pValue: null_mut(), ..iteration(&counter, size) };
    assert_eq!(parse(&mut [null], 1), Err(INVALID));
    let unknown = CK_PRF_DATA_PARAM { type_: 99, ..label };
    assert_eq!(parse(&mut [iteration(&counter, size), unknown], 2), Err(INVALID));
}

#[test]
fn pbkdf2_takes_no_odd_addresses_salts_from_elsewhere_or_unknown_functions() {
    let good = CK_PKCS5_PBKD2_PARAMS2 {
        saltSource: CKZ_SALT_SPECIFIED,
        pSaltSourceData: b"salt".as_ptr().cast_mut().cast(),
        ulSaltSourceDataLen: 4,
        iterations: 1,
        prf: CKP_PKCS5_PBKD2_HMAC_SHA256,
        pPrfData: null_mut(),
        ulPrfDataLen: 0,
        pPassword: b"password".as_ptr().cast_mut(),
        ulPasswordLen: 8,
    };
    assert!(with(CKM_PKCS5_PBKD2, &good, Verb::Generate).is_ok());
    for bad in [
        CK_PKCS5_PBKD2_PARAMS2 { ulPasswordLen: 65_537, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { ulPasswordLen: (1 << 20) - 1, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { ulPasswordLen: CK_ULONG::MAX, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { pPassword: null_mut(), ..good },
        CK_PKCS5_PBKD2_PARAMS2 { saltSource: 2, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { prf: CKP_PKCS5_PBKD2_HMAC_GOSTR3411, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { iterations: 0, ..good },
        CK_PKCS5_PBKD2_PARAMS2 { iterations: 1 << 33, ..good },
    ] {
        assert_eq!(with(CKM_PKCS5_PBKD2, &bad, Verb::Generate), Err(INVALID));
    }
}

#[test]
fn tls_takes_whole_bytes_randoms_that_are_there_and_hashes_of_tls_1_2() {
    let mut random = [1; 32];
    let randoms = CK_SSL3_RANDOM_DATA {
        pClientRandom: random.as_mut_ptr(),
        ulClientRandomLen: 32,
        pServerRandom: random.as_mut_ptr(),
        ulServerRandomLen: 32,
    };
    let mut out = CK_SSL3_KEY_MAT_OUT {
        hClientMacSecret: 0,
        hServerMacSecret: 0,
        hClientKey: 0,
        hServerKey: 0,
        pIVClient: null_mut(),
        pIVServer: null_mut(),
    };
    let good = CK_TLS12_KEY_MAT_PARAMS {
        ulMacSizeInBits: 0,
        ulKeySizeInBits: 128,
        ulIVSizeInBits: 32,
        bIsExport: CK_FALSE,
        RandomInfo: randoms,
        pReturnedKeyMaterial: &raw mut out,
        prfHashMechanism: CKM_SHA256,
    };
    assert!(with(CKM_TLS12_KEY_AND_MAC_DERIVE, &good, Verb::Derive).is_ok());
    let companions = |p: &CK_TLS12_KEY_MAT_PARAMS, mechanism| {
        let len = size_of::<CK_TLS12_KEY_MAT_PARAMS>() as CK_ULONG;
        let raw = CK_MECHANISM { mechanism, pParameter: (&raw const *p).cast_mut().cast(), ulParameterLen: len };
        unsafe { Companions::of(&raw, Profile::default()) }.map(|found| found.returns_all_keys())
    };
    // Initialisation vectors need a place, where they are given out.
    assert_eq!(companions(&good, CKM_TLS12_KEY_AND_MAC_DERIVE), Err(INVALID));
    assert_eq!(companions(&good, CKM_TLS12_KEY_SAFE_DERIVE), Ok(true));
    for bad in [
        CK_TLS12_KEY_MAT_PARAMS { ulKeySizeInBits: 127, ..good },
        CK_TLS12_KEY_MAT_PARAMS { ulMacSizeInBits: CK_ULONG::MAX - 7, ..good },
        CK_TLS12_KEY_MAT_PARAMS { bIsExport: CK_TRUE, ..good },
        CK_TLS12_KEY_MAT_PARAMS { pReturnedKeyMaterial: null_mut(), ..good },
        CK_TLS12_KEY_MAT_PARAMS { prfHashMechanism: CKM_TLS_PRF, ..good },
        CK_TLS12_KEY_MAT_PARAMS { RandomInfo: CK_SSL3_RANDOM_DATA { ulClientRandomLen: 0, ..randoms }, ..good },
        CK_TLS12_KEY_MAT_PARAMS { RandomInfo: CK_SSL3_RANDOM_DATA { pServerRandom: null_mut(), ..randoms }, ..good },
    ] {
        assert_eq!(with(CKM_TLS12_KEY_AND_MAC_DERIVE, &bad, Verb::Derive), Err(INVALID));
    }
    for (len, side) in [(11, 1), (257, 1), (12, 0), (12, 3)] {
        let p = CK_TLS_MAC_PARAMS { prfHashMechanism: CKM_SHA256, ulMacLength: len, ulServerOrClient: side };
        assert_eq!(with(CKM_TLS_MAC, &p, Verb::Sign), Err(INVALID));
    }
}
