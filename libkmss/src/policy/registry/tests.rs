#![allow(clippy::unwrap_used)]
use super::*;
use crate::key::{DomainSource, VersionSecret};
use crate::policy::Scope;
use crate::policy::bundle::{Abi, Content, Draft, PublisherAlgorithm, PublisherSecret, Terms};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::MemoryStore;
use crate::suite::Suite;
use crate::tenant::{Namespace, NamespaceId};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const NOW: Timestamp = Timestamp(1_000_000);

/// Different bytes each time.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.iter_mut().for_each(|b| *b = self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

struct Bench {
    store: Arc<MemoryStore>,
    registry: Registry,
    home: Arc<DomainKey>,
}

fn bench_of(suite: Suite) -> Bench {
    let store = Arc::new(MemoryStore::default());
    let random = Arc::new(Counting(AtomicU8::new(1)));
    let home = Arc::new(DomainKey::ephemeral(suite, &*random).unwrap());
    let registry = Registry::new(Arc::clone(&store) as _, random, Arc::clone(&home));
    Bench { store, registry, home }
}

fn bench() -> Bench {
    bench_of(Suite::Nist)
}

impl Bench {
    /// The same home, as another process has it.
    fn another(&self) -> Registry {
        Registry::new(Arc::clone(&self.store) as _, Arc::new(Counting(AtomicU8::new(99))), Arc::clone(&self.home))
    }

    fn trusting(self, site: &Site, secret: &PublisherSecret) -> Self {
        self.registry.add_anchor(site, "author", secret.public().unwrap(), "user:root", NOW).unwrap();
        self
    }

    fn apply(&self, site: &Site, bundle: &[u8], role: PolicyRole) -> Result<Option<InForce>> {
        match self.registry.prepare_apply(bundle, site, role, "user:root", NOW)? {
            None => Ok(None),
            Some(prepared) => {
                self.registry.commit(&prepared.batch)?;
                self.registry.clear_abandoned(NOW)?;
                Ok(prepared.before)
            }
        }
    }

    fn pieces(&self) -> usize {
        self.store.scan("policy/blob/", None, 1000).unwrap().len()
    }

    fn marks(&self) -> usize {
        self.store.scan("policy/staged/", None, 1000).unwrap().len()
    }
}

fn namespace(incarnation: u32) -> Namespace {
    Namespace {
        id: NamespaceId([7; 16]),
        tenant: "default".into(),
        name: "web".into(),
        ordinal: 0,
        incarnation,
        policy_required: false,
        settings: Settings::default(),
        backend: crate::key::BackendId::soft(),
    }
}

fn site() -> Site {
    Site::within(&namespace(1), None)
}

fn tenant() -> Site {
    Site::wide(Scope::Tenant { tenant: "default".into() }).unwrap()
}

fn author() -> PublisherSecret {
    PublisherSecret::new(PublisherAlgorithm::Ed25519, Secret::copy_of(&[7; 32])).unwrap()
}

fn terms(site: &Site, sequence: u64) -> Terms {
    Terms {
        name: "orders".into(),
        scope: site.scope().clone(),
        sequence,
        abi: Abi::Kmss,
        fuel: None,
        pages: None,
        entrypoint: None,
        not_before: Timestamp(0),
        not_after: None,
    }
}

/// A module of `size` bytes, at least 8.
fn content(size: usize) -> Content {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.resize(size.max(8), 0);
    Content { module, data: None, source: None }
}

fn bundle_of(site: &Site, sequence: u64, size: usize) -> Vec<u8> {
    Draft::new(terms(site, sequence), content(size), &author().public().unwrap()).unwrap().sign(&author()).unwrap()
}

fn bundle(sequence: u64) -> Vec<u8> {
    bundle_of(&site(), sequence, 8)
}

