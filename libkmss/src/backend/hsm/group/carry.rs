//! How a key gets from one member of a group to another: wrapped under an AES key that both have for this process alone. The
//! first makes it, and sends it to the second under RSA-OAEP; the RSA pair is one that the second made a moment before, and
//! its public half is the one that came of making it, never one that was found there. Nothing is in clear outside the devices.

use std::sync::Arc;

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism as Theirs, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType as TheirType, ObjectClass, ObjectHandle};

use super::super::attributes::{self, Read, new_key, public_of, their_type};
use super::super::halves::{CHANCE, Half, belong, whole};
use super::super::locator::{Locator, Replicas};
use super::super::place::{Place, SessionKey, hex, stored};
use super::adopt::used;
use super::publics::said;
use super::{GroupBackend, Part};
use crate::device::{Device, Effort, Entered, Fault, Lent, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyClass, Material, Protection, PublicComponents, Usage};
use crate::mechanism::{Hash, KeyType};
use crate::os::{Lock, Rank};
use crate::permit::NewObject;
use crate::tenant::ObjectId;

/// Size of the RSA key that the transport key comes under: as strong as AES-128 (NIST SP 800-57, part 1, table 2).
const MODULUS_BITS: u64 = 3072;
/// Length of the transport key in bytes.
const TRANSPORT: u64 = 32;
/// Length of a block of AES.
const BLOCK: usize = 16;

/// The ways between members that were opened and are not known to be shut.
pub(super) struct Passages(Lock<Vec<Arc<Passage>>>);

impl Default for Passages {
    fn default() -> Self {
        Self(Lock::new(Rank::Device, Vec::new()))
    }
}

/// A way from one member to another: an AES key in a session of each.
struct Passage {
    ends: (usize, usize),
    from: Place,
    to: Place,
    /// The private half that the transport key came to, and the public one as the device said when it made them.
    receiver: Place,
    public: PublicComponents,
    by: Wrapping,
    hash: Hash,
}

/// How keys are wrapped on the way.
#[derive(Clone, Copy)]
enum Wrapping {
    /// AES key wrap with padding (RFC 5649).
    KeyWrapPad,
    /// AES-CBC with padding, where a device has no better.
    CbcPad,
}

/// What is carried.
pub(super) struct Carried<'a> {
    /// Where it is.
    pub(super) place: &'a Locator,
    /// What the replica gets.
    pub(super) new: &'a NewObject,
    pub(super) material: &'a Material,
}

impl GroupBackend {
    /// Carries what the member `source` has made to all others. A member that cannot be reached goes without, and is told of;
    /// where a device cannot do it nothing is left.
    pub(super) fn spread(&self, source: usize, new: &NewObject, material: Material) -> Result<Material> {
        let made = Replicas::parse(&material.locator)?;
        let [place] = made.places.as_slice() else {
            return Err(Error::new(ErrorKind::Internal, "one member made several replicas"));
        };
        let mut places = vec![place.clone()];
        let mut complete = true;
        let carried = Carried { place, new, material: &material };
        for to in (0..self.members.len()).filter(|to| *to != source) {
            match self.carry((source, to), &carried) {
                Ok(replica) => places.push(replica),
                Err(e) if e.kind() == ErrorKind::BackendUnavailable => {
                    let member = self.member(to)?.device.name();
                    tracing::warn!(group = %self.id.0, %member, reason = %e.sentence(), "a new key lacks a replica");
                    complete = false;
                }
                Err(e) => return Err(self.undone(places, not_carried(e))),
            }
        }
        if complete
            && !self.clonable
            && !new.protection.extractable
            && let Err(e) = self.close(source, place)
        {
            return Err(self.undone(places, e));
        }
        let replicas = Replicas::new(places)?;
        Ok(Material { locator: replicas.bytes, ..material })
    }

    /// `error`, after what was made is destroyed as far as that goes.
    fn undone(&self, places: Vec<Locator>, error: Error) -> Error {
        let left = Replicas::new(places).and_then(|made| self.remove(&made));
        match left {
            Ok(()) => error,
            Err(left) => Error::new(error.kind(), format!("{}; {}", error.sentence(), left.sentence())),
        }
    }

