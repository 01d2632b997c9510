//! Templates as well-behaved and as hostile callers give them.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]

use std::ffi::c_void;
use std::ptr::null_mut;

use cryptoki_sys::*;

use super::*;

fn attribute(type_: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_, pValue: value.as_ptr().cast_mut().cast(), ulValueLen: value.len() as CK_ULONG }
}

fn read_all(attributes: &[CK_ATTRIBUTE]) -> Result<Template> {
    // SAFETY: a slice of attributes whose values live in the caller.
    unsafe { read(attributes.as_ptr(), attributes.len() as CK_ULONG) }
}

#[test]
fn a_template_is_read_with_typed_access() {
    let class = CKO_SECRET_KEY.to_ne_bytes();
    let template = read_all(&[attribute(CKA_CLASS, &class), attribute(CKA_TOKEN, &[CK_TRUE])]).unwrap();
    assert_eq!(template.number(CKA_CLASS), Ok(Some(CKO_SECRET_KEY)));
    assert_eq!(template.flag(CKA_TOKEN), Ok(Some(true)));
    assert_eq!(template.flag(CKA_PRIVATE), Ok(None));
    assert_eq!(template.flag(CKA_CLASS), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(template.number(CKA_TOKEN), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
}

#[test]
fn null_values_with_a_length_and_absurd_lengths_are_refused() {
    let byte = [0_u8];
    for (at, len) in [
        (null_mut::<c_void>(), 1),
        (byte.as_ptr().cast_mut().cast(), CK_ULONG::MAX),
        (byte.as_ptr().cast_mut().cast(), CK_ULONG::MAX / 2 + 1),
        (byte.as_ptr().cast_mut().cast(), (1 << 24) + 1),
    ] {
        let bad = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: at, ulValueLen: len };
        assert_eq!(read_all(&[bad]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }
    let empty = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 0 };
    assert_eq!(read_all(&[empty]).unwrap().get(CKA_LABEL), Some([].as_slice()));
}

#[test]
fn absurd_counts_are_refused_before_anything_is_read() {
    let one = attribute(CKA_TOKEN, &[1]);
    for count in [257, CK_ULONG::MAX, CK_ULONG::MAX / 24] {
        // SAFETY: refused by the count alone.
        assert_eq!(unsafe { read(&raw const one, count) }, Err(Rv(CKR_ARGUMENTS_BAD)));
        let mut one = one;
        assert_eq!(unsafe { fill(&raw mut one, count, |_| Ok(Answer::Unknown)) }, Err(Rv(CKR_ARGUMENTS_BAD)));
    }
    assert_eq!(unsafe { read(null_mut(), 1) }, Err(Rv(CKR_ARGUMENTS_BAD)));
    assert_eq!(unsafe { read(null_mut(), 0) }, Ok(Template::default()));
}

#[test]
fn an_attribute_given_twice_must_say_the_same() {
    let (a, b) = (attribute(CKA_LABEL, b"a"), attribute(CKA_LABEL, b"b"));
    assert!(read_all(&[a, a]).is_ok());
    assert_eq!(read_all(&[a, b]), Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
}

#[test]
fn a_misaligned_array_is_read_and_filled() {
    let mut label = [0_u8; 3];
    let given = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: label.as_mut_ptr().cast(), ulValueLen: 3 };
    let mut bytes = [0_u8; size_of::<CK_ATTRIBUTE>() + 1];
    let at = bytes.as_mut_ptr().wrapping_add(1).cast::<CK_ATTRIBUTE>();
    unsafe { at.write_unaligned(given) };
    assert_eq!(unsafe { read(at, 1) }.unwrap().get(CKA_LABEL), Some([0; 3].as_slice()));
    unsafe { fill(at, 1, |_| Ok(Answer::bytes(b"ab"))) }.unwrap();
    assert_eq!(unsafe { at.read_unaligned() }.ulValueLen, 2);
    assert_eq!(&label, b"ab\0");
}

#[test]
fn what_can_be_filled_is_filled_and_the_rest_is_marked() {
    let mut id = [0_u8; 4];
    let mut attributes = [
        CK_ATTRIBUTE { type_: CKA_VALUE, pValue: null_mut(), ulValueLen: 0 },
        CK_ATTRIBUTE { type_: CKA_ID, pValue: id.as_mut_ptr().cast(), ulValueLen: 4 },
        CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 99 },
        CK_ATTRIBUTE { type_: CKA_MODULUS, pValue: null_mut(), ulValueLen: 0 },
    ];
    let answers = |kind| {
        Ok(match kind {
            CKA_VALUE => Answer::Sensitive,
            CKA_ID => Answer::bytes(b"id"),
            CKA_LABEL => Answer::bytes(b"label"),
            _ => Answer::Unknown,
        })
    };
    let result = unsafe { fill(attributes.as_mut_ptr(), 4, answers) };
    assert_eq!(result, Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
    let lengths = attributes.map(|a| a.ulValueLen);
    assert_eq!(lengths, [CK_UNAVAILABLE_INFORMATION, 2, 5, CK_UNAVAILABLE_INFORMATION]);
    assert_eq!(&id, b"id\0\0");
    let result = unsafe { fill(attributes.as_mut_ptr().add(1), 3, answers) };
    assert_eq!(result, Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)));
}