#[test]
fn an_applied_bundle_is_in_force_for_every_process_and_comes_back_whole() {
    let bench = bench().trusting(&site(), &author());
    let other = bench.another();
    assert!(other.current().unwrap().entries().is_empty());
    for (sequence, size) in [(1, 8), (2, 1_000_000), (3, 8)] {
        let bytes = bundle_of(&site(), sequence, size);
        let before = bench.apply(&site(), &bytes, PolicyRole::Active).unwrap();
        assert_eq!(before.map(|b| b.manifest.terms.sequence), (sequence > 1).then(|| sequence - 1));
        for registry in [&bench.registry, &other] {
            let set = registry.current().unwrap();
            let namespace = namespace(1);
            let entry = set.concerning(&namespace).next().unwrap();
            let active = entry.active.as_ref().unwrap();
            assert_eq!(active.manifest.terms.sequence, sequence);
            assert_eq!(registry.load(active).unwrap(), bytes);
        }
    }
    assert_eq!((bench.pieces(), bench.marks()), (1, 0));
}

#[test]
fn a_set_is_read_again_only_where_policies_changed() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(1), PolicyRole::Active).unwrap();
    let set = bench.registry.current().unwrap();
    let elsewhere = StoreKey::new("ns/x").unwrap();
    let batch = Batch { conditions: vec![], ops: vec![Op::Put(elsewhere, vec![])], invalidates: true };
    let _ = bench.store.commit(&batch).unwrap();
    assert!(Arc::ptr_eq(&set, &bench.registry.current().unwrap()));
    bench.apply(&site(), &bundle(2), PolicyRole::Active).unwrap();
    assert!(!Arc::ptr_eq(&set, &bench.registry.current().unwrap()));
}

#[test]
fn going_back_stays_refused_after_removal() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(5), PolicyRole::Active).unwrap();
    assert!(bench.apply(&site(), &bundle(5), PolicyRole::Active).unwrap().is_none());
    let refused = bench.apply(&site(), &bundle(4), PolicyRole::Active).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    let removed = bench.registry.prepare_remove(&site(), "orders", PolicyRole::Active).unwrap();
    bench.registry.commit(&removed.batch).unwrap();
    let set = bench.registry.current().unwrap();
    assert!(set.entries().first().unwrap().active.is_none());
    assert!(set.requires(&namespace(1)), "a namespace that had a policy asks for one");
    assert_eq!(bench.apply(&site(), &bundle(4), PolicyRole::Active).unwrap_err().kind(), ErrorKind::Denied);
    let other = bundle_of(&site(), 5, 16);
    assert!(bench.apply(&site(), &other, PolicyRole::Active).unwrap_err().message().contains("higher sequence"));
    bench.apply(&site(), &bundle(5), PolicyRole::Active).unwrap();
    assert!(bench.registry.current().unwrap().entries().first().unwrap().active.is_some());
    let again = bench.registry.prepare_remove(&site(), "nobody", PolicyRole::Active);
    assert_eq!(again.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn of_two_processes_that_apply_at_once_one_hears_of_the_other() {
    let bench = bench().trusting(&site(), &author());
    let other = bench.another();
    let mine = bench.registry.prepare_apply(&bundle(1), &site(), PolicyRole::Active, "a", NOW).unwrap().unwrap();
    let same = bundle_of(&site(), 1, 64);
    let theirs = other.prepare_apply(&same, &site(), PolicyRole::Active, "b", NOW).unwrap().unwrap();
    other.commit(&theirs.batch).unwrap();
    assert_eq!(bench.registry.commit(&mine.batch).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(bench.registry.current().unwrap().entries().first().unwrap().active.as_ref().unwrap().applied_by, "b");
    // What the loser wrote is cleared away once it is old. A mark that somebody damaged is in nobody's way.
    assert_eq!(bench.pieces(), 2);
    let damaged = StoreKey::new(format!("{}damaged", super::path::STAGED)).unwrap();
    let ops = vec![Op::Put(damaged, b"x".to_vec())];
    let _ = bench.store.commit(&Batch { conditions: Vec::new(), ops, invalidates: false }).unwrap();
    bench.registry.clear_abandoned(Timestamp(NOW.0 + 600_000)).unwrap();
    assert_eq!((bench.pieces(), bench.marks()), (1, 1));
}

#[test]
fn a_shadow_decides_nothing_and_requires_nothing() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(1), PolicyRole::Shadow).unwrap();
    let set = bench.registry.current().unwrap();
    let entry = set.entries().first().unwrap();
    assert!(entry.active.is_none() && entry.shadow.is_some() && !set.requires(&namespace(1)));
    bench.apply(&site(), &bundle(1), PolicyRole::Active).unwrap();
    let set = bench.registry.current().unwrap();
    assert!(set.entries().first().unwrap().active.is_some() && set.requires(&namespace(1)));
}

