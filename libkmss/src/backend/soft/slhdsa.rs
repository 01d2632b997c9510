//! SLH-DSA (FIPS 205) by RustCrypto.
//!
//! A signature reads the message twice, so that it is kept. The crate's types differ by parameter set; here a key is its
//! bytes and a table of functions.

use std::sync::Arc;

use slh_dsa::{
    ParameterSet, Sha2_128f, Sha2_128s, Sha2_192f, Sha2_192s, Sha2_256f, Sha2_256s, Shake128f, Shake128s, Shake192f,
    Shake192s, Shake256f, Shake256s, Signature, SigningKey, VerifyingKey,
};
use zeroize::{Zeroize, Zeroizing};

use super::buffer::{Buffer, front};
use super::prehash::{Prehash, not_a_digest};
use super::rng::Generator;
use super::signature::invalid;
use super::wrong_key;
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Hedge, PqcInput, PqcSignature, SlhDsaSet};
use crate::random::Random;
use crate::secret::Secret;

/// Longest message in bytes that is kept; longer ones can be hashed beforehand.
const MAX_MESSAGE: usize = 1 << 28;

/// An SLH-DSA key.
pub(super) struct SlhDsaKey {
    pub(super) set: SlhDsaSet,
    /// SK.seed ‖ SK.prf ‖ PK.seed ‖ PK.root.
    pub(super) private: Option<Secret>,
    /// PK.seed ‖ PK.root.
    pub(super) public: Vec<u8>,
}

impl SlhDsaKey {
    pub(super) fn generate(set: SlhDsaSet) -> Result<Self> {
        let seeds = Secret::filled(3 * set.n(), |out| Generator.fill(out))?;
        Self::trusted(set, (functions(set).expand)(set, seeds.expose())?)
    }

    /// A private key that somebody brings: its root is computed anew, which takes as long as generation.
    pub(super) fn from_private(set: SlhDsaSet, key: &Secret) -> Result<Self> {
        let seeds = key.expose().get(..3 * set.n()).filter(|_| key.len() == set.private_len());
        let seeds = seeds.ok_or_else(|| bad("the private key does not have the length of its parameter set"))?;
        if (functions(set).expand)(set, seeds)? != *key {
            return Err(bad("the private key's root does not belong to its seeds"));
        }
        Self::trusted(set, key.clone())
    }

    /// A private key that was checked before.
    pub(super) fn trusted(set: SlhDsaSet, key: Secret) -> Result<Self> {
        let public = key.expose().get(2 * set.n()..).filter(|_| key.len() == set.private_len());
        let public = public.ok_or_else(|| bad("the private key does not have the length of its parameter set"))?;
        Ok(Self { set, public: public.to_vec(), private: Some(key) })
    }

    pub(super) fn from_public(set: SlhDsaSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.public_len() {
            return Err(bad("the public key does not have the length of its parameter set"));
        }
        Ok(Self { set, public: key.to_vec(), private: None })
    }

    fn sign(&self, message: &[&[u8]], hedge: Hedge) -> Result<Vec<u8>> {
        let mut random = Zeroizing::new([0; 32]);
        let random = random.get_mut(..self.set.n()).unwrap_or_default();
        let random = if hedge == Hedge::Deterministic {
            None
        } else {
            Generator.fill(random)?;
            Some(&*random)
        };
        (functions(self.set).sign)(self.private.as_ref().ok_or_else(wrong_key)?.expose(), message, random)
    }
}

type SignFn = fn(&[u8], &[&[u8]], Option<&[u8]>) -> Result<Vec<u8>>;
type VerifyFn = fn(&[u8], &[&[u8]], &[u8]) -> Result<()>;

/// What the crate does, for one parameter set.
struct Functions {
    /// The private key of three seeds.
    expand: fn(SlhDsaSet, &[u8]) -> Result<Secret>,
    /// A signature with a private key, of a message in parts, with n random bytes or none.
    sign: SignFn,
    /// Checks a signature with a public key.
    verify: VerifyFn,
}

impl Functions {
    const fn of<P: ParameterSet>() -> Self {
        Self { expand: expand::<P>, sign: sign::<P>, verify: verify::<P> }
    }
}

