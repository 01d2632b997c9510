//! Key derivation, Diffie-Hellman and TLS 1.2; `openssl kdf` judges.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ptr::{null_mut, with_exposed_provenance_mut};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Attr, Mech, Rv, Session, curve, flag, raw, token, ulong};

/// A session on a fresh token; `None`, said aloud, without KMSS.
fn session(label: &str) -> Option<Session> {
    if built::only_kmss("key derivation") { None } else { Some(token(label).user()) }
}

fn len(bytes: &[u8]) -> CK_ULONG {
    bytes.len() as CK_ULONG
}

fn at(bytes: &[u8]) -> *mut u8 {
    bytes.as_ptr().cast_mut()
}

/// A readable secret key of `n` bytes.
fn readable(kind: CK_KEY_TYPE, n: CK_ULONG) -> Vec<Attr> {
    vec![ulong(CKA_KEY_TYPE, kind), ulong(CKA_VALUE_LEN, n), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)]
}

fn value(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    session.get(key, CKA_VALUE).unwrap()
}

/// What `openssl kdf` derives.
fn judged(n: usize, options: &[String], function: &str) -> Vec<u8> {
    let judge = Judge::new();
    let options: Vec<String> = options.iter().map(|option| format!("-kdfopt {option}")).collect();
    judge.succeed(&format!("kdf -keylen {n} {} -binary -out derived {function}", options.join(" ")));
    judge.read("derived")
}

fn hkdf(salt_type: CK_ULONG, salt: &[u8], salt_key: CK_OBJECT_HANDLE, info: &[u8]) -> CK_HKDF_PARAMS {
    CK_HKDF_PARAMS {
        bExtract: CK_TRUE,
        bExpand: CK_TRUE,
        prfHashMechanism: CKM_SHA256,
        ulSaltType: salt_type,
        pSalt: at(salt),
        ulSaltLen: len(salt),
        hSaltKey: salt_key,
        pInfo: at(info),
        ulInfoLen: len(info),
    }
}

