//! The book of what is blocked, throttled and budgeted: records in the store of a home, sealed under its domain key.
//!
//! ```text
//! quota/edition       moves with every change
//! block/<id>          a block or throttle
//! quota/rule/<term>   a quota
//! quota/used/...      what is used of it
//! ```
//! A change moves the store's generation, so that every process of the host sees it from its next operation on.

use std::sync::Arc;

use super::block::{Block, BlockId};
use super::in_force::InForce;
use super::meter::{Counter, Meters, folder, folder_of_keys, hex, key_path};
use super::rule::{Kind, Quota};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Entry, Op, Revision, Store, StoreKey};
use crate::tenant::{NamespaceId, ObjectId};

const EDITION: &str = "quota/edition";
const BLOCKS: &str = "block/";
const QUOTAS: &str = "quota/rule/";
/// Most blocks of a home: each operation of whom some of them concern looks at those.
const MOST_BLOCKS: usize = 4096;
/// Most quotas of a home: each operation looks at all of them.
const MOST_QUOTAS: usize = 1024;
/// Blocks whose time is over that a new one clears away.
const CLEARED: usize = 16;
/// How often a change that somebody else was faster with is tried again.
const ATTEMPTS: u32 = 16;

/// Reads and writes the book of a home.
pub struct Book {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
    /// Those of the configuration.
    configured: Vec<Arc<Quota>>,
    cached: Lock<Option<Cached>>,
}

/// What is used of one budget of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose budget it is; empty where all share one.
    pub of: String,
    /// What it is a budget of.
    pub kind: Kind,
    /// What is used, or leased by processes.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
}

/// The set in memory.
struct Cached {
    /// Generation of the store at which the edition was last seen.
    generation: u64,
    set: Arc<InForce>,
}

