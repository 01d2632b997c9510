//! Tables of cases for policies (policy-modules/cases): a request in words, and what the policy says to it through the
//! real host. policy-modules/README.md describes the format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libkmss::clock::Timestamp;
use libkmss::mechanism::KeyType;
use libkmss::policy::abi::{ACTIONS, Encoded};
use libkmss::policy::host::{Host, Limits, Policy};
use libkmss::policy::opa::Document;
use libkmss::policy::{Answer, Flags, Input, InputKey, Obligation, Verdict};
use serde::Deserialize;

/// A file of cases for one module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// File name of the module or bundle.
    pub(crate) module: String,
    /// What every case asks, unless it says otherwise.
    #[serde(default)]
    request: toml::Table,
    /// The cases.
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// A request, and what is to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// A sentence.
    pub(crate) name: String,
    /// What differs from the table's request; of the key only the named fields differ.
    #[serde(default)]
    request: toml::Table,
    /// Fields of the table's request that this one does not have.
    #[serde(default)]
    without: Vec<String>,
    /// `allow`, `deny` or `not applicable`.
    decision: String,
    /// The rule's name, or its number where the module names none.
    rule: Option<String>,
    /// The whole reason; not compared where it is left out.
    reason: Option<String>,
    /// All obligations, in any order; see [`in_words`].
    #[serde(default)]
    obligations: Vec<String>,
}

/// A request in words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    action: String,
    mechanism: Option<String>,
    time: Option<toml::value::Datetime>,
    #[serde(default = "one")]
    last_second: u32,
    #[serde(default = "one")]
    last_minute: u32,
    data_length: Option<u64>,
    #[serde(default)]
    interactive: bool,
    #[serde(default)]
    mfa: bool,
    #[serde(default)]
    fips: bool,
    uid: Option<u32>,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    principal: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    process: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    session: String,
    #[serde(default)]
    context: BTreeMap<String, String>,
    key: Option<AskKey>,
}

/// The key of a request in words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskKey {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    session: bool,
    #[serde(rename = "type")]
    key_type: Option<String>,
    #[serde(default)]
    bits: u32,
    created: Option<toml::value::Datetime>,
    /// A number with `d`, `h`, `m` or `s`.
    version_age: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

const fn one() -> u32 {
    1
}

impl Table {
    /// The table in a file.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// The request of a case.
    pub(crate) fn ask(&self, case: &Case) -> Ask {
        let mut merged = self.request.clone();
        merged.retain(|field, _| !case.without.iter().any(|gone| gone == field));
        for (field, value) in &case.request {
            match (merged.get_mut(field), value) {
                (Some(toml::Value::Table(old)), toml::Value::Table(new)) if field == "key" => old.extend(new.clone()),
                _ => drop(merged.insert(field.clone(), value.clone())),
            }
        }
        merged.try_into().unwrap_or_else(|error| panic!("{}: {error}", case.name))
    }
}

impl Ask {
    /// What `policy` says to it.
    pub(crate) fn to(&self, policy: &Policy) -> Answer {
        self.input(|input| policy.answer(input, &Encoded::of(input)))
    }

    /// Hands the request over as the host takes it.
    pub(crate) fn input<T>(&self, then: impl FnOnce(&Input<'_>) -> T) -> T {
        let action = ACTIONS.iter().find(|(_, action)| action.name() == self.action);
        let context: Vec<(String, String)> = self.context.clone().into_iter().collect();
        let input = Input {
            action: action.unwrap_or_else(|| panic!("there is no action `{}`", self.action)).1,
            mechanism: self.mechanism.as_deref(),
            time: self.time.map_or(Timestamp(0), milliseconds),
            sequence: 1,
            last_second: self.last_second,
            last_minute: self.last_minute,
            data_len: self.data_length,
            flags: Flags { interactive: self.interactive, mfa: self.mfa, fips: self.fips },
            uid: self.uid.unwrap_or(u32::MAX),
            pid: self.pid,
            key: self.key.as_ref().map(AskKey::input),
            tenant: &self.tenant,
            namespace: &self.namespace,
            principal: &self.principal,
            roles: &self.roles,
            process: &self.process,
            source: &self.source,
            session: &self.session,
            context: &context,
        };
        then(&input)
    }
}

impl AskKey {
    fn input(&self) -> InputKey<'_> {
        InputKey {
            id: &self.id,
            name: &self.name,
            session: self.session,
            key_type: self.key_type.as_deref().map(key_type),
            bits: self.bits,
            created: self.created.map_or(Timestamp(0), milliseconds),
            version_age: self.version_age.as_deref().map_or(0, duration),
            tags: &self.tags,
        }
    }
}

