//! Backends compute. Each call asks for a [`Permit`], which only the pipeline makes.
//!
//! A backend stores nothing: what it makes it returns as an opaque locator, sealed under the domain key that the permit
//! offers ([`Permit::domain_key`]), and gets back inside the permit's key version.

mod custody;
pub mod hsm;
pub mod soft;

pub use custody::{Changes, Custody};

use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    BackendId, Derivation, DeviceObject, Expected, KeyClass, KeyComponents, KeySpec, Material, Object, Protection,
    PublicComponents, Usage,
};
use crate::mechanism::{Hash, HdDerivation, KeyType, Mechanism};
use crate::permit::Permit;
use crate::random::Random;
use crate::secret::Secret;
use crate::tenant::ObjectId;

/// A verb that a mechanism can be offered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verb {
    Generate,
    Sign,
    SignRecover,
    Verify,
    VerifyRecover,
    Encrypt,
    Decrypt,
    Wrap,
    Unwrap,
    Derive,
    Encapsulate,
    Decapsulate,
    Digest,
}

/// Where keys are made and used.
///
/// Methods take the permit's key version as the key; errors are [`KeyType`](crate::error::ErrorKind::KeyType) where its
/// type does not fit the mechanism and [`MechanismUnsupported`](crate::error::ErrorKind::MechanismUnsupported) where the
/// backend does not offer the mechanism for the verb. Parameters that cannot work with the key are
/// [`MechanismParameter`](crate::error::ErrorKind::MechanismParameter).
pub trait Backend: Send + Sync {
    /// The name that key versions carry.
    fn id(&self) -> &BackendId;

    /// What the backend keeps beside keys: where it has records of its own, which the catalogue follows.
    fn custody(&self) -> Option<&dyn Custody> {
        None
    }

    /// Starts a signature or MAC.
    ///
    /// # Errors
    /// See the trait.
    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>>;

    /// Starts a verification.
    ///
    /// # Errors
    /// See the trait.
    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>>;

    /// Starts the recovery of signed data from a signature: its whole input is the signature, its output what was signed.
    ///
    /// # Errors
    /// See the trait. Signatures that do not verify are [`SignatureInvalid`](crate::error::ErrorKind::SignatureInvalid),
    /// those of a wrong length [`SignatureLength`](crate::error::ErrorKind::SignatureLength).
    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>>;

    /// Starts an encryption.
    ///
    /// # Errors
    /// See the trait.
    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>>;

    /// Starts a decryption. Authenticated modes release nothing before the tag was checked.
    ///
    /// # Errors
    /// See the trait.
    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>>;

    /// Starts a digest.
    ///
    /// # Errors
    /// See the trait.
    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>>;

    /// Makes a secret key.
    ///
    /// # Errors
    /// [`KeySize`](crate::error::ErrorKind::KeySize) for sizes that are not offered.
    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material>;

