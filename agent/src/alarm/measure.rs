//! What stops somebody. The core enforces it, in every process of the host; here it is only asked for.

use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::config::{Measure, Per};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::kms::Kms;
use libkmss::quota::{BlockTarget, Within};

use super::raised::Raised;

/// Most bytes of a reason that are kept.
const LONGEST_REASON: usize = 200;

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// Whoever enforces measures.
pub(super) trait Restrainer: Send {
    /// Has it enforced against whom the alarm is about.
    ///
    /// # Errors
    /// It is not.
    fn restrain(&self, raised: &Raised, measure: Measure) -> Result<()>;
}

/// The core of a home.
pub(super) struct Core(pub(super) Arc<Kms>);

impl Core {
    fn target(&self, raised: &Raised, measure: Measure) -> Result<BlockTarget> {
        let about = &raised.about;
        let nobody = |what: &str| Error::new(ErrorKind::Arguments, format!("the alarm is about no {what}"));
        match (measure.target, &about.object) {
            (Per::Principal, _) if about.principal.is_empty() => Err(nobody("principal")),
            // Whoever is not to be trusted is not to be trusted anywhere.
            (Per::Principal, _) => {
                Ok(BlockTarget::Principal { name: about.principal.clone(), within: Within::Everywhere })
            }
            (Per::Key, Some((_, id, name))) => {
                let mut all = self.0.namespaces()?.into_iter();
                let found = all.find(|one| one.tenant == about.tenant && one.name == about.namespace);
                let namespace = found.ok_or_else(|| nobody("token that is there"))?.id;
                let key = if name.is_empty() { id } else { name };
                Ok(BlockTarget::Key { namespace, key: key.clone() })
            }
            (Per::Key, None) => Err(nobody("key")),
        }
    }
}

impl Restrainer for Core {
    fn restrain(&self, raised: &Raised, measure: Measure) -> Result<()> {
        let target = self.target(raised, measure)?;
        let caller = self.0.administrator(None)?;
        let now = self.0.now();
        // To a whole minute, so that alarms one after the other ask for one and the same.
        let end = |seconds: u32| Timestamp(now.0.saturating_add(u64::from(seconds) * 1000).next_multiple_of(MINUTE));
        let until = measure.for_s.map(end);
        let reason = reason(raised);
        let id = match measure.per_second {
            None => self.0.block(&caller, target, &reason, until),
            Some(limit) => self.0.throttle(&caller, target, limit, &reason, until),
        };
        id.map(drop)
    }
}

/// Why, as operators read it.
fn reason(raised: &Raised) -> String {
    let text: String =
        format!("alarm {}: {}", raised.rule, raised.reason).chars().filter(|c| !c.is_control()).collect();
    let mut end = text.len().min(LONGEST_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// A measure in words.
pub(super) fn shown(measure: Measure) -> String {
    let whom = match measure.target {
        Per::Principal => "principal",
        Per::Key => "key",
    };
    let what = match measure.per_second {
        Some(limit) => format!("throttle {whom} to {limit}/s"),
        None => format!("block {whom}"),
    };
    match measure.for_s {
        Some(seconds) => format!("{what} for {seconds} s"),
        None => format!("{what} until released"),
    }
}
