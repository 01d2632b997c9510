//! Random and mutated bytes for the bounded runs.
#![allow(dead_code)]

/// A small generator whose runs can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let len = self.below(longest);
        (0..len).map(|_| self.roll().to_le_bytes()[0]).collect()
    }

    /// `seed` with some bytes changed, lost, doubled or cut off.
    fn mutated(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] = self.roll().to_le_bytes()[0],
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.roll().to_le_bytes()[0]),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }
}

/// How often each is run; `KMSS_FUZZ_RUNS` says otherwise.
fn runs(usual: usize) -> usize {
    std::env::var("KMSS_FUZZ_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub(crate) fn random(target: fn(&[u8]), usual: usize, longest: usize) {
    let mut dice = Dice(0x6B6D_7373_2026_1122);
    for _ in 0..runs(usual) {
        target(&dice.bytes(longest));
    }
}

pub(crate) fn around(target: fn(&[u8]), usual: usize, seed: &[u8]) {
    let mut dice = Dice(0x2211_6202_7373_6D6B);
    for _ in 0..runs(usual) {
        target(&dice.mutated(seed));
    }
}