    /// Makes a key pair: the private half (for the permit's new object) and the public half.
    ///
    /// # Errors
    /// [`KeySize`](crate::error::ErrorKind::KeySize) and [`CurveUnsupported`](crate::error::ErrorKind::CurveUnsupported)
    /// for what is not offered.
    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)>;

    /// Makes a key pair that is given out and kept nowhere: PKCS #8 of the private half (RFC 5958, DER), and the public half.
    ///
    /// # Errors
    /// As [`Self::generate_pair`]; [`Unsupported`](crate::error::ErrorKind::Unsupported) where that is for others to do.
    fn release_pair(&self, _permit: &Permit, _spec: &KeySpec) -> Result<(Secret, PublicComponents)> {
        Err(Error::new(ErrorKind::Unsupported, "the backend gives no keys out"))
    }

    /// Takes a key in. Components are checked for consistency (a point on its curve, a modulus that is the product of
    /// its primes) and completed where they may be incomplete.
    ///
    /// # Errors
    /// [`AttributeValue`](crate::error::ErrorKind::AttributeValue) for components that make no key,
    /// [`TemplateIncomplete`](crate::error::ErrorKind::TemplateIncomplete) where too many are missing.
    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material>;

    /// Gives the permit's key out in clear. Whether that is allowed was decided before.
    ///
    /// # Errors
    /// [`KeyUnextractable`](crate::error::ErrorKind::KeyUnextractable) where the device refuses.
    fn export(&self, permit: &Permit) -> Result<KeyComponents>;

    /// Wraps the permit's second key under its first. Private keys are wrapped as PKCS #8 (RFC 5958).
    ///
    /// # Errors
    /// [`KeyNotWrappable`](crate::error::ErrorKind::KeyNotWrappable) where mechanism and key do not fit.
    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>>;

    /// Unwraps `wrapped` under the permit's key into its new object.
    ///
    /// `key_type` is the type expected; `len` the length in bytes of a secret key where the caller states one (where it
    /// is absent, all unwrapped bytes are the key).
    ///
    /// # Errors
    /// [`WrappedKeyInvalid`](crate::error::ErrorKind::WrappedKeyInvalid) (one error for every way to be wrong) and
    /// [`WrappedKeyLength`](crate::error::ErrorKind::WrappedKeyLength).
    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material>;

    /// Makes a secret key by a mechanism that uses no other key (PBKDF2, a premaster secret of TLS).
    ///
    /// # Errors
    /// [`KeySize`](crate::error::ErrorKind::KeySize) where the mechanism cannot yield that length.
    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material>;

    /// Derives secret keys from the permit's key, and its other keys where the mechanism uses some, into its new objects.
    /// Where a length is absent the mechanism's natural one is used (the field size of ECDH, the fixed length of the key
    /// type, the hash length of HKDF).
    ///
    /// # Errors
    /// [`KeySize`](crate::error::ErrorKind::KeySize) where the mechanism cannot yield that length,
    /// [`TemplateInconsistent`](crate::error::ErrorKind::TemplateInconsistent) where it yields another number of keys.
    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation>;

    /// As [`Self::derive`], for data that is to be given out in clear.
    ///
    /// # Errors
    /// As [`Self::derive`].
    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret>;

    /// Derives the pair at a path from the seed that the permit's key is: the private half (for the permit's new object) and the public
    /// half.
    ///
    /// # Errors
    /// [`KeyType`](crate::error::ErrorKind::KeyType) and [`KeySize`](crate::error::ErrorKind::KeySize) for what is no seed;
    /// [`MechanismParameter`](crate::error::ErrorKind::MechanismParameter) where there is no key at this path;
    /// [`Unsupported`](crate::error::ErrorKind::Unsupported) where that is for others to do.
    fn derive_pair(&self, _permit: &Permit, _how: &HdDerivation) -> Result<(Material, Material)> {
        let why = "keys follow from a seed and a path where the software engine has the seed: not in an HSM, and of a server's token \
                   there (`kmss --server`)";
        Err(Error::new(ErrorKind::Unsupported, why))
    }

    /// Makes a secret that the holder of the private half of the permit's key can make, too, as the permit's new object, and
    /// the ciphertext that carries it. The new key takes `len` bytes of the secret, all where it is absent.
    ///
    /// # Errors
    /// [`KeySize`](crate::error::ErrorKind::KeySize) for more than the mechanism yields, and for lengths that the type does
    /// not have.
    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)>;

    /// Recovers an encapsulated secret as the permit's new object. A wrong ciphertext of the right length yields another
    /// secret, not an error; where a ciphertext is a point, what is none is an error.
    ///
    /// # Errors
    /// As [`Self::encapsulate`], [`WrappedKeyLength`](crate::error::ErrorKind::WrappedKeyLength) and
    /// [`WrappedKeyInvalid`](crate::error::ErrorKind::WrappedKeyInvalid).
    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material>;

    /// Destroys what the permit's key versions name in the device. The software engine holds nothing.
    ///
    /// # Errors
    /// [`BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) when the device cannot be reached.
    fn destroy(&self, permit: &Permit) -> Result<()>;

    /// Whether keys of this type are of use here, as far as that is known without asking a device.
    fn holds(&self, _key_type: KeyType) -> bool {
        true
    }

    /// Whether the backend can work now: a device is opened for it.
    ///
    /// # Errors
    /// [`BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) with what is missing.
    fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// The keys that a device holds, or the one at a locator that this returned before. The software engine holds none.
    ///
    /// # Errors
    /// See the trait.
    fn foreign(&self, _permit: &Permit, _locator: Option<&[u8]>) -> Result<Vec<Foreign>> {
        Ok(Vec::new())
    }

    /// The objects of devices that a key stands on whose version names `locator`. The software engine's stand on none.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged) for what is no locator.
    fn device_objects(&self, _locator: &[u8]) -> Result<Vec<DeviceObject>> {
        Ok(Vec::new())
    }

    /// Where `key` is, of a backend that keeps keys in several devices, and what [`Replicating`] says, as far as they can be
    /// reached. `None` of what is in one place.
    ///
    /// # Errors
    /// See the trait. What stands in the way at one device alone is told in the result.
    fn replicate(&self, _permit: &Permit, _key: &Object, _how: Replicating<'_>) -> Result<Option<Replication>> {
        Ok(None)
    }

    /// Takes back what [`Self::replicate`] made, where it could not be written down: `made` is its locator, `record` the one of
    /// the record as it is now.
    ///
    /// # Errors
    /// [`BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) with what is left where.
    fn forsake(&self, _permit: &Permit, _made: &[u8], _record: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Mixes caller's bytes into the random source.
    ///
    /// # Errors
    /// [`Unsupported`](crate::error::ErrorKind::Unsupported) where there is nothing to mix into.
    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()>;

    /// Random bytes for the caller.
    ///
    /// # Errors
    /// The generator fails.
    fn random(&self, permit: &Permit, out: &mut [u8]) -> Result<()>;

    /// Random bytes for the core itself (nonces, identifiers, domain keys).
    fn entropy(&self) -> &dyn Random;
}

