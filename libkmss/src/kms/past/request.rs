//! Requests of the past, as their audit records tell of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Entry, Record, RecordAsked, RecordObject, RecordPolicy, SegmentId, decode_text};
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;
use crate::policy::abi::ACTIONS;
use crate::policy::dsl::Gap;
use crate::policy::{Flags, Input, InputKey};

/// What a record says that policies never speak of.
const BESIDE_POLICIES: [Action; 4] = [Action::Login, Action::Logout, Action::SetPin, Action::Initialize];

/// The process that writes a segment, as its last genesis or resume record says.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    uid: Option<u32>,
    pid: Option<u32>,
    executable: Option<String>,
}

/// One decision of the past.
#[derive(Clone, Debug)]
pub struct PastRequest {
    /// Where its record stands.
    pub segment: SegmentId,
    /// The record's number there.
    pub seq: u64,
    /// How often it was decided: more than once only where a record counts uses of a session key.
    pub count: u64,
    /// What was done.
    pub action: Action,
    /// When it was decided.
    pub time: Timestamp,
    /// Who asked.
    pub principal: String,
    /// The tenant.
    pub tenant: String,
    /// The namespace's name.
    pub namespace: String,
    /// The mechanism.
    pub mechanism: Option<String>,
    /// Whether it was allowed then, as far as policies are concerned.
    pub allowed: bool,
    /// The rule that decided then.
    pub rule: Option<String>,
    /// Why it was refused then.
    pub reason: Option<String>,
    /// Names the policies that decided, in hex; absent where the record does not carry the request.
    pub set: Option<String>,
    /// What the record does not say.
    pub gaps: BTreeSet<Gap>,
    /// Names of the encryption context with the marks of their values.
    pub context: BTreeMap<String, String>,
    /// The key, where there was one.
    pub key: Option<PastKey>,
    roles: Vec<String>,
    process: String,
    uid: u32,
    pid: u32,
    source: String,
    session: String,
    data_len: Option<u64>,
    flags: Flags,
    counts: (u32, u32),
    keyless: bool,
}

/// The key of a decision of the past.
#[derive(Clone, Debug, Default)]
pub struct PastKey {
    id: String,
    /// The name it was decided under, and those of the keys it is a copy of.
    pub names: Vec<String>,
    session: bool,
    key_type: Option<KeyType>,
    bits: u32,
    created: Timestamp,
    version_age: u64,
    tags: Vec<String>,
}

impl Writer {
    /// Learns from a record that says who goes on with a segment.
    pub fn learn(&mut self, record: &Record) {
        if record.exe.is_some() {
            *self = Self {
                uid: record.uid.filter(|uid| *uid != u32::MAX),
                pid: record.pid,
                executable: record.exe.as_deref().and_then(whole).filter(|exe| !exe.is_empty()),
            };
        }
    }
}

impl PastRequest {
    /// The decisions that a record tells of; nothing for one that only announces an operation, whose end has its own, and for
    /// what policies have no say in. `None` where too much of it was cut off.
    #[must_use]
    pub fn all_of(entry: &Entry, writer: &Writer) -> Option<Vec<Self>> {
        let record = &entry.record;
        match (record.kind.as_str(), record.outcome.as_deref()) {
            ("event", Some("intent" | "begun")) => Some(Vec::new()),
            ("event", _) => {
                let Some(action) = record.action.as_deref().and_then(action) else { return Some(Vec::new()) };
                match &record.policy {
                    Some(policy) => {
                        let all = policy.asked.iter();
                        all.map(|asked| Self::seen(entry, writer, policy, asked)).collect()
                    }
                    None => Self::guessed(entry, writer, action),
                }
            }
            ("summary", _) => {
                let uses = record.uses.iter().filter(|one| one.action != Action::Destroy.name());
                let each = uses.map(|one| {
                    let mut request = Self::plain(entry, writer, action(&one.action)?)?;
                    request.mechanism.clone_from(&one.mechanism);
                    request.rule = one.rule.as_deref().and_then(whole);
                    (request.count, request.data_len) = (one.count, None);
                    request.gaps.extend(WITHOUT_POLICY.iter().chain(&[Gap::Roles, Gap::Context, Gap::Size, Gap::Time]));
                    Some(request)
                });
                each.collect()
            }
            _ => Some(Vec::new()),
        }
    }

