//! Keys under keys.

use std::sync::Arc;

use libkmss::error::ErrorKind;
use libkmss::key::{Expected, KeyComponents, KeySpec, Object};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, EcdhKdf, Gcm, Hash, KeyType, Mechanism, Oaep, RsaMechanism,
};
use libkmss::secret::Secret;

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, generic, rsa, secret};
use crate::rsa::oaep;
use crate::side::Guard;
use crate::signing::{MESSAGE, ecdsa, flip};
use crate::verdict::{Check, refused};

/// What is wrapped.
const TARGET: [u8; 32] = [0x77; 32];
/// The initial value of RFC 3394.
const KW_IV: [u8; 8] = [0xa6; 8];

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let gcm = CipherMode::Gcm(Gcm { iv: vec![5; 12].into(), aad: Vec::new(), tag_len: 16 });
    let pair = |curve| KeySpec::Ec(curve);
    let sha1 = || Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() };
    let agreed = || EcMechanism::AesKeyWrap { kdf: EcdhKdf::X963(Hash::Sha256), shared_info: Vec::new(), aes_len: 32 };
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Wrapping, name, trial);
    vec![
        under_secret("AES_KEY_WRAP", CipherMode::KeyWrap { iv: KW_IV }),
        under_secret("AES_KEY_WRAP_KWP", CipherMode::KeyWrapPad),
        under_secret("AES_CBC_PAD", CipherMode::CbcPad { iv: [6; 16] }),
        under_secret("AES_GCM", gcm),
        private_key("AES_KEY_WRAP_KWP", CipherMode::KeyWrapPad),
        private_key("AES_CBC_PAD", CipherMode::CbcPad { iv: [6; 16] }),
        under_pair("RSA_PKCS", rsa(2048), Mechanism::Rsa(RsaMechanism::Pkcs)),
        under_pair("RSA_PKCS_OAEP of SHA-1", rsa(2048), Mechanism::Rsa(RsaMechanism::Oaep(sha1()))),
        under_pair("RSA_PKCS_OAEP of SHA-256", rsa(2048), Mechanism::Rsa(oaep(Hash::Sha256, Hash::Sha256, b""))),
        under_pair(
            "RSA_AES_KEY_WRAP",
            rsa(2048),
            Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep: sha1(), aes_len: 32 }),
        ),
        under_pair("ECDH_AES_KEY_WRAP", pair(Curve::P256), Mechanism::Ec(agreed())),
        one("a key that may not leave is not wrapped", unextractable),
        one("what was altered does not unwrap", altered),
    ]
}

fn under_secret(label: &str, mode: CipherMode) -> Behaviour {
    let how = Mechanism::Cipher(BlockCipher::Aes, mode);
    Behaviour::new(Group::Wrapping, format!("{label} wraps and unwraps as the software engine does"), move |bench| {
        let (wrapping, their_wrapping) = bench.shared(KeyType::Aes, &[0x19; 32])?;
        let (target, their_target) = bench.shared(KeyType::GenericSecret, &TARGET)?;
        let wrapped = bench.tested.wrap(&wrapping, &how, &target)?;
        let opened = bench.reference.unwrap(&their_wrapping, &how, &wrapped, generic(TARGET.len()))?;
        bench.same_secret("what the software engine unwraps", &target, &opened)?;
        let wrapped = bench.reference.wrap(&their_wrapping, &how, &their_target)?;
        let opened = bench.tested.unwrap(&wrapping, &how, &wrapped, generic(TARGET.len()))?;
        bench.same_secret("what is unwrapped", &opened, &their_target)
    })
}

fn private_key(label: &str, mode: CipherMode) -> Behaviour {
    let how = Mechanism::Cipher(BlockCipher::Aes, mode);
    Behaviour::new(Group::Wrapping, format!("a private key goes under {label} and comes back"), move |bench| {
        let (wrapping, their_wrapping) = bench.shared(KeyType::Aes, &[0x19; 32])?;
        let pair = bench.tested.generate_pair(&KeySpec::Ec(Curve::P256), Guard::Wrappable)?;
        let wrapped = bench.tested.wrap(&wrapping, &how, &pair.private)?;
        let expected = Expected { key_type: KeyType::Ec, len: None };
        let mirror = bench.mirror(&pair.public)?;
        let theirs = bench.reference.unwrap(&their_wrapping, &how, &wrapped, expected)?;
        let signature = bench.reference.sign(&theirs, &ecdsa(), &[MESSAGE])?;
        bench.reference.verify(&mirror, &ecdsa(), &[MESSAGE], &signature)?;
        let back = bench.tested.unwrap(&wrapping, &how, &wrapped, expected)?;
        let signature = bench.tested.sign(&back, &ecdsa(), &[MESSAGE])?;
        Ok(bench.reference.verify(&mirror, &ecdsa(), &[MESSAGE], &signature)?)
    })
}

fn under_pair(label: &str, spec: KeySpec, how: Mechanism) -> Behaviour {
    Behaviour::new(Group::Wrapping, format!("what is wrapped by {label} unwraps"), move |bench| {
        let pair = bench.pair(&spec)?;
        let mirror = bench.mirror(&pair.public)?;
        let theirs = {
            let components =
                KeyComponents::Secret { key_type: KeyType::GenericSecret, value: Secret::copy_of(&TARGET) };
            bench.reference.import(&components, Guard::Open)?
        };
        let wrapped = bench.reference.wrap(&mirror, &how, &theirs)?;
        let opened = bench.tested.unwrap(&pair.private, &how, &wrapped, generic(TARGET.len()))?;
        bench.same_secret("what is unwrapped", &opened, &theirs)?;
        let own = bench.tested.wrap(&pair.public, &how, &target(bench)?)?;
        let opened = bench.tested.unwrap(&pair.private, &how, &own, generic(TARGET.len()))?;
        bench.same_secret("what is unwrapped of its own", &opened, &theirs)
    })
}

/// The target in the hands of the backend: brought in.
fn target(bench: &Bench<'_>) -> Result<Arc<Object>, crate::verdict::Verdict> {
    let components = KeyComponents::Secret { key_type: KeyType::GenericSecret, value: Secret::copy_of(&TARGET) };
    Ok(bench.tested.import(&components, Guard::Wrappable)?)
}

fn unextractable(bench: &Bench<'_>) -> Check {
    let wrapping = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let kept = bench.tested.generate(&secret(KeyType::GenericSecret, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    refused("a key that is not extractable", bench.tested.wrap(&wrapping, &how, &kept), &[ErrorKind::KeyUnextractable])
}

fn altered(bench: &Bench<'_>) -> Check {
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    let wrapping = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let target = bench.tested.generate(&secret(KeyType::GenericSecret, 32), Guard::Wrappable)?;
    let mut wrapped = bench.tested.wrap(&wrapping, &how, &target)?;
    flip(&mut wrapped);
    let kinds = [ErrorKind::WrappedKeyInvalid, ErrorKind::WrappedKeyLength];
    refused("an altered wrapping", bench.tested.unwrap(&wrapping, &how, &wrapped, generic(32)), &kinds)?;
    let cut = wrapped.get(..wrapped.len().saturating_sub(3)).unwrap_or_default();
    refused("a wrapping cut short", bench.tested.unwrap(&wrapping, &how, cut, generic(32)), &kinds)
}
