//! Keys whose time has come, and what is known of those that are gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Kms;
use crate::caller::{Caller, Login};
use crate::catalog::{Facet, Query, Tombstone};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Key, Object, Transition};
use crate::operation::{ChangeLife, Destroy, DestroyLeft, Find, ObjectRef};
use crate::tenant::ObjectId;

/// Keys looked at at once.
const PAGE: usize = 256;

/// A key that waits for its destruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Which.
    pub id: ObjectId,
    /// Its name.
    pub name: String,
    /// Not before.
    pub due: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a key that waits for its destruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waits,
    /// It is due, and would have been destroyed.
    Due,
    /// It was destroyed now.
    Destroyed,
    /// It is still there, and why.
    Failed(String),
}

impl Kms {
    /// Destroys every key of the caller's namespace that is due, each once whoever else tries it at the same moment; with
    /// `dry_run` none. What it says of all keys that waited.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Denied`] where the caller may not list the namespace. A key that could not be destroyed is
    /// in the report.
    pub fn destroy_due(&self, caller: &Caller, dry_run: bool) -> Result<Vec<Doomed>> {
        self.destroy_all(caller, (dry_run, false))
    }

    /// As [`Self::destroy_due`] of at most `limit` keys that wait, in the order of their identities, behind `after`; and behind
    /// which it goes on, where there may be more.
    ///
    /// # Errors
    /// As [`Self::destroy_due`].
    pub fn destroy_due_after(
        &self,
        caller: &Caller,
        dry_run: bool,
        (after, limit): (Option<ObjectId>, usize),
    ) -> Result<(Vec<Doomed>, Option<ObjectId>)> {
        self.destroy_each(caller, (dry_run, false), (after, limit))
    }

    /// As [`Self::destroy_due`], for those who look again and again: what waits is not told of, nor for a while what failed, which is
    /// left alone.
    ///
    /// # Errors
    /// As [`Self::destroy_due`].
    pub fn tend_destructions(&self, caller: &Caller) -> Result<Vec<Doomed>> {
        self.destroy_all(caller, (false, true))
    }

    fn destroy_all(&self, caller: &Caller, how: (bool, bool)) -> Result<Vec<Doomed>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (seen, next) = self.destroy_each(caller, how, (after, PAGE))?;
            all.extend(seen);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn destroy_each(
        &self,
        caller: &Caller,
        (dry_run, patient): (bool, bool),
        (after, limit): (Option<ObjectId>, usize),
    ) -> Result<(Vec<Doomed>, Option<ObjectId>)> {
        let (query, now) = (Query { facets: vec![(Facet::Deletion, Vec::new())], ..Query::default() }, self.now());
        // What devices did not give up when its time came.
        let left = if dry_run || after.is_some() { Vec::new() } else { self.catalog().left(caller)? };
        let mut all: Vec<Doomed> =
            left.into_iter().filter_map(|object| self.destroy_left(caller, Arc::new(object), patient)).collect();
        let page = self.perform(caller, Find { query: &query, after, limit })?;
        for found in &page {
            match self.object(caller, found.id) {
                Ok(object) => all.extend(self.doomed(caller, &object, (now, dry_run, patient))),
                // Somebody was faster.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // One that cannot be read keeps no other one from its end.
                Err(e) => {
                    let (id, fate) = (found.id, Fate::Failed(e.sentence()));
                    all.push(Doomed { id, name: id.to_string(), due: now, fate });
                }
            }
        }
        let next = page.last().map(|found| found.id).filter(|_| page.len() >= limit);
        let destroyed = all.iter().any(|one| one.fate == Fate::Destroyed);
        if destroyed {
            self.unscrubbed.store(true, Ordering::SeqCst);
        }
        if !dry_run && self.unscrubbed.load(Ordering::SeqCst) {
            match self.scrub() {
                // Where others read just now, the next look tries it again.
                Ok(whole) => self.unscrubbed.store(!whole, Ordering::SeqCst),
                Err(e) if !destroyed => return Err(e),
                // What was destroyed is told of first.
                Err(_) => {}
            }
        }
        Ok((all, next))
    }

    fn doomed(
        &self,
        caller: &Caller,
        object: &Arc<Object>,
        (now, dry_run, patient): (Timestamp, bool, bool),
    ) -> Option<Doomed> {
        let (what, moment) = ((object.id, object.edition), self.monotonic());
        let key = object.key()?;
        let due = key.lifecycle.deletion.as_ref()?.due;
        let fate = match (due <= now, dry_run) {
            (false, _) if patient => return None,
            (false, _) => Fate::Waits,
            (true, true) => Fate::Due,
            (true, false) if patient && self.tries.is_resting(what, moment) => return None,
            (true, false) => self.destroy_doomed(caller, object, what, moment)?,
        };
        Some(Doomed { id: object.id, name: key.name.clone(), due, fate })
    }

