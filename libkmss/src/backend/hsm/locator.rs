//! Where a key is in a device: what stands in its record, and how it is found again.

use cryptoki::object::{Attribute, ObjectClass};

use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyClass;

/// First bytes of every locator: what it is, and the version of its form.
const MAGIC: &[u8] = b"hsm\x01";

/// First bytes of what a key has that is in several devices.
const SEVERAL: &[u8] = b"hsm\x02";
/// Most of them.
pub(super) const MOST: usize = 8;

/// The places of a stored key: one, or one in each of several devices, told apart by the serial numbers of their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// Which half.
    pub(super) class: KeyClass,
    /// At least one.
    pub(super) places: Vec<Locator>,
    /// All this as it stands in the record. Of one place, it is that place's own.
    pub(super) bytes: Vec<u8>,
}

impl Replicas {
    /// The key that is in `places`, which hold one half each, in tokens of their own. Their order does not matter: the same
    /// places make the same bytes.
    pub(super) fn new(mut places: Vec<Locator>) -> Result<Self> {
        places.sort_by(|one, other| one.serial.cmp(&other.serial));
        let wrong = || Error::new(ErrorKind::Internal, "the replicas of a key are not in tokens of their own");
        let (first, rest) = places.split_first().ok_or_else(wrong)?;
        let class = first.class;
        let doubled = |(at, place): (usize, &Locator)| places.iter().take(at).any(|other| other.serial == place.serial);
        if rest.iter().any(|place| place.class != class)
            || places.iter().enumerate().any(doubled)
            || places.len() > MOST
        {
            return Err(wrong());
        }
        let bytes = if rest.is_empty() {
            first.bytes.clone()
        } else {
            let mut bytes = SEVERAL.to_vec();
            for place in &places {
                let len = u16::try_from(place.bytes.len()).map_err(|_| {
                    Error::new(ErrorKind::AttributeValue, "the CKA_ID or label of the HSM's key is too long")
                })?;
                bytes.extend_from_slice(&len.to_be_bytes());
                bytes.extend_from_slice(&place.bytes);
            }
            bytes
        };
        Ok(Self { class, places, bytes })
    }

    /// What [`Self::new`] made.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(mut rest) = bytes.strip_prefix(SEVERAL) else {
            return Self::new(vec![Locator::parse(bytes)?]);
        };
        let damaged = || Error::new(ErrorKind::Damaged, "a record does not say where in the HSMs its key is");
        let mut places = Vec::new();
        while let Some((len, behind)) = rest.split_first_chunk::<2>() {
            let (place, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or_else(damaged)?;
            places.push(Locator::parse(place)?);
            rest = behind;
        }
        if !rest.is_empty() || places.len() < 2 {
            return Err(damaged());
        }
        Self::new(places).map_err(|_| damaged())
    }

    /// Its place in the token with this serial number.
    pub(super) fn at(&self, serial: &str) -> Option<&Locator> {
        self.places.iter().find(|place| place.serial == serial)
    }

    /// The serial numbers, for people.
    pub(super) fn serials(&self) -> String {
        self.places.iter().map(|place| place.serial.as_str()).collect::<Vec<_>>().join(", ")
    }
}

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
    #[test]
    fn replicas_are_read_as_they_were_written_and_nothing_else_is() {
        let place = |serial: &str, class| Locator::new(class, serial, &[7; 16], None).unwrap();
        let one = place("a", KeyClass::Private);
        let alone = Replicas::new(vec![one.clone()]).unwrap();
        assert_eq!(alone.bytes, one.bytes);
        assert_eq!(Replicas::parse(&one.bytes).unwrap(), alone);
        let all =
            Replicas::new(vec![one.clone(), place("b", KeyClass::Private), place("c", KeyClass::Private)]).unwrap();
        assert_eq!(Replicas::parse(&all.bytes).unwrap(), all);
        assert_eq!(all.at("b"), Some(&place("b", KeyClass::Private)));
        assert_eq!(all.at("d"), None);
        let mut turned = all.places.clone();
        turned.reverse();
        assert_eq!(Replicas::new(turned).unwrap(), all);
        for len in 0..all.bytes.len() {
            // Cut between two places, the rest is a key with fewer.
            let cut = Replicas::parse(&all.bytes[..len]);
            assert!(cut.is_err() || cut.unwrap().places.len() == 2, "{len}");
        }
        assert!(Replicas::parse(&[all.bytes.as_slice(), &[0]].concat()).is_err());
        assert!(Replicas::new(Vec::new()).is_err());
        assert!(Replicas::new(vec![one.clone(), one.clone()]).is_err());
        assert!(Replicas::new(vec![one, place("b", KeyClass::Public)]).is_err());
        let many = (0..9).map(|n| place(&n.to_string(), KeyClass::Secret)).collect();
        assert!(Replicas::new(many).is_err());
        assert!(Replicas::parse(b"hsm\x03").is_err());
    }
}
