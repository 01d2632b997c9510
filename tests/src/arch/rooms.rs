//! Which room may look into which.
//!
//! A room is a top-level module with all its children. In `libkmss` every room has a floor and looks down only; in the
//! doors the rooms only must not form a circle. Implementations are named by `kms.rs` alone, and no door knows another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Violation;
use super::source::{CrateSource, Module, SourceError, read_text};

/// The floors of `libkmss`, from the top.
pub const FLOORS: &[(u8, &[&str])] = &[
    (10, &["envelope"]),
    (9, &["kms"]),
    (8, &["pipeline"]),
    (7, &["operation"]),
    (6, &["policy", "quota", "audit", "auth", "backend", "catalog", "vault", "rules"]),
    (5, &["store", "seal", "sealed", "domain", "backup"]),
    (4, &["permit", "seen", "jose"]),
    (3, &["key", "caller", "principal"]),
    (2, &["mechanism", "rates", "device", "compat"]),
    (1, &["error", "secret", "clock", "suite", "random", "settings", "tenant", "config", "os", "home"]),
];

/// The crate whose rooms have floors.
const HALL: &str = "libkmss";

/// The floor whose rooms must not know each other.
const DECIDERS: u8 = 6;

/// What only `kms.rs` may name (and the implementation's own folder).
pub const IMPLEMENTATIONS: &[&[&str]] =
    &[&["store", "sqlite"], &["store", "memory"], &["backend", "soft"], &["backend", "hsm"]];

/// The crates that are doors, with the doors each may know.
const DOORS: &[(&str, &[&str])] =
    &[("pkcs11-provider", &["ffi", "remote"]), ("ffi", &["remote"]), ("cli", &["remote"]), ("remote", &[])];

/// Upward arrows, circles and forbidden looks in one crate. `hall` is `libkmss`, for the paths that doors name in it.
#[must_use]
pub fn check(source: &CrateSource, hall: Option<&CrateSource>) -> Vec<Violation> {
    let house = House::new(source);
    let hall = hall.map(House::new);
    let mut violations = Vec::new();
    let mut arrows: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for module in &source.modules {
        if source.name == HALL && !module.path.is_empty() && floor(room(&module.path)).is_none() {
            let what =
                format!("the room `{}` has no floor: give it one in tests/src/arch/rooms.rs", room(&module.path));
            violations.push(Violation { place: module.file.clone(), what });
        }
        for named in &module.paths {
            let place = format!("{}:{}", module.file, named.line);
            if let ([first, inside @ ..], Some(hall)) = (named.segments.as_slice(), &hall)
                && first == HALL
                && let Some(what) = implementation(&hall.follow(inside.to_vec()))
            {
                violations.push(Violation { place: place.clone(), what });
            }
            let Some(target) = house.resolve(module, &named.segments) else { continue };
            let (from, to) = (room(&module.path), house.room_of(&target));
            if from == to {
                continue;
            }
            if source.name == HALL {
                let told = forbidden_look(from, &to);
                let named = (from != "kms" && from != "lib").then(|| implementation(&target)).flatten();
                let what = told.into_iter().chain(named);
                violations.extend(what.map(|what| Violation { place: place.clone(), what }));
            }
            arrows.entry(from).or_default().entry(to).or_insert(place);
        }
    }
    violations.extend(circles(&arrows));
    violations
}

/// A room's floor in `libkmss`.
fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The top-level module of a path; `lib` for the crate's root, which stands above everything.
fn room(path: &[String]) -> &str {
    path.first().map_or("lib", String::as_str)
}

fn forbidden_look(from: &str, to: &str) -> Option<String> {
    if from == "lib" {
        return None;
    }
    if to == "lib" {
        return Some(format!("`{from}` looks at the crate's root: name the module that defines it"));
    }
    let (lower, upper) = (floor(from)?, floor(to)?);
    if upper > lower {
        return Some(format!("an upward arrow: `{from}` (floor {lower}) imports `{to}` (floor {upper})"));
    }
    (upper == lower && lower == DECIDERS)
        .then(|| format!("`{from}` and `{to}` share floor {DECIDERS}, whose rooms never import each other"))
}

/// Says so where a path inside `libkmss` leads into an implementation.
fn implementation(path: &[String]) -> Option<String> {
    let named = IMPLEMENTATIONS
        .iter()
        .find(|named| path.len() >= named.len() && path.iter().zip(**named).all(|(a, b)| a == b))?;
    Some(format!("names the implementation `{}`, which only libkmss/src/kms.rs may do", named.join("::")))
}

/// The modules of one crate, to find out where a path leads.
struct House<'s> {
    modules: BTreeMap<&'s [String], &'s Module>,
}

impl<'s> House<'s> {
    fn new(source: &'s CrateSource) -> Self {
        Self { modules: source.modules.iter().map(|m| (m.path.as_slice(), m)).collect() }
    }