const fn functions(set: SlhDsaSet) -> Functions {
    match set {
        SlhDsaSet::Sha2_128s => Functions::of::<Sha2_128s>(),
        SlhDsaSet::Shake128s => Functions::of::<Shake128s>(),
        SlhDsaSet::Sha2_128f => Functions::of::<Sha2_128f>(),
        SlhDsaSet::Shake128f => Functions::of::<Shake128f>(),
        SlhDsaSet::Sha2_192s => Functions::of::<Sha2_192s>(),
        SlhDsaSet::Shake192s => Functions::of::<Shake192s>(),
        SlhDsaSet::Sha2_192f => Functions::of::<Sha2_192f>(),
        SlhDsaSet::Shake192f => Functions::of::<Shake192f>(),
        SlhDsaSet::Sha2_256s => Functions::of::<Sha2_256s>(),
        SlhDsaSet::Shake256s => Functions::of::<Shake256s>(),
        SlhDsaSet::Sha2_256f => Functions::of::<Sha2_256f>(),
        SlhDsaSet::Shake256f => Functions::of::<Shake256f>(),
    }
}

fn expand<P: ParameterSet>(set: SlhDsaSet, seeds: &[u8]) -> Result<Secret> {
    let broken = || Error::new(ErrorKind::Internal, "three seeds were expected");
    let mut parts = seeds.chunks_exact(set.n());
    let (Some(seed), Some(prf), Some(public), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(broken());
    };
    let mut bytes = SigningKey::<P>::slh_keygen_internal(seed, prf, public).to_bytes();
    let secret = Secret::copy_of(&bytes);
    bytes.as_mut_slice().zeroize();
    Ok(secret)
}

fn sign<P: ParameterSet>(key: &[u8], message: &[&[u8]], random: Option<&[u8]>) -> Result<Vec<u8>> {
    let key = SigningKey::<P>::try_from(key).map_err(|_| bad("this is no SLH-DSA private key"))?;
    Ok(key.slh_sign_internal(message, random).to_vec())
}

fn verify<P: ParameterSet>(key: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<()> {
    let key = VerifyingKey::<P>::try_from(key).map_err(|_| bad("this is no SLH-DSA public key"))?;
    let signature = Signature::<P>::try_from(signature).map_err(|_| invalid())?;
    key.slh_verify_internal(message, &signature).map_err(|_| invalid())
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(key: Arc<SlhDsaKey>, how: &PqcSignature, private: bool) -> Result<SlhDsaOperation> {
    if private && key.private.is_none() {
        return Err(wrong_key());
    }
    let input = match how.input {
        PqcInput::Message => Input::Kept { held: Buffer::default(), digest_len: None },
        PqcInput::Hashed(hash) => Input::Hashed(Prehash::new(hash)?),
        PqcInput::Digest(hash) => Input::Kept { held: Buffer::default(), digest_len: Some(hash.len()) },
    };
    Ok(SlhDsaOperation { key, hedge: how.hedge, prefix: how.prefix(), input })
}

/// What becomes of the data while it comes in.
enum Input {
    /// It is kept; a digest has one length.
    Kept { held: Buffer, digest_len: Option<usize> },
    /// It is hashed.
    Hashed(Prehash),
}

/// A signature or verification under way.
pub(super) struct SlhDsaOperation {
    key: Arc<SlhDsaKey>,
    hedge: Hedge,
    prefix: Vec<u8>,
    input: Input,
}

impl SlhDsaOperation {
    fn add(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.input {
            Input::Kept { held, digest_len } => {
                held.push(data, digest_len.unwrap_or(MAX_MESSAGE), ErrorKind::DataLength)
            }
            Input::Hashed(hash) => hash.update(data),
        }
    }

    /// Gives what is signed, in parts, to `f`.
    fn end<R>(&mut self, f: impl FnOnce(&SlhDsaKey, &[&[u8]]) -> Result<R>) -> Result<R> {
        match &mut self.input {
            Input::Kept { held, digest_len } if digest_len.is_none_or(|len| len == held.len()) => {
                f(&self.key, &[&self.prefix, held.as_slice()])
            }
            Input::Kept { .. } => Err(not_a_digest()),
            Input::Hashed(hash) => f(&self.key, &[&self.prefix, &hash.finish()?]),
        }
    }
}

impl Signing for SlhDsaOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn signature_len(&self) -> usize {
        self.key.set.signature_len()
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let out = front(out, self.key.set.signature_len())?;
        let hedge = self.hedge;
        let signature = self.end(|key, message| key.sign(message, hedge))?;
        if signature.len() != out.len() {
            return Err(Error::new(ErrorKind::Internal, "a signature has a wrong length"));
        }
        out.copy_from_slice(&signature);
        Ok(signature.len())
    }
}

impl Verifying for SlhDsaOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if signature.len() != self.key.set.signature_len() {
            return Err(Error::new(ErrorKind::SignatureLength, "the signature has a wrong length"));
        }
        self.end(|key, message| (functions(key.set).verify)(&key.public, message, signature))
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::AttributeValue, message)
}