fn key_type(name: &str) -> KeyType {
    use KeyType::{Aes, AesXts, ChaCha20, Dh, Ec, EcEdwards, EcMontgomery, GenericSecret, Hkdf, MlDsa, MlKem, Rsa};
    use libkmss::mechanism::Hash;
    let types = [Rsa, Ec, EcEdwards, EcMontgomery, Dh, MlDsa, MlKem, Aes, AesXts, ChaCha20, GenericSecret, Hkdf];
    let rest = [KeyType::Sm2, KeyType::Sm4, KeyType::SlhDsa, KeyType::Hmac(Hash::Sha256)];
    let found = types.into_iter().chain(rest).find(|kind| kind.name() == name);
    found.unwrap_or_else(|| panic!("there is no key type `{name}`"))
}

/// `100d`, in milliseconds.
fn duration(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => panic!("`{text}` is no duration: write 100d, 12h, 5m or 30s"),
    };
    number.parse::<u64>().unwrap() * seconds * 1000
}

/// A time with its offset from UTC, in milliseconds since 1970.
fn milliseconds(time: toml::value::Datetime) -> Timestamp {
    let (date, clock) = (time.date.unwrap(), time.time.unwrap());
    let offset = match time.offset.expect("a time says its offset: 2026-11-20T10:00:00Z") {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let february = if leap(date.year.into()) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..i64::from(date.year)).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + months.iter().take(usize::from(date.month) - 1).sum::<i64>() + i64::from(date.day) - 1;
    let minutes = (days * 24 + i64::from(clock.hour)) * 60 + i64::from(clock.minute) - offset;
    Timestamp(u64::try_from(minutes * 60 + i64::from(clock.second.unwrap_or(0))).unwrap() * 1000)
}

/// An obligation as tables write it.
pub(crate) fn in_words(obligation: &Obligation) -> String {
    match obligation {
        Obligation::AuditTag(tag) => format!("audit_tag {tag}"),
        Obligation::MaximumData(bytes) => format!("maximum_data {bytes}"),
        Obligation::RateLimit { count, seconds } => format!("rate_limit {count} in {seconds}"),
        Obligation::StepUp => "step_up".to_owned(),
        Obligation::Quorum { approvals, role, window } => format!("quorum {approvals} of {role} within {window}"),
        Obligation::SessionExpiry(seconds) => format!("session_expiry {seconds}"),
        Obligation::Notify(channel) => format!("notify {channel}"),
        Obligation::Mask(shown) => format!("mask {shown}"),
        other => panic!("tables of cases have no words for {other:?}"),
    }
}

impl Case {
    /// What is wrong with an answer, if anything.
    pub(crate) fn complaint(&self, answer: &Answer, policy: &Policy) -> Option<String> {
        let verdict = match answer.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::NotApplicable => "not applicable",
        };
        let rule = policy.rule(answer.rule).map_or_else(|| answer.rule.to_string(), str::to_owned);
        let mut wanted = self.obligations.clone();
        let mut found: Vec<String> = answer.obligations.iter().map(in_words).collect();
        wanted.sort();
        found.sort();
        let same = verdict == self.decision
            && self.rule.as_ref().is_none_or(|wanted| *wanted == rule)
            && self.reason.as_ref().is_none_or(|wanted| *wanted == answer.reason)
            && wanted == found;
        (!same).then(|| format!("{}: got {verdict} by {rule} ({}), {found:?}", self.name, answer.reason))
    }
}

/// Loads the module or OPA bundle in a file.
///
/// # Panics
/// Where the host refuses it.
pub(crate) fn load(host: &Host, file: &Path) -> Policy {
    let limits = Limits::default();
    let loaded = if file.to_string_lossy().ends_with(".tar.gz") {
        let (wasm, data) = (member(file, "/policy.wasm"), member(file, "/data.json"));
        host.load_with(&wasm, &Document { data: Some(&data), entrypoint: None }, &limits, None)
    } else {
        host.load(&std::fs::read(file).unwrap(), &limits, None)
    };
    loaded.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A member of a bundle that `opa build` made.
fn member(bundle: &Path, name: &str) -> Vec<u8> {
    let tar = std::process::Command::new("tar").args(["-xzOf"]).arg(bundle).arg(name).output().unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    tar.stdout
}

/// The folder of the policies.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-modules")
}
