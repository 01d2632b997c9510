//! Verifies an archive with a public key alone: each record is the leaf that it is said to be, by its tile, which belongs to
//! the tree whose root a key of the log signed; and it is the one that is due there, by the chain from the segment's name on.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use audit_proof::archive::{Archived, KEYS, LOG, MANIFEST, Manifest, PACKED, VERSION};
use audit_proof::note::MAX_NOTE;
use audit_proof::{Lineage, Note, ProofError};
use sha2::{Digest as _, Sha256};

use crate::folder;
use crate::report::{Finding, Found, Progress, Report, SegmentReport, Verdict};
use crate::segment::{Work, hex};

/// Largest manifest.
const LARGEST: u64 = 512 << 20;
/// Largest file of keys.
const LARGEST_KEYS: u64 = 256 << 20;
/// Segments that are named where they are absent, or not in the manifest.
const NAMED: usize = 1000;

/// Why an archive cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is no archive.
    #[error("`{}` is no archive of an audit: it has no `{MANIFEST}`", .0.display())]
    NoArchive(PathBuf),
    /// A newer program wrote it.
    #[error("`{}` was written by a newer kmss", .0.display())]
    TooNew(PathBuf),
    /// The keys are none.
    #[error("the public keys cannot be used")]
    Keys(#[source] ProofError),
    /// A text is no hash of a manifest.
    #[error("the SHA-256 of a manifest is 64 hex digits")]
    ManifestHash,
}

/// What an auditor brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// The keys that the auditor knows: the root key at least. Certificates that they lack are taken from the archive, which
    /// cannot forge them.
    pub keys: Option<&'a Lineage>,
    /// The SHA-256 of the manifest. It binds all of the archive; without it nothing tells where segments are missing before
    /// the first and behind the last, or the end of a segment behind a record that had closed it before.
    pub manifest: Option<ManifestHash>,
}

/// The SHA-256 of a manifest, which `kmss audit archive` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestHash([u8; 32]);

impl FromStr for ManifestHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Error::ManifestHash);
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| Error::ManifestHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| Error::ManifestHash)?;
        }
        Ok(Self(hash))
    }
}

