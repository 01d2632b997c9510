//! The book of rules: records in the store of a home, sealed under its domain key.
//!
//! ```text
//! rule/edition      moves with every change
//! rule/key/<term>   a rule
//! ```
//! A change moves the store's generation, so that every process sees it from its next operation on.

use std::sync::Arc;

use super::rule::{KeyRule, Made, RuleScope};
use crate::caller::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, Rotation};
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Entry, Op, Revision, Store, StoreKey};
use crate::tenant::{Namespace, push_hex};

const EDITION: &str = "rule/edition";
const RULES: &str = "rule/key/";
/// Most rules of a home.
const MOST: usize = 1024;

/// Reads and writes the rules of a home.
pub struct RuleBook {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
    cached: Lock<Option<(u64, Arc<RuleSet>)>>,
}

/// The rules of a home at one time.
#[derive(Debug, Default)]
pub struct RuleSet {
    edition: u64,
    rules: Vec<KeyRule>,
}

impl RuleSet {
    /// All of them, the oldest first.
    #[must_use]
    pub fn rules(&self) -> &[KeyRule] {
        &self.rules
    }

    /// A number that every change moves.
    pub(crate) const fn edition(&self) -> u64 {
        self.edition
    }

    /// Those about what `service`, or nobody in particular, has in `namespace`.
    pub fn concerning<'a>(
        &'a self,
        namespace: &'a Namespace,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a KeyRule> {
        self.rules.iter().filter(move |rule| rule.scope.concerns(namespace, service))
    }

    /// Refuses a key that one of them does not allow.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`].
    pub fn check(&self, namespace: &Namespace, service: Option<&str>, made: Made) -> Result<()> {
        self.concerning(namespace, service)
            .try_for_each(|rule| rule.check(made, || rule.scope.shown(&namespace.to_string())))
    }

    /// After how many days keys rotate at the latest, where that is said.
    #[must_use]
    pub fn rotation_days(&self, namespace: &Namespace, service: Option<&str>) -> Option<u32> {
        self.concerning(namespace, service).map(|rule| rule.rotation_days).filter(|days| *days != 0).min()
    }

    /// Refuses a rule of rotation that is slower than those say.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`].
    pub fn check_rotation(
        &self,
        namespace: &Namespace,
        service: Option<&str>,
        wanted: Option<&Rotation>,
    ) -> Result<()> {
        let Some(most) = self.rotation_days(namespace, service) else { return Ok(()) };
        if wanted.is_some_and(|rule| rule.days != 0 && rule.days <= most) {
            return Ok(());
        }
        let why = format!(
            "a rule for {namespace} wants the key rotated every {most} days at least: say so many or fewer, or have the rule \
             changed (`kmss rule list`)"
        );
        Err(Error::new(ErrorKind::Denied, why))
    }

    /// Whether keys that a service makes in `namespace` belong to it.
    #[must_use]
    pub fn keeps_apart(&self, namespace: &Namespace) -> bool {
        self.concerning(namespace, None).any(|rule| rule.apart)
    }

    /// The type to make where none is said: what the rule closest to the key prefers.
    #[must_use]
    pub fn preferred(&self, namespace: &Namespace, service: Option<&str>) -> Option<&str> {
        let concerns = |rule: &&KeyRule| rule.preferred.is_some() && rule.scope.concerns(namespace, service);
        let all = self.rules.iter().filter(concerns);
        all.max_by_key(|rule| rule.scope.closeness()).and_then(|rule| rule.preferred.as_deref())
    }

    /// Whether `principal` owns `service`: a rule for it here says so.
    #[must_use]
    pub fn is_owned_by(&self, namespace: &Namespace, service: &str, principal: &Principal) -> bool {
        let own = |rule: &&KeyRule| rule.scope.service.as_deref() == Some(service);
        !service.is_empty()
            && self.concerning(namespace, Some(service)).filter(own).any(|rule| rule.owner == principal.name)
    }
}

