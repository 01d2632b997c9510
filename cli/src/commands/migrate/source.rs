//! The other token: what is in it, as typed values.

use std::ffi::c_ulong;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType as TheirType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use libkmss::key::{KeyClass, KeyComponents, PublicComponents};
use libkmss::mechanism::{Hash, KeyType};
use libkmss::secret::Secret;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::OctetStringRef;

use super::found::{Found, Kind, curve, our_type, significant};
use crate::output::{self, Failure};

/// Every attribute that is asked for. The value of keys is not: it would be in clear.
const ATTRIBUTES: &[AttributeType] = &[
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Private,
    AttributeType::Modifiable,
    AttributeType::Copyable,
    AttributeType::Destroyable,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::WrapWithTrusted,
    AttributeType::AlwaysAuthenticate,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::SignRecover,
    AttributeType::Verify,
    AttributeType::VerifyRecover,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::StartDate,
    AttributeType::EndDate,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::ValueLen,
    AttributeType::CheckValue,
    AttributeType::Application,
    AttributeType::ObjectId,
    AttributeType::Subject,
];

/// The open token.
pub(super) struct Source {
    session: Session,
    // INVARIANT: declared after the session, so that it is dropped last.
    _module: Pkcs11,
}

impl Source {
    /// Opens the token labelled `label` of `module` as its user.
    ///
    /// # Errors
    /// The module cannot be loaded, has no such token, or the PIN is wrong.
    pub(super) fn open(module: &Path, label: &str, pin: &Secret) -> Result<Self, Failure> {
        let cannot = |e: cryptoki::error::Error| format!("cannot load the module `{}`: {e}", module.display());
        let library = Pkcs11::new(module).map_err(cannot)?;
        library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(cannot)?;
        let mut labels = Vec::new();
        for slot in library.get_slots_with_initialized_token()? {
            let token = library.get_token_info(slot)?;
            if token.label() != label {
                labels.push(format!("`{}`", output::plain(token.label())));
                continue;
            }
            let session = library.open_rw_session(slot)?;
            let text = std::str::from_utf8(pin.expose()).map_err(|_| "the other token's PIN is no UTF-8 text")?;
            session
                .login(UserType::User, Some(&AuthPin::new(text.into())))
                .map_err(|e| format!("the other token refuses the login ({})", short(&e)))?;
            return Ok(Self { session, _module: library });
        }
        Err(format!("the module has no token labelled `{label}`; it has {}", some(&labels)).into())
    }

