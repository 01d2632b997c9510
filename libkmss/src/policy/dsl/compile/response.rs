//! What comes with an allow, ready to be pointed at: docs/policy-abi.md, section 5.

use super::data::Data;
use crate::policy::dsl::ast::{Duty, Effect, Rule};

/// A host that does not know a duty denies.
const CRITICAL: u16 = 1 << 15;
const REASON: u16 = 16;

/// Writes the response of a rule; 0 where it has none. The reasons of denies stand among the names of rules.
pub(super) fn response(rule: &Rule, data: &mut Data) -> u32 {
    if rule.effect == Effect::Deny || (rule.duties.is_empty() && rule.because.is_none()) {
        return 0;
    }
    let mut bytes = vec![0; 4];
    for duty in &rule.duties {
        let (kind, value) = value(&duty.value);
        entry(&mut bytes, kind | CRITICAL, &value);
    }
    if let Some(because) = &rule.because {
        entry(&mut bytes, REASON, because.as_bytes());
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(length) {
        *to = from;
    }
    data.align(4);
    data.text(&bytes)
}

fn entry(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_le_bytes());
    bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(value);
}

fn value(duty: &Duty) -> (u16, Vec<u8>) {
    match duty {
        Duty::Audit(tag) => (1, tag.as_bytes().to_vec()),
        Duty::Rate { count, seconds } => (2, [count.to_le_bytes(), seconds.to_le_bytes()].concat()),
        Duty::Size(bytes) => (3, bytes.to_le_bytes().to_vec()),
        Duty::Mfa => (4, Vec::new()),
        Duty::Quorum { approvals, role, within } => {
            let mut value = vec![*approvals, 0, 0, 0];
            value.extend(within.to_le_bytes());
            value.extend(role.as_bytes());
            (5, value)
        }
        Duty::Expire(seconds) => (6, seconds.to_le_bytes().to_vec()),
        Duty::Notify(channel) => (7, channel.as_bytes().to_vec()),
        Duty::Mask(shown) => (8, vec![*shown]),
    }
}
