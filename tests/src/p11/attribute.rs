//! Attributes that own their values.

use cryptoki_sys::*;

/// A type and its value's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attr {
    /// CKA_…
    pub kind: CK_ATTRIBUTE_TYPE,
    /// The value as it lies in memory.
    pub value: Vec<u8>,
}

/// A CK_BBOOL.
#[must_use]
pub fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Attr {
    Attr { kind, value: vec![u8::from(value)] }
}

/// A CK_ULONG.
#[must_use]
pub fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Attr {
    Attr { kind, value: value.to_ne_bytes().to_vec() }
}

/// A string.
#[must_use]
pub fn text(kind: CK_ATTRIBUTE_TYPE, value: &str) -> Attr {
    raw(kind, value.as_bytes())
}

/// Bytes.
#[must_use]
pub fn raw(kind: CK_ATTRIBUTE_TYPE, value: impl AsRef<[u8]>) -> Attr {
    Attr { kind, value: value.as_ref().to_vec() }
}

/// The C array over these attributes, valid as long as they are.
pub(super) fn array(attributes: &[Attr]) -> Vec<CK_ATTRIBUTE> {
    let one = |a: &Attr| CK_ATTRIBUTE {
        type_: a.kind,
        pValue: a.value.as_ptr().cast_mut().cast(),
        ulValueLen: a.value.len() as CK_ULONG,
    };
    attributes.iter().map(one).collect()
}
