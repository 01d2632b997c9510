//! Keys in an HSM: a token of a PKCS#11 module of its vendor, loaded into this process.
//!
//! Secret and private keys are made in the device, stay there and are used there; what is known of a record's public part is
//! used by the software engine, and so are digests. See docs/adr/0036-keys-in-hsms.md.

mod adopt;
mod attributes;
mod cipher;
mod group;
mod halves;
mod keys;
mod locator;
mod mechanism;
mod place;
mod route;
mod sign;

use std::borrow::Cow;
use std::sync::Arc;

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use zeroize::Zeroizing;

use self::attributes::{Read, public_of, their_type};
use self::cipher::Cipher;
pub use self::group::GroupBackend;
use self::locator::{Locator, Replicas};
use self::mechanism::{For, Input, check, signer, unsupported, with};
use self::place::Place;
use self::route::Route;
use self::sign::Signature;
use super::soft::buffer::Buffer;
use super::soft::native;
use super::{Backend, Ciphering, Digesting, Foreign, Signing, Verifying};
use crate::device::{Device, Effort, Lent, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    BackendId, Derivation, DeviceObject, Expected, KeyClass, KeyComponents, KeySpec, Material, PublicComponents,
    Storage,
};
use crate::mechanism::{Curve, Hash, KeyType, MacMechanism, Mechanism, Native};
use crate::permit::{Granted, Permit};
use crate::random::Random;
use crate::secret::Secret;

/// The keys of one HSM, or of a group's members as far as it does not matter at which of them. Making it costs nothing.
pub struct HsmBackend {
    id: BackendId,
    route: Route,
    software: Arc<dyn Backend>,
    /// Whether what is made here is to be carried to other devices.
    carried: bool,
}

impl HsmBackend {
    /// The keys in `device`; `software` computes what needs no secret.
    #[must_use]
    pub fn new(device: Arc<Device>, software: Arc<dyn Backend>) -> Self {
        let id = BackendId(Cow::Owned(device.name().to_owned()));
        Self { id, route: Route::One(device), software, carried: false }
    }

    /// Calls a device that holds what is `at`, with errors as the core knows them.
    fn call<R: Send + 'static>(
        &self,
        used: Use,
        at: &[&Place],
        f: impl Fn(&Arc<Device>, &Lent) -> Result<R, Trouble> + Send + Sync + 'static,
    ) -> Result<R> {
        self.route.call(used, Effort::Usual, at, f)
    }

    /// Lets the software engine make something for this process; what it would store is nothing that this backend could read.
    fn with_software<R>(&self, permit: &Permit, f: impl FnOnce(&dyn Backend) -> Result<R>) -> Result<R> {
        if permit.new_objects().any(|new| new.storage == Storage::Stored) {
            let why = "what is made of a key in software is not stored in an HSM: make it a session object";
            return Err(Error::new(ErrorKind::MechanismUnsupported, why));
        }
        f(self.software.as_ref())
    }

    fn signature(
        &self,
        granted: Granted<'_>,
        place: Place,
        permit: &Permit,
        mechanism: &Mechanism,
    ) -> Result<Signature> {
        let entered = self.route.entered(&[&place])?;
        let (signer, input) = signer(mechanism, granted.key.key_type, &entered)?;
        let (unit, len) = match (&granted.version.public, mechanism) {
            (PublicComponents::Rsa { modulus, .. }, _) => (modulus.len(), modulus.len()),
            (PublicComponents::Ec { curve: Curve::Ed25519, .. }, _) => (32, 64),
            (PublicComponents::Ec { curve: Curve::Ed448, .. }, _) => (57, 114),
            (PublicComponents::Ec { curve, .. }, _) => (curve.field_len(), 2 * curve.field_len()),
            (_, Mechanism::Mac(mac)) => (0, mac.len()),
            _ => return Err(unsupported()),
        };
        let whole = match mechanism {
            Mechanism::Mac(MacMechanism::Hmac { hash, .. }) => hash.len(),
            Mechanism::Mac(_) => 16,
            _ => len,
        };
        let digest = match input {
            Input::Digest(hash) | Input::DigestInfo(hash) => Some(self.software.digest(permit, hash)?),
            _ => None,
        };
        Ok(Signature {
            route: self.route.clone(),
            place,
            signer,
            input,
            digest,
            unit,
            len,
            shortened: len < whole,
            data: Buffer::default(),
        })
    }

    fn crypt(&self, permit: &Permit, mechanism: &Mechanism, encrypt: bool) -> Result<Box<dyn Ciphering>> {
        let granted = permit.key()?;
        let place = Place::of(granted)?;
        if matches!(place, Place::Here) {
            return if encrypt {
                self.software.encrypt(permit, mechanism)
            } else {
                self.software.decrypt(permit, mechanism)
            };
        }
        if let Mechanism::Native(native) = mechanism {
            return self.native(granted, place, permit, native, encrypt);
        }
        let (key_type, device) = (granted.key.key_type, self.route.entered(&[&place])?);
        // What cannot work is told at the beginning.
        check(mechanism, &device.quirks)?;
        with(mechanism, key_type, For::Data, |theirs| {
            if device.offers(theirs.mechanism_type()) { Ok(()) } else { Err(unsupported()) }
        })?;
        let unit = match &granted.version.public {
            PublicComponents::Rsa { modulus, .. } => modulus.len(),
            _ => 0,
        };
        let (route, mechanism) = (self.route.clone(), mechanism.clone());
        Ok(Box::new(Cipher { route, place, mechanism, key_type, unit, encrypt, data: Arc::default() }))
    }
}

