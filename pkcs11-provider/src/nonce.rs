//! Nonces of messages (PKCS#11 3.2, 5.9 and 6.13.3): the caller's, or generated behind a fixed front.

use cryptoki_sys::{
    CK_GENERATOR_FUNCTION, CK_ULONG, CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR, CKG_GENERATE_RANDOM,
    CKG_NO_GENERATE, CKR_MECHANISM_PARAM_INVALID, CKR_TOKEN_RESOURCE_EXCEEDED,
};

use crate::rv::{Result, Rv};

const INVALID: Rv = Rv(CKR_MECHANISM_PARAM_INVALID);

/// Fewest bits that are drawn at random: with less, nonces would repeat after a few messages.
const MIN_RANDOM: u32 = 64;

/// How a nonce comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generator {
    /// The caller gives it (`CKG_NO_GENERATE`).
    Caller,
    /// It is made in the bits that are not fixed.
    Made {
        /// By which rule.
        rule: Rule,
        /// Bits that are made, the last ones; 1 to 128.
        free: u32,
    },
}

/// A rule for the free bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A counter from a random start (`CKG_GENERATE`: the token's choice). It never repeats in a process, and hardly
    /// ever from one to the next.
    Ours,
    /// A counter from 0.
    Counter,
    /// A counter from 0, added bit by bit to the first nonce's, as TLS 1.3 does.
    CounterXor,
    /// Fresh random bits.
    Random,
}

impl Generator {
    /// Of a parameter's fields.
    pub(crate) fn new(function: CK_GENERATOR_FUNCTION, fixed_bits: CK_ULONG, len: CK_ULONG) -> Result<Self> {
        let rule = match function {
            CKG_NO_GENERATE => return Ok(Self::Caller),
            CKG_GENERATE => Rule::Ours,
            CKG_GENERATE_COUNTER => Rule::Counter,
            CKG_GENERATE_COUNTER_XOR => Rule::CounterXor,
            CKG_GENERATE_RANDOM => Rule::Random,
            _ => return Err(INVALID),
        };
        let bits = len.checked_mul(8).ok_or(INVALID)?;
        let free = bits.checked_sub(fixed_bits).and_then(|free| u32::try_from(free).ok()).ok_or(INVALID)?;
        let least = if rule == Rule::Random { MIN_RANDOM } else { 1 };
        if bits > 128 || free < least { Err(INVALID) } else { Ok(Self::Made { rule, free }) }
    }

    /// Whether one call alone can use it: a counter would begin anew with each.
    pub(crate) const fn stands_alone(self) -> bool {
        !matches!(self, Self::Made { rule: Rule::Counter | Rule::CounterXor, .. })
    }
}

/// The nonces of one process.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    generator: Generator,
    len: usize,
    /// What the counter counts from, or is added to.
    start: u128,
    count: u128,
}

impl Nonces {
    /// The next nonce. `given` is what stands in the caller's memory: the nonce, or its fixed front.
    ///
    /// `CKR_MECHANISM_PARAM_INVALID` where the rule changes within a process, `CKR_TOKEN_RESOURCE_EXCEEDED` where all
    /// nonces were used.
    pub(crate) fn next(
        &mut self,
        generator: Generator,
        given: Vec<u8>,
        random: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let Generator::Made { rule, free } = generator else {
            return Ok(given);
        };
        let number = number(&given)?;
        let mask = u128::MAX >> (128 - free);
        let draw = |random: &mut dyn FnMut(&mut [u8]) -> Result<()>| {
            let mut bytes = [0; 16];
            random(&mut bytes).map(|()| u128::from_be_bytes(bytes) & mask)
        };
        let mut random = Some(random);
        let mut fill = |out: &mut [u8]| random.take().map_or(Err(INVALID), |random| random(out));
        let made = match &mut self.made {
            Some(made) if made.generator == generator && made.len == given.len() => made,
            Some(_) => return Err(INVALID),
            none => {
                let start = match rule {
                    Rule::Ours => draw(&mut fill)?,
                    Rule::CounterXor => number & mask,
                    Rule::Counter | Rule::Random => 0,
                };
                none.insert(Made { generator, len: given.len(), start, count: 0 })
            }
        };
        if made.count > mask {
            return Err(Rv(CKR_TOKEN_RESOURCE_EXCEEDED));
        }
        let free_bits = match rule {
            Rule::Ours => made.start.wrapping_add(made.count) & mask,
            Rule::Counter => made.count,
            Rule::CounterXor => made.start ^ made.count,
            Rule::Random => draw(&mut fill)?,
        };
        // Counted before it is used: an error of the message does not give the nonce back.
        made.count = made.count.checked_add(1).ok_or(Rv(CKR_TOKEN_RESOURCE_EXCEEDED))?;
        let nonce = ((number & !mask) | free_bits).to_be_bytes();
        Ok(nonce.get(16 - given.len()..).unwrap_or_default().to_vec())
    }
}

