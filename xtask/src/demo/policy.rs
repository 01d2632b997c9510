//! A policy in force: one key goes on, the other is refused, and the trail and `explain` say which rule it was.

use super::audit;
use super::nginx::Nginx;
use super::openssl;
use super::scene::{SIGNER, Scene, TOKEN, WEB};
use crate::error::Error;

/// What the policy says to whoever is refused.
const REASON: &str = "signatures of files wait for the release manager";

/// Applies a policy under the running server.
pub(super) fn apply(scene: &Scene<'_>, nginx: &Nginx<'_>) -> Result<Vec<String>, Error> {
    let file = scene.file("demo.kmss");
    let text = format!(
        "policy \"demo\"\n\nallow user:* to use key:{WEB}\nallow user:* to use key:{SIGNER}\n\
         deny user:* to sign with key:{SIGNER} because \"{REASON}\"\n"
    );
    std::fs::write(&file, &text).map_err(Error::file("write", &file))?;
    let path = file.to_string_lossy();
    scene.kmss(&["policy", "apply", &path, "--token", TOKEN]).run()?;
    let mut shown = text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    shown.push("kmss policy apply demo.kmss".to_owned());
    nginx.page()?;
    shown.push(format!("the running nginx: `{WEB}` signs as before"));
    let before = audit::records(scene)?.len();
    if openssl::dgst(scene, SIGNER)?.attempt()?.status.success() {
        return Err(Error::check(format!("openssl dgst signed with `{SIGNER}`, which the policy denies")));
    }
    shown.push("openssl dgst: fails".to_owned());
    let records = audit::records(scene)?;
    let denied = records.iter().skip(before).find(|record| audit::is_refused_signature(record, SIGNER));
    let (reason, rule) = denied.map_or((None, None), |r| (audit::text(r, "reason"), audit::text(r, "rule")));
    if reason != Some(REASON) {
        return Err(Error::check(format!("the trail does not give the policy's reason, but {reason:?}")));
    }
    shown.push(format!("the trail has the refusal, its rule ({}) and its reason: {REASON}", rule.unwrap_or("?")));
    let explained = scene
        .kmss(&["policy", "explain", "--policy", &path, "--principal", "user:anybody", "--action", "sign"])
        .args(["--key", SIGNER])
        .attempt()?;
    shown.push("kmss policy explain:".to_owned());
    shown.push(explained.stdout.trim_end().to_owned());
    if !explained.stdout.contains(REASON) {
        return Err(Error::check("`kmss policy explain` does not give the policy's reason"));
    }
    Ok(shown)
}
