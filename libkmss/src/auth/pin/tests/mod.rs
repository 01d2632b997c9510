#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attempts;
mod doubles;
mod hostile;
mod rotation;

use super::*;
use crate::suite::Suite;
use doubles::{Bench, PIN, SO_PIN, SystemRandom, namespace, pin};

impl Bench {
    fn login(&self, user: &str, bytes: &[u8]) -> Result<Authenticated> {
        self.auth.authenticate(&self.namespace, &Credential::UserPin { name: user, pin: &pin(bytes) })
    }

    fn officer_login(&self, bytes: &[u8]) -> Result<Authenticated> {
        self.auth.authenticate(&self.namespace, &Credential::OfficerPin(&pin(bytes)))
    }

    fn officer(&self) -> Arc<RewrapToken> {
        self.officer_login(SO_PIN).unwrap().rewrap.unwrap()
    }

    fn private(&self, user: &str, bytes: &[u8]) -> Arc<DomainKey> {
        self.login(user, bytes).unwrap().private.unwrap()
    }

    fn state(&self) -> CredentialState {
        self.auth.state(&self.namespace, Holder::DEFAULT_USER).unwrap()
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// Whether both hold the same key.
fn same(one: &DomainKey, other: &DomainKey) -> bool {
    opens(other, &sealed(one))
}

fn sealed(key: &DomainKey) -> Vec<u8> {
    key.seal_material(&SystemRandom, b"probe", &Secret::copy_of(b"text")).unwrap()
}

fn opens(key: &DomainKey, sealed: &[u8]) -> bool {
    key.open_material(b"probe", sealed).is_ok()
}

#[test]
fn a_user_gets_the_private_domain_key_and_the_officer_does_not() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = Bench::new(suite, PinConfig::default());
        bench.give("user", PIN);
        let user = bench.login("user", PIN).unwrap();
        assert_eq!(user.login, Login::User("user".into()));
        assert!(user.rewrap.is_none());
        assert_eq!(user.private.as_ref().unwrap().suite(), suite);
        assert!(same(&user.private.unwrap(), &bench.private("user", PIN)));
        let officer = bench.officer_login(SO_PIN).unwrap();
        assert_eq!(officer.login, Login::SecurityOfficer);
        assert!(officer.private.is_none() && officer.rewrap.is_some());
        assert!(!format!("{officer:?}").contains("secret"));
    }
}

#[test]
fn a_pin_set_by_the_officer_opens_the_same_private_domain_key() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = Bench::new(suite, PinConfig::default());
        bench.give("user", PIN);
        let before = bench.private("user", PIN);
        bench.give("user", b"another pin");
        assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinIncorrect);
        assert!(same(&before, &bench.private("user", b"another pin")));
        bench.give("second", b"second pin");
        assert!(same(&before, &bench.private("second", b"second pin")));
        assert!(same(&before, &bench.private("user", b"another pin")));
    }
}

#[test]
fn public_and_private_domain_keys_differ_and_the_public_one_needs_no_pin() {
    let bench = Bench::with_user();
    let public = bench.auth.public_domain_key(&bench.namespace).unwrap();
    assert!(same(&public, &bench.auth.public_domain_key(&bench.namespace).unwrap()));
    assert!(!same(&public, &bench.private("user", PIN)));
    assert_eq!(kind(bench.auth.public_domain_key(&namespace(2))), ErrorKind::NotFound);
}

#[test]
fn users_and_officer_change_their_own_pins_and_keep_their_keys() {
    let bench = Bench::with_user();
    let before = bench.private("user", PIN);
    bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(PIN), &pin(b"next pin")).unwrap();
    assert!(same(&before, &bench.private("user", b"next pin")));
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinIncorrect);
    bench.auth.change_pin(&bench.namespace, Holder::Officer, &pin(SO_PIN), &pin(b"next so pin")).unwrap();
    assert_eq!(kind(bench.officer_login(SO_PIN)), ErrorKind::PinIncorrect);
    let officer = bench.officer_login(b"next so pin").unwrap().rewrap.unwrap();
    bench.auth.set_user_pin(&bench.namespace, &officer, "user", &pin(b"third pin")).unwrap();
    assert!(same(&before, &bench.private("user", b"third pin")));
}

