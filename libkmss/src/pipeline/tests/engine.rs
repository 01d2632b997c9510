//! The backend's double.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::doubles::Journal;
use crate::backend::soft::SoftBackend;
use crate::backend::{Backend, Changes, Ciphering, Custody, Digesting, Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{BackendId, Derivation, DeviceObject, Expected, KeyComponents, KeySpec, Material, Object};
use crate::mechanism::{Hash, KeyType, Mechanism};
use crate::permit::Permit;
use crate::random::Random;
use crate::secret::Secret;
use crate::tenant::Namespace;

/// The software engine, which tells what it is asked to do and can be out of order.
pub(super) struct Engine {
    journal: Arc<Journal>,
    inner: SoftBackend,
    pub(super) broken: AtomicBool,
    /// Whether what it holds stands in a device.
    pub(super) is_device: AtomicBool,
    /// Whether it keeps records of its own, as a server does.
    pub(super) is_keeper: AtomicBool,
    /// What happens while it generates the next key or pair.
    pub(super) meanwhile: Mutex<Option<Meanwhile>>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

impl Engine {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            inner: SoftBackend::new().unwrap(),
            broken: AtomicBool::new(false),
            is_device: AtomicBool::new(false),
            is_keeper: AtomicBool::new(false),
            meanwhile: Mutex::default(),
        }
    }

    fn pass_time(&self) {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
    }

    fn asked(&self, what: &str) -> Result<&SoftBackend> {
        self.journal.note(format!("backend {what}"));
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::BackendUnavailable, "the device does not answer"));
        }
        Ok(&self.inner)
    }
}

/// Nothing ever changes there by itself.
impl Custody for Engine {
    fn due(&self, _: &Namespace, _: bool) -> Option<Duration> {
        None
    }

    fn followed(&self, _: &Namespace, _: bool, _: Duration) {}

    fn changes(&self, _: &Namespace, _: &[u8]) -> Result<Changes> {
        Ok(Changes::default())
    }

    fn keep(&self, _: &Permit, _: &Object) -> Result<()> {
        Ok(())
    }

    fn update(&self, _: &Permit, _: &Object, _: &Object) -> Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Permit, _: &Object, _: &str) -> Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Permit, _: &Object) -> Result<()> {
        Ok(())
    }
}

impl Backend for Engine {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn custody(&self) -> Option<&dyn Custody> {
        self.is_keeper.load(Ordering::SeqCst).then_some(self)
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        self.asked("sign")?.sign(permit, mechanism)
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        self.asked("verify")?.verify(permit, mechanism)
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.asked("recover")?.recover(permit, mechanism)
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.asked("encrypt")?.encrypt(permit, mechanism)
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.asked("decrypt")?.decrypt(permit, mechanism)
    }

    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        self.asked("digest")?.digest(permit, hash)
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        self.pass_time();
        self.asked("generate")?.generate(permit, spec)
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        self.pass_time();
        self.asked("generate pair")?.generate_pair(permit, spec)
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        self.asked("import")?.import(permit, components)
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        self.asked("export")?.export(permit)
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        self.asked("wrap")?.wrap(permit, mechanism)
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.asked("unwrap")?.unwrap(permit, mechanism, wrapped, key_type, len)
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        self.asked("make")?.make(permit, mechanism, expected)
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        self.asked("derive")?.derive(permit, mechanism, wanted)
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        self.asked("derive-data")?.derive_data(permit, mechanism, len)
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        kind: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        self.asked("encapsulate")?.encapsulate(permit, mechanism, kind, len)
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        kind: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.asked("decapsulate")?.decapsulate(permit, mechanism, ciphertext, kind, len)
    }

    fn destroy(&self, permit: &Permit) -> Result<()> {
        self.asked("destroy")?.destroy(permit)
    }

    fn device_objects(&self, _: &[u8]) -> Result<Vec<DeviceObject>> {
        let object = DeviceObject { place: b"slot 1".to_vec(), label: None };
        Ok(if self.is_device.load(Ordering::SeqCst) { vec![object] } else { Vec::new() })
    }

    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()> {
        self.asked("seed")?.seed_random(permit, seed)
    }

    fn random(&self, permit: &Permit, out: &mut [u8]) -> Result<()> {
        self.asked("random")?.random(permit, out)
    }

    fn entropy(&self) -> &dyn Random {
        self.inner.entropy()
    }
}

/// The engine's generator for the catalogue.
pub(super) struct Dice(pub(super) Arc<Engine>);

impl Random for Dice {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        self.0.entropy().fill(out)
    }
}
