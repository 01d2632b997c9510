//! Keys in a group of HSMs: one key, with a replica in each member. Whatever uses a key goes to one member, and to another
//! where that one cannot be used; what is stored is made in one member and carried to the others.

mod adopt;
mod carry;
mod publics;
mod replicate;

use std::borrow::Cow;
use std::sync::Arc;

use self::carry::Passages;
use super::locator::Replicas;
use super::place::{Place, stored};
use super::route::{Members, Route};
use super::{Backend, Ciphering, Digesting, Foreign, HsmBackend, Signing, Verifying};
use crate::backend::{Replicating, Replication};
use crate::config::HsmGroupConfig;
use crate::device::{Device, Effort, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{BackendId, Derivation, DeviceObject, Expected, KeyComponents, KeySpec, Material, Object, Storage};
use crate::mechanism::{Hash, KeyType, Mechanism};
use crate::permit::{NewObject, Permit};
use crate::random::Random;
use crate::secret::Secret;

/// The keys of a group of HSMs. Making it costs nothing.
pub struct GroupBackend {
    id: BackendId,
    /// All members, for what any of them may do.
    pool: HsmBackend,
    /// Each by itself, for what one of them does.
    members: Vec<Part>,
    passages: Passages,
    /// Whether keys stay extractable in the devices.
    clonable: bool,
}

/// One member.
struct Part {
    device: Arc<Device>,
    backend: HsmBackend,
}

impl GroupBackend {
    /// The keys that all of `devices` hold, which are the members of `config` in its order; `software` computes what needs no
    /// secret.
    #[must_use]
    pub fn new(config: &HsmGroupConfig, devices: Vec<Arc<Device>>, software: &Arc<dyn Backend>) -> Self {
        let id = BackendId(Cow::Owned(config.name.clone()));
        let backend = |route, carried| HsmBackend { id: id.clone(), route, software: Arc::clone(software), carried };
        let part = |device: &Arc<Device>| Part {
            device: Arc::clone(device),
            backend: backend(Route::One(Arc::clone(device)), true),
        };
        let members = devices.iter().map(part).collect();
        let pool = backend(Route::Several(Arc::new(Members::new(config, devices))), false);
        Self { id, pool, members, passages: Passages::default(), clonable: config.clonable }
    }

    /// The member that makes something: one that holds what is `at`, and can be used now. It has been asked nothing yet.
    fn choose(&self, at: &[&Place]) -> Result<usize> {
        let keys: Vec<Place> = at.iter().copied().filter(|key| !matches!(key, Place::Here)).cloned().collect();
        let device = self.pool.call(Use::Other, at, move |device, lent| {
            // A member that was not entered before may turn out to have none of it.
            for key in &keys {
                key.handle(device, lent)?;
            }
            Ok(Arc::clone(device))
        })?;
        let place = self.members.iter().position(|member| Arc::ptr_eq(&member.device, &device));
        place.ok_or_else(|| Error::new(ErrorKind::Internal, "a call went to no member of the group"))
    }

    fn member(&self, place: usize) -> Result<&Part> {
        self.members.get(place).ok_or_else(|| Error::new(ErrorKind::Internal, "the group has no such member"))
    }

    /// Has `make` make a new object of the permit: in one member, from where it is carried to the others, or, where it lives no
    /// longer than its session, in any.
    fn make_with(
        &self,
        permit: &Permit,
        at: &[&Place],
        make: impl FnOnce(&HsmBackend) -> Result<Material>,
    ) -> Result<Material> {
        let new = permit.new_object()?;
        if new.storage != Storage::Stored {
            // What is to wrap another key is made where that is.
            return match permit.second_key().map(Place::of) {
                Ok(beside) => make(&self.member(self.choose(&[&beside?])?)?.backend),
                Err(_) => make(&self.pool),
            };
        }
        check_new(new)?;
        let source = self.choose(at)?;
        let material = make(&self.member(source)?.backend)?;
        self.spread(source, new, material)
    }
}

/// Refuses what no device would let out to another one.
fn check_new(new: &NewObject) -> Result<()> {
    if new.protection.wrap_with_trusted {
        let why = "a key that trusted keys alone may wrap does not get from one HSM of a group to the others: make it in one HSM";
        return Err(Error::new(ErrorKind::TemplateInconsistent, why));
    }
    Ok(())
}

impl Backend for GroupBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        self.pool.sign(permit, mechanism)
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        self.pool.verify(permit, mechanism)
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.pool.recover(permit, mechanism)
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.pool.encrypt(permit, mechanism)
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.pool.decrypt(permit, mechanism)
    }

    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        self.pool.digest(permit, hash)
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        self.make_with(permit, &[], |member| member.generate(permit, spec))
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        let mut public = None;
        let private = self.make_with(permit, &[], |member| {
            let (private, other) = member.generate_pair(permit, spec)?;
            public = Some(other);
            Ok(private)
        });
        if private.is_err()
            && let Some(Ok(half)) = public.as_ref().map(|half| Replicas::parse(&half.locator))
        {
            // Nobody knows it any more.
            let _ = self.remove(&half);
        }
        let private = private?;
        let missing = || Error::new(ErrorKind::Internal, "a pair was made without its public half");
        let mut new = permit.new_objects();
        let (first, second) = (new.next(), new.next());
        let (public, Some(first), Some(second)) = (public.ok_or_else(missing)?, first, second) else {
            return Err(missing());
        };
        if first.storage != Storage::Stored {
            return Ok((private, public));
        }
        // It is called as its other half is.
        let second = NewObject { name: first.name.clone(), ..second.clone() };
        let public = self.beside(&private, &second, public)?;
        Ok((private, public))
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        if matches!(components, KeyComponents::Public(_)) {
            return self.pool.import(permit, components);
        }
        self.make_with(permit, &[], |member| member.import(permit, components))
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        self.pool.export(permit)
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        self.pool.wrap(permit, mechanism)
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        let at = Place::of(permit.key()?)?;
        self.make_with(permit, &[&at], |member| member.unwrap(permit, mechanism, wrapped, key_type, len))
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        self.pool.make(permit, mechanism, expected)
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        let at = Place::of(permit.key()?)?;
        if matches!(at, Place::Here) || permit.new_objects().all(|new| new.storage != Storage::Stored) {
            return self.pool.derive(permit, mechanism, wanted);
        }
        let mut public = Vec::new();
        let key = self.make_with(permit, &[&at], |member| {
            let derived = member.derive(permit, mechanism, wanted)?;
            public = derived.public;
            let none = || Error::new(ErrorKind::Internal, "nothing was derived");
            derived.keys.into_iter().next().ok_or_else(none)
        })?;
        Ok(Derivation { keys: vec![key], public })
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        self.pool.derive_data(permit, mechanism, len)
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        self.pool.encapsulate(permit, mechanism, key_type, len)
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.pool.decapsulate(permit, mechanism, ciphertext, key_type, len)
    }

    /// Every replica. The record is gone by now: what cannot be reached is told, with where it is.
    fn destroy(&self, permit: &Permit) -> Result<()> {
        let version = permit.key()?.version;
        if version.locator.is_empty() {
            return Ok(());
        }
        self.remove(&Replicas::parse(&version.locator)?)
    }

    fn holds(&self, key_type: KeyType) -> bool {
        self.pool.holds(key_type)
    }

    fn ready(&self) -> Result<()> {
        self.pool.ready()
    }

    fn foreign(&self, permit: &Permit, locator: Option<&[u8]>) -> Result<Vec<Foreign>> {
        match locator {
            None => self.all_foreign(permit),
            Some(locator) => self.one_foreign(permit, &Replicas::parse(locator)?),
        }
    }

    fn device_objects(&self, locator: &[u8]) -> Result<Vec<DeviceObject>> {
        self.pool.device_objects(locator)
    }

    fn replicate(&self, _permit: &Permit, key: &Object, how: Replicating<'_>) -> Result<Option<Replication>> {
        self.replicated(key, how)
    }

    fn forsake(&self, _permit: &Permit, made: &[u8], record: &[u8]) -> Result<()> {
        self.forsaken(made, record)
    }

    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()> {
        self.pool.seed_random(permit, seed)
    }

    fn random(&self, permit: &Permit, out: &mut [u8]) -> Result<()> {
        self.pool.random(permit, out)
    }

    fn entropy(&self) -> &dyn Random {
        self.pool.entropy()
    }
}

