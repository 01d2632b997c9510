//! What the store knows of segments, so that one that vanished or was cut is missed.
//!
//! `audit/segment/<id>` holds a [`Registration`]; `audit/latest` the newest one's number, which each new segment takes on
//! by one, so that a registration cannot vanish from the middle either. `audit/open/<uid>/<id>` and
//! `audit/idle/<uid>/<id>` list the segments that a process of that user may continue.

use serde::{Deserialize, Serialize};

use super::chain::{Head, SegmentId};
use super::encode::Predecessor;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Batch, Commit, Condition, Entry, Op, Store, StoreKey};

const LATEST: &str = "audit/latest";
const SEGMENTS: &str = "audit/segment/";
/// Version of the values.
const VERSION: u32 = 1;
/// How often a registration is tried again because another process registered at the same time.
const ATTEMPTS: u32 = 1000;
/// Entries per scan.
const PAGE: usize = 256;

/// Whether a segment is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// A process writes it, or died doing so.
    Open,
    /// Its last record is the registered one.
    Closed,
}

/// What the store knows of one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) v: u32,
    /// The segment.
    pub(super) segment: SegmentId,
    /// Its number among all segments of the home, starting at 1, without gaps.
    pub(super) ordinal: u64,
    /// Hash of its genesis record.
    pub(super) genesis: Head,
    /// Whether it is in use.
    pub(super) state: State,
    /// Number of the newest record the store knows of.
    pub(super) seq: u64,
    /// Hash of that record.
    pub(super) head: Head,
    /// Length of the file up to and including that record.
    pub(super) len: u64,
    /// The user who writes it.
    pub(super) uid: u32,
    /// When this was written.
    pub(super) time: Timestamp,
    /// Nobody goes on with it: its file is compressed, or elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) retired: bool,
}

#[derive(Serialize, Deserialize)]
struct Latest {
    v: u32,
    ordinal: u64,
    segment: SegmentId,
}

/// Formats a segment's first record for its number and predecessor, and returns the record's hash and length.
pub(super) type FormatGenesis<'a> = dyn FnMut(u64, Option<&Predecessor>) -> (Head, u64) + 'a;

/// Registers `segment` as the newest one.
pub(super) fn register(
    store: &dyn Store,
    segment: &SegmentId,
    uid: u32,
    time: Timestamp,
    genesis: &mut FormatGenesis<'_>,
) -> Result<Registration> {
    let (key, latest_key) = (segment_key(segment)?, StoreKey::new(LATEST)?);
    for _ in 0..ATTEMPTS {
        let (ordinal, condition, previous) = match store.get(&latest_key)? {
            None => (1, Condition::Absent(latest_key.clone()), None),
            Some(entry) => {
                let latest: Latest = decode(&entry, |l: &Latest| l.v)?;
                let previous = predecessor(store, latest.segment)?;
                let ordinal = latest.ordinal.checked_add(1).ok_or_else(damaged)?;
                (ordinal, Condition::Version(latest_key.clone(), entry.version), previous)
            }
        };
        let (head, len) = genesis(ordinal, previous.as_ref());
        let registration = Registration {
            v: VERSION,
            segment: segment.clone(),
            ordinal,
            genesis: head,
            state: State::Open,
            seq: 0,
            head,
            len,
            uid,
            time,
            retired: false,
        };
        let batch = Batch {
            conditions: vec![condition, Condition::Absent(key.clone())],
            ops: vec![
                Op::Put(key.clone(), encode(&registration)?),
                Op::Put(latest_key.clone(), encode(&Latest { v: VERSION, ordinal, segment: segment.clone() })?),
                Op::Put(index_key(State::Open, uid, segment)?, Vec::new()),
            ],
            invalidates: false,
        };
        match store.commit(&batch)? {
            Commit::Committed(_) => return Ok(registration),
            Commit::Conflict if store.get(&key)?.is_some() => {
                return Err(Error::new(ErrorKind::AlreadyExists, "the audit segment is registered already"));
            }
            Commit::Conflict => (),
        }
    }
    Err(Error::new(ErrorKind::Busy, "too many processes register audit segments at once"))
}