#[test]
fn changing_a_pin_with_a_wrong_old_one_counts_and_with_an_impossible_new_one_does_not() {
    let bench = Bench::with_user();
    let change = |old: &[u8], new: &[u8]| {
        kind(bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(old), &pin(new)))
    };
    assert_eq!(change(b"wrong", b"next pin"), ErrorKind::PinIncorrect);
    assert_eq!(bench.state().failures, 1);
    for impossible in [&b"123"[..], b"", &[b'1'; 256]] {
        assert_eq!(change(PIN, impossible), ErrorKind::PinInvalid);
    }
    assert_eq!(bench.state().failures, 1);
    bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(PIN), &pin(&[0xff; 255])).unwrap();
    assert_eq!(bench.state().failures, 0);
    bench.login("user", &[0xff; 255]).unwrap();
}

#[test]
fn pins_shorter_than_the_setting_are_refused_everywhere() {
    let bench = Bench::new(Suite::Nist, PinConfig { min_length: 9, ..PinConfig::default() });
    let short = pin(b"12345678");
    assert_eq!(kind(bench.auth.initialize(&namespace(2), &short)), ErrorKind::PinInvalid);
    let officer = bench.officer();
    assert_eq!(kind(bench.auth.set_user_pin(&bench.namespace, &officer, "user", &short)), ErrorKind::PinInvalid);
}

#[test]
fn a_default_user_without_a_pin_is_told_so_and_other_unknown_users_are_not() {
    let bench = Bench::new(Suite::Nist, PinConfig::default());
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinNotInitialized);
    assert_eq!(bench.state(), CredentialState::default());
    assert_eq!(kind(bench.login("mallory", PIN)), ErrorKind::PinIncorrect);
    assert_eq!(kind(bench.login("", PIN)), ErrorKind::PinIncorrect);
}

#[test]
fn an_unknown_user_looks_like_a_wrong_pin_and_costs_as_much() {
    let bench = Bench::with_user();
    let attempt = |user: &str| {
        let commits = bench.store.commits();
        let error = bench.login(user, b"wrong").unwrap_err();
        (error.kind(), error.to_string(), bench.store.commits() - commits)
    };
    assert_eq!(attempt("user"), attempt("nobody-of-that-name"));
    assert_eq!(attempt("user").2, 2);
}

#[test]
fn users_are_listed_and_removed_by_name() {
    let bench = Bench::with_user();
    bench.give("zoë", b"zoe's pin");
    bench.give("alice", b"alice's pin");
    assert_eq!(bench.auth.users(&bench.namespace).unwrap(), ["alice", "user", "zoë"]);
    bench.auth.remove_user(&bench.namespace, &bench.officer(), "user").unwrap();
    assert_eq!(bench.auth.users(&bench.namespace).unwrap(), ["alice", "zoë"]);
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::PinNotInitialized);
    bench.login("zoë", b"zoe's pin").unwrap();
    assert_eq!(kind(bench.auth.remove_user(&bench.namespace, &bench.officer(), "user")), ErrorKind::NotFound);
    assert_eq!(kind(bench.auth.unlock(&bench.namespace, &bench.officer(), "user")), ErrorKind::NotFound);
}

#[test]
fn names_that_could_be_taken_for_another_login_are_refused() {
    let bench = Bench::with_user();
    let officer = bench.officer();
    for name in ["", "so", "none", "a\nb", &"x".repeat(129)] {
        let set = bench.auth.set_user_pin(&bench.namespace, &officer, name, &pin(PIN));
        assert_eq!(kind(set), ErrorKind::Arguments, "{name:?}");
    }
}

