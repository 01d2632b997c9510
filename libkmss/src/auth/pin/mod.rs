//! PINs of a namespace: of its users and of its security officer, and the domain keys they unlock.
//!
//! The public domain key is wrapped by the seal alone. The private one is wrapped per credential: by a key stretched from
//! the PIN inside, by the seal outside, so that neither the store nor the root key nor the PIN is enough alone.

mod attempt;
mod carry;
mod credential;
mod domain;
mod open;
mod reseal;
mod rotate;

use std::sync::Arc;

use zeroize::Zeroizing;

use super::rewrap::Private;
use super::{Authenticated, Authenticator, Credential, CredentialState, RewrapToken};
use crate::caller::{EXCLUSIVE_ROLES, Login};
use crate::config::PinConfig;
use crate::device::{Devices, WrappingKey};
use crate::domain::{FIRST_VERSION, Surroundings};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::store::{Batch, Commit, Condition, Op, Store, StoreKey};
use crate::tenant::Namespace;
use attempt::Outcome;
pub(crate) use carry::{Arrival, Departure};
use credential::{Record, Verdict};
use domain::Domain;

/// Name of the user who has no other.
const DEFAULT_USER: &str = "user";

/// Longest PIN in bytes (`CK_ULONG` would allow more; clients do not).
const MAX_PIN: usize = 255;
/// Longest user name in bytes.
const MAX_NAME: usize = 128;
/// Longest name of a role in bytes.
const MAX_ROLE: usize = 64;
/// Most roles of one user.
const MAX_ROLES: usize = 32;
/// Entries read at once from the store.
const PAGE: usize = 256;
/// Credentials that go in the batch which removes a namespace's keys; it has to leave room for what else it carries.
const REMOVED_AT_ONCE: usize = Batch::MAX_OPS / 2;

/// Whose credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A user; the default user has the name `user`.
    User(&'a str),
    /// The security officer.
    Officer,
}

impl<'a> Holder<'a> {
    /// The user of whoever names none.
    const DEFAULT_USER: Holder<'static> = Holder::User(DEFAULT_USER);

    const fn name(self) -> Option<&'a str> {
        match self {
            Self::User(name) => Some(name),
            Self::Officer => None,
        }
    }
}

/// PIN authentication with durable state in the store.
///
/// Wrong PINs and unknown users give the same answer by the same path (an unknown user is checked against a decoy). The
/// default user without a PIN is told so, as PKCS#11 asks. A lock-out can only show for users who exist.
pub struct PinAuthenticator {
    store: Arc<dyn Store>,
    seal: Arc<dyn Seal>,
    random: Arc<dyn Random>,
    settings: PinConfig,
    devices: Arc<Devices>,
}

