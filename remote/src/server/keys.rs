//! Keys, certificates and data: finding, changing and destroying them. `making.rs` makes them.

use std::sync::Arc;
use std::time::Duration;

use libkmss::catalog::{Facet, ObjectKind, Query};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{KeyClass, Object};
use libkmss::operation::{Destroy, Export, Find, ListChanges, ObjectRef, Rename, Update};
use libkmss::store::Revision;
use libkmss::tenant::ObjectId;

use super::Server;
use super::call::{Asked, Call, argument};
use super::crypto::of;
use super::route::Context;
use crate::convert;
use crate::proto;

/// Objects of a page where nothing is said, and most of them.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// Most of what a key is to have.
const MOST_FACETS: usize = 8;
/// How often whoever waits for a change looks.
const PACE: Duration = Duration::from_millis(20);
/// Longest wait for a change.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) fn page(size: u32) -> usize {
    match usize::try_from(size).unwrap_or(MAX_PAGE) {
        0 => PAGE,
        size => size.min(MAX_PAGE),
    }
}

/// Where the page before ended.
pub(super) fn behind(token: &[u8]) -> Result<Option<ObjectId>> {
    if token.is_empty() { Ok(None) } else { convert::object_id(token).map(Some) }
}

/// What the next page is asked for with.
pub(super) fn token(next: Option<ObjectId>) -> Vec<u8> {
    next.map(|id| id.0.to_vec()).unwrap_or_default()
}

/// The object behind a reference to a stored one.
fn stored(asked: &Asked<'_>, object: &ObjectRef) -> Result<Arc<Object>> {
    match object {
        ObjectRef::Stored(id) => asked.host.kms.object(&asked.caller, *id),
        ObjectRef::Ephemeral(object) => Ok(Arc::clone(object)),
    }
}

/// Looking at an object is finding it, to policies and the audit.
pub(super) fn found(asked: &Asked<'_>) -> Result<()> {
    let query = Query::default();
    asked.host.kms.perform(&asked.caller, Find { query: &query, after: None, limit: 0 }).map(drop)
}

impl Call for proto::ListNamespacesRequest {
    type Answer = proto::ListNamespacesResponse;
    const METHOD: &'static str = "ListNamespaces";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListNamespacesResponse> {
        let namespaces = asked.host.namespaces(asked.connection)?;
        Ok(proto::ListNamespacesResponse { namespaces: namespaces.iter().map(Into::into).collect() })
    }
}

impl Call for proto::GetObjectRequest {
    type Answer = proto::GetObjectResponse;
    const METHOD: &'static str = "GetObject";

