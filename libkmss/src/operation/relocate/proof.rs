//! That a backend holds the same key as another, shown by what both do with it.
//!
//! Of a private key, what the target does is held against the public half in the record. A secret key does the same in both
//! places, or one opens what the other wrapped. Where none of its uses can be tried, the check values of both places decide.

use std::sync::Arc;

use crate::backend::{Backend, Ciphering};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{BackendId, Body, Key, KeyClass, KeySpec, Object, Protection, PublicComponents, Storage, Usage};
use crate::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, EcdhKdf, Hash, KdfMechanism, KeyType, MacMechanism, Mechanism, Oaep,
    Pss, RsaMechanism,
};
use crate::operation::{Draft, now};
use crate::permit::{Permit, Subject};
use crate::tenant::ObjectId;

/// Length of what is signed, encrypted or wrapped: two blocks.
const CHANCE: usize = 32;

/// A key in one of two places.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) backend: &'a Arc<dyn Backend>,
    pub(super) object: &'a Arc<Object>,
}

/// What is tried of a use: `false` where both do not have the same key.
type Trial<'t> = Box<dyn Fn() -> Result<bool> + 't>;

/// Refuses a key that is another one in the second place than in the first, or cannot be shown to be the same.
pub(super) fn prove(software: &Arc<dyn Backend>, permit: &Permit, (from, to): (Side<'_>, Side<'_>)) -> Result<()> {
    let mut chance = [0; CHANCE];
    software.entropy().fill(&mut chance)?;
    let proof = Proof { software, permit, from, to, chance };
    let key = from.key()?;
    let trials = if key.class == KeyClass::Private { proof.private(key)? } else { proof.secret(key) };
    let none = trials.is_empty();
    let mut refused = None;
    for trial in trials {
        match trial() {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let why = format!("`{}` holds another key than was brought there", to.backend.id().0);
                return Err(Error::new(ErrorKind::Damaged, why));
            }
            Err(e) if e.kind().class() == ErrorClass::Environment => return Err(e),
            Err(e) => refused = refused.or(Some(e)),
        }
    }
    if none && proof.same_check_values()? {
        return Ok(());
    }
    let why = format!(
        "`{}` does not do with the key what it is for, so that nothing shows that it holds it: the key stays where it is",
        to.backend.id().0
    );
    let error = Error::new(ErrorKind::Unsupported, why);
    Err(match refused {
        Some(refused) => error.with_source(refused),
        None => error,
    })
}

impl Side<'_> {
    fn key(&self) -> Result<&Key> {
        self.object.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))
    }

    fn permit(&self, permit: &Permit) -> Permit {
        permit.step_of_move(Subject::Object(Arc::clone(self.object)), None)
    }

    fn mac(&self, permit: &Permit, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>> {
        let mut signing = self.backend.sign(&self.permit(permit), mechanism)?;
        let mut out = vec![0; signing.signature_len()];
        signing.update(data)?;
        let len = signing.finish(&mut out)?;
        out.truncate(len);
        Ok(out)
    }
}

struct Proof<'a> {
    software: &'a Arc<dyn Backend>,
    permit: &'a Permit,
    from: Side<'a>,
    to: Side<'a>,
    chance: [u8; CHANCE],
}

