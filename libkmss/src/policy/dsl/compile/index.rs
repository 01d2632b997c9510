//! From rules to tables: for each pair of somebody and some key the rules that speak of both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::CompileError;
use super::data::{Data, pair_hash, scatter};
use super::response::response;
use super::test::Tests;
use super::tree::{Root, Tree};
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
    /// The node of requests that have no key.
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
    pairs: BTreeMap<(Subject, Object), Vec<Entry>>,
    entries: usize,
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
    index.finish(data, &grants, exclusive, anyone, any_key)
}

impl Index {
    fn add(&mut self, rule: &Rule, data: &mut Data, tests: &mut Tests) -> Result<(), CompileError> {
        let denies = rule.effect == Effect::Deny;
        let mut subjects: BTreeSet<Subject> = rule.principals.iter().map(|one| self.subject(&one.value)).collect();
        // A deny that cannot be decided denies.
        if denies && subjects.iter().any(|one| matches!(one, Subject::Process(_))) {
            subjects.insert(Subject::UnknownProcess);
        }
        let (objects, filters) = self.objects(rule);
        let entry = Entry {
            is_allow: !denies,
            number: rule.number,
            mask: rule.mask(),
            chain: tests.chain(data, &filters, rule.when.as_ref(), denies),
            response: response(rule, data),
        };
        self.entries += subjects.len() * objects.len();
        if self.entries > MOST {
            return Err(CompileError::TooManyPairs);
        }
        for subject in subjects {
            for object in &objects {
                self.pairs.entry((subject, *object)).or_default().push(entry);
            }
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
    fn objects<'r>(&mut self, rule: &'r Rule) -> (BTreeSet<Object>, Vec<&'r Filter>) {
        let Some(keys) = &rule.keys else { return (BTreeSet::from([Object::Whatever]), Vec::new()) };
        let mut filters: Vec<&Filter> = keys.filters.iter().map(|filter| &filter.value).collect();
        let mut objects: BTreeSet<Object> =
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
                    objects.insert(Object::Key(self.keys.add("", &Pattern::Prefix(String::new()))));
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

        let no_key = data.align(8);
        write_object(data, Object::Whatever, 0);
        let keys = write_objects(data, &self.keys, Object::Key, no_key);
        let keys = self.keys.write(data, &keys, keys.get(any_key).copied().unwrap_or(no_key));
        let tags = write_objects(data, &self.tags, Object::Tag, 0);
        let tags = (!tags.is_empty()).then(|| self.tags.write(data, &tags, 0));
        let (pairs, pairs_mask) = self.write_pairs(data);
        Ok(Tables { names, roles, groups, keys, processes, tags, unknown_process, no_key, pairs, pairs_mask })
    }

    /// For each subject which keys it has rules with: a bit for every 64th.
    fn blooms(&self) -> HashMap<Subject, u64> {
        let mut blooms = HashMap::new();
        for (subject, object) in self.pairs.keys() {
            *blooms.entry(*subject).or_insert(0_u64) |= 1 << (object.id() & 63);
        }
        blooms
    }

    /// Writes the rules of each pair, and a table of pairs: subject, object, address and number of rules.
    fn write_pairs(&self, data: &mut Data) -> (u32, u32) {
        let mut slots = Vec::with_capacity(self.pairs.len());
        data.align(4);
        for ((subject, object), entries) in &self.pairs {
            let mut entries = entries.clone();
            entries.sort_unstable();
            let at = data.here();
            for entry in &entries {
                data.u32(entry.mask);
                data.u32(entry.number | u32::from(entry.is_allow) << 31);
                data.u32(entry.chain);
                data.u32(entry.response);
            }
            let end = data.here();
            let (subject, object) = (self.id(*subject), object.id());
            slots.push((pair_hash(subject, object), (subject, object, at, end)));
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

/// Nodes of keys in 16 bytes: text and length, number, and the node above.
fn write_objects(data: &mut Data, tree: &Tree, object: fn(usize) -> Object, top: u32) -> Vec<u32> {
    let texts = tree.write_texts(data);
    let first = data.align(8);
    let address = |place: usize| first + 16 * u32::try_from(place).unwrap_or(0);
    for (place, entry) in tree.entries.iter().enumerate() {
        tree.write_text(data, place, &texts);
        data.u32(object(place).id());
        data.u32(entry.above.map_or(top, address));
    }
    (0..tree.entries.len()).map(address).collect()
}

fn write_object(data: &mut Data, object: Object, above: u32) {
    for word in [0, 0, object.id(), above] {
        data.u32(word);
    }
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
    blooms: HashMap<Subject, u64>,
}

impl Subjects<'_> {
    fn write_tree(
        &self,
        data: &mut Data,
        tree: &Tree,
        subject: fn(usize) -> Subject,
        lists: &mut Lists,
    ) -> Result<Vec<u32>, CompileError> {
        let texts = tree.write_texts(data);
        (0..tree.entries.len())
            .map(|place| self.write_node(data, subject(place), lists, Some((tree, place, &texts))))
            .collect()
    }

    /// A node of somebody in 32 bytes: text and length, which keys it has rules with, its number, the exclusive roles that
    /// come with it, and all others that whoever matches it matches, too.
    fn write_node(
        &self,
        data: &mut Data,
        subject: Subject,
        lists: &mut Lists,
        text: Option<(&Tree, usize, &[u32])>,
    ) -> Result<u32, CompileError> {
        let all = self.closure(subject);
        let exclusive = self.exclusive.iter().enumerate();
        let exclusive =
            exclusive.fold(0, |mask, (bit, role)| mask | u32::from(all.contains(&Subject::Role(*role))) << bit);
        let others: Vec<Subject> =
            all.into_iter().filter(|other| *other != subject && self.blooms.contains_key(other)).collect();
        let count = others.len();
        lists.written += count;
        if lists.written > MOST {
            return Err(CompileError::TooManyPairs);
        }
        let list = match lists.known.get(&others) {
            Some(at) => *at,
            None => {
                let at = data.align(8);
                for other in &others {
                    data.u64(self.blooms.get(other).copied().unwrap_or_default());
                    data.u64(self.index.id(*other).into());
                }
                lists.known.insert(others, at);
                at
            }
        };
        let at = data.align(8);
        match text {
            Some((tree, place, texts)) => tree.write_text(data, place, texts),
            None => data.u64(0),
        }
        data.u64(self.blooms.get(&subject).copied().unwrap_or_default());
        data.u32(self.index.id(subject));
        data.u32(exclusive);
        data.u32(list);
        data.u32(list + 16 * u32::try_from(count).unwrap_or(0));
        Ok(at)
    }

    /// The node of whoever matches nothing.
    fn write_nobody(&self, data: &mut Data) -> u32 {
        let at = data.align(8);
        for _ in 0..4 {
            data.u64(0);
        }
        at
    }

    /// Everything that whoever matches `subject` matches: what is above it, and what it is granted.
    fn closure(&self, subject: Subject) -> BTreeSet<Subject> {
        let mut all = BTreeSet::new();
        let mut open = vec![subject];
        while let Some(one) = open.pop() {
            let chain: Vec<Subject> = match one {
                Subject::Name(place) => self.index.names.chain(place).map(Subject::Name).collect(),
                Subject::Role(place) => self.index.roles.chain(place).map(Subject::Role).collect(),
                Subject::Group(place) => self.index.groups.chain(place).map(Subject::Group).collect(),
                Subject::Process(place) => self.index.processes.chain(place).map(Subject::Process).collect(),
                Subject::UnknownProcess => vec![one],
            };
            for one in chain {
                if all.insert(one) {
                    open.extend(self.grants.get(&one).into_iter().flatten());
                }
            }
        }
        all
    }
}
