//! Lists and maps of a request. Both are sorted by their bytes, and nothing is in them twice.

use crate::malformed;
use crate::text::Text;

/// The four bytes at an offset, as a number.
#[inline(always)]
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(chunk) => u32::from_le_bytes(*chunk),
        None => malformed(),
    }
}

/// The text that an (offset, length) pair names.
#[inline(always)]
pub(crate) fn text(bytes: &[u8], pair: usize) -> Text<'_> {
    let offset = word(bytes, pair) as usize;
    let length = word(bytes, pair.wrapping_add(4)) as usize;
    match offset.checked_add(length).and_then(|end| bytes.get(offset..end)) {
        Some(found) => Text(found),
        None => malformed(),
    }
}

/// The place and the number of the entries that an (offset, count) pair names, each `size` bytes long.
#[inline(always)]
fn entries(bytes: &[u8], pair: usize, size: usize) -> (usize, usize) {
    let offset = word(bytes, pair) as usize;
    let count = word(bytes, pair.wrapping_add(4)) as usize;
    let end = count.checked_mul(size).and_then(|length| offset.checked_add(length));
    match end {
        Some(end) if end <= bytes.len() => (offset, count),
        _ => malformed(),
    }
}

/// A list of texts: roles, or tags. Iterating yields [`Text`]s.
#[derive(Clone, Copy)]
pub struct List<'a> {
    bytes: &'a [u8],
    offset: usize,
    left: usize,
}

impl<'a> List<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], pair: usize) -> Self {
        let (offset, left) = entries(bytes, pair, 8);
        List { bytes, offset, left }
    }

    /// How many there are.
    #[must_use]
    #[inline(always)]
    pub const fn count(self) -> usize {
        self.left
    }

    /// Whether there are none.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.left == 0
    }

    /// Whether `wanted` is among them.
    #[must_use]
    #[inline(always)]
    pub fn contains(mut self, wanted: &str) -> bool {
        self.any(|text| text == wanted)
    }

    /// What follows `prefix` in the first that begins with it: `region:` in a list with `region:eu` gives `eu`.
    #[must_use]
    #[inline(always)]
    pub fn value_of(mut self, prefix: &str) -> Option<Text<'a>> {
        self.find_map(|text| text.strip_prefix(prefix))
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Text<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Text<'a>> {
        self.left = self.left.checked_sub(1)?;
        let found = text(self.bytes, self.offset);
        self.offset = self.offset.wrapping_add(8);
        Some(found)
    }
}

impl core::fmt::Debug for List<'_> {
    #[inline(always)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// The encryption context. Iterating yields names with their values.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    bytes: &'a [u8],
    offset: usize,
    left: usize,
}

impl<'a> Context<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], pair: usize) -> Self {
        let (offset, left) = entries(bytes, pair, 16);
        Context { bytes, offset, left }
    }

    /// How many entries there are.
    #[must_use]
    #[inline(always)]
    pub const fn count(self) -> usize {
        self.left
    }

    /// The value of one name.
    #[must_use]
    #[inline(always)]
    pub fn get(mut self, name: &str) -> Option<Text<'a>> {
        self.find_map(|(found, value)| (found == name).then_some(value))
    }
}

impl<'a> Iterator for Context<'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = (text(self.bytes, self.offset), text(self.bytes, self.offset.wrapping_add(8)));
        self.offset = self.offset.wrapping_add(16);
        Some(entry)
    }
}

impl core::fmt::Debug for Context<'_> {
    #[inline(always)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}
