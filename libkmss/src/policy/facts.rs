//! What the host knows of a request, as policies see it.

use super::{Flags, Input, InputKey, PolicyRequest};
use crate::clock::Timestamp;
use crate::key::{Key, Object, Storage};
use crate::mechanism::Mechanism;
use crate::permit::{NewObject, Subject};
use crate::seen::{Seen, SeenKey};
use crate::settings::Weakness;
use crate::tenant::ObjectId;

/// The texts that an [`Input`] borrows.
pub(super) struct Facts<'a> {
    id: Hex,
    session: Number,
    key: Option<KeyFacts<'a>>,
}

/// The key of a request: one that is, or one that is to be.
enum KeyFacts<'a> {
    Known(&'a Object, &'a Key),
    New(&'a NewObject),
}

impl<'a> Facts<'a> {
    pub(super) fn of(request: &PolicyRequest<'a>) -> Self {
        let (id, key) = match request.subject {
            Subject::Object(object) => (Some(object.id), object.key().map(|key| KeyFacts::Known(object, key))),
            Subject::New(new) => (None, new.is_key.then_some(KeyFacts::New(new))),
            Subject::Namespace => (None, None),
        };
        Self { id: id.map_or(Hex::EMPTY, Hex::of), session: Number::of(request.caller.session), key }
    }

    /// The name under which decisions are counted.
    pub(super) fn counted_name(&self) -> &str {
        match &self.key {
            Some(KeyFacts::Known(_, key)) => key.counted_name(),
            Some(KeyFacts::New(new)) if new.name.is_empty() => &new.origin,
            Some(KeyFacts::New(new)) => &new.name,
            None => "",
        }
    }

    /// The names under which the request is decided: the key's own, and those of the keys that it is a copy of. A session
    /// key has the name of the key it came from.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (own, others): (&'a str, &'a [String]) = match &self.key {
            Some(KeyFacts::Known(_, key)) => (key.policy_name(), &key.copy_of),
            Some(KeyFacts::New(new)) if new.name.is_empty() => (&new.origin, &[]),
            Some(KeyFacts::New(new)) => (&new.name, &[]),
            None => ("", &[]),
        };
        std::iter::once(own).chain(others.iter().map(String::as_str).filter(move |other| *other != own))
    }

    /// The request under one of its names; counts and sequence are the engine's to fill.
    pub(super) fn input(&'a self, request: &PolicyRequest<'a>, name: &'a str) -> Input<'a> {
        let caller = request.caller;
        let process = &caller.principal.process;
        Input {
            action: request.action,
            mechanism: request.mechanism.map(Mechanism::name),
            time: request.time,
            sequence: 0,
            last_second: 0,
            last_minute: 0,
            data_len: request.data_len,
            flags: Flags {
                interactive: false,
                mfa: request.confirmed,
                fips: caller.namespace.settings.forbid.contains(Weakness::Unapproved),
            },
            uid: process.uid,
            pid: process.pid,
            key: self.key.as_ref().map(|key| self.input_key(key, request, name)),
            tenant: &caller.namespace.tenant,
            namespace: &caller.namespace.name,
            principal: &caller.principal.name,
            roles: &caller.principal.roles,
            process: &process.executable,
            source: &caller.principal.source,
            session: self.session.text(),
            context: request.context,
        }
    }

    /// What the record of the request should say; set, counts, decision and context are the set's to fill.
    pub(super) fn seen(&self, request: &PolicyRequest<'_>) -> Seen {
        let Input { flags, time, data_len, .. } = self.input(request, "");
        let key = self.key.as_ref().map(|key| {
            let InputKey { session, key_type, bits, created, version_age, .. } = self.input_key(key, request, "");
            let new = matches!(key, KeyFacts::New(_)).then(|| self.names().next().unwrap_or_default().to_owned());
            SeenKey { new, session, key_type, bits, created, version_age }
        });
        Seen {
            place: 0,
            set: [0; 8],
            action: request.action,
            allowed: false,
            time,
            counts: None,
            data_len,
            mfa: flags.mfa,
            fips: flags.fips,
            key,
        }
    }

    fn input_key(&'a self, key: &'a KeyFacts<'a>, request: &PolicyRequest<'a>, name: &'a str) -> InputKey<'a> {
        match key {
            KeyFacts::Known(object, key) => {
                let version = key.primary().ok();
                InputKey {
                    id: self.id.text(),
                    name,
                    session: object.storage == Storage::Ephemeral,
                    key_type: Some(key.key_type),
                    bits: version.map_or(0, |version| version.bits),
                    created: object.created,
                    version_age: version.map_or(0, |version| request.time.0.saturating_sub(version.created.0)),
                    tags: &key.tags,
                }
            }
            KeyFacts::New(new) => InputKey {
                id: "",
                name,
                session: new.storage == Storage::Ephemeral,
                key_type: match request.mechanism {
                    Some(Mechanism::Generate(key_type)) => Some(*key_type),
                    _ => None,
                },
                bits: 0,
                created: Timestamp(0),
                version_age: 0,
                tags: &[],
            },
        }
    }
}

/// An identity as 32 hex digits, without an allocation.
struct Hex([u8; 32], usize);

impl Hex {
    const EMPTY: Self = Self([0; 32], 0);

    fn of(id: ObjectId) -> Self {
        let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(id.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Self(digits, 32)
    }

    fn text(&self) -> &str {
        self.0.get(..self.1).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

/// A number in decimal digits, without an allocation.
struct Number([u8; 20], usize);

impl Number {
    fn of(mut number: u64) -> Self {
        let (mut digits, mut from) = ([b'0'; 20], 20);
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            (number, from) = (number / 10, at);
            if number == 0 {
                break;
            }
        }
        Self(digits, from)
    }

    fn text(&self) -> &str {
        self.0.get(self.1..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_and_numbers_read_as_their_formats_do() {
        for number in [0, 7, 10, 909, u64::MAX] {
            assert_eq!(Number::of(number).text(), number.to_string());
        }
        let id = ObjectId(*b"\x00\x01\x9a\xff\x7f\x80abcdefghij");
        assert_eq!(Hex::of(id).text(), id.to_string());
        assert_eq!(Hex::EMPTY.text(), "");
    }
}
