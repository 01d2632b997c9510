//! Message-based encryption, signing and authenticated wrapping (PKCS#11 3.0 and 3.2).
#![allow(unsafe_code, reason = "the newer functions are called as C calls them")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "every pointer below leads to a local that outlives its call")]

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr::{null_mut, read};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, Rv, Session, flag, module, raw, token, ulong};

const TEXT: &[u8] = b"a message of a length that fits no block";
const AAD: &[u8] = b"header";

/// The newest function list.
fn list() -> &'static CK_FUNCTION_LIST_3_2 {
    type Get = unsafe extern "C" fn(*mut CK_BYTE, *mut CK_VERSION, *mut *mut CK_INTERFACE, CK_FLAGS) -> CK_RV;
    let get: Get = unsafe { std::mem::transmute(module().symbol("C_GetInterface").unwrap()) };
    let (mut interface, mut version) = (null_mut(), CK_VERSION { major: 3, minor: 2 });
    assert_eq!(Rv(unsafe { get(null_mut(), &raw mut version, &raw mut interface, 0) }), Rv(CKR_OK));
    unsafe { &*read(interface).pFunctionList.cast() }
}

macro_rules! c {
    ($name:ident($($argument:expr),* $(,)?)) => {
        unsafe { list().$name.unwrap()($($argument),*) }
    };
}

/// Nonce, tag, and the structure of one mechanism that points at them.
struct Message {
    kind: CK_MECHANISM_TYPE,
    nonce: Vec<u8>,
    tag: Vec<u8>,
    generator: CK_GENERATOR_FUNCTION,
    fixed_bits: CK_ULONG,
    length: usize,
}

impl Message {
    fn new(kind: CK_MECHANISM_TYPE, generator: CK_GENERATOR_FUNCTION, fixed_bits: CK_ULONG) -> Self {
        Self { kind, nonce: vec![0xA0; 12], tag: vec![0; 16], generator, fixed_bits, length: TEXT.len() }
    }

    fn with<T>(&mut self, call: impl FnOnce(*mut c_void, CK_ULONG) -> T) -> T {
        let (nonce, nonce_len) = (self.nonce.as_mut_ptr(), self.nonce.len() as CK_ULONG);
        let (tag, tag_len) = (self.tag.as_mut_ptr(), self.tag.len() as CK_ULONG);
        match self.kind {
            CKM_AES_GCM => {
                let mut p = CK_GCM_MESSAGE_PARAMS {
                    pIv: nonce,
                    ulIvLen: nonce_len,
                    ulIvFixedBits: self.fixed_bits,
                    ivGenerator: self.generator,
                    pTag: tag,
                    ulTagBits: tag_len * 8,
                };
                call((&raw mut p).cast(), size_of_val(&p) as CK_ULONG)
            }
            CKM_AES_CCM => {
                let mut p = CK_CCM_MESSAGE_PARAMS {
                    ulDataLen: self.length as CK_ULONG,
                    pNonce: nonce,
                    ulNonceLen: nonce_len,
                    ulNonceFixedBits: self.fixed_bits,
                    nonceGenerator: self.generator,
                    pMAC: tag,
                    ulMACLen: tag_len,
                };
                call((&raw mut p).cast(), size_of_val(&p) as CK_ULONG)
            }
            _ => {
                let mut p = CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS { pNonce: nonce, ulNonceLen: nonce_len, pTag: tag };
                call((&raw mut p).cast(), size_of_val(&p) as CK_ULONG)
            }
        }
    }

    /// The classic mechanism with the same parameters.
    fn classic(&self) -> Mech {
        match self.kind {
            CKM_AES_GCM => Mech::gcm(&self.nonce, AAD, self.tag.len() as CK_ULONG * 8),
            CKM_AES_CCM => Mech::ccm(&self.nonce, AAD, self.tag.len() as CK_ULONG, self.length),
            _ => Mech::chacha(&self.nonce, AAD),
        }
    }
}

