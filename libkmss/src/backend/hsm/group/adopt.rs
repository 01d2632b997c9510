//! Keys that members of a group hold already, cloned by their vendor's means or left by a token that is gone: adopted as one key
//! where it is shown that they are one. A CKA_ID and a label show nothing.

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::object::ObjectHandle;

use super::super::halves::CHANCE;
use super::super::locator::{Locator, Replicas};
use super::super::place::stored;
use super::GroupBackend;
use super::carry::call;
use crate::backend::Foreign;
use crate::device::{Effort, Lent, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyClass, Protection, PublicComponents, Usage};
use crate::mechanism::KeyType;
use crate::permit::Permit;
use crate::tenant::ObjectId;

impl GroupBackend {
    /// Every stored key of the members, those of one CKA_ID and label in several members as one.
    pub(super) fn all_foreign(&self, permit: &Permit) -> Result<Vec<Foreign>> {
        let mut merged: Vec<Vec<Foreign>> = Vec::new();
        let mut failures = Vec::new();
        for member in &self.members {
            let found = match member.backend.adoptable(permit, None) {
                Ok(found) => found,
                Err(e) => {
                    tracing::warn!(group = %self.id.0, reason = %e.sentence(), "the keys of a member are not listed");
                    failures.push(e);
                    continue;
                }
            };
            let before = merged.len();
            for foreign in &found {
                // As the vendor cloned it, else as it was made here for one key.
                let place = [false, true].into_iter().find_map(|kin| {
                    let like = |other: &Foreign| called(other, kin) == called(foreign, kin);
                    let mut there =
                        (0..before).filter(|at| merged.get(*at).and_then(|all| all.first()).is_some_and(like));
                    let (place, another) = (there.next(), there.next());
                    let alone = another.is_none() && found.iter().filter(|other| like(other)).count() == 1;
                    place.filter(|_| alone)
                });
                match place.and_then(|place| merged.get_mut(place)) {
                    Some(all) => all.push(foreign.clone()),
                    None => merged.push(vec![foreign.clone()]),
                }
            }
        }
        match failures.pop() {
            Some(e) if failures.len() + 1 == self.members.len() => Err(e),
            _ => merged.into_iter().map(one).collect(),
        }
    }

    /// The key at all of these places, shown to be one.
    pub(super) fn one_foreign(&self, permit: &Permit, replicas: &Replicas) -> Result<Vec<Foreign>> {
        let mut found: Vec<(usize, Locator, Foreign)> = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let Ok(entered) = member.device.entered() else { continue };
            let Some(place) = replicas.at(&entered.serial) else { continue };
            let all = member.backend.adoptable(permit, Some(replicas))?;
            let foreign = all.into_iter().find(|foreign| foreign.material.locator == place.bytes);
            found.extend(foreign.map(|foreign| (at, place.clone(), foreign)));
        }
        if found.len() != replicas.places.len() {
            let why = "not every HSM that is said to hold the key can be reached and holds it: look again";
            return Err(Error::new(ErrorKind::BackendUnavailable, why));
        }
        let shown = self.are_one(&found)?;
        let mut key = one(found.into_iter().map(|(_, _, foreign)| foreign).collect())?;
        if !shown && key.refusal.is_none() {
            key.refusal = Some("it is not shown that the HSMs hold the same key under this CKA_ID".to_owned());
        }
        Ok(vec![key])
    }

    /// Whether these are one key: halves of pairs by their public parts, which each device has shown to belong to the private
    /// one, and secret keys by what they do.
    fn are_one(&self, found: &[(usize, Locator, Foreign)]) -> Result<bool> {
        let Some(((_, _, first), rest)) = found.split_first() else { return Ok(false) };
        if rest.is_empty() || found.iter().any(|(_, _, foreign)| foreign.refusal.is_some()) {
            return Ok(true);
        }
        let public = &first.material.public;
        if first.class != KeyClass::Secret {
            let told = match public {
                PublicComponents::Ec { point, .. } => !point.is_empty(),
                other => *other != PublicComponents::None,
            };
            return Ok(told && rest.iter().all(|(_, _, other)| other.material.public == *public));
        }
        let mut chance = [0; CHANCE];
        self.pool.software.entropy().fill(&mut chance)?;
        let mut shown: Option<Vec<u8>> = None;
        for (at, place, _) in found {
            let (place, key) = (place.clone(), (first.material.key_type, first.usage));
            let done = call(&self.member(*at)?.device, Effort::Usual, move |device, lent| {
                let Some(handle) = stored(device, lent, &place)? else { return Ok(None) };
                used(lent, handle, key, &chance)
            })?;
            match (&shown, done) {
                (_, None) => return Ok(false),
                (Some(before), Some(now)) if *before != now => return Ok(false),
                (_, now) => shown = now,
            }
        }
        Ok(true)
    }
}

