//! The seal: all records of all segments in one Merkle tree, whose checkpoints are signed by keys that are erased.
//!
//! A leaf is a record's line without its line feed, of any kind. A [`Sealer`] appends what is new in each segment, as far as
//! its chain and the store agree with it; what contradicts them stays out and is reported. Only what is in the file of a segment
//! and on the disk is sealed, never what waits beside it.
//!
//! The hashes go to files (`tiles`), then size, edge and checkpoint go to the store in one commit: a sealer that dies in
//! between leaves files that the next one writes again.

mod anchors;
mod follow;
mod keys;
mod leaves;
mod nodes;
mod proof;
mod removal;
mod signer;
mod span;
mod state;
mod tiles;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit_proof::tile::Tile;
use audit_proof::{Checkpoint, Hash, Lineage, TreeHash};
use serde::Serialize;

use self::follow::follow;
use self::signer::Signer;
use self::state::{PIECE, Records};
use self::tiles::Rim;
use super::chain::{Form, SegmentId};
use super::listing;
use super::registry;
use super::sink::Ownership;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::os::{Directory, Opening};
use crate::random::Random;
use crate::store::{Batch, Commit, Condition, Op, Revision, Store};
use crate::suite::Suite;

pub use self::anchors::{Anchored, Receipt};
pub use self::follow::Contradiction;
pub(super) use self::nodes::TileNodes;
pub use self::proof::RecordName;
pub(super) use self::removal::Removal;
pub use self::span::Span;
pub(super) use self::state::{Position, Range, State};
pub(super) use self::tiles::{Files, LOG, SEALING};
pub use self::verify::{AnchorReport, Demands, SealFinding, SealFound, SealReport};

/// Most records between two checkpoints.
pub const MAX_RECORDS: usize = 10_000;
/// Most segments that one commit tells the store of.
const MAX_SEGMENTS: usize = 24;
/// How long a sealer that waits for another looks again.
const PAUSE: Duration = Duration::from_millis(50);
/// How old the newest checkpoint is before a process that opens its audit seals what others left.
const OPENER_AFTER_MS: u64 = 5 * 60 * 1000;

/// How to seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealOptions {
    /// Stop after this many records; 0 for all there are.
    pub limit: usize,
    /// Begin an epoch.
    pub new_epoch: bool,
    /// Sign a checkpoint even where there is nothing new, to show that the sealer lives.
    pub heartbeat: bool,
    /// Write the files of the log anew where they are not those of the records, which must be what was sealed.
    pub repair: bool,
    /// How long to wait for another sealer.
    pub patience: Duration,
}

/// What was sealed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sealed {
    /// Another process seals; nothing was done.
    pub busy: bool,
    /// Records that are sealed now and were not before.
    pub records: u64,
    /// Records in the tree.
    pub size: u64,
    /// The newest checkpoint, a signed note.
    pub checkpoint: String,
    /// The epoch whose key signs.
    pub epoch: u64,
    /// Files of the log that were written anew.
    pub repaired: u64,
    /// There is more to seal.
    pub more: bool,
    /// Segments that contradict their chain or the store, and are not sealed any further.
    pub contradictions: Vec<Contradiction>,
}

/// What a log is called and how long its keys live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealSettings {
    /// Name of a new log; one drawn by chance where it is empty.
    pub origin: String,
    /// After how long a key hands over to the next; zero for never.
    pub epoch: Duration,
}

/// Seals the segments of a home.
pub struct Sealer {
    pub(super) dir: PathBuf,
    pub(super) ownership: Arc<Ownership>,
    pub(super) suite: Suite,
    pub(super) store: Arc<dyn Store>,
    key: Arc<DomainKey>,
    random: Arc<dyn Random>,
    pub(super) clock: Arc<dyn Clock>,
    settings: SealSettings,
}