fn key(session: &Session, kind: CK_MECHANISM_TYPE) -> CK_OBJECT_HANDLE {
    let key_type = if kind == CKM_CHACHA20_POLY1305 { CKK_CHACHA20 } else { CKK_AES };
    let template = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        flag(CKA_TOKEN, false),
        raw(CKA_VALUE, (0..32).collect::<Vec<u8>>()),
    ];
    session.create(&template).unwrap()
}

fn init(session: &Session, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE, encrypt: bool) -> CK_RV {
    Mech::new(kind).with(|m| {
        if encrypt {
            c!(C_MessageEncryptInit(session.handle, m, key))
        } else {
            c!(C_MessageDecryptInit(session.handle, m, key))
        }
    })
}

fn encrypt(session: &Session, message: &mut Message, text: &[u8], room: usize) -> (CK_RV, Vec<u8>) {
    let (mut out, mut len) = (vec![0; room], room as CK_ULONG);
    let (aad, data) = (AAD.as_ptr().cast_mut(), text.as_ptr().cast_mut());
    let code = message.with(|p, n| {
        let (a, t) = (AAD.len() as CK_ULONG, text.len() as CK_ULONG);
        c!(C_EncryptMessage(session.handle, p, n, aad, a, data, t, out.as_mut_ptr(), &raw mut len))
    });
    out.truncate(len as usize);
    (code, out)
}

fn decrypt(session: &Session, message: &mut Message, sealed: &[u8]) -> (CK_RV, Vec<u8>) {
    let (mut out, mut len) = (vec![0; sealed.len()], sealed.len() as CK_ULONG);
    let (aad, data) = (AAD.as_ptr().cast_mut(), sealed.as_ptr().cast_mut());
    let code = message.with(|p, n| {
        let (a, t) = (AAD.len() as CK_ULONG, sealed.len() as CK_ULONG);
        c!(C_DecryptMessage(session.handle, p, n, aad, a, data, t, out.as_mut_ptr(), &raw mut len))
    });
    out.truncate(len as usize);
    (code, out)
}

const KINDS: [CK_MECHANISM_TYPE; 3] = [CKM_AES_GCM, CKM_AES_CCM, CKM_CHACHA20_POLY1305];

