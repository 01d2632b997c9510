//! The server as the keeper of records: what changed there since the last look, and what is changed there from here.

use std::time::Duration;

use libkmss::backend::{Changes, Custody};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Body, Object, Protection, Usage};
use libkmss::permit::{NewObject, Permit, Wishes};
use libkmss::tenant::Namespace;

use super::backend::draft;
use super::calls::Server;
use super::fleet::Patience;
use crate::convert;
use crate::proto::{self, import_document_request};

/// Records older than this are not shown.
const FRESH: Duration = Duration::from_secs(1);
/// From this age on one thread looks again, while others go on with what there is.
const EARLY: Duration = Duration::from_millis(500);
/// Objects asked for at once.
const PAGE: u32 = 500;

/// How far the server was followed.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    /// The namespace there: another one begins anew.
    place: String,
    /// Changes are wanted from here on.
    revision: u64,
    /// While everything is listed: the next page.
    page: Option<Vec<u8>>,
}

impl Cursor {
    fn encode(&self) -> Vec<u8> {
        let place = self.place.as_bytes();
        let len = u16::try_from(place.len()).unwrap_or(u16::MAX);
        let mut out = vec![1, u8::from(self.page.is_some())];
        out.extend_from_slice(&self.revision.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(place);
        out.extend(self.page.iter().flatten());
        out
    }

    /// `None` for what another version wrote.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let ([1, listing], rest) = bytes.split_first_chunk::<2>()? else { return None };
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (place, page) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        Some(Self {
            place: String::from_utf8(place.to_vec()).ok()?,
            revision: u64::from_be_bytes(*revision),
            page: (*listing == 1).then(|| page.to_vec()),
        })
    }
}

impl Server {
    /// Everything that is there, a page of it.
    fn list(&self, namespace: &Namespace, from: Option<Cursor>) -> Result<Changes> {
        let place = self.place(namespace);
        let (revision, token) = from.map_or((None, Vec::new()), |c| (Some(c.revision), c.page.unwrap_or_default()));
        let request = proto::ListObjectsRequest {
            namespace: place.clone(),
            page_size: PAGE,
            page_token: token,
            ..proto::ListObjectsRequest::default()
        };
        let answer = self.keys(Patience::Use, &request, |mut keys, r| async move { keys.list_objects(r).await })?;
        // Changes from before the first page on, so that nothing in between is missed.
        let revision = revision.unwrap_or(answer.revision);
        let last = answer.next_page_token.is_empty();
        let page = (!last).then_some(answer.next_page_token);
        Ok(Changes {
            objects: self.objects(namespace, answer.objects)?,
            cursor: Cursor { place, revision, page }.encode(),
            more: !last,
            ..Changes::default()
        })
    }

    fn since(&self, namespace: &Namespace, cursor: Cursor) -> Result<Changes> {
        let request = proto::ListChangesRequest {
            namespace: cursor.place.clone(),
            since: cursor.revision,
            limit: PAGE,
            wait_ms: 0,
        };
        let answer = self.keys(Patience::Use, &request, |mut keys, r| async move { keys.list_changes(r).await })?;
        if answer.reset {
            return Ok(Changes { reset: true, ..Changes::default() });
        }
        Ok(Changes {
            objects: self.objects(namespace, answer.objects)?,
            gone: answer.destroyed.iter().map(|id| convert::object_id(id)).collect::<Result<_>>()?,
            cursor: Cursor { revision: answer.revision, ..cursor }.encode(),
            more: answer.more,
            reset: false,
        })
    }

    fn objects(&self, namespace: &Namespace, objects: Vec<proto::Object>) -> Result<Vec<Object>> {
        objects.into_iter().map(|object| self.object(namespace, object)).collect()
    }
}

