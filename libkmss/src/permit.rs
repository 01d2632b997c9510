//! Permits: proof that the pipeline admitted one action.
//!
//! Every backend call asks for one. `Permit::issue` is called by the pipeline alone (a test reads the sources).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use crate::caller::{Caller, Login};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Date, DomainKey, Key, KeyVersion, Object, Protection, Storage, Usage};
use crate::tenant::{NamespaceId, ObjectId};

/// What an action is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An existing object.
    Object(Arc<Object>),
    /// An object that is about to exist.
    New(Arc<NewObject>),
    /// The namespace itself (find, digest, random, login).
    Namespace,
}

/// An object that is about to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// The identity it will have.
    pub id: ObjectId,
    /// Where it will live.
    pub storage: Storage,
    /// Whether it will be private.
    pub private: bool,
    /// The name asked for (a key's name is made unique when it is stored); may be empty.
    pub name: String,
    /// Whether it will be a key.
    pub is_key: bool,
    /// Name of the key it comes from; empty where it comes from none.
    pub origin: String,
    /// For keys: what it may be used for.
    pub usage: Usage,
    /// For keys: how it is to be protected, as asked for.
    pub protection: Protection,
    /// What else is asked for, of what is to be stored: for a backend that keeps it beside the material.
    pub wishes: Option<Arc<Wishes>>,
}

/// What else is asked for in an object that is to be stored, beside what decisions and devices look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `Object` and `Key`, where they are told")]
pub struct Wishes {
    pub modifiable: bool,
    pub copyable: bool,
    pub destroyable: bool,
    pub label: Vec<u8>,
    pub identifier: Vec<u8>,
    pub attributes: BTreeMap<u64, ByteBuf>,
    pub allowed_mechanisms: Vec<u64>,
    pub exact: bool,
    pub pre_active: bool,
    pub start: Option<Date>,
    pub end: Option<Date>,
}

/// Everything that one action is about.
#[derive(Clone, Debug)]
pub struct Subjects {
    /// What it is about first of all.
    pub subject: Subject,
    /// The second subject, see [`Permit::also`].
    pub also: Option<Subject>,
    /// Other input keys of a derivation, and all new keys of it but the first.
    pub more: Vec<Subject>,
}

impl Subjects {
    /// An action on a namespace.
    pub const NAMESPACE: Self = Self { subject: Subject::Namespace, also: None, more: Vec::new() };

    /// All of them.
    pub fn each(&self) -> impl Iterator<Item = &Subject> {
        std::iter::once(&self.subject).chain(&self.also).chain(&self.more)
    }

    /// With what is to be made knowing what it comes from: the name of that key, and whether a copy is one of a key.
    pub(crate) fn with_origin(mut self) -> Self {
        let Subject::Object(source) = &self.subject else { return self };
        for subject in self.also.iter_mut().chain(&mut self.more) {
            if let Subject::New(new) = subject {
                match source.key() {
                    Some(key) if !new.origin.is_empty() || key.policy_name().is_empty() => {}
                    Some(key) => key.policy_name().clone_into(&mut Arc::make_mut(new).origin),
                    None => Arc::make_mut(new).is_key = false,
                }
            }
        }
        self
    }

    /// With objects as they came to exist in the place of what was asked for.
    pub(crate) fn made<'a>(mut self, objects: impl Iterator<Item = &'a Arc<Object>>) -> Self {
        for object in objects {
            for subject in std::iter::once(&mut self.subject).chain(&mut self.also).chain(&mut self.more) {
                if matches!(subject, Subject::New(new) if new.id == object.id) {
                    *subject = Subject::Object(Arc::clone(object));
                }
            }
        }
        self
    }

    /// Whether the user must confirm this very `action` on them before it computes anything (`always_authenticate`).
    #[must_use]
    pub fn ask_confirmation(&self, action: Action) -> bool {
        let uses =
            matches!(action, Action::Sign | Action::Decrypt | Action::Unwrap | Action::Derive | Action::Decapsulate)
                || matches!(action, Action::Detokenize | Action::ReadMasked | Action::DeriveChild);
        let asks =
            |s: &Subject| matches!(s, Subject::Object(o) if o.key().is_some_and(|k| k.protection.always_authenticate));
        uses && (asks(&self.subject) || self.more.iter().any(asks))
    }
}

/// Proof that one action on one subject was admitted, with what a backend needs to carry it out.
#[derive(Debug)]
pub struct Permit {
    action: Action,
    caller: Caller,
    subjects: Subjects,
    generation: u64,
    issued: Timestamp,
}

impl Permit {
    /// Issues a permit. For the pipeline only.
    pub(crate) const fn issue(
        action: Action,
        caller: Caller,
        subjects: Subjects,
        generation: u64,
        issued: Timestamp,
    ) -> Self {
        Self { action, caller, subjects, generation, issued }
    }

