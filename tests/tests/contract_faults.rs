//! A backend that fails: nothing is released, nothing is left behind, and the audit tells.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_contract::faulty::{Fault, Faulty, Switch};
use backend_contract::{Group, run};
use kmss_tests::built;
use kmss_tests::contract::{Lab, OFFICER, all_hold};
use kmss_tests::home::json_items;
use kmss_tests::program::Program;
use libkmss::backend::soft::SoftBackend;
use libkmss::backend::within;
use libkmss::caller::Caller;
use libkmss::catalog::{ObjectKind, Query};
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{Expected, KeyClass, KeySpec, Object, Protection, Storage, Usage};
use libkmss::mechanism::{Curve, EcMechanism, Hash, Hkdf, HkdfSalt, KdfMechanism, KeyType, Mechanism};
use libkmss::operation::{Chosen, Derive, Draft, Find, GeneratePair, GenerateSecret, ObjectRef, Sign};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::tenant::BackendId;

/// A home with the faulty backend, and somebody in its token.
struct Trial {
    lab: Lab,
    caller: Caller,
    switch: Switch,
}

fn lab(switch: &Switch) -> Lab {
    let inner = Arc::new(SoftBackend::new().unwrap());
    Lab::new(|_| {}, vec![Arc::new(Faulty::new("faulty", inner, switch.clone()))])
}

impl Trial {
    fn new() -> Self {
        let switch = Switch::default();
        let lab = lab(&switch);
        let settings = Settings { pinless: true, ..Settings::default() };
        let backend = BackendId("faulty".into());
        let made = lab.kms.initialize_with(None, "trial", &Secret::copy_of(OFFICER), (settings, backend)).unwrap();
        let caller = lab.kms.enter(&made, 1).unwrap();
        Self { lab, caller, switch }
    }

    fn draft(&self, key_type: KeyType, class: KeyClass) -> Draft {
        let mut draft = self.lab.kms.draft(Storage::Stored).unwrap();
        draft.usage = Usage::all_for(key_type, class);
        draft.protection = Protection { sensitive: true, ..Protection::default() };
        draft
    }

    fn pair(&self) -> Result<(Arc<Object>, Arc<Object>)> {
        let spec = KeySpec::Ec(Curve::P256);
        let (private, public) = (self.draft(KeyType::Ec, KeyClass::Private), self.draft(KeyType::Ec, KeyClass::Public));
        self.lab.kms.perform(&self.caller, GeneratePair { spec, private, public })
    }

    fn secret(&self) -> Result<Arc<Object>> {
        let spec = KeySpec::Secret { key_type: KeyType::GenericSecret, len: 32 };
        let draft = self.draft(KeyType::GenericSecret, KeyClass::Secret);
        self.lab.kms.perform(&self.caller, GenerateSecret { spec, draft })
    }

    fn sign(&self, key: &Arc<Object>) -> Result<Vec<u8>> {
        let how = Chosen::from(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) }));
        let mut signing = self.lab.kms.begin(&self.caller, Sign { key: ObjectRef::from(key), how })?;
        signing.update(b"data", |running| running.update(b"data"))?;
        let mut out = vec![0; signing.running().signature_len()];
        let room = out.len();
        let written = signing.finish(&[], |running| within(room, running.finish(&mut out)))?;
        out.truncate(written);
        Ok(out)
    }

    fn derive(&self, base: &Arc<Object>) -> Result<()> {
        let salt = HkdfSalt::Zeros;
        let hkdf = Hkdf { hash: Hash::Sha256, extract: true, expand: true, salt, info: Vec::new() };
        let how = Chosen::from(Mechanism::Kdf(KdfMechanism::Hkdf(hkdf)));
        let expected = Expected { key_type: KeyType::GenericSecret, len: Some(32) };
        let draft = self.draft(KeyType::GenericSecret, KeyClass::Secret);
        self.lab.kms.perform(&self.caller, Derive::one(ObjectRef::from(base), how, expected, draft)).map(drop)
    }

    fn keys(&self) -> usize {
        let classes = [KeyClass::Private, KeyClass::Public, KeyClass::Secret];
        let count = |class| {
            let query = Query { kind: Some(ObjectKind::Key(class)), ..Query::default() };
            self.lab.kms.perform(&self.caller, Find { query: &query, after: None, limit: 99 }).unwrap().len()
        };
        classes.map(count).iter().sum()
    }

    /// Outcomes of the last `n` records of an action, oldest first.
    fn outcomes(&self, action: &str, n: usize) -> Vec<String> {
        self.lab.kms.close().unwrap();
        let home = self.lab.folder.path().join("home");
        let said = Program::new(built::command()).words("audit tail -n 1000 --json --home").arg(home).succeed();
        let records = json_items(&said);
        let of: Vec<String> = records
            .iter()
            .filter(|record| record["action"] == action)
            .map(|record| format!("{} {}", record["outcome"].as_str().unwrap(), record["error"].as_str().unwrap_or("")))
            .collect();
        of[of.len().saturating_sub(n)..].iter().map(|text| text.trim().to_owned()).collect()
    }
}

