//! Groups of HSMs: two tokens behind two copies of the module that fails on command, so that each can be killed alone.
//!
//! The tests take turns: both copies forward to one SoftHSM2, which this process is told of once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use backend_contract::Group;
use kmss_tests::contract::{Lab, OFFICER, all_hold, offered};
use kmss_tests::members::{Member, world};
use libkmss::backend::{Foreign, Replication, within};
use libkmss::caller::Caller;
use libkmss::config::{HsmGroupConfig, Routing};
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{KeyClass, KeySpec, Object, Protection, Storage, Usage};
use libkmss::mechanism::{BlockCipher, CipherMode, Curve, EcMechanism, Hash, KeyType, Mechanism};
use libkmss::operation::{
    Adopt, Chosen, Destroy, Draft, Encrypt, GeneratePair, GenerateSecret, ObjectRef, Replicate, Sign, Survey, Update,
    Verify, is_left_by,
};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::tenant::BackendId;

/// Longer than a device is left alone after a few failures.
const AWHILE: Duration = Duration::from_millis(1_500);
/// What a call to the group has in time.
const DEADLINE: Duration = Duration::from_secs(5);

/// A home before a group of two, and somebody in a token of it.
struct Scene {
    lab: Lab,
    caller: Caller,
    a: Member,
    b: Member,
    // INVARIANT: the last field, so that the next test begins when all of this is gone.
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    fn new(routing: Routing, clonable: bool) -> Self {
        let turn = world().turn();
        let (a, b) = (Member::new(), Member::new());
        let lab = Lab::new(|config| Self::configure(config, (&a, &b), routing, clonable), Vec::new());
        let settings = Settings { pinless: true, ..Settings::default() };
        let backend = BackendId("pair".into());
        let officer = Secret::copy_of(OFFICER);
        let made = lab.kms.initialize_with(None, "group", &officer, (settings, backend)).unwrap();
        let caller = lab.kms.enter(&made, 1).unwrap();
        Self { lab, caller, a, b, _turn: turn }
    }

    fn configure(config: &mut libkmss::config::Config, (a, b): (&Member, &Member), routing: Routing, clonable: bool) {
        config.hsms = vec![a.config("a"), b.config("b")];
        config.hsm_groups = vec![HsmGroupConfig {
            name: "pair".to_owned(),
            members: vec!["a".to_owned(), "b".to_owned()],
            routing,
            deadline_ms: u32::try_from(DEADLINE.as_millis()).unwrap(),
            clonable,
        }];
    }

    fn draft(&self, key_type: KeyType, class: KeyClass) -> Draft {
        let mut draft = self.lab.kms.draft(Storage::Stored).unwrap();
        draft.private = class != KeyClass::Public;
        draft.usage = Usage::all_for(key_type, class);
        draft.protection = Protection { sensitive: class != KeyClass::Public, ..Protection::default() };
        draft
    }

    fn pair(&self) -> Result<(Arc<Object>, Arc<Object>)> {
        let spec = KeySpec::Ec(Curve::P256);
        let (private, public) = (self.draft(KeyType::Ec, KeyClass::Private), self.draft(KeyType::Ec, KeyClass::Public));
        self.lab.kms.perform(&self.caller, GeneratePair { spec, private, public })
    }

    fn secret(&self) -> Result<Arc<Object>> {
        let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
        let draft = self.draft(KeyType::Aes, KeyClass::Secret);
        self.lab.kms.perform(&self.caller, GenerateSecret { spec, draft })
    }

    fn sign(&self, key: &Arc<Object>, data: &[u8]) -> Result<Vec<u8>> {
        let mut signing = self.lab.kms.begin(&self.caller, Sign { key: ObjectRef::from(key), how: ecdsa() })?;
        signing.update(data, |running| running.update(data))?;
        let mut out = vec![0; signing.running().signature_len()];
        let room = out.len();
        let written = signing.finish(&[], |running| within(room, running.finish(&mut out)))?;
        out.truncate(written);
        Ok(out)
    }

    fn verify(&self, key: &Arc<Object>, data: &[u8], signature: &[u8]) -> Result<()> {
        let mut verifying = self.lab.kms.begin(&self.caller, Verify { key: ObjectRef::from(key), how: ecdsa() })?;
        verifying.finish(data, |running| {
            running.update(data)?;
            running.finish(signature)
        })
    }

