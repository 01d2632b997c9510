//! A bounded run of every fuzzer over random and mutated bytes: what `cargo fuzz` does for hours, for seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dice;

use dice::{around, random};
use fuzz_targets::{audit, parameter, record, template};

#[test]
fn no_template_brings_the_door_down() {
    random(template::run, 4000, 400);
}

#[test]
fn no_parameter_brings_the_door_down() {
    random(parameter::run, 1500, 200);
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