    /// Every object: keys before certificates before data, private halves before public ones.
    ///
    /// # Errors
    /// The token cannot be read.
    pub(super) fn objects(&self) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        for handle in self.session.find_objects(&[Attribute::Token(true)])? {
            found.push(self.read(handle)?);
        }
        found.sort_by_key(|f| match f.kind {
            Kind::Key(KeyClass::Private, _) => 0,
            Kind::Key(KeyClass::Public, _) => 1,
            Kind::Key(KeyClass::Secret, _) => 2,
            Kind::Certificate => 3,
            Kind::Data => 4,
            Kind::Other => 5,
        });
        Ok(found)
    }

    /// A key that exists for this session only and wraps others.
    ///
    /// # Errors
    /// The token refuses it.
    pub(super) fn wrapping_key(&self, value: &[u8]) -> Result<ObjectHandle, Failure> {
        Ok(self.session.create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(TheirType::AES),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Wrap(true),
            Attribute::Value(value.to_vec()),
        ])?)
    }

    /// The key, wrapped by AES-KWP (SP 800-38F).
    ///
    /// # Errors
    /// The key may not leave the token.
    pub(super) fn wrap(&self, wrapping: ObjectHandle, key: &Found) -> Result<Vec<u8>, Failure> {
        self.session
            .wrap_key(&Mechanism::AesKeyWrapPad, wrapping, key.handle)
            .map_err(|e| format!("the other token does not give the key out ({})", short(&e)).into())
    }

    /// A private key on a curve that may be read in clear: some tokens cannot wrap the newer kinds.
    ///
    /// # Errors
    /// The token does not give it out.
    pub(super) fn scalar(&self, key: &Found) -> Result<Option<KeyComponents>, Failure> {
        let PublicComponents::Ec { curve, .. } = &key.public else { return Ok(None) };
        if key.protection.sensitive {
            return Ok(None);
        }
        let read = self.session.get_attributes(key.handle, &[AttributeType::Value])?;
        let value = read.into_iter().find_map(|attribute| match attribute {
            Attribute::Value(value) => Some(Secret::new(value)),
            _ => None,
        });
        Ok(value.map(|scalar| KeyComponents::EcPrivate { curve: *curve, scalar }))
    }

    fn read(&self, handle: ObjectHandle) -> Result<Found, Failure> {
        let mut found = Found::new(handle);
        let (mut class, mut key_type) = (None, None);
        let (mut modulus, mut exponent, mut parameters, mut point) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for attribute in self.session.get_attributes(handle, ATTRIBUTES)? {
            match attribute {
                Attribute::Class(value) => class = Some(value),
                Attribute::KeyType(value) => key_type = Some(value),
                Attribute::Modulus(value) => modulus = significant(&value),
                Attribute::PublicExponent(value) => exponent = significant(&value),
                Attribute::EcParams(value) => parameters = value,
                Attribute::EcPoint(value) => point = value,
                other => found.set(other),
            }
        }
        let ours = match key_type {
            Some(TheirType::SHA256_HMAC) => self.hmac(handle)?,
            Some(other) => our_type(other),
            None => None,
        };
        found.kind = match class {
            Some(ObjectClass::PRIVATE_KEY) => Kind::Key(KeyClass::Private, ours),
            Some(ObjectClass::PUBLIC_KEY) => Kind::Key(KeyClass::Public, ours),
            Some(ObjectClass::SECRET_KEY) => Kind::Key(KeyClass::Secret, ours),
            Some(ObjectClass::CERTIFICATE) => Kind::Certificate,
            Some(ObjectClass::DATA) => Kind::Data,
            _ => Kind::Other,
        };
        if !modulus.is_empty() {
            found.public = PublicComponents::Rsa { modulus, exponent };
        } else if let Some(curve) = curve(&parameters) {
            let bare = <&OctetStringRef>::from_der(&point).map_or(point.as_slice(), OctetStringRef::as_bytes);
            found.public = PublicComponents::Ec { curve, point: bare.to_vec() };
        }
        if matches!(found.kind, Kind::Certificate | Kind::Data) {
            for attribute in self.session.get_attributes(handle, &[AttributeType::Value])? {
                if let Attribute::Value(value) = attribute {
                    found.value = value;
                }
            }
        }
        if matches!(found.kind, Kind::Key(..)) {
            found.allowed = self.allowed(handle);
        }
        Ok(found)
    }

    /// Which SHA-2 the key is for. The library reads all their types as one, so the token is asked to find the key by each.
    fn hmac(&self, handle: ObjectHandle) -> Result<Option<KeyType>, Failure> {
        // PKCS#11 3.2, 6.21 to 6.25.
        let types = [(0x2E, Hash::Sha224), (0x2B, Hash::Sha256), (0x2C, Hash::Sha384), (0x2D, Hash::Sha512)];
        for (number, hash) in types {
            let number = c_ulong::to_ne_bytes(number).to_vec();
            let template =
                [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::VendorDefined((AttributeType::KeyType, number))];
            if self.session.find_objects(&template)?.contains(&handle) {
                return Ok(Some(KeyType::Hmac(hash)));
            }
        }
        Ok(None)
    }

    fn allowed(&self, handle: ObjectHandle) -> Result<Vec<u64>, String> {
        let read = self.session.get_attributes(handle, &[AttributeType::AllowedMechanisms]);
        let read = read.map_err(|e| format!("the mechanisms it is allowed for cannot be read: {e}"))?;
        Ok(read
            .into_iter()
            .find_map(|attribute| match attribute {
                Attribute::AllowedMechanisms(list) => Some(list.into_iter().map(|m| *m).collect()),
                _ => None,
            })
            .unwrap_or_default())
    }
}

/// The library explains each error with a paragraph of the standard; its name says enough.
fn short(error: &cryptoki::error::Error) -> String {
    match error {
        cryptoki::error::Error::Pkcs11(code, _) => format!("{code:?}"),
        other => other.to_string(),
    }
}

fn some(labels: &[String]) -> String {
    if labels.is_empty() { "none that is initialised".to_owned() } else { labels.join(", ") }
}
