//! Words that live on one floor: PKCS#11's nouns, SQL, clocks, randomness, threads, signals, `unsafe`, `Permit::issue`.

use super::Violation;
use super::source::{CrateSource, Module};

/// A sequence of path segments, the crates it is forbidden in, and the files that may have it all the same.
struct Rule {
    /// Consecutive segments of a path; a single one is any identifier. A trailing `*` matches any ending.
    words: &'static [&'static str],
    /// Crates the rule holds in; empty for all.
    crates: &'static [&'static str],
    /// Prefixes of the files that are the word's home.
    home: &'static [&'static str],
    why: &'static str,
}

const HALL: &[&str] = &["libkmss", "ffi", "remote"];
const IN_THE_HOST: &[&str] = &["libkmss", "pkcs11-provider", "ffi"];
/// Where devices are spoken to in their own words.
const DEVICES: &[&str] = &["libkmss/src/device", "libkmss/src/backend/hsm"];
const PKCS11: &str = "is a word of PKCS#11 and lives in pkcs11-provider and with devices only";
const TIME: &str = "reads the time: time comes only from `Clock`";
const RANDOM: &str = "draws randomness: it comes only from the backend, through `Random`";
const QUIET: &str = "the shared object is a guest in its host's process: no threads, no signal handlers, no exit";
const LASTING: &str = "may be held by a thread that a forked child does not have: use `os::Lock`, or `once_cell::race`";
/// One that nobody waits for, and one that is only touched under an `os::Lock`.
const NEVER_WAITED_FOR: [&str; 2] = ["libkmss/src/backend/soft/spare.rs", "libkmss/src/os/mark.rs"];
const SOFT: &[&str] = &["libkmss/src/backend/soft"];