#[test]
fn hkdf_takes_a_key_as_its_salt_and_makes_data() {
    let Some(session) = session("hkdf") else { return };
    let base = secret(&session, CKK_HKDF, &[7; 32]);
    let salt = secret(&session, CKK_GENERIC_SECRET, b"salt");
    let options = [format!("hexkey:{}", hex(&[7; 32])), "salt:salt".into(), "info:info".into(), "digest:SHA256".into()];
    let expected = judged(40, &options, "HKDF");
    let by_key = hkdf(CKF_HKDF_SALT_KEY, &[], salt, b"info");
    let key = Mech::structure(CKM_HKDF_DERIVE, &by_key);
    let derived = session.derive(key.clone(), base, &readable(CKK_GENERIC_SECRET, 40)).unwrap();
    assert_eq!(value(&session, derived), expected);
    let data = Mech::structure(CKM_HKDF_DATA, &by_key);
    let made = session.derive(data, base, &[ulong(CKA_VALUE_LEN, 40), raw(CKA_LABEL, b"iv")]).unwrap();
    assert_eq!(session.get_ulong(made, CKA_CLASS).unwrap(), CKO_DATA);
    assert_eq!(value(&session, made), expected);
    assert!(session.get_flag(made, CKA_PRIVATE).unwrap());
    // The salt is a key like any other: it must be one, and may be kept from deriving.
    session.set(salt, &[flag(CKA_DERIVE, false)]).unwrap();
    let refused = session.derive(key, base, &readable(CKK_AES, 32)).unwrap_err();
    assert_eq!(refused, Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let nothing = hkdf(CKF_HKDF_SALT_KEY, &[], 0x7777_7777, b"");
    let refused = session.derive(Mech::structure(CKM_HKDF_DERIVE, &nothing), base, &[]).unwrap_err();
    assert_eq!(refused, Rv(CKR_KEY_HANDLE_INVALID));
}

fn piece<T>(kind: CK_PRF_DATA_TYPE, value: &T, len: usize) -> CK_PRF_DATA_PARAM {
    CK_PRF_DATA_PARAM { type_: kind, pValue: std::ptr::from_ref(value).cast_mut().cast(), ulValueLen: len as CK_ULONG }
}

#[test]
fn sp800_108_derives_several_keys_or_none() {
    let Some(session) = session("kbkdf") else { return };
    let base = secret(&session, CKK_GENERIC_SECRET, &[9; 32]);
    let counter = CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_FALSE, ulWidthInBits: 32 };
    let length = CK_SP800_108_DKM_LENGTH_FORMAT {
        dkmLengthMethod: CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS,
        bLittleEndian: CK_FALSE,
        ulWidthInBits: 32,
    };
    let mut pieces = [
        piece(CK_SP800_108_ITERATION_VARIABLE, &counter, size_of_val(&counter)),
        piece(CK_SP800_108_BYTE_ARRAY, b"label", 5),
        piece(CK_SP800_108_BYTE_ARRAY, b"\0", 1),
        piece(CK_SP800_108_BYTE_ARRAY, b"context", 7),
        piece(CK_SP800_108_DKM_LENGTH, &length, size_of_val(&length)),
    ];
    let parameter = |pieces: &mut [CK_PRF_DATA_PARAM], more: &mut [CK_DERIVED_KEY]| CK_SP800_108_KDF_PARAMS {
        prfType: CKM_SHA256_HMAC,
        ulNumberOfDataParams: pieces.len() as CK_ULONG,
        pDataParams: pieces.as_mut_ptr(),
        ulAdditionalDerivedKeys: more.len() as CK_ULONG,
        pAdditionalDerivedKeys: if more.is_empty() { null_mut() } else { more.as_mut_ptr() },
    };
    let options =
        ["mac:HMAC", "digest:SHA256", "mode:COUNTER", "salt:label", "info:context"].map(str::to_owned).to_vec();
    let options = [options, vec![format!("hexkey:{}", hex(&[9; 32]))]].concat();
    let alone = Mech::structure(CKM_SP800_108_COUNTER_KDF, &parameter(&mut pieces, &mut []));
    let derived = session.derive(alone.clone(), base, &readable(CKK_GENERIC_SECRET, 70)).unwrap();
    assert_eq!(value(&session, derived), judged(70, &options, "KBKDF"));
    // What the template leaves out is as the base key has it.
    assert!(!session.get_flag(derived, CKA_SENSITIVE).unwrap());
    assert_eq!(session.derive(alone, base, &[]).unwrap_err(), Rv(CKR_TEMPLATE_INCOMPLETE));

    let mut values = [CKO_SECRET_KEY, CKK_AES, 16];
    let place = values.as_mut_ptr();
    let kinds = [CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE_LEN];
    let mut template: [CK_ATTRIBUTE; 3] = std::array::from_fn(|i| CK_ATTRIBUTE {
        type_: kinds[i],
        pValue: place.wrapping_add(i).cast(),
        ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
    });
    let mut handle = 0;
    let mut more = [CK_DERIVED_KEY { pTemplate: template.as_mut_ptr(), ulAttributeCount: 3, phKey: &raw mut handle }];
    let several = Mech::structure(CKM_SP800_108_COUNTER_KDF, &parameter(&mut pieces, &mut more));
    let first = session.derive(several.clone(), base, &readable(CKK_GENERIC_SECRET, 48)).unwrap();
    // The length that goes in is that of both keys, 512 bits; the second key starts in a round of its own.
    assert_eq!(value(&session, first), judged(64, &options, "KBKDF")[..48]);
    assert_eq!(session.get_ulong(handle, CKA_KEY_TYPE).unwrap(), CKK_AES);
    assert_eq!(session.encrypt(CKM_AES_ECB, handle, &[0; 16]).unwrap().len(), 16);

    // Where the second template is at fault nothing is made, and its handle says so.
    let count = session.find(&[]).unwrap().len();
    // SAFETY: the place is in `values`, which nobody looks at meanwhile.
    unsafe { place.wrapping_add(2).write(17) };
    assert_eq!(session.derive(several.clone(), base, &readable(CKK_AES, 16)).unwrap_err(), Rv(CKR_KEY_SIZE_RANGE));
    // SAFETY: as above.
    unsafe { place.write(CKO_PUBLIC_KEY) };
    assert_ne!(session.derive(several, base, &readable(CKK_AES, 16)).unwrap_err(), Rv(CKR_OK));
    assert_eq!(handle, CK_INVALID_HANDLE);
    assert_eq!(session.find(&[]).unwrap().len(), count);
}