/// What a backend says it wrote, where that is no more than there was `room` for: a device may say anything, and who
/// believed it would hand out what lies behind a buffer.
///
/// # Errors
/// That of `written`; [`Internal`](crate::error::ErrorKind::Internal) for more than there was room for.
#[inline]
pub fn within(room: usize, written: Result<usize>) -> Result<usize> {
    match written {
        Ok(len) if len > room => {
            Err(Error::new(ErrorKind::Internal, "the backend says it wrote more than there was room for"))
        }
        written => written,
    }
}

/// What [`Backend::replicate`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicating<'a> {
    /// It looks, and changes nothing.
    Look,
    /// It brings the key to the devices that lack it; a public half goes beside the private one at this locator.
    Bring(Option<&'a [u8]>),
    /// Where every device has the key, it has them let it out no more. Nothing takes that back: the record names all of them.
    Close,
}

/// In which devices a key is, and in which it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// What the key's version says of where it is, from now on.
    pub locator: Vec<u8>,
    /// The devices that had it, by their names in the configuration.
    pub present: Vec<String>,
    /// Those that were given it.
    pub made: Vec<String>,
    /// Those that lack it, and why.
    pub lacking: Vec<(String, String)>,
    /// Those that would let it out, though its attributes do not.
    pub open: Vec<String>,
}

/// A key that a device holds, whether there is a record of it or not.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Where it is, and what may be known of it.
    pub material: Material,
    /// Which half it is.
    pub class: KeyClass,
    /// The key of the caller's namespace that stands on it, where one does. Only [`Survey`](crate::operation::Survey) says so.
    pub owner: Option<ObjectId>,
    /// Its label there.
    pub label: Vec<u8>,
    /// Its identifier there (CKA_ID).
    pub identifier: Vec<u8>,
    /// What the device lets it do.
    pub usage: Usage,
    /// How the device protects it.
    pub protection: Protection,
    /// Why it cannot be used here, if so.
    pub refusal: Option<String>,
}