/// Verifies the archive in `folder` against what the auditor demands.
///
/// # Errors
/// The folder is no archive, or not for this version; everything else is in the report.
pub fn check(folder: &Path, demands: &Demands<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Report, Error> {
    let mut report =
        Report { key_given: demands.keys.is_some(), manifest_given: demands.manifest.is_some(), ..Report::default() };
    let manifest = manifest(folder, demands.manifest, &mut report)?;
    let lineage = lineage(folder, demands.keys, &mut report)?;
    (report.origin, report.key) = (lineage.origin().to_owned(), lineage.root().to_string());
    report.size = manifest.size.max(published(folder, &lineage));
    if manifest.origin != lineage.origin() || manifest.key != lineage.root().to_string() {
        report.findings.push(Finding::noted(Found::KeyReplaced, "the manifest"));
    }
    if !in_order(&manifest) {
        report
            .findings
            .push(Finding::noted(Found::IndexDamaged, "the segments of the manifest are not in their order"));
    }
    let by_ordinal: ByOrdinal<'_> = manifest.segments.iter().map(|one| (one.ordinal, one)).collect();
    let bytes_total = manifest.segments.iter().fold(0_u64, |sum, one| sum.saturating_add(one.file_bytes));
    let mut at = Progress { bytes_total, ..Progress::default() };
    for archived in &manifest.segments {
        let segment = one(folder, archived, (&lineage, &by_ordinal), &mut at, progress);
        report.records = report.records.saturating_add(segment.records);
        report.size = report.size.max(segment.size);
        report.segments.push(segment);
    }
    report.bytes = at.bytes;
    unlisted(folder, &manifest, &mut report)?;
    absent(&by_ordinal, &mut report);
    let wrong = !report.findings.is_empty() || report.segments.iter().any(|s| !s.findings.is_empty());
    let unread = report.segments.iter().any(|s| s.error.is_some());
    report.verdict = match (wrong, unread) {
        (true, _) => Verdict::Tampered,
        (false, true) => Verdict::Unverified,
        (false, false) => Verdict::Whole,
    };
    Ok(report)
}

fn load(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Error> {
    folder::read(path, most).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn manifest(folder: &Path, known: Option<ManifestHash>, report: &mut Report) -> Result<Manifest, Error> {
    let path = folder.join(MANIFEST);
    let text = load(&path, LARGEST)?.ok_or_else(|| Error::NoArchive(folder.to_owned()))?;
    let hash: [u8; 32] = Sha256::digest(&text).into();
    report.manifest = hex(&hash);
    if known.is_some_and(|known| known.0 != hash) {
        report.findings.push(Finding::whole(Found::ManifestReplaced));
    }
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    if serde_json::from_slice::<Versioned>(&text).is_ok_and(|found| found.v > VERSION) {
        return Err(Error::TooNew(folder.to_owned()));
    }
    Ok(serde_json::from_slice(&text).unwrap_or_else(|e| {
        report.findings.push(Finding::noted(Found::IndexDamaged, format!("the manifest: {e}")));
        Manifest { v: VERSION, origin: String::new(), key: String::new(), size: 0, segments: Vec::new() }
    }))
}

/// The auditor's keys, with the certificates of the archive.
fn lineage(folder: &Path, known: Option<&Lineage>, report: &mut Report) -> Result<Lineage, Error> {
    let text = load(&folder.join(KEYS), LARGEST_KEYS)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let own = Lineage::parse(text.as_deref().unwrap_or_default());
    let Some(known) = known else { return own.map_err(Error::Keys) };
    match own {
        // Both grew from one root, and each certificate is signed by the key before it: the longer one has the other in it.
        Ok(own) if own.root() == known.root() => {
            let longer = if own.certificates().len() > known.certificates().len() { &own } else { known };
            let shorter = if own.certificates().len() > known.certificates().len() { known } else { &own };
            if !shorter.certificates().zip(longer.certificates()).all(|(a, b)| a.key == b.key) {
                report.findings.push(Finding::noted(Found::KeyReplaced, "the certificates of its keys differ"));
                return Ok(known.clone());
            }
            Ok(longer.clone())
        }
        Ok(_) => {
            report.findings.push(Finding::whole(Found::KeyReplaced));
            Ok(known.clone())
        }
        Err(e) => {
            report.findings.push(Finding::noted(Found::KeyReplaced, format!("the file `{KEYS}`: {e}")));
            Ok(known.clone())
        }
    }
}

/// Segments by their numbers, as the manifest gives them; that these are true each segment says itself.
type ByOrdinal<'a> = BTreeMap<u64, &'a Archived>;

fn one(
    folder: &Path,
    archived: &Archived,
    (lineage, by_ordinal): (&Lineage, &ByOrdinal<'_>),
    at: &mut Progress,
    progress: &mut dyn FnMut(&Progress),
) -> SegmentReport {
    let mut report = SegmentReport {
        segment: archived.segment.clone(),
        ordinal: archived.ordinal,
        first: archived.first,
        last: archived.last,
        ..SegmentReport::default()
    };
    if !folder::is_segment(&archived.segment) {
        report.add(Finding::noted(Found::IndexDamaged, "the name of the segment is none"));
        return report;
    }
    let (from, records) = (at.bytes, at.records);
    let beside = |number: Option<u64>| {
        let other = number.and_then(|number| by_ordinal.get(&number).copied());
        other.filter(|other| folder::is_segment(&other.segment))
    };
    let (before, after) = (beside(archived.ordinal.checked_sub(1)), beside(archived.ordinal.checked_add(1)));
    let mut work = Work { folder, archived, before, after, lineage, at, progress, report: &mut report };
    if let Err(e) = work.run() {
        report.error = Some(e.to_string());
    }
    at.bytes = from.saturating_add(archived.file_bytes);
    at.records = records.saturating_add(report.records);
    progress(at);
    report
}

/// Whether each name comes once, in the order of names. That of numbers may be another.
fn in_order(manifest: &Manifest) -> bool {
    manifest.segments.iter().zip(manifest.segments.iter().skip(1)).all(|(a, b)| a.segment < b.segment)
}

/// Records of the tree that was published in the archive last; 0 where no key of the log signed that.
fn published(folder: &Path, lineage: &Lineage) -> u64 {
    let text = folder::read(&folder.join(LOG).join("checkpoint"), MAX_NOTE as u64).ok().flatten();
    let note = text.and_then(|text| Note::parse(&String::from_utf8(text).ok()?).ok());
    note.and_then(|note| lineage.open(&note).ok()).map_or(0, |(checkpoint, _)| checkpoint.size)
}

/// Segments in the folder that the manifest does not name. A copy that was never finished has another name.
fn unlisted(folder: &Path, manifest: &Manifest, report: &mut Report) -> Result<(), Error> {
    let failed = |source| Error::File { path: folder.to_owned(), source };
    let named: HashSet<&str> = manifest.segments.iter().map(|one| one.segment.as_str()).collect();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(segment) = name.to_str().and_then(|name| name.strip_suffix(PACKED)) else { continue };
        if !named.contains(segment) && report.unlisted.len() < NAMED {
            report.unlisted.push(segment.escape_debug().to_string());
        }
    }
    Ok(())
}

fn absent(by_ordinal: &ByOrdinal<'_>, report: &mut Report) {
    for (a, b) in by_ordinal.keys().zip(by_ordinal.keys().skip(1)) {
        let room = NAMED.saturating_sub(report.absent.len());
        report.absent.extend((a.saturating_add(1)..*b).take(room));
    }
}