    /// Carries a key from one member to another; returns where it is there.
    pub(super) fn carry(&self, ends: (usize, usize), carried: &Carried<'_>) -> Result<Locator> {
        let (from, to) = (self.member(ends.0)?, self.member(ends.1)?);
        let (here, there) = (from.device.entered()?, to.device.entered()?);
        if here.serial == there.serial {
            let why = format!(
                "the members `{}` and `{}` of the group are the same token: correct `token`, `serial` or `slot`",
                from.device.name(),
                to.device.name()
            );
            return Err(Error::new(ErrorKind::Config, why));
        }
        let cannot = |e: Error| {
            let why = format!(
                "the key cannot be brought from the HSM `{}` to `{}`: {}",
                from.device.name(),
                to.device.name(),
                e.sentence()
            );
            Error::new(e.kind(), why)
        };
        let known = self.passages.0.lock().iter().find(|passage| passage.ends == ends).map(Arc::clone);
        if let Some(passage) = known {
            if let Some(replica) = self.through(&passage, (from, to), carried).map_err(cannot)? {
                return Ok(replica);
            }
            self.passages.0.lock().retain(|other| !Arc::ptr_eq(other, &passage));
        }
        let passage = Arc::new(self.connect(ends, (from, to)).map_err(cannot)?);
        let replica = self.through(&passage, (from, to), carried).map_err(cannot)?;
        let gone = || cannot(Error::new(ErrorKind::BackendUnavailable, "the transport key went with its session"));
        let replica = replica.ok_or_else(gone)?;
        let mut passages = self.passages.0.lock();
        let before: Vec<_> = passages.extract_if(.., |other| other.ends == ends).collect();
        passages.push(passage);
        drop(passages);
        // What goes with them asks the device.
        drop(before);
        Ok(replica)
    }

    /// An identifier for an object that is made of the key `new`: no two attempts make one object, and whose it is can be told.
    pub(super) fn attempt(&self, new: &NewObject) -> Result<Vec<u8>> {
        let mut id = new.id.0;
        self.pool.software.entropy().fill(id.get_mut(ObjectId::KNOWN..).unwrap_or_default())?;
        Ok(id.to_vec())
    }