/// A signature or MAC under way.
pub trait Signing: Send {
    /// Adds message bytes.
    ///
    /// # Errors
    /// [`DataLength`](crate::error::ErrorKind::DataLength) where the mechanism signs short data only and it is exceeded.
    fn update(&mut self, data: &[u8]) -> Result<()>;

    /// Length of the signature in bytes; exact.
    fn signature_len(&self) -> usize;

    /// Writes the signature to the front of `out`, which is at least [`Self::signature_len`] long; returns its length.
    ///
    /// # Errors
    /// [`DataLength`](crate::error::ErrorKind::DataLength), [`DataInvalid`](crate::error::ErrorKind::DataInvalid).
    fn finish(&mut self, out: &mut [u8]) -> Result<usize>;
}

/// A verification under way.
pub trait Verifying: Send {
    /// Adds message bytes.
    ///
    /// # Errors
    /// As [`Signing::update`].
    fn update(&mut self, data: &[u8]) -> Result<()>;

    /// Checks the signature.
    ///
    /// # Errors
    /// [`SignatureInvalid`](crate::error::ErrorKind::SignatureInvalid),
    /// [`SignatureLength`](crate::error::ErrorKind::SignatureLength), and as [`Signing::finish`].
    fn finish(&mut self, signature: &[u8]) -> Result<()>;
}

/// An encryption or decryption under way.
pub trait Ciphering: Send {
    /// Upper bound for what [`Self::update`] with `input` bytes writes; 0 where everything comes at the end.
    fn update_len(&self, input: usize) -> usize;

    /// Processes a part; returns the number of bytes written to the front of `out` (at least [`Self::update_len`]).
    ///
    /// # Errors
    /// Length and data errors of the mechanism.
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize>;

    /// Upper bound for what finishing with `input` more bytes writes.
    fn finish_len(&self, input: usize) -> usize;

    /// Processes the last part (perhaps empty) and ends; returns the number of bytes written to the front of `out` (at
    /// least [`Self::finish_len`]).
    ///
    /// # Errors
    /// [`DataLength`](crate::error::ErrorKind::DataLength),
    /// [`EncryptedDataLength`](crate::error::ErrorKind::EncryptedDataLength),
    /// [`EncryptedDataInvalid`](crate::error::ErrorKind::EncryptedDataInvalid).
    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize>;

    /// What [`Self::finish_apart`] with `input` more bytes writes.
    fn apart_len(&self, input: usize) -> usize {
        self.finish_len(input)
    }

    /// Ends an authenticated mode with the tag apart from the text: it is written to `tag`, or, decrypting, checked
    /// against it. Otherwise as [`Self::finish`]; `out` has at least [`Self::apart_len`].
    ///
    /// # Errors
    /// As [`Self::finish`]; [`MechanismParameter`](crate::error::ErrorKind::MechanismParameter) where `tag` has another
    /// length than the mechanism says; [`MechanismUnsupported`](crate::error::ErrorKind::MechanismUnsupported) where the
    /// mode has no tag.
    fn finish_apart(&mut self, _input: &[u8], _out: &mut [u8], _tag: &mut [u8]) -> Result<usize> {
        Err(Error::new(ErrorKind::MechanismUnsupported, "the mechanism has no tag"))
    }
}

/// A digest under way.
pub trait Digesting: Send {
    /// Adds message bytes.
    ///
    /// # Errors
    /// None in practice.
    fn update(&mut self, data: &[u8]) -> Result<()>;

    /// Length of the digest in bytes.
    fn digest_len(&self) -> usize;

    /// Adds the last part (perhaps empty) and writes the digest to the front of `out`.
    ///
    /// # Errors
    /// `out` too short.
    fn finish(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize>;

    /// A second digest that goes on from here.
    ///
    /// # Errors
    /// [`Unsupported`](crate::error::ErrorKind::Unsupported) where the state cannot be copied.
    fn fork(&self) -> Result<Box<dyn Digesting>>;
}
