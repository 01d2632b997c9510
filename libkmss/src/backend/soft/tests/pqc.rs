//! Post-quantum keys: made, used, brought in, wrapped.

use super::lab::{Lab, hex, signed, verified};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, Object, PublicComponents};
use crate::mechanism::{
    BlockCipher, CipherMode, Hedge, KeyType, Mechanism, MlDsaSet, MlKemSet, PqcHash, PqcInput, PqcMechanism, PqcSet,
    PqcSignature, SlhDsaSet,
};
use crate::secret::Secret;

const MESSAGE: &[u8] = b"the quick brown fox jumps over the lazy dog, and then over the moon";
const ML_DSA: PqcSet = PqcSet::MlDsa(MlDsaSet::MlDsa44);
const ML_KEM: PqcSet = PqcSet::MlKem(MlKemSet::MlKem768);
const SLH_DSA: PqcSet = PqcSet::SlhDsa(SlhDsaSet::Sha2_128f);

fn mechanism(set: PqcSet, input: PqcInput, hedge: Hedge, context: &[u8]) -> Mechanism {
    let how = PqcSignature::new(input, hedge, context.to_vec()).unwrap();
    Mechanism::Pqc(match set {
        PqcSet::SlhDsa(_) => PqcMechanism::SlhDsa(how),
        _ => PqcMechanism::MlDsa(how),
    })
}

fn plain(set: PqcSet) -> Mechanism {
    mechanism(set, PqcInput::Message, Hedge::Preferred, b"")
}

fn components(lab: &Lab, key: &std::sync::Arc<Object>) -> (Secret, Secret) {
    match lab.export(key) {
        KeyComponents::PqcPrivate { seed, value, .. } => (seed, value),
        other => panic!("{:?}", other.key_type()),
    }
}

#[test]
fn signatures_of_every_set_verify_and_no_changed_one_does() {
    let lab = Lab::new();
    // The others take minutes where this crate, and so what is generic in `slh-dsa`, is not optimised.
    let few = |set: &SlhDsaSet| !cfg!(debug_assertions) || matches!(set, SlhDsaSet::Sha2_128f | SlhDsaSet::Shake128f);
    let fast = SlhDsaSet::ALL.into_iter().filter(few).map(PqcSet::SlhDsa);
    let dsa = [MlDsaSet::MlDsa44, MlDsaSet::MlDsa65, MlDsaSet::MlDsa87].map(PqcSet::MlDsa);
    for set in dsa.into_iter().chain(fast) {
        let (private, public) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        let mut signature = lab.sign(&private, &plain(set), MESSAGE).unwrap();
        lab.verify(&public, &plain(set), MESSAGE, &signature).unwrap();
        let refused =
            |data: &[u8], signature: &[u8]| lab.verify(&public, &plain(set), data, signature).unwrap_err().kind();
        assert_eq!(refused(b"other", &signature), ErrorKind::SignatureInvalid);
        assert_eq!(refused(MESSAGE, &signature[1..]), ErrorKind::SignatureLength);
        signature[40] ^= 1;
        assert_eq!(refused(MESSAGE, &signature), ErrorKind::SignatureInvalid);
        // A public key signs nothing.
        assert_eq!(lab.sign(&public, &plain(set), MESSAGE).unwrap_err().kind(), ErrorKind::KeyType);
    }
}

