//! Budgets: asked for bytes before these are released, and heard by the audit.

use super::*;
use std::sync::atomic::Ordering;

fn limit(house: &House, bytes: u64) {
    house.quota.most.store(bytes, Ordering::SeqCst);
}

#[test]
fn bytes_beyond_the_budget_are_refused_before_they_are_released() {
    let (house, key) = House::with_key();
    limit(&house, 20);
    let mut decrypting = house.decrypt(&key);
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    let released = std::cell::Cell::new(false);
    let refused = decrypting.produce(&[0; 16], |_| {
        released.set(true);
        Ok(())
    });
    assert_eq!((kind(refused), released.get()), (ErrorKind::QuotaExceeded, false));
    let last = house.last();
    assert_eq!((last.outcome, last.rule.as_str()), (Outcome::Denied(ErrorKind::QuotaExceeded), "quota:bytes"));
    // What had left was used.
    assert!(house.happened().contains(&"settle 32".to_owned()));
}

#[test]
fn data_that_gave_nothing_out_yet_counts_at_the_end_and_is_given_back_where_that_is_refused() {
    let (house, key) = House::with_key();
    limit(&house, 20);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signing.update(&[0; 16], |running| running.update(&[0; 16])).unwrap();
    signing.update(&[0; 16], |running| running.update(&[0; 16])).unwrap();
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::QuotaExceeded);
    assert_eq!(house.happened().last().unwrap(), "return");
    signed(&mut house.sign(&house.user, &key).unwrap(), b"abc").unwrap();
}

#[test]
fn a_result_that_did_not_fit_is_taken_once() {
    let (house, key) = House::with_key();
    limit(&house, 16);
    let mut decrypting = house.decrypt(&key);
    let small = || Err::<(), _>(Error::new(ErrorKind::BufferTooSmall, "small"));
    for _ in 0..3 {
        assert_eq!(kind(decrypting.finish(&[0; 16], |_| small())), ErrorKind::BufferTooSmall);
    }
    decrypting.release(16).unwrap();
    assert!(house.happened().contains(&"settle 16".to_owned()));
}

#[test]
fn what_is_near_is_on_the_record_of_that_operation_alone() {
    let (house, key) = House::with_key();
    house.policy.silent.store(true, Ordering::SeqCst);
    *house.quota.notice.lock().unwrap() = Some("daily");
    let mut signing = house.sign(&house.user, &key).unwrap();
    // A decision that is made anew does not forget it.
    house.key(|_| ());
    signed(&mut signing, b"abc").unwrap();
    assert_eq!(house.last().tags, ["quota-near:daily"]);
    assert!(signing.precedent().is_none());
    let mut last = None;
    for (notice, tags) in [(None, 0), (Some("daily"), 1), (None, 0)] {
        *house.quota.notice.lock().unwrap() = notice;
        let next = Sign { key: ObjectRef::from(&key), how: cmac() };
        let mut signing = house.pipeline.begin_after(last, house.pipeline.moment(), &house.user, next).unwrap();
        signed(&mut signing, b"abc").unwrap();
        assert_eq!(house.last().tags.len(), tags);
        last = signing.precedent();
    }
}

#[test]
fn a_wrong_ciphertext_counts_and_neither_a_device_that_is_away_nor_what_makes_something_does() {
    let (house, key) = House::with_key();
    for (why, end) in [(ErrorKind::EncryptedDataInvalid, "settle 16"), (ErrorKind::BackendUnavailable, "return")] {
        let mut decrypting = house.decrypt(&key);
        let failed = decrypting.finish(&[0; 16], |_| Err::<(), _>(Error::new(why, "no")));
        assert_eq!((kind(failed), house.happened().last().map(String::as_str)), (why, Some(end)));
    }
    let mut signing = house.sign(&house.user, &key).unwrap();
    let failed = signing.finish(&[0; 16], |_| Err::<(), _>(Error::new(ErrorKind::DataLength, "no")));
    assert_eq!((kind(failed), house.happened().last().map(String::as_str)), (ErrorKind::DataLength, Some("return")));
}