    /// `segments`, as written in `module`, from the crate's root; other crates' paths stay as they are.
    fn absolute(&self, module: &Module, segments: &[String]) -> Vec<String> {
        let mut base = module.path.clone();
        let mut rest = segments;
        match segments.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = segments.get(1..).unwrap_or_default();
            }
            Some("self" | "super") => {
                while let Some(word) = rest.first().filter(|w| *w == "self" || *w == "super") {
                    if word == "super" {
                        base.pop();
                    }
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            Some(child) if self.has_child(&module.path, child) => {}
            _ => return segments.to_vec(),
        }
        base.extend(rest.iter().cloned());
        base
    }

    fn has_child(&self, parent: &[String], child: &str) -> bool {
        self.modules.keys().any(|path| {
            path.len() == parent.len() + 1 && path.starts_with(parent) && path.last().is_some_and(|l| l == child)
        })
    }

    /// Where a path of this crate leads, from its root, re-exports followed; `None` for other crates.
    fn resolve(&self, module: &Module, segments: &[String]) -> Option<Vec<String>> {
        let local = matches!(segments.first().map(String::as_str), Some("crate" | "self" | "super"))
            || segments.first().is_some_and(|first| self.has_child(&module.path, first));
        local.then(|| self.follow(self.absolute(module, segments)))
    }

    /// Follows `pub use` from module to module; what `kms.rs` hands out is its own.
    fn follow(&self, mut path: Vec<String>) -> Vec<String> {
        // A chain of re-exports is finite; the bound only stops one that points at itself.
        for _ in 0..8 {
            if path.first().is_some_and(|first| first == "kms") {
                break;
            }
            let Some(found) = self.deepest(&path) else { break };
            let Some(name) = path.get(found.path.len()) else { break };
            let Some((_, behind)) = found.reexports.iter().find(|(exported, _)| exported == name) else { break };
            let mut through = self.absolute(found, behind);
            through.extend(path.get(found.path.len() + 1..).unwrap_or_default().iter().cloned());
            if through == path {
                break;
            }
            path = through;
        }
        path
    }

    /// The deepest module on the way that a path takes.
    fn deepest(&self, path: &[String]) -> Option<&'s Module> {
        (0..=path.len()).rev().find_map(|n| self.modules.get(path.get(..n)?).copied())
    }

    /// The room that a resolved path ends in.
    fn room_of(&self, path: &[String]) -> String {
        self.deepest(path).map_or("lib", |module| room(&module.path)).to_owned()
    }
}

/// Every circle of rooms, told once, with one arrow of it as the place.
fn circles(arrows: &BTreeMap<&str, BTreeMap<String, String>>) -> Vec<Violation> {
    let mut told = BTreeSet::new();
    let mut violations = Vec::new();
    for (start, targets) in arrows {
        for (next, place) in targets {
            let Some(mut way) = way_back(arrows, next, start) else { continue };
            way.insert(0, (*start).to_owned());
            let mut members = way.clone();
            members.sort();
            members.dedup();
            if told.insert(members) {
                violations
                    .push(Violation {
                        place: place.clone(), what: format!("a circle of files: {}", way.join(" → "))
                    });
            }
        }
    }
    violations
}

/// The shortest way along the arrows from one room to another, both included.
fn way_back(arrows: &BTreeMap<&str, BTreeMap<String, String>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![from.to_owned()]]);
    let mut seen = BTreeSet::from([from.to_owned()]);
    while let Some(way) = ways.pop_front() {
        let here = way.last()?;
        if here == to {
            return Some(way);
        }
        for next in arrows.get(here.as_str()).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next.clone()) {
                ways.push_back([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

/// Doors that depend on doors they must not know, and a hall that depends on a door, read from the Cargo.toml files.
///
/// # Errors
/// Names the file that cannot be read.
pub fn door_dependencies(root: &Path) -> Result<Vec<Violation>, SourceError> {
    let mut violations = Vec::new();
    for (member, known) in DOORS.iter().chain(&[("libkmss", &[] as &[&str])]) {
        let file = root.join(member).join("Cargo.toml");
        if file.is_file() {
            let place = format!("{member}/Cargo.toml");
            violations.extend(foreign_doors(&place, &read_text(&file)?, member, known));
        }
    }
    Ok(violations)
}

/// The doors that one manifest names without being allowed to.
#[must_use]
pub fn foreign_doors(place: &str, manifest: &str, member: &str, known: &[&str]) -> Vec<Violation> {
    let mut section = "";
    let mut violations = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if let Some(header) = line.trim().strip_prefix('[') {
            section = header;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
        let door = DOORS.iter().any(|(door, _)| *door == name);
        if section.starts_with("dependencies") && door && name != member && !known.contains(&name) {
            let place = format!("{place}:{}", number + 1);
            violations.push(Violation { place, what: format!("`{member}` must not know the door `{name}`") });
        }
    }
    violations
}