impl PinAuthenticator {
    /// An authenticator over `store`, whose domain keys `seal` holds. `settings` are those of credentials made from now on.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, seal: Arc<dyn Seal>, random: Arc<dyn Random>, settings: PinConfig) -> Self {
        Self { store, seal, random, settings, devices: Arc::default() }
    }

    /// The same, with the devices that seal key material.
    #[must_use]
    pub fn with_devices(self, devices: Arc<Devices>) -> Self {
        Self { devices, ..self }
    }

    /// The batch that gives `namespace` fresh domain keys, the security officer a PIN and, where it comes along, the default user
    /// another, and removes every credential and domain key from before: what they sealed can never be opened again. For whoever writes the namespace's own
    /// record in the same commit. `device` is the key in a device that seals key material, where one does; those of before are
    /// to be destroyed ([`Self::keys_over`]).
    ///
    /// # Errors
    /// [`ErrorKind::PinInvalid`]; [`ErrorKind::ActionProhibited`] for a user's PIN where the namespace works without; those of the
    /// store and the seal.
    pub fn prepare_initialize(
        &self,
        namespace: &Namespace,
        (so_pin, user_pin): (&Secret, Option<&Secret>),
        (device, over): (Option<WrappingKey>, Vec<WrappingKey>),
    ) -> Result<Batch> {
        self.accept_pin(so_pin)?;
        if let Some(pin) = user_pin {
            self.accept_user_pin(namespace, pin)?;
        }
        let mut batch = self.prepare_remove(namespace)?;
        let place = domain::key(namespace)?;
        let secret = Secret::filled(DomainKey::SECRET_LEN, |b| self.random.fill(b))?;
        let private = Private { version: FIRST_VERSION, secret };
        let (seal, random) = (self.seal.as_ref(), self.random.as_ref());
        let (domain, record) = Domain::fresh(seal, random, namespace, &private, (device, over))?;
        batch.ops.push(Op::Put(place, record));
        let officer = self.fresh(namespace, Holder::Officer, so_pin, &private)?;
        batch.ops.push(self.write(&domain, &credential::key(namespace, &domain, Holder::Officer)?, &officer)?);
        if let Some(pin) = user_pin {
            let user = self.fresh(namespace, Holder::DEFAULT_USER, pin, &private)?;
            batch.ops.push(self.write(&domain, &credential::key(namespace, &domain, Holder::DEFAULT_USER)?, &user)?);
        }
        if namespace.settings.pinless {
            batch
                .ops
                .push(Op::Put(open::key(namespace, &domain)?, open::seal(self.seal.as_ref(), namespace, &private)?));
        }
        let decoy = Record::decoy(&self.tools(namespace))?;
        batch.ops.push(self.write(&domain, &credential::decoy_key(namespace, &domain)?, &decoy)?);
        Ok(batch)
    }

    /// Gives `namespace` fresh domain keys and the security officer a PIN; see [`Self::prepare_initialize`].
    ///
    /// # Errors
    /// As [`Self::prepare_initialize`]; [`ErrorKind::Conflict`] when somebody else did so at the same time.
    pub fn initialize(&self, namespace: &Namespace, so_pin: &Secret) -> Result<()> {
        self.apply(&self.prepare_initialize(namespace, (so_pin, None), (None, Vec::new()))?)
    }

    /// The batch that removes the domain keys of `namespace` as they are now, with as many credentials as fit. The others are sealed under
    /// the public domain key, so that they die with it; [`Self::set_user_pin`] clears them away.
    ///
    /// # Errors
    /// Those of the store.
    pub fn prepare_remove(&self, namespace: &Namespace) -> Result<Batch> {
        let place = domain::key(namespace)?;
        let conditions = vec![match self.store.get(&place)? {
            Some(entry) => Condition::Version(place.clone(), entry.version),
            None => Condition::Absent(place.clone()),
        }];
        let found = self.store.scan(&everything_of(namespace), None, REMOVED_AT_ONCE)?;
        let credentials = found.into_iter().map(|(key, _)| key).filter(|key| *key != place);
        let ops = std::iter::once(place.clone()).chain(credentials).map(Op::Delete).collect();
        Ok(Batch { conditions, ops, invalidates: true })
    }

    /// Removes credentials of former editions of `namespace`, which nothing opens any more.
    fn sweep(&self, namespace: &Namespace, domain: &Domain) -> Result<()> {
        let (place, current) = (domain::key(namespace)?, credential::prefix(namespace, domain));
        let mut dead = Vec::new();
        self.each(&everything_of(namespace), |key, _| {
            if key != place && !key.as_str().starts_with(&current) {
                dead.push(Op::Delete(key));
            }
            Ok(())
        })?;
        let conditions = vec![Condition::Version(place, domain.revision)];
        for ops in dead.chunks(Batch::MAX_OPS) {
            self.apply(&Batch { conditions: conditions.clone(), ops: ops.to_vec(), invalidates: false })?;
        }
        Ok(())
    }

    /// The domain key for what everybody who can open the home may see of `namespace`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it was never initialised, [`ErrorKind::Conflict`] when it has been initialised anew
    /// since `namespace` was read, [`ErrorKind::Damaged`], [`ErrorKind::TooNew`].
    pub fn public_domain_key(&self, namespace: &Namespace) -> Result<Arc<DomainKey>> {
        Ok(self.domain(namespace)?.public)
    }

    /// The private domain key of a namespace that works without PINs: whoever can open the home has it.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where the namespace was made with PINs, and those of [`Self::public_domain_key`].
    pub fn open_private_domain_key(&self, namespace: &Namespace) -> Result<Arc<DomainKey>> {
        let domain = self.domain(namespace)?;
        let entry = self.store.get(&open::key(namespace, &domain)?)?.ok_or_else(open::missing)?;
        domain.private(self.surroundings(), &open::open(self.seal.as_ref(), namespace, &entry.value)?)
    }

    /// Gives `user` the PIN `new_pin` (`C_InitPIN`), making the user where there is none. The private domain key stays
    /// what it is, so every object is kept. Attempts start anew.
    ///
    /// # Errors
    /// [`ErrorKind::PinInvalid`], [`ErrorKind::Arguments`] for an unacceptable name, [`ErrorKind::NotLoggedIn`] when
    /// `officer` logged in to another namespace or before it was initialised anew.
    pub fn set_user_pin(
        &self,
        namespace: &Namespace,
        officer: &RewrapToken,
        user: &str,
        new_pin: &Secret,
    ) -> Result<()> {
        accept_name(user)?;
        self.accept_user_pin(namespace, new_pin)?;
        let domain = self.domain(namespace)?;
        domain.admits(namespace, officer)?;
        let mut record = self.fresh(namespace, Holder::User(user), new_pin, &officer.private)?;
        let key = credential::key(namespace, &domain, Holder::User(user))?;
        if let Some(entry) = self.store.get(&key)? {
            record.roles = Record::open(&domain.public, &key, &entry.value)?.roles;
        }
        let place = domain::key(namespace)?;
        self.apply(&Batch {
            conditions: std::iter::once(Condition::Version(place, domain.revision)).chain(record.fence()).collect(),
            ops: vec![self.write(&domain, &key, &record)?],
            invalidates: true,
        })?;
        if let Err(error) = self.sweep(namespace, &domain) {
            tracing::warn!(namespace = %namespace.id, %error, "credentials of a former edition were left behind");
        }
        Ok(())
    }

    fn accept_user_pin(&self, namespace: &Namespace, pin: &Secret) -> Result<()> {
        self.accept_pin(pin)?;
        if namespace.settings.pinless {
            let why = format!("the namespace `{namespace}` works without PINs: its users have none");
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        Ok(())
    }

    /// Checks the security officer's PIN and gives the private domain key for managing objects: listing, changing states,
    /// destroying. That they are not used is the pipeline's to enforce.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`].
    pub fn administer(&self, namespace: &Namespace, pin: &Secret) -> Result<Arc<DomainKey>> {
        let domain = self.domain(namespace)?;
        let (key, record, private) = self.attempt(namespace, &domain, Holder::Officer, pin)?;
        let opened = domain.private(self.surroundings(), &private)?;
        self.conclude(&domain, &key, &record, &Outcome::Right)?;
        Ok(opened)
    }

    /// Replaces `holder`'s PIN `old` by `new` (`C_SetPIN`). The old one is counted and checked like a login.
    ///
    /// # Errors
    /// [`ErrorKind::PinInvalid`] (nothing is counted then), and those of [`Authenticator::authenticate`].
    pub fn change_pin(&self, namespace: &Namespace, holder: Holder<'_>, old: &Secret, new: &Secret) -> Result<()> {
        self.accept_pin(new)?;
        let domain = self.domain(namespace)?;
        let (key, record, private) = self.attempt(namespace, &domain, holder, old)?;
        let mut renewed = self.fresh(namespace, holder, new, &private)?;
        renewed.roles.clone_from(&record.roles);
        self.conclude(&domain, &key, &record, &Outcome::Renewed(renewed))
    }

    /// What may be known of `holder`'s credential without showing it.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn state(&self, namespace: &Namespace, holder: Holder<'_>) -> Result<CredentialState> {
        let domain = self.domain(namespace)?;
        let key = credential::key(namespace, &domain, holder)?;
        let Some(entry) = self.store.get(&key)? else { return Ok(CredentialState::default()) };
        Ok(Record::open(&domain.public, &key, &entry.value)?.state())
    }

    /// Lets `user` try again after a lock-out; the PIN stays.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown user; [`ErrorKind::NotLoggedIn`] as in [`Self::set_user_pin`].
    pub fn unlock(&self, namespace: &Namespace, officer: &RewrapToken, user: &str) -> Result<()> {
        let domain = self.domain(namespace)?;
        domain.admits(namespace, officer)?;
        let key = credential::key(namespace, &domain, Holder::User(user))?;
        let entry = self.store.get(&key)?.ok_or_else(|| unknown(user))?;
        let record = Record::open(&domain.public, &key, &entry.value)?;
        self.conclude(&domain, &key, &record, &Outcome::Unlocked)
    }

    /// Gives `user` these roles and no others; they hold from the next login on.
    ///
    /// # Errors
    /// As [`Self::unlock`]; [`ErrorKind::Arguments`] for what is no name of a role, or for two roles that exclude each
    /// other.
    pub fn set_roles(&self, namespace: &Namespace, officer: &RewrapToken, user: &str, roles: &[String]) -> Result<()> {
        accept_roles(roles)?;
        if user == DEFAULT_USER {
            let why = "the default user is whoever the process runs as: the configuration's [[principal]] rules give it roles";
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let domain = self.domain(namespace)?;
        domain.admits(namespace, officer)?;
        let key = credential::key(namespace, &domain, Holder::User(user))?;
        let entry = self.store.get(&key)?.ok_or_else(|| unknown(user))?;
        let record = Record::open(&domain.public, &key, &entry.value)?;
        self.conclude(&domain, &key, &record, &Outcome::Appointed(roles.to_vec()))
    }

    /// The roles of `user`.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`]; [`ErrorKind::NotFound`] for an unknown user.
    pub fn roles(&self, namespace: &Namespace, user: &str) -> Result<Vec<String>> {
        let domain = self.domain(namespace)?;
        let key = credential::key(namespace, &domain, Holder::User(user))?;
        let entry = self.store.get(&key)?.ok_or_else(|| unknown(user))?;
        Ok(Record::open(&domain.public, &key, &entry.value)?.roles)
    }

    /// Takes the user `user` away. Objects stay; another user can reach them.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn remove_user(&self, namespace: &Namespace, officer: &RewrapToken, user: &str) -> Result<()> {
        let domain = self.domain(namespace)?;
        domain.admits(namespace, officer)?;
        let key = credential::key(namespace, &domain, Holder::User(user))?;
        self.store.get(&key)?.ok_or_else(|| unknown(user))?;
        self.apply(&Batch {
            conditions: vec![Condition::Version(domain::key(namespace)?, domain.revision)],
            ops: vec![Op::Delete(key)],
            invalidates: true,
        })
    }

    /// The names of the users who have a PIN, in order.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn users(&self, namespace: &Namespace) -> Result<Vec<String>> {
        let domain = self.domain(namespace)?;
        let mut names = Vec::new();
        self.each(&credential::users_prefix(namespace, &domain), |key, value| {
            names.extend(Record::open(&domain.public, &key, &value)?.user());
            Ok(())
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn domain(&self, namespace: &Namespace) -> Result<Domain> {
        Domain::open(self.surroundings(), namespace)
    }

    const fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { store: &self.store, seal: &self.seal, devices: &self.devices }
    }

    fn tools<'a>(&'a self, namespace: &'a Namespace) -> credential::Tools<'a> {
        credential::Tools { seal: self.seal.as_ref(), random: self.random.as_ref(), namespace }
    }

    fn fresh(&self, namespace: &Namespace, holder: Holder<'_>, pin: &Secret, private: &Private) -> Result<Record> {
        Record::fresh(&self.tools(namespace), holder, pin, private, self.settings.max_attempts)
    }

    fn write(&self, domain: &Domain, key: &StoreKey, record: &Record) -> Result<Op> {
        Ok(Op::Put(key.clone(), record.seal(&domain.public, self.random.as_ref(), key)?))
    }

    /// Counts an attempt of `holder`, then checks `pin`. On success the attempt is still open: conclude it.
    fn attempt(
        &self,
        namespace: &Namespace,
        domain: &Domain,
        holder: Holder<'_>,
        pin: &Secret,
    ) -> Result<(StoreKey, Record, Private)> {
        let mut key = credential::key(namespace, domain, holder)?;
        if self.store.get(&key)?.is_none() {
            if holder == Holder::DEFAULT_USER {
                return Err(Error::new(
                    ErrorKind::PinNotInitialized,
                    format!("the user of `{namespace}` has no PIN yet: the security officer must set one"),
                ));
            }
            key = credential::decoy_key(namespace, domain)?;
        }
        let record = self.count(domain, &key)?;
        match record.check(&self.tools(namespace), pin) {
            Ok(Verdict::Right(private)) => Ok((key, record, private)),
            Ok(Verdict::Wrong) => {
                self.conclude(domain, &key, &record, &Outcome::Wrong)?;
                Err(Error::new(ErrorKind::PinIncorrect, "the user or the PIN is wrong"))
            }
            Err(e) => {
                // Nothing was learnt of the PIN, so an outage of the seal locks nobody out.
                self.conclude(domain, &key, &record, &Outcome::Unchecked)?;
                Err(e)
            }
        }
    }

    fn accept_pin(&self, pin: &Secret) -> Result<()> {
        let shortest = usize::try_from(self.settings.min_length).unwrap_or(MAX_PIN).min(MAX_PIN);
        if (shortest..=MAX_PIN).contains(&pin.len()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::PinInvalid, format!("a PIN has {shortest} to {MAX_PIN} bytes")))
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        match self.store.commit(batch)? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(Error::new(
                ErrorKind::Conflict,
                "somebody else changed the credentials at the same time: look again and repeat",
            )),
        }
    }

    fn each(&self, prefix: &str, mut f: impl FnMut(StoreKey, Zeroizing<Vec<u8>>) -> Result<()>) -> Result<()> {
        let mut after: Option<StoreKey> = None;
        loop {
            let page = self.store.scan(prefix, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, entry) in page {
                f(key, Zeroizing::new(entry.value))?;
            }
        }
    }
}