/// The tree as it was found, and what is new in it.
struct Work {
    signer: Signer,
    state: State,
    revision: Revision,
    rim: Rim,
    /// The last piece of ranges.
    piece: Vec<Range>,
    /// Earlier pieces that became full.
    full: Vec<(u64, Vec<Range>)>,
    positions: Vec<(SegmentId, Position)>,
    fresh: u64,
}

impl Sealer {
    /// A sealer of the segments in `dir` (the home's `audit`).
    #[expect(clippy::too_many_arguments, reason = "each is a part of the home that only kms.rs puts together")]
    pub fn new(
        dir: PathBuf,
        ownership: Arc<Ownership>,
        suite: Suite,
        store: Arc<dyn Store>,
        key: Arc<DomainKey>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        settings: SealSettings,
    ) -> Self {
        Self { dir, ownership, suite, store, key, random, clock, settings }
    }

    /// Seals what is new.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where the seal itself cannot be trusted, [`ErrorKind::Storage`], and those of the store.
    pub fn seal(&self, options: &SealOptions) -> Result<Sealed> {
        if !self.dir.exists() {
            return Ok(Sealed::default());
        }
        let files = self.files();
        let Some(lock) = self.wait_for(&files, options.patience)? else {
            return Ok(Sealed { busy: true, ..Sealed::default() });
        };
        let done = self.seal_locked(&files, options);
        // A descriptor that a child took along would keep the lock otherwise.
        let _ = lock.unlock();
        done
    }

    /// Seals some of what there is, where nobody did for long and nobody does now: what a process does for others when it
    /// opens its audit. Whatever is in the way is left to the next sealer, and to the verifier.
    pub(super) fn seal_for_others(&self) {
        if self.is_due().unwrap_or_default() {
            let _ = self.seal(&SealOptions { limit: MAX_RECORDS, ..SealOptions::default() });
        }
    }

    /// Whether long ago somebody sealed last, or never.
    fn is_due(&self) -> Result<bool> {
        let now = self.clock.now().0;
        let last = match self.records().state()? {
            Some((state, _)) => state.time.0,
            // The name of the oldest segment says when it was made.
            None => match registry::oldest(&*self.store)? {
                Some(segment) => segment.millis(),
                None => return Ok(false),
            },
        };
        Ok(now.saturating_sub(last) >= OPENER_AFTER_MS)
    }

