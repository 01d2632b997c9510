//! Parts of records that repeat from one to the next: who, and which key. Kept as they were written, for as long as the
//! values they tell of are the very same ones.

use std::sync::{Arc, Weak};

use super::buffer::LineBuffer;
use super::{AuditEvent, AuditSummary, Outcome, SummaryKey, SummaryUse, encode};
use crate::caller::{Caller, CallerName, Login, Principal};
use crate::key::{Action, Key, Object, Storage};
use crate::mechanism::MarkedContext;
use crate::permit::Subject;
use crate::tenant::{Namespace, ObjectId};

/// Places for texts of each kind; one that is needed by another value is written anew.
const PLACES: usize = 8;

/// Texts written before.
#[derive(Default)]
pub(super) struct Known {
    callers: [Option<CallerText>; PLACES],
    objects: [Option<ObjectText>; PLACES],
    ended: Option<EndedText>,
    /// What was last named in the place of another: kept when it is named again, as most session keys never are.
    seen: [Option<ObjectId>; PLACES],
    /// The event of which the buffer's line tells, where its line may begin another.
    last: Option<Last>,
}

/// A plain use of a key that went well.
struct Last {
    caller: Arc<CallerName>,
    session: u64,
    action: Action,
    object: Weak<Object>,
    also: Also,
    mechanism: Option<Box<str>>,
    rule: Box<str>,
    context: ContextText,
    /// The line of the buffer that tells of it.
    line: u64,
}

/// An encryption context as a record tells it, in memory that is used again and again: other values come with most records.
#[derive(Default)]
struct ContextText {
    /// All names one after the other.
    names: String,
    /// Where each name ends, and the mark of its value.
    ends: Vec<(usize, [u8; 16])>,
}

impl ContextText {
    fn of(mut self, context: Option<&MarkedContext>) -> Self {
        self.names.clear();
        self.ends.clear();
        for (name, mark) in context.into_iter().flat_map(MarkedContext::each) {
            self.names.push_str(name);
            self.ends.push((self.names.len(), *mark));
        }
        self
    }

    fn is(&self, context: Option<&MarkedContext>) -> bool {
        let Some(context) = context else { return self.ends.is_empty() };
        let mut from = 0;
        self.ends.len() == context.each().len()
            && self.ends.iter().zip(context.each()).all(|((end, mark), (name, now))| {
                let known = self.names.get(std::mem::replace(&mut from, *end)..*end);
                known == Some(name) && mark == now
            })
    }
}

/// The second object of a use.
enum Also {
    None,
    /// It is the same each time.
    Same(Weak<Object>),
    /// It is another session key each time, of one kind.
    Made(SummaryKey),
}

impl Also {
    fn of(event: &AuditEvent<'_>) -> Option<Self> {
        match event.also {
            None => Some(Self::None),
            Some(Subject::Object(object)) if encode::makes(event.action) => {
                let key = object.key().filter(|key| is_bare(object, key))?;
                Some(Self::Made(SummaryKey::of(object, key)))
            }
            Some(Subject::Object(object)) => Some(Self::Same(Arc::downgrade(object))),
            Some(_) => None,
        }
    }

    fn is_like(&self, also: Option<&Subject>) -> bool {
        match (self, also) {
            (Self::None, None) => true,
            (Self::Same(known), Some(also)) => is_same(known, also),
            (Self::Made(known), Some(Subject::Object(object))) => object.key().is_some_and(|key| {
                is_bare(object, key)
                    && (key.class, key.key_type, key.primary) == (known.class, known.key_type, known.version)
                    && key.origin == known.origin
            }),
            _ => false,
        }
    }
}

/// Whether it is a session key that nobody gave a name or label.
fn is_bare(object: &Object, key: &Key) -> bool {
    object.storage == Storage::Ephemeral && key.name.is_empty() && object.label.is_empty()
}

fn is_same(known: &Weak<Object>, subject: &Subject) -> bool {
    matches!(subject, Subject::Object(object) if known.as_ptr() == Arc::as_ptr(object))
}

impl Last {
    /// `None` for an event that is seldom followed by one like it.
    fn of(event: &AuditEvent<'_>, line: u64, context: ContextText) -> Option<Self> {
        let Subject::Object(object) = event.subject else { return None };
        let plain = event.outcome == Outcome::Success && is_plain(event);
        let caller = event.caller.filter(|_| plain)?;
        Some(Self {
            caller: Arc::clone(caller.name()),
            session: caller.session,
            action: event.action,
            object: Arc::downgrade(object),
            also: Also::of(event)?,
            mechanism: event.mechanism.map(Into::into),
            rule: event.rule.into(),
            context: context.of(event.context),
            line,
        })
    }