#[test]
fn pbkdf2_takes_the_length_of_the_password_as_both_editions_give_it() {
    let Some(session) = session("pbkdf2") else { return };
    let options = ["pass:correct_horse".to_owned(), "salt:NaCl".into(), "iter:1000".into()];
    let options = [options.to_vec(), vec!["digest:SHA512".into(), "pkcs5:1".into()]].concat();
    let expected = judged(32, &options, "PBKDF2");
    let (password, salt) = (b"correct_horse", b"NaCl");
    let mut length = 13 as CK_ULONG;
    let old = (&raw mut length).expose_provenance() as CK_ULONG;
    for given in [13, old] {
        let parameter = CK_PKCS5_PBKD2_PARAMS2 {
            saltSource: CKZ_SALT_SPECIFIED,
            pSaltSourceData: at(salt).cast(),
            ulSaltSourceDataLen: 4,
            iterations: 1000,
            prf: CKP_PKCS5_PBKD2_HMAC_SHA512,
            pPrfData: null_mut(),
            ulPrfDataLen: 0,
            pPassword: at(password),
            ulPasswordLen: given,
        };
        let made = session
            .generate(
                Mech::structure(CKM_PKCS5_PBKD2, &parameter),
                &[readable(CKK_AES, 32), vec![flag(CKA_TOKEN, false)]].concat(),
            )
            .unwrap();
        assert_eq!(value(&session, made), expected);
        assert_eq!(session.get_ulong(made, CKA_KEY_GEN_MECHANISM).unwrap(), CKM_PKCS5_PBKD2);
        for iterations in [0, CK_ULONG::from(u32::MAX), CK_ULONG::MAX] {
            let bad = CK_PKCS5_PBKD2_PARAMS2 { iterations, ..parameter };
            let bad = Mech::structure(CKM_PKCS5_PBKD2, &bad);
            let refused = session.generate(bad, &[ulong(CKA_VALUE_LEN, 32)]).unwrap_err();
            assert_eq!(refused, Rv(CKR_MECHANISM_PARAM_INVALID));
        }
    }
    assert_eq!(with_exposed_provenance_mut::<CK_ULONG>(old as usize), &raw mut length);
}

#[test]
fn what_holds_the_bytes_of_a_key_is_protected_like_it() {
    let Some(session) = session("splices") else { return };
    let base = session
        .create(&[
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            flag(CKA_SENSITIVE, true),
            flag(CKA_EXTRACTABLE, false),
            flag(CKA_DERIVE, true),
            raw(CKA_VALUE, [1; 32]),
        ])
        .unwrap();
    let open = secret(&session, CKK_GENERIC_SECRET, &[2; 32]);
    let data = [3; 32];
    let string = CK_KEY_DERIVATION_STRING_DATA { pData: at(&data), ulLen: 32 };
    for how in [
        Mech::structure(CKM_CONCATENATE_BASE_AND_DATA, &string),
        Mech::structure(CKM_CONCATENATE_DATA_AND_BASE, &string),
        Mech::structure(CKM_XOR_BASE_AND_DATA, &string),
        Mech::ulong(CKM_EXTRACT_KEY_FROM_KEY, 3),
        Mech::ulong(CKM_CONCATENATE_BASE_AND_KEY, open),
    ] {
        let derived = session.derive(how.clone(), base, &[ulong(CKA_VALUE_LEN, 32)]).unwrap();
        assert!(session.get_flag(derived, CKA_SENSITIVE).unwrap());
        assert!(!session.get_flag(derived, CKA_EXTRACTABLE).unwrap());
        assert_eq!(session.get(derived, CKA_VALUE).unwrap_err(), Rv(CKR_ATTRIBUTE_SENSITIVE));
        for more in [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)] {
            let template = [ulong(CKA_VALUE_LEN, 32), more];
            assert_eq!(session.derive(how.clone(), base, &template).unwrap_err(), Rv(CKR_TEMPLATE_INCONSISTENT));
        }
    }
    // The second key counts as the first does.
    let with = Mech::ulong(CKM_CONCATENATE_BASE_AND_KEY, base);
    let derived = session.derive(with, open, &[]).unwrap();
    assert!(session.get_flag(derived, CKA_SENSITIVE).unwrap());
    assert_eq!(session.get_ulong(derived, CKA_VALUE_LEN).unwrap(), 64);
    let xored = session.derive(Mech::structure(CKM_XOR_BASE_AND_DATA, &string), open, &readable(CKK_AES, 32)).unwrap();
    assert_eq!(value(&session, xored), [1; 32]);
}