#[test]
fn a_backend_of_a_door_keeps_the_contract_while_it_does_not_fail() {
    let switch = Switch::default();
    let lab = lab(&switch);
    let groups = [Group::Curves, Group::Symmetric, Group::Wrapping, Group::Errors];
    all_hold(&run(&lab.bench("faulty"), |behaviour| groups.contains(&behaviour.group), |_| {}).unwrap());
}

#[test]
fn a_suite_over_a_backend_that_fails_says_so() {
    let switch = Switch::default();
    let lab = lab(&switch);
    switch.set(Some(Fault::Unavailable));
    let bench = lab.bench("faulty");
    let reports = run(&bench, |behaviour| behaviour.group == Group::Curves, |_| {}).unwrap();
    let failed = |report: &&backend_contract::Report| matches!(report.outcome, backend_contract::Outcome::Failed(_));
    assert_eq!(reports.iter().filter(failed).count(), reports.len(), "silence was taken for an answer");
}

#[test]
fn a_device_that_does_not_answer_refuses_everything_and_leaves_nothing_behind() {
    let trial = Trial::new();
    let (private, _) = trial.pair().unwrap();
    let base = trial.secret().unwrap();
    let before = trial.keys();
    trial.switch.set(Some(Fault::Unavailable));
    assert_eq!(trial.pair().unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert_eq!(trial.secret().unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert_eq!(trial.sign(&private).unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert_eq!(trial.derive(&base).unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert_eq!(trial.keys(), before);
    trial.switch.set(None);
    assert_eq!(trial.sign(&private).unwrap().len(), 64);
    for (action, count) in [("sign", 2), ("derive", 1)] {
        let outcomes = trial.outcomes(action, count);
        assert!(outcomes[0].starts_with("failed"), "{action}: {outcomes:?}");
    }
    assert_eq!(trial.outcomes("sign", 1), ["success"]);
}

#[test]
fn a_device_that_goes_away_in_the_middle_ends_the_operation() {
    let trial = Trial::new();
    let (private, _) = trial.pair().unwrap();
    let how = Chosen::from(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) }));
    let operation = Sign { key: ObjectRef::from(&private), how };
    let mut signing = trial.lab.kms.begin(&trial.caller, operation).unwrap();
    signing.update(b"data", |running| running.update(b"data")).unwrap();
    trial.switch.set(Some(Fault::Midway));
    let mut out = [0; 64];
    let ended = signing.finish(&[], |running| running.finish(&mut out));
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::BackendUnavailable);
    trial.switch.set(None);
    // It does not come back by itself: whoever wants a signature begins anew, and is decided on anew.
    let again = signing.finish(&[], |running| running.finish(&mut out));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::OperationInactive);
    let before = trial.keys();
    trial.switch.set(Some(Fault::Midway));
    assert_eq!(trial.pair().unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert_eq!(trial.keys(), before);
    assert!(trial.outcomes("sign", 1)[0].starts_with("failed"));
}

#[test]
fn what_a_device_says_of_lengths_and_numbers_is_not_believed() {
    let trial = Trial::new();
    let (private, _) = trial.pair().unwrap();
    let base = trial.secret().unwrap();
    trial.switch.set(Some(Fault::TooLong));
    assert_eq!(trial.sign(&private).unwrap_err().kind(), ErrorKind::Internal);
    assert!(trial.outcomes("sign", 1)[0].starts_with("failed"));
    let before = trial.keys();
    trial.switch.set(Some(Fault::Missing));
    assert_eq!(trial.derive(&base).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(trial.keys(), before);
}

#[test]
fn a_slow_device_holds_nobody_but_its_caller() {
    let trial = Trial::new();
    let (private, _) = trial.pair().unwrap();
    trial.switch.set(Some(Fault::Slow(Duration::from_millis(400))));
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| trial.sign(&private).unwrap())).collect();
        // Meanwhile the catalogue answers.
        assert!(trial.lab.kms.object(&trial.caller, private.id).is_ok());
        assert!(start.elapsed() < Duration::from_millis(350));
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap().len(), 64));
    });
    assert!(start.elapsed() < Duration::from_millis(1600), "eight callers waited for each other");
}
