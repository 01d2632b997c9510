//! Names of keys: unique in their namespace, guarded by a record each.
//!
//! There are two places per name, one for a public half and one for everything else; the halves of a pair share a
//! name by taking one place each, a secret key takes both. The guards lie under the public domain key, because a
//! name must be unique among public and private objects: whoever holds the root key but no PIN can test guesses of names,
//! and reads none.

use std::collections::HashSet;

use subtle::ConstantTimeEq;

use super::index::proof;
use super::path::{Paths, Term};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, Key, KeyClass, Object};
use crate::store::{Store, StoreKey};
use crate::tenant::ObjectId;

/// Why a key is not called as it was to be.
pub(super) const TAKEN: &str = "another key, or one that was destroyed and keeps its name, is called so";

/// A place of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Taken by private halves, and by secret keys.
    Main,
    /// Taken by public halves, and by secret keys.
    Public,
}

impl Place {
    /// The places that a key of `class` takes.
    pub(super) const fn of(class: KeyClass) -> &'static [Self] {
        match class {
            KeyClass::Secret => &[Self::Main, Self::Public],
            KeyClass::Private => &[Self::Main],
            KeyClass::Public => &[Self::Public],
        }
    }

    const fn index(self) -> &'static str {
        match self {
            Self::Main => "name",
            Self::Public => "name of public half",
        }
    }
}

/// Path of the guard of `name` in `place`.
pub(super) fn guard(key: &DomainKey, paths: &Paths, place: Place, name: &str) -> Result<StoreKey> {
    paths.name(key.index_term(place.index(), name.as_bytes()).map(Term::of)?)
}

/// Paths of the guards that a key of `class` needs for `name`.
pub(super) fn guards(key: &DomainKey, paths: &Paths, class: KeyClass, name: &str) -> Result<Vec<StoreKey>> {
    Place::of(class).iter().map(|place| guard(key, paths, *place, name)).collect()
}

/// Paths of all guards that `key` needs: for its name, and for its aliases.
pub(super) fn all_guards(domain: &DomainKey, paths: &Paths, key: &Key) -> Result<Vec<StoreKey>> {
    let names = std::iter::once(&key.name).chain(&key.metadata.aliases);
    Ok(names.map(|name| guards(domain, paths, key.class, name)).collect::<Result<Vec<_>>>()?.concat())
}

/// What the guard at `path` holds for the object `id`.
pub(super) fn content(key: &DomainKey, path: &StoreKey, id: ObjectId) -> Result<Vec<u8>> {
    let Term(mac) = proof(key, path, &id.0)?;
    Ok([id.0, mac].concat())
}

/// The object that the guard at `path` belongs to.
pub(super) fn read(key: &DomainKey, path: &StoreKey, guard: &[u8]) -> Result<ObjectId> {
    let damaged = || Error::new(ErrorKind::Damaged, "the record of a key name is damaged");
    let (id, mac) = guard.split_first_chunk::<16>().ok_or_else(damaged)?;
    let genuine: bool = proof(key, path, id)?.0.as_slice().ct_eq(mac).into();
    if genuine { Ok(ObjectId(*id)) } else { Err(damaged()) }
}

/// Gives every key of `objects` a free name near the one in `wanted` (`-2`, `-3`, … where it is taken, or among `taken`). A private
/// and a public key that come together get the same; those of `exact` get what they want, or there is an error. The places of the
/// names. Where no store is given, only `taken` says which names are.
pub(super) fn choose(
    store: Option<&dyn Store>,
    (key, paths): (&DomainKey, &Paths),
    (wanted, exact, taken): (&[String], &[ObjectId], &HashSet<StoreKey>),
    objects: &mut [Object],
) -> Result<Vec<StoreKey>> {
    let mut chosen: Vec<StoreKey> = Vec::new();
    for group in groups(wanted, objects) {
        let classes: Vec<KeyClass> = group.iter().filter_map(|i| objects.get(*i)?.key()).map(|k| k.class).collect();
        let base = group.iter().filter_map(|i| wanted.get(*i)).find(|n| !n.is_empty()).map_or("key", String::as_str);
        let needed = |number: u64| -> Result<Vec<StoreKey>> {
            let name = numbered(base, number);
            let guards = classes.iter().map(|class| guards(key, paths, *class, &name));
            Ok(guards.collect::<Result<Vec<_>>>()?.concat())
        };
        let are_free = |needed: &[StoreKey]| -> Result<bool> {
            if needed.iter().any(|guard| taken.contains(guard) || chosen.contains(guard)) {
                return Ok(false);
            }
            store.map_or(Ok(true), |store| Ok(store.get_many(needed)?.iter().all(Option::is_none)))
        };
        let first = needed(1)?;
        let (number, places) = match are_free(&first)? {
            true => (1, first),
            false if group.iter().filter_map(|i| objects.get(*i)).any(|object| exact.contains(&object.id)) => {
                return Err(Error::new(ErrorKind::AlreadyExists, TAKEN));
            }
            false => {
                let number = first_free(|number| are_free(&needed(number)?))?;
                (number, needed(number)?)
            }
        };
        chosen.extend(places);
        for i in group {
            if let Some(key) = objects.get_mut(i).and_then(key_mut) {
                key.name = numbered(base, number);
            }
        }
    }
    Ok(chosen)
}

pub(super) fn key_mut(object: &mut Object) -> Option<&mut Key> {
    match &mut object.body {
        crate::key::Body::Key(key) => Some(key),
        _ => None,
    }
}

fn numbered(base: &str, number: u64) -> String {
    if number == 1 { base.to_owned() } else { format!("{base}-{number}") }
}

/// A free number behind 1, which is taken, whose predecessor is taken. Few looks even where thousands of keys want one name:
/// doubles until one is free, then halves the distance.
fn first_free(free: impl Fn(u64) -> Result<bool>) -> Result<u64> {
    let (mut taken, mut candidate) = (1, 2);
    while !free(candidate)? {
        taken = candidate;
        candidate *= 2;
    }
    while candidate - taken > 1 {
        let middle = taken + (candidate - taken) / 2;
        if free(middle)? {
            candidate = middle;
        } else {
            taken = middle;
        }
    }
    Ok(candidate)
}

/// Which keys share a name: a private and a public one that want the same, or that are the only ones of their kind.
fn groups(wanted: &[String], objects: &[Object]) -> Vec<Vec<usize>> {
    let of = |class| {
        let keys = objects.iter().enumerate().filter_map(|(i, o)| Some((i, o.key()?)));
        keys.filter(|(_, k)| k.class == class).map(|(i, _)| i).collect::<Vec<_>>()
    };
    let mut publics = of(KeyClass::Public);
    let privates = of(KeyClass::Private);
    let only_pair = privates.len() == 1 && publics.len() == 1;
    let mut groups: Vec<Vec<usize>> = of(KeyClass::Secret).into_iter().map(|i| vec![i]).collect();
    for private in privates {
        let partner = publics.iter().position(|public| only_pair || wanted.get(*public) == wanted.get(private));
        groups.push(std::iter::once(private).chain(partner.map(|at| publics.remove(at))).collect());
    }
    groups.extend(publics.into_iter().map(|i| vec![i]));
    groups
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_free_number_is_found_with_few_looks() {
        for used in [1_u64, 2, 3, 7, 8, 9, 1000, 10_000] {
            let looks = std::cell::Cell::new(0);
            let found = first_free(|n| {
                looks.set(looks.get() + 1);
                Ok(n > used)
            });
            assert_eq!(found.unwrap(), used + 1);
            assert!(looks.get() <= 30);
        }
    }
}
