//! C_WrapKey and C_UnwrapKey with CK_GCM_WRAP_PARAMS and CK_CCM_WRAP_PARAMS (PKCS#11 3.2, 6.13.3 and 6.13.5): the token
//! makes the nonce and tells it. What was wrapped is what encryption with that nonce makes.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ptr::null_mut;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::{missing, secret};
use kmss_tests::p11::{Attr, Mech, Rv, Session, flag, module, raw, token, ulong};

const AAD: &[u8] = b"who and where";
const INNER: &[u8; 24] = &[6; 24];

/// A parameter of wrapping and the nonce it points at.
struct Wrapping {
    kind: CK_MECHANISM_TYPE,
    nonce: Vec<u8>,
    generator: CK_GENERATOR_FUNCTION,
    fixed_bits: CK_ULONG,
    aad: Vec<u8>,
    /// In bytes.
    tag: CK_ULONG,
    data_len: CK_ULONG,
}

impl Wrapping {
    fn new(kind: CK_MECHANISM_TYPE, generator: CK_GENERATOR_FUNCTION) -> Self {
        Self { kind, nonce: vec![0xA0; 12], generator, fixed_bits: 0, aad: AAD.to_vec(), tag: 12, data_len: 0 }
    }

    fn with<T>(&mut self, call: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
        let (nonce, nonce_len) = (self.nonce.as_mut_ptr(), self.nonce.len() as CK_ULONG);
        let (aad, aad_len) = (self.aad.as_mut_ptr(), self.aad.len() as CK_ULONG);
        let mut gcm = CK_GCM_WRAP_PARAMS {
            pIv: nonce,
            ulIvLen: nonce_len,
            ulIvFixedBits: self.fixed_bits,
            ivGenerator: self.generator,
            pAAD: aad,
            ulAADLen: aad_len,
            ulTagBits: self.tag * 8,
        };
        let mut ccm = CK_CCM_WRAP_PARAMS {
            ulDataLen: self.data_len,
            pNonce: nonce,
            ulNonceLen: nonce_len,
            ulNonceFixedBits: self.fixed_bits,
            nonceGenerator: self.generator,
            pAAD: aad,
            ulAADLen: aad_len,
            ulMACLen: self.tag,
        };
        let (at, len) = if self.kind == CKM_AES_GCM {
            ((&raw mut gcm).cast(), size_of_val(&gcm))
        } else {
            ((&raw mut ccm).cast(), size_of_val(&ccm))
        };
        let mut m = CK_MECHANISM { mechanism: self.kind, pParameter: at, ulParameterLen: len as CK_ULONG };
        call(&raw mut m)
    }

    /// C_WrapKey into a buffer of `room` bytes, or without one; also tells the length that came back.
    fn wrap(
        &mut self,
        session: &Session,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        room: Option<usize>,
    ) -> (Rv, Vec<u8>, usize) {
        let mut out = vec![0; room.unwrap_or(0)];
        let at = if room.is_some() { out.as_mut_ptr() } else { null_mut() };
        let mut len = out.len() as CK_ULONG;
        // SAFETY: mechanism and buffer outlive the call.
        let call = |m| unsafe { (*module().list).C_WrapKey.unwrap()(session.handle, m, with, key, at, &raw mut len) };
        let rv = self.with(call);
        out.truncate(len as usize);
        (Rv(rv), out, len as usize)
    }

    fn unwrap(&mut self, session: &Session, with: CK_OBJECT_HANDLE, wrapped: &[u8]) -> Result<CK_OBJECT_HANDLE, Rv> {
        let (class, kind, no, yes) = (CKO_SECRET_KEY, CKK_AES, CK_FALSE, CK_TRUE);
        let one = |kind, value: *const CK_BYTE, len: usize| CK_ATTRIBUTE {
            type_: kind,
            pValue: value.cast_mut().cast(),
            ulValueLen: len as CK_ULONG,
        };
        let mut template = [
            one(CKA_CLASS, (&raw const class).cast(), size_of_val(&class)),
            one(CKA_KEY_TYPE, (&raw const kind).cast(), size_of_val(&kind)),
            one(CKA_TOKEN, &raw const no, 1),
            one(CKA_SENSITIVE, &raw const no, 1),
            one(CKA_EXTRACTABLE, &raw const yes, 1),
        ];
        let (blob, n) = (wrapped.as_ptr().cast_mut(), wrapped.len() as CK_ULONG);
        let (first, count) = (template.as_mut_ptr(), template.len() as CK_ULONG);
        let mut key = 0;
        // SAFETY: mechanism, wrapped key and template outlive the call.
        let call = |m| unsafe {
            (*module().list).C_UnwrapKey.unwrap()(session.handle, m, with, blob, n, first, count, &raw mut key)
        };
        let rv = self.with(call);
        if rv == CKR_OK { Ok(key) } else { Err(Rv(rv)) }
    }

    /// The same nonce, associated data and tag for encryption.
    fn classic(&self) -> Mech {
        if self.kind == CKM_AES_GCM {
            Mech::gcm(&self.nonce, &self.aad, self.tag * 8)
        } else {
            Mech::ccm(&self.nonce, &self.aad, self.tag, INNER.len())
        }
    }
}

