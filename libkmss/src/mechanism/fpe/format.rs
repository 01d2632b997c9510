//! What values look like: ready formats by their names, and free alphabets.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::alphabet::Alphabet;
use crate::error::{Error, ErrorKind, Result};

/// What the last character of a value that is not kept follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: every character is free.
    None,
    /// Luhn.
    Luhn,
    /// That of mainland identity numbers.
    Identity,
}

/// What a value is, beside its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Characters of the alphabet alone.
    Plain,
    /// Groups of digits: spaces and hyphens stay where they are.
    Grouped,
    /// The local part of an address and what follows it; all but letters and digits stays.
    Email,
    /// A day of the calendar, `YYYY-MM-DD`.
    Date,
}

/// How values are made up. Written as text: the name of a ready format, or an alphabet with what stays
/// (`digits(first=2,last=4)`, `alphabet(first=1,chars=ABCDEF)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    name: &'static str,
    pub(super) alphabet: Alphabet,
    /// Characters that stay, in front and behind.
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) lengths: RangeInclusive<usize>,
    pub(super) check: Check,
    pub(super) shape: Shape,
    /// Characters that a masked read shows, in front and behind.
    pub(super) shown: (usize, usize),
}

/// A ready format: its name, what stays in front and behind, lengths, check, shape, what a masked read shows.
type Ready = (&'static str, (usize, usize), RangeInclusive<usize>, Check, Shape, (usize, usize));

/// The ready formats; all are of digits, but for the last.
const READY: &[Ready] = &[
    ("card", (0, 0), 12..=19, Check::Luhn, Shape::Grouped, (0, 4)),
    ("card-bin", (6, 0), 12..=19, Check::Luhn, Shape::Grouped, (0, 4)),
    ("card-bin8", (8, 0), 12..=19, Check::Luhn, Shape::Grouped, (0, 4)),
    ("card-last4", (0, 4), 12..=19, Check::Luhn, Shape::Grouped, (0, 4)),
    ("card-bin-last4", (6, 4), 12..=19, Check::Luhn, Shape::Grouped, (0, 4)),
    ("id-number", (0, 0), 18..=18, Check::Identity, Shape::Plain, (0, 4)),
    ("id-number-region", (6, 0), 18..=18, Check::Identity, Shape::Plain, (0, 4)),
    ("mobile", (3, 0), 11..=11, Check::None, Shape::Grouped, (0, 4)),
    ("account", (0, 0), 6..=34, Check::None, Shape::Grouped, (0, 4)),
    ("account-last4", (0, 4), 10..=34, Check::None, Shape::Grouped, (0, 4)),
    ("date", (0, 0), 10..=10, Check::None, Shape::Date, (0, 0)),
    ("email", (0, 0), 3..=254, Check::None, Shape::Email, (1, 0)),
];

/// The free alphabets by their names.
const FREE: &[(&str, &[RangeInclusive<char>])] = &[
    ("digits", &['0'..='9']),
    ("hex", &['0'..='9', 'a'..='f']),
    ("lower", &['a'..='z']),
    ("upper", &['A'..='Z']),
    ("letters", &['A'..='Z', 'a'..='z']),
    ("alphanumeric", &['0'..='9', 'A'..='Z', 'a'..='z']),
];

/// The word for an alphabet of one's own.
const OWN: &str = "alphabet";
/// Most characters that stay on one side.
const MOST_KEPT: usize = 64;

impl Format {
    /// Every name, ready formats first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        READY.iter().map(|ready| ready.0).chain(FREE.iter().map(|free| free.0)).chain([OWN])
    }

    fn ready((name, (first, last), lengths, check, shape, shown): &Ready) -> Result<Self> {
        let alphabet = match shape {
            Shape::Email => Alphabet::new(('0'..='9').chain('A'..='Z').chain('a'..='z'))?,
            _ => Alphabet::new('0'..='9')?,
        };
        let (lengths, shown) = (lengths.clone(), *shown);
        Ok(Self { name, alphabet, first: *first, last: *last, lengths, check: *check, shape: *shape, shown })
    }

    fn free(name: &'static str, alphabet: Alphabet, first: usize, last: usize) -> Self {
        let (lengths, check, shape) = (2..=256, Check::None, Shape::Plain);
        Self { name, alphabet, first, last, lengths, check, shape, shown: (0, 4) }
    }

    /// The longest text in bytes that may come of one of `input` bytes.
    #[must_use]
    pub fn longest(&self, input: usize) -> usize {
        input.saturating_mul(self.alphabet.widest())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a format.
    ///
    /// # Errors
    /// [`ErrorKind::MechanismParameter`], with the names that there are.
    fn from_str(text: &str) -> Result<Self> {
        let parameter = |why: String| Error::new(ErrorKind::MechanismParameter, why);
        if text.len() > 8192 {
            return Err(parameter("a format has at most 8 KiB".to_owned()));
        }
        if let Some(ready) = READY.iter().find(|ready| ready.0 == text) {
            return Self::ready(ready);
        }
        let (name, options) = match text.split_once('(') {
            Some((name, options)) => {
                let unclosed = || parameter("the options of a format end with `)`".to_owned());
                (name, options.strip_suffix(')').ok_or_else(unclosed)?)
            }
            None => (text, ""),
        };
        let free = FREE.iter().find(|free| free.0 == name);
        if free.is_none() && name != OWN {
            let known: Vec<&str> = Self::names().collect();
            return Err(parameter(format!("there is no format `{name}`: {}", known.join(", "))));
        }
        let (mut first, mut last, mut own, mut rest) = (0, 0, None, options);
        while !rest.is_empty() {
            if let Some(characters) = rest.strip_prefix("chars=") {
                own = Some(Alphabet::new(characters.chars())?);
                break;
            }
            let (option, others) = rest.split_once(',').unwrap_or((rest, ""));
            rest = others;
            let unknown =
                || parameter("the options of a format are first=N, last=N and, at the end, chars=…".to_owned());
            let (word, number) = option.split_once('=').ok_or_else(unknown)?;
            let number = number.parse().ok().filter(|n| *n <= MOST_KEPT).ok_or_else(unknown)?;
            match word {
                "first" => first = number,
                "last" => last = number,
                _ => return Err(unknown()),
            }
        }
        match (free, own) {
            (Some((name, ranges)), None) => {
                let alphabet = Alphabet::new(ranges.iter().cloned().flatten())?;
                Ok(Self::free(name, alphabet, first, last))
            }
            (None, Some(alphabet)) => Ok(Self::free(OWN, alphabet, first, last)),
            (None, None) => Err(parameter("say the characters: `alphabet(chars=…)`".to_owned())),
            (Some(_), Some(_)) => Err(parameter("only `alphabet` takes characters".to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.name != OWN && (READY.iter().any(|ready| ready.0 == self.name) || self.first + self.last == 0) {
            return Ok(());
        }
        write!(f, "(first={},last={}", self.first, self.last)?;
        if self.name == OWN {
            f.write_str(",chars=")?;
            self.alphabet.characters().try_for_each(|c| write!(f, "{c}"))?;
        }
        f.write_str(")")
    }
}