#[test]
fn a_private_key_yields_its_public_half() {
    let Some(session) = session("halves") else { return };
    let prime = ffdhe2048();
    let dh = [raw(CKA_PRIME, &prime), raw(CKA_BASE, [2]), flag(CKA_TOKEN, false)];
    let pairs = [
        (rsa(&session), vec![CKA_MODULUS, CKA_PUBLIC_EXPONENT]),
        (pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256), vec![CKA_EC_PARAMS, CKA_EC_POINT]),
        (pair(&session, CKM_EC_EDWARDS_KEY_PAIR_GEN, curve::ED25519), vec![CKA_EC_POINT]),
        (
            session.generate_pair(CKM_DH_PKCS_KEY_PAIR_GEN, &dh, &[flag(CKA_TOKEN, false)]).unwrap(),
            vec![CKA_PRIME, CKA_BASE, CKA_VALUE],
        ),
    ];
    for ((public, private), kinds) in pairs {
        session.set(private, &[raw(CKA_ID, [4, 2])]).unwrap();
        let again = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, private, &[]).unwrap();
        assert_eq!(session.get_ulong(again, CKA_CLASS).unwrap(), CKO_PUBLIC_KEY);
        assert_eq!(session.get(again, CKA_ID).unwrap(), [4, 2]);
        assert!(!session.get_flag(again, CKA_LOCAL).unwrap());
        let verifies = session.get_flag(private, CKA_SIGN).unwrap();
        assert_eq!(session.get_flag(again, CKA_VERIFY).unwrap(), verifies);
        for kind in kinds.into_iter().chain([CKA_PUBLIC_KEY_INFO]) {
            assert_eq!(session.get(again, kind).unwrap(), session.get(public, kind).unwrap());
        }
        let refused = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, public, &[]).unwrap_err();
        assert_eq!(refused, Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
    }
}

/// The hexadecimal integers that `openssl asn1parse` prints.
fn integers(text: &str) -> Vec<Vec<u8>> {
    let digits =
        text.lines().filter_map(|line| line.split_once("INTEGER")?.1.split_once(':').map(|(_, hex)| hex.trim()));
    let bytes = |hex: &str| {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<_>>()
    };
    digits.map(bytes).collect()
}

/// The prime of the group as `openssl` knows it.
fn ffdhe2048() -> Vec<u8> {
    let judge = Judge::new();
    judge.succeed("genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out key.pem");
    judge.succeed("pkey -in key.pem -pubout -outform DER -out public.der");
    integers(&judge.succeed("asn1parse -inform DER -in public.der").text()).swap_remove(0)
}

