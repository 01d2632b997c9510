//! What stops somebody. The core enforces it; here it is only asked for.

use std::sync::Arc;

use libkmss::config::{Measure, Per};
use libkmss::error::{Error, ErrorKind};
use libkmss::kms::Kms;

use super::raised::Raised;

/// Whoever enforces measures.
pub(super) trait Restrainer: Send {
    /// Has it enforced against whom the alarm is about.
    ///
    /// # Errors
    /// It is not.
    fn restrain(&self, raised: &Raised, measure: Measure) -> Result<(), Error>;
}

/// The core.
struct Core {
    _kms: Arc<Kms>,
}

/// Measures that the core of `kms` enforces.
pub(super) fn restrain(kms: &Arc<Kms>) -> Box<dyn Restrainer> {
    Box::new(Core { _kms: Arc::clone(kms) })
}

impl Restrainer for Core {
    fn restrain(&self, _: &Raised, _: Measure) -> Result<(), Error> {
        Err(Error::new(ErrorKind::MechanismUnsupported, "this build enforces no measures"))
    }
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
