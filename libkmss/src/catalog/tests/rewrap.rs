//! Sealing objects anew, with writers in the way.

use super::*;
use crate::domain::{Rewrapped, fence};
use crate::key::{DomainSource, VersionSecret, material_context};
use crate::secret::Secret;
use crate::store::StoreKey;

/// Versions as a record in the store would tell them.
struct Rotating {
    store: Arc<dyn Store>,
    secrets: std::sync::Mutex<Vec<(u32, Secret)>>,
}

impl Rotating {
    fn rotate(&self) {
        let mut secrets = self.secrets.lock().unwrap();
        let number = secrets.len() as u32 + 1;
        secrets.push((number, Secret::filled(DomainKey::SECRET_LEN, |b| OsRandom.fill(b)).unwrap()));
        drop(secrets);
        let op = crate::store::Op::Put(StoreKey::new("auth/rotated").unwrap(), Vec::new());
        let batch = Batch { conditions: Vec::new(), ops: vec![op], invalidates: true };
        let _ = self.store.commit(&batch).unwrap();
    }
}

impl DomainSource for Rotating {
    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn secrets(&self) -> Result<Vec<VersionSecret>> {
        let secrets = self.secrets.lock().unwrap().clone().into_iter();
        Ok(secrets.map(|(number, secret)| VersionSecret { number, secret, envelope: None }).collect())
    }
}

/// A bench whose domain keys rotate together.
fn rotating() -> (Bench, [Arc<Rotating>; 2]) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default().with_fence(fence));
    let mut bench = Bench::over(Arc::clone(&store), None, Suite::Nist);
    let sources = [0, 1].map(|_| {
        let source = Arc::new(Rotating { store: Arc::clone(&store), secrets: std::sync::Mutex::default() });
        source.rotate();
        source
    });
    let live = |source: &Arc<Rotating>, index: u8| {
        let at = (source.generation(), source.secrets().unwrap());
        let index = Secret::copy_of(&[index; 32]);
        Arc::new(DomainKey::live(Suite::Nist, index, Arc::clone(source) as _, at).unwrap())
    };
    let [public, private] = [live(&sources[0], 1), live(&sources[1], 2)];
    let ring = Keyring { public, private: Some(private), ..Keyring::clone(&bench.user.keyring) };
    bench.user = bench.user.with(|parts| parts.keyring = Arc::new(ring.clone()));
    bench.public = bench.public.with(|parts| parts.keyring = Arc::new(Keyring { private: None, ..ring }));
    (bench, sources)
}

/// A key with real material.
fn sealed_key(bench: &Bench, name: &str, private: bool) -> Object {
    let mut object = key(&bench.user, name, KeyClass::Secret);
    object.private = private;
    let ring = &bench.user.keyring;
    let domain = if private { ring.private.clone().unwrap() } else { Arc::clone(&ring.public) };
    let context = material_context(object.id, 1);
    let sealed = domain.seal_material(&OsRandom, &context, &Secret::copy_of(name.as_bytes())).unwrap();
    if let Body::Key(key) = &mut object.body {
        key.versions[0].locator = sealed;
    }
    object
}

fn opens(bench: &Bench, id: ObjectId, name: &str) {
    let object = bench.another().get(&bench.user, id).unwrap();
    let ring = &bench.user.keyring;
    let domain = if object.private { ring.private.clone().unwrap() } else { Arc::clone(&ring.public) };
    let locator = &object.key().unwrap().versions[0].locator;
    assert_eq!(domain.open_material(&material_context(id, 1), locator).unwrap().expose(), name.as_bytes());
}

fn rewrap(bench: &Bench) -> Rewrapped {
    bench.catalog.rewrap(&bench.user, &mut |_| ()).unwrap()
}