    /// The request under one of the names of its key.
    #[must_use]
    pub fn input<'a>(&'a self, name: &'a str, context: &'a [(String, String)]) -> Input<'a> {
        Input {
            action: self.action,
            mechanism: self.mechanism.as_deref(),
            time: self.time,
            sequence: 1,
            last_second: self.counts.0,
            last_minute: self.counts.1,
            data_len: self.data_len,
            flags: self.flags,
            uid: self.uid,
            pid: self.pid,
            key: self.key.as_ref().map(|key| InputKey {
                id: &key.id,
                name,
                session: key.session,
                key_type: key.key_type,
                bits: key.bits,
                created: key.created,
                version_age: key.version_age,
                tags: &key.tags,
            }),
            tenant: &self.tenant,
            namespace: &self.namespace,
            principal: &self.principal,
            roles: &self.roles,
            process: &self.process,
            source: &self.source,
            session: &self.session,
            context,
        }
    }

    /// The names it was decided under; one, empty, where there was no key.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.key.as_ref().map_or(&[] as &[String], |key| &key.names);
        let none = names.is_empty().then_some("");
        none.into_iter().chain(names.iter().map(String::as_str))
    }

    /// Whether it is allowed where no policy speaks of it: it touches no key.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.keyless
    }

    /// A request as its record carries it.
    fn seen(entry: &Entry, writer: &Writer, policy: &RecordPolicy, asked: &RecordAsked) -> Option<Self> {
        let record = &entry.record;
        let mut request = Self::plain(entry, writer, action(&asked.action)?)?;
        let is_also = asked.of.is_some();
        request.time = policy.at;
        request.allowed = asked.decision == "allow";
        request.set = Some(policy.set.clone());
        request.data_len = policy.data_len;
        request.flags = Flags { interactive: false, mfa: policy.mfa, fips: policy.fips };
        match (asked.second, asked.minute) {
            (Some(second), Some(minute)) => request.counts = (second, minute),
            _ => drop(request.gaps.insert(Gap::Rate)),
        }
        let object = if is_also { record.also.as_ref() } else { record.object.as_ref() };
        request.keyless = !asked.key && (object.is_some() || may_be_keyless(request.action));
        request.key = None;
        if asked.key {
            let mut names = match &asked.new {
                Some(name) => vec![whole(name)?],
                None => vec![object.map_or(Some(String::new()), policy_name)?],
            };
            names.extend(
                all_whole(&asked.copy_of)?.into_iter().filter(|name| names.first() != Some(name)).collect::<Vec<_>>(),
            );
            request.key = Some(PastKey {
                id: object.filter(|_| asked.new.is_none()).map(|object| object.id.clone()).unwrap_or_default(),
                names,
                session: asked.session,
                key_type: asked.key_type.as_deref().and_then(key_type),
                bits: asked.bits.unwrap_or_default(),
                created: asked.created.unwrap_or_default(),
                version_age: asked.age.unwrap_or_default(),
                tags: all_whole(&asked.tags)?,
            });
        }
        for cut in &policy.cut {
            request.gaps.insert(match cut.as_str() {
                "tags" => Gap::Tags,
                _ => return None,
            });
        }
        Some(request)
    }

    /// What can be told of a request whose record does not carry it.
    fn guessed(entry: &Entry, writer: &Writer, action: Action) -> Option<Vec<Self>> {
        let record = &entry.record;
        if BESIDE_POLICIES.contains(&action) || record.namespace.is_none() {
            return Some(Vec::new());
        }
        // Policies, trust anchors and settings are changed so.
        if record.object.is_none() && matches!(action, Action::ChangeState | Action::Manage) {
            return Some(Vec::new());
        }
        let mut request = Self::plain(entry, writer, action)?;
        request.time = Timestamp(record.time.0.saturating_sub(record.duration_us.unwrap_or_default() / 1000));
        request.allowed = !(record.outcome.as_deref() == Some("denied") && record.error.as_deref() == Some("denied"));
        request.gaps.extend(WITHOUT_POLICY);
        if record.data_len.is_none() {
            request.gaps.insert(Gap::Size);
        }
        Some(vec![request])
    }

    /// What every record says.
    fn plain(entry: &Entry, writer: &Writer, action: Action) -> Option<Self> {
        let record = &entry.record;
        let text = |field: &Option<String>| field.as_deref().map_or(Some(String::new()), whole);
        let mut gaps = BTreeSet::new();
        if writer.executable.is_none() {
            gaps.insert(Gap::Process);
        }
        if writer.uid.is_none() {
            gaps.insert(Gap::Uid);
        }
        if record.roles_cut.is_some() {
            gaps.insert(Gap::Roles);
        }
        let mut context = BTreeMap::new();
        for (name, mark) in &record.context {
            context.insert(whole(name)?, mark.clone());
        }
        if !context.is_empty() {
            gaps.insert(Gap::ContextValues);
        }
        if record.context_cut.is_some() {
            gaps.insert(Gap::Context);
        }
        let object = record.object.as_ref();
        let keyless = match object {
            Some(object) => matches!(object.class.as_str(), "certificate" | "data"),
            None => may_be_keyless(action),
        };
        let key = match object.filter(|_| !keyless) {
            Some(object) => {
                let key_type = object.key_type.as_deref().and_then(key_type);
                if key_type.is_none() {
                    gaps.insert(Gap::KeyType);
                }
                let (id, session) = (object.id.clone(), object.storage.is_some());
                Some(PastKey { id, names: vec![policy_name(object)?], session, key_type, ..PastKey::default() })
            }
            None => None,
        };
        Some(Self {
            segment: entry.segment.clone(),
            seq: record.seq,
            count: 1,
            action,
            time: record.time,
            principal: text(&record.principal)?,
            tenant: text(&record.tenant)?,
            namespace: text(&record.namespace)?,
            mechanism: record.mechanism.as_deref().map_or(Some(None), |name| whole(name).map(Some))?,
            allowed: true,
            rule: record.rule.as_deref().and_then(whole),
            reason: record.reason.as_deref().map(lossy),
            set: None,
            gaps,
            context,
            key,
            roles: all_whole(&record.roles)?,
            process: writer.executable.clone().unwrap_or_default(),
            uid: writer.uid.unwrap_or(u32::MAX),
            pid: writer.pid.unwrap_or_default(),
            source: text(&record.source)?,
            session: record.session.map(|number| number.to_string()).unwrap_or_default(),
            data_len: record.data_len,
            flags: Flags::default(),
            counts: (0, 0),
            keyless,
        })
    }
}