#[test]
fn diffie_hellman_agrees_with_openssl() {
    let Some(session) = session("dh") else { return };
    let prime = ffdhe2048();
    let template = [raw(CKA_PRIME, &prime), raw(CKA_BASE, [0, 2]), flag(CKA_TOKEN, false)];
    let private = [ulong(CKA_VALUE_BITS, 300), flag(CKA_TOKEN, false)];
    let (public, private) = session.generate_pair(CKM_DH_PKCS_KEY_PAIR_GEN, &template, &private).unwrap();
    assert_eq!(session.get(private, CKA_PRIME).unwrap(), prime);
    assert_eq!(session.get_ulong(private, CKA_VALUE_BITS).unwrap(), 300);
    assert_eq!(session.get(private, CKA_VALUE).unwrap_err(), Rv(CKR_ATTRIBUTE_SENSITIVE));
    let judge = Judge::new();
    judge.succeed("genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out key.pem");
    judge.succeed("pkey -in key.pem -pubout -outform DER -out public.der");
    // The group before it takes 287 bytes.
    let theirs = judge.succeed("asn1parse -inform DER -in public.der -strparse 287").text();
    let theirs = integers(&theirs).swap_remove(0);
    judge.file("ours.der", &session.get(public, CKA_PUBLIC_KEY_INFO).unwrap());
    judge.succeed("pkey -pubin -inform DER -in ours.der -out ours.pem");
    judge.succeed("pkeyutl -derive -inkey key.pem -peerkey ours.pem -out secret");
    let expected = judge.read("secret");
    let agree = Mech::bytes(CKM_DH_PKCS_DERIVE, &theirs);
    let loose = [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    // No length is the prime's, as Java needs it; leading zeros stay.
    let shared = session.derive(agree.clone(), private, &loose).unwrap();
    let shared = value(&session, shared);
    assert_eq!(shared.len(), 256);
    assert!(shared.ends_with(&expected) && shared[..256 - expected.len()].iter().all(|byte| *byte == 0));
    let short = session.derive(agree, private, &readable(CKK_AES, 32)).unwrap();
    assert_eq!(value(&session, short), shared[224..]);
    for bad in [vec![1], prime.clone(), vec![0xFF; 2000], vec![0]] {
        let refused = session.derive(Mech::bytes(CKM_DH_PKCS_DERIVE, &bad), private, &loose).unwrap_err();
        assert_eq!(refused, Rv(CKR_MECHANISM_PARAM_INVALID));
    }
    // Groups that have no name are refused.
    let mut other = prime.clone();
    other[100] ^= 1;
    for (prime, base) in [(&other, 2), (&prime, 5)] {
        let template = [raw(CKA_PRIME, prime), raw(CKA_BASE, [base])];
        let refused = session.generate_pair(CKM_DH_PKCS_KEY_PAIR_GEN, &template, &[]).unwrap_err();
        assert_eq!(refused, Rv(CKR_DOMAIN_PARAMS_INVALID));
    }
    // A key that comes in by its value is the same.
    let class = |n| [ulong(CKA_CLASS, n), ulong(CKA_KEY_TYPE, CKK_DH), raw(CKA_PRIME, &prime), raw(CKA_BASE, [2])];
    let x = [&class(CKO_PRIVATE_KEY)[..], &[raw(CKA_VALUE, [5; 30]), flag(CKA_TOKEN, false)]].concat();
    let imported = session.create(&x).unwrap();
    let y = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, imported, &[]).unwrap();
    let y = [&class(CKO_PUBLIC_KEY)[..], &[raw(CKA_VALUE, session.get(y, CKA_VALUE).unwrap())]].concat();
    session.create(&y).unwrap();
}

fn randoms<'a>(client: &'a [u8], server: &'a [u8]) -> CK_SSL3_RANDOM_DATA {
    CK_SSL3_RANDOM_DATA {
        pClientRandom: at(client),
        ulClientRandomLen: len(client),
        pServerRandom: at(server),
        ulServerRandomLen: len(server),
    }
}

/// The pseudorandom function of TLS 1.2 as `openssl` computes it.
fn prf(n: usize, secret: &[u8], label: &str, seeds: &[&[u8]]) -> Vec<u8> {
    let mut options = vec!["digest:SHA256".into(), format!("hexsecret:{}", hex(secret))];
    options.push(format!("hexseed:{}", hex(label.as_bytes())));
    options.extend(seeds.iter().map(|seed| format!("hexseed:{}", hex(seed))));
    judged(n, &options, "TLS1-PRF")
}