    /// Carries a key through a passage; `None`, and nothing was done, where that is shut.
    fn through(&self, passage: &Passage, (from, to): (&Part, &Part), carried: &Carried<'_>) -> Result<Option<Locator>> {
        let Carried { place, new, material } = carried;
        let mut iv = [0; BLOCK];
        let mut chance = [0; CHANCE];
        self.pool.software.entropy().fill(&mut iv)?;
        self.pool.software.entropy().fill(&mut chance)?;
        // SoftHSM2 leaves the padding of AES key wrap in secret keys, which is part of the key then.
        let exact = place.class == KeyClass::Secret && (material.bits == 0 || material.bits % 64 != 0);
        let (by, hash) = (passage.by, passage.hash);
        let authenticated = exact || matches!(by, Wrapping::KeyWrapPad);
        let mechanism = move || match by {
            _ if exact => oaep(hash),
            Wrapping::KeyWrapPad => Theirs::AesKeyWrapPad,
            Wrapping::CbcPad => Theirs::AesCbcPad(iv),
        };
        let key = (place.class, material.key_type, new.usage);
        let (transport, public, wanted) = (passage.from.clone(), passage.public.clone(), Locator::clone(place));
        let sent = call(&from.device, Effort::Usual, move |device, lent| {
            let Ok(transport) = transport.handle(device, lent) else { return Ok(None) };
            let gone = || Error::new(ErrorKind::BackendUnavailable, "the HSM does not hold the key that it made");
            let handle = stored(device, lent, &wanted)?.ok_or_else(gone)?;
            let shown = shown(lent, handle, key, &chance)?;
            if !exact {
                return Ok(Some((lent.ask(|session| session.wrap_key(&mechanism(), transport, handle))?, shown)));
            }
            let receiver = public_object(lent, (KeyType::Rsa, &public), &[Attribute::Wrap(true)])?;
            let wrapped = lent.ask(|session| session.wrap_key(&mechanism(), receiver, handle));
            let _ = lent.ask(|session| session.destroy_object(receiver));
            Ok(Some((wrapped?, shown)))
        })?;
        let Some((wrapped, proof)) = sent else { return Ok(None) };
        let limit = to.device.entered()?.quirks.label_bytes;
        let Protection { sensitive, extractable, .. } = new.protection;
        let protection = Protection {
            sensitive: sensitive || !extractable,
            extractable: extractable || self.clonable,
            ..new.protection
        };
        let replica_of = NewObject { protection, ..NewObject::clone(new) };
        let id = self.attempt(new)?;
        let template = new_key(&replica_of, place.class, material.key_type, &id, limit)?;
        let end = if exact { passage.receiver.clone() } else { passage.to.clone() };
        let (class, original) = (place.class, Material::clone(material));
        let arrived = call(&to.device, Effort::Usual, move |device, lent| {
            let Ok(by) = end.handle(device, lent) else { return Ok(None) };
            let replica = Locator::new(class, &lent.entered().serial, &id, None)?;
            let made = lent.ask(|session| session.unwrap_key(&mechanism(), by, &wrapped, &template))?;
            // From here on nothing may fail in a way that has it done again.
            let shows = match key {
                (KeyClass::Private, _, usage) => is_half(lent, made, (usage, &original), (&chance, authenticated)),
                _ => shown(lent, made, key, &chance).map(|here| here == proof && is_same(lent, made, &original)),
            };
            let why = match shows {
                Ok(true) => None,
                Ok(false) => {
                    Some("what arrived there is another key: the HSMs do not understand each other".to_owned())
                }
                Err(trouble) if trouble.fault() == Fault::Request => {
                    Some(format!("what arrived there cannot be held against what was sent: {}", trouble.sentence()))
                }
                Err(trouble) => {
                    discard(device, lent, made, &replica);
                    let again = trouble.fault().is_void();
                    return Err(if again { trouble.into_error(device.name(), Use::Other).into() } else { trouble });
                }
            };
            if let Some(why) = why {
                discard(device, lent, made, &replica);
                return Err(Error::new(ErrorKind::WrappedKeyInvalid, why).into());
            }
            Ok(Some((replica, SessionKey::new(device, lent, made, Vec::new()))))
        })?;
        // One that comes when nobody waits for it any more is destroyed again.
        Ok(arrived.map(|(replica, made)| {
            made.keep(&replica.bytes);
            replica
        }))
    }

    /// Opens a passage: an AES key in a session of `from`, and the same in one of `to`.
    fn connect(&self, ends: (usize, usize), (from, to): (&Part, &Part)) -> Result<Passage> {
        let (here, there) = (from.device.entered()?, to.device.entered()?);
        let (by, hash) = (wrapping(&here, &there)?, oaep_hash(&here, &there));
        let mut chance = [0; BLOCK];
        self.pool.software.entropy().fill(&mut chance)?;
        let (receiver, public) = call(&to.device, Effort::Usual, receiver)?;
        let half = public.clone();
        let (transport, sent, proof) = call(&from.device, Effort::Usual, move |device, lent| {
            let transport = generate(device, lent)?;
            let handle = transport.handle(device, lent)?;
            let proof = lent.ask(|session| session.encrypt(&Theirs::AesEcb, handle, &chance))?;
            let by = public_object(lent, (KeyType::Rsa, &half), &[Attribute::Wrap(true)])?;
            let sent = lent.ask(|session| session.wrap_key(&oaep(hash), by, handle));
            let _ = lent.ask(|session| session.destroy_object(by));
            Ok((transport, sent?, proof))
        })?;
        let private = receiver.clone();
        let arrived = call(&to.device, Effort::Usual, move |device, lent| {
            let private = private.handle(device, lent)?;
            let template = secret(&[Attribute::Extractable(false), Attribute::Unwrap(true), Attribute::Decrypt(true)]);
            let handle = lent.ask(|session| session.unwrap_key(&oaep(hash), private, &sent, &template))?;
            let arrived = session_key(device, lent, handle);
            // Its private half had to open it, and the same key came out.
            let shown = lent.ask(|session| session.decrypt(&Theirs::AesEcb, handle, &proof))?;
            if shown != chance {
                return Err(Error::new(ErrorKind::WrappedKeyInvalid, "another transport key arrived there").into());
            }
            Ok(arrived)
        })?;
        Ok(Passage { ends, from: transport, to: arrived, receiver, public, by, hash })
    }