#[test]
fn a_short_buffer_is_marked_and_not_touched() {
    let mut label = *b"??";
    let mut one = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: label.as_mut_ptr().cast(), ulValueLen: 2 };
    let result = unsafe { fill(&raw mut one, 1, |_| Ok(Answer::bytes(b"label"))) };
    assert_eq!(result, Err(Rv(CKR_BUFFER_TOO_SMALL)));
    assert_eq!((one.ulValueLen, label), (CK_UNAVAILABLE_INFORMATION, *b"??"));
}

#[test]
fn templates_inside_templates_are_read_kept_and_filled_again() {
    let inner = [attribute(CKA_SENSITIVE, &[CK_TRUE]), attribute(CKA_LABEL, b"x")];
    // SAFETY: the bytes of two attributes.
    let bytes = unsafe { std::slice::from_raw_parts(inner.as_ptr().cast::<u8>(), size_of_val(&inner)) };
    let template = read_all(&[attribute(CKA_UNWRAP_TEMPLATE, bytes)]).unwrap();
    let kept = Template::decode(template.get(CKA_UNWRAP_TEMPLATE).unwrap()).unwrap();
    assert_eq!(kept, Template::of(&[(CKA_SENSITIVE, &[1]), (CKA_LABEL, b"x")]));
    let half = attribute(CKA_UNWRAP_TEMPLATE, &[0; size_of::<CK_ATTRIBUTE>() / 2]);
    assert_eq!(read_all(&[half]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));

    let mut out = [CK_ATTRIBUTE { type_: 0, pValue: null_mut(), ulValueLen: 0 }; 2];
    let mut asked = CK_ATTRIBUTE {
        type_: CKA_UNWRAP_TEMPLATE,
        pValue: out.as_mut_ptr().cast(),
        ulValueLen: size_of_val(&out) as CK_ULONG,
    };
    unsafe { fill(&raw mut asked, 1, |_| Ok(Answer::Nested(kept.clone()))) }.unwrap();
    assert_eq!(out.map(|a| (a.type_, a.ulValueLen)), [(CKA_SENSITIVE, 1), (CKA_LABEL, 1)]);
}

#[test]
fn a_template_within_a_template_within_a_template_is_refused() {
    let deep = [attribute(CKA_WRAP_TEMPLATE, &[])];
    // SAFETY: the bytes of one attribute.
    let bytes = unsafe { std::slice::from_raw_parts(deep.as_ptr().cast::<u8>(), size_of_val(&deep)) };
    assert_eq!(read_all(&[attribute(CKA_WRAP_TEMPLATE, bytes)]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
}

#[test]
fn damaged_kept_templates_are_no_templates() {
    let whole = Template::of(&[(CKA_LABEL, b"label")]).encode();
    for len in 1..whole.len() {
        assert_eq!(Template::decode(whole.get(..len).unwrap()), None, "{len}");
    }
    let mut huge = whole;
    huge.splice(8..16, u64::MAX.to_be_bytes());
    assert_eq!(Template::decode(&huge), None);
}

#[test]
fn a_template_prints_nothing_of_its_values() {
    let template = Template::of(&[(CKA_VALUE, b"secret")]);
    assert_eq!(format!("{template:?} {:?}", Answer::bytes(b"secret")), "{17: 6} Value(6 bytes)");
}