impl Book {
    /// The book in `store`, with the quotas that the configuration adds. `home` seals its records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>, configured: Vec<Quota>) -> Self {
        let configured = configured.into_iter().map(Arc::new).collect();
        Self { store, random, home, configured, cached: Lock::new(Rank::Cache, None) }
    }

    /// The counters of its quotas.
    pub(super) fn meters(&self, clock: Arc<dyn Clock>) -> Meters {
        Meters::new(Arc::clone(&self.store), Arc::clone(&self.random), Arc::clone(&self.home), clock)
    }

    /// What is in force now. Costs a lock while the store's generation stands.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when a record was changed, moved or swapped, or the book went back to an older state that this
    /// process has seen newer; those of the store. Nothing may be admitted then.
    pub fn current(&self) -> Result<Arc<InForce>> {
        let generation = self.store.generation();
        let known = self.cached.lock().as_ref().map(|c| (c.generation, Arc::clone(&c.set)));
        if let Some((seen, set)) = &known
            && *seen == generation
        {
            return Ok(Arc::clone(set));
        }
        let set = self.read(known.map(|(_, set)| set))?;
        *self.cached.lock() = Some(Cached { generation, set: Arc::clone(&set) });
        Ok(set)
    }

    fn read(&self, known: Option<Arc<InForce>>) -> Result<Arc<InForce>> {
        // The edition first: a change in between is read again after the next look at the generation.
        let edition = self.edition()?;
        match known {
            Some(set) if set.edition == edition.0 => return Ok(set),
            Some(set) if set.edition > edition.0 => {
                return Err(Error::new(ErrorKind::Damaged, "blocks and quotas went back to an older state"));
            }
            _ => {}
        }
        let mut quotas = self.configured.clone();
        if edition == Revision::default() {
            // Whoever takes the edition away does not take the rest out of force.
            for prefix in [BLOCKS, QUOTAS] {
                if let Some((path, _)) = self.store.scan(prefix, None, 1)?.first() {
                    return Err(sealed::damaged(path));
                }
            }
            return Ok(Arc::new(InForce::new(0, Vec::new(), quotas)));
        }
        let mut blocks = Vec::new();
        for (path, entry) in self.store.scan_all(BLOCKS)? {
            blocks.push(self.open_block(&path, &entry)?);
        }
        blocks.sort_by_key(|block| (block.since, block.id));
        let mut set = Vec::new();
        for (path, entry) in self.store.scan_all(QUOTAS)? {
            set.push(Arc::new(self.open_quota(&path, &entry)?));
        }
        set.sort_by(|one, other| (one.set, &one.name).cmp(&(other.set, &other.name)));
        quotas.extend(set);
        Ok(Arc::new(InForce::new(edition.0, blocks, quotas)))
    }

    /// A name for a new block.
    ///
    /// # Errors
    /// The random source fails.
    pub fn new_block_id(&self) -> Result<BlockId> {
        let mut id = [0; 4];
        self.random.fill(&mut id)?;
        Ok(BlockId(u32::from_be_bytes(id)))
    }

    /// The block that holds at `now` and to which `block` would add nothing.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn covering(&self, block: &Block, now: Timestamp) -> Result<Option<Block>> {
        let set = self.current()?;
        let found = set.blocks().iter().find(|known| known.holds(now) && known.covers(block));
        Ok(found.map(|known| Block::clone(known)))
    }

    /// Puts `block` in force.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what cannot be meant; [`ErrorKind::Conflict`] where others change the book all the time;
    /// those of the store.
    pub fn add_block(&self, block: &Block, now: Timestamp) -> Result<()> {
        block.validate()?;
        let path = block_path(block.id)?;
        let sealed = sealed::seal_value(&self.home, &*self.random, &path, block)?;
        for _ in 0..ATTEMPTS {
            let set = self.current()?;
            let over: Vec<&Arc<Block>> = set.blocks().iter().filter(|known| !known.holds(now)).take(CLEARED).collect();
            if set.blocks().len() - over.len() >= MOST_BLOCKS {
                let why = format!("{MOST_BLOCKS} blocks are in force: release some first");
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            let mut ops = vec![Op::Put(path.clone(), sealed.clone())];
            for gone in over {
                ops.push(Op::Delete(block_path(gone.id)?));
            }
            if self.change(vec![Condition::Absent(path.clone()), Self::is_still(set.edition)?], ops)? {
                return Ok(());
            }
        }
        Err(conflict())
    }

    /// The block `id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; as [`Self::current`].
    pub fn block(&self, id: BlockId) -> Result<Block> {
        let set = self.current()?;
        let found = set.blocks().iter().find(|block| block.id == id);
        found.map(|block| Block::clone(block)).ok_or_else(|| no_block(id))
    }

    /// Takes the block `id` away.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where somebody was faster; those of the store.
    pub fn remove_block(&self, id: BlockId) -> Result<()> {
        let path = block_path(id)?;
        let known = self.store.get(&path)?.ok_or_else(|| no_block(id))?;
        let conditions = vec![Condition::Version(path.clone(), known.version)];
        if self.change(conditions, vec![Op::Delete(path)])? { Ok(()) } else { Err(no_block(id)) }
    }

    fn open_block(&self, path: &StoreKey, entry: &Entry) -> Result<Block> {
        let block: Block = sealed::open_value(&self.home, path, &entry.value)?;
        if block_path(block.id)? != *path {
            return Err(sealed::damaged(path));
        }
        Ok(block)
    }

    /// The quota of this name in `namespace`, or beyond namespaces. Those of the configuration are not looked for.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn quota(&self, namespace: Option<NamespaceId>, name: &str) -> Result<Option<Quota>> {
        let path = self.quota_path(namespace, name)?;
        self.store.get(&path)?.map(|entry| self.open_quota(&path, &entry)).transpose()
    }

    /// Sets a quota, in the place of the one of its name: what was used of that stays used.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what cannot be meant; [`ErrorKind::Conflict`] where somebody was faster; those of the
    /// store.
    pub fn set_quota(&self, quota: Quota, before: Option<&Quota>) -> Result<()> {
        let mut quota = quota.validated()?;
        let path = self.quota_path(quota.scope.namespace, &quota.name)?;
        let known = self.store.get(&path)?;
        let condition = match (&known, before) {
            (Some(entry), Some(before)) if self.open_quota(&path, entry)? == *before => {
                quota.serial = before.serial;
                Condition::Version(path.clone(), entry.version)
            }
            (None, None) => {
                if self.current()?.quotas().len() >= MOST_QUOTAS {
                    return Err(Error::new(ErrorKind::Arguments, format!("there are {MOST_QUOTAS} quotas already")));
                }
                let mut serial = [0; 8];
                self.random.fill(&mut serial)?;
                // 0 is the configuration's.
                quota.serial = u64::from_be_bytes(serial).max(1);
                Condition::Absent(path.clone())
            }
            _ => return Err(conflict()),
        };
        let value = sealed::seal_value(&self.home, &*self.random, &path, &quota)?;
        if self.change(vec![condition], vec![Op::Put(path, value)])? { Ok(()) } else { Err(conflict()) }
    }

    /// Removes a quota, with what is known of its use.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where somebody was faster; those of the store.
    pub fn remove_quota(&self, quota: &Quota) -> Result<()> {
        let path = self.quota_path(quota.scope.namespace, &quota.name)?;
        let entry = self.store.get(&path)?.ok_or_else(conflict)?;
        let conditions = vec![Condition::Version(path.clone(), entry.version)];
        if self.open_quota(&path, &entry)? != *quota || !self.change(conditions, vec![Op::Delete(path)])? {
            return Err(conflict());
        }
        // Nobody looks at these any more: another quota of the name has counters of its own.
        let used: Vec<Op> =
            self.store.scan_all(&folder(&self.home, quota)?)?.into_iter().map(|(key, _)| Op::Delete(key)).collect();
        for ops in used.chunks(Batch::MAX_OPS) {
            let batch = Batch { conditions: Vec::new(), ops: ops.to_vec(), invalidates: false };
            let _ = self.store.commit(&batch)?;
        }
        Ok(())
    }

    /// What is used of the budgets of `quota` that last.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn usage(&self, quota: &Quota, now: Timestamp) -> Result<Vec<Usage>> {
        let mut all = Vec::new();
        for (path, entry) in self.store.scan_all(&folder(&self.home, quota)?)? {
            let counter: Counter = sealed::open_value(&self.home, &path, &entry.value)?;
            let kind = Kind::ALL.into_iter().find(|kind| path.as_str().ends_with(&format!("/{}", kind.name())));
            let Some((kind, limit)) = kind.and_then(|kind| Some((kind, quota.limits.of(kind)?))) else { continue };
            let over = kind.is_daily() && counter.day < now.0 / super::rule::DAY;
            all.push(Usage { of: counter.of, kind, used: if over { 0 } else { counter.used }, limit });
        }
        all.sort_by(|one, other| (&one.of, one.kind.name()).cmp(&(&other.of, other.kind.name())));
        Ok(all)
    }

    /// How many uses and bytes of a key are counted, or leased by processes.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn used_of_key(&self, namespace: NamespaceId, key: ObjectId) -> Result<(u64, u64)> {
        let read = |kind| -> Result<u64> {
            let path = StoreKey::new(key_path(namespace, key, kind))?;
            let Some(entry) = self.store.get(&path)? else { return Ok(0) };
            Ok(self.open_counter(&path, &entry.value)?.used)
        };
        Ok((read(Kind::Total)?, read(Kind::BytesTotal)?))
    }

    pub(super) fn open_counter(&self, path: &StoreKey, value: &[u8]) -> Result<Counter> {
        sealed::open_value(&self.home, path, value)
    }

    pub(super) fn seal_counter(&self, path: &StoreKey, counter: &Counter) -> Result<Vec<u8>> {
        sealed::seal_value(&self.home, &*self.random, path, counter)
    }

    /// Forgets what is counted of the keys of a namespace, all of which are gone. Until then it stays, for copies of a key may
    /// outlive it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn forget_keys(&self, namespace: NamespaceId) -> Result<()> {
        let all = self.store.scan_all(&folder_of_keys(namespace))?;
        let gone: Vec<Op> = all.into_iter().map(|(path, _)| Op::Delete(path)).collect();
        for ops in gone.chunks(Batch::MAX_OPS) {
            let batch = Batch { conditions: Vec::new(), ops: ops.to_vec(), invalidates: false };
            let _ = self.store.commit(&batch)?;
        }
        Ok(())
    }

    fn quota_path(&self, namespace: Option<NamespaceId>, name: &str) -> Result<StoreKey> {
        let place = namespace.map_or_else(String::new, |id| id.to_string());
        let term = self.home.index_term("quota rule", format!("{place}\0{name}").as_bytes())?;
        StoreKey::new(format!("{QUOTAS}{}", hex(&term)))
    }

    fn open_quota(&self, path: &StoreKey, entry: &Entry) -> Result<Quota> {
        let quota: Quota = sealed::open_value(&self.home, path, &entry.value)?;
        if self.quota_path(quota.scope.namespace, &quota.name)? != *path {
            return Err(sealed::damaged(path));
        }
        Ok(quota)
    }

    /// Commits a change of the book; false where a condition does not hold.
    fn change(&self, conditions: Vec<Condition>, mut ops: Vec<Op>) -> Result<bool> {
        ops.push(Op::Put(StoreKey::new(EDITION)?, Vec::new()));
        let batch = Batch { conditions, ops, invalidates: true };
        Ok(matches!(self.store.commit(&batch)?, Commit::Committed(_)))
    }

    /// The number that differs between different books.
    fn edition(&self) -> Result<Revision> {
        Ok(self.store.get(&StoreKey::new(EDITION)?)?.map(|entry| entry.version).unwrap_or_default())
    }

    /// That nothing changed since `edition`.
    fn is_still(edition: u64) -> Result<Condition> {
        let path = StoreKey::new(EDITION)?;
        Ok(if edition == 0 { Condition::Absent(path) } else { Condition::Version(path, Revision(edition)) })
    }
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book(..)")
    }
}

fn block_path(id: BlockId) -> Result<StoreKey> {
    StoreKey::new(format!("{BLOCKS}{id}"))
}

fn no_block(id: BlockId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no block `{id}`"))
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "others change blocks and quotas at the same time: repeat")
}