    /// Lets nobody take the key out of the device any more.
    pub(super) fn close(&self, member: usize, place: &Locator) -> Result<()> {
        let place = place.clone();
        call(&self.member(member)?.device, Effort::Usual, move |device, lent| {
            let gone = || Error::new(ErrorKind::BackendUnavailable, "the HSM does not hold the key that it made");
            let handle = stored(device, lent, &place)?.ok_or_else(gone)?;
            let open = |attribute: &Attribute| *attribute == Attribute::Extractable(true);
            if Read::of(lent, handle, &[AttributeType::Extractable])?.each().any(open) {
                lent.ask(|session| session.update_attributes(handle, &[Attribute::Extractable(false)]))?;
            }
            Ok(())
        })
    }
}

/// Destroys what arrived and is not to be used. Where that fails, whoever looks into the HSM is to know what the object is.
fn discard(device: &Device, lent: &Lent, made: ObjectHandle, place: &Locator) {
    if let Err(trouble) = lent.ask(|session| session.destroy_object(made)) {
        let (device, id, reason) = (device.name(), hex(&place.id), trouble.sentence());
        tracing::warn!(hsm = %device, %id, %reason, "a key that arrived for a group and is not used may be left there");
    }
}

/// A key that the device makes and does not let out is none that a group offers.
fn not_carried(error: Error) -> Error {
    match error.kind() {
        ErrorKind::KeyNotWrappable | ErrorKind::KeyUnextractable => {
            Error::new(ErrorKind::MechanismUnsupported, error.sentence())
        }
        _ => error,
    }
}

/// What a secret key makes of `chance`, which shows whether another is the same.
fn shown(
    lent: &Lent,
    key: ObjectHandle,
    (class, key_type, usage): (KeyClass, KeyType, Usage),
    chance: &[u8; CHANCE],
) -> Result<Option<Vec<u8>>, Trouble> {
    if class != KeyClass::Secret {
        return Ok(None);
    }
    match used(lent, key, (key_type, usage), chance) {
        // What it does not do, it does not show.
        Err(trouble) if trouble.fault() == Fault::Request => Ok(None),
        shown => shown,
    }
}

/// The public half of a pair, as an object of the session that has these `uses`.
fn public_object(
    lent: &Lent,
    (key_type, public): (KeyType, &PublicComponents),
    uses: &[Attribute],
) -> Result<ObjectHandle, Trouble> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(their_type(key_type)?),
        Attribute::Token(false),
        Attribute::Private(false),
    ];
    template.extend(said(public)?);
    template.extend_from_slice(uses);
    lent.ask(|session| session.create_object(&template))
}

/// Calls one member, with errors as the core knows them.
pub(super) fn call<R: Send + 'static>(
    device: &Arc<Device>,
    effort: Effort,
    mut f: impl FnMut(&Arc<Device>, &Lent) -> Result<R, Trouble> + Send + 'static,
) -> Result<R> {
    let whole = Arc::clone(device);
    let asked = device.call(effort, move |lent| f(&whole, lent));
    asked.map_err(|trouble| trouble.into_error(device.name(), Use::Other))
}

/// The best way of wrapping that both have.
fn wrapping(one: &Entered, other: &Entered) -> Result<Wrapping> {
    let both = |mechanism| one.offers(mechanism) && other.offers(mechanism);
    if !both(MechanismType::RSA_PKCS_OAEP) {
        let why =
            "they do not both have RSA-OAEP for a transport key: clone keys with the vendor's tool and adopt them";
        return Err(Error::new(ErrorKind::MechanismUnsupported, why));
    }
    if both(MechanismType::AES_KEY_WRAP_PAD) {
        return Ok(Wrapping::KeyWrapPad);
    }
    if both(MechanismType::AES_CBC_PAD) {
        return Ok(Wrapping::CbcPad);
    }
    let why = "they do not both wrap keys by AES (AES_KEY_WRAP_PAD, or AES_CBC_PAD): clone keys with the vendor's tool and \
               adopt them";
    Err(Error::new(ErrorKind::MechanismUnsupported, why))
}