#[test]
fn a_namespace_made_anew_starts_without_policies_and_remembers_how_far_they_came() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(5), PolicyRole::Active).unwrap();
    let set = bench.registry.current().unwrap();
    assert_eq!(set.concerning(&namespace(2)).count(), 0);
    assert!(!set.requires(&namespace(2)));
    let next = Site::within(&namespace(2), None);
    assert_eq!(bench.apply(&next, &bundle(4), PolicyRole::Active).unwrap_err().kind(), ErrorKind::Denied);
    bench.apply(&next, &bundle(6), PolicyRole::Active).unwrap();
    assert_eq!(bench.registry.current().unwrap().concerning(&namespace(2)).count(), 1);
    assert_eq!(bench.registry.current().unwrap().concerning(&namespace(1)).count(), 0);
    assert_eq!(bench.pieces(), 1);
    bench.registry.retire(NamespaceId([7; 16]), Some(2)).unwrap();
    assert_eq!(bench.registry.current().unwrap().concerning(&namespace(2)).count(), 1);
    bench.registry.retire(NamespaceId([7; 16]), None).unwrap();
    bench.registry.clear_abandoned(NOW).unwrap();
    assert!(bench.registry.current().unwrap().entries().iter().all(|entry| entry.active.is_none()));
    assert_eq!((bench.pieces(), bench.marks()), (0, 0));
}

#[test]
fn a_policy_of_the_tenant_is_required_in_all_its_namespaces_also_in_later_ones() {
    let bench = bench().trusting(&tenant(), &author());
    bench.apply(&tenant(), &bundle_of(&tenant(), 1, 8), PolicyRole::Active).unwrap();
    let set = bench.registry.current().unwrap();
    let later = Namespace { id: NamespaceId([9; 16]), name: "later".into(), ..namespace(1) };
    assert!(set.requires(&namespace(1)) && set.requires(&later));
    assert!(!set.requires(&Namespace { tenant: "other".into(), ..later }));
    let wrong = bench.apply(&site(), &bundle_of(&tenant(), 2, 8), PolicyRole::Active).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Arguments);
}

#[test]
fn an_anchor_publishes_only_for_its_own_namespace() {
    let bench = bench().trusting(&site(), &author());
    // Another token of the same name, as PKCS#11 allows it.
    let twin = Site::within(&Namespace { id: NamespaceId([8; 16]), ..namespace(1) }, None);
    let refused = bench.apply(&twin, &bundle(1), PolicyRole::Active).unwrap_err();
    assert!(refused.message().contains("not trusted"), "{refused}");
    let key = Site::within(&namespace(1), Some("k"));
    bench.apply(&key, &bundle_of(&key, 1, 8), PolicyRole::Active).unwrap();
    let wide = bench.apply(&tenant(), &bundle_of(&tenant(), 1, 8), PolicyRole::Active).unwrap_err();
    assert!(wide.message().contains("not trusted"), "{wide}");
}

#[test]
fn an_anchor_in_use_stays_and_an_unused_one_goes() {
    let bench = bench().trusting(&site(), &author());
    let key = author().public().unwrap();
    let twice = bench.registry.add_anchor(&site(), "author", key.clone(), "user:root", NOW).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
    for bad in ["", "a b", LOCAL] {
        let refused = bench.registry.add_anchor(&site(), bad, key.clone(), "user:root", NOW).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Arguments);
    }
    bench.apply(&site(), &bundle(1), PolicyRole::Active).unwrap();
    let refused = bench.registry.remove_anchor(&site(), "author", "user:root", NOW).unwrap_err();
    assert!(refused.message().contains("orders"), "{refused}");
    let removed = bench.registry.prepare_remove(&site(), "orders", PolicyRole::Active).unwrap();
    bench.registry.commit(&removed.batch).unwrap();
    bench.registry.remove_anchor(&site(), "author", "user:root", NOW).unwrap();
    assert_eq!(
        bench.registry.remove_anchor(&site(), "author", "user:root", NOW).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(bench.apply(&site(), &bundle(2), PolicyRole::Active).unwrap_err().kind(), ErrorKind::Denied);
}

