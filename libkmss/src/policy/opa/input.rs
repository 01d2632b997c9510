//! A request as JSON, and the parts of it that a guest is given one by one.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::policy::{Flags, Input, InputKey};

/// Paths of the numbers that differ from one decision to the next, those first that stay the same for a while.
pub(super) const PATHS: [&str; 7] = [
    r#"["time"]"#,
    r#"["data_length"]"#,
    r#"["key","version_age"]"#,
    r#"["session"]"#,
    r#"["sequence"]"#,
    r#"["last_second"]"#,
    r#"["last_minute"]"#,
];
/// How many of them stay the same for a while.
pub(super) const SLOW: usize = 4;

/// One of these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Is(u64),
    /// A text of nothing but the digits of one.
    Quoted(u64),
    Unknown,
    /// The request has no such member.
    Absent,
}

/// These numbers of a request, in the order of their paths.
pub(super) fn numbers(input: &Input<'_>) -> [Number; PATHS.len()] {
    [
        Number::Is(input.time.0),
        input.data_len.map_or(Number::Unknown, Number::Is),
        input.key.as_ref().map_or(Number::Absent, |key| Number::Is(key.version_age)),
        session_number(input).map_or(Number::Absent, Number::Quoted),
        Number::Is(input.sequence),
        Number::Is(input.last_second.into()),
        Number::Is(input.last_minute.into()),
    ]
}

/// The session's name, where it is a number as doors count them.
fn session_number(input: &Input<'_>) -> Option<u64> {
    let number = input.session.parse().ok()?;
    (itoa::Buffer::new().format(number) == input.session).then_some(number)
}

/// Writes everything but these numbers into `bytes`, so that no two requests which differ in it have the same bytes.
pub(super) fn write_rest(input: &Input<'_>, bytes: &mut Vec<u8>) {
    // Every field is named, so that a new one is not forgotten here.
    let Input {
        action,
        mechanism,
        time: _,
        sequence: _,
        last_second: _,
        last_minute: _,
        data_len: _,
        flags: Flags { interactive, mfa, fips },
        uid,
        pid,
        key,
        tenant,
        namespace,
        principal,
        roles,
        process,
        source,
        session,
        context,
    } = input;
    bytes.clear();
    let mut rest = Rest(bytes);
    rest.text(action.name());
    let named = session_number(input).is_none();
    rest.flags([*interactive, *mfa, *fips, mechanism.is_some(), key.is_some(), named]);
    rest.number((*uid).into());
    rest.number((*pid).into());
    mechanism.iter().for_each(|text| rest.text(text));
    for text in [tenant, namespace, principal, process, source] {
        rest.text(text);
    }
    if named {
        rest.text(session);
    }
    rest.texts(roles);
    rest.number(context.len() as u64);
    for (name, value) in *context {
        rest.text(name);
        rest.text(value);
    }
    if let Some(InputKey { id, name, session, key_type, bits, created, version_age: _, tags }) = key {
        rest.text(id);
        rest.text(name);
        rest.flags([*session]);
        rest.text(key_type.map_or("", crate::mechanism::KeyType::name));
        rest.number((*bits).into());
        rest.number(created.0);
        rest.texts(tags);
    }
}

/// Numbers of fixed length, and texts after their lengths.
struct Rest<'a>(&'a mut Vec<u8>);

impl Rest<'_> {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn flags<const N: usize>(&mut self, flags: [bool; N]) {
        self.0.extend_from_slice(&flags.map(u8::from));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }
}

/// Which members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    All,
    /// All but those of [`PATHS`].
    Rest,
}

/// Writes the request into `text`, which is used again.
pub(super) fn write(input: &Input<'_>, members: Members, text: &mut Vec<u8>) -> serde_json::Result<()> {
    text.clear();
    serde_json::to_writer(text, &Request(input, members))
}

struct Request<'a>(&'a Input<'a>, Members);
struct Key<'a>(&'a InputKey<'a>, Members);
struct Context<'a>(&'a [(String, String)]);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(input, members) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", input.action.name())?;
        map.serialize_entry("mechanism", &input.mechanism)?;
        if members == Members::All {
            map.serialize_entry("time", &input.time.0)?;
            map.serialize_entry("sequence", &input.sequence)?;
            map.serialize_entry("last_second", &input.last_second)?;
            map.serialize_entry("last_minute", &input.last_minute)?;
            map.serialize_entry("data_length", &input.data_len)?;
        }
        map.serialize_entry("interactive", &input.flags.interactive)?;
        map.serialize_entry("mfa", &input.flags.mfa)?;
        map.serialize_entry("fips", &input.flags.fips)?;
        map.serialize_entry("uid", &(input.uid != u32::MAX).then_some(input.uid))?;
        map.serialize_entry("pid", &input.pid)?;
        map.serialize_entry("tenant", input.tenant)?;
        map.serialize_entry("namespace", input.namespace)?;
        map.serialize_entry("principal", input.principal)?;
        map.serialize_entry("roles", input.roles)?;
        map.serialize_entry("process", input.process)?;
        map.serialize_entry("source", input.source)?;
        if members == Members::All || session_number(input).is_none() {
            map.serialize_entry("session", input.session)?;
        }
        map.serialize_entry("context", &Context(input.context))?;
        map.serialize_entry("key", &input.key.as_ref().map(|key| Key(key, members)))?;
        map.end()
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(key, members) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", key.id)?;
        map.serialize_entry("name", key.name)?;
        map.serialize_entry("session", &key.session)?;
        map.serialize_entry("type", &key.key_type.map(crate::mechanism::KeyType::name))?;
        map.serialize_entry("bits", &key.bits)?;
        map.serialize_entry("created", &key.created.0)?;
        if members == Members::All {
            map.serialize_entry("version_age", &key.version_age)?;
        }
        map.serialize_entry("tags", key.tags)?;
        map.end()
    }
}

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
