//! Archives of a tenant: while others work, interrupted, and by whom.

use std::io::{self, Read, Write};

use super::*;
use libkmss::backup::{ArchiveHeader, ArchiveKey, combine};
use libkmss::clock::Timestamp;
use libkmss::kms::{Backup, BackupPlan, NamespaceFate, RestorePlan, RestoreReport, RuleOutcome};
use libkmss::operation::{Destroy, Rename};
use libkmss::rules::{KeyRule, RuleScope};
use libkmss::tenant::NamespaceId;

/// Keys that make an archive longer than a chunk.
const MANY: usize = 70;

/// What an archive is written to; something happens when its second chunk comes.
struct Disturbed<'a> {
    bytes: Vec<u8>,
    writes: usize,
    then: Option<Box<dyn FnOnce() + 'a>>,
}

impl<'a> Disturbed<'a> {
    fn by(then: impl FnOnce() + 'a) -> Self {
        Self { bytes: Vec::new(), writes: 0, then: Some(Box::new(then)) }
    }
}

impl Write for Disturbed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        // The header, and the first chunk.
        if self.writes == 2 {
            self.then.take().unwrap()();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that breaks off.
struct Broken(io::Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("the medium was taken out")),
            count => Ok(count),
        }
    }
}

fn back_up(kms: &Kms, out: &mut dyn Write) -> Result<Backup> {
    let custodians = ["ann".to_owned(), "bob".to_owned()];
    let plan = BackupPlan { tenant: "default", custodians: &custodians, needed: 2 };
    kms.back_up(&kms.administrator(None).unwrap(), &plan, out, &mut |_| ())
}

fn key_of(archive: &[u8], backup: &Backup) -> ArchiveKey {
    combine(&ArchiveHeader::read(&mut &*archive).unwrap(), &backup.shares).unwrap()
}

fn restore(kms: &Kms, archive: &[u8], backup: &Backup) -> Result<RestoreReport> {
    let mut reopen = || Ok(Box::new(io::Cursor::new(archive.to_vec())) as Box<dyn Read>);
    let caller = kms.administrator(None).unwrap();
    kms.restore(&caller, &key_of(archive, backup), &mut reopen, RestorePlan::default(), &mut |_| ())
}

/// An empty home.
fn empty(suite: Suite) -> (tempfile::TempDir, Kms) {
    let dir = tempfile::tempdir().unwrap();
    let kms = Kms::create(&config(dir.path(), suite), None).unwrap();
    (dir, kms)
}

fn enter(kms: &Kms) -> Caller {
    let namespace = kms.namespaces().unwrap().into_iter().next().unwrap();
    let caller = kms.enter(&namespace, 1).unwrap();
    kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin(PIN) }).unwrap()
}

fn has(kms: &Kms, caller: &Caller, name: &str) -> bool {
    kms.key(caller, name, KeyClass::Secret).unwrap().is_some()
}

fn is_whole(kms: &Kms, caller: &Caller) {
    let report = kms.check_store(std::slice::from_ref(caller), &mut |_, _| ()).unwrap();
    assert!(report.findings.is_empty() && report.errors.is_empty(), "{report:?}");
}