impl Authenticator for PinAuthenticator {
    fn authenticate(&self, namespace: &Namespace, credential: &Credential<'_>) -> Result<Authenticated> {
        let (holder, pin) = match credential {
            Credential::UserPin { name, pin } => (Holder::User(name), *pin),
            Credential::OfficerPin(pin) => (Holder::Officer, *pin),
        };
        if namespace.settings.pinless && holder == Holder::DEFAULT_USER {
            // There is no PIN that could be wrong; clients that always log in get what everybody has.
            let private = Some(self.open_private_domain_key(namespace)?);
            return Ok(Authenticated {
                login: Login::User(DEFAULT_USER.into()),
                private,
                rewrap: None,
                roles: Vec::new(),
            });
        }
        let domain = self.domain(namespace)?;
        let (key, record, private) = self.attempt(namespace, &domain, holder, pin)?;
        let authenticated = match holder {
            Holder::User(name) => Authenticated {
                login: Login::User(name.into()),
                private: Some(domain.private(self.surroundings(), &private)?),
                rewrap: None,
                roles: record.roles.clone(),
            },
            Holder::Officer => Authenticated {
                login: Login::SecurityOfficer,
                private: None,
                rewrap: Some(Arc::new(RewrapToken { namespace: namespace.id, edition: domain.edition, private })),
                roles: Vec::new(),
            },
        };
        self.conclude(&domain, &key, &record, &Outcome::Right)?;
        Ok(authenticated)
    }
}

