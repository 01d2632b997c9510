//! What keys in the device do.

use libkmss::key::{Expected, KeyClass, KeyComponents, KeySpec, Storage};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Ctr, Curve, EcMechanism, EcdhKdf, Gcm, Hash, KeyType, MacMechanism, Mechanism, Oaep, Pss,
    RsaMechanism,
};
use libkmss::operation::{Decrypt, Derive, Destroy, Encrypt, Export, Import, ObjectRef, Unwrap, Wrap};

use super::*;

pub(super) const RSA: fn() -> KeySpec = || KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] };
pub(super) const AES: KeySpec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };

pub(super) const fn ecdsa(hash: Option<Hash>) -> Mechanism {
    Mechanism::Ec(EcMechanism::Ecdsa { hash })
}

fn crypt(vault: &Vault, key: &Arc<Object>, how: &Mechanism, encrypt: bool, data: &[u8]) -> Result<Vec<u8>> {
    let (key, how) = (ObjectRef::from(key), how.clone().into());
    let (first, last) = data.split_at(data.len() / 2);
    let mut running = if encrypt {
        vault.kms.begin(&vault.caller, Encrypt { key, how })?
    } else {
        vault.kms.begin(&vault.caller, Decrypt { key, how })?
    };
    let mut whole = vec![0; 4096];
    let before = running.update(first, |running| running.update(first, &mut whole))?;
    running.finish(last, |running| {
        let len = before + running.finish(last, &mut whole[before..])?;
        whole.truncate(len);
        Ok(whole)
    })
}

#[test]
fn rsa_keys_sign_what_their_public_halves_verify_in_software() {
    let vault = Vault::new();
    let (private, public) = vault.pair(RSA());
    let pss = |message| {
        let pss = Pss { hash: Hash::Sha256, mgf: Hash::Sha256, salt_len: 32 };
        Mechanism::Rsa(RsaMechanism::Pss { pss, message })
    };
    let text = b"to be or not to be".as_slice();
    let mut ways = vec![(pss(true), text), (pss(false), [7; 32].as_slice())];
    for hash in [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Sha3_256] {
        ways.push((Mechanism::Rsa(RsaMechanism::PkcsHash(hash)), text));
    }
    ways.push((Mechanism::Rsa(RsaMechanism::Pkcs), text));
    ways.push((Mechanism::Rsa(RsaMechanism::X509), text));
    for (how, data) in ways {
        let (first, rest) = data.split_at(5);
        let signature = vault.sign(&private, &how, &[first, rest]).unwrap_or_else(|e| panic!("{}: {e}", how.name()));
        vault.verify(&public, &how, data, &signature).unwrap_or_else(|e| panic!("{}: {e}", how.name()));
        assert!(vault.verify(&public, &how, &[9; 32], &signature).is_err(), "{}", how.name());
    }
    let oaep = Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() };
    for how in [Mechanism::Rsa(RsaMechanism::Pkcs), Mechanism::Rsa(RsaMechanism::Oaep(oaep))] {
        let secret = crypt(&vault, &public, &how, true, text).unwrap();
        assert_eq!(crypt(&vault, &private, &how, false, &secret).unwrap(), text);
        let error = kind(crypt(&vault, &private, &how, false, &[3; 256]));
        assert!(matches!(error, ErrorKind::EncryptedDataInvalid), "{error:?}");
        assert_eq!(kind(crypt(&vault, &private, &how, false, &[3; 255])), ErrorKind::EncryptedDataLength);
    }
    // A wrong ciphertext is nobody's fault but its sender's.
    vault.sign(&private, &pss(true), &[text]).unwrap();
    assert_eq!(kind(vault.sign(&private, &pss(false), &[&[7; 31]])), ErrorKind::DataLength);
    assert_eq!(kind(vault.sign(&private, &ecdsa(None), &[&[7; 32]])), ErrorKind::KeyType);
}

