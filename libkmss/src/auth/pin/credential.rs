//! One credential: the private domain key wrapped under a PIN, and the attempts made on it.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::domain::{Domain, other_format};
use super::{CredentialState, Holder};
use crate::auth::rewrap::Private;
use crate::domain::FIRST_VERSION;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::store::{Condition, StoreKey};
use crate::suite::{Aead, NONCE_LEN, Suite, TAG_LEN};
use crate::tenant::Namespace;

/// Format of the record; its first byte. The version of the public domain key follows.
const FORMAT: u8 = 2;
/// The format of records under the first version, which name none.
const FIRST_FORMAT: u8 = 1;
/// Length of a salt in bytes (RFC 9106, 3.1).
const SALT_LEN: usize = 16;
/// What the decoy, which belongs to nobody, is called.
const DECOY: &str = "";

/// What the functions here need of their surroundings.
pub(super) struct Tools<'a> {
    pub(super) seal: &'a dyn Seal,
    pub(super) random: &'a dyn Random,
    pub(super) namespace: &'a Namespace,
}

/// The price of one guess (Argon2id, RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Cost {
    /// Memory in KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// 19 MiB and two passes on one lane.
const COST: Cost = Cost { memory: 19 * 1024, passes: 2, lanes: 1 };

/// What the store keeps of a credential, sealed under the public domain key.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The user; `None` for the security officer.
    name: Option<String>,
    /// Wrong attempts since the last success.
    pub(super) failures: u32,
    /// Attempts counted and not yet decided; those of a process that died stay, and count as wrong.
    pub(super) pending: u32,
    /// Attempts allowed.
    pub(super) limit: u32,
    cost: Cost,
    // Random and never reused, so it also tells whether a credential is still the same.
    pub(super) salt: ByteBuf,
    /// Version of the private domain key.
    version: u32,
    /// The private domain key: sealed under the PIN, then by the seal.
    wrapped: ByteBuf,
    /// What the security officer says the user is, for policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<String>,
}

/// What a PIN turned out to be.
pub(super) enum Verdict {
    /// The PIN opens the private domain key.
    Right(Private),
    /// It does not.
    Wrong,
}

/// Where users' credentials are. Editions keep apart, so that nothing written during a new initialisation lands in it.
pub(super) fn users_prefix(namespace: &Namespace, domain: &Domain) -> String {
    format!("{}user/", prefix(namespace, domain))
}

/// Where all credentials of this edition are.
pub(super) fn prefix(namespace: &Namespace, domain: &Domain) -> String {
    prefix_of(namespace, &domain.edition)
}