#[test]
fn a_message_is_what_the_classic_call_makes_with_its_tag_apart() {
    if built::only_kmss("messages") {
        return;
    }
    let token = token("messages");
    let session = token.user();
    for kind in KINDS {
        let info = module().mechanism_info(token.slot, kind).unwrap();
        assert_ne!(info.flags & CKF_MESSAGE_ENCRYPT & !CKF_MULTI_MESSAGE, 0);
        let key = key(&session, kind);
        assert_eq!(init(&session, kind, key, true), CKR_OK);
        assert_eq!(init(&session, kind, key, true), CKR_OPERATION_ACTIVE);
        assert_eq!(init(&session, kind, key, false), CKR_OK);
        for round in 0..3 {
            let mut message = Message::new(kind, CKG_NO_GENERATE, 0);
            message.nonce[11] = round;
            let (code, sealed) = encrypt(&session, &mut message, TEXT, 100);
            assert_eq!(Rv(code), Rv(CKR_OK));
            let joined = [sealed.clone(), message.tag.clone()].concat();
            assert_eq!(session.encrypt(message.classic(), key, TEXT).unwrap(), joined);
            assert_eq!(decrypt(&session, &mut message, &sealed), (CKR_OK, TEXT.to_vec()));
            // A wrong tag ends the message, not the process.
            message.tag[0] ^= 1;
            assert_eq!(decrypt(&session, &mut message, &sealed).0, CKR_ENCRYPTED_DATA_INVALID);
            message.tag[0] ^= 1;
            assert_eq!(decrypt(&session, &mut message, &sealed), (CKR_OK, TEXT.to_vec()));
        }
        // Whoever has no room is told how much there must be.
        let mut message = Message::new(kind, CKG_NO_GENERATE, 0);
        let (code, told) = encrypt(&session, &mut message, TEXT, 5);
        assert_eq!((code, told.len()), (CKR_BUFFER_TOO_SMALL, 5));
        assert_eq!(encrypt(&session, &mut message, TEXT, TEXT.len()).0, CKR_OK);
        // An empty message has a tag all the same.
        message.length = 0;
        assert_eq!(encrypt(&session, &mut message, b"", 0), (CKR_OK, Vec::new()));
        assert_eq!(decrypt(&session, &mut message, b""), (CKR_OK, Vec::new()));
        assert_eq!(c!(C_MessageEncryptFinal(session.handle)), CKR_OK);
        assert_eq!(c!(C_MessageEncryptFinal(session.handle)), CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(c!(C_MessageDecryptInit(session.handle, null_mut(), 0)), CKR_OK, "NULL cancels");
        assert_eq!(decrypt(&session, &mut message, b"").0, CKR_OPERATION_NOT_INITIALIZED);
    }
}

#[test]
fn a_message_in_parts_is_the_same_message() {
    if built::only_kmss("messages in parts") {
        return;
    }
    let session = token("message-parts").user();
    for kind in KINDS {
        let key = key(&session, kind);
        assert_eq!(init(&session, kind, key, true), CKR_OK);
        assert_eq!(init(&session, kind, key, false), CKR_OK);
        let mut message = Message::new(kind, CKG_NO_GENERATE, 0);
        let (aad, a) = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
        let begun = message.with(|p, n| c!(C_EncryptMessageBegin(session.handle, p, n, aad, a)));
        assert_eq!(Rv(begun), Rv(CKR_OK));
        let again = message.with(|p, n| c!(C_EncryptMessageBegin(session.handle, p, n, aad, a)));
        assert_eq!(again, CKR_OPERATION_ACTIVE);
        assert_eq!(encrypt(&session, &mut message, TEXT, 100).0, CKR_OPERATION_ACTIVE);
        let mut sealed = Vec::new();
        for (part, flags) in [(&TEXT[..7], 0), (&TEXT[7..8], 0), (&TEXT[8..], CKF_END_OF_MESSAGE)] {
            let (mut out, mut len) = ([0_u8; 100], 100);
            let (data, t) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            let code = message.with(|p, n| {
                c!(C_EncryptMessageNext(session.handle, p, n, data, t, out.as_mut_ptr(), &raw mut len, flags))
            });
            assert_eq!(Rv(code), Rv(CKR_OK));
            sealed.extend_from_slice(&out[..len as usize]);
        }
        let joined = [sealed.clone(), message.tag.clone()].concat();
        assert_eq!(session.encrypt(message.classic(), key, TEXT).unwrap(), joined);

        let begun = message.with(|p, n| c!(C_DecryptMessageBegin(session.handle, p, n, aad, a)));
        assert_eq!(Rv(begun), Rv(CKR_OK));
        let mut plain = Vec::new();
        for (part, flags) in [(&sealed[..9], 0), (&sealed[9..], CKF_END_OF_MESSAGE)] {
            let (mut out, mut len) = ([0_u8; 100], 100);
            let (data, t) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            let code = message.with(|p, n| {
                c!(C_DecryptMessageNext(session.handle, p, n, data, t, out.as_mut_ptr(), &raw mut len, flags))
            });
            assert_eq!(Rv(code), Rv(CKR_OK));
            assert!(flags != 0 || len == 0, "nothing leaves before the tag was checked");
            plain.extend_from_slice(&out[..len as usize]);
        }
        assert_eq!(plain, TEXT);
        // One left in the middle goes with its process, or with C_SessionCancel.
        message.with(|p, n| c!(C_DecryptMessageBegin(session.handle, p, n, aad, a)));
        assert_eq!(c!(C_SessionCancel(session.handle, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT)), CKR_OK);
        assert_eq!(c!(C_MessageDecryptFinal(session.handle)), CKR_OPERATION_NOT_INITIALIZED);
    }
}

#[test]
fn generated_nonces_keep_the_fixed_bits_and_never_repeat() {
    if built::only_kmss("nonces") {
        return;
    }
    let session = token("nonces").user();
    let key = key(&session, CKM_AES_GCM);
    for generator in [CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR, CKG_GENERATE_RANDOM] {
        assert_eq!(init(&session, CKM_AES_GCM, key, true), CKR_OK);
        assert_eq!(init(&session, CKM_AES_GCM, key, false), CKR_OK);
        let mut seen = BTreeSet::new();
        for count in 0..20_u8 {
            let mut message = Message::new(CKM_AES_GCM, generator, 32);
            let (code, sealed) = encrypt(&session, &mut message, TEXT, 100);
            assert_eq!(Rv(code), Rv(CKR_OK));
            assert_eq!(message.nonce[..4], [0xA0; 4], "the fixed bits stay");
            match generator {
                CKG_GENERATE_COUNTER => assert_eq!(message.nonce[4..], [0, 0, 0, 0, 0, 0, 0, count]),
                CKG_GENERATE_COUNTER_XOR => assert_eq!(message.nonce[11], 0xA0 ^ count),
                _ => {}
            }
            assert!(seen.insert(message.nonce.clone()), "a nonce came twice");
            message.generator = CKG_NO_GENERATE;
            assert_eq!(decrypt(&session, &mut message, &sealed), (CKR_OK, TEXT.to_vec()));
        }
        let mut other = Message::new(CKM_AES_GCM, generator, 24);
        assert_eq!(encrypt(&session, &mut other, TEXT, 100).0, CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(c!(C_MessageEncryptFinal(session.handle)), CKR_OK);
        assert_eq!(c!(C_MessageDecryptFinal(session.handle)), CKR_OK);
    }
}

#[test]
fn messages_are_signed_and_verified_one_by_one() {
    if built::only_kmss("signed messages") {
        return;
    }
    let token = token("message-sign");
    let session = token.user();
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, kmss_tests::p11::curve::P256);
    let hmac = secret(&session, CKK_GENERIC_SECRET, &[4; 20]);
    let h = session.handle;
    for (kind, signing, verifying) in [(CKM_ECDSA_SHA256, private, public), (CKM_SHA256_HMAC, hmac, hmac)] {
        assert_eq!(Mech::new(kind).with(|m| c!(C_MessageSignInit(h, m, signing))), CKR_OK);
        assert_eq!(Mech::new(kind).with(|m| c!(C_MessageVerifyInit(h, m, verifying))), CKR_OK);
        for text in [TEXT, b"", b"another"] {
            let (data, t) = (text.as_ptr().cast_mut(), text.len() as CK_ULONG);
            let (mut signature, mut len) = ([0_u8; 100], 0);
            assert_eq!(c!(C_SignMessage(h, null_mut(), 0, data, t, null_mut(), &raw mut len)), CKR_OK);
            let announced = len;
            len = 1;
            let room = signature.as_mut_ptr();
            assert_eq!(c!(C_SignMessage(h, null_mut(), 0, data, t, room, &raw mut len)), CKR_BUFFER_TOO_SMALL);
            assert_eq!(len, announced);
            assert_eq!(c!(C_SignMessage(h, null_mut(), 0, data, t, room, &raw mut len)), CKR_OK);
            assert_eq!(c!(C_VerifyMessage(h, null_mut(), 0, data, t, room, len)), CKR_OK);
            session.verify(kind, verifying, text, &signature[..len as usize]).unwrap();

            assert_eq!(c!(C_SignMessageBegin(h, null_mut(), 0)), CKR_OK);
            let half = t / 2;
            assert_eq!(c!(C_SignMessageNext(h, null_mut(), 0, data, half, null_mut(), null_mut())), CKR_OK);
            let rest = unsafe { data.add(half as usize) };
            len = 100;
            assert_eq!(c!(C_SignMessageNext(h, null_mut(), 0, rest, t - half, room, &raw mut len)), CKR_OK);
            assert_eq!(c!(C_VerifyMessageBegin(h, null_mut(), 0)), CKR_OK);
            assert_eq!(c!(C_VerifyMessageNext(h, null_mut(), 0, data, half, null_mut(), 0)), CKR_OK);
            assert_eq!(c!(C_VerifyMessageNext(h, null_mut(), 0, rest, t - half, room, len)), CKR_OK);
            signature[3] ^= 1;
            let wrong = c!(C_VerifyMessage(h, null_mut(), 0, data, t, signature.as_mut_ptr(), len));
            assert_eq!(wrong, CKR_SIGNATURE_INVALID);
        }
        assert_eq!(c!(C_MessageSignFinal(h)), CKR_OK);
        assert_eq!(c!(C_MessageVerifyFinal(h)), CKR_OK);
        assert_eq!(c!(C_MessageVerifyFinal(h)), CKR_OPERATION_NOT_INITIALIZED);
    }
    // A nonce that is given once serves one message.
    let aes = key(&session, CKM_AES_GCM);
    let gmac = Mech::bytes(CKM_AES_GMAC, &[1; 12]);
    assert_eq!(gmac.with(|m| c!(C_MessageSignInit(h, m, aes))), CKR_MECHANISM_INVALID);
    let verify_only = session
        .create(&[
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            flag(CKA_TOKEN, false),
            flag(CKA_ENCRYPT, false),
            raw(CKA_VALUE, [1; 16]),
        ])
        .unwrap();
    assert_eq!(init(&session, CKM_AES_GCM, verify_only, true), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

#[test]
fn private_keys_leave_their_messages_at_logout() {
    if built::only_kmss("messages and logout") {
        return;
    }
    let session = token("message-logout").user();
    let private = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, false),
        flag(CKA_PRIVATE, true),
        raw(CKA_VALUE, [1; 16]),
    ];
    let key = session.create(&private).unwrap();
    assert_eq!(init(&session, CKM_AES_GCM, key, true), CKR_OK);
    session.logout().unwrap();
    let mut message = Message::new(CKM_AES_GCM, CKG_NO_GENERATE, 0);
    assert_eq!(encrypt(&session, &mut message, TEXT, 100).0, CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn keys_are_wrapped_with_data_that_must_come_back() {
    if built::only_kmss("authenticated wrapping") {
        return;
    }
    let session = token("wrap-authenticated").user();
    let h = session.handle;
    let inner = secret(&session, CKK_AES, &[6; 24]);
    let mut back = kmss_back();
    for kind in KINDS {
        let with = key(&session, kind);
        for generator in [CKG_NO_GENERATE, CKG_GENERATE] {
            if kind == CKM_CHACHA20_POLY1305 && generator != CKG_NO_GENERATE {
                continue;
            }
            let mut message = Message::new(kind, generator, 0);
            message.length = 24;
            let (aad, a) = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
            let wrap = |message: &mut Message, out: *mut CK_BYTE, len: &mut CK_ULONG| {
                message.with(|p, n| {
                    let mut m = CK_MECHANISM { mechanism: kind, pParameter: p, ulParameterLen: n };
                    c!(C_WrapKeyAuthenticated(h, &raw mut m, with, inner, aad, a, out, &raw mut *len))
                })
            };
            let (mut out, mut len) = ([0_u8; 64], 0);
            assert_eq!(Rv(wrap(&mut message, null_mut(), &mut len)), Rv(CKR_OK));
            assert_eq!(len, 24);
            len = 23;
            assert_eq!(wrap(&mut message, out.as_mut_ptr(), &mut len), CKR_BUFFER_TOO_SMALL);
            len = 64;
            assert_eq!(Rv(wrap(&mut message, out.as_mut_ptr(), &mut len)), Rv(CKR_OK));
            assert_eq!(len, 24);
            assert_eq!(generator == CKG_NO_GENERATE, message.nonce == [0xA0; 12]);
            let joined = [&out[..24], &message.tag].concat();
            assert_eq!(session.encrypt(message.classic(), with, &[6; 24]).unwrap(), joined);
            let mut unwrap = |message: &mut Message, aad_len: CK_ULONG| {
                let mut key = 0;
                let code = message.with(|p, n| {
                    let mut m = CK_MECHANISM { mechanism: kind, pParameter: p, ulParameterLen: n };
                    let (t, count) = (back.as_mut_ptr(), back.len() as CK_ULONG);
                    let wrapped = out.as_mut_ptr();
                    c!(C_UnwrapKeyAuthenticated(h, &raw mut m, with, wrapped, 24, t, count, aad, aad_len, &raw mut key))
                });
                (code, key)
            };
            let (code, twin) = unwrap(&mut message, a);
            assert_eq!(Rv(code), Rv(CKR_OK));
            assert_eq!(session.get(twin, CKA_VALUE).unwrap(), [6; 24]);
            assert_eq!(unwrap(&mut message, a - 1).0, CKR_WRAPPED_KEY_INVALID);
            message.tag[15] ^= 1;
            assert_eq!(unwrap(&mut message, a).0, CKR_WRAPPED_KEY_INVALID);
        }
        if kind != CKM_CHACHA20_POLY1305 {
            // A counter would begin anew with each call.
            let mut message = Message::new(kind, CKG_GENERATE_COUNTER, 0);
            let (mut out, mut len) = ([0_u8; 64], 64);
            let code = message.with(|p, n| {
                let mut m = CK_MECHANISM { mechanism: kind, pParameter: p, ulParameterLen: n };
                c!(C_WrapKeyAuthenticated(h, &raw mut m, with, inner, null_mut(), 0, out.as_mut_ptr(), &raw mut len))
            });
            assert_eq!(code, CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

/// A template for an AES key that can be looked at.
fn kmss_back() -> Vec<CK_ATTRIBUTE> {
    static CLASS: CK_ULONG = CKO_SECRET_KEY;
    static TYPE: CK_ULONG = CKK_AES;
    static NO: CK_BBOOL = CK_FALSE;
    static YES: CK_BBOOL = CK_TRUE;
    let number = |kind, value: &'static CK_ULONG| CK_ATTRIBUTE {
        type_: kind,
        pValue: (&raw const *value).cast_mut().cast(),
        ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
    };
    let truth = |kind, value: &'static CK_BBOOL| CK_ATTRIBUTE {
        type_: kind,
        pValue: (&raw const *value).cast_mut().cast(),
        ulValueLen: 1,
    };
    vec![
        number(CKA_CLASS, &CLASS),
        number(CKA_KEY_TYPE, &TYPE),
        truth(CKA_TOKEN, &NO),
        truth(CKA_SENSITIVE, &NO),
        truth(CKA_EXTRACTABLE, &YES),
    ]
}

#[test]
fn absurd_lengths_are_errors_and_the_process_goes_on() {
    if built::only_kmss("absurd lengths") {
        return;
    }
    let session = token("message-absurd").user();
    let key = key(&session, CKM_AES_GCM);
    assert_eq!(init(&session, CKM_AES_GCM, key, true), CKR_OK);
    let h = session.handle;
    let mut message = Message::new(CKM_AES_GCM, CKG_NO_GENERATE, 0);
    let (mut out, mut byte) = ([0_u8; 64], 7_u8);
    for absurd in [CK_ULONG::MAX, CK_ULONG::MAX / 2, CK_ULONG::MAX / 2 + 1] {
        let mut len = 64;
        let (at, room) = (&raw mut byte, out.as_mut_ptr());
        let long_aad = message.with(|p, n| c!(C_EncryptMessage(h, p, n, at, absurd, at, 1, room, &raw mut len)));
        assert_eq!(Rv(long_aad), Rv(CKR_ARGUMENTS_BAD));
        let long_parameter = message.with(|p, _| c!(C_EncryptMessage(h, p, absurd, at, 1, at, 1, room, &raw mut len)));
        assert_eq!(Rv(long_parameter), Rv(CKR_MECHANISM_PARAM_INVALID));
        let long_text = message.with(|p, n| c!(C_EncryptMessage(h, p, n, at, 1, at, absurd, null_mut(), &raw mut len)));
        assert!(long_text == CKR_ARGUMENTS_BAD || long_text == CKR_OK, "only the length is asked for");
    }
    let null = c!(C_EncryptMessage(h, null_mut(), 0, null_mut(), 0, null_mut(), 0, null_mut(), null_mut()));
    assert_ne!(null, CKR_OK);
    assert_eq!(encrypt(&session, &mut message, TEXT, 100).0, CKR_OK);
}