impl std::fmt::Debug for PinAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PinAuthenticator({:?})", self.settings)
    }
}

/// The names of logins that are not users must not be taken by users: the audit would confuse them.
fn accept_name(name: &str) -> Result<()> {
    let plain = !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    if plain && name != Login::None.name() && name != Login::SecurityOfficer.name() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Arguments,
        format!("a user name has 1 to {MAX_NAME} bytes without control characters and is neither `so` nor `none`"),
    ))
}

/// Names of roles as policies write them; of the built-in ones at most one.
fn accept_roles(roles: &[String]) -> Result<()> {
    let plain = |role: &String| {
        let word = role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        word && (1..=MAX_ROLE).contains(&role.len())
    };
    if roles.len() > MAX_ROLES || !roles.iter().all(plain) {
        let why = format!(
            "a user has at most {MAX_ROLES} roles, each of 1 to {MAX_ROLE} lower-case letters, digits, `-`, `_` or `.`"
        );
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    if roles.iter().filter(|role| EXCLUSIVE_ROLES.contains(&role.as_str())).count() > 1 {
        let why =
            format!("nobody holds two of the roles {}", EXCLUSIVE_ROLES.map(|role| format!("`{role}`")).join(", "));
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok(())
}

/// Where the domain key and the credentials of `namespace` are.
fn everything_of(namespace: &Namespace) -> String {
    format!("auth/{}/", namespace.id)
}

fn unknown(user: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no user `{}`", user.escape_debug()))
}

#[cfg(test)]
mod tests;
