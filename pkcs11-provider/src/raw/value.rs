//! The values in a template.

use std::fmt;
use std::ops::Deref;

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CKA_COEFFICIENT, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_PRIME_1, CKA_PRIME_2,
    CKA_PRIVATE_EXPONENT, CKA_VALUE,
};
use zeroize::Zeroizing;

/// Bytes that are wiped when dropped.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

/// Most bytes of a value that takes no memory of its own: flags and numbers.
const SHORT: usize = 15;

/// The value of an attribute, wiped when dropped where it may be secret.
#[derive(Clone)]
pub(super) struct Value(Form);

#[derive(Clone)]
enum Form {
    /// So many of the bytes. Never a secret: where it was moved from, it stays.
    Short(u8, [u8; SHORT]),
    Long(Bytes),
}

impl Value {
    /// A copy of `bytes`, the value of an attribute of this type.
    pub(super) fn of(kind: CK_ATTRIBUTE_TYPE, bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        Self(match (u8::try_from(bytes.len()), short.get_mut(..bytes.len())) {
            (Ok(len), Some(front)) if !may_be_secret(kind) => {
                front.copy_from_slice(bytes);
                Form::Short(len, short)
            }
            _ => Form::Long(Zeroizing::new(bytes.to_vec())),
        })
    }
}

/// Whether the attribute is a part of a secret or private key, or the content of an object.
const fn may_be_secret(kind: CK_ATTRIBUTE_TYPE) -> bool {
    matches!(
        kind,
        CKA_VALUE
            | CKA_PRIVATE_EXPONENT
            | CKA_PRIME_1
            | CKA_PRIME_2
            | CKA_EXPONENT_1
            | CKA_EXPONENT_2
            | CKA_COEFFICIENT
            | c::CKA_SEED
    )
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Form::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKA_LABEL, CKA_TOKEN};

    #[test]
    fn a_value_is_what_was_given_whatever_its_length() {
        for len in [0, 1, 8, SHORT, SHORT + 1, 300] {
            let given: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
            for kind in [CKA_LABEL, CKA_VALUE] {
                assert_eq!(*Value::of(kind, &given), given);
                assert_eq!(Value::of(kind, &given), Value::of(kind, &given).clone());
            }
        }
        assert_ne!(Value::of(CKA_TOKEN, &[1]), Value::of(CKA_TOKEN, &[1, 0]));
        assert_eq!(format!("{:?}", Value::of(CKA_TOKEN, &[1])), "Value(1 bytes)");
    }

    #[test]
    fn what_may_be_secret_lies_in_memory_that_is_wiped() {
        assert!(matches!(Value::of(CKA_VALUE, &[1]).0, Form::Long(_)));
        assert!(matches!(Value::of(CKA_TOKEN, &[1]).0, Form::Short(..)));
    }
}
