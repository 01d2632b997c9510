//! Keys: how they come to exist, what is known of them, and how they go.

use libkmss::error::ErrorKind;
use libkmss::key::{Key, KeyComponents, KeySpec, PublicComponents};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Curve, DhGroup, Hash, KeyType, Mechanism, MlDsaSet, MlKemSet, PqcSet, SlhDsaSet,
};
use libkmss::secret::Secret;

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, may_not_be_read, public_of, rsa, secret};
use crate::side::{Guard, words};
use crate::signing::{MESSAGE, ecdsa};
use crate::vectors::{P256_POINT, P256_SCALAR, hex};
use crate::verdict::{Check, Verdict, ensure, refused, same};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all: Vec<Behaviour> = specs().into_iter().map(generates).collect();
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Keys, name, trial);
    all.extend([
        one("two keys that are made are two keys", two_keys),
        one("a pair brought in signs as its owner", imports_pair),
        one("a public key brought in verifies", imports_public),
        one("a secret brought in is that secret", imports_secret),
        one("a public key is given out as it is", exports_public),
        one("a key that may be read is given out, and no other", exports_secret),
        one("a copy of a key is the same key", copies),
        one("a key that was destroyed is gone", destroys),
        one("a session key is gone with its holder and works until then", session_key),
    ]);
    all
}

fn specs() -> Vec<KeySpec> {
    let curves = Curve::ALL.into_iter().map(KeySpec::Ec);
    let pqc = [
        PqcSet::MlDsa(MlDsaSet::MlDsa44),
        PqcSet::MlDsa(MlDsaSet::MlDsa65),
        PqcSet::MlDsa(MlDsaSet::MlDsa87),
        PqcSet::MlKem(MlKemSet::MlKem512),
        PqcSet::MlKem(MlKemSet::MlKem768),
        PqcSet::MlKem(MlKemSet::MlKem1024),
        PqcSet::SlhDsa(SlhDsaSet::Sha2_128f),
    ];
    let secrets = [
        (KeyType::Aes, 16),
        (KeyType::Aes, 24),
        (KeyType::Aes, 32),
        (KeyType::AesXts, 64),
        (KeyType::ChaCha20, 32),
        (KeyType::Sm4, 16),
        (KeyType::GenericSecret, 32),
        (KeyType::Hmac(Hash::Sha256), 32),
        (KeyType::Hkdf, 32),
    ];
    let mut specs = vec![rsa(2048), rsa(3072)];
    specs.extend(curves);
    specs.push(KeySpec::Dh { group: DhGroup::Ffdhe2048, private_bits: None });
    specs.extend(pqc.map(KeySpec::Pqc));
    specs.extend(secrets.map(|(key_type, len)| secret(key_type, len)));
    specs
}

fn generates(spec: KeySpec) -> Behaviour {
    let name = format!("a key of {} is made", words(&spec));
    Behaviour::new(Group::Keys, name, move |bench| {
        if let KeySpec::Secret { key_type, len } = &spec {
            let key = bench.tested.generate(&spec, Guard::Kept)?;
            let key = key.key().ok_or_else(no_key)?;
            same("the type", &key.key_type, key_type)?;
            same("the length in bits", &(key.primary().map_err(damaged)?.bits as usize), &(len * 8))?;
            return made_here(bench, key);
        }
        let pair = bench.pair(&spec)?;
        let (private, public) = (pair.private.key().ok_or_else(no_key)?, pair.public.key().ok_or_else(no_key)?);
        made_here(bench, private)?;
        same("the type of the private half", &private.key_type, &spec.key_type())?;
        same("the type of the public half", &public.key_type, &spec.key_type())?;
        same("the public part of the private half", public_of(&pair.private)?, public_of(&pair.public)?)?;
        well_formed(&spec, public_of(&pair.public)?)?;
        // What the software engine does not take for a key of this kind is none.
        bench.mirror(&pair.public).map(drop)
    })
}

/// The record names the backend that has the key, and something to find it by.
fn made_here(bench: &Bench<'_>, key: &Key) -> Check {
    let version = key.primary().map_err(damaged)?;
    same("the backend of the key", &version.backend, &bench.tested.caller().namespace.backend)?;
    let anywhere = !version.locator.is_empty() || !version.held.is_empty();
    ensure(anywhere, || "the key has no locator, so that nothing can find it".to_owned())?;
    ensure(key.protection.local, || "a key that was made is not called local".to_owned())
}

fn well_formed(spec: &KeySpec, public: &PublicComponents) -> Check {
    match (spec, public) {
        (KeySpec::Rsa { bits, exponent }, PublicComponents::Rsa { modulus, exponent: e }) => {
            same("the length of the modulus", &modulus.len(), &(*bits as usize / 8))?;
            same("the exponent", e, exponent)
        }
        (KeySpec::Ec(curve), PublicComponents::Ec { curve: c, point }) => {
            same("the curve", c, curve)?;
            same("the length of the point", &point.len(), &curve.point_len())
        }
        (KeySpec::Dh { group, .. }, PublicComponents::Dh { group: g, .. }) => same("the group", g, group),
        (KeySpec::Pqc(set), PublicComponents::Pqc { set: s, value }) => {
            same("the parameter set", s, set)?;
            same("the length of the public key", &value.len(), &set.public_len())
        }
        (_, other) => Err(Verdict::Failed(format!("the public part is of another kind: {other:?}"))),
    }
}