impl Proof<'_> {
    /// What a private key may do, held against its public half.
    fn private<'t>(&'t self, key: &Key) -> Result<Vec<Trial<'t>>> {
        let public = self.public_half(key)?;
        let mut trials: Vec<Trial<'t>> = Vec::new();
        let components = key.primary()?.public.clone();
        match &components {
            PublicComponents::Rsa { .. } => {
                if key.usage.sign {
                    for mechanism in rsa_signatures() {
                        let public = Arc::clone(&public);
                        trials.push(Box::new(move || self.signs(&public, &mechanism)));
                    }
                }
                for mechanism in rsa_ciphers() {
                    if key.usage.decrypt {
                        let (public, mechanism) = (Arc::clone(&public), mechanism.clone());
                        trials.push(Box::new(move || self.decrypts(&public, &mechanism)));
                    }
                    if key.usage.unwrap {
                        let public = Arc::clone(&public);
                        trials.push(Box::new(move || self.unwraps_from(self.software, &public, &mechanism)));
                    }
                }
            }
            PublicComponents::Ec { curve, point } => {
                if point.is_empty() {
                    let why =
                        "nothing is known of the public half of the key, so that nothing shows that it is the same";
                    return Err(Error::new(ErrorKind::Unsupported, why));
                }
                if key.usage.sign {
                    let mechanism = match key.key_type {
                        KeyType::EcEdwards => Mechanism::Ec(EcMechanism::PURE_EDDSA),
                        _ => Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) }),
                    };
                    trials.push(Box::new(move || self.signs(&public, &mechanism)));
                }
                if key.usage.derive {
                    let (curve, point) = (*curve, point.clone());
                    trials.push(Box::new(move || self.agrees(curve, &point)));
                }
            }
            _ => {}
        }
        Ok(trials)
    }

    /// What a secret key may do, in both places.
    fn secret<'t>(&'t self, key: &Key) -> Vec<Trial<'t>> {
        let mut trials: Vec<Trial<'t>> = Vec::new();
        let usage = key.usage;
        if let KeyType::Aes = key.key_type {
            for mode in [CipherMode::Cbc { iv: [0; 16] }, CipherMode::Ecb] {
                let mechanism = Mechanism::Cipher(BlockCipher::Aes, mode);
                if usage.encrypt {
                    let mechanism = mechanism.clone();
                    trials.push(Box::new(move || self.ciphers(&mechanism, true)));
                }
                if usage.decrypt {
                    trials.push(Box::new(move || self.ciphers(&mechanism, false)));
                }
            }
            if usage.sign {
                let cmac = Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 });
                trials.push(Box::new(move || self.macs(&cmac)));
            }
            if usage.derive {
                trials.push(Box::new(move || self.derives()));
            }
            for mode in [CipherMode::KeyWrap { iv: [0xA6; 8] }, CipherMode::KeyWrapPad] {
                let mechanism = Mechanism::Cipher(BlockCipher::Aes, mode);
                if usage.wrap && usage.unwrap {
                    trials.push(Box::new(move || self.unwraps_from(self.from.backend, self.from.object, &mechanism)));
                }
            }
        } else if usage.sign {
            let hashes = match key.key_type {
                KeyType::Hmac(hash) => vec![hash],
                _ => vec![Hash::Sha256, Hash::Sha1, Hash::Sha512],
            };
            for hash in hashes {
                let hmac = Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() });
                trials.push(Box::new(move || self.macs(&hmac)));
            }
        }
        trials
    }

    /// The public half, as the software engine uses it.
    fn public_half(&self, key: &Key) -> Result<Arc<Object>> {
        let mut object = Object::clone(self.from.object);
        let usage = Usage { verify: true, encrypt: true, wrap: true, ..Usage::default() };
        let mut version = key.primary()?.clone();
        (version.backend, version.locator) = (BackendId::soft(), Vec::new());
        let half = Key { class: KeyClass::Public, usage, versions: vec![version], ..key.clone() };
        object.body = Body::Key(Box::new(half));
        Ok(Arc::new(object))
    }

    fn signs(&self, public: &Arc<Object>, mechanism: &Mechanism) -> Result<bool> {
        let signature = self.to.mac(self.permit, mechanism, &self.chance)?;
        let software = Side { backend: self.software, object: public };
        let mut verifying = self.software.verify(&software.permit(self.permit), mechanism)?;
        verifying.update(&self.chance)?;
        match verifying.finish(&signature) {
            Err(e) if matches!(e.kind(), ErrorKind::SignatureInvalid | ErrorKind::SignatureLength) => Ok(false),
            verified => verified.map(|()| true),
        }
    }

    fn decrypts(&self, public: &Arc<Object>, mechanism: &Mechanism) -> Result<bool> {
        let software = Side { backend: self.software, object: public };
        let encrypted = whole(self.software.encrypt(&software.permit(self.permit), mechanism)?, &self.chance)?;
        let decrypting = self.to.backend.decrypt(&self.to.permit(self.permit), mechanism)?;
        Ok(whole(decrypting, &encrypted)? == self.chance)
    }

    fn ciphers(&self, mechanism: &Mechanism, encrypt: bool) -> Result<bool> {
        let run = |side: Side<'_>| {
            let permit = side.permit(self.permit);
            let ciphering = if encrypt {
                side.backend.encrypt(&permit, mechanism)
            } else {
                side.backend.decrypt(&permit, mechanism)
            };
            whole(ciphering?, &self.chance)
        };
        Ok(run(self.from)? == run(self.to)?)
    }

    fn macs(&self, mechanism: &Mechanism) -> Result<bool> {
        let run = |side: Side<'_>| side.mac(self.permit, mechanism, &self.chance);
        Ok(run(self.from)? == run(self.to)?)
    }

    fn derives(&self) -> Result<bool> {
        let data = self.chance.to_vec();
        let mechanism = Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv: Some([0; 16]), data });
        let run = |side: Side<'_>| side.backend.derive_data(&side.permit(self.permit), &mechanism, Some(CHANCE));
        Ok(run(self.from)?.expose() == run(self.to)?.expose())
    }

    /// Agrees with a pair of this proof, from both ends.
    fn agrees(&self, curve: Curve, point: &[u8]) -> Result<bool> {
        let draft = self.draft(Usage { derive: true, ..Usage::default() })?;
        let other = self.draft(Usage::default())?;
        let halves = (Subject::New(draft.subject()), Some(Subject::New(other.subject())));
        let pair = self.software.generate_pair(&self.permit.step_of_move(halves.0, halves.1), &KeySpec::Ec(curve))?;
        let PublicComponents::Ec { point: fresh, .. } = pair.1.public.clone() else { return Ok(false) };
        let namespace = self.permit.caller().namespace.id;
        let soft = self.software.id();
        let own = draft.key(namespace, soft, KeyClass::Private, Protection::default(), pair.0, now(self.permit));
        let own = Side { backend: self.software, object: &Arc::new(own) };
        let run = |side: Side<'_>, public: &[u8]| {
            let ecdh = EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: public.to_vec(), shared_info: Vec::new() };
            let len = Some(curve.field_len());
            side.backend.derive_data(&side.permit(self.permit), &Mechanism::Ec(ecdh), len)
        };
        Ok(run(own, point)?.expose() == run(self.to, &fresh)?.expose())
    }

    /// Whether the target opens what `wrapping` wraps in `by`, which shows itself whether it was opened.
    fn unwraps_from(&self, by: &Arc<dyn Backend>, wrapping: &Arc<Object>, mechanism: &Mechanism) -> Result<bool> {
        let mut draft = self.draft(Usage { wrap: true, ..Usage::default() })?;
        draft.protection = Protection { sensitive: true, extractable: true, ..Protection::default() };
        let spec = KeySpec::Secret { key_type: KeyType::Aes, len: CHANCE };
        let made = by.generate(&self.permit.step_of_move(Subject::New(draft.subject()), None), &spec)?;
        let namespace = self.permit.caller().namespace.id;
        let inner = draft.key(namespace, by.id(), KeyClass::Secret, Protection::default(), made, now(self.permit));
        let both =
            self.permit.step_of_move(Subject::Object(Arc::clone(wrapping)), Some(Subject::Object(Arc::new(inner))));
        let wrapped = by.wrap(&both, mechanism)?;
        let opened = self.draft(Usage::default())?;
        let opening =
            self.permit.step_of_move(Subject::Object(Arc::clone(self.to.object)), Some(Subject::New(opened.subject())));
        self.to.backend.unwrap(&opening, mechanism, &wrapped, KeyType::Aes, Some(CHANCE)).map(|_| true)
    }

    /// Whether both places say the same of the key, where both say anything.
    fn same_check_values(&self) -> Result<bool> {
        let of = |side: Side<'_>| Ok::<_, Error>(side.key()?.primary()?.check_value().into_owned());
        let (from, to) = (of(self.from)?, of(self.to)?);
        Ok(!from.is_empty() && from == to)
    }

    fn draft(&self, usage: Usage) -> Result<Draft> {
        let mut id = ObjectId([0; 16]);
        self.software.entropy().fill(&mut id.0)?;
        let mut draft = Draft::new(id, Storage::Ephemeral);
        (draft.private, draft.usage) = (true, usage);
        draft.protection = Protection { sensitive: true, ..Protection::default() };
        Ok(draft)
    }
}

/// Everything that comes of `input`.
fn whole(mut ciphering: Box<dyn Ciphering>, input: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0; ciphering.finish_len(input.len())];
    let len = ciphering.finish(input, &mut out)?;
    out.truncate(len);
    Ok(out)
}

fn rsa_signatures() -> Vec<Mechanism> {
    let pss = |hash: Hash| RsaMechanism::Pss { pss: Pss { hash, mgf: hash, salt_len: hash.len() }, message: true };
    [RsaMechanism::PkcsHash(Hash::Sha256), pss(Hash::Sha256)].into_iter().map(Mechanism::Rsa).collect()
}

fn rsa_ciphers() -> Vec<Mechanism> {
    let oaep = |hash: Hash| RsaMechanism::Oaep(Oaep { hash, mgf: hash, label: Vec::new() });
    [oaep(Hash::Sha256), oaep(Hash::Sha1), RsaMechanism::Pkcs].into_iter().map(Mechanism::Rsa).collect()
}
