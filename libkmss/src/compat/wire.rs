//! The long forms and the short one of user keys in DER.
//!
//! ```text
//! SEQUENCE { INTEGER kind (1 business, 2 user), INTEGER algorithm, BOOLEAN padded, OCTET STRING ciphertext,
//!   [0] OCTET STRING iv, [1] UTF8String key id in hex | OCTET STRING key id, [2] UTF8String key check in hex,
//!   [3] UTF8String application, [5] OCTET STRING wrapped user key }      -- all tags explicit
//! ```

use der::asn1::{Any, OctetString};
use der::{Decode as _, Encode as _, Sequence, Tag};

use super::{Application, Business, Message, Sealed, refused, whole};
use crate::error::{Error, ErrorKind, Result};

const BUSINESS: u8 = 1;
const USER: u8 = 2;

#[derive(Sequence)]
struct Wire {
    kind: u8,
    algorithm: u32,
    padded: bool,
    ciphertext: OctetString,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    iv: OctetString,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    key: Any,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    check: Option<String>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    application: Option<String>,
    #[asn1(context_specific = "5", tag_mode = "EXPLICIT", optional = "true")]
    wrapped: Option<OctetString>,
}

/// Reads DER.
pub(super) fn parse(der: &[u8]) -> Result<Message> {
    let wire = Wire::from_der(der).map_err(|_| refused())?;
    let sealed = Sealed {
        algorithm: wire.algorithm,
        padded: wire.padded,
        ciphertext: whole(wire.ciphertext.as_bytes().to_vec())?,
        iv: wire.iv.as_bytes().try_into().map_err(|_| refused())?,
    };
    let application = wire.application.as_deref().map(Application::parse).transpose().map_err(|_| refused())?;
    match (wire.kind, wire.check, application, wire.wrapped) {
        (BUSINESS, Some(check), Some(application), None) => {
            let key = wire.key.decode_as::<String>().map_err(|_| refused())?;
            let (key, check) = (from_hex(&key)?, from_hex(&check)?);
            Ok(Message::Business(Business { sealed, key, check, application }))
        }
        (USER, None, application, wrapped) => {
            let key = wire.key.decode_as::<OctetString>().map_err(|_| refused())?;
            let key = key.as_bytes().try_into().map_err(|_| refused())?;
            let long = match (application, wrapped) {
                (None, None) => None,
                (Some(application), Some(wrapped)) => match parse_business(wrapped.as_bytes())? {
                    Message::Business(business) => Some((application, Box::new(business))),
                    _ => return Err(refused()),
                },
                _ => return Err(refused()),
            };
            Ok(Message::User { sealed, key, long })
        }
        _ => Err(refused()),
    }
}

/// What is inside a user ciphertext: never another one of those, so that nothing is nested deeper.
fn parse_business(der: &[u8]) -> Result<Message> {
    let wire = Wire::from_der(der).map_err(|_| refused())?;
    if wire.kind == BUSINESS { parse(der) } else { Err(refused()) }
}

/// DER of a ciphertext under a business key.
pub(super) fn business(of: &Business) -> Result<Vec<u8>> {
    let key = Any::new(Tag::Utf8String, to_hex(&of.key).into_bytes()).map_err(|_| unwritable())?;
    let wire = Wire {
        check: Some(to_hex(&of.check)),
        application: Some(of.application.as_str().to_owned()),
        ..common(BUSINESS, &of.sealed, key)?
    };
    wire.to_der().map_err(|_| unwritable())
}

/// DER of a ciphertext under a user key.
pub(super) fn user(sealed: &Sealed, key: &[u8; 16], long: Option<(&Application, &Business)>) -> Result<Vec<u8>> {
    let key = Any::new(Tag::OctetString, key.to_vec()).map_err(|_| unwritable())?;
    let mut wire = common(USER, sealed, key)?;
    if let Some((application, wrapped)) = long {
        wire.application = Some(application.as_str().to_owned());
        wire.wrapped = Some(OctetString::new(business(wrapped)?).map_err(|_| unwritable())?);
    }
    wire.to_der().map_err(|_| unwritable())
}

fn common(kind: u8, sealed: &Sealed, key: Any) -> Result<Wire> {
    Ok(Wire {
        kind,
        algorithm: sealed.algorithm,
        padded: sealed.padded,
        ciphertext: OctetString::new(sealed.ciphertext.clone()).map_err(|_| unwritable())?,
        iv: OctetString::new(sealed.iv.to_vec()).map_err(|_| unwritable())?,
        key,
        check: None,
        application: None,
        wrapped: None,
    })
}

fn unwritable() -> Error {
    Error::new(ErrorKind::Internal, "a ciphertext is too long for its format")
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| refused())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
    }
    Ok(bytes)
}