/// SHA-256 where both take it: SHA-1 is no weakness of OAEP, and some have nothing else.
fn oaep_hash(one: &Entered, other: &Entered) -> Hash {
    let takes = |device: &Entered| device.quirks.takes_oaep(Hash::Sha256, Hash::Sha256, false);
    if takes(one) && takes(other) { Hash::Sha256 } else { Hash::Sha1 }
}

fn oaep(hash: Hash) -> Theirs<'static> {
    let (hash, mgf) = match hash {
        Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        _ => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
    };
    Theirs::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()))
}

/// A new RSA pair: its private half in a session of the device, and its public half as the device said when it made it.
fn receiver(device: &Arc<Device>, lent: &Lent) -> Result<(Place, PublicComponents), Trouble> {
    let public = [
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::ModulusBits(MODULUS_BITS.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let private = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
    ];
    let pair = lent.make_pair(|session| session.generate_key_pair(&Theirs::RsaPkcsKeyPairGen, &public, &private));
    let (public, private) = pair?;
    let private = session_key(device, lent, private);
    let told = Read::of_new(lent, public, public_of(KeyType::Rsa)).public(KeyType::Rsa);
    let _ = lent.ask(|session| session.destroy_object(public));
    Ok((private, told?))
}

/// A new transport key in a session of the device.
fn generate(device: &Arc<Device>, lent: &Lent) -> Result<Place, Trouble> {
    let more = [
        Attribute::Extractable(true),
        Attribute::Wrap(true),
        Attribute::Encrypt(true),
        Attribute::ValueLen(TRANSPORT.into()),
    ];
    let handle = lent.ask(|session| session.generate_key(&Theirs::AesKeyGen, &secret(&more)))?;
    Ok(session_key(device, lent, handle))
}

fn secret(more: &[Attribute]) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(TheirType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
    ];
    template.extend_from_slice(more);
    template
}

fn session_key(device: &Arc<Device>, lent: &Lent, handle: ObjectHandle) -> Place {
    Place::Session(Arc::new(SessionKey::new(device, lent, handle, Vec::new())))
}

/// Whether a secret key that arrived is the one that was sent, as far as the device tells.
fn is_same(lent: &Lent, made: ObjectHandle, material: &Material) -> bool {
    let told = Read::of_new(lent, made, &[AttributeType::CheckValue]).check_value();
    told.is_empty() || material.check_value.is_empty() || told == material.check_value
}

/// Whether a private key that arrived is the one that was sent: by what the device tells of its public half, or by what it does
/// with that half. One that neither tells nor does anything is believed where its wrapping was authenticated.
fn is_half(
    lent: &Lent,
    made: ObjectHandle,
    (usage, material): (Usage, &Material),
    (chance, authenticated): (&[u8; CHANCE], bool),
) -> Result<bool, Trouble> {
    let (key_type, known) = (material.key_type, &material.public);
    let own = Read::of_new(lent, made, attributes::PUBLIC);
    if let Some(told) = whole(&own, key_type) {
        return Ok(told == *known);
    }
    let rsa = key_type == KeyType::Rsa;
    let shows = usage.sign || (usage.decrypt && rsa) || (usage.derive && !rsa);
    if matches!(known, PublicComponents::Ec { point, .. } if point.is_empty()) || !shows {
        return Ok(authenticated);
    }
    let uses: &[Attribute] = match (usage.sign, rsa) {
        (true, _) => &[Attribute::Verify(true)],
        (false, true) => &[Attribute::Encrypt(true)],
        (false, false) => &[],
    };
    let public = public_object(lent, (key_type, known), uses)?;
    let theirs = Read::of_new(lent, public, attributes::PUBLIC);
    let halves = (Half { handle: made, public: &own, usage }, Half { handle: public, public: &theirs, usage });
    let shown = belong(lent, halves, key_type, chance);
    let _ = lent.ask(|session| session.destroy_object(public));
    shown
}
