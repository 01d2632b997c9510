#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::key::KeyComponents;
use crate::mechanism::Curve;
use crate::secret::Secret;

const NOW: Timestamp = Timestamp(1_000_000);
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn secret(algorithm: PublisherAlgorithm, seed: u8) -> PublisherSecret {
    PublisherSecret::new(algorithm, Secret::copy_of(&[seed; 32])).unwrap()
}

fn scope() -> Scope {
    Scope::Namespace { tenant: "default".into(), namespace: "web".into() }
}

fn terms(sequence: u64) -> Terms {
    Terms {
        name: "orders".into(),
        scope: scope(),
        sequence,
        abi: Abi::Kmss,
        fuel: Some(100_000),
        pages: None,
        entrypoint: None,
        not_before: Timestamp(0),
        not_after: None,
    }
}

fn content() -> Content {
    Content { module: MODULE.to_vec(), data: None, source: Some("allow user:a to use key:k".into()) }
}

fn bundle(terms: Terms, secret: &PublisherSecret) -> Vec<u8> {
    Draft::new(terms, content(), &secret.public().unwrap()).unwrap().sign(secret).unwrap()
}

fn anchor(scope: Scope, secret: &PublisherSecret) -> TrustAnchor {
    TrustAnchor { name: "a".into(), scope, key: secret.public().unwrap(), added: NOW, added_by: "user:root".into() }
}

#[test]
fn a_bundle_that_was_signed_opens_and_is_the_same_each_time_it_is_made() {
    for algorithm in [PublisherAlgorithm::Ed25519, PublisherAlgorithm::Sm2] {
        let secret = secret(algorithm, 7);
        let bytes = bundle(terms(1), &secret);
        assert_eq!(bytes, bundle(terms(1), &secret));
        let opened = Bundle::open(&bytes, &[anchor(scope(), &secret)], &scope(), NOW, None).unwrap();
        assert_eq!(opened.bundle.module(), MODULE);
        assert_eq!(opened.bundle.source(), "allow user:a to use key:k");
        assert_eq!(opened.bundle.manifest().terms, terms(1));
        assert!(!opened.repeated);
    }
}

#[test]
fn a_publisher_counts_only_for_what_its_anchor_contains() {
    let secret = secret(PublisherAlgorithm::Ed25519, 7);
    let bytes = bundle(terms(1), &secret);
    let open = |anchors: &[TrustAnchor]| Bundle::open(&bytes, anchors, &scope(), NOW, None).map(|v| v.anchor.scope);
    assert_eq!(open(&[anchor(Scope::Platform, &secret)]).unwrap(), Scope::Platform);
    assert!(open(&[anchor(Scope::Tenant { tenant: "default".into() }, &secret)]).is_ok());
    assert!(matches!(open(&[]), Err(BundleError::UnknownPublisher { .. })));
    let elsewhere = Scope::Namespace { tenant: "default".into(), namespace: "other".into() };
    for scope in [elsewhere, Scope::Tenant { tenant: "other".into() }] {
        assert!(matches!(open(&[anchor(scope, &secret)]), Err(BundleError::UnknownPublisher { .. })));
    }
    let other = super::tests::secret(PublisherAlgorithm::Ed25519, 8);
    assert!(matches!(open(&[anchor(Scope::Platform, &other)]), Err(BundleError::UnknownPublisher { .. })));
}

#[test]
fn a_bundle_for_another_scope_or_time_is_refused() {
    let secret = secret(PublisherAlgorithm::Ed25519, 7);
    let anchors = [anchor(Scope::Platform, &secret)];
    let terms = Terms { not_before: Timestamp(10), not_after: Some(Timestamp(20)), ..terms(1) };
    let bytes = bundle(terms, &secret);
    let at = |now| Bundle::open(&bytes, &anchors, &scope(), Timestamp(now), None).map(|_| ());
    assert!(matches!(at(9), Err(BundleError::NotYetValid(10))));
    assert!(at(10).is_ok() && at(19).is_ok());
    assert!(matches!(at(20), Err(BundleError::Expired(20))));
    let opened = Bundle::open(&bytes, &anchors, &Scope::Platform, Timestamp(10), None);
    assert!(matches!(opened, Err(BundleError::Scope { .. })));
}

#[test]
fn going_back_is_refused_and_repeating_is_not() {
    let secret = secret(PublisherAlgorithm::Sm2, 7);
    let anchors = [anchor(scope(), &secret)];
    let bytes = bundle(terms(5), &secret);
    let digest = Bundle::parse(&bytes).unwrap().digest();
    let open = |seen: Seen| Bundle::open(&bytes, &anchors, &scope(), NOW, Some(&seen)).map(|v| v.repeated);
    assert!(!open(Seen { sequence: 4, digest: [0; 32] }).unwrap());
    assert!(open(Seen { sequence: 5, digest }).unwrap());
    assert!(matches!(open(Seen { sequence: 5, digest: [0; 32] }), Err(BundleError::SameSequence(5))));
    assert!(matches!(open(Seen { sequence: 6, digest }), Err(BundleError::Rollback { found: 5, seen: 6 })));
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    for algorithm in [PublisherAlgorithm::Ed25519, PublisherAlgorithm::Sm2] {
        let secret = secret(algorithm, 7);
        let anchors = [anchor(scope(), &secret)];
        let bytes = bundle(terms(1), &secret);
        let open = |bytes: &[u8]| Bundle::open(bytes, &anchors, &scope(), NOW, None).map(|_| ());
        assert!(open(&bytes).is_ok());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at} was changed and nobody noticed");
            assert!(open(&bytes[..at]).is_err(), "the bundle was cut at {at} and nobody noticed");
        }
        assert!(matches!(open(&[bytes.as_slice(), b"x"].concat()), Err(BundleError::Malformed(_))));
    }
}

