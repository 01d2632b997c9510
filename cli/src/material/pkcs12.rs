//! PKCS #12 (RFC 7292): keys with their certificates under one passphrase.

use libkmss::key::KeyComponents;
use libkmss::mechanism::KeyType;
use libkmss::secret::Secret;
use p12_keystore::Pkcs12Archive;
use p12_keystore::secret::SecretKeyType;

use super::{Incoming, Item, asn1};
use crate::output::Failure;

/// Whether the bytes begin as a PKCS #12 file does: a SEQUENCE that starts with version 3.
pub(super) fn is_one(der: &[u8]) -> bool {
    let body = match der {
        [0x30, 0x84, _, _, _, _, body @ ..]
        | [0x30, 0x83, _, _, _, body @ ..]
        | [0x30, 0x82, _, _, body @ ..]
        | [0x30, 0x81, _, body @ ..]
        | [0x30, _, body @ ..] => body,
        _ => return false,
    };
    body.starts_with(&[0x02, 0x01, 0x03, 0x30])
}

/// Keys first, then certificates.
///
/// # Errors
/// A wrong passphrase, encryption that is not read any more, or an unknown kind of key.
pub(super) fn parse(der: &[u8], passphrase: &Secret) -> Result<Vec<Incoming>, Failure> {
    let text = std::str::from_utf8(passphrase.expose()).map_err(|_| "the passphrase is no UTF-8 text")?;
    let archive = Pkcs12Archive::from_pkcs12(der, text).map_err(|e| match e {
        p12_keystore::error::Error::UnsupportedEncryptionScheme => Failure::from(
            "the PKCS #12 file is encrypted in a way that is not read any more (RC2, triple DES); write it anew \
                 with OpenSSL 3: openssl pkcs12 -legacy -in FILE -out keys.pem, then openssl pkcs12 -export",
        ),
        p12_keystore::error::Error::MacError(_) => "the passphrase is wrong, or the PKCS #12 file is damaged".into(),
        other => format!("the PKCS #12 file cannot be read: {other}").into(),
    })?;
    let mut found = Vec::new();
    for bag in &archive.keys {
        found.push(Incoming { name: bag.friendly_name.clone(), ..asn1::pkcs8(bag.key.as_der())?.into() });
    }
    for bag in &archive.secrets {
        let value = Secret::copy_of(bag.key.key());
        let item = match bag.key.key_type() {
            SecretKeyType::Aes => Item::Key(KeyComponents::Secret { key_type: KeyType::Aes, value }),
            _ => Item::Untyped(value),
        };
        found.push(Incoming { item, name: bag.friendly_name.clone(), uses: None });
    }
    for bag in &archive.certs {
        let item = Item::Certificate(bag.cert.as_der().to_vec());
        found.push(Incoming { item, name: bag.friendly_name.clone(), uses: None });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pkcs12_file_is_told_by_its_version() {
        assert!(is_one(&[0x30, 0x82, 1, 2, 0x02, 0x01, 0x03, 0x30]));
        assert!(!is_one(&[0x30, 0x82, 1, 2, 0x02, 0x01, 0x00, 0x30]));
        assert!(!is_one(b""));
        assert!(parse(&[0x30, 0x82, 1, 2, 0x02, 0x01, 0x03, 0x30], &Secret::copy_of(b"x")).is_err());
    }
}
