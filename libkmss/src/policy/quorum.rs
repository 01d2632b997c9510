//! The approvals that one operation needs: all of them are there, and are spent together, or none is spent.

use super::approval::{Approvals, Half, Quorum, RequestId, Wanted, WantedKey};
use super::registry::Place;
use super::{Obligation, PolicyRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Key, KeyClass};
use crate::permit::Subject;
use crate::store::{Batch, Commit, Store};
use crate::tenant::ObjectId;

/// A quorum that the decision on one subject of an operation asks for.
#[derive(Clone, Debug)]
pub struct QuorumRequest<'a> {
    /// What was decided.
    pub request: PolicyRequest<'a>,
    /// What is asked for, an [`Obligation::Quorum`].
    pub quorum: &'a Obligation,
    /// Everything else that the operation is about.
    pub others: Vec<&'a Subject>,
}

/// Spends what all of `quorums` ask for; see [`PolicyEngine::approve`](super::PolicyEngine::approve).
pub(super) fn approve(
    approvals: &Approvals,
    store: &dyn Store,
    quorums: &[QuorumRequest<'_>],
    data: Option<[u8; 32]>,
) -> Result<Vec<String>> {
    let (mut batch, mut approvers, mut met, mut lacking) = (Batch::default(), Vec::new(), Vec::new(), Vec::new());
    let mut seen: Vec<Wanted> = Vec::with_capacity(quorums.len());
    for quorum in quorums {
        let wanted = wanted(quorum, data)?;
        // The halves of a pair, and whatever else asks for the very same, ask once.
        if seen.contains(&wanted) {
            continue;
        }
        match approvals.look(&wanted, half(&quorum.request), quorum.request.time)? {
            Quorum::Met(mut spending) => {
                approvers.append(&mut spending.approvers);
                spending.spend(&mut batch);
                met.push(spending);
            }
            Quorum::Lacking { request, given } => lacking.push(missing(&wanted, request, given)),
        }
        seen.push(wanted);
    }
    if !lacking.is_empty() {
        return Err(Error::new(ErrorKind::Denied, lacking.join("; ")));
    }
    met.into_iter().for_each(|spending| spending.tidy(&mut batch));
    let nothing = batch.conditions.is_empty() && batch.ops.is_empty();
    if nothing || matches!(store.commit(&batch)?, Commit::Committed(_)) {
        return Ok(approvers);
    }
    Err(Error::new(ErrorKind::Conflict, "somebody else used these approvals up at the same time: try again"))
}

/// What approvals of a request are bound to.
fn wanted(asked: &QuorumRequest<'_>, data: Option<[u8; 32]>) -> Result<Wanted> {
    let QuorumRequest { request, quorum: Obligation::Quorum { approvals, role, window }, others } = asked else {
        return Err(Error::new(ErrorKind::Internal, "only a quorum is met by approvals"));
    };
    if *window == 0 && request.action.streams() && data.is_none() {
        return Err(Error::new(ErrorKind::Internal, "approvals of data are looked for without its digest"));
    }
    let namespace = &request.caller.namespace;
    let key = key_of(request.subject);
    let mut with: Vec<WantedKey> =
        if *window == 0 { others.iter().filter_map(|s| key_of(s)).collect() } else { vec![] };
    // The other half of the same pair is no other key.
    with.retain(|other| Some(other) != key.as_ref());
    Ok(Wanted {
        tenant: namespace.tenant.clone(),
        namespace: namespace.name.clone(),
        place: Place::of(namespace),
        key,
        with,
        action: request.action.name().to_owned(),
        mechanism: request.mechanism.map(|mechanism| mechanism.name().to_owned()),
        requester: request.caller.principal.name.clone(),
        role: role.clone(),
        approvals: *approvals,
        window: *window,
        data: data.filter(|_| *window == 0).map(serde_bytes::ByteArray::new),
    })
}

/// The key as approvals name it: of a pair, both halves are one key.
fn key_of(subject: &Subject) -> Option<WantedKey> {
    match subject {
        Subject::Object(object) => object.key().map(|key| named(object.id, key)),
        Subject::New(new) => {
            new.is_key.then(|| WantedKey { id: None, public: None, version: 0, name: new.name.clone() })
        }
        Subject::Namespace => None,
    }
}

fn named(id: ObjectId, key: &Key) -> WantedKey {
    let paired = key.class != KeyClass::Secret;
    let public = key.primary().ok().filter(|_| paired).and_then(|version| version.public.spki());
    let public = public.map(|spki| serde_bytes::ByteArray::new(super::bundle::sha256(&spki)));
    let id = public.is_none().then_some(id);
    WantedKey { id, public, version: key.primary, name: key.policy_name().to_owned() }
}

/// Which half of a pair this is, where what is done to one of them is done to the other as well.
fn half(request: &PolicyRequest<'_>) -> Option<Half> {
    let both = matches!(request.action, Action::Manage | Action::ChangeState | Action::Destroy);
    let Subject::Object(object) = request.subject else { return None };
    match object.key()?.class {
        KeyClass::Private if both => Some(Half::Private),
        KeyClass::Public if both => Some(Half::Public),
        _ => None,
    }
}

/// What is missing, and how to get it.
fn missing(wanted: &Wanted, request: Option<RequestId>, given: u8) -> String {
    let how = match request {
        Some(id) => format!("holders of role `{}` approve it with `kmss approve {id}`", wanted.role),
        None => "too many requests wait for approval already".to_owned(),
    };
    format!("{given} of {} approvals are given: {how}", wanted.approvals)
}
