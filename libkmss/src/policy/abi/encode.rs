//! A request as guests of `kmss-policy/1` see it (docs/policy-abi.md, section 2).

use super::numbers::{action_number, key_type_number, mechanism_number};
use super::{BUFFER, FIXED, VERSION};
use crate::policy::{Flags, Input, InputKey};

/// A request in bytes, or why it cannot be one. Made once for all policies that decide, and used again for the next
/// request: encoding allocates nothing after the first, unless roles, tags or the context arrive unsorted.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Vec<u8>,
    error: Option<EncodeError>,
}

/// Why a request cannot be told to a guest. It is denied then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Nothing was encoded yet.
    #[error("there is no request")]
    Empty,
    /// It is longer than the guest's buffer.
    #[error("the request does not fit into 16384 bytes: shorten the encryption context, or the key's tags")]
    TooLong,
    /// The encryption context has a name twice.
    #[error("a name stands twice in the encryption context")]
    ContextTwice,
}

impl Default for Encoded {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(BUFFER), error: Some(EncodeError::Empty) }
    }
}

impl Encoded {
    /// `input`, encoded.
    #[must_use]
    pub fn of(input: &Input<'_>) -> Self {
        let mut encoded = Self::default();
        encoded.encode(input);
        encoded
    }

    /// Replaces what was encoded before.
    pub fn encode(&mut self, input: &Input<'_>) {
        self.bytes.clear();
        self.error = write(&mut self.bytes, input).err();
    }

    /// The request.
    ///
    /// # Errors
    /// Why there is none.
    pub fn request(&self) -> Result<&[u8], EncodeError> {
        self.error.map_or(Ok(&self.bytes), Err)
    }
}

/// Hands out places behind the fixed part. What is past [`BUFFER`] is refused at the end, so numbers may wrap until then.
struct Places(usize);

impl Places {
    /// Offset and length of a text.
    fn text(&mut self, text: &str) -> [u32; 2] {
        if text.is_empty() { [0, 0] } else { [self.take(text.len()), text.len() as u32] }
    }

    /// Offset and count of a list whose entries have `size` bytes.
    fn list(&mut self, count: usize, size: usize) -> [u32; 2] {
        if count == 0 { [0, 0] } else { [self.take(count.saturating_mul(size)), count as u32] }
    }

    fn take(&mut self, len: usize) -> u32 {
        let start = self.0;
        self.0 = start.saturating_add(len);
        start as u32
    }
}

/// The fields of the key that is not there.
const NO_KEY: InputKey<'static> = InputKey {
    id: "",
    name: "",
    session: false,
    key_type: None,
    bits: 0,
    created: crate::clock::Timestamp(0),
    version_age: 0,
    tags: &[],
};

fn write(bytes: &mut Vec<u8>, input: &Input<'_>) -> Result<(), EncodeError> {
    let key = input.key.as_ref().unwrap_or(&NO_KEY);
    let roles = Sorted::of(input.roles, |role| role);
    let tags = Sorted::of(key.tags, |tag| tag);
    let context = Sorted::of(input.context, |(name, _)| name);
    if context.len() != input.context.len() {
        return Err(EncodeError::ContextTwice);
    }
    // Tables first: they stay aligned. The texts follow in the order in which their places are given out here.
    let mut places = Places(FIXED);
    let role_list = places.list(roles.len(), 8);
    let tag_list = places.list(tags.len(), 8);
    let context_map = places.list(context.len(), 16);
    let texts =
        [input.tenant, input.principal, key.id, key.name, input.namespace, input.process, input.source, input.session];
    let [tenant, principal, key_id, label, namespace, process, source, session] = texts.map(|text| places.text(text));
    let listed = places.0;
    for text in roles.iter().chain(tags.iter()) {
        places.take(text.len());
    }
    for (name, value) in context.iter() {
        places.take(name.len().saturating_add(value.len()));
    }
    let total = places.0;
    if total > BUFFER {
        return Err(EncodeError::TooLong);
    }
    let low_high = |number: u64| [number as u32, (number >> 32) as u32];
    let flags = flags(input.flags, input.key.as_ref());
    let mechanism = input.mechanism.map_or(0, mechanism_number);
    let key_type = key.key_type.map_or(0, key_type_number);
    let fixed: [[u32; 2]; FIXED / 8] = [
        [VERSION, total as u32],
        [action_number(input.action), mechanism],
        low_high(input.time.0),
        low_high(input.sequence),
        [input.last_second, input.last_minute],
        low_high(input.data_len.unwrap_or(u64::MAX)),
        [flags, input.uid],
        [input.pid, key_type],
        [key.bits, FIXED as u32],
        low_high(key.created.0),
        low_high(key.version_age),
        tenant,
        principal,
        role_list,
        key_id,
        label,
        namespace,
        tag_list,
        process,
        source,
        session,
        context_map,
    ];
    let mut head = [0; FIXED];
    for (place, pair) in head.chunks_exact_mut(8).zip(fixed) {
        place.copy_from_slice(&(u64::from(pair[0]) | u64::from(pair[1]) << 32).to_le_bytes());
    }
    bytes.extend_from_slice(&head);
    let mut places = Places(listed);
    for text in roles.iter().chain(tags.iter()) {
        put(bytes, places.text(text));
    }
    for (name, value) in context.iter() {
        put(bytes, places.text(name));
        put(bytes, places.text(value));
    }
    texts.iter().for_each(|text| bytes.extend_from_slice(text.as_bytes()));
    roles.iter().chain(tags.iter()).for_each(|text| bytes.extend_from_slice(text.as_bytes()));
    for (name, value) in context.iter() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    Ok(())
}

fn put(bytes: &mut Vec<u8>, pair: [u32; 2]) {
    pair.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
}

fn flags(flags: Flags, key: Option<&InputKey<'_>>) -> u32 {
    let bits = [flags.interactive, flags.mfa, flags.fips, key.is_some(), key.is_some_and(|k| k.session)];
    bits.iter().zip(0..).map(|(set, bit)| u32::from(*set) << bit).sum()
}

/// The entries of a list by their names, each name once.
enum Sorted<'a, T> {
    AsIs(&'a [T]),
    Anew(Vec<&'a T>),
}

impl<'a, T> Sorted<'a, T> {
    fn of(list: &'a [T], name: impl Fn(&T) -> &str) -> Self {
        if list.is_sorted_by(|a, b| name(a) < name(b)) {
            return Self::AsIs(list);
        }
        let mut anew: Vec<&T> = list.iter().collect();
        anew.sort_by(|a, b| name(a).cmp(name(b)));
        anew.dedup_by(|a, b| name(a) == name(b));
        Self::Anew(anew)
    }

    const fn len(&self) -> usize {
        match self {
            Self::AsIs(list) => list.len(),
            Self::Anew(list) => list.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'a T> {
        let (list, anew): (&[T], &[&T]) = match self {
            Self::AsIs(list) => (list, &[]),
            Self::Anew(list) => (&[], list),
        };
        list.iter().chain(anew.iter().copied())
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