/// Where all credentials of `edition` are.
pub(super) fn prefix_of(namespace: &Namespace, edition: &[u8]) -> String {
    format!("auth/{}/{}/", namespace.id, hex(edition))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Where the credential of `holder` is. Names of users are hidden.
pub(super) fn key(namespace: &Namespace, domain: &Domain, holder: Holder<'_>) -> Result<StoreKey> {
    let Some(name) = holder.name() else { return StoreKey::new(prefix(namespace, domain) + "so") };
    let term = domain.public.index_term("auth user", name.as_bytes())?;
    StoreKey::new(users_prefix(namespace, domain) + &hex(&term))
}

/// Where the decoy is: among the users, where a thief cannot tell it from them.
pub(super) fn decoy_key(namespace: &Namespace, domain: &Domain) -> Result<StoreKey> {
    key(namespace, domain, Holder::User(DECOY))
}

impl Record {
    /// A credential that opens `private` to `pin`.
    pub(super) fn fresh(
        tools: &Tools<'_>,
        holder: Holder<'_>,
        pin: &Secret,
        private: &Private,
        limit: u32,
    ) -> Result<Self> {
        let mut salt = [0; SALT_LEN];
        tools.random.fill(&mut salt)?;
        let stretched = stretch(pin, &salt, COST)?;
        Self::wrap(tools, holder, &stretched, salt, private, limit)
    }

    /// A credential that nothing opens and nothing locks.
    pub(super) fn decoy(tools: &Tools<'_>) -> Result<Self> {
        let random = || Secret::filled(DomainKey::SECRET_LEN, |b| tools.random.fill(b));
        let mut salt = [0; SALT_LEN];
        tools.random.fill(&mut salt)?;
        let private = Private { version: FIRST_VERSION, secret: random()? };
        Self::wrap(tools, Holder::User(DECOY), &random()?, salt, &private, u32::MAX)
    }

    fn wrap(
        tools: &Tools<'_>,
        holder: Holder<'_>,
        stretched: &Secret,
        salt: [u8; SALT_LEN],
        private: &Private,
        limit: u32,
    ) -> Result<Self> {
        let context = context(tools.namespace, holder.name(), private.version);
        let mut nonce = [0; NONCE_LEN];
        tools.random.fill(&mut nonce)?;
        let mut inner = Vec::with_capacity(NONCE_LEN + private.secret.len() + TAG_LEN);
        inner.extend_from_slice(&nonce);
        pin_aead(tools.seal.suite(), stretched)?.seal(
            &nonce,
            context.as_bytes(),
            private.secret.expose(),
            &mut inner,
        )?;
        Ok(Self {
            name: holder.name().map(str::to_owned),
            failures: 0,
            pending: 0,
            limit,
            cost: COST,
            salt: ByteBuf::from(salt),
            version: private.version,
            wrapped: ByteBuf::from(tools.seal.wrap(&context, &Secret::new(inner))?),
            roles: Vec::new(),
        })
    }

    /// Wraps it anew, where another root key than the present one did; whether that was so.
    ///
    /// # Errors
    /// Those of the seal.
    pub(super) fn rewrap(&mut self, tools: &Tools<'_>) -> Result<bool> {
        if tools.seal.wraps_like(&self.wrapped)? {
            return Ok(false);
        }
        let context = context(tools.namespace, self.name.as_deref(), self.version);
        let inner = tools.seal.unwrap(&context, &self.wrapped)?;
        self.wrapped = ByteBuf::from(tools.seal.wrap(&context, &inner)?);
        Ok(true)
    }

    /// Takes the wrapping of the seal away: what the PIN opens is all that is left.
    ///
    /// # Errors
    /// Those of the seal.
    pub(super) fn unwrap(&mut self, tools: &Tools<'_>) -> Result<()> {
        let context = context(tools.namespace, self.name.as_deref(), self.version);
        self.wrapped = ByteBuf::from(tools.seal.unwrap(&context, &self.wrapped)?.expose());
        Ok(())
    }

    /// Wraps what [`Self::unwrap`] left. Attempts that were under way elsewhere count as wrong.
    ///
    /// # Errors
    /// Those of the seal.
    pub(super) fn wrap_again(&mut self, tools: &Tools<'_>) -> Result<()> {
        let context = context(tools.namespace, self.name.as_deref(), self.version);
        self.wrapped = ByteBuf::from(tools.seal.wrap(&context, &Secret::copy_of(&self.wrapped))?);
        if self.limit != u32::MAX {
            self.failures = self.failures.saturating_add(self.pending).min(self.limit);
        }
        self.pending = 0;
        Ok(())
    }

    /// What must be so for it to be written: that the root key which wrapped it is not over.
    pub(super) fn fence(&self) -> Option<Condition> {
        crate::seal::marker(&self.wrapped).map(Condition::Absent)
    }

    /// Checks `pin`. Takes the same time for a wrong PIN and for the decoy.
    ///
    /// # Errors
    /// Those of the seal; [`ErrorKind::Busy`] when there is not enough memory.
    pub(super) fn check(&self, tools: &Tools<'_>, pin: &Secret) -> Result<Verdict> {
        let context = context(tools.namespace, self.name.as_deref(), self.version);
        let inner = tools.seal.unwrap(&context, &self.wrapped)?;
        let (nonce, body) = inner.expose().split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let stretched = stretch(pin, &self.salt, self.cost)?;
        match pin_aead(tools.seal.suite(), &stretched)?.open(nonce, context.as_bytes(), body) {
            Ok(secret) => Ok(Verdict::Right(Private { version: self.version, secret })),
            Err(e) if e.kind() == ErrorKind::Damaged => Ok(Verdict::Wrong),
            Err(e) => Err(e),
        }
    }

    /// The record as the store keeps it at `key`.
    pub(super) fn seal(&self, public: &DomainKey, random: &dyn Random, key: &StoreKey) -> Result<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(512));
        ciborium::into_writer(self, &mut *plain)
            .map_err(|e| Error::new(ErrorKind::Internal, "a credential cannot be written").with_source(e))?;
        let version = public.newest()?;
        let head = head(version.number());
        let sealed = version.seal_record(random, &record_context(key, &head), &plain)?;
        Ok([head.as_slice(), &sealed].concat())
    }

    /// The record at `key`.
    pub(super) fn open(public: &DomainKey, key: &StoreKey, value: &[u8]) -> Result<Self> {
        let version = match value.split_first().ok_or_else(damaged)? {
            (&FIRST_FORMAT, _) => FIRST_VERSION,
            (&FORMAT, rest) => u32::from_be_bytes(*rest.first_chunk().ok_or_else(damaged)?),
            (format, _) => return Err(other_format(*format, FORMAT, "credential")),
        };
        let head = head(version);
        let sealed = value.strip_prefix(head.as_slice()).ok_or_else(damaged)?;
        let plain = public.version(version)?.open_record(&record_context(key, &head), sealed)?;
        let record: Self = ciborium::from_reader(plain.expose()).map_err(|e| damaged().with_source(e))?;
        let Cost { memory, passes, lanes } = record.cost;
        // Bounds against a record that would cost nothing to guess at, or the host's memory to check.
        let sound = (COST.memory..=1 << 20).contains(&memory)
            && (COST.passes..=64).contains(&passes)
            && (1..=16).contains(&lanes)
            && record.salt.len() == SALT_LEN
            && record.limit > 0;
        if sound { Ok(record) } else { Err(damaged()) }
    }

    pub(super) fn state(&self) -> CredentialState {
        let failures = self.failures.saturating_add(self.pending).min(self.limit);
        CredentialState { initialized: true, failures, remaining: self.limit - failures }
    }

    /// The user's name, unless it is the officer's credential or the decoy.
    pub(super) fn user(self) -> Option<String> {
        self.name.filter(|name| name != DECOY)
    }
}