#[test]
fn an_anchor_that_goes_while_its_bundle_is_applied_wins() {
    let bench = bench().trusting(&site(), &author());
    let prepared = bench.registry.prepare_apply(&bundle(1), &site(), PolicyRole::Active, "a", NOW).unwrap().unwrap();
    bench.another().remove_anchor(&site(), "author", "user:root", NOW).unwrap();
    assert_eq!(bench.registry.commit(&prepared.batch).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn the_homes_own_publisher_signs_until_it_is_taken_away() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = bench_of(suite);
        let sign = |registry: &Registry, n| registry.sign_locally(terms(&site(), n), content(8), "user:root", NOW);
        let bytes = sign(&bench.registry, 1).unwrap();
        bench.apply(&site(), &bytes, PolicyRole::Active).unwrap();
        // Another process signs with the same key.
        bench.apply(&site(), &sign(&bench.another(), 2).unwrap(), PolicyRole::Active).unwrap();
        let platform = Site::wide(Scope::Platform).unwrap();
        assert_eq!(
            bench.registry.remove_anchor(&platform, LOCAL, "user:root", NOW).unwrap_err().kind(),
            ErrorKind::Denied
        );
        let removed = bench.registry.prepare_remove(&site(), "orders", PolicyRole::Active).unwrap();
        bench.registry.commit(&removed.batch).unwrap();
        bench.registry.remove_anchor(&platform, LOCAL, "user:root", NOW).unwrap();
        assert_eq!(sign(&bench.registry, 3).unwrap_err().kind(), ErrorKind::Denied);
        assert!(bench.registry.anchors().unwrap().is_empty());
        bench.registry.allow_local("user:root", NOW).unwrap();
        bench.apply(&site(), &sign(&bench.registry, 3).unwrap(), PolicyRole::Active).unwrap();
    }
}

#[test]
fn a_home_takes_signed_bundles_only_before_it_ever_signed_one_and_only_the_platform_says_so() {
    let bench = bench();
    let platform = Site::wide(Scope::Platform).unwrap();
    let of_a_token =
        |registry: &Registry| registry.remove_anchor(&site(), LOCAL, "user:officer", NOW).unwrap_err().kind();
    assert_eq!(of_a_token(&bench.registry), ErrorKind::NotFound);
    bench.registry.allow_local("user:root", NOW).unwrap();
    assert_eq!(of_a_token(&bench.registry), ErrorKind::NotFound);
    assert_eq!(bench.registry.anchors().unwrap().len(), 1);
    for registry in [bench.another(), bench_of(Suite::Gm).registry] {
        registry.remove_anchor(&platform, LOCAL, "user:root", NOW).unwrap();
        assert!(registry.anchors().unwrap().is_empty());
        let refused = registry.sign_locally(terms(&site(), 1), content(8), "user:root", NOW).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
    }
}

