//! Approvals of an operation with its very data, and decisions that wait for its length.

use super::*;
use crate::operation::{Destroy, Wrap};
use crate::policy::Obligation;
use std::sync::atomic::Ordering;

/// SHA-256 of `abc` (FIPS 180-2, appendix B.1), its first four bytes.
const ABC: &str = "ba7816bf";

fn quorum(window: u32) -> Obligation {
    Obligation::Quorum { approvals: 1, role: "custodian".into(), window }
}

fn of_data() -> (House, Arc<Object>) {
    let (house, key) = House::with_key();
    house.policy.oblige(&[quorum(0)]);
    house.policy.approves.store(true, Ordering::SeqCst);
    (house, key)
}

#[test]
fn approvals_of_data_are_spent_at_the_end_and_before_the_last_step_computes() {
    let (house, key) = of_data();
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(b"ab", |running| running.update(b"ab")).unwrap();
    assert_eq!(house.happened(), ["policy sign web", "reserve sign", "backend sign"]);
    let journal = Arc::clone(&house.journal);
    let before = signing.finish(b"c", |_| Ok(journal.take())).unwrap();
    assert_eq!(before, [format!("approve sign of {ABC}")]);
    assert_eq!(house.happened(), ["audit sign success", "settle 3"]);
    assert_eq!(house.last().tags, ["approved-by:user:alice"]);
}

#[test]
fn nothing_is_computed_at_the_end_without_them() {
    let (house, key) = of_data();
    house.policy.approves.store(false, Ordering::SeqCst);
    let mut signing = house.sign(&house.user, &key).unwrap();
    let mut computed = false;
    let refused = signing.finish(b"abc", |_| {
        computed = true;
        Ok(())
    });
    assert_eq!((kind(refused), computed), (ErrorKind::Denied, false));
    assert_eq!(house.last().reason, "nobody approved it");
    assert_eq!(kind(signing.finish(b"abc", |_| Ok(()))), ErrorKind::OperationInactive);
}

#[test]
fn what_did_not_fit_is_spent_for_once_and_other_data_anew() {
    let (house, key) = of_data();
    let small = || Error::new(ErrorKind::BufferTooSmall, "it does not fit");
    let mut decrypting = house.decrypt(&key);
    house.journal.clear();
    for _ in 0..2 {
        assert_eq!(kind(decrypting.finish::<()>(b"abc", |_| Err(small()))), ErrorKind::BufferTooSmall);
    }
    assert_eq!(house.happened(), [format!("approve decrypt of {ABC}")]);
    assert_eq!(kind(decrypting.finish::<()>(b"abd", |_| Err(small()))), ErrorKind::BufferTooSmall);
    assert_eq!(house.happened().len(), 1);
    // What was computed is what was spent for.
    decrypting.release(3).unwrap();
    assert_eq!(house.happened(), ["audit decrypt success", "settle 3"]);
    assert_eq!(house.last().tags, ["approved-by:user:alice"]);
    // Nothing is released that was not.
    let mut decrypting = house.decrypt(&key);
    assert_eq!(kind(decrypting.release(3)), ErrorKind::Denied);
}

#[test]
fn output_before_the_end_and_data_from_elsewhere_are_refused() {
    let (house, key) = of_data();
    let mut decrypting = house.decrypt(&key);
    let mut computed = false;
    let refused = decrypting.produce(b"abc", |_| {
        computed = true;
        Ok(())
    });
    assert_eq!((kind(refused), computed), (ErrorKind::Denied, false));
    assert!(house.last().reason.contains("in one part"));
    let mut signing = house.sign(&house.user, &key).unwrap();
    assert_eq!(kind(signing.resume(|_| Ok(()))), ErrorKind::Denied);
    // Also where the policy came to ask for approvals behind it.
    house.policy.oblige(&[]);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.resume(|_| Ok(())).unwrap();
    let _ = house.key(|_| ());
    house.policy.oblige(&[quorum(0)]);
    assert_eq!(kind(signing.finish(b"abc", |_| Ok(()))), ErrorKind::Denied);
    assert!(house.last().reason.contains("begin it anew"));
}

#[test]
fn what_has_no_data_to_come_is_approved_at_once_and_a_window_at_the_beginning() {
    let (house, key) = of_data();
    let both = || ObjectRef::from(&key);
    house.pipeline.perform(&house.user, Wrap { wrapping: both(), key: both(), how: key_wrap() }).unwrap();
    assert!(house.happened().contains(&"approve wrap and export of nothing".to_owned()));
    house.policy.oblige(&[quorum(60)]);
    let mut signing = house.sign(&house.user, &key).unwrap();
    assert_eq!(house.happened()[2..], ["approve sign of nothing", "backend sign"]);
    signed(&mut signing, b"abc").unwrap();
    assert_eq!(house.happened(), ["audit sign success", "settle 3"]);
    house.policy.oblige(&[quorum(0)]);
    house.pipeline.perform(&house.user, Destroy { object: both() }).unwrap();
    let happened = house.happened();
    assert_eq!(happened[2..4], ["approve destroy of nothing", "audit destroy intent"]);
}

#[test]
fn an_operation_begins_where_some_length_would_do_and_is_held_to_the_length_it_has() {
    for (len, allowed) in [(2, false), (3, true), (4, true)] {
        let (house, key) = House::with_key();
        house.policy.least.store(3, Ordering::SeqCst);
        house.policy.lengths.lock().unwrap().clear();
        let mut signing = house.sign(&house.user, &key).unwrap();
        let done = signed(&mut signing, &vec![1; len]);
        assert_eq!(done.is_ok(), allowed, "{len}");
        assert_eq!(house.last().rule, if allowed { "rule-yes" } else { "rule-no" });
        assert_eq!(*house.policy.lengths.lock().unwrap(), [None, Some(3), Some(len as u64)]);
    }
    let (house, key) = House::with_key();
    house.policy.least.store(3, Ordering::SeqCst);
    house.policy.deny(Action::Sign);
    assert!(house.sign(&house.user, &key).is_err());
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Denied));
}

#[test]
fn what_a_length_may_ask_for_is_prepared_for_and_asked_for_only_then() {
    let (house, key) = of_data();
    house.policy.oblige(&[quorum(0), Obligation::StepUp]);
    house.policy.least.store(3, Ordering::SeqCst);
    let mut signing = house.sign(&house.user, &key).unwrap();
    assert!(signing.takes_confirmation() && !signing.awaits_confirmation());
    signing.update(b"ab", |running| running.update(b"ab")).unwrap();
    assert!(!house.happened().iter().any(|line| line.starts_with("approve")));
    assert_eq!(kind(signing.finish(b"c", |_| Ok(()))), ErrorKind::NotLoggedIn);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.confirm(crate::permit::Confirmation::of(&house.user)).unwrap();
    signing.update(b"ab", |running| running.update(b"ab")).unwrap();
    house.journal.clear();
    signed(&mut signing, b"c").unwrap();
    assert_eq!(house.happened()[1], format!("approve sign of {ABC}"));
}

#[test]
fn an_approval_that_was_just_given_counts_though_the_rough_clock_is_late() {
    let (house, key) = of_data();
    house.clock.late.store(40, Ordering::SeqCst);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signed(&mut signing, b"abc").unwrap();
    assert_eq!(house.policy.asked_at.load(Ordering::SeqCst), house.clock.now().0);
}