fn context(namespace: &Namespace, user: Option<&str>, version: u32) -> String {
    let (id, incarnation) = (namespace.id, namespace.incarnation);
    match user {
        Some(name) => format!("domain/{id}/{incarnation}/{version}/private/user/{name}"),
        None => format!("domain/{id}/{incarnation}/{version}/private/so"),
    }
}

/// What a record begins with.
fn head(version: u32) -> Vec<u8> {
    match version {
        ..=FIRST_VERSION => vec![FIRST_FORMAT],
        later => [&[FORMAT], later.to_be_bytes().as_slice()].concat(),
    }
}

fn record_context(key: &StoreKey, head: &[u8]) -> Vec<u8> {
    // That of the first version names no head.
    let head = if head == [FIRST_FORMAT] { &[] } else { head };
    [b"kmss/1 credential\0", key.as_str().as_bytes(), head].concat()
}

/// The key that a PIN is stretched into.
fn stretch(pin: &Secret, salt: &[u8], cost: Cost) -> Result<Secret> {
    let refused = |e| Error::new(ErrorKind::Internal, "argon2 refused its parameters").with_source(e);
    let params = Params::new(cost.memory, cost.passes, cost.lanes, None).map_err(refused)?;
    // Our own memory: wiped afterwards, and an error instead of an abort in a host that has none left.
    let mut blocks = Zeroizing::new(Vec::new());
    blocks
        .try_reserve_exact(params.block_count())
        .map_err(|e| Error::new(ErrorKind::Busy, "not enough memory to check a PIN: try again later").with_source(e))?;
    blocks.resize(params.block_count(), Block::default());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Secret::filled(DomainKey::SECRET_LEN, |out| {
        argon2.hash_password_into_with_memory(pin.expose(), salt, out, blocks.as_mut_slice()).map_err(refused)
    })
}

fn pin_aead(suite: Suite, stretched: &Secret) -> Result<Aead> {
    Aead::new(suite, &suite.expand(stretched, b"kmss/1 pin", suite.aead_key_len())?)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "a credential is damaged")
}
