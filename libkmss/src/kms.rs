//! The one object a door talks to. The only file that names implementations.

mod agent;
mod approvals;
mod backup;
mod batch;
mod blocks;
mod changes;
mod check;
mod check_book;
mod check_policies;
mod compat;
mod domains;
mod epochs;
mod home_domain;
mod identities;
mod in_device;
mod jws;
mod keeping;
mod life;
mod logins;
mod messages;
mod namespaces;
mod officer;
pub mod past;
mod policies;
mod quotas;
mod restore;
mod restore_rules;
mod rotation;
mod rules;
mod sealing;
mod seals;
mod tokens;
mod tries;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use self::backup::{Backup, BackupPlan};
pub use self::batch::{BatchItem, BatchOutcome};
pub use self::check::{NamespaceReport, StoreFinding, StoreReport};
pub use self::compat::{BusinessForm, UserKey, UserKeyKind};
pub use self::domains::{DomainStatus, DomainVersionStatus, RewrapReport};
pub use self::epochs::Epochs;
use self::identities::Identities;
pub use self::in_device::MaterialSeal;
pub use self::jws::{SignedJws, VerifiedJws};
pub use self::life::{Doomed, Fate};
use self::logins::with_keys;
pub use self::policies::{AppliedPolicy, PolicyTarget, UnsignedPolicy};
pub use self::restore::{NamespaceFate, PolicyFate, RestorePlan, RestoreReport, RestoredNamespace};
pub use self::restore_rules::{RuleFate, RuleOutcome};
pub use self::rotation::{DueRotation, RotationStep, Spent};
pub use self::seals::SealReport;
use self::tries::Tries;
use crate::audit::seal::Sealer;
use crate::audit::{AuditOptions, SegmentSink};
pub use crate::auth::Holder;
use crate::auth::PinAuthenticator;
use crate::backend::Backend;
use crate::backend::hsm::{GroupBackend, HsmBackend};
use crate::backend::soft::SoftBackend;
pub use crate::backend::soft::may_enter;
use crate::caller::{Caller, CallerParts, Login};
use crate::catalog::Catalog;
use crate::clock::{Clock, Moment, SystemClock, Timestamp};
use crate::config::{Config, PolicyTrust};
use crate::device::Devices;
use crate::error::{Error, ErrorKind, Result};
use crate::home::Home;
use crate::key::{DomainKey, KeyClass, Keyring, Object, Storage};
use crate::operation::{Draft, Hall, Operation};
use crate::os::FileMode;
use crate::pipeline::{Pipeline, Precedent, Unfinished};
use crate::policy::approval::Approvals;
use crate::policy::host::Trust;
use crate::policy::registry::Registry;
use crate::policy::{GuestEngine, RegistrySource};
use crate::principal::CurrentPrincipal;
use crate::quota::{Book, HostLedger, Quota};
use crate::random::Random;
use crate::rates::Rates;
use crate::rules::RuleBook;
use crate::seal::{Holding, HomeSeal, Seal};
use crate::store::{SqliteStore, Store};
use crate::suite::Suite;
use crate::tenant::{Namespace, ObjectId};
use crate::vault::Vault;

/// Directory of the audit segments, below the home.
const AUDIT: &str = "audit";
/// The counts of rates, below the home.
const RATES: &str = "rates";
/// The user of whoever logs in without a name.
const DEFAULT_USER: &str = "user";
/// How often a commit that somebody else was faster with is tried again.
const ATTEMPTS: u32 = 16;

/// An open home.
pub struct Kms {
    pipeline: Arc<Pipeline>,
    config: Config,
    suite: Suite,
    store: Arc<dyn Store>,
    seal: Arc<dyn Seal>,
    /// The same, as what it can do beyond wrapping.
    root_seal: Arc<HomeSeal>,
    /// The home's own domain key.
    home_key: Arc<DomainKey>,
    audit: Arc<SegmentSink>,
    sealer: Arc<Sealer>,
    auth: PinAuthenticator,
    random: Arc<dyn Random>,
    ephemeral: Arc<DomainKey>,
    /// Those of session objects.
    identities: Identities,
    principal: CurrentPrincipal,
    registry: Arc<Registry>,
    /// What is in force, loaded; tries modules before they are.
    modules: Arc<RegistrySource>,
    approvals: Arc<Approvals>,
    /// What is blocked and budgeted.
    book: Arc<Book>,
    /// The user whom the home belongs to.
    owner: u32,
    devices: Arc<Devices>,
    /// Whether the store's log may hold what was destroyed: before the first look nobody knows.
    unscrubbed: AtomicBool,
    tries: Tries,
}

