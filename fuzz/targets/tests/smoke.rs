//! A bounded run of every fuzzer over random and mutated bytes: what `cargo fuzz` does for hours, for seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use fuzz_targets::{audit, config, parameter, record, template};

/// A small generator whose runs can be repeated.
struct Dice(u64);

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

fn random(target: fn(&[u8]), usual: usize, longest: usize) {
    let mut dice = Dice(0x6B6D_7373_2026_1122);
    for _ in 0..runs(usual) {
        target(&dice.bytes(longest));
    }
}

fn around(target: fn(&[u8]), usual: usize, seed: &[u8]) {
    let mut dice = Dice(0x2211_6202_7373_6D6B);
    for _ in 0..runs(usual) {
        target(&dice.mutated(seed));
    }
}

#[test]
fn no_template_brings_the_door_down() {
    random(template::run, 4000, 400);
}

#[test]
fn no_parameter_brings_the_door_down() {
    random(parameter::run, 1500, 200);
}

#[test]
fn no_configuration_brings_the_core_down() {
    random(config::run, 500, 200);
    let seed = "suite = \"gm\"\n[pin]\nmax_attempts = 3\n[audit]\nrecord_find = true\n[[principal]]\nuid = 5\nname = \"service:a\"\n";
    around(config::run, 2000, seed.as_bytes());
}

#[test]
fn no_record_brings_the_catalogue_down() {
    random(record::run, 1500, 300);
}

#[test]
fn no_segment_brings_the_verification_down() {
    random(audit::run, 500, 400);
    let seed = b"{\"seq\":0,\"time\":\"2026-11-22T00:00:00.000Z\",\"genesis\":{\"format\":1},\"prev\":\"00\",\"hash\":\"00\"}\n";
    around(audit::run, 2000, seed);
}
