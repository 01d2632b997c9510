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

    /// As [`Self::destroy_due`] of at most `limit` keys that wait, or that devices did not give up, in the order of their
    /// identities, behind `after`; and behind which it goes on, where there may be more.
    ///
    /// # Errors
    /// As [`Self::destroy_due`].
    pub fn destroy_due_after(
        &self,
        caller: &Caller,
        dry_run: bool,
        (after, limit): (Option<ObjectId>, usize),
    ) -> Result<(Vec<Doomed>, Option<ObjectId>)> {
        let mut next = None;
        let look = |_| {
            let (seen, last) = self.destroy_each(caller, (dry_run, false), (after, limit))?;
            next = last;
            Ok((seen, None))
        };
        let seen = all_pages(look, |destroyed| self.scrub_after(dry_run, destroyed))?;
        Ok((seen, next))
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
        let look = |after| self.destroy_each(caller, how, (after, PAGE));
        all_pages(look, |destroyed| self.scrub_after(how.0, destroyed))
    }

    fn destroy_each(
        &self,
        caller: &Caller,
        (dry_run, patient): (bool, bool),
        (after, limit): (Option<ObjectId>, usize),
    ) -> Result<(Vec<Doomed>, Option<ObjectId>)> {
        let (query, now) = (Query { facets: vec![(Facet::Deletion, Vec::new())], ..Query::default() }, self.now());
        let page = self.perform(caller, Find { query: &query, after, limit })?;
        // What devices did not give up when its time came.
        let left = if dry_run { Vec::new() } else { self.catalog().left(caller, after, limit)? };
        let left = left.into_iter().map(|object| (object.id, Some(object)));
        let (page, next) = first_of(left.chain(page.into_iter().map(|found| (found.id, None))).collect(), limit);
        let mut all = Vec::new();
        for (id, left) in page {
            if let Some(object) = left {
                all.extend(self.destroy_left(caller, Arc::new(object), patient));
                continue;
            }
            match self.object(caller, id) {
                Ok(object) => all.extend(self.doomed(caller, &object, (now, dry_run, patient))),
                // Somebody was faster.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // One that cannot be read keeps no other one from its end.
                Err(e) => {
                    let fate = Fate::Failed(e.sentence());
                    all.push(Doomed { id, name: id.to_string(), due: now, fate });
                }
            }
        }
        if any_destroyed(&all) {
            self.unscrubbed.store(true, Ordering::SeqCst);
        }
        Ok((all, next))
    }

    /// Scrubs where that is to be done, now or still.
    fn scrub_after(&self, dry_run: bool, destroyed: bool) -> Result<()> {
        if dry_run || !self.unscrubbed.load(Ordering::SeqCst) {
            return Ok(());
        }
        match self.scrub() {
            // Where others read just now, the next look tries it again.
            Ok(whole) => self.unscrubbed.store(!whole, Ordering::SeqCst),
            Err(e) if !destroyed => return Err(e),
            // What was destroyed is told of first.
            Err(_) => {}
        }
        Ok(())
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

fn any_destroyed(all: &[Doomed]) -> bool {
    all.iter().any(|one| one.fate == Fate::Destroyed)
}

/// The first `limit` of what comes from several lists, each of which ends only where it has fewer; and behind which it goes on, where
/// there may be more.
fn first_of<T>(mut all: Vec<(ObjectId, T)>, limit: usize) -> (Vec<(ObjectId, T)>, Option<ObjectId>) {
    let is_more = all.len() >= limit;
    all.sort_unstable_by_key(|(id, _)| *id);
    all.truncate(limit);
    let next = all.last().map(|(id, _)| *id).filter(|_| is_more);
    (all, next)
}

/// What is said on all pages, after which `scrub` is told whether anything was destroyed on any of them. Where something was, it is
/// told of whatever fails later; a page that cannot be looked at is an entry then, under the identity of the last key before it.
fn all_pages(
    mut look: impl FnMut(Option<ObjectId>) -> Result<(Vec<Doomed>, Option<ObjectId>)>,
    scrub: impl FnOnce(bool) -> Result<()>,
) -> Result<Vec<Doomed>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        match (look(after), after) {
            (Ok((seen, next)), _) => {
                all.extend(seen);
                after = next;
            }
            (Err(e), Some(id)) if any_destroyed(&all) => {
                let (name, fate) = (format!("(all behind {id})"), Fate::Failed(e.sentence()));
                all.push(Doomed { id, name, due: Timestamp(0), fate });
                after = None;
            }
            (Err(e), _) => return Err(e),
        }
        if after.is_none() {
            scrub(any_destroyed(&all))?;
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn id(number: u8) -> ObjectId {
        ObjectId([number; 16])
    }

    fn one(number: u8, fate: Fate) -> Doomed {
        Doomed { id: id(number), name: number.to_string(), due: Timestamp(0), fate }
    }

    fn broken<T>() -> Result<T> {
        Err(Error::new(ErrorKind::Storage, "the disk is gone"))
    }

    #[test]
    fn what_was_destroyed_on_an_early_page_is_told_of_whatever_fails_later() {
        let pages = |after: Option<ObjectId>| match after {
            None => Ok((vec![one(1, Fate::Destroyed)], Some(id(1)))),
            Some(_) => Ok((vec![one(2, Fate::Waits)], None)),
        };
        let mut told = Vec::new();
        let scrub = |destroyed| {
            told.push(destroyed);
            Ok(())
        };
        let both = [one(1, Fate::Destroyed), one(2, Fate::Waits)];
        assert_eq!(all_pages(pages, scrub).unwrap(), both);
        assert_eq!(told, [true], "once, and over all pages");
        let second_fails = |after: Option<ObjectId>| if after.is_none() { pages(None) } else { broken() };
        let all = all_pages(second_fails, |destroyed| if destroyed { Ok(()) } else { broken() }).unwrap();
        assert_eq!(all[0], both[0]);
        assert!(matches!(&all[1].fate, Fate::Failed(why) if why.contains("the disk is gone")), "{all:?}");
        assert_eq!((all.len(), all[1].id), (2, id(1)));
    }

    #[test]
    fn where_nothing_was_destroyed_the_error_is_the_answer() {
        let pages = |after: Option<ObjectId>| match after {
            None => Ok((vec![one(1, Fate::Waits)], Some(id(1)))),
            Some(_) => broken(),
        };
        assert_eq!(all_pages(pages, |_| Ok(())).unwrap_err().kind(), ErrorKind::Storage);
        let waits = |_| Ok((vec![one(1, Fate::Waits)], None));
        assert_eq!(all_pages(waits, |_| broken()).unwrap_err().kind(), ErrorKind::Storage);
    }

    #[test]
    fn pages_of_several_lists_leave_nothing_out_and_end() {
        let lists = [vec![1, 4, 5, 6, 9], vec![2, 3, 7, 8]];
        for limit in 1..=11 {
            let (mut seen, mut after, mut looks) = (Vec::new(), None, 0);
            loop {
                let behind = |list: &Vec<u8>| {
                    let all = list.iter().map(|n| (id(*n), *n)).filter(|(id, _)| after.is_none_or(|after| *id > after));
                    all.take(limit).collect::<Vec<_>>()
                };
                let (page, next) = first_of(lists.iter().flat_map(behind).collect(), limit);
                assert!(page.len() <= limit);
                seen.extend(page.into_iter().map(|(_, n)| n));
                (after, looks) = (next, looks + 1);
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9], "{limit}");
            assert_eq!(looks, 9 / limit + 1);
        }
    }
}
