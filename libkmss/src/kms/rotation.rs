//! Versions of keys: rotating them, by hand and when they are due.

use std::sync::Arc;

use super::Kms;
use crate::caller::Caller;
use crate::catalog::{Facet, ObjectKind, Query};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Body, Key, KeyClass, KeyState, Object, Rotation, spki_of_certificate};
use crate::operation::{Activate, Find, Rotate, Rotated, SetAlias, Turn, is_activable};
use crate::tenant::ObjectId;

/// Objects looked at at once.
const PAGE: usize = 256;

/// A key whose rotation is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRotation {
    /// Its name.
    pub name: String,
    /// The version that has the name.
    pub version: u32,
    /// When it is rotated, or its next version takes the name; `None` where that waits for something else.
    pub due: Option<Timestamp>,
    /// Uses that are counted, of how many.
    pub uses: Option<Spent>,
    /// Bytes that are counted, of how many.
    pub bytes: Option<Spent>,
    /// What is done about it.
    pub step: RotationStep,
}

/// How much of what a version protects before it is rotated it has protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// So much, with what processes took ahead.
    pub used: u64,
    /// Of so much.
    pub limit: u64,
}

/// What is done about a key whose rotation is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationStep {
    /// Nothing: its time has not come.
    Waits,
    /// Nothing: the version that is pending waits for its certificate, or for somebody.
    Pending,
    /// It is rotated.
    Rotate,
    /// A version is made ahead, which waits for its certificate.
    Prepare,
    /// The version that is pending takes the name.
    Activate,
    /// Nothing, though its time has come: the key is not to be used, and why.
    Held(String),
    /// It could not be done, and why.
    Failed(String),
}

impl RotationStep {
    /// Its name for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Pending => "pending",
            Self::Rotate => "rotate",
            Self::Prepare => "prepare",
            Self::Activate => "activate",
            Self::Held(_) => "held",
            Self::Failed(_) => "failed",
        }
    }
}

/// How due keys are looked for.
#[derive(Clone, Copy)]
struct Look {
    /// Nothing is done.
    dry_run: bool,
    /// What failed is left alone for a while.
    patient: bool,
}

/// A key with the version that was made ahead, where there is one.
struct Known {
    halves: Vec<Arc<Object>>,
    pending: Vec<Arc<Object>>,
}

impl Known {
    fn key(&self) -> Result<(&Arc<Object>, &Key)> {
        let first = self.halves.first().and_then(|object| Some((object, object.key()?)));
        first.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such key"))
    }

    /// Whether the version that was made ahead can take the name, now or later.
    fn is_activable(&self, now: Timestamp) -> bool {
        is_activable(&self.halves, &self.pending, now)
    }
}

impl Kms {
    /// Makes a new version of the key `name`, which takes the name at once or later.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::KeyState`] where a version is pending already, or the key has a certificate and is to
    /// be rotated at once: nobody could use the pair until the new one has a certificate; those of [`Rotate`].
    pub fn rotate(&self, caller: &Caller, name: &str, turn: Turn) -> Result<Rotated> {
        let known = self.versions_of(caller, name)?;
        if turn == Turn::Now && self.is_certified(caller, &known.halves)? {
            let why = "the key has a certificate: make the new version ahead, and it takes the name when its own certificate \
                       is there";
            return Err(Error::new(ErrorKind::KeyState, why));
        }
        self.rotate_known(caller, known, turn)
    }

    /// Gives the name to the version of the key `name` that was made ahead.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::KeyState`] where none is pending, or its certificate is missing while the key has one;
    /// those of [`Activate`].
    pub fn activate(&self, caller: &Caller, name: &str) -> Result<Rotated> {
        let known = self.versions_of(caller, name)?;
        if known.pending.is_empty() {
            return Err(Error::new(ErrorKind::KeyState, "no version of the key is pending"));
        }
        if self.is_certified(caller, &known.halves)? && !self.is_certified(caller, &known.pending)? {
            let why = "the key has a certificate, and the version that is pending has none yet: import that first";
            return Err(Error::new(ErrorKind::KeyState, why));
        }
        self.activate_known(caller, known)
    }