#[test]
fn keys_on_curves_sign_what_their_public_halves_verify_in_software() {
    let vault = Vault::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let (private, public) = vault.pair(KeySpec::Ec(curve));
        for hash in [None, Some(Hash::Sha256), Some(Hash::Sha512), Some(Hash::Sha3_384)] {
            let data = [5; 64];
            let signature = vault.sign(&private, &ecdsa(hash), &[&data]).unwrap();
            assert_eq!(signature.len(), 2 * curve.field_len());
            vault.verify(&public, &ecdsa(hash), &data, &signature).unwrap();
            assert_eq!(kind(vault.verify(&public, &ecdsa(hash), &[6; 64], &signature)), ErrorKind::SignatureInvalid);
        }
    }
    let (private, public) = vault.pair(KeySpec::Ec(Curve::Ed25519));
    let pure = Mechanism::Ec(EcMechanism::PURE_EDDSA);
    let signature = vault.sign(&private, &pure, &[b"message"]).unwrap();
    vault.verify(&public, &pure, b"message", &signature).unwrap();
    let context = Mechanism::Ec(EcMechanism::EdDsa { prehash: true, context: Vec::new() });
    assert_eq!(kind(vault.sign(&private, &context, &[b"message"])), ErrorKind::MechanismUnsupported);
}

#[test]
fn secret_keys_encrypt_and_authenticate_as_the_software_engine_does() {
    let vault = Vault::new();
    let value = Secret::copy_of(&[0x42; 32]);
    let import = |key_type, backend: &str| {
        let spec = KeySpec::Secret { key_type, len: 32 };
        let mut draft = vault.draft(Storage::Stored, &spec, KeyClass::Secret);
        draft.usage.sign = true;
        draft.usage.verify = true;
        draft.backend = Some(BackendId(backend.to_owned().into()));
        let components = KeyComponents::Secret { key_type, value: value.clone() };
        vault.kms.perform(&vault.caller, Import { components, draft }).unwrap()
    };
    let (theirs, ours) = (import(KeyType::Aes, "vault"), import(KeyType::Aes, "soft"));
    let iv = [1; 16];
    let gcm = Gcm { iv: vec![2; 12].into(), aad: b"more".to_vec(), tag_len: 16 };
    let modes = [
        CipherMode::Ecb,
        CipherMode::Cbc { iv },
        CipherMode::CbcPad { iv },
        CipherMode::Ctr(Ctr { counter_bits: 128, block: iv }),
        CipherMode::Gcm(gcm),
    ];
    for mode in modes {
        let how = Mechanism::Cipher(BlockCipher::Aes, mode);
        let text = [9; 64];
        let made = crypt(&vault, &theirs, &how, true, &text).unwrap_or_else(|e| panic!("{}: {e}", how.name()));
        assert_eq!(made, crypt(&vault, &ours, &how, true, &text).unwrap(), "{}", how.name());
        assert_eq!(crypt(&vault, &theirs, &how, false, &made).unwrap(), text, "{}", how.name());
    }
    let padded = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv });
    assert_eq!(kind(crypt(&vault, &theirs, &padded, false, &[1; 32])), ErrorKind::EncryptedDataInvalid);
    let xts = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ofb { iv });
    assert_eq!(kind(crypt(&vault, &theirs, &xts, true, &[1; 32])), ErrorKind::MechanismUnsupported);
    for (key_type, hash, len) in
        [(KeyType::Hmac(Hash::Sha256), Hash::Sha256, 32), (KeyType::GenericSecret, Hash::Sha1, 10)]
    {
        let (theirs, ours) = (import(key_type, "vault"), import(key_type, "soft"));
        let how = Mechanism::Mac(MacMechanism::Hmac { hash, len });
        let mac = vault.sign(&theirs, &how, &[b"mess", b"age"]).unwrap();
        assert_eq!(mac, vault.sign(&ours, &how, &[b"message"]).unwrap());
        vault.verify(&theirs, &how, b"message", &mac).unwrap();
        assert_eq!(kind(vault.verify(&theirs, &how, b"massage", &mac)), ErrorKind::SignatureInvalid);
        assert_eq!(kind(vault.verify(&theirs, &how, b"message", &mac[1..])), ErrorKind::SignatureLength);
    }
    let cmac = Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 });
    assert_eq!(vault.sign(&theirs, &cmac, &[b"text"]).unwrap(), vault.sign(&ours, &cmac, &[b"text"]).unwrap());
}