    /// Whether the event is the same but for its time, duration, length of data, and the identity of a key that it made.
    fn is_like(&self, event: &AuditEvent<'_>) -> bool {
        event.caller.is_some_and(|now| now.session == self.session && Arc::ptr_eq(now.name(), &self.caller))
            && self.action == event.action
            && event.outcome == Outcome::Success
            && is_same(&self.object, event.subject)
            && self.also.is_like(event.also)
            && self.mechanism.as_deref() == event.mechanism
            && *self.rule == *event.rule
            && self.context.is(event.context)
            && is_plain(event)
    }
}

/// Whether nobody but the key's attributes had a say.
const fn is_plain(event: &AuditEvent<'_>) -> bool {
    event.reason.is_empty()
        && event.tags.is_empty()
        && event.duties.is_empty()
        && event.changes.is_empty()
        && event.policy.is_empty()
}

// The weak references keep the addresses from being given to other values, and nothing else alive.
struct CallerText {
    principal: Weak<Principal>,
    namespace: Weak<Namespace>,
    login: Login,
    session: u64,
    text: Box<[u8]>,
}

struct ObjectText {
    object: Weak<Object>,
    text: Box<[u8]>,
    /// Where in it the identity begins.
    id: usize,
}

/// What was said of a session key that nobody had used since its last record.
struct EndedText {
    principal: Box<str>,
    login: Login,
    tenant: Box<str>,
    namespace: Box<str>,
    key: SummaryKey,
    uses: Option<Once>,
    text: Box<[u8]>,
}

/// The only use: its destruction.
#[derive(PartialEq, Eq)]
struct Once {
    outcome: Outcome,
    bytes: u64,
}

impl Once {
    /// `None` where there is more to say, or something else; `Some(None)` where there is nothing.
    fn only(uses: &[SummaryUse<'_>]) -> Option<Option<Self>> {
        match uses {
            [] => Some(None),
            [SummaryUse { action: Action::Destroy, mechanism: None, outcome, rule: "", count: 1, bytes }] => {
                Some(Some(Self { outcome: *outcome, bytes: *bytes }))
            }
            _ => None,
        }
    }
}

impl EndedText {
    fn is_of(&self, summary: &AuditSummary<'_>, uses: Option<&Once>) -> bool {
        let (mine, key) = (&self.key, summary.key);
        *self.principal == *summary.principal
            && self.login.is_same(summary.login)
            && (&*self.tenant, &*self.namespace) == (&*summary.namespace.tenant, &*summary.namespace.name)
            && (mine.class, mine.key_type, mine.version) == (key.class, key.key_type, key.version)
            && mine.origin == key.origin
            && self.uses.as_ref() == uses
    }
}

impl Known {
    /// Begins the record of an event and formats its fields; gives how many bytes of the line the next use of the key by the
    /// same caller will begin with.
    pub(super) fn event(&mut self, buffer: &mut LineBuffer, event: &AuditEvent<'_>) -> usize {
        if let Some(last) = self.last.as_ref().filter(|last| last.is_like(event))
            && let Some((line, repeated)) = buffer.begin_again(last.line)
        {
            if let (Also::Made(_), Some(Subject::Object(made))) = (&last.also, event.also) {
                encode::identity(line, made.id);
            }
            encode::measures(line, event);
            return repeated;
        }
        let repeated = encode::event(buffer.begin(encode::kind::EVENT), self, event);
        let context = self.last.take().map(|last| last.context).unwrap_or_default();
        self.last = if repeated > 0 { Last::of(event, buffer.number(), context) } else { None };
        repeated
    }

    /// Appends the fields that say who asks.
    pub(super) fn caller(&mut self, out: &mut Vec<u8>, caller: &Caller) {
        let Some(place) = self.callers.get_mut(place(&caller.principal)) else { return encode::caller(out, caller) };
        if let Some(known) = place
            && known.session == caller.session
            && known.principal.as_ptr() == Arc::as_ptr(&caller.principal)
            && known.namespace.as_ptr() == Arc::as_ptr(&caller.namespace)
            && known.login.is_same(&caller.login)
        {
            return out.extend_from_slice(&known.text);
        }
        let start = out.len();
        encode::caller(out, caller);
        *place = Some(CallerText {
            principal: Arc::downgrade(&caller.principal),
            namespace: Arc::downgrade(&caller.namespace),
            login: caller.login.clone(),
            session: caller.session,
            text: out.get(start..).unwrap_or_default().into(),
        });
    }

