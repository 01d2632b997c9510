//! A request as JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::policy::{Input, InputKey};

/// Writes the request into `text`, which is used again.
pub(super) fn write(input: &Input<'_>, text: &mut Vec<u8>) -> serde_json::Result<()> {
    text.clear();
    serde_json::to_writer(text, &Request(input))
}

struct Request<'a>(&'a Input<'a>);
struct Key<'a>(&'a InputKey<'a>);
struct Context<'a>(&'a [(String, String)]);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let input = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", input.action.name())?;
        map.serialize_entry("mechanism", &input.mechanism)?;
        map.serialize_entry("time", &input.time.0)?;
        map.serialize_entry("sequence", &input.sequence)?;
        map.serialize_entry("last_second", &input.last_second)?;
        map.serialize_entry("last_minute", &input.last_minute)?;
        map.serialize_entry("data_length", &input.data_len)?;
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
        map.serialize_entry("session", input.session)?;
        map.serialize_entry("context", &Context(input.context))?;
        map.serialize_entry("key", &input.key.as_ref().map(Key))?;
        map.end()
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", key.id)?;
        map.serialize_entry("name", key.name)?;
        map.serialize_entry("session", &key.session)?;
        map.serialize_entry("type", &key.key_type.map(crate::mechanism::KeyType::name))?;
        map.serialize_entry("bits", &key.bits)?;
        map.serialize_entry("created", &key.created.0)?;
        map.serialize_entry("version_age", &key.version_age)?;
        map.serialize_entry("tags", key.tags)?;
        map.end()
    }
}

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
