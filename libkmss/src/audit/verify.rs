//! Verifies a whole log: each segment's chain, and all of them against what the store and later segments know.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::chain::{Form, MAX_LINE, SegmentId};
use super::check::{Anchors, Checker, End, Genesis};
use super::lines::Lines;
use super::listing;
use super::packed;
use super::pending::{self, Logical};
use super::registry::{self, Inventory, Registration, State};
use super::report::{Finding, Found, Progress, Removed, Report, SegmentReport, Status, Verdict, given_up};
use super::seal::{LOG, Sealer, Span};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::suite::Suite;

/// How often the store is read again because segments were registered meanwhile.
const READS: u32 = 5;
/// Bytes between two calls of the progress callback.
const STEP: u64 = 1 << 20;

/// Verifies the segments in `dir` (the home's `audit`). Writers may be at work meanwhile.
///
/// With a `store` what was deleted or cut off is missed as well. Nothing in the files is trusted: they may hold anything.
/// Errors do not end the work; they are in the report, whose verdict is then [`Verdict::Unverified`] at best.
pub fn verify(dir: &Path, store: Option<&dyn Store>, suite: Suite, progress: &mut dyn FnMut(&Progress)) -> Report {
    let stop = &AtomicBool::new(false);
    let trail = Trail { dir, store, suite, only: None, sealer: None, archives: &[], stop };
    verify_trail(&trail, progress)
}

/// A log, and what of it is elsewhere.
#[derive(Clone, Copy)]
pub struct Trail<'a> {
    /// The home's `audit`.
    pub dir: &'a Path,
    /// What knows of segments; without it what was deleted or cut off is hardly missed.
    pub store: Option<&'a dyn Store>,
    /// The home's.
    pub suite: Suite,
    /// Only segments that hold records of this.
    pub only: Option<&'a Span>,
    /// Knows which segments were removed as they should be; without it each of them is missing.
    pub sealer: Option<&'a Sealer>,
    /// Archives with segments that are no longer in `dir`.
    pub archives: &'a [PathBuf],
    /// As in [`Demands`](super::seal::Demands).
    pub stop: &'a AtomicBool,
}

/// As [`verify`], of all that `trail` says.
pub fn verify_trail(trail: &Trail<'_>, progress: &mut dyn FnMut(&Progress)) -> Report {
    let mut work = Work {
        only: trail.only,
        suite: trail.suite,
        store: trail.store,
        sealer: trail.sealer,
        archives: trail.archives,
        stop: trail.stop,
        progress,
        at: Progress::default(),
        report: Report {
            verdict: Verdict::Whole,
            store_consulted: false,
            segments: Vec::new(),
            findings: Vec::new(),
            errors: Vec::new(),
            other_files: Vec::new(),
            records: 0,
            bytes: 0,
            seal: None,
        },
    };
    work.run(trail.dir);
    work.report
}

struct Work<'a> {
    only: Option<&'a Span>,
    suite: Suite,
    store: Option<&'a dyn Store>,
    sealer: Option<&'a Sealer>,
    archives: &'a [PathBuf],
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(&Progress),
    at: Progress,
    report: Report,
}

