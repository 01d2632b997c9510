//! Records as lines: formatted by hand into one reused buffer, because this is on the path of every operation.
//!
//! docs/audit.md describes the fields; [`VERSION`] counts changes that a reader must know of.

use std::io::Write as _;

use super::chain::{Head, SegmentId, hex_pair};
use super::known::Known;
use super::origin::Origin;
use super::text::{push_number, push_text};
use super::{AuditEvent, AuditSummary, MAX_USES, Outcome, SummaryUse};
use crate::caller::{Caller, Login};
use crate::error::ErrorKind;
use crate::key::{Action, Alteration, Body, KeyClass, Object, Storage};
use crate::mechanism::{KeyType, MarkedContext};
use crate::permit::{NewObject, Subject};
use crate::suite::Suite;
use crate::tenant::ObjectId;

/// Version of the record format, in every genesis record.
pub const VERSION: u32 = 2;

/// Longest kept part of names and labels in bytes.
const NAME_LIMIT: usize = 256;
/// Longest kept part of a reason in bytes.
const REASON_LIMIT: usize = 512;
/// Longest kept part of a tag or mechanism in bytes.
const TAG_LIMIT: usize = 64;
/// Longest kept part of a name of an encryption context in bytes.
const CONTEXT_LIMIT: usize = 128;
/// Most tags and duties kept.
pub(super) const TAG_COUNT: usize = 16;
/// Most roles kept.
const ROLE_COUNT: usize = 32;
/// Length of a line from which lists take in no more: a record must fit its line.
const LIST_LIMIT: usize = 14 << 10;

/// The words of the `kind` field.
pub(super) mod kind {
    pub(crate) const GENESIS: &str = "genesis";
    pub(crate) const EVENT: &str = "event";
    pub(crate) const SUMMARY: &str = "summary";
    pub(crate) const RESUME: &str = "resume";
    pub(crate) const RECOVERY: &str = "recovery";
    pub(crate) const CLOSE: &str = "close";
    pub(crate) const HEARTBEAT: &str = "heartbeat";
    pub(crate) const ALARM: &str = "alarm";
    pub(crate) const REMOVAL: &str = "removal";
}

/// The registered segment before this one, as a genesis record binds it.
pub(super) struct Predecessor {
    pub(super) segment: SegmentId,
    pub(super) genesis: Head,
    /// Number and hash of its last record, as far as registered.
    pub(super) last: Option<(u64, Head)>,
}

/// The fields of a genesis record.
pub(super) fn genesis(
    out: &mut Vec<u8>,
    segment: &SegmentId,
    ordinal: u64,
    suite: Suite,
    origin: &Origin,
    previous: Option<&Predecessor>,
) {
    push_count(out, "v", u64::from(VERSION));
    push_field(out, "segment", segment.as_str().as_bytes());
    push_count(out, "ordinal", ordinal);
    push_field(out, "suite", suite.name().as_bytes());
    push_origin(out, origin);
    if let Some(previous) = previous {
        out.extend_from_slice(b",\"previous\":{\"segment\":");
        push_text(out, previous.segment.as_str().as_bytes(), NAME_LIMIT);
        push_field(out, "genesis", &previous.genesis.hex());
        if let Some((seq, head)) = previous.last {
            push_count(out, "seq", seq);
            push_field(out, "head", &head.hex());
        }
        out.push(b'}');
    }
}

/// The fields of a record that says which process goes on with a segment.
pub(super) fn resume(out: &mut Vec<u8>, origin: &Origin) {
    push_origin(out, origin);
}

/// The fields of a record that says what went wrong since the last one.
pub(super) fn recovery(out: &mut Vec<u8>, torn: Option<(u64, Head)>, lost: u64, reserved: u64) {
    if let Some((len, hash)) = torn {
        push_count(out, "torn_len", len);
        push_field(out, "torn", &hash.hex());
    }
    push_count(out, "lost", lost);
    if reserved > 0 {
        push_count(out, "reserved", reserved);
    }
}

