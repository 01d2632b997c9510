//! What a change of an object changes, for the audit: permissions and everything else that decides who may do what.

use super::lifecycle::Lifecycle;
use super::object::{Body, Date, Key, Object};
use super::usage::{Protection, Usage};
use crate::clock::Timestamp;

/// One thing that is to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// What, in a word.
    pub what: &'static str,
    /// As it was; empty where it was not there.
    pub old: String,
    /// As it is to be; empty where it is not to be there any more.
    pub new: String,
}

impl Alteration {
    /// `None` where nothing changes.
    #[must_use]
    pub fn between(what: &'static str, old: String, new: String) -> Option<Self> {
        (old != new).then_some(Self { what, old, new })
    }
}

/// Everything that differs between two editions of an object, but for key material, which no change touches.
#[must_use]
pub fn alterations(old: &Object, new: &Object) -> Vec<Alteration> {
    let mut all = Vec::new();
    let mut compare = |what, of: &dyn Fn(&Object) -> String| all.extend(Alteration::between(what, of(old), of(new)));
    compare("label", &|object| String::from_utf8_lossy(&object.label).into_owned());
    compare("identifier", &|object| hex(&object.identifier));
    compare("permissions", &permissions);
    compare("name", &|object| object.key().map(|key| key.name.clone()).unwrap_or_default());
    compare("state", &|object| object.key().map(|key| key.state.name().to_owned()).unwrap_or_default());
    compare("life", &|object| object.key().map(|key| life(&key.lifecycle)).unwrap_or_default());
    compare("owner", &|object| object.key().map(|key| key.metadata.owner.clone()).unwrap_or_default());
    compare("service", &|object| object.key().map(|key| key.metadata.service.clone()).unwrap_or_default());
    compare("grants", &|object| object.key().map(|key| key.metadata.grants.join(" ")).unwrap_or_default());
    compare("aliases", &|object| object.key().map(|key| key.metadata.aliases.join(" ")).unwrap_or_default());
    compare("usage", &|object| object.key().map(|key| usage(key.usage)).unwrap_or_default());
    compare("protection", &|object| object.key().map(|key| protection(key.protection)).unwrap_or_default());
    compare("tags", &|object| object.key().map(|key| key.tags.join(" ")).unwrap_or_default());
    compare("audit", &|object| object.key().map(|key| key.audit.name().to_owned()).unwrap_or_default());
    compare("start", &|object| object.key().map(|key| date(key.start)).unwrap_or_default());
    compare("end", &|object| object.key().map(|key| date(key.end)).unwrap_or_default());
    compare("mechanisms", &|object| object.key().map(mechanisms).unwrap_or_default());
    if old.attributes != new.attributes || document(&old.body) != document(&new.body) {
        // Values of any length, which tell an auditor nothing.
        all.push(Alteration { what: "other attributes", old: String::new(), new: "changed".to_owned() });
    }
    all
}

fn permissions(object: &Object) -> String {
    words(&[
        ("private", object.private),
        ("modifiable", object.modifiable),
        ("copyable", object.copyable),
        ("destroyable", object.destroyable),
    ])
}

fn usage(usage: Usage) -> String {
    words(&[
        ("encrypt", usage.encrypt),
        ("decrypt", usage.decrypt),
        ("sign", usage.sign),
        ("sign-recover", usage.sign_recover),
        ("verify", usage.verify),
        ("verify-recover", usage.verify_recover),
        ("wrap", usage.wrap),
        ("unwrap", usage.unwrap),
        ("derive", usage.derive),
        ("encapsulate", usage.encapsulate),
        ("decapsulate", usage.decapsulate),
    ])
}

fn protection(protection: Protection) -> String {
    words(&[
        ("sensitive", protection.sensitive),
        ("extractable", protection.extractable),
        ("always-authenticate", protection.always_authenticate),
        ("wrap-with-trusted", protection.wrap_with_trusted),
        ("trusted", protection.trusted),
    ])
}

/// What there is to a key's life beyond its state, in words.
pub(crate) fn life(life: &Lifecycle) -> String {
    let moment = |name: &str, at: Option<Timestamp>| at.map(|at| format!("{name} {}", at.utc()));
    let revoked = life.revocation.as_ref().map(|r| format!("revoked for {}: {}", r.reason.name(), r.why));
    let deleted = life.deletion.as_ref().map(|d| format!("destroyed {}: {}", d.due.utc(), d.why));
    [
        moment("activated", life.activation),
        moment("deactivated", life.deactivation),
        life.retirement.map(|retirement| retirement.name().to_owned()),
        revoked,
        deleted,
        (life.version != 0).then(|| format!("version {}", life.version)),
        life.next.map(|next| format!("version {next} is pending")),
        life.rotation.as_ref().map(|rule| format!("rotated {rule}")),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

fn words(flags: &[(&str, bool)]) -> String {
    flags.iter().filter(|(_, set)| *set).map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

fn date(date: Option<Date>) -> String {
    date.map(|date| String::from_utf8_lossy(&date.0).into_owned()).unwrap_or_default()
}

fn mechanisms(key: &Key) -> String {
    key.allowed_mechanisms.iter().map(|number| format!("{number:#x}")).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(body: &Body) -> Option<&[u8]> {
    match body {
        Body::Key(_) => None,
        Body::Certificate { value } => Some(value),
        Body::Data { value } => Some(value),
    }
}