/// What records without the request do not say.
const WITHOUT_POLICY: [Gap; 6] = [Gap::Mfa, Gap::Fips, Gap::Tags, Gap::KeyBits, Gap::KeyAge, Gap::Rate];

const fn may_be_keyless(action: Action) -> bool {
    matches!(action, Action::Find | Action::Digest | Action::Random)
}

fn action(name: &str) -> Option<Action> {
    ACTIONS.iter().map(|(_, action)| *action).find(|action| action.name() == name)
}

fn key_type(name: &str) -> Option<KeyType> {
    KeyType::ALL.into_iter().find(|key_type| key_type.name() == name)
}

/// The name that policies know an object by: its own, or that of the key it came from.
fn policy_name(object: &RecordObject) -> Option<String> {
    object.name.as_deref().or(object.origin.as_deref()).map_or(Some(String::new()), whole)
}

/// The text that audit text stands for; `None` where it was cut off or is no UTF-8.
fn whole(text: &str) -> Option<String> {
    let (bytes, cut) = decode_text(text);
    String::from_utf8(bytes).ok().filter(|_| cut == 0)
}

fn all_whole(texts: &[String]) -> Option<Vec<String>> {
    texts.iter().map(|text| whole(text)).collect()
}

fn lossy(text: &str) -> String {
    String::from_utf8_lossy(&decode_text(text).0).into_owned()
}
