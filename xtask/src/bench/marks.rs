//! The figures that the project set out to reach, and why those that are missed are missed.

use super::report::{MISSED, REACHED, Results, Row, short};

/// One figure to reach.
pub(super) struct Mark {
    workload: &'static str,
    goal: Goal,
    pub(super) words: &'static str,
    /// Why it is missed where it is.
    why: &'static str,
}

enum Goal {
    /// So many times SoftHSM2, token keys, one thread.
    Ratio(f64),
    /// This share of the bare aws-lc call.
    Bare(f64),
    /// So many a second.
    Rate(f64),
    /// No more than so many times the figure of another workload.
    Like(&'static str, f64),
    /// So many times one thread's rate with two.
    Threads(f64),
    /// So many voluntary context switches for each operation at most.
    Switches(f64),
}

const RECORD: &str = "each operation puts one audit record into the kernel before the result is released: its text, its SHA-256 and \
                      the copy into the mapped file take most of a microsecond; the rest is admission, twice two locks and the \
                      module's entries";
const COLD: &str = "among so many objects nearly every search is one that is not in memory: ranges of the store are read, for public and for \
                    private objects where there are such of the kind, each entry is held against its MAC, and pages that are not in SQLite's cache are copied \
                    from the kernel's (they are not mapped: a file cut short would end the host process)";
const ENGINE: &str = "what is left is the module's own work beside the call: two entries, one decision, one record";
const THREADS: &str = "the machine was not quiet, or its two processors share one core";

const fn mark(workload: &'static str, goal: Goal, words: &'static str, why: &'static str) -> Mark {
    Mark { workload, goal, words, why }
}

/// All of them.
pub(super) const MARKS: &[Mark] = &[
    mark("rsa2048-sign-pkcs", Goal::Ratio(2.1), "RSA-2048 signing 2.1 × SoftHSM2", ENGINE),
    mark("p256-sign", Goal::Ratio(2.3), "P-256 signing 2.3 × SoftHSM2", RECORD),
    mark("ed25519-sign", Goal::Ratio(10.0), "Ed25519 signing 10 × SoftHSM2", RECORD),
    mark("aes256-gcm-enc-1k", Goal::Ratio(8.0), "AES-256-GCM of 1 KiB 8 × SoftHSM2", RECORD),
    mark("aes256-gcm-enc-16k", Goal::Ratio(10.0), "AES-256-GCM of 16 KiB 10 × SoftHSM2", RECORD),
    mark("hmac-sha256-1k", Goal::Ratio(8.0), "HMAC-SHA-256 of 1 KiB 8 × SoftHSM2", RECORD),
    mark("aes256-kwp-wrap", Goal::Ratio(10.0), "AES key wrap with padding 10 × SoftHSM2", RECORD),
    mark("rsa2048-sign-pkcs", Goal::Bare(0.95), "RSA-2048 signing 0.95 of bare aws-lc", ENGINE),
    mark("p256-sign", Goal::Bare(0.8), "P-256 signing 0.8 of bare aws-lc", RECORD),
    mark("ed25519-sign", Goal::Bare(0.75), "Ed25519 signing 0.75 of bare aws-lc", RECORD),
    mark("find-by-id-10000", Goal::Rate(100_000.0), "find by CKA_ID among 10,000 objects above 100,000/s", ENGINE),
    mark("find-by-id-100000", Goal::Rate(100_000.0), "find by CKA_ID among 100,000 objects above 100,000/s", COLD),
    mark("find-by-label-10000", Goal::Rate(100_000.0), "find by label among 10,000 objects above 100,000/s", ENGINE),
    mark("find-by-label-100000", Goal::Rate(100_000.0), "find by label among 100,000 objects above 100,000/s", COLD),
    mark(
        "token-create-10000",
        Goal::Rate(1_000.0),
        "durable object creation above 1,000/s",
        "the intent, the object and the result each wait for the disk",
    ),
    mark(
        "cold-start",
        Goal::Ratio(1.0),
        "cold start without the login quicker than SoftHSM2's",
        "the store is opened and the audit segment is registered in it, durably, before the first record",
    ),
    mark(
        "cold-start-100000",
        Goal::Like("cold-start", 1.15),
        "cold start unchanged at 100,000 objects",
        "opening reads no object; a larger database file has a deeper tree, and what is left of its log is read first",
    ),
    mark("p256-sign", Goal::Threads(1.8), "P-256 signing with two threads 1.8 × one", THREADS),
    mark("aes256-gcm-enc-1k", Goal::Threads(1.8), "AES-256-GCM of 1 KiB with two threads 1.8 × one", THREADS),
    mark("p256-sign", Goal::Switches(0.01), "no voluntary context switches in P-256 signing", THREADS),
    mark("aes256-gcm-enc-1k", Goal::Switches(0.01), "no voluntary context switches in AES-256-GCM of 1 KiB", THREADS),
];

/// Workloads in which session keys may be slower than another module's, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("sha256-1m", "bulk SHA-256 is the processor's"),
    ("rsa2048-keygen", "prime search is aws-lc's"),
    ("random-", "small requests are not buffered, on purpose"),
    ("login-logout", "the PIN is stretched with Argon2id, on purpose"),
];

