//! A store in one file that several processes share, a random source that repeats itself, and events to record.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libkmss::audit::keep::Keeper;
use libkmss::audit::seal::{Demands, SealOptions, SealSettings, Sealed, Sealer};
use libkmss::audit::{
    AuditEvent, AuditOptions, AuditSink, Codec, Outcome, Report, SegmentSink, Trail, use_codec, verify, verify_trail,
};
use libkmss::caller::{Caller, CallerParts, Login, Principal};
use libkmss::clock::{Clock, Moment, SystemClock, Timestamp};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Action, Body, DomainKey, Keyring, Object, Storage};
use libkmss::permit::Subject;
use libkmss::random::Random;
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::store::{Batch, Change, Commit, Condition, Entry, Op, Revision, Store, StoreKey};
use libkmss::suite::Suite;
use libkmss::tenant::{Namespace, NamespaceId, ObjectId};

/// How the command compresses.
pub(crate) const CODEC: Codec = Codec {
    pack: audit_archive::pack,
    unpack: |file| {
        let packed = audit_archive::Packed::open(file)?;
        let len = packed.len();
        Ok((Box::new(packed), len))
    },
};

type Map = BTreeMap<String, (u64, Vec<u8>)>;

/// Everything in one file, read and written whole under a lock.
pub(crate) struct FileStore {
    path: PathBuf,
    /// While it exists every commit fails.
    broken: PathBuf,
}

impl FileStore {
    pub(crate) fn new(home: &Path) -> Self {
        Self { path: home.join("store"), broken: home.join("store-is-broken") }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Map) -> R) -> R {
        let lock = File::create(self.path.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let mut map: Map = fs::read(&self.path).map_or_else(|_| Map::new(), |t| serde_json::from_slice(&t).unwrap());
        let result = f(&mut map);
        fs::write(self.path.with_extension("new"), serde_json::to_vec(&map).unwrap()).unwrap();
        fs::rename(self.path.with_extension("new"), &self.path).unwrap();
        result
    }

    /// Keys that start with `prefix`.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.with(|map| map.keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    /// Changes the store behind everybody's back.
    pub(crate) fn tamper(&self, f: impl FnOnce(&mut Map)) {
        self.with(f);
    }

    pub(crate) fn fail(&self, fail: bool) {
        if fail { fs::write(&self.broken, "").unwrap() } else { fs::remove_file(&self.broken).unwrap() }
    }
}

fn entry(found: &(u64, Vec<u8>)) -> Entry {
    Entry { value: found.1.clone(), version: Revision(found.0) }
}

impl Store for FileStore {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        Ok(self.with(|map| keys.iter().map(|k| map.get(k.as_str()).map(entry)).collect()))
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        Ok(self.with(|map| {
            map.iter()
                .filter(|(k, _)| k.starts_with(prefix) && after.is_none_or(|a| k.as_str() > a.as_str()))
                .take(limit)
                .map(|(k, v)| (StoreKey::new(k.as_str()).unwrap(), entry(v)))
                .collect()
        }))
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        if self.broken.exists() {
            return Err(Error::new(ErrorKind::Storage, "no space left in the double"));
        }
        Ok(self.with(|map| {
            let holds = |c: &Condition| match c {
                Condition::Absent(k) => !map.contains_key(k.as_str()),
                Condition::Version(k, v) => map.get(k.as_str()).is_some_and(|(r, _)| *r == v.0),
            };
            if !batch.conditions.iter().all(holds) {
                return Commit::Conflict;
            }
            let revision = map.values().map(|(r, _)| *r).max().unwrap_or(0) + 1;
            for op in &batch.ops {
                match op {
                    Op::Put(k, v) => drop(map.insert(k.as_str().to_owned(), (revision, v.clone()))),
                    Op::Delete(k) => drop(map.remove(k.as_str())),
                }
            }
            Commit::Committed(Revision(revision))
        }))
    }

    fn changes(&self, _: Revision, _: usize) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    fn wait(&self, since: Revision, _: Duration) -> Result<Revision> {
        Ok(since)
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// Distinct bytes for each call and process; good enough for names.
pub(crate) struct Numbers;

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Random for Numbers {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        let number = (u64::from(std::process::id()) << 32) + COUNTER.fetch_add(1, Ordering::Relaxed);
        out.iter_mut().zip(number.to_be_bytes().iter().cycle()).for_each(|(o, n)| *o = *n);
        Ok(())
    }
}

