//! Parameters of mechanisms: every mechanism with any bytes, or with a structure of any numbers and buffers.
#![expect(unsafe_code, reason = "the door is a C interface")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::door::{Door, call, door};
use crate::input::Input;

/// A buffer of the input with its length, or a null pointer with any length.
struct Buffer {
    bytes: Vec<u8>,
    len: CK_ULONG,
}

impl Buffer {
    fn read(input: &mut Input<'_>) -> Self {
        if input.byte().is_multiple_of(8) {
            return Self { bytes: Vec::new(), len: input.number() as CK_ULONG };
        }
        let bytes = input.bytes().to_vec();
        Self { len: bytes.len() as CK_ULONG, bytes }
    }

    fn at(&mut self) -> *mut u8 {
        if self.bytes.is_empty() { null_mut() } else { self.bytes.as_mut_ptr() }
    }
}

/// Reads a mechanism, a parameter and a verb from `data`.
pub fn run(data: &[u8]) {
    let door = door();
    let mut input = Input(data);
    let verb = input.byte();
    let (mut a, mut b) = (Buffer::read(&mut input), Buffer::read(&mut input));
    let mut numbers = [0; 4].map(|_: CK_ULONG| input.number() as CK_ULONG);
    // Names of hashes, generators and so on are small numbers of their own lists, too rare to be found by chance.
    if let [hash, mgf, ..] = &mut numbers
        && verb >= 128
    {
        (*hash, *mgf) = (CKM_SHA_1 + *hash % 0x100, CKG_MGF1_SHA1 + *mgf % 12);
    }
    let [one, two, three, four] = numbers;
    match input.byte() % 11 {
        0 => {
            let mut iv = input.take(16).to_vec();
            plain(&door, verb, &mut iv);
        }
        1 => {
            let mut p = CK_RSA_PKCS_PSS_PARAMS { hashAlg: one, mgf: two, sLen: three };
            with(&door, verb, &[CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS], &mut p);
        }
        2 => {
            let mut p = CK_RSA_PKCS_OAEP_PARAMS {
                hashAlg: one,
                mgf: two,
                source: three,
                pSourceData: a.at().cast(),
                ulSourceDataLen: a.len,
            };
            with(&door, verb, &[CKM_RSA_PKCS_OAEP], &mut p);
        }
        3 => {
            let mut p = CK_GCM_PARAMS {
                pIv: a.at(),
                ulIvLen: a.len,
                ulIvBits: one,
                pAAD: b.at(),
                ulAADLen: b.len,
                ulTagBits: if verb.is_multiple_of(2) { two % 160 } else { two },
            };
            with(&door, verb, &[CKM_AES_GCM], &mut p);
        }
        4 => {
            let mut p = CK_ECDH1_DERIVE_PARAMS {
                kdf: one,
                ulSharedDataLen: a.len,
                pSharedData: a.at(),
                ulPublicDataLen: b.len,
                pPublicData: b.at(),
            };
            with(&door, verb, &[CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE], &mut p);
        }
        5 => {
            let mut p = CK_HKDF_PARAMS {
                bExtract: (three & 1) as CK_BBOOL,
                bExpand: (four & 1) as CK_BBOOL,
                prfHashMechanism: one,
                ulSaltType: two % 5,
                pSalt: a.at(),
                ulSaltLen: a.len,
                hSaltKey: three,
                pInfo: b.at(),
                ulInfoLen: b.len,
            };
            with(&door, verb, &[CKM_HKDF_DERIVE], &mut p);
        }
        6 => {
            let mut p =
                CK_EDDSA_PARAMS { phFlag: (one & 1) as CK_BBOOL, ulContextDataLen: a.len, pContextData: a.at() };
            with(&door, verb, &[CKM_EDDSA], &mut p);
        }
        7 => {
            let mut p = CK_CCM_PARAMS {
                ulDataLen: one,
                pNonce: a.at(),
                ulNonceLen: a.len,
                pAAD: b.at(),
                ulAADLen: b.len,
                ulMACLen: two,
            };
            with(&door, verb, &[CKM_AES_CCM], &mut p);
        }
        8 => {
            let mut p = CK_GCM_WRAP_PARAMS {
                pIv: a.at(),
                ulIvLen: a.len,
                ulIvFixedBits: three,
                ivGenerator: if verb.is_multiple_of(2) { one % 6 } else { one },
                pAAD: b.at(),
                ulAADLen: b.len,
                ulTagBits: if verb.is_multiple_of(3) { 128 } else { two },
            };
            with(&door, verb, &[CKM_AES_GCM], &mut p);
        }
        9 => {
            let mut p = CK_CCM_WRAP_PARAMS {
                ulDataLen: four,
                pNonce: a.at(),
                ulNonceLen: a.len,
                ulNonceFixedBits: three,
                nonceGenerator: if verb.is_multiple_of(2) { one % 6 } else { one },
                pAAD: b.at(),
                ulAADLen: b.len,
                ulMACLen: two,
            };
            with(&door, verb, &[CKM_AES_CCM], &mut p);
        }
        _ => {
            let mut p = CK_AES_CTR_PARAMS { ulCounterBits: one, cb: [7; 16] };
            with(&door, verb, &[CKM_AES_CTR], &mut p);
        }
    }
}