#[test]
fn after_a_rewrap_every_record_and_its_material_lie_under_the_newest_version() {
    let (bench, sources) = rotating();
    let made: Vec<_> = (0..300)
        .map(|i| {
            let name = format!("k{i}");
            (bench.make(sealed_key(&bench, &name, i % 2 == 0)).id, name)
        })
        .collect();
    bench.make(data(&bench.user, "plain", b"id"));
    sources.iter().for_each(|s| s.rotate());
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(1, 301)]));
    let done = rewrap(&bench);
    assert_eq!((done.seen, done.anew, done.met), (301, 301, 0));
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(2, 301)]));
    assert_eq!(rewrap(&bench).anew, 0);
    // Nothing lies under the first version any more, whatever its header says.
    for source in &sources {
        source.secrets.lock().unwrap().remove(0);
    }
    for (id, name) in &made {
        opens(&bench, *id, name);
    }
    let found = bench.catalog.find_by_name(&bench.user, "k7", KeyClass::Secret).unwrap();
    assert_eq!((found.id, found.edition), (made[7].0, 1));
    assert!(bench.catalog.check(&bench.user, &mut |_| ()).unwrap().complaints.is_empty());
}

#[test]
fn a_record_that_is_written_for_any_reason_takes_the_newest_version() {
    let (bench, sources) = rotating();
    let object = bench.make(sealed_key(&bench, "k", true));
    sources.iter().for_each(|s| s.rotate());
    let changed = Object { label: b"other".to_vec(), ..Object::clone(&object) };
    bench.catalog.update(&bench.user, &changed).unwrap();
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(2, 1)]));
    sources.iter().for_each(|s| drop(s.secrets.lock().unwrap().remove(0)));
    opens(&bench, object.id, "k");
}

#[test]
fn a_change_that_meets_a_rewrap_is_neither_refused_nor_lost() {
    let (bench, sources) = rotating();
    let objects: Vec<_> = (0..40).map(|i| bench.make(sealed_key(&bench, &format!("k{i}"), false))).collect();
    sources.iter().for_each(|s| s.rotate());
    let other = bench.another();
    for object in &objects {
        other.get(&bench.user, object.id).unwrap();
    }
    assert_eq!(rewrap(&bench).anew, 40);
    // The other catalogue still has what it read before, and may go on with it.
    for (i, object) in objects.iter().enumerate() {
        let changed = Object { label: format!("label{i}").into_bytes(), ..Object::clone(object) };
        match i % 4 {
            0 => other.destroy(&bench.user, object).unwrap(),
            1 => drop(other.rename(&bench.user, &format!("k{i}"), &format!("renamed{i}")).unwrap()),
            _ => drop(other.update(&bench.user, &changed).unwrap()),
        }
    }
    for (i, object) in objects.iter().enumerate() {
        let now = bench.another().get(&bench.user, object.id);
        match i % 4 {
            0 => assert_eq!(now.unwrap_err().kind(), ErrorKind::NotFound),
            1 => assert_eq!(now.unwrap().key().unwrap().name, format!("renamed{i}")),
            _ => assert_eq!(now.unwrap().label, format!("label{i}").into_bytes()),
        }
    }
    // A change that really is another's is still refused.
    let stale = Object { label: b"stale".to_vec(), ..Object::clone(&objects[2]) };
    assert_eq!(other.update(&bench.user, &stale).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn what_was_sealed_before_a_version_was_fenced_off_is_sealed_anew_before_it_is_written() {
    let (bench, sources) = rotating();
    // Made, and not written yet, when everything happens at once.
    let late = sealed_key(&bench, "late", true);
    sources.iter().for_each(|s| s.rotate());
    rewrap(&bench);
    for marker in Catalog::markers(&bench.user.namespace, 1).unwrap() {
        let batch = Batch { ops: vec![crate::store::Op::Put(marker, Vec::new())], ..Batch::default() };
        let _ = bench.store.commit(&batch).unwrap();
    }
    let ring = &bench.user.keyring;
    let _ = (ring.public.newest().unwrap(), ring.private.as_ref().unwrap().newest().unwrap());
    for source in &sources {
        source.secrets.lock().unwrap().remove(0);
    }
    let late = bench.make(late);
    opens(&bench, late.id, "late");
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(2, 1)]));
}

