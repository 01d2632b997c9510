//! Who changes policies, what that leaves in the records, and what stays required.

use super::*;
use libkmss::kms::{PolicyTarget, UnsignedPolicy};
use libkmss::policy::Scope;
use libkmss::policy::approval::RequestId;
use libkmss::policy::bundle::{Abi, Bundle, Content, PublisherKey, PublisherSecret};
use libkmss::policy::registry::PolicyRole;

/// A guest of `kmss-policy/1` that allows everything by its rule 1.
const ALLOW: &[u8] = b"\x00\x61\x73\x6d\x01\x00\x00\x00\x01\x0a\x02\x60\x00\x01\x7f\x60\x01\x7f\x01\x7e\x03\x04\x03\x00\x00\x01\
\x05\x04\x01\x01\x01\x01\x07\x2e\x04\x06\x6d\x65\x6d\x6f\x72\x79\x02\x00\x08\x6b\x6d\x73\x73\x5f\x61\x62\x69\x00\x00\x08\x6b\x6d\
\x73\x73\x5f\x62\x75\x66\x00\x01\x0b\x6b\x6d\x73\x73\x5f\x64\x65\x63\x69\x64\x65\x00\x02\x0a\x14\x03\x06\x00\x41\x80\x80\x04\x0b\
\x05\x00\x41\x80\x08\x0b\x05\x00\x42\x81\x02\x0b";

const HERE: PolicyTarget = PolicyTarget::Namespace;

/// The guest, in editions that differ by a custom section.
fn policy(edition: u8) -> UnsignedPolicy {
    let content = Content { module: [ALLOW, &[0, 2, 1, b'a' + edition]].concat(), ..Content::default() };
    UnsignedPolicy { name: "orders".into(), abi: Abi::Kmss, entrypoint: None, content }
}

fn required(flat: &Flat) -> bool {
    flat.kms.namespaces().unwrap().first().unwrap().policy_required
}

#[test]
fn the_officer_applies_and_every_process_sees_it() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let other = flat.another();
        assert!(!required(&flat) && other.policies().unwrap().entries().is_empty());
        let officer = flat.officer();
        let apply =
            |edition| flat.kms.apply_local_policy(&officer, &HERE, policy(edition), PolicyRole::Active).unwrap();
        let applied = apply(1);
        assert_eq!((applied.sequence, applied.changed, applied.before), (1, true, None));
        // The same once more changes nothing; another edition has the next sequence.
        let again = apply(1);
        assert_eq!((again.sequence, again.changed), (1, false));
        let next = apply(2);
        assert_eq!((next.sequence, next.changed, next.before), (2, true, Some(1)));
        assert!(required(&flat));
        let set = other.policies().unwrap();
        let active = set.entries().first().unwrap().active.clone().unwrap();
        let bytes = other.policy_bundle(&active).unwrap();
        assert_eq!(Bundle::parse(&bytes).unwrap().module(), policy(2).content.module);
        let trail: String = trail(&flat);
        assert!(trail.contains("sequence 1 -> 2") && trail.contains("policy apply"), "{trail}");
    }
}

#[test]
fn nobody_changes_policies_by_a_users_pin_or_without_any() {
    let flat = Flat::new(Suite::Nist);
    for caller in [flat.user(), flat.public()] {
        let refused = kind(flat.kms.apply_local_policy(&caller, &HERE, policy(1), PolicyRole::Active));
        assert_eq!(refused, ErrorKind::NotLoggedIn);
        let key = PublisherSecret::from_components(&libkmss::key::KeyComponents::EcPrivate {
            curve: libkmss::mechanism::Curve::Ed25519,
            scalar: pin(&[7; 32]),
        });
        let key = key.unwrap().public().unwrap();
        assert_eq!(kind(flat.kms.add_trust_anchor(&caller, &HERE, "me", key)), ErrorKind::NotLoggedIn);
        let removed = flat.kms.remove_policy(&caller, &HERE, "orders", PolicyRole::Active);
        assert_eq!(kind(removed), ErrorKind::NotLoggedIn);
    }
    assert!(!required(&flat));
    assert!(flat.kms.trust_anchors().unwrap().is_empty(), "a refusal makes no publisher");
    assert!(trail(&flat).contains("not-logged-in"));
}

#[test]
fn an_admin_of_the_configuration_needs_no_pin() {
    let mut flat = Flat::new(Suite::Nist);
    let me = flat.public().principal.name.clone();
    flat.config.policy.admins = vec![me];
    let kms = flat.another();
    let caller = kms.enter(&flat.namespace, 0).unwrap();
    assert!(kms.is_policy_admin(&flat.namespace).unwrap());
    assert!(kms.apply_local_policy(&caller, &HERE, policy(1), PolicyRole::Active).unwrap().changed);
}

