//! When a key is rotated by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// When a key is rotated by itself: by whatever of it comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotation {
    /// So many days after a version took the name; 0 where days do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub days: u32,
    /// After so many uses that protect something ([`Action::protects`](super::Action::protects)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// After so many bytes of data in such uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether uses and bytes are bounds as well: what goes beyond is refused until the key is rotated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

impl Rotation {
    /// Fewest and most days.
    pub const DAYS: (u32, u32) = (1, 36_500);

    /// Every so many days.
    #[must_use]
    pub const fn every(days: u32) -> Self {
        Self { days, uses: None, bytes: None, strict: false }
    }

    /// Whether uses are counted for it.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.uses.is_some() || self.bytes.is_some()
    }

    /// What of it does not ask for uses to be counted.
    #[must_use]
    pub fn without_counts(self) -> Option<Self> {
        (self.days != 0).then(|| Self::every(self.days))
    }

    /// At how much of `limit` the key is due: where that is a bound, early enough that there is time to rotate.
    #[must_use]
    pub const fn due_at(&self, limit: u64) -> u64 {
        if self.strict { limit - limit / 10 } else { limit }
    }

    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        let (fewest, most) = Self::DAYS;
        let bad = |why: String| Err(Error::new(ErrorKind::Arguments, why));
        if self.days != 0 && !(fewest..=most).contains(&self.days) {
            return bad(format!("a key is rotated every {fewest} to {most} days"));
        }
        if self.uses == Some(0) || self.bytes == Some(0) {
            return bad("a key is rotated after at least one use or byte".to_owned());
        }
        if self.strict && !self.is_counted() {
            return bad("only a number of uses or bytes is a bound".to_owned());
        }
        if self.days == 0 && !self.is_counted() {
            return bad("it is not said when the key is rotated: after days, uses or bytes".to_owned());
        }
        Ok(())
    }
}

/// In words, behind `rotated`.
impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = (self.days != 0).then(|| format!("every {} days", self.days));
        let uses = self.uses.map(|uses| format!("after {uses} uses"));
        let bytes = self.bytes.map(|bytes| format!("after {bytes} bytes"));
        let parts: Vec<String> = every.into_iter().chain(uses).chain(bytes).collect();
        f.write_str(&parts.join(" or "))?;
        if self.strict { f.write_str(", refused beyond") } else { Ok(()) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
