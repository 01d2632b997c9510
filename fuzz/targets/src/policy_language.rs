//! Policies in the policy language: any text is a policy or has mistakes, and the canonical form says the same.

use libkmss::policy::dsl::Policy;

/// A policy with most of the language's words.
pub const SEED: &[u8] = b"policy \"p\" version 3\ntimezone UTC+08:00\nrole a includes b\ngrant role:a to user:x\n\
    allow service:o-*, role:a to use key:\"k\"* tagged t of type AES in namespace:n for encrypt only # why\n\
    when (mechanism is AES_* or not time between 22:00 and 06:00) and source in (10.0.0.0/8, ::1) and size <= 4 KiB\n\
    require mfa require 2 of role:c within 1 hour at most 5 per minute audit as \"t\\u{e9}\" because \"r\"\n\
    deny anyone to anything when rate > 9 per second and context has x\n";

/// Reads `data` as a policy.
///
/// # Panics
/// Where the canonical form of a policy is no policy, or not its own canonical form.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Policy::parse(text) {
        Ok(policy) => {
            let formatted = policy.formatted();
            let again = Policy::parse(&formatted).expect("the canonical form of a policy is a policy");
            assert_eq!(again.formatted(), formatted);
            let _ = policy.compile();
        }
        Err(mistakes) => {
            let _ = mistakes.rendered("policy.kmss", false);
        }
    }
}