/// Writes down how far an open segment is.
pub(super) fn anchor(store: &dyn Store, registration: &Registration) -> Result<()> {
    let put = Op::Put(segment_key(&registration.segment)?, encode(registration)?);
    match store.commit(&Batch { ops: vec![put], ..Batch::default() })? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict => Err(conflict()),
    }
}

/// Writes down that a segment ended cleanly; `reusable` ones may be continued by a process of the same user.
pub(super) fn close(store: &dyn Store, registration: &Registration, reusable: bool) -> Result<()> {
    let Registration { segment, uid, .. } = registration;
    let mut ops =
        vec![Op::Put(segment_key(segment)?, encode(registration)?), Op::Delete(index_key(State::Open, *uid, segment)?)];
    if reusable {
        ops.push(Op::Put(index_key(State::Closed, *uid, segment)?, Vec::new()));
    }
    match store.commit(&Batch { ops, ..Batch::default() })? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict => Err(conflict()),
    }
}

/// Takes over a segment whose registration was read at `entry`; `false` when it changed meanwhile.
pub(super) fn claim(store: &dyn Store, found: &Registration, entry: &Entry, now: &Registration) -> Result<bool> {
    let key = segment_key(&found.segment)?;
    let batch = Batch {
        conditions: vec![Condition::Version(key.clone(), entry.version)],
        ops: vec![
            Op::Put(key, encode(now)?),
            Op::Delete(index_key(State::Closed, found.uid, &found.segment)?),
            Op::Put(index_key(State::Open, now.uid, &found.segment)?, Vec::new()),
        ],
        invalidates: false,
    };
    Ok(matches!(store.commit(&batch)?, Commit::Committed(_)))
}

/// Takes a segment that cannot be continued off the lists.
pub(super) fn retire(store: &dyn Store, uid: u32, segment: &SegmentId) -> Result<()> {
    let ops =
        vec![Op::Delete(index_key(State::Open, uid, segment)?), Op::Delete(index_key(State::Closed, uid, segment)?)];
    match store.commit(&Batch { ops, ..Batch::default() })? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict => Err(conflict()),
    }
}

/// Has nobody go on with a closed segment whose registration was read at `entry`; `false` when it changed meanwhile. Whoever
/// has opened its file by now, and not yet claimed it, cannot any more.
pub(super) fn retire_for_good(store: &dyn Store, found: &Registration, entry: &Entry) -> Result<bool> {
    let (key, segment) = (segment_key(&found.segment)?, &found.segment);
    let batch = Batch {
        conditions: vec![Condition::Version(key.clone(), entry.version)],
        ops: vec![
            Op::Put(key, encode(&Registration { retired: true, ..found.clone() })?),
            Op::Delete(index_key(State::Open, found.uid, segment)?),
            Op::Delete(index_key(State::Closed, found.uid, segment)?),
        ],
        invalidates: false,
    };
    Ok(matches!(store.commit(&batch)?, Commit::Committed(_)))
}

/// Up to `limit` segments of a user in the given state, oldest first.
pub(super) fn candidates(store: &dyn Store, state: State, uid: u32, limit: usize) -> Result<Vec<SegmentId>> {
    let prefix = index_prefix(state, uid);
    let found = store.scan(&prefix, None, limit)?;
    Ok(found.iter().filter_map(|(key, _)| key.as_str().strip_prefix(&prefix)?.parse().ok()).collect())
}

/// The oldest segment that is registered.
pub(super) fn oldest(store: &dyn Store) -> Result<Option<SegmentId>> {
    let found = store.scan(SEGMENTS, None, 1)?;
    Ok(found.first().and_then(|(key, _)| key.as_str().strip_prefix(SEGMENTS)?.parse().ok()))
}

