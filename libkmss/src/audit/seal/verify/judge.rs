//! Turns what hashing showed into findings.

use audit_proof::Checkpoint;
use audit_proof::tile::WIDTH;

use super::found::{SealFinding, SealFound, SealReport};
use super::walk::{Mark, Suspect, Walk};
use crate::audit::seal::RecordName;
use crate::audit::seal::state::{Range, State};

/// Says what was found while the leaves were hashed.
pub(super) fn judge(
    walk: &Walk,
    ranges: &[Range],
    state: &State,
    checkpoint: &Checkpoint,
    marks: &[Mark],
    found: &mut SealReport,
) {
    let whole = walk.root == checkpoint.root;
    if whole {
        let believed = |s: &&Suspect| walk.judged.get(&(s.leaf / WIDTH)).copied().unwrap_or_default();
        add_records(walk.suspects.iter().filter(believed), found);
        found.more_findings += u64::from(walk.more_suspects);
        let tile = |n: u64| (n * WIDTH, (n * WIDTH + WIDTH).min(state.size) - 1);
        for (number, believed) in &walk.judged {
            if !believed {
                let (first, last) = tile(*number);
                let gone = walk.gone.contains(number);
                let kind = if gone { SealFound::TileMissing } else { SealFound::TileChanged };
                found.add(SealFinding { first: Some(first), last: Some(last), ..SealFinding::whole(kind) });
            }
        }
    }
    judge_marks(&walk.agreed, ranges, marks, found);
    if whole {
        return;
    }
    let agreed = marks.iter().zip(&walk.agreed).filter(|(_, agreed)| **agreed).map(|(mark, _)| mark.size).max();
    let first = agreed.unwrap_or(0);
    let last = state.size.checked_sub(1);
    found.add(SealFinding { first: Some(first), last, ..SealFinding::whole(SealFound::RootWrong) });
}

/// Names records that disagree with a tile that is genuine.
pub(super) fn add_records<'a>(suspects: impl Iterator<Item = &'a Suspect>, found: &mut SealReport) {
    let mut open: Option<SealFinding> = None;
    for suspect in suspects {
        let kind = if suspect.gone { SealFound::RecordMissing } else { SealFound::RecordChanged };
        if let Some(finding) = &mut open
            && (finding.found, finding.segment.as_ref()) == (kind, Some(&suspect.segment))
            && finding.last.and_then(|last| last.checked_add(1)) == Some(suspect.seq)
        {
            finding.last = Some(suspect.seq);
            continue;
        }
        open.take().into_iter().for_each(|finding| found.add(finding));
        let (first, last) = (Some(suspect.seq), Some(suspect.seq));
        open = Some(SealFinding { found: kind, segment: Some(suspect.segment.clone()), first, last, note: None });
    }
    open.into_iter().for_each(|finding| found.add(finding));
}

/// The trees of earlier checkpoints.
pub(super) fn judge_marks(agreed: &[bool], ranges: &[Range], marks: &[Mark], found: &mut SealReport) {
    let mut before = 0;
    let mut told = false;
    for (mark, agreed) in marks.iter().zip(agreed) {
        if *agreed {
            before = before.max(mark.size);
            if let Some(anchor) = mark.anchor.and_then(|place| found.anchors.get_mut(place)) {
                anchor.agree += 1;
                (anchor.size, anchor.time) = (anchor.size.max(mark.size), mark.time.max(anchor.time));
            }
        } else if !told {
            told = true;
            let name = mark.anchor.and_then(|place| found.anchors.get(place)).map(|a| a.name.clone());
            let where_ = name.map_or_else(|| "in the home itself".to_owned(), |name| format!("the anchor `{name}`"));
            let named = |leaf: u64| {
                ranges
                    .iter()
                    .find(|r| (r.leaf..r.leaf + r.count).contains(&leaf))
                    .map(|r| RecordName { segment: r.segment.clone(), seq: r.seq + (leaf - r.leaf) }.to_string())
            };
            let last = mark.size.saturating_sub(1);
            let records =
                named(before).zip(named(last)).map(|(a, b)| format!(", records {a} to {b}")).unwrap_or_default();
            let note = Some(format!("{where_}, signed for {} records{records}", mark.size));
            found.add(SealFinding {
                first: Some(before),
                last: Some(last),
                note,
                ..SealFinding::whole(SealFound::Forked)
            });
        }
    }
}
