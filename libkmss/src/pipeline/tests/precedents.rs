//! Operations that are admitted as the one before them, and those that are not.

use super::*;
use crate::key::Date;
use crate::mechanism::Hash;
use crate::operation::{Destroy, Digest, Encrypt, Verify};
use crate::policy::Obligation;
use std::sync::atomic::Ordering;

/// What a decision of its own writes down where no policy speaks.
const DECIDED: &str = "policy is silent";

fn quiet() -> (House, Arc<Object>) {
    let (house, key) = House::with_key();
    house.policy.silent.store(true, Ordering::SeqCst);
    (house, key)
}

fn operation(key: &Arc<Object>) -> Sign {
    Sign { key: ObjectRef::from(key), how: cmac() }
}

/// Signs once, and what the next signature may follow.
fn precedent(house: &House, key: &Arc<Object>) -> Option<Precedent> {
    let mut signing = house.sign(&house.user, key).unwrap();
    signed(&mut signing, b"abc").unwrap();
    house.journal.clear();
    signing.precedent()
}

/// Begins a signature after `precedent`, and whether it was decided on its own.
fn after<O: Operation>(
    house: &House,
    precedent: Option<Precedent>,
    caller: &Caller,
    operation: O,
) -> (bool, Result<Unfinished<O::Running>>) {
    house.journal.clear();
    let begun = house.pipeline.begin_after(precedent, house.pipeline.moment(), caller, operation);
    (house.happened().iter().any(|line| line == DECIDED), begun)
}

fn decided(house: &House, precedent: Option<Precedent>, key: &Arc<Object>) -> bool {
    let (decided, begun) = after(house, precedent, &house.user, operation(key));
    begun.unwrap();
    decided
}

#[test]
fn the_next_use_of_a_key_follows_the_last_and_is_reserved_and_recorded_as_every_other() {
    let (house, key) = quiet();
    let mut last = precedent(&house, &key);
    for _ in 0..3 {
        let (decided, begun) = after(&house, last, &house.user, operation(&key));
        assert!(!decided);
        let mut signing = begun.unwrap();
        assert_eq!(signed(&mut signing, b"abcd").unwrap().len(), 16);
        assert_eq!(house.happened(), ["audit sign success", "settle 4"]);
        assert_eq!((house.last().bytes, house.last().name), (Some(4), "web".to_owned()));
        last = signing.precedent();
    }
    assert_eq!(house.quota.left.load(Ordering::SeqCst), 100 - 5);
}

#[test]
fn each_use_asks_the_quota() {
    let (house, key) = quiet();
    let last = precedent(&house, &key);
    house.quota.left.store(0, Ordering::SeqCst);
    let (decided, begun) = after(&house, last, &house.user, operation(&key));
    assert!(decided);
    assert_eq!(kind(begun), ErrorKind::QuotaExceeded);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::QuotaExceeded));
}

#[test]
fn where_a_policy_has_a_say_there_is_no_precedent() {
    let (house, key) = House::with_key();
    assert!(precedent(&house, &key).is_none());
    house.policy.oblige(&[Obligation::AuditTag("seen".into())]);
    assert!(precedent(&house, &key).is_none());
}

/// A house whose policy says the same of equal requests from `from` until `until`, both in milliseconds from now.
fn steady(from: u64, until: u64) -> (House, Arc<Object>) {
    let (house, key) = House::with_key();
    let now = house.clock.wall.load(Ordering::SeqCst);
    *house.policy.holds.lock().unwrap() = Some(Timestamp(now + from)..Timestamp(now + until));
    (house, key)
}

/// Whether the policy was asked about the use that came `later` by so many milliseconds.
fn asked(house: &House, last: Option<Precedent>, key: &Arc<Object>, later: u64) -> bool {
    house.clock.wall.fetch_add(later, Ordering::SeqCst);
    house.journal.clear();
    house.pipeline.begin_after(last, house.pipeline.moment(), &house.user, operation(key)).unwrap();
    house.happened().iter().any(|line| line.starts_with("policy"))
}

