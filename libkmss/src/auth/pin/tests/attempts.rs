//! Counting: nobody gets more guesses than there are, and nobody with the right PIN is kept out by others who have it.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn wrong_pins_lock_and_then_the_right_one_is_refused_too() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 3, ..PinConfig::default() });
    for failures in 1..=3 {
        assert_eq!(kind(bench.login("user", b"wrong")), ErrorKind::PinIncorrect);
        let expected = CredentialState { initialized: true, failures, remaining: 3 - failures };
        assert_eq!(bench.state(), expected);
    }
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinLocked);
    assert_eq!(
        kind(bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(PIN), &pin(b"next"))),
        ErrorKind::PinLocked
    );
    bench.auth.unlock(&bench.namespace, &bench.officer(), "user").unwrap();
    bench.login("user", PIN).unwrap();
}

#[test]
fn a_new_pin_from_the_officer_ends_a_lock_out() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 1, ..PinConfig::default() });
    bench.login("user", b"wrong").unwrap_err();
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinLocked);
    bench.give("user", b"fresh pin");
    bench.login("user", b"fresh pin").unwrap();
}

#[test]
fn the_last_attempt_still_counts_and_success_forgives_the_others() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 3, ..PinConfig::default() });
    for _ in 0..2 {
        bench.login("user", b"wrong").unwrap_err();
    }
    assert_eq!(bench.state().remaining, 1);
    bench.login("user", PIN).unwrap();
    assert_eq!(bench.state().failures, 0);
}

#[test]
fn the_officer_is_counted_like_everybody() {
    let bench = Bench::new(Suite::Nist, PinConfig { max_attempts: 2, ..PinConfig::default() });
    for _ in 0..2 {
        assert_eq!(kind(bench.officer_login(b"wrong")), ErrorKind::PinIncorrect);
    }
    assert_eq!(kind(bench.officer_login(SO_PIN)), ErrorKind::PinLocked);
    assert_eq!(bench.auth.state(&bench.namespace, Holder::Officer).unwrap().remaining, 0);
}

#[test]
fn unknown_users_lock_nobody_out() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 1, ..PinConfig::default() });
    for _ in 0..3 {
        assert_eq!(kind(bench.login("mallory", b"wrong")), ErrorKind::PinIncorrect);
    }
    assert_eq!(bench.state().failures, 0);
    bench.login("user", PIN).unwrap();
}

#[test]
fn concurrent_guessing_never_gets_more_guesses_than_the_limit() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 5, ..PinConfig::default() });
    let kinds: Vec<ErrorKind> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let bench = &bench;
                s.spawn(move || kind(bench.login("user", format!("guess {n}").as_bytes())))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(kinds.iter().filter(|k| **k == ErrorKind::PinIncorrect).count(), 5, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|k| **k == ErrorKind::PinLocked).count(), 11, "{kinds:?}");
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinLocked);
}

#[test]
fn many_workers_with_the_right_pin_do_not_lock_each_other_out() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 2, ..PinConfig::default() });
    std::thread::scope(|s| {
        for _ in 0..12 {
            s.spawn(|| bench.login("user", PIN).unwrap());
        }
    });
    assert_eq!(bench.state().failures, 0);
}

#[test]
fn an_attempt_is_durable_before_the_pin_is_looked_at() {
    let bench = Bench::with_user();
    // The process dies after the count: the conclusion is never written.
    bench.store.commits_left.store(1, Ordering::SeqCst);
    assert_eq!(kind(bench.login("user", b"wrong")), ErrorKind::Storage);
    assert_eq!(bench.state().failures, 1);
    // Nothing can be counted: nothing is checked, not even the right PIN.
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::Storage);
    bench.store.commits_left.store(u32::MAX, Ordering::SeqCst);
    bench.login("user", PIN).unwrap();
    assert_eq!(bench.state().failures, 0);
}

#[test]
fn attempts_of_processes_that_died_count_as_wrong_in_the_end() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 1, ..PinConfig::default() });
    bench.store.commits_left.store(1, Ordering::SeqCst);
    bench.login("user", b"wrong").unwrap_err();
    bench.store.commits_left.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinLocked);
}

#[test]
fn an_outage_of_the_seal_costs_no_attempt() {
    let bench = Bench::with_user();
    bench.seal.out.store(true, Ordering::SeqCst);
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::BackendUnavailable);
    assert_eq!(bench.state().failures, 0);
    bench.seal.out.store(false, Ordering::SeqCst);
    bench.login("user", PIN).unwrap();
}

#[test]
fn a_credential_keeps_the_limit_it_was_made_with() {
    let bench = Bench::with_user_and(PinConfig { max_attempts: 2, ..PinConfig::default() });
    let generous = PinConfig { max_attempts: 100, ..PinConfig::default() };
    let other = PinAuthenticator::new(bench.store.clone(), bench.seal.clone(), Arc::new(SystemRandom), generous);
    let attempt = || other.authenticate(&bench.namespace, &Credential::UserPin { name: "user", pin: &pin(b"wrong") });
    assert_eq!(
        [kind(attempt()), kind(attempt()), kind(attempt())],
        [ErrorKind::PinIncorrect, ErrorKind::PinIncorrect, ErrorKind::PinLocked]
    );
}

#[test]
fn several_connections_to_one_database_share_the_count_and_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let mode = crate::os::FileMode::of_home(folder.path()).unwrap();
        let clock = Arc::new(crate::clock::SystemClock::default());
        let store = Arc::new(crate::store::SqliteStore::open(folder.path(), mode, clock).unwrap());
        let settings = PinConfig { max_attempts: 3, ..PinConfig::default() };
        let seal = Arc::new(doubles::TestSeal::new(Suite::Gm));
        PinAuthenticator::new(store, seal, Arc::new(SystemRandom), settings)
    };
    let (first, space) = (open(), namespace(1));
    first.initialize(&space, &pin(SO_PIN)).unwrap();
    let officer = first.authenticate(&space, &Credential::OfficerPin(&pin(SO_PIN))).unwrap().rewrap.unwrap();
    first.set_user_pin(&space, &officer, "user", &pin(PIN)).unwrap();
    let others: Vec<PinAuthenticator> = (0..6).map(|_| open()).collect();
    let all = |guess: &[u8]| -> Vec<Result<Authenticated>> {
        std::thread::scope(|s| {
            let login = |auth| {
                let (space, guess) = (&space, pin(guess));
                s.spawn(move || {
                    let auth: &PinAuthenticator = auth;
                    auth.authenticate(space, &Credential::UserPin { name: "user", pin: &guess })
                })
            };
            let threads: Vec<_> = others.iter().map(login).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        })
    };
    let keys: Vec<_> = all(PIN).into_iter().map(|login| login.unwrap().private.unwrap()).collect();
    assert!(keys.iter().all(|key| same(key, &keys[0])));
    let kinds: Vec<ErrorKind> = all(b"wrong").into_iter().map(kind).collect();
    assert_eq!(kinds.iter().filter(|k| **k == ErrorKind::PinIncorrect).count(), 3, "{kinds:?}");
    assert_eq!(
        kind(first.authenticate(&space, &Credential::UserPin { name: "user", pin: &pin(PIN) })),
        ErrorKind::PinLocked
    );
}