/// A home with a log in it.
pub(crate) struct Home {
    pub(crate) root: Root,
    pub(crate) suite: Suite,
}

/// Where a home is, and what removes it.
pub(crate) struct Root(
    PathBuf,
    #[expect(dead_code, reason = "removes the folder when it goes")] Option<tempfile::TempDir>,
);

impl Root {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Home {
    pub(crate) fn new(suite: Suite) -> Self {
        Self::within(std::env::temp_dir(), suite)
    }

    pub(crate) fn within(place: impl AsRef<Path>, suite: Suite) -> Self {
        let folder = tempfile::tempdir_in(place).unwrap();
        Self { root: Root(folder.path().to_owned(), Some(folder)), suite }
    }

    /// One that another process made, and removes.
    pub(crate) fn at(path: &Path, suite: Suite) -> Self {
        Self { root: Root(path.to_owned(), None), suite }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("audit")
    }

    pub(crate) fn store(&self) -> FileStore {
        FileStore::new(self.root.path())
    }

    pub(crate) fn sink(&self) -> SegmentSink {
        sink(self.root.path(), self.suite, AuditOptions::default())
    }

    pub(crate) fn sink_with(&self, options: AuditOptions) -> SegmentSink {
        sink(self.root.path(), self.suite, options)
    }

    /// Records `count` signatures with one sink and closes it.
    pub(crate) fn write(&self, count: usize) {
        let sink = self.sink();
        (0..count).for_each(|_| sink.record(&Example::default().event()).unwrap());
        sink.close().unwrap();
    }

    pub(crate) fn verify(&self) -> Report {
        verify(&self.dir(), Some(&self.store()), self.suite, &mut |_| ())
    }

    /// A sealer of this log, under a domain key that is always the same.
    pub(crate) fn sealer(&self) -> Sealer {
        self.sealer_with(SealSettings::default())
    }

    pub(crate) fn sealer_with(&self, settings: SealSettings) -> Sealer {
        self.sealer_at(Arc::new(SystemClock::default()), settings)
    }

    pub(crate) fn sealer_at(&self, clock: Arc<dyn Clock>, settings: SealSettings) -> Sealer {
        let key = DomainKey::expand(self.suite, 1, &Secret::copy_of(&[7; 32])).unwrap();
        Sealer::new(
            self.dir(),
            Arc::new(|_| Ok(())),
            self.suite,
            Arc::new(self.store()),
            Arc::new(key),
            Arc::new(Numbers),
            clock,
            settings,
        )
    }

    /// Seals everything; nothing may contradict itself.
    pub(crate) fn seal(&self) -> Sealed {
        let sealed = self.sealer().seal(&SealOptions::default()).unwrap();
        assert!(sealed.contradictions.is_empty() && !sealed.busy && !sealed.more, "{sealed:?}");
        sealed
    }

    /// Chain, store and seal.
    pub(crate) fn check(&self, demands: &Demands) -> Report {
        use_codec(CODEC);
        let (dir, store, sealer) = (self.dir(), self.store(), self.sealer());
        let trail = Trail {
            dir: &dir,
            store: Some(&store),
            suite: self.suite,
            only: demands.only.as_ref(),
            sealer: Some(&sealer),
            archives: &demands.archives,
        };
        let mut report = verify_trail(&trail, &mut |_| ());
        sealer.verify(&mut report, demands, &mut |_| ());
        report
    }

    /// Compresses, archives and removes.
    pub(crate) fn keep<R>(&self, work: impl FnOnce(&Keeper<'_>) -> R) -> R {
        self.keep_with(&[], work)
    }

    /// The same, where these anchors must have a checkpoint over what goes.
    pub(crate) fn keep_with<R>(&self, anchors: &[String], work: impl FnOnce(&Keeper<'_>) -> R) -> R {
        use_codec(CODEC);
        let (sealer, sink, cursors) = (self.sealer(), self.sink(), self.root.path().join("cursors"));
        work(&Keeper { sealer: &sealer, sink: &sink, cursors: &cursors, anchors, principal: "user:keeper" })
    }

    pub(crate) fn verify_without_store(&self) -> Report {
        verify(&self.dir(), None, self.suite, &mut |_| ())
    }

    /// Segments of the log, oldest first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.files_named("jsonl")
    }

    /// Files beside them, in which records wait.
    pub(crate) fn waiting(&self) -> Vec<PathBuf> {
        self.files_named("pending")
    }

    /// Compressed segments, oldest first.
    pub(crate) fn packed(&self) -> Vec<PathBuf> {
        self.files_named("zst")
    }

    fn files_named(&self, extension: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(self.dir()).unwrap().map(|e| e.unwrap().path());
        let mut found: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
        found.sort();
        found
    }

    /// Lines of the only file, each with its line feed.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.files().len(), 1);
        self.lines_of(0)
    }

