//! Private keys that come wrapped: any bytes under an AES key are PKCS #8 of some type, or the one error that all else is.
#![expect(unsafe_code, reason = "the door is a C interface")]

use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::door::{attribute, call, door};
use crate::input::Input;

/// What the bytes are said to be. Computing the public half of an SLH-DSA key takes as long as a thousand others.
const TYPES: [CK_KEY_TYPE; 8] =
    [CKK_RSA, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY, CKK_DH, CKK_ML_DSA, CKK_ML_KEM, CKK_AES];

/// Encrypts `data` and has it unwrapped.
pub fn run(data: &[u8]) {
    let door = door();
    let mut input = Input(data);
    let mut key_type = TYPES.get(usize::from(input.byte()) % TYPES.len()).copied().unwrap_or(CKK_RSA);
    let mut class = if key_type == CKK_AES { CKO_SECRET_KEY } else { CKO_PRIVATE_KEY };
    let mut plain = input.0.to_vec();
    let key = door.keys.first().copied().unwrap_or_default();
    let mut iv = [7_u8; 16];
    let mut how = CK_MECHANISM { mechanism: CKM_AES_CBC_PAD, pParameter: iv.as_mut_ptr().cast(), ulParameterLen: 16 };
    let mut wrapped = vec![0_u8; plain.len() + 16];
    let (mut len, from) = (wrapped.len() as CK_ULONG, plain.len() as CK_ULONG);
    let (session, to) = (door.session, wrapped.as_mut_ptr());
    assert_eq!(call!(door, C_EncryptInit(session, &raw mut how, key)), CKR_OK);
    if call!(door, C_Encrypt(session, plain.as_mut_ptr(), from, to, &raw mut len)) != CKR_OK {
        return;
    }
    let mut template = [attribute(CKA_CLASS, &mut class), attribute(CKA_KEY_TYPE, &mut key_type)];
    let mut made = 0;
    let unwrapped =
        call!(door, C_UnwrapKey(session, &raw mut how, key, to, len, template.as_mut_ptr(), 2, &raw mut made));
    if unwrapped == CKR_OK {
        let mut value = CK_ATTRIBUTE { type_: CKA_PUBLIC_KEY_INFO, pValue: null_mut(), ulValueLen: 0 };
        call!(door, C_GetAttributeValue(session, made, &raw mut value, 1));
        assert_eq!(call!(door, C_DestroyObject(session, made)), CKR_OK);
    }
}