#[test]
fn what_a_policy_said_holds_as_long_as_it_says() {
    let (house, key) = steady(0, 50);
    assert!(!asked(&house, precedent(&house, &key), &key, 0));
    assert!(!asked(&house, precedent(&house, &key), &key, 49));
    assert!(asked(&house, precedent(&house, &key), &key, 1));
    let (house, key) = steady(5, 50);
    assert!(asked(&house, precedent(&house, &key), &key, 4), "it is not valid yet");
    assert!(!asked(&house, precedent(&house, &key), &key, 1));
}

#[test]
fn the_rule_stands_in_every_record_that_follows_it() {
    let (house, key) = steady(0, 50);
    let (_, begun) = after(&house, precedent(&house, &key), &house.user, operation(&key));
    signed(&mut begun.unwrap(), b"abc").unwrap();
    assert_eq!(house.last().rule, "rule-yes");
}

#[test]
fn what_is_used_up_or_depends_on_the_moment_is_asked_each_time() {
    let quorum = Obligation::Quorum { approvals: 1, role: "custodian".into(), window: 60 };
    for duty in [
        Obligation::RateLimit { count: 9, seconds: 60 },
        Obligation::SessionExpiry(u32::MAX),
        Obligation::AuditTag("seen".into()),
        quorum,
    ] {
        let (house, key) = steady(0, 50);
        house.policy.approves.store(true, Ordering::SeqCst);
        house.policy.oblige(std::slice::from_ref(&duty));
        assert!(precedent(&house, &key).is_none(), "{duty:?}");
    }
    let (house, key) = steady(0, 50);
    house.policy.least.store(2, Ordering::SeqCst);
    assert!(precedent(&house, &key).is_none());
}

#[test]
fn a_limit_of_length_holds_for_each_use() {
    let (house, key) = steady(0, 50);
    house.policy.oblige(&[Obligation::MaximumData(3)]);
    let (_, begun) = after(&house, precedent(&house, &key), &house.user, operation(&key));
    assert_eq!(kind(signed(&mut begun.unwrap(), b"abcd")), ErrorKind::Denied);
}

#[test]
fn what_did_not_end_with_a_result_is_no_precedent() {
    let (house, key) = quiet();
    assert!(house.sign(&house.user, &key).unwrap().precedent().is_none());
    assert_eq!(house.last().outcome, Outcome::Abandoned);
    let mut signing = house.sign(&house.user, &key).unwrap();
    house.engine.broken.store(true, Ordering::SeqCst);
    let failed: Result<()> = signing.finish(&[0; 0], |_| Err(Error::new(ErrorKind::BackendUnavailable, "broken")));
    failed.unwrap_err();
    assert!(signing.precedent().is_none());
}

#[test]
fn a_store_that_moved_asks_for_a_new_decision() {
    let (house, key) = quiet();
    let last = precedent(&house, &key);
    house.key(|draft| draft.label = b"another".to_vec());
    assert!(decided(&house, last, &key));
}

#[test]
fn an_old_decision_is_made_anew() {
    for (milliseconds, anew) in [(59_999, false), (60_000, true)] {
        let (house, key) = quiet();
        let last = precedent(&house, &key);
        house.clock.wall.fetch_add(milliseconds, Ordering::SeqCst);
        assert_eq!(decided(&house, last, &key), anew, "{milliseconds}");
    }
}

#[test]
fn another_caller_key_mechanism_or_verb_is_decided_on_its_own() {
    let (house, key) = quiet();
    let other = house.key(|draft| draft.label = b"another".to_vec());
    let last = || precedent(&house, &key);
    assert!(after(&house, last(), &house.public, operation(&key)).1.is_err());
    let twin = house.user.with(|parts| parts.session = 2);
    assert!(after(&house, last(), &twin, operation(&key)).0);
    assert!(decided(&house, last(), &other));
    let shorter = Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 8 });
    let how = Chosen { mechanism: shorter, ..cmac() };
    assert!(after(&house, last(), &house.user, Sign { how, ..operation(&key) }).0);
    let how = Chosen { number: Some(7), ..cmac() };
    assert!(after(&house, last(), &house.user, Sign { how, ..operation(&key) }).0);
    assert!(after(&house, last(), &house.user, Verify { key: ObjectRef::from(&key), how: cmac() }).0);
    assert!(!decided(&house, last(), &key));
}