    /// The public keys: the root key, and all certificates. `None` before the first sealing.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn lineage(&self) -> Result<Option<Lineage>> {
        self.records().lineage()
    }

    /// The newest checkpoint, a signed note; `None` before the first sealing.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn checkpoint(&self) -> Result<Option<String>> {
        Ok(self.records().state()?.map(|(state, _)| state.checkpoint))
    }

    pub(super) fn records(&self) -> Records<'_> {
        Records { store: &*self.store, key: &self.key }
    }

    pub(super) fn files(&self) -> Files {
        Files::new(&self.dir, Arc::clone(&self.ownership))
    }

    pub(super) fn tree_hash(&self) -> TreeHash {
        signer::algorithm(self.suite).tree_hash()
    }

    fn wait_for(&self, files: &Files, patience: Duration) -> Result<Option<std::fs::File>> {
        let began = self.clock.monotonic();
        loop {
            if let Some(lock) = files.lock()? {
                return Ok(Some(lock));
            }
            if self.clock.monotonic().saturating_sub(began) >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn seal_locked(&self, files: &Files, options: &SealOptions) -> Result<Sealed> {
        let mut work = self.take_up(files)?;
        let mut sealed = Sealed::default();
        if options.repair {
            sealed.repaired = self.repair(files, &work.state)?;
        }
        if self.is_epoch_over(&work, options) {
            self.rotate(&mut work)?;
        }
        let mut left = if options.limit == 0 { usize::MAX } else { options.limit };
        for (segment, len) in self.segments()? {
            if left == 0 {
                sealed.more = true;
                break;
            }
            self.seal_segment(files, &mut work, &mut sealed, (&segment, len), &mut left)?;
        }
        if work.fresh > 0 || options.heartbeat {
            self.commit(files, &mut work, &mut sealed)?;
        }
        sealed.size = work.state.size;
        sealed.epoch = work.state.epoch;
        sealed.checkpoint = work.state.checkpoint;
        Ok(sealed)
    }

    /// The segments there are, oldest first, with the lengths of their files. What is compressed was sealed before.
    fn segments(&self) -> Result<Vec<(SegmentId, u64)>> {
        let listed = listing::list(&self.dir).map_err(unreadable)?.into_iter();
        Ok(listed.filter(|one| one.form == Form::Plain).map(|one| (one.id, one.meta.len())).collect())
    }

    /// Appends what is new in a segment; commits whenever that is enough for a checkpoint.
    fn seal_segment(
        &self,
        files: &Files,
        work: &mut Work,
        sealed: &mut Sealed,
        (segment, len): (&SegmentId, u64),
        left: &mut usize,
    ) -> Result<()> {
        let mut position = self.records().position(segment)?;
        if position.as_ref().is_some_and(|p| p.len == len) {
            return Ok(());
        }
        // Made and not yet registered, or by somebody else than a writer: the verifier tells.
        let Some(known) = self.registration(segment, sealed)? else { return Ok(()) };
        let dir = Directory::open(&self.dir).map_err(unreadable)?;
        let file = dir.file(segment.file_name().as_ref(), Opening::Read).map_err(unreadable)?;
        loop {
            let room = (*left).min(MAX_RECORDS.saturating_sub(usize::try_from(work.fresh).unwrap_or(usize::MAX)));
            let fresh =
                follow(&file, (self.suite, self.tree_hash()), &known, position.as_ref(), room).map_err(unreadable)?;
            let count = fresh.leaves.len();
            if let Some(times) = fresh.times {
                // Power may fail at any time, and what is sealed must not be gone then.
                file.sync_data().map_err(unreadable)?;
                let seq = fresh.next.saturating_sub(count as u64);
                let leaf = work.rim.size();
                work.append(Range { segment: segment.clone(), leaf, seq, count: count as u64, times });
                fresh.leaves.iter().for_each(|leaf| work.rim.push(*leaf));
                work.fresh += count as u64;
                let last = work.piece_number();
                let first = position.as_ref().map_or(last, |p| p.pieces.0);
                let now = Position { next: fresh.next, head: fresh.head, len: fresh.len, pieces: (first, last) };
                work.remember(segment, now.clone());
                position = Some(now);
                *left -= count;
            }
            if let Some(finding) = fresh.wrong {
                sealed.contradictions.push(Contradiction { segment: segment.clone(), finding });
                return Ok(());
            }
            if work.fresh >= MAX_RECORDS as u64 || work.positions.len() >= MAX_SEGMENTS {
                self.commit(files, work, sealed)?;
            }
            if !fresh.more || *left == 0 {
                sealed.more |= fresh.more;
                return Ok(());
            }
        }
    }

    fn registration(&self, segment: &SegmentId, sealed: &mut Sealed) -> Result<Option<registry::Registration>> {
        match registry::read(&*self.store, segment) {
            Ok(found) => Ok(found.map(|(registration, _)| registration)),
            Err(e) if e.kind() == ErrorKind::Damaged => {
                let finding = super::report::Finding::whole(super::report::Found::RegistrationDamaged);
                sealed.contradictions.push(Contradiction { segment: segment.clone(), finding });
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Makes what was appended durable: the files first, then the store.
    fn commit(&self, files: &Files, work: &mut Work, sealed: &mut Sealed) -> Result<()> {
        let tiles = work.rim.take();
        files.write(&tiles)?;
        let now = self.clock.now();
        let edge = work.rim.edge();
        let checkpoint = Checkpoint {
            origin: work.signer.public().name().to_owned(),
            size: edge.size(),
            root: edge.root(),
            extensions: vec![format!("time {}", now.0)],
        };
        let last = work.piece_number();
        work.state.set_edge(&edge);
        work.state.time = now;
        work.state.checkpoint = work.signer.sign(&checkpoint)?.to_string();
        let (records, random) = (self.records(), &*self.random);
        let mut ops = Vec::new();
        for (number, piece) in work.full.drain(..) {
            ops.push(records.put_piece(random, number, &piece)?);
        }
        if work.fresh > 0 {
            ops.push(records.put_piece(random, last, &work.piece)?);
            work.state.pieces = last + 1;
        }
        for (segment, position) in &work.positions {
            ops.push(records.put_position(random, segment, position)?);
        }
        self.commit_state(work, ops)?;
        sealed.records += work.fresh;
        work.fresh = 0;
        work.positions.clear();
        // The store has it; who reads the file finds it there a little later otherwise.
        let _ = files.publish(&work.state.checkpoint);
        files.forget_partial(&tiles);
        Ok(())
    }

    fn commit_state(&self, work: &mut Work, mut ops: Vec<Op>) -> Result<()> {
        let path = state::state_key()?;
        ops.push(self.records().put_state(&*self.random, &work.state)?);
        let batch = Batch { conditions: vec![Condition::Version(path, work.revision)], ops, invalidates: false };
        match self.store.commit(&batch)? {
            Commit::Committed(revision) => {
                work.revision = revision;
                Ok(())
            }
            Commit::Conflict => Err(Error::new(ErrorKind::Busy, "another process changed the audit's seal")),
        }
    }

    /// The tree as the store and the files have it.
    fn take_up(&self, files: &Files) -> Result<Work> {
        let (state, revision) = self.settled()?;
        let hash = self.tree_hash();
        let edge = state.edge(hash).ok_or_else(unsound)?;
        // What is older is the verifier's to look at.
        let certified = self.records().certificate(state.epoch)?.key;
        let signer = Signer::new(self.suite, certified.name(), self.records().secret(state.epoch)?)?;
        if certified != *signer.public() {
            return Err(unsound());
        }
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for tile in Tile::partial(state.size) {
            let level = usize::try_from(tile.level).unwrap_or_default();
            levels.resize(level, Vec::new());
            levels.push(files.read(&tile).map_err(unreadable)?.unwrap_or_default());
        }
        let mut rim = Rim::new(hash, state.size, levels);
        if rim.edge() != edge {
            rim = self.rebuild(files, &state, &edge)?;
        }
        let piece = match state.pieces.checked_sub(1) {
            Some(last) => self.records().piece(last)?,
            None => Vec::new(),
        };
        let (full, positions) = (Vec::new(), Vec::new());
        Ok(Work { signer, state, revision, rim, piece, full, positions, fresh: 0 })
    }
}

impl Work {
    /// Number of the piece that ranges go to.
    fn piece_number(&self) -> u64 {
        self.state.pieces.saturating_sub(1).saturating_add(self.full.len() as u64)
    }

    fn append(&mut self, range: Range) {
        match self.piece.last_mut() {
            Some(last) if last.is_continued_by(&range) => {
                last.count += range.count;
                last.times.1 = range.times.1;
            }
            _ => {
                if self.piece.len() >= PIECE {
                    let number = self.piece_number();
                    self.full.push((number, std::mem::take(&mut self.piece)));
                }
                self.piece.push(range);
            }
        }
    }

    fn remember(&mut self, segment: &SegmentId, position: Position) {
        match self.positions.iter_mut().find(|(known, _)| known == segment) {
            Some((_, known)) => *known = position,
            None => self.positions.push((segment.clone(), position)),
        }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("dir", &self.dir).field("suite", &self.suite).finish_non_exhaustive()
    }
}

fn is_over(now: Timestamp, since: Timestamp, life: Duration) -> bool {
    !life.is_zero() && Duration::from_millis(now.0.saturating_sub(since.0)) >= life
}

fn unsound() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the audit's seal cannot be trusted: run `kmss audit verify`, and bring the home back from a backup",
    )
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot read what is to be sealed of the audit").with_source(error)
}
