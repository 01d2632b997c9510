//! The custom section `kmss.rules`: what a policy calls its rules (docs/policy-abi.md, section 6).

use std::cmp::Ordering;

use super::decode::{MAX_REASON, plain_text};

/// The section's name.
pub const SECTION: &str = "kmss.rules";
/// The only format.
const FORMAT: u32 = 1;
/// Bytes of an entry of the table.
const ENTRY: usize = 20;
/// Longest name in bytes.
const MAX_NAME: usize = 256;

/// The names of a policy's rules, read when one is asked for.
#[derive(Clone, Debug, Default)]
pub struct RuleNames {
    section: Box<[u8]>,
    count: usize,
}

/// Why a section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its table of rules does not fit into the section `kmss.rules`, or has an unknown format")]
pub struct RulesError;

impl RuleNames {
    /// The names in the contents of a section.
    ///
    /// # Errors
    /// Where the table does not fit into them, or has a format of the future.
    pub fn parse(section: &[u8]) -> Result<Self, RulesError> {
        let format = word(section, 0).ok_or(RulesError)?;
        let count = word(section, 4).and_then(|count| usize::try_from(count).ok()).ok_or(RulesError)?;
        let end = count.checked_mul(ENTRY).and_then(|table| table.checked_add(8)).ok_or(RulesError)?;
        if format != FORMAT || end > section.len() {
            return Err(RulesError);
        }
        Ok(Self { section: section.into(), count })
    }

    /// The name of a rule.
    #[must_use]
    pub fn name(&self, rule: u32) -> Option<&str> {
        self.text(self.find(rule)? + 4, MAX_NAME)
    }

    /// The sentence why, of a rule that has one.
    #[must_use]
    pub fn reason(&self, rule: u32) -> Option<&str> {
        self.text(self.find(rule)? + 12, MAX_REASON)
    }

    /// Every rule's number, as far as the table can be read.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.count).filter_map(|at| word(&self.section, 8 + at * ENTRY))
    }

    /// Where the entry of a rule begins.
    fn find(&self, rule: u32) -> Option<usize> {
        // Most policies count from 1 without gaps.
        let guess = usize::try_from(rule).ok()?.checked_sub(1)?;
        if guess < self.count && word(&self.section, 8 + guess * ENTRY)? == rule {
            return Some(8 + guess * ENTRY);
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let at = 8 + middle * ENTRY;
            match word(&self.section, at)?.cmp(&rule) {
                Ordering::Equal => return Some(at),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn text(&self, at: usize, longest: usize) -> Option<&str> {
        let start = usize::try_from(word(&self.section, at)?).ok()?;
        let length = usize::try_from(word(&self.section, at + 4)?).ok()?;
        let bytes = self.section.get(start..start.checked_add(length)?)?;
        plain_text(std::str::from_utf8(bytes).ok()?, longest)
    }
}

/// The number at an offset.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn section(rules: &[(u32, &str, &str)]) -> Vec<u8> {
        let (mut table, mut texts) = (Vec::new(), Vec::new());
        let start = 8 + rules.len() * ENTRY;
        for (number, name, reason) in rules {
            table.push(*number);
            for text in [name, reason] {
                table.extend([(start + texts.len()) as u32, text.len() as u32]);
                texts.extend_from_slice(text.as_bytes());
            }
        }
        let mut bytes = [[1, 0, 0, 0], (rules.len() as u32).to_le_bytes()].concat();
        table.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(texts);
        bytes
    }

    #[test]
    fn rules_are_found_by_their_numbers_with_and_without_gaps() {
        let names =
            RuleNames::parse(&section(&[(1, "one", ""), (2, "two", "because"), (9, "nine", "why"), (40, "x", "")]));
        let names = names.unwrap();
        assert_eq!([1, 2, 9, 40].map(|n| names.name(n).unwrap()), ["one", "two", "nine", "x"]);
        assert_eq!(
            [1, 2, 9, 0, 3, 41].map(|n| names.reason(n)),
            [None, Some("because"), Some("why"), None, None, None]
        );
        assert_eq!(names.numbers().collect::<Vec<_>>(), [1, 2, 9, 40]);
    }

    #[test]
    fn a_damaged_section_is_refused_or_names_nothing() {
        let good = section(&[(1, "one", "reason")]);
        for cut in 0..28 {
            assert!(RuleNames::parse(&good[..cut]).is_err());
        }
        for cut in 28..good.len() {
            assert_eq!(RuleNames::parse(&good[..cut]).unwrap().reason(1), None);
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            RuleNames::parse(&bytes)
        };
        assert!(with(0, 2).is_err());
        assert!(with(7, 0xFF).is_err());
        assert_eq!(with(15, 0xFF).unwrap().name(1), None);
        assert_eq!(with(28, 0xFF).unwrap().name(1), None);
        assert_eq!(with(28, b'\n').unwrap().name(1), None);
    }
}