    /// A block under AES-ECB, which says which key it was.
    fn block(&self, key: &Arc<Object>) -> Result<Vec<u8>> {
        let how = Chosen::from(Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb));
        let mut encrypting = self.lab.kms.begin(&self.caller, Encrypt { key: ObjectRef::from(key), how })?;
        let mut out = vec![0; 16];
        let data = [7; 16];
        let written = encrypting.finish(&data, |running| within(16, running.finish(&data, &mut out)))?;
        out.truncate(written);
        Ok(out)
    }

    fn replicas(&self, key: &Arc<Object>) -> Replication {
        self.lab.kms.perform(&self.caller, Self::asked(key, false, Vec::new())).unwrap().unwrap()
    }

    fn replicate(&self, key: &Arc<Object>) -> Result<Replication> {
        // What is left in either member is destroyed first, as the command has it.
        let of_it = |found: &&Foreign| found.owner.is_none() && is_left_by(&found.identifier, key.id);
        let survey =
            |member: &'static str| self.lab.kms.perform(&self.caller, Survey { backend: BackendId(member.into()) });
        let there: Vec<Foreign> = ["a", "b"].into_iter().filter_map(|member| survey(member).ok()).flatten().collect();
        let remains = there.iter().filter(of_it).map(|found| found.material.locator.clone()).collect();
        self.lab.kms.perform(&self.caller, Self::asked(key, true, remains)).map(Option::unwrap)
    }

    fn asked(key: &Arc<Object>, make: bool, remains: Vec<Vec<u8>>) -> Replicate {
        Replicate { key: ObjectRef::from(key), make, remains }
    }

    /// How many private keys a member holds, and how many of them it would let out.
    fn held(&self, member: &'static str) -> (usize, usize) {
        let found = self.found(member);
        let keys = || found.iter().filter(|found| found.class == KeyClass::Private);
        (keys().count(), keys().filter(|found| found.protection.extractable).count())
    }

    fn found(&self, backend: &'static str) -> Vec<Foreign> {
        self.lab.kms.perform(&self.caller, Survey { backend: BackendId(backend.into()) }).unwrap()
    }

    fn adopt(&self, backend: &'static str, foreign: &Foreign) -> Result<Arc<Object>> {
        let mut draft = self.lab.kms.draft(Storage::Stored)?;
        draft.private = foreign.class != KeyClass::Public;
        (draft.usage, draft.protection) = (foreign.usage, foreign.protection);
        draft.label.clone_from(&foreign.label);
        let locator = foreign.material.locator.clone();
        self.lab.kms.perform(&self.caller, Adopt { backend: BackendId(backend.into()), locator, draft })
    }

    /// Signs until `member` did, which comes back by itself.
    fn wait_for(&self, member: &Member, key: &Arc<Object>) {
        member.note_calls();
        let begun = Instant::now();
        while member.calls("C_Sign") == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not used again");
            self.sign(key, b"data").unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ecdsa() -> Chosen {
    Chosen::from(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) }))
}

/// What came of signing for a while.
#[derive(Default)]
struct Load {
    done: usize,
    failed: Vec<String>,
    slowest: Duration,
}

/// Eight threads sign about a thousand times a second, while `meanwhile` runs.
fn under_load(
    scene: &Scene,
    (private, public): &(Arc<Object>, Arc<Object>),
    meanwhile: impl FnOnce(),
) -> (Load, Duration) {
    const THREADS: u32 = 8;
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let loads: Vec<Load> = std::thread::scope(|scope| {
        let sign = |thread: u32| {
            let mut load = Load::default();
            let mut due = Instant::now() + Duration::from_millis(u64::from(thread));
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += Duration::from_millis(u64::from(THREADS));
                let data = [thread.to_be_bytes(), u32::try_from(load.done).unwrap().to_be_bytes()].concat();
                let asked = Instant::now();
                let signed = scene.sign(private, &data);
                load.slowest = load.slowest.max(asked.elapsed());
                load.done += 1;
                match signed {
                    Ok(signature) if load.done % 50 == 0 => scene.verify(public, &data, &signature).unwrap(),
                    Ok(_) => {}
                    Err(e) => load.failed.push(e.sentence()),
                }
            }
            load
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || sign(thread))).collect();
        meanwhile();
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = Load::default();
    for load in loads {
        all.done += load.done;
        all.failed.extend(load.failed);
        all.slowest = all.slowest.max(load.slowest);
    }
    (all, begun.elapsed())
}