#[test]
fn what_others_change_while_an_archive_is_written_is_in_it_as_it_was_at_one_moment() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let keys: Vec<_> = (0..MANY).map(|n| flat.aes(&user, Storage::Stored, &format!("k{n}"))).collect();
        let mac = sign(&flat.kms, &user, &keys[3], b"data").unwrap();
        let mut out = Disturbed::by(|| {
            for key in &keys[..3] {
                flat.kms.perform(&user, Destroy { object: ObjectRef::from(key) }).unwrap();
            }
            flat.kms.perform(&user, Rename { key: ObjectRef::from(&keys[3]), name: "called".into() }).unwrap();
            flat.aes(&user, Storage::Stored, "late");
            flat.kms.set_user_pin(&flat.officer(), "ann", &pin(b"ann-12345")).unwrap();
        });
        let backup = back_up(&flat.kms, &mut out).unwrap();
        assert!(out.then.is_none(), "the archive has one chunk only");
        let (_dir, other) = empty(suite);
        let report = restore(&other, &out.bytes, &backup).unwrap();
        assert_eq!(report.namespaces[0].fate, NamespaceFate::Restored);
        assert_eq!(report.namespaces[0].objects, MANY as u64 - 2);
        let user = enter(&other);
        for (name, there) in
            [("k0", false), ("k2", false), ("k3", false), ("called", true), ("k4", true), ("late", true)]
        {
            assert_eq!(has(&other, &user, name), there, "{name}");
        }
        let same = other.key(&user, "called", KeyClass::Secret).unwrap().unwrap();
        assert_eq!(sign(&other, &user, &same, b"data").unwrap(), mac);
        let ann = Credential::UserPin { name: "ann", pin: &pin(b"ann-12345") };
        other.login(&other.enter(&user.namespace, 1).unwrap(), &ann).unwrap();
        is_whole(&other, &user);
    }
}

#[test]
fn an_archive_during_which_a_namespace_comes_or_goes_is_refused() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    for n in 0..MANY {
        flat.aes(&user, Storage::Stored, &format!("k{n}"));
    }
    let mut out = Disturbed::by(|| drop(flat.kms.initialize(None, "more", &pin(SO_PIN)).unwrap()));
    assert_eq!(kind(back_up(&flat.kms, &mut out)), ErrorKind::Conflict);
    let mut again = Vec::new();
    let backup = back_up(&flat.kms, &mut again).unwrap();
    assert_eq!((backup.namespaces, backup.epoch), (2, 2));
}

#[test]
fn a_restore_that_breaks_off_shows_nothing_and_what_it_left_is_not_in_the_next() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let keys: Vec<_> = (0..MANY).map(|n| flat.aes(&user, Storage::Stored, &format!("k{n}"))).collect();
    let mut first = Vec::new();
    let one = back_up(&flat.kms, &mut first).unwrap();
    for key in &keys[..60] {
        flat.kms.perform(&user, Destroy { object: ObjectRef::from(key) }).unwrap();
    }
    let mut second = Vec::new();
    let two = back_up(&flat.kms, &mut second).unwrap();
    let (_dir, other) = empty(Suite::Nist);
    // The second reading ends in the middle, after some hundred records were written.
    let mut readings = 0;
    let mut reopen = || {
        readings += 1;
        let part = if readings == 1 { first.clone() } else { first[..first.len() * 2 / 3].to_vec() };
        Ok(match readings {
            1 => Box::new(io::Cursor::new(part)) as Box<dyn Read>,
            _ => Box::new(Broken(io::Cursor::new(part))),
        })
    };
    let caller = other.administrator(None).unwrap();
    let key = key_of(&first, &one);
    let broken = other.restore(&caller, &key, &mut reopen, RestorePlan::default(), &mut |_| ());
    assert_eq!(kind(broken), ErrorKind::Storage);
    assert!(other.namespaces().unwrap().is_empty());
    restore(&other, &second, &two).unwrap();
    let user = enter(&other);
    assert!(!has(&other, &user, "k0") && has(&other, &user, "k69"));
    is_whole(&other, &user);
    // Nothing older from here on.
    assert_eq!(kind(restore(&other, &first, &one)), ErrorKind::Denied);
}

fn rule(namespace: Option<NamespaceId>, types: &str) -> KeyRule {
    let tenant = namespace.is_none().then(|| "default".to_owned());
    KeyRule {
        scope: RuleScope { tenant, namespace, service: None },
        types: vec![types.parse().unwrap()],
        preferred: None,
        rotation_days: 0,
        apart: false,
        owner: String::new(),
        by: String::new(),
        set: Timestamp(0),
    }
}

