//! Which members have a key, and how those get it that were away when it was made, or are new.

use super::super::locator::{Locator, Replicas};
use super::super::place::stored;
use super::GroupBackend;
use super::carry::{Carried, call};
use crate::backend::Replication;
use crate::device::Effort;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{HeldKey, Key, KeyClass, KeyVersion, Material, Object};
use crate::permit::NewObject;

/// How a member stands to a key.
enum There {
    Has(Locator),
    Lacks,
    Unknown(Error),
}

impl GroupBackend {
    /// Says where a key is, and with `make` brings it to the members that lack it.
    pub(super) fn replicated(&self, object: &Object, make: bool) -> Result<Option<Replication>> {
        let Some(key) = object.key() else { return Ok(None) };
        let version = key.primary()?;
        if version.locator.is_empty() {
            return Ok(None);
        }
        let replicas = Replicas::parse(&version.locator)?;
        let mut told = Replication::default();
        let (mut sources, mut wanting) = (Vec::new(), Vec::new());
        for (at, member) in self.members.iter().enumerate() {
            let name = member.device.name().to_owned();
            match self.looked_for(at, &replicas) {
                There::Has(place) => {
                    told.present.push(name);
                    sources.push((at, place));
                }
                There::Lacks => wanting.push(at),
                There::Unknown(why) => told.lacking.push((name, why.sentence())),
            }
        }
        // A member that cannot be asked may have it, as the record says.
        let reachable = told.lacking.is_empty();
        let mut places = replicas.places.clone();
        for at in wanting {
            let name = self.member(at)?.device.name().to_owned();
            if !make {
                told.lacking.push((name, "it was away when the key was made, or is new".to_owned()));
                continue;
            }
            match self.bring(object, (key, version), at, &sources) {
                Ok(place) => {
                    // Where it was said to be and was not, it is again.
                    places.retain(|other| other.serial != place.serial);
                    places.push(place);
                    told.made.push(name);
                }
                Err(e) => told.lacking.push((name, e.sentence())),
            }
        }
        if make
            && reachable
            && told.lacking.is_empty()
            && !self.clonable
            && !key.protection.extractable
            && key.class != KeyClass::Public
        {
            for (at, place) in &sources {
                if let Err(e) = self.close(*at, place) {
                    tracing::warn!(group = %self.id.0, key = %object.id, reason = %e.sentence(), "a key stays extractable");
                }
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
                Ok(stored(device, lent, place)?.map(|_| place.clone()))
            })
        });
        match looked {
            Ok(Some(place)) => There::Has(place),
            Ok(None) => There::Lacks,
            Err(e) => There::Unknown(e),
        }
    }

    /// Brings the key to the member `to` from the first that lets it out.
    fn bring(
        &self,
        object: &Object,
        (key, version): (&Key, &KeyVersion),
        to: usize,
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
        if let (KeyClass::Public, Some((_, place))) = (key.class, sources.first()) {
            return self.put_public(to, &new, &place.id, &material);
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

    /// Undoes what [`Self::replicated`] made, where nobody wrote it down: what is in `made` and not in `before`.
    pub(super) fn forsaken(&self, made: &[u8], before: &[u8]) -> Result<()> {
        let before = Replicas::parse(before)?;
        let places: Vec<_> =
            Replicas::parse(made)?.places.into_iter().filter(|place| before.at(&place.serial).is_none()).collect();
        if places.is_empty() { Ok(()) } else { self.remove(&Replicas::new(places)?) }
    }
}
