//! From rules to tables: for each pair of somebody and some key the rules that speak of both.

use std::collections::{BTreeSet, HashMap};

use super::CompileError;
use super::data::{Data, low, pair_hash, scatter};
use super::response::response;
use super::test::Tests;
use super::tree::{Entry as TreeEntry, Root, Tree};
use crate::policy::dsl::Policy;
use crate::policy::dsl::ast::{Effect, Filter, Pattern, Principal, Rule};
use crate::policy::dsl::members::HoldingKind;
use crate::policy::dsl::words::{EXCLUSIVE, Kind};

/// Most entries of all tables: a short text can name a million pairs.
const MOST: usize = 1 << 20;

/// Addresses that the evaluator begins with.
pub(super) struct Tables {
    pub(super) names: Root,
    pub(super) roles: Root,
    pub(super) groups: Root,
    pub(super) keys: Root,
    /// `None`: no rule speaks of programs.
    pub(super) processes: Option<Root>,
    /// `None`: no rule chooses keys by their tags alone.
    pub(super) tags: Option<Root>,
    /// The node of callers whose program is not known.
    pub(super) unknown_process: u32,
    /// The node of requests that have no key; 0: no rule speaks of them.
    pub(super) no_key: u32,
    pub(super) pairs: u32,
    pub(super) pairs_mask: u32,
}

/// Somebody: a place in one of four trees, or a caller whose program is not known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Subject {
    Name(usize),
    Role(usize),
    Group(usize),
    Process(usize),
    UnknownProcess,
}

/// Some key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Object {
    /// The rule names none.
    Whatever,
    Key(usize),
    Tag(usize),
}

/// A rule for a pair. Denies stand before allows, each in the order of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    is_allow: bool,
    number: u32,
    mask: u32,
    chain: u32,
    response: u32,
}

#[derive(Default)]
struct Index {
    names: Tree,
    roles: Tree,
    groups: Tree,
    processes: Tree,
    keys: Tree,
    tags: Tree,
    pairs: Vec<(Subject, Object, Entry)>,
}

/// Writes all tables of a policy.
pub(super) fn write(policy: &Policy, data: &mut Data) -> Result<Tables, CompileError> {
    let mut index = Index::default();
    // Those who match nothing else are anyone, and keys that match nothing else are any key.
    let anyone = index.names.add("", &Pattern::Prefix(String::new()));
    let any_key = index.keys.add("", &Pattern::Prefix(String::new()));
    let mut tests = Tests::default();
    for rule in policy.rules() {
        index.add(rule, data, &mut tests)?;
    }
    let exclusive = EXCLUSIVE.map(|name| index.roles.add("", &Pattern::Exact(name.to_owned())));
    let mut grants: HashMap<Subject, Vec<Subject>> = HashMap::new();
    for grant in &policy.members.grants {
        let name = Pattern::Exact(grant.what.1.clone());
        let what = match grant.what.0 {
            HoldingKind::Role => Subject::Role(index.roles.add("", &name)),
            HoldingKind::Group => Subject::Group(index.groups.add("", &name)),
        };
        let to = index.subject(&grant.to);
        grants.entry(to).or_default().push(what);
    }
    let Index { names, roles, groups, processes, keys, tags, .. } = &mut index;
    for tree in [names, roles, groups, processes, keys, tags] {
        tree.grow();
    }
    index.pairs.sort_unstable();
    index.finish(data, &grants, exclusive, anyone, any_key)
}

impl Index {
    fn add(&mut self, rule: &Rule, data: &mut Data, tests: &mut Tests) -> Result<(), CompileError> {
        let denies = rule.effect == Effect::Deny;
        let mut subjects: Vec<Subject> = rule.principals.iter().map(|one| self.subject(&one.value)).collect();
        // A deny that cannot be decided denies.
        if denies && subjects.iter().any(|one| matches!(one, Subject::Process(_))) {
            subjects.push(Subject::UnknownProcess);
        }
        subjects.sort_unstable();
        subjects.dedup();
        let (mut objects, filters) = self.objects(rule);
        objects.sort_unstable();
        objects.dedup();
        let entry = Entry {
            is_allow: !denies,
            number: rule.number,
            mask: rule.mask(),
            chain: tests.chain(data, &filters, rule.when.as_ref(), denies),
            response: response(rule, data),
        };
        if self.pairs.len() + subjects.len() * objects.len() > MOST {
            return Err(CompileError::TooManyPairs);
        }
        for subject in subjects {
            self.pairs.extend(objects.iter().map(|object| (subject, *object, entry)));
        }
        Ok(())
    }

