//! What the agent beside KMSS is told: how it works, and where records go. The host process only parses it.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::file::{absolute, within};

/// Longest name of a destination or an alarm in bytes.
const LONGEST_NAME: usize = 64;

/// Settings of the agent itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Seconds between two heartbeats in the audit, 0 to 86,400; 0 means none.
    #[serde(deserialize_with = "within::<0, 86_400, _>")]
    pub heartbeat_s: u32,
    /// Seconds between two sealings of the audit, 0 to 86,400; 0 means that others seal it.
    #[serde(deserialize_with = "within::<0, 86_400, _>")]
    pub seal_s: u32,
    /// Milliseconds between two looks for new records, 10 to 60,000.
    #[serde(deserialize_with = "within::<10, 60_000, _>")]
    pub poll_ms: u32,
    /// Hours between two verifications of the whole audit, 0 to 8,760; 0 means none.
    #[serde(deserialize_with = "within::<0, 8_760, _>")]
    pub verify_hours: u32,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { heartbeat_s: 60, seal_s: 1, poll_ms: 200, verify_hours: 24 }
    }
}

/// A `[[audit.forward]]`: where records go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawForward")]
pub struct ForwardConfig {
    /// Its name, unique; also that of its cursor.
    pub name: String,
    /// Where.
    pub to: Endpoint,
    /// As what.
    pub format: RecordFormat,
    /// Which kinds of records.
    pub records: RecordScope,
    /// Records that match any of these; all where there is none.
    pub only: Vec<RecordFilter>,
    /// Of those, not the records that match any of these.
    pub except: Vec<RecordFilter>,
    /// Whether a new destination begins with the oldest record there is, or with the next.
    pub from: StartFrom,
    /// Certificates (PEM) that sign the receiver's; those of the system where there is none.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain (PEM) and key (PEM) that we show.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name that the receiver's certificate must have, where it is not that of `to`.
    pub server_name: Option<String>,
    /// Holds the secret of signatures on batches.
    pub secret_file: Option<PathBuf>,
    /// Most records of a batch.
    pub batch: u32,
    /// Seconds until an attempt is given up.
    pub timeout_s: u32,
    /// Most seconds between two attempts.
    pub retry_max_s: u32,
    /// The facility of syslog.
    pub facility: u8,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Syslog (RFC 5424) over TLS (RFC 5425): host and port.
    SyslogTls(String, u16),
    /// Syslog over TCP with octet counting (RFC 6587): host and port.
    SyslogTcp(String, u16),
    /// Syslog over UDP (RFC 5426): host and port.
    SyslogUdp(String, u16),
    /// Syslog to a datagram socket of this host.
    SyslogUnix(PathBuf),
    /// POST of JSON: the URL.
    Webhook(String),
    /// The journal of this host: its socket.
    Journald(PathBuf),
    /// A program that gets a batch on its standard input: its path.
    Command(PathBuf),
}

/// How a record is written for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordFormat {
    /// As it stands in the audit, with its name as `id`.
    #[default]
    Json,
    /// An event of OCSF.
    Ocsf,
    /// A line of the Common Event Format.
    Cef,
}

/// Which kinds of records go to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordScope {
    /// Operations, counts of operations, alarms.
    #[default]
    Events,
    /// Everything, also what happened to segments, and heartbeats.
    All,
    /// Alarms, and what policies want notified, for this destination.
    Alarms,
}

/// Where a new destination begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// With the oldest record there is.
    #[default]
    Oldest,
    /// With the first that comes after the agent heard of it.
    Newest,
}

/// Which records are meant: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordFilter {
    /// The action's word.
    pub action: Option<String>,
    /// Name or id of the object.
    pub key: Option<String>,
    /// The principal.
    pub principal: Option<String>,
    /// The outcome's word.
    pub outcome: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// `namespace` or `tenant/namespace`.
    pub namespace: Option<String>,
    /// Name of the mechanism.
    pub mechanism: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The deciding rule.
    pub rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForward {
    name: String,
    to: String,
    #[serde(default)]
    format: RecordFormat,
    #[serde(default)]
    records: RecordScope,
    #[serde(default)]
    only: Vec<RecordFilter>,
    #[serde(default)]
    except: Vec<RecordFilter>,
    #[serde(default)]
    from: StartFrom,
    #[serde(default, deserialize_with = "absolute")]
    ca_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "absolute")]
    client_certificate: Option<PathBuf>,
    #[serde(default, deserialize_with = "absolute")]
    client_key: Option<PathBuf>,
    server_name: Option<String>,
    #[serde(default, deserialize_with = "absolute")]
    secret_file: Option<PathBuf>,
    #[serde(default)]
    allow_plaintext: bool,
    #[serde(default = "batch", deserialize_with = "within::<1, 10_000, _>")]
    batch: u32,
    #[serde(default = "timeout", deserialize_with = "within::<1, 600, _>")]
    timeout_s: u32,
    #[serde(default = "retry_max", deserialize_with = "within::<1, 86_400, _>")]
    retry_max_s: u32,
    facility: Option<String>,
}

const fn batch() -> u32 {
    100
}

const fn timeout() -> u32 {
    10
}

const fn retry_max() -> u32 {
    300
}

impl TryFrom<RawForward> for ForwardConfig {
    type Error = String;