#[test]
fn initialising_anew_ends_everything_from_before() {
    let bench = Bench::with_user();
    let (officer, private) = (bench.officer(), bench.private("user", PIN));
    let public = bench.auth.public_domain_key(&bench.namespace).unwrap();
    let (sealed_public, sealed_private) = (sealed(&public), sealed(&private));
    let again = Namespace { incarnation: 2, ..bench.namespace.clone() };
    bench.auth.initialize(&again, &pin(b"new so pin")).unwrap();

    assert_eq!(kind(bench.auth.public_domain_key(&bench.namespace)), ErrorKind::Conflict);
    assert!(!opens(&bench.auth.public_domain_key(&again).unwrap(), &sealed_public));
    let refused = public.seal_material(&SystemRandom, b"probe", &Secret::copy_of(b"text"));
    assert_eq!(kind(refused), ErrorKind::Conflict);
    assert_eq!(bench.auth.users(&again).unwrap(), Vec::<String>::new());
    assert_eq!(kind(bench.auth.set_user_pin(&again, &officer, "user", &pin(PIN))), ErrorKind::NotLoggedIn);
    assert_eq!(kind(bench.auth.remove_user(&again, &officer, "user")), ErrorKind::NotLoggedIn);

    let login = bench.auth.authenticate(&again, &Credential::OfficerPin(&pin(b"new so pin"))).unwrap();
    bench.auth.set_user_pin(&again, &login.rewrap.unwrap(), "user", &pin(PIN)).unwrap();
    let user = bench.auth.authenticate(&again, &Credential::UserPin { name: "user", pin: &pin(PIN) }).unwrap();
    assert!(!opens(&user.private.unwrap(), &sealed_private));
}

#[test]
fn an_officer_of_one_namespace_has_no_say_in_another() {
    let bench = Bench::with_user();
    let other = namespace(2);
    bench.auth.initialize(&other, &pin(SO_PIN)).unwrap();
    assert_eq!(kind(bench.auth.set_user_pin(&other, &bench.officer(), "user", &pin(PIN))), ErrorKind::NotLoggedIn);
    assert_eq!(kind(bench.auth.unlock(&other, &bench.officer(), "user")), ErrorKind::NotLoggedIn);
}

#[test]
fn a_namespace_that_is_removed_leaves_nothing() {
    let bench = Bench::with_user();
    let batch = bench.auth.prepare_remove(&bench.namespace).unwrap();
    assert!(batch.invalidates);
    let _ = bench.store.commit(&batch).unwrap();
    assert!(bench.store.snapshot().is_empty());
}

#[test]
fn a_namespace_whose_domain_key_is_rotated_meanwhile_is_not_removed() {
    let bench = Bench::with_user();
    let batch = bench.auth.prepare_remove(&bench.namespace).unwrap();
    bench.auth.rotate(&bench.namespace, &bench.officer(), crate::clock::Timestamp(1), None).unwrap();
    assert_eq!(bench.store.commit(&batch).unwrap(), Commit::Conflict);
    let batch = bench.auth.prepare_remove(&bench.namespace).unwrap();
    assert!(matches!(bench.store.commit(&batch).unwrap(), Commit::Committed(_)));
}

#[test]
fn a_namespace_with_many_users_can_be_initialised_anew_and_removed() {
    let bench = Bench::new(Suite::Nist, PinConfig::default());
    let officer = bench.officer();
    let users = Batch::MAX_OPS + 8;
    for n in 0..users {
        bench.auth.set_user_pin(&bench.namespace, &officer, &format!("user{n}"), &pin(PIN)).unwrap();
    }
    let again = Namespace { incarnation: 2, ..bench.namespace.clone() };
    let renewal = bench.auth.prepare_initialize(&again, (&pin(SO_PIN), None), (None, Vec::new())).unwrap();
    // With the namespace's own record, the marker of its end and what else comes to it.
    assert!(renewal.ops.len() + 8 <= Batch::MAX_OPS, "{}", renewal.ops.len());
    assert!(matches!(bench.store.commit(&renewal).unwrap(), Commit::Committed(_)));
    assert!(bench.auth.users(&again).unwrap().is_empty());

    let login = bench.auth.authenticate(&again, &Credential::OfficerPin(&pin(SO_PIN))).unwrap();
    bench.auth.set_user_pin(&again, &login.rewrap.unwrap(), "user", &pin(PIN)).unwrap();
    assert_eq!(bench.auth.users(&again).unwrap(), ["user"]);
    // Domain key, officer, decoy and user: what was left behind is gone.
    assert_eq!(bench.store.snapshot().len(), 4);
    assert!(bench.auth.prepare_remove(&again).unwrap().ops.len() <= Batch::MAX_OPS / 2 + 1);
}