    fn subject(&mut self, principal: &Principal) -> Subject {
        match principal {
            Principal::Anyone => Subject::Name(self.names.add("", &Pattern::Prefix(String::new()))),
            Principal::Named(Kind::Service, pattern) => Subject::Name(self.names.add("service:", pattern)),
            Principal::Named(Kind::User, pattern) => Subject::Name(self.names.add("user:", pattern)),
            Principal::Named(Kind::Role, pattern) => Subject::Role(self.roles.add("", pattern)),
            Principal::Named(Kind::Group, pattern) => Subject::Group(self.groups.add("", pattern)),
            Principal::Named(Kind::Process, pattern) => Subject::Process(self.processes.add("", pattern)),
        }
    }

    /// The keys that a rule is found by, and what else it asks of them.
    fn objects<'r>(&mut self, rule: &'r Rule) -> (Vec<Object>, Vec<&'r Filter>) {
        let Some(keys) = &rule.keys else { return (vec![Object::Whatever], Vec::new()) };
        let mut filters: Vec<&Filter> = keys.filters.iter().map(|filter| &filter.value).collect();
        let mut objects: Vec<Object> =
            keys.names.iter().map(|name| Object::Key(self.keys.add("", &name.value))).collect();
        if objects.is_empty() {
            match filters.iter().position(|filter| matches!(filter, Filter::Tagged(_))) {
                Some(place) => {
                    if let Filter::Tagged(tags) = filters.remove(place) {
                        let tags = tags.iter().map(|tag| Object::Tag(self.tags.add("", &Pattern::Exact(tag.clone()))));
                        objects = tags.collect();
                    }
                }
                None => {
                    objects.push(Object::Key(self.keys.add("", &Pattern::Prefix(String::new()))));
                }
            }
        }
        (objects, filters)
    }

    fn finish(
        self,
        data: &mut Data,
        grants: &HashMap<Subject, Vec<Subject>>,
        exclusive: [usize; 3],
        anyone: usize,
        any_key: usize,
    ) -> Result<Tables, CompileError> {
        let subjects = Subjects { index: &self, grants, exclusive, blooms: self.blooms() };
        let mut lists = Lists::default();
        let unknown_process = subjects.write_node(data, Subject::UnknownProcess, &mut lists, None)?;
        let nobody = subjects.write_nobody(data);
        let names = subjects.write_tree(data, &self.names, Subject::Name, &mut lists)?;
        let roles = subjects.write_tree(data, &self.roles, Subject::Role, &mut lists)?;
        let groups = subjects.write_tree(data, &self.groups, Subject::Group, &mut lists)?;
        let processes = subjects.write_tree(data, &self.processes, Subject::Process, &mut lists)?;
        let names = self.names.write(data, &names, names.get(anyone).copied().unwrap_or(nobody));
        let start_of = |tree: &Tree, nodes: &[u32]| {
            // What matches nothing else matches the empty start, if there is one.
            let empty = tree.entries.iter().position(|entry| entry.is_empty_start());
            empty.and_then(|place| nodes.get(place).copied()).unwrap_or(nobody)
        };
        let otherwise = start_of(&self.roles, &roles);
        let roles = self.roles.write(data, &roles, otherwise);
        let otherwise = start_of(&self.groups, &groups);
        let groups = self.groups.write(data, &groups, otherwise);
        let otherwise = start_of(&self.processes, &processes);
        let with_processes = !self.processes.entries.is_empty();
        let processes = with_processes.then(|| self.processes.write(data, &processes, otherwise));

        let used: Vec<bool> = self.used_objects();
        let is_used = |object: Object| used.get(object.id() as usize).copied().unwrap_or_default();
        let no_key = if is_used(Object::Whatever) { write_whatever(data) } else { 0 };
        let (nodes, any_key) = self.write_keys(data, is_used, no_key, any_key);
        let keys = self.keys.write(data, &nodes, any_key);
        let tags = (!self.tags.entries.is_empty()).then(|| {
            let nodes = self.write_tags(data);
            self.tags.write(data, &nodes, 0)
        });
        let (pairs, pairs_mask) = self.write_pairs(data);
        Ok(Tables { names, roles, groups, keys, processes, tags, unknown_process, no_key, pairs, pairs_mask })
    }

    /// For each subject, by its number, which keys it has rules with: a bit for every 64th.
    fn blooms(&self) -> Vec<u64> {
        let mut blooms = vec![0; self.id(Subject::UnknownProcess) as usize + 1];
        for (subject, object, _) in &self.pairs {
            if let Some(bloom) = blooms.get_mut(self.id(*subject) as usize) {
                *bloom |= 1_u64 << (object.id() & 63);
            }
        }
        blooms
    }

    /// For each object, by its number, whether any rule is found by it.
    fn used_objects(&self) -> Vec<bool> {
        let last = self.pairs.iter().map(|(_, object, _)| object.id()).max();
        let mut used = vec![false; last.map_or(0, |last| last as usize + 1)];
        for (_, object, _) in &self.pairs {
            if let Some(used) = used.get_mut(object.id() as usize) {
                *used = true;
            }
        }
        used
    }

    /// Writes the rules of each pair, and a table of pairs: subject, object, address and end of rules.
    fn write_pairs(&self, data: &mut Data) -> (u32, u32) {
        let mut slots = Vec::with_capacity(self.pairs.len());
        data.align(4);
        for rules in self.pairs.chunk_by(|(a, b, _), (c, d, _)| (a, b) == (c, d)) {
            let Some((subject, object, _)) = rules.first() else { continue };
            let at = data.here();
            for (.., entry) in rules {
                data.u32(entry.mask);
                data.u32(entry.number | u32::from(entry.is_allow) << 31);
                data.u32(entry.chain);
                data.u32(entry.response);
            }
            let (subject, object) = (self.id(*subject), object.id());
            slots.push((pair_hash(subject, object), (subject, object, at, data.here())));
        }
        let table = scatter(slots);
        let at = data.align(16);
        let mask = u32::try_from(table.len()).unwrap_or(1) - 1;
        for slot in table {
            let (_, (subject, object, from, to)) = slot.unwrap_or_default();
            for word in [subject, object, from, to] {
                data.u32(word);
            }
        }
        (at, mask)
    }

    /// Writes nodes of keys: text and length, number, and the next node above by which rules are found. Returns them, and the
    /// node of keys that no pattern but the empty one matches.
    fn write_keys(&self, data: &mut Data, is_used: impl Fn(Object) -> bool, top: u32, any: usize) -> (Vec<u32>, u32) {
        let tree = &self.keys;
        let nodes = tree.nodes(data.align(8), &[0; 2]);
        let used = |place: Option<usize>| {
            let mut chain = place.into_iter().flat_map(|place| tree.chain(place));
            let used = chain.find(|place| is_used(Object::Key(*place)));
            used.and_then(|place| nodes.get(place).copied()).unwrap_or(top)
        };
        for (place, entry) in tree.entries.iter().enumerate() {
            tree.write_node(data, entry, &[Object::Key(place).id(), used(entry.above)]);
        }
        let any = used(Some(any));
        (nodes, any)
    }

    /// The same of tags, which have nothing above them.
    fn write_tags(&self, data: &mut Data) -> Vec<u32> {
        let node = |(place, entry)| self.tags.write_node(data, entry, &[Object::Tag(place).id(), 0]);
        self.tags.entries.iter().enumerate().map(node).collect()
    }

    /// The number of a subject.
    fn id(&self, subject: Subject) -> u32 {
        let names = self.names.entries.len();
        let roles = names + self.roles.entries.len();
        let groups = roles + self.groups.entries.len();
        let id = match subject {
            Subject::Name(place) => place,
            Subject::Role(place) => names + place,
            Subject::Group(place) => roles + place,
            Subject::Process(place) => groups + place,
            Subject::UnknownProcess => groups + self.processes.entries.len(),
        };
        u32::try_from(id).unwrap_or(u32::MAX)
    }
}

