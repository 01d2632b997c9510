//! The asset ledger: tokens, their keys and certificates, as far as they are to be seen.

use std::collections::HashMap;
use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::catalog::{ObjectKind, Query};
use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Body, Date, Key, KeyClass, Object, weakness_of_key};
use libkmss::kms::Kms;
use libkmss::operation::Find;
use libkmss::policy::Scope;
use libkmss::policy::registry::Entries;
use libkmss::quota::{Block, BlockTarget};
use libkmss::settings::Weakness;
use libkmss::tenant::Namespace;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::known::{Known, Past};
use super::period::{DAY, rfc3339, rfc3339_or_null};
use super::weak;
use super::words::{class_name, describe, plain, uses};

/// Those of `all` that the labels name; all of them where there are none.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a label that no token has.
pub fn chosen(all: Vec<Namespace>, labels: &[String]) -> Result<Vec<Namespace>> {
    for label in labels {
        if !all.iter().any(|namespace| namespace.name == *label) {
            let label: String = label.chars().take(128).collect();
            let what = format!("no token is labelled `{label}`; `kmss token list` shows what there is");
            return Err(Error::new(ErrorKind::NotFound, what));
        }
    }
    Ok(all.into_iter().filter(|one| labels.is_empty() || labels.contains(&one.name)).collect())
}

/// A token that the report is about, as whoever asks for it may see it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The token.
    pub namespace: Namespace,
    /// Who looks.
    pub caller: Caller,
    /// Why what is private was not opened, as the end of a sentence; `None` where it was.
    pub closed: Option<String>,
}

/// A token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Token {
    /// `tenant/namespace`.
    pub token: String,
    /// Whether its private objects were to be seen.
    pub opened: bool,
    /// Whether it works without PINs.
    pub pinless: bool,
    /// Whose numbers it uses.
    pub profile: String,
    /// Weak things that it forbids.
    pub forbid: String,
    /// Whether no key may both wrap and decrypt.
    pub separate_wrap_and_decrypt: bool,
    /// Whether nothing is allowed without a policy.
    pub policy_required: bool,
    /// Users with their roles.
    pub users: Vec<User>,
    /// Policies in force for it, its tenant and the home.
    pub policies: Vec<String>,
    /// Keys that the report lists.
    pub keys: u64,
    /// Certificates that the report lists.
    pub certificates: u64,
}

/// A user of a token.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub user: String,
    /// The roles.
    pub roles: Vec<String>,
}

/// A key, a pair being one.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyRow {
    /// `tenant/namespace`.
    pub token: String,
    /// The name.
    pub name: String,
    /// The label.
    pub label: String,
    /// `secret`, `private` (with its public half, where there is one) or `public`.
    pub class: String,
    /// Type and size.
    #[serde(rename = "type")]
    pub key_type: String,
    /// Size in bits.
    pub bits: u32,
    /// The state.
    pub state: String,
    /// The tags.
    pub tags: Vec<String>,
    /// What it may be used for, both halves together.
    pub uses_allowed: Vec<String>,
    /// Never to be read in clear; `null` for a public key.
    pub sensitive: Option<bool>,
    /// May be wrapped; `null` for a public key.
    pub extractable: Option<bool>,
    /// Made in this home.
    pub local: bool,
    /// Where the material is.
    pub backend: String,
    /// The version in use.
    pub version: u32,
    /// How many versions there are.
    pub versions: usize,
    /// When the version in use was made.
    #[serde(with = "rfc3339")]
    pub created: Timestamp,
    /// Its age.
    pub age_days: u64,
    /// Older than it may become.
    pub rotation_due: bool,
    /// First day of use.
    pub start: Option<String>,
    /// Last day of use.
    pub end: Option<String>,
    /// Whether that has passed.
    pub expired: bool,
    /// What is weak about it.
    pub weaknesses: Vec<String>,
    /// Policies of this very key.
    pub policies: Vec<String>,
    /// Blocks and throttles of the key or its token that hold now.
    pub blocks: Vec<String>,
    /// Its identity: that of the private half of a pair.
    pub id: String,
    /// What the audit trail knows of it.
    #[serde(flatten)]
    pub past: Past,
}

