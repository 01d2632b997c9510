//! What is measured. A workload is prepared once (keys, ciphertexts, a check that
//! the result is right) and hands out one `Step` per thread; a step is one operation.

mod asymmetric;
mod digest;
mod keys;
mod symmetric;
mod token;

use crate::p11::{Fail, Mech, Module, Res, Template};
use crate::{ck, ck32};
use cryptoki_sys::*;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

use asymmetric::*;
use digest::*;
use keys::*;
use symmetric::*;
use token::*;
pub use token::{cold_find, cold_sign, drop_cold_key, ensure_cold_key, find_object, find_one};

pub type Step = Box<dyn FnMut() -> Res<()>>;
type Factory = Box<dyn Fn(CK_SESSION_HANDLE) -> Res<Step> + Send + Sync>;

/// Where a workload runs: the module, the set-up session and the options.
pub struct Env<'a> {
    pub m: &'static Module,
    pub slot: CK_SLOT_ID,
    pub session: CK_SESSION_HANDLE,
    pub pin: Option<&'a str>,
    pub token_keys: bool,
    pub threads: usize,
    /// Number of `find` objects that are on the token now.
    pub find_objects: usize,
    pub vendor: &'a BTreeMap<String, u64>,
}

pub struct Prepared {
    pub step: Factory,
    /// Destroyed when the workload is over.
    pub objects: Vec<CK_OBJECT_HANDLE>,
    pub note: String,
}

impl Prepared {
    fn new(
        objects: Vec<CK_OBJECT_HANDLE>,
        step: impl Fn(CK_SESSION_HANDLE) -> Res<Step> + Send + Sync + 'static,
    ) -> Res<Self> {
        Ok(Prepared { step: Box::new(step), objects, note: String::new() })
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

type Prepare = Box<dyn Fn(&Env) -> Res<Prepared>>;

pub struct Workload {
    pub name: String,
    /// Bytes per operation where the figure is MB/s, otherwise 0 (ops/s).
    pub bytes: usize,
    pub prepare: Prepare,
}

const OID_P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
const OID_K256: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
const OID_SM2: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
const OID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const OID_X25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x6e];
const NAME_ED25519: &[u8] = b"\x13\x0cedwards25519";
const NAME_X25519: &[u8] = b"\x13\x0acurve25519";

/// DigestInfo of SHA-256 with a made-up digest.
const DIGEST_INFO: [u8; 51] = {
    let head = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20,
    ];
    let mut v = [0x5a; 51];
    let mut i = 0;
    while i < head.len() {
        v[i] = head[i];
        i += 1;
    }
    v
};