impl HsmBackend {
    /// Starts an encryption or decryption in our own format: the device computes the MACs that a message's key is derived by.
    fn native(
        &self,
        granted: Granted<'_>,
        place: Place,
        permit: &Permit,
        native: &Native,
        encrypt: bool,
    ) -> Result<Box<dyn Ciphering>> {
        let bytes = usize::try_from(granted.version.bits / 8).unwrap_or_default();
        native::check(native.algorithm, granted.key.key_type, bytes)?;
        if !granted.key.usage.sign {
            let why = "our own format takes a key of an HSM that may compute MACs (CKA_SIGN): keys of messages are derived by AES-CMAC";
            return Err(Error::new(ErrorKind::KeyUsage, why));
        }
        let mac = native::mac(native.algorithm).ok_or_else(unsupported)?;
        // What cannot work is told at the beginning.
        let ready = self.signature(granted, place, permit, &Mechanism::Mac(mac))?;
        let prf = move |data: &[u8], out: &mut [u8]| {
            let mut signature = ready.anew();
            Signing::update(&mut signature, data)?;
            Signing::finish(&mut signature, out).map(|_| ())
        };
        Ok(native::with(Box::new(prf), granted, native, encrypt))
    }
}

/// A public key that wraps keys of the device.
struct PublicHalf {
    key_type: KeyType,
    /// Where it is in devices.
    replicas: Option<Replicas>,
    public: PublicComponents,
}

impl PublicHalf {
    /// That of `granted`, for a backend that is called `id`.
    fn of(granted: Granted<'_>, id: &BackendId) -> Result<Self> {
        // The locator of another backend says nothing here.
        let ours = granted.version.backend == *id && !granted.version.locator.is_empty();
        let replicas = ours.then(|| Replicas::parse(&granted.version.locator)).transpose()?;
        Ok(Self { key_type: granted.key.key_type, replicas, public: granted.version.public.clone() })
    }