#[test]
fn nothing_is_committed_under_a_version_that_is_fenced_off() {
    let (bench, _sources) = rotating();
    for marker in Catalog::markers(&bench.user.namespace, 1).unwrap() {
        let batch = Batch { ops: vec![crate::store::Op::Put(marker, Vec::new())], ..Batch::default() };
        let _ = bench.store.commit(&batch).unwrap();
    }
    let made = bench.catalog.create(&bench.user, &mut [data(&bench.user, "x", b"x")]);
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Busy);
    assert!(bench.catalog.named_versions(&bench.user.namespace).unwrap().is_empty());
}

#[test]
fn a_damaged_record_is_named_and_left_as_evidence() {
    let (bench, sources) = rotating();
    let object = bench.make(sealed_key(&bench, "k", false));
    let intact = bench.make(sealed_key(&bench, "intact", false));
    let path = Paths::of(&bench.user.namespace).object(object.id).unwrap();
    let mut value = bench.store.get(&path).unwrap().unwrap().value;
    *value.last_mut().unwrap() ^= 1;
    let batch = Batch { ops: vec![crate::store::Op::Put(path.clone(), value.clone())], ..Batch::default() };
    let _ = bench.store.commit(&batch).unwrap();
    sources.iter().for_each(|s| s.rotate());
    let done = rewrap(&bench);
    assert_eq!((done.anew, done.damaged), (1, vec![object.id.to_string()]));
    assert_eq!(bench.store.get(&path).unwrap().unwrap().value, value);
    opens(&bench, intact.id, "intact");
}

#[test]
fn how_far_a_keeper_was_followed_is_sealed_anew_with_the_records() {
    let (bench, sources) = rotating();
    let keeper = BackendId("there".into());
    let bookmark = |private| bench.catalog.bookmark(&bench.user, &keeper, private).unwrap();
    for private in [false, true] {
        bench.catalog.put_bookmark(&bench.user, &mut bookmark(private), b"here".to_vec()).unwrap();
    }
    let mut before = bookmark(true);
    sources.iter().for_each(|s| s.rotate());
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(1, 2)]));
    assert_eq!((rewrap(&bench).anew, rewrap(&bench).anew), (2, 0));
    assert_eq!(bench.catalog.named_versions(&bench.user.namespace).unwrap(), BTreeMap::from([(2, 2)]));
    for source in &sources {
        source.secrets.lock().unwrap().remove(0);
    }
    // Whoever read it before looks again, and goes on from the same place.
    let stale = bench.catalog.put_bookmark(&bench.user, &mut before, b"there".to_vec());
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
    for private in [false, true] {
        assert_eq!(bookmark(private).cursor, b"here");
        bench.catalog.put_bookmark(&bench.user, &mut bookmark(private), b"there".to_vec()).unwrap();
        assert_eq!(bookmark(private).cursor, b"there");
    }
}

#[test]
fn a_damaged_record_of_a_namespace_does_not_keep_the_others_from_being_sealed_anew() {
    for bench in both() {
        bench.catalog.put_namespace(None, &namespace_at(1), Batch::default()).unwrap();
        let path = bench.store.scan_all("namespace/").unwrap().remove(0).0;
        let mut value = bench.store.get(&path).unwrap().unwrap().value;
        *value.last_mut().unwrap() ^= 1;
        let batch = Batch { ops: vec![crate::store::Op::Put(path.clone(), value)], ..Batch::default() };
        let _ = bench.store.commit(&batch).unwrap();
        let done = bench.another().rewrap_namespaces().unwrap();
        assert_eq!((done.seen, done.damaged), (2, vec![path.as_str().to_owned()]));
    }
}
