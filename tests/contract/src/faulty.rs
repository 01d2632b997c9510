//! A backend that fails on command, in front of one that works: what stands behind it (the pipeline, the doors, a group of
//! devices) shows by it that it fails closed.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use libkmss::backend::{Backend, Ciphering, Digesting, Signing, Verifying};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{BackendId, Derivation, Expected, KeyComponents, KeySpec, Material};
use libkmss::mechanism::{Hash, KeyType, Mechanism};
use libkmss::permit::Permit;
use libkmss::random::Random;
use libkmss::secret::Secret;

/// How a backend fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not answer.
    Unavailable,
    /// It answers late.
    Slow(Duration),
    /// It begins operations and breaks off at their end.
    Midway,
    /// It says that it wrote more than it was given room for.
    TooLong,
    /// It loses keys on the way: of those derived the last one is missing.
    Missing,
}

/// The switch of a faulty backend.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<Mutex<Option<Fault>>>);

impl Switch {
    /// From now on it fails so; `None` lets it work.
    pub fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Option<Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault() == Some(fault)
    }

    /// Before anything is done.
    fn before(&self) -> Result<()> {
        match self.fault() {
            Some(Fault::Unavailable) => Err(unavailable("the device does not answer")),
            Some(Fault::Slow(time)) => {
                thread::sleep(time);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// At the end of an operation that wrote `written` bytes.
    fn after(&self, written: usize) -> Result<usize> {
        match self.fault() {
            Some(Fault::Unavailable | Fault::Midway) => Err(unavailable("the device went away in the middle")),
            Some(Fault::TooLong) => Ok(written.saturating_add(1)),
            _ => Ok(written),
        }
    }

    /// After a key was made.
    fn made<T>(&self, made: T) -> Result<T> {
        if self.is(Fault::Midway) { Err(unavailable("the device went away in the middle")) } else { Ok(made) }
    }
}

fn unavailable(why: &'static str) -> Error {
    Error::new(ErrorKind::BackendUnavailable, why)
}

/// A backend that fails on command.
pub struct Faulty {
    id: BackendId,
    inner: Arc<dyn Backend>,
    switch: Switch,
}

impl Faulty {
    /// A backend named `name` in front of `inner`.
    #[must_use]
    pub fn new(name: &'static str, inner: Arc<dyn Backend>, switch: Switch) -> Self {
        Self { id: BackendId(name.into()), inner, switch }
    }
}

/// An operation under way.
struct Running<T: ?Sized> {
    switch: Switch,
    inner: Box<T>,
}

impl<T: ?Sized> Running<T> {
    fn boxed(faulty: &Faulty, inner: Box<T>) -> Box<Self> {
        Box::new(Self { switch: faulty.switch.clone(), inner })
    }
}

impl Signing for Running<dyn Signing> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.inner.update(data)
    }

    fn signature_len(&self) -> usize {
        self.inner.signature_len()
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let written = self.inner.finish(out)?;
        self.switch.after(written)
    }
}

impl Verifying for Running<dyn Verifying> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.inner.update(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        self.switch.after(0)?;
        self.inner.finish(signature)
    }
}

impl Ciphering for Running<dyn Ciphering> {
    fn update_len(&self, input: usize) -> usize {
        self.inner.update_len(input)
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.inner.update(input, out)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.inner.finish_len(input)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let written = self.inner.finish(input, out)?;
        self.switch.after(written)
    }

    fn apart_len(&self, input: usize) -> usize {
        self.inner.apart_len(input)
    }

    fn finish_apart(&mut self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<usize> {
        let written = self.inner.finish_apart(input, out, tag)?;
        self.switch.after(written)
    }
}

impl Backend for Faulty {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        self.switch.before()?;
        Ok(Running::boxed(self, self.inner.sign(permit, mechanism)?))
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        self.switch.before()?;
        Ok(Running::boxed(self, self.inner.verify(permit, mechanism)?))
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.switch.before()?;
        Ok(Running::boxed(self, self.inner.recover(permit, mechanism)?))
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.switch.before()?;
        Ok(Running::boxed(self, self.inner.encrypt(permit, mechanism)?))
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.switch.before()?;
        Ok(Running::boxed(self, self.inner.decrypt(permit, mechanism)?))
    }

    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        self.switch.before()?;
        self.inner.digest(permit, hash)
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        self.switch.before()?;
        self.switch.made(self.inner.generate(permit, spec)?)
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        self.switch.before()?;
        self.switch.made(self.inner.generate_pair(permit, spec)?)
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        self.switch.before()?;
        self.switch.made(self.inner.import(permit, components)?)
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        self.switch.before()?;
        self.inner.export(permit)
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        self.switch.before()?;
        self.switch.made(self.inner.wrap(permit, mechanism)?)
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.switch.before()?;
        self.switch.made(self.inner.unwrap(permit, mechanism, wrapped, key_type, len)?)
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        self.switch.before()?;
        self.switch.made(self.inner.make(permit, mechanism, expected)?)
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        self.switch.before()?;
        let mut derivation = self.switch.made(self.inner.derive(permit, mechanism, wanted)?)?;
        if self.switch.is(Fault::Missing) {
            drop(derivation.keys.pop());
        }
        Ok(derivation)
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        self.switch.before()?;
        self.switch.made(self.inner.derive_data(permit, mechanism, len)?)
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        self.switch.before()?;
        self.switch.made(self.inner.encapsulate(permit, mechanism, key_type, len)?)
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.switch.before()?;
        self.switch.made(self.inner.decapsulate(permit, mechanism, ciphertext, key_type, len)?)
    }

    fn destroy(&self, permit: &Permit) -> Result<()> {
        self.switch.before()?;
        self.inner.destroy(permit)
    }

    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()> {
        self.inner.seed_random(permit, seed)
    }

    fn random(&self, permit: &Permit, out: &mut [u8]) -> Result<()> {
        self.inner.random(permit, out)
    }

    fn entropy(&self) -> &dyn Random {
        self.inner.entropy()
    }
}
