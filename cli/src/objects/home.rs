//! Objects of a home.

use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::catalog::{Facet, ObjectKind, Query, Tombstone};
use libkmss::clock::Timestamp;
use libkmss::key::{AuditMode, Body, KeyClass, KeyComponents, KeySpec, KeyState, Object, Storage, Transition};
use libkmss::kms::{Doomed, DueRotation, Kms};
use libkmss::mechanism::Mechanism;
use libkmss::operation::{
    ChangeLife, ChangeState, Destroy, Draft, Find, GeneratePair, GenerateSecret, Import, ImportDocument, ObjectRef,
    Rename, SetAudit, Sign, Tag, Turn, Update,
};
use libkmss::tenant::Namespace;

use super::Objects;
use crate::output::Failure;

/// The objects of a token of a home.
pub(super) struct HomeObjects {
    kms: Kms,
    caller: Caller,
}

impl HomeObjects {
    /// Those that this caller sees.
    pub(super) fn new((kms, caller): (Kms, Caller)) -> Self {
        Self { kms, caller }
    }
}

impl Objects for HomeObjects {
    fn namespace(&self) -> &Namespace {
        &self.caller.namespace
    }

    fn now(&self) -> Result<Timestamp, Failure> {
        Ok(self.kms.now())
    }

    fn draft(&self) -> Result<Draft, Failure> {
        Ok(self.kms.draft(Storage::Stored)?)
    }

    fn key(&self, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>, Failure> {
        Ok(self.kms.key(&self.caller, name, class)?)
    }

    fn having(&self, kind: ObjectKind, facets: &[(Facet, Vec<u8>)]) -> Result<Vec<Arc<Object>>, Failure> {
        let mut all = Vec::new();
        let query = Query { kind: Some(kind), facets: facets.to_vec(), ..Query::default() };
        found_in(&self.kms, &self.caller, &query, &mut all)?;
        Ok(all)
    }

    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, GeneratePair { spec, private, public })?.0)
    }

    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, GenerateSecret { spec, draft })?)
    }

    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, Import { components, draft })?)
    }

    fn import_certificate(&self, der: &[u8], draft: Draft) -> Result<Arc<Object>, Failure> {
        let body = Body::Certificate { value: der.to_vec() };
        Ok(self.kms.perform(&self.caller, ImportDocument { body, draft })?)
    }

    fn update(&self, current: &Arc<Object>, wanted: Object) -> Result<(), Failure> {
        let update = Update { current: ObjectRef::from(current), object: wanted };
        self.kms.perform(&self.caller, update)?;
        Ok(())
    }

    fn rename(&self, key: &Arc<Object>, name: &str) -> Result<(), Failure> {
        self.kms.perform(&self.caller, Rename { key: ObjectRef::from(key), name: name.to_owned() })?;
        Ok(())
    }

    fn destroy(&self, object: &Arc<Object>) -> Result<(), Failure> {
        self.kms.perform(&self.caller, Destroy { object: ObjectRef::from(object) })?;
        Ok(())
    }

    fn sign(&self, key: &Arc<Object>, mechanism: &Mechanism, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let operation = Sign { key: ObjectRef::from(key), how: mechanism.clone().into() };
        let mut signing = self.kms.begin(&self.caller, operation)?;
        Ok(signing.finish(message, |running| {
            let mut signature = vec![0; running.signature_len()];
            running.update(message)?;
            let len = running.finish(&mut signature)?;
            signature.truncate(len);
            Ok(signature)
        })?)
    }

    fn set_state(&self, key: &Arc<Object>, state: KeyState) -> Result<(), Failure> {
        self.kms.perform(&self.caller, ChangeState { key: ObjectRef::from(key), state })?;
        Ok(())
    }

    fn set_tags(&self, key: &Arc<Object>, tags: &[String]) -> Result<(), Failure> {
        self.kms.perform(&self.caller, Tag { key: ObjectRef::from(key), tags: tags.to_vec() })?;
        Ok(())
    }

    fn set_audit(&self, key: &Arc<Object>, mode: AuditMode) -> Result<(), Failure> {
        self.kms.perform(&self.caller, SetAudit { key: ObjectRef::from(key), mode })?;
        Ok(())
    }

    fn change_life(&self, halves: &[Arc<Object>], transition: &Transition) -> Result<Vec<Arc<Object>>, Failure> {
        let mut halves = halves.iter().map(ObjectRef::from);
        let key = halves.next().ok_or("the key is gone")?;
        let change = ChangeLife { key, other: halves.next(), transition: transition.clone() };
        Ok(self.kms.perform(&self.caller, change)?)
    }

    fn destroy_due(&self, dry_run: bool) -> Result<Vec<Doomed>, Failure> {
        Ok(self.kms.destroy_due(&self.caller, dry_run)?)
    }

    fn tombstones(&self, name: &str) -> Result<Vec<Tombstone>, Failure> {
        Ok(match name {
            "" => self.kms.tombstones(&self.caller)?,
            name => self.kms.tombstone_of(&self.caller, name)?.into_iter().collect(),
        })
    }

    fn release_name(&self, name: &str) -> Result<(), Failure> {
        Ok(self.kms.release_name(&self.caller, name)?)
    }

    fn rotate(&self, name: &str, turn: Turn) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.rotate(&self.caller, name, turn)?.made)
    }

    fn activate(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.activate(&self.caller, name)?.made)
    }

    fn versions(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.versions(&self.caller, name)?)
    }

    fn rotate_due(&self, only: Option<&str>, dry_run: bool) -> Result<Vec<DueRotation>, Failure> {
        Ok(self.kms.rotate_due(&self.caller, only, dry_run)?)
    }

    fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<(), Failure> {
        self.kms.set_alias(&self.caller, alias, to)?;
        Ok(())
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(self.kms.close()?)
    }
}

/// All parts of a key of a home: private and public half, or the secret key.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn parts_in(kms: &Kms, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
    let mut found = Vec::new();
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        found.extend(kms.key(caller, name, class)?);
    }
    Ok(found)
}

/// Every stored object of a kind in a home.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn all_in(kms: &Kms, caller: &Caller, kind: ObjectKind, into: &mut Vec<Arc<Object>>) -> Result<(), Failure> {
    found_in(kms, caller, &Query { kind: Some(kind), ..Query::default() }, into)
}

fn found_in(kms: &Kms, caller: &Caller, query: &Query, into: &mut Vec<Arc<Object>>) -> Result<(), Failure> {
    const PAGE: usize = 256;
    let mut after = None;
    loop {
        let page = kms.perform(caller, Find { query, after, limit: PAGE })?;
        for found in &page {
            into.push(kms.object(caller, found.id)?);
        }
        after = page.last().map(|found| found.id);
        if page.len() < PAGE {
            return Ok(());
        }
    }
}
