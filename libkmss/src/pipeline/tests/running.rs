//! Operations under way: releasing, abandoning, buffers that are too small, forks.

use super::*;
use crate::policy::Obligation;

#[test]
fn a_signature_is_decided_reserved_computed_recorded_and_only_then_released() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(&[0; 3], |running| running.update(b"abc")).unwrap();
    assert_eq!(signed(&mut signing, b"de").unwrap().len(), 16);
    drop(signing);
    let order = ["policy sign web", "reserve sign", "backend sign", "audit sign success", "settle 5"];
    assert_eq!(house.happened(), order);
    assert_eq!((house.last().bytes, house.last().rule.as_str()), (Some(5), "rule-yes"));
}

#[test]
fn no_signature_is_released_when_its_record_cannot_be_written() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    house.audit.fail(|_| true);
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::AuditUnavailable);
    assert_eq!(house.happened().last().unwrap(), "return");
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::OperationInactive);
}

#[test]
fn an_operation_that_is_dropped_or_cancelled_is_recorded_as_abandoned_and_returns_its_quota() {
    let (house, key) = House::with_key();
    drop(house.sign(&house.user, &key).unwrap());
    assert_eq!(house.last().outcome, Outcome::Abandoned);
    assert_eq!(house.last().reason, "dropped unfinished");
    assert_eq!(house.happened()[3..], ["audit sign abandoned", "return"]);
    house.sign(&house.user, &key).unwrap().cancel().unwrap();
    assert_eq!(house.last().reason, "cancelled by the caller");
    assert_eq!(house.happened()[3..], ["audit sign abandoned", "return"]);
    let unfinished = house.sign(&house.user, &key).unwrap();
    house.audit.fail(|_| true);
    assert_eq!(kind(unfinished.cancel()), ErrorKind::AuditUnavailable);
}

#[test]
fn an_error_ends_the_operation_and_is_recorded_once() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    house.journal.clear();
    let failed: Result<()> = signing.update(&[0; 1], |_| Err(Error::new(ErrorKind::DataLength, "too long")));
    assert_eq!(kind(failed), ErrorKind::DataLength);
    assert_eq!(house.last().outcome, Outcome::Failed(ErrorKind::DataLength));
    assert_eq!(kind(signing.update(&[0; 1], |running| running.update(b"a"))), ErrorKind::OperationInactive);
    drop(signing);
    assert_eq!(house.happened(), ["audit sign failed", "return"]);
}

#[test]
fn a_buffer_that_is_too_small_leaves_the_operation_alive_and_counts_its_bytes_once() {
    let (house, key) = House::with_key();
    house.policy.oblige(&[Obligation::MaximumData(9)]);
    let mut decrypting = house.decrypt(&key);
    let small = || Error::new(ErrorKind::BufferTooSmall, "four bytes are not enough");
    for _ in 0..3 {
        assert_eq!(kind(decrypting.update::<()>(&[0; 3], |_| Err(small()))), ErrorKind::BufferTooSmall);
        assert_eq!(kind(decrypting.produce::<()>(&[0; 3], |_| Err(small()))), ErrorKind::BufferTooSmall);
        assert_eq!(kind(decrypting.finish::<()>(&[0; 3], |_| Err(small()))), ErrorKind::BufferTooSmall);
    }
    decrypting.update(&[0; 3], |_| Ok(())).unwrap();
    decrypting.produce(&[0; 3], |_| Ok(())).unwrap();
    decrypting.finish(&[0; 3], |_| Ok(())).unwrap();
    assert_eq!((house.last().outcome, house.last().bytes), (Outcome::Success, Some(9)));
}

#[test]
fn before_the_first_output_of_an_unfinished_operation_a_record_says_that_it_began() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    for _ in 0..3 {
        let mut out = [0; 16];
        decrypting.produce(&[0; 16], |running| running.update(&[0; 16], &mut out)).unwrap();
    }
    decrypting.finish(&[0; 0], |running| running.finish(&[], &mut [])).unwrap();
    assert_eq!(house.happened()[2..], ["backend decrypt", "audit decrypt begun", "audit decrypt success", "settle 48"]);
    let (begun, end) = (house.audit.notes().iter().rev().nth(1).unwrap().clone(), house.last());
    assert_eq!((begun.outcome, begun.bytes), (Outcome::Begun, Some(16)));
    assert_eq!((end.outcome, end.bytes), (Outcome::Success, Some(48)));
}

#[test]
fn nothing_leaves_when_the_record_that_it_began_cannot_be_written() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    house.audit.fail(|outcome| outcome == Outcome::Begun);
    let mut computed = false;
    let produced = decrypting.produce(&[0; 16], |_| {
        computed = true;
        Ok(())
    });
    assert_eq!(kind(produced), ErrorKind::AuditUnavailable);
    assert!(!computed);
    assert_eq!(kind(decrypting.finish(&[0; 0], |_| Ok(()))), ErrorKind::OperationInactive);
}

#[test]
fn output_that_left_is_paid_for_even_when_the_operation_is_abandoned() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    drop(decrypting);
    assert_eq!(house.happened()[3..], ["audit decrypt begun", "audit decrypt abandoned", "settle 16"]);
}

#[test]
fn data_beyond_what_the_policy_admits_is_refused_before_it_is_processed() {
    let (house, key) = House::with_key();
    house.policy.oblige(&[Obligation::MaximumData(7), Obligation::MaximumData(5), Obligation::AuditTag("card".into())]);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(&[0; 5], |running| running.update(b"abcde")).unwrap();
    let mut reached = false;
    let refused = signing.update(&[0; 1], |_| {
        reached = true;
        Ok(())
    });
    assert_eq!((kind(refused), reached), (ErrorKind::Denied, false));
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Denied));
    assert_eq!(house.last().tags, ["card"]);
    assert_eq!(house.last().duties, ["at most 7 bytes", "at most 5 bytes"]);
    assert_eq!(kind(signing.finish(&[0; 0], |_| Ok(()))), ErrorKind::OperationInactive);
}

#[test]
fn a_forked_child_cannot_go_on_with_an_operation_and_records_nothing_of_it() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    let records = house.audit.notes().len();
    let child = crate::os::testing::fork(|| {
        let inactive = kind(signed(&mut signing, b"abc")) == ErrorKind::OperationInactive;
        drop(house.sign(&house.user, &key));
        // Its own is recorded as abandoned, the parent's is not.
        inactive && house.audit.notes().len() == records + 1
    });
    assert!(crate::os::testing::ended_well(child));
    assert!(signed(&mut signing, b"abc").is_ok());
}
