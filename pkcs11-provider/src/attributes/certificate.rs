//! The fields of an X.509 certificate that PKCS#11 shows as attributes (RFC 5280, 4.1).
//!
//! Only the outline is read, each field as the bytes it is: clients compare them byte by byte, and certificates with
//! odd contents are still theirs to keep.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CKA_ISSUER, CKA_PUBLIC_KEY_INFO, CKA_SERIAL_NUMBER, CKA_SUBJECT};
use der::{Decode, Header, Reader, SliceReader, Tag};

/// The fields, each a complete DER element inside the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
}

impl<'a> Outline<'a> {
    /// Reads the outline; `None` where `der` is not one whole certificate.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let body = content(der, Tag::Sequence)?;
        let mut reader = SliceReader::new(body).ok()?;
        let mut reader = SliceReader::new(content(reader.tlv_bytes().ok()?, Tag::Sequence)?).ok()?;
        if reader.peek_byte() == Some(VERSION) {
            reader.tlv_bytes().ok()?;
        }
        let serial = reader.tlv_bytes().ok()?;
        let (_signature, issuer) = (reader.tlv_bytes().ok()?, reader.tlv_bytes().ok()?);
        let (_validity, subject) = (reader.tlv_bytes().ok()?, reader.tlv_bytes().ok()?);
        let public_key = reader.tlv_bytes().ok()?;
        let well_made = content(serial, Tag::Integer).is_some()
            && [issuer, subject, public_key].iter().all(|field| content(field, Tag::Sequence).is_some());
        well_made.then_some(Self { serial, issuer, subject, public_key })
    }

    /// The field that an attribute shows.
    pub(crate) const fn field(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&'a [u8]> {
        match kind {
            CKA_SERIAL_NUMBER => Some(self.serial),
            CKA_ISSUER => Some(self.issuer),
            CKA_SUBJECT => Some(self.subject),
            CKA_PUBLIC_KEY_INFO => Some(self.public_key),
            _ => None,
        }
    }
}

/// First byte of the optional version: context-specific, constructed, number 0.
const VERSION: u8 = 0xA0;

/// The content of `element`, which is exactly one element with this tag.
fn content(element: &[u8], tag: Tag) -> Option<&[u8]> {
    let mut reader = SliceReader::new(element).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let inside = reader.read_slice(header.length()).ok()?;
    (header.tag() == tag && reader.is_finished()).then_some(inside)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// SEQUENCE { TBS { [0] 2, serial 5, {}, issuer {NULL}, {}, subject {}, spki {NULL} } }
    const SMALL: &[u8] = &[
        0x30, 0x16, 0x30, 0x14, 0xA0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x05, 0x30, 0x00, 0x30, 0x02, 0x05, 0x00,
        0x30, 0x00, 0x30, 0x00, 0x30, 0x00,
    ];

    #[test]
    fn the_fields_are_the_elements_of_the_certificate() {
        let outline = Outline::read(SMALL).unwrap();
        assert_eq!(outline.field(CKA_SERIAL_NUMBER), Some([2, 1, 5].as_slice()));
        assert_eq!(outline.field(CKA_ISSUER), Some([0x30, 2, 5, 0].as_slice()));
        assert_eq!(outline.field(CKA_SUBJECT), Some([0x30, 0].as_slice()));
        assert_eq!(outline.field(cryptoki_sys::CKA_LABEL), None);
    }

    #[test]
    fn anything_cut_short_or_longer_is_no_certificate() {
        for len in 0..SMALL.len() {
            assert_eq!(Outline::read(SMALL.get(..len).unwrap()), None, "{len}");
        }
        assert_eq!(Outline::read(&[SMALL, &[0]].concat()), None);
        assert_eq!(Outline::read(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}