#[test]
fn keys_go_wrapped_from_the_device_and_back() {
    let vault = Vault::new();
    let wrapping = vault.secret(AES, |_| ());
    let target = vault.secret(AES, |draft| draft.protection.extractable = true);
    let kept = vault.secret(AES, |_| ());
    let how = || Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad).into();
    let wrap = |key: &Arc<Object>| {
        vault.kms.perform(&vault.caller, Wrap { wrapping: (&wrapping).into(), key: key.into(), how: how() })
    };
    let wrapped = wrap(&target).unwrap();
    assert_eq!(kind(wrap(&kept)), ErrorKind::KeyUnextractable);
    let unwrap = |bytes: &[u8], len| {
        let draft = vault.draft(Storage::Stored, &AES, KeyClass::Secret);
        let expected = Expected { key_type: KeyType::Aes, len };
        let unwrapping = ObjectRef::from(&wrapping);
        vault
            .kms
            .perform(&vault.caller, Unwrap { unwrapping, how: how(), wrapped: bytes.to_vec().into(), expected, draft })
    };
    let again = unwrap(&wrapped, Some(32)).unwrap();
    let ecb = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let block = |key: &Arc<Object>| crypt(&vault, key, &ecb, true, &[1; 16]).unwrap();
    assert_eq!(block(&again), block(&target));
    assert_eq!(again.key().unwrap().primary().unwrap().bits, 256);
    assert_eq!(kind(unwrap(&wrapped, Some(16))), ErrorKind::WrappedKeyLength);
    let mut wrong = wrapped.clone();
    wrong[3] ^= 1;
    assert_eq!(kind(unwrap(&wrong, None)), ErrorKind::WrappedKeyInvalid);
    // A public key is in its record: it wraps what is in the device, and what is here.
    let (private, public) = vault.pair(RSA());
    let oaep =
        || Mechanism::Rsa(RsaMechanism::Oaep(Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() })).into();
    let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 16 };
    let mut draft = vault.draft(Storage::Ephemeral, &spec, KeyClass::Secret);
    draft.protection = Protection { extractable: true, ..Protection::default() };
    let here = vault.kms.perform(&vault.caller, GenerateSecret { spec, draft }).unwrap();
    for key in [&target, &here] {
        let wrap = Wrap { wrapping: (&public).into(), key: key.into(), how: oaep() };
        let wrapped = vault.kms.perform(&vault.caller, wrap).unwrap();
        let draft = vault.draft(Storage::Stored, &AES, KeyClass::Secret);
        let expected = Expected { key_type: KeyType::Aes, len: None };
        let unwrapping = ObjectRef::from(&private);
        let unwrap = Unwrap { unwrapping, how: oaep(), wrapped: wrapped.into(), expected, draft };
        let again = vault.kms.perform(&vault.caller, unwrap).unwrap();
        assert_eq!(block(&again), block(key));
    }
}

