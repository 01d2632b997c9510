//! Where a key is in a device: what stands in its record, and how it is found again.

use cryptoki::object::{Attribute, ObjectClass};

use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyClass;

/// First bytes of every locator: what it is, and the version of its form.
const MAGIC: &[u8] = b"hsm\x01";

/// The place of a stored object. One object of a device has one locator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locator {
    /// Which half.
    pub(super) class: KeyClass,
    /// The serial number of the token.
    pub(super) serial: String,
    /// Its CKA_ID.
    pub(super) id: Vec<u8>,
    /// Its CKA_LABEL, where the identifier alone does not tell it from others.
    pub(super) label: Option<Vec<u8>>,
    /// All this as it stands in the record.
    pub(super) bytes: Vec<u8>,
}

impl Locator {
    pub(super) fn new(class: KeyClass, serial: &str, id: &[u8], label: Option<&[u8]>) -> Result<Self> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(match class {
            KeyClass::Secret => 1,
            KeyClass::Private => 2,
            KeyClass::Public => 3,
        });
        for field in [Some(serial.as_bytes()), Some(id), label].into_iter().flatten() {
            let len = u16::try_from(field.len()).map_err(|_| {
                Error::new(ErrorKind::AttributeValue, "the CKA_ID or label of the HSM's key is too long")
            })?;
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Ok(Self { class, serial: serial.to_owned(), id: id.to_vec(), label: label.map(<[u8]>::to_vec), bytes })
    }

    /// What [`Self::new`] made.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::Damaged, "a record does not say where in the HSM its key is");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (class, mut rest) = rest.split_first().ok_or_else(damaged)?;
        let class = match class {
            1 => KeyClass::Secret,
            2 => KeyClass::Private,
            3 => KeyClass::Public,
            _ => return Err(damaged()),
        };
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (len, behind) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
            let (field, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or_else(damaged)?;
            fields.push(field);
            rest = behind;
        }
        let (serial, id, label) = match *fields.as_slice() {
            [serial, id] => (serial, id, None),
            [serial, id, label] => (serial, id, Some(label)),
            _ => return Err(damaged()),
        };
        Self::new(class, std::str::from_utf8(serial).map_err(|_| damaged())?, id, label)
    }

    /// What the device is asked for.
    pub(super) fn template(&self) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(match self.class {
                KeyClass::Secret => ObjectClass::SECRET_KEY,
                KeyClass::Private => ObjectClass::PRIVATE_KEY,
                KeyClass::Public => ObjectClass::PUBLIC_KEY,
            }),
            Attribute::Token(true),
            Attribute::Id(self.id.clone()),
        ];
        template.extend(self.label.clone().map(Attribute::Label));
        template
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_locator_is_read_as_it_was_written_and_nothing_else_is_one() {
        for class in [KeyClass::Secret, KeyClass::Private, KeyClass::Public] {
            for label in [None, Some(b"label".as_slice()), Some(b"")] {
                let locator = Locator::new(class, "2f5b", &[0, 1, 2], label).unwrap();
                assert_eq!(Locator::parse(&locator.bytes).unwrap(), locator);
                for len in 0..locator.bytes.len() {
                    // A locator whose label is cut off whole is the one without.
                    let cut = Locator::parse(&locator.bytes[..len]);
                    assert!(cut.is_err() || cut.unwrap().label.is_none());
                }
                let longer = [locator.bytes.as_slice(), &[0]].concat();
                assert!(Locator::parse(&longer).is_err());
            }
        }
        assert!(Locator::new(KeyClass::Secret, "", &vec![0; 70_000], None).is_err());
    }
}
