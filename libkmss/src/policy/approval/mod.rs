//! Approvals: M of N holders of a role say yes to one operation, or for a while where the policy says so.
//!
//! An operation that lacks them leaves a request behind, which approvers see and name. Requests and approvals are sealed
//! under the home's domain key to their places, bound to the store and its epoch, the namespace, the key and its version, the
//! action, the mechanism, the requester, a nonce and the data's digest. They are spent in the commit that the operation
//! makes before it computes.

mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use record::{DataDigest, Half, RequestId, Wanted, WantedKey};

use self::record::{Approval, Pending, StoreIdentity};
use super::registry::Place;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision, Store, StoreKey};
use crate::tenant::NamespaceId;

/// For how many milliseconds a request waits for its approvals.
const LIFE: u64 = 24 * 3_600_000;
/// For how many milliseconds the other half of a pair may follow the first.
const SECOND_HALF: u64 = 600_000;
/// Most requests that wait in a namespace.
const MOST: usize = if cfg!(test) { 48 } else { 256 };
/// Most requests of one requester that wait in a namespace; the oldest gives way.
const MOST_OF_ONE: usize = 16;
/// Most approvals of a request that are looked at.
const MOST_APPROVALS: usize = 64;
/// Most approvals that a policy may ask for.
pub(crate) const MOST_NEEDED: u8 = 16;
/// Expired requests whose approvals are cleared away in one go.
const CLEARED: usize = 4;
/// Tries to settle something with other processes.
const ATTEMPTS: u32 = 8;

/// The requests and approvals of a home.
pub struct Approvals {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
}

/// Whether an operation has its approvals.
#[derive(Debug)]
#[must_use]
pub enum Quorum {
    /// It has; they are spent by committing this.
    Met(Spending),
    /// It has not.
    Lacking {
        /// What approvers name; absent where too many requests wait already.
        request: Option<RequestId>,
        /// How many have approved.
        given: u8,
    },
}

/// Approvals about to be spent.
#[derive(Debug)]
pub struct Spending {
    /// Who approved.
    pub approvers: Vec<String>,
    /// What must be so, and what then becomes of the request; nothing where they hold for a while.
    change: Option<(Condition, Op)>,
    /// What counts no more then.
    rest: Vec<StoreKey>,
}

impl Spending {
    /// Adds what spends them to `batch`: nothing, where they hold for a while. Where its commit conflicts, somebody else
    /// spent them.
    pub fn spend(&mut self, batch: &mut Batch) {
        if let Some((condition, op)) = self.change.take() {
            batch.conditions.push(condition);
            batch.ops.push(op);
        }
    }

    /// Clears away what is left of them, as far as there is room in `batch`.
    pub fn tidy(self, batch: &mut Batch) {
        let room = Batch::MAX_OPS.saturating_sub(batch.ops.len());
        batch.ops.extend(self.rest.into_iter().take(room).map(Op::Delete));
    }
}

/// A request as approvers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// What to name it by.
    pub id: RequestId,
    /// Who wants what.
    pub wanted: Wanted,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when it waits.
    pub expires: Timestamp,
    /// Whose approvals count now.
    pub approvers: Vec<String>,
}

