//! The custom section `kmss.sizes`: which lengths of data a policy tells apart (docs/policy-abi.md, section 7).

/// The section's name.
pub const SIZES_SECTION: &str = "kmss.sizes";
/// Most numbers in it.
pub const MAX_SIZES: usize = 1024;
/// Lengths that are tried where a policy does not say which it tells apart: nothing, a digest or key, a record, a file.
const USUAL: [u64; 4] = [0, 32, 4096, 1 << 32];

/// The numbers that a policy compares the length of the data with, and with no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(Box<[u64]>);

/// Why a section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its section `kmss.sizes` is no list of up to 1024 ascending 64-bit numbers")]
pub struct SizesError;

impl Sizes {
    /// The numbers in the contents of a section.
    ///
    /// # Errors
    /// Where they are too many, do not ascend, or the last is cut.
    pub fn parse(section: &[u8]) -> Result<Self, SizesError> {
        let (numbers, rest) = section.as_chunks();
        let numbers: Box<[u64]> = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if !rest.is_empty() || numbers.len() > MAX_SIZES || !numbers.is_sorted_by(|a, b| a < b) {
            return Err(SizesError);
        }
        Ok(Self(numbers))
    }

    /// Whether it tells no lengths apart.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One length of each kind that policies with these numbers tell apart: any other length is to all of them like one of
    /// those. `None`: a policy that does not say.
    pub fn probes<'a>(policies: impl Iterator<Item = Option<&'a Self>>) -> Vec<u64> {
        let mut probes = vec![0, u64::from(u32::MAX)];
        for sizes in policies {
            match sizes {
                // Below, at and above: whichever way it compares.
                Some(Self(numbers)) => {
                    probes.extend(numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]));
                }
                None => probes.extend(USUAL),
            }
        }
        probes.sort_unstable();
        probes.dedup();
        // All bits set stands for a length that is not known.
        probes.retain(|probe| *probe != u64::MAX);
        probes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sizes(numbers: &[u64]) -> Result<Sizes, SizesError> {
        Sizes::parse(&numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn a_section_is_a_list_of_ascending_numbers() {
        assert!(sizes(&[]).unwrap().is_empty());
        assert!(!sizes(&[1, 7]).unwrap().is_empty());
        for bad in [&[1, 1][..], &[2, 1], &(0..1025).collect::<Vec<_>>()] {
            assert_eq!(sizes(bad), Err(SizesError));
        }
        assert_eq!(Sizes::parse(&[0; 9]), Err(SizesError));
        assert!(sizes(&(0..1024).collect::<Vec<_>>()).is_ok());
    }

    #[test]
    fn every_length_is_like_one_of_those_that_are_tried() {
        let (one, two) = (sizes(&[100, 1000]).unwrap(), sizes(&[0, 300, u64::MAX]).unwrap());
        let probes = Sizes::probes([Some(&one), Some(&two)].into_iter());
        assert!(!probes.contains(&u64::MAX));
        let kind = |n: u64| [0, 100, 300, 1000, u64::MAX].map(|at| n.cmp(&at));
        for length in [0, 1, 50, 99, 100, 101, 299, 300, 301, 555, 999, 1000, 1001, 1 << 40, u64::MAX - 1] {
            assert!(probes.iter().any(|probe| kind(*probe) == kind(length)), "{length}");
        }
        assert!(Sizes::probes([None].into_iter()).contains(&4096));
    }
}