/// A certificate.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificateRow {
    /// `tenant/namespace`.
    pub token: String,
    /// The label.
    pub label: String,
    /// Names of the keys with the same CKA_ID.
    pub keys: Vec<String>,
    /// The subject; empty for what is no X.509 certificate.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The serial number.
    pub serial: String,
    /// When it begins to be valid.
    #[serde(with = "rfc3339_or_null")]
    pub not_before: Option<Timestamp>,
    /// When it expires.
    #[serde(with = "rfc3339_or_null")]
    pub not_after: Option<Timestamp>,
    /// Days until then; 0 where it has expired.
    pub days_left: Option<u64>,
    /// Whether it has expired.
    pub expired: bool,
    /// Its identity.
    pub id: String,
}

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub tokens: Vec<Token>,
    pub keys: Vec<KeyRow>,
    pub certificates: Vec<CertificateRow>,
    /// What is missing, in sentences.
    pub missing: Vec<String>,
    /// What to look for in the trail: the keys in the order of the list.
    pub known: Known,
}

/// When and by which measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Now.
    pub now: Timestamp,
    /// Days after which a key is due for rotation.
    pub max_age_days: u64,
}

impl Ledger {
    /// Reads `tokens`, at most so many objects of them. `go_on` hears of every object before it is read; `None` where it says
    /// no.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(crate) fn read(
        kms: &Kms,
        tokens: Vec<Opened>,
        measure: Measure,
        most: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>> {
        let now = measure.now;
        let blocks = kms.blocks()?.into_iter().filter(|block| block.holds(now)).collect();
        let in_force = InForce { policies: kms.policies()?, blocks };
        let (mut ledger, mut reading) = (Self::default(), Reading { kms, room: most, go_on });
        for token in tokens {
            if !ledger.add(&mut reading, &token, &in_force, measure)? {
                return Ok(None);
            }
        }
        Ok(Some(ledger))
    }

    /// Adds a token; whether to go on.
    fn add(
        &mut self,
        reading: &mut Reading<'_>,
        opened: &Opened,
        in_force: &InForce,
        measure: Measure,
    ) -> Result<bool> {
        let kms = reading.kms;
        let (policies, namespace) = (&in_force.policies, &opened.namespace);
        let token = namespace.to_string();
        if let Some(why) = &opened.closed {
            self.missing.push(format!(
                "Private objects of token `{}` were not opened: {why}. Of its pairs the public halves are listed.",
                plain(&token)
            ));
        }
        let mut objects = Vec::new();
        for kind in [
            ObjectKind::Key(KeyClass::Private),
            ObjectKind::Key(KeyClass::Secret),
            ObjectKind::Key(KeyClass::Public),
            ObjectKind::Certificate,
        ] {
            match reading.all_in(&opened.caller, kind, &mut objects) {
                Ok(Read::All) => {}
                Ok(Read::GivenUp) => return Ok(false),
                Ok(Read::TooMany) => {
                    let many = format!("Not all objects of token `{}` are listed: there are too many.", plain(&token));
                    self.missing.push(many);
                    break;
                }
                Err(error) => {
                    let cannot = format!("Not all objects of token `{}` could be read: {error}.", plain(&token));
                    self.missing.push(cannot);
                    break;
                }
            }
        }
        // A token without PINs would show everything to whoever looks.
        objects.retain(|object| opened.closed.is_none() || !object.private);
        let (mut by_name, mut by_identifier) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for object in &objects {
            if let Some(key) = object.key() {
                by_name.entry(key.name.as_str()).or_default().push(object);
                by_identifier.entry(object.identifier.as_slice()).or_default().push(key.name.clone());
            }
        }
        let mut listed = 0;
        for object in &objects {
            let Some(key) = object.key() else { continue };
            let half =
                |o: &&Arc<Object>| o.key().is_some_and(|other| other.class != key.class && other.name == key.name);
            let other = by_name.get(key.name.as_str()).and_then(|same| same.iter().copied().find(half));
            if key.class == KeyClass::Public && other.is_some() {
                continue;
            }
            let ids = std::iter::once(object).chain(other).map(|o| o.id.to_string()).collect();
            self.known.insert(ids, token.clone(), key.name.clone(), object.created);
            self.keys.push(row(namespace, object, key, other.and_then(|o| o.key()), in_force, measure));
            listed += 1;
        }
        let certificates = self.certificates.len();
        self.certificates.extend(objects.iter().filter_map(|o| certificate(&token, o, &by_identifier, measure)));
        let mut users = Vec::new();
        for user in kms.users(namespace)? {
            match kms.user_roles(namespace, &user) {
                Ok(roles) => users.push(User { user, roles }),
                // Removed meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        self.tokens.push(Token {
            opened: opened.closed.is_none(),
            pinless: namespace.settings.pinless,
            profile: namespace.settings.profile.to_string(),
            forbid: namespace.settings.forbid.to_string(),
            separate_wrap_and_decrypt: namespace.settings.separate_wrap_and_decrypt,
            policy_required: policies.requires(namespace),
            users,
            policies: titles(policies, namespace, |scope| !matches!(scope, Scope::Key { .. })),
            keys: listed,
            certificates: (self.certificates.len() - certificates) as u64,
            token,
        });
        Ok(true)
    }
}