fn one_dies_under_load(routing: Routing) {
    let scene = Scene::new(routing, false);
    let keys = scene.pair().unwrap();
    assert_eq!(scene.replicas(&keys.0).present, ["a", "b"]);
    scene.sign(&keys.0, b"data").unwrap();
    scene.a.note_calls();
    scene.b.note_calls();
    let (mut before, mut killed) = ((0, 0), 0);
    let (load, took) = under_load(&scene, &keys, || {
        std::thread::sleep(Duration::from_millis(1_500));
        before = (scene.a.calls("C_Sign"), scene.b.calls("C_Sign"));
        scene.a.kill();
        std::thread::sleep(Duration::from_millis(1_500));
        killed = scene.b.calls("C_Sign");
    });
    println!(
        "{routing:?}: {} signatures in {:.1} s ({:.0} a second), {} failed, the slowest took {:.1} ms; before the death \
         {before:?}, after it b made {}",
        load.done,
        took.as_secs_f64(),
        load.done as f64 / took.as_secs_f64(),
        load.failed.len(),
        load.slowest.as_secs_f64() * 1e3,
        killed - before.1
    );
    assert_eq!(load.failed, Vec::<String>::new());
    assert!(load.slowest < DEADLINE, "{:?}", load.slowest);
    assert!(before.0 > 0 && killed > before.1, "nobody took over");
    match routing {
        Routing::Priority => assert_eq!(before.1, 0, "the second was asked while the first was there"),
        Routing::Balanced => assert!(before.1 * 4 > before.0, "calls were not shared out: {before:?}"),
    }
    scene.a.revive();
    scene.wait_for(&scene.a, &keys.0);
    let (load, _) = under_load(&scene, &keys, || std::thread::sleep(Duration::from_millis(500)));
    assert_eq!(load.failed, Vec::<String>::new());
}

#[test]
fn the_first_of_two_dies_under_load_and_no_signature_fails() {
    one_dies_under_load(Routing::Priority);
}

#[test]
fn one_of_two_that_share_the_load_dies_and_no_signature_fails() {
    one_dies_under_load(Routing::Balanced);
}

#[test]
fn a_member_that_fails_without_saying_that_it_is_dead_is_asked_last() {
    let scene = Scene::new(Routing::Priority, false);
    let (private, _) = scene.pair().unwrap();
    scene.a.command("C_Sign CKR_GENERAL_ERROR");
    scene.a.note_calls();
    for _ in 0..20 {
        scene.sign(&private, b"data").unwrap();
    }
    assert!(scene.a.calls("C_Sign") < 10, "{}", scene.a.calls("C_Sign"));
    scene.a.revive();
    scene.wait_for(&scene.a, &private);
}

#[test]
fn with_every_member_dead_a_call_fails_at_once_and_says_why() {
    let scene = Scene::new(Routing::Priority, false);
    let (private, _) = scene.pair().unwrap();
    scene.a.kill();
    scene.b.kill();
    let begun = Instant::now();
    let error = scene.sign(&private, b"data").unwrap_err();
    assert!(begun.elapsed() < DEADLINE);
    assert_eq!(error.kind(), ErrorKind::BackendUnavailable);
    assert!(error.sentence().contains("`pair`") && error.sentence().contains("DeviceError"), "{}", error.sentence());
    // Nor is a key made, and nothing is left of one.
    scene.pair().unwrap_err();
    scene.a.revive();
    scene.b.revive();
    std::thread::sleep(AWHILE);
    scene.wait_for(&scene.a, &private);
}

#[test]
fn what_makes_a_key_is_not_repeated_at_another_member() {
    let scene = Scene::new(Routing::Priority, false);
    scene.pair().unwrap();
    scene.b.note_calls();
    // It made the key, and the answer was lost.
    scene.a.command("C_GenerateKeyPair after:CKR_DEVICE_ERROR 1");
    let error = scene.pair().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BackendUnavailable, "{}", error.sentence());
    assert_eq!(scene.b.calls("C_GenerateKeyPair"), 0);
}

