//! Session keys: what is counted, what is recorded at once, and when counts are written.

use super::*;
use crate::key::Body;
use crate::operation::{Destroy, Expected, Unwrap, Update, Wrap};
use std::sync::atomic::Ordering;

/// A house and a session key that may do everything.
fn house() -> (House, Arc<Object>) {
    let house = House::new();
    let key = session_key(&house);
    (house, key)
}

fn session_key(house: &House) -> Arc<Object> {
    let mut draft = house.draft(Storage::Ephemeral);
    draft.private = true;
    draft.usage = Usage { derive: true, ..Usage::all_for(KeyType::Aes, crate::key::KeyClass::Secret) };
    draft.protection.extractable = true;
    let key = house.pipeline.perform(&house.user, Import { components: secret(), draft }).unwrap();
    house.journal.clear();
    key
}

fn use_once(house: &House, key: &Arc<Object>) {
    signed(&mut house.sign(&house.user, key).unwrap(), b"abc").unwrap();
}

fn later(house: &House, milliseconds: u64) {
    house.clock.ticks.fetch_add(milliseconds, Ordering::SeqCst);
    house.clock.wall.fetch_add(milliseconds, Ordering::SeqCst);
}

#[test]
fn a_secret_session_key_is_held_and_shared_by_what_is_the_same_object_changed() {
    let (house, key) = house();
    let version = |object: &Arc<Object>| object.key().unwrap().primary().unwrap().clone();
    assert!(version(&key).locator.is_empty() && !version(&key).held.is_empty());
    // Its check value is computed when somebody asks.
    assert!(version(&key).check_value.is_empty());
    assert_eq!(version(&key).check_value().len(), 3);
    use_once(&house, &key);
    let mut changed = Object::clone(&key);
    changed.label = b"another".to_vec();
    let update = Update { current: ObjectRef::from(&key), object: changed };
    let updated = house.pipeline.perform(&house.user, update).unwrap();
    assert_eq!(version(&updated).held, version(&key).held);
    drop(key);
    use_once(&house, &updated);
}

#[test]
fn a_change_cannot_put_another_key_in_the_place_of_a_held_one() {
    let (house, key) = house();
    let other = session_key(&house);
    let mut changed = Object::clone(&key);
    let Body::Key(inner) = &mut changed.body else { panic!("a key") };
    inner.versions[0].held = other.key().unwrap().versions[0].held.clone();
    let update = Update { current: ObjectRef::from(&key), object: changed };
    assert_eq!(kind(house.pipeline.perform(&house.user, update)), ErrorKind::AttributeReadOnly);
}

#[test]
fn making_a_session_key_is_one_record_and_using_it_is_none_until_it_goes() {
    let (house, key) = house();
    assert_eq!((house.audit.notes().len(), house.last().outcome), (1, Outcome::Success));
    for _ in 0..10 {
        use_once(&house, &key);
    }
    assert_eq!((house.audit.notes().len(), house.audit.summaries().len()), (1, 0));
    drop(key);
    assert_eq!(house.audit.summaries(), ["user:test user: 10 sign AES_CMAC success 30 bytes, ended"]);
}

#[test]
fn a_session_key_that_was_never_used_still_has_its_end_recorded() {
    let (house, key) = house();
    drop(key);
    assert_eq!(house.audit.summaries(), ["user:test user: ended"]);
}

#[test]
fn counts_are_written_before_the_result_of_the_first_use_after_a_second() {
    let (house, key) = house();
    use_once(&house, &key);
    later(&house, 999);
    use_once(&house, &key);
    assert_eq!(house.audit.summaries().len(), 0);
    later(&house, 1);
    use_once(&house, &key);
    assert_eq!(house.audit.summaries(), ["user:test user: 3 sign AES_CMAC success 9 bytes"]);
    assert_eq!(house.happened()[8..], ["policy sign ", "reserve sign", "backend sign", "audit summary", "settle 3"]);
    later(&house, 5_000);
    use_once(&house, &key);
    assert_eq!(house.audit.summaries()[1], "user:test user: 1 sign AES_CMAC success 3 bytes");
}