fn two_keys(bench: &Bench<'_>) -> Check {
    let spec = KeySpec::Ec(Curve::P256);
    let (one, other) = (bench.pair(&spec)?, bench.tested.generate_pair(&spec, Guard::Kept)?);
    ensure(public_of(&one.public)? != public_of(&other.public)?, || "both have the same public key".to_owned())?;
    let how = ecdsa();
    let signature = bench.tested.sign(&one.private, &how, &[MESSAGE])?;
    let crossed = bench.tested.verify(&other.public, &how, &[MESSAGE], &signature);
    refused("the signature of another key", crossed, &[ErrorKind::SignatureInvalid])
}

fn imports_pair(bench: &Bench<'_>) -> Check {
    let scalar = Secret::new(hex(P256_SCALAR));
    let private = bench.tested.import(&KeyComponents::EcPrivate { curve: Curve::P256, scalar }, Guard::Kept)?;
    // A device may not compute the point; where it tells one it is the right one.
    if let PublicComponents::Ec { point, .. } = public_of(&private)?
        && !point.is_empty()
    {
        same("the point of the scalar", point, &hex(P256_POINT))?;
    }
    let signature = bench.tested.sign(&private, &ecdsa(), &[MESSAGE])?;
    let public = bench.reference.import_public(&p256())?;
    Ok(bench.reference.verify(&public, &ecdsa(), &[MESSAGE], &signature)?)
}

fn imports_public(bench: &Bench<'_>) -> Check {
    let scalar = Secret::new(hex(P256_SCALAR));
    let private = bench.reference.import(&KeyComponents::EcPrivate { curve: Curve::P256, scalar }, Guard::Kept)?;
    let signature = bench.reference.sign(&private, &ecdsa(), &[MESSAGE])?;
    let public = bench.tested.import_public(&p256())?;
    bench.tested.verify(&public, &ecdsa(), &[MESSAGE], &signature)?;
    let other = bench.tested.verify(&public, &ecdsa(), &[b"another"], &signature);
    refused("another message", other, &[ErrorKind::SignatureInvalid])
}

fn imports_secret(bench: &Bench<'_>) -> Check {
    let (tested, reference) = bench.shared(KeyType::Aes, &[0x5a; 32])?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let ciphertext = bench.tested.encrypt(&tested, &how, &[&[7; 32]])?;
    same("the ciphertext", &ciphertext, &bench.reference.encrypt(&reference, &how, &[&[7; 32]])?)
}

fn exports_public(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    match bench.tested.export(&pair.public)? {
        KeyComponents::Public(public) => same("the public key", &public, public_of(&pair.public)?),
        other => Err(Verdict::Failed(format!("a {} key came that is not public", other.key_type().name()))),
    }
}

fn exports_secret(bench: &Bench<'_>) -> Check {
    let kept = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let kinds = [ErrorKind::AttributeSensitive, ErrorKind::KeyUnextractable];
    refused("a sensitive key", bench.tested.export(&kept), &kinds)?;
    let value = Secret::copy_of(&[0xa5; 32]);
    let components = KeyComponents::Secret { key_type: KeyType::Aes, value };
    let open = bench.tested.import(&components, Guard::Open)?;
    match bench.tested.export(&open) {
        Ok(exported) => ensure(exported == components, || "another key came than was brought in".to_owned()),
        // Devices may keep what may be read.
        Err(refusal) if may_not_be_read(&refusal) => Err(Verdict::NotOffered(refusal.to_string())),
        Err(refusal) => Err(refusal.into()),
    }
}

fn copies(bench: &Bench<'_>) -> Check {
    let value = Secret::copy_of(&[0x3c; 32]);
    let original = bench.tested.import(&KeyComponents::Secret { key_type: KeyType::Aes, value }, Guard::Open)?;
    let copy = match bench.tested.copy(&original, Guard::Open) {
        Err(refusal) if may_not_be_read(&refusal) => return Err(Verdict::NotOffered(refusal.to_string())),
        copied => copied?,
    };
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let ciphertext = bench.tested.encrypt(&original, &how, &[&[1; 16]])?;
    bench.tested.destroy(&original)?;
    same("what the copy decrypts", &bench.tested.decrypt(&copy, &how, &[&ciphertext])?, &vec![1; 16])
}

fn destroys(bench: &Bench<'_>) -> Check {
    let pair = bench.tested.generate_pair(&KeySpec::Ec(Curve::P256), Guard::Kept)?;
    let signature = bench.tested.sign(&pair.private, &ecdsa(), &[MESSAGE])?;
    bench.tested.destroy(&pair.private)?;
    let gone = [ErrorKind::NotFound];
    refused("signing with what was destroyed", bench.tested.sign(&pair.private, &ecdsa(), &[MESSAGE]), &gone)?;
    refused("looking it up", bench.tested.again(&pair.private), &gone)?;
    refused("destroying it again", bench.tested.destroy(&pair.private), &gone)?;
    // The public half stays what it was.
    bench.tested.verify(&pair.public, &ecdsa(), &[MESSAGE], &signature)?;
    Ok(bench.tested.destroy(&pair.public)?)
}

fn session_key(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate_for_session(&secret(KeyType::Aes, 32))?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [3; 16] });
    let ciphertext = bench.tested.encrypt(&key, &how, &[MESSAGE])?;
    same("what comes back", &bench.tested.decrypt(&key, &how, &[&ciphertext])?, &MESSAGE.to_vec())?;
    refused("looking it up", bench.tested.again(&key), &[ErrorKind::NotFound])
}

fn p256() -> PublicComponents {
    PublicComponents::Ec { curve: Curve::P256, point: hex(P256_POINT) }
}

fn no_key() -> Verdict {
    Verdict::Failed("what was made is no key".to_owned())
}

fn damaged(error: libkmss::error::Error) -> Verdict {
    Verdict::Failed(error.sentence())
}