#[test]
fn two_keys_in_the_device_agree_as_software_does() {
    let vault = Vault::new();
    let spec = || KeySpec::Ec(Curve::P256);
    let (one, other) = (vault.pair(spec()), vault.pair(spec()));
    let point = |public: &Arc<Object>| match &public.key().unwrap().primary().unwrap().public {
        libkmss::key::PublicComponents::Ec { point, .. } => point.clone(),
        _ => panic!("a point"),
    };
    let derive = |base: &Arc<Object>, public: &Arc<Object>, storage, len, sensitive| {
        let how =
            Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: point(public), shared_info: Vec::new() });
        let mut draft = vault.draft(storage, &AES, KeyClass::Secret);
        draft.protection = Protection { sensitive, extractable: !sensitive, ..Protection::default() };
        let expected = Expected { key_type: KeyType::Aes, len };
        let derive = Derive::one(base.into(), how.into(), expected, draft);
        vault.kms.perform(&vault.caller, derive).unwrap().keys.remove(0)
    };
    let ecb = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    for len in [None, Some(16), Some(32)] {
        let mut blocks = Vec::new();
        for storage in [Storage::Stored, Storage::Ephemeral] {
            for sensitive in [true, false] {
                let key = derive(&one.0, &other.1, storage, len, sensitive);
                blocks.push(crypt(&vault, &key, &ecb, true, &[1; 16]).unwrap());
                let key = derive(&other.0, &one.1, storage, len, sensitive);
                blocks.push(crypt(&vault, &key, &ecb, true, &[1; 16]).unwrap());
            }
        }
        assert!(blocks.windows(2).all(|two| two[0] == two[1]), "{len:?}");
    }
}

#[test]
fn a_key_is_sensitive_in_the_device_and_goes_from_there_when_it_is_destroyed() {
    use cryptoki::object::{Attribute, AttributeType};
    let vault = Vault::new();
    let before = vault.look().find_objects(&[]).unwrap().len();
    let (private, public) = vault.pair(KeySpec::Ec(Curve::P256));
    let secret = vault.secret(AES, |draft| draft.usage = Usage { encrypt: true, ..Usage::default() });
    assert_eq!(kind(vault.kms.perform(&vault.caller, Export { key: (&secret).into() })), ErrorKind::AttributeSensitive);
    {
        let session = vault.look();
        let objects = session.find_objects(&[]).unwrap();
        assert_eq!(objects.len(), before + 3);
        let locator = &secret.key().unwrap().primary().unwrap().locator;
        assert!(locator.len() < 100);
        let found = session.find_objects(&[Attribute::Id(secret.id.0.to_vec())]).unwrap();
        let wanted = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::Encrypt,
            AttributeType::Decrypt,
            AttributeType::Private,
            AttributeType::Value,
        ];
        let attributes = session.get_attributes(found[0], &wanted).unwrap();
        let expected = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(false),
            Attribute::Private(true),
        ];
        assert_eq!(attributes, expected);
    }
    for key in [&private, &public, &secret] {
        vault.kms.perform(&vault.caller, Destroy { object: key.into() }).unwrap();
    }
    assert_eq!(vault.look().find_objects(&[]).unwrap().len(), before);
}

#[test]
fn pairs_are_brought_in_and_work_there() {
    let vault = Vault::new();
    let scalar = Secret::copy_of(&[0x17; 32]);
    for curve in [Curve::P256, Curve::Ed25519] {
        let mut draft = vault.draft(Storage::Stored, &KeySpec::Ec(curve), KeyClass::Private);
        draft.name = format!("in-{}", curve.name());
        let components = KeyComponents::EcPrivate { curve, scalar: scalar.clone() };
        let private = vault.kms.perform(&vault.caller, Import { components, draft }).unwrap();
        let version = private.key().unwrap().primary().unwrap().clone();
        let draft = vault.draft(Storage::Stored, &KeySpec::Ec(curve), KeyClass::Public);
        let components = KeyComponents::Public(version.public);
        let public = vault.kms.perform(&vault.caller, Import { components, draft }).unwrap();
        let how = match curve {
            Curve::P256 => ecdsa(Some(Hash::Sha256)),
            _ => Mechanism::Ec(EcMechanism::PURE_EDDSA),
        };
        let signature = vault.sign(&private, &how, &[b"text"]).unwrap();
        vault.verify(&public, &how, b"text", &signature).unwrap();
    }
}
