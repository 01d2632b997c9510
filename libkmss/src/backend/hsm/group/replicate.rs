//! Which members have a key, and how those get it that were away when it was made, or are new.

use cryptoki::object::{Attribute, AttributeType};

use super::super::attributes::Read;
use super::super::locator::{Locator, Replicas};
use super::super::place::stored;
use super::GroupBackend;
use super::carry::{Carried, call};
use crate::backend::{Replicating, Replication};
use crate::device::Effort;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{HeldKey, Key, KeyClass, KeyVersion, Material, Object};
use crate::permit::NewObject;

/// How a member stands to a key.
enum There {
    /// It has it there, and lets it out or not.
    Has(Locator, bool),
    Lacks,
    Unknown(Error),
}

impl GroupBackend {
    /// Says where a key is, and does what `how` says.
    pub(super) fn replicated(&self, object: &Object, how: Replicating<'_>) -> Result<Option<Replication>> {
        let Some(key) = object.key() else { return Ok(None) };
        let version = key.primary()?;
        if version.locator.is_empty() {
            return Ok(None);
        }
        let replicas = Replicas::parse(&version.locator)?;
        let mut told = Replication::default();
        let shut = !self.clonable && !key.protection.extractable && key.class != KeyClass::Public;
        let (mut sources, mut wanting, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (at, member) in self.members.iter().enumerate() {
            let name = member.device.name().to_owned();
            match self.looked_for(at, &replicas) {
                There::Has(place, lets_out) => {
                    if shut && lets_out {
                        open.push((at, place.clone(), name.clone()));
                    }
                    told.present.push(name);
                    sources.push((at, place));
                }
                There::Lacks => wanting.push(at),
                There::Unknown(why) => told.lacking.push((name, why.sentence())),
            }
        }
        let mut places = replicas.places.clone();
        for at in wanting {
            let name = self.member(at)?.device.name().to_owned();
            let Replicating::Bring(beside) = how else {
                told.lacking.push((name, "it was away when the key was made, or is new".to_owned()));
                continue;
            };
            match self.bring(object, (key, version), (at, beside), &sources) {
                Ok(place) => {
                    // Where it was said to be and was not, it is again.
                    places.retain(|other| other.serial != place.serial);
                    places.push(place);
                    told.made.push(name);
                }
                Err(e) => told.lacking.push((name, e.sentence())),
            }
        }
        // A member that cannot be asked may lack it.
        let whole = how == Replicating::Close && told.lacking.is_empty();
        for (at, place, name) in open {
            let closed = whole.then(|| self.close(at, &place));
            if let Some(Err(e)) = &closed {
                tracing::warn!(group = %self.id.0, key = %object.id, reason = %e.sentence(), "a key stays extractable");
            }
            if !matches!(closed, Some(Ok(()))) {
                told.open.push(name);
            }
        }
        told.locator = Replicas::new(places)?.bytes;
        Ok(Some(told))
    }

    fn looked_for(&self, at: usize, replicas: &Replicas) -> There {
        let looked = self.member(at).and_then(|member| {
            let replicas = replicas.clone();
            call(&member.device, Effort::Usual, move |device, lent| {
                let Some(place) = replicas.at(&lent.entered().serial) else { return Ok(None) };
                let Some(handle) = stored(device, lent, place)? else { return Ok(None) };
                let open = |attribute: &Attribute| *attribute == Attribute::Extractable(true);
                let lets_out = place.class != KeyClass::Public
                    && Read::of(lent, handle, &[AttributeType::Extractable])?.each().any(open);
                Ok(Some((place.clone(), lets_out)))
            })
        });
        match looked {
            Ok(Some((place, lets_out))) => There::Has(place, lets_out),
            Ok(None) => There::Lacks,
            Err(e) => There::Unknown(e),
        }
    }

    /// Brings the key to the member `to` from the first that lets it out; a public half beside the private one.
    fn bring(
        &self,
        object: &Object,
        (key, version): (&Key, &KeyVersion),
        (to, beside): (usize, Option<&[u8]>),
        sources: &[(usize, Locator)],
    ) -> Result<Locator> {
        let new = NewObject {
            id: object.id,
            storage: object.storage,
            private: object.private,
            name: key.name.clone(),
            is_key: true,
            origin: String::new(),
            usage: key.usage,
            protection: key.protection,
            wishes: None,
        };
        let material = Material {
            key_type: key.key_type,
            locator: Vec::new(),
            bits: version.bits,
            public: version.public.clone(),
            check_value: version.check_value.clone(),
            held: HeldKey::default(),
        };
        if key.class == KeyClass::Public {
            let private = beside.map(Replicas::parse).transpose()?;
            let entered = self.member(to)?.device.entered()?;
            let id = private.and_then(|private| private.at(&entered.serial).map(|place| place.id.clone()));
            return self.bring_public(to, &new, &id.map_or_else(|| self.attempt(&new), Ok)?, &material);
        }
        let mut last = Error::new(ErrorKind::BackendUnavailable, "no member that can be reached has the key");
        for (from, place) in sources {
            match self.carry((*from, to), &Carried { place, new: &new, material: &material }) {
                Ok(replica) => return Ok(replica),
                Err(e) if e.kind() == ErrorKind::KeyUnextractable || e.kind() == ErrorKind::KeyNotWrappable => {
                    let why = format!(
                        "{}: its HSM does not let it out (`clonable` keeps new keys so that it would): restore the vendor's \
                         backup there, and adopt it",
                        e.sentence()
                    );
                    last = Error::new(e.kind(), why);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Undoes what [`Self::replicated`] made, where nobody wrote it down: what is in `made` and not in `record`.
    pub(super) fn forsaken(&self, made: &[u8], record: &[u8]) -> Result<()> {
        let named = Replicas::parse(record)?.places;
        let places: Vec<_> = Replicas::parse(made)?.places.into_iter().filter(|place| !named.contains(place)).collect();
        if places.is_empty() { Ok(()) } else { self.remove(&Replicas::new(places)?) }
    }
}