impl Custody for Server {
    fn due(&self, namespace: &Namespace, private: bool) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut looks = self.looks.lock();
        let look = looks.entry((namespace.id, namespace.incarnation, private)).or_default();
        let age = look.followed.map_or(Duration::MAX, |then| now.saturating_sub(then));
        let claimed = now.saturating_sub(look.claimed) < EARLY;
        if age < EARLY || (age < FRESH && claimed) {
            return None;
        }
        look.claimed = now;
        Some(now)
    }

    fn followed(&self, namespace: &Namespace, private: bool, begun: Duration) {
        let mut looks = self.looks.lock();
        let look = looks.entry((namespace.id, namespace.incarnation, private)).or_default();
        look.followed = look.followed.max(Some(begun));
    }

    fn changes(&self, namespace: &Namespace, cursor: &[u8]) -> Result<Changes> {
        let place = self.place(namespace);
        let known = Cursor::decode(cursor).filter(|cursor| cursor.place == place);
        let changes = match known {
            None if !cursor.is_empty() => return Ok(Changes { reset: true, ..Changes::default() }),
            Some(cursor) if cursor.page.is_none() => self.since(namespace, cursor),
            listing => self.list(namespace, listing),
        };
        changes.map_err(|e| match e.kind() {
            // Here it is no object that is missing.
            ErrorKind::NotFound => {
                let why = format!("the server `{}` serves no namespace `{place}` to this caller", self.id().0);
                Error::new(ErrorKind::BackendUnavailable, why)
            }
            _ => e,
        })
    }

    fn keep(&self, permit: &Permit, document: &Object) -> Result<()> {
        let namespace = &permit.caller().namespace;
        let body = match &document.body {
            Body::Certificate { value } => import_document_request::Body::Certificate(value.clone()),
            Body::Data { value } => import_document_request::Body::Data(value.to_vec()),
            Body::Key(_) => return Err(Error::new(ErrorKind::Internal, "a key is no document")),
        };
        let wishes = Wishes {
            modifiable: document.modifiable,
            copyable: document.copyable,
            destroyable: document.destroyable,
            label: document.label.clone(),
            identifier: document.identifier.clone(),
            attributes: document.attributes.clone(),
            ..Wishes::default()
        };
        let new = NewObject {
            id: document.id,
            storage: document.storage,
            private: document.private,
            name: String::new(),
            is_key: false,
            origin: String::new(),
            usage: Usage::default(),
            protection: Protection::default(),
            wishes: Some(wishes.into()),
        };
        let request = proto::ImportDocumentRequest {
            namespace: self.place(namespace),
            body: Some(body),
            draft: Some(draft(&new)),
            request_id: self.request_id()?,
        };
        let made =
            self.make(document.id, namespace, request, |mut keys, r| async move { keys.import_document(r).await })?;
        drop(made);
        Ok(())
    }

    fn update(&self, permit: &Permit, old: &Object, new: &Object) -> Result<()> {
        let request = proto::UpdateObjectRequest {
            object: Some(self.reference(&permit.caller().namespace, old.id)),
            // Editions here and there are different numbers.
            edition: 0,
            request_id: self.request_id()?,
            ..convert::change_of(old, new)
        };
        self.keys(Patience::Use, &request, |mut keys, r| async move { keys.update_object(r).await }).map(drop)
    }

    fn rename(&self, permit: &Permit, key: &Object, name: &str) -> Result<()> {
        let request = proto::RenameKeyRequest {
            key: Some(self.reference(&permit.caller().namespace, key.id)),
            name: name.to_owned(),
            request_id: self.request_id()?,
        };
        self.keys(Patience::Use, &request, |mut keys, r| async move { keys.rename_key(r).await }).map(drop)
    }

    fn remove(&self, permit: &Permit, object: &Object) -> Result<()> {
        let request = proto::DestroyObjectRequest {
            object: Some(self.reference(&permit.caller().namespace, object.id)),
            request_id: self.request_id()?,
        };
        match self.keys(Patience::Use, &request, |mut keys, r| async move { keys.destroy_object(r).await }) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_nothing_else_is_one() {
        for page in [None, Some(vec![]), Some(vec![1, 2, 3])] {
            let cursor = Cursor { place: "default/web".to_owned(), revision: 7 << 40, page };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
        for bytes in [b"".as_slice(), b"\x02\x00", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, b'x']] {
            assert_eq!(Cursor::decode(bytes), None);
        }
    }
}