    fn try_from(raw: RawForward) -> Result<Self, String> {
        named("destination", &raw.name)?;
        let (to, plain) = endpoint(&raw.to)?;
        if plain && !raw.allow_plaintext {
            return Err(format!(
                "`{}` sends records that everybody on the way can read and change: use TLS, or set `allow_plaintext = true`",
                raw.to
            ));
        }
        let client = match (raw.client_certificate, raw.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err("`client_certificate` and `client_key` belong together".to_owned()),
        };
        let encrypted = matches!(&to, Endpoint::SyslogTls(..))
            || matches!(&to, Endpoint::Webhook(url) if url.starts_with("https:"));
        if !encrypted && (raw.ca_file.is_some() || client.is_some() || raw.server_name.is_some()) {
            return Err(format!("`{}` has no TLS: certificates and `server_name` mean nothing there", raw.to));
        }
        let webhook = matches!(to, Endpoint::Webhook(_));
        if raw.secret_file.is_some() && !webhook {
            return Err("`secret_file` is for HTTP only".to_owned());
        }
        if raw.server_name.is_some() && webhook {
            return Err("`server_name` is for syslog only: the URL names the receiver".to_owned());
        }
        let syslog = matches!(
            to,
            Endpoint::SyslogTls(..) | Endpoint::SyslogTcp(..) | Endpoint::SyslogUdp(..) | Endpoint::SyslogUnix(_)
        );
        let facility = match raw.facility {
            Some(_) if !syslog => return Err("`facility` is for syslog only".to_owned()),
            Some(name) => facility(&name)?,
            // authpriv
            None => 10,
        };
        Ok(Self {
            name: raw.name,
            to,
            format: raw.format,
            records: raw.records,
            only: raw.only,
            except: raw.except,
            from: raw.from,
            ca_file: raw.ca_file,
            client,
            server_name: raw.server_name,
            secret_file: raw.secret_file,
            batch: raw.batch,
            timeout_s: raw.timeout_s,
            retry_max_s: raw.retry_max_s,
            facility,
        })
    }
}

/// Lower-case letters, digits and `-`: these are names of files, too.
pub(super) fn named(what: &str, name: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(allowed) || name.starts_with('-') {
        let name = name.escape_debug();
        return Err(format!("`{name}` does not name a {what}: use lower-case letters, digits and `-`"));
    }
    Ok(())
}

/// The endpoint, and whether others could read or change what goes there.
fn endpoint(text: &str) -> Result<(Endpoint, bool), String> {
    let wrong = || {
        format!(
            "`{}` is no destination: write tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or unix:/PATH for syslog, \
             https://…, journald, or command:/PATH",
            text.escape_debug()
        )
    };
    let path = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute()).ok_or_else(wrong);
    if text == "journald" {
        return Ok((Endpoint::Journald(PathBuf::from("/run/systemd/journal/socket")), false));
    }
    if let Some(socket) = text.strip_prefix("journald:") {
        return Ok((Endpoint::Journald(path(socket)?), false));
    }
    if let Some(socket) = text.strip_prefix("unix:") {
        return Ok((Endpoint::SyslogUnix(path(socket)?), false));
    }
    if let Some(program) = text.strip_prefix("command:") {
        return Ok((Endpoint::Command(path(program)?), false));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let host = |default: u16| {
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let clean = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if host.is_empty() || !host.bytes().all(clean) || port == 0 {
            Err(wrong())
        } else {
            Ok((host.to_owned(), port))
        }
    };
    match scheme {
        "tls" => host(6514).map(|(host, port)| (Endpoint::SyslogTls(host, port), false)),
        "tcp" => host(601).map(|(host, port)| (Endpoint::SyslogTcp(host, port), true)),
        "udp" => host(514).map(|(host, port)| (Endpoint::SyslogUdp(host, port), true)),
        "https" if !rest.is_empty() => Ok((Endpoint::Webhook(text.to_owned()), false)),
        "http" if !rest.is_empty() => Ok((Endpoint::Webhook(text.to_owned()), true)),
        _ => Err(wrong()),
    }
}

/// RFC 5424, table 1.
fn facility(name: &str) -> Result<u8, String> {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
        "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];
    let found = NAMES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok());
    found.ok_or_else(|| format!("`{}` is no facility of syslog", name.escape_debug()))
}

/// Destinations, each with a name of its own.
pub(super) fn forwards<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<ForwardConfig>, D::Error> {
    let all = Vec::<ForwardConfig>::deserialize(d)?;
    unique(all.iter().map(|one| one.name.as_str())).map(|()| all).map_err(D::Error::custom)
}

pub(super) fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("two are named `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn forward(text: &str) -> Result<ForwardConfig, String> {
        toml::from_str(text).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn destinations_are_what_they_say() {
        let to = |to: &str| forward(&format!("name = \"a\"\nto = \"{to}\"\nallow_plaintext = true")).map(|f| f.to);
        assert_eq!(to("tls://siem.example.org").unwrap(), Endpoint::SyslogTls("siem.example.org".into(), 6514));
        assert_eq!(to("tcp://[::1]:601").unwrap(), Endpoint::SyslogTcp("::1".into(), 601));
        assert_eq!(to("unix:/dev/log").unwrap(), Endpoint::SyslogUnix("/dev/log".into()));
        assert_eq!(to("https://a/b").unwrap(), Endpoint::Webhook("https://a/b".into()));
        for bad in ["", "tls://", "tls://a:0", "tls://a:x", "unix:dev", "ftp://a", "command:mail", "tls://a b"] {
            assert!(to(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_others_could_read_on_the_way_takes_a_word_more() {
        for to in ["tcp://a", "udp://a", "http://a/"] {
            assert!(forward(&format!("name = \"a\"\nto = \"{to}\"")).unwrap_err().contains("allow_plaintext"), "{to}");
        }
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        assert!(forward("name = \"a\"\nto = \"journald\"\nsecret_file = \"/a\"").is_err());
        assert!(forward("name = \"a\"\nto = \"tls://a\"\nclient_key = \"/a\"").is_err());
        assert!(forward("name = \"A\"\nto = \"tls://a\"").is_err());
        assert!(forward("name = \"a\"\nto = \"tls://a\"\ncolour = 1").is_err());
    }
}