/// The software engine's generator, as the core draws from it.
struct Entropy(Arc<dyn Backend>);

impl Random for Entropy {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        self.0.entropy().fill(out)
    }
}

impl Kms {
    /// Opens the home that `config` names; `None` where there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::HomeUnsafe`], [`ErrorKind::Damaged`], [`ErrorKind::TooNew`], [`ErrorKind::Storage`],
    /// [`ErrorKind::Busy`].
    pub fn open(config: &Config) -> Result<Option<Self>> {
        Self::open_with(config, Vec::new())
    }

    /// As [`Self::open`], with backends that a door brings beside the software engine and those of the configuration.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(config: &Config, more: Vec<Arc<dyn Backend>>) -> Result<Option<Self>> {
        let nothing = |e: Error| if e.kind() == ErrorKind::NotFound { Ok(None) } else { Err(e) };
        let home = match Home::open(&config.home) {
            Ok(home) => home,
            Err(e) => return nothing(e),
        };
        let devices = Arc::new(Devices::new(&config.hsms));
        let engines = engines(config, &devices, more)?;
        match HomeSeal::open(&home, Arc::clone(&engines.1), &config.hsms) {
            Ok(seal) => Self::assemble(config, &home, Arc::new(seal), (engines, devices)).map(Some),
            Err(e) => nothing(e),
        }
    }

    /// Opens the home, making it with its seal where there is none: for the caller alone (0700), or shared with `group`
    /// (2770).
    ///
    /// # Errors
    /// As [`Self::open`]; [`ErrorKind::Config`] for an unknown group.
    pub fn create(config: &Config, group: Option<&str>) -> Result<Self> {
        Self::create_with(config, group, Vec::new())
    }

    /// As [`Self::create`], with a root key that `holding` names the holder of.
    ///
    /// # Errors
    /// As [`Self::create`]; [`ErrorKind::BackendUnavailable`] where the device is not there.
    pub fn create_held(config: &Config, group: Option<&str>, holding: &Holding) -> Result<Self> {
        Self::make(config, group, (holding, Vec::new()))
    }

    /// As [`Self::create`], with backends as for [`Self::open_with`].
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_with(config: &Config, group: Option<&str>, more: Vec<Arc<dyn Backend>>) -> Result<Self> {
        Self::make(config, group, (&Holding::File, more))
    }

    fn make(config: &Config, group: Option<&str>, (holding, more): (&Holding, Vec<Arc<dyn Backend>>)) -> Result<Self> {
        let home = Home::create(&config.home, group)?;
        let devices = Arc::new(Devices::new(&config.hsms));
        let engines = engines(config, &devices, more)?;
        let seal = HomeSeal::create_or_open(&home, config.suite, Arc::clone(&engines.1), (holding, &config.hsms))?;
        Self::assemble(config, &home, Arc::new(seal), (engines, devices))
    }

    fn assemble(
        config: &Config,
        home: &Home,
        root_seal: Arc<HomeSeal>,
        ((backends, random), devices): (Engines, Arc<Devices>),
    ) -> Result<Self> {
        let seal: Arc<dyn Seal> = Arc::clone(&root_seal) as _;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let mode = FileMode::of_home(home.path())?;
        let patience = Duration::from_millis(u64::from(config.store.busy_timeout_ms));
        let store = SqliteStore::open(home.path(), mode, Arc::clone(&clock))?;
        let store: Arc<dyn Store> = Arc::new(store.with_patience(patience).with_fence(crate::domain::fence));
        let home_key = home_domain::settle(&store, &seal, random.as_ref(), clock.now())?;
        let options = AuditOptions {
            digest: config.audit.record_digest,
            random: config.audit.record_random,
            find: config.audit.record_find,
            session: config.audit.record_session_operations,
            segment_bytes: u64::from(config.audit.segment_bytes),
            segment_age: Duration::from_secs(u64::from(config.audit.segment_days) * 86_400),
            emergency_bytes: config.audit.emergency_bytes,
            ..AuditOptions::default()
        };
        let ownership = sealing::ownership(mode);
        let sealer = Arc::new(Sealer::new(
            home.path().join(AUDIT),
            Arc::clone(&ownership),
            seal.suite(),
            Arc::clone(&store),
            Arc::clone(&home_key),
            Arc::clone(&random),
            Arc::clone(&clock),
            sealing::settings(&config.audit),
        ));
        let audit = SegmentSink::new(
            home.path().join(AUDIT),
            ownership,
            seal.suite(),
            Arc::clone(&store),
            Arc::clone(&random),
            Arc::clone(&clock),
            options,
        );
        let audit = if config.audit.seal { audit.with_sealer(Arc::clone(&sealer)) } else { audit };
        let audit = Arc::new(audit);
        let rates = Arc::new(Rates::new(home.path().join(RATES), mode, Arc::clone(&random)));
        let registry = Arc::new(Registry::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key)));
        let approvals = Arc::new(Approvals::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key)));
        let quotas = config.quotas.iter().map(Quota::configured).collect::<Result<_>>()?;
        let book = Arc::new(Book::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key), quotas));
        let trust = match config.policy.trust {
            PolicyTrust::Trusted => Trust::Trusted,
            PolicyTrust::Untrusted => Trust::Untrusted,
        };
        let modules = Arc::new(RegistrySource::new(Arc::clone(&registry), home.clone(), &home_key, trust)?);
        let source = Arc::clone(&modules);
        let policy = GuestEngine::new(source, Arc::clone(&store), Arc::clone(&rates), Arc::clone(&approvals));
        let catalog = Arc::new(Catalog::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key)));
        let vault = Vault::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key));
        let rules = Arc::new(RuleBook::new(Arc::clone(&store), Arc::clone(&random), Arc::clone(&home_key)));
        let suite = seal.suite();
        let pipeline = Pipeline {
            policy: Arc::new(policy),
            quota: Arc::new(HostLedger::new(rates, Arc::clone(&book), Arc::clone(&clock))),
            audit: Arc::clone(&audit) as _,
            clock,
            store: Arc::clone(&store),
            hall: Hall { catalog, backends, vault, rules },
        };
        Ok(Self {
            unscrubbed: AtomicBool::new(true),
            tries: Tries::default(),
            principal: CurrentPrincipal::new(pipeline.clock.monotonic()),
            pipeline: Arc::new(pipeline),
            config: config.clone(),
            suite,
            auth: PinAuthenticator::new(Arc::clone(&store), Arc::clone(&seal), Arc::clone(&random), config.pin)
                .with_devices(Arc::clone(&devices)),
            seal,
            root_seal,
            store,
            home_key,
            audit,
            sealer,
            ephemeral: Arc::new(DomainKey::ephemeral(suite, random.as_ref())?),
            random,
            identities: Identities::default(),
            registry,
            modules,
            approvals,
            book,
            owner: mode.owner,
            devices,
        })
    }

    /// The suite of the home.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.pipeline.clock.now()
    }

    /// A number that moves when anything cached may be stale; costs about a nanosecond.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.store.generation()
    }

    /// An unauthenticated caller in `namespace`. `session` is the door's number for its session, for the audit.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the namespace has been made anew since it was read.
    pub fn enter(&self, namespace: &Namespace, session: u64) -> Result<Caller> {
        let public = self.auth.public_domain_key(namespace)?;
        let caller = self.caller(namespace, public, session)?;
        Ok(with_keys(&caller, Login::None, self.unasked(namespace)?, None))
    }

    fn caller(&self, namespace: &Namespace, public: Arc<DomainKey>, session: u64) -> Result<Caller> {
        let _ = self.principal.has_changed(self.pipeline.clock.monotonic());
        let ephemeral = Arc::clone(&self.ephemeral);
        Ok(Caller::from(CallerParts {
            principal: self.principal.of(&self.config, namespace)?,
            namespace: Arc::new(namespace.clone()),
            login: Login::None,
            keyring: Arc::new(Keyring { public, private: None, ephemeral, officer: None }),
            session,
            authenticated: self.now(),
        }))
    }

    /// A draft with an id of its own.
    ///
    /// # Errors
    /// The random source fails.
    pub fn draft(&self, storage: Storage) -> Result<Draft> {
        let id = match storage {
            Storage::Stored => self.fresh_object()?,
            Storage::Ephemeral => self.identities.next(self.random.as_ref())?,
        };
        Ok(Draft::new(id, storage))
    }

    /// Begins an operation.
    ///
    /// # Errors
    /// See [`Pipeline::begin`].
    pub fn begin<O: Operation>(&self, caller: &Caller, operation: O) -> Result<Unfinished<O::Running>> {
        self.begin_after(None, caller, operation)
    }

    /// As [`Self::begin`], quicker where it is an operation like `precedent`.
    ///
    /// # Errors
    /// See [`Pipeline::begin`].
    pub fn begin_after<O: Operation>(
        &self,
        precedent: Option<Precedent>,
        caller: &Caller,
        operation: O,
    ) -> Result<Unfinished<O::Running>> {
        let moment = self.pipeline.moment_after(precedent.as_ref());
        self.pipeline.begin_after(precedent, moment, &*self.as_now(moment, caller)?, operation)
    }

    /// Performs an operation that completes at once.
    ///
    /// # Errors
    /// See [`Pipeline::perform`].
    pub fn perform<O: Operation>(&self, caller: &Caller, operation: O) -> Result<O::Running> {
        let moment = self.pipeline.moment();
        self.pipeline.perform_at(moment, &*self.as_now(moment, caller)?, operation)
    }

    /// A stored object as it is now: its attributes, never its material.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], also for private objects of a caller who has not authenticated.
    pub fn object(&self, caller: &Caller, id: ObjectId) -> Result<Arc<Object>> {
        self.pipeline.follow(caller)?;
        self.catalog().get(caller, id)
    }

    /// The stored key that `precedent` used, where it is what `caller` would find now.
    #[must_use]
    pub fn object_of(&self, precedent: &Precedent, caller: &Caller) -> Option<Arc<Object>> {
        precedent.object(&self.pipeline, caller)
    }

    /// The key with this name, of this class.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn key(&self, caller: &Caller, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>> {
        self.pipeline.follow(caller)?;
        match self.catalog().find_by_name(caller, name, class) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Where the audit segments of a home are.
    #[must_use]
    pub fn audit_directory(config: &Config) -> PathBuf {
        config.home.join(AUDIT)
    }

    /// Ends the audit segment cleanly, and gives back what was leased of quotas. The home stays usable: a later record opens a
    /// segment again.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`]: the segment is left open, as after a crash, and nothing is lost.
    pub fn close(&self) -> Result<()> {
        self.pipeline.quota.close();
        self.audit.close()
    }

    /// The caller under the name the process has now: a server's worker, forked from a master that logged in as root, acts
    /// as its own user. Users who logged in by a name of their own keep it.
    fn as_now<'a>(&self, now: Moment, caller: &'a Caller) -> Result<Cow<'a, Caller>> {
        let named = matches!(&caller.login, Login::User(name) if **name != *DEFAULT_USER) || caller.is_introduced();
        if named || !self.principal.has_changed(now.monotonic) {
            return Ok(Cow::Borrowed(caller));
        }
        let principal = self.principal.of(&self.config, &caller.namespace)?;
        Ok(Cow::Owned(caller.with(|parts| parts.principal = principal)))
    }

    fn catalog(&self) -> &Catalog {
        &self.pipeline.hall.catalog
    }

    fn fresh_object(&self) -> Result<ObjectId> {
        ObjectId::fresh(self.now(), self.random.as_ref())
    }

    fn fresh_id(&self) -> Result<[u8; 16]> {
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        Ok(id)
    }
}