/// The fields of an event. Gives how many bytes of the line the next use of the key by the same caller will begin with.
pub(super) fn event(out: &mut Vec<u8>, known: &mut Known, event: &AuditEvent<'_>) -> usize {
    push_word(out, "action", event.action.name());
    push_word(out, "outcome", word(event.outcome));
    if let Outcome::Denied(kind) | Outcome::Failed(kind) = event.outcome {
        push_error(out, kind);
    }
    if let Some(caller) = event.caller {
        known.caller(out, caller);
    }
    // What changes objects is held against the store (`kmss store check`); the others are on the path of every operation.
    let edition = event.action.has_effect();
    push_subject(out, known, "object", event.subject, edition);
    if let Some(mechanism) = event.mechanism {
        out.extend_from_slice(b",\"mechanism\":");
        push_text(out, mechanism.as_bytes(), TAG_LIMIT);
    }
    if !event.reason.is_empty() {
        out.extend_from_slice(b",\"reason\":");
        push_text(out, event.reason.as_bytes(), REASON_LIMIT);
    }
    if !event.rule.is_empty() {
        push_field(out, "rule", event.rule.as_bytes());
    }
    push_list(out, ("tags", "tags_cut"), event.tags, TAG_COUNT);
    push_list(out, ("duties", "duties_cut"), event.duties, TAG_COUNT);
    push_context(out, event.context);
    push_changes(out, event.changes);
    // What is only being made is another one each time.
    let before = match event.also {
        Some(also) => {
            let id = push_subject(out, known, "also", also, edition);
            if makes(event.action) { id } else { out.len() }
        }
        None => out.len(),
    };
    let repeated = super::policy::push(out, event).min(before);
    measures(out, event);
    // What is refused, or changes something, seldom comes twice.
    if event.outcome == Outcome::Success && !edition { repeated } else { 0 }
}

/// Whether the second object is one that the action made: another one each time.
pub(super) const fn makes(action: Action) -> bool {
    matches!(action, Action::Unwrap | Action::Derive | Action::DeriveChild | Action::Encapsulate | Action::Decapsulate)
}

/// What differs from one use of a key to the next.
pub(super) fn measures(out: &mut Vec<u8>, event: &AuditEvent<'_>) {
    if let Some(len) = event.data_len {
        push_count(out, "data_len", len);
    }
    if let Some(request) = event.request {
        push_count(out, "request", request);
    }
    if let Some(call) = event.caller.and_then(Caller::call) {
        push_name(out, "call");
        out.push(b'"');
        call.iter().for_each(|byte| out.extend_from_slice(&hex_pair(*byte)));
        out.push(b'"');
    }
    push_count(out, "duration_us", u64::try_from(event.duration.as_micros()).unwrap_or(u64::MAX));
}

/// The fields of a record that counts uses of a session key. Gives how many bytes of the line the next one will begin with,
/// where that is to be expected: keys that end unused are much alike.
pub(super) fn summary(out: &mut Vec<u8>, known: &mut Known, summary: &AuditSummary<'_>) -> usize {
    let alike = summary.ended && summary.uses.iter().all(|one| one.action == Action::Destroy);
    if alike {
        known.ended(out, summary);
    } else {
        counted(out, summary);
    }
    let before = end_object(out, summary.key.id);
    if alike {
        return before;
    }
    push_count(out, "since", summary.since.0);
    0
}

/// The fields of a summary up to the identity of its key.
pub(super) fn counted(out: &mut Vec<u8>, summary: &AuditSummary<'_>) {
    push_who(out, summary.principal, summary.login);
    push_field(out, "tenant", summary.namespace.tenant.as_bytes());
    push_field(out, "namespace", summary.namespace.name.as_bytes());
    push_uses(out, summary.uses);
    if summary.ended {
        out.extend_from_slice(b",\"ended\":true");
    }
    let key = summary.key;
    push_name(out, "object");
    push_key(out, key.class, key.key_type, ("", &key.origin), key.version);
    push_storage(out, Storage::Ephemeral);
}

