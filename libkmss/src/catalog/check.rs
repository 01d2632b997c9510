//! Walks a namespace and says what contradicts what: records that do not open, index entries and names that lead nowhere,
//! objects that no search would find.
//!
//! Nothing is repaired: what was tampered with is evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{self, CLOSED, ORDINALS, Paths, object_of};
use super::record::{Domain, Header};
use super::{Catalog, index, key_for, name, open_object};
use crate::caller::Caller;
use crate::error::{ErrorKind, Result};
use crate::store::{Entry, StoreKey};
use crate::tenant::ObjectId;

/// Entries read at once.
const PAGE: usize = 256;

/// What a walk through one namespace found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogReport {
    /// Records of objects.
    pub objects: u64,
    /// Those that were opened; the others are private and nobody showed a key for them.
    pub opened: u64,
    /// Index entries that were proven genuine.
    pub entries: u64,
    /// Names of keys that were proven genuine.
    pub names: u64,
    /// Everything that is wrong.
    pub complaints: Vec<Complaint>,
    /// The edition that each object's record claims.
    pub editions: BTreeMap<ObjectId, u64>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The object it is about, where there is one.
    pub object: Option<ObjectId>,
    /// What is wrong, as a sentence without a period.
    pub what: String,
}

/// One walk under way.
struct Walk<'a> {
    caller: &'a Caller,
    paths: Paths,
    report: CatalogReport,
    /// Index entries and guards that the opened objects ought to have.
    wanted: BTreeSet<StoreKey>,
    /// What leads to which object.
    leads: Vec<(StoreKey, ObjectId)>,
    /// Keys that tombstones tell of: their names lead to nothing else.
    buried: BTreeSet<ObjectId>,
}

impl Catalog {
    /// Walks the caller's namespace. Private objects are opened where the caller holds their key. `progress` is told how many
    /// records have been read.
    ///
    /// # Errors
    /// Those of the store; what is damaged is in the report.
    pub fn check(&self, caller: &Caller, progress: &mut dyn FnMut(u64)) -> Result<CatalogReport> {
        let namespace = &caller.namespace;
        let paths = Paths::of(namespace);
        let everything = path::everything_of(namespace.id);
        let own = format!("{everything}{}/", namespace.incarnation);
        let buried = self.buried(caller)?;
        let (report, wanted) = (CatalogReport::default(), BTreeSet::new());
        let mut walk = Walk { caller, paths, report, wanted, leads: Vec::new(), buried };
        if self.store.get(&path::ordinal(namespace.ordinal)?)?.is_none() {
            walk.complain(None, format!("the guard of its position is missing below `{ORDINALS}`"));
        }
        let (mut read, mut after) = (0, None);
        loop {
            let page = self.store.scan(&everything, after.as_ref(), PAGE)?;
            for (path, entry) in &page {
                // Of former incarnations the markers stay; what else is left is removed when the token is made anew.
                if let Some(rest) = path.as_str().strip_prefix(&own) {
                    walk.visit(rest, path, entry);
                }
            }
            read += page.len() as u64;
            progress(read);
            let complete = page.len() < PAGE;
            after = page.into_iter().last().map(|(path, _)| path);
            if complete {
                return Ok(walk.finish());
            }
        }
    }

    /// The identities of all keys that tombstones tell of.
    fn buried(&self, caller: &Caller) -> Result<BTreeSet<ObjectId>> {
        let (mut all, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.tombstones(caller, after, PAGE)?;
            all.extend(page.iter().map(|stone| stone.object));
            after = page.last().map(|stone| stone.object);
            if page.len() < PAGE {
                return Ok(all);
            }
        }
    }
}

impl Walk<'_> {
    fn visit(&mut self, rest: &str, path: &StoreKey, entry: &Entry) {
        let seen = match rest.split('/').next() {
            Some("obj") => self.object(path, entry),
            Some("idx") => self.entry(path, entry),
            Some("name") => self.name(path, entry),
            // What it says is proven when it is used.
            Some("mirror") => Ok(()),
            // A marker of a version of the domain key that is over.
            Some("retired") => Ok(()),
            _ if format!("/{rest}") == CLOSED => {
                self.complain(None, "its current incarnation is marked as over".to_owned());
                Ok(())
            }
            _ => {
                self.complain(None, format!("`{path}` belongs to nothing", path = path.as_str()));
                Ok(())
            }
        };
        if let Err(error) = seen {
            self.complain(object_of(path).ok(), error.to_string());
        }
    }

    fn object(&mut self, path: &StoreKey, entry: &Entry) -> Result<()> {
        self.report.objects += 1;
        let id = object_of(path)?;
        let (header, _) = Header::parse(&entry.value)?;
        self.report.editions.insert(id, header.edition);
        if header.domain == Domain::Private && self.caller.keyring.private.is_none() {
            // Public and private versions go together.
            let known = self.caller.keyring.public.version(header.key_version);
            return known.map(drop);
        }
        let object = open_object(self.caller, id, path, entry)?;
        self.report.opened += 1;
        let Some((key, _)) = key_for(&self.caller.keyring, object.private) else { return Ok(()) };
        for term in index::terms(key, &object)? {
            self.wanted.insert(self.paths.entry(term, id)?);
        }
        if let Some(key) = object.key() {
            let guards = name::all_guards(&self.caller.keyring.public, &self.paths, key)?;
            self.wanted.extend(guards);
        }
        Ok(())
    }

    fn entry(&mut self, path: &StoreKey, entry: &Entry) -> Result<()> {
        let keyring = &self.caller.keyring;
        let read = match index::read(&keyring.public, path, &entry.value) {
            // Perhaps it was made under the private key.
            Err(e) if e.kind() == ErrorKind::Damaged => match &keyring.private {
                Some(private) => index::read(private, path, &entry.value),
                None => return Ok(()),
            },
            other => other,
        };
        let (id, _) = read?;
        self.report.entries += 1;
        self.leads.push((path.clone(), id));
        Ok(())
    }

    fn name(&mut self, path: &StoreKey, entry: &Entry) -> Result<()> {
        let id = name::read(&self.caller.keyring.public, path, &entry.value)?;
        self.report.names += 1;
        self.leads.push((path.clone(), id));
        Ok(())
    }

    /// Compares what ought to be with what is.
    fn finish(mut self) -> CatalogReport {
        for (path, id) in std::mem::take(&mut self.leads) {
            let ours = self.wanted.remove(&path);
            if self.buried.contains(&id) && path.as_str().contains("/name/") {
                continue;
            }
            if !self.report.editions.contains_key(&id) {
                let what = if path.as_str().contains("/name/") { "a name of a key" } else { "an index entry" };
                self.complain(Some(id), format!("{what} leads to an object that does not exist"));
            } else if !ours && self.is_complete() {
                self.complain(Some(id), "an index entry or name leads to it that it does not have".to_owned());
            }
        }
        for path in std::mem::take(&mut self.wanted) {
            let id = object_of(&path).ok().filter(|_| path.as_str().contains("/idx/"));
            let what = if id.is_some() {
                "an index entry is missing: searches pass it by"
            } else {
                "the guard of a key's name is missing"
            };
            self.complain(id, what.to_owned());
        }
        self.report
    }

    /// Whether every object was opened, so that everything that leads to one is known.
    const fn is_complete(&self) -> bool {
        self.report.opened == self.report.objects
    }

    fn complain(&mut self, object: Option<ObjectId>, what: String) {
        self.report.complaints.push(Complaint { object, what });
    }
}
