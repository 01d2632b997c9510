//! What guests answer: any memory with any pointer is read as obligations within their limits, or refused; so are OPA's
//! results and the names of rules.

use libkmss::policy::Obligation;
use libkmss::policy::abi::{MAX_REASON, MAX_TEXT, RuleNames, decode};

use crate::input::Input;

/// Reads `data` as a pointer and a guest's memory, and as a section with names of rules.
pub fn run(data: &[u8]) {
    let mut front = Input(data);
    let pointer = if front.byte() == 0 { front.number() as u32 } else { u32::from(front.byte() % 16) };
    if let Ok((reason, obligations)) = decode(front.0, pointer) {
        assert!(reason.len() <= MAX_REASON);
        obligations.iter().for_each(within_limits);
    }
    if let Ok(names) = RuleNames::parse(data) {
        for rule in names.numbers().take(64) {
            let texts = [names.name(rule), names.reason(rule)];
            assert!(texts.iter().flatten().all(|text| !text.is_empty() && text.len() <= MAX_REASON));
        }
    }
}

fn within_limits(obligation: &Obligation) {
    match obligation {
        Obligation::AuditTag(text) | Obligation::Notify(text) => assert!(!text.is_empty() && text.len() <= MAX_TEXT),
        Obligation::RateLimit { seconds, .. } => assert!((1..=86_400).contains(seconds)),
        Obligation::Quorum { approvals, role, .. } => assert!(*approvals > 0 && !role.is_empty()),
        _ => {}
    }
}
