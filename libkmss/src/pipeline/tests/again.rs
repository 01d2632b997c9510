//! Decisions that are made anew before output leaves.

use super::*;
use crate::operation::{Destroy, Update};
use crate::policy::Obligation;
use std::sync::atomic::Ordering;

/// Moves the store's generation without a change to the key.
fn disturb(house: &House) {
    house.key(|_| ());
}

#[test]
fn a_key_that_is_disabled_after_the_start_does_not_finish() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    house.disable(&key);
    house.journal.clear();
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::KeyState);
    assert_eq!(house.happened(), ["policy sign web", "audit sign denied", "return"]);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::KeyState));
}

#[test]
fn a_key_that_is_destroyed_after_the_start_does_not_finish() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::NotFound);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::NotFound));
}

#[test]
fn a_usage_that_is_taken_away_after_the_start_ends_the_operation() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    let mut object = Object::clone(&key);
    let crate::key::Body::Key(changed) = &mut object.body else { panic!() };
    changed.usage.decrypt = false;
    house.pipeline.perform(&house.user, Update { current: ObjectRef::from(&key), object }).unwrap();
    assert_eq!(kind(decrypting.produce(&[0; 16], |_| Ok(()))), ErrorKind::KeyUsage);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::KeyUsage));
}

#[test]
fn a_store_that_moved_asks_the_policy_again_once_and_takes_no_second_reservation() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    disturb(&house);
    house.quota.left.store(0, Ordering::SeqCst);
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    decrypting.finish(&[0; 0], |_| Ok(())).unwrap();
    let order = ["policy decrypt web", "audit decrypt begun", "audit decrypt success", "settle 32"];
    assert_eq!(house.happened(), order);
    assert_eq!(*house.policy.lengths.lock().unwrap().last().unwrap(), Some(16));
}

#[test]
fn a_commit_under_way_makes_every_output_decide_again() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    house.store.odd.store(true, Ordering::SeqCst);
    house.journal.clear();
    decrypting.produce(&[0; 1], |_| Ok(())).unwrap();
    decrypting.produce(&[0; 1], |_| Ok(())).unwrap();
    assert_eq!(house.happened().iter().filter(|line| line.starts_with("policy")).count(), 2);
}

#[test]
fn a_minute_by_either_clock_makes_a_decision_old() {
    for (wall, ticks, again) in
        [(59_999_i64, 59_999, false), (60_000, 0, true), (0, 60_000, true), (-60_000, 0, true), (-3_600_000, 1, true)]
    {
        let (house, key) = House::with_key();
        let mut signing = house.sign(&house.user, &key).unwrap();
        house.clock.wall.fetch_add(wall as u64, Ordering::SeqCst);
        house.clock.ticks.fetch_add(ticks, Ordering::SeqCst);
        house.journal.clear();
        signed(&mut signing, b"abc").unwrap();
        assert_eq!(house.happened().contains(&"policy sign web".to_owned()), again, "{wall} {ticks}");
    }
}

#[test]
fn the_new_decision_has_the_last_word_and_the_record_names_its_rule() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(&[0; 5], |running| running.update(b"abcde")).unwrap();
    house.policy.deny(Action::Sign);
    // Input alone releases nothing.
    disturb(&house);
    signing.update(&[0; 1], |running| running.update(b"f")).unwrap();
    assert_eq!(kind(signed(&mut signing, b"")), ErrorKind::Denied);
    assert_eq!(house.last().rule, "rule-no");
}

#[test]
fn the_new_decision_bounds_what_was_taken_in_already() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(&[0; 5], |running| running.update(b"abcde")).unwrap();
    house.policy.oblige(&[Obligation::MaximumData(4)]);
    disturb(&house);
    assert_eq!(kind(signed(&mut signing, b"")), ErrorKind::Denied);
}

/// A signature that is a part of something.
struct PartOfToken(Sign);

impl Operation for PartOfToken {
    type Running = <Sign as Operation>::Running;

    fn request(&self) -> Request {
        Request { part_of: Some("jws"), ..self.0.request() }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        self.0.start(hall, permit)
    }
}

#[test]
fn what_an_operation_is_a_part_of_is_in_its_record_once_however_often_it_is_decided() {
    let (house, key) = House::with_key();
    let part = || PartOfToken(Sign { key: ObjectRef::from(&key), how: cmac() });
    let mut signing = house.pipeline.begin(&house.user, part()).unwrap();
    signed(&mut signing, b"abc").unwrap();
    assert_eq!(house.last().tags, ["jws"]);
    let mut signing = house.pipeline.begin(&house.user, part()).unwrap();
    for _ in 0..2 {
        disturb(&house);
        signing.produce(&[0; 1], |_| Ok(())).unwrap();
    }
    disturb(&house);
    signed(&mut signing, b"abc").unwrap();
    assert_eq!(house.last().tags, ["jws"]);
    // Nor does a refusal forget it.
    let mut signing = house.pipeline.begin(&house.user, part()).unwrap();
    house.policy.deny(Action::Sign);
    disturb(&house);
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::Denied);
    assert_eq!(house.last().tags, ["jws"]);
}