/// What holds besides the keys' own attributes.
struct InForce {
    policies: Arc<Entries>,
    blocks: Vec<Block>,
}

impl InForce {
    /// What keeps a key from being used, in words.
    fn of(&self, namespace: &Namespace, object: &Object, key: &Key) -> Vec<String> {
        let id = object.id.to_string();
        let named = |name: &String| *name == key.name || *name == id || key.copy_of.contains(name);
        let holding = self.blocks.iter().filter(|block| match &block.target {
            BlockTarget::Key { namespace: of, key } => *of == namespace.id && named(key),
            BlockTarget::Namespace { namespace: of } => *of == namespace.id,
            BlockTarget::Principal { .. } => false,
        });
        holding.map(|block| format!("block:{} {}", block.id, block.shown())).collect()
    }
}

/// The reading of all tokens.
struct Reading<'a> {
    kms: &'a Kms,
    /// Objects that may still be listed.
    room: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

/// How far the reading of a kind came.
enum Read {
    All,
    TooMany,
    GivenUp,
}

impl Reading<'_> {
    /// Every stored object of a kind, as far as there is room.
    fn all_in(&mut self, caller: &Caller, kind: ObjectKind, into: &mut Vec<Arc<Object>>) -> Result<Read> {
        const PAGE: usize = 256;
        let query = Query { kind: Some(kind), ..Query::default() };
        let mut after = None;
        loop {
            let page = self.kms.perform(caller, Find { query: &query, after, limit: PAGE })?;
            for found in &page {
                if !(self.go_on)() {
                    return Ok(Read::GivenUp);
                }
                let Some(left) = self.room.checked_sub(1) else { return Ok(Read::TooMany) };
                match self.kms.object(caller, found.id) {
                    Ok(object) => {
                        self.room = left;
                        into.push(object);
                    }
                    // Destroyed since it was found: the others are there still.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
            after = page.last().map(|found| found.id);
            if page.len() < PAGE {
                return Ok(Read::All);
            }
        }
    }
}

/// What policies in force for (a part of) a token are called, with candidates in the shadow.
fn titles(policies: &Entries, namespace: &Namespace, wanted: impl Fn(&Scope) -> bool) -> Vec<String> {
    let concerning = policies.concerning(namespace).filter(|entry| wanted(&entry.scope));
    concerning
        .filter_map(|entry| match (&entry.active, &entry.shadow) {
            (Some(_), _) => Some(entry.title()),
            (None, Some(_)) => Some(format!("{} (in the shadow)", entry.title())),
            (None, None) => None,
        })
        .collect()
}

fn row(
    namespace: &Namespace,
    object: &Object,
    key: &Key,
    other: Option<&Key>,
    in_force: &InForce,
    measure: Measure,
) -> KeyRow {
    let version = key.primary().ok();
    let created = version.map_or(object.created, |version| version.created);
    let age_days = measure.now.0.saturating_sub(created.0) / DAY;
    let mut uses_allowed = uses(&key.usage);
    uses_allowed.extend(other.map(|key| uses(&key.usage)).unwrap_or_default());
    let secret = key.class != KeyClass::Public;
    let own = |scope: &Scope| matches!(scope, Scope::Key { key: name, .. } if name == key.policy_name());
    KeyRow {
        token: namespace.to_string(),
        name: key.name.clone(),
        label: String::from_utf8_lossy(&object.label).into_owned(),
        class: class_name(key.class).to_owned(),
        key_type: describe(key),
        bits: version.map(|version| version.bits).unwrap_or_default(),
        state: key.state.name().to_owned(),
        tags: key.tags.clone(),
        uses_allowed: uses_allowed.into_iter().map(str::to_owned).collect(),
        sensitive: secret.then_some(key.protection.sensitive),
        extractable: secret.then_some(key.protection.extractable),
        local: key.protection.local,
        backend: version.map(|version| version.backend.0.to_string()).unwrap_or_default(),
        version: key.primary,
        versions: key.versions.len(),
        created,
        age_days,
        rotation_due: age_days > measure.max_age_days,
        start: key.start.map(words_of),
        end: key.end.map(words_of),
        expired: key.end.is_some_and(|end| end < Date::of(measure.now)),
        weaknesses: version.map(|version| weaknesses(key, version)).unwrap_or_default(),
        policies: titles(&in_force.policies, namespace, own),
        blocks: in_force.of(namespace, object, key),
        id: object.id.to_string(),
        past: Past::default(),
    }
}

/// What is weak about a key, whatever its token forbids.
fn weaknesses(key: &Key, version: &libkmss::key::KeyVersion) -> Vec<String> {
    let one = |weakness: Weakness| weakness_of_key(std::iter::once(weakness).collect(), key, version);
    let known = [Weakness::ShortRsa, Weakness::ShortSecrets];
    known.into_iter().filter_map(one).map(|weakness| weak::words(weakness).to_owned()).collect()
}

/// `YYYY-MM-DD`.
fn words_of(date: Date) -> String {
    let digits = String::from_utf8_lossy(&date.0).into_owned();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
}

fn certificate(
    token: &str,
    object: &Object,
    keys_by_identifier: &HashMap<&[u8], Vec<String>>,
    measure: Measure,
) -> Option<CertificateRow> {
    let Body::Certificate { value } = &object.body else { return None };
    let identifier = Some(object.identifier.as_slice()).filter(|identifier| !identifier.is_empty());
    let mut keys = identifier.and_then(|it| keys_by_identifier.get(it)).cloned().unwrap_or_default();
    keys.sort();
    keys.dedup();
    let parsed = Certificate::from_der(value).ok();
    let tbs = parsed.as_ref().map(|certificate| certificate.tbs_certificate());
    let moment = |time: &x509_cert::time::Time| {
        Timestamp(u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX))
    };
    let not_after = tbs.map(|tbs| moment(&tbs.validity().not_after));
    Some(CertificateRow {
        token: token.to_owned(),
        label: String::from_utf8_lossy(&object.label).into_owned(),
        keys,
        subject: tbs.map(|tbs| tbs.subject().to_string()).unwrap_or_default(),
        issuer: tbs.map(|tbs| tbs.issuer().to_string()).unwrap_or_default(),
        serial: tbs.map(|tbs| tbs.serial_number().to_string()).unwrap_or_default(),
        not_before: tbs.map(|tbs| moment(&tbs.validity().not_before)),
        not_after,
        days_left: not_after.map(|end| end.0.saturating_sub(measure.now.0) / DAY),
        expired: not_after.is_some_and(|end| end < measure.now),
        id: object.id.to_string(),
    })
}