#[test]
fn parts_a_whole_and_a_ready_digest_come_to_the_same() {
    let lab = Lab::new();
    for set in [ML_DSA, SLH_DSA] {
        let (private, _) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        let sign = |input, parts: &[&[u8]]| {
            let mechanism = mechanism(set, input, Hedge::Deterministic, b"context");
            signed(lab.backend.sign(&lab.on(&private), &mechanism).unwrap(), parts)
        };
        let whole = sign(PqcInput::Message, &[MESSAGE]).unwrap();
        assert!(sign(PqcInput::Message, &[&MESSAGE[..7], &[], &MESSAGE[7..]]).unwrap() == whole);
        for hash in [PqcHash::Sha256, PqcHash::Sha3_512, PqcHash::Sha512_256] {
            let digest = lab.digest(hash.hash().unwrap(), MESSAGE);
            let hashed = sign(PqcInput::Hashed(hash), &[&MESSAGE[..9], &MESSAGE[9..]]).unwrap();
            assert!(sign(PqcInput::Digest(hash), &[&digest[..3], &digest[3..]]).unwrap() == hashed);
            assert!(hashed != whole);
            for wrong in [&digest[1..], &[&digest[..], &[0]].concat()] {
                assert_eq!(sign(PqcInput::Digest(hash), &[wrong]).unwrap_err().kind(), ErrorKind::DataLength);
            }
        }
    }
}

#[test]
fn shake_makes_the_digests_that_hash_signatures_want() {
    let lab = Lab::new();
    // FIPS 202: the first bytes of SHAKE128 and SHAKE256 of nothing.
    let ready = [
        (PqcHash::Shake128, hex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")),
        (
            PqcHash::Shake256,
            hex("46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f
                 d75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be"),
        ),
    ];
    let (private, public) = lab.pair(&KeySpec::Pqc(ML_DSA)).unwrap();
    for (hash, digest) in ready {
        assert_eq!(digest.len(), hash.len());
        let signature = lab.sign(&private, &mechanism(ML_DSA, PqcInput::Digest(hash), Hedge::Required, b""), &digest);
        let hashed = mechanism(ML_DSA, PqcInput::Hashed(hash), Hedge::Preferred, b"");
        verified(lab.backend.verify(&lab.on(&public), &hashed).unwrap(), &[], &signature.unwrap()).unwrap();
    }
}

#[test]
fn a_context_and_a_hash_are_part_of_what_is_signed() {
    let lab = Lab::new();
    for set in [ML_DSA, SLH_DSA] {
        let (private, public) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        let ways = [
            plain(set),
            mechanism(set, PqcInput::Message, Hedge::Preferred, b"a"),
            mechanism(set, PqcInput::Message, Hedge::Preferred, &[7; 255]),
            mechanism(set, PqcInput::Hashed(PqcHash::Sha256), Hedge::Preferred, b""),
            mechanism(set, PqcInput::Hashed(PqcHash::Sha3_256), Hedge::Preferred, b""),
        ];
        for (i, way) in ways.iter().enumerate() {
            let signature = lab.sign(&private, way, MESSAGE).unwrap();
            for (j, other) in ways.iter().enumerate() {
                assert_eq!(lab.verify(&public, other, MESSAGE, &signature).is_ok(), i == j, "{set:?} {i} {j}");
            }
        }
    }
}

#[test]
fn only_what_must_be_deterministic_is() {
    let lab = Lab::new();
    for set in [ML_DSA, SLH_DSA] {
        let (private, public) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        for (hedge, same) in [(Hedge::Preferred, false), (Hedge::Required, false), (Hedge::Deterministic, true)] {
            let way = mechanism(set, PqcInput::Message, hedge, b"");
            let (one, two) = (lab.sign(&private, &way, MESSAGE).unwrap(), lab.sign(&private, &way, MESSAGE).unwrap());
            assert_eq!(one == two, same, "{set:?} {hedge:?}");
            lab.verify(&public, &plain(set), MESSAGE, &one).unwrap();
        }
    }
}

#[test]
fn both_sides_of_an_encapsulation_get_the_same_key() {
    let lab = Lab::new();
    for set in [MlKemSet::MlKem512, MlKemSet::MlKem768, MlKemSet::MlKem1024] {
        let (private, public) = lab.pair(&KeySpec::Pqc(PqcSet::MlKem(set))).unwrap();
        let wanted = [(KeyType::GenericSecret, None, 32), (KeyType::Aes, Some(16), 16), (KeyType::Sm4, None, 16)];
        for (key_type, len, is) in wanted {
            let (mine, ciphertext) = lab.encapsulate(&public, key_type, len).unwrap();
            assert_eq!(ciphertext.len(), set.ciphertext_len());
            let yours = lab.decapsulate(&private, &ciphertext, key_type, len).unwrap();
            assert_eq!(lab.bytes(&mine), lab.bytes(&yours));
            assert_eq!(lab.bytes(&mine).len(), is);
            let (again, other) = lab.encapsulate(&public, key_type, len).unwrap();
            assert!(lab.bytes(&again) != lab.bytes(&mine) && other != ciphertext);
        }
    }
}

#[test]
fn a_wrong_ciphertext_yields_another_key_and_no_error() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Pqc(ML_KEM)).unwrap();
    let (mine, mut ciphertext) = lab.encapsulate(&public, KeyType::GenericSecret, None).unwrap();
    ciphertext[5] ^= 1;
    let other = lab.decapsulate(&private, &ciphertext, KeyType::GenericSecret, None).unwrap();
    assert_ne!(lab.bytes(&mine), lab.bytes(&other));
    // The same each time: a secret hash of the ciphertext.
    let again = lab.decapsulate(&private, &ciphertext, KeyType::GenericSecret, None).unwrap();
    assert_eq!(lab.bytes(&again), lab.bytes(&other));
    let short = lab.decapsulate(&private, &ciphertext[1..], KeyType::GenericSecret, None);
    assert_eq!(short.unwrap_err().kind(), ErrorKind::WrappedKeyLength);
}

