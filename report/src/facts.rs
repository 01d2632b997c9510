//! What this home's data shows, in sentences with figures, for the table of standards.

use std::collections::BTreeMap;

use super::changes::Kind;
use super::coverage::{Fact, Sight};
use super::form::Report;
use super::ledger::KeyRow;

/// What the report shows of each fact; nothing of what there is not.
pub(crate) fn of(report: &Report) -> BTreeMap<Fact, Sight> {
    Fact::ALL.into_iter().filter_map(|fact| Some((fact, sight(fact, report)?))).collect()
}

/// Days of the twelve months for which logs are kept.
const YEAR: u64 = 365;

#[expect(clippy::too_many_lines, reason = "one arm for each fact, which are read one by one")]
fn sight(fact: Fact, report: &Report) -> Option<Sight> {
    let keys = report.keys.len();
    let count = |wanted: &dyn Fn(&KeyRow) -> bool| report.keys.iter().filter(|key| wanted(key)).count();
    let secret = count(&|key| key.sensitive.is_some());
    let changed = |kind| report.changes.of(kind);
    let applies = match fact {
        Fact::Exports => secret > 0,
        Fact::Expiry => !report.certificates.is_empty(),
        Fact::Loss => report.audit.records.trail > 0,
        _ => true,
    };
    let (holds, words) = match fact {
        Fact::Inventory => {
            let unopened = report.tokens.iter().filter(|token| !token.opened).count();
            (
                keys > 0 && report.missing.is_empty(),
                format!(
                    "{keys} keys and {} certificates of {} tokens are listed; private objects of {unopened} tokens were \
                     not opened",
                    report.certificates.len(),
                    report.tokens.len(),
                ),
            )
        }
        Fact::Owners => {
            let known = count(&|key| key.past.made.is_some());
            (keys > 0 && known == keys, format!("the audit names who made {known} of {keys} keys"))
        }
        Fact::Generation => {
            let local = count(&|key| key.local);
            (keys > 0 && local == keys, format!("{local} of {keys} keys were generated in KMSS"))
        }
        Fact::Protection => {
            let kept = count(&|key| key.sensitive == Some(true) && key.extractable == Some(false));
            let words = format!("{kept} of {secret} private and secret keys seen are sensitive and not extractable");
            (secret > 0 && kept == secret, words)
        }
        Fact::Sealing => (
            true,
            format!(
                "records and key material are sealed under keys of the home (suite `{}`); the root key is a file of the home",
                report.suite
            ),
        ),
        Fact::Strength => {
            let weak = count(&|key| !key.weaknesses.is_empty());
            let uses = report.weak_mechanisms.sum(|times| times.count);
            let words = format!("{weak} of {keys} keys are weak, {uses} uses of the period were by weak mechanisms");
            (keys > 0 && weak == 0 && uses == 0, words)
        }
        Fact::Cryptoperiod => {
            let (due, dated) = (count(&|key| key.rotation_due), count(&|key| key.end.is_some()));
            let expired = count(&|key| key.expired);
            let words = format!(
                "{due} of {keys} keys are older than {} days, {dated} have a last day of use, {expired} are past it",
                report.max_age_days
            );
            (keys > 0 && due == 0 && expired == 0, words)
        }
        Fact::Lifecycle => {
            let (made, came) = (changed(Kind::Generated), changed(Kind::Imported));
            let (gone, states) = (changed(Kind::Destroyed), changed(Kind::KeyState));
            let words = format!(
                "in the period {made} objects were generated, {came} imported, {gone} destroyed, and {states} changes of \
                 key states made, each on record"
            );
            (made + came + gone + states > 0, words)
        }
        Fact::Exports => {
            let exported = changed(Kind::Exported);
            let free = count(&|key| key.extractable == Some(true));
            (true, format!("{exported} keys left wrapped in the period, each on record; {free} keys are extractable"))
        }
        Fact::Expiry => {
            let (all, over) = (report.certificates.len(), report.certificates.iter().filter(|c| c.expired).count());
            (over == 0, format!("{over} of {all} certificates have expired"))
        }
        Fact::Uses => {
            let uses = report.uses.sum(|row| row.operations);
            (uses > 0, format!("{uses} uses of keys are on record in the period"))
        }
        Fact::Trail => {
            let (all, complete) = (report.audit.records.period, report.audit.records.complete);
            let words =
                format!("{complete} of {all} records of the period name who, what, where, when and the outcome");
            (all > 0 && complete == all, words)
        }
        Fact::Integrity => {
            let (segments, records) = (report.audit.segments, report.audit.verified_records);
            match report.audit.verdict.as_deref() {
                Some("whole") if segments > 0 => {
                    let sealed = report.audit.seal.as_ref().map_or_else(
                        || "it is not sealed".to_owned(),
                        |seal| format!("{} records agree with a signed checkpoint", seal.records),
                    );
                    (
                        true,
                        format!(
                            "the audit trail verified as whole: {records} records in {segments} segments; {sealed}"
                        ),
                    )
                }
                Some("whole") => (false, "there is no audit trail yet".to_owned()),
                Some(verdict) => (false, format!("verifying the audit trail says: {verdict}")),
                None => (false, "the audit trail was not verified".to_owned()),
            }
        }
        Fact::Retention => {
            let days = report.audit.trail_days;
            (days >= YEAR, format!("the audit trail goes {days} days back"))
        }
        Fact::Loss => {
            let (lost, torn) = (report.audit.records.lost, report.audit.records.recoveries);
            let words = format!(
                "{lost} operations of the period were refused because they could not be recorded, {torn} failed writes were \
                 accounted for"
            );
            (lost == 0, words)
        }
        Fact::Writers => {
            let writers = report.audit.records.writers;
            (writers > 0, format!("{writers} processes began to write the log in the period, each on record"))
        }
        Fact::Changes => {
            let changes = report.changes.all();
            (
                changes > 0,
                format!("{changes} changes of keys, users, settings and policies are on record in the period"),
            )
        }
        Fact::Credentials => {
            let (pins, roles) = (changed(Kind::Pins), changed(Kind::Roles));
            let words = format!("{pins} changes of users and PINs and {roles} of roles are on record in the period");
            (pins + roles > 0, words)
        }
        Fact::Refusals => {
            let denied = report.denials.sum(|times| times.count);
            (denied > 0, format!("{denied} refusals are on record in the period"))
        }
        Fact::Logins => {
            let (good, bad) = (report.logins.sum(|l| l.succeeded), report.logins.sum(|l| l.wrong_pin + l.locked));
            (good + bad > 0, format!("{good} logins and {bad} wrong or locked PINs are on record in the period"))
        }
        Fact::Policies => {
            let (all, bound) = (report.tokens.len(), report.tokens.iter().filter(|t| t.policy_required).count());
            (all > 0 && bound == all, format!("{bound} of {all} tokens allow nothing without a policy"))
        }
        Fact::Segregation => {
            let (all, open) = (report.tokens.len(), report.tokens.iter().filter(|t| t.pinless).count());
            let roles = report.tokens.iter().flat_map(|t| &t.users).filter(|user| !user.roles.is_empty()).count();
            let words = format!(
                "{} of {all} tokens ask for PINs, the security officer's being another than the users'; {roles} users have \
                 roles",
                all - open
            );
            (all > 0 && open == 0, words)
        }
        Fact::National => {
            let national = count(&|key| is_national(&key.key_type));
            let words = format!("{national} of {keys} keys are SM2 or SM4; the home's suite is `{}`", report.suite);
            (keys > 0 && national == keys && report.suite == "gm", words)
        }
        Fact::NationalUse => {
            let all = report.uses.sum(|row| row.operations);
            let rows = report.uses.rows.iter().filter(|row| is_national(&row.key.key_type));
            let national: u64 = rows.map(|row| row.value.operations).sum();
            (all > 0 && national == all, format!("{national} of {all} uses in the period were of SM2 or SM4 keys"))
        }
        Fact::Certified => {
            (false, "the software engine has no certificate (FIPS 140-3, GM/T 0028 or other)".to_owned())
        }
    };
    applies.then_some(Sight { holds, words })
}

fn is_national(key_type: &str) -> bool {
    ["SM2", "SM4"]
        .iter()
        .any(|name| key_type == *name || key_type.strip_prefix(name).is_some_and(|r| r.starts_with(' ')))
}