/// What a key is called in its device; of `kin`, by what the identifiers of all replicas of one key begin with.
fn called(foreign: &Foreign, kin: bool) -> (KeyClass, &[u8], &[u8], KeyType) {
    let id = foreign.identifier.as_slice();
    let known = id.get(..ObjectId::KNOWN).filter(|_| kin && id.len() == size_of::<ObjectId>());
    (foreign.class, known.unwrap_or(id), &foreign.label, foreign.material.key_type)
}

/// What the secret key makes of `chance`; `None` where it does nothing that shows it.
pub(super) fn used(
    lent: &Lent,
    handle: ObjectHandle,
    (key_type, usage): (KeyType, Usage),
    chance: &[u8; CHANCE],
) -> Result<Option<Vec<u8>>, Trouble> {
    let made = match key_type {
        KeyType::Aes if usage.encrypt => lent.ask(|session| session.encrypt(&Theirs::AesEcb, handle, chance)),
        KeyType::Aes if usage.decrypt => lent.ask(|session| session.decrypt(&Theirs::AesEcb, handle, chance)),
        KeyType::Aes if usage.sign => lent.ask(|session| session.sign(&Theirs::AesCMac, handle, chance)),
        generic if generic.is_generic() && usage.sign => {
            lent.ask(|session| session.sign(&Theirs::Sha256Hmac, handle, chance))
        }
        _ => return Ok(None),
    };
    made.map(Some)
}

/// The replicas of one key as that key.
fn one(all: Vec<Foreign>) -> Result<Foreign> {
    let places = all.iter().map(|foreign| Locator::parse(&foreign.material.locator)).collect::<Result<Vec<_>>>()?;
    let mut all = all.into_iter();
    let nothing = || Error::new(ErrorKind::Internal, "a key is in no HSM of the group");
    let mut key = all.next().ok_or_else(nothing)?;
    for other in all {
        let same = key.material.public == other.material.public || key.refusal.is_some() || other.refusal.is_some();
        key.refusal = key.refusal.or(other.refusal);
        if key.refusal.is_none() && key.usage != other.usage {
            key.refusal =
                Some("the HSMs say different things of its uses: let the vendor's tool set them alike".to_owned());
        }
        if key.refusal.is_none() && !same {
            key.refusal = Some("the HSMs hold different keys under this CKA_ID and label".to_owned());
        }
        key.protection = weaker(key.protection, other.protection);
    }
    match Replicas::new(places) {
        Ok(replicas) => key.material.locator = replicas.bytes,
        Err(e) => key.refusal = Some(e.sentence()),
    }
    Ok(key)
}

/// What holds of a key wherever it is.
const fn weaker(one: Protection, other: Protection) -> Protection {
    Protection {
        sensitive: one.sensitive && other.sensitive,
        extractable: one.extractable || other.extractable,
        always_sensitive: one.always_sensitive && other.always_sensitive,
        never_extractable: one.never_extractable && other.never_extractable,
        local: one.local && other.local,
        wrap_with_trusted: one.wrap_with_trusted && other.wrap_with_trusted,
        always_authenticate: one.always_authenticate || other.always_authenticate,
        ..one
    }
}