/// The registration of a segment, and the entry it was read from.
pub(super) fn read(store: &dyn Store, segment: &SegmentId) -> Result<Option<(Registration, Entry)>> {
    let Some(entry) = store.get(&segment_key(segment)?)? else { return Ok(None) };
    let registration: Registration = decode(&entry, |r: &Registration| r.v)?;
    if registration.segment != *segment {
        return Err(damaged());
    }
    Ok(Some((registration, entry)))
}

/// Everything the store knows, for the verifier.
pub(super) struct Inventory {
    /// Registrations by their key's order.
    pub(super) segments: Vec<Registration>,
    /// Keys whose values cannot be read, or speak of another segment.
    pub(super) damaged: Vec<String>,
    /// Number and name of the newest segment.
    pub(super) latest: Option<(u64, SegmentId)>,
}

/// Reads everything the store knows.
pub(super) fn inventory(store: &dyn Store) -> Result<Inventory> {
    let mut found = Inventory { segments: Vec::new(), damaged: Vec::new(), latest: None };
    let mut after = None;
    loop {
        let page = store.scan(SEGMENTS, after.as_ref(), PAGE)?;
        for (key, entry) in &page {
            match decode(entry, |r: &Registration| r.v) {
                Ok(r) if key.as_str().strip_prefix(SEGMENTS) == Some(r.segment.as_str()) => found.segments.push(r),
                Err(e) if e.kind() == ErrorKind::TooNew => return Err(e),
                _ => found.damaged.push(key.as_str().to_owned()),
            }
        }
        if page.len() < PAGE {
            break;
        }
        after = page.into_iter().next_back().map(|(key, _)| key);
    }
    // After the segments: one that is registered meanwhile is then newer than `latest` only if the store went back.
    if let Some(entry) = store.get(&StoreKey::new(LATEST)?)? {
        match decode(&entry, |l: &Latest| l.v) {
            Ok(latest) => found.latest = Some((latest.ordinal, latest.segment)),
            Err(e) if e.kind() == ErrorKind::TooNew => return Err(e),
            Err(_) => found.damaged.push(LATEST.to_owned()),
        }
    }
    Ok(found)
}

fn predecessor(store: &dyn Store, segment: SegmentId) -> Result<Option<Predecessor>> {
    let found = match read(store, &segment) {
        // The verifier names it; it must not keep everybody from recording what they do.
        Err(e) if e.kind() == ErrorKind::Damaged => None,
        other => other?,
    };
    Ok(found.map(|(r, _)| Predecessor {
        segment,
        genesis: r.genesis,
        last: (r.state == State::Closed).then_some((r.seq, r.head)),
    }))
}

fn segment_key(segment: &SegmentId) -> Result<StoreKey> {
    StoreKey::new(format!("{SEGMENTS}{segment}"))
}

fn index_key(state: State, uid: u32, segment: &SegmentId) -> Result<StoreKey> {
    StoreKey::new(format!("{}{segment}", index_prefix(state, uid)))
}

fn index_prefix(state: State, uid: u32) -> String {
    let list = match state {
        State::Open => "open",
        State::Closed => "idle",
    };
    format!("audit/{list}/{uid}/")
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot encode an audit registration").with_source(e))
}

fn decode<T: for<'a> Deserialize<'a>>(entry: &Entry, version: fn(&T) -> u32) -> Result<T> {
    let value: T = serde_json::from_slice(&entry.value).map_err(|e| damaged().with_source(e))?;
    match version(&value) {
        VERSION => Ok(value),
        v if v > VERSION => Err(Error::new(ErrorKind::TooNew, "the audit was registered by a newer kmss")),
        _ => Err(damaged()),
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "an audit registration in the store is damaged")
}

fn conflict() -> Error {
    Error::new(ErrorKind::Internal, "the store reports a conflict for a batch without conditions")
}
