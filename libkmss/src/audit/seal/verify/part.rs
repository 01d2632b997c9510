//! A part of the log: each tile that its records are in is proven to belong to the tree that was signed, and each record is
//! held against it. The rest of the log is not read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use audit_proof::Checkpoint;
use audit_proof::path::root;
use audit_proof::tile::WIDTH;

use super::found::{SealFinding, SealFound, SealReport};
use super::judge::{add_records, judge_marks};
use super::walk::{Mark, Suspect, Told};
use crate::audit::seal::leaves::{Leaf, Leaves};
use crate::audit::seal::nodes::TileNodes;
use crate::audit::seal::state::{Range, State};
use crate::audit::seal::tiles::Files;
use crate::audit::seal::{Sealer, Span, unreadable};
use crate::error::Result;

impl Sealer {
    /// Holds the records of `span` against the tree.
    pub(super) fn check_part(
        &self,
        (files, archives): (&Files, &[PathBuf]),
        state: &State,
        (span, ranges): (&Span, &[Range]),
        (checkpoint, marks): (&Checkpoint, &[Mark]),
        found: &mut SealReport,
        at: &mut Told<'_>,
    ) -> Result<()> {
        let hash = self.tree_hash();
        let mut nodes = TileNodes::new(files, hash, state.size);
        let mut leaves = Leaves::new(self, archives);
        let mut removed = BTreeSet::new();
        let mut suspects = Vec::new();
        let mut open: Option<(u64, Option<Vec<audit_proof::Hash>>)> = None;
        for range in ranges.iter().filter_map(|range| span.clip(range)) {
            for n in 0..range.count {
                let (leaf, seq) = (range.leaf + n, range.seq + n);
                let number = leaf / WIDTH;
                if open.as_ref().is_none_or(|(known, _)| *known != number) {
                    let genuine = nodes.proven(number, checkpoint);
                    if genuine.is_none() {
                        let (first, last) = (number * WIDTH, (number * WIDTH + WIDTH).min(state.size) - 1);
                        let note = Some("verify all of the trail, which needs no file of the log".to_owned());
                        let finding = SealFinding::whole(SealFound::TileChanged);
                        found.add(SealFinding { first: Some(first), last: Some(last), note, ..finding });
                    }
                    open = Some((number, genuine));
                }
                let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
                let sealed = open.as_ref().and_then(|(_, tile)| tile.as_ref()?.get(place).copied());
                let now = leaves.read(&range.segment, seq).map_err(unreadable)?;
                at.tell(1, leaves.bytes)?;
                if now == Leaf::Removed {
                    found.removed += 1;
                    if !removed.contains(&range.segment) {
                        removed.insert(range.segment.clone());
                    }
                    continue;
                }
                found.checked += 1;
                if sealed.is_some_and(|sealed| now != Leaf::Is(sealed)) {
                    suspects.push(Suspect { leaf, segment: range.segment.clone(), seq, gone: now == Leaf::Gone });
                }
            }
        }
        add_records(suspects.iter(), found);
        for segment in &removed {
            self.judge_removal((files, archives), state, segment, None, found)?;
        }
        let agreed: Vec<bool> = marks
            .iter()
            // Where a file is missing nothing is said.
            .map(|mark| root(hash, &mut nodes, mark.size).map_or(true, |found| found == mark.root))
            .collect();
        judge_marks(&agreed, ranges, marks, found);
        Ok(())
    }
}