    fn destroy_left(&self, caller: &Caller, object: Arc<Object>, patient: bool) -> Option<Doomed> {
        let (what, moment) = ((object.id, object.edition), self.monotonic());
        let key = object.key()?;
        let due = key.lifecycle.deletion.as_ref()?.due;
        if patient && self.tries.is_resting(what, moment) {
            return None;
        }
        let done = self.perform(caller, DestroyLeft { object: Arc::clone(&object) });
        self.tries.note(what, done.is_err(), moment);
        let fate = done.map_or_else(|e| Fate::Failed(e.sentence()), |()| Fate::Destroyed);
        Some(Doomed { id: object.id, name: key.name.clone(), due, fate })
    }

    fn destroy_doomed(
        &self,
        caller: &Caller,
        object: &Arc<Object>,
        what: (ObjectId, u64),
        moment: Duration,
    ) -> Option<Fate> {
        let done = self.perform(caller, Destroy { object: ObjectRef::from(object) });
        self.tries.note(what, done.is_err(), moment);
        match done {
            Ok(()) => Some(Fate::Destroyed),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => None,
            Err(e) => Some(Fate::Failed(e.sentence())),
        }
    }

    /// Changes the life of a key: of both halves of a pair, whichever is named, in one commit. What is said of all its versions
    /// is said of each in a commit of its own, of the named one first. For the security officer, logged in. The halves of the
    /// named version.
    ///
    /// # Errors
    /// Those of [`ChangeLife`]; what it says of one version does not take back what was changed before.
    pub fn change_life(&self, officer: &Caller, key: ObjectRef, transition: &Transition) -> Result<Vec<Arc<Object>>> {
        let named = match &key {
            ObjectRef::Stored(id) => self.object(officer, *id).ok(),
            ObjectRef::Ephemeral(_) => None,
        };
        let known = named.as_ref().and_then(|object| Some((object.id, object.key()?)));
        let Some((id, named)) = known else {
            // Whoever is refused is told, and recorded.
            return self.perform(officer, ChangeLife { key, other: None, transition: transition.clone() });
        };
        let change = |halves: &[Arc<Object>]| {
            let (named, others): (Vec<_>, Vec<_>) = halves.iter().partition(|half| half.id == id);
            let mut all = named.into_iter().chain(others).map(ObjectRef::from);
            let key = all.next().unwrap_or_else(|| key.clone());
            self.perform(officer, ChangeLife { key, other: all.next(), transition: transition.clone() })
        };
        let changed = change(&self.halves(officer, &named.name)?)?;
        if transition.is_of_all_versions() {
            for name in self.other_versions(officer, named)? {
                let mut halves = self.halves(officer, &name)?;
                // An alias leads to another key.
                halves.retain(|half| half.key().is_some_and(|key| key.name == name));
                if !halves.is_empty() {
                    change(&halves)?;
                }
            }
        }
        Ok(changed)
    }

    /// What the other versions of a key may be called.
    fn other_versions(&self, caller: &Caller, key: &Key) -> Result<Vec<String>> {
        let base = key.base_name();
        let primary = self.halves(caller, base)?.into_iter().next();
        let newest = primary.as_ref().and_then(|object| object.key()).map_or(0, Key::newest_number);
        let newest = newest.max(key.newest_number());
        let numbered = (1..=newest).map(|number| format!("{base}@{number}"));
        let all = std::iter::once(base.to_owned()).chain(numbered);
        Ok(all.filter(|name| *name != key.name).collect())
    }

    /// What is known of destroyed keys of the caller's namespace: at most `limit`, in the order of their identities, behind `after`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn tombstones(&self, caller: &Caller, after: Option<ObjectId>, limit: usize) -> Result<Vec<Tombstone>> {
        self.catalog().tombstones(caller, after, limit)
    }

    /// What is known of the destroyed key that still has this name.
    ///
    /// # Errors
    /// Those of the store.
    pub fn tombstone_of(&self, caller: &Caller, name: &str) -> Result<Option<Tombstone>> {
        self.catalog().tombstone_of(caller, name)
    }

    /// Lets the name of a destroyed key be used again. For the security officer, logged in.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for anybody else; [`ErrorKind::NotFound`] where no destroyed key has this name.
    pub fn release_name(&self, officer: &Caller, name: &str) -> Result<()> {
        let tags = vec![format!("release name {}", name.escape_debug())];
        self.pipeline.around_tagged(Some(officer), Action::ChangeState, tags, || {
            if officer.login != Login::SecurityOfficer {
                let why = "only the security officer, logged in, releases names";
                return Err(Error::new(ErrorKind::NotLoggedIn, why));
            }
            self.catalog().release_name(officer, name).map(drop)
        })
    }

    /// Overwrites what removed records left in the store's log, as far as the store can; `false` where others read it just now.
    ///
    /// # Errors
    /// Those of the store.
    pub fn scrub(&self) -> Result<bool> {
        self.store.scrub()
    }
}
