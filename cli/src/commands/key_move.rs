//! `kmss key move`: keys go to another backend, and everything else about them stays.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use libkmss::backend::Foreign;
use libkmss::caller::Caller;
use libkmss::catalog::ObjectKind;
use libkmss::key::{Key, KeyClass, Object};
use libkmss::kms::Kms;
use libkmss::operation::{Move, Moved, ObjectRef};
use libkmss::tenant::BackendId;
use serde_json::{Value, json};

use super::{hsm, key};
use crate::args::{MoveArgs, NamedKey};
use crate::context::Context;
use crate::objects::{all_in, versions_in};
use crate::output::{self, Failure};

/// Exit code where something could not be moved.
const IN_PART: u8 = 4;

/// A version of a key that is asked for: the secret part first, the public half behind it.
struct Asked {
    halves: Vec<Arc<Object>>,
}

/// What became of it, or would.
enum Outcome {
    Moved,
    WouldMove,
    Present,
    Cleared,
    Forgotten,
    Refused(String),
}

/// A line of the answer.
struct Row {
    name: String,
    kind: String,
    from: String,
    outcome: Outcome,
    /// What was not destroyed in its former place.
    remaining: Vec<String>,
}

/// Moves all versions of one key, one version, or all keys of a token.
///
/// # Errors
/// There is no such key or backend, or the token does not let the officer in.
pub(super) fn run(context: &Context, args: &MoveArgs) -> Result<ExitCode, Failure> {
    let (kms, officer) = context.officer(&args.token.token)?;
    let to = BackendId(args.to.clone().into());
    let asked = match &args.name {
        Some(name) => {
            let named = NamedKey { name: name.clone(), token: args.token.clone() };
            pairs(key::some(versions_in(&kms, &officer, name)?, &named)?)
        }
        None => pairs(everything(&kms, &officer)?),
    };
    let there = hsm::survey_of(context, &kms, &officer, &to)?;
    let mut rows = Vec::with_capacity(asked.len());
    for (number, one) in asked.iter().enumerate() {
        let row = one.moved(&kms, &officer, (&to, &there), args);
        if args.all && !context.global.json && std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr(), "{} of {}: {} {}", number + 1, asked.len(), row.words().0, row.name);
        }
        rows.push(row);
    }
    kms.close()?;
    if let ([Row { outcome: Outcome::Refused(why), .. }], false) = (rows.as_slice(), context.global.json || args.all) {
        return Err(why.clone().into());
    }
    report(context, &rows, &to)?;
    let whole = rows.iter().all(|row| !matches!(row.outcome, Outcome::Refused(_)) && row.remaining.is_empty());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(IN_PART) })
}

/// Every key of the token, private halves first.
fn everything(kms: &Kms, officer: &Caller) -> Result<Vec<Arc<Object>>, Failure> {
    let mut all = Vec::new();
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        all_in(kms, officer, ObjectKind::Key(class), &mut all)?;
    }
    Ok(all)
}

/// Keys by their names, the version that has the name before the others, public halves behind their private ones.
fn pairs(all: Vec<Arc<Object>>) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for object in all {
        let half = object.key().filter(|key| key.class == KeyClass::Public);
        let pair = half.and_then(|half| asked.iter_mut().find(|one| one.is_other_half(half)));
        match pair {
            Some(one) => one.halves.push(object),
            None => asked.push(Asked { halves: vec![object] }),
        }
    }
    // In the order of their numbers: of a key that is rotated meanwhile, the new version is made where that with the name went.
    let version = |key: &Key| key.lifecycle.role.map(|_| key.version_number());
    asked.sort_by_cached_key(|one| one.key().map(|key| (key.base_name().to_owned(), version(key))));
    asked
}

impl Asked {
    fn key(&self) -> Option<&Key> {
        self.halves.first()?.key()
    }