/// A nonce of up to 16 bytes as a number.
fn number(nonce: &[u8]) -> Result<u128> {
    let mut bytes = [0; 16];
    let start = bytes.len().checked_sub(nonce.len()).ok_or(INVALID)?;
    bytes.get_mut(start..).ok_or(INVALID)?.copy_from_slice(nonce);
    Ok(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fixed(out: &mut [u8]) -> Result<()> {
        out.fill(0xff);
        Ok(())
    }

    #[test]
    fn counters_count_behind_the_fixed_bits() {
        let generator = Generator::new(CKG_GENERATE_COUNTER, 88, 12).unwrap();
        let mut nonces = Nonces::default();
        for count in 0..=255_u8 {
            let mut expected = [7; 12];
            expected[11] = count;
            assert_eq!(nonces.next(generator, vec![7; 12], fixed), Ok(expected.to_vec()));
        }
        assert_eq!(nonces.next(generator, vec![7; 12], fixed), Err(Rv(CKR_TOKEN_RESOURCE_EXCEEDED)));
    }

    #[test]
    fn the_xor_counter_keeps_the_first_nonce_as_its_mask() {
        let generator = Generator::new(CKG_GENERATE_COUNTER_XOR, 0, 12).unwrap();
        let mut nonces = Nonces::default();
        let mut given = vec![0xA5; 12];
        for count in 0..5_u8 {
            // The caller's memory holds the last nonce when the next is made.
            given = nonces.next(generator, given, fixed).unwrap();
            let mut expected = [0xA5; 12];
            expected[11] ^= count;
            assert_eq!(given, expected);
        }
    }

    #[test]
    fn our_own_rule_starts_anywhere_wraps_around_and_never_repeats() {
        let generator = Generator::new(CKG_GENERATE, 32 + 60, 12).unwrap();
        let mut nonces = Nonces::default();
        let all: std::collections::BTreeSet<_> =
            (0..16).map(|_| nonces.next(generator, vec![1; 12], fixed).unwrap()).collect();
        assert_eq!(all.len(), 16);
        assert!(nonces.next(generator, vec![1; 12], fixed).is_err());
    }

    #[test]
    fn rules_do_not_change_and_random_ones_have_room() {
        assert!(Generator::new(CKG_GENERATE_RANDOM, 40, 12).is_err());
        assert!(Generator::new(CKG_GENERATE, 97, 12).is_err());
        assert!(Generator::new(CKG_GENERATE, 0, CK_ULONG::MAX).is_err());
        assert!(Generator::new(CKG_GENERATE, 0, 17).is_err());
        assert!(Generator::new(99, 0, 12).is_err());
        let random = Generator::new(CKG_GENERATE_RANDOM, 32, 12).unwrap();
        let mut nonces = Nonces::default();
        let expected = [vec![3; 4], vec![0xff; 8]].concat();
        assert_eq!(nonces.next(random, vec![3; 12], fixed), Ok(expected));
        let counter = Generator::new(CKG_GENERATE_COUNTER, 32, 12).unwrap();
        assert_eq!(nonces.next(counter, vec![3; 12], fixed), Err(INVALID));
        assert_eq!(nonces.next(Generator::Caller, vec![9; 12], fixed), Ok(vec![9; 12]));
        assert!(!counter.stands_alone() && random.stands_alone());
    }
}