/// Every workload there is, in the order in which they run.
pub fn all() -> Vec<Workload> {
    let mut v: Vec<Workload> = Vec::new();
    let mut add = |name: &str, bytes: usize, prepare: Prepare| v.push(Workload { name: name.into(), bytes, prepare });

    // RSA
    let pss = |hash, mgf, salt| {
        move || Mech::with(CKM_RSA_PKCS_PSS, CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: salt }, vec![])
    };
    for bits in [2048, 3072, 4096] {
        add(&format!("rsa{bits}-sign-pkcs"), 0, rsa_sign(bits, || Mech::plain(CKM_RSA_PKCS), DIGEST_INFO.to_vec()));
        if bits != 2048 {
            continue;
        }
        add("rsa2048-sign-sha256", 0, rsa_sign(bits, || Mech::plain(CKM_SHA256_RSA_PKCS), vec![7; 256]));
        add("rsa2048-sign-pss", 0, rsa_sign(bits, pss(CKM_SHA256, CKG_MGF1_SHA256, 32), vec![7; 32]));
        add("rsa2048-verify-pkcs", 0, rsa_verify(bits, || Mech::plain(CKM_RSA_PKCS), DIGEST_INFO.to_vec()));
        add("rsa2048-verify-pss", 0, rsa_verify(bits, pss(CKM_SHA256, CKG_MGF1_SHA256, 32), vec![7; 32]));
        add("rsa2048-decrypt-pkcs", 0, rsa_decrypt(bits, || Mech::plain(CKM_RSA_PKCS)));
        add("rsa2048-decrypt-oaep-sha1", 0, rsa_decrypt(bits, || oaep(CKM_SHA_1, CKG_MGF1_SHA1)));
        add("rsa2048-decrypt-oaep-sha256", 0, rsa_decrypt(bits, || oaep(CKM_SHA256, CKG_MGF1_SHA256)));
        add("rsa2048-keygen", 0, Box::new(move |e| keygen(e, move |e| rsa_pair(e, bits))));
    }

    // Elliptic curves
    for (name, oid, hash) in
        [("p256", OID_P256, 32), ("p384", OID_P384, 48), ("p521", OID_P521, 64), ("secp256k1", OID_K256, 32)]
    {
        let pair = move |e: &Env| ec_pair(e, CKM_EC_KEY_PAIR_GEN, &[oid], true);
        add(&format!("{name}-sign"), 0, sign(pair, || Mech::plain(CKM_ECDSA), vec![0x5a; hash]));
        add(&format!("{name}-verify"), 0, verify(pair, || Mech::plain(CKM_ECDSA), vec![0x5a; hash]));
        add(&format!("{name}-keygen"), 0, Box::new(move |e| keygen(e, pair)));
        add(&format!("{name}-ecdh"), 0, ecdh(pair));
    }
    add(
        "p256-sign-sha256",
        0,
        sign(|e| ec_pair(e, CKM_EC_KEY_PAIR_GEN, &[OID_P256], true), || Mech::plain(CKM_ECDSA_SHA256), vec![7; 256]),
    );
    let ed = |e: &Env| ec_pair(e, CKM_EC_EDWARDS_KEY_PAIR_GEN, &[OID_ED25519, NAME_ED25519], false);
    add("ed25519-sign", 0, sign(ed, || Mech::plain(CKM_EDDSA), vec![7; 32]));
    add("ed25519-verify", 0, verify(ed, || Mech::plain(CKM_EDDSA), vec![7; 32]));
    add("ed25519-keygen", 0, Box::new(move |e| keygen(e, ed)));
    add("x25519-ecdh", 0, ecdh(|e| ec_pair(e, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, &[OID_X25519, NAME_X25519], true)));

    // AES
    for (label, n) in [("16", 16), ("1k", 1 << 10), ("16k", 16 << 10), ("1m", 1 << 20)] {
        add(&format!("aes256-gcm-enc-{label}"), n, Box::new(move |e| aes_gcm_encrypt(e, n)));
        add(&format!("aes256-gcm-dec-{label}"), n, Box::new(move |e| aes_gcm_decrypt(e, n)));
    }
    let cbc = || Mech::bytes(CKM_AES_CBC_PAD, &[9; 16]);
    let ctr = || Mech::with(CKM_AES_CTR, CK_AES_CTR_PARAMS { ulCounterBits: 128, cb: [9; 16] }, vec![]);
    add("aes256-cbcpad-enc-16k", 16 << 10, cipher(aes_key, cbc, 16 << 10, false));
    add("aes256-cbcpad-dec-16k", 16 << 10, cipher(aes_key, cbc, 16 << 10, true));
    add("aes256-ctr-16k", 16 << 10, cipher(aes_key, ctr, 16 << 10, false));
    add("aes256-kwp-wrap", 0, Box::new(|e| key_wrap(e, false)));
    add("aes256-kwp-unwrap", 0, Box::new(|e| key_wrap(e, true)));
    add("aes256-keygen", 0, Box::new(|e| keygen(e, |e| Ok((aes_key(e)?, 0)))));

    // Digest, MAC, random
    add("sha256-1k", 1 << 10, digest(|_| Some(CKM_SHA256), 1 << 10));
    add("sha256-1m", 1 << 20, digest(|_| Some(CKM_SHA256), 1 << 20));
    add("hmac-sha256-1k", 1 << 10, Box::new(|e| hmac(e, 1 << 10)));
    add("random-32", 0, Box::new(|e| random(e, 32)));
    add("random-16k", 16 << 10, Box::new(|e| random(e, 16 << 10)));
    add("random-1m", 1 << 20, Box::new(|e| random(e, 1 << 20)));

    // Vendor mechanisms (`--vendor NAME=ID`), else n/a
    add(
        "sm2-sign",
        0,
        Box::new(|e| {
            let mech = vendor(e, "sm2-sign")?;
            sign(sm2_pair, move || Mech::plain(mech), vec![0x5a; 32])(e)
        }),
    );
    add(
        "sm2-verify",
        0,
        Box::new(|e| {
            let mech = vendor(e, "sm2-sign")?;
            verify(sm2_pair, move || Mech::plain(mech), vec![0x5a; 32])(e)
        }),
    );
    add("sm3-1k", 1 << 10, digest(|e| vendor(e, "sm3").ok(), 1 << 10));
    add(
        "sm4-cbc-16k",
        16 << 10,
        Box::new(|e| {
            let mech = vendor(e, "sm4-cbc")?;
            cipher(sm4_key, move || Mech::bytes(mech, &[9; 16]), 16 << 10, false)(e)
        }),
    );

    // PKCS#11 3.2
    add(
        "mldsa65-sign",
        0,
        sign(|e| pqc_pair(e, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65), || Mech::plain(CKM_ML_DSA), vec![7; 32]),
    );
    add(
        "mldsa65-verify",
        0,
        verify(|e| pqc_pair(e, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65), || Mech::plain(CKM_ML_DSA), vec![7; 32]),
    );
    add("mlkem768-encaps", 0, Box::new(|e| ml_kem(e, false)));
    add("mlkem768-decaps", 0, Box::new(|e| ml_kem(e, true)));

    // Sessions and objects
    add("session-open-close", 0, Box::new(session_open_close));
    add("session-find-sign-p256", 0, Box::new(session_find_sign));
    add("getattr-ec-point", 0, Box::new(get_attribute));
    add("login-logout", 0, Box::new(login_logout));
    add("token-object-create-destroy", 0, Box::new(token_object));
    v
}
