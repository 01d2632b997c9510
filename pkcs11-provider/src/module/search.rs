//! Searches (PKCS#11 3.2, 5.7.7): through the index where there is a term for it, with the rest of the template checked
//! on what the index found.

use std::collections::VecDeque;

use cryptoki_sys::{
    self as c, CK_OBJECT_HANDLE, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};
use libkmss::catalog::{Match, ObjectKind, Query};
use libkmss::error::ErrorKind;
use libkmss::key::{KeyClass, Object};
use libkmss::operation::Find;
use libkmss::tenant::ObjectId;

use crate::attributes::read::Attributes;
use crate::mechanisms::Profile;
use crate::module::session::SessionView;
use crate::module::special;
use crate::raw::template::{Answer, Template};
use crate::rv::Result;

/// How many stored objects are looked up at a time.
const PAGE: usize = 128;

/// An object search under way.
pub(crate) struct Search {
    template: Template,
    profile: Profile,
    query: Query,
    /// Whether the index answers the whole template.
    exact: bool,
    session: VecDeque<CK_OBJECT_HANDLE>,
    stored: VecDeque<Match>,
    after: Option<ObjectId>,
    /// Whether the store has no more.
    exhausted: bool,
}

impl Search {
    /// Begins to search for the objects that match `template` and that the caller of `view` may see.
    pub(crate) fn begin(view: &SessionView, template: Template) -> Result<Self> {
        if let Some(found) = special::search(view, &template) {
            return Ok(Self::over(view, template, found));
        }
        let (token, class) = (template.flag(c::CKA_TOKEN), template.number(c::CKA_CLASS));
        let kind = class.map(|class| class.map(kind)).unwrap_or(Some(None));
        // A value of a wrong form, or a class that is not offered, matches nothing.
        let nothing = token.is_err() || kind == Some(None);
        let indexed = |kind| matches!(kind, c::CKA_CLASS | c::CKA_TOKEN | c::CKA_ID | c::CKA_LABEL);
        let term = |kind| template.get(kind).filter(|value| !value.is_empty()).map(<[u8]>::to_vec);
        let query =
            Query { label: term(c::CKA_LABEL), identifier: term(c::CKA_ID), kind: kind.flatten(), ..Query::default() };
        let exact = template.iter().all(|(kind, value)| indexed(kind) && !value.is_empty());
        let mut search = Self {
            exact,
            profile: view.profile(),
            query,
            session: VecDeque::new(),
            stored: VecDeque::new(),
            after: None,
            exhausted: nothing || token == Ok(Some(false)),
            template,
        };
        if !nothing && token != Ok(Some(true)) {
            let visible = view.token.objects.session_objects(view);
            let mut found = visible.into_iter().filter(|(_, o)| search.matches(o)).map(|(h, _)| h).collect::<Vec<_>>();
            found.sort_unstable();
            search.session = found.into();
        }
        search.refill(view)?;
        Ok(search)
    }

    /// A search that has found everything.
    fn over(view: &SessionView, template: Template, found: Vec<CK_OBJECT_HANDLE>) -> Self {
        Self {
            template,
            profile: view.profile(),
            query: Query::default(),
            exact: true,
            session: found.into(),
            stored: VecDeque::new(),
            after: None,
            exhausted: true,
        }
    }

    /// Up to `max` more handles; fewer only when there are no more.
    pub(crate) fn next(&mut self, view: &SessionView, max: usize) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let mut found = Vec::new();
        while found.len() < max {
            if let Some(handle) = self.session.pop_front() {
                found.push(handle);
            } else if let Some(id) = self.stored.pop_front() {
                found.extend(self.admit(view, id)?);
            } else if self.exhausted {
                break;
            } else {
                self.refill(view)?;
            }
        }
        Ok(found)
    }

    fn refill(&mut self, view: &SessionView) -> Result<()> {
        if self.exhausted || !self.stored.is_empty() {
            return Ok(());
        }
        let page = Find { query: &self.query, after: self.after, limit: PAGE };
        let page = view.kms.perform(&view.caller, page)?;
        self.exhausted = page.len() < PAGE;
        self.after = page.last().map(|found| found.id);
        self.stored = page.into();
        Ok(())
    }

    /// The handle of a stored object that the index named, if it matches the whole template.
    ///
    /// Where the index has answered the whole template the object is not read: one destroyed meanwhile is found by its handle.
    fn admit(&self, view: &SessionView, found: Match) -> Result<Option<CK_OBJECT_HANDLE>> {
        let Match { id, private } = found;
        if self.exact {
            return Ok(Some(view.token.objects.handle_of_stored(id, private)));
        }
        match view.kms.object(&view.caller, id) {
            Ok(object) if self.matches(&object) => Ok(Some(view.token.objects.handle_of_stored(id, object.private))),
            // Destroyed since it was found, or not ours to see.
            Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotLoggedIn) => Err(e.into()),
            _ => Ok(None),
        }
    }

    fn matches(&self, object: &Object) -> bool {
        let attributes = Attributes::of(object, self.profile);
        self.template.iter().all(|(kind, wanted)| match attributes.answer(kind) {
            Answer::Value(value) => value.as_slice() == wanted,
            Answer::Nested(template) => template.encode() == wanted,
            // Key material is never compared: a search is no oracle.
            Answer::Sensitive | Answer::Unknown => false,
        })
    }
}

const fn kind(class: c::CK_OBJECT_CLASS) -> Option<ObjectKind> {
    Some(match class {
        CKO_DATA => ObjectKind::Data,
        CKO_CERTIFICATE => ObjectKind::Certificate,
        CKO_PUBLIC_KEY => ObjectKind::Key(KeyClass::Public),
        CKO_PRIVATE_KEY => ObjectKind::Key(KeyClass::Private),
        CKO_SECRET_KEY => ObjectKind::Key(KeyClass::Secret),
        _ => return None,
    })
}