#[test]
fn records_that_were_changed_moved_or_taken_back_are_damaged() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(1), PolicyRole::Active).unwrap();
    let old = bench.store.scan("policy/", None, 100).unwrap();
    bench.apply(&site(), &bundle(2), PolicyRole::Active).unwrap();
    let put = |key: &StoreKey, value: Vec<u8>| {
        let ops = vec![Op::Put(key.clone(), value)];
        let _ = bench.store.commit(&Batch { conditions: vec![], ops, invalidates: true }).unwrap();
    };
    let damaged = |registry: &Registry| registry.current().map(|_| ()).unwrap_err().kind() == ErrorKind::Damaged;
    let (path, entry) = bench.store.scan(ENTRIES, None, 1).unwrap().pop().unwrap();
    for at in [0, 4, 20, entry.value.len() - 1] {
        let mut changed = entry.value.clone();
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1;
        }
        put(&path, changed);
        let found = bench.another().current().unwrap_err().kind();
        assert!(matches!(found, ErrorKind::Damaged | ErrorKind::TooNew), "byte {at}: {found:?}");
    }
    let elsewhere = StoreKey::new(format!("{ENTRIES}{}", "0".repeat(64))).unwrap();
    put(&elsewhere, entry.value.clone());
    put(&path, entry.value.clone());
    assert!(damaged(&bench.another()));
    let _ = bench.store.commit(&Batch { ops: vec![Op::Delete(elsewhere)], ..Batch::default() }).unwrap();
    assert!(bench.another().current().is_ok());
    // An old piece in the place of the new one.
    let (piece, new) = bench.store.scan("policy/blob/", None, 1).unwrap().pop().unwrap();
    let before = old.iter().find(|(key, _)| key.as_str().starts_with("policy/blob/")).unwrap();
    put(&piece, before.1.value.clone());
    let active = bench.registry.current().unwrap().entries().first().unwrap().active.clone().unwrap();
    assert_eq!(bench.registry.load(&active).unwrap_err().kind(), ErrorKind::Damaged);
    put(&piece, new.value);
    assert!(bench.registry.load(&active).is_ok());
}

#[test]
fn names_of_policies_and_publishers_do_not_show_in_the_store() {
    let bench = bench().trusting(&site(), &author());
    bench.apply(&site(), &bundle(1), PolicyRole::Active).unwrap();
    for (key, entry) in bench.store.scan("", None, 100).unwrap() {
        let text = format!("{} {}", key.as_str(), String::from_utf8_lossy(&entry.value));
        assert!(!text.contains("orders") && !text.contains("author") && !text.contains("asm"), "{text}");
    }
}

/// A domain key that is rotated, and loses versions.
#[derive(Default)]
struct Rotating {
    generation: AtomicU64,
    secrets: std::sync::Mutex<Vec<(u32, Secret)>>,
}

impl Rotating {
    fn set(&self, versions: std::ops::RangeInclusive<u32>) {
        let secrets = versions.map(|n| (n, Secret::copy_of(&[n.to_be_bytes()[3]; DomainKey::SECRET_LEN])));
        *self.secrets.lock().unwrap() = secrets.collect();
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl DomainSource for Rotating {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn secrets(&self) -> Result<Vec<VersionSecret>> {
        let secrets = self.secrets.lock().unwrap().clone().into_iter();
        Ok(secrets.map(|(number, secret)| VersionSecret { number, secret, envelope: None }).collect())
    }
}

#[test]
fn the_key_of_the_homes_publisher_lies_under_the_version_that_its_record_names() {
    let source = Arc::new(Rotating::default());
    let newcomer = |store: &Arc<MemoryStore>| {
        let at = (source.generation(), source.secrets().unwrap());
        let key = DomainKey::live(Suite::Nist, Secret::copy_of(&[1; 32]), Arc::clone(&source) as _, at).unwrap();
        Registry::new(Arc::clone(store) as _, Arc::new(Counting(AtomicU8::new(1))), Arc::new(key))
    };
    let (store, platform) = (Arc::new(MemoryStore::default()), Site::wide(Scope::Platform).unwrap());
    source.set(1..=1);
    let registry = newcomer(&store);
    let sign = |registry: &Registry| registry.sign_locally(terms(&site(), 1), content(8), "user:root", NOW);
    sign(&registry).unwrap();
    source.set(1..=2);
    registry.remove_anchor(&platform, LOCAL, "user:root", NOW).unwrap();
    assert!(registry.reseal_local().unwrap().is_none(), "it was sealed anew with its record");
    source.set(1..=3);
    registry.allow_local("user:root", NOW).unwrap();
    assert!(registry.reseal_local().unwrap().is_none());
    // The old versions go, and nothing with them.
    source.set(3..=3);
    sign(&newcomer(&store)).unwrap();
    source.set(3..=4);
    assert!(matches!(registry.reseal_local().unwrap(), Some(Commit::Committed(_))));
    source.set(4..=4);
    sign(&newcomer(&store)).unwrap();
}