/// A software engine of its own: for backends that doors bring, which compute with it what needs no secret of theirs.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] when the operating system gives no entropy.
pub fn software() -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(SoftBackend::new()?))
}

/// Backends, the software engine first, and its generator.
type Engines = (Vec<Arc<dyn Backend>>, Arc<dyn Random>);

/// The software engine with `devices`, the groups of `config` and `more` behind it, and its generator. No device is looked at
/// yet.
///
/// # Errors
/// [`ErrorKind::Config`] where two have the same name, or a group has no such member; [`ErrorKind::BackendUnavailable`] as for
/// [`software`].
fn engines(config: &Config, devices: &Devices, more: Vec<Arc<dyn Backend>>) -> Result<Engines> {
    let software: Arc<dyn Backend> = Arc::new(SoftBackend::new()?);
    let random: Arc<dyn Random> = Arc::new(Entropy(Arc::clone(&software)));
    let mut backends = vec![Arc::clone(&software)];
    for device in devices.all() {
        backends.push(Arc::new(HsmBackend::new(Arc::clone(device), Arc::clone(&software))));
    }
    for group in &config.hsm_groups {
        let member = |name: &String| {
            let unknown = || {
                let why =
                    format!("the HSM group `{}` has the member `{name}`, and no [[hsm]] is called so", group.name);
                Error::new(ErrorKind::Config, why)
            };
            devices.all().find(|device| device.name() == name).map(Arc::clone).ok_or_else(unknown)
        };
        let members = group.members.iter().map(member).collect::<Result<_>>()?;
        backends.push(Arc::new(GroupBackend::new(group, members, &software)));
    }
    backends.extend(more);
    for (place, backend) in backends.iter().enumerate() {
        if backends.iter().take(place).any(|other| other.id() == backend.id()) {
            let why =
                format!("two backends are called `{}`: rename a [[hsm]], [[hsm_group]] or [[remote]]", backend.id().0);
            return Err(Error::new(ErrorKind::Config, why));
        }
    }
    Ok((backends, random))
}
