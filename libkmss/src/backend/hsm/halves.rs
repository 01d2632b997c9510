//! Whether two halves that a device holds under one CKA_ID belong together. Anybody may put a public object into a device
//! without logging in, so the identifier proves nothing; what the private half does with the public one proves it.

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType as TheirType, ObjectClass, ObjectHandle};

use super::attributes::{Read, ec_params, public_of};
use super::mechanism::adapted;
use crate::device::{Fault, Lent, Trouble};
use crate::error::{Error, ErrorKind};
use crate::key::{PublicComponents, Usage};
use crate::mechanism::{Curve, EcMechanism, EcdhKdf, KeyType, Mechanism};

/// Length of what is signed or encrypted.
pub(super) const CHANCE: usize = 32;

/// One half, as the device has it.
#[derive(Clone, Copy)]
pub(super) struct Half<'a> {
    pub(super) handle: ObjectHandle,
    /// What it tells of the public part.
    pub(super) public: &'a Read,
    pub(super) usage: Usage,
}

/// Whether `public` is the public half of `private`. `chance` is random.
///
/// # Errors
/// Where the device cannot be asked; halves that cannot be shown to belong together do not.
pub(super) fn belong(
    lent: &Lent,
    (private, public): (Half<'_>, Half<'_>),
    key_type: KeyType,
    chance: &[u8; CHANCE],
) -> Result<bool, Trouble> {
    let Some(theirs) = whole(public.public, key_type) else { return Ok(false) };
    if let Some(own) = whole(private.public, key_type) {
        return Ok(own == theirs);
    }
    let shown = if private.usage.sign {
        signs(lent, (private.handle, public.handle), key_type, chance)
    } else if private.usage.decrypt && key_type == KeyType::Rsa {
        decrypts(lent, (private.handle, public.handle), chance)
    } else if private.usage.derive
        && let PublicComponents::Ec { curve, point } = &theirs
    {
        agrees(lent, private.handle, *curve, point)
    } else {
        Ok(false)
    };
    match shown {
        // What it does not do, it does not show.
        Err(trouble) if trouble.fault() == Fault::Request => Ok(false),
        shown => shown,
    }
}

/// The public part, where `read` holds all of it.
pub(super) fn whole(read: &Read, key_type: KeyType) -> Option<PublicComponents> {
    read.public(key_type).ok().filter(|public| match public {
        PublicComponents::Ec { point, .. } => !point.is_empty(),
        other => *other != PublicComponents::None,
    })
}

fn signs(
    lent: &Lent,
    (private, public): (ObjectHandle, ObjectHandle),
    key_type: KeyType,
    chance: &[u8],
) -> Result<bool, Trouble> {
    let mechanism = match key_type {
        KeyType::Rsa => Theirs::RsaPkcs,
        KeyType::EcEdwards => Theirs::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        _ => Theirs::Ecdsa,
    };
    let signature = lent.ask(|session| session.sign(&mechanism, private, chance))?;
    Ok(lent.ask(|session| session.verify(&mechanism, public, chance, &signature)).is_ok())
}

fn decrypts(lent: &Lent, (private, public): (ObjectHandle, ObjectHandle), chance: &[u8]) -> Result<bool, Trouble> {
    let sealed = lent.ask(|session| session.encrypt(&Theirs::RsaPkcs, public, chance))?;
    let opened = lent.ask(|session| session.decrypt(&Theirs::RsaPkcs, private, &sealed));
    Ok(opened.is_ok_and(|opened| opened == chance))
}

/// A pair of the session agrees with the private half on what it agrees on with the public one.
fn agrees(lent: &Lent, private: ObjectHandle, curve: Curve, point: &[u8]) -> Result<bool, Trouble> {
    let of_pair = [Attribute::Token(false), Attribute::Derive(true)];
    let public = [of_pair.as_slice(), &[Attribute::Private(false), Attribute::EcParams(ec_params(curve)?)]].concat();
    let making = match curve.key_type() {
        KeyType::EcMontgomery => Theirs::EccMontgomeryKeyPairGen,
        _ => Theirs::EccKeyPairGen,
    };
    let (other, own) = lent.ask(|session| session.generate_key_pair(&making, &public, &of_pair))?;
    let told = Read::of_new(lent, other, public_of(curve.key_type()));
    let agreed = match whole(&told, curve.key_type()) {
        Some(PublicComponents::Ec { point: fresh, .. }) => agreement(lent, private, curve, &fresh)
            .and_then(|one| agreement(lent, own, curve, point).map(|two| !one.is_empty() && one == two)),
        _ => Ok(false),
    };
    for made in [other, own] {
        let _ = lent.ask(|session| session.destroy_object(made));
    }
    agreed
}

fn agreement(lent: &Lent, private: ObjectHandle, curve: Curve, point: &[u8]) -> Result<Vec<u8>, Trouble> {
    let ecdh = EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: point.to_vec(), shared_info: Vec::new() };
    let ecdh = Mechanism::Ec(ecdh);
    let ecdh = adapted(&ecdh, &lent.entered().quirks)?;
    let Mechanism::Ec(EcMechanism::Ecdh { public, .. }) = ecdh.as_ref() else { return Ok(Vec::new()) };
    let len = u64::try_from(curve.field_len())
        .map_err(|e| Error::new(ErrorKind::Internal, "a number does not fit").with_source(e))?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(TheirType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(len.into()),
    ];
    let mechanism = Theirs::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), public));
    let made = lent.ask(|session| session.derive_key(&mechanism, private, &template))?;
    let value = Read::of_new(lent, made, &[AttributeType::Value]).into_value();
    let _ = lent.ask(|session| session.destroy_object(made));
    Ok(value.map(|value| value.expose().to_vec()).unwrap_or_default())
}