#[test]
fn another_nonce_makes_no_other_mechanism() {
    let (house, key) = quiet();
    let with = |first: u8| {
        let mut block = [0; 16];
        block[0] = first;
        let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ctr(Ctr { counter_bits: 128, block })).into();
        Encrypt { key: ObjectRef::from(&key), how }
    };
    let encrypt = |last, first| {
        let (decided, begun) = after(&house, last, &house.user, with(first));
        let (mut running, mut out) = (begun.unwrap(), [0; 16]);
        running.finish(&[0; 16], |cipher| cipher.finish(&[0; 16], &mut out)).unwrap();
        (decided, out, running.precedent())
    };
    let (_, one, last) = encrypt(None, 1);
    let (decided, two, _) = encrypt(last, 2);
    assert!(!decided);
    assert_ne!(one, two);
    assert_eq!(two, encrypt(None, 2).1);
}

#[test]
fn keys_with_dates_are_held_against_the_calendar_each_time() {
    let (house, _) = quiet();
    let dated = house.key(|draft| draft.end = Some(Date(*b"29990101")));
    assert!(precedent(&house, &dated).is_none());
}

#[test]
fn a_precedent_keeps_no_key_alive() {
    let house = House::new();
    house.policy.silent.store(true, Ordering::SeqCst);
    let draft = house.draft(Storage::Ephemeral);
    let usage = Usage::all_for(KeyType::Aes, crate::key::KeyClass::Secret);
    let draft = Draft { usage, ..draft };
    let key = house.pipeline.perform(&house.user, Import { components: secret(), draft }).unwrap();
    let (last, gone) = (precedent(&house, &key), Arc::downgrade(&key));
    assert!(last.is_some());
    house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    drop(key);
    assert!(gone.upgrade().is_none());
}

#[test]
fn a_precedent_waits_for_a_commit_that_is_under_way() {
    let (house, key) = quiet();
    let last = precedent(&house, &key);
    house.store.odd.store(true, Ordering::SeqCst);
    assert!(decided(&house, last, &key));
}

#[test]
fn an_operation_that_is_admitted_like_another_is_stale_when_that_is() {
    let (house, key) = quiet();
    let last = precedent(&house, &key);
    let (_, begun) = after(&house, last, &house.user, operation(&key));
    let mut signing = begun.unwrap();
    house.disable(&key);
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::KeyState);
}

/// Digests once, and what the next digest may follow.
fn digested(house: &House, caller: &Caller) -> Option<Precedent> {
    let mut digest = house.pipeline.begin(caller, Digest::new(Hash::Sha256)).unwrap();
    let mut out = [0; 32];
    digest.finish(b"abc", |running| running.finish(b"abc", &mut out)).unwrap();
    digest.precedent()
}

#[test]
fn a_digest_follows_one_by_the_same_hash_and_never_the_use_of_a_key() {
    let (house, key) = quiet();
    let next = |last, hash| {
        let (decided, begun) = after(&house, last, &house.user, Digest::new(hash));
        let mut out = [0; 64];
        let mut digest = begun.unwrap();
        let written = digest.finish(b"abc", |running| running.finish(b"abc", &mut out)).unwrap();
        let recorded = house.happened().iter().any(|line| line == "audit digest success");
        (decided, written, recorded)
    };
    assert_eq!(next(digested(&house, &house.user), Hash::Sha256), (false, 32, true));
    assert_eq!(next(digested(&house, &house.user), Hash::Sha512), (true, 64, true));
    assert!(next(precedent(&house, &key), Hash::Sha256).0);
    assert!(decided(&house, digested(&house, &house.user), &key));
    let last = digested(&house, &house.user);
    house.key(|_| ());
    assert!(next(last, Hash::Sha256).0, "the store moved");
    house.policy.silent.store(false, Ordering::SeqCst);
    assert!(digested(&house, &house.user).is_none(), "a policy has a say");
}