#[test]
fn encapsulated_keys_have_at_most_32_bytes_and_a_length_of_their_type() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Pqc(ML_KEM)).unwrap();
    for (key_type, len) in [(KeyType::GenericSecret, 33), (KeyType::Aes, 20), (KeyType::GenericSecret, 0)] {
        assert_eq!(lab.encapsulate(&public, key_type, Some(len)).unwrap_err().kind(), ErrorKind::KeySize);
        let refused = lab.decapsulate(&private, &[0; 1088], key_type, Some(len));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::KeySize);
    }
    let (_, signer) = lab.pair(&KeySpec::Pqc(ML_DSA)).unwrap();
    assert_eq!(lab.encapsulate(&signer, KeyType::Aes, None).unwrap_err().kind(), ErrorKind::KeyType);
    assert_eq!(lab.decapsulate(&public, &[0; 1088], KeyType::Aes, None).unwrap_err().kind(), ErrorKind::KeyType);
}

#[test]
fn a_seed_and_what_comes_of_it_make_the_same_key() {
    let lab = Lab::new();
    for set in [ML_DSA, ML_KEM] {
        let (private, public) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        let (seed, value) = components(&lab, &private);
        assert_eq!((Some(seed.len()), value.len()), (set.seed_len(), set.private_len()));
        let none = || Secret::copy_of(&[]);
        let import = |seed: Secret, value: Secret| lab.import(&KeyComponents::PqcPrivate { set, seed, value });
        let known = &public.key().unwrap().primary().unwrap().public;
        let ways = [(seed.clone(), none()), (none(), value.clone()), (seed.clone(), value.clone())];
        for (i, (given, expanded)) in ways.into_iter().enumerate() {
            let key = import(given, expanded).unwrap();
            assert_eq!(&key.key().unwrap().primary().unwrap().public, known, "{set:?} {i}");
            let (kept, whole) = components(&lab, &key);
            assert_eq!((kept.is_empty(), whole), (i == 1, value.clone()));
        }
        let wrong = |seed, value| import(seed, value).unwrap_err().kind();
        assert_eq!(wrong(none(), none()), ErrorKind::TemplateIncomplete);
        assert_eq!(wrong(Secret::copy_of(&[1; 31]), none()), ErrorKind::AttributeValue);
        assert_eq!(
            wrong(Secret::filled(seed.len(), |_| Ok::<_, ()>(())).unwrap(), value.clone()),
            ErrorKind::AttributeValue
        );
        // The public half inside the private key does not belong to the rest any more.
        let mut changed = value.expose().to_vec();
        let middle = if set == ML_KEM { 1200 } else { 70 };
        changed[middle] ^= 1;
        assert_eq!(wrong(none(), Secret::new(changed)), ErrorKind::AttributeValue);
    }
}