    fn is_other_half(&self, public: &Key) -> bool {
        let of = |key: &Key| key.primary().ok().map(|version| version.public.clone());
        self.halves.len() == 1
            && self
                .key()
                .is_some_and(|key| (key.class, &key.name) == (KeyClass::Private, &public.name) && of(key) == of(public))
    }

    fn moved(&self, kms: &Kms, officer: &Caller, (to, there): (&BackendId, &[Foreign]), args: &MoveArgs) -> Row {
        let (dry_run, forget) = (args.dry_run, args.forget);
        let (name, kind, from) = self
            .key()
            .map_or_else(Default::default, |k| (k.name.clone(), report::describe(k), key::backend(k).to_owned()));
        let row = |outcome, remaining| Row { name, kind, from, outcome, remaining };
        let moves = match kms.would_move(officer, &self.halves, to) {
            Ok(moves) => moves,
            Err(e) if dry_run => return row(Outcome::Refused(e.sentence()), Vec::new()),
            // Refused where refusals are recorded.
            Err(_) => true,
        };
        let remains = self.halves.first().map(|first| hsm::remains(there, first.id)).unwrap_or_default();
        let left = self.halves.iter().filter_map(|half| half.key()).any(|key| !key.left.is_empty());
        if !moves && !left && remains.is_empty() {
            return row(Outcome::Present, Vec::new());
        }
        if dry_run {
            return row(if moves { Outcome::WouldMove } else { Outcome::Present }, Vec::new());
        }
        let mut halves = self.halves.iter().map(ObjectRef::from);
        let Some(key) = halves.next() else { return row(Outcome::Present, Vec::new()) };
        match kms.perform(officer, Move { key, public: halves.next(), to: to.clone(), remains, forget }) {
            Ok(Moved { moved, remaining, forgotten, .. })
                if !moved && remaining.is_empty() && !forgotten.is_empty() =>
            {
                row(Outcome::Forgotten, remaining)
            }
            Ok(Moved { moved, remaining, .. }) => row(if moved { Outcome::Moved } else { Outcome::Cleared }, remaining),
            Err(e) => row(Outcome::Refused(e.sentence()), Vec::new()),
        }
    }
}

impl Row {
    fn words(&self) -> (&'static str, String) {
        let still = || {
            let all = self.remaining.join("; ");
            if all.is_empty() { all } else { format!("not destroyed yet {all}: move it again") }
        };
        match &self.outcome {
            Outcome::Moved => ("moved", still()),
            Outcome::WouldMove => ("would be moved", String::new()),
            Outcome::Present => ("there already", String::new()),
            Outcome::Cleared => ("there already", if self.remaining.is_empty() { CLEARED.to_owned() } else { still() }),
            Outcome::Forgotten => ("there already", FORGOTTEN.to_owned()),
            Outcome::Refused(why) => ("NOT MOVED", why.clone()),
        }
    }

    fn json(&self, to: &BackendId) -> Value {
        let (outcome, detail) = self.words();
        json!({
            "name": self.name,
            "type": self.kind,
            "from": self.from,
            "to": to.0,
            "outcome": outcome,
            "detail": detail,
            "remaining": self.remaining,
        })
    }
}

/// Said of a key that was where it is to be, with something left of an earlier move.
const CLEARED: &str = "what earlier moves left is destroyed";

/// Said of a key of which something was left in an HSM that is not in the configuration.
const FORGOTTEN: &str = "what was left in HSMs that are gone is given up";

fn report(context: &Context, rows: &[Row], to: &BackendId) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&rows.iter().map(|row| row.json(to)).collect::<Vec<_>>());
    }
    let line = |row: &Row| {
        let (outcome, detail) = row.words();
        [
            output::plain(&row.name),
            row.kind.clone(),
            output::plain(&row.from),
            outcome.to_owned(),
            output::plain(&detail),
        ]
    };
    output::table(["NAME", "TYPE", "FROM", "OUTCOME", "WHY"], rows.iter().map(line).collect(), "The token has no keys.")
}