impl GroupBackend {
    /// Destroys the objects at all of these places.
    fn remove(&self, replicas: &Replicas) -> Result<()> {
        let mut left: Vec<&str> = replicas.places.iter().map(|place| place.serial.as_str()).collect();
        let mut reasons = Vec::new();
        for Part { device, .. } in &self.members {
            if left.is_empty() {
                break;
            }
            let (whole, replicas) = (Arc::clone(device), replicas.clone());
            let removed = device.call(Effort::Usual, move |lent| {
                let serial = lent.entered().serial.clone();
                let Some(place) = replicas.at(&serial) else { return Ok(serial) };
                if let Some(handle) = stored(&whole, lent, place)? {
                    lent.ask(|session| session.destroy_object(handle))?;
                    whole.forget(&place.bytes);
                }
                Ok(serial)
            });
            match removed {
                Ok(serial) => left.retain(|other| *other != serial),
                Err(trouble) => reasons.push(trouble.into_error(device.name(), Use::Other).sentence()),
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        reasons.push("`kmss hsm keys` shows it when it is there again".to_owned());
        let why = format!(
            "a replica of the key is left in the HSM with serial {}: {}",
            left.join(", and in the one with serial "),
            reasons.join("; ")
        );
        Err(Error::new(ErrorKind::BackendUnavailable, why))
    }
}