/// A session, a wrapping key and a key to be wrapped; `None`, said aloud, without KMSS.
fn keys(label: &str) -> Option<(Session, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let token = token(label);
    if built::only_kmss("generated nonces in C_WrapKey") || missing(&token, CKM_AES_CCM) {
        return None;
    }
    let session = token.user();
    let uses = [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP].map(|kind| flag(kind, true));
    let template = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), raw(CKA_VALUE, [9; 32])];
    let with = [&template[..], &uses, &[flag(CKA_TOKEN, false)] as &[Attr]].concat();
    let (with, inner) = (session.create(&with).unwrap(), secret(&session, CKK_AES, INNER));
    Some((session, with, inner))
}

#[test]
fn the_token_makes_the_nonce_and_tells_it() {
    let Some((session, with, inner)) = keys("wrap-nonce") else { return };
    for kind in [CKM_AES_GCM, CKM_AES_CCM] {
        for generator in [CKG_NO_GENERATE, CKG_GENERATE, CKG_GENERATE_RANDOM] {
            let mut how = Wrapping::new(kind, generator);
            how.fixed_bits = 32;
            // A wrong length of the data is not looked at.
            how.data_len = 7;
            let (code, _, len) = how.wrap(&session, with, inner, None);
            assert_eq!((code, len), (Rv(CKR_OK), 36));
            let (code, _, len) = how.wrap(&session, with, inner, Some(35));
            assert_eq!((code, len), (Rv(CKR_BUFFER_TOO_SMALL), 36));
            assert_eq!(how.nonce, [0xA0; 12], "a nonce of nothing was told");
            let (code, wrapped, _) = how.wrap(&session, with, inner, Some(64));
            assert_eq!(code, Rv(CKR_OK));
            assert_eq!(how.nonce[..4], [0xA0; 4], "the fixed bits stay");
            assert_eq!(generator == CKG_NO_GENERATE, how.nonce[4..] == [0xA0; 8]);
            assert_eq!(session.encrypt(how.classic(), with, INNER).unwrap(), wrapped);
            // What says how the nonce came about is ignored when it comes back (6.13.3, 6.13.5).
            (how.generator, how.fixed_bits) = (99, 1 << 40);
            let twin = how.unwrap(&session, with, &wrapped).unwrap();
            assert_eq!(session.get(twin, CKA_VALUE).unwrap(), INNER);
            // The older structures open it as well.
            let back = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), flag(CKA_TOKEN, false)];
            session.unwrap(how.classic(), with, &wrapped, &back).unwrap();
            how.aad[0] ^= 1;
            assert_eq!(how.unwrap(&session, with, &wrapped), Err(Rv(CKR_WRAPPED_KEY_INVALID)));
        }
    }
}

#[test]
fn two_wrappings_have_two_nonces() {
    let Some((session, with, inner)) = keys("wrap-nonces") else { return };
    for kind in [CKM_AES_GCM, CKM_AES_CCM] {
        let mut how = Wrapping::new(kind, CKG_GENERATE);
        let (_, first, _) = how.wrap(&session, with, inner, Some(64));
        let nonce = how.nonce.clone();
        let (_, second, _) = how.wrap(&session, with, inner, Some(64));
        assert_ne!((nonce, first), (how.nonce, second));
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let Some((session, with, inner)) = keys("wrap-nonce-range") else { return };
    let refuses = |change: &dyn Fn(&mut Wrapping), kind, why: &str| {
        let mut how = Wrapping::new(kind, CKG_GENERATE);
        change(&mut how);
        let (code, _, _) = how.wrap(&session, with, inner, Some(64));
        assert_eq!(code, Rv(CKR_MECHANISM_PARAM_INVALID), "{why}");
    };
    for kind in [CKM_AES_GCM, CKM_AES_CCM] {
        // A counter would begin anew with each call.
        refuses(&|how| how.generator = CKG_GENERATE_COUNTER, kind, "a counter");
        refuses(&|how| how.generator = CKG_GENERATE_COUNTER_XOR, kind, "a counter");
        refuses(&|how| how.generator = 99, kind, "an unknown generator");
        refuses(&|how| how.fixed_bits = 97, kind, "more fixed bits than bits");
        refuses(&|how| how.tag = 3, kind, "a short tag");
        refuses(&|how| how.nonce.clear(), kind, "no nonce");
    }
    refuses(&|how| how.nonce = vec![0; 14], CKM_AES_CCM, "a long nonce");
    // The structure of one mechanism is none of the other.
    let mut how = Wrapping::new(CKM_AES_GCM, CKG_GENERATE);
    let code = how.with(|m| {
        // SAFETY: the mechanism is ours; the call reads it and writes to no buffer.
        unsafe {
            (*m).mechanism = CKM_AES_CCM;
            let mut len = 0;
            (*module().list).C_WrapKey.unwrap()(session.handle, m, with, inner, null_mut(), &raw mut len)
        }
    });
    assert_eq!(Rv(code), Rv(CKR_MECHANISM_PARAM_INVALID));
}