#[test]
fn a_result_does_not_leave_when_the_counts_that_are_due_cannot_be_written_and_nothing_is_lost() {
    let (house, key) = house();
    use_once(&house, &key);
    later(&house, 1_000);
    house.audit.fail(|_| true);
    let mut signing = house.sign(&house.user, &key).unwrap();
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::AuditUnavailable);
    assert_eq!(house.happened().last().unwrap(), "return");
    house.audit.fail(|_| false);
    use_once(&house, &key);
    assert_eq!(house.audit.summaries(), ["user:test user: 2 sign AES_CMAC success 6 bytes"]);
}

#[test]
fn refusals_and_failures_are_recorded_at_once() {
    let (house, key) = house();
    house.policy.deny(Action::Sign);
    assert!(house.sign(&house.user, &key).is_err());
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Denied));
    let mut decrypting = house.decrypt(&key);
    let failed: Result<()> = decrypting.finish(&[0; 1], |_| Err(Error::new(ErrorKind::EncryptedDataInvalid, "no")));
    assert!(failed.is_err());
    assert_eq!(house.last().outcome, Outcome::Failed(ErrorKind::EncryptedDataInvalid));
    assert!(house.audit.summaries().is_empty());
}

#[test]
fn what_a_policy_wants_tagged_is_recorded_at_once() {
    let (house, key) = house();
    house.policy.oblige(&[crate::policy::Obligation::AuditTag("card".into())]);
    use_once(&house, &key);
    assert_eq!((house.last().action, house.last().tags), (Action::Sign, vec!["card".to_owned()]));
}

#[test]
fn each_kind_of_use_has_its_own_count() {
    let (house, key) = house();
    use_once(&house, &key);
    let mut decrypting = house.decrypt(&key);
    decrypting.produce(&[0; 16], |running| running.update(&[0; 16], &mut [0; 16])).unwrap();
    decrypting.finish(&[0; 0], |running| running.finish(&[], &mut [])).unwrap();
    drop(house.decrypt(&key));
    let public = house.user.with(|parts| parts.login = Login::User("other".into()));
    signed(&mut house.sign(&public, &key).unwrap(), b"abc").unwrap();
    drop((key, decrypting));
    let counts = "1 sign AES_CMAC success 3 bytes, 1 decrypt AES_CTR begun 16 bytes, \
                  1 decrypt AES_CTR success 16 bytes, 1 decrypt AES_CTR abandoned 0 bytes";
    assert_eq!(
        house.audit.summaries(),
        [format!("user:test user: {counts}"), "user:test other: 1 sign AES_CMAC success 3 bytes, ended".to_owned()]
    );
}

#[test]
fn destroying_a_session_key_is_the_last_thing_that_is_counted_and_announced_by_nothing() {
    let (house, key) = house();
    use_once(&house, &key);
    house.journal.clear();
    house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    let order = ["policy destroy ", "reserve destroy", "backend destroy", "audit summary", "settle 0"];
    assert_eq!(house.happened(), order);
    drop(key);
    let counts = "1 sign AES_CMAC success 3 bytes, 1 destroy  success 0 bytes";
    assert_eq!(house.audit.summaries(), [format!("user:test user: {counts}, ended")]);
}

#[test]
fn a_session_key_whose_last_record_cannot_be_written_is_not_destroyed_and_counts_that_once() {
    let (house, key) = house();
    let destroy = || house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) });
    house.audit.fail(|_| true);
    assert_eq!(kind(destroy()), ErrorKind::AuditUnavailable);
    house.audit.fail(|_| false);
    destroy().unwrap();
    assert_eq!(house.audit.summaries(), ["user:test user: 1 destroy  success 0 bytes, ended"]);
}