#[test]
fn a_key_that_is_made_while_a_member_is_away_gets_its_replica_later() {
    let scene = Scene::new(Routing::Priority, false);
    let (first, _) = scene.pair().unwrap();
    scene.b.kill();
    let (private, public) = scene.pair().unwrap();
    let secret = scene.secret().unwrap();
    let block = scene.block(&secret).unwrap();
    for key in [&private, &secret] {
        let told = scene.replicas(key);
        assert_eq!((told.present, told.lacking.len(), told.made.len()), (vec!["a".to_owned()], 1, 0));
        // While it is away nothing is brought there, and that is told.
        assert_eq!(scene.replicate(key).unwrap_err().kind(), ErrorKind::BackendUnavailable);
    }
    scene.b.revive();
    std::thread::sleep(AWHILE);
    for key in [&private, &secret] {
        let told = scene.replicate(key).unwrap();
        assert_eq!((told.present, told.made), (vec!["a".to_owned()], vec!["b".to_owned()]), "{:?}", told.lacking);
        assert_eq!(scene.replicate(key).unwrap().present, ["a", "b"]);
    }
    scene.a.kill();
    for key in [&first, &private] {
        let signature = scene.sign(key, b"data").unwrap();
        if Arc::ptr_eq(key, &private) {
            scene.verify(&public, b"data", &signature).unwrap();
        }
    }
    assert_eq!(scene.block(&secret).unwrap(), block, "the replica is another key");
}

#[test]
fn a_replica_whose_answer_is_lost_is_nobodys_and_breaks_nothing() {
    let scene = Scene::new(Routing::Priority, false);
    // From here on a transport key is there, and what is unwrapped is the key.
    scene.pair().unwrap();
    scene.b.command("C_UnwrapKey after:CKR_DEVICE_ERROR 1");
    let (private, public) = scene.pair().unwrap();
    scene.b.revive();
    std::thread::sleep(AWHILE);
    assert_eq!((scene.held("a"), scene.held("b")), ((2, 1), (2, 0)));
    let mut found = scene.found("b");
    found.retain(|foreign| foreign.class == KeyClass::Private && foreign.owner.is_none());
    assert!(found.len() == 1 && is_left_by(&found[0].identifier, private.id), "{found:?}");
    scene.adopt("b", &found[0]).unwrap_err();
    let told = scene.replicate(&private).unwrap();
    assert_eq!((told.made, told.lacking, told.open), (vec!["b".to_owned()], Vec::new(), Vec::new()));
    assert_eq!(
        (scene.held("a"), scene.held("b")),
        ((2, 0), (2, 0)),
        "what was left is destroyed, and no key stays open"
    );
    // It is found by whoever enters anew.
    scene.b.kill();
    scene.replicas(&private);
    scene.b.revive();
    std::thread::sleep(AWHILE);
    scene.a.kill();
    let signature = scene.sign(&private, b"data").unwrap();
    scene.verify(&public, b"data", &signature).unwrap();
}

#[test]
fn a_member_that_fails_while_it_shows_a_replica_goes_without_and_gets_it_later() {
    let scene = Scene::new(Routing::Priority, false);
    scene.pair().unwrap();
    scene.b.command("C_SignInit CKR_DEVICE_ERROR 1");
    let (private, _) = scene.pair().unwrap();
    scene.b.revive();
    std::thread::sleep(AWHILE);
    assert_eq!((scene.held("a"), scene.held("b")), ((2, 1), (1, 0)));
    assert_eq!(scene.replicate(&private).unwrap().made, ["b"]);
    assert_eq!((scene.held("a"), scene.held("b")), ((2, 0), (2, 0)));
}

#[test]
fn a_member_that_lets_nobody_look_at_a_replica_is_quoted_and_keeps_nothing() {
    let scene = Scene::new(Routing::Priority, false);
    scene.pair().unwrap();
    // It refuses the public half, which is to verify what the private one that arrived signs.
    scene.b.command("C_CreateObject CKR_ATTRIBUTE_TYPE_INVALID 1");
    let error = scene.pair().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrappedKeyInvalid);
    let said = error.sentence();
    assert!(said.contains("held against what was sent: AttributeTypeInvalid from C_CreateObject"), "{said}");
    scene.b.revive();
    assert_eq!((scene.held("a").0, scene.held("b").0), (1, 1));
}