#[test]
fn an_archive_during_which_a_rule_changes_is_refused() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    (0..MANY).for_each(|n| drop(flat.aes(&user, Storage::Stored, &format!("k{n}"))));
    let admin = flat.kms.administrator(None).unwrap();
    let mut out = Disturbed::by(|| drop(flat.kms.set_key_rule(&admin, rule(None, "aes")).unwrap()));
    assert_eq!(kind(back_up(&flat.kms, &mut out)), ErrorKind::Conflict);
}

#[test]
fn a_restore_that_breaks_off_leaves_no_rule_and_the_next_brings_all() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    (0..MANY).for_each(|n| drop(flat.aes(&user, Storage::Stored, &format!("k{n}"))));
    let admin = flat.kms.administrator(None).unwrap();
    flat.kms.set_key_rule(&admin, rule(None, "aes")).unwrap();
    flat.kms.set_key_rule(&flat.officer(), rule(Some(flat.namespace.id), "aes:256")).unwrap();
    let before = flat.kms.key_rules().unwrap();
    let mut archive = Vec::new();
    let backup = back_up(&flat.kms, &mut archive).unwrap();
    let (_dir, other) = empty(Suite::Nist);
    let mut readings = 0;
    let mut reopen = || {
        readings += 1;
        let part = if readings == 1 { archive.clone() } else { archive[..archive.len() * 2 / 3].to_vec() };
        Ok(match readings {
            1 => Box::new(io::Cursor::new(part)) as Box<dyn Read>,
            _ => Box::new(Broken(io::Cursor::new(part))),
        })
    };
    let (caller, key) = (other.administrator(None).unwrap(), key_of(&archive, &backup));
    let broken = other.restore(&caller, &key, &mut reopen, RestorePlan::default(), &mut |_| ());
    assert_eq!(kind(broken), ErrorKind::Storage);
    assert!(other.key_rules().unwrap().is_empty());
    let report = restore(&other, &archive, &backup).unwrap();
    assert!(report.rules.iter().all(|rule| rule.outcome == RuleOutcome::Restored));
    let after = other.key_rules().unwrap();
    let said = |rules: &[KeyRule]| rules.iter().map(|rule| (rule.scope.clone(), rule.shown())).collect::<Vec<_>>();
    assert_eq!(said(&after), said(&before));
    let again = restore(&other, &archive, &backup).unwrap();
    assert!(again.rules.iter().all(|rule| rule.outcome == RuleOutcome::Away) && !again.is_partial());
}

#[test]
fn a_namespace_that_was_made_anew_or_removed_does_not_come_back() {
    let flat = Flat::new(Suite::Nist);
    flat.aes(&flat.user(), Storage::Stored, "old");
    let mut archive = Vec::new();
    let backup = back_up(&flat.kms, &mut archive).unwrap();
    flat.kms.initialize(Some(&flat.namespace), "flat", &pin(SO_PIN)).unwrap();
    assert_eq!(restore(&flat.kms, &archive, &backup).unwrap().namespaces[0].fate, NamespaceFate::Over);
    let now = flat.kms.namespaces().unwrap().remove(0);
    flat.kms.remove(&flat.kms.enter(&now, 1).unwrap(), &pin(SO_PIN)).unwrap();
    assert_eq!(restore(&flat.kms, &archive, &backup).unwrap().namespaces[0].fate, NamespaceFate::Over);
    assert!(flat.kms.namespaces().unwrap().is_empty());
    // Nor beside another that has its name.
    let (_dir, other) = empty(Suite::Nist);
    other.initialize(None, "flat", &pin(SO_PIN)).unwrap();
    let report = restore(&other, &archive, &backup).unwrap();
    assert_eq!(report.namespaces[0].fate, NamespaceFate::NameTaken);
    assert!(report.is_partial() && other.namespaces().unwrap().len() == 1);
}