#[test]
fn what_a_policy_wants_tagged_of_a_destruction_is_recorded_and_the_counts_follow() {
    let (house, key) = house();
    house.policy.oblige(&[crate::policy::Obligation::AuditTag("card".into())]);
    house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    assert_eq!((house.last().action, house.last().tags), (Action::Destroy, vec!["card".to_owned()]));
    drop(key);
    assert_eq!(house.audit.summaries(), ["user:test user: ended"]);
}

#[test]
fn wrapping_one_session_key_with_another_is_counted_and_a_token_key_never() {
    let (house, key) = house();
    let (other, stored) = (session_key(&house), house.key(|_| ()));
    let records = house.audit.notes().len();
    let wrap = |key: &Arc<Object>, by: &Arc<Object>| {
        let wrap = Wrap { wrapping: ObjectRef::from(by), key: ObjectRef::from(key), how: key_wrap() };
        house.pipeline.perform(&house.user, wrap).unwrap();
    };
    wrap(&other, &key);
    assert_eq!(house.audit.notes().len(), records);
    wrap(&stored, &key);
    wrap(&key, &stored);
    assert_eq!(house.audit.notes().len(), records + 2);
    drop(key);
    assert_eq!(house.audit.summaries(), ["user:test user: 1 wrap AES_KEY_WRAP success 0 bytes, ended"]);
}

#[test]
fn a_session_key_made_by_another_is_recorded_and_counted_for_itself() {
    let (house, key) = house();
    let wrap = Wrap { wrapping: ObjectRef::from(&key), key: ObjectRef::from(&key), how: key_wrap() };
    let wrapped = house.pipeline.perform(&house.user, wrap).unwrap();
    let records = house.audit.notes().len();
    let unwrap = Unwrap {
        unwrapping: ObjectRef::from(&key),
        how: key_wrap(),
        wrapped: wrapped.into(),
        expected: Expected { key_type: KeyType::Aes, len: None },
        draft: house.draft(Storage::Ephemeral),
    };
    drop(house.pipeline.perform(&house.user, unwrap).unwrap());
    assert_eq!((house.audit.notes().len(), house.last().action), (records + 1, Action::Unwrap));
    assert_eq!(house.audit.summaries(), ["user:test user: ended"]);
}

#[test]
fn a_setting_records_each_use() {
    let house = House::new();
    house.audit.each.store(true, Ordering::SeqCst);
    let key = session_key(&house);
    use_once(&house, &key);
    use_once(&house, &key);
    assert_eq!(house.audit.notes().len(), 3);
    drop(key);
    assert!(house.audit.summaries().is_empty());
}

#[test]
fn uses_by_many_threads_are_all_counted() {
    let (house, key) = house();
    house.quota.left.store(1_000_000, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..200 {
                    use_once(&house, &key);
                    if round % 50 == 0 {
                        later(&house, 1_000);
                    }
                }
            });
        }
    });
    drop(key);
    let summaries = house.audit.summaries();
    let counted = summaries.iter().map(|line| {
        let count = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
        count.parse().unwrap_or(0)
    });
    assert_eq!(counted.sum::<u64>(), 800);
}

#[test]
fn a_forked_child_counts_for_itself_and_leaves_its_parents_counts_to_the_parent() {
    let (house, key) = house();
    for _ in 0..3 {
        use_once(&house, &key);
    }
    let child = crate::os::testing::fork(|| {
        use_once(&house, &key);
        house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
        let counts = "1 sign AES_CMAC success 3 bytes, 1 destroy  success 0 bytes";
        house.audit.summaries() == [format!("user:test user: {counts}, ended")]
    });
    assert!(crate::os::testing::ended_well(child));
    let idle = crate::os::testing::fork(|| {
        // Dropped unused, it is not the child's to report.
        drop(Arc::clone(&key));
        house.audit.summaries().is_empty()
    });
    assert!(crate::os::testing::ended_well(idle));
    drop(key);
    assert_eq!(house.audit.summaries(), ["user:test user: 3 sign AES_CMAC success 9 bytes, ended"]);
}
