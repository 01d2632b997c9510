#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::os::testing::{ended_well, fork};

struct Fixed;

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(7);
        Ok(())
    }
}

fn rates(dir: &tempfile::TempDir) -> Rates {
    let mode = FileMode::of_home(dir.path()).unwrap();
    Rates::new(dir.path().join("rates"), mode, Arc::new(Fixed))
}

const A: RateName<'_> = RateName(&[b"user:a", b"sign"]);
const B: RateName<'_> = RateName(&[b"user:a", b"signx"]);

#[test]
fn no_window_holds_more_than_its_limit_wherever_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let mut admitted = Vec::new();
    for ms in (1_000_000..1_200_000).step_by(37) {
        if rates.take(A, 60, 100, Timestamp(ms)).unwrap().is_some() {
            admitted.push(ms);
        }
    }
    for (n, first) in admitted.iter().enumerate() {
        assert!(admitted.iter().skip(n).take_while(|ms| **ms < first + 60_000).count() <= 100);
    }
    assert!(admitted.len() >= 300, "{} were admitted", admitted.len());
}

#[test]
fn names_are_counted_apart_and_what_is_given_back_can_be_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let now = Timestamp(50_000);
    let taken = rates.take(A, 10, 1, now).unwrap().unwrap();
    assert!(rates.take(A, 10, 1, now).unwrap().is_none());
    assert!(rates.take(B, 10, 1, now).unwrap().is_some());
    assert!(rates.take(A, 20, 1, now).unwrap().is_some());
    rates.give_back(taken);
    assert!(rates.take(A, 10, 1, now).unwrap().is_some());
}

#[test]
fn processes_share_one_budget() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let now = Timestamp(1_000);
    let worker = || (0..50).filter(|_| rates.take(A, 60, 60, now).unwrap().is_some()).count();
    assert!(ended_well(fork(|| worker() == 50)));
    assert_eq!(worker(), 10);
}

#[test]
fn a_child_counts_that_was_forked_while_another_thread_opened_the_file() {
    /// Draws nothing until it is let.
    struct Slow(AtomicBool, AtomicBool);
    impl Random for Slow {
        fn fill(&self, _: &mut [u8]) -> Result<()> {
            self.0.store(true, Ordering::SeqCst);
            while !self.1.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let slow = Arc::new(Slow(AtomicBool::new(false), AtomicBool::new(false)));
    let mode = FileMode::of_home(dir.path()).unwrap();
    let rates = Rates::new(dir.path().join("rates"), mode, Arc::clone(&slow) as _);
    let now = Timestamp(1_000);
    let ended = std::thread::scope(|s| {
        let opening = s.spawn(|| rates.count(A, 60, now).unwrap());
        while !slow.0.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        let child = fork(|| {
            slow.1.store(true, Ordering::SeqCst);
            rates.count(A, 60, now).is_ok_and(|count| count == 1)
        });
        let ended = ended_well(child);
        slow.1.store(true, Ordering::SeqCst);
        assert_eq!(opening.join().unwrap(), 2);
        ended
    });
    assert!(ended);
}

#[test]
fn passed_windows_make_room_and_a_full_table_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let names = 0..20 * PLACES as u64;
    let mut full = names.map(|n| rates.count(RateName(&[&n.to_ne_bytes()]), 1, Timestamp(1_000)));
    assert!(full.any(|counted| counted.is_err()));
    assert_eq!(rates.count(A, 1, Timestamp(60_000)).unwrap(), 1);
    assert_eq!(rates.count(A, 1, Timestamp(60_500)).unwrap(), 2);
    assert_eq!(rates.count(A, 1, Timestamp(62_000)).unwrap(), 1);
}

#[test]
fn whoever_counts_in_a_deleted_file_stops_for_good_and_others_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let old = rates(&dir);
    let now = Timestamp(1_000);
    assert_eq!(old.count(A, 60, now).unwrap(), 1);
    std::fs::remove_file(dir.path().join("rates")).unwrap();
    let noticed = (0..=CHECK_EVERY).find_map(|_| old.count(A, 60, now).err());
    assert_eq!(noticed.unwrap().kind(), ErrorKind::HomeUnsafe);
    assert!((0..2 * CHECK_EVERY).all(|_| old.take(A, 60, u32::MAX, now).is_err()));
    assert_eq!(rates(&dir).count(A, 60, now).unwrap(), 1);
}

