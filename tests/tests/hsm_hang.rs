//! HSMs that hang beneath a process that may start threads: what makes a key is given up as anything else is, and members of a
//! group have the time that they are said to have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kmss_tests::contract::{Lab, OFFICER};
use kmss_tests::members::{Member, world};
use libkmss::backend::within;
use libkmss::caller::Caller;
use libkmss::config::{Config, HsmConfig, HsmGroupConfig, Routing};
use libkmss::device::{Job, Runner, run_devices_with};
use libkmss::error::Result;
use libkmss::key::{KeyClass, KeySpec, Object, Protection, Storage, Usage};
use libkmss::mechanism::{Curve, EcMechanism, EcdhKdf, Hash, KeyType, Mechanism};
use libkmss::operation::{Chosen, Derive, Draft, Expected, GeneratePair, ObjectRef, Sign};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::tenant::BackendId;

/// What a call to the group has in time, and each call of a member.
const DEADLINE_MS: u32 = 4_000;

struct Threads;

impl Runner for Threads {
    fn run(&self, job: Job) -> Result<()> {
        drop(std::thread::spawn(job));
        Ok(())
    }

    fn gave_up(&self, _device: &str) {}

    fn came_back(&self, _device: &str) {}
}

struct Scene {
    lab: Lab,
    caller: Caller,
}

impl Scene {
    fn new(members: &[&Member; 2]) -> Self {
        run_devices_with(Arc::new(Threads));
        let adjust = |config: &mut Config| {
            let hsm = |(name, member): (&str, &&Member)| HsmConfig { deadline_ms: DEADLINE_MS, ..member.config(name) };
            config.hsms = ["a", "b"].into_iter().zip(members).map(hsm).collect();
            config.hsm_groups = vec![HsmGroupConfig {
                name: "pair".to_owned(),
                members: vec!["a".to_owned(), "b".to_owned()],
                routing: Routing::Priority,
                deadline_ms: DEADLINE_MS,
                clonable: false,
            }];
        };
        let lab = Lab::new(adjust, Vec::new());
        let settings = (Settings { pinless: true, ..Settings::default() }, BackendId("pair".into()));
        let made = lab.kms.initialize_with(None, "group", &Secret::copy_of(OFFICER), settings).unwrap();
        let caller = lab.kms.enter(&made, 1).unwrap();
        Self { lab, caller }
    }

    fn draft(&self, (key_type, class): (KeyType, KeyClass), storage: Storage) -> Draft {
        let mut draft = self.lab.kms.draft(storage).unwrap();
        draft.private = class != KeyClass::Public;
        draft.usage = Usage::all_for(key_type, class);
        draft.protection = Protection { sensitive: class != KeyClass::Public, ..Protection::default() };
        draft
    }

    fn pair(&self) -> (Arc<Object>, Arc<Object>) {
        let half = |class| self.draft((KeyType::Ec, class), Storage::Stored);
        let (private, public) = (half(KeyClass::Private), half(KeyClass::Public));
        let spec = KeySpec::Ec(Curve::P256);
        self.lab.kms.perform(&self.caller, GeneratePair { spec, private, public }).unwrap()
    }

    fn sign(&self, key: &Arc<Object>) -> Result<usize> {
        let how = Chosen::from(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) }));
        let mut signing = self.lab.kms.begin(&self.caller, Sign { key: ObjectRef::from(key), how })?;
        signing.update(b"data", |running| running.update(b"data"))?;
        let mut out = vec![0; signing.running().signature_len()];
        let room = out.len();
        signing.finish(&[], |running| within(room, running.finish(&mut out)))
    }
}

#[test]
fn what_makes_a_key_of_a_session_is_given_up_for_the_next_member_and_the_last_has_its_whole_time() {
    let _turn = world().turn();
    let (a, b) = (Member::new(), Member::new());
    let scene = Scene::new(&[&a, &b]);
    let (private, public) = scene.pair();
    let point = match &public.key().unwrap().primary().unwrap().public {
        libkmss::key::PublicComponents::Ec { point, .. } => point.clone(),
        other => panic!("{other:?}"),
    };
    a.command("C_DeriveKey stall");
    let ecdh = EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: point, shared_info: Vec::new() };
    let expected = Expected { key_type: KeyType::Aes, len: Some(32) };
    let draft = scene.draft((KeyType::Aes, KeyClass::Secret), Storage::Ephemeral);
    let how = Chosen::from(Mechanism::Ec(ecdh));
    let begun = Instant::now();
    scene.lab.kms.perform(&scene.caller, Derive::one(ObjectRef::from(&private), how, expected, draft)).unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    a.revive();
    // A key that one member alone has: half of the time is not all of it.
    b.kill();
    let begun = Instant::now();
    let alone = loop {
        std::thread::sleep(Duration::from_millis(100));
        if scene.sign(&private).is_ok() {
            break scene.pair().0;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the first is not used again");
    };
    b.revive();
    while scene.lab.kms.perform(&scene.caller, libkmss::operation::Survey { backend: BackendId("b".into()) }).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    a.command(&format!("C_Sign hang:{} 1", u64::from(DEADLINE_MS) * 5 / 8));
    scene.sign(&alone).unwrap();
}