/// Why session keys are slower than another module's in other workloads.
const SLOWER: &[(&str, &str)] = &[
    (
        "aes256-kwp-unwrap",
        "the coming and the going of each unwrapped key is a record of its own in the audit trail, hashed and chained, and the \
         key an object that policies and quotas know",
    ),
    (
        "aes256-gcm-enc-16",
        "a fifth of the time is AES-GCM; the rest is two entries into a session, the decision (whether the key, the caller and the \
         store stand as they stood, by the clock), and the count of the use for the audit",
    ),
    (
        "sha256-1k",
        "SHA-256 itself takes two thirds of the time, and a little longer by aws-lc than by NSS; the rest is two entries and the decision",
    ),
];
/// Why elsewhere.
const AROUND: &str = "the work around the call is longer: each use is decided, and counted for the audit";

/// Whether the mark is reached, and the figure that says so.
pub(super) fn judge(results: &Results, mark: &Mark) -> (&'static str, String) {
    let missing = |note: String| ("not measured", note);
    let Some(row) = results.row(mark.workload, 1) else { return missing(String::new()) };
    if let Some(note) = results.unfilled(mark.workload) {
        return missing(note);
    }
    let Some(figure) = row.figure() else { return missing(row.note(0)) };
    let (reached, measured) = match mark.goal {
        Goal::Ratio(goal) => match row.ratio("softhsm2") {
            Some(ratio) => (ratio.median >= goal, format!("{} ×", ratio.text())),
            None => return missing(row.note(0)),
        },
        Goal::Bare(goal) => match row.ratio("bare") {
            Some(ratio) => (ratio.median >= goal, ratio.text()),
            None => return missing(String::new()),
        },
        Goal::Rate(goal) => (figure > goal, format!("{} {}", short(figure), row.unit())),
        Goal::Like(other, most) => match results.row(other, 1).and_then(Row::figure) {
            Some(other) => {
                (figure <= other * most, format!("{} against {} {}", short(figure), short(other), row.unit()))
            }
            None => return missing(String::new()),
        },
        Goal::Threads(goal) => match results.row(mark.workload, 2).and_then(Row::figure) {
            Some(two) => (two >= figure * goal, format!("{} ×", short(two / figure))),
            None => return missing(String::new()),
        },
        Goal::Switches(most) => match row.switches() {
            Some(switches) => (switches <= most, format!("{switches:.5} for each")),
            None => return missing(String::new()),
        },
    };
    (if reached { REACHED } else { MISSED }, measured)
}

impl Mark {
    /// Why it is missed.
    pub(super) fn why(&self, results: &Results) -> String {
        match (&self.goal, results.bare_threads(self.workload)) {
            (Goal::Threads(_), Some(bare)) => {
                format!("{}: aws-lc without any module reaches {} × in the same run", self.why, short(bare))
            }
            _ => self.why.to_owned(),
        }
    }
}

/// One line for each workload in which session keys are slower than those of another module.
pub(super) fn slower_with_session_keys(session: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for row in session.rows().iter().filter(|row| row.threads == 1) {
        for ratio in row.ratios.iter().filter(|ratio| ratio.vs != "bare" && ratio.median < 1.0) {
            let of = |table: &[(&str, &'static str)]| {
                table.iter().find(|(name, _)| row.workload.starts_with(name)).map(|(_, why)| *why)
            };
            let why = of(ALLOWED).map_or_else(|| format!("{MISSED}: {}", of(SLOWER).unwrap_or(AROUND)), str::to_owned);
            lines.push(format!("`{}` is {} of {}'s: {why}", row.workload, ratio.text(), ratio.vs));
        }
    }
    lines
}
