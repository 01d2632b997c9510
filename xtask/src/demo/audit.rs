//! The audit trail of what the clients did, and a key that is switched off while it is in use.

use super::nginx::Nginx;
use super::openssl;
use super::scene::{SIGNER, Scene, TOKEN, WEB};
use crate::error::Error;
use serde_json::Value;

/// More records than the demo makes.
const ALL: &str = "100000";

/// Where the trail stood before the clients came.
pub(super) struct Trail {
    before: Counts,
}

/// Signatures in the trail, by key.
struct Counts {
    web: usize,
    signer: usize,
}

impl Trail {
    /// Remembers what is in the trail already (the certificates' signatures).
    pub(super) fn begin(scene: &Scene<'_>) -> Result<Trail, Error> {
        Ok(Trail { before: Counts::of(&records(scene)?) })
    }

    /// Compares the trail with what the clients did, and has it verified.
    pub(super) fn show(&self, scene: &Scene<'_>) -> Result<Vec<String>, Error> {
        let records = records(scene)?;
        let now = Counts::of(&records);
        let mut shown = Vec::new();
        for (key, before, now) in [(WEB, self.before.web, now.web), (SIGNER, self.before.signer, now.signer)] {
            let (made, recorded) = (scene.signatures(key), now.saturating_sub(before));
            if made != recorded {
                return Err(Error::check(format!(
                    "the clients made {made} signatures with `{key}`, the trail has {recorded}"
                )));
            }
            shown.push(format!("`{key}`: {made} signatures made, {recorded} in the trail"));
        }
        shown.push(format!("{} records in all; the last ones:", records.len()));
        shown.push(tail(scene, "6")?);
        shown.push(verify(scene)?);
        Ok(shown)
    }
}

/// `kmss key disable` on the key of the running server: its next handshake fails, and so does `openssl dgst`; the
/// trail says why. Enabled again, the same workers go on.
pub(super) fn disable(scene: &Scene<'_>, nginx: &Nginx<'_>) -> Result<Vec<String>, Error> {
    nginx.page()?;
    let before = records(scene)?.len();
    scene.kmss(&["key", "disable", WEB, "--token", TOKEN]).run()?;
    let mut shown = vec![format!("kmss key disable {WEB}")];
    if nginx.fetch()?.status.success() {
        return Err(Error::check("nginx still served a page with a disabled key"));
    }
    shown.push("the running nginx: its next handshake fails".to_owned());
    let output = openssl::dgst(scene, WEB)?.attempt()?;
    if output.status.success() {
        return Err(Error::check("openssl dgst still signed with a disabled key"));
    }
    shown.push("openssl dgst: fails".to_owned());
    let records = records(scene)?;
    let refusals = records.iter().skip(before).filter(|record| is_refused_signature(record, WEB));
    let reasons: Vec<&str> = refusals.filter_map(|record| text(record, "reason")).collect();
    match reasons.last() {
        None => return Err(Error::check("the trail does not say why the signatures were refused")),
        Some(reason) => shown.push(format!("the trail has {} refusals, and says why: {reason}", reasons.len())),
    }
    scene.kmss(&["key", "enable", WEB, "--token", TOKEN]).run()?;
    nginx.page()?;
    shown.push(format!("kmss key enable {WEB}: the same nginx serves again"));
    shown.push(verify(scene)?);
    Ok(shown)
}

/// Every event of the trail, oldest first.
pub(super) fn records(scene: &Scene<'_>) -> Result<Vec<Value>, Error> {
    parse(&scene.kmss(&["audit", "tail", "-n", ALL, "--json"]).run()?.stdout)
}

/// One JSON document a line.
fn parse(lines: &str) -> Result<Vec<Value>, Error> {
    let parse = |line| serde_json::from_str(line).map_err(|source| Error::Json { what: "an audit record", source });
    lines.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// The table that a person sees.
fn tail(scene: &Scene<'_>, count: &str) -> Result<String, Error> {
    Ok(scene.kmss(&["audit", "tail", "-n", count]).run()?.stdout.trim_end().to_owned())
}

/// What `kmss audit verify` says about the whole trail.
fn verify(scene: &Scene<'_>) -> Result<String, Error> {
    let said = scene.kmss(&["audit", "verify"]).run()?.stdout;
    Ok(format!("kmss audit verify: {}", said.trim()))
}

impl Counts {
    fn of(records: &[Value]) -> Counts {
        let count = |key| records.iter().filter(|record| is_signature(record, key)).count();
        Counts { web: count(WEB), signer: count(SIGNER) }
    }
}

fn is_signature(record: &Value, key: &str) -> bool {
    signs_with(record, key) && text(record, "outcome") == Some("success")
}

pub(super) fn is_refused_signature(record: &Value, key: &str) -> bool {
    signs_with(record, key) && text(record, "outcome") == Some("denied")
}

/// Whether the record is about signing with the key of this name.
fn signs_with(record: &Value, key: &str) -> bool {
    let object = record.get("object").unwrap_or(&Value::Null);
    text(record, "action") == Some("sign") && text(object, "name") == Some(key)
}

pub(super) fn text<'r>(record: &'r Value, name: &str) -> Option<&'r str> {
    record.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TRAIL: &str = r#"
{"seq":1,"kind":"event","action":"sign","outcome":"success","object":{"id":"01","class":"private","name":"web"}}
{"seq":2,"kind":"event","action":"sign","outcome":"success","object":{"id":"02","class":"private","name":"signer"}}
{"seq":3,"kind":"event","action":"verify","outcome":"success","object":{"id":"01","class":"public","name":"web"}}
{"seq":4,"kind":"event","action":"sign","outcome":"denied","object":{"id":"01","class":"private","name":"web"},"reason":"r"}
{"seq":5,"kind":"close"}
"#;

    #[test]
    fn only_released_signatures_of_the_key_are_counted() {
        let counts = Counts::of(&parse(TRAIL).unwrap());
        assert_eq!((counts.web, counts.signer), (1, 1));
    }

    #[test]
    fn a_refusal_is_told_from_a_signature() {
        let records = parse(TRAIL).unwrap();
        let refused: Vec<_> = records.iter().filter(|record| is_refused_signature(record, WEB)).collect();
        assert_eq!(refused.len(), 1);
        assert_eq!(text(refused.first().unwrap(), "reason"), Some("r"));
    }
}
