//! Approvals of one operation with its very data: the data is digested as it comes in, and they are spent at the end,
//! before a result is computed.

use super::checks::Demanded;
use crate::policy::approval::DataDigest;

/// What such an operation waits for.
pub(super) struct Awaited {
    /// The approvals.
    pub(super) quorums: Vec<Demanded>,
    /// The data so far; `None` where not all of it was seen.
    data: Option<DataDigest>,
    /// What was spent, for which data, and who had approved it.
    spent: Option<(Vec<Demanded>, [u8; 32], Vec<String>)>,
}

impl Awaited {
    /// Waits for `quorums`; nothing to wait for is `None`.
    pub(super) fn of(quorums: Vec<Demanded>) -> Option<Box<Self>> {
        Self::renewed(None, quorums, true)
    }

    /// Waits for what a new decision asks for. `untouched`: no data was taken in yet.
    pub(super) fn renewed(before: Option<Box<Self>>, quorums: Vec<Demanded>, untouched: bool) -> Option<Box<Self>> {
        if quorums.is_empty() {
            return None;
        }
        Some(match before {
            Some(mut before) => {
                before.quorums = quorums;
                before
            }
            None => Box::new(Self { quorums, data: untouched.then(DataDigest::default), spent: None }),
        })
    }

    pub(super) fn take_in(&mut self, data: &[u8]) {
        if let Some(digest) = &mut self.data {
            digest.update(data);
        }
    }

    /// SHA-256 of all data, `last` included.
    pub(super) fn digest(&self, last: &[u8]) -> Option<[u8; 32]> {
        let mut digest = self.data.clone()?;
        digest.update(last);
        Some(digest.finish())
    }

    /// Who approved, where that is spent already: for this data, or for whichever it was.
    pub(super) fn spent(&self, data: Option<[u8; 32]>) -> Option<Vec<String>> {
        let (quorums, digest, approvers) = self.spent.as_ref()?;
        let same = *quorums == self.quorums && data.is_none_or(|data| data == *digest);
        same.then(|| approvers.clone())
    }

    pub(super) fn spend(&mut self, data: [u8; 32], approvers: Vec<String>) {
        self.spent = Some((self.quorums.clone(), data, approvers));
    }
}
