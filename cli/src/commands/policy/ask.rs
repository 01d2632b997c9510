//! A request in words: the options of `kmss policy explain`, or a case of a table.

use std::collections::BTreeMap;

use libkmss::clock::{Clock as _, SystemClock, Timestamp};
use libkmss::mechanism::KeyType;
use libkmss::policy::abi::{ACTIONS, MECHANISMS};
use libkmss::policy::{Flags, Input, InputKey, Obligation};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::args::RequestArgs;
use crate::moment;
use crate::output::Failure;

/// A request in words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ask {
    action: String,
    mechanism: Option<String>,
    time: Option<toml::value::Datetime>,
    last_second: Option<u32>,
    last_minute: Option<u32>,
    data_length: Option<u64>,
    interactive: bool,
    mfa: bool,
    fips: bool,
    uid: Option<u32>,
    pid: u32,
    tenant: String,
    namespace: String,
    principal: String,
    roles: Vec<String>,
    process: String,
    source: String,
    session: String,
    context: BTreeMap<String, String>,
    key: Option<AskKey>,
}

/// The key of a request in words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AskKey {
    id: String,
    name: String,
    session: bool,
    #[serde(rename = "type")]
    key_type: Option<String>,
    bits: u32,
    created: Option<toml::value::Datetime>,
    /// A number with `d`, `h`, `m` or `s`.
    version_age: Option<String>,
    tags: Vec<String>,
}

impl Ask {
    /// The request that options describe; `None` where there are none.
    ///
    /// # Errors
    /// An option cannot be understood.
    pub(super) fn of(args: &RequestArgs) -> Result<Option<Self>, Failure> {
        let (Some(principal), Some(action)) = (&args.principal, &args.action) else { return Ok(None) };
        let mut context = BTreeMap::new();
        for pair in &args.context {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is no NAME=VALUE"))?;
            context.insert(name.to_owned(), value.to_owned());
        }
        let moment = |text: &Option<String>| text.as_deref().map(str::parse::<toml::value::Datetime>).transpose();
        Ok(Some(Self {
            action: action.clone(),
            mechanism: args.mechanism.clone(),
            time: moment(&args.time).map_err(|e| format!("--time: {e}"))?,
            last_second: args.last_second,
            last_minute: args.last_minute,
            data_length: args.data_length,
            interactive: args.interactive,
            mfa: args.mfa,
            fips: args.fips,
            uid: args.uid,
            pid: 0,
            tenant: args.tenant.clone(),
            namespace: args.namespace.clone(),
            principal: principal.clone(),
            roles: args.role.clone(),
            process: args.process.clone(),
            source: args.source.clone(),
            session: String::new(),
            context,
            key: args.key.as_ref().map(|name| AskKey {
                name: name.clone(),
                session: args.session_key,
                key_type: args.key_type.clone(),
                bits: args.bits,
                version_age: args.key_age.clone(),
                tags: args.tag.clone(),
                ..AskKey::default()
            }),
        }))
    }

    /// Hands the request over as policies see it.
    ///
    /// # Errors
    /// A word in it means nothing.
    pub(super) fn input<T>(&self, then: impl FnOnce(&Input<'_>) -> T) -> Result<T, Failure> {
        let action = ACTIONS.iter().find(|(_, action)| action.name() == self.action);
        let action = action.ok_or_else(|| {
            let names = ACTIONS.iter().map(|(_, action)| action.name()).collect::<Vec<_>>();
            format!("`{}` is no action: say {}", self.action, names.join(", "))
        })?;
        if let Some(name) = &self.mechanism
            && !MECHANISMS.iter().any(|(_, known)| known == name)
        {
            return Err(format!("`{name}` is no mechanism; docs/policy-abi.md lists them").into());
        }
        let time = self.time.as_ref().map(milliseconds).transpose()?;
        let time = time.unwrap_or_else(|| SystemClock::default().now());
        let mut roles = self.roles.clone();
        roles.sort();
        let mut tags = self.key.as_ref().map(|key| key.tags.clone()).unwrap_or_default();
        tags.sort();
        let context: Vec<(String, String)> = self.context.clone().into_iter().collect();
        let key = self.key.as_ref().map(|key| key.input(&tags, time)).transpose()?;
        Ok(then(&Input {
            action: action.1,
            mechanism: self.mechanism.as_deref(),
            time,
            sequence: 1,
            last_second: self.last_second.unwrap_or(1),
            last_minute: self.last_minute.unwrap_or(1),
            data_len: self.data_length,
            flags: Flags { interactive: self.interactive, mfa: self.mfa, fips: self.fips },
            uid: self.uid.unwrap_or(u32::MAX),
            pid: self.pid,
            key,
            tenant: &self.tenant,
            namespace: &self.namespace,
            principal: &self.principal,
            roles: &roles,
            process: &self.process,
            source: &self.source,
            session: &self.session,
            context: &context,
        }))
    }
}

impl AskKey {
    fn input<'a>(&'a self, tags: &'a [String], now: Timestamp) -> Result<InputKey<'a>, Failure> {
        let key_type = self.key_type.as_ref().map(|name| {
            let known = KeyType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name));
            known.ok_or_else(|| {
                let names = KeyType::ALL.map(KeyType::name);
                format!("`{name}` is no key type: say {}", names.join(", "))
            })
        });
        let version_age = self.version_age.as_deref().map_or(Ok(0), moment::duration)?;
        let created = self.created.as_ref().map(milliseconds).transpose()?;
        Ok(InputKey {
            id: &self.id,
            name: &self.name,
            session: self.session,
            key_type: key_type.transpose()?,
            bits: self.bits,
            created: created.unwrap_or(Timestamp(now.0.saturating_sub(version_age))),
            version_age,
            tags,
        })
    }
}

/// Milliseconds since 1970 of a time with its offset from UTC.
fn milliseconds(time: &toml::value::Datetime) -> Result<Timestamp, Failure> {
    let moment = OffsetDateTime::parse(&time.to_string(), &Rfc3339)
        .map_err(|_| format!("`{time}` is no time with its offset: write 2026-11-20T10:00:00Z"))?;
    Ok(Timestamp(u64::try_from(moment.unix_timestamp()).unwrap_or(0) * 1000))
}

/// An obligation as people and tables of cases write it.
pub(super) fn in_words(obligation: &Obligation) -> String {
    match obligation {
        Obligation::AuditTag(tag) => format!("audit_tag {tag}"),
        Obligation::MaximumData(bytes) => format!("maximum_data {bytes}"),
        Obligation::RateLimit { count, seconds } => format!("rate_limit {count} in {seconds}"),
        Obligation::StepUp => "step_up".to_owned(),
        Obligation::Quorum { approvals, role, window } => format!("quorum {approvals} of {role} within {window}"),
        Obligation::SessionExpiry(seconds) => format!("session_expiry {seconds}"),
        Obligation::Notify(channel) => format!("notify {channel}"),
        Obligation::Mask(shown) => format!("mask {shown}"),
        other => format!("{other:?}"),
    }
}
