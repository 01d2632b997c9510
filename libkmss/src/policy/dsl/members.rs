//! Who holds which roles and groups, by the policy's own statements.

use std::collections::{BTreeSet, HashMap};

use super::ast::{Document, Pattern, Principal, Span, Statement};
use super::diagnostic::Problem;
use super::words::{EXCLUSIVE, Kind};

/// A role or a group.
pub(crate) type Holding = (HoldingKind, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum HoldingKind {
    Role,
    Group,
}

/// A statement that whoever matches holds something.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) to: Principal,
    pub(crate) what: Holding,
    pub(crate) span: Span,
}

/// All of them. That a role includes another is a grant to the role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    pub(crate) grants: Vec<Grant>,
}

impl Members {
    pub(crate) fn new(document: &Document) -> Self {
        let mut grants = Vec::new();
        for statement in &document.statements {
            match &statement.value {
                Statement::Includes { role, others } => grants.extend(others.iter().map(|other| Grant {
                    to: Principal::Named(Kind::Role, Pattern::Exact(role.value.clone())),
                    what: (HoldingKind::Role, other.value.clone()),
                    span: other.span,
                })),
                Statement::Grant { roles, to } => {
                    for to in to {
                        grants.extend(roles.iter().map(|role| {
                            let kind = if role.value.0 == Kind::Group { HoldingKind::Group } else { HoldingKind::Role };
                            Grant { to: to.value.clone(), what: (kind, role.value.1.clone()), span: to.span }
                        }));
                    }
                }
                _ => {}
            }
        }
        Self { grants }
    }

    /// What a principal with these roles holds. A role that starts with `group:` is a group.
    pub(crate) fn held(&self, principal: &str, roles: &[String]) -> BTreeSet<Holding> {
        let mut held: BTreeSet<Holding> = roles.iter().map(|role| holding(role)).collect();
        loop {
            let before = held.len();
            for grant in &self.grants {
                if is_member(&grant.to, principal, &held) {
                    held.insert(grant.what.clone());
                }
            }
            if held.len() == before {
                return held;
            }
        }
    }

    /// Roles that include themselves, and principals who would hold two exclusive roles.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut exclusive: Vec<(&'static str, Vec<&Grant>)> = Vec::new();
        for name in EXCLUSIVE {
            exclusive.push((name, self.givers(name)));
        }
        for (place, (one, givers)) in exclusive.iter().enumerate() {
            for (other, others) in exclusive.iter().skip(place + 1) {
                let one_itself = Principal::Named(Kind::Role, Pattern::Exact((*one).to_owned()));
                let other_itself = Principal::Named(Kind::Role, Pattern::Exact((*other).to_owned()));
                // A holder of the one who is given the other, and somebody who is given both.
                let clash = others
                    .iter()
                    .find(|b| meets(&one_itself, &b.to) || givers.iter().any(|a| meets(&a.to, &b.to)))
                    .or_else(|| givers.iter().find(|a| meets(&other_itself, &a.to)));
                if let Some(grant) = clash {
                    let message =
                        format!("somebody would hold both `role:{one}` and `role:{other}`, which exclude each other");
                    let help = "nobody holds two of system-administrator, security-administrator and auditor";
                    problems.push(Problem::new(grant.span, message).help(help));
                }
            }
        }
        problems.extend(self.circle());
        problems
    }

    /// Every grant by which somebody comes to hold `role`, directly or through other roles and groups.
    fn givers(&self, role: &str) -> Vec<&Grant> {
        let by_name = self.by_name();
        let mut found: Vec<&Grant> = Vec::new();
        let mut seen: BTreeSet<Holding> = BTreeSet::new();
        let mut open = vec![(HoldingKind::Role, role.to_owned())];
        while let Some(what) = open.pop() {
            if !seen.insert(what.clone()) {
                continue;
            }
            for &grant in by_name.get(&what).into_iter().flatten() {
                found.push(grant);
                open.extend(self.named_by(&grant.to));
            }
        }
        found
    }

    /// The roles and groups of this policy that a pattern means.
    fn named_by(&self, to: &Principal) -> Vec<Holding> {
        let Principal::Named(kind @ (Kind::Role | Kind::Group), pattern) = to else { return Vec::new() };
        let kind = if *kind == Kind::Group { HoldingKind::Group } else { HoldingKind::Role };
        match pattern {
            Pattern::Exact(name) => vec![(kind, name.clone())],
            Pattern::Prefix(_) => {
                let all = self.grants.iter().map(|g| &g.what).filter(|(k, name)| *k == kind && pattern.matches(name));
                all.cloned().collect()
            }
        }
    }

    fn by_name(&self) -> HashMap<Holding, Vec<&Grant>> {
        let mut by_name: HashMap<Holding, Vec<&Grant>> = HashMap::new();
        for grant in &self.grants {
            by_name.entry(grant.what.clone()).or_default().push(grant);
        }
        by_name
    }

    /// The first role that includes itself.
    fn circle(&self) -> Option<Problem> {
        let mut next: HashMap<&str, Vec<(&str, Span)>> = HashMap::new();
        for grant in &self.grants {
            if let (Principal::Named(Kind::Role, Pattern::Exact(role)), (HoldingKind::Role, other)) =
                (&grant.to, &grant.what)
            {
                next.entry(role).or_default().push((other, grant.span));
            }
        }
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut roots: Vec<&str> = next.keys().copied().collect();
        roots.sort_unstable();
        for root in roots {
            // Depth first without recursion: the path is the stack.
            let mut path: Vec<(&str, usize)> = vec![(root, 0)];
            while let Some((role, place)) = path.last_mut() {
                let role = *role;
                match next.get(role).and_then(|others| others.get(*place)) {
                    Some((other, span)) => {
                        *place += 1;
                        if path.iter().any(|(on_path, _)| on_path == other) {
                            return Some(Problem::new(
                                *span,
                                format!("the role `{other}` includes itself through `{role}`"),
                            ));
                        }
                        if !done.contains(other) && path.len() < 1_000 {
                            path.push((other, 0));
                        }
                    }
                    None => {
                        done.insert(role);
                        path.pop();
                    }
                }
            }
        }
        None
    }
}

/// What a role from outside the policy is.
pub(crate) fn holding(role: &str) -> Holding {
    match role.strip_prefix("group:") {
        Some(group) => (HoldingKind::Group, group.to_owned()),
        None => (HoldingKind::Role, role.to_owned()),
    }
}

/// Whether a pattern means this principal, who holds `held`. Programs are judged elsewhere.
pub(crate) fn is_member(pattern: &Principal, principal: &str, held: &BTreeSet<Holding>) -> bool {
    let Principal::Named(kind, pattern) = pattern else { return true };
    let kind = match kind {
        Kind::Process => return false,
        Kind::Service | Kind::User => {
            let name = principal.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix(':'));
            return name.is_some_and(|name| pattern.matches(name));
        }
        Kind::Role => HoldingKind::Role,
        Kind::Group => HoldingKind::Group,
    };
    held.iter().any(|(k, name)| *k == kind && pattern.matches(name))
}

/// Whether the policy itself makes one principal match both. Two different roles may have a holder in common, but only
/// where the outside gives both, which each decision looks at.
fn meets(a: &Principal, b: &Principal) -> bool {
    match (a, b) {
        (Principal::Anyone, _) | (_, Principal::Anyone) => true,
        (Principal::Named(k, a), Principal::Named(l, b)) => k == l && a.meets(b),
    }
}
