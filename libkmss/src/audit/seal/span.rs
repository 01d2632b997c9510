//! A part of the log, for whoever wants to know of no more than that.

use super::RecordName;
use super::state::Range;
use crate::audit::chain::SegmentId;
use crate::audit::report::{Finding, SegmentReport};
use crate::clock::Timestamp;

/// A part of the log. Records of a segment are named by their numbers; segments between two that are named belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// From this record on.
    pub first: Option<RecordName>,
    /// Up to this record.
    pub last: Option<RecordName>,
}

impl Span {
    /// Whether a segment with this name may hold some of it.
    pub(in crate::audit) fn may_hold(&self, segment: &SegmentId) -> bool {
        self.first.as_ref().is_none_or(|first| *segment >= first.segment)
            && self.last.as_ref().is_none_or(|last| *segment <= last.segment)
            && self.until.is_none_or(|until| segment.millis() < until.0)
    }

    /// Whether a segment that was walked has anything to do with it.
    pub(in crate::audit) fn concerns(&self, report: &SegmentReport) -> bool {
        let ended_before = |since| report.last.is_some_and(|last| last < since);
        !report.findings.is_empty() || report.error.is_some() || !self.since.is_some_and(ended_before)
    }

    /// Whether a finding in `segment` is about records of it, or about none in particular.
    pub(in crate::audit) fn keeps(&self, segment: &SegmentId, finding: &Finding) -> bool {
        let (from, to) = self.numbers(segment);
        finding.first.zip(finding.last).is_none_or(|(first, last)| last >= from && first <= to)
    }

    /// First and last number of its records in `segment`.
    fn numbers(&self, segment: &SegmentId) -> (u64, u64) {
        let of = |name: &Option<RecordName>| name.as_ref().filter(|n| n.segment == *segment).map(|n| n.seq);
        (of(&self.first).unwrap_or(0), of(&self.last).unwrap_or(u64::MAX))
    }

    /// What of a range of sealed records belongs to it.
    pub(super) fn clip(&self, range: &Range) -> Option<Range> {
        let outside = self.since.is_some_and(|since| range.times.1 < since)
            || self.until.is_some_and(|until| range.times.0 >= until)
            || !self.may_hold(&range.segment);
        let (from, to) = self.numbers(&range.segment);
        let (first, last) = (range.seq.max(from), range.seq.saturating_add(range.count.checked_sub(1)?).min(to));
        if outside || first > last {
            return None;
        }
        let leaf = range.leaf + (first - range.seq);
        Some(Range { leaf, seq: first, count: last - first + 1, ..range.clone() })
    }
}
