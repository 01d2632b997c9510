//! The custom section `kmss.reads`: which fields that differ from request to request a policy looks at (docs/policy-abi.md,
//! section 8).

/// The section's name.
pub const READS_SECTION: &str = "kmss.reads";

/// The fields that are different each time the same is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// The time, and the age of the key's version.
    pub time: bool,
    /// The number of the request.
    pub sequence: bool,
    /// How many requests like it came within the last second and minute.
    pub counts: bool,
}

/// Why a section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its section `kmss.reads` is not one byte with no more than its lowest three bits set")]
pub struct ReadsError;

impl Reads {
    /// None of them: equal requests have equal answers at any time.
    pub const NOTHING: Self = Self { time: false, sequence: false, counts: false };
    /// What holds for a policy that does not say.
    pub const EVERYTHING: Self = Self { time: true, sequence: true, counts: true };

    const TIME: u8 = 1;
    const SEQUENCE: u8 = 2;
    const COUNTS: u8 = 4;

    /// The contents of a section.
    ///
    /// # Errors
    /// Where it is of another length, or names fields that this host does not know.
    pub fn parse(section: &[u8]) -> Result<Self, ReadsError> {
        match section {
            [bits] if bits & !(Self::TIME | Self::SEQUENCE | Self::COUNTS) == 0 => Ok(Self {
                time: bits & Self::TIME != 0,
                sequence: bits & Self::SEQUENCE != 0,
                counts: bits & Self::COUNTS != 0,
            }),
            _ => Err(ReadsError),
        }
    }

    /// The section that says so.
    #[must_use]
    pub const fn section(self) -> [u8; 1] {
        let (time, sequence, counts) = (self.time as u8, self.sequence as u8, self.counts as u8);
        [(time * Self::TIME) | (sequence * Self::SEQUENCE) | (counts * Self::COUNTS)]
    }

    /// What one or the other reads.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            time: self.time | other.time,
            sequence: self.sequence | other.sequence,
            counts: self.counts | other.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_one_byte_of_known_bits() {
        for bits in 0..8 {
            assert_eq!(Reads::parse(&[bits]).map(Reads::section), Ok([bits]));
        }
        for bad in [&[][..], &[8], &[0xff], &[0, 0]] {
            assert_eq!(Reads::parse(bad), Err(ReadsError));
        }
        assert_eq!(Reads::parse(&[7]), Ok(Reads::EVERYTHING));
        assert_eq!(Reads::parse(&[0]), Ok(Reads::NOTHING));
    }
}