#[test]
fn a_record_that_changes_while_a_replica_is_brought_costs_nothing_but_another_try() {
    let scene = Scene::new(Routing::Priority, false);
    scene.b.kill();
    let (private, public) = scene.pair().unwrap();
    scene.b.revive();
    std::thread::sleep(AWHILE);
    scene.b.note_calls();
    scene.b.command("C_UnwrapKey hang:3000 1");
    let error = std::thread::scope(|scope| {
        let cloning = scope.spawn(|| scene.replicate(&private).unwrap_err());
        while scene.b.calls("C_UnwrapKey") == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let current = scene.lab.kms.object(&scene.caller, private.id).unwrap();
        let object = Object { label: b"payment".to_vec(), ..Object::clone(&current) };
        scene.lab.kms.perform(&scene.caller, Update { current: ObjectRef::from(&current), object }).unwrap();
        cloning.join().unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error.sentence());
    assert_eq!((scene.held("a"), scene.held("b")), ((1, 1), (0, 0)), "the key is closed, or a replica is nobody's");
    assert_eq!(scene.replicate(&private).unwrap().made, ["b"]);
    assert_eq!((scene.held("a"), scene.held("b")), ((1, 0), (1, 0)));
    scene.a.kill();
    let signature = scene.sign(&private, b"data").unwrap();
    scene.verify(&public, b"data", &signature).unwrap();
}

#[test]
fn a_key_that_a_member_does_not_close_is_told_of_until_it_does() {
    let scene = Scene::new(Routing::Priority, false);
    scene.b.kill();
    let (private, _) = scene.pair().unwrap();
    scene.b.revive();
    std::thread::sleep(AWHILE);
    scene.a.command("C_SetAttributeValue CKR_FUNCTION_FAILED");
    let told = scene.replicate(&private).unwrap();
    assert_eq!((told.made, told.open), (vec!["b".to_owned()], vec!["a".to_owned()]));
    scene.a.revive();
    assert_eq!(scene.replicas(&private).open, ["a"]);
    assert_eq!(scene.replicate(&private).unwrap().open, Vec::<String>::new());
    assert_eq!((scene.replicas(&private).open, scene.held("a")), (Vec::new(), (1, 0)));
}

#[test]
fn what_is_wrong_with_one_replica_is_not_wrong_with_the_others() {
    let scene = Scene::new(Routing::Priority, false);
    let (private, public) = scene.pair().unwrap();
    let found = scene.found("a");
    let own = found.iter().find(|found| found.class == KeyClass::Private).unwrap();
    let id: String = own.identifier.iter().map(|byte| format!("{byte:02x}")).collect();
    scene.a.import(&pem("another.pem"), &id);
    scene.a.kill();
    scene.sign(&private, b"data").unwrap();
    scene.a.revive();
    std::thread::sleep(AWHILE);
    // Entered anew, the first finds two.
    scene.found("a");
    scene.b.note_calls();
    let signature = scene.sign(&private, b"data").unwrap();
    scene.verify(&public, b"data", &signature).unwrap();
    // C_Sign is called for the length as well.
    assert_eq!((scene.b.calls("C_SignInit"), scene.b.calls("C_Sign")), (1, 2));
}

#[test]
fn keys_of_a_group_are_extractable_no_longer_than_until_every_member_has_them() {
    for clonable in [false, true] {
        let scene = Scene::new(Routing::Priority, clonable);
        scene.pair().unwrap();
        scene.secret().unwrap();
        for member in ["a", "b"] {
            let found = scene.found(member);
            let keys: Vec<_> = found.iter().filter(|key| key.class != KeyClass::Public).collect();
            assert_eq!(keys.len(), 2, "{member}");
            assert!(keys.iter().all(|key| key.protection.sensitive && key.protection.extractable == clonable));
        }
    }
}

#[test]
fn nothing_in_a_group_is_adopted_twice() {
    let scene = Scene::new(Routing::Priority, false);
    scene.secret().unwrap();
    scene.pair().unwrap();
    for backend in ["pair", "a", "b"] {
        let found = scene.found(backend);
        assert_eq!(found.len(), 3, "{backend}: {found:?}");
        for foreign in &found {
            assert!(foreign.refusal.as_ref().is_some_and(|why| why.contains("already")), "{backend}: {foreign:?}");
            let refused = scene.adopt(backend, foreign).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{backend}: {}", refused.sentence());
        }
    }
}

/// A private key in a file.
fn pem(name: &str) -> String {
    let file = world().folder.path().join(name);
    let words = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    assert!(Command::new("openssl").args(words).arg(&file).output().unwrap().status.success());
    file.to_str().unwrap().to_owned()
}

#[test]
fn keys_that_the_vendor_cloned_are_adopted_as_one() {
    let scene = Scene::new(Routing::Priority, false);
    let key = pem("cloned.pem");
    scene.a.import(&key, "01");
    scene.b.import(&key, "01");
    // Of one name, and not the same.
    scene.a.import(&pem("other-a.pem"), "02");
    scene.b.import(&pem("other-b.pem"), "02");
    let of = |id: u8, class: KeyClass| {
        let mut found = scene.found("pair");
        found.retain(|foreign| foreign.class == class && foreign.identifier == [id]);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let private = scene.adopt("pair", &of(1, KeyClass::Private)).unwrap();
    let public = scene.adopt("pair", &of(1, KeyClass::Public)).unwrap();
    assert_eq!(scene.replicas(&private).present, ["a", "b"]);
    scene.a.kill();
    let signature = scene.sign(&private, b"data").unwrap();
    scene.verify(&public, b"data", &signature).unwrap();
    scene.a.revive();
    std::thread::sleep(AWHILE);
    for member in ["a", "b"] {
        let mut found = scene.found(member);
        found.retain(|foreign| foreign.class == KeyClass::Private && foreign.identifier == [1]);
        assert!(found[0].refusal.is_some(), "{member}: {found:?}");
    }
    let other = of(2, KeyClass::Private);
    assert!(other.refusal.is_some(), "{other:?}");
    scene.adopt("pair", &other).unwrap_err();
}

#[test]
fn a_key_is_destroyed_in_every_member_and_what_is_left_is_told() {
    let scene = Scene::new(Routing::Priority, false);
    let (private, _) = scene.pair().unwrap();
    let left = |member| scene.found(member).iter().filter(|key| key.class == KeyClass::Private).count();
    let destroy = |key: &Arc<Object>| scene.lab.kms.perform(&scene.caller, Destroy { object: ObjectRef::from(key) });
    destroy(&private).unwrap();
    assert_eq!((left("a"), left("b")), (0, 0));
    let (private, _) = scene.pair().unwrap();
    scene.b.kill();
    let error = destroy(&private).unwrap_err();
    assert!(error.sentence().contains("replica of the key is left"), "{}", error.sentence());
    scene.b.revive();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!((left("a"), left("b")), (0, 1));
}

#[test]
fn members_that_are_one_token_are_told_apart_from_a_group() {
    let turn = world().turn();
    let (a, mut b) = (Member::new(), Member::new());
    b.label.clone_from(&a.label);
    let lab = Lab::new(|config| Scene::configure(config, (&a, &b), Routing::Priority, false), Vec::new());
    let settings = Settings { pinless: true, ..Settings::default() };
    let backend = BackendId("pair".into());
    let made = lab.kms.initialize_with(None, "group", &Secret::copy_of(OFFICER), (settings, backend)).unwrap();
    let caller = lab.kms.enter(&made, 1).unwrap();
    let scene = Scene { lab, caller, a, b, _turn: turn };
    let error = scene.pair().unwrap_err();
    assert!(error.sentence().contains("the same token"), "{}", error.sentence());
    assert!(scene.found("a").is_empty(), "a half is left");
}

#[test]
fn a_group_keeps_the_contract_of_backends() {
    let scene = Scene::new(Routing::Balanced, false);
    let reports = scene.lab.contract("pair");
    all_hold(&reports);
    // SoftHSM2 wraps no Edwards keys, so that a group of it does not offer them.
    for (group, least) in [(Group::Keys, 21), (Group::Rsa, 18), (Group::Curves, 20), (Group::Wrapping, 8)] {
        let count = offered(&reports, group);
        assert!(count >= least, "{}: {count} behaviours are offered, {least} were", group.name());
    }
    for member in ["a", "b"] {
        assert!(scene.found(member).is_empty(), "keys are left in {member}");
    }
}