#[test]
fn of_two_who_initialise_at_once_one_is_told_so() {
    let bench = Bench::with_user();
    let one = bench.auth.prepare_initialize(&bench.namespace, (&pin(SO_PIN), None), (None, Vec::new())).unwrap();
    let other = bench.auth.prepare_initialize(&bench.namespace, (&pin(SO_PIN), None), (None, Vec::new())).unwrap();
    assert!(matches!(bench.store.commit(&one).unwrap(), Commit::Committed(_)));
    assert_eq!(bench.store.commit(&other).unwrap(), Commit::Conflict);
    bench.officer();
}

#[test]
fn changes_of_credentials_invalidate_and_counters_do_not() {
    let bench = Bench::with_user();
    let mut seen = bench.store.commits();
    let mut flags = || {
        let log = bench.store.log.lock().unwrap();
        let new = log[seen..].iter().map(|batch| batch.invalidates).collect::<Vec<_>>();
        seen = log.len();
        new
    };
    bench.login("user", PIN).unwrap();
    bench.login("user", b"wrong").unwrap_err();
    assert_eq!(flags(), [false; 4]);
    bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(PIN), &pin(b"next")).unwrap();
    assert_eq!(flags(), [false, true]);
    let officer = bench.officer();
    flags();
    bench.auth.set_user_pin(&bench.namespace, &officer, "user", &pin(PIN)).unwrap();
    bench.auth.unlock(&bench.namespace, &officer, "user").unwrap();
    bench.auth.remove_user(&bench.namespace, &officer, "user").unwrap();
    bench.auth.initialize(&bench.namespace, &pin(SO_PIN)).unwrap();
    assert_eq!(flags(), [true; 4]);
}

#[test]
fn an_officer_who_manages_objects_shows_the_pin_for_it_and_is_counted() {
    let bench = Bench::with_user();
    let managed = bench.auth.administer(&bench.namespace, &pin(SO_PIN)).unwrap();
    assert!(same(&managed, &bench.private("user", PIN)));
    assert_eq!(kind(bench.auth.administer(&bench.namespace, &pin(PIN))), ErrorKind::PinIncorrect);
    assert_eq!(bench.auth.state(&bench.namespace, Holder::Officer).unwrap().failures, 1);
}

#[test]
fn roles_come_with_the_login_and_survive_new_pins() {
    let bench = Bench::new(Suite::Nist, PinConfig::default());
    bench.give("alice", PIN);
    let appoint = |user: &str, roles: &[&str]| {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        bench.auth.set_roles(&bench.namespace, &bench.officer(), user, &roles)
    };
    assert!(bench.login("alice", PIN).unwrap().roles.is_empty());
    appoint("alice", &["custodian", "auditor"]).unwrap();
    assert_eq!(bench.login("alice", PIN).unwrap().roles, ["custodian", "auditor"]);
    bench.give("alice", b"another pin");
    let holder = Holder::User("alice");
    bench.auth.change_pin(&bench.namespace, holder, &pin(b"another pin"), &pin(PIN)).unwrap();
    assert_eq!(bench.login("alice", PIN).unwrap().roles, ["custodian", "auditor"]);
    appoint("alice", &[]).unwrap();
    assert!(bench.auth.roles(&bench.namespace, "alice").unwrap().is_empty());
    assert_eq!(kind(appoint("nobody", &["custodian"])), ErrorKind::NotFound);
    assert_eq!(kind(appoint("user", &["custodian"])), ErrorKind::Arguments);
    assert_eq!(kind(appoint("alice", &["Custodian"])), ErrorKind::Arguments);
    assert_eq!(kind(appoint("alice", &["auditor", "system-administrator"])), ErrorKind::Arguments);
}