    /// Lines of one file.
    pub(crate) fn lines_of(&self, number: usize) -> Vec<Vec<u8>> {
        fs::read(&self.files()[number]).unwrap().split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn rewrite(&self, lines: &[Vec<u8>]) {
        fs::write(&self.files()[0], lines.concat()).unwrap();
    }
}

pub(crate) fn sink(root: &Path, suite: Suite, options: AuditOptions) -> SegmentSink {
    SegmentSink::new(
        root.join("audit"),
        Arc::new(|_| Ok(())),
        suite,
        Arc::new(FileStore::new(root)),
        Arc::new(Numbers),
        Arc::new(SystemClock::default()),
        options,
    )
}

/// A clock that is so many milliseconds fast.
pub(crate) struct Fast(pub(crate) u64, pub(crate) SystemClock);

impl Clock for Fast {
    fn now(&self) -> Timestamp {
        Timestamp(self.1.now().0 + self.0)
    }

    fn monotonic(&self) -> Duration {
        self.1.monotonic()
    }

    fn rough(&self) -> Moment {
        self.1.rough()
    }

    fn begun(&self) -> Moment {
        self.1.begun()
    }
}

/// An event and what it borrows.
pub(crate) struct Example {
    pub(crate) caller: Caller,
    pub(crate) subject: Subject,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
    pub(crate) rule: String,
    pub(crate) tags: Vec<String>,
    pub(crate) time: u64,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            caller: caller("user:www-data"),
            subject: labelled(b"server certificate"),
            action: Action::Sign,
            outcome: Outcome::Success,
            reason: String::new(),
            rule: String::new(),
            tags: Vec::new(),
            time: 1_760_000_000_000,
        }
    }
}

impl Example {
    pub(crate) fn of(action: Action, outcome: Outcome) -> Self {
        Self { action, outcome, ..Self::default() }
    }

    pub(crate) fn event(&self) -> AuditEvent<'_> {
        AuditEvent {
            time: Timestamp(self.time),
            caller: Some(&self.caller),
            action: self.action,
            subject: &self.subject,
            also: None,
            mechanism: Some("ECDSA_SHA256"),
            data_len: Some(32),
            outcome: self.outcome,
            reason: &self.reason,
            rule: &self.rule,
            tags: &self.tags,
            duties: &[],
            context: None,
            changes: &[],
            request: None,
            policy: &[],
            duration: Duration::from_micros(42),
        }
    }
}

pub(crate) fn caller(principal: &str) -> Caller {
    let ring = Arc::new(DomainKey::ephemeral(Suite::Nist, &Numbers).unwrap());
    Caller::from(CallerParts {
        principal: Arc::new(Principal::new(principal, Vec::new())),
        namespace: Arc::new(Namespace {
            id: NamespaceId([1; 16]),
            tenant: "default".to_owned(),
            name: "web".to_owned(),
            ordinal: 0,
            incarnation: 1,
            policy_required: false,
            settings: Settings::default(),
            backend: libkmss::tenant::BackendId::soft(),
        }),
        login: Login::User("user".into()),
        keyring: Arc::new(Keyring { public: Arc::clone(&ring), private: None, ephemeral: ring, officer: None }),
        session: 7,
        authenticated: libkmss::clock::Timestamp(0),
    })
}

/// A data object with this label.
pub(crate) fn labelled(label: &[u8]) -> Subject {
    Subject::Object(Arc::new(Object {
        id: ObjectId([0xab; 16]),
        namespace: NamespaceId([1; 16]),
        private: false,
        modifiable: true,
        copyable: true,
        destroyable: true,
        label: label.to_vec(),
        identifier: Vec::new(),
        attributes: BTreeMap::new(),
        body: Body::Data { value: Vec::new().into() },
        created: Timestamp(0),
        edition: 1,
        storage: Storage::Stored,
        revision: 1,
        uses: libkmss::key::Attachment::default(),
    }))
}

/// Numbers below what is asked for, the same for each run (xorshift64).
pub(crate) fn noise(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    }
}
