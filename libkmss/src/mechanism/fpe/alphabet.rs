//! The characters of a format, each with its number.

use crate::error::{Error, ErrorKind, Result};

/// Characters in an order: the first is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alphabet {
    characters: Vec<char>,
    /// The same with their numbers, in the order of the characters.
    numbers: Vec<(char, u16)>,
}

impl Alphabet {
    /// Most characters.
    const MAX: usize = 1024;

    /// These characters.
    ///
    /// # Errors
    /// [`ErrorKind::MechanismParameter`] for fewer than 2, more than 1,024, the same twice, or one that would not be seen.
    pub(super) fn new(characters: impl IntoIterator<Item = char>) -> Result<Self> {
        let parameter = |why| Err(Error::new(ErrorKind::MechanismParameter, why));
        let characters: Vec<char> = characters.into_iter().take(Self::MAX + 1).collect();
        if !(2..=Self::MAX).contains(&characters.len()) {
            return parameter("an alphabet has 2 to 1024 characters");
        }
        if characters.iter().any(|c| c.is_control() || c.is_whitespace()) {
            return parameter("an alphabet has no spaces and no control characters");
        }
        let mut numbers: Vec<(char, u16)> = characters.iter().copied().zip(0..).collect();
        numbers.sort_unstable();
        if !numbers.is_sorted_by(|(one, _), (next, _)| one < next) {
            return parameter("an alphabet has each character once");
        }
        Ok(Self { characters, numbers })
    }

    /// How many characters there are.
    pub(super) fn radix(&self) -> u32 {
        u32::try_from(self.characters.len()).unwrap_or(u32::MAX)
    }

    /// The number of a character.
    pub(super) fn number(&self, character: char) -> Option<u16> {
        let place = self.numbers.binary_search_by_key(&character, |(c, _)| *c).ok()?;
        self.numbers.get(place).map(|(_, number)| *number)
    }

    /// The character with a number.
    pub(super) fn character(&self, number: u16) -> Option<char> {
        self.characters.get(usize::from(number)).copied()
    }

    /// The longest of its characters in bytes of UTF-8.
    pub(super) fn widest(&self) -> usize {
        self.characters.iter().map(|c| c.len_utf8()).max().unwrap_or(1)
    }

    pub(super) fn characters(&self) -> impl Iterator<Item = char> {
        self.characters.iter().copied()
    }
}