#[test]
fn a_clock_that_is_set_back_a_little_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    assert!(rates.take(A, 60, 1, Timestamp(1_000_000)).unwrap().is_some());
    assert!(rates.take(A, 60, 1, Timestamp(960_000)).unwrap().is_none());
}

fn draws(rates: &Rates, bucket: Bucket, ms: u64) -> usize {
    let one = || matches!(rates.draw(A, bucket, Timestamp(ms)).unwrap(), Drawn::Some(_));
    std::iter::from_fn(|| one().then_some(())).count()
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate_and_no_more_in_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let bucket = Bucket { per_second: 7, burst: 20 };
    let mut given = Vec::new();
    for ms in (1_000_000..1_030_000).step_by(61) {
        given.extend(std::iter::repeat_n(ms, draws(&rates, bucket, ms)));
    }
    for (n, first) in given.iter().enumerate() {
        for (m, last) in given.iter().enumerate().skip(n) {
            assert!((m - n + 1) as u64 * 1000 <= 20 * 1000 + (last - first) * 7 + 999, "{first} to {last}");
        }
    }
    assert!(given.len() >= 20 + 7 * 29, "{} were given", given.len());
}

#[test]
fn what_is_put_back_into_a_bucket_can_be_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let (bucket, now) = (Bucket { per_second: 1, burst: 1 }, Timestamp(5_000_000));
    let Drawn::Some(draw) = rates.draw(A, bucket, now).unwrap() else { panic!("it was full") };
    assert!(matches!(rates.draw(A, bucket, now).unwrap(), Drawn::Empty(1_000)));
    rates.put_back(draw);
    assert_eq!(draws(&rates, bucket, 5_000_000), 1);
    // What is smaller now, and a clock that was set back: empty, and it fills again.
    assert_eq!(draws(&rates, Bucket { per_second: 1, burst: 9 }, 5_000_000), 8);
    assert_eq!((draws(&rates, bucket, 5_000_000), draws(&rates, bucket, 5_001_000)), (0, 1));
    assert_eq!((draws(&rates, bucket, 1_000_000), draws(&rates, bucket, 1_001_000)), (0, 1));
}

#[test]
fn processes_share_one_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let bucket = Bucket { per_second: 1, burst: 60 };
    let Drawn::Some(_) = rates.draw(A, bucket, Timestamp(1_000)).unwrap() else { panic!("it was full") };
    assert!(ended_well(fork(|| {
        (0..49).all(|_| matches!(rates.draw(A, bucket, Timestamp(1_000)).unwrap(), Drawn::Some(_)))
    })));
    assert_eq!(draws(&rates, bucket, 1_000), 10);
}

#[test]
fn a_place_changes_hands_between_buckets_and_windows() {
    let dir = tempfile::tempdir().unwrap();
    let rates = rates(&dir);
    let bucket = Bucket { per_second: 1, burst: 2 };
    let name = |n: &u32| n.to_be_bytes();
    for round in 1..4_u64 {
        let now = Timestamp(round * 10_000_000);
        let names: Vec<u32> = (0..2_000).collect();
        for n in &names {
            let Drawn::Some(_) = rates.draw(RateName(&[&name(n)]), bucket, now).unwrap() else {
                panic!("{n} is empty")
            };
        }
        let later = Timestamp(now.0 + 12_000);
        for n in &names {
            assert!(rates.take(RateName(&[b"window", &name(n)]), 1, 1, later).unwrap().is_some(), "{n}");
            assert!(rates.take(RateName(&[b"window", &name(n)]), 1, 1, later).unwrap().is_none(), "{n}");
        }
    }
}