fn push_uses(out: &mut Vec<u8>, uses: &[SummaryUse<'_>]) {
    for (at, one) in uses.iter().take(MAX_USES).enumerate() {
        out.extend_from_slice(if at == 0 { b",\"uses\":[{".as_slice() } else { b",{" });
        // The first field has no comma before it.
        out.extend_from_slice(b"\"action\":\"");
        out.extend_from_slice(one.action.name().as_bytes());
        out.push(b'"');
        push_word(out, "outcome", word(one.outcome));
        if let Some(mechanism) = one.mechanism {
            out.extend_from_slice(b",\"mechanism\":");
            push_text(out, mechanism.as_bytes(), TAG_LIMIT);
        }
        if !one.rule.is_empty() {
            push_field(out, "rule", one.rule.as_bytes());
        }
        push_count(out, "count", one.count);
        push_count(out, "data_len", one.bytes);
        out.push(b'}');
    }
    if !uses.is_empty() {
        out.push(b']');
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Intent => "intent",
        Outcome::Begun => "begun",
        Outcome::Success => "success",
        Outcome::Denied(_) => "denied",
        Outcome::Failed(_) => "failed",
        Outcome::Abandoned => "abandoned",
    }
}

fn push_who(out: &mut Vec<u8>, principal: &str, login: &Login) {
    push_field(out, "principal", principal.as_bytes());
    match login {
        Login::User(name) => {
            push_word(out, "login", "user");
            push_field(out, "user", name.as_bytes());
        }
        Login::SecurityOfficer => push_word(out, "login", "so"),
        Login::None => push_word(out, "login", "none"),
    }
}

fn push_origin(out: &mut Vec<u8>, origin: &Origin) {
    push_field(out, "host", &origin.host);
    push_field(out, "boot", &origin.boot);
    push_count(out, "pid", u64::from(origin.pid));
    push_count(out, "uid", u64::from(origin.uid));
    push_field(out, "exe", &origin.executable);
    out.extend_from_slice(b",\"writer\":\"");
    origin.writer.iter().for_each(|b| out.extend_from_slice(&hex_pair(*b)));
    out.push(b'"');
    push_count(out, "fork", u64::from(origin.fork));
}

/// The fields that say who asks.
pub(super) fn caller(out: &mut Vec<u8>, caller: &Caller) {
    push_who(out, &caller.principal.name, &caller.login);
    if !caller.principal.source.is_empty() {
        push_field(out, "source", caller.principal.source.as_bytes());
    }
    push_list(out, ("roles", "roles_cut"), &caller.principal.roles, ROLE_COUNT);
    push_count(out, "session", caller.session);
    push_field(out, "tenant", caller.namespace.tenant.as_bytes());
    push_field(out, "namespace", caller.namespace.name.as_bytes());
}

/// An existing object. Gives where its identity begins.
pub(super) fn object(out: &mut Vec<u8>, object: &Object) -> usize {
    push_object(out, object);
    end_object(out, object.id)
}

/// Gives where the line begins to tell this subject from others of its kind.
fn push_subject(out: &mut Vec<u8>, known: &mut Known, name: &str, subject: &Subject, edition: bool) -> usize {
    match subject {
        Subject::Object(object) if edition && object.storage == Storage::Stored => {
            push_name(out, name);
            push_object(out, object);
            push_count(out, "edition", object.edition);
            end_object(out, object.id)
        }
        Subject::Object(object) => {
            push_name(out, name);
            known.object(out, object)
        }
        Subject::New(new) => {
            push_name(out, name);
            push_new(out, new);
            end_object(out, new.id)
        }
        Subject::Namespace => out.len(),
    }
}

/// Begins an object with its class. Its identity comes last: it differs where all else may be the same.
fn begin_object(out: &mut Vec<u8>, class: &str) {
    out.extend_from_slice(b"{\"class\":\"");
    out.extend_from_slice(class.as_bytes());
    out.push(b'"');
}

/// Ends an object with its identity, and gives where that begins.
pub(super) fn end_object(out: &mut Vec<u8>, id: ObjectId) -> usize {
    out.extend_from_slice(b",\"id\":\"");
    let before = out.len();
    identity(out, id);
    before
}

/// An object's identity, and its end.
pub(super) fn identity(out: &mut Vec<u8>, id: ObjectId) {
    let mut digits = [0; 2 * size_of::<ObjectId>()];
    digits.as_chunks_mut().0.iter_mut().zip(id.0).for_each(|(pair, byte)| *pair = hex_pair(byte));
    out.extend_from_slice(&digits);
    out.extend_from_slice(b"\"}");
}

fn push_object(out: &mut Vec<u8>, object: &Object) {
    match &object.body {
        Body::Key(key) => {
            push_key(out, key.class, key.key_type, (&key.name, &key.origin), key.primary);
            if !object.label.is_empty() && object.label != key.name.as_bytes() {
                push_field(out, "label", &object.label);
            }
        }
        Body::Certificate { .. } => push_labelled(out, "certificate", object),
        Body::Data { .. } => push_labelled(out, "data", object),
    }
    push_storage(out, object.storage);
}

fn push_key(out: &mut Vec<u8>, class: KeyClass, key_type: KeyType, (name, origin): (&str, &str), version: u32) {
    let class = match class {
        KeyClass::Secret => "secret",
        KeyClass::Private => "private",
        KeyClass::Public => "public",
    };
    begin_object(out, class);
    push_word(out, "type", key_type.name());
    if !name.is_empty() {
        push_field(out, "name", name.as_bytes());
    }
    if !origin.is_empty() {
        push_field(out, "origin", origin.as_bytes());
    }
    push_count(out, "version", u64::from(version));
}

fn push_labelled(out: &mut Vec<u8>, class: &str, object: &Object) {
    begin_object(out, class);
    push_field(out, "label", &object.label);
}

fn push_new(out: &mut Vec<u8>, new: &NewObject) {
    begin_object(out, "new");
    if !new.name.is_empty() {
        push_field(out, "name", new.name.as_bytes());
    }
    push_storage(out, new.storage);
}

fn push_storage(out: &mut Vec<u8>, storage: Storage) {
    if storage == Storage::Ephemeral {
        push_word(out, "storage", "session");
    }
}

/// A list of texts, and how many were left out: of more than `most`, and of those for which the line has no room.
pub(super) fn push_list(out: &mut Vec<u8>, (name, cut): (&str, &str), texts: &[String], most: usize) {
    let kept = push_each(out, texts.iter().take(most), |out, at, text| {
        if at == 0 {
            push_name(out, name);
        }
        out.push(if at == 0 { b'[' } else { b',' });
        push_text(out, text.as_bytes(), TAG_LIMIT);
    });
    end_list(out, b']', cut, (kept, texts.len()));
}

/// The names of an encryption context; of their values the marks.
fn push_context(out: &mut Vec<u8>, context: Option<&MarkedContext>) {
    let Some(context) = context else { return };
    let kept = push_each(out, context.each(), |out, at, (name, mark)| {
        out.extend_from_slice(if at == 0 { b",\"context\":{".as_slice() } else { b"," });
        push_text(out, name.as_bytes(), CONTEXT_LIMIT);
        out.extend_from_slice(b":\"");
        mark.iter().for_each(|byte| out.extend_from_slice(&hex_pair(*byte)));
        out.push(b'"');
    });
    end_list(out, b'}', "context_cut", (kept, context.each().len()));
}

/// What is to be otherwise: as it was and as it is to be.
fn push_changes(out: &mut Vec<u8>, changes: &[Alteration]) {
    let kept = push_each(out, changes.iter(), |out, at, change| {
        out.extend_from_slice(if at == 0 { b",\"changes\":[{\"what\":".as_slice() } else { b",{\"what\":" });
        push_text(out, change.what.as_bytes(), TAG_LIMIT);
        push_field(out, "old", change.old.as_bytes());
        push_field(out, "new", change.new.as_bytes());
        out.push(b'}');
    });
    end_list(out, b']', "changes_cut", (kept, changes.len()));
}

/// Pushes entries of a list while the line has room for more; gives how many.
fn push_each<T>(out: &mut Vec<u8>, all: impl Iterator<Item = T>, push: impl Fn(&mut Vec<u8>, usize, T)) -> usize {
    let mut kept = 0;
    for one in all {
        if out.len() >= LIST_LIMIT {
            break;
        }
        push(out, kept, one);
        kept += 1;
    }
    kept
}

/// Ends a list of which `kept` of `all` entries were written.
fn end_list(out: &mut Vec<u8>, bracket: u8, cut: &str, (kept, all): (usize, usize)) {
    if kept > 0 {
        out.push(bracket);
    }
    if all > kept {
        push_count(out, cut, (all - kept) as u64);
    }
}

/// A sentence why.
pub(super) fn push_reason(out: &mut Vec<u8>, reason: &str) {
    push_name(out, "reason");
    push_text(out, reason.as_bytes(), REASON_LIMIT);
}

/// The error's kind in lower case with hyphens (`KeyState` becomes `key-state`).
fn push_error(out: &mut Vec<u8>, kind: ErrorKind) {
    let mut name = [0_u8; 48];
    let mut rest = name.as_mut_slice();
    // A name longer than the array is cut, which no name is.
    let _ = write!(rest, "{kind:?}");
    let left = rest.len();
    let used = name.len() - left;
    out.extend_from_slice(b",\"error\":\"");
    for (at, byte) in name.iter().take(used).enumerate() {
        if at > 0 && byte.is_ascii_uppercase() {
            out.push(b'-');
        }
        out.push(byte.to_ascii_lowercase());
    }
    out.push(b'"');
}

#[expect(clippy::inline_always, reason = "names are constants: copies of a known length are a few moves")]
#[inline(always)]
pub(super) fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A field whose value comes from outside.
#[expect(clippy::inline_always, reason = "names are constants: copies of a known length are a few moves")]
#[inline(always)]
pub(super) fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    push_name(out, name);
    push_text(out, value, NAME_LIMIT);
}

/// A field whose value is a word of this crate.
#[expect(clippy::inline_always, reason = "names are constants: copies of a known length are a few moves")]
#[inline(always)]
pub(super) fn push_word(out: &mut Vec<u8>, name: &str, word: &str) {
    push_name(out, name);
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

#[expect(clippy::inline_always, reason = "names are constants: copies of a known length are a few moves")]
#[inline(always)]
pub(super) fn push_count(out: &mut Vec<u8>, name: &str, number: u64) {
    push_name(out, name);
    push_number(out, number);
}