#[test]
fn public_keys_of_a_wrong_length_are_refused() {
    let lab = Lab::new();
    for set in PqcSet::all() {
        for (len, kind) in [(0, ErrorKind::TemplateIncomplete), (set.public_len() - 1, ErrorKind::AttributeValue)] {
            let public = PublicComponents::Pqc { set, value: vec![0; len] };
            assert_eq!(lab.import(&KeyComponents::Public(public)).unwrap_err().kind(), kind, "{set:?}");
        }
    }
}

#[test]
fn private_keys_come_through_wrapping_as_they_were() {
    let lab = Lab::new();
    let kek = lab.secret(KeyType::Aes, &[3; 32]);
    let wrapping = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    for set in [ML_DSA, ML_KEM, SLH_DSA] {
        let (private, _) = lab.pair(&KeySpec::Pqc(set)).unwrap();
        let (seed, value) = components(&lab, &private);
        let none = Secret::copy_of(&[]);
        let expanded = lab.import(&KeyComponents::PqcPrivate { set, seed: none, value: value.clone() }).unwrap();
        for key in [&private, &expanded] {
            let wrapped = lab.wrap(&kek, &wrapping, key).unwrap();
            let back = lab.unwrap(&kek, &wrapping, &wrapped, set.key_type(), None).unwrap();
            assert_eq!(components(&lab, &back), components(&lab, key));
            let other = if set == ML_DSA { KeyType::MlKem } else { KeyType::MlDsa };
            let refused = lab.unwrap(&kek, &wrapping, &wrapped, other, None);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::WrappedKeyInvalid);
        }
        assert!(seed.len() == set.seed_len().unwrap_or(0));
    }
}

#[test]
fn a_private_key_of_the_rfcs_is_read_in_all_three_forms() {
    let lab = Lab::new();
    let kek = lab.secret(KeyType::Aes, &[3; 32]);
    let wrapping = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    let (private, _) = lab.pair(&KeySpec::Pqc(ML_KEM)).unwrap();
    let (seed, value) = components(&lab, &private);
    let der = |tag: u8, content: &[u8]| {
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        match content.len() {
            n @ 0..=127 => [&[tag, u8::try_from(n).unwrap()], content].concat(),
            n @ 128..=255 => [&[tag, 0x81, u8::try_from(n).unwrap()], content].concat(),
            _ => [&[tag, 0x82, len[0], len[1]], content].concat(),
        }
    };
    let (seed, value) = (seed.expose(), value.expose());
    let forms = [der(0x80, seed), der(4, value), der(0x30, &[der(4, seed), der(4, value)].concat())];
    // id-alg-ml-kem-768: 2.16.840.1.101.3.4.4.2
    let algorithm = der(0x30, &hex("060960864801650304 0402"));
    for (i, form) in forms.iter().enumerate() {
        let info = der(0x30, &[hex("020100"), algorithm.clone(), der(4, form)].concat());
        let carrier = lab.secret(KeyType::GenericSecret, &info);
        let wrapped = lab.wrap(&kek, &wrapping, &carrier).unwrap();
        let key = lab.unwrap(&kek, &wrapping, &wrapped, KeyType::MlKem, None).unwrap();
        assert_eq!(components(&lab, &key).1.expose(), value, "form {i}");
        // What a private key of ours is wrapped as is the first form.
        assert_eq!(lab.wrap(&kek, &wrapping, &private).unwrap() == wrapped, i == 0);
    }
}