impl Object {
    /// The number of an object.
    fn id(self) -> u32 {
        let id = match self {
            Self::Whatever => 0,
            Self::Key(place) => 1 + 2 * place,
            Self::Tag(place) => 2 + 2 * place,
        };
        u32::try_from(id).unwrap_or(u32::MAX)
    }
}

/// The node of rules that name no key.
fn write_whatever(data: &mut Data) -> u32 {
    let at = data.align(8);
    for word in [0, 0, Object::Whatever.id(), 0] {
        data.u32(word);
    }
    at
}

/// Lists of subjects that are written once.
#[derive(Default)]
struct Lists {
    known: HashMap<Vec<Subject>, u32>,
    written: usize,
}

struct Subjects<'i> {
    index: &'i Index,
    grants: &'i HashMap<Subject, Vec<Subject>>,
    exclusive: [usize; 3],
    blooms: Vec<u64>,
}

impl Subjects<'_> {
    fn write_tree(
        &self,
        data: &mut Data,
        tree: &Tree,
        subject: fn(usize) -> Subject,
        lists: &mut Lists,
    ) -> Result<Vec<u32>, CompileError> {
        let entries = tree.entries.iter().enumerate();
        entries.map(|(place, entry)| self.write_node(data, subject(place), lists, Some((tree, entry)))).collect()
    }

    /// A node of somebody in 32 bytes: text and length, which keys it has rules with, its number, the exclusive roles that
    /// come with it, and all others that whoever matches it matches, too.
    fn write_node(
        &self,
        data: &mut Data,
        subject: Subject,
        lists: &mut Lists,
        text: Option<(&Tree, &TreeEntry)>,
    ) -> Result<u32, CompileError> {
        let all = self.closure(subject);
        let exclusive = self.exclusive.iter().enumerate();
        let exclusive =
            exclusive.fold(0, |mask, (bit, role)| mask | u32::from(all.contains(&Subject::Role(*role))) << bit);
        let others: Vec<Subject> =
            all.into_iter().filter(|other| *other != subject && self.bloom(*other) != 0).collect();
        let count = others.len();
        lists.written += count;
        if lists.written > MOST {
            return Err(CompileError::TooManyPairs);
        }
        let list = match lists.known.get(&others) {
            _ if others.is_empty() => 0,
            Some(at) => *at,
            None => {
                let at = data.align(8);
                for other in &others {
                    data.u64(self.bloom(*other));
                    data.u64(self.index.id(*other).into());
                }
                lists.known.insert(others, at);
                at
            }
        };
        let bloom = self.bloom(subject);
        let end = list + 16 * u32::try_from(count).unwrap_or(0);
        let rest = [low(bloom), low(bloom >> 32), self.index.id(subject), exclusive, list, end];
        Ok(match text {
            Some((tree, entry)) => tree.write_node(data, entry, &rest),
            None => {
                let at = data.align(8);
                data.u64(0);
                rest.iter().for_each(|word| data.u32(*word));
                at
            }
        })
    }

    /// Which keys somebody has rules with.
    fn bloom(&self, subject: Subject) -> u64 {
        self.blooms.get(self.index.id(subject) as usize).copied().unwrap_or_default()
    }

    /// The node of whoever matches nothing.
    fn write_nobody(&self, data: &mut Data) -> u32 {
        let at = data.align(8);
        for _ in 0..4 {
            data.u64(0);
        }
        at
    }

    /// Everything that whoever matches `subject` matches: what is above it, and what it is granted; in order.
    fn closure(&self, subject: Subject) -> Vec<Subject> {
        let mut chain = self.chain(subject);
        if self.grants.is_empty() || !chain.iter().any(|one| self.grants.contains_key(one)) {
            chain.sort_unstable();
            return chain;
        }
        let mut all = BTreeSet::new();
        let mut open = chain;
        while let Some(one) = open.pop() {
            for one in self.chain(one) {
                if all.insert(one) {
                    open.extend(self.grants.get(&one).into_iter().flatten());
                }
            }
        }
        all.into_iter().collect()
    }

    /// A subject and all above it.
    fn chain(&self, subject: Subject) -> Vec<Subject> {
        let Index { names, roles, groups, processes, .. } = self.index;
        match subject {
            Subject::Name(place) => names.chain(place).map(Subject::Name).collect(),
            Subject::Role(place) => roles.chain(place).map(Subject::Role).collect(),
            Subject::Group(place) => groups.chain(place).map(Subject::Group).collect(),
            Subject::Process(place) => processes.chain(place).map(Subject::Process).collect(),
            Subject::UnknownProcess => vec![subject],
        }
    }
}