    /// The permit for one step of what this one admits, for an operation that asks backends for several things: about keys that
    /// this one names, and what is made of them on the way. For moves only.
    pub(crate) fn step_of_move(&self, subject: Subject, also: Option<Subject>) -> Self {
        let subjects = Subjects { subject, also, more: Vec::new() };
        Self { action: self.action, caller: self.caller.clone(), subjects, ..*self }
    }

    /// The admitted action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Who was admitted.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the action is about.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subjects.subject
    }

    /// Everything the action is about.
    #[must_use]
    pub const fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The second subject: the wrapped key; the new key of unwrapping, derivation and copying; a pair's public half.
    #[must_use]
    pub const fn also(&self) -> Option<&Subject> {
        self.subjects.also.as_ref()
    }

    /// Puts another subject in place of what the action is about, which is returned. For the pipeline only.
    pub(crate) const fn put_subject(&mut self, subject: Subject) -> Subject {
        std::mem::replace(&mut self.subjects.subject, subject)
    }

    /// Everything the action was about, once it is done.
    pub(crate) fn into_subjects(self) -> Subjects {
        self.subjects
    }

    /// Store generation of the decision.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Time of the decision.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// Whether the user must confirm this very operation before it computes anything (`always_authenticate`).
    #[must_use]
    pub fn asks_confirmation(&self) -> bool {
        self.subjects.ask_confirmation(self.action)
    }

    /// The admitted key and the version to use.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the permit is not about a key.
    pub fn key(&self) -> Result<Granted<'_>> {
        granted(Some(&self.subjects.subject))
    }

    /// The second key ([`Self::also`]) and the version to use.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when there is none.
    pub fn second_key(&self) -> Result<Granted<'_>> {
        granted(self.subjects.also.as_ref())
    }

    /// The object to be made: the subject where that is new (of a pair, the private half), else the second subject.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the permit makes nothing.
    pub fn new_object(&self) -> Result<&NewObject> {
        match (&self.subjects.subject, &self.subjects.also) {
            (Subject::New(new), _) | (_, Some(Subject::New(new))) => Ok(new),
            _ => Err(Error::new(ErrorKind::Internal, "the permit makes no object")),
        }
    }

    /// Other input keys of a derivation, in the order in which they were named.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where one of them is not a key.
    pub fn other_keys(&self) -> Result<Vec<Granted<'_>>> {
        let inputs = self.subjects.more.iter().filter(|subject| matches!(subject, Subject::Object(_)));
        inputs.map(|subject| granted(Some(subject))).collect()
    }

    /// All objects to be made, in the order in which they were asked for.
    pub fn new_objects(&self) -> impl Iterator<Item = &NewObject> {
        self.subjects.each().filter_map(|subject| match subject {
            Subject::New(new) => Some(&**new),
            _ => None,
        })
    }

    /// The domain key that seals material kept where `storage` and `private` say.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for private objects of a caller who has not authenticated.
    pub fn domain_key(&self, storage: Storage, private: bool) -> Result<&Arc<DomainKey>> {
        let ring = &self.caller.keyring;
        match (storage, private) {
            (Storage::Ephemeral, _) => Ok(&ring.ephemeral),
            (Storage::Stored, false) => Ok(&ring.public),
            (Storage::Stored, true) => ring
                .private
                .as_ref()
                .ok_or_else(|| Error::new(ErrorKind::NotLoggedIn, "private objects need an authenticated user")),
        }
    }
}

/// Proof that a user has just authenticated for one operation. Spent when it is given to one.
#[derive(Debug)]
pub struct Confirmation {
    namespace: NamespaceId,
    login: Login,
}

impl Confirmation {
    /// The proof for `caller`, whose credential was checked a moment ago. For [`Kms`](crate::kms::Kms) only.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self { namespace: caller.namespace.id, login: caller.login.clone() }
    }

    /// Whether it is `caller` who authenticated.
    pub(crate) fn is_from(&self, caller: &Caller) -> bool {
        (self.namespace, &self.login) == (caller.namespace.id, &caller.login)
    }
}

/// A key that a permit admits.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The object.
    pub object: &'a Arc<Object>,
    /// Its key.
    pub key: &'a Key,
    /// The version to use.
    pub version: &'a KeyVersion,
}

fn granted(subject: Option<&Subject>) -> Result<Granted<'_>> {
    let Some(Subject::Object(object)) = subject else {
        return Err(Error::new(ErrorKind::Internal, "the permit names no key"));
    };
    let key =
        object.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the permit names an object without a key"))?;
    Ok(Granted { object, key, version: key.primary()? })
}
