//! What a ciphertext says of itself.

use serde::Serialize;

use super::wire::to_hex;
use super::{Business, Message, SM4_CBC, Sealed};
use crate::error::Result;

/// What a ciphertext of these formats says of itself. Nothing of it is proven: CBC has no authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// `business-long`, `business-short`, `user-long` or `user-short`.
    pub format: &'static str,
    /// `business` or `user`.
    pub kind: &'static str,
    /// The algorithm, by name where it has one that we know.
    pub algorithm: String,
    /// Whether the plaintext was padded.
    pub padded: bool,
    /// Bytes of the ciphertext.
    pub ciphertext_len: usize,
    /// The id of the key in hex, or its number in the short form of business keys.
    pub key: String,
    /// The version of the key, where it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// By what people tell another key of the same id apart, in hex: too short to decide anything by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_check: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The initialisation vector in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iv: Option<String>,
    /// The number of the vector, in the short form of business keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iv_number: Option<u32>,
    /// The user key that comes with it, as it is wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_key: Option<Box<Self>>,
}

/// Says what a ciphertext of these formats says of itself: Base64 of DER, DER itself, or the dotted short form.
///
/// # Errors
/// [`EncryptedDataInvalid`](crate::error::ErrorKind::EncryptedDataInvalid) for what is none of them.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    Ok(match Message::parse(bytes)? {
        Message::Business(business) => of_business(&business),
        Message::User { sealed, key, long } => {
            let format = if long.is_some() { "user-long" } else { "user-short" };
            let (application, user_key) = match &long {
                Some((application, wrapped)) => {
                    (Some(application.as_str().to_owned()), Some(Box::new(of_business(wrapped))))
                }
                None => (None, None),
            };
            Inspection { application, user_key, ..of_sealed(format, "user", to_hex(&key), &sealed) }
        }
        Message::Short { key, version, iv, ciphertext } => Inspection {
            format: "business-short",
            kind: "business",
            algorithm: algorithm(SM4_CBC),
            padded: true,
            ciphertext_len: ciphertext.len(),
            key: key.to_string(),
            key_version: Some(version),
            key_check: None,
            application: None,
            iv: None,
            iv_number: Some(iv),
            user_key: None,
        },
    })
}

fn of_business(business: &Business) -> Inspection {
    Inspection {
        key_check: Some(to_hex(&business.check)),
        application: Some(business.application.as_str().to_owned()),
        ..of_sealed("business-long", "business", to_hex(&business.key), &business.sealed)
    }
}

fn of_sealed(format: &'static str, kind: &'static str, key: String, sealed: &Sealed) -> Inspection {
    Inspection {
        format,
        kind,
        algorithm: algorithm(sealed.algorithm),
        padded: sealed.padded,
        ciphertext_len: sealed.ciphertext.len(),
        key,
        key_version: None,
        key_check: None,
        application: None,
        iv: Some(to_hex(&sealed.iv)),
        iv_number: None,
        user_key: None,
    }
}

/// The name of an algorithm (GM/T 0006), or its number.
fn algorithm(number: u32) -> String {
    match number {
        0x0101 => "SM1-ECB".to_owned(),
        0x0102 => "SM1-CBC".to_owned(),
        0x0401 => "SM4-ECB".to_owned(),
        SM4_CBC => "SM4-CBC".to_owned(),
        other => format!("{other:#06x}"),
    }
}