    /// All versions of the key `name` that are there, the oldest first: the secret key or the private half of each, else the public.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn versions(&self, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>> {
        let known = self.versions_of(caller, name)?;
        let (_, key) = known.key()?;
        let mut all = Vec::new();
        for number in 1..=key.newest_number() {
            if number == key.version_number() {
                all.extend(known.halves.first().cloned());
            } else {
                all.extend(self.halves(caller, &format!("{}@{number}", key.name))?.into_iter().next());
            }
        }
        Ok(all)
    }

    /// Gives the alias `alias` to the key `to`, or takes it away where that is `None`; the halves that have it now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such key, or no key has the alias that is to be taken away;
    /// [`ErrorKind::AlreadyExists`] where a key is named so; those of [`SetAlias`].
    pub fn set_alias(&self, caller: &Caller, alias: &str, to: Option<&str>) -> Result<Vec<Arc<Object>>> {
        let from = self.halves(caller, alias)?;
        let is_name = from.iter().filter_map(|half| half.key()).any(|key| key.name == alias);
        if is_name {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("a key is named `{alias}`: that is no alias")));
        }
        let to = to.map_or_else(|| Ok(Vec::new()), |name| self.versions_of(caller, name).map(|known| known.halves))?;
        if to.iter().map(|half| half.id).eq(from.iter().map(|half| half.id)) {
            return if to.is_empty() { Err(Error::new(ErrorKind::NotFound, "no key has this alias")) } else { Ok(to) };
        }
        self.perform(caller, SetAlias { alias: alias.to_owned(), to, from })
    }

    /// Does what is due about the rotation of every key of the caller's namespace, each step once whoever else tries it at the same
    /// moment; with `dry_run` nothing. `only` looks at one key, by its name.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Denied`] where the caller may not list the namespace. A key that could not be rotated is in
    /// the report.
    pub fn rotate_due(&self, caller: &Caller, only: Option<&str>, dry_run: bool) -> Result<Vec<DueRotation>> {
        self.rotate_all(caller, only, Look { dry_run, patient: false })
    }

    /// As [`Self::rotate_due`] of at most `limit` keys that are looked after, in the order of their identities, behind `after`; and
    /// behind which it goes on, where there may be more.
    ///
    /// # Errors
    /// As [`Self::rotate_due`].
    pub fn rotate_due_after(
        &self,
        caller: &Caller,
        (only, dry_run): (Option<&str>, bool),
        span: (Option<ObjectId>, usize),
    ) -> Result<(Vec<DueRotation>, Option<ObjectId>)> {
        self.rotate_each(caller, only, Look { dry_run, patient: false }, span)
    }

    /// As [`Self::rotate_due`] of all keys, for those who look again and again: what waits is not told of, nor for a while what failed,
    /// which is left alone.
    ///
    /// # Errors
    /// As [`Self::rotate_due`].
    pub fn tend_rotations(&self, caller: &Caller) -> Result<Vec<DueRotation>> {
        self.rotate_all(caller, None, Look { dry_run: false, patient: true })
    }

    fn rotate_all(&self, caller: &Caller, only: Option<&str>, look: Look) -> Result<Vec<DueRotation>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (seen, next) = self.rotate_each(caller, only, look, (after, PAGE))?;
            all.extend(seen);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn rotate_each(
        &self,
        caller: &Caller,
        only: Option<&str>,
        look: Look,
        (after, limit): (Option<ObjectId>, usize),
    ) -> Result<(Vec<DueRotation>, Option<ObjectId>)> {
        let query = Query { facets: vec![(Facet::Rotation, Vec::new())], ..Query::default() };
        let mut all = Vec::new();
        let page = self.perform(caller, Find { query: &query, after, limit })?;
        for found in &page {
            match self.look_after(caller, found.id, only, look) {
                Ok(seen) => all.extend(seen.filter(|seen| !look.patient || seen.step != RotationStep::Waits)),
                // Somebody was faster.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {}
                // One that cannot be looked at keeps no other one from being rotated.
                Err(e) => {
                    let (name, step) = (found.id.to_string(), RotationStep::Failed(e.sentence()));
                    all.push(DueRotation { name, version: 0, due: None, uses: None, bytes: None, step });
                }
            }
        }
        let next = page.last().map(|found| found.id).filter(|_| page.len() >= limit);
        Ok((all, next))
    }

    fn look_after(
        &self,
        caller: &Caller,
        id: ObjectId,
        only: Option<&str>,
        Look { dry_run, patient }: Look,
    ) -> Result<Option<DueRotation>> {
        let object = self.object(caller, id)?;
        let Some(key) = object.key().filter(|key| key.class != KeyClass::Public) else { return Ok(None) };
        if key.lifecycle.role.is_some() || only.is_some_and(|only| only != key.name) {
            return Ok(None);
        }
        // What a server keeps, it rotates.
        if self.pipeline.hall.keeper_of(caller, &object)?.is_some() {
            return Ok(None);
        }
        let (name, version, now) = (key.name.clone(), key.version_number(), self.now());
        let known = self.versions_of(caller, &name)?;
        let spent = self.spent(&object)?;
        let is_over = |rule: &Rotation| {
            let over = |spent: Option<Spent>| spent.is_some_and(|spent| spent.used >= rule.due_at(spent.limit));
            over(spent.0) || over(spent.1)
        };
        let over = key.lifecycle.rotation.as_ref().is_some_and(is_over);
        let (due, step) = self.step(caller, &known, (now, over))?;
        let (uses, bytes) = spent;
        let acts = matches!(step, RotationStep::Rotate | RotationStep::Prepare | RotationStep::Activate);
        // A version that waits is one thing to tell of, a step that fails another.
        let about = if acts { &object } else { known.pending.first().unwrap_or(&object) };
        let (what, moment) = ((about.id, about.edition), self.monotonic());
        if patient && self.tries.is_resting(what, moment) {
            return Ok(None);
        }
        let step = match step {
            step if dry_run => step,
            RotationStep::Rotate => said(self.rotate_known(caller, known, Turn::Now), step)?,
            RotationStep::Prepare => said(self.rotate_known(caller, known, Turn::Later(None)), step)?,
            RotationStep::Activate => said(self.activate_known(caller, known), step)?,
            step => step,
        };
        let failed = matches!(step, RotationStep::Failed(_));
        if patient && (acts || failed) {
            self.tries.note(what, failed, moment);
        }
        Ok(Some(DueRotation { name, version, due, uses, bytes, step }))
    }

    /// Uses and bytes of the version, where they are counted.
    fn spent(&self, object: &Object) -> Result<(Option<Spent>, Option<Spent>)> {
        let Some((id, rule)) = object.key().and_then(|key| key.counted(object.id)) else { return Ok((None, None)) };
        let (uses, bytes) = self.book.used_of_key(object.namespace, id)?;
        let of = |used: u64, limit: Option<u64>| limit.map(|limit| Spent { used, limit });
        Ok((of(uses, rule.uses), of(bytes, rule.bytes)))
    }

    fn step(
        &self,
        caller: &Caller,
        known: &Known,
        (now, over): (Timestamp, bool),
    ) -> Result<(Option<Timestamp>, RotationStep)> {
        let (object, key) = known.key()?;
        let overdue = key.rotates_at(object.created).filter(|due| *due <= now).or(over.then_some(now));
        // One that nobody can activate stands in nobody's way.
        if let Some(next) = known.pending.first().and_then(|half| half.key()).filter(|_| known.is_activable(now)) {
            let moment = next.lifecycle.activation;
            let come = moment.is_none_or(|moment| moment <= now);
            // Without a certificate or a moment it waits for somebody.
            let ready = come
                && (self.is_certified(caller, &known.pending)?
                    || (moment.is_some() && !self.is_certified(caller, &known.halves)?));
            let late = moment.map_or(overdue, |moment| come.then_some(moment));
            let held = held(&known.halves, now).filter(|_| ready || late.is_some());
            let step = awaited(ready, late, next.version_number());
            return Ok((moment, held.unwrap_or(step)));
        }
        let due = key.rotates_at(object.created);
        if !over && due.is_none_or(|due| now < due) {
            return Ok((due, RotationStep::Waits));
        }
        if let Some(held) = held(&known.halves, now) {
            return Ok((due, held));
        }
        let certified = self.is_certified(caller, &known.halves)?;
        Ok((due, if certified { RotationStep::Prepare } else { RotationStep::Rotate }))
    }

    fn rotate_known(&self, caller: &Caller, known: Known, turn: Turn) -> Result<Rotated> {
        let ids = known.halves.iter().map(|_| self.fresh_object()).collect::<Result<_>>()?;
        self.perform(caller, Rotate { halves: known.halves, ids, turn })
    }

    fn activate_known(&self, caller: &Caller, known: Known) -> Result<Rotated> {
        let Known { halves, pending } = known;
        let mut certificates = Vec::new();
        for version in [&pending, &halves] {
            let mut found = self.certificates(caller, version)?;
            found.retain(|one| speaks_for(one, version));
            // Of each version one: that which is called as it is, where there are several.
            found.sort_by_key(|one| !version.iter().any(|half| is_called_as(one, half)));
            certificates.extend(found.into_iter().take(1));
        }
        self.perform(caller, Activate { halves, pending, certificates })
    }

    /// The halves of the key `name`, the secret one first.
    pub(super) fn halves_of(&self, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>> {
        self.versions_of(caller, name).map(|known| known.halves)
    }

    /// The key `name` and the version that is pending.
    fn versions_of(&self, caller: &Caller, name: &str) -> Result<Known> {
        let halves = self.halves(caller, name)?;
        let first = halves.first().and_then(|half| half.key());
        let (next, own) = (first.and_then(|key| key.lifecycle.next), first.map_or(name, |key| key.name.as_str()));
        let pending = next.map_or_else(|| Ok(Vec::new()), |next| self.halves(caller, &format!("{own}@{next}")))?;
        let known = Known { halves, pending };
        known.key()?;
        Ok(known)
    }

    /// The halves of the key `name`, the secret one first.
    pub(super) fn halves(&self, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>> {
        let mut halves = Vec::with_capacity(2);
        for class in [KeyClass::Secret, KeyClass::Private, KeyClass::Public] {
            halves.extend(self.key(caller, name, class)?);
        }
        Ok(halves)
    }

    /// The certificates that share the CKA_ID of a version.
    fn certificates(&self, caller: &Caller, halves: &[Arc<Object>]) -> Result<Vec<Arc<Object>>> {
        let Some(identifier) = halves.first().map(|half| half.identifier.clone()).filter(|id| !id.is_empty()) else {
            return Ok(Vec::new());
        };
        let (identifier, kind) = (Some(identifier), Some(ObjectKind::Certificate));
        let query = Query { identifier, kind, ..Query::default() };
        let found = self.perform(caller, Find { query: &query, after: None, limit: PAGE })?;
        found.into_iter().map(|found| self.object(caller, found.id)).collect()
    }

    /// Whether there is a certificate of this version.
    fn is_certified(&self, caller: &Caller, halves: &[Arc<Object>]) -> Result<bool> {
        Ok(self.certificates(caller, halves)?.iter().any(|one| speaks_for(one, halves)))
    }
}

/// What is done about a version that was made ahead, `late` since when it was to have the name.
fn awaited(ready: bool, late: Option<Timestamp>, number: u32) -> RotationStep {
    match late {
        _ if ready => RotationStep::Activate,
        None => RotationStep::Pending,
        Some(since) => {
            let since = since.utc();
            let why =
                format!("due since {since}, and version {number} waits for its certificate, or for being activated");
            RotationStep::Failed(why)
        }
    }
}

/// What keeps a key from being rotated by itself: people rotate one that is compromised, nobody one that is not to be used.
fn held(halves: &[Arc<Object>], now: Timestamp) -> Option<RotationStep> {
    let key = halves.iter().filter_map(|half| half.key()).find(|key| key.state_at(now) != KeyState::Active)?;
    Some(RotationStep::Held(format!("the key is {}", key.state_word(now))))
}

/// Whether the certificate is one of the public key of this version.
fn speaks_for(certificate: &Object, halves: &[Arc<Object>]) -> bool {
    let Body::Certificate { value } = &certificate.body else { return false };
    let ours = halves.iter().filter_map(|half| half.key()?.primary().ok()?.public.spki());
    spki_of_certificate(value).is_some_and(|theirs| ours.into_iter().any(|spki| spki == theirs))
}

/// Whether a certificate is labelled as a half of a key is, or by its name.
fn is_called_as(certificate: &Object, half: &Object) -> bool {
    let name = half.key().map(|key| key.name.as_bytes());
    !certificate.label.is_empty() && (certificate.label == half.label || Some(&*certificate.label) == name)
}

/// The step that was taken, or why it was not. Somebody who was faster is no failure.
fn said(done: Result<Rotated>, step: RotationStep) -> Result<RotationStep> {
    match done {
        Ok(_) => Ok(step),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Err(e),
        Err(e) => Ok(RotationStep::Failed(e.sentence())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_waits_while_its_key_is_overdue_is_told_of() {
        assert_eq!(awaited(true, Some(Timestamp(0)), 2), RotationStep::Activate);
        assert_eq!(awaited(false, None, 2), RotationStep::Pending);
        assert!(
            matches!(awaited(false, Some(Timestamp(0)), 2), RotationStep::Failed(why) if why.contains("version 2"))
        );
    }
}