const RULES: &[Rule] = &[
    Rule { words: &["Slot"], crates: HALL, home: DEVICES, why: PKCS11 },
    Rule { words: &["Token"], crates: HALL, home: DEVICES, why: PKCS11 },
    Rule { words: &["Session"], crates: HALL, home: DEVICES, why: PKCS11 },
    Rule { words: &["CK_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["CKR_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["CKA_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["CKM_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["CKK_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["CKO_*"], crates: &["libkmss", "ffi", "remote", "cli"], home: &[], why: PKCS11 },
    Rule { words: &["cryptoki_sys"], crates: &["libkmss", "ffi", "remote", "cli"], home: DEVICES, why: PKCS11 },
    Rule {
        words: &["rusqlite"],
        crates: &[],
        home: &["libkmss/src/store/sqlite"],
        why: "SQL lives in libkmss/src/store/sqlite only",
    },
    Rule {
        words: &["aws_lc_sys"],
        crates: &[],
        home: &["libkmss/src/backend/soft/awslc"],
        why: "aws-lc-sys is wrapped in libkmss/src/backend/soft/awslc and nowhere else",
    },
    Rule { words: &["tonic"], crates: &[], home: &["remote/"], why: "tonic lives in remote only" },
    Rule { words: &["SystemTime", "now"], crates: &[], home: &["libkmss/src/clock.rs"], why: TIME },
    Rule { words: &["Instant", "now"], crates: &[], home: &["libkmss/src/clock.rs"], why: TIME },
    Rule { words: &["clock_gettime"], crates: &[], home: &["libkmss/src/clock.rs", "libkmss/src/os"], why: TIME },
    Rule { words: &["OsRng"], crates: &[], home: SOFT, why: RANDOM },
    Rule { words: &["SysRng"], crates: &[], home: SOFT, why: RANDOM },
    Rule { words: &["thread_rng"], crates: &[], home: SOFT, why: RANDOM },
    Rule { words: &["getrandom"], crates: &[], home: SOFT, why: RANDOM },
    Rule { words: &["thread", "spawn"], crates: IN_THE_HOST, home: &[], why: QUIET },
    Rule { words: &["thread", "Builder"], crates: IN_THE_HOST, home: &[], why: QUIET },
    Rule { words: &["sigaction"], crates: IN_THE_HOST, home: &[], why: QUIET },
    Rule { words: &["atexit"], crates: IN_THE_HOST, home: &["libkmss/src/os/leaving.rs"], why: QUIET },
    Rule { words: &["process", "exit"], crates: IN_THE_HOST, home: &[], why: QUIET },
    Rule { words: &["process", "abort"], crates: IN_THE_HOST, home: &[], why: QUIET },
    Rule { words: &["once_cell", "sync"], crates: IN_THE_HOST, home: &[], why: LASTING },
    Rule { words: &["OnceLock"], crates: IN_THE_HOST, home: &[], why: LASTING },
    Rule { words: &["LazyLock"], crates: IN_THE_HOST, home: &[], why: LASTING },
    Rule { words: &["Mutex"], crates: IN_THE_HOST, home: &NEVER_WAITED_FOR, why: LASTING },
    Rule { words: &["RwLock"], crates: IN_THE_HOST, home: &[], why: LASTING },
    Rule { words: &["Condvar"], crates: IN_THE_HOST, home: &[], why: LASTING },
    Rule {
        words: &["Permit", "issue"],
        crates: &[],
        home: &["libkmss/src/pipeline.rs", "libkmss/src/pipeline/"],
        why: "makes a Permit, which the pipeline alone may do",
    },
    Rule {
        words: &["step_of_move"],
        crates: &[],
        home: &["libkmss/src/permit.rs", "libkmss/src/operation/relocate"],
        why: "takes a Permit apart, which a move alone may do",
    },
    Rule {
        words: &["unsafe"],
        crates: &[],
        home: &[
            "pkcs11-provider/src/guard.rs",
            "pkcs11-provider/src/entry",
            "pkcs11-provider/src/raw",
            "ffi/src/",
            "libkmss/src/os",
            "libkmss/src/backend/soft/awslc",
            "libkmss/src/policy/host/cwasm.rs",
        ],
        why: "stands outside the rooms that may hold any (DESIGN.md, rule 6)",
    },
];

/// The extern statics of the door: the function lists are handed to C and hold raw pointers.
const UNSAFE_STATICS: &str = "pkcs11-provider/src/lib.rs";

/// Every word away from its home.
#[must_use]
pub fn check(source: &CrateSource) -> Vec<Violation> {
    let mut violations = Vec::new();
    for rule in RULES.iter().filter(|r| r.crates.is_empty() || r.crates.contains(&source.name.as_str())) {
        for module in source.modules.iter().filter(|m| !rule.home.iter().any(|home| m.file.starts_with(home))) {
            violations.extend(uses(rule, module).into_iter().map(|line| Violation {
                place: format!("{}:{line}", module.file),
                what: format!("`{}` {}", rule.words.join("::"), rule.why),
            }));
        }
    }
    violations
}

fn uses(rule: &Rule, module: &Module) -> Vec<usize> {
    if let [word] = rule.words {
        let bare = |(position, (found, line)): (usize, &(String, usize))| {
            (matches(word, found) && !allowed_static(module, position)).then_some(*line)
        };
        return module.words.iter().enumerate().filter_map(bare).collect();
    }
    module
        .paths
        .iter()
        .filter(|p| p.segments.windows(rule.words.len()).any(|w| w.iter().zip(rule.words).all(|(a, b)| matches(b, a))))
        .map(|p| p.line)
        .collect()
}

fn matches(word: &str, found: &str) -> bool {
    word.strip_suffix('*').map_or(found == word, |prefix| found.starts_with(prefix))
}

/// `#[unsafe(no_mangle)]` and `unsafe impl Sync for` in the door's lib.rs, which holds the exported symbols.
fn allowed_static(module: &Module, position: usize) -> bool {
    let next = module.words.get(position + 1).map(|(word, _)| word.as_str());
    module.file == UNSAFE_STATICS && matches!(next, Some("no_mangle" | "impl" | "extern"))
}