#[test]
fn lengths_are_refused_before_they_are_believed() {
    let mut bytes = b"KMSSPOL\x01".to_vec();
    bytes.extend_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(Bundle::parse(&bytes), Err(BundleError::TooLarge { part: "manifest", .. })));
    assert!(matches!(Bundle::parse(b"KMSSPOL\x02"), Err(BundleError::TooNew(2))));
    assert!(matches!(Bundle::parse(b"\0asm"), Err(BundleError::NotABundle)));
    let module = Content { module: [MODULE, &vec![0; 3 << 20]].concat(), ..Content::default() };
    let secret = secret(PublisherAlgorithm::Ed25519, 7);
    let draft = Draft::new(terms(1), module, &secret.public().unwrap()).unwrap();
    assert_eq!(draft.sign(&secret).unwrap_err().kind(), ErrorKind::Arguments);
}

#[test]
fn a_manifest_has_one_form_only() {
    let secret = secret(PublisherAlgorithm::Ed25519, 7);
    let bytes = bundle(terms(1), &secret);
    let parts = Parts::split(&bytes).unwrap();
    // The same map, its length in an indefinite form: readers agree on it, and it is not what was signed.
    let mut other = vec![0xbf];
    other.extend_from_slice(&parts.manifest[1..]);
    other.push(0xff);
    let signature = secret.sign(&to_be_signed(&other)).unwrap();
    let forged = Parts { manifest: &other, signature: &signature, ..parts }.join().unwrap();
    assert!(matches!(Bundle::parse(&forged), Err(BundleError::Malformed(_))));
}

#[test]
fn terms_that_no_policy_may_have_are_refused_when_it_is_made() {
    let public = secret(PublisherAlgorithm::Ed25519, 7).public().unwrap();
    let good = terms(1);
    for bad in [
        Terms { name: String::new(), ..good.clone() },
        Terms { name: "a/b".into(), ..good.clone() },
        Terms { entrypoint: Some("a/b".into()), ..good.clone() },
        Terms { sequence: 0, ..good.clone() },
        Terms { fuel: Some(0), ..good.clone() },
        Terms { pages: Some(Limits::MOST_PAGES + 1), ..good.clone() },
        Terms { not_before: Timestamp(5), not_after: Some(Timestamp(5)), ..good.clone() },
        Terms { scope: Scope::Tenant { tenant: String::new() }, ..good.clone() },
    ] {
        assert_eq!(Draft::new(bad, content(), &public).unwrap_err().kind(), ErrorKind::Arguments);
    }
    let text = Content { module: b"allow".to_vec(), ..Content::default() };
    assert!(Draft::new(good.clone(), text, &public).is_err());
    let data = Content { data: Some(b"{}".to_vec()), ..content() };
    assert!(Draft::new(good, data, &public).is_err());
}

#[test]
fn a_signature_of_somebody_else_makes_no_bundle() {
    let (one, other) = (secret(PublisherAlgorithm::Ed25519, 7), secret(PublisherAlgorithm::Ed25519, 8));
    let draft = Draft::new(terms(1), content(), &one.public().unwrap()).unwrap();
    assert_eq!(draft.sign(&other).unwrap_err().kind(), ErrorKind::Denied);
    // Of something else, by the right one.
    let foreign = one.sign(&draft.to_be_signed()[SIGNED.len()..]).unwrap();
    assert!(draft.with_signature(&foreign).is_err());
}

#[test]
fn publishers_keys_are_ed25519_or_sm2() {
    let scalar = Secret::copy_of(&[7; 32]);
    let of = |curve| KeyComponents::EcPrivate { curve, scalar: scalar.clone() };
    for curve in [Curve::Ed25519, Curve::Sm2] {
        let secret = PublisherSecret::from_components(&of(curve)).unwrap();
        let key = PublisherKey::from_components(&of(curve)).unwrap();
        assert_eq!(secret.public().unwrap(), key);
        assert_eq!(key.id().unwrap().to_string().parse::<KeyId>().unwrap(), key.id().unwrap());
    }
    assert_eq!(PublisherKey::from_components(&of(Curve::P256)).unwrap_err().kind(), ErrorKind::KeyType);
    assert!(PublisherSecret::new(PublisherAlgorithm::Sm2, Secret::copy_of(&[0xff; 32])).is_err());
    assert!("zz".repeat(32).parse::<KeyId>().is_err());
}
