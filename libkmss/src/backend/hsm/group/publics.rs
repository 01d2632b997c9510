//! Public halves of pairs: beside every replica of the private one, so that what reads the device alone finds both. They are
//! made of what the record says.

use cryptoki::object::{Attribute, ObjectClass};
use der::Encode as _;
use der::asn1::OctetStringRef;

use super::super::attributes::{Read, ec_params, new_key, public_of};
use super::super::locator::{Locator, Replicas};
use super::super::mechanism::unsupported;
use super::super::place::SessionKey;
use super::GroupBackend;
use super::carry::call;
use crate::device::Effort;
use crate::error::Result;
use crate::key::{KeyClass, Material, PublicComponents, Storage};
use crate::permit::NewObject;

impl GroupBackend {
    /// Puts the public half beside the replicas of the private one. A member that does not take it does without.
    pub(super) fn beside(&self, private: &Material, new: &NewObject, public: Material) -> Result<Material> {
        let (Ok(mut made), Ok(private)) = (Replicas::parse(&public.locator), Replicas::parse(&private.locator)) else {
            return Ok(public);
        };
        for (at, member) in self.members.iter().enumerate() {
            let Ok(entered) = member.device.entered() else { continue };
            if made.at(&entered.serial).is_some() {
                continue;
            }
            let Some(place) = private.at(&entered.serial) else { continue };
            match self.put_public(at, new, &place.id, &public) {
                Ok(half) => made.places.push(half),
                Err(e) => {
                    let name = member.device.name();
                    tracing::warn!(group = %self.id.0, member = %name, reason = %e.sentence(), "a public half is not kept");
                }
            }
        }
        let made = Replicas::new(made.places)?;
        Ok(Material { locator: made.bytes, ..public })
    }

    /// Has a public half in one member, as `id` where nothing else is called so there; returns where it is.
    pub(super) fn bring_public(&self, to: usize, new: &NewObject, id: &[u8], material: &Material) -> Result<Locator> {
        let (wanted, key_type, public) = (id.to_vec(), material.key_type, material.public.clone());
        let found = call(&self.member(to)?.device, Effort::Usual, move |_, lent| {
            let halves =
                [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Token(true), Attribute::Id(wanted.clone())];
            let found = lent.ask(|session| session.find_objects(&halves))?;
            let [only] = found.as_slice() else { return Ok((!found.is_empty()).then_some(None)) };
            let read = Read::of(lent, *only, public_of(key_type))?;
            let same = read.public(key_type).is_ok_and(|there| there == public);
            Ok(Some(same.then(|| lent.entered().serial.clone())))
        })?;
        match found {
            // It came with an answer that was lost.
            Some(Some(serial)) => Locator::new(KeyClass::Public, &serial, id, None),
            Some(None) => self.put_public(to, new, &self.attempt(new)?, material),
            None => self.put_public(to, new, id, material),
        }
    }

    /// Makes an object of a public half in one member, as `id`, which nothing is called there; returns where it is.
    fn put_public(&self, to: usize, new: &NewObject, id: &[u8], material: &Material) -> Result<Locator> {
        let device = &self.member(to)?.device;
        let entered = device.entered()?;
        let new = NewObject { storage: Storage::Stored, ..new.clone() };
        let mut template = new_key(&new, KeyClass::Public, material.key_type, id, entered.quirks.label_bytes)?;
        template.extend(said(&material.public)?);
        let id = id.to_vec();
        let (half, made) = call(device, Effort::Usual, move |device, lent| {
            let half = Locator::new(KeyClass::Public, &lent.entered().serial, &id, None)?;
            let handle = lent.ask(|session| session.create_object(&template))?;
            Ok((half, SessionKey::new(device, lent, handle, Vec::new())))
        })?;
        // One that comes when nobody waits for it any more is destroyed again.
        made.keep(&half.bytes);
        Ok(half)
    }
}

/// What a device is told of a public half.
pub(super) fn said(public: &PublicComponents) -> Result<Vec<Attribute>> {
    match public {
        PublicComponents::Rsa { modulus, exponent } => {
            Ok(vec![Attribute::Modulus(modulus.clone()), Attribute::PublicExponent(exponent.clone())])
        }
        PublicComponents::Ec { curve, point } => {
            let point = OctetStringRef::new(point).and_then(|point| point.to_der()).map_err(|_| unsupported())?;
            Ok(vec![Attribute::EcParams(ec_params(*curve)?), Attribute::EcPoint(point)])
        }
        _ => Err(unsupported()),
    }
}