    /// Appends what a summary says of a key that ended unused, up to its identity.
    pub(super) fn ended(&mut self, out: &mut Vec<u8>, summary: &AuditSummary<'_>) {
        let Some(uses) = Once::only(summary.uses) else { return encode::counted(out, summary) };
        if let Some(known) = self.ended.as_ref().filter(|known| known.is_of(summary, uses.as_ref())) {
            return out.extend_from_slice(&known.text);
        }
        let start = out.len();
        encode::counted(out, summary);
        self.ended = Some(EndedText {
            principal: summary.principal.into(),
            login: summary.login.clone(),
            tenant: summary.namespace.tenant.as_str().into(),
            namespace: summary.namespace.name.as_str().into(),
            key: summary.key.clone(),
            uses,
            text: out.get(start..).unwrap_or_default().into(),
        });
    }

    /// Appends what a record says of an existing object. Gives where its identity begins.
    pub(super) fn object(&mut self, out: &mut Vec<u8>, object: &Arc<Object>) -> usize {
        let at = place(object);
        let (Some(place), Some(seen)) = (self.objects.get_mut(at), self.seen.get_mut(at)) else {
            return encode::object(out, object);
        };
        if let Some(known) = place
            && known.object.as_ptr() == Arc::as_ptr(object)
        {
            let start = out.len();
            out.extend_from_slice(&known.text);
            return start + known.id;
        }
        if seen.replace(object.id) != Some(object.id) {
            return encode::object(out, object);
        }
        let start = out.len();
        let id = encode::object(out, object);
        let text = out.get(start..).unwrap_or_default().into();
        *place = Some(ObjectText { object: Arc::downgrade(object), text, id: id - start });
        id
    }
}

fn place<T>(value: &Arc<T>) -> usize {
    let address = Arc::as_ptr(value).addr();
    ((address >> 4) ^ (address >> 8)) % PLACES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::Timestamp;
    use crate::key::KeyClass;
    use crate::mechanism::KeyType;
    use crate::tenant::{NamespaceId, ObjectId};

    fn namespace(name: &str) -> Namespace {
        Namespace {
            id: NamespaceId([1; 16]),
            tenant: "default".to_owned(),
            name: name.to_owned(),
            ordinal: 0,
            incarnation: 1,
            policy_required: false,
            settings: crate::settings::Settings::default(),
            backend: crate::tenant::BackendId::soft(),
        }
    }

    #[test]
    fn what_is_remembered_of_a_key_that_ended_unused_is_said_of_no_other_kind_of_end() {
        let mut known = Known::default();
        let destroyed = |count, bytes| SummaryUse {
            action: Action::Destroy,
            mechanism: None,
            outcome: Outcome::Success,
            rule: "",
            count,
            bytes,
        };
        let ruled = SummaryUse { rule: "r", ..destroyed(1, 0) };
        let uses = [vec![], vec![destroyed(1, 0)], vec![destroyed(2, 0)], vec![destroyed(1, 9)], vec![ruled]];
        let (here, there) = (namespace("here"), namespace("there"));
        let key = |class, key_type, origin: &str| {
            let (id, origin) = (ObjectId([7; 16]), origin.to_owned());
            SummaryKey { id, class, key_type, origin, version: 1 }
        };
        let keys = [
            key(KeyClass::Secret, KeyType::Aes, ""),
            key(KeyClass::Secret, KeyType::Aes, "web"),
            key(KeyClass::Secret, KeyType::Sm4, ""),
            key(KeyClass::Private, KeyType::Ec, ""),
        ];
        for _ in 0..2 {
            for (uses, key) in uses.iter().flat_map(|uses| keys.iter().map(move |key| (uses, key))) {
                for (principal, login) in [("a", Login::None), ("a", Login::User("a".into())), ("b", Login::None)] {
                    for namespace in [&here, &there, &here] {
                        let (time, since, ended) = (Timestamp(2), Timestamp(1), true);
                        let login = &login;
                        let summary = AuditSummary { time, since, principal, login, namespace, key, uses, ended };
                        let (mut fresh, mut again) = (Vec::new(), Vec::new());
                        encode::counted(&mut fresh, &summary);
                        for _ in 0..2 {
                            again.clear();
                            known.ended(&mut again, &summary);
                            assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&fresh));
                        }
                    }
                }
            }
        }
    }
}