    fn namespace(&self) -> &str {
        use proto::get_object_request::Which;
        match &self.which {
            Some(Which::Id(key)) => of(Some(key)),
            Some(Which::Name(name)) => &name.namespace,
            None => "",
        }
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetObjectResponse> {
        use proto::get_object_request::Which;
        found(asked)?;
        let object = match self.which {
            Some(Which::Id(key)) => stored(asked, &asked.object(Some(&key))?)?,
            Some(Which::Name(name)) => {
                let class = class(name.class)?;
                let missing = || Error::new(ErrorKind::NotFound, "there is no key of this name and class");
                asked.host.kms.key(&asked.caller, &name.name, class)?.ok_or_else(missing)?
            }
            None => return Err(argument("it is not said which object")),
        };
        Ok(proto::GetObjectResponse { object: Some(object.as_ref().into()) })
    }
}

fn class(number: i32) -> Result<KeyClass> {
    match proto::KeyClass::try_from(number) {
        Ok(proto::KeyClass::Secret) => Ok(KeyClass::Secret),
        Ok(proto::KeyClass::Private) => Ok(KeyClass::Private),
        Ok(proto::KeyClass::Public) => Ok(KeyClass::Public),
        _ => Err(argument("the class of the key is missing or not known")),
    }
}

fn kind(number: i32) -> Result<Option<ObjectKind>> {
    use proto::ObjectKind as Wire;
    Ok(Some(match Wire::try_from(number) {
        Ok(Wire::Unspecified) => return Ok(None),
        Ok(Wire::SecretKey) => ObjectKind::Key(KeyClass::Secret),
        Ok(Wire::PrivateKey) => ObjectKind::Key(KeyClass::Private),
        Ok(Wire::PublicKey) => ObjectKind::Key(KeyClass::Public),
        Ok(Wire::Certificate) => ObjectKind::Certificate,
        Ok(Wire::Data) => ObjectKind::Data,
        Err(_) => return Err(argument("the kind of objects is not known")),
    }))
}

impl Call for proto::ListObjectsRequest {
    type Answer = proto::ListObjectsResponse;
    const METHOD: &'static str = "ListObjects";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListObjectsResponse> {
        let kms = &asked.host.kms;
        let (after, limit) = (behind(&self.page_token)?, page(self.page_size));
        let revision = kms.revision()?;
        let mut facets: Vec<_> = self.tags.into_iter().map(|tag| (Facet::Tag, tag.into_bytes())).collect();
        facets.extend(self.owner.map(|owner| (Facet::Owner, owner.into_bytes())));
        facets.extend(self.service.map(|service| (Facet::Service, service.into_bytes())));
        if let Some(purpose) = self.purpose.map(convert::purpose).transpose()?.flatten() {
            facets.push((Facet::Purpose, purpose.name().into()));
        }
        if facets.len() > MOST_FACETS {
            return Err(argument("that is too much to look for at once"));
        }
        let query = Query { label: self.label, identifier: self.identifier, kind: kind(self.kind)?, facets };
        let found = kms.perform(&asked.caller, Find { query: &query, after, limit })?;
        let next = if found.len() < limit { None } else { found.last().map(|last| last.id) };
        let mut objects = Vec::with_capacity(found.len());
        for one in found {
            match kms.object(&asked.caller, one.id) {
                Ok(object) => objects.push(object.as_ref().into()),
                // Somebody destroyed it meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(proto::ListObjectsResponse { objects, next_page_token: token(next), revision: revision.0 })
    }
}

impl Call for proto::ListChangesRequest {
    type Answer = proto::ListChangesResponse;
    const METHOD: &'static str = "ListChanges";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListChangesResponse> {
        let kms = &asked.host.kms;
        let since = Revision(self.since);
        let changes = kms.perform(&asked.caller, ListChanges { since, limit: page(self.limit) })?;
        Ok(match changes {
            None => proto::ListChangesResponse { reset: true, ..proto::ListChangesResponse::default() },
            Some(changes) => proto::ListChangesResponse {
                objects: changes.objects.iter().map(|object| object.as_ref().into()).collect(),
                destroyed: changes.destroyed.iter().map(|id| id.0.to_vec()).collect(),
                revision: changes.revision.0,
                more: changes.more,
                reset: false,
            },
        })
    }
}

impl Call for proto::ExportKeyRequest {
    type Answer = proto::ExportKeyResponse;
    const METHOD: &'static str = "ExportKey";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ExportKeyResponse> {
        let key = asked.object(self.key.as_ref())?;
        let components = asked.host.kms.perform(&asked.caller, Export { key })?;
        Ok(proto::ExportKeyResponse { components: Some((&components).into()) })
    }
}

impl Call for proto::UpdateObjectRequest {
    type Answer = proto::UpdateObjectResponse;
    const METHOD: &'static str = "UpdateObject";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.object.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::UpdateObjectResponse> {
        let current = asked.object(self.object.as_ref())?;
        let object = convert::updated(stored(asked, &current)?.as_ref(), self)?;
        let object = asked.host.kms.perform(&asked.caller, Update { current, object })?;
        Ok(proto::UpdateObjectResponse { object: Some(object.as_ref().into()) })
    }
}

impl Call for proto::RenameKeyRequest {
    type Answer = proto::RenameKeyResponse;
    const METHOD: &'static str = "RenameKey";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RenameKeyResponse> {
        let key = asked.object(self.key.as_ref())?;
        let keys = asked.host.kms.perform(&asked.caller, Rename { key, name: self.name })?;
        Ok(proto::RenameKeyResponse { keys: keys.iter().map(|key| key.as_ref().into()).collect() })
    }
}

impl Call for proto::DestroyObjectRequest {
    type Answer = proto::DestroyObjectResponse;
    const METHOD: &'static str = "DestroyObject";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.object.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DestroyObjectResponse> {
        let object = asked.object(self.object.as_ref())?;
        asked.host.kms.perform(&asked.caller, Destroy { object })?;
        Ok(proto::DestroyObjectResponse {})
    }
}

impl Server {
    /// As [`Server::answer`], where nothing changed yet as soon as something does, or the wait is over.
    pub(super) async fn changes(
        self: &Arc<Self>,
        context: &Context,
        call: proto::ListChangesRequest,
    ) -> Result<proto::ListChangesResponse> {
        let wait = Duration::from_millis(u64::from(call.wait_ms)).min(MAX_WAIT);
        let until = self.clock.monotonic().saturating_add(wait).min(context.deadline.saturating_sub(PACE));
        loop {
            let generation = self.host.kms.generation();
            let changes = self.answer(context, call.clone()).await?;
            let none = changes.objects.is_empty() && changes.destroyed.is_empty() && !changes.reset && !changes.more;
            if !none || self.clock.monotonic() >= until || *self.stopping.borrow() {
                return Ok(changes);
            }
            // A look costs a nanosecond, and no thread waits.
            while self.host.kms.generation() == generation && self.clock.monotonic() < until && !*self.stopping.borrow()
            {
                tokio::time::sleep(PACE).await;
            }
        }
    }
}
