//! Templates of attributes: any types, values and lengths, in every function that takes a template.
#![expect(unsafe_code, reason = "the door is a C interface")]

use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::door::{Door, call, door};
use crate::input::Input;

/// The most attributes of one template.
const MOST: usize = 24;

/// A template with the memory that its pointers lead to.
struct Template {
    attributes: Vec<CK_ATTRIBUTE>,
    _values: Vec<Vec<u8>>,
}

/// Reads templates from `data` and gives them to one function after the other.
pub fn run(data: &[u8]) {
    let door = door();
    let mut input = Input(data);
    for _ in 0..4 {
        if input.0.is_empty() {
            break;
        }
        one(&door, &mut input);
    }
}

fn one(door: &Door, input: &mut Input<'_>) {
    let (verb, which) = (input.byte() % 8, usize::from(input.byte()));
    let key = door.keys.get(which % door.keys.len()).copied().unwrap_or_default();
    let mut template = Template::read(input);
    let at = if template.attributes.is_empty() { null_mut() } else { template.attributes.as_mut_ptr() };
    let (count, session, mut made) = (template.attributes.len() as CK_ULONG, door.session, 0);
    let mut how = CK_MECHANISM { mechanism: CKM_AES_KEY_GEN, pParameter: null_mut(), ulParameterLen: 0 };
    match verb {
        0 => drop(call!(door, C_CreateObject(session, at, count, &raw mut made))),
        1 => drop(call!(door, C_CopyObject(session, key, at, count, &raw mut made))),
        2 => drop(call!(door, C_SetAttributeValue(session, key, at, count))),
        3 => drop(call!(door, C_GetAttributeValue(session, key, at, count))),
        4 => {
            if call!(door, C_FindObjectsInit(session, at, count)) == CKR_OK {
                let (mut found, mut number) = ([0; 8], 0);
                call!(door, C_FindObjects(session, found.as_mut_ptr(), 8, &raw mut number));
                assert_eq!(call!(door, C_FindObjectsFinal(session)), CKR_OK);
            }
        }
        5 => drop(call!(door, C_GenerateKey(session, &raw mut how, at, count, &raw mut made))),
        6 => {
            let mut public = 0;
            how.mechanism = CKM_EC_KEY_PAIR_GEN;
            let keys = (&raw mut public, &raw mut made);
            if call!(door, C_GenerateKeyPair(session, &raw mut how, at, count, at, count, keys.0, keys.1)) == CKR_OK {
                call!(door, C_DestroyObject(session, public));
            }
        }
        _ => {
            how.mechanism = CKM_AES_KEY_WRAP_KWP;
            let mut blob = [0x5A; 40];
            let wrapped = blob.as_mut_ptr();
            call!(door, C_UnwrapKey(session, &raw mut how, key, wrapped, 40, at, count, &raw mut made));
        }
    }
    if made != 0 {
        call!(door, C_DestroyObject(session, made));
    }
}

impl Template {
    fn read(input: &mut Input<'_>) -> Self {
        let mut values = Vec::new();
        let mut attributes = Vec::new();
        for _ in 0..usize::from(input.byte()) % (MOST + 1) {
            let kind = match input.byte() {
                // Types of the standard lie below 0x700; the array attributes have a bit of their own.
                0..=199 => input.number() & 0x7FF,
                200..=229 => CKF_ARRAY_ATTRIBUTE | input.number() & 0x7FF,
                _ => input.number(),
            };
            let form = input.byte();
            let mut value = match form % 8 {
                0..=3 => input.bytes().to_vec(),
                4 => input.number().to_ne_bytes().to_vec(),
                5 => vec![input.byte() % 2],
                _ => Vec::new(),
            };
            // A null pointer may come with any length; others are as long as they say.
            let announced = if form % 8 == 7 { CK_ULONG::MAX >> (form / 8) } else { value.len() as CK_ULONG };
            let at = if value.is_empty() { null_mut() } else { value.as_mut_ptr().cast() };
            attributes.push(CK_ATTRIBUTE { type_: kind as CK_ATTRIBUTE_TYPE, pValue: at, ulValueLen: announced });
            values.push(value);
        }
        // Arrays of attributes hold pointers themselves: bytes in their place would be wild ones.
        for attribute in &mut attributes {
            if attribute.type_ & CKF_ARRAY_ATTRIBUTE != 0 && attribute.type_ != CKA_ALLOWED_MECHANISMS {
                attribute.pValue = null_mut();
            }
        }
        Self { attributes, _values: values }
    }
}