    /// Its object in the device, and whether it was made for this call only.
    fn object(&self, device: &Device, lent: &Lent) -> Result<(ObjectHandle, bool), Trouble> {
        let at = self.replicas.as_ref().and_then(|replicas| replicas.at(&lent.entered().serial));
        if let Some(locator) = at {
            // Anybody may put a public object into a device, and several: it counts only where it is what the record says.
            let found = match place::stored(device, lent, locator) {
                Err(Trouble::Core(several)) if several.kind() == ErrorKind::Damaged => None,
                found => found?,
            };
            if let Some(handle) = found {
                let read = Read::of(lent, handle, public_of(self.key_type))?;
                if read.public(self.key_type).is_ok_and(|public| public == self.public) {
                    return Ok((handle, false));
                }
            }
        }
        // Nothing else wraps under a public key.
        let PublicComponents::Rsa { modulus, exponent } = &self.public else {
            return Err(unsupported().into());
        };
        let template = [
            Attribute::Class(cryptoki::object::ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(their_type(self.key_type)?),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Wrap(true),
            Attribute::Modulus(modulus.clone()),
            Attribute::PublicExponent(exponent.clone()),
        ];
        Ok((lent.ask(|session| session.create_object(&template))?, true))
    }
}

impl Backend for HsmBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        let granted = permit.key()?;
        match Place::of(granted)? {
            Place::Here => self.software.sign(permit, mechanism),
            place => Ok(Box::new(self.signature(granted, place, permit, mechanism)?)),
        }
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        let granted = permit.key()?;
        match Place::of(granted)? {
            Place::Here => self.software.verify(permit, mechanism),
            place => Ok(Box::new(self.signature(granted, place, permit, mechanism)?)),
        }
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.software.recover(permit, mechanism)
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.crypt(permit, mechanism, true)
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        self.crypt(permit, mechanism, false)
    }

    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        self.software.digest(permit, hash)
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        self.make_secret(permit, spec)
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        self.make_pair(permit, spec)
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        self.bring(permit, components)
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        let granted = permit.key()?;
        let place = Place::of(granted)?;
        if matches!(place, Place::Here) {
            return self.software.export(permit);
        }
        let kept = || Error::new(ErrorKind::KeyUnextractable, "the HSM does not give the key out in clear: wrap it");
        if granted.key.class != KeyClass::Secret {
            return Err(kept());
        }
        let wanted = place.clone();
        let read = self.call(Use::Other, &[&place], move |device, lent| {
            let handle = wanted.handle(device, lent)?;
            Read::of(lent, handle, &[AttributeType::Value])
        })?;
        let value = read.into_value().ok_or_else(kept)?;
        Ok(KeyComponents::Secret { key_type: granted.key.key_type, value })
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        let (wrapping, target) = (permit.key()?, permit.second_key()?);
        let (by, what) = (Place::of(wrapping)?, Place::of(target)?);
        if matches!((&by, &what), (Place::Here, Place::Here)) {
            return self.software.wrap(permit, mechanism);
        }
        if matches!(what, Place::Here) {
            let why = "the key is not in the HSM, and the wrapping key does not leave it: wrap it under a public key";
            return Err(Error::new(ErrorKind::KeyNotWrappable, why));
        }
        check(mechanism, &self.route.entered(&[&by, &what])?.quirks)?;
        let (mechanism, key_type) = (mechanism.clone(), wrapping.key.key_type);
        let half = matches!(by, Place::Here).then(|| PublicHalf::of(wrapping, &self.id)).transpose()?;
        let (under, target) = (by.clone(), what.clone());
        self.call(Use::Other, &[&by, &what], move |device, lent| {
            with(&mechanism, key_type, For::Keys, |theirs| {
                let target = target.handle(device, lent)?;
                let (key, made) = match &half {
                    Some(half) => half.object(device, lent)?,
                    None => (under.handle(device, lent)?, false),
                };
                let wrapped = lent.ask(|session| session.wrap_key(theirs, key, target));
                if made {
                    let _ = lent.ask(|session| session.destroy_object(key));
                }
                wrapped
            })
        })
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        self.open(permit, mechanism, wrapped, Expected { key_type, len })
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        self.with_software(permit, |software| software.make(permit, mechanism, expected))
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        if matches!(Place::of(permit.key()?)?, Place::Here) {
            return self.with_software(permit, |software| software.derive(permit, mechanism, wanted));
        }
        let [expected] = wanted else { return Err(unsupported()) };
        let keys = vec![self.agree(permit, mechanism, *expected)?];
        Ok(Derivation { keys, public: Vec::new() })
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        if matches!(Place::of(permit.key()?)?, Place::Here) {
            return self.software.derive_data(permit, mechanism, len);
        }
        self.agree_data(permit, mechanism, len)
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        self.with_software(permit, |software| software.encapsulate(permit, mechanism, key_type, len))
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        if !matches!(Place::of(permit.key()?)?, Place::Here) {
            return Err(unsupported());
        }
        self.with_software(permit, |software| software.decapsulate(permit, mechanism, ciphertext, key_type, len))
    }

    fn destroy(&self, permit: &Permit) -> Result<()> {
        let version = permit.key()?.version;
        if version.locator.is_empty() {
            return Ok(());
        }
        Replicas::parse(&version.locator)?.places.iter().try_for_each(|place| self.remove(place))
    }

    fn holds(&self, key_type: KeyType) -> bool {
        // A device would take the secret of an HKDF, and do nothing with it.
        key_type != KeyType::Hkdf && their_type(key_type).is_ok()
    }

    fn ready(&self) -> Result<()> {
        self.route.entered(&[]).map(drop)
    }

    fn foreign(&self, permit: &Permit, locator: Option<&[u8]>) -> Result<Vec<Foreign>> {
        self.adoptable(permit, locator.map(Replicas::parse).transpose()?.as_ref())
    }

    fn device_objects(&self, locator: &[u8]) -> Result<Vec<DeviceObject>> {
        if locator.is_empty() {
            return Ok(Vec::new());
        }
        let object = |Locator { class, serial, id, label, .. }| {
            Ok(DeviceObject { place: Locator::new(class, &serial, &id, None)?.bytes, label })
        };
        Replicas::parse(locator)?.places.into_iter().map(object).collect()
    }

    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()> {
        self.software.seed_random(permit, seed)
    }

    fn random(&self, _permit: &Permit, out: &mut [u8]) -> Result<()> {
        let len = out.len();
        let drawn = self.route.call(Use::Other, Effort::Data(len), &[], move |_, lent| {
            let mut drawn = Zeroizing::new(vec![0; len]);
            lent.ask(|session| session.generate_random_slice(&mut drawn))?;
            Ok(drawn)
        })?;
        out.copy_from_slice(&drawn);
        Ok(())
    }

    fn entropy(&self) -> &dyn Random {
        self.software.entropy()
    }
}