#[test]
fn a_handshake_of_tls_1_2_has_its_keys_from_the_token() {
    let Some(session) = session("tls") else { return };
    let (client, server) = ([1_u8; 32], [2_u8; 32]);
    let loose = [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    let version = CK_VERSION { major: 3, minor: 3 };
    let premaster = Mech::structure(CKM_TLS_PRE_MASTER_KEY_GEN, &version);
    let premaster = session.generate(premaster, &[&loose[..], &[flag(CKA_TOKEN, false)]].concat()).unwrap();
    let secret = value(&session, premaster);
    assert_eq!((secret.len(), &secret[..2]), (48, [3, 3].as_slice()));

    let mut told = CK_VERSION { major: 0, minor: 0 };
    let parameter = CK_TLS12_MASTER_KEY_DERIVE_PARAMS {
        RandomInfo: randoms(&client, &server),
        pVersion: &raw mut told,
        prfHashMechanism: CKM_SHA256,
    };
    let master = Mech::structure(CKM_TLS12_MASTER_KEY_DERIVE, &parameter);
    let master = session.derive(master, premaster, &loose).unwrap();
    assert_eq!((told.major, told.minor), (3, 3));
    let secret = value(&session, master);
    assert_eq!(secret, prf(48, &value(&session, premaster), "master secret", &[&client, &server]));
    // A master secret serves TLS and nothing else.
    let hkdf = Mech::hkdf(CKM_SHA256, b"", b"");
    assert_eq!(session.derive(hkdf, master, &loose).unwrap_err(), Rv(CKR_MECHANISM_INVALID));

    let session_hash = [5_u8; 32];
    let extended = CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS {
        prfHashMechanism: CKM_SHA256,
        pSessionHash: at(&session_hash),
        ulSessionHashLen: 32,
        pVersion: null_mut(),
    };
    let extended = Mech::structure(CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE_DH, &extended);
    let extended = value(&session, session.derive(extended, premaster, &loose).unwrap());
    assert_eq!(extended, prf(48, &value(&session, premaster), "extended master secret", &[&session_hash]));

    let (mut client_iv, mut server_iv) = ([0_u8; 4], [0_u8; 4]);
    let mut out = CK_SSL3_KEY_MAT_OUT {
        hClientMacSecret: 0,
        hServerMacSecret: 0,
        hClientKey: 0,
        hServerKey: 0,
        pIVClient: client_iv.as_mut_ptr(),
        pIVServer: server_iv.as_mut_ptr(),
    };
    for mac in [20_usize, 0] {
        let parameter = CK_TLS12_KEY_MAT_PARAMS {
            ulMacSizeInBits: 8 * mac as CK_ULONG,
            ulKeySizeInBits: 128,
            ulIVSizeInBits: 32,
            bIsExport: CK_FALSE,
            RandomInfo: randoms(&client, &server),
            pReturnedKeyMaterial: &raw mut out,
            prfHashMechanism: CKM_SHA256,
        };
        let block = Mech::structure(CKM_TLS12_KEY_AND_MAC_DERIVE, &parameter);
        let aes = [ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 16)];
        session.derive(block.clone(), master, &aes).unwrap();
        let expected = prf(2 * mac + 40, &secret, "key expansion", &[&server, &client]);
        let (macs, rest) = expected.split_at(2 * mac);
        assert_eq!(
            (value(&session, out.hClientKey), value(&session, out.hServerKey)),
            (rest[..16].to_vec(), rest[16..32].to_vec())
        );
        assert_eq!([client_iv, server_iv].concat(), rest[32..]);
        if mac > 0 {
            let made = [value(&session, out.hClientMacSecret), value(&session, out.hServerMacSecret)].concat();
            assert_eq!(made, macs);
            assert_eq!(session.sign(CKM_SHA_1_HMAC, out.hClientMacSecret, b"record").unwrap().len(), 20);
        }
        // Java destroys the MAC keys that an authenticated cipher has no use for.
        session.destroy(out.hClientMacSecret).unwrap();
        session.destroy(out.hServerMacSecret).unwrap();
        // All four are protected as their base key is.
        let sensitive = [&aes[..], &[flag(CKA_SENSITIVE, true)]].concat();
        assert_eq!(session.derive(block, master, &sensitive).unwrap_err(), Rv(CKR_TEMPLATE_INCONSISTENT));
    }

    let handshake = [7_u8; 32];
    for (side, label) in [(1, "server finished"), (2, "client finished")] {
        let parameter = CK_TLS_MAC_PARAMS { prfHashMechanism: CKM_SHA256, ulMacLength: 12, ulServerOrClient: side };
        let finished = Mech::structure(CKM_TLS_MAC, &parameter);
        let mac = session.sign(finished.clone(), master, &handshake).unwrap();
        assert_eq!(mac, prf(12, &secret, label, &[&handshake]));
        session.verify(finished, master, &handshake, &mac).unwrap();
    }
    let parameter = CK_TLS_KDF_PARAMS {
        prfMechanism: CKM_SHA256,
        pLabel: at(b"EXPORTER-test"),
        ulLabelLength: 13,
        RandomInfo: randoms(&client, &server),
        pContextData: at(b"ctx"),
        ulContextDataLength: 3,
    };
    let exported = Mech::structure(CKM_TLS_KDF, &parameter);
    let exported = session.derive(exported, master, &[ulong(CKA_VALUE_LEN, 40)]).unwrap();
    assert_eq!(value(&session, exported), prf(40, &secret, "EXPORTER-test", &[&client, &server, &[0, 3], b"ctx"]));
}