/// Mechanisms whose parameter, if any, holds no pointer.
const PLAIN: [CK_MECHANISM_TYPE; 16] = [
    CKM_AES_ECB,
    CKM_AES_CBC,
    CKM_AES_CBC_PAD,
    CKM_AES_KEY_WRAP,
    CKM_AES_KEY_WRAP_KWP,
    CKM_AES_CMAC,
    CKM_AES_CMAC_GENERAL,
    CKM_SHA256_HMAC,
    CKM_SHA256_HMAC_GENERAL,
    CKM_RSA_PKCS,
    CKM_RSA_X_509,
    CKM_SHA256_RSA_PKCS,
    CKM_ECDSA,
    CKM_ECDSA_SHA256,
    CKM_SHA512,
    CKM_AES_CTS,
];

fn plain(door: &Door, verb: u8, bytes: &mut [u8]) {
    let mechanism = PLAIN.get(usize::from(verb) % PLAIN.len()).copied().unwrap_or(CKM_AES_CBC);
    let at = if bytes.is_empty() { null_mut() } else { bytes.as_mut_ptr().cast() };
    every_verb(door, CK_MECHANISM { mechanism, pParameter: at, ulParameterLen: bytes.len() as CK_ULONG });
}

fn with<T>(door: &Door, verb: u8, mechanisms: &[CK_MECHANISM_TYPE], parameter: &mut T) {
    let mechanism = mechanisms.get(usize::from(verb) % mechanisms.len()).copied().unwrap_or_default();
    // One byte more or less is a wrong length, which is all that is looked at then.
    let len = size_of::<T>() - usize::from(verb % 16 == 15);
    let at: *mut c_void = std::ptr::from_mut(parameter).cast();
    every_verb(door, CK_MECHANISM { mechanism, pParameter: at, ulParameterLen: len as CK_ULONG });
}

/// Begins, tries and ends every operation with every key.
fn every_verb(door: &Door, mut how: CK_MECHANISM) {
    let (session, how) = (door.session, &raw mut how);
    let (mut data, mut out) = ([3_u8; 48], [0_u8; 4096]);
    let (from, to) = (data.as_mut_ptr(), out.as_mut_ptr());
    for &key in &door.keys {
        let room = || out.len() as CK_ULONG;
        let mut len = room();
        if call!(door, C_SignInit(session, how, key)) == CKR_OK {
            call!(door, C_Sign(session, from, 32, to, &raw mut len));
        }
        if call!(door, C_VerifyInit(session, how, key)) == CKR_OK {
            call!(door, C_Verify(session, from, 32, to, 64));
        }
        len = room();
        if call!(door, C_EncryptInit(session, how, key)) == CKR_OK {
            call!(door, C_Encrypt(session, from, 32, to, &raw mut len));
        }
        len = room();
        if call!(door, C_DecryptInit(session, how, key)) == CKR_OK {
            call!(door, C_Decrypt(session, from, 48, to, &raw mut len));
        }
        len = room();
        call!(door, C_WrapKey(session, how, key, key, to, &raw mut len));
        len = room();
        let mut made = 0;
        // SAFETY: as in `call`; a list of its own, because only the newest has these functions.
        let encapsulated = unsafe {
            (door.list_3_2.C_EncapsulateKey.unwrap())(session, how, key, null_mut(), 0, to, &raw mut len, &raw mut made)
        };
        if encapsulated == CKR_OK {
            call!(door, C_DestroyObject(session, made));
        }
        // SAFETY: as above.
        let decapsulated = unsafe {
            (door.list_3_2.C_DecapsulateKey.unwrap())(session, how, key, null_mut(), 0, from, 32, &raw mut made)
        };
        if decapsulated == CKR_OK {
            call!(door, C_DestroyObject(session, made));
        }
        if call!(door, C_DeriveKey(session, how, key, null_mut(), 0, &raw mut made)) == CKR_OK {
            call!(door, C_DestroyObject(session, made));
        }
    }
    if call!(door, C_DigestInit(session, how)) == CKR_OK {
        let mut len = out.len() as CK_ULONG;
        call!(door, C_Digest(session, from, 32, to, &raw mut len));
    }
}