impl Work<'_> {
    fn run(&mut self, dir: &Path) {
        let known = self.store.and_then(|store| match settled_inventory(store) {
            Ok(known) => Some(known),
            Err(e) => {
                self.report.errors.push(format!("cannot read the audit registrations: {}", with_causes(&e)));
                None
            }
        });
        self.report.store_consulted = known.is_some();
        let mut files: BTreeMap<SegmentId, &Path> = self.files(dir).into_iter().map(|id| (id, dir)).collect();
        self.archived(known.as_ref(), &mut files);
        let geneses: BTreeMap<_, _> =
            files.iter().filter_map(|(id, place)| Some((id.clone(), read_genesis(place, id)?))).collect();
        if let Some(known) = &known {
            self.judge_inventory(known);
        }
        let registered: BTreeMap<_, _> =
            known.into_iter().flat_map(|k| k.segments).map(|r| (r.segment.clone(), r)).collect();
        let mut anchors: BTreeMap<SegmentId, Anchors> = BTreeMap::new();
        for previous in geneses.values().filter_map(|g| g.previous.as_ref()) {
            let of = anchors.entry(previous.segment.clone()).or_default();
            of.push((0, previous.genesis));
            of.extend(previous.seq.zip(previous.head));
        }
        let only = self.only;
        let wanted = |id: &SegmentId| only.is_none_or(|only| only.may_hold(id));
        files.retain(|id, _| wanted(id));
        self.at.segments_total = files.len() as u64;
        for (id, place) in &files {
            if self.stop.load(Ordering::Relaxed) {
                self.report.errors.push(given_up().sentence());
                self.report.verdict = Verdict::Unverified;
                return;
            }
            let mut report = self.segment(place, id, registered.get(id), anchors.remove(id).unwrap_or_default());
            if *place != dir {
                report.archive = Some(place.display().to_string());
            }
            self.done(report);
        }
        // What is left is known and has no file.
        for (id, registration) in registered.iter().filter(|(id, _)| !files.contains_key(id) && wanted(id)) {
            let report = self.missing(id, Some(registration), &anchors.remove(id).unwrap_or_default());
            self.done(report);
        }
        // A segment that another's genesis names may have been made after the directory was listed.
        let gone = |id: &SegmentId| wanted(id) && !matches!(listing::look(dir, id), Ok(Some(_)));
        for (id, anchors) in anchors.into_iter().filter(|(id, _)| gone(id)) {
            let report = self.missing(&id, None, &anchors);
            self.done(report);
        }
        self.report.segments.sort_by(|a, b| a.segment.cmp(&b.segment));
        self.judge_order(&geneses);
        self.conclude();
    }

    /// The segments in the directory, sorted.
    fn files(&mut self, dir: &Path) -> Vec<SegmentId> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            // No record was ever written; the store knows better if that is not so.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return found,
            Err(e) => {
                self.report.errors.push(format!("cannot read the audit directory: {e}"));
                return found;
            }
        };
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    self.at.bytes_total += entry.metadata().map_or(0, |m| m.len());
                    let text = name.to_str().unwrap_or_default();
                    if let Some((id, form)) = SegmentId::of_file(text) {
                        if form == Form::Packed && dir.join(id.file_name()).exists() {
                            // It is just being compressed.
                            continue;
                        }
                        found.push(id);
                    } else if text != LOG
                        && beside(text).is_none_or(|id| !matches!(listing::look(dir, &id), Ok(Some(_))))
                    {
                        self.report.other_files.push(name.to_string_lossy().into_owned());
                    }
                }
                Err(e) => self.report.errors.push(format!("cannot read the audit directory: {e}")),
            }
        }
        found.sort();
        found.dedup();
        self.report.other_files.sort();
        found
    }

    /// Adds the segments that archives have and `files` does not, as far as they belong to this log.
    fn archived<'p>(&mut self, known: Option<&Inventory>, files: &mut BTreeMap<SegmentId, &'p Path>)
    where
        Self: 'p,
    {
        let archives = self.archives;
        for archive in archives {
            let listed = match listing::list(archive) {
                Ok(listed) => listed,
                Err(e) => {
                    self.report.errors.push(format!("cannot read the archive `{}`: {e}", archive.display()));
                    continue;
                }
            };
            for one in listed {
                let ours = known.is_none_or(|known| known.segments.iter().any(|r| r.segment == one.id));
                if ours && !files.contains_key(&one.id) {
                    self.at.bytes_total += one.meta.len();
                    files.insert(one.id, archive);
                }
            }
        }
    }

    /// A segment that is not there: removed as it should be, or not.
    fn missing(&self, id: &SegmentId, known: Option<&Registration>, anchors: &Anchors) -> SegmentReport {
        let mut report = SegmentReport::new(id.clone(), Status::Missing);
        report.ordinal = known.map(|known| known.ordinal);
        match self.sealer.map_or(Ok(None), |sealer| sealer.removal(id)) {
            Ok(None) => report.add(Finding::whole(Found::Missing)),
            Ok(Some(removal)) => {
                let removed = &removal.removed;
                let registered = known.is_none_or(|known| {
                    (known.ordinal, known.genesis, known.seq.saturating_add(1), known.head)
                        == (removed.ordinal, removed.genesis, removed.records, removed.head)
                });
                let agrees = |(seq, head): &(u64, super::chain::Head)| match *seq {
                    0 => *head == removed.genesis,
                    seq if seq.saturating_add(1) == removed.records => *head == removed.head,
                    seq => seq < removed.records,
                };
                report.status = if removal.why == "expired" { Status::Expired } else { Status::Archived };
                (report.first, report.last) = (Some(removed.first), Some(removed.last));
                if !registered || !anchors.iter().all(agrees) {
                    report.add(Finding::whole(Found::RemovalFalse));
                    report.status = Status::Missing;
                }
                report.removed = Some(Removed {
                    record: removal.name.to_string(),
                    time: removal.time,
                    principal: removal.principal,
                    records: removed.records,
                    file: removal.file,
                });
            }
            Err(e) => {
                report.status = Status::Unreadable;
                report.error = Some(with_causes(&e));
            }
        }
        report
    }

    /// What the store knows of a segment by now.
    fn registration(&self, id: &SegmentId) -> Result<Option<Registration>> {
        match self.store.filter(|_| self.report.store_consulted) {
            Some(store) => Ok(registry::read(store, id)?.map(|(registration, _)| registration)),
            None => Ok(None),
        }
    }

    fn segment(
        &mut self,
        dir: &Path,
        id: &SegmentId,
        known: Option<&Registration>,
        mut anchors: Anchors,
    ) -> SegmentReport {
        let mut report = SegmentReport::new(id.clone(), Status::Broken);
        if let Some(known) = known {
            report.ordinal = Some(known.ordinal);
            anchors.push((0, known.genesis));
            anchors.push((known.seq, known.head));
        }
        let len = known.filter(|known| known.state == State::Closed).map(|known| known.len);
        let walked = match self.walk(dir, &anchors, len, &mut report) {
            // It was removed since the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.missing(id, known, &anchors),
            other => other.map_err(|e| e.to_string()),
        };
        let end = match walked {
            Ok(end) if end.too_new => Err("written by a newer kmss".to_owned()),
            other => other,
        };
        // What the store knows may be newer by now than what it knew before the walk.
        match end.and_then(|end| Ok((end, self.registration(id).map_err(|e| with_causes(&e))?))) {
            // Made, registered and written after the store was read.
            Ok((_, Some(now))) if known.is_none() => return self.segment(dir, id, Some(&now), anchors),
            Ok((end, now)) => self.judge_end(&mut report, known, now.as_ref(), &end),
            Err(error) => {
                report.status = Status::Unreadable;
                report.error = Some(error);
            }
        }
        report
    }

    /// `len` is what the store says of its length, where it was closed.
    fn walk(&mut self, dir: &Path, anchors: &Anchors, len: Option<u64>, report: &mut SegmentReport) -> io::Result<End> {
        let mut damaged = false;
        let mut lines = match Logical::open(dir, &report.segment) {
            Ok(segment) if len.is_some_and(|len| segment.is_bloated(len)) => {
                damaged = true;
                None
            }
            Ok(segment) => {
                if segment.damaged {
                    report.add(Finding::whole(Found::PendingDamaged));
                }
                Some(Lines::new(segment))
            }
            Err(e) if packed::is_damage(&e) => {
                damaged = true;
                None
            }
            Err(e) => return Err(e),
        };
        let mut checker = Checker::new(self.suite, anchors, report);
        let (mut bytes, mut told) = (0, 0);
        while let Some(lines) = &mut lines {
            let piece = match lines.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(e) if packed::is_damage(&e) => {
                    damaged = true;
                    break;
                }
                Err(e) => return Err(e),
            };
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other(given_up()));
            }
            bytes += piece.len() as u64;
            checker.take(piece);
            if bytes - told >= STEP {
                told = bytes;
                let so_far = self.report.bytes + bytes;
                let now = Progress {
                    bytes: so_far,
                    bytes_total: self.at.bytes_total.max(so_far),
                    records: self.report.records + checker.records(),
                    ..self.at
                };
                (self.progress)(&now);
            }
        }
        self.report.bytes += bytes;
        let end = checker.finish();
        if damaged {
            report.add(Finding::whole(Found::PackedDamaged));
        }
        Ok(end)
    }

    /// Compares how a segment ends with what the store knew of its end before and after the walk.
    fn judge_end(
        &self,
        report: &mut SegmentReport,
        known: Option<&Registration>,
        now: Option<&Registration>,
        end: &End,
    ) {
        // Whoever goes on with a closed segment tells the store before writing.
        if let Some(known) = known.filter(|k| k.state == State::Closed && now.is_none_or(|now| now == *k)) {
            if end.last.is_some_and(|last| last > known.seq) {
                let (first, last) = (known.seq.saturating_add(1), end.last.unwrap_or_default());
                report.add(Finding::records(Found::Extended, first, last, None));
            } else if end.torn && end.last == Some(known.seq) {
                report.add(Finding::whole(Found::Extended));
            }
        }
        let nothing = end.last.is_none();
        if known.is_none() && self.report.store_consulted && !nothing {
            report.add(Finding::whole(Found::Unregistered));
        }
        let unregistered = |f: &Finding| f.found == Found::Unregistered;
        report.status = match report.findings.as_slice() {
            [only] if unregistered(only) => Status::Unregistered,
            [_, ..] => Status::Broken,
            [] if nothing => Status::Empty,
            [] if end.torn => Status::TornTail,
            [] if end.closed => Status::Closed,
            [] => Status::Open,
        };
    }

    fn done(&mut self, mut report: SegmentReport) {
        if let Some(only) = self.only {
            let segment = report.segment.clone();
            report.findings.retain(|finding| only.keeps(&segment, finding));
            if report.findings.is_empty() && report.status == Status::Broken {
                report.status = Status::Open;
            }
            if !only.concerns(&report) {
                return;
            }
        }
        self.report.records += report.records;
        self.at.segments += u64::from(report.removed.is_none() && report.status != Status::Missing);
        self.at.bytes = self.report.bytes;
        // Writers may be at work.
        self.at.bytes_total = self.at.bytes_total.max(self.at.bytes);
        self.at.records = self.report.records;
        self.report.segments.push(report);
        (self.progress)(&self.at);
    }

    /// Numbers are given without gaps, so that a registration that was deleted is missed.
    fn judge_inventory(&mut self, known: &Inventory) {
        for _ in &known.damaged {
            self.report.findings.push(Finding::whole(Found::RegistrationDamaged));
        }
        let newest = known.segments.iter().map(|r| r.ordinal).max().unwrap_or(0);
        let latest = known.latest.as_ref().map_or(0, |(ordinal, _)| *ordinal);
        if newest > latest {
            self.report.findings.push(Finding::whole(Found::StoreRolledBack));
        }
        let known_ordinals = known.segments.len() as u64 + known.damaged.len() as u64;
        if known_ordinals < newest.max(latest) {
            self.report.findings.push(Finding::whole(Found::RegistrationRemoved));
        }
    }

    /// Each genesis record names the segment before it.
    fn judge_order(&mut self, geneses: &BTreeMap<SegmentId, Genesis>) {
        let by_ordinal: BTreeMap<u64, &SegmentId> = geneses.iter().map(|(id, g)| (g.ordinal, id)).collect();
        let mut wrong = Vec::new();
        for (id, genesis) in geneses {
            let before = genesis.ordinal.checked_sub(1).and_then(|n| by_ordinal.get(&n).copied());
            let named = genesis.previous.as_ref().map(|p| &p.segment);
            if before.is_some() && named.is_some() && before != named {
                wrong.push(id);
            }
        }
        for report in self.report.segments.iter_mut().filter(|r| wrong.contains(&&r.segment)) {
            report.add(Finding::records(Found::Genesis, 0, 0, None));
            report.status = Status::Broken;
        }
    }

    fn conclude(&mut self) {
        let report = &mut self.report;
        let tampered = !report.findings.is_empty() || report.segments.iter().any(|s| !s.findings.is_empty());
        let unread = !report.errors.is_empty() || report.segments.iter().any(|s| s.status == Status::Unreadable);
        report.verdict = match (tampered, unread) {
            (true, _) => Verdict::Tampered,
            (false, true) => Verdict::Unverified,
            (false, false) => Verdict::Whole,
        };
    }
}

/// Reads the store until no segment was registered while it was read.
fn settled_inventory(store: &dyn Store) -> Result<Inventory> {
    let mut known = registry::inventory(store)?;
    for _ in 0..READS {
        let newest = known.segments.iter().map(|r| r.ordinal).max().unwrap_or(0);
        if known.latest.as_ref().is_none_or(|(latest, _)| *latest <= newest) {
            break;
        }
        known = registry::inventory(store)?;
    }
    Ok(known)
}

/// Opens a segment for reading, never anything but a regular file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// The segment beside whose file one of this name belongs.
fn beside(name: &str) -> Option<SegmentId> {
    pending::of_file(name).or_else(|| super::keep::of_draft(name))
}

/// The genesis record of a segment, wherever that is.
fn read_genesis(place: &Path, id: &SegmentId) -> Option<Genesis> {
    let mut start = Vec::new();
    Logical::open(place, id).ok()?.take(MAX_LINE as u64).read_to_end(&mut start).ok()?;
    let end = start.iter().position(|b| *b == b'\n')?;
    Genesis::parse(start.get(..=end)?)
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