impl Approvals {
    /// The approvals in `store`. `home` seals their records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        Self { store, random, home }
    }

    /// Looks for the approvals of what is `wanted`. Where they are lacking, the request is kept for approvers to see. What was
    /// approved for a pair serves each `half` once.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store; the operation must be denied then.
    pub fn look(&self, wanted: &Wanted, half: Option<Half>, now: Timestamp) -> Result<Quorum> {
        if wanted.approvals == 0 || wanted.approvals > MOST_NEEDED {
            let why = format!("a policy asks for {} approvals, and 1 to {MOST_NEEDED} can be given", wanted.approvals);
            return Err(Error::new(ErrorKind::Denied, why));
        }
        let id = wanted.id(&self.identity()?)?;
        let namespace = wanted.place.namespace;
        let Some((pending, revision)) = self.pending(namespace, id)? else { return self.ask(id, wanted, now) };
        if !pending.serves(half, now) {
            return self.ask(id, wanted, now);
        }
        let mut counted = self.approvals(namespace, id)?;
        let all: Vec<StoreKey> = counted.iter().map(|(path, ..)| path.clone()).collect();
        counted.retain(|(_, approval, _)| approval.counts(&pending, now));
        let needed = usize::from(wanted.approvals);
        if counted.len() < needed {
            let given = u8::try_from(counted.len()).unwrap_or(u8::MAX);
            return Ok(Quorum::Lacking { request: Some(id), given });
        }
        counted.truncate(needed);
        let approvers = counted.into_iter().map(|(_, approval, _)| approval.approver).collect();
        if wanted.window != 0 {
            return Ok(Quorum::Met(Spending { approvers, change: None, rest: Vec::new() }));
        }
        let path = pending_path(namespace, id)?;
        let condition = Condition::Version(path.clone(), revision);
        if half.is_some() && pending.spent.is_none() {
            let expires = pending.expires.min(Timestamp(now.0.saturating_add(SECOND_HALF)));
            let left = Pending { spent: half, expires, ..pending };
            let op = Op::Put(path.clone(), sealed::seal_value(&self.home, &*self.random, &path, &left)?);
            return Ok(Quorum::Met(Spending { approvers, change: Some((condition, op)), rest: Vec::new() }));
        }
        // Without the request and its nonce no approval of it counts any more; the others are tidiness.
        Ok(Quorum::Met(Spending { approvers, change: Some((condition, Op::Delete(path))), rest: all }))
    }

    /// The requests that wait in `place`, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn waiting(&self, place: Place, now: Timestamp) -> Result<Vec<OpenRequest>> {
        let mut waiting = Vec::new();
        for (path, pending, _) in self.all_pending(place.namespace)? {
            if pending.wanted.place != place || !pending.is_open(now) {
                continue;
            }
            let id = path.as_str().rsplit('/').next().unwrap_or_default().parse()?;
            waiting.push(self.described(id, pending, now)?);
        }
        waiting.sort_by_key(|request| request.created);
        Ok(waiting)
    }

    /// `approver`, who holds `roles`, approves a request of `place`. Who says which `data` (SHA-256) they approve approves no
    /// other.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown or expired request; [`ErrorKind::Denied`] for the requester, for whoever does not
    /// hold the role, and for other data; [`ErrorKind::AlreadyExists`] for whoever has approved it; [`ErrorKind::Conflict`].
    pub fn approve(
        &self,
        place: Place,
        (id, data): (RequestId, Option<[u8; 32]>),
        approver: &str,
        roles: &[String],
        now: Timestamp,
    ) -> Result<OpenRequest> {
        let found = self.pending(place.namespace, id)?.filter(|(p, _)| p.wanted.place == place && p.is_open(now));
        let (pending, revision) =
            found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no request `{id}` waits for approval")))?;
        let wanted = &pending.wanted;
        if wanted.requester == approver {
            return Err(Error::new(ErrorKind::Denied, "nobody approves a request of their own"));
        }
        if !roles.contains(&wanted.role) {
            let why = format!("`{approver}` does not hold role `{}`, which this request asks for", wanted.role);
            return Err(Error::new(ErrorKind::Denied, why));
        }
        if data.is_some_and(|data| wanted.data.is_none_or(|wanted| *wanted != data)) {
            let why = match wanted.data {
                Some(_) => "the request is about other data",
                None => "the request is not about certain data",
            };
            return Err(Error::new(ErrorKind::Denied, why));
        }
        let path = self.approval_path(place.namespace, id, approver)?;
        let expires = match wanted.window {
            0 => pending.expires,
            window => Timestamp(now.0.saturating_add(u64::from(window) * 1000)),
        };
        let (nonce, roles) = (pending.nonce, roles.to_vec());
        let approval = Approval { nonce, approver: approver.to_owned(), roles, given: now, expires };
        let before = self.store.get(&path)?;
        if let Some(before) = &before {
            let known: Approval = sealed::open_value(&self.home, &path, &before.value)?;
            if known.counts(&pending, now) {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("`{approver}` has approved this already")));
            }
        }
        let unchanged = match before {
            Some(before) => Condition::Version(path.clone(), before.version),
            None => Condition::Absent(path.clone()),
        };
        let asked = Condition::Version(pending_path(place.namespace, id)?, revision);
        let sealed = sealed::seal_value(&self.home, &*self.random, &path, &approval)?;
        let batch = Batch { conditions: vec![asked, unchanged], ops: vec![Op::Put(path, sealed)], invalidates: false };
        match self.store.commit(&batch)? {
            Commit::Committed(_) => self.described(id, pending, now),
            Commit::Conflict => Err(Error::new(ErrorKind::Conflict, "the request changed meanwhile: look again")),
        }
    }

    /// Keeps a request, in place of one that expired, and of the requester's oldest where they have too many.
    fn ask(&self, id: RequestId, wanted: &Wanted, now: Timestamp) -> Result<Quorum> {
        let namespace = wanted.place.namespace;
        let path = pending_path(namespace, id)?;
        let known = self.all_pending(namespace)?;
        let (expired, alive): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, pending, _)| now >= pending.expires);
        let mut own: Vec<_> = alive.iter().filter(|(_, p, _)| p.wanted.requester == wanted.requester).collect();
        own.sort_by_key(|(_, pending, _)| pending.created);
        let surplus = (own.len() + 1).saturating_sub(MOST_OF_ONE);
        let giving_way = own.iter().take(surplus).map(|(path, ..)| path);
        let room = Batch::MAX_OPS - 1;
        let gone: Vec<StoreKey> = expired.iter().map(|(path, ..)| path).chain(giving_way).take(room).cloned().collect();
        if alive.len() >= MOST + surplus {
            tracing::warn!(namespace = %namespace, "too many requests wait for approval: this one is not kept");
            return Ok(Quorum::Lacking { request: None, given: 0 });
        }
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce)?;
        let expires = Timestamp(now.0.saturating_add(LIFE));
        let nonce = serde_bytes::ByteArray::new(nonce);
        let pending = Pending { wanted: wanted.clone(), nonce, created: now, expires, spent: None };
        let sealed = sealed::seal_value(&self.home, &*self.random, &path, &pending)?;
        let condition = match self.store.get(&path)? {
            Some(entry) => Condition::Version(path.clone(), entry.version),
            None => Condition::Absent(path.clone()),
        };
        let mut ops: Vec<Op> = gone.into_iter().filter(|key| *key != path).map(Op::Delete).collect();
        ops.push(Op::Put(path, sealed));
        // Where somebody else asked for the same at the same time, their request is as good.
        let _ = self.store.commit(&Batch { conditions: vec![condition], ops, invalidates: false })?;
        for (path, ..) in expired.iter().take(CLEARED) {
            self.clear_approvals(namespace, path)?;
        }
        Ok(Quorum::Lacking { request: Some(id), given: 0 })
    }

    /// Removes the approvals of a request that expired; its nonce is gone, so that none of them counts any more.
    fn clear_approvals(&self, namespace: NamespaceId, request: &StoreKey) -> Result<()> {
        let id = request.as_str().rsplit('/').next().unwrap_or_default();
        let found = self.store.scan(&format!("policy/approval/{namespace}/{id}/"), None, Batch::MAX_OPS)?;
        let conditions = found.iter().map(|(path, entry)| Condition::Version(path.clone(), entry.version)).collect();
        let ops: Vec<Op> = found.into_iter().map(|(path, _)| Op::Delete(path)).collect();
        if !ops.is_empty() {
            let _ = self.store.commit(&Batch { conditions, ops, invalidates: false })?;
        }
        Ok(())
    }

    fn described(&self, id: RequestId, pending: Pending, now: Timestamp) -> Result<OpenRequest> {
        let given = self.approvals(pending.wanted.place.namespace, id)?;
        let counts = given.into_iter().filter(|(_, approval, _)| approval.counts(&pending, now));
        let approvers = counts.map(|(_, approval, _)| approval.approver).collect();
        let Pending { wanted, created, expires, .. } = pending;
        Ok(OpenRequest { id, wanted, created, expires, approvers })
    }

    fn pending(&self, namespace: NamespaceId, id: RequestId) -> Result<Option<(Pending, Revision)>> {
        let path = pending_path(namespace, id)?;
        let Some(entry) = self.store.get(&path)? else { return Ok(None) };
        Ok(Some((sealed::open_value(&self.home, &path, &entry.value)?, entry.version)))
    }

    fn all_pending(&self, namespace: NamespaceId) -> Result<Vec<(StoreKey, Pending, Revision)>> {
        self.opened(&format!("policy/pending/{namespace}/"), 2 * MOST)
    }

    fn approvals(&self, namespace: NamespaceId, id: RequestId) -> Result<Vec<(StoreKey, Approval, Revision)>> {
        self.opened(&format!("policy/approval/{namespace}/{id}/"), MOST_APPROVALS)
    }

    fn opened<T: serde::de::DeserializeOwned>(
        &self,
        prefix: &str,
        most: usize,
    ) -> Result<Vec<(StoreKey, T, Revision)>> {
        let records = self.store.scan(prefix, None, most)?.into_iter();
        let open = |(path, entry): (StoreKey, crate::store::Entry)| {
            let value = sealed::open_value(&self.home, &path, &entry.value)?;
            Ok((path, value, entry.version))
        };
        records.map(open).collect()
    }

    fn approval_path(&self, namespace: NamespaceId, id: RequestId, approver: &str) -> Result<StoreKey> {
        let term = self.home.index_term("policy approver", approver.as_bytes())?;
        let term: String = term.iter().map(|b| format!("{b:02x}")).collect();
        StoreKey::new(format!("policy/approval/{namespace}/{id}/{term}"))
    }

    /// Which store this is; settled by whoever comes first.
    fn identity(&self) -> Result<StoreIdentity> {
        let path = StoreKey::new("policy/store")?;
        for _ in 0..ATTEMPTS {
            if let Some(entry) = self.store.get(&path)? {
                return sealed::open_value(&self.home, &path, &entry.value);
            }
            let mut id = [0; 16];
            self.random.fill(&mut id)?;
            let fresh = StoreIdentity { id: serde_bytes::ByteArray::new(id), epoch: 1 };
            let sealed = sealed::seal_value(&self.home, &*self.random, &path, &fresh)?;
            let conditions = vec![Condition::Absent(path.clone())];
            let ops = vec![Op::Put(path.clone(), sealed)];
            let _ = self.store.commit(&Batch { conditions, ops, invalidates: false })?;
        }
        Err(Error::new(ErrorKind::Busy, "the store's identity could not be settled with other processes"))
    }
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Approvals(..)")
    }
}

fn pending_path(namespace: NamespaceId, id: RequestId) -> Result<StoreKey> {
    StoreKey::new(format!("policy/pending/{namespace}/{id}"))
}