#[test]
fn a_namespace_whose_policies_are_gone_denies_until_it_is_made_anew() {
    let flat = Flat::new(Suite::Nist);
    let key = flat.aes(&flat.user(), Storage::Stored, "k");
    assert!(sign(&flat.kms, &flat.user(), &key, b"data").is_ok());
    let officer = flat.officer();
    flat.kms.apply_local_policy(&officer, &HERE, policy(1), PolicyRole::Active).unwrap();
    flat.kms.remove_policy(&officer, &HERE, "orders", PolicyRole::Active).unwrap();
    let now = flat.kms.namespaces().unwrap().remove(0);
    assert!(now.policy_required && flat.kms.policies().unwrap().requires(&now));
    let caller = flat.kms.enter(&now, 1).unwrap();
    let caller = flat.kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin(PIN) }).unwrap();
    assert!(sign(&flat.kms, &caller, &key, b"data").is_err());
    let gone = flat.kms.remove_policy(&officer, &HERE, "orders", PolicyRole::Active);
    assert_eq!(kind(gone), ErrorKind::NotFound);
    let anew = flat.kms.initialize(Some(&now), "flat", &pin(SO_PIN)).unwrap();
    assert!(!anew.policy_required && !flat.kms.policies().unwrap().requires(&anew));
    // An officer of what was before has no say any more.
    let stale = flat.kms.apply_local_policy(&officer, &HERE, policy(1), PolicyRole::Active);
    assert_eq!(kind(stale), ErrorKind::Conflict);
}

#[test]
fn a_shadow_and_a_policy_for_one_key_are_kept_apart_from_the_active_one() {
    let flat = Flat::new(Suite::Nist);
    let officer = flat.officer();
    flat.kms.apply_local_policy(&officer, &HERE, policy(1), PolicyRole::Shadow).unwrap();
    assert!(!required(&flat), "what decides nothing requires nothing");
    let key = PolicyTarget::Key("k".into());
    flat.kms.apply_local_policy(&officer, &key, policy(1), PolicyRole::Active).unwrap();
    let set = flat.kms.policies().unwrap();
    let scopes: Vec<String> = set.entries().iter().map(|entry| entry.scope.to_string()).collect();
    assert_eq!(scopes, ["namespace default/flat", "key default/flat/k"]);
    assert!(required(&flat));
    flat.kms.remove_policy(&officer, &HERE, "orders", PolicyRole::Shadow).unwrap();
    assert_eq!(flat.kms.policies().unwrap().entries().iter().filter(|e| e.shadow.is_some()).count(), 0);
}

#[test]
fn a_policy_of_the_tenant_is_the_owners_and_covers_later_namespaces() {
    let flat = Flat::new(Suite::Nist);
    let tenant = PolicyTarget::Tenant("default".into());
    let owner = flat.kms.administrator(Some("default")).unwrap();
    let applied = flat.kms.apply_local_policy(&owner, &tenant, policy(1), PolicyRole::Active).unwrap();
    assert_eq!(applied.scope, Scope::Tenant { tenant: "default".into() });
    let later = flat.kms.initialize(None, "later", &pin(SO_PIN)).unwrap();
    assert!(flat.kms.policies().unwrap().requires(&later));
    assert!(trail(&flat).contains("tenant default"));
}

#[test]
fn a_home_that_takes_signed_bundles_only_signs_nothing_itself() {
    let flat = Flat::new(Suite::Gm);
    let owner = flat.kms.administrator(None).unwrap();
    flat.kms.allow_local_publisher(&owner).unwrap();
    assert_eq!(flat.kms.trust_anchors().unwrap().len(), 1);
    flat.kms.remove_trust_anchor(&owner, &PolicyTarget::Platform, "local").unwrap();
    let officer = flat.officer();
    let refused = flat.kms.apply_local_policy(&officer, &HERE, policy(1), PolicyRole::Active);
    assert_eq!(kind(refused), ErrorKind::Denied);
    let public: PublisherKey = PublisherSecret::from_components(&libkmss::key::KeyComponents::EcPrivate {
        curve: libkmss::mechanism::Curve::Sm2,
        scalar: pin(&[7; 32]),
    })
    .unwrap()
    .public()
    .unwrap();
    flat.kms.add_trust_anchor(&officer, &HERE, "author", public).unwrap();
    assert_eq!(flat.kms.trust_anchors().unwrap().first().unwrap().name, "author");
}

#[test]
fn only_a_user_who_is_logged_in_approves() {
    let flat = Flat::new(Suite::Nist);
    let unknown = RequestId([1; 16]);
    assert!(flat.kms.waiting_requests(&flat.namespace).unwrap().is_empty());
    for caller in [flat.public(), flat.officer()] {
        assert_eq!(kind(flat.kms.approve(&caller, unknown, None)), ErrorKind::NotLoggedIn);
    }
    assert_eq!(kind(flat.kms.approve(&flat.user(), unknown, None)), ErrorKind::NotFound);
}

/// Every record of the home, as text.
fn trail(flat: &Flat) -> String {
    let directory = Kms::audit_directory(&flat.config);
    let segments = std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    segments.map(Result::unwrap_or_default).collect()
}
