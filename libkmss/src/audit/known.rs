//! Parts of records that repeat from one to the next: who, and which key. Kept as they were written, for as long as the
//! values they tell of are the very same ones.

use std::sync::{Arc, Weak};

use super::encode;
use crate::caller::{Caller, Login, Principal};
use crate::key::Object;
use crate::tenant::Namespace;

/// Places for texts of each kind; one that is needed by another value is written anew.
const PLACES: usize = 8;

/// Texts written before.
#[derive(Default)]
pub(super) struct Known {
    callers: [Option<CallerText>; PLACES],
    objects: [Option<ObjectText>; PLACES],
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
}

impl Known {
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

    /// Appends what a record says of an existing object.
    pub(super) fn object(&mut self, out: &mut Vec<u8>, object: &Arc<Object>) {
        let Some(place) = self.objects.get_mut(place(object)) else { return encode::object(out, object) };
        if let Some(known) = place
            && known.object.as_ptr() == Arc::as_ptr(object)
        {
            return out.extend_from_slice(&known.text);
        }
        let start = out.len();
        encode::object(out, object);
        *place = Some(ObjectText { object: Arc::downgrade(object), text: out.get(start..).unwrap_or_default().into() });
    }
}

fn place<T>(value: &Arc<T>) -> usize {
    let address = Arc::as_ptr(value).addr();
    ((address >> 4) ^ (address >> 8)) % PLACES
}