impl RuleBook {
    /// The book in `store`. `home` seals its records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        Self { store, random, home, cached: Lock::new(Rank::Cache, None) }
    }

    /// What is in force now. Costs a lock while the store's generation stands.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when a record was changed, moved or swapped, or the book went back to an older state that this
    /// process has seen newer; those of the store. No key may be made then.
    pub fn current(&self) -> Result<Arc<RuleSet>> {
        let generation = self.store.generation();
        let known = self.cached.lock().clone();
        let known = match known {
            Some((seen, set)) if seen == generation => return Ok(set),
            known => known.map(|(_, set)| set),
        };
        let set = self.read(known)?;
        *self.cached.lock() = Some((generation, Arc::clone(&set)));
        Ok(set)
    }

    fn read(&self, known: Option<Arc<RuleSet>>) -> Result<Arc<RuleSet>> {
        // The edition first: a change in between is read again after the next look at the generation.
        let Revision(edition) = self.edition()?;
        match known {
            Some(set) if set.edition == edition => return Ok(set),
            Some(set) if set.edition > edition => {
                return Err(Error::new(ErrorKind::Damaged, "the rules for keys went back to an older state"));
            }
            _ => {}
        }
        if edition == 0 {
            // Whoever takes the edition away does not take the rest out of force.
            return match self.store.scan(RULES, None, 1)?.first() {
                Some((path, _)) => Err(sealed::damaged(path)),
                None => Ok(Arc::default()),
            };
        }
        let mut rules = Vec::new();
        for (path, entry) in self.store.scan_all(RULES)? {
            rules.push(self.open(&path, &entry)?);
        }
        rules.sort_by_key(|rule| rule.set);
        Ok(Arc::new(RuleSet { edition, rules }))
    }

    /// The rule for exactly this.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn rule(&self, scope: &RuleScope) -> Result<Option<KeyRule>> {
        Ok(self.current()?.rules().iter().find(|rule| rule.scope == *scope).cloned())
    }

    /// Puts a rule in the place of the one for the same.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what cannot be meant; [`ErrorKind::Conflict`] where somebody was faster; those of the store.
    pub fn set(&self, rule: KeyRule, before: Option<&KeyRule>) -> Result<()> {
        let rule = rule.validated()?;
        if before.is_none() {
            self.has_room(1)?;
        }
        let path = self.path(&rule.scope)?;
        let condition = self.is_still(&path, before)?;
        let value = sealed::seal_value(&self.home, &*self.random, &path, &rule)?;
        self.change(condition, Op::Put(path, value))
    }

    /// Whether so many rules more may be set.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where not; as [`Self::current`].
    pub fn has_room(&self, more: usize) -> Result<()> {
        let there = self.current()?.rules().len();
        if there.saturating_add(more) <= MOST {
            return Ok(());
        }
        let why = format!("there are {there} rules already, and {MOST} is the most: remove what nobody needs");
        Err(Error::new(ErrorKind::Arguments, why))
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where somebody was faster; those of the store.
    pub fn remove(&self, rule: &KeyRule) -> Result<()> {
        let path = self.path(&rule.scope)?;
        let condition = self.is_still(&path, Some(rule))?;
        self.change(condition, Op::Delete(path))
    }

    /// That what is at `path` is still `before`.
    fn is_still(&self, path: &StoreKey, before: Option<&KeyRule>) -> Result<Condition> {
        match (self.store.get(path)?, before) {
            (None, None) => Ok(Condition::Absent(path.clone())),
            (Some(entry), Some(before)) if self.open(path, &entry)? == *before => {
                Ok(Condition::Version(path.clone(), entry.version))
            }
            _ => Err(conflict()),
        }
    }

    fn change(&self, condition: Condition, op: Op) -> Result<()> {
        let ops = vec![op, Op::Put(StoreKey::new(EDITION)?, Vec::new())];
        match self.store.commit(&Batch { conditions: vec![condition], ops, invalidates: true })? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(conflict()),
        }
    }

    fn path(&self, scope: &RuleScope) -> Result<StoreKey> {
        let RuleScope { tenant, namespace, service } = scope;
        let place = namespace.map_or_else(String::new, |id| id.to_string());
        let (tenant, service) = (tenant.as_deref().unwrap_or_default(), service.as_deref().unwrap_or_default());
        let term = self.home.index_term("key rule", format!("{tenant}\0{place}\0{service}").as_bytes())?;
        let (half, _) = term.split_at(16);
        let mut path = RULES.to_owned();
        push_hex(&mut path, half);
        StoreKey::new(path)
    }

    fn open(&self, path: &StoreKey, entry: &Entry) -> Result<KeyRule> {
        let rule: KeyRule = sealed::open_value(&self.home, path, &entry.value)?;
        if self.path(&rule.scope)? == *path { Ok(rule) } else { Err(sealed::damaged(path)) }
    }

    fn edition(&self) -> Result<Revision> {
        Ok(self.store.get(&StoreKey::new(EDITION)?)?.map(|entry| entry.version).unwrap_or_default())
    }
}

impl std::fmt::Debug for RuleBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RuleBook(..)")
    }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "others change the rules for keys at the same time: repeat")
}
